//! Answers how many instances the load needs, and which target, minimum, maximum and steps fit.

use super::asked::Carried;
use super::candidates::Tolerance;
use super::content::{
    Answer, Basis, BeyondMaximum, Content, MinAndMax, NeededSize, PresentTarget, SizeRange,
    StepSize, TargetCompared, TargetRow, TargetValue,
};
use super::{Advice, Candidate, Change, Evidence, Topic, others};
use evidence::timeline::Policy;
use evidence::vocabulary::PolicyKind;
use evidence::{Confidence, InstanceCapacity};

/// Scatter of a metric around the load above which it says little of a target.
const SCATTERED: f64 = 0.2;

fn peak(evidence: &Evidence<'_>) -> f64 {
    evidence
        .seconds
        .iter()
        .map(|second| second.demand)
        .fold(0.0, f64::max)
}

fn needed(capacity: &InstanceCapacity, load: f64) -> u32 {
    (load / capacity.at_limit).ceil() as u32
}

fn range(capacity: &InstanceCapacity, load: f64) -> SizeRange {
    let (fewest, most) = capacity.needed(load);
    SizeRange {
        needed: needed(capacity, load),
        fewest,
        most,
    }
}

pub(super) fn size(evidence: &Evidence<'_>, advice: &Advice) -> Answer {
    let topic = Topic::InstanceCapacity;
    let Some(capacity) = &advice.capacity else {
        return Answer::unknown(topic, Basis::NothingHeld);
    };
    let peak = peak(evidence);
    let size = NeededSize {
        each: capacity.at_limit,
        limit: evidence.limit.p95,
        peak,
        size: range(capacity, peak),
        beyond: beyond_maximum(evidence.reaction.max, capacity, peak),
        limit_is_assumed: !evidence.limit.asked,
    };
    Answer::new(
        topic,
        Content::InstanceCapacity(size),
        Basis::Capacity(capacity.clone()),
        capacity.confidence,
    )
}

/// Answers how much load the group carries at its maximum. No run with fewer instances shows what
/// lies behind so many.
pub(super) fn at_maximum(
    evidence: &Evidence<'_>,
    serving: &[u32],
    advice: &Advice,
) -> Option<Answer> {
    let (_, group) = evidence.timeline.groups().next_back()?;
    let capacity = advice.capacity.as_ref().filter(|_| group.max > 0)?;
    let served = serving.iter().copied().max().unwrap_or(0);
    let confidence = if served < group.max {
        capacity.confidence.min(Confidence::Medium)
    } else {
        capacity.confidence
    };
    let carried = Carried::of(group.max, capacity, evidence, peak(evidence));
    let basis = Basis::CapacityTimesMaximum {
        each: capacity.at_limit,
        served,
    };
    Some(Answer::new(
        Topic::AtMaximum,
        Content::AtMaximum(carried),
        basis,
        confidence,
    ))
}

fn beyond_maximum(max: u32, capacity: &InstanceCapacity, peak: f64) -> Option<BeyondMaximum> {
    let (fewest, most) = capacity.needed(peak);
    let needed = needed(capacity, peak);
    if max == 0 || most <= max {
        return None;
    }
    if fewest.is_some_and(|fewest| fewest > max) {
        return Some(BeyondMaximum::CannotHold { max, needed });
    }
    (needed > max).then_some(BeyondMaximum::MayBeTooSmall { max })
}

/// Answers which target value fits, by the metric's value at the load that an instance should have.
pub(super) fn target(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::TargetValue;
    let policies = evidence.timeline.policies();
    let tracks = |policy: &&&Policy| policy.kind == PolicyKind::TargetTracking;
    let binds = |policy: &&&Policy| {
        let binding = advice.binding.as_ref();
        binding.is_some_and(|binding| binding.policy == policy.name)
    };
    let tracking = policies
        .iter()
        .filter(tracks)
        .find(binds)
        .or_else(|| policies.iter().find(tracks))?;
    let (Some(capacity), Some(metric)) = (&advice.capacity, &advice.metric) else {
        let basis = match advice.capacity {
            None => Basis::NothingHeld,
            Some(_) => Basis::NoSteadyDatapoint,
        };
        return Some(Answer::unknown(topic, basis));
    };
    let full = capacity.at_limit * metric.per_request;
    let fitting = others::fitting(capacity.at_limit, metric.per_request, metric.ceiling);
    // The metric is that of the policy that binds, so no other policy's target compares with it.
    let is_of_metric = advice
        .binding
        .as_ref()
        .is_none_or(|binding| binding.policy == tracking.name);
    let present = tracking.target_value.filter(|_| is_of_metric);
    let now = present.map(|now| PresentTarget {
        target: now,
        is_late: now > full,
        compared: replayed(evidence, advice).unwrap_or_else(|| compared(now, fitting)),
    });
    let value = TargetValue {
        fitting,
        metric: metric.name.clone(),
        full: metric.ceiling.map_or(full, |ceiling| full.min(ceiling)),
        now,
        binding: advice.binding.clone(),
    };
    let basis = Basis::Metric {
        metric: metric.clone(),
        each: capacity.at_limit,
    };
    let confidence = if metric.scatter > SCATTERED {
        Confidence::Low
    } else {
        capacity.confidence
    };
    Some(Answer::new(
        topic,
        Content::TargetValue(value),
        basis,
        confidence,
    ))
}

