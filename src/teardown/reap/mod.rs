//! Reap: destroys what earlier runs left. From the journals on this host; or with nothing at hand
//! but credentials, by the names that derive from run ids. The guard of a killed run is a reaper
//! too.
//!
//! Spending is stopped first, whatever else has to be waited for. All deletes are idempotent: two
//! reapers do no harm, and a second reap finds nothing to do.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::TeardownError;
use super::destroy::Destruction;
use crate::events::Events;
use crate::journal::names::Thing;
use crate::terraform;
use crate::units::RunId;

mod alone;
mod clouds;
mod discovered;
mod fence;
mod journals;
mod liveness;
mod orphaned;
mod target;

pub use journals::{forget_all_secrets, unfinished};
pub use orphaned::when_orphaned;

use clouds::Clouds;
use discovered::Strangers;
use target::{Halted, Looked};

/// Each waits for its tasks' end: hundreds of runs must not ask at the same time.
const STOPPED_AT_ONCE: usize = 16;

/// What became of one earlier run.
#[derive(Debug)]
pub struct Reaped {
    pub run: RunId,
    /// What may be left: as its journal says, or as was found.
    pub leftovers: Vec<Thing>,
    pub gone: Vec<String>,
    pub left: Vec<String>,
    /// Why it was not touched, if it was not.
    pub skipped: Option<Skipped>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// It lives, or may: nothing is wrong.
    Alive(String),
    /// It could not be reaped.
    Unable(String),
}

impl Skipped {
    fn because(self, but: &str) -> Self {
        match self {
            Self::Alive(why) => Self::Alive(format!("{but}{why}")),
            Self::Unable(why) => Self::Unable(format!("{but}{why}")),
        }
    }
}

impl Reaped {
    fn new(run: RunId, leftovers: Vec<Thing>) -> Self {
        Self {
            run,
            leftovers,
            gone: Vec::new(),
            left: Vec::new(),
            skipped: None,
        }
    }

    fn became(mut self, result: Result<Destruction, Skipped>) -> Self {
        match result {
            Ok(destruction) => (self.gone, self.left) = (destruction.gone, destruction.left),
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
        !self.left.is_empty()
    }
}

/// What a reap came to.
#[derive(Debug, Default)]
pub struct Reap {
    pub runs: Vec<Reaped>,
    /// Lists of the account that could not be read, each with its reason: there may be runs that
    /// nobody found.
    pub unread: Vec<String>,
}

/// What is to be reaped, and how.
#[derive(Debug, Clone)]
pub struct Reaping {
    pub runs_dir: PathBuf,
    pub only: Option<RunId>,
    /// Only lists.
    pub dry_run: bool,
    /// The terraform or tofu binary; one that is not there is done without.
    pub terraform: Option<PathBuf>,
    /// Runs that have no folder here too, found by name in the account.
    pub discover: bool,
    /// Of the runs that were found by name, only those begun so long ago. A run without any beat
    /// must be older than two hours unless this says otherwise.
    pub older_than: Option<Duration>,
    /// Also runs that give signs of life elsewhere.
    pub force: bool,
}

/// Reaps one run, or every run that has leftovers: first none of them costs any more, then one
/// after the other goes.
pub async fn reap(wanted: &Reaping, events: &Events) -> Result<Reap, TeardownError> {
    let mut clouds = Clouds::default();
    let here = journals::look(wanted, &mut clouds, events).await?;
    // A run that is clean by its journal may have got something back since.
    let dirty = here
        .iter()
        .map(Looked::entry)
        .filter(|entry| !entry.leftovers.is_empty());
    let known: Vec<RunId> = dirty.map(|entry| entry.run.clone()).collect();
    // What is known to cost does not wait for a search through the account.
    let mut halted = stop_all(here, wanted, events).await;
    let found = match wanted.discover {
        true => discovered::look(wanted, &mut clouds, &known, events).await,
        false => Ok(Strangers::default()),
    };
    let found = match found {
        Ok(Strangers { looked, unread }) => {
            halted.extend(stop_all(looked, wanted, events).await);
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
async fn stop_all(looked: Vec<Looked>, wanted: &Reaping, events: &Events) -> Vec<Halted> {
    let mut stops: Vec<BoxFuture<'_, (usize, Halted)>> = Vec::new();
    for (number, run) in looked.into_iter().enumerate() {
        stops.push(Box::pin(async move {
            match run {
                Looked::Settled(reaped) => (number, Halted::Settled(reaped)),
                Looked::Open(case) => (number, case.stop(wanted, events).await),
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
    // Asked once, when nothing costs any more: what stands in for it in PATH may hang.
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
                    stopped.give(terraform.get_or_init(locate).await.clone());
                }
                stopped.destroy(events).await
            }
        });
    }
    reaped
}

#[cfg(test)]
mod tests;
