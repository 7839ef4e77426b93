//! Reasons for the seconds that missed a limit. More instances help only if too few of them were
//! the reason, so that chain is a hypothesis as well, and each has its own test on the data.
//!
//! A hypothesis holds, is excluded, or is open: then the run that would tell is named. Only those
//! are listed that the run gives a reason to think of.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::Second;
use crate::reaction::{Reaction, Times};
use crate::timeline::Timeline;
use model::measure::Results;
use model::scenario::Scenario;

mod bottleneck; // something behind all instances
mod cold; // instances that are slow when they are new
mod connections; // connections that are refused, not requests
mod constant; // errors that are there whatever the load
mod growth; // too few instances
mod launches; // launches that failed
mod lost; // instances that stop answering
mod metric; // a metric that does not see the load
mod own_limit; // refusals by a limit that each instance has for itself
mod pooled; // answers that are too few in each second
mod rates; // what is answered with few and with more instances, while requests are refused
mod refused; // answers that no instance gave, rate limits, names
mod seen; // the seconds of the run, prepared for the tests
mod sick; // one instance that differs from the others
mod strain; // a generator at its own limit
mod timeouts; // answers that came too late
mod uneven; // requests that are not spread over the instances

pub use constant::Baseline;
pub use lost::unanswered_around;
pub(crate) use seen::Seen;

/// A possible reason for seconds that missed a limit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Suspect {
    /// The instances had more load than they carry.
    TooFewInstances,
    /// Something that all instances share, such as a database.
    SharedBottleneck,
    /// The policy's metric stays low although the limits are missed.
    BlindMetric,
    /// Some requests fail whatever the load.
    ConstantErrors,
    /// New instances answer late, or fail, at first.
    ColdInstances,
    /// One instance fails or is slow while the others are well.
    SickInstance,
    /// Some instances get far more requests than others, such as new ones that get none.
    UnevenLoad,
    /// AWS could not launch the instances that the group wanted.
    FailedLaunches,
    /// Requests timed out while the target still worked on them.
    TimedOutWork,
    /// Requests were refused because there were too many of them: status 429, or 4xx that no
    /// instance gave.
    RateLimit,
    /// Connections were refused, or closed unanswered, while those that were kept were answered as
    /// usual.
    ConnectionLimit,
    /// The load balancer answered with an error of its own.
    LoadBalancer,
    /// The target's name was not resolved.
    NameResolution,
    /// A generator was at its own limit in every slow second.
    StrainedGenerator,
    /// Instances that had served stopped answering, and were replaced.
    LostInstances,
}

/// The result of a hypothesis' test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The run shows it.
    Holds,
    /// The run can neither show nor exclude it.
    Open,
    /// The run excludes it.
    Excluded,
}

/// A hypothesis, with the clues for and against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// The suspected reason.
    #[serde(rename = "id")]
    pub suspect: Suspect,
    /// The result of its test.
    pub standing: Standing,
    /// Clues that speak for it.
    #[serde(rename = "for")]
    pub pro: Vec<Clue>,
    /// Clues that speak against it.
    pub against: Vec<Clue>,
    /// The seconds that missed a limit for this reason, each span with its first second and the one
    /// after its last; empty if it explains no second by itself.
    pub seconds: Vec<(u32, u32)>,
    /// The run that would tell; absent where this one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tells: Option<TellingRun>,
    /// The hypothesis as a sentence, which the report adds; empty before that.
    #[serde(default)]
    pub because: String,
}

