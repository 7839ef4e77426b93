//! The seconds of the run, prepared for the tests of the hypotheses.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::{Baseline, Observed, second_of};
use crate::load::{ERRORS, Second};
use model::measure::{LatencyHistogram, Merged, Select, Tally};

/// Seconds for which the group must have had its size, for its answers to show it.
pub(super) const SETTLED: usize = 3;

/// The evidence, and for each second whether it missed a limit.
pub(crate) struct Seen<'a> {
    pub(super) of: &'a Observed<'a>,
    /// True for each second that missed a limit.
    pub(super) bad: Vec<bool>,
    /// All requests of each second.
    pub(super) merged: Vec<Merged>,
    /// The requests of each second without the errors that are always there.
    pub(super) failed: Vec<Tally>,
    /// The spikes, in seconds of the load.
    pub(super) spikes: Vec<Range<usize>>,
    /// The seconds that are judged together, since each has too few requests.
    pools: Vec<Range<usize>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(of: &'a Observed<'a>, baseline: &Baseline) -> Self {
        let merged = of.results.by_second(Select::default());
        let failed = (0..)
            .zip(&merged)
            .map(|(second, one)| baseline.without(second, one.tally))
            .collect();
        let pools = pools(of.load);
        let bad = pools
            .iter()
            .flat_map(|pool| vec![misses(&of.load[pool.clone()], of.limit); pool.len()])
            .collect();
        let last = of.load.len();
        let second = |at| {
            second_of(of.times, at)
                .map_or(0, |at| at as usize)
                .min(last)
        };
        let spikes = of
            .times
            .spikes
            .iter()
            .map(|span| {
                let from = span.rose.map_or(0, second);
                let until = span.fell.map_or(last, second);
                from..until.max(from)
            })
            .collect();
        Self {
            of,
            bad,
            merged,
            failed,
            spikes,
            pools,
        }
    }

    pub(super) fn is_any_bad(&self) -> bool {
        self.bad.iter().any(|bad| *bad)
    }

    pub(super) fn bad_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        range.filter(|second| self.bad.get(*second).copied().unwrap_or(false))
    }

    /// Returns all seconds that missed a limit.
    pub(super) fn all_bad(&self) -> impl Iterator<Item = usize> + '_ {
        self.bad_in(0..self.bad.len())
    }

    pub(super) fn serving(&self, second: usize) -> u32 {
        self.of.serving.get(second).copied().unwrap_or(0)
    }

    /// Returns the load of each serving instance in a second; `None` where none serves.
    pub(super) fn each(&self, second: usize) -> Option<f64> {
        let serving = self.serving(second);
        let load = self.of.load.get(second)?;
        (serving > 0).then(|| load.demand / f64::from(serving))
    }

    /// Returns true if the group has had its size for some seconds.
    pub(super) fn is_settled(&self, second: usize) -> bool {
        let serving = self.serving(second);
        second >= SETTLED && (second - SETTLED..second).all(|other| self.serving(other) == serving)
    }

    /// Returns the highest load of an instance that held the limits before a second, with a settled
    /// group.
    pub(super) fn held_before(&self, second: usize) -> Option<f64> {
        (0..second)
            .filter(|at| self.is_held(*at))
            .filter_map(|at| self.each(at))
            .max_by(f64::total_cmp)
    }

    /// Returns true if a second held the limits with a settled group, and not only because a queue
    /// was still filling: the same load on as many instances misses none right after.
    fn is_held(&self, second: usize) -> bool {
        let load = |at: usize| self.of.load[at].demand;
        let is_same = |at: usize| {
            self.serving(at) == self.serving(second) && load(at) <= load(second) * NEARLY
        };
        let next = second + 1..self.bad.len().min(second + 1 + FILLS);
        let mut same = next.take_while(|at| is_same(*at));
        // A look sees late that new instances serve.
        let mut soon = second + 1..=second + FILLS;
        let grows = soon.any(|at| self.serving(at) > self.serving(second));
        let holds = !self.bad[second] && self.is_settled(second) && self.requests(second) > 0;
        holds && !grows && !same.any(|at| self.bad[at])
    }

    pub(super) fn requests(&self, second: usize) -> u64 {
        let tally = self.merged.get(second).map(|merged| merged.tally);
        tally.map_or(0, |tally| tally.requests())
    }

    /// Returns the sum of the tallies of some seconds.
    pub(super) fn tally(&self, seconds: impl IntoIterator<Item = usize>) -> Tally {
        let mut sum = Tally::default();
        for merged in seconds.into_iter().filter_map(|at| self.merged.get(at)) {
            sum.merge(&merged.tally);
        }
        sum
    }

    /// Returns the same without the errors that are always there.
    pub(super) fn failed(&self, seconds: &[usize]) -> Tally {
        let mut sum = Tally::default();
        for tally in seconds.iter().filter_map(|at| self.failed.get(*at)) {
            sum.merge(tally);
        }
        sum
    }

    /// Returns the answers of an instance in a second.
    pub(super) fn own(&self, instance: &str, second: usize) -> Merged {
        let at = second as u32;
        self.of.results.of_instance(instance, Some((at, at + 1)))
    }

    /// Returns the answers of all instances in a second but those that `is_left_out`.
    pub(super) fn others(&self, second: usize, is_left_out: impl Fn(&str) -> bool) -> Merged {
        let mut merged = Merged::default();
        let others = self.of.results.instances().filter(|id| !is_left_out(id));
        others.for_each(|id| merged.merge(&self.own(id, second)));
        merged
    }

    /// Returns the bad seconds around these that hold the limits without the answers that are left
    /// out, and the number of all bad ones. Seconds of one pool hold together, or not at all.
    pub(super) fn held_without(
        &self,
        seconds: &BTreeSet<usize>,
        is_left_out: impl Fn(&str, usize) -> bool,
    ) -> (BTreeSet<u32>, u32) {
        let (mut held, mut of) = (BTreeSet::new(), 0);
        let touched = |pool: &&Range<usize>| seconds.range((**pool).clone()).next().is_some();
        let pools = self.pools.iter().filter(touched);
        for pool in pools.filter(|pool| self.bad[pool.start]) {
            let mut rest = Merged::default();
            for second in pool.clone() {
                rest.merge(&self.others(second, |id| is_left_out(id, second)));
            }
            of += pool.len() as u32;
            if rest.tally.requests() > 0 && self.holds(&rest) {
                held.extend(pool.clone().map(|second| second as u32));
            }
        }
        (held, of)
    }

    /// Returns the seconds that are judged together with this one.
    pub(super) fn pool_of(&self, second: usize) -> Option<Range<usize>> {
        let at = self.pools.partition_point(|pool| pool.end <= second);
        self.pools.get(at).cloned()
    }

    /// Returns true if a second has too few requests to be judged by itself.
    pub(super) fn is_pooled(&self, second: usize) -> bool {
        self.pool_of(second).is_some_and(|pool| pool.len() > 1)
    }

    /// Returns true if these answers hold the limits.
    pub(super) fn holds(&self, merged: &Merged) -> bool {
        let requests = merged.tally.requests();
        let errors = merged.tally.errors();
        let is_slow = p95(&merged.latency).is_some_and(|p95| p95 > self.limit_us());
        !is_slow && errors as f64 <= requests as f64 * ERRORS
    }

    /// Returns true if a header names instances by the ids that the group has for them. Other names
    /// tell no instance of the group from another.
    pub(super) fn names_members(&self) -> bool {
        let looks = self.of.timeline.groups();
        let members: BTreeSet<&str> = looks
            .flat_map(|(_, group)| &group.instances)
            .map(|instance| instance.id.as_str())
            .collect();
        self.of.results.instances().any(|id| members.contains(id))
    }

    /// Returns true if the header that names instances comes with failed answers, too.
    pub(super) fn errors_are_named(&self) -> bool {
        let results = self.of.results;
        let errors = |id| results.of_instance(id, None).tally.errors();
        results.names_instances() && results.instances().any(|id| errors(id) > 0)
    }

    /// Returns true if p95 of a second is over its limit.
    pub(super) fn is_slow(&self, second: usize) -> bool {
        let p95 = self.of.load[second].p95;
        p95.is_some_and(|p95| p95 > self.limit_us())
    }

    pub(super) fn limit_us(&self) -> u64 {
        self.of.limit.as_micros() as u64
    }

    /// Returns the seconds that missed a limit at a load of an instance that had held before, while
    /// no backlog was left from a higher load.
    pub(super) fn contradicted(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut backlog = false;
        for second in 0..self.bad.len() {
            if !self.bad[second] {
                backlog = false;
                continue;
            }
            let (Some(each), Some(held)) = (self.each(second), self.held_before(second)) else {
                continue;
            };
            // A load that no size had held leaves requests behind.
            backlog |= each > held * NEARLY;
            // A queue that fills makes the same load slower, but fails nothing at once.
            let least = match self.is_slow(second) {
                true => held * FAR_BELOW,
                false => held,
            };
            if !backlog && each <= least {
                found.insert(second);
            }
        }
        found
    }
}

