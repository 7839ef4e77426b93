//! What the run says about the policy, in sentences with their numbers: which link is slow, why it
//! grew slow, what one instance carries, and which other policy would have done better with the
//! same load.
//!
//! Every answer names its evidence and how sure it is. What this run cannot answer says which run
//! would.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Reaction, chain};
use crate::measure::timeline::{Alarm, Policy};
use crate::measure::{Results, Select, Timeline};
use crate::plan::Schedule;
use crate::scaling::policies::Rule;
use crate::scaling::step::{Adjustment, SimpleScaling, Step, StepScaling};
use crate::scaling::target_tracking::TargetTracking;
use crate::scenario::{self, Model, Role, Scenario, Scope, Threshold};

mod agreement;
mod answers;
mod candidates;
mod capacity;
mod causes;
mod links;
mod others;
mod price;
mod settings;
mod sizes;
mod snippet;
mod what_if;

pub use agreement::Agreement;
pub use candidates::{Candidate, Change};
pub use capacity::{InstanceCapacity, Metric, estimate as capacity};
pub use price::{Price, money};
pub use what_if::WhatIf;

/// One second of the load, as asked and as answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests that the scenario asked of the target. In the closed model: that the target let it
    /// send.
    pub demand: f64,
    pub ok: u64,
    pub errors: u64,
    /// Microseconds from the intended start.
    pub p95: Option<u64>,
}

/// What was asked of the target in each second, in requests. In the open model the load asked for
/// does not ease off: what was asked is what an instance had to carry. In the closed model only
/// what was sent is known.
pub fn demand(open: bool, asked: &[f64], sent: &[u64]) -> Vec<f64> {
    if !open {
        return sent.iter().map(|sent| *sent as f64).collect();
    }
    let all: f64 = asked.iter().sum();
    let each = if all > 0.0 {
        sent.iter().sum::<u64>() as f64 / all
    } else {
        0.0
    };
    asked.iter().map(|asked| asked * each).collect()
}

/// The load by second, as measured.
pub struct Measured {
    pub seconds: Vec<Second>,
}

impl Measured {
    pub fn new(scenario: &Scenario, schedule: &Schedule, results: &Results) -> Self {
        let merged = results.by_second(Select::default());
        let middle = |second: usize| Duration::from_millis(second as u64 * 1_000 + 500);
        let asked: Vec<f64> = (0..merged.len())
            .map(|second| schedule.level_at(middle(second)))
            .collect();
        let sent: Vec<u64> = merged
            .iter()
            .map(|merged| merged.tally.ok + merged.tally.errors())
            .collect();
        let open = scenario
            .phases
            .iter()
            .all(|phase| phase.model == Model::Rate);
        let seconds =
            demand(open, &asked, &sent)
                .into_iter()
                .zip(&merged)
                .map(|(demand, merged)| Second {
                    demand,
                    ok: merged.tally.ok,
                    errors: merged.tally.errors(),
                    p95: merged
                        .latency
                        .percentile(95.0)
                        .map(|p95| p95.as_micros() as u64),
                });
        Self {
            seconds: seconds.collect(),
        }
    }
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
    /// US dollars for one instance for an hour, where one's own is given.
    pub instance_price: Option<f64>,
    /// Why the load proves less than its plan would have, if it does.
    pub weakness: Option<&'a str>,
    /// What new instances did worse than the others, where they were judged not to serve at once.
    pub fresh: Option<&'a str>,
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
    pub const ASSUMED: Self = Self {
        p95: Duration::from_millis(500),
        asked: false,
    };

    /// The threshold that the spikes are held to; else any; else the one that is assumed.
    pub fn of(scenario: &Scenario) -> Self {
        let found = Self::in_the_spike(scenario).or_else(|| threshold(scenario, P95, |_| true));
        found.map_or(Self::ASSUMED, |limit| Self {
            p95: Duration::from_micros(limit as u64),
            asked: true,
        })
    }

    /// The share of errors allowed in the spikes, if the scenario says so.
    pub fn errors_in_the_spike(scenario: &Scenario) -> Option<f64> {
        in_the_spikes(scenario, scenario::Metric::Errors, |scope| {
            matches!(scope, Scope::EachPhase)
        })
    }

    /// What p95 has to stay under in the spikes, if the scenario says so.
    pub fn p95_in_the_spike(scenario: &Scenario) -> Option<Duration> {
        Self::in_the_spike(scenario).map(|limit| Duration::from_micros(limit as u64))
    }

    fn in_the_spike(scenario: &Scenario) -> Option<f64> {
        in_the_spikes(scenario, P95, |scope| {
            matches!(scope, Scope::EachPhase | Scope::Run)
        })
    }
}

