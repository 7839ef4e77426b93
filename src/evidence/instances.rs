//! The life of each instance that was launched or left, on one clock.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::TargetState;
use crate::timeline::{Activity, GroupState, Instance, TargetHealth, Timeline};
use model::units::{Seconds, seconds};

/// Time between two looks, where the timeline does not tell it.
pub const POLLED: Duration = Duration::from_secs(2);
/// Resolution of the times in causes and activities, which have whole seconds.
pub const SECOND: Duration = Duration::from_secs(1);

/// An event that polling saw: it happened at most `within` before `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sighting {
    /// When the poll saw it, or its own timestamp where `within` is short.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The time between the poll that saw it and the poll before.
    #[serde(rename = "within_s", alias = "within", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub within: Duration,
}

impl Sighting {
    fn new(at: Timestamp, after: Option<Timestamp>) -> Self {
        Self {
            at,
            within: after.map_or(POLLED, |after| between(after, at)),
        }
    }

    /// Returns the middle of the time span in which it happened. `by` is a time at which it
    /// certainly had happened.
    pub fn likeliest(self, by: Option<Timestamp>) -> Timestamp {
        let from = self.at.checked_sub(self.within).unwrap_or(self.at);
        let to = by.map_or(self.at, |by| by.min(self.at)).max(from);
        from.checked_add(between(from, to) / 2).unwrap_or(from)
    }

    /// Creates a sighting whose time the API itself gave.
    pub fn exact(at: Timestamp) -> Self {
        Self {
            at,
            within: Duration::from_millis(1),
        }
    }
}

/// The reason why an instance was launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LaunchReason {
    /// The group grew.
    Grew,
    /// It replaces an instance that was terminated without a change of the desired capacity, for
    /// example because it failed its health checks.
    Replaced,
    /// An instance refresh.
    Refreshed,
    /// The group was balanced between its zones, or Spot capacity was rebalanced.
    Rebalanced,
    /// AWS's words fit both a growth and a replacement.
    Unknown,
}

/// An instance that the group launched after the load began. Moments that were not seen are absent,
/// never guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Launched {
    /// The instance's id, or the task's for a service.
    pub id: String,
    /// `StartTime` of its launch activity, or a task's `createdAt`; where neither can be read, the
    /// first look that saw it.
    pub launched: Sighting,
    /// The reason for its launch.
    pub why: LaunchReason,
    /// The first look that saw it in service, or a task's `startedAt`.
    pub in_service: Option<Sighting>,
    /// The first look that saw it healthy in a target group.
    pub healthy: Option<Sighting>,
    /// End of the first answer whose header names the instance.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub first_answer: Option<Timestamp>,
}

impl Launched {
    /// Returns true unless the launch is known not to make the group larger.
    pub fn may_have_grown(&self) -> bool {
        matches!(self.why, LaunchReason::Grew | LaunchReason::Unknown)
    }

    /// Moves sightings up to the first answer: an instance that answered was in service and healthy
    /// by then.
    pub fn sharpen(&mut self) {
        let Some(answered) = self.first_answer else {
            return;
        };
        for seen in [&mut self.in_service, &mut self.healthy]
            .into_iter()
            .flatten()
        {
            let after = seen.at.checked_sub(seen.within).unwrap_or(seen.at);
            if answered > after && answered < seen.at {
                *seen = Sighting {
                    at: answered,
                    within: between(after, answered),
                };
            }
        }
    }

    /// Returns the time from launch to in service, by the likeliest moments.
    pub fn boot(&self) -> Option<Duration> {
        // An instance that answered was in service, whenever a look saw that.
        Some(between(
            self.launched.at,
            self.in_service?.likeliest(self.first_answer),
        ))
    }

    /// Returns the shortest and the longest time from the launch to a sighting. An instance that
    /// answered was there by then, whenever a look saw that.
    fn took(&self, seen: Sighting) -> (Duration, Duration) {
        let since = |at: Timestamp| between(self.launched.at, at);
        let most = since(self.first_answer.map_or(seen.at, |by| by.min(seen.at)));
        (
            since(seen.at.checked_sub(seen.within).unwrap_or(seen.at)).min(most),
            most,
        )
    }

