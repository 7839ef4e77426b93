//! `spikeproof report`: shows the report of an earlier run.

use std::fs::ReadDir;
use std::path::{Path, PathBuf};

use super::{CommandOutput, RunsDir};
use crate::files::{self, FileRefused};
use crate::journal::JournalError;
use crate::outcome::Exit;
use crate::report::{RunReport, VERSION, older, terminal};

/// The most bytes of a report: a hundred times that of an hour's run.
const LARGEST: u64 = 256 << 20;

/// Shows the report of an earlier run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReportArgs {
    /// The run's id, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// Prints the JSON file of the run's folder
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReportArgs) -> CommandOutput {
    // The exit code is that of showing the report, not the verdict of its run.
    match folder_of(&args.run, &args.runs_dir).and_then(|folder| read(&folder)) {
        Ok((text, _)) if args.json => CommandOutput::json(text, Exit::Passed),
        Ok((_, report)) => CommandOutput::out(terminal::text(&report), Exit::Passed),
        Err(why) => CommandOutput::error(why, Exit::Usage),
    }
}

/// Why there is no report to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    #[error(transparent)]
    RunsDir(#[from] JournalError),
    #[error("no runs in {}: {source}", folder.display())]
    NoRuns {
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error("no run with a report in {}", .0.display())]
    NoneReported(PathBuf),
    #[error("no report at {}: {source}", path.display())]
    File { path: PathBuf, source: FileRefused },
    #[error("{} is not a report this version reads (version {VERSION}): {source}", path.display())]
    Form {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// The folder of a run; `latest` is the latest run with a report.
pub(super) fn folder_of(run: &str, runs_dir: &RunsDir) -> Result<PathBuf, ReportError> {
    let runs_dir = runs_dir.find()?;
    let run = if run == "latest" {
        latest(&runs_dir)?
    } else {
        run.to_owned()
    };
    Ok(runs_dir.join(run))
}

/// Reads `report.json` of a run: its text, and the parsed report.
pub(super) fn read(folder: &Path) -> Result<(String, RunReport), ReportError> {
    let path = folder.join("report.json");
    let text = match files::read_text(&path, LARGEST) {
        Ok(text) => text,
        Err(source) => return Err(ReportError::File { path, source }),
    };
    match older::read(&text) {
        Ok(report) => Ok((text, report)),
        Err(source) => Err(ReportError::Form { path, source }),
    }
}

/// The content of the folder of all runs.
pub(super) fn entries(runs_dir: &Path) -> Result<ReadDir, ReportError> {
    std::fs::read_dir(runs_dir).map_err(|source| ReportError::NoRuns {
        folder: runs_dir.to_owned(),
        source,
    })
}

fn latest(runs_dir: &Path) -> Result<String, ReportError> {
    // Run ids sort by time.
    entries(runs_dir)?
        .flatten()
        .filter(|entry| entry.path().join("report.json").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .max()
        .ok_or_else(|| ReportError::NoneReported(runs_dir.to_owned()))
}
