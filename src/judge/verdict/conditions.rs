//! Judges whether the group's figures are valid: it existed the whole time, only its policies moved
//! it, and its clock agrees with this machine's.

use std::time::Duration;

use jiff::Timestamp;

use super::{Expectation, Finding, Measured, OtherCause, ValidityReason};
use evidence::Facts;
use evidence::timeline::{Gap, GapReason, Observed};
use evidence::vocabulary::PredictiveMode;
use model::outcome::Verdict;

/// Difference between the two clocks that is tolerated. AWS's answers carry whole seconds.
pub(super) const SKEW: Duration = Duration::from_secs(3);

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    [deleted(facts), confounded(facts), clocks(facts)]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns a finding if the group was deleted during the watch, `None` if it was there all the
/// time.
fn deleted(facts: &Facts<'_>) -> Option<Finding> {
    let (last, group) = facts.timeline.groups().next_back()?;
    let gone = |(at, gap): &(Timestamp, &Gap)| *at >= last && gap.reason == GapReason::NoGroup;
    let (at, _) = facts.timeline.gaps().find(gone)?;
    let reason = ValidityReason::GroupDeleted {
        group: group.name.clone(),
        is_service: group.is_service,
    };
    Some(Finding::of_group(
        Expectation::GroupExists,
        Verdict::Inconclusive,
        Measured::Gone { at },
        reason,
    ))
}

/// Returns a finding if something besides the policies moved the group, or may have moved it.
pub(super) fn confounded(facts: &Facts<'_>) -> Option<Finding> {
    let mut others: Vec<OtherCause> = Vec::new();
    let decisions = facts
        .activities
        .iter()
        .copied()
        .filter(|one| one.start >= facts.times.started);
    for decision in decisions.flat_map(evidence::timeline::Activity::decisions) {
        if decision.alarm.is_none() && decision.from != decision.to {
            others.push(OtherCause::NoAlarm {
                from: decision.from,
                to: decision.to,
                at: decision.at,
            });
        }
    }
    let seen = facts
        .timeline
        .observations
        .iter()
        .filter_map(|one| match &one.seen {
            Observed::Surroundings(surroundings) => Some(surroundings),
            _ => None,
        });
    let end = facts
        .timeline
        .groups()
        .next_back()
        .map_or(facts.times.ended, |(at, _)| at);
    for surroundings in seen {
        let refreshes = surroundings.refreshes.iter().cloned();
        others.extend(refreshes.map(|text| OtherCause::Refresh { text }));
        for action in &surroundings.scheduled {
            if action
                .next
                .is_some_and(|next| next >= facts.times.started && next <= end)
            {
                others.push(OtherCause::ScheduledAction {
                    name: action.name.clone(),
                });
            }
        }
    }
    for policy in &facts.policies {
        if policy.mode == Some(PredictiveMode::ForecastAndScale) {
            others.push(OtherCause::PredictivePolicy {
                name: policy.name.clone(),
            });
        }
    }
    others.sort();
    others.dedup();
    (!others.is_empty()).then(|| {
        Finding::of_group(
            Expectation::OnlyPoliciesMovedTheGroup,
            Verdict::Inconclusive,
            Measured::Nothing,
            ValidityReason::OtherCauses { causes: others },
        )
    })
}

/// Compares the clock of this machine, which dates the load, with AWS's, which dates alarms and
/// launches.
fn clocks(facts: &Facts<'_>) -> Option<Finding> {
    let mut skews: Vec<i64> = facts
        .timeline
        .observations
        .iter()
        .filter_map(|one| Some(one.at.duration_since(one.api?).as_millis() as i64))
        .collect();
    skews.sort_unstable();
    let middle = *skews.get(skews.len() / 2)?;
    // A `Date` header drops the part of a second: on average it is half a second behind.
    let skew = Duration::from_millis((middle - 500).unsigned_abs());
    (skew > SKEW).then(|| {
        Finding::of_group(
            Expectation::OneClock,
            Verdict::Inconclusive,
            Measured::ClocksApart {
                apart_s: skew.into(),
            },
            ValidityReason::ClocksDiffer,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use evidence::testing::with_facts;
    use evidence::testing::{activity, at, group, whole_story};
    use evidence::timeline::{Observation, ScheduledAction, Surroundings};

    fn judged(observations: Vec<Observation>) -> Vec<(String, Verdict, String)> {
        with_facts(observations, |facts| {
            judge(facts)
                .into_iter()
                .map(words::judgement)
                .map(|one| (one.asked, one.verdict, one.because))
                .collect()
        })
    }

    #[test]
    fn nothing_is_said_of_a_group_that_only_its_policies_moved() {
        assert_eq!(judged(whole_story()), []);
    }

    #[test]
    fn a_hand_a_schedule_or_a_refresh_makes_the_answer_doubtful() {
        let mut by_hand = whole_story();
        let mut manual = activity(26, "Launching a new EC2 instance: i-9", 2, 3);
        let Observed::Activity(one) = &mut manual.seen else {
            unreachable!()
        };
        one.cause =
            "At 2026-03-01T12:00:26Z a user request explicitly set group desired capacity changing the desired \
                     capacity from 2 to 3."
                .to_owned();
        by_hand.push(manual);
        let found = judged(by_hand);
        assert!(
            found[0].2.contains("no alarm asked for 2 to 3"),
            "{found:?}"
        );

        let mut surrounded = whole_story();
        let action = ScheduledAction {
            name: "morning".to_owned(),
            next: Some(at(30)),
            recurrence: None,
            min: Some(3),
            max: None,
            desired: None,
        };
        let surroundings = Surroundings {
            scheduled: vec![action],
            refreshes: vec!["instance refresh r-1 is InProgress".to_owned()],
            ..Surroundings::default()
        };
        surrounded.insert(
            0,
            Observation::new(at(0), Observed::Surroundings(surroundings)),
        );
        let found = judged(surrounded);
        assert!(
            found[0].2.contains("instance refresh r-1") && found[0].2.contains("(and 1 more)"),
            "{found:?}"
        );
    }

    #[test]
    fn a_group_that_vanished_and_clocks_that_disagree_are_said() {
        let mut gone = whole_story();
        let why = "there is no Auto Scaling group `web` in this account and region".to_owned();
        let call = "autoscaling:DescribeAutoScalingGroups".to_owned();
        let reason = GapReason::NoGroup;
        let gap = Gap { call, why, reason };
        gone.push(Observation::new(at(50), Observed::Gap(gap)));
        assert_eq!(judged(gone)[0].0, "the group was there");

        let mut skewed = vec![];
        for second in 0..5 {
            let mut look = group(second, 1, &["i-1"]);
            look.api = Some(at(second + 20));
            skewed.push(look);
        }
        let found = judged(skewed);
        assert_eq!(found[0].0, "one clock", "{found:?}");
    }
}
