//! Requests that failed before an instance: rate limits, the load balancer's own answers, and names
//! that were not resolved.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::connections::cpu;
use super::own_limit::{Named, OwnLimit};
use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, growth, rates};
use crate::load::ERRORS;
use crate::timeline::series;
use model::measure::Tally;

/// Share of the failed requests from which a class explains them.
const MOST: f64 = 0.5;
/// Fewest requests of a class.
const LEAST: u64 = 5;

/// A hypothesis on a limit, with the seconds that it would explain if it held.
pub(super) struct Limit {
    pub(super) found: Hypothesis,
    pub(super) suspected: BTreeSet<u32>,
    /// The limit that each instance has for itself, if its refusals show one.
    pub(super) own: Option<OwnLimit>,
}

impl Limit {
    /// Returns the seconds that it may explain while it is open. Where growth helps, the limit is no
    /// rival of more instances.
    pub(super) fn open_for(&self) -> impl Iterator<Item = u32> + '_ {
        let grew = |clue: &Clue| matches!(clue, Clue::GrewWithGain { .. });
        let is_rival = self.found.standing == Standing::Open && !self.found.pro.iter().any(grew);
        self.suspected.iter().copied().filter(move |_| is_rival)
    }

    /// Returns the clue of each instance's own limit, where more instances get less than that, or were
    /// seen to be refused less.
    pub(super) fn own_of_size(&self) -> Option<Clue> {
        let own = self.own.as_ref().filter(|own| own.is_of_size);
        let gain = |clue: &&Clue| matches!(clue, Clue::GrewWithGain { .. });
        let gain = || self.found.against.iter().find(gain).cloned();
        own.map(|own| own.clue.clone()).or_else(gain)
    }

    /// Returns its hypothesis, and the one that the requests are not spread over limits that would
    /// be enough for all of them.
    pub(super) fn hypotheses(self) -> impl Iterator<Item = Hypothesis> {
        let own = self.own.filter(|own| !own.is_of_size);
        let uneven = own.map(|own| {
            let busiest = own
                .busiest
                .map(|(instance, times)| Clue::MoreThanEven { instance, times });
            let clues = busiest.into_iter().chain([own.clue]).collect();
            Hypothesis::new(Suspect::UnevenLoad, Standing::Holds, clues).explains(&self.suspected)
        });
        std::iter::once(self.found).chain(uneven)
    }
}

/// The requests of all seconds that missed a limit, without the errors that are always there.
struct Failed {
    seconds: Vec<usize>,
    tally: Tally,
    /// Those that name their instance, and all, with the errors that are always there.
    named: Option<Tally>,
    all: Tally,
}

impl Failed {
    /// Returns them; `None` without an error.
    fn of(seen: &Seen<'_>) -> Option<Self> {
        let seconds: Vec<usize> = seen.all_bad().collect();
        let tally = seen.failed(&seconds);
        // A header that errors never carry says nothing of who failed.
        let named = named(seen, &seconds).filter(|named| named.errors() > 0);
        let all = seen.tally(seconds.iter().copied());
        (tally.errors() > 0).then_some(Self {
            seconds,
            tally,
            named,
            all,
        })
    }

    /// Returns the requests of a class that no instance answered; none without a header.
    fn unnamed(&self, class: impl Fn(&Tally) -> u64) -> u64 {
        let unnamed = self
            .named
            .as_ref()
            .map_or(0, |named| class(&self.all).saturating_sub(class(named)));
        unnamed.min(class(&self.tally))
    }

    /// Returns true if instances answered most requests of a class.
    fn is_by_instances(&self, class: impl Fn(&Tally) -> u64) -> bool {
        let named = self.named.as_ref().map_or(0, &class);
        named > 0 && named as f64 >= class(&self.all) as f64 * MOST
    }
}

