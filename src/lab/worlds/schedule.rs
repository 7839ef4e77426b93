//! Minimums that the group has for a time, as scheduled actions would set them.

use std::time::Duration;

use serde::Deserialize;

use super::super::config::{self, LabConfigError};

/// An entry of `group.scheduled` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// The beginning, after the first request that a generator sends.
    #[serde(deserialize_with = "config::friendly")]
    pub from: Duration,
    /// The end, counted in the same way; never without it.
    #[serde(default, deserialize_with = "config::maybe")]
    pub to: Option<Duration>,
    /// The minimum for that time.
    pub min: u32,
}

impl Scheduled {
    /// Checks that it ends after it begins, and that its group is one of instances.
    pub(super) fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match self.to {
            _ if service => Err(LabConfigError::ScheduledOfService),
            Some(to) if to <= self.from => Err(LabConfigError::EmptySpan("group.scheduled")),
            _ => Ok(()),
        }
    }
}

/// The group's minimum through time.
#[derive(Debug)]
pub(crate) struct Schedule {
    actions: Vec<Scheduled>,
    usual: u32,
}

impl Schedule {
    /// Returns the schedule of a group that usually has this minimum.
    pub(crate) fn new(actions: &[Scheduled], usual: u32) -> Self {
        Self {
            actions: actions.to_vec(),
            usual,
        }
    }

    /// Returns the minimum at a time after the first request: the largest that is scheduled, or the
    /// usual one.
    pub(crate) fn minimum(&self, since: Option<Duration>) -> u32 {
        let is_due = |one: &&Scheduled| {
            since.is_some_and(|since| since >= one.from && one.to.is_none_or(|to| since < to))
        };
        let due = self.actions.iter().filter(is_due).map(|one| one.min);
        due.max().unwrap_or(self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_minimum_holds_from_its_beginning_until_its_end() {
        let text = "[{ from: 5s, to: 9s, min: 4 }, { from: 8s, min: 3 }]";
        let actions: Vec<Scheduled> = serde_saphyr::from_str(text).unwrap();
        let schedule = Schedule::new(&actions, 2);
        let minimum = |second| schedule.minimum(Some(Duration::from_secs(second)));
        assert_eq!([4, 5, 8, 9].map(minimum), [2, 4, 4, 3]);
        assert_eq!(schedule.minimum(None), 2, "before the first request");
    }
}
