//! One run on its way to its end: first nothing of it costs any more, then everything is destroyed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::alone::alone;
use super::discovered::{Sight, look_around};
use super::fence::fence;
use super::liveness::{Begun, alive, beats};
use super::{Reaped, Reaping, Skipped};
use crate::aws::Cloud;
use crate::events::Events;
use crate::journal::{self, Journal, JournalError, Record, ballast, locks};
use crate::outcome::Exit;
use crate::teardown::destroy::{self, Destruction, Site, dismantle, stop_spending};
use crate::teardown::proof::{self, PROOF, prove};
use crate::terraform::{self, Binary};

/// How often it is looked whether another has let go.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// From taking a lock to saying who did.
const UNTOLD: Duration = Duration::from_secs(2);

/// A run that was looked at.
pub(super) enum Looked {
    /// All is said.
    Settled(Reaped),
    Open(Box<Case>),
}

impl Looked {
    pub fn entry(&self) -> &Reaped {
        match self {
            Self::Settled(entry) => entry,
            Self::Open(case) => &case.entry,
        }
    }
}

/// A run that is to be destroyed.
pub(super) struct Case {
    pub entry: Reaped,
    pub cloud: Cloud,
    pub place: Place,
}

/// Where what is known of it comes from.
pub(super) enum Place {
    /// Its folder is on this host.
    Here {
        folder: PathBuf,
        records: Vec<Record>,
        /// The journal says more, and it cannot be read.
        damaged: bool,
    },
    /// It was found by name. The proof goes to this file.
    Elsewhere { proof: PathBuf },
}

/// A run that costs nothing any more.
pub(super) struct Stopped {
    case: Box<Case>,
    terraform: Option<Binary>,
    hold: Hold,
    unsettled: bool,
}

/// Who drives a run.
enum Hold {
    /// We do, and write its journal.
    Ours(Box<Journal>),
    /// There is no journal that could be written: names are enough.
    ByName,
    /// Another reaper, which may be killed at any moment.
    Another(String),
}

/// What became of a run that was to cost nothing any more.
pub(super) enum Halted {
    Settled(Reaped),
    Stopped(Stopped),
}

impl Case {
    /// Stop order and StopTask; unless it lives, or has been destroyed meanwhile. Waits for nobody:
    /// other runs' tasks cost too.
    pub async fn stop(self: Box<Self>, wanted: &Reaping, events: &Events) -> Halted {
        match self.halt(wanted, events).await {
            Ok((hold, unsettled)) => Halted::Stopped(Stopped {
                case: self,
                terraform: None,
                hold,
                unsettled,
            }),
            Err(end) => Halted::Settled(self.entry.became(end)),
        }
    }

    async fn halt(
        &self,
        wanted: &Reaping,
        events: &Events,
    ) -> Result<(Hold, bool), Result<Destruction, Skipped>> {
        let mut site = self.site(false, events);
        let mut hold = match &self.place {
            Place::Here {
                folder,
                records,
                damaged,
            } => {
                let begun = Begun::of(records);
                if let Some(but) = begun.doubt(folder) {
                    alive(wanted, &site)
                        .await
                        .map_err(|why| Err(why.because(&but)))?;
                }
                let hold = Hold::take(folder, begun, &site).await.map_err(Err)?;
                if matches!(hold, Hold::Ours(_)) && is_finished(&journal::read(folder)) {
                    return Err(Ok(Destruction::default()));
                }
                site.unsettled = *damaged || journal::unsettled(records);
                let is_known =
                    !site.by_name || wanted.force || proof::is_of(&folder.join(PROOF), &site);
                if !is_known {
                    let Sight { there, elsewhere } = look_around(&site).await;
                    if there.is_empty() || elsewhere.is_some() {
                        return Err(Err(Skipped::Unable(nowhere(folder, elsewhere, &site))));
                    }
                }
                hold
            }
            Place::Elsewhere { .. } => {
                alive(wanted, &site).await.map_err(Err)?;
                // One that never beat may have been killed in the middle of its apply.
                site.unsettled = !beats(&site).await;
                Hold::ByName
            }
        };
        hold.write(Record::IntentDestroy);
        fence(&site).await;
        stop_spending(&site, &self.entry.leftovers).await;
        let unsettled = site.unsettled;
        Ok((hold, unsettled))
    }

    fn site<'a>(&'a self, unsettled: bool, events: &'a Events) -> Site<'a> {
        let by_name = match &self.place {
            Place::Here { records, .. } => journal::head(records).is_none(),
            Place::Elsewhere { .. } => true,
        };
        Site {
            cloud: &self.cloud,
            run: &self.entry.run,
            host: None,
            terraform: None,
            unsettled,
            by_name,
            events,
        }
    }
}

