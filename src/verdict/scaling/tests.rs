use super::*;
use crate::measure::timeline::{
    Alarm, AlarmChange, Datapoint, GroupState, Instance, Observation, Observed, Policy,
};
use crate::measure::{Cell, InstanceCell, Interval, Key, Latency, Tally};
use crate::scenario::{Comparison, Metric, Model, Role, Scope, Threshold, example};
use crate::verdict::tests::scenario;

use jiff::Timestamp;

/// The run started at 12:00:00; `scenario()` jumps at 20 s and falls at 30 s.
pub fn at(second: u32) -> Timestamp {
    "2026-03-01T12:00:00Z"
        .parse::<Timestamp>()
        .unwrap()
        .checked_add(Duration::from_secs(second.into()))
        .unwrap()
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

/// Some of its instances are on their way out.
pub fn shrinking(second: u32, in_service: &[&str], leaving: &[&str]) -> Observation {
    let mut look = group(second, in_service.len() as u32, in_service);
    let Observed::Group(state) = &mut look.seen else {
        unreachable!()
    };
    state.instances.extend(leaving.iter().map(|id| Instance {
        id: (*id).to_owned(),
        lifecycle: "Terminating".to_owned(),
        ..Instance::default()
    }));
    look
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
    let datapoints = points
        .iter()
        .map(|(second, value)| Datapoint {
            at: at(*second),
            value: *value,
        })
        .collect();
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
        id: format!("a{second} {description}"),
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
        change(
            24,
            "high",
            &[(20, 40.0), (21, 90.0), (22, 95.0), (23, 95.0)],
        ),
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
    with_load(&scenario(), observations, &Results::default(), judge)
}

/// What is judged of a story and of what was answered meanwhile.
pub fn with_load<T>(
    scenario: &Scenario,
    observations: Vec<Observation>,
    results: &Results,
    judge: impl Fn(&Case<'_>) -> T,
) -> T {
    let schedule = Schedule::new(scenario);
    let timeline = Timeline { observations };
    let times = Times::new(scenario, &schedule, at(0), None);
    let limit = Limit::p95_in_the_spike(scenario);
    let reaction = react(
        scenario,
        results,
        &timeline,
        &times,
        Some(Limit::of(scenario)),
    );
    judge(&Case {
        scenario,
        schedule: &schedule,
        results,
        timeline: &timeline,
        times: &times,
        reaction: &reaction,
        limit,
    })
}

/// Who answered in a second (nobody: the load balancer itself), how often well, how often with 5xx,
/// and in how many milliseconds.
pub type Answers = (&'static str, u64, u64, u64);

/// What was answered in each second, given its number and level.
pub fn results(scenario: &Scenario, of: impl Fn(u32, f64) -> Vec<Answers>) -> Results {
    let schedule = Schedule::new(scenario);
    let mut interval = Interval::default();
    for second in 0..schedule.end().as_secs() as u32 {
        let begins = Duration::from_secs(second.into());
        for (by, ok, bad, millis) in of(second, schedule.level_at(begins)) {
            let tally = Tally {
                ok,
                status_5xx: bad,
                ..Tally::default()
            };
            let mut latency = Latency::default();
            (0..ok + bad).for_each(|_| latency.record(Duration::from_millis(millis)));
            let (key, latency) = (
                Key {
                    phase: 0,
                    flow: 0,
                    step: 0,
                },
                latency.pack(),
            );
            if !by.is_empty() {
                let (instance, latency) = (by.to_owned(), latency.clone());
                interval.instances.push(InstanceCell {
                    second,
                    instance,
                    first: begins,
                    tally,
                    latency,
                });
            }
            interval.cells.push(Cell {
                second,
                key,
                tally,
                latency,
            });
        }
    }
    let mut results = Results::default();
    results.add(0, &interval);
    results
}

/// Phases of ten seconds each: levels, and whether they are spikes. p95 is to stay under 400 ms in
/// all of them.
pub fn phases(levels: &[(f64, bool)]) -> Scenario {
    let ten = Duration::from_secs(10);
    let role = |spike| if spike { Role::Spike } else { Role::Baseline };
    let phase = |(index, (level, spike)): (usize, &(f64, bool))| {
        example::phase(&format!("p{index}"), Model::Rate, *level, ten, role(*spike))
    };
    let mut scenario = example::scenario(levels.iter().enumerate().map(phase).collect());
    scenario.thresholds = vec![p95(Scope::EachPhase, 400)];
    scenario
}

pub fn p95(scope: Scope, millis: u64) -> Threshold {
    Threshold {
        text: format!("p95 < {millis}ms"),
        metric: Metric::Percentile(95.0),
        of: None,
        comparison: Comparison::Less,
        limit: millis as f64 * 1_000.0,
        scope,
        within: None,
        abort_after: None,
    }
}

/// What is said of a story and of what was answered meanwhile.
fn said(
    scenario: &Scenario,
    observations: Vec<Observation>,
    results: &Results,
    circumstances: Circumstances,
) -> (Vec<Judgement>, Reaction) {
    let circumstances = Circumstances {
        started: Some(at(0)),
        ..circumstances
    };
    let found = judge(
        scenario,
        &Schedule::new(scenario),
        results,
        &Timeline { observations },
        &circumstances,
    );
    (found.judged, found.reaction)
}

fn about<'a>(judgements: &'a [Judgement], asked: &str) -> &'a Judgement {
    judgements
        .iter()
        .find(|one| one.asked.starts_with(asked))
        .unwrap_or_else(|| panic!("{asked}: {judgements:?}"))
}

fn judged(observations: Vec<Observation>) -> (Vec<(String, Verdict)>, Reaction) {
    let scenario = scenario();
    let circumstances = Circumstances {
        started: Some(at(0)),
        ..Circumstances::default()
    };
    let timeline = Timeline { observations };
    let schedule = Schedule::new(&scenario);
    let found = judge(
        &scenario,
        &schedule,
        &Results::default(),
        &timeline,
        &circumstances,
    );
    let (judgements, reaction) = (found.judged, found.reaction);
    (
        judgements
            .into_iter()
            .map(|judgement| (judgement.asked, judgement.verdict))
            .collect(),
        reaction,
    )
}

fn verdict(judgements: &[(String, Verdict)], about: &str) -> Verdict {
    judgements
        .iter()
        .find(|(asked, _)| asked.starts_with(about))
        .unwrap_or_else(|| panic!("{about}: {judgements:?}"))
        .1
}

#[test]
fn scale_out_is_timed_from_the_first_breaching_datapoint_to_the_polled_lifecycle() {
    let (judgements, reaction) = judged(whole_story());
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert_eq!(reaction.out_unavoidable, Some(Duration::from_secs(3)));
    assert_eq!(reaction.in_took, Some(Duration::from_secs(16)));
    assert_eq!(reaction.in_bound, Some(Duration::from_millis(22_500)));
    let [grew, shrank] = reaction.resized.as_slice() else {
        panic!("{:?}", reaction.resized)
    };
    assert_eq!(
        (grew.from, grew.to, grew.breach, grew.alarm, grew.done),
        (1, 2, Some(at(21)), Some(at(24)), Some(at(27)))
    );
    assert_eq!(
        (shrank.from, shrank.to, shrank.breach, shrank.done),
        (2, 1, Some(at(31)), Some(at(47)))
    );
    let names: Vec<&str> = reaction
        .out
        .iter()
        .chain(&reaction.back)
        .map(|moment| moment.name.as_str())
        .collect();
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
    assert_eq!(
        verdict(&judgements, "the group scaled out"),
        Verdict::Passed
    );
    assert_eq!(verdict(&judgements, "scale-out within 3m"), Verdict::Passed);
    assert_eq!(verdict(&judgements, "scale-in within"), Verdict::Passed);
}

#[test]
fn a_group_that_never_scaled_is_inconclusive_unless_its_alarm_fired() {
    let quiet = vec![group(0, 1, &["i-1"]), group(60, 1, &["i-1"])];
    assert_eq!(
        judged(quiet).0,
        [("the group scaled out".to_owned(), Verdict::Inconclusive)]
    );

    let mut deaf = whole_story();
    deaf.retain(|one| !matches!(one.seen, Observed::Group(_) | Observed::Activity(_)));
    deaf.insert(0, group(0, 1, &["i-1"]));
    let mut cut = deaf.clone();
    cut.push(group(25, 1, &["i-1"]));
    assert_eq!(
        judged(cut).0[0].1,
        Verdict::Inconclusive,
        "a second after the alarm"
    );
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
    assert_eq!(
        verdict(&judged(story.clone()).0, "scale-in"),
        Verdict::Inconclusive
    );
    story.push(group(60, 2, &["i-1", "i-2"]));
    assert_eq!(verdict(&judged(story).0, "scale-in"), Verdict::Failed);
}

#[test]
fn a_group_that_nothing_tells_to_shrink_fails_to_come_back() {
    let policy = Policy {
        name: "cpu".to_owned(),
        scale_in_disabled: true,
        ..Policy::default()
    };
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
    let Observed::Alarm(mut fired) = alarm("high", "GreaterThanThreshold", 50.0, 3).seen else {
        unreachable!()
    };
    fired.state = "ALARM".to_owned();
    fired.state_since = Some(at(24));
    story.push(Observation::new(at(25), Observed::Alarm(fired)));
    let points = [
        (19, 60.0),
        (20, 40.0),
        (21, 90.0),
        (22, 95.0),
        (23, 95.0),
        (24, 95.0),
    ];
    let series = crate::measure::timeline::MetricSeries {
        name: "policy metric CPUUtilization".to_owned(),
        unit: String::new(),
        period: Duration::from_secs(1),
        points: points
            .iter()
            .map(|(second, value)| Datapoint {
                at: at(*second),
                value: *value,
            })
            .collect(),
        alarms: vec![],
    };
    story.push(Observation::new(at(60), Observed::Metric(series)));
    let (_, reaction) = judged(story);
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert!(
        reaction.out[1]
            .source
            .contains("of the metric before high fired"),
        "{:?}",
        reaction.out[1]
    );
}

#[test]
fn what_a_refused_call_hides_cannot_be_told_and_says_so() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::Alarm(_) | Observed::AlarmChange(_)));
    let gap = Observed::Gap {
        call: "cloudwatch:DescribeAlarms".to_owned(),
        why: "not permitted".to_owned(),
    };
    story.push(Observation::new(at(1), gap));
    let (judgements, _) = judged(story);
    assert_eq!(
        verdict(&judgements, "the group scaled out"),
        Verdict::Passed
    );
    assert_eq!(
        verdict(&judgements, "scale-out within"),
        Verdict::Inconclusive
    );
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
    assert_eq!(
        verdict(&judgements, "scale-out within"),
        Verdict::Inconclusive
    );
}

