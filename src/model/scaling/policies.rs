//! All policies of a group together: which of them acts, and to what capacity.
//!
//! Rules as documented (EC2 Auto Scaling User Guide, "Scale based on demand", "Target tracking").
//! The policy that gives the largest capacity wins, out as well as in. Target tracking scales in
//! only if every target-tracking policy that may scale in wants to. Simple scaling waits for its
//! cooldown.

use std::time::Duration;

use super::alarm::AlarmModelState;
use super::step::{SimpleScaling, StepScaling};
use super::target_tracking::TargetTracking;
use super::{Bounds, GroupReading};

/// A scaling policy of a group or a service, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Two alarms: above the target, and far enough below it.
    Tracking {
        /// The target and its low alarm.
        tracking: TargetTracking,
        /// False with `DisableScaleIn`: the policy only scales out.
        scale_in: bool,
    },
    /// Step scaling: one alarm, and a change that depends on the distance.
    Step(StepScaling),
    /// Simple scaling: one alarm and one change.
    Simple {
        /// The change.
        scaling: SimpleScaling,
        /// The time after a change in which simple policies do nothing.
        cooldown: Duration,
    },
}

/// A policy as its alarms stand.
#[derive(Debug, Clone, Copy)]
pub struct PolicyReading<'a> {
    /// Its kind and numbers.
    pub rule: &'a Rule,
    /// Target tracking's high alarm, or the only alarm of a step or simple policy.
    pub alarm: AlarmModelState,
    /// Target tracking's low alarm.
    pub low: AlarmModelState,
    /// The reading of the group by the policy's own metric.
    pub seen: GroupReading,
}

/// The capacity to set, and the policy that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyDecision {
    /// Index into the policies that were given.
    pub policy: usize,
    /// The capacity that it wants, within the bounds.
    pub wanted: u32,
}

