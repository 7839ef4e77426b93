//! Recover: after the load, wait until the group is back where it was, or its bound has passed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::frame::Frame;
use super::load::{Loaded, alive};
use super::{Context, RunError};
use crate::events::{Event, Phase};
use crate::report::words;
use crate::verdict::Warning;

const TICK: Duration = Duration::from_secs(1);
/// What is watched beyond the bound, so that a miss is seen as a miss and not as too short a look.
const BEYOND: Duration = Duration::from_secs(10);

/// A group that is back, or that had its time.
pub struct Recovered {
    pub loaded: Loaded,
}

pub async fn recover(
    cx: &Context,
    frame: &Frame,
    mut loaded: Loaded,
) -> Result<Recovered, RunError> {
    // The load has ended: the tasks must not be paid for while the group takes its time.
    tokio::select! {
        () = stop_tasks(cx, frame) => {}
        // There is no load any more; whoever looks for orphans must see that this run is none.
        () = frame.keep_beating(&cx.events) => {}
        () = cx.interrupt.destroy_now().cancelled() => return Err(RunError::interrupted(Phase::Recover)),
    }
    let Some(watch) = &loaded.started.provisioned.watch else {
        return Ok(Recovered { loaded });
    };
    let before = loaded
        .started
        .provisioned
        .planned
        .group
        .as_ref()
        .map_or(0, |group| group.desired);
    let scenario = &loaded.started.provisioned.planned.scenario;
    let bound = crate::evidence::scale_in::in_bound_from(
        scenario,
        &watch.timeline(),
        jiff::Timestamp::now(),
    )
    .unwrap_or_default();
    let give_up = Instant::now() + bound + BEYOND;
    let bounds = loaded.started.provisioned.planned.bounds.clone();
    let mut said = false;
    let mut out_of_time = None;
    while let Some(group) = watch.group() {
        // There is no load any more; whoever looks for orphans must see that this run is none.
        alive(frame.beat(&cx.events).await, Phase::Recover)?;
        let in_service = group.in_service();
        cx.events.say(Event::Group {
            desired: group.desired,
            in_service,
            min: group.min,
            max: group.max,
        });
        let back = group.desired <= before && group.instances.len() as u32 <= group.desired;
        if back || Instant::now() >= give_up || cx.interrupt.stop_load().is_cancelled() {
            break;
        }
        out_of_time = bounds.out_of_time();
        if out_of_time.is_some() {
            break;
        }
        if !said {
            said = true;
            cx.events.note(format!(
                "waiting for the group to come back to {before} (Ctrl-C ends the wait)"
            ));
        }
        tokio::select! {
            () = sleep(TICK) => {}
            () = cx.interrupt.stop_load().cancelled() => {}
        }
    }
    if let Some(why) = out_of_time {
        let warning = Warning::RecoveryEndedEarly {
            instances: before,
            why,
        };
        cx.events.warn(words::warning(&warning));
        loaded.started.provisioned.planned.warnings.push(warning);
    }
    Ok(Recovered { loaded })
}

async fn stop_tasks(cx: &Context, frame: &Frame) {
    let mut fleet = frame.fleet.lock().await;
    if let Some(fleet) = fleet.as_mut()
        && let Err(error) = fleet.stop("the load has ended").await
    {
        // Destroy will try again, and prove it.
        cx.events.warn(error.to_string());
    }
}
