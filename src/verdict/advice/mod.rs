//! What the run says about the policy, in sentences with their numbers: which link is slow, why it grew slow, what one
//! instance carries, and which other policy would have done better with the same load.
//!
//! Every answer names its evidence and how sure it is. What this run cannot answer says which run would.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Reaction, chain};
use crate::measure::Timeline;
use crate::measure::timeline::{Alarm, Policy};
use crate::scenario::{self, Role, Scenario, Scope, Threshold};

mod answers;
mod candidates;
mod capacity;
mod snippet;

pub use candidates::{Candidate, Change, WhatIf};
pub use capacity::{InstanceCapacity, Metric};

/// One second of the load, as asked and as answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests that the scenario asked of the target. In the closed model: that the target let it send.
    pub demand: f64,
    pub ok: u64,
    pub errors: u64,
    /// Microseconds from the intended start.
    pub p95: Option<u64>,
}

/// What advice is given on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub seconds: &'a [Second],
    /// The open model: the load did not ease off when the target grew slow.
    pub open: bool,
    pub timeline: &'a Timeline,
    pub reaction: &'a Reaction,
    pub started: Timestamp,
    /// First second of the spike, and the one after its last.
    pub spike: Option<(u32, u32)>,
    /// What p95 has to stay under.
    pub limit: Limit,
    /// US dollars for one instance for an hour.
    pub instance_price: Option<f64>,
}

/// The latency an instance's capacity is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub p95: Duration,
    /// From the scenario's thresholds; else assumed.
    pub asked: bool,
}

impl Limit {
    /// Where the scenario has no threshold on p95.
    pub const ASSUMED: Self = Self { p95: Duration::from_millis(500), asked: false };

    /// The threshold that the spike is held to; else any; else the one that is assumed.
    pub fn of(scenario: &Scenario) -> Self {
        let any = || threshold(scenario, |_| true);
        let found = Self::in_the_spike(scenario).or_else(any);
        found.map_or(Self::ASSUMED, |p95| Self { p95, asked: true })
    }

    /// What p95 has to stay under in the spike, if the scenario says so.
    pub fn in_the_spike(scenario: &Scenario) -> Option<Duration> {
        let spike = scenario.phases.iter().find(|phase| phase.role == Role::Spike).map(|phase| phase.name.as_str());
        threshold(scenario, |scope| matches!(scope, Scope::Phase(name) if Some(name.as_str()) == spike))
            .or_else(|| threshold(scenario, |scope| matches!(scope, Scope::EachPhase | Scope::Run)))
    }
}

fn threshold(scenario: &Scenario, wanted: impl Fn(&Scope) -> bool) -> Option<Duration> {
    let about = |one: &&Threshold| one.metric == P95 && one.of.is_none() && wanted(&one.scope);
    scenario.thresholds.iter().find(about).map(|one| Duration::from_micros(one.limit as u64))
}

const P95: scenario::Metric = scenario::Metric::Percentile(95.0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

impl Confidence {
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub question: String,
    pub answer: String,
    /// What it rests on, or which run would answer it.
    pub evidence: String,
    pub confidence: Confidence,
}

/// How well the model of the policy, replaying the policy that ran, agrees with what the group did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Seconds in which the desired capacity was the same within one instance, of all.
    pub within_one: u32,
    pub seconds: u32,
}

impl Agreement {
    pub fn share(self) -> f64 {
        f64::from(self.within_one) / f64::from(self.seconds.max(1))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub limit: Limit,
    pub answers: Vec<Answer>,
    pub capacity: Option<InstanceCapacity>,
    pub metric: Option<Metric>,
    pub agreement: Option<Agreement>,
    pub elasticity: Option<Elasticity>,
    /// The policy that ran is the first.
    pub candidates: Vec<Candidate>,
    /// Why there are no candidates, if there are none.
    pub no_candidates: Option<String>,
    /// Of the recommended candidate, as Terraform.
    pub snippet: Option<String>,
}

/// How far the group was from what the load needed, by the metrics of Herbst and others (BUNGEE): shares of the time, and
/// instances too few or too many on average over all of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Elasticity {
    pub timeshare_under: f64,
    pub timeshare_over: f64,
    pub accuracy_under: f64,
    pub accuracy_over: f64,
    /// Paid for and not needed, the group's minimum included.
    pub over_instance_minutes: f64,
}

