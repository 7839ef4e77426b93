//! Worker threads: each a runtime of its own, reporting whole seconds as they pass.

use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

use super::Work;
use super::alarm::WakeTimer;
use super::context::{WorkerContext, spread};
use super::judge::PatternError;
use super::tls::{Security, TlsError};
use super::{health, iteration};
use model::measure::Interval;
use model::plan::Share;
use model::scenario::Model;

/// Iterations under way per worker. Beyond it memory grows without end under a target that hangs.
/// An iteration that is not started is counted, and makes the run inconclusive.
const CEILING: usize = 10_000;
const REPORT: Duration = Duration::from_millis(500);
/// A second is complete this long after its end.
const SETTLES: Duration = Duration::from_millis(100);
/// A jump brings many sessions at one instant; a crowd arrives within a second, not within a
/// microsecond.
const JUMP: Duration = Duration::from_secs(1);

/// Whole seconds from one worker.
#[derive(Debug)]
pub(crate) struct WorkerSeconds {
    pub worker: u32,
    /// The second before which no more results will come.
    pub before: u32,
    pub interval: Interval,
}

/// Why a worker carries out nothing, or not all of its part.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// TLS with the target cannot be set up; found before any thread starts.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A check or capture of a step cannot be compiled; found before any thread starts.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The system refused a thread.
    #[error("could not start a worker thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The tokio runtime of a worker thread could not be built.
    #[error("a worker has no runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The system refused the timer (`timerfd`) of a worker.
    #[error("a worker has no timer: {0}")]
    Timer(#[source] std::io::Error),
    /// The task of a session panicked.
    #[error("a session ended with a bug: {0}")]
    Session(#[source] JoinError),
    /// A worker thread ended with a panic outside its sessions.
    #[error("a worker thread panicked")]
    Panicked,
}

/// A share being carried out.
#[derive(Debug)]
pub struct RunningWorkers {
    seconds: UnboundedReceiver<WorkerSeconds>,
    threads: Vec<JoinHandle<Result<(), WorkerError>>>,
    /// For each worker the second before which all its results are here.
    before: Vec<u32>,
}

impl RunningWorkers {
    /// Returns the next seconds of any worker; `None` if all have ended.
    pub async fn next(&mut self) -> Option<Interval> {
        let seconds = self.seconds.recv().await?;
        if let Some(before) = self.before.get_mut(seconds.worker as usize) {
            *before = seconds.before;
        }
        Some(seconds.interval)
    }

    /// Returns an error unless every worker carried out its part; call it after the last seconds. A
    /// lost worker must not look like less load.
    pub fn finish(self) -> Result<(), WorkerError> {
        for thread in self.threads {
            thread.join().map_err(|_| WorkerError::Panicked)??;
        }
        Ok(())
    }

    /// Returns the second before which every worker has reported everything.
    pub fn before_second(&self) -> u32 {
        self.before.iter().copied().min().unwrap_or(0)
    }
}

/// Starts the workers. They end with the schedule, or when `work.stop` is cancelled.
pub fn begin(work: &Work) -> Result<RunningWorkers, WorkerError> {
    let (sender, seconds) = unbounded_channel();
    health::make_room_for_sockets();
    // A redirect may lead from http to https on the same host: where roots are at hand, they are
    // there for it.
    let security = match Security::new(&work.scenario.target) {
        Ok(security) => Some(security),
        Err(error) if work.scenario.target.url.https => return Err(error.into()),
        Err(_) => None,
    };
    let mut threads = Vec::new();
    for worker in 0..work.workers {
        let (work, security, sender) = (work.clone(), security.clone(), sender.clone());
        // A fault of the target's settings concerns all workers: find it before any thread starts.
        WorkerContext::new(&work, worker, security.as_ref())?;
        let thread = thread::Builder::new()
            .name(format!("worker-{worker}"))
            .spawn(move || work_here(&work, worker, security.as_ref(), &sender))
            .map_err(WorkerError::Thread)?;
        threads.push(thread);
    }
    Ok(RunningWorkers {
        seconds,
        threads,
        before: vec![0; work.workers as usize],
    })
}

fn work_here(
    work: &Work,
    worker: u32,
    security: Option<&Security>,
    sender: &UnboundedSender<WorkerSeconds>,
) -> Result<(), WorkerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(WorkerError::Runtime)?;
    let mut context = WorkerContext::new(work, worker, security)?;
    let entered = runtime.enter();
    context.alarm = Some(WakeTimer::new().map_err(WorkerError::Timer)?);
    drop(entered);
    let context = Rc::new(context);
    let local = LocalSet::new();
    let load = carry_out(work, worker, Rc::clone(&context), sender);
    let carried_out = local.block_on(&runtime, load);
    // Dropping the sessions cuts the requests under way: they are not recorded.
    drop(local);
    let before = u32::try_from(context.elapsed().as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    drop(sender.send(WorkerSeconds {
        worker,
        before,
        interval: context.recorder.borrow_mut().take_all(),
    }));
    carried_out
}

async fn carry_out(
    work: &Work,
    worker: u32,
    context: Rc<WorkerContext>,
    sender: &UnboundedSender<WorkerSeconds>,
) -> Result<(), WorkerError> {
    let share = work.share_of(worker);
    let mut load = JoinSet::new();
    if work.scenario.has(Model::Users) {
        populate(&context, share, &mut load);
    }
    if work.scenario.has(Model::Rate) {
        load.spawn_local(dispatch(Rc::clone(&context), share));
    }
    // Dropped, and so ended, with the load.
    let mut beside = JoinSet::new();
    let (names, itself, bell) = (
        Rc::clone(&context),
        Rc::clone(&context),
        Rc::clone(&context),
    );
    beside.spawn_local(async move {
        if let Some(alarm) = &bell.alarm {
            // If the timer breaks, all sessions stay asleep: the saturation of the run shows it.
            drop(alarm.ring().await);
        }
    });
    beside.spawn_local(async move { names.addresses.refresh().await });
    let workers = work.workers;
    beside.spawn_local(async move { health::watch(&itself, worker, workers).await });
    let mut tick = interval(REPORT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = work.stop.cancelled() => return Ok(()),
            _ = tick.tick() => report(&context, worker, sender),
            done = load.join_next() => match done {
                // Sessions that data stopped are missing until the plan's end: the watch on the
                // worker counts them.
                None if context.elapsed() < context.schedule.end() => context.wait_until(context.elapsed() + REPORT).await,
                None => {
                    health::settle().await;
                    return Ok(());
                }
                // A session or iteration that panicked is load that was not there.
                Some(done) => done.map_err(WorkerError::Session)?,
            },
        }
    }
}

