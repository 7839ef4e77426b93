//! Readiness: launches the tasks and waits until enough of them are ready.
//!
//! A quorum with replacement: a task that fails to start is replaced once. At the time-out the run
//! starts if the ready tasks can carry the load, and the shortfall is in the report.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::control::check_not_fenced;
use super::state::RunState;
use super::{Context, RunError};
use crate::channel::Channel;
use crate::channel::message::{End, TaskEnd};
use crate::events::{Event, Phase};
use crate::fleet::{Fleet, TaskState, TaskStatus};
use crate::journal::Record;
use crate::plan::Sizing;
use crate::report::words;
use crate::verdict::{RunWarning, Warning};

/// From the first launch to the last ready task: Fargate mostly takes less than a minute, an image
/// pull from a cold region a little more; a task can stay PENDING for ever.
const TIMEOUT: Duration = Duration::from_mins(5);
const TICK: Duration = Duration::from_millis(500);
/// In one turn of the loop.
const LAUNCHED_AT_ONCE: usize = 5;
/// A temporary reason for a failure, such as a role that is not known everywhere yet, needs a
/// moment to pass.
const BEFORE_RETRY: Duration = Duration::from_secs(5);
/// A slot's first task and one replacement.
const ATTEMPTS: u32 = 2;

/// Launches every slot and waits until enough are ready. A slow platform makes a turn long:
/// heartbeats continue meanwhile, and a stop does not wait for the end of the turn.
pub(super) async fn wait_until_ready(
    cx: &Context,
    state: &RunState,
    channel: &Channel,
) -> Result<Readiness, RunError> {
    let sizing = &state.plan.sizing;
    let mut readiness = Readiness::new(sizing.tasks);
    let give_up = Instant::now() + TIMEOUT;
    // One future for all turns: a short turn must not cut off a heartbeat that takes longer.
    let mut heartbeats = pin!(send_heartbeats_until_fenced(cx, state));
    loop {
        state.check_limits(Phase::Start).await?;
        tokio::select! {
            turned = readiness.turn(state, channel) => turned?,
            fenced = &mut heartbeats => return Err(fenced),
            // A task whose launch is cut off here is in the cluster: destroy finds it there.
            () = state.stop_conditions.token().cancelled() => return Err(stopped(cx, state).await),
            () = sleep_until(give_up) => {}
        }
        cx.events.say(readiness.event());
        match readiness.decide(sizing.needed, Instant::now() >= give_up) {
            StartDecision::Wait => {}
            StartDecision::Go => return Ok(readiness),
            StartDecision::GiveUp => return Err(readiness.error(sizing)),
        }
    }
}

/// The error after a stop condition: a signal, or the limit that is reached.
async fn stopped(cx: &Context, state: &RunState) -> RunError {
    let interrupted = RunError::interrupted(Phase::Start);
    if cx.interrupt.stop_load().is_cancelled() {
        return interrupted;
    }
    let limit = state.check_limits(Phase::Start).await;
    limit.err().unwrap_or(interrupted)
}

