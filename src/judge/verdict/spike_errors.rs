//! Judges the errors of each spike from the moment at which new instances serve, where the scenario
//! sets no limit on them.
//!
//! Until then a group may need time to grow, and the looser limit over the whole spike covers that.
//! A group whose new instances serve has no such excuse.

use std::collections::BTreeSet;

use super::thresholds::{Cause, Doubt, MOST_ERRORS, default_limit, has_error_limit, weigh};
use super::{Expectation, Finding, Scope, ThresholdReason};
use evidence::Facts;
use evidence::instances::{self, Launched, between};
use evidence::reaction::Span;
use model::measure::{Results, Select};

/// Returns a finding for each spike in which new instances served, and none for the others.
/// `changed` are the seconds that the load of others may have changed.
pub(super) fn judge(facts: &Facts<'_>, changed: &BTreeSet<u32>) -> Vec<Finding> {
    let doubt = Doubt::of(Cause::Others, changed.clone(), facts.results);
    let spikes = facts.times.spikes.iter();
    spikes
        .filter(|spike| !has_error_limit(facts.scenario, &spike.name))
        .filter_map(|spike| judge_spike(facts, doubt.as_ref(), spike))
        .collect()
}

fn judge_spike(facts: &Facts<'_>, doubt: Option<&Doubt>, spike: &Span) -> Option<Finding> {
    let rose = spike.rose?;
    let end = spike.fell.unwrap_or(facts.times.ended);
    let grown = facts.reaction.launched.iter();
    let served = grown
        .filter(|one| one.may_have_grown())
        .filter_map(Launched::serves)
        .filter(|at| *at >= rose)
        .min()?;
    let second = |at| instances::second(facts.times.started, at);
    // A second belongs to the time after that moment if all of it does.
    let (from, until) = (second(served)? + 1, second(end)?);
    if from >= until {
        return None;
    }
    let threshold = default_limit(MOST_ERRORS);
    let weigh_in = |results: &Results| {
        let seconds = Some((from, until));
        let select = Select {
            seconds,
            ..Select::default()
        };
        weigh(&threshold, &results.merged(select), between(served, end))
    };
    let (verdict, measured, reason) = weigh_in(facts.results);
    let finding = Finding {
        expectation: Expectation::ErrorsOnceServed {
            limit_share: MOST_ERRORS,
        },
        scope: Scope::Phase(spike.name.clone()),
        verdict,
        measured,
        reason: ThresholdReason::InWindow {
            from_s: from,
            to_s: until,
            reason: Box::new(reason),
        }
        .into(),
    };
    let doubted = doubt.and_then(|doubt| {
        doubt.weigh(threshold.metric, from..until, &finding, |rest| {
            weigh_in(rest).0
        })
    });
    Some(doubted.unwrap_or(finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::testing::{activity, group, phases, results, with_load};
    use evidence::timeline::Observation;
    use model::outcome::Verdict;
    use model::scenario::{Threshold, ThresholdMetric, ThresholdScope};

    /// The load rises at 10 s and falls at 20 s; i-2 serves from 14 s.
    fn story() -> Vec<Observation> {
        vec![
            group(0, 1, &["i-1"]),
            activity(12, "Launching a new EC2 instance: i-2", 1, 2),
            group(13, 2, &["i-1"]),
            group(14, 2, &["i-1", "i-2"]),
            group(40, 2, &["i-1", "i-2"]),
        ]
    }

    /// Judges a load that nobody else adds to.
    fn judge_ours(facts: &Facts<'_>) -> Vec<Finding> {
        judge(facts, &BTreeSet::new())
    }

    /// Judges the spike with this share of errors, in per cent, in each second.
    fn judged(story: Vec<Observation>, errors: impl Fn(u32) -> u64) -> Vec<Finding> {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let answered = results(&scenario, |second, _| {
            let bad = errors(second);
            vec![("", 100 - bad, bad, 50)]
        });
        with_load(&scenario, story, &answered, judge_ours)
    }

    #[test]
    fn errors_count_from_the_first_whole_second_in_which_a_new_instance_serves() {
        let verdicts = |errors: fn(u32) -> u64| -> Vec<Verdict> {
            let all = judged(story(), errors);
            all.iter().map(|one| one.verdict).collect()
        };
        let before = |second| if second < 15 { 50 } else { 1 };
        assert_eq!(verdicts(before), [Verdict::Passed]);
        let after_the_spike = |second| if second < 20 { 1 } else { 50 };
        assert_eq!(verdicts(after_the_spike), [Verdict::Passed]);
        assert_eq!(verdicts(|_| 2), [Verdict::Failed]);
        let found = judged(story(), |_| 2).remove(0);
        assert_eq!(
            crate::report::words::judgement(found).answer(),
            "errors = 2.00% (10 of 500); the limit is <= 1%, from 15 s to 20 s"
        );
    }

    #[test]
    fn where_nothing_new_serves_only_the_limit_over_the_whole_spike_holds() {
        let alone = vec![group(0, 1, &["i-1"]), group(40, 1, &["i-1"])];
        assert_eq!(judged(alone, |_| 2), []);
        let mut late = story();
        late.retain(|one| one.at < evidence::testing::at(14));
        late.push(group(20, 2, &["i-1", "i-2"]));
        assert_eq!(judged(late, |_| 2), []);
    }

    #[test]
    fn errors_under_the_load_of_others_alone_are_inconclusive() {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let answered = results(&scenario, |second, _| {
            let bad = if second == 16 { 30 } else { 0 };
            vec![("", 100 - bad, bad, 50)]
        });
        for (changed, expected) in [
            (&[][..], Verdict::Failed),
            (&[16], Verdict::Inconclusive),
            (&[17], Verdict::Failed),
            // Most seconds of 15 to 20 are doubtful.
            (&[15, 17, 18], Verdict::Inconclusive),
            (&[12, 13, 20], Verdict::Failed),
        ] {
            let changed = changed.iter().copied().collect();
            let found = with_load(&scenario, story(), &answered, |facts| {
                judge(facts, &changed)
            });
            assert_eq!(found[0].verdict, expected, "{changed:?}");
        }
    }

    #[test]
    fn a_limit_of_the_scenario_replaces_the_default() {
        let judged = |phase: &str| {
            let mut scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
            scenario.thresholds.push(Threshold {
                metric: ThresholdMetric::Errors,
                limit: 0.2,
                ..evidence::testing::p95(ThresholdScope::Phase(phase.to_owned()), 1)
            });
            let answered = results(&scenario, |_, _| vec![("", 90, 10, 50)]);
            with_load(&scenario, story(), &answered, judge_ours).len()
        };
        assert_eq!((judged("p1"), judged("p0")), (0, 1));
    }
}
