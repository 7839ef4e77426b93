//! Instances that stop answering, until their health checks find it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, second_of};
use crate::instances::{Launched, Left, Why};
use crate::reaction::Times;
use model::scenario::Scenario;

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
    let spans: Vec<RangeInclusive<u32>> = lost
        .iter()
        .filter_map(|one| unanswered_around(seen.of.scenario, seen.of.times, one))
        .collect();
    let is_near = |second: u32| spans.iter().any(|span| span.contains(&second));
    let explained: BTreeSet<u32> = seen
        .all_bad()
        .filter(|second| is_near(*second as u32) && is_unanswered(seen, *second))
        .map(|second| second as u32)
        .collect();
    if explained.is_empty() {
        return None;
    }
    let tally = seen.tally(explained.iter().map(|second| *second as usize));
    let took_part =
        |span: &&RangeInclusive<u32>| explained.iter().any(|second| span.contains(second));
    let clue = Clue::StoppedAnswering {
        instances: spans.iter().filter(took_part).count() as u32,
        requests: tally.timeout + tally.broken + tally.lost + tally.connect,
    };
    Some(Hypothesis::new(Suspect::LostInstances, Standing::Holds, vec![clue]).explains(&explained))
}

/// Returns the seconds in which requests may have had no answer, because this instance had stopped
/// before its health checks found it; `None` if it left before the load.
pub fn unanswered_around(
    scenario: &Scenario,
    times: &Times,
    left: &Left,
) -> Option<RangeInclusive<u32>> {
    let began = second_of(times, left.began.at)?;
    let from = began.saturating_sub(UNNOTICED.as_secs() as u32);
    let timeout = scenario.target.timeout.as_secs() as u32;
    Some(from..=began + timeout + LATER)
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
