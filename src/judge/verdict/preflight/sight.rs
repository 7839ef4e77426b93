//! Compares the length of each spike, and of the load after it, with the time that the group's
//! alarms need to see them.

use std::time::Duration;

use crate::verdict::AlarmWindow;
use evidence::Timeline;
use evidence::timeline::Alarm;
use model::plan::Schedule;
use model::scenario::{PhaseRole, Scenario};

/// Period of basic monitoring. Detailed monitoring has one datapoint a minute.
pub(super) const BASIC: Duration = Duration::from_mins(5);
/// The namespace whose metrics have basic monitoring. Others have gaps where nothing happened.
const EC2: &str = "AWS/EC2";

/// A stretch of the load, and an alarm that should see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The stretch of the load.
    pub of: Stretch,
    /// Length of that stretch.
    pub lasts: Duration,
    /// The alarm, with the length that the stretch needs.
    pub window: AlarmWindow,
    /// The shortest time after which the alarm fires. CloudWatch's time to publish and evaluate
    /// comes on top.
    pub earliest: Duration,
    /// Time for which an instance drains after a low alarm; zero for a high one.
    pub drains: Duration,
}

/// A stretch of the load that an alarm should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// The spike of this name.
    Spike(String),
    /// The low load after the last spike.
    AfterTheSpikes,
}

impl Sight {
    /// Returns true if the stretch is long enough: for a spike until the alarm sees it, for the low
    /// load until an instance has left.
    pub fn is_enough(&self) -> bool {
        self.lasts >= self.window.needs_s.0
    }

    /// Returns true if the stretch is long enough for the alarm's datapoints, where the first of
    /// them begins with it.
    pub fn may_be_enough(&self) -> bool {
        self.lasts >= self.earliest + self.drains
    }
}

