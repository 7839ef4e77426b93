//! Target tracking: keep a metric that falls with capacity (average CPU, requests per target) near
//! a target.
//!
//! Rules as documented (EC2 Auto Scaling User Guide, "Target tracking scaling policies"). Scale-out
//! is proportional and rounded up; scale-in is conservative. Warming instances count as capacity
//! but are not in the metric, and block scale-in.

use super::{Bounds, GroupReading};

/// AWS starts the low alarm at 90 % of the target (its own tuning may change that: always read the
/// live alarm).
pub const LOW_SHARE: f64 = 0.9;

/// The numbers of a target-tracking policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetTracking {
    /// The policy's `TargetValue`, and the threshold of its high alarm.
    pub target: f64,
    /// The threshold of the low alarm, as AWS has set it.
    pub low: f64,
}

impl TargetTracking {
    /// Returns a policy whose low alarm is at [`LOW_SHARE`] of the target.
    pub fn new(target: f64) -> Self {
        Self {
            target,
            low: target * LOW_SHARE,
        }
    }

    /// Returns the policy with another target. AWS makes the low alarm anew, in the same
    /// proportion.
    pub fn with_target(self, target: f64) -> Self {
        Self {
            target,
            low: self.low / self.target * target,
        }
    }

    /// Returns the capacity wanted while the high alarm is in ALARM; never less than now.
    pub fn scale_out(&self, seen: GroupReading, bounds: Bounds) -> u32 {
        let needed = (f64::from(seen.warmed) * seen.metric / self.target).ceil() as u32;
        bounds.clamp(needed.max(seen.desired))
    }

    /// Returns the capacity wanted while the low alarm is in ALARM; never more than now.
    ///
    /// Rounded against scaling in, and against the low threshold: the smaller group must not be
    /// pushed over the target.
    pub fn scale_in(&self, seen: GroupReading, bounds: Bounds) -> u32 {
        if seen.warming > 0 {
            return seen.desired;
        }
        let needed = (f64::from(seen.warmed) * seen.metric / self.low).ceil() as u32;
        bounds.clamp(needed.min(seen.desired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: TargetTracking = TargetTracking {
        target: 50.0,
        low: 45.0,
    };
    const BOUNDS: Bounds = Bounds { min: 2, max: 8 };

    fn seen(metric: f64, warmed: u32, warming: u32, desired: u32) -> GroupReading {
        GroupReading {
            metric,
            warmed,
            warming,
            desired,
        }
    }

    #[test]
    fn out_is_proportional_rounded_up_and_within_bounds() {
        for (situation, wanted) in [
            (seen(60.0, 2, 0, 2), 3),
            (seen(100.0, 2, 0, 2), 4),
            (seen(100.0, 6, 0, 6), 8),
            // The two that are warming already cover what the two warmed ones ask for.
            (seen(100.0, 2, 2, 4), 4),
            (seen(40.0, 3, 0, 3), 3),
        ] {
            assert_eq!(POLICY.scale_out(situation, BOUNDS), wanted, "{situation:?}");
        }
    }

    #[test]
    fn in_is_conservative_and_waits_for_warming_instances() {
        for (situation, wanted) in [
            (seen(22.5, 4, 0, 4), 2),
            // Three of four would do for the target itself, but would sit right on it.
            (seen(37.0, 4, 0, 4), 4),
            (seen(30.0, 4, 0, 4), 3),
            (seen(10.0, 3, 1, 4), 4),
            (seen(0.0, 5, 0, 5), 2),
        ] {
            assert_eq!(POLICY.scale_in(situation, BOUNDS), wanted, "{situation:?}");
        }
    }

    #[test]
    fn after_scaling_in_the_metric_stays_under_the_target() {
        for warmed in 3..=8u32 {
            for percent in 0..45u32 {
                let metric = f64::from(percent);
                let wanted = POLICY.scale_in(seen(metric, warmed, 0, warmed), BOUNDS);
                assert!(
                    metric * f64::from(warmed) / f64::from(wanted) <= 50.0,
                    "{warmed} at {percent} %"
                );
            }
        }
    }
}
