//! Turns a run's report into the evidence for advice. The run itself and `advise` later both use
//! it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Judged, Load, PhaseRow, ReportedAdvice, TaskRow, words};
use crate::advice::{Evidence, WhatIf, advise};
use evidence::Timeline;
use evidence::capacity::Weakness;
use evidence::load::{LoadModel, Second, demand, least_sent};
use model::scenario::Limit;
use model::scenario::PhaseRole;

/// The user's own input to the advice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// The candidate of `--what-if`; `None` where the option is not given.
    pub what_if: Option<WhatIf>,
    /// The user's price in US dollars for one instance-hour; `None` if not given.
    pub instance_price: Option<f64>,
}

/// Returns the advice on the policy, in words; `None` where no reaction of a group was watched.
pub fn advice(
    load: &Load,
    timeline: &Timeline,
    judged: &Judged,
    started: Timestamp,
    limit: Limit,
    own: &Own,
) -> Option<ReportedAdvice> {
    let reaction = judged.reaction.as_ref()?;
    let seconds = seconds(load);
    let weakness = weakness(load).or_else(|| eased_off(load, &seconds));
    let evidence = Evidence {
        seconds: &seconds,
        open: load.is_open(),
        timeline,
        reaction,
        started,
        spike: spike(&load.phases),
        limit,
        instance_price: own.instance_price,
        weakness,
        fresh: judged.fresh_failed(),
    };
    Some(words::advice(advise(&evidence, own.what_if.as_ref())))
}

fn seconds(load: &Load) -> Vec<Second> {
    let asked: Vec<f64> = load.seconds.iter().map(|second| second.asked).collect();
    let sent: Vec<u64> = load
        .seconds
        .iter()
        .map(|second| second.ok + second.errors)
        .collect();
    let p95: Vec<Option<u64>> = load.seconds.iter().map(|second| second.p95).collect();
    let model = LoadModel::of(load.phases.iter().map(|phase| phase.model));
    demand(model, &asked, &sent, &p95)
        .into_iter()
        .zip(&load.seconds)
        .map(|(demand, second)| Second {
            demand,
            ok: second.ok,
            errors: second.errors,
            p95: second.p95,
        })
        .collect()
}

/// Share of its plan below which a load counts as cut short. The last request of a full plan may
/// come a little before its end.
const WHOLE: f64 = 0.9;

/// Share by which users must have asked for more than was sent, for the load to have eased off.
const EASED_OFF: f64 = 0.1;

/// Returns the bracket of a load by users, if slow answers made them send less.
fn eased_off(load: &Load, seconds: &[Second]) -> Option<Weakness> {
    if load.is_open() {
        return None;
    }
    let sent = |second: &Second| (second.ok + second.errors) as f64;
    let highest = seconds
        .iter()
        .max_by(|a, b| a.demand.total_cmp(&b.demand))?;
    (sent(highest) < highest.demand * (1.0 - EASED_OFF)).then(|| Weakness::EasedOff {
        sent_per_second: sent(highest),
        offered_per_second: highest.demand,
    })
}

fn weakness(load: &Load) -> Option<Weakness> {
    let asked = load
        .phases
        .iter()
        .filter(|phase| phase.level > 0.0)
        .map(|phase| phase.to)
        .max()
        .unwrap_or_default();
    let ran = Duration::from_secs(load.seconds.len() as u64);
    if ran < asked.mul_f64(WHOLE) {
        return Some(Weakness::CutShort {
            ran_s: ran.into(),
            planned_s: asked.into(),
        });
    }
    let sum =
        |of: fn(&TaskRow) -> &Vec<u64>| load.generators.tasks.iter().flat_map(of).sum::<u64>();
    let share = sum(|task| &task.sent) as f64 / sum(|task| &task.asked).max(1) as f64;
    let bound = least_sent(load.is_open());
    (share < bound && !load.generators.tasks.is_empty()).then_some(Weakness::NotSent { share })
}

fn spike(phases: &[PhaseRow]) -> Option<(u32, u32)> {
    let mut spikes = phases.iter().filter(|phase| phase.role == PhaseRole::Spike);
    let first = spikes.next()?;
    let last = spikes.next_back().unwrap_or(first);
    Some((first.from.as_secs() as u32, last.to.as_secs() as u32))
}
