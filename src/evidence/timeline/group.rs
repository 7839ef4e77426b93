//! The group as AWS describes it: its size, instances, policies and surroundings.

use std::time::Duration;

use super::alarm::MathQuery;
use crate::vocabulary::{Lifecycle, PolicyKind, PredictiveMode, TargetState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An Auto Scaling group, or an ECS service in the same terms: its tasks are instances.
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
    /// `DefaultCooldown`, for simple policies without a cooldown of their own.
    pub default_cooldown: Duration,
    /// `DefaultInstanceWarmup`; absent where it is not set. Zero for a service.
    pub default_warm_up: Option<Duration>,
    /// All of its instances, without those of the warm pool.
    pub instances: Vec<Instance>,
    /// ARNs of the target groups that it is attached to.
    pub target_groups: Vec<String>,
    /// Names of suspended processes, for example `Launch`.
    pub suspended: Vec<String>,
    /// Name and version of the launch template, or name of the launch configuration; for a service,
    /// its task definition.
    pub template: Option<String>,
    /// Names of its availability zones; empty for a service.
    pub zones: Vec<String>,
    /// `HealthCheckType`, for example `EC2` or `ELB`.
    pub health_check: String,
    /// `HealthCheckGracePeriod`: failed checks of younger instances do not count.
    pub health_check_grace: Duration,
    /// `TerminationPolicies`, in their order; empty for a service.
    pub termination_policies: Vec<String>,
    /// True if new instances are protected from scale-in.
    pub protects_new: bool,
    /// True if instances may come from a warm pool; never for a service.
    pub has_warm_pool: bool,
    /// True for an ECS service, whose instances are tasks.
    pub is_service: bool,
}

impl GroupState {
    /// Returns the number of instances in service.
    pub fn in_service(&self) -> u32 {
        self.instances
            .iter()
            .filter(|instance| instance.is_in_service())
            .count() as u32
    }

    /// Returns true if every instance is protected from scale-in, so no policy can remove one.
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
    /// `Healthy` or `Unhealthy`; for a task `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health: String,
    /// The availability zone; empty where the API does not say.
    pub zone: String,
    /// The instance type, for example `t3.micro`; empty where the API does not say.
    pub kind: String,
    /// True if protected from scale-in; never for a task.
    pub protected: bool,
    /// A task's private address; empty for an instance.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The task's `createdAt`; absent for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The task's `startedAt`; absent for an instance, and before the task runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The task's `stoppingAt`; absent for an instance, and before the task stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Timestamp>,
}

impl Instance {
    /// Returns true only for `InService`.
    pub fn is_in_service(&self) -> bool {
        self.lifecycle == Lifecycle::InService
    }

    /// Returns true for an instance that is leaving or gone.
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
    /// `PolicyType`: most fields below belong to one kind each.
    pub kind: PolicyKind,
    /// `TargetValue` of a target-tracking policy.
    pub target_value: Option<f64>,
    /// True for a target-tracking policy that only scales out.
    pub scale_in_disabled: bool,
    /// `EstimatedInstanceWarmup`; absent where the group's default holds, and for a service.
    pub warm_up: Option<Duration>,
    /// Names of the alarms that it acts on.
    pub alarms: Vec<String>,
    /// Name of the predefined metric or of the policy's own metric; for metric math, its
    /// expression.
    pub metric: Option<String>,
    /// The whole metric specification of a target-tracking policy; absent in older records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracked: Option<TrackedMetric>,
    /// `MetricAggregationType` of a step policy, for example `Average`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<String>,
    /// `AdjustmentType`: `ChangeInCapacity`, `ExactCapacity` or `PercentChangeInCapacity`.
    pub adjustment: Option<String>,
    /// `MinAdjustmentMagnitude`: fewest instances that a percentage adds or removes.
    pub least: Option<u32>,
    /// The steps of a step policy; empty for other kinds.
    pub steps: Vec<StepAdjustment>,
    /// The change of size of a simple policy, in the unit of `adjustment`.
    pub change: Option<i32>,
    /// The cooldown of a simple policy; for a service's policy, the one after a scale-in.
    pub cooldown: Option<Duration>,
    /// The cooldown of a service's policy after a scale-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_cooldown: Option<Duration>,
    /// The mode of a predictive policy; absent for other kinds.
    pub mode: Option<PredictiveMode>,
    /// True if `Enabled` is false, so its alarms change nothing.
    pub disabled: bool,
}

