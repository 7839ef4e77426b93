//! Advice, as `report.json` has it: the answers and candidates with their sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advice::{Agreement, Change, Topic};
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
use evidence::price::Price;
use model::scenario::Limit;

/// An answer of the advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedAnswer {
    /// The question, by its id.
    #[serde(rename = "id")]
    pub topic: Topic,
    /// The question in words.
    pub question: String,
    /// The answer in words.
    pub answer: String,
    /// What it rests on, or which run would answer it.
    pub evidence: String,
    /// How sure the answer is.
    pub confidence: Confidence,
}

/// Advice on the scaling policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedAdvice {
    /// The bound of p95 that the answers rest on.
    pub limit: Limit,
    /// In the order of a report; topics that do not apply are left out.
    pub answers: Vec<ReportedAnswer>,
    /// Capacity of one instance; `null` where no second held the limit.
    pub capacity: Option<InstanceCapacity>,
    /// The tracked metric beside the load; `null` where no steady datapoint lies beside it.
    pub metric: Option<Metric>,
    /// How well the replay agrees with the group; `null` where nothing was replayed.
    pub agreement: Option<Agreement>,
    /// Closeness of the group's size to the load; `null` without a known capacity.
    pub elasticity: Option<Elasticity>,
    /// What money is reckoned by, where it is known.
    #[serde(default)]
    pub price: Option<Price>,
    /// The policy that ran is the first.
    pub candidates: Vec<ReportedCandidate>,
    /// Why there are no candidates, if there are none.
    pub no_candidates: Option<String>,
    /// The recommended candidate as Terraform.
    pub snippet: Option<String>,
}

/// A policy with what it would have done, predicted by replaying the load that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedCandidate {
    /// Name in words, for example `target 40`.
    pub name: String,
    /// Difference from the policy that ran.
    pub change: Change,
    /// Seconds in which p95 would have been over its limit.
    pub over_limit: u32,
    /// Requests that could not have been carried.
    pub errors: u64,
    /// Minutes of all instances, summed.
    pub instance_minutes: f64,
    /// Cost of those minutes in US dollars; `null` where no price is known.
    pub usd: Option<f64>,
    /// Largest size of the group.
    pub most_instances: u32,
    /// The candidate that the advice recommends.
    pub recommended: bool,
    /// What had to be assumed, because the run does not show it.
    pub assumes: Option<String>,
}
