//! The lab file: the target, its policy, its tasks' delays and the faults. Every key has a default;
//! the defaults are a spike and its recovery within a minute.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use error::{LabConfigError, PolicyConfigError};
pub(crate) use policy::{PolicyConfig, PolicyMetric, ScalingKind};

use super::LabError;
use super::worlds;
use super::worlds::backend::Backend;
use super::worlds::balancing::Balancing;
use super::worlds::cold::Cold;
use super::worlds::connections::ConnectionLimit;
use super::worlds::failing::Failing;
use super::worlds::launches::GroupKeys;
use super::worlds::quantity::Share;
use super::worlds::rate_limit::RateLimit;
use super::worlds::sick::Sick;
use super::worlds::traffic::Traffic;
use super::worlds::transfer::Transfer;
use super::worlds::types::InstanceType;
use super::worlds::unequal::Unequal;

mod error;
mod policy;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub target: LabTarget,
    /// The group's one policy ...
    pub policy: PolicyConfig,
    /// ... or several, then without `policy`.
    #[serde(deserialize_with = "several")]
    pub policies: Vec<PolicyConfig>,
    pub tasks: TaskTimes,
    pub faults: Faults,
    pub group: GroupKeys,
    /// Requests that no generator sends.
    pub traffic: Vec<Traffic>,
    /// Policy documents that callers are held to.
    pub permissions: super::permissions::PolicyFiles,
}

/// The system under test: instances behind a load balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabTarget {
    /// Number of instances when the lab starts.
    pub instances: u32,
    pub min: u32,
    pub max: u32,
    /// Requests one instance works on at the same time.
    pub workers: u32,
    #[serde(deserialize_with = "friendly")]
    pub service_time: Duration,
    /// A request that would wait longer for a worker is refused with 503.
    #[serde(deserialize_with = "friendly")]
    pub queue_limit: Duration,
    /// From launch to InService.
    #[serde(deserialize_with = "friendly")]
    pub boot_time: Duration,
    /// From registration to `healthy`: one passed check.
    #[serde(deserialize_with = "friendly")]
    pub health_check_interval: Duration,
    #[serde(deserialize_with = "friendly")]
    pub deregistration_delay: Duration,
    /// From InService until the application answers its health checks.
    #[serde(deserialize_with = "friendly")]
    pub app_start: Duration,
    /// Time after InService during which a failed health check has no consequence.
    #[serde(deserialize_with = "friendly")]
    pub health_check_grace: Duration,
    /// The group's default cooldown, for a simple policy without a cooldown of its own.
    #[serde(deserialize_with = "friendly")]
    pub default_cooldown: Duration,
    /// Neither the group nor its policies have a warm-up: AWS then takes the default cooldown for
    /// it.
    pub no_warm_up: bool,
    /// Started instances that wait in a warm pool, and how long each takes from there to InService.
    pub warm_pool: u32,
    #[serde(deserialize_with = "friendly")]
    pub warm_pool_boot: Duration,
    /// True if no instance of the group may be scaled in.
    pub protected: bool,
    /// True for an ECS service that Application Auto Scaling scales, instead of a group of EC2
    /// instances.
    pub service: bool,
    /// Suspended processes of the group, such as `Launch`.
    pub suspended: Vec<String>,
    /// Tags of the group, such as `spikeproof:may-change`.
    pub tags: BTreeMap<String, String>,
    /// Something shared behind all instances.
    pub backend: Option<Backend>,
    /// New instances answer late at first.
    pub cold: Option<Cold>,
    /// One instance fails, and its health checks pass or fail.
    pub sick: Option<Sick>,
    /// Paths that fail whatever the load.
    pub failing: Vec<Failing>,
    pub balancing: Balancing,
    /// Requests that cost more than others.
    pub unequal: Option<Unequal>,
    /// Large answers, and the link that they leave by.
    pub transfer: Option<Transfer>,
    /// A most of requests, for all instances together or for each.
    pub rate_limit: Option<RateLimit>,
    /// The most open connections.
    pub connections: Option<ConnectionLimit>,
    /// The part of the work that the CPU metric shows.
    pub cpu_share: Share,
    /// Types of the instances, in turn.
    pub types: Vec<InstanceType>,
}

