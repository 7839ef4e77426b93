//! Reads AWS's answers: elements of XML, and the code and message of an error. Pure.

use std::collections::BTreeMap;

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

/// An element that has begun.
struct Open {
    name: String,
    text: String,
    /// Elements of it that have begun.
    children: usize,
}

/// Returns the members of the first list of this name, each as the parameters of a call: the name
/// `StepAdjustments.member.1.ScalingAdjustment` with its text. Empty elements are left
/// out. Returns `None` if there is no such list, or no end of it: that is no empty list.
pub fn members(xml: &str, list: &str) -> Option<Vec<BTreeMap<String, String>>> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut found, mut open, mut begun) = (Vec::new(), Vec::<Open>::new(), false);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                if begun {
                    let name = numbered(name, open.last_mut());
                    if open.is_empty() {
                        found.push(BTreeMap::new());
                    }
                    open.push(Open {
                        name,
                        text: String::new(),
                        children: 0,
                    });
                } else {
                    begun = name == list;
                }
            }
            Ok(Event::Text(text)) => {
                if let (Some(inner), Ok(text)) = (open.last_mut(), text.decode()) {
                    inner.text.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                if let (Some(inner), Some(character)) = (open.last_mut(), character(&entity)) {
                    inner.text.push(character);
                }
            }
            Ok(Event::End(_)) if begun => {
                // The end of the list itself.
                let Some(ended) = open.pop() else {
                    return Some(found);
                };
                if ended.children == 0 && !ended.text.trim().is_empty() && !open.is_empty() {
                    let above = open.iter().skip(1).map(|one| one.name.as_str());
                    let path: Vec<&str> = above.chain([ended.name.as_str()]).collect();
                    let path = path.join(".");
                    found
                        .last_mut()
                        .map(|member| member.insert(path, ended.text));
                }
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Counts an element among those of its parent; the members of a list have a number.
fn numbered(name: String, parent: Option<&mut Open>) -> String {
    let Some(parent) = parent else {
        return name;
    };
    parent.children += 1;
    match name.as_str() {
        "member" => format!("member.{}", parent.children),
        _ => name,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_list_becomes_the_parameters_that_a_call_takes() {
        let xml = "<DescribePoliciesResponse><DescribePoliciesResult><ScalingPolicies>\n  <member>\
            <PolicyName>a &amp; b</PolicyName><Alarms/>\n<StepAdjustments><member><ScalingAdjustment>1</ScalingAdjustment>\
            </member><member><MetricIntervalLowerBound>20.0</MetricIntervalLowerBound><ScalingAdjustment>3\
            </ScalingAdjustment></member></StepAdjustments></member>\n<member><PolicyName>c</PolicyName></member>\
            </ScalingPolicies><Other><member><PolicyName>d</PolicyName></member></Other>\
            </DescribePoliciesResult></DescribePoliciesResponse>";
        let found = members(xml, "ScalingPolicies").unwrap();
        let told: Vec<Vec<String>> = found
            .iter()
            .map(|one| {
                one.iter()
                    .map(|(name, text)| format!("{name}={text}"))
                    .collect()
            })
            .collect();
        assert_eq!(
            told,
            [
                vec![
                    "PolicyName=a & b",
                    "StepAdjustments.member.1.ScalingAdjustment=1",
                    "StepAdjustments.member.2.MetricIntervalLowerBound=20.0",
                    "StepAdjustments.member.2.ScalingAdjustment=3",
                ],
                vec!["PolicyName=c"],
            ]
        );
        assert_eq!(members(xml, "Absent"), None);
        assert_eq!(
            members("<R><ScalingPolicies><member>", "ScalingPolicies"),
            None
        );
        let none = "<R><ScalingPolicies/><Tags><member><Key>k</Key></member></Tags></R>";
        assert_eq!(members(none, "ScalingPolicies"), Some(Vec::new()));
        let spaced = "<R><L><member><A>1</A><Steps>\n  </Steps></member></L></R>";
        let only = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(members(spaced, "L"), Some(vec![only]));
    }
}
