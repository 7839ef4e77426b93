//! Copies of terraform's state, because its own file is not crash-safe: each save truncates it first, and a kill in
//! that millisecond leaves it empty. A destroy over an empty state says "0 destroyed" and exits 0.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub const STATE: &str = "terraform.tfstate";
const COPIES: &str = "states";
const KEEP: usize = 3;

#[derive(Deserialize)]
struct State {
    serial: u64,
}

/// The serial of a state that is whole.
fn serial(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<State>(bytes).ok().map(|state| state.serial)
}

/// Copies the state in `folder` if it is whole and newer than every copy.
pub fn keep(folder: &Path) -> io::Result<()> {
    let bytes = match std::fs::read(folder.join(STATE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut copies = copies(folder);
    let Some(serial) = serial(&bytes).filter(|serial| copies.last().is_none_or(|(last, _)| serial > last)) else {
        return Ok(());
    };
    let path = folder.join(COPIES).join(format!("{serial}.tfstate"));
    std::fs::create_dir_all(folder.join(COPIES))?;
    replace(&path, &bytes)?;
    copies.push((serial, path));
    for (_, old) in copies.iter().rev().skip(KEEP) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The state file is whole.
    AsItIs,
    /// It was missing, empty or torn; the copy of this serial is in its place.
    Restored { serial: u64 },
    /// There is neither a whole state nor a copy: terraform knows of nothing.
    None,
}

/// Makes sure that terraform sees the best state there is. Call it before a destroy, with no terraform running.
pub fn best_state(folder: &Path) -> io::Result<Best> {
    let path = folder.join(STATE);
    if std::fs::read(&path).is_ok_and(|bytes| serial(&bytes).is_some()) {
        return Ok(Best::AsItIs);
    }
    for (serial_of_name, copy) in copies(folder).into_iter().rev() {
        let Ok(bytes) = std::fs::read(copy) else { continue };
        if serial(&bytes) == Some(serial_of_name) {
            replace(&path, &bytes)?;
            return Ok(Best::Restored { serial: serial_of_name });
        }
    }
    Ok(Best::None)
}

/// By serial, oldest first.
fn copies(folder: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder.join(COPIES)) else { return Vec::new() };
    let mut copies: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let serial = entry.file_name().to_str()?.strip_suffix(".tfstate")?.parse().ok()?;
            Some((serial, entry.path()))
        })
        .collect();
    copies.sort();
    copies
}

/// Writes all or nothing; on the disk when it returns. A new file is 0600.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, serial: u64) {
        std::fs::write(folder.join(STATE), format!(r#"{{"version":4,"serial":{serial},"resources":[]}}"#)).unwrap();
    }

    fn kept(folder: &Path) -> Vec<u64> {
        copies(folder).into_iter().map(|(serial, _)| serial).collect()
    }

    #[test]
    fn the_last_three_whole_states_are_kept() {
        let home = tempfile::tempdir().unwrap();
        keep(home.path()).unwrap();
        for serial in [1, 2, 2, 9, 10, 3] {
            write(home.path(), serial);
            keep(home.path()).unwrap();
        }
        std::fs::write(home.path().join(STATE), "{\"serial\":11,").unwrap();
        keep(home.path()).unwrap();
        assert_eq!(kept(home.path()), [2, 9, 10]);
    }

    #[test]
    fn a_damaged_state_is_replaced_by_the_newest_whole_copy() {
        for damage in [None, Some(""), Some("{\"serial\":12,\"reso")] {
            let home = tempfile::tempdir().unwrap();
            assert_eq!(best_state(home.path()).unwrap(), Best::None);
            for serial in [3, 4] {
                write(home.path(), serial);
                keep(home.path()).unwrap();
            }
            assert_eq!(best_state(home.path()).unwrap(), Best::AsItIs);
            std::fs::write(home.path().join("states/5.tfstate"), "torn").unwrap();
            match damage {
                Some(text) => std::fs::write(home.path().join(STATE), text).unwrap(),
                None => std::fs::remove_file(home.path().join(STATE)).unwrap(),
            }
            assert_eq!(best_state(home.path()).unwrap(), Best::Restored { serial: 4 });
            assert_eq!(best_state(home.path()).unwrap(), Best::AsItIs);
        }
    }
}
