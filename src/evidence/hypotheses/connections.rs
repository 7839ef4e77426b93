//! Connections that are refused, or closed before an answer, while those that are kept are answered
//! as usual: a limit on connections, not the capacity of the instances.

use std::collections::BTreeSet;

use super::refused::{Limit, explained, is_class, is_most, sum};
use super::seen::{NEARLY, Seen, mean};
use super::sick::is_about;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, rates, second_of};
use crate::alarms;
use crate::timeline::series;
use model::measure::Tally;

/// Longest time around an instance's departure in which it refuses connections that the load balancer
/// still sends to it: health checks are slow, and so is a balancer that takes a target out.
const DEPARTS: u32 = 15;
/// Longest time between two seconds of one row.
const NEXT: usize = 5;
/// Seconds before a row in which the load had not risen yet, if the rise began it.
const BEFORE: usize = 3;
/// Seconds from the one in which a new instance serves, in which it may not listen yet.
const NEW: usize = 4;
/// Share of the even part that an instance answers which does not refuse alone.
const EVEN: f64 = 0.5;

/// Returns the hypothesis if most requests that failed had no connection.
pub(super) fn test(seen: &Seen<'_>) -> Option<Limit> {
    let departing = departing(seen);
    let bad: Vec<usize> = seen
        .all_bad()
        .filter(|second| !departing.contains(second))
        .collect();
    let tally = seen.failed(&bad);
    if !is_most(without(&tally), &tally) {
        return None;
    }
    let is_refused = |second: &usize| seen.serving(*second) > 0 && is_partly_refused(seen, *second);
    let refused: Vec<usize> = bad.iter().copied().filter(is_refused).collect();
    refused.first()?;
    let evidence = Evidence::of(seen, &refused);
    let standing = evidence.standing();
    let suspected: BTreeSet<u32> = explained(seen, without)
        .into_iter()
        .filter(|second| !departing.contains(&(*second as usize)))
        .collect();
    let none = BTreeSet::new();
    let seconds = match evidence.explains(standing) {
        true => &suspected,
        false => &none,
    };
    let mut found = Hypothesis::new(Suspect::ConnectionLimit, standing, vec![counted(&tally)])
        .explains(seconds);
    found.pro.extend(rejected(seen, &bad));
    let told = evidence.telling(seen);
    found.pro.extend(evidence.growth);
    found = found.with_room([evidence.latency, evidence.cpu, evidence.load, evidence.one]);
    let found = match standing {
        Standing::Open => found.told_by(told),
        Standing::Holds | Standing::Excluded => found,
    };
    Some(Limit {
        found,
        suspected,
        own: None,
    })
}

/// Returns the seconds in which an instance that leaves may be the one that refuses connections.
fn departing(seen: &Seen<'_>) -> BTreeSet<usize> {
    let left = seen.of.reaction.left.iter();
    let began: Vec<u32> = left
        .filter_map(|one| second_of(seen.of.times, one.began.at))
        .collect();
    let is_near = |began: u32, second: usize| began.abs_diff(second as u32) <= DEPARTS;
    let refused: Vec<usize> = seen
        .all_bad()
        .filter(|second| without(&seen.failed[*second]) > 0)
        .collect();
    let mut found = BTreeSet::new();
    for row in refused.chunk_by(|one, next| next - one <= NEXT) {
        let near = row
            .iter()
            .copied()
            .filter(|second| began.iter().any(|one| is_near(*one, *second)));
        let near: Vec<usize> = near.collect();
        let leaving = began
            .iter()
            .filter(|one| near.iter().any(|second| is_near(**one, *second)));
        if is_of_leaving(seen, row, &near, leaving.count()) {
            found.extend(near);
        }
    }
    found
}

/// Returns true if connections were refused as often as the instances that leave are asked, or from
/// the time on at which they left. A row that begins as the load rises is of the load.
fn is_of_leaving(seen: &Seen<'_>, row: &[usize], near: &[usize], leaving: usize) -> bool {
    let Some(first) = near.first().copied() else {
        return false;
    };
    let tally = seen.failed(near);
    let share = without(&tally) as f64 / tally.requests().max(1) as f64;
    let load = |second: usize| seen.of.load[second].demand;
    let before = (first.saturating_sub(BEFORE)..first).map(load);
    let rises = load(first) > before.fold(f64::INFINITY, f64::min) * NEARLY;
    let begins = row.first() == Some(&first) && !rises;
    begins || is_about(share, f64::from(seen.serving(first)) / leaving as f64)
}

/// The clues that decide.
struct Evidence {
    latency: Option<Clue>,
    cpu: Option<Clue>,
    load: Option<Clue>,
    growth: Option<Clue>,
    /// A single instance may refuse them.
    one: Option<Clue>,
    /// The generators were at their own limit in most of these seconds.
    is_strained: bool,
}

impl Evidence {
    fn of(seen: &Seen<'_>, refused: &[usize]) -> Self {
        let growth = rates::growth(seen, refused);
        let doubtful = seen.of.results.doubtful_seconds();
        let strained = refused
            .iter()
            .filter(|second| doubtful.contains(&(**second as u32)));
        Self {
            latency: rates::latency(seen, refused),
            cpu: cpu(seen, refused),
            load: held_as_much(seen, refused),
            // The share of one instance changes with their number, and growth does not lift it.
            one: of_one(seen, refused).filter(|_| growth.is_none()),
            growth,
            is_strained: strained.count() * 2 > refused.len(),
        }
    }

    fn grew(&self) -> bool {
        matches!(self.growth, Some(Clue::GrewWithGain { .. }))
    }

