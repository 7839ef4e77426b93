//! The name of everything a run could have made. All of them derive from the run id, so that what
//! is left can be found without state, journal or terraform. `terraform/names.tf` says the same; a
//! test keeps the two equal.

use serde::{Deserialize, Serialize};

use model::units::RunId;

/// IAM path of the roles.
pub const ROLE_PATH: &str = "/spikeproof/";

/// The tag of everything a run makes; its value is the run id.
pub const RUN_TAG: &str = "spikeproof:run";
/// The tag that names the group or service that a run tests.
pub const TARGET_TAG: &str = "spikeproof:target";
/// The tag of a run that changes its group for a time; it names the group.
pub const CHANGES_TAG: &str = "spikeproof:changes";
/// The longest value of a tag (AWS).
const TAG_VALUE: usize = 256;
/// The start of the names of buckets.
pub const BUCKET_PREFIX: &str = "spikeproof-";
/// The start of the names of repositories.
pub const REPOSITORY_PREFIX: &str = "spikeproof/";
/// The start of the names of log groups.
pub const LOG_GROUP_PREFIX: &str = "/spikeproof/";

/// Returns the value of the target tag for a group or service. A group's name may have characters
/// that a tag must not have.
pub fn target_tag(subject: &str) -> String {
    let may_stay = |one: &char| one.is_alphanumeric() || " +-=._:/@".contains(*one);
    let allowed = subject
        .chars()
        .map(|one| if may_stay(&one) { one } else { '_' });
    allowed.take(TAG_VALUE).collect()
}

/// One thing in AWS, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thing {
    /// The kind of resource.
    pub kind: ResourceKind,
    /// Its name in AWS; of tasks, that of their cluster.
    pub name: String,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// The kinds of resources that a run makes, in the order in which they can be deleted. First come
/// the settings that it changes: they are put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A setting of the target's group that the run has changed. It is gone when it is as it was
    /// before the run. Only the journal knows how that was.
    GroupSetting,
    /// All tasks of the run's cluster: the only thing that costs by the hour. Its name is the
    /// cluster's.
    Tasks,
    /// The ECS cluster.
    Cluster,
    /// The ECS task definition: all revisions of the family.
    TaskDefinition,
    /// The ECR repository of the generator image.
    Repository,
    /// The security group of the tasks.
    SecurityGroup,
    /// The log group of the tasks.
    LogGroup,
    /// An IAM role: execution role or task role.
    Role,
    /// Last: it holds the channel.
    Bucket,
}

impl ResourceKind {
    /// Returns the words for people, for example `ECR repository`.
    pub fn word(self) -> &'static str {
        match self {
            Self::GroupSetting => "changed setting of group",
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
    /// The ECS cluster.
    pub cluster: String,
    /// The family of the task definition.
    pub family: String,
    /// The ECR repository.
    pub repository: String,
    /// The security group.
    pub security_group: String,
    /// The CloudWatch log group.
    pub log_group: String,
    /// The role that ECS pulls the image and writes logs with.
    pub execution_role: String,
    /// The role that the generator itself has.
    pub task_role: String,
    /// The bucket of the channel.
    pub bucket: String,
}

impl ResourceNames {
    /// Returns all names of this run.
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

    /// Returns all things, in the order of deletion.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_tag_may_have_is_made_one() {
        for (subject, tag) in [
            ("shop-web", "shop-web"),
            ("lab/web", "lab/web"),
            ("shop (green) #2", "shop _green_ _2"),
        ] {
            assert_eq!(target_tag(subject), tag);
        }
        assert_eq!(target_tag(&"x".repeat(300)).len(), TAG_VALUE);
    }
}
