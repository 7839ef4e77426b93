//! Auto Scaling's API over the lab's group, as far as a watcher needs it.

use std::time::Duration;

use super::World;
use super::call::{
    ApiCall, ApiError, LabResponse, QueryParameters, answer_query, element, members,
};
use super::clock::{LabInstant, millis};
use super::config::PolicyMetric;
use super::elb;
use super::group::{LabGroup, NAME};
use super::ids::{ACCOUNT, REGION};
use super::instance::{LabActivity, LabInstance, TargetState};
use super::live_policy::LivePolicy;
use super::reconfigure;
use model::scaling::policies::Rule;

pub(crate) fn policy_arn(policy: &str) -> String {
    format!(
        "arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:5b1c3c4e-0000-4000-8000-000000000001:\
         autoScalingGroupName/{NAME}:policyName/{policy}"
    )
}

/// Answers Auto Scaling's actions; `None` for any other action.
pub(crate) fn answer(world: &World, call: &ApiCall) -> Option<LabResponse> {
    let form = call.form();
    let now = world.clock.now();
    let mut group = world.group();
    group.advance(now);
    if group.is_deleted(now) && call.action != "DescribeAutoScalingGroups" {
        let gone = ApiError::new(
            "ValidationError",
            format!("AutoScalingGroup name not found - no such group: {NAME}"),
        );
        return Some(call.refuse(&gone));
    }
    let changed = match call.action.as_str() {
        "PutScalingPolicy" => Some(reconfigure::put_policy(&mut group, &form, now)),
        "UpdateAutoScalingGroup" => Some(reconfigure::update(&mut group, &form, now)),
        _ => None,
    };
    if let Some(changed) = changed {
        let answered = |result: String| answer_query(&call.action, &result);
        return Some(changed.map_or_else(|refused| call.refuse(&refused), answered));
    }
    let result = match call.action.as_str() {
        "DescribeAutoScalingGroups" => groups(&group, &form, now),
        "DescribeAutoScalingInstances" => members("AutoScalingInstances", []),
        "DescribePolicies" => policies(&group, &form),
        "DescribeScalingActivities" => activities(&group, &form, now),
        "DescribeLifecycleHooks" => members("LifecycleHooks", []),
        "DescribeWarmPool" => warm_pool(&group),
        "DescribeScheduledActions" => members("ScheduledUpdateGroupActions", []),
        "DescribeInstanceRefreshes" => members("InstanceRefreshes", []),
        "DescribeTrafficSources" => members("TrafficSources", []),
        _ => return None,
    };
    Some(answer_query(&call.action, &result))
}

fn is_asked(form: &QueryParameters, list: &str) -> bool {
    let names = form.members(list);
    names.is_empty() || names.contains(&NAME)
}

fn groups(group: &LabGroup, form: &QueryParameters, now: LabInstant) -> String {
    let there = !group.is_deleted(now) && !group.target.service;
    let asked = is_asked(form, "AutoScalingGroupNames") && there;
    members("AutoScalingGroups", asked.then(|| describe(group, now)))
}

fn describe(group: &LabGroup, now: LabInstant) -> String {
    let arn = format!(
        "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:5b1c3c4e-0000-4000-8000-000000000000:\
         autoScalingGroupName/{NAME}"
    );
    [
        element("AutoScalingGroupName", NAME),
        element("AutoScalingGroupARN", &arn),
        element("MinSize", &group.target.min.to_string()),
        element("MaxSize", &group.target.max.to_string()),
        element("DesiredCapacity", &group.desired.to_string()),
        element(
            "DefaultCooldown",
            &group.target.default_cooldown.as_secs().to_string(),
        ),
        warm_up(group, "DefaultInstanceWarmup", group.warm_up()),
        members(
            "AvailabilityZones",
            ["a", "b", "c"].map(|zone| format!("{REGION}{zone}")),
        ),
        members("TargetGroupARNs", [elb::target_group_arn()]),
        element("HealthCheckType", "ELB"),
        element(
            "HealthCheckGracePeriod",
            &group.target.health_check_grace.as_secs().to_string(),
        ),
        template(group),
        members(
            "Instances",
            group
                .instances
                .iter()
                .map(|instance| describe_instance(group, instance, now)),
        ),
        element("CreatedTime", &millis(group.created)),
        members(
            "SuspendedProcesses",
            group
                .target
                .suspended
                .iter()
                .map(|name| element("ProcessName", name)),
        ),
        members("TerminationPolicies", ["Default".to_owned()]),
        members(
            "Tags",
            group.target.tags.iter().map(|(key, value)| {
                element("ResourceId", NAME) + &element("Key", key) + &element("Value", value)
            }),
        ),
        element(
            "NewInstancesProtectedFromScaleIn",
            &group.target.protected.to_string(),
        ),
        match group.target.warm_pool {
            0 => String::new(),
            _ => format!(
                "<WarmPoolConfiguration>{}</WarmPoolConfiguration>",
                element("PoolState", "Stopped")
            ),
        },
        members(
            "EnabledMetrics",
            ["GroupDesiredCapacity", "GroupInServiceInstances"]
                .map(|metric| element("Metric", metric) + &element("Granularity", "1Minute")),
        ),
    ]
    .concat()
}

