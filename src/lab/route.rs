//! A request's way through the load balancer, an instance and whatever stands behind it.
//!
//! No sleeping here: a request in progress says when to look at it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::LabInstant;
use super::group::LabGroup;
use super::instance::TargetState;
use super::worlds::Worlds;
use super::worlds::backend::{Behind, Outcome, Progress};
use super::worlds::balancing::{Balancing, Connection};
use super::worlds::connections::Place;
use super::worlds::rate_limit::Refusal;
use super::worlds::traffic::OthersNext;
use super::worlds::transfer::Parcel;
use super::worlds::unequal::Costs;
use super::worlds::zone_loss::{CONNECTS_FOR, IDLE_FOR};

/// The destination of a request.
#[derive(Debug)]
pub enum Route {
    /// An instance works on it.
    Serve(Underway),
    /// The instance's queue is full.
    Full { instance: String },
    /// There are too many for the rate limit.
    Limited { instance: String, refusal: Refusal },
    /// No healthy instance: the load balancer answers itself.
    Nobody,
}

/// A request in progress.
#[derive(Debug)]
pub struct Underway {
    pub instance: String,
    pub arrived: LabInstant,
    /// Nothing is known of its end before.
    pub next: LabInstant,
    /// Tells that `next` may be sooner.
    pub woken: Option<Arc<Notify>>,
    /// The lab file says that it gets this answer, whatever was asked.
    pub fault: Option<u16>,
    /// Added to the time of the answer.
    later: Duration,
    /// Its answer, where answers have a size.
    pub(crate) parcel: Option<Parcel>,
    /// Its instance answers nothing, and the load balancer gives up at `next`.
    is_unanswered: bool,
    /// Its place at the backend, until that is passed.
    ticket: Option<u64>,
    /// Counts as one of the instance's requests in progress as long as it exists.
    _token: Arc<()>,
}

/// The end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The instance answered: with this status, if the lab file says so.
    Answered(Option<u16>),
    /// It waited too long for a worker.
    Full,
    /// The instance went away.
    Lost,
    /// The instance answered nothing until the load balancer gave up.
    Unanswered,
}

/// Counts a request that gets no answer from a lost zone.
fn count_unanswered(worlds: &mut Worlds) {
    if let Some(loss) = &mut worlds.zone_loss {
        loss.unanswered += 1;
    }
}

impl LabGroup {
    /// Lives through everything up to `now`: other users' requests, launches, failed checks.
    pub fn advance(&mut self, now: LabInstant) {
        while let Some(next) = self
            .worlds
            .others
            .take(self.created, self.worlds.first_request, now)
        {
            match next {
                OthersNext::Arrives(at) => self.other_arrives(at),
                OthersNext::Look(underway) => self.look_at_other(underway),
            }
        }
        self.settle(now);
        if let Some(backend) = &mut self.worlds.backend {
            backend.run(now);
        }
    }

    fn other_arrives(&mut self, at: LabInstant) {
        self.settle(at);
        match self.take(at, "/", None) {
            Route::Serve(underway) => self.worlds.others.keep(underway),
            Route::Full { .. } => self.open.answered(503, 0.0),
            Route::Limited { refusal, .. } => self.open.answered(refusal.status, 0.0),
            Route::Nobody => self.open.elb_5xx += 1,
        }
    }

    fn look_at_other(&mut self, mut underway: Underway) {
        let at = underway.next;
        self.settle(at);
        let Some(fate) = self.fate(&mut underway, at) else {
            // It waits for a worker that is late by less than the clock can tell.
            underway.next = underway.next.max(at + Duration::from_millis(1));
            return self.worlds.others.keep(underway);
        };
        let seconds = (at - underway.arrived).as_secs_f32();
        match fate {
            Fate::Answered(status) => self.open.answered(status.unwrap_or(200), seconds),
            Fate::Full => self.open.answered(503, seconds),
            Fate::Unanswered => self.open.elb_5xx += 1,
            Fate::Lost => {
                self.open.elb_5xx += 1;
                self.open.elb_502 += 1;
            }
        }
    }

