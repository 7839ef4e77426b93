//! Step scaling: how far the metric is beyond the alarm's threshold picks an adjustment.

use super::{Bounds, Seen};

/// One step: applies from `lower` (inclusive) to `upper` (exclusive) beyond the threshold; `None` is unbounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub change: i32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepScaling {
    pub threshold: f64,
    pub steps: Vec<Step>,
}

impl StepScaling {
    /// The capacity wanted while the alarm is in ALARM (`ChangeInCapacity`); warming instances count as capacity, so
    /// that a second breach in the same step adds nothing twice.
    pub fn wanted(&self, seen: Seen, bounds: Bounds) -> u32 {
        let beyond = seen.metric - self.threshold;
        let within = |step: &&Step| {
            step.lower.is_none_or(|lower| beyond >= lower) && step.upper.is_none_or(|upper| beyond < upper)
        };
        let Some(step) = self.steps.iter().find(within) else { return seen.desired };
        if step.change < 0 && seen.warming > 0 {
            return seen.desired;
        }
        let from = if step.change < 0 { seen.desired } else { seen.warmed };
        let wanted = from.saturating_add_signed(step.change);
        bounds.clamp(if step.change < 0 { wanted } else { wanted.max(seen.desired) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_picked_by_the_distance_from_the_threshold() {
        let policy = StepScaling {
            threshold: 60.0,
            steps: vec![
                Step { lower: Some(0.0), upper: Some(20.0), change: 1 },
                Step { lower: Some(20.0), upper: None, change: 3 },
                Step { lower: None, upper: Some(0.0), change: -1 },
            ],
        };
        let bounds = Bounds { min: 1, max: 6 };
        for (metric, warmed, warming, desired, wanted) in [
            (60.0, 2, 0, 2, 3),
            (80.0, 2, 0, 2, 5),
            (80.0, 2, 3, 5, 5),
            (95.0, 5, 0, 5, 6),
            (30.0, 3, 0, 3, 2),
            (30.0, 2, 1, 3, 3),
        ] {
            let seen = Seen { metric, warmed, warming, desired };
            assert_eq!(policy.wanted(seen, bounds), wanted, "{seen:?}");
        }
    }
}