/// Returns the launch template, within a policy of mixed instances if there are several types.
fn template(group: &LabGroup) -> String {
    let own = launch_template();
    let types = &group.target.types;
    if types.is_empty() {
        return format!("<LaunchTemplate>{own}</LaunchTemplate>");
    }
    let overrides = types.iter().map(|one| element("InstanceType", &one.kind));
    format!(
        "<MixedInstancesPolicy><LaunchTemplate><LaunchTemplateSpecification>{own}</LaunchTemplateSpecification>{}\
         </LaunchTemplate></MixedInstancesPolicy>",
        members("Overrides", overrides)
    )
}

fn launch_template() -> String {
    [
        element("LaunchTemplateId", "lt-0lab"),
        element("LaunchTemplateName", NAME),
        element("Version", "1"),
    ]
    .concat()
}

fn warm_pool(group: &LabGroup) -> String {
    let waiting = (0..group.pooled).map(|index| {
        [
            element("InstanceId", &format!("i-pool{index}")),
            element("AvailabilityZone", &format!("{REGION}a")),
            element("LifecycleState", "Warmed:Stopped"),
            element("HealthStatus", "Healthy"),
            element("ProtectedFromScaleIn", "false"),
        ]
        .concat()
    });
    members("Instances", waiting)
}

fn describe_instance(group: &LabGroup, instance: &LabInstance, now: LabInstant) -> String {
    let sick = matches!(
        instance.target_state(now),
        Some(TargetState::Draining | TargetState::Unhealthy)
    );
    [
        element("InstanceId", &instance.id),
        element("InstanceType", &instance.kind),
        element("AvailabilityZone", instance.zone),
        element("LifecycleState", instance.lifecycle(now)),
        element("HealthStatus", if sick { "Unhealthy" } else { "Healthy" }),
        element("ProtectedFromScaleIn", &group.target.protected.to_string()),
    ]
    .concat()
}

fn policies(group: &LabGroup, form: &QueryParameters) -> String {
    let asked = form
        .get("AutoScalingGroupName")
        .is_none_or(|name| name == NAME);
    members(
        "ScalingPolicies",
        group
            .policies
            .iter()
            .filter(|_| asked)
            .map(|policy| describe_policy(group, policy)),
    )
}

/// Returns the element with the warm-up; empty if neither the group nor its policies have one.
fn warm_up(group: &LabGroup, name: &str, lasts: Duration) -> String {
    if group.target.no_warm_up {
        String::new()
    } else {
        element(name, &lasts.as_secs().to_string())
    }
}

