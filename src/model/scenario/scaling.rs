//! Reads what the scenario expects of the group's scaling.

use std::time::Duration;

use super::fields::SCALING;
use super::node::{Entry, Node};
use super::reader::{Reader, checked_duration, is_header_name};
use super::{InWithin, Problem, ScalingExpectations, Target};

/// Three datapoints of a minute, the usual alarm of a target-tracking policy.
const OUT_WITHIN: Duration = Duration::from_mins(3);
/// A minute lets caches and connection pools fill.
const FRESH: Duration = Duration::from_mins(1);
/// Default limits: `UNDER` is a share of the time, `OVER` of the instance-minutes. A policy with
/// AWS's defaults reaches them around a spike of minutes.
const UNDER: f64 = 0.25;
const OVER: f64 = 0.75;

pub(super) fn read(
    reader: &mut Reader<'_>,
    entry: Option<&Entry>,
    target: Option<&Target>,
) -> ScalingExpectations {
    let members = entry
        .map(|entry| reader.members(&entry.node, &SCALING))
        .unwrap_or_default();
    if let (Some(entry), Some(Target { subject: None, .. })) = (entry, target) {
        let problem = Problem::new(
            entry.key_span.clone(),
            "there is no group whose scaling could be judged",
        );
        reader.report(
            problem.help("name it as `target.group` or `target.service`, or leave `scaling` out"),
        );
    }
    ScalingExpectations {
        is_asked: entry.is_some(),
        out_within: members
            .get("out_within")
            .and_then(|node| reader.positive_duration(node))
            .unwrap_or(OUT_WITHIN),
        in_within: members
            .get("in_within")
            .and_then(|node| in_within(reader, node))
            .unwrap_or(InWithin::Auto),
        no_dropped_requests: members
            .get("no_dropped_requests")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(true),
        instance_header: members
            .get("instance_header")
            .and_then(|node| instance_header(reader, node)),
        fresh_instances: match members.get("fresh_instances") {
            Some(node) => fresh_instances(reader, node),
            None => Some(FRESH),
        },
        no_early_scale_in: members
            .get("no_early_scale_in")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(true),
        no_flapping: members
            .get("no_flapping")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(true),
        holds_at_maximum: members
            .get("holds_at_maximum")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(true),
        p95_while_scaling: members
            .get("p95_while_scaling")
            .and_then(|node| reader.positive_duration(node)),
        errors_while_scaling: members
            .get("errors_while_scaling")
            .and_then(|node| share(reader, node)),
        under_provisioned: members
            .get("under_provisioned")
            .and_then(|node| share(reader, node))
            .unwrap_or(UNDER),
        over_provisioned: members
            .get("over_provisioned")
            .and_then(|node| share(reader, node))
            .unwrap_or(OVER),
        asked_for_efficiency: ["under_provisioned", "over_provisioned"]
            .iter()
            .any(|key| members.entry(key).is_some()),
    }
}

/// Reads `off`, or a duration.
fn fresh_instances(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let text = reader.text(node)?;
    if text.value == "off" {
        return None;
    }
    let found = checked_duration(&text.value)
        .ok()
        .filter(|time| !time.is_zero());
    if found.is_none() {
        let message = text.said(format!("`{}` is not a time", text.value), "a time");
        reader.report(
            Problem::new(text.span.clone(), message).help("write `off`, or a duration like `1m`"),
        );
    }
    found
}

/// Reads `5%`, as a share.
fn share(reader: &mut Reader<'_>, node: &Node) -> Option<f64> {
    let text = reader.text(node)?;
    let found = text
        .value
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    let found = found.filter(|percent| (0.0..=100.0).contains(percent));
    if found.is_none() {
        let message = text.said(
            format!("`{}` is not a percentage", text.value),
            "a percentage",
        );
        reader.report(Problem::new(text.span.clone(), message).help("like `5%`"));
    }
    found.map(|percent| percent / 100.0)
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
        let message = text.said(
            format!("`{}` is not a bound for scaling in", text.value),
            "a bound for scaling in",
        );
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
        [duration] => checked_duration(duration)
            .ok()
            .filter(|bound| !bound.is_zero())
            .map(InWithin::Within),
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
            ("20m", Some(InWithin::Within(Duration::from_mins(20)))),
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
