//! Two terraforms of one run would only fight each other.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::target::LOOK;
use crate::events::Events;
use crate::journal::locks::{self, WorkLock};

/// A terraform that is still applying for a dead run is let finish what it has begun, then asked,
/// then ended.
const BEFORE_SIGINT: Duration = Duration::from_secs(30);
const BEFORE_SIGKILL: Duration = Duration::from_secs(5 * 60);

/// Waits until nothing of the run works on this host: what an earlier terraform is still making
/// would be made after our look. It is let finish, then asked to stop, then ended.
pub(super) async fn alone(folder: &Path, events: &Events) -> Option<WorkLock> {
    let begun = Instant::now();
    let mut next = Next::Interrupt;
    loop {
        match WorkLock::take(folder) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) => {}
            Err(error) => {
                events.note(format!(
                    "the work lock cannot be taken ({error}): going on by name"
                ));
                return None;
            }
        }
        if begun.elapsed() < LOOK {
            events.note("terraform still works for this run: waiting for it");
        }
        let worker = locks::worker(folder).filter(locks::Worker::is_alive);
        let pid = worker.and_then(|worker| Pid::from_raw(i32::try_from(worker.pid).ok()?));
        match (due(begun.elapsed(), next), pid) {
            (Some(Next::Interrupt), Some(pid)) => {
                events.note("asking it to stop");
                let _ = rustix::process::kill_process(pid, Signal::INT);
                next = Next::Kill;
            }
            (Some(Next::Kill), Some(pid)) => {
                events.note("it does not stop: ending it");
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                next = Next::GiveUp;
            }
            // It has ended, and a plugin of its own has not.
            (Some(Next::Interrupt), None) => next = Next::Kill,
            (Some(Next::Kill | Next::GiveUp), _) => {
                events.note("something still holds the work lock: going on by name");
                return None;
            }
            (None, _) => {}
        }
        sleep(LOOK).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Interrupt,
    Kill,
    GiveUp,
}

/// What is to be done about a terraform that has been waited for so long.
fn due(waited: Duration, next: Next) -> Option<Next> {
    let from = match next {
        Next::Interrupt => BEFORE_SIGINT,
        Next::Kill => BEFORE_SIGKILL,
        Next::GiveUp => BEFORE_SIGKILL + Duration::from_secs(5),
    };
    (waited >= from).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terraform_that_still_works_is_let_finish_then_asked_then_ended() {
        let s = Duration::from_secs;
        assert_eq!(due(s(29), Next::Interrupt), None);
        assert_eq!(due(s(30), Next::Interrupt), Some(Next::Interrupt));
        assert_eq!(due(s(299), Next::Kill), None);
        assert_eq!(due(s(300), Next::Kill), Some(Next::Kill));
    }
}
