//! Judges the group at its maximum: the time that it was pinned there, and whether the target held
//! its limits.

use std::collections::BTreeSet;
use std::time::Duration;

use super::expectations::{AgainstLimit, SAME_LEVEL, against_limit, error_share, over};
use super::thresholds::ByOthers;
use super::{Answered, AtMaximum, Expectation, Finding, Measured, SizeReason, fresh};
use evidence::Facts;
use evidence::instances;
use evidence::load::{self, ERRORS, p95};
use model::measure::{Merged, Tally};
use model::outcome::Verdict;

/// Seconds in which the group was at its maximum although the load, or an alarm, asked for more.
struct Pinned {
    seconds: Vec<u32>,
    /// True if some of these seconds lie in a spike.
    is_spike: bool,
    /// Seconds to be judged, in spikes and besides them: all instances serve, and the earlier queue
    /// is worked off.
    in_spike: Vec<u32>,
    besides: Vec<u32>,
}

/// Returns `None` if the group was never pinned at its maximum, or if nothing was asked of it.
/// `changed` are the seconds that the load of others may have changed.
pub(super) fn judge(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Option<Finding> {
    if !facts.scenario.scaling.holds_at_maximum {
        return None;
    }
    let pinned = pinned(facts);
    if pinned.seconds.is_empty() {
        return None;
    }
    let (maximum, limit) = (facts.reaction.max, facts.limit);
    let spike = Served::of(facts, &pinned.in_spike);
    let besides = Served::of(facts, &pinned.besides);
    // A calm phase that held its limits says nothing of a spike that could not be judged.
    let asked = if pinned.is_spike { &spike } else { &besides };
    let missed = spike.is_missed(limit) || besides.is_missed(limit);
    let (verdict, reason) = if missed && is_by_generator(facts, &[&spike, &besides]) {
        (Verdict::Inconclusive, SizeReason::GeneratorSaturated)
    } else if missed {
        let p95_s = limit.map(Into::into);
        let suspects = facts.other_reasons();
        let reason = if !suspects.is_empty() {
            SizeReason::OtherReasons { suspects }
        } else if spike.is_missed(limit) && !is_crowded(facts, &pinned.in_spike) {
            SizeReason::NoInstanceOverloaded { maximum, p95_s }
        } else {
            SizeReason::MaximumTooSmall { maximum, p95_s }
        };
        (Verdict::Failed, reason)
    } else if asked.all.tally.requests() == 0 {
        (Verdict::Inconclusive, SizeReason::SpikeOverBeforeAllServed)
    } else {
        // Without a limit in the scenario nothing is judged.
        let p95_s = limit?.into();
        if p95(&asked.all).is_some() {
            (Verdict::Passed, SizeReason::HeldAtMaximum { p95_s })
        } else {
            let answers = asked.all.latency.count();
            let reason = SizeReason::TooFewAnswersAtMaximum { answers };
            (Verdict::Inconclusive, reason)
        }
    };
    let measured = Measured::Pinned {
        maximum,
        seconds: pinned.seconds.len() as u64,
        in_spike: spike.measured(),
        besides: besides.measured(),
    };
    let finding = Finding::of_group(Expectation::HoldsAtMaximum, verdict, measured, reason);
    let doubt = (finding.verdict == Verdict::Failed)
        .then(|| by_others(facts, changed, [&spike, &besides]))
        .flatten();
    Some(match doubt {
        Some(doubt) => doubt.on(finding),
        None => finding,
    })
}

/// Returns the doubt on all seconds that missed the limit; `None` if the load of others does not
/// explain some of them, and no generator does.
fn by_others(
    facts: &Facts<'_>,
    changed: &BTreeSet<u32>,
    all: [&Served<'_>; 2],
) -> Option<ByOthers> {
    let mut doubt = ByOthers::default();
    for served in all {
        if !served.is_missed(facts.limit) || is_by_generator(facts, &[served]) {
            continue;
        }
        let of_these = ByOthers::of(changed, served.seconds, |rest| {
            let rest = Served::of(facts, rest);
            rest.is_missed(facts.limit) && !is_by_generator(facts, &[&rest])
        });
        doubt = doubt.and(of_these?);
    }
    Some(doubt)
}

/// Returns true if these seconds missed the limit only by latency, and only where a generator was at
/// its own limit.
fn is_by_generator(facts: &Facts<'_>, all: &[&Served<'_>]) -> bool {
    all.iter()
        .filter(|served| served.is_missed(facts.limit))
        .all(|served| {
            let found = against_limit(facts.results, served.seconds, facts.limit);
            served.wrong() <= ERRORS && matches!(found, AgainstLimit::OverByGenerator)
        })
}

/// The answers of some seconds, and the part of them that is not due to the maximum.
struct Served<'a> {
    seconds: &'a [u32],
    all: Merged,
    /// Answers of new instances while they count as new; another expectation judges those.
    by_new: Tally,
    /// Errors that are there whatever the load.
    constant: u64,
}

impl<'a> Served<'a> {
    fn of(facts: &Facts<'_>, seconds: &'a [u32]) -> Self {
        let mut by_new = Tally::default();
        for one in &facts.reaction.launched {
            let fresh_for = facts.scenario.scaling.fresh_instances;
            let Some((from, until)) = fresh_for.and_then(|time| fresh::window(facts, one, time))
            else {
                continue;
            };
            for second in seconds
                .iter()
                .filter(|second| (from..until).contains(*second))
            {
                by_new.merge(
                    &facts
                        .results
                        .of_instance(&one.id, Some((*second, *second + 1)))
                        .tally,
                );
            }
        }
        Self {
            seconds,
            all: over(facts.results, seconds),
            by_new,
            constant: facts.baseline.likely(seconds),
        }
    }

