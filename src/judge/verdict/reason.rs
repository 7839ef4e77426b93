//! Reasons: why an expectation is not passed, or the basis of the judgement.

mod chain;

pub use chain::{LeavingReason, NewInstanceReason, ScaleInReason, ScaleOutReason};

use derive_more::From;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::OtherCause;
use super::thresholds::Abort;
use evidence::capacity::CapacityReason;
use evidence::{NotCounted, Suspect};
use model::limits::ReachedLimit;
use model::measure::{Failure, Stretch};
use model::scenario::{ThresholdMetric, ThresholdOperator};
use model::units::Seconds;

/// A reason. In JSON it is an object with an `id` in kebab case, without the name of its group.
#[derive(Debug, Clone, PartialEq, From, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reason {
    /// Reason for the judgement on a threshold.
    Threshold(ThresholdReason),
    /// Reason for the judgement on a scale-out.
    ScaleOut(ScaleOutReason),
    /// Reason for the judgement on a scale-in.
    ScaleIn(ScaleInReason),
    /// Reason for the judgement on new instances.
    NewInstance(NewInstanceReason),
    /// Reason for the judgement on instances that left.
    Leaving(LeavingReason),
    /// Reason for the judgement on the target while the group scaled, or on flapping.
    Scaling(ScalingReason),
    /// Reason for the judgement on the end of a spike.
    Survival(SurvivalReason),
    /// Reason for the judgement on the group's size.
    Size(SizeReason),
    /// Reason for the judgement on the run's validity.
    Validity(ValidityReason),
    /// Reason for the doubt on a judgement on the group.
    Doubt(DoubtReason),
}

/// The reason why a threshold holds or fails.
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
        /// The limit in microseconds, in requests per second, or as a share, depending on the
        /// metric.
        limit: f64,
    },
    /// No request ended in the phase or window.
    NoRequestEnded,
    /// Not one request was answered, so there is no latency.
    NoneAnswered {
        /// Requests that were sent and failed.
        requests: u64,
    },
    /// The percentile needs more samples than there are.
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
        /// Number of windows that were judged.
        windows: u32,
        /// The length of a window.
        window_s: Seconds,
    },
    /// The reason comes from the first of the worst windows.
    InWindow {
        /// Start of the window, in seconds from the start of the load.
        from_s: u32,
        /// End of the window, in seconds from the start of the load.
        to_s: u32,
        /// The reason as it holds for this window.
        reason: Box<ThresholdReason>,
    },
    /// The reason says nothing of the target, because the generator was saturated.
    GeneratorSaturated {
        /// The reason as it would be without the saturation.
        reason: Box<ThresholdReason>,
        /// Seconds of the phase, or of the run, that the saturation may have changed.
        #[serde(default)]
        saturated_s: u64,
        /// All seconds of the phase or run.
        #[serde(default)]
        of_s: u64,
    },
    /// The reason says nothing of the target under this load, because others sent too much load of
    /// their own.
    LoadOfOthers {
        /// The reason as it would be without the load of others.
        reason: Box<ThresholdReason>,
        /// Seconds of the phase, or of the run, that the load of others may have changed.
        changed_s: u64,
        /// All seconds of the phase or run.
        of_s: u64,
    },
}

/// The reason why a judgement on the group, which failed, says nothing of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum DoubtReason {
    /// Others sent too much load of their own.
    LoadOfOthers {
        /// The reason as it would be without the load of others.
        reason: Box<Reason>,
        /// Seconds of those judged that the load of others may have changed.
        changed_s: u64,
        /// All seconds that were judged.
        of_s: u64,
    },
}

/// The reason for the judgement on the target while the group scaled, or on flapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScalingReason {
    /// The answers are too few for a p95.
    TooFewAnswers {
        /// Their number.
        answers: u64,
    },
    /// The limits are missed only with seconds in which a generator was at its own limit.
    GeneratorSaturated,
    /// No instance that was launched ever served.
    NothingLaunchedServed,
    /// No request ended while the group scaled out.
    NoRequestWhileScaling,
    /// The seconds count from each breach until every instance launched for it served.
    FromEachBreach,
    /// The group did not grow and shrink by turns.
    NoTurns {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
        /// True if turns that the load's own plan asks for are left out.
        load_is_ours: bool,
    },
    /// The group turned once, and load that Spikeproof does not send may have asked for it.
    LoadMayHaveTurned {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
    },
    /// The group grew and shrank by turns.
    Turned {
        /// Two opposite changes within this time are a turn.
        within_s: Seconds,
        /// True if turns that the load's own plan asks for are left out.
        load_is_ours: bool,
    },
}

/// The reason for the judgement on the group's size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum SizeReason {
    /// No instance was overloaded: a larger maximum is no remedy.
    NoInstanceOverloaded {
        /// The group's maximum size.
        maximum: u32,
        /// The p95 that was asked for; `null` where none was.
        p95_s: Option<Seconds>,
    },
    /// Latency was over its limit only while a generator was at its own.
    GeneratorSaturated,
    /// Limits were missed for other reasons than the group's size.
    OtherReasons {
        /// The reasons that hold or may hold.
        suspects: Vec<Suspect>,
    },
    /// The maximum is too small for the load.
    MaximumTooSmall {
        /// The group's maximum size.
        maximum: u32,
        /// The p95 that was asked for; `null` where none was.
        p95_s: Option<Seconds>,
    },
    /// The spike was over before all instances served.
    SpikeOverBeforeAllServed,
    /// The answers at the maximum are too few for a p95.
    TooFewAnswersAtMaximum {
        /// Their number.
        answers: u64,
    },
    /// The target held its limits at its maximum.
    HeldAtMaximum {
        /// The p95 that was asked for.
        p95_s: Seconds,
    },
    /// No alarm asked for more instances while the group was at its maximum.
    NeverAskedForMore {
        /// The group's maximum size.
        maximum: u32,
    },
    /// The load is not Spikeproof's own, so it is unknown whether the target held.
    HeldAtMaximumUnknown,
    /// The load was stopped, and shares of a part of it say nothing of the whole.
    LoadStopped,
    /// The capacity of one instance is not known well enough.
    CapacityUnknown {
        /// The fault of the estimate; `null` where no second held the limit.
        estimate: Option<CapacityReason>,
    },
    /// The capacity of one instance on which the judgement rests.
    InstanceCarries {
        /// The requests per second of one instance at the latency limit.
        requests_per_second: f64,
        /// True if instances of the group's minimum are not counted as excess.
        minimum_left_out: bool,
    },
    /// The load is not Spikeproof's own.
    LoadNotOurs,
}

