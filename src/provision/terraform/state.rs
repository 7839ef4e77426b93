//! Copies of terraform's state, because its own file is not crash-safe: each save truncates it
//! first, and a kill in that millisecond leaves it empty. A destroy over an empty state says "0
//! destroyed" and exits 0.

use std::fs::File;
use std::io::{self, BufRead as _, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::journal;
use model::units::RunId;

/// The file name of terraform's state in a run's folder.
pub const STATE: &str = "terraform.tfstate";
const COPIES: &str = "states";
const KEEP: usize = 3;

/// Written by terraform beside the module when it could not save; and not always when it says so.
const ERRORED: &str = "module/errored.tfstate";

#[derive(Deserialize)]
struct StateFile {
    serial: u64,
    #[serde(default)]
    lineage: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    instances: serde_json::Value,
}

/// Returns the state, if it is whole.
fn whole(bytes: &[u8]) -> Option<StateFile> {
    serde_json::from_slice(bytes).ok()
}

/// Returns the serial of a state that is whole.
fn serial(bytes: &[u8]) -> Option<u64> {
    whole(bytes).map(|state| state.serial)
}

/// Copies the state in `folder` if it is whole and newer than every copy.
pub fn keep(folder: &Path) -> io::Result<()> {
    let bytes = match std::fs::read(folder.join(STATE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut copies = copies(folder);
    let Some(serial) =
        serial(&bytes).filter(|serial| copies.last().is_none_or(|(last, _)| serial > last))
    else {
        return Ok(());
    };
    let path = folder.join(COPIES).join(format!("{serial}.tfstate"));
    journal::subfolder(&folder.join(COPIES))?;
    replace(&path, &bytes)?;
    copies.push((serial, path));
    for (_, old) in copies.iter().rev().skip(KEEP) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

/// The outcome of [`best_state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The state file is whole, and nothing newer is known.
    AsItIs,
    /// The state was missing, empty, torn or old; the copy with this serial is in its place.
    Restored {
        /// The serial of the state that was put back.
        serial: u64,
    },
    /// There is no whole state: terraform knows no resource.
    None,
}

/// Gives terraform the best state there is. That is the one with the highest serial among its file,
/// our copies, the file that terraform saved beside its module, and its printed dumps. Call it
/// before a destroy, with no terraform running.
pub fn best_state(folder: &Path) -> io::Result<Best> {
    let path = folder.join(STATE);
    let own = std::fs::read(&path).ok().and_then(|bytes| whole(&bytes));
    let mut others: Vec<Vec<u8>> = copies(folder)
        .into_iter()
        .filter_map(|(_, copy)| std::fs::read(copy).ok())
        .collect();
    others.extend(std::fs::read(folder.join(ERRORED)).ok());
    others.extend(dumps(folder));
    let best = others
        .into_iter()
        .filter_map(|bytes| Some((whole(&bytes)?, bytes)))
        // A state of another lineage is not a copy of this one, even with a higher serial.
        .filter(|(state, _)| own.as_ref().is_none_or(|own| own.lineage == state.lineage))
        .max_by_key(|(state, _)| state.serial);
    match (own, best) {
        (Some(own), best)
            if best
                .as_ref()
                .is_none_or(|(state, _)| state.serial <= own.serial) =>
        {
            Ok(Best::AsItIs)
        }
        (_, Some((state, bytes))) => {
            replace(&path, &bytes)?;
            Ok(Best::Restored {
                serial: state.serial,
            })
        }
        _ => Ok(Best::None),
    }
}

/// Adopts a state from elsewhere, such as the run's bucket, as one of the copies. All of its
/// resources must be the run's: its author must not decide what terraform deletes.
pub fn adopt(folder: &Path, run: &RunId, bytes: &[u8]) -> io::Result<bool> {
    let Some(StateFile {
        serial, resources, ..
    }) = whole(bytes)
    else {
        return Ok(false);
    };
    let is_ours = |resource: &Resource| {
        resource.mode == "data" || resource.instances.to_string().contains(run.as_str())
    };
    if !resources.iter().all(is_ours) {
        return Ok(false);
    }
    journal::subfolder(&folder.join(COPIES))?;
    replace(
        &folder.join(COPIES).join(format!("{serial}.tfstate")),
        bytes,
    )?;
    Ok(true)
}

/// Returns the states that terraform printed. With a full disk this is its last resort: one line of
/// its log, with a `state` object.
fn dumps(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_log = |name: &str| name.starts_with("terraform-") && name.ends_with(".jsonl");
    let logs = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_log));
    logs.filter_map(|entry| File::open(entry.path()).ok())
        .flat_map(|log| io::BufReader::new(log).lines().map_while(io::Result::ok))
        .filter(|line| line.contains(DUMP))
        .filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(&line).ok()?;
            serde_json::to_vec(message.get("state")?).ok()
        })
        .collect()
}

