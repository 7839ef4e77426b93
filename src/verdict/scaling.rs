//! Scaling expectations: did the group notice, how long did each link of the chain take, and did it come back.
//!
//! Where each moment comes from, and which obvious field is wrong:
//! breach = the first breaching datapoint in the alarm's history, never the time in an activity's `Cause` (an alarm
//! with a scaling action fires again every minute); in service = the lifecycle state that polling saw, never the
//! activity's `EndTime` (it includes the warm-up).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{self, Launched};
use super::{Circumstances, Judgement, expectations};
use crate::measure::timeline::{Activity, Alarm, AlarmChange, GroupState, Timeline};
use crate::measure::{Results, Select};
use crate::outcome::Verdict;
use crate::plan::Schedule;
use crate::scenario::{InWithin, Role, Scenario};
use crate::units;

/// One moment of the chain, with where it came from and how exactly it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub name: String,
    pub at: Timestamp,
    pub source: String,
    /// The true moment lies within this of `at`.
    pub resolution: Duration,
}

/// How the group reacted: the moments of its first scale-out and its first scale-in, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    pub out: Vec<Moment>,
    pub back: Vec<Moment>,
    /// Each instance that the group launched under the load.
    pub launched: Vec<Launched>,
    /// Breach to the first new instance in service.
    pub out_took: Option<Duration>,
    /// The part of it that the policy makes unavoidable: its datapoints times its period.
    pub out_unavoidable: Option<Duration>,
    /// Load drop to the first decision to shrink.
    pub in_took: Option<Duration>,
    pub in_bound: Option<Duration>,
    pub desired_before: u32,
    pub desired_peak: u32,
    pub desired_after: u32,
    pub max: u32,
}

impl Reaction {
    fn moment(&self, name: &str) -> Option<Timestamp> {
        self.out.iter().chain(&self.back).find(|moment| moment.name == name).map(|moment| moment.at)
    }
}

const POLLED: Duration = Duration::from_secs(2);
const EXACT: Duration = Duration::from_millis(1);

pub fn judge(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    timeline: &Timeline,
    circumstances: &Circumstances,
) -> (Vec<Judgement>, Reaction) {
    let Some(started) = circumstances.started else {
        let because = "the load never started".to_owned();
        return (vec![judgement("the group scaled out", Verdict::Inconclusive, "", because)], Reaction::default());
    };
    let times = Times::new(scenario, schedule, started);
    let reaction = react(scenario, timeline, &times);
    let mut judgements = vec![scaled_out(timeline, &reaction, &times)];
    if reaction.desired_peak > reaction.desired_before {
        judgements.push(out_in_time(scenario, timeline, &reaction));
        judgements.push(back_in_time(timeline, &reaction, &times));
        if scenario.scaling.no_dropped_requests {
            judgements.push(nothing_dropped(results, &reaction, &times));
        }
        judgements.extend(expectations::at_maximum(scenario, results, timeline, started, reaction.max));
        judgements.push(expectations::flapping(schedule, timeline, started));
    }
    (judgements, reaction)
}

/// The load's own moments on the wall clock.
struct Times {
    started: Timestamp,
    spike: Option<Timestamp>,
    /// When the load fell from its highest level.
    dropped: Option<Timestamp>,
    ended: Timestamp,
}

