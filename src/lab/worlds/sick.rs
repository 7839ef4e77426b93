//! One instance that fails, or is slow, for a while.
//!
//! Its health checks pass all the time, or fail as well: then the load balancer leaves it out, and
//! the group replaces it.

use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError};
use super::super::group::LabGroup;
use super::outage::Outage;
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
    /// True if its health checks fail too.
    pub fails_checks: bool,
}

impl Sick {
    /// Checks that it names an instance, a symptom and a span of time, and that checks fail only in
    /// a group of instances.
    pub fn check(self, service: bool) -> Result<(), LabConfigError> {
        if self.instance == 0 {
            return Err(LabConfigError::SickInstance);
        }
        if self.status.is_none() && self.slow.is_zero() {
            return Err(LabConfigError::SickWithoutSymptom);
        }
        match self.to {
            _ if service && self.fails_checks => Err(LabConfigError::FailingChecksOfService),
            Some(to) if to <= self.from => Err(LabConfigError::EmptySpan("target.sick")),
            _ => Ok(()),
        }
    }

    /// True if the instance with this number is sick.
    pub fn befalls(self, number: u32, first_request: Option<LabInstant>, now: LabInstant) -> bool {
        let since = first_request.map_or(Duration::ZERO, |first| now.saturating_sub(first));
        number == self.instance && since >= self.from && self.to.is_none_or(|to| since < to)
    }
}

/// The illness that checks show, while the lab runs.
#[derive(Debug)]
pub(crate) struct Illness {
    keys: Sick,
    /// The span; `None` before its beginning.
    span: Option<(LabInstant, LabInstant)>,
}

impl Illness {
    /// Returns the illness of the lab file, if checks show it.
    pub(crate) fn new(keys: Sick) -> Option<Self> {
        keys.fails_checks.then_some(Self { keys, span: None })
    }

    /// Returns the time of the beginning, after the first request, while it is to come.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.span.is_none().then_some(self.keys.from)
    }
}

impl LabGroup {
    /// Begins the illness of the instance, if that is there already.
    pub(crate) fn fall_ill(&mut self, now: LabInstant) {
        let began = self.worlds.load_began();
        let Some((illness, began)) = self.worlds.illness.as_mut().zip(began) else {
            return;
        };
        let to = illness.keys.to.map_or(LabInstant::MAX, |to| began + to);
        illness.span = Some((now, to));
        for index in 0..self.instances.len() {
            self.infect(index, now);
        }
    }

    /// Makes the instance with this index ill if it is the sick one, and the illness lasts.
    pub(crate) fn infect(&mut self, index: usize, now: LabInstant) {
        let Some(illness) = &self.worlds.illness else {
            return;
        };
        let known = &self.instances[index];
        let is_sick = known.number == illness.keys.instance && known.stays();
        let span = illness.span.filter(|(_, to)| is_sick && now < *to);
        let ill = span.map(|(_, to)| Outage::new(known, &self.target, (now, to)));
        self.instances[index].ill = ill;
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
            ..Sick::default()
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
