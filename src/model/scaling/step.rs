//! Step and simple scaling: an alarm of the user's own, and an adjustment when it fires.
//!
//! Rules as documented (EC2 Auto Scaling User Guide, "Step and simple scaling policies"). A step's
//! bounds are relative to the alarm's threshold. Above it the lower bound is inclusive and the
//! upper one exclusive; below it the other way round. A percentage is rounded, and never to
//! nothing.

use super::{Bounds, GroupReading};

/// The meaning of the number in an adjustment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AdjustmentType {
    /// Instances to add; negative ones are taken away.
    #[default]
    Change,
    /// The capacity itself.
    Exact,
    /// Percent of the capacity to add; negative ones are taken away.
    Percent,
}

impl AdjustmentType {
    /// Returns AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Change => "ChangeInCapacity",
            Self::Exact => "ExactCapacity",
            Self::Percent => "PercentChangeInCapacity",
        }
    }

    /// Returns the type of AWS's word; `None` if the word is not known.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Change, Self::Exact, Self::Percent]
            .into_iter()
            .find(|adjustment| adjustment.word() == word)
    }

    /// Returns the capacity after an adjustment by `by` of the capacity `from`. A percentage
    /// changes it by `least` instances at least.
    pub fn apply(self, from: u32, by: i32, least: u32) -> u32 {
        match self {
            Self::Exact => by.max(0) as u32,
            Self::Change => from.saturating_add_signed(by),
            Self::Percent => {
                let exact = f64::from(from) * f64::from(by) / 100.0;
                // Towards zero, but for less than one: 12.7 is 12, 0.67 is 1, -0.58 is -1, -6.67 is
                // -6.
                let whole = if exact.abs() < 1.0 {
                    exact.signum() * exact.abs().ceil()
                } else {
                    exact.trunc()
                };
                let change = (whole.abs() as u32).max(if by == 0 { 0 } else { least });
                if by < 0 {
                    from.saturating_sub(change)
                } else {
                    from.saturating_add(change)
                }
            }
        }
    }
}

/// One step: applies from `lower` to `upper` beyond the threshold; `None` is unbounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRule {
    /// AWS's `MetricIntervalLowerBound`.
    pub lower: Option<f64>,
    /// AWS's `MetricIntervalUpperBound`.
    pub upper: Option<f64>,
    /// AWS's `ScalingAdjustment`: instances, a capacity or percent, by the adjustment type.
    pub change: i32,
}

impl StepRule {
    fn has(&self, beyond: f64, is_above: bool) -> bool {
        if is_above {
            self.lower.is_none_or(|lower| beyond >= lower)
                && self.upper.is_none_or(|upper| beyond < upper)
        } else {
            self.lower.is_none_or(|lower| beyond > lower)
                && self.upper.is_none_or(|upper| beyond <= upper)
        }
    }
}

/// A step policy and the threshold of its alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScaling {
    /// The alarm's threshold; the bounds of steps count from it.
    pub threshold: f64,
    /// The alarm fires when the metric is high.
    pub is_above: bool,
    /// The first that applies counts; if none applies, the policy changes nothing.
    pub steps: Vec<StepRule>,
    /// The meaning of the steps' numbers.
    pub adjustment: AdjustmentType,
    /// The fewest instances by which a percentage changes the capacity.
    pub least: u32,
}

impl StepScaling {
    /// Steps above a threshold, in instances more.
    pub fn above(threshold: f64, steps: Vec<StepRule>) -> Self {
        Self {
            threshold,
            is_above: true,
            steps,
            adjustment: AdjustmentType::Change,
            least: 0,
        }
    }

    /// Returns the capacity wanted while the alarm is in ALARM. Warming instances count as
    /// capacity, so a second breach in the same step adds nothing twice. No instance is taken away
    /// while any is warming.
    pub fn wanted(&self, seen: GroupReading, bounds: Bounds) -> u32 {
        let beyond = seen.metric - self.threshold;
        let Some(step) = self
            .steps
            .iter()
            .find(|step| step.has(beyond, self.is_above))
        else {
            return seen.desired;
        };
        let out = bounds.clamp(self.adjustment.apply(seen.warmed, step.change, self.least));
        if out > seen.desired {
            return out;
        }
        let back = bounds.clamp(self.adjustment.apply(seen.desired, step.change, self.least));
        if seen.warming > 0 {
            seen.desired
        } else {
            back.min(seen.desired)
        }
    }
}

