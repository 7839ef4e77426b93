//! The run state: what every phase shares, and what destroy needs, however far the phases came.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::control::ControlWriter;
use super::plan::RunPlan;
use super::stop_conditions::{STOPPING, StopConditions};
use super::{Context, RunError, beside};
use crate::channel::message::Start;
use crate::channel::{Channel, ChannelError, HEARTBEAT_INTERVAL};
use crate::cost::{self, TaskCost};
use crate::events::{Event, Events, Phase};
use crate::fleet::Fleet;
use crate::journal::locks::{self, WorkLock};
use crate::journal::names::Thing;
use crate::journal::record::Run;
use crate::journal::reserve::{self, FileSystem};
use crate::journal::{self, GroupChange, Journal, JournalError, Record};
use crate::limits::{ReachedLimit, Spent};
use crate::outcome::Exit;
use crate::redact::Secrets;
use crate::report::words;
use crate::teardown::guard::Guard;

pub(super) struct RunState {
    pub plan: RunPlan,
    pub stop_conditions: StopConditions,
    pub fleet: tokio::sync::Mutex<Option<Box<dyn Fleet>>>,
    /// Held, and inherited by terraform, as long as any process of the run is alive on this host.
    pub work_lock: Arc<WorkLock>,
    control: tokio::sync::Mutex<Option<ControlWriter>>,
    /// `None` once the run has released its folder.
    journal: Mutex<Option<Journal>>,
    guard: tokio::sync::Mutex<Option<Guard>>,
    /// Every record, including those that a full disk refused: destroy must know them all.
    records: Mutex<Vec<Record>>,
    /// The phase that began last: a panic is reported as one of that phase.
    phase: Mutex<Phase>,
    took: Mutex<Vec<(Phase, Duration)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the run's folder, journal and guard.
impl RunState {
    /// Opens the run's folder and journal. From here on, destroy knows everything that is created.
    pub(super) fn open(cx: &Context, plan: RunPlan) -> Result<Arc<Self>, RunError> {
        let stop_conditions = StopConditions::begin(plan.limits.clone(), &cx.interrupt);
        let first = Record::Run(first_record(cx, &plan));
        let journal = Journal::create(&plan.folder, first.clone())
            .map_err(|error| RunError::caused_by(Phase::Plan, error))?;
        let work_lock = match prepare(cx, &plan.folder) {
            Ok(work_lock) => work_lock,
            Err(error) => {
                journal.discard();
                return Err(error);
            }
        };
        let creates_resources = plan.cloud.is_some();
        cx.events.say(Event::RunNamed {
            run: plan.run.clone(),
            folder: plan.folder.clone(),
            reap: creates_resources.then(|| journal::reap_command(&cx.options.runs_dir, &plan.run)),
        });
        Ok(Arc::new(Self {
            plan,
            stop_conditions,
            fleet: tokio::sync::Mutex::new(None),
            work_lock: Arc::new(work_lock),
            control: tokio::sync::Mutex::new(None),
            journal: Mutex::new(Some(journal)),
            guard: tokio::sync::Mutex::new(None),
            records: Mutex::new(vec![first]),
            phase: Mutex::new(Phase::Plan),
            took: Mutex::new(Vec::new()),
        }))
    }

    /// From here on the run is destroyed even if this process is killed.
    pub(super) async fn set_guard(&self, guard: Guard) {
        *self.guard.lock().await = Some(guard);
    }

    /// Ends this process's part in the run. Dismisses the guard if the run is finished; otherwise
    /// lets it take over, and returns the news for the user.
    pub(super) async fn release(&self, finished: bool) -> Option<String> {
        *lock(&self.journal) = None;
        let mut guard = self.guard.lock().await.take()?;
        if finished {
            guard.dismiss().await;
            return None;
        }
        let (pid, log) = (guard.pid()?, guard.log());
        Some(format!(
            "the guard (process {pid}) goes on destroying; its log: {}",
            log.display()
        ))
    }

    /// Closes the folder of a run that has created nothing, and will not.
    pub(super) fn close_unused(&self) {
        reserve::release(&self.plan.folder);
        for thing in self.leftovers() {
            self.record(Record::Gone { thing });
        }
        self.record(Record::Finished {
            exit: Exit::CouldNotRun,
        });
        *lock(&self.journal) = None;
    }