/// An observation that speaks for or against a hypothesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Clue {
    /// The group grew under the same load, and answered hardly more requests.
    GrewWithoutGain {
        /// Serving instances when the limits were first missed.
        from: u32,
        /// Serving instances later.
        to: u32,
        /// Good answers a second with the first size.
        before: f64,
        /// Good answers a second with the second size.
        later: f64,
        /// Requests a second that were asked for.
        asked: f64,
    },
    /// The group grew under the same load, and answered more requests for it.
    GrewWithGain {
        /// Serving instances when requests were first refused.
        from: u32,
        /// Serving instances later.
        to: u32,
        /// Good answers a second with the first size.
        before: f64,
        /// Good answers a second with the second size.
        later: f64,
        /// Requests a second that were asked for.
        asked: f64,
    },
    /// The group grew under the same load, and p95 stayed as long.
    SlowDespiteGrowth {
        /// Serving instances when the limits were first missed.
        from: u32,
        /// Serving instances later.
        to: u32,
        /// Longest usual p95 with the first size, in microseconds.
        before_us: u64,
        /// The same with the second size.
        later_us: u64,
    },
    /// New instances gave this share of the answers.
    NewInstancesServed {
        /// From 0 to 1.
        share: f64,
    },
    /// Limits were missed before the load rose, at a load of an instance that held them later.
    MissedBefore {
        /// Highest such load, in requests per second.
        missed: f64,
        /// Highest load of an instance that held, in requests per second.
        held: f64,
        /// Number of such seconds.
        seconds: u32,
    },
    /// The policy's metric stayed below its alarm's threshold while limits were missed.
    MetricBelow {
        /// Name of the metric.
        metric: String,
        /// Its highest datapoint while limits were missed.
        highest: f64,
        /// The threshold of the alarm.
        threshold: f64,
    },
    /// A metric that rose with the load.
    WouldHaveSeen {
        /// Name of the metric.
        metric: String,
        /// Its mean before the load rose.
        before: f64,
        /// Its mean while limits were missed.
        during: f64,
    },
    /// A metric of each instance fell while the group grew: the instances had less to do.
    MetricFell {
        /// Name of the metric.
        metric: String,
        /// Its mean before the group grew.
        before: f64,
        /// Its mean later, with more instances.
        later: f64,
    },
    /// The policy's metric was at its ceiling while limits were missed.
    MetricAtCeiling {
        /// Name of the metric.
        metric: String,
        /// Its highest datapoint.
        highest: f64,
    },
    /// The limits held again under the same load, once more instances served.
    Cured {
        /// Serving instances while the limits were missed.
        from: u32,
        /// Serving instances when they held again.
        to: u32,
    },
    /// The limits held up to one load of an instance, and were missed from another on.
    OnlyAbove {
        /// Highest load of an instance that held, in requests per second.
        held: f64,
        /// Lowest load of an instance that missed, in requests per second.
        missed: f64,
    },
    /// Limits were missed at a load of an instance that had held them before.
    MissedBelow {
        /// Load of an instance that missed, in requests per second.
        missed: f64,
        /// Load of an instance that had held, in requests per second.
        held: f64,
        /// Number of such seconds.
        seconds: u32,
    },
    /// New instances answered late at first, while the others were quick.
    SlowAtFirst {
        /// Number of new instances that did.
        instances: u32,
        /// Number of new instances that answered.
        of: u32,
        /// The longest p95 of such an instance in a second, in microseconds.
        p95_us: u64,
        /// p95 of the others in that second, in microseconds.
        others_us: u64,
        /// The longest time for which one was slow.
        for_s: u32,
    },
    /// New instances failed at first, while the others did not.
    FailedAtFirst {
        /// Number of new instances that did.
        instances: u32,
        /// Number of new instances that answered.
        of: u32,
        /// Share of such an instance's answers that failed.
        share: f64,
        /// The same of the older ones.
        others: f64,
        /// The longest time for which one failed.
        for_s: u32,
    },
    /// Without the answers of those instances the limits would have held.
    HeldWithout {
        /// Seconds that would have held.
        seconds: u32,
        /// Seconds in which those instances answered, and that missed a limit.
        of: u32,
    },
    /// The limits were first missed when a new instance began to serve.
    SinceNewInstance {
        /// The second, from the start of the load.
        second: u32,
    },
    /// One instance failed while the others were well.
    OneFailed {
        /// The instance.
        instance: String,
        /// Share of its answers that failed in those seconds.
        share: f64,
        /// The same of the others.
        others: f64,
    },
    /// One instance was slow while the others were quick.
    OneSlow {
        /// The instance.
        instance: String,
        /// Its p95 in those seconds, in microseconds.
        p95_us: u64,
        /// The same of the others.
        others_us: u64,
    },
    /// One instance failed its health checks while the others passed theirs.
    UnhealthyAlone {
        /// The instance.
        instance: String,
        /// The second of the first look that saw it unhealthy, from the start of the load.
        second: u32,
        /// The instances that were healthy in that look.
        others: u32,
    },
    /// The limits held again under the same load, once the load balancer left an instance out.
    HeldOnceOut {
        /// The instance.
        instance: String,
        /// Seconds for which they held.
        seconds: u32,
    },
    /// The share of failed requests is that of one instance in all.
    OneInN {
        /// Share of requests that failed.
        share: f64,
        /// Serving instances.
        instances: u32,
    },
    /// One instance got more requests than its even share.
    MoreThanEven {
        /// The instance.
        instance: String,
        /// Requests that it got, divided by an even share.
        times: f64,
    },
    /// A step fails as often without the spike as in it.
    AlwaysFails {
        /// Name of the step.
        step: String,
        /// Share that failed before the load rose.
        before: f64,
        /// Share that failed in the spikes.
        during: f64,
    },
    /// Launches of the group failed.
    LaunchesFailed {
        /// Launches that failed.
        failed: u32,
        /// All launches of the run.
        of: u32,
        /// AWS's words, each once.
        messages: Vec<String>,
    },
    /// The group wanted more instances than ever served.
    NeverReached {
        /// Highest desired capacity.
        wanted: u32,
        /// Most instances in service.
        most: u32,
    },
    /// The group reached the size that it wanted.
    Reached {
        /// Highest desired capacity.
        wanted: u32,
    },
    /// Requests were given up without an answer.
    TimedOut {
        /// Number of them.
        requests: u64,
        /// Requests in the seconds that missed a limit.
        of: u64,
    },
    /// Requests were answered with status 429.
    TooManyRequests {
        /// Number of them.
        requests: u64,
        /// Failed requests in the seconds that missed a limit.
        of: u64,
    },
    /// Answers that refused a request said when to try again: they had `Retry-After`.
    RetryAfter {
        /// Number of them.
        requests: u64,
        /// Failed requests in the seconds that missed a limit.
        of: u64,
    },
    /// An instance that refused requests answered as many of them while more instances took part.
    RefusedAtSameRate {
        /// Fewest instances that took part in the load.
        few: u32,
        /// Most of them.
        many: u32,
        /// Good answers a second of an instance that refused, with the fewest.
        before: f64,
        /// The same with the most.
        later: f64,
    },
    /// Instances answered as many requests however many they got: they refused the rest.
    RefusedByPart {
        /// Requests a second of the instance with the most of them.
        most: f64,
        /// Its good answers a second.
        most_good: f64,
        /// Requests a second of the instance with the fewest.
        least: f64,
        /// Its good answers a second.
        least_good: f64,
    },
    /// Requests got no connection, or one that was closed before an answer began.
    NoConnection {
        /// Connections that were refused, or not answered in time.
        refused: u64,
        /// New connections that were closed or reset before an answer began.
        closed: u64,
        /// Failed requests in the seconds that missed a limit.
        of: u64,
    },
    /// The load balancer counted connections that it had no room for.
    BalancerRejected {
        /// The sum of its datapoints.
        connections: f64,
    },
    /// The requests that got a connection were answered in their usual time.
    AnsweredAsUsual {
        /// Median p95 of the seconds in which connections were refused, in microseconds.
        p95_us: u64,
        /// Median p95 of the seconds that held the limits before, in microseconds.
        usual_us: u64,
    },
    /// The requests that got a connection were answered later than usual.
    AnsweredLate {
        /// Median p95 of the seconds in which connections were refused, in microseconds.
        p95_us: u64,
        /// Median p95 of the seconds that held the limits before, in microseconds.
        usual_us: u64,
    },
    /// Connections were refused at a load that had been answered before.
    RefusedBelow {
        /// Lowest such load, in requests per second.
        missed: f64,
        /// Highest load that had been answered within the limits, in requests per second.
        held: f64,
    },
    /// The policy's metric was below its ceiling.
    MetricBelowCeiling {
        /// Name of the metric.
        metric: String,
        /// Its median datapoint.
        usual: f64,
    },
    /// Failed answers that no instance gave: they lack the header that names instances.
    NotByInstances {
        /// Number of them.
        requests: u64,
        /// Failed requests in the seconds that missed a limit.
        of: u64,
    },
    /// The load balancer counted 5xx of its own.
    BalancerCounted {
        /// The sum of its datapoints.
        errors: f64,
        /// Each status that it counted apart, with its number of answers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by_status: Vec<(u16, f64)>,
    },
    /// Instances that had served failed their health checks, and requests got no answer around that
    /// time.
    StoppedAnswering {
        /// Number of such instances.
        instances: u32,
        /// Requests without an answer.
        requests: u64,
    },
    /// A generator sent late, or was busy, in all these seconds.
    GeneratorAtItsLimit {
        /// Slow seconds.
        seconds: u32,
    },
    /// A second was over its limit by more than the generator was late.
    LongerThanDelay {
        /// p95 of the second, in microseconds.
        p95_us: u64,
        /// The longest time by which the generator delayed a request around it, in microseconds.
        delay_us: u64,
    },
    /// A generator was at its own limit in most of these seconds.
    GeneratorMostly {
        /// Such seconds.
        seconds: u32,
        /// All seconds.
        of: u32,
    },
    /// Names were not resolved.
    Unresolved {
        /// Number of requests without an address.
        requests: u64,
    },
}

