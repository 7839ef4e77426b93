//! Figures of the generators: the load asked and sent, saturation, connections, and results of the
//! named checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::step_name;
use model::measure::{Results, Saturation, Stretch, stretches};
use model::scenario::Scenario;

/// The generator tasks and their connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generators {
    /// One row for each task that reported, by its slot.
    pub tasks: Vec<TaskRow>,
    /// Stretches in which a generator was saturated; empty where none was.
    pub strained: Vec<Stretch>,
    /// Connections that were opened.
    pub opened: u64,
    /// Full TLS handshakes.
    pub tls_full: u64,
    /// Resumed TLS handshakes.
    pub tls_resumed: u64,
    /// Most connections that were open at the end of a second, summed over all tasks.
    pub most_open: u64,
    /// Iterations that could not be started, because a generator was at its own ceiling.
    pub dropped: u64,
    /// Sessions and iterations that were cut at the end of their grace.
    pub cut: u64,
    /// Iterations that had no data, because a data file was used up.
    pub without_data: u64,
}

/// The load that one task was asked for and that it sent, second by second. It counts iterations in
/// the open model, sessions in the closed model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRow {
    /// Slot of the task, from 0.
    pub task: u32,
    /// Iterations or sessions that its share of the plan asked for, by second.
    pub asked: Vec<u64>,
    /// Iterations that it started, or sessions that it ran, by second.
    pub sent: Vec<u64>,
    /// Load of the busiest worker in its busiest second, in thousandths of a core.
    #[serde(rename = "busiest_permille", alias = "busiest")]
    pub busiest: u32,
    /// Longest delay of a request after its intended start, in microseconds.
    #[serde(rename = "latest_us", alias = "latest")]
    pub latest: u64,
    /// Most resident memory in any second, in MiB.
    pub most_resident_mib: u32,
}

impl TaskRow {
    /// Returns the share of the iterations or sessions asked for that were sent, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.sent.iter().sum::<u64>() as f64 / self.asked.iter().sum::<u64>().max(1) as f64
    }
}

/// Results of a named check of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRow {
    /// Name of the step, with its flow where there are several.
    pub step: String,
    /// Name of the check.
    pub name: String,
    /// Answers that passed the check.
    pub passed: u64,
    /// Answers that failed the check.
    pub failed: u64,
}

/// An address of the target. A load balancer that scales has several, and adds new ones later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddressRow {
    /// IP address and port.
    pub address: String,
    /// Requests that were sent to this address.
    pub requests: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connection attempts that failed.
    pub refused: u64,
    /// First second in which the address was used, from the start of the load.
    #[serde(rename = "first_s", alias = "first")]
    pub first: u32,
    /// Last second in which the address was used, from the start of the load.
    #[serde(rename = "last_s", alias = "last")]
    pub last: u32,
}

impl Generators {
    /// Sums the reports of all tasks.
    pub fn new(results: &Results) -> Self {
        let mut tasks: BTreeMap<u32, TaskRow> = BTreeMap::new();
        let mut open: BTreeMap<u32, u64> = BTreeMap::new();
        let mut all = Saturation::default();
        let (mut opened, mut full, mut resumed) = (0, 0, 0);
        for (task, saturation) in results.saturation() {
            let new = TaskRow {
                task,
                asked: vec![],
                sent: vec![],
                busiest: 0,
                latest: 0,
                most_resident_mib: 0,
            };
            let row = tasks.entry(task).or_insert(new);
            let length = saturation.second as usize + 1;
            row.asked.resize(length.max(row.asked.len()), 0);
            row.sent.resize(length.max(row.sent.len()), 0);
            row.asked[length - 1] += saturation.asked;
            row.sent[length - 1] += saturation.sent;
            row.busiest = row.busiest.max(saturation.busy);
            row.latest = row.latest.max(saturation.late_micros);
            row.most_resident_mib = row.most_resident_mib.max(saturation.resident_mib);
            *open.entry(saturation.second).or_default() += u64::from(saturation.connections);
            opened += u64::from(saturation.opened);
            full += u64::from(saturation.tls_full);
            resumed += u64::from(saturation.tls_resumed);
            all.merge(saturation);
        }
        Self {
            tasks: tasks.into_values().collect(),
            strained: stretches(results.saturation()),
            opened,
            tls_full: full,
            tls_resumed: resumed,
            most_open: open.into_values().max().unwrap_or(0),
            dropped: all.dropped,
            cut: all.cut,
            without_data: all.without_data,
        }
    }

    /// Returns a sentence on the connections.
    pub fn connections(&self) -> String {
        let hands = match (self.tls_full, self.tls_resumed) {
            (0, 0) => String::new(),
            (full, resumed) => format!(", {full} full TLS handshakes and {resumed} resumed"),
        };
        format!(
            "{} opened, {} at once at most{hands}",
            self.opened, self.most_open
        )
    }
}

pub(super) fn checks(scenario: &Scenario, results: &Results) -> Vec<CheckRow> {
    let row = |((flow, step, check), (passed, failed)): ((u16, u16, u16), (u64, u64))| {
        let names = scenario
            .flows
            .get(flow as usize)?
            .steps
            .get(step as usize)?
            .check_names();
        Some(CheckRow {
            step: step_name(scenario, flow, step),
            name: names.get(check as usize)?.clone(),
            passed,
            failed,
        })
    };
    results.checks().into_iter().filter_map(row).collect()
}

pub(super) fn addresses(results: &Results) -> Vec<AddressRow> {
    let mut rows: BTreeMap<std::net::SocketAddr, AddressRow> = BTreeMap::new();
    for count in results.addresses() {
        let new = AddressRow {
            address: count.address.to_string(),
            requests: 0,
            opened: 0,
            refused: 0,
            first: count.second,
            last: count.second,
        };
        let row = rows.entry(count.address).or_insert(new);
        row.requests += count.requests;
        row.opened += count.opened;
        row.refused += count.refused;
        row.last = count.second;
    }
    rows.into_values().collect()
}
