//! A most of requests per second for all instances together, whatever their number.
//!
//! A bucket that holds one second's worth of requests: a short burst passes, a higher rate does
//! not. It is kept as the instant at which the bucket is full again (the generic cell rate
//! algorithm of ATM), so no time is lost between two requests.

use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config;
use super::quantity::{self, Pace};

/// `target.rate_limit` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The most that is answered.
    pub rate: Pace,
    /// The answer of the others.
    #[serde(default = "too_many", deserialize_with = "quantity::status")]
    pub status: u16,
    /// Their `Retry-After`, in whole seconds; without it, they have none.
    #[serde(default, deserialize_with = "config::maybe")]
    pub retry_after: Option<Duration>,
}

fn too_many() -> u16 {
    429
}

const BURST: Duration = Duration::from_secs(1);

/// The bucket.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) keys: RateLimit,
    full_at: LabInstant,
    /// Requests that were refused.
    pub(crate) refused: u64,
}

impl Limiter {
    pub(crate) fn new(keys: RateLimit) -> Self {
        Self {
            keys,
            full_at: LabInstant::ZERO,
            refused: 0,
        }
    }

    /// True if the request is within the rate; if not, it counts as refused.
    pub(crate) fn admits(&mut self, now: LabInstant) -> bool {
        let full_at = self.full_at.max(now) + self.keys.rate.after(1);
        let admits = full_at <= now + BURST.max(self.keys.rate.after(1));
        if admits {
            self.full_at = full_at;
        }
        self.refused += u64::from(!admits);
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(text: &str) -> Limiter {
        Limiter::new(serde_saphyr::from_str(text).unwrap())
    }

    /// Asks `rate` times a second for 10 s, and returns how often it was admitted.
    fn admitted(limiter: &mut Limiter, rate: u64) -> usize {
        let start = Duration::from_hours(490_000);
        (0..rate * 10)
            .filter(|index| {
                limiter.admits(start + Duration::from_secs(1) * *index as u32 / rate as u32)
            })
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
        assert!(slow.admits(Duration::from_secs(10)));
        assert!(!slow.admits(Duration::from_secs(11)));
        assert!(slow.admits(Duration::from_secs(12)));
    }
}
