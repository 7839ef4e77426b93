//! Finds the alarm that fired, its time and its breaching datapoint: from its history, or else from
//! its state and its metric.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::vocabulary::AlarmState;
use crate::instances::{SECOND, after};
use crate::moment::Origin;
use crate::timeline::{Alarm, AlarmChange, Datapoint, Decision, MetricSeries, Observed, Timeline};

/// An alarm's transition to ALARM.
pub(crate) struct Fired<'a> {
    /// The alarm with its settings.
    pub alarm: &'a Alarm,
    /// Time of the transition to ALARM.
    pub at: Timestamp,
    /// Start of the first datapoint that breached, and its value.
    pub breach: Option<(Timestamp, f64)>,
    /// True if the transition is inferred from the alarm's state and its metric, because its
    /// history is missing.
    pub inferred: bool,
}

impl<'a> Fired<'a> {
    fn of_history(alarm: &'a Alarm, change: &AlarmChange) -> Self {
        let first = change
            .datapoints
            .iter()
            .find(|point| alarm.breached_by(point.value));
        Self {
            alarm,
            at: change.at,
            breach: first.map(|point| (point.at, point.value)),
            inferred: false,
        }
    }

    /// Returns the origin for a moment of this transition.
    pub(crate) fn origin(&self) -> Origin {
        match self.inferred {
            false => Origin::AlarmHistory,
            true => Origin::AlarmState,
        }
    }
}

/// Returns the last transition of the decision's alarm before the decision.
pub(crate) fn behind<'a>(timeline: &'a Timeline, decision: &Decision) -> Option<Fired<'a>> {
    let name = decision.alarm.as_deref()?;
    // The time in a cause has whole seconds, so the alarm fired by the end of that second.
    let by = after(decision.at, SECOND);
    let changes = timeline.alarm_changes().into_iter().rev();
    let mut changes = changes
        .filter(|change| change.to == AlarmState::Alarm && change.alarm == name && change.at <= by);
    let alarm = timeline
        .alarms()
        .into_iter()
        .find(|alarm| alarm.name == name);
    alarm
        .zip(changes.next())
        .map(|(alarm, change)| Fired::of_history(alarm, change))
}

/// Returns the first transition to ALARM at or after `from`: of the alarm `named`, or else of any
/// alarm that is high (or low, if `high` is false).
pub(crate) fn first<'a>(
    timeline: &'a Timeline,
    from: Timestamp,
    named: Option<&str>,
    high: bool,
) -> Option<Fired<'a>> {
    let alarms = timeline.alarms();
    let wanted = |alarm: &Alarm| match named {
        Some(name) => alarm.name == name,
        None => alarm.is_high() == high,
    };
    let of_history = timeline.alarm_changes().into_iter().find_map(|change| {
        let alarm = alarms.iter().find(|alarm| alarm.name == change.alarm)?;
        (change.at >= from && change.to == AlarmState::Alarm && wanted(alarm))
            .then(|| Fired::of_history(alarm, change))
    });
    of_history.or_else(|| inferred(timeline, from, wanted))
}

/// Infers the transition from the state that polling saw, and the breach from the metric's
/// datapoints.
fn inferred(
    timeline: &Timeline,
    from: Timestamp,
    wanted: impl Fn(&Alarm) -> bool,
) -> Option<Fired<'_>> {
    let (alarm, at) = timeline
        .observations
        .iter()
        .find_map(|one| match &one.seen {
            Observed::Alarm(alarm) if alarm.state == AlarmState::Alarm && wanted(alarm) => {
                Some((alarm, alarm.state_since.filter(|since| *since >= from)?))
            }
            _ => None,
        })?;
    let points = timeline
        .metric_of(alarm)
        .map(|series| series.points.as_slice());
    let before: Vec<&Datapoint> = points
        .unwrap_or_default()
        .iter()
        .filter(|point| point.at < at)
        .collect();
    let run = before
        .iter()
        .rev()
        .take_while(|point| alarm.breached_by(point.value));
    let breach = run.last().map(|point| (point.at, point.value));
    Some(Fired {
        alarm,
        at,
        breach,
        inferred: true,
    })
}

