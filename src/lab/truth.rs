//! The true events of the lab's group, for comparison with a report: every instant it lived
//! through.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::LabInstant;
use super::config::LabTarget;
use super::group::LabGroup;
use super::instance::LabInstance;
use super::worlds::backend::Behind;
use super::worlds::interruptions::Interrupted;
use super::worlds::transfer::Links;
use super::worlds::types::{self, InstanceType};
use super::worlds::unequal::Unequal;
use super::worlds::zone_loss::Loss;

/// Written when the lab stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// [`VERSION`] of the lab that wrote it.
    pub version: u32,
    /// The name of the target's group.
    pub group: String,
    /// The instances in the order of their launches; those from the start are marked.
    pub instances: Vec<InstanceTruth>,
    /// The alarms in the order in which they fired.
    pub alarms: Vec<FiredAlarm>,
    /// Every change of the desired capacity by a policy, in order.
    pub decisions: Vec<Decided>,
    /// Every change of the group's settings by a caller, in order.
    #[serde(default)]
    pub configured: Vec<Configured>,
    /// Requests per second one instance can answer; the average where there are several types.
    pub capacity: f64,
    /// Percent of CPU per request and second.
    pub cpu_per_request: f64,
    /// Requests that were lost because their instance went away.
    pub lost: u64,
    /// Requests that instances answered with an error because they were fresh.
    pub fresh_errors: u64,
    /// The deeds of the optional parts of the lab file.
    #[serde(default)]
    pub worlds: WorldsTruth,
}

/// The deeds of the optional parts of the lab file. A part that the file does not have did nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorldsTruth {
    /// The first request of the generators' load; the times of `sick` and `traffic` count from it.
    pub first_request: Option<Timestamp>,
    /// Requests that generators sent.
    pub requests: u64,
    /// Requests of other users.
    pub others: u64,
    /// The backend that all instances share.
    pub backend: Option<BackendTruth>,
    /// The instance that was sick.
    pub sick: Option<SickTruth>,
    /// Answers that were late because their instance was cold.
    pub cold_answers: u64,
    /// Requests that failed because of their path.
    pub failing_paths: u64,
    /// Requests that the rate limit refused.
    pub rate_limited: u64,
    /// Connections that were closed at once because too many were open.
    pub refused_connections: u64,
    /// Requests that cost more than others.
    pub dear: u64,
    /// Requests with a large answer.
    pub large_answers: u64,
    /// Requests of generators whose client went away before the answer.
    pub given_up: u64,
    /// The launches that failed, in order.
    pub failed_launches: Vec<Timestamp>,
    /// The instances that EC2 took back, in order.
    pub interruptions: Vec<InterruptionTruth>,
    /// The zone that was lost.
    pub zone_loss: Option<ZoneLossTruth>,
    /// The types of the instances, in the order of the lab file.
    pub types: Vec<TypeTruth>,
}

/// An instance that EC2 took back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InterruptionTruth {
    /// Its id.
    pub instance: String,
    /// The instant at which it was taken out of service.
    pub at: Timestamp,
    /// The end of its draining; `None` if it still drained.
    pub gone: Option<Timestamp>,
    /// Requests that were lost with it.
    pub lost: u64,
}

/// The zone that was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneLossTruth {
    /// The beginning; `None` if it did not come to that.
    pub from: Option<Timestamp>,
    /// The end; `None` if it lasted.
    pub to: Option<Timestamp>,
    /// The instances that were there.
    pub instances: Vec<String>,
    /// Requests that got no answer from there.
    pub unanswered: u64,
}

/// A type of instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeTruth {
    /// The name.
    pub kind: String,
    /// Requests per second that such an instance can answer, on average.
    pub capacity: f64,
    /// Instances of this type so far.
    pub instances: u32,
}

/// The backend that all instances share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendTruth {
    /// Requests per second that it can answer.
    pub capacity: f64,
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that it refused.
    pub refused: u64,
}

/// The instance that was sick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SickTruth {
    /// Its id; `None` if no instance had its number.
    pub instance: Option<String>,
    /// The beginning of its sickness; `None` if it did not come to that.
    pub from: Option<Timestamp>,
    /// The end of its sickness; `None` if it lasted.
    pub to: Option<Timestamp>,
    /// Requests that came to it meanwhile.
    pub requests: u64,
}

