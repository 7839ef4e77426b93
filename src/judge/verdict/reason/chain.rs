//! Reasons for the judgements on scale-out, scale-in, new instances and leaving instances.

use crate::verdict::ShortDraining;
use crate::verdict::finding::{CountedFrom, MetricPeak, MetricReach, Unavoidable, WorseInstance};
use evidence::OpenLink;
use evidence::timeline::NotScaled;
use jiff::Timestamp;
use model::units::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reason for the judgement on a scale-out or its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleOutReason {
    /// The load never started.
    LoadNeverStarted,
    /// A policy answered the load.
    PolicyAnswered,
    /// A policy answered the load before its spike, and did nothing more for the spike.
    PolicyAnsweredBeforeTheSpike,
    /// A policy answered the load, and in these later spikes no alarm asked for more than the
    /// instances that were still there.
    PolicyAnsweredAtFirst {
        /// The names of the spikes.
        spikes: Vec<String>,
    },
    /// The group grew, but something besides its policies moved it.
    NotByPoliciesAlone,
    /// The group grew, but no alarm asked for it: what its policies would have done was not seen.
    NotByItsPolicies,
    /// The group asked for instances, and every launch failed.
    LaunchesFailed {
        /// Launch activities that failed.
        launches: u64,
        /// The status message of a failed launch, as AWS gives it; `null` where AWS gives none.
        message: Option<String>,
    },
    /// Launches failed, and the group never had the instances that it wanted.
    NeverReached {
        /// Launches that failed.
        failed: u32,
        /// All launches.
        of: u32,
        /// The highest desired capacity.
        wanted: u32,
        /// The most instances that served.
        most: u32,
        /// The status message of a failed launch, as AWS gives it; `null` where AWS gives none.
        message: Option<String>,
    },
    /// Limits were missed, and the policy's metric stayed below its alarm's threshold.
    MetricDoesNotSeeTheLoad {
        /// Name of the metric.
        metric: String,
        /// Its highest datapoint while limits were missed.
        highest: f64,
        /// The threshold of the alarm.
        threshold: f64,
        /// True if the run does not show that more instances would have helped.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        open: bool,
    },
    /// Limits were missed for as long as the alarm needs, and it did not fire.
    ThresholdNotReached {
        /// Time from the first to the last second of the spike that missed a limit.
        missed_s: Seconds,
        /// The metric of each alarm that asks for more; empty where none does.
        metrics: Vec<MetricReach>,
        /// True if the run does not show that more instances would have helped.
        open: bool,
    },
    /// Limits were missed for a shorter time than the alarm needs.
    ShorterThanTheAlarm {
        /// Time from the first to the last second of the spike that missed a limit.
        missed_s: Seconds,
        /// The shortest window of an alarm that asks for more.
        window_s: Seconds,
    },
    /// No alarm fired, and limits were missed only for other reasons than too few instances, or
    /// perhaps so.
    MissedForOtherReasons,
    /// The group was at its maximum before the load.
    AtMaximumBefore {
        /// The group's maximum size.
        maximum: u32,
    },
    /// An alarm asked the service for more, and Application Auto Scaling left it as it was.
    NotScaled {
        /// Its reason.
        why: NotScaled,
        /// The time when it was asked.
        #[schemars(with = "String", extend("format" = "date-time"))]
        asked_at: Timestamp,
    },
    /// An alarm fired, and the group did not grow.
    NothingFollowedTheAlarm {
        /// The time when the alarm fired.
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    /// An alarm fired, and the watch ended too soon to see what followed.
    WatchEndedAfterTheAlarm {
        /// The time when the alarm fired.
        #[schemars(with = "String", extend("format" = "date-time"))]
        alarm_at: Timestamp,
    },
    /// An alarm had fired before the load, and the group did not grow.
    NothingFollowedTheEarlyAlarm {
        /// The alarm's name.
        alarm: String,
    },
    /// A call failed, so it is unknown whether an alarm fired.
    HighAlarmUnknown {
        /// The IAM action of the call.
        call: String,
    },
    /// No alarm fired: the load was too low or too short. Carries the highest values of the
    /// policies' metrics.
    LoadTooLow {
        /// One peak for each metric of the policies; empty where no metric could be read.
        peaks: Vec<MetricPeak>,
    },
    /// The time counts from the breach to the first new instance in service.
    BreachToInService {
        /// The alarm's datapoints times its period; `null` where the alarm is unknown.
        alarm_window_s: Option<Seconds>,
        /// CloudWatch's time to publish and evaluate the datapoints; `null` where the breach is
        /// unknown.
        cloudwatch_lag_s: Option<Seconds>,
    },
    /// No new instance was in service by the end of the watch.
    NotInService {
        /// Time from the breach to the last look at the group.
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
    /// A link of the reaction is open, so there is no breach to count from.
    NoBreach {
        /// The open link, which names the alarm or the moment.
        link: OpenLink,
    },
    /// The alarm fired, but neither its history nor its metric shows the breach.
    BreachNotShown,
    /// No alarm fired under the load: something else made the group grow.
    NoAlarmFired,
}

/// The reason for the judgement on a scale-in or its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ScaleInReason {
    /// Every policy has scale-in disabled.
    ScaleInDisabled,
    /// The bound depends on a cooldown, and no policy with a cooldown could be read.
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
    /// The load is not Spikeproof's own, and no alarm asked for less after the group had grown.
    LoadMayNotHaveFallen,
    /// The low alarm had fired before the load fell.
    LowAlarmBefore {
        /// Time from the low alarm to the fall of the load.
        before_s: Seconds,
    },
    /// The time counts to the first instance that left.
    FirstLeft {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
    },
    /// The bound is met, although a part of the alarm's window had passed before the load fell.
    /// `at_most_s` holds without that head start.
    FirstLeftAhead {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
        /// Time before the fall of the load in which the metric was already below the alarm's
        /// threshold.
        ahead_s: Seconds,
        /// The measured time plus `ahead_s`.
        at_most_s: Seconds,
    },
    /// The bound is met, but may be met only because a part of the alarm's window had passed
    /// before.
    FirstLeftOnlyAhead {
        /// The moment that the time was counted from.
        counted_from: CountedFrom,
        /// Time before the fall of the load in which the metric was already below the alarm's
        /// threshold.
        ahead_s: Seconds,
        /// The setting that alone takes longer than the bound; `null` where none does.
        otherwise: Option<Unavoidable>,
    },
    /// One of the group's own settings alone takes longer than the bound.
    PolicyCannotMeetIt {
        /// The setting, and the time that it takes.
        takes: Unavoidable,
    },
    /// The group was back at its size before the load fell.
    ShrankBeforeTheFall,
    /// No instance left by the end of the watch.
    NothingLeft {
        /// Time from the fall of the load to the last look at the group.
        watched_s: Seconds,
        /// Every instance is protected from scale-in.
        protected: bool,
        /// The setting that alone takes longer than the bound; `null` where none does.
        takes: Option<Unavoidable>,
    },
}

/// The reason for the judgement on new instances.
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
    /// Latency grew when new instances began to serve, and no header tells whether it was theirs.
    PerhapsCold {
        /// Number of such seconds.
        seconds: u32,
    },
    /// New instances answered worse than the others did.
    Worse {
        /// The first new instance that answered worse.
        first: WorseInstance,
        /// Number of further instances that answered worse.
        more: usize,
    },
    /// New instances answered worse than the limit, and no older instance was there to compare
    /// with.
    WorseWithoutComparison {
        /// The first new instance that answered worse.
        first: WorseInstance,
        /// Number of further instances that answered worse.
        more: usize,
    },
    /// Every instance was overloaded while these were new.
    AllOverloadedWhileNew {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// New instances have too few answers for a p95, each by itself and all together; or all
    /// together they are worse than the others, and no single one can be named.
    TooFewAnswersOfNewInstances {
        /// Answers of all new instances while they were new.
        answers: u64,
    },
    /// New instances answered no worse than the others, as the instance header shows.
    NewInstancesByHeader {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
        /// True if seconds in which all instances were overloaded are left out.
        only_with_load_to_spare: bool,
    },
    /// Errors came while instances were new, although the instances were not overloaded.
    ErrorsWithLoadToSpare {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came only while all instances were overloaded.
    ErrorsOnlyOverloaded {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came while instances were new, and overload may be the cause.
    ErrorsPerhapsOverloaded {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came while instances were new, only in seconds that overload explains, or a fault of
    /// older instances or of something shared.
    ErrorsOnlyElsewhere {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// Errors came while instances were new, in seconds that a fault of older instances may explain.
    ErrorsPerhapsElsewhere {
        /// Number of such seconds.
        seconds: u32,
    },
    /// No errors came while instances were new, and p95 of each is within the limit, whichever
    /// instance gave the slow answers. No header names the instance of an answer.
    NewInstancesInferred {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
    },
    /// Answers were slow while an instance was new, and its p95 may be over the limit. No header
    /// names the instance of an answer.
    SlowPerhapsNew {
        /// Time in service for which an instance counts as new.
        new_for_s: Seconds,
        /// The limit of p95.
        limit_s: Seconds,
        /// Share of all answers that took longer, from 0 to 1.
        slow_share: f64,
    },
    /// New instances were slow only with seconds in which a generator was at its own limit.
    GeneratorSaturated,
}

/// The reason for the judgement on instances that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum LeavingReason {
    /// No instance left.
    NoInstanceLeft,
    /// The load had ended before the first instance left.
    LoadEndedBeforeLeaving,
    /// No request was under way while instances left.
    NoRequestWhileLeaving,
    /// No request was dropped from the start of a leaving to `until_after_s` after its end.
    NoneDropped {
        /// Time after an instance was gone in which errors still count as its own.
        until_after_s: Seconds,
        /// The end of the load, where an instance left after it; `null` where none did.
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        load_ended: Option<Timestamp>,
        /// Both times, where a target group drains for less time than the longest request takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        short: Option<ShortDraining>,
    },
    /// Errors came while instances left, but the load itself may be the cause.
    DropsUnclear {
        /// Number of errors that may be drops.
        errors: u64,
        /// True if the load that one instance carries is known.
        capacity_known: bool,
        /// True if answers named their instance in a header.
        by_header: bool,
    },
    /// Requests were dropped, and answers named their instance in a header.
    DroppedByHeader {
        /// Both times, where a target group drains for less time than the longest request takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        short: Option<ShortDraining>,
    },
    /// Requests were dropped while no instance was overloaded; inferred without an instance header.
    DroppedInferred {
        /// Both times, where a target group drains for less time than the longest request takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        short: Option<ShortDraining>,
    },
    /// The load balancer's own metrics counted the errors while instances left.
    CountedByBalancer {
        /// The period of the metrics; `null` stands for one minute.
        period_s: Option<Seconds>,
    },
    /// The instances that left did so only after the load had fallen.
    LeftAfterTheFall,
    /// The other instances carried the load.
    OthersCarriedTheLoad,
    /// Limits were missed meanwhile, for another reason than too few instances.
    OtherReasons,
    /// Latency was over its limit meanwhile only while a generator was at its own.
    GeneratorSaturated,
    /// The answers after they left are too few for a p95.
    TooFewAnswersWithoutThem {
        /// Their number.
        answers: u64,
    },
    /// A policy removed instances that the load still needed.
    TookWhatTheLoadNeeded {
        /// Number of instances that were launched again for the same load.
        launched_again: u64,
    },
}
