//! Application Auto Scaling's cooldowns: they gate target tracking and step scaling of a service,
//! out and in apart.
//!
//! Rules as documented (API reference, `TargetTrackingScalingPolicyConfiguration`,
//! `StepScalingPolicyConfiguration`). While the cooldown of a scale-out lasts, the capacity that it
//! added counts as part of the next one's, so only a larger one adds to it. While the cooldown of a
//! scale-in lasts, no other scale-in starts, and any scale-out does.

use std::time::Duration;

use super::GroupReading;

/// The cooldowns that begin when a change of size is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldowns {
    /// `ScaleOutCooldown` of the policy.
    pub out: Duration,
    /// `ScaleInCooldown` of the policy.
    pub back: Duration,
}

/// The state of a service's cooldowns; all instants count from the same origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cooling {
    out_until: Duration,
    /// Capacity before the scale-out whose cooldown still lasts.
    base: u32,
    back_until: Duration,
}

impl Cooling {
    /// Returns the reading that a policy decides on. While the cooldown of the last scale-out
    /// lasts, the capacity that it added is left out.
    pub fn seen(&self, seen: GroupReading, now: Duration) -> GroupReading {
        if now < self.out_until {
            GroupReading {
                warmed: seen.warmed.min(self.base),
                ..seen
            }
        } else {
            seen
        }
    }

    /// True if a change may start now: a scale-in waits for the cooldown of the last one.
    pub fn allows(&self, from: u32, to: u32, now: Duration) -> bool {
        to >= from || now >= self.back_until
    }

    /// Notes a change that is decided at `now`, and is `done` when its last task has come or gone.
    pub fn changed(
        &mut self,
        from: u32,
        to: u32,
        now: Duration,
        done: Duration,
        cooldowns: Cooldowns,
    ) {
        if to > from {
            if now >= self.out_until {
                self.base = from;
            }
            self.out_until = done.saturating_add(cooldowns.out);
        } else {
            self.back_until = done.saturating_add(cooldowns.back);
            self.out_until = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bounds;
    use super::super::step::{StepRule, StepScaling};
    use super::super::target_tracking::TargetTracking;
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 20 };
    const COOLDOWNS: Cooldowns = Cooldowns {
        out: Duration::from_mins(1),
        back: Duration::from_secs(30),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seen(metric: f64, desired: u32) -> GroupReading {
        GroupReading {
            metric,
            warmed: desired,
            warming: 0,
            desired,
        }
    }

    #[test]
    fn only_a_larger_scale_out_adds_to_one_whose_cooldown_lasts() {
        let mut cooling = Cooling::default();
        cooling.changed(2, 4, at(10), at(13), COOLDOWNS);
        let tracking = TargetTracking::new(50.0);
        // Four at 60 % want five, but two of the four are those that were just added: two at 60 %
        // want three.
        assert_eq!(
            tracking.scale_out(cooling.seen(seen(60.0, 4), at(72)), BOUNDS),
            4
        );
        assert_eq!(
            tracking.scale_out(cooling.seen(seen(60.0, 4), at(73)), BOUNDS),
            5
        );
        let steps = StepScaling::above(
            60.0,
            vec![
                StepRule {
                    lower: Some(0.0),
                    upper: Some(20.0),
                    change: 2,
                },
                StepRule {
                    lower: Some(20.0),
                    upper: None,
                    change: 5,
                },
            ],
        );
        assert_eq!(
            steps.wanted(cooling.seen(seen(70.0, 4), at(40)), BOUNDS),
            4,
            "the same step adds nothing twice"
        );
        assert_eq!(
            steps.wanted(cooling.seen(seen(90.0, 4), at(40)), BOUNDS),
            7,
            "a larger one adds the difference"
        );
        assert_eq!(steps.wanted(cooling.seen(seen(70.0, 4), at(73)), BOUNDS), 6);
    }

    #[test]
    fn a_scale_in_waits_for_the_last_one_and_a_scale_out_for_none() {
        let mut cooling = Cooling::default();
        cooling.changed(6, 5, at(10), at(10), COOLDOWNS);
        assert!(
            !cooling.allows(5, 4, at(39))
                && cooling.allows(5, 4, at(40))
                && cooling.allows(5, 6, at(11))
        );
        cooling.changed(5, 7, at(50), at(52), COOLDOWNS);
        assert!(
            cooling.allows(7, 6, at(53)),
            "a scale-out's cooldown holds no scale-in back"
        );
    }

    #[test]
    fn what_is_added_in_a_cooldown_belongs_to_the_scale_out_that_began_it() {
        let mut cooling = Cooling::default();
        cooling.changed(2, 4, at(10), at(13), COOLDOWNS);
        cooling.changed(4, 6, at(20), at(23), COOLDOWNS);
        assert_eq!(cooling.seen(seen(60.0, 6), at(80)).warmed, 2);
        assert_eq!(cooling.seen(seen(60.0, 6), at(83)).warmed, 6);
    }
}