/// Version of this format.
pub const VERSION: u32 = 1;

/// One instance of the group, from its launch to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceTruth {
    /// The instance id, or the task id of a service.
    pub id: String,
    /// True if it existed when the lab started, and was not launched by a policy.
    pub from_the_start: bool,
    /// The instant of its launch.
    pub launched: Timestamp,
    /// The instant of entering service; `None` if it left, or the lab ended, before.
    pub in_service: Option<Timestamp>,
    /// Healthy in the target group; `None` if it left, or the lab ended, before.
    pub healthy: Option<Timestamp>,
    /// The first request that it answered; `None` if it answered none.
    pub first_answer: Option<Timestamp>,
    /// Out of service, and then gone.
    pub draining: Option<Timestamp>,
    /// Terminated; `None` if it still exists.
    pub gone: Option<Timestamp>,
}

/// One change of an alarm to ALARM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiredAlarm {
    /// The alarm's name.
    pub alarm: String,
    /// True if the alarm fires when its metric is high.
    pub high: bool,
    /// The instant of the change.
    pub at: Timestamp,
    /// The start of the first datapoint that breached.
    pub breach: Timestamp,
}

/// One decision of a policy to change the desired capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The instant of the decision.
    pub at: Timestamp,
    /// The policy's name.
    pub policy: String,
    /// The alarm that made the policy decide.
    pub alarm: String,
    /// Desired capacity before.
    pub from: u32,
    /// Desired capacity after.
    pub to: u32,
}

impl Decided {
    /// Returns a decision at an instant of the lab's clock.
    pub fn new(at: LabInstant, policy: &str, alarm: &str, from: u32, to: u32) -> Self {
        Self {
            at: timestamp(at),
            policy: policy.to_owned(),
            alarm: alarm.to_owned(),
            from,
            to,
        }
    }
}

/// A change of the group's settings by a caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// The instant of the call.
    pub at: Timestamp,
    /// The call, `PutScalingPolicy` or `UpdateAutoScalingGroup`.
    pub call: String,
    /// The parameters of the call.
    pub settings: BTreeMap<String, String>,
}

impl Configured {
    /// Returns a change at an instant of the lab's clock.
    pub fn new(at: LabInstant, call: &str, settings: BTreeMap<String, String>) -> Self {
        Self {
            at: timestamp(at),
            call: call.to_owned(),
            settings,
        }
    }
}

fn timestamp(moment: LabInstant) -> Timestamp {
    Timestamp::from_nanosecond(moment.as_nanos() as i128).unwrap_or_default()
}

impl Truth {
    /// Returns the truth up to `now`: instants after it are left out.
    pub fn of(group: &LabGroup, now: LabInstant) -> Self {
        let mut known: Vec<&LabInstance> = group.gone.iter().chain(&group.instances).collect();
        known.sort_by_key(|instance| instance.launched);
        let mut alarms: Vec<FiredAlarm> = group
            .alarms()
            .flat_map(|(_, alarm)| {
                alarm.fired.iter().map(|(at, breach)| FiredAlarm {
                    alarm: alarm.name.clone(),
                    high: alarm.model.comparison.is_above(),
                    at: timestamp(*at),
                    breach: timestamp(*breach),
                })
            })
            .collect();
        alarms.sort_by_key(|fired| fired.at);
        let target = &group.target;
        let of_worker = of_worker(target);
        let (part, work) = types::average(&target.types);
        let of_link = group.worlds.links.as_ref().and_then(Links::capacity);
        Self {
            version: VERSION,
            group: super::group::NAME.to_owned(),
            lost: known.iter().map(|instance| instance.lost).sum(),
            fresh_errors: known.iter().map(|instance| instance.errors).sum(),
            instances: known
                .iter()
                .map(|instance| InstanceTruth::of(instance, group.created, now))
                .collect(),
            alarms,
            decisions: group.decisions.clone(),
            configured: group.configured.clone(),
            capacity: of_link.map_or(part / of_worker, |most| most.min(part / of_worker)),
            cpu_per_request: of_worker * work * target.cpu_share.of_one() * 100.0,
            worlds: WorldsTruth::of(group, &known, now),
        }
    }
}

