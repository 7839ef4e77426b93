//! The grammar of thresholds: `METRIC [of FLOW-or-STEP] COMPARISON LIMIT [in PHASE | over run]
//! [within WINDOW]`.

use std::ops::Range;

use super::fields::THRESHOLD;
use super::k6::{k6_metric, k6_translated, tidy};
use super::node::{Node, NodeValue};
use super::phases::parse_rate;
use super::reader::{Reader, Text, checked_duration, closest};
use super::threshold::{Threshold, ThresholdMetric, ThresholdOperator, ThresholdScope};
use super::{Flow, LoadPhase, Problem};

const FORM: &str =
    "write it like `p95 < 500ms`, `errors < 1% in spike` or `p99 of checkout < 2s over run`";
/// A window shorter than what is measured, or longer than any phase.
const WINDOWS: std::ops::RangeInclusive<u64> = 1..=3_600;
const METRICS: [&str; 9] = [
    "p50", "p95", "p99", "p99.9", "mean", "max", "errors", "checks", "rate",
];

/// The names a threshold may use; an empty list is one that could not be read.
pub(super) struct KnownNames<'s> {
    phases: Vec<&'s str>,
    flows_and_steps: Vec<&'s str>,
}

impl<'s> KnownNames<'s> {
    pub(super) fn of(phases: &'s [LoadPhase], flows: &'s [Flow]) -> Self {
        let all = || flows.iter().flat_map(|flow| &flow.steps);
        let steps = all()
            .map(|step| step.name.as_str())
            .chain(all().filter_map(|step| step.group.as_deref()));
        Self {
            phases: phases.iter().map(|phase| phase.name.as_str()).collect(),
            flows_and_steps: flows
                .iter()
                .map(|flow| flow.name.as_str())
                .chain(steps)
                .collect(),
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node, names: &KnownNames<'_>) -> Vec<Threshold> {
    if let NodeValue::Map(entries) = &node.value {
        let problem = Problem::new(
            node.place(),
            "`thresholds` is a list of texts; this is how k6 writes them",
        );
        reader.report(problem.help_lines("write instead:", &k6_translated(entries)));
        return Vec::new();
    }
    let items = reader.items(node, "thresholds", "p95 < 500ms");
    items
        .iter()
        .filter_map(|item| read_one(reader, item, names))
        .collect()
}

fn read_one(reader: &mut Reader<'_>, item: &Node, names: &KnownNames<'_>) -> Option<Threshold> {
    if let NodeValue::Map(entries) = &item.value
        && entries
            .iter()
            .any(|entry| ["threshold", "abort", "after"].contains(&entry.key.as_str()))
    {
        return read_map(reader, item, names);
    }
    if let NodeValue::Map(entries) = &item.value {
        let problem = Problem::new(
            item.place(),
            "a threshold is one text; this is how k6 writes it",
        );
        reader.report(problem.help_lines("write instead:", &k6_translated(entries)));
        return None;
    }
    let text = reader.text(item)?;
    match parse(&text.value, names) {
        Ok(threshold) => Some(threshold),
        Err(fault) => {
            reader.report(fault.into_problem(&text));
            None
        }
    }
}

/// Reads `{ threshold: errors < 5%, abort: true, after: 30s }`.
fn read_map(reader: &mut Reader<'_>, item: &Node, names: &KnownNames<'_>) -> Option<Threshold> {
    let members = reader.members(item, &THRESHOLD);
    let abort = members
        .get("abort")
        .and_then(|node| reader.boolean(node))
        .unwrap_or(false);
    let after = members.get("after").and_then(|node| reader.duration(node));
    if let (false, Some(entry)) = (abort, members.entry("after")) {
        let problem = Problem::new(
            entry.key_span.clone(),
            "`after` says when a threshold may end the run",
        );
        reader.report(problem.help("add `abort: true`, or leave it out"));
    }
    let threshold = members
        .get("threshold")
        .and_then(|node| read_one(reader, node, names))?;
    Some(Threshold {
        abort_after: abort.then(|| after.unwrap_or_default()),
        ..threshold
    })
}

/// A fault in one part of a threshold's text.
#[derive(Debug, PartialEq)]
struct GrammarFault {
    range: Range<usize>,
    message: String,
    help: String,
}

impl GrammarFault {
    fn into_problem(self, text: &Text) -> Problem {
        let mut problem = text.refuse("a threshold", self.message, self.help);
        problem.span = text.part(self.range);
        problem
    }
}

/// A part of a text that knows where it stands.
#[derive(Debug, Clone, Copy)]
struct Part<'t> {
    text: &'t str,
    start: usize,
}

impl Part<'_> {
    fn fault<T>(
        self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<T, GrammarFault> {
        Err(GrammarFault {
            range: self.start..self.start + self.text.len(),
            message: message.into(),
            help: help.into(),
        })
    }

    fn slice(self, range: Range<usize>) -> Self {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let trimmed = text.trim_start();
        let start = self.start + range.start + (text.len() - trimmed.len());
        Self {
            text: trimmed.trim_end(),
            start,
        }
    }

    /// Returns the first word, and the rest.
    fn first_word(self) -> (Self, Self) {
        let end = self
            .text
            .find(char::is_whitespace)
            .unwrap_or(self.text.len());
        (self.slice(0..end), self.slice(end..self.text.len()))
    }
}

fn parse(text: &str, names: &KnownNames<'_>) -> Result<Threshold, GrammarFault> {
    let whole = Part { text, start: 0 }.slice(0..text.len());
    if let Some(translated) = k6_metric(whole.text) {
        return whole.fault("this is how k6 writes it", format!("write `{translated}`"));
    }
    let Some(at) = whole.text.find(['<', '>']) else {
        return whole.fault("this threshold compares nothing", FORM);
    };
    let sign_end = at + 1 + usize::from(whole.text[at + 1..].starts_with('='));
    let (metric_word, subject) = whole.slice(0..at).first_word();
    let (sign, right) = (
        whole.slice(at..sign_end),
        whole.slice(sign_end..whole.text.len()),
    );
    let (limit, scope) = right.first_word();
    let metric = metric(metric_word)?;
    let of = self::subject(subject, names)?;
    let comparison = comparison(sign, metric, metric_word)?;
    let limit = self::limit(limit, scope, metric)?;
    let (scope, window) = match scope.text.rsplit_once("within ") {
        Some((before, _)) => (
            scope.slice(0..before.len()),
            Some(scope.slice(before.len()..scope.text.len())),
        ),
        None => (scope, None),
    };
    let scope = self::scope(scope, names)?;
    let within = window.map(self::window).transpose()?;
    Ok(Threshold {
        text: whole.text.to_owned(),
        metric,
        of,
        comparison,
        limit,
        scope,
        within,
        abort_after: None,
    })
}

fn metric(word: Part<'_>) -> Result<ThresholdMetric, GrammarFault> {
    match word.text {
        "mean" => return Ok(ThresholdMetric::Mean),
        "max" => return Ok(ThresholdMetric::Max),
        "errors" => return Ok(ThresholdMetric::Errors),
        "checks" => return Ok(ThresholdMetric::Checks),
        "rate" => return Ok(ThresholdMetric::Rate),
        _ => {}
    }
    let quantile = word
        .text
        .strip_prefix('p')
        .filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(quantile) = quantile.and_then(|digits| digits.parse::<f64>().ok()) {
        if quantile > 0.0 && quantile < 100.0 {
            return Ok(ThresholdMetric::Percentile(quantile));
        }
        return word.fault(
            "a percentile lies between 0 and 100",
            "write `p95`, `p99.9`, or `max` for the slowest of all",
        );
    }
    let synonym = match word.text {
        "avg" | "average" => Some("mean"),
        "med" | "median" => Some("p50"),
        "maximum" | "p100" => Some("max"),
        "error" | "error_rate" | "failures" | "failed" => Some("errors"),
        "rps" | "throughput" => Some("rate"),
        other => closest(other, METRICS),
    };
    let help = synonym.map_or_else(
        || {
            "there are `p95` (any percentile), `mean`, `max`, `errors`, `checks` and `rate`"
                .to_owned()
        },
        |name| format!("did you mean `{name}`?"),
    );
    word.fault(format!("`{}` is not a metric", word.text), help)
}

fn subject(part: Part<'_>, names: &KnownNames<'_>) -> Result<Option<String>, GrammarFault> {
    if part.text.is_empty() {
        return Ok(None);
    }
    let (of, name) = part.first_word();
    if of.text != "of" || name.text.is_empty() {
        return part.fault(
            format!("`{}` does not belong here", part.text),
            "name a flow or step like `p95 of checkout < 2s`",
        );
    }
    known(name, &names.flows_and_steps, "flow, group or step")?;
    Ok(Some(name.text.to_owned()))
}

fn known(name: Part<'_>, names: &[&str], what: &str) -> Result<(), GrammarFault> {
    // A list with a faulty name has its own problem; do not add to it.
    if names.contains(&name.text) || names.is_empty() || names.contains(&"") {
        return Ok(());
    }
    let help = closest(name.text, names.iter().copied()).map_or_else(
        || format!("there are `{}`", names.join("`, `")),
        |name| format!("did you mean `{name}`?"),
    );
    name.fault(format!("there is no {what} `{}`", name.text), help)
}

fn comparison(
    sign: Part<'_>,
    metric: ThresholdMetric,
    word: Part<'_>,
) -> Result<ThresholdOperator, GrammarFault> {
    let comparison = match sign.text {
        "<=" => ThresholdOperator::LessOrEqual,
        ">" => ThresholdOperator::Greater,
        ">=" => ThresholdOperator::GreaterOrEqual,
        _ => ThresholdOperator::Less,
    };
    let at_least = matches!(
        comparison,
        ThresholdOperator::Greater | ThresholdOperator::GreaterOrEqual
    );
    match metric {
        ThresholdMetric::Percentile(_)
        | ThresholdMetric::Mean
        | ThresholdMetric::Max
        | ThresholdMetric::Errors
            if at_least =>
        {
            sign.fault(
                format!("`{}` is better when it is low", word.text),
                format!("write `{} <`", word.text),
            )
        }
        ThresholdMetric::Checks if !at_least => sign.fault(
            "`checks` is the share that passed",
            "write `checks >`, or use `errors <`",
        ),
        _ => Ok(comparison),
    }
}

fn limit(part: Part<'_>, after: Part<'_>, metric: ThresholdMetric) -> Result<f64, GrammarFault> {
    // `500 ms` is one limit in two words.
    let two_words = part.text.parse::<f64>().is_ok()
        && ["ms", "s", "m", "h", "%", "/s"].contains(&after.first_word().0.text);
    if two_words {
        let unit = after.first_word().0.text;
        return part.fault(
            "a limit has no space in it",
            format!("write `{}{unit}`", part.text),
        );
    }
    if part.text.is_empty() {
        return Err(GrammarFault {
            range: part.start.saturating_sub(1)..part.start,
            message: "the limit is missing".to_owned(),
            help: FORM.to_owned(),
        });
    }
    match metric {
        ThresholdMetric::Percentile(_) | ThresholdMetric::Mean | ThresholdMetric::Max => {
            latency(part)
        }
        ThresholdMetric::Errors | ThresholdMetric::Checks => share(part),
        ThresholdMetric::Rate => match parse_rate(part.text) {
            Ok(rate) => Ok(rate),
            Err((message, help)) => part.fault(message, help),
        },
    }
}

/// Reads `within 30s`, in whole seconds.
fn window(part: Part<'_>) -> Result<u32, GrammarFault> {
    let (_, length) = part.first_word();
    match checked_duration(length.text) {
        Ok(window) if window.subsec_nanos() == 0 && WINDOWS.contains(&window.as_secs()) => {
            Ok(window.as_secs() as u32)
        }
        Ok(_) => length.fault(
            "a window is of whole seconds, up to an hour",
            "like `within 30s`",
        ),
        Err(error) => length.fault(error.to_string(), "like `within 30s`"),
    }
}

/// Reads a latency, in microseconds.
fn latency(part: Part<'_>) -> Result<f64, GrammarFault> {
    if part.text.parse::<f64>().is_ok() {
        let help = format!("write `{0}ms`, or `{0}s` for seconds", part.text);
        return part.fault(format!("`{}` has no unit", part.text), help);
    }
    match checked_duration(part.text) {
        Ok(limit) if !limit.is_zero() => Ok(limit.as_secs_f64() * 1e6),
        Ok(_) => part.fault(
            "nothing is faster than nothing",
            "a limit is above 0, like `500ms`",
        ),
        Err(error) => part.fault(
            error.to_string(),
            "a latency is written like `500ms` or `2s`",
        ),
    }
}

/// Reads a share, as a fraction of one.
fn share(part: Part<'_>) -> Result<f64, GrammarFault> {
    let Some(percent) = part.text.strip_suffix('%') else {
        let help = match part.text.parse::<f64>() {
            Ok(fraction) if fraction > 0.0 && fraction < 1.0 => {
                format!("write `{}%`", tidy(fraction * 100.0))
            }
            Ok(_) => format!("write `{}%`", part.text),
            Err(_) => "a share is written like `1%`".to_owned(),
        };
        return part.fault(format!("`{}` is not a share", part.text), help);
    };
    match percent.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => part.fault(
            format!("`{}` is not a share", part.text),
            "a share lies between `0%` and `100%`",
        ),
    }
}

