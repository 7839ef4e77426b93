//! Advice as `report.json` has it: answers and candidates with their sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advice::{Agreement, Change, Chosen, NotAPolicy, Topic};
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
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
    /// The evidence of the answer in words, or the run that would give one.
    pub evidence: String,
    /// Confidence of the answer.
    pub confidence: Confidence,
}

/// Advice on the scaling policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedAdvice {
    /// The bound of p95 that the answers rest on.
    pub limit: Limit,
    /// The answers in the order of a report, without topics that do not apply.
    pub answers: Vec<ReportedAnswer>,
    /// Capacity of one instance; `null` where no second held the limit.
    pub capacity: Option<InstanceCapacity>,
    /// The tracked metric beside the load; `null` where no steady datapoint lies beside it.
    pub metric: Option<Metric>,
    /// Agreement of the replay with the group; `null` where nothing was replayed.
    pub agreement: Option<Agreement>,
    /// Closeness of the group's size to the load; `null` without a known capacity.
    pub elasticity: Option<Elasticity>,
    /// Basis of all costs; `null` where no price is known.
    #[serde(default)]
    pub price: Option<ReportedPrice>,
    /// The replayed policies, the policy that ran first.
    pub candidates: Vec<ReportedCandidate>,
    /// The reason why the recommended candidate is recommended; `null` where there are no candidates,
    /// and in older reports.
    #[serde(default)]
    pub chosen: Option<Chosen>,
    /// The reason why there are no candidates; `null` where there are some.
    pub no_candidates: Option<String>,
    /// The recommended candidate as Terraform; `null` where there is nothing to change.
    pub snippet: Option<String>,
    /// Changes that are no policy, for the limits that each instance has for itself; empty in older
    /// reports.
    #[serde(default)]
    pub beside: Vec<ReportedBeside>,
}

/// A change that is no policy. It has no row among the candidates: no replay shows its result, and
/// it has no price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedBeside {
    /// The change.
    pub change: NotAPolicy,
    /// The change in words.
    pub text: String,
}

/// The price of one instance, or of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedPrice {
    /// US dollars for an hour.
    pub usd: f64,
    /// Source of the price in words: `--instance-price`, or the kind of the instance with date and
    /// region of the list price.
    pub source: String,
}

/// A policy and its result, predicted by replaying the measured load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedCandidate {
    /// Name in words, for example `target 40`.
    pub name: String,
    /// Difference from the policy that ran.
    pub change: Change,
    /// Seconds in which more would have been asked than the instances carry within the limits.
    pub over_limit: u32,
    /// Requests that could not have been carried.
    pub errors: u64,
    /// Minutes of all instances, summed.
    pub instance_minutes: f64,
    /// Cost of those minutes in US dollars; `null` where no price is known.
    pub usd: Option<f64>,
    /// Largest size of the group.
    pub most_instances: u32,
    /// True for the candidate that the advice recommends.
    pub recommended: bool,
    /// The assumption behind the prediction in words; `null` where there is none.
    pub assumes: Option<String>,
}
