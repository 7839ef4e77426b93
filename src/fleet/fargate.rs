//! Generators as Fargate tasks: the only thing a run makes that costs by the hour.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, DesiredStatus, KeyValuePair, LaunchType,
    NetworkConfiguration, Tag, Task, TaskOverride,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Fleet, FleetError, Orders, TaskState, TaskStatus};
use crate::aws::trouble::Trouble;
use crate::aws::{Aws, explain};
use crate::journal::names::RUN_TAG;

/// The container of the task definition: never `containers[0]`, for AWS adds side-cars of its own.
pub const CONTAINER: &str = "generator";

/// Tells a task which share of the load it has.
const SLOT: &str = "SPIKEPROOF_SLOT";

/// A new role is known everywhere only after a while; until then RunTask cannot assume it.
const ROLE_SETTLES: Duration = Duration::from_secs(60);
/// An answer that was lost is asked for again: the same token gives the same task.
const UNCLEAR: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(2);
/// DescribeTasks takes so many at once.
const DESCRIBED_AT_ONCE: usize = 100;
/// StopTask gives a task 30 s, and detaching its network interface takes its time after that.
const STOPPING: Duration = Duration::from_secs(180);

/// Where tasks are placed; from the module's outputs and the chosen subnets.
#[derive(Debug, Clone)]
pub struct Placement {
    pub cluster: String,
    pub task_definition: String,
    pub security_group: String,
    pub subnets: Vec<String>,
}

pub struct FargateFleet {
    client: Client,
    placement: Placement,
    orders: Orders,
    /// The latest task of each slot.
    slots: BTreeMap<u32, String>,
    /// When each task was made and stopped, replaced ones included: that is what is billed.
    bills: BTreeMap<String, Bill>,
}

#[derive(Debug, Clone, Copy)]
struct Bill {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl FargateFleet {
    pub fn new(aws: &Aws, placement: Placement, orders: Orders) -> Self {
        let client = Client::new(&aws.sdk);
        Self { client, placement, orders, slots: BTreeMap::new(), bills: BTreeMap::new() }
    }

    async fn describe(&self, arns: &[String]) -> Result<Vec<Task>, FleetError> {
        let mut tasks = Vec::new();
        for some in arns.chunks(DESCRIBED_AT_ONCE) {
            let answer = self
                .client
                .describe_tasks()
                .cluster(&self.placement.cluster)
                .set_tasks(Some(some.to_vec()))
                .send()
                .await
                .map_err(|error| FleetError::Call { call: "DescribeTasks", why: explain(&error) })?;
            tasks.extend(answer.tasks().iter().cloned());
        }
        Ok(tasks)
    }

    /// Every task of the run's cluster that is not stopped: also those whose RunTask answer was lost.
    async fn alive(&self) -> Result<Vec<String>, FleetError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .client
                .list_tasks()
                .cluster(&self.placement.cluster)
                .desired_status(DesiredStatus::Running)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| FleetError::Call { call: "ListTasks", why: explain(&error) })?;
            found.extend(page.task_arns().iter().cloned());
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Earlier tasks of a slot, whether their RunTask was answered or not: they will carry no load, and cost. What cannot be
    /// stopped now is stopped at the end.
    async fn stop_twins(&self, slot: u32) {
        let Ok(arns) = self.alive().await else { return };
        let Ok(tasks) = self.describe(&arns).await else { return };
        let cluster = &self.placement.cluster;
        for arn in tasks.iter().filter(|task| slot_of(task) == Some(slot)).filter_map(Task::task_arn) {
            let _ =
                self.client.stop_task().cluster(cluster).task(arn).reason("another task takes its place").send().await;
        }
    }