fn scope(part: Part<'_>, names: &KnownNames<'_>) -> Result<ThresholdScope, GrammarFault> {
    let (word, rest) = part.first_word();
    match (word.text, rest.text) {
        ("", _) => Ok(ThresholdScope::EachPhase),
        ("over", "run") => Ok(ThresholdScope::Run),
        ("in", name) if !name.is_empty() => {
            known(rest, &names.phases, "phase")?;
            Ok(ThresholdScope::Phase(name.to_owned()))
        }
        _ => part.fault(
            format!("`{}` does not belong here", part.text),
            "end with `in PHASE`, `over run` or `within 30s`, or with the limit",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> KnownNames<'static> {
        KnownNames {
            phases: vec!["sustained", "spike"],
            flows_and_steps: vec!["browse", "checkout", "GET /api/products"],
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn thresholds_are_read_into_metric_subject_limit_and_scope() {
        use ThresholdMetric::{Checks, Errors, Max, Mean, Percentile, Rate};
        use ThresholdOperator::{Greater, GreaterOrEqual, Less, LessOrEqual};
        let spike = || ThresholdScope::Phase("spike".to_owned());
        for (text, metric, of, comparison, limit, scope) in [
            (
                "p95 < 500ms",
                Percentile(95.0),
                None,
                Less,
                500_000.0,
                ThresholdScope::EachPhase,
            ),
            (
                "p99.9 of checkout < 2s in spike",
                Percentile(99.9),
                Some("checkout"),
                Less,
                2_000_000.0,
                spike(),
            ),
            (
                "p50 of GET /api/products<=1.5s",
                Percentile(50.0),
                Some("GET /api/products"),
                LessOrEqual,
                1_500_000.0,
                ThresholdScope::EachPhase,
            ),
            (
                "mean < 80ms over run",
                Mean,
                None,
                Less,
                80_000.0,
                ThresholdScope::Run,
            ),
            (
                "max  <  1m",
                Max,
                None,
                Less,
                60_000_000.0,
                ThresholdScope::EachPhase,
            ),
            ("errors < 0.5% in spike", Errors, None, Less, 0.005, spike()),
            (
                "checks >= 99%",
                Checks,
                None,
                GreaterOrEqual,
                0.99,
                ThresholdScope::EachPhase,
            ),
            (
                "rate > 950/s",
                Rate,
                None,
                Greater,
                950.0,
                ThresholdScope::EachPhase,
            ),
            (
                "errors < 5% within 30s",
                Errors,
                None,
                Less,
                0.05,
                ThresholdScope::EachPhase,
            ),
            (
                "errors < 5% in spike within 30s",
                Errors,
                None,
                Less,
                0.05,
                spike(),
            ),
            (
                "max < 5s over run within 30s",
                Max,
                None,
                Less,
                5_000_000.0,
                ThresholdScope::Run,
            ),
            (
                "rate of browse > 600/min",
                Rate,
                Some("browse"),
                Greater,
                10.0,
                ThresholdScope::EachPhase,
            ),
        ] {
            let of = of.map(str::to_owned);
            let within = text.ends_with("within 30s").then_some(30);
            let wanted = Threshold {
                text: text.to_owned(),
                metric,
                of,
                comparison,
                limit,
                scope,
                within,
                abort_after: None,
            };
            assert_eq!(parse(text, &names()), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_wrong_threshold_is_pointed_into_and_corrected() {
        for (text, part, help) in [
            ("p95 < 500", "500", "write `500ms`, or `500s` for seconds"),
            ("p95 < 500 ms", "500", "write `500ms`"),
            ("errors < 1", "1", "write `1%`"),
            ("errors < 0.01", "0.01", "write `1%`"),
            (
                "errors < 101%",
                "101%",
                "a share lies between `0%` and `100%`",
            ),
            (
                "rate > 950",
                "950",
                "write `950/s` for per second or `950/min` for per minute",
            ),
            ("p95 > 500ms", ">", "write `p95 <`"),
            ("checks < 99%", "<", "write `checks >`, or use `errors <`"),
            (
                "p100 < 1s",
                "p100",
                "write `p95`, `p99.9`, or `max` for the slowest of all",
            ),
            (
                "p0 < 1s",
                "p0",
                "write `p95`, `p99.9`, or `max` for the slowest of all",
            ),
            ("eror < 1%", "eror", "did you mean `errors`?"),
            ("avg < 1s", "avg", "did you mean `mean`?"),
            ("p95 of chekout < 1s", "chekout", "did you mean `checkout`?"),
            ("p95 < 1s in spke", "spke", "did you mean `spike`?"),
            (
                "p95 < 1s in nowhere",
                "nowhere",
                "there are `sustained`, `spike`",
            ),
            (
                "p95 < 1s during spike",
                "during spike",
                "end with `in PHASE`, `over run` or `within 30s`, or with the limit",
            ),
            ("p95 < 1s within soon", "soon", "like `within 30s`"),
            ("p95 < 1s within 1.5s", "1.5s", "like `within 30s`"),
            (
                "p95 checkout < 1s",
                "checkout",
                "name a flow or step like `p95 of checkout < 2s`",
            ),
            ("p95 = 1s", "p95 = 1s", FORM),
            ("p95 <", "<", FORM),
            ("p(95)<500", "p(95)<500", "write `p95 < 500ms`"),
        ] {
            let fault = parse(text, &names()).unwrap_err();
            assert_eq!(
                (&text[fault.range.clone()], fault.help.as_str()),
                (part, help),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in ".*") {
            drop(parse(&text, &names()));
        }

        #[test]
        fn faults_point_inside_the_text(text in "(p95|p|errors|rate)?( of .{0,3})?[<>=]{0,2} ?.{0,6}( in .{0,3})?") {
            if let Err(fault) = parse(&text, &names()) {
                proptest::prop_assert!(text.get(fault.range).is_some());
            }
        }
    }
}
