//! Tests the advice on a run whose every moment is known: the group is the model itself, seen
//! through a timeline.

use super::*;
use crate::report::words;
use evidence::timeline::{
    Activity, Balancer, Datapoint, GroupState, Instance, MetricSeries, Observation, Observed,
    Surroundings, TargetGroup, series,
};
use evidence::{Clue, Confidence};
use model::scaling::replay::{self, Follows, InstanceLimits, Setting};
use model::scaling::{Bounds, alarm};

const SERVICE: InstanceLimits = InstanceLimits {
    at_limit: 200.0,
    saturated: 200.0,
    queue: Duration::from_secs(1),
};

pub(super) fn at(second: usize) -> Timestamp {
    let start = "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap();
    start
        .checked_add(Duration::from_secs(second as u64))
        .unwrap()
}

/// Ten calm seconds, a spike of half a minute, and 40 calm seconds.
fn load() -> Vec<f64> {
    [vec![120.0; 10], vec![560.0; 30], vec![120.0; 40]].concat()
}

fn alarm(name: &str, comparison: &str, threshold: f64, periods: u32) -> Observed {
    Observed::Alarm(Alarm {
        name: name.to_owned(),
        state: "OK".into(),
        state_since: None,
        namespace: Some("AWS/EC2".to_owned()),
        metric: Some("CPUUtilization".to_owned()),
        statistic: Some("Average".to_owned()),
        dimensions: vec![("AutoScalingGroupName".to_owned(), "web".to_owned())],
        comparison: comparison.into(),
        threshold: Some(threshold),
        period: Duration::from_secs(1),
        evaluation_periods: periods,
        datapoints_to_alarm: None,
        ..Alarm::default()
    })
}

fn group(desired: u32, serving: u32) -> Observed {
    let instances = (0..serving)
        .map(|index| Instance {
            id: format!("i-{index}"),
            lifecycle: "InService".into(),
            health: "Healthy".to_owned(),
            zone: "a".to_owned(),
            ..Instance::default()
        })
        .collect();
    Observed::Group(GroupState {
        name: "web".to_owned(),
        min: 2,
        max: 8,
        desired,
        default_cooldown: Duration::from_mins(5),
        default_warm_up: None,
        instances,
        target_groups: vec![],
        suspended: vec![],
        ..GroupState::default()
    })
}

/// Makes the timeline and the load of a run on a group that follows the model.
pub(super) fn seen(kind: &str) -> (Timeline, Vec<Second>) {
    seen_of(kind, 8, load())
}

/// Makes a run on a group that its maximum of three holds back: the load needs five instances.
pub(super) fn pinned() -> (Timeline, Vec<Second>) {
    let (mut timeline, seconds) = seen_of(
        "TargetTrackingScaling",
        3,
        [vec![300.0; 20], vec![900.0; 40], vec![300.0; 40]].concat(),
    );
    for one in &mut timeline.observations {
        if let Observed::Group(group) = &mut one.seen {
            group.max = 3;
        }
    }
    (timeline, seconds)
}

fn seen_of(kind: &str, max: u32, load: Vec<f64>) -> (Timeline, Vec<Second>) {
    seen_with(kind, max, load, Duration::from_secs(3))
}

