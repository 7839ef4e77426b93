//! Walks the tree and collects what is wrong with it.
//!
//! A reader returns what could be read and goes on: every problem of a file is reported at once.
//! Nothing read beside a problem is ever used. Problem texts show values as they were written,
//! never what `${NAME}` held. A secret is read only where a request carries it or an answer is
//! compared with it: [`Reader::sent`]; everywhere else values are shown, sent to AWS or decide, and
//! [`Reader::text`] refuses it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::fields::Object;
use super::node::{Entry, Node, NodeValue};
use super::outside::{Reference, own_access};
use super::template::{Escape, Template, TemplateScope};
use super::{FileContents, Problem, ReadFile, Substitutions, body};
use crate::redact::{SHORTEST, Secrets};
use crate::units;

/// Longer than any load test; keeps sums of durations far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

pub struct Reader<'a> {
    source: &'a str,
    substitutions: &'a Substitutions,
    open: ReadFile<'a>,
    pub problems: Vec<Problem>,
    /// What `${NAME}` held, for the names that were read.
    pub used: BTreeMap<String, String>,
    /// What `${secret:NAME}` held.
    pub secrets: Secrets,
    /// Where each name was read, by `${NAME}` and by `${secret:NAME}`.
    read: Vec<(String, Range<usize>)>,
    secrets_read: Vec<(String, Range<usize>)>,
    /// The files that were read, by the names in the text.
    pub files: FileContents,
}

/// Whether `${secret:NAME}` may stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Sent,
    Shown,
}

/// A scalar as text: what it means and how it was written.
#[derive(Debug, Clone)]
pub struct Text {
    pub value: String,
    pub span: Range<usize>,
    written: String,
    /// Where the bytes of `value` begin in the file, when they stand there unchanged.
    begin: Option<usize>,
}

impl Text {
    /// As it stands in the file: what may be shown.
    pub fn written(&self) -> &str {
        &self.written
    }

    fn substituted(&self) -> bool {
        self.value != self.written
    }

    /// The place of a part of the value.
    pub fn part(&self, range: Range<usize>) -> Range<usize> {
        self.begin.map_or_else(
            || self.span.clone(),
            |begin| begin + range.start..begin + range.end,
        )
    }

    /// A problem whose message and help may quote the value, unless that came from the environment.
    pub fn refuse(
        &self,
        wanted: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let problem = Problem::new(self.span.clone(), self.said(message, wanted));
        if self.substituted() {
            problem
        } else {
            problem.help(help)
        }
    }

    /// A message that may quote the value, unless that came from the environment.
    pub fn said(&self, message: impl Into<String>, wanted: &str) -> String {
        if self.substituted() {
            format!(
                "with the environment's values, `{}` is not {wanted}",
                self.written
            )
        } else {
            message.into()
        }
    }
}

/// The members of a map, by the names its table of fields knows.
#[derive(Debug, Default)]
pub struct Members<'n> {
    entries: Vec<&'n Entry>,
    place: Range<usize>,
}