    fn is_missed(&self, limit: Option<Duration>) -> bool {
        let slow = limit
            .zip(p95(&self.all))
            .is_some_and(|(limit, p95)| p95 > limit);
        self.all.tally.requests() > 0 && (slow || self.wrong() > ERRORS)
    }

    /// Returns the share of errors without new instances' answers; the share over all if nobody
    /// else answered.
    fn wrong(&self) -> f64 {
        match self
            .all
            .tally
            .requests()
            .saturating_sub(self.by_new.requests())
        {
            0 => error_share(&self.all),
            others => {
                let errors = self.all.tally.errors();
                // The new instances have their part of the constant errors.
                let part = others as f64 / self.all.tally.requests() as f64;
                let constant = (self.constant as f64 * part) as u64;
                errors.saturating_sub(self.by_new.errors() + constant) as f64 / others as f64
            }
        }
    }

    fn measured(&self) -> Option<AtMaximum> {
        (self.all.tally.requests() > 0).then(|| AtMaximum {
            answered: Answered::of(&self.all, self.seconds.len()),
            errors_of_new_instances: self.by_new.errors(),
        })
    }
}

/// Returns true if all instances were overloaded in most of those seconds that missed a limit, or if
/// the capacity is unknown. A spike that held says nothing of one that did not.
fn is_crowded(facts: &Facts<'_>, seconds: &[u32]) -> bool {
    let overload = facts.overload.sure();
    let limit = facts.limit.unwrap_or(Duration::MAX);
    let is_missed = |second: &&u32| {
        let second = facts.load.get(**second as usize);
        second.is_some_and(|second| load::is_missed(std::slice::from_ref(second), limit))
    };
    let missed: Vec<&u32> = seconds.iter().filter(is_missed).collect();
    let crowded = missed.iter().filter(|at| overload.over(***at as usize));
    !overload.is_known() || crowded.count() * 2 > missed.len()
}

fn pinned(facts: &Facts<'_>) -> Pinned {
    let length = facts.load.len();
    let (started, max) = (facts.times.started, facts.reaction.max);
    let (desired, serving, wanted) = (&facts.desired, &facts.serving, &facts.wanted_more);
    let level = |second: usize| facts.schedule.level_at(Duration::from_secs(second as u64));
    let base = (0..length)
        .map(level)
        .filter(|level| *level > 0.0)
        .fold(f64::INFINITY, f64::min);
    // Without any readable alarm, a load above its lowest level stands in for one.
    let blind = facts.alarms.is_empty();
    let loaded = |second: usize| blind && level(second) > base * (1.0 + SAME_LEVEL);
    let at_most = |second: &usize| max > 0 && desired[*second] >= max;
    let is = |second: &usize| at_most(second) && (wanted[*second] || loaded(*second));
    let queue = facts.overload.queue() as usize;
    // All instances must have served for longer than the queue takes to drain, or from the start.
    let full = |second: usize| {
        let before = (0..second)
            .rev()
            .take_while(|before| serving[*before] >= max)
            .count();
        serving[second] >= max && (before > queue || before == second)
    };
    let in_spike = |second: usize| {
        let at = instances::after(started, Duration::from_secs(second as u64));
        let spans = &facts.times.spikes;
        spans.iter().any(|span| {
            span.rose.is_some_and(|rose| at >= rose) && span.fell.is_none_or(|fell| at < fell)
        })
    };
    let seconds: Vec<usize> = (0..length).filter(is).collect();
    // In a spike, every second counts in which all instances serve. An alarm that turns quiet again
    // shows that the group held.
    let spike = (0..length).filter(|second| at_most(second) && in_spike(*second) && full(*second));
    let besides = seconds
        .iter()
        .filter(|second| !in_spike(**second) && full(**second));
    Pinned {
        is_spike: seconds.iter().any(|second| in_spike(*second)),
        in_spike: spike.map(|second| second as u32).collect(),
        besides: besides.map(|second| *second as u32).collect(),
        seconds: seconds.iter().map(|second| *second as u32).collect(),
    }
}

/// Judges the time in which an alarm asked for more than the maximum, under load that Spikeproof
/// does not send.
pub(super) fn of_a_watch(facts: &Facts<'_>) -> Finding {
    let maximum = facts.reaction.max;
    let seconds = facts
        .desired
        .iter()
        .zip(&facts.wanted_more)
        .filter(|(desired, wanted)| maximum > 0 && **desired >= maximum && **wanted)
        .count() as u64;
    let (verdict, measured, reason) = if seconds == 0 {
        let reason = SizeReason::NeverAskedForMore { maximum };
        (Verdict::Passed, Measured::Nothing, reason)
    } else {
        let measured = Measured::PinnedWhileAlarmed { maximum, seconds };
        (
            Verdict::Inconclusive,
            measured,
            SizeReason::HeldAtMaximumUnknown,
        )
    };
    Finding::of_group(Expectation::NotPinnedAtMaximum, verdict, measured, reason)
}

#[cfg(test)]
mod tests;