impl Default for LabTarget {
    fn default() -> Self {
        Self {
            instances: 2,
            min: 2,
            max: 8,
            workers: 4,
            service_time: Duration::from_millis(20),
            queue_limit: Duration::from_secs(1),
            boot_time: Duration::from_secs(2),
            health_check_interval: Duration::from_secs(1),
            deregistration_delay: Duration::from_secs(3),
            app_start: Duration::ZERO,
            health_check_grace: Duration::from_mins(5),
            default_cooldown: Duration::from_mins(5),
            no_warm_up: false,
            warm_pool: 0,
            warm_pool_boot: Duration::from_millis(500),
            protected: false,
            service: false,
            suspended: Vec::new(),
            tags: BTreeMap::new(),
            backend: None,
            cold: None,
            sick: None,
            failing: Vec::new(),
            balancing: Balancing::RoundRobin,
            unequal: None,
            transfer: None,
            rate_limit: None,
            connections: None,
            cpu_share: Share::WHOLE,
            types: Vec::new(),
        }
    }
}

/// Failed checks in a row that make a target unhealthy.
pub(crate) const UNHEALTHY_AFTER: u32 = 2;

/// Durations of a Fargate task's start and stop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskTimes {
    #[serde(deserialize_with = "friendly")]
    pub provisioning: Duration,
    #[serde(deserialize_with = "friendly")]
    pub pending: Duration,
    #[serde(deserialize_with = "friendly")]
    pub deprovisioning: Duration,
}

impl Default for TaskTimes {
    fn default() -> Self {
        Self {
            provisioning: Duration::from_millis(500),
            pending: Duration::from_millis(500),
            deprovisioning: Duration::from_millis(300),
        }
    }
}

/// Faults that the lab injects on purpose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Numbers of the tasks that fail to start, from 0 in the order in which the lab started them.
    pub task_start_failures: Vec<usize>,
    /// True if no task ever starts.
    pub every_task_fails: bool,
    /// Added to every task's PENDING.
    #[serde(deserialize_with = "friendly")]
    pub start_delay: Duration,
    /// Number of tasks that RunTask refuses for lack of capacity before it starts any.
    pub capacity_failures: usize,
    /// The group's policy decides but never acts.
    pub policy_never_fires: bool,
    /// Instances are terminated at once: their requests under way get 502.
    pub terminate_without_draining: bool,
    /// Time during which an instance that has just become healthy answers 500.
    #[serde(deserialize_with = "friendly")]
    pub errors_when_fresh: Duration,
    /// Delay after which datapoints reach alarms and readers.
    #[serde(deserialize_with = "friendly")]
    pub metric_delay: Duration,
    /// DescribeAlarmHistory answers, and has nothing.
    pub no_alarm_history: bool,
    /// Time after the lab's start at which the group is deleted; if absent, it never is.
    #[serde(deserialize_with = "maybe")]
    pub group_deleted_after: Option<Duration>,
    /// AWS calls answered with an error, by action name.
    pub refuse: Vec<InjectedError>,
}

/// One AWS action that is answered with this error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectedError {
    pub action: String,
    pub code: String,
    #[serde(default)]
    pub message: String,
    /// Number of calls that get the error, from the first on; if absent, every call. (Throttling is
    /// a few refusals.)
    #[serde(default)]
    pub times: Option<usize>,
    /// If given, only each N-th call gets the error.
    #[serde(default)]
    pub every: Option<usize>,
}

impl InjectedError {
    /// True if the call after `before` earlier ones gets the error.
    pub fn meets(&self, before: usize) -> bool {
        let turn = self
            .every
            .is_none_or(|every| (before + 1).is_multiple_of(every.max(1)));
        turn && self.times.is_none_or(|times| before < times)
    }
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, LabError> {
        std::fs::read_to_string(path)
            .map_err(LabConfigError::Read)
            .and_then(|text| Self::parse(&text))
            .map_err(|source| LabError::Config {
                path: path.to_owned(),
                source,
            })
    }

