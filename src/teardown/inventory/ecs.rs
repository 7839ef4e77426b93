//! Tasks, clusters and task definitions, by the name of their cluster or family.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecs::types::{ClusterField, DesiredStatus, TaskDefinitionField, TaskDefinitionStatus};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::{Instant, sleep};

use super::{Inventory, InventoryError, Presence, call_failed};
use cloud::aws::explain;
use provision::journal::names::RUN_TAG;

/// StopTask gives a task 30 s; detaching its network interface takes its time after that.
const STOPPING: Duration = Duration::from_mins(3);

/// The most revisions of one DeleteTaskDefinitions.
const REVISIONS_AT_ONCE: usize = 10;

impl Inventory {
    /// Tasks of a cluster that are not stopped, also those already asked to.
    pub(super) async fn tasks(&self, cluster: &str) -> Result<Vec<Alive>, InventoryError> {
        let mut alive = Vec::new();
        for desired in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let mut token = None;
            loop {
                let page = self
                    .ecs
                    .list_tasks()
                    .cluster(cluster)
                    .desired_status(desired.clone())
                    .set_next_token(token);
                let page = match page.send().await {
                    Ok(page) => page,
                    Err(error) if error.code() == Some("ClusterNotFoundException") => {
                        return Ok(Vec::new());
                    }
                    Err(error) => return Err(call_failed("ListTasks")(error)),
                };
                alive.extend(
                    self.not_stopped(cluster, &desired, page.task_arns())
                        .await?,
                );
                token = page.next_token().map(str::to_owned);
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(alive)
    }

    /// Returns at most a page of ListTasks: DescribeTasks takes no more.
    pub(super) async fn not_stopped(
        &self,
        cluster: &str,
        desired: &DesiredStatus,
        arns: &[String],
    ) -> Result<Vec<Alive>, InventoryError> {
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described = self
            .ecs
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(arns.to_vec()))
            .send()
            .await
            .map_err(call_failed("DescribeTasks"))?;
        let mut alive: Vec<Alive> = described.tasks().iter().filter_map(Alive::read).collect();
        // A task that is listed as running but cannot be described may run. A stopped task is
        // dropped from ECS's lists in time.
        if *desired == DesiredStatus::Running {
            let known: BTreeSet<&str> = described
                .tasks()
                .iter()
                .filter_map(|task| task.task_arn())
                .collect();
            let unknown = arns.iter().filter(|arn| !known.contains(arn.as_str()));
            alive.extend(unknown.map(|arn| Alive {
                arn: arn.clone(),
                asked_to_stop: false,
            }));
        }
        Ok(alive)
    }

