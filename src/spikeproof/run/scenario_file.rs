//! The scenario as the user names it: its text, and the folders that its files may lie in.

use std::path::{Path, PathBuf};

use crate::files::{self, FileRefused};
use crate::scenario::{FileError, LARGEST_FILE};

/// Far above any scenario that somebody writes or generates.
const LARGEST_SCENARIO: u64 = 16 << 20;

/// Why there is no text, or no folder to look for files in.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioFileError {
    /// The scenario itself is not read.
    #[error("cannot read the scenario {file}: {source}")]
    Text {
        /// The scenario as it was named.
        file: String,
        /// The reason.
        source: FileRefused,
    },
    /// The scenario's folder, or one that the user named.
    #[error("cannot use the folder {}: {source}", folder.display())]
    Folder {
        /// The folder as it was named.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// True if a name stands for what the user sends rather than for a file: `-`, standard input, or a
/// descriptor such as that of `<(command)`.
fn is_sent(file: &Path) -> bool {
    let descriptors = ["/dev/fd", "/proc/self/fd"];
    file == Path::new("-")
        || file == Path::new("/dev/stdin")
        || file
            .parent()
            .is_some_and(|folder| descriptors.iter().any(|known| folder == Path::new(known)))
}

/// Reads the text of the scenario.
pub fn scenario_text(file: &Path) -> Result<String, ScenarioFileError> {
    let text = if file == Path::new("-") {
        files::read_sent(std::io::stdin().lock(), LARGEST_SCENARIO)
    } else if is_sent(file) {
        std::fs::File::open(file)
            .map_err(FileRefused::from)
            .and_then(|sent| files::read_sent(sent, LARGEST_SCENARIO))
    } else {
        files::read_text(file, LARGEST_SCENARIO)
    };
    text.map_err(|source| ScenarioFileError::Text {
        file: file.display().to_string(),
        source,
    })
}

/// The folders that the files of a scenario may lie in.
#[derive(Debug, Clone, Default)]
pub struct ScenarioFolders {
    /// Without links; names in the scenario count from here. Nothing is read if there is none.
    own: Option<PathBuf>,
    /// Without links: those that the user named, and the own one.
    all: Vec<PathBuf>,
}

impl ScenarioFolders {
    /// The folder of the scenario and those of `--allow-files`. A scenario that is sent, as through
    /// a pipe, belongs to the working directory.
    pub fn of(scenario: &Path, allowed: &[PathBuf]) -> Result<Self, ScenarioFileError> {
        let own = match scenario.parent() {
            Some(folder) if !is_sent(scenario) && folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let own = without_links(own)?;
        let mut all = vec![own.clone()];
        for folder in allowed {
            all.push(without_links(folder)?);
        }
        Ok(Self {
            own: Some(own),
            all,
        })
    }

    /// Reads a file that the scenario names.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let Some(own) = &self.own else {
            return Err(FileError::NoneHere(name.to_owned()));
        };
        files::read_inside(&own.join(name), &self.all, LARGEST_FILE).map_err(|why| match why {
            FileRefused::Read(error) => FileError::Read(error),
            why => FileError::Refused(why.into()),
        })
    }
}

fn without_links(folder: &Path) -> Result<PathBuf, ScenarioFileError> {
    let failed = |source| ScenarioFileError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let found = folder.canonicalize().map_err(failed)?;
    if found.is_dir() {
        Ok(found)
    } else {
        Err(failed(std::io::ErrorKind::NotADirectory.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_from_the_scenario_s_folder_and_may_lie_in_the_folders_that_the_user_names() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for folder in ["own", "shared"] {
            std::fs::create_dir(at(folder)).unwrap();
            std::fs::write(at(folder).join("rows.csv"), folder).unwrap();
        }
        let scenario = at("own").join("scenario.yaml");
        let read = |allowed: &[PathBuf], name: &str| {
            let folders = ScenarioFolders::of(&scenario, allowed).unwrap();
            folders.read(name).map_err(|why| why.to_string())
        };
        assert_eq!(read(&[], "rows.csv").unwrap(), b"own");
        let shared = at("shared").join("rows.csv").display().to_string();
        for name in ["../shared/rows.csv", shared.as_str()] {
            let why = read(&[], name).unwrap_err();
            assert!(why.contains("--allow-files"), "{why}");
            assert_eq!(read(&[at("shared")], name).unwrap(), b"shared");
        }
        let missing = ScenarioFolders::of(&scenario, &[at("nowhere")]).unwrap_err();
        assert!(missing.to_string().contains("nowhere: No such file"));
        let file = ScenarioFolders::of(&scenario, &[at("own").join("rows.csv")]).unwrap_err();
        assert!(file.to_string().contains("not a directory"), "{file}");
    }

    #[test]
    fn a_scenario_that_is_sent_belongs_to_the_working_directory() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        for name in ["-", "/dev/stdin", "/dev/fd/63", "scenario.yaml"] {
            let folders = ScenarioFolders::of(Path::new(name), &[]).unwrap();
            assert_eq!(folders.own.as_ref(), Some(&here), "{name}");
        }
    }

    #[test]
    fn the_scenario_itself_is_a_file_of_some_size() {
        for file in ["/dev/zero", "/proc/self/environ", "/dev"] {
            assert!(scenario_text(Path::new(file)).is_err(), "{file}");
        }
    }
}
