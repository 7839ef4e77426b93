//! The questions that a run should answer, answered in sentences.

use std::time::Duration;

use super::super::chain::{self, Why, between};
use super::super::reaction::SHRINKING;
use super::{Advice, Answer, Confidence, Evidence};
use crate::measure::timeline::GroupState;
use crate::units;

/// An instance is fresh for so long after it became healthy. (What caches and pools need; the judgement on fresh
/// instances uses the same minute.)
const FRESH: Duration = Duration::from_secs(60);
/// The model speaks for the group only where it agrees with it for this share of the run.
const AGREES: f64 = 0.8;

pub fn all(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Vec<Answer> {
    [
        slowest_link(evidence),
        before_scaling(evidence, serving, advice),
        errors(evidence, serving, advice),
        size(evidence, advice),
        followed(evidence, advice),
        warm_up(evidence),
        steps(evidence, advice),
        settings(evidence),
        what_to_change(evidence, advice),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn answer(question: &str, answer: String, evidence: String, confidence: Confidence) -> Answer {
    Answer { question: question.to_owned(), answer, evidence, confidence }
}

/// The longest of the links that follow the load's rise.
fn slowest_link(evidence: &Evidence<'_>) -> Option<Answer> {
    let question = "Which link of scaling out is the slow one?";
    let moments = &evidence.reaction.out;
    let links = moments.windows(2).map(|pair| (&pair[0], &pair[1], between(pair[0].at, pair[1].at)));
    let (from, to, took) = links.max_by_key(|(_, _, took)| *took)?;
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return None };
    let whole = between(first.at, last.at);
    let mut said = format!(
        "From {} to {}: {} of the {} between {} and {}.",
        from.name,
        to.name,
        units::duration(took),
        units::duration(whole),
        first.name,
        last.name
    );
    if let Some(unavoidable) = evidence.reaction.out_unavoidable {
        let share = unavoidable.as_secs_f64() / whole.as_secs_f64().max(f64::EPSILON) * 100.0;
        said += &format!(
            " The alarm's own window is {} ({:.0} %): nothing but another policy or period shortens it.",
            units::duration(unavoidable),
            share.min(100.0)
        );
    }
    let known = from.resolution + to.resolution;
    let confidence = if took > known * 2 { Confidence::High } else { Confidence::Medium };
    Some(answer(question, said, format!("{}; {}", from.source, to.source), confidence))
}

/// Seconds of the spike, or of the whole run where it has none.
fn spike(evidence: &Evidence<'_>) -> std::ops::Range<usize> {
    let (from, until) = evidence.spike.unwrap_or((0, u32::MAX));
    let until = (until as usize).min(evidence.seconds.len());
    (from as usize).min(until)..until
}

fn before_scaling(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Option<Answer> {
    let capacity = advice.capacity.as_ref()?;
    let spike = spike(evidence);
    let before = *serving.get(spike.start)?;
    let until = spike.clone().find(|second| serving[*second] > before).unwrap_or(spike.end);
    let waiting = &evidence.seconds[spike.start..until];
    if before == 0 || waiting.is_empty() {
        return None;
    }
    let most = waiting.iter().map(|second| second.demand).fold(0.0, f64::max) / f64::from(before);
    let said = if most > capacity.at_limit {
        format!(
            "For {} each of the {} had to carry up to {most:.0} requests/s, where {:.0} is what one carries within {}.",
            units::count(waiting.len() as u32, "second"),
            units::count(before, "instance"),
            capacity.at_limit,
            units::duration(evidence.limit.p95)
        )
    } else {
        format!(
            "It need not have: {} carried {most:.0} requests/s each, and one carries {:.0} within {}.",
            units::count(before, "instance"),
            capacity.at_limit,
            units::duration(evidence.limit.p95)
        )
    };
    let from = format!("seconds {} to {until} of the load, and the size of the group in each", spike.start);
    Some(answer("Why did latency grow before the group did?", said, from, capacity.confidence))
}

/// Puts each second's errors where they belong, the surest cause first.
fn errors(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Option<Answer> {
    let all: u64 = evidence.seconds.iter().map(|second| second.errors).sum();
    if all == 0 {
        return None;
    }
    let limit = advice.capacity.as_ref().map(|capacity| capacity.at_limit);
    let fresh: Vec<_> = evidence.reaction.launched.iter().filter_map(chain::Launched::serves).collect();
    let leaving = evidence.reaction.back.iter().find(|moment| moment.name == SHRINKING).map(|moment| moment.at);
    let (mut nobody, mut saturated, mut draining, mut young, mut other) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for (index, (second, count)) in
        evidence.seconds.iter().zip(serving).enumerate().filter(|(_, seen)| seen.0.errors > 0)
    {
        let at = evidence.started.checked_add(Duration::from_secs(index as u64)).unwrap_or(evidence.started);
        // What piled up in a second is answered in the next few.
        let over = |at: usize| {
            let (Some(second), Some(count)) = (evidence.seconds.get(at), serving.get(at)) else { return false };
            limit.is_some_and(|limit| second.demand > limit * f64::from(*count))
        };
        let cause = if *count == 0 {
            &mut nobody
        } else if over(index) || (index > 0 && over(index - 1)) {
            &mut saturated
        } else if leaving.is_some_and(|leaving| at >= leaving) {
            &mut draining
        } else if fresh.iter().any(|healthy| at >= *healthy && between(*healthy, at) < FRESH) {
            &mut young
        } else {
            &mut other
        };
        *cause += second.errors;
    }
    let causes = [
        (nobody, "while no instance was healthy"),
        (saturated, "while the instances had more to do than they carry (saturation)"),
        (draining, "while instances were leaving"),
        (young, "within a minute of a new instance's first health, with load to spare"),
        (other, "at no moment that explains them"),
    ];
    let said: Vec<String> = causes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, when)| format!("{:.0} % {when}", *count as f64 / all as f64 * 100.0))
        .collect();
    let confidence = match limit {
        Some(_) if other * 5 < all => Confidence::Medium,
        _ => Confidence::Low,
    };
    let from =
        format!("{} by second, beside load, size of the group and its activities", units::count(all as u32, "error"));
    let said = format!("{}.{}", said.join("; "), by_balancer(evidence));
    Some(answer("What explains the errors?", said, from, confidence))
}

/// What the load balancer counted, where it counted any.
fn by_balancer(evidence: &Evidence<'_>) -> String {
    let sum = |name: &str| {
        let points = evidence.timeline.metrics().filter(|series| series.name == name).flat_map(|series| &series.points);
        points.map(|point| point.value).sum::<f64>()
    };
    let counted: Vec<String> = [
        ("target 5xx", "5xx from targets"),
        ("load balancer 5xx", "5xx of its own"),
        ("connection errors", "targets it could not connect to"),
        ("rejected connections", "connections it refused"),
    ]
    .into_iter()
    .map(|(series, words)| (sum(series), words))
    .filter(|(count, _)| *count > 0.0)
    .map(|(count, words)| format!("{count:.0} {words}"))
    .collect();
    if counted.is_empty() { String::new() } else { format!(" The load balancer counted {}.", counted.join(", ")) }
}

/// How large a step has to be, where there are steps.
fn steps(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let capacity = advice.capacity.as_ref()?;
    let stepped =
        evidence.timeline.policies().into_iter().find(|policy| policy.kind == "StepScaling" && is_out(policy))?;
    let peak = evidence.seconds.iter().map(|second| second.demand).fold(0.0, f64::max);
    let needed = (peak / capacity.at_limit).ceil() as u32;
    let before = evidence.reaction.desired_before;
    let add = needed.checked_sub(before).filter(|add| *add > 0)?;
    let largest = stepped.steps.iter().map(|step| step.change).max().unwrap_or(0);
    let unit = if stepped.adjustment.as_deref() == Some("PercentChangeInCapacity") { " %" } else { "" };
    let said = format!(
        "The spike needs {} at once, {add} more than the {before} that were there; the largest step of {} is {largest}{unit}.",
        units::count(needed, "instance"),
        stepped.name
    );
    let from =
        format!("the highest second ({peak:.0} requests/s) over what one instance carries; {}", capacity.because);
    Some(answer("How large should the steps be?", said, from, capacity.confidence))
}

fn is_out(policy: &crate::measure::timeline::Policy) -> bool {
    policy.steps.iter().any(|step| step.change > 0)
}

/// Settings around the policy that the run shows to be wrong, each with the rule behind it.
fn settings(evidence: &Evidence<'_>) -> Option<Answer> {
    let (_, group) = evidence.timeline.groups().next_back()?;
    let surroundings = evidence.timeline.surroundings();
    let mut said: Vec<String> = Vec::new();
    let failed = evidence.reaction.left.iter().filter(|one| one.why == Why::FailedChecks).count() as u64;
    if failed > 0 {
        said.push(format!(
            "{} failed health checks and left: set the health check grace (now {}) above what an instance takes to start, or \
             let a launch lifecycle hook hold it back until it is ready.",
            units::count(failed, "instance"),
            units::duration(group.health_check_grace)
        ));
    }
    let waits = evidence.reaction.launched.iter().filter_map(chain::Launched::health).max().unwrap_or_default();
    let hooked =
        surroundings.is_some_and(|known| known.hooks.iter().any(|hook| hook.transition.ends_with("LAUNCHING")));
    if waits > LONG_CHECK && !hooked && !group.is_service {
        said.push(format!(
            "Instances were in service up to {} before they were healthy: Auto Scaling counts them as capacity by then. A \
             shorter health check interval or a launch lifecycle hook makes the two one.",
            units::duration(waits)
        ));
    }
    for one in surroundings.iter().flat_map(|known| &known.target_groups) {
        if one.deregistration_delay >= LONG_DRAIN {
            said.push(format!(
                "Deregistration takes {} for every instance that leaves, and is paid for: lower it to what the longest request \
                 needs.",
                units::duration(one.deregistration_delay)
            ));
        }
        if one.sticky {
            said.push(
                "Sticky sessions keep the load on the instances that were there: new ones get new sessions only."
                    .to_owned(),
            );
        }
        if !one.slow_start.is_zero() && one.algorithm == "least_outstanding_requests" {
            said.push("Slow start has no effect with least outstanding requests.".to_owned());
        }
    }
    for policy in evidence.timeline.policies() {
        if policy.kind == "SimpleScaling" {
            let cooldown = policy.cooldown.unwrap_or(group.default_cooldown);
            said.push(format!(
                "{} is simple scaling: one change, then nothing for the cooldown of {}. Step scaling goes on while instances \
                 start; AWS recommends it instead.",
                policy.name,
                units::duration(cooldown)
            ));
        }
    }
    if said.is_empty() {
        return None;
    }
    let from =
        "Describe calls of the group, its hooks and its target groups; EC2 Auto Scaling and ELB user guides".to_owned();
    Some(answer("Which settings around the policy should change?", said.join(" "), from, Confidence::Medium))
}

/// Longer than a poll: not only two looks apart.
const LONG_CHECK: Duration = Duration::from_secs(5);
/// A delay that most requests do not need; AWS's own default is five minutes.
const LONG_DRAIN: Duration = Duration::from_secs(120);

fn size(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let capacity = advice.capacity.as_ref()?;
    let peak = evidence.seconds.iter().map(|second| second.demand).fold(0.0, f64::max);
    let needed = (peak / capacity.at_limit).ceil();
    let max = evidence.reaction.max;
    let limit = units::duration(evidence.limit.p95);
    let known = match capacity.between {
        (least, Some(most)) => {
            format!("the limit held with {least:.0} and was missed with {most:.0}; {}", capacity.because)
        }
        (_, None) => capacity.because.clone(),
    };
    let mut said = format!(
        "One instance carries {:.0} requests/s with p95 within {limit}; the highest second asked {peak:.0}, which is {needed} instances.",
        capacity.at_limit
    );
    if max > 0 && needed > f64::from(max) {
        said += &format!(" The group's maximum of {max} cannot hold it: raise it to {needed} or more.");
    }
    if !evidence.limit.asked {
        said += &format!(" (The scenario has no threshold on p95: {limit} was assumed.)");
    }
    Some(answer("What does one instance carry, and how many are needed?", said, known, capacity.confidence))
}

fn followed(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let (found, capacity) = (advice.elasticity?, advice.capacity.as_ref()?);
    let money = evidence.instance_price.map(|price| price * found.over_instance_minutes / 60.0);
    let money = money.map_or(String::new(), |usd| format!(" ({})", units::Usd(usd)));
    let said = format!(
        "Too few instances in {:.0} % of the time ({:.2} missing on average over the run), too many in {:.0} % ({:.2} more \
         than needed): {:.1} instance-minutes{money} were not needed for the load.",
        found.timeshare_under * 100.0,
        found.accuracy_under,
        found.timeshare_over * 100.0,
        found.accuracy_over,
        found.over_instance_minutes
    );
    let from =
        format!("needed = load / {:.0} requests/s, at least one; BUNGEE's timeshare and accuracy", capacity.at_limit);
    Some(answer("Did the group follow the load?", said, from, capacity.confidence))
}

fn warm_up(evidence: &Evidence<'_>) -> Option<Answer> {
    let (_, group): (_, &GroupState) = evidence.timeline.groups().next_back()?;
    let policy = evidence.timeline.policies().into_iter().find_map(|policy| policy.warm_up);
    if group.default_warm_up.is_some() || policy.is_some() {
        return None;
    }
    let said = format!(
        "Set the group's default instance warm-up. It has none, nor has the policy, so the cooldown of {} is taken for \
         it: new instances are left out of the metric, and scaling in is blocked, for that long.",
        units::duration(group.default_cooldown)
    );
    let from =
        "DescribeAutoScalingGroups, DescribePolicies; EC2 Auto Scaling guide, default instance warm-up".to_owned();
    Some(answer("What should the warm-up be?", said, from, Confidence::High))
}

fn what_to_change(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let question = "What should be changed?";
    let Some(now) = advice.candidates.first() else {
        let why = advice.no_candidates.clone().unwrap_or_default();
        return Some(answer(question, "This run cannot tell.".to_owned(), why, Confidence::Low));
    };
    let best = advice.candidates.iter().find(|candidate| candidate.recommended)?;
    let said = if best.name == now.name {
        format!(
            "Nothing: of {} none does as well for fewer instance-minutes.",
            units::count(advice.candidates.len() as u32 - 1, "candidate")
        )
    } else {
        format!(
            "{}: p95 over its limit for {} s instead of {} s, {} requests lost instead of {}, for {:.1} instance-minutes \
             instead of {:.1}.",
            capitalised(&best.name),
            best.over_limit,
            now.over_limit,
            best.errors,
            now.errors,
            best.instance_minutes,
            now.instance_minutes
        )
    };
    let mut confidence = advice.capacity.as_ref().map_or(Confidence::Low, |capacity| capacity.confidence);
    let mut from = "the measured load replayed against each candidate".to_owned();
    if let Some(agreement) = advice.agreement {
        from += &format!(
            "; replaying the policy that ran, the model is within one instance of the group in {:.0} % of all seconds",
            agreement.share() * 100.0
        );
        if agreement.share() < AGREES {
            confidence = Confidence::Low;
        }
    }
    if !evidence.open {
        from += "; sessions waited for slow answers, so this load is less than the same users would have asked of a faster \
                 target: a run by `rate` would be surer";
        confidence = confidence.min(Confidence::Medium);
    }
    if let Some(assumes) = &best.assumes {
        from += &format!("; it assumes that {assumes}");
        confidence = confidence.min(Confidence::Medium);
    }
    Some(answer(question, said, from, confidence))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
