//! Runs the plan, the phases and the destroy as tasks of their own, so that a panic becomes an
//! error and a signal ends the wait.

use std::fmt::Display;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::judge::JudgedRun;
use super::plan::{self, RunPlan};
use super::state::RunState;
use super::{Context, RunError, destroy};
use crate::events::Phase;
use crate::teardown::proof::Destruction;

/// Until there is a plan nothing has been created: a signal or a panic ends it at once.
pub(super) async fn plan(cx: &Context) -> Result<RunPlan, RunError> {
    let mut task = JoinSet::new();
    let planning = cx.clone();
    task.spawn(async move { plan::plan(&planning).await });
    tokio::select! {
        ended = task.join_next() => result(Phase::Plan, ended, "the plan vanished"),
        () = cx.interrupt.stop_load().cancelled() => Err(RunError::interrupted(Phase::Plan)),
    }
}

/// The phases from provision to judge. The third signal ends the wait for them.
pub(super) async fn phases(
    cx: &Context,
    state: &RunState,
    phases: impl Future<Output = Result<JudgedRun, RunError>> + Send + 'static,
) -> Result<JudgedRun, RunError> {
    let mut task = JoinSet::new();
    task.spawn(phases);
    tokio::select! {
        ended = task.join_next() => result(state.phase(), ended, "the run vanished"),
        () = cx.interrupt.leave().cancelled() => Err(RunError::interrupted(state.phase())),
    }
}

fn result<T>(
    phase: Phase,
    ended: Option<Result<Result<T, RunError>, JoinError>>,
    vanished: impl Display,
) -> Result<T, RunError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(RunError::could_not(
            phase,
            format!("a bug in spikeproof: {panic}"),
        )),
        None => Err(RunError::could_not(phase, vanished)),
    }
}

/// A panic in destroy must not hide what may be left.
pub(super) async fn destroy(cx: &Context, state: &Arc<RunState>) -> Destruction {
    let mut task = JoinSet::new();
    let (cx, destroyed) = (cx.clone(), state.clone());
    task.spawn(async move {
        #[cfg(debug_assertions)]
        if let Err(error) = super::failpoint::trigger(&cx, Phase::Destroy).await {
            return destroy::abandoned(&destroyed, &error.what);
        }
        destroy::destroy(&cx, &destroyed).await
    });
    match task.join_next().await {
        Some(Ok(destruction)) => destruction,
        _ => destroy::abandoned(state, "a bug in spikeproof ended the destroy"),
    }
}
