//! The numbers everyone speaks: latencies, tallies, cells, and the results merged from all tasks.
//!
//! Pure. Percentiles come from merged histograms, never from averaged percentiles; latency is counted from the
//! *intended* start of a request, and the time from the actual send is kept beside it.

mod latency;
mod recorder;
mod results;
pub mod timeline;

pub use latency::Latency;
pub use recorder::{Recorder, Request};
pub use results::{Merged, Results, Select};
pub use timeline::Timeline;

use serde::{Deserialize, Serialize};

/// Where a request belongs: indices into the scenario's phases, flows and that flow's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub phase: u16,
    pub flow: u16,
    pub step: u16,
}

/// How one request ended. Every result keeps these classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Ok,
    /// Answered, but not as the step's check wants it (a status below 500, too slow).
    Check,
    /// A status of 500 or above that the check did not ask for.
    Status5xx,
    /// A status from 400 to 499 that the check did not ask for.
    Status4xx,
    /// No connection: refused, unreachable, name not found, TLS failure.
    Connect,
    /// The connection broke before the answer was complete.
    Broken,
    Timeout,
}

/// Counts of requests by their ending, and bytes received (heads not counted).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub ok: u64,
    pub check: u64,
    pub status_5xx: u64,
    pub status_4xx: u64,
    pub connect: u64,
    pub broken: u64,
    pub timeout: u64,
    pub bytes: u64,
}

impl Tally {
    pub fn add(&mut self, ending: Ending, bytes: u64) {
        *match ending {
            Ending::Ok => &mut self.ok,
            Ending::Check => &mut self.check,
            Ending::Status5xx => &mut self.status_5xx,
            Ending::Status4xx => &mut self.status_4xx,
            Ending::Connect => &mut self.connect,
            Ending::Broken => &mut self.broken,
            Ending::Timeout => &mut self.timeout,
        } += 1;
        self.bytes += bytes;
    }

    pub fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.check += other.check;
        self.status_5xx += other.status_5xx;
        self.status_4xx += other.status_4xx;
        self.connect += other.connect;
        self.broken += other.broken;
        self.timeout += other.timeout;
        self.bytes += other.bytes;
    }

    pub fn requests(&self) -> u64 {
        self.ok + self.errors()
    }

    pub fn errors(&self) -> u64 {
        self.check + self.status_5xx + self.status_4xx + self.connect + self.broken + self.timeout
    }

    /// Answered in full, whatever the answer was.
    pub fn answered(&self) -> u64 {
        self.ok + self.check + self.status_5xx + self.status_4xx
    }

    /// The classes that happened, with the words reports use.
    pub fn classes(&self) -> Vec<(&'static str, u64)> {
        [
            ("failed checks", self.check),
            ("5xx", self.status_5xx),
            ("4xx", self.status_4xx),
            ("no connection", self.connect),
            ("broken off", self.broken),
            ("timed out", self.timeout),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
    }
}

/// One second of one step: the second in which the request *ended*, counted from the start instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub second: u32,
    pub key: Key,
    pub tally: Tally,
    /// From the intended start, failed requests included: what a user would have waited.
    pub latency: Latency,
    /// From the actual send.
    pub service: Latency,
}

/// The generator's own health in one second: when it strains, its numbers are not the target's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Strain {
    pub second: u32,
    /// The longest a request was sent after its intended start because of the generator itself, in microseconds.
    pub late_micros: u64,
    /// Sessions or iterations under way at the end of the second.
    pub sessions: u32,
    /// Iterations the open model asked for but the generator could not start (its own ceiling).
    pub dropped: u64,
}

/// What a task has to tell about some seconds: everything it recorded since its last interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub cells: Vec<Cell>,
    pub strain: Vec<Strain>,
}