/// Returns the name of an alarm that asks for more and was in ALARM when the load began.
pub(crate) fn before(timeline: &Timeline, started: Timestamp) -> Option<String> {
    let mut alarmed: Option<String> = None;
    for one in timeline
        .observations
        .iter()
        .take_while(|one| one.at <= started)
    {
        let Observed::Alarm(alarm) = &one.seen else {
            continue;
        };
        match alarm.state {
            _ if !alarm.is_high() => {}
            AlarmState::Alarm => alarmed = Some(alarm.name.clone()),
            _ if alarmed.as_ref() == Some(&alarm.name) => alarmed = None,
            _ => {}
        }
    }
    alarmed
}

/// Returns, for each second from `started` on, whether any alarm that asks for more was in ALARM at
/// its end, or asked a service that was at its maximum. States come from the alarms' history and
/// from polling.
pub(crate) fn wanted_more(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<bool> {
    let alarms = timeline.alarms();
    let mut states: Vec<(Timestamp, &str, bool)> = Vec::new();
    for one in &timeline.observations {
        match &one.seen {
            Observed::Alarm(seen) => {
                states.push((one.at, &seen.name, seen.state == AlarmState::Alarm));
            }
            Observed::AlarmChange(change) => {
                states.push((change.at, &change.alarm, change.to == AlarmState::Alarm));
            }
            _ => {}
        }
    }
    states.retain(|(_, name, _)| {
        alarms
            .iter()
            .any(|alarm| alarm.name == *name && alarm.is_high())
    });
    states.sort_by_key(|(at, ..)| *at);
    let refused: Vec<Timestamp> = timeline.not_grown().iter().map(|(at, _)| *at).collect();
    let (mut next, mut fired) = (0, Vec::new());
    let of = |second: usize| after(started, std::time::Duration::from_secs(second as u64 + 1));
    (0..seconds)
        .map(|second| {
            while let Some((_, name, is)) = states.get(next).filter(|(at, ..)| *at <= of(second)) {
                fired.retain(|known| known != name);
                if *is {
                    fired.push(*name);
                }
                next += 1;
            }
            let begins = after(started, std::time::Duration::from_secs(second as u64));
            let is_in = |at: &Timestamp| *at >= begins && *at < of(second);
            !fired.is_empty() || refused.iter().any(is_in)
        })
        .collect()
}
/// Share of its ceiling from which a metric counts as at it.
const AT_CEILING: f64 = 0.9;

/// Returns the CPU metric of a policy with its highest value, if its usual datapoint in these
/// seconds of the load is at its ceiling. Only CPU has one.
pub(crate) fn ceiling(
    timeline: &Timeline,
    started: Timestamp,
    seconds: impl Iterator<Item = u32>,
) -> Option<(String, f64)> {
    let cpu = cpu(timeline, started, seconds)?;
    cpu.is_at_ceiling().then_some((cpu.metric, cpu.highest))
}

/// The CPU metric of a policy in some seconds of the load, in percent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cpu {
    /// Name of the metric.
    pub metric: String,
    /// Its median datapoint.
    pub usual: f64,
    /// Its highest datapoint.
    pub highest: f64,
}

impl Cpu {
    /// Returns true if it shows that the instances are at work all the time.
    pub(crate) fn is_at_ceiling(&self) -> bool {
        self.usual >= CPU_CEILING * AT_CEILING
    }

    /// Returns true if it shows that the instances have little to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.usual <= CPU_CEILING * IDLE
    }

    /// Returns true if it shows that the instances could have done more.
    pub(crate) fn has_room(&self) -> bool {
        self.usual <= CPU_CEILING * ROOM
    }
}

/// Share of its ceiling up to which a metric shows instances that have little to do. It is an average
/// over the instances, and over all cores of one that may use a single core.
const IDLE: f64 = 0.4;
/// Share of its ceiling up to which a metric shows instances with room to spare. Answers become late
/// before all of it is used.
const ROOM: f64 = 0.7;

