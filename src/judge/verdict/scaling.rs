//! Judges scaling: whether the group reacted, and the time of each link of the chain.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Circumstances, Expectation, Finding, Measured, MetricPeak, ScaleOutReason, conditions,
    draining, efficiency, expectations, flapping, fresh, maximum, scale_in, spike_errors, survival,
};
use evidence::instances::{Why, between};
use evidence::moment::MomentKind;
use evidence::reaction::Reaction;
use evidence::spikes::Spike;
use evidence::timeline::{Activity, NotScaled, Timeline};
use evidence::vocabulary::ActivityStatus;
use evidence::{Clue, Facts, Hypothesis, NotCounted, OpenLink, OtherLoad, Suspect};
use model::measure::Results;
use model::outcome::Verdict;
use model::plan::Schedule;
use model::scenario::Scenario;

mod silent;

/// The findings on a group.
#[derive(Default)]
pub(super) struct Scaling {
    pub judged: Vec<Finding>,
    /// Findings that do not count for the verdict.
    pub not_judged: Vec<Finding>,
    pub hypotheses: Vec<Hypothesis>,
    pub reaction: Reaction,
    /// The load of others; `None` where the load never started.
    pub others: Option<Result<OtherLoad, NotCounted>>,
    /// Seconds whose answers the load of others may have changed.
    pub changed_by_others: BTreeSet<u32>,
}

pub(super) fn judge(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    timeline: &Timeline,
    circumstances: &Circumstances,
) -> Scaling {
    let Some(started) = circumstances.started else {
        let unclear = Finding::of_group(
            Expectation::ScaledOut,
            Verdict::Inconclusive,
            Measured::Nothing,
            ScaleOutReason::LoadNeverStarted,
        );
        return Scaling {
            judged: vec![unclear],
            ..Scaling::default()
        };
    };
    let ran = stopped(results, circumstances);
    let facts = &Facts::of(scenario, schedule, results, timeline, started, ran);
    // Requests that were sent and not reported would count as those of others.
    let changed_by_others = if circumstances.missing.is_empty() {
        facts.changed_by_others()
    } else {
        BTreeSet::new()
    };
    let mut findings = vec![scaled_out(facts)];
    findings.extend(survival::judge(facts, &changed_by_others));
    findings.extend(spike_errors::judge(facts, &changed_by_others));
    findings.extend(conditions::judge(facts));
    let out = facts.reaction.scaled_out();
    if out {
        findings.push(out_in_time(facts));
        findings.extend(fresh::judge(facts));
        findings.push(scale_in::judge(facts, &changed_by_others));
    }
    // A group that only shrinks can also drop requests.
    let shrank = facts
        .reaction
        .left
        .iter()
        .any(|one| one.why == Why::ScaledIn);
    if scenario.scaling.no_dropped_requests && (out || shrank) {
        findings.push(draining::nothing_dropped(facts));
    }
    if out || shrank {
        findings.extend(expectations::early(facts, &changed_by_others));
    }
    if out {
        findings.extend(expectations::while_scaling(facts, &changed_by_others));
    }
    findings.extend(maximum::judge(facts, &changed_by_others));
    let mut not_judged = Vec::new();
    if out {
        findings.extend(flapping::judge(facts, &changed_by_others));
        let efficiency = efficiency::judge(facts);
        findings.extend(efficiency.judged);
        not_judged.extend(efficiency.not_judged);
    }
    Scaling {
        judged: findings,
        not_judged,
        hypotheses: facts.hypotheses.clone(),
        reaction: facts.reaction.clone(),
        others: Some(facts.others.clone()),
        changed_by_others,
    }
}

/// Returns the time that the load ran, if it ended before its plan did.
fn stopped(results: &Results, circumstances: &Circumstances) -> Option<Duration> {
    circumstances.cut_short.as_ref()?;
    let last = || {
        results
            .last_second()
            .map(|last| Duration::from_secs(u64::from(last) + 1))
    };
    Some(results.ran().or_else(last).unwrap_or_default())
}

/// Returns the group's sizes before and at the peak, or the sizes of the first growth if it only
/// grew back.
fn sizes(reaction: &Reaction) -> Measured {
    let (before, peak) = (reaction.desired_before, reaction.desired_peak);
    match reaction.resized.iter().find(|one| one.to > one.from) {
        Some(grew) if peak == before => Measured::Sizes {
            from: grew.from,
            to: grew.to,
            at_start: Some(before),
        },
        _ => Measured::Sizes {
            from: before,
            to: peak,
            at_start: None,
        },
    }
}

pub(super) fn scaled_out(facts: &Facts<'_>) -> Finding {
    let (verdict, reason) = match facts.reaction.scaled_out() {
        true if grew_without_alarm(facts) => moved(facts),
        true => launched(facts),
        false => stayed(facts),
    };
    Finding::of_group(
        Expectation::ScaledOut,
        verdict,
        sizes(&facts.reaction),
        reason,
    )
}

