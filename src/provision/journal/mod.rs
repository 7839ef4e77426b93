//! Records of intents and results, and from them the resources that may be left.
//!
//! One append-only file per run. A line is on the disk before the action that it announces. So the
//! journal names everything that may exist, even if the machine lost power.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

mod beginning;
pub mod change;
mod command;
mod found;
pub mod leftovers;
pub mod locks;
pub mod names;
pub mod record;
pub mod reserve;

pub use crate::trust::Distrust;
pub use change::{GroupChange, changes};
pub use command::{quoted, reap_command, reap_command_of};
pub use found::{Found, folders, is_abandoned, read};
pub use leftovers::{leftovers, unsettled};
pub use record::Record;

use crate::trust;
use beginning::{remove, remove_unbegun, unbegun};
use cloud::aws::failure::Failure;
use cloud::files::{self, FileRefused};
use found::{is_damaged, is_of, refused};
use locks::{LockHolder, LockRole, OwnerLock};
use model::units::RunId;

/// The file name of the journal in a run's folder.
pub const JOURNAL: &str = "journal";
/// The journal's first record once more, and every intended change of the group: without them
/// nobody would know in which account to look, or how the group was.
const HEAD: &str = "journal.head";
/// The most bytes of a journal: a hundred times that of the largest fleet.
const LARGEST: u64 = 64 << 20;

type JournalResult<T> = std::result::Result<T, JournalError>;

/// A journal or a run's folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The verb, for example `open`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// A record cannot be written as JSON.
    #[error("could not write a journal record as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Another process holds the run's owner lock.
    #[error(
        "{} is already driven by {holder}; wait for it, or end that process first",
        folder.display()
    )]
    Owned {
        /// The run's folder.
        folder: PathBuf,
        /// The process that holds the lock.
        holder: LockHolder,
    },
    /// The folder has no readable record to tell whose run it is.
    #[error("{} holds no readable journal record", folder.display())]
    Empty {
        /// The run's folder.
        folder: PathBuf,
    },
    /// The journal is no file, or far larger than any run's.
    #[error("{} is not read as a journal: {source}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: FileRefused,
    },
    /// The journal is that of another run: its names have nothing to do with this folder.
    #[error(
        "{} holds the journal of {run}: a run's folder keeps its name, and is not copied. If this is a copy, remove it",
        folder.display()
    )]
    OtherRun {
        /// The folder.
        folder: PathBuf,
        /// The run whose journal it is.
        run: RunId,
    },
    /// Somebody else could fill the folder, or has put it there. Its journal says what to
    /// delete, and terraform runs the programs in it.
    #[error(
        "{} is not used: {why}. A run's folder is its user's alone: change that if you trust what is in it, or name another folder with --runs-dir",
        folder.display()
    )]
    NotOurs {
        /// The run's folder.
        folder: PathBuf,
        /// The way in which somebody else could.
        why: Distrust,
    },
    /// No folder for runs is given, and the home folder is unknown.
    #[error("no home folder is known: set SPIKEPROOF_RUNS_DIR or pass --runs-dir")]
    NoHome,
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io {
        doing,
        path,
        source,
    }
}

/// Makes a folder inside a run's if it is missing. One that somebody has deleted is not made again:
/// without a journal it would tell a reaper nothing, and hold it up.
pub fn subfolder(path: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The journal of one run, and the right to drive it: nobody else holds one for the same folder.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    sequence: u64,
    /// The records in the copy, which this journal has begun; `None` in a run that was taken over.
    copied: Option<u64>,
    full: bool,
    /// Held until drop; the kernel frees it when we are killed.
    _owner: OwnerLock,
}

