//! What was seen of the target while it suffered: samples with their own time, in the order they were taken.
//!
//! Times inside a sample are the API's; `at` is ours. Which of AWS's times mean what they say: alarm history is exact,
//! a datapoint's timestamp is the *start* of its period, an activity's `EndTime` includes the warm-up and is never the
//! moment of service (so in service is what polling saw).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When the answer was here, by our clock. What was seen has times of its own.
    pub at: Timestamp,
    pub seen: Observed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Observed {
    Group(GroupState),
    /// A scaling activity, when first seen and whenever it changed.
    Activity(Activity),
    Policy(Policy),
    /// An alarm's settings and state, when first seen and whenever they changed: AWS edits the alarms of a
    /// target-tracking policy as it pleases.
    Alarm(Alarm),
    /// One transition out of the alarm's history.
    AlarmChange(AlarmChange),
    Targets(TargetHealth),
    Metric(MetricSeries),
    /// A call failed: what would have been seen is unknown, and not filled in.
    Gap {
        call: String,
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupState {
    pub name: String,
    pub min: u32,
    pub max: u32,
    pub desired: u32,
    pub default_cooldown: Duration,
    pub default_warm_up: Option<Duration>,
    pub instances: Vec<Instance>,
    pub target_groups: Vec<String>,
    pub suspended: Vec<String>,
}

impl GroupState {
    pub fn in_service(&self) -> u32 {
        self.instances.iter().filter(|instance| instance.lifecycle == "InService").count() as u32
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    /// An open list: AWS adds states.
    pub lifecycle: String,
    pub health: String,
    pub zone: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub start: Timestamp,
    /// Includes the warm-up: not the moment of service.
    pub end: Option<Timestamp>,
    pub status: String,
    pub message: Option<String>,
    /// AWS's own JSON text; may name the invoking alarms.
    pub details: Option<String>,
}

impl Activity {
    /// A launch that made the group larger: not the replacement of an unhealthy instance.
    pub fn grows(&self) -> bool {
        self.cause.contains("increasing the capacity")
    }

    /// A termination that made the group smaller: not the removal of an unhealthy instance.
    pub fn shrinks(&self) -> bool {
        self.cause.contains("shrinking the capacity")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    /// `TargetTrackingScaling`, `StepScaling`, `SimpleScaling`, `PredictiveScaling`.
    pub kind: String,
    pub target_value: Option<f64>,
    pub scale_in_disabled: bool,
    pub warm_up: Option<Duration>,
    pub alarms: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub name: String,
    pub state: String,
    pub state_since: Option<Timestamp>,
    pub namespace: Option<String>,
    pub metric: Option<String>,
    pub statistic: Option<String>,
    pub dimensions: Vec<(String, String)>,
    /// CloudWatch's word, such as `GreaterThanThreshold`.
    pub comparison: String,
    pub threshold: Option<f64>,
    pub period: Duration,
    pub evaluation_periods: u32,
    pub datapoints_to_alarm: Option<u32>,
}

impl Alarm {
    pub fn breached_by(&self, value: f64) -> bool {
        let Some(threshold) = self.threshold else { return false };
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > threshold,
            "GreaterThanOrEqualToThreshold" => value >= threshold,
            "LessThanThreshold" => value < threshold,
            "LessThanOrEqualToThreshold" => value <= threshold,
            _ => false,
        }
    }

    /// Fires when the metric is high: it asks for more capacity.
    pub fn is_high(&self) -> bool {
        self.comparison.starts_with("GreaterThan")
    }

    /// The shortest time from the first breaching datapoint's start to the alarm.
    pub fn window(&self) -> Duration {
        self.period * self.datapoints_to_alarm.unwrap_or(self.evaluation_periods)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmChange {
    pub alarm: String,
    pub at: Timestamp,
    pub from: String,
    pub to: String,
    /// The datapoints the alarm was decided on, earliest first.
    pub datapoints: Vec<Datapoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    /// The start of its period.
    pub at: Timestamp,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    pub target_group: String,
    /// Instance and state: `initial`, `healthy`, `unhealthy`, `draining`, `unused`, `unavailable`.
    pub targets: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSeries {
    /// Our short name, such as `policy metric` or `target 5xx`.
    pub name: String,
    pub unit: String,
    pub period: Duration,
    /// Earliest first.
    pub points: Vec<Datapoint>,
}

/// All observations of a run, with the questions the verdict asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub observations: Vec<Observation>,
}

impl Timeline {
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, group)),
            _ => None,
        })
    }

    pub fn targets(&self) -> impl Iterator<Item = (Timestamp, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, targets)),
            _ => None,
        })
    }

    /// Each policy as last seen.
    pub fn policies(&self) -> Vec<&Policy> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Policy(policy) => Some((policy.name.as_str(), policy)),
            _ => None,
        }))
    }

    /// Each alarm as last seen.
    pub fn alarms(&self) -> Vec<&Alarm> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Alarm(alarm) => Some((alarm.name.as_str(), alarm)),
            _ => None,
        }))
    }

    /// Each activity as last seen, by its start.
    pub fn activities(&self) -> Vec<&Activity> {
        let mut activities = latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Activity(activity) => Some((activity.id.as_str(), activity)),
            _ => None,
        }));
        activities.sort_by_key(|activity| activity.start);
        activities
    }

    pub fn alarm_changes(&self) -> Vec<&AlarmChange> {
        let mut changes: Vec<&AlarmChange> = self
            .observations
            .iter()
            .filter_map(|one| match &one.seen {
                Observed::AlarmChange(change) => Some(change),
                _ => None,
            })
            .collect();
        changes.sort_by_key(|change| change.at);
        changes
    }

    pub fn metrics(&self) -> impl Iterator<Item = &MetricSeries> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Metric(series) => Some(series),
            _ => None,
        })
    }

    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, &str, &str)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Gap { call, why } => Some((one.at, call.as_str(), why.as_str())),
            _ => None,
        })
    }

    /// When an instance was first seen in a state of target health.
    pub fn first_health(&self, instance: &str, state: &str) -> Option<Timestamp> {
        self.targets()
            .find(|(_, health)| health.targets.iter().any(|(id, seen)| id == instance && seen == state))
            .map(|(at, _)| at)
    }
}

/// The last value of each name, in the order in which the names first came.
fn latest<'a, T>(values: impl Iterator<Item = (&'a str, &'a T)>) -> Vec<&'a T> {
    let mut found: Vec<(&str, &T)> = Vec::new();
    for (name, value) in values {
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => found.push((name, value)),
        }
    }
    found.into_iter().map(|(_, value)| value).collect()
}