/// The run that would tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TellingRun {
    /// One whose answers name their instance in a header.
    InstanceHeader,
    /// One in which the group has more instances from the start.
    MoreInstances,
    /// The same load from more or larger tasks.
    MoreTasks,
    /// One that sends the load in steps, each of them held.
    Steps,
    /// One that sends the same load for longer, or more of it.
    MoreRequests,
    /// One that sends the same requests over fewer connections.
    FewerConnections,
}

impl Hypothesis {
    fn new(suspect: Suspect, standing: Standing, pro: Vec<Clue>) -> Self {
        Self {
            suspect,
            standing,
            pro,
            against: Vec::new(),
            seconds: Vec::new(),
            tells: None,
            because: String::new(),
        }
    }

    fn against(mut self, clues: impl IntoIterator<Item = Clue>) -> Self {
        self.against.extend(clues);
        self
    }

    /// Adds clues on whether the instances had room to spare: if they had, something else refused.
    fn with_room(mut self, clues: impl IntoIterator<Item = Option<Clue>>) -> Self {
        for clue in clues.into_iter().flatten() {
            match clue {
                Clue::AnsweredAsUsual { .. } | Clue::MetricBelowCeiling { .. } => {
                    self.pro.push(clue);
                }
                _ => self.against.push(clue),
            }
        }
        self
    }

