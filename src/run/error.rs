//! An error for the person at the terminal: in which phase, what happened, what to try.

use crate::events::Phase;
use crate::outcome::Exit;

#[derive(Debug)]
pub struct RunError {
    pub phase: Phase,
    pub kind: Kind,
    pub what: String,
    pub hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ScenarioInvalid,
    CouldNotRun,
    Interrupted,
}

impl Kind {
    pub fn exit(self) -> Exit {
        match self {
            Self::ScenarioInvalid => Exit::ScenarioInvalid,
            Self::CouldNotRun => Exit::CouldNotRun,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

impl RunError {
    pub fn could_not(phase: Phase, what: impl std::fmt::Display) -> Self {
        Self {
            phase,
            kind: Kind::CouldNotRun,
            what: what.to_string(),
            hints: Vec::new(),
        }
    }

    pub fn interrupted(phase: Phase) -> Self {
        Self {
            phase,
            kind: Kind::Interrupted,
            what: "interrupted".to_owned(),
            hints: Vec::new(),
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.phase.word(), self.what)?;
        for hint in &self.hints {
            write!(f, "\n  try: {hint}")?;
        }
        Ok(())
    }
}