#[expect(clippy::too_many_lines, reason = "the whole of what a run shows")]
fn seen_with(kind: &str, max: u32, load: Vec<f64>, warm_up: Duration) -> (Timeline, Vec<Second>) {
    let setting = Setting {
        policies: vec![Follows {
            rule: Rule::Tracking {
                tracking: TargetTracking::new(50.0),
                scale_in: true,
            },
            per_request: 0.5,
            ceiling: Some(100.0),
            per_target: false,
            period: Duration::from_secs(1),
            lag: Duration::ZERO,
            alarm: alarm::AlarmModel::new(alarm::BreachRule::Above, 50.0, 3),
            low: Some(alarm::AlarmModel::new(alarm::BreachRule::Below, 45.0, 15)),
            cooldowns: None,
        }],
        bounds: Bounds { min: 2, max },
        initial: 2,
        into_period: Duration::ZERO,
        launch: Duration::ZERO,
        boot: Duration::from_secs(3),
        health: Duration::ZERO,
        warm_up,
        drain: Duration::ZERO,
        scheduled: None,
    };
    let ran = replay::replay(&load, &SERVICE, &setting);
    let policy = Policy {
        name: "web-cpu".to_owned(),
        kind: kind.into(),
        target_value: (kind == "TargetTrackingScaling").then_some(50.0),
        scale_in_disabled: false,
        warm_up: Some(warm_up),
        mode: (kind == "PredictiveScaling").then(|| "ForecastAndScale".into()),
        alarms: vec!["high".to_owned(), "low".to_owned()],
        ..Policy::default()
    };
    let mut found = vec![
        (0, Observed::Policy(policy)),
        (0, alarm("high", "GreaterThanThreshold", 50.0, 3)),
        (0, alarm("low", "LessThanThreshold", 45.0, 15)),
    ];
    let (mut seconds, mut points) = (Vec::new(), Vec::new());
    for (second, demand) in load.iter().enumerate() {
        let (desired, serving) = (ran.desired[second], ran.serving[second]);
        for index in ran.desired[second.saturating_sub(1)]..desired {
            found.push((
                second,
                Observed::Activity(Activity {
                    id: format!("a-{second}-{index}"),
                    description: format!("Launching a new EC2 instance: i-{index}"),
                    cause: "increasing the capacity from 2 to 4".to_owned(),
                    start: at(second),
                    end: None,
                    status: "Successful".into(),
                    message: None,
                    details: None,
                    ..Activity::default()
                }),
            ));
        }
        found.push((second, group(desired, serving)));
        let each = demand / f64::from(serving);
        let ok = demand.min(f64::from(serving) * SERVICE.saturated);
        let p95 = if each > SERVICE.at_limit {
            1_000_000
        } else {
            22_000
        };
        seconds.push(Second {
            demand: *demand,
            others: 0.0,
            ok: ok as u64,
            errors: (demand - ok) as u64,
            constant: 0,
            p95: Some(p95),
            pooled: false,
        });
        points.push(Datapoint {
            at: at(second),
            value: (each * 0.5).min(100.0),
        });
    }
    let name = "policy metric CPUUtilization".to_owned();
    let series = MetricSeries {
        name,
        unit: String::new(),
        period: Duration::from_secs(1),
        points,
        alarms: vec![],
    };
    found.push((load.len(), Observed::Metric(series)));
    let observations = found
        .into_iter()
        .map(|(second, seen)| Observation::new(at(second), seen))
        .collect();
    (Timeline { observations }, seconds)
}

pub(super) fn evidence<'a>(
    timeline: &'a Timeline,
    seconds: &'a [Second],
    reaction: &'a Reaction,
) -> Evidence<'a> {
    Evidence {
        seconds,
        open: true,
        timeline,
        reaction,
        started: at(0),
        spike: Some((10, 40)),
        limit: Limit {
            p95: Duration::from_millis(200),
            asked: true,
        },
        instance_price: Some(0.6),
        weakness: None,
        fresh: None,
        fresh_passed: false,
        hypotheses: &[],
        draining: None,
    }
}

pub(super) fn advised_on((timeline, seconds): (Timeline, Vec<Second>)) -> Advice {
    let reaction = Reaction {
        desired_before: 2,
        max: 3,
        ..Reaction::default()
    };
    let evidence = Evidence {
        spike: Some((20, 60)),
        ..evidence(&timeline, &seconds, &reaction)
    };
    advise(&evidence, None)
}

fn advised(kind: &str, what_if: Option<&WhatIf>) -> Advice {
    let (timeline, seconds) = seen(kind);
    let reaction = Reaction {
        desired_before: 2,
        max: 8,
        ..Reaction::default()
    };
    advise(&evidence(&timeline, &seconds, &reaction), what_if)
}

