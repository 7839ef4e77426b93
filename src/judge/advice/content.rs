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

/// The slow links of scaling out.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowestLink {
    /// Nothing where a link that has not ended lasted longer.
    pub longest: Option<Longest>,
    /// A link that had not ended with the load; `None` where the chain is complete.
    pub unfinished: Option<Unfinished>,
    /// `None` where the window of the alarm is not known.
    pub own_window: Option<OwnWindow>,
    /// `None` where no moment of the chain was left out.
    pub aside: Option<Aside>,
}

/// The longest link that ended, and the chain it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Moment at which the link begins.
    pub from: MomentKind,
    /// Moment at which it ends.
    pub to: MomentKind,
    /// Time between the two.
    pub took: Duration,
    /// The whole chain.
    pub first: MomentKind,
    /// Last moment of the chain.
    pub last: MomentKind,
    /// Time from the first moment of the chain to its last.
    pub whole: Duration,
}

/// A link that began and was not seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Last moment of the chain that was seen.
    pub from: MomentKind,
    /// Moment that should have followed.
    pub to: MomentKind,
    /// Time from the last moment to the end of the load.
    pub lasted: Duration,
}

/// The window of the alarm, and its share of the whole chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnWindow {
    /// Datapoints of the alarm times its period.
    pub window: Duration,
    /// Window as a share of the whole chain, from 0 to 1.
    pub share: f64,
}

/// Why a moment of the chain is not among the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// The load rose later than the chain began.
    GrewBeforeTheSpike,
    /// Latency was back before a new instance served.
    LatencyBackBefore,
}

/// The load of each instance from the start of the spike until the group grew.
#[derive(Debug, Clone, PartialEq)]
pub struct BeforeGrowth {
    /// Seconds in which each had more to carry than it can, where that is known.
    pub overloaded_s: Option<u32>,
    /// Instances that served in the second with the most for each.
    pub instances: u32,
    /// The most requests per second for each of them.
    pub most: f64,
    /// Requests per second that one instance carries within the limit.
    pub carries: f64,
    /// No second missed the limit, so one may carry more.
    pub carries_at_least: bool,
    /// Bound of p95.
    pub limit: Duration,
    /// Instances that left meanwhile.
    pub left: usize,
}

/// The causes of the errors.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorShares {
    /// Each cause with its share of all errors, from 0 to 1; only those above 0.
    pub shares: Vec<(ErrorCause, f64)>,
    /// Sums over the run, only those above 0.
    pub counted: Vec<(BalancerCount, f64)>,
}

/// Cause of a second's errors, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCause {
    /// No instance served.
    NobodyHealthy,
    /// The load exceeded the capacity of the instances, then or a second before.
    Saturation,
    /// An instance was leaving, or gone for at most 2 s.
    Leaving,
    /// An instance had been healthy for less than a minute.
    NewInstance,
    /// None of the other causes.
    Unexplained,
}

/// Counts of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalancerCount {
    /// `HTTPCode_Target_5XX_Count`
    TargetErrors,
    /// `HTTPCode_ELB_5XX_Count`
    OwnErrors,
    /// `TargetConnectionErrorCount`
    ConnectionErrors,
    /// `RejectedConnectionCount`
    Rejected,
}

/// How many instances a load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// By the estimated capacity of one instance.
    pub needed: u32,
    /// By what held the limit and what did not; no fewest where nothing missed.
    pub fewest: Option<u32>,
    /// By the load of one instance that held the limit.
    pub most: u32,
}

/// How many instances the highest load needs.
#[derive(Debug, Clone, PartialEq)]
pub struct NeededSize {
    /// Requests per second that one instance carries within the limit.
    pub each: f64,
    /// Bound of p95.
    pub limit: Duration,
    /// Requests in the highest second of the run.
    pub peak: f64,
    /// Instances for that second.
    pub size: SizeRange,
    /// `None` where the maximum of the group is enough, or was never seen.
    pub beyond: Option<BeyondMaximum>,
    /// The scenario has no threshold on p95.
    pub limit_is_assumed: bool,
}

