//! Judges the group's size over time: too few instances for the load, or more than it needed.

use super::scaling::met_if;
use super::{Cost, Expectation, Finding, Measured, SizeReason};
use evidence::Facts;
use evidence::load::{self, Confidence};
use evidence::{instances, price};
use model::outcome::Verdict;

pub(super) struct Efficiency {
    pub judged: Vec<Finding>,
    /// Findings that do not count for the verdict.
    pub not_judged: Vec<Finding>,
}

/// Judges the share of time in which the group was too small, and the share of paid
/// instance-minutes that were not needed. Where the capacity of an instance is unknown, and the
/// scenario does not ask for these shares, they do not count.
pub(super) fn judge(facts: &Facts<'_>) -> Efficiency {
    let scaling = &facts.scenario.scaling;
    let too_few = Expectation::UnderProvisioned {
        share: scaling.under_provisioned,
    };
    let excess = Expectation::OverProvisioned {
        share: scaling.over_provisioned,
    };
    if facts.times.stopped.is_some() {
        return Efficiency {
            judged: unclear([too_few, excess], &SizeReason::LoadStopped),
            not_judged: Vec::new(),
        };
    }
    let suspects = facts.other_reasons();
    if !suspects.is_empty() {
        let unclear = unclear([too_few, excess], &SizeReason::OtherReasons { suspects });
        return unclear_if_asked(scaling.asked_for_efficiency, unclear);
    }
    let capacity = facts.capacity.clone();
    let capacity = capacity.map(|capacity| capacity.weighed(facts.reaction.desired_before, None));
    let estimate = capacity
        .as_ref()
        .and_then(|capacity| capacity.reason.clone());
    let Some(capacity) = capacity.filter(|capacity| capacity.confidence > Confidence::Low) else {
        let reason = SizeReason::CapacityUnknown { estimate };
        let unclear = unclear([too_few, excess], &reason);
        return unclear_if_asked(scaling.asked_for_efficiency, unclear);
    };
    let least =
        instances::group_at(facts.timeline, facts.times.started).map_or(0, |group| group.min);
    let found = load::elasticity(&facts.load, &facts.serving, capacity.at_limit, least);
    let paid = facts
        .billed
        .iter()
        .map(|count| f64::from(*count))
        .sum::<f64>()
        / 60.0;
    let over = found.over_instance_minutes / paid.max(f64::EPSILON);
    let carries = |minimum_left_out| SizeReason::InstanceCarries {
        requests_per_second: capacity.at_limit,
        minimum_left_out,
    };
    let below = Finding::of_group(
        too_few,
        met_if(found.timeshare_under <= scaling.under_provisioned),
        Measured::TooFewInstances {
            time_share: found.timeshare_under,
            missing_instances: found.accuracy_under,
        },
        carries(false),
    );
    let cost = price::listed(facts.timeline, found.over_instance_minutes);
    let above = Finding::of_group(
        excess,
        met_if(over <= scaling.over_provisioned),
        Measured::ExcessInstanceMinutes {
            share: over,
            paid_minutes: paid,
            cost: cost.map(|(usd, prices_of)| Cost {
                usd,
                prices_of: prices_of.to_owned(),
            }),
        },
        carries(true),
    );
    Efficiency {
        judged: vec![below, above],
        not_judged: Vec::new(),
    }
}

/// Returns findings that count only if the scenario asks for them.
fn unclear_if_asked(asked: bool, unclear: Vec<Finding>) -> Efficiency {
    match asked {
        true => Efficiency {
            judged: unclear,
            not_judged: Vec::new(),
        },
        false => Efficiency {
            judged: Vec::new(),
            not_judged: unclear,
        },
    }
}

fn unclear(expectations: [Expectation; 2], reason: &SizeReason) -> Vec<Finding> {
    let unclear = |expectation| {
        Finding::of_group(
            expectation,
            Verdict::Inconclusive,
            Measured::Nothing,
            reason.clone(),
        )
    };
    expectations.map(unclear).into()
}
