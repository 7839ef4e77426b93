//! The target as an ECS service that Application Auto Scaling scales: the same group in other
//! words, for the two APIs by which one watches it.

use serde_json::{Value, json};

use super::World;
use super::call::{ApiCall, ApiError, LabResponse, answer_json};
use super::clock::LabInstant;
use super::elb;
use super::group::LabGroup;
use super::ids::{ACCOUNT, REGION};
use super::instance::{LabInstance, TargetState};
use super::live_policy::LivePolicy;
use super::truth::Decided;
use model::scaling::policies::Rule;

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const SERVICE: &str = "web";

fn resource() -> String {
    format!("service/{CLUSTER}/{SERVICE}")
}

fn cluster_arn() -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}")
}

fn task_arn(instance: &LabInstance) -> String {
    format!(
        "arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{}",
        instance.id
    )
}

/// Answers ECS's actions on the service; `None` if the call is not about it.
pub(crate) fn answer_ecs(world: &World, call: &ApiCall) -> Result<Option<LabResponse>, ApiError> {
    if !world.config.target.service
        || !["DescribeServices", "ListTasks", "DescribeTasks"].contains(&call.action.as_str())
    {
        return Ok(None);
    }
    let input = call.json()?;
    if input["cluster"]
        .as_str()
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        != Some(CLUSTER)
    {
        return Ok(None);
    }
    let now = world.clock.now();
    let mut group = world.group();
    group.advance(now);
    let output = match call.action.as_str() {
        "DescribeServices" => describe_services(&group, &input, now),
        "ListTasks" => {
            let stopped = input["desiredStatus"].as_str() == Some("STOPPED");
            let asked = input["serviceName"].as_str() == Some(SERVICE);
            let tasks = group
                .instances
                .iter()
                .filter(|known| asked && known.leaving.is_some() == stopped);
            json!({ "taskArns": tasks.map(task_arn).collect::<Vec<_>>() })
        }
        _ => {
            let asked: Vec<&str> = input["tasks"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let (mut tasks, mut failures) = (Vec::new(), Vec::new());
            for arn in asked {
                match group
                    .instances
                    .iter()
                    .find(|known| arn.ends_with(&known.id))
                {
                    Some(known) => tasks.push(describe_task(known, now)),
                    None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
                }
            }
            json!({ "tasks": tasks, "failures": failures })
        }
    };
    Ok(Some(answer_json(&output)))
}

fn describe_services(group: &LabGroup, input: &Value, now: LabInstant) -> Value {
    let asked: Vec<&str> = input["services"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_there = |name: &str| name.rsplit('/').next() == Some(SERVICE) && !group.is_deleted(now);
    let failures: Vec<Value> = asked
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| json!({ "arn": name, "reason": "MISSING" }))
        .collect();
    if !asked.iter().any(|name| is_there(name)) {
        return json!({ "services": [], "failures": failures });
    }
    let running = group
        .instances
        .iter()
        .filter(|known| known.lifecycle(now) == "InService")
        .count();
    let pending = group
        .instances
        .iter()
        .filter(|known| known.lifecycle(now) == "Pending")
        .count();
    let definition = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{SERVICE}:1");
    json!({ "failures": failures, "services": [{
        "serviceArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:{}", resource()),
        "serviceName": SERVICE,
        "clusterArn": cluster_arn(),
        "status": "ACTIVE",
        "desiredCount": group.desired, "runningCount": running, "pendingCount": pending,
        "launchType": "FARGATE",
        "taskDefinition": definition,
        "healthCheckGracePeriodSeconds": group.target.health_check_grace.as_secs(),
        "loadBalancers": [{ "targetGroupArn": elb::target_group_arn(), "containerName": "web", "containerPort": 80 }],
        "deployments": [{
            "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "COMPLETED", "taskDefinition": definition,
            "desiredCount": group.desired, "runningCount": running, "pendingCount": pending,
            "createdAt": seconds(group.created),
        }],
        "createdAt": seconds(group.created),
    }] })
}

fn describe_task(instance: &LabInstance, now: LabInstant) -> Value {
    let (last, desired) = match instance.lifecycle(now) {
        "Pending" => ("PENDING", "RUNNING"),
        "InService" => ("RUNNING", "RUNNING"),
        _ => ("DEACTIVATING", "STOPPED"),
    };
    let mut task = json!({
        "taskArn": task_arn(instance),
        "clusterArn": cluster_arn(),
        "group": format!("service:{SERVICE}"),
        "lastStatus": last, "desiredStatus": desired,
        "healthStatus": match instance.target_state(now) {
            Some(TargetState::Unhealthy) => "UNHEALTHY",
            Some(TargetState::Healthy) => "HEALTHY",
            _ => "UNKNOWN",
        },
        "availabilityZone": instance.zone,
        "launchType": "FARGATE", "cpu": "256", "memory": "512",
        "attachments": [{ "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": [
            { "name": "privateIPv4Address", "value": instance.address },
        ]}],
        "createdAt": seconds(instance.launched),
    });
    if now >= instance.in_service {
        task["startedAt"] = json!(seconds(instance.in_service));
    }
    if let Some((since, _)) = instance.leaving {
        task["stoppingAt"] = json!(seconds(since));
    }
    task
}

