//! What a group's own settings make unavoidable before it shrinks, and the bound that follows from it.

use std::time::Duration;

use jiff::Timestamp;

use super::chain::{Launched, after, between};
use crate::measure::timeline::{Alarm, GroupState, Policy, Timeline};
use crate::scenario::{InWithin, Scenario};
use crate::units;

/// No scale-in can come sooner than that, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub lasts: Duration,
    /// `its low alarm's window`
    pub because: String,
}

impl Wait {
    fn new(lasts: Duration, because: &str) -> Self {
        Self { lasts, because: because.to_owned() }
    }
}

/// The bound the user gave, or the one that the group's own settings make unavoidable plus half of it again: evaluation and
/// publishing take their time, and AWS publishes no figure for them. Nothing where it cannot be told.
pub fn in_bound(scenario: &Scenario, timeline: &Timeline, unavoidable: Option<&Wait>) -> Option<Duration> {
    match scenario.scaling.in_within {
        InWithin::Within(bound) => Some(bound),
        InWithin::Cooldowns(times) => cooldown(timeline).map(|cooldown| cooldown.mul_f64(times)),
        InWithin::Auto => unavoidable.map(|wait| wait.lasts.mul_f64(1.5)),
    }
}

/// As `in_bound`, of a group whose load falls now.
pub fn in_bound_from(scenario: &Scenario, timeline: &Timeline, now: Timestamp) -> Option<Duration> {
    let launched = super::chain::launched(timeline, timeline.groups().next().map_or(now, |(at, _)| at));
    in_bound(scenario, timeline, unavoidable_in(timeline, &launched, Some(now)).as_ref())
}

/// The group's default cooldown; of a service the longest that follows a scale-in, for it has none of its own.
fn cooldown(timeline: &Timeline) -> Option<Duration> {
    let (_, group) = timeline.groups().next()?;
    match group.is_service {
        false => Some(group.default_cooldown),
        true => timeline.policies().into_iter().filter_map(|policy| policy.cooldown).max(),
    }
}

/// The window of the alarm that asks for less, a simple policy's cooldown, or what is left of the last launch's warm-up when
/// the load falls: whichever is the longest. Nothing where nothing asks for less.
pub fn unavoidable_in(timeline: &Timeline, launched: &[Launched], dropped: Option<Timestamp>) -> Option<Wait> {
    let policies = timeline.policies();
    let alarms = timeline.alarms();
    let of = |alarm: &Alarm| policies.iter().find(|policy| policy.alarms.contains(&alarm.name));
    let asks_for_less =
        |alarm: &&&Alarm| !alarm.is_high() && of(alarm).is_none_or(|one| !one.scale_in_disabled && !one.disabled);
    let window = alarms.iter().filter(asks_for_less).map(|alarm| alarm.window()).max()?;
    let mut waits = vec![Wait::new(window, "its low alarm's window")];
    if let Some((_, group)) = timeline.groups().next_back() {
        let simple = policies.iter().filter(|policy| policy.kind == "SimpleScaling");
        waits.extend(simple.map(|policy| Wait::new(policy.cooldown.unwrap_or(group.default_cooldown), "its cooldown")));
        waits.extend(dropped.and_then(|dropped| warming(group, &policies, launched, dropped)));
    }
    // The first of the longest: the alarm is named before what lasts no longer.
    waits.into_iter().rev().max_by_key(|wait| wait.lasts)
}