/// The load needs more instances than the group may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondMaximum {
    /// Even the fewest instances exceed the maximum.
    CannotHold {
        /// Maximum of the group.
        max: u32,
        /// Instances by the estimated capacity of one.
        needed: u32,
    },
    /// The estimate exceeds the maximum, the fewest instances do not.
    MayBeTooSmall {
        /// Maximum of the group.
        max: u32,
    },
}

/// The target value of a target tracking policy.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetValue {
    /// Highest target that leaves room for new instances to start, in the metric's unit.
    pub fitting: f64,
    /// Name of the metric that the policy tracks.
    pub metric: String,
    /// The metric of an instance at its limit.
    pub full: f64,
    /// The target that is set; `None` where it was not read.
    pub now: Option<PresentTarget>,
}

/// The target value of the policy that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentTarget {
    /// `TargetValue`, in the metric's unit.
    pub target: f64,
    /// More than an instance reaches within the limit.
    pub is_late: bool,
    /// How it compares with other targets.
    pub compared: TargetCompared,
}

/// What the rows with other targets say of the one that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetCompared {
    /// A row with another target is the recommended candidate.
    Recommended {
        /// Row of that target.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// The policy that ran holds the limit.
    Holds {
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// Another target would help, but the recommended candidate does more.
    WouldHelp {
        /// Row of the best of the other targets.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// No other target is much better.
    NoneBetter {
        /// Row of the best of the other targets.
        best: TargetRow,
        /// Row of the policy that ran.
        now: TargetRow,
    },
    /// No row could be replayed.
    LittleRoom,
    /// No row could be replayed, and the target is at most a tenth above the fitting one.
    Room,
}

/// A candidate with one target, and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    /// Name of the candidate.
    pub name: String,
    /// Seconds in which its p95 is over the limit.
    pub over_limit: u32,
    /// Where either row loses requests.
    pub lost: Option<u64>,
}

/// The bounds of the group, beside the instances that the load needs.
#[derive(Debug, Clone, PartialEq)]
pub struct MinAndMax {
    /// What the highest load needs, and with room to catch up.
    pub needed: u32,
    /// Instances for the highest load, with room to catch up.
    pub roomy: u32,
    /// Minimum of the group.
    pub min: u32,
    /// Maximum of the group.
    pub max: u32,
    /// What the load before the spike needs.
    pub calm: SizeRange,
    /// The cost of a minimum that holds the spike.
    pub standing: Option<Standing>,
}

/// The step that the highest load needs.
#[derive(Debug, Clone, PartialEq)]
pub enum StepSize {
    /// Those that were there are enough.
    NotNeeded {
        /// Desired instances before the spike.
        before: u32,
    },
    /// The spike beside the largest step that is there.
    Largest {
        /// Instances that the highest load needs.
        size: SizeRange,
        /// Instances to add at once.
        add: u32,
        /// Desired instances before the spike.
        before: u32,
        /// Name of the step policy.
        policy: String,
        /// Largest `ScalingAdjustment` of its steps.
        largest: i32,
        /// The adjustment is `PercentChangeInCapacity`.
        is_percent: bool,
    },
    /// One step beside the policy, as it was replayed.
    Beside {
        /// The candidate with one step.
        row: Box<Candidate>,
        /// The policy that ran.
        now: Box<Candidate>,
    },
    /// One would have to add so many.
    ToAdd {
        /// Instances to add at once.
        add: u32,
    },
}

/// A time that is set, beside the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Longer than 1.5 times the fitting time and a poll or two.
    Longer,
    /// Shorter by more than a poll.
    Shorter,
    /// Near enough to the fitting time.
    Fits,
}

