//! The report of one run as data, and as terminal text, JSON and a page. All of it is pure except
//! the live view.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use evidence::reaction::Times;
use evidence::{Baseline, OtherLoad, Timeline, instances, load};
use model::cost::{PRICES, TaskCost};
use model::events::Phase as LifePhase;
use model::limits::TargetAuthorization;
use model::measure::{LatencyHistogram, Merged, Results, Select, Tally};
use model::outcome::Exit;
use model::plan::Schedule;
use model::scenario::{Model, PhaseRole, Scenario};
use model::units::{self, Seconds, seconds};
use model::visible;

mod advice;
mod advised;
mod answers;
pub mod compare;
#[cfg(any(test, feature = "testing"))]
pub mod example;
mod generators;
mod judged;
pub mod live;
pub mod older;
pub mod page;
pub mod schema;
pub mod terminal;
mod took;
mod trial;
pub mod words;

pub use advice::{Own, advice};
pub use advised::{
    ReportedAdvice, ReportedAnswer, ReportedBeside, ReportedCandidate, ReportedPrice,
};
pub use answers::{FailureRow, StatusRow};
pub use generators::{AddressRow, CheckRow, Generators, TaskRow};
pub use judged::{Judged, Judgement, ReportedWarning};
pub use trial::{AlarmNames, DesiredCapacity, PutBack, ReportedTrial, TrialFigures, TrialPlan};

/// Version of `report.json`. It grows when a field is removed or changes its meaning; readers
/// refuse newer versions.
pub const VERSION: u32 = 6;

/// The content of `report.json`, from which all other forms are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Version of this format.
    pub version: u32,
    /// Name and version of the program, for example `spikeproof 1.2.0`.
    pub tool: String,
    /// Run id.
    pub run: String,
    /// Name of the scenario.
    pub scenario: String,
    /// URL of the target.
    pub url: String,
    /// True if any certificate was accepted: `tls.insecure`.
    #[serde(default)]
    pub insecure: bool,
    /// Seed of the run's random choices; as `seed` of a scenario it repeats them.
    pub seed: Option<u64>,
    /// Auto Scaling group, or `cluster/service`; `null` where none was watched.
    pub group: Option<String>,
    /// Kind of the generators: `Fargate` or `local processes`.
    pub fleet: String,
    /// AWS account and region; `null` without AWS.
    pub place: Option<String>,
    /// Evidence that the target is the caller's own.
    #[serde(default)]
    pub standing: TargetAuthorization,
    /// Start of the run, before anything was created.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub begun: Timestamp,
    /// The agreed start instant of the load; seconds in this report count from it.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started: Option<Timestamp>,
    /// Reason for the exit code.
    pub exit: Exit,
    /// The error that kept the run from a verdict; `null` where there is none.
    pub error: Option<String>,
    /// True if the user stopped the run.
    pub interrupted: bool,
    /// Judgements and verdict; `null` where the run was not judged.
    pub judged: Option<Judged>,
    /// The load as sent; `null` where none was.
    pub load: Option<Load>,
    /// Sizes of the group over time; empty where no group was watched.
    pub capacity: Vec<Capacity>,
    /// Advice on the scaling policy; `null` where no group was watched.
    pub advice: Option<ReportedAdvice>,
    /// Generator tasks that the plan has.
    pub tasks: u32,
    /// Cost of the generators, estimated before the run.
    pub estimate: TaskCost,
    /// Actual cost of the generators; `null` where they cost nothing.
    pub cost: Option<TaskCost>,
    /// Resources that were destroyed, and those that are left.
    pub destroyed: Destroyed,
    /// Duration of each phase of the run, in order.
    #[serde(with = "took")]
    #[schemars(with = "Vec<took::PhaseTook>")]
    pub took: Vec<(LifePhase, Duration)>,
    /// The recommended change that was on the group during this run; absent where the run changed
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<ReportedTrial>,
    /// Doubts about the run; empty where there are none.
    pub warnings: Vec<ReportedWarning>,
}

/// Members of a report that have lines of their own: the error has its hints, the snippet its code.
const WITH_LINES: [&str; 2] = ["error", "snippet"];

