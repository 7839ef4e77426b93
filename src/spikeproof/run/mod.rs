//! The life of a run, phase by phase; the report follows the last phase. Each phase hands over only
//! what is new; the plan and the run state are lent to all of them.
//!
//! ```text
//! phase      file           hands over
//! plan       plan.rs        RunPlan      scenario read, fleet sized and priced, target authorized;
//!                                        nothing is created
//! provision  provision.rs   Provisioned  the open channel, the watch of the group
//! start      start.rs       Started      the start instant, the slots that carry the load
//! load       load.rs        Loaded       the reports of the tasks, the cause if the load ended early
//! recover    recover.rs     Recovered    tasks stopped; a warning if the wait for the group ended early
//! collect    collect.rs     Collected    all results, the timeline of the group
//! judge      judge.rs       JudgedRun    verdict, capacity, advice
//! destroy    destroy.rs     Destruction  what is proven gone and what may be left; always happens
//!
//! report     report.rs      RunOutcome   the report and its folder
//! ```
//!
//! | used by the phases | content |
//! |---|---|
//! | `state.rs` | `RunState`: the plan, journal, guard, channel and cost of a run |
//! | `options.rs`, `error.rs` | what the user asked for; what the user is told |
//! | `scenario_file.rs`, `preview.rs`, `organisation.rs`, `authorization.rs`, `probe.rs`, `preconditions.rs` | parts of the plan |
//! | `roles.rs` | plan and provision: the roles of the tasks, and the boundary of what they may do |
//! | `beside.rs` | plan and collect: other runs that test the same group |
//! | `readiness.rs` | start: waits until enough tasks are ready |
//! | `inbox.rs`, `progress.rs` | load: reads the reports of the tasks, shows the progress |
//! | `control.rs` | writes `control.json` (heartbeat, start order, stop order) and `secrets.json` |
//! | `trial.rs` | the recommended change on the target's group, in the trial of an advice |
//! | `interrupt.rs`, `stop_order.rs`, `stop_conditions.rs` | what ends a run early |
//! | `supervise.rs` | turns a panic into an error, so that destroy follows |
//! | `failpoint.rs` | failures on request, for tests |

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::events::{Events, Phase};
use crate::report::RunReport;
use crate::teardown::guard::{Guard, GuardOptions};
use crate::verdict::Warning;

mod authorization;
mod beside;
mod collect;
mod control;
mod destroy;
mod error;
#[cfg(test)]
mod example;
#[cfg(debug_assertions)]
mod failpoint;
mod inbox;
mod interrupt;
mod judge;
mod load;
mod options;
mod organisation;
mod plan;
mod preconditions;
mod preview;
mod probe;
mod progress;
mod provision;
mod readiness;
mod recover;
mod report;
mod roles;
mod scenario_file;
mod start;
mod state;
mod stop_conditions;
mod stop_order;
mod supervise;
mod trial;

pub use authorization::{objections, proof_needed, prove_ownership};
pub use error::{RunError, RunErrorKind};
pub use interrupt::Interrupt;
pub use options::{FleetKind, Repeats, RunOptions, ScenarioOptions};
pub use organisation::OrganisationFile;
pub use preconditions::wrong_clock;
pub use preview::{Preview, preview};
pub use probe::{Probe, probe_of};
pub use roles::{Boundary, RoleArn, TaskRoles};
pub use scenario_file::{ScenarioFileError, ScenarioFolders, scenario_text};
pub use trial::{FoundSettings, NotTried, Trial, recommended};

use collect::collect;
use judge::{JudgedRun, judge};
use load::load;
use provision::provision;
use recover::recover;
use report::report;
use start::start;
use state::RunState;

/// Given to every phase.
#[derive(Clone)]
pub struct Context {
    /// The options of this run.
    pub options: Arc<RunOptions>,
    /// The place of this run among those of `--repeat`.
    pub repeats: Repeats,
    /// The change of the target's group that this run tries, or prepares for.
    pub trial: Trial,
    /// Warnings about resources that earlier runs on this host may have left.
    pub earlier_runs: Vec<Warning>,
    /// Takes progress, warnings and notes; the live view shows them.
    pub events: Events,
    /// The urgency of the signals so far.
    pub interrupt: Interrupt,
}

