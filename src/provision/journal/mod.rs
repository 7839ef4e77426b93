//! Records of intents and results, and from them the resources that may be left.
//!
//! One append-only file per run. A line is on the disk before the action that it announces. So the
//! journal names everything that may exist, even if the machine lost power.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

mod beginning;
pub mod change;
pub mod leftovers;
pub mod locks;
pub mod names;
pub mod record;
pub mod reserve;

pub use change::{GroupChange, changes};
pub use leftovers::{leftovers, unsettled};
pub use record::Record;

use beginning::{remove, remove_unbegun, unbegun};
use cloud::aws::failure::Failure;
use cloud::files::{self, FileRefused};
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
    /// The folder is another user's, a link, or one that everybody may write to. Its journal says what
    /// to delete, and terraform runs the programs in it.
    #[error(
        "{} is not used: a run's folder is your own, no link, and not writable by everybody. If you trust what is in it, make it yours (chown, chmod o-w)",
        folder.display()
    )]
    NotOurs {
        /// The run's folder.
        folder: PathBuf,
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

/// Refuses a folder that another user could have filled.
fn is_ours(folder: &Path) -> JournalResult<()> {
    let us = rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() && found.uid() == us && found.mode() & 0o002 == 0 => Ok(()),
        Err(error) => Err(io("read", folder)(error)),
        Ok(_) => Err(JournalError::NotOurs {
            folder: folder.to_owned(),
        }),
    }
}

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

    fn of(folder: PathBuf) -> Self {
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

fn refused(path: &Path) -> impl FnOnce(FileRefused) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Refused { path, source }
}