impl<'n> Members<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name).copied()
    }

    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    pub fn entries(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().copied()
    }
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a str, substitutions: &'a Substitutions, open: ReadFile<'a>) -> Self {
        Self {
            source,
            substitutions,
            open,
            problems: Vec::new(),
            used: BTreeMap::new(),
            secrets: Secrets::default(),
            read: Vec::new(),
            secrets_read: Vec::new(),
            files: FileContents::new(),
        }
    }

    /// The content of a file that the text names, and its name.
    pub fn file(&mut self, node: &Node) -> Option<(String, Arc<Vec<u8>>)> {
        let text = self.text(node)?;
        if let Some(known) = self.files.get(&text.value) {
            return Some((text.value.clone(), Arc::clone(known)));
        }
        match (self.open)(&text.value) {
            Ok(bytes) => {
                let bytes = Arc::new(bytes);
                self.files.insert(text.value.clone(), Arc::clone(&bytes));
                Some((text.value, bytes))
            }
            Err(why) => {
                let message = text.said(
                    format!("`{}` cannot be read: {why}", text.value),
                    "a file that can be read",
                );
                self.report(
                    Problem::new(text.span.clone(), message)
                        .help("paths count from the scenario's own folder"),
                );
                None
            }
        }
    }

    /// `off`, or how many are followed.
    pub fn redirects(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        let limit = if text.value == "off" {
            Some(0)
        } else {
            text.value.parse().ok().filter(|limit| *limit <= 50)
        };
        if limit.is_none() {
            let message = format!("`{}` is not a limit for redirects", text.value);
            self.report(text.refuse(
                "a limit for redirects",
                message,
                "write `off`, or a number up to 50",
            ));
        }
        limit
    }

    /// What `--url` said.
    pub fn url_option(&self) -> Option<&'a str> {
        self.substitutions.url.as_deref()
    }

    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The map's members; unknown, repeated, empty and missing ones are reported.
    pub fn members<'n>(&mut self, node: &'n Node, object: &Object) -> Members<'n> {
        let NodeValue::Map(entries) = &node.value else {
            self.wrong_kind(
                node,
                &format!("{} is a map", object.phrase),
                &object.example(),
            );
            return Members {
                entries: Vec::new(),
                place: node.place(),
            };
        };
        let mut members = Members {
            entries: Vec::new(),
            place: node.place(),
        };
        for entry in entries {
            if self.acceptable(entry, object, &members) {
                members.entries.push(entry);
            }
        }
        for field in object.fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|entry| entry.key == field.name) {
                let problem = Problem::new(
                    members.place(),
                    format!("{} needs `{}`", object.phrase, field.name),
                );
                self.report(problem.help(format!("`{}`: {}", field.name, field.about)));
            }
        }
        members
    }

    fn acceptable(&mut self, entry: &Entry, object: &Object, members: &Members<'_>) -> bool {
        let Some(field) = object.field(&entry.key) else {
            self.report(unknown_key(entry, object));
            return false;
        };
        if members.entry(&entry.key).is_some() {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` is written twice", entry.key),
            );
            self.report(problem.label("the second one").help("keep one of the two"));
            return false;
        }
        let empty = matches!(entry.node.value, NodeValue::Null) && !field.kind.allows_null();
        if empty {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` has no value", entry.key),
            );
            self.report(problem.help(format!("`{}`: {}", field.name, field.about)));
        }
        !empty
    }

    /// The items of a list; an empty one is reported.
    pub fn items<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> &'n [Node] {
        match &node.value {
            NodeValue::List(items) if !items.is_empty() => items,
            NodeValue::List(_) => {
                let problem = Problem::new(node.span.clone(), format!("`{what}` is empty"));
                self.report(problem.help(format!("write at least one, like `{example}`")));
                &[]
            }
            _ => {
                self.wrong_kind(
                    node,
                    &format!("`{what}` is a list"),
                    &format!("- {example}"),
                );
                &[]
            }
        }
    }

    pub fn wrong_kind(&mut self, node: &Node, wanted: &str, example: &str) {
        let problem = Problem::new(
            node.place(),
            format!("{wanted}, but this is {}", node.kind()),
        );
        self.report(problem.help(format!("write it like `{example}`")));
    }

    /// Any scalar as text, with `${NAME}` replaced.
    pub fn text(&mut self, node: &Node) -> Option<Text> {
        self.scalar(node, Place::Shown)
    }

    /// The same for what goes to the target, or is compared with its answer: a secret may stand in
    /// it.
    pub fn sent(&mut self, node: &Node) -> Option<Text> {
        self.scalar(node, Place::Sent)
    }

    fn scalar(&mut self, node: &Node, place: Place) -> Option<Text> {
        let raw = match &node.value {
            NodeValue::Text(text) => text.clone(),
            NodeValue::Number(number) => self.as_in_file(node, number),
            NodeValue::Bool(value) => self.as_in_file(node, value),
            NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => {
                let problem = Problem::new(
                    node.place(),
                    format!("this should be text, but is {}", node.kind()),
                );
                self.report(problem);
                return None;
            }
        };
        let begin = self.begin_of(node, &raw);
        let value = self.expand(&raw, node, begin, place)?;
        let begin = begin.filter(|_| value == raw);
        Some(Text {
            value,
            span: node.span.clone(),
            written: raw,
            begin,
        })
    }

    /// `1.10` must not become `1.1` when it is a name or a header; an alias has no text of its own.
    fn as_in_file(&self, node: &Node, value: &impl Display) -> String {
        match self.source.get(node.span.clone()) {
            Some(slice) if !slice.is_empty() && !slice.starts_with(['*', '!', '&']) => {
                slice.trim().to_owned()
            }
            _ => value.to_string(),
        }
    }

    fn begin_of(&self, node: &Node, raw: &str) -> Option<usize> {
        let slice = self.source.get(node.span.clone())?;
        let quoted = slice.starts_with(['"', '\'']);
        let inner = if quoted {
            slice.get(1..slice.len().checked_sub(1)?)?
        } else {
            slice
        };
        (inner == raw).then_some(node.span.start + usize::from(quoted))
    }

    /// Replaces `${NAME}` by the variable's value and `$${` by `${`.
    fn expand(
        &mut self,
        raw: &str,
        node: &Node,
        begin: Option<usize>,
        place: Place,
    ) -> Option<String> {
        let mut value = String::new();
        let mut rest = raw;
        let mut whole = true;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                value.push_str(&rest[..at - 1]);
                value.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            value.push_str(&rest[..at]);
            let from = raw.len() - rest.len() + at;
            let end = rest[at..]
                .find('}')
                .map_or(rest.len(), |close| at + close + 1);
            let written = &rest[at..end];
            let span = begin.map_or_else(
                || node.span.clone(),
                |begin| begin + from..begin + from + written.len(),
            );
            match self.reference(written, span, place) {
                Some(held) => value.push_str(&held),
                None => whole = false,
            }
            rest = &rest[end..];
        }
        value.push_str(rest);
        whole.then_some(value)
    }

    fn reference(&mut self, written: &str, span: Range<usize>, place: Place) -> Option<String> {
        let Some(reference) = Reference::read(written) else {
            let problem = Problem::new(span, format!("`{written}` does not name a variable"));
            let help = "write `${NAME}` or `${secret:NAME}` with letters, digits and `_`, or `$${` for a literal `${`";
            self.report(problem.help(help));
            return None;
        };
        if let Some(entry) = own_access(reference.name()) {
            self.refuse_own_access(&reference, entry, span);
            return None;
        }
        match (reference, place) {
            (Reference::Variable(name), _) => self.variable(name, span),
            (Reference::Secret(name), Place::Sent) => self.secret(name, span),
            (Reference::Secret(name), Place::Shown) => {
                let problem = Problem::new(span, "a secret cannot stand here")
                    .label("this is shown, or decides");
                let places = "headers, `auth`, paths, bodies, and what checks compare with";
                self.report(problem.help(format!(
                    "secrets go into {places}; write `${{{name}}}` if it is none"
                )));
                None
            }
        }
    }

    fn refuse_own_access(&mut self, reference: &Reference<'_>, entry: &str, span: Range<usize>) {
        let name = reference.name();
        let message = format!("`{name}` is this machine's own access, and not for a target");
        let other = match reference {
            Reference::Variable(_) => "${SHOP_TOKEN}",
            Reference::Secret(_) => "${secret:SHOP_TOKEN}",
        };
        let help = format!("if you mean it: export SHOP_TOKEN=\"${name}\", and write `{other}`");
        self.report(
            Problem::new(span, message)
                .label(format!("`{entry}` is not read"))
                .help(help),
        );
    }

    fn variable(&mut self, name: &str, span: Range<usize>) -> Option<String> {
        let Some(value) = self.substitutions.environment.get(name) else {
            self.report_unset(name, span);
            return None;
        };
        self.used.insert(name.to_owned(), value.clone());
        self.read.push((name.to_owned(), span));
        Some(value.clone())
    }

    fn report_unset(&mut self, name: &str, span: Range<usize>) {
        let problem = Problem::new(span, format!("the environment has no `{name}`"));
        self.report(
            problem
                .label("needed here")
                .help(format!("export {name}=...")),
        );
    }

    /// A secret as a template means it: braces in it are no template.
    fn secret(&mut self, name: &str, span: Range<usize>) -> Option<String> {
        let Some(value) = self.substitutions.secrets.get(name) else {
            self.report_unset(name, span);
            return None;
        };
        if value.len() < SHORTEST {
            let problem = Problem::new(
                span,
                format!("the secret `{name}` is shorter than {SHORTEST} bytes"),
            );
            let help = "texts hold so few bytes by chance, so it cannot be kept out of reports: take a longer one";
            self.report(problem.label("cannot be kept secret").help(help));
            return None;
        }
        self.secrets.insert(name, value);
        self.secrets_read.push((name.to_owned(), span));
        Some(value.replace("{{", "{{ \"{{\" }}"))
    }

    /// A value that also stands in the file, in `--url` or in a variable would travel with the
    /// plan.
    pub fn report_secrets_in_the_clear(&mut self) {
        let url = self.substitutions.url.as_deref().unwrap_or_default();
        let mut found = Vec::new();
        for (name, span) in &self.secrets_read {
            let Some(value) = self.secrets.get(name) else {
                continue;
            };
            let here = |message: String| Problem::new(span.clone(), message);
            if self.source.contains(value) {
                let problem = here(format!(
                    "the value of the secret `{name}` also stands in this file as it is"
                ));
                found.push(problem.help(format!(
                    "write `${{secret:{name}}}` there too, or take another value"
                )));
            }
            if url.contains(value) {
                let problem = here(format!(
                    "the value of the secret `{name}` also stands in `--url`"
                ));
                found.push(
                    problem.help("a URL is shown in every report: leave the secret out of it"),
                );
            }
            for (other, place) in &self.read {
                if self
                    .used
                    .get(other)
                    .is_some_and(|held| held.contains(value))
                {
                    let message = format!("`{other}` holds the value of the secret `{name}`");
                    let help =
                        format!("write `${{secret:{other}}}` here too, or `${{secret:{name}}}`");
                    found.push(Problem::new(place.clone(), message).help(help));
                }
            }
        }
        for problem in found {
            if !self.problems.contains(&problem) {
                self.report(problem);
            }
        }
    }

    /// Letters, digits, `.`, `_` and `-`: usable in file names, resource names and thresholds
    /// alike.
    pub fn name(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if super::is_name(&text.value) {
            return Some(text.value);
        }
        let message = text.said(format!("`{}` is not a name", text.value), "a name");
        let problem = Problem::new(text.span.clone(), message);
        self.report(problem.help("use 1 to 64 letters, digits, `.`, `_` or `-`"));
        None
    }

    pub fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        match checked_duration(&text.value) {
            Ok(duration) => Some(duration),
            Err(message) => {
                let message = text.said(message, "a duration");
                self.report(
                    Problem::new(text.span.clone(), message)
                        .help("a duration is written like `30s`, `2m` or `1m30s`"),
                );
                None
            }
        }
    }

    /// A duration in which something must be able to happen.
    pub fn positive_duration(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration.is_zero() {
            self.report(
                Problem::new(node.span.clone(), "this must be longer than nothing")
                    .help("like `30s`"),
            );
            return None;
        }
        Some(duration)
    }

    /// A number, also when it comes from `${NAME}`.
    pub fn number<N: FromStr>(&mut self, node: &Node, wanted: &str, example: &str) -> Option<N> {
        let text = self.text(node)?;
        let number = text.value.trim().parse().ok();
        if number.is_none() {
            let message = text.said(format!("`{}` is not {wanted}", text.value), wanted);
            self.report(
                Problem::new(text.span.clone(), message).help(format!("write it like `{example}`")),
            );
        }
        number
    }

    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.number(node, "true or false", "true")
    }

    /// Header names and values, in the order written.
    pub fn headers(
        &mut self,
        node: Option<&Node>,
        known: &TemplateScope<'_>,
    ) -> Vec<(String, Template)> {
        let Some(node) = node else { return Vec::new() };
        let NodeValue::Map(entries) = &node.value else {
            self.wrong_kind(
                node,
                "`headers` is a map",
                "headers: { accept: application/json }",
            );
            return Vec::new();
        };
        let mut headers: Vec<(String, Template)> = Vec::new();
        for entry in entries {
            if headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(&entry.key))
            {
                let problem = Problem::new(
                    entry.key_span.clone(),
                    format!("the header `{}` is written twice", entry.key),
                );
                self.report(problem.help("header names do not differ by case: keep one"));
            } else if let Some(value) = self.header(entry, known) {
                headers.push((entry.key.to_ascii_lowercase(), value));
            }
        }
        headers
    }

    fn header(&mut self, entry: &Entry, known: &TemplateScope<'_>) -> Option<Template> {
        self.header_name(&entry.key, entry.key_span.clone());
        let value = self.sent(&entry.node)?;
        if value
            .value
            .chars()
            .any(|c| c != '\t' && !(' '..='~').contains(&c))
        {
            let problem = Problem::new(
                value.span.clone(),
                format!(
                    "the header `{}` holds a character that no header may",
                    entry.key
                ),
            );
            self.report(problem.help("use visible ASCII characters on one line"));
            return None;
        }
        body::compile(self, &value, Escape::Header, known, &|part| {
            part.as_bytes().to_vec()
        })
    }

    fn header_name(&mut self, name: &str, span: Range<usize>) {
        const OURS: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];
        if !is_header_name(name) {
            let problem = Problem::new(span, format!("`{name}` is not a header name"));
            self.report(problem.help("like `accept` or `x-api-key`, without a colon inside"));
        } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            let problem = Problem::new(span, format!("`{name}` is set by spikeproof"));
            self.report(problem.help("leave it out: it follows from the target and the body"));
        }
    }
}