/// Returns when another process drives this run. A lost heartbeat is sent again; tasks wait longer
/// than that for their first.
async fn send_heartbeats_until_fenced(cx: &Context, state: &RunState) -> RunError {
    loop {
        let sent = state.send_heartbeat(&cx.events).await;
        if let Err(fenced) = check_not_fenced(sent, Phase::Start) {
            return fenced;
        }
        sleep(TICK).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum StartDecision {
    Wait,
    Go,
    GiveUp,
}

/// Which tasks are ready, running or failed.
pub(super) struct Readiness {
    /// Slots whose task must still be launched, each with its earliest time.
    to_launch: BTreeMap<u32, Instant>,
    pub attempts: BTreeMap<u32, u32>,
    pub ready: BTreeSet<u32>,
    running: u32,
    /// The reason for each slot that has failed for good.
    pub failed: BTreeMap<u32, String>,
    wanted: u32,
}

impl Readiness {
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

    /// Launches tasks, reads the state of all, and waits a little.
    async fn turn(&mut self, state: &RunState, channel: &Channel) -> Result<(), RunError> {
        let mut fleet = state.fleet.lock().await;
        let running = fleet
            .as_mut()
            .ok_or_else(|| RunError::could_not(Phase::Start, "there is no fleet to start"))?;
        self.launch(running.as_mut(), state).await;
        self.observe(running.as_mut(), channel).await;
        drop(fleet);
        if self.decide(self.wanted, false) == StartDecision::Wait {
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Launches a few of the due slots. Each turn then observes which tasks are ready.
    async fn launch(&mut self, fleet: &mut dyn Fleet, state: &RunState) {
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
                Ok(identity) => state.record(Record::Task { arn: identity }),
                Err(error) => self.task_failed(slot, &error.to_string()),
            }
        }
    }

    async fn observe(&mut self, fleet: &mut dyn Fleet, channel: &Channel) {
        // After a failed read, the next turn reads again.
        let states: Vec<TaskState> = fleet.tasks().await.unwrap_or_default();
        self.running = states
            .iter()
            .filter(|state| state.status == TaskStatus::Running)
            .count() as u32;
        for state in states {
            let slot = state.slot;
            if let TaskStatus::Stopped { why, .. } = &state.status {
                self.ready.remove(&slot);
                if !self.failed.contains_key(&slot) && !self.to_launch.contains_key(&slot) {
                    match last_words(channel, slot).await {
                        Some(LastWords::OtherVersion(why)) => drop(self.failed.insert(slot, why)),
                        Some(LastWords::Failed(attempt, said))
                            if Some(&attempt) == self.attempts.get(&slot) =>
                        {
                            self.task_failed(slot, &format!("{why}: {said}"));
                        }
                        _ => self.task_failed(slot, why),
                    }
                }
            } else if !self.ready.contains(&slot) && !self.failed.contains_key(&slot) {
                let attempt = self.attempts.get(&slot).copied();
                match channel.ready(slot).await {
                    Ok(Some(ready)) if Some(ready.attempt) == attempt => {
                        self.ready.insert(slot);
                    }
                    // Another attempt would be the same.
                    Err(error) if error.is_final() => {
                        self.failed.insert(slot, error.to_string());
                    }
                    _ => {}
                }
            }
        }
    }

    /// The first failure of a slot gets a replacement, the second is final.
    fn task_failed(&mut self, slot: u32, why: &str) {
        if self
            .attempts
            .get(&slot)
            .is_some_and(|attempts| *attempts < ATTEMPTS)
        {
            self.to_launch.insert(slot, Instant::now() + BEFORE_RETRY);
        } else {
            self.failed.insert(slot, why.to_owned());
        }
    }

    fn decide(&self, needed: u32, timed_out: bool) -> StartDecision {
        let (ready, failed) = (self.ready.len() as u32, self.failed.len() as u32);
        let decided = timed_out || ready + failed == self.wanted;
        match (decided, ready >= needed) {
            (false, _) => StartDecision::Wait,
            (true, true) => StartDecision::Go,
            (true, false) => StartDecision::GiveUp,
        }
    }

    /// Each task that has failed for good.
    pub(super) fn shortfall(&self) -> impl Iterator<Item = Warning> {
        self.failed.iter().map(|(task, why)| {
            let (task, why) = (*task, why.clone());
            RunWarning::TasksMissing { task, why }.into()
        })
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
        let why = self.shortfall().next().map_or_else(
            || format!("not ready after {} s", TIMEOUT.as_secs()),
            |task| words::warning(&task),
        );
        let what = format!(
            "could not start {missing} of {} tasks, and the load needs {}: {why}",
            self.wanted, sizing.needed
        );
        RunError::could_not(Phase::Start, what)
            .hint("the reason above; common ones are the Fargate vCPU quota (L-3032A538) and subnets without a route to ECR and S3")
    }
}

/// The reason that a task itself gave for its end.
enum LastWords {
    /// The attempt that failed, and its error.
    Failed(u32, String),
    /// It has another version of spikeproof, in words.
    OtherVersion(String),
}

async fn last_words(channel: &Channel, slot: u32) -> Option<LastWords> {
    match channel.end(slot).await {
        Ok(Some(End {
            attempt,
            why: TaskEnd::Failed(why),
            ..
        })) => Some(LastWords::Failed(attempt, why)),
        Err(error) if error.is_final() => Some(LastWords::OtherVersion(error.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;

    use super::*;
    use crate::fleet::FleetError;
    use crate::run::error::RunErrorKind;
    use crate::run::example;
    use crate::run::interrupt::Urgency;

    fn readiness(wanted: u32, ready: u32, failed: u32) -> Readiness {
        let mut readiness = Readiness::new(wanted);
        readiness.ready = (0..ready).collect();
        readiness.failed = (ready..ready + failed)
            .map(|slot| (slot, "gone".to_owned()))
            .collect();
        readiness
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

    /// Waits for tasks that never start. Returns how the wait ends, and how many heartbeats were
    /// sent meanwhile.
    async fn wait_for_hanging_tasks(interrupted_after: Option<Duration>) -> (RunError, u64) {
        let home = tempfile::tempdir().unwrap();
        let (cx, state) = example::begun(home.path());
        let store = std::sync::Arc::new(object_store::memory::InMemory::new());
        let channel = Channel::new(store, object_store::path::Path::from("run"));
        state.attach(Box::new(Hanging), channel.clone(), 1).await;
        let interrupt = async {
            match interrupted_after {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
            cx.interrupt.raise(Urgency::StopLoad);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = wait_until_ready(&cx, &state, &channel) => ended,
            () = interrupt => unreachable!(),
        };
        (
            ended.err().expect("no task has started"),
            channel.control().await.unwrap().heartbeat,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_launch_that_hangs_neither_holds_up_the_heartbeats_nor_a_stop_nor_the_time_out() {
        let begun = Instant::now();
        let (error, heartbeats) = wait_for_hanging_tasks(Some(Duration::from_secs(61))).await;
        assert_eq!(
            (error.kind, begun.elapsed().as_secs()),
            (RunErrorKind::Interrupted, 61)
        );
        assert!(
            (12..=14).contains(&heartbeats),
            "{heartbeats} heartbeats in a minute"
        );
        let begun = Instant::now();
        let (error, _) = wait_for_hanging_tasks(None).await;
        assert_eq!(
            (error.kind, begun.elapsed().as_secs()),
            (RunErrorKind::CouldNotRun, TIMEOUT.as_secs())
        );
    }

    #[tokio::test]
    async fn a_run_starts_with_all_or_with_enough() {
        for (wanted, needed, ready, failed, timed_out, decision) in [
            (3, 2, 2, 0, false, StartDecision::Wait),
            (3, 2, 3, 0, false, StartDecision::Go),
            (3, 2, 2, 1, false, StartDecision::Go),
            (3, 2, 2, 0, true, StartDecision::Go),
            (3, 2, 1, 0, true, StartDecision::GiveUp),
            (3, 2, 0, 3, false, StartDecision::GiveUp),
        ] {
            assert_eq!(
                readiness(wanted, ready, failed).decide(needed, timed_out),
                decision,
                "{wanted} {needed} {ready} {failed}"
            );
        }
    }

    /// A platform on which the one task is as given.
    struct As(TaskStatus);

    #[async_trait::async_trait]
    impl Fleet for As {
        async fn launch(&mut self, _: u32, _: u32) -> Result<String, FleetError> {
            std::future::pending().await
        }

        async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError> {
            Ok(vec![TaskState {
                slot: 0,
                identity: "1".to_owned(),
                status: self.0.clone(),
            }])
        }

        async fn stop(&mut self, _: &str) -> Result<(), FleetError> {
            Ok(())
        }

        fn billed(&self) -> Vec<Duration> {
            Vec::new()
        }
    }

    #[tokio::test]
    async fn a_task_of_another_version_fails_at_once_and_one_that_says_why_is_quoted() {
        let observed = async |message: &str, json: String, status: TaskStatus| {
            let store = std::sync::Arc::new(object_store::memory::InMemory::new());
            let path = object_store::path::Path::from(format!("run/tasks/0/{message}"));
            store.put(&path, json.into()).await.unwrap();
            let channel = Channel::new(store, object_store::path::Path::from("run"));
            let mut readiness = Readiness::new(1);
            readiness.to_launch.clear();
            readiness.attempts.insert(0, ATTEMPTS);
            readiness.observe(&mut As(status), &channel).await;
            readiness.failed.remove(&0).expect("it has failed for good")
        };
        let at = "1970-01-01T00:00:00Z";
        let ready = format!(
            r#"{{"version":1,"slot":0,"attempt":2,"identity":"pid 1","cores":1,"at":"{at}"}}"#
        );
        let why = observed("ready.json", ready, TaskStatus::Running).await;
        assert!(why.contains("is of version 1"), "{why}");
        let version = crate::channel::message::VERSION;
        let ready = format!(
            r#"{{"version":{version},"program":"0.0.1","slot":0,"attempt":2,"identity":"pid 1","cores":1,"at":"{at}"}}"#
        );
        let why = observed("ready.json", ready, TaskStatus::Running).await;
        assert!(why.contains("is of spikeproof 0.0.1"), "{why}");
        let end = |version: u32| {
            format!(
                r#"{{"version":{version},"slot":0,"attempt":2,"why":{{"failed":"no plan"}},"intervals":0,"at":"{at}"}}"#
            )
        };
        let stopped = || TaskStatus::Stopped {
            why: "exit code 4".to_owned(),
            succeeded: false,
        };
        let why = observed("end.json", end(1), stopped()).await;
        assert!(why.contains("is of version 1"), "{why}");
        let why = observed("end.json", end(crate::channel::message::VERSION), stopped()).await;
        assert_eq!(why, "exit code 4: no plan");
    }

    #[tokio::test]
    async fn a_task_is_replaced_once() {
        let mut readiness = Readiness::new(1);
        readiness.to_launch.clear();
        readiness.attempts.insert(0, 1);
        readiness.task_failed(0, "exit code 1");
        assert_eq!(readiness.to_launch.len(), 1);
        readiness.to_launch.clear();
        readiness.attempts.insert(0, 2);
        readiness.task_failed(0, "exit code 1");
        assert_eq!(readiness.failed[&0], "exit code 1");
    }
}