    /// Writes the intent before the action: if it cannot be written, the action must not happen.
    pub(super) fn record_intent(&self, record: Record) -> Result<(), RunError> {
        self.write(record)
            .map_err(|error| RunError::caused_by(Phase::Provision, error))?;
        match lock(&self.journal).as_ref() {
            Some(journal) if journal.is_full() => Err(RunError::could_not(
                Phase::Provision,
                "the disk is full: nothing more is begun",
            )),
            _ => Ok(()),
        }
    }

    /// Records an outcome. One that cannot be written only reads as "may still exist".
    pub(super) fn record(&self, record: Record) {
        drop(self.write(record));
    }

    fn write(&self, record: Record) -> Result<(), JournalError> {
        lock(&self.records).push(record.clone());
        match lock(&self.journal).as_mut() {
            Some(journal) => journal.write(record),
            None => Ok(()),
        }
    }

    /// An apply or a change of the group was begun, and its outcome is unknown.
    pub(super) fn is_unsettled(&self) -> bool {
        journal::unsettled(&lock(&self.records))
    }

    /// The settings of the target's group that are changed according to the journal.
    pub(super) fn changes(&self) -> Vec<GroupChange> {
        journal::changes(&lock(&self.records))
    }

    /// Everything that may exist according to the journal.
    pub(super) fn leftovers(&self) -> Vec<Thing> {
        journal::leftovers(&lock(&self.records))
    }

    /// The phase that began last.
    pub(super) fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    /// Performs a phase: shows when it begins and ends, and records how long it took.
    pub(super) async fn perform<T>(
        &self,
        events: &Events,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> T {
        *lock(&self.phase) = phase;
        events.say(Event::PhaseBegan { phase });
        let begun = Instant::now();
        let result = work.await;
        let took = begun.elapsed();
        lock(&self.took).push((phase, took));
        events.say(Event::PhaseEnded { phase, took });
        result
    }

    pub(super) fn durations(&self) -> Vec<(Phase, Duration)> {
        lock(&self.took).clone()
    }
}

/// The orchestrator's side of the channel. Before [`RunState::attach`] there is none, and nothing
/// to send.
impl RunState {
    pub(super) async fn attach(&self, fleet: Box<dyn Fleet>, channel: Channel, epoch: u64) {
        *self.fleet.lock().await = Some(fleet);
        *self.control.lock().await = Some(ControlWriter::new(channel, epoch));
    }

    /// Shows tasks and reapers that the run is alive, and warns if the guard is not.
    pub(super) async fn send_heartbeat(&self, events: &Events) -> Result<(), ChannelError> {
        if let Some(news) = self.guard.lock().await.as_mut().and_then(Guard::check) {
            events.warn(news);
        }
        match self.control.lock().await.as_mut() {
            Some(control) => control.send_heartbeat().await,
            None => Ok(()),
        }
    }

    /// True if a process would destroy the run if this one were killed now.
    pub(super) async fn has_guard(&self) -> bool {
        let mut guard = self.guard.lock().await;
        guard.as_mut().and_then(Guard::pid).is_some()
    }

    /// Sends heartbeats until it is dropped: only where there is no load that they could keep
    /// alive.
    pub(super) async fn keep_sending_heartbeats(&self, events: &Events) -> Infallible {
        loop {
            // A refusal changes nothing here: everything is being taken down anyway.
            drop(self.send_heartbeat(events).await);
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    }

    /// Since the store last accepted a heartbeat.
    pub(super) async fn silence(&self) -> Duration {
        let control = self.control.lock().await;
        control
            .as_ref()
            .map(ControlWriter::silence)
            .unwrap_or_default()
    }

    pub(super) async fn send_start_order(&self, start: Start) -> Result<(), ChannelError> {
        match self.control.lock().await.as_mut() {
            Some(control) => control.send_start_order(start).await,
            None => Ok(()),
        }
    }

    /// The first act of every ending: it reaches every task within its next poll.
    pub(super) async fn send_stop_order(&self, why: &str) -> Result<(), ChannelError> {
        match self.control.lock().await.as_mut() {
            Some(control) if !control.stop_order_is_sent() => control.send_stop_order(why).await,
            _ => Ok(()),
        }
    }

    /// Secrets are on the channel only while tasks start.
    pub(super) async fn put_secrets(&self, secrets: &Secrets) -> Result<(), ChannelError> {
        match self.control.lock().await.as_mut() {
            Some(control) => control.put_secrets(secrets).await,
            None => Ok(()),
        }
    }

    pub(super) async fn delete_secrets(&self) -> Result<(), ChannelError> {
        match self.control.lock().await.as_mut() {
            Some(control) => control.delete_secrets().await,
            None => Ok(()),
        }
    }
}

/// Cost and limits.
impl RunState {
    /// The cost of the tasks so far; `None` if they cost nothing.
    pub(super) async fn cost(&self) -> Option<TaskCost> {
        self.plan.cloud.as_ref()?;
        let fleet = self.fleet.lock().await;
        let times = fleet.as_ref().map(|fleet| fleet.billed());
        Some(self.cost_of(&times.unwrap_or_default()))
    }

