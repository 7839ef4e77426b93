//! The life of a generator on the channel: plan, ready, start, load, end.
//!
//! It ends by itself whatever becomes of the orchestrator: when the beat stays away for the lease, and at its lifetime's
//! end even if its runtime hangs.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::decide::{self, Seen, Step};
use super::{Running, Work, begin};
use crate::channel::message::{Control, End, Ended, Ready, Report, VERSION};
use crate::channel::{Channel, LEASE, POLL};
use crate::measure::Interval;
use crate::plan::Share;
use crate::scenario::{self, Scenario};

/// How often what was measured is handed over.
const REPORT: Duration = Duration::from_secs(2);
/// The plan is there before the task is launched; a store that is slow to show it gets this long.
const PLAN_PATIENCE: Duration = Duration::from_secs(120);
/// Handing over the last results may take a few tries; then what is missing is named by the other side.
const FLUSH_TRIES: u32 = 8;
/// After its lifetime a generator that hangs is ended by a thread that its runtime cannot hold up.
const BEYOND_LIFETIME: Duration = Duration::from_secs(10);

/// Who a generator is.
#[derive(Debug, Clone)]
pub struct Task {
    pub channel: Channel,
    pub slot: u32,
    pub epoch: u64,
    pub max_lifetime: Duration,
    pub identity: String,
    pub lease: Duration,
}

impl Task {
    pub fn new(channel: Channel, slot: u32, epoch: u64, max_lifetime: Duration, identity: String) -> Self {
        Self { channel, slot, epoch, max_lifetime, identity, lease: LEASE }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(transparent)]
    Channel(#[from] crate::channel::ChannelError),
    #[error("the plan's scenario is not valid here: {0}")]
    Scenario(String),
    #[error("the load could not begin: {0}")]
    Begin(String),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Carries out one slot of a run, to its end.
pub async fn generate(task: &Task) -> Result<Ended, GenerateError> {
    outlive_never(task.max_lifetime);
    let plan = wait_for_plan(task).await?;
    let read = scenario::read(&plan.scenario, &plan.surroundings)
        .map_err(|problems| GenerateError::Scenario(scenario::render("scenario", &plan.scenario, &problems, false)))?;
    carry_out(task, read.scenario, plan.seed).await
}

/// Ends the process at last, from a thread of its own: a wedged runtime must not be paid for.
fn outlive_never(lifetime: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(lifetime + BEYOND_LIFETIME);
        // Not an orderly end: an orderly one was due ten seconds ago.
        std::process::abort();
    });
}

async fn wait_for_plan(task: &Task) -> Result<crate::channel::message::Plan, GenerateError> {
    let give_up = Instant::now() + PLAN_PATIENCE;
    loop {
        match task.channel.plan().await {
            Ok(plan) => return Ok(plan),
            Err(error) if Instant::now() >= give_up => return Err(error.into()),
            Err(_) => sleep(POLL).await,
        }
    }
}

pub async fn carry_out(task: &Task, scenario: Scenario, seed: u64) -> Result<Ended, GenerateError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let ready =
        Ready { version: VERSION, slot: task.slot, identity: task.identity.clone(), cores, at: Timestamp::now() };
    task.channel.put_ready(&ready).await?;
    let mut ear = Ear::new(task)?;
    let (at, share) = match ear.wait_for_start().await {
        Ok(start) => start,
        Err(why) => return say_end(task, why, 0).await,
    };
    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    let late = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
    let now = std::time::Instant::now();
    let start = (now + wait).checked_sub(late).unwrap_or(now);
    let stop = CancellationToken::new();
    let work = Work { scenario: Arc::new(scenario), share, seed, workers: cores.max(1), start, stop: stop.clone() };
    let running = begin(&work).map_err(GenerateError::Begin)?;
    let (why, reports) = load(task, &mut ear, running, &stop).await;
    say_end(task, why, reports).await
}

async fn say_end(task: &Task, why: Ended, intervals: u32) -> Result<Ended, GenerateError> {
    let end = End { version: VERSION, slot: task.slot, why: why.clone(), intervals, at: Timestamp::now() };
    let mut pause = Duration::from_millis(200);
    for _ in 1..FLUSH_TRIES {
        if task.channel.put_end(&end).await.is_ok() {
            return Ok(why);
        }
        sleep(pause).await;
        pause *= 2;
    }
    task.channel.put_end(&end).await?;
    Ok(why)
}

