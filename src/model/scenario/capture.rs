//! Values taken out of an answer, for later steps.

use scraper::selector::ToCss as _;

use super::check::text_of_pattern;
use super::fields::CAPTURE;
use super::node::{Entry, Node, NodeValue};
use super::reader::{Members, Reader, Text, is_header_name};
use super::{Problem, data::choice};

/// A value that a response hands to later steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The name that templates use.
    pub name: String,
    /// The place in the response.
    pub from: From,
    /// The choice among several values; `pick` in the file.
    pub pick: Occurrence,
    /// Instead of failing the step when there is nothing to capture.
    pub default: Option<String>,
}

/// The source of a captured value. Each expression has been compiled once, so compiling it again
/// cannot fail.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// RFC 9535.
    Json(String),
    /// A header of the response, by name.
    Header(String),
    /// The first group, or the whole match where there is none.
    Regex(String),
    /// A cookie that the session has, by name.
    Cookie(String),
    /// The element's text, or one of its attributes.
    Css {
        /// A CSS selector on the body.
        selector: String,
        /// The attribute to take; `None` takes the text.
        attribute: Option<String>,
    },
}

/// Which, where several are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// `first` in the file.
    First,
    /// `last` in the file.
    Last,
    /// `random` in the file, and the default: a new choice at each response.
    Random,
}

impl Capture {
    /// True if the value comes from the body.
    pub fn needs_body(&self) -> bool {
        !matches!(self.from, From::Header(_) | From::Cookie(_))
    }
}

/// Reads `capture: { product: "$.items[*].id", token: { header: x-token } }`.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>) -> Vec<Capture> {
    let Some(node) = node else { return Vec::new() };
    let NodeValue::Map(entries) = &node.value else {
        reader.wrong_kind(
            node,
            "`capture` is a map of names",
            "capture: { product: \"$.items[0].id\" }",
        );
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| capture(reader, entry))
        .collect()
}

fn capture(reader: &mut Reader<'_>, entry: &Entry) -> Option<Capture> {
    let name = entry.key.clone();
    check_name(reader, entry);
    if !matches!(entry.node.value, NodeValue::Map(_)) {
        let from = json_path(reader, &entry.node)?;
        return Some(Capture {
            name,
            from: From::Json(from),
            pick: Occurrence::Random,
            default: None,
        });
    }
    let members = reader.members(&entry.node, &CAPTURE);
    let default = members
        .get("default")
        .and_then(|node| reader.text(node))
        .map(|text| text.value);
    let words = [
        ("first", Occurrence::First),
        ("last", Occurrence::Last),
        ("random", Occurrence::Random),
    ];
    let pick = members
        .get("pick")
        .and_then(|node| choice(reader, node, "a pick", &words))
        .unwrap_or(Occurrence::Random);
    Some(Capture {
        name,
        from: source(reader, &members)?,
        pick,
        default,
    })
}

fn check_name(reader: &mut Reader<'_>, entry: &Entry) {
    let name = &entry.key;
    let fits = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !fits {
        let problem = Problem::new(
            entry.key_span.clone(),
            format!("`{name}` cannot name a value"),
        );
        reader.report(problem.help("use letters, digits and `_`: templates say `{{ NAME }}`"));
    }
}

