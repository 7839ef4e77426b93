//! `spikeproof lab`: an AWS on this machine, for a command or until Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;

use rustix::process::Pid;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Answer;
use crate::lab::{self, Files, Lab, LabError, Options, Usage};
use crate::outcome::Exit;

/// The lab could not be started, or the command could not.
const COULD_NOT_RUN: u8 = 4;
/// Ctrl-C or SIGTERM while the lab was starting.
const INTERRUPTED: u8 = 130;

/// Serve an AWS on this machine: an emulated account, a target with an Auto Scaling group, and real
/// tasks.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The lab file: target, policy, delays and faults.
    #[arg(long, value_name = "FILE", visible_alias = "group")]
    pub file: Option<PathBuf>,
    /// Write what really happened to the target's group here when the lab stops: each instant, as
    /// JSON.
    #[arg(long, value_name = "OUT.json")]
    pub truth: Option<PathBuf>,
    /// Hold the command and its terraform to this IAM policy document: what it does not allow is
    /// denied.
    #[arg(long, value_name = "POLICY.json")]
    pub permissions: Option<PathBuf>,
    /// Hold tasks to this one.
    #[arg(long, value_name = "POLICY.json")]
    pub task_permissions: Option<PathBuf>,
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

pub async fn run(args: Args) -> Answer {
    match lab(args).await {
        Ok(code) => Answer {
            code,
            ..Answer::default()
        },
        Err(problem) => Answer::error(problem, Exit::CouldNotRun),
    }
}

async fn lab(args: Args) -> Result<u8, String> {
    let Args {
        file,
        truth,
        permissions,
        task_permissions,
        port,
        moto,
        command,
    } = args;
    let held = Files {
        operator: permissions,
        tasks: task_permissions,
    };
    let mut signals = Signals::listen().map_err(|error| error.to_string())?;
    let lab = tokio::select! {
        lab = lab::start_held(Options { file, port, moto, ..Options::default() }, held) => lab.map_err(|error| error.to_string())?,
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
        std::fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    });
    lab.stop().await;
    written.and(outcome)
}

/// Heard from before anything is started, so that no signal ends us with a child behind.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

enum Heard {
    Interrupt,
    Terminate,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupt.recv() => Heard::Interrupt,
            _ = self.terminate.recv() => Heard::Terminate,
        }
    }
}

/// Prints the environment and waits for Ctrl-C or SIGTERM.
async fn serve(lab: &Lab, signals: &mut Signals) -> u8 {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "unset AWS_PROFILE AWS_SESSION_TOKEN");
    for (name, value) in lab.environment() {
        let _ = writeln!(out, "export {name}={value}");
    }
    let _ = writeln!(out, "# the lab serves until Ctrl-C");
    let _ = out.flush();
    signals.next().await;
    0
}

/// Ctrl-C reaches the command too, and the command handles it; SIGTERM reaches only us and is
/// passed on.
async fn run_command(
    lab: &Lab,
    program: &str,
    arguments: &[String],
    signals: &mut Signals,
) -> Result<u8, String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = command(lab, program, arguments).spawn().map_err(failed)?;
    let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(failed)?,
            heard = signals.next() => if let (Heard::Terminate, Some(pid)) = (heard, pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    };
    print_inventory(&lab.inventory().await);
    Ok(exit_code(status))
}

fn command(lab: &Lab, program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    // A profile, a session token or a service's own endpoint would lead some calls to the real AWS.
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
    let _ = match inventory {
        Ok(things) if things.is_empty() => writeln!(out, "the emulated account is empty"),
        Ok(things) => writeln!(
            out,
            "left in the emulated account:\n  {}",
            things.join("\n  ")
        ),
        Err(error) => writeln!(out, "{error}"),
    };
}

/// Of those that were held to a document.
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
        let _ = writeln!(
            out,
            "permissions of the {principal}: {} actions used, {} denied",
            used.len(),
            denied.len()
        );
        for (what, actions) in [("used", used), ("denied", denied), ("never used", unused)] {
            let _ = actions
                .iter()
                .try_for_each(|action| writeln!(out, "  {what}: {action}"));
        }
    }
}

/// As a shell says it.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(COULD_NOT_RUN)
}
