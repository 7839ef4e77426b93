//! A policy whose metric does not see the load. Something that all instances share looks the same
//! until more of them serve.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::seen::{Seen, mean};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, growth, second_of};
use crate::instances;
use crate::timeline::{Alarm, MetricSeries, series};

/// Fewest seconds of a spike that missed a limit.
const LEAST: usize = 5;
/// Share of the threshold that a metric which does not see the load stays below.
const NEAR: f64 = 0.7;
/// Factor by which a metric must have risen to have seen the load.
const ROSE: f64 = 1.5;

/// Returns the hypothesis if limits were missed for longer than the alarm needs, and the metric of
/// every policy stayed below its threshold. The limits must have held before. It is open where the
/// run does not show that more instances would have helped.
pub(super) fn test(
    seen: &Seen<'_>,
    taken: &BTreeSet<u32>,
    rivals: &BTreeSet<u32>,
) -> Option<Hypothesis> {
    let unexplained = |spike: &Range<usize>| {
        let bad = seen.bad_in(spike.clone());
        bad.filter(|second| !taken.contains(&(*second as u32)))
            .collect::<Vec<usize>>()
    };
    let spike = seen
        .spikes
        .iter()
        .find(|spike| unexplained(spike).len() >= LEAST && !grew_in(seen, spike))?;
    let held_before = spike.start > 0 && seen.bad_in(0..spike.start).count() * 2 < spike.start;
    if !held_before {
        return None;
    }
    let bad = unexplained(spike);
    let missed = *bad.first()?..*bad.last()? + 1;
    if is_at_maximum(seen, missed.start) {
        return None;
    }
    let alarms: Vec<&Alarm> = seen
        .of
        .timeline
        .alarms()
        .into_iter()
        .filter(|alarm| alarm.is_high())
        .collect();
    let mut clues = Vec::new();
    for alarm in &alarms {
        clues.push(below(seen, alarm, &missed)?);
    }
    if clues.is_empty() {
        return None;
    }
    let before = 0..spike.start;
    clues.extend(others(seen, &alarms, &before, &missed));
    // The same cure as that of too few instances.
    let rest: Vec<usize> = seen
        .all_bad()
        .filter(|second| !taken.contains(&(*second as u32)))
        .collect();
    let cured = growth::cured_beside(seen, &rest, rivals);
    let standing = match cured {
        Some(_) => Standing::Holds,
        None => Standing::Open,
    };
    clues.extend(cured);
    let found = Hypothesis::new(Suspect::BlindMetric, standing, clues);
    Some(match standing {
        Standing::Open => found.told_by(TellingRun::MoreInstances),
        _ => found,
    })
}

/// Returns true if the group may not grow, whatever its metric shows.
fn is_at_maximum(seen: &Seen<'_>, second: usize) -> bool {
    let at = instances::after(seen.of.times.started, Duration::from_secs(second as u64));
    let group = instances::group_at(seen.of.timeline, at);
    group.is_some_and(|group| group.desired >= group.max)
}

fn grew_in(seen: &Seen<'_>, spike: &Range<usize>) -> bool {
    let second = |at| second_of(seen.of.times, at).map_or(0, |at| at as usize);
    let mut resized = seen.of.reaction.resized.iter();
    resized.any(|one| one.to > one.from && spike.contains(&second(one.at)))
}

/// Returns the datapoints of a series that lie within some seconds.
fn within<'a>(
    seen: &'a Seen<'_>,
    series: &'a MetricSeries,
    seconds: &'a Range<usize>,
) -> impl Iterator<Item = f64> + 'a {
    let period = series.period.as_secs() as usize;
    series.points.iter().filter_map(move |point| {
        let from = second_of(seen.of.times, point.at)? as usize;
        (from >= seconds.start && from + period <= seconds.end).then_some(point.value)
    })
}

/// Returns the clue that an alarm's metric stayed below its threshold for the alarm's whole window;
/// `None` if it did not, or if too few datapoints show it.
fn below(seen: &Seen<'_>, alarm: &Alarm, missed: &Range<usize>) -> Option<Clue> {
    let series = seen.of.timeline.metric_of(alarm)?;
    let (threshold, metric) = (alarm.threshold?, alarm.metric.clone()?);
    let points: Vec<f64> = within(seen, series, missed).collect();
    let highest = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lasted = Duration::from_secs(missed.len() as u64);
    let is_enough = points.len() as u32 >= alarm.datapoints() && lasted >= alarm.window();
    // A metric near its threshold sees the load: the threshold is too high.
    let is_blind = highest < threshold * NEAR && metric != PER_TARGET;
    (is_enough && is_blind).then_some(Clue::MetricBelow {
        metric,
        highest,
        threshold,
    })
}

/// Returns the metrics that rose with the load, without those of the policies.
fn others(
    seen: &Seen<'_>,
    alarms: &[&Alarm],
    before: &Range<usize>,
    missed: &Range<usize>,
) -> Vec<Clue> {
    let each = |seconds: &Range<usize>| mean(seconds.clone().filter_map(|at| seen.each(at)));
    let own = Clue::WouldHaveSeen {
        metric: PER_TARGET.to_owned(),
        before: each(before),
        during: each(missed),
    };
    let is_shared = seen.of.timeline.shares_balancer();
    let watched = |series: &&MetricSeries| {
        if is_shared && series::counted_for(&series.name) == series::CountedFor::Balancer {
            return false;
        }
        let of = |alarm: &&&Alarm| series.alarms.contains(&alarm.name);
        !alarms.iter().any(|alarm| of(&alarm))
    };
    let rose = |series: &MetricSeries| Clue::WouldHaveSeen {
        metric: series.name.clone(),
        before: mean(within(seen, series, before)),
        during: mean(within(seen, series, missed)),
    };
    let series = seen.of.timeline.metrics().filter(watched).map(rose);
    std::iter::once(own)
        .chain(series)
        .filter(|clue| {
            matches!(clue, Clue::WouldHaveSeen { before, during, .. }
                if *before > 0.0 && during / before >= ROSE)
        })
        .collect()
}

/// The load of each instance, which a load balancer publishes under this name.
pub(super) const PER_TARGET: &str = "RequestCountPerTarget";
