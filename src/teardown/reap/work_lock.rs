//! The work lock of a run that is reaped: two terraforms of one run would only fight each other.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::target::LOOK;
use model::events::Events;
use provision::journal::locks::{self, WorkLock};

/// A terraform that is still applying for a dead run is let finish what it has begun, then asked,
/// then ended.
const BEFORE_SIGINT: Duration = Duration::from_secs(30);
const BEFORE_SIGKILL: Duration = Duration::from_mins(5);

/// Waits until nothing of the run works on this host: what an earlier terraform is still making
/// would be made after our look. It is let finish, then asked to stop, then ended.
pub(super) async fn take_work_lock(folder: &Path, events: &Events) -> Option<WorkLock> {
    let begun = Instant::now();
    let mut escalation = Escalation::Interrupt;
    loop {
        match WorkLock::take(folder) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) => {}
            Err(error) => {
                events.note(format!(
                    "the work lock cannot be taken ({error}): deleting by name"
                ));
                return None;
            }
        }
        if begun.elapsed() < LOOK {
            events.note("terraform still works for this run: waiting for it");
        }
        let worker = locks::worker(folder).filter(locks::Worker::is_alive);
        let pid = worker.and_then(|worker| Pid::from_raw(i32::try_from(worker.pid).ok()?));
        match (due(begun.elapsed(), escalation), pid) {
            (Some(Escalation::Interrupt), Some(pid)) => {
                events.note("asking it to stop");
                let _ = rustix::process::kill_process(pid, Signal::INT);
                escalation = Escalation::Kill;
            }
            (Some(Escalation::Kill), Some(pid)) => {
                events.note("it does not stop: ending it");
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                escalation = Escalation::GiveUp;
            }
            // It has ended, and a plugin of its own has not.
            (Some(Escalation::Interrupt), None) => escalation = Escalation::Kill,
            (Some(Escalation::Kill | Escalation::GiveUp), _) => {
                events.note("something still holds the work lock: deleting by name");
                return None;
            }
            (None, _) => {}
        }
        sleep(LOOK).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escalation {
    Interrupt,
    Kill,
    GiveUp,
}

/// The next act, once a terraform has been waited for long enough.
fn due(waited: Duration, next: Escalation) -> Option<Escalation> {
    let from = match next {
        Escalation::Interrupt => BEFORE_SIGINT,
        Escalation::Kill => BEFORE_SIGKILL,
        Escalation::GiveUp => BEFORE_SIGKILL + Duration::from_secs(5),
    };
    (waited >= from).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terraform_that_still_works_is_let_finish_then_asked_then_ended() {
        let s = Duration::from_secs;
        assert_eq!(due(s(29), Escalation::Interrupt), None);
        assert_eq!(
            due(s(30), Escalation::Interrupt),
            Some(Escalation::Interrupt)
        );
        assert_eq!(due(s(299), Escalation::Kill), None);
        assert_eq!(due(s(300), Escalation::Kill), Some(Escalation::Kill));
    }
}