/// Reads a duration of at most a day.
pub fn checked_duration(text: &str) -> Result<Duration, String> {
    let duration = units::parse_duration(text)?;
    if duration > LONGEST {
        Err(format!("`{text}` is longer than a day"))
    } else {
        Ok(duration)
    }
}

/// A token of RFC 9110.
pub fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn unknown_key(entry: &Entry, object: &Object) -> Problem {
    let problem = Problem::new(
        entry.key_span.clone(),
        format!("{} has no `{}`", object.phrase, entry.key),
    );
    let known: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
    match closest(&entry.key, known.iter().copied()) {
        Some(name) => problem
            .label("unknown key")
            .help(format!("did you mean `{name}`?")),
        None => problem
            .label("unknown key")
            .help(format!("it can have `{}`", known.join("`, `"))),
    }
}

/// The known name that was probably meant.
pub fn closest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |name: &str| {
        strsim::jaro_winkler(&written.to_ascii_lowercase(), &name.to_ascii_lowercase())
    };
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fields::{PHASE, SCENARIO, STEP};

    #[test]
    fn only_likely_names_are_suggested() {
        for (written, object, meant) in [
            ("phase", &SCENARIO, Some("phases")),
            ("treshold", &SCENARIO, Some("thresholds")),
            ("Budget", &SCENARIO, Some("budget")),
            ("user", &PHASE, Some("users")),
            ("duration", &PHASE, None),
            ("extract", &STEP, None),
            ("cookies", &SCENARIO, None),
        ] {
            let known = object.fields.iter().map(|field| field.name);
            assert_eq!(closest(written, known), meant, "{written}");
        }
    }
}
