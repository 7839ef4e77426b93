//! The load second by second, as asked and as answered, and how well the group's size fitted it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use model::measure::{Results, Select};
use model::plan::Schedule;
use model::scenario::{Model, Scenario};

/// Fewer requests say nothing of a percentile.
pub const LEAST_REQUESTS: u64 = 20;
/// The share of errors that a target may make where the scenario says nothing of errors: that of
/// the default threshold.
pub const ERRORS: f64 = 0.01;

/// The share of the load that was asked for which must have been sent, of iterations at a rate and
/// of users. Users wait for slow answers, and so send a little less.
pub fn least_sent(is_open: bool) -> f64 {
    if is_open { 0.99 } else { 0.95 }
}

/// One second of the load, as asked and as answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests that the scenario asked of the target. In the closed model: that the target let it
    /// send.
    pub demand: f64,
    /// Requests of this second that were answered as expected.
    pub ok: u64,
    /// Requests of this second that failed.
    pub errors: u64,
    /// Microseconds from the intended start.
    pub p95: Option<u64>,
}

/// What was asked of the target in each second, in requests. In the open model the load asked for
/// does not ease off: what was asked is what an instance had to carry. In the closed model only
/// what was sent is known.
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

/// The load by second, as measured.
pub fn by_second(scenario: &Scenario, schedule: &Schedule, results: &Results) -> Vec<Second> {
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
        .map(|(demand, merged)| Second {
            demand,
            ok: merged.tally.ok,
            errors: merged.tally.errors(),
            p95: merged.latency.percentile(95.0).map(micros),
        })
        .collect()
}

/// How far the group was from what the load needed, by the metrics of Herbst and others (BUNGEE):
/// shares of the time, and instances too few or too many on average over all of it.
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
    /// Serving and not needed; the group's minimum is needed.
    pub over_instance_minutes: f64,
}

/// `least`: as many are needed whatever the load.
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

/// How sure an estimate is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Too unsure to judge by.
    Low,
    /// It rests on an inference or an assumption.
    Medium,
    /// The run itself shows it.
    High,
}

impl Confidence {
    /// One step less sure.
    pub fn lower(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }

    /// The word that reports use, for example `low`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
