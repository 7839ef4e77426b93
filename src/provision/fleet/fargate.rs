//! Generators as Fargate tasks: the only thing a run makes that costs by the hour.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::SdkError;
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, DesiredStatus, KeyValuePair,
    LaunchType, NetworkConfiguration, Tag, Task, TaskOverride,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Fleet, FleetError, Orders, TaskState, TaskStatus};
use crate::journal::names::RUN_TAG;
use cloud::aws::failure::Failure;
use cloud::aws::{Aws, explain};

/// The container of the task definition: never `containers[0]`, for AWS adds side-cars of its own.
pub const CONTAINER: &str = "generator";
/// The variable that tells a task its slot, and us which slot a task belongs to.
const SLOT: &str = "SPIKEPROOF_SLOT";

/// A new role is known everywhere only after a while; until then RunTask cannot assume it.
const ROLE_SETTLES: Duration = Duration::from_mins(1);
/// Time for which a call is repeated while its answer may hide a task. An outage that lasts longer
/// costs an attempt.
const CLEARS_UP: Duration = Duration::from_secs(30);
const BEFORE_ASKING_AGAIN: Duration = Duration::from_secs(2);
/// The most tasks of one DescribeTasks.
const DESCRIBED_AT_ONCE: usize = 100;
/// StopTask gives a task 30 s, and detaching its network interface takes its time after that.
const STOPPING: Duration = Duration::from_mins(3);

/// The network and cluster of the tasks; from the module's outputs and the chosen subnets.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Name or ARN of the run's ECS cluster.
    pub cluster: String,
    /// The ARN of the task definition.
    pub task_definition: String,
    /// The id of the security group of the tasks.
    pub security_group: String,
    /// Ids of the subnets that tasks are spread over.
    pub subnets: Vec<String>,
}

/// One Fargate task for each slot.
pub struct FargateFleet {
    client: Client,
    placement: Placement,
    orders: Orders,
    /// The latest task of each slot.
    slots: BTreeMap<u32, String>,
    /// The times when each task was made and stopped, including replaced ones: these are billed.
    bills: BTreeMap<String, Bill>,
}

#[derive(Debug, Clone, Copy)]
struct Bill {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl FargateFleet {
    /// Returns a fleet without tasks yet; calls nothing.
    pub fn new(aws: &Aws, placement: Placement, orders: Orders) -> Self {
        let client = Client::new(&aws.sdk);
        Self {
            client,
            placement,
            orders,
            slots: BTreeMap::new(),
            bills: BTreeMap::new(),
        }
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
                .map_err(call_failed("DescribeTasks"))?;
            tasks.extend(answer.tasks().iter().cloned());
        }
        Ok(tasks)
    }

    /// Returns every task of the run's cluster that is not stopped: also those whose RunTask answer
    /// was lost.
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
                .map_err(call_failed("ListTasks"))?;
            found.extend(page.task_arns().iter().cloned());
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn run_task(&self, slot: u32, attempt: u32) -> Result<RunTaskAnswer, FleetError> {
        let asked = self
            .client
            .run_task()
            .cluster(&self.placement.cluster)
            .task_definition(&self.placement.task_definition)
            .launch_type(LaunchType::Fargate)
            .count(1)
            .started_by(&self.orders.run)
            // A retry after a lost answer must not make a second task.
            .client_token(format!(
                "{}-{}-{slot}-{attempt}",
                self.orders.run, self.orders.epoch
            ))
            .overrides(self.overrides(slot, attempt))
            .network_configuration(self.network()?)
            .tags(Tag::builder().key(RUN_TAG).value(&self.orders.run).build());
        Ok(asked.send().await)
    }

    /// Stops twins before a slot gets another task. A task whose launch was never answered may
    /// exist, and costs as much as any.
    async fn stop_twins(&mut self, slot: u32) -> Result<(), FleetError> {
        let twins = self.describe(&self.alive().await?).await?;
        for twin in twins.iter().filter(|task| slot_of(task) == Some(slot)) {
            self.keep_bill(twin);
            let arn = twin.task_arn().unwrap_or_default();
            let stop = self
                .client
                .stop_task()
                .cluster(&self.placement.cluster)
                .task(arn);
            stop.reason("another takes its slot")
                .send()
                .await
                .map_err(call_failed("StopTask"))?;
        }
        Ok(())
    }

    fn overrides(&self, slot: u32, attempt: u32) -> TaskOverride {
        let variable =
            |name: &str, value: String| KeyValuePair::builder().name(name).value(value).build();
        let container = ContainerOverride::builder()
            .name(CONTAINER)
            .environment(variable(SLOT, slot.to_string()))
            .environment(variable("SPIKEPROOF_ATTEMPT", attempt.to_string()))
            .environment(variable("SPIKEPROOF_EPOCH", self.orders.epoch.to_string()))
            .environment(variable(
                "SPIKEPROOF_MAX_LIFETIME",
                self.orders.max_lifetime.as_secs().to_string(),
            ))
            .build();
        TaskOverride::builder()
            .container_overrides(container)
            .build()
    }

    fn network(&self) -> Result<NetworkConfiguration, FleetError> {
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.placement.subnets.clone()))
            .security_groups(&self.placement.security_group)
            // Public subnets need it to reach ECR and S3; nothing is ever reached through it.
            .assign_public_ip(AssignPublicIp::Enabled)
            .build()
            .map_err(call_failed("RunTask"))?;
        Ok(NetworkConfiguration::builder()
            .awsvpc_configuration(vpc)
            .build())
    }

    fn keep_bill(&mut self, task: &Task) {
        let Some(arn) = task.task_arn() else { return };
        let time = |value: Option<&aws_smithy_types::DateTime>| {
            value.and_then(|value| Timestamp::from_nanosecond(value.as_nanos()).ok())
        };
        // Billing begins with the pull of the image; until that is known, with the task itself.
        let from = time(task.pull_started_at()).or_else(|| time(task.created_at()));
        let bill = self.bills.entry(arn.to_owned()).or_insert_with(|| Bill {
            from: Timestamp::now(),
            to: None,
        });
        bill.from = from.unwrap_or(bill.from);
        bill.to = time(task.stopped_at()).or(bill.to);
    }
}

