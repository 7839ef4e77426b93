//! Finds out whether p95 came back after a spike, and whether new instances brought it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::instances::{self, SECOND, after};
use crate::load::Second;

/// Seconds in a row for which latency must keep its limit to count as back.
pub(super) const STEADY: usize = 3;

/// The course of p95 after the load had risen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Latency {
    /// It never missed its limit.
    Kept,
    /// No second of the spike has enough samples for a p95.
    Unknown,
    Back {
        at: Timestamp,
        /// Length of the pool of seconds before it, in which the limit was last missed.
        within: Duration,
    },
    /// It came back before a new instance could have helped.
    Alone,
    AfterTheFall,
    Never,
}

/// Finds the second from which p95 keeps its limit again. The three times are the rise, the first
/// request of a new instance, and the fall.
pub(super) fn latency_back(
    seconds: &[Second],
    started: Timestamp,
    (rose, serves, fell): (Timestamp, Option<Timestamp>, Timestamp),
    limit: Duration,
) -> Latency {
    let second = |at| instances::second(started, at).unwrap_or(0) as usize;
    let limit = limit.as_micros() as u64;
    let p95 = |index: usize| seconds.get(index).and_then(|second| second.p95);
    let missed = |index: usize| p95(index).is_some_and(|p95| p95 > limit);
    let under_load = second(rose)..second(fell).min(seconds.len());
    let Some(first) = under_load.clone().find(|index| missed(*index)) else {
        let is_unknown = !under_load.is_empty() && under_load.clone().all(|at| p95(at).is_none());
        return if is_unknown {
            Latency::Unknown
        } else {
            Latency::Kept
        };
    };
    // Seconds without a p95 between do not tell.
    let before = |index: usize| (0..index).rev().find(|before| p95(*before).is_some());
    let holds = |index: &usize| {
        p95(*index).is_some()
            && before(*index).is_some_and(missed)
            && (*index..index + STEADY).all(|index| !missed(index))
    };
    let holding: Vec<usize> = (first + 1..seconds.len().saturating_sub(STEADY - 1))
        .filter(holds)
        .collect();
    let from = serves.map(second);
    let by_the_group = holding
        .iter()
        .find(|index| from.is_some_and(|from| **index >= from));
    let at = |index: usize| after(started, Duration::from_secs(index as u64));
    match (by_the_group, holding.first()) {
        (Some(index), _) if under_load.contains(index) => {
            let missed = before(*index).map_or(*index, |last| start_of_pool(seconds, last));
            Latency::Back {
                at: at(*index).max(serves.unwrap_or(rose)),
                within: Duration::from_secs((index - missed) as u64).max(SECOND),
            }
        }
        (_, None) => Latency::Never,
        (_, Some(index)) if under_load.contains(index) => Latency::Alone,
        _ => Latency::AfterTheFall,
    }
}

fn start_of_pool(seconds: &[Second], index: usize) -> usize {
    let own = |at: &usize| seconds.get(*at).is_some_and(|second| !second.pooled);
    (0..=index).rev().find(own).unwrap_or(0)
}
