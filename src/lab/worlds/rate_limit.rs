//! A most of requests: for all instances together, or for each of them.
//!
//! Without a window it is a bucket that holds one second's worth of requests: a short burst passes,
//! a higher rate does not. The bucket is kept as the instant at which it is full again (the generic
//! cell rate algorithm of ATM), so no time is lost between two requests.
//!
//! With a window the requests of a fixed time are counted. All that the window has may come at once,
//! and then nothing is answered until it ends.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError};
use super::quantity::{self, Pace};

/// `target.rate_limit` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The most that is answered.
    pub rate: Pace,
    /// The time whose requests are counted together; without it, a bucket counts.
    #[serde(default, deserialize_with = "config::maybe")]
    pub window: Option<Duration>,
    /// True if each instance has a limit of its own; without it, all have one together.
    #[serde(default)]
    pub each: bool,
    /// The answer of the others.
    #[serde(default = "too_many", deserialize_with = "quantity::status")]
    pub status: u16,
    /// Their `Retry-After`, in whole seconds; without it, they have none. With a window, theirs is
    /// the time until its end.
    #[serde(default, deserialize_with = "config::maybe")]
    pub retry_after: Option<Duration>,
}

fn too_many() -> u16 {
    429
}

impl RateLimit {
    /// Checks that a window lasts, and that nothing else says when to try again.
    pub(super) fn check(self) -> Result<(), LabConfigError> {
        match self.window {
            Some(window) if window.is_zero() => Err(LabConfigError::EmptyWindow),
            Some(_) if self.retry_after.is_some() => Err(LabConfigError::RetryAfterOfWindow),
            _ => Ok(()),
        }
    }

    /// Returns the number of requests that a window takes.
    fn most(self, window: Duration) -> u64 {
        // The product of two fractions may be a hair less than the whole number that is meant.
        (self.rate.per_second() * window.as_secs_f64() + HAIR).max(1.0) as u64
    }
}

/// Far less than a request, and far more than a product of numbers is wrong by.
const HAIR: f64 = 1e-6;
const BURST: Duration = Duration::from_secs(1);

/// The answer of a request over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// Its `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// The requests that one limit has admitted.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// The bucket is full again.
    full_at: LabInstant,
    /// The window ends.
    ends: LabInstant,
    /// Requests that were admitted in the window.
    admitted: u64,
}

/// The limits while the lab runs.
#[derive(Debug)]
pub(crate) struct Limiter {
    keys: RateLimit,
    /// By the number of the instance; zero for all together.
    counters: HashMap<u32, Counter>,
    /// Requests that were refused.
    pub(crate) refused: u64,
}

impl Limiter {
    pub(crate) fn new(keys: RateLimit) -> Self {
        Self {
            keys,
            counters: HashMap::new(),
            refused: 0,
        }
    }

    /// Counts a request to the instance with this number, and returns its answer if it is over the
    /// limit. Windows follow each other from `began` on.
    pub(crate) fn refuses(
        &mut self,
        instance: u32,
        began: Option<LabInstant>,
        now: LabInstant,
    ) -> Option<Refusal> {
        let keys = self.keys;
        let owner = if keys.each { instance } else { 0 };
        let counter = self.counters.entry(owner).or_default();
        let (is_over, retry_after) = match keys.window {
            None => (!counter.fills(keys.rate, now), keys.retry_after),
            Some(window) => {
                let ends = end_of_window(window, began.unwrap_or_default(), now);
                let is_over = !counter.counts(keys.most(window), ends);
                (is_over, Some(ends - now))
            }
        };
        self.refused += u64::from(is_over);
        is_over.then_some(Refusal {
            status: keys.status,
            retry_after,
        })
    }
}

impl Counter {
    /// True if the bucket has room for the request.
    fn fills(&mut self, rate: Pace, now: LabInstant) -> bool {
        let full_at = self.full_at.max(now) + rate.after(1);
        let has_room = full_at <= now + BURST.max(rate.after(1));
        if has_room {
            self.full_at = full_at;
        }
        has_room
    }

    /// True if the window that ends at this instant has room for the request.
    fn counts(&mut self, most: u64, ends: LabInstant) -> bool {
        if self.ends != ends {
            (self.ends, self.admitted) = (ends, 0);
        }
        let has_room = self.admitted < most;
        self.admitted += u64::from(has_room);
        has_room
    }
}

