//! Reads the journals of runs that other processes may drive.

use std::path::{Path, PathBuf};

use super::locks::{self, LockRole};
use super::record::{self, Record};
use super::{HEAD, JOURNAL, JournalError, JournalResult, LARGEST, head, io, is_ours};
use cloud::files::{self, FileRefused};
use model::units::RunId;

/// A run as found on the disk.
#[derive(Debug)]
pub struct Found {
    /// The run's folder.
    pub folder: PathBuf,
    /// The records up to the first bad one, without taking the run over. What a damaged journal
    /// lacks of its copy comes from there; empty if nothing could be read.
    pub records: Vec<Record>,
    /// True if no line, or not every whole line, could be read: the rest of the journal is unknown.
    /// (A torn last line announced nothing that had begun.)
    pub damaged: bool,
    /// Why no process may work with the journal, or with what it says; `None` if one may.
    pub refused: Option<JournalError>,
}

impl Found {
    /// True if neither the journal nor its copy was ever there. Its run has meant nothing: a record
    /// comes before every action.
    pub fn has_no_journal(&self) -> bool {
        let is_missing = |name: &str| {
            let found = std::fs::symlink_metadata(self.folder.join(name));
            found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        self.refused.is_none() && is_missing(JOURNAL) && is_missing(HEAD)
    }

    pub(super) fn of(folder: PathBuf) -> Self {
        match records(&folder) {
            Ok((records, damaged)) => Self {
                folder,
                records,
                damaged,
                refused: None,
            },
            Err(why) => Self {
                folder,
                records: Vec::new(),
                damaged: true,
                refused: Some(why),
            },
        }
    }
}

/// True if the folder is this user's own, and no process drives the run. It may be a copy of a run's
/// folder, or have no journal.
pub fn is_abandoned(folder: &Path) -> bool {
    is_ours(folder).is_ok() && locks::own(folder, LockRole::Reaper).is_ok()
}

/// Reads the records of a folder, and whether there are more that cannot be read.
fn records(folder: &Path) -> JournalResult<(Vec<Record>, bool)> {
    let read = |name: &str| {
        let path = folder.join(name);
        match files::read(&path, LARGEST) {
            // A file that is not there, or that fails, has no records.
            Err(FileRefused::Read(_)) => Ok(Vec::new()),
            read => read.map_err(refused(&path)),
        }
    };
    if folder.exists() {
        is_ours(folder)?;
    }
    let bytes = read(JOURNAL)?;
    let (mut records, good) = record::decode(&bytes);
    let damaged = is_damaged(&bytes, good) || records.is_empty();
    if damaged {
        let copy = record::decode(&read(HEAD)?).0.into_iter();
        let lacking: Vec<Record> = copy.filter(|one| !records.contains(one)).collect();
        // The copy has only what stands before all else.
        records.extend(lacking);
    }
    is_of(folder, &records)?;
    Ok((records, damaged))
}

pub(super) fn refused(path: &Path) -> impl FnOnce(FileRefused) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Refused { path, source }
}

/// Refuses the records of another run than that of the folder's name.
pub(super) fn is_of(folder: &Path, records: &[Record]) -> JournalResult<()> {
    let named = folder.file_name().and_then(|name| name.to_str());
    match (named.and_then(RunId::parse), head(records)) {
        (Some(own), Some(head)) if own != head.run => Err(JournalError::OtherRun {
            folder: folder.to_owned(),
            run: head.run.clone(),
        }),
        _ => Ok(()),
    }
}

/// True if there is more after the good bytes than a line that was being written.
pub(super) fn is_damaged(bytes: &[u8], good: usize) -> bool {
    bytes.get(good..).is_some_and(|rest| rest.contains(&b'\n'))
}

/// Returns the whole records of a run's journal, without becoming its owner. Empty where there is
/// none.
pub fn read(folder: &Path) -> Vec<Record> {
    Found::of(folder.to_owned()).records
}

/// Returns every run below `runs`, oldest first. Folders that cannot be read are listed without
/// records: a broken journal may still be a run that left something.
pub fn folders(runs: &Path) -> JournalResult<Vec<Found>> {
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("list", runs)(error)),
    };
    let mut found: Vec<Found> = entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(model::units::RunId::parse)
                .is_some()
                && entry.path().is_dir()
        })
        .map(|entry| Found::of(entry.path()))
        .collect();
    // Run ids sort by time.
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}
