//! The wait before a scale-in that a group's own settings make unavoidable, and the bound that
//! follows from it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::PolicyKind;
use crate::instances::{Launched, after, between};
use crate::timeline::{GroupState, Policy, Timeline};
use model::scenario::{InWithin, Scenario};
use model::units::Seconds;

/// The earliest possible scale-in, and the setting behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// Time from the fall of the load to the earliest scale-in.
    pub lasts: Duration,
    /// The setting that holds the policy back longest.
    pub reason: WaitReason,
}

/// The setting that makes a group wait before it scales in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum WaitReason {
    /// The window of the alarm that asks for less.
    LowAlarmWindow,
    /// The whole cooldown of the policy.
    Cooldown,
    /// The part of the policy's cooldown that was left when the load fell.
    RestOfCooldown {
        /// The whole cooldown, not the rest of it.
        cooldown_s: Seconds,
    },
    /// The part of the warm-up that was left when the load fell.
    RestOfWarmUp {
        /// The setting that the length comes from.
        warm_up: WarmUpSetting,
        /// The whole warm-up, not the rest of it.
        lasts_s: Seconds,
    },
}

/// The setting that a warm-up comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WarmUpSetting {
    /// `EstimatedInstanceWarmup` of the policy.
    Policy,
    /// `DefaultInstanceWarmup` of the group; no policy sets one.
    DefaultWarmUp,
    /// The group's default cooldown, which counts where no warm-up is set.
    DefaultCooldown,
}

/// The default bound, as a multiple of the unavoidable wait: half of it comes on top.
pub const AUTO: f64 = 1.5;

/// Returns the user's bound, which is a time or a multiple of the cooldown. Without one, it is 1.5
/// times the wait that the group's settings make unavoidable. The half on top is for evaluation and
/// publishing, for which AWS publishes no figure. Returns `None` if the bound cannot be computed.
pub fn in_bound(
    scenario: &Scenario,
    timeline: &Timeline,
    unavoidable: Option<&Wait>,
) -> Option<Duration> {
    match scenario.scaling.in_within {
        InWithin::Within(bound) => Some(bound),
        InWithin::Cooldowns(times) => cooldown(timeline).map(|cooldown| cooldown.mul_f64(times)),
        InWithin::Auto => unavoidable.map(|wait| wait.lasts.mul_f64(AUTO)),
    }
}

/// Returns `in_bound` for a group whose load falls now.
pub fn in_bound_from(scenario: &Scenario, timeline: &Timeline, now: Timestamp) -> Option<Duration> {
    let launched =
        crate::instances::launched(timeline, timeline.groups().next().map_or(now, |(at, _)| at));
    in_bound(
        scenario,
        timeline,
        unavoidable_in(timeline, &launched, Some(now)).as_ref(),
    )
}

/// Returns the group's default cooldown. A service has none of its own, so it is the longest of its
/// policies' cooldowns after a scale-in.
fn cooldown(timeline: &Timeline) -> Option<Duration> {
    let (_, group) = timeline.groups().next()?;
    match group.is_service {
        false => Some(group.default_cooldown),
        true => timeline
            .policies()
            .into_iter()
            .filter_map(|policy| policy.cooldown)
            .max(),
    }
}

/// Returns the wait of the first policy that can act; `None` if no alarm asks for less. Target
/// tracking shrinks only when the low alarms of all such policies have fired. A step or simple
/// policy needs only its own.
pub fn unavoidable_in(
    timeline: &Timeline,
    launched: &[Launched],
    dropped: Option<Timestamp>,
) -> Option<Wait> {
    let policies = timeline.policies();
    let alarms = timeline.alarms();
    let (_, group) = timeline.groups().next_back()?;
    // Launches after the fall did not hold the first scale-in back.
    let before: Vec<&Launched> = launched
        .iter()
        .filter(|one| dropped.is_none_or(|dropped| one.launched.at < dropped))
        .collect();
    let warming = dropped.and_then(|dropped| warming(group, &policies, &before, dropped));
    let low = |policy: &Policy| {
        let own = alarms
            .iter()
            .filter(|alarm| policy.alarms.contains(&alarm.name) && !alarm.is_high());
        own.map(|alarm| alarm.window()).max()
    };
    let able = || {
        policies
            .iter()
            .filter(|policy| !policy.scale_in_disabled && !policy.disabled)
    };
    let tracks = |policy: &&&Policy| policy.kind == PolicyKind::TargetTracking;
    let tracking = able().filter(tracks).filter_map(|policy| low(policy)).max();
    let mut ways: Vec<Wait> = Vec::new();
    ways.extend(tracking.map(|window| longest(window, warming)));
    for policy in able().filter(|policy| !tracks(policy)) {
        let Some(window) = low(policy) else { continue };
        let held = match policy.kind {
            PolicyKind::Simple => cooling(
                policy.cooldown.unwrap_or(group.default_cooldown),
                &before,
                dropped,
            ),
            _ => warming,
        };
        ways.push(longest(window, held));
    }
    // Without any policy read, there may still be policies: the low alarms alone decide.
    if policies.is_empty() {
        let window = alarms
            .iter()
            .filter(|alarm| !alarm.is_high())
            .map(|alarm| alarm.window())
            .max();
        ways.extend(window.map(|window| longest(window, warming)));
    }
    ways.into_iter().min_by_key(|wait| wait.lasts)
}

