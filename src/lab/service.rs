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
    if group.is_deleted(now)
        || !asked
            .iter()
            .any(|name| name.rsplit('/').next() == Some(SERVICE))
    {
        let failures: Vec<Value> = asked
            .iter()
            .map(|name| json!({ "arn": name, "reason": "MISSING" }))
            .collect();
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
    json!({ "failures": [], "services": [{
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
            let newest_first = group.decisions.iter().rev().enumerate();
            let total = group.decisions.len();
            all(
                "ScalingActivities",
                newest_first
                    .map(|(index, one)| activity(one, total - index))
                    .collect(),
            )
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

fn activity(decided: &Decided, number: usize) -> Value {
    let mut described = what();
    let at = decided.at.as_millisecond() as f64 / 1_000.0;
    described["ActivityId"] = json!(format!("activity-{number}"));
    described["Description"] = json!(format!("Setting desired count to {}.", decided.to));
    described["Cause"] = json!(format!(
        "monitor alarm {} in state ALARM triggered policy {}",
        decided.alarm, decided.policy
    ));
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
