//! Finds the policy that binds: of several policies, the one whose decision made the group grow most
//! in the spike. Advice on a target is about this policy.

use std::time::Duration;

use super::{Evidence, Ran};
use evidence::instances::after;
use evidence::reaction::Resized;

/// The policy that bound the group, and its largest decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Name of the policy.
    pub policy: String,
    /// Desired capacity before its largest decision.
    pub from: u32,
    /// Desired capacity after it.
    pub to: u32,
}

/// Returns the policy that binds. One that tracks a target comes before others: a step policy beside
/// it answers only what is far beyond the target. `None` with one policy, and where no policy is
/// known to have decided.
pub(super) fn of(ran: &Ran<'_>, evidence: &Evidence<'_>) -> Option<Binding> {
    if ran.policies.len() < 2 {
        return None;
    }
    let in_spike: Vec<&Resized> = growths(evidence)
        .filter(|one| is_in_spike(one, evidence))
        .collect();
    let growths = match in_spike.is_empty() {
        true => growths(evidence).collect(),
        false => in_spike,
    };
    let made = growths.into_iter().filter_map(|one| {
        let by = one.policy.as_ref()?;
        let known = ran.policies.iter().find(|ran| ran.policy.name == *by)?;
        let rank = (known.target().is_some(), one.to - one.from);
        Some((rank, one, by))
    });
    // The first of equal decisions counts.
    let (_, one, by) = made.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    Some(Binding {
        policy: by.clone(),
        from: one.from,
        to: one.to,
    })
}

fn growths<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = &'a Resized> {
    let resized = evidence.reaction.resized.iter();
    resized.filter(|one| one.to > one.from && one.at >= evidence.started)
}

fn is_in_spike(one: &Resized, evidence: &Evidence<'_>) -> bool {
    let at = |second: u32| after(evidence.started, Duration::from_secs(second.into()));
    evidence
        .spike
        .is_none_or(|(from, until)| one.at >= at(from) && one.at < at(until))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence, seen};
    use super::super::{Ran, Reaction, Topic, advise, ran};
    use super::*;
    use crate::report::words;
    use evidence::Timeline;
    use evidence::timeline::{Alarm, Observation, Observed, Policy};

    /// A second policy beside that of the story, on an alarm of its own.
    fn beside(kind: &str) -> (Timeline, Vec<evidence::load::Second>) {
        let (mut timeline, seconds) = seen("TargetTrackingScaling");
        let alarm = timeline.alarms().into_iter().find(|one| one.is_high());
        let alarm = Alarm {
            name: "requests high".to_owned(),
            metric: Some("RequestCountPerTarget".to_owned()),
            ..alarm.unwrap().clone()
        };
        let policy = Policy {
            name: "web-requests".to_owned(),
            kind: kind.into(),
            alarms: vec![alarm.name.clone()],
            ..Policy::default()
        };
        for one in [Observed::Policy(policy), Observed::Alarm(alarm)] {
            timeline.observations.push(Observation::new(at(0), one));
        }
        (timeline, seconds)
    }

    fn grew(second: usize, from: u32, to: u32, policy: &str) -> Resized {
        Resized {
            at: at(second),
            from,
            to,
            policy: Some(policy.to_owned()),
            alarm: None,
            breach: None,
            done: None,
        }
    }

    fn lead(kind: &str, resized: Vec<Resized>) -> (Option<Binding>, String) {
        let (timeline, seconds) = beside(kind);
        let reaction = Reaction {
            resized,
            ..Reaction::default()
        };
        let found: Ran<'_> = ran(&timeline)
            .unwrap()
            .with_binding(&evidence(&timeline, &seconds, &reaction));
        let name = found.lead().unwrap().policy.name.clone();
        (found.binding, name)
    }

    #[test]
    fn the_policy_with_the_largest_decision_in_the_spike_leads() {
        let (binding, name) = lead(
            "TargetTrackingScaling",
            vec![
                grew(2, 2, 9, "web-cpu"),
                grew(12, 2, 3, "web-cpu"),
                grew(14, 3, 6, "web-requests"),
                grew(20, 6, 3, "web-cpu"),
            ],
        );
        let wanted = Binding {
            policy: "web-requests".to_owned(),
            from: 3,
            to: 6,
        };
        assert_eq!((binding, name.as_str()), (Some(wanted), "web-requests"));
    }

    #[test]
    fn the_answer_on_the_target_names_the_policy_that_binds() {
        let said = |resized| {
            let (timeline, seconds) = beside("TargetTrackingScaling");
            let reaction = Reaction {
                desired_before: 2,
                max: 8,
                resized,
                ..Reaction::default()
            };
            let advice = words::advice(advise(&evidence(&timeline, &seconds, &reaction), None));
            let answers = advice.answers.into_iter();
            let mut of_target = answers.filter(|one| one.topic == Topic::TargetValue);
            of_target.next().unwrap().answer
        };
        let both = vec![grew(12, 2, 5, "web-cpu"), grew(14, 5, 6, "web-requests")];
        let answer = said(both);
        assert!(
            answer.ends_with(
                " This is about policy web-cpu, whose largest decision was from 2 to 5 instances."
            ),
            "{answer}"
        );
        let answer = said(vec![]);
        assert!(!answer.contains("This is about policy"), "{answer}");
    }

    #[test]
    fn where_nothing_decided_the_first_target_tracking_policy_leads() {
        let (binding, name) = lead("TargetTrackingScaling", vec![]);
        assert_eq!((binding, name.as_str()), (None, "web-cpu"));
        let before = vec![grew(2, 2, 4, "web-requests")];
        assert_eq!(lead("TargetTrackingScaling", before).1, "web-requests");
    }

    #[test]
    fn a_step_policy_leads_only_where_no_target_tracking_policy_decided() {
        let of_step = grew(12, 2, 5, "web-requests");
        let both = vec![of_step.clone(), grew(14, 5, 6, "web-cpu")];
        assert_eq!(lead("StepScaling", both).1, "web-cpu");
        assert_eq!(lead("StepScaling", vec![of_step]).1, "web-requests");
    }
}
