//! YAML as a tree in which every key and value knows its place.
//!
//! The only file that knows the YAML library. Nothing is interpreted here, and repeated keys are
//! kept: the readers report them together with everything else that is wrong.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error as Unread, Location, NonFiniteFloatPolicy, Spanned};

use super::Problem;
use crate::json;

/// A value and the bytes of the text it was written in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: NodeValue,
    pub span: Range<usize>,
    /// The place of what an alias stands for; else `span`.
    defined: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeValue {
    Null,
    Bool(bool),
    /// A number of JSON, as written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

/// Most lists and objects in each other: twice as many need more stack than a thread has.
const DEEPEST: usize = 32;

/// Reads one YAML document; what is not YAML at all is a single problem, because nothing can be
/// read behind it.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let mut root = serde_saphyr::from_str_with_options::<Node>(text, options)
        .map_err(|error| syntax_problem(text, &error))?;
    root.keep_digits(text);
    Ok(root)
}

/// Returns a number as the file writes it. One that JSON cannot write, such as `007`, `+49301234`
/// or `1_000`, is text: its digits would be others as a number. `read` is what YAML takes it for.
fn as_written(written: &str, read: String) -> NodeValue {
    let unsigned = written.strip_prefix(['+', '-']).unwrap_or(written);
    let other_radix = ["0x", "0o", "0b"]
        .iter()
        .any(|prefix| unsigned.starts_with(prefix));
    let bare_point = written.ends_with('.') || unsigned.starts_with('.');
    if json::is_number(written) {
        NodeValue::Number(written.to_owned())
    } else if (other_radix || bare_point) && json::is_number(&read) {
        NodeValue::Number(read)
    } else {
        NodeValue::Text(written.to_owned())
    }
}

fn syntax_problem(text: &str, error: &Unread) -> Problem {
    let span = error
        .location()
        .map_or(0..0, |location| syntax_span(text, &location));
    let (reason, help) = match cause(error) {
        Unread::MultipleDocuments { .. } => (
            "a second document begins before this".to_owned(),
            "keep one scenario in a file, without `---` after it",
        ),
        Unread::RecursiveReferencesRequireWeakTypes { .. } => (
            "this alias stands inside the value that it names".to_owned(),
            "write what you mean in its place",
        ),
        Unread::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => (
            "this nests deeper than a scenario may".to_owned(),
            "nest less deep: at most 32 lists and maps in each other",
        ),
        Unread::Budget { .. } => (
            "with its aliases written out, this is more than a scenario may hold".to_owned(),
            "use fewer aliases, or shorter values",
        ),
        _ => (said_of(error.without_snippet()), help_of(text)),
    };
    Problem::new(span, "this cannot be read as YAML")
        .label(reason)
        .help(help)
}

/// Returns the error itself, without the aliases on the way to it.
fn cause(error: &Unread) -> &Unread {
    let mut found = error.without_snippet();
    while let Unread::AliasError { error, .. } = found {
        found = error.without_snippet();
    }
    found
}

/// Returns what the parser says of a syntax error. The place is shown by the caret.
fn said_of(error: &Unread) -> String {
    let said = error.to_string();
    let reason = said.lines().next().unwrap_or_default();
    let reason = reason
        .rsplit_once(" at line ")
        .map_or(reason, |(reason, _)| reason);
    reason.trim_start_matches("error: ").to_owned()
}

fn help_of(text: &str) -> &'static str {
    let tab = text
        .lines()
        .any(|line| line.trim_start_matches(' ').starts_with('\t'));
    if tab {
        "indent with spaces: YAML does not allow tabs"
    } else {
        "look at the indentation, and put quotes around text that contains `: `, ` #`, `{` or `[`"
    }
}