#[test]
fn a_group_that_shrinks_and_grows_back_under_the_spike_has_scaled_out_and_its_drops_are_judged() {
    let scenario = phases(&[(1.0, false), (2.0, false), (9.0, true), (2.0, false)]);
    let before = ["i-1", "i-2", "i-3", "i-4"];
    let story = vec![
        group(0, 4, &before),
        alarm("high", "GreaterThanThreshold", 50.0, 2),
        alarm("low", "LessThanThreshold", 45.0, 5),
        activity(23, "Terminating EC2 instance: i-4", 4, 3),
        group(24, 3, &before[..3]),
        change(26, "high", &[(24, 90.0), (25, 90.0)]),
        activity(26, "Launching a new EC2 instance: i-5", 3, 4),
        group(27, 4, &before[..3]),
        group(29, 4, &["i-1", "i-2", "i-3", "i-5"]),
        group(60, 4, &["i-1", "i-2", "i-3", "i-5"]),
    ];
    // What i-4 was at work on is answered 502 by the load balancer, which names no instance.
    let results = results(&scenario, |second, level| {
        let all = (level * 100.0) as u64;
        let cut = if second == 23 { 5 } else { 0 };
        vec![("i-1", all - cut, 0, 50), ("", 0, cut, 50)]
    });
    let (judgements, reaction) = said(&scenario, story, &results, Circumstances::default());
    assert!(reaction.scaled_out() && reaction.desired_peak == reaction.desired_before);
    let out = about(&judgements, "the group scaled out");
    assert_eq!(
        (out.verdict, out.measured.as_str()),
        (Verdict::Passed, "3 -> 4 instances, 4 at the start")
    );
    let dropped = about(&judgements, "no request dropped");
    assert_eq!(dropped.verdict, Verdict::Failed, "{dropped:?}");
    assert!(dropped.measured.starts_with("5 of "), "{dropped:?}");
}

