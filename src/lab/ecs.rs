//! The task calls of ECS, and the refusals moto never makes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::World;
use super::amend::drop_nulls;
use super::call::{ApiCall, ApiError, LabResponse, answer_json};
use super::clock::LabInstant;
use super::ids::{self, ACCOUNT, REGION};
use super::secret::Secret;
use super::tasks::LabTask;

const SERVICE: &str = "AmazonEC2ContainerServiceV20141113";
/// The most tasks that one RunTask may ask for.
const MOST_PER_CALL: u64 = 10;
/// The most tasks that one DescribeTasks may ask for.
const MOST_DESCRIBED: usize = 100;
const NO_CAPACITY: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// Answers ECS's actions; `Ok(None)` leaves the answer to moto.
pub(crate) async fn answer(world: &World, call: &ApiCall) -> Result<Option<LabResponse>, ApiError> {
    let output = match call.action.as_str() {
        "RunTask" => run_task(world, &call.json()?).await?,
        "StopTask" => stop_task(world, &call.json()?)?,
        "DescribeTasks" => describe_tasks(world, &call.json()?)?,
        "ListTasks" => list_tasks(world, &call.json()?),
        "DeleteCluster" => {
            let cluster = cluster_name(&call.json()?);
            if world
                .tasks()
                .values()
                .any(|task| task.lives() && task.cluster == cluster)
            {
                let message = "The Cluster cannot be deleted while Tasks are active.";
                return Err(ApiError::new("ClusterContainsTasksException", message));
            }
            return Ok(None);
        }
        _ => return Ok(None),
    };
    Ok(Some(answer_json(&output)))
}

/// Refuses as EC2 does: a task's network interface holds its security group until the task is
/// STOPPED.
pub(crate) fn security_group_is_free(world: &World, call: &ApiCall) -> Result<(), ApiError> {
    let form = call.form();
    let group = form.get("GroupId").unwrap_or_default();
    let held = world
        .tasks()
        .values()
        .any(|task| task.lives() && task.security_groups.iter().any(|id| id == group));
    if held {
        return Err(ApiError::new(
            "DependencyViolation",
            format!("resource {group} has a dependent object"),
        ));
    }
    Ok(())
}

async fn run_task(world: &World, input: &Value) -> Result<Value, ApiError> {
    keeps_the_command(input)?;
    let asked = RunTaskRequest {
        cluster: find_cluster(world, input).await?,
        definition: find_definition(world, input).await?,
        network: network(input)?,
        token: input["clientToken"]
            .as_str()
            .map(|token| (token.to_owned(), ids::digest(input.to_string().as_bytes()))),
    };
    let count = input["count"].as_u64().unwrap_or(1);
    if !(1..=MOST_PER_CALL).contains(&count) {
        return Err(invalid("Count must be between 1 and 10."));
    }
    let mut tasks = world.tasks();
    let before = already_started(&tasks, &asked)?;
    if !before.is_empty() {
        return Ok(json!({ "tasks": before, "failures": [] }));
    }
    let (mut started, mut failures) = (Vec::new(), Vec::new());
    for _ in 0..count {
        if world.refuses_capacity() {
            failures.push(json!({ "reason": NO_CAPACITY }));
            continue;
        }
        let task = new_task(world, input, &asked, tasks.len())?;
        started.push(describe(&task));
        drop(world.launches.send(task.id.clone()));
        tasks.insert(task.id.clone(), task);
    }
    Ok(json!({ "tasks": started, "failures": failures }))
}

/// A RunTask that made sense.
struct RunTaskRequest {
    cluster: Cluster,
    definition: Value,
    network: TaskNetwork,
    /// `clientToken`, and a digest of what came with it.
    token: Option<(String, String)>,
}

/// Refuses another command than the task definition's: the lab runs it on this machine.
fn keeps_the_command(input: &Value) -> Result<(), ApiError> {
    let overrides = &input["overrides"]["containerOverrides"];
    let mut overrides = overrides.as_array().into_iter().flatten();
    match overrides.any(|one| !one["command"].is_null()) {
        true => Err(invalid(
            "The lab runs the task definition's own command: containerOverrides.command is refused.",
        )),
        false => Ok(()),
    }
}

struct TaskNetwork {
    subnets: Vec<String>,
    security_groups: Vec<String>,
}

fn network(input: &Value) -> Result<TaskNetwork, ApiError> {
    let network = &input["networkConfiguration"]["awsvpcConfiguration"];
    let subnets = strings(&network["subnets"]);
    if subnets.is_empty() {
        return Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    }
    Ok(TaskNetwork {
        subnets,
        security_groups: strings(&network["securityGroups"]),
    })
}

