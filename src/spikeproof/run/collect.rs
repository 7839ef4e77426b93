//! Collect: the last reports of the tasks, and the last observations of the group.

use super::load::Loaded;
use super::provision::Provisioned;
use super::recover::Recovered;
use super::start::Started;
use super::state::RunState;
use super::{Context, RunError, beside};
use crate::events::Phase;
use crate::evidence::Timeline;
use crate::measure::Results;
use crate::report::words;
use crate::verdict::{Circumstances, RunWarning, Warning};
use crate::watch;

/// Everything there is to judge.
pub(super) struct Collected {
    pub results: Results,
    pub timeline: Option<Timeline>,
    pub circumstances: Circumstances,
    /// The warnings of the plan and of all phases so far.
    pub warnings: Vec<Warning>,
}

pub(super) async fn collect(
    cx: &Context,
    state: &RunState,
    provisioned: Provisioned,
    started: Started,
    loaded: Loaded,
    recovered: Recovered,
) -> Result<Collected, RunError> {
    let mut inbox = loaded.inbox;
    inbox.read(&provisioned.channel).await;
    let mut warnings = state.plan.warnings.clone();
    warnings.extend(recovered.warning);
    warnings.extend(started.shortfall);
    let timeline = match end_watch(cx, state, provisioned).await? {
        Some(watched) => {
            let late = watched.late.into_iter().map(RunWarning::DatapointsMissing);
            warnings.extend(late.map(Warning::from));
            Some(watched.timeline)
        }
        None => None,
    };
    warn_of_other_runs(cx, state, &mut warnings).await;
    if let Some(timeline) = &timeline {
        warn_of_gaps(cx, timeline);
        warnings.extend(words_not_understood(timeline));
    }
    let circumstances = Circumstances {
        started: Some(started.at),
        cut_short: loaded.cut_short,
        tasks: started.slots.len() as u32,
        complete_tasks: inbox.complete_tasks(),
        missing: inbox.missing(loaded.stopped_by_us),
        not_watched: match (&timeline, &state.plan.scenario.target.subject) {
            (None, Some(subject)) => Some(subject.to_string()),
            _ => None,
        },
    };
    Ok(Collected {
        results: inbox.results,
        timeline,
        circumstances,
        warnings,
    })
}

/// Waits for late datapoints. The first signal ends the wait for them, the second ends the phase.
async fn end_watch(
    cx: &Context,
    state: &RunState,
    provisioned: Provisioned,
) -> Result<Option<watch::EndedWatch>, RunError> {
    let Some(watch) = provisioned.watch else {
        return Ok(None);
    };
    tokio::select! {
        ended = watch.end(cx.interrupt.stop_load(), |late| cx.events.note(words::waiting_for(late))) => Ok(Some(ended)),
        () = cx.interrupt.destroy_now().cancelled() => Err(RunError::interrupted(Phase::Collect)),
        // Datapoints may be minutes late. Reapers must see that this run is alive.
        never = state.keep_sending_heartbeats(&cx.events) => match never {},
    }
}

/// Looks again for runs that test the same group: one may have begun since the plan.
async fn warn_of_other_runs(cx: &Context, state: &RunState, warnings: &mut Vec<Warning>) {
    let plan = &state.plan;
    let target = beside::target(&plan.scenario, plan.watched_in.as_ref());
    let others = beside::look(
        cx,
        target.as_ref(),
        plan.watched_in.as_ref(),
        Some(&plan.run),
    )
    .await;
    for warning in beside::warnings(cx, target.as_ref(), &others) {
        if !warnings.contains(&warning) {
            cx.events.warn(words::warning(&warning));
            warnings.push(warning);
        }
    }
}

/// A warning about activities whose words are not known, if there are any.
fn words_not_understood(timeline: &Timeline) -> Option<Warning> {
    let texts = timeline.not_understood();
    (!texts.is_empty()).then(|| RunWarning::NotUnderstood { texts }.into())
}

fn warn_of_gaps(cx: &Context, timeline: &Timeline) {
    let gaps = timeline.gaps().count();
    if gaps > 0 {
        cx.events.warn(format!(
            "{gaps} looks at the group failed: gaps in its timeline"
        ));
    }
}
