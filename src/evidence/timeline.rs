//! Observations of the target during a run, each with its own time, in the order in which they were
//! made.
//!
//! Times inside an observation are the API's; `at` is this machine's. Alarm history is exact. A
//! datapoint's timestamp is the *start* of its period. An activity's `EndTime` includes the warm-up
//! and is never the moment of service, so polling decides when an instance is in service.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use model::units::Seconds;

mod activity;
mod alarm;
mod cause;
mod group;
mod not_scaled;

pub use activity::{Activity, ActivityKind, Decision};
pub use alarm::{Alarm, AlarmChange, Datapoint, MathQuery, UnreadChange};
pub use group::{
    Balancer, GroupState, Hook, Instance, OwnMetric, Policy, ScheduledAction, StepAdjustment,
    Surroundings, TargetGroup, TargetHealth, TrackedMetric,
};
pub use not_scaled::{NotScaled, ReasonCapacities};

/// One answer of AWS, with the times between which it became true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The time of this machine when the answer arrived. The content has times of its own.
    pub at: Timestamp,
    /// The time when the previous request, which did not see it yet, was sent. The change lies
    /// between `after` and `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// The time of AWS's clock when it answered, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Timestamp>,
    /// The content of the answer.
    pub seen: Observed,
}

impl Observation {
    /// Creates an observation without a previous request and without AWS's clock.
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
    /// An entry of the alarm's history that could not be read.
    UnreadChange(UnreadChange),
    /// The health of a target group's targets, whenever it changed.
    Targets(TargetHealth),
    /// The surroundings that also decide how the group behaves.
    Surroundings(Surroundings),
    /// A metric's datapoints, read when the watch ends.
    Metric(MetricSeries),
    /// A call failed, so its observations are missing; nothing fills them in.
    Gap(Gap),
    /// The call succeeds again.
    GapEnded {
        /// The IAM action of the call.
        call: String,
    },
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The IAM action of the call.
    pub call: String,
    /// AWS's answer, or the reason why there is none.
    pub why: String,
    /// The reason for the gap; `Failed` in timelines that lack it.
    #[serde(default)]
    pub reason: GapReason,
}

/// The reason why an observation is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The call failed.
    #[default]
    Failed,
    /// The call was answered: the group or service does not exist.
    NoGroup,
}

/// The datapoints of one CloudWatch metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSeries {
    /// The short name that Spikeproof uses, such as `requests` or `target 5xx`.
    pub name: String,
    /// The unit of the values in Spikeproof's words, for example `%`.
    pub unit: String,
    /// The length of each datapoint.
    pub period: Duration,
    /// The datapoints, earliest first.
    pub points: Vec<Datapoint>,
    /// The alarms on this metric, which tell apart two metrics of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// A metric whose last datapoints had not arrived when the watch ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LateMetric {
    /// The name of the series.
    pub metric: String,
    /// The time from the end of its last datapoint to the end of the watch; `null` where there is no
    /// datapoint at all.
    pub missing_s: Option<Seconds>,
}

/// The names of series that judgements and advice read.
pub mod series {
    /// `RequestCount` of the target group.
    pub const REQUESTS: &str = "requests";
    /// `HTTPCode_Target_5XX_Count`: 5xx that targets answered.
    pub const TARGET_5XX: &str = "target 5xx";
    /// `HTTPCode_ELB_5XX_Count`: 5xx of the load balancer itself.
    pub const BALANCER_5XX: &str = "load balancer 5xx";
    /// `HTTPCode_ELB_502_Count`: 502 of the load balancer itself.
    pub const BALANCER_502: &str = "load balancer 502";
    /// `HTTPCode_ELB_503_Count`: 503 of the load balancer itself.
    pub const BALANCER_503: &str = "load balancer 503";
    /// `HTTPCode_ELB_504_Count`: 504 of the load balancer itself.
    pub const BALANCER_504: &str = "load balancer 504";
    /// `TargetConnectionErrorCount`: connections to targets that failed.
    pub const CONNECTION_ERRORS: &str = "connection errors";
    /// `ActiveConnectionCount` of the load balancer: connections from clients and to targets.
    pub const ACTIVE_CONNECTIONS: &str = "active connections of the load balancer";
    /// `NewConnectionCount` of the load balancer: those of them that were opened.
    pub const NEW_CONNECTIONS: &str = "new connections of the load balancer";
    /// `RejectedConnectionCount`: connections that the load balancer itself had no room for.
    pub const REJECTED: &str = "rejected connections";

