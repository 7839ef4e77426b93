//! Judgements on a group under load that Spikeproof does not send.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::scale_in;
use super::scaling::{met_if, out_in_time, scaled_out};
use super::{
    Expectation, Finding, LeavingReason, Measured, SizeReason, conditions, draining, flapping,
    fresh, maximum,
};
use evidence::Facts;
use evidence::Reaction;
use evidence::instances::{self, Why};
use evidence::timeline::Timeline;
use evidence::timeline::{MetricSeries, series};
use model::measure::Results;
use model::outcome::Verdict;
use model::plan::Schedule;
use model::scenario::Scenario;

pub(super) struct Watched {
    pub scaling: Vec<Finding>,
    /// Findings that do not count for the verdict.
    pub not_judged: Vec<Finding>,
    pub reaction: Reaction,
}

pub(super) fn judge(expected: &Scenario, timeline: &Timeline) -> Watched {
    let (results, schedule) = (Results::default(), Schedule::new(expected));
    let facts = &Facts::watched(expected, &schedule, &results, timeline);
    let mut scaling = vec![scaled_out(facts)];
    scaling.extend(conditions::judge(facts));
    let never_served = fresh::never_served(facts);
    let mut rest = vec![
        Expectation::NoEarlyScaleIn,
        Expectation::HoldsWhileScaling {
            p95_s: None,
            errors_share: None,
        },
        Expectation::HoldsAtMaximum,
        Expectation::Efficiency,
    ];
    if never_served.is_none() {
        rest.insert(0, Expectation::FreshInstancesServe);
    }
    scaling.extend(never_served);
    if facts.reaction.scaled_out() {
        scaling.push(out_in_time(facts));
        scaling.push(scale_in::judge(facts, &BTreeSet::new()));
    }
    match dropped(facts) {
        Some(judged) => scaling.push(judged),
        None => rest.insert(0, Expectation::NothingDropped),
    }
    scaling.push(maximum::of_a_watch(facts));
    scaling.push(flapping::of_a_watch(facts));
    let unclear = |expectation| {
        Finding::of_group(
            expectation,
            Verdict::Inconclusive,
            Measured::Nothing,
            SizeReason::LoadNotOurs,
        )
    };
    Watched {
        scaling,
        not_judged: rest.into_iter().map(unclear).collect(),
        reaction: facts.reaction.clone(),
    }
}

/// Judges drops by the load balancer's metrics, over the periods in which instances left. Returns
/// `None` if no instance left, or if the balancer counted no request: then its metrics may not have
/// been read. Where the balancer serves other groups as well, its bad gateways need not be of this
/// one: then only connections that failed are told.
fn dropped(facts: &Facts<'_>) -> Option<Finding> {
    let leaving: Vec<(Timestamp, Timestamp)> = facts
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::ScaledIn)
        .map(|one| {
            (
                one.began.at,
                instances::after(
                    one.gone.map_or(one.began.at, |seen| seen.at),
                    draining::AFTERMATH,
                ),
            )
        })
        .collect();
    let named = |name| facts.timeline.own_counts(name).collect::<Vec<_>>();
    let requests = named(series::REQUESTS);
    if leaving.is_empty() || requests.iter().all(|series| series.points.is_empty()) {
        return None;
    }
    let gateway_errors = counted(&named(series::BALANCER_502), &leaving);
    let connection_errors = counted(&named(series::CONNECTION_ERRORS), &leaving);
    if facts.timeline.shares_balancer() && connection_errors == 0.0 {
        return None;
    }
    let measured = Measured::DroppedByBalancer {
        gateway_errors,
        connection_errors,
        requests: counted(&requests, &leaving),
    };
    let reason = LeavingReason::CountedByBalancer {
        period_s: requests.first().map(|series| series.period.into()),
    };
    Some(Finding::of_group(
        Expectation::NothingDropped,
        met_if(gateway_errors + connection_errors == 0.0),
        measured,
        reason,
    ))
}

/// Sums all datapoints whose period overlaps one of these times.
fn counted(series: &[&MetricSeries], times: &[(Timestamp, Timestamp)]) -> f64 {
    let overlaps = |series: &MetricSeries, at: Timestamp| {
        times
            .iter()
            .any(|(from, to)| at <= *to && instances::after(at, series.period) > *from)
    };
    series
        .iter()
        .flat_map(|one| one.points.iter().filter(|point| overlaps(one, point.at)))
        .map(|point| point.value)
        .sum()
}

#[cfg(test)]
mod tests;
