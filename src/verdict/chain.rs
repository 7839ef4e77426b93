//! What became of each instance that came or went: one line per instance, on one clock.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::measure::timeline::Timeline;

/// An instance that the group launched after the load began. Moments that were not seen are missing, never guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launched {
    pub id: String,
    /// `StartTime` of its launch activity.
    pub launched: Timestamp,
    /// First seen in service.
    pub in_service: Option<Timestamp>,
    /// First seen healthy in a target group.
    pub healthy: Option<Timestamp>,
}

impl Launched {
    pub fn boot(&self) -> Option<Duration> {
        Some(between(self.launched, self.in_service?))
    }

    /// From in service to healthy. The two are polled one after the other: within a poll they are one.
    pub fn health(&self) -> Option<Duration> {
        Some(between(self.in_service?, self.healthy?))
    }
}

/// The instances launched since a moment, in the order of their launches.
pub fn launched(timeline: &Timeline, since: Timestamp) -> Vec<Launched> {
    let launches = timeline.activities().into_iter().filter(|activity| activity.start >= since && activity.grows());
    launches
        .filter_map(|activity| {
            let id = activity.description.rsplit_once(": ")?.1.split_whitespace().next()?.to_owned();
            let in_service = timeline.groups().find_map(|(at, group)| {
                let there = group.instances.iter().any(|seen| seen.id == id && seen.lifecycle == "InService");
                there.then_some(at)
            });
            let healthy = timeline.first_health(&id, "healthy");
            Some(Launched { id, launched: activity.start, in_service, healthy })
        })
        .collect()
}

/// Instances that take load, for each second from the start instant: healthy in the target group where there is one,
/// else in service.
pub fn serving(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let healthy = |targets: &[(String, String)]| targets.iter().filter(|(_, state)| state == "healthy").count() as u32;
    let mut seen: Vec<(Timestamp, u32)> =
        timeline.targets().map(|(at, health)| (at, healthy(&health.targets))).collect();
    if seen.is_empty() {
        seen = timeline.groups().map(|(at, group)| (at, group.in_service())).collect();
    }
    by_second(&seen, started, seconds)
}

/// The desired capacity for each second from the start instant.
pub fn desired(timeline: &Timeline, started: Timestamp, seconds: usize) -> Vec<u32> {
    let seen: Vec<(Timestamp, u32)> = timeline.groups().map(|(at, group)| (at, group.desired)).collect();
    by_second(&seen, started, seconds)
}

/// The last value seen by the end of each second; before the first look, the first.
fn by_second(seen: &[(Timestamp, u32)], started: Timestamp, seconds: usize) -> Vec<u32> {
    let Some((_, first)) = seen.first() else { return vec![0; seconds] };
    let (mut next, mut value) = (0, *first);
    (1..=seconds as u64)
        .map(|end| {
            let end = started.checked_add(Duration::from_secs(end)).unwrap_or(started);
            while let Some((_, seen)) = seen.get(next).filter(|(at, _)| *at <= end) {
                value = *seen;
                next += 1;
            }
            value
        })
        .collect()
}

pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