    pub fn parse(text: &str) -> Result<Self, LabConfigError> {
        let config: Self = if text.trim().is_empty() {
            Self::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| LabConfigError::Syntax(Box::new(error)))?
        };
        config.settle()
    }

    /// Checks the rules that involve several keys, and fills in defaults that depend on others.
    fn settle(mut self) -> Result<Self, LabConfigError> {
        let LabTarget {
            instances,
            min,
            max,
            workers,
            service_time,
            ..
        } = self.target;
        if min > max || instances < min || instances > max {
            return Err(LabConfigError::Instances {
                min,
                instances,
                max,
            });
        }
        if max == 0 || workers == 0 || service_time.is_zero() {
            return Err(LabConfigError::NothingServes);
        }
        if self.policies.is_empty() {
            self.policies = vec![self.policy.clone()];
        }
        for policy in &self.policies {
            policy.settle()?;
        }
        if self
            .policies
            .iter()
            .any(|policy| policy.period != self.policies[0].period)
        {
            return Err(LabConfigError::UnequalPeriods);
        }
        if self.target.service
            && self
                .policies
                .iter()
                .any(|policy| policy.kind == ScalingKind::Simple)
        {
            return Err(LabConfigError::SimplePolicyOfService);
        }
        worlds::check(&self)?;
        self.policy = self.policies[0].clone();
        Ok(self)
    }
}

pub(crate) fn friendly<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    model::units::parse_duration(&text).map_err(serde::de::Error::custom)
}

/// Reads a list of policies. An empty list is an error: it would mean the usual policy.
fn several<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<PolicyConfig>, D::Error> {
    let policies = Vec::deserialize(input)?;
    match policies.is_empty() {
        true => Err(serde::de::Error::custom(
            "policies: the lab's group has at least one; leave the key out for the usual",
        )),
        false => Ok(policies),
    }
}

pub(crate) fn maybe<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    friendly(input).map(Some)
}

#[cfg(test)]
mod tests {
    use model::scaling::policies::Rule;

    use super::*;

    #[test]
    fn every_key_of_the_lab_file_is_read() {
        let config = Config::parse(
            "target: { instances: 3, min: 1, max: 4, workers: 2, service_time: 50ms, queue_limit: 2s, boot_time: 30s,\n\
             \x20 health_check_interval: 5s, deregistration_delay: 1m }\n\
             policy: { target_value: 60, period: 10s, high_datapoints: 2, low_datapoints: 5, warm_up: 20s }\n\
             tasks: { provisioning: 1s, pending: 2s, deprovisioning: 0s }\n\
             faults:\n\
             \x20 task_start_failures: [0, 2]\n\
             \x20 every_task_fails: false\n\
             \x20 start_delay: 5s\n\
             \x20 capacity_failures: 1\n\
             \x20 policy_never_fires: true\n\
             \x20 terminate_without_draining: true\n\
             \x20 errors_when_fresh: 2s\n\
             \x20 metric_delay: 4s\n\
             \x20 no_alarm_history: true\n\
             \x20 group_deleted_after: 30s\n\
             \x20 refuse: [{ action: CreateRepository, code: LimitExceededException, message: too many, times: 2 }]\n\
             group: { launches: { fail_after: 2, failures: 3, message: none, retry: 10s, delay: 30s },\n\
             \x20 scheduled: [{ from: 5s, to: 20s, min: 3 }], interruptions: [{ at: 20s, instances: 2, notice: 3s }],\n\
             \x20 zone_loss: { zone: eu-west-1b, at: 20s, to: 40s } }\n\
             traffic: [{ from: 0s, to: 60s, rate: 40/s }]\n\
             permissions: { operator: operator.json, tasks: generator.json }\n",
        )
        .unwrap();
        assert_eq!(
            (config.target.instances, config.target.service_time),
            (3, Duration::from_millis(50))
        );
        assert_eq!(
            (config.policy.target_value, config.policy.period),
            (60.0, Duration::from_secs(10))
        );
        assert_eq!(config.tasks.pending, Duration::from_secs(2));
        let documents = config.permissions;
        assert_eq!(
            documents.operator.as_deref(),
            Some(Path::new("operator.json"))
        );
        assert_eq!(
            documents.tasks.as_deref(),
            Some(Path::new("generator.json"))
        );
        assert_eq!(config.faults.task_start_failures, [0, 2]);
        let refusal = &config.faults.refuse[0];
        assert_eq!(
            (refusal.code.as_str(), refusal.times),
            ("LimitExceededException", Some(2))
        );
    }

