//! `spikeproof compare`: variance between runs of one scenario.

use super::report::read;
use super::{CommandOutput, RunsDir};
use crate::outcome::Exit;
use crate::report::RunReport;
use crate::report::compare::{Comparison, compare, text};

/// Compares runs of one scenario: the variance of their key figures, and the unstable judgements.
///
/// A judgement that passes in one run and fails in another is inconclusive. The exit code is that
/// of all runs together.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = crate::outcome::EXIT_CODES)]
pub struct CompareArgs {
    /// The ids of the runs [default: every run of the latest run's scenario]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CompareArgs) -> CommandOutput {
    match compared(args) {
        Ok(comparison) if args.json => match serde_json::to_string_pretty(&comparison) {
            Ok(json) => CommandOutput::out(json + "\n", comparison.verdict.into()),
            Err(error) => CommandOutput::error(error, Exit::Usage),
        },
        Ok(comparison) => CommandOutput::out(text(&comparison), comparison.verdict.into()),
        Err(why) => CommandOutput::error(why, Exit::Usage),
    }
}

fn compared(args: &CompareArgs) -> Result<Comparison, String> {
    let runs_dir = args.runs_dir.path().map_err(|answer| answer.stderr)?;
    if !args.runs.is_empty() {
        let reports = args
            .runs
            .iter()
            .map(|run| read(&runs_dir.join(run)).map(|(_, report)| report));
        return compare(&reports.collect::<Result<Vec<_>, _>>()?);
    }
    let entries = std::fs::read_dir(&runs_dir)
        .map_err(|error| format!("no runs in {}: {error}", runs_dir.display()))?;
    // A run without a report, or with one that this version cannot read, is skipped.
    let mut reports: Vec<RunReport> = entries
        .flatten()
        .filter_map(|entry| Some(read(&entry.path()).ok()?.1))
        .collect();
    reports.sort_by(|a, b| a.run.cmp(&b.run));
    let latest = reports
        .last()
        .ok_or_else(|| format!("no run with a report in {}", runs_dir.display()))?;
    let (scenario, group) = (latest.scenario.clone(), latest.group.clone());
    reports.retain(|report| {
        report.scenario == scenario && report.group == group && report.judged.is_some()
    });
    compare(&reports)
}
