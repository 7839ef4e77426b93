//! Groups, loads and stories for tests of code that reads evidence.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "only tests use it"
)]

use std::time::Duration;

use jiff::Timestamp;

use super::Facts;
use super::timeline::{
    Activity, Alarm, AlarmChange, Balancer, Datapoint, GroupState, Instance, MetricSeries,
    NotScaled, Observation, Observed, Surroundings, TargetGroup, Timeline, series,
};
use model::measure::{
    Cell, InstanceCell, Interval, Key, LatencyHistogram, Results, Saturation, Tally,
};
use model::plan::Schedule;
use model::scenario::{
    LoadPhase, Model, PhaseRole, Scenario, Threshold, ThresholdMetric, ThresholdOperator,
    ThresholdScope, example,
};

/// Makes a scenario of warm-up, sustained, spike and recovery, ten seconds each.
pub fn scenario() -> Scenario {
    let phase = |name: &str, level, role| -> LoadPhase {
        example::phase(name, Model::Rate, level, Duration::from_secs(10), role)
    };
    let phases = vec![
        phase("warm-up", 1.0, PhaseRole::WarmUp),
        phase("sustained", 2.0, PhaseRole::Baseline),
        phase("spike", 10.0, PhaseRole::Spike),
        phase("recovery", 2.0, PhaseRole::Recovery),
    ];
    example::scenario(phases)
}

/// Returns a time in seconds from 12:00:00, when the run starts; `scenario()` jumps at 20 s and
/// falls at 30 s.
pub fn at(second: u32) -> Timestamp {
    "2026-03-01T12:00:00Z"
        .parse::<Timestamp>()
        .unwrap()
        .checked_add(Duration::from_secs(second.into()))
        .unwrap()
}

/// Observes the group `web` of 1 to 4 instances at a second, with these instances in service.
pub fn group(second: u32, desired: u32, in_service: &[&str]) -> Observation {
    let instance = |id: &&str| Instance {
        id: (*id).to_owned(),
        lifecycle: "InService".into(),
        health: "Healthy".to_owned(),
        ..Instance::default()
    };
    let state = GroupState {
        name: "web".to_owned(),
        min: 1,
        max: 4,
        desired,
        default_cooldown: Duration::from_mins(5),
        instances: in_service.iter().map(instance).collect(),
        ..GroupState::default()
    };
    Observation::new(at(second), Observed::Group(state))
}

/// Observes the group while some of its instances leave.
pub fn shrinking(second: u32, in_service: &[&str], leaving: &[&str]) -> Observation {
    let mut look = group(second, in_service.len() as u32, in_service);
    let Observed::Group(state) = &mut look.seen else {
        unreachable!()
    };
    state.instances.extend(leaving.iter().map(|id| Instance {
        id: (*id).to_owned(),
        lifecycle: "Terminating".into(),
        ..Instance::default()
    }));
    look
}

/// Observes an alarm on `CPUUtilization` with periods of one second, at the start and in state OK.
pub fn alarm(name: &str, comparison: &str, threshold: f64, periods: u32) -> Observation {
    let alarm = Alarm {
        name: name.to_owned(),
        state: "OK".into(),
        metric: Some("CPUUtilization".to_owned()),
        comparison: comparison.into(),
        threshold: Some(threshold),
        period: Duration::from_secs(1),
        evaluation_periods: periods,
        ..Alarm::default()
    };
    Observation::new(at(0), Observed::Alarm(alarm))
}

/// Observes an alarm that goes from OK to ALARM on these datapoints, each a second and a value.
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
        from: "OK".into(),
        to: "ALARM".into(),
        datapoints,
    };
    Observation::new(at(second), Observed::AlarmChange(change))
}

/// Observes a successful activity that policy `cpu` caused by its alarm `high` or `low`.
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
        status: "Successful".into(),
        ..Activity::default()
    };
    Observation::new(when, Observed::Activity(activity))
}

/// Observes an alarm that asked a service for a change which Application Auto Scaling did not make.
pub fn not_scaled(second: u32, alarm: &str, why: NotScaled) -> Observation {
    let activity = Activity {
        id: format!("n{second}"),
        description: "Attempting to scale due to alarm triggered".to_owned(),
        cause: format!("monitor alarm {alarm} in state ALARM triggered policy cpu"),
        start: at(second),
        status: "Failed".into(),
        not_scaled: vec![why],
        ..Activity::default()
    };
    Observation::new(at(second), Observed::Activity(activity))
}

/// Makes a story of the spike of `scenario()`: i-2 is launched at 24 s, and i-1 is terminated at 46
/// s.
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

