//! Describes what exists of a run, service by service and name by name, and deletes it by name.
//!
//! This is the proof that a run left nothing. It needs no state, no journal and no terraform,
//! because every name derives from the run id. A thing whose name does not contain the whole run id
//! is never touched.

use aws_sdk_ecs::error::SdkError;
use aws_sdk_ecs::types::TaskDefinitionStatus;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use cloud::aws::failure::Failure;
use cloud::aws::query::{Query, QueryError, Service};
use cloud::aws::{Aws, explain};
use model::units::RunId;
use provision::journal::GroupChange;
use provision::journal::names::{ResourceKind, Thing};
use provision::settings::{MAY_CHANGE, Settings};

mod ec2;
mod ecr;
mod ecs;
mod iam;
mod logs;
mod s3;
mod setting;

/// The presence of a thing, with the answer that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// The thing does not exist, or no longer.
    Gone {
        /// The call and its answer.
        evidence: String,
    },
    /// The thing exists and is the run's.
    There {
        /// The call and its answer.
        evidence: String,
    },
    /// Something of that name is there, and it is not the run's: as good as gone, and never
    /// touched.
    Foreign {
        /// The call and its answer, and why it is not the run's.
        evidence: String,
    },
    /// The run is in another region: a thing described here by its name proves nothing.
    Elsewhere {
        /// The call and its answer, which tells the other region.
        evidence: String,
    },
}

/// Why a thing could not be described or deleted.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A call without an SDK failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A call of an SDK failed.
    #[error("{call}: {}", explain(source.as_ref()))]
    Call {
        /// The operation, for example `DescribeClusters`.
        call: &'static str,
        /// The kind of the failure, by its code.
        failure: Failure,
        /// The SDK's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer without a part that it should have.
    #[error("{call}: {lacks}")]
    Incomplete {
        /// The operation, for example `DescribeClusters`.
        call: &'static str,
        /// The missing part, in words.
        lacks: &'static str,
    },
    /// A thing of that name is not the run's, so nothing is deleted.
    #[error("{0} does not belong to this run: not touched")]
    Foreign(Thing),
    /// The journal does not tell how a setting was before the run.
    #[error("nothing tells how the {0} was before the run: look at it by hand")]
    UnknownSetting(Thing),
    /// A setting is neither as before nor as the run meant it, and the run has not read it back.
    #[error("{0}")]
    Unexplained(String),
    /// The group does not permit to be changed, and no journal says that it did.
    #[error(
        "the group {0} does not carry the tag {MAY_CHANGE}, so it is not written: put it back by hand, or set the tag"
    )]
    NoConsent(String),
    /// The run is in another region.
    #[error("{0}: to be reaped there")]
    Elsewhere(String),
    /// Tasks were told to stop and are still there.
    #[error("{tasks} tasks have not stopped yet{}", refused.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    StillStopping {
        /// Number of tasks that are still there.
        tasks: usize,
        /// Why a `StopTask` was refused; `None` if none was.
        #[source]
        refused: Option<Box<InventoryError>>,
    },
}

impl InventoryError {
    /// Decides whether and when to try again.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Query(error) => error.failure,
            Self::Call { failure, .. } => *failure,
            Self::Incomplete { .. }
            | Self::Foreign(_)
            | Self::UnknownSetting(_)
            | Self::Elsewhere(_) => Failure::Unknown,
            // No attempt helps; a few cover an answer that is behind.
            Self::Unexplained(_) | Self::NoConsent(_) => Failure::Denied,
            // A refused StopTask does not end the wait for tasks that may be stopping by
            // themselves; without credentials or a right clock nothing of it is known.
            Self::StillStopping { refused, .. } => match refused.as_ref().map(|it| it.failure()) {
                Some(failure @ (Failure::Credentials | Failure::Clock)) => failure,
                _ => Failure::TasksAlive,
            },
        }
    }
}

/// The things of one run in AWS.
#[derive(Debug, Clone)]
pub struct Inventory {
    run: String,
    region: String,
    /// A thing with the run's name is the run's only if it has the run's tag too.
    tagged_only: bool,
    /// The settings of the target's group that the run has changed.
    changes: Vec<GroupChange>,
    /// A change may have been cut off before the run had read it back.
    unsettled: bool,
    settings: Settings,
    query: Query,
    ecs: aws_sdk_ecs::Client,
    ecr: aws_sdk_ecr::Client,
}

impl Inventory {
    /// Returns the things of one run, in the account and region of `aws`; calls nothing yet.
    pub fn new(aws: &Aws, run: &RunId) -> Self {
        Self {
            run: run.to_string(),
            region: aws.region.clone(),
            tagged_only: false,
            changes: Vec::new(),
            unsettled: false,
            settings: Settings::new(aws),
            query: Query::new(aws),
            ecs: aws_sdk_ecs::Client::new(&aws.sdk),
            ecr: aws_sdk_ecr::Client::new(&aws.sdk),
        }
    }

    /// Restricts the inventory to tagged things, for a run of which only the id is known. A cluster
    /// called like a run may be anyone's.
    pub fn tagged_only(self) -> Self {
        Self {
            tagged_only: true,
            ..self
        }
    }

    /// Adds the settings that the run has changed, as its journal has them, and whether the run may
    /// not have read one of them back.
    pub fn with_changes(self, changes: Vec<GroupChange>, unsettled: bool) -> Self {
        Self {
            changes,
            unsettled,
            ..self
        }
    }

    /// Describes a thing by its name in its own service. (The tagging API lists deleted things for
    /// hours.)
    pub async fn exists(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        match self.of_that_name(thing).await? {
            Presence::There { evidence } if !self.is_ours(thing).await? => Ok(Presence::Foreign {
                evidence: format!("{evidence}, without this run's tag: not this run's"),
            }),
            presence => Ok(presence),
        }
    }

