//! The life of a generator on the channel: plan, ready, start, load, end.
//!
//! A generator ends by itself, even without its orchestrator. It ends when no heartbeat comes, when
//! the heartbeat stays away for the lease, and at its lifetime's end. If its runtime hangs, the
//! clocks of `lifetime` end it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

mod outbox;

use self::outbox::deliver;
use super::decide::{self, ChannelView, FIRST_HEARTBEAT, GeneratorAction};
use super::{RunningWorkers, Work, WorkerError, begin};
use cloud::channel::message::{Control, End, PROGRAM, Plan, Ready, TaskEnd, VERSION};
use cloud::channel::{Channel, ChannelError, POLL};
use model::limits::AddressPolicy;
use model::plan::Share;
use model::redact;
use model::scenario::{self, Division, Scenario};

/// Handing over the last results may take a few tries. Then the orchestrator names the missing
/// ones.
const FLUSH_TRIES: u32 = 8;
/// Limit for one message to the store. A store that takes longer hangs: the message is tried again.
const PUT: Duration = Duration::from_secs(5);
/// The same for a task whose orchestrator is gone: nobody reads the message, and every second costs
/// money.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The identity of a generator, with its channel and its lifetimes.
#[derive(Debug, Clone)]
pub struct GeneratorTask {
    /// The objects that orchestrator and tasks exchange.
    pub channel: Channel,
    /// The task's numbered place in the fleet, from 0.
    pub slot: u32,
    /// Number of the task within its slot, from 1.
    pub attempt: u32,
    /// Epoch of the run's owner when this task was launched.
    pub epoch: u64,
    /// After this time the task ends itself.
    pub max_lifetime: Duration,
    /// The task's ARN, or `pid N` outside ECS.
    pub identity: String,
    /// [`LEASE`](cloud::channel::LEASE), but in tests.
    pub lease: Duration,
}

