//! Judges new instances: they should answer their first requests as well as older instances do.

use std::time::Duration;

use super::expectations::error_share;
use super::{Expectation, Finding, Measured, NewInstanceReason, WorseInstance};
use evidence::instances::{self, Launched, Why, after};
use evidence::load::{ERRORS, LEAST_REQUESTS, p95};
use evidence::overload::Overload;
use evidence::{Facts, Suspect};
use model::measure::{Merged, Select, Tally};
use model::outcome::Verdict;
use model::scenario::Limit;

/// Factor over the others' error share or p95 from which an instance counts as an outlier.
const OUTLIER: u32 = 2;

pub(super) fn judge(facts: &Facts<'_>) -> Option<Finding> {
    let fresh_for = facts.scenario.scaling.fresh_instances?;
    if let Some(found) = never_served(facts) {
        return Some(found);
    }
    let served: Vec<&Launched> = facts
        .reaction
        .launched
        .iter()
        .filter(|one| one.serves().is_some_and(|at| at < facts.times.ended))
        .collect();
    if served.is_empty() {
        return Some(finding(
            Verdict::Inconclusive,
            Measured::Nothing,
            NewInstanceReason::NoneServedInTime,
        ));
    }
    Some(match facts.results.names_instances() {
        true => by_header(facts, &served, fresh_for),
        false => by_inference(facts, &served, fresh_for),
    })
}

fn finding(verdict: Verdict, measured: Measured, reason: NewInstanceReason) -> Finding {
    Finding::of_group(Expectation::FreshInstancesServe, verdict, measured, reason)
}

/// Judges instances that failed their health checks before they served. The group replaces them,
/// and the replacements may fail as well. Returns `None` if there were none.
pub(super) fn never_served(facts: &Facts<'_>) -> Option<Finding> {
    let failed = facts
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::FailedChecks);
    let young = failed
        .filter(|gone| {
            facts
                .reaction
                .launched
                .iter()
                .any(|one| one.id == gone.id && one.healthy.is_none())
        })
        .count() as u64;
    if young == 0 {
        return None;
    }
    let grace = instances::group_at(facts.timeline, facts.times.started)
        .map_or(Duration::ZERO, |one| one.health_check_grace);
    let reason = NewInstanceReason::HealthChecksFailed {
        grace_s: grace.into(),
    };
    let measured = Measured::NeverServed { instances: young };
    Some(finding(Verdict::Failed, measured, reason))
}

/// Returns the first second in which an instance is new, and the second after the last one.
pub(super) fn window(facts: &Facts<'_>, one: &Launched, fresh_for: Duration) -> Option<(u32, u32)> {
    let serves = one.serves()?;
    let second = |at| instances::second(facts.times.started, at);
    Some((second(serves)?, second(after(serves, fresh_for))? + 1))
}

/// Answers of a new instance and of its peers in the seconds without overload.
struct Compared {
    own: Merged,
    others: Merged,
    /// The new instance's own errors in seconds in which all instances were overloaded.
    overloaded: u64,
}

fn compared(
    facts: &Facts<'_>,
    one: &Launched,
    fresh_for: Duration,
    overload: &Overload,
) -> Compared {
    let mut found = Compared {
        own: Merged::default(),
        others: Merged::default(),
        overloaded: 0,
    };
    let fresh: Vec<(&str, (u32, u32))> = facts
        .reaction
        .launched
        .iter()
        .filter_map(|other| Some((other.id.as_str(), window(facts, other, fresh_for)?)))
        .collect();
    // An instance that was launched but never served is no peer either.
    let is_peer = |id: &str, second: u32| match fresh.iter().find(|(known, _)| *known == id) {
        Some((_, (_, until))) => second >= *until,
        None => !facts.reaction.launched.iter().any(|other| other.id == id),
    };
    let (from, until) = window(facts, one, fresh_for).unwrap_or_default();
    let last = facts.results.last_second().unwrap_or(0);
    for second in from..until.min(last + 1) {
        let of = |id: &str| facts.results.of_instance(id, Some((second, second + 1)));
        let own = of(&one.id);
        // A fault that all instances share makes new ones no worse than old ones.
        if overload.in_second(second) || is_shared(facts, second) {
            found.overloaded += own.tally.errors();
            continue;
        }
        found.own.merge(&own);
        let peers = facts
            .results
            .instances()
            .filter(|id| *id != one.id && is_peer(id, second));
        peers.for_each(|id| found.others.merge(&of(id)));
    }
    found
}

/// A new instance that answered worse than the others.
struct Worse {
    found: WorseInstance,
    /// True if the others answered too little to compare with.
    is_alone: bool,
}