/// Compares the target that is set with the replayed rows of other targets: with the recommended
/// row, else with the best.
fn replayed(evidence: &Evidence<'_>, advice: &Advice) -> Option<TargetCompared> {
    let (now, others) = advice.candidates.split_first()?;
    let is_target = |one: &&Candidate| match &one.change {
        Change::Maximum {
            with: Some(with), ..
        } => matches!(**with, Change::Target { .. }),
        change => matches!(change, Change::Target { .. }),
    };
    let rows = || others.iter().filter(is_target);
    let best = rows()
        .find(|one| one.recommended)
        .or_else(|| rows().min_by_key(|one| (one.over_limit, one.errors)))?;
    let loses = now.errors + best.errors > 0;
    let row = |one: &Candidate| TargetRow {
        name: one.name.clone(),
        over_limit: one.over_limit,
        lost: loses.then_some(one.errors),
    };
    let tolerance = Tolerance::of(evidence);
    let (best_row, now_row) = (row(best), row(now));
    Some(if best.recommended {
        TargetCompared::Recommended {
            best: best_row,
            now: now_row,
        }
    } else if tolerance.is_held_by(now) {
        TargetCompared::Holds { now: now_row }
    } else if tolerance.is_helped_by(best, now) {
        TargetCompared::WouldHelp {
            best: best_row,
            now: now_row,
        }
    } else {
        TargetCompared::NoneBetter {
            best: best_row,
            now: now_row,
        }
    })
}

/// Compares the targets themselves, where no row could be replayed.
fn compared(now: f64, fitting: f64) -> TargetCompared {
    if now > fitting * 1.1 {
        TargetCompared::LittleRoom
    } else {
        TargetCompared::Room
    }
}

/// Answers which minimum and maximum the calm and the highest load need.
pub(super) fn bounds(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::MinAndMax;
    let (_, group) = evidence.timeline.groups().next_back()?;
    let Some(capacity) = &advice.capacity else {
        return Some(Answer::unknown(topic, Basis::NothingHeld));
    };
    let peak = peak(evidence);
    let calm = evidence
        .spike
        .map_or(evidence.seconds.len(), |(from, _)| from as usize)
        .min(evidence.seconds.len());
    let calm = evidence.seconds[..calm]
        .iter()
        .map(|second| second.demand)
        .fold(0.0, f64::max);
    let (most, min) = (needed(capacity, peak), group.min);
    let bounds = MinAndMax {
        needed: most,
        roomy: (peak / (capacity.at_limit * others::ROOM)).ceil() as u32,
        min,
        max: group.max,
        calm: range(capacity, calm),
        standing: (most > min).then(|| others::standing(most, min, advice.price.as_ref())),
    };
    let basis = Basis::PeakAndCalm {
        peak,
        calm,
        each: capacity.at_limit,
    };
    Some(Answer::new(
        topic,
        Content::MinAndMax(bounds),
        basis,
        capacity.confidence,
    ))
}

/// Answers how large a step has to be. Without a step policy it takes the replayed candidate with
/// one.
pub(super) fn steps(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::StepSizes;
    let Some(capacity) = &advice.capacity else {
        return Some(Answer::unknown(topic, Basis::NothingHeld));
    };
    let peak = peak(evidence);
    let before = evidence.reaction.desired_before;
    let policies = evidence.timeline.policies();
    let stepped = policies
        .iter()
        .find(|policy| policy.kind == PolicyKind::Step && is_out(policy));
    let add = needed(capacity, peak).saturating_sub(before);
    let step = match (stepped, add) {
        (_, 0) => StepSize::NotNeeded { before },
        (Some(policy), _) => StepSize::Largest {
            size: range(capacity, peak),
            add,
            before,
            policy: policy.name.clone(),
            largest: largest(policy),
            is_percent: policy.adjustment.as_deref() == Some("PercentChangeInCapacity"),
        },
        (None, _) => single(advice).unwrap_or(StepSize::ToAdd { add }),
    };
    let basis = Basis::Peak {
        peak,
        each: capacity.at_limit,
    };
    Some(Answer::new(
        topic,
        Content::StepSizes(step),
        basis,
        capacity.confidence,
    ))
}