    fn overrides(&self, slot: u32, attempt: u32) -> TaskOverride {
        let variable = |name: &str, value: String| KeyValuePair::builder().name(name).value(value).build();
        let container = ContainerOverride::builder()
            .name(CONTAINER)
            .environment(variable(SLOT, slot.to_string()))
            .environment(variable("SPIKEPROOF_ATTEMPT", attempt.to_string()))
            .environment(variable("SPIKEPROOF_EPOCH", self.orders.epoch.to_string()))
            .environment(variable("SPIKEPROOF_MAX_LIFETIME", self.orders.max_lifetime.as_secs().to_string()))
            .build();
        TaskOverride::builder().container_overrides(container).build()
    }

    fn network(&self) -> Result<NetworkConfiguration, FleetError> {
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.placement.subnets.clone()))
            .security_groups(&self.placement.security_group)
            // Public subnets need it to reach ECR and S3; nothing is ever reached through it.
            .assign_public_ip(AssignPublicIp::Enabled)
            .build()
            .map_err(|error| FleetError::Call { call: "RunTask", why: error.to_string() })?;
        Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
    }

    fn keep_bill(&mut self, task: &Task) {
        let Some(arn) = task.task_arn() else { return };
        let time = |value: Option<&aws_smithy_types::DateTime>| {
            value.and_then(|value| Timestamp::from_nanosecond(value.as_nanos()).ok())
        };
        // Billing begins with the pull of the image; until that is known, with the task itself.
        let from = time(task.pull_started_at()).or_else(|| time(task.created_at()));
        let bill = self.bills.entry(arn.to_owned()).or_insert_with(|| Bill { from: Timestamp::now(), to: None });
        bill.from = from.unwrap_or(bill.from);
        bill.to = time(task.stopped_at()).or(bill.to);
    }
}

#[async_trait]
impl Fleet for FargateFleet {
    async fn launch(&mut self, slot: u32, attempt: u32) -> Result<String, FleetError> {
        if attempt > 1 {
            self.stop_twins(slot).await;
        }
        let begun = Instant::now();
        loop {
            let answer = self
                .client
                .run_task()
                .cluster(&self.placement.cluster)
                .task_definition(&self.placement.task_definition)
                .launch_type(LaunchType::Fargate)
                .count(1)
                .started_by(&self.orders.run)
                // A retry after a lost answer must not make a second task.
                .client_token(format!("{}-{}-{slot}-{attempt}", self.orders.run, self.orders.epoch))
                .overrides(self.overrides(slot, attempt))
                .network_configuration(self.network()?)
                .tags(Tag::builder().key(RUN_TAG).value(&self.orders.run).build())
                .send()
                .await;
            let why = match answer {
                Ok(answer) => match (answer.tasks().first(), answer.failures().first()) {
                    (Some(task), _) => {
                        self.keep_bill(task);
                        let arn = task.task_arn().unwrap_or_default().to_owned();
                        self.slots.insert(slot, arn.clone());
                        return Ok(arn);
                    }
                    // HTTP 200 with failures: no capacity, or the account's limit of vCPUs.
                    (None, Some(failure)) => {
                        let why = failure.reason().unwrap_or("no reason given").to_owned();
                        return Err(FleetError::Refused { slot, why });
                    }
                    (None, None) => "neither a task nor a failure in the answer".to_owned(),
                },
                Err(error) => explain(&error),
            };
            if patience(&why).is_none_or(|patience| begun.elapsed() >= patience) {
                return Err(FleetError::Call { call: "RunTask", why });
            }
            sleep(AGAIN).await;
        }
    }

    async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError> {
        let arns: Vec<String> = self.slots.values().cloned().collect();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = self.describe(&arns).await?;
        for task in &tasks {
            self.keep_bill(task);
        }
        let states = self.slots.iter().map(|(slot, arn)| {
            let task = tasks.iter().find(|task| task.task_arn() == Some(arn));
            // Not described yet: ECS is eventually consistent.
            let status = task.map_or(TaskStatus::Starting("accepted".to_owned()), status);
            TaskState { slot: *slot, identity: arn.clone(), status }
        });
        Ok(states.collect())
    }

