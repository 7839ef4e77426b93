//! The group as it was read: its size, instances, policies, and what surrounds it.

use std::time::Duration;

use crate::vocabulary::{Lifecycle, PolicyKind, PredictiveMode, TargetState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
