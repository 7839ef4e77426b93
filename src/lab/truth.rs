//! What really happened, to lay a report beside: every instant the lab's group lived through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::LabInstant;
use super::group::LabGroup;
use super::instance::LabInstance;

/// Written when the lab stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub version: u32,
    pub group: String,
    /// In the order of their launches; those from the start are marked.
    pub instances: Vec<InstanceTruth>,
    /// In the order in which they fired.
    pub alarms: Vec<FiredAlarm>,
    pub decisions: Vec<Decided>,
    /// Requests per second one instance can answer.
    pub capacity: f64,
    /// Percent of CPU per request and second.
    pub cpu_per_request: f64,
    /// Requests that were lost because their instance went away.
    pub lost: u64,
    /// Requests that instances answered with an error because they were fresh.
    pub fresh_errors: u64,
}

pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceTruth {
    pub id: String,
    pub from_the_start: bool,
    pub launched: Timestamp,
    pub in_service: Option<Timestamp>,
    pub healthy: Option<Timestamp>,
    pub first_answer: Option<Timestamp>,
    /// Out of service, and then gone.
    pub draining: Option<Timestamp>,
    pub gone: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiredAlarm {
    pub alarm: String,
    /// It fires when its metric is high.
    pub high: bool,
    pub at: Timestamp,
    /// The start of the first datapoint that breached.
    pub breach: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub at: Timestamp,
    pub policy: String,
    pub alarm: String,
    pub from: u32,
    pub to: u32,
}

impl Decided {
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

fn timestamp(moment: LabInstant) -> Timestamp {
    Timestamp::from_nanosecond(moment.as_nanos() as i128).unwrap_or_default()
}

impl Truth {
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
        let workers = f64::from(group.target.workers);
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
            capacity: workers / group.target.service_time.as_secs_f64(),
            cpu_per_request: group.target.service_time.as_secs_f64() / workers * 100.0,
        }
    }
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
            first_answer: instance.served.map(|(first, _)| timestamp(first)),
            draining: instance.leaving.and_then(|(since, _)| passed(since)),
            gone: instance.leaving.and_then(|(_, gone)| passed(gone)),
        }
    }
}
