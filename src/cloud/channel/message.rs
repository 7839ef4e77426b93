//! The messages between orchestrator and tasks. Every message has one writer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use model::limits::AddressPolicy;
use model::measure::Interval;
use model::redact;
use model::scenario::Substitutions;

/// The two sides are the same binary, so a difference means that the folder is another version's.
pub const VERSION: u32 = 5;

/// `plan.json`, written once by the orchestrator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub run: String,
    pub scenario: String,
    /// Only the variables that the scenario uses, and the URL that replaces its own.
    pub surroundings: Substitutions,
    /// The scenario reads secrets: they are in `secrets.json`.
    pub secrets: bool,
    pub seed: u64,
    /// Where load may go: judged by each task, at each new connection.
    pub reach: AddressPolicy,
    /// The files that the scenario names, in the order of their numbers in the channel.
    pub files: Vec<String>,
}

/// `secrets.json`, written once by the orchestrator before the plan, and deleted after the start
/// order: what `${secret:NAME}` holds, and the only message that says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Secrets {
    pub version: u32,
    pub secrets: redact::Secrets,
}

/// `control.json`, rewritten every few seconds by the orchestrator's main loop: proof that it
/// lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub version: u32,
    /// Which orchestration of the run this is; a task started by another ends.
    pub epoch: u64,
    /// Grows with every write. A task ends when it has not changed for the lease, by the task's own
    /// clock. On the wire it keeps its first name: a reaper of another version reads it.
    #[serde(rename = "beat")]
    pub heartbeat: u64,
    pub start: Option<Start>,
    pub stop: Option<Stop>,
}

/// Who starts, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub at: Timestamp,
    /// The slots that carry the load, in the order of their shares. A task whose slot is not here
    /// ends.
    pub slots: Vec<u32>,
    /// Which task of each of these slots it is: a twin, started because the answer to a launch was
    /// lost, ends.
    pub attempts: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    pub why: String,
}

/// `tasks/<slot>/ready.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub version: u32,
    pub slot: u32,
    /// A slot's second task finds the messages of its first: they are not its own.
    pub attempt: u32,
    /// The task's ARN where there is one, else its process id: evidence for people.
    pub identity: String,
    pub cores: u32,
    pub at: Timestamp,
}

/// `tasks/<slot>/intervals/<seq>.json.gz`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    /// From 0, without gaps.
    pub seq: u32,
    /// Everything before this second has been reported.
    pub before_second: u32,
    pub interval: Interval,
}

/// `tasks/<slot>/end.json`: the last word of a task that ended by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub version: u32,
    pub slot: u32,
    pub attempt: u32,
    pub why: Ended,
    /// How many intervals there are: what is missing is named.
    pub intervals: u32,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The plan was carried out.
    Complete,
    /// By the orchestrator's stop order.
    Stopped,
    /// The heartbeat did not change for the lease.
    LeaseLapsed,
    /// The task was sent away: SIGTERM.
    Terminated,
    /// The run started without this slot.
    NotNeeded,
    /// `MAX_LIFETIME` was reached.
    LifetimeOver,
    Failed(String),
}
