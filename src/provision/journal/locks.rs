//! Two locks in a run's folder, both the kernel's: a process that is killed releases them.
//!
//! `owner.lock` is held by the process that drives the run: the orchestrator, or one reaper.
//! `work.lock` is held by the driver *and inherited by everything terraform starts*. While it is
//! held, something of the run is alive on this host, and a second terraform would only fight the
//! first. Neither lock tells anything about other hosts: the lease does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{JournalError, JournalResult};
use cloud::files;

pub(super) const OWNER: &str = "owner.lock";
pub(super) const WORK: &str = "work.lock";

/// The most bytes that a lock file says.
const LONGEST_HOLDER: u64 = 4 * 1024;

/// A held owner lock.
///
/// It is released in words: a child process has a copy of the descriptor until its program starts,
/// and closing ours alone would leave the lock with the child for that moment.
#[derive(Debug)]
pub(super) struct OwnerLock(File);

impl Drop for OwnerLock {
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Becomes the process that drives the run, or says which one does.
pub(super) fn own(folder: &Path, role: LockRole) -> JournalResult<OwnerLock> {
    let path = folder.join(OWNER);
    let mut file = open(&path).map_err(super::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(JournalError::Owned {
                folder: folder.to_owned(),
                holder: holder(folder),
            });
        }
        Err(TryLockError::Error(source)) => return Err(super::io("lock", &path)(source)),
    }
    // The lock is the truth; the text only says who holds it. A full disk must not keep a reaper
    // from its work.
    drop(rewrite(
        &mut file,
        format!("{}\n", LockHolder::this(role)).as_bytes(),
    ));
    Ok(OwnerLock(file))
}

/// Why a process holds the owner lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockRole {
    /// The orchestrator of the run.
    Run,
    /// A process that only destroys the run.
    Reaper,
    /// The text of a file that names neither; empty a moment after the lock was taken.
    Unknown(String),
}

/// The process that holds an owner lock, as the file says: `ROLE, process PID on HOST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Why it holds the lock.
    pub role: LockRole,
    /// `process PID on HOST`, for people.
    process: Option<String>,
}

/// The roles as lock files name them. Earlier versions wrote the same words.
const RUN: &str = "the run";
const REAPER: &str = "a reaper";

impl LockHolder {
    /// Returns the worker that is this process.
    fn this(role: LockRole) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_else(|_| "this host".to_owned());
        let process = format!("process {} on {}", std::process::id(), host.trim());
        Self {
            role,
            process: Some(process),
        }
    }

    /// Reads the text of a lock file.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (role, process) = match text.split_once(", ") {
            Some((role, process)) => (role, Some(process.to_owned())),
            None => (text, None),
        };
        let role = match role {
            RUN => LockRole::Run,
            REAPER => LockRole::Reaper,
            _ => {
                return Self {
                    role: LockRole::Unknown(text.to_owned()),
                    process: None,
                };
            }
        };
        Self { role, process }
    }

    /// True if it only destroys the run, so that another may take its place.
    pub fn is_reaper(&self) -> bool {
        self.role == LockRole::Reaper
    }
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.role {
            LockRole::Run => RUN,
            LockRole::Reaper => REAPER,
            LockRole::Unknown(text) if text.is_empty() => "another process",
            LockRole::Unknown(text) => text,
        })?;
        self.process
            .iter()
            .try_for_each(|process| write!(f, ", {process}"))
    }
}

/// True if a process drives the run. It does not take the lock: a guard may be waiting for it.
pub fn is_driven(folder: &Path) -> bool {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(files::WITHOUT_WAITING)
        .open(folder.join(OWNER));
    file.is_ok_and(|file| is_held(file).is_ok_and(|held| held))
}

