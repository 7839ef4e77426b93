//! Judges a group that scaled: whether instances left too early, and limits held while it scaled.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::thresholds::ByOthers;
use super::{Answered, Expectation, Finding, LeavingReason, Measured, ScalingReason};
use evidence::Facts;
use evidence::instances::{self, Why};
use evidence::load::{ERRORS, p95};
use evidence::moment::MomentKind;
use model::measure::{Merged, Results, Select};
use model::outcome::Verdict;
use model::scenario::Limit;

/// Share by which two load levels may differ and still count as the same.
pub(super) const SAME_LEVEL: f64 = 0.1;

/// Merges the results of these seconds, which need not be consecutive.
pub(super) fn over(results: &Results, seconds: &[u32]) -> Merged {
    let mut merged = Merged::default();
    for stretch in seconds.chunk_by(|a, b| a + 1 == *b) {
        let (Some(from), Some(last)) = (stretch.first(), stretch.last()) else {
            continue;
        };
        merged.merge(&results.merged(Select {
            seconds: Some((*from, *last + 1)),
            ..Select::default()
        }));
    }
    merged
}

/// Returns the seconds whose latencies are the target's: no generator was at its own limit. `None`
/// if fewer than half are.
pub(super) fn undoubted(results: &Results, seconds: &[u32]) -> Option<Vec<u32>> {
    let doubtful = results.doubtful_seconds();
    let rest = seconds.iter().filter(|second| !doubtful.contains(second));
    let rest: Vec<u32> = rest.copied().collect();
    (rest.len() * 2 >= seconds.len()).then_some(rest)
}

/// The p95 of some seconds, against its limit.
pub(super) enum AgainstLimit {
    /// It is within the limit, or there is no limit.
    Within,
    Over,
    /// It is over the limit only with seconds in which a generator was at its own limit.
    OverByGenerator,
    /// The answers are too few for a p95.
    TooFew {
        answers: u64,
    },
}

/// Compares p95 in these seconds with the limit.
pub(super) fn against_limit(
    results: &Results,
    seconds: &[u32],
    limit: Option<Duration>,
) -> AgainstLimit {
    let Some(limit) = limit else {
        return AgainstLimit::Within;
    };
    let all = over(results, seconds);
    let Some(measured) = p95(&all) else {
        let answers = all.latency.count();
        return AgainstLimit::TooFew { answers };
    };
    if measured <= limit {
        return AgainstLimit::Within;
    }
    let rest = undoubted(results, seconds).and_then(|rest| p95(&over(results, &rest)));
    match rest {
        Some(rest) if rest > limit => AgainstLimit::Over,
        _ => AgainstLimit::OverByGenerator,
    }
}

pub(super) fn error_share(merged: &Merged) -> f64 {
    merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64
}

/// An instance that left while the load was as high as it had ever been.
struct Early {
    left: Timestamp,
    /// The next rise of the load above its level at `left`, or the end of the load.
    until: Timestamp,
}

/// The planned load of each second.
struct Levels(Vec<f64>);

impl Levels {
    fn of(facts: &Facts<'_>, last: u32) -> Self {
        let level = |second: u32| facts.schedule.level_at(Duration::from_secs(second.into()));
        Self((0..=last).map(level).collect())
    }

    /// Returns true if a second's load is the highest so far, within a tenth.
    fn is_high(&self, second: u32) -> bool {
        let Some(so_far) = self.0.get(..=second as usize) else {
            return false;
        };
        let highest = so_far.iter().copied().fold(0.0, f64::max);
        so_far
            .last()
            .is_some_and(|level| *level >= highest * (1.0 - SAME_LEVEL))
    }

    /// Returns the first second after this one whose load is higher by more than a tenth. From
    /// there on it counts as a new load.
    fn rises_after(&self, second: u32) -> Option<u32> {
        let then = self.0.get(second as usize)?;
        let rises = |index: &usize| self.0[*index] > then * (1.0 + SAME_LEVEL);
        (second as usize + 1..self.0.len())
            .find(rises)
            .map(|index| index as u32)
    }
}