/// Observes the load balancer's count of requests in whole minutes, each by its first second, as
/// read at a second.
pub fn counted(read: u32, minutes: &[(u32, f64)]) -> Observation {
    let points = minutes.iter().map(|(second, value)| Datapoint {
        at: at(*second),
        value: *value,
    });
    let series = MetricSeries {
        name: series::REQUESTS.to_owned(),
        unit: "per minute".to_owned(),
        period: Duration::from_mins(1),
        points: points.collect(),
        alarms: Vec::new(),
    };
    Observation::new(at(read), Observed::Metric(series))
}

/// Makes the surroundings of a group with one target group, whose load balancer routes to so many;
/// `None` if their number was not read.
pub fn behind(target_groups: Option<u32>) -> Surroundings {
    let balancer = Balancer {
        arn: "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/web/1".to_owned(),
        target_groups,
        ..Balancer::default()
    };
    let target_group = TargetGroup {
        balancers: vec![balancer],
        ..TargetGroup::default()
    };
    Surroundings {
        target_groups: vec![target_group],
        ..Surroundings::default()
    }
}

/// Answers in one second: name of the instance (empty for the load balancer), good answers, 5xx
/// answers, latency in milliseconds.
pub type Answers = (&'static str, u64, u64, u64);

/// Makes the results of a run from the answers in each second, given its number and level.
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
            let mut latency = LatencyHistogram::default();
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

/// Makes an interval in which a generator was at its own limit in these seconds.
pub fn strained(seconds: &[u32]) -> Interval {
    let saturation = seconds.iter().map(|second| Saturation {
        second: *second,
        starts: 20,
        late: 20,
        ..Saturation::default()
    });
    Interval {
        saturation: saturation.collect(),
        ..Interval::default()
    }
}

/// Makes a scenario with phases of ten seconds: the level of each, and true for a spike. p95 must
/// stay under 400 ms in all of them.
pub fn phases(levels: &[(f64, bool)]) -> Scenario {
    let ten = Duration::from_secs(10);
    let role = |spike| {
        if spike {
            PhaseRole::Spike
        } else {
            PhaseRole::Baseline
        }
    };
    let phase = |(index, (level, spike)): (usize, &(f64, bool))| {
        example::phase(&format!("p{index}"), Model::Rate, *level, ten, role(*spike))
    };
    let mut scenario = example::scenario(levels.iter().enumerate().map(phase).collect());
    scenario.thresholds = vec![p95(ThresholdScope::EachPhase, 400)];
    scenario
}

/// Makes a threshold on p95 of all requests, without a window.
pub fn p95(scope: ThresholdScope, millis: u64) -> Threshold {
    Threshold {
        text: format!("p95 < {millis}ms"),
        metric: ThresholdMetric::Percentile(95.0),
        of: None,
        comparison: ThresholdOperator::Less,
        limit: millis as f64 * 1_000.0,
        scope,
        within: None,
        abort_after: None,
    }
}

/// Computes the facts of a story without results.
pub fn with_facts<T>(observations: Vec<Observation>, read: impl Fn(&Facts<'_>) -> T) -> T {
    with_load(&scenario(), observations, &Results::default(), read)
}

/// Computes the facts of a story and of the answers to its load.
pub fn with_load<T>(
    scenario: &Scenario,
    observations: Vec<Observation>,
    results: &Results,
    read: impl Fn(&Facts<'_>) -> T,
) -> T {
    let schedule = Schedule::new(scenario);
    let timeline = Timeline { observations };
    read(&Facts::of(
        scenario,
        &schedule,
        results,
        &timeline,
        at(0),
        None,
    ))
}

/// Makes a story with spikes from 10 s to 20 s and from 30 s to 40 s, and the same reaction to
/// each.
pub fn two_spikes() -> Vec<Observation> {
    let mut story = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 5),
    ];
    for (from, id) in [(10, "i-2"), (30, "i-3")] {
        story.extend([
            change(from + 3, "high", &[(from, 90.0), (from + 1, 90.0)]),
            activity(
                from + 3,
                &format!("Launching a new EC2 instance: {id}"),
                1,
                2,
            ),
            group(from + 4, 2, &["i-1"]),
            group(from + 6, 2, &["i-1", id]),
            change(from + 16, "low", &[(from + 11, 5.0)]),
            activity(from + 16, &format!("Terminating EC2 instance: {id}"), 2, 1),
            group(from + 17, 1, &["i-1"]),
        ]);
    }
    story.push(group(60, 1, &["i-1"]));
    story
}

/// Makes the scenario of `two_spikes()`, with two spikes of ten seconds each.
pub fn levels() -> model::scenario::Scenario {
    phases(&[
        (1.0, false),
        (9.0, true),
        (1.0, false),
        (9.0, true),
        (1.0, false),
    ])
}
