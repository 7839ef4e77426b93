//! Why a lab file cannot be used.

use std::time::Duration;

/// A lab file that is not YAML, has a wrong key, or contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum LabConfigError {
    #[error("{0}")]
    Read(#[source] std::io::Error),
    #[error("{0}")]
    Syntax(#[source] Box<serde_saphyr::Error>),
    #[error("target: instances must lie between min and max: {min} <= {instances} <= {max}")]
    Instances { min: u32, instances: u32, max: u32 },
    #[error("target: max, workers and service_time must be more than zero")]
    NothingServes,
    #[error("policy: {0}")]
    Policy(#[from] PolicyConfigError),
    #[error("policies: all have the same period here")]
    UnequalPeriods,
    #[error("policies: a service has no simple policies")]
    SimplePolicyOfService,
}

/// A policy of the lab file that the lab's group could not follow.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PolicyConfigError {
    #[error("period must be whole seconds, at least 1s")]
    Period(Duration),
    #[error("an alarm needs at least one datapoint")]
    NoDatapoints,
    #[error("target_value is a percentage of CPU, not {0}")]
    TargetValue(f64),
    #[error("a step or simple policy has a threshold, `above` or `below`")]
    Threshold,
    #[error("a step policy needs `steps`")]
    NoSteps,
    #[error("a simple policy needs a `change`")]
    NoChange,
}
