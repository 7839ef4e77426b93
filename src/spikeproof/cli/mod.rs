//! The command line: one file per subcommand, with argument types and wiring only.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::journal::JournalError;
use crate::outcome::{EXIT_CODES, Exit};
use crate::{redact, visible};

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
mod signals;
mod watch;

/// The output of a command, printed by `main`, and the exit code of the process.
#[derive(Debug, Default)]
pub struct CommandOutput {
    /// The result, complete with its last newline.
    pub stdout: String,
    /// The error, complete with its last newline.
    pub stderr: String,
    /// The exit code: one of `outcome::Exit`, or that of the lab's command.
    pub code: u8,
    /// True if `stdout` is JSON.
    pub is_json: bool,
    /// True if `stderr` may have colours: it was rendered here.
    pub is_coloured: bool,
}

impl CommandOutput {
    /// A result on stdout.
    pub fn out(stdout: impl Into<String>, exit: Exit) -> Self {
        Self {
            stdout: stdout.into(),
            code: exit.code(),
            ..Self::default()
        }
    }

    /// A result on stdout that programs read.
    pub fn json(stdout: impl Into<String>, exit: Exit) -> Self {
        Self {
            is_json: true,
            ..Self::out(stdout, exit)
        }
    }

    /// An error on stderr. Further lines of it begin with two blanks.
    pub fn error(stderr: impl std::fmt::Display, exit: Exit) -> Self {
        let stderr = visible::indented(&redact::text(&stderr.to_string()));
        Self {
            stderr: stderr + "\n",
            code: exit.code(),
            ..Self::default()
        }
    }

    /// A text on stderr that has its lines and colours already, as the problems of a scenario.
    pub fn rendered(stderr: String, exit: Exit) -> Self {
        Self {
            stderr,
            is_coloured: true,
            code: exit.code(),
            ..Self::default()
        }
    }

    /// Both texts as they are printed: without secrets, and without characters that act.
    pub fn printed(&self) -> (String, String) {
        let stdout = redact::text(&self.stdout);
        let stderr = redact::text(&self.stderr);
        let stdout = match self.is_json {
            true => visible::json(&stdout),
            false => visible::text(&stdout),
        };
        let stderr = match self.is_coloured {
            true => visible::coloured(&stderr),
            false => visible::text(&stderr),
        };
        (stdout, stderr)
    }
}

/// Tests whether an AWS Auto Scaling group or ECS service survives a load spike.
///
/// Creates temporary load generators on Fargate with Terraform, sends the load of a scenario, and
/// watches the target's group scale out and in. Then judges what it measured and destroys
/// everything it created.
#[derive(Debug, Parser)]
#[command(name = "spikeproof", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: plan, provision, start, load, recover, collect, judge, destroy
    Run(run::RunArgs),
    /// Validate a scenario and print the plan and its cost; creates nothing
    Check(check::CheckArgs),
    /// Write a commented scenario to start from
    Init(init::InitArgs),
    /// Destroy what earlier runs left, and prove it
    Reap(reap::ReapArgs),
    /// Show the report of an earlier run
    Report(report::ReportArgs),
    /// Explain what an earlier run shows about the scaling policy, and compare other policies
    Advise(advise::AdviseArgs),
    /// Compare runs of one scenario: variance between runs, and unstable verdicts
    Compare(compare::CompareArgs),
    /// Watch a group while somebody else creates the load, and judge how it scaled
    Watch(watch::WatchArgs),
    /// Serve an AWS emulator on this machine, with a target that scales
    Lab(lab::LabArgs),
    /// Pack the generator image without Docker
    Image(image::ImageArgs),
    /// Print the IAM policy document of the operator, watcher, reaper or generator
    Permissions(permissions::PermissionsArgs),
    /// Print the JSON Schema of the scenario file or of report.json
    Schema(schema::SchemaArgs),
    /// Carry out one task's share of the load (the command of the generator image)
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
}

/// The folder that holds the runs.
#[derive(Debug, Clone, clap::Args)]
pub struct RunsDir {
    /// Folder with the journal, state, logs and reports of each run
    /// [default: $XDG_STATE_HOME/spikeproof/runs or ~/.local/state/spikeproof/runs]
    #[arg(long, env = "SPIKEPROOF_RUNS_DIR", value_name = "DIR")]
    runs_dir: Option<PathBuf>,
}

impl RunsDir {
    fn find(&self) -> Result<PathBuf, JournalError> {
        crate::journal::runs_dir(self.runs_dir.as_deref(), |name| std::env::var_os(name))
    }

    fn path(&self) -> Result<PathBuf, CommandOutput> {
        self.find()
            .map_err(|error| CommandOutput::error(error, Exit::Usage))
    }
}

/// Starts the log of spikeproof itself (`SPIKEPROOF_LOG=debug`, to stderr) and the panic message.
///
/// Both redact secrets, because libraries log any value and a panic message contains the values
/// that caused it. The progress of a run is reported as events, not as log lines.
fn install_redacting_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SPIKEPROOF_LOG")
        .unwrap_or_else(|_| "warn".into());
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(redacted_stderr)
            .try_init(),
    );
    std::panic::set_hook(Box::new(|panic| {
        drop(writeln!(
            std::io::stderr(),
            "{}",
            visible::text(&redact::text(&panic.to_string()))
        ));
    }));
}

fn redacted_stderr() -> redact::Writer<std::io::Stderr> {
    redact::Writer(std::io::stderr())
}

/// Makes a file that reaches its limit (`ulimit -f`) an error like a full disk. Without this the
/// signal ends the process in the middle of a run.
pub fn survive_full_files() {
    let full = rustix::process::Signal::XFSZ.as_raw();
    // The handler stays for the life of the process; without it the signal does what it did before.
    drop(signal(SignalKind::from_raw(full)));
}

/// Parses a command line and carries it out.
pub async fn run(args: impl Iterator<Item = OsString>) -> CommandOutput {
    install_redacting_log();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // Help and version are results, not errors; clap says which stream each belongs to.
        Err(error) if error.use_stderr() => {
            return CommandOutput {
                stderr: format!("{}\n", error.render()),
                code: Exit::Usage.code(),
                ..CommandOutput::default()
            };
        }
        Err(answer) => return CommandOutput::out(answer.render().to_string(), Exit::Passed),
    };
    match cli.command {
        // Boxed: the compiler limits the depth of futures that contain each other.
        Command::Run(args) => Box::pin(run::run(args)).await,
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
        Command::Schema(args) => CommandOutput::json(schema::text(&args), Exit::Passed),
        Command::Generate(args) => generate::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test below starts this one in a process of its own: a panic hook applies to the whole
    /// process.
    #[test]
    #[ignore = "panics: the test below starts it"]
    fn a_command_that_panics() {
        let mut secrets = redact::Secrets::default();
        secrets.insert("FATAL", "c4nary-of-a-panic");
        redact::keep(&secrets);
        install_redacting_log();
        tracing::warn!("about to fail over c4nary-of-a-panic");
        panic!("failed over c4nary-of-a-panic");
    }

    #[test]
    fn neither_the_log_nor_a_panic_message_contains_a_secret() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::tests::a_command_that_panics", "--ignored"])
            .output()
            .unwrap();
        let printed =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            printed.matches("failed over [secret FATAL]").count(),
            1,
            "{printed}"
        );
        assert_eq!(
            printed.matches("fail over [secret FATAL]").count(),
            1,
            "{printed}"
        );
        assert!(!printed.contains("c4nary"), "{printed}");
    }
}
