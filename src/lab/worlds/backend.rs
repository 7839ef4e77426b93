//! Something shared behind all instances, such as a database: each request needs one of its slots
//! for a while, after the work of its instance.
//!
//! Requests reach it in the order in which their instances are done with them, not in the order in
//! which they came. They are therefore announced with that instant, and served in its order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError, LabTarget};
use super::held::Held;
use super::quantity;

/// `target.backend` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backend {
    /// Requests that it works on at the same time.
    pub slots: u32,
    /// Time that a request takes there.
    #[serde(deserialize_with = "config::friendly")]
    pub time: Duration,
    /// A request that would wait longer for a slot is refused.
    #[serde(deserialize_with = "config::friendly")]
    pub queue: Duration,
    /// The answer of a request that is refused.
    #[serde(deserialize_with = "quantity::status")]
    pub status: u16,
    /// True if a worker of the instance does nothing else until the backend has answered.
    pub holds_worker: bool,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            slots: 3,
            time: Duration::from_millis(20),
            queue: Duration::from_millis(1_500),
            status: 503,
            holds_worker: false,
        }
    }
}

impl Backend {
    /// Checks that it can answer a request at all.
    pub fn check(self) -> Result<(), LabConfigError> {
        match self.slots == 0 || self.time.is_zero() {
            true => Err(LabConfigError::BackendServesNothing),
            false => Ok(()),
        }
    }

    /// Returns the requests per second that it can answer.
    pub fn capacity(self) -> f64 {
        f64::from(self.slots) / self.time.as_secs_f64()
    }
}

/// The end of a request's way through its instance and the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The backend answered at this instant.
    Answered(LabInstant),
    /// The backend refused it at this instant.
    Refused(LabInstant),
    /// It waited too long for a worker of its instance, until this instant.
    Full(LabInstant),
}

/// The knowledge of a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is known before this instant.
    Until(LabInstant),
    /// Its end is known.
    Known(Outcome),
}

/// The slots, as a queue that takes requests in the order in which they reach it.
#[derive(Debug)]
pub(crate) struct Slots {
    keys: Backend,
    /// The instant at which each slot is free.
    free: Vec<LabInstant>,
    pub(crate) served: u64,
    pub(crate) refused: u64,
}

impl Slots {
    pub(crate) fn new(keys: Backend) -> Self {
        Self {
            keys,
            free: vec![LabInstant::ZERO; keys.slots as usize],
            served: 0,
            refused: 0,
        }
    }

    /// Takes a request in; instants must not fall from call to call.
    pub(crate) fn offer(&mut self, at: LabInstant) -> Outcome {
        match self.free.iter_mut().min() {
            Some(slot) if slot.saturating_sub(at) <= self.keys.queue => {
                *slot = (*slot).max(at) + self.keys.time;
                self.served += 1;
                Outcome::Answered(*slot)
            }
            _ => {
                self.refused += 1;
                Outcome::Refused(at)
            }
        }
    }
}

/// A backend that leaves the workers of the instances alone.
#[derive(Debug)]
pub(crate) struct Apart {
    slots: Slots,
    /// Requests on their way: the instant at which each reaches the backend, and its ticket.
    coming: BinaryHeap<Reverse<(LabInstant, u64)>>,
    outcomes: HashMap<u64, Outcome>,
    tickets: u64,
}

impl Apart {
    fn new(keys: Backend) -> Self {
        Self {
            slots: Slots::new(keys),
            coming: BinaryHeap::new(),
            outcomes: HashMap::new(),
            tickets: 0,
        }
    }

    /// Announces a request, and returns its ticket.
    pub(crate) fn expect(&mut self, at: LabInstant) -> u64 {
        self.tickets += 1;
        self.coming.push(Reverse((at, self.tickets)));
        self.tickets
    }

    fn run(&mut self, now: LabInstant) {
        while let Some(&Reverse((at, ticket))) = self.coming.peek()
            && at <= now
        {
            self.coming.pop();
            self.outcomes.insert(ticket, self.slots.offer(at));
        }
    }
}

/// The backend in one of its two forms.
#[derive(Debug)]
pub(crate) enum Behind {
    Apart(Apart),
    Held(Held),
}

impl Behind {
    /// Returns a backend that no request has reached.
    pub(crate) fn new(keys: Backend, target: &LabTarget) -> Self {
        match keys.holds_worker {
            true => Self::Held(Held::new(Slots::new(keys), target, keys.time)),
            false => Self::Apart(Apart::new(keys)),
        }
    }

    /// Does what is due.
    pub(crate) fn run(&mut self, now: LabInstant) {
        match self {
            Self::Apart(apart) => apart.run(now),
            Self::Held(held) => held.run(now),
        }
    }

    /// Returns what is known of a request. Its end is told once.
    pub(crate) fn progress(&mut self, ticket: u64, now: LabInstant) -> Progress {
        match self {
            Self::Apart(apart) => {
                apart.run(now);
                // A request is asked after once it has reached the backend.
                apart
                    .outcomes
                    .remove(&ticket)
                    .map_or(Progress::Until(now), Progress::Known)
            }
            Self::Held(held) => held.progress(ticket, now),
        }
    }

    /// Returns the numbers of requests that it answered and refused.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let slots = match self {
            Self::Apart(apart) => &apart.slots,
            Self::Held(held) => held.slots(),
        };
        (slots.served, slots.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn keys(slots: u32) -> Backend {
        Backend {
            slots,
            queue: ms(30),
            ..Backend::default()
        }
    }

    #[test]
    fn requests_that_would_wait_too_long_for_a_slot_are_refused() {
        let mut slots = Slots::new(keys(1));
        let all: Vec<Outcome> = [0, 0, 0, 10].map(|at| slots.offer(ms(at))).into();
        assert_eq!(
            all,
            [
                Outcome::Answered(ms(20)),
                Outcome::Answered(ms(40)),
                // It would wait 40 ms.
                Outcome::Refused(ms(0)),
                // It waits exactly 30 ms.
                Outcome::Answered(ms(60)),
            ]
        );
        assert_eq!((slots.served, slots.refused), (3, 1));
    }

    #[test]
    fn requests_are_served_in_the_order_in_which_they_reach_it() {
        let mut backend = Apart::new(keys(1));
        let late = backend.expect(ms(15));
        let early = backend.expect(ms(5));
        backend.run(ms(14));
        assert_eq!(
            backend.outcomes.get(&early),
            Some(&Outcome::Answered(ms(25)))
        );
        assert_eq!(backend.outcomes.get(&late), None);
        let mut backend = Behind::Apart(backend);
        assert_eq!(
            backend.progress(late, ms(15)),
            Progress::Known(Outcome::Answered(ms(45)))
        );
        assert_eq!(backend.counts(), (2, 0));
    }

    #[test]
    fn a_full_backend_answers_its_capacity_whatever_comes() {
        let mut backend = Apart::new(Backend::default());
        for index in 0..2_400 {
            backend.expect(ms(index * 1_000 / 240));
        }
        backend.run(ms(10_000));
        // 150 a second for 10 s, and those that may wait 1.5 s.
        assert!(
            (1_720..=1_730).contains(&backend.slots.served),
            "{}",
            backend.slots.served
        );
        assert_eq!(Backend::default().capacity(), 150.0);
        assert_eq!(backend.slots.served + backend.slots.refused, 2_400);
    }
}
