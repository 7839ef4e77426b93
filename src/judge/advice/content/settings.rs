//! Settings around the policy: warm-up, cooldown and others.

use std::time::Duration;

use super::Fit;

/// The warm-up of a target tracking or step policy.
#[derive(Debug, Clone, PartialEq)]
pub enum WarmUp {
    /// A service has none.
    OfService,
    /// None is set, and no new instance came into service.
    Unset {
        /// Default cooldown of the group, which AWS takes for the warm-up.
        cooldown: Duration,
    },
    /// The starts of new instances show the time that fits.
    Known {
        /// From the launch to in service.
        boot: Duration,
        /// From in service to healthy.
        health: Duration,
        /// Until its load shows in the metric.
        period: Duration,
        /// From in service on.
        about: Duration,
        /// The warm-up that is set.
        now: PresentWarmUp,
    },
}

/// The warm-up that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum PresentWarmUp {
    /// Neither the policy nor the group has one.
    Unset {
        /// Default cooldown of the group, which AWS takes for the warm-up.
        cooldown: Duration,
    },
    /// The policy has one, or the group a default.
    Set {
        /// The warm-up of the policy, else of the group.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
        /// For so long scaling in waited after its low alarm.
        waited: Option<Duration>,
    },
}

/// The cooldowns of a group or service.
#[derive(Debug, Clone, PartialEq)]
pub enum Cooldown {
    /// No policy is simple.
    NoMatter {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// No policy is simple, but new instances warm up for it.
    IsWarmUp {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// A policy is simple: it waits for the cooldown after each change.
    Simple {
        /// Name of the simple scaling policy.
        policy: String,
        /// The time that fits: health and window.
        about: Duration,
        /// From in service to healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// The cooldown of the policy, else of the group.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
    /// A service has one after a scale-out and one after a scale-in, for each policy.
    OfService(Vec<ServiceCooldown>),
}

/// A cooldown of a policy of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceCooldown {
    /// No start of a task was seen.
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
        /// The time that fits: boot, health and window.
        about: Duration,
        /// From the launch of a task until it runs.
        boot: Duration,
        /// From then until it is healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// `ScaleOutCooldown` of the policy.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
    /// The cooldown after a scale-in.
    In {
        /// Name of the policy.
        policy: String,
        /// The time that fits: drain and period.
        about: Duration,
        /// Longest deregistration delay of the target groups.
        drain: Duration,
        /// Period of the low alarm.
        period: Duration,
        /// `ScaleInCooldown` of the policy.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
}

/// A setting around the policy that the run shows to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum OtherSetting {
    /// Instances left because they failed health checks.
    FailedChecks {
        /// Instances that did.
        instances: u64,
        /// Health check grace period of the group.
        grace: Duration,
    },
    /// New instances do not serve well at first.
    FreshErrors {
        /// Evidence of it.
        found: FreshErrors,
        /// The target is an ECS service.
        is_service: bool,
        /// Longest slow start of the target groups; `None` where none is set.
        slow_start: Option<Duration>,
    },
    /// Instances were in service this long before they were healthy.
    SlowChecks {
        /// The longest such time.
        waits: Duration,
    },
    /// A target group drains for two minutes or longer.
    LongDeregistration {
        /// Deregistration delay of the target group.
        delay: Duration,
    },
    /// A target group has stickiness, which keeps the load on old instances.
    StickySessions,
    /// A target group combines slow start with least outstanding requests.
    SlowStartWithoutEffect,
    /// A policy is simple: step scaling goes on while instances start.
    SimpleScaling {
        /// Name of the policy.
        policy: String,
        /// The cooldown of the policy, else of the group.
        cooldown: Duration,
    },
}

/// What new instances did worse than the others.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshErrors {
    /// The sentence of the judgement.
    Judged(String),
    /// Errors within a minute of a new instance's first health, of all.
    Inferred {
        /// Errors within that minute.
        young: u64,
        /// Errors of the whole run.
        all: u64,
    },
}
