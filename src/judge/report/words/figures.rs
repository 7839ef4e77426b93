//! Sentences for the measured figures.

use crate::verdict::{Answered, AtMaximum, Cost, Measured, MetricValue, RunFigures};
use model::units;

/// Returns a share as a percentage, without needless digits.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Describes the load of others, for example `others sent 7.4% (up to 9.1% in a minute)`. A minute is
/// named where its share is the greater one.
pub(super) fn sent_by_others(share: f64, burst_share: f64) -> String {
    let burst = if burst_share > share {
        format!(" (up to {:.1}% in a minute)", burst_share * 100.0)
    } else {
        String::new()
    };
    format!("others sent {:.1}%{burst}", share * 100.0)
}

/// Returns requests per second: a rate below ten with one decimal, or it would be said as a load that
/// is far from it.
pub(super) fn rate(per_second: f64) -> String {
    let text = format!("{per_second:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if per_second < 10.0 => text,
        None => format!("{per_second:.0}"),
    }
}

pub(super) fn latency(micros: f64) -> String {
    units::duration(std::time::Duration::from_micros(micros as u64))
}

/// Returns the figures in words, with their units; empty where nothing was measured.
pub fn measured(measured: &Measured) -> String {
    match measured {
        Measured::Metric(value) => metric(value),
        Measured::Run(figures) => run(figures),
        Measured::Nothing => String::new(),
        Measured::Sizes { from, to, at_start } => match at_start {
            Some(before) => format!("{from} -> {to} instances, {before} at the start"),
            None => format!("{from} -> {to} instances"),
        },
        Measured::Took { took_s } => took_s.to_string(),
        Measured::Gone { at } => format!("gone at {at}"),
        Measured::ClocksApart { apart_s } => format!("{apart_s} apart"),
        Measured::NeverServed { .. }
        | Measured::NewInstances { .. }
        | Measured::WhileNew { .. } => of_new_instances(measured),
        Measured::Dropped { .. } | Measured::DroppedByBalancer { .. } => of_dropped(measured),
        Measured::LeftEarly {
            instances,
            answered: found,
        } => format!(
            "{} left under the highest load so far; while it stayed {}",
            units::count(*instances, "instance"),
            answered(found)
        ),
        Measured::WhileScaling { answered: found } => format!(
            "{} in {}",
            answered(found),
            units::count(found.seconds, "second")
        ),
        Measured::AtSpikeEnd {
            spike,
            answered: found,
        } => format!(
            "{} in the last {} of {spike}",
            answered(found),
            units::count(found.seconds, "second")
        ),
        Measured::Turns { turns, changes } => format!(
            "{} in {}",
            units::count(*turns, "turn"),
            units::count(*changes, "change")
        ),
        Measured::Pinned {
            maximum,
            seconds,
            in_spike,
            besides,
        } => pinned(*maximum, *seconds, in_spike.as_ref(), besides.as_ref()),
        Measured::PinnedWhileAlarmed { maximum, seconds } => format!(
            "{} at {maximum} while an alarm asked for more",
            units::count(*seconds, "second")
        ),
        Measured::TooFewInstances {
            time_share,
            missing_instances,
        } => format!(
            "{:.0}%, {missing_instances:.2} missing on average",
            time_share * 100.0
        ),
        Measured::ExcessInstanceMinutes {
            share,
            paid_minutes,
            cost,
        } => excess(*share, *paid_minutes, cost.as_ref()),
    }
}

/// Returns the figures of dropped requests in words; empty for all others.
fn of_dropped(measured: &Measured) -> String {
    match measured {
        Measured::Dropped {
            requests,
            of,
            sent_again: 0,
        } => format!("{requests} of {of} requests"),
        Measured::Dropped {
            requests,
            of,
            sent_again,
        } => format!(
            "{requests} of {of} requests; {sent_again} sent again, as their kept connection was closed"
        ),
        Measured::DroppedByBalancer {
            gateway_errors,
            connection_errors,
            requests,
        } => format!(
            "{gateway_errors:.0} 502 and {connection_errors:.0} failed connections to targets, of {requests:.0} requests"
        ),
        _ => String::new(),
    }
}

