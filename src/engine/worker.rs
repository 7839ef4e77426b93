//! Worker threads: each a runtime of its own, reporting whole seconds as they pass.

use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsConnector;

use super::Work;
use super::iteration::{self, Desk};
use super::target::{self, Target};
use crate::measure::Interval;
use crate::plan::{Schedule, Share};
use crate::scenario::Model;

/// Iterations under way per worker. Beyond it memory grows without end under a target that hangs; what is not started
/// is counted, and makes the run inconclusive.
const CEILING: usize = 10_000;
const REPORT: Duration = Duration::from_millis(500);
/// A jump brings many sessions at one instant; a crowd arrives within a second, not within a microsecond.
const JUMP: Duration = Duration::from_secs(1);

/// Whole seconds from one worker.
#[derive(Debug)]
pub struct Seconds {
    pub worker: u32,
    /// Nothing before this second will come any more.
    pub before: u32,
    pub interval: Interval,
}

/// A share being carried out.
#[derive(Debug)]
pub struct Running {
    seconds: UnboundedReceiver<Seconds>,
    threads: Vec<JoinHandle<Result<(), String>>>,
    /// By worker: everything before is here.
    before: Vec<u32>,
}

impl Running {
    /// The next seconds of any worker; nothing when all have ended.
    pub async fn next(&mut self) -> Option<Interval> {
        let seconds = self.seconds.recv().await?;
        if let Some(before) = self.before.get_mut(seconds.worker as usize) {
            *before = seconds.before;
        }
        Some(seconds.interval)
    }

    /// After the last seconds: whether every worker carried out its part. A lost one must not look like less load.
    pub fn finish(self) -> Result<(), String> {
        for thread in self.threads {
            thread.join().map_err(|_| "a worker thread panicked".to_owned())??;
        }
        Ok(())
    }

    /// Every worker has reported everything before this second.
    pub fn before_second(&self) -> u32 {
        self.before.iter().copied().min().unwrap_or(0)
    }
}

/// Starts the workers. They end with the schedule, or when `work.stop` is cancelled.
pub fn begin(work: &Work) -> Result<Running, String> {
    let (sender, seconds) = unbounded_channel();
    let tls = if work.scenario.target.url.https { Some(target::tls()?) } else { None };
    let mut threads = Vec::new();
    for worker in 0..work.workers {
        let (work, tls, sender) = (work.clone(), tls.clone(), sender.clone());
        // What can be wrong with the target is wrong for all: find it before any thread starts.
        Desk::new(&work, Target::new(&work.scenario.target.url, tls.as_ref())?)?;
        let thread = thread::Builder::new()
            .name(format!("worker-{worker}"))
            .spawn(move || work_here(&work, worker, tls.as_ref(), &sender))
            .map_err(|error| format!("could not start a worker thread: {error}"))?;
        threads.push(thread);
    }
    Ok(Running { seconds, threads, before: vec![0; work.workers as usize] })
}

fn work_here(
    work: &Work,
    worker: u32,
    tls: Option<&TlsConnector>,
    sender: &UnboundedSender<Seconds>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("a worker has no runtime: {error}"))?;
    let desk = Rc::new(Desk::new(work, Target::new(&work.scenario.target.url, tls)?)?);
    let local = LocalSet::new();
    let load = carry_out(work, worker, Rc::clone(&desk), sender);
    let carried_out = local.block_on(&runtime, load);
    // Dropping the sessions cuts what is still under way: it is not recorded.
    drop(local);
    let before = u32::try_from(desk.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    let _ = sender.send(Seconds { worker, before, interval: desk.recorder.borrow_mut().take_all() });
    carried_out
}

async fn carry_out(work: &Work, worker: u32, desk: Rc<Desk>, sender: &UnboundedSender<Seconds>) -> Result<(), String> {
    let share = work.share_of(worker);
    let mut load = JoinSet::new();
    match work.scenario.model {
        Model::Users => populate(&desk, share, &mut load),
        Model::Rate => {
            load.spawn_local(dispatch(Rc::clone(&desk), share));
        }
    }
    let mut tick = interval(REPORT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = work.stop.cancelled() => return Ok(()),
            _ = tick.tick() => report(&desk, worker, sender),
            done = load.join_next() => match done {
                None => return Ok(()),
                // A session or iteration that panicked is load that was not there.
                Some(done) => done.map_err(|error| format!("a session ended with a bug: {error}"))?,
            },
        }
    }
}

/// A second is whole when it has passed: requests are recorded in the second they end in, as they end.
fn report(desk: &Desk, worker: u32, sender: &UnboundedSender<Seconds>) {
    let elapsed = desk.elapsed();
    if elapsed.is_zero() {
        return;
    }
    let mut recorder = desk.recorder.borrow_mut();
    recorder.sessions(elapsed, desk.active.get());
    let before = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
    let interval = recorder.take_before(before);
    let _ = sender.send(Seconds { worker, before, interval });
}

/// Every session of the share, each waiting for its span.
fn populate(desk: &Rc<Desk>, share: Share, load: &mut JoinSet<()>) {
    let all = desk.schedule.sessions();
    for number in (u64::from(share.index)..all).step_by(share.of as usize) {
        for (span, (from, to)) in (0..).zip(desk.schedule.session_spans(number)) {
            let from = from + jump_offset(&desk.schedule, number, from, to);
            load.spawn_local(iteration::session(Rc::clone(desk), number, span, from, to));
        }
    }
}

/// Sessions that a jump brings at one instant come spread over a second, evenly and always alike.
fn jump_offset(schedule: &Schedule, number: u64, from: Duration, to: Duration) -> Duration {
    let neighbour = if number == 0 { 1 } else { number - 1 };
    let crowd =
        neighbour < schedule.sessions() && schedule.session_spans(neighbour).iter().any(|(start, _)| *start == from);
    if !crowd {
        return Duration::ZERO;
    }
    // Multiples of the golden ratio fill an interval evenly, however many there are.
    let place = (number as f64 * 0.618_033_988_749_895).fract();
    JUMP.min((to - from) / 2).mul_f64(place)
}

/// Starts each iteration of the share when it is due, whatever became of the others.
async fn dispatch(desk: Rc<Desk>, share: Share) {
    let mut under_way = JoinSet::new();
    for number in (u64::from(share.index)..desk.schedule.iterations()).step_by(share.of as usize) {
        let Some(due) = desk.schedule.arrival(number) else { break };
        desk.wait_until(due).await;
        while let Some(done) = under_way.try_join_next() {
            pass_on(done);
        }
        if under_way.len() >= CEILING {
            desk.recorder.borrow_mut().dropped(due);
            continue;
        }
        under_way.spawn_local(iteration::iteration(Rc::clone(&desk), number, due));
    }
    while let Some(done) = under_way.join_next().await {
        pass_on(done);
    }
}

/// A panic of an iteration is the dispatcher's own: somebody has to hear of it.
fn pass_on(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
