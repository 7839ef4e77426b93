//! What became of each instance that came or went: one line per instance, on one clock.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::TargetState;
use crate::timeline::{GroupState, Instance, TargetHealth, Timeline};
use model::units::{Seconds, seconds};

/// Between two looks, where the timeline does not say when the look before was.
pub const POLLED: Duration = Duration::from_secs(2);
/// Causes and activities have whole seconds.
pub const SECOND: Duration = Duration::from_secs(1);

/// Something that polling saw: it happened at most `within` before.
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

    /// The middle of the time in which it happened; `by` then it had, where that is known.
    pub fn likeliest(self, by: Option<Timestamp>) -> Timestamp {
        let from = self.at.checked_sub(self.within).unwrap_or(self.at);
        let to = by.map_or(self.at, |by| by.min(self.at)).max(from);
        from.checked_add(between(from, to) / 2).unwrap_or(from)
    }

    /// An API gave the time itself.
    pub fn exact(at: Timestamp) -> Self {
        Self {
            at,
            within: Duration::from_millis(1),
        }
    }
}

/// An instance that the group launched after the load began. Moments that were not seen are
/// missing, never guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Launched {
    /// The instance's id; of a service, that of the task.
    pub id: String,
    /// `StartTime` of its launch activity, or a task's `createdAt`; where neither can be read,
    /// first seen.
    pub launched: Sighting,
    /// It replaces one that failed its checks: no policy asked for it.
    pub replaces: bool,
    /// First seen in service; a task's `startedAt`.
    pub in_service: Option<Sighting>,
    /// First seen healthy in a target group.
    pub healthy: Option<Sighting>,
    /// The end of its first answer, by the header that names the instance.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub first_answer: Option<Timestamp>,
}

impl Launched {
    /// Who has answered was in service and healthy by then, whenever the next look saw it.
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

    /// From launch to in service, by the likeliest moments.
    pub fn boot(&self) -> Option<Duration> {
        // What has answered was in service, whenever that was seen.
        Some(between(
            self.launched.at,
            self.in_service?.likeliest(self.first_answer),
        ))
    }

    /// How long after its launch a sighting happened, at least and at most. What has answered was
    /// there by then, whenever that was seen.
    fn took(&self, seen: Sighting) -> (Duration, Duration) {
        let since = |at: Timestamp| between(self.launched.at, at);
        let most = since(self.first_answer.map_or(seen.at, |by| by.min(seen.at)));
        (
            since(seen.at.checked_sub(seen.within).unwrap_or(seen.at)).min(most),
            most,
        )
    }

    /// From in service to healthy. The two are polled one after the other: within a poll they are
    /// one.
    pub fn health(&self) -> Option<Duration> {
        let by = self.first_answer;
        Some(between(
            self.in_service?.likeliest(by),
            self.healthy?.likeliest(by),
        ))
    }

    /// From when on it takes requests, as far as that is known.
    pub fn serves(&self) -> Option<Timestamp> {
        self.first_answer
            .or(self.healthy.map(|seen| seen.at))
            .or(self.in_service.map(|seen| seen.at))
    }
}

/// From launch to in service, and from there to healthy. Instances start alike: what fits all that
/// were seen is known closer than any look tells; where nothing fits them all, the middle.
pub fn starts(launched: &[Launched]) -> Option<(Duration, Duration)> {
    let spans = |of: fn(&Launched) -> Option<Sighting>| -> Vec<(Duration, Duration)> {
        launched
            .iter()
            .filter_map(|one| of(one).map(|seen| one.took(seen)))
            .collect()
    };
    let boot = agreed(&spans(|one| one.in_service))?;
    let healthy = agreed(&spans(|one| one.healthy));
    // The two are polled one after the other: within a poll they are one.
    Some((
        boot,
        healthy.map_or(Duration::ZERO, |healthy| healthy.saturating_sub(boot)),
    ))
}

/// A time that lies in all of these spans; else the middle one's middle.
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

/// The middle one in order, the larger of two; `None` of none.
pub fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// An instance that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// The instance's id; of a service, that of the task.
    pub id: String,
    /// `StartTime` of its termination, or a task's `stoppingAt`; where neither can be read, first
    /// seen leaving.
    pub began: Sighting,
    /// Why it was terminated, by the cause of the activity.
    pub why: Why,
    /// First seen draining in a target group.
    pub draining: Option<Sighting>,
    /// First seen gone from the group.
    pub gone: Option<Sighting>,
}

/// Why an instance left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The group scaled in.
    ScaledIn,
    /// It failed its health checks, and was replaced.
    FailedChecks,
    /// By hand, by a refresh, or unknown.
    Other,
}

/// The instances launched since a moment, in the order of their launches.
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
            replaces: !activity.grows(),
            in_service: None,
            healthy: None,
            first_answer: None,
        });
    }
    // Tasks have no activity each, and activities may not be readable.
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
            replaces: false,
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

/// The instances that left since a moment, in that order.
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
        let why = match () {
            () if activity.shrinks() => Why::ScaledIn,
            () if activity.replaces() => Why::FailedChecks,
            () => Why::Other,
        };
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
    // Whether a task was scaled in: the service wanted fewer by then.
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

/// Every instance at every look at which it was there, with the look.
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

/// Instances that take load, for each second from the start instant: healthy in all target groups
/// that have any, else in service.
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

/// Instances that are paid for, for each second from the start instant: whatever is there, those
/// that come or go as well.
pub fn billed(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let seen: Vec<(Timestamp, u32)> = timeline
        .groups()
        .map(|(at, group)| (at, group.instances.len() as u32))
        .collect();
    by_second(&seen, started, seconds)
}

/// The desired capacity for each second from the start instant.
pub fn desired(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let seen: Vec<(Timestamp, u32)> = timeline
        .groups()
        .map(|(at, group)| (at, group.desired))
        .collect();
    by_second(&seen, started, seconds)
}

/// The last value seen by the end of each second; before the first look, the first.
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

/// The group as it was at a moment: as last seen by then; before the first look, as first seen.
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

/// From the first to the second moment; zero where they are in the other order.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The moment this much later; the same moment where that is out of range.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

/// The whole second of the load a moment lies in; nothing before it.
pub fn second(started: Timestamp, at: Timestamp) -> Option<u32> {
    u32::try_from(at.duration_since(started).as_secs())
        .ok()
        .filter(|_| at >= started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use crate::timeline::{Observation, Observed};

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
            replaces: false,
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
