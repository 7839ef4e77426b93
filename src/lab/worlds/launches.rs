//! Launches that fail for want of capacity, or come late.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::clock::{self, LabInstant};
use super::super::config::{self, LabConfigError};
use super::super::resize::started;
use super::interruptions::Interruption;
use super::schedule::Scheduled;
use super::zone_loss::ZoneLoss;

/// The end of AWS's message on a launch that failed.
const FAILED: &str = "Launching EC2 instance failed.";

/// `group` of the lab file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupKeys {
    /// The launches after the start.
    pub launches: Launches,
    /// Minimums for a time.
    pub scheduled: Vec<Scheduled>,
    /// Instances that EC2 takes back.
    pub interruptions: Vec<Interruption>,
    /// A zone that is lost for a time.
    pub zone_loss: Option<ZoneLoss>,
}

/// `group.launches` of the lab file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Launches {
    /// Launches after the start that succeed, before others fail; without it, none fails.
    pub fail_after: Option<u32>,
    /// Launches that fail, before others succeed again; without it, all.
    pub failures: Option<u32>,
    /// AWS's reason.
    pub message: String,
    /// The group tries again after this time; never with zero.
    #[serde(deserialize_with = "config::friendly")]
    pub retry: Duration,
    /// From the decision to the launch.
    #[serde(deserialize_with = "config::friendly")]
    pub delay: Duration,
}

impl Default for Launches {
    fn default() -> Self {
        Self {
            fail_after: None,
            failures: None,
            message:
                "We currently do not have sufficient t3.micro capacity in the Availability Zone \
                      you requested (eu-west-1a)."
                    .to_owned(),
            retry: Duration::ZERO,
            delay: Duration::ZERO,
        }
    }
}

impl Launches {
    /// Checks that launches fail only in a group of instances.
    pub fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match service && self.fail_after.is_some() {
            true => Err(LabConfigError::FailingLaunchesOfService),
            false => Ok(()),
        }
    }
}

/// A launch that was decided, and has not begun.
#[derive(Debug, Clone)]
pub(crate) struct Coming {
    pub(crate) due: LabInstant,
    /// The first sentence of its cause; empty without a decision.
    pub(crate) decision: String,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// True after a try that failed.
    pub(crate) again: bool,
    /// True in the place of an instance that was found unhealthy.
    pub(crate) replaces: bool,
    pub(crate) details: Value,
}

impl Coming {
    /// Returns the cause of its activity, in Auto Scaling's own words.
    pub(crate) fn cause(&self) -> String {
        let time = clock::seconds(self.due);
        if self.replaces {
            return format!(
                "At {time} an instance was launched in response to an unhealthy instance needing to be replaced."
            );
        }
        let started = started(&time, self.from, self.to);
        match self.decision.as_str() {
            "" => started.trim_start().to_owned(),
            decision => decision.to_owned() + &started,
        }
    }
}

/// The launches so far, and those to come.
#[derive(Debug)]
pub(crate) struct Launching {
    pub(crate) keys: Launches,
    succeeded: u32,
    failed: u32,
    coming: Vec<Coming>,
}

impl Launching {
    pub(crate) fn new(keys: &Launches) -> Self {
        Self {
            keys: keys.clone(),
            succeeded: 0,
            failed: 0,
            coming: Vec::new(),
        }
    }

    /// Counts a launch, and returns AWS's message if it fails.
    pub(crate) fn meet(&mut self) -> Option<String> {
        let keys = &self.keys;
        let fails = keys.fail_after.is_some_and(|most| self.succeeded >= most)
            && keys.failures.is_none_or(|most| self.failed < most);
        if !fails {
            self.succeeded += 1;
            return None;
        }
        self.failed += 1;
        let reason = keys.message.trim();
        Some(match reason.ends_with(FAILED) {
            true => reason.to_owned(),
            false => format!("{reason} {FAILED}"),
        })
    }

    pub(crate) fn push(&mut self, coming: Coming) {
        self.coming.push(coming);
    }

    pub(crate) fn coming(&self) -> &[Coming] {
        &self.coming
    }

    /// Forgets the last launches to come.
    pub(crate) fn cancel(&mut self, count: usize) {
        self.coming
            .truncate(self.coming.len().saturating_sub(count));
    }

    /// Returns the instant of the next launch to come.
    pub(crate) fn next(&self) -> Option<LabInstant> {
        self.coming.iter().map(|coming| coming.due).min()
    }

    /// Takes the next launch to come.
    pub(crate) fn take(&mut self) -> Option<Coming> {
        let next = self.next()?;
        let index = self.coming.iter().position(|coming| coming.due == next)?;
        Some(self.coming.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launching(text: &str) -> Launching {
        Launching::new(&serde_saphyr::from_str(text).unwrap())
    }

    #[test]
    fn launches_fail_after_some_and_for_some() {
        let mut launching = launching("{ fail_after: 2, failures: 1, message: No Spot capacity. }");
        let all: Vec<Option<String>> = (0..4).map(|_| launching.meet()).collect();
        let failed = "No Spot capacity. Launching EC2 instance failed.";
        assert_eq!(all, [None, None, Some(failed.to_owned()), None]);
    }

    #[test]
    fn without_its_keys_no_launch_fails() {
        let mut launching = launching("{ delay: 30s }");
        assert!((0..100).all(|_| launching.meet().is_none()));
    }

    #[test]
    fn the_end_of_the_message_stands_once() {
        let mut launching =
            launching("{ fail_after: 0, message: 'Out of it. Launching EC2 instance failed.' }");
        assert_eq!(
            launching.meet().as_deref(),
            Some("Out of it. Launching EC2 instance failed.")
        );
    }

    #[test]
    fn launches_come_by_their_instants_and_the_last_are_cancelled() {
        let mut launching = launching("{ delay: 30s }");
        for seconds in [3, 1, 2] {
            launching.push(Coming {
                due: Duration::from_secs(seconds),
                decision: String::new(),
                from: 1,
                to: 2,
                again: false,
                replaces: false,
                details: Value::Null,
            });
        }
        launching.cancel(1);
        let first = launching.take().unwrap();
        assert_eq!(
            first.cause(),
            "At 1970-01-01T00:00:01Z an instance was started in response to a difference between desired \
             and actual capacity, increasing the capacity from 1 to 2."
        );
        assert_eq!(launching.next(), Some(Duration::from_secs(3)));
    }
}
