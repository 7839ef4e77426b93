//! Answers as types: the content of each and its basis. `report::words` makes their sentences.

mod causes;
mod settings;
mod sizes;

pub use causes::{
    Aside, BalancerCount, BeforeGrowth, ErrorCause, ErrorShares, LoadRise, Longest, OwnWindow,
    SlowestLink, Unfinished,
};
pub use settings::{Cooldown, FreshErrors, OtherSetting, PresentWarmUp, ServiceCooldown, WarmUp};
pub use sizes::{
    BeyondMaximum, Fit, MinAndMax, NeededSize, PresentTarget, SizeRange, StepSize, TargetCompared,
    TargetRow, TargetValue,
};

use super::agreement::Agreement;
use super::asked::{Asked, Carried};
use super::candidate::Candidate;
use super::others::Assumption;
use super::topic::Topic;
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
use evidence::moment::Moment;
use evidence::price::PriceSource;
use evidence::vocabulary::PolicyKind;
use evidence::{Hypothesis, Standing, Suspect};
use model::units::Usd;

/// An answer of the advice, without its sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The question that is answered.
    pub topic: Topic,
    /// The answer itself.
    pub content: Content,
    /// Evidence for the answer, or the run that would give one.
    pub basis: Basis,
    /// Confidence of the answer; low where the run cannot tell.
    pub confidence: Confidence,
}

impl Answer {
    /// Creates an answer from its parts.
    pub fn new(topic: Topic, content: Content, basis: Basis, confidence: Confidence) -> Self {
        Self {
            topic,
            content,
            basis,
            confidence,
        }
    }

    /// Creates an answer for a run that cannot tell; the basis names the run that would.
    pub fn unknown(topic: Topic, basis: Basis) -> Self {
        Self::new(topic, Content::Unknown, basis, Confidence::Low)
    }
}

/// The answer to each topic, with its figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This run cannot tell.
    Unknown,
    /// The user's own change.
    WhatIf(Box<Asked>),
    /// The candidate that the advice recommends.
    Change(Recommendation),
    /// The link of scaling out that took longest.
    SlowestLink(SlowestLink),
    /// The load of each instance before the group grew, as the cause of latency.
    LatencyBeforeGrowth(BeforeGrowth),
    /// Other reasons than the load of each instance for the limits that were missed.
    OtherReasons(Vec<(Suspect, Standing)>),
    /// The remedies for these reasons, none of which is a change of the group's size.
    OtherRemedies(Vec<(Suspect, Standing)>),
    /// The causes of the errors, by share.
    Errors(ErrorShares),
    /// Distance of the group's size from the size that the load needed.
    LoadFollowed {
        /// Shares of the time with too few and with too many instances.
        elasticity: Elasticity,
        /// Cost of the instance-minutes that were not needed.
        cost: Option<Usd>,
    },
    /// The capacity of one instance, and the size that the load needs.
    InstanceCapacity(NeededSize),
    /// The load that the group carries at its maximum.
    AtMaximum(Carried),
    /// The target value that fits, beside the one that is set.
    TargetValue(TargetValue),
    /// The minimum and maximum that fit, beside those that are set.
    MinAndMax(MinAndMax),
    /// The step that the spike needs.
    StepSizes(StepSize),
    /// The warm-up that fits, beside the one that is set.
    WarmUp(WarmUp),
    /// The cooldowns that fit, beside those that are set.
    Cooldown(Cooldown),
    /// Settings that the run shows to be wrong; never empty.
    OtherSettings(Vec<OtherSetting>),
    /// US dollars an hour for each instance.
    Price(f64),
}

