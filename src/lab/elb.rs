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
        Some(target(instance, state, group.target.service))
    });
    members("TargetHealthDescriptions", registered)
}

fn target(instance: &LabInstance, state: TargetState, by_address: bool) -> String {
    let (word, reason) = match state {
        TargetState::Initial => ("initial", "Elb.RegistrationInProgress"),
        TargetState::Healthy => ("healthy", ""),
        TargetState::Unhealthy => ("unhealthy", "Target.FailedHealthChecks"),
        TargetState::Draining => ("draining", "Target.DeregistrationInProgress"),
    };
    let reason = if reason.is_empty() {
        String::new()
    } else {
        element("Reason", reason)
    };
    format!(
        "<Target>{}{}{}</Target>{}<TargetHealth>{}{reason}</TargetHealth>",
        element(
            "Id",
            if by_address {
                &instance.address
            } else {
                &instance.id
            }
        ),
        element("Port", "80"),
        element("AvailabilityZone", instance.zone),
        element("HealthCheckPort", "80"),
        element("State", word)
    )
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
