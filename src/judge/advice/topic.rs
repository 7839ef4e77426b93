//! The questions that advice answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Result of the user's own change, given by `--what-if`.
    WhatIf,
    /// Which candidate to take instead of the policy that ran.
    Change,
    /// Which link from the breach to the served request took longest.
    SlowestLink,
    /// Load of each instance until the group grew.
    LatencyBeforeGrowth,
    /// Causes of the errors.
    Errors,
    /// Closeness of the group's size to the load.
    LoadFollowed,
    /// Capacity of one instance, and the size that the load needs.
    InstanceCapacity,
    /// Load that the group carries at its maximum.
    AtMaximum,
    /// Target value of a target tracking policy.
    TargetValue,
    /// Minimum and maximum of the group.
    MinAndMax,
    /// Size of the steps, or of one step beside the policy.
    StepSizes,
    /// Warm-up of the policy or the group.
    WarmUp,
    /// Cooldown of the policy or the group.
    Cooldown,
    /// Settings around the policy, for example of health checks and target groups.
    OtherSettings,
    /// Price of an instance-hour, and its origin.
    Price,
}
