//! A model of Auto Scaling policies: the state of an alarm after a row of datapoints, and the
//! capacity that a policy then wants.
//!
//! Pure: no clock and no network. The caller brings datapoints with their instants; the lab drives
//! it second by second.

pub mod alarm;
pub mod cooldown;
pub mod policies;
pub mod replay;
pub mod step;
pub mod target_tracking;

/// The bounds of a group. A policy never wants less or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest capacity.
    pub min: u32,
    /// Largest capacity.
    pub max: u32,
}

impl Bounds {
    /// Returns the capacity within the bounds that is nearest to a wanted one.
    pub fn clamp(self, wanted: u32) -> u32 {
        wanted.min(self.max).max(self.min)
    }
}

/// The state of a group that a policy sees when an alarm fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupReading {
    /// The alarm's metric, averaged over the warmed instances.
    pub metric: f64,
    /// Instances in service and past their warm-up: the metric is about these.
    pub warmed: u32,
    /// Launching, or in service but not yet warmed. They count as capacity, not in the metric.
    pub warming: u32,
    /// Desired capacity of the group.
    pub desired: u32,
}
