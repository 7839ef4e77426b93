//! Thresholds as k6 writes them, in our words: k6's times are milliseconds, its shares fractions.

use super::node::{Entry, Node, NodeValue};

/// Translates a map of k6's thresholds to the lines to write instead.
pub(super) fn k6_translated(entries: &[Entry]) -> Vec<String> {
    let translate = |entry: &Entry| -> Vec<String> {
        let conditions: Vec<&Node> = match &entry.node.value {
            NodeValue::List(items) => items.iter().collect(),
            _ => vec![&entry.node],
        };
        let texts = conditions.into_iter().map(|node| match &node.value {
            NodeValue::Text(condition) => k6_condition(&entry.key, condition),
            _ => None,
        });
        let nothing = || format!("# `{}` has no counterpart for this condition", entry.key);
        texts
            .map(|text| text.map_or_else(nothing, |text| format!("- {text}")))
            .collect()
    };
    let mut lines: Vec<String> = entries.iter().flat_map(translate).collect();
    lines.dedup();
    lines
}

/// Translates k6's `p(95)<500` into our words: its times are milliseconds, its shares fractions.
pub(super) fn k6_metric(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (quantile, limit) = text.strip_prefix("p(")?.split_once(')')?;
    let limit = limit.trim_start_matches(['<', '=', '>']);
    Some(format!(
        "p{quantile} < {}",
        limit
            .strip_suffix("ms")
            .map_or_else(|| format!("{limit}ms"), |_| limit.to_owned())
    ))
}

fn k6_condition(metric: &str, condition: &str) -> Option<String> {
    let compact: String = condition.chars().filter(|c| !c.is_whitespace()).collect();
    let at = compact.find(['<', '>'])?;
    let (aggregation, rest) = compact.split_at(at);
    let sign_end = rest
        .find(|c: char| !matches!(c, '<' | '>' | '='))
        .unwrap_or(rest.len());
    let (sign, limit) = rest.split_at(sign_end);
    let number: f64 = limit.parse().ok()?;
    match (metric.split('{').next()?, aggregation) {
        (_, quantile) if quantile.starts_with("p(") => k6_metric(&compact),
        (_, "avg") => Some(format!("mean {sign} {limit}ms")),
        (_, "med") => Some(format!("p50 {sign} {limit}ms")),
        (_, "max") => Some(format!("max {sign} {limit}ms")),
        ("http_req_failed", "rate") => Some(format!("errors {sign} {}%", tidy(number * 100.0))),
        ("checks", "rate") => Some(format!("checks {sign} {}%", tidy(number * 100.0))),
        ("http_reqs" | "iterations", "rate") => Some(format!("rate {sign} {limit}/s")),
        _ => None,
    }
}

/// Rounds to `500` rather than `500.0000001`.
pub(super) fn tidy(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k6_conditions_are_translated() {
        for (metric, condition, ours) in [
            ("http_req_duration", "p(95)<500", Some("p95 < 500ms")),
            (
                "http_req_duration{name:x}",
                "avg < 200",
                Some("mean < 200ms"),
            ),
            ("http_req_failed", "rate<0.01", Some("errors < 1%")),
            ("checks", "rate>0.99", Some("checks > 99%")),
            ("http_reqs", "rate>100", Some("rate > 100/s")),
            ("my_counter", "count<5", None),
        ] {
            assert_eq!(
                k6_condition(metric, condition).as_deref(),
                ours,
                "{condition}"
            );
        }
    }
}
