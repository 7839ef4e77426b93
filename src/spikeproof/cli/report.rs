//! `spikeproof report`: shows the report of an earlier run.

use std::path::{Path, PathBuf};

use super::{CommandOutput, RunsDir};
use crate::outcome::Exit;
use crate::report::{RunReport, VERSION, older, terminal};

/// Shows the report of an earlier run.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// The run's id, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// Prints the JSON file of the run's folder
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ReportArgs) -> CommandOutput {
    // The exit code is that of showing the report, not the verdict of its run.
    match folder_of(&args.run, &args.runs_dir).and_then(|folder| read(&folder)) {
        Ok((text, _)) if args.json => CommandOutput::out(text, Exit::Passed),
        Ok((_, report)) => CommandOutput::out(terminal::text(&report), Exit::Passed),
        Err(why) => CommandOutput::error(why, Exit::Usage),
    }
}

/// The folder of a run; `latest` is the latest run with a report.
pub fn folder_of(run: &str, runs_dir: &RunsDir) -> Result<PathBuf, String> {
    let runs_dir = runs_dir.path().map_err(|answer| answer.stderr)?;
    let run = if run == "latest" {
        latest(&runs_dir)?
    } else {
        run.to_owned()
    };
    Ok(runs_dir.join(run))
}

/// Reads `report.json` of a run: its text, and the parsed report.
pub fn read(folder: &Path) -> Result<(String, RunReport), String> {
    let path = folder.join("report.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("no report at {}: {error}", path.display()))?;
    let report = older::read(&text).map_err(|error| {
        format!(
            "{} is not a report this version reads (version {VERSION}): {error}",
            path.display()
        )
    })?;
    Ok((text, report))
}

fn latest(runs_dir: &Path) -> Result<String, String> {
    let entries = std::fs::read_dir(runs_dir)
        .map_err(|error| format!("no runs in {}: {error}", runs_dir.display()))?;
    // Run ids sort by time.
    entries
        .flatten()
        .filter(|entry| entry.path().join("report.json").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .max()
        .ok_or_else(|| format!("no run with a report in {}", runs_dir.display()))
}
