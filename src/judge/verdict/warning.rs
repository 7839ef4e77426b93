//! What makes a run doubtful, known before it or seen beside it. The sentences are made in
//! `report::words`.

use derive_more::From;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EndedEarly;
use model::units::Seconds;

/// A reason for doubt. In JSON an object with an `id` in kebab case.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Warning {
    // The group, as it was before the run.
    /// The group is at its maximum already.
    AtMaximum { group: String, maximum: u32 },
    /// A process that scaling needs is suspended.
    ProcessSuspended {
        group: String,
        process: SuspendedProcess,
    },
    /// The group has no scaling policy.
    NoPolicy { group: String },
    /// Every policy has scale-in disabled.
    ScaleInDisabled { group: String },
    /// Every instance is protected from scale-in.
    AllProtected { group: String },
    /// An instance refresh or a deployment is under way, in AWS's words.
    Refresh { group: String, refresh: String },
    /// The target group has sticky sessions.
    StickySessions { target_group: String },
    /// Targets were unhealthy before the run.
    UnhealthyTargets { group: String, targets: u64 },
    /// An alarm has no data.
    AlarmWithoutData { alarm: String },
    /// An alarm fired before the load.
    AlarmFired { alarm: String },
    /// The metric of an alarm could not be read, and its period is assumed.
    AlarmUnreadable { alarm: String, period_s: Seconds },
    /// An alarm's period is five minutes or longer.
    SlowAlarm { alarm: String, period_s: Seconds },
    /// A metric has a datapoint every five minutes only.
    BasicMonitoring {
        metric: String,
        alarm_period_s: Seconds,
    },
    /// A call failed: what depends on it is not judged.
    CallFailed { call: String, why: String },
    /// The group under test has a setting that the one it stands for has not.
    Differs {
        group: String,
        like: String,
        setting: String,
        value: String,
        other: String,
    },

    // The scenario beside the group's policies.
    /// The spike is over before the alarm can see it.
    SpikeTooShort {
        lasts_s: Seconds,
        window: AlarmWindow,
    },
    /// The load ends before the policy can see its fall.
    RecoveryTooShort {
        lasts_s: Seconds,
        window: AlarmWindow,
    },
    /// No phase follows the last spike.
    LoadEndsWithItsSpike,

    #[from]
    #[serde(untagged)]
    Run(RunWarning),
}

/// A reason for doubt that lies in the run itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RunWarning {
    /// An earlier run may have left things behind.
    EarlierRun { things: usize, remedy: String },
    /// The group is not watched.
    NotWatched { subject: String, why: String },
    /// The AWS session may end before the run does.
    SessionTooShort { left_s: Seconds, needed_s: Seconds },
    /// A task did not become ready; `why` is in the platform's words.
    TasksMissing { task: u32, why: String },
    /// A metric's last datapoints never came.
    DatapointsMissing { cause: String },
    /// The wait for the group's first size ended early.
    RecoveryEndedEarly { instances: u32, cause: EndedEarly },
    /// A warning of a report of version 1 to 4, which has its sentence only.
    OlderReport,
}

/// A process of a group whose suspension changes a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SuspendedProcess {
    Launch,
    Terminate,
    AlarmNotification,
    AddToLoadBalancer,
}

impl SuspendedProcess {
    pub const ALL: [Self; 4] = [
        Self::Launch,
        Self::Terminate,
        Self::AlarmNotification,
        Self::AddToLoadBalancer,
    ];

    /// AWS's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Launch => "Launch",
            Self::Terminate => "Terminate",
            Self::AlarmNotification => "AlarmNotification",
            Self::AddToLoadBalancer => "AddToLoadBalancer",
        }
    }
}

/// How much load an alarm must see: its datapoints, and the one that the load begins in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmWindow {
    pub alarm: String,
    pub needs_s: Seconds,
    pub datapoints: u32,
    pub period_s: Seconds,
}