/// Returns the hypotheses on the class of the errors that no limit makes.
pub(super) fn others(seen: &Seen<'_>) -> Vec<Hypothesis> {
    let failed = Failed::of(seen);
    failed.map_or_else(Vec::new, |failed| {
        let both = [balancer(seen, &failed), names(seen, &failed.tally)];
        both.into_iter().flatten().collect()
    })
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
            let (load, failed) = (&seen.of.load[*second], &seen.failed[*second]);
            let rest = failed.errors().saturating_sub(class(failed));
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
        let ways = [
            (tally.limited, Self::Limited),
            (unnamed, Self::Status4xx),
            (tally.status_5xx_retry_after, Self::TryLater),
        ];
        let mut most = ways.into_iter().filter(|(count, _)| is_most(*count, tally));
        most.next().map(|(_, way)| way)
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

/// Returns the hypothesis that something refuses what is over a rate. Status 429 says so, unless
/// instances answer it by themselves; then, and with status 5xx and `Retry-After`, the growth must
/// show that it is not the instances that are full. Refusals that name their instance show whether
/// each has a limit of its own, and growth tells nothing if new instances take no part in the load.
pub(super) fn rate_limit(seen: &Seen<'_>) -> Option<Limit> {
    let failed = Failed::of(seen)?;
    let (tally, unnamed) = (&failed.tally, failed.unnamed(|tally| tally.status_4xx));
    let refusal = Refusal::of(tally, unnamed)?;
    let class = |tally: &Tally| refusal.count(tally);
    let seconds = failed.seconds.iter().copied();
    let refused: Vec<usize> = seconds
        .filter(|second| is_class(&seen.failed[*second], class))
        .collect();
    let suspected = explained(seen, class);
    let found = |standing| Hypothesis::new(Suspect::RateLimit, standing, refusals(tally, unnamed));
    let (same, more) = match rates::growth(seen, &refused) {
        Some(clue @ Clue::GrewWithGain { .. }) => (None, Some(clue)),
        same => (same, None),
    };
    let by_name = failed
        .is_by_instances(class)
        .then(|| Named::of(seen, &refused, class));
    let is_spread = by_name.as_ref().is_none_or(|named| named.is_spread);
    let own = by_name.and_then(|named| named.own);
    let same = same.filter(|_| is_spread && own.is_none());
    // A limit that growth lifts is that of each instance. One with a window of time passes at last,
    // whatever the size.
    let cured = growth::cured(seen, &refused, &refused).filter(|_| same.is_none());
    if cured.is_some() || more.is_some() || own.is_some() {
        let shown = own.as_ref().map(|own| own.clue.clone());
        let found = found(Standing::Excluded).against(cured.into_iter().chain(more).chain(shown));
        let room = [rates::latency(seen, &refused), cpu(seen, &refused)];
        return Some(Limit {
            found: found.with_room(room),
            suspected,
            own,
        });
    }
    let is_later = refusal == Refusal::TryLater;
    let latency = rates::latency(seen, &refused).filter(|_| is_later);
    let is_usual = matches!(latency, Some(Clue::AnsweredAsUsual { .. }));
    let holds = match refusal {
        Refusal::Limited => same.is_some() || !failed.is_by_instances(class),
        Refusal::Status4xx => true,
        Refusal::TryLater => same.is_some() && is_usual,
    };
    let mut limit = match holds {
        true => found(Standing::Holds).explains(&suspected),
        false => found(Standing::Open).told_by(TellingRun::MoreInstances),
    };
    limit.pro.extend(same);
    match is_usual {
        true => limit.pro.extend(latency),
        false => limit.against.extend(latency),
    }
    Some(Limit {
        found: limit,
        suspected,
        own: None,
    })
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
fn balancer(seen: &Seen<'_>, failed: &Failed) -> Option<Hypothesis> {
    let (tally, unnamed) = (&failed.tally, failed.unnamed(|tally| tally.status_5xx));
    let sum = |name| sum(seen, name, &failed.seconds);
    let counted = sum(series::BALANCER_5XX);
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
        .map(|(status, name)| (status, sum(name)))
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

/// Returns the sum of a series' own datapoints whose period has one of these seconds of the load.
pub(super) fn sum(seen: &Seen<'_>, name: &str, seconds: &[usize]) -> f64 {
    let started = seen.of.times.started.as_second();
    let all = seen.of.timeline.own_counts(name);
    let points = all.flat_map(|one| {
        let period = one.period.as_secs().max(1) as i64;
        one.points.iter().map(move |point| (point, period))
    });
    let overlaps = |at: Timestamp, period: i64| {
        let from = at.as_second() - started;
        let mut seconds = seconds.iter();
        seconds.any(|second| (from..from + period).contains(&(*second as i64)))
    };
    points
        .filter(|(point, period)| overlaps(point.at, *period))
        .map(|(point, _)| point.value)
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
