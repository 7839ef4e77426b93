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
    /// In the order of their beginnings.
    actions: Vec<Scheduled>,
    /// Those that the group has without an action: the lab file's, or the latest of a caller.
    usual: Bounds,
    /// Those that were set last.
    set: Bounds,
}

impl Schedule {
    /// Returns the schedule of a group that usually has these bounds.
    pub(crate) fn new(actions: &[Scheduled], usual: Bounds) -> Self {
        let mut actions = actions.to_vec();
        actions.sort_by_key(|one| one.from);
        Self {
            actions,
            usual,
            set: usual,
        }
    }

    /// Returns the bounds to set at a time after the first request; `None` if they are set already.
    pub(crate) fn changed(&mut self, since: Option<Duration>) -> Option<Bounds> {
        let bounds = self.bounds(since);
        let before = std::mem::replace(&mut self.set, bounds);
        (bounds != before).then_some(bounds)
    }

    /// Notes the bounds that a caller sets. An action sets its bounds once, at its beginning: those
    /// that have begun say nothing more of what the caller has set.
    pub(crate) fn overrule(&mut self, min: Option<u32>, max: Option<u32>, since: Option<Duration>) {
        let has_begun = |one: &&mut Scheduled| since.is_some_and(|since| since >= one.from);
        for begun in self.actions.iter_mut().filter(has_begun) {
            begun.min = begun.min.filter(|_| min.is_none());
            begun.max = begun.max.filter(|_| max.is_none());
        }
        self.usual = Bounds {
            min: min.unwrap_or(self.usual.min),
            max: max.unwrap_or(self.usual.max),
        };
        self.set = self.bounds(since);
    }

    /// Returns the bounds at a time after the first request: those that the latest action has set,
    /// or the usual ones. The maximum goes before the minimum.
    fn bounds(&self, since: Option<Duration>) -> Bounds {
        let is_due = |one: &&Scheduled| {
            since.is_some_and(|since| since >= one.from && one.to.is_none_or(|to| since < to))
        };
        let due = || self.actions.iter().rev().filter(is_due);
        let max = due().find_map(|one| one.max).unwrap_or(self.usual.max);
        let min = due().find_map(|one| one.min).unwrap_or(self.usual.min);
        Bounds {
            min: min.min(max),
            max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Bounds = Bounds { min: 1, max: 8 };

    fn schedule(text: &str) -> Schedule {
        let actions: Vec<Scheduled> = serde_saphyr::from_str(text).unwrap();
        Schedule::new(&actions, USUAL)
    }

    fn at(second: u64) -> Option<Duration> {
        Some(Duration::from_secs(second))
    }

    #[test]
    fn scheduled_bounds_hold_from_their_beginning_until_their_end_or_the_next_one() {
        let mut schedule =
            schedule("[{ from: 8s, min: 3 }, { from: 5s, to: 9s, min: 4 }, { from: 12s, max: 2 }]");
        let bounds = |second| {
            let at = schedule.bounds(at(second));
            (at.min, at.max)
        };
        assert_eq!(
            [4, 5, 8, 9, 12].map(bounds),
            [(1, 8), (4, 8), (3, 8), (3, 8), (2, 2)]
        );
        let before = schedule.bounds(None);
        assert_eq!(before, USUAL, "before the first request");
        let set = [4, 5, 6, 8, 9].map(|second| schedule.changed(at(second)).is_some());
        assert_eq!(set, [false, true, false, true, false]);
    }

    /// A group whose bounds a caller sets at a second, and the bounds that the schedule sets later.
    #[test]
    fn the_end_of_an_action_leaves_what_a_caller_has_set_since_its_beginning() {
        let text = "[{ from: 5s, to: 9s, min: 4, max: 6 }]";
        let later = |second, min, max| {
            let mut schedule = schedule(text);
            schedule.changed(at(second));
            schedule.overrule(min, max, at(second));
            let set = (second + 1..12).filter_map(|second| {
                let set = schedule.changed(at(second))?;
                Some((second, set.min, set.max))
            });
            set.collect::<Vec<_>>()
        };
        // A bound that the caller did not name ends as it would have.
        assert_eq!(later(6, Some(3), None), [(9, 3, 8)]);
        assert_eq!(later(6, None, Some(7)), [(9, 1, 7)]);
        assert_eq!(later(6, Some(4), Some(6)), []);
        assert_eq!(later(6, None, None), [(9, 1, 8)]);
        // An action that begins later sets its own, and its end brings back the caller's.
        assert_eq!(later(3, Some(2), None), [(5, 4, 6), (9, 2, 8)]);
        assert_eq!(later(10, Some(2), Some(9)), []);
    }
}
