//! Bounds that the group has for a time, as scheduled actions would set them.

use std::time::Duration;

use serde::Deserialize;

use super::super::config::{self, LabConfigError};
use model::scaling::Bounds;

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
    #[serde(default)]
    pub min: Option<u32>,
    /// The maximum for that time.
    #[serde(default)]
    pub max: Option<u32>,
}

impl Scheduled {
    /// Checks that it changes a bound, that it ends after it begins, and that its group is one of
    /// instances.
    pub(super) fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match self.to {
            _ if service => Err(LabConfigError::ScheduledOfService),
            Some(to) if to <= self.from => Err(LabConfigError::EmptySpan("group.scheduled")),
            _ if self.min.or(self.max).is_none() => Err(LabConfigError::ScheduledNothing),
            _ if self.min.zip(self.max).is_some_and(|(min, max)| min > max) => {
                Err(LabConfigError::ScheduledBounds)
            }
            _ => Ok(()),
        }
    }
}

/// The group's bounds through time.
#[derive(Debug)]
pub(crate) struct Schedule {
    actions: Vec<Scheduled>,
    usual: Bounds,
    /// Those that were set last.
    set: Bounds,
}

impl Schedule {
    /// Returns the schedule of a group that usually has these bounds.
    pub(crate) fn new(actions: &[Scheduled], usual: Bounds) -> Self {
        Self {
            actions: actions.to_vec(),
            usual,
            set: usual,
        }
    }

    /// Returns the bounds to set at a time after the first request; `None` if they are set already. In
    /// between, a caller may set others.
    pub(crate) fn changed(&mut self, since: Option<Duration>) -> Option<Bounds> {
        let bounds = self.bounds(since);
        let before = std::mem::replace(&mut self.set, bounds);
        (bounds != before).then_some(bounds)
    }

    /// Returns the bounds at a time after the first request: the largest minimum and the smallest
    /// maximum that are scheduled, or the usual ones. The maximum goes before the minimum.
    fn bounds(&self, since: Option<Duration>) -> Bounds {
        let is_due = |one: &&Scheduled| {
            since.is_some_and(|since| since >= one.from && one.to.is_none_or(|to| since < to))
        };
        let due = || self.actions.iter().filter(is_due);
        let max = due().filter_map(|one| one.max).min();
        let min = due().filter_map(|one| one.min).max();
        let max = max.unwrap_or(self.usual.max);
        Bounds {
            min: min.unwrap_or(self.usual.min).min(max),
            max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduled_bounds_hold_from_their_beginning_until_their_end() {
        let text = "[{ from: 5s, to: 9s, min: 4 }, { from: 8s, min: 3 }, { from: 12s, max: 2 }]";
        let actions: Vec<Scheduled> = serde_saphyr::from_str(text).unwrap();
        let usual = Bounds { min: 1, max: 8 };
        let mut schedule = Schedule::new(&actions, usual);
        let bounds = |second| {
            let at = schedule.bounds(Some(Duration::from_secs(second)));
            (at.min, at.max)
        };
        assert_eq!(
            [4, 5, 8, 9, 12].map(bounds),
            [(1, 8), (4, 8), (4, 8), (3, 8), (2, 2)]
        );
        let before = schedule.bounds(None);
        assert_eq!(before, usual, "before the first request");
        let at = |second| Some(Duration::from_secs(second));
        let set = [4, 5, 6, 9].map(|second| schedule.changed(at(second)).is_some());
        assert_eq!(set, [false, true, false, true]);
    }
}
