//! Judges new instances: they should answer their first requests as well as older instances do.

use std::time::Duration;

mod inferred; // new instances that no header names

use super::expectations::{error_share, undoubted};
use super::{Expectation, Finding, Measured, NewInstanceReason, WorseInstance};
use evidence::instances::{self, Launched, Why, after};
use evidence::load::{ERRORS, LEAST_REQUESTS, p95};
use evidence::overload::Overload;
use evidence::{Clue, Facts, Hypothesis, Suspect};
use model::measure::Merged;
use model::outcome::Verdict;
use model::scenario::Limit;

/// Factor over the others' error share or p95 from which an instance counts as an outlier.
pub(super) const OUTLIER: u32 = 2;
/// Seconds around the time at which a new instance serves, in which a fault that begins is its own.
const BEGINS: u32 = 4;

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
        false => inferred::judge(facts, &served, fresh_for),
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

/// Answers of a new instance and of its peers in the same seconds.
#[derive(Default)]
struct Beside {
    own: Merged,
    others: Merged,
}

impl Beside {
    fn merge(&mut self, other: &Self) {
        self.own.merge(&other.own);
        self.others.merge(&other.others);
    }

    /// Returns p95 of the new instance and of the others if it is over the limit and far over theirs,
    /// or if they answered too little.
    fn slower(&self, limit: Duration) -> Option<(Duration, Option<Duration>)> {
        let own = p95(&self.own).filter(|own| *own > limit)?;
        let others = p95(&self.others);
        let is_slower = others.is_none_or(|others| own > others * OUTLIER);
        is_slower.then_some((own, others))
    }
}

/// Answers in the seconds without overload.
struct Compared {
    all: Beside,
    /// Those of the seconds in which no generator was at its own limit; `None` if these are fewer
    /// than half.
    undoubted: Option<Beside>,
    /// The new instance's own errors in seconds in which all instances were overloaded.
    overloaded: u64,
}

fn compared(
    facts: &Facts<'_>,
    one: &Launched,
    fresh_for: Duration,
    overload: &Overload,
) -> Compared {
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
    // A fault that all instances share makes new ones no worse than old ones.
    let (over, seconds): (Vec<u32>, Vec<u32>) = (from..until.min(last + 1))
        .partition(|second| overload.in_second(*second) || is_shared(facts, *second));
    let of = |id: &str, second| facts.results.of_instance(id, Some((second, second + 1)));
    let beside = |seconds: &[u32]| {
        let mut found = Beside::default();
        for second in seconds.iter().copied() {
            found.own.merge(&of(&one.id, second));
            let ids = facts.results.instances();
            let peers = ids.filter(|id| *id != one.id && is_peer(id, second));
            peers.for_each(|id| found.others.merge(&of(id, second)));
        }
        found
    };
    let overloaded = over.iter().map(|at| of(&one.id, *at).tally.errors());
    Compared {
        all: beside(&seconds),
        undoubted: undoubted(facts.results, &seconds).map(|rest| beside(&rest)),
        overloaded: overloaded.sum(),
    }
}

/// The comparison of a new instance with the others.
enum Comparison {
    NoWorse,
    Worse(WorseInstance),
    /// It is worse than its limits, but the others answered too little to compare with.
    Alone(WorseInstance),
    /// It is slow, and only with seconds in which a generator was at its own limit.
    SlowByGenerator,
}

fn compare(one: &Launched, found: &Compared, limit: Duration) -> Comparison {
    let told = |is_alone, found| match is_alone {
        true => Comparison::Alone(found),
        false => Comparison::Worse(found),
    };
    // A generator at its own limit makes no errors of the target.
    let is_alone = found.all.others.tally.requests() < LEAST_REQUESTS;
    let (own, others) = (error_share(&found.all.own), error_share(&found.all.others));
    if own > ERRORS && (is_alone || own > others * f64::from(OUTLIER)) {
        let found = WorseInstance::Errors {
            instance: one.id.clone(),
            share: own,
        };
        return told(is_alone, found);
    }
    if p95(&found.all.own).is_none_or(|own| own <= limit) {
        return Comparison::NoWorse;
    }
    let Some(rest) = &found.undoubted else {
        return Comparison::SlowByGenerator;
    };
    if let Some((own, others)) = rest.slower(limit) {
        let found = WorseInstance::Slow {
            instance: one.id.clone(),
            p95_s: own.into(),
            others_p95_s: others.map(Into::into),
        };
        return told(others.is_none(), found);
    }
    let is_slow_without = p95(&rest.own).is_some_and(|own| own > limit);
    match !is_slow_without && found.all.slower(limit).is_some() {
        true => Comparison::SlowByGenerator,
        false => Comparison::NoWorse,
    }
}

/// Returns true if the new instances have too few answers for a verdict, each by itself and all
/// together.
fn is_unclear(each: &[Compared], limit: Duration) -> bool {
    if each.iter().all(|one| p95(&one.all.own).is_some()) {
        return false;
    }
    let (mut all, mut rest) = (Beside::default(), Beside::default());
    for one in each {
        all.merge(&one.all);
        rest.merge(one.undoubted.as_ref().unwrap_or(&one.all));
    }
    p95(&all.own).is_none() || all.slower(limit).is_some() || rest.slower(limit).is_some()
}

