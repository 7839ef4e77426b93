//! Doors for the fuzz targets of `tests/fuzz`: compiled with `--cfg fuzzing` only.

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use url::Url;

use model::measure::Broken;
use model::scenario::Scenario;

use super::decode;
use super::jar::Jar;
use super::judge::Slots;
use super::request::Prepared;
use super::values::{CapturedValue, Values};
use super::wire::{AnswerReader, Keep};

/// An answer as the engine reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of its head.
    pub status: u16,
    /// The headers that are kept: names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, if it is kept.
    pub body: Vec<u8>,
    /// The length of the body.
    pub bytes: u64,
    /// The connection may carry another request.
    pub reusable: bool,
    /// Bytes that came after the answer, in pieces that were not read.
    pub unread: usize,
}

/// Reads an answer that comes in pieces, until the connection ends.
pub fn answer(pieces: &[&[u8]], keeps_all: bool, head_only: bool) -> Result<Answer, Broken> {
    let mut reader = AnswerReader::new(Keep {
        body: keeps_all,
        headers: keeps_all,
        cookies: keeps_all,
        head_only,
    });
    let mut unread: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut complete = false;
    for piece in pieces {
        unread -= piece.len();
        complete = reader.feed(piece)?;
        if complete {
            break;
        }
    }
    if !complete {
        reader.end()?;
    }
    let read = reader.answer();
    Ok(Answer {
        status: read.status,
        headers: read.headers,
        body: read.body,
        bytes: read.bytes,
        reusable: read.reusable,
        unread,
    })
}

/// Unpacks a body; `None` if it is not what its coding says.
pub fn unpacked(coding: &[u8], body: Vec<u8>) -> Option<Vec<u8>> {
    decode::decode(coding, body).ok()
}

/// The cookies of a session.
#[derive(Default)]
pub struct Cookies(Jar);

impl Cookies {
    /// Takes a header `set-cookie`.
    pub fn set(&mut self, header: &str, url: &Url) {
        self.0.set(header, url);
    }

    /// Returns the header `cookie` of a request.
    pub fn header(&self, url: &Url) -> Option<String> {
        self.0.header(url)
    }
}

/// Returns each request of a scenario as it would be sent, if `captured` was captured for every
/// name. A request whose values are missing is left out.
pub fn requests(scenario: &Scenario, captured: &str) -> Vec<Vec<u8>> {
    let mut chance = Pcg64Mcg::seed_from_u64(1);
    let value = match serde_json::from_str::<serde_json::Value>(captured) {
        Ok(_) => CapturedValue::of_json(captured.trim()),
        Err(_) => CapturedValue {
            text: captured.into(),
            json: false,
        },
    };
    let rows = vec![Some(0); scenario.data.len()];
    let mut all = Vec::new();
    for flow in &scenario.flows {
        let variables = vec![Some(value.clone()); flow.variables.len()];
        let slots = Slots::of(&flow.variables);
        for step in &flow.steps {
            let Ok(prepared) = Prepared::new(&scenario.target, &slots, step, false) else {
                continue;
            };
            let mut values = Values {
                variables: &variables,
                data: &scenario.data,
                rows: &rows,
                session: 0,
                iteration: 1,
                chance: &mut chance,
            };
            if let Ok(ready) = prepared.ready(&mut values) {
                let mut written = Vec::new();
                ready.write(&scenario.target.url.authority(), None, &mut written);
                all.push(written);
            }
        }
    }
    all
}
