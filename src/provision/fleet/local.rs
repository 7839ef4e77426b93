//! Generators as child processes: a local load tester with neither AWS nor terraform.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Fleet, FleetError, Orders, TaskState, TaskStatus};
use model::redact;

/// A generator flushes and ends within a second or two of SIGTERM; then it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Variables that a generator inherits from our environment. It is told everything else, as in AWS:
/// our environment holds the scenario's secrets and the caller's credentials.
const INHERITED: [&str; 8] = [
    "HOME",
    "PATH",
    "RUST_BACKTRACE",
    "SPIKEPROOF_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
];

/// Child processes of this one. If it is killed they end by their lease, like tasks in AWS.
#[derive(Debug)]
pub struct LocalFleet {
    binary: PathBuf,
    /// `file:///...`
    channel: String,
    /// The folder for each task's log.
    folder: PathBuf,
    orders: Orders,
    children: Vec<(u32, Child)>,
}

impl LocalFleet {
    /// Returns a fleet without processes yet; `folder` takes their logs.
    pub fn new(binary: PathBuf, channel: String, folder: PathBuf, orders: Orders) -> Self {
        Self {
            binary,
            channel,
            folder,
            orders,
            children: Vec::new(),
        }
    }
}

#[async_trait]
impl Fleet for LocalFleet {
    async fn launch(&mut self, slot: u32, attempt: u32) -> Result<String, FleetError> {
        let log = std::fs::File::create(self.folder.join(format!("task-{slot}.log")))?;
        let child = Command::new(&self.binary)
            .arg("generate")
            .env_clear()
            .envs(inherited())
            .env("SPIKEPROOF_RUN", &self.orders.run)
            .env("SPIKEPROOF_CHANNEL", &self.channel)
            .env("SPIKEPROOF_SLOT", slot.to_string())
            .env("SPIKEPROOF_ATTEMPT", attempt.to_string())
            .env("SPIKEPROOF_EPOCH", self.orders.epoch.to_string())
            .env(
                "SPIKEPROOF_MAX_LIFETIME",
                self.orders.max_lifetime.as_secs().to_string(),
            )
            // Its own group: the terminal's Ctrl-C is for us, who then tell the tasks.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()?;
        self.children.retain(|(taken, _)| *taken != slot);
        let identity = identity(&child);
        self.children.push((slot, child));
        Ok(identity)
    }

    async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError> {
        let mut states = Vec::new();
        for (slot, child) in &mut self.children {
            let status = match child.try_wait()? {
                None => TaskStatus::Running,
                Some(exit) => TaskStatus::Stopped {
                    why: exit.to_string(),
                    succeeded: exit.success(),
                },
            };
            states.push(TaskState {
                slot: *slot,
                identity: identity(child),
                status,
            });
        }
        Ok(states)
    }

    async fn stop(&mut self, _why: &str) -> Result<(), FleetError> {
        for (_, child) in &mut self.children {
            signal(child, Signal::TERM);
        }
        for (_, child) in &mut self.children {
            if timeout(PATIENCE, child.wait()).await.is_err() {
                signal(child, Signal::KILL);
                child.wait().await?;
            }
        }
        Ok(())
    }

    /// Returns no time: this machine is paid for already.
    fn billed(&self) -> Vec<Duration> {
        Vec::new()
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let held = INHERITED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    held.filter(|(_, value)| !redact::holds_secret(&value.to_string_lossy()))
}

fn identity(child: &Child) -> String {
    child
        .id()
        .map_or("gone".to_owned(), |pid| format!("pid {pid}"))
}

fn signal(child: &Child, signal: Signal) {
    // A child that has been waited for has no id any more: nothing can be hit by mistake.
    if let Some(pid) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, signal);
    }
}
