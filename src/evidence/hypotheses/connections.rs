//! Connections that are refused, or closed before an answer, while those that are kept are answered
//! as usual: a limit on connections, not the capacity of the instances.

use std::collections::BTreeSet;

use super::refused::{explained, is_class, is_most, sum};
use super::seen::Seen;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, rates, second_of};
use crate::alarms;
use crate::timeline::series;
use model::measure::Tally;

/// Longest time around an instance's departure in which it refuses connections that the load balancer
/// still sends to it: health checks are slow, and so is a balancer that takes a target out.
const DEPARTS: u32 = 15;

/// Returns the hypothesis if most requests that failed had no connection.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    let departs = departures(seen);
    let bad: Vec<usize> = seen
        .all_bad()
        .filter(|second| !departs(*second as u32))
        .collect();
    let tally = seen.tally(bad.iter().copied());
    if !is_most(without(&tally), &tally) {
        return None;
    }
    let refused: Vec<usize> = bad
        .into_iter()
        .filter(|second| seen.serving(*second) > 0 && is_partly_refused(seen, *second))
        .collect();
    refused.first()?;
    let evidence = Evidence::of(seen, &refused);
    let standing = evidence.standing();
    let seconds: BTreeSet<u32> = match evidence.explains(standing) {
        true => explained(seen, without)
            .into_iter()
            .filter(|second| !departs(*second))
            .collect(),
        false => BTreeSet::new(),
    };
    let mut found = Hypothesis::new(Suspect::ConnectionLimit, standing, vec![counted(&tally)])
        .explains(&seconds);
    found.pro.extend(rejected(seen));
    found.pro.extend(evidence.growth);
    for clue in [evidence.latency, evidence.cpu, evidence.load]
        .into_iter()
        .flatten()
    {
        match clue {
            Clue::AnsweredAsUsual { .. } | Clue::MetricBelowCeiling { .. } => found.pro.push(clue),
            _ => found.against.push(clue),
        }
    }
    Some(match standing {
        Standing::Open => found.told_by(TellingRun::FewerConnections),
        Standing::Holds | Standing::Excluded => found,
    })
}

/// Returns a test of whether an instance that leaves may refuse connections in a second.
fn departures(seen: &Seen<'_>) -> impl Fn(u32) -> bool + use<> {
    let left = seen.of.reaction.left.iter();
    let began: Vec<u32> = left
        .filter_map(|one| second_of(seen.of.times, one.began.at))
        .collect();
    move |second| began.iter().any(|began| began.abs_diff(second) <= DEPARTS)
}

/// The clues that decide.
struct Evidence {
    latency: Option<Clue>,
    cpu: Option<Clue>,
    load: Option<Clue>,
    growth: Option<Clue>,
}

impl Evidence {
    fn of(seen: &Seen<'_>, refused: &[usize]) -> Self {
        Self {
            latency: rates::latency(seen, refused),
            cpu: cpu(seen, refused),
            load: held_as_much(seen, refused),
            growth: rates::growth(seen, refused),
        }
    }

    fn standing(&self) -> Standing {
        let is_busy = matches!(self.cpu, Some(Clue::MetricAtCeiling { .. }));
        let is_idle = matches!(self.cpu, Some(Clue::MetricBelowCeiling { .. }));
        let is_in_front = matches!(self.growth, Some(Clue::GrewWithoutGain { .. }));
        match self.latency {
            // An instance that is full refuses connections too.
            Some(Clue::AnsweredLate { .. }) => Standing::Excluded,
            _ if is_busy => Standing::Excluded,
            Some(Clue::AnsweredAsUsual { .. })
                if self.load.is_none() && (is_idle || is_in_front) =>
            {
                Standing::Holds
            }
            _ => Standing::Open,
        }
    }

    /// Returns true if its seconds are not those of too few instances. Where growth helped and no
    /// metric shows that instances were idle, they may have been full.
    fn explains(&self, standing: Standing) -> bool {
        let grew = matches!(self.growth, Some(Clue::GrewWithGain { .. }));
        match standing {
            Standing::Holds => true,
            Standing::Open => self.load.is_none() && self.latency.is_some() && !grew,
            Standing::Excluded => false,
        }
    }
}

/// Returns the number of requests that had no connection, or one that was closed unanswered.
fn without(tally: &Tally) -> u64 {
    tally.connect.saturating_sub(tally.unresolved) + tally.broken_unanswered
}

/// Returns true if most errors of a second had no connection, while others had one.
fn is_partly_refused(seen: &Seen<'_>, second: usize) -> bool {
    let tally = seen.merged[second].tally;
    tally.ok > 0 && is_class(&tally, without)
}

fn counted(tally: &Tally) -> Clue {
    Clue::NoConnection {
        refused: tally.connect.saturating_sub(tally.unresolved),
        closed: tally.broken_unanswered,
        of: tally.errors(),
    }
}

fn rejected(seen: &Seen<'_>) -> Option<Clue> {
    let connections = sum(seen, series::REJECTED);
    (connections > 0.0).then_some(Clue::BalancerRejected { connections })
}

fn cpu(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let seconds = refused.iter().map(|second| *second as u32);
    let cpu = alarms::cpu(seen.of.timeline, seen.of.times.started, seconds)?;
    Some(match cpu.is_at_ceiling() {
        true => Clue::MetricAtCeiling {
            metric: cpu.metric,
            highest: cpu.highest,
        },
        false => Clue::MetricBelowCeiling {
            metric: cpu.metric,
            usual: cpu.usual,
        },
    })
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