#[test]
fn a_hand_that_made_the_group_grow_is_not_the_policys_answer() {
    let mut story = whole_story();
    for one in &mut story {
        if let Observed::Activity(activity) = &mut one.seen
            && activity.grows()
        {
            activity.cause =
                "At 2026-03-01T12:00:24Z a user request explicitly set group desired capacity changing the \
                              desired capacity from 1 to 2."
                    .to_owned();
        }
    }
    let (judgements, _) = said(
        &scenario(),
        story,
        &Results::default(),
        Circumstances::default(),
    );
    let out = about(&judgements, "the group scaled out");
    assert!(out.because.contains("not by its policies alone"), "{out:?}");
}

#[test]
fn of_a_load_that_was_stopped_neither_its_fall_nor_its_efficiency_is_judged() {
    let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
    let results = results(&scenario, |second, level| {
        if second < 15 {
            vec![("i-1", (level * 100.0) as u64, 0, 50)]
        } else {
            vec![]
        }
    });
    let story = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 5),
        change(13, "high", &[(10, 90.0)]),
        activity(13, "Launching a new EC2 instance: i-2", 1, 2),
        group(14, 2, &["i-1"]),
        group(16, 2, &["i-1"]),
    ];
    let cut = Circumstances {
        cut_short: Some("interrupted".to_owned()),
        ..Circumstances::default()
    };
    let (judgements, reaction) = said(&scenario, story, &results, cut);
    assert_eq!(reaction.back, []);
    assert_eq!(
        about(&judgements, "scale-in").because,
        "the load was stopped before its fall"
    );
    assert_eq!(
        about(&judgements, "too few instances").verdict,
        Verdict::Inconclusive
    );
    let open = &reaction.open;
    assert!(
        open.iter()
            .any(|why| why.starts_with("in service: not seen")),
        "{open:?}"
    );
    assert!(
        open.iter()
            .any(|why| why.starts_with("load fell: the load was stopped")),
        "{open:?}"
    );
}

