//! `spikeproof reap`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{CommandOutput, RunsDir};
use crate::events::Events;
use crate::journal;
use crate::journal::change::{Parameters, Setting};
use crate::outcome::Exit;
use crate::report::live;
use crate::teardown::guard::when_orphaned;
use crate::teardown::reap::{ChangedGroup, Reap, Reaped, Reaping, Skipped, reap};
use crate::units::{self, RunId, count};
use crate::visible;

/// Destroys what earlier runs left, and proves it by describing each resource by its name.
///
/// Reads the journals on this host. With --discover it also finds runs without a journal here, by
/// the names that derive from run ids. It first stops what costs money. Active runs are left
/// alone, and a second reap finds nothing to do.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReapArgs {
    /// Only this run [default: every run that may have left something]
    #[arg(value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
    /// Lists what may be left, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Also reaps runs of other machines, found by name in this account and region; needs no
    /// journal, state or terraform
    #[arg(long)]
    discover: bool,
    /// With --discover: only runs that began at least this long ago [default: 2h for runs that
    /// never sent a heartbeat]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, requires = "discover")]
    older_than: Option<Duration>,
    /// Also reaps active runs of other hosts; their orchestrator is fenced and stops
    #[arg(long)]
    force: bool,
    /// Waits until the run's orchestrator is gone, and reaps unless it has finished (the guard's
    /// command)
    #[arg(long, hide = true, requires = "run")]
    when_orphaned: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// The terraform or tofu binary
    #[arg(long, env = "SPIKEPROOF_TERRAFORM", value_name = "PATH")]
    terraform: Option<PathBuf>,
}

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text)
        .ok_or_else(|| "a run id is `sp-` and ten characters, such as sp-01j9z3k4m5".to_owned())
}

pub(super) async fn run(args: ReapArgs) -> CommandOutput {
    let (events, listener) = Events::channel();
    let mut view = JoinSet::new();
    view.spawn(live::show(listener));
    let runs_dir = match args.runs_dir.path() {
        Ok(folder) => folder,
        Err(answer) => return answer,
    };
    let wanted = Reaping {
        runs_dir,
        only: args.run.clone(),
        dry_run: args.dry_run,
        terraform: args.terraform,
        discover: args.discover,
        older_than: args.older_than,
        force: args.force,
    };
    let reaped = match (args.when_orphaned, &args.run) {
        (true, Some(run)) => when_orphaned(&wanted, run, &events).await,
        _ => reap(&wanted, &events).await,
    };
    drop(events);
    view.join_next().await;
    match reaped {
        Ok(reap) => CommandOutput::out(text(&reap, &wanted), exit(&reap, &wanted)),
        Err(error) => CommandOutput::error(&error, error.exit()),
    }
}

fn exit(reap: &Reap, wanted: &Reaping) -> Exit {
    let spared = |run: &Reaped| matches!(run.skipped, Some(Skipped::Alive(_)));
    match () {
        () if !wanted.dry_run && reap.runs.iter().any(Reaped::is_dirty) => Exit::ResourcesLeft,
        // A run named by the user but left alone is an error. Among others, an active run is not.
        () if !wanted.dry_run && wanted.only.is_some() && reap.runs.iter().any(spared) => {
            Exit::CouldNotRun
        }
        // A list that could not be read may hide a run.
        () if !reap.unread.is_empty() => Exit::CouldNotRun,
        () => Exit::Passed,
    }
}

/// The command for another attempt. A run without a folder here is only found by name.
fn again(runs_dir: &Path, run: &RunId) -> String {
    let records = journal::read(&runs_dir.join(run.as_str()));
    let found = || format!("spikeproof reap {run} --discover");
    journal::head(&records).map_or_else(found, |head| journal::reap_command_of(runs_dir, head))
}

/// Names and reasons are those of a journal, of AWS and of terraform.
fn seen(text: impl std::fmt::Display) -> String {
    visible::line(&text.to_string()).into_owned()
}