/// Returns the place of a syntax error. It has a line and a column, but not always bytes.
fn syntax_span(text: &str, location: &Location) -> Range<usize> {
    if location.span().byte_offset().is_some() {
        return span_of(location);
    }
    let line = usize::try_from(location.line())
        .unwrap_or_default()
        .saturating_sub(1);
    let column = usize::try_from(location.column())
        .unwrap_or_default()
        .saturating_sub(1);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let inside = text
        .get(before..)
        .unwrap_or_default()
        .chars()
        .take(column)
        .map(char::len_utf8)
        .sum::<usize>();
    before + inside..before + inside + 1
}

fn span_of(location: &Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().unwrap_or_default();
    let end = start.saturating_add(span.byte_len().unwrap_or_default());
    usize::try_from(start).unwrap_or_default()..usize::try_from(end).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<NodeValue>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            span: span_of(&spanned.referenced),
            defined: span_of(&spanned.defined),
        })
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = NodeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_none<E>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeValue, D::Error> {
        NodeValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<NodeValue, E> {
        Ok(NodeValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<NodeValue, E> {
        Ok(NodeValue::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<NodeValue, E> {
        Ok(NodeValue::Number(value.to_string()))
    }

    // `.inf` and `.nan` have no place in a scenario or in JSON: they become text, which is refused
    // where a number is wanted.
    fn visit_f64<E>(self, value: f64) -> Result<NodeValue, E> {
        Ok(NodeValue::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NodeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(NodeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<NodeValue, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = pairs.next_key::<Node>()? {
            let key_span = key.span.clone();
            let key = key_text(key).ok_or_else(|| A::Error::custom("a key must be a word"))?;
            map.push(Entry {
                key,
                key_span,
                node: pairs.next_value()?,
            });
        }
        Ok(NodeValue::Map(map))
    }
}

fn key_text(key: Node) -> Option<String> {
    match key.value {
        NodeValue::Text(text) => Some(text),
        NodeValue::Number(number) => Some(number),
        NodeValue::Bool(value) => Some(value.to_string()),
        NodeValue::Null => Some("null".to_owned()),
        NodeValue::List(_) | NodeValue::Map(_) => None,
    }
}

impl Node {
    /// Returns a text that is no value of the file itself, at a place of it.
    pub(super) fn text(text: String, span: Range<usize>) -> Self {
        Self {
            value: NodeValue::Text(text),
            defined: span.clone(),
            span,
        }
    }

    /// Replaces every number by the digits in the file: as a number it may have lost some.
    fn keep_digits(&mut self, source: &str) {
        match &mut self.value {
            NodeValue::Number(read) => {
                // A tag or an anchor may stand before the number.
                let slice = source.get(self.defined.clone()).unwrap_or_default();
                let written = slice.split_whitespace().next_back().unwrap_or_default();
                if written.contains(|c: char| c.is_ascii_digit())
                    || written.starts_with(['.', '-', '+'])
                {
                    self.value = as_written(written, std::mem::take(read));
                }
            }
            NodeValue::List(items) => items.iter_mut().for_each(|item| item.keep_digits(source)),
            NodeValue::Map(entries) => entries
                .iter_mut()
                .for_each(|entry| entry.node.keep_digits(source)),
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Text(_) => {}
        }
    }

    /// True for a text, a number or a truth value.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(
            self.value,
            NodeValue::Text(_) | NodeValue::Number(_) | NodeValue::Bool(_)
        )
    }

    /// Returns the name of this kind of value, for a problem that wanted another kind.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "true or false",
            NodeValue::Number(_) => "a number",
            NodeValue::Text(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a map",
        }
    }

    /// Returns the range that a caret should mark. A map or list is marked at its beginning, not on
    /// all its lines.
    pub(super) fn place(&self) -> Range<usize> {
        match &self.value {
            NodeValue::Map(entries) => entries
                .first()
                .map_or_else(|| self.span.clone(), |entry| entry.key_span.clone()),
            NodeValue::List(items) => items.first().map_or_else(|| self.span.clone(), Node::place),
            _ => self.span.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice<'a>(text: &'a str, span: &Range<usize>) -> &'a str {
        &text[span.clone()]
    }

    #[test]
    fn keys_and_values_know_their_bytes() {
        let text = "# ümlaut\nname: hello\nlist:\n  - { a: \"b c\", n: 200 }\nname: again\n";
        let node = parse(text).unwrap();
        let NodeValue::Map(entries) = &node.value else {
            panic!("{node:?}")
        };
        let keys: Vec<&str> = entries
            .iter()
            .map(|entry| slice(text, &entry.key_span))
            .collect();
        assert_eq!(keys, ["name", "list", "name"], "repeated keys are kept");
        assert_eq!(slice(text, &entries[0].node.span), "hello");
        let NodeValue::List(items) = &entries[1].node.value else {
            panic!("{entries:?}")
        };
        let NodeValue::Map(inner) = &items[0].value else {
            panic!("{items:?}")
        };
        assert_eq!(slice(text, &inner[0].node.span), "\"b c\"");
        assert_eq!(slice(text, &inner[1].node.span), "200");
        assert_eq!(inner[1].node.value, NodeValue::Number("200".to_owned()));
    }

    #[test]
    fn numbers_keep_the_digits_of_the_file() {
        let number = |text: &str| NodeValue::Number(text.to_owned());
        let text = |text: &str| NodeValue::Text(text.to_owned());
        for (written, value) in [
            ("9007199254740993", number("9007199254740993")),
            (
                "123456789012345678901234567890",
                number("123456789012345678901234567890"),
            ),
            ("0.10", number("0.10")),
            ("1e3", number("1e3")),
            ("1e999", number("1e999")),
            ("-0", number("-0")),
            ("&a 1.10", number("1.10")),
            ("0x1F", number("31")),
            (".5", number("0.5")),
            ("007", text("007")),
            ("-007", text("-007")),
            ("+4930123456", text("+4930123456")),
            ("1_000", text("1_000")),
            (".inf", text(".inf")),
            ("\"5\"", text("5")),
        ] {
            let node = parse(&format!("[{written}]")).unwrap();
            let NodeValue::List(items) = node.value else {
                panic!("{written}")
            };
            assert_eq!(items[0].value, value, "{written}");
        }
        let node = parse("[&a 1.10, *a]").unwrap();
        let NodeValue::List(items) = node.value else {
            panic!("a list")
        };
        assert_eq!(items[1].value, number("1.10"));
    }

    #[test]
    fn what_is_not_yaml_is_a_problem_with_a_place() {
        for text in [
            "a: b: c",
            "a: [1",
            "a:\n\tb: 1",
            "{",
            "a: *nowhere",
            &"[".repeat(10_000),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.message, "this cannot be read as YAML", "{text}");
        }
        let text = "näme: x\nphases: [1\nflows: }\n";
        assert_eq!(&text[parse(text).unwrap_err().span], ":");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let many = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{many}]\n"));
        }
        let label = parse(&text).unwrap_err().label;
        assert_eq!(
            label,
            "with its aliases written out, this is more than a scenario may hold"
        );
    }

    #[test]
    fn a_tree_that_is_too_deep_is_told_as_one() {
        // The map around it is one level more.
        let nested = |lists| format!("a: {}1{}\n", "[".repeat(lists), "]".repeat(lists));
        assert!(parse(&nested(DEEPEST - 1)).is_ok());
        let label = parse(&nested(DEEPEST)).unwrap_err().label;
        assert_eq!(label, "this nests deeper than a scenario may");
    }

    #[test]
    fn faults_are_told_in_words_of_a_scenario() {
        for (text, label) in [
            ("a: 1\n---\na: 2\n", "a second document begins before this"),
            (
                "a: &a [*a]\n",
                "this alias stands inside the value that it names",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().label, label, "{text}");
        }
    }
}
