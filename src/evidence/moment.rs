//! The moments of a reaction: a closed list, each with its time and its resolution.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use model::units::{Seconds, seconds};

/// The resolution of a moment that is known to the millisecond.
pub const EXACT: Duration = Duration::from_millis(1);

/// One moment of the chain, with its origin and its resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// Kind of the moment.
    #[serde(rename = "id", alias = "name")]
    pub kind: MomentKind,
    /// Time of the moment.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Origin of the moment. Not in reports of versions 1 to 4.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub origin: Option<Origin>,
    /// `origin` as a sentence, which the report adds; empty before that.
    #[serde(default)]
    pub source: String,
    /// Longest distance of the true moment from `at`.
    #[serde(rename = "resolution_s", alias = "resolution", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub resolution: Duration,
}

impl Moment {
    /// Creates a moment within `resolution` of `at`.
    pub fn new(kind: MomentKind, at: Timestamp, origin: Origin, resolution: Duration) -> Self {
        Self {
            kind,
            at,
            origin: Some(origin),
            source: String::new(),
            resolution,
        }
    }
}

/// Returns `None` for an id that this version does not know: the sentence beside it says the same.
pub(crate) fn known<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Known<T> {
        Is(T),
        Unknown(IgnoredAny),
    }
    Ok(match Known::deserialize(deserializer)? {
        Known::Is(known) => Some(known),
        Known::Unknown(_) => None,
    })
}

/// Origin of a moment: the kind of observation, with its instance or alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Origin {
    /// The plan, at the agreed start instant.
    Plan,
    /// The first datapoint on which the low alarm was decided.
    FirstLowDatapoint,
    /// The alarm's history: a state update to ALARM.
    AlarmHistory,
    /// The time of the alarm's last state change, because its history was not readable.
    AlarmState,
    /// The first breaching datapoint: from the alarm's history, or from the metric before the alarm
    /// fired.
    Datapoint {
        /// Name of the alarm.
        alarm: String,
        /// Value of the datapoint, in the unit of the metric.
        value: f64,
        /// True if from the alarm's history, false if from the metric before it fired.
        in_history: bool,
    },
    /// The cause of the first activity that followed.
    Decision {
        /// The kind of activity that shows the decision.
        activity: DecidedBy,
        /// Desired capacity before the decision.
        from: u32,
        /// Desired capacity after the decision.
        to: u32,
        /// Name of the policy that decided; absent where the cause names none.
        policy: Option<String>,
    },
    /// `createdAt` of a task.
    CreatedAt {
        /// Id of the task.
        instance: String,
    },
    /// `StartTime` of the activity that launched the instance.
    LaunchActivity {
        /// Id of the launched instance.
        instance: String,
    },
    /// The first look at which the instance or task existed.
    FirstThere {
        /// Id of the new instance or task.
        instance: String,
    },
    /// `startedAt` of a task.
    StartedAt {
        /// Id of the task.
        instance: String,
    },
    /// The first look at which the lifecycle state was in service.
    LifecycleState {
        /// Id of the instance or task.
        instance: String,
    },
    /// The first look at which the target group found the instance or task healthy.
    TargetHealth {
        /// Id of the instance or task.
        instance: String,
    },
    /// The first answer that names the instance or task in its header.
    AnswerHeader {
        /// The instance or task that the header names.
        instance: String,
    },
    /// The instance or task was ready, and no header tells of its answers.
    ReadyWithoutHeader {
        /// Id of the instance or task that was ready first.
        instance: String,
    },
    /// p95 is under its limit again and stays there.
    LatencyLimit {
        /// The limit of p95.
        p95_s: Seconds,
        /// Seconds in a row for which p95 has to keep the limit.
        steady_s: u32,
        /// True if the limit is a default, false if a threshold asks for it.
        assumed: bool,
    },
    /// `stoppingAt` of a task.
    StoppingAt {
        /// Id of the task.
        instance: String,
    },
    /// `StartTime` of the activity that terminated the instance.
    TerminationActivity {
        /// Id of the terminated instance.
        instance: String,
    },
    /// The first look at which the instance or task was leaving.
    FirstLeaving {
        /// Id of the instance or task that leaves.
        instance: String,
    },
    /// The first look at which the state of the instance or task had changed.
    Polled {
        /// Id of the instance or task that leaves.
        instance: String,
    },
    /// The first look at which the desired capacity was back at its first value, or below.
    DesiredCapacity,
}

