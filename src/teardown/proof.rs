//! The proof of a destroy, for whoever does not believe an exit code.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::destroy::{Destruction, Proof, Site};
use crate::aws::Cloud;
use crate::units::RunId;

/// In the run's folder, or beside the runs as `RUN.proof.json`: every expected name with the answer
/// that says it is gone.
pub const PROOF: &str = "proof.json";

#[derive(Serialize)]
struct ProofFile<'a> {
    run: &'a RunId,
    account: &'a str,
    region: &'a str,
    things: &'a [Proof],
}

#[derive(Deserialize)]
struct Place {
    account: String,
    region: String,
}

/// Whether an earlier proof at this path was made where this site is.
pub fn is_of(path: &Path, site: &Site<'_>) -> bool {
    let place = std::fs::read(path)
        .ok()
        .and_then(|proof| serde_json::from_slice::<Place>(&proof).ok());
    let Cloud { aws, caller } = site.cloud;
    place.is_some_and(|place| (&place.account, &place.region) == (&caller.account, &aws.region))
}

/// A disk that takes no proof does not make it untrue.
pub fn prove(path: &Path, site: &Site<'_>, destruction: &Destruction) {
    let Cloud { aws, caller } = site.cloud;
    let file = ProofFile {
        run: site.run,
        account: &caller.account,
        region: &aws.region,
        things: &destruction.proof,
    };
    let written = serde_json::to_vec_pretty(&file)
        .map_err(std::io::Error::from)
        .and_then(|json| std::fs::write(path, json));
    if let Err(error) = written {
        site.events
            .note(format!("the proof could not be written: {error}"));
    }
}
