//! Finds why latency grew and what caused the errors, second by second instead of over the whole
//! spike.

use std::collections::BTreeMap;
use std::time::Duration;

use super::content::{
    Answer, BalancerCount, Basis, BeforeGrowth, Content, ErrorCause, ErrorShares, FreshErrors,
};
use super::{Advice, Evidence, Topic};
use evidence::instances::{self, Left, between};
use evidence::timeline::series;
use evidence::{Confidence, InstanceCapacity, Suspect, hypotheses};

/// Time after an instance became healthy in which it counts as new: its caches and pools are cold.
/// The judgement on new instances uses the same minute.
const FRESH: Duration = Duration::from_mins(1);
/// Time within which a load balancer notices that an instance is gone. The judgement on dropped
/// requests uses the same.
const NOTICED: Duration = Duration::from_secs(2);
/// Time before the end of an instance in which the requests were sent that it lost.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// Divisor of all errors: a fifth of them is more than chance.
const GOOD_PART: u64 = 5;

/// Returns the seconds of the spike, or of the whole run if it has none.
fn spike(evidence: &Evidence<'_>) -> std::ops::Range<usize> {
    let (from, until) = evidence.spike.unwrap_or((0, u32::MAX));
    let until = (until as usize).min(evidence.seconds.len());
    (from as usize).min(until)..until
}

/// Answers what each instance had to carry in each second until the group grew. The group may have
/// shrunk before that.
pub(super) fn before_scaling(
    evidence: &Evidence<'_>,
    serving: &[u32],
    advice: &Advice,
) -> Option<Answer> {
    let capacity = advice.capacity.as_ref()?;
    let spike = spike(evidence);
    let grew = |second: &usize| *second > spike.start && serving[*second] > serving[*second - 1];
    let until = spike.clone().find(grew).unwrap_or(spike.end);
    let loads = (spike.start..until).filter(|second| serving[*second] > 0);
    let loads: Vec<(f64, u32)> = loads
        .map(|second| {
            (
                evidence.seconds[second].demand / f64::from(serving[second]),
                serving[second],
            )
        })
        .collect();
    let (most, there) = loads
        .iter()
        .copied()
        .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let over = loads
        .iter()
        .filter(|(each, _)| *each > capacity.at_limit)
        .count() as u32;
    let is_known = capacity.between.1.is_some();
    let window = (spike.start as f64, until as f64);
    let left = evidence
        .reaction
        .left
        .iter()
        .filter(|one| overlaps(evidence, one, window))
        .count();
    let found = BeforeGrowth {
        overloaded_s: (over > 0 && is_known).then_some(over),
        instances: there,
        most,
        carries: capacity.at_limit,
        carries_at_least: !is_known,
        limit: evidence.limit.p95,
        left,
    };
    Some(Answer::new(
        Topic::LatencyBeforeGrowth,
        Content::LatencyBeforeGrowth(found),
        Basis::Seconds {
            from: spike.start,
            until,
        },
        capacity.confidence,
    ))
}

/// Returns the time in which a leaving instance may lose requests, in seconds from the start of the
/// load.
fn leaving(evidence: &Evidence<'_>, left: &Left) -> (f64, f64) {
    let second = |at: jiff::Timestamp| at.duration_since(evidence.started).as_secs_f64();
    let began = second(left.began.at) - (left.began.within + UNDER_WAY).as_secs_f64();
    let gone = left.gone.map_or(f64::INFINITY, |gone| second(gone.at));
    (began, gone + NOTICED.as_secs_f64())
}

fn overlaps(evidence: &Evidence<'_>, left: &Left, (from, until): (f64, f64)) -> bool {
    let (began, gone) = leaving(evidence, left);
    began < until && gone > from
}

/// Errors by their cause.
#[derive(Debug, Default, PartialEq)]
struct Causes {
    nobody: u64,
    saturated: u64,
    leaving: u64,
    young: u64,
    /// Errors of seconds that a hypothesis explains.
    known: BTreeMap<Suspect, u64>,
    other: u64,
}

