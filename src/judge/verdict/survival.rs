//! Judges whether the group survived each spike: at its end the target was back within its limits.
//!
//! A spike whose instances come too late passes every judgement on the scale-out itself. Only the
//! last seconds of the spike show whether the scale-out helped.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use super::expectations::{AgainstLimit, against_limit, over};
use super::{Answered, Expectation, Finding, Measured, SurvivalReason};
use evidence::Facts;
use evidence::instances::{self, Launched, between};
use evidence::load::{ERRORS, LEAST_REQUESTS};
use evidence::reaction::Span;
use model::outcome::Verdict;
use model::scenario::Limit;

/// The last part of a spike that is judged: a fifth of it, between these bounds. A group that needs
/// more than four fifths of a spike to answer it has not answered it.
const PART: u32 = 5;
const LEAST: u32 = 3;
const MOST: u32 = 10;

/// Returns the worst finding on all spikes that ran to their end; `None` without any.
pub(super) fn judge(facts: &Facts<'_>) -> Option<Finding> {
    if facts.results.is_empty() {
        // Another judgement says that nothing was reported.
        return None;
    }
    let spikes = facts.times.spikes.iter();
    let judged = spikes.filter_map(|spike| judge_spike(facts, spike));
    // Of equally bad spikes the first is kept.
    judged.reduce(|worst, one| {
        if one.verdict > worst.verdict {
            one
        } else {
            worst
        }
    })
}

fn judge_spike(facts: &Facts<'_>, spike: &Span) -> Option<Finding> {
    let rose = spike.rose?;
    let end = match spike.fell {
        Some(fell) => fell,
        None if facts.times.stopped.is_none() => facts.times.ended,
        None => return None,
    };
    let second = |at| instances::second(facts.times.started, at).unwrap_or(0);
    let seconds: Vec<u32> = judged_seconds(facts, second(rose), second(end)).collect();
    let merged = over(facts.results, &seconds);
    let requests = merged.tally.requests();
    let found = |verdict, reason| {
        let measured = Measured::AtSpikeEnd {
            spike: spike.name.clone(),
            answered: Answered::of(&merged, seconds.len()),
        };
        Some(Finding::of_group(
            Expectation::SpikeSurvived,
            verdict,
            measured,
            reason,
        ))
    };
    let errors = Limit::errors_in_the_spike(facts.scenario).unwrap_or(ERRORS);
    if requests < LEAST_REQUESTS {
        return found(
            Verdict::Inconclusive,
            SurvivalReason::TooFewRequests { requests },
        );
    }
    let is_wrong = facts.error_share(&merged, &seconds) > errors;
    match against_limit(facts.results, &seconds, facts.limit) {
        _ if is_wrong => found(Verdict::Failed, why_not(facts, rose, end)),
        AgainstLimit::Within => found(Verdict::Passed, SurvivalReason::WithinLimits),
        AgainstLimit::Over => found(Verdict::Failed, why_not(facts, rose, end)),
        AgainstLimit::OverByGenerator => found(
            Verdict::Inconclusive,
            SurvivalReason::GeneratorSaturatedAtItsEnd,
        ),
        AgainstLimit::TooFew { answers: requests } => found(
            Verdict::Inconclusive,
            SurvivalReason::TooFewRequests { requests },
        ),
    }
}

/// Returns the last seconds of a spike, and with few requests in them the seconds before, until they
/// are enough for p95. Those have the same level and the same group size.
fn judged_seconds(facts: &Facts<'_>, from: u32, end: u32) -> Range<u32> {
    let last = last_seconds(from, end);
    let requests = |second: u32| {
        let found = facts.load.get(second as usize);
        found.map_or(0, |second| second.ok + second.errors)
    };
    let level = |second: u32| facts.schedule.level_at(Duration::from_secs(second.into()));
    let size = |second: u32| facts.serving.get(second as usize);
    let is_like = |second: u32, other: u32| {
        (level(second) - level(other)).abs() < f64::EPSILON && size(second) == size(other)
    };
    let mut first = last.start;
    let mut all: u64 = last.map(requests).sum();
    while all < LEAST_REQUESTS && first > from && is_like(first - 1, first) {
        first -= 1;
        all += requests(first);
    }
    first..end
}

/// Returns the last seconds of a spike that lasts from one second to before another.
fn last_seconds(from: u32, end: u32) -> Range<u32> {
    let length = ((end - from.min(end)) / PART).clamp(LEAST, MOST);
    end.saturating_sub(length).max(from)..end
}

/// Returns the reason why limits were missed at the end of a spike.
fn why_not(facts: &Facts<'_>, rose: Timestamp, end: Timestamp) -> SurvivalReason {
    let grown = facts.reaction.launched.iter();
    let served = grown
        .filter(|one| one.may_have_grown())
        .filter_map(Launched::serves)
        .filter(|at| *at >= rose)
        .min();
    match served {
        None => SurvivalReason::NothingNewServed,
        Some(served) if served >= end => SurvivalReason::NewInstancesTooLate {
            after_s: between(end, served).into(),
            boot_s: instances::starts(&facts.reaction.launched)
                .map(|(boot, health)| Duration::into(boot + health)),
        },
        Some(served) => SurvivalReason::NewInstancesNotEnough {
            served_s: between(rose, served).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::testing::{activity, group, phases, results, with_load};

    /// A spike of 20 s at this rate, from 10 s on. A second instance serves from `grown` on; until
    /// then answers take 900 ms.
    fn judged(rate: f64, grown: u32) -> (Verdict, SurvivalReason, u64) {
        let mut scenario = phases(&[(1.0, false), (rate, true), (1.0, false)]);
        scenario.phases[1].hold = Duration::from_secs(20);
        let story = vec![
            group(0, 1, &["i-1"]),
            activity(12, "Launching a new EC2 instance: i-2", 1, 2),
            group(13, 2, &["i-1"]),
            group(grown, 2, &["i-1", "i-2"]),
            group(60, 2, &["i-1", "i-2"]),
        ];
        let answered = results(&scenario, |second, level| {
            let slow = (10..grown).contains(&second);
            vec![("", level as u64, 0, if slow { 900 } else { 50 })]
        });
        let found = with_load(&scenario, story, &answered, judge).unwrap();
        let Measured::AtSpikeEnd { answered, .. } = found.measured else {
            panic!("{found:?}")
        };
        let crate::verdict::Reason::Survival(reason) = found.reason else {
            panic!("{found:?}")
        };
        (found.verdict, reason, answered.seconds)
    }

    #[test]
    fn with_few_requests_more_of_the_spike_is_judged() {
        let within = SurvivalReason::WithinLimits;
        assert_eq!(judged(20.0, 16), (Verdict::Passed, within.clone(), 4));
        assert_eq!(judged(2.0, 16), (Verdict::Passed, within, 10));
        let late = judged(2.0, 31);
        assert_eq!((late.0, late.2), (Verdict::Failed, 10));
    }

    #[test]
    fn the_seconds_before_the_group_grew_do_not_count_for_its_end() {
        let few = SurvivalReason::TooFewRequests { requests: 12 };
        // The look at 25 s is the last of second 24, so 6 seconds have the new size.
        assert_eq!(judged(2.0, 25), (Verdict::Inconclusive, few, 6));
    }

    #[test]
    fn the_last_fifth_of_a_spike_is_judged() {
        assert_eq!(last_seconds(10, 40), 34..40);
        assert_eq!(last_seconds(10, 15), 12..15);
        assert_eq!(last_seconds(10, 12), 10..12);
        assert_eq!(last_seconds(0, 600), 590..600);
    }
}
