//! Reasons of what is judged on the chain of a spike: out, in, and the instances between.

use crate::verdict::finding::{CountedFrom, MetricPeak, Unavoidable, WorseInstance};
use evidence::OpenLink;
use jiff::Timestamp;
use model::units::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
