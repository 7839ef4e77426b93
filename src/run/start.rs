//! Start: tasks come up, say so, and agree on an instant.
//!
//! A quorum with replacement: a task that fails to come up is replaced once; at the time-out the
//! run starts if the tasks that are ready can carry the load, and the shortfall is in the report.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::bounds::Bounds;
use super::frame::Frame;
use super::load::alive;
use super::provision::Provisioned;
use super::{Context, RunError};
use crate::channel::message::{self, Start};
use crate::channel::{Channel, message::Plan as PlanMessage};
use crate::events::{Event, Phase};
use crate::fleet::{Fleet, TaskState, TaskStatus};
use crate::journal::Record;
use crate::journal::names::{Kind as ThingKind, Names, Thing};
use crate::plan::Sizing;

/// From the first launch to the last ready: Fargate mostly takes less than a minute, an image pull
/// from a cold region a little more; a task can stay PENDING for ever.
const PATIENCE: Duration = Duration::from_secs(300);
/// From the order to the start: every task polls in between, several times.
const HEADROOM: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(500);
/// Of one turn of the loop.
const LAUNCHED_AT_ONCE: usize = 5;
/// What refused or broke a task, such as a role that is not known everywhere yet, needs a moment to
/// pass.
const BEFORE_AGAIN: Duration = Duration::from_secs(5);
/// A slot's first task and one replacement.
const ATTEMPTS: u32 = 2;

/// Tasks that have an instant to start at.
pub struct Started {
    pub provisioned: Provisioned,
    pub at: Timestamp,
    /// The slots that carry the load, in the order of their shares.
    pub slots: Vec<u32>,
    /// Which task of each of these slots it is.
    pub attempts: BTreeMap<u32, u32>,
    /// Tasks that did not come up, each with its reason.
    pub shortfall: Vec<String>,
}

pub async fn start(
    cx: &Context,
    frame: &Frame,
    provisioned: Provisioned,
) -> Result<Started, RunError> {
    let channel = provisioned.channel.clone();
    let files = &provisioned.planned.files;
    for (number, bytes) in files.values().enumerate() {
        channel
            .put_file(number, bytes)
            .await
            .map_err(|error| RunError::could_not(Phase::Start, error))?;
    }
    // Before the plan: a task that reads the plan and finds no secrets knows that it is too late.
    let secrets = &provisioned.planned.surroundings.secrets;
    frame
        .put_secrets(secrets)
        .await
        .map_err(|error| RunError::could_not(Phase::Start, error))?;
    let plan = PlanMessage {
        version: message::VERSION,
        run: provisioned.planned.run.to_string(),
        scenario: cx.wanted.scenario_text.clone(),
        surroundings: provisioned.planned.surroundings.clone(),
        secrets: !secrets.is_empty(),
        seed: provisioned.planned.seed,
        reach: provisioned.planned.permit.reach,
        files: files.keys().cloned().collect(),
    };
    channel
        .put_plan(&plan)
        .await
        .map_err(|error| RunError::could_not(Phase::Start, error))?;
    frame
        .beat(&cx.events)
        .await
        .map_err(|error| RunError::could_not(Phase::Start, error))?;

    if frame.cloud.is_some() {
        let name = Names::of(&frame.run).cluster;
        frame.intend(Record::Intent {
            thing: Thing {
                kind: ThingKind::Tasks,
                name,
            },
        })?;
    }
    let sizing = provisioned.planned.sizing.clone();
    let bounds = provisioned.planned.bounds.clone();
    let roll = muster(cx, frame, &channel, &sizing, &bounds).await?;
    let (slots, attempts): (Vec<u32>, BTreeMap<u32, u32>) =
        (roll.ready.iter().copied().collect(), roll.attempts);
    let shortfall: Vec<String> = roll.failed.into_values().collect();
    let at = Timestamp::now()
        .checked_add(HEADROOM)
        .unwrap_or_else(|_| Timestamp::now());
    let attempt = |slot: &u32| attempts.get(slot).copied().unwrap_or(1);
    let order = Start {
        at,
        slots: slots.clone(),
        attempts: slots.iter().map(attempt).collect(),
    };
    frame
        .start(order)
        .await
        .map_err(|error| RunError::could_not(Phase::Start, error))?;
    // Every task that carries load has read them, and later ones do not join. Destroy tries again.
    if let Err(error) = frame.drop_secrets().await {
        cx.events
            .warn(format!("secrets.json is still on the channel: {error}"));
    }
    for reason in &shortfall {
        cx.events.warn(reason.clone());
    }
    Ok(Started {
        provisioned,
        at,
        slots,
        attempts,
        shortfall,
    })
}

