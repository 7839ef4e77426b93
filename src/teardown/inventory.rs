//! What of a run exists, asked of each service by name; and the same things deleted by name.
//!
//! This is the proof that a run left nothing: it needs no state, no journal and no terraform,
//! because every name derives from the run id. Nothing is ever touched whose name does not contain
//! the whole run id.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecs::types::{ClusterField, DesiredStatus, TaskDefinitionField, TaskDefinitionStatus};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::aws::query::{Query, QueryError, Service, element, elements, encode};
use crate::aws::{Aws, explain};
use crate::journal::names::{Kind, ROLE_PATH, RUN_TAG, Thing};
use crate::units::RunId;

/// StopTask gives a task 30 s; detaching its network interface takes its time after that.
const STOPPING: Duration = Duration::from_secs(180);

/// S3 takes thousands of deletes a second for a prefix; this many connections are polite to
/// everyone between.
const DELETES_AT_ONCE: usize = 16;

/// As many as DeleteTaskDefinitions takes.
const REVISIONS_AT_ONCE: usize = 10;

/// Whether a thing is there, with the answer that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Gone {
        evidence: String,
    },
    There {
        evidence: String,
    },
    /// Something of that name is there, and it is not the run's: as good as gone, and never
    /// touched.
    Foreign {
        evidence: String,
    },
    /// The run's, and the run is in another region: whatever is described here by its name proves
    /// nothing.
    Elsewhere {
        evidence: String,
    },
}

/// Subnets to place tasks in, and the network they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub vpc_id: String,
    pub subnets: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{call}: {why}")]
    Call { call: &'static str, why: String },
    #[error("{0} does not belong to this run: not touched")]
    Foreign(Thing),
    #[error("{0}: to be reaped there")]
    Elsewhere(String),
    #[error("{tasks} tasks have not stopped yet{}", refused.as_ref().map(|why| format!(": StopTask: {why}")).unwrap_or_default())]
    StillStopping {
        tasks: usize,
        refused: Option<String>,
    },
    #[error("{0}")]
    Network(String),
}

/// One run's things in AWS.
#[derive(Debug, Clone)]
pub struct Inventory {
    run: String,
    region: String,
    /// What is called like the run is the run's only if it has its tag too.
    tagged_only: bool,
    query: Query,
    ecs: aws_sdk_ecs::Client,
    ecr: aws_sdk_ecr::Client,
}

impl Inventory {
    pub fn new(aws: &Aws, run: &RunId) -> Self {
        Self {
            run: run.to_string(),
            region: aws.region.clone(),
            tagged_only: false,
            query: Query::new(aws),
            ecs: aws_sdk_ecs::Client::new(&aws.sdk),
            ecr: aws_sdk_ecr::Client::new(&aws.sdk),
        }
    }

    /// For a run of which nothing but its id is known: a cluster called like a run may be anyone's.
    pub fn tagged_only(self) -> Self {
        Self {
            tagged_only: true,
            ..self
        }
    }

    /// Describes a thing by its name in its own service. (The tagging API would list ghosts for
    /// hours.)
    pub async fn exists(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        match self.of_that_name(thing).await? {
            Presence::There { evidence } if !self.is_ours(thing).await? => Ok(Presence::Foreign {
                evidence: format!("{evidence}, without this run's tag: a stranger's"),
            }),
            presence => Ok(presence),
        }
    }

