//! The guard: a process of its own that destroys a run whose orchestrator was killed, with nobody's
//! help.
//!
//! It is `spikeproof reap RUN --when-orphaned`, blocked on the run's owner lock. The kernel lets go
//! of that lock when the orchestrator ends, however it ends; a journal that says `finished` then
//! sends the guard home. What it cannot outlive (the machine, the container, a CI job's end) is
//! left to the tasks' lease and to `spikeproof reap` elsewhere.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::journal;
use crate::redact;
use crate::units::RunId;

/// In the run's folder.
pub const LOG: &str = "guard.log";

/// A guard that is not needed is gone in milliseconds; a loaded machine takes longer.
const GOING: Duration = Duration::from_secs(5);

/// What a guard is started with.
#[derive(Debug, Clone)]
pub struct Post {
    pub run: RunId,
    /// The run's own folder, in the folder of all runs.
    pub folder: PathBuf,
    pub terraform: PathBuf,
}

/// A guard on its post.
#[derive(Debug)]
pub struct Guard {
    post: Post,
    child: Child,
    /// One that was killed is replaced once: whoever kills it twice means it.
    replaced: bool,
    /// That nobody is on the post any more has been said.
    told: bool,
}

impl Guard {
    pub fn post(post: Post) -> io::Result<Self> {
        let child = spawn(&post)?;
        Ok(Self {
            post,
            child,
            replaced: false,
            told: false,
        })
    }

    /// Its process, if it still is on its post.
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

    pub fn log(&self) -> PathBuf {
        self.post.folder.join(LOG)
    }

    /// Replaces a guard that has gone, once. Says so; and once, that there is none any more.
    pub fn see(&mut self) -> Option<String> {
        if self.told || !self.is_gone() {
            return None;
        }
        if !self.replaced {
            self.replaced = true;
            if let Ok(child) = spawn(&self.post) {
                self.child = child;
                return Some("the guard had gone: another is on its post".to_owned());
            }
        }
        self.told = true;
        let runs = self.post.folder.parent().unwrap_or(Path::new("."));
        let reap = journal::reap_command(runs, &self.post.run);
        Some(format!(
            "the guard has gone, and there is no other: after a kill only this helps: {reap}"
        ))
    }

    /// Waits until the guard of a finished run has gone home.
    pub async fn dismiss(mut self) {
        let _ = timeout(GOING, self.child.wait()).await;
    }
}

/// Who it is in AWS and how it gets there: a secret that happens to be the name of a profile must
/// not take that away.
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

fn spawn(post: &Post) -> io::Result<Child> {
    // A file: an inherited pipe would keep a CI step open for as long as the guard lives.
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(post.folder.join(LOG))?;
    let runs = post.folder.parent().unwrap_or(Path::new("."));
    let secrets = std::env::vars_os().filter(|(name, value)| {
        !is_needed(&name.to_string_lossy()) && redact::holds_secret(&value.to_string_lossy())
    });
    let mut command = Command::new(std::env::current_exe()?);
    // It lives longer than the run, and needs none of what the scenario keeps secret.
    secrets.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
        .args(["reap", post.run.as_str(), "--when-orphaned", "--runs-dir"])
        .arg(std::path::absolute(runs)?)
        .arg("--terraform")
        .arg(&post.terraform)
        // Whose folder is removed must not keep a shell's folder busy.
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

    /// What is started is this test's own program, which ends at once: it knows no
    /// `--when-orphaned`.
    #[tokio::test]
    async fn a_guard_is_replaced_once_and_a_post_that_is_empty_is_told_once() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunId::parse("sp-0000000001").unwrap();
        let folder = runs.path().join(run.as_str());
        std::fs::create_dir(&folder).unwrap();
        let mut guard = Guard::post(Post {
            run,
            folder,
            terraform: "terraform".into(),
        })
        .unwrap();
        guard.child.wait().await.unwrap();
        assert!(guard.see().unwrap().contains("another is on its post"));
        guard.child.wait().await.unwrap();
        assert_eq!(guard.pid(), None, "nobody goes on destroying");
        assert!(
            guard
                .see()
                .unwrap()
                .contains("spikeproof reap sp-0000000001")
        );
        assert_eq!(guard.see(), None);
    }
}
