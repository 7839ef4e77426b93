//! Judges new instances by the answers of all instances, where no header names them.

use std::time::Duration;

use super::{finding, is_shared, window};
use crate::verdict::expectations::{over, undoubted};
use crate::verdict::{Finding, Measured, NewInstanceReason};
use evidence::instances::Launched;
use evidence::load::{ERRORS, LEAST_REQUESTS};
use evidence::overload::Overload;
use evidence::{Facts, Suspect};
use model::measure::{LatencyHistogram, Tally};
use model::outcome::Verdict;
use model::scenario::Limit;

/// Share of an instance's answers that may be slower than its p95.
const SLOW: f64 = 0.05;

/// The requests of some of the seconds in which an instance was new.
#[derive(Default)]
struct Part {
    tally: Tally,
    seconds: Vec<u32>,
}

impl Part {
    fn of(facts: &Facts<'_>, seconds: Vec<u32>) -> Self {
        let tally = over(facts.results, &seconds).tally;
        Self { tally, seconds }
    }

    fn has_too_many_errors(&self, facts: &Facts<'_>) -> bool {
        let errors = self.tally.errors();
        let errors = errors.saturating_sub(facts.baseline.likely(&self.seconds));
        errors as f64 > self.tally.requests() as f64 * ERRORS
    }
}

