//! What was seen of the target while it suffered: samples with their own time, in the order they
//! were taken.
//!
//! Times inside a sample are the API's; `at` is ours. Which of AWS's times mean what they say:
//! alarm history is exact, a datapoint's timestamp is the *start* of its period, an activity's
//! `EndTime` includes the warm-up and is never the moment of service (so in service is what polling
//! saw).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::vocabulary::{Lifecycle, PolicyKind, PredictiveMode, TargetState};

mod activity;
mod alarm;

pub use activity::{Activity, Decision};
pub use alarm::{Alarm, AlarmChange, Datapoint, MathQuery};

/// One answer of AWS, with the times between which it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When the answer was here, by our clock. What was seen has times of its own.
    pub at: Timestamp,
    /// When the look before was sent that did not see it yet: it happened in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// AWS's clock when it answered, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Timestamp>,
    /// The content of the answer.
    pub seen: Observed,
}

impl Observation {
    /// An observation without a look before it and without AWS's clock.
    pub fn new(at: Timestamp, seen: Observed) -> Self {
        Self {
            at,
            after: None,
            api: None,
            seen,
        }
    }
}

/// The kinds of observation; `what` in the timeline's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Observed {
    /// Sizes, settings and instances of the group, whenever they changed.
    Group(GroupState),
    /// A scaling activity, when first seen and whenever it changed.
    Activity(Activity),
    /// A scaling policy, when first seen and whenever it changed.
    Policy(Policy),
    /// An alarm's settings and state, when first seen and whenever they changed: AWS edits the
    /// alarms of a target-tracking policy as it pleases.
    Alarm(Alarm),
    /// One transition out of the alarm's history.
    AlarmChange(AlarmChange),
    /// The health of a target group's targets, whenever it changed.
    Targets(TargetHealth),
    /// What else decides how the group behaves.
    Surroundings(Surroundings),
    /// A metric's datapoints, read when the watch ends.
    Metric(MetricSeries),
    /// A call failed: what would have been seen is unknown, and not filled in.
    Gap(Gap),
    /// The call is answered again.
    GapEnded {
        /// The IAM action that the call takes.
        call: String,
    },
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The IAM action that the call takes.
    pub call: String,
    /// AWS's answer, or why there is none.
    pub why: String,
    /// `Failed` in timelines that do not say it.
    #[serde(default)]
    pub reason: GapReason,
}

/// Why something was not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The call failed.
    #[default]
    Failed,
    /// It was answered: the group or service does not exist.
    NoGroup,
}

/// An Auto Scaling group, or an ECS service in the same words: its tasks are instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupState {
    /// The name of the group; of a service, `cluster/service`.
    pub name: String,
    /// `MinSize`, or the scalable target's minimum.
    pub min: u32,
    /// `MaxSize`, or the scalable target's maximum.
    pub max: u32,
    /// `DesiredCapacity`, or the service's desired count.
    pub desired: u32,
    /// `DefaultCooldown`: it holds for simple policies without one of their own.
    pub default_cooldown: Duration,
    /// `DefaultInstanceWarmup`; `None` where it is not set. Zero for a service.
    pub default_warm_up: Option<Duration>,
    /// All of its instances, without those of the warm pool.
    pub instances: Vec<Instance>,
    /// ARNs of the target groups that it is attached to.
    pub target_groups: Vec<String>,
    /// Names of suspended processes, for example `Launch`.
    pub suspended: Vec<String>,
    /// Of the launch template or configuration, the version included; the task definition of a
    /// service.
    pub template: Option<String>,
    /// Names of its availability zones; empty for a service.
    pub zones: Vec<String>,
    /// `EC2`, `ELB` ...
    pub health_check: String,
    /// `HealthCheckGracePeriod`: failed checks of younger instances count for nothing.
    pub health_check_grace: Duration,
    /// `TerminationPolicies`, in their order; empty for a service.
    pub termination_policies: Vec<String>,
    /// New instances are protected from scale-in.
    pub protects_new: bool,
    /// Instances may come from a warm pool; never for a service.
    pub has_warm_pool: bool,
    /// It is an ECS service: its instances are tasks.
    pub is_service: bool,
}

impl GroupState {
    /// How many of its instances are in service.
    pub fn in_service(&self) -> u32 {
        self.instances
            .iter()
            .filter(|instance| instance.is_in_service())
            .count() as u32
    }

    /// Nothing may leave, whatever a policy wants.
    pub fn is_all_protected(&self) -> bool {
        !self.instances.is_empty() && self.instances.iter().all(|instance| instance.protected)
    }
}

