//! Why an expectation is not passed, or what it was decided from.

mod chain;

pub use chain::{LeavingReason, NewInstanceReason, ScaleInReason, ScaleOutReason};

use derive_more::From;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::OtherCause;
use super::thresholds::Abort;
use evidence::capacity::CapacityReason;
use model::measure::Stretch;
use model::scenario::{ThresholdMetric, ThresholdOperator};
use model::units::Seconds;

/// A reason. In JSON an object with an `id` in kebab case, whichever group it is of.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reason {
    /// Of a threshold.
    Threshold(ThresholdReason),
    /// Of a scale-out.
    ScaleOut(ScaleOutReason),
    /// Of a scale-in.
    ScaleIn(ScaleInReason),
    /// Of how new instances served.
    NewInstance(NewInstanceReason),
    /// Of how leaving instances treated the load.
    Leaving(LeavingReason),
    /// Of the target while the group scaled, and of flapping.
    Scaling(ScalingReason),
    /// Of the group's size.
    Size(SizeReason),
    /// Of the run's validity.
    Validity(ValidityReason),
}

/// Why a threshold holds or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ThresholdReason {
    /// The limit held over this many requests.
    OverRequests {
        /// Requests in the phase or window.
        requests: u64,
    },
    /// The metric missed its limit.
    LimitMissed {
        /// The metric that missed it.
        metric: ThresholdMetric,
        /// The threshold's comparison of metric and limit.
        comparison: ThresholdOperator,
        /// In microseconds, requests per second, or as a share, by the metric.
        limit: f64,
    },
    /// No request ended in the phase or window.
    NoRequestEnded,
    /// Not one request was answered, so there is no latency.
    NoneAnswered {
        /// Requests that were sent and failed.
        requests: u64,
    },
    /// A percentile needs more samples.
    TooFewSamples {
        /// The percentile, for example 99.9.
        percentile: f64,
        /// Samples in the phase or window.
        samples: u64,
        /// The fewest samples that the percentile needs.
        needed: u64,
    },
    /// No check was made.
    NoCheckMade,
    /// The phase is shorter than the window of the threshold.
    WindowLongerThanPhase {
        /// The window of the threshold.
        window_s: Seconds,
    },
    /// The limit held in each window.
    InEachWindow {
        /// How many windows were judged.
        windows: u32,
        /// The length of a window.
        window_s: Seconds,
    },
    /// The first of the worst windows, in seconds from the start, and its reason.
    InWindow {
        /// The start of the window.
        from_s: u32,
        /// The end of the window.
        to_s: u32,
        /// The reason as it holds for this window.
        reason: Box<ThresholdReason>,
    },
    /// The reason says nothing of the target, because the generator was saturated.
    GeneratorSaturated {
        /// The reason as it would be without the saturation.
        reason: Box<ThresholdReason>,
    },
}

/// How the group behaved while it scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScalingReason {
    /// No instance that was launched ever served.
    NothingLaunchedServed,
    /// No request ended while the group scaled out.
    NoRequestWhileScaling,
    /// Counted from each breach until all that it launched served.
    FromEachBreach,
    /// The group did not grow and shrink by turns.
    NoTurns {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
        /// Turns that the load's own plan asks for are left out.
        load_is_ours: bool,
    },
    /// It turned once, which a load that is not ours may have asked for.
    LoadMayHaveTurned {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
    },
    /// The group grew and shrank by turns.
    Turned {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
        /// Turns that the load's own plan asks for are left out.
        load_is_ours: bool,
    },
}