/// Hands over what the workers measure, until they end or must.
async fn load(task: &Task, ear: &mut Ear<'_>, mut running: Running, stop: &CancellationToken) -> (Ended, u32) {
    let mut outbox = Outbox::default();
    let mut why = Ended::Complete;
    let mut report = interval(REPORT);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            seconds = running.next() => match seconds {
                Some(interval) => outbox.add(interval, running.before_second()),
                None => break,
            },
            _ = report.tick() => outbox.send(task).await,
            _ = poll.tick(), if !stop.is_cancelled() => {
                if let Some(end) = ear.must_end().await {
                    why = end;
                    stop.cancel();
                }
            }
            end = ear.sent_away(), if !stop.is_cancelled() => {
                why = end;
                stop.cancel();
            }
        }
    }
    outbox.seal();
    let mut pause = Duration::from_millis(200);
    for _ in 0..FLUSH_TRIES {
        outbox.send(task).await;
        if outbox.is_empty() {
            break;
        }
        sleep(pause).await;
        pause *= 2;
    }
    (why, outbox.next_seq + outbox.waiting.len() as u32)
}

/// Reports not yet written. One that fails stays, and the sequence has no gap.
#[derive(Default)]
struct Outbox {
    open: Interval,
    before_second: u32,
    waiting: std::collections::VecDeque<Report>,
    next_seq: u32,
}

impl Outbox {
    fn add(&mut self, interval: Interval, before_second: u32) {
        self.open.cells.extend(interval.cells);
        self.open.strain.extend(interval.strain);
        self.before_second = before_second;
    }

    /// Numbers what has come since the last report.
    fn seal(&mut self) {
        if self.open == Interval::default() {
            return;
        }
        let seq = self.next_seq + self.waiting.len() as u32;
        let interval = std::mem::take(&mut self.open);
        self.waiting.push_back(Report { version: VERSION, seq, before_second: self.before_second, interval });
    }

    async fn send(&mut self, task: &Task) {
        // While the store is away, what comes is gathered in one report: memory stays bounded by the seconds.
        if self.waiting.is_empty() {
            self.seal();
        }
        while let Some(report) = self.waiting.front() {
            if task.channel.put_report(task.slot, report).await.is_err() {
                return;
            }
            self.next_seq += 1;
            self.waiting.pop_front();
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Listens to the orchestrator, to signals and to the clock.
struct Ear<'a> {
    task: &'a Task,
    control: Option<Control>,
    /// When the beat last changed, by the own monotonic clock. A read that fails is no change.
    heard: Instant,
    born: Instant,
    terminate: tokio::signal::unix::Signal,
}

impl<'a> Ear<'a> {
    fn new(task: &'a Task) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { task, control: None, heard: Instant::now(), born: Instant::now(), terminate })
    }

    async fn wait_for_start(&mut self) -> Result<(Timestamp, Share), Ended> {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = poll.tick() => {}
                end = self.sent_away() => return Err(end),
            }
            self.listen().await;
            match decide::before(&self.seen()) {
                Step::Wait => {}
                Step::Begin(at, share) => return Ok((at, share)),
                Step::End(why) => return Err(why),
            }
        }
    }

    async fn must_end(&mut self) -> Option<Ended> {
        self.listen().await;
        decide::must_end(&self.seen())
    }

    async fn listen(&mut self) {
        // A store that hangs must not hold up the lease.
        let read = tokio::time::timeout(POLL * 3, self.task.channel.control()).await;
        if let Ok(Ok(control)) = read {
            if self.control.as_ref().is_none_or(|known| known.beat != control.beat) {
                self.heard = Instant::now();
            }
            self.control = Some(control);
        }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            slot: self.task.slot,
            epoch: self.task.epoch,
            control: self.control.as_ref(),
            silence: self.heard.elapsed(),
            lease: self.task.lease,
            now: Timestamp::now(),
        }
    }

    /// SIGTERM (StopTask, Spot), or the lifetime's end.
    async fn sent_away(&mut self) -> Ended {
        let over = self.born + self.task.max_lifetime;
        tokio::select! {
            _ = self.terminate.recv() => Ended::Terminated,
            () = tokio::time::sleep_until(over) => Ended::LifetimeOver,
        }
    }
}
