//! Content of the answers on warm-up, cooldown and other settings around the policy.

use std::time::Duration;

use super::Fit;

/// The warm-up of a target tracking or step policy.
#[derive(Debug, Clone, PartialEq)]
pub enum WarmUp {
    /// A service has no warm-up.
    OfService,
    /// No warm-up is set, and no new instance came into service.
    Unset {
        /// Default cooldown of the group, which AWS uses as the warm-up.
        cooldown: Duration,
    },
    /// The starts of new instances show the time that fits.
    Known {
        /// Time from the launch of an instance until it is in service.
        boot: Duration,
        /// Time from in service until healthy.
        health: Duration,
        /// Time from healthy until the metric shows the instance's load.
        period: Duration,
        /// The fitting warm-up, which counts from in service on.
        about: Duration,
        /// The warm-up that is set.
        now: PresentWarmUp,
    },
}

/// The warm-up that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum PresentWarmUp {
    /// Neither the policy nor the group has a warm-up.
    Unset {
        /// Default cooldown of the group, which AWS uses as the warm-up.
        cooldown: Duration,
    },
    /// The policy has a warm-up, or the group has a default one.
    Set {
        /// The warm-up of the policy, else of the group.
        live: Duration,
        /// Comparison with the fitting time.
        fit: Fit,
        /// Time for which scaling in waited after its low alarm; `None` where it did not wait for
        /// the warm-up.
        waited: Option<Duration>,
    },
}

/// The cooldowns of a group or service.
#[derive(Debug, Clone, PartialEq)]
pub enum Cooldown {
    /// No policy is simple, so the cooldown does not matter.
    NoMatter {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// No policy is simple, but AWS uses the cooldown as the warm-up of new instances.
    IsWarmUp {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// A policy is simple: it waits for the cooldown after each change.
    Simple {
        /// Name of the simple scaling policy.
        policy: String,
        /// The fitting cooldown: health and window.
        about: Duration,
        /// Time from in service until healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// The cooldown of the policy, else of the group.
        live: Duration,
        /// Comparison with the fitting time.
        fit: Fit,
    },
    /// The cooldowns of a service: for each policy one after a scale-out and one after a scale-in.
    OfService(Vec<ServiceCooldown>),
}

/// A cooldown of a policy of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceCooldown {
    /// The cooldown after a scale-out, where no start of a task was seen.
    OutUnknown {
        /// Name of the policy.
        policy: String,
        /// `ScaleOutCooldown` of the policy.
        live: Duration,
    },
    /// The cooldown after a scale-out.
    Out {
        /// Name of the policy.
        policy: String,
        /// The fitting cooldown: boot, health and window.
        about: Duration,
        /// Time from the launch of a task until it runs.
        boot: Duration,
        /// Time from running until healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// `ScaleOutCooldown` of the policy.
        live: Duration,
        /// Comparison with the fitting time.
        fit: Fit,
    },
    /// The cooldown after a scale-in.
    In {
        /// Name of the policy.
        policy: String,
        /// The fitting cooldown: drain and period.
        about: Duration,
        /// Longest deregistration delay of the target groups.
        drain: Duration,
        /// Period of the low alarm.
        period: Duration,
        /// `ScaleInCooldown` of the policy.
        live: Duration,
        /// Comparison with the fitting time.
        fit: Fit,
    },
}

/// A setting around the policy that the run shows to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum OtherSetting {
    /// Instances left because they failed health checks.
    FailedChecks {
        /// Number of instances that failed their health checks.
        instances: u64,
        /// Health check grace period of the group.
        grace: Duration,
    },
    /// New instances do not serve well at first.
    FreshErrors {
        /// Evidence of the poor answers.
        found: FreshErrors,
        /// True if the target is an ECS service.
        is_service: bool,
        /// Longest slow start of the target groups; `None` where none is set.
        slow_start: Option<Duration>,
    },
    /// Instances were in service for long before they were healthy.
    SlowChecks {
        /// The longest time from in service until healthy.
        waits: Duration,
    },
    /// A target group drains for two minutes or longer.
    LongDeregistration {
        /// Deregistration delay of the target group.
        delay: Duration,
    },
    /// A target group drains for less time than the longest request takes.
    ShortDeregistration {
        /// Deregistration delay of the target group.
        delay: Duration,
        /// The longest request without overload.
        longest: Duration,
    },
    /// A target group has stickiness, which keeps the load on old instances.
    StickySessions,
    /// A target group combines slow start with least outstanding requests.
    SlowStartWithoutEffect,
    /// A policy is simple; step scaling would go on while instances start.
    SimpleScaling {
        /// Name of the policy.
        policy: String,
        /// The cooldown of the policy, else of the group.
        cooldown: Duration,
    },
}

/// Evidence that new instances answered worse than the others.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshErrors {
    /// The sentence of the judgement.
    Judged(String),
    /// Errors within a minute of a new instance's first health.
    Inferred {
        /// Errors within that minute.
        young: u64,
        /// Errors of the whole run.
        all: u64,
    },
}
