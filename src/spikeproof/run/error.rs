//! An error for the person at the terminal: in which phase, what happened, what to try.

use std::error::Error;
use std::fmt::Display;

use crate::events::Phase;
use crate::outcome::Exit;

/// Displays as `PHASE: WHAT`, with one line for each hint.
#[derive(Debug, thiserror::Error)]
pub struct RunError {
    pub phase: Phase,
    pub kind: RunErrorKind,
    /// Includes the text of the source.
    pub what: String,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
    pub hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunErrorKind {
    ScenarioInvalid,
    CouldNotRun,
    Interrupted,
}

impl RunErrorKind {
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

    pub fn could_not(phase: Phase, what: impl Display) -> Self {
        Self::new(phase, RunErrorKind::CouldNotRun, what.to_string())
    }

    /// The error of a capability, which says enough by itself.
    pub fn caused_by(phase: Phase, source: impl Error + Send + Sync + 'static) -> Self {
        Self::could_not(phase, &source).with_source(source)
    }

    pub fn invalid_scenario(what: String) -> Self {
        Self::new(Phase::Plan, RunErrorKind::ScenarioInvalid, what)
    }

    pub fn interrupted(phase: Phase) -> Self {
        Self::new(phase, RunErrorKind::Interrupted, "interrupted".to_owned())
    }

    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.phase.word(), self.what)?;
        for hint in &self.hints {
            write!(f, "\n  try: {hint}")?;
        }
        Ok(())
    }
}
