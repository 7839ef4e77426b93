//! Texts with `{{ }}` in them, compiled to segments when the file is read: a request only puts
//! bytes together.
//!
//! Every name is looked up here, before the run. A value that no earlier step captures, or a column
//! that its data file does not have, is a problem of the file. The place of a value decides how it
//! is escaped.

use std::ops::Range;

use super::capture::{DEEPEST, is_too_deep};
use super::data::shown_columns;
use super::literal::{literal, literals};
use super::names::{Names, Tables};
use super::reader::{Text, closest};

/// Bytes to send.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// Texts and values, in order; empty if there is nothing to send.
    pub segments: Vec<Segment>,
    /// True if `${NAME}` or `${secret:NAME}` gave a part of its texts.
    pub from_outside: bool,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Bytes that never change.
    Text(Vec<u8>),
    /// A value of the moment, escaped for its place.
    Value(Expression, Escape),
}

/// The encoding that a value needs at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// The value as it is.
    Raw,
    /// Percent-encoded as one part of a path, or one value of a query or form.
    Percent,
    /// Inside a JSON string.
    JsonText,
    /// A JSON value of its own: numbers stay numbers.
    Json,
    /// Without the characters that would end a header.
    Header,
}

/// The expression between the braces.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A quoted text, a number or a truth value.
    Literal(Literal),
    /// Index into the flow's variables.
    Variable(u16),
    /// A member of a captured object or list, by the names on the way to it.
    Member(u16, Vec<String>),
    /// Indices into the scenario's data and its columns.
    Column(u16, u16),
    /// A whole number, both ends included.
    Random(i64, i64),
    /// `uuid()`: a random UUID, version 4.
    Uuid,
    /// `pick(...)`: one of these, at random.
    Pick(Vec<Literal>),
    /// `now()`: the time of the request.
    Now(Now),
    /// The session's number, from 0, over all tasks.
    Session,
    /// Number of the iteration within its session, from 1.
    Iteration,
    /// The same value, as text.
    AsText(Box<Expression>),
    /// The same value, not escaped.
    Raw(Box<Expression>),
    /// Basic authentication: the template's result, encoded.
    Base64(Template),
}

/// A value written in the braces.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text in quotes.
    Text(String),
    /// A number of JSON, as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
}

/// The format of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// RFC 3339, UTC, milliseconds.
    Text,
    /// Whole seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
}

/// Names that a template may use at its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct TemplateScope<'a> {
    /// Captured by a step before it.
    pub variables: &'a Names,
    pub data: &'a Tables<'a>,
}

impl Template {
    /// Returns a template that never changes.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self {
            segments: if text.is_empty() {
                Vec::new()
            } else {
                vec![Segment::Text(text)]
            },
            from_outside: false,
        }
    }

    /// True if the scenario file alone says every byte: nothing captured, drawn from data, made at
    /// the moment, or read from the environment.
    pub fn is_as_written(&self) -> bool {
        self.constant().is_some() && !self.from_outside
    }

    /// Returns the bytes, if nothing in them changes.
    pub fn constant(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(&[]),
            [Segment::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Adds a segment at the end; joins two texts.
    pub fn push(&mut self, segment: Segment) {
        match (self.segments.last_mut(), segment) {
            (_, Segment::Text(text)) if text.is_empty() => {}
            (Some(Segment::Text(before)), Segment::Text(text)) => before.extend(text),
            (_, segment) => self.segments.push(segment),
        }
    }

    /// Adds all segments of another template at the end.
    pub fn append(&mut self, other: Self) {
        self.from_outside |= other.from_outside;
        other
            .segments
            .into_iter()
            .for_each(|segment| self.push(segment));
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Value(expression, _) => Some(expression),
            Segment::Text(_) => None,
        })
    }

    /// Returns the data files it draws from.
    pub fn data(&self) -> Vec<u16> {
        self.expressions().flat_map(Expression::data).collect()
    }

    /// Returns the values of a path, before its query.
    pub fn before_query(&self) -> impl Iterator<Item = &Expression> {
        let before = self.segments.iter().take_while(|part| match part {
            Segment::Text(text) => !text.contains(&b'?'),
            Segment::Value(..) => true,
        });
        before.filter_map(|part| match part {
            Segment::Value(expression, _) => Some(expression),
            Segment::Text(_) => None,
        })
    }

    /// Returns the captured values of which it takes a member, with the names on the way to it.
    pub(super) fn members(&self) -> impl Iterator<Item = (u16, &[String])> {
        self.expressions().filter_map(Expression::member)
    }
}

impl Expression {
    /// Returns the data files that it draws from, by index; one may come several times.
    pub(super) fn data(&self) -> Vec<u16> {
        match self {
            Self::Column(data, _) => vec![*data],
            Self::AsText(inner) | Self::Raw(inner) => inner.data(),
            Self::Base64(template) => template.data(),
            _ => Vec::new(),
        }
    }

