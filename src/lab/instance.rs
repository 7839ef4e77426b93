//! One instance of the group, and the record of its launch or end.
//!
//! Both carry the instants at which they change, so nothing has to run for a change to happen.

use serde_json::{Value, json};

use std::sync::Arc;
use std::time::Duration;

use super::clock::LabInstant;
use super::config::{LabTarget, UNHEALTHY_AFTER};
use super::ids;
use super::queue::Queue;
use super::worlds::outage::Outage;
use super::worlds::types;

/// The zones of the group.
pub(crate) const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

#[derive(Debug)]
pub struct LabInstance {
    pub id: String,
    /// Counted from 1, in the order of launches.
    pub number: u32,
    pub zone: &'static str,
    /// The instance type.
    pub kind: String,
    /// Time that a request takes here.
    pub service_time: Duration,
    pub launched: LabInstant,
    pub in_service: LabInstant,
    /// The load balancer calls it unhealthy from then on, if it is not ready.
    pub unhealthy: LabInstant,
    /// The application answers.
    pub ready: LabInstant,
    pub healthy: LabInstant,
    pub warmed: LabInstant,
    /// The address of its task, where the group is a service.
    pub address: String,
    /// The instants when it was taken out of service, and when it is gone.
    pub leaving: Option<(LabInstant, LabInstant)>,
    pub queue: Queue,
    /// Its zone was lost: it answers nothing.
    pub(crate) dark: Option<Outage>,
    /// It is sick, and fails its checks.
    pub(crate) ill: Option<Outage>,
    /// Shared with each request in progress.
    pub token: Arc<()>,
    pub first_answer: Option<LabInstant>,
    /// Requests it answered with an error because it was fresh, and those that were lost when it
    /// went.
    pub errors: u64,
    pub lost: u64,
}

/// The health of an instance as the load balancer reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
}

/// One launch or termination.
#[derive(Debug)]
pub struct LabActivity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub details: Value,
    pub start: LabInstant,
    /// Reached one after the other; the last one is the end.
    pub stages: Vec<(&'static str, LabInstant)>,
    /// AWS's message, if it failed at its start.
    pub failure: Option<String>,
}

impl LabInstance {
    pub fn launch(
        target: &LabTarget,
        number: u32,
        warm_up: Duration,
        boot: Duration,
        zone: &'static str,
        now: LabInstant,
    ) -> Self {
        let in_service = now + boot;
        let ready = in_service + target.app_start;
        let id = if target.service {
            ids::hex(32)
        } else {
            format!("i-{}", ids::hex(17))
        };
        let (kind, service_time) = types::of(&target.types, number, target.service_time);
        Self {
            address: address(&id),
            id,
            number,
            zone,
            kind,
            service_time,
            launched: now,
            in_service,
            unhealthy: in_service + target.health_check_interval * UNHEALTHY_AFTER,
            ready,
            healthy: ready + target.health_check_interval,
            warmed: in_service + warm_up,
            leaving: None,
            queue: Queue::new(target.workers, service_time, target.queue_limit),
            dark: None,
            ill: None,
            token: Arc::new(()),
            first_answer: None,
            errors: 0,
            lost: 0,
        }
    }

    /// Returns when its failed checks have it replaced: the application is not up when checks begin
    /// to count, its zone was lost, or it is ill.
    pub fn fails_at(&self, target: &LabTarget) -> Option<LabInstant> {
        let counts = self.in_service + target.health_check_grace;
        let at = self.unhealthy.max(counts);
        let later = self.outages().filter_map(|one| one.replaced(counts));
        let own = (at < self.ready).then_some(at);
        own.into_iter()
            .chain(later)
            .min()
            .filter(|_| self.leaving.is_none())
    }

    pub fn lifecycle(&self, now: LabInstant) -> &'static str {
        match self.leaving {
            Some(_) => "Terminating",
            None if now < self.in_service => "Pending",
            None => "InService",
        }
    }

    /// Returns the state in the target group; `None` if not registered yet.
    pub fn target_state(&self, now: LabInstant) -> Option<TargetState> {
        match self.leaving {
            Some(_) => Some(TargetState::Draining),
            None if now < self.in_service => None,
            None if self.outages().any(|one| one.is_unhealthy(now)) => Some(TargetState::Unhealthy),
            None if self.waits_for_check(now) => Some(TargetState::Initial),
            None if now >= self.healthy => Some(TargetState::Healthy),
            None if now >= self.unhealthy && now < self.ready => Some(TargetState::Unhealthy),
            None => Some(TargetState::Initial),
        }
    }

    /// Returns the times in which its checks fail once it is up.
    fn outages(&self) -> impl Iterator<Item = Outage> {
        [self.dark, self.ill].into_iter().flatten()
    }

    /// True if its first check cannot pass.
    fn waits_for_check(&self, now: LabInstant) -> bool {
        self.outages()
            .any(|one| one.keeps_from_passing(self.healthy, now))
    }

    /// True if it is sick, and its checks show it.
    pub(crate) fn is_ill(&self, now: LabInstant) -> bool {
        self.ill.is_some_and(|ill| ill.covers(now))
    }

    /// True if it answers nothing at this instant.
    pub(crate) fn is_dark(&self, now: LabInstant) -> bool {
        self.dark.is_some_and(|dark| dark.covers(now))
    }

    /// Returns the number of its requests in progress.
    pub fn outstanding(&self) -> usize {
        Arc::strong_count(&self.token) - 1
    }

    /// True if the instance is not on its way out.
    pub fn stays(&self) -> bool {
        self.leaving.is_none()
    }
}

/// Returns a private address of its own, made of the id.
fn address(id: &str) -> String {
    let byte = |from: usize| {
        id.get(from..from + 2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .unwrap_or(1)
    };
    format!("10.{}.{}.{}", byte(2), byte(4), byte(6))
}

/// Returns an activity's details with its place.
fn placed(details: &Value, zone: &str) -> Value {
    let mut details = details.clone();
    details["Subnet ID"] = json!("subnet-lab");
    details["Availability Zone"] = json!(zone);
    details
}

impl LabActivity {
    /// Returns the activity of an instance that was just launched, or has just begun to leave.
    pub fn new(
        verb: &str,
        instance: &LabInstance,
        cause: String,
        details: &Value,
        stages: Vec<(&'static str, LabInstant)>,
    ) -> Self {
        Self {
            id: ids::uuid(),
            description: format!("{verb}: {}", instance.id),
            cause,
            details: placed(details, instance.zone),
            start: instance
                .leaving
                .map_or(instance.launched, |(since, _)| since),
            stages,
            failure: None,
        }
    }

    /// Returns the activity of a launch that failed, with AWS's message.
    pub fn failed(
        message: String,
        cause: String,
        details: &Value,
        zone: &str,
        now: LabInstant,
    ) -> Self {
        Self {
            id: ids::uuid(),
            description: format!("Launching a new EC2 instance.  Status Reason: {message}"),
            cause,
            details: placed(details, zone),
            start: now,
            stages: Vec::new(),
            failure: Some(message),
        }
    }

    /// Returns the status code, and the end once it is reached.
    pub fn status(&self, now: LabInstant) -> (&'static str, Option<LabInstant>) {
        if self.failure.is_some() {
            return ("Failed", Some(self.start));
        }
        match self.stages.iter().find(|(_, until)| now < *until) {
            Some((status, _)) => (status, None),
            None => ("Successful", self.stages.last().map(|(_, end)| *end)),
        }
    }
}
