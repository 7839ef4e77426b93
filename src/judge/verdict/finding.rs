//! What the judge found, as types: which expectation, how it was decided, the figures, and the
//! reason. The sentences are made in `report::words`.
//!
//! In JSON an expectation and a reason are objects with an `id` in kebab case; a figure has its unit
//! at the end of its key (`_s` seconds, `_us` microseconds, `share` from 0 to 1).

use derive_more::From;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reason;
use evidence::scale_in::WaitReason;
use model::measure::Merged;
use model::outcome::Verdict;
use model::units::{Seconds, Usd};

/// One judgement, with the figures and the reason that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub expectation: Expectation,
    pub scope: Scope,
    pub verdict: Verdict,
    pub measured: Measured,
    pub reason: Reason,
}

impl Finding {
    /// A judgement on the group.
    pub fn of_group(
        expectation: Expectation,
        verdict: Verdict,
        measured: impl Into<Measured>,
        reason: impl Into<Reason>,
    ) -> Self {
        Self {
            expectation,
            scope: Scope::Group,
            verdict,
            measured: measured.into(),
            reason: reason.into(),
        }
    }

    /// A judgement on the run as a whole.
    pub fn of_run(
        expectation: Expectation,
        verdict: Verdict,
        measured: impl Into<Measured>,
        reason: impl Into<Reason>,
    ) -> Self {
        Self {
            scope: Scope::Run,
            ..Self::of_group(expectation, verdict, measured, reason)
        }
    }
}

/// Where an expectation was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Run,
    Group,
    Phase(String),
}

/// What is expected, with the limits that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Expectation {
    /// A threshold, in the user's words.
    Threshold { text: String },
    /// The group scaled out.
    ScaledOut,
    /// The first new instance was in service this soon after the breach.
    ScaleOutInTime { within_s: Seconds },
    /// No limit where none could be computed.
    ScaleInInTime { within_s: Option<Seconds> },
    /// New instances serve at once.
    FreshInstancesServe,
    /// No request is dropped while instances leave.
    NothingDropped,
    /// No instance leaves while the load needs it.
    NoEarlyScaleIn,
    /// No limits where the load is not ours.
    HoldsWhileScaling {
        p95_s: Option<Seconds>,
        errors_share: Option<f64>,
    },
    /// The target holds at its maximum size.
    HoldsAtMaximum,
    /// The group was not pinned at its maximum.
    NotPinnedAtMaximum,
    /// The group does not grow and shrink by turns under one load.
    NoFlapping,
    /// Too few instances for less than this share of the time.
    UnderProvisioned { share: f64 },
    /// Excess instance-minutes are less than this share of those paid for.
    OverProvisioned { share: f64 },
    /// Both of the above, under a load that is not ours.
    Efficiency,
    /// The group was not deleted.
    GroupExists,
    /// Nothing besides its policies changed the group's size.
    OnlyPoliciesMovedTheGroup,
    /// This machine's clock agrees with AWS's.
    OneClock,
    /// The group was seen for the whole run, apart from short gaps.
    GroupWatched,
    /// The generators sent the load that was asked for.
    LoadSent,
    /// No generator was saturated.
    GeneratorNotTheLimit,
    /// The load ran to the end of its plan.
    PlanCarriedOut,
    /// Every task delivered every interval.
    AllResultsArrived,
    /// The target answered at all.
    TargetAnswered,
    /// Every request could be sent.
    EveryRequestSent,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Measured {
    /// Nothing could be measured.
    Nothing,
    /// `at_start` where the group grew back to what it had been at the start.
    Sizes {
        from: u32,
        to: u32,
        at_start: Option<u32>,
    },
    /// How long it took.
    Took { took_s: Seconds },
    /// When the group was found gone.
    Gone {
        #[schemars(with = "String", extend("format" = "date-time"))]
        at: Timestamp,
    },
    /// How far the clocks are apart.
    ClocksApart { apart_s: Seconds },
    /// New instances that were terminated before they served.
    NeverServed { instances: u64 },
    /// Errors among the answers of new instances.
    NewInstances {
        errors: u64,
        answers: u64,
        instances: u64,
    },
    /// Errors among all requests while instances were new.
    WhileNew { errors: u64, requests: u64 },
    /// Requests that were dropped, of all while instances left.
    Dropped { requests: u64, of: u64 },
    /// What the load balancer counted while instances left.
    DroppedByBalancer {
        gateway_errors: f64,
        connection_errors: f64,
        requests: f64,
    },
    /// Instances that left under the highest load so far, and how the target answered meanwhile.
    LeftEarly { instances: u64, answered: Answered },
    /// How the target answered while the group scaled out.
    WhileScaling { answered: Answered },
    /// Turns between growing and shrinking, among all changes of size.
    Turns { turns: u64, changes: u64 },
    /// For how long the group could not grow, and how it answered in a spike and besides.
    Pinned {
        maximum: u32,
        seconds: u64,
        in_spike: Option<AtMaximum>,
        besides: Option<AtMaximum>,
    },
    /// Seconds at the maximum while an alarm asked for more.
    PinnedWhileAlarmed { maximum: u32, seconds: u64 },
    /// The share of the time with too few instances, and how many were missing on average.
    TooFewInstances {
        time_share: f64,
        missing_instances: f64,
    },
    /// Excess instance-minutes as a share of those paid for.
    ExcessInstanceMinutes {
        share: f64,
        paid_minutes: f64,
        cost: Option<Cost>,
    },
    #[from]
    #[serde(untagged)]
    Metric(MetricValue),
    #[from]
    #[serde(untagged)]
    Run(RunFigures),
}

