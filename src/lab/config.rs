//! The lab file: the target, its policy, its tasks' delays and the faults. Every key has a default; the defaults are a
//! spike and its recovery within a minute.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::LabError;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub target: Target,
    pub policy: Policy,
    pub tasks: Tasks,
    pub faults: Faults,
}

/// The system under test: identical instances behind a load balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// How many there are when the lab starts.
    pub instances: u32,
    pub min: u32,
    pub max: u32,
    /// Requests one instance works on at the same time.
    pub workers: u32,
    #[serde(deserialize_with = "friendly")]
    pub service_time: Duration,
    /// A request that would wait longer for a worker is refused with 503.
    #[serde(deserialize_with = "friendly")]
    pub queue_limit: Duration,
    /// From launch to InService.
    #[serde(deserialize_with = "friendly")]
    pub boot_time: Duration,
    /// From registration to `healthy`: one passed check.
    #[serde(deserialize_with = "friendly")]
    pub health_check_interval: Duration,
    #[serde(deserialize_with = "friendly")]
    pub deregistration_delay: Duration,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            instances: 2,
            min: 2,
            max: 8,
            workers: 4,
            service_time: Duration::from_millis(20),
            queue_limit: Duration::from_secs(1),
            boot_time: Duration::from_secs(2),
            health_check_interval: Duration::from_secs(1),
            deregistration_delay: Duration::from_secs(3),
        }
    }
}

/// The group's target-tracking policy on average CPU.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Percent of CPU.
    pub target_value: f64,
    /// Of the metric and of its alarms.
    #[serde(deserialize_with = "friendly")]
    pub period: Duration,
    pub high_datapoints: usize,
    pub low_datapoints: usize,
    #[serde(deserialize_with = "friendly")]
    pub warm_up: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            target_value: 50.0,
            period: Duration::from_secs(1),
            high_datapoints: 3,
            low_datapoints: 15,
            warm_up: Duration::from_secs(3),
        }
    }
}

/// How long a Fargate task takes to come and go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tasks {
    #[serde(deserialize_with = "friendly")]
    pub provisioning: Duration,
    #[serde(deserialize_with = "friendly")]
    pub pending: Duration,
    #[serde(deserialize_with = "friendly")]
    pub deprovisioning: Duration,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            provisioning: Duration::from_millis(500),
            pending: Duration::from_millis(500),
            deprovisioning: Duration::from_millis(300),
        }
    }
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Which tasks fail to start, counted from 0 in the order in which the lab started them.
    pub task_start_failures: Vec<usize>,
    /// No task ever starts.
    pub every_task_fails: bool,
    /// Added to every task's PENDING.
    #[serde(deserialize_with = "friendly")]
    pub start_delay: Duration,
    /// How many tasks RunTask refuses for want of capacity before it gives any.
    pub capacity_failures: usize,
    /// The group's policy decides but never acts.
    pub policy_never_fires: bool,
    /// Instances are terminated at once: what they are working on gets 502.
    pub terminate_without_draining: bool,
    /// How long an instance that has just become healthy answers 500.
    #[serde(deserialize_with = "friendly")]
    pub errors_when_fresh: Duration,
    /// AWS calls answered with an error, by action name.
    pub refuse: Vec<Refusal>,
}

/// One AWS action that is answered with this error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub action: String,
    pub code: String,
    #[serde(default)]
    pub message: String,
    /// How many calls, from the first on; every one if not given. (Throttling is a few refusals.)
    #[serde(default)]
    pub times: Option<usize>,
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LabError::File { path: path.to_owned(), problem: source.to_string() })?;
        Self::parse(&text).map_err(|problem| LabError::File { path: path.to_owned(), problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = if text.trim().is_empty() {
            Self::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?
        };
        config.settle()
    }

    /// What no single key can say of itself.
    fn settle(self) -> Result<Self, String> {
        let Target { instances, min, max, workers, service_time, .. } = self.target;
        if min > max || instances < min || instances > max {
            return Err(format!("target: instances must lie between min and max: {min} <= {instances} <= {max}"));
        }
        if max == 0 || workers == 0 || service_time.is_zero() {
            return Err("target: max, workers and service_time must be more than zero".to_owned());
        }
        let Policy { target_value, period, high_datapoints, low_datapoints, .. } = self.policy;
        if !(target_value > 0.0 && target_value <= 100.0) {
            return Err(format!("policy: target_value is a percentage of CPU, not {target_value}"));
        }
        if period < Duration::from_secs(1) || period.subsec_nanos() != 0 {
            return Err("policy: period must be whole seconds, at least 1s".to_owned());
        }
        if high_datapoints == 0 || low_datapoints == 0 {
            return Err("policy: an alarm needs at least one datapoint".to_owned());
        }
        Ok(self)
    }
}

fn friendly<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    crate::units::parse_duration(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_lab_file_is_read() {
        let config = Config::parse(
            "target: { instances: 3, min: 1, max: 4, workers: 2, service_time: 50ms, queue_limit: 2s, boot_time: 30s,\n\
             \x20 health_check_interval: 5s, deregistration_delay: 1m }\n\
             policy: { target_value: 60, period: 10s, high_datapoints: 2, low_datapoints: 5, warm_up: 20s }\n\
             tasks: { provisioning: 1s, pending: 2s, deprovisioning: 0s }\n\
             faults:\n\
             \x20 task_start_failures: [0, 2]\n\
             \x20 every_task_fails: false\n\
             \x20 start_delay: 5s\n\
             \x20 capacity_failures: 1\n\
             \x20 policy_never_fires: true\n\
             \x20 terminate_without_draining: true\n\
             \x20 errors_when_fresh: 2s\n\
             \x20 refuse: [{ action: CreateRepository, code: LimitExceededException, message: too many, times: 2 }]\n",
        )
        .unwrap();
        assert_eq!((config.target.instances, config.target.service_time), (3, Duration::from_millis(50)));
        assert_eq!((config.policy.target_value, config.policy.period), (60.0, Duration::from_secs(10)));
        assert_eq!(config.tasks.pending, Duration::from_secs(2));
        assert_eq!(config.faults.task_start_failures, [0, 2]);
        let refusal = &config.faults.refuse[0];
        assert_eq!((refusal.code.as_str(), refusal.times), ("LimitExceededException", Some(2)));
    }

    #[test]
    fn an_empty_file_is_the_demo_and_a_wrong_one_is_refused() {
        assert_eq!(Config::parse("").unwrap().target.max, 8);
        for (text, hint) in [
            ("target: { boots: 3s }", "boots"),
            ("target: { boot_time: 3 }", "no unit"),
            ("target: { min: 3 }", "3 <= 2 <= 8"),
            ("policy: { period: 500ms }", "whole seconds"),
            ("policy: { target_value: 0 }", "percentage"),
        ] {
            let problem = Config::parse(text).unwrap_err();
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }
}