    async fn of_that_name(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        let name = &thing.name;
        match thing.kind {
            Kind::Tasks => {
                let alive = self.tasks(name).await?;
                Ok(presence(alive.len(), "ListTasks", "tasks"))
            }
            Kind::Cluster => self.cluster(name).await,
            Kind::TaskDefinition => {
                let active = self
                    .task_definitions(name, TaskDefinitionStatus::Active)
                    .await?;
                Ok(presence(
                    active.len(),
                    "ListTaskDefinitions",
                    "active revisions",
                ))
            }
            Kind::Repository => self.repository(name).await,
            Kind::SecurityGroup => {
                let groups = self.security_groups(name).await?;
                Ok(presence(
                    groups.len(),
                    "DescribeSecurityGroups",
                    "groups of that name",
                ))
            }
            Kind::LogGroup => {
                let there = self.log_group(name).await?;
                Ok(presence(
                    usize::from(there),
                    "DescribeLogGroups",
                    "groups of that name",
                ))
            }
            Kind::Role => self.role(name).await,
            // HEAD is answered without a body, so its 404 could be any web server's: a listing says
            // `NoSuchBucket`.
            Kind::Bucket => match self
                .query
                .bucket("GET", name, "?list-type=2&max-keys=1")
                .await
            {
                Err(error) if error.code == "PermanentRedirect" => Ok(Presence::Elsewhere {
                    evidence: "ListObjectsV2: in another region".to_owned(),
                }),
                answer => found("ListObjectsV2", answer),
            },
        }
    }

    /// Whether a thing that carries nothing but the run id for a name carries the run's tag too.
    /// Everything else has `spikeproof` in its name or path.
    async fn is_ours(&self, thing: &Thing) -> Result<bool, InventoryError> {
        let tag = match thing.kind {
            _ if !self.tagged_only => return Ok(true),
            Kind::Tasks | Kind::Cluster => self.cluster_tag(&thing.name).await?,
            Kind::TaskDefinition => self.task_definition_tag(&thing.name).await?,
            // Security groups and roles are told apart wherever they are looked at.
            Kind::SecurityGroup | Kind::Repository | Kind::LogGroup | Kind::Role | Kind::Bucket => {
                return Ok(true);
            }
        };
        Ok(tag.as_ref() == Some(&self.run))
    }

    async fn cluster_tag(&self, name: &str) -> Result<Option<String>, InventoryError> {
        let answer = self
            .ecs
            .describe_clusters()
            .clusters(name)
            .include(ClusterField::Tags)
            .send()
            .await
            .map_err(|error| InventoryError::Call {
                call: "DescribeClusters",
                why: explain(&error),
            })?;
        // It was there a moment ago: not knowing its tags is not knowing whose it is.
        let cluster = answer
            .clusters()
            .first()
            .ok_or_else(|| InventoryError::Call {
                call: "DescribeClusters",
                why: "the answer does not have the cluster".to_owned(),
            })?;
        Ok(run_of(cluster.tags()))
    }

    async fn task_definition_tag(&self, family: &str) -> Result<Option<String>, InventoryError> {
        let answer = self
            .ecs
            .describe_task_definition()
            .task_definition(family)
            .include(TaskDefinitionField::Tags)
            .send()
            .await;
        let answer = answer.map_err(|error| InventoryError::Call {
            call: "DescribeTaskDefinition",
            why: explain(&error),
        })?;
        Ok(run_of(answer.tags()))
    }

    /// Deletes a thing by its name. What is not there any more is deleted already.
    pub async fn delete(&self, thing: &Thing) -> Result<(), InventoryError> {
        if !thing.name.contains(&self.run) {
            return Err(InventoryError::Foreign(thing.clone()));
        }
        if self.tagged_only && !matches!(self.exists(thing).await?, Presence::There { .. }) {
            return Ok(());
        }
        let name = &thing.name;
        match thing.kind {
            Kind::Tasks => self.stop_tasks(name).await,
            Kind::Cluster => self.delete_cluster(name).await,
            Kind::TaskDefinition => self.delete_task_definitions(name).await,
            Kind::Repository => self.delete_repository(name).await,
            Kind::SecurityGroup => self.delete_security_groups(name).await,
            Kind::LogGroup => {
                let question = serde_json::json!({ "logGroupName": name });
                gone_is_done(
                    self.query
                        .json(Service::Logs, "DeleteLogGroup", &question)
                        .await,
                )
            }
            Kind::Role => self.delete_role(name).await,
            Kind::Bucket => self.delete_bucket(name).await,
        }
    }