fn elasticity(evidence: &Evidence<'_>, serving: &[u32], at_limit: f64) -> Elasticity {
    let (mut under, mut over, mut missing, mut idle) = (0u32, 0u32, 0.0, 0.0);
    for (second, there) in evidence.seconds.iter().zip(serving) {
        let needed = (second.demand / at_limit).ceil().max(1.0);
        let there = f64::from(*there);
        under += u32::from(there < needed);
        over += u32::from(there > needed);
        missing += (needed - there).max(0.0);
        idle += (there - needed).max(0.0);
    }
    let seconds = evidence.seconds.len().max(1) as f64;
    Elasticity {
        timeshare_under: f64::from(under) / seconds,
        timeshare_over: f64::from(over) / seconds,
        accuracy_under: missing / seconds,
        accuracy_over: idle / seconds,
        over_instance_minutes: idle / 60.0,
    }
}

/// The policy that ran, with its alarms as last read.
struct Ran<'a> {
    policy: &'a Policy,
    target: f64,
    high: &'a Alarm,
    low: Option<&'a Alarm>,
}

pub fn advise(evidence: &Evidence<'_>, what_if: Option<&WhatIf>) -> Advice {
    let serving = chain::serving(evidence.timeline, evidence.started, evidence.seconds.len());
    let capacity = capacity::estimate(evidence.seconds, &serving, evidence.limit.p95);
    let ran = ran(evidence.timeline);
    let metric = ran.as_ref().ok().and_then(|ran| {
        let name = ran.high.metric.as_ref()?;
        let series = evidence.timeline.metrics().find(|series| series.name == format!("policy metric {name}"))?;
        capacity::metric(series, ran.high, evidence.seconds, &serving, evidence.started)
    });
    let mut advice = Advice {
        limit: evidence.limit,
        answers: Vec::new(),
        capacity,
        metric,
        agreement: None,
        elasticity: None,
        candidates: Vec::new(),
        no_candidates: None,
        snippet: None,
    };
    if let Some(capacity) = &advice.capacity {
        advice.elasticity = Some(elasticity(evidence, &serving, capacity.at_limit));
    }
    match ran.and_then(|ran| candidates::tried(evidence, &ran, &advice, what_if).map(|tried| (ran, tried))) {
        Ok((ran, tried)) => {
            advice.agreement = Some(tried.agreement);
            advice.candidates = tried.candidates;
            advice.snippet = advice
                .candidates
                .iter()
                .find(|candidate| candidate.recommended)
                .and_then(|candidate| snippet::terraform(&candidate.change, evidence, &ran));
        }
        Err(why) => advice.no_candidates = Some(why),
    }
    advice.answers = answers::all(evidence, &serving, &advice);
    advice
}

/// The one policy that can be replayed: target tracking, alone.
fn ran(timeline: &Timeline) -> Result<Ran<'_>, String> {
    let policies = timeline.policies();
    let alarms = timeline.alarms();
    let [policy] = policies.as_slice() else {
        return Err(match policies.len() {
            0 => "the group has no scaling policy".to_owned(),
            several => format!("the group has {several} policies; only one alone can be replayed"),
        });
    };
    let Some(target) = policy.target_value.filter(|target| *target > 0.0) else {
        return Err(format!("policy {} is of kind {}: only target tracking can be replayed", policy.name, policy.kind));
    };
    let of = |alarm: &&&Alarm| policy.alarms.contains(&alarm.name);
    let high = alarms.iter().filter(of).find(|alarm| alarm.is_high());
    let low = alarms.iter().filter(of).find(|alarm| !alarm.is_high());
    let high = high.ok_or_else(|| format!("the alarms of policy {} could not be read", policy.name))?;
    Ok(Ran { policy, target, high, low: low.copied() })
}

#[cfg(test)]
mod tests;
