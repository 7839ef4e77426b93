//! Advice on the scaling policy, as types with their figures: which link is slow, why latency grew,
//! and what one instance carries. It also replays the same load on other policies, and names any
//! that would have done better. `report::words` makes the sentences.
//!
//! Every answer names its evidence and how sure it is. Where this run cannot answer, the evidence
//! names the run that would.

use std::time::Duration;

use jiff::Timestamp;

use evidence::capacity::{self, InstanceCapacity, Metric, Weakness};
use evidence::load::{Elasticity, Second, elasticity};
use evidence::timeline::{Alarm, Policy};
use evidence::vocabulary::{PolicyKind, PredictiveMode};
use evidence::{Explained, Hypothesis, Reaction, Suspect, Timeline, hypotheses, instances};
use model::scaling::policies::Rule;
use model::scaling::step::{AdjustmentType, SimpleScaling, StepRule, StepScaling};
use model::scaling::target_tracking::TargetTracking;
use model::scenario::Limit;

mod agreement;
mod answers;
mod asked;
mod beside;
mod binding;
mod candidate;
mod candidates;
mod causes;
mod content;
mod links;
mod others;
mod remedy;
mod settings;
mod sizes;
mod snippet;
mod topic;
mod what_if;

pub use agreement::Agreement;
pub use asked::{Asked, AskedLoad, Carried, Reached, UntilInstances};
pub use beside::NotAPolicy;
pub use binding::Binding;
pub use candidate::{Candidate, Change, Chosen};
pub use content::{
    Answer, Aside, BalancerCount, Basis, BeforeGrowth, BeyondMaximum, Choice, Content, Cooldown,
    ErrorCause, ErrorShares, Fit, FreshErrors, LoadRise, Longest, MinAndMax, NeededSize,
    NoCandidates, OtherSetting, OwnWindow, PresentTarget, PresentWarmUp, Recommendation, Replay,
    Rest, ServiceCooldown, SizeRange, SlowestLink, StepSize, TargetCompared, TargetRow,
    TargetValue, Unfinished, WarmUp,
};
use evidence::price::Price;
pub use others::{Assumption, ROOM, Standing};
pub use topic::Topic;
pub use what_if::{OtherLoad, WhatIf, WhatIfError};

/// The run that the advice is given on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The load, one entry for each second.
    pub seconds: &'a [Second],
    /// True for the open model: the load does not ease off when the target grows slow.
    pub open: bool,
    /// Observations of the group.
    pub timeline: &'a Timeline,
    /// The moments of scaling.
    pub reaction: &'a Reaction,
    /// Start of the load, from which all seconds count.
    pub started: Timestamp,
    /// First second of the spike, and the one after its last.
    pub spike: Option<(u32, u32)>,
    /// The limit that p95 has to stay under.
    pub limit: Limit,
    /// The user's own price in US dollars for one instance-hour, if given.
    pub instance_price: Option<f64>,
    /// The reason why the load proves less than its plan would have, if it does.
    pub weakness: Option<Weakness>,
    /// The sentence on new instances that answered worse than the others, if they were so judged.
    pub fresh: Option<&'a str>,
    /// True if new instances are judged no worse than the others.
    pub fresh_passed: bool,
    /// Reasons for the seconds that missed a limit; empty where none did.
    pub hypotheses: &'a [Hypothesis],
    /// The deregistration delay and the longest request, where the first is shorter.
    pub draining: Option<(Duration, Duration)>,
}

/// The answers and candidates of a run, without their sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The bound of p95 that the answers rest on.
    pub limit: Limit,
    /// The answers in the order of a report, without topics that do not apply.
    pub answers: Vec<Answer>,
    /// Capacity of one instance; `None` where no second held the limit.
    pub capacity: Option<InstanceCapacity>,
    /// The tracked metric beside the load; `None` where no steady datapoint lies beside it.
    pub metric: Option<Metric>,
    /// Agreement of the model with the group; `None` where nothing was replayed.
    pub agreement: Option<Agreement>,
    /// Closeness of the group's size to the load; `None` without a known capacity.
    pub elasticity: Option<Elasticity>,
    /// Basis of all costs; `None` where no price is known.
    pub price: Option<Price>,
    /// The replayed policies, the policy that ran first.
    pub candidates: Vec<Candidate>,
    /// The reason why there are no candidates, if there are none.
    pub no_candidates: Option<NoCandidates>,
    /// The reason why the recommended candidate is recommended; `None` where nothing was replayed.
    pub chosen: Option<Chosen>,
    /// The policy that made the group grow most in the spike; `None` where a group has one policy
    /// only, or where no policy is known to have decided.
    pub binding: Option<Binding>,
    /// The recommended candidate as Terraform.
    pub snippet: Option<String>,
    /// Changes that are no policy, for the limits that each instance has for itself.
    pub beside: Vec<NotAPolicy>,
}

/// The policies that ran, with their alarms as last read.
struct Ran<'a> {
    policies: Vec<RanPolicy<'a>>,
    /// The policy that made the group grow most; `None` where none is known to have.
    binding: Option<Binding>,
}

struct RanPolicy<'a> {
    policy: &'a Policy,
    rule: Rule,
    /// The high alarm of target tracking; for a step or simple policy its high alarm, else its low
    /// one.
    alarm: &'a Alarm,
    low: Option<&'a Alarm>,
}

