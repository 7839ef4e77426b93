//! Content of the answers on slow links, latency and errors.

use std::time::Duration;

use evidence::Suspect;
use evidence::moment::MomentKind;

/// The slow links of scaling out.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowestLink {
    /// The longest link that ended; `None` where a link that has not ended lasted longer.
    pub longest: Option<Longest>,
    /// A link that had not ended with the load; `None` where the chain is complete.
    pub unfinished: Option<Unfinished>,
    /// The window of the alarm; `None` where it is not known.
    pub own_window: Option<OwnWindow>,
    /// The part of the time in which the load itself rose; `None` where it jumped.
    pub load_rise: Option<LoadRise>,
    /// The reason why a moment was left out of the chain; `None` where none was.
    pub aside: Option<Aside>,
}

/// The rise of a load that ramps, before it reached the level at which the policy's metric breached.
/// It is the load's own time, and no link of the group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadRise {
    /// Time from the beginning of the rise until the level was reached.
    pub took: Duration,
    /// Requests per second at the beginning.
    pub from: f64,
    /// Requests per second at the end.
    pub to: f64,
}

/// The longest link that ended, and its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Moment at which the link begins.
    pub from: MomentKind,
    /// Moment at which it ends.
    pub to: MomentKind,
    /// Time between the two.
    pub took: Duration,
    /// First moment of the chain.
    pub first: MomentKind,
    /// Last moment of the chain.
    pub last: MomentKind,
    /// Time from the first moment of the chain to its last.
    pub whole: Duration,
}

/// A link that began, and whose end was not seen.
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

/// The reason why a moment of the chain is not among the links.
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
    /// Seconds in which each instance had more load than it can carry; `None` where there were none
    /// or the capacity is not known.
    pub overloaded_s: Option<u32>,
    /// Instances that served in the second with the highest load for each.
    pub instances: u32,
    /// The highest load of one instance, in requests per second.
    pub most: f64,
    /// Requests per second that one instance carries within the limit.
    pub carries: f64,
    /// True if no second missed the limit, so one instance may carry more.
    pub carries_at_least: bool,
    /// Bound of p95.
    pub limit: Duration,
    /// Instances that left in that time.
    pub left: usize,
}

/// The causes of the errors.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorShares {
    /// Each cause with its share of all errors, from 0 to 1; only those above 0.
    pub shares: Vec<(ErrorCause, f64)>,
    /// Sums of the load balancer's metrics over the run, only those above 0.
    pub counted: Vec<(BalancerCount, f64)>,
}

/// Cause of a second's errors. If several apply, the first in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCause {
    /// No instance served.
    NobodyHealthy,
    /// The load exceeded the capacity of the instances in that second or the one before.
    Saturation,
    /// An instance was leaving, or gone for at most 2 s.
    Leaving,
    /// An instance had been healthy for less than a minute.
    NewInstance,
    /// Another reason than the load of each instance, which explains that second.
    Other(Suspect),
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
