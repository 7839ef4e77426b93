//! Advice, as `report.json` has it: the answers and candidates with their sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advice::{Agreement, Change, Topic};
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
use evidence::price::Price;
use model::scenario::Limit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    #[serde(rename = "id")]
    pub topic: Topic,
    pub question: String,
    pub answer: String,
    /// What it rests on, or which run would answer it.
    pub evidence: String,
    pub confidence: Confidence,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    pub limit: Limit,
    pub answers: Vec<Answer>,
    pub capacity: Option<InstanceCapacity>,
    pub metric: Option<Metric>,
    pub agreement: Option<Agreement>,
    pub elasticity: Option<Elasticity>,
    /// What money is reckoned by, where it is known.
    #[serde(default)]
    pub price: Option<Price>,
    /// The policy that ran is the first.
    pub candidates: Vec<Candidate>,
    /// Why there are no candidates, if there are none.
    pub no_candidates: Option<String>,
    /// The recommended candidate as Terraform.
    pub snippet: Option<String>,
}

/// A policy with what it would have done, predicted by replaying the load that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    pub name: String,
    pub change: Change,
    /// Seconds in which p95 would have been over its limit.
    pub over_limit: u32,
    /// Requests that could not have been carried.
    pub errors: u64,
    pub instance_minutes: f64,
    pub usd: Option<f64>,
    pub most_instances: u32,
    pub recommended: bool,
    /// What had to be assumed, because the run does not show it.
    pub assumes: Option<String>,
}
