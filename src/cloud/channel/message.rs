//! The messages between orchestrator and tasks. Every message has one writer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use model::limits::AddressPolicy;
use model::measure::Interval;
use model::redact;
use model::scenario::Substitutions;

/// The two sides are the same binary, so a difference means that the folder is another version's.
pub const VERSION: u32 = 6;
/// The version of this spikeproof: tasks of another one measure by other rules, whatever their messages.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// `plan.json`, written once by the orchestrator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// The run's id.
    pub run: String,
    /// The text of the scenario file.
    pub scenario: String,
    /// Only the variables that the scenario uses, and the URL that replaces its own.
    pub surroundings: Substitutions,
    /// The scenario reads secrets: they are in `secrets.json`.
    pub secrets: bool,
    /// The seed that all random choices of the tasks derive from.
    pub seed: u64,
    /// The addresses that may get load: checked by each task, at each new connection.
    pub address_policy: AddressPolicy,
    /// The files that the scenario names, in the order of their numbers in the channel.
    pub files: Vec<String>,
    /// Those of them that each slot is sent a part of: its own rows.
    pub divided: Vec<String>,
}

/// `secrets.json`, written once by the orchestrator before the plan, and deleted after the start
/// order: what `${secret:NAME}` holds, and the only message that says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretsMessage {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// Values by name; only those that the scenario reads.
    pub secrets: redact::Secrets,
}

/// `control.json`, rewritten every few seconds by the orchestrator's main loop: proof that it
/// lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// Number of this orchestration of the run; a task started by another ends.
    pub epoch: u64,
    /// Grows with every write. A task ends when it has not changed for the lease, by the task's own
    /// clock. On the wire it keeps its first name: a reaper of another version reads it.
    #[serde(rename = "beat")]
    pub heartbeat: u64,
    /// The start order; `None` until the tasks are ready.
    pub start: Option<Start>,
    /// The stop order; `None` while the load may go on.
    pub stop: Option<Stop>,
}

/// The start order: the instant, and the tasks that begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The agreed start instant, some seconds ahead.
    pub at: Timestamp,
    /// The slots that carry the load, in the order of their shares. A task whose slot is not here
    /// ends.
    pub slots: Vec<u32>,
    /// The attempt of the task that fills each of these slots. A twin, started because the answer
    /// to a launch was lost, ends.
    pub attempts: Vec<u32>,
}

/// The order to end the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The reason, for logs and reports.
    pub why: String,
}

/// `tasks/<slot>/ready.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// [`PROGRAM`] of the binary that wrote it; empty where that one does not say it yet.
    #[serde(default)]
    pub program: String,
    /// The task's slot, from 0.
    pub slot: u32,
    /// A slot's second task finds the messages of its first: they are not its own.
    pub attempt: u32,
    /// The task's ARN where there is one, else its process id: evidence for people.
    pub identity: String,
    /// Cores that the task may use: its number of workers.
    pub cores: u32,
    /// When the task became ready, by its own clock.
    pub at: Timestamp,
}

/// `tasks/<slot>/intervals/<seq>.json.gz`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// From 0, without gaps.
    pub seq: u32,
    /// Everything before this second has been reported.
    pub before_second: u32,
    /// The results since the report before.
    pub interval: Interval,
}

/// `tasks/<slot>/end.json`: the last word of a task that ended by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// [`VERSION`] of the binary that wrote it.
    pub version: u32,
    /// The task's slot, from 0.
    pub slot: u32,
    /// Number of the task within its slot, as in [`Ready`].
    pub attempt: u32,
    /// Why the task ended.
    pub why: TaskEnd,
    /// Number of intervals that the task wrote, so that missing ones can be named.
    pub intervals: u32,
    /// When the task ended, by its own clock.
    pub at: Timestamp,
}

/// Why a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// The plan was carried out.
    Complete,
    /// The orchestrator's stop order ended it.
    Stopped,
    /// The heartbeat did not change for the lease.
    LeaseLapsed,
    /// The task was sent away: SIGTERM.
    Terminated,
    /// The run started without this slot.
    NotNeeded,
    /// `MAX_LIFETIME` was reached.
    LifetimeOver,
    /// An error that the task could not go on with, in words.
    Failed(String),
}