/// Terraform's words that introduce its dump of the state.
const DUMP: &str = "Emergency state dump";

/// Returns the copies by serial, oldest first.
fn copies(folder: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder.join(COPIES)) else {
        return Vec::new();
    };
    let mut copies: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let serial = entry
                .file_name()
                .to_str()?
                .strip_suffix(".tfstate")?
                .parse()
                .ok()?;
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
        std::fs::write(
            folder.join(STATE),
            format!(r#"{{"version":4,"serial":{serial},"resources":[]}}"#),
        )
        .unwrap();
    }

    fn kept(folder: &Path) -> Vec<u64> {
        copies(folder)
            .into_iter()
            .map(|(serial, _)| serial)
            .collect()
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
            assert_eq!(
                best_state(home.path()).unwrap(),
                Best::Restored { serial: 4 }
            );
            assert_eq!(best_state(home.path()).unwrap(), Best::AsItIs);
        }
    }

    #[test]
    fn nothing_is_made_in_a_run_folder_that_somebody_deleted() {
        let home = tempfile::tempdir().unwrap();
        let gone = home.path().join("sp-0000000001");
        keep(&gone).unwrap();
        adopt(
            &gone,
            &RunId::parse("sp-0000000001").unwrap(),
            br#"{"version":4,"serial":3}"#,
        )
        .unwrap_err();
        crate::terraform::module::unpack(&gone.join("module")).unwrap_err();
        assert!(!gone.exists());
    }

    #[test]
    fn a_state_with_what_is_not_the_runs_is_not_adopted() {
        let (home, run) = (
            tempfile::tempdir().unwrap(),
            RunId::parse("sp-0000000001").unwrap(),
        );
        let state = |bucket: &str| {
            let ours =
                r#"{"mode":"managed","instances":[{"attributes":{"name":"sp-0000000001"}}]}"#;
            let zones = r#"{"mode":"data","instances":[{"attributes":{"id":"us-east-1"}}]}"#;
            let other = format!(
                r#"{{"mode":"managed","instances":[{{"attributes":{{"id":"{bucket}"}}}}]}}"#
            );
            format!(r#"{{"version":4,"serial":3,"resources":[{ours},{zones},{other}]}}"#)
        };
        assert!(!adopt(home.path(), &run, state("production").as_bytes()).unwrap());
        assert_eq!(kept(home.path()), [0_u64; 0]);
        assert!(
            adopt(
                home.path(),
                &run,
                state("spikeproof-sp-0000000001").as_bytes()
            )
            .unwrap()
        );
        assert_eq!(kept(home.path()), [3]);
    }

    #[test]
    fn a_state_that_terraform_could_not_save_is_found_where_it_put_it() {
        let state = |serial: u64, lineage: &str| {
            format!(r#"{{"version":4,"serial":{serial},"lineage":"{lineage}"}}"#)
        };
        let home = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(STATE, &state(4, "ours"));
        put(ERRORED, "");
        assert_eq!(
            best_state(home.path()).unwrap(),
            Best::AsItIs,
            "claimed, and empty"
        );
        put(ERRORED, &state(6, "ours"));
        let dump = format!(
            r#"{{"@message":"Emergency state dump","type":"log","state":{}}}"#,
            state(7, "ours")
        );
        put("terraform-2.jsonl", &format!("not JSON\n{dump}\n"));
        put("states/9.tfstate", &state(9, "a stranger's"));
        assert_eq!(
            best_state(home.path()).unwrap(),
            Best::Restored { serial: 7 }
        );
        assert_eq!(
            serial(&std::fs::read(home.path().join(STATE)).unwrap()),
            Some(7)
        );
    }
}
