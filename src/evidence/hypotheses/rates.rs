//! The answers of a group while requests are refused: how many with few and with more instances, and
//! how quickly.

use super::Clue;
use super::bottleneck::{EARLY, GROWN, LATE, NO_GAIN, TELLING, is_settled_large};
use super::seen::{NEARLY, Seen, median};

/// Share of the gain that the growth should bring, from which it brought it.
const GAIN: f64 = 0.7;
/// Factor up to which a latency is the usual one.
const USUAL: f64 = 2.0;

/// Compares what is answered well under the same load, with the size at which requests were first
/// refused and with the largest later one. `refused` are the seconds in which they were. `None` where
/// the growth cannot tell.
pub(super) fn growth(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let first = *refused.first()?;
    let from = seen.serving(first);
    let demand = |second: usize| seen.of.load[second].demand;
    let top = refused.iter().map(|at| demand(*at)).fold(0.0, f64::max);
    let full: Vec<usize> = (first..seen.bad.len())
        .filter(|at| demand(*at) * NEARLY >= top && demand(*at) <= top * NEARLY)
        .collect();
    let to = full.iter().map(|at| seen.serving(*at)).max()?;
    let ratio = f64::from(to) / f64::from(from.max(1));
    if from == 0 || ratio < GROWN {
        return None;
    }
    // The first second after the rise is not whole, and a limit may let a burst pass.
    let early: Vec<usize> = refused
        .iter()
        .skip(1)
        .copied()
        .filter(|at| full.contains(at) && seen.serving(*at) == from)
        .collect();
    let is_large = |at: usize| f64::from(seen.serving(at)) >= f64::from(from) * ratio * 0.9;
    let late: Vec<usize> = full
        .into_iter()
        .filter(|at| is_large(*at) && is_settled_large(seen, *at, from))
        .collect();
    if early.len() < EARLY || late.len() < LATE {
        return None;
    }
    let answered = |seconds: &[usize]| {
        let each = seconds.iter().map(|at| seen.of.load[*at].answered() as u64);
        median(each).map(|answered| answered as f64)
    };
    let (before, later) = (answered(&early)?, answered(&late)?);
    if before <= 0.0 {
        return None;
    }
    let expected = ratio.min(top / before);
    let gain = (later / before - 1.0) / (expected - 1.0);
    match expected >= TELLING {
        true if gain <= NO_GAIN => Some(Clue::GrewWithoutGain {
            from,
            to,
            before,
            later,
            asked: top,
        }),
        true if gain >= GAIN => Some(Clue::GrewWithGain {
            from,
            to,
            before,
            later,
            asked: top,
        }),
        _ => None,
    }
}

/// Says whether the answers of some seconds took as long as usual: as in the seconds before them
/// that held the limits. `None` where either is not known.
pub(super) fn latency(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let first = *seconds.first()?;
    let p95 = |at: &usize| seen.of.load[*at].p95;
    let held = (0..first).filter(|at| !seen.bad[*at]);
    let usual_us = median(held.filter_map(|at| p95(&at)))?;
    let p95_us = median(seconds.iter().filter_map(p95))?;
    Some(match p95_us as f64 > usual_us as f64 * USUAL {
        true => Clue::AnsweredLate { p95_us, usual_us },
        false => Clue::AnsweredAsUsual { p95_us, usual_us },
    })
}