/// The text of a value whose texts can be parts of lines: every text for people passes here, because
/// the names and messages in a report are those of the scenario, the target and AWS.
fn shown<T: Serialize + DeserializeOwned>(value: &T, write: impl FnOnce(&T) -> String) -> String {
    visible::written(value, &WITH_LINES, write)
}

impl RunReport {
    /// Returns the command that removes the resources that are left.
    pub fn remedy(&self) -> String {
        self.destroyed
            .remedy
            .clone()
            .unwrap_or_else(|| format!("spikeproof reap {}", self.run))
    }

    /// Returns the actual cost, compared with the estimate, as a sentence.
    pub fn cost_sentence(&self) -> String {
        let Some(cost) = &self.cost else {
            return "nothing, the generators ran on this machine".to_owned();
        };
        format!(
            "{} for {}, {} of task time (estimated {}; prices of {} in {})",
            cost.usd,
            units::count(cost.tasks, "task"),
            units::duration(cost.task_time),
            self.estimate.usd,
            PRICES.date,
            PRICES.region
        )
    }
}

/// Resources that a Describe call of each name proved gone, and the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Destroyed {
    /// Resources that are proven gone, each with its evidence.
    pub gone: Vec<String>,
    /// Resources that may be left, each with its reason; empty after a clean teardown.
    pub left: Vec<String>,
    /// The command that removes what is left; absent where nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The load as asked and as answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// One row for each phase of the scenario, in order.
    pub phases: Vec<PhaseRow>,
    /// One row for each step that was sent.
    pub steps: Vec<Row>,
    /// All requests of the run.
    pub whole: Row,
    /// One entry for each second from the start of the load.
    pub seconds: Vec<ReportedSecond>,
    /// One row for each named check that was evaluated.
    #[serde(default)]
    pub checks: Vec<CheckRow>,
    /// One row for each address that was connected to.
    #[serde(default)]
    pub addresses: Vec<AddressRow>,
    /// Causes of failed connections with their counts, in the words of the system or of TLS. The
    /// most frequent is first.
    #[serde(default)]
    pub reasons: Vec<(String, u64)>,
    /// Why requests of each step failed, where their class alone does not say it. These are broken
    /// connections, refused redirects, bodies that no check could read, and TLS. The most frequent
    /// is first.
    #[serde(default)]
    pub failures: Vec<FailureRow>,
    /// The health and the connections of the generators.
    pub generators: Generators,
}

impl Load {
    /// Returns true if every phase uses the open model, so levels and requests have one unit.
    pub fn is_open(&self) -> bool {
        self.phases.iter().all(|phase| phase.model == Model::Rate)
    }
}

/// A phase of the scenario, with the requests that it sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRow {
    /// Open (rate) or closed (sessions).
    pub model: Model,
    /// Part that the phase plays in the run, for example the spike.
    pub role: PhaseRole,
    /// Planned start, in seconds from the start of the load.
    #[serde(rename = "from_s", alias = "from", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub from: Duration,
    /// Planned end, in seconds from the start of the load.
    #[serde(rename = "to_s", alias = "to", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub to: Duration,
    /// Sessions, or iterations per second, at the end of the phase.
    pub level: f64,
    /// Requests of the phase.
    pub row: Row,
}

