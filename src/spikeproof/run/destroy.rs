//! Destroy: the end of every run, whatever came before. Stop order, secrets and tasks first; then
//! `teardown` removes everything and proves it.

use std::sync::Arc;
use tokio::time::timeout;

use super::Context;
use super::state::RunState;
use super::stop_order::STOP_ORDER_TIMEOUT;
use crate::aws::Cloud;
use crate::events::Phase;
use crate::journal::{Record, reserve};
use crate::teardown::proof::Destruction;
use crate::teardown::{self, JournalFacts, LockedFolder, Teardown};

pub(super) async fn destroy(cx: &Context, state: &RunState) -> Destruction {
    let destroy = async {
        // A third signal leaves, with the list of what may still be there.
        tokio::select! {
            destruction = destroy_everything(cx, state) => destruction,
            () = cx.interrupt.leave().cancelled() => abandoned(state, "not looked for, you left"),
        }
    };
    state.perform(&cx.events, Phase::Destroy, destroy).await
}

async fn destroy_everything(cx: &Context, state: &RunState) -> Destruction {
    // The space is needed now: logs, state and report must be written even if the disk is full.
    reserve::release(&state.plan.folder);
    send_stop_order(cx, state).await;
    // Before the wait for the tasks: nobody needs the secrets any more.
    delete_secrets(cx, state).await;
    let stop = async { tokio::join!(put_back(cx, state), stop_tasks(cx, state)) };
    tokio::select! {
        ((), ()) = stop => {}
        // Until the bucket is gone, others can see that this run is alive.
        never = state.keep_sending_heartbeats(&cx.events) => match never {},
    }
    match &state.plan.cloud {
        Some(cloud) => tear_down(cx, state, cloud).await,
        None => Destruction::default(),
    }
}

async fn send_stop_order(cx: &Context, state: &RunState) {
    match timeout(STOP_ORDER_TIMEOUT, state.send_stop_order("the run is over")).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => cx
            .events
            .note(format!("no stop order ({error}): tasks end by their lease")),
        Err(_) => cx
            .events
            .note("no stop order (the store hangs): tasks end by their lease"),
    }
}

async fn delete_secrets(cx: &Context, state: &RunState) {
    if !matches!(
        timeout(STOP_ORDER_TIMEOUT, state.delete_secrets()).await,
        Ok(Ok(()))
    ) {
        cx.events
            .warn("secrets.json could not be deleted from the channel; it goes with the bucket (local: delete it)");
    }
}

async fn stop_tasks(cx: &Context, state: &RunState) {
    let mut fleet = state.fleet.lock().await;
    if let Some(fleet) = fleet.as_mut()
        && let Err(error) = fleet.stop("the run is over").await
    {
        cx.events.note(format!(
            "{error}; what is left of the tasks is stopped by name"
        ));
    }
}

/// Puts the settings of the group back, before the wait for the destroy; that proves it.
async fn put_back(cx: &Context, state: &RunState) {
    if let Some(cloud) = &state.plan.cloud {
        teardown::put_back(&teardown_of(cx, state, cloud), &state.leftovers()).await;
    }
}

/// Removes everything that the journal mentions, and proves it.
async fn tear_down(cx: &Context, state: &RunState, cloud: &Cloud) -> Destruction {
    let things = state.leftovers();
    if things.is_empty() {
        return Destruction::default();
    }
    state.record(Record::IntentDestroy);
    let teardown = teardown_of(cx, state, cloud);
    let destruction = tokio::select! {
        destruction = teardown::destroy(&teardown, &things) => destruction,
        never = state.keep_sending_heartbeats(&cx.events) => match never {},
    };
    destruction.record(|record| state.record(record));
    destruction
}

fn teardown_of<'a>(cx: &'a Context, state: &'a RunState, cloud: &'a Cloud) -> Teardown<'a> {
    Teardown {
        aws: cloud,
        run: &state.plan.run,
        journal: JournalFacts {
            unsettled: state.is_unsettled(),
            known: true,
        },
        changes: state.changes(),
        lock: Some(LockedFolder {
            path: &state.plan.folder,
            lock: Arc::clone(&state.work_lock),
        }),
        terraform: state.plan.terraform.as_ref(),
        events: &cx.events,
    }
}

/// The list of everything that may be left, if nobody looked.
pub(super) fn abandoned(state: &RunState, why: &str) -> Destruction {
    let mut destruction = Destruction::default();
    state
        .leftovers()
        .into_iter()
        .for_each(|thing| destruction.add_left(thing, why.to_owned()));
    destruction
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::channel::Channel;
    use crate::fleet::{Fleet, FleetError, TaskState};
    use crate::run::example;

    /// A platform that takes a minute to stop what it runs.
    struct Slow;

    #[async_trait::async_trait]
    impl Fleet for Slow {
        async fn launch(&mut self, _: u32, _: u32) -> Result<String, FleetError> {
            unreachable!("nothing is launched here")
        }

        async fn tasks(&mut self) -> Result<Vec<TaskState>, FleetError> {
            Ok(Vec::new())
        }

        async fn stop(&mut self, _: &str) -> Result<(), FleetError> {
            sleep(Duration::from_mins(1)).await;
            Ok(())
        }

        fn billed(&self) -> Vec<Duration> {
            Vec::new()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_tasks_are_slow_to_stop_still_sends_heartbeats() {
        let home = tempfile::tempdir().unwrap();
        let (cx, state) = example::begun(home.path());
        let store = Arc::new(object_store::memory::InMemory::new());
        let channel = Channel::new(store, object_store::path::Path::from("run"));
        state.attach(Box::new(Slow), channel.clone(), 1).await;
        let destruction = destroy_everything(&cx, &state).await;
        assert!(destruction.is_clean());
        let control = channel.control().await.unwrap();
        assert!(
            (12..=14).contains(&control.heartbeat),
            "{} heartbeats in a minute",
            control.heartbeat
        );
        assert_eq!(
            control.stop.map(|stop| stop.why),
            Some("the run is over".to_owned())
        );
    }
}
