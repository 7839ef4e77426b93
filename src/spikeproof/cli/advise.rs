//! `spikeproof advise`: explains a run's scaling policy and compares other policies.

use super::report::{ReportError, folder_of, read};
use super::{CommandOutput, RunsDir};
use crate::advice::{WhatIf, WhatIfError};
use crate::outcome::Exit;
use crate::report::{Own, advice, terminal, words};
use crate::watch::{self, RecordingError};

/// Explains what an earlier run shows about the group's scaling policy.
///
/// Also replays the same load on other policies and compares the results.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AdviseArgs {
    /// The run's id, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// Also replays this policy or load, and answers it first: any of load, target, min, max,
    /// warm-up, period, datapoints and instances, such as `target=40,min=3` or `load=3x,max=20`. A
    /// load is a factor (`3x`) or the highest second's rate (`600/s`). `instances=6` asks for the
    /// time until 6 serve. A period is 10s, 30s, whole minutes, or one of the group's alarms; a
    /// count is at most 10000
    #[arg(long, value_name = "NAME=VALUE,...", value_parser = what_if)]
    what_if: Option<WhatIf>,
    /// The price of one instance per hour in US dollars [default: the on-demand price of its type
    /// in us-east-1]
    #[arg(long, value_name = "USD", value_parser = price)]
    instance_price: Option<f64>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn what_if(text: &str) -> Result<WhatIf, String> {
    WhatIf::parse(text).map_err(|error| words::what_if(&error))
}

fn price(text: &str) -> Result<f64, String> {
    let price = text
        .trim_end_matches("USD")
        .trim()
        .parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| format!("`{text}` is not an amount in US dollars, such as 0.0416"))
}

pub(super) fn run(args: &AdviseArgs) -> CommandOutput {
    match advice_text(args) {
        Ok(text) if args.json => CommandOutput::json(text, Exit::Passed),
        Ok(text) => CommandOutput::out(text, Exit::Passed),
        Err(why) => CommandOutput::error(why, Exit::Usage),
    }
}

/// Why a run gives no advice.
#[derive(Debug, thiserror::Error)]
enum AdviseError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(
        "run {0} watched no group: add `target.group` or `target.service` to its scenario and run it again"
    )]
    NoGroup(String),
    #[error("run {run} ended before it had data for advice (group {group})")]
    NoData { run: String, group: String },
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("--what-if {}", words::what_if(.0))]
    WhatIf(WhatIfError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn advice_text(args: &AdviseArgs) -> Result<String, AdviseError> {
    let folder = folder_of(&args.run, &args.runs_dir)?;
    let (_, report) = read(&folder)?;
    let group = report
        .group
        .as_ref()
        .ok_or_else(|| AdviseError::NoGroup(report.run.clone()))?;
    let no_data = || AdviseError::NoData {
        run: report.run.clone(),
        group: group.clone(),
    };
    let limit = report.advice.as_ref().ok_or_else(no_data)?.limit;
    let load = report.load.as_ref().ok_or_else(no_data)?;
    let judged = report.judged.as_ref().ok_or_else(no_data)?;
    let started = report.started.ok_or_else(no_data)?;
    let timeline = watch::read(&folder.join("watch.jsonl"))?;
    if let Some(what_if) = &args.what_if {
        what_if.fits(&timeline).map_err(AdviseError::WhatIf)?;
    }
    let own = Own {
        what_if: args.what_if.clone(),
        instance_price: args.instance_price,
    };
    let advice = advice(load, &timeline, judged, started, limit, &own).ok_or_else(no_data)?;
    if args.json {
        return Ok(serde_json::to_string_pretty(&advice)? + "\n");
    }
    Ok(terminal::advice(&advice))
}