/// What is left of the warm-up of the last that was launched: while an instance warms up, nothing leaves.
fn warming(group: &GroupState, policies: &[&Policy], launched: &[Launched], dropped: Timestamp) -> Option<Wait> {
    let out = policies.iter().filter(|policy| policy.kind != "SimpleScaling" && policy.kind != "PredictiveScaling");
    // Without one nothing has a warm-up, or it could not be read.
    let own = out.map(|policy| policy.warm_up).max()?;
    let (lasts, whose) = match (own, group.default_warm_up) {
        (Some(own), _) => (own, "the policy's warm-up"),
        (None, Some(default)) => (default, "the group's default warm-up"),
        (None, None) => (group.default_cooldown, "the group's default cooldown, which is taken for the warm-up"),
    };
    let services = launched.iter().filter(|one| !one.replaces).filter_map(|one| one.in_service);
    let last = services.map(|seen| seen.likeliest(None)).max()?;
    let until = after(last, lasts);
    (until > dropped && !lasts.is_zero()).then(|| Wait {
        lasts: between(dropped, until),
        because: format!("what was left of {whose} of {} when the load fell", units::duration(lasts)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::chain::{self, Sighting};
    use super::super::scaling::tests::{alarm, at, group};
    use super::*;
    use crate::measure::timeline::{Observation, Observed};

    fn timeline(change: impl Fn(&mut GroupState), policies: Vec<Policy>) -> Timeline {
        let mut look = group(0, 1, &["i-1"]);
        let Observed::Group(state) = &mut look.seen else { unreachable!() };
        change(state);
        let mut observations = vec![look, alarm("low", "LessThanThreshold", 45.0, 5)];
        observations.extend(policies.into_iter().map(|policy| Observation::new(at(0), Observed::Policy(policy))));
        Timeline { observations }
    }

    fn launched(second: u32) -> Launched {
        chain::Launched {
            id: "i-2".to_owned(),
            launched: Sighting::exact(at(second - 5)),
            replaces: false,
            in_service: Some(Sighting::exact(at(second))),
            healthy: None,
            first_answer: None,
        }
    }

    fn policy(kind: &str, warm_up: Option<u64>, cooldown: Option<u64>) -> Policy {
        let seconds = |value: Option<u64>| value.map(Duration::from_secs);
        Policy {
            name: kind.to_owned(),
            kind: kind.to_owned(),
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
            let wait = unavoidable_in(&timeline, &[launched(27)], Some(at(19))).unwrap();
            (wait.lasts.as_secs_f64().round() as u64, wait.because)
        };
        let tracking = |warm_up| policy("TargetTrackingScaling", warm_up, None);
        let (lasts, because) = wait(&|_| {}, tracking(Some(20)));
        assert_eq!((lasts, because.as_str()), (28, "what was left of the policy's warm-up of 20s when the load fell"));
        let (lasts, because) = wait(&|group| group.default_warm_up = Some(Duration::from_secs(30)), tracking(None));
        assert!(lasts == 38 && because.contains("the group's default warm-up of 30s"), "{lasts} {because}");
        let (lasts, because) = wait(&|_| {}, tracking(None));
        assert!(lasts == 308 && because.contains("default cooldown"), "{lasts} {because}");
        let over = wait(&|group| group.default_warm_up = Some(Duration::ZERO), tracking(None));
        assert_eq!(over, (5, "its low alarm's window".to_owned()));
    }

    #[test]
    fn a_simple_policy_without_a_cooldown_of_its_own_has_the_groups() {
        let wait = |cooldown, default: u64| {
            let set = move |group: &mut GroupState| group.default_cooldown = Duration::from_secs(default);
            let timeline = timeline(set, vec![policy("SimpleScaling", Some(0), cooldown)]);
            unavoidable_in(&timeline, &[], None).unwrap()
        };
        assert_eq!(wait(None, 120), Wait::new(Duration::from_secs(120), "its cooldown"));
        assert_eq!(wait(Some(8), 120), Wait::new(Duration::from_secs(8), "its cooldown"));
        assert_eq!(wait(Some(2), 120), Wait::new(Duration::from_secs(5), "its low alarm's window"));
    }

    #[test]
    fn a_services_cooldowns_are_its_policies_and_never_nothing() {
        let mut scenario = crate::verdict::tests::scenario();
        scenario.scaling.in_within = InWithin::Cooldowns(2.0);
        let service = |policies| {
            let serves = |group: &mut GroupState| (group.is_service, group.default_cooldown) = (true, Duration::ZERO);
            in_bound(&scenario, &timeline(serves, policies), None)
        };
        assert_eq!(service(vec![policy("TargetTrackingScaling", None, Some(300))]), Some(Duration::from_secs(600)));
        assert_eq!(service(vec![]), None);
        assert_eq!(in_bound(&scenario, &timeline(|_| {}, vec![]), None), Some(Duration::from_secs(600)));
    }
}
