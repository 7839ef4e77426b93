//! Something behind all instances: the group grows, and answers no more for it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::seen::{NEARLY, SETTLED, Seen, mean, median};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, timeouts};
use crate::alarms;
use crate::load::LEAST_REQUESTS;
use model::measure::Merged;

/// Factor by which the group must have grown for its growth to show anything.
pub(super) const GROWN: f64 = 1.25;
/// Share of the gain that the growth should bring, below which it brought none.
pub(super) const NO_GAIN: f64 = 0.3;
/// Gain from which new instances did answer something.
const HARDLY: f64 = 1.1;
/// Smallest gain that the growth should bring for the throughput to tell.
pub(super) const TELLING: f64 = 1.15;
/// Share of the load that a group answers which misses no throughput.
const ANSWERED: f64 = 0.9;
/// Share of the gain that the growth should bring, from which all of it came.
const FULL_GAIN: f64 = 0.8;
/// Share of the first latency above which it stayed as long.
const AS_SLOW: f64 = 0.7;
/// Fewest seconds with each size.
pub(super) const EARLY: usize = 2;
pub(super) const LATE: usize = 4;
/// Fewest seconds for which latency alone is compared.
const LONG: usize = 8;
/// Share of an even part that new instances must have answered.
const SERVED: f64 = 0.5;
/// Share of its mean before the growth that the metric of each instance has later, if it fell.
const FELL: f64 = 0.8;
/// Share of the serving instances that must be seen to answer.
const NEARLY_ALL: f64 = 0.9;

/// Tests each spike; the first in which the group grew without gain counts. `taken` are the seconds
/// that another hypothesis explains. Without names of instances, those that are new may get no
/// requests as well.
pub(super) fn test(seen: &Seen<'_>, taken: &BTreeSet<u32>) -> Vec<Hypothesis> {
    let spikes = seen.spikes.clone();
    let found = spikes
        .into_iter()
        .filter_map(|spike| in_spike(seen, &spike, taken))
        .max_by_key(|found| (found.holds(), found.count()));
    let needs_names = |found: &&Hypothesis| found.tells == Some(TellingRun::InstanceHeader);
    let uneven = found.as_ref().filter(needs_names).map(|found| Hypothesis {
        suspect: Suspect::UnevenLoad,
        ..found.clone()
    });
    found.into_iter().chain(uneven).collect()
}

fn in_spike(seen: &Seen<'_>, spike: &Range<usize>, taken: &BTreeSet<u32>) -> Option<Hypothesis> {
    let bad: Vec<usize> = seen
        .bad_in(spike.clone())
        .filter(|second| !taken.contains(&(*second as u32)))
        .collect();
    let from = seen.serving(*bad.first()?);
    let to = bad.iter().map(|second| seen.serving(*second)).max()?;
    let ratio = f64::from(to) / f64::from(from.max(1));
    if from == 0 || ratio < GROWN {
        return None;
    }
    let demand = |second: usize| seen.of.load[second].demand;
    let top = bad.iter().map(|second| demand(*second)).fold(0.0, f64::max);
    let is_full = |second: &&usize| demand(**second) * NEARLY >= top;
    // The first second after the rise is not whole.
    let early: Vec<usize> = bad
        .iter()
        .skip(1)
        .filter(is_full)
        .copied()
        .filter(|second| seen.serving(*second) == from)
        .collect();
    let late: Vec<usize> = bad
        .iter()
        .filter(is_full)
        .copied()
        .filter(|second| {
            let is_large = f64::from(seen.serving(*second)) >= f64::from(from) * ratio * 0.9;
            is_large && seen.serving(*second) > from && is_settled_large(seen, *second, from)
        })
        .collect();
    if early.len() < EARLY || late.len() < LATE {
        return None;
    }
    let explained = around(seen, spike, &bad);
    // Work that was given up takes the place of answers: such seconds show no throughput.
    let tells = |second: &usize| !timeouts::are_many(seen, *second);
    let telling: Vec<usize> = late.iter().copied().filter(tells).collect();
    if telling.len() * 2 < late.len() || part_holds(seen, &late) {
        return None;
    }
    let early: Vec<usize> = early.into_iter().filter(tells).collect();
    let (pro, standing) = gain(seen, (from, to), &early, &telling)?;
    let mut found = Hypothesis::new(Suspect::SharedBottleneck, standing, pro);
    if let Some(share) = new_share(seen, &late) {
        let clue = Clue::NewInstancesServed { share };
        let even = 1.0 - f64::from(from) / f64::from(to);
        if share < even * SERVED {
            // The new instances had hardly anything to do, so their number shows nothing.
            let all = around(seen, spike, &late);
            return Some(
                Hypothesis::new(Suspect::UnevenLoad, Standing::Holds, vec![clue]).explains(&all),
            );
        }
        if old_kept(seen, &early, &telling) {
            return None;
        }
        found.pro.push(clue);
    }
    // Waiting for something else may count as work.
    found = found.against(at_ceiling(seen, &late));
    found.pro.extend(fell(seen, &early, &late));
    if !is_spread(seen, &late, to) {
        // New instances may have had nothing to do, or answered less by themselves.
        found.standing = Standing::Open;
        let found = found.told_by(TellingRun::InstanceHeader);
        return Some(found.explains(&explained));
    }
    Some(match standing {
        Standing::Holds => found.explains(&explained),
        _ => found
            .explains(&late.iter().map(|second| *second as u32).collect())
            .told_by(TellingRun::MoreInstances),
    })
}

