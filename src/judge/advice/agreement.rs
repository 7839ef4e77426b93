//! Compares the group with the model of its policy, replayed on the same load.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use model::units::{Seconds, seconds};

/// Share of the run's seconds from which on the model counts as agreeing with the group.
const AGREES: f64 = 0.8;

/// Agreement of the model with the group, on the policy that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Agreement {
    /// Seconds in which the desired capacities agree: within one instance, at most `apart_s` apart,
    /// and after moves in the same direction.
    pub within_one: u32,
    /// Seconds that were compared.
    pub seconds: u32,
    /// Changes of size that the group made.
    pub changes: u32,
    /// Changes of size that the model made.
    pub modelled: u32,
    /// Changes of either side for which the other has none in the same direction at all.
    pub unmatched: u32,
    /// Longest time from a change of one side to the nearest of the other in the same direction.
    #[serde(rename = "worst_s", alias = "worst", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub worst: Duration,
    /// Time that two changes may lie apart: a period, or the poll interval where that is longer.
    #[serde(rename = "apart_s", alias = "apart", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub apart: Duration,
}

impl Agreement {
    /// Share of the seconds that agree within one instance, from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.within_one) / f64::from(self.seconds.max(1))
    }

    /// Returns true if the model agrees with the group for at least 80 % of the seconds.
    pub fn is_enough(self) -> bool {
        self.share() >= AGREES
    }

    /// Returns true if every change of size has its counterpart, at most `apart` away.
    pub fn is_timely(self) -> bool {
        self.unmatched == 0 && self.worst <= self.apart
    }
}

/// A change of size, in seconds from the start of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    pub at: f64,
    pub grows: bool,
}

/// The size at a second, and the direction of the last change before it.
#[derive(Clone, Copy, PartialEq)]
struct SizeAndTrend {
    size: u32,
    grew: Option<bool>,
}

impl SizeAndTrend {
    /// Returns true if the sizes agree. A difference of one instance counts as agreement only after
    /// moves in the same direction, so a model that never moves does not agree with a group that
    /// did.
    fn agrees(self, other: Self) -> bool {
        let near =
            self.size.abs_diff(other.size) <= 1 && self.grew.is_some() == other.grew.is_some();
        near && (self.size == other.size || self.grew == other.grew)
    }
}

fn standings(sizes: &[u32], before: u32) -> Vec<SizeAndTrend> {
    let mut last = SizeAndTrend {
        size: before,
        grew: None,
    };
    let step = |size: &u32| {
        let grew = if *size == last.size {
            last.grew
        } else {
            Some(*size > last.size)
        };
        last = SizeAndTrend { size: *size, grew };
        last
    };
    sizes.iter().map(step).collect()
}

/// Compares the desired capacities of model and group, one for each second. `before` is the size
/// before the load, `group` the group's changes with their exact times.
pub(super) fn agreement(
    model: &[u32],
    seen: &[u32],
    before: u32,
    group: &[Turn],
    apart: Duration,
) -> Agreement {
    let (modelled, stood) = (standings(model, before), standings(seen, before));
    let window = apart.as_secs() as usize;
    let agrees = |(second, seen): &(usize, &SizeAndTrend)| {
        let near = second.saturating_sub(window)..modelled.len().min(second + window + 1);
        modelled[near].iter().any(|model| model.agrees(**seen))
    };
    let within_one = stood.iter().enumerate().filter(agrees).count() as u32;
    let own = turns(model, before);
    let distances = || distances(group, &own).chain(distances(&own, group));
    let worst = distances().flatten().fold(0.0, f64::max);
    Agreement {
        within_one,
        seconds: seen.len() as u32,
        changes: group.len() as u32,
        modelled: own.len() as u32,
        unmatched: distances().filter(Option::is_none).count() as u32,
        worst: Duration::from_secs_f64(worst),
        apart,
    }
}

fn turns(sizes: &[u32], before: u32) -> Vec<Turn> {
    let earlier = std::iter::once(&before).chain(sizes);
    let changed = earlier
        .zip(sizes)
        .enumerate()
        .filter(|(_, (earlier, now))| earlier != now);
    changed
        .map(|(second, (earlier, now))| Turn {
            at: second as f64,
            grows: now > earlier,
        })
        .collect()
}

/// Returns the time from each change to the nearest of the others in the same direction.
fn distances<'a>(of: &'a [Turn], others: &'a [Turn]) -> impl Iterator<Item = Option<f64>> + 'a {
    of.iter().map(|turn| {
        let alike = others.iter().filter(|other| other.grows == turn.grows);
        alike
            .map(|other| (other.at - turn.at).abs())
            .min_by(f64::total_cmp)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;

    const APART: Duration = Duration::from_secs(2);

    fn sizes(stretches: &[(u32, usize)]) -> Vec<u32> {
        stretches
            .iter()
            .flat_map(|(size, seconds)| vec![*size; *seconds])
            .collect()
    }

    fn compared(model: &[(u32, usize)], group: &[(u32, usize)]) -> Agreement {
        let (model, group) = (sizes(model), sizes(group));
        agreement(&model, &group, group[0], &turns(&group, group[0]), APART)
    }

    #[test]
    fn a_model_that_never_moves_agrees_with_no_group_that_did() {
        let still = compared(&[(2, 100)], &[(2, 10), (3, 10), (2, 80)]);
        assert_eq!(
            (
                still.within_one,
                still.unmatched,
                still.changes,
                still.modelled
            ),
            (10, 2, 2, 0)
        );
        assert!(!still.is_enough() && !still.is_timely());
        let both_still = compared(&[(2, 100)], &[(2, 100)]);
        assert!(both_still.is_enough() && both_still.is_timely());
        assert!(words::agreement(both_still).ends_with("neither changed its size"));
    }

    #[test]
    fn one_instance_and_one_period_apart_is_the_same_and_later_is_not_timely() {
        let near = compared(&[(2, 11), (5, 40), (2, 49)], &[(2, 10), (4, 40), (2, 50)]);
        assert_eq!(
            (near.share(), near.worst, near.is_timely()),
            (1.0, Duration::from_secs(1), true)
        );
        let late = compared(&[(2, 17), (4, 34), (2, 49)], &[(2, 10), (4, 40), (2, 50)]);
        assert_eq!((late.within_one, late.worst), (95, Duration::from_secs(7)));
        assert!(
            late.is_enough() && !late.is_timely(),
            "{}",
            words::agreement(late)
        );
        assert!(
            words::agreement(late)
                .contains("2 times, the model 2 times; the furthest apart by 7s (allowed: 2s)")
        );
    }
}
