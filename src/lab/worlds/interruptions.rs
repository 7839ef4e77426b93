//! Spot instances that EC2 takes back at known times.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::super::clock::{self, LabInstant};
use super::super::config::{self, LabConfigError};
use super::super::group::LabGroup;
use super::super::instance::LabInstance;

/// An entry of `group.interruptions` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interruption {
    /// The interruption, after the first request that a generator sends.
    #[serde(deserialize_with = "config::friendly")]
    pub at: Duration,
    /// The number of instances that are taken; the oldest first.
    #[serde(default = "one")]
    pub instances: u32,
    /// From the notice to the end of an instance whose software has the group terminate it; with
    /// zero, nobody heeds the notice, and the instance is gone at once.
    #[serde(default, deserialize_with = "config::friendly")]
    pub notice: Duration,
}

fn one() -> u32 {
    1
}

impl Interruption {
    /// Checks that it takes an instance, and that its group is one of instances.
    pub(super) fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match self.instances {
            _ if service => Err(LabConfigError::InterruptionsOfService),
            0 => Err(LabConfigError::InterruptedNobody),
            _ => Ok(()),
        }
    }
}

/// An instance that was interrupted.
#[derive(Debug, Clone)]
pub(crate) struct Interrupted {
    pub(crate) instance: String,
    pub(crate) at: LabInstant,
}

/// The interruptions to come, and those that were.
#[derive(Debug)]
pub(crate) struct Interruptions {
    /// Latest first.
    coming: Vec<Interruption>,
    pub(crate) past: Vec<Interrupted>,
}

impl Interruptions {
    pub(crate) fn new(keys: &[Interruption]) -> Self {
        let mut coming = keys.to_vec();
        coming.sort_by_key(|one| std::cmp::Reverse(one.at));
        Self {
            coming,
            past: Vec::new(),
        }
    }

    /// Returns the time of the next interruption, after the first request.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.coming.last().map(|one| one.at)
    }
}

impl LabGroup {
    /// Takes away the instances of the next interruption, and launches others in their place.
    pub(crate) fn interrupt(&mut self, now: LabInstant) {
        let Some(due) = self.worlds.interruptions.coming.pop() else {
            return;
        };
        let serves = |known: &LabInstance| known.stays() && known.in_service <= now;
        for _ in 0..due.instances {
            let Some(index) = self.instances.iter().position(serves) else {
                return;
            };
            let instance = self.instances[index].id.clone();
            let is_heeded = !due.notice.is_zero();
            let cause = taken_out(&clock::seconds(now), is_heeded.then_some(instance.as_str()));
            let drains = due.notice.min(self.drains_for());
            self.take_out(index, now, drains, cause, &json!({}));
            self.ask_instead(now, is_heeded);
            let past = &mut self.worlds.interruptions.past;
            past.push(Interrupted { instance, at: now });
        }
    }
}

/// Returns the cause of a termination in Auto Scaling's own words. The group learns of an
/// interruption from its check on EC2, or from the call of software that heeds the notice.
fn taken_out(time: &str, by_call: Option<&str>) -> String {
    by_call.map_or_else(
        || {
            format!(
                "At {time} an instance was taken out of service in response to an EC2 health check indicating it has \
                 been terminated or stopped."
            )
        },
        |id| {
            format!("At {time} instance {id} was taken out of service in response to a user request.")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interruptions_come_in_the_order_of_their_times() {
        let text = "[{ at: 20s }, { at: 5s, instances: 2, notice: 3s }]";
        let keys: Vec<Interruption> = serde_saphyr::from_str(text).unwrap();
        assert_eq!((keys[0].instances, keys[0].notice), (1, Duration::ZERO));
        let mut interruptions = Interruptions::new(&keys);
        assert_eq!(interruptions.next(), Some(Duration::from_secs(5)));
        assert_eq!(interruptions.coming.pop().unwrap().instances, 2);
        assert_eq!(interruptions.next(), Some(Duration::from_secs(20)));
    }
}