/// Reads the source of the value; exactly one must be given.
fn source(reader: &mut Reader<'_>, members: &Members<'_>) -> Option<From> {
    let kinds = ["json", "header", "regex", "cookie", "css"];
    let mut found: Vec<&Entry> = kinds
        .iter()
        .filter_map(|kind| members.entry(kind))
        .collect();
    found.sort_by_key(|entry| entry.key_span.start);
    if let Some(second) = found.get(1) {
        reader.report(
            Problem::new(
                second.key_span.clone(),
                "a value is captured from one place",
            )
            .help("keep one of the two"),
        );
    }
    let Some(source) = found.first() else {
        let problem = Problem::new(members.place(), "a capture needs a place to look at");
        reader.report(problem.help(
            "one of `json`, `header`, `regex`, `cookie` and `css`, like `{ header: x-token }`",
        ));
        return None;
    };
    if let (Some(attribute), false) = (members.entry("attribute"), source.key == "css") {
        reader.report(
            Problem::new(
                attribute.key_span.clone(),
                "only elements found by `css` have attributes",
            )
            .help("leave it out"),
        );
    }
    Some(match source.key.as_str() {
        "json" => From::Json(json_path(reader, &source.node)?),
        "header" => From::Header(header(reader, &source.node)?),
        "regex" => From::Regex(text_of_pattern(reader, &source.node)?),
        "cookie" => From::Cookie(reader.text(&source.node)?.value),
        _ => From::Css {
            selector: selector(reader, &source.node)?,
            attribute: members
                .get("attribute")
                .and_then(|node| reader.text(node))
                .map(|text| text.value),
        },
    })
}

pub(super) fn header(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if !is_header_name(&text.value) {
        reader.report(text.refuse(
            "a header name",
            format!("`{}` is not a header name", text.value),
            "like `x-token`",
        ));
    }
    Some(text.value.to_ascii_lowercase())
}

/// Readers of paths, selectors and templates call themselves for each level: beyond this it is no
/// scenario any more.
pub(super) const DEEPEST: usize = 32;

/// True if brackets or parentheses nest deeper than [`DEEPEST`].
pub(super) fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut deepest) = (0usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > DEEPEST
}

fn is_shallow(reader: &mut Reader<'_>, text: &Text, what: &str, like: &str) -> bool {
    let deep = is_too_deep(&text.value);
    if deep {
        reader.report(text.refuse(
            what,
            format!("this nests deeper than {DEEPEST} levels"),
            like,
        ));
    }
    !deep
}

pub(super) fn json_path(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let like = "like `$.items[0].id` or `$.items[*].id`";
    if !is_shallow(reader, &text, "a JSONPath", like) {
        return None;
    }
    match serde_json_path::JsonPath::parse(&text.value) {
        Ok(_) if filters_by_the_whole_body(&text.value) => {
            reader.report(text.refuse(
                "a JSONPath",
                "this filter looks through the whole body once for each item",
                "compare with one value, like `$.items[?@.id == $.wanted]`",
            ));
            None
        }
        Ok(_) if descends_again(&text.value) => {
            reader.report(text.refuse(
                "a JSONPath",
                "this looks through all levels below, and again at each of them",
                "in a filter, one `..` is enough, like `$..[?@..id]`",
            ));
            None
        }
        Ok(_) => Some(text.value),
        Err(error) => {
            let start = error.position().min(text.value.len());
            let mut problem = text.refuse(
                "a JSONPath",
                format!("this is not a JSONPath: {}", error.message()),
                like,
            );
            problem.span = text.part(start..text.value.len());
            reader.report(problem);
            None
        }
    }
}

/// True if a filter of the path asks the root for several values, such as `[?$..x]`: its cost grows
/// with the square of the body.
fn filters_by_the_whole_body(path: &str) -> bool {
    let (mut depth, mut quote) = (0usize, None);
    let mut characters = path.char_indices();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '$') if depth > 0 => {
                let query = &path[at..];
                let end = query.find([' ', ')', '=', '!', '<', '>', '&', '|']);
                let query = &query[..end.unwrap_or(query.len())];
                if query.contains("..") || query.contains(['*', '?', ':']) {
                    return true;
                }
            }
            (None, _) => {}
        }
    }
    false
}

