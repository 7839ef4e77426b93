//! What happens during a run, as one closed list: the live view, the log and the tests are its consumers.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::units::{RunId, Usd};

/// The life cycle, in order. The same eight words name folders, files, headings and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Plan,
    Provision,
    Start,
    Load,
    Recover,
    Collect,
    Judge,
    Destroy,
}

impl Phase {
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Provision => "provision",
            Self::Start => "start",
            Self::Load => "load",
            Self::Recover => "recover",
            Self::Collect => "collect",
            Self::Judge => "judge",
            Self::Destroy => "destroy",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Said before anything is created: the id, and the command that removes whatever may be left.
    RunNamed {
        run: RunId,
        folder: PathBuf,
        in_cloud: bool,
    },
    PhaseBegan {
        phase: Phase,
    },
    PhaseEnded {
        phase: Phase,
        took: Duration,
    },
    Planned {
        tasks: u32,
        peak: String,
        duration: Duration,
        estimate: Option<Usd>,
    },
    /// A thing terraform or we made, changed or removed.
    Resource {
        action: &'static str,
        address: String,
        took: Option<Duration>,
    },
    ImagePushed {
        bytes: u64,
        digest: String,
    },
    Tasks {
        wanted: u32,
        ready: u32,
        running: u32,
        lost: u32,
    },
    LoadPhaseBegan {
        name: String,
        level: String,
    },
    Progress(Progress),
    /// The group, the first time it is seen and whenever it changed.
    Group {
        desired: u32,
        in_service: u32,
        min: u32,
        max: u32,
    },
    Interrupted {
        urgency: &'static str,
    },
    /// Something a person should know that does not end the run.
    Warning {
        message: String,
    },
    Note {
        message: String,
    },
    Gone {
        name: String,
    },
    Left {
        name: String,
        why: String,
    },
}

/// The load as it is now: over the last whole second that every task has reported.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Progress {
    pub elapsed: Duration,
    pub of: Duration,
    pub load_phase: String,
    pub requests_per_second: f64,
    pub errors_per_second: f64,
    pub p50: Option<Duration>,
    pub p95: Option<Duration>,
    pub p99: Option<Duration>,
    pub tasks: u32,
    pub desired: Option<u32>,
    pub in_service: Option<u32>,
}

/// Where events go. Cloneable and never blocking: telling a story must not slow the run.
#[derive(Debug, Clone)]
pub struct Events(tokio::sync::mpsc::UnboundedSender<Event>);

impl Events {
    pub fn channel() -> (Self, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn say(&self, event: Event) {
        // The listener may have gone (closed terminal); the run goes on.
        let _ = self.0.send(event);
    }

    pub fn note(&self, message: impl Into<String>) {
        self.say(Event::Note { message: message.into() });
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.say(Event::Warning { message: message.into() });
    }
}
