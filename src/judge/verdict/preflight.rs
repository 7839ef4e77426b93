//! Finds causes that would make a run meaningless, before anything is created.

use std::time::Duration;

use super::{SuspendedProcess, Warning};
use evidence::Timeline;
use evidence::instances::{Why, after};
use evidence::moment::MomentKind;
use evidence::reaction::Reaction;
use evidence::timeline::{Alarm, GroupState};
use evidence::vocabulary::AlarmState;
use model::plan::Schedule;
use model::scenario::{PhaseRole, Scenario};
use model::units;

mod sight;

pub use sight::{Sight, Stretch, sights};

use sight::BASIC;

/// Returns a warning for each state of the group before the run that would harm the verdict.
pub fn warnings(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Vec<Warning> {
    let mut found = of_group(timeline);
    found.extend(too_short(scenario, schedule, timeline));
    found.extend(no_recovery(scenario, schedule, timeline));
    found
}

/// Returns true if the run has disproved a warning that was given before it.
pub fn is_disproved(
    warning: &Warning,
    scenario: &Scenario,
    schedule: &Schedule,
    timeline: &Timeline,
    reaction: &Reaction,
) -> bool {
    match warning {
        Warning::AlarmWithoutData { alarm } => timeline
            .alarms()
            .iter()
            .any(|known| known.name == *alarm && known.state != AlarmState::InsufficientData),
        Warning::SpikeTooShort { .. } => {
            let fell = reaction.moment(MomentKind::LoadFell);
            reaction
                .moment(MomentKind::Alarm)
                .is_some_and(|fired| fell.is_none_or(|fell| fired < fell))
        }
        Warning::RecoveryTooShort { .. } | Warning::LoadEndsWithItsSpike => {
            let rose = reaction.moment(MomentKind::LoadRose);
            let ended = rose
                .zip(first_spike(scenario, schedule))
                .map(|(rose, since)| after(rose, schedule.end().saturating_sub(since)));
            let left = |ended| {
                let mut left = reaction.left.iter();
                left.any(|one| one.why == Why::ScaledIn && one.began.at < ended)
            };
            ended.is_some_and(left)
        }
        _ => false,
    }
}

fn first_spike(scenario: &Scenario, schedule: &Schedule) -> Option<Duration> {
    let spike = scenario
        .phases
        .iter()
        .position(|phase| phase.role == PhaseRole::Spike)?;
    schedule.phase_starts().get(spike).copied()
}

/// Returns the warnings that do not depend on the load.
pub fn of_group(timeline: &Timeline) -> Vec<Warning> {
    let Some((_, group)) = timeline.groups().next_back() else {
        return Vec::new();
    };
    let mut found = of_size(group);
    found.extend(of_policies(group, timeline));
    for alarm in timeline.alarms() {
        found.extend(of_alarm(alarm));
    }
    if group.is_all_protected() {
        found.push(Warning::AllProtected {
            group: group.name.clone(),
        });
    }
    found.extend(of_surroundings(group, timeline));
    found.extend(basic_monitoring(timeline));
    if let Some((_, targets)) = timeline.targets().last() {
        let states = targets.targets.iter();
        let unhealthy = states.filter(|(_, state)| state.is_unhealthy()).count();
        found.extend((unhealthy > 0).then(|| Warning::UnhealthyTargets {
            group: group.name.clone(),
            targets: unhealthy as u64,
        }));
    }
    found.extend(timeline.gaps().map(|(_, gap)| Warning::CallFailed {
        call: gap.call.clone(),
        why: gap.why.clone(),
    }));
    found
}

fn of_size(group: &GroupState) -> Vec<Warning> {
    let mut found = Vec::new();
    if group.desired >= group.max {
        found.push(Warning::AtMaximum {
            group: group.name.clone(),
            maximum: group.max,
        });
    }
    for process in SuspendedProcess::ALL {
        if group.suspended.iter().any(|name| name == process.word()) {
            found.push(Warning::ProcessSuspended {
                group: group.name.clone(),
                process,
            });
        }
    }
    found
}

fn of_policies(group: &GroupState, timeline: &Timeline) -> Option<Warning> {
    let (policies, group) = (timeline.policies(), group.name.clone());
    let unread = ["DescribePolicies", "DescribeScalingPolicies"]
        .into_iter()
        .any(|call| timeline.lacking(call).is_some());
    if policies.is_empty() {
        return (!unread).then_some(Warning::NoPolicy { group });
    }
    policies
        .iter()
        .all(|policy| policy.scale_in_disabled)
        .then_some(Warning::ScaleInDisabled { group })
}

fn of_alarm(alarm: &Alarm) -> Vec<Warning> {
    let (name, period_s) = (alarm.name.clone(), alarm.period.into());
    let mut found = Vec::new();
    // An alarm that was made a moment ago has no data yet.
    if alarm.state == AlarmState::InsufficientData {
        found.push(Warning::AlarmWithoutData {
            alarm: name.clone(),
        });
    }
    if alarm.state == AlarmState::Alarm && alarm.is_high() {
        found.push(Warning::AlarmFired {
            alarm: name.clone(),
        });
    }
    if alarm.metric.is_none() {
        found.push(Warning::AlarmUnreadable {
            alarm: name.clone(),
            period_s,
        });
    }
    if alarm.period >= BASIC {
        found.push(Warning::SlowAlarm {
            alarm: name,
            period_s,
        });
    }
    found
}

fn of_surroundings(group: &GroupState, timeline: &Timeline) -> Vec<Warning> {
    let Some(surroundings) = timeline.surroundings() else {
        return Vec::new();
    };
    let refreshes = surroundings
        .refreshes
        .iter()
        .map(|refresh| Warning::Refresh {
            group: group.name.clone(),
            refresh: refresh.clone(),
        });
    let sticky = surroundings.target_groups.iter().filter(|one| one.sticky);
    let sticky = sticky.map(|one| Warning::StickySessions {
        target_group: one.arn.rsplit(':').next().unwrap_or(&one.arn).to_owned(),
    });
    refreshes.chain(sticky).collect()
}

/// Warns of metrics whose datapoints come less often than their alarms evaluate them.
fn basic_monitoring(timeline: &Timeline) -> Vec<Warning> {
    let mut found: Vec<Warning> = Vec::new();
    for alarm in timeline.alarms() {
        let (Some(metric), Some(_)) = (&alarm.metric, sight::spacing(alarm, timeline)) else {
            continue;
        };
        let warning = Warning::BasicMonitoring {
            metric: metric.clone(),
            alarm_period_s: alarm.period.into(),
        };
        if !found.contains(&warning) {
            found.push(warning);
        }
    }
    found
}

/// Compares the group under test with the group that it stands for. Each setting that differs makes
/// the verdict less valid for the other group.
pub fn differences(tested: &Timeline, like: &Timeline) -> Vec<Warning> {
    let (Some((_, ours)), Some((_, theirs))) =
        (tested.groups().next_back(), like.groups().next_back())
    else {
        return Vec::new();
    };
    let kinds = |group: &GroupState| {
        let mut kinds: Vec<String> = group
            .instances
            .iter()
            .map(|one| one.kind.clone())
            .filter(|kind| !kind.is_empty())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds.join(" and ")
    };
    let policies = |timeline: &Timeline| {
        let mut said: Vec<String> = timeline
            .policies()
            .into_iter()
            .map(|policy| match policy.target_value {
                Some(target) => format!(
                    "{} at {target}",
                    policy.metric.as_deref().unwrap_or("a metric of its own")
                ),
                None => policy.kind.to_string(),
            })
            .collect();
        said.sort();
        said.join(", ")
    };
    let time = |time: Option<Duration>| time.map_or("none".to_owned(), units::duration);
    let rows = [
        ("instance type", kinds(ours), kinds(theirs)),
        ("minimum", ours.min.to_string(), theirs.min.to_string()),
        ("maximum", ours.max.to_string(), theirs.max.to_string()),
        ("policies", policies(tested), policies(like)),
        (
            "default warm-up",
            time(ours.default_warm_up),
            time(theirs.default_warm_up),
        ),
        (
            "default cooldown",
            units::duration(ours.default_cooldown),
            units::duration(theirs.default_cooldown),
        ),
        (
            "health check",
            ours.health_check.clone(),
            theirs.health_check.clone(),
        ),
        (
            "health check grace",
            units::duration(ours.health_check_grace),
            units::duration(theirs.health_check_grace),
        ),
        (
            "zones",
            ours.zones.len().to_string(),
            theirs.zones.len().to_string(),
        ),
    ];
    let differs = |(what, ours_is, theirs_is): &(&str, String, String)| {
        // An empty value is unknown, for example the instance type of a group without instances.
        let known = !ours_is.is_empty() && !theirs_is.is_empty();
        (known && ours_is != theirs_is).then(|| Warning::Differs {
            group: ours.name.clone(),
            like: theirs.name.clone(),
            setting: (*what).to_owned(),
            value: ours_is.clone(),
            other: theirs_is.clone(),
        })
    };
    rows.iter().filter_map(differs).collect()
}

/// Warns of a spike that ends before any alarm can see it: such a spike cannot make the group grow.
fn too_short(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Option<Warning> {
    let all = sights(scenario, schedule, timeline);
    let mut spikes = all.iter().filter(|one| one.of != Stretch::AfterTheSpikes);
    let first = spikes.next()?;
    let quickest = spikes
        .filter(|one| one.of == first.of)
        .fold(first, |quickest, one| {
            if one.earliest < quickest.earliest {
                one
            } else {
                quickest
            }
        });
    (!quickest.is_enough()).then(|| Warning::SpikeTooShort {
        lasts_s: quickest.lasts.into(),
        window: quickest.window.clone(),
    })
}

/// Warns of a load that ends before an instance has left: it cannot show how requests fare
/// meanwhile.
fn no_recovery(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Option<Warning> {
    if !timeline.alarms().iter().any(|alarm| !alarm.is_high()) {
        return None;
    }
    let spike = scenario
        .phases
        .iter()
        .rposition(|phase| phase.role == PhaseRole::Spike)?;
    if spike + 1 == scenario.phases.len() {
        return Some(Warning::LoadEndsWithItsSpike);
    }
    let all = sights(scenario, schedule, timeline);
    let low = all.iter().filter(|one| one.of == Stretch::AfterTheSpikes);
    let slowest = low.max_by_key(|one| one.earliest)?;
    (!slowest.is_enough()).then(|| Warning::RecoveryTooShort {
        lasts_s: slowest.lasts.into(),
        window: slowest.window.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use crate::verdict::AlarmWindow;
    use evidence::testing::scenario;
    use evidence::testing::{alarm, at, whole_story};
    use evidence::timeline::{Observation, Observed, Policy, TargetHealth};

    fn said(change: impl FnOnce(&mut GroupState, &mut Vec<Policy>, &mut Alarm)) -> Vec<String> {
        let mut group = GroupState {
            name: "web".to_owned(),
            min: 1,
            max: 4,
            desired: 2,
            default_cooldown: Duration::from_mins(5),
            default_warm_up: None,
            instances: vec![],
            target_groups: vec![],
            suspended: vec![],
            ..GroupState::default()
        };
        let mut policies = vec![Policy {
            name: "cpu".to_owned(),
            kind: "TargetTrackingScaling".into(),
            target_value: Some(50.0),
            scale_in_disabled: false,
            warm_up: None,
            alarms: vec!["high".to_owned()],
            ..Policy::default()
        }];
        let mut alarm = Alarm {
            name: "high".to_owned(),
            state: "OK".into(),
            state_since: None,
            namespace: None,
            metric: Some("CPUUtilization".to_owned()),
            statistic: None,
            dimensions: vec![],
            comparison: "GreaterThanThreshold".into(),
            threshold: Some(50.0),
            period: Duration::from_secs(1),
            evaluation_periods: 3,
            datapoints_to_alarm: None,
            ..Alarm::default()
        };
        change(&mut group, &mut policies, &mut alarm);
        let mut seen = vec![Observed::Group(group), Observed::Alarm(alarm)];
        seen.extend(policies.into_iter().map(Observed::Policy));
        seen.push(Observed::Targets(TargetHealth {
            target_group: "web".to_owned(),
            targets: vec![],
        }));
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        let timeline = Timeline {
            observations: seen
                .into_iter()
                .map(|seen| Observation::new(at, seen))
                .collect(),
        };
        let scenario = scenario();
        warnings(&scenario, &Schedule::new(&scenario), &timeline)
            .iter()
            .map(words::warning)
            .collect()
    }

    #[test]
    fn a_sound_group_draws_no_warning_and_each_trap_draws_its_own() {
        assert_eq!(said(|_, _, _| {}), Vec::<String>::new());
        for (found, hint) in [
            (said(|group, _, _| group.desired = 4), "at its maximum of 4"),
            (
                said(|group, _, _| group.suspended = vec!["Launch".to_owned()]),
                "it cannot scale out",
            ),
            (said(|_, policies, _| policies.clear()), "no scaling policy"),
            (
                said(|_, policies, _| policies[0].scale_in_disabled = true),
                "scale-in disabled",
            ),
            (
                said(|_, _, alarm| alarm.state = "INSUFFICIENT_DATA".into()),
                "has no data",
            ),
            (
                said(|_, _, alarm| alarm.evaluation_periods = 10),
                "the spike lasts 10s, so the policy may not see it: it takes 11s",
            ),
            (
                said(|_, _, alarm| alarm.state = "ALARM".into()),
                "has fired already",
            ),
            (said(|_, _, alarm| alarm.metric = None), "could not be read"),
            (
                said(|_, _, alarm| {
                    alarm.comparison = "LessThanThreshold".into();
                    alarm.evaluation_periods = 15;
                }),
                "the load goes on for 10s after its spike, but it takes 16s until an instance has left",
            ),
        ] {
            assert!(
                found.len() == 1 && found[0].contains(hint),
                "{hint}: {found:?}"
            );
        }
        let basic = said(|_, _, alarm| alarm.period = BASIC);
        assert!(
            basic.iter().any(|found| found.contains("only every 5m")),
            "{basic:?}"
        );
    }

    /// The load rises at 20 s, falls at 30 s and ends at 40 s.
    #[test]
    fn what_the_run_has_shown_to_be_otherwise_is_said_no_more() {
        let scenario = scenario();
        let schedule = Schedule::new(&scenario);
        let given = [
            Warning::AlarmWithoutData {
                alarm: "high".to_owned(),
            },
            Warning::SpikeTooShort {
                lasts_s: Duration::from_secs(10).into(),
                window: AlarmWindow {
                    alarm: "high".to_owned(),
                    needs_s: Duration::from_secs(11).into(),
                    datapoints: 10,
                    period_s: Duration::from_secs(1).into(),
                    basic_monitoring: false,
                },
            },
            Warning::LoadEndsWithItsSpike,
            Warning::NoPolicy {
                group: "web".to_owned(),
            },
        ];
        let disproved = |observations: Vec<Observation>| {
            let timeline = Timeline { observations };
            let times = evidence::reaction::Times::new(&scenario, &schedule, at(0), None);
            let reaction = evidence::reaction::react(
                &scenario,
                &model::measure::Results::default(),
                &timeline,
                &times,
                &[],
                None,
            );
            given
                .each_ref()
                .map(|warning| is_disproved(warning, &scenario, &schedule, &timeline, &reaction))
        };
        // The alarm fired in the spike, although its window is as long as the spike. The first
        // instance left after the end of the load.
        let mut seen = whole_story();
        seen[1] = alarm("high", "GreaterThanThreshold", 50.0, 10);
        assert_eq!(disproved(seen), [true, true, false, false]);
        assert_eq!(disproved(vec![whole_story().remove(0)]), [false; 4]);
    }

    #[test]
    fn what_is_not_like_production_is_named_with_both_values() {
        let timeline = |kind: &str, max, target| {
            let instance = evidence::timeline::Instance {
                kind: kind.to_owned(),
                ..Default::default()
            };
            let group = GroupState {
                name: kind.to_owned(),
                max,
                instances: vec![instance],
                ..GroupState::default()
            };
            let policy = Policy {
                metric: Some("ASGAverageCPUUtilization".to_owned()),
                target_value: Some(target),
                ..Policy::default()
            };
            let at = "2026-03-01T12:00:00Z".parse().unwrap();
            let seen = [Observed::Group(group), Observed::Policy(policy)];
            Timeline {
                observations: seen
                    .into_iter()
                    .map(|seen| Observation::new(at, seen))
                    .collect(),
            }
        };
        let (tested, like) = (
            timeline("t3.micro", 4, 50.0),
            timeline("c7g.large", 40, 60.0),
        );
        assert_eq!(
            differences(&tested, &like)
                .iter()
                .map(words::warning)
                .collect::<Vec<_>>(),
            [
                "t3.micro is not like c7g.large: instance type t3.micro, not c7g.large",
                "t3.micro is not like c7g.large: maximum 4, not 40",
                "t3.micro is not like c7g.large: policies ASGAverageCPUUtilization at 50, not ASGAverageCPUUtilization at 60",
            ]
        );
        assert_eq!(differences(&tested, &tested), []);
    }
}
