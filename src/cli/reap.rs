//! `spikeproof reap`

use std::fmt::Write as _;
use std::path::PathBuf;

use tokio::task::JoinSet;

use super::{Answer, RunsDir};
use crate::events::Events;
use crate::outcome::Exit;
use crate::report::live;
use crate::run::{Reaped, reap};
use crate::units::{RunId, count};

/// Destroys what earlier runs left, as their journals say, and proves it by describing each thing by its name.
///
/// A second reap finds nothing to do. Needs credentials of the account in which the run was made.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only this run [default: every run that may have left something]
    #[arg(value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
    /// List what may be left, and touch nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// The terraform or tofu binary
    #[arg(long, env = "SPIKEPROOF_TERRAFORM", value_name = "PATH")]
    terraform: Option<PathBuf>,
}

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text).ok_or_else(|| "a run id is `sp-` and ten characters, such as sp-01j9z3k4m5".to_owned())
}

pub async fn run(args: Args) -> Answer {
    let (events, listener) = Events::channel();
    let mut view = JoinSet::new();
    view.spawn(live::show(listener));
    let runs_dir = match args.runs_dir.path() {
        Ok(folder) => folder,
        Err(answer) => return answer,
    };
    let reaped = reap(&runs_dir, args.run.as_ref(), args.dry_run, args.terraform.as_deref(), &events).await;
    drop(events);
    view.join_next().await;
    match reaped {
        Ok(reaped) => {
            let left = !args.dry_run && reaped.iter().any(|run| !run.left.is_empty());
            Answer::out(text(&reaped, args.dry_run), if left { Exit::ResourcesLeft } else { Exit::Passed })
        }
        Err(error) => Answer::error(&error, error.kind.exit()),
    }
}

fn text(reaped: &[Reaped], dry_run: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, reaped, dry_run);
    out
}

fn write_text(out: &mut String, reaped: &[Reaped], dry_run: bool) -> std::fmt::Result {
    let dirty: Vec<&Reaped> = reaped.iter().filter(|run| !run.leftovers.is_empty()).collect();
    if dirty.is_empty() {
        return writeln!(out, "nothing left of {}", count(reaped.len() as u64, "run"));
    }
    for run in dirty {
        match (&run.skipped, dry_run, run.left.is_empty()) {
            (Some(why), _, _) => writeln!(out, "{}: NOT reaped: {why}", run.run)?,
            (None, true, _) => {
                writeln!(out, "{}: {} things may be left", run.run, run.leftovers.len())?;
                run.leftovers.iter().try_for_each(|thing| writeln!(out, "  {thing}"))?;
            }
            (None, false, true) => writeln!(out, "{}: {} things found gone", run.run, run.gone.len())?,
            (None, false, false) => {
                writeln!(out, "{}: LEFT", run.run)?;
                run.left.iter().try_for_each(|thing| writeln!(out, "  {thing}"))?;
            }
        }
    }
    Ok(())
}