    #[test]
    fn policies_of_every_kind_become_rules_of_the_model() {
        let config = Config::parse(
            "policies:\n\
             \x20 - { kind: target-tracking, metric: requests-per-target, target_value: 6000, scale_in: false }\n\
             \x20 - { kind: step, above: 70, adjustment: percent, least: 2, steps: [{ from: 0, to: 20, change: 50 }, { from: 20, change: 100 }] }\n\
             \x20 - { kind: simple, below: 30, datapoints: 5, change: -1, cooldown: 20s }\n",
        )
        .unwrap();
        let rules: Vec<Rule> = config.policies.iter().map(PolicyConfig::rule).collect();
        assert!(
            matches!(&rules[0], Rule::Tracking { tracking, scale_in: false } if tracking.target == 100.0)
        );
        assert!(
            matches!(&rules[1], Rule::Step(step) if step.is_above && step.steps.len() == 2 && step.least == 2)
        );
        let Rule::Simple { scaling, cooldown } = rules[2] else {
            panic!("{:?}", rules[2])
        };
        assert_eq!(
            (scaling.change, cooldown, config.policies[2].threshold()),
            (-1, Duration::from_secs(20), 30.0)
        );
        let every = InjectedError {
            action: String::new(),
            code: String::new(),
            message: String::new(),
            times: None,
            every: Some(3),
        };
        assert_eq!(
            (0..6)
                .map(|before| every.meets(before))
                .filter(|met| *met)
                .count(),
            2
        );
    }