/// One selection of requests: latencies in microseconds from the intended start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Name of the phase or step; `run` for the whole run.
    pub name: String,
    /// Requests by outcome.
    pub tally: Tally,
    /// Complete answers by status code, in that order.
    #[serde(default)]
    pub statuses: Vec<StatusRow>,
    /// Requests that were sent, per second of the selection.
    pub per_second: f64,
    /// Median; `null` where nothing was measured.
    #[serde(rename = "p50_us", alias = "p50")]
    pub p50: Option<u64>,
    /// 95th percentile; `null` where nothing was measured.
    #[serde(rename = "p95_us", alias = "p95")]
    pub p95: Option<u64>,
    /// 99th percentile; `null` where nothing was measured.
    #[serde(rename = "p99_us", alias = "p99")]
    pub p99: Option<u64>,
    /// Longest latency; `null` where nothing was measured.
    #[serde(rename = "max_us", alias = "max")]
    pub max: Option<u64>,
    /// 95th percentile from the actual send. If it is much lower than `p95_us`, requests waited in
    /// the generator.
    #[serde(rename = "service_p95_us", alias = "service_p95")]
    pub service_p95: Option<u64>,
    /// DNS lookup, 95th percentile. This and the next two cover only requests that opened a
    /// connection.
    #[serde(rename = "dns_p95_us", alias = "dns_p95")]
    pub dns_p95: Option<u64>,
    /// TCP connect, 95th percentile.
    #[serde(rename = "connect_p95_us", alias = "connect_p95")]
    pub connect_p95: Option<u64>,
    /// TLS handshake, 95th percentile.
    #[serde(rename = "tls_p95_us", alias = "tls_p95")]
    pub tls_p95: Option<u64>,
    /// From the sent request to the first byte of the answer, 95th percentile.
    #[serde(rename = "first_byte_p95_us", alias = "first_byte_p95")]
    pub first_byte_p95: Option<u64>,
    /// From the first byte of the answer to its last, 95th percentile.
    #[serde(rename = "body_p95_us", alias = "body_p95")]
    pub body_p95: Option<u64>,
}

/// One second of the load, as planned and as answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedSecond {
    /// Sessions, or iterations per second, that the plan asked for in the middle of this second.
    pub asked: f64,
    /// Requests that were answered as expected.
    pub ok: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Those that fail whatever the load.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub constant_errors: u64,
    /// Requests that others sent, by the load balancer's count of a minute; absent where there were
    /// hardly any, or where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
    /// Median latency in microseconds; `null` where nothing was measured.
    #[serde(rename = "p50_us", alias = "p50")]
    pub p50: Option<u64>,
    /// 95th percentile in microseconds; `null` where nothing was measured.
    #[serde(rename = "p95_us", alias = "p95")]
    pub p95: Option<u64>,
    /// 99th percentile in microseconds; `null` where nothing was measured.
    #[serde(rename = "p99_us", alias = "p99")]
    pub p99: Option<u64>,
    /// True if this second is pooled with the one before it, because a second alone has too few
    /// requests for a percentile. Judgements and advice rest on pools.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,
    /// 95th percentile over the pool, in microseconds; absent where the pool is this second, or has
    /// too few samples.
    #[serde(
        rename = "pool_p95_us",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub pool_p95: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The size of the group at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// Seconds from the start of the load; negative before it.
    pub second: f64,
    /// Desired instances or tasks.
    pub desired: u32,
    /// Instances in service, or running tasks.
    pub in_service: u32,
}

impl Load {
    /// Builds the rows from the merged results of all tasks. `group` is the watched group, and the
    /// start of the load.
    pub fn new(
        scenario: &Scenario,
        results: &Results,
        group: Option<(&Timeline, Timestamp)>,
    ) -> Self {
        let schedule = Schedule::new(scenario);
        // The rates of a run that was stopped are over the time that it ran.
        let ran = results
            .ran()
            .map_or(schedule.end(), |ran| ran.min(schedule.end()));
        let mut phases = Vec::new();
        for (index, phase) in scenario.phases.iter().enumerate() {
            let from = schedule.phase_starts()[index];
            let row = Row::new(
                &phase.name,
                results,
                Select {
                    phase: Some(index as u16),
                    ..Select::default()
                },
                ran.saturating_sub(from).min(phase.duration()),
            );
            phases.push(PhaseRow {
                model: phase.model,
                role: phase.role,
                from,
                to: from + phase.duration(),
                level: phase.level,
                row,
            });
        }
        let steps = results
            .keys()
            .into_iter()
            .map(|key| (key.flow, key.step))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|(flow, step)| {
                let select = Select {
                    flow: Some(flow),
                    step: Some(step),
                    ..Select::default()
                };
                Row::new(&step_name(scenario, flow, step), results, select, ran)
            })
            .collect();
        let seconds = seconds(scenario, &schedule, results, group);
        let whole = Row::new("run", results, Select::default(), ran);
        let checks = generators::checks(scenario, results);
        let addresses = generators::addresses(results);
        let generators = Generators::new(results);
        Self {
            phases,
            steps,
            whole,
            seconds,
            checks,
            addresses,
            reasons: results.reasons(),
            failures: answers::failures(scenario, results),
            generators,
        }
    }

    /// Adds the requests of others to the seconds in which they came.
    #[must_use]
    pub fn with_others(mut self, others: &OtherLoad) -> Self {
        for (index, second) in self.seconds.iter_mut().enumerate() {
            second.others = Some(others.per_second(index)).filter(|others| *others > 0.0);
        }
        self
    }
}

