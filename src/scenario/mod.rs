//! What the user wants: a scenario, valid by construction.
//!
//! `node` reads YAML with the place of every value, `validate` turns it into a [`Scenario`] or into *all* its
//! problems at once; `fields` names every key once for readers, schema and reference page.
//! Pure: the environment and the file's text are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Usd;

#[cfg(test)]
pub mod example;
mod fields;
mod fleet;
mod flows;
mod grammar;
mod k6;
mod node;
mod phases;
mod problem;
mod reader;
mod scaling;
mod schema;
mod target;
mod threshold;
mod validate;

#[cfg(test)]
mod tests;

pub use problem::{Problem, render};
pub use schema::json_schema;
pub use threshold::{Comparison, Metric, Scope, Threshold};

/// What a scenario's text may refer to from outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// The variables `${NAME}` may read.
    pub environment: BTreeMap<String, String>,
    /// Replaces `target.url` (`--url`).
    pub url: Option<String>,
}

/// A scenario read from text, with the values of `${NAME}` it used.
#[derive(Debug, Clone)]
pub struct Read {
    pub scenario: Scenario,
    /// Only these leave the machine, with the plan: never the whole environment.
    pub used: BTreeMap<String, String>,
}

/// Reads a scenario, or returns every problem of the text, in the order of their places.
pub fn read(text: &str, surroundings: &Surroundings) -> Result<Read, Vec<Problem>> {
    validate::read(text, surroundings)
}

/// A scenario. Every value has been checked: later code trusts it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: String,
    pub target: Target,
    pub model: Model,
    /// At least one; their names are unique.
    pub phases: Vec<Phase>,
    /// At least one; their names are unique and the weights above zero.
    pub flows: Vec<Flow>,
    pub thresholds: Vec<Threshold>,
    pub scaling: Scaling,
    pub fleet: Fleet,
    pub budget: Option<Usd>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub url: Url,
    /// The Auto Scaling group to watch; without it only the load is judged.
    pub group: Option<String>,
    /// For the whole of one request, from sending to the last byte.
    pub timeout: Duration,
    /// Sent with every request, before the step's own.
    pub headers: Vec<(String, String)>,
}

/// An absolute http or https URL without query; `path` has no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    pub https: bool,
    pub host: String,
    pub port: u16,
    pub path: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Url {
    /// The `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let own = if self.https { 443 } else { 80 };
        if self.port == own { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Closed: so many sessions, each waiting for its answers. Open: so many iterations a second, whatever the target does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    Users,
    Rate,
}

/// A named stretch of load: go to `level` in `ramp`, stay there for `hold`.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    pub name: String,
    /// Sessions (users) or iterations started per second (rate).
    pub level: f64,
    pub ramp: Duration,
    pub hold: Duration,
    pub role: Role,
}

impl Phase {
    pub fn duration(&self) -> Duration {
        self.ramp + self.hold
    }
}

/// What a phase is for. Inferred, in this order: level 0 after the highest level is cool-down; a first phase that only
/// ramps, to below the highest level or to the level of the next phase, is warm-up; if every other phase is at one level,
/// all are baseline; else the highest level is the spike, what precedes it baseline, what follows it recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    WarmUp,
    Baseline,
    Spike,
    Recovery,
    CoolDown,
}

impl Role {
    /// Warm-up and cool-down are shown, not judged.
    pub fn judged(self) -> bool {
        !matches!(self, Self::WarmUp | Self::CoolDown)
    }

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
    pub name: String,
    pub weight: f64,
    /// Between two steps and after the last one.
    pub think: Think,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    None,
    Constant(Duration),
    Uniform(Duration, Duration),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// As written, or `GET /path`.
    pub name: String,
    pub method: Method,
    /// Begins with a slash; appended to the target URL's path.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// A JSON body, already serialised.
    pub json: Option<String>,
    pub check: Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A judgement on one response. Without `status`, 2xx and 3xx are right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Check {
    pub status: Vec<u16>,
    pub under: Option<Duration>,
}

/// Judgements on how the group behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// Breach of the policy's threshold to a new instance in service.
    pub out_within: Duration,
    pub in_within: InWithin,
    pub no_dropped_requests: bool,
    /// The response header that names the instance.
    pub instance_header: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InWithin {
    /// A bound computed from the group's own alarms.
    Auto,
    Within(Duration),
    /// So many times the group's default cooldown.
    Cooldowns(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    pub tasks: Tasks,
    pub size: TaskSize,
    pub arch: Arch,
    /// Empty: the default subnets of the default VPC.
    pub subnets: Vec<String>,
    /// A ready image instead of the one packed from this binary.
    pub image: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    Auto,
    Exactly(u32),
}

/// A size Fargate offers, as ECS counts: 1024 units are one vCPU, memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSize {
    pub cpu_units: u32,
    pub memory_mib: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "arm64")]
    Arm64,
}
