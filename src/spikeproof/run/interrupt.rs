//! The meaning of signals: an ordered urgency that only ever rises.
//!
//! Ctrl-C once stops the load, collects, judges and destroys; twice destroys now; a third time
//! prints what is left and leaves. SIGTERM and SIGHUP count as twice, because their sender will not
//! wait long. A SIGHUP never means to leave: nobody is there to read what is left.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::events::{Event, Events};

/// The signals so far, in words. Ordered: a higher urgency includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    None,
    StopLoad,
    DestroyNow,
    Leave,
}

impl Urgency {
    /// The urgency after the next signal.
    fn after(self, signal: Signal) -> Self {
        match (signal, self) {
            (Signal::Interrupt, Self::None) => Self::StopLoad,
            (Signal::Interrupt, Self::StopLoad)
            | (Signal::Terminate, Self::None | Self::StopLoad) => Self::DestroyNow,
            // A closed terminal sends it twice, once by its shell. It does not ask to leave
            // anything behind.
            (Signal::Hangup, _) => self.max(Self::DestroyNow),
            (_, Self::DestroyNow | Self::Leave) => Self::Leave,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::None => "",
            Self::StopLoad => {
                "stopping the load, then collecting, judging and destroying (again: destroy now)"
            }
            Self::DestroyNow => "destroying now (again: leave, whatever is left)",
            Self::Leave => "leaving",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Interrupt,
    Terminate,
    Hangup,
}

/// The present urgency, as tokens to wait for.
#[derive(Debug, Clone)]
pub struct Interrupt {
    stop_load: CancellationToken,
    destroy_now: CancellationToken,
    leave: CancellationToken,
    /// Where the signals are told; `None` between two runs.
    told: Arc<Mutex<Option<Events>>>,
}

impl Interrupt {
    /// Before any signal.
    pub(super) fn quiet() -> Self {
        let token = CancellationToken::new;
        Self {
            stop_load: token(),
            destroy_now: token(),
            leave: token(),
            told: Arc::default(),
        }
    }

    /// Listens for signals as long as `owner` lives. One listener serves all runs of a command: a
    /// signal between two of them, or in the destroy of the first, is against the next.
    pub fn listen(owner: &mut JoinSet<()>) -> std::io::Result<Self> {
        let interrupt = Self::quiet();
        let (mut int, mut term, mut hup) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        let raised = interrupt.clone();
        owner.spawn(async move {
            let mut urgency = Urgency::None;
            loop {
                let signal = tokio::select! {
                    _ = int.recv() => Signal::Interrupt,
                    _ = term.recv() => Signal::Terminate,
                    _ = hup.recv() => Signal::Hangup,
                };
                let next = urgency.after(signal);
                if next == urgency {
                    continue;
                }
                urgency = next;
                raised.tell(urgency);
                raised.raise(urgency);
            }
        });
        Ok(interrupt)
    }

    /// Tells the signals from here on to these events.
    pub fn tell_to(&self, events: Option<Events>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = events;
    }

    fn tell(&self, urgency: Urgency) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = told.as_ref() {
            events.say(Event::Interrupted {
                urgency: urgency.meaning(),
            });
        }
    }

    pub(super) fn raise(&self, urgency: Urgency) {
        for (level, token) in [
            (Urgency::StopLoad, &self.stop_load),
            (Urgency::DestroyNow, &self.destroy_now),
            (Urgency::Leave, &self.leave),
        ] {
            if urgency >= level {
                token.cancel();
            }
        }
    }

    /// Cancelled by any signal.
    pub fn stop_load(&self) -> &CancellationToken {
        &self.stop_load
    }

    /// Cancelled by a second Ctrl-C, by SIGTERM and by SIGHUP: destroy follows at once.
    pub fn destroy_now(&self) -> &CancellationToken {
        &self.destroy_now
    }

    /// Cancelled by a third Ctrl-C or a further SIGTERM: the destroy is abandoned.
    pub fn leave(&self) -> &CancellationToken {
        &self.leave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_interrupt_goes_straight_to_destroy_and_a_third_leaves() {
        let steps = |signals: &[Signal]| {
            signals
                .iter()
                .fold(Urgency::None, |urgency, signal| urgency.after(*signal))
        };
        use Signal::{Hangup as H, Interrupt as I, Terminate as T};
        for (signals, urgency) in [
            (vec![I], Urgency::StopLoad),
            (vec![I, I], Urgency::DestroyNow),
            (vec![I, I, I], Urgency::Leave),
            (vec![T], Urgency::DestroyNow),
            (vec![I, T], Urgency::DestroyNow),
            (vec![T, T], Urgency::Leave),
            (vec![H], Urgency::DestroyNow),
            (vec![I, H, H], Urgency::DestroyNow),
            (vec![T, H], Urgency::DestroyNow),
            (vec![H, I], Urgency::Leave),
            (vec![I, I, I, H], Urgency::Leave),
            (vec![I, I, I, I], Urgency::Leave),
        ] {
            assert_eq!(steps(&signals), urgency, "{signals:?}");
        }
    }
}
