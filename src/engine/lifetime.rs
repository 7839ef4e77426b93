//! The end of a generator that cannot end itself any more: a task that hangs must not be paid for.
//!
//! A lifetime has three clocks, and none needs what another needs. The first is the task's own, an
//! async timer: it stops the load, hands over the results and says so. Where the runtime hangs
//! nobody looks at it; then a plain thread aborts. Where that thread gets nowhere either, the
//! kernel sends SIGALRM, and the handler ends the process on whichever thread it interrupts.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::unistd::alarm;
use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::consts::SIGALRM;
use signal_hook::flag::register_conditional_shutdown;

use model::outcome::Exit;

/// An orderly end takes a few seconds: results are flushed, with retries.
const THREAD: Duration = Duration::from_secs(10);
const ALARM: Duration = Duration::from_secs(20);

/// The times from now after which the second and the third clock end the process.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The plain thread aborts the process after this time.
    pub thread: Duration,
    /// SIGALRM ends the process after this time; the kernel counts whole seconds.
    pub alarm: Duration,
}

impl Clocks {
    /// Makes the clocks of a generator whose own timer ends it after `lifetime`.
    pub fn after(lifetime: Duration) -> Self {
        Self {
            thread: lifetime.saturating_add(THREAD),
            alarm: lifetime.saturating_add(ALARM),
        }
    }

    /// Starts the clocks; call it before anything that can hang. After an error the generator must
    /// not begin.
    pub fn start(self) -> std::io::Result<()> {
        // Aborting would leave the memory on a disk, and the secrets in it.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none)?;
        // PID 1 of a container ignores a signal's default action: without a handler nothing would
        // happen.
        register_conditional_shutdown(
            SIGALRM,
            i32::from(Exit::CouldNotRun.code()),
            Arc::new(AtomicBool::new(true)),
        )?;
        // Zero would be no alarm.
        alarm::set(
            u32::try_from(self.alarm.as_secs())
                .unwrap_or(u32::MAX)
                .max(1),
        );
        let wait = self.thread;
        std::thread::Builder::new()
            .name("lifetime".to_owned())
            .spawn(move || {
                std::thread::sleep(wait);
                // The process aborts, because an orderly end was due ten seconds ago.
                std::process::abort();
            })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use tokio::time::{sleep, timeout};

    use super::*;

    const HANGING: &str = "lifetime::tests::a_generator_that_hangs";
    const NEVER: Duration = Duration::from_hours(24);

    /// The tests below start this in a process of its own. Its only runtime thread never comes back
    /// to the runtime, so the first clock is never looked at.
    #[test]
    #[ignore = "ends the process: the tests below start it"]
    fn a_generator_that_hangs() {
        let seconds = |name: &str| {
            std::env::var(name)
                .ok()?
                .parse()
                .ok()
                .map(Duration::from_secs)
        };
        let (Some(thread), Some(alarm)) = (seconds("HANGING_THREAD"), seconds("HANGING_ALARM"))
        else {
            return;
        };
        Clocks { thread, alarm }.start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = async { loop { std::thread::park() } } => {}
                () = sleep(Duration::ZERO) => {}
            }
        });
    }

    async fn hang(clocks: Clocks) -> ExitStatus {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", HANGING, "--ignored"])
            .env("HANGING_THREAD", clocks.thread.as_secs().to_string())
            .env("HANGING_ALARM", clocks.alarm.as_secs().to_string())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        timeout(Duration::from_mins(1), child.wait())
            .await
            .expect("it outlived its clocks")
            .unwrap()
    }

    #[tokio::test]
    async fn a_runtime_that_hangs_is_ended_by_the_thread() {
        let ended = hang(Clocks {
            thread: Duration::ZERO,
            alarm: NEVER,
        })
        .await;
        assert_eq!(
            ended.signal(),
            Some(rustix::process::Signal::ABORT.as_raw()),
            "{ended}"
        );
    }

    #[tokio::test]
    async fn a_runtime_and_a_thread_that_hang_are_ended_by_the_kernel() {
        let ended = hang(Clocks {
            thread: NEVER,
            alarm: Duration::from_secs(1),
        })
        .await;
        // The signal's handler ended the process, which also works for the first process of a
        // container.
        assert_eq!(ended.code(), Some(4), "{ended}");
    }

    #[test]
    fn the_clocks_come_one_after_the_other() {
        let Clocks { thread, alarm } = Clocks::after(Duration::from_mins(1));
        assert_eq!(
            (thread, alarm),
            (Duration::from_secs(70), Duration::from_secs(80))
        );
    }
}