#[test]
fn an_alarm_for_less_that_had_fired_before_the_fall_gives_no_figure() {
    let mut story = whole_story();
    story
        .retain(|one| !matches!(&one.seen, Observed::AlarmChange(change) if change.alarm == "low"));
    story.push(change(28, "low", &[(26, 5.0)]));
    let (judgements, reaction) = said(
        &scenario(),
        story,
        &Results::default(),
        Circumstances::default(),
    );
    assert_eq!(
        (reaction.in_took, reaction.low_before),
        (None, Some(at(28)))
    );
    let back = about(&judgements, "scale-in within");
    assert_eq!(back.verdict, Verdict::Inconclusive);
    assert!(
        back.because
            .starts_with("the alarm for less had fired 2s before the load fell"),
        "{back:?}"
    );
}

#[test]
fn the_limit_is_that_of_any_spike_or_of_a_lower_one_that_is_named() {
    let mut scenario = phases(&[
        (1.0, false),
        (9.0, true),
        (1.0, false),
        (9.0, true),
        (5.0, false),
    ]);
    let mut limit = |thresholds: Vec<Threshold>| {
        scenario.thresholds = thresholds;
        Limit::p95_in_the_spike(&scenario).map(|limit| limit.as_millis())
    };
    let named = |phase: &str, millis| p95(Scope::Phase(phase.to_owned()), millis);
    assert_eq!(limit(vec![named("p3", 300)]), Some(300), "the second spike");
    assert_eq!(limit(vec![named("p1", 400), named("p3", 300)]), Some(300));
    assert_eq!(
        limit(vec![p95(Scope::Run, 900), named("p4", 600)]),
        Some(900)
    );
    assert_eq!(
        limit(vec![named("p4", 600)]),
        Some(600),
        "more than the least"
    );
    assert_eq!(limit(vec![named("p2", 100)]), None, "a calm phase");
}

/// The load falls at 30 s, and an instance leaves at 40 s.
#[test]
fn a_low_alarm_whose_window_was_partly_over_proves_less() {
    let judged = |window: u32, bound: InWithin| {
        let mut story = whole_story();
        story.retain(
            |one| !matches!(&one.seen, Observed::AlarmChange(change) if change.alarm == "low"),
        );
        story.retain(|one| !matches!(&one.seen, Observed::Activity(one) if one.description.starts_with("Terminating")));
        story[2] = alarm("low", "LessThanThreshold", 45.0, window);
        story.push(change(40, "low", &[(25, 5.0)]));
        story.push(activity(40, "Terminating EC2 instance: i-1", 2, 1));
        let mut scenario = scenario();
        scenario.scaling.in_within = bound;
        let (judgements, reaction) = said(
            &scenario,
            story,
            &Results::default(),
            Circumstances::default(),
        );
        assert_eq!(reaction.in_ahead, Some(Duration::from_secs(5)));
        let back = about(&judgements, "scale-in within");
        (back.verdict, back.because.clone())
    };
    let twelve = InWithin::Within(Duration::from_secs(12));
    let (verdict, because) = judged(15, InWithin::Auto);
    assert!(
        verdict == Verdict::Passed && because.ends_with("without that it takes 15s at most"),
        "{because}"
    );
    let (verdict, because) = judged(15, twelve);
    assert!(
        verdict == Verdict::Inconclusive && because.contains("otherwise the policy cannot meet it"),
        "{because}"
    );
    let (verdict, because) = judged(5, twelve);
    assert!(
        verdict == Verdict::Inconclusive && because.ends_with("without that cannot be told"),
        "{because}"
    );
}
