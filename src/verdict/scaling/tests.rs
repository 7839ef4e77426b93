use super::*;
use crate::measure::timeline::{Alarm, AlarmChange, Datapoint, GroupState, Instance, Observation, Observed, Policy};
use crate::verdict::tests::scenario;

use jiff::Timestamp;

/// The run started at 12:00:00; `scenario()` jumps at 20 s and falls at 30 s.
pub fn at(second: u32) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_secs(second.into())).unwrap()
}

pub fn group(second: u32, desired: u32, in_service: &[&str]) -> Observation {
    let instance = |id: &&str| Instance {
        id: (*id).to_owned(),
        lifecycle: "InService".to_owned(),
        health: "Healthy".to_owned(),
        ..Instance::default()
    };
    let state = GroupState {
        name: "web".to_owned(),
        min: 1,
        max: 4,
        desired,
        default_cooldown: Duration::from_secs(300),
        instances: in_service.iter().map(instance).collect(),
        ..GroupState::default()
    };
    Observation::new(at(second), Observed::Group(state))
}

pub fn alarm(name: &str, comparison: &str, threshold: f64, periods: u32) -> Observation {
    let alarm = Alarm {
        name: name.to_owned(),
        state: "OK".to_owned(),
        metric: Some("CPUUtilization".to_owned()),
        comparison: comparison.to_owned(),
        threshold: Some(threshold),
        period: Duration::from_secs(1),
        evaluation_periods: periods,
        ..Alarm::default()
    };
    Observation::new(at(0), Observed::Alarm(alarm))
}

pub fn change(second: u32, alarm: &str, points: &[(u32, f64)]) -> Observation {
    let datapoints = points.iter().map(|(second, value)| Datapoint { at: at(*second), value: *value }).collect();
    let change = AlarmChange {
        alarm: alarm.to_owned(),
        at: at(second),
        from: "OK".to_owned(),
        to: "ALARM".to_owned(),
        datapoints,
    };
    Observation::new(at(second), Observed::AlarmChange(change))
}

pub fn activity(second: u32, description: &str, from: u32, to: u32) -> Observation {
    let alarm = if to > from { "high" } else { "low" };
    let when = at(second);
    let activity = Activity {
        id: format!("a{second}"),
        description: description.to_owned(),
        cause: format!(
            "At {when} a monitor alarm {alarm} in state ALARM triggered policy cpu changing the desired capacity from {from} \
             to {to}.  At {when} an instance did something."
        ),
        start: when,
        end: Some(at(second + 300)),
        status: "Successful".to_owned(),
        ..Activity::default()
    };
    Observation::new(when, Observed::Activity(activity))
}

pub fn whole_story() -> Vec<Observation> {
    vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 15),
        change(24, "high", &[(20, 40.0), (21, 90.0), (22, 95.0), (23, 95.0)]),
        activity(24, "Launching a new EC2 instance: i-2", 1, 2),
        group(25, 2, &["i-1"]),
        group(27, 2, &["i-1", "i-2"]),
        change(46, "low", &[(31, 5.0)]),
        activity(46, "Terminating EC2 instance: i-1", 2, 1),
        group(47, 1, &["i-2"]),
    ]
}

/// What is judged of a story with no results.
pub fn with_case<T>(observations: Vec<Observation>, judge: impl Fn(&Case<'_>) -> T) -> T {
    let scenario = scenario();
    let schedule = Schedule::new(&scenario);
    let (results, timeline) = (Results::default(), Timeline { observations });
    let times = Times::new(&scenario, &schedule, at(0));
    let reaction = react(&scenario, &results, &timeline, &times, None);
    judge(&Case {
        scenario: &scenario,
        schedule: &schedule,
        results: &results,
        timeline: &timeline,
        times: &times,
        reaction: &reaction,
        limit: None,
    })
}

fn judged(observations: Vec<Observation>) -> (Vec<(String, Verdict)>, Reaction) {
    let scenario = scenario();
    let circumstances = Circumstances { started: Some(at(0)), ..Circumstances::default() };
    let timeline = Timeline { observations };
    let schedule = Schedule::new(&scenario);
    let (judgements, reaction) = judge(&scenario, &schedule, &Results::default(), &timeline, &circumstances);
    (judgements.into_iter().map(|judgement| (judgement.asked, judgement.verdict)).collect(), reaction)
}

fn verdict(judgements: &[(String, Verdict)], about: &str) -> Verdict {
    judgements.iter().find(|(asked, _)| asked.starts_with(about)).unwrap_or_else(|| panic!("{about}: {judgements:?}")).1
}

#[test]
fn scale_out_is_timed_from_the_first_breaching_datapoint_to_the_polled_lifecycle() {
    let (judgements, reaction) = judged(whole_story());
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert_eq!(reaction.out_unavoidable, Some(Duration::from_secs(3)));
    assert_eq!(reaction.in_took, Some(Duration::from_secs(16)));
    assert_eq!(reaction.in_bound, Some(Duration::from_millis(22_500)));
    let [grew, shrank] = reaction.resized.as_slice() else { panic!("{:?}", reaction.resized) };
    assert_eq!(
        (grew.from, grew.to, grew.breach, grew.alarm, grew.done),
        (1, 2, Some(at(21)), Some(at(24)), Some(at(27)))
    );
    assert_eq!((shrank.from, shrank.to, shrank.breach, shrank.done), (2, 1, Some(at(31)), Some(at(47))));
    let names: Vec<&str> = reaction.out.iter().chain(&reaction.back).map(|moment| moment.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "load rose",
            "breach",
            "alarm",
            "decided",
            "launch began",
            "in service",
            "first request",
            "load fell",
            "low alarm",
            "decided to shrink",
            "shrinking began",
            "terminated",
            "back at the start"
        ]
    );
    assert_eq!(verdict(&judgements, "the group scaled out"), Verdict::Passed);
    assert_eq!(verdict(&judgements, "scale-out within 3m"), Verdict::Passed);
    assert_eq!(verdict(&judgements, "scale-in within"), Verdict::Passed);
}

