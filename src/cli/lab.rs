//! `spikeproof lab`: an AWS on this machine, for a command or until Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::lab::{self, Lab, LabError, Options};

/// The lab could not be started, or the command could not.
const COULD_NOT_RUN: u8 = 4;

/// Serve an AWS on this machine: an emulated account, a target with an Auto Scaling group, and real tasks.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The lab file: target, policy, delays and faults.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The port of the AWS endpoint; any free one if not given.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The `moto_server` program.
    #[arg(long, value_name = "PATH")]
    pub moto: Option<PathBuf>,
    /// Run this command with the lab's environment, show what it left in the account, and stop.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub async fn run(args: Args) -> ExitCode {
    let Args { file, port, moto, command } = args;
    let lab = match lab::start(Options { file, port, moto }).await {
        Ok(lab) => lab,
        Err(error) => return fail(&error.to_string()),
    };
    let outcome = match command.split_first() {
        Some((program, arguments)) => run_command(&lab, program, arguments).await,
        None => serve(&lab).await,
    };
    lab.stop().await;
    outcome.unwrap_or_else(|problem| fail(&problem))
}

/// Prints the environment and waits for Ctrl-C or SIGTERM.
async fn serve(lab: &Lab) -> Result<ExitCode, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "unset AWS_PROFILE AWS_SESSION_TOKEN");
    for (name, value) in lab.environment() {
        let _ = writeln!(out, "export {name}={value}");
    }
    let _ = writeln!(out, "# the lab serves until Ctrl-C");
    let _ = out.flush();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C reaches the command too, and the command handles it; SIGTERM reaches only us and is passed on.
async fn run_command(lab: &Lab, program: &str, arguments: &[String]) -> Result<ExitCode, String> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut process = tokio::process::Command::new(program);
    // A profile, a session token or a service's own endpoint would lead some calls to the real AWS.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        process.env_remove(name);
    }
    let mut child = process
        .args(arguments)
        .envs(lab.environment())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|error| format!("{program}: {error}"))?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    };
    print_inventory(&lab.inventory().await);
    Ok(ExitCode::from(exit_code(status)))
}

fn print_inventory(inventory: &Result<Vec<String>, LabError>) {
    let mut out = std::io::stdout();
    let _ = match inventory {
        Ok(things) if things.is_empty() => writeln!(out, "the emulated account is empty"),
        Ok(things) => writeln!(out, "left in the emulated account:\n  {}", things.join("\n  ")),
        Err(error) => writeln!(out, "{error}"),
    };
}

/// As a shell says it.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(COULD_NOT_RUN)
}

fn fail(problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {problem}");
    ExitCode::from(COULD_NOT_RUN)
}
