//! How the group reacted: every moment of its first scale-out and its first scale-in, on one clock.
//!
//! Where each moment comes from, and which obvious field is wrong:
//! breach = the first breaching datapoint in the alarm's history, never the time in an activity's `Cause` (an alarm
//! with a scaling action fires again every minute); in service = the lifecycle state that polling saw, never the
//! activity's `EndTime` (it includes the warm-up).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{self, Launched, Left, Sighting, Why, after, between};
use crate::measure::timeline::{Activity, Alarm, AlarmChange, Datapoint, Observed, Timeline};
use crate::measure::{Results, Select};
use crate::plan::Schedule;
use crate::scenario::{InWithin, Role, Scenario};

/// One moment of the chain, with where it came from and how exactly it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub name: String,
    pub at: Timestamp,
    pub source: String,
    /// The true moment lies within this of `at`.
    pub resolution: Duration,
}

/// One change of the desired capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resized {
    pub at: Timestamp,
    pub from: u32,
    pub to: u32,
    pub policy: Option<String>,
    /// When the alarm that asked for it had fired, and its first breaching datapoint.
    pub alarm: Option<Timestamp>,
    pub breach: Option<Timestamp>,
    /// When all that it launched served, or all that it took away was gone; nothing if some never was.
    pub done: Option<Timestamp>,
}

/// How the group reacted: the moments of its first scale-out and its first scale-in, in order, and each instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    pub out: Vec<Moment>,
    pub back: Vec<Moment>,
    /// Every change of its size.
    pub resized: Vec<Resized>,
    /// Each instance that the group launched under the load.
    pub launched: Vec<Launched>,
    /// Each instance that left.
    pub left: Vec<Left>,
    /// Breach to the first new instance in service.
    pub out_took: Option<Duration>,
    /// The part of it that the policy makes unavoidable: its datapoints times its period.
    pub out_unavoidable: Option<Duration>,
    /// Load drop to the first decision to shrink.
    pub in_took: Option<Duration>,
    /// The part of it that the policy makes unavoidable.
    pub in_unavoidable: Option<Duration>,
    pub in_bound: Option<Duration>,
    pub desired_before: u32,
    pub desired_peak: u32,
    pub desired_after: u32,
    pub max: u32,
    /// The alarm that asks for more had fired before the load began.
    pub alarmed_before: Option<String>,
}

impl Reaction {
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        self.out.iter().chain(&self.back).find(|moment| moment.name == name).map(|moment| moment.at)
    }

    pub fn scaled_out(&self) -> bool {
        self.desired_peak > self.desired_before
    }
}

pub const BREACH: &str = "breach";
pub const ALARM: &str = "alarm";
pub const LAUNCH: &str = "launch began";
pub const IN_SERVICE: &str = "in service";
pub const FIRST_ANSWER: &str = "first request";
pub const SHRINKING: &str = "shrinking began";

const EXACT: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Latency is back when it has kept its limit for so many seconds.
const STEADY: usize = 3;

/// The load's own moments on the wall clock.
pub struct Times {
    pub started: Timestamp,
    pub spike: Option<Timestamp>,
    /// When the load fell from its highest level.
    pub dropped: Option<Timestamp>,
    pub ended: Timestamp,
    /// The load is ours: else its fall is read off the alarm that asks for less.
    pub planned: bool,
}

impl Times {
    pub fn new(scenario: &Scenario, schedule: &Schedule, started: Timestamp) -> Self {
        let is_spike = |index: &usize| scenario.phases[*index].role == Role::Spike;
        let spikes: Vec<usize> = (0..scenario.phases.len()).filter(is_spike).collect();
        let start_of = |index: usize| schedule.phase_starts().get(index).copied().unwrap_or(schedule.end());
        Self {
            started,
            spike: spikes.first().map(|index| after(started, start_of(*index))),
            dropped: spikes.last().map(|index| after(started, start_of(index + 1))),
            ended: after(started, schedule.end()),
            planned: true,
        }
    }