/// Returns true if something that all instances share may explain this second.
fn is_shared(facts: &Facts<'_>, second: u32) -> bool {
    facts.hypotheses.iter().any(|one| {
        let is_shared = match one.suspect {
            Suspect::SharedBottleneck | Suspect::RateLimit | Suspect::NameResolution => true,
            Suspect::ConnectionLimit => is_in_front(one),
            _ => false,
        };
        is_shared && one.holds() && is_in(one, second)
    })
}

/// Returns true if a limit is in front of all instances, and not one of each.
fn is_in_front(one: &Hypothesis) -> bool {
    let without_gain = |clue: &Clue| matches!(clue, Clue::GrewWithoutGain { .. });
    one.pro.iter().any(without_gain)
}

/// Returns true if a hypothesis explains a second.
fn is_in(one: &Hypothesis, second: u32) -> bool {
    let mut seconds = one.seconds.iter();
    seconds.any(|(from, until)| (*from..*until).contains(&second))
}

/// Compares each new instance's answers with those of the instances that were not new then. Only
/// seconds without overload count.
fn by_header(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Finding {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let overload = &facts.overload;
    let (mut answers, mut errors, mut overloaded) = (0, 0, 0);
    let (mut found, mut alone, mut each) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_doubtful = false;
    for one in served {
        let compared = compared(facts, one, fresh_for, overload);
        answers += compared.all.own.tally.requests();
        errors += compared.all.own.tally.errors();
        overloaded += compared.overloaded;
        match compare(one, &compared, limit) {
            Comparison::NoWorse => {}
            Comparison::Worse(worse) => found.push(worse),
            Comparison::Alone(worse) => alone.push(worse),
            Comparison::SlowByGenerator => is_doubtful = true,
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
        (None, None) if is_doubtful => {
            (Verdict::Inconclusive, NewInstanceReason::GeneratorSaturated)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use crate::verdict::Reason;
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

    /// i-3 and i-4 are new for 16 s, and slow in these seconds. The generator was at its own limit in
    /// the strained ones, each with the second after it.
    fn strained(slow: &[u32], peer_slow: &[u32], strained: &[u32]) -> (Verdict, NewInstanceReason) {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let all = ["i-1", "i-2", "i-3", "i-4"];
        let story = vec![
            group(0, 2, &all[..2]),
            activity(12, "Launching a new EC2 instance: i-3", 2, 4),
            activity(12, "Launching a new EC2 instance: i-4", 2, 4),
            group(14, 4, &all),
            group(40, 4, &all),
        ];
        let millis = |seconds: &[u32], at| if seconds.contains(&at) { 900 } else { 50 };
        let mut results = results(&scenario, |at, level| match at {
            0..14 => vec![("i-1", level as u64 * 10, 0, 50)],
            _ => vec![
                ("i-1", 40, 0, millis(peer_slow, at)),
                ("i-3", 40, 0, millis(slow, at)),
                ("i-4", 40, 0, 50),
            ],
        });
        results.add(0, &evidence::testing::strained(strained));
        with_load(&scenario, story, &results, |facts| {
            let found = judge(facts).unwrap();
            let Reason::NewInstance(reason) = found.reason else {
                unreachable!()
            };
            (found.verdict, reason)
        })
    }

    #[test]
    fn a_new_instance_that_is_slow_only_with_a_strained_generator_is_not_told() {
        let is_slow = |found: &(Verdict, NewInstanceReason)| {
            let is_worse = matches!(&found.1, NewInstanceReason::Worse {
                first: WorseInstance::Slow { instance, .. }, more: 0,
            } if instance == "i-3");
            found.0 == Verdict::Failed && is_worse
        };
        let by_generator = (Verdict::Inconclusive, NewInstanceReason::GeneratorSaturated);
        let slow = [16, 17, 18, 19];
        assert!(is_slow(&strained(&slow, &[], &[])));
        assert!(is_slow(&strained(&slow, &[], &[22])), "elsewhere");
        assert_eq!(strained(&slow, &[], &[16, 18]), by_generator);
        assert!(is_slow(&strained(&slow, &[], &[16])), "two seconds remain");
        let most = [15, 17, 19, 21, 23, 25];
        assert_eq!(
            strained(&slow, &[], &most),
            by_generator,
            "too little remains"
        );
        assert_eq!(strained(&[], &[], &most).0, Verdict::Passed);
    }

    #[test]
    fn slow_answers_of_the_others_in_strained_seconds_hide_no_new_instance() {
        let slow = [20, 21, 22];
        let (verdict, _) = strained(&slow, &[16, 17], &[]);
        assert_eq!(verdict, Verdict::Passed, "the others are as slow");
        let (verdict, reason) = strained(&slow, &[16, 17], &[16]);
        assert!(verdict == Verdict::Failed, "{reason:?}");
    }
}