/// One adjustment, at any distance from the threshold. Then it waits for the activity to end and
/// the cooldown to pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimpleScaling {
    /// AWS's `ScalingAdjustment`: instances, a capacity or percent, by `adjustment`.
    pub change: i32,
    /// The meaning of `change`.
    pub adjustment: AdjustmentType,
    /// AWS's `MinAdjustmentMagnitude`; 0 if it is not set.
    pub least: u32,
}

impl SimpleScaling {
    /// Returns the capacity wanted while the alarm is in ALARM, within the bounds.
    pub fn wanted(&self, seen: GroupReading, bounds: Bounds) -> u32 {
        bounds.clamp(self.adjustment.apply(seen.desired, self.change, self.least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 6 };

    #[test]
    fn the_step_is_picked_by_the_distance_from_the_threshold() {
        let out = StepScaling::above(
            60.0,
            vec![
                StepRule {
                    lower: Some(0.0),
                    upper: Some(20.0),
                    change: 1,
                },
                StepRule {
                    lower: Some(20.0),
                    upper: None,
                    change: 3,
                },
            ],
        );
        let back = StepScaling {
            is_above: false,
            ..StepScaling::above(
                40.0,
                vec![
                    StepRule {
                        lower: Some(-20.0),
                        upper: Some(0.0),
                        change: -1,
                    },
                    StepRule {
                        lower: None,
                        upper: Some(-20.0),
                        change: -2,
                    },
                ],
            )
        };
        for (policy, metric, warmed, warming, desired, wanted) in [
            (&out, 60.0, 2, 0, 2, 3),
            (&out, 80.0, 2, 0, 2, 5),
            (&out, 80.0, 2, 3, 5, 5),
            (&out, 95.0, 5, 0, 5, 6),
            (&back, 30.0, 4, 0, 4, 3),
            (&back, 20.0, 4, 0, 4, 2),
            (&back, 10.0, 4, 0, 4, 2),
            (&back, 30.0, 2, 1, 3, 3),
            (&back, 10.0, 2, 0, 2, 1),
        ] {
            let seen = GroupReading {
                metric,
                warmed,
                warming,
                desired,
            };
            assert_eq!(policy.wanted(seen, BOUNDS), wanted, "{seen:?}");
        }
    }

    /// The guide's own examples of rounding, and its minimum.
    #[test]
    fn adjustments_are_rounded_as_documented() {
        use AdjustmentType::{Change, Exact, Percent};
        for (adjustment, from, by, least, capacity) in [
            (Change, 3, 2, 0, 5),
            (Change, 3, -5, 0, 0),
            (Exact, 3, 5, 0, 5),
            (Percent, 10, 10, 0, 11),
            (Percent, 127, 10, 0, 139),
            (Percent, 67, 1, 0, 68),
            (Percent, 58, -1, 0, 57),
            (Percent, 667, -1, 0, 661),
            (Percent, 4, 25, 2, 6),
            (Percent, 4, -25, 2, 2),
            (Percent, 4, 0, 2, 4),
        ] {
            assert_eq!(
                adjustment.apply(from, by, least),
                capacity,
                "{adjustment:?} {by} from {from}"
            );
        }
    }

    #[test]
    fn a_simple_policy_changes_by_the_same_every_time() {
        let policy = SimpleScaling {
            change: 2,
            adjustment: AdjustmentType::Change,
            least: 0,
        };
        for (metric, desired, wanted) in [(51.0, 2, 4), (99.0, 2, 4), (99.0, 5, 6)] {
            let seen = GroupReading {
                metric,
                warmed: desired,
                warming: 0,
                desired,
            };
            assert_eq!(policy.wanted(seen, BOUNDS), wanted);
        }
    }
}