    /// Returns the time from in service to healthy. One poll reads both, one after the other:
    /// within a poll they count as simultaneous.
    pub fn health(&self) -> Option<Duration> {
        let by = self.first_answer;
        Some(between(
            self.in_service?.likeliest(by),
            self.healthy?.likeliest(by),
        ))
    }

    /// Returns the time from which it takes requests, if known.
    pub fn serves(&self) -> Option<Timestamp> {
        self.first_answer
            .or(self.healthy.map(|seen| seen.at))
            .or(self.in_service.map(|seen| seen.at))
    }
}

/// Returns the times from launch to in service, and from there to healthy. Instances start alike,
/// so a time that fits all of them is more exact than any single look. If none fits all, the median
/// counts.
pub fn starts(launched: &[Launched]) -> Option<(Duration, Duration)> {
    let spans = |of: fn(&Launched) -> Option<Sighting>| -> Vec<(Duration, Duration)> {
        launched
            .iter()
            .filter_map(|one| of(one).map(|seen| one.took(seen)))
            .collect()
    };
    let boot = agreed(&spans(|one| one.in_service))?;
    let healthy = agreed(&spans(|one| one.healthy));
    // One poll reads both states, one after the other: within a poll they count as simultaneous.
    Some((
        boot,
        healthy.map_or(Duration::ZERO, |healthy| healthy.saturating_sub(boot)),
    ))
}

/// Returns a time that lies in all of these spans, or else the middle of the median span.
fn agreed(spans: &[(Duration, Duration)]) -> Option<Duration> {
    let least = spans.iter().map(|(least, _)| *least).max()?;
    let most = spans.iter().map(|(_, most)| *most).min()?;
    if least <= most {
        return Some((least + most) / 2);
    }
    median(
        spans
            .iter()
            .map(|(least, most)| (*least + *most) / 2)
            .collect(),
    )
}

/// Returns the median, the larger of two middle times; `None` for an empty list.
pub fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// An instance that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// The instance's id, or the task's for a service.
    pub id: String,
    /// `StartTime` of its termination, or a task's `stoppingAt`; where neither can be read, the
    /// first look that saw it leaving.
    pub began: Sighting,
    /// The reason for its termination, by the cause of the activity.
    pub why: Why,
    /// The first look that saw it draining in a target group.
    pub draining: Option<Sighting>,
    /// The first look that no longer saw it in the group.
    pub gone: Option<Sighting>,
}

/// The reason why an instance left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The group scaled in.
    ScaledIn,
    /// The instance failed its health checks, and was replaced.
    FailedChecks,
    /// A user terminated the instance, moved it to standby, or lowered the desired capacity.
    ByHand,
    /// An instance refresh replaced it.
    Refreshed,
    /// It was terminated to balance zones or Spot capacity, or Spot interrupted it.
    Rebalanced,
    /// The reason is unknown.
    Other,
}

/// The finding of the health checks for which an instance left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It did not pass them.
    Unwell,
    /// It was stopped or terminated before, by somebody or by AWS.
    Ended,
}

/// Returns the finding of the health checks for which an instance left; `None` if it left for
/// another reason.
pub(crate) fn checked(timeline: &Timeline, left: &Left) -> Option<Checked> {
    let is_its_own = |one: &&Activity| {
        let is_same = one.instance() == Some(left.id.as_str());
        is_same && one.terminates() && one.start == left.began.at
    };
    let mut all = timeline.activities().into_iter();
    all.find(is_its_own)?.checked()
}

/// Returns the instances launched since a moment, in the order of their launches.
pub fn launched(timeline: &Timeline, since: Timestamp) -> Vec<Launched> {
    let mut found: Vec<Launched> = Vec::new();
    let known = there_before(timeline, since);
    for activity in timeline.activities() {
        let launches = activity.launches();
        let Some(id) = activity
            .instance()
            .filter(|_| launches && activity.start >= since)
        else {
            continue;
        };
        found.push(Launched {
            id: id.to_owned(),
            launched: Sighting {
                at: activity.start,
                within: Duration::from_secs(1),
            },
            why: launch_reason(timeline, activity),
            in_service: None,
            healthy: None,
            first_answer: None,
        });
    }
    // Tasks have no activity each, and activities may be unreadable.
    for (sighting, instance) in instances(timeline) {
        if sighting.at < since
            || known.contains(&instance.id)
            || found.iter().any(|one| one.id == instance.id)
        {
            continue;
        }
        let launched = instance.created.map_or(sighting, Sighting::exact);
        found.push(Launched {
            id: instance.id.clone(),
            launched,
            why: LaunchReason::Grew,
            in_service: None,
            healthy: None,
            first_answer: None,
        });
    }
    for one in &mut found {
        one.in_service = first(timeline, &one.id, Instance::is_in_service);
        if let Some(started) = one
            .in_service
            .and_then(|seen| instance_at(timeline, &one.id, seen.at)?.started)
        {
            one.in_service = Some(Sighting::exact(started));
        }
        one.healthy = first_health(timeline, &one.id, &TargetState::Healthy);
    }
    found.sort_by_key(|one| one.launched.at);
    found
}

