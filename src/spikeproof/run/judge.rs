//! Judge: from evidence to a verdict. The deciding is pure and elsewhere; this only carries it.

use jiff::Timestamp;

use super::RunError;
use super::collect::Collected;
use super::plan::RunPlan;
use crate::report::{Capacity, Judged, Load, Own, ReportedAdvice, advice, capacity, words};
use crate::scenario::Limit;
use crate::verdict::{self, Warning, preflight};

/// A verdict with what it rests on.
pub(super) struct JudgedRun {
    pub judged: Judged,
    pub load: Option<Load>,
    pub capacity: Vec<Capacity>,
    pub advice: Option<ReportedAdvice>,
    pub started: Option<Timestamp>,
    pub warnings: Vec<Warning>,
}

pub(super) async fn judge(plan: &RunPlan, collected: Collected) -> Result<JudgedRun, RunError> {
    let Collected {
        results,
        timeline,
        circumstances,
        mut warnings,
    } = collected;
    let found = verdict::judge(&plan.scenario, &results, timeline.as_ref(), &circumstances);
    let group = timeline.as_ref().zip(circumstances.started);
    let load = (!results.is_empty()).then(|| Load::new(&plan.scenario, &results, group));
    let load = match &found.others {
        Some(others) => load.map(|load| load.with_others(others)),
        None => load,
    };
    warnings.extend(found.warnings());
    let judged = words::judged(found);
    let capacity = match (&timeline, circumstances.started) {
        (Some(timeline), Some(started)) => capacity(timeline, started),
        _ => Vec::new(),
    };
    let advice = match (&load, &timeline, circumstances.started) {
        (Some(load), Some(timeline), Some(started)) => advice(
            load,
            timeline,
            &judged,
            started,
            Limit::of(&plan.scenario),
            &Own::default(),
        ),
        _ => None,
    };
    if let (Some(timeline), Some(reaction)) = (&timeline, &judged.reaction) {
        warnings.retain(|warning| {
            let (scenario, schedule) = (&plan.scenario, &plan.schedule);
            !preflight::is_disproved(warning, scenario, schedule, timeline, reaction)
        });
    }
    Ok(JudgedRun {
        judged,
        load,
        capacity,
        advice,
        started: circumstances.started,
        warnings,
    })
}