#[test]
fn a_run_gives_back_what_was_put_into_it_and_the_cheapest_policy_that_holds() {
    let what_if = WhatIf::parse("min=3").unwrap();
    let advice = words::advice(advised("TargetTrackingScaling", Some(&what_if)));
    let (capacity, metric) = (advice.capacity.unwrap(), advice.metric.unwrap());
    assert!(
        (capacity.at_limit - 200.0).abs() < 1.0 && capacity.confidence == Confidence::Medium,
        "{capacity:?}"
    );
    assert!((metric.per_request - 0.5).abs() < 0.01, "{metric:?}");
    assert!(
        advice.agreement.unwrap().share() > 0.95,
        "{:?}",
        advice.agreement
    );
    let row = |name: &str| {
        advice
            .candidates
            .iter()
            .find(|one| one.name == name)
            .unwrap()
            .clone()
    };
    assert!(
        row("as it is").over_limit >= 6 && row("as it is").errors > 300,
        "{:?}",
        row("as it is")
    );
    let standing = "it costs up to 24 instance-hours ($14.40) a day more than the minimum of 2";
    assert!(
        row("minimum 3")
            .assumes
            .is_some_and(|assumes| assumes.ends_with(standing)),
        "{:?}",
        row("minimum 3")
    );
    let best = advice
        .candidates
        .iter()
        .find(|one| one.recommended)
        .unwrap();
    assert!(
        best.assumes.is_none() && best.errors * 2 <= row("as it is").errors,
        "{best:?}"
    );
    assert_eq!(
        (row("minimum 3").over_limit, row("minimum 3").errors),
        (0, 0)
    );
    assert_eq!(
        row("what if: min 3").instance_minutes,
        row("minimum 3").instance_minutes
    );
    let minimum = row("minimum 3");
    assert!(
        (minimum.usd.unwrap() - minimum.instance_minutes * 0.01).abs() < 1e-9,
        "{minimum:?}"
    );
    assert!(
        advice
            .snippet
            .unwrap()
            .contains("# Beside the policy that is there"),
        "{best:?}"
    );
    let elasticity = advice.elasticity.unwrap();
    assert!(
        elasticity.timeshare_under > 0.05 && elasticity.timeshare_over > 0.3,
        "{elasticity:?}"
    );
}

/// The group holds the limit all the time. Its warm-up alone keeps the third instance long after the
/// spike, so only a shorter one is cheaper.
#[test]
fn a_warm_up_longer_than_the_start_has_a_shorter_one_beside_it() {
    let load = [vec![120.0; 10], vec![300.0; 30], vec![120.0; 80]].concat();
    let rows = |warm_up: u64| {
        let warm_up = Duration::from_secs(warm_up);
        let (timeline, seconds) = seen_with("TargetTrackingScaling", 8, load.clone(), warm_up);
        let launched = evidence::Launched {
            id: "i-2".to_owned(),
            launched: evidence::Sighting::exact(at(13)),
            why: evidence::instances::LaunchReason::Grew,
            in_service: Some(evidence::Sighting::exact(at(16))),
            healthy: Some(evidence::Sighting::exact(at(16))),
            first_answer: None,
        };
        let reaction = Reaction {
            desired_before: 2,
            max: 8,
            launched: vec![launched],
            ..Reaction::default()
        };
        words::advice(advise(&evidence(&timeline, &seconds, &reaction), None)).candidates
    };
    let long = rows(90);
    let best = long.iter().find(|one| one.recommended).unwrap();
    let warm_up = Duration::from_secs(1);
    assert_eq!(
        (best.name.as_str(), &best.change),
        ("warm-up 1s", &Change::WarmUp { warm_up })
    );
    let now = &long[0];
    assert_eq!((best.over_limit, now.over_limit), (0, 0));
    // The third instance leaves 15 s after the spike, not 90 s after its start.
    let saved = (now.instance_minutes - best.instance_minutes) * 60.0;
    assert!((40.0..=60.0).contains(&saved), "{best:?} {now:?}");
    let fits = rows(3);
    assert!(
        fits.iter().all(|one| !one.name.starts_with("warm-up")),
        "{fits:?}"
    );
}

#[test]
fn a_load_shorter_than_the_alarms_window_proves_nothing_of_a_row() {
    let what_if = WhatIf::parse("period=60s,datapoints=3").unwrap();
    let advice = words::advice(advised("TargetTrackingScaling", Some(&what_if)));
    let row = advice.candidates.last().unwrap();
    let said =
        "the alarm's window of 3m: the recorded one of 1m20s is not, so this row proves nothing";
    assert!(
        row.assumes
            .as_ref()
            .is_some_and(|assumes| assumes.contains(said)),
        "{row:?}"
    );
}

#[test]
fn a_policy_without_a_cooldown_waits_for_the_groups() {
    let (mut timeline, _) = seen("SimpleScaling");
    for one in &mut timeline.observations {
        match &mut one.seen {
            Observed::Group(group) => group.default_cooldown = Duration::from_secs(40),
            Observed::Policy(policy) => policy.change = Some(1),
            _ => {}
        }
    }
    let ran = ran(&timeline).unwrap();
    let rule = &ran.lead().unwrap().rule;
    assert!(
        matches!(rule, Rule::Simple { cooldown, .. } if *cooldown == Duration::from_secs(40)),
        "{rule:?}"
    );
}

