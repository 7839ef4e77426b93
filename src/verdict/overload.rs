//! Seconds in which the instances had more to do than they carry: what goes wrong in them is the
//! load's, not an instance's.

use std::time::Duration;

use super::advice::{self, Confidence, InstanceCapacity, Limit, Measured, Second};
use super::chain;
use super::scaling::Case;

/// What piled up is answered, or given up, in the next few seconds.
const BACKLOG: usize = 3;

pub struct Overload {
    seconds: Vec<Second>,
    serving: Vec<u32>,
    capacity: Option<InstanceCapacity>,
}

impl Overload {
    pub fn of(case: &Case<'_>) -> Self {
        let Measured { seconds } = Measured::new(case.scenario, case.schedule, case.results);
        let serving = chain::serving(case.timeline, case.times.started, seconds.len());
        let capacity = advice::capacity(&seconds, &serving, Limit::of(case.scenario).p95);
        Self {
            seconds,
            serving,
            capacity,
        }
    }

    /// Only where the run shows it well: what was never missed is no capacity.
    pub fn sure(mut self) -> Self {
        self.capacity = self
            .capacity
            .filter(|capacity| capacity.confidence > Confidence::Low);
        self
    }

    /// What one instance carries is known.
    pub fn is_known(&self) -> bool {
        self.capacity.is_some()
    }

    /// More was asked in that second than its instances carry.
    pub fn over(&self, second: usize) -> bool {
        match (
            &self.capacity,
            self.seconds.get(second),
            self.serving.get(second),
        ) {
            (Some(capacity), Some(load), Some(count)) => {
                load.demand > capacity.at_limit * f64::from(*count)
            }
            _ => false,
        }
    }

    /// So was it, or what was left of one of the seconds before was still on its way.
    pub fn in_second(&self, second: u32) -> bool {
        let at = second as usize;
        (0..=BACKLOG).any(|back| at >= back && self.over(at - back))
    }

    /// How much work an instance lets pile up, in whole seconds.
    pub fn queue(&self) -> u32 {
        let queue = self
            .capacity
            .as_ref()
            .map_or(Duration::ZERO, |capacity| capacity.queue);
        queue.as_secs_f64().ceil() as u32
    }
}
