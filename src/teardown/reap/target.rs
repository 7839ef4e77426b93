//! One run on its way to its end: first nothing of it costs any more, then everything is destroyed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::discovered::{Sight, look_around};
use super::fence::fence;
use super::liveness::{BootOrigin, ensure_dead, has_heartbeat};
use super::work_lock::take_work_lock;
use super::{Reaped, Reaping, Skipped};
use crate::destroy::{self, put_back, stop_spending};
use crate::proof::{Destruction, PROOF, is_from_same_place};
use crate::{JournalFacts, LockedFolder, Teardown};
use cloud::aws::Cloud;
use model::events::Events;
use model::outcome::Exit;
use provision::journal::locks::{self, LockHolder};
use provision::journal::{self, GroupChange, Journal, JournalError, Record, reserve};
use provision::terraform::{self, Binary};

/// Between two looks whether another process has let go of a lock.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
/// From taking a lock to writing into it who did.
const UNNAMED: Duration = Duration::from_secs(2);

/// A run that is to be destroyed.
pub(super) struct ReapTarget {
    pub entry: Reaped,
    pub cloud: Cloud,
    pub source: Source,
}

/// Where the knowledge of a run comes from.
pub(super) enum Source {
    /// Its folder is on this host.
    Folder {
        folder: PathBuf,
        records: Vec<Record>,
        /// The journal says more, and it cannot be read.
        damaged: bool,
    },
    /// It was found by name.
    Account {
        /// The proof goes to this file.
        proof: PathBuf,
        /// The settings that it has changed, by its note in its bucket.
        changes: Vec<GroupChange>,
        /// The note says that it had read them back.
        read_back: bool,
    },
}

/// A run that was looked at.
pub(super) enum Examined {
    /// There is nothing to do, or nothing may be done.
    Settled(Reaped),
    Open(Box<ReapTarget>),
}

impl Examined {
    pub(super) fn entry(&self) -> &Reaped {
        match self {
            Self::Settled(entry) => entry,
            Self::Open(target) => &target.entry,
        }
    }
}

/// A run after everything was asked to stop.
pub(super) enum Halted {
    Settled(Reaped),
    Stopped(StoppedTarget),
}

/// A run that costs nothing any more.
pub(super) struct StoppedTarget {
    target: Box<ReapTarget>,
    terraform: Option<Binary>,
    ownership: Ownership,
    journal: JournalFacts,
}

/// Who drives a run.
enum Ownership {
    /// This process, which writes its journal.
    Ours(Box<Journal>),
    /// There is no journal that could be written: names are enough.
    ByName,
    /// Another reaper, which may be killed at any moment.
    OtherReaper(LockHolder),
}

/// Why a run is not stopped.
enum NotStopped {
    AlreadyDestroyed,
    Skipped(Skipped),
}

impl From<Skipped> for NotStopped {
    fn from(skipped: Skipped) -> Self {
        Self::Skipped(skipped)
    }
}

impl ReapTarget {
    /// Writes the stop order and stops the tasks, unless the run lives or has been destroyed
    /// meanwhile. Waits for no other process: other runs' tasks cost too.
    pub(super) async fn stop(self: Box<Self>, wanted: &Reaping, events: &Events) -> Halted {
        match self.halt(wanted, events).await {
            Ok((ownership, journal)) => Halted::Stopped(StoppedTarget {
                target: self,
                terraform: None,
                ownership,
                journal,
            }),
            Err(NotStopped::AlreadyDestroyed) => {
                Halted::Settled(self.entry.became(Ok(Destruction::default())))
            }
            Err(NotStopped::Skipped(skipped)) => Halted::Settled(self.entry.became(Err(skipped))),
        }
    }

    async fn halt(
        &self,
        wanted: &Reaping,
        events: &Events,
    ) -> Result<(Ownership, JournalFacts), NotStopped> {
        let mut teardown = self.teardown(self.facts(), events);
        let mut ownership = match &self.source {
            Source::Folder {
                folder, records, ..
            } => take_over(folder, records, wanted, &teardown).await?,
            Source::Account { read_back, .. } => {
                ensure_dead(wanted, &teardown).await?;
                // A run without any heartbeat may have been killed in the middle of its apply, one
                // that has not read its values back in the middle of its change.
                teardown.journal.unsettled = !read_back || !has_heartbeat(&teardown).await;
                Ownership::ByName
            }
        };
        ownership.write(Record::IntentDestroy);
        fence(&teardown).await;
        let things = &self.entry.leftovers;
        tokio::join!(
            put_back(&teardown, things),
            stop_spending(&teardown, things)
        );
        Ok((ownership, teardown.journal))
    }

    fn facts(&self) -> JournalFacts {
        match &self.source {
            Source::Folder {
                records, damaged, ..
            } => JournalFacts {
                unsettled: *damaged || journal::unsettled(records),
                known: journal::head(records).is_some(),
            },
            Source::Account { .. } => JournalFacts {
                unsettled: false,
                known: false,
            },
        }
    }

    fn teardown<'a>(&'a self, facts: JournalFacts, events: &'a Events) -> Teardown<'a> {
        let changes = match &self.source {
            Source::Folder { records, .. } => journal::changes(records),
            Source::Account { changes, .. } => changes.clone(),
        };
        Teardown::by_name(&self.cloud, &self.entry.run, facts, events).with_changes(changes)
    }
}