    /// The part of a load balancer that it counts a series for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CountedFor {
        /// For each of its target groups: CloudWatch has a dimension for them.
        TargetGroup,
        /// For itself as a whole, with all target groups that it routes to.
        Balancer,
    }

    /// Returns what a load balancer counts a series for.
    pub fn counted_for(name: &str) -> CountedFor {
        match name {
            BALANCER_5XX | BALANCER_502 | BALANCER_503 | BALANCER_504 | ACTIVE_CONNECTIONS
            | NEW_CONNECTIONS | REJECTED => CountedFor::Balancer,
            _ => CountedFor::TargetGroup,
        }
    }
}

/// The start of the name of a series that a policy's alarm looks at.
const POLICY_METRIC: &str = "policy metric ";

impl MetricSeries {
    /// Returns the name of the series for a metric that a policy's alarm watches.
    pub fn name_of_policy_metric(metric: &str) -> String {
        format!("{POLICY_METRIC}{metric}")
    }

    /// Returns the metric, if a policy's alarm watches the series.
    pub fn policy_metric(&self) -> Option<&str> {
        self.name.strip_prefix(POLICY_METRIC)
    }
}

/// All observations of a run, with the queries of judgements and advice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Every observation, in the order in which it was made.
    pub observations: Vec<Observation>,
}