/// True if another descriptor holds the lock of this file.
fn is_held(file: File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => {
            drop(OwnerLock(file));
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// True if the orchestrator of the run drives it, not a reaper.
pub fn is_under_way(folder: &Path) -> bool {
    is_driven(folder) && !holder(folder).is_reaper()
}

/// The process that the owner lock names; unknown if it names none.
fn holder(folder: &Path) -> LockHolder {
    let said = files::read_text(&folder.join(OWNER), LONGEST_HOLDER);
    LockHolder::parse(&said.unwrap_or_default())
}

/// Fails if the owner lock tells nothing: it was deleted, is another user's, or lies on a file
/// system without locks.
pub fn tells(folder: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(files::WITHOUT_WAITING)
        .open(folder.join(OWNER))?;
    is_held(file).map(drop)
}

/// Blocks until no process drives the run any more. For a thread that has nothing else to do.
pub fn wait_until_orphaned(folder: &Path) -> io::Result<()> {
    // The lock is released at once: a reaper takes it in the usual way.
    let file = open(&folder.join(OWNER))?;
    file.lock()?;
    drop(OwnerLock(file));
    Ok(())
}

/// A process that holds the work lock, as far as it can be told from others that were given its
/// number later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The process id.
    pub pid: u32,
    /// Start of the process in clock ticks since the host was started.
    pub started: u64,
    /// The id of the host's boot: process ids start anew with each.
    pub boot: String,
}

impl Worker {
    /// Returns the process of this number, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            started: started(pid)?,
            boot: boot()?,
        })
    }

    /// True while the same process is there, not another of its number.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// Reads field 22 of `/proc/PID/stat`. The name before it may hold anything, spaces and parentheses
