//! A replayed policy, and its predicted result.

use std::time::Duration;

use super::others::Assumption;
use model::units::{Seconds, seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The difference between a candidate and the policy that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Change {
    /// The policy as it ran.
    Nothing,
    /// Another target value of target tracking.
    Target {
        /// Target value, in the metric's unit.
        target: f64,
    },
    /// A step policy that fires on one datapoint, beside the policy that is there.
    Step {
        /// Metric value above which the step fires.
        threshold: f64,
        /// Instances to add.
        add: u32,
    },
    /// A higher minimum of the group.
    Minimum {
        /// Minimum size of the group.
        min: u32,
    },
    /// A higher maximum, and the change that comes with it.
    Maximum {
        /// Maximum size of the group.
        max: u32,
        /// The other change; `null` where the policy stays.
        with: Option<Box<Change>>,
    },
    /// Alarms that look at shorter periods.
    Period {
        /// Period of the metric's datapoints.
        #[serde(rename = "period_s", alias = "period", with = "seconds")]
        #[schemars(with = "Seconds")]
        period: Duration,
    },
    /// A shorter warm-up of new instances, of the policies or of the group.
    WarmUp {
        /// Time from in service until the instance counts in the metric.
        #[serde(rename = "warm_up_s", with = "seconds")]
        #[schemars(with = "Seconds")]
        warm_up: Duration,
    },
    /// A warm pool, from which instances come into service sooner.
    WarmPool {
        /// Time from the launch out of the pool until in service.
        #[serde(rename = "boot_s", alias = "boot", with = "seconds")]
        #[schemars(with = "Seconds")]
        boot: Duration,
    },
    /// A scheduled action that raises the minimum for a time.
    Scheduled {
        /// Start of the raised minimum, from the start of the load.
        #[serde(rename = "from_s", alias = "from", with = "seconds")]
        #[schemars(with = "Seconds")]
        from: Duration,
        /// End of the raised minimum, from the start of the load.
        #[serde(rename = "until_s", alias = "until", with = "seconds")]
        #[schemars(with = "Seconds")]
        until: Duration,
        /// Minimum size of the group for that time.
        min: u32,
    },
    /// The user's own change, given by `--what-if`.
    WhatIf,
}

/// A policy and its result, predicted by replaying the measured load.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Name in words, for example `target 40`.
    pub name: String,
    /// Difference from the policy that ran.
    pub change: Change,
    /// Seconds in which more was asked than the instances carry within the limits.
    pub over_limit: u32,
    /// Requests that could not have been carried.
    pub errors: u64,
    /// Minutes of all instances, summed.
    pub instance_minutes: f64,
    /// Cost of those minutes in US dollars; `None` where no price is known.
    pub usd: Option<f64>,
    /// Largest size of the group.
    pub most_instances: u32,
    /// Turns of the group's size that the load did not ask for.
    pub turns: u32,
    /// True for the candidate that the advice recommends.
    pub recommended: bool,
    /// The assumption behind the prediction, where the run does not show it; `None` where there is
    /// none.
    pub assumes: Option<Assumption>,
}

impl Candidate {
    /// Returns the candidate with this number of turns.
    pub(super) fn with_turns(self, turns: u32) -> Self {
        Self { turns, ..self }
    }
}

/// The reason why a candidate is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// It is the cheapest that holds the limit.
    CheapestThatHolds,
    /// It is the cheapest that holds the limit if its assumption is true, and no other helps.
    CheapestIfAssumed,
    /// No candidate without an assumption holds the limit, and it misses least.
    MissesLeast,
    /// No candidate without an assumption helps. It misses least if its assumption is true.
    MissesLeastIfAssumed,
    /// No candidate misses clearly less, and it costs least.
    CostsLeast,
    /// The policy that ran holds the limit, and no other candidate is clearly cheaper.
    NoneCheaper,
    /// The policy that ran misses the limit, and no other candidate misses clearly less.
    NoneBetter,
}
