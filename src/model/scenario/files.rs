//! The files that a scenario names: their content is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens a file that the scenario names, by the name it uses.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, FileError>;

/// Why a file that a scenario names has no content.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing can be opened by this name where the scenario is read.
    #[error("there is no file `{0}` here")]
    NoneHere(String),
    /// A generator task was not sent the file with its plan.
    #[error("it did not come with the plan")]
    NotInPlan,
    /// The system could not open or read the file.
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

/// The files a scenario uses, by the names it uses.
pub type FileContents = BTreeMap<String, Arc<Vec<u8>>>;

/// Refuses every file; for texts that name no files.
pub fn no_files(name: &str) -> Result<Vec<u8>, FileError> {
    Err(FileError::NoneHere(name.to_owned()))
}
