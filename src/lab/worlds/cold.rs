//! New instances that answer late at first, as with empty caches, and without errors.

use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config;

/// `target.cold` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cold {
    /// Time from healthy, while it answers late.
    #[serde(rename = "for", deserialize_with = "config::friendly")]
    pub lasts: Duration,
    /// Added to the time of each answer. Its workers are free in this time.
    #[serde(deserialize_with = "config::friendly")]
    pub adds: Duration,
}

impl Cold {
    /// Returns the time by which an instance launched after the start answers late.
    pub fn delay(self, healthy: LabInstant, now: LabInstant) -> Duration {
        match now < healthy + self.lasts {
            true => self.adds,
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_late_at_first_only() {
        let cold = Cold {
            lasts: Duration::from_secs(8),
            adds: Duration::from_millis(900),
        };
        let at = |seconds| cold.delay(Duration::from_secs(100), Duration::from_secs(seconds));
        assert_eq!((at(100), at(107)), (cold.adds, cold.adds));
        assert_eq!(at(108), Duration::ZERO);
    }
}
