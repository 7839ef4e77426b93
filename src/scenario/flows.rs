//! What users do: flows of steps, and the checks on their responses.

use super::fields::{CHECK, FLOW, STEP};
use super::node::{Entry, Node, Value};
use super::reader::{Members, Reader, Text, checked_duration};
use super::{Check, Flow, Method, Problem, Step, Think};

const STEP_EXAMPLE: &str = "{ get: /api/products }";

/// Reads `flows`, or `steps` as one flow with the scenario's name.
pub fn read(reader: &mut Reader<'_>, members: &Members<'_>, scenario: &str) -> Vec<Flow> {
    match (members.entry("flows"), members.entry("steps")) {
        (Some(flows), None) => read_flows(reader, &flows.node),
        (None, Some(only)) => {
            let steps = steps(reader, &only.node);
            vec![Flow { name: scenario.to_owned(), weight: 1.0, think: Think::None, steps }]
        }
        (Some(_), Some(steps)) => {
            let problem = Problem::new(steps.key_span.clone(), "a scenario has `flows` or `steps`, not both");
            reader.report(problem.help("`steps` is short for a single flow: move them into one of the flows"));
            Vec::new()
        }
        (None, None) => {
            let problem = Problem::new(members.place(), "a scenario needs `flows`");
            reader.report(problem.help(format!("what users do, at least `steps: [{STEP_EXAMPLE}]`")));
            Vec::new()
        }
    }
}

fn read_flows(reader: &mut Reader<'_>, node: &Node) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for item in reader.items(node, "flows", "{ name: browse, steps: [{ get: / }] }") {
        let members = reader.members(item, &FLOW);
        let name = members.get("name").and_then(|node| reader.name(node)).unwrap_or_default();
        if !name.is_empty() && flows.iter().any(|flow| flow.name == name) {
            let problem = Problem::new(place(&members, "name"), "this name belongs to an earlier flow");
            reader.report(problem.help("thresholds say `of NAME`: give each flow a name of its own"));
        }
        let weight = members.get("weight").map_or(Some(1.0), |node| weight(reader, node)).unwrap_or(1.0);
        let think = members.get("think").and_then(|node| think(reader, node)).unwrap_or(Think::None);
        let steps = members.get("steps").map(|node| steps(reader, node)).unwrap_or_default();
        flows.push(Flow { name, weight, think, steps });
    }
    flows
}

fn place(members: &Members<'_>, name: &str) -> std::ops::Range<usize> {
    members.get(name).map_or_else(|| members.place(), |node| node.span.clone())
}

fn weight(reader: &mut Reader<'_>, node: &Node) -> Option<f64> {
    let weight: f64 = reader.number(node, "a weight", "weight: 70")?;
    if !(weight > 0.0 && weight <= 1e6) {
        reader
            .report(Problem::new(node.span.clone(), "a weight is above 0").help("leave the flow out to never pick it"));
    }
    Some(weight)
}

fn think(reader: &mut Reader<'_>, node: &Node) -> Option<Think> {
    let text = reader.text(node)?;
    match parse_think(&text.value) {
        Ok(think) => Some(think),
        Err(message) => {
            let problem = Problem::new(text.span.clone(), text.said(message, "a think time"));
            reader.report(problem.help("write `1s`, or `1s..3s` for an even spread"));
            None
        }
    }
}

fn parse_think(text: &str) -> Result<Think, String> {
    let Some((least, most)) = text.split_once("..") else {
        let pause = checked_duration(text)?;
        return Ok(if pause.is_zero() { Think::None } else { Think::Constant(pause) });
    };
    let (least, most) = (checked_duration(least)?, checked_duration(most)?);
    if least > most {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(if least == most { Think::Constant(least) } else { Think::Uniform(least, most) })
}

fn steps(reader: &mut Reader<'_>, node: &Node) -> Vec<Step> {
    reader.items(node, "steps", STEP_EXAMPLE).iter().filter_map(|item| step(reader, item)).collect()
}

fn step(reader: &mut Reader<'_>, item: &Node) -> Option<Step> {
    let members = reader.members(item, &STEP);
    let request = request(reader, item, &members);
    let name = members.get("name").and_then(|node| step_name(reader, node));
    let headers = reader.headers(members.get("headers"));
    let json = members.get("json").map(|node| json_text(reader, node));
    let check = members.get("check").map(|node| check(reader, node)).unwrap_or_default();
    let (method, path) = request?;
    let name = name.unwrap_or_else(|| format!("{} {path}", method.word()));
    Some(Step { name, method, path, headers, json, check })
}

fn request(reader: &mut Reader<'_>, item: &Node, members: &Members<'_>) -> Option<(Method, String)> {
    const METHODS: [(&str, Method); 5] = [
        ("get", Method::Get),
        ("post", Method::Post),
        ("put", Method::Put),
        ("patch", Method::Patch),
        ("delete", Method::Delete),
    ];
    let mut found: Vec<(&Entry, Method)> =
        METHODS.iter().filter_map(|(key, method)| members.entry(key).map(|entry| (entry, *method))).collect();
    found.sort_by_key(|(entry, _)| entry.key_span.start);
    if let Some((second, _)) = found.get(1) {
        let problem = Problem::new(second.key_span.clone(), "a step makes one request, this is a second one");
        reader.report(problem.help(format!("make it a step of its own: `- {}: ...`", second.key)));
    }
    let Some((entry, method)) = found.first() else {
        if matches!(item.value, Value::Map(_)) {
            let problem = Problem::new(members.place(), "a step needs a request");
            reader.report(problem.help("like `get: /api/products`; `post`, `put`, `patch` and `delete` work the same"));
        }
        return None;
    };
    Some((*method, path(reader, &entry.node)?))
}

fn path(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    reader.not_a_template(&text);
    match path_fault(&text.value) {
        None => Some(text.value),
        Some((message, help)) => {
            reader.report(text.refuse("a path", message, help));
            None
        }
    }
}

fn path_fault(path: &str) -> Option<(String, String)> {
    if let (false, Some((_, rest))) = (path.starts_with('/'), path.split_once("://")) {
        let own = rest.find('/').map_or("/", |slash| &rest[slash..]);
        let reason = "a step names a path, not a URL: load only goes to the target".to_owned();
        return Some((reason, format!("write `{own}`, and the host as `target.url`")));
    }
    if !path.starts_with('/') {
        return Some(("a path begins with `/`".to_owned(), format!("write `/{path}`")));
    }
    if path.contains('#') {
        return Some(("a fragment never reaches a server".to_owned(), "leave out what follows `#`".to_owned()));
    }
    // Spaces inside `{{ }}` have been reported as what they are.
    if !path.contains("{{") && !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "percent-encode it, like `%20` for a space".to_owned();
        return Some(("this path holds a character that no URL may".to_owned(), help));
    }
    None
}