fn largest(policy: &Policy) -> i32 {
    policy
        .steps
        .iter()
        .map(|step| step.change)
        .max()
        .unwrap_or(0)
}

/// Returns the replayed row with one step, where the policy has none.
fn single(advice: &Advice) -> Option<StepSize> {
    let now = advice.candidates.first()?;
    let is_step = |change: &Change| matches!(change, Change::Step { .. });
    let row = advice.candidates.iter().find(|one| match &one.change {
        Change::Maximum {
            with: Some(with), ..
        } => is_step(with),
        change => is_step(change),
    })?;
    Some(StepSize::Beside {
        row: Box::new(row.clone()),
        now: Box::new(now.clone()),
    })
}

fn is_out(policy: &Policy) -> bool {
    policy.steps.iter().any(|step| step.change > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{evidence, seen};
    use super::super::{Reaction, advise};
    use super::*;
    use crate::report::words;

    /// The rows show other targets' effect: the sentence must agree with them.
    #[test]
    fn what_is_said_of_the_target_is_what_the_rows_say() {
        let (timeline, seconds) = seen("TargetTrackingScaling");
        let reaction = Reaction {
            desired_before: 2,
            max: 8,
            ..Reaction::default()
        };
        let evidence = evidence(&timeline, &seconds, &reaction);
        let advised = advise(&evidence, None);
        let said = |rows: &[(u32, u64)], recommended: usize| {
            let mut advice = advised.clone();
            let targets =
                |one: &Candidate| matches!(one.change, Change::Nothing | Change::Target { .. });
            advice.candidates.retain(targets);
            advice.candidates.truncate(rows.len());
            for (index, (row, (over, errors))) in advice.candidates.iter_mut().zip(rows).enumerate()
            {
                (row.over_limit, row.errors, row.recommended) =
                    (*over, *errors, index == recommended);
            }
            words::answer(target(&evidence, &advice).unwrap()).answer
        };
        for (rows, recommended, ends) in [
            (
                &[(20, 90), (4, 0)][..],
                1,
                "is recommended below, for 4 s over the limit and 0 requests lost instead of 20 s over the limit and 90 requests lost.",
            ),
            (
                &[(20, 90), (10, 10)],
                9,
                "and what is recommended below does more.",
            ),
            (
                &[(20, 90), (19, 90)],
                9,
                "; 20 s over the limit and 90 requests lost now).",
            ),
            (
                &[(0, 0), (0, 0)],
                9,
                "It is 50: it holds the limit with this load (0 s over the limit).",
            ),
            (
                &[(20, 90)],
                0,
                "there is room; what less of it would cost or gain this run cannot tell.",
            ),
        ] {
            let said = said(rows, recommended);
            assert!(said.ends_with(ends), "{said}");
        }
    }

    #[test]
    fn needed_instances_are_a_range_where_the_run_leaves_one() {
        let capacity = |between, saturated| InstanceCapacity {
            at_limit: 85.0,
            between,
            saturated,
            queue: std::time::Duration::ZERO,
            confidence: Confidence::Low,
            reason: None,
            because: String::new(),
        };
        let wide = capacity((30.0, Some(140.0)), Some(100.0));
        let size = |needed, fewest, most| SizeRange {
            needed,
            fewest,
            most,
        };
        assert_eq!(range(&wide, 280.0), size(4, Some(3), 10));
        let narrow = capacity((80.0, Some(90.0)), None);
        assert_eq!(range(&narrow, 85.0), size(1, Some(1), 2));
        let least = capacity((85.0, None), None);
        assert_eq!(range(&least, 280.0), size(4, None, 4));
        assert_eq!(
            beyond_maximum(2, &wide, 280.0),
            Some(BeyondMaximum::CannotHold { max: 2, needed: 4 })
        );
        assert_eq!(
            beyond_maximum(3, &wide, 280.0),
            Some(BeyondMaximum::MayBeTooSmall { max: 3 })
        );
        assert_eq!(beyond_maximum(8, &wide, 280.0), None);
    }

    #[test]
    fn the_load_at_the_maximum_is_the_capacity_times_the_maximum() {
        let (timeline, seconds) = seen("TargetTrackingScaling");
        let reaction = Reaction::default();
        let advice = advise(&evidence(&timeline, &seconds, &reaction), None);
        let found = advice
            .answers
            .into_iter()
            .find(|one| one.topic == Topic::AtMaximum)
            .unwrap();
        // Six instances served, of eight.
        assert_eq!(found.confidence, Confidence::Medium);
        let said = words::answer(found).answer;
        assert!(
            said.starts_with("At max 8 it carries 1,600 requests/s"),
            "{said}"
        );
    }
}
