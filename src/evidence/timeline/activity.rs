//! Scaling activities, and the decisions that their causes tell in AWS's words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::vocabulary::ActivityStatus;
use super::NotScaled;
use super::cause::{Decider, ResponseTo, Sentence, sentences};
use crate::instances::{Checked, LaunchReason, Why};

/// A scaling activity of the group or service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Activity {
    /// `ActivityId`.
    pub id: String,
    /// `Description`, for example `Launching a new EC2 instance: i-0abc`.
    pub description: String,
    /// `Cause`: AWS's sentences with times, alarm and policy.
    pub cause: String,
    /// `StartTime`.
    pub start: Timestamp,
    /// `EndTime`, which includes the warm-up: it is not the moment of service.
    pub end: Option<Timestamp>,
    /// `StatusCode` as last seen.
    pub status: ActivityStatus,
    /// `StatusMessage`: the reason for a failure.
    pub message: Option<String>,
    /// `Details`: AWS's JSON text, which may name the alarms that caused it.
    pub details: Option<String>,
    /// The desired count of a service before and after; absent for a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<(u32, u32)>,
    /// `NotScaledReasons`: why the capacity of a service was left as it was; empty for a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_scaled: Vec<NotScaled>,
}

/// The kind of an activity, by the first words of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// An instance of the group was launched, or the launch failed.
    Launch,
    /// An instance of the group was terminated.
    Termination,
    /// An instance joined or left the warm pool or standby, or waits for Spot capacity. The group's
    /// size did not change by it.
    Aside,
    /// The capacity of a service, or its limits, were set.
    Capacity,
    /// The description is not known.
    Unknown,
}

impl Activity {
    /// Returns the kind of the activity.
    pub fn kind(&self) -> ActivityKind {
        let begins = |words: &str| self.description.starts_with(words);
        if self.description.contains("into warm pool")
            || begins("Terminating EC2 instance from warm pool")
            || begins("Moving EC2 instance")
            || begins("Placing Spot instance request")
        {
            return ActivityKind::Aside;
        }
        if begins("Launching") {
            return ActivityKind::Launch;
        }
        if begins("Terminating") {
            return ActivityKind::Termination;
        }
        if begins("Setting ") || begins("Attempting to scale") {
            return ActivityKind::Capacity;
        }
        ActivityKind::Unknown
    }

    /// Returns true for a launch of the group, also for one that failed.
    pub fn launches(&self) -> bool {
        self.kind() == ActivityKind::Launch
    }

    /// Returns true for the termination of an instance of the group.
    pub(crate) fn terminates(&self) -> bool {
        self.kind() == ActivityKind::Termination
    }

    /// Returns the reason for a launch, as far as the activity itself tells it. `None` if it only
    /// speaks of a difference in capacity, as both growth and replacement do.
    pub fn launch_reason(&self) -> Option<LaunchReason> {
        let sentences = sentences(&self.cause);
        let mut grew = None;
        for sentence in &sentences {
            match sentence {
                Sentence::Response(ResponseTo::Rebalance | ResponseTo::SpotInterruption) => {
                    return Some(LaunchReason::Rebalanced);
                }
                Sentence::Response(ResponseTo::Refresh) => return Some(LaunchReason::Refreshed),
                Sentence::Response(
                    ResponseTo::HealthCheck | ResponseTo::Ended | ResponseTo::UnhealthyInstance,
                ) => return Some(LaunchReason::Replaced),
                Sentence::Desired {
                    change: Some((from, to)),
                    ..
                } if to > from => grew = Some(LaunchReason::Grew),
                _ => {}
            }
        }
        grew
    }

    /// Returns the reason for the termination of an instance.
    pub fn leaving_reason(&self) -> Why {
        let mut why = Why::Other;
        for sentence in sentences(&self.cause) {
            match sentence {
                Sentence::Response(
                    ResponseTo::HealthCheck | ResponseTo::Ended | ResponseTo::UnhealthyInstance,
                ) => return Why::FailedChecks,
                Sentence::Response(ResponseTo::Refresh) => return Why::Refreshed,
                Sentence::Response(ResponseTo::User { .. }) => return Why::ByHand,
                Sentence::Response(ResponseTo::Rebalance | ResponseTo::SpotInterruption) => {
                    return Why::Rebalanced;
                }
                // The difference is that of the decision before it.
                Sentence::Difference { grew: false } if why == Why::Other => why = Why::ScaledIn,
                Sentence::Desired {
                    by,
                    change: Some((from, to)),
                    ..
                } if to < from => {
                    why = match by {
                        Decider::User => Why::ByHand,
                        _ => Why::ScaledIn,
                    }
                }
                _ => {}
            }
        }
        why
    }