/// Returns the reason for a launch. A launch that AWS tries again tells only of a difference
/// between desired and actual capacity, and so does the replacement of an instance that was
/// terminated. The activities before it decide: it is a replacement if a termination without
/// replacement stands before it, and growth if a decision to grow does.
fn launch_reason(timeline: &Timeline, launch: &Activity) -> LaunchReason {
    if let Some(reason) = launch.launch_reason() {
        return reason;
    }
    let mut before = timeline.activities();
    before.retain(|one| one.start <= launch.start && one.id != launch.id);
    // An instance that never came into service, for example by its lifecycle hook, replaced none,
    // and none replaces it.
    let never_served: Vec<&str> = before
        .iter()
        .filter(|one| one.launches() && one.status.is_unsuccessful())
        .filter_map(|one| one.instance())
        .collect();
    let (mut unreplaced, mut grew) = (0_u32, false);
    for one in &before {
        grew |= one.decisions().iter().any(|own| own.to > own.from);
        if one.instance().is_none_or(|id| never_served.contains(&id)) {
            continue;
        }
        unreplaced += u32::from(one.waits_for_another());
        if one.launches() && one.launch_reason() != Some(LaunchReason::Grew) {
            unreplaced = unreplaced.saturating_sub(1);
        }
    }
    match (unreplaced, grew) {
        (0, true) => LaunchReason::Grew,
        (0, false) => LaunchReason::Unknown,
        _ => LaunchReason::Replaced,
    }
}

/// Returns the instances that left since a moment, in the order in which they left.
pub fn left(timeline: &Timeline, since: Timestamp) -> Vec<Left> {
    let mut found: Vec<Left> = Vec::new();
    for activity in timeline.activities() {
        let ends = activity.terminates();
        let Some(id) = activity
            .instance()
            .filter(|_| ends && activity.start >= since)
        else {
            continue;
        };
        let why = activity.leaving_reason();
        let began = Sighting {
            at: activity.start,
            within: Duration::from_secs(1),
        };
        found.push(Left {
            id: id.to_owned(),
            began,
            why,
            draining: None,
            gone: None,
        });
    }
    // A task counts as scaled in if the service wanted fewer tasks by then.
    let shrinks: Vec<Timestamp> = timeline
        .activities()
        .into_iter()
        .filter(|one| one.change.is_some() && one.shrinks())
        .map(|one| one.start)
        .collect();
    for (sighting, instance) in instances(timeline) {
        let leaves = instance.is_leaving() && sighting.at >= since;
        if !leaves || found.iter().any(|one| one.id == instance.id) {
            continue;
        }
        let began = instance.stopping.map_or(sighting, Sighting::exact);
        let why = if shrinks.iter().any(|at| *at <= began.at) {
            Why::ScaledIn
        } else {
            Why::Other
        };
        found.push(Left {
            id: instance.id.clone(),
            began,
            why,
            draining: None,
            gone: None,
        });
    }
    for one in &mut found {
        one.draining = first_health(timeline, &one.id, &TargetState::Draining);
        one.gone = gone(timeline, &one.id, one.began.at);
    }
    found.sort_by_key(|one| one.began.at);
    found
}

/// Returns every instance at every look that saw it, with that look.
fn instances(timeline: &Timeline) -> impl Iterator<Item = (Sighting, &Instance)> {
    timeline.group_looks().flat_map(|(at, after, group)| {
        group
            .instances
            .iter()
            .map(move |instance| (Sighting::new(at, after), instance))
    })
}

