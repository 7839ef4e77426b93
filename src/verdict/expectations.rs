//! Expectations on a group that scaled: does it hold at its maximum, does it swing.

use std::time::Duration;

use jiff::Timestamp;

use super::Judgement;
use super::advice::Limit;
use super::chain::{self, between};
use super::scaling::judgement;
use crate::measure::{Results, Select, Timeline};
use crate::outcome::Verdict;
use crate::plan::Schedule;
use crate::scenario::Scenario;
use crate::units;

/// What a target may get wrong while it is at its maximum, where the scenario says nothing of errors.
const ERRORS: f64 = 0.01;
/// A level is the same within a tenth: the group need not answer less.
const SAME_LEVEL: f64 = 0.1;

/// Does the target hold what was asked of it when it can grow no more? Nothing where it never came to its maximum.
pub fn at_maximum(
    scenario: &Scenario,
    results: &Results,
    timeline: &Timeline,
    started: Timestamp,
    max: u32,
) -> Option<Judgement> {
    let length = results.last_second()? as usize + 1;
    let serving = chain::serving(timeline, started, length);
    let pinned: Vec<usize> = (0..length).filter(|second| max > 0 && serving[*second] >= max).collect();
    let mut merged = crate::measure::Merged::default();
    for stretch in pinned.chunk_by(|a, b| a + 1 == *b) {
        let (Some(from), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        let seconds = Some((*from as u32, *last as u32 + 1));
        merged.merge(&results.merged(Select { seconds, ..Select::default() }));
    }
    if merged.tally.requests() == 0 {
        return None;
    }
    let share = merged.tally.errors() as f64 / merged.tally.requests() as f64;
    let p95 = merged.latency.percentile(95.0);
    let limit = Limit::in_the_spike(scenario);
    let slow = matches!((limit, p95), (Some(limit), Some(p95)) if p95 > limit);
    let measured = format!(
        "p95 = {}, errors = {:.2}% in {} at {max} instances",
        p95.map_or("-".to_owned(), units::duration),
        share * 100.0,
        units::count(pinned.len() as u64, "second")
    );
    let asked = "the target holds at maximum capacity";
    let bound = limit.map_or("the scenario has no limit on p95 there".to_owned(), |limit| {
        format!("p95 within {}", units::duration(limit))
    });
    Some(if slow || share > ERRORS {
        let because = format!("the maximum of {max} is too small for this load (asked: {bound}, errors within 1%)");
        judgement(asked, Verdict::Failed, &measured, because)
    } else {
        judgement(asked, Verdict::Passed, &measured, format!("{bound}, errors within 1%"))
    })
}

/// The group must not grow and shrink by turns under a load that stays.
pub fn flapping(schedule: &Schedule, timeline: &Timeline, started: Timestamp) -> Judgement {
    let window = window(timeline);
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    let mut last = None;
    for (at, group) in timeline.groups() {
        let by = i64::from(group.desired) - i64::from(*last.get_or_insert(group.desired));
        if by != 0 && at >= started {
            changes.push((at, by));
        }
        last = Some(group.desired);
    }
    let level = |at: Timestamp| schedule.level_at(between(started, at));
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
        return judgement(asked, Verdict::Passed, &measured, because);
    }
    let because = format!(
        "the group grew and shrank by turns within {} while the load stayed: a longer warm-up, or a target further from \
         the low alarm",
        units::duration(window)
    );
    judgement(asked, Verdict::Failed, &measured, because)
}

/// The longest of the policies' warm-ups and low alarms: what turns faster than that did not wait for its own effect.
fn window(timeline: &Timeline) -> Duration {
    let warm_ups = timeline.policies().into_iter().filter_map(|policy| policy.warm_up);
    let low = timeline.alarms().into_iter().filter(|alarm| !alarm.is_high()).map(|alarm| alarm.window());
    warm_ups.chain(low).max().unwrap_or(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::{GroupState, Observation, Observed};
    use crate::verdict::tests::scenario;

    fn at(second: u64) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_secs(second)).unwrap()
    }

    fn timeline(desired: &[(u64, u32)]) -> Timeline {
        let group = |desired| GroupState {
            name: "web".to_owned(),
            min: 1,
            max: 4,
            desired,
            default_cooldown: Duration::from_secs(300),
            default_warm_up: None,
            instances: vec![],
            target_groups: vec![],
            suspended: vec![],
        };
        let seen =
            |(second, desired): &(u64, u32)| Observation { at: at(*second), seen: Observed::Group(group(*desired)) };
        Timeline { observations: desired.iter().map(seen).collect() }
    }

    /// The scenario jumps at 20 s and falls at 30 s.
    #[test]
    fn growing_and_shrinking_by_turns_under_one_load_is_flapping_and_following_the_load_is_not() {
        let scenario = scenario();
        let schedule = Schedule::new(&scenario);
        let judged = |desired: &[(u64, u32)]| flapping(&schedule, &timeline(desired), at(0)).verdict;
        assert_eq!(judged(&[(0, 1), (22, 3), (32, 1)]), Verdict::Passed);
        assert_eq!(judged(&[(0, 1), (22, 3), (24, 2), (26, 3)]), Verdict::Failed);
        assert_eq!(judged(&[(0, 2), (12, 1), (22, 3)]), Verdict::Passed, "the load rose between");
        assert_eq!(judged(&[(0, 2)]), Verdict::Passed);
    }
}