    fn standing(&self) -> Standing {
        let is_busy = matches!(self.cpu, Some(Clue::MetricAtCeiling { .. }));
        let is_idle = matches!(self.cpu, Some(Clue::MetricBelowCeiling { .. }));
        let is_in_front = matches!(self.growth, Some(Clue::GrewWithoutGain { .. }));
        match self.latency {
            // An instance that is full refuses connections too.
            Some(Clue::AnsweredLate { .. }) => Standing::Excluded,
            _ if is_busy => Standing::Excluded,
            Some(Clue::AnsweredAsUsual { .. }) if self.is_clear() && (is_idle || is_in_front) => {
                Standing::Holds
            }
            _ => Standing::Open,
        }
    }

    /// Returns true if nothing else may have refused the connections.
    fn is_clear(&self) -> bool {
        self.load.is_none() && self.one.is_none() && !self.is_strained
    }

    /// Returns true if its seconds are not those of too few instances. Where growth helped, more
    /// instances are a remedy, whatever it is of which each has too little.
    fn explains(&self, standing: Standing) -> bool {
        match standing {
            Standing::Holds => !self.grew(),
            Standing::Open => self.load.is_none() && self.latency.is_some() && !self.grew(),
            Standing::Excluded => false,
        }
    }

    /// Returns the run that would tell.
    fn telling(&self, seen: &Seen<'_>) -> TellingRun {
        match self.one.is_some() && !seen.of.results.names_instances() {
            true => TellingRun::InstanceHeader,
            false => TellingRun::FewerConnections,
        }
    }
}

/// Returns the number of requests that had no connection, or one that was closed unanswered.
fn without(tally: &Tally) -> u64 {
    tally.connect.saturating_sub(tally.unresolved) + tally.broken_unanswered
}

/// Returns true if most errors of a second had no connection, while others had one.
fn is_partly_refused(seen: &Seen<'_>, second: usize) -> bool {
    let tally = &seen.failed[second];
    tally.ok > 0 && is_class(tally, without)
}

fn counted(tally: &Tally) -> Clue {
    Clue::NoConnection {
        refused: tally.connect.saturating_sub(tally.unresolved),
        closed: tally.broken_unanswered,
        of: tally.errors(),
    }
}

fn rejected(seen: &Seen<'_>, bad: &[usize]) -> Option<Clue> {
    let connections = sum(seen, series::REJECTED, bad);
    (connections > 0.0).then_some(Clue::BalancerRejected { connections })
}

/// Returns the clue of the CPU; `None` where it shows neither full nor idle instances.
pub(super) fn cpu(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let seconds = refused.iter().map(|second| *second as u32);
    let cpu = alarms::cpu(seen.of.timeline, seen.of.times.started, seconds)?;
    match cpu.is_at_ceiling() {
        true => Some(Clue::MetricAtCeiling {
            metric: cpu.metric,
            highest: cpu.highest,
        }),
        false if cpu.is_idle() => Some(Clue::MetricBelowCeiling {
            metric: cpu.metric,
            usual: cpu.usual,
        }),
        false => None,
    }
}

/// Returns the clue that a single instance may refuse them: a new one that does not listen yet, or one
/// of several. `None` if names show that all instances answer.
fn of_one(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let first = *refused.first()?;
    let launched = seen.of.reaction.launched.iter();
    let mut serves = launched.filter_map(|one| second_of(seen.of.times, one.serves()?));
    let is_new = |at: &u32| (*at as usize..=*at as usize + NEW).contains(&first);
    let share = |second: usize| {
        let tally = &seen.failed[second];
        without(tally) as f64 / tally.requests().max(1) as f64
    };
    let is_share = |at: &&usize| is_about(share(**at), f64::from(seen.serving(**at)));
    let is_most = refused.iter().filter(is_share).count() * 2 > refused.len();
    let one_in_n = || Clue::OneInN {
        share: mean(refused.iter().map(|at| share(*at))),
        instances: seen.serving(first),
    };
    let new = serves
        .find(is_new)
        .map(|second| Clue::SinceNewInstance { second });
    new.or_else(|| is_most.then(one_in_n))
        .filter(|_| !all_answer(seen, refused))
}

/// Returns true if names show that each serving instance answers its part.
fn all_answer(seen: &Seen<'_>, seconds: &[usize]) -> bool {
    let serving = seconds.iter().map(|at| seen.serving(*at)).max();
    let serving = serving.unwrap_or(0);
    let all = seen.tally(seconds.iter().copied()).ok;
    let own = |id: &str| -> u64 { seconds.iter().map(|at| seen.own(id, *at).tally.ok).sum() };
    let even = all as f64 / f64::from(serving.max(1));
    let answering = seen.of.results.instances();
    let answering = answering.filter(|id| own(id) as f64 >= even * EVEN).count();
    serving > 0 && answering >= serving as usize
}

/// Returns the clue that the load had been answered before: then it is not its height that has
/// connections refused.
fn held_as_much(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let first = *refused.first()?;
    let load = |second: usize| seen.of.load[second].demand;
    let is_held = |second: &usize| !seen.bad[*second] && seen.requests(*second) > 0;
    let held = (0..first).filter(is_held).map(load).fold(0.0, f64::max);
    let below: Vec<f64> = refused
        .iter()
        .map(|second| load(*second))
        .filter(|load| *load <= held)
        .collect();
    let missed = below.iter().copied().fold(f64::INFINITY, f64::min);
    (below.len() * 2 >= refused.len()).then_some(Clue::RefusedBelow { missed, held })
}
