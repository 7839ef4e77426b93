//! Stops a terraform that runs.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::time::Instant;

/// Time between the first SIGINT and the second. After one, terraform finishes the calls under way:
/// creating an ECS cluster alone takes 10 s, and AWS waiters return early.
pub(super) const AFTER_FIRST_SIGINT: Duration = Duration::from_secs(90);

/// Time between the second SIGINT and SIGKILL. After the second, terraform gives up within 5 s, and
/// still saves and unlocks.
pub(super) const AFTER_SECOND_SIGINT: Duration = Duration::from_secs(10);

/// Stops terraform: one SIGINT to its pid, a long wait, a second, a short wait, then SIGKILL for
/// its group.
///
/// Never SIGTERM: terraform counts it as another interrupt, and provider plugins die of it.
pub(super) struct StopSequence {
    patience: [Duration; 2],
    pub(super) sent: usize,
    since: Option<Instant>,
}

impl StopSequence {
    pub(super) fn new(first: Duration, second: Duration) -> Self {
        Self {
            patience: [first, second],
            sent: 0,
            since: None,
        }
    }

    /// Sends the next signal if it is due; may be called as often as one likes once cancelled.
    pub(super) fn press(&mut self, child: &Child, now: Instant) {
        let waited = self.since.map(|since| now - since);
        let due = match (
            waited,
            self.sent
                .checked_sub(1)
                .and_then(|last| self.patience.get(last)),
        ) {
            (None, _) => true,
            (Some(waited), Some(patience)) => waited >= *patience,
            (Some(_), None) => false,
        };
        let Some(pid) = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .filter(|_| due)
        else {
            return;
        };
        // terraform may have ended by itself meanwhile; then the signal fails.
        let _ = if self.sent < self.patience.len() {
            rustix::process::kill_process(pid, Signal::INT)
        } else {
            rustix::process::kill_process_group(pid, Signal::KILL)
        };
        self.sent += 1;
        self.since = Some(now);
    }
}
