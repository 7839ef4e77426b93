//! The numbers everyone speaks: latencies, tallies, cells, and the results merged from all tasks.
//!
//! Pure. Percentiles come from merged histograms, never from averaged percentiles; latency is
//! counted from the
//! *intended* start of a request, and the time from the actual send is kept beside it.

mod failure;
mod latency;
mod recorder;
mod results;
mod saturation;
mod tally;

pub use failure::{
    Broken, Failure, FailureCount, NoSocket, RefusedRedirect, StatusCount, TlsFailure,
};
pub use latency::{LatencyHistogram, PackedLatency};
pub use recorder::{Request, RequestRecorder, ResultShape};
pub use results::{Merged, Results, Select};
pub use saturation::{Bound, SHORT, Saturation, Stretch, stretches};
pub use tally::{Ending, Tally};

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The place of a request: indices into the scenario's phases, flows and that flow's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Index into the scenario's phases.
    pub phase: u16,
    /// Index into the scenario's flows.
    pub flow: u16,
    /// Index into the flow's steps.
    pub step: u16,
}

/// One second of one step: the second in which the request *ended*, counted from the start instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Seconds since the start instant.
    pub second: u32,
    /// The phase, flow and step.
    pub key: Key,
    /// Counts of this second's requests.
    pub tally: Tally,
    /// Latencies from the intended start, failed requests included: the time a user would have
    /// waited.
    pub latency: PackedLatency,
}

/// The time of a step's requests, split by part, over a whole interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts<L> {
    /// The phase, flow and step.
    pub key: Key,
    /// From the actual send (connecting included) to the last byte.
    pub service: L,
    /// Waiting for the name's addresses; only requests that opened a connection.
    pub dns: L,
    /// The TCP handshake; only requests that opened a connection.
    pub connect: L,
    /// The TLS handshake; only requests that opened a connection over https.
    pub tls: L,
    /// From the request on the wire to the first byte of its answer.
    pub first_byte: L,
    /// From the first byte to the last.
    pub body: L,
}

impl<L: Default> Parts<L> {
    /// Makes an entry without times.
    pub fn of(key: Key) -> Self {
        Self {
            key,
            service: L::default(),
            dns: L::default(),
            connect: L::default(),
            tls: L::default(),
            first_byte: L::default(),
            body: L::default(),
        }
    }
}

impl<L> Parts<L> {
    /// Takes each of the other's parts to its own.
    pub fn merge_with<M>(&mut self, other: &Parts<M>, merge: impl Fn(&mut L, &M)) {
        merge(&mut self.service, &other.service);
        merge(&mut self.dns, &other.dns);
        merge(&mut self.connect, &other.connect);
        merge(&mut self.tls, &other.tls);
        merge(&mut self.first_byte, &other.first_byte);
        merge(&mut self.body, &other.body);
    }
}

/// Number of times that one named check of a step held and did not, over an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCount {
    /// The phase, flow and step.
    pub key: Key,
    /// Index into [`Step::check_names`](crate::scenario::Step::check_names).
    pub check: u16,
    /// Times that the check held.
    pub passed: u64,
    /// Times that it did not hold.
    pub failed: u64,
}

/// Requests and connections of one address of the target in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCount {
    /// Seconds since the start instant.
    pub second: u32,
    /// Address and port of the target.
    pub address: SocketAddr,
    /// Requests sent to it.
    pub requests: u64,
    /// Connections opened to it, and tries that failed.
    pub opened: u64,
    /// Attempts to connect that failed.
    pub refused: u64,
}

/// The answers of one instance of the target in one second, if a header of its answers names it.
/// (Answers of the load balancer itself carry no such header, and belong to no instance.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceCell {
    /// Seconds since the start instant.
    pub second: u32,
    /// The header's value; `(others)` after too many different ones.
    pub instance: String,
    /// The end of its first answer in this second, since the start instant.
    pub first: Duration,
    /// Counts of the requests that it answered.
    pub tally: Tally,
    /// From the intended start of these requests.
    pub latency: PackedLatency,
}

/// The report of a task: everything it recorded since its last interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Counts and latencies by second and step.
    pub cells: Vec<Cell>,
    /// The time of requests, split by part, for each step.
    pub parts: Vec<Parts<PackedLatency>>,
    /// Named checks, by step.
    pub checks: Vec<CheckCount>,
    /// Requests and connections, by second and address.
    pub addresses: Vec<AddressCount>,
    /// Answers by second and instance; empty if no header names the instance.
    pub instances: Vec<InstanceCell>,
    /// The generator's own health, by second.
    #[serde(rename = "strain")]
    pub saturation: Vec<Saturation>,
    /// Why connections failed, and how often.
    pub reasons: Vec<(String, u64)>,
    /// Complete answers by step and status.
    #[serde(default)]
    pub statuses: Vec<StatusCount>,
    /// Why requests failed, by step.
    #[serde(default)]
    pub failures: Vec<FailureCount>,
}

impl Interval {
    /// Adds everything of another interval of the same task.
    pub fn extend(&mut self, other: Self) {
        self.cells.extend(other.cells);
        self.parts.extend(other.parts);
        self.checks.extend(other.checks);
        self.addresses.extend(other.addresses);
        self.instances.extend(other.instances);
        self.saturation.extend(other.saturation);
        self.reasons.extend(other.reasons);
        self.statuses.extend(other.statuses);
        self.failures.extend(other.failures);
    }

    /// True if nothing was recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
