//! Which link was slow, and what explains latency and errors.

use std::time::Duration;

use evidence::moment::MomentKind;

/// The slow links of scaling out.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowestLink {
    /// Nothing where a link that has not ended lasted longer.
    pub longest: Option<Longest>,
    /// A link that had not ended with the load; `None` where the chain is complete.
    pub unfinished: Option<Unfinished>,
    /// `None` where the window of the alarm is not known.
    pub own_window: Option<OwnWindow>,
    /// `None` where no moment of the chain was left out.
    pub aside: Option<Aside>,
}

/// The longest link that ended, and the chain it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Moment at which the link begins.
    pub from: MomentKind,
    /// Moment at which it ends.
    pub to: MomentKind,
    /// Time between the two.
    pub took: Duration,
    /// The whole chain.
    pub first: MomentKind,
    /// Last moment of the chain.
    pub last: MomentKind,
    /// Time from the first moment of the chain to its last.
    pub whole: Duration,
}

/// A link that began and was not seen to end.
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

/// Why a moment of the chain is not among the links.
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
    /// Seconds in which each had more to carry than it can, where that is known.
    pub overloaded_s: Option<u32>,
    /// Instances that served in the second with the most for each.
    pub instances: u32,
    /// The most requests per second for each of them.
    pub most: f64,
    /// Requests per second that one instance carries within the limit.
    pub carries: f64,
    /// No second missed the limit, so one may carry more.
    pub carries_at_least: bool,
    /// Bound of p95.
    pub limit: Duration,
    /// Instances that left meanwhile.
    pub left: usize,
}

/// The causes of the errors.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorShares {
    /// Each cause with its share of all errors, from 0 to 1; only those above 0.
    pub shares: Vec<(ErrorCause, f64)>,
    /// Sums over the run, only those above 0.
    pub counted: Vec<(BalancerCount, f64)>,
}

/// Cause of a second's errors, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCause {
    /// No instance served.
    NobodyHealthy,
    /// The load exceeded the capacity of the instances, then or a second before.
    Saturation,
    /// An instance was leaving, or gone for at most 2 s.
    Leaving,
    /// An instance had been healthy for less than a minute.
    NewInstance,
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
