//! What the group is expected to do.

use std::time::Duration;

use super::fields::SCALING;
use super::node::{Entry, Node};
use super::reader::{Reader, checked_duration, is_header_name};
use super::{InWithin, Problem, Scaling, Target};

/// Three datapoints of a minute, the usual alarm of a target-tracking policy.
const OUT_WITHIN: Duration = Duration::from_secs(180);

pub fn read(reader: &mut Reader<'_>, entry: Option<&Entry>, target: Option<&Target>) -> Scaling {
    let members = entry.map(|entry| reader.members(&entry.node, &SCALING)).unwrap_or_default();
    if let (Some(entry), Some(Target { group: None, .. })) = (entry, target) {
        let problem = Problem::new(entry.key_span.clone(), "there is no group whose scaling could be judged");
        reader.report(problem.help("name the Auto Scaling group as `target.group`, or leave `scaling` out"));
    }
    Scaling {
        out_within: members.get("out_within").and_then(|node| reader.positive_duration(node)).unwrap_or(OUT_WITHIN),
        in_within: members.get("in_within").and_then(|node| in_within(reader, node)).unwrap_or(InWithin::Auto),
        no_dropped_requests: members.get("no_dropped_requests").and_then(|node| reader.boolean(node)).unwrap_or(true),
        instance_header: members.get("instance_header").and_then(|node| instance_header(reader, node)),
    }
}

fn instance_header(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if !is_header_name(&text.value) {
        let message = format!("`{}` is not a header name", text.value);
        reader.report(text.refuse("a header name", message, "like `x-instance-id`"));
    }
    Some(text.value)
}

fn in_within(reader: &mut Reader<'_>, node: &Node) -> Option<InWithin> {
    let text = reader.text(node)?;
    let read = parse_in_within(&text.value);
    if read.is_none() {
        let message = text.said(format!("`{}` is not a bound for scaling in", text.value), "a bound for scaling in");
        let problem = Problem::new(text.span.clone(), message);
        reader.report(problem.help("write `auto`, a duration like `20m`, or `2x cooldown`"));
    }
    read
}

fn parse_in_within(text: &str) -> Option<InWithin> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["auto"] => Some(InWithin::Auto),
        [times, "cooldown" | "cooldowns"] => {
            let times: f64 = times.strip_suffix('x')?.parse().ok()?;
            (times > 0.0 && times <= 1_000.0).then_some(InWithin::Cooldowns(times))
        }
        [duration] => checked_duration(duration).ok().filter(|bound| !bound.is_zero()).map(InWithin::Within),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_in_is_bounded_by_auto_a_duration_or_cooldowns() {
        for (text, bound) in [
            ("auto", Some(InWithin::Auto)),
            ("20m", Some(InWithin::Within(Duration::from_secs(1_200)))),
            ("2x cooldown", Some(InWithin::Cooldowns(2.0))),
            ("1.5x cooldown", Some(InWithin::Cooldowns(1.5))),
            ("0s", None),
            ("0x cooldown", None),
            ("2 cooldown", None),
            ("NaNx cooldown", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_in_within(text), bound, "{text}");
        }
    }
}
