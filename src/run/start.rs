//! Start: tasks come up, say so, and agree on an instant.
//!
//! A quorum with replacement: a task that fails to come up is replaced once; at the time-out the run starts if the
//! tasks that are ready can carry the load, and the shortfall is in the report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::bounds::Bounds;
use super::frame::Frame;
use super::load::alive;
use super::provision::Provisioned;
use super::{Context, RunError};
use crate::channel::message::{self, Start};
use crate::channel::{BEAT, Channel, message::Plan as PlanMessage};
use crate::events::{Event, Phase};
use crate::fleet::{Fleet, TaskState, TaskStatus};
use crate::journal::Record;
use crate::journal::names::{Kind as ThingKind, Names, Thing};
use crate::plan::Sizing;

/// From the first launch to the last ready: Fargate mostly takes less than a minute, an image pull from a cold region
/// a little more; a task can stay PENDING for ever.
const PATIENCE: Duration = Duration::from_secs(300);
/// From the order to the start: every task polls in between, several times.
const HEADROOM: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(500);
/// Of one turn of the loop.
const LAUNCHED_AT_ONCE: usize = 5;
/// What refused or broke a task, such as a role that is not known everywhere yet, needs a moment to pass.
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

pub async fn start(cx: &Context, frame: &Frame, provisioned: Provisioned) -> Result<Started, RunError> {
    let channel = provisioned.channel.clone();
    let files = &provisioned.planned.files;
    for (number, bytes) in files.values().enumerate() {
        channel.put_file(number, bytes).await.map_err(|error| RunError::could_not(Phase::Start, error))?;
    }
    // Before the plan: a task that reads the plan and finds no secrets knows that it is too late.
    let secrets = &provisioned.planned.surroundings.secrets;
    frame.put_secrets(secrets).await.map_err(|error| RunError::could_not(Phase::Start, error))?;
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
    channel.put_plan(&plan).await.map_err(|error| RunError::could_not(Phase::Start, error))?;
    frame.beat(&cx.events).await.map_err(|error| RunError::could_not(Phase::Start, error))?;

    if frame.cloud.is_some() {
        let name = Names::of(&frame.run).cluster;
        frame.intend(Record::Intent { thing: Thing { kind: ThingKind::Tasks, name } })?;
    }
    let sizing = provisioned.planned.sizing.clone();
    let bounds = provisioned.planned.bounds.clone();
    let roll = muster(cx, frame, &channel, &sizing, &bounds).await?;
    let (slots, attempts): (Vec<u32>, BTreeMap<u32, u32>) = (roll.ready.iter().copied().collect(), roll.attempts);
    let shortfall: Vec<String> = roll.failed.into_values().collect();
    let at = Timestamp::now().checked_add(HEADROOM).unwrap_or_else(|_| Timestamp::now());
    let attempt = |slot: &u32| attempts.get(slot).copied().unwrap_or(1);
    let order = Start { at, slots: slots.clone(), attempts: slots.iter().map(attempt).collect() };
    frame.start(order).await.map_err(|error| RunError::could_not(Phase::Start, error))?;
    // Every task that carries load has read them, and later ones do not join. Destroy tries again.
    if let Err(error) = frame.drop_secrets().await {
        cx.events.warn(format!("secrets.json is still on the channel: {error}"));
    }
    for reason in &shortfall {
        cx.events.warn(reason.clone());
    }
    Ok(Started { provisioned, at, slots, attempts, shortfall })
}

/// Launches every slot and waits until enough are ready.
async fn muster(
    cx: &Context,
    frame: &Frame,
    channel: &Channel,
    sizing: &Sizing,
    bounds: &Bounds,
) -> Result<Roll, RunError> {
    let mut roll = Roll::new(sizing.tasks);
    let give_up = Instant::now() + PATIENCE;
    loop {
        if cx.interrupt.stop_load().is_cancelled() {
            return Err(RunError::interrupted(Phase::Start));
        }
        bounds.hold(frame, Phase::Start).await?;
        // A lost beat is tried again next time; tasks wait longer than that for their first.
        alive(frame.beat(&cx.events).await, Phase::Start)?;
        let mut fleet = frame.fleet.lock().await;
        let fleet =
            fleet.as_mut().ok_or_else(|| RunError::could_not(Phase::Start, "there is no fleet to start"))?.as_mut();
        // A call may hang: meanwhile tasks need their beats, and whoever stops the run does not wait for it.
        tokio::select! {
            () = roll.turn(fleet, frame, channel) => {}
            lost = beating(cx, frame) => return Err(lost),
            () = bounds.stop().cancelled() => continue,
        }
        cx.events.say(roll.event());
        match roll.next(sizing.needed, Instant::now() >= give_up) {
            Step::Wait => {}
            Step::Go => return Ok(roll),
            Step::GiveUp => return Err(roll.error(sizing)),
        }
        tokio::select! {
            () = sleep(TICK) => {}
            () = cx.interrupt.stop_load().cancelled() => {}
        }
    }
}

/// Beats until somebody else has the run.
async fn beating(cx: &Context, frame: &Frame) -> RunError {
    loop {
        sleep(BEAT).await;
        if let Err(error) = alive(frame.beat(&cx.events).await, Phase::Start) {
            return error;
        }
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

    async fn turn(&mut self, fleet: &mut dyn Fleet, frame: &Frame, channel: &Channel) {
        self.launch(fleet, frame).await;
        self.observe(fleet, channel).await;
    }

    /// Launches a few of those that are due: between the turns the beat is written and an interrupt noticed.
    async fn launch(&mut self, fleet: &mut dyn Fleet, frame: &Frame) {
        let now = Instant::now();
        let due: Vec<u32> = self.to_launch.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| *slot).collect();
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
        self.running = states.iter().filter(|state| state.status == TaskStatus::Running).count() as u32;
        for state in states {
            if let TaskStatus::Stopped { why, .. } = &state.status {
                self.ready.remove(&state.slot);
                if !self.failed.contains_key(&state.slot) && !self.to_launch.contains_key(&state.slot) {
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
        if self.attempts.get(&slot).is_some_and(|attempts| *attempts < ATTEMPTS) {
            self.to_launch.insert(slot, Instant::now() + BEFORE_AGAIN);
        } else {
            self.failed.insert(slot, format!("task {slot} did not come up: {why}"));
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
        let why =
            self.failed.values().next().cloned().unwrap_or_else(|| format!("not ready after {} s", PATIENCE.as_secs()));
        let what =
            format!("could not start {missing} of {} tasks, and the load needs {}: {why}", self.wanted, sizing.needed);
        RunError::could_not(Phase::Start, what)
            .hint("the reason above; common ones are the Fargate vCPU quota (L-3032A538) and subnets without a route to ECR and S3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roll(wanted: u32, ready: u32, failed: u32) -> Roll {
        let mut roll = Roll::new(wanted);
        roll.ready = (0..ready).collect();
        roll.failed = (ready..ready + failed).map(|slot| (slot, "gone".to_owned())).collect();
        roll
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
            assert_eq!(roll(wanted, ready, failed).next(needed, timed_out), step, "{wanted} {needed} {ready} {failed}");
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
