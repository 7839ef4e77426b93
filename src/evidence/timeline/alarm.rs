//! Alarms with their settings, and their changes of state.

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
    /// `StateTransitionedTimestamp`: start of the present state.
    pub state_since: Option<Timestamp>,
    /// `Namespace` of its metric; absent for metric math.
    pub namespace: Option<String>,
    /// `MetricName`, or the expression of metric math.
    pub metric: Option<String>,
    /// `Statistic` or `ExtendedStatistic`, for example `Average`; absent for metric math.
    pub statistic: Option<String>,
    /// `Unit` of the metric; absent if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Names and values of the metric's dimensions.
    pub dimensions: Vec<(String, String)>,
    /// `ComparisonOperator`.
    pub comparison: AlarmComparison,
    /// `Threshold`; absent for an anomaly band.
    pub threshold: Option<f64>,
    /// `Period`: the length of one datapoint.
    pub period: Duration,
    /// `EvaluationPeriods`: number of datapoints that the alarm evaluates.
    pub evaluation_periods: u32,
    /// `DatapointsToAlarm`: number of those that must breach; absent means all.
    pub datapoints_to_alarm: Option<u32>,
    /// `TreatMissingData`: `missing`, `ignore`, `breaching` or `notBreaching`.
    pub missing: String,
    /// The queries of an alarm on metric math, whose `metric` is the expression; empty for other
    /// alarms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub math: Vec<MathQuery>,
}

/// One query of metric math: an expression, or a metric that expressions name by its id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MathQuery {
    /// `Id`, by which expressions name this query.
    pub id: String,
    /// `Expression`; absent for a metric.
    pub expression: Option<String>,
    /// `Namespace` of the metric; absent for an expression.
    pub namespace: Option<String>,
    /// `MetricName`; absent for an expression.
    pub metric: Option<String>,
    /// `Stat` of the metric; absent for an expression.
    pub statistic: Option<String>,
    /// `Unit` of the metric; absent if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `Label`; absent if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Names and values of the metric's dimensions.
    pub dimensions: Vec<(String, String)>,
    /// `Period`; absent for an expression without a period of its own.
    pub period: Option<Duration>,
    /// `ReturnData`: true for the query that the alarm watches.
    pub returned: bool,
}

impl Alarm {
    /// Returns true if both alarms watch the same metric or expression.
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

    /// Returns true if a datapoint of this value breaches; never without a threshold.
    pub fn breached_by(&self, value: f64) -> bool {
        self.threshold
            .is_some_and(|threshold| self.comparison.is_breached(value, threshold))
    }

    /// Returns true if the alarm fires on a high metric, so it asks for more capacity.
    pub fn is_high(&self) -> bool {
        self.comparison.is_high()
    }

    /// Returns the number of datapoints that have to breach.
    pub fn datapoints(&self) -> u32 {
        self.datapoints_to_alarm
            .unwrap_or(self.evaluation_periods)
            .max(1)
    }

    /// Returns the shortest time from the start of the first breaching datapoint to the alarm.
    pub fn window(&self) -> Duration {
        self.period * self.datapoints()
    }
}

/// A change of an alarm's state, from its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmChange {
    /// The alarm's name.
    pub alarm: String,
    /// Time of the change.
    pub at: Timestamp,
    /// The state before.
    pub from: AlarmState,
    /// The state after.
    pub to: AlarmState,
    /// The datapoints that decided the state, earliest first.
    pub datapoints: Vec<Datapoint>,
}

/// An entry of an alarm's history whose content could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadChange {
    /// The alarm's name.
    pub alarm: String,
    /// Time of the change.
    pub at: Timestamp,
    /// The entry as AWS wrote it.
    pub text: String,
}

impl UnreadChange {
    /// Most characters of an entry that are shown.
    const SHOWN: usize = 200;

    /// Returns the alarm with the start of the entry.
    pub(super) fn words(&self) -> String {
        let start: String = self.text.chars().take(Self::SHOWN).collect();
        let rest = if start.len() < self.text.len() {
            "..."
        } else {
            ""
        };
        format!("history of {}: {start}{rest}", self.alarm)
    }
}

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    /// The start of its period.
    pub at: Timestamp,
    /// The statistic of the period, in the unit of its series.
    pub value: f64,
}