/// The limit that is set for a phase that is a spike; else for all; else for a phase that asks for
/// more than the least, which is a lower spike.
fn in_the_spikes(
    scenario: &Scenario,
    metric: scenario::Metric,
    all: impl Fn(&Scope) -> bool,
) -> Option<f64> {
    let least = scenario
        .phases
        .iter()
        .map(|phase| phase.level)
        .fold(f64::INFINITY, f64::min);
    let named = |scope: &Scope, is: &dyn Fn(&scenario::Phase) -> bool| match scope {
        Scope::Phase(name) => scenario
            .phases
            .iter()
            .any(|phase| phase.name == *name && is(phase)),
        _ => false,
    };
    threshold(scenario, metric, |scope| {
        named(scope, &|phase| phase.role == Role::Spike)
    })
    .or_else(|| threshold(scenario, metric, all))
    .or_else(|| {
        threshold(scenario, metric, |scope| {
            named(scope, &|phase| phase.level > least)
        })
    })
}

/// The strictest limit on a metric of all requests, of the scopes wanted.
fn threshold(
    scenario: &Scenario,
    metric: scenario::Metric,
    wanted: impl Fn(&Scope) -> bool,
) -> Option<f64> {
    let about = |one: &&Threshold| one.metric == metric && one.of.is_none() && wanted(&one.scope);
    scenario
        .thresholds
        .iter()
        .filter(about)
        .map(|one| one.limit)
        .min_by(f64::total_cmp)
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
    /// One step less sure.
    pub fn lower(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }

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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub limit: Limit,
    pub answers: Vec<Answer>,
    pub capacity: Option<InstanceCapacity>,
    pub metric: Option<Metric>,
    pub agreement: Option<Agreement>,
    pub elasticity: Option<Elasticity>,
    /// What money is reckoned by, where it is known.
    #[serde(default)]
    pub price: Option<Price>,
    /// The policy that ran is the first.
    pub candidates: Vec<Candidate>,
    /// Why there are no candidates, if there are none.
    pub no_candidates: Option<String>,
    /// Of the recommended candidate, as Terraform.
    pub snippet: Option<String>,
}

/// How far the group was from what the load needed, by the metrics of Herbst and others (BUNGEE):
/// shares of the time, and instances too few or too many on average over all of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Elasticity {
    pub timeshare_under: f64,
    pub timeshare_over: f64,
    pub accuracy_under: f64,
    pub accuracy_over: f64,
    /// Serving and not needed; the group's minimum is needed.
    pub over_instance_minutes: f64,
}

/// `least`: as many are needed whatever the load.
pub fn elasticity(seconds: &[Second], serving: &[u32], at_limit: f64, least: u32) -> Elasticity {
    let (mut under, mut over, mut missing, mut idle) = (0u32, 0u32, 0.0, 0.0);
    for (second, there) in seconds.iter().zip(serving) {
        let needed = (second.demand / at_limit).ceil().max(f64::from(least));
        let there = f64::from(*there);
        under += u32::from(there < needed);
        over += u32::from(there > needed);
        missing += (needed - there).max(0.0);
        idle += (there - needed).max(0.0);
    }
    let seconds = seconds.len().max(1) as f64;
    Elasticity {
        timeshare_under: f64::from(under) / seconds,
        timeshare_over: f64::from(over) / seconds,
        accuracy_under: missing / seconds,
        accuracy_over: idle / seconds,
        over_instance_minutes: idle / 60.0,
    }
}

/// The policies that ran, with their alarms as last read.
struct Ran<'a> {
    policies: Vec<RanPolicy<'a>>,
}

struct RanPolicy<'a> {
    policy: &'a Policy,
    rule: Rule,
    /// Target tracking's high alarm; the only one of a step or simple policy.
    alarm: &'a Alarm,
    low: Option<&'a Alarm>,
}

impl<'a> Ran<'a> {
    /// The one that answers a rising load: target tracking before others.
    fn lead(&self) -> Option<&RanPolicy<'a>> {
        let out = || self.policies.iter().filter(|one| one.alarm.is_high());
        out()
            .find(|one| one.target().is_some())
            .or_else(|| out().next())
    }
}

impl RanPolicy<'_> {
    fn target(&self) -> Option<f64> {
        match &self.rule {
            Rule::Tracking { tracking, .. } => Some(tracking.target),
            _ => None,
        }
    }

    /// The metric it follows, laid beside the load of the run.
    fn metric(&self, evidence: &Evidence<'_>, serving: &[u32]) -> Option<Metric> {
        let series = evidence.timeline.metric_of(self.alarm)?;
        capacity::metric(
            series,
            self.alarm,
            evidence.seconds,
            serving,
            evidence.started,
        )
    }
}

