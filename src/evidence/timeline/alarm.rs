//! Alarms as they are set, and their changes of state.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::vocabulary::{AlarmComparison, AlarmState};

/// A CloudWatch alarm that a policy acts on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarm {
    /// `AlarmName`.
    pub name: String,
    /// `StateValue` when it was read.
    pub state: AlarmState,
    /// `StateTransitionedTimestamp`: since when it is in this state.
    pub state_since: Option<Timestamp>,
    /// `Namespace` of its metric; `None` for metric math.
    pub namespace: Option<String>,
    /// `MetricName`, or the expression of metric math.
    pub metric: Option<String>,
    /// `Statistic` or `ExtendedStatistic`, for example `Average`; `None` for metric math.
    pub statistic: Option<String>,
    /// Names and values of the metric's dimensions.
    pub dimensions: Vec<(String, String)>,
    /// `ComparisonOperator`.
    pub comparison: AlarmComparison,
    /// `Threshold`; `None` for an anomaly band.
    pub threshold: Option<f64>,
    /// `Period`: the length of one datapoint.
    pub period: Duration,
    /// `EvaluationPeriods`: how many datapoints it looks at.
    pub evaluation_periods: u32,
    /// `DatapointsToAlarm`: how many of them must breach; `None` is all.
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
    /// `Id`: expressions name it by this.
    pub id: String,
    /// `Expression`; `None` for a metric.
    pub expression: Option<String>,
    /// `Namespace` of the metric; `None` for an expression.
    pub namespace: Option<String>,
    /// `MetricName`; `None` for an expression.
    pub metric: Option<String>,
    /// `Stat` of the metric; `None` for an expression.
    pub statistic: Option<String>,
    /// Names and values of the metric's dimensions.
    pub dimensions: Vec<(String, String)>,
    /// `Period`; `None` for an expression that has none of its own.
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

    /// Whether a datapoint of this value breaches; never without a threshold.
    pub(crate) fn breached_by(&self, value: f64) -> bool {
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

/// A change of an alarm's state, from its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmChange {
    /// The alarm's name.
    pub alarm: String,
    /// When the state changed.
    pub at: Timestamp,
    /// The state before.
    pub from: AlarmState,
    /// The state after.
    pub to: AlarmState,
    /// The datapoints the alarm was decided on, earliest first.
    pub datapoints: Vec<Datapoint>,
}

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    /// The start of its period.
    pub at: Timestamp,
    /// The statistic of the period, in the unit of its series.
    pub value: f64,
}
