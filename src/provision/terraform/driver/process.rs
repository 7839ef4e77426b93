//! One process of terraform: started, listened to, waited for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::super::message::{Diagnostic, Lines, Message, parse};
use super::super::state;
use super::command::{Subcommand, arguments};
use super::error::{TerraformResult, failed};
use super::stop::StopSequence;
use super::{Finished, Outputs, Terraform};
use crate::journal::locks::Worker;

/// Interval at which the log is read and the state copied: often enough for a live view, rare
/// enough to cost nothing.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// The most diagnostics that are kept; beyond these a person reads the log.
const MOST_DIAGNOSTICS: usize = 200;

impl Terraform {
    /// Runs one subcommand to its end, or stops it once cancelled.
    pub(super) async fn run(
        &self,
        command: Subcommand,
        cancel: &CancellationToken,
    ) -> TerraformResult<(Finished, ExitStatus)> {
        let (log, out) = fresh_log(&self.folder)?;
        let err = out.try_clone().map_err(failed("open", &log))?;
        let mut tail = Tail::new(File::open(&log).map_err(failed("open", &log))?);
        let inherited = self
            .lock
            .inheritable()
            .map_err(failed("lock", &self.folder))?;
        let mut child = Command::new(&self.binary.path)
            .args(arguments(command))
            .current_dir(self.module())
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            // A file, never a pipe: terraform must be able to finish and save after we died.
            .stdout(out)
            .stderr(err)
            // Neither a Ctrl-C nor a closed terminal reaches it.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(failed("run", &self.binary.path))?;
        drop(inherited);
        if let Some(worker) = child.id().and_then(Worker::of) {
            self.lock.tell(&worker);
        }
        let mut stop = StopSequence::new(self.after_first_sigint, self.after_second_sigint);
        let mut seen = StreamSummary::default();
        let status = loop {
            match timeout(POLL, child.wait()).await {
                Ok(status) => break status.map_err(failed("wait for", &self.binary.path))?,
                Err(_elapsed) => self.look(&mut tail, &mut seen),
            }
            if cancel.is_cancelled() {
                stop.press(&child, Instant::now());
            }
        };
        self.look(&mut tail, &mut seen);
        tail.rest()
            .into_iter()
            .for_each(|line| self.hear(&line, &mut seen));
        let finished = Finished {
            ok: status.success(),
            cancelled: stop.sent > 0,
            diagnostics: seen.diagnostics,
            resources: seen.resources,
            outputs: seen.outputs,
            log,
        };
        Ok((finished, status))
    }

    /// Hears what is new and copies the state. A copy that fails is no reason to disturb an apply.
    fn look(&self, tail: &mut Tail, seen: &mut StreamSummary) {
        while let Some(lines) = tail.next() {
            for line in &lines {
                self.hear(line, seen);
            }
        }
        if let Err(error) = state::keep(&self.folder) {
            tracing::warn!(%error, "could not copy the terraform state");
        }
    }

    fn hear(&self, line: &str, seen: &mut StreamSummary) {
        let message = parse(line);
        match &message {
            Message::ApplyComplete(_) => seen.resources += 1,
            Message::Diagnostic(diagnostic) if seen.diagnostics.len() < MOST_DIAGNOSTICS => {
                seen.diagnostics.push(diagnostic.clone());
            }
            Message::Outputs(values) => {
                let values = values.clone().into_iter().collect();
                // A plan announces outputs without values: only the last, complete ones count.
                seen.outputs = serde_json::from_value(serde_json::Value::Object(values))
                    .ok()
                    .or(seen.outputs.take());
            }
            _ => {}
        }
        (self.listen)(message);
    }
}

#[derive(Default)]
struct StreamSummary {
    diagnostics: Vec<Diagnostic>,
    resources: usize,
    outputs: Option<Outputs>,
}

/// Creates `terraform-<n>.jsonl`, with the first number that is free.
fn fresh_log(folder: &Path) -> TerraformResult<(PathBuf, File)> {
    let mut number = 1_u32;
    loop {
        let path = folder.join(format!("terraform-{number}.jsonl"));
        match OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed("create", &path)(error)),
        }
    }
}

/// Follows a growing file in bounded memory.
struct Tail {
    file: File,
    lines: Lines,
}

impl Tail {
    fn new(file: File) -> Self {
        Self {
            file,
            lines: Lines::default(),
        }
    }

    /// Returns the lines of the next piece; `None` at the present end.
    fn next(&mut self) -> Option<Vec<String>> {
        let mut piece = vec![0; 64 * 1024];
        let length = self
            .file
            .read(&mut piece)
            .ok()
            .filter(|length| *length > 0)?;
        piece.get(..length).map(|piece| self.lines.push(piece))
    }

    fn rest(&mut self) -> Option<String> {
        self.lines.take()
    }
}
