//! Destroy: the frame's end, whatever came before. Stop order, tasks, terraform, then by name what is still there; and
//! the proof: each thing that could have been made is described by its name and found gone.
//!
//! terraform's exit code proves nothing: on an empty state `destroy` succeeds with nothing done.

use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Context;
use super::frame::Frame;
use super::plan::Cloud;
use super::provision::terraform;
use crate::aws::inventory::{Inventory, Presence};
use crate::events::{Event, Events, Phase};
use crate::journal::Record;
use crate::journal::names::{Kind, Thing};
use crate::units::RunId;

const STOP_ORDER: Duration = Duration::from_secs(5);
/// How often what is still there is deleted by name, with a growing pause: network interfaces let go of a security
/// group only some time after their task has stopped.
const SWEEPS: u32 = 8;
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What was proven gone, and what was not, each with its evidence.
#[derive(Debug, Default)]
pub struct Destruction {
    pub gone: Vec<String>,
    pub left: Vec<String>,
}

pub async fn destroy(cx: &Context, frame: &Frame) -> Destruction {
    cx.events.say(Event::PhaseBegan { phase: Phase::Destroy });
    let begun = std::time::Instant::now();
    // A third signal leaves, with the list of what may still be there.
    let destruction = tokio::select! {
        destruction = everything(cx, frame) => destruction,
        () = cx.interrupt.leave().cancelled() => abandoned(frame, "not looked for, you left"),
    };
    frame.took(Phase::Destroy, begun.elapsed());
    cx.events.say(Event::PhaseEnded { phase: Phase::Destroy, took: begun.elapsed() });
    destruction
}

async fn everything(cx: &Context, frame: &Frame) -> Destruction {
    // Tasks that cost must not wait for a store that hangs.
    match timeout(STOP_ORDER, frame.stop("the run is over")).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => cx.events.note(format!("no stop order ({error}): tasks end by their lease")),
        Err(_) => cx.events.note("no stop order (the store hangs): tasks end by their lease"),
    }
    // Before the tasks are waited for: nobody needs them any more.
    if !matches!(timeout(STOP_ORDER, frame.drop_secrets()).await, Ok(Ok(()))) {
        cx.events
            .warn("secrets.json could not be deleted from the channel; it goes with the bucket (local: delete it)");
    }
    stop_fleet(cx, frame).await;
    let things = frame.leftovers();
    let Some(cloud) = &frame.cloud else { return Destruction::default() };
    if things.is_empty() {
        return Destruction::default();
    }
    frame.did(Record::IntentDestroy);
    let destruction = dismantle(cloud, &frame.run, &frame.folder, &things, &cx.events).await;
    keep(frame, &things, &destruction);
    destruction
}

async fn stop_fleet(cx: &Context, frame: &Frame) {
    let mut fleet = frame.fleet.lock().await;
    if let Some(fleet) = fleet.as_mut()
        && let Err(error) = fleet.stop("the run is over").await
    {
        cx.events.note(format!("{error}; what is left of the tasks is stopped by name"));
    }
}

/// Removes things of a run and proves it. Needs no memory of the run: `reap` calls it with a journal's leftovers.
pub async fn dismantle(cloud: &Cloud, run: &RunId, folder: &Path, things: &[Thing], events: &Events) -> Destruction {
    let inventory = Inventory::new(&cloud.aws, run);
    // Tasks first: they are what costs, and they hold the security group.
    let tasks: Vec<&Thing> = things.iter().filter(|thing| thing.kind == Kind::Tasks).collect();
    for tasks in tasks {
        if let Err(error) = inventory.delete(tasks).await {
            events.note(format!("{tasks}: {error}"));
        }
    }
    terraform_destroy(cloud, folder, events).await;
    sweep(&inventory, things, events).await
}

/// Whatever terraform says, the proof comes after it.
async fn terraform_destroy(cloud: &Cloud, folder: &Path, events: &Events) {
    if let Err(error) = terraform(cloud, folder, events).destroy().await {
        events.note(format!("terraform destroy did not finish: {error}; going on by name"));
    }
}

/// Describes each thing by name, deletes what is still there, and looks again.
async fn sweep(inventory: &Inventory, things: &[Thing], events: &Events) -> Destruction {
    let mut remaining: Vec<(Thing, String)> = things.iter().map(|thing| (thing.clone(), String::new())).collect();
    let mut destruction = Destruction::default();
    let mut pause = PAUSE;
    for attempt in 0..SWEEPS {
        let mut still = Vec::new();
        for (thing, _) in remaining {
            match look(inventory, &thing).await {
                Ok(evidence) => {
                    events.say(Event::Gone { name: thing.to_string() });
                    destruction.gone.push(format!("{thing}: {evidence}"));
                }
                Err(why) => still.push((thing, why)),
            }
        }
        remaining = still;
        if remaining.is_empty() || attempt + 1 == SWEEPS {
            break;
        }
        for (thing, why) in &mut remaining {
            events.note(format!("{thing} is still there ({why}): deleting it by name"));
            if let Err(error) = inventory.delete(thing).await {
                *why = error.to_string();
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    for (thing, why) in remaining {
        events.say(Event::Left { name: thing.to_string(), why: why.clone() });
        destruction.left.push(format!("{thing}: {why}"));
    }
    destruction
}

/// The evidence that a thing is gone, or why that is not proven.
async fn look(inventory: &Inventory, thing: &Thing) -> Result<String, String> {
    match inventory.exists(thing).await {
        Ok(Presence::Gone { evidence }) => Ok(evidence),
        Ok(Presence::There { evidence }) => Err(evidence),
        Err(error) => Err(format!("could not be described: {error}")),
    }
}

fn keep(frame: &Frame, things: &[Thing], destruction: &Destruction) {
    for thing in things {
        let name = thing.to_string();
        match destruction.left.iter().find(|left| left.starts_with(&name)) {
            None => frame.did(Record::Gone { thing: thing.clone() }),
            Some(why) => frame.did(Record::Left { thing: thing.clone(), why: why.clone() }),
        }
    }
}

/// What may be left where nobody looked.
pub fn abandoned(frame: &Frame, why: &str) -> Destruction {
    let left = frame.leftovers().iter().map(|thing| format!("{thing}: {why}")).collect();
    Destruction { gone: Vec::new(), left }
}
