//! The cause of a scaling activity, read into types from AWS's sentences.
//!
//! Auto Scaling writes `At TIME SENTENCE.` once or several times; Application Auto Scaling writes
//! one sentence without a time. A sentence with unknown words is kept as it is: it is never taken
//! for another.

use jiff::Timestamp;

use super::Decision;

/// One sentence of a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sentence {
    /// The desired capacity was set.
    Desired {
        /// The time that the sentence names; absent for a service.
        at: Option<Timestamp>,
        /// The cause of the change.
        by: Decider,
        /// The capacity before and after; absent for a service.
        change: Option<(u32, u32)>,
    },
    /// Instances came or left because the actual capacity differed from the desired one.
    Difference {
        /// True if the group became larger.
        grew: bool,
    },
    /// An instance came or left for a reason of its own.
    Response(ResponseTo),
    /// An instance was selected for termination.
    Selected,
    /// The sentence is not known.
    Unknown(String),
}

/// The cause of a change of the desired capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decider {
    /// An alarm whose action is a policy.
    Policy {
        /// Name of the alarm.
        alarm: String,
        /// Name of the policy.
        policy: String,
    },
    /// A request of a user, or of software that acts for one.
    User,
    /// A scheduled action.
    Schedule,
    /// A minimum or maximum that the capacity did not keep.
    Limits,
    /// Something else changed the desired capacity.
    Other,
}

/// The reason why an instance came or left, other than the desired capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseTo {
    /// It failed a health check: of the load balancer, of EC2, of EBS, or one that a user reported.
    HealthCheck,
    /// EC2 found it stopped or terminated, by somebody or by AWS.
    Ended,
    /// Another instance was unhealthy, and this one replaces it.
    UnhealthyInstance,
    /// A user terminated it, or moved it to or out of standby.
    User {
        /// True if the desired capacity was lowered with it.
        shrinks: bool,
    },
    /// An instance refresh.
    Refresh,
    /// The group was balanced between its zones, or Spot capacity was rebalanced.
    Rebalance,
    /// Spot interrupted it.
    SpotInterruption,
}

/// Reads the sentences of a cause, in their order.
pub(super) fn sentences(cause: &str) -> Vec<Sentence> {
    timed(cause)
        .into_iter()
        .map(|(at, text)| sentence(at, text))
        .collect()
}

/// Splits a cause at each `At TIME`. Some records separate sentences by one space instead of two.
fn timed(cause: &str) -> Vec<(Option<Timestamp>, &str)> {
    let time = |index: usize| -> Option<(Timestamp, usize)> {
        let is_head = index == 0 || cause[..index].ends_with(' ');
        let rest = cause[index..].strip_prefix("At ").filter(|_| is_head)?;
        let word = rest.split(' ').next()?;
        Some((word.parse().ok()?, index + "At ".len() + word.len()))
    };
    let heads: Vec<(usize, Timestamp, usize)> = cause
        .match_indices("At ")
        .filter_map(|(index, _)| time(index).map(|(at, text)| (index, at, text)))
        .collect();
    let ends = heads.iter().skip(1).map(|(index, _, _)| *index);
    let mut found: Vec<(Option<Timestamp>, &str)> = heads
        .iter()
        .zip(ends.chain([cause.len()]))
        .map(|((_, at, text), end)| (Some(*at), &cause[*text..end]))
        .collect();
    let first = heads.first().map_or(cause.len(), |(index, _, _)| *index);
    if !cause[..first].trim().is_empty() {
        found.insert(0, (None, &cause[..first]));
    }
    found
        .into_iter()
        .map(|(at, text)| (at, text.trim().trim_end_matches('.')))
        .collect()
}

fn sentence(at: Option<Timestamp>, text: &str) -> Sentence {
    if let Some(change) = change(text) {
        let by = decider(text).unwrap_or(Decider::Other);
        let change = Some(change);
        return Sentence::Desired { at, by, change };
    }
    // Application Auto Scaling: the description has the numbers.
    if let Some(by) = decider(text).filter(|_| at.is_none()) {
        let change = None;
        return Sentence::Desired { at, by, change };
    }
    if text.contains("difference between desired and actual capacity") {
        let grew = !text.contains("shrinking the capacity");
        return Sentence::Difference { grew };
    }
    if let Some(response) = response(text) {
        return Sentence::Response(response);
    }
    if text.contains("selected for termination") {
        return Sentence::Selected;
    }
    Sentence::Unknown(text.to_owned())
}

/// Reads `changing the desired capacity from 2 to 5`.
fn change(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text
        .split_once(" the desired capacity from ")?
        .1
        .split_once(" to ")?;
    let to = to.split([' ', ',', '.']).next()?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

fn decider(text: &str) -> Option<Decider> {
    if let Some((_, rest)) = text.split_once("monitor alarm ") {
        let (alarm, rest) = rest.split_once(" in state ")?;
        let (_, policy) = rest.split_once(" triggered policy ")?;
        let policy = policy
            .split_once(" changing the desired capacity")
            .map_or(policy, |(policy, _)| policy);
        return Some(Decider::Policy {
            alarm: alarm.to_owned(),
            policy: policy.to_owned(),
        });
    }
    let known = [
        ("scheduled action", Decider::Schedule),
        ("a user request", Decider::User),
        ("minimum capacity was set", Decider::Limits),
        ("maximum capacity was set", Decider::Limits),
    ];
    known
        .into_iter()
        .find(|(words, _)| text.contains(words))
        .map(|(_, by)| by)
}

fn response(text: &str) -> Option<ResponseTo> {
    if text.contains("to balance instances in zones") || text.contains("in balancing the group") {
        return Some(ResponseTo::Rebalance);
    }
    let (_, to) = text.split_once("in response to ")?;
    let shrinks = to.contains("shrinking the capacity");
    let known = [
        ("unhealthy instance", ResponseTo::UnhealthyInstance),
        ("terminated or stopped", ResponseTo::Ended),
        ("health check", ResponseTo::HealthCheck),
        ("health-check", ResponseTo::HealthCheck),
        ("status check", ResponseTo::HealthCheck),
        ("instance refresh", ResponseTo::Refresh),
        ("rebalance", ResponseTo::Rebalance),
        ("interruption", ResponseTo::SpotInterruption),
        ("user request", ResponseTo::User { shrinks }),
    ];
    known
        .into_iter()
        .find(|(words, _)| to.contains(words))
        .map(|(_, response)| response)
}

impl Sentence {
    /// Returns the decision that a group's sentence tells; `None` for any other sentence, and for a
    /// service, whose numbers are in the description.
    pub(super) fn decision(&self) -> Option<Decision> {
        let Self::Desired {
            at: Some(at),
            by,
            change: Some((from, to)),
        } = self
        else {
            return None;
        };
        let (alarm, policy) = by.names();
        Some(Decision {
            at: *at,
            alarm,
            policy,
            by_hand: *by == Decider::User,
            from: *from,
            to: *to,
        })
    }
}

impl Decider {
    /// Returns the names of alarm and policy.
    pub(super) fn names(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Policy { alarm, policy } => (Some(alarm.clone()), Some(policy.clone())),
            _ => (None, None),
        }
    }
}
