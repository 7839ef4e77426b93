//! Destroy: what a run does at its end, whatever came before. Stop order, secrets and tasks first;
//! then `teardown` removes everything and proves it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Context;
use super::frame::Frame;
use crate::events::{Event, Phase};
use crate::journal::{Record, reserve};
use crate::teardown::proof::Destruction;
use crate::teardown::{self, JournalFacts, LockedFolder, Teardown};

/// The store may hang, and tasks that cost must not wait for it.
pub const STOP_ORDER: Duration = Duration::from_secs(5);

pub async fn destroy(cx: &Context, frame: &Frame) -> Destruction {
    cx.events.say(Event::PhaseBegan {
        phase: Phase::Destroy,
    });
    let begun = std::time::Instant::now();
    // A third signal leaves, with the list of what may still be there.
    let destruction = tokio::select! {
        destruction = everything(cx, frame) => destruction,
        () = cx.interrupt.leave().cancelled() => abandoned(frame, "not looked for, you left"),
    };
    frame.took(Phase::Destroy, begun.elapsed());
    cx.events.say(Event::PhaseEnded {
        phase: Phase::Destroy,
        took: begun.elapsed(),
    });
    destruction
}

async fn everything(cx: &Context, frame: &Frame) -> Destruction {
    // From here on the room is needed: logs, state and report must be written, also on a full disk.
    reserve::release(&frame.folder);
    // Tasks that cost must not wait for a store that hangs.
    match timeout(STOP_ORDER, frame.stop("the run is over")).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => cx
            .events
            .note(format!("no stop order ({error}): tasks end by their lease")),
        Err(_) => cx
            .events
            .note("no stop order (the store hangs): tasks end by their lease"),
    }
    // Before the tasks are waited for: nobody needs them any more.
    if !matches!(timeout(STOP_ORDER, frame.drop_secrets()).await, Ok(Ok(()))) {
        cx.events
            .warn("secrets.json could not be deleted from the channel; it goes with the bucket (local: delete it)");
    }
    tokio::select! {
        () = stop_fleet(cx, frame) => {}
        // Until the bucket is gone others can see that somebody is at it.
        () = frame.keep_beating(&cx.events) => {}
    }
    let things = frame.leftovers();
    let Some(cloud) = &frame.cloud else {
        return Destruction::default();
    };
    if things.is_empty() {
        return Destruction::default();
    }
    frame.did(Record::IntentDestroy);
    let teardown = Teardown {
        aws: cloud,
        run: &frame.run,
        journal: JournalFacts {
            unsettled: frame.unsettled(),
            known: true,
        },
        lock: Some(LockedFolder {
            path: &frame.folder,
            lock: Arc::clone(&frame.work),
        }),
        terraform: frame.terraform.as_ref(),
        events: &cx.events,
    };
    let destruction = tokio::select! {
        destruction = teardown::destroy(&teardown, &things) => destruction,
        () = frame.keep_beating(&cx.events) => Destruction::default(),
    };
    destruction.record(|record| frame.did(record));
    destruction
}

async fn stop_fleet(cx: &Context, frame: &Frame) {
    let mut fleet = frame.fleet.lock().await;
    if let Some(fleet) = fleet.as_mut()
        && let Err(error) = fleet.stop("the run is over").await
    {
        cx.events.note(format!(
            "{error}; what is left of the tasks is stopped by name"
        ));
    }
}

/// What may be left where nobody looked.
pub fn abandoned(frame: &Frame, why: &str) -> Destruction {
    let mut destruction = Destruction::default();
    frame
        .leftovers()
        .into_iter()
        .for_each(|thing| destruction.add_left(thing, why.to_owned()));
    destruction
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::channel::Channel;
    use crate::fleet::{Fleet, FleetError, TaskState};
    use crate::run::frame::example;

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
            sleep(Duration::from_secs(60)).await;
            Ok(())
        }

        fn billed(&self) -> Vec<Duration> {
            Vec::new()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_tasks_are_slow_to_stop_still_shows_that_it_lives() {
        let home = tempfile::tempdir().unwrap();
        let (cx, frame) = example::begun(home.path());
        let store = Arc::new(object_store::memory::InMemory::new());
        let channel = Channel::new(store, object_store::path::Path::from("run"));
        frame.equip(Box::new(Slow), channel.clone(), 1).await;
        let destruction = everything(&cx, &frame).await;
        assert!(destruction.is_clean());
        let control = channel.control().await.unwrap();
        assert!(
            (12..=14).contains(&control.beat),
            "{} beats in a minute",
            control.beat
        );
        assert_eq!(
            control.stop.map(|stop| stop.why),
            Some("the run is over".to_owned())
        );
    }
}
