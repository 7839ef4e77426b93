//! How many instances, and by which numbers of the policy they should come: size, target, minimum,
//! maximum, steps.

use super::answers::answer;
use super::candidates::Tolerance;
use super::{Advice, Answer, Candidate, Change, Evidence, Topic, others};
use crate::report::words;
use evidence::timeline::Policy;
use evidence::vocabulary::PolicyKind;
use evidence::{Confidence, InstanceCapacity};
use model::units;

/// A metric whose middle datapoint lies further from the load than this says little of a target.
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

/// `4 instances (3 to 10 by what held and what did not)`
fn range(capacity: &InstanceCapacity, load: f64) -> String {
    let count = units::count(needed(capacity, load), "instance");
    match capacity.needed(load) {
        (None, most) => format!("{count} (at most {most})"),
        (Some(fewest), most) if fewest == most => count,
        (Some(fewest), most) => {
            format!("{count} ({fewest} to {most} by what held the limit and what did not)")
        }
    }
}

/// Said once in full, with the size; elsewhere only what follows from it.
fn by_capacity(capacity: &InstanceCapacity) -> String {
    format!(
        "{:.0} requests/s for each instance, as sure as that is (above)",
        capacity.at_limit
    )
}

const CANNOT_TELL: &str = "This run cannot tell.";
const NOTHING_HELD: &str = "no second held the limit: a run whose first phase is so low that it does would show what one instance carries";

pub fn size(evidence: &Evidence<'_>, advice: &Advice) -> Answer {
    let topic = Topic::InstanceCapacity;
    let Some(capacity) = &advice.capacity else {
        return answer(
            topic,
            CANNOT_TELL.to_owned(),
            NOTHING_HELD.to_owned(),
            Confidence::Low,
        );
    };
    let (peak, limit) = (peak(evidence), units::duration(evidence.limit.p95));
    let known = match capacity.between {
        (least, Some(most)) => {
            let saturated = capacity.saturated.filter(|saturated| *saturated < most);
            let saturated = saturated.map_or(String::new(), |saturated| {
                format!(" ({saturated:.0} were answered of those)")
            });
            format!(
                "the limit held with {least:.0} and was missed with {most:.0}{saturated}; {}",
                words::capacity(capacity)
            )
        }
        (_, None) => words::capacity(capacity),
    };
    let mut said = format!(
        "One instance carries {:.0} requests/s with p95 within {limit}; the highest second asked {peak:.0}, which is {}.",
        capacity.at_limit,
        range(capacity, peak)
    );
    said += &beyond_maximum(evidence.reaction.max, capacity, peak);
    if !evidence.limit.asked {
        said += &format!(" (The scenario has no threshold on p95: {limit} was assumed.)");
    }
    answer(topic, said, known, capacity.confidence)
}

fn beyond_maximum(max: u32, capacity: &InstanceCapacity, peak: f64) -> String {
    let (fewest, most) = capacity.needed(peak);
    let needed = needed(capacity, peak);
    if max == 0 || most <= max {
        return String::new();
    }
    if fewest.is_some_and(|fewest| fewest > max) {
        return format!(
            " The group's maximum of {max} cannot hold it: raise it to {needed} or more."
        );
    }
    if needed > max {
        format!(" The group's maximum of {max} may be too small for it.")
    } else {
        String::new()
    }
}

/// Whether the metric is at its target when an instance has as much as it should.
pub fn target(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::TargetValue;
    let policies = evidence.timeline.policies();
    let tracking = policies
        .iter()
        .find(|policy| policy.kind == PolicyKind::TargetTracking)?;
    let (Some(capacity), Some(metric)) = (&advice.capacity, &advice.metric) else {
        let why = match advice.capacity {
            None => NOTHING_HELD.to_owned(),
            Some(_) => {
                "no datapoint of the metric lies beside a steady size and load: a run with phases longer than a few \
                        periods would show how it follows the load"
                    .to_owned()
            }
        };
        return Some(answer(topic, CANNOT_TELL.to_owned(), why, Confidence::Low));
    };
    let full = capacity.at_limit * metric.per_request;
    let fitting = others::fitting(capacity.at_limit, metric.per_request, metric.ceiling);
    let now = tracking.target_value.map_or(String::new(), |now| {
        let replayed =
            replayed(evidence, advice).unwrap_or_else(|| compared(now, fitting).to_owned());
        let late = if now > full {
            "more than an instance reaches within the limit, so it asks for more too late; "
        } else {
            ""
        };
        format!(" It is {now}: {late}{replayed}.")
    });
    let ceiling = metric.ceiling.map_or(full, |ceiling| full.min(ceiling));
    let said = format!(
        "At most about {fitting:.0}: an instance at its limit shows {} {ceiling:.0}, and {:.0} % of that leaves room for what \
         comes while new ones start.{now}",
        metric.name,
        others::ROOM * 100.0
    );
    let from = format!(
        "{} of the metric, the middle one {:.0} % from {:.3} for each request/s; {}; the rows below show what other targets do",
        units::count(metric.datapoints as u32, "datapoint"),
        metric.scatter * 100.0,
        metric.per_request,
        by_capacity(capacity)
    );
    let confidence = if metric.scatter > SCATTERED {
        Confidence::Low
    } else {
        capacity.confidence
    };
    Some(answer(topic, said, from, confidence))
}

