//! Runs the program against the server of a folder.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::played::Played;

/// A run of a second or two takes about seven; machines that test are slow.
const LONGEST: Duration = Duration::from_mins(1);

/// More than the buffers of a connection on this machine hold.
const BIG: usize = 8_000_000;

/// The folder of all cases.
pub(crate) fn wild() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wild")
}

/// Copies the files of a case, so that the run leaves nothing beside them.
fn copied(case: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(wild().join(case)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    if ["early-refusal", "http2-rare"].contains(&case) {
        std::fs::write(folder.path().join("big.bin"), vec![0; BIG]).unwrap();
    }
    folder
}

/// A server of Python, which chooses its port and prints it first.
struct OddServer {
    child: Child,
    port: u16,
    output: BufReader<tokio::process::ChildStdout>,
}

impl OddServer {
    async fn start(folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .arg("server.py")
            .current_dir(folder)
            .env("PYTHONPATH", wild())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        let read = output.read_line(&mut port);
        timeout(LONGEST, read).await.unwrap().unwrap();
        Self {
            child,
            port: port.trim().parse().unwrap(),
            output,
        }
    }

    /// Ends the server, and returns a line for each request that reached it. These are few enough
    /// for the buffer of a pipe.
    async fn end(mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        let mut lines = self.output.lines();
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            all.push(line);
        }
        all
    }
}

/// The program with a folder of its own for runs, without AWS.
fn spikeproof(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
    command
        .current_dir(folder)
        .env("SPIKEPROOF_RUNS_DIR", folder.join("runs"))
        .env_remove("AWS_REGION")
        .env_remove("CI")
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

/// Runs a scenario of a case against its server.
pub(crate) async fn play(case: &str, file: &str, scheme: &str) -> Played {
    let folder = copied(case);
    let server = OddServer::start(folder.path()).await;
    let url = format!("{scheme}://127.0.0.1:{}", server.port);
    let mut command = spikeproof(folder.path());
    command.args([
        "run", "--fleet", "local", "--tasks", "1", "--url", &url, file,
    ]);
    let output = timeout(LONGEST, command.output()).await.unwrap().unwrap();
    let lines = server.end().await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let runs = std::fs::read_dir(folder.path().join("runs"));
    let run = runs.unwrap_or_else(|error| panic!("{case}: {error}: {said}"));
    let path = run.map(|entry| entry.unwrap().path()).next().unwrap();
    let text = std::fs::read_to_string(path.join("report.json")).unwrap();
    Played {
        report: serde_json::from_str(&text).unwrap(),
        lines,
        code: code_of(output.status),
        said,
    }
}

fn code_of(status: ExitStatus) -> Option<u8> {
    status.code().and_then(|code| code.try_into().ok())
}

/// Checks a scenario of a case. Returns the exit code, and all that was said.
pub(crate) async fn check(case: &str, file: &str) -> (Option<u8>, String) {
    let folder = copied(case);
    let mut command = spikeproof(folder.path());
    command.args([
        "check",
        "--fleet",
        "local",
        // A machine with one core has one worker for each task.
        "--tasks",
        "2",
        "--url",
        "http://127.0.0.1:9",
        file,
    ]);
    let output = timeout(LONGEST, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (code_of(output.status), said)
}
