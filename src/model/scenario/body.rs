//! The body of a request: JSON, form, raw text, multipart, or a file as it is.

use std::collections::HashSet;

use super::fields::PART;
use super::files::FileUse;
use super::node::{Entry, Node, NodeValue};
use super::reader::{Members, Reader, Text};
use super::template::{Escape, Segment, Template, TemplateScope, parse};
use super::{Problem, check, path};

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Unless a header of the step says otherwise.
    pub content_type: String,
    /// Its bytes; a multipart body includes its boundaries.
    pub content: Template,
}

const KINDS: [&str; 5] = ["json", "form", "body", "multipart", "file"];

pub(super) fn read(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    known: &TemplateScope<'_>,
) -> Option<Body> {
    let mut found: Vec<&Entry> = KINDS
        .iter()
        .filter_map(|kind| members.entry(kind))
        .collect();
    found.sort_by_key(|entry| entry.key_span.start);
    if let Some(second) = found.get(1) {
        let problem = Problem::new(
            second.key_span.clone(),
            "a request has one body, this is a second one",
        );
        reader.report(problem.help(format!("keep one of `{}`", KINDS.join("`, `"))));
    }
    let entry = found.first()?;
    match entry.key.as_str() {
        "json" => {
            let mut content = Template::default();
            json(reader, &entry.node, known, &mut content);
            Some(Body {
                content_type: "application/json".to_owned(),
                content,
            })
        }
        "form" => form(reader, &entry.node, known),
        "multipart" => multipart(reader, &entry.node, known),
        "file" => {
            let (name, bytes) = reader.file(&entry.node, FileUse::Body)?;
            Some(Body {
                content_type: type_of(&name.value).to_owned(),
                content: of_file(&name, &bytes),
            })
        }
        _ => {
            let content = template(reader, &entry.node, Escape::Raw, known)?;
            Some(Body {
                content_type: "text/plain; charset=utf-8".to_owned(),
                content,
            })
        }
    }
}

/// Returns the content type by the name's ending, for the few kinds that APIs are sent.
fn type_of(name: &str) -> &'static str {
    match name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .as_deref()
    {
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("csv") => "text/csv",
        Some("txt") => "text/plain; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Compiles a text with templates, escaped for its place.
pub(super) fn template(
    reader: &mut Reader<'_>,
    node: &Node,
    escape: Escape,
    known: &TemplateScope<'_>,
) -> Option<Template> {
    let text = reader.sent(node)?;
    compile(reader, &text, escape, known, &|part| {
        part.as_bytes().to_vec()
    })
}

pub(super) fn compile(
    reader: &mut Reader<'_>,
    text: &Text,
    escape: Escape,
    known: &TemplateScope<'_>,
    literal: &dyn Fn(&str) -> Vec<u8>,
) -> Option<Template> {
    match parse(&text.value, escape, known, literal) {
        Ok(template) => Some(Template {
            from_outside: text.substituted(),
            ..template
        }),
        Err(fault) => {
            reader.report(fault.into_problem(text, "a text with values"));
            None
        }
    }
}

/// Appends the value as JSON, its keys in the order written.
fn json(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>, out: &mut Template) {
    let mut put = |text: &str| out.push(Segment::Text(text.as_bytes().to_vec()));
    match &node.value {
        NodeValue::Null => put("null"),
        NodeValue::Bool(value) => put(&value.to_string()),
        NodeValue::Number(number) => put(number),
        NodeValue::Text(_) => json_text(reader, node, known, out),
        NodeValue::List(items) => {
            put("[");
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(Segment::Text(b",".to_vec()));
                }
                json(reader, item, known, out);
            }
            out.push(Segment::Text(b"]".to_vec()));
        }
        NodeValue::Map(entries) => {
            put("{");
            let mut keys = HashSet::new();
            for (at, entry) in entries.iter().enumerate() {
                if !keys.insert(entry.key.as_str()) {
                    let problem = Problem::new(
                        entry.key_span.clone(),
                        format!("`{}` is written twice", entry.key),
                    );
                    reader.report(problem.label("the second one").help("keep one of the two"));
                }
                fixed_key(reader, entry);
                let comma = if at > 0 { "," } else { "" };
                let key = serde_json::Value::from(entry.key.as_str());
                out.push(Segment::Text(format!("{comma}{key}:").into_bytes()));
                json(reader, &entry.node, known, out);
            }
            out.push(Segment::Text(b"}".to_vec()));
        }
    }
}

/// Appends a JSON text. A text that is one template and nothing else keeps the value's own type.
fn json_text(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>, out: &mut Template) {
    let Some(text) = reader.sent(node) else {
        return;
    };
    let literal = |part: &str| {
        let quoted = serde_json::Value::from(part).to_string();
        quoted.as_bytes()[1..quoted.len() - 1].to_vec()
    };
    let Some(content) = compile(reader, &text, Escape::JsonText, known, &literal) else {
        return;
    };
    out.from_outside |= content.from_outside;
    if let [Segment::Value(expression, _)] = content.segments.as_slice() {
        out.push(Segment::Value(expression.clone(), Escape::Json));
        return;
    }
    out.push(Segment::Text(b"\"".to_vec()));
    out.append(content);
    out.push(Segment::Text(b"\"".to_vec()));
}

