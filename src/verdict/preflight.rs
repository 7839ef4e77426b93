//! What would make a run meaningless, said before anything is created.

use std::time::Duration;

use crate::evidence::Timeline;
use crate::evidence::instances::{Why, after};
use crate::evidence::moment::MomentKind;
use crate::evidence::reaction::Reaction;
use crate::evidence::timeline::{Alarm, Gap, GroupState};
use crate::evidence::vocabulary::AlarmState;
use crate::plan::Schedule;
use crate::scenario::{Role, Scenario};
use crate::units;

/// Detailed monitoring has a datapoint a minute, basic monitoring one in five.
const BASIC: Duration = Duration::from_secs(300);

/// One sentence for each thing about the group, as it was before the run, that the verdict would
/// suffer from.
pub fn warnings(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Vec<String> {
    let mut found = of_group(timeline);
    found.extend(too_short(scenario, schedule, timeline));
    found.extend(no_recovery(scenario, schedule, timeline));
    found
}

/// Of what was said before the run, what it has shown to be otherwise.
pub fn outlived(
    scenario: &Scenario,
    schedule: &Schedule,
    timeline: &Timeline,
    reaction: &Reaction,
) -> Vec<String> {
    let mut found: Vec<String> = timeline
        .alarms()
        .iter()
        .filter(|alarm| alarm.state != AlarmState::InsufficientData)
        .map(|alarm| no_data(alarm))
        .collect();
    let fell = reaction.moment(MomentKind::LoadFell);
    if reaction
        .moment(MomentKind::Alarm)
        .is_some_and(|fired| fell.is_none_or(|fell| fired < fell))
    {
        found.extend(too_short(scenario, schedule, timeline));
    }
    let ended = reaction
        .moment(MomentKind::LoadRose)
        .zip(first_spike(scenario, schedule))
        .map(|(rose, since)| {
            let load = after(rose, schedule.end().saturating_sub(since));
            reaction
                .left
                .iter()
                .any(|one| one.why == Why::ScaledIn && one.began.at < load)
        });
    if ended == Some(true) {
        found.extend(no_recovery(scenario, schedule, timeline));
    }
    found
}

fn first_spike(scenario: &Scenario, schedule: &Schedule) -> Option<Duration> {
    let spike = scenario
        .phases
        .iter()
        .position(|phase| phase.role == Role::Spike)?;
    schedule.phase_starts().get(spike).copied()
}

/// One that was made a moment ago has none yet.
fn no_data(alarm: &Alarm) -> String {
    format!(
        "the alarm {} has no data: its policy will not act",
        alarm.name
    )
}

/// Whatever the load.
pub fn of_group(timeline: &Timeline) -> Vec<String> {
    let mut found = Vec::new();
    let Some((_, group)) = timeline.groups().next_back() else {
        return found;
    };
    let name = &group.name;
    if group.desired >= group.max {
        found.push(format!(
            "the group {name} is at its maximum of {} already: it cannot scale out",
            group.max
        ));
    }
    for (process, effect) in [
        ("Launch", "it cannot scale out"),
        ("Terminate", "it cannot scale in"),
        ("AlarmNotification", "its policies do not hear their alarms"),
        ("AddToLoadBalancer", "new instances take no load"),
    ] {
        if group.suspended.iter().any(|suspended| suspended == process) {
            found.push(format!(
                "the group {name} has the process {process} suspended: {effect}"
            ));
        }
    }
    let policies = timeline.policies();
    let unread = ["DescribePolicies", "DescribeScalingPolicies"]
        .into_iter()
        .any(|call| timeline.lacking(call).is_some());
    if policies.is_empty() && !unread {
        found.push(format!(
            "the group {name} has no scaling policy: nothing will answer the load"
        ));
    }
    if !policies.is_empty() && policies.iter().all(|policy| policy.scale_in_disabled) {
        found.push(format!(
            "every policy of {name} has scale-in disabled: the group will not come back"
        ));
    }
    for alarm in timeline.alarms() {
        if alarm.state == AlarmState::InsufficientData {
            found.push(no_data(alarm));
        }
        if alarm.state == AlarmState::Alarm && alarm.is_high() {
            found.push(format!(
                "the alarm {} has fired already: the group grows before the load, or cannot, and the load makes no breach to \
                 count from",
                alarm.name
            ));
        }
        if alarm.metric.is_none() {
            let period = units::duration(alarm.period);
            found.push(format!(
                "what the alarm {} looks at could not be read: its period of {period} is assumed, and its breach cannot be seen",
                alarm.name
            ));
        }
        if alarm.period >= BASIC {
            let period = units::duration(alarm.period);
            found.push(format!(
                "the alarm {} looks only every {period}: turn detailed monitoring on",
                alarm.name
            ));
        }
    }
    if group.is_all_protected() {
        found.push(format!(
            "every instance of {name} is protected from scale-in: the group will not come back"
        ));
    }
    if let Some(surroundings) = timeline.surroundings() {
        for refresh in &surroundings.refreshes {
            found.push(format!(
                "{refresh} in {name}: wait for its end, or what the group does is not its policies' answer"
            ));
        }
        for one in surroundings.target_groups.iter().filter(|one| one.sticky) {
            let arn = one.arn.rsplit(':').next().unwrap_or(&one.arn);
            found.push(format!(
                "{arn} has sticky sessions: new instances take no load from sessions that are there"
            ));
        }
    }
    for (series, metric) in timeline
        .metrics()
        .filter_map(|series| Some((series, series.policy_metric()?)))
    {
        let gap = series
            .points
            .windows(2)
            .map(|pair| pair[1].at.duration_since(pair[0].at).as_secs())
            .min();
        if series.period < BASIC && gap.is_some_and(|gap| gap >= BASIC.as_secs() as i64) {
            found.push(format!(
                "{metric} has a datapoint only every 5m (basic monitoring), but its alarm looks every {}: turn detailed \
                 monitoring on in the launch template",
                units::duration(series.period)
            ));
        }
    }
    if let Some((_, targets)) = timeline.targets().last() {
        let sick = targets
            .targets
            .iter()
            .filter(|(_, state)| state.is_unhealthy())
            .count() as u64;
        if sick > 0 {
            found.push(format!(
                "{} of {name} unhealthy before the run",
                units::count(sick, "target")
            ));
        }
    }
    for (_, Gap { call, why, .. }) in timeline.gaps() {
        found.push(format!(
            "{call} failed, and what depends on it will not be judged: {why}"
        ));
    }
    found
}

/// What the group under test has different from the one that it stands for: a verdict on the one
/// says little of the other.
pub fn differences(tested: &Timeline, like: &Timeline) -> Vec<String> {
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
        // Nothing is known of a group without instances.
        let known = !ours_is.is_empty() && !theirs_is.is_empty();
        (known && ours_is != theirs_is).then(|| {
            format!(
                "{} is not like {}: {what} {ours_is}, not {theirs_is}",
                ours.name, theirs.name
            )
        })
    };
    rows.iter().filter_map(differs).collect()
}