/// The warm-up of a target tracking or step policy.
#[derive(Debug, Clone, PartialEq)]
pub enum WarmUp {
    /// A service has none.
    OfService,
    /// None is set, and no new instance came into service.
    Unset {
        /// Default cooldown of the group, which AWS takes for the warm-up.
        cooldown: Duration,
    },
    /// The starts of new instances show the time that fits.
    Known {
        /// From the launch to in service.
        boot: Duration,
        /// From in service to healthy.
        health: Duration,
        /// Until its load shows in the metric.
        period: Duration,
        /// From in service on.
        about: Duration,
        /// The warm-up that is set.
        now: PresentWarmUp,
    },
}

/// The warm-up that is set.
#[derive(Debug, Clone, PartialEq)]
pub enum PresentWarmUp {
    /// Neither the policy nor the group has one.
    Unset {
        /// Default cooldown of the group, which AWS takes for the warm-up.
        cooldown: Duration,
    },
    /// The policy has one, or the group a default.
    Set {
        /// The warm-up of the policy, else of the group.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
        /// For so long scaling in waited after its low alarm.
        waited: Option<Duration>,
    },
}

/// The cooldowns of a group or service.
#[derive(Debug, Clone, PartialEq)]
pub enum Cooldown {
    /// No policy is simple.
    NoMatter {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// No policy is simple, but new instances warm up for it.
    IsWarmUp {
        /// Default cooldown of the group.
        default: Duration,
    },
    /// A policy is simple: it waits for the cooldown after each change.
    Simple {
        /// Name of the simple scaling policy.
        policy: String,
        /// The time that fits: health and window.
        about: Duration,
        /// From in service to healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// The cooldown of the policy, else of the group.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
    /// A service has one after a scale-out and one after a scale-in, for each policy.
    OfService(Vec<ServiceCooldown>),
}

/// A cooldown of a policy of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceCooldown {
    /// No start of a task was seen.
    OutUnknown {
        /// Name of the policy.
        policy: String,
        /// `ScaleOutCooldown` of the policy.
        live: Duration,
    },
    /// The cooldown after a scale-out.
    Out {
        /// Name of the policy.
        policy: String,
        /// The time that fits: boot, health and window.
        about: Duration,
        /// From the launch of a task until it runs.
        boot: Duration,
        /// From then until it is healthy.
        health: Duration,
        /// Datapoints of the high alarm times its period.
        window: Duration,
        /// `ScaleOutCooldown` of the policy.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
    /// The cooldown after a scale-in.
    In {
        /// Name of the policy.
        policy: String,
        /// The time that fits: drain and period.
        about: Duration,
        /// Longest deregistration delay of the target groups.
        drain: Duration,
        /// Period of the low alarm.
        period: Duration,
        /// `ScaleInCooldown` of the policy.
        live: Duration,
        /// How it compares with the fitting time.
        fit: Fit,
    },
}

/// A setting around the policy that the run shows to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum OtherSetting {
    /// Instances left because they failed health checks.
    FailedChecks {
        /// Instances that did.
        instances: u64,
        /// Health check grace period of the group.
        grace: Duration,
    },
    /// New instances do not serve well at first.
    FreshErrors {
        /// Evidence of it.
        found: FreshErrors,
        /// The target is an ECS service.
        is_service: bool,
        /// Longest slow start of the target groups; `None` where none is set.
        slow_start: Option<Duration>,
    },
    /// Instances were in service this long before they were healthy.
    SlowChecks {
        /// The longest such time.
        waits: Duration,
    },
    /// A target group drains for two minutes or longer.
    LongDeregistration {
        /// Deregistration delay of the target group.
        delay: Duration,
    },
    /// A target group has stickiness, which keeps the load on old instances.
    StickySessions,
    /// A target group combines slow start with least outstanding requests.
    SlowStartWithoutEffect,
    /// A policy is simple: step scaling goes on while instances start.
    SimpleScaling {
        /// Name of the policy.
        policy: String,
        /// The cooldown of the policy, else of the group.
        cooldown: Duration,
    },
}

/// What new instances did worse than the others.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshErrors {
    /// The sentence of the judgement.
    Judged(String),
    /// Errors within a minute of a new instance's first health, of all.
    Inferred {
        /// Errors within that minute.
        young: u64,
        /// Errors of the whole run.
        all: u64,
    },
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
