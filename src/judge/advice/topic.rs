//! The questions that advice answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
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

impl Topic {
    /// Every topic once.
    pub const ALL: [Self; 13] = [
        Self::Change,
        Self::SlowestLink,
        Self::LatencyBeforeGrowth,
        Self::Errors,
        Self::LoadFollowed,
        Self::InstanceCapacity,
        Self::TargetValue,
        Self::MinAndMax,
        Self::StepSizes,
        Self::WarmUp,
        Self::Cooldown,
        Self::OtherSettings,
        Self::Price,
    ];

    /// As people read it.
    pub fn question(self) -> &'static str {
        match self {
            Self::Change => "What should be changed?",
            Self::SlowestLink => "Which link of scaling out is the slow one?",
            Self::LatencyBeforeGrowth => "Why did latency grow before the group did?",
            Self::Errors => "What explains the errors?",
            Self::LoadFollowed => "Did the group follow the load?",
            Self::InstanceCapacity => "What does one instance carry, and how many are needed?",
            Self::TargetValue => "What should the target value be?",
            Self::MinAndMax => "What should min and max be?",
            Self::StepSizes => "How large should the steps be?",
            Self::WarmUp => "What should the warm-up be?",
            Self::Cooldown => "What should the cooldown be?",
            Self::OtherSettings => "Which settings around the policy should change?",
            Self::Price => "What is money reckoned by?",
        }
    }

    /// The topic of an answer in a report of version 1 to 4, which has the question only.
    pub fn of_question(question: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|topic| topic.question() == question)
    }
}