/// An instance of the group, or a task of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// The instance's id, or the last part of the task's ARN.
    pub id: String,
    /// `LifecycleState`; a task's status is mapped to it.
    pub lifecycle: Lifecycle,
    /// `Healthy` or `Unhealthy`; of a task `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health: String,
    /// The availability zone; empty where the API does not say.
    pub zone: String,
    /// `t3.micro`; empty where the API does not say.
    pub kind: String,
    /// Protected from scale-in; never a task.
    pub protected: bool,
    /// A task's private address, and the exact times that only tasks carry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The task's `createdAt`; `None` for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The task's `startedAt`; `None` for an instance, and before it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The task's `stoppingAt`; `None` for an instance, and before it stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Timestamp>,
}

impl Instance {
    /// True in `InService` alone.
    pub fn is_in_service(&self) -> bool {
        self.lifecycle == Lifecycle::InService
    }

    /// True on its way out, or gone.
    pub(crate) fn is_leaving(&self) -> bool {
        self.lifecycle.is_leaving()
    }
}

/// A scaling policy of the group or service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `PolicyName`.
    pub name: String,
    /// `PolicyType`: the fields below belong to one kind each.
    pub kind: PolicyKind,
    /// `TargetValue` of a target-tracking policy.
    pub target_value: Option<f64>,
    /// A target-tracking policy that only scales out.
    pub scale_in_disabled: bool,
    /// `EstimatedInstanceWarmup`; `None` where the group's default holds, and for a service.
    pub warm_up: Option<Duration>,
    /// Names of the alarms that it acts on.
    pub alarms: Vec<String>,
    /// A predefined metric's name, or that of the policy's own metric; for metric math, its
    /// expression.
    pub metric: Option<String>,
    /// `ChangeInCapacity`, `ExactCapacity`, `PercentChangeInCapacity`.
    pub adjustment: Option<String>,
    /// A percentage changes the capacity by at least so many.
    pub least: Option<u32>,
    /// The steps of a step policy; empty for other kinds.
    pub steps: Vec<StepAdjustment>,
    /// The change of size that a simple policy makes.
    pub change: Option<i32>,
    /// The cooldown of a simple policy; of a service's policy, the one that follows a scale-in.
    pub cooldown: Option<Duration>,
    /// The cooldown of a service's policy that follows a scale-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_cooldown: Option<Duration>,
    /// Of a predictive policy.
    pub mode: Option<PredictiveMode>,
    /// `Enabled` is false: its alarms change nothing.
    pub disabled: bool,
}

/// A step of a step policy: the change for a range of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepAdjustment {
    /// Beyond the alarm's threshold; `None` is unbounded.
    pub lower: Option<f64>,
    /// The end of the range, beyond the alarm's threshold; `None` is unbounded.
    pub upper: Option<f64>,
    /// `ScalingAdjustment`: instances or percent, by the policy's `adjustment`.
    pub change: i32,
}

/// The targets of one target group, as `DescribeTargetHealth` has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// The ARN of the target group.
    pub target_group: String,
    /// Instance and its state.
    pub targets: Vec<(String, TargetState)>,
}

/// What surrounds a group and makes it slow, or moves it besides its policies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// Lifecycle hooks; empty for a service.
    pub hooks: Vec<Hook>,
    /// Instances in the warm pool that are ready to be taken.
    pub warm_pool: Option<u32>,
    /// Scheduled actions that are still to come.
    pub scheduled: Vec<ScheduledAction>,
    /// Instance refreshes that are under way, or deployments of a service.
    pub refreshes: Vec<String>,
    /// Those that the group is attached to, with their settings.
    pub target_groups: Vec<TargetGroup>,
}

/// A lifecycle hook: an instance waits for it when it comes or goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// `LifecycleHookName`.
    pub name: String,
    /// `autoscaling:EC2_INSTANCE_LAUNCHING` or `autoscaling:EC2_INSTANCE_TERMINATING`.
    pub transition: String,
    /// `HeartbeatTimeout`: how long an instance waits at most without an answer.
    pub heartbeat: Duration,
}

/// A scheduled action, which changes the sizes at a time of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// The name of the action.
    pub name: String,
    /// When it is due next; `None` where the API does not say.
    pub next: Option<Timestamp>,
    /// A cron expression; `None` for a single time.
    pub recurrence: Option<String>,
    /// The new minimum; `None` leaves it.
    pub min: Option<u32>,
    /// The new maximum; `None` leaves it.
    pub max: Option<u32>,
    /// The new desired capacity; `None` leaves it.
    pub desired: Option<u32>,
}