    fn member(&self) -> Option<(u16, &[String])> {
        match self {
            Self::Member(variable, names) => Some((*variable, names)),
            Self::AsText(inner) | Self::Raw(inner) => inner.member(),
            _ => None,
        }
    }

    /// Returns the cell that it takes, as indices into the scenario's data and its columns.
    pub(super) fn cell(&self) -> Option<(u16, u16)> {
        match self {
            Self::Column(data, column) => Some((*data, *column)),
            Self::AsText(inner) | Self::Raw(inner) => inner.cell(),
            _ => None,
        }
    }

    /// Returns the captured value that it takes whole, if any.
    pub(super) fn whole(&self) -> Option<u16> {
        match self {
            Self::Variable(variable) => Some(*variable),
            Self::AsText(inner) | Self::Raw(inner) => inner.whole(),
            _ => None,
        }
    }
}

/// A fault in a text, with its place and the text to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateFault {
    pub range: Range<usize>,
    pub message: String,
    pub help: String,
}

impl TemplateFault {
    fn new(range: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            range,
            message: message.into(),
            help: help.into(),
        }
    }

    pub(super) fn into_problem(self, text: &Text, what: &str) -> super::Problem {
        let mut problem = text.refuse(what, self.message, self.help);
        problem.span = text.part(self.range);
        problem
    }
}

const FUNCTIONS: [&str; 9] = [
    "random",
    "uuid",
    "pick",
    "now",
    "session",
    "iteration",
    "text",
    "raw",
    "env",
];

/// Splits a text at its braces. `literal` makes bytes of what stands between them.
pub(super) fn parse(
    text: &str,
    escape: Escape,
    known: &TemplateScope<'_>,
    literal: &dyn Fn(&str) -> Vec<u8>,
) -> Result<Template, TemplateFault> {
    let mut template = Template::default();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|found| at + found) {
        template.push(Segment::Text(literal(&text[at..open])));
        let inner = open + 2;
        let Some(close) = closing(&text[inner..]).map(|found| inner + found) else {
            return Err(TemplateFault::new(
                open..text.len(),
                "`{{` is never closed",
                "end it with `}}`, or write `{{ \"{{\" }}` for the braces",
            ));
        };
        let expression = expression(text, inner..close, known)?;
        // In a header there is nothing to encode, and a raw line break would begin another one:
        // `host`, for instance.
        let raw = matches!(expression, Expression::Raw(_)) && escape != Escape::Header;
        let escape = if raw { Escape::Raw } else { escape };
        template.push(Segment::Value(expression, escape));
        at = close + 2;
    }
    template.push(Segment::Text(literal(&text[at..])));
    Ok(template)
}

/// Returns the `}}` that is not inside quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted && text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

/// Reads one expression, in a part of a text.
pub(super) fn expression(
    text: &str,
    range: Range<usize>,
    known: &TemplateScope<'_>,
) -> Result<Expression, TemplateFault> {
    let range = trimmed(text, range);
    let part = &text[range.clone()];
    if is_too_deep(part) {
        let help = "capture or compute less in one place";
        return Err(TemplateFault::new(
            range,
            format!("this nests deeper than {DEEPEST} levels"),
            help,
        ));
    }
    let here =
        |message: String, help: String| Err(TemplateFault::new(range.clone(), message, help));
    if part.is_empty() {
        return here(
            "there is nothing between the braces".to_owned(),
            "name a captured value, a column like `users.email`, or `random(1, 100)`".to_owned(),
        );
    }
    if let Some(literal) = literal(part) {
        return Ok(Expression::Literal(literal));
    }
    if let Some((name, rest)) = part.split_once('(') {
        let Some(arguments) = rest.trim_end().strip_suffix(')') else {
            return here(
                format!("`{part}` is not closed"),
                format!("write `{part})`"),
            );
        };
        let name = name.trim();
        let from = range.start + (part.len() - rest.len());
        return call(
            text,
            range.clone(),
            name,
            from..from + arguments.len(),
            known,
        );
    }
    if let Some((data, column)) = part.split_once('.') {
        return match member(data.trim(), column, known) {
            Some(member) => Ok(member),
            None => self::column(range, data.trim(), column.trim(), known),
        };
    }
    match known.variables.place(part) {
        Some(index) => Ok(Expression::Variable(index)),
        None => {
            let captured = known.variables.all();
            let names = captured.iter().map(String::as_str);
            let help = match closest(part, names.chain(FUNCTIONS)) {
                Some(name) if FUNCTIONS.contains(&name) => format!("did you mean `{name}()`?"),
                Some(name) => format!("did you mean `{name}`?"),
                None if known.data.file(part).is_some() => {
                    format!(
                        "name one of its columns, like `{part}.{}`",
                        first_column(known, part)
                    )
                }
                None if captured.is_empty() => {
                    "an earlier step must capture it, like `capture: { product: \"$.id\" }`"
                        .to_owned()
                }
                None => format!("captured so far: `{}`", captured.join("`, `")),
            };
            here(format!("nothing called `{part}` is known here"), help)
        }
    }
}

