//! Why a lab file cannot be used.

use std::time::Duration;

/// A lab file that is not YAML, has a wrong key, or contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum LabConfigError {
    /// The system could not read the file.
    #[error("{0}")]
    Read(#[source] std::io::Error),
    /// The file is no YAML, or has an unknown key or a wrong value.
    #[error("{0}")]
    Syntax(#[source] Box<serde_saphyr::Error>),
    /// `target.instances` is not from `min` to `max`, or `min` is above `max`.
    #[error("target: instances must lie between min and max: {min} <= {instances} <= {max}")]
    Instances {
        /// `target.min`.
        min: u32,
        /// `target.instances`.
        instances: u32,
        /// `target.max`.
        max: u32,
    },
    /// `max`, `workers` or `service_time` of the target is zero: no request could be answered.
    #[error("target: max, workers and service_time must be more than zero")]
    NothingServes,
    /// A policy is wrong by itself.
    #[error("policy: {0}")]
    Policy(#[from] PolicyConfigError),
    /// The periods of two policies differ.
    #[error("policies: all have the same period here")]
    UnequalPeriods,
    /// `target.service` is set, and a policy is of kind `simple`.
    #[error("policies: a service has no simple policies")]
    SimplePolicyOfService,
    /// `slots` or `time` of the backend is zero.
    #[error("target.backend: slots and time must be more than zero")]
    BackendServesNothing,
    /// The sick instance has no number, or zero.
    #[error("target.sick: instance is counted from 1, in the order of launches")]
    SickInstance,
    /// The sick instance answers well and in time.
    #[error("target.sick: needs a `status`, or a `slow` time")]
    SickWithoutSymptom,
    /// `target.sick.fails_checks` is set, and the target is a service.
    #[error("target.sick: `fails_checks` is for a group; leave it out for a service")]
    FailingChecksOfService,
    /// The window of the rate limit takes no time.
    #[error("target.rate_limit: window must be more than zero")]
    EmptyWindow,
    /// The rate limit has a window, and another time after which to try again.
    #[error("target.rate_limit: a window says itself when it ends; leave `retry_after` out")]
    RetryAfterOfWindow,
    /// A span ends before it begins; holds the key it belongs to.
    #[error("{0}: `to` must be later than `from`")]
    EmptySpan(&'static str),
    /// Dear requests take no service time at all.
    #[error("target.unequal: times must be more than zero")]
    RequestsWithoutCost,
    /// No answer of `target.transfer` is large.
    #[error("target.transfer: large must have an entry")]
    NothingIsLarge,
    /// The rate of other users changes, and the time in which it does is not given.
    #[error("traffic: `to_rate` needs `from` and `to`")]
    RampWithoutSpan,
    /// `group.launches.fail_after` is set, and the target is a service.
    #[error("group.launches: only launches of a group fail; leave `fail_after` out for a service")]
    FailingLaunchesOfService,
    /// `group.scheduled` is set, and the target is a service.
    #[error(
        "group.scheduled: only the bounds of a group are scheduled; leave it out for a service"
    )]
    ScheduledOfService,
    /// A scheduled action changes nothing.
    #[error("group.scheduled: needs `min` or `max`")]
    ScheduledNothing,
    /// The bounds of a scheduled action contradict each other.
    #[error("group.scheduled: min is above max")]
    ScheduledBounds,
    /// `group.interruptions` is set, and the target is a service.
    #[error("group.interruptions: only instances are interrupted; leave it out for a service")]
    InterruptionsOfService,
    /// An interruption takes no instance.
    #[error("group.interruptions: instances must be more than zero")]
    InterruptedNobody,
    /// `group.zone_loss` is set, and the target is a service.
    #[error("group.zone_loss: only a group loses a zone; leave it out for a service")]
    ZoneLossOfService,
    /// `group.zone_loss` names a zone that the group does not have.
    #[error("group.zone_loss: the zones are eu-west-1a, eu-west-1b and eu-west-1c")]
    UnknownZone,
    /// `target.types` is set, and the target is a service.
    #[error("target.types: only instances have a type; leave it out for a service")]
    TypesOfService,
    /// The capacity of a type is zero.
    #[error("target.types: capacity must be more than 0%")]
    TypeServesNothing,
}

/// A policy of the lab file that the lab's group could not follow.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PolicyConfigError {
    /// The period is under 1 s, or has a part of a second; holds it.
    #[error("period must be whole seconds, at least 1s")]
    Period(Duration),
    /// A number of datapoints is zero.
    #[error("an alarm needs at least one datapoint")]
    NoDatapoints,
    /// The target value is not above 0, or above 100 where it is CPU; holds it.
    #[error("target_value is a percentage of CPU, not {0}")]
    TargetValue(f64),
    /// A step or simple policy has neither `above` nor `below`, or both.
    #[error("a step or simple policy has a threshold, `above` or `below`")]
    Threshold,
    /// The list of steps of a step policy is empty.
    #[error("a step policy needs `steps`")]
    NoSteps,
    /// The change of a simple policy is zero, and its adjustment not exact.
    #[error("a simple policy needs a `change`")]
    NoChange,
}
