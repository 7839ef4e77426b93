//! Why a reap could not be carried out at all.

use std::path::PathBuf;

use cloud::aws::AwsError;
use model::outcome::Exit;
use model::units::RunId;
use provision::journal::JournalError;

/// A reap that could not begin. What could not be destroyed is no error but part of the result.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(
        "there is no run {run} in {}\n  try: spikeproof reap --dry-run lists the runs that are here; `--discover` looks in AWS",
        runs_dir.display()
    )]
    NoSuchRun { run: RunId, runs_dir: PathBuf },
    #[error("could not wait for the run's owner lock: {0}")]
    OwnerLock(#[from] std::io::Error),
    #[error("a bug in spikeproof: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

impl TeardownError {
    /// The process exit code.
    pub fn exit(&self) -> Exit {
        Exit::CouldNotRun
    }
}
