//! The command line: one file per subcommand, argument types and wiring only.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::outcome::{EXIT_CODES, Exit};
use crate::redact;

mod advise;
mod check;
mod compare;
mod generate;
mod image;
mod init;
mod lab;
mod permissions;
mod reap;
mod report;
mod run;
pub mod schema;
mod watch;

/// What a command has to say, for main to print, and how the process ends.
#[derive(Debug, Default)]
pub struct Answer {
    pub stdout: String,
    pub stderr: String,
    pub code: u8,
}

impl Answer {
    pub fn out(stdout: impl Into<String>, exit: Exit) -> Self {
        Self {
            stdout: stdout.into(),
            code: exit.code(),
            ..Self::default()
        }
    }

    pub fn error(stderr: impl std::fmt::Display, exit: Exit) -> Self {
        Self {
            stderr: format!("{stderr}\n"),
            code: exit.code(),
            ..Self::default()
        }
    }
}

/// Proves that an Auto Scaling group survives a spike.
///
/// Applies a throw-away Fargate fleet with Terraform, drives a scenario from it, watches the
/// target's group through spike and recovery, judges what it saw, and always destroys what it made.
#[derive(Debug, Parser)]
#[command(name = "spikeproof", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: plan, provision, start, load, recover, collect, judge, destroy
    Run(run::Args),
    /// Validate a scenario and print the plan and its cost, touching nothing
    Check(check::Args),
    /// Write a commented scenario to begin with
    Init(init::Args),
    /// Destroy what an earlier run left, as its journal says
    Reap(reap::Args),
    /// Show the report of an earlier run
    Report(report::Args),
    /// Say what an earlier run shows of the group's policy, and what another policy would have done
    Advise(advise::Args),
    /// Lay runs of one scenario side by side: what spreads, and which verdicts do not hold still
    Compare(compare::Args),
    /// Watch a group while someone else makes the load, and judge how it scaled
    Watch(watch::Args),
    /// Serve an AWS on this machine, with a target that really scales
    Lab(lab::Args),
    /// Pack the generator's image without Docker
    Image(image::Args),
    /// Print the IAM policy document of operator, watcher, reaper or generator
    Permissions(permissions::Args),
    /// Print the JSON Schema of the scenario file
    Schema,
    /// Carry out one task's share of the load (what the image runs)
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Where runs are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct RunsDir {
    /// Folder of the runs: journal, state, logs and reports of each
    /// [default: $XDG_STATE_HOME/spikeproof/runs or ~/.local/state/spikeproof/runs]
    #[arg(long, env = "SPIKEPROOF_RUNS_DIR", value_name = "DIR")]
    runs_dir: Option<PathBuf>,
}

impl RunsDir {
    fn path(&self) -> Result<PathBuf, Answer> {
        crate::journal::runs_dir(self.runs_dir.as_deref(), |name| std::env::var_os(name))
            .map_err(|error| Answer::error(error, Exit::Usage))
    }
}

/// Logs are for looking into spikeproof itself: `SPIKEPROOF_LOG=debug`, to stderr. What a run has
/// to say are events.
///
/// Two doors of redaction: libraries log what they like, and a panic tells the values it failed
/// over.
fn speak_safely() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SPIKEPROOF_LOG")
        .unwrap_or_else(|_| "warn".into());
    let stderr = || redact::Writer(std::io::stderr());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "{}", redact::text(&panic.to_string()));
    }));
}

/// Runs a command line to its end.
pub async fn run(args: impl Iterator<Item = OsString>) -> Answer {
    speak_safely();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // Help and version are answers, not errors: clap knows which goes where.
        Err(error) if error.use_stderr() => return Answer::error(error.render(), Exit::Usage),
        Err(answer) => return Answer::out(answer.render().to_string(), Exit::Passed),
    };
    match cli.command {
        Command::Run(args) => run::run(args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Init(args) => init::run(&args),
        Command::Reap(args) => reap::run(args).await,
        Command::Report(args) => report::run(&args),
        Command::Advise(args) => advise::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Watch(args) => watch::run(args).await,
        Command::Lab(args) => lab::run(args).await,
        Command::Image(args) => image::run(args),
        Command::Permissions(args) => permissions::run(&args),
        Command::Schema => Answer::out(schema::text(), Exit::Passed),
        Command::Generate(args) => generate::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the test below starts: a hook is the whole process's.
    #[test]
    #[ignore = "panics: the test below starts it"]
    fn a_command_that_panics() {
        let mut secrets = redact::Secrets::default();
        secrets.insert("FATAL", "c4nary-of-a-panic");
        redact::keep(&secrets);
        speak_safely();
        tracing::warn!("about to fail over c4nary-of-a-panic");
        panic!("failed over c4nary-of-a-panic");
    }

    #[test]
    fn neither_the_log_nor_a_panic_tells_a_secret() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::tests::a_command_that_panics", "--ignored"])
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            said.matches("failed over [secret FATAL]").count(),
            1,
            "{said}"
        );
        assert_eq!(
            said.matches("fail over [secret FATAL]").count(),
            1,
            "{said}"
        );
        assert!(!said.contains("c4nary"), "{said}");
    }
}
