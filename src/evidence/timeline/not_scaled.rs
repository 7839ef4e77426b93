//! Application Auto Scaling's reasons for leaving a service's capacity as it was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reason why an alarm's action changed nothing: a code of `NotScaledReasons`, with the capacity
/// that belongs to it. A capacity is `null` where AWS gives none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum NotScaled {
    /// `AlreadyAtMaxCapacity`: the service was at its maximum.
    AtMaximum {
        /// `MaxCapacity`.
        maximum: Option<u32>,
    },
    /// `AlreadyAtMinCapacity`: the service was at its minimum.
    AtMinimum {
        /// `MinCapacity`.
        minimum: Option<u32>,
    },
    /// `AlreadyAtDesiredCapacity`: the policy asked for the capacity that the service had.
    AtDesired {
        /// `CurrentCapacity`.
        current: Option<u32>,
    },
    /// `AutoScalingAnticipatedFlapping`: a change would soon have been undone.
    AnticipatedFlapping,
    /// `TargetServicePutResourceAsUnscalable`: ECS had made the service unscalable for a while.
    Unscalable,
    /// A code that is not in the list.
    Unknown {
        /// The code, as AWS writes it.
        code: String,
    },
}

/// The capacities of a `NotScaledReason`; AWS gives only those that belong to its code.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReasonCapacities {
    /// `MaxCapacity`.
    pub maximum: Option<u32>,
    /// `MinCapacity`.
    pub minimum: Option<u32>,
    /// `CurrentCapacity`.
    pub current: Option<u32>,
}

impl NotScaled {
    /// Reads a code and its capacities.
    pub fn read(code: &str, given: ReasonCapacities) -> Self {
        match code {
            "AlreadyAtMaxCapacity" => Self::AtMaximum {
                maximum: given.maximum,
            },
            "AlreadyAtMinCapacity" => Self::AtMinimum {
                minimum: given.minimum,
            },
            "AlreadyAtDesiredCapacity" => Self::AtDesired {
                current: given.current,
            },
            "AutoScalingAnticipatedFlapping" => Self::AnticipatedFlapping,
            "TargetServicePutResourceAsUnscalable" => Self::Unscalable,
            other => Self::Unknown {
                code: other.to_owned(),
            },
        }
    }
}
