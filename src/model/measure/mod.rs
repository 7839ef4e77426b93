//! The numbers everyone speaks: latencies, tallies, cells, and the results merged from all tasks.
//!
//! Pure. Percentiles come from merged histograms, never from averaged percentiles; latency is
//! counted from the
//! *intended* start of a request, and the time from the actual send is kept beside it.

mod latency;
mod recorder;
mod results;
mod saturation;
mod tally;

pub use latency::{LatencyHistogram, PackedLatency};
pub use recorder::{Request, RequestRecorder, ResultShape};
pub use results::{Merged, Results, Select};
pub use saturation::{Bound, Saturation, Stretch, stretches};
pub use tally::{Ending, Tally};

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a request belongs: indices into the scenario's phases, flows and that flow's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub phase: u16,
    pub flow: u16,
    pub step: u16,
}

/// One second of one step: the second in which the request *ended*, counted from the start instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub second: u32,
    pub key: Key,
    pub tally: Tally,
    /// From the intended start, failed requests included: what a user would have waited.
    pub latency: PackedLatency,
}

/// Where the time of a step's requests went, over the whole of an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts<L> {
    pub key: Key,
    /// From the actual send (connecting included) to the last byte.
    pub service: L,
    /// Waiting for the name's addresses; only requests that opened a connection.
    pub dns: L,
    pub connect: L,
    pub tls: L,
    /// From the request on the wire to the first byte of its answer.
    pub first_byte: L,
    /// From the first byte to the last.
    pub body: L,
}

impl<L: Default> Parts<L> {
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

/// How often one named check of a step held, over an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCount {
    pub key: Key,
    /// Index into [`Step::check_names`](crate::scenario::Step::check_names).
    pub check: u16,
    pub passed: u64,
    pub failed: u64,
}

/// What one address of the target got in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCount {
    pub second: u32,
    pub address: SocketAddr,
    pub requests: u64,
    /// Connections opened to it, and tries that failed.
    pub opened: u64,
    pub refused: u64,
}

/// What one instance of the target answered in one second, where a header of its answers names it.
/// (What the load balancer answers itself carries no such header, and belongs to no instance.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceCell {
    pub second: u32,
    pub instance: String,
    /// The end of its first answer in this second, since the start instant.
    pub first: Duration,
    pub tally: Tally,
    pub latency: PackedLatency,
}

/// What a task has to tell about some seconds: everything it recorded since its last interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub cells: Vec<Cell>,
    pub parts: Vec<Parts<PackedLatency>>,
    pub checks: Vec<CheckCount>,
    pub addresses: Vec<AddressCount>,
    pub instances: Vec<InstanceCell>,
    #[serde(rename = "strain")]
    pub saturation: Vec<Saturation>,
    /// Why connections failed, and how often.
    pub reasons: Vec<(String, u64)>,
}

impl Interval {
    pub fn extend(&mut self, other: Self) {
        self.cells.extend(other.cells);
        self.parts.extend(other.parts);
        self.checks.extend(other.checks);
        self.addresses.extend(other.addresses);
        self.instances.extend(other.instances);
        self.saturation.extend(other.saturation);
        self.reasons.extend(other.reasons);
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
