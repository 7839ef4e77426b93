//! Judges the group's size over time: too few instances for the load, or more than it needed.

use std::collections::BTreeSet;

use super::scaling::met_if;
use super::{Cost, Expectation, Finding, Measured, SizeReason};
use evidence::load::{self, Confidence, Elasticity, Second};
use evidence::{Explained, Facts, InstanceCapacity, capacity, instances, price};
use model::outcome::Verdict;
use model::scenario::Limit;

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
    let Some(capacity) = capacity.filter(is_known) else {
        let reason = SizeReason::CapacityUnknown { estimate };
        let unclear = unclear([too_few, excess], &reason);
        return unclear_if_asked(scaling.asked_for_efficiency, unclear);
    };
    let sized = Sized::of(facts, capacity, &BTreeSet::new());
    let [below, above] = sized.verdicts(facts);
    let carries = |minimum_left_out| SizeReason::InstanceCarries {
        requests_per_second: sized.capacity.at_limit,
        minimum_left_out,
    };
    let below = Finding::of_group(
        too_few,
        below,
        Measured::TooFewInstances {
            time_share: sized.found.timeshare_under,
            missing_instances: sized.found.accuracy_under,
        },
        carries(false),
    );
    let cost = price::listed(facts.timeline, sized.found.over_instance_minutes);
    let above = Finding::of_group(
        excess,
        above,
        Measured::ExcessInstanceMinutes {
            share: sized.over(),
            paid_minutes: sized.paid,
            cost: cost.map(|(usd, prices_of)| Cost {
                usd,
                prices_of: prices_of.to_owned(),
            }),
        },
        carries(true),
    );
    Efficiency {
        judged: doubted(facts, [below, above]),
        not_judged: Vec::new(),
    }
}

fn is_known(capacity: &InstanceCapacity) -> bool {
    capacity.confidence > Confidence::Low
}

/// The group's size in some seconds, beside the size that the load needed.
struct Sized {
    capacity: InstanceCapacity,
    found: Elasticity,
    /// Instance-minutes that cost money.
    paid: f64,
}

impl Sized {
    /// Compares both sizes in all seconds but these.
    fn of(facts: &Facts<'_>, capacity: InstanceCapacity, left_out: &BTreeSet<u32>) -> Self {
        let least =
            instances::group_at(facts.timeline, facts.times.started).map_or(0, |group| group.min);
        let keeps = |second: &usize| !left_out.contains(&(*second as u32));
        let seconds: Vec<usize> = (0..facts.load.len().min(facts.serving.len()))
            .filter(keeps)
            .collect();
        let load: Vec<Second> = seconds.iter().map(|at| facts.load[*at]).collect();
        let serving: Vec<u32> = seconds.iter().map(|at| facts.serving[*at]).collect();
        let billed = facts.billed.iter().enumerate();
        let billed = billed.filter(|(second, _)| keeps(second));
        Self {
            found: load::elasticity(&load, &serving, capacity.at_limit, least),
            paid: billed.map(|(_, count)| f64::from(*count)).sum::<f64>() / 60.0,
            capacity,
        }
    }

    /// Returns the excess as a share of all instance-minutes.
    fn over(&self) -> f64 {
        self.found.over_instance_minutes / self.paid.max(f64::EPSILON)
    }

    /// Returns the verdict on too few instances, and the one on an excess.
    fn verdicts(&self, facts: &Facts<'_>) -> [Verdict; 2] {
        let scaling = &facts.scenario.scaling;
        [
            met_if(self.found.timeshare_under <= scaling.under_provisioned),
            met_if(self.over() <= scaling.over_provisioned),
        ]
    }
}

/// Returns the findings, as inconclusive where the seconds without a generator at its own limit say
/// otherwise, or are fewer than half. In the others a load was planned that may not have been sent,
/// and latencies may be the generator's: the capacity rests on both.
fn doubted(facts: &Facts<'_>, findings: [Finding; 2]) -> Vec<Finding> {
    let all = facts.load.len();
    let doubtful = facts.results.doubtful_seconds();
    let doubtful: BTreeSet<u32> = doubtful.range(..all as u32).copied().collect();
    if doubtful.is_empty() {
        return findings.into();
    }
    let without = || {
        let explained = Explained {
            skip: facts.explained.skip.union(&doubtful).copied().collect(),
            given_up: facts.explained.given_up.clone(),
        };
        let p95 = Limit::of(facts.scenario).p95;
        let capacity = capacity::estimate(&facts.load, &facts.serving, p95, &explained)?;
        let capacity = capacity.weighed(facts.reaction.desired_before, None);
        is_known(&capacity).then(|| Sized::of(facts, capacity, &doubtful).verdicts(facts))
    };
    let rest = (doubtful.len() * 2 <= all).then(without).flatten();
    let keep = |(index, finding): (usize, Finding)| match rest {
        Some(rest) if rest[index] == finding.verdict => finding,
        _ => Finding {
            verdict: Verdict::Inconclusive,
            reason: SizeReason::GeneratorSaturated.into(),
            ..finding
        },
    };
    findings.into_iter().enumerate().map(keep).collect()
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Said, Wrong};
    use super::*;
    use evidence::testing::{activity, group, phases, with_load};

    /// With those after them, 26 of 50 seconds.
    const MOST: &[u32] = &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24];

    /// Judges a group of one instance, which carries 50 requests in a second. The load of 100 comes at
    /// 30 s, and i-2 serves from `served` on.
    fn judged(served: u32, strained: &'static [u32]) -> [Said; 2] {
        let levels = [
            (50.0, false),
            (50.0, false),
            (50.0, false),
            (100.0, true),
            (100.0, true),
        ];
        let scenario = phases(&levels);
        let story = vec![
            group(0, 1, &["i-1"]),
            activity(31, "Launching a new EC2 instance: i-2", 1, 2),
            group(served, 2, &["i-1", "i-2"]),
            group(50, 2, &["i-1", "i-2"]),
        ];
        let slow: Vec<u32> = (30..served).collect();
        let wrong = Wrong {
            slow: slow.leak(),
            strained,
            ..Wrong::default()
        };
        let results = wrong.results(&scenario, |level| level as u64);
        with_load(&scenario, story, &results, |facts| {
            let judged = judge(facts).judged;
            [0, 1].map(|index| Said::of(&judged[index]))
        })
    }

    #[test]
    fn a_size_that_was_wrong_only_with_a_strained_generator_is_inconclusive() {
        assert_eq!(judged(38, &[]), [Said::Passed, Said::Passed]);
        assert_eq!(judged(48, &[]), [Said::Failed, Said::Passed]);
        assert_eq!(judged(48, &[2, 20])[0], Said::Failed, "elsewhere");
        assert_eq!(
            judged(48, &[37, 39, 41, 43])[0],
            Said::ByGenerator,
            "10 of 42 seconds remain"
        );
        assert_eq!(judged(38, MOST), [Said::ByGenerator, Said::ByGenerator]);
    }
}