    #[test]
    fn the_optional_parts_are_read_and_are_off_without_their_keys() {
        let config = Config::parse(
            "target:\n\
             \x20 backend: { slots: 3, time: 20ms, queue: 1500ms, status: 503, holds_worker: true }\n\
             \x20 cold: { for: 8s, adds: 900ms }\n\
             \x20 sick: { instance: 2, from: 14s, to: 34s, status: 500, slow: 0s, fails_checks: true }\n\
             \x20 failing: [{ path: /checkout, status: 500, share: 10% }]\n\
             \x20 balancing: least-outstanding\n\
             \x20 unequal: { share: 10%, times: 8 }\n\
             \x20 transfer: { rate: 2MB/s, shared: true, large: [{ path: /report, share: 50%, size: 64KB }] }\n\
             \x20 rate_limit: { rate: 300/s, status: 429, retry_after: 1s }\n\
             \x20 connections: { max: 6, each: true }\n\
             \x20 cpu_share: 20%\n\
             \x20 types: [{ kind: c5.large }, { kind: t3.micro, capacity: 50% }]\n",
        )
        .unwrap();
        let target = config.target;
        let sick = target.sick.unwrap();
        assert_eq!((sick.instance, sick.status), (2, Some(500)));
        assert!(target.backend.unwrap().holds_worker);
        assert_eq!(target.cold.unwrap().lasts, Duration::from_secs(8));
        assert_eq!(target.failing[0].path, "/checkout");
        assert_eq!(target.balancing, Balancing::LeastOutstanding);
        assert_eq!(target.unequal.unwrap().times, 8);
        let transfer = target.transfer.unwrap();
        assert_eq!(
            (transfer.shared, transfer.large[0].size.bytes()),
            (true, 64_000)
        );
        assert_eq!(
            target.rate_limit.unwrap().retry_after,
            Some(Duration::from_secs(1))
        );
        let connections = target.connections.unwrap();
        assert_eq!((connections.max.get(), connections.each), (6, true));
        assert_eq!(target.cpu_share.of_one(), 0.2);
        assert_eq!(
            (target.types.len(), target.types[1].capacity.of_one()),
            (2, 0.5)
        );
        let off = Config::parse("").unwrap();
        let target = &off.target;
        assert!(target.backend.is_none() && target.cold.is_none() && target.sick.is_none());
        assert!(target.failing.is_empty() && target.unequal.is_none());
        assert!(target.transfer.is_none());
        assert!(target.rate_limit.is_none() && target.connections.is_none());
        assert!(off.traffic.is_empty());
        assert_eq!(target.balancing, Balancing::RoundRobin);
        assert_eq!(target.cpu_share, Share::WHOLE);
        assert_eq!(off.group.launches.fail_after, None);
        assert!(target.types.is_empty() && off.group.interruptions.is_empty());
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "it is a table")]
    fn an_empty_file_is_the_demo_and_a_wrong_one_is_refused() {
        assert_eq!(Config::parse("").unwrap().target.max, 8);
        for (text, hint) in [
            ("target: { boots: 3s }", "boots"),
            ("target: { boot_time: 3 }", "no unit"),
            ("target: { min: 3 }", "3 <= 2 <= 8"),
            ("policy: { period: 500ms }", "whole seconds"),
            ("policy: { target_value: 0 }", "percentage"),
            ("policies: [{ kind: step, above: 70 }]", "needs `steps`"),
            (
                "policies: [{ kind: simple, change: 1 }]",
                "`above` or `below`",
            ),
            (
                "policies: [{ kind: simple, above: 60 }]",
                "needs a `change`",
            ),
            ("policies: [{}, { period: 10s }]", "the same period"),
            ("policies: []", "at least one"),
            ("target: { backend: { slots: 0 } }", "more than zero"),
            ("target: { sick: { status: 500 } }", "counted from 1"),
            ("target: { sick: { instance: 1 } }", "needs a `status`"),
            (
                "target: { sick: { instance: 1, status: 500, from: 9s, to: 9s } }",
                "target.sick: `to` must be later",
            ),
            (
                "target: { sick: { instance: 1, status: 20 } }",
                "200 and 599",
            ),
            (
                "target: { unequal: { share: 5%, times: 0 } }",
                "times must be",
            ),
            (
                "target: { transfer: { rate: 1MB/s, large: [] } }",
                "large must have an entry",
            ),
            (
                "target: { transfer: { rate: 1MB, large: [{ size: 1KB }] } }",
                "like `1MB/s`",
            ),
            ("target: { cpu_share: 20 }", "like `10%`"),
            ("target: { rate_limit: { rate: 300 } }", "300/s"),
            (
                "target: { rate_limit: { rate: 300/s, window: 0s } }",
                "window must be more than zero",
            ),
            (
                "target: { rate_limit: { rate: 300/s, window: 9s, retry_after: 1s } }",
                "leave `retry_after` out",
            ),
            (
                "target: { service: true, sick: { instance: 1, status: 500, fails_checks: true } }",
                "`fails_checks` is for a group",
            ),
            ("target: { balancing: random }", "round-robin"),
            ("target: { connections: { max: 0 } }", "nonzero"),
            (
                "traffic: [{ to: 0s, rate: 4/s }]",
                "traffic: `to` must be later",
            ),
            (
                "traffic: [{ to: 9s, rate: 4/s, to_rate: 9/s }]",
                "needs `from` and `to`",
            ),
            (
                "traffic: [{ from: 0s, rate: 4/s, to_rate: 9/s }]",
                "needs `from` and `to`",
            ),
            (
                "group: { scheduled: [{ from: 9s, to: 9s, min: 3 }] }",
                "group.scheduled: `to` must be later",
            ),
            ("group: { scheduled: [{ from: 9s }] }", "`min` or `max`"),
            (
                "group: { scheduled: [{ from: 9s, min: 3, max: 2 }] }",
                "min is above max",
            ),
            (
                "{ target: { service: true }, group: { scheduled: [{ from: 9s, min: 3 }] } }",
                "leave it out for a service",
            ),
            (
                "{ target: { service: true }, group: { launches: { fail_after: 1 } } }",
                "leave `fail_after` out",
            ),
            (
                "{ target: { service: true }, group: { interruptions: [{ at: 9s }] } }",
                "only instances are interrupted",
            ),
            (
                "group: { interruptions: [{ at: 9s, instances: 0 }] }",
                "instances must be more than zero",
            ),
            (
                "{ target: { service: true }, group: { zone_loss: { zone: eu-west-1b, at: 9s } } }",
                "only a group loses a zone",
            ),
            (
                "group: { zone_loss: { zone: eu-west-1d, at: 9s } }",
                "the zones are",
            ),
            (
                "group: { zone_loss: { zone: eu-west-1b, at: 9s, to: 9s } }",
                "group.zone_loss: `to` must be later",
            ),
            (
                "target: { types: [{ kind: c5.large, capacity: 0% }] }",
                "more than 0%",
            ),
            (
                "target: { service: true, types: [{ kind: c5.large }] }",
                "only instances have a type",
            ),
        ] {
            let problem = Config::parse(text).unwrap_err().to_string();
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }
}
