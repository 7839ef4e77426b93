use std::time::Duration;

use crate::report::words;
use crate::verdict::scaling::scaled_out;
use evidence::testing::{
    Answers, activity, alarm, at, group, levels, phases, results, strained, with_load,
};
use evidence::timeline::{Datapoint, MetricSeries, Observation, Observed};
use model::measure::Results;
use model::outcome::Verdict;
use model::scenario::Scenario;

/// The load rises from 100/s to 600/s at 10 s and falls at 30 s.
fn load() -> Scenario {
    phases(&[(1.0, false), (6.0, true), (6.0, true), (1.0, false)])
}

/// Observes a metric with this value while the load is high.
fn metric(name: &str, high: f64) -> Observation {
    let is_high = |second| (10..30).contains(&second);
    let point = |second| Datapoint {
        at: at(second),
        value: if is_high(second) { high } else { 5.0 },
    };
    let series = MetricSeries {
        name: MetricSeries::name_of_policy_metric(name),
        unit: "%".to_owned(),
        period: Duration::from_secs(1),
        points: (0..40).map(point).collect(),
        alarms: vec!["high".to_owned()],
    };
    Observation::new(at(40), Observed::Metric(series))
}

/// Makes the story of a group that stays as it is, with an alarm on a metric.
fn stays(name: &str, threshold: f64, datapoints: u32, high: f64) -> Vec<Observation> {
    let mut asks = alarm("high", "GreaterThanThreshold", threshold, datapoints);
    if let Observed::Alarm(alarm) = &mut asks.seen {
        alarm.metric = Some(name.to_owned());
    }
    vec![
        group(0, 2, &["i-1", "i-2"]),
        asks,
        group(40, 2, &["i-1", "i-2"]),
        metric(name, high),
    ]
}

/// Answers of two instances that are slow in these seconds.
fn slow(seconds: std::ops::Range<u32>) -> impl Fn(u32, f64) -> Vec<Answers> {
    move |second, level| {
        let millis = if seconds.contains(&second) { 1_500 } else { 40 };
        let half = (level * 50.0) as u64;
        vec![("i-1", half, 0, millis), ("i-2", half, 0, millis)]
    }
}

fn told(scenario: &Scenario, story: Vec<Observation>, results: &Results) -> (Verdict, String) {
    with_load(scenario, story, results, |facts| {
        let found = words::judgement(scaled_out(facts));
        (found.verdict, found.because)
    })
}

/// Judges two instances that miss the limit in these seconds.
fn judged(story: Vec<Observation>, missed: std::ops::Range<u32>) -> (Verdict, String) {
    let scenario = load();
    told(&scenario, story, &results(&scenario, slow(missed)))
}