impl WorldsTruth {
    fn of(group: &LabGroup, known: &[&LabInstance], now: LabInstant) -> Self {
        let worlds = &group.worlds;
        let since = |after: Duration| {
            let at = worlds.first_request? + after;
            (at <= now).then(|| timestamp(at))
        };
        let counts = worlds.backend.as_ref().map(Behind::counts);
        let failed = group.activities.iter().filter(|one| one.failure.is_some());
        Self {
            first_request: worlds.first_request.map(timestamp),
            requests: worlds.ours,
            others: worlds.others.count(),
            backend: group
                .target
                .backend
                .zip(counts)
                .map(|(backend, (answered, refused))| BackendTruth {
                    capacity: backend.capacity(),
                    answered,
                    refused,
                }),
            sick: group.target.sick.map(|sick| SickTruth {
                instance: known
                    .iter()
                    .find(|instance| instance.number == sick.instance)
                    .map(|instance| instance.id.clone()),
                from: since(sick.from),
                to: sick.to.and_then(since),
                requests: worlds.sick,
            }),
            cold_answers: worlds.cold,
            failing_paths: worlds.failing.failed,
            refused_connections: worlds.gate.as_ref().map_or(0, |one| one.refused),
            rate_limited: worlds.limiter.as_ref().map_or(0, |one| one.refused),
            large_answers: worlds.links.as_ref().map_or(0, |links| links.large),
            given_up: worlds.given_up,
            dear: worlds.costs.as_ref().map_or(0, |costs| costs.dear),
            failed_launches: failed.map(|one| timestamp(one.start)).collect(),
            interruptions: worlds
                .interruptions
                .past
                .iter()
                .filter_map(|one| InterruptionTruth::of(one, known, now))
                .collect(),
            zone_loss: worlds
                .zone_loss
                .as_ref()
                .map(|loss| ZoneLossTruth::of(loss, now)),
            types: TypeTruth::all(&group.target, known),
        }
    }
}

impl InterruptionTruth {
    fn of(one: &Interrupted, known: &[&LabInstance], now: LabInstant) -> Option<Self> {
        let instance = known.iter().find(|instance| instance.id == one.instance)?;
        let gone = instance.leaving.map(|(_, gone)| gone);
        Some(Self {
            instance: one.instance.clone(),
            at: timestamp(one.at),
            gone: gone.filter(|gone| *gone <= now).map(timestamp),
            lost: instance.lost,
        })
    }
}

impl ZoneLossTruth {
    fn of(loss: &Loss, now: LabInstant) -> Self {
        let passed = |at: LabInstant| (at <= now).then(|| timestamp(at));
        Self {
            from: loss.span.and_then(|(from, _)| passed(from)),
            to: loss.span.and_then(|(_, to)| passed(to)),
            instances: loss.instances.clone(),
            unanswered: loss.unanswered,
        }
    }
}

impl TypeTruth {
    fn all(target: &LabTarget, known: &[&LabInstance]) -> Vec<Self> {
        let whole = 1.0 / of_worker(target);
        let of = |kind: &InstanceType| Self {
            kind: kind.kind.clone(),
            capacity: whole * kind.capacity.of_one(),
            instances: known.iter().filter(|one| one.kind == kind.kind).count() as u32,
        };
        target.types.iter().map(of).collect()
    }
}

/// Returns the seconds of a whole instance that an average request takes.
fn of_worker(target: &LabTarget) -> f64 {
    let times = target.unequal.map_or(1.0, Unequal::average);
    target.service_time.as_secs_f64() * times / f64::from(target.workers)
}

impl InstanceTruth {
    fn of(instance: &LabInstance, created: LabInstant, now: LabInstant) -> Self {
        let passed = |moment: LabInstant| (moment <= now).then(|| timestamp(moment));
        let left = instance.leaving.map_or(now, |(since, _)| since);
        let lived = |moment: LabInstant| (moment <= left).then(|| timestamp(moment));
        Self {
            id: instance.id.clone(),
            from_the_start: instance.launched == created,
            launched: timestamp(instance.launched),
            in_service: lived(instance.in_service),
            healthy: lived(instance.healthy),
            first_answer: instance.first_answer.map(timestamp),
            draining: instance.leaving.and_then(|(since, _)| passed(since)),
            gone: instance.leaving.and_then(|(_, gone)| passed(gone)),
        }
    }
}
