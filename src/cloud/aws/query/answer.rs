//! Reads AWS's answers: elements of XML, and the code and message of an error. Pure.

/// Returns AWS's error code: `<Code>` in XML, `__type` in JSON.
pub(super) fn code(text: &str) -> Option<String> {
    if let Some(code) = element(text, "Code") {
        return Some(code);
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let kind = json.get("__type")?.as_str()?;
    Some(kind.rsplit('#').next().unwrap_or(kind).to_owned())
}

pub(super) fn message(text: &str) -> String {
    let json = || {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        Some(
            json.get("message")
                .or(json.get("Message"))?
                .as_str()?
                .to_owned(),
        )
    };
    element(text, "Message")
        .or_else(json)
        .unwrap_or_else(|| text.chars().take(200).collect())
}

/// Returns the text of the first `<name>` in an XML answer.
pub fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).into_iter().next()
}

/// Returns the texts of all `<name>` in an XML answer, at any depth.
pub fn elements(xml: &str, name: &str) -> Vec<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut found, mut inside) = (Vec::new(), None::<String>);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) if tag.local_name().as_ref() == name.as_bytes() => {
                inside = Some(String::new());
            }
            Ok(Event::Text(text)) => {
                if let (Some(collected), Ok(text)) = (inside.as_mut(), text.decode()) {
                    collected.push_str(&text);
                }
            }
            // `&amp;` and its like come as events of their own.
            Ok(Event::GeneralRef(entity)) => {
                if let (Some(collected), Some(character)) = (inside.as_mut(), character(&entity)) {
                    collected.push(character);
                }
            }
            Ok(Event::End(tag)) if tag.local_name().as_ref() == name.as_bytes() => {
                found.extend(inside.take());
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// True for one whole element whose name is that of an answer (`ListRolesResponse`,
/// `ListBucketResult`).
pub(super) fn is_whole(xml: &str) -> bool {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    // So that every element has an end.
    reader.config_mut().expand_empty_elements = true;
    let (mut depth, mut is_answer) = (0, false);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) if depth == 0 && !is_answer => {
                let name = tag.local_name();
                is_answer =
                    name.as_ref().ends_with(b"Response") || name.as_ref().ends_with(b"Result");
                if !is_answer {
                    return false;
                }
                depth += 1;
            }
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => return is_answer && depth == 0,
            Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// Returns the character that `&#38;` or `&amp;` stands for.
fn character(entity: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return Some(character);
    }
    quick_xml::escape::resolve_predefined_entity(&entity.decode().ok()?)?
        .chars()
        .next()
}
