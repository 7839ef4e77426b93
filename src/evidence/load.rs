//! The load second by second, as asked and as answered, and how well the group's size matched it.

use std::ops::Range;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hypotheses::Baseline;
use model::measure::{Merged, Results, Select};
use model::plan::Schedule;
use model::scenario::{Model, Scenario};

/// Fewest samples for p95: [`samples_needed`] of 95.
pub const LEAST_REQUESTS: u64 = 20;
/// Seconds after a change of the group's size that do not count as settled.
pub(crate) const SETTLING: usize = 2;
/// Share of errors that a target may have where the scenario sets no limit; it is the default
/// threshold's.
pub const ERRORS: f64 = 0.01;

/// Returns the fewest samples for a percentile. At least one must lie beyond it, or it is only the
/// maximum under another name.
pub fn samples_needed(percentile: f64) -> u64 {
    (100.0 / (100.0 - percentile) - 1e-9).ceil() as u64
}

/// Returns the p95 of the latency; `None` if there are too few samples for one.
pub fn p95(merged: &Merged) -> Option<Duration> {
    let is_enough = merged.latency.count() >= LEAST_REQUESTS;
    merged.latency.percentile(95.0).filter(|_| is_enough)
}

/// Returns the share of the load asked for that must have been sent, in iterations or in users.
/// Users wait for slow answers, and so send a little less.
pub fn least_sent(is_open: bool) -> f64 {
    if is_open { 0.99 } else { 0.95 }
}

/// One second of the load, as asked and as answered.
///
/// A second with few requests has no percentile of its own. It is pooled with its neighbours, until
/// the pool has enough samples for p95. All seconds of a pool have the same planned level and the
/// same group size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests that were asked of the target: those of the scenario and those of others, averaged over
    /// the pool. In the closed model those of the scenario are the requests that the same users would
    /// have sent to a target that stayed fast.
    pub demand: f64,
    /// The part of `demand` that others sent, by the load balancer's count.
    pub others: f64,
    /// Requests of this second that were answered as expected.
    pub ok: u64,
    /// Requests of this second that failed, without `constant`.
    pub errors: u64,
    /// Requests of this second that fail whatever the load.
    pub constant: u64,
    /// 95th percentile of the latency from the intended start over the second's pool, in
    /// microseconds; `None` if the pool has too few samples.
    pub p95: Option<u64>,
    /// True if this second is in the same pool as the one before it.
    pub pooled: bool,
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

/// Share by which users must have asked for more than was sent, for the load to have eased off.
const EASED_OFF: f64 = 0.1;
/// Share of the highest load from which a second counts as one of it.
const HIGHEST: f64 = 0.9;

/// Returns the highest latency that counts as that of a low load; `None` without any.
fn low_latency(p95: impl Iterator<Item = Option<u64>>) -> Option<f64> {
    let mut known: Vec<u64> = p95.flatten().collect();
    known.sort_unstable();
    let quartile = *known.get(known.len() / 4)?;
    Some(quartile as f64 * LOW_LATENCY)
}

/// Returns the bounds of a load by users who waited for slow answers: the requests that they sent in
/// a second, and those that as many users send to a fast target. These are means over the slow
/// seconds of the highest load. `None` if the load did not ease off in them.
pub fn eased_off(seconds: &[Second]) -> Option<(f64, f64)> {
    let low = low_latency(seconds.iter().map(|second| second.p95))?;
    let is_slow = |second: &&Second| second.p95.is_some_and(|p95| p95 as f64 > low);
    let slow: Vec<&Second> = seconds.iter().filter(is_slow).collect();
    let highest = slow.iter().map(|second| second.demand).fold(0.0, f64::max);
    let (mut sent, mut offered, mut count) = (0.0, 0.0, 0.0);
    for second in slow.iter().filter(|one| one.demand >= highest * HIGHEST) {
        sent += second.others + (second.ok + second.errors + second.constant) as f64;
        offered += second.demand;
        count += 1.0;
    }
    (sent < offered * (1.0 - EASED_OFF)).then(|| (sent / count, offered / count))
}