/// Seconds after which a queue that only fills has missed the limit.
const FILLS: usize = 3;
/// Share of a load that held, up to which a slow second contradicts it.
pub(super) const FAR_BELOW: f64 = 0.9;
/// Factor up to which two loads count as the same.
pub(super) const NEARLY: f64 = 1.1;

/// Returns the pools of the load's seconds.
fn pools(load: &[Second]) -> Vec<Range<usize>> {
    let mut from = 0;
    let range = |pool: &[Second]| {
        let range = from..from + pool.len();
        from = range.end;
        range
    };
    load.chunk_by(|_, next| next.pooled).map(range).collect()
}

/// Returns true if a pool of seconds missed the latency limit, or failed more requests than usual.
fn misses(pool: &[Second], limit: Duration) -> bool {
    let errors: u64 = pool.iter().map(|second| second.errors).sum();
    let requests = errors + pool.iter().map(|second| second.ok).sum::<u64>();
    let p95 = pool.first().and_then(|second| second.p95);
    let is_slow = p95.is_some_and(|p95| u128::from(p95) > limit.as_micros());
    requests > 0 && (is_slow || errors as f64 > requests as f64 * ERRORS)
}

/// Returns the p95 in microseconds.
pub(super) fn p95(latency: &LatencyHistogram) -> Option<u64> {
    latency.percentile(95.0).map(|p95| p95.as_micros() as u64)
}

/// Returns the mean; zero for no values.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// Returns the median of some values.
pub(super) fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
