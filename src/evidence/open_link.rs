//! Links of a reaction that were not seen, or not as one expects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MomentKind;
use model::units::Seconds;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum OpenLink {
    /// The group grew before the spike rose, and not again.
    GrewBeforeTheSpike {
        from: u32,
        to: u32,
        after_start_s: Seconds,
    },
    /// The alarm had fired before the load rose: there is no breach to count from.
    FiredBeforeTheRise {
        alarm: String,
    },
    NotSeen {
        moment: MomentKind,
    },
    LatencyBackWithoutNewInstance,
    LatencyBackAtTheFall,
    LatencyNeverBack,
    StoppedBeforeTheFall,
    LowAlarmBeforeTheFall {
        alarm: String,
        before_s: Seconds,
    },
    MetricLowBeforeTheFall {
        alarm: String,
        before_s: Seconds,
    },
    /// The sentence of a report of version 1 to 4.
    #[serde(untagged)]
    Sentence(String),
}
