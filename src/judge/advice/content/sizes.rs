//! Content of the answers on sizes and thresholds that the load needs.

use std::time::Duration;

use crate::advice::binding::Binding;
use crate::advice::candidate::Candidate;
use crate::advice::others::Standing;

/// Number of instances that a load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Instances by the estimated capacity of one.
    pub needed: u32,
    /// Fewest instances, by the loads that held and missed the limit; `None` where no load missed
    /// it.
    pub fewest: Option<u32>,
    /// Most instances, by the load of one instance that held the limit.
    pub most: u32,
}

/// Number of instances that the highest load needs.
#[derive(Debug, Clone, PartialEq)]
pub struct NeededSize {
    /// Requests per second that one instance carries within the limit.
    pub each: f64,
    /// Bound of p95.
    pub limit: Duration,
    /// Requests in the highest second of the run.
    pub peak: f64,
    /// Instances for that second.
    pub size: SizeRange,
    /// The lack of instances at the group's maximum; `None` where the maximum is enough, or was
    /// never seen.
    pub beyond: Option<BeyondMaximum>,
    /// True if the scenario has no threshold on p95.
    pub limit_is_assumed: bool,
}

/// The load needs more instances than the group may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondMaximum {
    /// Even the fewest instances exceed the maximum.
    CannotHold {
        /// Maximum of the group.
        max: u32,
        /// Instances by the estimated capacity of one.
        needed: u32,
    },
    /// The estimate exceeds the maximum, the fewest instances do not.
    MayBeTooSmall {
        /// Maximum of the group.
        max: u32,
    },
}

/// The target value of a target tracking policy.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetValue {
    /// Highest target that leaves room for new instances to start, in the metric's unit.
    pub fitting: f64,
    /// Name of the metric that the policy tracks.
    pub metric: String,
    /// Value of the metric when an instance is at its limit.
    pub full: f64,
    /// The target that is set; `None` where it was not read.
    pub now: Option<PresentTarget>,
    /// The policy that binds, of several; `None` with one policy, or where none is known to have
    /// decided.
    pub binding: Option<Binding>,
}

/// The target value of the policy that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentTarget {
    /// `TargetValue`, in the metric's unit.
    pub target: f64,
    /// True if the target is above the value that an instance reaches within the limit.
    pub is_late: bool,
    /// Comparison with other targets.
    pub compared: TargetCompared,
}

/// Comparison of the target that is set with replayed candidates of other targets.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetCompared {
    /// A row with another target is the recommended candidate.
    Recommended {
        /// Row of that target.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// The policy that ran holds the limit.
    Holds {
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// Another target would help, but the recommended candidate does more.
    WouldHelp {
        /// Row of the best of the other targets.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// No other target is much better.
    NoneBetter {
        /// Row of the best of the other targets.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// No row could be replayed.
    LittleRoom,
    /// No row could be replayed, and the target is at most a tenth above the fitting one.
    Room,
}

/// A candidate with one target, and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    /// Name of the candidate.
    pub name: String,
    /// Seconds in which its p95 is over the limit.
    pub over_limit: u32,
    /// Requests that it cannot carry; `None` where neither compared row loses any.
    pub lost: Option<u64>,
}

/// The bounds of the group, beside the instances that the load needs.
#[derive(Debug, Clone, PartialEq)]
pub struct MinAndMax {
    /// Instances that the highest load needs.
    pub needed: u32,
    /// Instances for the highest load, with room to catch up.
    pub roomy: u32,
    /// Minimum of the group.
    pub min: u32,
    /// Maximum of the group.
    pub max: u32,
    /// Instances that the load before the spike needs.
    pub calm: SizeRange,
    /// The cost of a minimum that holds the spike; `None` where the present minimum does.
    pub standing: Option<Standing>,
}

/// The step that the highest load needs.
#[derive(Debug, Clone, PartialEq)]
pub enum StepSize {
    /// The desired instances before the spike are enough.
    NotNeeded {
        /// Desired instances before the spike.
        before: u32,
    },
    /// The spike and the largest step of the step policy that ran.
    Largest {
        /// Instances that the highest load needs.
        size: SizeRange,
        /// Instances to add at once.
        add: u32,
        /// Desired instances before the spike.
        before: u32,
        /// Name of the step policy.
        policy: String,
        /// Largest `ScalingAdjustment` of its steps.
        largest: i32,
        /// True if the adjustment type is `PercentChangeInCapacity`.
        is_percent: bool,
    },
    /// A replayed candidate with one step beside the policy, where that has no steps.
    Beside {
        /// The candidate with one step.
        row: Box<Candidate>,
        /// The policy that ran.
        now: Box<Candidate>,
    },
    /// The step that would be needed; no candidate with one was replayed.
    ToAdd {
        /// Instances to add at once.
        add: u32,
    },
}

/// Comparison of a time that is set with the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Longer than 1.5 times the fitting time and a poll or two.
    Longer,
    /// Shorter by more than a poll.
    Shorter,
    /// Near enough to the fitting time.
    Fits,
}
