//! The life cycle: plan, provision, start, load, recover, collect, judge, destroy.
//!
//! Each phase takes the previous one's product by value. Destroy is not a phase one reaches: it is
//! the frame around the others, and works from the journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::channel::ChannelError;
use crate::events::{Event, Events, Phase};
use crate::limits;
use crate::report::RunReport;
use crate::teardown::guard::{Guard, GuardOptions};
use crate::teardown::proof::Destruction;
use crate::units::Usd;

mod beacon;
mod bounds;
mod collect;
mod conclude;
mod destroy;
mod error;
mod frame;
mod interrupt;
mod judge;
mod load;
#[cfg(debug_assertions)]
mod mishap;
mod permit;
mod plan;
mod provision;
mod recover;
mod start;

pub use error::{Kind, RunError};
pub use interrupt::Interrupt;
pub use permit::{OrganisationFile, objections, prove, to_prove};
pub use plan::{Preview, preview, wrong_clock};

use destroy::STOP_ORDER;
use frame::Frame;
use judge::Evidenced;

/// Between two attempts to write the stop order.
const STOP_AGAIN: Duration = Duration::from_millis(500);

/// What the user asked for on the command line, settled.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub scenario_file: String,
    pub scenario_text: String,
    pub environment: BTreeMap<String, String>,
    pub url: Option<String>,
    pub fleet: FleetKind,
    /// Replaces `fleet.tasks`.
    pub tasks: Option<u32>,
    pub runs_dir: PathBuf,
    pub terraform: Option<PathBuf>,
    /// Packed into the image instead of the running binary.
    pub generator_binary: Option<PathBuf>,
    /// A ready image instead of a packed one.
    pub image: Option<String>,
    /// A process of its own destroys what was made if this one is killed.
    pub guard: bool,
    /// Also when the credentials end before the run does.
    pub force: bool,
    /// Of provision, start, load and recover together.
    pub max_duration: Option<Duration>,
    /// Hosts that may be loaded though nothing proves whose they are.
    pub allowed: Vec<String>,
    pub organisation: OrganisationFile,
    pub repeats: Repeats,
}

/// Of `--repeat`: what one request may use, its repetitions share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeats {
    /// This one and those after it.
    pub left: u32,
    pub before: limits::Before,
}

impl Default for Repeats {
    fn default() -> Self {
        Self {
            left: 1,
            before: limits::Before::default(),
        }
    }
}

impl Repeats {
    /// After one of them.
    pub fn after(self, report: &RunReport) -> Self {
        let bounded = [Phase::Provision, Phase::Start, Phase::Load, Phase::Recover];
        let took: Duration = report
            .took
            .iter()
            .filter(|(phase, _)| bounded.contains(phase))
            .map(|(_, took)| *took)
            .sum();
        let spent = report.cost.map_or(0.0, |cost| cost.usd.0);
        let before = limits::Before {
            took: self.before.took + took,
            spent: Usd(self.before.spent.0 + spent),
        };
        Self {
            left: self.left.saturating_sub(1),
            before,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetKind {
    Fargate,
    Local,
}

impl FleetKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Fargate => "Fargate",
            Self::Local => "local processes",
        }
    }
}

/// What every phase is given.
#[derive(Clone)]
pub struct Context {
    pub wanted: Arc<Wanted>,
    pub events: Events,
    pub interrupt: Interrupt,
}

/// What a run leaves: its report, and the folder it is in.
pub struct Outcome {
    pub report: RunReport,
    pub folder: PathBuf,
}

/// Runs a scenario. Whatever happens after the plan, everything that was made is destroyed before
/// this returns.
pub async fn run(cx: Context) -> Result<Outcome, RunError> {
    let planned = planned(&cx).await?;
    let frame = Frame::open(&cx, &planned)?;
    post_guard(&cx, &frame, &planned).await?;

    let mut at_once = stop_when_signalled(&cx, &frame);
    let lived = framed(&cx, live(cx.clone(), frame.clone(), planned)).await;
    // A signal from here on is about the destroy, not about the verdict.
    let interrupted = cx.interrupt.stop_load().is_cancelled();
    let destroyed = guarded(cx.clone(), frame.clone()).await;

    stop_order_is_out(&cx, &mut at_once).await;
    let outcome = conclude::conclude(&cx, &frame, lived, interrupted, destroyed).await;
    if let Some(news) = frame.let_go(outcome.report.destroyed.left.is_empty()).await {
        cx.events.warn(news);
    }
    Ok(outcome)
}

/// Whatever a phase is waiting for: the first act on a signal is the stop order, given again until
/// the store takes it.
fn stop_when_signalled(cx: &Context, frame: &Arc<Frame>) -> JoinSet<()> {
    let mut at_once = JoinSet::new();
    let (signalled, frame) = (cx.interrupt.stop_load().clone(), frame.clone());
    at_once.spawn(async move {
        signalled.cancelled().await;
        // Another who drives the run has written one of his own.
        while !matches!(
            frame.stop("interrupted").await,
            Ok(()) | Err(ChannelError::Fenced)
        ) {
            sleep(STOP_AGAIN).await;
        }
    });
    at_once
}

/// Also whoever leaves at the third signal waits for the order that ends the load: everything else
/// has time.
async fn stop_order_is_out(cx: &Context, at_once: &mut JoinSet<()>) {
    if cx.interrupt.stop_load().is_cancelled() {
        let _ = timeout(STOP_ORDER, at_once.join_next()).await;
    }
}

