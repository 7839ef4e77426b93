//! Warnings: doubts about a run, found before it or during it. `report::words` makes the sentences.

use derive_more::From;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EndedEarly;
use evidence::timeline::LateMetric;
use model::units::Seconds;

/// A reason for doubt. In JSON an object with an `id` in kebab case.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Warning {
    // The group, as it was before the run.
    /// The group is at its maximum already.
    AtMaximum {
        /// The group's name.
        group: String,
        /// The group's maximum size.
        maximum: u32,
    },
    /// A process that scaling needs is suspended.
    ProcessSuspended {
        /// The group's name.
        group: String,
        /// The suspended process.
        process: SuspendedProcess,
    },
    /// The group has no scaling policy.
    NoPolicy {
        /// The group's name.
        group: String,
    },
    /// Every policy has scale-in disabled.
    ScaleInDisabled {
        /// The group's name.
        group: String,
    },
    /// Every instance is protected from scale-in.
    AllProtected {
        /// The group's name.
        group: String,
    },
    /// An instance refresh or a deployment is under way.
    Refresh {
        /// The group's name.
        group: String,
        /// The refresh or deployment and its state, in AWS's words.
        refresh: String,
    },
    /// The target group has sticky sessions.
    StickySessions {
        /// The end of its ARN: `targetgroup/NAME/ID`.
        target_group: String,
    },
    /// Targets were unhealthy before the run.
    UnhealthyTargets {
        /// The group's name.
        group: String,
        /// Number of unhealthy targets.
        targets: u64,
    },
    /// An alarm has no data.
    AlarmWithoutData {
        /// The alarm's name.
        alarm: String,
    },
    /// An alarm fired before the load.
    AlarmFired {
        /// The alarm's name.
        alarm: String,
    },
    /// The metric of an alarm could not be read, and its period is assumed.
    AlarmUnreadable {
        /// The alarm's name.
        alarm: String,
        /// The assumed period.
        period_s: Seconds,
    },
    /// An alarm's period is five minutes or longer.
    SlowAlarm {
        /// The alarm's name.
        alarm: String,
        /// The alarm's period.
        period_s: Seconds,
    },
    /// A metric has a datapoint every five minutes only.
    BasicMonitoring {
        /// The metric's name.
        metric: String,
        /// The period of the alarm that looks at it.
        alarm_period_s: Seconds,
    },
    /// A call failed, so nothing that depends on its answer is judged.
    CallFailed {
        /// The IAM action of the call.
        call: String,
        /// AWS's answer, or the reason why there is none.
        why: String,
    },
    /// The group under test and the group that it stands for differ in a setting.
    Differs {
        /// The group under test.
        group: String,
        /// The group that it stands for: `target.like` of the scenario.
        like: String,
        /// The setting, in words.
        setting: String,
        /// Its value in the group under test.
        value: String,
        /// Its value in the other group.
        other: String,
    },

    // The scenario beside the group's policies.
    /// The spike is over before the alarm can see it.
    SpikeTooShort {
        /// Length of the spike.
        lasts_s: Seconds,
        /// The alarm, and the length of high load that it needs.
        window: AlarmWindow,
    },
    /// The load ends before the policy can see its fall.
    RecoveryTooShort {
        /// Length of the load after the spike.
        lasts_s: Seconds,
        /// The alarm, and the length of low load until an instance has left.
        window: AlarmWindow,
    },
    /// No phase follows the last spike.
    LoadEndsWithItsSpike,

    /// A doubt about the run itself; in JSON it has its own `id`.
    #[from]
    #[serde(untagged)]
    Run(RunWarning),
}

/// A reason for doubt that lies in the run itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RunWarning {
    /// An earlier run may have left things behind.
    EarlierRun {
        /// Number of resources that may be left.
        things: usize,
        /// The command that removes them.
        remedy: String,
    },
    /// The group is not watched.
    NotWatched {
        /// The group or service, as the scenario names it.
        subject: String,
        /// Why it cannot be watched.
        why: String,
    },
    /// The AWS session may end before the run does.
    SessionTooShort {
        /// The time until the session's credentials expire.
        left_s: Seconds,
        /// The longest time that the run may take, with its teardown.
        needed_s: Seconds,
    },
    /// A task did not become ready.
    TasksMissing {
        /// The task's slot.
        task: u32,
        /// The reason, in the platform's words.
        why: String,
    },
    /// Activities of the group, or entries of an alarm's history, have words that are not known. They
    /// decide nothing.
    NotUnderstood {
        /// The unknown words of AWS, each once.
        texts: Vec<String>,
    },
    /// Others sent a part of the load.
    OtherLoad {
        /// Requests of this run in the seconds that were compared.
        ours: u64,
        /// All requests in these seconds.
        all: u64,
        /// Requests of others as a share of all, from 0 to 1.
        others_share: f64,
        /// The same in the minute in which others sent most, beside the highest minute of this run.
        burst_share: f64,
        /// The share up to which verdicts and advice hold, from 0 to 1.
        bound_share: f64,
    },
    /// Another run tests the same group at the same time.
    AnotherRun {
        /// The group or service, as the scenario names it.
        subject: String,
        /// The id of the other run.
        run: String,
    },
    /// A metric's last datapoints never came.
    DatapointsMissing(LateMetric),
    /// The wait for the group's first size ended early.
    RecoveryEndedEarly {
        /// The size that the wait was for.
        instances: u32,
        /// The bound or signal that ended the wait.
        cause: EndedEarly,
    },
    /// A warning of a report of version 1 to 4, which has its sentence only.
    OlderReport,
}

/// A process of a group whose suspension changes a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SuspendedProcess {
    /// It cannot scale out.
    Launch,
    /// It cannot scale in.
    Terminate,
    /// Its policies do not react to their alarms.
    AlarmNotification,
    /// New instances are not registered with the target group.
    AddToLoadBalancer,
}

impl SuspendedProcess {
    /// Every process, in the order of the report.
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

/// The length of load that an alarm must see: its datapoints, and the one in which the load begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmWindow {
    /// The alarm's name.
    pub alarm: String,
    /// The length of load that it must see.
    pub needs_s: Seconds,
    /// Datapoints to alarm.
    pub datapoints: u32,
    /// The time between two datapoints: the alarm's period, or that of basic monitoring.
    pub period_s: Seconds,
    /// True if the metric has basic monitoring: its datapoints come less often than the alarm's
    /// period.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub basic_monitoring: bool,
}