/// Answers Application Auto Scaling's actions; `None` for any other action.
pub(crate) fn answer_scaling(
    world: &World,
    call: &ApiCall,
) -> Result<Option<LabResponse>, ApiError> {
    let input = call.json()?;
    let now = world.clock.now();
    let mut group = world.group();
    group.advance(now);
    let ids = input["ResourceIds"].as_array().into_iter().flatten();
    let asked = input["ResourceId"].as_str() == Some(&resource())
        || ids.into_iter().any(|id| *id == resource());
    let there = world.config.target.service && asked && !group.is_deleted(now);
    let all =
        |name: &str, entries: Vec<Value>| json!({ name: if there { entries } else { Vec::new() } });
    let output = match call.action.as_str() {
        "DescribeScalableTargets" => all("ScalableTargets", vec![scalable_target(&group)]),
        "DescribeScalingPolicies" => all(
            "ScalingPolicies",
            group
                .policies
                .iter()
                .map(|one| policy(one, group.created))
                .collect(),
        ),
        "DescribeScalingActivities" => {
            let (page, next) = page(activities(&group, &input), &input);
            let mut output = all("ScalingActivities", page);
            if let Some(next) = next {
                output["NextToken"] = json!(next);
            }
            output
        }
        "DescribeScheduledActions" => all("ScheduledActions", Vec::new()),
        _ => return Ok(None),
    };
    Ok(Some(answer_json(&output)))
}

fn scalable_target(group: &LabGroup) -> Value {
    let suspended = |process: &str| group.target.suspended.iter().any(|one| one == process);
    let mut target = what();
    target["MinCapacity"] = json!(group.target.min);
    target["MaxCapacity"] = json!(group.target.max);
    target["RoleARN"] = json!(format!(
        "arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.application-autoscaling"
    ));
    target["CreationTime"] = json!(seconds(group.created));
    target["SuspendedState"] = json!({
        "DynamicScalingInSuspended": suspended("Terminate"),
        "DynamicScalingOutSuspended": suspended("Launch"),
        "ScheduledScalingSuspended": false,
    });
    target
}

fn what() -> Value {
    json!({
        "ServiceNamespace": "ecs", "ResourceId": resource(), "ScalableDimension": "ecs:service:DesiredCount",
    })
}

fn policy(policy: &LivePolicy, created: LabInstant) -> Value {
    let mut described = what();
    described["PolicyName"] = json!(policy.name);
    described["PolicyARN"] = json!(super::autoscaling::policy_arn(&policy.name));
    described["CreationTime"] = json!(seconds(created));
    let alarms: Vec<Value> = policy
        .alarms
        .iter()
        .map(|alarm| json!({ "AlarmName": alarm.name, "AlarmARN": alarm.arn }))
        .collect();
    described["Alarms"] = json!(alarms);
    match &policy.rule {
        Rule::Tracking { tracking, scale_in } => {
            described["PolicyType"] = json!("TargetTrackingScaling");
            described["TargetTrackingScalingPolicyConfiguration"] = json!({
                "TargetValue": tracking.target,
                "PredefinedMetricSpecification": { "PredefinedMetricType": "ECSServiceAverageCPUUtilization" },
                "DisableScaleIn": !scale_in,
                "ScaleOutCooldown": policy.config.scale_out_cooldown.as_secs(),
                "ScaleInCooldown": policy.config.scale_in_cooldown.as_secs(),
            });
        }
        Rule::Step(scaling) => {
            let steps: Vec<Value> = scaling
                .steps
                .iter()
                .map(|step| {
                    let mut described = json!({ "ScalingAdjustment": step.change });
                    if let Some(lower) = step.lower {
                        described["MetricIntervalLowerBound"] = json!(lower);
                    }
                    if let Some(upper) = step.upper {
                        described["MetricIntervalUpperBound"] = json!(upper);
                    }
                    described
                })
                .collect();
            described["PolicyType"] = json!("StepScaling");
            described["StepScalingPolicyConfiguration"] = json!({
                "AdjustmentType": scaling.adjustment.word(),
                "StepAdjustments": steps,
                "Cooldown": policy.config.cooldown.as_secs(),
            });
        }
        // The lab file refuses them: a service has none.
        Rule::Simple { .. } => {}
    }
    described
}

/// The most activities of one answer.
const PAGE: usize = 50;

/// Returns the activities, newest first; those that scaled nothing only if they are asked for.
fn activities(group: &LabGroup, input: &Value) -> Vec<Value> {
    type Described = fn(&Decided, usize) -> Value;
    let with_attempts = input["IncludeNotScaledActivities"] == true;
    let attempts = group.refused.iter().filter(|_| with_attempts);
    let described =
        |(index, one): (usize, &Decided), describe: Described| (one.at, describe(one, index + 1));
    let set = group.decisions.iter().enumerate();
    let set = set.map(|one| described(one, activity));
    let attempts = attempts.enumerate().map(|one| described(one, attempt));
    let mut all: Vec<_> = set.chain(attempts).collect();
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    all.into_iter().map(|(_, activity)| activity).collect()
}

