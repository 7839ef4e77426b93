//! Reads and writes settings of the target's group as a whole: its policies, its minimum and
//! maximum.
//!
//! A policy is carried as AWS returned it, field by field, known or not. So what is put back is
//! what was there.

use cloud::aws::Aws;
use cloud::aws::query::{Query, QueryError, Service, members};

use crate::journal::change::{Aside, GroupChange, Parameters, Setting};

/// The tag that permits a run to change a group for a time. Its value must not be one of the
/// `REFUSALS`.
pub const MAY_CHANGE: &str = "spikeproof:may-change";

/// Values with which the tag permits nothing, in any case of letters.
const REFUSALS: [&str; 5] = ["", "no", "false", "off", "0"];

/// AWS makes these itself: no call takes them.
const MADE_BY_AWS: [&str; 2] = ["PolicyARN", "Alarms."];

/// An Auto Scaling group as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentGroup {
    /// `MinSize` and `MaxSize`.
    pub sizes: Parameters,
    /// `DesiredCapacity`, as far as it is a number.
    pub desired: Option<u32>,
    /// Instances in service.
    pub in_service: usize,
    /// Names of suspended processes, for example `Terminate`.
    pub suspended: Vec<String>,
    /// True if new instances are protected from scale-in.
    pub protects_new: bool,
    /// True if the group has the tag [`MAY_CHANGE`] with a value that does not refuse.
    pub may_change: bool,
}

/// The settings of the groups of an account and region.
#[derive(Debug, Clone)]
pub struct Settings {
    query: Query,
}

impl Settings {
    /// Calls with the credentials and the region of `aws`; sends nothing yet.
    pub fn new(aws: &Aws) -> Self {
        Self {
            query: Query::new(aws),
        }
    }

    /// Returns the group; `None` if there is none of this name.
    pub async fn group(&self, name: &str) -> Result<Option<PresentGroup>, QueryError> {
        let query = &self.query;
        let asked = [("AutoScalingGroupNames.member.1", name)];
        let answer = query
            .action(Service::Autoscaling, "DescribeAutoScalingGroups", &asked)
            .await?;
        let groups = listed("DescribeAutoScalingGroups", &answer, "AutoScalingGroups")?;
        Ok(groups.first().map(PresentGroup::of))
    }

    /// Returns the policies of a group, at most a hundred. The group must exist.
    pub async fn policies(&self, group: &str) -> Result<Vec<Parameters>, QueryError> {
        let mut policies = self.described_policies(group).await?;
        for policy in &mut policies {
            policy.retain(|name, _| !MADE_BY_AWS.iter().any(|own| name.starts_with(own)));
        }
        Ok(policies)
    }

    async fn described_policies(&self, group: &str) -> Result<Vec<Parameters>, QueryError> {
        let query = &self.query;
        let asked = [("AutoScalingGroupName", group), ("MaxRecords", "100")];
        let answer = query
            .action(Service::Autoscaling, "DescribePolicies", &asked)
            .await?;
        listed("DescribePolicies", &answer, "ScalingPolicies")
    }

    /// Returns the present values that AWS itself changes with a setting.
    pub async fn aside(&self, change: &GroupChange) -> Result<Aside, QueryError> {
        match &change.setting {
            Setting::Sizes => Ok(Aside {
                desired: self
                    .group(&change.group)
                    .await?
                    .and_then(|group| group.desired),
                alarms: Vec::new(),
            }),
            Setting::Policy { name } => {
                let policies = self.described_policies(&change.group).await?;
                let is_it = |policy: &&Parameters| policy.get("PolicyName") == Some(name);
                Ok(Aside {
                    desired: None,
                    alarms: policies.iter().find(is_it).map(alarms).unwrap_or_default(),
                })
            }
        }
    }

    /// Returns the present setting that a change is about; `None` if the group or the policy does
    /// not exist.
    pub async fn read(&self, change: &GroupChange) -> Result<Option<Parameters>, QueryError> {
        let Some(group) = self.group(&change.group).await? else {
            return Ok(None);
        };
        match &change.setting {
            Setting::Sizes => Ok(Some(group.sizes)),
            Setting::Policy { name } => {
                let policies = self.policies(&change.group).await?;
                let is_it = |policy: &Parameters| policy.get("PolicyName") == Some(name);
                Ok(policies.into_iter().find(is_it))
            }
        }
    }

    /// Writes the setting as it is during the run. Its intent must be in the journal.
    pub async fn put(&self, change: &GroupChange) -> Result<(), QueryError> {
        self.write(change, &change.written()).await
    }