/// A spike that is over before the alarm can have seen it cannot make the group grow.
fn too_short(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Option<String> {
    let alarm = timeline
        .alarms()
        .into_iter()
        .filter(|alarm| alarm.is_high())
        .min_by_key(|alarm| alarm.window())?;
    let spike = scenario
        .phases
        .iter()
        .position(|phase| phase.role == Role::Spike)?;
    let next = schedule
        .phase_starts()
        .get(spike + 1)
        .copied()
        .unwrap_or(schedule.end());
    let lasts = next.saturating_sub(*schedule.phase_starts().get(spike)?);
    // A datapoint's period need not begin with the spike: it may take one more to fill them all.
    let sees = alarm.window() + alarm.period;
    (lasts < sees).then(|| {
        format!(
            "the spike lasts {}, but the policy needs {} of load to see it (alarm {}: {} of {}, and the one it begins in)",
            units::duration(lasts),
            units::duration(sees),
            alarm.name,
            units::count(alarm.datapoints_to_alarm.unwrap_or(alarm.evaluation_periods), "datapoint"),
            units::duration(alarm.period)
        )
    })
}

/// A load that ends before the group shrinks cannot tell what its requests suffer by that.
fn no_recovery(scenario: &Scenario, schedule: &Schedule, timeline: &Timeline) -> Option<String> {
    let alarm = timeline
        .alarms()
        .into_iter()
        .filter(|alarm| !alarm.is_high())
        .max_by_key(|alarm| alarm.window())?;
    let spike = scenario
        .phases
        .iter()
        .rposition(|phase| phase.role == Role::Spike)?;
    let Some(falls) = schedule.phase_starts().get(spike + 1).copied() else {
        return Some(
            "the load ends with its spike: instances leave when nothing is sent any more, and what requests suffer cannot be told"
                .to_owned(),
        );
    };
    let lasts = schedule.end().saturating_sub(falls);
    let sees = alarm.window() + alarm.period;
    (lasts < sees).then(|| {
        format!(
            "the load goes on for {} after its spike, but the policy needs {} to see that it fell (alarm {}: {} of {}, and the \
             one it begins in): instances leave when nothing is sent any more, and what requests suffer cannot be told",
            units::duration(lasts),
            units::duration(sees),
            alarm.name,
            units::count(alarm.datapoints(), "datapoint"),
            units::duration(alarm.period)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::scenario;
    use crate::evidence::testing::{alarm, at, whole_story};
    use crate::evidence::timeline::{Observation, Observed, Policy, TargetHealth};

    fn said(change: impl FnOnce(&mut GroupState, &mut Vec<Policy>, &mut Alarm)) -> Vec<String> {
        let mut group = GroupState {
            name: "web".to_owned(),
            min: 1,
            max: 4,
            desired: 2,
            default_cooldown: Duration::from_secs(300),
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
                "the spike lasts 10s, but the policy needs 11s",
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
                "the load goes on for 10s after its spike, but the policy needs 16s",
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
        let outlived = |observations: Vec<Observation>| {
            let timeline = Timeline { observations };
            let times = crate::evidence::reaction::Times::new(&scenario, &schedule, at(0), None);
            let reaction = crate::evidence::reaction::react(
                &scenario,
                &Default::default(),
                &timeline,
                &times,
                None,
            );
            super::outlived(&scenario, &schedule, &timeline, &reaction)
        };
        // It was decided in the spike, although its window is as long as that.
        let mut seen = whole_story();
        seen[1] = alarm("high", "GreaterThanThreshold", 50.0, 10);
        let found = outlived(seen);
        assert!(
            found
                .iter()
                .any(|one| one.starts_with("the spike lasts 10s, but the policy needs 11s")),
            "{found:?}"
        );
        assert!(
            found.contains(&"the alarm high has no data: its policy will not act".to_owned()),
            "{found:?}"
        );
        assert!(
            !found.iter().any(|one| one.starts_with("the load goes on")),
            "it left after the load's end: {found:?}"
        );
        assert!(
            !outlived(vec![whole_story().remove(0)])
                .iter()
                .any(|one| one.contains("the spike lasts"))
        );
    }

    #[test]
    fn what_is_not_like_production_is_named_with_both_values() {
        let timeline = |kind: &str, max, target| {
            let instance = crate::evidence::timeline::Instance {
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
            differences(&tested, &like),
            [
                "t3.micro is not like c7g.large: instance type t3.micro, not c7g.large",
                "t3.micro is not like c7g.large: maximum 4, not 40",
                "t3.micro is not like c7g.large: policies ASGAverageCPUUtilization at 50, not ASGAverageCPUUtilization at 60",
            ]
        );
        assert_eq!(differences(&tested, &tested), Vec::<String>::new());
    }
}