/// Whether the group had the right size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum SizeReason {
    /// No instance was overloaded: a larger maximum is no remedy.
    NoInstanceOverloaded {
        /// The group's maximum size.
        maximum: u32,
        /// The p95 that was asked for; `None` where none was.
        p95_s: Option<Seconds>,
    },
    /// The maximum is too small for the load.
    MaximumTooSmall {
        /// The group's maximum size.
        maximum: u32,
        /// The p95 that was asked for; `None` where none was.
        p95_s: Option<Seconds>,
    },
    /// The spike was over before all instances served.
    SpikeOverBeforeAllServed,
    /// The target held its limits at its maximum.
    HeldAtMaximum {
        /// The p95 that was asked for.
        p95_s: Seconds,
    },
    /// No alarm asked for more at the maximum.
    NeverAskedForMore {
        /// The group's maximum size.
        maximum: u32,
    },
    /// Whether the target held is unknown, because the load is not ours.
    HeldAtMaximumUnknown,
    /// The load was stopped: shares of a part say nothing of the whole.
    LoadStopped,
    /// The capacity of one instance is not known well enough.
    CapacityUnknown {
        /// How the estimate failed; `None` where no second held the limit.
        estimate: Option<CapacityReason>,
    },
    /// The capacity of one instance that this rests on.
    InstanceCarries {
        /// The requests per second of one instance at the latency limit.
        requests_per_second: f64,
        /// Instances of the group's minimum are not counted as excess.
        minimum_left_out: bool,
    },
    /// The load is not ours.
    LoadNotOurs,
}

/// Whether the figures are the target's, and the group's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ValidityReason {
    /// The group or service was deleted.
    GroupDeleted {
        /// The name of the group, or `cluster/service`.
        group: String,
        /// It is an ECS service.
        is_service: bool,
    },
    /// These moved the group besides its policies.
    OtherCauses {
        /// Each cause that was found; never empty.
        causes: Vec<OtherCause>,
    },
    /// This machine's clock differs from AWS's.
    ClocksDiffer,
    /// The group was out of sight for too long.
    OutOfSightTooLong,
    /// The gaps in the watch hide nothing.
    SeenEnough,
    /// The generators did not report how much they sent.
    GeneratorsSilentOnLoad,
    /// The task that sent least.
    LeastSent {
        /// The task's slot.
        task: u32,
        /// Requests that this task sent of those asked of it, from 0 to 1.
        share: f64,
        /// The bound that it missed, if it did.
        bound: Option<f64>,
        /// Iterations of all tasks that found the scenario's data used up.
        data_used_up: u64,
        /// Iterations of all tasks that were cut at the end of their grace.
        iterations_cut: u64,
    },
    /// No request was answered.
    NotOneAnswer,
    /// Requests were never sent, because a value that they need was missing.
    RequestsNeverSent,
    /// The generators reported nothing of themselves.
    GeneratorsSilent,
    /// The generators could not start every iteration.
    IterationsNotStarted {
        /// Iterations that no generator could start.
        dropped: u64,
        /// Iterations that the plan asked for.
        asked: u64,
    },
    /// Generators were saturated in these stretches.
    Saturated {
        /// In order, each with its tasks and its reason.
        stretches: Vec<Stretch>,
        /// The start of the load; `None` where it is not known.
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        started: Option<Timestamp>,
    },
    /// The generators kept up.
    KeptUp,
    /// Generators were saturated for too short to matter.
    SaturatedBriefly {
        /// Seconds in which a generator was saturated.
        saturated_s: usize,
        /// Seconds that the generators reported.
        of_s: usize,
    },
    /// The plan was carried out.
    CarriedOut,
    /// The load ended early.
    EndedEarly {
        /// The reason for the stop.
        cause: EndedEarly,
    },
    /// No task reported anything.
    NothingReported,
    /// Every interval of every task arrived.
    EverythingArrived,
    /// These intervals, ends or tasks are missing.
    Missing {
        /// Their names, in words.
        parts: Vec<String>,
    },
}

/// Why the load, or the wait for the group after it, ended before its plan did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum EndedEarly {
    /// The user stopped the run.
    Interrupted,
    /// The store took no heartbeat for this long.
    StoreSilent {
        /// Time without a heartbeat that was written.
        silent_s: Seconds,
    },
    /// A threshold that ends the load failed.
    ThresholdFailed(Abort),
    /// A limit on time or cost is reached; `limit` names it with its figures.
    LimitReached {
        /// The limit in words, with its figures.
        limit: String,
    },
    /// Every task had ended before the plan did.
    TasksEnded,
}