/// Refuses the records of another run than that of the folder's name.
fn is_of(folder: &Path, records: &[Record]) -> JournalResult<()> {
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
fn is_damaged(bytes: &[u8], good: usize) -> bool {
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

/// Returns the same command for a run that others may have begun. It sets the run's region, profile
/// and endpoint if this environment has others.
pub fn reap_command_of(runs: &Path, run: &record::Run) -> String {
    in_its_place(run, |name| std::env::var(name).ok()) + &reap_command(runs, &run.run)
}

/// Returns the variables to set before a command, such as `AWS_REGION=...`, where this environment
/// would lead it elsewhere.
fn in_its_place(run: &record::Run, env: impl Fn(&str) -> Option<String>) -> String {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let mut before = String::new();
    for (name, its, ours) in [
        ("AWS_PROFILE", run.profile.as_deref(), set("AWS_PROFILE")),
        (
            "AWS_ENDPOINT_URL",
            run.endpoint.as_deref(),
            set("AWS_ENDPOINT_URL"),
        ),
        (
            "AWS_REGION",
            Some(run.region.as_str()).filter(|region| !region.is_empty()),
            region,
        ),
    ] {
        if let Some(its) = its.filter(|its| ours.as_deref() != Some(its)) {
            before += &format!("{name}={} ", quoted(its));
        }
    }
    before
}

/// Returns the command that removes everything a run has left. It works from any folder of this
/// host, in the environment that the run had.
pub fn reap_command(runs: &Path, run: &RunId) -> String {
    let usual = runs_dir(None, |name| {
        std::env::var_os(name).filter(|_| name != "SPIKEPROOF_RUNS_DIR")
    });
    match std::path::absolute(runs) {
        Ok(runs) if usual.is_ok_and(|usual| usual == runs) => format!("spikeproof reap {run}"),
        runs => format!(
            "spikeproof reap {run} --runs-dir {}",
            quoted(&runs.unwrap_or_default().display().to_string())
        ),
    }
}

/// Quotes a text for a shell.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn sync_folder(folder: &Path) -> JournalResult<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(run: &str) -> Record {
        Record::Run(record::Run {
            run: model::units::RunId::parse(run).unwrap(),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            scenario_name: "shop".to_owned(),
            url: "http://shop".to_owned(),
            endpoint: None,
            boot: None,
            profile: None,
            target: None,
            started: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn what_was_written_is_read_back_and_continued() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
        journal.write(Record::IntentApply).unwrap();
        drop(journal);
        let (mut journal, records) = Journal::open(&folder).unwrap();
        assert_eq!(records, [first("sp-0000000001"), Record::IntentApply]);
        journal.write(Record::Applied).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&folder).unwrap().1.len(), 3);
    }

    #[test]
    fn a_folder_that_others_could_have_filled_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
        let link = home.path().join("sp-0000000002");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let is_refused = |folder: &Path| {
            let opened = Journal::open(folder).map(drop);
            let found = Found::of(folder.to_owned());
            let refused = matches!(opened, Err(JournalError::NotOurs { .. }));
            assert_eq!(refused, found.refused.is_some(), "{opened:?} {found:?}");
            assert_eq!(refused, found.records.is_empty());
            refused
        };
        assert!(!is_refused(&folder));
        assert!(is_refused(&link), "a link may lead anywhere");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o707)).unwrap();
        assert!(is_refused(&folder), "everybody may write to it");
    }

    #[test]
    fn what_a_link_leads_to_is_not_removed_as_unbegun() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
        let link = home.path().join(".new-sp-0000000002");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
        };
        let as_is = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &link, &times, as_is).unwrap();
        remove_unbegun(home.path());
        assert!(folder.join(JOURNAL).exists());
    }

    #[test]
    fn a_torn_tail_is_cut_and_writing_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
        OpenOptions::new()
            .append(true)
            .open(folder.join(JOURNAL))
            .unwrap()
            .write_all(b"0000")
            .unwrap();
        let (mut journal, records) = Journal::open(&folder).unwrap();
        assert_eq!(records.len(), 1);
        journal.write(Record::IntentApply).unwrap();
        drop(journal);
        assert_eq!(
            Journal::open(&folder).unwrap().1,
            [first("sp-0000000001"), Record::IntentApply]
        );
    }

    #[test]
    fn a_torn_line_of_the_copy_hides_no_later_one() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
        let tear = |name: &str, text: &[u8]| {
            let file = OpenOptions::new().append(true).open(folder.join(name));
            file.unwrap().write_all(text).unwrap();
        };
        tear(HEAD, b"0000");
        let sizes = |max: &str| [("MaxSize".to_owned(), max.to_owned())].into();
        let change = Record::IntentChange {
            change: GroupChange::new("web", change::Setting::Sizes, sizes("8"), sizes("12")),
        };
        journal.write(change.clone()).unwrap();
        drop(journal);
        std::fs::write(folder.join(JOURNAL), "spoilt\n").unwrap();
        assert_eq!(read(&folder), [first("sp-0000000001"), change]);
    }

    #[test]
    fn a_second_driver_is_refused_and_told_who_drives() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        let _held = Journal::create(&folder, first("sp-0000000001")).unwrap();
        let refused = Journal::open(&folder).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("process {} on ", std::process::id())),
            "{refused}"
        );
    }

    #[test]
    fn a_run_that_cannot_begin_leaves_no_folder_that_looks_like_a_run() {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        // Killed before its first record: nobody warns of it, and a later run removes it.
        let killed = runs.join(".new-sp-0000000001");
        std::fs::create_dir_all(&killed).unwrap();
        std::fs::write(killed.join(JOURNAL), "").unwrap();
        assert!(folders(&runs).unwrap().is_empty());
        let names = || {
            let entries = std::fs::read_dir(&runs).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let folder = runs.join("sp-0000000002");
        let journal = Journal::create(&folder, first("sp-0000000002")).unwrap();
        assert_eq!(
            names(),
            [".new-sp-0000000001", "sp-0000000002"],
            "it may be beginning"
        );
        let old = std::time::SystemTime::now() - 2 * beginning::LONGEST;
        File::open(&killed).unwrap().set_modified(old).unwrap();
        // One whose folder is taken cannot begin.
        Journal::create(&folder, first("sp-0000000002")).unwrap_err();
        assert_eq!(names(), ["sp-0000000002"]);
        assert_eq!(read(&folder), [first("sp-0000000002")]);
        journal.discard();
        assert!(names().is_empty());
    }

    #[test]
    fn a_journal_of_another_run_and_what_is_no_file_are_refused_at_once() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        drop(Journal::create(&at("sp-0000000001"), first("sp-0000000001")).unwrap());
        std::fs::rename(at("sp-0000000001"), at("sp-0000000002")).unwrap();
        std::fs::create_dir(at("sp-0000000003")).unwrap();
        mkfifoat(CWD, at("sp-0000000003").join(JOURNAL), Mode::RWXU).unwrap();
        std::fs::create_dir(at("sp-0000000004")).unwrap();
        let huge = File::create(at("sp-0000000004").join(JOURNAL)).unwrap();
        huge.set_len(LARGEST + 1).unwrap();
        for (name, why) in [
            ("sp-0000000002", "holds the journal of sp-0000000001"),
            ("sp-0000000003", "it is a pipe, not a file"),
            ("sp-0000000004", "it has more than 64 MiB"),
        ] {
            let found = Found::of(at(name));
            assert_eq!((found.records, found.damaged), (Vec::new(), true));
            let refused = found.refused.unwrap().to_string();
            assert!(refused.contains(why), "{refused}");
            let refused = Journal::open(&at(name)).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_lock_that_is_a_pipe_holds_nobody_up() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
        std::fs::remove_file(folder.join(locks::OWNER)).unwrap();
        mkfifoat(CWD, folder.join(locks::OWNER), Mode::RWXU).unwrap();
        assert!(!locks::is_driven(&folder));
        assert!(!locks::is_under_way(&folder));
        assert!(Journal::open(&folder).is_err());
        assert!(locks::wait_until_orphaned(&folder).is_err());
    }

    #[test]
    fn a_broken_run_is_still_listed() {
        let home = tempfile::tempdir().unwrap();
        drop(Journal::create(&home.path().join("sp-0000000002"), first("sp-0000000002")).unwrap());
        std::fs::create_dir(home.path().join("sp-0000000001")).unwrap();
        std::fs::create_dir(home.path().join("something-else")).unwrap();
        let found = folders(home.path()).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|f| {
                (
                    f.folder.file_name().unwrap().to_str().unwrap(),
                    f.records.len(),
                )
            })
            .collect();
        assert_eq!(seen, [("sp-0000000001", 0), ("sp-0000000002", 1)]);
        assert!(folders(&home.path().join("missing")).unwrap().is_empty());
    }

    #[test]
    fn where_a_run_ran_is_known_without_its_journal_and_what_it_did_is_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
        journal.write(Record::IntentApply).unwrap();
        drop(journal);
        assert!(!Found::of(folder.clone()).damaged);
        for spoil in [
            |path: &Path| std::fs::write(path, "spoilt"),
            |path: &Path| std::fs::remove_file(path),
        ] {
            spoil(&folder.join(JOURNAL)).unwrap();
            let found = Found::of(folder.clone());
            assert_eq!(
                (found.records, found.damaged),
                (vec![first("sp-0000000001")], true)
            );
        }
    }

    #[test]
    fn how_a_group_was_is_known_without_the_journal() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sp-0000000001");
        let sizes = |max: &str| [("MaxSize".to_owned(), max.to_owned())].into();
        let intent = |group: &str| Record::IntentChange {
            change: GroupChange::new(group, change::Setting::Sizes, sizes("8"), sizes("12")),
        };
        let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
        let intended = vec![first("sp-0000000001"), intent("web"), intent("api")];
        for record in &intended[1..] {
            journal.write(record.clone()).unwrap();
        }
        journal.write(Record::IntentApply).unwrap();
        drop(journal);
        let whole = std::fs::read(folder.join(JOURNAL)).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        // Damage before, between and after the intents.
        for broken in 0..lines.len() {
            let spoilt = [&lines[..broken], &[b"spoilt\n"], &lines[broken + 1..]].concat();
            std::fs::write(folder.join(JOURNAL), spoilt.concat()).unwrap();
            let found = Found::of(folder.clone());
            assert_eq!(
                (found.records, found.damaged),
                (intended.clone(), true),
                "{broken}"
            );
        }
        std::fs::write(folder.join(JOURNAL), whole).unwrap();
        assert_eq!(Found::of(folder).records.len(), 4);
    }

    #[test]
    fn the_command_that_reaps_finds_the_folder_from_anywhere() {
        let run = RunId::parse("sp-0000000001").unwrap();
        let usual = runs_dir(None, |name| {
            std::env::var_os(name).filter(|_| name != "SPIKEPROOF_RUNS_DIR")
        })
        .unwrap();
        assert_eq!(reap_command(&usual, &run), "spikeproof reap sp-0000000001");
        assert_eq!(
            reap_command(Path::new("/ci/runs"), &run),
            "spikeproof reap sp-0000000001 --runs-dir /ci/runs"
        );
        let odd = reap_command(Path::new("/my runs/o'clock"), &run);
        assert_eq!(
            odd,
            r"spikeproof reap sp-0000000001 --runs-dir '/my runs/o'\''clock'"
        );
        assert!(reap_command(Path::new("runs"), &run).contains("--runs-dir /"));
    }

    #[test]
    fn a_run_is_reaped_where_and_as_whom_it_ran() {
        let Record::Run(run) = first("sp-0000000001") else {
            unreachable!()
        };
        let check = |profile: Option<&str>, env: &[(&str, &str)], before: &str| {
            let run = record::Run {
                profile: profile.map(str::to_owned),
                ..run.clone()
            };
            let read = |name: &str| {
                env.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(in_its_place(&run, read), before);
        };
        check(None, &[("AWS_REGION", "us-east-1")], "");
        check(
            None,
            &[
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_PROFILE", "other"),
            ],
            "",
        );
        check(
            None,
            &[("AWS_REGION", "eu-west-1")],
            "AWS_REGION=us-east-1 ",
        );
        check(
            Some("load test"),
            &[("AWS_REGION", "")],
            "AWS_PROFILE='load test' AWS_REGION=us-east-1 ",
        );
        check(
            Some("ci"),
            &[("AWS_REGION", "us-east-1"), ("AWS_PROFILE", "ci")],
            "",
        );
        let emulated = record::Run {
            endpoint: Some("http://127.0.0.1:5000".to_owned()),
            ..run
        };
        let before = in_its_place(&emulated, |name| {
            (name == "AWS_REGION").then(|| "us-east-1".to_owned())
        });
        assert_eq!(before, "AWS_ENDPOINT_URL=http://127.0.0.1:5000 ");
    }

    #[test]
    fn runs_are_kept_where_asked_or_in_the_state_folder() {
        let check = |asked: Option<&str>, env: &[(&str, &str)], expected: Option<&str>| {
            let read = |name: &str| {
                env.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            };
            assert_eq!(
                runs_dir(asked.map(Path::new), read).ok(),
                expected.map(PathBuf::from)
            );
        };
        check(Some("/a"), &[("SPIKEPROOF_RUNS_DIR", "/b")], Some("/a"));
        check(
            None,
            &[("SPIKEPROOF_RUNS_DIR", "/b"), ("HOME", "/h")],
            Some("/b"),
        );
        check(
            None,
            &[("XDG_STATE_HOME", "/s"), ("HOME", "/h")],
            Some("/s/spikeproof/runs"),
        );
        check(
            None,
            &[("XDG_STATE_HOME", "s"), ("HOME", "/h")],
            Some("/h/.local/state/spikeproof/runs"),
        );
        check(None, &[], None);
    }
}
