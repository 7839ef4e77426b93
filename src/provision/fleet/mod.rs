//! Runs the generators: Fargate tasks, or child processes on this machine.
//!
//! A fleet starts tasks by slot, reports their states, and stops them all. Everything else (plan,
//! start, stop order, results) goes through the channel.

use std::time::Duration;

use async_trait::async_trait;

use cloud::aws::explain;

pub mod fargate;
pub mod local;

/// The state of a slot's task, as its platform reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// The task's slot, from 0.
    pub slot: u32,
    /// ARN or process id.
    pub identity: String,
    /// Its status when it was read.
    pub status: TaskStatus,
}

/// The life of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// The task is starting, with the platform's own word.
    Starting(String),
    /// The task runs; the channel tells whether it is ready.
    Running,
    /// The task has ended.
    Stopped {
        /// Exit code and reason of the platform.
        why: String,
        /// True if it ended with exit code 0.
        succeeded: bool,
    },
}

/// A task that could not be started, described or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A call to ECS failed.
    #[error("{call}: {}", explain(source.as_ref()))]
    Call {
        /// The operation, for example `RunTask`.
        call: &'static str,
        /// The SDK's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// AWS's answer to a launch says nothing.
    #[error("RunTask: neither a task nor a failure in the answer")]
    Incomplete,
    /// Tasks did not stop in time.
    #[error("StopTask: {tasks} tasks have not stopped after {} s", after.as_secs())]
    StillStopping {
        /// Number of tasks that still run.
        tasks: usize,
        /// The time that was waited.
        after: Duration,
    },
    /// The platform refused to start a task, for example for want of capacity.
    #[error("slot {slot} could not be placed: {why}")]
    Refused {
        /// The task's slot.
        slot: u32,
        /// The reason of the platform.
        why: String,
    },
    /// A child process could not be started.
    #[error("could not start a generator process: {0}")]
    Process(#[from] std::io::Error),
}

/// The parameters that every task of a run gets when it is started.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The run's id.
    pub run: String,
    /// The orchestration that starts the task: a task of an older epoch ends.
    pub epoch: u64,
    /// The time after which a task ends in any case.
    pub max_lifetime: Duration,
}

/// Starts, describes and stops the tasks of one run.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Starts a task for a slot, and returns its identity. Starting a slot again replaces its
    /// stopped task; `attempt` (from 1) tells the two apart on the channel.
    async fn launch(&mut self, slot: u32, attempt: u32) -> Result<String, FleetError>;

    /// Returns the state of every slot's latest task.
    async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError>;

    /// Asks every task to stop, and returns when none is alive or the fleet's own patience has
    /// ended.
    async fn stop(&mut self, why: &str) -> Result<(), FleetError>;

    /// Returns the time for which each task has been billed so far.
    fn billed(&self) -> Vec<Duration>;
}
