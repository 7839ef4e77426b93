//! Why an expectation is not passed, or what it was decided from.

use derive_more::From;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::{CountedFrom, MetricPeak, OtherCause, Unavoidable, WorseInstance};
use super::thresholds::Abort;
use evidence::OpenLink;
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

/// Why the group scaled out, in time, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleOutReason {
    /// The load never started.
    LoadNeverStarted,
    /// A policy answered the load.
    PolicyAnswered,
    /// A policy answered the load before its spike, and did nothing more for the spike.
    PolicyAnsweredBeforeTheSpike,
    /// The group grew, but something besides its policies moved it.
    NotByPoliciesAlone,
    /// The group asked for instances, and every launch failed; `message` is AWS's.
    LaunchesFailed {
        /// Launch activities that failed.
        launches: u64,
        /// The status message of a failed launch; `None` where AWS gives none.
        message: Option<String>,
    },
    /// The group was at its maximum before the load.
    AtMaximumBefore {
        /// The group's maximum size.
        maximum: u32,
    },
    /// An alarm fired, and the group did not grow.
    NothingFollowedTheAlarm {
        /// When the alarm fired.
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    /// An alarm fired, and the watch ended too soon to see what followed.
    WatchEndedAfterTheAlarm {
        /// When the alarm fired.
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    /// An alarm had fired before the load, and the group did not grow.
    NothingFollowedTheEarlyAlarm {
        /// The alarm's name.
        alarm: String,
    },
    /// Whether an alarm fired is unknown, because this call failed.
    HighAlarmUnknown {
        /// The IAM action of the call.
        call: String,
    },
    /// No alarm fired: the load was too low or too short. The highest values of the policy's
    /// metrics.
    LoadTooLow {
        /// One for each metric of the policies; empty where no metric could be read.
        peaks: Vec<MetricPeak>,
    },
    /// Counted from the breach to the first new instance in service.
    BreachToInService {
        /// The alarm's datapoints times its period; `None` where the alarm is unknown.
        alarm_window_s: Option<Seconds>,
        /// CloudWatch's time to publish and evaluate; `None` where the breach is unknown.
        cloudwatch_lag_s: Option<Seconds>,
    },
    /// No new instance was in service by the end of the watch.
    NotInService {
        /// How long the watch went on after the breach.
        watched_s: Seconds,
    },
    /// The alarm had fired before the load: there is no breach to count from.
    AlarmedBeforeTheLoad {
        /// The alarm's name.
        alarm: String,
    },
    /// The breach is unknown, because this call failed.
    BreachUnknown {
        /// The IAM action of the call.
        call: String,
    },
    /// A link of the reaction that leaves no breach to count from.
    NoBreach {
        /// The link, which names the alarm or the moment.
        link: OpenLink,
    },
    /// The alarm fired, but neither its history nor its metric shows the breach.
    BreachNotShown,
    /// No alarm fired under the load: something else made the group grow.
    NoAlarmFired,
}

/// Why the group scaled in, in time, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleInReason {
    /// Every policy has scale-in disabled.
    ScaleInDisabled,
    /// The bound is made of a cooldown, and no policy with one could be read.
    CooldownUnknown,
    /// The alarms are unknown, because this call failed.
    LowAlarmUnknown {
        /// The IAM action of the call.
        call: String,
    },
    /// No alarm asks for less capacity.
    NoLowAlarm,
    /// The load was stopped before it fell.
    StoppedBeforeTheFall,
    /// The scenario has no spike that ends.
    NoSpikeEnds,
    /// The load is not ours, and no alarm asked for less after the group had grown.
    LoadMayNotHaveFallen,
    /// The alarm for less had fired before the load fell.
    LowAlarmBefore {
        /// How long before the fall it had fired.
        before_s: Seconds,
    },
    /// Counted to the first instance that left.
    FirstLeft {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
    },
    /// Met although a part of the alarm's window had passed before the fall: at most this long.
    FirstLeftAhead {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
        /// How long before the fall the metric was below the alarm's threshold.
        ahead_s: Seconds,
        /// The measured time plus `ahead_s`.
        at_most_s: Seconds,
    },
    /// Met only because, or perhaps because, a part of the alarm's window had passed before.
    FirstLeftOnlyAhead {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
        /// How long before the fall the metric was below the alarm's threshold.
        ahead_s: Seconds,
        /// The setting that alone takes longer than the bound; `None` where none does.
        otherwise: Option<Unavoidable>,
    },
    /// The group's own settings take longer than the bound.
    PolicyCannotMeetIt {
        /// The setting, and how long it takes.
        takes: Unavoidable,
    },
    /// The group was back at its size before the load fell.
    ShrankBeforeTheFall,
    /// No instance left by the end of the watch.
    NothingLeft {
        /// How long the watch went on after the fall.
        watched_s: Seconds,
        /// Every instance is protected from scale-in.
        protected: bool,
        /// The setting that alone takes longer than the bound; `None` where none does.
        takes: Option<Unavoidable>,
    },
}

