//! Load: the orchestrator's main loop while the tasks send load. It sends heartbeats, reads the
//! reports of the tasks, shows the progress, and stops the load when it must.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::control::check_not_fenced;
use super::inbox::Inbox;
use super::progress::ProgressReporter;
use super::provision::Provisioned;
use super::start::Started;
use super::state::RunState;
use super::{Context, RunError};
use crate::channel::LEASE;
use crate::events::Phase;
use crate::journal::Record;
use crate::report::words;
use crate::verdict::{self, EndedEarly};
use crate::watch::Watch;

const TICK: Duration = Duration::from_millis(500);
/// Between two lists of the tasks: a platform answers slower than the channel.
const BETWEEN_LISTS: Duration = Duration::from_secs(5);
/// For a list of the tasks: the lease outlives several missed heartbeats, but not an SDK with all
/// its attempts.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// After the plan's end (or a stop order) a task still finishes requests, and flushes.
const FLUSH: Duration = Duration::from_secs(20);

/// Load that has ended.
pub(super) struct Loaded {
    pub inbox: Inbox,
    /// Why it ended before its plan did.
    pub cut_short: Option<EndedEarly>,
    /// It ended early by an order of this run.
    pub stopped_by_us: bool,
}

pub(super) async fn load(
    cx: &Context,
    state: &RunState,
    provisioned: &Provisioned,
    started: &Started,
) -> Result<Loaded, RunError> {
    let mut load = ActiveLoad::new(cx, state, provisioned, started);
    while !cx.interrupt.destroy_now().is_cancelled() {
        if let Some(cause) = load.must_stop().await {
            load.stop(cause).await;
        }
        load.exchange().await?;
        load.find_lost_tasks().await;
        load.report_progress();
        load.notice_early_end();
        if load.is_over() {
            return Ok(load.loaded);
        }
        load.wait_for_next_turn().await;
    }
    Err(RunError::interrupted(Phase::Load))
}

struct ActiveLoad<'a> {
    cx: &'a Context,
    state: &'a RunState,
    provisioned: &'a Provisioned,
    started: &'a Started,
    loaded: Loaded,
    progress: ProgressReporter,
    listed: Instant,
    /// Tasks that have not ended by then are not waited for.
    give_up: Timestamp,
}

impl<'a> ActiveLoad<'a> {
    fn new(
        cx: &'a Context,
        state: &'a RunState,
        provisioned: &'a Provisioned,
        started: &'a Started,
    ) -> Self {
        let last_second = state.plan.schedule.latest_end();
        Self {
            cx,
            state,
            provisioned,
            started,
            loaded: Loaded {
                inbox: Inbox::new(&started.slots, &started.attempts),
                cut_short: None,
                stopped_by_us: false,
            },
            progress: ProgressReporter::default(),
            listed: Instant::now(),
            give_up: after(started.at, last_second + FLUSH),
        }
    }

    /// Why the load must end before its plan does.
    async fn must_stop(&self) -> Option<EndedEarly> {
        if self.loaded.cut_short.is_some() {
            return None;
        }
        if self.cx.interrupt.stop_load().is_cancelled() {
            return Some(EndedEarly::Interrupted);
        }
        let silence = self.state.silence().await;
        if silence > LEASE {
            let silent_s = silence.into();
            return Some(EndedEarly::StoreSilent { silent_s });
        }
        let (plan, inbox) = (&self.state.plan, &self.loaded.inbox);
        let abort = verdict::must_abort(
            &plan.scenario,
            &inbox.results,
            &plan.schedule,
            inbox.settled_seconds(),
        );
        match abort {
            Some(abort) => Some(EndedEarly::ThresholdFailed(abort)),
            None => {
                let limit = self.state.limit_reached().await?;
                Some(EndedEarly::LimitReached { limit })
            }
        }
    }

    async fn stop(&mut self, cause: EndedEarly) {
        let why = words::ended_early(&cause);
        self.give_up = after(Timestamp::now(), FLUSH);
        // Each heartbeat repeats the order. If none can be written, the lease ends the load.
        if let Err(error) = self.state.send_stop_order(&why).await {
            self.cx.events.warn(error.to_string());
        }
        self.loaded.stopped_by_us = true;
        self.state.record(Record::LoadEndedEarly {
            why: format!("during load: {why}"),
        });
        self.cx.events.note(format!("load stopped: {why}"));
        self.loaded.cut_short = Some(cause);
    }

    /// Sends a heartbeat and reads new reports. The next turn repeats a heartbeat that could not be
    /// written; the lease outlives several.
    async fn exchange(&mut self) -> Result<(), RunError> {
        let (sent, ()) = tokio::join!(
            self.state.send_heartbeat(&self.cx.events),
            self.loaded.inbox.read(&self.provisioned.channel)
        );
        check_not_fenced(sent, Phase::Load)
    }

    /// Asks the platform, now and then, for tasks that have stopped without an end message. A slow
    /// answer must not delay the heartbeat: it is dropped, and the next list is asked for later.
    async fn find_lost_tasks(&mut self) {
        if self.listed.elapsed() >= BETWEEN_LISTS {
            self.listed = Instant::now();
            let _ = timeout(LIST_TIMEOUT, self.list_tasks()).await;
        }
    }

    async fn list_tasks(&mut self) {
        let mut fleet = self.state.fleet.lock().await;
        let Some(fleet) = fleet.as_mut() else { return };
        let Ok(tasks) = fleet.tasks().await else {
            return;
        };
        for task in tasks {
            let slot = task.slot;
            if let Some(why) = self.loaded.inbox.mark_lost(task) {
                self.cx.events.warn(format!("task {slot} is lost: {why}"));
            }
        }
    }

    fn report_progress(&mut self) {
        let group = self.provisioned.watch.as_ref().and_then(Watch::group);
        self.progress.report(
            self.cx,
            &self.state.plan,
            self.started,
            group.as_ref(),
            &self.loaded.inbox,
        );
    }

    fn notice_early_end(&mut self) {
        let plan_end = after(self.started.at, self.state.plan.schedule.end());
        let is_early = self.loaded.inbox.is_settled() && Timestamp::now() < plan_end;
        if is_early && self.loaded.cut_short.is_none() {
            self.loaded.cut_short = Some(EndedEarly::TasksEnded);
            self.state.record(Record::LoadEndedEarly {
                why: "during load: the tasks are gone".to_owned(),
            });
        }
    }

    fn is_over(&self) -> bool {
        self.loaded.inbox.is_settled() || Timestamp::now() >= self.give_up
    }

    async fn wait_for_next_turn(&self) {
        let interrupt = &self.cx.interrupt;
        tokio::select! {
            () = sleep(TICK) => {}
            () = interrupt.stop_load().cancelled(), if self.loaded.cut_short.is_none() => {}
            () = interrupt.destroy_now().cancelled() => {}
        }
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}
