//! Judgements on one response, each with a name.

use std::time::Duration;

use super::body::template;
use super::capture::{header, json_path};
use super::fields::CHECK;
use super::node::{Entry, Node, NodeValue};
use super::reader::{Members, Reader, Text};
use super::template::{Escape, Template, TemplateScope};
use super::{Problem, ThresholdOperator};

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The name as written, or made of the condition; unique within the step.
    pub name: String,
    /// Counts only towards the check rate, not as an error of the step.
    pub soft: bool,
    /// The condition.
    pub what: What,
}

/// The condition of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Sorted codes.
    Status(Vec<u16>),
    /// From the send to the last byte.
    Under(Duration),
    /// The body holds this text.
    Contains(Template),
    /// A regular expression that has been compiled once.
    Matches(String),
    /// The value that this JSONPath finds in the body is the expected one.
    Json(String, Expected),
    /// The header's name, and its value where one is asked for.
    Header(String, Option<Template>),
    /// Bytes of the decoded body.
    Size(ThresholdOperator, u64),
}

/// The value that a JSONPath must find.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Compared as JSON: a text, a truth value or `null`.
    Value(serde_json::Value),
    /// A number, as written: compared by its value, with all its digits.
    Number(String),
    /// Compared as text.
    Text(Template),
}

impl Check {
    /// Returns the template that the response is compared with; `None` if the expected value is
    /// fixed.
    pub fn template(&self) -> Option<&Template> {
        match &self.what {
            What::Contains(text)
            | What::Header(_, Some(text))
            | What::Json(_, Expected::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// True if the condition is about the body.
    pub fn needs_body(&self) -> bool {
        matches!(
            self.what,
            What::Contains(_) | What::Matches(_) | What::Json(..) | What::Size(..)
        )
    }
}

/// Reads one map of checks, or a list of them.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    known: &TemplateScope<'_>,
) -> Vec<Check> {
    let mut checks: Vec<Check> = match node {
        None => Vec::new(),
        Some(Node {
            value: NodeValue::List(items),
            ..
        }) => items
            .iter()
            .flat_map(|item| one(reader, item, known))
            .collect(),
        Some(node) => one(reader, node, known),
    };
    // Two checks of one name could not be told apart in a report.
    for at in 0..checks.len() {
        let same = checks[..at]
            .iter()
            .filter(|check| check.name == checks[at].name)
            .count();
        if same > 0 {
            checks[at].name = format!("{} ({})", checks[at].name, same + 1);
        }
    }
    checks
}

fn one(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Vec<Check> {
    let members = reader.members(node, &CHECK);
    let soft = members
        .get("soft")
        .and_then(|node| reader.boolean(node))
        .unwrap_or(false);
    let name = members
        .get("name")
        .and_then(|node| reader.text(node))
        .map(|text| text.written().to_owned());
    let mut found: Vec<(String, What)> = Vec::new();
    if let Some(node) = members.get("status") {
        let codes = statuses(reader, node);
        found.push((format!("status {}", written(node)), What::Status(codes)));
    }
    if let Some(limit) = members
        .get("under")
        .and_then(|node| reader.positive_duration(node))
    {
        found.push((
            format!("under {}", crate::units::duration(limit)),
            What::Under(limit),
        ));
    }
    found.extend(bodies(reader, &members, known));
    if let Some(node) = members.get("json") {
        found.extend(json(reader, node, known));
    }
    if let Some(node) = members.get("header") {
        found.extend(headers(reader, node, known));
    }
    if let Some((text, comparison, limit)) = members.get("size").and_then(|node| size(reader, node))
    {
        found.push((
            format!("size {}", text.written()),
            What::Size(comparison, limit),
        ));
    }
    if found.is_empty()
        && matches!(&node.value, NodeValue::Map(entries) if entries.iter().all(|entry| ["soft", "name"].contains(&entry.key.as_str())))
    {
        reader.report(
            Problem::new(members.place(), "this check asks for nothing")
                .help("like `status: 200` or `contains: \"in stock\"`"),
        );
    }
    let several = found.len() > 1;
    let called = |own: String| match &name {
        Some(name) if several => format!("{name}: {own}"),
        Some(name) => name.clone(),
        None => own,
    };
    found
        .into_iter()
        .map(|(own, what)| Check {
            name: called(own),
            soft,
            what,
        })
        .collect()
}

fn bodies(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    known: &TemplateScope<'_>,
) -> Vec<(String, What)> {
    let mut found = Vec::new();
    for node in several(members.get("contains")) {
        if let Some(content) = template(reader, node, Escape::Raw, known) {
            found.push((
                format!("body contains `{}`", written(node)),
                What::Contains(content),
            ));
        }
    }
    for node in several(members.get("matches")) {
        if let Some(pattern) = text_of_pattern(reader, node) {
            found.push((
                format!("body matches `{}`", written(node)),
                What::Matches(pattern),
            ));
        }
    }
    found
}

/// Returns the nodes of one value, or of a list of values.
pub(super) fn several(node: Option<&Node>) -> Vec<&Node> {
    match node {
        None => Vec::new(),
        Some(Node {
            value: NodeValue::List(items),
            ..
        }) => items.iter().collect(),
        Some(node) => vec![node],
    }
}

/// Returns the value as it stands in the file, for a name; never a variable's value.
fn written(node: &Node) -> String {
    match &node.value {
        NodeValue::Text(text) => text.chars().take(60).collect(),
        NodeValue::Number(number) => number.clone(),
        NodeValue::Bool(value) => value.to_string(),
        NodeValue::Null => "null".to_owned(),
        NodeValue::List(items) => items.iter().map(written).collect::<Vec<_>>().join(", "),
        NodeValue::Map(_) => "...".to_owned(),
    }
}

/// Reads a regular expression; it is compiled to see if it is valid.
pub(super) fn text_of_pattern(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    match regex::Regex::new(&text.value) {
        Ok(_) => Some(text.value),
        Err(error) => {
            let said = error.to_string();
            let reason = said
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            reader.report(text.refuse(
                "a regular expression",
                format!("this is not a regular expression: {reason}"),
                "like `id=([0-9]+)`; write `\\\\` for a backslash inside double quotes",
            ));
            None
        }
    }
}

fn json(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Vec<(String, What)> {
    let NodeValue::Map(entries) = &node.value else {
        reader.wrong_kind(
            node,
            "`json` is a map of paths",
            "json: { \"$.status\": open }",
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let key = Node::text(entry.key.clone(), entry.key_span.clone());
        let Some(path) = json_path(reader, &key) else {
            continue;
        };
        let Some(expected) = expected(reader, entry, known) else {
            continue;
        };
        found.push((
            format!("{} = {}", entry.key, written(&entry.node)),
            What::Json(path, expected),
        ));
    }
    found
}

fn expected(reader: &mut Reader<'_>, entry: &Entry, known: &TemplateScope<'_>) -> Option<Expected> {
    let value = match &entry.node.value {
        NodeValue::Null => serde_json::Value::Null,
        NodeValue::Bool(value) => (*value).into(),
        NodeValue::Number(number) => return Some(Expected::Number(number.clone())),
        NodeValue::Text(_) => {
            let text = template(reader, &entry.node, Escape::Raw, known)?;
            return Some(match text.constant().map(<[u8]>::to_vec) {
                Some(constant) => {
                    Expected::Value(String::from_utf8_lossy(&constant).into_owned().into())
                }
                None => Expected::Text(text),
            });
        }
        NodeValue::List(_) | NodeValue::Map(_) => {
            reader.wrong_kind(
                &entry.node,
                "a path is compared with one value",
                "\"$.items[0].id\": 7",
            );
            return None;
        }
    };
    Some(Expected::Value(value))
}

fn headers(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Vec<(String, What)> {
    let NodeValue::Map(entries) = &node.value else {
        let Some(name) = header(reader, node) else {
            return Vec::new();
        };
        return vec![(format!("header {name}"), What::Header(name, None))];
    };
    let mut found = Vec::new();
    for entry in entries {
        let key = Node::text(entry.key.clone(), entry.key_span.clone());
        let Some(name) = header(reader, &key) else {
            continue;
        };
        let Some(value) = template(reader, &entry.node, Escape::Raw, known) else {
            continue;
        };
        found.push((
            format!("header {name} = {}", written(&entry.node)),
            What::Header(name, Some(value)),
        ));
    }
    found
}

fn size(reader: &mut Reader<'_>, node: &Node) -> Option<(Text, ThresholdOperator, u64)> {
    let text = reader.text(node)?;
    let read = parse_size(&text.value);
    if read.is_none() {
        let message = format!("`{}` is not a bound for a size", text.value);
        reader.report(text.refuse(
            "a bound for a size",
            message,
            "write it like `< 100KB`, `> 0B` or `>= 1MB`",
        ));
    }
    read.map(|(comparison, limit)| (text, comparison, limit))
}

fn parse_size(text: &str) -> Option<(ThresholdOperator, u64)> {
    let signs = [
        ("<=", ThresholdOperator::LessOrEqual),
        (">=", ThresholdOperator::GreaterOrEqual),
        ("<", ThresholdOperator::Less),
        (">", ThresholdOperator::Greater),
    ];
    let (sign, comparison) = signs.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    let amount = text[sign.len()..].trim();
    let unit_at = amount.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match amount[unit_at..].trim() {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        _ => return None,
    };
    let number: f64 = amount[..unit_at].trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((comparison, (number * factor) as u64))
}

/// Codes, classes and ranges: `200`, `2xx`, `200-299`, or a list of them.
fn statuses(reader: &mut Reader<'_>, node: &Node) -> Vec<u16> {
    let mut codes: Vec<u16> = several(Some(node))
        .into_iter()
        .flat_map(|node| status(reader, node))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn status(reader: &mut Reader<'_>, node: &Node) -> Vec<u16> {
    let Some(text) = reader.text(node) else {
        return Vec::new();
    };
    let codes = parse_status(&text.value);
    if codes.is_empty() {
        let message = text.said(
            format!("`{}` is not an HTTP status", text.value),
            "an HTTP status",
        );
        reader.report(
            Problem::new(text.span.clone(), message)
                .help("write `200`, `[200, 201]`, `2xx` or `200-299`"),
        );
    }
    codes
}

fn parse_status(text: &str) -> Vec<u16> {
    let code = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|code| (100..=599).contains(code))
    };
    if let Some(class) = text.strip_suffix("xx") {
        return match class.parse::<u16>() {
            Ok(class @ 1..=5) => (class * 100..class * 100 + 100).collect(),
            _ => Vec::new(),
        };
    }
    match text.split_once('-') {
        Some((from, to)) => match (code(from), code(to)) {
            (Some(from), Some(to)) => (from..=to).collect(),
            _ => Vec::new(),
        },
        None => code(text).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_codes_classes_and_ranges() {
        assert_eq!(parse_status("204"), [204]);
        assert_eq!(parse_status("2xx").len(), 100);
        assert_eq!(parse_status("200-202"), [200, 201, 202]);
        for wrong in ["20", "600", "6xx", "202-200", "2x", "", "ok", "0xx"] {
            assert!(parse_status(wrong).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bounds_with_units() {
        assert_eq!(
            parse_size("< 100KB"),
            Some((ThresholdOperator::Less, 100_000))
        );
        assert_eq!(
            parse_size(">=1.5 KiB"),
            Some((ThresholdOperator::GreaterOrEqual, 1_536))
        );
        for wrong in ["100KB", "< 100", "< KB", "< -1KB", "< 1TB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
