//! `spikeproof advise`

use super::report::{folder_of, read};
use super::{Answer, RunsDir};
use crate::advice::WhatIf;
use crate::outcome::Exit;
use crate::report::{Own, advice, terminal};
use crate::watch;

/// What an earlier run says about the group's policy, and what another policy would have done with
/// the same load.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The run's id, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// A policy of your own beside the candidates: any of target, min, max, warm-up, period,
    /// datapoints, such as `target=40,min=3`. A period is 10s, 30s, whole minutes or what the
    /// group's alarms have; a count 10000 at most
    #[arg(long, value_name = "NAME=VALUE,...", value_parser = WhatIf::parse)]
    what_if: Option<WhatIf>,
    /// What one instance costs an hour, in US dollars, in place of the on-demand price in us-east-1
    /// of its type
    #[arg(long, value_name = "USD", value_parser = price)]
    instance_price: Option<f64>,
    /// As JSON
    #[arg(long)]
    json: bool,
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

pub fn run(args: &Args) -> Answer {
    match advised(args) {
        Ok(text) => Answer::out(text, Exit::Passed),
        Err(why) => Answer::error(why, Exit::Usage),
    }
}

fn advised(args: &Args) -> Result<String, String> {
    let folder = folder_of(&args.run, &args.runs_dir)?;
    let (_, report) = read(&folder)?;
    let group = report.group.as_ref().ok_or_else(|| {
        format!(
            "run {} watched no group: give its scenario a `target.group` or `target.service` and run it again",
            report.run
        )
    })?;
    let nothing = || {
        format!(
            "run {} ended before there was anything to advise on (group {group})",
            report.run
        )
    };
    let limit = report.advice.as_ref().ok_or_else(nothing)?.limit;
    let load = report.load.as_ref().ok_or_else(nothing)?;
    let judged = report.judged.as_ref().ok_or_else(nothing)?;
    let started = report.started.ok_or_else(nothing)?;
    let timeline = watch::read(&folder.join("watch.jsonl"))?;
    if let Some(what_if) = &args.what_if {
        what_if
            .fits(&timeline)
            .map_err(|why| format!("--what-if {why}"))?;
    }
    let own = Own {
        what_if: args.what_if.clone(),
        instance_price: args.instance_price,
    };
    let advice = advice(load, &timeline, judged, started, limit, &own).ok_or_else(nothing)?;
    if args.json {
        return serde_json::to_string_pretty(&advice)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string());
    }
    Ok(terminal::advice(&advice))
}