/// Returns true if the activities tell who made the group grow, and no alarm did.
fn grew_without_alarm(facts: &Facts<'_>) -> bool {
    let since = facts.activities.iter().copied();
    let since = since.filter(|one| one.start >= facts.times.started);
    let mut growths = since
        .flat_map(Activity::decisions)
        .filter(|one| one.to > one.from)
        .peekable();
    growths.peek().is_some() && growths.all(|one| one.alarm.is_none())
}

/// Judges a group that something besides its policies made grow. The policies fail where they should
/// have asked for more, and launches where they failed; otherwise the answer of the policies was not
/// seen.
fn moved(facts: &Facts<'_>) -> (Verdict, ScaleOutReason) {
    let (verdict, reason) = launched(facts);
    if verdict == Verdict::Failed {
        return (verdict, reason);
    }
    let failed = silent::judge(facts).filter(|(verdict, _)| *verdict == Verdict::Failed);
    failed.unwrap_or((Verdict::Inconclusive, ScaleOutReason::NotByItsPolicies))
}

/// Judges a group that asked for more: whether an instance came of it, and who decided it.
fn launched(facts: &Facts<'_>) -> (Verdict, ScaleOutReason) {
    let failed: Vec<&Activity> = facts
        .activities
        .iter()
        .copied()
        .filter(|activity| {
            activity.start >= facts.times.started
                && activity.status == ActivityStatus::Failed
                && activity.launches()
        })
        .collect();
    let came = facts
        .reaction
        .launched
        .iter()
        .any(|one| one.in_service.is_some());
    if let Some(reason) = never_reached(facts) {
        return (Verdict::Failed, reason);
    }
    match failed.first() {
        Some(first) if !came => {
            let reason = ScaleOutReason::LaunchesFailed {
                launches: failed.len() as u64,
                message: first.message.clone(),
            };
            (Verdict::Failed, reason)
        }
        _ => (Verdict::Passed, answered(facts)),
    }
}

/// Returns the hypothesis on this suspect, if it holds.
fn held<'a>(facts: &'a Facts<'_>, suspect: Suspect) -> Option<&'a Hypothesis> {
    let mut all = facts.hypotheses.iter();
    all.find(|one| one.suspect == suspect && one.holds())
}

/// Returns the reason if launches failed and the group never had the instances that it wanted.
fn never_reached(facts: &Facts<'_>) -> Option<ScaleOutReason> {
    let found = held(facts, Suspect::FailedLaunches)?;
    let (mut launches, mut reached) = (None, None);
    for clue in &found.pro {
        match clue {
            Clue::LaunchesFailed {
                failed,
                of,
                messages,
            } => launches = Some((*failed, *of, messages.first().cloned())),
            Clue::NeverReached { wanted, most } => reached = Some((*wanted, *most)),
            _ => {}
        }
    }
    let ((failed, of, message), (wanted, most)) = launches.zip(reached)?;
    Some(ScaleOutReason::NeverReached {
        failed,
        of,
        wanted,
        most,
        message,
    })
}

/// Returns the reason why the group never asked for more.
fn stayed(facts: &Facts<'_>) -> (Verdict, ScaleOutReason) {
    let (reaction, timeline) = (&facts.reaction, facts.timeline);
    if reaction.desired_before >= reaction.max && reaction.max > 0 {
        let maximum = reaction.max;
        return (
            Verdict::Inconclusive,
            ScaleOutReason::AtMaximumBefore { maximum },
        );
    }
    if let Some(found) = not_scaled(facts) {
        return found;
    }
    if let Some(alarm_at) = reaction.moment(MomentKind::Alarm) {
        let watched = timeline
            .groups()
            .next_back()
            .map_or(Duration::ZERO, |(last, _)| between(alarm_at, last));
        let longest = facts
            .alarms
            .iter()
            .map(|alarm| alarm.period)
            .max()
            .unwrap_or_default();
        // AWS takes up to half a minute from the alarm to the decision. An alarm acts again every
        // period.
        return if watched >= longest * 2 {
            let reason = ScaleOutReason::NothingFollowedTheAlarm { alarm_at };
            (Verdict::Failed, reason)
        } else {
            let reason = ScaleOutReason::WatchEndedAfterTheAlarm { alarm_at };
            (Verdict::Inconclusive, reason)
        };
    }
    if let Some(alarm) = reaction.alarmed_before.clone() {
        let reason = ScaleOutReason::NothingFollowedTheEarlyAlarm { alarm };
        return (Verdict::Failed, reason);
    }
    if let Some(call) = lacking(timeline, &ALARM_CALLS) {
        return (
            Verdict::Inconclusive,
            ScaleOutReason::HighAlarmUnknown { call },
        );
    }
    if let Some(found) = silent::judge(facts) {
        return found;
    }
    let peaks = timeline
        .metrics()
        .filter(|series| series.policy_metric().is_some())
        .filter_map(|series| {
            let values = series.points.iter().map(|point| point.value);
            let value = values.fold(f64::NEG_INFINITY, f64::max);
            let metric = series.name.clone();
            value.is_finite().then_some(MetricPeak { metric, value })
        })
        .collect();
    (Verdict::Inconclusive, ScaleOutReason::LoadTooLow { peaks })
}

