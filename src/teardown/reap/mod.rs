//! Reap: destroys what earlier runs left, from the journals on this host; or with nothing but
//! credentials, by the names that derive from run ids. The guard of a killed run is a reaper too.
//!
//! Spending is stopped first, whatever else has to be waited for. All deletes are idempotent: two
//! reapers do no harm, and a second reap finds nothing to do.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::TeardownError;
use super::proof::Destruction;
use model::events::Events;
use model::units::RunId;
use provision::journal::names::Thing;
use provision::terraform;

pub(super) mod changed;
pub(super) mod clouds;
mod discovered;
pub(super) mod fence;
pub(super) mod journals;
mod liveness;
pub(super) mod target;
mod work_lock;

pub use changed::ChangedGroup;
pub use journals::{EarlierRun, remove_secrets_of_dead_runs, unfinished};
pub(crate) use liveness::has_young_heartbeat;

use clouds::Clouds;
use discovered::DiscoveredRuns;
use target::{Examined, Halted};

/// Each waits for its tasks' end: hundreds of runs must not ask at the same time.
const STOPPED_AT_ONCE: usize = 16;

/// The result for one earlier run.
#[derive(Debug)]
pub struct Reaped {
    /// The run's id.
    pub run: RunId,
    /// Resources that may be left: by its journal, or by discovery.
    pub leftovers: Vec<Thing>,
    /// Things that are proven gone, each with its evidence.
    pub gone: Vec<String>,
    /// Things that are not, each with its evidence.
    pub left: Vec<String>,
    /// Why it was not touched, if it was not.
    pub skipped: Option<Skipped>,
    /// The group that it may have left changed, unless that is proven to be put back.
    pub changed: Option<ChangedGroup>,
}

/// Why a run was not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// It lives, or may: nothing is wrong.
    Alive(String),
    /// It could not be reaped.
    Unable(String),
}

impl Skipped {
    fn because(self, before: &str) -> Self {
        match self {
            Self::Alive(why) => Self::Alive(format!("{before}{why}")),
            Self::Unable(why) => Self::Unable(format!("{before}{why}")),
        }
    }
}

impl Reaped {
    pub(super) fn new(run: RunId, leftovers: Vec<Thing>) -> Self {
        Self {
            run,
            leftovers,
            gone: Vec::new(),
            left: Vec::new(),
            skipped: None,
            changed: None,
        }
    }

    pub(super) fn became(mut self, result: Result<Destruction, Skipped>) -> Self {
        match result {
            Ok(destruction) => {
                (self.gone, self.left) = (destruction.gone(), destruction.left());
                self.changed = self
                    .changed
                    .filter(|changed| !changed.is_settled(&destruction));
            }
            Err(skipped) => {
                if matches!(skipped, Skipped::Unable(_)) {
                    self.left = self.leftovers.iter().map(ToString::to_string).collect();
                }
                self.skipped = Some(skipped);
            }
        }
        self
    }

    /// Something is left that should not be.
    pub fn is_dirty(&self) -> bool {
        let may_be_changed = self.changed.is_some() && self.skipped.is_none();
        !self.left.is_empty() || may_be_changed
    }
}

/// The result of a reap.
#[derive(Debug, Default)]
pub struct Reap {
    /// One result for each run that was looked at, those of this host first.
    pub runs: Vec<Reaped>,
    /// Lists of the account that could not be read, each with its reason: they may hold more runs.
    pub unread: Vec<String>,
}

/// Which runs are to be reaped, and how.
#[derive(Debug, Clone)]
pub struct Reaping {
    /// The folder of all runs on this host.
    pub runs_dir: PathBuf,
    /// The only run to reap; `None` is every run that may have left something.
    pub only: Option<RunId>,
    /// Only lists.
    pub dry_run: bool,
    /// The terraform or tofu binary; without it everything is deleted by name.
    pub terraform: Option<PathBuf>,
    /// Runs that have no folder here too, found by name in the account.
    pub discover: bool,
    /// Only those runs found by name that were begun this long ago. A run without any heartbeat
    /// must be older than two hours unless this says otherwise.
    pub older_than: Option<Duration>,
    /// Also runs that give signs of life elsewhere.
    pub force: bool,
}

/// Reaps one run, or every run that has leftovers: first none of them costs any more, then one
/// after the other goes.
pub async fn reap(wanted: &Reaping, events: &Events) -> Result<Reap, TeardownError> {
    let mut clouds = Clouds::default();
    let here = journals::examine(wanted, &mut clouds, events).await?;
    // A run that is clean by its journal may have got something back since.
    let dirty = here
        .iter()
        .map(Examined::entry)
        .filter(|entry| !entry.leftovers.is_empty());
    let known: Vec<RunId> = dirty.map(|entry| entry.run.clone()).collect();
    // Runs that are known to cost do not wait for a search through the account.
    let mut halted = stop_all(here, wanted, events).await;
    let found = match wanted.discover {
        true => discovered::examine(wanted, &mut clouds, &known, events).await,
        false => Ok(DiscoveredRuns::default()),
    };
    let found = match found {
        Ok(DiscoveredRuns { examined, unread }) => {
            halted.extend(stop_all(examined, wanted, events).await);
            Ok(unread)
        }
        Err(error) => Err(error),
    };
    let runs = destroy_each(halted, wanted, events).await;
    let unread = found?;
    match &wanted.only {
        Some(only) if runs.is_empty() => Err(TeardownError::NoSuchRun {
            run: only.clone(),
            runs_dir: wanted.runs_dir.clone(),
        }),
        _ => Ok(Reap { runs, unread }),
    }
}

/// In the order they were found in; a run whose tasks are slow to stop holds up none of the others.
async fn stop_all(examined: Vec<Examined>, wanted: &Reaping, events: &Events) -> Vec<Halted> {
    let mut stops: Vec<BoxFuture<'_, (usize, Halted)>> = Vec::new();
    for (number, run) in examined.into_iter().enumerate() {
        stops.push(Box::pin(async move {
            match run {
                Examined::Settled(reaped) => (number, Halted::Settled(reaped)),
                Examined::Open(target) => (number, target.stop(wanted, events).await),
            }
        }));
    }
    let mut halted: Vec<_> = futures_util::stream::iter(stops)
        .buffer_unordered(STOPPED_AT_ONCE)
        .collect()
        .await;
    halted.sort_by_key(|(number, _)| *number);
    halted.into_iter().map(|(_, run)| run).collect()
}

async fn destroy_each(halted: Vec<Halted>, wanted: &Reaping, events: &Events) -> Vec<Reaped> {
    // Located once, when nothing costs any more: a program of that name in PATH may hang.
    let terraform = OnceCell::new();
    let locate = || async {
        terraform::locate(wanted.terraform.as_deref(), |name| std::env::var_os(name))
            .await
            .ok()
    };
    let mut reaped = Vec::new();
    for run in halted {
        reaped.push(match run {
            Halted::Settled(reaped) => reaped,
            Halted::Stopped(mut stopped) => {
                if stopped.is_known_to_terraform() {
                    stopped.set_terraform(terraform.get_or_init(locate).await.clone());
                }
                stopped.destroy(events).await
            }
        });
    }
    reaped
}

#[cfg(test)]
mod tests;