/// Reads `item.id`, where `item` was captured and names no data.
fn member(name: &str, path: &str, known: &TemplateScope<'_>) -> Option<Expression> {
    if known.data.file(name).is_some() {
        return None;
    }
    let index = known.variables.place(name)?;
    let names: Vec<String> = path.split('.').map(|name| name.trim().to_owned()).collect();
    let all_named = names.iter().all(|name| !name.is_empty());
    all_named.then_some(Expression::Member(index, names))
}

fn first_column<'a>(known: &TemplateScope<'a>, name: &str) -> &'a str {
    let data = known.data.file(name);
    data.and_then(|(_, data)| shown_columns(&data.columns)?.first())
        .map_or("column", String::as_str)
}

fn column(
    range: Range<usize>,
    data: &str,
    column: &str,
    known: &TemplateScope<'_>,
) -> Result<Expression, TemplateFault> {
    let Some((index, file)) = known.data.file(data) else {
        let names: Vec<&str> = known.data.names().collect();
        let help = match closest(data, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}.{column}`?"),
            None if names.is_empty() => {
                "describe it under `data`, like `data: { users: { file: users.csv } }`".to_owned()
            }
            None => format!("there are `{}`", names.join("`, `")),
        };
        return Err(TemplateFault::new(
            range,
            format!("there is no data called `{data}`"),
            help,
        ));
    };
    // A file that could not be read has its own problem.
    let columns = &file.columns;
    match known.data.column(data, column) {
        Some(place) => Ok(Expression::Column(index, place)),
        None if columns.is_empty() => Ok(Expression::Column(index, 0)),
        None => {
            let shown = shown_columns(columns).unwrap_or_default();
            let help = match closest(column, shown.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{data}.{name}`?"),
                None if shown.is_empty() => "the first line of its file has the names".to_owned(),
                None => format!("it has `{}`", shown.join("`, `")),
            };
            Err(TemplateFault::new(
                range,
                format!("`{data}` has no column `{column}`"),
                help,
            ))
        }
    }
}

fn call(
    text: &str,
    range: Range<usize>,
    name: &str,
    inside: Range<usize>,
    known: &TemplateScope<'_>,
) -> Result<Expression, TemplateFault> {
    let arguments = &text[inside.clone()];
    let wrong = |example: &str| {
        Err(TemplateFault::new(
            range.clone(),
            format!("`{name}` is not written like this"),
            format!("like `{example}`"),
        ))
    };
    let empty = arguments.trim().is_empty();
    match name {
        "uuid" if empty => Ok(Expression::Uuid),
        "session" if empty => Ok(Expression::Session),
        "iteration" if empty => Ok(Expression::Iteration),
        "now" => match arguments.trim().trim_matches('"') {
            "" => Ok(Expression::Now(Now::Text)),
            "s" => Ok(Expression::Now(Now::Seconds)),
            "ms" => Ok(Expression::Now(Now::Millis)),
            _ => wrong("now()`, `now(s)` or `now(ms)"),
        },
        "random" => match bounds(arguments).as_deref() {
            Some([from, to]) if from <= to => Ok(Expression::Random(*from, *to)),
            Some([from, to]) => Err(TemplateFault::new(
                range,
                format!("`random({from}, {to})` ends before it begins"),
                format!("write `random({to}, {from})`"),
            )),
            _ => wrong("random(1, 1000)"),
        },
        "pick" => match literals(arguments) {
            Some(literals) if !literals.is_empty() => Ok(Expression::Pick(literals)),
            _ => wrong("pick([\"red\", \"blue\", 3])"),
        },
        "text" if !empty => Ok(Expression::AsText(Box::new(expression(
            text, inside, known,
        )?))),
        "raw" if !empty => Ok(Expression::Raw(Box::new(expression(text, inside, known)?))),
        "env" => Err(TemplateFault::new(
            range,
            "the environment is not read here",
            format!("write `${{{}}}`", arguments.trim().trim_matches('"')),
        )),
        "uuid" => wrong("uuid()"),
        "session" => wrong("session()"),
        "iteration" => wrong("iteration()"),
        "text" => wrong("text(product)"),
        "raw" => wrong("raw(next)"),
        _ => {
            let help = closest(name, FUNCTIONS).map_or_else(
                || format!("there are `{}()`", FUNCTIONS[..8].join("()`, `")),
                |name| format!("did you mean `{name}()`?"),
            );
            Err(TemplateFault::new(
                range,
                format!("there is no function `{name}`"),
                help,
            ))
        }
    }
}

