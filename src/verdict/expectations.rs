//! Expectations on a group that scaled: does anything leave too early, does it hold while it scales and at its maximum,
//! does it swing, and what does it cost.

use std::time::Duration;

use jiff::Timestamp;

use super::Judgement;
use super::advice::{self, Limit, Measured};
use super::chain::{self, Why, between};
use super::reaction::BREACH;
use super::scaling::{Case, judgement};
use crate::measure::{Merged, Results, Select};
use crate::outcome::Verdict;
use crate::units;

/// What a target may get wrong while it is at its maximum, where the scenario says nothing of errors.
const ERRORS: f64 = 0.01;
/// A level is the same within a tenth: the group need not answer less.
const SAME_LEVEL: f64 = 0.1;

/// The seconds of these moments as one; they need not be one after the other.
fn over(results: &Results, seconds: &[u32]) -> Merged {
    let mut merged = Merged::default();
    for stretch in seconds.chunk_by(|a, b| a + 1 == *b) {
        let (Some(from), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        merged.merge(&results.merged(Select { seconds: Some((*from, *last + 1)), ..Select::default() }));
    }
    merged
}

fn error_share(merged: &Merged) -> f64 {
    merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64
}

/// `p95 = 900ms, errors = 2.10%`
fn said(merged: &Merged) -> String {
    let p95 = merged.latency.percentile(95.0).map_or("-".to_owned(), units::duration);
    format!("p95 = {p95}, errors = {:.2}%", error_share(merged) * 100.0)
}

/// No instance may leave while the load that it was launched for is still there: harmless where nothing suffers for it.
pub fn early(case: &Case<'_>) -> Option<Judgement> {
    if !case.scenario.scaling.no_early_scale_in {
        return None;
    }
    let asked = "no instance leaves while the load needs it";
    let last = case.results.last_second()?;
    // Each second, and whether its load is the highest so far, within a tenth.
    let mut highest: f64 = 0.0;
    let high: Vec<bool> = (0..=last)
        .map(|second| {
            let level = case.schedule.level_at(Duration::from_secs(second.into()));
            highest = highest.max(level);
            level >= highest * (1.0 - SAME_LEVEL)
        })
        .collect();
    let is_high = |second: u32| high.get(second as usize).copied().unwrap_or(false);
    let in_load = |at: Timestamp| at < case.times.ended;
    let leaving = case.reaction.left.iter().filter(|one| one.why == Why::ScaledIn && in_load(one.began.at));
    let mut under_load: Vec<u32> = leaving
        .filter_map(|one| chain::second(case.times.started, one.began.at))
        .filter(|second| is_high(*second))
        .collect();
    under_load.sort_unstable();
    let count = units::count(under_load.len() as u64, "instance");
    let Some(first) = under_load.first().copied() else {
        return case.reaction.left.iter().any(|one| one.why == Why::ScaledIn).then(|| {
            let because = "those that left did so after the load had fallen".to_owned();
            judgement(asked, Verdict::Passed, "", because)
        });
    };
    // What it cost: from the first leaving on, for as long as the load stays.
    let seconds: Vec<u32> = (first..=last).filter(|second| is_high(*second)).collect();
    let merged = over(case.results, &seconds);
    let limit = case.limit.unwrap_or(Limit::ASSUMED.p95);
    let slow = merged.latency.percentile(95.0).is_some_and(|p95| p95 > limit);
    let measured = format!("{count} left under the highest load; from then on {}", said(&merged));
    let left_at = chain::after(case.times.started, Duration::from_secs(first.into()));
    // A launch answers the load of the alarm's window before it.
    let high_alarms = case.timeline.alarms().into_iter().filter(|alarm| alarm.is_high());
    let window = high_alarms.map(|alarm| alarm.window() + alarm.period).min().unwrap_or_default();
    let came_again = case.reaction.launched.iter().filter(|one| {
        let answers =
            chain::second(case.times.started, one.launched.at).map(|at| at.saturating_sub(window.as_secs() as u32));
        !one.replaces && one.launched.at > left_at && answers.is_some_and(is_high)
    });
    let came_again = came_again.count() as u64;
    Some(if came_again > 0 {
        let because = format!(
            "the policy took away what the load still needed, and then launched {} again: a lower target for scaling in, or \
             more datapoints",
            units::count(came_again, "instance")
        );
        judgement(asked, Verdict::Failed, &measured, because)
    } else if slow || error_share(&merged) > ERRORS {
        let because =
            "the policy took away what the load still needed: a lower target for scaling in, or more datapoints";
        judgement(asked, Verdict::Failed, &measured, because.to_owned())
    } else {
        judgement(asked, Verdict::Passed, &measured, "the others carried the load".to_owned())
    })
}

/// From the breach until the capacity that was asked for serves.
pub fn while_scaling(case: &Case<'_>) -> Option<Judgement> {
    let scaling = &case.scenario.scaling;
    let p95_limit = scaling.p95_while_scaling.or(case.limit);
    let error_limit = scaling.errors_while_scaling.or_else(|| Limit::errors_in_the_spike(case.scenario));
    if p95_limit.is_none() && error_limit.is_none() {
        return None;
    }
    let asked = match (p95_limit, error_limit) {
        (Some(p95), Some(errors)) => {
            format!("p95 < {} and errors < {}% while scaling out", units::duration(p95), percent(errors))
        }
        (Some(p95), None) => format!("p95 < {} while scaling out", units::duration(p95)),
        (None, errors) => format!("errors < {}% while scaling out", percent(errors.unwrap_or_default())),
    };
    let from = case.reaction.moment(BREACH).or(case.times.spike)?;
    let until = case.reaction.launched.iter().filter_map(|one| one.serves()).max();
    let Some(until) = until else {
        let because = "nothing that was launched ever served".to_owned();
        return Some(judgement(&asked, Verdict::Inconclusive, "", because));
    };
    let second = |at| chain::second(case.times.started, at).unwrap_or(0);
    let last = case.results.last_second()?;
    let seconds: Vec<u32> = (second(from)..=second(until).min(last)).collect();
    let merged = over(case.results, &seconds);
    if merged.tally.requests() == 0 {
        let because = "no request ended between the breach and the last new instance's service".to_owned();
        return Some(judgement(&asked, Verdict::Inconclusive, "", because));
    }
    let slow = matches!((p95_limit, merged.latency.percentile(95.0)), (Some(limit), Some(p95)) if p95 > limit);
    let wrong = error_limit.is_some_and(|limit| error_share(&merged) > limit);
    let measured = format!("{} in {}", said(&merged), units::count(seconds.len() as u64, "second"));
    let verdict = if slow || wrong { Verdict::Failed } else { Verdict::Passed };
    let because = "from the breach until the last new instance served".to_owned();
    Some(judgement(&asked, verdict, &measured, because))
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Does the target hold what was asked of it when it can grow no more? Nothing where it never came to its maximum.
pub fn at_maximum(case: &Case<'_>) -> Option<Judgement> {
    if !case.scenario.scaling.holds_at_maximum {
        return None;
    }
    let max = case.reaction.max;
    let length = case.results.last_second()? as usize + 1;
    let serving = chain::serving(case.timeline, case.times.started, length);
    let pinned: Vec<u32> =
        (0..length).filter(|second| max > 0 && serving[*second] >= max).map(|second| second as u32).collect();
    let merged = over(case.results, &pinned);
    if merged.tally.requests() == 0 {
        return None;
    }
    let slow = matches!((case.limit, merged.latency.percentile(95.0)), (Some(limit), Some(p95)) if p95 > limit);
    let measured = format!("{} in {} at {max} instances", said(&merged), units::count(pinned.len() as u64, "second"));
    let asked = "the target holds at maximum capacity";
    let bound = case.limit.map_or("the scenario has no limit on p95 there".to_owned(), |limit| {
        format!("p95 within {}", units::duration(limit))
    });
    Some(if slow || error_share(&merged) > ERRORS {
        let because = format!("the maximum of {max} is too small for this load (asked: {bound}, errors within 1%)");
        judgement(asked, Verdict::Failed, &measured, because)
    } else {
        judgement(asked, Verdict::Passed, &measured, format!("{bound}, errors within 1%"))
    })
}

/// The group must not grow and shrink by turns under a load that stays.
pub fn flapping(case: &Case<'_>) -> Option<Judgement> {
    if !case.scenario.scaling.no_flapping {
        return None;
    }
    let window = window(case);
    let started = case.times.started;
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    let mut last = None;
    for (at, group) in case.timeline.groups() {
        let by = i64::from(group.desired) - i64::from(*last.get_or_insert(group.desired));
        if by != 0 && at >= started {
            changes.push((at, by));
        }
        last = Some(group.desired);
    }
    let level = |at: Timestamp| case.schedule.level_at(between(started, at));
    let turns = changes.windows(2).filter(|pair| {
        let [(first, one), (second, other)] = pair else { return false };
        let (before, after) = (level(*first), level(*second));
        let same = (after - before).abs() <= before.max(after) * SAME_LEVEL;
        // A turn that the load asked for is none.
        let asked = if *other > 0 { after > before } else { after < before };
        one.signum() != other.signum() && between(*first, *second) <= window && (same || !asked)
    });
    let turns = turns.count() as u64;
    let measured = format!("{} in {}", units::count(turns, "turn"), units::count(changes.len() as u64, "change"));
    let asked = "no flapping";
    if turns == 0 {
        let because = format!("no growing and shrinking by turns within {} of one load", units::duration(window));
        return Some(judgement(asked, Verdict::Passed, &measured, because));
    }
    let because = format!(
        "the group grew and shrank by turns within {} while the load stayed: a longer warm-up, or a target further from \
         the low alarm",
        units::duration(window)
    );
    Some(judgement(asked, Verdict::Failed, &measured, because))
}

/// The longest of the policies' warm-ups, cooldowns and low alarms, and of the boot that was seen: what turns faster than
/// that did not wait for its own effect.
fn window(case: &Case<'_>) -> Duration {
    let policies = case.timeline.policies();
    let own = policies.iter().filter_map(|policy| policy.warm_up.max(policy.cooldown));
    let low = case.timeline.alarms().into_iter().filter(|alarm| !alarm.is_high()).map(|alarm| alarm.window());
    let high = case.timeline.alarms().into_iter().filter(|alarm| alarm.is_high()).map(|alarm| alarm.window()).max();
    let boot = case.reaction.launched.iter().filter_map(chain::Launched::boot).max();
    let around = high.unwrap_or_default() + boot.unwrap_or_default();
    own.chain(low).max().unwrap_or(Duration::from_secs(300)).max(around)
}

/// How much of the time the group was too small, and how much of what was paid for nothing needed. Nothing where it cannot
/// be told, unless the scenario asks.
pub fn efficiency(case: &Case<'_>) -> Vec<Judgement> {
    let scaling = &case.scenario.scaling;
    let too_few = format!("too few instances < {}% of the time", percent(scaling.under_provisioned));
    let needless = format!("needless instance-minutes < {}%", percent(scaling.over_provisioned));
    let measured = Measured::new(case.scenario, case.schedule, case.results);
    let serving = chain::serving(case.timeline, case.times.started, measured.seconds.len());
    let capacity = advice::capacity(&measured.seconds, &serving, Limit::of(case.scenario).p95)
        .map(|capacity| capacity.weighed(case.reaction.desired_before, None));
    let unknown = capacity.as_ref().map_or("no second held the limit".to_owned(), |capacity| capacity.because.clone());
    let Some(capacity) = capacity.filter(|capacity| capacity.confidence > advice::Confidence::Low) else {
        let because = format!("what one instance carries is not known well enough: {unknown}");
        let unclear = |asked: String| judgement(&asked, Verdict::Inconclusive, "", because.clone());
        return match scaling.asked_for_efficiency {
            true => [too_few, needless].map(unclear).into(),
            false => Vec::new(),
        };
    };
    let least = chain::group_at(case.timeline, case.times.started).map_or(0, |group| group.min);
    let found = advice::elasticity(&measured.seconds, &serving, capacity.at_limit, least);
    let paid: f64 = serving.iter().map(|count| f64::from(*count)).sum::<f64>() / 60.0;
    let over = found.over_instance_minutes / paid.max(f64::EPSILON);
    let verdict = |met| if met { Verdict::Passed } else { Verdict::Failed };
    let carries = format!("one instance carries {:.0} requests/s", capacity.at_limit);
    let below = judgement(
        &too_few,
        verdict(found.timeshare_under < scaling.under_provisioned),
        &format!("{:.0}%, {:.2} missing on average", found.timeshare_under * 100.0, found.accuracy_under),
        carries.clone(),
    );
    let above = judgement(
        &needless,
        verdict(over < scaling.over_provisioned),
        &format!("{:.0}% of {paid:.1}{}", over * 100.0, advice::money(case.timeline, found.over_instance_minutes)),
        format!("{carries}; the group's minimum is not held against its policy"),
    );
    vec![below, above]
}

#[cfg(test)]
mod tests {
    use super::super::scaling::tests::{group, with_case};
    use super::*;

    /// The scenario jumps at 20 s and falls at 30 s.
    #[test]
    fn growing_and_shrinking_by_turns_under_one_load_is_flapping_and_following_the_load_is_not() {
        let judged = |desired: &[(u32, u32)]| {
            let looks = desired.iter().map(|(second, desired)| group(*second, *desired, &[])).collect();
            with_case(looks, |case| flapping(case).unwrap().verdict)
        };
        assert_eq!(judged(&[(0, 1), (22, 3), (32, 1)]), Verdict::Passed);
        assert_eq!(judged(&[(0, 1), (22, 3), (24, 2), (26, 3)]), Verdict::Failed);
        assert_eq!(judged(&[(0, 2), (12, 1), (22, 3)]), Verdict::Passed, "the load rose between");
        assert_eq!(judged(&[(0, 2)]), Verdict::Passed);
    }

    #[test]
    fn shares_are_said_without_needless_digits() {
        assert_eq!(
            (percent(0.25), percent(0.005), percent(1.0)),
            ("25".to_owned(), "0.5".to_owned(), "100".to_owned())
        );
    }
}
