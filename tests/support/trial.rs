//! A lab, a folder, and the whole program run against the two: the head of tests that tell the
//! story of a run.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use spikeproof::lab::{Lab, Options, PolicyFiles};
use tempfile::TempDir;
use tokio::process::Command;

/// One story in one lab.
pub(crate) struct Trial {
    pub(crate) lab: Lab,
    pub(crate) folder: TempDir,
}

impl Trial {
    /// Starts a lab with a file of this content; the usual one if it is empty. It holds its callers
    /// to the documents.
    pub(crate) async fn new(lab_file: &str, permissions: PolicyFiles) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.yaml");
        std::fs::write(&file, lab_file).unwrap();
        let options = Options {
            file: (!lab_file.is_empty()).then_some(file),
            ..Options::default()
        };
        let lab = spikeproof::lab::start_held(options, permissions)
            .await
            .unwrap();
        Self { lab, folder }
    }

    /// Returns the folder of all runs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
        command
            .args(args)
            .envs(self.lab.environment())
            .env("SPIKEPROOF_RUNS_DIR", self.runs())
            // The AWS settings of the developer's shell must not matter.
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().await.unwrap()
    }
}

/// Returns all that the program has printed.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Returns the path of a file of the project.
pub(crate) fn path(relative: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(relative)
        .display()
        .to_string()
}
