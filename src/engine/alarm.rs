//! Wakes sessions at their instant, to some tens of microseconds.
//!
//! Tokio's timers tick in milliseconds and round up, twice; thousands of sessions that think would
//! all seem a millisecond or two slower than the target is. One timerfd per worker, armed for the
//! earliest of its sleepers, has no such grain.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

/// The sleepers of one worker.
#[derive(Debug)]
pub struct WakeTimer {
    /// Not a pipe, but read like one: the one safe way to wait for a descriptor of any kind.
    timer: Receiver,
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    armed: Cell<Option<Instant>>,
    next: Cell<u64>,
}

impl WakeTimer {
    /// Makes the timer; must be called on the worker's own runtime.
    pub fn new() -> std::io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let timer = Receiver::from_owned_fd_unchecked(timer)?;
        Ok(Self {
            timer,
            sleepers: RefCell::default(),
            armed: Cell::new(None),
            next: Cell::new(0),
        })
    }

    /// Wakes whoever is due; never returns, unless the timer breaks.
    pub async fn ring(&self) -> std::io::Result<()> {
        loop {
            self.timer.readable().await?;
            let mut expirations = [0; 8];
            // The number of expirations does not matter. It must be read, or the timer would stay
            // readable.
            drop(self.timer.try_read(&mut expirations));
            self.armed.set(None);
            let now = Instant::now();
            // Takes entries one by one: splitting the map would count the remaining ones every
            // time.
            while let Some(waker) = self.due(now) {
                waker.wake();
            }
            self.arm();
        }
    }

    fn due(&self, now: Instant) -> Option<Waker> {
        let mut sleepers = self.sleepers.borrow_mut();
        let first = sleepers
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Sets the timer for the earliest sleeper, unless it is set for an earlier instant already.
    fn arm(&self) {
        let Some(earliest) = self
            .sleepers
            .borrow()
            .first_key_value()
            .map(|((at, _), _)| *at)
        else {
            return;
        };
        if self.armed.get().is_some_and(|armed| armed <= earliest) {
            return;
        }
        // A wait of zero would disarm the timer.
        let wait = earliest
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok() {
            self.armed.set(Some(earliest));
        }
    }

    pub fn sleep_until(&self, at: Instant) -> Sleep<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        Sleep {
            alarm: self,
            at,
            number,
        }
    }
}

/// Ends at its instant. Dropping it forgets it.
#[derive(Debug)]
pub struct Sleep<'a> {
    alarm: &'a WakeTimer,
    at: Instant,
    number: u64,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        self.alarm
            .sleepers
            .borrow_mut()
            .insert((self.at, self.number), cx.waker().clone());
        self.alarm.arm();
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.alarm
            .sleepers
            .borrow_mut()
            .remove(&(self.at, self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::{JoinSet, LocalSet};

    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_order_at_their_instants_and_the_dropped_are_forgotten() {
        let local = LocalSet::new();
        local
            .run_until(async {
                let alarm = Rc::new(WakeTimer::new().unwrap());
                let (begun, order) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
                let mut tasks = JoinSet::new();
                let ringing = Rc::clone(&alarm);
                tasks.spawn_local(async move { drop(ringing.ring().await) });
                let mut sleepers = JoinSet::new();
                for millis in [30, 10, 20, 0] {
                    let (alarm, order) = (Rc::clone(&alarm), Rc::clone(&order));
                    sleepers.spawn_local(async move {
                        let at = begun + Duration::from_millis(millis);
                        alarm.sleep_until(at).await;
                        assert!(Instant::now() >= at);
                        order.borrow_mut().push(millis);
                    });
                }
                let far = alarm.sleep_until(begun + Duration::from_mins(10));
                assert!(
                    tokio::time::timeout(Duration::from_millis(5), far)
                        .await
                        .is_err()
                );
                while sleepers.join_next().await.is_some() {}
                assert_eq!(*order.borrow(), [0, 10, 20, 30]);
                assert!(alarm.sleepers.borrow().is_empty());
            })
            .await;
    }
}