fn worse(one: &Launched, found: &Compared, limit: Duration) -> Option<Worse> {
    let is_alone = found.others.tally.requests() < LEAST_REQUESTS;
    let (own, others) = (error_share(&found.own), error_share(&found.others));
    if own > ERRORS && (is_alone || own > others * f64::from(OUTLIER)) {
        let found = WorseInstance::Errors {
            instance: one.id.clone(),
            share: own,
        };
        return Some(Worse { found, is_alone });
    }
    let own = p95(&found.own).filter(|own| *own > limit)?;
    let others = p95(&found.others);
    if others.is_some_and(|others| own <= others * OUTLIER) {
        return None;
    }
    Some(Worse {
        found: WorseInstance::Slow {
            instance: one.id.clone(),
            p95_s: own.into(),
            others_p95_s: others.map(Into::into),
        },
        is_alone: others.is_none(),
    })
}

/// Returns true if the new instances have too few answers for a verdict, each by itself and all
/// together.
fn is_unclear(each: &[Compared], limit: Duration) -> bool {
    if each.iter().all(|one| p95(&one.own).is_some()) {
        return false;
    }
    let (mut own, mut others) = (Merged::default(), Merged::default());
    for one in each {
        own.merge(&one.own);
        others.merge(&one.others);
    }
    match (p95(&own), p95(&others)) {
        (None, _) => true,
        (Some(own), others) => own > limit && others.is_none_or(|others| own > others * OUTLIER),
    }
}

/// Returns true if something that all instances share may explain this second.
fn is_shared(facts: &Facts<'_>, second: u32) -> bool {
    facts.hypotheses.iter().any(|one| {
        let is_shared = matches!(
            one.suspect,
            Suspect::SharedBottleneck
                | Suspect::RateLimit
                | Suspect::ConnectionLimit
                | Suspect::NameResolution
        );
        let mut seconds = one.seconds.iter();
        is_shared && one.holds() && seconds.any(|(from, until)| (*from..*until).contains(&second))
    })
}

