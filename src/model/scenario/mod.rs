//! The scenario that the user wants to run, valid by construction.
//!
//! `node` reads YAML with the place of every value, `validate` turns it into a [`Scenario`] or into
//! *all* its problems at once; `fields` names every key once for readers, schema and reference
//! page. Pure: the environment, the file's text and the files it names are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redact::Secrets;
use crate::units::Usd;

mod body;
mod capture;
mod check;
mod condition;
mod data;
mod divide;
mod drawn;
#[cfg(any(test, feature = "testing"))]
pub mod example;
mod fields;
mod files;
mod fleet;
mod flows;
mod grammar;
mod init;
mod k6;
mod limit;
mod literal;
mod names;
mod node;
mod outside;
mod path;
mod phases;
mod problem;
mod reader;
mod scaling;
mod schema;
mod step;
mod table;
mod target;
mod template;
mod think;
mod threshold;
mod validate;
mod whole;

#[cfg(test)]
mod tests;

pub use body::Body;
pub use capture::{Capture, From, Occurrence};
pub use check::{Check, Expected, What};
pub use condition::{Condition, Operator};
pub use data::{DataFile, Division, Order, WhenUsedUp};
pub use divide::divide;
pub use files::{FileContents, FileError, LARGEST_FILE, ReadFile, no_files};
pub use fleet::{UsdError, parse_usd};
pub use init::TestKind;
pub use limit::Limit;
pub use outside::secrets_named;
pub use path::{percent_encoded, request_target};
pub use phases::parse_rate;
pub use problem::{Problem, is_meant_as_one, render};
pub use schema::json_schema;
pub use step::{Action, Block, Method, Step};
pub use table::{Cell, Rows};
pub use target::TargetUrlError;
pub use template::{Escape, Expression, Literal, Now, Segment, Template};
pub use threshold::{Threshold, ThresholdMetric, ThresholdOperator, ThresholdScope};

/// External values that a scenario's text may refer to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Substitutions {
    /// The variables `${NAME}` may read.
    pub environment: BTreeMap<String, String>,
    /// The values of `${secret:NAME}`. They are never written with the rest: they have an object of
    /// their own.
    #[serde(skip)]
    pub secrets: Secrets,
    /// Replaces `target.url` (`--url`).
    pub url: Option<String>,
}

/// A scenario read from text, with what it used of its surroundings: only this leaves the machine,
/// with the plan.
#[derive(Debug, Clone)]
pub struct Read {
    /// The scenario, checked.
    pub scenario: Scenario,
    /// The values of `${NAME}`: never the whole environment.
    pub used: BTreeMap<String, String>,
    /// The values of `${secret:NAME}`.
    pub secrets: Secrets,
    /// The contents of the files that it names.
    pub files: FileContents,
    /// Those of them whose rows may be divided among the tasks: nothing else reads them.
    pub divisible: BTreeSet<String>,
}

/// Reads a scenario, or returns every problem of the text, in the order of their places.
pub fn read(
    text: &str,
    substitutions: &Substitutions,
    open: ReadFile<'_>,
) -> Result<Read, Vec<Problem>> {
    validate::read(text, substitutions, open)
}

/// Reads a target's URL by itself; the error says what is wrong and what to write.
pub fn url(text: &str) -> Result<Url, TargetUrlError> {
    target::parse_alone(text)
}

/// A scenario. Every value has been checked: later code trusts it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Names the scenario in reports.
    pub name: String,
    /// The system under test.
    pub target: Target,
    /// The phases, at least one; their names are unique.
    pub phases: Vec<LoadPhase>,
    /// The flows, at least one; their names are unique and the weights above zero.
    pub flows: Vec<Flow>,
    /// Data files; empty if no template draws rows.
    pub data: Vec<DataFile>,
    /// Repeats a run's choices; else each run has its own.
    pub seed: Option<u64>,
    /// Judgements on latency, errors, checks and rates, as written.
    pub thresholds: Vec<Threshold>,
    /// Judgements on the group; without a subject they are not used.
    pub scaling: ScalingExpectations,
    /// The generators.
    pub fleet: FleetSettings,
    /// The most that the run may cost, US dollars; `None` is no limit.
    pub budget: Option<Usd>,
}

