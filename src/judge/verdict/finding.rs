//! A finding, as types: which expectation, how it was decided, the figures, and the
//! reason. The sentences are made in `report::words`.
//!
//! In JSON an expectation and a reason are objects with an `id` in kebab case; a figure has its unit
//! at the end of its key (`_s` seconds, `_us` microseconds, `share` from 0 to 1).

mod figures;

pub use figures::RunFigures;

use derive_more::From;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answered, AtMaximum, Reason};
use evidence::scale_in::WaitReason;
use model::outcome::Verdict;
use model::units::{Seconds, Usd};

/// One judgement, with the figures and the reason that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The expectation that was judged.
    pub expectation: Expectation,
    /// The part of the run that it was judged on.
    pub scope: Scope,
    /// Passed, failed or inconclusive.
    pub verdict: Verdict,
    /// The figures that decided it; `Nothing` where there are none.
    pub measured: Measured,
    /// Why the verdict is as it is.
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
    /// The run as a whole: generators, plan, clocks, and thresholds over all phases.
    Run,
    /// The Auto Scaling group or ECS service under test.
    Group,
    /// One phase of the scenario, by its name.
    Phase(String),
}

/// An expectation, with the limits that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Expectation {
    /// A threshold, in the user's words.
    Threshold {
        /// The threshold as the scenario has it, for example `p95 < 250ms`.
        text: String,
    },
    /// Errors stay within the default of a phase for which the scenario sets no limit on them.
    ErrorsByDefault {
        /// The default, as a share of the requests from 0 to 1.
        limit_share: f64,
    },
    /// Errors of a spike stay within the default from the moment at which a new instance serves,
    /// where the scenario sets no limit on them.
    ErrorsOnceServed {
        /// The default, as a share of the requests from 0 to 1.
        limit_share: f64,
    },
    /// The group scaled out.
    ScaledOut,
    /// The first new instance was in service this soon after the breach.
    ScaleOutInTime {
        /// The bound, from the breach to the first new instance in service.
        within_s: Seconds,
    },
    /// The first instance left this soon after the load fell.
    ScaleInInTime {
        /// The bound, from the fall of the load to the first instance that leaves; absent where none
        /// could be computed.
        within_s: Option<Seconds>,
    },
    /// New instances serve at once.
    FreshInstancesServe,
    /// No request is dropped while instances leave.
    NothingDropped,
    /// No instance leaves while the load needs it.
    NoEarlyScaleIn,
    /// Latency and errors hold while the group changes its size. Under a load that is not ours there
    /// are no limits.
    HoldsWhileScaling {
        /// The limit of p95; absent where the scenario has none.
        p95_s: Option<Seconds>,
        /// The limit of failed requests, from 0 to 1; absent where the scenario has none.
        errors_share: Option<f64>,
    },
    /// The target was back within its limits at the end of each spike.
    SpikeSurvived,
    /// The target holds at its maximum size.
    HoldsAtMaximum,
    /// The group was not pinned at its maximum.
    NotPinnedAtMaximum,
    /// The group does not grow and shrink by turns under one load.
    NoFlapping,
    /// Too few instances for less than this share of the time.
    UnderProvisioned {
        /// The limit, as a share of the time from 0 to 1.
        share: f64,
    },
    /// Excess instance-minutes are less than this share of those paid for.
    OverProvisioned {
        /// The limit, as a share of the paid instance-minutes from 0 to 1.
        share: f64,
    },
    /// Under-provisioned and over-provisioned time, under a load that is not ours.
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
    /// Nearly all requests that the group's load balancer counted were sent by this run.
    LoadOurs,
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