#[test]
fn a_load_that_missed_limits_was_not_too_low() {
    let cpu = |threshold, high| judged(stays("CPUUtilization", threshold, 3, high), 10..30);
    assert_eq!(
        cpu(50.0, 45.0),
        (
            Verdict::Inconclusive,
            "limits were missed for 20s while CPUUtilization reached 45.0 of the alarm's 50.0 only: the threshold is too \
             high for this load, or more instances would not have helped"
                .to_owned()
        )
    );
    // Busy instances are too few: the policy had to ask for more.
    assert_eq!(
        cpu(99.5, 99.0),
        (
            Verdict::Failed,
            "limits were missed for 20s while CPUUtilization reached 99.0 of the alarm's 99.5 only: the threshold is too \
             high for this load"
                .to_owned()
        )
    );
    // A part that all instances share has such a load, too.
    let (verdict, said) = judged(stays("RequestCountPerTarget", 320.0, 3, 300.0), 10..30);
    assert_eq!(verdict, Verdict::Inconclusive);
    let expected = "RequestCountPerTarget reached 300.0 of the alarm's 320.0 only";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_alarm_that_saw_too_little_of_the_missed_limits_is_not_blamed() {
    let story = |datapoints| stays("CPUUtilization", 50.0, datapoints, 60.0);
    assert_eq!(
        judged(story(15), 10..16),
        (
            Verdict::Inconclusive,
            "limits were missed for 6s, and the alarm needs 15s over its threshold: the load was too short for the policy"
                .to_owned()
        )
    );
    let (verdict, said) = judged(story(3), 10..30);
    assert_eq!(verdict, Verdict::Inconclusive);
    let expected = "reached 60.0 of the alarm's 50.0 in too few datapoints";
    assert!(said.ends_with(expected), "{said}");
    let mut unread = story(3);
    unread.pop();
    let (verdict, said) = judged(unread, 10..30);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(said.ends_with("CPUUtilization had no datapoint"), "{said}");
}

#[test]
fn a_group_without_an_alarm_that_asks_for_more_is_said_to_have_none() {
    let story = vec![group(0, 2, &["i-1", "i-2"]), group(40, 2, &["i-1", "i-2"])];
    assert_eq!(
        judged(story, 10..30),
        (
            Verdict::Inconclusive,
            "limits were missed for 20s, and no alarm asks for more instances".to_owned()
        )
    );
}

#[test]
fn a_load_was_too_low_where_hardly_a_second_missed_a_limit() {
    let story = || stays("CPUUtilization", 50.0, 3, 45.0);
    for missed in [0..0, 10..12] {
        let (verdict, said) = judged(story(), missed);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(said.starts_with("the load was too low"), "{said}");
    }
    // A group at its maximum may not grow, whatever is asked.
    let mut full = story();
    for one in &mut full {
        if let Observed::Group(state) = &mut one.seen {
            state.max = 2;
        }
    }
    let (_, said) = judged(full, 10..30);
    assert!(said.starts_with("it was at its maximum of 2"), "{said}");
}

#[test]
fn limits_that_were_missed_for_another_reason_ask_for_no_growth() {
    let scenario = load();
    let mut answered = results(&scenario, slow(15..20));
    let mut late = strained(&[15, 16, 17, 18, 19]);
    for second in &mut late.saturation {
        second.late_micros = 1_500_000;
    }
    answered.add(0, &late);
    let story = stays("CPUUtilization", 50.0, 3, 45.0);
    assert_eq!(
        told(&scenario, story, &answered),
        (
            Verdict::Inconclusive,
            "no alarm fired, and limits were missed for other reasons than too few instances, or perhaps so".to_owned()
        )
    );
}

/// Makes a story with spikes from 10 s to 20 s and from 30 s to 40 s, before the second of which a
/// user makes the group grow.
fn grown_by_hand(cpu: f64) -> Vec<Observation> {
    let mut launch = activity(25, "Launching a new EC2 instance: i-2", 1, 2);
    if let Observed::Activity(launch) = &mut launch.seen {
        launch.cause = format!(
            "At {} a user request explicitly set group desired capacity changing the desired capacity from 1 to 2.",
            at(25)
        );
    }
    vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        launch,
        group(25, 2, &["i-1"]),
        group(27, 2, &["i-1", "i-2"]),
        group(50, 2, &["i-1", "i-2"]),
        metric("CPUUtilization", cpu),
    ]
}

#[test]
fn growth_by_hand_does_not_stand_for_the_policys_answer() {
    let scenario = levels();
    let quick = results(&scenario, slow(0..0));
    assert_eq!(
        told(&scenario, grown_by_hand(20.0), &quick),
        (
            Verdict::Inconclusive,
            "no alarm asked for it: something else made the group grow, and what its policies would have done was not seen"
                .to_owned()
        )
    );
}

#[test]
fn a_metric_that_is_shown_not_to_see_the_load_fails_although_somebody_made_the_group_grow() {
    let scenario = levels();
    // The second spike holds the limit with two instances: more of them helped.
    let slow = results(&scenario, slow(10..20));
    assert_eq!(
        told(&scenario, grown_by_hand(20.0), &slow),
        (
            Verdict::Failed,
            "limits were missed while CPUUtilization stayed at 20.0 or less, below the alarm's 50.0: the metric does not \
             see this load"
                .to_owned()
        )
    );
    // Near the threshold it does see the load, and the policy should still have asked.
    assert_eq!(
        told(&scenario, grown_by_hand(45.0), &slow),
        (
            Verdict::Failed,
            "limits were missed for 10s while CPUUtilization reached 45.0 of the alarm's 50.0 only: the threshold is too \
             high for this load"
                .to_owned()
        )
    );
}
