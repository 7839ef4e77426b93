//! The name of everything a run could have made. All of them derive from the run id, so that what
//! is left can be found without state, journal or terraform. `terraform/names.tf` says the same; a
//! test keeps the two equal.

use serde::{Deserialize, Serialize};

use model::units::RunId;

/// IAM path of the roles.
pub const ROLE_PATH: &str = "/spikeproof/";

/// On everything a run makes; its value is the run id.
pub const RUN_TAG: &str = "spikeproof:run";
/// What the names of buckets, repositories and log groups begin with.
pub const BUCKET_PREFIX: &str = "spikeproof-";
pub const REPOSITORY_PREFIX: &str = "spikeproof/";
pub const LOG_GROUP_PREFIX: &str = "/spikeproof/";

/// One thing in AWS, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thing {
    pub kind: ResourceKind,
    pub name: String,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// What a run makes. The order is the order in which they can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// All tasks of the run's cluster: the only thing that costs by the hour. Its name is the
    /// cluster's.
    Tasks,
    Cluster,
    TaskDefinition,
    Repository,
    SecurityGroup,
    LogGroup,
    Role,
    /// Last: it holds the channel.
    Bucket,
}

impl ResourceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks of cluster",
            Self::Cluster => "cluster",
            Self::TaskDefinition => "task definition",
            Self::Repository => "ECR repository",
            Self::SecurityGroup => "security group",
            Self::LogGroup => "log group",
            Self::Role => "role",
            Self::Bucket => "bucket",
        }
    }
}

/// The names of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceNames {
    pub cluster: String,
    pub family: String,
    pub repository: String,
    pub security_group: String,
    pub log_group: String,
    pub execution_role: String,
    pub task_role: String,
    pub bucket: String,
}

impl ResourceNames {
    pub fn of(run: &RunId) -> Self {
        Self {
            cluster: run.to_string(),
            family: run.to_string(),
            repository: format!("{REPOSITORY_PREFIX}{run}"),
            security_group: run.to_string(),
            log_group: format!("{LOG_GROUP_PREFIX}{run}"),
            execution_role: format!("{run}-execution"),
            task_role: format!("{run}-task"),
            bucket: format!("{BUCKET_PREFIX}{run}"),
        }
    }

    /// Everything, in the order of deletion.
    pub fn things(&self) -> Vec<Thing> {
        let thing = |kind, name: &str| Thing {
            kind,
            name: name.to_owned(),
        };
        vec![
            thing(ResourceKind::Tasks, &self.cluster),
            thing(ResourceKind::Cluster, &self.cluster),
            thing(ResourceKind::TaskDefinition, &self.family),
            thing(ResourceKind::Repository, &self.repository),
            thing(ResourceKind::SecurityGroup, &self.security_group),
            thing(ResourceKind::LogGroup, &self.log_group),
            thing(ResourceKind::Role, &self.execution_role),
            thing(ResourceKind::Role, &self.task_role),
            thing(ResourceKind::Bucket, &self.bucket),
        ]
    }
}
