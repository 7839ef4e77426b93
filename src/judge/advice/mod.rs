//! What the run says about the policy, as types with their figures: which link is slow, why it grew
//! slow, what one instance carries, and which other policy would have done better with the same
//! load. The sentences are made in `report::words`.
//!
//! Every answer names its evidence and how sure it is. What this run cannot answer says which run
//! would.

use std::time::Duration;

use jiff::Timestamp;

use evidence::capacity::{self, InstanceCapacity, Metric, Weakness};
use evidence::load::{Elasticity, Second, elasticity};
use evidence::timeline::{Alarm, Policy};
use evidence::vocabulary::{PolicyKind, PredictiveMode};
use evidence::{Reaction, Timeline, instances};
use model::scaling::policies::Rule;
use model::scaling::step::{AdjustmentType, SimpleScaling, StepRule, StepScaling};
use model::scaling::target_tracking::TargetTracking;
use model::scenario::Limit;

mod agreement;
mod answers;
mod candidate;
mod candidates;
mod causes;
mod content;
mod links;
mod others;
mod settings;
mod sizes;
mod snippet;
mod topic;
mod what_if;

pub use agreement::Agreement;
pub use candidate::{Candidate, Change};
pub use content::{
    Answer, Aside, BalancerCount, Basis, BeforeGrowth, BeyondMaximum, Choice, Content, Cooldown,
    ErrorCause, ErrorShares, Fit, FreshErrors, Longest, MinAndMax, NeededSize, NoCandidates,
    OtherSetting, OwnWindow, PresentTarget, PresentWarmUp, Recommendation, Replay, Rest,
    ServiceCooldown, SizeRange, SlowestLink, StepSize, TargetCompared, TargetRow, TargetValue,
    Unfinished, WarmUp,
};
use evidence::price::Price;
pub use others::{Assumption, ROOM, Standing};
pub use topic::Topic;
pub use what_if::{WhatIf, WhatIfError};

/// What advice is given on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The load, one entry for each second.
    pub seconds: &'a [Second],
    /// The open model: the load did not ease off when the target grew slow.
    pub open: bool,
    /// Observations of the group.
    pub timeline: &'a Timeline,
    /// The moments of scaling.
    pub reaction: &'a Reaction,
    /// Start of the load; seconds count from it.
    pub started: Timestamp,
    /// First second of the spike, and the one after its last.
    pub spike: Option<(u32, u32)>,
    /// What p95 has to stay under.
    pub limit: Limit,
    /// US dollars for one instance for an hour, where one's own is given.
    pub instance_price: Option<f64>,
    /// Why the load proves less than its plan would have, if it does.
    pub weakness: Option<Weakness>,
    /// What new instances did worse than the others, where they were judged not to serve at once.
    pub fresh: Option<&'a str>,
}

/// The answers and candidates of a run, without their sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The bound of p95 that the answers rest on.
    pub limit: Limit,
    /// In the order of a report; topics that do not apply are left out.
    pub answers: Vec<Answer>,
    /// Capacity of one instance; `None` where no second held the limit.
    pub capacity: Option<InstanceCapacity>,
    /// The tracked metric beside the load; `None` where no steady datapoint lies beside it.
    pub metric: Option<Metric>,
    /// How well the model agrees with the group; `None` where nothing was replayed.
    pub agreement: Option<Agreement>,
    /// Closeness of the group's size to the load; `None` without a known capacity.
    pub elasticity: Option<Elasticity>,
    /// What money is reckoned by, where it is known.
    pub price: Option<Price>,
    /// The policy that ran is the first.
    pub candidates: Vec<Candidate>,
    /// Why there are no candidates, if there are none.
    pub no_candidates: Option<NoCandidates>,
    /// The recommended candidate as Terraform.
    pub snippet: Option<String>,
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

/// Answers all topics and replays the candidates, `what_if` among them where it is given.
pub fn advise(evidence: &Evidence<'_>, what_if: Option<&WhatIf>) -> Advice {
    let serving = instances::serving(evidence.timeline, evidence.started, evidence.seconds.len());
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
            instances::group_at(evidence.timeline, evidence.started).map_or(1, |group| group.min);
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
fn ran(timeline: &Timeline) -> Result<Ran<'_>, NoCandidates> {
    let alarms = timeline.alarms();
    let mut policies = Vec::new();
    for policy in timeline
        .policies()
        .into_iter()
        .filter(|policy| !policy.disabled)
    {
        let name = || policy.name.clone();
        if policy.kind == PolicyKind::Predictive {
            if policy.mode == Some(PredictiveMode::ForecastAndScale) {
                return Err(NoCandidates::Forecast { policy: name() });
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
        let tracks = policy.kind == PolicyKind::TargetTracking;
        let alarm = if tracks { high } else { high.or(low) };
        let alarm = alarm.ok_or_else(|| NoCandidates::AlarmsUnread { policy: name() })?;
        let rule = rule(policy, alarm, low, default_cooldown(timeline)).ok_or_else(|| {
            NoCandidates::PolicyUnread {
                policy: name(),
                kind: policy.kind.clone(),
            }
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
        None if ran.policies.is_empty() => Err(NoCandidates::NoPolicy),
        None => Err(NoCandidates::NoPolicyForMore),
    }
}

/// What a policy does, by its live alarms: AWS tunes the thresholds of target tracking.
/// `cooldown`: the group's own, for a simple policy that has none.
fn rule(policy: &Policy, alarm: &Alarm, low: Option<&Alarm>, cooldown: Duration) -> Option<Rule> {
    let threshold = alarm.threshold?;
    let adjustment =
        || AdjustmentType::of_word(policy.adjustment.as_deref().unwrap_or("ChangeInCapacity"));
    let least = policy.least.unwrap_or(0);
    Some(match policy.kind {
        PolicyKind::TargetTracking => {
            let usual = TargetTracking::new(threshold);
            let low = low.and_then(|low| low.threshold).unwrap_or(usual.low);
            Rule::Tracking {
                tracking: TargetTracking { low, ..usual },
                scale_in: !policy.scale_in_disabled,
            }
        }
        PolicyKind::Step => Rule::Step(StepScaling {
            threshold,
            is_above: alarm.is_high(),
            steps: policy
                .steps
                .iter()
                .map(|step| StepRule {
                    lower: step.lower,
                    upper: step.upper,
                    change: step.change,
                })
                .collect(),
            adjustment: adjustment()?,
            least,
        }),
        PolicyKind::Simple => Rule::Simple {
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

/// AWS's default cooldown of a group.
const AWS_COOLDOWN: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests;
