//! Scaling expectations: did the group notice, how long did each link of the chain take, and did it
//! come back.

use std::time::Duration;

use super::{
    Circumstances, Judgement, conditions, draining, efficiency, expectations, fresh, maximum,
};
use crate::evidence::Facts;
use crate::evidence::instances::{Why, between};
use crate::evidence::moment::MomentKind;
use crate::evidence::reaction::Reaction;
use crate::evidence::timeline::{Activity, Timeline};
use crate::evidence::vocabulary::ActivityStatus;
use crate::measure::Results;
use crate::outcome::Verdict;
use crate::plan::Schedule;
use crate::scenario::{InWithin, Scenario};
use crate::units;

/// What is said of a group.
#[derive(Default)]
pub struct Scaling {
    pub judged: Vec<Judgement>,
    /// It decides nothing.
    pub not_judged: Vec<Judgement>,
    pub reaction: Reaction,
}

pub fn judge(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    timeline: &Timeline,
    circumstances: &Circumstances,
) -> Scaling {
    let Some(started) = circumstances.started else {
        let because = "the load never started".to_owned();
        let judged = vec![judgement(
            "the group scaled out",
            Verdict::Inconclusive,
            "",
            because,
        )];
        return Scaling {
            judged,
            ..Scaling::default()
        };
    };
    let ran = stopped(results, circumstances);
    let facts = &Facts::of(scenario, schedule, results, timeline, started, ran);
    let mut judgements = vec![scaled_out(facts)];
    judgements.extend(conditions::judge(facts));
    let out = facts.reaction.scaled_out();
    if out {
        judgements.push(out_in_time(facts));
        judgements.extend(fresh::judge(facts));
        judgements.push(back_in_time(facts));
    }
    // A group that only shrinks can drop requests as well.
    let shrank = facts
        .reaction
        .left
        .iter()
        .any(|one| one.why == Why::ScaledIn);
    if scenario.scaling.no_dropped_requests && (out || shrank) {
        judgements.push(draining::nothing_dropped(facts));
    }
    if out || shrank {
        judgements.extend(expectations::early(facts));
    }
    if out {
        judgements.extend(expectations::while_scaling(facts));
    }
    judgements.extend(maximum::judge(facts));
    let mut not_judged = Vec::new();
    if out {
        judgements.extend(expectations::flapping(facts));
        let efficiency = efficiency::judge(facts);
        judgements.extend(efficiency.judged);
        not_judged.extend(efficiency.not_judged);
    }
    Scaling {
        judged: judgements,
        not_judged,
        reaction: facts.reaction.clone(),
    }
}

/// For how long the load was there, where it ended before its plan.
fn stopped(results: &Results, circumstances: &Circumstances) -> Option<Duration> {
    circumstances.cut_short.as_ref()?;
    let last = || {
        results
            .last_second()
            .map(|last| Duration::from_secs(u64::from(last) + 1))
    };
    Some(results.ran().or_else(last).unwrap_or_default())
}

/// `2 -> 8 instances`, or from where it grew back.
fn sizes(reaction: &Reaction) -> String {
    let (before, peak) = (reaction.desired_before, reaction.desired_peak);
    match reaction.resized.iter().find(|one| one.to > one.from) {
        Some(grew) if peak == before => format!(
            "{} -> {} instances, {before} at the start",
            grew.from, grew.to
        ),
        _ => format!("{before} -> {peak} instances"),
    }
}

pub fn scaled_out(facts: &Facts<'_>) -> Judgement {
    let asked = "the group scaled out";
    let (reaction, timeline) = (&facts.reaction, facts.timeline);
    let before = reaction.desired_before;
    let measured = sizes(reaction);
    if reaction.scaled_out() {
        let failed = timeline
            .activities()
            .into_iter()
            .filter(|one| one.start >= facts.times.started && one.status == ActivityStatus::Failed);
        let whys: Vec<&Activity> = failed
            .filter(|one| one.description.starts_with("Launching"))
            .collect();
        if let (Some(first), false) = (
            whys.first(),
            reaction.launched.iter().any(|one| one.in_service.is_some()),
        ) {
            let why = first.message.as_deref().unwrap_or("AWS says no more");
            let because = format!(
                "{} failed: {why}",
                units::count(whys.len() as u64, "launch")
            );
            return judgement(asked, Verdict::Failed, &measured, because);
        }
        return judgement(asked, Verdict::Passed, &measured, answered(facts));
    }
    if before >= reaction.max && reaction.max > 0 {
        let because = format!(
            "it was at its maximum of {} before the load began",
            reaction.max
        );
        return judgement(asked, Verdict::Inconclusive, &measured, because);
    }
    if let Some(at) = reaction.moment(MomentKind::Alarm) {
        let watched = timeline
            .groups()
            .next_back()
            .map_or(Duration::ZERO, |(last, _)| between(at, last));
        let longest = timeline
            .alarms()
            .iter()
            .map(|alarm| alarm.period)
            .max()
            .unwrap_or_default();
        // From the alarm to the decision AWS takes up to half a minute, and an alarm acts again
        // every period.
        let (verdict, word) = match watched >= longest * 2 {
            true => (Verdict::Failed, "and nothing followed"),
            false => (
                Verdict::Inconclusive,
                "and the watch ended too soon after it to see what followed",
            ),
        };
        return judgement(
            asked,
            verdict,
            &measured,
            format!("an alarm fired at {at} {word}"),
        );
    }
    if let Some(alarm) = &reaction.alarmed_before {
        let because =
            format!("the alarm {alarm} had fired before the load began and nothing followed");
        return judgement(asked, Verdict::Failed, &measured, because);
    }
    for call in [
        "DescribePolicies",
        "DescribeScalingPolicies",
        "cloudwatch:DescribeAlarms",
    ] {
        if let Some(call) = timeline.lacking(call) {
            let because = format!("whether an alarm fired cannot be told: {call} failed");
            return judgement(asked, Verdict::Inconclusive, &measured, because);
        }
    }
    let peaks: Vec<String> = timeline
        .metrics()
        .filter(|series| series.name.starts_with("policy metric"))
        .filter_map(|series| {
            let top = series
                .points
                .iter()
                .map(|point| point.value)
                .fold(f64::NEG_INFINITY, f64::max);
            top.is_finite()
                .then(|| format!("; {} peaked at {top:.1}", series.name))
        })
        .collect();
    let because = format!(
        "the load was too low or too short for the policy to fire{}",
        peaks.join("")
    );
    judgement(asked, Verdict::Inconclusive, &measured, because)
}