/// The kind of activity that shows a decision of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// A scaling activity of an ECS service.
    ServiceActivity,
    /// The cause of the first launch of an instance in an Auto Scaling group.
    FirstLaunch,
    /// The cause of the first termination of an instance in an Auto Scaling group.
    FirstTermination,
}

/// Returns the first moment of a kind.
pub fn first(moments: &[Moment], kind: MomentKind) -> Option<&Moment> {
    moments.iter().find(|moment| moment.kind == kind)
}

/// Kind of a moment. In JSON it is a kebab-case id; the aliases are those of report versions 1 to
/// 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MomentKind {
    /// The first phase of the spike began.
    #[serde(alias = "load rose")]
    LoadRose,
    /// The first breaching datapoint of the alarm that asked for more.
    Breach,
    /// The alarm that asked for more went to ALARM.
    Alarm,
    /// A policy set a higher desired capacity.
    Decided,
    /// The launch of the first new instance began.
    #[serde(alias = "launch began")]
    LaunchBegan,
    /// The first new instance was in service.
    #[serde(alias = "in service")]
    InService,
    /// The first new instance passed its target group's health checks.
    Healthy,
    /// A new instance answered its first request.
    #[serde(alias = "first request")]
    FirstRequest,
    /// p95 kept its limit again, after new instances served.
    #[serde(alias = "latency back")]
    LatencyBack,
    /// The spike ended.
    #[serde(alias = "load fell")]
    LoadFell,
    /// The alarm that asks for less went to ALARM.
    #[serde(alias = "low alarm")]
    LowAlarm,
    /// A policy set a lower desired capacity.
    #[serde(alias = "decided to shrink")]
    DecidedToShrink,
    /// The first instance began to leave.
    #[serde(alias = "shrinking began")]
    ShrinkingBegan,
    /// That instance was draining in its target group.
    Draining,
    /// That instance was gone from the group.
    Terminated,
    /// The desired capacity was back at its value of the start, or below.
    #[serde(alias = "back at the start")]
    BackAtTheStart,
}

impl MomentKind {
    /// Returns the name for readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadRose => "load rose",
            Self::Breach => "breach",
            Self::Alarm => "alarm",
            Self::Decided => "decided",
            Self::LaunchBegan => "launch began",
            Self::InService => "in service",
            Self::Healthy => "healthy",
            Self::FirstRequest => "first request",
            Self::LatencyBack => "latency back",
            Self::LoadFell => "load fell",
            Self::LowAlarm => "low alarm",
            Self::DecidedToShrink => "decided to shrink",
            Self::ShrinkingBegan => "shrinking began",
            Self::Draining => "draining",
            Self::Terminated => "terminated",
            Self::BackAtTheStart => "back at the start",
        }
    }
}

impl fmt::Display for MomentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_by_its_id_and_an_earlier_report_is_still_read() {
        let moment = Moment::new(
            MomentKind::LoadRose,
            Timestamp::UNIX_EPOCH,
            Origin::Plan,
            EXACT,
        );
        let text = serde_json::to_string(&moment).unwrap();
        assert!(text.starts_with(r#"{"id":"load-rose","at":"#), "{text}");
        let earlier = text.replace(r#""id":"load-rose""#, r#""name":"load rose""#);
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), moment);
        assert_eq!(serde_json::from_str::<Moment>(&earlier).unwrap(), moment);
    }
}