    fn explains(mut self, seconds: &BTreeSet<u32>) -> Self {
        self.seconds = spans(seconds);
        self
    }

    fn told_by(mut self, run: TellingRun) -> Self {
        self.tells = Some(run);
        self
    }

    /// Returns true if it holds.
    pub fn holds(&self) -> bool {
        self.standing == Standing::Holds
    }

    /// Returns true if it holds or may hold, and is another reason than too few instances.
    pub fn is_other(&self) -> bool {
        self.suspect != Suspect::TooFewInstances && self.standing != Standing::Excluded
    }

    /// Returns true if the requests of each target rose with the load, among the metrics that did.
    pub fn requests_rose(&self) -> bool {
        self.pro.iter().any(|clue| {
            matches!(clue, Clue::WouldHaveSeen { metric, .. } if metric == metric::PER_TARGET)
        })
    }

    /// Returns true if it is about a limit that each instance has for itself, and instances with
    /// room to spare met it: their answers took as long as usual, and their CPU was idle.
    pub fn is_limit_of_each(&self) -> bool {
        let has = |is: fn(&Clue) -> bool| self.pro.iter().chain(&self.against).any(is);
        let is_of_each = has(|clue| {
            matches!(
                clue,
                Clue::GrewWithGain { .. }
                    | Clue::RefusedAtSameRate { .. }
                    | Clue::RefusedByPart { .. }
            )
        });
        let is_told = match self.suspect {
            Suspect::ConnectionLimit => self.standing == Standing::Holds,
            // It is excluded as a limit of the whole.
            Suspect::RateLimit => self.standing == Standing::Excluded,
            _ => false,
        };
        is_told
            && is_of_each
            && has(|clue| matches!(clue, Clue::AnsweredAsUsual { .. }))
            && has(|clue| matches!(clue, Clue::MetricBelowCeiling { .. }))
    }

    /// Returns the number of seconds that it explains.
    pub fn count(&self) -> u32 {
        self.seconds.iter().map(|(from, until)| until - from).sum()
    }
}

/// The evidence that the hypotheses are tested on.
pub(crate) struct Observed<'a> {
    pub scenario: &'a Scenario,
    pub results: &'a Results,
    pub timeline: &'a Timeline,
    pub times: &'a Times,
    pub reaction: &'a Reaction,
    pub load: &'a [Second],
    pub serving: &'a [u32],
    /// The limit of p95 that a second has to keep.
    pub limit: Duration,
}