#[test]
fn the_price_of_the_groups_type_is_taken_where_none_is_given() {
    let (mut timeline, seconds) = seen("TargetTrackingScaling");
    for one in &mut timeline.observations {
        if let Observed::Group(group) = &mut one.seen {
            group
                .instances
                .iter_mut()
                .for_each(|instance| instance.kind = "t3.medium".to_owned());
        }
    }
    let reaction = Reaction {
        desired_before: 2,
        max: 8,
        ..Reaction::default()
    };
    let advice = advise(
        &Evidence {
            instance_price: None,
            ..evidence(&timeline, &seconds, &reaction)
        },
        None,
    );
    let (now, price) = (&advice.candidates[0], advice.price.clone().unwrap());
    assert!(
        (now.usd.unwrap() - now.instance_minutes * 0.0416 / 60.0).abs() < 1e-9,
        "{now:?}"
    );
    let listed = evidence::price::PriceSource::Instance {
        kind: "t3.medium".to_owned(),
        date: "2026-06",
    };
    assert_eq!(price.source, listed);
    assert_eq!(
        evidence::price::listed(&timeline, 30.0).map(|(usd, date)| (usd.to_string(), date)),
        Some(("$0.021".to_owned(), "2026-06"))
    );
    assert_eq!(
        advise(&evidence(&timeline, &seconds, &reaction), None)
            .price
            .unwrap()
            .usd,
        0.6,
        "one's own wins"
    );
}

#[test]
fn every_setting_is_answered_for_or_told_what_would() {
    let asked = [
        "What should the target value be?",
        "What should the warm-up be?",
        "What should the cooldown be?",
        "How large should the steps be?",
        "What should min and max be?",
    ];
    let advice = words::advice(advised("TargetTrackingScaling", None));
    for question in asked {
        let found = advice.answers.iter().find(|one| one.question == question);
        assert!(
            found.is_some_and(|one| !one.evidence.is_empty()),
            "{question}: {found:?}"
        );
    }
}

#[test]
fn a_load_that_was_cut_short_makes_everything_less_sure() {
    let (timeline, seconds) = seen("TargetTrackingScaling");
    let reaction = Reaction {
        desired_before: 2,
        max: 8,
        ..Reaction::default()
    };
    let cut = Evidence {
        weakness: Some(Weakness::CutShort {
            ran_s: Duration::from_secs(20).into(),
            planned_s: Duration::from_secs(80).into(),
        }),
        ..evidence(&timeline, &seconds, &reaction)
    };
    let capacity = advise(&cut, None).capacity.unwrap();
    assert_eq!(
        (
            capacity.confidence,
            words::capacity(&capacity).ends_with("; the load was cut short after 20s of 1m20s")
        ),
        (Confidence::Low, true)
    );
}

#[test]
fn what_cannot_be_replayed_is_said_and_the_rest_is_answered() {
    let advice = words::advice(advised("PredictiveScaling", None));
    assert!(advice.candidates.is_empty() && advice.snippet.is_none());
    assert!(
        advice
            .no_candidates
            .unwrap()
            .contains("a forecast of its own")
    );
    assert!(
        advice
            .answers
            .iter()
            .any(|answer| answer.question.starts_with("What does one instance carry"))
    );
    let change = advice
        .answers
        .iter()
        .find(|answer| answer.topic == Topic::Change)
        .unwrap();
    assert_eq!(
        (change.answer.as_str(), change.confidence),
        ("This run cannot tell.", Confidence::Low)
    );
}

