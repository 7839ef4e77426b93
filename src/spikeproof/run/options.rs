//! The user's request, settled by the command line before a run begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{OrganisationFile, ScenarioFolders, TaskRoles};
use crate::events::Phase;
use crate::limits;
use crate::report::RunReport;
use crate::units::Usd;

/// The scenario and where its load goes: the options that `check` and `run` share.
#[derive(Debug, Clone)]
pub struct ScenarioOptions {
    /// The scenario's path as given; messages name it.
    pub file: String,
    /// The text of the scenario.
    pub text: String,
    /// Where the files that it names may lie.
    pub folders: ScenarioFolders,
    /// All variables of the process; the scenario uses those that it names.
    pub environment: BTreeMap<String, String>,
    /// Replaces `target.url`.
    pub url: Option<String>,
    /// Where the generators run.
    pub fleet: FleetKind,
    /// Replaces `fleet.tasks`.
    pub tasks: Option<u32>,
    /// Hosts that may be loaded although nothing proves who owns them.
    pub allowed_hosts: Vec<String>,
    /// Where the organisation's file is looked for.
    pub organisation: OrganisationFile,
}

/// All options of `run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The options that `check` has too.
    pub scenario: ScenarioOptions,
    /// The folder that holds the folders of all runs.
    pub runs_dir: PathBuf,
    /// `--terraform`; `None` searches for terraform or tofu.
    pub terraform: Option<PathBuf>,
    /// Packed into the image instead of the running binary.
    pub generator_binary: Option<PathBuf>,
    /// A ready image instead of a packed one.
    pub image: Option<String>,
    /// The roles of the tasks.
    pub roles: TaskRoles,
    /// Start the process that destroys everything if this one is killed.
    pub guard: bool,
    /// Send one request to the target before anything is created.
    pub probe: bool,
    /// Run even if the credentials end before the run does.
    pub force: bool,
    /// Limits provision, start, load and recover together.
    pub max_duration: Option<Duration>,
}

/// The repetitions of `--repeat`. Together they may use what one request may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeats {
    /// This run and those after it.
    pub left: u32,
    /// The time and the cost of the runs before this one.
    pub before: limits::Before,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::first_of(1)
    }
}

impl Repeats {
    /// The first of some runs.
    pub fn first_of(runs: u32) -> Self {
        Self {
            left: runs,
            before: limits::Before::default(),
        }
    }

    /// The repetitions that remain after the reported one.
    pub fn after(self, report: &RunReport) -> Self {
        let limited = [Phase::Provision, Phase::Start, Phase::Load, Phase::Recover];
        let took: Duration = report
            .took
            .iter()
            .filter(|(phase, _)| limited.contains(phase))
            .map(|(_, took)| *took)
            .sum();
        let spent = report.cost.map_or(0.0, |cost| cost.usd.0);
        let before = limits::Before {
            took: self.before.took + took,
            spent: Usd(self.before.spent.0 + spent),
        };
        Self {
            left: self.left.saturating_sub(1),
            before,
        }
    }
}

/// Where the generators run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetKind {
    /// Fargate tasks, created and destroyed for this run.
    Fargate,
    /// Child processes on this machine; uses neither AWS nor terraform.
    Local,
}

impl FleetKind {
    /// The name for people, such as `Fargate`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fargate => "Fargate",
            Self::Local => "local processes",
        }
    }
}