impl Scenario {
    /// Returns the steps of a flow or group, or those with a name: the meaning of `of NAME`.
    pub fn named(&self, name: &str) -> Vec<(u16, u16)> {
        let mut found = Vec::new();
        for (flow_index, flow) in (0..).zip(&self.flows) {
            for (step_index, step) in (0..).zip(&flow.steps) {
                if flow.name == name || step.name == name || step.group.as_deref() == Some(name) {
                    found.push((flow_index, step_index));
                }
            }
        }
        found
    }

    /// Returns the name by which a flow takes a captured value, a member of it, or a cell of a data
    /// file; `None` for anything else.
    pub fn name_of(&self, flow: usize, expression: &Expression) -> Option<String> {
        let variable = |index: u16| self.flows.get(flow)?.variables.get(usize::from(index));
        match expression {
            Expression::Variable(index) => variable(*index).cloned(),
            Expression::Member(index, path) => {
                variable(*index).map(|name| format!("{name}.{}", path.join(".")))
            }
            Expression::Column(data, column) => {
                let data = self.data.get(usize::from(*data))?;
                let column = data.columns.get(usize::from(*column))?;
                Some(format!("{}.{column}", data.name))
            }
            Expression::AsText(inner) | Expression::Raw(inner) => self.name_of(flow, inner),
            _ => None,
        }
    }

    /// True if a phase asks for load: its level is above zero, or it ramps down from one.
    pub fn has_load(&self, phase: usize) -> bool {
        let Some(own) = self.phases.get(phase) else {
            return false;
        };
        let ramps_down = || {
            let before = phase
                .checked_sub(1)
                .and_then(|before| self.phases.get(before));
            let falls = |before: &LoadPhase| before.model == own.model && before.level > 0.0;
            !own.ramp.is_zero() && before.is_some_and(falls)
        };
        own.level > 0.0 || ramps_down()
    }

    /// True if any phase is of this model.
    pub fn has(&self, model: Model) -> bool {
        self.phases.iter().any(|phase| phase.model == model)
    }
}

/// The group or service that is watched during the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An Auto Scaling group, by name.
    Group(String),
    /// An ECS service that Application Auto Scaling scales.
    Service {
        /// Name of the ECS cluster.
        cluster: String,
        /// Name of the service in the cluster.
        service: String,
    },
}

impl Subject {
    /// Reads `cluster/service`.
    pub fn service(text: &str) -> Option<Self> {
        let (cluster, service) = text.split_once('/')?;
        let fits = |name: &str| {
            (1..=255).contains(&name.len())
                && name
                    .chars()
                    .all(|one| one.is_ascii_alphanumeric() || "-_".contains(one))
        };
        (fits(cluster) && fits(service)).then(|| Self::Service {
            cluster: cluster.to_owned(),
            service: service.to_owned(),
        })
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Group(name) => f.write_str(name),
            Self::Service { cluster, service } => write!(f, "{cluster}/{service}"),
        }
    }
}

/// The system under test, and how requests reach it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The base URL; the paths of steps follow its path.
    pub url: Url,
    /// The group or service that is watched; if `None`, only the load is judged.
    pub subject: Option<Subject>,
    /// Another group or service that this one stands for: differences are said before the run.
    pub like: Option<Subject>,
    /// Limit for one whole request, from sending to the last byte, redirects included.
    pub timeout: Duration,
    /// Limit for name, connection and TLS together, within the whole.
    pub connect_timeout: Duration,
    /// Its addresses may be private ones, like an internal load balancer's.
    pub private: bool,
    /// Sent with every request, before the flow's and the step's own.
    pub headers: Vec<(String, Template)>,
    /// The HTTP version.
    pub http: Http,
    /// Certificates and TLS versions for https.
    pub tls: Tls,
    /// The most redirects that are followed; beyond, the step fails.
    pub redirects: u32,
    /// True if each session keeps its cookies.
    pub cookies: bool,
    /// Asks for gzip, br and zstd.
    pub compression: bool,
    /// The rules for renewing and sharing connections.
    pub connection: ConnectionPolicy,
}

/// The HTTP version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Http {
    /// HTTP/2 or 1.1 over TLS, as the server prefers; else 1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    One,
    /// HTTP/2; without TLS by prior knowledge (h2c).
    Two,
}

