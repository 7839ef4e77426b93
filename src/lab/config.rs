//! The lab file: the target, its policy, its tasks' delays and the faults. Every key has a default;
//! the defaults are a spike and its recovery within a minute.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use error::{LabConfigError, PolicyConfigError};

use super::LabError;
use model::scaling::cooldown::Cooldowns;
use model::scaling::policies::Rule;
use model::scaling::step::{self, SimpleScaling, StepScaling};
use model::scaling::target_tracking::TargetTracking;

mod error;

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
    /// Policy documents that callers are held to.
    pub permissions: super::permissions::PolicyFiles,
}

/// The system under test: identical instances behind a load balancer.
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
        }
    }
}

/// Failed checks in a row that make a target unhealthy.
pub(crate) const UNHEALTHY_AFTER: u32 = 2;

/// A scaling policy of the group, with the alarms that make it act. Not every key is for every
/// kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    pub kind: ScalingKind,
    pub metric: PolicyMetric,
    /// The period of the metric and of its alarms; the same for all policies.
    #[serde(deserialize_with = "friendly")]
    pub period: Duration,
    /// Target tracking: percent of CPU, or requests per target and minute.
    pub target_value: f64,
    pub high_datapoints: usize,
    pub low_datapoints: usize,
    pub scale_in: bool,
    #[serde(deserialize_with = "friendly")]
    pub warm_up: Duration,
    /// Step and simple: the threshold of its one alarm, which fires above it, or below it.
    pub above: Option<f64>,
    pub below: Option<f64>,
    pub datapoints: usize,
    pub adjustment: Adjustment,
    /// Step: beyond the threshold.
    pub steps: Vec<ConfiguredStep>,
    /// Simple.
    pub change: i32,
    /// The fewest instances by which a percentage changes the capacity.
    pub least: u32,
    #[serde(deserialize_with = "friendly")]
    pub cooldown: Duration,
    /// Target tracking of a service; a step policy of one has one cooldown for both.
    #[serde(deserialize_with = "friendly")]
    pub scale_out_cooldown: Duration,
    #[serde(deserialize_with = "friendly")]
    pub scale_in_cooldown: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingKind {
    #[default]
    TargetTracking,
    Step,
    Simple,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMetric {
    #[default]
    Cpu,
    RequestsPerTarget,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    #[default]
    Change,
    Exact,
    Percent,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredStep {
    #[serde(default)]
    pub from: Option<f64>,
    #[serde(default)]
    pub to: Option<f64>,
    pub change: i32,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            kind: ScalingKind::TargetTracking,
            metric: PolicyMetric::Cpu,
            period: Duration::from_secs(1),
            target_value: 50.0,
            high_datapoints: 3,
            low_datapoints: 15,
            scale_in: true,
            warm_up: Duration::from_secs(3),
            above: None,
            below: None,
            datapoints: 3,
            adjustment: Adjustment::Change,
            steps: Vec::new(),
            change: 0,
            least: 0,
            cooldown: Duration::from_secs(10),
            scale_out_cooldown: Duration::from_secs(3),
            scale_in_cooldown: Duration::from_secs(3),
        }
    }
}

impl PolicyConfig {
    /// Returns the policy as the model of policies has it.
    pub fn rule(&self) -> Rule {
        let adjustment = match self.adjustment {
            Adjustment::Change => step::AdjustmentType::Change,
            Adjustment::Exact => step::AdjustmentType::Exact,
            Adjustment::Percent => step::AdjustmentType::Percent,
        };
        match self.kind {
            ScalingKind::TargetTracking => {
                // A count's target is for a minute, its datapoints and thresholds are for a period.
                let target = match self.metric {
                    PolicyMetric::Cpu => self.target_value,
                    PolicyMetric::RequestsPerTarget => {
                        self.target_value * self.period.as_secs_f64() / 60.0
                    }
                };
                Rule::Tracking {
                    tracking: TargetTracking::new(target),
                    scale_in: self.scale_in,
                }
            }
            ScalingKind::Step => Rule::Step(StepScaling {
                threshold: self.threshold(),
                is_above: self.above.is_some(),
                steps: self
                    .steps
                    .iter()
                    .map(|one| step::StepRule {
                        lower: one.from,
                        upper: one.to,
                        change: one.change,
                    })
                    .collect(),
                adjustment,
                least: self.least,
            }),
            ScalingKind::Simple => Rule::Simple {
                scaling: SimpleScaling {
                    change: self.change,
                    adjustment,
                    least: self.least,
                },
                cooldown: self.cooldown,
            },
        }
    }

    /// Returns the cooldowns of this policy for a service, by the policy's kind.
    pub fn cooldowns(&self) -> Cooldowns {
        match self.kind {
            ScalingKind::TargetTracking => Cooldowns {
                out: self.scale_out_cooldown,
                back: self.scale_in_cooldown,
            },
            ScalingKind::Step | ScalingKind::Simple => Cooldowns {
                out: self.cooldown,
                back: self.cooldown,
            },
        }
    }

    /// Returns the threshold of the one alarm of a step or simple policy.
    pub fn threshold(&self) -> f64 {
        self.above.or(self.below).unwrap_or_default()
    }

    fn settle(&self) -> Result<(), PolicyConfigError> {
        let Self {
            target_value,
            period,
            high_datapoints,
            low_datapoints,
            datapoints,
            ..
        } = *self;
        if period < Duration::from_secs(1) || period.subsec_nanos() != 0 {
            return Err(PolicyConfigError::Period(period));
        }
        if high_datapoints == 0 || low_datapoints == 0 || datapoints == 0 {
            return Err(PolicyConfigError::NoDatapoints);
        }
        match self.kind {
            ScalingKind::TargetTracking => {
                let most = if self.metric == PolicyMetric::Cpu {
                    100.0
                } else {
                    f64::MAX
                };
                if !(target_value > 0.0 && target_value <= most) {
                    return Err(PolicyConfigError::TargetValue(target_value));
                }
            }
            ScalingKind::Step | ScalingKind::Simple
                if self.above.is_some() == self.below.is_some() =>
            {
                return Err(PolicyConfigError::Threshold);
            }
            ScalingKind::Step if self.steps.is_empty() => {
                return Err(PolicyConfigError::NoSteps);
            }
            ScalingKind::Simple if self.change == 0 && self.adjustment != Adjustment::Exact => {
                return Err(PolicyConfigError::NoChange);
            }
            ScalingKind::Step | ScalingKind::Simple => {}
        }
        Ok(())
    }
}

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
        self.policy = self.policies[0].clone();
        Ok(self)
    }
}

fn friendly<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
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

fn maybe<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    friendly(input).map(Some)
}

#[cfg(test)]
mod tests {
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
        ] {
            let problem = Config::parse(text).unwrap_err().to_string();
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }
}
