//! Judges whether a group's size swung: it grew and shrank by turns under a load that did not ask
//! for it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use super::expectations::{SAME_LEVEL, over};
use super::scaling::met_if;
use super::thresholds::ByOthers;
use super::{Expectation, Finding, Measured, ScalingReason};
use evidence::Facts;
use evidence::instances::{self, after, between};
use evidence::reaction::Resized;
use model::outcome::Verdict;

/// Share by which the load must fall from its highest between two changes to ask for the second of
/// them, or rise from its lowest. A ramp that turns has moved less than [`SAME_LEVEL`] at first.
const TURNED: f64 = 0.05;
/// Share of the requests that were answered 4xx, by no instance, from which most of the load was
/// refused.
const REFUSED: f64 = 0.5;
/// Distance of two looks at the planned load.
const STEP: Duration = Duration::from_millis(250);

/// Judges flapping: the group must not grow and shrink by turns under a load that stays. `changed`
/// are the seconds that the load of others may have changed: it may have asked for a turn.
pub(super) fn judge(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Option<Finding> {
    if !facts.scenario.scaling.no_flapping {
        return None;
    }
    let window = window(facts);
    let resized = changes(facts);
    let found: Vec<Range<u32>> = turns(&resized, window)
        .filter(|pair| !is_asked(facts, pair) && !is_refused(facts, pair))
        .map(|pair| seconds(facts, &pair))
        .collect();
    let turns = found.len() as u64;
    let (within_s, load_is_ours) = (window.into(), true);
    let reason = if turns == 0 {
        ScalingReason::NoTurns {
            within_s,
            load_is_ours,
        }
    } else {
        ScalingReason::Turned {
            within_s,
            load_is_ours,
        }
    };
    let finding = no_flapping(met_if(turns == 0), turns, &resized, reason);
    let all: BTreeSet<u32> = found.iter().cloned().flatten().collect();
    let all: Vec<u32> = all.into_iter().collect();
    let is_ours = |turn: &Range<u32>| changed.range(turn.clone()).next().is_none();
    let doubt = if found.iter().any(is_ours) {
        None
    } else {
        ByOthers::of(changed, &all, |_| false)
    };
    Some(match doubt {
        Some(doubt) => doubt.on(finding),
        None => finding,
    })
}

/// Returns the seconds of a turn: from the first datapoint behind the first change to the second
/// change.
fn seconds(facts: &Facts<'_>, [first, second]: &[SizeChange; 2]) -> Range<u32> {
    let of = |at| instances::second(facts.times.started, at).unwrap_or_default();
    of(first.since)..of(second.at) + 1
}

/// Returns true if the load asked for the second of two opposite changes: it was another than the
/// first had answered, or it has turned since then.
fn is_asked(facts: &Facts<'_>, [first, second]: &[SizeChange; 2]) -> bool {
    let (before, after) = (answered_load(facts, first), answered_load(facts, second));
    let is_same = (after - before).abs() <= before.max(after) * SAME_LEVEL;
    let has_moved = match second.by > 0 {
        true => after > before,
        false => after < before,
    };
    has_moved && !is_same || has_turned(facts, first, second)
}

/// Returns true if the group shrank while most requests were refused by something before it: that
/// load did not come to the group. An answer that names an instance did.
fn is_refused(facts: &Facts<'_>, [_, second]: &[SizeChange; 2]) -> bool {
    let of = |at| instances::second(facts.times.started, at).unwrap_or_default();
    let (from, until) = (of(second.since), of(second.at) + 1);
    let seconds: Vec<u32> = (from..until).collect();
    let tally = over(facts.results, &seconds).tally;
    let own = |id: &str| facts.results.of_instance(id, Some((from, until))).tally;
    let named: u64 = facts.results.instances().map(|id| own(id).status_4xx).sum();
    let refused = tally.status_4xx.saturating_sub(named);
    second.by < 0 && refused as f64 > tally.requests() as f64 * REFUSED
}

/// Returns true if the load turned between the first datapoint behind one change and the decision on
/// the next: it fell from its highest before that one shrank the group, or rose from its lowest
/// before that one made it grow. Ramps pass the same level on both sides of their turn.
fn has_turned(facts: &Facts<'_>, first: &SizeChange, second: &SizeChange) -> bool {
    let mut extreme: Option<f64> = None;
    let mut levels = levels(facts, first.since, second.at).into_iter();
    levels.any(|(at, level)| {
        let so_far = extreme.unwrap_or(level);
        let has_moved = match second.by > 0 {
            true => level > so_far * (1.0 + TURNED),
            false => level < so_far * (1.0 - TURNED),
        };
        extreme = Some(match second.by > 0 {
            true => so_far.min(level),
            false => so_far.max(level),
        });
        has_moved && at >= second.since
    })
}

/// Returns the load that a change answered, between the first breaching datapoint and the decision:
/// the highest for a growth, the lowest for a shrink. At the decision itself the load may have turned
/// again.
fn answered_load(facts: &Facts<'_>, change: &SizeChange) -> f64 {
    let levels = levels(facts, change.since, change.at).into_iter();
    let all = levels.map(|(_, level)| level);
    let answered = match change.by > 0 {
        true => all.reduce(f64::max),
        false => all.reduce(f64::min),
    };
    let since = between(facts.times.started, change.at);
    answered.unwrap_or_else(|| facts.schedule.level_at(since))
}

/// Returns the planned load from one moment to another, with the moments.
fn levels(facts: &Facts<'_>, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, f64)> {
    let steps = between(from, until).as_millis().div_ceil(STEP.as_millis());
    let of = |step: u32| {
        let at = after(from, STEP * step);
        let since = between(facts.times.started, at);
        (at, facts.schedule.level_at(since))
    };
    (0..u32::try_from(steps).unwrap_or(u32::MAX))
        .map(of)
        .collect()
}

/// Judges flapping under load that Spikeproof does not send. The load may have asked for one turn,
/// but hardly for several within the window.
pub(super) fn of_a_watch(facts: &Facts<'_>) -> Finding {
    let window = window(facts);
    let changes = changes(facts);
    let turns = turns(&changes, window).count() as u64;
    let (within_s, load_is_ours) = (window.into(), false);
    let (verdict, reason) = match turns {
        0 => {
            let reason = ScalingReason::NoTurns {
                within_s,
                load_is_ours,
            };
            (Verdict::Passed, reason)
        }
        1 => (
            Verdict::Inconclusive,
            ScalingReason::LoadMayHaveTurned { within_s },
        ),
        _ => {
            let reason = ScalingReason::Turned {
                within_s,
                load_is_ours,
            };
            (Verdict::Failed, reason)
        }
    };
    no_flapping(verdict, turns, &changes, reason)
}

fn no_flapping(
    verdict: Verdict,
    turns: u64,
    changes: &[SizeChange],
    reason: ScalingReason,
) -> Finding {
    let measured = Measured::Turns {
        turns,
        changes: changes.len() as u64,
    };
    Finding::of_group(Expectation::NoFlapping, verdict, measured, reason)
}

/// A change of the desired capacity.
#[derive(Debug, Clone, Copy)]
struct SizeChange {
    at: Timestamp,
    /// Instances added; negative if removed.
    by: i64,
    /// The first datapoint that it answers, or `at` where that is not known.
    since: Timestamp,
}

/// Returns the changes of the desired capacity. Activities also tell changes between two polls;
/// where they tell fewer changes, the polls count.
fn changes(facts: &Facts<'_>) -> Vec<SizeChange> {
    let by = |one: &Resized| SizeChange {
        at: one.at,
        by: i64::from(one.to) - i64::from(one.from),
        since: since(one),
    };
    let decided: Vec<SizeChange> = facts.reaction.resized.iter().map(by).collect();
    let polled = polled(facts);
    if decided.len() < polled.len() {
        polled
    } else {
        decided
    }
}

/// Returns the start of the first datapoint behind a change, or the change itself where that is not
/// known. An alarm that stays in ALARM acts again, on its newest datapoints.
fn since(change: &Resized) -> Timestamp {
    let (Some(breach), Some(fired)) = (change.breach, change.alarm) else {
        return change.breach.unwrap_or(change.at).min(change.at);
    };
    let newest = change.at.checked_sub(between(breach, fired));
    newest.unwrap_or(breach).max(breach).min(change.at)
}

fn polled(facts: &Facts<'_>) -> Vec<SizeChange> {
    let mut changes: Vec<SizeChange> = Vec::new();
    let mut last = None;
    for (at, group) in facts.timeline.groups() {
        let by = i64::from(group.desired) - i64::from(*last.get_or_insert(group.desired));
        if by != 0 && at >= facts.times.started {
            changes.push(SizeChange { at, by, since: at });
        }
        last = Some(group.desired);
    }
    changes
}

/// Returns pairs of opposite changes, one right after the other within `window`.
fn turns(changes: &[SizeChange], window: Duration) -> impl Iterator<Item = [SizeChange; 2]> + '_ {
    let pairs = changes
        .windows(2)
        .filter_map(|pair| <[SizeChange; 2]>::try_from(pair).ok());
    pairs.filter(move |[first, second]| {
        first.by.signum() != second.by.signum() && between(first.at, second.at) <= window
    })
}

