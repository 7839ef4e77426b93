//! The events of a run, as one closed list. The live view, the log and the tests consume them.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::units::{RunId, Usd};
use crate::{redact, visible};

/// The life cycle of a run, in order. The files of `run` have these names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Read the scenario, size and price the fleet, authorize the target. Creates nothing.
    Plan,
    /// Create the fleet's resources with Terraform and push the image.
    Provision,
    /// Launch the tasks and agree on the start time.
    Start,
    /// Send the load and watch the target.
    Load,
    /// Wait, after the load, until the group is back.
    Recover,
    /// Read the last reports of the tasks and the last state of the group.
    Collect,
    /// Turn the evidence into a verdict.
    Judge,
    /// Destroy all resources and prove it.
    Destroy,
}

impl Phase {
    /// The word for people and for file names, such as `plan`.
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

/// One thing that happened in a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Sent before anything is created: the run id, and the command that removes leftovers.
    RunNamed {
        /// The id of the run.
        run: RunId,
        /// The folder with its journal, logs and report.
        folder: PathBuf,
        /// `None` where the run creates nothing that could be left.
        reap: Option<String>,
    },
    /// A phase of the life cycle starts.
    PhaseBegan {
        /// The phase that starts.
        phase: Phase,
    },
    /// A phase of the life cycle is over, whether it succeeded or not.
    PhaseEnded {
        /// The phase that is over.
        phase: Phase,
        /// Its duration.
        took: Duration,
    },
    /// The plan is complete; nothing has been created yet.
    Planned {
        /// Number of generator tasks.
        tasks: u32,
        /// The highest level of each model, in words, such as `20 users and 250/s`.
        peak: String,
        /// From the start instant to the end of the last phase.
        duration: Duration,
        /// Estimated cost of the tasks; `None` if the fleet costs nothing.
        estimate: Option<Usd>,
    },
    /// A resource that terraform or spikeproof created, changed or removed.
    Resource {
        /// `created`, `changed` or `deleted`.
        action: &'static str,
        /// Terraform's address, such as `aws_ecs_cluster.run`.
        address: String,
        /// Duration of the action; `None` if it was not measured.
        took: Option<Duration>,
    },
    /// The generator image is in the repository.
    ImagePushed {
        /// Compressed size of its layer.
        bytes: u64,
        /// Digest of its manifest, `sha256:...`.
        digest: String,
    },
    /// The tasks, each time one of these numbers changes.
    Tasks {
        /// Tasks of the plan.
        wanted: u32,
        /// Tasks that have reported that they can begin.
        ready: u32,
        /// Tasks that the fleet calls running.
        running: u32,
        /// Slots whose task failed for good.
        lost: u32,
    },
    /// The next phase of the scenario's load begins.
    LoadPhaseBegan {
        /// The phase's name.
        name: String,
        /// The level that it goes to, in words, such as `250/s`.
        level: String,
    },
    /// The load now, about once a second.
    Progress(Progress),
    /// The group, at its first observation and after each change.
    Group {
        /// Desired capacity.
        desired: u32,
        /// Instances in service.
        in_service: u32,
        /// Minimum of the group.
        min: u32,
        /// Maximum of the group.
        max: u32,
    },
    /// A signal raised the urgency to stop.
    Interrupted {
        /// The consequence of this signal, and of the next one, in words.
        urgency: &'static str,
    },
    /// Information for the user that does not end the run.
    Warning {
        /// The text of the warning.
        message: String,
    },
    /// Progress that needs no attention.
    Note {
        /// The text of the note.
        message: String,
    },
    /// A resource is proven deleted.
    Gone {
        /// The kind and name of the resource.
        name: String,
    },
    /// A resource still exists at the end of the destroy, or could not be proven gone.
    Left {
        /// The kind and name of the resource.
        name: String,
        /// The last error, or the last observation.
        why: String,
    },
}

impl Event {
    /// Foreign text in an event may contain a secret, a line break or a control character. Names and
    /// levels come from places that refuse them.
    fn shown(self) -> Self {
        match self {
            Self::Resource {
                action,
                address,
                took,
            } => Self::Resource {
                action,
                address: shown(&address),
                took,
            },
            Self::Warning { message } => Self::Warning {
                message: shown(&message),
            },
            Self::Note { message } => Self::Note {
                message: shown(&message),
            },
            Self::Gone { name } => Self::Gone { name: shown(&name) },
            Self::Left { name, why } => Self::Left {
                name: shown(&name),
                why: shown(&why),
            },
            other => other,
        }
    }
}

/// An event is one line: the hints of an error follow its text.
fn shown(text: &str) -> String {
    let text = redact::text(text).replace("\n  try: ", "; try: ");
    visible::line(&text).into_owned()
}

/// The load as it is now: over the last whole second that every task has reported.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Progress {
    /// Time since the start instant, at most `of`.
    pub elapsed: Duration,
    /// Length of the whole load.
    pub of: Duration,
    /// Name of the scenario's phase.
    pub load_phase: String,
    /// Requests that ended, failed ones included.
    pub requests_per_second: f64,
    /// Requests that failed.
    pub errors_per_second: f64,
    /// Median latency; `None` if no request ended.
    pub p50: Option<Duration>,
    /// 95th percentile of the latency; `None` if no request ended.
    pub p95: Option<Duration>,
    /// 99th percentile of the latency; `None` if no request ended.
    pub p99: Option<Duration>,
    /// Tasks that take part in the load.
    pub tasks: u32,
    /// Desired capacity of the group; `None` before it is read, or without a group.
    pub desired: Option<u32>,
    /// Instances in service; `None` before the group is read, or without a group.
    pub in_service: Option<u32>,
}

/// Sends events. Never blocks, because reporting must not slow the run.
#[derive(Debug, Clone)]
pub struct Events(tokio::sync::mpsc::UnboundedSender<Event>);

impl Events {
    /// A new sender with its only receiver. The channel has no bound.
    pub fn channel() -> (Self, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends an event without secrets, and each of its texts as one line: `redact` and `visible` name
    /// this function as one of their exits.
    pub fn say(&self, event: Event) {
        // The receiver may be gone (closed terminal); the run continues.
        drop(self.0.send(event.shown()));
    }

    /// Sends [`Event::Note`].
    pub fn note(&self, message: impl Into<String>) {
        self.say(Event::Note {
            message: message.into(),
        });
    }

    /// Sends [`Event::Warning`].
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
    async fn no_event_breaks_its_line_or_acts_on_a_terminal() {
        let (events, mut listener) = Events::channel();
        events.warn("refused\nPASSED  all hold\u{1b}[2J\n  try: again");
        let event = listener.recv().await.unwrap();
        assert!(
            matches!(&event, Event::Warning { message } if message == "refused␊PASSED  all hold␛[2J; try: again"),
            "{event:?}"
        );
    }

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
