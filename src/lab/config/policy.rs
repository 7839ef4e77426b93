//! The scaling policies of the lab file.

use std::time::Duration;

use serde::Deserialize;

use super::PolicyConfigError;
use model::scaling::cooldown::Cooldowns;
use model::scaling::policies::Rule;
use model::scaling::step::{self, SimpleScaling, StepScaling};
use model::scaling::target_tracking::TargetTracking;

/// A scaling policy of the group, with the alarms that make it act. Not every key is for every
/// kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    pub kind: ScalingKind,
    pub metric: PolicyMetric,
    /// The period of the metric and of its alarms; the same for all policies.
    #[serde(deserialize_with = "super::friendly")]
    pub period: Duration,
    /// Target tracking: percent of CPU, or requests per target and minute.
    pub target_value: f64,
    pub high_datapoints: usize,
    pub low_datapoints: usize,
    pub scale_in: bool,
    #[serde(deserialize_with = "super::friendly")]
    pub warm_up: Duration,
    /// Step and simple: the threshold of its one alarm, which fires above it, or below it.
    pub above: Option<f64>,
    pub below: Option<f64>,
    pub datapoints: usize,
    pub adjustment: Adjustment,
    /// Step: beyond the threshold.
    pub steps: Vec<ConfiguredStep>,
    /// Simple.
    pub change: i32,
    /// The fewest instances by which a percentage changes the capacity.
    pub least: u32,
    #[serde(deserialize_with = "super::friendly")]
    pub cooldown: Duration,
    /// Target tracking of a service; a step policy of one has one cooldown for both.
    #[serde(deserialize_with = "super::friendly")]
    pub scale_out_cooldown: Duration,
    #[serde(deserialize_with = "super::friendly")]
    pub scale_in_cooldown: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingKind {
    #[default]
    TargetTracking,
    Step,
    Simple,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMetric {
    #[default]
    Cpu,
    RequestsPerTarget,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    #[default]
    Change,
    Exact,
    Percent,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredStep {
    #[serde(default)]
    pub from: Option<f64>,
    #[serde(default)]
    pub to: Option<f64>,
    pub change: i32,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            kind: ScalingKind::TargetTracking,
            metric: PolicyMetric::Cpu,
            period: Duration::from_secs(1),
            target_value: 50.0,
            high_datapoints: 3,
            low_datapoints: 15,
            scale_in: true,
            warm_up: Duration::from_secs(3),
            above: None,
            below: None,
            datapoints: 3,
            adjustment: Adjustment::Change,
            steps: Vec::new(),
            change: 0,
            least: 0,
            cooldown: Duration::from_secs(10),
            scale_out_cooldown: Duration::from_secs(3),
            scale_in_cooldown: Duration::from_secs(3),
        }
    }
}

impl PolicyConfig {
    /// Returns the policy as the model of policies has it.
    pub fn rule(&self) -> Rule {
        let adjustment = match self.adjustment {
            Adjustment::Change => step::AdjustmentType::Change,
            Adjustment::Exact => step::AdjustmentType::Exact,
            Adjustment::Percent => step::AdjustmentType::Percent,
        };
        match self.kind {
            ScalingKind::TargetTracking => {
                // A count's target is for a minute, its datapoints and thresholds are for a period.
                let target = match self.metric {
                    PolicyMetric::Cpu => self.target_value,
                    PolicyMetric::RequestsPerTarget => {
                        self.target_value * self.period.as_secs_f64() / 60.0
                    }
                };
                Rule::Tracking {
                    tracking: TargetTracking::new(target),
                    scale_in: self.scale_in,
                }
            }
            ScalingKind::Step => Rule::Step(StepScaling {
                threshold: self.threshold(),
                is_above: self.above.is_some(),
                steps: self
                    .steps
                    .iter()
                    .map(|one| step::StepRule {
                        lower: one.from,
                        upper: one.to,
                        change: one.change,
                    })
                    .collect(),
                adjustment,
                least: self.least,
            }),
            ScalingKind::Simple => Rule::Simple {
                scaling: SimpleScaling {
                    change: self.change,
                    adjustment,
                    least: self.least,
                },
                cooldown: self.cooldown,
            },
        }
    }

    /// Returns the cooldowns of this policy for a service, by the policy's kind.
    pub fn cooldowns(&self) -> Cooldowns {
        match self.kind {
            ScalingKind::TargetTracking => Cooldowns {
                out: self.scale_out_cooldown,
                back: self.scale_in_cooldown,
            },
            ScalingKind::Step | ScalingKind::Simple => Cooldowns {
                out: self.cooldown,
                back: self.cooldown,
            },
        }
    }

    /// Returns the threshold of the one alarm of a step or simple policy.
    pub fn threshold(&self) -> f64 {
        self.above.or(self.below).unwrap_or_default()
    }

    /// Checks the keys that its kind needs.
    pub(super) fn settle(&self) -> Result<(), PolicyConfigError> {
        let Self {
            target_value,
            period,
            high_datapoints,
            low_datapoints,
            datapoints,
            ..
        } = *self;
        if period < Duration::from_secs(1) || period.subsec_nanos() != 0 {
            return Err(PolicyConfigError::Period(period));
        }
        if high_datapoints == 0 || low_datapoints == 0 || datapoints == 0 {
            return Err(PolicyConfigError::NoDatapoints);
        }
        match self.kind {
            ScalingKind::TargetTracking => {
                let most = if self.metric == PolicyMetric::Cpu {
                    100.0
                } else {
                    f64::MAX
                };
                if !(target_value > 0.0 && target_value <= most) {
                    return Err(PolicyConfigError::TargetValue(target_value));
                }
            }
            ScalingKind::Step | ScalingKind::Simple
                if self.above.is_some() == self.below.is_some() =>
            {
                return Err(PolicyConfigError::Threshold);
            }
            ScalingKind::Step if self.steps.is_empty() => {
                return Err(PolicyConfigError::NoSteps);
            }
            ScalingKind::Simple if self.change == 0 && self.adjustment != Adjustment::Exact => {
                return Err(PolicyConfigError::NoChange);
            }
            ScalingKind::Step | ScalingKind::Simple => {}
        }
        Ok(())
    }
}