/// Returns the tasks that an earlier call with the same token started: a retry must not start them
/// twice.
fn already_started(
    tasks: &BTreeMap<String, LabTask>,
    asked: &RunTaskRequest,
) -> Result<Vec<Value>, ApiError> {
    let Some((token, digest)) = &asked.token else {
        return Ok(Vec::new());
    };
    let same = |task: &&LabTask| task.token.as_ref().is_some_and(|(known, _)| known == token);
    let before: Vec<&LabTask> = tasks.values().filter(same).collect();
    if before.iter().any(|task| {
        task.token
            .as_ref()
            .is_some_and(|(_, known)| known != digest)
    }) {
        return Err(ApiError::new(
            "ConflictException",
            "The client token was used with other parameters.",
        ));
    }
    Ok(before.into_iter().map(describe).collect())
}

fn new_task(
    world: &World,
    input: &Value,
    asked: &RunTaskRequest,
    number: usize,
) -> Result<LabTask, ApiError> {
    let id = ids::hex(32);
    let pass =
        Secret::draw().map_err(|error| ApiError::new("ServerException", error.to_string()))?;
    Ok(LabTask {
        arn: format!(
            "arn:aws:ecs:{REGION}:{ACCOUNT}:task/{}/{id}",
            asked.cluster.name
        ),
        id,
        cluster: asked.cluster.name.clone(),
        cluster_arn: asked.cluster.arn.clone(),
        definition: asked.definition.clone(),
        subnets: asked.network.subnets.clone(),
        security_groups: asked.network.security_groups.clone(),
        started_by: input["startedBy"].as_str().map(str::to_owned),
        overrides: input["overrides"].clone(),
        tags: input["tags"].clone(),
        token: asked.token.clone(),
        pass,
        number,
        last_status: "PROVISIONING",
        desired_status: "RUNNING",
        created: world.clock.now(),
        pull_started: None,
        pull_stopped: None,
        started: None,
        stopping: None,
        stopped: None,
        end: None,
        asked_to_stop: None,
        stop: world.closing.child_token(),
    })
}

struct Cluster {
    name: String,
    arn: String,
}

