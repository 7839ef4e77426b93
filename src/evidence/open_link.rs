//! Links of a reaction that were not seen, or that differ from the expected order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MomentKind;
use super::timeline::NotScaled;
use model::units::Seconds;

/// A link that a chain lacks, or has only with a reservation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum OpenLink {
    /// The group grew before the spike rose, and not again for the spike.
    GrewBeforeTheSpike {
        /// Desired capacity before it grew.
        from: u32,
        /// Desired capacity after it grew.
        to: u32,
        /// Time from the start of the load until it grew.
        after_start_s: Seconds,
    },
    /// The alarm had fired before the load rose: there is no breach to count from.
    FiredBeforeTheRise {
        /// The alarm's name.
        alarm: String,
    },
    /// No alarm asked for more in a later spike: the group still had these instances.
    NoAlarmAskedForMore {
        /// Desired capacity when the spike rose.
        instances: u32,
    },
    /// An alarm asked the service for more, and Application Auto Scaling left it as it was.
    NotScaled {
        /// Its reason.
        why: NotScaled,
    },
    /// An expected moment was not seen by the end of the watch.
    NotSeen {
        /// The moment that is missing.
        moment: MomentKind,
    },
    /// Latency was back before a new instance could have helped.
    LatencyBackWithoutNewInstance,
    /// Latency was back only when the load fell.
    LatencyBackAtTheFall,
    /// Latency did not come back while the load was there.
    LatencyNeverBack,
    /// The spike has too few answers for a p95, so it is unknown whether latency kept its limit.
    LatencyUnknown,
    /// The load was stopped before its spike ended.
    StoppedBeforeTheFall,
    /// The low alarm had fired before the load fell.
    LowAlarmBeforeTheFall {
        /// The alarm's name.
        alarm: String,
        /// Time from the alarm to the fall of the load.
        before_s: Seconds,
    },
    /// The metric was below the alarm's threshold before the load fell.
    MetricLowBeforeTheFall {
        /// The alarm's name.
        alarm: String,
        /// Time from the first low datapoint to the fall of the load.
        before_s: Seconds,
    },
    /// The sentence of a report of version 1 to 4.
    #[serde(untagged)]
    Sentence(String),
}