/// Takes over a run whose folder is on this host, if it may be destroyed.
async fn take_over(
    folder: &Path,
    records: &[Record],
    wanted: &Reaping,
    teardown: &Teardown<'_>,
) -> Result<Ownership, NotStopped> {
    let origin = BootOrigin::of(records);
    if let Some(why) = origin.uncertainty(folder) {
        ensure_dead(wanted, teardown)
            .await
            .map_err(|skipped| skipped.because(&why))?;
    }
    let ownership = Ownership::take(folder, origin, teardown).await?;
    if matches!(ownership, Ownership::Ours(_)) && is_finished(&journal::read(folder)) {
        return Err(NotStopped::AlreadyDestroyed);
    }
    let is_place_known =
        teardown.journal.known || wanted.force || is_from_same_place(&folder.join(PROOF), teardown);
    if !is_place_known {
        let Sight { there, elsewhere } = look_around(teardown).await;
        if there.is_empty() || elsewhere.is_some() {
            return Err(Skipped::Unable(unknown_place(folder, elsewhere, teardown)).into());
        }
    }
    Ok(ownership)
}

impl Ownership {
    /// Becomes the process that drives the run, if none does. Without a readable journal there is
    /// nothing to write, and everything to destroy.
    async fn take(
        folder: &Path,
        origin: BootOrigin,
        teardown: &Teardown<'_>,
    ) -> Result<Self, Skipped> {
        let asked = Instant::now();
        loop {
            // On a full disk the reserve is needed from here on, and by no other process.
            if !locks::is_driven(folder) {
                reserve::release(folder);
            }
            match Journal::open(folder) {
                Ok((journal, _)) => return Ok(Self::Ours(Box::new(journal))),
                Err(JournalError::Owned { holder, .. }) if holder.is_reaper() => {
                    return Ok(Self::OtherReaper(holder));
                }
                // Another reaper has the lock a moment before it says so; until then the file may
                // still name the run.
                Err(JournalError::Owned { .. }) if asked.elapsed() < UNNAMED => sleep(LOOK).await,
                // The run itself lives on this host.
                Err(error @ JournalError::Owned { .. }) if origin == BootOrigin::ThisBoot => {
                    return Err(Skipped::Alive(error.to_string()));
                }
                Err(error) => {
                    teardown
                        .events
                        .warn(format!("{}: {error}; deleting by name", teardown.run));
                    return Ok(Self::ByName);
                }
            }
        }
    }

    /// A disk that takes no record must not keep anything alive.
    fn write(&mut self, record: Record) {
        if let Self::Ours(journal) = self {
            drop(journal.write(record));
        }
    }
}

impl StoppedTarget {
    /// True if terraform has a state of it here that it could work with.
    pub(super) fn is_known_to_terraform(&self) -> bool {
        matches!(&self.target.source, Source::Folder { folder, .. } if terraform::has_module(folder))
    }

    /// Destroys with this terraform too.
    pub(super) fn set_terraform(&mut self, terraform: Option<Binary>) {
        self.terraform = terraform;
    }

    /// Destroys everything else that the run has, one thing after the other.
    pub(super) async fn destroy(mut self, events: &Events) -> Reaped {
        let ended = self.end(events).await;
        self.target.entry.became(ended)
    }

    async fn end(&mut self, events: &Events) -> Result<Destruction, Skipped> {
        let mut teardown = self.target.teardown(self.journal, events);
        teardown.terraform = self.terraform.as_ref();
        let proof = match &self.target.source {
            Source::Folder { folder, .. } => {
                if let Ownership::OtherReaper(holder) = &self.ownership {
                    self.ownership = wait_for_reaper(folder, holder, &teardown).await?;
                    // The other reaper may have done everything.
                    if is_finished(&journal::read(folder)) {
                        return Ok(Destruction::default());
                    }
                    self.ownership.write(Record::IntentDestroy);
                }
                teardown.lock = take_work_lock(folder, events)
                    .await
                    .map(|lock| LockedFolder {
                        path: folder,
                        lock: Arc::new(lock),
                    });
                folder.join(PROOF)
            }
            Source::Account { proof, .. } => {
                drop(proof.parent().map(std::fs::create_dir_all));
                proof.clone()
            }
        };
        let destruction = destroy::destroy(&teardown, &self.target.entry.leftovers).await;
        destruction.record(|record| self.ownership.write(record));
        destruction.write_proof(&proof, &teardown);
        if destruction.is_clean() {
            self.ownership.write(Record::Finished {
                exit: Exit::CouldNotRun,
            });
        }
        Ok(destruction)
    }
}

/// Waits for another reaper's end, and takes its place if it has been killed.
async fn wait_for_reaper(
    folder: &Path,
    holder: &LockHolder,
    teardown: &Teardown<'_>,
) -> Result<Ownership, Skipped> {
    teardown.events.note(format!(
        "{}: waiting for {holder}, which destroys this run",
        teardown.run
    ));
    let begun = Instant::now();
    loop {
        match Ownership::take(folder, BootOrigin::ThisBoot, teardown).await? {
            Ownership::OtherReaper(_) if begun.elapsed() < destroy::BOUND => sleep(LOOK).await,
            Ownership::OtherReaper(_) => {
                return Err(Skipped::Unable(format!("{holder} does not end")));
            }
            ownership => return Ok(ownership),
        }
    }
}

/// An account without the run's things proves nothing if the run may have been in another.
fn unknown_place(folder: &Path, elsewhere: Option<String>, teardown: &Teardown<'_>) -> String {
    let seen = elsewhere
        .map(|evidence| format!(" ({evidence})"))
        .unwrap_or_default();
    let Cloud { aws, caller } = teardown.aws;
    format!(
        "its journal cannot be read, so its account and region are unknown; account {}, {} has nothing of it{seen}. Reap it with \
         the credentials and the region it ran with, or pass `--force` if these are the ones; then remove {}",
        caller.account,
        aws.region,
        folder.display()
    )
}

fn is_finished(records: &[Record]) -> bool {
    records
        .iter()
        .any(|record| matches!(record, Record::Finished { .. }))
        && journal::leftovers(records).is_empty()
}
