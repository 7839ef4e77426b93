//! Instances that stop answering, until their health checks find it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, second_of};
use crate::instances::{Launched, Left, Why};

/// Longest time before an instance leaves in which it may not have answered: health checks are slow.
const UNNOTICED: Duration = Duration::from_secs(15);
/// Seconds after the last request to it could time out.
const LATER: u32 = 2;
/// Share of a second's errors that must be requests without an answer.
const MOST: f64 = 0.5;

/// Returns the hypothesis if requests got no answer while instances that had served failed their
/// health checks.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    let lost: Vec<&Left> = seen
        .of
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::FailedChecks && had_served(seen, one))
        .collect();
    let timeout = seen.of.scenario.target.timeout.as_secs() as u32;
    let spans: Vec<(u32, u32)> = lost
        .iter()
        .filter_map(|one| {
            let began = second_of(seen.of.times, one.began.at)?;
            let from = began.saturating_sub(UNNOTICED.as_secs() as u32);
            Some((from, began + timeout + LATER))
        })
        .collect();
    let is_near = |second: u32| {
        spans
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&second))
    };
    let explained: BTreeSet<u32> = seen
        .all_bad()
        .filter(|second| is_near(*second as u32) && is_unanswered(seen, *second))
        .map(|second| second as u32)
        .collect();
    if explained.is_empty() {
        return None;
    }
    let tally = seen.tally(explained.iter().map(|second| *second as usize));
    let clue = Clue::StoppedAnswering {
        instances: lost.len() as u32,
        requests: tally.timeout + tally.broken + tally.lost + tally.connect,
    };
    Some(Hypothesis::new(Suspect::LostInstances, Standing::Holds, vec![clue]).explains(&explained))
}

/// Returns true unless the instance was launched in the run and never served.
fn had_served(seen: &Seen<'_>, left: &Left) -> bool {
    let mut launched = seen.of.reaction.launched.iter();
    launched
        .find(|one| one.id == left.id)
        .is_none_or(|one: &Launched| one.healthy.is_some())
}

/// Returns true if most errors of a second are requests without an answer.
pub(super) fn is_unanswered(seen: &Seen<'_>, second: usize) -> bool {
    let tally = seen.merged[second].tally;
    let unanswered = tally.timeout + tally.broken + tally.lost + tally.connect;
    unanswered > 0 && unanswered as f64 >= tally.errors() as f64 * MOST
}