impl Timeline {
    /// Returns each look at the group that saw a change, with its time.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, group)),
            _ => None,
        })
    }

    /// Returns each look at the group that saw a change, with the time of its answer and the time
    /// when the previous look was sent.
    pub fn group_looks(&self) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &GroupState)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Group(group) => Some((one.at, one.after, group)),
            _ => None,
        })
    }

    /// Returns the same as `targets`, with the time when the previous look was sent.
    pub(crate) fn target_looks(
        &self,
    ) -> impl Iterator<Item = (Timestamp, Option<Timestamp>, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, one.after, targets)),
            _ => None,
        })
    }

    /// Returns each look at a target group that saw a change, with its time.
    pub fn targets(&self) -> impl Iterator<Item = (Timestamp, &TargetHealth)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Targets(targets) => Some((one.at, targets)),
            _ => None,
        })
    }

    /// Returns each policy as last seen.
    pub fn policies(&self) -> Vec<&Policy> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Policy(policy) => Some((policy.name.as_str(), policy)),
            _ => None,
        }))
    }

    /// Returns the surroundings as last seen.
    pub fn surroundings(&self) -> Option<&Surroundings> {
        self.observations
            .iter()
            .rev()
            .find_map(|one| match &one.seen {
                Observed::Surroundings(surroundings) => Some(surroundings),
                _ => None,
            })
    }

    /// Returns the longest deregistration delay of the target groups; zero where none is known.
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

    /// Returns the total time in which calls on the group itself failed. A gap lasts until the call
    /// is answered again, or until the end.
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

    /// Returns the call whose name ends in `call`, if it failed and was never answered again.
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

    /// Returns each alarm as last seen.
    pub fn alarms(&self) -> Vec<&Alarm> {
        latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Alarm(alarm) => Some((alarm.name.as_str(), alarm)),
            _ => None,
        }))
    }

    /// Returns each activity as last seen, in the order of their start.
    pub fn activities(&self) -> Vec<&Activity> {
        let mut activities = latest(self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Activity(activity) => Some((activity.id.as_str(), activity)),
            _ => None,
        }));
        activities.sort_by_key(|activity| activity.start);
        activities
    }

    /// Returns each time at which an alarm asked a service for more capacity and Application Auto
    /// Scaling left it as it was, with its reason, in order.
    pub fn not_grown(&self) -> Vec<(Timestamp, &NotScaled)> {
        let alarms = self.alarms();
        let asks_for_more = |activity: &Activity| {
            let name = activity.alarm();
            alarms
                .iter()
                .any(|alarm| Some(&alarm.name) == name.as_ref() && alarm.is_high())
        };
        let mut found = Vec::new();
        for activity in self.activities() {
            for why in &activity.not_scaled {
                let is_growth = match why {
                    NotScaled::AtMaximum { .. } => true,
                    NotScaled::AtMinimum { .. } => false,
                    _ => asks_for_more(activity),
                };
                if is_growth {
                    found.push((activity.start, why));
                }
            }
        }
        found
    }

    /// Returns the words of AWS that are not understood, each once: those of activities in their
    /// order, then those of alarms' histories.
    pub fn not_understood(&self) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        let activities = self.activities();
        let unread = self.observations.iter().filter_map(|one| match &one.seen {
            Observed::UnreadChange(unread) => Some(unread.words()),
            _ => None,
        });
        for text in activities
            .iter()
            .flat_map(|activity| activity.not_understood())
            .chain(unread)
        {
            if !unknown.contains(&text) {
                unknown.push(text);
            }
        }
        unknown
    }

    /// Returns all state changes of alarms, earliest first.
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

    /// Returns every series that was read.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricSeries> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Metric(series) => Some(series),
            _ => None,
        })
    }

    /// Returns the series of this name whose counts are of this group. A count of a whole load
    /// balancer is none where the balancer is known to route to target groups of others as well.
    pub fn own_counts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a MetricSeries> {
        let is_own =
            series::counted_for(name) == series::CountedFor::TargetGroup || !self.shares_balancer();
        self.metrics()
            .filter(move |series| is_own && series.name == name)
    }

    /// Returns true if a load balancer in front of the group is known to route to target groups
    /// that are not the group's.
    pub fn shares_balancer(&self) -> bool {
        let groups = self.surroundings().map(|known| &known.target_groups);
        let groups = groups.into_iter().flatten();
        let all: Vec<&Balancer> = groups.flat_map(|one| &one.balancers).collect();
        let own = |arn: &str| all.iter().filter(|one| one.arn == arn).count();
        all.iter().any(|one| {
            one.target_groups
                .is_some_and(|count| count as usize > own(&one.arn))
        })
    }

    /// Returns the datapoints that an alarm watches. Records of earlier versions tell series apart
    /// only by the name of their metric.
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

    /// Returns each gap, with the time at which it was noted.
    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, &Gap)> {
        self.observations.iter().filter_map(|one| match &one.seen {
            Observed::Gap(gap) => Some((one.at, gap)),
            _ => None,
        })
    }
}

/// Returns the last value of each name, in the order in which the names first occur.
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
    fn history_that_could_not_be_read_is_not_understood_and_no_change_of_the_alarm() {
        let at = Timestamp::from_second(1_772_000_000).unwrap();
        let unread = |text: &str| {
            let unread = UnreadChange {
                alarm: "high".to_owned(),
                at,
                text: text.to_owned(),
            };
            Observation::new(at, Observed::UnreadChange(unread))
        };
        let unknown = Activity {
            description: "Hibernating EC2 instance: i-1".to_owned(),
            ..Activity::default()
        };
        let long = "x".repeat(300);
        let timeline = Timeline {
            observations: vec![
                unread("{\"state\":7}"),
                unread("{\"state\":7}"),
                unread(&long),
                Observation::new(at, Observed::Activity(unknown)),
            ],
        };
        let short = format!("history of high: {}...", "x".repeat(200));
        let expected = [
            "Hibernating EC2 instance: i-1",
            "history of high: {\"state\":7}",
            short.as_str(),
        ];
        assert_eq!(timeline.not_understood(), expected);
        assert_eq!(timeline.alarm_changes(), Vec::<&AlarmChange>::new());
        let kept = serde_json::to_string(&timeline).unwrap();
        assert!(kept.contains(&long), "all of it is in the record");
        assert_eq!(serde_json::from_str::<Timeline>(&kept).unwrap(), timeline);
    }

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
