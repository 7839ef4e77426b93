//! Judges policies that asked for nothing, although limits were missed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::held;
use crate::verdict::{MetricReach, ScaleOutReason};
use evidence::instances::{after, group_at, second};
use evidence::timeline::{Alarm, MetricSeries};
use evidence::{Clue, Facts, Suspect};
use model::outcome::Verdict;

/// Fewest seconds of a spike that missed a limit for its load not to count as too low.
pub(super) const LEAST_MISSED: usize = 3;

/// Returns the finding on policies that did not answer missed limits; `None` where no spike missed
/// them.
pub(super) fn judge(facts: &Facts<'_>) -> Option<(Verdict, ScaleOutReason)> {
    blind(facts).or_else(|| unanswered(facts))
}

/// Returns the finding if the metric does not see the load.
fn blind(facts: &Facts<'_>) -> Option<(Verdict, ScaleOutReason)> {
    let mut all = facts.hypotheses.iter();
    let found = all.find(|one| one.suspect == Suspect::BlindMetric)?;
    let reason = found.pro.iter().find_map(|clue| match clue {
        Clue::MetricBelow {
            metric,
            highest,
            threshold,
        } => Some(ScaleOutReason::MetricDoesNotSeeTheLoad {
            metric: metric.clone(),
            highest: *highest,
            threshold: *threshold,
            open: !found.holds(),
        }),
        _ => None,
    })?;
    // Where more instances may not have helped, the policy need not have asked for them.
    let verdict = match found.holds() {
        true => Verdict::Failed,
        false => Verdict::Inconclusive,
    };
    Some((verdict, reason))
}

/// Returns the finding if limits were missed below the threshold, or for a shorter time than the
/// alarm needs. It fails if the run shows that more instances would have helped.
fn unanswered(facts: &Facts<'_>) -> Option<(Verdict, ScaleOutReason)> {
    let Some(missed) = missed(facts) else {
        let others = |spike| facts.explained.skip.range(spike).count() >= LEAST_MISSED;
        let is_any = spikes(facts).any(others);
        return is_any.then_some((Verdict::Inconclusive, ScaleOutReason::MissedForOtherReasons));
    };
    let lasted = Duration::from_secs(u64::from(missed.end() - missed.start() + 1));
    let windows = facts.high_alarms().map(Alarm::window);
    if let Some(window) = windows.min().filter(|window| lasted < *window) {
        let reason = ScaleOutReason::ShorterThanTheAlarm {
            missed_s: lasted.into(),
            window_s: window.into(),
        };
        return Some((Verdict::Inconclusive, reason));
    }
    let alarms: Vec<&Alarm> = facts.high_alarms().collect();
    let metrics = alarms.iter().map(|alarm| reach(facts, alarm, &missed));
    let is_below = |alarm: &&Alarm| is_below(facts, alarm, &missed);
    let is_shown = !alarms.is_empty() && alarms.iter().all(is_below) && would_have_helped(facts);
    let verdict = match is_shown {
        true => Verdict::Failed,
        false => Verdict::Inconclusive,
    };
    let reason = ScaleOutReason::ThresholdNotReached {
        missed_s: lasted.into(),
        metrics: metrics.collect(),
        open: !is_shown,
    };
    Some((verdict, reason))
}

/// Returns true if too few instances hold by more than the load at which limits were missed: what
/// all instances share has such a load, too.
fn would_have_helped(facts: &Facts<'_>) -> bool {
    let is_shown = |clue: &Clue| matches!(clue, Clue::Cured { .. } | Clue::MetricAtCeiling { .. });
    held(facts, Suspect::TooFewInstances).is_some_and(|found| found.pro.iter().any(is_shown))
}

/// Returns the spikes in seconds of the load.
fn spikes<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = RangeInclusive<u32>> + 'a {
    let of = |at| second(facts.times.started, at).unwrap_or_default();
    facts.times.spikes.iter().map(move |span| {
        let until = span.fell.map_or(facts.load.len() as u32, of);
        span.rose.map_or(0, of)..=until.saturating_sub(1)
    })
}

/// Returns the time from the first to the last second of a spike that missed a limit for no other
/// reason, while the group could have grown; `None` for too few such seconds.
fn missed(facts: &Facts<'_>) -> Option<RangeInclusive<u32>> {
    let mut all = facts.hypotheses.iter();
    let too_few = all.find(|one| one.suspect == Suspect::TooFewInstances)?;
    let seconds = too_few
        .seconds
        .iter()
        .flat_map(|(from, until)| *from..*until);
    let seconds: BTreeSet<u32> = seconds.collect();
    let of_spike = |spike: RangeInclusive<u32>| {
        let own: Vec<u32> = seconds.range(spike).copied().collect();
        let (first, last) = (*own.first()?, *own.last()?);
        (own.len() >= LEAST_MISSED && could_grow(facts, first)).then_some(first..=last)
    };
    spikes(facts).find_map(of_spike)
}

fn could_grow(facts: &Facts<'_>, second: u32) -> bool {
    let at = after(facts.times.started, Duration::from_secs(second.into()));
    group_at(facts.timeline, at).is_none_or(|group| group.desired < group.max)
}

/// Returns the datapoints that lie within some seconds, by the whole of their period or by a part of
/// it.
fn points(
    facts: &Facts<'_>,
    series: &MetricSeries,
    missed: &RangeInclusive<u32>,
    is_whole: bool,
) -> Vec<f64> {
    let period = series.period.as_secs().max(1) as u32;
    let lies = |from: u32| {
        let last = from + period - 1;
        match is_whole {
            true => missed.contains(&from) && missed.contains(&last),
            false => from <= *missed.end() && last >= *missed.start(),
        }
    };
    let mut found = Vec::new();
    for point in &series.points {
        if second(facts.times.started, point.at).is_some_and(lies) {
            found.push(point.value);
        }
    }
    found
}

fn reach(facts: &Facts<'_>, alarm: &Alarm, missed: &RangeInclusive<u32>) -> MetricReach {
    let series = facts.timeline.metric_of(alarm);
    let points = series.map(|series| points(facts, series, missed, false));
    let highest = points.into_iter().flatten().reduce(f64::max);
    MetricReach {
        metric: alarm.metric.clone().unwrap_or_else(|| alarm.name.clone()),
        highest,
        threshold: alarm.threshold,
        reached: highest.is_some_and(|highest| alarm.breached_by(highest)),
    }
}

/// Returns true if enough whole datapoints for the alarm lie within these seconds, and none of them,
/// nor one that does so in part, breaches.
fn is_below(facts: &Facts<'_>, alarm: &Alarm, missed: &RangeInclusive<u32>) -> bool {
    let Some(series) = facts.timeline.metric_of(alarm) else {
        return false;
    };
    let is_enough = points(facts, series, missed, true).len() >= alarm.datapoints() as usize;
    is_enough && !reach(facts, alarm, missed).reached
}

#[cfg(test)]
mod tests;