/// Counts all errors in the seconds in which an instance was new. Errors in seconds without overload
/// are the new instance's. It passes only if p95 of each new instance is within the limit as well,
/// whichever instance gave the slow answers.
pub(super) fn judge(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Finding {
    let mut seconds: Vec<u32> = served
        .iter()
        .filter_map(|one| window(facts, one, fresh_for))
        .flat_map(|(from, to)| from..to)
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let overload = facts.overload.sure();
    // Seconds without overload, and seconds in which all instances were overloaded.
    let (over, spare): (Vec<u32>, Vec<u32>) = seconds
        .into_iter()
        .partition(|second| is_over(facts, &overload, *second));
    let (spare, over) = (Part::of(facts, spare), Part::of(facts, over));
    let fails_with_spare = spare.has_too_many_errors(facts);
    let fails_over = over.has_too_many_errors(facts);
    let new_for_s = fresh_for.into();
    let cold = facts
        .hypotheses
        .iter()
        .find(|one| one.suspect == Suspect::ColdInstances && one.is_other());
    let (verdict, reason) = if fails_with_spare && overload.is_known() {
        let reason = NewInstanceReason::ErrorsWithLoadToSpare { new_for_s };
        (Verdict::Failed, reason)
    } else if let Some(cold) = cold {
        let reason = NewInstanceReason::PerhapsCold {
            seconds: cold.count(),
        };
        (Verdict::Inconclusive, reason)
    } else if fails_with_spare || fails_over && spare.tally.requests() < LEAST_REQUESTS {
        let reason = NewInstanceReason::ErrorsPerhapsOverloaded { new_for_s };
        (Verdict::Inconclusive, reason)
    } else {
        let mut served = served.iter();
        match served.find_map(|one| latency(facts, one, fresh_for, &overload)) {
            Some(reason) => (Verdict::Inconclusive, reason),
            None if fails_over => (
                Verdict::Passed,
                NewInstanceReason::ErrorsOnlyOverloaded { new_for_s },
            ),
            None => (
                Verdict::Passed,
                NewInstanceReason::NewInstancesInferred { new_for_s },
            ),
        }
    };
    let measured = Measured::WhileNew {
        errors: spare.tally.errors() + over.tally.errors(),
        requests: spare.tally.requests() + over.tally.requests(),
    };
    finding(verdict, measured, reason)
}

fn is_over(facts: &Facts<'_>, overload: &Overload, second: u32) -> bool {
    overload.in_second(second) || is_shared(facts, second)
}

/// Returns the reason for which p95 of a new instance cannot be told; `None` if it is within the
/// limit whichever instance gave the slow answers.
fn latency(
    facts: &Facts<'_>,
    one: &Launched,
    fresh_for: Duration,
    overload: &Overload,
) -> Option<NewInstanceReason> {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let new_for_s = fresh_for.into();
    let (from, until) = window(facts, one, fresh_for)?;
    let last = facts.results.last_second().unwrap_or(0);
    let (full, seconds): (Vec<u32>, Vec<u32>) =
        (from..until.min(last + 1)).partition(|second| is_over(facts, overload, *second));
    let all = Answers::of(facts, &seconds);
    if all.own < LEAST_REQUESTS as f64 {
        return Some(match full.is_empty() {
            true => NewInstanceReason::TooFewAnswersOfNewInstances {
                answers: all.own as u64,
            },
            false => NewInstanceReason::AllOverloadedWhileNew { new_for_s },
        });
    }
    let is_spread = !facts
        .hypotheses
        .iter()
        .any(|one| one.suspect == Suspect::UnevenLoad && one.is_other());
    if is_spread && all.hold(limit) {
        return None;
    }
    let rest = undoubted(facts.results, &seconds).map(|rest| Answers::of(facts, &rest));
    let is_slow_without = |rest: &Answers| rest.own >= LEAST_REQUESTS as f64 && !rest.hold(limit);
    Some(
        match is_spread && !rest.is_some_and(|rest| is_slow_without(&rest)) {
            true => NewInstanceReason::GeneratorSaturated,
            false => NewInstanceReason::SlowPerhapsNew {
                new_for_s,
                limit_s: limit.into(),
                slow_share: all.slow_share(limit),
            },
        },
    )
}

/// The answers of all instances in some seconds.
struct Answers {
    latency: LatencyHistogram,
    /// An even part of them: those of one instance, if requests are spread evenly.
    own: f64,
}

impl Answers {
    fn of(facts: &Facts<'_>, seconds: &[u32]) -> Self {
        let each = |second: &u32| {
            let answers = over(facts.results, &[*second]).latency.count();
            let serving = facts.serving.get(*second as usize).copied();
            answers as f64 / f64::from(serving.unwrap_or(1).max(1))
        };
        Self {
            latency: over(facts.results, seconds).latency,
            own: seconds.iter().map(each).sum(),
        }
    }

    /// Returns true if p95 of one instance is within the limit even if it gave every slow answer.
    fn hold(&self, limit: Duration) -> bool {
        let slow = SLOW * self.own / self.latency.count().max(1) as f64;
        let percentile = self.latency.percentile(100.0 * (1.0 - slow));
        percentile.is_some_and(|measured| measured <= limit)
    }

    fn slow_share(&self, limit: Duration) -> f64 {
        let is_slow = |(micros, _): &(u64, u64)| u128::from(*micros) > limit.as_micros();
        let slow = self.latency.buckets().filter(is_slow);
        let slow: u64 = slow.map(|(_, answers)| answers).sum();
        slow as f64 / self.latency.count().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;
    use evidence::testing::{activity, group, phases, results, with_load};

    /// The load rises at 10 s; i-3 and i-4 are in service from 14 s, and four instances give 100
    /// answers in each second. So many are slow in each second from `from` on.
    fn judged(slow: u64, from: u32, strained: &[u32]) -> (Verdict, NewInstanceReason) {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let all = ["i-1", "i-2", "i-3", "i-4"];
        let story = vec![
            group(0, 2, &all[..2]),
            activity(12, "Launching a new EC2 instance: i-3", 2, 4),
            activity(12, "Launching a new EC2 instance: i-4", 2, 4),
            group(14, 4, &all),
            group(40, 4, &all),
        ];
        let mut results = results(&scenario, |at, _| {
            let slow = if at >= from { slow } else { 0 };
            vec![("", 100 - slow, 0, 50), ("", slow, 0, 900)]
        });
        results.add(0, &evidence::testing::strained(strained));
        with_load(&scenario, story, &results, |facts| {
            let found = super::super::judge(facts).unwrap();
            let Reason::NewInstance(reason) = found.reason else {
                unreachable!()
            };
            (found.verdict, reason)
        })
    }

    #[test]
    fn without_a_header_p95_of_new_instances_is_told_only_if_it_holds_whoever_was_slow() {
        for (slow, expected) in [(0, true), (1, true), (2, false), (4, false)] {
            let (verdict, reason) = judged(slow, 14, &[]);
            let is_told = matches!(reason, NewInstanceReason::NewInstancesInferred { .. });
            let is_open = matches!(reason, NewInstanceReason::SlowPerhapsNew { slow_share, .. }
                if (slow_share - slow as f64 / 100.0).abs() < 0.001);
            assert_eq!(
                (verdict == Verdict::Passed, is_told),
                (expected, expected),
                "{slow}"
            );
            assert_eq!(
                (verdict == Verdict::Inconclusive, is_open),
                (!expected, !expected),
                "{slow}"
            );
        }
    }

    #[test]
    fn slow_answers_of_a_strained_generator_are_nobodys() {
        // New from 14 s to the end at 30 s: the last two seconds are slow.
        assert!(matches!(
            judged(20, 28, &[]).1,
            NewInstanceReason::SlowPerhapsNew { .. }
        ));
        assert_eq!(
            judged(20, 28, &[28]),
            (Verdict::Inconclusive, NewInstanceReason::GeneratorSaturated)
        );
        assert!(matches!(
            judged(20, 26, &[28]).1,
            NewInstanceReason::SlowPerhapsNew { .. }
        ));
        assert_eq!(judged(0, 14, &[16, 18, 20, 22, 24, 26]).0, Verdict::Passed);
    }
}
