//! A time in which the health checks of an instance fail: it is not reached, or is ill.

use super::super::clock::LabInstant;
use super::super::config::{LabTarget, UNHEALTHY_AFTER};
use super::super::instance::LabInstance;

/// A time in which an instance fails its checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    from: LabInstant,
    to: LabInstant,
    /// The load balancer calls it unhealthy from then on, if its checks still fail.
    unhealthy: LabInstant,
    /// Its checks pass again.
    back: LabInstant,
}

impl Outage {
    pub(super) fn new(
        instance: &LabInstance,
        target: &LabTarget,
        (from, to): (LabInstant, LabInstant),
    ) -> Self {
        let interval = target.health_check_interval;
        Self {
            from,
            to,
            unhealthy: from.max(instance.in_service) + interval * UNHEALTHY_AFTER,
            back: to.saturating_add(interval),
        }
    }

    /// True if it lasts at this instant.
    pub(crate) fn covers(&self, now: LabInstant) -> bool {
        (self.from..self.to).contains(&now)
    }

    /// True if the load balancer calls the instance unhealthy.
    pub(crate) fn is_unhealthy(&self, now: LabInstant) -> bool {
        self.unhealthy < self.to && (self.unhealthy..self.back).contains(&now)
    }

    /// True if an instance that would have become healthy at `healthy` has not passed a check.
    pub(crate) fn keeps_from_passing(&self, healthy: LabInstant, now: LabInstant) -> bool {
        healthy > self.from && (self.from..self.back).contains(&now)
    }

    /// Returns the instant at which the instance is replaced, if its checks count from `counts` on.
    pub(crate) fn replaced(&self, counts: LabInstant) -> Option<LabInstant> {
        let at = self.unhealthy.max(counts);
        (at < self.to).then_some(at)
    }
}