/// Compares each new instance's answers with those of the instances that were not new then. Only
/// seconds without overload count.
fn by_header(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Finding {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let overload = &facts.overload;
    let (mut answers, mut errors, mut overloaded) = (0, 0, 0);
    let (mut found, mut alone, mut each) = (Vec::new(), Vec::new(), Vec::new());
    for one in served {
        let compared = compared(facts, one, fresh_for, overload);
        answers += compared.own.tally.requests();
        errors += compared.own.tally.errors();
        overloaded += compared.overloaded;
        match worse(one, &compared, limit) {
            Some(worse) if worse.is_alone => alone.push(worse.found),
            Some(worse) => found.push(worse.found),
            None => {}
        }
        each.push(compared);
    }
    let measured = Measured::NewInstances {
        errors,
        answers,
        instances: served.len() as u64,
    };
    if served.iter().all(|one| one.first_answer.is_none()) {
        return finding(
            Verdict::Inconclusive,
            Measured::Nothing,
            NewInstanceReason::HeaderNamesNoNewInstance,
        );
    }
    let new_for_s = fresh_for.into();
    let (verdict, reason) = match (found.first(), alone.first()) {
        (Some(first), _) => {
            let reason = NewInstanceReason::Worse {
                first: first.clone(),
                more: found.len() - 1,
            };
            (Verdict::Failed, reason)
        }
        (None, Some(first)) => {
            let reason = NewInstanceReason::WorseWithoutComparison {
                first: first.clone(),
                more: alone.len() - 1,
            };
            (Verdict::Inconclusive, reason)
        }
        (None, None) if answers < LEAST_REQUESTS && overloaded > 0 => (
            Verdict::Inconclusive,
            NewInstanceReason::AllOverloadedWhileNew { new_for_s },
        ),
        (None, None) if is_unclear(&each, limit) => (
            Verdict::Inconclusive,
            NewInstanceReason::TooFewAnswersOfNewInstances { answers },
        ),
        (None, None) => {
            let reason = NewInstanceReason::NewInstancesByHeader {
                new_for_s,
                only_with_load_to_spare: overloaded > 0,
            };
            (Verdict::Passed, reason)
        }
    };
    finding(verdict, measured, reason)
}

/// Judges without an instance header: counts all errors in the seconds in which an instance was
/// new. Errors in seconds without overload are the new instance's.
fn by_inference(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Finding {
    let mut seconds: Vec<u32> = served
        .iter()
        .filter_map(|one| window(facts, one, fresh_for))
        .flat_map(|(from, to)| from..to)
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let overload = facts.overload.sure();
    // Requests in seconds without overload, and in seconds in which all instances were overloaded.
    let (mut spare, mut over) = (Tally::default(), Tally::default());
    let (mut spare_seconds, mut over_seconds) = (Vec::new(), Vec::new());
    for second in seconds {
        let select = Select {
            seconds: Some((second, second + 1)),
            ..Select::default()
        };
        let tally = facts.results.merged(select).tally;
        let (sum, all) = match overload.in_second(second) || is_shared(facts, second) {
            true => (&mut over, &mut over_seconds),
            false => (&mut spare, &mut spare_seconds),
        };
        sum.merge(&tally);
        all.push(second);
    }
    let too_many = |tally: &Tally, seconds: &[u32]| {
        let errors = tally
            .errors()
            .saturating_sub(facts.baseline.likely(seconds));
        errors as f64 > tally.requests() as f64 * ERRORS
    };
    let fails_with_spare = too_many(&spare, &spare_seconds);
    let fails_over = too_many(&over, &over_seconds);
    let new_for_s = fresh_for.into();
    let cold = facts
        .hypotheses
        .iter()
        .find(|one| one.suspect == Suspect::ColdInstances && one.is_other());
    let (verdict, reason) = if fails_with_spare && overload.is_known() {
        let reason = NewInstanceReason::ErrorsWithLoadToSpare { new_for_s };
        (Verdict::Failed, reason)
    } else if let Some(cold) = cold {
        let reason = NewInstanceReason::PerhapsCold {
            seconds: cold.count(),
        };
        (Verdict::Inconclusive, reason)
    } else if fails_over && spare.requests() >= LEAST_REQUESTS {
        (
            Verdict::Passed,
            NewInstanceReason::ErrorsOnlyOverloaded { new_for_s },
        )
    } else if fails_over || fails_with_spare {
        let reason = NewInstanceReason::ErrorsPerhapsOverloaded { new_for_s };
        (Verdict::Inconclusive, reason)
    } else {
        (
            Verdict::Passed,
            NewInstanceReason::NewInstancesInferred { new_for_s },
        )
    };
    let measured = Measured::WhileNew {
        errors: spare.errors() + over.errors(),
        requests: spare.requests() + over.requests(),
    };
    finding(verdict, measured, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use evidence::testing::with_load;
    use evidence::testing::{Answers, activity, group, phases, results};

    /// The load rises at 10 s; i-3 and i-4 are in service from 14 s.
    fn judged(answers: impl Fn(u32, u64) -> Vec<Answers>) -> (Verdict, String) {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let all = ["i-1", "i-2", "i-3", "i-4"];
        let story = vec![
            group(0, 2, &all[..2]),
            activity(12, "Launching a new EC2 instance: i-3", 2, 4),
            activity(12, "Launching a new EC2 instance: i-4", 2, 4),
            group(13, 4, &all[..2]),
            group(14, 4, &all),
            group(40, 4, &all),
        ];
        let results = results(&scenario, |second, level| {
            answers(second, (level * 100.0) as u64)
        });
        with_load(&scenario, story, &results, |facts| {
            let judged = words::judgement(judge(facts).unwrap());
            (judged.verdict, judged.answer())
        })
    }

    /// The answers until 14 s: two instances get more load than they can carry.
    fn overloaded() -> Vec<Answers> {
        vec![("i-1", 300, 150, 900), ("i-2", 300, 150, 900)]
    }

    #[test]
    fn errors_of_a_fresh_instance_while_all_are_overloaded_are_the_loads() {
        let (verdict, why) = judged(|second, all| match second {
            10..14 => overloaded(),
            14..16 => vec![("i-1", all / 2, 0, 50), ("i-3", all / 4, all / 4, 900)],
            _ => vec![
                ("i-1", all / 2, 0, 50),
                ("i-3", all / 4, 0, 50),
                ("i-4", all / 4, 0, 50),
            ],
        });
        assert!(
            verdict == Verdict::Passed && why.contains("while there was load to spare"),
            "{why}"
        );
    }

    #[test]
    fn a_fresh_instance_is_compared_with_those_that_are_not_fresh_and_alone_it_cannot_be_told() {
        let later = |peer: &'static str| {
            judged(move |second, all| match second {
                10..14 => overloaded(),
                14..20 => vec![(peer, all / 2, 0, 50), ("i-3", all / 4, all / 4, 50)],
                _ => vec![(peer, all, 0, 50)],
            })
        };
        let (verdict, why) = later("i-1");
        assert!(
            verdict == Verdict::Failed && why.contains("i-3 answered"),
            "{why}"
        );
        let (verdict, why) = later("i-4");
        assert!(
            verdict == Verdict::Inconclusive && why.contains("no older instance"),
            "{why}"
        );
    }

    #[test]
    fn new_instances_with_few_answers_are_judged_together_or_not_at_all() {
        // i-3 and i-4 are new for 16 s, and i-1 is not.
        let answering = |each: u64, every: u32, millis: u64| {
            judged(move |second, all| {
                let new = if second % every == 0 { each } else { 0 };
                match second {
                    0..14 => vec![("i-1", all, 0, 50)],
                    _ => vec![
                        ("i-1", 30, 0, 50),
                        ("i-3", new, 0, millis),
                        ("i-4", new, 0, millis),
                    ],
                }
            })
        };
        let (verdict, why) = answering(1, 3, 50);
        assert!(
            verdict == Verdict::Inconclusive && why.contains("fewer than the 20 answers"),
            "{why}"
        );
        assert_eq!(answering(1, 1, 50).0, Verdict::Passed, "32 together");
        assert_eq!(answering(1, 1, 900).0, Verdict::Inconclusive);
        assert_eq!(answering(2, 1, 900).0, Verdict::Failed, "32 of each");
    }
}