pub fn advise(evidence: &Evidence<'_>, what_if: Option<&WhatIf>) -> Advice {
    let serving = chain::serving(evidence.timeline, evidence.started, evidence.seconds.len());
    let capacity = capacity::estimate(evidence.seconds, &serving, evidence.limit.p95)
        .map(|capacity| capacity.weighed(serving.first().copied().unwrap_or(1), evidence.weakness));
    let ran = ran(evidence.timeline);
    let metric = ran
        .as_ref()
        .ok()
        .and_then(|ran| ran.lead()?.metric(evidence, &serving));
    let mut advice = Advice {
        limit: evidence.limit,
        answers: Vec::new(),
        capacity,
        metric,
        agreement: None,
        elasticity: None,
        price: Price::of(evidence.instance_price, evidence.timeline),
        candidates: Vec::new(),
        no_candidates: None,
        snippet: None,
    };
    if let Some(capacity) = &advice.capacity {
        let least =
            chain::group_at(evidence.timeline, evidence.started).map_or(1, |group| group.min);
        advice.elasticity = Some(elasticity(
            evidence.seconds,
            &serving,
            capacity.at_limit,
            least,
        ));
    }
    match ran.and_then(|ran| {
        candidates::tried(evidence, &ran, &serving, &advice, what_if).map(|tried| (ran, tried))
    }) {
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

/// The policies as the model has them; why not, if it cannot.
fn ran(timeline: &Timeline) -> Result<Ran<'_>, String> {
    let alarms = timeline.alarms();
    let mut policies = Vec::new();
    for policy in timeline
        .policies()
        .into_iter()
        .filter(|policy| !policy.disabled)
    {
        let name = &policy.name;
        if policy.kind == "PredictiveScaling" {
            if policy.mode.as_deref() == Some("ForecastAndScale") {
                return Err(format!(
                    "policy {name} scales by a forecast of its own: what it does in a run cannot be replayed (a run with it \
                     in ForecastOnly mode can)"
                ));
            }
            continue;
        }
        let of = |alarm: &&&Alarm| policy.alarms.contains(&alarm.name);
        let high = alarms
            .iter()
            .filter(of)
            .find(|alarm| alarm.is_high())
            .copied();
        let low = alarms
            .iter()
            .filter(of)
            .find(|alarm| !alarm.is_high())
            .copied();
        let tracks = policy.kind == "TargetTrackingScaling";
        let alarm = if tracks { high } else { high.or(low) };
        let alarm =
            alarm.ok_or_else(|| format!("the alarms of policy {name} could not be read"))?;
        let rule = rule(policy, alarm, low, default_cooldown(timeline)).ok_or_else(|| {
            format!(
                "policy {name} of kind {} could not be read whole",
                policy.kind
            )
        })?;
        policies.push(RanPolicy {
            policy,
            rule,
            alarm,
            low: low.filter(|_| tracks),
        });
    }
    let ran = Ran { policies };
    match ran.lead() {
        Some(_) => Ok(ran),
        None if ran.policies.is_empty() => Err("the group has no scaling policy".to_owned()),
        None => Err("no policy of the group answers a rising load".to_owned()),
    }
}

/// What a policy does, by its live alarms: AWS tunes the thresholds of target tracking.
/// `cooldown`: the group's own, for a simple policy that has none.
fn rule(policy: &Policy, alarm: &Alarm, low: Option<&Alarm>, cooldown: Duration) -> Option<Rule> {
    let threshold = alarm.threshold?;
    let adjustment =
        || Adjustment::of_word(policy.adjustment.as_deref().unwrap_or("ChangeInCapacity"));
    let least = policy.least.unwrap_or(0);
    Some(match policy.kind.as_str() {
        "TargetTrackingScaling" => {
            let usual = TargetTracking::new(threshold);
            let low = low.and_then(|low| low.threshold).unwrap_or(usual.low);
            Rule::Tracking {
                tracking: TargetTracking { low, ..usual },
                scale_in: !policy.scale_in_disabled,
            }
        }
        "StepScaling" => Rule::Step(StepScaling {
            threshold,
            is_above: alarm.is_high(),
            steps: policy
                .steps
                .iter()
                .map(|step| Step {
                    lower: step.lower,
                    upper: step.upper,
                    change: step.change,
                })
                .collect(),
            adjustment: adjustment()?,
            least,
        }),
        "SimpleScaling" => Rule::Simple {
            scaling: SimpleScaling {
                change: policy.change?,
                adjustment: adjustment()?,
                least,
            },
            cooldown: policy.cooldown.unwrap_or(cooldown),
        },
        _ => return None,
    })
}

/// What a simple policy without a cooldown of its own waits for.
fn default_cooldown(timeline: &Timeline) -> Duration {
    timeline
        .groups()
        .next_back()
        .map_or(AWS_COOLDOWN, |(_, group)| group.default_cooldown)
}

/// Of a group that was not told otherwise.
const AWS_COOLDOWN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