fn step_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = (1..=200).contains(&text.value.chars().count())
        && !text.value.contains(['<', '>'])
        && !text.value.chars().any(char::is_control)
        && text.value.trim() == text.value;
    if !fits {
        let message = text.said("this cannot name a step", "a step's name");
        let problem = Problem::new(text.span.clone(), message);
        reader.report(problem.help("use up to 200 characters on one line, without `<` and `>`"));
    }
    Some(text.value)
}

/// The value as JSON, its keys in the order written.
fn json_text(reader: &mut Reader<'_>, node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(_) => reader.text(node).map_or_else(String::new, |text| json_string(reader, &text)),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| json_text(reader, item)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let members: Vec<String> = entries.iter().map(|entry| json_member(reader, entries, entry)).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn json_string(reader: &mut Reader<'_>, text: &Text) -> String {
    reader.not_a_template(text);
    serde_json::Value::from(text.value.as_str()).to_string()
}

fn json_member(reader: &mut Reader<'_>, entries: &[Entry], entry: &Entry) -> String {
    if entries.iter().any(|other| other.key == entry.key && other.key_span.start < entry.key_span.start) {
        let problem = Problem::new(entry.key_span.clone(), format!("`{}` is written twice", entry.key));
        reader.report(problem.label("the second one").help("keep one of the two"));
    }
    format!("{}:{}", serde_json::Value::from(entry.key.as_str()), json_text(reader, &entry.node))
}

fn check(reader: &mut Reader<'_>, node: &Node) -> Check {
    let members = reader.members(node, &CHECK);
    let status = match members.get("status") {
        Some(Node { value: Value::List(items), .. }) if !items.is_empty() => {
            items.iter().flat_map(|item| statuses(reader, item)).collect()
        }
        Some(node) => statuses(reader, node),
        None => Vec::new(),
    };
    Check { status, under: members.get("under").and_then(|node| reader.positive_duration(node)) }
}

/// One code, or all of a class such as `2xx`.
fn statuses(reader: &mut Reader<'_>, node: &Node) -> Vec<u16> {
    let Some(text) = reader.text(node) else { return Vec::new() };
    let class = text.value.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
    let codes: Vec<u16> = match class {
        Some(class @ 1..=5) => (class * 100..class * 100 + 100).collect(),
        Some(_) => Vec::new(),
        None => text.value.parse().ok().filter(|code| (100..=599).contains(code)).into_iter().collect(),
    };
    if codes.is_empty() {
        let message = text.said(format!("`{}` is not an HTTP status", text.value), "an HTTP status");
        reader.report(Problem::new(text.span.clone(), message).help("write `200`, `[200, 201]` or `2xx`"));
    }
    codes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn think_times_are_none_constant_or_a_range() {
        let second = Duration::from_secs(1);
        for (text, think) in [
            ("0s", Think::None),
            ("1s", Think::Constant(second)),
            ("1s..1s", Think::Constant(second)),
            ("1s..3s", Think::Uniform(second, 3 * second)),
            ("1s .. 3s", Think::Uniform(second, 3 * second)),
        ] {
            assert_eq!(parse_think(text), Ok(think), "{text}");
        }
        for text in ["3s..1s", "1..3s", "1s..", "..", "1s...3s", "25h"] {
            assert!(parse_think(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_paths_of_the_target_are_accepted() {
        for path in ["/", "/api/products?sort=price&page=2", "/redirect?to=https://other.example/x", "/a%20b"] {
            assert_eq!(path_fault(path), None, "{path}");
        }
        for (path, help) in [
            ("https://other.example/cart", "write `/cart`, and the host as `target.url`"),
            ("https://other.example", "write `/`, and the host as `target.url`"),
            ("api/cart", "write `/api/cart`"),
            ("/a b", "percent-encode it, like `%20` for a space"),
            ("/a#top", "leave out what follows `#`"),
            ("", "write `/`"),
        ] {
            assert_eq!(path_fault(path).unwrap().1, help, "{path}");
        }
    }
}
