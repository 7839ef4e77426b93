//! The latency and error limits that the spikes are held to, out of the scenario's thresholds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LoadPhase, PhaseRole, Scenario, Threshold, ThresholdMetric, ThresholdScope};
use crate::units::{Seconds, seconds};

/// The latency an instance's capacity is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limit {
    /// The 95th percentile of the latency must be below this.
    #[serde(rename = "p95_s", alias = "p95", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub p95: Duration,
    /// From the scenario's thresholds; else assumed.
    pub asked: bool,
}

impl Limit {
    /// The limit when the scenario has no threshold on p95.
    pub const ASSUMED: Self = Self {
        p95: Duration::from_millis(500),
        asked: false,
    };

    /// Returns the threshold that the spikes are held to; else any; else the one that is assumed.
    pub fn of(scenario: &Scenario) -> Self {
        let found = Self::in_the_spike(scenario).or_else(|| threshold(scenario, P95, |_| true));
        found.map_or(Self::ASSUMED, |limit| Self {
            p95: Duration::from_micros(limit as u64),
            asked: true,
        })
    }

    /// Returns the share of errors allowed in the spikes, if the scenario says so.
    pub fn errors_in_the_spike(scenario: &Scenario) -> Option<f64> {
        in_the_spikes(scenario, ThresholdMetric::Errors, |scope| {
            matches!(scope, ThresholdScope::EachPhase)
        })
    }

    /// Returns the limit for p95 in the spikes; `None` if the scenario sets none.
    pub fn p95_in_the_spike(scenario: &Scenario) -> Option<Duration> {
        Self::in_the_spike(scenario).map(|limit| Duration::from_micros(limit as u64))
    }

    fn in_the_spike(scenario: &Scenario) -> Option<f64> {
        in_the_spikes(scenario, P95, |scope| {
            matches!(scope, ThresholdScope::EachPhase | ThresholdScope::Run)
        })
    }
}

/// Returns the limit of a phase that is a spike; else the limit of all phases. Else that of a phase
/// with more than the least load, which is a lower spike.
fn in_the_spikes(
    scenario: &Scenario,
    metric: ThresholdMetric,
    all: impl Fn(&ThresholdScope) -> bool,
) -> Option<f64> {
    let least = scenario
        .phases
        .iter()
        .map(|phase| phase.level)
        .fold(f64::INFINITY, f64::min);
    let named = |scope: &ThresholdScope, is: &dyn Fn(&LoadPhase) -> bool| match scope {
        ThresholdScope::Phase(name) => scenario
            .phases
            .iter()
            .any(|phase| phase.name == *name && is(phase)),
        _ => false,
    };
    threshold(scenario, metric, |scope| {
        named(scope, &|phase| phase.role == PhaseRole::Spike)
    })
    .or_else(|| threshold(scenario, metric, all))
    .or_else(|| {
        threshold(scenario, metric, |scope| {
            named(scope, &|phase| phase.level > least)
        })
    })
}

/// Returns the strictest limit on a metric of all requests, of the scopes wanted.
fn threshold(
    scenario: &Scenario,
    metric: ThresholdMetric,
    wanted: impl Fn(&ThresholdScope) -> bool,
) -> Option<f64> {
    let about = |one: &&Threshold| one.metric == metric && one.of.is_none() && wanted(&one.scope);
    scenario
        .thresholds
        .iter()
        .filter(about)
        .map(|one| one.limit)
        .min_by(f64::total_cmp)
}

const P95: ThresholdMetric = ThresholdMetric::Percentile(95.0);
