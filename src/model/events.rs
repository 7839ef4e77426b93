//! The events of a run, as one closed list. The live view, the log and the tests consume them.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::redact;
use crate::units::{RunId, Usd};

/// The life cycle, in order. The same eight words name folders, files, headings and tests.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema,
)]
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
    /// Sent before anything is created: the run id, and the command that removes leftovers.
    RunNamed {
        run: RunId,
        folder: PathBuf,
        /// `None` where the run creates nothing that could be left.
        reap: Option<String>,
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
    /// A resource that terraform or spikeproof created, changed or removed.
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
    /// The group, at its first observation and after each change.
    Group {
        desired: u32,
        in_service: u32,
        min: u32,
        max: u32,
    },
    Interrupted {
        urgency: &'static str,
    },
    /// Information for the user that does not end the run.
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

impl Event {
    /// Foreign text in an event may contain a secret. Names and levels come from places that refuse
    /// secrets.
    fn redacted(self) -> Self {
        match self {
            Self::Resource {
                action,
                address,
                took,
            } => Self::Resource {
                action,
                address: redact::text(&address),
                took,
            },
            Self::Warning { message } => Self::Warning {
                message: redact::text(&message),
            },
            Self::Note { message } => Self::Note {
                message: redact::text(&message),
            },
            Self::Gone { name } => Self::Gone {
                name: redact::text(&name),
            },
            Self::Left { name, why } => Self::Left {
                name: redact::text(&name),
                why: redact::text(&why),
            },
            other => other,
        }
    }
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

/// Sends events. Never blocks, because reporting must not slow the run.
#[derive(Debug, Clone)]
pub struct Events(tokio::sync::mpsc::UnboundedSender<Event>);

impl Events {
    pub fn channel() -> (Self, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends an event without secrets: `redact` lists this function as one of its exits.
    pub fn say(&self, event: Event) {
        // The receiver may be gone (closed terminal); the run continues.
        let _ = self.0.send(event.redacted());
    }

    pub fn note(&self, message: impl Into<String>) {
        self.say(Event::Note {
            message: message.into(),
        });
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.say(Event::Warning {
            message: message.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_event_contains_a_secret() {
        let mut secrets = redact::Secrets::default();
        secrets.insert("TOLD", "c4nary-of-events");
        redact::keep(&secrets);
        let (events, mut listener) = Events::channel();
        events.note("refused c4nary-of-events");
        events.warn("refused c4nary-of-events");
        events.say(Event::Left {
            name: "c4nary-of-events".to_owned(),
            why: "c4nary-of-events".to_owned(),
        });
        drop(events);
        while let Some(event) = listener.recv().await {
            let said = format!("{event:?}");
            assert!(
                said.contains("[secret TOLD]") && !said.contains("c4nary"),
                "{said}"
            );
        }
    }
}
