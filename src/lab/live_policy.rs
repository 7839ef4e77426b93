//! A scaling policy of the lab's group, and the alarms that AWS would make for it.

use super::alarms::WatchedAlarm;
use super::clock::LabInstant;
use super::config::{self, ScalingKind};
use super::group::NAME;
use super::service::{CLUSTER, SERVICE};
use model::scaling::alarm::{AlarmModel, BreachRule};
use model::scaling::policies::Rule;

/// A policy with its alarms.
#[derive(Debug)]
pub struct LivePolicy {
    pub name: String,
    pub config: config::PolicyConfig,
    pub rule: Rule,
    /// Target tracking: high and low. Otherwise the one.
    pub alarms: Vec<WatchedAlarm>,
    /// The last datapoint its alarms saw.
    pub latest: Option<f64>,
}

impl LivePolicy {
    pub fn new(
        index: usize,
        config: &config::PolicyConfig,
        is_service: bool,
        now: LabInstant,
    ) -> Self {
        let rule = config.rule();
        let kind = match config.kind {
            ScalingKind::TargetTracking => "tracking",
            ScalingKind::Step => "step",
            ScalingKind::Simple => "simple",
        };
        let name = if index == 0 {
            format!("{NAME}-cpu")
        } else {
            format!("{NAME}-{kind}-{index}")
        };
        let watched = |name: String, model| {
            WatchedAlarm::new(
                name,
                model,
                (config.metric, is_service),
                config.period,
                &rule,
                now,
            )
        };
        let what = if is_service {
            format!("service/{CLUSTER}/{SERVICE}")
        } else {
            NAME.to_owned()
        };
        let tracking = |kind: &str| format!("TargetTracking-{what}-{kind}-{}", super::ids::uuid());
        let alarms = match &rule {
            Rule::Tracking {
                tracking: target, ..
            } => vec![
                watched(
                    tracking("AlarmHigh"),
                    AlarmModel::new(BreachRule::Above, target.target, config.high_datapoints),
                ),
                watched(
                    tracking("AlarmLow"),
                    AlarmModel::new(BreachRule::Below, target.low, config.low_datapoints),
                ),
            ],
            // A name as people give it.
            Rule::Step(_) | Rule::Simple { .. } => {
                let above = config.above.is_some();
                let (comparison, word) = if above {
                    (BreachRule::Above, "high")
                } else {
                    (BreachRule::Below, "low")
                };
                let model = AlarmModel::new(comparison, config.threshold(), config.datapoints);
                vec![watched(format!("{name} is {word}"), model)]
            }
        };
        Self {
            name,
            config: config.clone(),
            rule,
            alarms,
            latest: None,
        }
    }
}
