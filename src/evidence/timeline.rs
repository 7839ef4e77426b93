//! What was seen of the target while it suffered: samples with their own time, in the order they
//! were taken.
//!
//! Times inside a sample are the API's; `at` is ours. Which of AWS's times mean what they say:
//! alarm history is exact, a datapoint's timestamp is the *start* of its period, an activity's
//! `EndTime` includes the warm-up and is never the moment of service (so in service is what polling
//! saw).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod activity;
mod alarm;
mod group;

pub use activity::{Activity, Decision};
pub use alarm::{Alarm, AlarmChange, Datapoint, MathQuery};
pub use group::{
    Balancer, GroupState, Hook, Instance, Policy, ScheduledAction, StepAdjustment, Surroundings,
    TargetGroup, TargetHealth,
};

/// One answer of AWS, with the times between which it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When the answer was here, by our clock. What was seen has times of its own.
    pub at: Timestamp,
    /// When the look before was sent that did not see it yet: it happened in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// AWS's clock when it answered, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Timestamp>,
    /// The content of the answer.
    pub seen: Observed,
}

impl Observation {
    /// An observation without a look before it and without AWS's clock.
    pub fn new(at: Timestamp, seen: Observed) -> Self {
        Self {
            at,
            after: None,
            api: None,
            seen,
        }
    }
}

/// The kinds of observation; `what` in the timeline's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Observed {
    /// Sizes, settings and instances of the group, whenever they changed.
    Group(GroupState),
    /// A scaling activity, when first seen and whenever it changed.
    Activity(Activity),
    /// A scaling policy, when first seen and whenever it changed.
    Policy(Policy),
    /// An alarm's settings and state, when first seen and whenever they changed: AWS edits the
    /// alarms of a target-tracking policy as it pleases.
    Alarm(Alarm),
    /// One transition out of the alarm's history.
    AlarmChange(AlarmChange),
    /// The health of a target group's targets, whenever it changed.
    Targets(TargetHealth),
    /// What else decides how the group behaves.
    Surroundings(Surroundings),
    /// A metric's datapoints, read when the watch ends.
    Metric(MetricSeries),
    /// A call failed: what would have been seen is unknown, and not filled in.
    Gap(Gap),
    /// The call is answered again.
    GapEnded {
        /// The IAM action that the call takes.
        call: String,
    },
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The IAM action that the call takes.
    pub call: String,
    /// AWS's answer, or why there is none.
    pub why: String,
    /// `Failed` in timelines that do not say it.
    #[serde(default)]
    pub reason: GapReason,
}

/// Why something was not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The call failed.
    #[default]
    Failed,
    /// It was answered: the group or service does not exist.
    NoGroup,
}

/// The datapoints of one CloudWatch metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSeries {
    /// Our short name, such as `policy metric` or `target 5xx`.
    pub name: String,
    /// The unit of the values, in words of our own, for example `%`.
    pub unit: String,
    /// The length of each datapoint.
    pub period: Duration,
    /// Earliest first.
    pub points: Vec<Datapoint>,
    /// The alarms that look at it: two metrics of one name differ by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// The names of series that are judged or advised on.
pub mod series {
    /// `RequestCount` of the target group.
    pub const REQUESTS: &str = "requests";
    /// `HTTPCode_Target_5XX_Count`: 5xx that targets answered.
    pub const TARGET_5XX: &str = "target 5xx";
    /// `HTTPCode_ELB_5XX_Count`: 5xx of the load balancer itself.
    pub const BALANCER_5XX: &str = "load balancer 5xx";
    /// `HTTPCode_ELB_502_Count`: 502 of the load balancer itself.
    pub const BALANCER_502: &str = "load balancer 502";
    /// `TargetConnectionErrorCount`: connections to targets that failed.
    pub const CONNECTION_ERRORS: &str = "connection errors";
}

/// The start of the name of a series that a policy's alarm looks at.
const POLICY_METRIC: &str = "policy metric ";

impl MetricSeries {
    /// The name of the series of a metric that a policy's alarm looks at.
    pub fn name_of_policy_metric(metric: &str) -> String {
        format!("{POLICY_METRIC}{metric}")
    }

    /// The metric, where a policy's alarm looks at the series.
    pub fn policy_metric(&self) -> Option<&str> {
        self.name.strip_prefix(POLICY_METRIC)
    }
}

/// All observations of a run, with the questions the verdict asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Every observation, in the order in which it was made.
    pub observations: Vec<Observation>,
}

