//! Why an expectation is not passed, or what it was decided from.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::{CountedFrom, MetricPeak, OtherCause, Unavoidable, WorseInstance};
use crate::evidence::OpenLink;
use crate::measure::Stretch;
use crate::scenario::{ThresholdMetric, ThresholdOperator};
use crate::units::Seconds;

/// A reason. In JSON an object with an `id` in kebab case, whichever group it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reason {
    Threshold(ThresholdReason),
    ScaleOut(ScaleOutReason),
    ScaleIn(ScaleInReason),
    NewInstance(NewInstanceReason),
    Leaving(LeavingReason),
    Scaling(ScalingReason),
    Size(SizeReason),
    Validity(ValidityReason),
}

impl From<ThresholdReason> for Reason {
    fn from(reason: ThresholdReason) -> Self {
        Self::Threshold(reason)
    }
}

impl From<ScaleOutReason> for Reason {
    fn from(reason: ScaleOutReason) -> Self {
        Self::ScaleOut(reason)
    }
}

impl From<ScaleInReason> for Reason {
    fn from(reason: ScaleInReason) -> Self {
        Self::ScaleIn(reason)
    }
}

impl From<NewInstanceReason> for Reason {
    fn from(reason: NewInstanceReason) -> Self {
        Self::NewInstance(reason)
    }
}

impl From<LeavingReason> for Reason {
    fn from(reason: LeavingReason) -> Self {
        Self::Leaving(reason)
    }
}

impl From<ScalingReason> for Reason {
    fn from(reason: ScalingReason) -> Self {
        Self::Scaling(reason)
    }
}

impl From<SizeReason> for Reason {
    fn from(reason: SizeReason) -> Self {
        Self::Size(reason)
    }
}

impl From<ValidityReason> for Reason {
    fn from(reason: ValidityReason) -> Self {
        Self::Validity(reason)
    }
}

/// Why a threshold holds or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ThresholdReason {
    OverRequests {
        requests: u64,
    },
    LimitMissed {
        metric: ThresholdMetric,
        comparison: ThresholdOperator,
        /// In microseconds, requests per second, or as a share, by the metric.
        limit: f64,
    },
    NoRequestEnded,
    NoneAnswered {
        requests: u64,
    },
    TooFewSamples {
        percentile: f64,
        samples: u64,
        needed: u64,
    },
    NoCheckMade,
    WindowLongerThanPhase {
        window_s: Seconds,
    },
    InEachWindow {
        windows: u32,
        window_s: Seconds,
    },
    InWindow {
        from_s: u32,
        to_s: u32,
        reason: Box<ThresholdReason>,
    },
    /// The reason says nothing of the target, because the generator was saturated.
    GeneratorSaturated {
        reason: Box<ThresholdReason>,
    },
}

/// Why the group scaled out, in time, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleOutReason {
    LoadNeverStarted,
    PolicyAnswered,
    PolicyAnsweredBeforeTheSpike,
    NotByPoliciesAlone,
    LaunchesFailed {
        launches: u64,
        message: Option<String>,
    },
    AtMaximumBefore {
        maximum: u32,
    },
    NothingFollowedTheAlarm {
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    WatchEndedAfterTheAlarm {
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    NothingFollowedTheEarlyAlarm {
        alarm: String,
    },
    AlarmUnknown {
        call: String,
    },
    LoadTooLow {
        peaks: Vec<MetricPeak>,
    },
    BreachToInService {
        alarm_window_s: Option<Seconds>,
        cloudwatch_lag_s: Option<Seconds>,
    },
    NotInService {
        watched_s: Seconds,
    },
    AlarmedBeforeTheLoad {
        alarm: String,
    },
    BreachUnknown {
        call: String,
    },
    /// A link of the reaction that leaves no breach to count from.
    NoBreach {
        link: OpenLink,
    },
    BreachNotShown,
    NoAlarmFired,
}

/// Why the group scaled in, in time, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleInReason {
    ScaleInDisabled,
    CooldownUnknown,
    AlarmsUnknown {
        call: String,
    },
    NoLowAlarm,
    StoppedBeforeTheFall,
    NoSpikeEnds,
    LoadMayNotHaveFallen,
    LowAlarmBefore {
        before_s: Seconds,
    },
    FirstLeft {
        counted_from: CountedFrom,
    },
    /// Met although a part of the alarm's window had passed before the fall: at most this long.
    FirstLeftAhead {
        counted_from: CountedFrom,
        ahead_s: Seconds,
        at_most_s: Seconds,
    },
    /// Met only because, or perhaps because, a part of the alarm's window had passed before.
    FirstLeftOnlyAhead {
        counted_from: CountedFrom,
        ahead_s: Seconds,
        otherwise: Option<Unavoidable>,
    },
    PolicyCannotMeetIt {
        takes: Unavoidable,
    },
    ShrankBeforeTheFall,
    NothingLeft {
        watched_s: Seconds,
        protected: bool,
        takes: Option<Unavoidable>,
    },
}

