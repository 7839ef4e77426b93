//! Too few instances: the chain from load to latency, shown step by step.

use std::collections::BTreeSet;

use super::seen::{FAR_BELOW, NEARLY, Seen};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, bottleneck};
use crate::alarms;

/// Seconds in a row that must hold for the limits to count as kept again.
const STEADY: usize = 3;
/// Missed seconds after a rise of the group's size, up to which the limits are kept for that rise.
const SOON: usize = 5;
/// Share of the seconds with more instances that may miss the limits again, as chance.
const CHANCE: f64 = 0.1;
/// Share of the longest p95 since the rise that the last one has, if a queue was worked off.
const SHORTER: f64 = 0.7;

/// Tests whether more instances would have helped in the seconds that nothing else explains.
/// `taken` are the seconds that another hypothesis explains, and `rivals` those that an open limit
/// may explain. `own` is the clue of a limit that each instance has for itself, with its seconds.
pub(super) fn test(
    seen: &Seen<'_>,
    taken: &BTreeSet<u32>,
    rivals: &BTreeSet<u32>,
    own: Option<(Clue, BTreeSet<u32>)>,
) -> Option<Hypothesis> {
    if !seen.is_any_bad() {
        return None;
    }
    let rest: BTreeSet<u32> = seen
        .all_bad()
        .map(|second| second as u32)
        .filter(|second| !taken.contains(second))
        .collect();
    let seconds: Vec<usize> = rest.iter().map(|second| *second as usize).collect();
    let Some(first) = seconds.first().copied() else {
        return Some(Hypothesis::new(
            Suspect::TooFewInstances,
            Standing::Excluded,
            Vec::new(),
        ));
    };
    // A limit in a few seconds says nothing of the others.
    let is_most = |of: &BTreeSet<u32>| rest.intersection(of).count() * 2 >= rest.len();
    let own = own.filter(|(_, of)| is_most(of)).map(|(clue, _)| clue);
    let mut pro: Vec<Clue> = [
        cured_beside(seen, &seconds, rivals),
        bottleneck::at_ceiling(seen, &seconds),
        only_above(seen, &seconds),
        own,
    ]
    .into_iter()
    .flatten()
    .collect();
    let contradicted: Vec<usize> = seen
        .contradicted()
        .into_iter()
        .filter(|second| rest.contains(&(*second as u32)))
        .collect();
    let against = contradicted.first().and_then(|second| {
        Some(Clue::MissedBelow {
            missed: seen.each(*second)?,
            held: seen.held_before(*second)?,
            seconds: contradicted.len() as u32,
        })
    });
    let early = missed_before(seen, &seconds);
    let strained = strained(seen, &seconds);
    let doubted = contradicted.len() * 2 >= seconds.len() || early.is_some() || strained.is_some();
    if doubted {
        pro.retain(|clue| !matches!(clue, Clue::OnlyAbove { .. }));
    }
    // Any limit by load holds up to one load of each instance, and not above it.
    let is_only_above = pro
        .iter()
        .all(|clue| matches!(clue, Clue::OnlyAbove { .. }));
    let has_rival = rest.intersection(rivals).count() * 2 >= rest.len();
    // So does one by load of something that all instances share, while these have room to spare.
    let room = room(seen, &seconds).filter(|_| is_only_above);
    let is_unshown = pro.is_empty() || (is_only_above && (has_rival || room.is_some()));
    let holds = !is_unshown && !doubted;
    let standing = if holds {
        Standing::Holds
    } else {
        Standing::Open
    };
    let mut found = Hypothesis::new(Suspect::TooFewInstances, standing, pro)
        .against(against.into_iter().chain(early).chain(strained).chain(room))
        .explains(&rest);
    if !holds {
        let grew = seconds
            .iter()
            .any(|at| seen.serving(*at) > seen.serving(first));
        found = found.told_by(if grew && !has_rival {
            TellingRun::Steps
        } else {
            TellingRun::MoreInstances
        });
    }
    Some(found)
}

/// Returns the clue that the limits were missed before the load rose, for most of that time and right
/// up to the rise, at a load of an instance that held them later: then it was not the load that missed
/// them.
fn missed_before(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let rose = seen.spikes.first()?.start;
    let held = seen.held_before(seen.bad.len())?;
    let loads = seconds.iter().take_while(|second| **second < rose);
    let loads = loads.filter_map(|second| seen.each(*second));
    let below: Vec<f64> = loads.filter(|each| *each <= held * FAR_BELOW).collect();
    let missed = below.iter().copied().max_by(f64::total_cmp)?;
    let is_most = below.len() >= STEADY && below.len() * 2 >= rose;
    let is_until_the_rise = (rose.saturating_sub(STEADY)..rose).any(|second| seen.bad[second]);
    (is_most && is_until_the_rise).then_some(Clue::MissedBefore {
        missed,
        held,
        seconds: below.len() as u32,
    })
}

