//! The program as a process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use spikeproof::outcome::Exit;

/// A refusal comes at once; a hang would last for ever. Machines that test are slow.
pub(super) const AT_ONCE: Duration = Duration::from_secs(20);

const EXITS: [Exit; 8] = [
    Exit::Passed,
    Exit::Failed,
    Exit::Usage,
    Exit::ScenarioInvalid,
    Exit::CouldNotRun,
    Exit::Inconclusive,
    Exit::ResourcesLeft,
    Exit::Interrupted,
];

/// What a command said, and how it ended.
pub(super) struct Said {
    pub stdout: String,
    pub stderr: String,
    pub exit: Exit,
}

impl Said {
    pub(super) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// The program with a folder of its own for runs, and without AWS.
pub(super) fn spikeproof(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
    command
        .env("SPIKEPROOF_RUNS_DIR", folder.join("runs"))
        .env_remove("AWS_REGION")
        .env_remove("CI")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command that must end within some seconds; `input` is its standard input.
pub(super) fn said_within(mut command: Command, input: &str, limit: Duration) -> Said {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    ended_within(child, limit)
}

/// The process as the system knows it.
pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Waits for the end of a command.
pub(super) fn ended_within(child: Child, limit: Duration) -> Said {
    let pid = pid_of(&child);
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    let begun = Instant::now();
    while !waiting.is_finished() {
        if begun.elapsed() > limit {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("no end within {limit:?}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let output = waiting.join().unwrap();
    let (stdout, stderr) = (output.stdout, output.stderr);
    let [stdout, stderr] = [stdout, stderr].map(|said| String::from_utf8(said).unwrap());
    let exit = EXITS
        .into_iter()
        .find(|exit| output.status.code() == Some(exit.code().into()));
    let exit = exit.unwrap_or_else(|| panic!("{}: {stdout}\n{stderr}", output.status));
    Said {
        stdout,
        stderr,
        exit,
    }
}

/// Runs a command of the program that must end at once.
pub(super) fn said(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = spikeproof(folder);
    command.args(arguments);
    said_within(command, "", AT_ONCE)
}

/// A case that is kept in the tree.
pub(super) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wild")
        .join(name)
}
