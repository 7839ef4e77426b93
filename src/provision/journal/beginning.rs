//! The folder of a run that is about to begin: it has a run's name only when its journal has its
//! first record. So a run that ends before leaves nothing that looks like one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{HEAD, JOURNAL, locks};

/// The start of the name of a folder whose run has not begun.
const UNBEGUN: &str = ".new-";
/// A run begins within moments: what is older was left by a process that was killed.
pub(super) const LONGEST: Duration = Duration::from_hours(1);

/// The folder of a run until its first record is on the disk. Its name is no run's.
pub(super) fn unbegun(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!("{UNBEGUN}{name}"))
}

/// Removes what processes have left that were killed before their runs began.
pub(super) fn remove_unbegun(runs: &Path) {
    let us = rustix::process::geteuid().as_raw();
    // A link may lead to the folder of a run in progress.
    let is_old = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|there| {
            let age = there.modified().map(|made| made.elapsed());
            let is_old = age.is_ok_and(|age| age.is_ok_and(|age| age > LONGEST));
            there.is_dir() && there.uid() == us && is_old
        })
    };
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_unbegun = entry.file_name().to_string_lossy().starts_with(UNBEGUN);
        if is_unbegun && is_old(&path) {
            remove(&path);
        }
    }
}

/// Removes the folder of a run that has not begun: the files that are made before it begins, and
/// the folder if nothing else is in it.
pub(super) fn remove(folder: &Path) {
    for name in [HEAD, JOURNAL, locks::OWNER, locks::WORK] {
        drop(std::fs::remove_file(folder.join(name)));
    }
    drop(std::fs::remove_dir(folder));
}