fn describe_policy(group: &LabGroup, policy: &LivePolicy) -> String {
    let alarms = policy
        .alarms
        .iter()
        .map(|alarm| element("AlarmName", &alarm.name) + &element("AlarmARN", &alarm.arn));
    let common = [
        element("AutoScalingGroupName", NAME),
        element("PolicyName", &policy.name),
        element("PolicyARN", &policy_arn(&policy.name)),
        members("Alarms", alarms),
        element("Enabled", "true"),
    ]
    .concat();
    let own = match &policy.rule {
        Rule::Tracking { tracking, scale_in } => {
            let metric = match policy.config.metric {
                PolicyMetric::Cpu => element("PredefinedMetricType", "ASGAverageCPUUtilization"),
                PolicyMetric::RequestsPerTarget => {
                    element("PredefinedMetricType", "ALBRequestCountPerTarget")
                        + &element(
                            "ResourceLabel",
                            &format!("{}/{}", elb::BALANCER, elb::TARGET_GROUP),
                        )
                }
            };
            let configuration = [
                format!("<PredefinedMetricSpecification>{metric}</PredefinedMetricSpecification>"),
                element("TargetValue", &tracking.target.to_string()),
                element("DisableScaleIn", &(!scale_in).to_string()),
            ]
            .concat();
            [
                element("PolicyType", "TargetTrackingScaling"),
                warm_up(group, "EstimatedInstanceWarmup", policy.config.warm_up),
                format!(
                    "<TargetTrackingConfiguration>{configuration}</TargetTrackingConfiguration>"
                ),
            ]
            .concat()
        }
        Rule::Step(scaling) => {
            let bound = |name: &str, bound: Option<f64>| {
                bound.map_or(String::new(), |at| element(name, &at.to_string()))
            };
            let steps = scaling.steps.iter().map(|step| {
                [
                    bound("MetricIntervalLowerBound", step.lower),
                    bound("MetricIntervalUpperBound", step.upper),
                    element("ScalingAdjustment", &step.change.to_string()),
                ]
                .concat()
            });
            [
                element("PolicyType", "StepScaling"),
                element("AdjustmentType", scaling.adjustment.word()),
                least(scaling.least),
                warm_up(group, "EstimatedInstanceWarmup", policy.config.warm_up),
                element("MetricAggregationType", "Average"),
                members("StepAdjustments", steps),
            ]
            .concat()
        }
        Rule::Simple { scaling, cooldown } => [
            element("PolicyType", "SimpleScaling"),
            element("AdjustmentType", scaling.adjustment.word()),
            least(scaling.least),
            element("ScalingAdjustment", &scaling.change.to_string()),
            element("Cooldown", &cooldown.as_secs().to_string()),
        ]
        .concat(),
    };
    common + &own
}

fn least(least: u32) -> String {
    if least == 0 {
        String::new()
    } else {
        element("MinAdjustmentMagnitude", &least.to_string())
    }
}

/// Returns the activities, newest first, as the service sorts them; in pages.
fn activities(group: &LabGroup, form: &QueryParameters, now: LabInstant) -> String {
    let asked = form
        .get("AutoScalingGroupName")
        .is_none_or(|name| name == NAME);
    let ids = form.members("ActivityIds");
    let newest_first: Vec<&LabActivity> = group
        .activities
        .iter()
        .rev()
        .filter(|activity| asked && (ids.is_empty() || ids.contains(&activity.id.as_str())))
        .collect();
    let size = form
        .get("MaxRecords")
        .and_then(|text| text.parse().ok())
        .unwrap_or(100)
        .clamp(1, 100);
    let (page, next) = page(
        &newest_first,
        size,
        form.get("NextToken"),
        newest_first.len(),
    );
    let list = members(
        "Activities",
        page.iter().map(|activity| describe_activity(activity, now)),
    );
    next.map_or(list.clone(), |token| list + &element("NextToken", &token))
}

/// Returns a page and the token of the next one.
///
/// The token counts from the *oldest* record, so that what happens between two pages shifts
/// nothing.
fn page<'a, T>(
    newest_first: &'a [T],
    size: usize,
    token: Option<&str>,
    all: usize,
) -> (&'a [T], Option<String>) {
    let left = token
        .and_then(|token| token.parse().ok())
        .unwrap_or(all)
        .min(all);
    let start = all - left;
    let end = (start + size).min(all);
    (
        &newest_first[start..end],
        (end < all).then(|| (all - end).to_string()),
    )
}

fn describe_activity(activity: &LabActivity, now: LabInstant) -> String {
    let (status, end) = activity.status(now);
    [
        element("ActivityId", &activity.id),
        element("AutoScalingGroupName", NAME),
        element("Description", &activity.description),
        element("Cause", &activity.cause),
        element("StartTime", &millis(activity.start)),
        end.map_or(String::new(), |end| element("EndTime", &millis(end))),
        element("StatusCode", status),
        activity
            .failure
            .as_ref()
            .map_or(String::new(), |message| element("StatusMessage", message)),
        element("Progress", if end.is_some() { "100" } else { "50" }),
        element("Details", &activity.details.to_string()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_do_not_shift_when_something_new_happens_between_them() {
        let (first, next) = page(&[5, 4, 3, 2, 1], 2, None, 5);
        assert_eq!((first, next.as_deref()), (&[5, 4][..], Some("3")));
        let (second, next) = page(&[6, 5, 4, 3, 2, 1], 2, Some("3"), 6);
        assert_eq!((second, next.as_deref()), (&[3, 2][..], Some("1")));
        let (last, next) = page(&[6, 5, 4, 3, 2, 1], 2, Some("1"), 6);
        assert_eq!((last, next), (&[1][..], None));
    }
}