/// Tests every hypothesis. `load` has the constant errors already taken out, as `baseline` says.
pub(crate) fn all(observed: &Observed<'_>, baseline: &Baseline) -> Vec<Hypothesis> {
    let seen = Seen::new(observed, baseline);
    let mut found = constant::hypotheses(&seen, baseline);
    if !seen.is_any_bad() && found.is_empty() && !launches::is_any_failed(observed) {
        return Vec::new();
    }
    found.extend(strain::test(&seen));
    let (rate, connections) = (refused::rate_limit(&seen), connections::test(&seen));
    let rivals = [&rate, &connections].into_iter().flatten();
    let rivals: BTreeSet<u32> = rivals.flat_map(refused::Limit::open_for).collect();
    let own = rate
        .as_ref()
        .and_then(|limit| Some((limit.own_of_size()?, limit.suspected.clone())));
    found.extend(rate.into_iter().flat_map(refused::Limit::hypotheses));
    found.extend(refused::others(&seen));
    found.extend(connections.map(|limit| limit.found));
    found.extend(lost::test(&seen));
    found.extend(sick::all(&seen));
    found.extend(cold::test(&seen));
    if !found.iter().any(|one| one.suspect == Suspect::UnevenLoad) {
        found.extend(uneven::test(&seen));
    }
    found.extend(launches::test(&seen));
    let explained = |found: &[Hypothesis]| Explained::of(found).skip;
    let taken = explained(&found);
    // A limit that each instance has is not shared.
    let of_each = own.iter().flat_map(|(_, seconds)| seconds).copied();
    let not_shared: BTreeSet<u32> = taken.iter().copied().chain(of_each).collect();
    found.extend(bottleneck::test(&seen, &not_shared));
    found.extend(timeouts::test(&seen, &taken));
    let taken = explained(&found);
    found.extend(metric::test(&seen, &taken, &rivals));
    found.extend(growth::test(&seen, &taken, &rivals, own));
    found
}

/// Tests the hypotheses that need no answers: all that a watch sees.
pub(crate) fn of_a_watch(observed: &Observed<'_>) -> Vec<Hypothesis> {
    let seen = Seen::new(observed, &Baseline::default());
    launches::test(&seen).into_iter().collect()
}

/// Seconds that say nothing, or less, about the capacity of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// Seconds that missed a limit for another reason than too few instances.
    pub skip: BTreeSet<u32>,
    /// Seconds in which requests were given up while the target worked on them: the answers in time
    /// are fewer than an instance carries.
    pub given_up: BTreeSet<u32>,
}

impl Explained {
    /// Returns the seconds that other reasons explain, whether these hold or are open.
    pub fn of(hypotheses: &[Hypothesis]) -> Self {
        let mut found = Self::default();
        for one in hypotheses.iter().filter(|one| one.is_other()) {
            let seconds = one.seconds.iter().flat_map(|(from, until)| *from..*until);
            match one.suspect {
                // The launches that failed are missing, so there were too few instances.
                Suspect::FailedLaunches => {}
                Suspect::TimedOutWork => found.given_up.extend(seconds),
                _ => found.skip.extend(seconds),
            }
        }
        found
    }
}

/// Returns the reasons for which more instances, or earlier ones, are not the remedy: those that
/// explain at least as many seconds as too few instances do. Launches that fail, and a metric that
/// does not see the load, come before any change of size. Too few instances are among them where the
/// run does not show that more would have helped.
///
/// `spike_s` are the seconds of the spikes: a reason for hardly any of them takes no advice away.
pub fn other_remedies(hypotheses: &[Hypothesis], spike_s: u32) -> Vec<&Hypothesis> {
    let too_few: u32 = hypotheses
        .iter()
        .filter(|one| one.suspect == Suspect::TooFewInstances)
        .map(Hypothesis::count)
        .sum();
    let few = (f64::from(spike_s) * FEW) as u32;
    let is_never_reached = |clue: &Clue| matches!(clue, Clue::NeverReached { .. });
    let comes_first = |one: &&Hypothesis| match one.suspect {
        Suspect::BlindMetric => true,
        Suspect::FailedLaunches => {
            let is_most = one.count() > few && one.count() * 2 >= too_few;
            one.holds() && (is_most || one.pro.iter().any(is_never_reached))
        }
        _ => false,
    };
    let others = Explained::of(hypotheses).skip.len() as u32;
    hypotheses
        .iter()
        .filter(|one| {
            let explains = one.is_other() && !one.seconds.is_empty();
            let counts = !matches!(
                one.suspect,
                Suspect::TimedOutWork | Suspect::FailedLaunches | Suspect::ConstantErrors
            );
            let is_not_shown = one.suspect == Suspect::TooFewInstances
                && one.standing == Standing::Open
                && one.count() >= UNSHOWN.max(few);
            comes_first(one)
                || is_not_shown
                || (explains && counts && others >= too_few && others > few)
        })
        .collect()
}

/// Share of the spikes' seconds up to which a reason takes no advice away.
const FEW: f64 = 0.05;
/// Fewest seconds that are not explained for which no remedy is given.
const UNSHOWN: u32 = 3;

fn spans(seconds: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for second in seconds {
        match found.last_mut() {
            Some((_, until)) if *until == *second => *until += 1,
            _ => found.push((*second, *second + 1)),
        }
    }
    found
}

/// Returns the second of the load that a time lies in; `None` before its start.
fn second_of(times: &Times, at: Timestamp) -> Option<u32> {
    crate::instances::second(times.started, at)
}

#[cfg(test)]
mod tests;
