//! Too few instances: the chain from load to latency, shown step by step.

use std::collections::BTreeSet;

use super::seen::{NEARLY, Seen};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, bottleneck};

/// Seconds in a row that must hold for the limits to count as kept again.
const STEADY: usize = 3;

/// Tests whether more instances would have helped in the seconds that nothing else explains.
/// `taken` are the seconds that another hypothesis explains.
pub(super) fn test(seen: &Seen<'_>, taken: &BTreeSet<u32>) -> Option<Hypothesis> {
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
    let mut pro: Vec<Clue> = [
        cured(seen, &seconds),
        bottleneck::at_ceiling(seen, &seconds),
        only_above(seen, &seconds),
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
    let doubted = contradicted.len() * 2 >= seconds.len();
    if doubted {
        pro.retain(|clue| !matches!(clue, Clue::OnlyAbove { .. }));
    }
    let holds = !pro.is_empty() && !doubted;
    let standing = if holds {
        Standing::Holds
    } else {
        Standing::Open
    };
    let mut found = Hypothesis::new(Suspect::TooFewInstances, standing, pro)
        .against(against)
        .explains(&rest);
    if !holds {
        let grew = seconds
            .iter()
            .any(|at| seen.serving(*at) > seen.serving(first));
        found = found.told_by(if grew {
            TellingRun::Steps
        } else {
            TellingRun::MoreInstances
        });
    }
    Some(found)
}

/// Returns the clue that the limits held again under the same load with more instances.
pub(super) fn cured(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let last = seen.bad.len();
    seconds.iter().find_map(|missed| {
        let (from, load) = (seen.serving(*missed), seen.of.load.get(*missed)?.demand);
        let is_same = |at: usize| {
            let now = seen.of.load[at].demand;
            now * NEARLY >= load && !seen.bad[at] && seen.requests(at) > 0
        };
        let held = (missed + 1..last.saturating_sub(STEADY))
            .find(|at| (*at..at + STEADY).all(is_same))
            .filter(|at| seen.serving(*at) > from)?;
        Some(Clue::Cured {
            from,
            to: seen.serving(held),
        })
    })
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
