//! Optional parts of the lab's target: causes of slow or failed answers other than its size.
//!
//! Each part has a file with its keys and its rules. All are off unless the lab file has them.

use std::time::Duration;

use super::clock::LabInstant;
use super::config::{Config, LabConfigError};
use backend::{Behind, Progress};
use balancing::Pins;
use connections::Gate;
use failing::FailingPaths;
use interruptions::Interruptions;
use rate_limit::Limiter;
use sick::Illness;
use traffic::Others;
use transfer::{Links, Parcel};
use unequal::Costs;
use zone_loss::Loss;

pub(crate) mod backend; // shared slots behind all instances
pub(crate) mod balancing; // which instance gets the next request
pub(crate) mod cold; // late answers of new instances
pub(crate) mod connections; // a most for open connections
pub(crate) mod failing; // paths that fail whatever the load
pub(crate) mod held; // a backend that holds the workers of the instances
pub(crate) mod interruptions; // Spot instances that are taken back
pub(crate) mod launches; // launches that fail, or come late
pub(crate) mod outage; // a time in which the checks of an instance fail
pub(crate) mod quantity; // `10%` and `300/s`
pub(crate) mod rate_limit; // a most of requests, of all instances or of each
pub(crate) mod schedule; // bounds of the group for a time
pub(crate) mod sick; // one instance that fails, and its checks may not
pub(crate) mod traffic; // requests that no generator sends
pub(crate) mod transfer; // large answers, and the link that they leave by
pub(crate) mod types; // instances of several types
pub(crate) mod unequal; // requests that cost more than others
pub(crate) mod zone_loss; // a zone whose instances answer nothing

#[cfg(test)]
mod tests; // the parts in a whole group

/// Requests before the load.
const FEW: u64 = 3;
/// The least time between them and the load. A run creates its tasks in it.
const PAUSE: Duration = Duration::from_secs(1);

/// The state of the optional parts while the lab runs.
#[derive(Debug)]
pub(crate) struct Worlds {
    /// The first request of the load that generators sent.
    pub(crate) first_request: Option<LabInstant>,
    /// Their latest request.
    last_request: Option<LabInstant>,
    /// Requests that generators sent.
    pub(crate) ours: u64,
    /// Answers that were late because their instance was cold.
    pub(crate) cold: u64,
    /// Requests that the sick instance took while it was sick.
    pub(crate) sick: u64,
    /// Requests whose client went away before their answer.
    pub(crate) given_up: u64,
    pub(crate) backend: Option<Behind>,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) illness: Option<Illness>,
    pub(crate) gate: Option<Gate>,
    pub(crate) failing: FailingPaths,
    pub(crate) costs: Option<Costs>,
    pub(crate) links: Option<Links>,
    pub(crate) pins: Pins,
    pub(crate) others: Others,
    pub(crate) interruptions: Interruptions,
    pub(crate) zone_loss: Option<Loss>,
}

impl Worlds {
    /// Returns the parts as the lab file has them, before the first request.
    pub(crate) fn new(config: &Config) -> Self {
        let target = &config.target;
        Self {
            first_request: None,
            last_request: None,
            ours: 0,
            cold: 0,
            sick: 0,
            given_up: 0,
            backend: target.backend.map(|keys| Behind::new(keys, target)),
            limiter: target.rate_limit.map(Limiter::new),
            illness: target.sick.and_then(Illness::new),
            gate: target.connections.map(Gate::new),
            failing: FailingPaths::new(&target.failing),
            costs: target.unequal.map(Costs::new),
            links: target.transfer.as_ref().map(Links::new),
            pins: Pins::default(),
            others: Others::new(&config.traffic),
            interruptions: Interruptions::new(&config.group.interruptions),
            zone_loss: config.group.zone_loss.as_ref().map(Loss::new),
        }
    }

    /// Counts a request of a generator. A few requests before a pause, such as a look at whether the
    /// target answers, are not yet the load.
    pub(crate) fn count_ours(&mut self, now: LabInstant) {
        let last = self.last_request.replace(now);
        let follows = last.is_some_and(|last| now.saturating_sub(last) < PAUSE);
        if !follows && self.ours <= FEW {
            self.first_request = Some(now);
        }
        self.ours += 1;
    }

    /// Returns the beginning of the load once it is sure: a few requests might still be a look.
    pub(crate) fn load_began(&self) -> Option<LabInstant> {
        self.first_request.filter(|_| self.ours > FEW)
    }

    /// Returns what the answer to a request will be, where answers have a size.
    pub(crate) fn parcel(&mut self, path: &str, instance: u32) -> Option<Parcel> {
        Some(self.links.as_mut()?.expect(path, instance))
    }

    /// Returns what the backend has made of a request, as far as it is known by now.
    pub(crate) fn progress(&mut self, ticket: u64, now: LabInstant) -> Option<Progress> {
        Some(self.backend.as_mut()?.progress(ticket, now))
    }
}

/// Checks the keys of the optional parts that depend on each other.
pub(crate) fn check(config: &Config) -> Result<(), LabConfigError> {
    let target = &config.target;
    if let Some(backend) = target.backend {
        backend.check()?;
    }
    if let Some(sick) = target.sick {
        sick.check(target.service)?;
    }
    if let Some(limit) = target.rate_limit {
        limit.check()?;
    }
    if let Some(unequal) = target.unequal {
        unequal.check()?;
    }
    if let Some(transfer) = &target.transfer {
        transfer.check()?;
    }
    for traffic in &config.traffic {
        traffic.check()?;
    }
    for kind in &target.types {
        kind.check(target.service)?;
    }
    for interruption in &config.group.interruptions {
        interruption.check(target.service)?;
    }
    if let Some(loss) = &config.group.zone_loss {
        loss.check(target.service)?;
    }
    for scheduled in &config.group.scheduled {
        scheduled.check(target.service)?;
    }
    config.group.launches.check(target.service)
}