/// Returns the CPU metric of a policy in these seconds of the load; `None` without a datapoint whose
/// whole period lies in them.
pub(crate) fn cpu(
    timeline: &Timeline,
    started: Timestamp,
    seconds: impl Iterator<Item = u32>,
) -> Option<Cpu> {
    let seconds: BTreeSet<u32> = seconds.collect();
    let mut all = cpu_of_policies(timeline);
    all.find_map(|(metric, series)| {
        let mut values = within(series, started, &seconds);
        values.sort_by(f64::total_cmp);
        let usual = *values.get(values.len() / 2)?;
        let highest = *values.last()?;
        Some(Cpu {
            metric,
            usual,
            highest,
        })
    })
}

/// Returns the CPU metric of a policy with its means in these seconds and in those, if both have
/// datapoints. It is an average over the instances.
pub(crate) fn cpu_means(
    timeline: &Timeline,
    started: Timestamp,
    [these, those]: [&BTreeSet<u32>; 2],
) -> Option<(String, f64, f64)> {
    let mean = |series, seconds| {
        let values = within(series, started, seconds);
        let sum: f64 = values.iter().sum();
        (!values.is_empty()).then(|| sum / values.len() as f64)
    };
    cpu_of_policies(timeline)
        .find_map(|(metric, series)| Some((metric, mean(series, these)?, mean(series, those)?)))
}

fn cpu_of_policies(timeline: &Timeline) -> impl Iterator<Item = (String, &MetricSeries)> {
    timeline.alarms().into_iter().filter_map(|alarm| {
        let metric = alarm.metric.clone().filter(|name| name == CPU)?;
        Some((metric, timeline.metric_of(alarm)?))
    })
}

/// Returns the datapoints whose whole period lies in these seconds of the load.
fn within(series: &MetricSeries, started: Timestamp, seconds: &BTreeSet<u32>) -> Vec<f64> {
    let period = series.period.as_secs().max(1) as u32;
    let points = series.points.iter().filter(|point| {
        let from = crate::instances::second(started, point.at);
        from.is_some_and(|from| (from..from + period).all(|at| seconds.contains(&at)))
    });
    points.map(|point| point.value).collect()
}

/// The CPU metric of EC2 and ECS, in percent.
const CPU: &str = "CPUUtilization";
const CPU_CEILING: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activity, alarm, at, change, not_scaled};
    use crate::timeline::NotScaled;

    /// The alarm of a service may not be readable; the attempts of its policy tell as much.
    #[test]
    fn a_service_that_was_refused_more_had_been_asked_for_more() {
        let maximum = NotScaled::AtMaximum { maximum: Some(4) };
        let minimum = NotScaled::AtMinimum { minimum: Some(1) };
        let observations = vec![
            not_scaled(2, "unread", maximum),
            not_scaled(3, "unread", minimum),
            not_scaled(4, "unread", NotScaled::AnticipatedFlapping),
        ];
        let timeline = Timeline { observations };
        let wanted = wanted_more(&timeline, at(0), 6);
        assert_eq!(wanted, [false, false, true, false, false, false]);
    }

    #[test]
    fn a_change_to_ok_is_never_the_alarm_behind_a_decision() {
        let mut back = change(20, "high", &[(19, 90.0)]);
        if let Observed::AlarmChange(change) = &mut back.seen {
            (change.from, change.to) = ("ALARM".into(), "OK".into());
        }
        let fired_at = |observations| {
            let timeline = Timeline { observations };
            let decision = timeline.activities()[0].decisions().remove(0);
            (
                behind(&timeline, &decision).map(|fired| fired.at),
                first(&timeline, at(0), None, true).map(|fired| fired.at),
            )
        };
        let story = || {
            vec![
                alarm("high", "GreaterThanThreshold", 50.0, 1),
                activity(24, "Launching a new EC2 instance: i-2", 1, 2),
            ]
        };
        let to_ok = [story(), vec![back.clone()]].concat();
        assert_eq!(fired_at(to_ok), (None, None));
        let both = [story(), vec![back, change(23, "high", &[(22, 90.0)])]].concat();
        assert_eq!(fired_at(both), (Some(at(23)), Some(at(23))));
    }
}
