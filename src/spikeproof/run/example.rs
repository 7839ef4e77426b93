//! A run for tests: it has a plan, a folder and a journal, and nothing else yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::authorization::Authorization;
use super::plan::RunPlan;
use super::state::RunState;
use super::trial::Prepared;
use super::{
    Context, FleetKind, Interrupt, OrganisationFile, Repeats, RunOptions, ScenarioFolders,
    ScenarioOptions, TaskRoles, Trial,
};
use crate::cost;
use crate::events::Events;
use crate::limits::{AddressPolicy, RunLimits, TargetAuthorization};
use crate::plan::{Schedule, Sizing};
use crate::scenario::example::scenario;
use crate::scenario::{FileContents, Substitutions};
use crate::units::RunId;

pub(super) fn options(runs_dir: &Path) -> RunOptions {
    RunOptions {
        scenario: ScenarioOptions {
            file: String::new(),
            text: String::new(),
            folders: ScenarioFolders::default(),
            environment: BTreeMap::new(),
            url: None,
            fleet: FleetKind::Fargate,
            tasks: None,
            allowed_hosts: Vec::new(),
            organisation: OrganisationFile::default(),
        },
        runs_dir: runs_dir.to_owned(),
        terraform: None,
        generator_binary: None,
        image: None,
        roles: TaskRoles::default(),
        guard: true,
        probe: false,
        force: false,
        max_duration: None,
    }
}

/// Two tasks, without cloud and without limits.
pub(super) fn plan(runs_dir: &Path) -> RunPlan {
    let scenario = scenario(vec![]);
    let run = RunId::parse("sp-0000000001").unwrap();
    RunPlan {
        folder: runs_dir.join(run.as_str()),
        run,
        begun: Timestamp::UNIX_EPOCH,
        seed: 0,
        surroundings: Substitutions::default(),
        files: FileContents::new(),
        divisible: BTreeSet::new(),
        schedule: Schedule::new(&scenario),
        sizing: Sizing {
            tasks: 2,
            needed: 2,
            why: String::new(),
        },
        estimate: cost::estimate(scenario.fleet.size, scenario.fleet.arch, 0, Duration::ZERO),
        scenario,
        cloud: None,
        terraform: None,
        group: None,
        watched_in: None,
        authorization: Authorization {
            address_policy: AddressPolicy::default(),
            standing: TargetAuthorization::default(),
        },
        limits: RunLimits::default(),
        trial: Prepared::default(),
        warnings: Vec::new(),
    }
}

pub(super) fn context(runs_dir: &Path) -> Context {
    Context {
        options: Arc::new(options(runs_dir)),
        repeats: Repeats::default(),
        trial: Trial::None,
        earlier_runs: Vec::new(),
        events: Events::channel().0,
        interrupt: Interrupt::quiet(),
    }
}

pub(super) fn begun(runs_dir: &Path) -> (Context, Arc<RunState>) {
    let cx = context(runs_dir);
    let state = RunState::open(&cx, plan(runs_dir)).unwrap();
    (cx, state)
}