    async fn stop(&mut self, why: &str) -> Result<(), FleetError> {
        let give_up = Instant::now() + STOPPING;
        loop {
            // Known tasks as well as listed ones: one that was just launched is not listed yet.
            let mut arns = self.alive().await?;
            let known: Vec<String> = self.bills.keys().filter(|arn| !arns.contains(arn)).cloned().collect();
            arns.extend(known);
            let tasks = self.describe(&arns).await?;
            for task in &tasks {
                self.keep_bill(task);
            }
            let stopping: Vec<&Task> = tasks.iter().filter(|task| task.last_status() != Some("STOPPED")).collect();
            if stopping.is_empty() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                let why = format!("{} tasks have not stopped after {} s", stopping.len(), STOPPING.as_secs());
                return Err(FleetError::Call { call: "StopTask", why });
            }
            for task in stopping.iter().filter(|task| task.desired_status() != Some("STOPPED")) {
                let arn = task.task_arn().unwrap_or_default();
                // One that has just ended is no error; one that cannot be stopped is asked again.
                let _ = self.client.stop_task().cluster(&self.placement.cluster).task(arn).reason(why).send().await;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn billed(&self) -> Vec<Duration> {
        let now = Timestamp::now();
        let time = |bill: &Bill| Duration::try_from(bill.to.unwrap_or(now).duration_since(bill.from));
        self.bills.values().map(|bill| time(bill).unwrap_or_default()).collect()
    }
}

/// For how long a failed RunTask is tried again, if at all.
fn patience(why: &str) -> Option<Duration> {
    if why.to_lowercase().contains("unable to assume") || why.contains("assume the role") {
        return Some(ROLE_SETTLES);
    }
    matches!(Trouble::of(why), Trouble::Network | Trouble::Load).then_some(UNCLEAR)
}

/// The slot that a task was started for.
fn slot_of(task: &Task) -> Option<u32> {
    let containers = task.overrides()?.container_overrides();
    let variables = containers.iter().flat_map(ContainerOverride::environment);
    variables.filter(|variable| variable.name() == Some(SLOT)).find_map(|variable| variable.value()?.parse().ok())
}

fn status(task: &Task) -> TaskStatus {
    match task.last_status() {
        Some("RUNNING") => TaskStatus::Running,
        Some("STOPPED") => {
            let container = task.containers().iter().find(|container| container.name() == Some(CONTAINER));
            let code = container.and_then(|container| container.exit_code());
            let reason = container.and_then(|container| container.reason()).or(task.stopped_reason());
            let why = match (code, reason) {
                (Some(code), Some(reason)) => format!("exit code {code}, {reason}"),
                (Some(code), None) => format!("exit code {code}"),
                (None, Some(reason)) => reason.to_owned(),
                (None, None) => "stopped without a reason".to_owned(),
            };
            TaskStatus::Stopped { why, succeeded: code == Some(0) }
        }
        other => TaskStatus::Starting(other.unwrap_or("accepted").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_done_is_asked_again_and_what_was_refused_is_not() {
        for (why, patience_of) in [
            ("service error: ECS was unable to assume the role 'arn:aws:iam::1:role/x'", Some(ROLE_SETTLES)),
            ("dispatch failure: io error: connection reset by peer", Some(UNCLEAR)),
            ("request has timed out", Some(UNCLEAR)),
            ("service error: ServerException: Service Unavailable", Some(UNCLEAR)),
            ("service error: AccessDeniedException: not authorized to perform: ecs:RunTask", None),
            ("service error: ClientException: No Fargate configuration exists for given values", None),
        ] {
            assert_eq!(patience(why), patience_of, "{why}");
        }
    }

    #[test]
    fn a_tasks_slot_is_what_its_container_was_told() {
        let variable = KeyValuePair::builder().name(SLOT).value("7").build();
        let container = ContainerOverride::builder().name(CONTAINER).environment(variable).build();
        let overrides = TaskOverride::builder().container_overrides(container).build();
        assert_eq!(slot_of(&Task::builder().overrides(overrides).build()), Some(7));
        assert_eq!(slot_of(&Task::builder().build()), None);
    }
}