/// True if a query in a filter descends (`..`) more than once, itself or in its own filters: its cost
/// grows with a power of the body's depth. A path that compares with the root is asked as a whole, so
/// it may not descend twice either.
fn descends_again(path: &str) -> bool {
    // By depth of brackets: the query at hand has descended.
    let (mut descended, mut quote) = (vec![false], None);
    let (mut compares, mut descents) = (false, 0);
    let mut characters = path.chars().peekable();
    while let Some(c) = characters.next() {
        let depth = descended.len() - 1;
        match (quote, c) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => descended.push(false),
            (None, ']') if depth > 0 => drop(descended.pop()),
            (None, '@' | '$') if depth > 0 => {
                compares |= c == '$';
                descended[depth] = false;
            }
            (None, '.') if characters.next_if_eq(&'.').is_some() => {
                if descended[1..].contains(&true) {
                    return true;
                }
                descents += usize::from(depth == 0);
                descended[depth] = true;
            }
            (None, _) => {}
        }
    }
    compares && descents > 1
}

/// Returns the part of a valid selector that looks through a whole page, or through all siblings,
/// once for each element: `:has()`, and `~` in parentheses.
fn looks_again(selector: &str) -> Option<&'static str> {
    let (mut depth, mut quote) = (0usize, None);
    let mut characters = selector.char_indices();
    while let Some((at, c)) = characters.next() {
        let rest = &selector.as_bytes()[at..];
        match (quote, c) {
            (_, '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ':') if rest.len() > 4 && rest[..5].eq_ignore_ascii_case(b":has(") => {
                return Some(":has()");
            }
            (None, '~') if depth > 0 && rest.get(1) != Some(&b'=') => return Some("~"),
            (None, _) => {}
        }
    }
    None
}

fn selector(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let like = "like `input[name=csrf]`";
    if !is_shallow(reader, &text, "a CSS selector", like) {
        return None;
    }
    match scraper::Selector::parse(&text.value) {
        Ok(parsed) => match looks_again(&parsed.to_css_string()) {
            None => Some(text.value),
            Some(part) => {
                let message = format!("`{part}` here looks through the page once for each element");
                let like = "select the element itself, or use `regex`";
                reader.report(text.refuse("a CSS selector", message, like));
                None
            }
        },
        Err(error) => {
            let message = format!("this is not a CSS selector: {error}");
            reader.report(text.refuse("a CSS selector", message, like));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_may_ask_the_root_for_one_value_only() {
        for (path, whole) in [
            ("$..a[*]", false),
            ("$.a[?@.id == $.wanted]", false),
            ("$.a[?@.id == '$..x']", false),
            ("$.a[?@.id == $['w'][0] && @.b]", false),
            ("$.a[?$..x]", true),
            ("$.a[?count($[*]) > 1]", true),
        ] {
            assert_eq!(filters_by_the_whole_body(path), whole, "{path}");
            assert!(serde_json_path::JsonPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_query_in_a_filter_descends_once() {
        for (path, again) in [
            ("$..a..b[*]", false),
            ("$..[?@..id]", false),
            ("$..a[?@..b || @..c]", false),
            ("$[?@.a == 'x..y' && @..b]", false),
            ("$..a[?@.b == $.c]", false),
            ("$[?@['a..b']..c]", false),
            ("$..[?@..[?@..[?@..x]]]", true),
            ("$[?@..[?@..x]]", true),
            ("$[?@..a..b]", true),
            ("$[?count(@..*..*) > 1]", true),
            ("$..a..b[?@.c == $.d]", true),
        ] {
            assert_eq!(descends_again(path), again, "{path}");
            assert!(serde_json_path::JsonPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_selector_looks_through_a_page_once() {
        for (written, part) in [
            ("nav ~ a[href='x:has(y)']", None),
            ("td:not(nav a):nth-child(2n + 1)", None),
            ("a:not([class~=x])", None),
            ("span:has(b)", Some(":has()")),
            ("span:HAS(b)", Some(":has()")),
            (r"span:\68 as(b)", Some(":has()")),
            ("a:not(b ~ c)", Some("~")),
        ] {
            let parsed = scraper::Selector::parse(written).unwrap();
            assert_eq!(looks_again(&parsed.to_css_string()), part, "{written}");
        }
    }
}