/// Who made it grow, and when.
fn answered(facts: &Facts<'_>) -> String {
    if conditions::confounded(facts).is_some() {
        return "but not by its policies alone: see `only its policies moved the group`".to_owned();
    }
    let early = facts
        .times
        .rose()
        .zip(facts.reaction.moment(MomentKind::Decided))
        .filter(|(rose, decided)| decided < rose);
    match early.filter(|_| facts.reaction.moment(MomentKind::LoadRose).is_none()) {
        Some(_) => {
            "the policy answered the load before the spike, and the spike with no more".to_owned()
        }
        None => "the policy answered the load".to_owned(),
    }
}

pub fn out_in_time(facts: &Facts<'_>) -> Judgement {
    let (reaction, limit) = (&facts.reaction, facts.scenario.scaling.out_within);
    let asked = format!("scale-out within {}", units::duration(limit));
    let mut unavoidable = reaction
        .out_unavoidable
        .map(|window| {
            format!(
                "; {} of it is the alarm's own window",
                units::duration(window)
            )
        })
        .unwrap_or_default();
    if let Some(lag) = reaction.out_lag.filter(|lag| !lag.is_zero()) {
        unavoidable += &format!(
            ", {} more what CloudWatch took to publish and evaluate it",
            units::duration(lag)
        );
    }
    match (reaction.out_took, reaction.moment(MomentKind::Breach)) {
        (Some(took), _) => {
            let verdict = if took <= limit {
                Verdict::Passed
            } else {
                Verdict::Failed
            };
            let because = format!(
                "from the first breaching datapoint to the first new instance in service{unavoidable}"
            );
            judgement(&asked, verdict, &units::duration(took), because)
        }
        (None, None) => judgement(&asked, Verdict::Inconclusive, "", no_breach(facts)),
        (None, Some(breach)) => {
            let watched = facts
                .timeline
                .groups()
                .last()
                .map_or(Duration::ZERO, |(at, _)| between(breach, at));
            let verdict = if watched > limit {
                Verdict::Failed
            } else {
                Verdict::Inconclusive
            };
            let because = format!(
                "no new instance was in service {} after the breach",
                units::duration(watched)
            );
            judgement(&asked, verdict, "", because)
        }
    }
}

/// Why the moment of the breach is not known.
fn no_breach(facts: &Facts<'_>) -> String {
    if let Some(alarm) = &facts.reaction.alarmed_before {
        return format!(
            "the alarm {alarm} had fired before the load began: there is no breach to count from"
        );
    }
    let calls = [
        "DescribePolicies",
        "DescribeScalingPolicies",
        "cloudwatch:DescribeAlarms",
        "DescribeAlarmHistory",
    ];
    if let Some(call) = calls
        .into_iter()
        .find_map(|call| facts.timeline.lacking(call))
    {
        return format!("the breach is not known: {call} failed");
    }
    if let Some(why) = facts
        .reaction
        .open
        .iter()
        .find(|why| why.contains("no breach to count from"))
    {
        return why.clone();
    }
    if facts.reaction.moment(MomentKind::Alarm).is_some() {
        return "the alarm fired, but neither its history nor its metric shows the breach"
            .to_owned();
    }
    "no alarm went to ALARM after the load began: something else made the group grow".to_owned()
}

