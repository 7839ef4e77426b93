//! The trial of an advice: a second run with the recommended change on the target's group.
//!
//! It needs the user's consent twice: the option names the group, and the group carries a tag that
//! only somebody who may write it can set. The old settings are in the journal before anything
//! begins; `teardown` puts them back.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::state::RunState;
use super::{Context, FleetKind, RunError};
use crate::advice::Change;
use crate::aws::Cloud;
use crate::aws::query::QueryError;
use crate::events::Phase;
use crate::journal::change::{GroupChange, Parameters, Setting, Standing};
use crate::journal::{self, Record};
use crate::outcome::Exit;
use crate::report::{PutBack, RunReport, TrialPlan};
use crate::scenario::{Scenario, Subject};
use crate::settings::{MAY_CHANGE, PresentGroup, Settings};
use crate::teardown::proof::Destruction;

/// Time for a raised minimum to be in service before the load.
const IN_SERVICE: Duration = Duration::from_mins(10);
/// Between two looks at a setting or at the group.
const LOOK: Duration = Duration::from_secs(1);
/// Looks at a setting that was just written.
const READ_BACK: u32 = 5;

const TARGET: &str = "TargetTrackingConfiguration.TargetValue";
const MIN: &str = "MinSize";
const MAX: &str = "MaxSize";

/// The part of a run in the trial of an advice.
#[derive(Debug, Clone, Default)]
pub enum Trial {
    /// The run changes nothing, and no run after it does.
    #[default]
    None,
    /// The run changes nothing. The next one will change this group, so the right to do so is proven
    /// now.
    Announced {
        /// The group that the user has named.
        group: String,
    },
    /// The run changes this group.
    Of {
        /// The group that the user has named.
        group: String,
        /// The recommended change.
        plan: Box<TrialPlan>,
    },
}

/// Why an advice is not tried.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotTried {
    /// Generators on this machine have no guard.
    #[error("only a Fargate fleet has the guard that puts a changed group back")]
    LocalFleet,
    /// The scenario names no group.
    #[error("the scenario names no group (`target.group`)")]
    NoGroup,
    /// The target is a service.
    #[error("{0} is an ECS service, and only Auto Scaling groups are changed")]
    Service(String),
    /// The option names another group than the scenario.
    #[error("`--try-advice` names {named}, and the scenario's group is {group}")]
    OtherGroup {
        /// The name in the option.
        named: String,
        /// The name in the scenario.
        group: String,
    },
    /// There is no such group.
    #[error("there is no Auto Scaling group {0}")]
    NoSuchGroup(String),
    /// The group lacks the tag of consent.
    #[error("the group {0} does not carry the tag {MAY_CHANGE}")]
    NoTag(String),
    /// An earlier run has changed the group, and has not put it back.
    #[error("{run} has changed the group {group}, and has not put it back yet")]
    StillChanged {
        /// The group.
        group: String,
        /// The run that has changed it.
        run: String,
        /// The command that puts it back.
        remedy: String,
    },
    /// The first run has no verdict on the group.
    #[error("the run ended with exit code {}, and only a passed or a failed run's advice is tried", .0.code())]
    NoVerdict(Exit),
    /// The advice recommends no change.
    #[error("the advice recommends no change")]
    NothingRecommended,
    /// The recommended change is of a kind that is not applied.
    #[error(
        "{name} is not a target value, a minimum or a maximum: apply it yourself, and run again"
    )]
    OtherKind {
        /// The name of the candidate.
        name: String,
    },
    /// The target value is of a policy that cannot be told.
    #[error(
        "the group has {policies} policies: a target is tried where one target-tracking policy is the only one"
    )]
    NotTheOnlyPolicy {
        /// The number of policies.
        policies: usize,
    },
    /// The group has it already.
    #[error("the group's settings are as the advice recommends: somebody has changed them since")]
    AlreadySo,
}

impl NotTried {
    fn error(self) -> RunError {
        let remedy = match &self {
            Self::StillChanged { remedy, .. } => Some(remedy.clone()),
            Self::NoTag(group) => Some(format!(
                "if the group is yours to change: aws autoscaling create-or-update-tags --tags \
                 ResourceId={group},ResourceType=auto-scaling-group,Key={MAY_CHANGE},Value=yes,PropagateAtLaunch=false"
            )),
            _ => None,
        };
        let what = format!("the advice is not tried: {self}");
        let error = RunError::could_not(Phase::Plan, what).with_source(self);
        match remedy {
            Some(remedy) => error.hint(remedy),
            None => error.hint("without `--try-advice` the run changes nothing"),
        }
    }
}

/// Returns the change to try after a run, if its verdict and its advice give one.
pub fn recommended(report: &RunReport) -> Result<TrialPlan, NotTried> {
    if !matches!(report.exit, Exit::Passed | Exit::Failed) {
        return Err(NotTried::NoVerdict(report.exit));
    }
    let plan = TrialPlan::of(report).ok_or(NotTried::NothingRecommended)?;
    let other = || NotTried::OtherKind {
        name: plan.candidate.name.clone(),
    };
    parts(&plan.candidate.change).ok_or_else(other)?;
    Ok(plan)
}

