//! The answers of a group while requests are refused: how many with few and with more instances, and
//! how quickly.

use std::ops::Range;

use super::Clue;
use super::bottleneck::{EARLY, GROWN, LATE, NO_GAIN, TELLING, is_settled_large};
use super::seen::{NEARLY, Seen, mean, median};

/// Share of the gain that the growth should bring, from which it brought it.
const GAIN: f64 = 0.7;
/// Seconds after a growth in which new instances may not answer their whole part yet.
const FRESH: usize = 2;
/// Factor up to which a latency is the usual one.
const USUAL: f64 = 2.0;
/// The least by which a late one is longer, in microseconds, and the least share of the limit that
/// it has: quick answers take a few milliseconds more under load.
const LONGER_US: u64 = 20_000;
const OF_LIMIT: f64 = 0.25;

/// Compares what is answered well under the same load of a spike, with the size at which requests were
/// first refused and with the largest later one. `refused` are the seconds in which they were. The
/// spike with the largest growth counts. `None` where the growth cannot tell.
pub(super) fn growth(seen: &Seen<'_>, refused: &[usize]) -> Option<Clue> {
    let whole = 0..seen.bad.len();
    let spikes = seen.spikes.iter();
    let no_spike = seen.spikes.is_empty().then_some(&whole);
    let found = spikes
        .chain(no_spike)
        .filter_map(|spike| in_spike(seen, refused, spike));
    found
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, clue)| clue)
}

/// Compares them in one spike, and returns the factor by which the group grew as well.
fn in_spike(seen: &Seen<'_>, refused: &[usize], spike: &Range<usize>) -> Option<(f64, Clue)> {
    let refused = refused.iter().copied().filter(|at| spike.contains(at));
    let refused: Vec<usize> = refused.collect();
    let first = *refused.first()?;
    let from = seen.serving(first);
    let demand = |second: usize| seen.of.load[second].demand;
    let top = refused.iter().map(|at| demand(*at)).fold(0.0, f64::max);
    let full: Vec<usize> = (first..spike.end)
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
    let few: Vec<usize> = full
        .iter()
        .copied()
        .filter(|at| seen.serving(*at) == from)
        .collect();
    let late: Vec<usize> = full
        .into_iter()
        .filter(|at| is_large(*at) && is_settled_large(seen, *at, from))
        .collect();
    if late.len() < LATE {
        return None;
    }
    let answered = |seconds: &[usize]| {
        let each = seconds.iter().map(|at| seen.of.load[*at].answered() as u64);
        median(each).map(|answered| answered as f64)
    };
    let is_enough = early.len() >= EARLY;
    let before =
        over_windows(seen, &refused, &few).or_else(|| answered(&early).filter(|_| is_enough))?;
    let of_windows = over_windows(seen, &refused, &late);
    let later = of_windows.or_else(|| answered(&late))?;
    if before <= 0.0 {
        return None;
    }
    let expected = ratio.min(top / before);
    let gain_to = |later: f64| (later / before - 1.0) / (expected - 1.0);
    let gain = gain_to(later);
    // A limit with one window of time refuses as much with more instances, until the window ends.
    let still: Vec<usize> = refused
        .iter()
        .copied()
        .filter(|at| *at >= FRESH && is_large(*at) && seen.serving(*at - FRESH) > from)
        .collect();
    let is_flat = of_windows.is_none()
        && still.len() >= EARLY
        && answered(&still).is_some_and(|at| gain_to(at) < GAIN);
    let clue = match expected >= TELLING {
        true if gain <= NO_GAIN => Clue::GrewWithoutGain {
            from,
            to,
            before,
            later,
            asked: top,
        },
        true if gain >= GAIN && !is_flat => Clue::GrewWithGain {
            from,
            to,
            before,
            later,
            asked: top,
        },
        _ => return None,
    };
    Some((ratio, clue))
}

/// Returns what is answered well per second, over whole windows of a limit: each lasts from the first
/// second of a row of refusals to that of the next. `None` where requests are refused all the time, or
/// in one row only. The first window may be longer than it looks, since it began before the load rose.
fn over_windows(seen: &Seen<'_>, refused: &[usize], seconds: &[usize]) -> Option<f64> {
    let is_refused = |at: usize| refused.binary_search(&at).is_ok();
    let begins = |at: usize| is_refused(at) && !is_refused(at.saturating_sub(1));
    let first = refused.first().copied();
    let starts: Vec<usize> = seconds.iter().copied().filter(|at| begins(*at)).collect();
    let windows = starts.windows(2).map(|pair| pair[0]..pair[1]);
    let is_whole =
        |window: &Range<usize>| window.clone().all(|at| seconds.binary_search(&at).is_ok());
    let mut whole: Vec<Range<usize>> = windows.filter(is_whole).collect();
    if whole.len() > 1 && whole.first().map(|window| window.start) == first {
        whole.remove(0);
    }
    let answered = whole.iter().cloned().flatten();
    let of = |at: usize| seen.of.load[at].answered();
    (!whole.is_empty()).then(|| mean(answered.map(of)))
}

/// Says whether the answers of some seconds took as long as usual: as in the seconds before them
/// that held the limits. `None` where either is not known, or quick answers took a little longer.
pub(super) fn latency(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    let first = *seconds.first()?;
    let p95 = |at: &usize| seen.of.load[*at].p95;
    let held = (0..first).filter(|at| !seen.bad[*at]);
    let usual_us = median(held.filter_map(|at| p95(&at)))?;
    let p95_us = median(seconds.iter().filter_map(p95))?;
    let late_us = (usual_us + LONGER_US).max((seen.limit_us() as f64 * OF_LIMIT) as u64);
    match p95_us as f64 > usual_us as f64 * USUAL {
        true if p95_us > late_us => Some(Clue::AnsweredLate { p95_us, usual_us }),
        true => None,
        false => Some(Clue::AnsweredAsUsual { p95_us, usual_us }),
    }
}