    fn cost_of(&self, times: &[Duration]) -> TaskCost {
        let fleet = &self.plan.scenario.fleet;
        cost::of_tasks(fleet.size, fleet.arch, times)
    }

    async fn spent(&self) -> Option<Spent> {
        let cost = self.cost().await?;
        // A replaced task has stopped: at most one task per slot is running.
        let running = cost.tasks.min(self.plan.sizing.tasks);
        Some(Spent {
            so_far: cost.usd,
            stopping: self.cost_of(&vec![STOPPING; running as usize]).usd,
        })
    }

    /// Why the run must stop now.
    pub(super) async fn limit_reached(&self) -> Option<ReachedLimit> {
        self.stop_conditions.reached(self.spent().await)
    }

    /// The same without the cost: tasks that have stopped cost nothing more.
    pub(super) fn out_of_time(&self) -> Option<ReachedLimit> {
        self.stop_conditions.reached(None)
    }

    /// A limit that is reached before the load ends the run without a judgement.
    pub(super) async fn check_limits(&self, phase: Phase) -> Result<(), RunError> {
        let Some(limit) = self.limit_reached().await else {
            return Ok(());
        };
        let what = format!(
            "{}, before there was any load",
            words::reached_limit(&limit)
        );
        Err(RunError::could_not(phase, what).hint("a larger `--max-duration`, or `budget`"))
    }
}

/// Takes the work lock of a new run, and its disk space.
fn prepare(cx: &Context, folder: &Path) -> Result<WorkLock, RunError> {
    let work_lock = WorkLock::take(folder)
        .map_err(|error| RunError::caused_by(Phase::Plan, error))?
        .ok_or_else(|| {
            RunError::could_not(Phase::Plan, "the new run's folder is already worked in")
        })?;
    reserve_disk_space(cx, folder)?;
    Ok(work_lock)
}

fn first_record(cx: &Context, plan: &RunPlan) -> Run {
    let cloud = plan.cloud.as_ref();
    let profile = cx.options.scenario.environment.get("AWS_PROFILE");
    Run {
        run: plan.run.clone(),
        region: cloud
            .map(|cloud| cloud.aws.region.clone())
            .unwrap_or_default(),
        account: cloud
            .map(|cloud| cloud.caller.account.clone())
            .unwrap_or_default(),
        scenario_name: plan.scenario.name.clone(),
        url: plan.scenario.target.url.to_string(),
        endpoint: cloud.and_then(|cloud| cloud.aws.endpoint.clone()),
        boot: locks::boot(),
        profile: profile.filter(|name| !name.is_empty()).cloned(),
        target: beside::target(&plan.scenario, plan.watched_in.as_ref()).map(Box::new),
        started: plan.begun,
    }
}

/// Reserves disk space for everything that must be written when the disk is full. Warns if the runs
/// directory is on a network or in-memory file system.
fn reserve_disk_space(cx: &Context, folder: &Path) -> Result<(), RunError> {
    if let Some(free) = reserve::shortage(folder) {
        let what = format!(
            "only {} MB are free where runs are kept ({})",
            free / 1_000_000,
            folder.display()
        );
        return Err(RunError::could_not(Phase::Plan, what));
    }
    reserve::set_aside(folder).map_err(|error| RunError::caused_by(Phase::Plan, error))?;
    match reserve::file_system(folder) {
        FileSystem::Disk => {}
        FileSystem::Network => cx
            .events
            .warn("runs are kept on a network file system: its locks may not hold (--runs-dir)"),
        FileSystem::Memory => cx
            .events
            .warn("runs are kept in memory: their journals are gone with the power (--runs-dir)"),
    }
    Ok(())
}