    /// Of a load that somebody else makes: it fell when the metric first lay under the alarm that asks for less, after the
    /// group had grown.
    pub fn watched(timeline: &Timeline) -> Self {
        let first = timeline.groups().next();
        let started = first.map(|(at, _)| at).unwrap_or_default();
        let before = first.map_or(0, |(_, group)| group.desired);
        let grown = timeline.groups().find(|(_, group)| group.desired > before).map(|(at, _)| at);
        let fired = grown.and_then(|grown| first_alarm(timeline, grown, None, false));
        Self {
            started,
            spike: None,
            dropped: fired.map(|fired| fired.breach.map_or(fired.at, |(at, _)| at)),
            ended: timeline.groups().next_back().map_or(started, |(at, _)| at),
            planned: false,
        }
    }
}

/// `limit`: what p95 has to stay under, where the scenario says so.
pub fn react(
    scenario: &Scenario,
    results: &Results,
    timeline: &Timeline,
    times: &Times,
    limit: Option<Duration>,
) -> Reaction {
    let mut launched = chain::launched(timeline, times.started);
    for one in &mut launched {
        one.first_answer = results.first_answer(&one.id).map(|since| after(times.started, since));
        one.sharpen();
    }
    let mut reaction = Reaction { launched, left: chain::left(timeline, times.started), ..Reaction::default() };
    if let Some(group) = chain::group_at(timeline, times.started) {
        reaction.desired_before = group.desired;
        reaction.max = group.max;
    }
    let since = timeline.groups().filter(|(at, _)| *at >= times.started);
    reaction.desired_peak = since.map(|(_, group)| group.desired).max().unwrap_or(0).max(reaction.desired_before);
    reaction.desired_after = timeline.groups().next_back().map_or(reaction.desired_before, |(_, group)| group.desired);
    reaction.alarmed_before = alarmed_before(timeline, times.started);
    reaction.resized = resized(timeline, times.started, &reaction);
    out(&mut reaction, results, timeline, times, limit);
    back(&mut reaction, timeline, times);
    reaction.in_unavoidable = unavoidable_in(timeline);
    reaction.in_bound = in_bound(scenario, timeline);
    reaction
}

fn out(reaction: &mut Reaction, results: &Results, timeline: &Timeline, times: &Times, limit: Option<Duration>) {
    let mut moments = Vec::new();
    if let Some(at) = times.spike {
        moments.push(moment("load rose", at, "the plan, at the agreed start instant", EXACT));
    }
    let growth = first_decision(timeline, times.started, Activity::grows);
    if let Some(fired) =
        first_alarm(timeline, times.started, growth.as_ref().and_then(|one| one.alarm.as_deref()), true)
    {
        if let Some((at, value)) = fired.breach {
            let source = match fired.inferred {
                false => format!("first breaching datapoint ({value:.1}) in the history of {}", fired.alarm.name),
                true => {
                    format!("first breaching datapoint ({value:.1}) of the metric before {} fired", fired.alarm.name)
                }
            };
            moments.push(moment(BREACH, at, &source, fired.alarm.period));
        }
        reaction.out_unavoidable = Some(fired.alarm.window());
        let source = match fired.inferred {
            false => "DescribeAlarmHistory, StateUpdate to ALARM",
            true => "StateTransitionedTimestamp of the alarm: its history was not readable",
        };
        moments.push(moment(ALARM, fired.at, source, EXACT));
    }
    if let Some(growth) = &growth {
        let by = growth.policy.as_deref().unwrap_or("no policy");
        let source = format!("cause of the first launch: {} to {}, by {by}", growth.from, growth.to);
        moments.push(moment("decided", growth.at, &source, SECOND));
    }
    let fresh = || reaction.launched.iter().filter(|one| !one.replaces);
    let by_activity = timeline.activities().iter().any(|activity| activity.grows());
    if let Some(first) = fresh().min_by_key(|one| one.launched.at) {
        let source = match by_activity && first.launched.within == SECOND {
            true => format!("StartTime of the launch of {}", first.id),
            false => format!("{} was first there", first.id),
        };
        moments.push(moment(LAUNCH, first.launched.at, &source, first.launched.within));
    }
    if let Some((first, seen)) = earliest(fresh(), |one| one.in_service) {
        moments.push(moment(IN_SERVICE, seen.at, &format!("lifecycle state of {}", first.id), seen.within));
        if let Some((first, seen)) = earliest(fresh(), |one| one.healthy) {
            moments.push(moment("healthy", seen.at, &format!("target health of {}", first.id), seen.within));
        }
        if let Some((first, at)) = fresh().filter_map(|one| Some((one, one.first_answer?))).min_by_key(|(_, at)| *at) {
            let source = format!("the header of {} in its first answer", first.id);
            moments.push(moment(FIRST_ANSWER, at, &source, EXACT));
        } else if let Some((first, seen)) =
            earliest(fresh(), |one| if timeline.targets().next().is_some() { one.healthy } else { one.in_service })
        {
            let source =
                format!("inferred: {} could take requests from then on (no `instance_header` names it)", first.id);
            moments.push(moment(FIRST_ANSWER, seen.at, &source, seen.within));
        }
    }
    let rose = times.spike.unwrap_or(times.started);
    if let Some((limit, at)) = limit.and_then(|limit| Some((limit, latency_back(results, times, rose, limit)?))) {
        let source = format!("p95 under {} again, and for {STEADY} seconds", crate::units::duration(limit));
        moments.push(moment("latency back", at, &source, SECOND));
    }
    reaction.out = moments;
    if let (Some(breach), Some(service)) = (reaction.moment(BREACH), reaction.moment(IN_SERVICE)) {
        reaction.out_took = Some(between(breach, service));
    }
}