/// What the rows with other targets say of the one that is set: the recommended one, else the best
/// of them.
fn replayed(evidence: &Evidence<'_>, advice: &Advice) -> Option<String> {
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
    let figures = |one: &Candidate| {
        let lost = if now.errors + best.errors > 0 {
            format!(" and {} lost", units::count(one.errors, "request"))
        } else {
            String::new()
        };
        format!("{} s over the limit{lost}", one.over_limit)
    };
    let tolerance = Tolerance::of(evidence);
    Some(if best.recommended {
        format!(
            "{} is recommended below, for {} instead of {}",
            best.name,
            figures(best),
            figures(now)
        )
    } else if tolerance.is_held_by(now) {
        format!("it holds the limit with this load ({})", figures(now))
    } else if tolerance.is_helped_by(best, now) {
        format!(
            "{} would help ({} instead of {}), and what is recommended below does more",
            best.name,
            figures(best),
            figures(now)
        )
    } else {
        format!(
            "no other that was tried is much better ({} at best, with {}; {} now)",
            figures(best),
            best.name,
            figures(now)
        )
    })
}

/// Where no row could be replayed.
fn compared(now: f64, fitting: f64) -> &'static str {
    if now > fitting * 1.1 {
        "little room, so latency goes before new instances are there"
    } else {
        "there is room; what less of it would cost or gain this run cannot tell"
    }
}

/// The least and the most, by what the calm and the highest load need.
pub fn bounds(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::MinAndMax;
    let (_, group) = evidence.timeline.groups().next_back()?;
    let Some(capacity) = &advice.capacity else {
        return Some(answer(
            topic,
            CANNOT_TELL.to_owned(),
            NOTHING_HELD.to_owned(),
            Confidence::Low,
        ));
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
    let (most, max, min) = (needed(capacity, peak), group.max, group.min);
    let roomy = (peak / (capacity.at_limit * others::ROOM)).ceil() as u32;
    let fits = if most > max { "too small" } else { "enough" };
    let mut said = format!(
        "max: {most} for the highest load, {roomy} with room to catch up; it is {max}, {fits}. min: the load before the spike \
         needs {}; it is {min}.",
        range(capacity, calm)
    );
    if most > min {
        said += &format!(
            " A minimum of {most} would hold the spike from its first second, but {}.",
            others::standing(most, min, advice.price.as_ref())
        );
    }
    let from = format!(
        "{peak:.0} and {calm:.0} requests/s over {}",
        by_capacity(capacity)
    );
    Some(answer(topic, said, from, capacity.confidence))
}

/// How large a step has to be, where there are steps; else what one would do.
pub fn steps(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::StepSizes;
    let Some(capacity) = &advice.capacity else {
        return Some(answer(
            topic,
            CANNOT_TELL.to_owned(),
            NOTHING_HELD.to_owned(),
            Confidence::Low,
        ));
    };
    let peak = peak(evidence);
    let before = evidence.reaction.desired_before;
    let from = format!(
        "the highest second ({peak:.0} requests/s) over {}",
        by_capacity(capacity)
    );
    let policies = evidence.timeline.policies();
    let stepped = policies
        .iter()
        .find(|policy| policy.kind == PolicyKind::Step && is_out(policy));
    let add = needed(capacity, peak).saturating_sub(before);
    let said = match (stepped, add) {
        (_, 0) => format!(
            "No step is needed: the {before} that were there are enough for the highest load."
        ),
        (Some(policy), _) => large(policy, capacity, peak, add, before),
        (None, _) => single(advice)
            .unwrap_or_else(|| format!("There are none. One would have to add {add} at once.")),
    };
    Some(answer(topic, said, from, capacity.confidence))
}

fn large(policy: &Policy, capacity: &InstanceCapacity, peak: f64, add: u32, before: u32) -> String {
    let largest = policy
        .steps
        .iter()
        .map(|step| step.change)
        .max()
        .unwrap_or(0);
    let unit = if policy.adjustment.as_deref() == Some("PercentChangeInCapacity") {
        " %"
    } else {
        ""
    };
    format!(
        "The spike needs {} at once, {add} more than the {before} that were there; the largest step of {} is {largest}{unit}.",
        range(capacity, peak),
        policy.name
    )
}

/// The row with one size, where the policy has none.
fn single(advice: &Advice) -> Option<String> {
    let now = advice.candidates.first()?;
    let is_step = |change: &Change| matches!(change, Change::Step { .. });
    let row = advice.candidates.iter().find(|one| match &one.change {
        Change::Maximum {
            with: Some(with), ..
        } => is_step(with),
        change => is_step(change),
    })?;
    Some(format!(
        "There are none. One beside the policy ({}): p95 over its limit for {} s instead of {} s, {} requests lost instead of {}.",
        row.name, row.over_limit, now.over_limit, row.errors, now.errors
    ))
}

fn is_out(policy: &Policy) -> bool {
    policy.steps.iter().any(|step| step.change > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{evidence, seen};
    use super::super::{Reaction, advise};
    use super::*;

    /// The rows are what other targets would do: the sentence says nothing else.
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
            target(&evidence, &advice).unwrap().answer
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
        assert_eq!(
            range(&wide, 280.0),
            "4 instances (3 to 10 by what held the limit and what did not)"
        );
        assert_eq!(
            range(&capacity((80.0, Some(90.0)), None), 85.0),
            "1 instance (1 to 2 by what held the limit and what did not)"
        );
        assert_eq!(
            range(&capacity((85.0, None), None), 280.0),
            "4 instances (at most 4)"
        );
        assert_eq!(
            beyond_maximum(2, &wide, 280.0),
            " The group's maximum of 2 cannot hold it: raise it to 4 or more."
        );
        assert_eq!(
            beyond_maximum(3, &wide, 280.0),
            " The group's maximum of 3 may be too small for it."
        );
        assert_eq!(beyond_maximum(8, &wide, 280.0), "");
    }
}
