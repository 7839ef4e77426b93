//! A backend that holds the workers of the instances: a worker takes the next request only after
//! the backend has answered the one before.
//!
//! The end of a request then depends on requests that come later to other instances. The queues are
//! therefore run event by event, in the order of time. A request that finds all workers busy waits
//! until it is started, or until its wait is over its limit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::clock::LabInstant;
use super::super::config::LabTarget;
use super::super::queue::Busy;
use super::backend::{Outcome, Progress, Slots};

/// The workers of all instances, and the backend behind them.
#[derive(Debug)]
pub(crate) struct Held {
    slots: Slots,
    workers: u32,
    limit: Duration,
    /// The shortest time for which a worker is busy with one request.
    round: Duration,
    /// By the number of the instance.
    queues: BTreeMap<u32, HeldQueue>,
    events: BinaryHeap<Reverse<(LabInstant, Event)>>,
    outcomes: HashMap<u64, Outcome>,
    /// Requests without an outcome: the end of their work, or of their wait.
    due: HashMap<u64, Due>,
    tickets: u64,
}

/// A request that was taken in.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) ticket: u64,
    /// Nothing is known of it before.
    pub(crate) next: LabInstant,
    /// Tells that a worker has taken it, if it had to wait for one.
    pub(crate) woken: Option<Arc<Notify>>,
}

#[derive(Debug)]
struct HeldQueue {
    idle: u32,
    waiting: VecDeque<Waiting>,
    busy: Busy,
}

#[derive(Debug)]
struct Waiting {
    work: Work,
    arrived: LabInstant,
    woken: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    ticket: u64,
    service_time: Duration,
    calls_backend: bool,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Worked(LabInstant),
    Refused(LabInstant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker is free again.
    Free { instance: u32 },
    /// The instance's own work on a request is done.
    Worked { instance: u32, work: Work },
}

impl Held {
    pub(crate) fn new(slots: Slots, target: &LabTarget, time: Duration) -> Self {
        Self {
            slots,
            workers: target.workers,
            limit: target.queue_limit,
            round: target.service_time + time,
            queues: BTreeMap::new(),
            events: BinaryHeap::new(),
            outcomes: HashMap::new(),
            due: HashMap::new(),
            tickets: 0,
        }
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Takes in a request for this instance.
    pub(crate) fn offer(
        &mut self,
        instance: u32,
        now: LabInstant,
        service_time: Duration,
        calls_backend: bool,
    ) -> Admitted {
        self.run(now);
        self.tickets += 1;
        let work = Work {
            ticket: self.tickets,
            service_time,
            calls_backend,
        };
        let workers = self.workers;
        let queue = self.queues.entry(instance).or_insert_with(|| HeldQueue {
            idle: workers,
            waiting: VecDeque::new(),
            busy: Busy::default(),
        });
        if queue.idle > 0 {
            queue.idle -= 1;
            self.start(instance, work, now);
            return Admitted {
                ticket: work.ticket,
                next: now + service_time,
                woken: None,
            };
        }
        let woken = Arc::new(Notify::new());
        queue.waiting.push_back(Waiting {
            work,
            arrived: now,
            woken: Arc::clone(&woken),
        });
        let refused = now + self.limit;
        self.due.insert(work.ticket, Due::Refused(refused));
        Admitted {
            ticket: work.ticket,
            next: refused.min(now + self.round),
            woken: Some(woken),
        }
    }

    fn start(&mut self, instance: u32, work: Work, at: LabInstant) {
        let done = at + work.service_time;
        if let Some(queue) = self.queues.get_mut(&instance) {
            queue.busy.add(at, done);
        }
        self.due.insert(work.ticket, Due::Worked(done));
        self.events
            .push(Reverse((done, Event::Worked { instance, work })));
    }

    /// Lives through everything up to `now`.
    pub(crate) fn run(&mut self, now: LabInstant) {
        while let Some(&Reverse((at, event))) = self.events.peek()
            && at <= now
        {
            self.events.pop();
            match event {
                Event::Worked { instance, work } => self.worked(instance, work, at),
                Event::Free { instance } => self.free(instance, at),
            }
        }
    }

    fn worked(&mut self, instance: u32, work: Work, at: LabInstant) {
        let outcome = match work.calls_backend {
            true => self.slots.offer(at),
            false => Outcome::Answered(at),
        };
        self.due.remove(&work.ticket);
        self.outcomes.insert(work.ticket, outcome);
        match outcome {
            Outcome::Answered(done) if done > at => {
                if let Some(queue) = self.queues.get_mut(&instance) {
                    queue.busy.add(at, done);
                }
                self.events.push(Reverse((done, Event::Free { instance })));
            }
            _ => self.free(instance, at),
        }
    }

    /// Gives a free worker the next request that has not waited too long.
    fn free(&mut self, instance: u32, at: LabInstant) {
        while let Some(next) = self
            .queues
            .get_mut(&instance)
            .and_then(|queue| queue.waiting.pop_front())
        {
            let refused = next.arrived + self.limit;
            if refused >= at {
                self.start(instance, next.work, at);
                next.woken.notify_one();
                return;
            }
            if self.due.remove(&next.work.ticket).is_some() {
                self.outcomes
                    .insert(next.work.ticket, Outcome::Full(refused));
            }
        }
        if let Some(queue) = self.queues.get_mut(&instance) {
            queue.idle += 1;
        }
    }

    /// Returns what is known of a request. Its end is told once.
    pub(crate) fn progress(&mut self, ticket: u64, now: LabInstant) -> Progress {
        self.run(now);
        if let Some(outcome) = self.outcomes.remove(&ticket) {
            return Progress::Known(outcome);
        }
        match self.due.get(&ticket) {
            Some(&Due::Refused(at)) if at <= now => {
                self.due.remove(&ticket);
                Progress::Known(Outcome::Full(at))
            }
            // A worker that nobody else watches could become free before.
            Some(&Due::Refused(at)) => Progress::Until(at.min(now + self.round)),
            Some(&Due::Worked(at)) => Progress::Until(at),
            None => Progress::Until(now),
        }
    }

    /// Returns the share of `[from, to)` in which the instance's workers were held, 0 to 1.
    pub(crate) fn settle(&mut self, instance: u32, from: LabInstant, to: LabInstant) -> f64 {
        self.run(to);
        let workers = self.workers;
        self.queues
            .get_mut(&instance)
            .map_or(0.0, |queue| queue.busy.settle(from, to, workers))
    }
}

#[cfg(test)]
mod tests {
    use super::super::backend::Backend;
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One worker per instance, 10 ms of its own, and one slot of 20 ms.
    fn world(slots: u32) -> Held {
        let keys = Backend {
            slots,
            queue: ms(100),
            holds_worker: true,
            ..Backend::default()
        };
        let target = LabTarget {
            workers: 1,
            service_time: ms(10),
            queue_limit: ms(50),
            ..LabTarget::default()
        };
        Held::new(Slots::new(keys), &target, keys.time)
    }