/// The measured figures.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Measured {
    /// Nothing could be measured.
    Nothing,
    /// `at_start` where the group grew back to what it had been at the start.
    Sizes {
        /// Desired capacity when the load began; with `at_start`, before the first scale-out.
        from: u32,
        /// Highest desired capacity; with `at_start`, that of the first scale-out.
        to: u32,
        /// Desired capacity when the load began; `None` where `from` is that.
        at_start: Option<u32>,
    },
    /// How long it took.
    Took {
        /// The time that the expectation has a bound for.
        took_s: Seconds,
    },
    /// When the group was found gone.
    Gone {
        /// When a poll found that the group was gone.
        #[schemars(with = "String", extend("format" = "date-time"))]
        at: Timestamp,
    },
    /// How far the clocks are apart.
    ClocksApart {
        /// The difference between the clock of this machine and that of AWS, without its sign.
        apart_s: Seconds,
    },
    /// New instances that were terminated before they served.
    NeverServed {
        /// How many were terminated before they served.
        instances: u64,
    },
    /// Errors among the answers of new instances.
    NewInstances {
        /// Errors among `answers`.
        errors: u64,
        /// Answers that named a new instance in their header.
        answers: u64,
        /// New instances that answered.
        instances: u64,
    },
    /// Errors among all requests while instances were new.
    WhileNew {
        /// Errors in the seconds in which an instance was new.
        errors: u64,
        /// All requests in those seconds.
        requests: u64,
    },
    /// Requests that were dropped, of all while instances left.
    Dropped {
        /// Requests cut off, refused or answered 5xx.
        requests: u64,
        /// All requests in the seconds in which instances left.
        of: u64,
        /// Those of `of` that were sent again, since their kept connection was closed.
        #[serde(default, skip_serializing_if = "is_zero")]
        sent_again: u64,
    },
    /// The load balancer's counts while instances left.
    DroppedByBalancer {
        /// Answers with status 502 of the load balancer itself.
        gateway_errors: f64,
        /// Failed connections from the load balancer to a target.
        connection_errors: f64,
        /// All requests that the load balancer counted in the same periods.
        requests: f64,
    },
    /// Instances that left under the highest load so far, and how the target answered meanwhile.
    LeftEarly {
        /// Instances that left too early.
        instances: u64,
        /// The answers while that load stayed.
        answered: Answered,
    },
    /// How the target answered while the group scaled out.
    WhileScaling {
        /// The answers from each breach until all that it launched served.
        answered: Answered,
    },
    /// How the target answered in the last seconds of a spike.
    AtSpikeEnd {
        /// The name of the spike's first phase.
        spike: String,
        /// The answers in the last fifth of it, 3 to 10 seconds; with few requests in more of it.
        answered: Answered,
    },
    /// Turns between growing and shrinking, among all changes of size.
    Turns {
        /// Pairs of opposite changes that follow each other closely.
        turns: u64,
        /// All changes of the desired capacity.
        changes: u64,
    },
    /// For how long the group could not grow, and how it answered in a spike and besides.
    Pinned {
        /// The group's maximum size.
        maximum: u32,
        /// Seconds at the maximum while an alarm asked for more.
        seconds: u64,
        /// The answers at the maximum in a spike; `None` where there were none.
        in_spike: Option<AtMaximum>,
        /// The answers at the maximum outside spikes; `None` where there were none.
        besides: Option<AtMaximum>,
    },
    /// Seconds at the maximum while an alarm asked for more.
    PinnedWhileAlarmed {
        /// The group's maximum size.
        maximum: u32,
        /// Seconds at the maximum while an alarm asked for more.
        seconds: u64,
    },
    /// The share of the time with too few instances, and how many were missing on average.
    TooFewInstances {
        /// The share of the time with too few instances, from 0 to 1.
        time_share: f64,
        /// Instances that were missing, averaged over the whole load.
        missing_instances: f64,
    },
    /// Excess instance-minutes as a share of those paid for.
    ExcessInstanceMinutes {
        /// The excess as a share of `paid_minutes`, from 0 to 1.
        share: f64,
        /// Instance-minutes that the group had, starting and leaving instances included.
        paid_minutes: f64,
        /// The cost of the excess; `None` where the instance type has no list price here.
        cost: Option<Cost>,
    },
    /// The value of a threshold's metric; in JSON it has that metric's `id`.
    #[from]
    #[serde(untagged)]
    Metric(MetricValue),
    /// Figures of the run as a whole; in JSON they have their own `id`.
    #[from]
    #[serde(untagged)]
    Run(RunFigures),
}

