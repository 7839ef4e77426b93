//! Seconds in which the instances had more to do than they carry: errors and latency of such a
//! second are the load's doing, not an instance's.

use super::capacity::InstanceCapacity;
use super::load::{Confidence, Second};

/// A backlog is answered, or given up, within this many seconds.
const BACKLOG: usize = 3;

/// By second, and how surely that is known.
#[derive(Debug, Clone)]
pub struct Overload {
    /// More was asked than the instances carry; nothing where no capacity is known.
    over: Vec<bool>,
    confidence: Option<Confidence>,
    queue: u32,
}

impl Overload {
    pub(crate) fn new(
        load: &[Second],
        serving: &[u32],
        capacity: Option<&InstanceCapacity>,
    ) -> Self {
        let Some(capacity) = capacity else {
            return Self {
                over: Vec::new(),
                confidence: None,
                queue: 0,
            };
        };
        let over = load.iter().zip(serving);
        let over =
            over.map(|(second, count)| second.demand > capacity.at_limit * f64::from(*count));
        Self {
            over: over.collect(),
            confidence: Some(capacity.confidence),
            queue: capacity.queue.as_secs_f64().ceil() as u32,
        }
    }

    /// The same, but unknown where the run does not show well what an instance carries: a limit
    /// that was never missed is no capacity.
    pub fn sure(&self) -> Self {
        match self.confidence {
            Some(confidence) if confidence > Confidence::Low => self.clone(),
            _ => Self {
                over: Vec::new(),
                confidence: None,
                queue: 0,
            },
        }
    }

    /// What one instance carries is known.
    pub fn is_known(&self) -> bool {
        self.confidence.is_some()
    }

    /// More was asked in that second than its instances carry.
    pub fn over(&self, second: usize) -> bool {
        self.over.get(second).copied().unwrap_or(false)
    }

    /// This second, or one of the three before it, was overloaded.
    pub fn in_second(&self, second: u32) -> bool {
        let at = second as usize;
        (0..=BACKLOG).any(|back| at >= back && self.over(at - back))
    }

    /// How much work an instance lets pile up, in whole seconds.
    pub fn queue(&self) -> u32 {
        self.queue
    }
}