/// Reports the seconds that are whole. A second is whole when it has passed: requests are recorded
/// in the second they end in, as they end.
fn report(context: &WorkerContext, worker: u32, sender: &UnboundedSender<WorkerSeconds>) {
    let elapsed = context.elapsed();
    if elapsed.is_zero() {
        return;
    }
    let mut recorder = context.recorder.borrow_mut();
    // The watch on the generator's health fills a second in just after it has passed.
    let before = u32::try_from(elapsed.saturating_sub(SETTLES).as_secs()).unwrap_or(u32::MAX);
    let interval = recorder.take_before(before);
    drop(sender.send(WorkerSeconds {
        worker,
        before,
        interval,
    }));
}

/// Starts every session of the share; each waits for its span.
fn populate(context: &Rc<WorkerContext>, share: Share, load: &mut JoinSet<()>) {
    let all = context.schedule.sessions();
    for number in (u64::from(share.index)..all).step_by(share.of as usize) {
        for (span, (from, to)) in (0..).zip(context.schedule.session_spans(number)) {
            let from = from + jump_offset(context, number, from, to);
            load.spawn_local(iteration::session(
                Rc::clone(context),
                number,
                span,
                from,
                to,
            ));
        }
    }
}

/// Returns the delay of a session. Sessions that a jump brings at one instant come spread over a
/// second, unless the phase wants them in a burst.
fn jump_offset(context: &WorkerContext, number: u64, from: Duration, to: Duration) -> Duration {
    let schedule = &context.schedule;
    let neighbour = if number == 0 { 1 } else { number - 1 };
    let crowd = neighbour < schedule.sessions()
        && schedule
            .session_spans(neighbour)
            .iter()
            .any(|(start, _)| *start == from);
    let burst = context
        .scenario
        .phases
        .get(schedule.phase_at(from))
        .is_some_and(|phase| phase.burst);
    if !crowd || burst {
        Duration::ZERO
    } else {
        spread(number, JUMP.min((to - from) / 2))
    }
}

/// Starts each iteration of the share when it is due, independently of the others.
async fn dispatch(context: Rc<WorkerContext>, share: Share) {
    let mut under_way = JoinSet::new();
    for number in (u64::from(share.index)..context.schedule.iterations()).step_by(share.of as usize)
    {
        let Some(due) = context.schedule.arrival(number) else {
            break;
        };
        context.wait_until(due).await;
        context.recorder.borrow_mut().saturation(due).asked += 1;
        while let Some(done) = under_way.try_join_next() {
            pass_on(done);
        }
        if under_way.len() >= CEILING {
            context.recorder.borrow_mut().saturation(due).dropped += 1;
            continue;
        }
        under_way.spawn_local(iteration::arrival(Rc::clone(&context), number, due));
    }
    while let Some(done) = under_way.join_next().await {
        pass_on(done);
    }
}

/// Passes on a panic of an iteration, so that the dispatcher panics too.
fn pass_on(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