fn there_before(timeline: &Timeline, since: Timestamp) -> Vec<String> {
    let before = timeline.groups().take_while(|(at, _)| *at < since);
    let first = timeline.groups().next();
    let all = before
        .chain(first)
        .flat_map(|(_, group)| group.instances.iter());
    all.filter(|instance| instance.created.is_none_or(|created| created < since))
        .map(|one| one.id.clone())
        .collect()
}

fn first(timeline: &Timeline, id: &str, is: impl Fn(&Instance) -> bool) -> Option<Sighting> {
    instances(timeline)
        .find(|(_, instance)| instance.id == id && is(instance))
        .map(|(sighting, _)| sighting)
}

fn instance_at<'a>(timeline: &'a Timeline, id: &str, at: Timestamp) -> Option<&'a Instance> {
    instances(timeline)
        .find(|(sighting, instance)| sighting.at == at && instance.id == id)
        .map(|(_, instance)| instance)
}

fn first_health(timeline: &Timeline, id: &str, state: &TargetState) -> Option<Sighting> {
    timeline
        .target_looks()
        .find(|(_, _, health)| {
            health
                .targets
                .iter()
                .any(|(target, seen)| target == id && seen == state)
        })
        .map(|(at, after, _)| Sighting::new(at, after))
}

fn gone(timeline: &Timeline, id: &str, since: Timestamp) -> Option<Sighting> {
    timeline
        .group_looks()
        .find(|(at, _, group)| *at >= since && !group.instances.iter().any(|one| one.id == id))
        .map(|(at, after, _)| Sighting::new(at, after))
}

/// Returns the number of instances that take load, for each second from the start. An instance
/// takes load if it is healthy in all target groups that have targets, or in service if there are
/// none.
pub fn serving(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let mut latest: Vec<&TargetHealth> = Vec::new();
    let mut seen: Vec<(Timestamp, u32)> = Vec::new();
    for (at, health) in timeline.targets() {
        latest.retain(|known| known.target_group != health.target_group);
        latest.push(health);
        seen.push((at, healthy_everywhere(&latest)));
    }
    if seen.is_empty() {
        seen = timeline
            .groups()
            .map(|(at, group)| (at, group.in_service()))
            .collect();
    }
    by_second(&seen, started, seconds)
}

fn healthy_everywhere(latest: &[&TargetHealth]) -> u32 {
    let mut used = latest.iter().filter(|health| !health.targets.is_empty());
    let Some(first) = used.next() else { return 0 };
    let healthy = |health: &TargetHealth, id: &str| {
        health
            .targets
            .iter()
            .any(|(own, is)| own == id && *is == TargetState::Healthy)
    };
    let all = first
        .targets
        .iter()
        .filter(|(id, _)| healthy(first, id) && used.clone().all(|one| healthy(one, id)));
    all.count() as u32
}

/// Returns the number of instances that are paid for, for each second from the start: all that
/// exist, also those that start or leave.
pub fn billed(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let seen: Vec<(Timestamp, u32)> = timeline
        .groups()
        .map(|(at, group)| (at, group.instances.len() as u32))
        .collect();
    by_second(&seen, started, seconds)
}

/// Returns the desired capacity for each second from the start.
pub fn desired(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let seen: Vec<(Timestamp, u32)> = timeline
        .groups()
        .map(|(at, group)| (at, group.desired))
        .collect();
    by_second(&seen, started, seconds)
}

/// Returns the last value seen by the end of each second, or the first value before the first look.
fn by_second(seen: &[(Timestamp, u32)], started: Timestamp, seconds: usize) -> Vec<u32> {
    let Some((_, first)) = seen.first() else {
        return vec![0; seconds];
    };
    let (mut next, mut value) = (0, *first);
    (1..=seconds as u64)
        .map(|end| {
            let end = started
                .checked_add(Duration::from_secs(end))
                .unwrap_or(started);
            while let Some((_, seen)) = seen.get(next).filter(|(at, _)| *at <= end) {
                value = *seen;
                next += 1;
            }
            value
        })
        .collect()
}

/// Returns the group as last seen by a moment, or as first seen if the moment is before the first
/// look.
pub fn group_at(timeline: &Timeline, at: Timestamp) -> Option<&GroupState> {
    let mut first = None;
    let mut latest = None;
    for (seen, group) in timeline.groups() {
        first = first.or(Some(group));
        if seen <= at {
            latest = Some(group);
        }
    }
    latest.or(first)
}