impl Journal {
    /// Makes the run's folder (0700) and its journal, whose first record is on the disk when this
    /// returns. The folder has its name only then: one without a record would later be taken for a
    /// damaged one, of a run that may have left everything.
    pub fn create(folder: &Path, first: Record) -> JournalResult<Self> {
        let unbegun = unbegun(folder);
        remove_unbegun(folder.parent().unwrap_or(folder));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&unbegun)
            .map_err(io("create", &unbegun))?;
        // Some file systems rename no folder in which a file is open.
        let begun = write_first(&unbegun, &first)
            .and_then(|()| std::fs::rename(&unbegun, folder).map_err(io("create", folder)));
        if let Err(error) = begun {
            remove(&unbegun);
            return Err(error);
        }
        // Until the lock is taken, this is a run that no process drives, and that has made nothing.
        match own_begun(folder) {
            Ok((owner, file)) => Ok(Self {
                file,
                path: folder.join(JOURNAL),
                sequence: 1,
                copied: Some(1),
                full: false,
                _owner: owner,
            }),
            Err(error) => {
                remove(folder);
                Err(error)
            }
        }
    }

    /// Removes the folder again: nothing has begun, and nothing will.
    pub fn discard(self) {
        if let Some(folder) = self.path.parent() {
            reserve::release(folder);
            remove(folder);
        }
    }

    /// Adds a record to the copy. It is on the disk when this returns.
    fn copy(&mut self, record: &Record) -> JournalResult<()> {
        let Some(copied) = self.copied else {
            return Ok(());
        };
        let head = self.path.with_file_name(HEAD);
        let line = record::encode(copied, record)?;
        append_whole(&head, &line).map_err(io("write", &head))?;
        self.copied = Some(copied + 1);
        Ok(())
    }

    /// Takes over an existing run. A last line that was not finished is cut off; damaged lines are
    /// kept.
    pub fn open(folder: &Path) -> JournalResult<(Self, Vec<Record>)> {
        is_ours(folder)?;
        let owner = locks::own(folder, LockRole::Reaper)?;
        let path = folder.join(JOURNAL);
        let bytes = files::read(&path, LARGEST).map_err(refused(&path))?;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(files::WITHOUT_WAITING)
            .open(&path)
            .map_err(io("open", &path))?;
        let (records, good) = record::decode(&bytes);
        is_of(folder, &records)?;
        if records.is_empty() {
            return Err(JournalError::Empty {
                folder: folder.to_owned(),
            });
        }
        // Lines of a newer version, and lines that a bad disk damaged, are kept as evidence.
        if good < bytes.len() && !is_damaged(&bytes, good) {
            file.set_len(good as u64)
                .and_then(|()| file.sync_data())
                .map_err(io("cut", &path))?;
        }
        Ok((
            Self {
                file,
                path,
                sequence: records.len() as u64,
                copied: None,
                full: false,
                _owner: owner,
            },
            records,
        ))
    }

    /// Appends, and returns when the record is on the disk. Only then may the deed begin.
    pub fn write(&mut self, record: Record) -> JournalResult<()> {
        if matches!(record, Record::IntentChange { .. }) {
            self.copy(&record)?;
        }
        let line = record::encode(self.sequence, &record)?;
        let before = self.file.metadata().map_err(io("read", &self.path))?.len();
        if let Err(mut source) = self.append(&line, before) {
            // On a full disk the run must still write how it is destroyed, so the reserve is
            // released.
            if Failure::of_io(source.kind()) == Failure::Disk {
                self.path.parent().into_iter().for_each(reserve::release);
                source = match self.append(&line, before) {
                    Ok(()) => {
                        self.sequence += 1;
                        self.full = true;
                        return Ok(());
                    }
                    Err(again) => again,
                };
            }
            return Err(io("write", &self.path)(source));
        }
        self.sequence += 1;
        Ok(())
    }

    /// True if the disk was full and the reserve is used: then nothing new may begin.
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn append(&mut self, line: &[u8], before: u64) -> std::io::Result<()> {
        let written = self
            .file
            .write_all(line)
            .and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line would hide every later one.
            drop(self.file.set_len(before));
        }
        written
    }
}

/// Appends a line to a copy, and returns when it is on the disk. A line before it that did not become
/// whole is cut off: it would hide this one.
fn append_whole(path: &Path, line: &[u8]) -> std::io::Result<()> {
    let whole = match files::read(path, LARGEST) {
        Ok(bytes) => bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1),
        Err(FileRefused::Read(error)) => return Err(error),
        Err(refused) => return Err(std::io::Error::other(refused)),
    };
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.set_len(whole as u64)?;
    let written = file.write_all(line).and_then(|()| file.sync_data());
    if written.is_err() {
        drop(file.set_len(whole as u64));
    }
    written
}

/// Writes the first record, and its copy. A file whose name is not on the disk is not on the disk.
fn write_first(folder: &Path, first: &Record) -> JournalResult<()> {
    let line = record::encode(0, first)?;
    let head = folder.join(HEAD);
    File::create(&head)
        .and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()))
        .map_err(io("write", &head))?;
    let path = folder.join(JOURNAL);
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(io("create", &path))?;
    file.write_all(&line)
        .and_then(|()| file.sync_data())
        .map_err(io("write", &path))?;
    sync_folder(folder)
}

/// Becomes the process that drives a new run, whose name is on the disk then. Returns the lock and
/// the journal.
fn own_begun(folder: &Path) -> JournalResult<(OwnerLock, File)> {
    let owner = locks::own(folder, LockRole::Run)?;
    let path = folder.join(JOURNAL);
    let file = OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(io("open", &path))?;
    if let Some(parent) = folder.parent() {
        sync_folder(parent)?;
    }
    Ok((owner, file))
}

/// Refuses a folder that another user could have filled or put there. The folders above it may be open
/// to others, as those of CI systems are in their containers: a folder that they put there is theirs.
fn is_ours(folder: &Path) -> JournalResult<()> {
    match trust::distrust_itself(folder).map_err(io("read", folder))? {
        None => Ok(()),
        Some(why) => Err(JournalError::NotOurs {
            folder: folder.to_owned(),
            why,
        }),
    }
}

/// Returns the folder of all runs: as asked, or below the user's state folder. `env` reads an
/// environment variable.
pub fn runs_dir(
    asked: Option<&Path>,
    env: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> JournalResult<PathBuf> {
    let set = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = asked
        .map(Path::to_owned)
        .or_else(|| set("SPIKEPROOF_RUNS_DIR"))
    {
        return Ok(folder);
    }
    let state = set("XDG_STATE_HOME")
        // The XDG specification: a relative path is to be ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .ok_or(JournalError::NoHome)?;
    Ok(state.join("spikeproof/runs"))
}

/// Returns the settings that the run began with: its journal's first record, unless that is
/// damaged.
pub fn head(records: &[Record]) -> Option<&record::Run> {
    records.iter().find_map(|record| match record {
        Record::Run(run) => Some(run),
        _ => None,
    })
}

fn sync_folder(folder: &Path) -> JournalResult<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(io("sync", folder))
}

#[cfg(test)]
mod tests;