/// Launches every slot and waits until enough are ready. A turn may take long where the platform is
/// slow to answer: beats go on beside it, and a stop does not wait for its end.
async fn muster(
    cx: &Context,
    frame: &Frame,
    channel: &Channel,
    sizing: &Sizing,
    bounds: &Bounds,
) -> Result<Roll, RunError> {
    let mut roll = Roll::new(sizing.tasks);
    let give_up = Instant::now() + PATIENCE;
    // One for all turns: short turns must not cut off a beat that takes longer.
    let mut beats = pin!(beats(cx, frame));
    loop {
        bounds.hold(frame, Phase::Start).await?;
        tokio::select! {
            turned = roll.turn(frame, channel) => turned?,
            fenced = &mut beats => return Err(fenced),
            // A task whose launch is cut off here is found in the cluster by whoever stops the
            // run's tasks.
            () = bounds.stop().cancelled() => return Err(stopped(cx, frame, bounds).await),
            () = sleep_until(give_up) => {}
        }
        cx.events.say(roll.event());
        match roll.next(sizing.needed, Instant::now() >= give_up) {
            Step::Wait => {}
            Step::Go => return Ok(roll),
            Step::GiveUp => return Err(roll.error(sizing)),
        }
    }
}

/// By a signal, or by the end of the time.
async fn stopped(cx: &Context, frame: &Frame, bounds: &Bounds) -> RunError {
    let interrupted = RunError::interrupted(Phase::Start);
    if cx.interrupt.stop_load().is_cancelled() {
        return interrupted;
    }
    bounds
        .hold(frame, Phase::Start)
        .await
        .err()
        .unwrap_or(interrupted)
}