/// How new instances served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum NewInstanceReason {
    /// New instances failed their health checks before they were ready.
    HealthChecksFailed {
        /// The group's health check grace period.
        grace_s: Seconds,
    },
    /// No new instance could take requests before the load ended.
    NoneServedInTime,
    /// No answer named a new instance in its header.
    HeaderNamesNoNewInstance,
    /// New instances answered worse than the others: the first, and how many more.
    Worse {
        /// The new instance that answered worse.
        first: WorseInstance,
        /// How many more did.
        more: usize,
    },
    /// The same, but no older instance was there to compare with.
    WorseWithoutComparison {
        /// The new instance that answered worse.
        first: WorseInstance,
        /// How many more did.
        more: usize,
    },
    /// Every instance was overloaded while these were new.
    AllOverloadedWhileNew {
        /// How long an instance counts as new.
        new_for_s: Seconds,
    },
    /// By the header, new instances answered no worse than the others.
    NewInstancesByHeader {
        /// How long an instance counts as new.
        new_for_s: Seconds,
        /// Seconds in which all instances were overloaded are left out.
        only_with_load_to_spare: bool,
    },
    /// Errors came while instances were new, although none was overloaded.
    ErrorsWithLoadToSpare {
        /// How long an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came only while all instances were overloaded.
    ErrorsOnlyOverloaded {
        /// How long an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came while all instances were overloaded: they may be the load's.
    ErrorsPerhapsOverloaded {
        /// How long an instance counts as new.
        new_for_s: Seconds,
    },
    /// Without a header: no errors while instances were new.
    NewInstancesInferred {
        /// How long an instance counts as new.
        new_for_s: Seconds,
    },
}

/// How leaving instances treated the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum LeavingReason {
    /// No instance left.
    NoInstanceLeft,
    /// The load had ended before the first instance left.
    LoadEndedBeforeLeaving,
    /// No request was under way while instances left.
    NoRequestWhileLeaving,
    /// No request was dropped until this long after an instance was gone.
    NoneDropped {
        /// How long after an instance was gone its requests still count.
        until_after_s: Seconds,
        /// Where some left later: when the load had ended.
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        load_ended: Option<Timestamp>,
    },
    /// Errors came while instances left, and may be the load's.
    DropsUnclear {
        /// The errors that may be drops.
        errors: u64,
        /// The load that one instance carries is known.
        capacity_known: bool,
        /// Answers named their instance in a header.
        by_header: bool,
    },
    /// Requests were dropped, by the header of the leaving instances.
    DroppedByHeader,
    /// Requests were dropped with load to spare, inferred without a header.
    DroppedInferred,
    /// By the load balancer's own counts while instances left.
    CountedByBalancer {
        /// The period of the counts; `None` stands for one minute.
        period_s: Option<Seconds>,
    },
    /// Those that left did so after the load had fallen.
    LeftAfterTheFall,
    /// The other instances carried the load.
    OthersCarriedTheLoad,
    /// A policy removed instances that the load still needed.
    TookWhatTheLoadNeeded {
        /// Instances that were launched again for the same load.
        launched_again: u64,
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
