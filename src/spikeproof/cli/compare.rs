//! `spikeproof compare`: variance between runs of one scenario.

use super::report::{ReportError, entries, read};
use super::{CommandOutput, RunsDir};
use crate::outcome::Exit;
use crate::report::RunReport;
use crate::report::compare::{Comparison, UnlikeRuns, compare, text};

/// Compares runs of one scenario: the variance of their key figures, and the unstable judgements.
///
/// A judgement that passes in one run and fails in another is inconclusive. The exit code is that
/// of all runs together.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = crate::outcome::EXIT_CODES)]
pub(super) struct CompareArgs {
    /// The ids of the runs [default: every run of the latest run's scenario]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompareArgs) -> CommandOutput {
    match compared(args) {
        Ok(comparison) if args.json => match serde_json::to_string_pretty(&comparison) {
            Ok(json) => CommandOutput::json(json + "\n", comparison.verdict.into()),
            Err(error) => CommandOutput::error(error, Exit::Usage),
        },
        Ok(comparison) => CommandOutput::out(text(&comparison), comparison.verdict.into()),
        Err(why) => CommandOutput::error(why, Exit::Usage),
    }
}

/// Why runs cannot be compared.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Unlike(#[from] UnlikeRuns),
}

fn compared(args: &CompareArgs) -> Result<Comparison, CompareError> {
    let runs_dir = args.runs_dir.find().map_err(ReportError::RunsDir)?;
    if !args.runs.is_empty() {
        let reports = args
            .runs
            .iter()
            .map(|run| read(&runs_dir.join(run)).map(|(_, report)| report));
        return Ok(compare(&reports.collect::<Result<Vec<_>, _>>()?)?);
    }
    // A run without a report, or with one that this version cannot read, is skipped.
    let mut reports: Vec<RunReport> = entries(&runs_dir)?
        .flatten()
        .filter_map(|entry| Some(read(&entry.path()).ok()?.1))
        .collect();
    reports.sort_by(|a, b| a.run.cmp(&b.run));
    let latest = reports
        .last()
        .ok_or_else(|| ReportError::NoneReported(runs_dir.clone()))?;
    let (scenario, group) = (latest.scenario.clone(), latest.group.clone());
    // A trial of the advice had another policy: its figures are no variance.
    reports.retain(|report| {
        report.scenario == scenario
            && report.group == group
            && report.judged.is_some()
            && report.trial.is_none()
    });
    Ok(compare(&reports)?)
}
