//! An availability zone that is lost for a while: its instances answer nothing, and no other is
//! launched there.

use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError};
use super::super::group::LabGroup;
use super::super::instance::ZONES;
use super::outage::Outage;

/// Time in which the load balancer tries to connect.
pub(crate) const CONNECTS_FOR: Duration = Duration::from_secs(10);
/// Time that it waits for a byte of an answer: its default.
pub(crate) const IDLE_FOR: Duration = Duration::from_mins(1);

/// `group.zone_loss` of the lab file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneLoss {
    /// The zone, such as `eu-west-1b`.
    pub zone: String,
    /// The beginning, after the first request that a generator sends.
    #[serde(deserialize_with = "config::friendly")]
    pub at: Duration,
    /// The end, counted in the same way; never without it.
    #[serde(default, deserialize_with = "config::maybe")]
    pub to: Option<Duration>,
}

impl ZoneLoss {
    /// Checks that it has a zone of the lab and a span of time, and that its group is one of
    /// instances.
    pub(super) fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match self.to {
            _ if service => Err(LabConfigError::ZoneLossOfService),
            _ if !ZONES.contains(&self.zone.as_str()) => Err(LabConfigError::UnknownZone),
            Some(to) if to <= self.at => Err(LabConfigError::EmptySpan("group.zone_loss")),
            _ => Ok(()),
        }
    }
}

/// The loss of a zone while the lab runs.
#[derive(Debug)]
pub(crate) struct Loss {
    keys: ZoneLoss,
    /// The span; `None` before its beginning.
    pub(crate) span: Option<(LabInstant, LabInstant)>,
    /// Instances that were there.
    pub(crate) instances: Vec<String>,
    /// Requests that got no answer from there.
    pub(crate) unanswered: u64,
}

impl Loss {
    pub(crate) fn new(keys: &ZoneLoss) -> Self {
        Self {
            keys: keys.clone(),
            span: None,
            instances: Vec::new(),
            unanswered: 0,
        }
    }

    /// Returns the time of the beginning, after the first request, while it is to come.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.span.is_none().then_some(self.keys.at)
    }

    /// True if the zone is lost at this instant.
    pub(crate) fn takes(&self, zone: &str, now: LabInstant) -> bool {
        let span = self.span.filter(|_| zone == self.keys.zone);
        span.is_some_and(|(from, to)| (from..to).contains(&now))
    }
}

impl LabGroup {
    /// Loses the zone: its instances answer nothing from now on.
    pub(crate) fn lose_zone(&mut self, now: LabInstant) {
        let began = self.worlds.load_began();
        let Some((loss, began)) = self.worlds.zone_loss.as_mut().zip(began) else {
            return;
        };
        let to = loss.keys.to.map_or(LabInstant::MAX, |to| began + to);
        loss.span = Some((now, to));
        for known in &mut self.instances {
            let is_gone = known.leaving.is_some_and(|(_, gone)| gone <= now);
            if known.zone == loss.keys.zone && !is_gone {
                known.dark = Some(Outage::new(known, &self.target, (now, to)));
                loss.instances.push(known.id.clone());
            }
        }
    }

    /// True if the zone takes launches.
    pub(crate) fn is_open(&self, zone: &str, now: LabInstant) -> bool {
        let loss = self.worlds.zone_loss.as_ref();
        loss.is_none_or(|loss| !loss.takes(zone, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_lost_for_its_span_and_no_other_is() {
        let mut loss = Loss::new(&ZoneLoss {
            zone: "eu-west-1b".to_owned(),
            at: Duration::from_secs(20),
            to: None,
        });
        let at = Duration::from_secs;
        assert!(!loss.takes("eu-west-1b", at(30)));
        assert_eq!(loss.next(), Some(at(20)));
        loss.span = Some((at(20), at(40)));
        assert_eq!(loss.next(), None);
        let lost = [19, 20, 39, 40].map(|second| loss.takes("eu-west-1b", at(second)));
        assert_eq!(lost, [false, true, true, false]);
        assert!(!loss.takes("eu-west-1a", at(30)));
    }
}