async fn find_cluster(world: &World, input: &Value) -> Result<Cluster, ApiError> {
    let name = cluster_name(input);
    let body = json!({ "clusters": [name] });
    let found = world
        .moto
        .json("ecs", &format!("{SERVICE}.DescribeClusters"), &body)
        .await?;
    let cluster = &found["clusters"][0];
    if cluster["status"] != "ACTIVE" {
        return Err(ApiError::new(
            "ClusterNotFoundException",
            "Cluster not found.",
        ));
    }
    Ok(Cluster {
        name,
        arn: cluster["clusterArn"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

async fn find_definition(world: &World, input: &Value) -> Result<Value, ApiError> {
    let body = json!({ "taskDefinition": input["taskDefinition"] });
    let target = format!("{SERVICE}.DescribeTaskDefinition");
    let found = world
        .moto
        .json("ecs", &target, &body)
        .await
        .map_err(|_| ApiError::new("ClientException", "Unable to describe task definition."))?;
    let definition = &found["taskDefinition"];
    if definition["status"] == "INACTIVE" {
        return Err(ApiError::new(
            "ClientException",
            "TaskDefinition is inactive",
        ));
    }
    Ok(definition.clone())
}

fn stop_task(world: &World, input: &Value) -> Result<Value, ApiError> {
    let wanted = last_segment(input["task"].as_str().unwrap_or_default());
    let now = world.clock.now();
    let mut tasks = world.tasks();
    let task = tasks
        .get_mut(wanted)
        .ok_or_else(|| invalid("The referenced task was not found."))?;
    if task.lives() && task.asked_to_stop.is_none() {
        let reason = input["reason"].as_str().unwrap_or("Task stopped by user");
        task.asked_to_stop = Some(reason.to_owned());
        task.desired_status = "STOPPED";
        task.stopping.get_or_insert(now);
        task.stop.cancel();
    }
    Ok(json!({ "task": describe(task) }))
}

fn describe_tasks(world: &World, input: &Value) -> Result<Value, ApiError> {
    let cluster = cluster_name(input);
    let wanted = strings(&input["tasks"]);
    if wanted.is_empty() || wanted.len() > MOST_DESCRIBED {
        return Err(invalid("Tasks must name between 1 and 100 tasks."));
    }
    let with_tags = strings(&input["include"])
        .iter()
        .any(|field| field == "TAGS");
    let known = world.tasks();
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for name in &wanted {
        match known
            .get(last_segment(name))
            .filter(|task| task.cluster == cluster)
        {
            Some(task) => {
                let mut described = describe(task);
                if !with_tags {
                    described["tags"] = json!([]);
                }
                tasks.push(described);
            }
            None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

fn list_tasks(world: &World, input: &Value) -> Value {
    let cluster = cluster_name(input);
    let desired = input["desiredStatus"].as_str().unwrap_or("RUNNING");
    let matches = |filter: &Value, value: Option<&str>| {
        filter.as_str().is_none_or(|wanted| value == Some(wanted))
    };
    let tasks = world.tasks();
    let arns: Vec<&str> = tasks
        .values()
        .filter(|task| task.cluster == cluster && task.desired_status == desired)
        .filter(|task| matches(&input["startedBy"], task.started_by.as_deref()))
        .filter(|task| matches(&input["family"], task.definition["family"].as_str()))
        .map(|task| task.arn.as_str())
        .collect();
    let size = input["maxResults"].as_u64().unwrap_or(100).clamp(1, 100) as usize;
    let start = input["nextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0)
        .min(arns.len());
    let end = (start + size).min(arns.len());
    let mut output = json!({ "taskArns": arns[start..end] });
    if end < arns.len() {
        output["nextToken"] = end.to_string().into();
    }
    output
}

/// Returns a task as DescribeTasks does; values that are not known yet are absent, not null.
fn describe(task: &LabTask) -> Value {
    let container = task.container();
    let end = task.end.as_ref();
    let family = task.definition["family"].as_str().unwrap_or_default();
    let mut output = json!({
        "taskArn": task.arn, "clusterArn": task.cluster_arn,
        "taskDefinitionArn": task.definition["taskDefinitionArn"], "group": format!("family:{family}"),
        "lastStatus": task.last_status, "desiredStatus": task.desired_status, "healthStatus": "UNKNOWN",
        "cpu": task.definition["cpu"], "memory": task.definition["memory"], "version": 1,
        "launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux",
        "availabilityZone": format!("{REGION}a"), "connectivity": "CONNECTED",
        "startedBy": task.started_by, "overrides": task.overrides, "tags": task.tags,
        "createdAt": task.created.as_secs_f64(),
        "pullStartedAt": instant(task.pull_started), "pullStoppedAt": instant(task.pull_stopped),
        "startedAt": instant(task.started), "stoppingAt": instant(task.stopping),
        "executionStoppedAt": instant(task.stopped), "stoppedAt": instant(task.stopped),
        "stopCode": end.map(|end| end.code), "stoppedReason": end.map(|end| &end.reason),
        "attachments": [{
            "id": task.id, "type": "ElasticNetworkInterface",
            "status": if task.lives() { "ATTACHED" } else { "DELETED" },
            "details": [
                { "name": "subnetId", "value": task.subnets.first() },
                { "name": "privateIPv4Address", "value": "127.0.0.1" },
            ],
        }],
        "containers": [{
            "containerArn": format!("{}/{}", task.arn.replace(":task/", ":container/"), "1"),
            "taskArn": task.arn, "name": container["name"], "image": container["image"],
            "lastStatus": if task.last_status == "PROVISIONING" { "PENDING" } else { task.last_status },
            "exitCode": end.and_then(|end| end.exit_code),
            "reason": end.and_then(|end| end.container_reason.as_ref()),
        }],
    });
    drop_nulls(&mut output);
    output
}

/// Returns the task metadata endpoint's document on a task.
pub(crate) fn metadata(task: &LabTask, endpoint: &str) -> Value {
    let revision = task.definition["revision"].as_u64().unwrap_or(1);
    let mut output = json!({
        "Cluster": task.cluster, "TaskARN": task.arn, "Family": task.definition["family"],
        "Revision": revision.to_string(), "DesiredStatus": task.desired_status, "KnownStatus": task.last_status,
        "LaunchType": "FARGATE", "AvailabilityZone": format!("{REGION}a"), "Endpoint": endpoint,
        "PullStartedAt": task.pull_started.map(super::clock::millis),
        "PullStoppedAt": task.pull_stopped.map(super::clock::millis),
        "ClockDrift": { "ClockErrorBound": 0.1, "ClockSynchronizationStatus": "SYNCHRONIZED" },
        "Containers": [{ "Name": task.container()["name"], "Image": task.container()["image"] }],
    });
    drop_nulls(&mut output);
    output
}

fn instant(moment: Option<LabInstant>) -> Value {
    moment.map_or(Value::Null, |moment| moment.as_secs_f64().into())
}

/// Returns the cluster's name from a name or an ARN; the account's `default` if none is given.
fn cluster_name(input: &Value) -> String {
    last_segment(input["cluster"].as_str().unwrap_or("default")).to_owned()
}

fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}
