//! Judges whether the group survived each spike: at its end the target was back within its limits.
//!
//! A spike whose instances come too late passes every judgement on the scale-out itself. Only the
//! last seconds of the spike show whether the scale-out helped.

use std::time::Duration;

use jiff::Timestamp;

use super::expectations::{is_slow, over};
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
    let seconds: Vec<u32> = last_seconds(second(rose), second(end)).collect();
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
    let slow = is_slow(facts.results, &seconds, facts.limit);
    if requests < LEAST_REQUESTS {
        return found(
            Verdict::Inconclusive,
            SurvivalReason::TooFewRequests { requests },
        );
    }
    let is_wrong = facts.error_share(&merged, &seconds) > errors;
    match slow {
        Some(false) if !is_wrong => found(Verdict::Passed, SurvivalReason::WithinLimits),
        None if !is_wrong => found(
            Verdict::Inconclusive,
            SurvivalReason::GeneratorSaturatedAtItsEnd,
        ),
        _ => found(Verdict::Failed, why_not(facts, rose, end)),
    }
}

/// Returns the last seconds of a spike that lasts from one second to before another.
fn last_seconds(from: u32, end: u32) -> std::ops::Range<u32> {
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

    #[test]
    fn the_last_fifth_of_a_spike_is_judged() {
        assert_eq!(last_seconds(10, 40), 34..40);
        assert_eq!(last_seconds(10, 15), 12..15);
        assert_eq!(last_seconds(10, 12), 10..12);
        assert_eq!(last_seconds(0, 600), 590..600);
    }
}
