//! How the target answered in some seconds, as figures of a finding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use evidence::load;
use model::measure::Merged;
use model::units::Seconds;

/// How the target answered in some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// Their 95th percentile; `None` where the answers are too few for one.
    pub p95_s: Option<Seconds>,
    /// Errors among their requests, from 0 to 1.
    pub errors_share: f64,
    /// How many seconds it was measured over.
    pub seconds: u64,
}

impl Answered {
    /// The answers of `merged`, which were measured over this many seconds.
    pub fn of(merged: &Merged, seconds: usize) -> Self {
        let tally = &merged.tally;
        Self {
            p95_s: load::p95(merged).map(Seconds),
            errors_share: tally.errors() as f64 / tally.requests().max(1) as f64,
            seconds: seconds as u64,
        }
    }
}

/// How the target answered in the seconds in which the whole maximum served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtMaximum {
    /// The answers in those seconds, new instances included.
    pub answered: Answered,
    /// Errors of new instances, which are judged elsewhere.
    pub errors_of_new_instances: u64,
}
