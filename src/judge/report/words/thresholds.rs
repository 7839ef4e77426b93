//! Sentences for the reasons for judgements on thresholds, and for doubts.

use super::figures::{latency, percent};
use crate::verdict::{DoubtReason, ThresholdReason};
use model::scenario::{ThresholdMetric, ThresholdOperator};
use model::units;

pub(super) fn threshold(reason: &ThresholdReason) -> String {
    let fixed = match reason {
        ThresholdReason::OverRequests { requests } => return format!("over {requests} requests"),
        ThresholdReason::LimitMissed {
            metric,
            comparison,
            limit,
        } => return format!("the limit is {}", limit_of(*metric, *comparison, *limit)),
        ThresholdReason::NoneAnswered { requests } => {
            return format!("not one of {requests} requests was answered");
        }
        ThresholdReason::TooFewSamples {
            percentile,
            samples,
            needed,
        } => {
            return format!(
                "{samples} requests are too few for a p{percentile}: it takes {needed}"
            );
        }
        ThresholdReason::WindowLongerThanPhase { window_s } => {
            return format!("it is shorter than a window of {window_s}");
        }
        ThresholdReason::InEachWindow { windows, window_s } => {
            return format!("in each of {windows} windows of {window_s}");
        }
        ThresholdReason::InWindow {
            from_s,
            to_s,
            reason,
        } => return format!("{}, from {from_s} s to {to_s} s", threshold(reason)),
        ThresholdReason::GeneratorSaturated {
            reason,
            saturated_s,
            of_s,
        } => {
            return format!(
                "{}, but the generator was at its own limit in {saturated_s} of {of_s} seconds",
                threshold(reason)
            );
        }
        ThresholdReason::LoadOfOthers {
            reason,
            changed_s,
            of_s,
        } => {
            return beside_others(&threshold(reason), *changed_s, *of_s);
        }
        ThresholdReason::NoRequestEnded => "no request ended there",
        ThresholdReason::NoCheckMade => "no check was made there",
    };
    fixed.to_owned()
}

/// Adds the doubt to a reason.
fn beside_others(reason: &str, changed_s: u64, of_s: u64) -> String {
    format!("{reason}, but load of others may be the cause in {changed_s} of {of_s} seconds")
}

pub(super) fn doubt(reason: &DoubtReason) -> String {
    let DoubtReason::LoadOfOthers {
        reason,
        changed_s,
        of_s,
    } = reason;
    beside_others(&super::because(reason), *changed_s, *of_s)
}

fn limit_of(metric: ThresholdMetric, comparison: ThresholdOperator, limit: f64) -> String {
    let sign = match comparison {
        ThresholdOperator::Less => "<",
        ThresholdOperator::LessOrEqual => "<=",
        ThresholdOperator::Greater => ">",
        ThresholdOperator::GreaterOrEqual => ">=",
    };
    match metric {
        ThresholdMetric::Percentile(_) | ThresholdMetric::Mean | ThresholdMetric::Max => {
            format!("{sign} {}", latency(limit))
        }
        ThresholdMetric::Errors | ThresholdMetric::Checks => format!("{sign} {}%", percent(limit)),
        ThresholdMetric::Rate => format!("{sign} {}", units::rate(limit)),
    }
}