/// Assigns the errors of each second to one cause, the surest cause first.
fn causes(evidence: &Evidence<'_>, serving: &[u32], limit: Option<f64>) -> Causes {
    let mut causes = Causes::default();
    let fresh: Vec<_> = evidence
        .reaction
        .launched
        .iter()
        .filter_map(instances::Launched::serves)
        .collect();
    // A queue that grew in one second is answered in the next.
    let over = |at: usize| {
        let (Some(second), Some(count)) = (evidence.seconds.get(at), serving.get(at)) else {
            return false;
        };
        limit.is_some_and(|limit| second.demand > limit * f64::from(*count))
    };
    let explains = |second: usize| {
        let at = second as u32;
        let mut hypotheses = evidence.hypotheses.iter();
        let found = hypotheses.find(|one| {
            let counts = one.is_other()
                && !matches!(one.suspect, Suspect::FailedLaunches | Suspect::TimedOutWork);
            counts
                && one
                    .seconds
                    .iter()
                    .any(|(from, until)| (*from..*until).contains(&at))
        });
        found.map(|one| one.suspect)
    };
    let constant: u64 = evidence.seconds.iter().map(|second| second.constant).sum();
    if constant > 0 {
        causes.known.insert(Suspect::ConstantErrors, constant);
    }
    let failed = evidence
        .seconds
        .iter()
        .zip(serving)
        .enumerate()
        .filter(|(_, (second, _))| second.errors > 0);
    for (index, (second, count)) in failed {
        let at = instances::after(evidence.started, Duration::from_secs(index as u64));
        let window = (index as f64, index as f64 + 1.0);
        let cause = if *count == 0 {
            &mut causes.nobody
        } else if let Some(suspect) = explains(index) {
            causes.known.entry(suspect).or_default()
        } else if over(index) || (index > 0 && over(index - 1)) {
            &mut causes.saturated
        } else if evidence
            .reaction
            .left
            .iter()
            .any(|one| overlaps(evidence, one, window))
        {
            &mut causes.leaving
        } else if !evidence.fresh_passed
            && fresh
                .iter()
                .any(|healthy| at >= *healthy && between(*healthy, at) < FRESH)
        {
            &mut causes.young
        } else {
            &mut causes.other
        };
        *cause += second.errors;
    }
    causes
}