impl Evidence<'_> {
    /// Returns the number of seconds from the first spike to the end of the last; all seconds
    /// without a spike.
    fn spike_seconds(&self) -> u32 {
        let all = self.seconds.len() as u32;
        self.spike
            .map_or(all, |(from, until)| until.min(all).saturating_sub(from))
    }
}

impl<'a> Ran<'a> {
    /// Returns the policy that answers a rising load: the one that binds, or where none decided,
    /// the first that tracks a target, else the first of all.
    fn lead(&self) -> Option<&RanPolicy<'a>> {
        let out = || self.policies.iter().filter(|one| one.alarm.is_high());
        let binds = self.binding.as_ref().map(|binding| &binding.policy);
        out()
            .find(|one| Some(&one.policy.name) == binds)
            .or_else(|| out().find(|one| one.target().is_some()))
            .or_else(|| out().next())
    }

    /// Notes the policy that bound the group in the run.
    fn with_binding(self, evidence: &Evidence<'_>) -> Self {
        let binding = binding::of(&self, evidence);
        Self { binding, ..self }
    }
}

impl RanPolicy<'_> {
    fn target(&self) -> Option<f64> {
        match &self.rule {
            Rule::Tracking { tracking, .. } => Some(tracking.target),
            _ => None,
        }
    }

    /// Returns the metric that the policy follows, laid beside the load of the run.
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

/// Answers all topics and replays the candidates, including `what_if` if it is given.
pub fn advise(evidence: &Evidence<'_>, what_if: Option<&WhatIf>) -> Advice {
    let serving = instances::serving(evidence.timeline, evidence.started, evidence.seconds.len());
    let explained = Explained::of(evidence.hypotheses);
    let others = hypotheses::other_remedies(evidence.hypotheses, evidence.spike_seconds());
    let capacity = capacity::estimate(evidence.seconds, &serving, evidence.limit.p95, &explained)
        .map(|capacity| capacity.weighed(serving.first().copied().unwrap_or(1), evidence.weakness));
    let ran = ran(evidence.timeline).map(|ran| ran.with_binding(evidence));
    let metric = ran
        .as_ref()
        .ok()
        .and_then(|ran| ran.lead()?.metric(evidence, &serving));
    let binding = ran.as_ref().ok().and_then(|ran| ran.binding.clone());
    let mut advice = Advice {
        limit: evidence.limit,
        binding,
        chosen: None,
        answers: Vec::new(),
        capacity,
        metric,
        agreement: None,
        elasticity: None,
        price: Price::of(evidence.instance_price, evidence.timeline),
        candidates: Vec::new(),
        no_candidates: None,
        snippet: None,
        beside: beside::all(evidence.hypotheses),
    };
    // Where other reasons explain the limits that were missed, the load says nothing of the size.
    if let Some(capacity) = advice.capacity.as_ref().filter(|_| others.is_empty()) {
        let least =
            instances::group_at(evidence.timeline, evidence.started).map_or(1, |group| group.min);
        advice.elasticity = Some(elasticity(
            evidence.seconds,
            &serving,
            capacity.at_limit,
            least,
        ));
    }
    let blind = others
        .iter()
        .find(|one| one.suspect == Suspect::BlindMetric);
    let ran = if others.is_empty() {
        ran
    } else {
        Err(NoCandidates::OtherReasons {
            suspects: others.iter().map(|one| one.suspect).collect(),
        })
    };
    let mut asked = None;
    match ran.and_then(|ran| {
        candidates::tried(evidence, &ran, &serving, &advice, what_if).map(|tried| (ran, tried))
    }) {
        Ok((ran, tried)) => {
            advice.agreement = Some(tried.agreement);
            advice.candidates = tried.candidates;
            asked = tried.asked;
            advice.chosen = tried.chosen;
            advice.snippet = advice
                .candidates
                .iter()
                .find(|candidate| candidate.recommended)
                .and_then(|candidate| snippet::terraform(&candidate.change, evidence, &ran));
        }
        Err(why) => advice.no_candidates = Some(why),
    }
    if let Some(blind) = blind {
        // A count of the whole load balancer is no load of an instance: no policy follows it.
        let seen = blind.requests_rose();
        advice.snippet = seen
            .then(|| remedy::by_requests(evidence, &advice, blind))
            .flatten();
    }
    advice.answers = answers::all(evidence, &serving, &advice);
    if what_if.is_some() {
        let first = asked::answer(evidence, &advice, asked);
        advice.answers.insert(0, first);
    }
    advice
}

/// Returns the policies in the form of the model, or the reason why it cannot replay them.
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
    let ran = Ran {
        policies,
        binding: None,
    };
    match ran.lead() {
        Some(_) => Ok(ran),
        None if ran.policies.is_empty() => Err(NoCandidates::NoPolicy),
        None => Err(NoCandidates::NoPolicyForMore),
    }
}

/// Returns the rule of a policy, with thresholds from its live alarms, because AWS tunes those of
/// target tracking. `cooldown` is the group's own, for a simple policy that has none.
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

/// Returns the group's default cooldown, which a simple policy without its own waits for.
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
