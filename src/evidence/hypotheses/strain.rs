//! Slow seconds in which the generator itself was at its limit.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun};
use crate::load::ERRORS;

/// Returns the hypothesis if a generator was at its limit in every second that was slow. Where other
/// seconds were slow as well, the target was. It is open where the generator was late by less than
/// the seconds were over the limit: then the target may have been slow at the same time.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    let doubtful = seen.of.results.doubtful_seconds();
    let is_slow_only = |second: &usize| {
        let load = &seen.of.load[*second];
        load.errors as f64 <= (load.ok + load.errors) as f64 * ERRORS
    };
    let slow: BTreeSet<u32> = seen
        .all_bad()
        .filter(is_slow_only)
        .map(|second| second as u32)
        .collect();
    if slow.is_empty() || !slow.is_subset(&doubtful) {
        return None;
    }
    let clue = Clue::GeneratorAtItsLimit {
        seconds: slow.len() as u32,
    };
    let longer = slow.iter().find_map(|second| longer(seen, *second));
    let found = |standing| Hypothesis::new(Suspect::StrainedGenerator, standing, vec![clue]);
    // The seconds of an open one are not its own: too few instances may be the reason as well.
    Some(match longer {
        Some(_) => found(Standing::Open)
            .against(longer)
            .told_by(TellingRun::MoreTasks),
        None => found(Standing::Holds).explains(&slow),
    })
}

/// Returns the clue that a second would have been slow without the generator's delay.
fn longer(seen: &Seen<'_>, second: u32) -> Option<Clue> {
    let delay = seen.of.results.delayed_by(second)?;
    let p95_us = seen.of.load.get(second as usize)?.p95?;
    let delay_us = delay.as_micros() as u64;
    (p95_us.saturating_sub(delay_us) > seen.limit_us())
        .then_some(Clue::LongerThanDelay { p95_us, delay_us })
}