pub(super) fn errors(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Option<Answer> {
    let all: u64 = evidence
        .seconds
        .iter()
        .map(|second| second.errors + second.constant)
        .sum();
    if all == 0 {
        return None;
    }
    let capacity = known_limit(evidence, advice);
    let found = causes(
        evidence,
        serving,
        capacity.map(|capacity| capacity.at_limit),
    );
    let named = [
        (ErrorCause::NobodyHealthy, found.nobody),
        (ErrorCause::Saturation, found.saturated),
        (ErrorCause::Leaving, found.leaving),
        (ErrorCause::NewInstance, found.young),
        (ErrorCause::Unexplained, found.other),
    ];
    let known = found
        .known
        .iter()
        .map(|(suspect, count)| (ErrorCause::Other(*suspect), *count));
    let shares = known
        .chain(named)
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| (cause, count as f64 / all as f64))
        .collect();
    let explained = found.other * GOOD_PART < all;
    let by_capacity =
        found.saturated == 0 || capacity.is_some_and(|known| known.confidence > Confidence::Low);
    let confidence = if explained && by_capacity {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    let counted = by_balancer(evidence);
    Some(Answer::new(
        Topic::Errors,
        Content::Errors(ErrorShares { shares, counted }),
        Basis::ErrorsBySecond { errors: all },
        confidence,
    ))
}

/// Returns the errors of new instances with load to spare, if they are a fifth of all errors or
/// more.
pub(super) fn of_fresh(
    evidence: &Evidence<'_>,
    serving: &[u32],
    advice: &Advice,
) -> Option<FreshErrors> {
    let found = causes(
        evidence,
        serving,
        known_limit(evidence, advice).map(|capacity| capacity.at_limit),
    );
    let all: u64 = evidence.seconds.iter().map(|second| second.errors).sum();
    let young = found.young;
    (young * GOOD_PART >= all && young > 0).then_some(FreshErrors::Inferred { young, all })
}

/// Returns the capacity if a load missed the limit. Otherwise the estimate is only a lower bound, or
/// says nothing where other reasons than the group's size come first.
fn known_limit<'a>(evidence: &Evidence<'_>, advice: &'a Advice) -> Option<&'a InstanceCapacity> {
    let capacity = advice.capacity.as_ref()?;
    let others = hypotheses::other_remedies(evidence.hypotheses, evidence.spike_seconds());
    (capacity.between.1.is_some() && others.is_empty()).then_some(capacity)
}

/// Returns the load balancer's error counts that are above 0.
fn by_balancer(evidence: &Evidence<'_>) -> Vec<(BalancerCount, f64)> {
    let sum = |name: &str| {
        let points = evidence
            .timeline
            .own_counts(name)
            .flat_map(|series| &series.points);
        points.map(|point| point.value).sum::<f64>()
    };
    [
        (BalancerCount::TargetErrors, series::TARGET_5XX),
        (BalancerCount::OwnErrors, series::BALANCER_5XX),
        (BalancerCount::ConnectionErrors, series::CONNECTION_ERRORS),
        (BalancerCount::Rejected, series::REJECTED),
    ]
    .map(|(what, series)| (what, sum(series)))
    .into_iter()
    .filter(|(_, count)| *count > 0.0)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence};
    use super::super::{Reaction, Second, Timeline, capacity};
    use super::*;
    use crate::report::words;
    use evidence::{Launched, Left, Sighting, Why};

    fn second(demand: f64, errors: u64, p95: u64) -> Second {
        Second {
            demand,
            others: 0.0,
            ok: demand as u64 - errors,
            errors,
            constant: 0,
            p95: Some(p95 * 1_000),
            pooled: false,
        }
    }

    fn left(began: usize, gone: usize) -> Left {
        let (began, gone) = (Sighting::exact(at(began)), Some(Sighting::exact(at(gone))));
        Left {
            id: "i-0a".to_owned(),
            began,
            why: Why::ScaledIn,
            draining: None,
            gone,
        }
    }

    #[test]
    fn errors_of_instances_that_left_before_the_load_fell_are_theirs() {
        let mut seconds = vec![second(60.0, 0, 30); 40];
        for (index, errors) in [(13, 8), (15, 9), (16, 1), (17, 3), (37, 4)] {
            seconds[index].errors = errors;
        }
        let serving = [vec![6; 13], vec![4; 27]].concat();
        let reaction = Reaction {
            left: vec![left(13, 14), left(14, 15), left(37, 38)],
            ..Reaction::default()
        };
        let timeline = Timeline::default();
        let found = causes(&evidence(&timeline, &seconds, &reaction), &serving, None);
        assert_eq!(
            found,
            Causes {
                leaving: 22,
                other: 3,
                ..Causes::default()
            }
        );
    }

    #[test]
    fn new_instances_that_answered_well_have_no_errors_of_their_own() {
        let mut seconds = vec![second(60.0, 0, 30); 40];
        seconds[20].errors = 6;
        let serves = Some(Sighting::exact(at(18)));
        let new = Launched {
            id: "i-0b".to_owned(),
            launched: Sighting::exact(at(15)),
            why: evidence::LaunchReason::Grew,
            in_service: serves,
            healthy: serves,
            first_answer: None,
        };
        let reaction = Reaction {
            launched: vec![new],
            ..Reaction::default()
        };
        let timeline = Timeline::default();
        let of = |fresh_passed| {
            let evidence = Evidence {
                fresh_passed,
                ..evidence(&timeline, &seconds, &reaction)
            };
            let found = causes(&evidence, &[3; 40], None);
            (found.young, found.other)
        };
        assert_eq!((of(false), of(true)), ((6, 0), (0, 6)));
    }

    #[test]
    fn what_an_instance_had_to_carry_is_asked_of_each_second() {
        let mut seconds = vec![second(20.0, 0, 30); 10];
        seconds.extend(vec![second(60.0, 0, 30); 30]);
        let serving = [vec![6; 14], vec![4; 6], vec![6; 20]].concat();
        let reaction = Reaction {
            left: vec![left(13, 14), left(14, 15)],
            ..Reaction::default()
        };
        let timeline = Timeline::default();
        let evidence = evidence(&timeline, &seconds, &reaction);
        let mut advice = super::super::advise(&evidence, None);
        advice.capacity = capacity::estimate(
            &seconds,
            &serving,
            evidence.limit.p95,
            &evidence::Explained::default(),
        );
        let said = before_scaling(&evidence, &serving, &advice).unwrap();
        assert_eq!(
            words::answer(said).answer,
            "It need not have: 4 instances carried up to 15 requests/s each, and one carries at least 15 within 200ms. 2 \
             instances left meanwhile."
        );
    }
}