/// Returns the clue that a generator was at its own limit in most of these seconds.
fn strained(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let doubtful = seen.of.results.doubtful_seconds();
    let is_doubtful = |second: &&usize| doubtful.contains(&(**second as u32));
    let strained = seconds.iter().filter(is_doubtful).count();
    (strained * 2 > seconds.len()).then_some(Clue::GeneratorMostly {
        seconds: strained as u32,
        of: seconds.len() as u32,
    })
}

/// Returns the clue that the CPU was far from its ceiling: the instances had room to spare.
fn room(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let seconds = seconds.iter().map(|second| *second as u32);
    let cpu = alarms::cpu(seen.of.timeline, seen.of.times.started, seconds)?;
    cpu.has_room().then_some(Clue::MetricBelowCeiling {
        metric: cpu.metric,
        usual: cpu.usual,
    })
}

/// Returns the clue of a cure for one of these seconds that no open limit may explain: that may have
/// passed by itself.
pub(super) fn cured_beside(
    seen: &Seen<'_>,
    seconds: &[usize],
    rivals: &BTreeSet<u32>,
) -> Option<Clue> {
    let is_own = |second: &usize| !rivals.contains(&(*second as u32));
    let of_no_rival: Vec<usize> = seconds.iter().copied().filter(is_own).collect();
    cured(seen, &of_no_rival, seconds)
}

/// Returns the clue that the limits held again under the same load once more instances served, and
/// that they were not missed again. `missed` are the seconds that missed a limit for no other reason,
/// and `all` those that speak against a cure if they come after the growth.
pub(super) fn cured(seen: &Seen<'_>, missed: &[usize], all: &[usize]) -> Option<Clue> {
    let last = seen.bad.len();
    missed.iter().find_map(|missed| {
        let (from, load) = (seen.serving(*missed), seen.of.load.get(*missed)?.demand);
        let is_as_much = |at: usize| seen.of.load[at].demand * NEARLY >= load;
        let is_same = |at: usize| is_as_much(at) && !seen.bad[at] && seen.requests(at) > 0;
        let held = (missed + 1..last.saturating_sub(STEADY))
            .find(|at| (*at..at + STEADY).all(is_same))
            .filter(|at| seen.serving(*at) > from && is_for_growth(seen, all, *at))?;
        let is_again = |at: &usize| {
            let is_more = seen.of.load[*at].demand > load * NEARLY;
            *at > held && seen.serving(*at) > from && is_as_much(*at) && !is_more
        };
        let kept = (held..last).filter(|at| seen.serving(*at) > from && is_same(*at));
        let again = all.iter().copied().filter(is_again).count();
        let is_kept = again as f64 <= kept.count() as f64 * CHANCE;
        is_kept.then(|| Clue::Cured {
            from,
            to: seen.serving(held),
        })
    })
}

/// Returns true if the limits held from a second on because the group grew: soon after that, or once
/// the queue that it left was worked off.
fn is_for_growth(seen: &Seen<'_>, seconds: &[usize], held: usize) -> bool {
    let rises = |at: &usize| seen.serving(*at) > seen.serving(at - 1);
    let Some(rose) = (1..=held).rev().find(rises) else {
        return false;
    };
    let since: Vec<usize> = seconds
        .iter()
        .copied()
        .filter(|at| (rose..held).contains(at))
        .collect();
    let p95 = |at: &usize| seen.of.load[*at].p95.unwrap_or(0);
    let longest = since.iter().map(p95).max().unwrap_or(0);
    let latest = since.last().map_or(0, p95);
    let is_queue = longest > seen.limit_us() && latest as f64 <= longest as f64 * SHORTER;
    since.len() <= SOON || is_queue
}

/// Returns the highest load of an instance that held and the lowest that missed, if the first is
/// lower.
fn only_above(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let held = seen.held_before(seen.bad.len())?;
    // A backlog is still answered when the load of each instance is low again.
    let first_of_row = |second: &&usize| **second == 0 || !seen.bad[**second - 1];
    let missed = seconds
        .iter()
        .filter(first_of_row)
        .filter_map(|second| {
            // The load of the first second is not whole.
            [*second, *second + 1]
                .into_iter()
                .filter_map(|at| seen.each(at))
                .max_by(f64::total_cmp)
        })
        .min_by(f64::total_cmp)?;
    (missed > held).then_some(Clue::OnlyAbove { held, missed })
}
