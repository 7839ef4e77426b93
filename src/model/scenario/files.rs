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

#[cfg(test)]
mod tests {
    use super::super::{Substitutions, read};
    use super::*;

    /// Returns the messages for a scenario whose files have these sizes.
    fn said(rest: &str, sizes: &[(&str, u64)]) -> Vec<String> {
        let text = format!("name: x\nphases: [{{ rate: 1/s, hold: 1s }}]\n{rest}\n");
        let open = |name: &str| {
            let found = sizes.iter().find(|(known, _)| *known == name);
            // Memory that nobody touches is never allocated.
            Ok(vec![0; found.unwrap().1 as usize])
        };
        let problems = read(&text, &Substitutions::default(), &open).err();
        let messages = problems.unwrap_or_default().into_iter();
        messages.map(|problem| problem.message).collect()
    }

    const TARGET: &str = "target: { url: 'https://x' }\n";

    #[test]
    fn each_file_has_its_most_bytes() {
        let of_body = |size| {
            let steps = "steps: [{ post: /, file: f }]";
            said(&format!("{TARGET}{steps}"), &[("f", size)])
        };
        let of_part = |size| {
            let steps = "steps: [{ post: /, multipart: { a: { file: f } } }]";
            said(&format!("{TARGET}{steps}"), &[("f", size)])
        };
        let of_certificate = |size| {
            let target = "target: { url: 'https://x', tls: { ca: f } }\nsteps: [{ get: / }]";
            said(target, &[("f", size)])
        };
        let of_data = |size| {
            let data = "data: { u: { file: f.csv } }\nsteps: [{ get: '/{{ u.a }}' }]";
            said(&format!("{TARGET}{data}"), &[("f.csv", size)])
        };
        let too_large =
            |word: &str, most: u64| format!("this is too large: {word} has at most {most} MiB");
        let body = too_large("the body of a request", 64);
        assert_eq!(of_body(64 * MIB), [""; 0]);
        assert_eq!(of_body(64 * MIB + 1), [body.as_str()]);
        assert_eq!(of_part(64 * MIB), [""; 0]);
        assert_eq!(of_part(64 * MIB + 1), [body.as_str()]);
        let certificate = too_large("a certificate or key", 1);
        assert!(!of_certificate(MIB).contains(&certificate));
        assert_eq!(of_certificate(MIB + 1), [certificate.as_str()]);
        let data = too_large("a data file", 256);
        assert_eq!(of_data(256 * MIB + 1), [data.as_str()]);
    }

    #[test]
    fn all_files_together_have_their_most_bytes() {
        let names: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let steps: Vec<String> = names
            .iter()
            .map(|name| format!("{{ post: /, file: '{name}' }}"))
            .collect();
        let said = |last: u64| {
            let sizes = names
                .iter()
                .map(|name| (name.as_str(), if name == "8" { last } else { 64 * MIB }));
            let sizes: Vec<(&str, u64)> = sizes.collect();
            said(&format!("{TARGET}steps: [{}]", steps.join(", ")), &sizes)
        };
        assert_eq!(said(0), [""; 0]);
        let many = "with this one, the files of the scenario have more than 512 MiB";
        assert_eq!(said(1), [many]);
    }
}
