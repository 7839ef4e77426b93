//! The load second by second, as asked and as answered, and how well the group's size matched it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hypotheses::Baseline;
use model::measure::{Results, Select};
use model::plan::Schedule;
use model::scenario::{Model, Scenario};

/// Fewest requests from which a percentile means something.
pub const LEAST_REQUESTS: u64 = 20;
/// Share of errors that a target may have where the scenario sets no limit; it is the default
/// threshold's.
pub const ERRORS: f64 = 0.01;

/// Returns the share of the load asked for that must have been sent, in iterations or in users.
/// Users wait for slow answers, and so send a little less.
pub fn least_sent(is_open: bool) -> f64 {
    if is_open { 0.99 } else { 0.95 }
}

/// One second of the load, as asked and as answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests that were asked of the target: those of the scenario (in the closed model, those
    /// that were sent) and those of others.
    pub demand: f64,
    /// The part of `demand` that others sent, by the load balancer's count.
    pub others: f64,
    /// Requests of this second that were answered as expected.
    pub ok: u64,
    /// Requests of this second that failed, without `constant`.
    pub errors: u64,
    /// Requests of this second that fail whatever the load.
    pub constant: u64,
    /// 95th percentile of the latency from the intended start, in microseconds.
    pub p95: Option<u64>,
}

impl Second {
    /// Returns the requests of all that were answered as expected, if those of others were answered
    /// like ours.
    pub fn answered(&self) -> f64 {
        let ours = self.demand - self.others;
        let all = if ours > 0.0 { self.demand / ours } else { 1.0 };
        self.ok as f64 * all
    }
}

/// Returns the requests asked of the target in each second. In the open model the load does not
/// ease off, so it is the planned load. In the closed model only the requests sent are known.
pub fn demand(open: bool, asked: &[f64], sent: &[u64]) -> Vec<f64> {
    if !open {
        return sent.iter().map(|sent| *sent as f64).collect();
    }
    let all: f64 = asked.iter().sum();
    let each = if all > 0.0 {
        sent.iter().sum::<u64>() as f64 / all
    } else {
        0.0
    };
    asked.iter().map(|asked| asked * each).collect()
}

/// Returns the load by second, as measured, with the errors of the baseline apart.
pub fn by_second(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    baseline: &Baseline,
) -> Vec<Second> {
    let merged = results.by_second(Select::default());
    let middle = |second: usize| Duration::from_millis(second as u64 * 1_000 + 500);
    let asked: Vec<f64> = (0..merged.len())
        .map(|second| schedule.level_at(middle(second)))
        .collect();
    let sent: Vec<u64> = merged
        .iter()
        .map(|merged| merged.tally.ok + merged.tally.errors())
        .collect();
    let open = scenario
        .phases
        .iter()
        .all(|phase| phase.model == Model::Rate);
    let micros = |p95: Duration| p95.as_micros() as u64;
    demand(open, &asked, &sent)
        .into_iter()
        .zip(&merged)
        .enumerate()
        .map(|(second, (demand, merged))| {
            let constant = baseline.errors(second).min(merged.tally.errors());
            Second {
                demand,
                others: 0.0,
                ok: merged.tally.ok,
                errors: merged.tally.errors() - constant,
                constant,
                p95: merged.latency.percentile(95.0).map(micros),
            }
        })
        .collect()
}

/// Distance of the group's size from the size that the load needed, by the metrics of Herbst and
/// others (BUNGEE). These are shares of the time, and missing or excess instances averaged over all
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Elasticity {
    /// Share of the time with too few instances, from 0 to 1.
    pub timeshare_under: f64,
    /// Share of the time with too many instances, from 0 to 1.
    pub timeshare_over: f64,
    /// Missing instances, averaged over all seconds.
    pub accuracy_under: f64,
    /// Excess instances, averaged over all seconds.
    pub accuracy_over: f64,
    /// Minutes of instances that served and were not needed; the group's minimum counts as needed.
    pub over_instance_minutes: f64,
}

/// Computes the metrics. `least` instances count as needed whatever the load.
pub fn elasticity(seconds: &[Second], serving: &[u32], at_limit: f64, least: u32) -> Elasticity {
    let (mut under, mut over, mut missing, mut idle) = (0u32, 0u32, 0.0, 0.0);
    for (second, there) in seconds.iter().zip(serving) {
        let needed = (second.demand / at_limit).ceil().max(f64::from(least));
        let there = f64::from(*there);
        under += u32::from(there < needed);
        over += u32::from(there > needed);
        missing += (needed - there).max(0.0);
        idle += (there - needed).max(0.0);
    }
    let seconds = seconds.len().max(1) as f64;
    Elasticity {
        timeshare_under: f64::from(under) / seconds,
        timeshare_over: f64::from(over) / seconds,
        accuracy_under: missing / seconds,
        accuracy_over: idle / seconds,
        over_instance_minutes: idle / 60.0,
    }
}

/// Confidence of an estimate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The estimate is too unsure to judge by.
    Low,
    /// The estimate rests on an inference or an assumption.
    Medium,
    /// The run itself shows the estimate.
    High,
}

impl Confidence {
    /// Returns the confidence one step lower.
    pub fn lower(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }

    /// Returns the word that reports use, for example `low`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