/// The value of a threshold's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum MetricValue {
    /// A latency percentile.
    Percentile {
        /// The percentile, for example 95.
        percentile: f64,
        /// Its latency in microseconds, from the intended start.
        value_us: f64,
    },
    /// The mean latency.
    Mean {
        /// In microseconds, from the intended start.
        value_us: f64,
    },
    /// The longest latency.
    Max {
        /// In microseconds, from the intended start.
        value_us: f64,
    },
    /// The share of requests that failed.
    Errors {
        /// `errors` of `requests`, from 0 to 1.
        share: f64,
        /// Failed requests.
        errors: u64,
        /// All requests.
        requests: u64,
    },
    /// The share of checks that held, and how many failed.
    Checks {
        /// The share of checks that held, from 0 to 1.
        share: f64,
        /// Checks that did not hold.
        failed: u64,
        /// All checks.
        checks: u64,
    },
    /// Requests answered per second.
    Rate {
        /// The mean over the phase or window.
        per_second: f64,
    },
}

/// The cost of instance-minutes, at a list price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// At the on-demand list price of us-east-1.
    pub usd: Usd,
    /// The month of the price list.
    pub prices_of: String,
}

/// A cause other than its policies that changed the group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum OtherCause {
    /// A change of size that no alarm asked for.
    NoAlarm {
        /// Desired capacity before the change.
        from: u32,
        /// Desired capacity after the change.
        to: u32,
        /// When the change was decided.
        #[schemars(with = "String", extend("format" = "date-time"))]
        at: Timestamp,
    },
    /// An instance refresh or a deployment was under way.
    Refresh {
        /// Its kind and state, in a short sentence.
        text: String,
    },
    /// A scheduled action was due during the run.
    ScheduledAction {
        /// The name of the scheduled action.
        name: String,
    },
    /// A predictive policy scales by its own forecast.
    PredictivePolicy {
        /// The name of the policy.
        name: String,
    },
}

/// A new instance that answered worse than the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum WorseInstance {
    /// It answered with more errors than the others.
    Errors {
        /// The instance's id.
        instance: String,
        /// Errors among its answers, from 0 to 1.
        share: f64,
    },
    /// It answered more slowly than the others.
    Slow {
        /// The instance's id.
        instance: String,
        /// Its own 95th percentile.
        p95_s: Seconds,
        /// The p95 of the others; `None` where no other instance answered.
        others_p95_s: Option<Seconds>,
    },
}

/// The part of scaling in that the group's own settings take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unavoidable {
    /// The setting that takes the time.
    pub waits_for: WaitReason,
    /// How long that setting alone takes.
    pub takes_s: Seconds,
}

/// The moment from which the time to scale in was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CountedFrom {
    /// The end of the spike, by the plan.
    EndOfSpike,
    /// The first low datapoint of the alarm for less, where the load is not ours.
    FirstLowDatapoint,
}

/// How high an alarm's metric came while limits were missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricReach {
    /// The metric's name; the alarm's, where it has none.
    pub metric: String,
    /// Its highest datapoint; `null` where there is none.
    pub highest: Option<f64>,
    /// The alarm's threshold; `null` for an anomaly band.
    pub threshold: Option<f64>,
    /// True if that datapoint breached: then too few others did.
    pub reached: bool,
}

/// The highest value of a policy's metric under the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricPeak {
    /// The metric's name.
    pub metric: String,
    /// Its highest value, in the metric's own unit.
    pub value: f64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
