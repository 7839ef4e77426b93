//! One instance that fails, or is slow, for a while, and passes its health checks all the time.

use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError};
use super::quantity;

/// `target.sick` of the lab file.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sick {
    /// The instance, counted from 1 in the order of launches; those from the start come first.
    pub instance: u32,
    /// After the first request that a generator sends.
    #[serde(deserialize_with = "config::friendly")]
    pub from: Duration,
    /// The same; without it, until the end.
    #[serde(deserialize_with = "config::maybe")]
    pub to: Option<Duration>,
    /// Its answer to every request; without it, it answers well.
    #[serde(deserialize_with = "quantity::maybe_status")]
    pub status: Option<u16>,
    /// Added to the time of its answers.
    #[serde(deserialize_with = "config::friendly")]
    pub slow: Duration,
}

impl Sick {
    /// Checks that it names an instance, a symptom and a span of time.
    pub fn check(self) -> Result<(), LabConfigError> {
        if self.instance == 0 {
            return Err(LabConfigError::SickInstance);
        }
        if self.status.is_none() && self.slow.is_zero() {
            return Err(LabConfigError::SickWithoutSymptom);
        }
        match self.to.is_some_and(|to| to <= self.from) {
            true => Err(LabConfigError::EmptySpan("target.sick")),
            false => Ok(()),
        }
    }

    /// True if the instance with this number is sick.
    pub fn befalls(self, number: u32, first_request: Option<LabInstant>, now: LabInstant) -> bool {
        let since = first_request.map_or(Duration::ZERO, |first| now.saturating_sub(first));
        number == self.instance && since >= self.from && self.to.is_none_or(|to| since < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instance_is_sick_from_the_first_request_on_for_its_time() {
        let sick = Sick {
            instance: 2,
            from: Duration::from_secs(14),
            to: Some(Duration::from_secs(34)),
            status: Some(500),
            slow: Duration::ZERO,
        };
        let first = Duration::from_hours(490_000);
        let at = |number, seconds| {
            sick.befalls(number, Some(first), first + Duration::from_secs(seconds))
        };
        assert_eq!(
            [13, 14, 33, 34].map(|second| at(2, second)),
            [false, true, true, false]
        );
        assert!(!at(1, 20) && !at(3, 20));
        let for_ever = Sick { to: None, ..sick };
        assert!(for_ever.befalls(2, Some(first), first * 2));
        assert!(!for_ever.befalls(2, None, first));
    }
}