/// The evidence of an answer, or the run that would give one.
#[derive(Debug, Clone, PartialEq)]
pub enum Basis {
    /// No second held the limit.
    NothingHeld,
    /// No datapoint of the metric lies beside a steady size and load.
    NoSteadyDatapoint,
    /// No new instance came into service.
    NoStart,
    /// No new task of a service reached the running state.
    NoTaskStart,
    /// No candidate was replayed, for this reason if one is known.
    NoCandidates(Option<NoCandidates>),
    /// The hypotheses that explain the limits that were missed.
    Hypotheses(Vec<Hypothesis>),
    /// The measured load, replayed against each candidate.
    Replay(Replay),
    /// The moments at the two ends of a link.
    Moments(Vec<Moment>),
    /// These seconds of the load, and the size of the group in each.
    Seconds {
        /// First second, from the start of the load.
        from: usize,
        /// The second after the last.
        until: usize,
    },
    /// The errors of each second, beside load, size and activities of the group in that second.
    ErrorsBySecond {
        /// Errors of the whole run.
        errors: u64,
    },
    /// The instances that the load needed, computed from the capacity of one instance.
    InstancesNeeded {
        /// Requests per second that one instance carries within the limit.
        each: f64,
    },
    /// The estimate of the capacity of one instance.
    Capacity(InstanceCapacity),
    /// The capacity of one instance, times the maximum of the group.
    CapacityTimesMaximum {
        /// Requests per second that one instance carries within the limit.
        each: f64,
        /// The most instances that served at once.
        served: u32,
    },
    /// The datapoints of the tracked metric, beside the load.
    Metric {
        /// The metric, as a multiple of the load of one instance.
        metric: Metric,
        /// Requests per second that one instance carries within the limit.
        each: f64,
    },
    /// The highest loads of the whole run and of the time before the spike.
    PeakAndCalm {
        /// Requests in the highest second of the run.
        peak: f64,
        /// Requests in the highest second before the spike.
        calm: f64,
        /// Requests per second that one instance carries within the limit.
        each: f64,
    },
    /// The highest load of the run.
    Peak {
        /// Requests in the highest second of the run.
        peak: f64,
        /// Requests per second that one instance carries within the limit.
        each: f64,
    },
    /// The Application Auto Scaling guide on target tracking.
    ServiceGuide,
    /// The EC2 Auto Scaling guide on the default instance warm-up.
    WarmUpGuide,
    /// The EC2 Auto Scaling guide on the default instance warm-up, and starts in this run.
    StartsAndWarmUpGuide {
        /// Instances that were launched and came into service.
        starts: usize,
    },
    /// The EC2 Auto Scaling guide on scaling cooldowns.
    CooldownGuide,
    /// The starts of instances, and the alarms of a simple scaling policy.
    StartsAndAlarms {
        /// Instances that were launched and came into service.
        starts: usize,
        /// Name of the policy.
        policy: String,
    },
    /// The starts of tasks, and the alarms of each policy of the service.
    TaskStartsAndAlarms {
        /// Tasks that were launched and reached the running state.
        starts: usize,
    },
    /// Describe calls of the group, its hooks and its target groups, and the user guides.
    Settings,
    /// The origin of the price.
    Price(PriceSource),
}

/// The replay of the measured load on each candidate, and the limits of its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Capacity of one instance and its confidence; `None` where the confidence is high.
    pub capacity: Option<(f64, Confidence)>,
    /// Agreement of the model with the group, on the policy that ran.
    pub agreement: Option<Agreement>,
    /// True for the closed model: sessions waited for slow answers.
    pub closed_load: bool,
    /// Assumption of the recommended candidate; `None` where it needs none.
    pub assumes: Option<Assumption>,
}

/// The answer to the question of what to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The choice among the candidates.
    pub choice: Choice,
    /// Misses of the recommended candidate; `None` where it holds the limit.
    pub rest: Option<Rest>,
}

/// The choice among the candidates.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// Another candidate does better than the policy that ran.
    Candidate {
        /// The recommended candidate.
        best: Box<Candidate>,
        /// The policy that ran.
        now: Box<Candidate>,
    },
    /// The policy that ran holds the limit, and no other candidate does so for fewer
    /// instance-minutes.
    Nothing {
        /// Candidates besides the policy that ran.
        others: u32,
    },
    /// The policy that ran misses the limit, and no other candidate helps enough.
    NoRemedy {
        /// Candidates besides the policy that ran.
        others: u32,
    },
}

/// Misses of a recommended candidate that does not hold the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// Seconds in which its p95 is over the limit.
    pub over_limit: u32,
    /// Requests that it cannot carry.
    pub errors: u64,
    /// The names of the candidates that hold the limit.
    pub held_by: Vec<String>,
}

/// The reason why no other policy was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCandidates {
    /// No second held the limit, so the capacity of an instance is not known.
    NothingHeld,
    /// Other reasons than the group's size explain the limits that were missed.
    OtherReasons {
        /// The reasons that hold or may hold; never empty.
        suspects: Vec<Suspect>,
    },
    /// No read of the group succeeded.
    GroupNeverSeen,
    /// The group has no scaling policy.
    NoPolicy,
    /// No policy answers a rising load.
    NoPolicyForMore,
    /// No new instance came into service.
    NoStart,
    /// The alarms of a policy were not read.
    AlarmsUnread {
        /// Name of the policy.
        policy: String,
    },
    /// A policy was not read whole.
    PolicyUnread {
        /// Name of the policy.
        policy: String,
        /// Its `PolicyType`.
        kind: PolicyKind,
    },
    /// The policy scales by a forecast of its own.
    Forecast {
        /// Name of the policy.
        policy: String,
    },
    /// No datapoint of the policy's metric lies below the ceiling, beside the load.
    NoDatapoint {
        /// Name of the policy.
        policy: String,
    },
}
