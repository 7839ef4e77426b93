//! The load second by second, as asked and as answered, and how well the group's size matched it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Requests that the scenario asked of the target; in the closed model, the requests that the
    /// same users would have sent to a target that stayed fast.
    pub demand: f64,
    /// Requests of this second that were answered as expected.
    pub ok: u64,
    /// Requests of this second that failed.
    pub errors: u64,
    /// 95th percentile of the latency from the intended start, in microseconds.
    pub p95: Option<u64>,
}

/// The way in which the phases of a load ask for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadModel {
    /// Every phase has a rate, which does not ease off when the target grows slow.
    Open,
    /// Every phase has users, who wait for their answers.
    Closed,
    /// Some phases have a rate, others have users.
    Mixed,
}

impl LoadModel {
    /// Returns the model of a load with phases of these models.
    pub fn of(phases: impl Iterator<Item = Model>) -> Self {
        let (mut rates, mut users) = (false, false);
        for model in phases {
            match model {
                Model::Rate => rates = true,
                Model::Users => users = true,
            }
        }
        match (rates, users) {
            (true, true) => Self::Mixed,
            (false, true) => Self::Closed,
            (_, false) => Self::Open,
        }
    }
}

/// Latency of a low load, as a multiple of the lower quartile of each second's p95.
const LOW_LATENCY: f64 = 1.5;
/// Fewest seconds of low load from which the rate of a user is taken.
const LEAST_CALM: usize = 3;

/// Returns the requests that one user sends in a second while the target is fast: one for each think
/// time and latency at low load. `None` if too few seconds show it.
fn each_user(asked: &[f64], sent: &[u64], p95: &[Option<u64>]) -> Option<f64> {
    let mut known: Vec<u64> = p95.iter().copied().flatten().collect();
    known.sort_unstable();
    let low = *known.get(known.len() / 4)? as f64 * LOW_LATENCY;
    let calm: Vec<(f64, u64)> = asked
        .iter()
        .zip(sent)
        .zip(p95)
        .filter(|((asked, _), p95)| **asked > 0.0 && p95.is_some_and(|p95| p95 as f64 <= low))
        .map(|((asked, sent), _)| (*asked, *sent))
        .collect();
    let users: f64 = calm.iter().map(|(users, _)| users).sum();
    let requests: u64 = calm.iter().map(|(_, sent)| sent).sum();
    (calm.len() >= LEAST_CALM && users > 0.0).then(|| requests as f64 / users)
}

/// Returns the requests asked of the target in each second. In the open model the load does not
/// ease off, so it is the planned load. In the closed model it lies between the requests sent and
/// those that the same users send to a fast target; this is the upper bound. Where models are
/// mixed, only the requests sent are known.
pub fn demand(model: LoadModel, asked: &[f64], sent: &[u64], p95: &[Option<u64>]) -> Vec<f64> {
    if model != LoadModel::Open {
        let each = match model {
            LoadModel::Closed => each_user(asked, sent, p95).unwrap_or(0.0),
            _ => 0.0,
        };
        let bounds = asked.iter().zip(sent);
        return bounds
            .map(|(users, sent)| (*sent as f64).max(users * each))
            .collect();
    }
    let all: f64 = asked.iter().sum();
    let each = if all > 0.0 {
        sent.iter().sum::<u64>() as f64 / all
    } else {
        0.0
    };
    asked.iter().map(|asked| asked * each).collect()
}

/// Returns the load by second, as measured.
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
    let model = LoadModel::of(scenario.phases.iter().map(|phase| phase.model));
    let micros = |p95: Duration| p95.as_micros() as u64;
    let p95: Vec<Option<u64>> = merged
        .iter()
        .map(|merged| merged.latency.percentile(95.0).map(micros))
        .collect();
    demand(model, &asked, &sent, &p95)
        .into_iter()
        .zip(&merged)
        .zip(p95)
        .map(|((demand, merged), p95)| Second {
            demand,
            ok: merged.tally.ok,
            errors: merged.tally.errors(),
            p95,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten users with a second between requests, then a hundred; the target answers 50 in a second.
    fn users() -> (Vec<f64>, Vec<u64>, Vec<Option<u64>>) {
        let asked = [vec![10.0; 10], vec![100.0; 10]].concat();
        let sent = [vec![10; 10], vec![50; 10]].concat();
        let p95 = [vec![Some(20_000); 10], vec![Some(1_000_000); 10]].concat();
        (asked, sent, p95)
    }

    #[test]
    fn users_who_wait_would_have_asked_more_of_a_fast_target() {
        let (asked, sent, p95) = users();
        let found = demand(LoadModel::Closed, &asked, &sent, &p95);
        assert_eq!((found[5], found[15]), (10.0, 100.0));
        let mixed = demand(LoadModel::Mixed, &asked, &sent, &p95);
        assert_eq!((mixed[5], mixed[15]), (10.0, 50.0));
        let open = demand(LoadModel::Open, &asked, &sent, &p95);
        assert!(open[15] > 50.0, "{open:?}");
    }

    #[test]
    fn what_was_sent_is_never_too_much_and_without_calm_seconds_all_that_is_known() {
        let (asked, mut sent, p95) = users();
        sent[15] = 400;
        let found = demand(LoadModel::Closed, &asked, &sent, &p95);
        assert_eq!((found[5], found[15]), (10.0, 400.0));
        let unknown = demand(LoadModel::Closed, &asked, &sent, &vec![None; 20]);
        assert_eq!((unknown[5], unknown[14]), (10.0, 50.0));
    }
}