/// Returns the end of the window that an instant lies in.
fn end_of_window(window: Duration, began: LabInstant, now: LabInstant) -> LabInstant {
    let passed = now.saturating_sub(began).as_nanos() % window.as_nanos().max(1);
    now - Duration::from_nanos(passed as u64) + window
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: LabInstant = Duration::from_hours(490_000);

    fn limiter(text: &str) -> Limiter {
        Limiter::new(serde_saphyr::from_str(text).unwrap())
    }

    /// Asks `rate` times a second for 10 s, and returns how often it was admitted.
    fn admitted(limiter: &mut Limiter, rate: u64) -> usize {
        let at = |index: u64| START + Duration::from_secs(1) * index as u32 / rate as u32;
        (0..rate * 10)
            .filter(|index| limiter.refuses(1, None, at(*index)).is_none())
            .count()
    }

    #[test]
    fn requests_beyond_the_rate_are_refused() {
        let mut limiter = limiter("{ rate: 300/s }");
        // One burst of a second's worth, and then the rate.
        let passed = admitted(&mut limiter, 900);
        assert!((3_299..=3_301).contains(&passed), "{passed}");
        assert_eq!(limiter.refused, 9_000 - passed as u64);
        assert_eq!((limiter.keys.status, limiter.keys.retry_after), (429, None));
    }

    #[test]
    fn a_rate_within_the_limit_passes() {
        assert_eq!(admitted(&mut limiter("{ rate: 300/s }"), 300), 3_000);
        let mut slow = limiter("{ rate: 30/min, retry_after: 2s }");
        let mut refused = |second| slow.refuses(1, None, Duration::from_secs(second));
        let later = Refusal {
            status: 429,
            retry_after: Some(Duration::from_secs(2)),
        };
        assert_eq!([10, 11, 12].map(&mut refused), [None, Some(later), None]);
    }

    #[test]
    fn a_window_answers_its_number_at_once_and_then_nothing_until_its_end() {
        let mut limiter = limiter("{ rate: 2/s, window: 5s, status: 503 }");
        let began = START + Duration::from_secs(2);
        // Four requests a second: ten are answered within 2.5 s, and the other ten are not.
        let mut refused = |quarter: u32| {
            let now = began + Duration::from_millis(250) * quarter;
            limiter.refuses(quarter % 2, Some(began), now)
        };
        for window in 0..3 {
            let quarters = window * 20..(window + 1) * 20;
            let all: Vec<Option<Refusal>> = quarters.map(&mut refused).collect();
            assert!(all[..10].iter().all(Option::is_none), "{all:?}");
            let waits = all[10..]
                .iter()
                .map(|one| one.unwrap().retry_after.unwrap());
            let until: Vec<Duration> = (1..=10)
                .rev()
                .map(|left| Duration::from_millis(250) * left)
                .collect();
            assert_eq!(waits.collect::<Vec<_>>(), until);
        }
        assert_eq!(limiter.refused, 30);
    }

    #[test]
    fn a_window_has_room_for_its_whole_number() {
        for (text, room) in [
            ("{ rate: 123/min, window: 1m }", 123),
            ("{ rate: 90/s, window: 700ms }", 63),
            ("{ rate: 3/s, window: 500ms }", 1),
            ("{ rate: 30/min, window: 1s }", 1),
        ] {
            let mut limiter = limiter(text);
            let asked = (0..200).map(|_| limiter.refuses(1, Some(START), START));
            assert_eq!(asked.filter(Option::is_none).count(), room, "{text}");
        }
    }

    #[test]
    fn a_load_that_begins_begins_a_window() {
        let mut limiter = limiter("{ rate: 1/s, window: 10s }");
        let mut refused = |began: Option<u64>, second| {
            let began = began.map(|second| START + Duration::from_secs(second));
            let now = START + Duration::from_secs(second);
            (0..11)
                .filter(|_| limiter.refuses(1, began, now).is_some())
                .count()
        };
        assert_eq!(refused(Some(0), 3), 1);
        assert_eq!(
            refused(Some(7), 7),
            1,
            "the look before the load was another window"
        );
        assert_eq!(refused(Some(7), 16), 11);
        assert_eq!(refused(Some(7), 17), 1);
    }

    #[test]
    fn each_instance_has_a_limit_of_its_own_unless_all_share_one() {
        for (each, admitted) in [("false", 4), ("true", 12)] {
            for window in ["", ", window: 1s"] {
                let mut limiter = limiter(&format!("{{ rate: 4/s, each: {each}{window} }}"));
                let asked =
                    (0..30).map(|number| limiter.refuses(number % 3 + 1, Some(START), START));
                let passed = asked.filter(Option::is_none).count();
                assert_eq!(passed, admitted, "each: {each}{window}");
            }
        }
    }
}
