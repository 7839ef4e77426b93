//! Tests that a snippet repeats whatever its change leaves alone.

use std::time::Duration;

use super::super::tests::{evidence, seen};
use super::super::{Change, Reaction, ran};
use super::terraform;
use evidence::Timeline;
use evidence::timeline::{MathQuery, Observed, OwnMetric, Policy, StepAdjustment, TrackedMetric};

/// Returns the snippet for the story's group, with a policy of one's own.
fn snippet(kind: &str, edit: impl Fn(&mut Policy), change: &Change) -> String {
    of_timeline(kind, edit, |_| {}, change)
}

fn of_timeline(
    kind: &str,
    edit: impl Fn(&mut Policy),
    edit_all: impl Fn(&mut Observed),
    change: &Change,
) -> String {
    let (mut timeline, seconds): (Timeline, _) = seen(kind);
    for one in &mut timeline.observations {
        if let Observed::Policy(policy) = &mut one.seen {
            edit(policy);
        }
        edit_all(&mut one.seen);
    }
    let reaction = Reaction::default();
    let ran = ran(&timeline).unwrap();
    terraform(change, &evidence(&timeline, &seconds, &reaction), &ran).unwrap()
}

fn own() -> OwnMetric {
    OwnMetric {
        namespace: "Shop".to_owned(),
        metric: "Backlog".to_owned(),
        statistic: Some("Maximum".to_owned()),
        unit: Some("Count".to_owned()),
        period: Some(Duration::from_secs(30)),
        dimensions: vec![("queue".to_owned(), "orders".to_owned())],
    }
}

fn math() -> TrackedMetric {
    let stat = MathQuery {
        id: "backlog".to_owned(),
        namespace: Some("Shop".to_owned()),
        metric: Some("Backlog".to_owned()),
        statistic: Some("p90".to_owned()),
        unit: Some("Count".to_owned()),
        label: Some("orders that wait".to_owned()),
        dimensions: vec![("queue".to_owned(), "orders".to_owned())],
        period: Some(Duration::from_mins(1)),
        ..MathQuery::default()
    };
    let each = MathQuery {
        id: "each".to_owned(),
        expression: Some("backlog / 4".to_owned()),
        period: Some(Duration::from_mins(1)),
        returned: true,
        ..MathQuery::default()
    };
    TrackedMetric::Math(vec![stat, each])
}

const TARGET: Change = Change::Target { target: 30.0 };

fn has_all(text: &str, lines: &[&str]) {
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in lines {
        assert!(squeezed.contains(line), "no {line} in:\n{text}");
    }
}

#[test]
fn a_new_target_keeps_scale_in_off_warm_up_and_the_whole_metric() {
    let text = snippet(
        "TargetTrackingScaling",
        |policy| {
            policy.scale_in_disabled = true;
            policy.tracked = Some(TrackedMetric::Own(own()));
        },
        &TARGET,
    );
    insta::assert_snapshot!(text);
    let of_requests = snippet(
        "TargetTrackingScaling",
        |policy| {
            policy.tracked = Some(TrackedMetric::Predefined {
                name: "ALBRequestCountPerTarget".to_owned(),
                label: Some("app/web/1/targetgroup/web/2".to_owned()),
            });
        },
        &TARGET,
    );
    has_all(
        &of_requests,
        &[
            "predefined_metric_type = \"ALBRequestCountPerTarget\"",
            "resource_label = \"app/web/1/targetgroup/web/2\"",
            "estimated_instance_warmup = 3",
        ],
    );
    assert!(!of_requests.contains("disable_scale_in"), "{of_requests}");
}

#[test]
fn metric_math_is_written_again_whole_and_what_has_no_place_is_said() {
    let text = snippet(
        "TargetTrackingScaling",
        |policy| policy.tracked = Some(math()),
        &TARGET,
    );
    insta::assert_snapshot!(text);
    let faster = snippet(
        "TargetTrackingScaling",
        |policy| policy.tracked = Some(TrackedMetric::Own(own())),
        &Change::Period {
            period: Duration::from_secs(10),
        },
    );
    has_all(&faster, &["target_value = 50", "period = 10"]);
}