fn earliest<'a>(
    all: impl Iterator<Item = &'a Launched>,
    of: impl Fn(&Launched) -> Option<Sighting>,
) -> Option<(&'a Launched, Sighting)> {
    all.filter_map(|one| Some((one, of(one)?))).min_by_key(|(_, seen)| seen.at)
}

fn back(reaction: &mut Reaction, timeline: &Timeline, times: &Times) {
    let Some(dropped) = times.dropped else { return };
    let mut moments = vec![match times.planned {
        true => moment("load fell", dropped, "the plan, at the agreed start instant", EXACT),
        false => moment("load fell", dropped, "the first datapoint that the alarm for less was decided on", SECOND),
    }];
    let shrink = first_decision(timeline, dropped, Activity::shrinks);
    if let Some(fired) = first_alarm(timeline, dropped, shrink.as_ref().and_then(|one| one.alarm.as_deref()), false) {
        let source = match fired.inferred {
            false => "DescribeAlarmHistory, StateUpdate to ALARM",
            true => "StateTransitionedTimestamp of the alarm: its history was not readable",
        };
        moments.push(moment("low alarm", fired.at, source, EXACT));
    }
    if let Some(shrink) = &shrink {
        let by = shrink.policy.as_deref().unwrap_or("no policy");
        let source = format!("cause of the first termination: {} to {}, by {by}", shrink.from, shrink.to);
        moments.push(moment("decided to shrink", shrink.at, &source, SECOND));
    }
    let leaves = reaction.left.iter().find(|one| one.began.at >= dropped && one.why != Why::FailedChecks);
    if let Some(first) = leaves {
        moments.push(moment(SHRINKING, first.began.at, &format!("termination of {}", first.id), first.began.within));
        reaction.in_took = Some(between(dropped, first.began.at));
        for (name, seen) in [("draining", first.draining), ("terminated", first.gone)] {
            if let Some(seen) = seen {
                moments.push(moment(name, seen.at, &format!("{}, polled", first.id), seen.within));
            }
        }
    }
    let is_back = |at: Timestamp, desired: u32| at > dropped && desired <= reaction.desired_before;
    let looks = timeline.group_looks().find(|(at, _, group)| is_back(*at, group.desired));
    if let Some((at, look_before, _)) = looks.filter(|_| reaction.scaled_out()) {
        let resolution = look_before.map_or(chain::POLLED, |before| between(before, at));
        moments.push(moment("back at the start", at, "desired capacity, polled", resolution));
    }
    moments[1..].sort_by_key(|moment| moment.at);
    reaction.back = moments;
}

