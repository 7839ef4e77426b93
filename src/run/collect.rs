//! Collect: the last words of the tasks, and the last look at the group.

use super::frame::Frame;
use super::recover::Recovered;
use super::start::Started;
use super::{Context, RunError};
use crate::events::Phase;
use crate::evidence::Timeline;
use crate::measure::Results;
use crate::run::plan::Planned;
use crate::verdict::{Circumstances, Warning};

/// Everything there is to judge.
pub struct Collected {
    pub planned: Planned,
    pub results: Results,
    pub timeline: Option<Timeline>,
    pub circumstances: Circumstances,
}

pub async fn collect(
    cx: &Context,
    frame: &Frame,
    recovered: Recovered,
) -> Result<Collected, RunError> {
    let stopped_by_us = recovered.loaded.stopped_by_us;
    let Started {
        mut provisioned,
        at,
        slots,
        shortfall,
        ..
    } = recovered.loaded.started;
    let mut inbox = recovered.loaded.inbox;
    inbox.read(&provisioned.channel).await;
    let mut late = Vec::new();
    let timeline = match provisioned.watch.take() {
        Some(watch) => tokio::select! {
            ended = watch.end(cx.interrupt.stop_load(), |why| cx.events.note(why)) => {
                late = ended.late;
                Some(ended.timeline)
            }
            () = cx.interrupt.destroy_now().cancelled() => return Err(RunError::interrupted(Phase::Collect)),
            // Late datapoints take minutes: whoever looks for orphans must see that this run is
            // none.
            () = frame.keep_beating(&cx.events) => None,
        },
        None => None,
    };
    if let Some(timeline) = &timeline {
        let gaps = timeline.gaps().count();
        if gaps > 0 {
            cx.events.warn(format!(
                "{gaps} looks at the group failed: gaps in its timeline"
            ));
        }
    }
    let mut planned = provisioned.planned;
    let missing = shortfall.into_iter();
    planned
        .warnings
        .extend(missing.map(|cause| Warning::TasksMissing { cause }));
    let late = late.into_iter();
    planned
        .warnings
        .extend(late.map(|cause| Warning::DatapointsMissing { cause }));
    let circumstances = Circumstances {
        started: Some(at),
        cut_short: recovered.loaded.cut_short,
        tasks: slots.len() as u32,
        complete_tasks: inbox.whole_tasks(),
        missing: inbox.missing(stopped_by_us),
    };
    Ok(Collected {
        planned,
        results: inbox.results,
        timeline,
        circumstances,
    })
}