/// Returns the combined decision of the policies; `None` if they leave the group as it is. With
/// `cooling`, simple scaling has to wait.
pub fn decide(
    policies: &[PolicyReading<'_>],
    bounds: Bounds,
    desired: u32,
    cooling: bool,
) -> Option<PolicyDecision> {
    // A policy that wants more holds the group, also while the capacity that it asked for is still
    // on its way.
    let mut held = false;
    let mut wishes: Vec<PolicyDecision> = Vec::new();
    let mut tracking_in: Vec<PolicyDecision> = Vec::new();
    for (policy, standing) in policies.iter().enumerate() {
        let wish = |wanted| PolicyDecision { policy, wanted };
        let fired = standing.alarm == AlarmModelState::Alarm;
        match standing.rule {
            Rule::Tracking { tracking, .. } if fired => {
                held = true;
                wishes.push(wish(tracking.scale_out(standing.seen, bounds)));
            }
            Rule::Tracking {
                tracking,
                scale_in: true,
            } => {
                let ready = standing.low == AlarmModelState::Alarm;
                tracking_in.push(wish(if ready {
                    tracking.scale_in(standing.seen, bounds)
                } else {
                    desired
                }));
            }
            Rule::Step(steps) if fired => wishes.push(wish(steps.wanted(standing.seen, bounds))),
            Rule::Simple { scaling, .. } if fired && !cooling => {
                wishes.push(wish(scaling.wanted(standing.seen, bounds)));
            }
            _ => {}
        }
    }
    let largest = |wishes: &[PolicyDecision]| wishes.iter().copied().max_by_key(|wish| wish.wanted);
    if let Some(out) = largest(&wishes).filter(|out| out.wanted > desired) {
        return Some(out);
    }
    if held {
        return None;
    }
    // One target-tracking policy that is not ready keeps the others from scaling in, but no step
    // policy.
    wishes.extend(largest(&tracking_in));
    wishes.retain(|wish| wish.wanted < desired);
    largest(&wishes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::step::{AdjustmentType, StepRule};

    const BOUNDS: Bounds = Bounds { min: 1, max: 10 };

    fn tracking(target: f64, scale_in: bool) -> Rule {
        Rule::Tracking {
            tracking: TargetTracking::new(target),
            scale_in,
        }
    }

    fn step(threshold: f64, change: i32) -> Rule {
        let steps = vec![StepRule {
            lower: (change > 0).then_some(0.0),
            upper: (change < 0).then_some(0.0),
            change,
        }];
        Rule::Step(StepScaling {
            is_above: change > 0,
            ..StepScaling::above(threshold, steps)
        })
    }

    fn simple(change: i32) -> Rule {
        let scaling = SimpleScaling {
            change,
            adjustment: AdjustmentType::Change,
            least: 0,
        };
        Rule::Simple {
            scaling,
            cooldown: Duration::from_mins(5),
        }
    }

    /// Returns the decision for four instances. Each policy comes with its metric and the words of
    /// its alarms: high, low, or both quiet.
    fn decided(
        policies: &[(&Rule, f64, &str)],
        warming: u32,
        cooling: bool,
    ) -> Option<(usize, u32)> {
        let state = |is: bool| {
            if is {
                AlarmModelState::Alarm
            } else {
                AlarmModelState::Ok
            }
        };
        let standing: Vec<PolicyReading<'_>> = policies
            .iter()
            .map(|(rule, metric, alarm)| PolicyReading {
                rule,
                alarm: state(*alarm == "high"),
                low: state(*alarm == "low"),
                seen: GroupReading {
                    metric: *metric,
                    warmed: 4 - warming,
                    warming,
                    desired: 4,
                },
            })
            .collect();
        decide(&standing, BOUNDS, 4, cooling).map(|decision| (decision.policy, decision.wanted))
    }

    #[test]
    fn the_largest_capacity_wins_out_and_in() {
        let (cpu, requests, steps) = (tracking(50.0, true), tracking(100.0, true), step(70.0, 5));
        assert_eq!(
            decided(
                &[(&cpu, 75.0, "high"), (&requests, 110.0, "high")],
                0,
                false
            ),
            Some((0, 6))
        );
        assert_eq!(
            decided(&[(&cpu, 75.0, "high"), (&steps, 75.0, "high")], 0, false),
            Some((1, 9))
        );
        assert_eq!(
            decided(&[(&cpu, 20.0, "low"), (&requests, 60.0, "low")], 0, false),
            Some((1, 3))
        );
        assert_eq!(
            decided(
                &[(&cpu, 75.0, "high"), (&step(80.0, -2), 75.0, "high")],
                0,
                false
            ),
            Some((0, 6))
        );
    }

    #[test]
    fn in_only_if_every_target_tracking_policy_that_may_wants_in() {
        let (cpu, requests) = (tracking(50.0, true), tracking(100.0, true));
        assert_eq!(
            decided(&[(&cpu, 20.0, "low"), (&requests, 95.0, "")], 0, false),
            None
        );
        let out_only = tracking(100.0, false);
        assert_eq!(
            decided(&[(&cpu, 20.0, "low"), (&out_only, 95.0, "")], 0, false),
            Some((0, 2))
        );
        assert_eq!(decided(&[(&out_only, 10.0, "low")], 0, false), None);
        // A step policy's scale-in waits for nobody but one that wants out.
        let back = step(80.0, -1);
        assert_eq!(
            decided(&[(&cpu, 48.0, ""), (&back, 48.0, "high")], 0, false),
            Some((1, 3))
        );
        assert_eq!(
            decided(&[(&cpu, 60.0, "high"), (&back, 60.0, "high")], 2, false),
            None
        );
    }

    #[test]
    fn nothing_goes_while_an_instance_warms_up_and_simple_scaling_waits_for_its_cooldown() {
        let cpu = tracking(50.0, true);
        assert_eq!(decided(&[(&cpu, 10.0, "low")], 1, false), None);
        assert_eq!(
            decided(&[(&simple(2), 90.0, "high")], 0, false),
            Some((0, 6))
        );
        assert_eq!(decided(&[(&simple(2), 90.0, "high")], 0, true), None);
        assert_eq!(
            decided(
                &[(&simple(2), 90.0, "high"), (&step(60.0, 1), 90.0, "high")],
                0,
                true
            ),
            Some((1, 5))
        );
        assert_eq!(decided(&[(&simple(2), 90.0, "")], 0, false), None);
    }
}