/// Returns the longer wait; the alarm's window if both last equally long.
fn longest(window: Duration, held: Option<Wait>) -> Wait {
    held.filter(|held| held.lasts > window).unwrap_or(Wait {
        lasts: window,
        reason: WaitReason::LowAlarmWindow,
    })
}

/// Returns the rest of a simple policy's cooldown when the load falls. It runs from the last
/// launch; where launch or fall is unknown, all of it counts.
fn cooling(cooldown: Duration, launched: &[&Launched], dropped: Option<Timestamp>) -> Option<Wait> {
    let Some((last, dropped)) = last_in_service(launched).zip(dropped) else {
        return Some(Wait {
            lasts: cooldown,
            reason: WaitReason::Cooldown,
        });
    };
    let until = after(last, cooldown);
    (until > dropped).then(|| Wait {
        lasts: between(dropped, until),
        reason: WaitReason::RestOfCooldown {
            cooldown_s: cooldown.into(),
        },
    })
}

/// Returns the rest of the last launched instance's warm-up when the load falls. No instance leaves
/// while one warms up.
fn warming(
    group: &GroupState,
    policies: &[&Policy],
    launched: &[&Launched],
    dropped: Timestamp,
) -> Option<Wait> {
    let out = policies.iter().filter(|policy| {
        policy.kind != PolicyKind::Simple && policy.kind != PolicyKind::Predictive
    });
    // Without such a policy there is no warm-up, or none could be read.
    let own = out.map(|policy| policy.warm_up).max()?;
    let (lasts, warm_up) = match (own, group.default_warm_up) {
        (Some(own), _) => (own, WarmUpSetting::Policy),
        (None, Some(default)) => (default, WarmUpSetting::DefaultWarmUp),
        (None, None) => (group.default_cooldown, WarmUpSetting::DefaultCooldown),
    };
    let until = after(last_in_service(launched)?, lasts);
    (until > dropped && !lasts.is_zero()).then(|| Wait {
        lasts: between(dropped, until),
        reason: WaitReason::RestOfWarmUp {
            warm_up,
            lasts_s: lasts.into(),
        },
    })
}