impl Times {
    fn new(scenario: &Scenario, schedule: &Schedule, started: Timestamp) -> Self {
        let is_spike = |index: &usize| scenario.phases[*index].role == Role::Spike;
        let spikes: Vec<usize> = (0..scenario.phases.len()).filter(is_spike).collect();
        let start_of = |index: usize| schedule.phase_starts().get(index).copied().unwrap_or(schedule.end());
        Self {
            started,
            spike: spikes.first().map(|index| after(started, start_of(*index))),
            dropped: spikes.last().map(|index| after(started, start_of(index + 1))),
            ended: after(started, schedule.end()),
        }
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn react(scenario: &Scenario, timeline: &Timeline, times: &Times) -> Reaction {
    let mut reaction = Reaction { launched: chain::launched(timeline, times.started), ..Reaction::default() };
    let groups: Vec<(Timestamp, &GroupState)> = timeline.groups().collect();
    let before = groups.iter().rev().find(|(at, _)| *at <= times.started).or(groups.first());
    if let Some((_, group)) = before {
        reaction.desired_before = group.desired;
        reaction.max = group.max;
    }
    let since = groups.iter().filter(|(at, _)| *at >= times.started);
    reaction.desired_peak = since.map(|(_, group)| group.desired).max().unwrap_or(0).max(reaction.desired_before);
    reaction.desired_after = groups.last().map_or(reaction.desired_before, |(_, group)| group.desired);

    if let Some(at) = times.spike {
        reaction.out.push(moment("load rose", at, "the plan, at the agreed start instant", EXACT));
    }
    if let Some((alarm, change)) = first_alarm(timeline, times.started, Alarm::is_high) {
        if let Some(point) = change.datapoints.iter().find(|point| alarm.breached_by(point.value)) {
            let source = format!("first breaching datapoint ({:.1}) in the history of {}", point.value, alarm.name);
            reaction.out.push(moment("breach", point.at, &source, alarm.period));
        }
        reaction.out_unavoidable = Some(alarm.window());
        reaction.out.push(moment("alarm", change.at, "DescribeAlarmHistory, StateUpdate to ALARM", EXACT));
    }
    if let Some(launch) = first_activity(timeline, times.started, Activity::grows) {
        let source = format!("StartTime of activity {}", launch.id);
        reaction.out.push(moment("launch began", launch.start, &source, Duration::from_secs(1)));
    }
    if let Some((id, at)) = first_new_instance(timeline, times.started) {
        reaction.out.push(moment("in service", at, &format!("lifecycle state of {id}, polled"), POLLED));
        if let Some(at) = timeline.first_health(&id, "healthy") {
            reaction.out.push(moment("healthy", at, &format!("target health of {id}, polled"), POLLED));
        }
    }
    if let (Some(breach), Some(service)) = (reaction.moment("breach"), reaction.moment("in service")) {
        reaction.out_took = Some(between(breach, service));
    }

    if let Some(dropped) = times.dropped {
        reaction.back.push(moment("load fell", dropped, "the plan, at the agreed start instant", EXACT));
        if let Some((_, change)) = first_alarm(timeline, dropped, |alarm| !alarm.is_high()) {
            reaction.back.push(moment("low alarm", change.at, "DescribeAlarmHistory, StateUpdate to ALARM", EXACT));
        }
        if let Some(leave) = first_activity(timeline, dropped, Activity::shrinks) {
            let source = format!("StartTime of activity {}", leave.id);
            reaction.back.push(moment("shrinking began", leave.start, &source, Duration::from_secs(1)));
            reaction.in_took = Some(between(dropped, leave.start));
        }
        let back = groups.iter().find(|(at, group)| *at > dropped && group.desired <= reaction.desired_before);
        if let (Some((at, _)), true) = (back, reaction.desired_peak > reaction.desired_before) {
            reaction.back.push(moment("back at the start", *at, "desired capacity, polled", POLLED));
        }
    }
    reaction.in_bound = in_bound(scenario, timeline);
    reaction
}

fn moment(name: &str, at: Timestamp, source: &str, resolution: Duration) -> Moment {
    Moment { name: name.to_owned(), at, source: source.to_owned(), resolution }
}

/// The first change to ALARM at or after a moment, of an alarm that `wanted` picks.
fn first_alarm(
    timeline: &Timeline,
    from: Timestamp,
    wanted: impl Fn(&Alarm) -> bool,
) -> Option<(&Alarm, &AlarmChange)> {
    let alarms = timeline.alarms();
    timeline.alarm_changes().into_iter().find_map(|change| {
        let alarm = alarms.iter().find(|alarm| alarm.name == change.alarm)?;
        (change.at >= from && change.to == "ALARM" && wanted(alarm)).then_some((*alarm, change))
    })
}

fn first_activity(timeline: &Timeline, from: Timestamp, wanted: impl Fn(&Activity) -> bool) -> Option<&Activity> {
    timeline.activities().into_iter().find(|activity| activity.start >= from && wanted(activity))
}

/// The first instance in service that was not there before the load.
fn first_new_instance(timeline: &Timeline, started: Timestamp) -> Option<(String, Timestamp)> {
    let known: Vec<&str> = timeline
        .groups()
        .filter(|(at, _)| *at <= started)
        .flat_map(|(_, group)| group.instances.iter().map(|instance| instance.id.as_str()))
        .collect();
    timeline.groups().filter(|(at, _)| *at > started).find_map(|(at, group)| {
        let new = |id: &str| !known.contains(&id);
        let found = group.instances.iter().find(|seen| seen.lifecycle == "InService" && new(&seen.id))?;
        Some((found.id.clone(), at))
    })
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

/// The low alarm's window: no scale-in can come sooner. Nothing where there is no low alarm.
fn unavoidable_in(timeline: &Timeline) -> Option<Duration> {
    timeline.alarms().into_iter().filter(|alarm| !alarm.is_high()).map(Alarm::window).max()
}

fn scaled_out(timeline: &Timeline, reaction: &Reaction, times: &Times) -> Judgement {
    let asked = "the group scaled out";
    let (before, peak) = (reaction.desired_before, reaction.desired_peak);
    let measured = format!("{before} -> {peak} instances");
    if peak > before {
        return judgement(asked, Verdict::Passed, &measured, "the policy answered the load".to_owned());
    }
    if before >= reaction.max && reaction.max > 0 {
        let because = format!("it was at its maximum of {} before the load began", reaction.max);
        return judgement(asked, Verdict::Inconclusive, &measured, because);
    }
    if let Some((alarm, change)) = first_alarm(timeline, times.started, Alarm::is_high) {
        let because = format!("the alarm {} fired at {} and nothing followed", alarm.name, change.at);
        return judgement(asked, Verdict::Failed, &measured, because);
    }
    let peaks: Vec<String> = timeline
        .metrics()
        .filter(|series| series.name.starts_with("policy metric"))
        .filter_map(|series| {
            let top = series.points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
            top.is_finite().then(|| format!("; {} peaked at {top:.1}", series.name))
        })
        .collect();
    let because = format!("the load was too low or too short for the policy to fire{}", peaks.join(""));
    judgement(asked, Verdict::Inconclusive, &measured, because)
}

fn out_in_time(scenario: &Scenario, timeline: &Timeline, reaction: &Reaction) -> Judgement {
    let limit = scenario.scaling.out_within;
    let asked = format!("scale-out within {}", units::duration(limit));
    let unavoidable = reaction
        .out_unavoidable
        .map(|window| format!("; {} of it is the alarm's own window", units::duration(window)))
        .unwrap_or_default();
    match (reaction.out_took, reaction.moment("breach")) {
        (Some(took), _) => {
            let verdict = if took <= limit { Verdict::Passed } else { Verdict::Failed };
            let because =
                format!("from the first breaching datapoint to the first new instance in service{unavoidable}");
            judgement(&asked, verdict, &units::duration(took), because)
        }
        (None, None) => {
            let because =
                "no alarm went to ALARM after the load began: it was breaching before, or the cause was another";
            judgement(&asked, Verdict::Inconclusive, "", because.to_owned())
        }
        (None, Some(breach)) => {
            let watched = timeline.groups().last().map_or(Duration::ZERO, |(at, _)| between(breach, at));
            let verdict = if watched > limit { Verdict::Failed } else { Verdict::Inconclusive };
            let because = format!("no new instance was in service {} after the breach", units::duration(watched));
            judgement(&asked, verdict, "", because)
        }
    }
}

fn back_in_time(timeline: &Timeline, reaction: &Reaction, times: &Times) -> Judgement {
    let Some(bound) = reaction.in_bound else {
        let because = "the group has no alarm that asks for less capacity".to_owned();
        return judgement("scale-in", Verdict::Inconclusive, "", because);
    };
    let asked = format!("scale-in within {}", units::duration(bound));
    let Some(dropped) = times.dropped else {
        return judgement(&asked, Verdict::Inconclusive, "", "the scenario has no spike that ends".to_owned());
    };
    let unavoidable = unavoidable_in(timeline).unwrap_or_default();
    let cannot = (unavoidable > bound)
        .then(|| format!("the policy cannot meet it: its low alarm alone takes {}", units::duration(unavoidable)));
    match reaction.in_took {
        Some(took) if took <= bound => {
            let because = "from the end of the spike to the first instance leaving".to_owned();
            judgement(&asked, Verdict::Passed, &units::duration(took), because)
        }
        Some(took) => {
            let because =
                cannot.unwrap_or_else(|| "from the end of the spike to the first instance leaving".to_owned());
            judgement(&asked, Verdict::Failed, &units::duration(took), because)
        }
        None => {
            let watched = timeline.groups().last().map_or(Duration::ZERO, |(at, _)| between(dropped, at));
            let verdict = if watched > bound { Verdict::Failed } else { Verdict::Inconclusive };
            let because = format!("no instance left in the {} that were watched", units::duration(watched));
            judgement(&asked, verdict, "", cannot.map_or(because.clone(), |cannot| format!("{because}; {cannot}")))
        }
    }
}

/// Requests that were cut off, refused or answered 5xx from the first instance's leaving to the end of the load.
fn nothing_dropped(results: &Results, reaction: &Reaction, times: &Times) -> Judgement {
    let asked = "no request dropped while instances leave";
    let Some(began) = reaction.moment("shrinking began") else {
        return judgement(asked, Verdict::Inconclusive, "", "no instance left".to_owned());
    };
    if began >= times.ended {
        let because = "the load had ended before the first instance left: a longer recovery phase would tell";
        return judgement(asked, Verdict::Inconclusive, "", because.to_owned());
    }
    let from = u32::try_from(between(times.started, began).as_secs()).unwrap_or(u32::MAX);
    let seen = results.merged(Select { seconds: Some((from, u32::MAX)), ..Select::default() }).tally;
    let dropped = seen.broken + seen.connect + seen.status_5xx;
    let measured = format!("{dropped} of {} requests", seen.requests());
    let (verdict, because) = match (seen.requests(), dropped) {
        (0, _) => (Verdict::Inconclusive, "no request was under way while instances left".to_owned()),
        (_, 0) => (Verdict::Passed, "from the first instance leaving to the end of the load".to_owned()),
        _ => (Verdict::Failed, "cut off, refused or answered 5xx while the group shrank".to_owned()),
    };
    judgement(asked, verdict, &measured, because)
}

pub fn judgement(asked: &str, verdict: Verdict, measured: &str, because: String) -> Judgement {
    Judgement { asked: asked.to_owned(), scope: "group".to_owned(), verdict, measured: measured.to_owned(), because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::{Datapoint, Instance, Observation, Observed};
    use crate::verdict::tests::scenario;

    /// The run started at 12:00:00; `scenario()` jumps at 20 s and falls at 30 s.
    fn at(second: u32) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_secs(second.into())).unwrap()
    }

    fn group(second: u32, desired: u32, in_service: &[&str]) -> Observation {
        let instances = in_service
            .iter()
            .map(|id| Instance {
                id: (*id).to_owned(),
                lifecycle: "InService".to_owned(),
                health: "Healthy".to_owned(),
                zone: "a".to_owned(),
            })
            .collect();
        let state = GroupState {
            name: "web".to_owned(),
            min: 1,
            max: 4,
            desired,
            default_cooldown: Duration::from_secs(300),
            default_warm_up: None,
            instances,
            target_groups: vec![],
            suspended: vec![],
        };
        Observation { at: at(second), seen: Observed::Group(state) }
    }

    fn alarm(name: &str, comparison: &str, threshold: f64, periods: u32) -> Observation {
        let alarm = Alarm {
            name: name.to_owned(),
            state: "OK".to_owned(),
            state_since: None,
            namespace: None,
            metric: None,
            statistic: None,
            dimensions: vec![],
            comparison: comparison.to_owned(),
            threshold: Some(threshold),
            period: Duration::from_secs(1),
            evaluation_periods: periods,
            datapoints_to_alarm: None,
        };
        Observation { at: at(0), seen: Observed::Alarm(alarm) }
    }

    fn change(second: u32, alarm: &str, points: &[(u32, f64)]) -> Observation {
        let datapoints = points.iter().map(|(second, value)| Datapoint { at: at(*second), value: *value }).collect();
        let change = AlarmChange {
            alarm: alarm.to_owned(),
            at: at(second),
            from: "OK".to_owned(),
            to: "ALARM".to_owned(),
            datapoints,
        };
        Observation { at: at(second), seen: Observed::AlarmChange(change) }
    }

    fn activity(second: u32, description: &str) -> Observation {
        let activity = Activity {
            id: format!("a{second}"),
            description: description.to_owned(),
            cause: if description.starts_with("Launching") {
                "increasing the capacity"
            } else {
                "shrinking the capacity"
            }
            .to_owned(),
            start: at(second),
            end: Some(at(second + 300)),
            status: "Successful".to_owned(),
            message: None,
            details: None,
        };
        Observation { at: at(second), seen: Observed::Activity(activity) }
    }

    fn whole_story() -> Vec<Observation> {
        vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            alarm("low", "LessThanThreshold", 45.0, 15),
            change(24, "high", &[(20, 40.0), (21, 90.0), (22, 95.0), (23, 95.0)]),
            activity(24, "Launching a new EC2 instance: i-2"),
            group(25, 2, &["i-1"]),
            group(27, 2, &["i-1", "i-2"]),
            change(46, "low", &[(31, 5.0)]),
            activity(46, "Terminating EC2 instance: i-1"),
            group(47, 1, &["i-2"]),
        ]
    }

    fn judged(observations: Vec<Observation>) -> (Vec<(String, Verdict)>, Reaction) {
        let scenario = scenario();
        let circumstances = Circumstances { started: Some(at(0)), ..Circumstances::default() };
        let timeline = Timeline { observations };
        let schedule = Schedule::new(&scenario);
        let (judgements, reaction) = judge(&scenario, &schedule, &Results::default(), &timeline, &circumstances);
        (judgements.into_iter().map(|judgement| (judgement.asked, judgement.verdict)).collect(), reaction)
    }

    #[test]
    fn scale_out_is_timed_from_the_first_breaching_datapoint_to_the_polled_lifecycle() {
        let (judgements, reaction) = judged(whole_story());
        assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
        assert_eq!(reaction.out_unavoidable, Some(Duration::from_secs(3)));
        assert_eq!(reaction.in_took, Some(Duration::from_secs(16)));
        assert_eq!(reaction.in_bound, Some(Duration::from_millis(22_500)));
        let names: Vec<&str> = reaction.out.iter().chain(&reaction.back).map(|moment| moment.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "load rose",
                "breach",
                "alarm",
                "launch began",
                "in service",
                "load fell",
                "low alarm",
                "shrinking began",
                "back at the start"
            ]
        );
        assert_eq!(judgements[0], ("the group scaled out".to_owned(), Verdict::Passed));
        assert_eq!(judgements[1], ("scale-out within 3m".to_owned(), Verdict::Passed));
        assert_eq!(judgements[2].1, Verdict::Passed);
    }

    #[test]
    fn a_group_that_never_scaled_is_inconclusive_unless_its_alarm_fired() {
        let quiet = vec![group(0, 1, &["i-1"]), group(60, 1, &["i-1"])];
        assert_eq!(judged(quiet).0, [("the group scaled out".to_owned(), Verdict::Inconclusive)]);

        let mut deaf = whole_story();
        deaf.retain(|one| !matches!(one.seen, Observed::Group(_) | Observed::Activity(_)));
        deaf.push(group(0, 1, &["i-1"]));
        assert_eq!(judged(deaf).0[0].1, Verdict::Failed);

        let full = vec![group(0, 4, &["i-1", "i-2", "i-3", "i-4"])];
        assert_eq!(judged(full).0[0].1, Verdict::Inconclusive);
    }

    #[test]
    fn a_scale_in_that_was_not_watched_long_enough_is_inconclusive() {
        let mut story = whole_story();
        story.truncate(7);
        story.push(group(40, 2, &["i-1", "i-2"]));
        assert_eq!(judged(story.clone()).0[2].1, Verdict::Inconclusive);
        story.push(group(60, 2, &["i-1", "i-2"]));
        assert_eq!(judged(story).0[2].1, Verdict::Failed);
    }
}