/// Beats until one is refused: then another drives this run. A lost one is tried again; tasks wait
/// longer than that for their first.
async fn beats(cx: &Context, frame: &Frame) -> RunError {
    loop {
        if let Err(fenced) = alive(frame.beat(&cx.events).await, Phase::Start) {
            return fenced;
        }
        sleep(TICK).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wait,
    Go,
    GiveUp,
}

/// Who is there.
struct Roll {
    /// Slots whose task must still be launched, and not before when.
    to_launch: BTreeMap<u32, Instant>,
    attempts: BTreeMap<u32, u32>,
    ready: BTreeSet<u32>,
    running: u32,
    failed: BTreeMap<u32, String>,
    wanted: u32,
}

impl Roll {
    fn new(wanted: u32) -> Self {
        Self {
            to_launch: (0..wanted).map(|slot| (slot, Instant::now())).collect(),
            attempts: BTreeMap::new(),
            ready: BTreeSet::new(),
            running: 0,
            failed: BTreeMap::new(),
            wanted,
        }
    }

    /// Launches, looks who is there, and rests a little.
    async fn turn(&mut self, frame: &Frame, channel: &Channel) -> Result<(), RunError> {
        let mut fleet = frame.fleet.lock().await;
        let there = fleet
            .as_mut()
            .ok_or_else(|| RunError::could_not(Phase::Start, "there is no fleet to start"))?;
        self.launch(there.as_mut(), frame).await;
        self.observe(there.as_mut(), channel).await;
        drop(fleet);
        if self.next(self.wanted, false) == Step::Wait {
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Launches a few of those that are due: between the turns it is looked who has come up.
    async fn launch(&mut self, fleet: &mut dyn Fleet, frame: &Frame) {
        let now = Instant::now();
        let due: Vec<u32> = self
            .to_launch
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(slot, _)| *slot)
            .collect();
        for slot in due.into_iter().take(LAUNCHED_AT_ONCE) {
            self.to_launch.remove(&slot);
            let attempt = self.attempts.entry(slot).or_default();
            *attempt += 1;
            match fleet.launch(slot, *attempt).await {
                Ok(identity) => frame.did(Record::Task { arn: identity }),
                Err(error) => self.fell(slot, &error.to_string()),
            }
        }
    }

    async fn observe(&mut self, fleet: &mut dyn Fleet, channel: &Channel) {
        // A failed read is no news: the next one tells.
        let states: Vec<TaskState> = fleet.tasks().await.unwrap_or_default();
        self.running = states
            .iter()
            .filter(|state| state.status == TaskStatus::Running)
            .count() as u32;
        for state in states {
            if let TaskStatus::Stopped { why, .. } = &state.status {
                self.ready.remove(&state.slot);
                if !self.failed.contains_key(&state.slot)
                    && !self.to_launch.contains_key(&state.slot)
                {
                    self.fell(state.slot, why);
                }
            } else if !self.ready.contains(&state.slot) {
                let attempt = self.attempts.get(&state.slot).copied();
                let ready = channel.ready(state.slot).await.ok().flatten();
                if ready.is_some_and(|ready| Some(ready.attempt) == attempt) {
                    self.ready.insert(state.slot);
                }
            }
        }
    }

    /// Once is bad luck and gets a replacement; twice is a reason.
    fn fell(&mut self, slot: u32, why: &str) {
        if self
            .attempts
            .get(&slot)
            .is_some_and(|attempts| *attempts < ATTEMPTS)
        {
            self.to_launch.insert(slot, Instant::now() + BEFORE_AGAIN);
        } else {
            self.failed
                .insert(slot, format!("task {slot} did not come up: {why}"));
        }
    }

    fn next(&self, needed: u32, timed_out: bool) -> Step {
        let (ready, failed) = (self.ready.len() as u32, self.failed.len() as u32);
        let decided = timed_out || ready + failed == self.wanted;
        match (decided, ready >= needed) {
            (false, _) => Step::Wait,
            (true, true) => Step::Go,
            (true, false) => Step::GiveUp,
        }
    }

    fn event(&self) -> Event {
        Event::Tasks {
            wanted: self.wanted,
            ready: self.ready.len() as u32,
            running: self.running,
            lost: self.failed.len() as u32,
        }
    }

    fn error(&self, sizing: &Sizing) -> RunError {
        let missing = self.wanted - self.ready.len() as u32;
        let why = self
            .failed
            .values()
            .next()
            .cloned()
            .unwrap_or_else(|| format!("not ready after {} s", PATIENCE.as_secs()));
        let what = format!(
            "could not start {missing} of {} tasks, and the load needs {}: {why}",
            self.wanted, sizing.needed
        );
        RunError::could_not(Phase::Start, what)
            .hint("the reason above; common ones are the Fargate vCPU quota (L-3032A538) and subnets without a route to ECR and S3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FleetError;
    use crate::run::error::Kind;
    use crate::run::frame::example;
    use crate::run::interrupt::Urgency;

    fn roll(wanted: u32, ready: u32, failed: u32) -> Roll {
        let mut roll = Roll::new(wanted);
        roll.ready = (0..ready).collect();
        roll.failed = (ready..ready + failed)
            .map(|slot| (slot, "gone".to_owned()))
            .collect();
        roll
    }

    /// A platform whose every launch hangs.
    struct Hanging;

    #[async_trait::async_trait]
    impl Fleet for Hanging {
        async fn launch(&mut self, _: u32, _: u32) -> Result<String, FleetError> {
            std::future::pending().await
        }

        async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError> {
            Ok(Vec::new())
        }

        async fn stop(&mut self, _: &str) -> Result<(), FleetError> {
            Ok(())
        }

        fn billed(&self) -> Vec<Duration> {
            Vec::new()
        }
    }

    /// A muster among tasks that never come up; how it ends, and how many beats were written
    /// meanwhile.
    async fn hanging_muster(interrupted_after: Option<Duration>) -> (RunError, u64) {
        let home = tempfile::tempdir().unwrap();
        let (cx, frame) = example::begun(home.path());
        let store = std::sync::Arc::new(object_store::memory::InMemory::new());
        let channel = Channel::new(store, object_store::path::Path::from("run"));
        frame.equip(Box::new(Hanging), channel.clone(), 1).await;
        let bounds = Bounds::begin(crate::limits::Bounds::default(), &cx.interrupt);
        let sizing = Sizing {
            tasks: 2,
            needed: 2,
            why: String::new(),
        };
        let interrupt = async {
            match interrupted_after {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
            cx.interrupt.raise(Urgency::StopLoad);
            std::future::pending::<()>().await;
        };
        let mustered = tokio::select! {
            mustered = muster(&cx, &frame, &channel, &sizing, &bounds) => mustered,
            () = interrupt => unreachable!(),
        };
        (
            mustered.err().expect("nobody has come up"),
            channel.control().await.unwrap().beat,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_launch_that_hangs_neither_holds_up_the_beats_nor_a_stop_nor_the_time_out() {
        let begun = Instant::now();
        let (error, beats) = hanging_muster(Some(Duration::from_secs(61))).await;
        assert_eq!(
            (error.kind, begun.elapsed().as_secs()),
            (Kind::Interrupted, 61)
        );
        assert!((12..=14).contains(&beats), "{beats} beats in a minute");
        let begun = Instant::now();
        let (error, _) = hanging_muster(None).await;
        assert_eq!(
            (error.kind, begun.elapsed().as_secs()),
            (Kind::CouldNotRun, PATIENCE.as_secs())
        );
    }

    #[tokio::test]
    async fn a_run_starts_with_all_or_with_enough() {
        for (wanted, needed, ready, failed, timed_out, step) in [
            (3, 2, 2, 0, false, Step::Wait),
            (3, 2, 3, 0, false, Step::Go),
            (3, 2, 2, 1, false, Step::Go),
            (3, 2, 2, 0, true, Step::Go),
            (3, 2, 1, 0, true, Step::GiveUp),
            (3, 2, 0, 3, false, Step::GiveUp),
        ] {
            assert_eq!(
                roll(wanted, ready, failed).next(needed, timed_out),
                step,
                "{wanted} {needed} {ready} {failed}"
            );
        }
    }

    #[tokio::test]
    async fn a_task_is_replaced_once() {
        let mut roll = Roll::new(1);
        roll.to_launch.clear();
        roll.attempts.insert(0, 1);
        roll.fell(0, "exit code 1");
        assert_eq!(roll.to_launch.len(), 1);
        roll.to_launch.clear();
        roll.attempts.insert(0, 2);
        roll.fell(0, "exit code 1");
        assert_eq!(roll.failed[&0], "task 0 did not come up: exit code 1");
    }
}
