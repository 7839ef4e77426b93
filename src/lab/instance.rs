//! One instance of the group, and the record of its launch or end.
//!
//! Both carry the instants at which they change, so nothing has to run for a change to happen.

use serde_json::{Value, json};

use super::clock::Moment;
use super::config::{Policy, Target};
use super::ids;
use super::queue::Queue;

#[derive(Debug)]
pub struct Instance {
    pub id: String,
    pub zone: &'static str,
    pub launched: Moment,
    pub in_service: Moment,
    pub healthy: Moment,
    pub warmed: Moment,
    /// When it was taken out of service, and when it is gone.
    pub leaving: Option<(Moment, Moment)>,
    pub queue: Queue,
}

/// What the load balancer says of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    Initial,
    Healthy,
    Draining,
}

/// One launch or termination.
#[derive(Debug)]
pub struct Activity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub details: Value,
    pub start: Moment,
    /// Reached one after the other; the last one is the end.
    pub stages: Vec<(&'static str, Moment)>,
}

impl Instance {
    pub fn launch(target: &Target, policy: &Policy, zone: &'static str, now: Moment) -> Self {
        let in_service = now + target.boot_time;
        Self {
            id: format!("i-{}", ids::hex(17)),
            zone,
            launched: now,
            in_service,
            healthy: in_service + target.health_check_interval,
            warmed: in_service + policy.warm_up,
            leaving: None,
            queue: Queue::new(target.workers, target.service_time, target.queue_limit),
        }
    }

    pub fn lifecycle(&self, now: Moment) -> &'static str {
        match self.leaving {
            Some(_) => "Terminating",
            None if now < self.in_service => "Pending",
            None => "InService",
        }
    }

    /// `None`: not registered yet.
    pub fn target_state(&self, now: Moment) -> Option<TargetState> {
        match self.leaving {
            Some(_) => Some(TargetState::Draining),
            None if now < self.in_service => None,
            None if now < self.healthy => Some(TargetState::Initial),
            None => Some(TargetState::Healthy),
        }
    }

    /// Not on its way out.
    pub fn stays(&self) -> bool {
        self.leaving.is_none()
    }
}

impl Activity {
    /// Of an instance that was just launched, or has just begun to leave.
    pub fn new(
        verb: &str,
        instance: &Instance,
        cause: String,
        details: &Value,
        stages: Vec<(&'static str, Moment)>,
    ) -> Self {
        let mut details = details.clone();
        details["Subnet ID"] = json!("subnet-lab");
        details["Availability Zone"] = json!(instance.zone);
        Self {
            id: ids::uuid(),
            description: format!("{verb} EC2 instance: {}", instance.id),
            cause,
            details,
            start: instance.leaving.map_or(instance.launched, |(since, _)| since),
            stages,
        }
    }

    /// The status code, and the end once it is reached.
    pub fn status(&self, now: Moment) -> (&'static str, Option<Moment>) {
        match self.stages.iter().find(|(_, until)| now < *until) {
            Some((status, _)) => (status, None),
            None => ("Successful", self.stages.last().map(|(_, end)| *end)),
        }
    }
}
