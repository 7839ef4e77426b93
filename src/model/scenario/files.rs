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
    /// The file lies where it may not, is no regular file, or is too large.
    #[error("{0}")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The use of a file in a scenario; it bounds the size of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileUse {
    /// Rows of data; every process of a run has all of them in memory.
    Data,
    /// The body of a request, or a part of one.
    Body,
    /// Certificates or a key, in PEM.
    Certificate,
}

const MIB: u64 = 1 << 20;

/// The most bytes of one file, whatever its use.
pub const LARGEST_FILE: u64 = 256 * MIB;

/// The most bytes of all files of a scenario together. They travel to every task.
pub(super) const LARGEST_TOGETHER: u64 = 512 * MIB;

impl FileUse {
    /// The most bytes of one such file.
    pub(super) fn largest(self) -> u64 {
        match self {
            Self::Data => LARGEST_FILE,
            Self::Body => 64 * MIB,
            Self::Certificate => MIB,
        }
    }

    /// The noun for messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Data => "a data file",
            Self::Body => "the body of a request",
            Self::Certificate => "a certificate or key",
        }
    }
}

/// The files a scenario uses, by the names it uses.
pub type FileContents = BTreeMap<String, Arc<Vec<u8>>>;

/// Refuses every file; for texts that name no files.
pub fn no_files(name: &str) -> Result<Vec<u8>, FileError> {
    Err(FileError::NoneHere(name.to_owned()))
}
