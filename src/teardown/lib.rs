//! Destroys what a run made, and proves by name that it is gone.
//!
//! The end of a run, `spikeproof reap` and the guard share one core, `destroy`.
//!
//! It leaves out a run's phases: it works from a run id, an AWS account, and the run's folder where
//! there is one.
//!
//! # Example
//!
//! ```no_run
//! use model::events::Events;
//! use teardown::reap::{Reaping, reap};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (events, _said) = Events::channel();
//! let wanted = Reaping {
//!     runs_dir: "runs".into(),
//!     only: None,
//!     dry_run: true,
//!     terraform: None,
//!     discover: true,
//!     older_than: None,
//!     force: false,
//! };
//! for run in reap(&wanted, &events).await?.runs {
//!     println!("{}: leftovers {}", run.run, run.is_dirty());
//! }
//! # Ok(())
//! # }
//! ```

use std::path::Path;
use std::sync::Arc;

use cloud::aws::{Aws, Cloud};
use model::events::Events;
use model::units::RunId;
use provision::journal::GroupChange;
use provision::journal::locks::WorkLock;
use provision::terraform::Binary;

pub mod beside; // runs that test the same group at the same time
mod delete; // deletes by name until each thing is gone or given up
pub mod destroy; // the core: stop spending, terraform, delete, prove
pub mod discover; // finds runs in an account, by the names of resources
mod error; // a teardown that could not be carried out
#[cfg(test)]
mod example; // a run for tests
pub mod guard; // a process that destroys a run whose orchestrator was killed
pub mod inventory; // describes and deletes what exists of a run, by name
pub mod proof; // AWS's answer about each thing that a run could have made
pub mod reap; // destroys what earlier runs left
mod terraform; // `terraform destroy`, repeated by the kind of its failure

pub use destroy::{destroy, put_back};
pub use error::TeardownError;

use inventory::Inventory;

/// All that a teardown needs to know of a run.
pub struct Teardown<'a> {
    /// Where the run is: the account and region whose answers prove that it is gone.
    pub aws: &'a Cloud,
    /// The run that is destroyed.
    pub run: &'a RunId,
    /// The knowledge that its journal adds to the id.
    pub journal: JournalFacts,
    /// The settings of the target's group that the run has changed, by its journal or its note.
    pub changes: Vec<GroupChange>,
    /// The run's folder and its work lock, where they are on this host: only then can terraform
    /// help.
    pub lock: Option<LockedFolder<'a>>,
    /// The terraform or tofu binary; without it everything is deleted by name.
    pub terraform: Option<&'a Binary>,
    /// Progress goes there.
    pub events: &'a Events,
}

/// The knowledge that a teardown has from the run's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalFacts {
    /// An apply was cut off: what it was making may appear later.
    pub unsettled: bool,
    /// False where nothing but an id says that there was such a run. Then a thing is the run's only
    /// if it carries the run's tag: the name alone may be anybody's.
    pub known: bool,
}

/// A run's folder in which nothing else of the run works on this host.
pub struct LockedFolder<'a> {
    /// The run's folder.
    pub path: &'a Path,
    /// Keeps other processes from working on the run.
    pub lock: Arc<WorkLock>,
}

impl<'a> Teardown<'a> {
    /// By names alone, without the run's folder and without terraform.
    pub fn by_name(
        aws: &'a Cloud,
        run: &'a RunId,
        journal: JournalFacts,
        events: &'a Events,
    ) -> Self {
        Self {
            aws,
            run,
            journal,
            changes: Vec::new(),
            lock: None,
            terraform: None,
            events,
        }
    }

    /// The same with the settings of the target's group that the run has changed.
    pub fn with_changes(self, changes: Vec<GroupChange>) -> Self {
        Self { changes, ..self }
    }

    /// The run's things in AWS.
    pub fn inventory(&self) -> Inventory {
        self.inventory_in(&self.aws.aws)
    }

    /// The same with other credentials.
    fn inventory_in(&self, aws: &Aws) -> Inventory {
        let inventory = Inventory::new(aws, self.run)
            .with_changes(self.changes.clone(), self.journal.unsettled);
        if self.journal.known {
            inventory
        } else {
            inventory.tagged_only()
        }
    }
}
