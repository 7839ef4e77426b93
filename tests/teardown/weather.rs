//! Faults that the account's front injects into the calls of a trial, and a record of the calls.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use rustix::process::{Pid, Signal, kill_process};
use spikeproof::lab::tap::{Refused, Tap, Tapped, When};

/// The scenario's secret. It is nowhere on the disk afterwards, and in one of all AWS calls.
pub(crate) const CANARY: &str = "c4nary-of-the-shop";

/// The faults that the account's front injects into the calls of a trial.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    pub(crate) expired: AtomicBool,
    /// Percentage of calls that are throttled.
    pub(crate) throttled: AtomicUsize,
    pub(crate) down: AtomicBool,
    /// The action that the caller has no right to.
    pub(crate) denied: Mutex<Option<&'static str>>,
    dice: Mutex<Option<Pcg64Mcg>>,
    /// Kill the owner of this process id at this call.
    pub(crate) last_call: Mutex<Option<(usize, When, u32)>>,
    pub(crate) calls: AtomicUsize,
    /// Calls that had the secret in them.
    pub(crate) telling: Mutex<Vec<String>>,
}

impl Weather {
    /// Leaves all calls without an answer for twenty seconds.
    pub(crate) fn break_down(self: &Arc<Self>) {
        let weather = Arc::clone(self);
        weather.down.store(true, Ordering::Relaxed);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(20));
            weather.down.store(false, Ordering::Relaxed);
        });
    }

    pub(crate) fn tap(self: &Arc<Self>) -> Tap {
        let weather = Arc::clone(self);
        Tap::new(move |tapped| weather.hear(tapped))
    }

    fn hear(&self, tapped: Tapped<'_>) -> Option<Refused> {
        let refused = |code: &str| {
            Some(Refused {
                code: code.to_owned(),
                message: "on cue".to_owned(),
            })
        };
        self.calls.fetch_max(tapped.number, Ordering::Relaxed);
        // Larger ones are pieces of the image, which is packed from the binary alone.
        let body = if tapped.body.len() < 1 << 20 {
            tapped.body
        } else {
            &[]
        };
        let tells = |bytes: &[u8]| {
            bytes
                .windows(CANARY.len())
                .any(|window| window == CANARY.as_bytes())
        };
        if tapped.when == When::Before && (tells(body) || tells(tapped.path.as_bytes())) {
            self.telling.lock().unwrap().push(format!(
                "{} {} {}",
                tapped.service, tapped.action, tapped.path
            ));
        }
        if let Some((number, when, pid)) = *self.last_call.lock().unwrap()
            && (tapped.number, tapped.when) == (number, when)
        {
            kill(pid, Signal::KILL);
            return refused("InternalFailure");
        }
        if tapped.when == When::After {
            return None;
        }
        if self.expired.load(Ordering::Relaxed) {
            return refused("ExpiredTokenException");
        }
        if self.down.load(Ordering::Relaxed) {
            return refused("ServiceUnavailable");
        }
        if self
            .denied
            .lock()
            .unwrap()
            .is_some_and(|action| action == tapped.action)
        {
            return refused("AccessDeniedException");
        }
        let throttled = self.throttled.load(Ordering::Relaxed) as u32;
        let mut dice = self.dice.lock().unwrap();
        let dice = dice.get_or_insert_with(|| Pcg64Mcg::seed_from_u64(1));
        if throttled > 0 && dice.random_range(0..100) < throttled {
            refused("ThrottlingException")
        } else {
            None
        }
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}