/// The reason for the judgement on the run's validity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ValidityReason {
    /// The group or service was deleted.
    GroupDeleted {
        /// The name of the group, or `cluster/service`.
        group: String,
        /// True if it is an ECS service.
        is_service: bool,
    },
    /// Something besides its policies moved the group.
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
    /// The task that sent the smallest share of its load.
    LeastSent {
        /// The task's slot.
        task: u32,
        /// Share of the requests asked of this task that it sent, from 0 to 1.
        share: f64,
        /// The bound that the share missed; `null` where it met the bound.
        bound: Option<f64>,
        /// Iterations of all tasks that found no unused row of the scenario's data.
        data_used_up: u64,
        /// Iterations of all tasks that were cut at the end of their grace.
        iterations_cut: u64,
    },
    /// No request was answered, and nothing at all was received.
    NotOneAnswer,
    /// Something was received, but not one answer was whole.
    NoWholeAnswer {
        /// The most frequent reason; `null` where none is known, such as for time-outs.
        most: Option<Failure>,
        /// Requests that failed for it.
        count: u64,
    },
    /// Requests were never sent, because a value that they need was missing.
    RequestsNeverSent,
    /// Requests were never sent, because the generators had no socket for them.
    NoSockets,
    /// The generators reported no figures on their own load.
    GeneratorsSilent,
    /// The generators could not start every iteration.
    IterationsNotStarted {
        /// Iterations that no generator could start.
        dropped: u64,
        /// Iterations that the plan asked for.
        asked: u64,
    },
    /// Generators were saturated in some stretches of the run.
    Saturated {
        /// The stretches in order, each with its tasks and its reason.
        stretches: Vec<Stretch>,
        /// The start of the load; `null` where it is not known.
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        started: Option<Timestamp>,
    },
    /// The generators kept up.
    KeptUp,
    /// Generators were saturated for too short a time to matter.
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
    /// Nearly all load was sent by this run.
    NearlyAllOurs,
    /// Others sent a part of the load, too little to change verdicts and advice.
    SomeOthers {
        /// The share of others up to which verdicts and advice hold, from 0 to 1.
        bound_share: f64,
    },
    /// Others sent so much of the load that verdicts and advice may be wrong.
    TooManyOthers {
        /// The share of others up to which verdicts and advice hold, from 0 to 1.
        bound_share: f64,
    },
    /// The load of others is not known.
    OthersNotCounted {
        /// Why it could not be counted.
        why: NotCounted,
    },
    /// The load of others is not known, because a part of our own results is missing.
    OthersBesideMissing,
    /// Some intervals, ends or tasks are missing.
    Missing {
        /// The missing parts.
        parts: Vec<MissingPart>,
    },
}

/// The reason why the group survived a spike, or did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum SurvivalReason {
    /// The limits are missed only with seconds in which a generator was at its own limit.
    GeneratorSaturatedAtItsEnd,
    /// Latency and errors were within their limits at its end.
    WithinLimits,
    /// Too few requests ended in its last seconds.
    TooFewRequests {
        /// Their number.
        requests: u64,
    },
    /// No instance that was launched for it ever served.
    NothingNewServed,
    /// The first new instance served after the spike had ended.
    NewInstancesTooLate {
        /// Time from the end of the spike to the first new instance's service.
        after_s: Seconds,
        /// Time that an instance takes from launch to service; `null` where it was not seen.
        boot_s: Option<Seconds>,
    },
    /// New instances served before its end, and the limits were still missed.
    NewInstancesNotEnough {
        /// Time from the rise of the load to the first new instance's service.
        served_s: Seconds,
    },
}

/// A part of the results that did not arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum MissingPart {
    /// Some intervals of a task that has ended.
    Intervals {
        /// The task's slot.
        task: u32,
        /// The first interval that is missing, counted from 0.
        first: u32,
        /// The last interval that is missing.
        last: u32,
    },
    /// The seconds after a task ended before its plan did.
    Rest {
        /// The task's slot.
        task: u32,
        /// The end that the task reported.
        end: String,
    },
    /// The end message of a task, and possibly more before it.
    End {
        /// The task's slot.
        task: u32,
        /// The reason that the platform gives for its stop, if it has stopped.
        why: Option<String>,
    },
}

/// The cause for an early end of the load, or of the wait for the group after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum EndedEarly {
    /// The user stopped the run.
    Interrupted,
    /// The store took no heartbeat for too long.
    StoreSilent {
        /// Time since the last heartbeat that was written.
        silent_s: Seconds,
    },
    /// A threshold that ends the load failed.
    ThresholdFailed(Abort),
    /// A limit on time or cost is reached.
    LimitReached {
        /// The limit, with its figures.
        limit: ReachedLimit,
    },
    /// Every task had ended before the plan did.
    TasksEnded,
}
