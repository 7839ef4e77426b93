//! `spikeproof run`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::task::JoinSet;

use super::{CommandOutput, RunsDir};
use crate::events::Events;
use crate::outcome::Exit;
use crate::report::{compare, live, terminal, words};
use crate::run::{
    self, Boundary, Context, FleetKind, Interrupt, NotTried, OrganisationFile, Repeats, RoleArn,
    RunErrorKind, RunOptions, RunOutcome, ScenarioFolders, ScenarioOptions, TaskRoles, Trial,
};
use crate::teardown::reap;
use crate::verdict::{RunWarning, Warning};

/// Runs a scenario and destroys everything it created.
///
/// Ctrl-C once stops the load, collects, judges and destroys; twice destroys now; a third time
/// prints what is left.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = crate::outcome::EXIT_CODES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    #[command(flatten)]
    runs_dir: RunsDir,
    /// The terraform or tofu binary [default: $TERRAFORM_CLI_PATH/terraform-bin, terraform, tofu]
    #[arg(long, env = "SPIKEPROOF_TERRAFORM", value_name = "PATH")]
    terraform: Option<PathBuf>,
    /// A static Linux binary of spikeproof to ship instead of this one
    #[arg(long, env = "SPIKEPROOF_GENERATOR_BINARY", value_name = "PATH")]
    generator_binary: Option<PathBuf>,
    /// A ready generator image instead of one packed from the binary
    #[arg(long, env = "SPIKEPROOF_IMAGE", value_name = "REFERENCE")]
    image: Option<String>,
    /// The policy of the account that bounds the roles of the run, by name or ARN; `none` for roles
    /// without one
    #[arg(
        long,
        env = "SPIKEPROOF_PERMISSIONS_BOUNDARY",
        value_name = "POLICY",
        default_value = crate::aws::permissions::BOUNDARY_NAME
    )]
    permissions_boundary: Boundary,
    /// A ready role with which Fargate starts the tasks; with --task-role the run writes nothing to
    /// IAM
    #[arg(
        long,
        env = "SPIKEPROOF_EXECUTION_ROLE",
        value_name = "ARN",
        requires = "task_role"
    )]
    execution_role: Option<RoleArn>,
    /// A ready role for the tasks
    #[arg(
        long,
        env = "SPIKEPROOF_TASK_ROLE",
        value_name = "ARN",
        requires = "execution_role"
    )]
    task_role: Option<RoleArn>,
    /// Runs without the guard, the process that destroys everything if this one is killed
    #[arg(long, env = "SPIKEPROOF_NO_GUARD")]
    no_guard: bool,
    /// Skips the one request to the target that is made before anything is created, for example
    /// because only the generators can reach it
    #[arg(long, env = "SPIKEPROOF_NO_PROBE")]
    no_probe: bool,
    /// Runs even if the credentials expire before the run ends; leftovers then need `spikeproof reap`
    #[arg(long, env = "SPIKEPROOF_FORCE")]
    force: bool,
    /// Runs the scenario N times, one after the other, and judges the runs together: an unstable
    /// verdict is inconclusive
    #[arg(long, env = "SPIKEPROOF_REPEAT", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Changes the group GROUP for a second run, if the first one's advice recommends a change, and puts
    /// it back afterwards. GROUP is the scenario's group, and carries the tag
    /// spikeproof:may-change
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["repeat", "no_guard"])]
    try_advice: Option<String>,
    /// With --try-advice: also where no user watches, as in a CI job. If the job, container or machine
    /// ends at once, the group stays changed until somebody runs `spikeproof reap` on the same
    /// disk, or puts it back by hand
    #[arg(long, requires = "try_advice")]
    unattended: bool,
    /// Stops the load when provision, start, load and recovery together have taken this long,
    /// judges the data so far, and destroys
    #[arg(long, env = "SPIKEPROOF_MAX_DURATION", value_name = "TIME", value_parser = crate::units::parse_duration)]
    max_duration: Option<Duration>,
}

/// The arguments that `run` and `check` share.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ScenarioArgs {
    /// The scenario file; `-` is standard input
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    /// Permits data, bodies and certificates of the scenario below the folder DIR, beside those in the
    /// scenario's own folder
    #[arg(long, value_name = "DIR")]
    allow_files: Vec<PathBuf>,
    /// Replaces `target.url` of the scenario
    #[arg(long, env = "SPIKEPROOF_URL")]
    url: Option<String>,
    /// Where the generators run
    #[arg(long, env = "SPIKEPROOF_FLEET", value_enum, default_value_t = FleetArg::Fargate)]
    fleet: FleetArg,
    /// Replaces `fleet.tasks` of the scenario
    #[arg(long, env = "SPIKEPROOF_TASKS", value_parser = clap::value_parser!(u32).range(1..=500))]
    tasks: Option<u32>,
    /// Confirms that the owner of HOST permits load above the limit for unverified targets (recorded
    /// in the report)
    #[arg(
        long,
        env = "SPIKEPROOF_I_AM_ALLOWED",
        value_name = "HOST",
        value_delimiter = ','
    )]
    i_am_allowed: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FleetArg {
    /// Fargate tasks, created and destroyed for this run
    Fargate,
    /// Child processes on this machine; uses neither AWS nor terraform
    Local,
}

