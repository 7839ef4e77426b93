//! Why a reap could not be carried out at all.

use std::path::PathBuf;

use cloud::aws::AwsError;
use model::outcome::Exit;
use model::units::RunId;
use provision::journal::JournalError;

/// The error of a reap that could not begin. A resource that could not be destroyed is no error but
/// part of the result.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    /// The runs' folder or a journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// AWS cannot be asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The run that was asked for has no folder here.
    #[error(
        "there is no run {run} in {}\n  try: spikeproof reap --dry-run lists the runs that are here; `--discover` looks in AWS",
        runs_dir.display()
    )]
    NoSuchRun {
        /// The id that was asked for.
        run: RunId,
        /// The folder that was searched.
        runs_dir: PathBuf,
    },
    /// The guard could not wait for the end of the orchestrator.
    #[error("could not wait for the run's owner lock: {0}")]
    OwnerLock(#[from] std::io::Error),
    /// A panic in a task of the reap.
    #[error("a bug in spikeproof: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

impl TeardownError {
    /// Returns the process exit code.
    pub fn exit(&self) -> Exit {
        Exit::CouldNotRun
    }
}