/// The settings of a target group, and the load balancers before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetGroup {
    /// The ARN of the target group.
    pub arn: String,
    /// The interval of its health checks.
    pub check_interval: Duration,
    /// Passed checks in a row to be healthy (a new target needs one), failed ones to be unhealthy.
    pub healthy_after: u32,
    /// Failed checks in a row until a target is unhealthy.
    pub unhealthy_after: u32,
    /// `deregistration_delay.timeout_seconds`: how long a leaving target drains.
    pub deregistration_delay: Duration,
    /// `slow_start.duration_seconds`; zero is off.
    pub slow_start: Duration,
    /// `round_robin`, `least_outstanding_requests` ...
    pub algorithm: String,
    /// `stickiness.enabled`: sessions stay with their target.
    pub sticky: bool,
    /// The load balancers that route to it; empty where none does.
    pub balancers: Vec<Balancer>,
}

/// A load balancer before a target group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    /// The ARN of the load balancer.
    pub arn: String,
    /// The host name of the load balancer.
    pub dns: String,
}

/// The datapoints of one CloudWatch metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSeries {
    /// Our short name, such as `policy metric` or `target 5xx`.
    pub name: String,
    /// The unit of the values, in words of our own, for example `%`.
    pub unit: String,
    /// The length of each datapoint.
    pub period: Duration,
    /// Earliest first.
    pub points: Vec<Datapoint>,
    /// The alarms that look at it: two metrics of one name differ by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// The names of series that are judged or advised on.
pub mod series {
    /// `RequestCount` of the target group.
    pub const REQUESTS: &str = "requests";
    /// `HTTPCode_Target_5XX_Count`: 5xx that targets answered.
    pub const TARGET_5XX: &str = "target 5xx";
    /// `HTTPCode_ELB_5XX_Count`: 5xx of the load balancer itself.
    pub const BALANCER_5XX: &str = "load balancer 5xx";
    /// `HTTPCode_ELB_502_Count`: 502 of the load balancer itself.
    pub const BALANCER_502: &str = "load balancer 502";
    /// `TargetConnectionErrorCount`: connections to targets that failed.
    pub const CONNECTION_ERRORS: &str = "connection errors";
}

/// The start of the name of a series that a policy's alarm looks at.
const POLICY_METRIC: &str = "policy metric ";

impl MetricSeries {
    /// The name of the series of a metric that a policy's alarm looks at.
    pub fn name_of_policy_metric(metric: &str) -> String {
        format!("{POLICY_METRIC}{metric}")
    }

    /// The metric, where a policy's alarm looks at the series.
    pub fn policy_metric(&self) -> Option<&str> {
        self.name.strip_prefix(POLICY_METRIC)
    }
}

/// All observations of a run, with the questions the verdict asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Every observation, in the order in which it was made.
    pub observations: Vec<Observation>,
}