/// The reason why a generator could not carry out its slot.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The store of the channel could not be read or written.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The scenario of the plan has problems; contains all of them, rendered.
    #[error("the plan's scenario is not valid here: {0}")]
    Scenario(String),
    /// The workers could not start, as for a host without an address.
    #[error("the load could not begin: {0}")]
    Begin(#[source] WorkerError),
    /// The process could not install its signal handlers.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Carries out one slot of a run, to its end.
pub async fn generate(task: &GeneratorTask) -> Result<TaskEnd, GenerateError> {
    let born = Instant::now();
    let mut farewell = Farewell::new(task.max_lifetime)?;
    let booted = tokio::select! {
        booted = boot(task, born) => booted,
        why = farewell.heard() => Ok(Booted::Over(why)),
    };
    match booted {
        Ok(Booted::Ready(scenario, seed, address_policy)) => {
            carry_out(task, &mut farewell, *scenario, (seed, address_policy), born).await
        }
        Ok(Booted::Over(why)) => say_end(task, why, 0).await,
        Err(error) => fail(task, error).await,
    }
}

/// A task that knows what to do, or that there is nothing to do.
enum Booted {
    Ready(Box<Scenario>, u64, AddressPolicy),
    Over(TaskEnd),
}

async fn boot(task: &GeneratorTask, born: Instant) -> Result<Booted, GenerateError> {
    let give_up = born + FIRST_HEARTBEAT;
    let mut plan = patiently(give_up, || task.channel.plan()).await?;
    let mut substitutions = std::mem::take(&mut plan.surroundings);
    if plan.secrets {
        // The secrets were written before the plan. If they are gone, the run has begun without
        // this task.
        let Some(read) = patiently(give_up, || task.channel.secrets()).await? else {
            return Ok(Booted::Over(TaskEnd::NotNeeded));
        };
        redact::keep(&read.secrets);
        substitutions.secrets = read.secrets;
    }
    let files = RefCell::new(fetch_files(task, &plan, give_up).await?);
    // A file is handed over, not copied: it is asked for once.
    let open = |name: &str| {
        let file = files.borrow_mut().remove(name);
        file.ok_or(scenario::FileError::NotInPlan)
    };
    let mut read = scenario::read(&plan.scenario, &substitutions, &open).map_err(|problems| {
        GenerateError::Scenario(scenario::render(
            "scenario",
            &plan.scenario,
            &problems,
            false,
        ))
    })?;
    for data in &mut read.scenario.data {
        if plan.divided.contains(&data.file) {
            data.division = Division::OverTask;
        }
    }
    Ok(Booted::Ready(
        Box::new(read.scenario),
        plan.seed,
        plan.address_policy,
    ))
}

/// Tries until it works or the time is over: a new role may not be known everywhere yet.
async fn patiently<T, F>(give_up: Instant, attempt: impl Fn() -> F) -> Result<T, GenerateError>
where
    F: Future<Output = Result<T, ChannelError>>,
{
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if error.is_final() || Instant::now() >= give_up => {
                return Err(error.into());
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

/// Says why there will be no load, so that the other side need not guess.
async fn fail(task: &GeneratorTask, error: GenerateError) -> Result<TaskEnd, GenerateError> {
    drop(say_end(task, TaskEnd::Failed(error.to_string()), 0).await);
    Err(error)
}

/// Returns the files that the scenario names, or this task's parts of them. They were written before
/// the plan.
async fn fetch_files(
    task: &GeneratorTask,
    plan: &Plan,
    give_up: Instant,
) -> Result<BTreeMap<String, Vec<u8>>, GenerateError> {
    let mut files = BTreeMap::new();
    for (number, name) in plan.files.iter().enumerate() {
        let file = match plan.divided.contains(name) {
            true => patiently(give_up, || task.channel.part(number, task.slot)).await?,
            false => patiently(give_up, || task.channel.file(number)).await?,
        };
        files.insert(name.clone(), file);
    }
    Ok(files)
}

async fn carry_out(
    task: &GeneratorTask,
    farewell: &mut Farewell,
    scenario: Scenario,
    (seed, address_policy): (u64, AddressPolicy),
    born: Instant,
) -> Result<TaskEnd, GenerateError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let ready = Ready {
        version: VERSION,
        program: PROGRAM.to_owned(),
        slot: task.slot,
        attempt: task.attempt,
        identity: task.identity.clone(),
        cores,
        at: Timestamp::now(),
    };
    tokio::select! {
        said = patiently(born + FIRST_HEARTBEAT, || task.channel.put_ready(&ready)) => said?,
        why = farewell.heard() => return say_end(task, why, 0).await,
    }
    let mut ear = Ear::new(task, born);
    let start = tokio::select! {
        start = ear.wait_for_start() => start,
        why = farewell.heard() => Err(why),
    };
    let (at, share) = match start {
        Ok(start) => start,
        Err(why) => return say_end(task, why, 0).await,
    };
    let stop = CancellationToken::new();
    let (scenario, start) = (Arc::new(scenario), monotonic(at));
    let work = Work {
        scenario,
        share,
        seed,
        address_policy,
        workers: cores.max(1),
        start,
        stop: stop.clone(),
    };
    let running = match begin(&work) {
        Ok(running) => running,
        Err(why) => return fail(task, GenerateError::Begin(why)).await,
    };
    let (why, reports) = load(task, &mut ear, farewell, running, &stop).await;
    say_end(task, why, reports).await
}

/// Returns the agreed instant on this machine's monotonic clock.
fn monotonic(at: Timestamp) -> std::time::Instant {
    let now = std::time::Instant::now();
    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    let late = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
    (now + wait).checked_sub(late).unwrap_or(now)
}

/// Writes the end message, redacted as in `Outbox::seal`: errors and panics may contain secrets.
async fn say_end(
    task: &GeneratorTask,
    why: TaskEnd,
    intervals: u32,
) -> Result<TaskEnd, GenerateError> {
    let why = match why {
        TaskEnd::Failed(text) => TaskEnd::Failed(redact::text(&text)),
        other => other,
    };
    let end = End {
        version: VERSION,
        slot: task.slot,
        attempt: task.attempt,
        why: why.clone(),
        intervals,
        at: Timestamp::now(),
    };
    if why == TaskEnd::LeaseLapsed {
        drop(timeout(LAST_WORD, task.channel.put_end(&end)).await);
        forget_secrets(task).await;
        return Ok(why);
    }
    let mut pause = Duration::from_millis(200);
    for _ in 1..FLUSH_TRIES {
        if matches!(timeout(PUT, task.channel.put_end(&end)).await, Ok(Ok(()))) {
            return Ok(why);
        }
        sleep(pause).await;
        pause *= 2;
    }
    task.channel.put_end(&end).await?;
    Ok(why)
}

/// Deletes the secrets of an orchestrator that was killed while tasks came up, if the channel is a
/// folder. (A bucket's are left to its guard.)
async fn forget_secrets(task: &GeneratorTask) {
    if task.channel.is_local() {
        drop(task.channel.delete_secrets().await);
    }
}

/// Delivers the workers' results while listening for the events that end the load. The two do not
/// wait for each other: a store that hangs must hold up neither the lease nor a stop.
async fn load(
    task: &GeneratorTask,
    ear: &mut Ear<'_>,
    farewell: &mut Farewell,
    running: RunningWorkers,
    stop: &CancellationToken,
) -> (TaskEnd, u32) {
    super::step_behind_the_workers();
    let mut delivery = std::pin::pin!(deliver(task, running));
    let why = tokio::select! {
        (reports, lost) = &mut delivery => {
            stop.cancel();
            return (lost.map_or(TaskEnd::Complete, TaskEnd::Failed), reports);
        }
        why = ear.must_end() => why,
        why = farewell.heard() => why,
    };
    stop.cancel();
    if why == TaskEnd::LeaseLapsed {
        let reports = timeout(LAST_WORD, delivery)
            .await
            .map_or(0, |(reports, _)| reports);
        return (why, reports);
    }
    let (reports, _) = delivery.await;
    (why, reports)
}

/// Listens to the orchestrator.
struct Ear<'a> {
    task: &'a GeneratorTask,
    control: Option<Control>,
    /// The instant when the heartbeat last changed (at first: when the task was started), by the
    /// task's own monotonic clock. A read that fails is no change.
    heard: Instant,
}

impl<'a> Ear<'a> {
    fn new(task: &'a GeneratorTask, born: Instant) -> Self {
        Self {
            task,
            control: None,
            heard: born,
        }
    }

    async fn wait_for_start(&mut self) -> Result<(Timestamp, Share), TaskEnd> {
        let mut poll = every(POLL);
        loop {
            poll.tick().await;
            self.listen().await;
            match decide::before(&self.seen()) {
                GeneratorAction::Wait => {}
                GeneratorAction::Begin(at, share) => return Ok((at, share)),
                GeneratorAction::End(why) => return Err(why),
            }
        }
    }

    /// Returns when the load must end, and why.
    async fn must_end(&mut self) -> TaskEnd {
        let mut poll = every(POLL);
        loop {
            poll.tick().await;
            self.listen().await;
            if let Some(why) = decide::must_end(&self.seen()) {
                return why;
            }
        }
    }

    async fn listen(&mut self) {
        // A store that hangs must not hold up the lease.
        let read = timeout(POLL, self.task.channel.control()).await;
        if let Ok(Ok(control)) = read {
            if self
                .control
                .as_ref()
                .is_none_or(|known| known.heartbeat != control.heartbeat)
            {
                self.heard = Instant::now();
            }
            self.control = Some(control);
        }
    }

    fn seen(&self) -> ChannelView<'_> {
        ChannelView {
            slot: self.task.slot,
            attempt: self.task.attempt,
            epoch: self.task.epoch,
            control: self.control.as_ref(),
            silence: self.heard.elapsed(),
            lease: self.task.lease,
            now: Timestamp::now(),
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The events that end a generator from outside the channel: SIGTERM (StopTask, Spot), or the end
/// of its lifetime. Listened for from the start: the first process of a container does not even die
/// of a signal that it does not listen to.
struct Farewell {
    terminate: tokio::signal::unix::Signal,
    over: Instant,
}

impl Farewell {
    fn new(lifetime: Duration) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            over: Instant::now() + lifetime,
        })
    }

    async fn heard(&mut self) -> TaskEnd {
        tokio::select! {
            _ = self.terminate.recv() => TaskEnd::Terminated,
            () = sleep_until(self.over) => TaskEnd::LifetimeOver,
        }
    }
}

/// Carries out a scenario that was not read from a plan.
#[cfg(test)]
pub async fn carry_out_for_test(
    task: &GeneratorTask,
    scenario: Scenario,
) -> Result<TaskEnd, GenerateError> {
    let here = AddressPolicy {
        loopback: true,
        private: false,
    };
    carry_out(
        task,
        &mut Farewell::new(task.max_lifetime)?,
        scenario,
        (1, here),
        Instant::now(),
    )
    .await
}