    /// The subnets given, or the default subnets of the default VPC.
    pub async fn network(&self, given: &[String]) -> Result<Network, InventoryError> {
        let names: Vec<String> = (1..=given.len())
            .map(|index| format!("SubnetId.{index}"))
            .collect();
        let parameters: Vec<(&str, &str)> = if given.is_empty() {
            vec![
                ("Filter.1.Name", "default-for-az"),
                ("Filter.1.Value.1", "true"),
            ]
        } else {
            names
                .iter()
                .map(String::as_str)
                .zip(given.iter().map(String::as_str))
                .collect()
        };
        let answer = self
            .query
            .action(Service::Ec2, "DescribeSubnets", &parameters)
            .await?;
        let subnets = elements(&answer, "subnetId");
        let vpcs: BTreeSet<String> = elements(&answer, "vpcId").into_iter().collect();
        let mut vpcs = vpcs.into_iter();
        match (vpcs.next(), vpcs.next()) {
            (Some(vpc_id), None) => Ok(Network { vpc_id, subnets }),
            (None, _) => Err(InventoryError::Network(
                "this region has no default VPC to place tasks in: name subnets in `fleet.subnets`"
                    .to_owned(),
            )),
            (Some(one), Some(other)) => Err(InventoryError::Network(format!(
                "`fleet.subnets` lie in different VPCs ({one}, {other}): name subnets of one"
            ))),
        }
    }

