//! The questions that advice answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    Change,
    SlowestLink,
    LatencyBeforeGrowth,
    Errors,
    LoadFollowed,
    InstanceCapacity,
    TargetValue,
    MinAndMax,
    StepSizes,
    WarmUp,
    Cooldown,
    OtherSettings,
    Price,
}

impl Topic {
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
