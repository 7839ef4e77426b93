//! The load balancer's API over the lab's target.

use super::World;
use super::call::{ApiCall, LabResponse, answer_query, element, members};
use super::clock::{LabInstant, millis};
use super::config::UNHEALTHY_AFTER;
use super::group::{LabGroup, NAME};
use super::ids::{ACCOUNT, REGION};
use super::instance::{LabInstance, TargetState};

/// The `LoadBalancer` dimension of its metrics.
pub(crate) const BALANCER: &str = "app/lab-web/50dc6c495c0c9188";
/// The `TargetGroup` dimension of its metrics.
pub(crate) const TARGET_GROUP: &str = "targetgroup/lab-web/6d0ecf831eec9f09";

pub(crate) fn target_group_arn() -> String {
    format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:{TARGET_GROUP}")
}

pub(crate) fn balancer_arn() -> String {
    format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{BALANCER}")
}

/// Answers the load balancer's actions; `None` for any other action.
pub(crate) fn answer(world: &World, call: &ApiCall) -> Option<LabResponse> {
    let form = call.form();
    let now = world.clock.now();
    let mut group = world.group();
    group.advance(now);
    let result = match call.action.as_str() {
        "DescribeTargetHealth" => health(&group, now),
        "DescribeTargetGroups" => {
            let arns = form.members("TargetGroupArns");
            let names = form.members("Names");
            let of = form.get("LoadBalancerArn");
            let asked = of.is_none_or(|arn| arn == balancer_arn())
                && (arns.is_empty() || arns.contains(&target_group_arn().as_str()))
                && (names.is_empty() || names.contains(&NAME));
            members("TargetGroups", asked.then(|| target_group(&group)))
        }
        "DescribeTargetGroupAttributes" => attributes(&group),
        "DescribeLoadBalancers" => members("LoadBalancers", [balancer(world, group.created)]),
        "DescribeLoadBalancerAttributes" => members("Attributes", []),
        _ => return None,
    };
    Some(answer_query(&call.action, &result))
}

fn health(group: &LabGroup, now: LabInstant) -> String {
    let registered = group.instances.iter().filter_map(|instance| {
        let state = instance.target_state(now)?;
        let own = match group.target.service {
            true => &instance.address,
            false => &instance.id,
        };
        let known = [
            element("Id", own),
            element("Port", "80"),
            element("AvailabilityZone", instance.zone),
        ]
        .concat();
        let told = told(group, instance, state, now);
        Some(format!(
            "<Target>{known}</Target>{}<TargetHealth>{told}</TargetHealth>",
            element("HealthCheckPort", "80")
        ))
    });
    members("TargetHealthDescriptions", registered)
}

/// Returns the state of a target, with its reason in the load balancer's own words.
fn told(group: &LabGroup, instance: &LabInstance, state: TargetState, now: LabInstant) -> String {
    let (word, reason, text) = match state {
        TargetState::Healthy => return element("State", "healthy"),
        TargetState::Initial => (
            "initial",
            "Elb.RegistrationInProgress",
            "Target registration is in progress".to_owned(),
        ),
        TargetState::Draining => (
            "draining",
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress".to_owned(),
        ),
        TargetState::Unhealthy => {
            let (reason, text) = failed_checks(group, instance, now);
            ("unhealthy", reason, text)
        }
    };
    [
        element("State", word),
        element("Reason", reason),
        element("Description", &text),
    ]
    .concat()
}

/// Returns the code and the text for the checks that failed: a status, no answer, or no application.
fn failed_checks(
    group: &LabGroup,
    instance: &LabInstance,
    now: LabInstant,
) -> (&'static str, String) {
    let is_ill = instance.is_ill(now);
    let status = group.target.sick.and_then(|sick| sick.status);
    match status.filter(|_| is_ill) {
        Some(status) => (
            "Target.ResponseCodeMismatch",
            format!("Health checks failed with these codes: [{status}]"),
        ),
        None if is_ill || instance.is_dark(now) => {
            ("Target.Timeout", "Request timed out".to_owned())
        }
        None => (
            "Target.FailedHealthChecks",
            "Health checks failed".to_owned(),
        ),
    }
}

fn target_group(group: &LabGroup) -> String {
    [
        element("TargetGroupArn", &target_group_arn()),
        element("TargetGroupName", NAME),
        element("Protocol", "HTTP"),
        element("Port", "80"),
        element("HealthCheckProtocol", "HTTP"),
        element("HealthCheckEnabled", "true"),
        element(
            "HealthCheckIntervalSeconds",
            &group.target.health_check_interval.as_secs().to_string(),
        ),
        element("HealthyThresholdCount", "1"),
        element("UnhealthyThresholdCount", &UNHEALTHY_AFTER.to_string()),
        element("TargetType", "instance"),
        members("LoadBalancerArns", [balancer_arn()]),
    ]
    .concat()
}

fn attributes(group: &LabGroup) -> String {
    let delay = group.target.deregistration_delay.as_secs().to_string();
    let attributes = [
        ("deregistration_delay.timeout_seconds", delay.as_str()),
        ("slow_start.duration_seconds", "0"),
        (
            "load_balancing.algorithm.type",
            group.target.balancing.word(),
        ),
        ("stickiness.enabled", "false"),
    ];
    members(
        "Attributes",
        attributes.map(|(key, value)| element("Key", key) + &element("Value", value)),
    )
}

fn balancer(world: &World, created: LabInstant) -> String {
    [
        element("LoadBalancerArn", &balancer_arn()),
        element("LoadBalancerName", NAME),
        element("DNSName", world.target_url.trim_start_matches("http://")),
        element("CreatedTime", &millis(created)),
        element("Scheme", "internet-facing"),
        element("Type", "application"),
        format!("<State>{}</State>", element("Code", "active")),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;
    use std::time::Duration;

    /// The first load begins at once, so the sick instance falls ill then.
    fn told_after(keys: &str, seconds: u64) -> Vec<String> {
        let start = LabInstant::from_hours(490_000);
        let text = format!("target: {{ health_check_grace: 1h, {keys} }}");
        let mut group = LabGroup::new(&Config::parse(&text).unwrap(), start);
        for request in 0..5 {
            group.route(start + Duration::from_millis(request), "/", None);
        }
        let now = start + Duration::from_secs(seconds);
        group.advance(now);
        let known = group.instances.iter();
        known
            .filter_map(|one| Some(told(&group, one, one.target_state(now)?, now)))
            .collect()
    }

    #[test]
    fn the_reason_of_failed_checks_is_that_of_the_symptom() {
        let healthy = "<State>healthy</State>";
        let unhealthy = |reason: &str, text: &str| {
            format!(
                "<State>unhealthy</State><Reason>{reason}</Reason><Description>{text}</Description>"
            )
        };
        for (sick, reason, text) in [
            (
                "status: 503",
                "Target.ResponseCodeMismatch",
                "Health checks failed with these codes: [503]",
            ),
            ("slow: 9s", "Target.Timeout", "Request timed out"),
        ] {
            let keys = format!("sick: {{ instance: 2, {sick}, fails_checks: true }}");
            assert_eq!(told_after(&keys, 1), [healthy, healthy], "{sick}");
            let told = told_after(&keys, 3);
            assert_eq!(
                told,
                [healthy.to_owned(), unhealthy(reason, text)],
                "{sick}"
            );
            let passes = format!("sick: {{ instance: 2, {sick} }}");
            assert_eq!(told_after(&passes, 3), [healthy, healthy], "{sick}");
        }
    }
}
