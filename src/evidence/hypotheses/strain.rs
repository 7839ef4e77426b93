//! Slow seconds in which the generator itself was at its limit.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect};
use crate::load::ERRORS;

/// Returns the hypothesis if a generator was at its limit in every second that was slow. Where other
/// seconds were slow as well, the target was.
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
    Some(Hypothesis::new(Suspect::StrainedGenerator, Standing::Holds, vec![clue]).explains(&slow))
}
