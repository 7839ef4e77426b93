//! From a run's report to the evidence that advice is given on: the same way during the run and long after it.

use jiff::Timestamp;

use super::{Load, PhaseRow};
use crate::measure::Timeline;
use crate::scenario::Role;
use crate::verdict::Reaction;
use crate::verdict::advice::{Advice, Evidence, Limit, Second, WhatIf, advise, demand};

/// What one may say of one's own beside the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    pub what_if: Option<WhatIf>,
    /// US dollars for one instance for an hour.
    pub instance_price: Option<f64>,
}

pub fn advice(
    load: &Load,
    timeline: &Timeline,
    reaction: &Reaction,
    started: Timestamp,
    limit: Limit,
    own: &Own,
) -> Advice {
    let seconds = seconds(load);
    let evidence = Evidence {
        seconds: &seconds,
        open: load.is_open(),
        timeline,
        reaction,
        started,
        spike: spike(&load.phases),
        limit,
        instance_price: own.instance_price,
    };
    advise(&evidence, own.what_if.as_ref())
}

fn seconds(load: &Load) -> Vec<Second> {
    let asked: Vec<f64> = load.seconds.iter().map(|second| second.asked).collect();
    let sent: Vec<u64> = load.seconds.iter().map(|second| second.ok + second.errors).collect();
    demand(load.is_open(), &asked, &sent)
        .into_iter()
        .zip(&load.seconds)
        .map(|(demand, second)| Second { demand, ok: second.ok, errors: second.errors, p95: second.p95 })
        .collect()
}

fn spike(phases: &[PhaseRow]) -> Option<(u32, u32)> {
    let mut spikes = phases.iter().filter(|phase| phase.role == Role::Spike);
    let first = spikes.next()?;
    let last = spikes.next_back().unwrap_or(first);
    Some((first.from.as_secs() as u32, last.to.as_secs() as u32))
}