pub fn moment(name: &str, at: Timestamp, source: &str, resolution: Duration) -> Moment {
    Moment { name: name.to_owned(), at, source: source.to_owned(), resolution }
}

/// An alarm that went to ALARM.
struct Fired<'a> {
    alarm: &'a Alarm,
    at: Timestamp,
    /// The start of the first datapoint that breached, and its value.
    breach: Option<(Timestamp, f64)>,
    /// From the alarm's state and the metric, because its history is missing.
    inferred: bool,
}

/// The first alarm that fires at or after a moment: the one that `named` says acted, else any that is high (or not).
fn first_alarm<'a>(timeline: &'a Timeline, from: Timestamp, named: Option<&str>, high: bool) -> Option<Fired<'a>> {
    let alarms = timeline.alarms();
    let wanted = |alarm: &Alarm| match named {
        Some(name) => alarm.name == name,
        None => alarm.is_high() == high,
    };
    let of_history = timeline.alarm_changes().into_iter().find_map(|change: &AlarmChange| {
        let alarm = alarms.iter().find(|alarm| alarm.name == change.alarm)?;
        (change.at >= from && change.to == "ALARM" && wanted(alarm)).then(|| Fired {
            alarm,
            at: change.at,
            breach: change
                .datapoints
                .iter()
                .find(|point| alarm.breached_by(point.value))
                .map(|point| (point.at, point.value)),
            inferred: false,
        })
    });
    of_history.or_else(|| inferred(timeline, from, wanted))
}

/// By the state that polling saw, and the metric's own datapoints.
fn inferred<'a>(timeline: &'a Timeline, from: Timestamp, wanted: impl Fn(&Alarm) -> bool) -> Option<Fired<'a>> {
    let (alarm, at) = timeline.observations.iter().find_map(|one| match &one.seen {
        Observed::Alarm(alarm) if alarm.state == "ALARM" && wanted(alarm) => {
            Some((alarm, alarm.state_since.filter(|since| *since >= from)?))
        }
        _ => None,
    })?;
    let name = format!("policy metric {}", alarm.metric.as_deref()?);
    let points = timeline.metrics().find(|series| series.name == name).map(|series| series.points.as_slice());
    let before: Vec<&Datapoint> = points.unwrap_or_default().iter().filter(|point| point.at < at).collect();
    let run = before.iter().rev().take_while(|point| alarm.breached_by(point.value));
    let breach = run.last().map(|point| (point.at, point.value));
    Some(Fired { alarm, at, breach, inferred: true })
}

/// The name of an alarm that asks for more and had fired before the load began.
fn alarmed_before(timeline: &Timeline, started: Timestamp) -> Option<String> {
    let alarms = timeline.alarms();
    let is_high = |name: &str| alarms.iter().any(|alarm| alarm.name == name && alarm.is_high());
    let seen = timeline.observations.iter().take_while(|one| one.at <= started);
    let mut alarmed: Option<String> = None;
    for one in seen {
        if let Observed::Alarm(alarm) = &one.seen
            && is_high(&alarm.name)
        {
            match alarm.state.as_str() {
                "ALARM" => alarmed = Some(alarm.name.clone()),
                _ if alarmed.as_ref() == Some(&alarm.name) => alarmed = None,
                _ => {}
            }
        }
    }
    alarmed
}

fn first_decision(
    timeline: &Timeline,
    from: Timestamp,
    is: impl Fn(&Activity) -> bool,
) -> Option<crate::measure::timeline::Decision> {
    let mut activities = timeline.activities().into_iter();
    activities.find(|activity| activity.start >= from && is(activity))?.decision()
}