/// included.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie holds nothing any more.
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Tells this host, since it was last started, from all others.
pub fn boot() -> Option<String> {
    Some(
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// Every child process inherits what is inheritable at its start.
static STARTING: Mutex<()> = Mutex::new(());

/// Hold it while a child process is started that must not inherit a work lock and may outlive it.
///
/// A guard with the lock of its run would wait for itself once the orchestrator is gone.
pub fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A descriptor of a work lock for the one child process that is started while it is held.
#[derive(Debug)]
pub struct Inheritable {
    // Closed before others may start.
    _descriptor: OwnedFd,
    _alone: MutexGuard<'static, ()>,
}

/// Held as long as anything of the run is alive on this host.
///
/// Unlike an owner lock it is not released in words: that would release it for the terraform which
/// has inherited it too. So any child that is between its fork and its program keeps it for that
/// moment. Whoever takes it waits and asks again.
#[derive(Debug)]
pub struct WorkLock(File);

impl WorkLock {
    /// Takes it if it is free.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file = open(&folder.join(WORK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }

    /// Returns a descriptor of the same lock that child processes inherit. Drop it as soon as the
    /// child has been started. No child that [`starting`] announces is started meanwhile.
    pub fn inheritable(&self) -> io::Result<Inheritable> {
        let alone = starting();
        let descriptor = rustix::io::dup(&self.0)?;
        Ok(Inheritable {
            _descriptor: descriptor,
            _alone: alone,
        })
    }

    /// Writes which process works under it, so that a reaper can ask that process to end.
    pub fn tell(&self, worker: &Worker) {
        let text = serde_json::to_vec(worker).unwrap_or_default();
        drop(
            self.0
                .try_clone()
                .and_then(|mut file| rewrite(&mut file, &text)),
        );
    }
}

/// Returns the process that worked under the lock last.
pub fn worker(folder: &Path) -> Option<Worker> {
    serde_json::from_slice(&files::read(&folder.join(WORK), LONGEST_HOLDER).ok()?).ok()
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(files::WITHOUT_WAITING)
        .open(path)?;
    files::ensure_regular(&file).map_err(io::Error::other)?;
    Ok(file)
}

fn rewrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_work_lock_is_held_as_long_as_anything_that_inherited_it_lives() {
        let home = tempfile::tempdir().unwrap();
        let lock = WorkLock::take(home.path()).unwrap().unwrap();
        assert!(WorkLock::take(home.path()).unwrap().is_none());
        let inherited = lock.inheritable().unwrap();
        // A shell that leaves a child of its own behind, as terraform leaves its plugins. They end
        // with their input.
        let mut child = Command::new("sh")
            .args(["-c", "cat <&0 & exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        drop((inherited, lock));
        assert!(
            WorkLock::take(home.path()).unwrap().is_none(),
            "its child is alive"
        );
        drop(child.stdin.take());
        child.wait().unwrap();
        let free = (0..1_000).any(|_| {
            std::thread::yield_now();
            WorkLock::take(home.path()).unwrap().is_some() || {
                std::thread::park_timeout(std::time::Duration::from_millis(5));
                false
            }
        });
        assert!(free, "nobody is left who could hold it");
    }

    #[test]
    fn no_other_child_is_started_while_the_work_lock_is_inheritable() {
        let home = tempfile::tempdir().unwrap();
        let lock = WorkLock::take(home.path()).unwrap().unwrap();
        let inheritable = lock.inheritable().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let guard = std::thread::spawn(move || {
            sender.send(()).unwrap();
            let _starting = starting();
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        assert!(STARTING.try_lock().is_err());
        assert!(receiver.try_recv().is_err());
        drop(inheritable);
        receiver.recv().unwrap();
        guard.join().unwrap();
    }

    #[test]
    fn a_lock_file_names_its_holder_and_files_of_earlier_versions_are_understood() {
        for (text, role, shown) in [
            (
                "the run, process 12 on build-7\n",
                LockRole::Run,
                "the run, process 12 on build-7",
            ),
            (
                "a reaper, process 12 on build-7\n",
                LockRole::Reaper,
                "a reaper, process 12 on build-7",
            ),
            ("a reaper", LockRole::Reaper, "a reaper"),
            ("", LockRole::Unknown(String::new()), "another process"),
            (
                "somebody, elsewhere",
                LockRole::Unknown("somebody, elsewhere".to_owned()),
                "somebody, elsewhere",
            ),
        ] {
            let holder = LockHolder::parse(text);
            assert_eq!(
                (&holder.role, holder.to_string()),
                (&role, shown.to_owned())
            );
        }
        let written = LockHolder::this(LockRole::Reaper);
        assert_eq!(LockHolder::parse(&format!("{written}\n")), written);
    }

    #[test]
    fn a_worker_is_not_taken_for_a_later_process_with_its_number() {
        let home = tempfile::tempdir().unwrap();
        let own = Worker::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(
            !Worker {
                started: own.started + 1,
                ..own.clone()
            }
            .is_alive()
        );
        assert!(
            !Worker {
                boot: "another".to_owned(),
                ..own.clone()
            }
            .is_alive()
        );
        let lock = WorkLock::take(home.path()).unwrap().unwrap();
        assert_eq!(worker(home.path()), None);
        lock.tell(&own);
        assert_eq!(worker(home.path()), Some(own));
    }

    #[test]
    fn a_released_owner_lock_does_not_stay_with_a_child_that_has_a_copy() {
        let home = tempfile::tempdir().unwrap();
        let held = own(home.path(), LockRole::Run).unwrap();
        let copy = rustix::io::dup(&held.0).unwrap();
        assert!(is_driven(home.path()));
        drop(held);
        assert!(!is_driven(home.path()));
        own(home.path(), LockRole::Reaper).unwrap();
        drop(copy);
    }

    #[test]
    fn a_run_is_orphaned_when_its_driver_releases_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let held = own(home.path(), LockRole::Run).unwrap();
        let folder = home.path().to_owned();
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            sender.send("waiting").unwrap();
            wait_until_orphaned(&folder).unwrap();
            sender.send("orphaned").unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), "waiting");
        assert!(receiver.try_recv().is_err());
        drop(held);
        assert_eq!(receiver.recv().unwrap(), "orphaned");
        waiting.join().unwrap();
    }
}