    /// Returns true for a termination after which the group wants as many instances as before, so it
    /// launches another one.
    pub(crate) fn waits_for_another(&self) -> bool {
        let makes_smaller = |sentence: &Sentence| match sentence {
            Sentence::Response(ResponseTo::User { shrinks }) => *shrinks,
            Sentence::Difference { grew } => !grew,
            Sentence::Desired {
                change: Some((from, to)),
                ..
            } => to < from,
            _ => false,
        };
        self.terminates() && !sentences(&self.cause).iter().any(makes_smaller)
    }

    /// Returns the finding of the health checks for which an instance was terminated; `None` if it
    /// was for another reason.
    pub(crate) fn checked(&self) -> Option<Checked> {
        let is_ended = || sentences(&self.cause).contains(&Sentence::Response(ResponseTo::Ended));
        (self.leaving_reason() == Why::FailedChecks).then(|| match is_ended() {
            true => Checked::Ended,
            false => Checked::Unwell,
        })
    }

    /// Returns true if a service's capacity was raised, or if a launch tells a decision to grow.
    pub fn grows(&self) -> bool {
        match self.change {
            Some((from, to)) => to > from,
            None => self.launches() && self.launch_reason() == Some(LaunchReason::Grew),
        }
    }

    /// Returns true if a service's capacity was lowered, or if a termination tells that the group
    /// became smaller by a decision.
    pub fn shrinks(&self) -> bool {
        match self.change {
            Some((from, to)) => to < from,
            None => self.terminates() && self.leaving_reason() == Why::ScaledIn,
        }
    }

    /// Returns the instance's id, for example from `Launching a new EC2 instance: i-0b` or
    /// `Launching a new EC2 instance from warm pool: i-0b`. A failed launch has a status reason in
    /// its place.
    pub fn instance(&self) -> Option<&str> {
        let id = self
            .description
            .split_once(": ")?
            .1
            .split_whitespace()
            .next()?
            .trim_end_matches('.');
        id.starts_with("i-").then_some(id)
    }

    /// Returns every decision that the cause tells, in its order. Application Auto Scaling writes
    /// no time and no numbers there, so a service's come from `start` and `change`.
    pub fn decisions(&self) -> Vec<Decision> {
        let sentences = sentences(&self.cause);
        let Some((from, to)) = self.change else {
            return sentences.iter().filter_map(Sentence::decision).collect();
        };
        let (alarm, policy) = names(&sentences);
        vec![Decision {
            at: self.start,
            alarm,
            policy,
            by_hand: false,
            from,
            to,
        }]
    }

    /// Returns the first alarm that the cause names.
    pub(crate) fn alarm(&self) -> Option<String> {
        names(&sentences(&self.cause)).0
    }

    /// Returns the words of AWS that are not understood: an unknown description, the unknown
    /// sentences of the cause, or an unknown code for a capacity that stayed.
    pub fn not_understood(&self) -> Vec<String> {
        let sentences = sentences(&self.cause).into_iter();
        let mut unknown: Vec<String> = sentences
            .filter_map(|sentence| match sentence {
                Sentence::Unknown(text) => Some(text),
                _ => None,
            })
            .collect();
        if self.kind() == ActivityKind::Unknown {
            unknown.insert(0, self.description.clone());
        }
        unknown.extend(self.not_scaled.iter().filter_map(|why| match why {
            NotScaled::Unknown { code } => Some(code.clone()),
            _ => None,
        }));
        unknown
    }
}

/// Returns the names of alarm and policy in the first sentence that tells who set the capacity.
fn names(sentences: &[Sentence]) -> (Option<String>, Option<String>) {
    let mut told = sentences.iter().filter_map(|sentence| match sentence {
        Sentence::Desired { by, .. } => Some(by.names()),
        _ => None,
    });
    told.next().unwrap_or_default()
}