#[test]
fn every_change_is_terraform_with_the_groups_and_policys_own_names() {
    let (timeline, seconds) = seen("TargetTrackingScaling");
    let reaction = Reaction::default();
    let evidence = evidence(&timeline, &seconds, &reaction);
    let ran = ran(&timeline).unwrap();
    let mut all = String::new();
    for change in [
        Change::Target { target: 30.0 },
        Change::Period {
            period: Duration::from_secs(10),
        },
        Change::Step {
            threshold: 75.0,
            add: 3,
        },
        Change::Minimum { min: 3 },
        Change::WarmPool {
            boot: Duration::from_secs(10),
        },
        Change::Scheduled {
            from: Duration::ZERO,
            until: Duration::from_secs(9),
            min: 4,
        },
        Change::Maximum {
            max: 12,
            with: None,
        },
        Change::Maximum {
            max: 12,
            with: Some(Box::new(Change::Target { target: 30.0 })),
        },
    ] {
        all += &format!(
            "# {change:?}\n{}\n",
            snippet::terraform(&change, &evidence, &ran).unwrap()
        );
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_follows_metric_math_keeps_its_expression() {
    let (mut timeline, seconds) = seen("TargetTrackingScaling");
    for one in &mut timeline.observations {
        if let Observed::Alarm(alarm) = &mut one.seen {
            alarm.math = vec![evidence::timeline::MathQuery {
                id: "m1".to_owned(),
                ..Default::default()
            }];
        }
    }
    let reaction = Reaction::default();
    let evidence = evidence(&timeline, &seconds, &reaction);
    let ran = ran(&timeline).unwrap();
    let text = snippet::terraform(&Change::Target { target: 30.0 }, &evidence, &ran).unwrap();
    assert!(
        text.lines().all(|line| line.starts_with('#')) && text.contains("target_value = 30"),
        "{text}"
    );
}

#[test]
fn a_services_changes_are_in_the_words_of_application_auto_scaling() {
    let (mut timeline, seconds) = seen("TargetTrackingScaling");
    for one in &mut timeline.observations {
        match &mut one.seen {
            Observed::Group(group) => {
                (group.is_service, group.name) = (true, "shop/web".to_owned());
            }
            Observed::Alarm(alarm) => alarm.namespace = Some("AWS/ECS".to_owned()),
            _ => {}
        }
    }
    let reaction = Reaction::default();
    let evidence = evidence(&timeline, &seconds, &reaction);
    let ran = ran(&timeline).unwrap();
    let mut all = String::new();
    for change in [
        Change::Target { target: 30.0 },
        Change::Step {
            threshold: 75.0,
            add: 3,
        },
        Change::Minimum { min: 3 },
        Change::Scheduled {
            from: Duration::ZERO,
            until: Duration::from_secs(9),
            min: 4,
        },
        Change::Maximum {
            max: 12,
            with: None,
        },
        Change::Maximum {
            max: 12,
            with: Some(Box::new(Change::Target { target: 30.0 })),
        },
    ] {
        all += &format!(
            "# {change:?}\n{}\n",
            snippet::terraform(&change, &evidence, &ran).unwrap()
        );
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_policy_on_the_requests_of_each_target_is_offered_only_if_these_saw_the_load() {
    let (mut timeline, seconds) = seen("TargetTrackingScaling");
    let arn = |rest: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:123456789012:{rest}");
    let balancer = Balancer {
        arn: arn("loadbalancer/app/web/50dc6c495c0c9188"),
        ..Balancer::default()
    };
    let surroundings = Surroundings {
        target_groups: vec![TargetGroup {
            arn: arn("targetgroup/web/73e2d6bc24d8a067"),
            balancers: vec![balancer],
            ..TargetGroup::default()
        }],
        ..Surroundings::default()
    };
    let seen = Observation::new(at(0), Observed::Surroundings(surroundings));
    timeline.observations.push(seen);
    let reaction = Reaction {
        desired_before: 2,
        max: 8,
        ..Reaction::default()
    };
    let snippet = |metric: &str| {
        let hypotheses = [Hypothesis {
            suspect: Suspect::BlindMetric,
            standing: evidence::Standing::Holds,
            pro: vec![Clue::WouldHaveSeen {
                metric: metric.to_owned(),
                before: 20.0,
                during: 80.0,
            }],
            against: Vec::new(),
            seconds: Vec::new(),
            tells: None,
            because: String::new(),
        }];
        let evidence = Evidence {
            hypotheses: &hypotheses,
            ..evidence(&timeline, &seconds, &reaction)
        };
        advise(&evidence, None).snippet
    };
    let requests = snippet("RequestCountPerTarget").unwrap();
    assert!(
        requests.contains("predefined_metric_type = \"ALBRequestCountPerTarget\""),
        "{requests}"
    );
    assert_eq!(snippet(series::ACTIVE_CONNECTIONS), None);
}
