//! Failures of a terraform command.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::super::diagnostic;
use super::super::message::Diagnostic;
use cloud::aws::failure::Failure;

/// A command of terraform that failed.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// The file system failed, or the process could not be started.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The verb, for example `open`.
        doing: &'static str,
        /// The file, folder or binary.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Terraform ended with an exit code that is not 0.
    #[error("terraform {command} failed: {}; everything it said is in {}", what(first.as_deref(), last_words), log.display())]
    Failed {
        /// The subcommand, for example `apply`.
        command: &'static str,
        /// Its exit code; `None` if a signal ended it.
        code: Option<i32>,
        /// Its first error; `None` if it gave none as a message.
        first: Option<Box<Diagnostic>>,
        /// The kind of the failure, by the text of that error.
        failure: Failure,
        /// True if an error leaves it open which resources were made: another attempt may do
        /// better.
        unclear: bool,
        /// The end of its output, for an error without a message.
        last_words: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// It was asked to stop, and did.
    #[error("terraform {command} was interrupted; everything it said is in {}", log.display())]
    Cancelled {
        /// The subcommand, for example `apply`.
        command: &'static str,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// An apply ended well, but printed no outputs that can be read.
    #[error("terraform apply succeeded without its outputs; everything it said is in {}", log.display())]
    NoOutputs {
        /// The file with all of its output.
        log: PathBuf,
    },
}

impl TerraformError {
    /// Decides whether another attempt may do better.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Io { source, .. } => Failure::of_io(source.kind()),
            Self::Failed { failure, .. } => *failure,
            Self::Cancelled { .. } | Self::NoOutputs { .. } => Failure::Unknown,
        }
    }

    /// True if terraform said what was wrong and ended in order. It was neither killed nor told to
    /// stop. No provider died and no answer was lost, so no resource was made unseen.
    pub fn gave_up(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                code: Some(1),
                first: Some(_),
                unclear: false,
                ..
            }
        )
    }
}

/// True for a provider that died, a network that broke off, or an AWS that failed or was
/// overloaded.
pub(super) fn leaves_open(error: &Diagnostic) -> bool {
    matches!(
        diagnostic::failure(&error.to_string()),
        Failure::Provider | Failure::Network | Failure::Throttled | Failure::ServerError
    )
}

pub(super) fn what(first: Option<&Diagnostic>, last_words: &str) -> String {
    first.map_or_else(|| last_words.to_owned(), Diagnostic::to_string)
}

/// Returns the error of `init`, which prints plain text, without the frame drawn around it; else
/// the last lines. A process that a signal ended has no last words: its last lines tell its
/// progress.
pub(super) fn last_words(log: &Path, status: ExitStatus) -> String {
    const MOST: usize = 4;
    if let Some(signal) = status.signal() {
        let why = match signal {
            9 => ", which the system sends when memory runs out",
            25 => ", which the system sends when a file grows beyond its limit",
            _ => "",
        };
        return format!("it did not end by itself: {status}{why}");
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<String> = text
        .lines()
        .map(spoken)
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines
        .iter()
        .position(|line| line.starts_with("Error:"))
        .unwrap_or(lines.len().saturating_sub(MOST));
    let said = lines
        .iter()
        .skip(from)
        .take(MOST)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    if said.is_empty() {
        format!("it ended with {status} and said nothing")
    } else {
        said
    }
}

/// Returns the words for people of a line: the message of a line of JSON, or the line without its frame.
fn spoken(line: &str) -> String {
    let plain = line.trim_matches(['│', '╷', '╵', ' ']);
    let Ok(json) = serde_json::from_str::<serde_json::Value>(plain) else {
        return plain.to_owned();
    };
    let message = json.get("@message").and_then(serde_json::Value::as_str);
    match message {
        Some(message) => message.trim().to_owned(),
        None if json.is_object() => String::new(),
        None => plain.to_owned(),
    }
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TerraformError {
    let path = path.to_owned();
    move |source| TerraformError::Io {
        doing,
        path,
        source,
    }
}

pub(super) type TerraformResult<T> = std::result::Result<T, TerraformError>;