impl ScenarioArgs {
    /// Reads the scenario and the environment.
    pub(super) fn options(&self) -> Result<ScenarioOptions, CommandOutput> {
        let folders = ScenarioFolders::of(&self.file, &self.allow_files);
        Ok(ScenarioOptions {
            file: self.file.display().to_string(),
            text: run::scenario_text(&self.file)
                .map_err(|error| CommandOutput::error(error, Exit::ScenarioInvalid))?,
            folders: folders.map_err(|error| CommandOutput::error(error, Exit::Usage))?,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            url: self.url.clone(),
            fleet: match self.fleet {
                FleetArg::Fargate => FleetKind::Fargate,
                FleetArg::Local => FleetKind::Local,
            },
            tasks: self.tasks,
            allowed_hosts: self.i_am_allowed.clone(),
            organisation: OrganisationFile {
                named: std::env::var_os("SPIKEPROOF_ORGANISATION")
                    .filter(|name| !name.is_empty())
                    .map(PathBuf::from),
                ..OrganisationFile::default()
            },
        })
    }
}

impl RunArgs {
    fn options(self) -> Result<RunOptions, CommandOutput> {
        Ok(RunOptions {
            scenario: self.scenario.options()?,
            runs_dir: self.runs_dir.path()?,
            terraform: self.terraform,
            generator_binary: self.generator_binary,
            image: self.image,
            roles: match (self.execution_role, self.task_role) {
                (Some(execution), Some(task)) => TaskRoles::Given { execution, task },
                _ => TaskRoles::Made(self.permissions_boundary),
            },
            guard: !self.no_guard,
            probe: !self.no_probe,
            force: self.force,
            max_duration: self.max_duration,
        })
    }
}

pub(super) async fn run(args: RunArgs) -> CommandOutput {
    let (runs, to_change, unattended) = (args.repeat, args.try_advice.clone(), args.unattended);
    let options = match args.options() {
        Ok(options) => Arc::new(options),
        Err(answer) => return answer,
    };
    let mut signals = JoinSet::new();
    let interrupt = match Interrupt::listen(&mut signals) {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let what = format!("cannot listen for signals: {error}");
            return CommandOutput::error(what, Exit::CouldNotRun);
        }
    };
    if let Some(group) = to_change {
        if !unattended && !is_attended() {
            return CommandOutput::error(NotTried::Unattended.error(), Exit::CouldNotRun);
        }
        return run_and_try(options, group, &interrupt).await;
    }
    if runs > 1 {
        return run_repeatedly(options, runs, &interrupt).await;
    }
    match run_once(options, Repeats::default(), Trial::None, &interrupt).await {
        Ok((outcome, text)) => CommandOutput::out(text, outcome.report.exit),
        Err(answer) => answer,
    }
}

/// True if a user is likely to see what happens to a changed group.
fn is_attended() -> bool {
    use std::io::IsTerminal as _;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    is_terminal && std::env::var_os("CI").is_none_or(|value| value.is_empty())
}

/// Runs the scenario several times, and judges the runs together.
async fn run_repeatedly(
    options: Arc<RunOptions>,
    runs: u32,
    interrupt: &Interrupt,
) -> CommandOutput {
    let mut text = String::new();
    let mut reports = Vec::new();
    let mut repeats = Repeats::first_of(runs);
    while repeats.left > 0 {
        let once = run_once(Arc::clone(&options), repeats, Trial::None, interrupt);
        let (outcome, report_text) = match once.await {
            Ok(done) => done,
            Err(answer) => {
                return CommandOutput {
                    stdout: text,
                    ..answer
                };
            }
        };
        text += &report_text;
        repeats = repeats.after(&outcome.report);
        let exit = outcome.report.exit;
        reports.push(outcome.report);
        // After an interrupt the user wants no further run; leftovers must be removed first.
        if !matches!(exit, Exit::Passed | Exit::Failed | Exit::Inconclusive) {
            return CommandOutput::out(text, exit);
        }
        if repeats.left > 0 && interrupt.stop_load().is_cancelled() {
            return CommandOutput::out(text, Exit::Interrupted);
        }
    }
    match compare::compare(&reports) {
        Ok(comparison) => CommandOutput::out(
            format!("{text}\n{}", compare::text(&comparison)),
            comparison.verdict.into(),
        ),
        Err(why) => CommandOutput {
            stdout: text,
            ..CommandOutput::error(why, Exit::CouldNotRun)
        },
    }
}

