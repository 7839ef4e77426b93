//! An error for the person at the terminal: in which phase, what happened, what to try.

use std::error::Error;
use std::fmt::Display;

use crate::events::Phase;
use crate::outcome::Exit;
use crate::visible;

/// Displays as `PHASE: WHAT`, with one line for each hint.
#[derive(Debug, thiserror::Error)]
pub struct RunError {
    /// The phase that failed.
    pub phase: Phase,
    /// Decides the exit code.
    pub kind: RunErrorKind,
    /// Includes the text of the source.
    pub what: String,
    /// The error of the capability that failed; `None` if `what` says it all.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
    /// One line each: a command or a change that may help. Empty if there is none.
    pub hints: Vec<String>,
}

/// The kind of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The scenario has problems. Nothing was created.
    ScenarioInvalid,
    /// Something outside the scenario failed: AWS, credentials, terraform, generators, files.
    CouldNotRun,
    /// A signal ended the phase.
    Interrupted,
}

impl RunErrorKind {
    /// The exit code of this kind.
    pub fn exit(self) -> Exit {
        match self {
            Self::ScenarioInvalid => Exit::ScenarioInvalid,
            Self::CouldNotRun => Exit::CouldNotRun,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

impl RunError {
    fn new(phase: Phase, kind: RunErrorKind, what: String) -> Self {
        Self {
            phase,
            kind,
            what,
            source: None,
            hints: Vec::new(),
        }
    }

    /// An error of [`RunErrorKind::CouldNotRun`] without a source.
    pub fn could_not(phase: Phase, what: impl Display) -> Self {
        Self::new(phase, RunErrorKind::CouldNotRun, what.to_string())
    }

    /// The error of a capability, which says enough by itself.
    pub fn caused_by(phase: Phase, source: impl Error + Send + Sync + 'static) -> Self {
        Self::could_not(phase, &source).with_source(source)
    }

    /// An error of the plan; `what` is every problem, rendered.
    pub fn invalid_scenario(what: String) -> Self {
        Self::new(Phase::Plan, RunErrorKind::ScenarioInvalid, what)
    }

    /// The error of a phase that a signal ended.
    pub fn interrupted(phase: Phase) -> Self {
        Self::new(phase, RunErrorKind::Interrupted, "interrupted".to_owned())
    }

    /// Keeps the cause, for [`Error::source`].
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Adds one line that may help.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The problems of a scenario are rendered. Everything else is one line, whatever AWS,
        // terraform or a task said.
        let what = match self.kind {
            RunErrorKind::ScenarioInvalid => self.what.as_str().into(),
            RunErrorKind::CouldNotRun | RunErrorKind::Interrupted => visible::line(&self.what),
        };
        write!(f, "{}: {what}", self.phase.word())?;
        for hint in &self.hints {
            write!(f, "\n  try: {}", visible::line(hint))?;
        }
        Ok(())
    }
}