/// A change that is applied by one call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Target(f64),
    Minimum(u32),
    Maximum(u32),
}

/// Returns the calls of a change; `None` if it has a part of another kind.
fn parts(change: &Change) -> Option<Vec<Part>> {
    match change {
        Change::Target { target } => Some(vec![Part::Target(*target)]),
        Change::Minimum { min } => Some(vec![Part::Minimum(*min)]),
        Change::Maximum { max, with } => {
            let others = match with {
                Some(with) => parts(with)?,
                None => Vec::new(),
            };
            Some([vec![Part::Maximum(*max)], others].concat())
        }
        Change::Nothing
        | Change::Step { .. }
        | Change::Period { .. }
        | Change::WarmUp { .. }
        | Change::WarmPool { .. }
        | Change::Scheduled { .. }
        | Change::WhatIf => None,
    }
}

/// Proves that the group may be changed, and plans how; empty if this run changes nothing. Only
/// reads.
pub(super) async fn plan(
    cx: &Context,
    scenario: &Scenario,
    cloud: Option<&Cloud>,
) -> Result<Vec<GroupChange>, RunError> {
    let (named, plan) = match &cx.trial {
        Trial::None => return Ok(Vec::new()),
        Trial::Announced { group } => (group, None),
        Trial::Of { group, plan } => (group, Some(plan)),
    };
    let group = consented(
        scenario.target.subject.as_ref(),
        named,
        cx.options.scenario.fleet,
    )
    .map_err(NotTried::error)?;
    let cloud = cloud.ok_or_else(|| NotTried::LocalFleet.error())?;
    if let Some(earlier) = still_changed(&cx.options.runs_dir, group) {
        return Err(earlier.error());
    }
    let settings = Settings::new(&cloud.aws);
    let present = settings.group(group).await.map_err(unread)?;
    let present = present.ok_or_else(|| NotTried::NoSuchGroup(group.to_owned()).error())?;
    if !present.may_change {
        return Err(NotTried::NoTag(group.to_owned()).error());
    }
    let Some(plan) = plan else {
        return Ok(Vec::new());
    };
    let policies = settings.policies(group).await.map_err(unread)?;
    changes(group, &plan.candidate.change, &present, &policies).map_err(NotTried::error)
}

fn unread(error: QueryError) -> RunError {
    RunError::caused_by(Phase::Plan, error)
}

/// Returns the group's name if it is the one that the user has named.
fn consented<'a>(
    subject: Option<&'a Subject>,
    named: &str,
    fleet: FleetKind,
) -> Result<&'a str, NotTried> {
    let group = match subject {
        None => return Err(NotTried::NoGroup),
        Some(Subject::Group(group)) => group,
        Some(service) => return Err(NotTried::Service(service.to_string())),
    };
    match () {
        () if fleet != FleetKind::Fargate => Err(NotTried::LocalFleet),
        () if group != named => Err(NotTried::OtherGroup {
            named: named.to_owned(),
            group: group.clone(),
        }),
        () => Ok(group),
    }
}

/// Returns the earlier run of this host that has changed the group and not put it back. What is there
/// now is not what must be put back later.
fn still_changed(runs_dir: &Path, group: &str) -> Option<NotTried> {
    let earlier = journal::folders(runs_dir).unwrap_or_default();
    earlier.into_iter().find_map(|found| {
        let left = journal::leftovers(&found.records);
        let mut changes = journal::changes(&found.records).into_iter();
        let is_open = |one: &GroupChange| one.group == group && left.contains(&one.thing());
        changes.find(is_open)?;
        let run = &journal::head(&found.records)?.run;
        Some(NotTried::StillChanged {
            group: group.to_owned(),
            run: run.to_string(),
            remedy: journal::reap_command(runs_dir, run),
        })
    })
}

/// Returns the whole settings before and during the run. Every field that does not change is carried
/// over.
fn changes(
    group: &str,
    change: &Change,
    present: &PresentGroup,
    policies: &[Parameters],
) -> Result<Vec<GroupChange>, NotTried> {
    let other = || NotTried::OtherKind {
        name: format!("{change:?}"),
    };
    let mut sizes = present.sizes.clone();
    let mut planned = Vec::new();
    for part in parts(change).ok_or_else(other)? {
        match part {
            Part::Minimum(min) => drop(sizes.insert(MIN.to_owned(), min.to_string())),
            Part::Maximum(max) => drop(sizes.insert(MAX.to_owned(), max.to_string())),
            Part::Target(target) => {
                let (name, policy) = only_tracking(policies)?;
                let mut during = policy.clone();
                during.insert(TARGET.to_owned(), target.to_string());
                planned.push(GroupChange {
                    group: group.to_owned(),
                    setting: Setting::Policy { name: name.clone() },
                    before: policy.clone(),
                    during,
                });
            }
        }
    }
    planned.push(GroupChange {
        group: group.to_owned(),
        setting: Setting::Sizes,
        before: present.sizes.clone(),
        during: sizes,
    });
    planned.retain(|change| change.standing(&change.during) != Standing::AsBefore);
    match planned.is_empty() {
        true => Err(NotTried::AlreadySo),
        false => Ok(planned),
    }
}