/// A change of the desired capacity, as an activity's cause tells it. Several activities may share
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Time when the alarm's action ran, not when the alarm fired.
    pub at: Timestamp,
    /// The alarm that the cause names; absent where it names none.
    pub alarm: Option<String>,
    /// The policy that the cause names; absent where it names none.
    pub policy: Option<String>,
    /// True if a user asked for it, or software that acts for one.
    pub by_hand: bool,
    /// Desired capacity before.
    pub from: u32,
    /// Desired capacity after.
    pub to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_tells_who_decided_what_and_when() {
        let decision = |cause: &str| {
            Activity {
                cause: cause.to_owned(),
                ..Activity::default()
            }
            .decisions()
            .pop()
        };
        let found = decision(
            "At 2024-01-05T10:00:06Z a monitor alarm my CPU is high in state ALARM triggered policy out by two changing \
             the desired capacity from 2 to 5.  At 2024-01-05T10:00:14Z an instance was started in response to a \
             difference between desired and actual capacity, increasing the capacity from 2 to 5.",
        );
        let expected = Decision {
            at: "2024-01-05T10:00:06Z".parse().unwrap(),
            alarm: Some("my CPU is high".to_owned()),
            policy: Some("out by two".to_owned()),
            by_hand: false,
            from: 2,
            to: 5,
        };
        assert_eq!(found, Some(expected));
        let manual = decision(
            "At 2024-01-05T10:00:06Z a user request update of AutoScalingGroup constraints to min: 0, max: 16, desired: \
             16 changing the desired capacity from 0 to 16.  At 2024-01-05T10:00:07Z an instance was started.",
        )
        .unwrap();
        assert_eq!(
            (manual.alarm, manual.policy, manual.from, manual.to),
            (None, None, 0, 16)
        );
        assert!(manual.by_hand);
        let service = Activity {
            description: "Setting desired count to 5.".to_owned(),
            cause: "monitor alarm TargetTracking-service/c/s-AlarmHigh-1 in state ALARM triggered policy cpu"
                .to_owned(),
            change: Some((2, 5)),
            ..Activity::default()
        };
        let of_service = service.decisions().remove(0);
        assert_eq!(
            (of_service.policy.as_deref(), of_service.from, of_service.to),
            (Some("cpu"), 2, 5)
        );
        assert!(service.grows());
        let health = "At 2024-01-05T10:00:06Z an instance was taken out of service in response to a ELB system health \
                      check failure.";
        assert_eq!(decision(health), None);
    }

    fn activity(description: &str, cause: &str) -> Activity {
        Activity {
            description: description.to_owned(),
            cause: cause.to_owned(),
            ..Activity::default()
        }
    }

    #[test]
    fn a_launch_tells_its_reason_as_far_as_aws_does() {
        let started = "At 2024-12-05T21:27:28Z an instance was started in response to a difference between desired and \
                       actual capacity, increasing the capacity from 1 to 2.";
        let both = "At 2017-10-26T07:53:21Z a monitor alarm CPU Too Low in state ALARM triggered policy CPU Too Low \
                    changing the desired capacity from 2 to 1.  At 2017-10-26T07:54:04Z a monitor alarm CPU Credit Too \
                    Low in state ALARM triggered policy CPU Credit Too Low changing the desired capacity from 1 to 2.  \
                    At 2017-10-26T07:54:14Z a difference between desired and actual capacity changing the desired \
                    capacity, increasing the capacity from 1 to 2.";
        let one_space = "At 2018-02-20T03:08:17Z a user request update of AutoScalingGroup constraints to min: 1, max: 2, \
                         desired: 2 changing the desired capacity from 1 to 2. At 2018-02-20T03:08:35Z an instance was \
                         started in response to a difference between desired and actual capacity, increasing the \
                         capacity from 1 to 2.";
        for (cause, reason) in [
            (both, Some(LaunchReason::Grew)),
            (one_space, Some(LaunchReason::Grew)),
            (started, None),
            (
                "At 2026-09-18T18:26:55Z an instance was launched in response to an unhealthy instance needing to be \
                 replaced.",
                Some(LaunchReason::Replaced),
            ),
            (
                "At 2026-09-23T18:46:00Z an instance was launched in response to an instance refresh.",
                Some(LaunchReason::Refreshed),
            ),
            (
                "At 2019-09-24T00:29:36Z instances were launched to balance instances in zones us-east-1a with other \
                 zones resulting in more than desired number of instances in the group.",
                Some(LaunchReason::Rebalanced),
            ),
            ("At 2026-09-23T18:46:00Z something new happened.", None),
        ] {
            let launch = activity("Launching a new EC2 instance: i-1", cause);
            assert_eq!(launch.launch_reason(), reason, "{cause}");
        }
        let decisions = activity("Launching a new EC2 instance: i-1", both).decisions();
        let policies: Vec<_> = decisions
            .iter()
            .filter_map(|own| own.policy.as_deref())
            .collect();
        assert_eq!(policies, ["CPU Too Low", "CPU Credit Too Low"]);
    }

    #[test]
    fn a_termination_tells_its_reason() {
        let shrink = "At 2022-12-24T21:00:00Z an instance was taken out of service in response to a difference between \
                      desired and actual capacity, shrinking the capacity from 7 to 6.  At 2022-12-24T21:00:01Z instance \
                      i-0d18 was selected for termination.";
        for (cause, why) in [
            (shrink, Why::ScaledIn),
            (
                "At 2022-06-14T00:07:30Z instance i-1 was taken out of service in response to a user request, shrinking \
                 the capacity from 4 to 3.",
                Why::ByHand,
            ),
            (
                "At 2016-11-09T11:28:29Z instance i-1 was taken out of service in response to a user request.",
                Why::ByHand,
            ),
            (
                "At 2022-12-24T22:03:59Z an instance was taken out of service in response to an instance refresh.  At \
                 2022-12-24T22:04:00Z instance i-2 was selected for termination.",
                Why::Refreshed,
            ),
            (
                "At 2024-01-01T12:00:00Z instance i-1 was taken out of service in response to a spot instance \
                 interruption notice",
                Why::Rebalanced,
            ),
            (
                "At 2024-01-01T12:00:00Z something new happened.",
                Why::Other,
            ),
        ] {
            let termination = activity("Terminating EC2 instance: i-1", cause);
            assert_eq!(termination.leaving_reason(), why, "{cause}");
            let is_smaller = cause.contains("shrinking the capacity");
            assert_eq!(termination.waits_for_another(), !is_smaller, "{cause}");
            assert_eq!(termination.checked().is_some(), why == Why::FailedChecks);
        }
        use Checked::{Ended, Unwell};
        for (check, found) in [
            ("a ELB system health check failure", Unwell),
            ("an ELB system health check failure", Unwell),
            (
                "a EC2 health check indicating it has been terminated or stopped",
                Ended,
            ),
            (
                "an EC2 health check indicating it has been terminated or stopped",
                Ended,
            ),
            ("an EC2 instance status checks failure", Unwell),
            ("a user health-check", Unwell),
            ("a system health-check failure", Unwell),
            ("EBS volume health check failure", Unwell),
            ("a VPC Lattice health check failure", Unwell),
        ] {
            let cause = format!(
                "At 2021-04-01T21:48:35Z an instance was taken out of service in response to {check}."
            );
            let termination = activity("Terminating EC2 instance: i-1", &cause);
            assert_eq!(termination.leaving_reason(), Why::FailedChecks, "{check}");
            assert_eq!(termination.checked(), Some(found), "{check}");
            assert!(!termination.shrinks(), "{check}");
        }
    }

    #[test]
    fn what_does_not_change_the_group_is_no_launch_and_no_termination() {
        for (description, kind) in [
            (
                "Launching a new EC2 instance from warm pool: i-4",
                ActivityKind::Launch,
            ),
            (
                "Launching a new EC2 instance into warm pool: i-4",
                ActivityKind::Aside,
            ),
            (
                "Moving EC2 instance out of Standby: i-5",
                ActivityKind::Aside,
            ),
            (
                "Terminating EC2 instance from warm pool: i-6",
                ActivityKind::Aside,
            ),
            (
                "Placing Spot instance request.  Status Reason: Spot instance request: sir-x has been cancelled.",
                ActivityKind::Aside,
            ),
            ("Setting desired count to 1.", ActivityKind::Capacity),
            (
                "Setting min capacity to 2 and max capacity to 3",
                ActivityKind::Capacity,
            ),
            (
                "Attempting to scale due to alarm triggered",
                ActivityKind::Capacity,
            ),
            ("Terminating EC2 instance: i-1", ActivityKind::Termination),
            ("Hibernating EC2 instance: i-1", ActivityKind::Unknown),
        ] {
            assert_eq!(activity(description, "").kind(), kind, "{description}");
        }
    }

    #[test]
    fn a_launch_that_failed_tells_its_decision_and_no_instance() {
        let failed = Activity {
            status: ActivityStatus::Failed,
            ..activity(
                "Launching a new EC2 instance.  Status Reason: Your requested instance type (c6i.2xlarge) is not \
                 supported",
                "At 2026-09-13T02:34:12Z a monitor alarm flows-high in state ALARM triggered policy out changing the \
                 desired capacity from 1 to 2.",
            )
        };
        let decision = Decision {
            at: "2026-09-13T02:34:12Z".parse().unwrap(),
            alarm: Some("flows-high".to_owned()),
            policy: Some("out".to_owned()),
            by_hand: false,
            from: 1,
            to: 2,
        };
        assert_eq!(failed.decisions(), [decision]);
        assert_eq!((failed.launches(), failed.instance()), (true, None));
        assert_eq!(failed.not_understood(), Vec::<String>::new());
    }

    #[test]
    fn unknown_words_are_kept() {
        let known = "At 2024-01-05T10:00:06Z a user request explicitly set group desired capacity changing the desired \
                     capacity from 1 to 2.";
        let none: [&str; 0] = [];
        assert_eq!(
            activity("Launching a new EC2 instance: i-1", known).not_understood(),
            none
        );
        let both = format!("{known}  At 2024-01-05T10:00:07Z the moon rose.");
        assert_eq!(
            activity("Hibernating EC2 instance: i-1", &both).not_understood(),
            ["Hibernating EC2 instance: i-1", "the moon rose"]
        );
    }

    #[test]
    fn an_activity_names_its_instance() {
        for (description, id) in [
            ("Launching a new EC2 instance: i-0b", Some("i-0b")),
            (
                "Launching a new EC2 instance from warm pool: i-0b",
                Some("i-0b"),
            ),
            (
                "Launching a new EC2 instance: i-0b.  Status Reason: no capacity",
                Some("i-0b"),
            ),
            ("Launching a new EC2 instance", None),
            (
                "Launching a new EC2 instance.  Status Reason: We currently do not have sufficient capacity",
                None,
            ),
        ] {
            let activity = Activity {
                description: description.to_owned(),
                ..Activity::default()
            };
            assert_eq!(activity.instance(), id, "{description}");
        }
    }

    /// Reads a decision as its alarm with its sizes.
    fn told(activity: &Activity) -> Vec<(Option<String>, u32, u32)> {
        let decisions = activity.decisions().into_iter();
        decisions.map(|one| (one.alarm, one.from, one.to)).collect()
    }

    #[test]
    fn a_decision_of_an_alarm_and_one_by_hand_are_told_apart() {
        let by = |alarm: &str, from, to| vec![(Some(alarm.to_owned()), from, to)];
        let grew = activity(
            "Launching a new EC2 instance: i-1",
            "At 2024-12-05T21:27:22Z a monitor alarm TargetTracking-g-AlarmHigh-u in state ALARM triggered policy p \
             changing the desired capacity from 2 to 3.  At 2024-12-05T21:27:28Z an instance was started in response \
             to a difference between desired and actual capacity, increasing the capacity from 2 to 3.",
        );
        assert_eq!(told(&grew), by("TargetTracking-g-AlarmHigh-u", 2, 3));
        assert_eq!((grew.grows(), grew.shrinks()), (true, false));
        let shrank = activity(
            "Terminating EC2 instance: i-0d18",
            "At 2022-12-23T19:12:06Z a monitor alarm TargetTracking-g-AlarmLow-u in state ALARM triggered policy p \
             changing the desired capacity from 7 to 6.  At 2022-12-23T19:12:09Z an instance was taken out of service \
             in response to a difference between desired and actual capacity, shrinking the capacity from 7 to 6.  At \
             2022-12-23T19:12:10Z instance i-0d18 was selected for termination.",
        );
        assert_eq!(told(&shrank), by("TargetTracking-g-AlarmLow-u", 7, 6));
        assert_eq!((shrank.grows(), shrank.shrinks()), (false, true));
        let asked = activity(
            "Launching a new EC2 instance: i-1",
            "At 2026-08-05T10:35:05Z a user request explicitly set group desired capacity changing the desired \
             capacity from 1 to 2.  At 2026-08-05T10:35:10Z an instance was started in response to a difference \
             between desired and actual capacity, increasing the capacity from 1 to 2.",
        );
        assert_eq!(told(&asked), [(None, 1, 2)]);
        assert!(asked.grows());
        let limited = activity(
            "Terminating EC2 instance: i-1",
            "At 2022-12-23T20:48:54Z a user request update of AutoScalingGroup constraints to min: 0, max: 4, \
             desired: 0 changing the desired capacity from 1 to 0.  At 2022-12-23T20:48:57Z an instance was taken out \
             of service in response to a difference between desired and actual capacity, shrinking the capacity from \
             1 to 0.  At 2022-12-23T20:48:58Z instance i-1 was selected for termination.",
        );
        assert_eq!(told(&limited), [(None, 1, 0)]);
        // No policy lowered it, and the group is to stay smaller.
        assert_eq!(limited.leaving_reason(), Why::ByHand);
        assert!(!limited.shrinks() && !limited.waits_for_another());
        for one in [grew, shrank, asked, limited] {
            assert_eq!(one.not_understood(), Vec::<String>::new(), "{one:?}");
        }
    }

    #[test]
    fn a_launch_that_came_to_nothing_has_no_instance_and_no_decision_of_its_own() {
        let differs = "At 2021-04-09T18:14:53Z an instance was started in response to a difference between desired \
                       and actual capacity, increasing the capacity from 0 to 1.";
        let standby = "At 2021-04-09T18:14:53Z instance i-5 was moved out of standby in response to a user request, \
                       increasing the capacity from 0 to 1.";
        for (description, cause, launches, instance) in [
            (
                "Launching a new EC2 instance.  Status Reason: Could not launch Spot Instances. UnfulfillableCapacity - \
                 There is no capacity available that matches your request. Launching EC2 instance failed.",
                differs,
                true,
                None,
            ),
            (
                "Launching a new EC2 instance.  Status Reason: You have requested more instances (7) than your current \
                 instance limit of 6 allows for the specified instance type. Please visit \
                 http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. Launching EC2 \
                 instance failed.",
                differs,
                true,
                None,
            ),
            (
                "Placing Spot instance request.  Status Reason: Spot instance request: sir-x has been cancelled. Group \
                 size decreased while waiting for Spot instance request to be fulfilled.",
                differs,
                false,
                None,
            ),
            (
                "Moving EC2 instance out of Standby: i-5",
                standby,
                false,
                Some("i-5"),
            ),
        ] {
            let one = activity(description, cause);
            assert_eq!(one.launches(), launches, "{description}");
            assert_eq!(one.instance(), instance, "{description}");
            assert_eq!(one.launch_reason(), None, "{description}");
            assert_eq!(
                (one.grows(), one.decisions()),
                (false, vec![]),
                "{description}"
            );
            assert_eq!(one.not_understood(), Vec::<String>::new(), "{description}");
        }
    }

    #[test]
    fn an_attempt_that_scaled_nothing_names_its_alarm_and_decides_nothing() {
        let attempt = Activity {
            status: ActivityStatus::Failed,
            not_scaled: vec![NotScaled::AtMaximum { maximum: Some(4) }],
            ..activity(
                "Attempting to scale due to alarm triggered",
                "monitor alarm a in state ALARM triggered policy p",
            )
        };
        assert_eq!(attempt.alarm().as_deref(), Some("a"));
        assert_eq!((attempt.decisions(), attempt.grows()), (vec![], false));
        assert_eq!(attempt.not_understood(), Vec::<String>::new());
        let code = "MoonIsFull".to_owned();
        let unknown = Activity {
            not_scaled: vec![NotScaled::Unknown { code: code.clone() }],
            ..attempt.clone()
        };
        assert_eq!(unknown.not_understood(), [code]);
        let written = serde_json::to_value(&attempt).unwrap();
        let maximum = serde_json::json!([{ "id": "at-maximum", "maximum": 4 }]);
        assert_eq!(written["not_scaled"], maximum);
        let read: Activity = serde_json::from_value(written).unwrap();
        assert_eq!(read, attempt);
    }
}