fn form(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Option<Body> {
    let entries = map(reader, node, "form", "form: { user: ada, remember: yes }")?;
    let mut content = Template::default();
    let literal = |part: &str| path::percent_encoded(part).into_bytes();
    for entry in entries {
        fixed_key(reader, entry);
        let key = path::percent_encoded(&entry.key);
        // A field with a list is sent once for each of its items.
        for value in check::several(Some(&entry.node)) {
            if !value.is_scalar() {
                let wanted = format!("the field `{}` is a text, or a list of texts", entry.key);
                reader.wrong_kind(value, &wanted, "tags: [red, blue]");
                continue;
            }
            let ampersand = if content.segments.is_empty() { "" } else { "&" };
            content.push(Segment::Text(format!("{ampersand}{key}=").into_bytes()));
            if let Some(text) = reader.sent(value) {
                let value = compile(reader, &text, Escape::Percent, known, &literal);
                content.append(value.unwrap_or_default());
            }
        }
    }
    Some(Body {
        content_type: "application/x-www-form-urlencoded".to_owned(),
        content,
    })
}

/// Keys are sent as they stand: braces in one would go to the target.
fn fixed_key(reader: &mut Reader<'_>, entry: &Entry) {
    if entry.key.contains("{{") {
        let problem = Problem::new(entry.key_span.clone(), "a key cannot hold a value");
        reader.report(
            problem.help("write the body with `body:` as text, where values may stand anywhere"),
        );
    }
}

fn map<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    what: &str,
    example: &str,
) -> Option<&'n [Entry]> {
    match &node.value {
        NodeValue::Map(entries) => Some(entries),
        _ => {
            reader.wrong_kind(node, &format!("`{what}` is a map"), example);
            None
        }
    }
}

/// Parts by name: a text, or `{ file: photo.jpg, type: image/jpeg }`.
fn multipart(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Option<Body> {
    let entries = map(
        reader,
        node,
        "multipart",
        "multipart: { title: a picture, photo: { file: photo.jpg } }",
    )?;
    let mut parts: Vec<(String, Template)> = Vec::new();
    for entry in entries {
        fixed_key(reader, entry);
        if entry.key.contains(['"', '\r', '\n']) {
            let problem = Problem::new(entry.key_span.clone(), "this cannot name a part");
            reader.report(problem.help("a part's name has no quotes and is on one line"));
        }
        if let Some((head, content)) = part(reader, entry, known) {
            parts.push((
                format!(
                    "Content-Disposition: form-data; name=\"{}\"{head}",
                    entry.key
                ),
                content,
            ));
        }
    }
    let boundary = boundary(&parts);
    let mut content = Template::default();
    for (head, part) in parts {
        content.push(Segment::Text(
            format!("--{boundary}\r\n{head}\r\n\r\n").into_bytes(),
        ));
        content.append(part);
        content.push(Segment::Text(b"\r\n".to_vec()));
    }
    content.push(Segment::Text(format!("--{boundary}--\r\n").into_bytes()));
    Some(Body {
        content_type: format!("multipart/form-data; boundary={boundary}"),
        content,
    })
}

fn part(
    reader: &mut Reader<'_>,
    entry: &Entry,
    known: &TemplateScope<'_>,
) -> Option<(String, Template)> {
    if !matches!(entry.node.value, NodeValue::Map(_)) {
        return Some((
            String::new(),
            template(reader, &entry.node, Escape::Raw, known)?,
        ));
    }
    let members = reader.members(&entry.node, &PART);
    let kind = members.get("type").and_then(|node| reader.text(node));
    let (name, bytes) = reader.file(members.get("file")?, FileUse::Body)?;
    let own = name.value.rsplit('/').next().unwrap_or_default();
    let own = own.replace('"', "");
    let mut content = of_file(&name, &bytes);
    content.from_outside |= kind.as_ref().is_some_and(Text::substituted);
    let kind = kind.map_or_else(|| type_of(&name.value).to_owned(), |kind| kind.value);
    let head = format!(
        "; filename=\"{own}\"\r\nContent-Type: {}",
        kind.replace(['\r', '\n'], "")
    );
    Some((head, content))
}

/// Returns the content of a file. It is none of the scenario's own if the environment chose the
/// file.
fn of_file(name: &Text, bytes: &[u8]) -> Template {
    Template {
        from_outside: name.substituted(),
        ..Template::text(bytes)
    }
}

/// Returns a boundary that none of the fixed contents holds.
fn boundary(parts: &[(String, Template)]) -> String {
    let held = |boundary: &str| {
        parts
            .iter()
            .flat_map(|(_, content)| &content.segments)
            .any(|segment| match segment {
                Segment::Text(text) => text
                    .windows(boundary.len())
                    .any(|window| window == boundary.as_bytes()),
                Segment::Value(..) => false,
            })
    };
    let mut boundary = "spikeproof-7MA4YWxkTrZu0gW".to_owned();
    while held(&boundary) {
        boundary.push('x');
    }
    boundary
}
