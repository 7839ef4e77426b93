//! `spikeproof check`: validates a scenario, and prints the plan, its cost and the group.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::CommandOutput;
use super::run::ScenarioArgs;
use crate::aws::{AwsError, Cloud};
use crate::outcome::Exit;
use crate::run::{
    FleetKind, Preview, Probe, ScenarioOptions, preview, probe_of, prove_ownership, wrong_clock,
};
use crate::verdict::preflight;
use crate::visible;
use crate::watch::{self, WatchError};

mod group;
mod plan;

/// Validates a scenario and prints the plan and its cost. Creates nothing.
///
/// Makes AWS calls only with `--group`, and a request to the target only with `--probe`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Also reads the target's group (read-only AWS calls): what its policy can see of this load,
    /// and what would prevent a verdict
    #[arg(long)]
    group: bool,
    /// Also sends one request to the target, and exits with 4 if it does not answer
    #[arg(long)]
    probe: bool,
}

/// Prints the plan. Errors in the scenario exit with 3, an unreadable group with 4.
pub(super) async fn run(args: &CheckArgs) -> CommandOutput {
    let options = match args.scenario.options() {
        Ok(options) => options,
        Err(answer) => return answer,
    };
    let preview = match preview(&options, std::io::stderr().is_terminal()) {
        Ok(preview) => preview,
        Err(error) => return CommandOutput::rendered(error.what + "\n", Exit::ScenarioInvalid),
    };
    let mut text = plan::text(&preview, &options, args.group);
    if args.probe {
        match probe_of(&options, &preview).await {
            Ok(found) => text += &probed(found, &preview),
            Err(error) => {
                return CommandOutput {
                    stdout: text,
                    ..CommandOutput::error(error, Exit::CouldNotRun)
                };
            }
        }
    }
    if !args.group {
        return CommandOutput::out(text, Exit::Passed);
    }
    match group(&options, &preview).await {
        Ok(group) => CommandOutput::out(text + &group, Exit::Passed),
        Err(why) => CommandOutput {
            stdout: text,
            ..CommandOutput::error(why, Exit::CouldNotRun)
        },
    }
}

fn probed(found: Probe, preview: &Preview) -> String {
    let target = &preview.scenario.target;
    match found {
        Probe::Answered(status) => format!("\n  {} answers {status}\n", target.url),
        Probe::Private => format!("\n  {}\n", found.note(target).unwrap_or_default()),
    }
}

/// Why the group cannot be shown.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    #[error("the scenario names no `target.group` or `target.service`")]
    NoGroup,
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// The current state of the group, and how its policies see the scenario.
async fn group(options: &ScenarioOptions, preview: &Preview) -> Result<String, GroupError> {
    let Preview {
        scenario, schedule, ..
    } = preview;
    let subject = scenario
        .target
        .subject
        .as_ref()
        .ok_or(GroupError::NoGroup)?;
    let Cloud { aws, caller } = Cloud::find().await?;
    let seen = watch::survey(&aws, subject).await?;
    let mut warnings = preflight::warnings(scenario, schedule, &seen);
    if let Some(like) = &scenario.target.like {
        let other = watch::survey(&aws, like).await?;
        warnings.extend(preflight::differences(&seen, &other));
    }
    let mut out = String::new();
    // The names and texts in it are AWS's.
    out += &visible::written(&seen, &[], |seen| {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = group::write(&mut text, scenario, seen, &warnings);
        text
    });
    let _ = match prove_ownership(options, preview, &aws, &caller, &seen).await {
        Ok(standing) => writeln!(out, "  the target is {}", standing.sentence()),
        Err(error) => writeln!(out, "  REFUSED: {}", visible::indented(&error.to_string())),
    };
    if let Some(why) = wrong_clock(caller.ahead).filter(|_| options.fleet == FleetKind::Fargate) {
        let _ = writeln!(out, "  REFUSED: {why}");
    }
    Ok(out)
}
