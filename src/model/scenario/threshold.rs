//! A judgement on a metric over a run, a phase or each window of one: `p95 < 500ms`, `errors < 1%
//! in spike`, `p99 of checkout < 2s over run`, `errors < 5% within 30s`.

use serde::{Deserialize, Serialize};

/// A threshold, as parsed. `text` is the user's own text, which every report shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The text as written, such as `p95 < 500ms in spike`.
    pub text: String,
    /// The number that is judged.
    pub metric: ThresholdMetric,
    /// The flow, group or step it is about; `None` is all of them.
    pub of: Option<String>,
    /// The comparison of the number with the limit.
    pub comparison: ThresholdOperator,
    /// Microseconds for latencies, a fraction of one for shares, per second for rates.
    pub limit: f64,
    /// The part of the run that is judged.
    pub scope: ThresholdScope,
    /// Length of the windows in whole seconds; the threshold must hold in every one.
    pub within: Option<u32>,
    /// The run is stopped as soon as the threshold fails, but not before this much of its phase (or
    /// of the run) has passed.
    pub abort_after: Option<std::time::Duration>,
}

/// The number that a threshold judges.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdMetric {
    /// A latency percentile, 0 < q < 100.
    Percentile(f64),
    /// The average latency.
    Mean,
    /// The longest latency.
    Max,
    /// Failed requests as a share of all.
    Errors,
    /// Named checks that held, as a share of all that were made.
    Checks,
    /// Requests answered per second.
    Rate,
}

/// The comparison of a threshold or of a size check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ThresholdOperator {
    /// Below the limit.
    #[serde(rename = "<")]
    Less,
    /// Below the limit or equal.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// Above the limit.
    #[serde(rename = ">")]
    Greater,
    /// Above the limit or equal.
    #[serde(rename = ">=")]
    GreaterOrEqual,
}

impl ThresholdOperator {
    /// True if the measured value meets the limit.
    pub fn holds(self, measured: f64, limit: f64) -> bool {
        match self {
            Self::Less => measured < limit,
            Self::LessOrEqual => measured <= limit,
            Self::Greater => measured > limit,
            Self::GreaterOrEqual => measured >= limit,
        }
    }
}

/// The part of a run that a threshold is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdScope {
    /// Every judged phase on its own: a spike must not hide in an average, nor spoil it.
    EachPhase,
    /// One phase, by name: `in NAME`.
    Phase(String),
    /// The judged phases together: `over run`.
    Run,
}