/// Judges instances that left while the load that they were launched for was still there. It is
/// harmless if no request suffered. A later, higher load does not count. `changed` are the seconds
/// that the load of others may have changed.
pub(super) fn early(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Option<Finding> {
    if !facts.scenario.scaling.no_early_scale_in {
        return None;
    }
    let last = facts.results.last_second()?;
    let levels = Levels::of(facts, last);
    let second = |at| instances::second(facts.times.started, at);
    let at =
        |second: u32| instances::after(facts.times.started, Duration::from_secs(second.into()));
    let leaving = facts
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::ScaledIn)
        .map(|one| one.began.at);
    let under_load: Vec<Early> = leaving
        .filter(|left| *left < facts.times.ended)
        .filter_map(|left| Some((left, second(left).filter(|second| levels.is_high(*second))?)))
        .map(|(left, second)| Early {
            left,
            until: levels.rises_after(second).map_or(facts.times.ended, at),
        })
        .collect();
    if under_load.is_empty() {
        return facts
            .reaction
            .left
            .iter()
            .any(|one| one.why == Why::ScaledIn)
            .then(|| {
                Finding::of_group(
                    Expectation::NoEarlyScaleIn,
                    Verdict::Passed,
                    Measured::Nothing,
                    LeavingReason::LeftAfterTheFall,
                )
            });
    }
    let seconds = seconds_of(facts, &levels, &under_load, last);
    let merged = over(facts.results, &seconds);
    let again = |beside: &BTreeSet<u32>| came_again(facts, &levels, &under_load, beside);
    let (verdict, reason) = missing_them(facts, &seconds, again(&BTreeSet::new()));
    let measured = Measured::LeftEarly {
        instances: under_load.len() as u64,
        answered: Answered::of(&merged, seconds.len()),
    };
    let finding = Finding::of_group(Expectation::NoEarlyScaleIn, verdict, measured, reason);
    Some(ByOthers::weigh(changed, &seconds, finding, |rest| {
        missing_them(facts, rest, again(changed)).0 == Verdict::Failed
    }))
}

/// Judges the seconds after instances left. Some may have been launched again for the same load.
fn missing_them(
    facts: &Facts<'_>,
    seconds: &[u32],
    launched_again: u64,
) -> (Verdict, LeavingReason) {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let needed = LeavingReason::TookWhatTheLoadNeeded { launched_again };
    let is_wrong = facts.error_share(&over(facts.results, seconds), seconds) > ERRORS;
    let elsewhere = facts.is_explained_elsewhere(seconds);
    match against_limit(facts.results, seconds, Some(limit)) {
        _ if launched_again > 0 => (Verdict::Failed, needed),
        AgainstLimit::Over if elsewhere => (Verdict::Inconclusive, LeavingReason::OtherReasons),
        _ if is_wrong && elsewhere => (Verdict::Inconclusive, LeavingReason::OtherReasons),
        _ if is_wrong => (Verdict::Failed, needed),
        AgainstLimit::Over => (Verdict::Failed, needed),
        AgainstLimit::Within => (Verdict::Passed, LeavingReason::OthersCarriedTheLoad),
        AgainstLimit::OverByGenerator => (Verdict::Inconclusive, LeavingReason::GeneratorSaturated),
        AgainstLimit::TooFew { answers } => {
            let reason = LeavingReason::TooFewAnswersWithoutThem { answers };
            (Verdict::Inconclusive, reason)
        }
    }
}

/// Returns the seconds that may have suffered: from each leaving on, for as long as its load stays.
fn seconds_of(facts: &Facts<'_>, levels: &Levels, under_load: &[Early], last: u32) -> Vec<u32> {
    let second = |at| instances::second(facts.times.started, at).unwrap_or(0);
    let spans = under_load
        .iter()
        .flat_map(|one| second(one.left)..second(one.until).min(last + 1));
    let mut seconds: Vec<u32> = spans.filter(|second| levels.is_high(*second)).collect();
    seconds.sort_unstable();
    seconds.dedup();
    seconds
}

/// Counts the instances launched again for the same load. A launch answers the load of the alarm's
/// window before it. A launch does not count if the window has a second of those in `beside`.
fn came_again(
    facts: &Facts<'_>,
    levels: &Levels,
    under_load: &[Early],
    beside: &BTreeSet<u32>,
) -> u64 {
    let high_alarms = facts.alarms.iter().copied().filter(|alarm| alarm.is_high());
    let window = high_alarms
        .map(|alarm| alarm.window() + alarm.period)
        .min()
        .unwrap_or_default();
    let again = facts.reaction.launched.iter().filter(|one| {
        let at = one.launched.at;
        let decided = instances::second(facts.times.started, at);
        let answers = decided.map(|at| at.saturating_sub(window.as_secs() as u32));
        let is_ours = answers
            .zip(decided)
            .is_some_and(|(from, until)| beside.range(from..=until).next().is_none());
        let for_it = under_load
            .iter()
            .any(|early| at > early.left && at < early.until);
        let is_growth = one.may_have_grown() && for_it && is_ours;
        is_growth && answers.is_some_and(|second| levels.is_high(second))
    });
    again.count() as u64
}