/// Returns true if names show that the answers come from as many instances as serve.
fn is_spread(seen: &Seen<'_>, seconds: &[usize], to: u32) -> bool {
    let all = mean(seconds.iter().map(|at| seen.requests(*at) as f64));
    let even = all / f64::from(to.max(1));
    let of = |id: &&str| {
        let own = |at: &usize| seen.own(id, *at).tally.requests() as f64;
        mean(seconds.iter().map(own)) >= even * SERVED
    };
    let answering = seen.of.results.instances().filter(of).count();
    seen.names_members() || answering as f64 >= f64::from(to) * NEARLY_ALL
}

/// Returns true if the old instances answer as much as before the growth: then what the new ones
/// answer comes on top of it, and nothing that all share is full.
fn old_kept(seen: &Seen<'_>, early: &[usize], late: &[usize]) -> bool {
    let is_new = |id: &str| seen.of.reaction.launched.iter().any(|one| one.id == id);
    let old = |seconds: &[usize]| {
        mean(
            seconds
                .iter()
                .map(|at| seen.others(*at, is_new).tally.ok as f64),
        )
    };
    let new = mean(
        late.iter()
            .map(|at| seen.others(*at, |id| !is_new(id)).tally.ok as f64),
    );
    let before = old(early);
    old(late) * NEARLY >= before && new >= before * (HARDLY - 1.0)
}

/// Returns these seconds, with those right before and after the spike that missed a limit as well:
/// the load rises within a second, and a backlog outlasts it.
pub(super) fn around(seen: &Seen<'_>, spike: &Range<usize>, bad: &[usize]) -> BTreeSet<u32> {
    let before = seen.bad_in(spike.start.saturating_sub(1)..spike.start);
    let later = (spike.end..seen.bad.len()).take_while(|second| seen.bad[*second]);
    let all = bad.iter().copied().chain(before).chain(later);
    all.map(|second| second as u32).collect()
}

/// Returns true if the group has been larger than at first for some seconds.
pub(super) fn is_settled_large(seen: &Seen<'_>, second: usize, from: u32) -> bool {
    second >= SETTLED && (second - SETTLED..second).all(|other| seen.serving(other) > from)
}

/// Compares throughput, or latency where throughput cannot tell.
fn gain(
    seen: &Seen<'_>,
    (from, to): (u32, u32),
    early: &[usize],
    late: &[usize],
) -> Option<(Vec<Clue>, Standing)> {
    let ok = |seconds: &[usize]| mean(seconds.iter().map(|at| seen.of.load[*at].answered()));
    let asked = mean(late.iter().map(|at| seen.of.load[*at].demand));
    let (before, later) = (ok(early), ok(late));
    let clue = Clue::GrewWithoutGain {
        from,
        to,
        before,
        later,
        asked,
    };
    if before <= 0.0 {
        return (later <= 0.0 && !early.is_empty()).then(|| (vec![clue], Standing::Holds));
    }
    let expected = (f64::from(to) / f64::from(from)).min(asked / before);
    if expected >= TELLING {
        let gains = |share: f64| later / before >= 1.0 + share * (expected - 1.0);
        let is_flat = !gains(NO_GAIN);
        // Without a header new instances may be weaker than old ones, or fail by themselves.
        let is_quick = late.iter().all(|at| !is_slow(seen, *at));
        let is_doubtful = is_quick || later / before > HARDLY;
        let standing = match is_doubtful && !seen.names_members() {
            true => Standing::Open,
            false => Standing::Holds,
        };
        if is_flat {
            return Some((vec![clue], standing));
        }
        // Where instances are too few, each answers as much as before. Old ones that keep their clients
        // may stay slow, while new ones answer the rest, or as much of it as comes to them.
        let are_too_few = later < asked * ANSWERED && gains(FULL_GAIN);
        let may_be_kept = !seen.names_members() && !are_too_few && stays(seen, late);
        let clues = slow_despite_growth(seen, (from, to), early, late).filter(|_| may_be_kept)?;
        return Some((clues, Standing::Open));
    }
    let mut clues = slow_despite_growth(seen, (from, to), early, late)?;
    let last = *late.last()?;
    let (each, held) = (seen.each(last)?, seen.held_before(early[0])?);
    if each <= held * NEARLY {
        clues.push(Clue::MissedBelow {
            missed: each,
            held,
            seconds: late.len() as u32,
        });
        return Some((clues, Standing::Holds));
    }
    Some((clues, Standing::Open))
}