pub fn back_in_time(facts: &Facts<'_>) -> Judgement {
    let (reaction, timeline) = (&facts.reaction, facts.timeline);
    let Some(bound) = reaction.in_bound else {
        let policies = timeline.policies();
        let disabled =
            !policies.is_empty() && policies.iter().all(|policy| policy.scale_in_disabled);
        if disabled {
            let because =
                "every policy has scale-in disabled: the group stays as large as the spike made it";
            return judgement("scale-in", Verdict::Failed, "", because.to_owned());
        }
        if matches!(facts.scenario.scaling.in_within, InWithin::Cooldowns(_)) {
            let because = "the cooldown that the bound is made of is not known: no policy with one could be read";
            return judgement("scale-in", Verdict::Inconclusive, "", because.to_owned());
        }
        let lacking = [
            "DescribePolicies",
            "DescribeScalingPolicies",
            "cloudwatch:DescribeAlarms",
        ];
        let because = match lacking.into_iter().find_map(|call| timeline.lacking(call)) {
            Some(call) => format!("the alarms are not known: {call} failed"),
            None => {
                let because = "no alarm of the group asks for less capacity: it stays as large as the spike made it";
                return judgement("scale-in", Verdict::Failed, "", because.to_owned());
            }
        };
        return judgement("scale-in", Verdict::Inconclusive, "", because);
    };
    let asked = format!("scale-in within {}", units::duration(bound));
    let Some(dropped) = facts.times.dropped() else {
        let because = match (facts.times.stopped, facts.times.planned) {
            (Some(_), _) => "the load was stopped before its fall",
            (None, true) => "the scenario has no spike that ends",
            (None, false) => {
                "no alarm asked for less after the group had grown: the load may not have fallen yet"
            }
        };
        return judgement(&asked, Verdict::Inconclusive, "", because.to_owned());
    };
    let unavoidable = reaction.in_unavoidable.unwrap_or_default();
    let cannot = (unavoidable > bound).then(|| {
        format!(
            "the policy cannot meet it: {} takes {} alone",
            reaction.in_waits_for,
            units::duration(unavoidable)
        )
    });
    if let Some(low) = reaction.low_before {
        let because = format!(
            "the alarm for less had fired {} before the load fell: how long the policy takes to see a fall cannot be told",
            units::duration(between(low, dropped))
        );
        return judgement(&asked, Verdict::Inconclusive, "", because);
    }
    match reaction.in_took {
        Some(took) if took <= bound => {
            let (verdict, because) = met(facts, took, bound, cannot);
            judgement(&asked, verdict, &units::duration(took), because)
        }
        Some(took) => judgement(
            &asked,
            Verdict::Failed,
            &units::duration(took),
            cannot.unwrap_or_else(|| counted(facts)),
        ),
        // It was back before the spike's end: nothing is left to leave.
        None if reaction.desired_after <= reaction.desired_before => {
            let because = "the group had shrunk before the spike ended".to_owned();
            judgement(&asked, Verdict::Passed, "", because)
        }
        None => {
            let watched = timeline
                .groups()
                .last()
                .map_or(Duration::ZERO, |(at, _)| between(dropped, at));
            let verdict = if watched > bound {
                Verdict::Failed
            } else {
                Verdict::Inconclusive
            };
            let stuck = timeline
                .groups()
                .last()
                .is_some_and(|(_, group)| group.is_all_protected());
            let mut because = match watched {
                Duration::ZERO => {
                    "the watch ended when the load fell: no instance could leave".to_owned()
                }
                watched => format!(
                    "no instance left in the {} that were watched after it",
                    units::duration(watched)
                ),
            };
            if stuck {
                because += "; every instance is protected from scale-in";
            }
            judgement(
                &asked,
                verdict,
                "",
                cannot.map_or(because.clone(), |cannot| format!("{because}; {cannot}")),
            )
        }
    }
}

/// A fall that found a part of the alarm's window over already took less than one that does not.
fn met(
    facts: &Facts<'_>,
    took: Duration,
    bound: Duration,
    cannot: Option<String>,
) -> (Verdict, String) {
    let counted = counted(facts);
    let Some(ahead) = facts.reaction.in_ahead else {
        return (Verdict::Passed, counted);
    };
    let low = format!(
        "the metric had lain under the alarm for less {} before the load fell",
        units::duration(ahead)
    );
    match (took + ahead <= bound, cannot) {
        (true, _) => {
            let most = units::duration(took + ahead);
            (
                Verdict::Passed,
                format!("{counted}; {low}: without that it takes {most} at most"),
            )
        }
        (false, Some(cannot)) => (
            Verdict::Inconclusive,
            format!("{counted}, because {low}; otherwise {cannot}"),
        ),
        (false, None) => (
            Verdict::Inconclusive,
            format!("{counted}, but {low}: whether it is met without that cannot be told"),
        ),
    }
}

/// What the time to scale in was counted from.
fn counted(facts: &Facts<'_>) -> String {
    match facts.times.planned {
        true => "from the end of the spike to the first instance leaving".to_owned(),
        false => "from the first low datapoint to the first instance leaving".to_owned(),
    }
}

pub fn judgement(asked: &str, verdict: Verdict, measured: &str, because: String) -> Judgement {
    Judgement {
        asked: asked.to_owned(),
        scope: "group".to_owned(),
        verdict,
        measured: measured.to_owned(),
        because,
    }
}

#[cfg(test)]
pub mod tests;