/// Returns the figures of new instances in words; empty for all others.
fn of_new_instances(measured: &Measured) -> String {
    match measured {
        Measured::NeverServed { instances } => format!(
            "{} terminated before it ever served",
            units::count(*instances, "new instance")
        ),
        Measured::NewInstances {
            errors,
            answers,
            instances,
        } => format!(
            "{errors} errors in {answers} answers of {}",
            units::count(*instances, "instance")
        ),
        Measured::WhileNew { errors, requests } => {
            format!("{errors} errors in {requests} requests")
        }
        _ => String::new(),
    }
}

fn metric(value: &MetricValue) -> String {
    match value {
        MetricValue::Percentile {
            percentile,
            value_us,
        } => format!("p{percentile} = {}", latency(*value_us)),
        MetricValue::Mean { value_us } => format!("mean = {}", latency(*value_us)),
        MetricValue::Max { value_us } => format!("max = {}", latency(*value_us)),
        MetricValue::Errors {
            share,
            errors,
            requests,
        } => format!("errors = {:.2}% ({errors} of {requests})", share * 100.0),
        MetricValue::Checks {
            share,
            failed,
            checks,
        } => format!(
            "checks = {:.2}% ({failed} of {checks} failed)",
            share * 100.0
        ),
        MetricValue::Rate { per_second } => format!("rate = {per_second:.1}/s"),
    }
}

fn run(figures: &RunFigures) -> String {
    match figures {
        RunFigures::LoadSent { share } => format!("{:.1}% of what was asked", share * 100.0),
        RunFigures::Saturation {
            latest_s,
            busy_share,
        } => format!("at most {latest_s} late, {:.0}% busy", busy_share * 100.0),
        RunFigures::TasksComplete { complete, tasks } => {
            format!("{complete} of {tasks} tasks complete")
        }
        RunFigures::Requests { count, requests } => format!("{count} of {requests} requests"),
        RunFigures::OtherLoad {
            ours,
            all,
            compared_s,
            load_s,
            ..
        } => {
            let requests = format!("{ours} of {all} requests");
            match compared_s {
                0 => requests,
                compared_s => format!("{requests} in {compared_s} of {load_s} seconds"),
            }
        }
        RunFigures::OutOfSight {
            unseen_s,
            watched_s,
        } => format!("out of sight for {unseen_s} of {watched_s}"),
    }
}

fn pinned(
    maximum: u32,
    seconds: u64,
    in_spike: Option<&AtMaximum>,
    besides: Option<&AtMaximum>,
) -> String {
    let mut parts = vec![format!(
        "pinned at {maximum} for {}",
        units::count(seconds, "second")
    )];
    parts.extend(in_spike.map(|one| at_maximum(one, "of the spike")));
    parts.extend(besides.map(|one| at_maximum(one, "besides")));
    parts.join("; ")
}

fn excess(share: f64, paid_minutes: f64, cost: Option<&Cost>) -> String {
    let cost = cost.map_or(String::new(), |cost| {
        format!(
            " ({}, us-east-1 in {}; other regions differ)",
            cost.usd, cost.prices_of
        )
    });
    format!("{:.0}% of {paid_minutes:.1}{cost}", share * 100.0)
}

/// Describes the answers, for example `p95 = 900ms, errors = 2.10%`.
fn answered(answered: &Answered) -> String {
    let p95 = answered
        .p95_s
        .map_or("too few answers for a p95".to_owned(), |p95| {
            format!("p95 = {p95}")
        });
    format!("{p95}, errors = {:.2}%", answered.errors_share * 100.0)
}

fn at_maximum(found: &AtMaximum, place: &str) -> String {
    let new = match found.errors_of_new_instances {
        0 => String::new(),
        errors => format!(", {errors} errors of new instances left out"),
    };
    format!(
        "{} in {} {place}{new}",
        answered(&found.answered),
        units::count(found.answered.seconds, "second")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_rates_have_a_decimal() {
        let said = [1.5, 2.0, 9.96, 190.4, 2.04].map(rate);
        assert_eq!(said, ["1.5", "2", "10", "190", "2"]);
    }

    #[test]
    fn shares_are_said_without_needless_digits() {
        assert_eq!(
            (percent(0.25), percent(0.005), percent(1.0)),
            ("25".to_owned(), "0.5".to_owned(), "100".to_owned())
        );
    }
}
