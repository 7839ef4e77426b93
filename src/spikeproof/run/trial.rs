//! The trial of an advice: a second run with the recommended change on the target's group.
//!
//! It needs the user's consent twice: the option names the group, and the group carries a tag that
//! only somebody who may write it can set. The old settings are in the journal before anything
//! begins; `teardown` puts them back. This file decides; `put` changes the group.

use std::path::Path;

use super::{Context, FleetKind, Interrupt, RunError};
use crate::advice::Change;
use crate::aws::Cloud;
use crate::aws::query::QueryError;
use crate::events::Phase;
use crate::journal;
use crate::journal::change::{GroupChange, Parameters, Setting};
use crate::outcome::Exit;
use crate::report::{RunReport, TrialPlan};
use crate::scenario::{Scenario, Subject};
use crate::settings::Settings;

mod alone;
mod not_tried;
mod put;
mod stays;

pub use not_tried::NotTried;

pub(super) use alone::alone;
pub(super) use put::{IN_SERVICE, outcome, put, record};
pub(super) use stays::tell_what_stays;

const TARGET: &str = "TargetTrackingConfiguration.TargetValue";
const MIN: &str = "MinSize";
const MAX: &str = "MaxSize";

/// The part of a run in the trial of an advice.
#[derive(Debug, Clone, Default)]
pub enum Trial {
    /// The run changes nothing, and no run after it does.
    #[default]
    None,
    /// The run changes nothing. The next one will change this group, so the right to do so is
    /// proven now.
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
        /// The settings that the first run found. The advice is about these.
        found: Box<FoundSettings>,
    },
}

impl Trial {
    /// Returns the group that this run or the next one changes; `None` if none does.
    fn group(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Announced { group } | Self::Of { group, .. } => Some(group),
        }
    }
}

/// The settings of a group that an advice may be about, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundSettings {
    /// `MinSize` and `MaxSize`.
    sizes: Parameters,
    /// Its policies.
    policies: Vec<Parameters>,
}

impl FoundSettings {
    /// Returns a setting; `None` if there is no such policy.
    fn of(&self, setting: &Setting) -> Option<&Parameters> {
        match setting {
            Setting::Sizes => Some(&self.sizes),
            Setting::Policy { name } => {
                let is_it = |policy: &&Parameters| policy.get("PolicyName") == Some(name);
                self.policies.iter().find(is_it)
            }
        }
    }
}

/// A change that a run is to make, and the settings that it has found.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    /// The settings that this run changes for a time; empty without the user's consent.
    pub changes: Vec<GroupChange>,
    /// The settings that the next run's change is about; `None` if no run will change anything.
    pub found: Option<FoundSettings>,
}

/// Returns the change to try after a run, if its verdict and its advice give one. Any signal so
/// far, also one during the destroy, is against it.
pub fn recommended(report: &RunReport, interrupt: &Interrupt) -> Result<TrialPlan, NotTried> {
    if interrupt.stop_load().is_cancelled() {
        return Err(NotTried::Interrupted);
    }
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

/// Proves that the group may be changed, and plans how. Only reads.
pub(super) async fn plan(
    cx: &Context,
    scenario: &Scenario,
    cloud: Option<&Cloud>,
) -> Result<Prepared, RunError> {
    let (named, plan) = match &cx.trial {
        Trial::None => return Ok(Prepared::default()),
        Trial::Announced { group } => (group, None),
        Trial::Of { group, plan, found } => (group, Some((plan, found))),
    };
    if !cx.options.guard {
        return Err(NotTried::NoGuard.error());
    }
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
    let now = FoundSettings {
        sizes: present.sizes.clone(),
        policies: settings.policies(group).await.map_err(unread)?,
    };
    let Some((plan, then)) = plan else {
        return Ok(Prepared {
            changes: Vec::new(),
            found: Some(now),
        });
    };
    let advised = &plan.candidate.change;
    let mut changes = changes(group, advised, &now, then).map_err(NotTried::error)?;
    if changes.iter().any(|change| change.changed().contains(MIN)) {
        stays::will_shrink(group, &present, &now.policies).map_err(NotTried::error)?;
    }
    for change in &mut changes {
        change.aside = settings.aside(change).await.map_err(unread)?;
    }
    Ok(Prepared {
        changes,
        found: None,
    })
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

/// Returns the earlier run of this host that has changed the group and not put it back. What is
/// there now is not what must be put back later.
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

/// Returns the whole settings before and during the run. Every field that does not change is
/// carried over. What changes must be as the first run found it, and no size becomes lower.
fn changes(
    group: &str,
    change: &Change,
    now: &FoundSettings,
    then: &FoundSettings,
) -> Result<Vec<GroupChange>, NotTried> {
    let other = || NotTried::OtherKind {
        name: format!("{change:?}"),
    };
    let parts = parts(change).ok_or_else(other)?;
    let planned_of = |setting: Setting, before: &Parameters, during: Parameters| {
        GroupChange::new(group, setting, before.clone(), during)
    };
    let mut sizes = now.sizes.clone();
    let mut planned = Vec::new();
    for part in &parts {
        match part {
            Part::Minimum(min) => drop(sizes.insert(MIN.to_owned(), min.to_string())),
            Part::Maximum(max) => drop(sizes.insert(MAX.to_owned(), max.to_string())),
            Part::Target(target) => {
                let (name, policy) = only_tracking(&now.policies)?;
                let mut during = policy.clone();
                during.insert(TARGET.to_owned(), target.to_string());
                let setting = Setting::Policy { name: name.clone() };
                planned.push(planned_of(setting, policy, during));
            }
        }
    }
    planned.push(planned_of(Setting::Sizes, &now.sizes, sizes));
    planned.retain(|change| !change.changed().is_empty());
    if planned.is_empty() {
        return Err(NotTried::AlreadySo);
    }
    for change in &planned {
        is_as_then(change, then)?;
    }
    are_higher(&parts, &now.sizes)?;
    Ok(planned)
}

/// Proves that the fields of a change are as the first run found them.
fn is_as_then(change: &GroupChange, then: &FoundSettings) -> Result<(), NotTried> {
    let empty = Parameters::new();
    let then = then.of(&change.setting).unwrap_or(&empty);
    let said = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
    let mut changed = change.changed().into_iter();
    match changed.find(|field| change.before.get(*field) != then.get(*field)) {
        None => Ok(()),
        Some(field) => Err(NotTried::ChangedSince {
            field: field.to_owned(),
            then: said(then.get(field)),
            now: said(change.before.get(field)),
        }),
    }
}

/// Proves that every recommended size is higher than the present one, and that they fit together.
fn are_higher(parts: &[Part], now: &Parameters) -> Result<(), NotTried> {
    let size = |field: &str| now.get(field).and_then(|value| value.parse::<u32>().ok());
    let (mut min, mut max) = (size(MIN), size(MAX));
    for part in parts {
        let (field, advised, kept) = match part {
            Part::Minimum(advised) => (MIN, *advised, &mut min),
            Part::Maximum(advised) => (MAX, *advised, &mut max),
            Part::Target(_) => continue,
        };
        if kept.is_none_or(|now| advised <= now) {
            return Err(NotTried::NotHigher {
                field,
                now: now.get(field).cloned().unwrap_or_default(),
                advised,
            });
        }
        *kept = Some(advised);
    }
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(NotTried::MinimumAboveMaximum { min, max }),
        _ => Ok(()),
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

#[cfg(test)]
mod second_look_tests;
#[cfg(test)]
mod tests;
