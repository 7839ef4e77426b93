//! Files and texts of somebody who means harm: scenarios, journals, locks and reports.
//!
//! The program runs as a process here, because that is what a terminal and a CI system see.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests are tests, which clippy.toml cannot see"
)]

mod faults;
mod files;
mod texts;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A refusal comes at once; a hang would last for ever. Machines that test are slow.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What a command said, and its exit code.
struct Said {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Said {
    fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// The program with a folder of its own for runs, and without AWS.
fn spikeproof(folder: &Path) -> Command {
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
fn said_within(mut command: Command, input: &str, limit: Duration) -> Said {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    let begun = Instant::now();
    while !waiting.is_finished() {
        if begun.elapsed() > limit {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("no end within {limit:?}: {command:?}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let output = waiting.join().unwrap();
    Said {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// Runs a command of the program that must end at once.
fn said(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = spikeproof(folder);
    command.args(arguments);
    said_within(command, "", AT_ONCE)
}

/// A case that is kept in the tree.
fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wild")
        .join(name)
}