    /// Tasks of a cluster that are not stopped, also those already asked to.
    async fn tasks(&self, cluster: &str) -> Result<Vec<Alive>, InventoryError> {
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
                    Err(error) => {
                        return Err(InventoryError::Call {
                            call: "ListTasks",
                            why: explain(&error),
                        });
                    }
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

    /// At most a page of ListTasks: as many as DescribeTasks takes.
    async fn not_stopped(
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
            .map_err(|error| InventoryError::Call {
                call: "DescribeTasks",
                why: explain(&error),
            })?;
        let mut alive: Vec<Alive> = described.tasks().iter().filter_map(Alive::read).collect();
        // One that is listed as running and that ECS cannot describe may run. One that has stopped
        // is forgotten in time.
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
    async fn stop_tasks(&self, cluster: &str) -> Result<(), InventoryError> {
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
                // One that has just ended is no error; one that cannot be stopped is seen again
                // next time.
                let answer = self
                    .ecs
                    .stop_task()
                    .cluster(cluster)
                    .task(&task.arn)
                    .reason("the run is over")
                    .send();
                if let Err(error) = answer.await {
                    refused = Some(explain(&error));
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn cluster(&self, name: &str) -> Result<Presence, InventoryError> {
        let answer = self
            .ecs
            .describe_clusters()
            .clusters(name)
            .send()
            .await
            .map_err(|error| InventoryError::Call {
                call: "DescribeClusters",
                why: explain(&error),
            })?;
        let status = answer
            .clusters()
            .first()
            .and_then(|cluster| cluster.status());
        let missing = answer
            .failures()
            .first()
            .and_then(|failure| failure.reason());
        let Some(status) = status.or(missing) else {
            let why = "the answer names neither a cluster nor why there is none".to_owned();
            return Err(InventoryError::Call {
                call: "DescribeClusters",
                why,
            });
        };
        let evidence = format!("DescribeClusters: {status}");
        Ok(match status {
            "MISSING" | "INACTIVE" => Presence::Gone { evidence },
            _ => Presence::There { evidence },
        })
    }

    async fn delete_cluster(&self, name: &str) -> Result<(), InventoryError> {
        match self.ecs.delete_cluster().cluster(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ClusterNotFoundException") => Ok(()),
            Err(error) => Err(InventoryError::Call {
                call: "DeleteCluster",
                why: explain(&error),
            }),
        }
    }

    async fn task_definitions(
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
            arns.push(arn.map_err(|error| InventoryError::Call {
                call: "ListTaskDefinitions",
                why: explain(&error),
            })?);
        }
        // It is called a prefix: `sp-01j9z3k4m5-copy` would be a guest's.
        arns.retain(|arn| family_of(arn) == Some(family));
        Ok(arns)
    }

    async fn delete_task_definitions(&self, family: &str) -> Result<(), InventoryError> {
        for arn in self
            .task_definitions(family, TaskDefinitionStatus::Active)
            .await?
        {
            self.ecs
                .deregister_task_definition()
                .task_definition(&arn)
                .send()
                .await
                .map_err(|error| InventoryError::Call {
                    call: "DeregisterTaskDefinition",
                    why: explain(&error),
                })?;
        }
        // What is deregistered costs nothing and counts as gone; deleting it only tidies, so its
        // failure is no failure.
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

    async fn repository(&self, name: &str) -> Result<Presence, InventoryError> {
        match self
            .ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await
        {
            Ok(_) => Ok(Presence::There {
                evidence: "DescribeRepositories: found".to_owned(),
            }),
            Err(error) if error.code() == Some("RepositoryNotFoundException") => {
                Ok(Presence::Gone {
                    evidence: "DescribeRepositories: RepositoryNotFoundException".to_owned(),
                })
            }
            Err(error) => Err(InventoryError::Call {
                call: "DescribeRepositories",
                why: explain(&error),
            }),
        }
    }

    async fn delete_repository(&self, name: &str) -> Result<(), InventoryError> {
        match self
            .ecr
            .delete_repository()
            .repository_name(name)
            .force(true)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("RepositoryNotFoundException") => Ok(()),
            Err(error) => Err(InventoryError::Call {
                call: "DeleteRepository",
                why: explain(&error),
            }),
        }
    }

    async fn security_groups(&self, name: &str) -> Result<Vec<String>, InventoryError> {
        let filter = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", name)];
        let answer = self
            .query
            .action(Service::Ec2, "DescribeSecurityGroups", &filter)
            .await?;
        let answer: SecurityGroups =
            quick_xml::de::from_str(&answer).map_err(|error| InventoryError::Call {
                call: "DescribeSecurityGroups",
                why: error.to_string(),
            })?;
        // Rules name other groups by id: only the groups listed themselves count. A name is
        // anyone's to give, in every VPC: ours was made with its tag.
        let ours =
            |group: &SecurityGroup| group.name == name && group.tags.run() == Some(&self.run);
        Ok(answer
            .info
            .item
            .into_iter()
            .filter(ours)
            .map(|group| group.id)
            .collect())
    }

    async fn delete_security_groups(&self, name: &str) -> Result<(), InventoryError> {
        // Group names are anyone's to choose: one that only contains the run id may be a guest's.
        if name != self.run {
            return Err(InventoryError::Foreign(Thing {
                kind: Kind::SecurityGroup,
                name: name.to_owned(),
            }));
        }
        for id in self.security_groups(name).await? {
            gone_is_done(
                self.query
                    .action(Service::Ec2, "DeleteSecurityGroup", &[("GroupId", &id)])
                    .await,
            )?;
        }
        Ok(())
    }

    async fn log_group(&self, name: &str) -> Result<bool, InventoryError> {
        let question = serde_json::json!({ "logGroupNamePrefix": name });
        let answer = self
            .query
            .json(Service::Logs, "DescribeLogGroups", &question)
            .await?;
        // An answer without the list says nothing about what is in it.
        let groups = answer
            .get("logGroups")
            .and_then(|groups| groups.as_array())
            .ok_or_else(|| InventoryError::Call {
                call: "DescribeLogGroups",
                why: "the answer has no `logGroups`".to_owned(),
            })?;
        Ok(groups
            .iter()
            .any(|group| group.get("logGroupName").and_then(|found| found.as_str()) == Some(name)))
    }

    /// Role names are one per account, whatever their path: one of another path is somebody else's.
    async fn role(&self, name: &str) -> Result<Presence, InventoryError> {
        let answer = self
            .query
            .action(Service::Iam, "GetRole", &[("RoleName", name)])
            .await;
        let path = answer
            .as_deref()
            .ok()
            .and_then(|answer| element(answer, "Path"));
        if let Some(path) = path.filter(|path| path != ROLE_PATH) {
            return Ok(Presence::Foreign {
                evidence: format!("GetRole: of path {path}: a stranger's"),
            });
        }
        // Roles are of no region: a run's are seen from all of them.
        let region = answer.as_deref().ok().and_then(trusted_region);
        if let Some(region) = region.filter(|region| *region != self.region) {
            return Ok(Presence::Elsewhere {
                evidence: format!("GetRole: of a run in {region}"),
            });
        }
        found("GetRole", answer)
    }

    async fn delete_role(&self, name: &str) -> Result<(), InventoryError> {
        match self.role(name).await? {
            Presence::There { .. } => {}
            Presence::Gone { .. } | Presence::Foreign { .. } => return Ok(()),
            Presence::Elsewhere { evidence } => return Err(InventoryError::Elsewhere(evidence)),
        }
        let role = ("RoleName", name);
        let inline = self
            .query
            .action(Service::Iam, "ListRolePolicies", &[role])
            .await;
        if inline.as_ref().is_err_and(QueryError::not_found) {
            return Ok(());
        }
        for policy in elements(&inline?, "member") {
            gone_is_done(
                self.query
                    .action(
                        Service::Iam,
                        "DeleteRolePolicy",
                        &[role, ("PolicyName", &policy)],
                    )
                    .await,
            )?;
        }
        let attached = self
            .query
            .action(Service::Iam, "ListAttachedRolePolicies", &[role])
            .await?;
        for policy in elements(&attached, "PolicyArn") {
            gone_is_done(
                self.query
                    .action(
                        Service::Iam,
                        "DetachRolePolicy",
                        &[role, ("PolicyArn", &policy)],
                    )
                    .await,
            )?;
        }
        gone_is_done(self.query.action(Service::Iam, "DeleteRole", &[role]).await)
    }

    /// Empties the bucket, page by page, and deletes it.
    async fn delete_bucket(&self, name: &str) -> Result<(), InventoryError> {
        loop {
            let page = self.query.bucket("GET", name, "?list-type=2").await;
            if page.as_ref().is_err_and(QueryError::not_found) {
                return Ok(());
            }
            let page = page?;
            self.delete_objects(name, &elements(&page, "Key")).await?;
            // What was listed is gone, so the next page is the first again.
            if element(&page, "IsTruncated").as_deref() != Some("true") {
                break;
            }
        }
        gone_is_done(self.query.bucket("DELETE", name, "").await)
    }

    async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), InventoryError> {
        let key: Vec<String> = key.split('/').map(encode).collect();
        gone_is_done(
            self.query
                .bucket("DELETE", bucket, &format!("/{}", key.join("/")))
                .await,
        )
    }

    /// A long run leaves thousands of intervals: one after the other they would take minutes.
    async fn delete_objects(&self, bucket: &str, keys: &[String]) -> Result<(), InventoryError> {
        let mut calls: Vec<BoxFuture<Result<(), InventoryError>>> = Vec::new();
        for key in keys {
            calls.push(Box::pin(self.delete_object(bucket, key)));
        }
        let mut deletes = futures_util::stream::iter(calls).buffer_unordered(DELETES_AT_ONCE);
        while let Some(deleted) = deletes.next().await {
            deleted?;
        }
        Ok(())
    }
}

/// A task that has not stopped.
#[derive(Debug, PartialEq, Eq)]
struct Alive {
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

#[derive(Deserialize)]
struct SecurityGroups {
    #[serde(rename = "securityGroupInfo")]
    info: SecurityGroupInfo,
}

#[derive(Deserialize)]
struct SecurityGroupInfo {
    #[serde(default)]
    item: Vec<SecurityGroup>,
}

#[derive(Deserialize)]
struct SecurityGroup {
    #[serde(rename = "groupId")]
    id: String,
    #[serde(rename = "groupName")]
    name: String,
    #[serde(rename = "tagSet", default)]
    tags: Tags,
}

#[derive(Default, Deserialize)]
struct Tags {
    #[serde(default)]
    item: Vec<Tag>,
}

impl Tags {
    fn run(&self) -> Option<&String> {
        self.item
            .iter()
            .find(|tag| tag.key == RUN_TAG)
            .map(|tag| &tag.value)
    }
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

fn run_of(tags: &[aws_sdk_ecs::types::Tag]) -> Option<String> {
    tags.iter()
        .find(|tag| tag.key() == Some(RUN_TAG))
        .and_then(|tag| tag.value())
        .map(str::to_owned)
}

/// `arn:aws:ecs:eu-west-1:123456789012:task-definition/FAMILY:7`
fn family_of(arn: &str) -> Option<&str> {
    arn.rsplit_once('/')?.1.split(':').next()
}

fn presence(count: usize, call: &str, what: &str) -> Presence {
    let evidence = format!("{call}: {count} {what}");
    if count == 0 {
        Presence::Gone { evidence }
    } else {
        Presence::There { evidence }
    }
}

/// The region whose tasks may take a run's role, as its trust says: `arn:aws:ecs:REGION:ACCOUNT:*`.
fn trusted_region(role: &str) -> Option<String> {
    let document = element(role, "AssumeRolePolicyDocument")?;
    let trust = percent_encoding::percent_decode_str(&document)
        .decode_utf8()
        .ok()?;
    let (_, source) = trust.split_once(":ecs:")?;
    source
        .split(':')
        .next()
        .filter(|region| !region.is_empty() && !region.contains('*'))
        .map(str::to_owned)
}

fn found(call: &str, answer: Result<String, QueryError>) -> Result<Presence, InventoryError> {
    match answer {
        Ok(_) => Ok(Presence::There {
            evidence: format!("{call}: found"),
        }),
        Err(error) if error.not_found() => Ok(Presence::Gone {
            evidence: format!("{call}: {}", error.code),
        }),
        Err(error) => Err(error.into()),
    }
}

fn gone_is_done<T>(answer: Result<T, QueryError>) -> Result<(), InventoryError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Task;

    use super::*;

    #[test]
    fn a_role_tells_the_region_of_the_tasks_that_may_take_it() {
        let role = |trust: &str| {
            let encoded = crate::aws::query::encode(trust);
            format!("<r><AssumeRolePolicyDocument>{encoded}</AssumeRolePolicyDocument></r>")
        };
        let ours =
            r#"{"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:ecs:us-east-1:123456789012:*"}}}"#;
        assert_eq!(trusted_region(&role(ours)).as_deref(), Some("us-east-1"));
        for trust in [
            "{}",
            r#"{"aws:SourceArn":"arn:aws:ecs:*:123456789012:*"}"#,
            "",
        ] {
            assert_eq!(trusted_region(&role(trust)), None, "{trust}");
        }
    }

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

    #[test]
    fn a_group_named_in_a_rule_is_not_a_group_of_ours() {
        let answer = "<DescribeSecurityGroupsResponse><requestId>r</requestId><securityGroupInfo><item>
            <ownerId>1</ownerId><groupId>sg-ours</groupId><groupName>sp-01j9z3k4m5</groupName>
            <ipPermissions><item><groups><item><groupId>sg-foreign</groupId></item></groups></item></ipPermissions>
            <tagSet><item><key>spikeproof:run</key><value>sp-01j9z3k4m5</value></item></tagSet>
            </item></securityGroupInfo></DescribeSecurityGroupsResponse>";
        let answer: SecurityGroups = quick_xml::de::from_str(answer).unwrap();
        assert_eq!(
            answer
                .info
                .item
                .iter()
                .map(|group| group.id.as_str())
                .collect::<Vec<_>>(),
            ["sg-ours"]
        );
        assert_eq!(
            answer.info.item[0].tags.run(),
            Some(&"sp-01j9z3k4m5".to_owned())
        );
        let none =
            "<DescribeSecurityGroupsResponse><securityGroupInfo/></DescribeSecurityGroupsResponse>";
        let none: SecurityGroups = quick_xml::de::from_str(none).unwrap();
        assert!(none.info.item.is_empty());
    }
}