/// Certificates and versions of TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    /// True if TLS below 1.3 is refused.
    pub only_13: bool,
    /// PEM: trusted instead of the system's roots.
    pub ca: Option<Arc<Vec<u8>>>,
    /// The client's certificate; `None` sends none.
    pub identity: Option<Identity>,
    /// Any certificate is taken. Every report says so.
    pub insecure: bool,
}

/// A client's own certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// PEM, the client's own first.
    pub chain: Arc<Vec<u8>>,
    /// PEM.
    pub key: Arc<Vec<u8>>,
}

/// The lifetime of connections, and who shares them. The defaults suit a load balancer that scales:
/// its new addresses only get load from new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionPolicy {
    /// The rule by which a new connection is opened.
    pub reuse: Reuse,
    /// The sessions that may use a connection.
    pub pool: Pool,
    /// Renewed between two requests, at this age give or take a fifth.
    pub max_age: Duration,
    /// Renewed after this number of requests; `None` is no limit.
    pub max_requests: Option<u64>,
}

impl Default for ConnectionPolicy {
    fn default() -> Self {
        Self {
            reuse: Reuse::Session,
            pool: Pool::Session,
            max_age: Duration::from_mins(1),
            max_requests: None,
        }
    }
}

/// `connection.reuse` of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// A session keeps its connection until it must be renewed.
    Session,
    /// A new connection for every request.
    Request,
}

/// `connection.pool` of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Each session has its own connection, like a browser.
    Session,
    /// Sessions of a worker take any free connection.
    Shared,
}

/// An absolute http or https URL without query; `path` has no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// The scheme is https.
    pub https: bool,
    /// A name or an address; an IPv6 address in brackets.
    pub host: String,
    /// The port; 443 or 80 if the URL names none.
    pub port: u16,
    /// Begins with a slash, or is empty.
    pub path: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Url {
    /// Returns the `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let own = if self.https { 443 } else { 80 };
        if self.port == own {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Closed: a number of sessions, each waiting for its answers. Open: a number of iterations a
/// second, however the target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Closed model: the level is a number of sessions.
    Users,
    /// Open model: the level is a number of iterations per second.
    Rate,
}

/// A named stretch of load: go to `level` in `ramp`, stay there for `hold`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadPhase {
    /// Names the phase in thresholds and reports.
    pub name: String,
    /// The unit of `level`.
    pub model: Model,
    /// Sessions (users) or iterations started per second (rate).
    pub level: f64,
    /// Time to get to the level; zero is a jump.
    pub ramp: Duration,
    /// Time to stay at the level; may be zero.
    pub hold: Duration,
    /// The purpose of the phase; decides how it is judged.
    pub role: PhaseRole,
    /// Sessions whose time is over finish their iteration within this; then they are cut, and
    /// counted.
    pub grace: Duration,
    /// Sessions of a jump start in one instant, not spread over a second.
    pub burst: bool,
}

/// True if a text is a valid name of a phase, a flow or data: 1 to 64 letters, digits, `.`, `_` or
/// `-`.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl LoadPhase {
    /// Returns the duration of ramp and hold together.
    pub fn duration(&self) -> Duration {
        self.ramp + self.hold
    }
}

/// The purpose of a phase. Inferred by the first rule that matches. Level 0 after the highest level
/// is cool-down. A first phase that only ramps, to below the highest level or to the level of the
/// next phase, is warm-up. If every other phase is at one level, all are baseline. Else the highest
/// level is the spike, phases before it are baseline, and phases after it recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseRole {
    /// Before the load that counts. Not judged.
    WarmUp,
    /// The ordinary load, before a spike or without one.
    Baseline,
    /// The highest load.
    Spike,
    /// The ordinary load again, after the spike.
    Recovery,
    /// Level 0 after the highest load. Not judged.
    CoolDown,
}

impl PhaseRole {
    /// True if the phase is judged: warm-up and cool-down are only shown.
    pub fn judged(self) -> bool {
        !matches!(self, Self::WarmUp | Self::CoolDown)
    }

    /// Returns the word of the scenario file, such as `warm-up`.
    pub fn word(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Baseline => "baseline",
            Self::Spike => "spike",
            Self::Recovery => "recovery",
            Self::CoolDown => "cool-down",
        }
    }
}

