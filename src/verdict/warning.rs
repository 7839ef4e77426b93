//! What makes a run doubtful, known before it or seen beside it. The sentences are made in
//! `report::words`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Seconds;

/// A reason for doubt. In JSON an object with an `id` in kebab case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Warning {
    // The group, as it was before the run.
    AtMaximum {
        group: String,
        maximum: u32,
    },
    ProcessSuspended {
        group: String,
        process: SuspendedProcess,
    },
    NoPolicy {
        group: String,
    },
    ScaleInDisabled {
        group: String,
    },
    AllProtected {
        group: String,
    },
    Refresh {
        group: String,
        refresh: String,
    },
    StickySessions {
        target_group: String,
    },
    UnhealthyTargets {
        group: String,
        targets: u64,
    },
    AlarmWithoutData {
        alarm: String,
    },
    AlarmFired {
        alarm: String,
    },
    AlarmUnreadable {
        alarm: String,
        period_s: Seconds,
    },
    SlowAlarm {
        alarm: String,
        period_s: Seconds,
    },
    BasicMonitoring {
        metric: String,
        alarm_period_s: Seconds,
    },
    CallFailed {
        call: String,
        why: String,
    },
    /// The group under test has a setting that the one it stands for has not.
    Differs {
        group: String,
        like: String,
        setting: String,
        value: String,
        other: String,
    },

    // The scenario beside the group's policies.
    SpikeTooShort {
        lasts_s: Seconds,
        window: AlarmWindow,
    },
    RecoveryTooShort {
        lasts_s: Seconds,
        window: AlarmWindow,
    },
    LoadEndsWithItsSpike,

    #[serde(untagged)]
    Run(RunWarning),
}

/// A reason for doubt that lies in the run itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RunWarning {
    EarlierRun {
        things: usize,
        remedy: String,
    },
    NotWatched {
        subject: String,
        why: String,
    },
    SessionTooShort {
        left_s: Seconds,
        needed_s: Seconds,
    },
    TasksMissing {
        cause: String,
    },
    DatapointsMissing {
        cause: String,
    },
    RecoveryEndedEarly {
        instances: u32,
        why: String,
    },
    /// Of a report of version 1 to 4, which has its sentence only.
    Earlier,
}

impl From<RunWarning> for Warning {
    fn from(warning: RunWarning) -> Self {
        Self::Run(warning)
    }
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