impl Timeline {
    /// Each look at the group that saw a change, with its time.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, group)),
            _ => None,
        })
    }

    /// Each look at the group that saw a change: when it was answered, and when the look before was
    /// sent.
    pub fn group_looks(&self) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, one.after, group)),
            _ => None,
        })
    }

    /// As `targets`, with the look before each.
    pub(crate) fn target_looks(
        &self,
    ) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, one.after, targets)),
            _ => None,
        })
    }

    /// Each look at a target group that saw a change, with its time.
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

    /// As last seen.
    pub fn surroundings(&self) -> Option<&Surroundings> {
        self.observations
            .iter()
            .rev()
            .find_map(|one| match &one.seen {
                Observed::Surroundings(surroundings) => Some(surroundings),
                _ => None,
            })
    }

    /// What leaves the group drains for so long at most, as its target groups have it.
    pub fn longest_drain(&self) -> Duration {
        let groups = self
            .surroundings()
            .into_iter()
            .flat_map(|known| &known.target_groups);
        groups
            .map(|one| one.deregistration_delay)
            .max()
            .unwrap_or_default()
    }

    /// For how long the group itself was not seen, by calls that failed: until they were answered
    /// again, or the end.
    pub fn blind(&self) -> Duration {
        let Some(end) = self.observations.last().map(|one| one.at) else {
            return Duration::ZERO;
        };
        let is_group = |call: &str| {
            [
                "DescribeAutoScalingGroups",
                "DescribeServices",
                "DescribeScalableTargets",
                "ListTasks",
                "DescribeTasks",
            ]
            .iter()
            .any(|action| call.ends_with(action))
        };
        let (mut blind, mut since) = (Duration::ZERO, None);
        for one in &self.observations {
            match &one.seen {
                Observed::Gap(Gap { call, .. }) if is_group(call) => {
                    _ = *since.get_or_insert(one.at);
                }
                Observed::GapEnded { call } if is_group(call) => {
                    let from = since.take().unwrap_or(one.at);
                    blind += Duration::try_from(one.at.duration_since(from)).unwrap_or_default();
                }
                _ => {}
            }
        }
        blind
            + since.map_or(Duration::ZERO, |from| {
                Duration::try_from(end.duration_since(from)).unwrap_or_default()
            })
    }

    /// The call that failed and was never answered again, if its name ends so.
    pub fn lacking(&self, call: &str) -> Option<&str> {
        let mut lacking = None;
        for one in &self.observations {
            match &one.seen {
                Observed::Gap(Gap { call: failed, .. }) if failed.ends_with(call) => {
                    lacking = Some(failed.as_str());
                }
                Observed::GapEnded { call: ended } if ended.ends_with(call) => lacking = None,
                _ => {}
            }
        }
        lacking
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

    /// All changes of the state of alarms, earliest first.
    pub(crate) fn alarm_changes(&self) -> Vec<&AlarmChange> {
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

    /// Every series that was read.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricSeries> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Metric(series) => Some(series),
            _ => None,
        })
    }

    /// The datapoints that an alarm looks at. (Records of before told series apart by their
    /// metric's name alone.)
    pub fn metric_of(&self, alarm: &Alarm) -> Option<&MetricSeries> {
        let own = self
            .metrics()
            .find(|series| series.alarms.contains(&alarm.name));
        own.or_else(|| {
            let name = MetricSeries::name_of_policy_metric(alarm.metric.as_deref()?);
            self.metrics()
                .find(|series| series.name == name && series.alarms.is_empty())
        })
    }

    /// Each gap, with the time at which it was noted.
    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, &Gap)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Gap(gap) => Some((one.at, gap)),
            _ => None,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_not_seen_from_a_failed_call_until_it_is_answered_again() {
        let at = |second: i64| Timestamp::from_second(1_772_000_000 + second).unwrap();
        let gap = |call: &str| {
            Observed::Gap(Gap {
                call: call.to_owned(),
                why: "no".to_owned(),
                reason: GapReason::Failed,
            })
        };
        let call = "autoscaling:DescribeAutoScalingGroups";
        let mut timeline = Timeline {
            observations: vec![
                Observation::new(at(0), gap("autoscaling:DescribePolicies")),
                Observation::new(at(5), gap(call)),
                Observation::new(at(7), gap(call)),
                Observation::new(
                    at(9),
                    Observed::GapEnded {
                        call: call.to_owned(),
                    },
                ),
                Observation::new(at(20), gap("cloudwatch:GetMetricData")),
            ],
        };
        assert_eq!(timeline.blind(), Duration::from_secs(4));
        assert_eq!(timeline.lacking("DescribeAutoScalingGroups"), None);
        assert_eq!(
            timeline.lacking("DescribePolicies"),
            Some("autoscaling:DescribePolicies")
        );
        timeline
            .observations
            .insert(4, Observation::new(at(12), gap(call)));
        assert_eq!(timeline.blind(), Duration::from_secs(12), "and at its end");
    }
}