    /// Counts a request whose client went away before its answer. The load balancer had chosen an
    /// instance for it, which works on.
    pub fn given_up(&mut self) {
        self.open.given_up += 1;
        self.worlds.given_up += 1;
    }

    /// Takes in a new connection; `None` if too many are open.
    pub(crate) fn connect(&mut self, now: LabInstant) -> Option<Place> {
        let Some(gate) = &mut self.worlds.gate else {
            return Some(Place::default());
        };
        let instances = self.instances.iter();
        let healthy = instances
            .filter(|one| one.target_state(now) == Some(TargetState::Healthy))
            .count();
        let place = gate.admit(healthy);
        let is_balancers = place.is_none() && !gate.keys.each;
        self.open.rejected += u32::from(is_balancers);
        place
    }

    /// Routes a request of a generator.
    pub fn route(&mut self, now: LabInstant, path: &str, connection: Option<Connection>) -> Route {
        self.worlds.count_ours(now);
        self.advance(now);
        self.take(now, path, connection)
    }

    /// Returns the index of the instance that gets the next request; `None` if none is healthy.
    fn choose(&mut self, now: LabInstant, connection: Option<Connection>) -> Option<usize> {
        let healthy: Vec<usize> = (0..self.instances.len())
            .filter(|&index| self.instances[index].target_state(now) == Some(TargetState::Healthy))
            .collect();
        let pinned = connection.filter(|_| self.target.balancing == Balancing::Pinned);
        if let Some(number) = pinned.and_then(|connection| self.worlds.pins.of(connection))
            && let Some(index) = healthy
                .iter()
                .find(|&&one| self.instances[one].number == number)
        {
            return Some(*index);
        }
        let turn = self.next.wrapping_add(1);
        let chosen = self.target.balancing.choose(healthy.len(), turn, |index| {
            self.instances[healthy[index]].outstanding()
        })?;
        self.next = turn;
        let chosen = healthy[chosen];
        if let Some(connection) = pinned {
            self.worlds
                .pins
                .pin(connection, self.instances[chosen].number);
        }
        Some(chosen)
    }

    fn take(&mut self, now: LabInstant, path: &str, connection: Option<Connection>) -> Route {
        let Some(chosen) = self.choose(now, connection) else {
            return Route::Nobody;
        };
        let chosen = &mut self.instances[chosen];
        let (worlds, target) = (&mut self.worlds, &self.target);
        let first = worlds.first_request;
        let limiter = worlds.limiter.as_mut();
        if let Some(refusal) =
            limiter.and_then(|limiter| limiter.refuses(chosen.number, first, now))
        {
            let instance = chosen.id.clone();
            return Route::Limited { instance, refusal };
        }
        let mut fault = worlds.failing.meet(path);
        let mut later = Duration::ZERO;
        if let Some(sick) = target.sick
            && sick.befalls(chosen.number, worlds.first_request, now)
        {
            worlds.sick += 1;
            fault = sick.status.or(fault);
            later += sick.slow;
        }
        let is_new = chosen.healthy > self.created;
        if let Some(cold) = target.cold
            && is_new
        {
            let delay = cold.delay(chosen.healthy, now);
            worlds.cold += u64::from(!delay.is_zero());
            later += delay;
        }
        let times = worlds.costs.as_mut().map_or(1, Costs::next);
        let fresh_until = chosen.healthy + self.errors_when_fresh;
        let mut underway = Underway {
            instance: chosen.id.clone(),
            arrived: now,
            next: now,
            woken: None,
            fault,
            later,
            parcel: worlds.parcel(path, chosen.number),
            is_unanswered: false,
            ticket: None,
            _token: Arc::clone(&chosen.token),
        };
        if chosen.is_dark(now) {
            count_unanswered(worlds);
            underway.is_unanswered = true;
            underway.next = now + CONNECTS_FOR;
            return Route::Serve(underway);
        }
        if let Some(Behind::Held(held)) = &mut worlds.backend {
            let broken = is_new && now < fresh_until;
            chosen.errors += u64::from(broken);
            underway.fault = broken.then_some(500).or(fault);
            let works = chosen.service_time * times;
            let admitted = held.offer(chosen.number, now, works, underway.fault.is_none());
            underway.ticket = Some(admitted.ticket);
            (underway.next, underway.woken) = (admitted.next, admitted.woken);
            return Route::Serve(underway);
        }
        let Some(done) = chosen.queue.offer(now, times) else {
            return Route::Full {
                instance: underway.instance,
            };
        };
        let broken = is_new && done < fresh_until;
        chosen.errors += u64::from(broken);
        underway.fault = broken.then_some(500).or(fault);
        // An instance that fails by itself does not ask the backend.
        match &mut worlds.backend {
            Some(Behind::Apart(apart)) if underway.fault.is_none() => {
                underway.ticket = Some(apart.expect(done));
                underway.next = done;
            }
            _ => underway.next = done + later,
        }
        Route::Serve(underway)
    }