    /// Asks every task to stop, and waits until none is alive.
    pub(super) async fn stop_tasks(&self, cluster: &str) -> Result<(), InventoryError> {
        let give_up = Instant::now() + STOPPING;
        let mut refused = None;
        loop {
            let alive = self.tasks(cluster).await?;
            if alive.is_empty() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                return Err(InventoryError::StillStopping {
                    tasks: alive.len(),
                    refused,
                });
            }
            for task in alive.iter().filter(|task| !task.asked_to_stop) {
                // A task that has just ended is no error; a task that cannot be stopped is seen
                // again next time.
                let answer = self
                    .ecs
                    .stop_task()
                    .cluster(cluster)
                    .task(&task.arn)
                    .reason("the run is over")
                    .send();
                if let Err(error) = answer.await {
                    refused = Some(Box::new(call_failed("StopTask")(error)));
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    pub(super) async fn cluster(&self, name: &str) -> Result<Presence, InventoryError> {
        let answer = self
            .ecs
            .describe_clusters()
            .clusters(name)
            .send()
            .await
            .map_err(call_failed("DescribeClusters"))?;
        let status = answer
            .clusters()
            .first()
            .and_then(|cluster| cluster.status());
        let missing = answer
            .failures()
            .first()
            .and_then(|failure| failure.reason());
        let Some(status) = status.or(missing) else {
            return Err(InventoryError::Incomplete {
                call: "DescribeClusters",
                lacks: "the answer names neither a cluster nor why there is none",
            });
        };
        let evidence = format!("DescribeClusters: {status}");
        Ok(match status {
            "MISSING" | "INACTIVE" => Presence::Gone { evidence },
            _ => Presence::There { evidence },
        })
    }

    pub(super) async fn delete_cluster(&self, name: &str) -> Result<(), InventoryError> {
        match self.ecs.delete_cluster().cluster(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ClusterNotFoundException") => Ok(()),
            Err(error) => Err(call_failed("DeleteCluster")(error)),
        }
    }

    pub(super) async fn task_definitions(
        &self,
        family: &str,
        status: TaskDefinitionStatus,
    ) -> Result<Vec<String>, InventoryError> {
        let mut pages = self
            .ecs
            .list_task_definitions()
            .family_prefix(family)
            .status(status)
            .into_paginator()
            .items()
            .send();
        let mut arns = Vec::new();
        while let Some(arn) = pages.next().await {
            arns.push(arn.map_err(call_failed("ListTaskDefinitions"))?);
        }
        // ECS takes the family as a prefix: `sp-01j9z3k4m5-copy` would be somebody else's.
        arns.retain(|arn| family_of(arn) == Some(family));
        Ok(arns)
    }

    pub(super) async fn delete_task_definitions(&self, family: &str) -> Result<(), InventoryError> {
        for arn in self
            .task_definitions(family, TaskDefinitionStatus::Active)
            .await?
        {
            self.ecs
                .deregister_task_definition()
                .task_definition(&arn)
                .send()
                .await
                .map_err(call_failed("DeregisterTaskDefinition"))?;
        }
        // A deregistered revision costs nothing and counts as gone. Deleting it only tidies up, so
        // its failure is ignored.
        let inactive = self
            .task_definitions(family, TaskDefinitionStatus::Inactive)
            .await?;
        for revisions in inactive.chunks(REVISIONS_AT_ONCE) {
            let answer = self
                .ecs
                .delete_task_definitions()
                .set_task_definitions(Some(revisions.to_vec()))
                .send()
                .await;
            if let Err(error) = answer {
                tracing::debug!(
                    family,
                    error = explain(&error),
                    "deregistered task definitions stay listed"
                );
            }
        }
        Ok(())
    }

    pub(super) async fn cluster_tag(&self, name: &str) -> Result<Option<String>, InventoryError> {
        let answer = self
            .ecs
            .describe_clusters()
            .clusters(name)
            .include(ClusterField::Tags)
            .send()
            .await
            .map_err(call_failed("DescribeClusters"))?;
        // It was there a moment ago: without its tags it is not known whose it is.
        let cluster = answer
            .clusters()
            .first()
            .ok_or(InventoryError::Incomplete {
                call: "DescribeClusters",
                lacks: "the answer does not have the cluster",
            })?;
        Ok(run_of(cluster.tags()))
    }

    pub(super) async fn task_definition_tag(
        &self,
        family: &str,
    ) -> Result<Option<String>, InventoryError> {
        let answer = self
            .ecs
            .describe_task_definition()
            .task_definition(family)
            .include(TaskDefinitionField::Tags)
            .send()
            .await;
        let answer = answer.map_err(call_failed("DescribeTaskDefinition"))?;
        Ok(run_of(answer.tags()))
    }
}

/// A task that has not stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alive {
    arn: String,
    asked_to_stop: bool,
}

impl Alive {
    fn read(task: &aws_sdk_ecs::types::Task) -> Option<Self> {
        if task.last_status() == Some("STOPPED") {
            return None;
        }
        Some(Self {
            arn: task.task_arn()?.to_owned(),
            asked_to_stop: task.desired_status() == Some("STOPPED"),
        })
    }
}

fn run_of(tags: &[aws_sdk_ecs::types::Tag]) -> Option<String> {
    tags.iter()
        .find(|tag| tag.key() == Some(RUN_TAG))
        .and_then(|tag| tag.value())
        .map(str::to_owned)
}

/// Returns the family of `arn:aws:ecs:eu-west-1:123456789012:task-definition/FAMILY:7`.
fn family_of(arn: &str) -> Option<&str> {
    arn.rsplit_once('/')?.1.split(':').next()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Task;

    use super::*;

    #[test]
    fn a_family_that_only_begins_like_ours_is_a_guests() {
        for (arn, family) in [
            (
                "arn:aws:ecs:eu-west-1:1:task-definition/sp-01j9z3k4m5:7",
                Some("sp-01j9z3k4m5"),
            ),
            (
                "arn:aws:ecs:eu-west-1:1:task-definition/sp-01j9z3k4m5-copy:7",
                Some("sp-01j9z3k4m5-copy"),
            ),
            ("nonsense", None),
        ] {
            assert_eq!(family_of(arn), family);
        }
    }

    #[test]
    fn a_task_is_alive_until_it_has_stopped_and_is_asked_once() {
        let task = |last: &str, desired: &str| {
            Alive::read(
                &Task::builder()
                    .task_arn("t")
                    .last_status(last)
                    .desired_status(desired)
                    .build(),
            )
            .map(|alive| alive.asked_to_stop)
        };
        assert_eq!(task("PROVISIONING", "RUNNING"), Some(false));
        assert_eq!(task("RUNNING", "RUNNING"), Some(false));
        assert_eq!(task("DEPROVISIONING", "STOPPED"), Some(true));
        assert_eq!(task("STOPPED", "STOPPED"), None);
    }
}