/// Returns the time from the first to the second moment; zero if they are in the other order.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Returns the moment this much later, or the same moment if that is out of range.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

/// Returns the whole second of the load in which a moment lies; `None` before the load.
pub fn second(started: Timestamp, at: Timestamp) -> Option<u32> {
    u32::try_from(at.duration_since(started).as_secs())
        .ok()
        .filter(|_| at >= started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, group};
    use crate::timeline::{Observation, Observed};

    const GREW: &str = "At 2026-03-01T12:00:10Z a monitor alarm high in state ALARM triggered policy cpu changing the \
                        desired capacity from 1 to 2.";
    const SICK: &str = "At 2026-03-01T12:00:12Z an instance was taken out of service in response to an ELB system \
                        health check failure.";
    const REPLACES: &str = "At 2026-03-01T12:00:13Z an instance was launched in response to an unhealthy instance \
                            needing to be replaced.";
    const DIFFERS: &str = "At 2026-03-01T12:00:20Z an instance was started in response to a difference between \
                           desired and actual capacity, increasing the capacity from 1 to 2.";
    const TERMINATED: &str = "At 2026-03-01T12:00:11Z instance i-1 was taken out of service in response to a user request.";
    const DECREMENTED: &str = "At 2026-03-01T12:00:11Z instance i-1 was taken out of service in response to a user \
                               request, shrinking the capacity from 2 to 1.";
    const LOWERED: &str = "At 2026-03-01T12:00:11Z a user request explicitly set group desired capacity changing the \
                           desired capacity from 2 to 1.  At 2026-03-01T12:00:12Z an instance was taken out of service \
                           in response to a difference between desired and actual capacity, shrinking the capacity \
                           from 2 to 1.";
    const ABANDONED: &str = "Launching a new EC2 instance: i-2.  Status Reason: Instance failed to complete user's \
                             Lifecycle Action: Lifecycle Action with token t was abandoned: Lifecycle Action \
                             Completed with ABANDON Result";

    /// An activity at a second, with its description, cause and status.
    fn activity(second: u32, description: &str, cause: &str, status: &str) -> Observation {
        let activity = Activity {
            id: format!("{second}"),
            description: description.to_owned(),
            cause: cause.to_owned(),
            start: at(second),
            status: status.into(),
            ..Activity::default()
        };
        Observation::new(at(second), Observed::Activity(activity))
    }

    #[test]
    fn the_activities_before_a_launch_tell_growth_replacement_and_neither_apart() {
        let failed = "Launching a new EC2 instance.  Status Reason: Could not launch Spot Instances. \
                      UnfulfillableCapacity - There is no capacity available that matches your request. Launching EC2 \
                      instance failed.";
        let grew = || activity(10, failed, GREW, "Failed");
        let sick = || activity(12, "Terminating EC2 instance: i-1", SICK, "Successful");
        let gone = || activity(14, "Terminating EC2 instance: i-2", SICK, "Successful");
        let by_hand = |cause| activity(11, "Terminating EC2 instance: i-1", cause, "Successful");
        let came = |description, status| activity(13, description, REPLACES, status);
        let why = |before: Vec<Observation>| {
            let again = activity(
                20,
                "Launching a new EC2 instance: i-3",
                DIFFERS,
                "Successful",
            );
            let observations = [before, vec![again]].concat();
            let found = launched(&Timeline { observations }, at(0));
            found.iter().find(|one| one.id == "i-3").unwrap().why
        };
        let replaced = "Launching a new EC2 instance: i-2";
        for (before, reason) in [
            (vec![grew()], LaunchReason::Grew),
            (vec![sick()], LaunchReason::Replaced),
            (vec![], LaunchReason::Unknown),
            (vec![grew(), sick()], LaunchReason::Replaced),
            (
                vec![grew(), sick(), came(replaced, "Successful")],
                LaunchReason::Grew,
            ),
            (
                vec![grew(), sick(), came(ABANDONED, "Cancelled")],
                LaunchReason::Replaced,
            ),
            (
                vec![activity(10, ABANDONED, GREW, "Cancelled"), gone()],
                LaunchReason::Grew,
            ),
            // A user who takes an instance away for good, with the desired capacity.
            (vec![grew(), by_hand(DECREMENTED)], LaunchReason::Grew),
            (vec![grew(), by_hand(LOWERED)], LaunchReason::Grew),
            (vec![grew(), by_hand(TERMINATED)], LaunchReason::Replaced),
        ] {
            let said = format!("{before:?}");
            assert_eq!(why(before), reason, "{said}");
        }
    }

    #[test]
    fn an_instance_whose_lifecycle_action_was_abandoned_never_came_into_service() {
        let mut pending = group(12, 2, &["i-1", "i-2"]);
        if let Observed::Group(state) = &mut pending.seen {
            state.instances[1].lifecycle = "Pending:Wait".into();
        }
        let observations = vec![
            group(0, 1, &["i-1"]),
            activity(10, ABANDONED, GREW, "Cancelled"),
            pending,
            group(20, 2, &["i-1"]),
        ];
        let timeline = Timeline { observations };
        let found = launched(&timeline, at(0));
        let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["i-2"]);
        assert_eq!(
            (found[0].in_service, found[0].healthy, starts(&found)),
            (None, None, None)
        );
        let serving = serving(&timeline, at(0), 25);
        assert_eq!(serving, [1; 25]);
        // A launch that failed before it made an instance has none.
        let unsupported = "Launching a new EC2 instance.  Status Reason: Your requested instance type (c6i.2xlarge) is \
                           not supported";
        let observations = vec![activity(10, unsupported, GREW, "Failed")];
        assert!(launched(&Timeline { observations }, at(0)).is_empty());
    }

    #[test]
    fn an_instance_serves_when_it_is_healthy_in_all_its_target_groups() {
        let look = |second, group: &str, targets: &[(&str, &str)]| {
            let targets = targets
                .iter()
                .map(|(id, state)| ((*id).to_owned(), (*state).into()))
                .collect();
            Observation::new(
                at(second),
                Observed::Targets(TargetHealth {
                    target_group: group.to_owned(),
                    targets,
                }),
            )
        };
        let both = [("i-1", "healthy"), ("i-2", "healthy")];
        let observations = vec![
            look(0, "a", &[("i-1", "healthy")]),
            look(0, "b", &[("i-1", "healthy")]),
            look(2, "a", &both),
            look(3, "b", &[("i-1", "healthy"), ("i-2", "initial")]),
            look(5, "b", &both),
            look(6, "unused", &[]),
        ];
        let timeline = Timeline { observations };
        assert_eq!(serving(&timeline, at(0), 8), [1, 1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn what_fits_every_start_that_was_seen_is_known_closer_than_a_look() {
        let one = |launched: u32, in_service: u32, healthy: u32| Launched {
            id: "i-1".to_owned(),
            launched: Sighting::exact(at(launched)),
            why: LaunchReason::Grew,
            in_service: Some(Sighting {
                at: at(in_service),
                within: POLLED,
            }),
            healthy: Some(Sighting {
                at: at(healthy),
                within: POLLED,
            }),
            first_answer: None,
        };
        let s = Duration::from_secs;
        assert_eq!(starts(&[one(10, 14, 16)]), Some((s(3), s(2))));
        // In service after 2 to 4, 3 to 5 and 1 to 3 seconds; healthy after 4 to 6, 5 to 7 and 3 to
        // 5.
        assert_eq!(
            starts(&[one(10, 14, 16), one(11, 16, 18), one(11, 14, 16)]),
            Some((s(3), s(2)))
        );
        let apart = [one(10, 14, 16), one(10, 24, 26), one(10, 34, 36)];
        assert_eq!(
            starts(&apart),
            Some((s(13), s(2))),
            "they do not start alike: the middle"
        );
        assert_eq!(starts(&[]), None);
    }

    #[test]
    fn what_has_answered_was_in_service_before_it_was_seen_to_be() {
        let seen = Sighting {
            at: at(16),
            within: Duration::from_secs(2),
        };
        assert_eq!(seen.likeliest(None), at(15));
        assert_eq!(seen.likeliest(Some(at(20))), at(15));
        assert_eq!(seen.likeliest(Some(at(14))), at(14));
        assert_eq!(
            seen.likeliest(Some(at(13))),
            at(14),
            "not before the look that did not see it"
        );
    }
}