#[test]
fn a_services_policy_keeps_its_cooldowns_and_its_scalable_target() {
    let service = |one: &mut Observed| {
        if let Observed::Group(group) = one {
            (group.is_service, group.name) = (true, "shop/web".to_owned());
        }
    };
    let cooldowns = |policy: &mut Policy| {
        policy.warm_up = None;
        policy.scale_in_disabled = true;
        policy.cooldown = Some(Duration::from_mins(2));
        policy.out_cooldown = Some(Duration::from_secs(30));
        policy.tracked = Some(math());
    };
    let text = of_timeline("TargetTrackingScaling", cooldowns, service, &TARGET);
    insta::assert_snapshot!(text);
    let step = Change::Step {
        threshold: 75.0,
        add: 3,
    };
    let text = of_timeline("TargetTrackingScaling", cooldowns, service, &step);
    has_all(
        &text,
        &[
            "cooldown = 30",
            "resource_id = \"service/shop/web\"",
            "scalable_dimension = \"ecs:service:DesiredCount\"",
        ],
    );
}

fn steps(policy: &mut Policy) {
    policy.adjustment = Some("PercentChangeInCapacity".to_owned());
    policy.least = Some(2);
    policy.aggregation = Some("Maximum".to_owned());
    policy.warm_up = Some(Duration::from_mins(5));
    let step = |lower, upper, change| StepAdjustment {
        lower,
        upper,
        change,
    };
    policy.steps = vec![step(Some(0.0), Some(20.0), 25), step(Some(20.0), None, 50)];
}

#[test]
fn a_shorter_warm_up_of_a_step_policy_keeps_its_steps() {
    let change = Change::WarmUp {
        warm_up: Duration::from_secs(40),
    };
    insta::assert_snapshot!(snippet("StepScaling", steps, &change));
}

#[test]
fn a_warm_up_that_is_the_groups_is_changed_in_the_group() {
    let change = Change::WarmUp {
        warm_up: Duration::from_secs(40),
    };
    let text = snippet(
        "TargetTrackingScaling",
        |policy| policy.warm_up = None,
        &change,
    );
    assert!(
        text.lines().all(|line| line.starts_with('#'))
            && text.contains("default_instance_warmup = 40"),
        "{text}"
    );
    let own = snippet(
        "TargetTrackingScaling",
        |policy| policy.warm_up = Some(Duration::from_mins(5)),
        &change,
    );
    has_all(
        &own,
        &["estimated_instance_warmup = 40", "target_value = 50"],
    );
    assert!(!own.contains("default_instance_warmup"), "{own}");
}

#[test]
fn what_target_tracking_has_no_place_for_is_said() {
    let text = snippet("StepScaling", steps, &TARGET);
    has_all(
        &text,
        &[
            "# Target tracking has no place for the 2 steps and min_adjustment_magnitude = 2 of policy \"web-cpu\".",
            "estimated_instance_warmup = 300",
        ],
    );
    let simple = |policy: &mut Policy| {
        policy.change = Some(2);
        policy.cooldown = Some(Duration::from_secs(90));
    };
    has_all(
        &snippet("SimpleScaling", simple, &TARGET),
        &["no place for scaling_adjustment = 2 and cooldown = 90 of policy"],
    );
}

#[test]
fn an_alarm_beside_the_policy_sees_what_its_alarm_sees() {
    let step = Change::Step {
        threshold: 75.0,
        add: 3,
    };
    let percentile = |one: &mut Observed| {
        if let Observed::Alarm(alarm) = one {
            alarm.statistic = Some("p90".to_owned());
            alarm.unit = Some("Percent".to_owned());
            alarm.missing = "notBreaching".to_owned();
        }
    };
    let text = of_timeline("TargetTrackingScaling", |_| {}, percentile, &step);
    has_all(
        &text,
        &[
            "extended_statistic = \"p90\"",
            "unit = \"Percent\"",
            "treat_missing_data = \"notBreaching\"",
            "estimated_instance_warmup = 3",
        ],
    );
    let of_math = |one: &mut Observed| {
        if let (Observed::Alarm(alarm), TrackedMetric::Math(queries)) = (one, math()) {
            alarm.math = queries;
        }
    };
    insta::assert_snapshot!(of_timeline("TargetTrackingScaling", |_| {}, of_math, &step));
}