/// Runs the scenario, and once more with the change that the advice recommends. The group is put
/// back at the end of that second run, like all that a run destroys.
async fn run_and_try(
    options: Arc<RunOptions>,
    group: String,
    interrupt: &Interrupt,
) -> CommandOutput {
    let repeats = Repeats::first_of(2);
    let announced = Trial::Announced {
        group: group.clone(),
    };
    let once = run_once(Arc::clone(&options), repeats, announced, interrupt);
    let (outcome, text) = match once.await {
        Ok(done) => done,
        Err(answer) => return answer,
    };
    let first = outcome.report;
    let recommended = run::recommended(&first, interrupt)
        .and_then(|plan| Ok((plan, outcome.found.ok_or(NotTried::NothingFound)?)));
    let trial = match recommended {
        Ok((plan, found)) => Trial::Of {
            group,
            plan: Box::new(plan),
            found: Box::new(found),
        },
        Err(why) => {
            let text = format!("{text}\nthe advice is not tried: {why}\n");
            return CommandOutput::out(text, exit_untried(first.exit, &why));
        }
    };
    match run_once(options, repeats.after(&first), trial, interrupt).await {
        Ok((second, trial_text)) => {
            let second = second.report;
            let told = second.trial.as_ref().map(words::trial).unwrap_or_default();
            let beside = compare::beside(&first, &second);
            CommandOutput::out(
                format!("{text}{trial_text}\n{told}\n{beside}"),
                exit_of_both(first.exit, second.exit),
            )
        }
        Err(answer) => CommandOutput {
            stdout: text,
            ..answer
        },
    }
}

/// A signal after the verdict ends the command as one before it would.
fn exit_untried(first: Exit, why: &NotTried) -> Exit {
    match (why, first) {
        (NotTried::Interrupted, Exit::Passed | Exit::Failed | Exit::Inconclusive) => {
            Exit::Interrupted
        }
        _ => first,
    }
}

/// The verdict is on the group as it is. A second run that did not come to a verdict outranks it.
fn exit_of_both(first: Exit, second: Exit) -> Exit {
    match second {
        Exit::Passed | Exit::Failed | Exit::Inconclusive => first,
        second => second,
    }
}

/// One run, with its report as text.
async fn run_once(
    options: Arc<RunOptions>,
    repeats: Repeats,
    trial: Trial,
    interrupt: &Interrupt,
) -> Result<(RunOutcome, String), CommandOutput> {
    let (events, listener) = Events::channel();
    let mut view = JoinSet::new();
    view.spawn(live::show(listener));
    interrupt.tell_to(Some(events.clone()));
    let outcome = run::run(Context {
        earlier_runs: earlier_runs(&options.runs_dir),
        options,
        repeats,
        trial,
        events,
        interrupt: interrupt.clone(),
    })
    .await;
    // The last sender goes, so the view ends after its last event.
    interrupt.tell_to(None);
    view.join_next().await;
    let outcome = outcome.map_err(|error| match error.kind {
        // The problems of the scenario are rendered.
        RunErrorKind::ScenarioInvalid => {
            CommandOutput::rendered(format!("{error}\n"), error.kind.exit())
        }
        _ => CommandOutput::error(&error, error.kind.exit()),
    })?;
    let text = terminal::text(&outcome.report);
    let next = next_steps(&outcome.folder, &outcome.report.run);
    Ok((outcome, format!("\n{text}\n{next}")))
}

/// Warnings about earlier runs on this host that may have left resources. Removes the secrets that
/// dead runs have left in their folders.
fn earlier_runs(runs_dir: &Path) -> Vec<Warning> {
    reap::remove_secrets_of_dead_runs(runs_dir);
    reap::unfinished(runs_dir)
        .into_iter()
        .map(|run| RunWarning::EarlierRun {
            things: run.things,
            remedy: run.reap,
        })
        .map(Warning::Run)
        .collect()
}

/// The files to open next. A file that could not be written is omitted: an event reported it.
fn next_steps(folder: &Path, run: &str) -> String {
    let [page, data] = ["report.html", "report.json"].map(|name| folder.join(name));
    let mut steps = String::new();
    if page.exists() {
        steps += &format!("report  {}\n", page.display());
    }
    if data.exists() {
        steps += &format!(
            "data    {}\nagain   spikeproof report {run}\n",
            data.display()
        );
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_after_the_verdict_is_no_verdict_and_hides_no_leftovers() {
        for (first, why, expected) in [
            (Exit::Failed, NotTried::Interrupted, Exit::Interrupted),
            (Exit::Passed, NotTried::Interrupted, Exit::Interrupted),
            (
                Exit::ResourcesLeft,
                NotTried::Interrupted,
                Exit::ResourcesLeft,
            ),
            (Exit::Failed, NotTried::NothingRecommended, Exit::Failed),
        ] {
            assert_eq!(exit_untried(first, &why), expected, "{first:?}");
        }
    }

    #[test]
    fn the_trial_of_an_advice_changes_no_verdict_and_hides_no_leftovers() {
        for (second, expected) in [
            (Exit::Passed, Exit::Failed),
            (Exit::Inconclusive, Exit::Failed),
            (Exit::ResourcesLeft, Exit::ResourcesLeft),
            (Exit::Interrupted, Exit::Interrupted),
            (Exit::CouldNotRun, Exit::CouldNotRun),
        ] {
            assert_eq!(exit_of_both(Exit::Failed, second), expected, "{second:?}");
        }
    }
}
