//! Scaling activities, and the decisions that their causes tell in AWS's words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::vocabulary::ActivityStatus;

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
}

impl Activity {
    /// Returns true for a launch. AWS's description begins the same way if the launch failed.
    pub fn launches(&self) -> bool {
        self.description.starts_with("Launching")
    }

    /// Returns true for the termination of an instance.
    pub(crate) fn terminates(&self) -> bool {
        self.description.starts_with("Terminating")
    }

    /// Returns true for a launch that made the group larger. The replacement of an unhealthy
    /// instance does not, although its cause also speaks of "increasing the capacity".
    pub fn grows(&self) -> bool {
        self.decision()
            .is_some_and(|decision| decision.to > decision.from)
    }

    /// Returns true for a termination that made the group smaller, not for the removal of an
    /// unhealthy instance.
    pub fn shrinks(&self) -> bool {
        self.decision()
            .is_some_and(|decision| decision.to < decision.from)
    }

    /// Returns true if an instance was replaced because it failed its health checks.
    pub fn replaces(&self) -> bool {
        self.cause.contains("health check failure") || self.cause.contains("health-check failure")
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

    /// Returns the decision of a policy or a person, from the first sentence of the cause.
    /// Application Auto Scaling writes no time and no numbers there, so a service's come from
    /// `start` and `change`.
    pub fn decision(&self) -> Option<Decision> {
        let sentence = self.cause.split(".  ").next()?;
        let alarm = sentence
            .split_once("monitor alarm ")
            .and_then(|(_, rest)| rest.split_once(" in state "));
        let policy = sentence
            .split_once(" triggered policy ")
            .map(|(_, rest)| rest);
        let alarm = alarm.map(|(name, _)| name.to_owned());
        if let Some((from, to)) = self.change {
            let policy = policy.map(|policy| policy.trim_end_matches('.').to_owned());
            return Some(Decision {
                at: self.start,
                alarm,
                policy,
                from,
                to,
            });
        }
        let (when, what) = sentence.strip_prefix("At ")?.split_once(' ')?;
        let (from, to) = what
            .split_once("changing the desired capacity from ")?
            .1
            .split_once(" to ")?;
        let policy = policy
            .and_then(|rest| rest.split_once(" changing "))
            .map(|(name, _)| name.to_owned());
        let to = to.trim_end_matches('.').parse().ok()?;
        Some(Decision {
            at: when.parse().ok()?,
            alarm,
            policy,
            from: from.parse().ok()?,
            to,
        })
    }
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
            .decision()
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
        let service = Activity {
            description: "Setting desired count to 5.".to_owned(),
            cause: "monitor alarm TargetTracking-service/c/s-AlarmHigh-1 in state ALARM triggered policy cpu"
                .to_owned(),
            change: Some((2, 5)),
            ..Activity::default()
        };
        let of_service = service.decision().unwrap();
        assert_eq!(
            (of_service.policy.as_deref(), of_service.from, of_service.to),
            (Some("cpu"), 2, 5)
        );
        assert!(service.grows());
        let health = "At 2024-01-05T10:00:06Z an instance was taken out of service in response to a ELB system health \
                      check failure.";
        assert_eq!(decision(health), None);
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
}
