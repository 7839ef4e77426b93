//! Requests that failed before an instance: rate limits, the load balancer's own answers, and names
//! that were not resolved.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, growth};
use crate::load::ERRORS;
use crate::timeline::series;
use model::measure::Tally;

/// Share of the failed requests from which a class explains them.
const MOST: f64 = 0.5;
/// Fewest requests of a class.
const LEAST: u64 = 5;

/// Returns the hypotheses on the class of the errors.
pub(super) fn all(seen: &Seen<'_>) -> Vec<Hypothesis> {
    let bad: Vec<usize> = seen.all_bad().collect();
    let tally = seen.tally(bad.iter().copied());
    if tally.errors() == 0 {
        return Vec::new();
    }
    // A header that errors never carry says nothing of who failed.
    let named = named(seen, &bad).filter(|named| named.errors() > 0);
    let unnamed_4xx = named.map_or(0, |named| tally.status_4xx.saturating_sub(named.status_4xx));
    let unnamed_5xx = named.map_or(0, |named| tally.status_5xx.saturating_sub(named.status_5xx));
    [
        rate_limit(seen, &tally, unnamed_4xx),
        balancer(seen, &tally, unnamed_5xx),
        names(seen, &tally),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the answers that name their instance; `None` without a header that names instances.
fn named(seen: &Seen<'_>, bad: &[usize]) -> Option<Tally> {
    seen.names_members().then_some(())?;
    let mut sum = Tally::default();
    for second in bad {
        sum.merge(&seen.others(*second, |_| false).tally);
    }
    Some(sum)
}

fn is_most(requests: u64, tally: &Tally) -> bool {
    requests >= LEAST && requests as f64 >= tally.errors() as f64 * MOST
}

/// Returns the seconds that hold the limits without the errors of a class.
fn explained(seen: &Seen<'_>, class: impl Fn(&Tally) -> u64) -> BTreeSet<u32> {
    seen.all_bad()
        .filter(|second| {
            let (load, tally) = (&seen.of.load[*second], &seen.merged[*second].tally);
            let of_class = class(tally).saturating_sub(load.constant);
            let rest = load.errors.saturating_sub(of_class);
            let is_quick = load.p95.is_none_or(|p95| p95 <= seen.limit_us());
            is_quick && rest as f64 <= (load.ok + load.errors) as f64 * ERRORS
        })
        .map(|second| second as u32)
        .collect()
}

fn rate_limit(seen: &Seen<'_>, tally: &Tally, unnamed: u64) -> Option<Hypothesis> {
    let mut clues = Vec::new();
    if is_most(tally.limited, tally) {
        clues.push(Clue::TooManyRequests {
            requests: tally.limited,
            of: tally.errors(),
        });
    }
    if is_most(unnamed, tally) {
        clues.push(Clue::NotByInstances {
            requests: unnamed,
            of: tally.errors(),
        });
    }
    let is_limited = tally.limited > 0;
    let class = |tally: &Tally| {
        if is_limited {
            tally.limited
        } else {
            tally.status_4xx
        }
    };
    if clues.is_empty() {
        return None;
    }
    // A limit that growth lifts is that of each instance.
    let bad: Vec<usize> = seen.all_bad().collect();
    if let Some(cured) = growth::cured(seen, &bad) {
        let found = Hypothesis::new(Suspect::RateLimit, Standing::Excluded, clues);
        return Some(found.against([cured]));
    }
    Some(
        Hypothesis::new(Suspect::RateLimit, Standing::Holds, clues)
            .explains(&explained(seen, class)),
    )
}

/// Returns the hypothesis that the load balancer itself answered. It explains no second: a balancer
/// also fails because its targets do.
fn balancer(seen: &Seen<'_>, tally: &Tally, unnamed: u64) -> Option<Hypothesis> {
    let counted = sum(seen, series::BALANCER_5XX);
    let mut clues = Vec::new();
    if is_most(unnamed, tally) {
        clues.push(Clue::NotByInstances {
            requests: unnamed,
            of: tally.errors(),
        });
    }
    if is_most(counted as u64, tally) {
        let by_status = [
            (502, series::BALANCER_502),
            (503, series::BALANCER_503),
            (504, series::BALANCER_504),
        ]
        .map(|(status, name)| (status, sum(seen, name)))
        .into_iter()
        .filter(|(_, answers)| *answers > 0.0)
        .collect();
        clues.push(Clue::BalancerCounted {
            errors: counted,
            by_status,
        });
    }
    (!clues.is_empty()).then(|| Hypothesis::new(Suspect::LoadBalancer, Standing::Holds, clues))
}

/// Returns the sum of all datapoints of a series.
fn sum(seen: &Seen<'_>, name: &str) -> f64 {
    let all = seen.of.timeline.metrics().filter(|one| one.name == name);
    all.flat_map(|one| &one.points)
        .map(|point| point.value)
        .sum()
}

fn names(seen: &Seen<'_>, tally: &Tally) -> Option<Hypothesis> {
    let clue = Clue::Unresolved {
        requests: tally.unresolved,
    };
    is_most(tally.unresolved, tally).then(|| {
        Hypothesis::new(Suspect::NameResolution, Standing::Holds, vec![clue])
            .explains(&explained(seen, |tally| tally.unresolved))
    })
}