/// A weighted list of steps; one pass through them is an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Names the flow in thresholds and reports.
    pub name: String,
    /// The flow's weight when one is picked, relative to the others; above zero.
    pub weight: f64,
    /// The pause between two steps and after the last one.
    pub think: Think,
    /// An iteration begins no sooner than this after the one before it began.
    pub pace: Option<Duration>,
    /// Carried out once by each session, before its first iteration of this flow.
    pub setup: Block,
    /// Carried out in each iteration.
    pub body: Block,
    /// Every step of `setup` and `body`, in the order written: actions refer to them by index.
    pub steps: Vec<Step>,
    /// The names that captures fill: templates refer to them by index.
    pub variables: Vec<String>,
    /// The `variables` that `setup` fills: they last as long as the session.
    pub lasting: u16,
}

/// A pause, drawn anew each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// No pause.
    None,
    /// Always this long.
    Constant(Duration),
    /// Evenly from the first to the second.
    Uniform(Duration, Duration),
    /// A random pause with this mean, exponentially distributed, like those of independent visitors
    /// together. Cut at ten times the mean.
    Exponential(Duration),
    /// Mean and standard deviation; never below zero.
    Normal(Duration, Duration),
}

impl Think {
    /// Returns the average pause.
    pub fn mean(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Constant(time) | Self::Exponential(time) | Self::Normal(time, _) => time,
            Self::Uniform(from, to) => (from + to) / 2,
        }
    }
}

/// Judgements on how the group behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingExpectations {
    /// True if the file has `scaling`: then a run whose group cannot be watched is refused.
    pub is_asked: bool,
    /// Breach of the policy's threshold to a new instance in service.
    pub out_within: Duration,
    /// From the load drop to the first instance that leaves.
    pub in_within: InWithin,
    /// True to require that no request fails because an instance goes away.
    pub no_dropped_requests: bool,
    /// The response header that names the instance.
    pub instance_header: Option<String>,
    /// The time after its first request during which an instance is fresh; `None` skips this
    /// judgement.
    pub fresh_instances: Option<Duration>,
    /// True to require that no instance leaves while the load still needs it.
    pub no_early_scale_in: bool,
    /// True to require that the group does not grow and shrink by turns under one load.
    pub no_flapping: bool,
    /// True to require that the target holds the spike's limits at its maximum size.
    pub holds_at_maximum: bool,
    /// Limit for p95 from the breach until the launched instances serve; `None` takes the spike's
    /// thresholds.
    pub p95_while_scaling: Option<Duration>,
    /// Limit for errors in the same time, a share from 0 to 1; `None` takes the spike's thresholds.
    pub errors_while_scaling: Option<f64>,
    /// Shares: of the time with too few instances, of the instance-minutes that nothing needed.
    pub under_provisioned: f64,
    /// The largest share of instance-minutes beyond the need, from 0 to 1.
    pub over_provisioned: f64,
    /// The file names one of the two.
    pub asked_for_efficiency: bool,
}

/// `scaling.in_within` of the scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InWithin {
    /// A bound computed from the group's own alarms.
    Auto,
    /// A duration, as written.
    Within(Duration),
    /// A multiple of the group's default cooldown.
    Cooldowns(f64),
}

/// The generators, as the scenario describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetSettings {
    /// Number of tasks.
    pub tasks: TaskCount,
    /// vCPU and memory of each task.
    pub size: TaskSize,
    /// The tasks' processor.
    pub arch: Arch,
    /// Empty: the default subnets of the default VPC.
    pub subnets: Vec<String>,
    /// A ready image instead of the one packed from this binary.
    pub image: Option<String>,
}

/// `fleet.tasks` of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskCount {
    /// Enough tasks for the peak of the load.
    Auto,
    /// The number in the file, or of `--tasks`.
    Exactly(u32),
}

/// A size Fargate offers, as ECS counts: 1024 units are one vCPU, memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSize {
    /// ECS's CPU units, such as 1024.
    pub cpu_units: u32,
    /// Memory in MiB, such as 2048.
    pub memory_mib: u32,
}

/// The processor architecture of the generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arch {
    /// Intel and AMD; the default.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Graviton.
    #[serde(rename = "arm64")]
    Arm64,
}
