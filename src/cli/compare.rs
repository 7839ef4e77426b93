//! `spikeproof compare`

use super::report::read;
use super::{Answer, RunsDir};
use crate::outcome::Exit;
use crate::report::RunReport;
use crate::report::compare::{Comparison, compare, text};

/// Lays runs of one scenario side by side: the spread of their key figures, and the judgements that
/// do not hold still.
///
/// A judgement that passes in one run and fails in another is inconclusive. The exit code is that
/// of all runs together.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = crate::outcome::EXIT_CODES)]
pub struct Args {
    /// The runs' ids; without any, every run of the latest one's scenario
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Answer {
    match compared(args) {
        Ok(comparison) if args.json => match serde_json::to_string_pretty(&comparison) {
            Ok(json) => Answer::out(json + "\n", comparison.verdict.into()),
            Err(error) => Answer::error(error, Exit::Usage),
        },
        Ok(comparison) => Answer::out(text(&comparison), comparison.verdict.into()),
        Err(why) => Answer::error(why, Exit::Usage),
    }
}

fn compared(args: &Args) -> Result<Comparison, String> {
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
    // A report that this version cannot read, or a run without one, is not of these.
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