    #[test]
    fn a_worker_is_held_until_the_backend_has_answered() {
        let mut held = world(1);
        let first = held.offer(1, ms(0), ms(10), true);
        let other = held.offer(2, ms(2), ms(10), true);
        let second = held.offer(1, ms(3), ms(10), true);
        assert_eq!((first.next, first.woken.is_none()), (ms(10), true));
        assert_eq!(held.progress(first.ticket, ms(5)), Progress::Until(ms(10)));
        let known = |at| Progress::Known(Outcome::Answered(ms(at)));
        assert_eq!(held.progress(first.ticket, ms(10)), known(30));
        // It reached the backend at 12 and waited for the slot until 30.
        assert_eq!(held.progress(other.ticket, ms(12)), known(50));
        // Its worker was free at 30, and the slot at 50.
        assert_eq!(
            held.progress(second.ticket, ms(31)),
            Progress::Until(ms(40))
        );
        assert_eq!(held.progress(second.ticket, ms(40)), known(70));
        // Busy from 0 to 70 and from 2 to 50.
        assert_eq!(held.settle(1, ms(0), ms(100)), 0.7);
        assert_eq!(held.settle(2, ms(0), ms(100)), 0.48);
    }

    #[test]
    fn a_request_that_waits_too_long_for_a_worker_is_refused() {
        let mut held = world(1);
        held.offer(1, ms(0), ms(100), false);
        let asked = held.offer(1, ms(10), ms(10), true);
        let unasked = held.offer(1, ms(20), ms(10), true);
        let fresh = held.offer(1, ms(60), ms(10), true);
        assert_eq!(
            held.progress(asked.ticket, ms(60)),
            Progress::Known(Outcome::Full(ms(60)))
        );
        assert_eq!(
            held.progress(unasked.ticket, ms(101)),
            Progress::Known(Outcome::Full(ms(70)))
        );
        assert_eq!(
            held.progress(fresh.ticket, ms(101)),
            Progress::Until(ms(110))
        );
    }

    #[tokio::test]
    async fn a_request_that_waits_is_woken_when_a_worker_takes_it() {
        let mut held = world(1);
        held.offer(1, ms(0), ms(10), false);
        let waits = held.offer(1, ms(5), ms(10), false);
        held.run(ms(10));
        waits.woken.unwrap().notified().await;
        assert_eq!(held.progress(waits.ticket, ms(10)), Progress::Until(ms(20)));
    }
}
