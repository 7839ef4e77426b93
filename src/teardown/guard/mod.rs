//! The guard: a process of its own that destroys a run whose orchestrator was killed.
//!
//! It is `spikeproof reap RUN --when-orphaned`, blocked on the run's owner lock. The kernel
//! releases that lock when the orchestrator ends, however it ends; a journal that says `finished`
//! then ends the guard. The guard does not outlive the machine, the container or a CI job's end:
//! after those the tasks' lease and `spikeproof reap` elsewhere help.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use model::redact;
use model::units::RunId;
use provision::journal::{self, locks};

mod orphaned;

pub use orphaned::when_orphaned;

/// The name of the guard's output, in the run's folder.
pub const LOG: &str = "guard.log";

/// A guard that is not needed ends in milliseconds; a loaded machine takes longer.
const EXIT: Duration = Duration::from_secs(5);

/// The options that a guard is started with.
#[derive(Debug, Clone)]
pub struct GuardOptions {
    /// The run that it guards.
    pub run: RunId,
    /// The run's own folder, in the folder of all runs.
    pub folder: PathBuf,
    /// The terraform or tofu binary of the run.
    pub terraform: PathBuf,
    /// The program that becomes the guard: spikeproof itself.
    pub program: PathBuf,
}

/// A guard that was started.
#[derive(Debug)]
pub struct Guard {
    options: GuardOptions,
    child: Child,
    /// A guard that was killed is replaced once: a second kill is meant.
    replaced: bool,
    /// The loss of the last guard has been reported.
    reported: bool,
}

impl Guard {
    /// Starts the guard's process in a group of its own; fails where it cannot be started.
    pub fn start(options: GuardOptions) -> io::Result<Self> {
        let child = spawn(&options)?;
        Ok(Self {
            options,
            child,
            replaced: false,
            reported: false,
        })
    }

    /// Returns the guard's process id, if it still runs.
    pub fn pid(&mut self) -> Option<u32> {
        if self.is_gone() {
            None
        } else {
            self.child.id()
        }
    }

    fn is_gone(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Returns the file with the guard's output, in the run's folder.
    pub fn log(&self) -> PathBuf {
        self.options.folder.join(LOG)
    }

    /// Replaces a guard that has ended, once. Returns the message for the user: that it was
    /// replaced, or once that there is none any more.
    pub fn check(&mut self) -> Option<String> {
        if self.reported || !self.is_gone() {
            return None;
        }
        if !self.replaced {
            self.replaced = true;
            if let Ok(child) = spawn(&self.options) {
                self.child = child;
                return Some("the guard had ended: another was started".to_owned());
            }
        }
        self.reported = true;
        let runs = self.options.folder.parent().unwrap_or(Path::new("."));
        let reap = journal::reap_command(runs, &self.options.run);
        Some(format!(
            "the guard has ended and is not replaced again: if this process is killed, run {reap}"
        ))
    }

    /// Waits until the guard of a finished run has ended.
    pub async fn dismiss(mut self) {
        drop(timeout(EXIT, self.child.wait()).await);
    }
}

/// Variables that say who the guard is in AWS and how it gets there: they stay even where a value
/// equals a secret of the scenario.
fn is_needed(name: &str) -> bool {
    let kept = [
        "PATH",
        "HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ];
    let prefixes = ["AWS_", "ACTIONS_", "SPIKEPROOF_", "SSL_", "XDG_"];
    kept.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn spawn(options: &GuardOptions) -> io::Result<Child> {
    // A file: an inherited pipe would keep a CI step open for as long as the guard lives.
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(options.folder.join(LOG))?;
    let runs = options.folder.parent().unwrap_or(Path::new("."));
    let secrets = std::env::vars_os().filter(|(name, value)| {
        !is_needed(&name.to_string_lossy()) && redact::holds_secret(&value.to_string_lossy())
    });
    let mut command = Command::new(&options.program);
    // The guard lives longer than the run, and needs none of the scenario's secrets.
    secrets.for_each(|(name, _)| {
        command.env_remove(name);
    });
    // Else it could have the work lock that a terraform is given just now.
    let _starting = locks::starting();
    command
        .args([
            "reap",
            options.run.as_str(),
            "--when-orphaned",
            "--runs-dir",
        ])
        .arg(std::path::absolute(runs)?)
        .arg("--terraform")
        .arg(&options.terraform)
        // The guard must not keep the shell's folder busy.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Neither a Ctrl-C nor a closed terminal reaches it.
        .process_group(0)
        .kill_on_drop(false)
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program that is started is this test's own, which ends at once: it knows no
    /// `--when-orphaned`.
    #[tokio::test]
    async fn a_guard_is_replaced_once_and_its_final_loss_is_reported_once() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunId::parse("sp-0000000001").unwrap();
        let folder = runs.path().join(run.as_str());
        std::fs::create_dir(&folder).unwrap();
        let mut guard = Guard::start(GuardOptions {
            run,
            folder,
            terraform: "terraform".into(),
            program: std::env::current_exe().unwrap(),
        })
        .unwrap();
        guard.child.wait().await.unwrap();
        assert!(guard.check().unwrap().contains("another was started"));
        guard.child.wait().await.unwrap();
        assert_eq!(guard.pid(), None, "no process goes on destroying");
        assert!(
            guard
                .check()
                .unwrap()
                .contains("spikeproof reap sp-0000000001")
        );
        assert_eq!(guard.check(), None);
    }
}
