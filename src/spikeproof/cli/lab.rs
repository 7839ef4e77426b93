//! `spikeproof lab`: an AWS emulator on this machine, for a command or until Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;

use rustix::process::Pid;
use tokio::process::Command;

use super::CommandOutput;
use super::signals::{Signals, StopSignal};
use crate::lab::{self, Lab, LabError, Options, PolicyFiles, Usage};
use crate::outcome::Exit;
use crate::visible;

/// The lab or the command could not start.
const COULD_NOT_RUN: u8 = 4;
/// Ctrl-C or SIGTERM while the lab was starting.
const INTERRUPTED: u8 = 130;

/// Serves an AWS emulator on this machine: an account, a target with an Auto Scaling group, and
/// real tasks.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LabArgs {
    /// The lab file: target, policy, delays and faults
    #[arg(long, value_name = "FILE", visible_alias = "group")]
    pub file: Option<PathBuf>,
    /// When the lab stops, writes every real moment of the target's group to this file, as JSON
    #[arg(long, value_name = "OUT.json")]
    pub truth: Option<PathBuf>,
    /// Writes every AWS call and its answer to this new file, one JSON object per line, without
    /// signatures and contents of objects
    #[arg(long, value_name = "OUT.jsonl")]
    pub calls: Option<PathBuf>,
    /// Denies the command and its terraform every action that this IAM policy document does not
    /// allow
    #[arg(long, value_name = "POLICY.json")]
    pub permissions: Option<PathBuf>,
    /// Denies tasks every action that this IAM policy document does not allow
    #[arg(long, value_name = "POLICY.json")]
    pub task_permissions: Option<PathBuf>,
    /// The port of the AWS endpoint; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The `moto_server` program
    #[arg(long, value_name = "PATH")]
    pub moto: Option<PathBuf>,
    /// Runs this command in the lab's environment, lists what it left in the account, and stops
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub(super) async fn run(args: LabArgs) -> CommandOutput {
    match lab(args).await {
        Ok(code) => CommandOutput {
            code,
            ..CommandOutput::default()
        },
        Err(problem) => CommandOutput::error(problem, Exit::CouldNotRun),
    }
}

/// Why the lab or its command could not run.
#[derive(Debug, thiserror::Error)]
enum LabRunError {
    #[error("{0}")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("{program}: {source}")]
    Command {
        program: String,
        source: std::io::Error,
    },
    #[error("{}: {source}", path.display())]
    Truth {
        path: PathBuf,
        source: std::io::Error,
    },
}

async fn lab(args: LabArgs) -> Result<u8, LabRunError> {
    let LabArgs {
        file,
        truth,
        calls,
        permissions,
        task_permissions,
        port,
        moto,
        command,
    } = args;
    let held = PolicyFiles {
        operator: permissions,
        tasks: task_permissions,
    };
    let options = Options {
        file,
        port,
        moto,
        calls,
        ..Options::default()
    };
    let mut signals = Signals::listen().map_err(LabRunError::Signals)?;
    let lab = tokio::select! {
        lab = lab::start_held(options, held) => lab?,
        // Dropping the start kills what it started.
        _ = signals.next() => return Ok(INTERRUPTED),
    };
    let outcome = match command.split_first() {
        Some((program, arguments)) => run_command(&lab, program, arguments, &mut signals).await,
        None => Ok(serve(&lab, &mut signals).await),
    };
    print_permissions(&lab.permissions());
    let written = truth.map_or(Ok(()), |path| {
        let text = serde_json::to_string_pretty(&lab.truth()).unwrap_or_default();
        std::fs::write(&path, text + "\n").map_err(|source| LabRunError::Truth { path, source })
    });
    lab.stop().await;
    written.and(outcome)
}

/// Prints the environment and waits for Ctrl-C or SIGTERM.
async fn serve(lab: &Lab, signals: &mut Signals) -> u8 {
    let mut out = std::io::stdout();
    drop(writeln!(out, "unset AWS_PROFILE AWS_SESSION_TOKEN"));
    for (name, value) in lab.environment() {
        drop(writeln!(out, "export {name}={value}"));
    }
    drop(writeln!(out, "# the lab serves until Ctrl-C"));
    drop(out.flush());
    signals.next().await;
    0
}

/// Runs the command until it ends. Ctrl-C reaches the command too, which handles it. SIGTERM reaches
/// only the lab, which passes it on.
async fn run_command(
    lab: &Lab,
    program: &str,
    arguments: &[String],
    signals: &mut Signals,
) -> Result<u8, LabRunError> {
    let failed = |source| LabRunError::Command {
        program: program.to_owned(),
        source,
    };
    let mut child = command(lab, program, arguments).spawn().map_err(failed)?;
    let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(failed)?,
            signal = signals.next() => if let (StopSignal::Terminate, Some(pid)) = (signal, pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    };
    print_inventory(&lab.inventory().await);
    Ok(exit_code(status))
}

fn command(lab: &Lab, program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    // A profile, a session token or a service's own endpoint would send some calls to the real AWS.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_"))
    {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(lab.environment())
        .kill_on_drop(true);
    command
}

fn print_inventory(inventory: &Result<Vec<String>, LabError>) {
    let mut out = std::io::stdout();
    let said = match inventory {
        Ok(things) if things.is_empty() => "the emulated account is empty".to_owned(),
        Ok(things) => {
            let things: Vec<_> = things.iter().map(|thing| visible::line(thing)).collect();
            format!("left in the emulated account:\n  {}", things.join("\n  "))
        }
        Err(error) => visible::indented(&error.to_string()),
    };
    drop(writeln!(out, "{}", visible::text(&said)));
}

/// Prints the actions of each principal that was held to a policy document.
fn print_permissions(all: &[Usage]) {
    let mut out = std::io::stdout();
    for Usage {
        principal,
        used,
        denied,
        unused,
        ..
    } in all.iter().filter(|usage| usage.held)
    {
        drop(writeln!(
            out,
            "permissions of the {principal}: {} actions used, {} denied",
            used.len(),
            denied.len()
        ));
        for (heading, actions) in [("used", used), ("denied", denied), ("never used", unused)] {
            drop(
                actions
                    .iter()
                    .try_for_each(|action| writeln!(out, "  {heading}: {}", visible::line(action))),
            );
        }
    }
}

/// The exit code as a shell reports it: 128 plus the signal for a killed command.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(COULD_NOT_RUN)
}
