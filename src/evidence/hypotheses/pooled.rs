//! Answers that are too few in each second: pooled over seconds until they are enough.

use std::ops::Range;

use super::seen::Seen;
use super::{Standing, TellingRun};
use crate::load::LEAST_REQUESTS;
use model::measure::{LatencyHistogram, Merged};

/// Probability of a distribution by chance, up to which it is none, and up to which it may be none.
const SURE: f64 = 0.001;
const LIKELY: f64 = 0.05;

/// The answers of a part of the instances beside those of the rest.
#[derive(Clone, Default)]
pub(super) struct Beside {
    pub own: Merged,
    pub others: Merged,
}

impl Beside {
    pub(super) fn merge(&mut self, more: &Self) {
        self.own.merge(&more.own);
        self.others.merge(&more.others);
    }

    /// Returns true if both have enough answers for a percentile.
    pub(super) fn is_enough(&self) -> bool {
        let of = |merged: &Merged| merged.tally.requests() >= LEAST_REQUESTS;
        of(&self.own) && of(&self.others)
    }

    /// Returns the probability that chance gives so many of all failed answers to these instances,
    /// or of all slow ones.
    pub(super) fn chance(&self, seen: &Seen<'_>, is_failing: bool) -> f64 {
        let events = |merged: &Merged| match is_failing {
            true => merged.tally.errors(),
            false => over(&merged.latency, seen.limit_us()),
        };
        let (own, others) = (events(&self.own), events(&self.others));
        let requests = |merged: &Merged| merged.tally.requests() as f64;
        let all = requests(&self.own) + requests(&self.others);
        chance(own, own + others, requests(&self.own) / all.max(1.0))
    }
}

/// Returns the standing of a difference that chance makes with this probability; `None` if it may
/// well be chance. `is_enough` is true if both sides have enough answers.
pub(super) fn standing(chance: f64, is_enough: bool) -> Option<(Standing, Option<TellingRun>)> {
    if chance <= SURE && is_enough {
        return Some((Standing::Holds, None));
    }
    (chance <= LIKELY).then_some((Standing::Open, Some(TellingRun::MoreRequests)))
}

/// Divides the seconds of an instance's life into pools, each with enough answers of it and of the
/// others. What is left at the end belongs to the last pool.
pub(super) fn pools(seen: &Seen<'_>, id: &str, life: Range<usize>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut from, mut own, mut all) = (life.start, 0, 0);
    for second in life.clone() {
        own += seen.own(id, second).tally.requests();
        all += seen.requests(second);
        if own >= LEAST_REQUESTS && all.saturating_sub(own) >= LEAST_REQUESTS {
            found.push(from..second + 1);
            (from, own, all) = (second + 1, 0, 0);
        }
    }
    if from < life.end {
        match found.last_mut() {
            Some(last) => last.end = life.end,
            None => found.push(life),
        }
    }
    found
}

/// Returns the number of answers that took longer than a limit.
fn over(latency: &LatencyHistogram, limit_us: u64) -> u64 {
    let slow = latency.buckets().filter(|(micros, _)| *micros > limit_us);
    slow.map(|(_, count)| count).sum()
}

/// Returns the probability that at least `own` of `all` events fall on a part that has this share of
/// the requests (the tail of a binomial distribution).
pub(super) fn chance(own: u64, all: u64, share: f64) -> f64 {
    if own == 0 || share >= 1.0 {
        return 1.0;
    }
    if share <= 0.0 {
        return 0.0;
    }
    let rest = 1.0 - share;
    // The probability of exactly `own`, by its logarithm: its factors are far apart.
    let ways = (0..own).map(|one| ((all - one) as f64 / (own - one) as f64).ln());
    let exact = ways.sum::<f64>() + own as f64 * share.ln() + (all - own) as f64 * rest.ln();
    let (mut tail, mut each) = (0.0, exact.exp());
    for events in own..=all {
        tail += each;
        each *= (all - events) as f64 / (events + 1) as f64 * share / rest;
    }
    f64::min(tail, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_binomial_distribution_is_exact() {
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-6;
        assert!(near(chance(3, 3, 0.5), 0.125));
        assert!(near(chance(6, 6, 1.0 / 3.0), 1.0 / 729.0));
        assert!(near(chance(1, 4, 0.25), 1.0 - 0.75_f64.powi(4)));
        assert!((chance(0, 9, 0.2) - 1.0).abs() < f64::EPSILON);
        // A third of thousands is what a third of the requests has by chance, and half of them is not.
        assert!(chance(2_000, 6_000, 1.0 / 3.0) > 0.4);
        assert!(chance(3_000, 6_000, 1.0 / 3.0) < 1e-12);
    }

    #[test]
    fn a_difference_holds_only_if_it_is_no_chance_and_the_answers_are_enough() {
        assert_eq!(standing(0.0001, true), Some((Standing::Holds, None)));
        let open = Some((Standing::Open, Some(TellingRun::MoreRequests)));
        assert_eq!(standing(0.0001, false), open);
        assert_eq!(standing(0.01, true), open);
        assert_eq!(standing(0.2, true), None);
    }
}