/// Returns the page that the token names, and the token of the next one.
fn page(all: Vec<Value>, input: &Value) -> (Vec<Value>, Option<String>) {
    let token = input["NextToken"].as_str();
    let from: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let next = (all.len() > from + PAGE).then(|| (from + PAGE).to_string());
    (all.into_iter().skip(from).take(PAGE).collect(), next)
}

/// Describes an attempt to grow beyond the maximum. It has no end.
fn attempt(refused: &Decided, number: usize) -> Value {
    let mut described = what();
    described["ActivityId"] = json!(format!("attempt-{number}"));
    described["Description"] = json!("Attempting to scale due to alarm triggered");
    described["Cause"] = json!(cause(refused));
    described["StartTime"] = json!(refused.at.as_millisecond() as f64 / 1_000.0);
    described["StatusCode"] = json!("Failed");
    described["NotScaledReasons"] =
        json!([{ "Code": "AlreadyAtMaxCapacity", "MaxCapacity": refused.to }]);
    described
}

fn cause(decided: &Decided) -> String {
    format!(
        "monitor alarm {} in state ALARM triggered policy {}",
        decided.alarm, decided.policy
    )
}

fn activity(decided: &Decided, number: usize) -> Value {
    let mut described = what();
    let at = decided.at.as_millisecond() as f64 / 1_000.0;
    described["ActivityId"] = json!(format!("activity-{number}"));
    described["Description"] = json!(format!("Setting desired count to {}.", decided.to));
    described["Cause"] = json!(cause(decided));
    described["StartTime"] = json!(at);
    described["EndTime"] = json!(at + 1.0);
    described["StatusCode"] = json!("Successful");
    described["StatusMessage"] = json!(format!(
        "Successfully set desired count to {}. Change successfully fulfilled by ecs.",
        decided.to
    ));
    described
}

/// Returns an instant as the JSON protocol writes it.
fn seconds(moment: LabInstant) -> f64 {
    moment.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::config::Config;
    use super::*;

    /// Loads a group with a maximum of three in each second.
    fn loaded(target: &str, per_second: u32, seconds: u64) -> LabGroup {
        let text = format!("target: {{ min: 2, max: 3, {target} }}");
        let start: LabInstant = Duration::from_hours(490_000);
        let mut group = LabGroup::new(&Config::parse(&text).unwrap(), start);
        for second in 0..seconds {
            let begins = start + Duration::from_secs(second);
            for index in 0..per_second {
                let now = begins + Duration::from_secs(1) * index / per_second;
                group.route(now, "/", None);
            }
            let ends = begins + Duration::from_secs(1);
            group.advance(ends);
            group.close_period(begins, ends);
        }
        group
    }

    #[test]
    fn a_service_at_its_maximum_says_that_it_was_not_scaled() {
        let group = loaded("instances: 2, service: true", 900, 90);
        assert_eq!(group.desired, 3);
        let asked = json!({ "IncludeNotScaledActivities": true });
        let all = activities(&group, &asked);
        let newest = &all[0];
        assert_eq!(newest["Cause"], all[all.len() - 1]["Cause"]);
        assert_eq!(newest["StatusCode"], "Failed");
        assert_eq!(
            newest["NotScaledReasons"],
            json!([{ "Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3 }])
        );
        assert_eq!(newest["EndTime"], Value::Null);
        let starts = all.iter().map(|one| one["StartTime"].as_f64().unwrap());
        assert!(starts.is_sorted_by(|newer, older| newer >= older));
        // Only the growth to the maximum changed anything.
        let changes = activities(&group, &json!({}));
        assert_eq!(changes.len(), group.decisions.len());
        assert_eq!(changes, all[all.len() - changes.len()..]);
        assert!(all.len() > changes.len() + PAGE, "{}", all.len());

        let (first, next) = page(all.clone(), &asked);
        assert_eq!((first.len(), next.as_deref()), (PAGE, Some("50")));
        let (second, last) = page(all.clone(), &json!({ "NextToken": "50" }));
        assert_eq!(last, None);
        assert_eq!([first, second].concat(), all);
    }

    #[test]
    fn nothing_is_refused_without_an_alarm_or_while_scaling_is_suspended_or_to_a_group() {
        let refused = |target, per_second| loaded(target, per_second, 30).refused.len();
        assert!(refused("instances: 3, service: true", 900) > 0);
        for (target, per_second) in [
            ("instances: 3, service: true", 10),
            ("instances: 3, service: true, suspended: [Launch]", 900),
            ("instances: 3, service: false", 900),
        ] {
            assert_eq!(refused(target, per_second), 0, "{target}");
        }
    }
}