/// Returns the time within which two opposite changes are a turn. It is the longest of the
/// policies' warm-ups, cooldowns and low alarms (five minutes without any), and of the high alarm
/// plus the boot that was seen. A group that turns faster did not wait for its own effect.
fn window(facts: &Facts<'_>) -> Duration {
    let policies = &facts.policies;
    let own = policies
        .iter()
        .filter_map(|policy| policy.warm_up.max(policy.cooldown));
    let low = facts
        .alarms
        .iter()
        .copied()
        .filter(|alarm| !alarm.is_high())
        .map(evidence::timeline::Alarm::window);
    let high = facts
        .alarms
        .iter()
        .copied()
        .filter(|alarm| alarm.is_high())
        .map(evidence::timeline::Alarm::window)
        .max();
    let boot = facts
        .reaction
        .launched
        .iter()
        .filter_map(instances::Launched::boot)
        .max();
    let around = high.unwrap_or_default() + boot.unwrap_or_default();
    own.chain(low)
        .max()
        .unwrap_or(Duration::from_mins(5))
        .max(around)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Said;
    use super::*;
    use evidence::testing::{
        activity, alarm, change, group, levels as levels_of_spikes, with_facts, with_load,
    };
    use evidence::timeline::Observation;
    use model::measure::{Cell, InstanceCell, Interval, Key, LatencyHistogram, Results, Tally};
    use model::scenario::{LoadPhase, Model, PhaseRole, Scenario, example};

    /// The scenario jumps at 20 s and falls at 30 s.
    #[test]
    fn growing_and_shrinking_by_turns_under_one_load_is_flapping_and_following_the_load_is_not() {
        let judged = |desired: &[(u32, u32)]| {
            let looks = desired
                .iter()
                .map(|(second, desired)| group(*second, *desired, &[]))
                .collect();
            with_facts(looks, |facts| {
                judge(facts, &BTreeSet::new()).unwrap().verdict
            })
        };
        assert_eq!(judged(&[(0, 1), (22, 3), (32, 1)]), Verdict::Passed);
        assert_eq!(
            judged(&[(0, 1), (22, 3), (24, 2), (26, 3)]),
            Verdict::Failed
        );
        assert_eq!(
            judged(&[(0, 2), (12, 1), (22, 3)]),
            Verdict::Passed,
            "the load rose between"
        );
        assert_eq!(judged(&[(0, 2)]), Verdict::Passed);
    }

    #[test]
    fn a_turn_that_the_load_of_others_may_have_asked_for_is_inconclusive() {
        let judged = |desired: &[(u32, u32)], changed: &[u32]| {
            let looks = desired
                .iter()
                .map(|(second, desired)| group(*second, *desired, &[]))
                .collect();
            let changed = changed.iter().copied().collect();
            with_facts(looks, |facts| Said::of(&judge(facts, &changed).unwrap()))
        };
        let turn = [(0, 1), (22, 3), (25, 2)];
        assert_eq!(judged(&turn, &[]), Said::Failed);
        assert_eq!(judged(&turn, &[24]), Said::ByOthers(1));
        assert_eq!(judged(&turn, &[5, 28]), Said::Failed, "elsewhere");
        assert_eq!(judged(&[(0, 1), (22, 3)], &[22]), Said::Passed);
        let two = [(0, 1), (12, 3), (13, 2), (24, 4), (25, 3)];
        assert_eq!(judged(&two, &[12]), Said::Failed, "the second turn remains");
    }

    /// A group that grows in a second, and shrinks in the second one of `low`, for its first.
    fn story(grew: u32, low: (u32, u32)) -> Vec<Observation> {
        vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            alarm("low", "LessThanThreshold", 45.0, 15),
            change(grew, "high", &[(12, 90.0)]),
            activity(grew, "Launching a new EC2 instance: i-2", 1, 2),
            group(grew + 1, 2, &["i-1"]),
            change(low.1, "low", &[(low.0, 5.0)]),
            activity(low.1, "Terminating EC2 instance: i-2", 2, 1),
            group(low.1 + 1, 1, &["i-1"]),
            group(60, 1, &["i-1"]),
        ]
    }

    /// Spikes from 10 s to 20 s and from 30 s to 40 s; each decision comes just after the load has
    /// turned, and answers the load before.
    #[test]
    fn a_group_that_follows_a_sawtooth_late_does_not_flap() {
        let judged = |grew, low| {
            let none = Results::default();
            with_load(&levels_of_spikes(), story(grew, low), &none, |facts| {
                judge(facts, &BTreeSet::new()).unwrap().verdict
            })
        };
        assert_eq!(
            judged(21, (21, 31)),
            Verdict::Passed,
            "the valley asked for it, although the load is the same again"
        );
        assert_eq!(
            judged(14, (13, 20)),
            Verdict::Failed,
            "the spike did not, although the load has fallen since"
        );
    }

    #[test]
    fn a_group_that_shrinks_while_its_requests_are_refused_before_it_does_not_flap() {
        let answered = |by: &str, tally: Tally| {
            let cells = (13..21).map(|second| Cell {
                second,
                key: Key {
                    phase: 0,
                    flow: 0,
                    step: 0,
                },
                tally,
                latency: LatencyHistogram::default().pack(),
            });
            let mut results = Results::default();
            let named = (13..21_u32).filter(|_| !by.is_empty());
            let instances = named.map(|second| InstanceCell {
                second,
                instance: by.to_owned(),
                first: Duration::from_secs(second.into()),
                tally,
                latency: LatencyHistogram::default().pack(),
            });
            let interval = Interval {
                cells: cells.collect(),
                instances: instances.collect(),
                ..Interval::default()
            };
            results.add(0, &interval);
            with_load(
                &levels_of_spikes(),
                story(14, (13, 20)),
                &results,
                |facts| judge(facts, &BTreeSet::new()).unwrap().verdict,
            )
        };
        let refused = Tally {
            status_4xx: 90,
            ..Tally::default()
        };
        assert_eq!(
            answered("", refused),
            Verdict::Passed,
            "nothing came to the group"
        );
        assert_eq!(
            answered("i-1", refused),
            Verdict::Failed,
            "the group's own answers"
        );
        let failed = Tally {
            status_5xx: 90,
            ..Tally::default()
        };
        assert_eq!(answered("", failed), Verdict::Failed);
    }

    /// Two instances track 50 % CPU, with 100/s each, under teeth of 60/s to 260/s and back, each
    /// side a ramp of 14 s. Decisions of one alarm share its history: each is a second, and the sizes
    /// before and after.
    fn sawtooth() -> (Scenario, Vec<Observation>) {
        let ramp = |name: &str, level, role| LoadPhase {
            ramp: Duration::from_secs(14),
            ..example::phase(name, Model::Rate, level, Duration::ZERO, role)
        };
        let scenario = example::scenario(vec![
            example::phase(
                "calm",
                Model::Rate,
                60.0,
                Duration::from_secs(5),
                PhaseRole::Baseline,
            ),
            ramp("tooth-1", 260.0, PhaseRole::Spike),
            ramp("gap-1", 60.0, PhaseRole::Recovery),
            ramp("tooth-2", 260.0, PhaseRole::Spike),
            ramp("gap-2", 60.0, PhaseRole::Recovery),
        ]);
        let mut story = vec![
            group(0, 2, &["i-1", "i-2"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            alarm("low", "LessThanThreshold", 45.0, 5),
        ];
        // The growth to 7 comes from a metric that does not have the newest instances yet.
        for tooth in [0, 28] {
            story.push(change(11 + tooth, "high", &[(8 + tooth, 54.0)]));
            for (second, from, to) in [(11, 2, 3), (13, 3, 4), (14, 4, 6), (17, 6, 7)] {
                story.push(activity(
                    second + tooth,
                    "Launching a new EC2 instance",
                    from,
                    to,
                ));
            }
            story.push(change(22 + tooth, "low", &[(17 + tooth, 34.0)]));
            for (second, from, to) in [(22, 7, 6), (23, 6, 5), (26, 5, 4), (29, 4, 3), (32, 3, 2)] {
                story.push(activity(
                    second + tooth,
                    "Terminating EC2 instance",
                    from,
                    to,
                ));
            }
        }
        story.push(group(61, 2, &["i-1", "i-2"]));
        (scenario, story)
    }

    fn judged(scenario: &Scenario, mut story: Vec<Observation>) -> Measured {
        story.sort_by_key(|one| one.at);
        with_load(scenario, story, &Results::default(), |facts| {
            judge(facts, &BTreeSet::new()).unwrap().measured
        })
    }

    #[test]
    fn a_group_that_follows_a_load_of_ramps_does_not_flap() {
        let (scenario, story) = sawtooth();
        let found = judged(&scenario, story);
        assert!(
            matches!(
                found,
                Measured::Turns {
                    turns: 0,
                    changes: 18
                }
            ),
            "{found:?}"
        );
    }

    /// The load falls from 260/s at 19 s to 60/s at 33 s, and rises again.
    #[test]
    fn a_valley_has_the_same_load_on_both_sides_and_asks_for_both_changes() {
        let (scenario, _) = sawtooth();
        let story = vec![
            group(0, 3, &["i-1", "i-2", "i-3"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            alarm("low", "LessThanThreshold", 45.0, 6),
            change(30, "low", &[(24, 40.0)]),
            activity(30, "Terminating EC2 instance", 3, 2),
            change(36, "high", &[(33, 51.0)]),
            activity(36, "Launching a new EC2 instance", 2, 3),
            group(61, 3, &["i-1", "i-2", "i-3"]),
        ];
        let found = judged(&scenario, story);
        assert!(
            matches!(
                found,
                Measured::Turns {
                    turns: 0,
                    changes: 2
                }
            ),
            "{found:?}"
        );
    }

    #[test]
    fn a_shrink_while_a_ramp_still_rises_is_a_turn() {
        let (scenario, mut story) = sawtooth();
        // One more swing between 13 s and 19 s: the load rises from 174/s to 260/s.
        story.push(change(16, "low", &[(15, 40.0)]));
        story.push(activity(16, "Terminating EC2 instance", 6, 5));
        let found = judged(&scenario, story);
        assert!(
            matches!(found, Measured::Turns { turns: 1.., .. }),
            "{found:?}"
        );
    }

    /// The low alarm is in ALARM from the low load on, because its metric does not follow the load.
    #[test]
    fn an_alarm_that_stays_on_answers_the_load_of_its_newest_datapoints() {
        let mut story = vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 1),
            alarm("low", "LessThanThreshold", 45.0, 3),
            change(5, "low", &[(2, 5.0)]),
            change(12, "high", &[(11, 90.0)]),
        ];
        for second in [12, 16] {
            story.push(activity(second, "Launching a new EC2 instance", 1, 2));
            story.push(activity(second + 2, "Terminating EC2 instance", 2, 1));
        }
        story.push(group(60, 1, &["i-1"]));
        let found = judged(&levels_of_spikes(), story);
        assert!(
            matches!(found, Measured::Turns { turns: 3, .. }),
            "{found:?}"
        );
    }
}
