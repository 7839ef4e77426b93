//! The lines of a journal: length, checksum, sequence number, JSON. Pure.
//!
//! `LLLLLLLL CCCCCCCC SSSSSSSS JSON\n`, the three numbers in hexadecimal. Length and checksum cover
//! the sequence number and the JSON, so that a torn, flipped or misplaced line is known for what it
//! is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::GroupChange;
use super::names::Thing;
use model::outcome::Exit;
use model::redact;
use model::units::RunId;

/// The identity of a run: its account, place and target. Account and region let a later reap refuse
/// the wrong credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run's id.
    pub run: RunId,
    /// The AWS region of everything that the run makes.
    pub region: String,
    /// The AWS account of everything that the run makes.
    pub account: String,
    /// The `name` of the scenario.
    pub scenario_name: String,
    /// The URL under load.
    pub url: String,
    /// `AWS_ENDPOINT_URL`, when it was not AWS itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The boot of the host that began it: a lock is valid on that host and boot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// `AWS_PROFILE`: a later reap may run with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The group or service under test; `None` if the run watches none, and in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Box<WatchedTarget>>,
    /// When the run began.
    pub started: Timestamp,
}

/// A group or service, and the AWS in which it is. Two runs with equal ones test the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedTarget {
    /// The group, or `cluster/service`.
    pub name: String,
    /// Its AWS region.
    pub region: String,
    /// `AWS_ENDPOINT_URL`, when it was not AWS itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The first line: the run itself.
    Run(Run),
    /// We are about to make one thing.
    Intent {
        /// The thing that is about to be made.
        thing: Thing,
    },
    /// We are about to change a setting of the target's group. The change has the whole setting as it
    /// was, which nothing else knows.
    IntentChange {
        /// The setting before and during the run.
        change: GroupChange,
    },
    /// The intended changes of the group are about to be written: until then it is untouched.
    ChangeBegins,
    /// Every intended change of the group was read back: none is under way any more.
    Changed,
    /// Terraform is about to make everything.
    IntentApply,
    /// Terraform has made everything.
    Applied,
    /// Terraform gave up by itself: nothing of it is under way any more.
    ApplyFailed,
    /// A task was started.
    Task {
        /// Its ARN, or the process id of a local task.
        arn: String,
    },
    /// The load ended early: by the user, by a limit, or because the tasks had ended.
    #[serde(alias = "interrupted")]
    LoadEndedEarly {
        /// The reason, in words.
        why: String,
    },
    /// A destroy is about to begin.
    IntentDestroy,
    /// Described, and not there.
    Gone {
        /// The thing that is proven gone.
        thing: Thing,
    },
    /// A thing is still there, or could not be described, after a destroy.
    Left {
        /// The thing that is left.
        thing: Thing,
        /// AWS's answer, or why there is none.
        why: String,
    },
    /// The last line: nothing of the run is under way.
    Finished {
        /// The exit code of the run or the reap.
        exit: Exit,
    },
}

/// Eight digits and a space, three times.
const HEADER: usize = 27;

/// Fields that are written without redaction, because a reap needs them. They are kinds, names and
/// places; a scenario cannot put a secret into any of them.
const FIXED: [&str; 16] = [
    "record", "run", "region", "account", "endpoint", "boot", "profile", "kind", "name", "arn",
    "exit", "group", "setting", "before", "during", "aside",
];

/// Writes one line, with its line feed. The text is redacted here, because reasons and URLs come
/// from outside.
pub fn encode(sequence: u64, record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    // A record whose fixed words are kept is always one again.
    let clean = redact::message(record, &FIXED);
    let body = format!(
        "{sequence:08x} {}",
        serde_json::to_string(clean.as_ref().unwrap_or(record))?
    );
    Ok(format!(
        "{:08x} {:08x} {body}\n",
        body.len(),
        crc32fast::hash(body.as_bytes())
    )
    .into_bytes())
}

/// Returns the records up to the first bad one, and how many bytes they take.
pub fn decode(bytes: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut good = 0;
    while let Some((record, length)) = bytes
        .get(good..)
        .and_then(|rest| line(rest, records.len() as u64))
    {
        records.push(record);
        good += length;
    }
    (records, good)
}

fn line(bytes: &[u8], sequence: u64) -> Option<(Record, usize)> {
    let length = hex(bytes.get(..9)?)? as usize;
    let checksum = hex(bytes.get(9..18)?)?;
    let end = length.checked_add(18)?;
    let body = bytes.get(18..end)?;
    if bytes.get(end) != Some(&b'\n') || u64::from(crc32fast::hash(body)) != checksum {
        return None;
    }
    if hex(body.get(..9)?)? != sequence {
        return None;
    }
    let record = serde_json::from_slice(bytes.get(HEADER..end)?).ok()?;
    Some((record, end + 1))
}

/// Reads eight hexadecimal digits and a space.
fn hex(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?.strip_suffix(' ')?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::names::ResourceKind;

    #[test]
    fn reasons_and_urls_lose_their_secrets_and_what_a_reap_needs_stays() {
        let mut secrets = redact::Secrets::default();
        // One of the secrets is, by coincidence, a text that the journal itself contains.
        secrets.insert("WHY", "c4nary-of-the-journal");
        secrets.insert("WORD", "sp-j0urna1wrd");
        redact::keep(&secrets);
        let thing = Thing {
            kind: ResourceKind::Cluster,
            name: "sp-j0urna1wrd".to_owned(),
        };
        let left = Record::Left {
            thing: thing.clone(),
            why: "denied: c4nary-of-the-journal".to_owned(),
        };
        let line = encode(0, &left).unwrap();
        assert!(!String::from_utf8(line.clone()).unwrap().contains("c4nary"));
        let (records, length) = decode(&line);
        assert_eq!(length, line.len());
        assert_eq!(
            records,
            [Record::Left {
                thing,
                why: "denied: [secret WHY]".to_owned()
            }]
        );
    }
}