/// The value of a threshold's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum MetricValue {
    /// A latency percentile.
    Percentile { percentile: f64, value_us: f64 },
    /// The mean latency.
    Mean { value_us: f64 },
    /// The longest latency.
    Max { value_us: f64 },
    /// The share of requests that failed.
    Errors {
        share: f64,
        errors: u64,
        requests: u64,
    },
    /// The share of checks that held, and how many failed.
    Checks {
        share: f64,
        failed: u64,
        checks: u64,
    },
    /// Requests answered per second.
    Rate { per_second: f64 },
}

/// Figures of the run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RunFigures {
    /// The share of the load that was sent.
    LoadSent { share: f64 },
    /// The latest request, and how busy the busiest worker was.
    Saturation { latest_s: Seconds, busy_share: f64 },
    /// Tasks whose every interval arrived.
    TasksComplete { complete: u32, tasks: u32 },
    /// Requests that were answered, or could not be sent, of all.
    Requests { count: u64, requests: u64 },
    /// How long the group was out of sight.
    OutOfSight {
        unseen_s: Seconds,
        watched_s: Seconds,
    },
}

/// How the target answered in some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    pub p95_s: Option<Seconds>,
    pub errors_share: f64,
    pub seconds: u64,
}

impl Answered {
    pub fn of(merged: &Merged, seconds: usize) -> Self {
        let tally = &merged.tally;
        Self {
            p95_s: merged.latency.percentile(95.0).map(Seconds),
            errors_share: tally.errors() as f64 / tally.requests().max(1) as f64,
            seconds: seconds as u64,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtMaximum {
    pub answered: Answered,
    /// Errors of new instances, which are judged elsewhere.
    pub errors_of_new_instances: u64,
}

/// What instance-minutes cost, at a list price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    pub usd: Usd,
    /// The month of the price list.
    pub prices_of: String,
}

/// What moved the group beside its policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum OtherCause {
    /// A change of size that no alarm asked for.
    NoAlarm {
        from: u32,
        to: u32,
        #[schemars(with = "String", extend("format" = "date-time"))]
        at: Timestamp,
    },
    Refresh {
        text: String,
    },
    ScheduledAction {
        name: String,
    },
    PredictivePolicy {
        name: String,
    },
}

/// A new instance that answered worse than the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum WorseInstance {
    Errors {
        instance: String,
        share: f64,
    },
    Slow {
        instance: String,
        p95_s: Seconds,
        others_p95_s: Option<Seconds>,
    },
}

/// The part of scaling in that the group's own settings take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unavoidable {
    pub waits_for: WaitReason,
    pub takes_s: Seconds,
}

/// What the time to scale in was counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CountedFrom {
    EndOfSpike,
    FirstLowDatapoint,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricPeak {
    pub metric: String,
    pub value: f64,
}