impl Timeline {
    /// Each look at the group that saw a change, with its time.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, group)),
            _ => None,
        })
    }

    /// Each look at the group that saw a change: when it was answered, and when the look before was
    /// sent.
    pub fn group_looks(&self) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, one.after, group)),
            _ => None,
        })
    }

    /// As `targets`, with the look before each.
    pub(crate) fn target_looks(
        &self,
    ) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, one.after, targets)),
            _ => None,
        })
    }

    /// Each look at a target group that saw a change, with its time.
    pub fn targets(&self) -> impl Iterator<Item = (Timestamp, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, targets)),
            _ => None,
        })
    }

    /// Each policy as last seen.
    pub fn policies(&self) -> Vec<&Policy> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Policy(policy) => Some((policy.name.as_str(), policy)),
            _ => None,
        }))
    }

    /// As last seen.
    pub fn surroundings(&self) -> Option<&Surroundings> {
        self.observations
            .iter()
            .rev()
            .find_map(|one| match &one.seen {
                Observed::Surroundings(surroundings) => Some(surroundings),
                _ => None,
            })
    }

    /// What leaves the group drains for so long at most, as its target groups have it.
    pub fn longest_drain(&self) -> Duration {
        let groups = self
            .surroundings()
            .into_iter()
            .flat_map(|known| &known.target_groups);
        groups
            .map(|one| one.deregistration_delay)
            .max()
            .unwrap_or_default()
    }

    /// For how long the group itself was not seen, by calls that failed: until they were answered
    /// again, or the end.
    pub fn blind(&self) -> Duration {
        let Some(end) = self.observations.last().map(|one| one.at) else {
            return Duration::ZERO;
        };
        let is_group = |call: &str| {
            [
                "DescribeAutoScalingGroups",
                "DescribeServices",
                "DescribeScalableTargets",
                "ListTasks",
                "DescribeTasks",
            ]
            .iter()
            .any(|action| call.ends_with(action))
        };
        let (mut blind, mut since) = (Duration::ZERO, None);
        for one in &self.observations {
            match &one.seen {
                Observed::Gap(Gap { call, .. }) if is_group(call) => {
                    _ = *since.get_or_insert(one.at);
                }
                Observed::GapEnded { call } if is_group(call) => {
                    let from = since.take().unwrap_or(one.at);
                    blind += Duration::try_from(one.at.duration_since(from)).unwrap_or_default();
                }
                _ => {}
            }
        }
        blind
            + since.map_or(Duration::ZERO, |from| {
                Duration::try_from(end.duration_since(from)).unwrap_or_default()
            })
    }

    /// The call that failed and was never answered again, if its name ends so.
    pub fn lacking(&self, call: &str) -> Option<&str> {
        let mut lacking = None;
        for one in &self.observations {
            match &one.seen {
                Observed::Gap(Gap { call: failed, .. }) if failed.ends_with(call) => {
                    lacking = Some(failed.as_str());
                }
                Observed::GapEnded { call: ended } if ended.ends_with(call) => lacking = None,
                _ => {}
            }
        }
        lacking
    }

    /// Each alarm as last seen.
    pub fn alarms(&self) -> Vec<&Alarm> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Alarm(alarm) => Some((alarm.name.as_str(), alarm)),
            _ => None,
        }))
    }

    /// Each activity as last seen, by its start.
    pub fn activities(&self) -> Vec<&Activity> {
        let mut activities = latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Activity(activity) => Some((activity.id.as_str(), activity)),
            _ => None,
        }));
        activities.sort_by_key(|activity| activity.start);
        activities
    }

    /// All changes of the state of alarms, earliest first.
    pub(crate) fn alarm_changes(&self) -> Vec<&AlarmChange> {
        let mut changes: Vec<&AlarmChange> = self
            .observations
            .iter()
            .filter_map(|one| match &one.seen {
                Observed::AlarmChange(change) => Some(change),
                _ => None,
            })
            .collect();
        changes.sort_by_key(|change| change.at);
        changes
    }

    /// Every series that was read.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricSeries> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Metric(series) => Some(series),
            _ => None,
        })
    }

    /// The datapoints that an alarm looks at. (Records of before told series apart by their
    /// metric's name alone.)
    pub fn metric_of(&self, alarm: &Alarm) -> Option<&MetricSeries> {
        let own = self
            .metrics()
            .find(|series| series.alarms.contains(&alarm.name));
        own.or_else(|| {
            let name = MetricSeries::name_of_policy_metric(alarm.metric.as_deref()?);
            self.metrics()
                .find(|series| series.name == name && series.alarms.is_empty())
        })
    }

    /// Each gap, with the time at which it was noted.
    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, &Gap)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Gap(gap) => Some((one.at, gap)),
            _ => None,
        })
    }
}

/// The last value of each name, in the order in which the names first came.
fn latest<'a, T>(values: impl Iterator<Item = (&'a str, &'a T)>) -> Vec<&'a T> {
    let mut found: Vec<(&str, &T)> = Vec::new();
    for (name, value) in values {
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => found.push((name, value)),
        }
    }
    found.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_not_seen_from_a_failed_call_until_it_is_answered_again() {
        let at = |second: i64| Timestamp::from_second(1_772_000_000 + second).unwrap();
        let gap = |call: &str| {
            Observed::Gap(Gap {
                call: call.to_owned(),
                why: "no".to_owned(),
                reason: GapReason::Failed,
            })
        };
        let call = "autoscaling:DescribeAutoScalingGroups";
        let mut timeline = Timeline {
            observations: vec![
                Observation::new(at(0), gap("autoscaling:DescribePolicies")),
                Observation::new(at(5), gap(call)),
                Observation::new(at(7), gap(call)),
                Observation::new(
                    at(9),
                    Observed::GapEnded {
                        call: call.to_owned(),
                    },
                ),
                Observation::new(at(20), gap("cloudwatch:GetMetricData")),
            ],
        };
        assert_eq!(timeline.blind(), Duration::from_secs(4));
        assert_eq!(timeline.lacking("DescribeAutoScalingGroups"), None);
        assert_eq!(
            timeline.lacking("DescribePolicies"),
            Some("autoscaling:DescribePolicies")
        );
        timeline
            .observations
            .insert(4, Observation::new(at(12), gap(call)));
        assert_eq!(timeline.blind(), Duration::from_secs(12), "and at its end");
    }
}
