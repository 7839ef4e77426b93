//! Answers as types: the content of each, and what it rests on. Their sentences are made in
//! `report::words`.

mod causes;
mod settings;
mod sizes;

pub use causes::{
    Aside, BalancerCount, BeforeGrowth, ErrorCause, ErrorShares, Longest, OwnWindow, SlowestLink,
    Unfinished,
};
pub use settings::{Cooldown, FreshErrors, OtherSetting, PresentWarmUp, ServiceCooldown, WarmUp};
pub use sizes::{
    BeyondMaximum, Fit, MinAndMax, NeededSize, PresentTarget, SizeRange, StepSize, TargetCompared,
    TargetRow, TargetValue,
};

use super::agreement::Agreement;
use super::candidate::Candidate;
use super::others::Assumption;
use super::topic::Topic;
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
use evidence::moment::Moment;
use evidence::vocabulary::PolicyKind;
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
    /// How sure the answer is; low where the run cannot tell.
    pub confidence: Confidence,
}

impl Answer {
    /// An answer of these parts.
    pub fn new(topic: Topic, content: Content, basis: Basis, confidence: Confidence) -> Self {
        Self {
            topic,
            content,
            basis,
            confidence,
        }
    }

    /// This run cannot tell; the basis says which run would.
    pub fn unknown(topic: Topic, basis: Basis) -> Self {
        Self::new(topic, Content::Unknown, basis, Confidence::Low)
    }
}

/// The answer to each topic, with its figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This run cannot tell.
    Unknown,
    /// The candidate to take.
    Change(Recommendation),
    /// The link of scaling out that took longest.
    SlowestLink(SlowestLink),
    /// The load of each instance before the group grew.
    LatencyBeforeGrowth(BeforeGrowth),
    /// The causes of the errors, by share.
    Errors(ErrorShares),
    /// How far the group was from the size that the load needed.
    LoadFollowed {
        /// Shares of the time with too few and with too many instances.
        elasticity: Elasticity,
        /// What the needless instance-minutes cost.
        cost: Option<Usd>,
    },
    /// The capacity of one instance, and the size that the load needs.
    InstanceCapacity(NeededSize),
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

/// What an answer rests on, or which run would answer it.
#[derive(Debug, Clone, PartialEq)]
pub enum Basis {
    /// No second held the limit.
    NothingHeld,
    /// No datapoint of the metric lies beside a steady size and load.
    NoSteadyDatapoint,
    /// No new instance came into service.
    NoStart,
    /// No new task of a service came to run.
    NoTaskStart,
    /// No candidate was replayed, for this reason.
    NoCandidates(Option<NoCandidates>),
    /// The measured load, replayed against each candidate.
    Replay(Replay),
    /// The moments that a link lies between.
    Moments(Vec<Moment>),
    /// These seconds of the load, and the size of the group in each.
    Seconds {
        /// First second, from the start of the load.
        from: usize,
        /// The second after the last.
        until: usize,
    },
    /// The errors of each second, beside load, size and activities of the group.
    ErrorsBySecond {
        /// Errors of the whole run.
        errors: u64,
    },
    /// The instances that the load needed, at this many requests per second for each.
    InstancesNeeded {
        /// Requests per second that one instance carries within the limit.
        each: f64,
    },
    /// The estimate of the capacity of one instance.
    Capacity(InstanceCapacity),
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
    /// That guide, and the starts of this many instances.
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
        /// Tasks that were launched and came to run.
        starts: usize,
    },
    /// Describe calls of the group, its hooks and its target groups, and the user guides.
    Settings,
    /// The origin of the price.
    Price(String),
}

/// The replay of the measured load on each candidate, and how far it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Where it is not sure.
    pub capacity: Option<(f64, Confidence)>,
    /// How well the model agrees with the group on the policy that ran.
    pub agreement: Option<Agreement>,
    /// Sessions waited for slow answers.
    pub closed_load: bool,
    /// Assumption of the recommended candidate; `None` where it needs none.
    pub assumes: Option<Assumption>,
}

/// The answer to the question of the change.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The candidate to take, or none.
    pub choice: Choice,
    /// What the recommended candidate still misses, if it does.
    pub rest: Option<Rest>,
}

/// Which candidate to take.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// Another candidate does better than the policy that ran.
    Candidate {
        /// The recommended candidate.
        best: Box<Candidate>,
        /// The policy that ran.
        now: Box<Candidate>,
    },
    /// None of the others does as well for fewer instance-minutes.
    Nothing {
        /// Candidates besides the policy that ran.
        others: u32,
    },
    /// None of the others is a remedy.
    NoRemedy {
        /// Candidates besides the policy that ran.
        others: u32,
    },
}

/// The recommended candidate does not hold the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// Seconds in which its p95 is over the limit.
    pub over_limit: u32,
    /// Requests that it cannot carry.
    pub errors: u64,
    /// The names of the candidates that hold the limit.
    pub held_by: Vec<String>,
}

/// Why no other policy was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCandidates {
    /// No second held the limit, so the capacity of an instance is not known.
    NothingHeld,
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
    /// It scales by a forecast of its own.
    Forecast {
        /// Name of the policy.
        policy: String,
    },
    /// No datapoint of its metric lies below the ceiling, beside the load.
    NoDatapoint {
        /// Name of the policy.
        policy: String,
    },
}
