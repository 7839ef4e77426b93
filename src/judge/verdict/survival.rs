//! Judges whether the group survived each spike: at its end the target was back within its limits.
//!
//! A spike whose instances come too late passes every judgement on the scale-out itself. Only the
//! last seconds of the spike show whether the scale-out helped.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use super::expectations::{AgainstLimit, against_limit, over};
use super::thresholds::ByOthers;
use super::{Answered, Expectation, Finding, Measured, SurvivalReason};
use evidence::Facts;
use evidence::instances::{self, Launched, between};
use evidence::load::{ERRORS, LEAST_REQUESTS};
use evidence::reaction::Span;
use model::outcome::Verdict;
use model::scenario::Limit;

/// The last part of a spike that is judged: a fifth of it, between these bounds. A group that needs
/// more than four fifths of a spike to answer it has not answered it.
pub(super) const PART: u32 = 5;
pub(super) const LEAST: u32 = 3;
pub(super) const MOST: u32 = 10;

/// Returns the worst finding on all spikes that ran to their end; `None` without any. `changed` are
/// the seconds that the load of others may have changed.
pub(super) fn judge(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Option<Finding> {
    if facts.results.is_empty() {
        // Another judgement says that nothing was reported.
        return None;
    }
    let spikes = facts.times.spikes.iter();
    let judged = spikes.filter_map(|spike| judge_spike(facts, changed, spike));
    // Of equally bad spikes the first is kept.
    judged.reduce(|worst, one| {
        if one.verdict > worst.verdict {
            one
        } else {
            worst
        }
    })
}

fn judge_spike(facts: &Facts<'_>, changed: &BTreeSet<u32>, spike: &Span) -> Option<Finding> {
    let rose = spike.rose?;
    let end = match spike.fell {
        Some(fell) => fell,
        None if facts.times.stopped.is_none() => facts.times.ended,
        None => return None,
    };
    let second = |at| instances::second(facts.times.started, at).unwrap_or(0);
    let seconds: Vec<u32> = judged_seconds(facts, second(rose), second(end)).collect();
    let (verdict, reason) = match at_its_end(facts, &seconds) {
        AtItsEnd::Within => (Verdict::Passed, SurvivalReason::WithinLimits),
        AtItsEnd::Missed => (Verdict::Failed, why_not(facts, rose, end)),
        AtItsEnd::MissedByGenerator => (
            Verdict::Inconclusive,
            SurvivalReason::GeneratorSaturatedAtItsEnd,
        ),
        AtItsEnd::TooFew { requests } => (
            Verdict::Inconclusive,
            SurvivalReason::TooFewRequests { requests },
        ),
    };
    let measured = Measured::AtSpikeEnd {
        spike: spike.name.clone(),
        answered: Answered::of(&over(facts.results, &seconds), seconds.len()),
    };
    let finding = Finding::of_group(Expectation::SpikeSurvived, verdict, measured, reason);
    let is_missed = |rest: &[u32]| matches!(at_its_end(facts, rest), AtItsEnd::Missed);
    Some(ByOthers::weigh(changed, &seconds, finding, is_missed))
}

/// The limits at the end of a spike.
enum AtItsEnd {
    Within,
    Missed,
    /// They are missed only with seconds in which a generator was at its own limit.
    MissedByGenerator,
    TooFew {
        requests: u64,
    },
}

/// Compares p95 and errors in these seconds with the limits of spikes.
fn at_its_end(facts: &Facts<'_>, seconds: &[u32]) -> AtItsEnd {
    let merged = over(facts.results, seconds);
    let requests = merged.tally.requests();
    if requests < LEAST_REQUESTS {
        return AtItsEnd::TooFew { requests };
    }
    let errors = Limit::errors_in_the_spike(facts.scenario).unwrap_or(ERRORS);
    if facts.error_share(&merged, seconds) > errors {
        return AtItsEnd::Missed;
    }
    match against_limit(facts.results, seconds, facts.limit) {
        AgainstLimit::Within => AtItsEnd::Within,
        AgainstLimit::Over => AtItsEnd::Missed,
        AgainstLimit::OverByGenerator => AtItsEnd::MissedByGenerator,
        AgainstLimit::TooFew { .. } => AtItsEnd::TooFew { requests },
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
    use crate::report::words;
    use crate::verdict::testing::{Said, Wrong};
    use crate::verdict::{DoubtReason, Reason};
    use evidence::testing::{activity, group, phases, results, with_load};
    use evidence::timeline::Observation;
    use model::scenario::Scenario;

    /// A spike of 20 s at this rate, from 10 s on, in which a second instance serves from `grown` on.
    fn spike(rate: f64, grown: u32) -> (Scenario, Vec<Observation>) {
        let mut scenario = phases(&[(1.0, false), (rate, true), (1.0, false)]);
        scenario.phases[1].hold = Duration::from_secs(20);
        let story = vec![
            group(0, 1, &["i-1"]),
            activity(12, "Launching a new EC2 instance: i-2", 1, 2),
            group(13, 2, &["i-1"]),
            group(grown, 2, &["i-1", "i-2"]),
            group(60, 2, &["i-1", "i-2"]),
        ];
        (scenario, story)
    }

    /// Judges the spike with answers that take 900 ms until the second instance serves.
    fn judged(rate: f64, grown: u32) -> (Verdict, SurvivalReason, u64) {
        let (scenario, story) = spike(rate, grown);
        let answered = results(&scenario, |second, level| {
            let slow = (10..grown).contains(&second);
            vec![("", level as u64, 0, if slow { 900 } else { 50 })]
        });
        let found = with_load(&scenario, story, &answered, |facts| {
            judge(facts, &BTreeSet::new())
        })
        .unwrap();
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

    /// Judges the last 4 s of a spike, from 26 to 30 s, in which new instances serve.
    fn judged_with(wrong: Wrong) -> Finding {
        let (scenario, story) = spike(20.0, 16);
        let answered = wrong.results(&scenario, |level| level as u64);
        let judged = |facts: &Facts<'_>| judge(facts, &wrong.changed());
        with_load(&scenario, story, &answered, judged).unwrap()
    }

    #[test]
    fn an_end_that_only_a_strained_generator_missed_is_inconclusive() {
        for (slow, bad, strained, expected) in [
            (&[29][..], &[][..], &[][..], Said::Failed),
            (&[29], &[], &[29], Said::ByGenerator),
            (&[29], &[], &[28], Said::ByGenerator),
            (&[28, 29], &[], &[26], Said::Failed),
            // Fewer than half of the seconds are left.
            (&[28, 29], &[], &[25, 27], Said::ByGenerator),
            // A generator makes no errors of the target.
            (&[], &[29], &[29], Said::Failed),
            (&[], &[], &[29], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                bad,
                strained,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&judged_with(wrong)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn an_end_that_only_the_load_of_others_missed_is_inconclusive() {
        for (slow, bad, changed, expected) in [
            (&[29][..], &[][..], &[29][..], Said::ByOthers(1)),
            (&[29], &[], &[26], Said::Failed),
            (&[28, 29], &[], &[29], Said::Failed),
            // Over half of the seconds are doubtful.
            (&[29], &[], &[26, 27, 28], Said::ByOthers(3)),
            (&[29], &[], &[10, 25, 30], Said::Failed),
            (&[], &[29], &[29], Said::ByOthers(1)),
            (&[], &[29], &[28], Said::Failed),
            (&[], &[], &[26, 27, 28, 29], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                bad,
                changed,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&judged_with(wrong)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn the_doubt_keeps_the_reason_and_is_read_again_as_it_was_written() {
        let plain = judged_with(Wrong {
            slow: &[29],
            ..Wrong::default()
        });
        let found = judged_with(Wrong {
            slow: &[29],
            changed: &[28, 29],
            ..Wrong::default()
        });
        let expected = DoubtReason::LoadOfOthers {
            reason: Box::new(plain.reason),
            changed_s: 2,
            of_s: 4,
        };
        assert_eq!(found.reason, expected.into());
        assert_eq!(found.measured, plain.measured);
        let text = serde_json::to_string(&found.reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), found.reason);
        let said = words::because(&found.reason);
        assert!(
            said.ends_with(
                "the limits were still missed at its end, but load of others may be the cause in 2 of 4 seconds"
            ),
            "{said}"
        );
    }
}
