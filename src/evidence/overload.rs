//! Seconds in which the instances had more load than they can carry. The load, not an instance, is
//! the cause of errors and latency in such seconds.

use super::capacity::InstanceCapacity;
use super::load::{Confidence, Second};

/// Seconds within which a backlog is answered or given up.
const BACKLOG: usize = 3;

/// Overload by second, with the confidence of the capacity behind it.
#[derive(Debug, Clone)]
pub struct Overload {
    /// True where the load exceeded the capacity of the serving instances; empty where no capacity
    /// is known.
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

    /// Returns the same overload, or an unknown one if the confidence in the capacity is low. A
    /// limit that was never missed shows no capacity.
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

    /// Returns true if the capacity of one instance is known.
    pub fn is_known(&self) -> bool {
        self.confidence.is_some()
    }

    /// Returns true if the load of that second exceeded the capacity of its instances.
    pub fn over(&self, second: usize) -> bool {
        self.over.get(second).copied().unwrap_or(false)
    }

    /// Returns true if this second, or one of the three before it, was overloaded.
    pub fn in_second(&self, second: u32) -> bool {
        let at = second as usize;
        (0..=BACKLOG).any(|back| at >= back && self.over(at - back))
    }

    /// Returns the longest queue of an instance, in seconds of work, rounded up.
    pub fn queue(&self) -> u32 {
        self.queue
    }
}