/// How new instances served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum NewInstanceReason {
    HealthChecksFailed {
        grace_s: Seconds,
    },
    NoneServedInTime,
    HeaderNamesNoNewInstance,
    Worse {
        first: WorseInstance,
        more: usize,
    },
    WorseWithoutComparison {
        first: WorseInstance,
        more: usize,
    },
    AllOverloadedWhileNew {
        new_for_s: Seconds,
    },
    NewInstancesByHeader {
        new_for_s: Seconds,
        only_with_load_to_spare: bool,
    },
    ErrorsWithLoadToSpare {
        new_for_s: Seconds,
    },
    ErrorsOnlyOverloaded {
        new_for_s: Seconds,
    },
    ErrorsPerhapsOverloaded {
        new_for_s: Seconds,
    },
    NewInstancesInferred {
        new_for_s: Seconds,
    },
}

/// How leaving instances treated the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum LeavingReason {
    NoInstanceLeft,
    LoadEndedBeforeLeaving,
    NoRequestWhileLeaving,
    NoneDropped {
        until_after_s: Seconds,
        /// Where some left later: when the load had ended.
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        load_ended: Option<Timestamp>,
    },
    DropsUnclear {
        errors: u64,
        capacity_known: bool,
        by_header: bool,
    },
    DroppedByHeader,
    DroppedInferred,
    DroppedByBalancer {
        period_s: Option<Seconds>,
    },
    LeftAfterTheFall,
    OthersCarriedTheLoad,
    TookWhatTheLoadNeeded {
        launched_again: u64,
    },
}

/// How the group behaved while it scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScalingReason {
    NothingLaunchedServed,
    NoRequestWhileScaling,
    FromEachBreach,
    NoTurns {
        within_s: Seconds,
        load_is_ours: bool,
    },
    LoadMayHaveTurned {
        within_s: Seconds,
    },
    Turned {
        within_s: Seconds,
        load_is_ours: bool,
    },
}

/// Whether the group had the right size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum SizeReason {
    NoInstanceOverloaded {
        maximum: u32,
        p95_s: Option<Seconds>,
    },
    MaximumTooSmall {
        maximum: u32,
        p95_s: Option<Seconds>,
    },
    SpikeOverBeforeAllServed,
    HeldAtMaximum {
        p95_s: Seconds,
    },
    NeverAskedForMore {
        maximum: u32,
    },
    HeldAtMaximumUnknown,
    LoadStopped,
    CapacityUnknown {
        because: String,
    },
    InstanceCarries {
        requests_per_second: f64,
        minimum_left_out: bool,
    },
    LoadNotOurs,
}

/// Whether the figures are the target's, and the group's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ValidityReason {
    GroupDeleted {
        group: String,
        is_service: bool,
    },
    OtherCauses {
        causes: Vec<OtherCause>,
    },
    ClocksDiffer,
    OutOfSightTooLong,
    SeenEnough,
    GeneratorsSilentOnLoad,
    LeastSent {
        task: u32,
        share: f64,
        /// The bound that it missed, if it did.
        bound: Option<f64>,
        data_used_up: u64,
        iterations_cut: u64,
    },
    NotOneAnswer,
    RequestsNeverSent,
    GeneratorsSilent,
    IterationsNotStarted {
        dropped: u64,
        asked: u64,
    },
    Saturated {
        stretches: Vec<Stretch>,
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        started: Option<Timestamp>,
    },
    KeptUp,
    SaturatedBriefly {
        saturated_s: usize,
        of_s: usize,
    },
    CarriedOut,
    EndedEarly {
        why: String,
    },
    NothingReported,
    EverythingArrived,
    Missing {
        parts: Vec<String>,
    },
}