/// Returns the one policy of the group with its name, if it tracks a target.
fn only_tracking(policies: &[Parameters]) -> Result<(&String, &Parameters), NotTried> {
    let found = match policies {
        [policy] if policy.contains_key(TARGET) => {
            policy.get("PolicyName").map(|name| (name, policy))
        }
        _ => None,
    };
    found.ok_or(NotTried::NotTheOnlyPolicy {
        policies: policies.len(),
    })
}

/// Writes what the run will change to the journal, with all that undoes it. The guard starts after
/// it, so that it knows this even if the folder is lost.
pub(super) fn record(state: &RunState) -> Result<(), RunError> {
    for change in &state.plan.changes {
        state.record_intent(Record::IntentChange {
            change: change.clone(),
        })?;
    }
    Ok(())
}

/// Puts the change on the group, and waits until a raised minimum is in service.
pub(super) async fn put(cx: &Context, state: &RunState) -> Result<(), RunError> {
    let Some(cloud) = state
        .plan
        .cloud
        .as_ref()
        .filter(|_| !state.plan.changes.is_empty())
    else {
        return Ok(());
    };
    let settings = Settings::new(&cloud.aws);
    for change in &state.plan.changes {
        put_one(cx, state, &settings, change).await?;
    }
    state.record(Record::Changed);
    wait_in_service(state, &settings).await
}

async fn put_one(
    cx: &Context,
    state: &RunState,
    settings: &Settings,
    change: &GroupChange,
) -> Result<(), RunError> {
    if state.stop_conditions.token().is_cancelled() {
        return Err(RunError::interrupted(Phase::Provision));
    }
    let thing = change.thing();
    let now = settings.read(change).await.map_err(failed)?;
    if now.as_ref().map(|now| change.standing(now)) != Some(Standing::AsBefore) {
        let what = format!("{thing}: somebody has changed it since the plan, so it is left alone");
        return Err(RunError::could_not(Phase::Provision, what));
    }
    let [before, during] = [&change.before, &change.during].map(|setting| {
        let changed = setting.iter().filter(|(name, value)| {
            change.before.get(*name) != change.during.get(*name) && !value.is_empty()
        });
        let said: Vec<String> = changed
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        said.join(", ")
    });
    cx.events.warn(format!(
        "{thing}: {during} for this run, then {before} again"
    ));
    settings.put(change).await.map_err(failed)?;
    read_back(state, settings, change).await
}

/// Looks until the setting reads as it was put. If AWS has filled in a field, the journal is told.
async fn read_back(
    state: &RunState,
    settings: &Settings,
    change: &GroupChange,
) -> Result<(), RunError> {
    for _ in 0..READ_BACK {
        let now = settings.read(change).await.map_err(failed)?;
        match now {
            Some(now) if change.standing(&now) == Standing::AsPut => return Ok(()),
            Some(now) if change.holds(&now) => {
                let change = GroupChange {
                    during: now,
                    ..change.clone()
                };
                return state.record_intent(Record::IntentChange { change });
            }
            _ => sleep(LOOK).await,
        }
    }
    let what = format!("{} does not read as it was put", change.thing());
    Err(RunError::could_not(Phase::Provision, what))
}

async fn wait_in_service(state: &RunState, settings: &Settings) -> Result<(), RunError> {
    let raised = state
        .plan
        .changes
        .iter()
        .filter(|change| change.setting == Setting::Sizes)
        .find_map(|change| Some((change, change.during.get(MIN)?.parse::<usize>().ok()?)));
    let Some((change, min)) = raised else {
        return Ok(());
    };
    let until = Instant::now() + IN_SERVICE;
    loop {
        let group = settings.group(&change.group).await.map_err(failed)?;
        let in_service = group.map_or(0, |group| group.in_service);
        match () {
            () if in_service >= min => return Ok(()),
            () if state.stop_conditions.token().is_cancelled() => {
                return Err(RunError::interrupted(Phase::Provision));
            }
            () if Instant::now() >= until => {
                let what = format!(
                    "{in_service} of the minimum of {min} instances are in service after {} minutes",
                    IN_SERVICE.as_secs() / 60
                );
                return Err(RunError::could_not(Phase::Provision, what));
            }
            () => sleep(LOOK).await,
        }
    }
}

fn failed(error: QueryError) -> RunError {
    RunError::caused_by(Phase::Provision, error)
}

/// Returns what became of the changed settings.
pub(super) fn outcome(planned: &[GroupChange], destruction: &Destruction) -> PutBack {
    let mut outcome = PutBack::AsBefore;
    for change in planned {
        let thing = change.thing();
        match destruction.proof.iter().rfind(|proof| proof.thing == thing) {
            Some(proof) if proof.gone && proof.foreign => outcome = PutBack::ChangedByOthers,
            Some(proof) if proof.gone => {}
            _ => return PutBack::NotProven,
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