/// The metric of a target-tracking policy, as its configuration specifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackedMetric {
    /// `PredefinedMetricSpecification`.
    Predefined {
        /// `PredefinedMetricType`.
        name: String,
        /// `ResourceLabel`: the load balancer and target group of a count of requests.
        label: Option<String>,
    },
    /// `CustomizedMetricSpecification` of one metric.
    Own(OwnMetric),
    /// `CustomizedMetricSpecification` of metric math: its queries, in their order.
    Math(Vec<MathQuery>),
}

/// The one metric of a `CustomizedMetricSpecification`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnMetric {
    /// `Namespace`.
    pub namespace: String,
    /// `MetricName`.
    pub metric: String,
    /// `Statistic`, for example `Average`.
    pub statistic: Option<String>,
    /// `Unit`; absent if any.
    pub unit: Option<String>,
    /// `Period` in whole seconds; absent for AWS's default of a minute, and for a service.
    pub period: Option<Duration>,
    /// Names and values of the metric's dimensions.
    pub dimensions: Vec<(String, String)>,
}

/// A step of a step policy: the change of size for a range of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepAdjustment {
    /// Start of the range, relative to the alarm's threshold; absent where unbounded.
    pub lower: Option<f64>,
    /// End of the range, relative to the alarm's threshold; absent where unbounded.
    pub upper: Option<f64>,
    /// `ScalingAdjustment`: in instances or percent, by the policy's `adjustment`.
    pub change: i32,
}

/// The targets of one target group, as `DescribeTargetHealth` returns them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// The ARN of the target group.
    pub target_group: String,
    /// Each instance, or a task's address, with its state.
    pub targets: Vec<(String, TargetState)>,
}

/// Settings and events around a group that slow it down, or move it besides its policies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// Lifecycle hooks; empty for a service.
    pub hooks: Vec<Hook>,
    /// Instances in the warm pool that are ready for use; absent without a pool, or where it could
    /// not be read.
    pub warm_pool: Option<u32>,
    /// Scheduled actions that are still to come.
    pub scheduled: Vec<ScheduledAction>,
    /// Instance refreshes under way, or deployments of a service.
    pub refreshes: Vec<String>,
    /// The target groups that the group is attached to, with their settings.
    pub target_groups: Vec<TargetGroup>,
}

/// A lifecycle hook: an instance waits for its answer when it starts or leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// `LifecycleHookName`.
    pub name: String,
    /// `autoscaling:EC2_INSTANCE_LAUNCHING` or `autoscaling:EC2_INSTANCE_TERMINATING`.
    pub transition: String,
    /// `HeartbeatTimeout`: the longest wait of an instance without an answer.
    pub heartbeat: Duration,
}

/// A scheduled action, which changes the group's sizes at a set time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// The name of the action.
    pub name: String,
    /// Time of the next run; absent where the API does not say.
    pub next: Option<Timestamp>,
    /// A cron expression; absent for a single run.
    pub recurrence: Option<String>,
    /// The new minimum; absent if unchanged.
    pub min: Option<u32>,
    /// The new maximum; absent if unchanged.
    pub max: Option<u32>,
    /// The new desired capacity; absent if unchanged.
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
    /// Passed checks in a row until a target is healthy; a new target needs one.
    pub healthy_after: u32,
    /// Failed checks in a row until a target is unhealthy.
    pub unhealthy_after: u32,
    /// `deregistration_delay.timeout_seconds`: longest time that a leaving target drains.
    pub deregistration_delay: Duration,
    /// `slow_start.duration_seconds`; zero means off.
    pub slow_start: Duration,
    /// Routing algorithm, for example `round_robin` or `least_outstanding_requests`.
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
    /// The number of target groups that it routes to; absent where it was not read, as in older
    /// recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_groups: Option<u32>,
}
