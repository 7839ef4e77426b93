//! Requests that were given up while the target still worked on them.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect};

/// Share of a second's requests from which given-up ones change what its answers show.
const MANY: f64 = 0.02;
/// Fewest of them in a run.
const LEAST: u64 = 5;

/// Returns true if many requests of a second timed out.
pub(super) fn are_many(seen: &Seen<'_>, second: usize) -> bool {
    let tally = seen.merged[second].tally;
    tally.timeout as f64 > tally.requests() as f64 * MANY
}

/// Returns the hypothesis if many requests timed out. Then the answers in time are fewer than the
/// instances carry, since they also work on requests that nobody waits for.
/// `taken` are the seconds that another hypothesis explains.
pub(super) fn test(seen: &Seen<'_>, taken: &BTreeSet<u32>) -> Option<Hypothesis> {
    let seconds: BTreeSet<u32> = (0..seen.merged.len())
        .filter(|second| are_many(seen, *second))
        .map(|second| second as u32)
        .filter(|second| !taken.contains(second))
        .collect();
    let of = seen.tally(seen.all_bad());
    let requests = seen
        .tally(seconds.iter().map(|second| *second as usize))
        .timeout;
    let clue = Clue::TimedOut {
        requests,
        of: of.requests(),
    };
    (requests >= LEAST).then(|| {
        Hypothesis::new(Suspect::TimedOutWork, Standing::Holds, vec![clue]).explains(&seconds)
    })
}