/// Returns the requests that one user sends in a second while the target is fast: one for each think
/// time and latency at low load. `None` if too few seconds show it.
fn each_user(asked: &[f64], sent: &[u64], p95: &[Option<u64>]) -> Option<f64> {
    let low = low_latency(p95.iter().copied())?;
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

/// Returns the load by second, as measured, with the errors of the baseline apart. `serving` is the
/// group's size in each second; empty without a group.
pub fn by_second(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    serving: &[u32],
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
    let model = LoadModel::of(scenario.phases.iter().map(|phase| phase.model));
    let each_p95: Vec<Option<u64>> = merged
        .iter()
        .map(|merged| {
            merged
                .latency
                .percentile(95.0)
                .map(|p95| p95.as_micros() as u64)
        })
        .collect();
    let mut seconds: Vec<Second> = demand(model, &asked, &sent, &each_p95)
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
                p95: None,
                pooled: false,
            }
        })
        .collect();
    for pool in pools(&merged, &asked, serving) {
        let mut all = Merged::default();
        merged[pool.clone()].iter().for_each(|one| all.merge(one));
        let p95 = p95(&all).map(|p95| p95.as_micros() as u64);
        for second in pool.clone() {
            seconds[second].p95 = p95;
            seconds[second].pooled = second > pool.start;
        }
    }
    smooth(&mut seconds);
    seconds
}

/// Gives all seconds of a pool the mean of their demand. A second's own demand in a small closed
/// load is chance.
pub fn smooth(seconds: &mut [Second]) {
    for pool in seconds.chunk_by_mut(|_, next| next.pooled) {
        let mean = pool.iter().map(|second| second.demand).sum::<f64>() / pool.len() as f64;
        for second in pool {
            second.demand = mean;
        }
    }
}

/// Divides the seconds into pools: each is as short as its samples allow.
fn pools(merged: &[Merged], asked: &[f64], serving: &[u32]) -> Vec<Range<usize>> {
    let size = |second: usize| serving.get(second).copied().unwrap_or(0);
    let is_settled = |second: usize| {
        (second.saturating_sub(SETTLING)..second).all(|before| size(before) == size(second))
    };
    let is_alike = |one: usize, other: usize| {
        (asked[one] - asked[other]).abs() < f64::EPSILON
            && size(one) == size(other)
            && is_settled(one) == is_settled(other)
    };
    let mut found = Vec::new();
    let mut from = 0;
    while from < merged.len() {
        let until = (from + 1..merged.len()).find(|second| !is_alike(from, *second));
        let until = until.unwrap_or(merged.len());
        found.extend(divide(merged, from..until));
        from = until;
    }
    found
}

/// Divides a stretch of alike seconds into pools with enough samples. What is left at its end
/// belongs to the last pool.
fn divide(merged: &[Merged], stretch: Range<usize>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut from, mut samples, mut errors) = (stretch.start, 0, 0);
    for second in stretch.clone() {
        samples += merged[second].latency.count();
        errors += merged[second].tally.errors();
        // Requests that are refused have no latency: so many errors need no p95.
        if samples >= LEAST_REQUESTS || errors >= LEAST_REQUESTS {
            found.push(from..second + 1);
            (from, samples, errors) = (second + 1, 0, 0);
        }
    }
    if from < stretch.end {
        match found.last_mut() {
            Some(last) => last.end = stretch.end,
            None => found.push(stretch),
        }
    }
    found
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

/// Returns the number of seconds that missed a limit, which more instances may change: their p95 was
/// over it, or too many of their requests failed. Pooled seconds are judged together.
pub fn missed(seconds: &[Second], limit: Duration) -> u32 {
    let pools = seconds.chunk_by(|_, next| next.pooled);
    let missed = pools.filter(|pool| is_missed(pool, limit));
    missed.map(|pool| pool.len() as u32).sum()
}