fn seconds(
    scenario: &Scenario,
    schedule: &Schedule,
    results: &Results,
    group: Option<(&Timeline, Timestamp)>,
) -> Vec<ReportedSecond> {
    let measured = results.by_second(Select::default());
    let serving = group.map_or_else(Vec::new, |(timeline, started)| {
        instances::serving(timeline, started, measured.len())
    });
    // Seconds do not depend on the wall clock.
    let times = Times::new(scenario, schedule, Timestamp::UNIX_EPOCH, None);
    let baseline = Baseline::of(results, &times);
    let pools = load::by_second(scenario, schedule, results, &serving, &baseline);
    let is_alone = |second: usize| {
        !pools[second].pooled && pools.get(second + 1).is_none_or(|next| !next.pooled)
    };
    let seconds = measured.iter().enumerate();
    seconds
        .map(|(second, merged)| {
            let middle = Duration::from_millis(second as u64 * 1_000 + 500);
            ReportedSecond {
                asked: schedule.level_at(middle),
                ok: merged.tally.ok,
                errors: merged.tally.errors(),
                constant_errors: pools[second].constant,
                others: None,
                p50: micros(merged, 50.0),
                p95: micros(merged, 95.0),
                p99: micros(merged, 99.0),
                pooled: pools[second].pooled,
                pool_p95: pools[second].p95.filter(|_| !is_alone(second)),
            }
        })
        .collect()
}

/// Returns a step's name, with its flow's if the scenario has several flows.
fn step_name(scenario: &Scenario, flow: u16, step: u16) -> String {
    let own = &scenario.flows[flow as usize];
    match scenario.flows.len() {
        1 => own.steps[step as usize].name.clone(),
        _ => format!("{} / {}", own.name, own.steps[step as usize].name),
    }
}

impl Row {
    fn new(name: &str, results: &Results, select: Select, length: Duration) -> Self {
        let (merged, parts) = (results.merged(select), results.parts(select));
        let p95 = |latency: &LatencyHistogram| {
            latency
                .percentile(95.0)
                .map(|value| value.as_micros() as u64)
        };
        Self {
            name: name.to_owned(),
            tally: merged.tally,
            statuses: answers::statuses(results, select),
            per_second: (merged.tally.requests() - merged.tally.unsent) as f64
                / length.as_secs_f64().max(f64::EPSILON),
            p50: micros(&merged, 50.0),
            p95: micros(&merged, 95.0),
            p99: micros(&merged, 99.0),
            max: merged.latency.max().map(|value| value.as_micros() as u64),
            service_p95: p95(&parts.service),
            dns_p95: p95(&parts.dns),
            connect_p95: p95(&parts.connect),
            tls_p95: p95(&parts.tls),
            first_byte_p95: p95(&parts.first_byte),
            body_p95: p95(&parts.body),
        }
    }
}

fn micros(merged: &Merged, q: f64) -> Option<u64> {
    merged
        .latency
        .percentile(q)
        .map(|value| value.as_micros() as u64)
}

/// Returns microseconds as text, or a dash if nothing was measured.
pub fn latency(micros: Option<u64>) -> String {
    micros.map_or("-".to_owned(), |micros| {
        units::duration(Duration::from_micros(micros))
    })
}

/// Returns the group's size over time, as polled.
pub fn capacity(timeline: &Timeline, started: Timestamp) -> Vec<Capacity> {
    timeline
        .groups()
        .map(|(at, group)| Capacity {
            second: at.duration_since(started).as_secs_f64(),
            desired: group.desired,
            in_service: group.in_service(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::example::report;
    use super::*;

    #[test]
    fn report_json_reads_back_as_written() {
        let report = report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), report);
    }
}