/// Judges the limits from each breach until the capacity that was asked for serves. `changed` are the
/// seconds that the load of others may have changed.
pub(super) fn while_scaling(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Option<Finding> {
    let scaling = &facts.scenario.scaling;
    let p95_limit = scaling.p95_while_scaling.or(facts.limit);
    let error_limit = scaling
        .errors_while_scaling
        .or_else(|| Limit::errors_in_the_spike(facts.scenario));
    if p95_limit.is_none() && error_limit.is_none() {
        return None;
    }
    let found = |verdict, measured, reason| {
        let expectation = Expectation::HoldsWhileScaling {
            p95_s: p95_limit.map(Into::into),
            errors_share: error_limit,
        };
        Finding::of_group(expectation, verdict, measured, reason)
    };
    let last = facts.results.last_second()?;
    let seconds = scaling_out(facts, last);
    let unclear = |reason| Some(found(Verdict::Inconclusive, Measured::Nothing, reason));
    if seconds.is_empty() {
        return unclear(ScalingReason::NothingLaunchedServed);
    }
    let merged = over(facts.results, &seconds);
    if merged.tally.requests() == 0 {
        return unclear(ScalingReason::NoRequestWhileScaling);
    }
    let is_wrong = |seconds: &[u32]| {
        let merged = over(facts.results, seconds);
        error_limit.is_some_and(|limit| facts.error_share(&merged, seconds) > limit)
    };
    let measured = Measured::WhileScaling {
        answered: Answered::of(&merged, seconds.len()),
    };
    let counted = ScalingReason::FromEachBreach;
    let finding = match against_limit(facts.results, &seconds, p95_limit) {
        _ if is_wrong(&seconds) => found(Verdict::Failed, measured, counted),
        AgainstLimit::Within => found(Verdict::Passed, measured, counted),
        AgainstLimit::Over => found(Verdict::Failed, measured, counted),
        AgainstLimit::TooFew { answers } => {
            return unclear(ScalingReason::TooFewAnswers { answers });
        }
        AgainstLimit::OverByGenerator => found(
            Verdict::Inconclusive,
            measured,
            ScalingReason::GeneratorSaturated,
        ),
    };
    Some(ByOthers::weigh(changed, &seconds, finding, |rest| {
        let found = against_limit(facts.results, rest, p95_limit);
        is_wrong(rest) || matches!(found, AgainstLimit::Over)
    }))
}

/// Returns the seconds between a breach and the service of the instances that it launched. Where no
/// decision is known, these are the seconds between the first breach and the last new instance's
/// service.
fn scaling_out(facts: &Facts<'_>, last: u32) -> Vec<u32> {
    let second = |at| instances::second(facts.times.started, at).unwrap_or(0);
    let grown = facts
        .reaction
        .resized
        .iter()
        .filter(|one| one.to > one.from);
    let mut spans: Vec<(Timestamp, Timestamp)> = grown
        .filter_map(|one| Some((one.breach.or(one.alarm).unwrap_or(one.at), one.done?)))
        .collect();
    if facts.reaction.resized.is_empty() {
        let fresh = facts
            .reaction
            .launched
            .iter()
            .filter(|one| one.may_have_grown());
        let from = facts
            .reaction
            .moment(MomentKind::Breach)
            .or(facts.times.rose())
            .unwrap_or(facts.times.started);
        spans.extend(
            fresh
                .filter_map(instances::Launched::serves)
                .max()
                .map(|until| (from, until)),
        );
    }
    let of_span = |(from, until): (Timestamp, Timestamp)| second(from)..=second(until).min(last);
    let mut seconds: Vec<u32> = spans.into_iter().flat_map(of_span).collect();
    seconds.sort_unstable();
    seconds.dedup();
    seconds
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::report::{Judgement, words};
    use crate::verdict::testing::{Said, Wrong};
    use evidence::testing::{
        activity, alarm, group, levels, phases, results, two_spikes, with_load,
    };

    /// Judges a load that nobody else adds to.
    fn early_ours(facts: &Facts<'_>) -> Option<Finding> {
        early(facts, &BTreeSet::new())
    }

    fn scaling_ours(facts: &Facts<'_>) -> Option<Finding> {
        while_scaling(facts, &BTreeSet::new())
    }

    /// The load rises at 20 s and falls at 30 s, and is slow while it is high.
    fn left_at(second: u32, again: u32) -> Judgement {
        let scenario = phases(&[(1.0, false), (1.0, false), (9.0, true), (1.0, false)]);
        let story = vec![
            group(0, 3, &["i-1", "i-2", "i-3"]),
            alarm("high", "GreaterThanThreshold", 50.0, 1),
            activity(second, "Terminating EC2 instance: i-3", 3, 2),
            group(second + 1, 2, &["i-1", "i-2"]),
            activity(again, "Launching a new EC2 instance: i-4", 2, 3),
            group(again + 1, 3, &["i-1", "i-2", "i-4"]),
            group(60, 3, &["i-1", "i-2", "i-4"]),
        ];
        let answered = results(&scenario, |second, level| {
            let slow = (20..30).contains(&second);
            vec![("", (level * 100.0) as u64, 0, if slow { 900 } else { 50 })]
        });
        with_load(&scenario, story, &answered, early_ours)
            .map(words::judgement)
            .unwrap()
    }

    #[test]
    fn what_left_before_the_spike_did_not_owe_it_anything() {
        let before = left_at(5, 24);
        assert_eq!(before.verdict, Verdict::Passed, "{before:?}");
        assert!(before.measured.contains("p95 = 50"), "{before:?}");
        let again = left_at(22, 26);
        assert!(
            again.verdict == Verdict::Failed && again.because.contains("launched 1 instance again"),
            "{again:?}"
        );
        assert_eq!(
            left_at(5, 12).verdict,
            Verdict::Failed,
            "and again before the load rose"
        );
        assert_eq!(
            left_at(22, 36).verdict,
            Verdict::Failed,
            "slow for as long as its load stayed"
        );
    }

    #[test]
    fn only_the_seconds_between_a_breach_and_its_capacity_are_seconds_of_scaling() {
        let scenario = levels();
        let slow_between = results(&scenario, |second, level| {
            let calm = (20..30).contains(&second) || second >= 40;
            vec![("", (level * 100.0) as u64, 0, if calm { 900 } else { 50 })]
        });
        let found = with_load(&scenario, two_spikes(), &slow_between, scaling_ours)
            .map(words::judgement)
            .unwrap();
        assert!(
            found.measured.ends_with("in 14 seconds") && found.measured.contains("p95 = 50"),
            "{found:?}"
        );
    }

    #[test]
    fn too_few_answers_tell_nothing_unless_they_are_errors() {
        // i-3 leaves at 25 s, and its load stays until 30 s.
        let judged = |rate: u64, bad: u64, millis: u64| {
            let scenario = phases(&[(1.0, false), (1.0, false), (9.0, true), (1.0, false)]);
            let story = vec![
                group(0, 3, &["i-1", "i-2", "i-3"]),
                alarm("high", "GreaterThanThreshold", 50.0, 1),
                activity(25, "Terminating EC2 instance: i-3", 3, 2),
                group(26, 2, &["i-1", "i-2"]),
                group(60, 2, &["i-1", "i-2"]),
            ];
            let bad_at = |second| if second < 20 { 0 } else { bad };
            let answered = results(&scenario, |second, _| {
                vec![("", rate, bad_at(second), millis)]
            });
            let found = with_load(&scenario, story, &answered, early_ours).unwrap();
            (found.verdict, found.reason)
        };
        let (verdict, reason) = judged(3, 0, 900);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(
            reason,
            LeavingReason::TooFewAnswersWithoutThem { answers: 15 }.into()
        );
        assert_eq!(judged(2, 1, 50).0, Verdict::Failed);
        assert_eq!(judged(4, 0, 50).0, Verdict::Passed);
        assert_eq!(judged(4, 0, 900).0, Verdict::Failed);
    }

    #[test]
    fn p95_while_scaling_out_takes_twenty_answers() {
        let judged = |rate: u64, bad: u64, millis: u64| {
            let mut scenario = levels();
            scenario.scaling.errors_while_scaling = Some(0.01);
            let bad_at = |second| if second < 10 { 0 } else { bad };
            let answered = results(&scenario, |second, _| {
                vec![("", rate, bad_at(second), millis)]
            });
            with_load(&scenario, two_spikes(), &answered, scaling_ours)
                .unwrap()
                .verdict
        };
        // 14 seconds lie between the breaches and what they launched.
        assert_eq!(judged(1, 0, 900), Verdict::Inconclusive);
        assert_eq!(judged(1, 1, 50), Verdict::Failed);
        assert_eq!(judged(2, 0, 50), Verdict::Passed);
        assert_eq!(judged(2, 0, 900), Verdict::Failed);
    }

    /// Judges the seconds in which the group of `levels()` grew: from 11 to 16 s, and from 31 to 36 s,
    /// with one more second beside each.
    fn scaling_with(wrong: Wrong) -> Finding {
        let mut scenario = levels();
        scenario.scaling.errors_while_scaling = Some(0.01);
        let answered = wrong.results(&scenario, |level| (level * 100.0) as u64);
        let judged = |facts: &Facts<'_>| while_scaling(facts, &wrong.changed());
        with_load(&scenario, two_spikes(), &answered, judged).unwrap()
    }

    /// Judges i-3, which leaves at 25 s and whose load stays until 30 s. A launch may follow it.
    fn early_with(wrong: Wrong, again: Option<u32>) -> Finding {
        let scenario = phases(&[(1.0, false), (1.0, false), (9.0, true), (1.0, false)]);
        let mut story = vec![
            group(0, 3, &["i-1", "i-2", "i-3"]),
            alarm("high", "GreaterThanThreshold", 50.0, 1),
            activity(25, "Terminating EC2 instance: i-3", 3, 2),
            group(26, 2, &["i-1", "i-2"]),
        ];
        if let Some(again) = again {
            let launch = activity(again, "Launching a new EC2 instance: i-4", 2, 3);
            let all = ["i-1", "i-2", "i-4"];
            story.extend([launch, group(again + 1, 3, &all), group(60, 3, &all)]);
        } else {
            story.push(group(60, 2, &["i-1", "i-2"]));
        }
        let answered = wrong.results(&scenario, |level| (level * 100.0) as u64);
        let judged = |facts: &Facts<'_>| early(facts, &wrong.changed());
        with_load(&scenario, story, &answered, judged).unwrap()
    }

    #[test]
    fn limits_that_only_a_strained_generator_missed_while_scaling_are_inconclusive() {
        for (slow, bad, strained, expected) in [
            (&[12][..], &[][..], &[][..], Said::Failed),
            (&[12], &[], &[12], Said::ByGenerator),
            (&[12], &[], &[30], Said::Failed),
            (&[12, 14], &[], &[12], Said::Failed),
            (&[], &[12], &[12], Said::Failed),
            (&[], &[], &[12], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                bad,
                strained,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&scaling_with(wrong)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn limits_that_only_the_load_of_others_missed_while_scaling_are_inconclusive() {
        const MOST: [u32; 8] = [11, 13, 14, 15, 16, 31, 32, 33];
        for (slow, bad, changed, expected) in [
            (&[12][..], &[][..], &[12][..], Said::ByOthers(1)),
            (&[12], &[], &[13], Said::Failed),
            (&[12, 14], &[], &[12], Said::Failed),
            (&[12], &[], &MOST, Said::ByOthers(8)),
            // The group did not grow then.
            (&[12], &[], &[5, 22, 25, 45], Said::Failed),
            (&[], &[12], &[12], Said::ByOthers(1)),
            (&[], &[12], &[13], Said::Failed),
            (&[], &[], &[12], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                bad,
                changed,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&scaling_with(wrong)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn limits_that_only_a_strained_generator_missed_without_an_instance_are_inconclusive() {
        for (slow, strained, expected) in [
            (&[28, 29][..], &[][..], Said::Failed),
            (&[28, 29], &[28], Said::ByGenerator),
            (&[28, 29], &[25], Said::Failed),
            (&[], &[28], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                strained,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&early_with(wrong, None)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn limits_that_only_the_load_of_others_missed_without_an_instance_are_inconclusive() {
        for (slow, bad, changed, expected) in [
            (&[28, 29][..], &[][..], &[28, 29][..], Said::ByOthers(2)),
            (&[28, 29], &[], &[28], Said::Failed),
            (&[28, 29], &[], &[25, 26, 27], Said::ByOthers(3)),
            (&[28, 29], &[], &[10, 24, 30], Said::Failed),
            (&[], &[29], &[29], Said::ByOthers(1)),
            (&[], &[29], &[28], Said::Failed),
            (&[], &[], &[28, 29], Said::Passed),
        ] {
            let wrong = Wrong {
                slow,
                bad,
                changed,
                ..Wrong::default()
            };
            assert_eq!(Said::of(&early_with(wrong, None)), expected, "{wrong:?}");
        }
    }

    #[test]
    fn a_launch_that_the_load_of_others_may_have_asked_for_proves_nothing() {
        // The launch at 29 s answers the load since 27 s.
        for (changed, expected) in [
            (&[][..], Said::Failed),
            (&[28], Said::ByOthers(1)),
            (&[25], Said::Failed),
        ] {
            let wrong = Wrong {
                changed,
                ..Wrong::default()
            };
            let found = early_with(wrong, Some(29));
            assert_eq!(Said::of(&found), expected, "{wrong:?}");
        }
    }
}