fn text(reap: &Reap, wanted: &Reaping) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, &reap.runs, &wanted.runs_dir, wanted.dry_run);
    let _ = write_unread(&mut out, &reap.unread);
    out
}

fn write_unread(out: &mut String, unread: &[String]) -> std::fmt::Result {
    if unread.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "INCOMPLETE: lists that could not be read may contain more"
    )?;
    unread
        .iter()
        .try_for_each(|why| writeln!(out, "  {}", seen(why)))?;
    writeln!(
        out,
        "terraform/permissions/reaper.json has the permissions that `--discover` needs"
    )
}

/// Writes how to see and to undo what is not proven to be put back.
fn write_changed(out: &mut String, run: &RunId, changed: &ChangedGroup) -> std::fmt::Result {
    // Part of commands that are copied to a shell.
    let group = &seen(journal::quoted(&changed.group));
    writeln!(
        out,
        "CHANGED: the run has changed the settings of the group {group} for a time, and it is not proven that they are as before\n  \
         put back with: spikeproof reap {run} on the machine of the run, or with `--discover` anywhere (needs the permissions \
         `try-advice`)\n  look at them with: aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {group}\n  \
         and: aws autoscaling describe-policies --auto-scaling-group-name {group}"
    )?;
    for change in &changed.changes {
        let call = match change.setting {
            Setting::Sizes => "update-auto-scaling-group",
            Setting::Policy { .. } => "put-scaling-policy",
        };
        let fields = change.changed().into_iter().map(|field| {
            let said = |setting: &Parameters| {
                let value = setting.get(field).map_or("absent", String::as_str);
                value.escape_debug().to_string()
            };
            let field = field.escape_debug();
            format!(
                "{field} {} in the run, {} before",
                said(&change.during),
                said(&change.before)
            )
        });
        let fields: Vec<String> = fields.collect();
        writeln!(
            out,
            "  {}: {} (aws autoscaling {call})",
            change.thing().to_string().escape_debug(),
            fields.join(", ")
        )?;
    }
    Ok(())
}

fn write_text(
    out: &mut String,
    reaped: &[Reaped],
    runs_dir: &Path,
    dry_run: bool,
) -> std::fmt::Result {
    let dirty: Vec<&Reaped> = reaped
        .iter()
        .filter(|run| !run.leftovers.is_empty())
        .collect();
    if dirty.is_empty() {
        return writeln!(out, "nothing left of {}", count(reaped.len() as u64, "run"));
    }
    for run in dirty {
        match (&run.skipped, dry_run, run.left.is_empty()) {
            (Some(Skipped::Alive(why)), _, _) => {
                writeln!(out, "{}: left alone: {}", run.run, seen(why))?;
            }
            (Some(Skipped::Unable(why)), _, _) => {
                writeln!(
                    out,
                    "{}: NOT reaped: {}\nagain with: {}",
                    run.run,
                    seen(why),
                    seen(again(runs_dir, &run.run))
                )?;
            }
            (None, true, _) => {
                writeln!(
                    out,
                    "{}: {} things may be left",
                    run.run,
                    run.leftovers.len()
                )?;
                run.leftovers
                    .iter()
                    .try_for_each(|thing| writeln!(out, "  {}", seen(thing)))?;
            }
            (None, false, true) => {
                writeln!(out, "{}: {} things found gone", run.run, run.gone.len())?;
            }
            (None, false, false) => {
                writeln!(out, "{}: LEFT", run.run)?;
                run.left
                    .iter()
                    .try_for_each(|thing| writeln!(out, "  {}", seen(thing)))?;
                writeln!(out, "again with: {}", seen(again(runs_dir, &run.run)))?;
            }
        }
        if let Some(changed) = &run.changed
            && !matches!(run.skipped, Some(Skipped::Alive(_)))
        {
            write_changed(out, &run.run, changed)?;
        }
    }
    Ok(())
}
