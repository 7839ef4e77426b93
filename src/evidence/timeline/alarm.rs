//! Alarms as they are set, and their changes of state.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::vocabulary::{AlarmComparison, AlarmState};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarm {
    pub name: String,
    pub state: AlarmState,
    pub state_since: Option<Timestamp>,
    pub namespace: Option<String>,
    pub metric: Option<String>,
    pub statistic: Option<String>,
    pub dimensions: Vec<(String, String)>,
    pub comparison: AlarmComparison,
    pub threshold: Option<f64>,
    pub period: Duration,
    pub evaluation_periods: u32,
    pub datapoints_to_alarm: Option<u32>,
    /// `missing`, `ignore`, `breaching`, `notBreaching`.
    pub missing: String,
    /// Of an alarm on metric math: what its expression is made of. The metric is then the
    /// expression.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub math: Vec<MathQuery>,
}

/// One line of a metric math: an expression, or a metric that others name by its id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MathQuery {
    pub id: String,
    pub expression: Option<String>,
    pub namespace: Option<String>,
    pub metric: Option<String>,
    pub statistic: Option<String>,
    pub dimensions: Vec<(String, String)>,
    pub period: Option<Duration>,
    /// The one that the alarm looks at.
    pub returned: bool,
}

impl Alarm {
    /// Whether two alarms look at the same numbers.
    pub fn sees_the_same_as(&self, other: &Self) -> bool {
        let of = |alarm: &Self| {
            (
                alarm.namespace.clone(),
                alarm.metric.clone(),
                alarm.statistic.clone(),
                alarm.period,
            )
        };
        of(self) == of(other) && self.dimensions == other.dimensions && self.math == other.math
    }

    pub fn breached_by(&self, value: f64) -> bool {
        self.threshold
            .is_some_and(|threshold| self.comparison.is_breached(value, threshold))
    }

    /// Fires when the metric is high: it asks for more capacity.
    pub fn is_high(&self) -> bool {
        self.comparison.is_high()
    }

    /// How many datapoints have to breach.
    pub fn datapoints(&self) -> u32 {
        self.datapoints_to_alarm
            .unwrap_or(self.evaluation_periods)
            .max(1)
    }

    /// The shortest time from the first breaching datapoint's start to the alarm.
    pub fn window(&self) -> Duration {
        self.period * self.datapoints()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmChange {
    pub alarm: String,
    pub at: Timestamp,
    pub from: AlarmState,
    pub to: AlarmState,
    /// The datapoints the alarm was decided on, earliest first.
    pub datapoints: Vec<Datapoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    /// The start of its period.
    pub at: Timestamp,
    pub value: f64,
}