    /// Looks at a request in progress; `None` if it is not done, and `next` then says when to look
    /// again.
    pub fn look(&mut self, underway: &mut Underway, now: LabInstant) -> Option<Fate> {
        self.advance(now);
        self.fate(underway, now)
    }

    fn fate(&mut self, underway: &mut Underway, now: LabInstant) -> Option<Fate> {
        if let Some(ticket) = underway.ticket {
            match self.worlds.progress(ticket, now)? {
                Progress::Until(at) => {
                    underway.next = at;
                    return None;
                }
                Progress::Known(outcome) => {
                    (underway.ticket, underway.woken) = (None, None);
                    let done = match outcome {
                        Outcome::Answered(at) => at,
                        Outcome::Refused(at) => {
                            underway.fault = self.target.backend.map(|backend| backend.status);
                            at
                        }
                        Outcome::Full(_) => return Some(Fate::Full),
                    };
                    underway.next = done + underway.later;
                }
            }
        }
        if underway.next > now {
            return None;
        }
        if underway.is_unanswered {
            return Some(Fate::Unanswered);
        }
        if self.is_dark(&underway.instance, underway.next) {
            count_unanswered(&mut self.worlds);
            underway.is_unanswered = true;
            underway.next = underway.arrived + IDLE_FOR;
            return None;
        }
        // An error has no large body.
        if let Some(parcel) = &mut underway.parcel
            && let Some(links) = &mut self.worlds.links
            && !parcel.is_sent
            && underway.fault.is_none()
        {
            underway.next = links.send(parcel, underway.next);
            if underway.next > now {
                return None;
            }
        }
        if !self.has(&underway.instance) {
            return Some(Fate::Lost);
        }
        self.served(&underway.instance, underway.next);
        Some(Fate::Answered(underway.fault))
    }

    /// True if the instance, which may be gone, answers nothing at this instant.
    fn is_dark(&self, instance: &str, at: LabInstant) -> bool {
        let known = self.instances.iter().chain(&self.gone);
        let mut own = known.filter(|known| known.id == instance);
        own.any(|known| known.is_dark(at))
    }

    fn served(&mut self, instance: &str, at: LabInstant) {
        if let Some(known) = self.instances.iter_mut().find(|known| known.id == instance) {
            known.first_answer = Some(known.first_answer.map_or(at, |first| first.min(at)));
        }
    }

    /// True if the instance still exists; if not, the request that it was working on counts as
    /// lost.
    fn has(&mut self, instance: &str) -> bool {
        let there = self.instances.iter().any(|known| known.id == instance);
        if let Some(gone) = self
            .gone
            .iter_mut()
            .find(|known| !there && known.id == instance)
        {
            gone.lost += 1;
        }
        there
    }
}