impl Hold {
    /// Becomes the one that drives the run, if nobody does. Without a readable journal there is
    /// nothing to write, and everything to destroy.
    async fn take(folder: &Path, begun: Begun, site: &Site<'_>) -> Result<Self, Skipped> {
        let asked = Instant::now();
        loop {
            // On a full disk it is needed from here on, and by nobody else.
            if !locks::is_driven(folder) {
                ballast::release(folder);
            }
            match Journal::open(folder) {
                Ok((journal, _)) => return Ok(Self::Ours(Box::new(journal))),
                Err(JournalError::Owned { holder, .. }) if holder.contains(journal::REAPER) => {
                    return Ok(Self::Another(holder));
                }
                // Another reaper has the lock a moment before it says so.
                Err(JournalError::Owned { .. }) if asked.elapsed() < UNTOLD => sleep(LOOK).await,
                // The run itself lives on this host.
                Err(error @ JournalError::Owned { .. }) if begun == Begun::Here => {
                    return Err(Skipped::Alive(error.to_string()));
                }
                Err(error) => {
                    site.events
                        .warn(format!("{}: {error}; going on by name", site.run));
                    return Ok(Self::ByName);
                }
            }
        }
    }

    /// A disk that takes no record must not keep anything alive.
    fn write(&mut self, record: Record) {
        if let Self::Ours(journal) = self {
            let _ = journal.write(record);
        }
    }
}

impl Stopped {
    /// Elsewhere there is no state that it could do anything with.
    pub fn is_known_to_terraform(&self) -> bool {
        matches!(&self.case.place, Place::Here { folder, .. } if terraform::has_module(folder))
    }

    pub fn give(&mut self, terraform: Option<Binary>) {
        self.terraform = terraform;
    }

    /// Everything else that the run has, one thing after the other.
    pub async fn destroy(mut self, events: &Events) -> Reaped {
        let ended = self.end(events).await;
        self.case.entry.became(ended)
    }

    async fn end(&mut self, events: &Events) -> Result<Destruction, Skipped> {
        let mut site = self.case.site(self.unsettled, events);
        site.terraform = self.terraform.as_ref();
        let proof = match &self.case.place {
            Place::Here { folder, .. } => {
                if let Hold::Another(holder) = &self.hold {
                    self.hold = when_let_go(folder, holder, &site).await?;
                    // Who was waited for may have done everything.
                    if is_finished(&journal::read(folder)) {
                        return Ok(Destruction::default());
                    }
                    self.hold.write(Record::IntentDestroy);
                }
                site.host = alone(folder, events)
                    .await
                    .map(|lock| (folder.as_path(), Arc::new(lock)));
                folder.join(PROOF)
            }
            Place::Elsewhere { proof } => {
                let _ = proof.parent().map(std::fs::create_dir_all);
                proof.clone()
            }
        };
        let destruction = dismantle(&site, &self.case.entry.leftovers).await;
        destroy::keep(&destruction, |record| self.hold.write(record));
        prove(&proof, &site, &destruction);
        if destruction.left.is_empty() {
            self.hold.write(Record::Finished {
                exit: Exit::CouldNotRun,
            });
        }
        Ok(destruction)
    }
}

/// Waits for another reaper's end, and takes its place if it has been killed.
async fn when_let_go(folder: &Path, holder: &str, site: &Site<'_>) -> Result<Hold, Skipped> {
    site.events.note(format!(
        "{}: {holder} is at it: waiting for its end",
        site.run
    ));
    let begun = Instant::now();
    loop {
        match Hold::take(folder, Begun::Here, site).await? {
            Hold::Another(_) if begun.elapsed() < destroy::BOUND => sleep(LOOK).await,
            Hold::Another(_) => return Err(Skipped::Unable(format!("{holder} does not end"))),
            hold => return Ok(hold),
        }
    }
}

/// Nothing found proves nothing where nobody knows that this is the account.
fn nowhere(folder: &Path, elsewhere: Option<String>, site: &Site<'_>) -> String {
    let seen = elsewhere
        .map(|evidence| format!(" ({evidence})"))
        .unwrap_or_default();
    format!(
        "its journal cannot be read, so that nobody knows where it ran; nothing of it is in account {}, {}{seen}. Reap it with \
         the credentials and the region it ran with, or pass `--force` if these are the ones; then remove {}",
        site.cloud.caller.account,
        site.cloud.aws.region,
        folder.display()
    )
}

fn is_finished(records: &[Record]) -> bool {
    records
        .iter()
        .any(|record| matches!(record, Record::Finished { .. }))
        && journal::leftovers(records).is_empty()
}