/// The report of a run, and the folder that contains it.
pub struct RunOutcome {
    /// The whole report, as written to `report.json`.
    pub report: RunReport,
    /// The run's folder.
    pub folder: PathBuf,
    /// The settings of the group before the run, if the next run is to change them.
    pub found: Option<FoundSettings>,
}

/// Runs a scenario. Whatever happens after the plan, everything that was created is destroyed
/// before this returns.
pub async fn run(cx: Context) -> Result<RunOutcome, RunError> {
    let plan = supervise::plan(&cx).await?;
    let state = RunState::open(&cx, plan)?;
    if let Err(error) = record_and_guard(&cx, &state).await {
        state.close_unused();
        return Err(error);
    }

    let mut stop_order = stop_order::send_on_signal(&cx, &state);
    let judged =
        supervise::phases(&cx, &state, provision_to_judge(cx.clone(), state.clone())).await;
    // A signal from here on is about the destroy, not about the verdict.
    let interrupted = cx.interrupt.stop_load().is_cancelled();
    let destruction = supervise::destroy(&cx, &state).await;

    stop_order::wait_until_sent(&cx, &mut stop_order).await;
    let outcome = report(&cx, &state, judged, interrupted, destruction).await;
    let finished = outcome.report.destroyed.left.is_empty();
    if let Some(news) = state.release(finished).await {
        cx.events.warn(news);
    }
    Ok(outcome)
}

/// From nothing to a verdict.
async fn provision_to_judge(cx: Context, state: Arc<RunState>) -> Result<JudgedRun, RunError> {
    let (cx, state) = (&cx, &*state);
    let mut clock = JoinSet::new();
    state.stop_conditions.keep_time(&mut clock);

    let provisioned = phase(cx, state, Phase::Provision, provision(cx, state)).await?;
    let started = phase(cx, state, Phase::Start, start(cx, state, &provisioned)).await?;
    let loading = load(cx, state, &provisioned, &started);
    let loaded = phase(cx, state, Phase::Load, loading).await?;
    let recovered = phase(cx, state, Phase::Recover, recover(cx, state, &provisioned)).await?;
    let collecting = collect(cx, state, provisioned, started, loaded, recovered);
    let collected = phase(cx, state, Phase::Collect, collecting).await?;
    phase(cx, state, Phase::Judge, judge(&state.plan, collected)).await
}

/// Performs a phase that may fail; a debug build fails it on request.
async fn phase<T>(
    cx: &Context,
    state: &RunState,
    phase: Phase,
    work: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    #[cfg(debug_assertions)]
    let work = async {
        failpoint::trigger(cx, phase).await?;
        work.await
    };
    state.perform(&cx.events, phase, work).await
}

/// The intended changes are on the disk before the guard starts.
async fn record_and_guard(cx: &Context, state: &RunState) -> Result<(), RunError> {
    trial::record(state)?;
    start_guard(cx, state).await
}

/// Starts the process that destroys everything if this one is killed, before anything is created.
async fn start_guard(cx: &Context, state: &RunState) -> Result<(), RunError> {
    let Some(terraform) = &state.plan.terraform else {
        return Ok(());
    };
    if !cx.options.guard {
        return Ok(());
    }
    let start = |program| {
        Guard::start(GuardOptions {
            run: state.plan.run.clone(),
            folder: state.plan.folder.clone(),
            terraform: terraform.path.clone(),
            program,
        })
    };
    match std::env::current_exe().and_then(start) {
        Ok(guard) => {
            state.set_guard(guard).await;
            Ok(())
        }
        Err(error) => {
            let what = format!("the guard could not be started: {error}");
            Err(RunError::could_not(Phase::Plan, what)
                .with_source(error)
                .hint("`--no-guard` does without"))
        }
    }
}
