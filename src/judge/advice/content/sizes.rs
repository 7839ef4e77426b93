//! Sizes and thresholds that the load needs.

use std::time::Duration;

use crate::advice::candidate::Candidate;
use crate::advice::others::Standing;

/// How many instances a load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// By the estimated capacity of one instance.
    pub needed: u32,
    /// By what held the limit and what did not; no fewest where nothing missed.
    pub fewest: Option<u32>,
    /// By the load of one instance that held the limit.
    pub most: u32,
}

/// How many instances the highest load needs.
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
    /// `None` where the maximum of the group is enough, or was never seen.
    pub beyond: Option<BeyondMaximum>,
    /// The scenario has no threshold on p95.
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
    /// The metric of an instance at its limit.
    pub full: f64,
    /// The target that is set; `None` where it was not read.
    pub now: Option<PresentTarget>,
}

/// The target value of the policy that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentTarget {
    /// `TargetValue`, in the metric's unit.
    pub target: f64,
    /// More than an instance reaches within the limit.
    pub is_late: bool,
    /// How it compares with other targets.
    pub compared: TargetCompared,
}

/// What the rows with other targets say of the one that is set.
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
    /// Where either row loses requests.
    pub lost: Option<u64>,
}

/// The bounds of the group, beside the instances that the load needs.
#[derive(Debug, Clone, PartialEq)]
pub struct MinAndMax {
    /// What the highest load needs, and with room to catch up.
    pub needed: u32,
    /// Instances for the highest load, with room to catch up.
    pub roomy: u32,
    /// Minimum of the group.
    pub min: u32,
    /// Maximum of the group.
    pub max: u32,
    /// What the load before the spike needs.
    pub calm: SizeRange,
    /// The cost of a minimum that holds the spike.
    pub standing: Option<Standing>,
}

/// The step that the highest load needs.
#[derive(Debug, Clone, PartialEq)]
pub enum StepSize {
    /// Those that were there are enough.
    NotNeeded {
        /// Desired instances before the spike.
        before: u32,
    },
    /// The spike beside the largest step that is there.
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
        /// The adjustment is `PercentChangeInCapacity`.
        is_percent: bool,
    },
    /// One step beside the policy, as it was replayed.
    Beside {
        /// The candidate with one step.
        row: Box<Candidate>,
        /// The policy that ran.
        now: Box<Candidate>,
    },
    /// One would have to add so many.
    ToAdd {
        /// Instances to add at once.
        add: u32,
    },
}

/// A time that is set, beside the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Longer than 1.5 times the fitting time and a poll or two.
    Longer,
    /// Shorter by more than a poll.
    Shorter,
    /// Near enough to the fitting time.
    Fits,
}