#[async_trait]
impl Fleet for FargateFleet {
    async fn launch(&mut self, slot: u32, attempt: u32) -> Result<String, FleetError> {
        if attempt > 1 {
            self.stop_twins(slot).await?;
        }
        let role_settles = Instant::now() + ROLE_SETTLES;
        let mut clears_up = None;
        loop {
            let (error, until) = match self.run_task(slot, attempt).await? {
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
                    (None, None) => return Err(FleetError::Incomplete),
                },
                // The task may be there: the same token finds it, and makes no second one. And no
                // attempt is lost over throttling.
                Err(error) if is_unclear(&error) || has_too_much_to_do(&error) => {
                    let until = *clears_up.get_or_insert_with(|| Instant::now() + CLEARS_UP);
                    (error, Some(until))
                }
                Err(error) => {
                    let why = explain(&error);
                    let role_is_new = why.to_lowercase().contains("unable to assume")
                        || why.contains("assume the role");
                    (error, role_is_new.then_some(role_settles))
                }
            };
            if until.is_none_or(|until| Instant::now() >= until) {
                return Err(call_failed("RunTask")(error));
            }
            sleep(BEFORE_ASKING_AGAIN).await;
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
            // A task is not described yet: ECS is eventually consistent.
            let status = task.map_or(TaskStatus::Starting("accepted".to_owned()), status);
            TaskState {
                slot: *slot,
                identity: arn.clone(),
                status,
            }
        });
        Ok(states.collect())
    }

    async fn stop(&mut self, why: &str) -> Result<(), FleetError> {
        let give_up = Instant::now() + STOPPING;
        loop {
            // Known tasks as well as listed ones: one that was just launched is not listed yet.
            let mut arns = self.alive().await?;
            let known: Vec<String> = self
                .bills
                .keys()
                .filter(|arn| !arns.contains(arn))
                .cloned()
                .collect();
            arns.extend(known);
            let tasks = self.describe(&arns).await?;
            for task in &tasks {
                self.keep_bill(task);
            }
            let stopping: Vec<&Task> = tasks
                .iter()
                .filter(|task| task.last_status() != Some("STOPPED"))
                .collect();
            if stopping.is_empty() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                return Err(FleetError::StillStopping {
                    tasks: stopping.len(),
                    after: STOPPING,
                });
            }
            for task in stopping
                .iter()
                .filter(|task| task.desired_status() != Some("STOPPED"))
            {
                let arn = task.task_arn().unwrap_or_default();
                // A task that has just ended is no error; a task that cannot be stopped is asked
                // again.
                drop(
                    self.client
                        .stop_task()
                        .cluster(&self.placement.cluster)
                        .task(arn)
                        .reason(why)
                        .send()
                        .await,
                );
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn billed(&self) -> Vec<Duration> {
        let now = Timestamp::now();
        let time =
            |bill: &Bill| Duration::try_from(bill.to.unwrap_or(now).duration_since(bill.from));
        self.bills
            .values()
            .map(|bill| time(bill).unwrap_or_default())
            .collect()
    }
}

type RunTaskAnswer = Result<RunTaskOutput, SdkError<RunTaskError, HttpResponse>>;

/// True if it is unknown whether the call was carried out.
fn is_unclear(error: &SdkError<RunTaskError, HttpResponse>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            true
        }
        SdkError::ServiceError(error) => error.raw().status().is_server_error(),
        _ => false,
    }
}

fn has_too_much_to_do(error: &SdkError<RunTaskError, HttpResponse>) -> bool {
    matches!(
        Failure::of_sdk(error),
        Failure::Throttled | Failure::ServerError
    )
}

fn call_failed<E>(call: &'static str) -> impl FnOnce(E) -> FleetError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| FleetError::Call {
        call,
        source: error.into(),
    }
}

fn slot_of(task: &Task) -> Option<u32> {
    let containers = task.overrides()?.container_overrides().iter();
    let variables = containers.flat_map(aws_sdk_ecs::types::ContainerOverride::environment);
    variables
        .into_iter()
        .find(|variable| variable.name() == Some(SLOT))?
        .value()?
        .parse()
        .ok()
}

fn status(task: &Task) -> TaskStatus {
    match task.last_status() {
        Some("RUNNING") => TaskStatus::Running,
        Some("STOPPED") => {
            let container = task
                .containers()
                .iter()
                .find(|container| container.name() == Some(CONTAINER));
            let code = container.and_then(aws_sdk_ecs::types::Container::exit_code);
            let reason = container
                .and_then(|container| container.reason())
                .or(task.stopped_reason());
            let why = match (code, reason) {
                (Some(code), Some(reason)) => format!("exit code {code}, {reason}"),
                (Some(code), None) => format!("exit code {code}"),
                (None, Some(reason)) => reason.to_owned(),
                (None, None) => "stopped without a reason".to_owned(),
            };
            TaskStatus::Stopped {
                why,
                succeeded: code == Some(0),
            }
        }
        other => TaskStatus::Starting(other.unwrap_or("accepted").to_owned()),
    }
}

#[cfg(test)]
#[path = "fargate_tests.rs"]
mod tests;