/// Every decision since a moment, with what came of it: what came or left from then on until the next decision.
fn resized(timeline: &Timeline, since: Timestamp, reaction: &Reaction) -> Vec<Resized> {
    let mut decisions: Vec<crate::measure::timeline::Decision> = Vec::new();
    for activity in timeline.activities().into_iter().filter(|activity| activity.start >= since) {
        let decision = activity.decision().filter(|decision| decision.from != decision.to);
        // Each instance's activity tells the same decision.
        decisions.extend(decision.filter(|decision| !decisions.contains(decision)));
    }
    decisions.sort_by_key(|decision| decision.at);
    let alarms = timeline.alarms();
    let mut found = Vec::with_capacity(decisions.len());
    for (index, decision) in decisions.iter().enumerate() {
        let until = decisions.get(index + 1).map(|next| next.at);
        let within = |at: Timestamp| at >= decision.at && until.is_none_or(|until| at < until);
        let done: Option<Vec<Timestamp>> = match decision.to > decision.from {
            true => {
                let launched = reaction.launched.iter().filter(|one| !one.replaces && within(one.launched.at));
                launched.map(|one| one.serves()).collect()
            }
            false => {
                let left = reaction.left.iter().filter(|one| one.why == Why::ScaledIn && within(one.began.at));
                left.map(|one| one.gone.map(|seen| seen.at)).collect()
            }
        };
        // A cause has whole seconds: the alarm fired by the end of that second.
        let by = after(decision.at, SECOND);
        let changes = timeline.alarm_changes();
        let fired = changes
            .iter()
            .rev()
            .find(|change| change.to == "ALARM" && Some(&change.alarm) == decision.alarm.as_ref() && change.at <= by);
        let alarm = fired.and_then(|change| alarms.iter().find(|alarm| alarm.name == change.alarm));
        let breach = fired.zip(alarm).and_then(|(change, alarm)| {
            change.datapoints.iter().find(|point| alarm.breached_by(point.value)).map(|point| point.at)
        });
        found.push(Resized {
            at: decision.at,
            from: decision.from,
            to: decision.to,
            policy: decision.policy.clone(),
            alarm: fired.map(|change| change.at),
            breach,
            done: done.and_then(|all| all.into_iter().max()),
        });
    }
    found
}

/// The second from which p95 keeps its limit again, if it was missed since the load rose.
fn latency_back(results: &Results, times: &Times, rose: Timestamp, limit: Duration) -> Option<Timestamp> {
    let from = chain::second(times.started, rose).unwrap_or(0) as usize;
    let seconds = results.by_second(Select::default());
    let missed = |index: usize| {
        seconds.get(index).and_then(|merged| merged.latency.percentile(95.0)).is_some_and(|p95| p95 > limit)
    };
    let first = (from..seconds.len()).find(|index| missed(*index))?;
    let held = (first..seconds.len().saturating_sub(STEADY - 1))
        .find(|index| (*index..index + STEADY).all(|index| !missed(index)))?;
    Some(after(times.started, Duration::from_secs(held as u64)))
}

/// The bound the user gave, or the one the group's own alarms make unavoidable plus half of it again: evaluation,
/// publishing and warm-up take their time, and AWS publishes no figure for them.
pub fn in_bound(scenario: &Scenario, timeline: &Timeline) -> Option<Duration> {
    match scenario.scaling.in_within {
        InWithin::Within(bound) => Some(bound),
        InWithin::Cooldowns(times) => {
            let (_, group) = timeline.groups().next()?;
            Some(group.default_cooldown.mul_f64(times))
        }
        InWithin::Auto => unavoidable_in(timeline).map(|window| window.mul_f64(1.5)),
    }
}

/// The window of the alarm that asks for less, or the longest cooldown of a simple policy with such an alarm: no scale-in
/// can come sooner. Nothing where nothing asks for less.
pub fn unavoidable_in(timeline: &Timeline) -> Option<Duration> {
    let policies = timeline.policies();
    let alarms = timeline.alarms();
    let asks_for_less = |alarm: &&&Alarm| {
        let of = policies.iter().find(|policy| policy.alarms.contains(&alarm.name));
        !alarm.is_high() && of.is_none_or(|policy| !policy.scale_in_disabled && !policy.disabled)
    };
    let window = alarms.iter().filter(asks_for_less).map(|alarm| alarm.window()).max()?;
    let cooldown = policies.iter().filter(|policy| policy.kind == "SimpleScaling").filter_map(|policy| policy.cooldown);
    Some(window.max(cooldown.max().unwrap_or_default()))
}