/// Returns true if a second, or a pool of them, missed a limit.
pub fn is_missed(pool: &[Second], limit: Duration) -> bool {
    let errors: u64 = pool.iter().map(|second| second.errors).sum();
    let requests = errors + pool.iter().map(|second| second.ok).sum::<u64>();
    let p95 = pool.first().and_then(|second| second.p95);
    let is_slow = p95.is_some_and(|p95| Duration::from_micros(p95) > limit);
    is_slow || errors as f64 > requests as f64 * ERRORS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{phases, results};

    /// Two phases of ten seconds at these requests per second, all answered within 50 ms but those
    /// of the seconds in `slow`.
    fn seconds(levels: [f64; 2], serving: &[u32], slow: Range<u32>) -> Vec<Second> {
        let scenario = phases(&levels.map(|level| (level, false)));
        let results = results(&scenario, |second, level| {
            let millis = if slow.contains(&second) { 900 } else { 50 };
            vec![("", level as u64, 0, millis)]
        });
        by_second(
            &scenario,
            &Schedule::new(&scenario),
            &results,
            serving,
            &Baseline::default(),
        )
    }

    fn starts(seconds: &[Second]) -> Vec<usize> {
        let own = seconds.iter().enumerate().filter(|(_, one)| !one.pooled);
        own.map(|(second, _)| second).collect()
    }

    #[test]
    fn at_least_one_sample_lies_beyond_the_percentile() {
        assert_eq!(samples_needed(95.0), LEAST_REQUESTS);
        assert_eq!(samples_needed(99.0), 100);
        assert_eq!(samples_needed(99.9), 1_000);
    }

    #[test]
    fn seconds_with_enough_requests_stay_alone() {
        let found = seconds([100.0, 20.0], &[2; 20], 3..4);
        assert_eq!(starts(&found), (0..20).collect::<Vec<_>>());
        assert!(found[3].p95 > Some(800_000), "{found:?}");
        assert!(found[4].p95 < Some(60_000));
    }

    #[test]
    fn few_requests_are_pooled_until_they_are_enough_for_p95() {
        // 6 a second need 4 seconds for 20 samples; the 2 seconds that are left join the last pool.
        // 1 a second has 10 samples in its phase, too few for any p95.
        let found = seconds([6.0, 1.0], &[2; 20], 4..5);
        assert_eq!(starts(&found), [0, 4, 10]);
        assert!(found[..4].iter().all(|one| one.p95 < Some(60_000)));
        assert!(found[4..10].iter().all(|one| one.p95 > Some(800_000)));
        assert!(found[10..].iter().all(|one| one.p95.is_none()));
    }

    #[test]
    fn a_pool_ends_where_the_level_or_the_size_changes() {
        let serving = [vec![2; 7], vec![3; 13]].concat();
        let found = seconds([5.0, 4.0], &serving, 0..0);
        // From 7 to 8 the new size is not settled; 9 alone has too few.
        assert_eq!(starts(&found), [0, 7, 9, 10, 15]);
        assert_eq!(found[8].p95, None);
        assert_eq!(found[9].p95, None);
    }

    #[test]
    fn the_demand_of_a_pool_is_its_mean() {
        let second = |demand, pooled| Second {
            demand,
            ok: 0,
            errors: 0,
            constant: 0,
            others: 0.0,
            p95: None,
            pooled,
        };
        let mut found = [second(1.0, false), second(3.0, true), second(5.0, false)];
        smooth(&mut found);
        assert_eq!(found.map(|one| one.demand), [2.0, 2.0, 5.0]);
    }

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

    /// Ten seconds of few users, four in which a hundred wait for slow answers, and six in which they
    /// do not; in the first of these all that had waited is answered at once.
    #[test]
    fn a_load_of_users_is_bracketed_in_its_slow_seconds_whatever_came_after_them() {
        let second = |sent: u64, users: f64, millis: u64| Second {
            demand: f64::max(sent as f64, users),
            ok: sent,
            errors: 0,
            constant: 0,
            others: 0.0,
            p95: Some(millis * 1_000),
            pooled: false,
        };
        let calm = vec![second(10, 10.0, 20); 10];
        let slow = vec![second(50, 100.0, 1_000); 4];
        let fast = [
            vec![second(140, 100.0, 20)],
            vec![second(100, 100.0, 20); 5],
        ]
        .concat();
        let all = [calm.clone(), slow, fast.clone()].concat();
        assert_eq!(eased_off(&all), Some((50.0, 100.0)));
        assert_eq!(eased_off(&[calm, fast].concat()), None);
        assert_eq!(eased_off(&[]), None);
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