fn bounds(arguments: &str) -> Option<Vec<i64>> {
    arguments
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect()
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::{DataFile, Division, Order, Rows, WhenUsedUp};

    fn data() -> Vec<DataFile> {
        vec![DataFile {
            name: "users".to_owned(),
            columns: vec!["email".to_owned(), "password".to_owned()],
            rows: Rows::of(2, &[&["a", "b"]]),
            order: Order::Sequential,
            when_used_up: WhenUsedUp::Recycle,
            division: Division::OverRun,
            file: String::new(),
        }]
    }

    fn read(text: &str) -> Result<Template, TemplateFault> {
        let data = data();
        let known = TemplateScope {
            variables: &["product", "token"].into_iter().collect(),
            data: &Tables::of(&data),
        };
        parse(text, Escape::Percent, &known, &|text| {
            text.as_bytes().to_vec()
        })
    }

    #[test]
    fn texts_are_split_at_their_braces() {
        use Expression::{
            Column, Literal as Constant, Member, Now as At, Pick, Random, Raw, Uuid, Variable,
        };
        let text = |text: &str| Segment::Text(text.as_bytes().to_vec());
        let value = |expression| Segment::Value(expression, Escape::Percent);
        for (written, segments) in [
            ("/plain", vec![text("/plain")]),
            ("", vec![]),
            (
                "/p/{{ product }}?t={{token}}",
                vec![
                    text("/p/"),
                    value(Variable(0)),
                    text("?t="),
                    value(Variable(1)),
                ],
            ),
            ("{{ users.password }}", vec![value(Column(0, 1))]),
            (
                "{{ product.tags.0 }}",
                vec![value(Member(0, vec!["tags".to_owned(), "0".to_owned()]))],
            ),
            (
                "{{ random(-1, 10) }}{{uuid()}}",
                vec![value(Random(-1, 10)), value(Uuid)],
            ),
            (
                "{{ now() }}{{ now(ms) }}",
                vec![value(At(Now::Text)), value(At(Now::Millis))],
            ),
            (
                "{{ pick([\"a, }} b\", 3, true]) }}",
                vec![value(Pick(vec![
                    Literal::Text("a, }} b".to_owned()),
                    Literal::Number("3".to_owned()),
                    Literal::Bool(true),
                ]))],
            ),
            (
                "{{ raw(product) }}",
                vec![Segment::Value(Raw(Box::new(Variable(0))), Escape::Raw)],
            ),
            (
                "{{ \"{{\" }}",
                vec![value(Constant(Literal::Text("{{".to_owned())))],
            ),
        ] {
            assert_eq!(
                read(written).map(|template| template.segments),
                Ok(segments),
                "{written}"
            );
        }
    }

    #[test]
    fn unknown_names_are_pointed_at_and_corrected() {
        for (text, part, help) in [
            ("/p/{{ prodct }}", "prodct", "did you mean `product`?"),
            ("/p/{{ zzz }}", "zzz", "captured so far: `product`, `token`"),
            (
                "/p/{{ users }}",
                "users",
                "name one of its columns, like `users.email`",
            ),
            (
                "{{ users.mail }}",
                "users.mail",
                "did you mean `users.email`?",
            ),
            (
                "{{ user.email }}",
                "user.email",
                "did you mean `users.email`?",
            ),
            ("{{ random(5, 1) }}", "random(5, 1)", "write `random(1, 5)`"),
            ("{{ random(5) }}", "random(5)", "like `random(1, 1000)`"),
            (
                "{{ randm(1, 5) }}",
                "randm(1, 5)",
                "did you mean `random()`?",
            ),
            ("{{ env(\"HOST\") }}", "env(\"HOST\")", "write `${HOST}`"),
            (
                "{{ }}",
                "",
                "name a captured value, a column like `users.email`, or `random(1, 100)`",
            ),
            (
                "a {{ product",
                "{{ product",
                "end it with `}}`, or write `{{ \"{{\" }}` for the braces",
            ),
            ("{{ uuid }}", "uuid", "did you mean `uuid()`?"),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(
                (&text[fault.range.clone()], fault.help.as_str()),
                (part, help),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_faulted_inside_itself(text in "([a-z/ ]|\\{\\{|\\}\\}|[(),.\"\\[\\]é]|random|pick|users){0,20}") {
            if let Err(fault) = read(&text) {
                prop_assert!(text.get(fault.range).is_some());
            }
        }
    }
}
