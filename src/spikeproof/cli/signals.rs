//! The signals that end a command which watches or serves.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Installed before anything starts, so that no signal ends the process and leaves a child behind.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

pub(super) enum StopSignal {
    Interrupt,
    Terminate,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}
