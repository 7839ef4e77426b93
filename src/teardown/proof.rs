//! The proof of a destroy, for readers who do not believe an exit code: AWS's answer about each
//! thing that a run could have made.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Teardown;
use cloud::aws::Cloud;
use cloud::files;
use model::units::RunId;
use provision::journal::Record;
use provision::journal::names::Thing;

/// The name of the proof in the run's folder; beside the runs it is `RUN.proof.json`. It has every
/// expected name, with the answer that says it is gone.
pub const PROOF: &str = "proof.json";

/// The most bytes of a proof: it has some hundred bytes for each thing.
const LARGEST: u64 = 16 << 20;

/// The result of a destroy: each thing, proven gone or not. Empty where there was nothing to do.
#[derive(Debug, Default)]
pub struct Destruction {
    /// One proof for each thing, by the last Describe of it.
    pub proof: Vec<Proof>,
}

/// The answer of one Describe on one thing that a run could have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The thing that was described.
    pub thing: Thing,
    /// AWS says that it does not exist.
    pub gone: bool,
    /// It was there, and is somebody else's: it was left as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// The call and its answer, or why it has none.
    pub evidence: String,
    /// The time of AWS's answer.
    pub at: Timestamp,
}

impl Destruction {
    /// True if nothing is left.
    pub fn is_clean(&self) -> bool {
        self.proof.iter().all(|proof| proof.gone)
    }

    /// Returns the things proven gone, each with its evidence.
    pub fn gone(&self) -> Vec<String> {
        self.lines(true)
    }

    /// Returns the things that may be left, each with its reason.
    pub fn left(&self) -> Vec<String> {
        self.lines(false)
    }

    fn lines(&self, gone: bool) -> Vec<String> {
        self.proof
            .iter()
            .filter(|proof| proof.gone == gone)
            .map(|proof| format!("{}: {}", proof.thing, proof.evidence))
            .collect()
    }

    /// Adds a thing that was found gone, or that is somebody else's.
    pub fn add_gone(&mut self, thing: Thing, evidence: String, foreign: bool) {
        self.add(thing, true, foreign, evidence);
    }

    /// Adds a thing that is there, or about which nothing could be learned.
    pub fn add_left(&mut self, thing: Thing, why: String) {
        self.add(thing, false, false, why);
    }

    fn add(&mut self, thing: Thing, gone: bool, foreign: bool, evidence: String) {
        self.proof.push(Proof {
            thing,
            gone,
            foreign,
            evidence,
            at: Timestamp::now(),
        });
    }

    /// Forgets that a thing was found gone.
    pub fn take_back(&mut self, thing: &Thing) {
        self.proof.retain(|proof| proof.thing != *thing);
    }

    /// Writes the result to a journal: a thing proven gone is no leftover any more.
    pub fn record(&self, mut write: impl FnMut(Record)) {
        for proof in &self.proof {
            let thing = proof.thing.clone();
            write(if proof.gone {
                Record::Gone { thing }
            } else {
                Record::Left {
                    thing,
                    why: proof.evidence.clone(),
                }
            });
        }
    }

    /// Writes the proof file. A disk that takes no proof does not make it untrue: then a note says
    /// why.
    pub fn write_proof(&self, path: &Path, teardown: &Teardown<'_>) {
        let Cloud { aws, caller } = teardown.aws;
        let file = ProofFile {
            run: teardown.run,
            account: &caller.account,
            region: &aws.region,
            things: &self.proof,
        };
        let written = serde_json::to_vec_pretty(&file)
            .map_err(std::io::Error::from)
            .and_then(|json| std::fs::write(path, json));
        if let Err(error) = written {
            teardown
                .events
                .note(format!("the proof could not be written: {error}"));
        }
    }
}

/// The things in a proof: what else it says is not asked here.
#[derive(Deserialize)]
struct ProvenThings {
    things: Vec<Proof>,
}

/// True if a destroy of this run has proven all of these things gone, in whatever account it was.
pub(crate) fn proves_gone(path: &Path, things: &[Thing]) -> bool {
    let proof = files::read(path, LARGEST)
        .ok()
        .and_then(|proof| serde_json::from_slice::<ProvenThings>(&proof).ok());
    proof.is_some_and(|proof| {
        let is_gone = |thing: &Thing| {
            let mut found = proof.things.iter();
            found.any(|one| one.thing == *thing && one.gone)
        };
        things.iter().all(is_gone)
    })
}

#[derive(Serialize)]
struct ProofFile<'a> {
    run: &'a RunId,
    account: &'a str,
    region: &'a str,
    things: &'a [Proof],
}

/// The members of a proof file that say where it was made.
#[derive(Deserialize)]
struct ProofPlace {
    account: String,
    region: String,
}

/// True if an earlier proof at this path was made in this teardown's account and region.
pub fn is_from_same_place(path: &Path, teardown: &Teardown<'_>) -> bool {
    let place = files::read(path, LARGEST)
        .ok()
        .and_then(|proof| serde_json::from_slice::<ProofPlace>(&proof).ok());
    let Cloud { aws, caller } = teardown.aws;
    place.is_some_and(|place| (&place.account, &place.region) == (&caller.account, &aws.region))
}
