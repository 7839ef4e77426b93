//! Finds out whether p95 came back after a spike, and whether new instances brought it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::instances::{self, after};
use model::measure::{Results, Select};

/// Seconds in a row for which latency must keep its limit to count as back.
pub(super) const STEADY: usize = 3;

/// The course of p95 after the load had risen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Latency {
    /// It never missed its limit.
    Kept,
    Back(Timestamp),
    /// It came back before a new instance could have helped.
    Alone,
    AfterTheFall,
    Never,
}

/// Finds the second from which p95 keeps its limit again. The three times are the rise, the first
/// request of a new instance, and the fall.
pub(super) fn latency_back(
    results: &Results,
    started: Timestamp,
    (rose, serves, fell): (Timestamp, Option<Timestamp>, Timestamp),
    limit: Duration,
) -> Latency {
    let second = |at| instances::second(started, at).unwrap_or(0) as usize;
    let seconds = results.by_second(Select::default());
    let missed = |index: usize| {
        seconds
            .get(index)
            .and_then(|merged| merged.latency.percentile(95.0))
            .is_some_and(|p95| p95 > limit)
    };
    let under_load = second(rose)..second(fell).min(seconds.len());
    let Some(first) = under_load.clone().find(|index| missed(*index)) else {
        return Latency::Kept;
    };
    let holds =
        |index: &usize| missed(index - 1) && (*index..index + STEADY).all(|index| !missed(index));
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
            Latency::Back(at(*index).max(serves.unwrap_or(rose)))
        }
        (_, None) => Latency::Never,
        (_, Some(index)) if under_load.contains(index) => Latency::Alone,
        _ => Latency::AfterTheFall,
    }
}
