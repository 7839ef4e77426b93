//! Answers as types: the content of each, and what it rests on. Their sentences are made in
//! `report::words`.

use std::time::Duration;

use super::agreement::Agreement;
use super::candidates::Candidate;
use super::others::{Assumption, Standing};
use super::topic::Topic;
use evidence::capacity::{InstanceCapacity, Metric};
use evidence::load::{Confidence, Elasticity};
use evidence::moment::{Moment, MomentKind};
use evidence::vocabulary::PolicyKind;
use model::units::Usd;

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub topic: Topic,
    pub content: Content,
    pub basis: Basis,
    pub confidence: Confidence,
}

impl Answer {
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

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This run cannot tell.
    Unknown,
    Change(Recommendation),
    SlowestLink(SlowestLink),
    LatencyBeforeGrowth(BeforeGrowth),
    Errors(ErrorShares),
    LoadFollowed {
        elasticity: Elasticity,
        /// What the needless instance-minutes cost.
        cost: Option<Usd>,
    },
    InstanceCapacity(NeededSize),
    TargetValue(TargetValue),
    MinAndMax(MinAndMax),
    StepSizes(StepSize),
    WarmUp(WarmUp),
    Cooldown(Cooldown),
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
    NoCandidates(Option<NoCandidates>),
    Replay(Replay),
    /// The moments that a link lies between.
    Moments(Vec<Moment>),
    /// These seconds of the load, and the size of the group in each.
    Seconds {
        from: usize,
        until: usize,
    },
    ErrorsBySecond {
        errors: u64,
    },
    /// The instances that the load needed, at this many requests per second for each.
    InstancesNeeded {
        each: f64,
    },
    Capacity(InstanceCapacity),
    Metric {
        metric: Metric,
        each: f64,
    },
    PeakAndCalm {
        peak: f64,
        calm: f64,
        each: f64,
    },
    Peak {
        peak: f64,
        each: f64,
    },
    ServiceGuide,
    WarmUpGuide,
    /// That guide, and the starts of this many instances.
    StartsAndWarmUpGuide {
        starts: usize,
    },
    CooldownGuide,
    StartsAndAlarms {
        starts: usize,
        policy: String,
    },
    TaskStartsAndAlarms {
        starts: usize,
    },
    Settings,
    /// The origin of the price.
    Price(String),
}

/// The replay of the measured load on each candidate, and how far it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Where it is not sure.
    pub capacity: Option<(f64, Confidence)>,
    pub agreement: Option<Agreement>,
    /// Sessions waited for slow answers.
    pub closed_load: bool,
    pub assumes: Option<Assumption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    pub choice: Choice,
    /// What the recommended candidate still misses, if it does.
    pub rest: Option<Rest>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    Candidate {
        best: Box<Candidate>,
        now: Box<Candidate>,
    },
    /// None of the others does as well for fewer instance-minutes.
    Nothing { others: u32 },
    /// None of the others is a remedy.
    NoRemedy { others: u32 },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    pub over_limit: u32,
    pub errors: u64,
    /// The names of the candidates that hold the limit.
    pub held_by: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SlowestLink {
    /// Nothing where a link that has not ended lasted longer.
    pub longest: Option<Longest>,
    pub unfinished: Option<Unfinished>,
    pub own_window: Option<OwnWindow>,
    pub aside: Option<Aside>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    pub from: MomentKind,
    pub to: MomentKind,
    pub took: Duration,
    /// The whole chain.
    pub first: MomentKind,
    pub last: MomentKind,
    pub whole: Duration,
}

/// A link that began and was not seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    pub from: MomentKind,
    pub to: MomentKind,
    pub lasted: Duration,
}

/// The window of the alarm, and its share of the whole chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnWindow {
    pub window: Duration,
    pub share: f64,
}

