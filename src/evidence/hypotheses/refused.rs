//! Requests that failed before an instance: rate limits, the load balancer's own answers, and names
//! that were not resolved.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, growth, rates};
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

pub(super) fn is_most(requests: u64, tally: &Tally) -> bool {
    requests >= LEAST && requests as f64 >= tally.errors() as f64 * MOST
}

/// Returns the seconds that hold the limits without the errors of a class.
pub(super) fn explained(seen: &Seen<'_>, class: impl Fn(&Tally) -> u64) -> BTreeSet<u32> {
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

/// The way in which requests are refused for their rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// With status 429.
    Limited,
    /// With another 4xx that no instance gave.
    Status4xx,
    /// With 5xx and `Retry-After`, as full instances may do too.
    TryLater,
}

impl Refusal {
    /// Returns the way, if most errors are refusals.
    fn of(tally: &Tally, unnamed: u64) -> Option<Self> {
        let is_told = is_most(tally.limited, tally) || is_most(unnamed, tally);
        match is_told {
            true if tally.limited > 0 => Some(Self::Limited),
            true => Some(Self::Status4xx),
            false => is_most(tally.status_5xx_retry_after, tally).then_some(Self::TryLater),
        }
    }

    /// Returns the requests that are refused so.
    fn count(self, tally: &Tally) -> u64 {
        match self {
            Self::Limited => tally.limited,
            Self::Status4xx => tally.status_4xx,
            Self::TryLater => tally.status_5xx_retry_after,
        }
    }
}

/// Returns the hypothesis that something refuses what is over a rate. Status 429 says so; with status
/// 5xx and `Retry-After` the growth must show that it is not the instances that are full.
fn rate_limit(seen: &Seen<'_>, tally: &Tally, unnamed: u64) -> Option<Hypothesis> {
    let refusal = Refusal::of(tally, unnamed)?;
    let class = |tally: &Tally| refusal.count(tally);
    let bad: Vec<usize> = seen.all_bad().collect();
    let refused: Vec<usize> = bad
        .iter()
        .copied()
        .filter(|second| is_class(&seen.merged[*second].tally, class))
        .collect();
    let found = |standing| Hypothesis::new(Suspect::RateLimit, standing, refusals(tally, unnamed));
    let (same, more) = match rates::growth(seen, &refused) {
        Some(clue @ Clue::GrewWithGain { .. }) => (None, Some(clue)),
        same => (same, None),
    };
    // A limit that growth lifts is that of each instance.
    let cured = growth::cured(seen, &bad);
    if cured.is_some() || more.is_some() {
        return Some(found(Standing::Excluded).against(cured.into_iter().chain(more)));
    }
    let is_told = refusal != Refusal::TryLater;
    let latency = rates::latency(seen, &refused).filter(|_| !is_told);
    let is_usual = matches!(latency, Some(Clue::AnsweredAsUsual { .. }));
    let mut limit = match is_told || (same.is_some() && is_usual) {
        true => found(Standing::Holds).explains(&explained(seen, class)),
        false => found(Standing::Open).told_by(TellingRun::MoreInstances),
    };
    limit.pro.extend(same);
    match is_usual {
        true => limit.pro.extend(latency),
        false => limit.against.extend(latency),
    }
    Some(limit)
}

/// Returns the clues of the refusals themselves.
fn refusals(tally: &Tally, unnamed: u64) -> Vec<Clue> {
    let of = tally.errors();
    let waits = tally.status_4xx_retry_after + tally.status_5xx_retry_after;
    let too_many = Clue::TooManyRequests {
        requests: tally.limited,
        of,
    };
    let nameless = Clue::NotByInstances {
        requests: unnamed,
        of,
    };
    let later = Clue::RetryAfter {
        requests: waits,
        of,
    };
    [
        is_most(tally.limited, tally).then_some(too_many),
        is_most(unnamed, tally).then_some(nameless),
        (waits >= LEAST).then_some(later),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns true if a class is most of a second's errors.
pub(super) fn is_class(tally: &Tally, class: impl Fn(&Tally) -> u64) -> bool {
    let requests = class(tally);
    requests > 0 && requests as f64 >= tally.errors() as f64 * MOST
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
pub(super) fn sum(seen: &Seen<'_>, name: &str) -> f64 {
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