    async fn of_that_name(&self, thing: &Thing) -> Result<Presence, InventoryError> {
        let name = &thing.name;
        match thing.kind {
            ResourceKind::GroupSetting => self.setting(thing).await,
            ResourceKind::Tasks => {
                let alive = self.tasks(name).await?;
                Ok(presence(alive.len(), "ListTasks", "tasks"))
            }
            ResourceKind::Cluster => self.cluster(name).await,
            ResourceKind::TaskDefinition => {
                let active = self
                    .task_definitions(name, TaskDefinitionStatus::Active)
                    .await?;
                Ok(presence(
                    active.len(),
                    "ListTaskDefinitions",
                    "active revisions",
                ))
            }
            ResourceKind::Repository => self.repository(name).await,
            ResourceKind::SecurityGroup => {
                let groups = self.security_groups(name).await?;
                Ok(presence(
                    groups.len(),
                    "DescribeSecurityGroups",
                    "groups of that name",
                ))
            }
            ResourceKind::LogGroup => {
                let there = self.log_group(name).await?;
                Ok(presence(
                    usize::from(there),
                    "DescribeLogGroups",
                    "groups of that name",
                ))
            }
            ResourceKind::Role => self.role(name).await,
            // HEAD is answered without a body, so its 404 could be any web server's: a listing says
            // `NoSuchBucket`.
            ResourceKind::Bucket => match self
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

    /// True if a thing is the run's. With `tagged_only`, a thing whose whole name is the run id
    /// must carry the run's tag. Everything else has `spikeproof` in its name or path.
    async fn is_ours(&self, thing: &Thing) -> Result<bool, InventoryError> {
        let tag = match thing.kind {
            _ if !self.tagged_only => return Ok(true),
            ResourceKind::Tasks | ResourceKind::Cluster => self.cluster_tag(&thing.name).await?,
            ResourceKind::TaskDefinition => self.task_definition_tag(&thing.name).await?,
            // Security groups and roles are told apart wherever they are looked at, and settings by
            // their values.
            ResourceKind::GroupSetting
            | ResourceKind::SecurityGroup
            | ResourceKind::Repository
            | ResourceKind::LogGroup
            | ResourceKind::Role
            | ResourceKind::Bucket => {
                return Ok(true);
            }
        };
        Ok(tag.as_ref() == Some(&self.run))
    }

    /// Deletes a thing by its name. A thing that is no longer there counts as deleted.
    /// A setting is put back as it was.
    pub async fn delete(&self, thing: &Thing) -> Result<(), InventoryError> {
        // A setting is the group's, and known from the run's own journal only.
        if thing.kind != ResourceKind::GroupSetting && !thing.name.contains(&self.run) {
            return Err(InventoryError::Foreign(thing.clone()));
        }
        if self.tagged_only && !matches!(self.exists(thing).await?, Presence::There { .. }) {
            return Ok(());
        }
        let name = &thing.name;
        match thing.kind {
            ResourceKind::GroupSetting => self.put_back(thing).await,
            ResourceKind::Tasks => self.stop_tasks(name).await,
            ResourceKind::Cluster => self.delete_cluster(name).await,
            ResourceKind::TaskDefinition => self.delete_task_definitions(name).await,
            ResourceKind::Repository => self.delete_repository(name).await,
            ResourceKind::SecurityGroup => self.delete_security_groups(name).await,
            ResourceKind::LogGroup => {
                let question = serde_json::json!({ "logGroupName": name });
                delete_result(
                    self.query
                        .json(Service::Logs, "DeleteLogGroup", &question)
                        .await,
                )
            }
            ResourceKind::Role => self.delete_role(name).await,
            ResourceKind::Bucket => self.delete_bucket(name).await,
        }
    }
}

/// Returns the presence by the length of a list: an empty one shows that nothing of the kind is
/// there.
fn presence(count: usize, call: &str, what: &str) -> Presence {
    let evidence = format!("{call}: {count} {what}");
    if count == 0 {
        Presence::Gone { evidence }
    } else {
        Presence::There { evidence }
    }
}

/// Returns the presence by an answer. One that is not an error shows the thing; only "not found"
/// shows that it is gone.
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

/// Accepts "not found": a thing that is no longer there is deleted already.
fn delete_result<T>(answer: Result<T, QueryError>) -> Result<(), InventoryError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Converts an SDK's error to ours, with the call that it belongs to.
pub(super) fn call_failed<E>(
    call: &'static str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> InventoryError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    move |error| InventoryError::Call {
        call,
        failure: Failure::of_sdk(&error),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_do_not_stop_are_waited_for_unless_nothing_can_be_asked() {
        let stopping = |failure: Option<Failure>| {
            let refused = failure.map(|failure| {
                Box::new(InventoryError::Call {
                    call: "StopTask",
                    failure,
                    source: "no".into(),
                })
            });
            InventoryError::StillStopping { tasks: 2, refused }
        };
        for (refused, failure) in [
            (None, Failure::TasksAlive),
            (Some(Failure::Denied), Failure::TasksAlive),
            (Some(Failure::Throttled), Failure::TasksAlive),
            (Some(Failure::Clock), Failure::Clock),
            (Some(Failure::Credentials), Failure::Credentials),
        ] {
            assert_eq!(stopping(refused).failure(), failure, "{refused:?}");
        }
        assert_eq!(
            stopping(Some(Failure::Denied)).to_string(),
            "2 tasks have not stopped yet: StopTask: no"
        );
        assert_eq!(stopping(None).to_string(), "2 tasks have not stopped yet");
    }
}