/// Returns the clue that p95 stayed as long as before the growth.
fn slow_despite_growth(
    seen: &Seen<'_>,
    (from, to): (u32, u32),
    early: &[usize],
    late: &[usize],
) -> Option<Vec<Clue>> {
    let (before_us, later_us) = (usual(seen, early), usual(seen, late));
    let is_slow = later_us > seen.limit_us() && later_us as f64 >= before_us as f64 * AS_SLOW;
    (is_slow && late.len() >= LONG).then(|| {
        vec![Clue::SlowDespiteGrowth {
            from,
            to,
            before_us,
            later_us,
        }]
    })
}

/// Returns true if the last of these seconds are as slow as the first: a backlog would become
/// shorter.
fn stays(seen: &Seen<'_>, seconds: &[usize]) -> bool {
    let third = seconds.len() / 3;
    let (early, late) = (&seconds[..third], &seconds[seconds.len() - third..]);
    usual(seen, late) as f64 >= usual(seen, early) as f64 * AS_SLOW
}

/// Returns the median of the seconds' p95 in microseconds; zero without any.
fn usual(seen: &Seen<'_>, seconds: &[usize]) -> u64 {
    median(seconds.iter().filter_map(|at| seen.of.load[*at].p95)).unwrap_or(0)
}

/// Returns true if the second's p95 is over the limit.
fn is_slow(seen: &Seen<'_>, second: usize) -> bool {
    let p95 = seen.of.load.get(second).and_then(|load| load.p95);
    p95.is_some_and(|p95| p95 > seen.limit_us())
}

/// Returns true if the new instances hold the limits by themselves, or the old ones do: then nothing
/// is wrong that all share. Takes a header that names instances.
fn part_holds(seen: &Seen<'_>, seconds: &[usize]) -> bool {
    if !seen.names_members() {
        return false;
    }
    let is_new = |id: &str| seen.of.reaction.launched.iter().any(|one| one.id == id);
    let (mut new, mut old) = (Merged::default(), Merged::default());
    for second in seconds {
        new.merge(&seen.others(*second, |id| !is_new(id)));
        old.merge(&seen.others(*second, is_new));
    }
    let holds = |one: &Merged| one.tally.requests() >= LEAST_REQUESTS && seen.holds(one);
    holds(&new) || holds(&old)
}

/// Returns the share of answers that new instances gave; `None` without a header that names them.
fn new_share(seen: &Seen<'_>, seconds: &[usize]) -> Option<f64> {
    seen.names_members().then_some(())?;
    let is_new = |id: &str| seen.of.reaction.launched.iter().any(|one| one.id == id);
    let (mut new, mut all) = (0, 0);
    for second in seconds {
        all += seen.others(*second, |_| false).tally.requests();
        new += seen.others(*second, |id| !is_new(id)).tally.requests();
    }
    (all > 0).then(|| new as f64 / all as f64)
}

/// Returns the clue of a CPU metric that stayed at its ceiling: then the instances are at work.
pub(super) fn at_ceiling(seen: &Seen<'_>, seconds: &[usize]) -> Option<Clue> {
    alarms::ceiling(
        seen.of.timeline,
        seen.of.times.started,
        seconds.iter().map(|second| *second as u32),
    )
    .map(|(metric, highest)| Clue::MetricAtCeiling { metric, highest })
}

/// Returns the clue that the CPU of each instance fell while the group grew: the instances wait, and
/// have less to do.
fn fell(seen: &Seen<'_>, early: &[usize], late: &[usize]) -> Option<Clue> {
    let seconds = |of: &[usize]| of.iter().map(|second| *second as u32).collect();
    let both: [BTreeSet<u32>; 2] = [seconds(early), seconds(late)];
    let (metric, before, later) = alarms::cpu_means(
        seen.of.timeline,
        seen.of.times.started,
        [&both[0], &both[1]],
    )?;
    (later <= before * FELL).then_some(Clue::MetricFell {
        metric,
        before,
        later,
    })
}