/// Why a moment of the chain is not among the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    GrewBeforeTheSpike,
    LatencyBackBefore,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BeforeGrowth {
    /// Seconds in which each had more to carry than it can, where that is known.
    pub overloaded_s: Option<u32>,
    pub instances: u32,
    /// The most requests per second for each of them.
    pub most: f64,
    pub carries: f64,
    pub carries_at_least: bool,
    pub limit: Duration,
    /// Instances that left meanwhile.
    pub left: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ErrorShares {
    pub shares: Vec<(ErrorCause, f64)>,
    pub counted: Vec<(BalancerCount, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCause {
    NobodyHealthy,
    Saturation,
    Leaving,
    NewInstance,
    Unexplained,
}

/// Counts of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalancerCount {
    TargetErrors,
    OwnErrors,
    ConnectionErrors,
    Rejected,
}

/// How many instances a load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    pub needed: u32,
    /// By what held the limit and what did not; no fewest where nothing missed.
    pub fewest: Option<u32>,
    pub most: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NeededSize {
    pub each: f64,
    pub limit: Duration,
    pub peak: f64,
    pub size: SizeRange,
    pub beyond: Option<BeyondMaximum>,
    /// The scenario has no threshold on p95.
    pub limit_is_assumed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondMaximum {
    CannotHold { max: u32, needed: u32 },
    MayBeTooSmall { max: u32 },
}

#[derive(Debug, Clone, PartialEq)]
pub struct TargetValue {
    pub fitting: f64,
    pub metric: String,
    /// The metric of an instance at its limit.
    pub full: f64,
    pub now: Option<PresentTarget>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PresentTarget {
    pub target: f64,
    /// More than an instance reaches within the limit.
    pub is_late: bool,
    pub compared: TargetCompared,
}

/// What the rows with other targets say of the one that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetCompared {
    Recommended {
        best: TargetRow,
        now: TargetRow,
    },
    Holds {
        now: TargetRow,
    },
    WouldHelp {
        best: TargetRow,
        now: TargetRow,
    },
    NoneBetter {
        best: TargetRow,
        now: TargetRow,
    },
    /// No row could be replayed.
    LittleRoom,
    Room,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    pub name: String,
    pub over_limit: u32,
    /// Where either row loses requests.
    pub lost: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MinAndMax {
    /// What the highest load needs, and with room to catch up.
    pub needed: u32,
    pub roomy: u32,
    pub min: u32,
    pub max: u32,
    /// What the load before the spike needs.
    pub calm: SizeRange,
    /// The cost of a minimum that holds the spike.
    pub standing: Option<Standing>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StepSize {
    /// Those that were there are enough.
    NotNeeded { before: u32 },
    /// The spike beside the largest step that is there.
    Largest {
        size: SizeRange,
        add: u32,
        before: u32,
        policy: String,
        largest: i32,
        is_percent: bool,
    },
    /// One step beside the policy, as it was replayed.
    Beside {
        row: Box<Candidate>,
        now: Box<Candidate>,
    },
    /// One would have to add so many.
    ToAdd { add: u32 },
}

/// A time that is set, beside the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Longer,
    Shorter,
    Fits,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WarmUp {
    /// A service has none.
    OfService,
    Unset {
        cooldown: Duration,
    },
    Known {
        boot: Duration,
        health: Duration,
        /// Until its load shows in the metric.
        period: Duration,
        /// From in service on.
        about: Duration,
        now: PresentWarmUp,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum PresentWarmUp {
    Unset {
        cooldown: Duration,
    },
    Set {
        live: Duration,
        fit: Fit,
        /// For so long scaling in waited after its low alarm.
        waited: Option<Duration>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cooldown {
    /// No policy is simple.
    NoMatter {
        default: Duration,
    },
    /// No policy is simple, but new instances warm up for it.
    IsWarmUp {
        default: Duration,
    },
    Simple {
        policy: String,
        about: Duration,
        health: Duration,
        window: Duration,
        live: Duration,
        fit: Fit,
    },
    OfService(Vec<ServiceCooldown>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ServiceCooldown {
    /// No start of a task was seen.
    OutUnknown { policy: String, live: Duration },
    Out {
        policy: String,
        about: Duration,
        boot: Duration,
        health: Duration,
        window: Duration,
        live: Duration,
        fit: Fit,
    },
    In {
        policy: String,
        about: Duration,
        drain: Duration,
        period: Duration,
        live: Duration,
        fit: Fit,
    },
}

/// A setting around the policy that the run shows to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum OtherSetting {
    FailedChecks {
        instances: u64,
        grace: Duration,
    },
    FreshErrors {
        found: FreshErrors,
        is_service: bool,
        slow_start: Option<Duration>,
    },
    /// Instances were in service this long before they were healthy.
    SlowChecks {
        waits: Duration,
    },
    LongDeregistration {
        delay: Duration,
    },
    StickySessions,
    SlowStartWithoutEffect,
    SimpleScaling {
        policy: String,
        cooldown: Duration,
    },
}

/// What new instances did worse than the others.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshErrors {
    /// The sentence of the judgement.
    Judged(String),
    /// Errors within a minute of a new instance's first health, of all.
    Inferred { young: u64, all: u64 },
}

/// Why no other policy was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCandidates {
    NothingHeld,
    GroupNeverSeen,
    NoPolicy,
    /// No policy answers a rising load.
    NoPolicyForMore,
    /// No new instance came into service.
    NoStart,
    AlarmsUnread {
        policy: String,
    },
    PolicyUnread {
        policy: String,
        kind: PolicyKind,
    },
    /// It scales by a forecast of its own.
    Forecast {
        policy: String,
    },
    /// No datapoint of its metric lies below the ceiling, beside the load.
    NoDatapoint {
        policy: String,
    },
}