/// Returns each spike with each alarm for more capacity, and the load after the last spike with each
/// alarm for less.
pub fn sights(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Vec<Sight> {
    let spikes = spikes(scenario, schedule);
    let Some((_, _, last_end)) = spikes.last() else {
        return Vec::new();
    };
    let low_load = schedule.end().saturating_sub(*last_end);
    let drains = timeline.longest_drain();
    let (high, low): (Vec<&Alarm>, Vec<&Alarm>) = timeline
        .alarms()
        .into_iter()
        .partition(|alarm| alarm.is_high());
    let mut found = Vec::new();
    for (name, from, to) in &spikes {
        found.extend(high.iter().map(|alarm| {
            let of = Stretch::Spike(name.clone());
            sight(of, *to - *from, alarm, timeline, Duration::ZERO)
        }));
    }
    if !low_load.is_zero() {
        found.extend(
            low.iter()
                .map(|alarm| sight(Stretch::AfterTheSpikes, low_load, alarm, timeline, drains)),
        );
    }
    found
}

fn sight(
    of: Stretch,
    lasts: Duration,
    alarm: &Alarm,
    timeline: &Timeline,
    drains: Duration,
) -> Sight {
    let spacing = spacing(alarm, timeline);
    let period = spacing.unwrap_or(alarm.period);
    let earliest = period * alarm.datapoints();
    // A datapoint's period need not begin with the stretch: it may take one more period to fill
    // them all.
    let needs = earliest + period + drains;
    Sight {
        of,
        lasts,
        window: AlarmWindow {
            alarm: alarm.name.clone(),
            needs_s: needs.into(),
            datapoints: alarm.datapoints(),
            period_s: period.into(),
            basic_monitoring: spacing.is_some(),
        },
        earliest,
        drains,
    }
}

/// Returns the spikes: their names, and when each begins and ends. Phases in a row are one spike.
fn spikes(scenario: &Scenario, schedule: &Schedule) -> Vec<(String, Duration, Duration)> {
    let starts = schedule.phase_starts();
    let mut found: Vec<(String, Duration, Duration)> = Vec::new();
    let mut is_in_spike = false;
    for (index, phase) in scenario.phases.iter().enumerate() {
        let from = starts.get(index).copied().unwrap_or(schedule.end());
        let to = starts.get(index + 1).copied().unwrap_or(schedule.end());
        let was_in_spike = std::mem::replace(&mut is_in_spike, phase.role == PhaseRole::Spike);
        match found.last_mut().filter(|_| was_in_spike) {
            _ if !is_in_spike => {}
            Some(spike) => spike.2 = to,
            None => found.push((phase.name.clone(), from, to)),
        }
    }
    found
}

/// Returns the time between two datapoints of an alarm on an EC2 metric, if they come less often than
/// the alarm's period: instances with basic monitoring publish every five minutes.
pub(super) fn spacing(alarm: &Alarm, timeline: &Timeline) -> Option<Duration> {
    if alarm.namespace.as_deref() != Some(EC2) || alarm.period >= BASIC {
        return None;
    }
    let points = &timeline.metric_of(alarm)?.points;
    let gap = points
        .windows(2)
        .map(|pair| evidence::instances::between(pair[0].at, pair[1].at))
        .min()?;
    (gap >= BASIC).then_some(gap)
}

#[cfg(test)]
mod tests {
    use super::super::warnings;
    use super::*;
    use crate::report::words;
    use evidence::testing::at;
    use evidence::timeline::{
        Datapoint, GroupState, MetricSeries, Observation, Observed, Policy, Surroundings,
        TargetGroup,
    };
    use model::scenario::{LoadPhase, Model, example};

    const MINUTE: u64 = 60;

    /// A target-tracking group as AWS makes it: 3 datapoints of a minute for more capacity, 15 for
    /// less, and 30 s to drain. Its metric has a datapoint every so many seconds.
    fn group_of_minutes(every: u32) -> Timeline {
        let alarm = |name: &str, comparison: &str, datapoints| Alarm {
            name: name.to_owned(),
            state: "OK".into(),
            namespace: Some(EC2.to_owned()),
            metric: Some("CPUUtilization".to_owned()),
            comparison: comparison.into(),
            threshold: Some(50.0),
            period: Duration::from_mins(1),
            evaluation_periods: datapoints,
            ..Alarm::default()
        };
        let policy = Policy {
            alarms: vec!["web-high".to_owned(), "web-low".to_owned()],
            ..Policy::default()
        };
        let points = (0..3).map(|point| Datapoint {
            at: at(point * every),
            value: 20.0,
        });
        let series = MetricSeries {
            name: MetricSeries::name_of_policy_metric("CPUUtilization"),
            unit: "%".to_owned(),
            period: Duration::from_mins(1),
            points: points.collect(),
            alarms: vec!["web-high".to_owned(), "web-low".to_owned()],
        };
        let target_group = TargetGroup {
            deregistration_delay: Duration::from_secs(30),
            ..TargetGroup::default()
        };
        let group = GroupState {
            name: "web".to_owned(),
            max: 4,
            desired: 2,
            ..GroupState::default()
        };
        let seen = [
            Observed::Group(group),
            Observed::Surroundings(Surroundings {
                target_groups: vec![target_group],
                ..Surroundings::default()
            }),
            Observed::Policy(policy),
            Observed::Alarm(alarm("web-high", "GreaterThanThreshold", 3)),
            Observed::Alarm(alarm("web-low", "LessThanThreshold", 15)),
            Observed::Metric(series),
        ];
        let observations = seen.into_iter().map(|one| Observation::new(at(0), one));
        Timeline {
            observations: observations.collect(),
        }
    }

    /// A minute of low load, a spike and a recovery, in seconds.
    fn scenario(spike: u64, recovery: u64) -> Scenario {
        let phase = |name: &str, level, seconds, role| -> LoadPhase {
            example::phase(name, Model::Rate, level, Duration::from_secs(seconds), role)
        };
        example::scenario(vec![
            phase("sustained", 2.0, MINUTE, PhaseRole::Baseline),
            phase("spike", 10.0, spike, PhaseRole::Spike),
            phase("recovery", 2.0, recovery, PhaseRole::Recovery),
        ])
    }

    fn said(spike: u64, recovery: u64, every: u32) -> (Vec<String>, Vec<String>) {
        let (scenario, timeline) = (scenario(spike, recovery), group_of_minutes(every));
        let schedule = Schedule::new(&scenario);
        let sights = sights(&scenario, &schedule, &timeline);
        let warnings = warnings(&scenario, &schedule, &timeline);
        (
            sights.iter().map(words::sight).collect(),
            warnings.iter().map(words::warning).collect(),
        )
    }

    #[test]
    fn what_is_too_short_for_an_alarm_is_named_with_the_length_that_it_takes() {
        let (sights, warnings) = said(2 * MINUTE, MINUTE, 60);
        assert_eq!(
            sights,
            [
                "spike lasts 2m: web-high cannot see it, 3 datapoints of 1m take a spike of at least 4m",
                "low load after it lasts 1m: web-low asks for less after 15m to 16m (15 datapoints of 1m), and an instance \
                 drains for up to 30s: what requests suffer meanwhile is seen if the low load lasts 16m30s"
            ]
        );
        assert_eq!(
            warnings,
            [
                "the spike lasts 2m, but the policy needs 4m of load to see it (alarm web-high: 3 datapoints of 1m, and the \
                 one it begins in)",
                "the load goes on for 1m after its spike, but it takes 16m30s until an instance has left (alarm web-low: 15 \
                 datapoints of 1m, and the one it begins in): instances leave when nothing is sent any more, and what requests \
                 suffer cannot be told"
            ]
        );
    }

    /// Between as many periods as the alarm has datapoints and one more, the spike is seen only if a
    /// datapoint begins with it.
    #[test]
    fn a_spike_of_just_the_alarms_datapoints_may_be_seen() {
        let sight = |spike| said(spike, 16 * MINUTE + 30, 60).0.remove(0);
        assert!(sight(3 * MINUTE - 1).contains("web-high cannot see it"));
        for lasts in [3 * MINUTE, 4 * MINUTE - 1] {
            let found = sight(lasts);
            let may = "web-high may not see it, 3 datapoints of 1m take a spike of 3m to 4m";
            assert!(found.ends_with(may), "{found}");
        }
        assert!(sight(4 * MINUTE).contains("web-high fires after 3m to 4m"));
        let (sights, warnings) = said(3 * MINUTE + 30, 16 * MINUTE + 30, 60);
        assert!(sights[0].starts_with("spike lasts 3m30s: "), "{sights:?}");
        assert_eq!(
            warnings,
            [
                "the spike lasts 3m30s, so the policy may not see it: it takes 4m of load to be sure (alarm web-high: 3 \
                 datapoints of 1m, and the one it begins in)"
            ]
        );
    }

    #[test]
    fn what_is_long_enough_is_said_with_the_time_that_it_takes() {
        let (sights, warnings) = said(4 * MINUTE, 16 * MINUTE + 30, 60);
        assert_eq!(
            sights,
            [
                "spike lasts 4m: web-high fires after 3m to 4m (3 datapoints of 1m)",
                "low load after it lasts 16m30s: web-low asks for less after 15m to 16m (15 datapoints of 1m), and an \
                 instance drains for up to 30s"
            ]
        );
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn with_basic_monitoring_a_datapoint_takes_five_minutes() {
        let (sights, warnings) = said(4 * MINUTE, 20 * MINUTE, 300);
        assert_eq!(
            sights,
            [
                "spike lasts 4m: web-high cannot see it, 3 datapoints, one every 5m by basic monitoring, take a spike of at \
                 least 20m",
                "low load after it lasts 20m: web-low asks for less after 1h15m to 1h20m (15 datapoints, one every 5m by \
                 basic monitoring), and an instance drains for up to 30s: what requests suffer meanwhile is seen if the low \
                 load lasts 1h20m30s"
            ]
        );
        assert!(
            warnings.iter().any(|one| one.contains("turn detailed"))
                && warnings.iter().any(|one| one.contains("needs 20m of load"))
                && warnings.iter().any(|one| one.contains("1h20m30s")),
            "{warnings:?}"
        );
    }

    #[test]
    fn phases_in_a_row_are_one_spike_and_without_any_nothing_is_compared() {
        let mut scenario = scenario(MINUTE, MINUTE);
        let names = |scenario: &Scenario| {
            let found = spikes(scenario, &Schedule::new(scenario));
            found
                .into_iter()
                .map(|(name, from, to)| (name, (to - from).as_secs()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&scenario), [("spike".to_owned(), 60)]);
        scenario.phases[2].role = PhaseRole::Spike;
        assert_eq!(names(&scenario), [("spike".to_owned(), 120)]);
        for phase in &mut scenario.phases {
            phase.role = PhaseRole::Baseline;
        }
        let schedule = Schedule::new(&scenario);
        assert_eq!(sights(&scenario, &schedule, &group_of_minutes(60)), []);
    }

    #[test]
    fn gaps_in_the_metric_of_a_balancer_are_no_basic_monitoring() {
        let mut timeline = group_of_minutes(300);
        for one in &mut timeline.observations {
            if let Observed::Alarm(alarm) = &mut one.seen {
                alarm.namespace = Some("AWS/ApplicationELB".to_owned());
            }
        }
        let alarms = timeline.alarms();
        assert_eq!(spacing(alarms[0], &timeline), None);
    }
}
