//! Where generators run: Fargate tasks, or child processes on this machine.
//!
//! A fleet starts tasks by slot, tells what became of them, and stops them all. Everything else
//! (plan, start, stop order, results) goes through the channel.

use std::time::Duration;

use async_trait::async_trait;

use cloud::aws::explain;

pub mod fargate;
pub mod local;

/// What became of a slot's task, as its platform says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    pub slot: u32,
    /// ARN or process id.
    pub identity: String,
    pub status: TaskStatus,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// On its way: the platform's own word.
    Starting(String),
    Running,
    Stopped {
        why: String,
        succeeded: bool,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("{call}: {}", explain(source.as_ref()))]
    Call {
        call: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("RunTask: neither a task nor a failure in the answer")]
    Incomplete,
    #[error("StopTask: {tasks} tasks have not stopped after {} s", after.as_secs())]
    StillStopping { tasks: usize, after: Duration },
    #[error("slot {slot} could not be placed: {why}")]
    Refused { slot: u32, why: String },
    #[error("could not start a generator process: {0}")]
    Process(#[from] std::io::Error),
}

/// What every task of a run is told when it is started.
#[derive(Debug, Clone)]
pub struct Orders {
    pub run: String,
    pub epoch: u64,
    /// After this a task ends whatever happens.
    pub max_lifetime: Duration,
}

#[async_trait]
pub trait Fleet: Send + Sync {
    /// Starts a task for a slot, and returns its identity. Starting a slot again replaces its
    /// stopped task; `attempt` (from 1) tells the two apart on the channel.
    async fn launch(&mut self, slot: u32, attempt: u32) -> Result<String, FleetError>;

    /// The state of every slot's latest task.
    async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError>;

    /// Asks every task to stop, and returns when none is alive or the fleet's own patience has
    /// ended.
    async fn stop(&mut self, why: &str) -> Result<(), FleetError>;

    /// How long each task has been billed so far.
    fn billed(&self) -> Vec<Duration>;
}