    /// Writes the fields that still have the run's value as they were before it. All else stays as
    /// it is now.
    pub async fn put_back(&self, change: &GroupChange, now: &Parameters) -> Result<(), QueryError> {
        self.write(change, &change.restored(now)).await
    }

    async fn write(&self, change: &GroupChange, setting: &Parameters) -> Result<(), QueryError> {
        let query = &self.query;
        let mut asked = vec![("AutoScalingGroupName", change.group.as_str())];
        let own = setting
            .iter()
            .filter(|(name, _)| name.as_str() != "AutoScalingGroupName");
        asked.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        match change.setting {
            Setting::Policy { .. } => {
                query
                    .action(Service::Autoscaling, "PutScalingPolicy", &asked)
                    .await?;
            }
            Setting::Sizes => {
                query
                    .action(Service::Autoscaling, "UpdateAutoScalingGroup", &asked)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Returns the names of a policy's alarms.
fn alarms(policy: &Parameters) -> Vec<String> {
    let is_name = |name: &str| name.starts_with("Alarms.") && name.ends_with(".AlarmName");
    let named = policy.iter().filter(|(name, _)| is_name(name));
    let mut names: Vec<String> = named.map(|(_, alarm)| alarm.clone()).collect();
    names.sort();
    names
}

/// Returns the members of a list. An answer without the list says nothing of what is there.
fn listed(action: &str, answer: &str, list: &str) -> Result<Vec<Parameters>, QueryError> {
    members(answer, list).ok_or_else(|| QueryError::lacks(action, list))
}

impl PresentGroup {
    fn of(described: &Parameters) -> Self {
        let size = |name: &str| {
            let value = described.get(name)?.clone();
            Some((name.to_owned(), value))
        };
        let is = |end: &'static str, text: &'static str| {
            described
                .iter()
                .filter(move |(name, value)| name.ends_with(end) && *value == text)
        };
        let in_service = is(".LifecycleState", "InService")
            .filter(|(name, _)| name.starts_with("Instances."))
            .count();
        let permits = |key: &str| {
            let tag = key.strip_suffix(".Key").unwrap_or(key);
            let value = described.get(&format!("{tag}.Value"));
            let value = value.map_or("", |value| value.trim());
            !REFUSALS.iter().any(|no| value.eq_ignore_ascii_case(no))
        };
        let may_change =
            is(".Key", MAY_CHANGE).any(|(name, _)| name.starts_with("Tags.") && permits(name));
        let suspended = described.iter().filter(|(name, _)| {
            name.starts_with("SuspendedProcesses.") && name.ends_with(".ProcessName")
        });
        let protects = described.get("NewInstancesProtectedFromScaleIn");
        Self {
            sizes: ["MinSize", "MaxSize"]
                .into_iter()
                .filter_map(size)
                .collect(),
            desired: described
                .get("DesiredCapacity")
                .and_then(|size| size.parse().ok()),
            in_service,
            suspended: suspended.map(|(_, name)| name.clone()).collect(),
            protects_new: protects.is_some_and(|value| value == "true"),
            may_change,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_group_gives_its_sizes_its_instances_and_its_consent() {
        let group = |tag: &str, value: &str| {
            let pairs = [
                ("AutoScalingGroupName", "web"),
                ("MinSize", "2"),
                ("MaxSize", "8"),
                ("DesiredCapacity", "3"),
                ("NewInstancesProtectedFromScaleIn", "true"),
                ("SuspendedProcesses.member.1.ProcessName", "Terminate"),
                ("SuspendedProcesses.member.1.SuspensionReason", "user"),
                ("Instances.member.1.LifecycleState", "InService"),
                ("Instances.member.2.LifecycleState", "Pending"),
                ("Tags.member.1.Key", tag),
                ("Tags.member.1.Value", value),
                ("Tags.member.2.Value", "yes"),
            ];
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            PresentGroup::of(&pairs.map(owned).into())
        };
        let found = group("spikeproof:may-change", "InService");
        assert_eq!((found.in_service, found.may_change), (1, true));
        assert_eq!((found.desired, found.protects_new), (Some(3), true));
        assert_eq!(found.suspended, ["Terminate"]);
        let sizes: Vec<_> = found.sizes.into_iter().collect();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(sizes, [("MaxSize", "8"), ("MinSize", "2")].map(owned));
        assert!(!group("spikeproof:may-change-not", "yes").may_change);
        for (value, expected) in [("yes", true), ("no", false), ("False", false), (" ", false)] {
            let permits = group("spikeproof:may-change", value).may_change;
            assert_eq!(permits, expected, "{value:?}");
        }
    }
}