/// Returns Application Auto Scaling's own reason for not growing under the load: the first of the
/// worst. A maximum is a setting that the run did not test, and an unknown code tells nothing;
/// anything else is the service's answer to the load.
fn not_scaled(facts: &Facts<'_>) -> Option<(Verdict, ScaleOutReason)> {
    let verdict = |why: &NotScaled| match why {
        NotScaled::AtMaximum { .. } | NotScaled::Unknown { .. } => Verdict::Inconclusive,
        _ => Verdict::Failed,
    };
    let found = facts.timeline.not_grown().into_iter();
    let (asked_at, why) = found
        .filter(|(at, _)| *at >= facts.times.started)
        .min_by_key(|(_, why)| Reverse(verdict(why)))?;
    let (verdict, why) = (verdict(why), why.clone());
    Some((verdict, ScaleOutReason::NotScaled { why, asked_at }))
}

/// Calls without which the alarms are not known.
pub(super) const ALARM_CALLS: [&str; 3] = [
    "DescribePolicies",
    "DescribeScalingPolicies",
    "cloudwatch:DescribeAlarms",
];

/// Returns the first of these calls that failed.
pub(super) fn lacking(timeline: &Timeline, calls: &[&str]) -> Option<String> {
    calls
        .iter()
        .find_map(|call| timeline.lacking(call))
        .map(str::to_owned)
}

/// Returns the reason of a passed scale-out: who made the group grow, and when.
fn answered(facts: &Facts<'_>) -> ScaleOutReason {
    if conditions::confounded(facts).is_some() {
        return ScaleOutReason::NotByPoliciesAlone;
    }
    let is_early = facts
        .times
        .rose()
        .zip(facts.reaction.moment(MomentKind::Decided))
        .is_some_and(|(rose, decided)| decided < rose);
    if is_early && facts.reaction.moment(MomentKind::LoadRose).is_none() {
        return ScaleOutReason::PolicyAnsweredBeforeTheSpike;
    }
    let asked_for_none = |spike: &&Spike| {
        spike
            .open
            .iter()
            .any(|link| matches!(link, OpenLink::NoAlarmAskedForMore { .. }))
    };
    let spikes: Vec<String> = facts
        .reaction
        .spikes
        .iter()
        .filter(asked_for_none)
        .map(|spike| spike.name.clone())
        .collect();
    match spikes.is_empty() {
        true => ScaleOutReason::PolicyAnswered,
        false => ScaleOutReason::PolicyAnsweredAtFirst { spikes },
    }
}

pub(super) fn out_in_time(facts: &Facts<'_>) -> Finding {
    let (reaction, limit) = (&facts.reaction, facts.scenario.scaling.out_within);
    let expectation = Expectation::ScaleOutInTime {
        within_s: limit.into(),
    };
    if let Some(took) = reaction.out_took {
        let lag = reaction.out_lag.filter(|lag| !lag.is_zero());
        let reason = ScaleOutReason::BreachToInService {
            alarm_window_s: reaction.out_unavoidable.map(Into::into),
            cloudwatch_lag_s: lag.map(Into::into),
        };
        let measured = Measured::Took {
            took_s: took.into(),
        };
        return Finding::of_group(expectation, met_if(took <= limit), measured, reason);
    }
    let (verdict, reason) = match reaction.moment(MomentKind::Breach) {
        None => (Verdict::Inconclusive, no_breach(facts)),
        Some(breach) => {
            let watched = facts
                .timeline
                .groups()
                .last()
                .map_or(Duration::ZERO, |(at, _)| between(breach, at));
            let reason = ScaleOutReason::NotInService {
                watched_s: watched.into(),
            };
            (failed_if(watched > limit), reason)
        }
    };
    Finding::of_group(expectation, verdict, Measured::Nothing, reason)
}

pub(super) fn met_if(is_met: bool) -> Verdict {
    if is_met {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}

/// Returns `Inconclusive` if the watch was too short to tell.
pub(super) fn failed_if(is_certain: bool) -> Verdict {
    if is_certain {
        Verdict::Failed
    } else {
        Verdict::Inconclusive
    }
}

/// Returns the reason why the moment of the breach is not known.
fn no_breach(facts: &Facts<'_>) -> ScaleOutReason {
    let reaction = &facts.reaction;
    if let Some(alarm) = reaction.alarmed_before.clone() {
        return ScaleOutReason::AlarmedBeforeTheLoad { alarm };
    }
    let calls = ALARM_CALLS.iter().chain(&["DescribeAlarmHistory"]);
    let calls: Vec<&str> = calls.copied().collect();
    if let Some(call) = lacking(facts.timeline, &calls) {
        return ScaleOutReason::BreachUnknown { call };
    }
    let early = |link: &&OpenLink| matches!(link, OpenLink::FiredBeforeTheRise { .. });
    if let Some(link) = reaction.open.iter().find(early).cloned() {
        return ScaleOutReason::NoBreach { link };
    }
    if reaction.moment(MomentKind::Alarm).is_some() {
        return ScaleOutReason::BreachNotShown;
    }
    ScaleOutReason::NoAlarmFired
}

#[cfg(test)]
pub(super) mod tests;
