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
