//! Judges the scale-in: how soon the first instance leaves after the load fell.

use std::collections::BTreeSet;
use std::time::Duration;

use super::scaling::{ALARM_CALLS, failed_if, lacking};
use super::thresholds::ByOthers;
use super::{CountedFrom, Expectation, Finding, Measured, ScaleInReason, Unavoidable};
use evidence::Facts;
use evidence::instances::{between, second};
use model::outcome::Verdict;
use model::scenario::InWithin;

/// Judges the scale-in. `changed` are the seconds that the load of others may have changed: it may
/// have kept the group from shrinking.
pub(super) fn judge(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Finding {
    let finding = in_time(facts);
    let waited = waited(facts);
    let Some(bound) = facts.reaction.in_bound else {
        return finding;
    };
    // In the rest the group waited under our load alone.
    let is_late = |rest: &[u32]| rest.len() as u64 > bound.as_secs();
    ByOthers::weigh(changed, &waited, finding, is_late)
}

/// Returns the seconds of the load from its fall until the first instance left, or until the last
/// look.
fn waited(facts: &Facts<'_>) -> Vec<u32> {
    let Some(dropped) = facts.times.dropped() else {
        return Vec::new();
    };
    let started = facts.times.started;
    let until = facts.reaction.in_took.map_or(facts.last_look(), |took| {
        evidence::instances::after(dropped, took)
    });
    let from = second(started, dropped).unwrap_or_default();
    let until = second(started, until).unwrap_or_default();
    (from..until).collect()
}

/// Judges the time from the fall of the load until the first instance leaves.
fn in_time(facts: &Facts<'_>) -> Finding {
    let reaction = &facts.reaction;
    let expectation = Expectation::ScaleInInTime {
        within_s: reaction.in_bound.map(Into::into),
    };
    let found = |verdict, measured, reason: ScaleInReason| {
        Finding::of_group(expectation.clone(), verdict, measured, reason)
    };
    let Some(bound) = reaction.in_bound else {
        let (verdict, reason) = no_bound(facts);
        return found(verdict, Measured::Nothing, reason);
    };
    let Some(dropped) = facts.times.dropped() else {
        let reason = match (facts.times.stopped, facts.times.planned) {
            (Some(_), _) => ScaleInReason::StoppedBeforeTheFall,
            (None, true) => ScaleInReason::NoSpikeEnds,
            (None, false) => ScaleInReason::LoadMayNotHaveFallen,
        };
        return found(Verdict::Inconclusive, Measured::Nothing, reason);
    };
    if let Some(low) = reaction.low_before {
        let reason = ScaleInReason::LowAlarmBefore {
            before_s: between(low, dropped).into(),
        };
        return found(Verdict::Inconclusive, Measured::Nothing, reason);
    }
    let takes = reaction
        .in_unavoidable
        .filter(|takes| *takes > bound)
        .zip(reaction.in_waits_for_setting)
        .map(|(takes, waits_for)| Unavoidable {
            waits_for,
            takes_s: takes.into(),
        });
    if let Some(took) = reaction.in_took {
        let (verdict, reason) = if took <= bound {
            met(facts, took, bound, takes)
        } else {
            let counted_from = counted_from(facts);
            let reason = takes.map_or(ScaleInReason::FirstLeft { counted_from }, |takes| {
                ScaleInReason::PolicyCannotMeetIt { takes }
            });
            (Verdict::Failed, reason)
        };
        let measured = Measured::Took {
            took_s: took.into(),
        };
        return found(verdict, measured, reason);
    }
    // The group was back at its size before the end of the spike: no instance is left to leave.
    if reaction.desired_after <= reaction.desired_before {
        return found(
            Verdict::Passed,
            Measured::Nothing,
            ScaleInReason::ShrankBeforeTheFall,
        );
    }
    let last = facts.timeline.groups().next_back();
    let watched = last.map_or(Duration::ZERO, |(at, _)| between(dropped, at));
    let reason = ScaleInReason::NothingLeft {
        watched_s: watched.into(),
        protected: last.is_some_and(|(_, group)| group.is_all_protected()),
        takes,
    };
    found(failed_if(watched > bound), Measured::Nothing, reason)
}

/// Returns the verdict and its reason where there is no bound for scaling in.
fn no_bound(facts: &Facts<'_>) -> (Verdict, ScaleInReason) {
    let policies = &facts.policies;
    if !policies.is_empty() && policies.iter().all(|policy| policy.scale_in_disabled) {
        return (Verdict::Failed, ScaleInReason::ScaleInDisabled);
    }
    if matches!(facts.scenario.scaling.in_within, InWithin::Cooldowns(_)) {
        return (Verdict::Inconclusive, ScaleInReason::CooldownUnknown);
    }
    match lacking(facts.timeline, &ALARM_CALLS) {
        Some(call) => (
            Verdict::Inconclusive,
            ScaleInReason::LowAlarmUnknown { call },
        ),
        None => (Verdict::Failed, ScaleInReason::NoLowAlarm),
    }
}

/// Judges a scale-in within its bound. If a part of the alarm's window had passed before the fall,
/// the same scale-in would otherwise have taken longer.
fn met(
    facts: &Facts<'_>,
    took: Duration,
    bound: Duration,
    takes: Option<Unavoidable>,
) -> (Verdict, ScaleInReason) {
    let counted_from = counted_from(facts);
    let Some(ahead) = facts.reaction.in_ahead else {
        return (Verdict::Passed, ScaleInReason::FirstLeft { counted_from });
    };
    if took + ahead <= bound {
        let reason = ScaleInReason::FirstLeftAhead {
            counted_from,
            ahead_s: ahead.into(),
            at_most_s: (took + ahead).into(),
        };
        return (Verdict::Passed, reason);
    }
    let reason = ScaleInReason::FirstLeftOnlyAhead {
        counted_from,
        ahead_s: ahead.into(),
        otherwise: takes,
    };
    (Verdict::Inconclusive, reason)
}

fn counted_from(facts: &Facts<'_>) -> CountedFrom {
    if facts.times.planned {
        CountedFrom::EndOfSpike
    } else {
        CountedFrom::FirstLowDatapoint
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Said;
    use super::*;
    use evidence::testing::{group, whole_story, with_facts};

    /// The load falls at 30 s, and nothing leaves until 60 s. The bound is that of the alarm.
    #[test]
    fn a_wait_that_the_load_of_others_may_have_made_longer_is_inconclusive() {
        let judged = |changed: &[u32]| {
            let mut story = whole_story();
            story.truncate(7);
            story.push(group(60, 2, &["i-1", "i-2"]));
            let changed = changed.iter().copied().collect();
            with_facts(story, |facts| Said::of(&judge(facts, &changed)))
        };
        let most: Vec<u32> = (31..50).collect();
        assert_eq!(judged(&[]), Said::Failed);
        assert_eq!(judged(&most), Said::ByOthers(19));
        assert_eq!(judged(&[32]), Said::Failed, "29 seconds remain");
        assert_eq!(judged(&[12, 13]), Said::Failed, "elsewhere");
    }
}