#[test]
fn a_group_that_never_scaled_is_inconclusive_unless_its_alarm_fired() {
    let quiet = vec![group(0, 1, &["i-1"]), group(60, 1, &["i-1"])];
    assert_eq!(judged(quiet).0, [("the group scaled out".to_owned(), Verdict::Inconclusive)]);

    let mut deaf = whole_story();
    deaf.retain(|one| !matches!(one.seen, Observed::Group(_) | Observed::Activity(_)));
    deaf.insert(0, group(0, 1, &["i-1"]));
    let mut cut = deaf.clone();
    cut.push(group(25, 1, &["i-1"]));
    assert_eq!(judged(cut).0[0].1, Verdict::Inconclusive, "a second after the alarm");
    deaf.push(group(60, 1, &["i-1"]));
    assert_eq!(judged(deaf).0[0].1, Verdict::Failed);

    let full = vec![group(0, 4, &["i-1", "i-2", "i-3", "i-4"])];
    assert_eq!(judged(full).0[0].1, Verdict::Inconclusive);
}

#[test]
fn a_scale_in_that_was_not_watched_long_enough_is_inconclusive() {
    let mut story = whole_story();
    story.truncate(7);
    story.push(group(40, 2, &["i-1", "i-2"]));
    assert_eq!(verdict(&judged(story.clone()).0, "scale-in"), Verdict::Inconclusive);
    story.push(group(60, 2, &["i-1", "i-2"]));
    assert_eq!(verdict(&judged(story).0, "scale-in"), Verdict::Failed);
}

#[test]
fn a_group_that_nothing_tells_to_shrink_fails_to_come_back() {
    let policy = Policy { name: "cpu".to_owned(), scale_in_disabled: true, ..Policy::default() };
    let mut story = whole_story();
    story.truncate(7);
    story.retain(|one| !matches!(&one.seen, Observed::Alarm(alarm) if alarm.name == "low"));
    story.push(Observation::new(at(0), Observed::Policy(policy)));
    assert_eq!(verdict(&judged(story).0, "scale-in"), Verdict::Failed);
}

#[test]
fn a_missing_history_is_made_up_for_by_the_alarms_state_and_its_metric() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::AlarmChange(_)));
    let Observed::Alarm(mut fired) = alarm("high", "GreaterThanThreshold", 50.0, 3).seen else { unreachable!() };
    fired.state = "ALARM".to_owned();
    fired.state_since = Some(at(24));
    story.push(Observation::new(at(25), Observed::Alarm(fired)));
    let points = [(19, 60.0), (20, 40.0), (21, 90.0), (22, 95.0), (23, 95.0), (24, 95.0)];
    let series = crate::measure::timeline::MetricSeries {
        name: "policy metric CPUUtilization".to_owned(),
        unit: String::new(),
        period: Duration::from_secs(1),
        points: points.iter().map(|(second, value)| Datapoint { at: at(*second), value: *value }).collect(),
    };
    story.push(Observation::new(at(60), Observed::Metric(series)));
    let (_, reaction) = judged(story);
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert!(reaction.out[1].source.contains("of the metric before high fired"), "{:?}", reaction.out[1]);
}

#[test]
fn what_a_refused_call_hides_cannot_be_told_and_says_so() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::Alarm(_) | Observed::AlarmChange(_)));
    let gap = Observed::Gap { call: "cloudwatch:DescribeAlarms".to_owned(), why: "not permitted".to_owned() };
    story.push(Observation::new(at(1), gap));
    let (judgements, _) = judged(story);
    assert_eq!(verdict(&judgements, "the group scaled out"), Verdict::Passed);
    assert_eq!(verdict(&judgements, "scale-out within"), Verdict::Inconclusive);
    assert_eq!(verdict(&judgements, "scale-in"), Verdict::Inconclusive);
}

#[test]
fn an_alarm_that_had_fired_before_leaves_no_breach_to_count_from() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::AlarmChange(_)));
    for one in &mut story {
        if let Observed::Alarm(alarm) = &mut one.seen
            && alarm.name == "high"
        {
            alarm.state = "ALARM".to_owned();
            alarm.state_since = Some("2026-03-01T11:00:00Z".parse().unwrap());
        }
    }
    let (judgements, reaction) = judged(story);
    assert_eq!(reaction.alarmed_before.as_deref(), Some("high"));
    assert_eq!(verdict(&judgements, "scale-out within"), Verdict::Inconclusive);
}