fn last_in_service(launched: &[&Launched]) -> Option<Timestamp> {
    let services = launched
        .iter()
        .filter(|one| one.may_have_grown())
        .filter_map(|one| one.in_service);
    services.map(|seen| seen.likeliest(None)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instances::{self, Sighting};
    use crate::testing::{alarm, at, group};
    use crate::timeline::{Observation, Observed};

    fn timeline(change: impl Fn(&mut GroupState), policies: Vec<Policy>) -> Timeline {
        let mut look = group(0, 1, &["i-1"]);
        let Observed::Group(state) = &mut look.seen else {
            unreachable!()
        };
        change(state);
        let mut observations = vec![look, alarm("low", "LessThanThreshold", 45.0, 5)];
        observations.extend(
            policies
                .into_iter()
                .map(|policy| Observation::new(at(0), Observed::Policy(policy))),
        );
        Timeline { observations }
    }

    fn launched(second: u32) -> Launched {
        instances::Launched {
            id: "i-2".to_owned(),
            launched: Sighting::exact(at(second - 5)),
            why: crate::instances::LaunchReason::Grew,
            in_service: Some(Sighting::exact(at(second))),
            healthy: None,
            first_answer: None,
        }
    }

    fn policy(kind: &str, warm_up: Option<u64>, cooldown: Option<u64>) -> Policy {
        let seconds = |value: Option<u64>| value.map(Duration::from_secs);
        Policy {
            name: kind.to_owned(),
            kind: kind.into(),
            alarms: vec!["low".to_owned()],
            warm_up: seconds(warm_up),
            cooldown: seconds(cooldown),
            ..Policy::default()
        }
    }

    #[test]
    fn what_was_left_of_the_last_warm_up_is_unavoidable_and_named() {
        let wait = |group: &dyn Fn(&mut GroupState), policy: Policy| {
            let timeline = timeline(group, vec![policy]);
            let wait = unavoidable_in(&timeline, &[launched(27)], Some(at(23))).unwrap();
            (wait.lasts.as_secs_f64().round() as u64, wait.reason)
        };
        let tracking = |warm_up| policy("TargetTrackingScaling", warm_up, None);
        let rest = |warm_up, seconds| WaitReason::RestOfWarmUp {
            warm_up,
            lasts_s: Duration::from_secs(seconds).into(),
        };
        assert_eq!(
            wait(&|_| {}, tracking(Some(20))),
            (24, rest(WarmUpSetting::Policy, 20))
        );
        let default = wait(
            &|group| group.default_warm_up = Some(Duration::from_secs(30)),
            tracking(None),
        );
        assert_eq!(default, (34, rest(WarmUpSetting::DefaultWarmUp, 30)));
        assert_eq!(
            wait(&|_| {}, tracking(None)),
            (304, rest(WarmUpSetting::DefaultCooldown, 300))
        );
        let over = wait(
            &|group| group.default_warm_up = Some(Duration::ZERO),
            tracking(None),
        );
        assert_eq!(over, (5, WaitReason::LowAlarmWindow));
    }

    #[test]
    fn a_simple_policy_without_a_cooldown_of_its_own_has_the_groups() {
        let wait = |cooldown, default: u64| {
            let set =
                move |group: &mut GroupState| group.default_cooldown = Duration::from_secs(default);
            let timeline = timeline(set, vec![policy("SimpleScaling", Some(0), cooldown)]);
            let wait = unavoidable_in(&timeline, &[], None).unwrap();
            (wait.lasts.as_secs(), wait.reason)
        };
        assert_eq!(wait(None, 120), (120, WaitReason::Cooldown));
        assert_eq!(wait(Some(8), 120), (8, WaitReason::Cooldown));
        assert_eq!(wait(Some(2), 120), (5, WaitReason::LowAlarmWindow));
    }

    /// The last launched instance came into service at 27 s; the load falls at 40 s.
    #[test]
    fn the_first_policy_that_can_act_bounds_the_wait_and_launches_after_the_fall_do_not() {
        let wait =
            |kinds: &[(&str, Option<u64>)], windows: &[(&str, u32)], launched: &[Launched]| {
                let mut timeline = timeline(|_| {}, vec![]);
                for ((kind, cooldown), (name, periods)) in kinds.iter().zip(windows) {
                    let own = Policy {
                        alarms: vec![(*name).to_owned()],
                        ..policy(kind, Some(3), *cooldown)
                    };
                    timeline.observations.push(Observation::new(
                        at(0),
                        Observed::Policy(Policy {
                            name: (*name).to_owned(),
                            ..own
                        }),
                    ));
                    timeline
                        .observations
                        .push(alarm(name, "LessThanThreshold", 45.0, *periods));
                }
                let wait = unavoidable_in(&timeline, launched, Some(at(40))).unwrap();
                (wait.lasts.as_secs_f64().round() as u64, wait.reason)
            };
        let window = WaitReason::LowAlarmWindow;
        let (tracking, step, simple) = ("TargetTrackingScaling", "StepScaling", "SimpleScaling");
        let both = wait(
            &[(tracking, None), (tracking, None)],
            &[("a", 15), ("b", 5)],
            &[],
        );
        assert_eq!(both, (15, window), "every tracking policy has to agree");
        let beside = wait(
            &[(tracking, None), (step, None)],
            &[("a", 15), ("b", 5)],
            &[],
        );
        assert_eq!(beside, (5, window), "a step policy asks nobody");
        let rest = WaitReason::RestOfCooldown {
            cooldown_s: Duration::from_secs(30).into(),
        };
        assert_eq!(
            wait(&[(simple, Some(30))], &[("a", 5)], &[launched(27)]),
            (17, rest)
        );
        assert_eq!(
            wait(&[(simple, Some(10))], &[("a", 5)], &[launched(27)]),
            (5, window),
            "it is over"
        );
        assert_eq!(
            wait(&[(tracking, None)], &[("a", 5)], &[launched(60)]),
            (5, window),
            "launched after the fall"
        );
    }

    #[test]
    fn a_services_cooldowns_are_its_policies_and_never_nothing() {
        let mut scenario = crate::testing::scenario();
        scenario.scaling.in_within = InWithin::Cooldowns(2.0);
        let service = |policies| {
            let serves = |group: &mut GroupState| {
                (group.is_service, group.default_cooldown) = (true, Duration::ZERO);
            };
            in_bound(&scenario, &timeline(serves, policies), None)
        };
        assert_eq!(
            service(vec![policy("TargetTrackingScaling", None, Some(300))]),
            Some(Duration::from_mins(10))
        );
        assert_eq!(service(vec![]), None);
        assert_eq!(
            in_bound(&scenario, &timeline(|_| {}, vec![]), None),
            Some(Duration::from_mins(10))
        );
    }
}