/// Before anything is made: somebody who destroys it if we are killed.
async fn post_guard(cx: &Context, frame: &Frame, planned: &plan::Planned) -> Result<(), RunError> {
    let Some(terraform) = &planned.terraform else {
        return Ok(());
    };
    if !cx.wanted.guard {
        return Ok(());
    }
    let options = GuardOptions {
        run: frame.run.clone(),
        folder: frame.folder.clone(),
        terraform: terraform.path.clone(),
    };
    let failed = |error| {
        RunError::could_not(
            Phase::Plan,
            format!("the guard could not be started: {error}"),
        )
    };
    let guard =
        Guard::start(options).map_err(|error| failed(error).hint("`--no-guard` does without"))?;
    frame.set_guard(guard).await;
    Ok(())
}

/// Until there is a plan nothing has been made: a signal or a panic ends it at once.
async fn planned(cx: &Context) -> Result<plan::Planned, RunError> {
    let mut task = JoinSet::new();
    let planning = cx.clone();
    task.spawn(async move { plan::plan(&planning).await });
    tokio::select! {
        planned = task.join_next() => match planned {
            Some(Ok(planned)) => planned,
            Some(Err(panic)) => Err(RunError::could_not(Phase::Plan, format!("a bug in spikeproof: {panic}"))),
            None => Err(RunError::could_not(Phase::Plan, "the plan vanished")),
        },
        () = cx.interrupt.stop_load().cancelled() => Err(RunError::interrupted(Phase::Plan)),
    }
}

/// From nothing to a judgement.
async fn live(
    cx: Context,
    frame: Arc<Frame>,
    planned: plan::Planned,
) -> Result<Evidenced, RunError> {
    let mut clock = JoinSet::new();
    planned.bounds.keep(&mut clock);
    let provisioned = timed(
        &cx,
        &frame,
        Phase::Provision,
        provision::provision(&cx, &frame, planned),
    )
    .await?;
    let started = timed(
        &cx,
        &frame,
        Phase::Start,
        start::start(&cx, &frame, provisioned),
    )
    .await?;
    let loaded = timed(&cx, &frame, Phase::Load, load::load(&cx, &frame, started)).await?;
    let recovered = timed(
        &cx,
        &frame,
        Phase::Recover,
        recover::recover(&cx, &frame, loaded),
    )
    .await?;
    let collected = timed(
        &cx,
        &frame,
        Phase::Collect,
        collect::collect(&cx, &frame, recovered),
    )
    .await?;
    timed(&cx, &frame, Phase::Judge, judge::judge(collected)).await
}

/// A panic in a phase ends in destroy like every other error.
async fn framed(
    cx: &Context,
    life: impl Future<Output = Result<Evidenced, RunError>> + Send + 'static,
) -> Result<Evidenced, RunError> {
    let mut task = JoinSet::new();
    task.spawn(life);
    let ended = tokio::select! {
        ended = task.join_next() => ended,
        // The third signal: whoever sends it does not wait for anything any more.
        () = cx.interrupt.leave().cancelled() => return Err(RunError::interrupted(Phase::Destroy)),
    };
    match ended {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(RunError::could_not(
            Phase::Load,
            format!("a bug in spikeproof: {panic}"),
        )),
        None => Err(RunError::could_not(Phase::Load, "the run vanished")),
    }
}

/// A panic in destroy must not hide what may be left.
async fn guarded(cx: Context, frame: Arc<Frame>) -> Destruction {
    let mut task = JoinSet::new();
    let kept = frame.clone();
    task.spawn(async move {
        #[cfg(debug_assertions)]
        if let Err(error) = mishap::meet(&cx, Phase::Destroy).await {
            return destroy::abandoned(&frame, &error.what);
        }
        destroy::destroy(&cx, &frame).await
    });
    match task.join_next().await {
        Some(Ok(destruction)) => destruction,
        _ => destroy::abandoned(&kept, "a bug in spikeproof ended the destroy"),
    }
}

/// Tells when a phase begins and ends, and keeps how long it took.
async fn timed<T>(
    cx: &Context,
    frame: &Frame,
    phase: Phase,
    work: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    cx.events.say(Event::PhaseBegan { phase });
    let begun = Instant::now();
    #[cfg(debug_assertions)]
    let work = async {
        mishap::meet(cx, phase).await?;
        work.await
    };
    let result = work.await;
    let took: Duration = begun.elapsed();
    frame.took(phase, took);
    cx.events.say(Event::PhaseEnded { phase, took });
    result
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};

    use super::interrupt::Urgency;
    use super::*;
    use crate::channel::Channel;
    use crate::fleet::local::LocalFleet;

    /// Signals a run whose store takes so long for each write; whether the order is there when it
    /// leaves, and after how long that is.
    async fn leave(write_takes: Duration) -> (bool, Duration) {
        let home = tempfile::tempdir().unwrap();
        let (cx, frame) = frame::example::begun(home.path());
        let slow = ThrottleConfig {
            wait_put_per_call: write_takes,
            ..ThrottleConfig::default()
        };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
        let channel = Channel::new(store, Path::from("run"));
        let orders = crate::fleet::Orders {
            run: frame.run.to_string(),
            epoch: 1,
            max_lifetime: Duration::ZERO,
        };
        let fleet = LocalFleet::new(PathBuf::new(), String::new(), PathBuf::new(), orders);
        frame.equip(Box::new(fleet), channel.clone(), 1).await;
        let mut at_once = stop_when_signalled(&cx, &frame);
        cx.interrupt.raise(Urgency::Leave);
        let begun = tokio::time::Instant::now();
        stop_order_is_out(&cx, &mut at_once).await;
        (
            channel
                .control()
                .await
                .is_ok_and(|control| control.stop.is_some()),
            begun.elapsed(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_waits_for_the_stop_order_and_for_no_store_that_hangs() {
        assert_eq!(
            leave(Duration::from_secs(3)).await,
            (true, Duration::from_secs(3))
        );
        assert_eq!(leave(Duration::from_secs(60)).await, (false, STOP_ORDER));
    }
}
