//! Judges new instances by the answers of all instances, where no header names them.

use std::time::Duration;

use super::{BEGINS, finding, is_in, is_in_front, is_shared, window};
use crate::verdict::expectations::{over, undoubted};
use crate::verdict::{Finding, Measured, NewInstanceReason};
use evidence::hypotheses;
use evidence::instances::{self, Launched, Left, Why};
use evidence::load::{ERRORS, LEAST_REQUESTS};
use evidence::overload::Overload;
use evidence::timeline::TargetGroup;
use evidence::{Clue, Facts, Hypothesis, Suspect};
use model::measure::{LatencyHistogram, Tally};
use model::outcome::Verdict;
use model::scenario::Limit;

/// Share of an instance's answers that may be slower than its p95.
const SLOW: f64 = 0.05;

/// The requests of some of the seconds in which an instance was new.
#[derive(Default)]
struct Part {
    tally: Tally,
    seconds: Vec<u32>,
}

impl Part {
    fn of(facts: &Facts<'_>, seconds: Vec<u32>) -> Self {
        let tally = over(facts.results, &seconds).tally;
        Self { tally, seconds }
    }

    fn has_too_many_errors(&self, facts: &Facts<'_>) -> bool {
        let errors = self.tally.errors();
        let errors = errors.saturating_sub(facts.baseline.likely(&self.seconds));
        errors as f64 > self.tally.requests() as f64 * ERRORS
    }
}

/// Counts all errors in the seconds in which an instance was new. Errors in seconds without overload
/// are the new instance's, unless another reason explains these or may explain them. It passes only if p95 of each new instance is within the limit as well,
/// whichever instance gave the slow answers.
pub(super) fn judge(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Finding {
    let mut seconds: Vec<u32> = served
        .iter()
        .filter_map(|one| window(facts, one, fresh_for))
        .flat_map(|(from, to)| from..to)
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let overload = facts.overload.sure();
    let parts = parts(facts, &overload, seconds);
    let [full, other, perhaps, spare] = &parts;
    let fails_with_spare = spare.has_too_many_errors(facts);
    let fails_otherwise = other.has_too_many_errors(facts);
    let fails_over = full.has_too_many_errors(facts) || fails_otherwise;
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
    } else if perhaps.has_too_many_errors(facts) {
        let reason = NewInstanceReason::ErrorsPerhapsElsewhere {
            seconds: perhaps.seconds.len() as u32,
        };
        (Verdict::Inconclusive, reason)
    } else if fails_with_spare || fails_over && spare.tally.requests() < LEAST_REQUESTS {
        let reason = NewInstanceReason::ErrorsPerhapsOverloaded { new_for_s };
        (Verdict::Inconclusive, reason)
    } else {
        let mut served = served.iter();
        match served.find_map(|one| latency(facts, one, fresh_for, &overload)) {
            Some(reason) => (Verdict::Inconclusive, reason),
            None if fails_otherwise => (
                Verdict::Passed,
                NewInstanceReason::ErrorsOnlyElsewhere { new_for_s },
            ),
            None if fails_over => (
                Verdict::Passed,
                NewInstanceReason::ErrorsOnlyOverloaded { new_for_s },
            ),
            None => (
                Verdict::Passed,
                NewInstanceReason::NewInstancesInferred { new_for_s },
            ),
        }
    };
    let measured = Measured::WhileNew {
        errors: parts.iter().map(|part| part.tally.errors()).sum(),
        requests: parts.iter().map(|part| part.tally.requests()).sum(),
    };
    finding(verdict, measured, reason)
}

/// Divides seconds: those in which all instances were overloaded, those that another reason
/// explains, those that one may explain, and the rest.
fn parts(facts: &Facts<'_>, overload: &Overload, seconds: Vec<u32>) -> [Part; 4] {
    let mut found: [Vec<u32>; 4] = Default::default();
    for second in seconds {
        let part = if overload.in_second(second) {
            0
        } else if is_explained(facts, second) {
            1
        } else if may_be_explained(facts, second) {
            2
        } else {
            3
        };
        found[part].push(second);
    }
    found.map(|seconds| Part::of(facts, seconds))
}

fn is_over(facts: &Facts<'_>, overload: &Overload, second: u32) -> bool {
    overload.in_second(second) || is_explained(facts, second)
}

/// Returns true if something that all instances share explains this second, or older instances that
/// were lost or sick.
fn is_explained(facts: &Facts<'_>, second: u32) -> bool {
    let mut all = facts.hypotheses.iter().filter(|one| one.holds());
    is_shared(facts, second)
        || all.any(|one| is_in(one, second) && is_of_the_old(facts, one, second))
}

/// Returns true if a hypothesis is about instances that were there before the load, as far as it
/// explains this second: a new one that failed its checks at another time is none of them.
fn is_of_the_old(facts: &Facts<'_>, one: &Hypothesis, second: u32) -> bool {
    match one.suspect {
        Suspect::LostInstances => {
            let is_near = |left: &&Left| {
                hypotheses::unanswered_around(facts.scenario, &facts.times, left)
                    .is_some_and(|span| span.contains(&second))
            };
            let left = facts.reaction.left.iter();
            let failed = left.filter(|one| one.why == Why::FailedChecks);
            let mut lost = failed.filter(is_near);
            !lost.any(|one| is_new(facts, &one.id))
        }
        Suspect::SickInstance => !names_a_new_one(facts, one),
        _ => false,
    }
}

fn is_new(facts: &Facts<'_>, id: &str) -> bool {
    facts.reaction.launched.iter().any(|new| new.id == id)
}

fn names_a_new_one(facts: &Facts<'_>, sick: &Hypothesis) -> bool {
    let is_new = |clue: &Clue| match clue {
        Clue::UnhealthyAlone { instance, .. } => is_new(facts, instance),
        _ => false,
    };
    sick.pro.iter().any(is_new)
}

/// Returns true if older instances may explain this second: one of them may be sick, or each may
/// have a limit on connections. What begins with a new instance is its own.
fn may_be_explained(facts: &Facts<'_>, second: u32) -> bool {
    facts.hypotheses.iter().any(|one| {
        let may_be = match one.suspect {
            Suspect::SickInstance => one.is_other() && !names_a_new_one(facts, one),
            Suspect::ConnectionLimit => one.holds() && !is_in_front(one),
            _ => false,
        };
        may_be && is_in(one, second) && !begins_with_a_new_one(facts, one)
    })
}

fn begins_with_a_new_one(facts: &Facts<'_>, one: &Hypothesis) -> bool {
    let Some((first, _)) = one.seconds.first() else {
        return false;
    };
    let served = facts.reaction.launched.iter().filter_map(Launched::serves);
    let mut served = served.filter_map(|at| instances::second(facts.times.started, at));
    served.any(|at| at.abs_diff(*first) <= BEGINS)
}

/// Returns the reason for which p95 of a new instance cannot be told; `None` if it is within the
/// limit whichever instance gave the slow answers.
fn latency(
    facts: &Facts<'_>,
    one: &Launched,
    fresh_for: Duration,
    overload: &Overload,
) -> Option<NewInstanceReason> {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let new_for_s = fresh_for.into();
    let (from, until) = window(facts, one, fresh_for)?;
    let last = facts.results.last_second().unwrap_or(0);
    let (full, seconds): (Vec<u32>, Vec<u32>) =
        (from..until.min(last + 1)).partition(|second| is_over(facts, overload, *second));
    let all = Answers::of(facts, &seconds);
    if all.own < LEAST_REQUESTS as f64 {
        return Some(match full.is_empty() {
            true => NewInstanceReason::TooFewAnswersOfNewInstances {
                answers: all.own as u64,
            },
            false => NewInstanceReason::AllOverloadedWhileNew { new_for_s },
        });
    }
    let is_spread = !facts
        .hypotheses
        .iter()
        .any(|one| one.suspect == Suspect::UnevenLoad && one.is_other());
    let is_even = is_split_evenly(facts);
    let hold = |answers: &Answers| match is_even {
        true => answers.hold(limit),
        false => answers.slow_share(limit) <= 0.0,
    };
    if is_spread && hold(&all) {
        return None;
    }
    let rest = undoubted(facts.results, &seconds).map(|rest| Answers::of(facts, &rest));
    let is_slow_without = |rest: &Answers| rest.own >= LEAST_REQUESTS as f64 && !hold(rest);
    Some(
        match is_spread && !rest.is_some_and(|rest| is_slow_without(&rest)) {
            true => NewInstanceReason::GeneratorSaturated,
            false => NewInstanceReason::SlowPerhapsNew {
                new_for_s,
                limit_s: limit.into(),
                slow_share: all.slow_share(limit),
            },
        },
    )
}

/// Returns true if each target gets the same number of requests: each in its turn, from its first
/// second on, and none is bound to a session. Least outstanding requests spare a slow target.
fn is_split_evenly(facts: &Facts<'_>) -> bool {
    let known = facts.timeline.surroundings();
    known.is_some_and(|known| {
        let groups = &known.target_groups;
        let is_even = |one: &TargetGroup| {
            one.algorithm == "round_robin" && one.slow_start.is_zero() && !one.sticky
        };
        !groups.is_empty() && groups.iter().all(is_even)
    })
}

/// The answers of all instances in some seconds.
struct Answers {
    latency: LatencyHistogram,
    /// An even part of them: those of one instance, if requests are spread evenly.
    own: f64,
}

impl Answers {
    fn of(facts: &Facts<'_>, seconds: &[u32]) -> Self {
        let each = |second: &u32| {
            let answers = over(facts.results, &[*second]).latency.count();
            let serving = facts.serving.get(*second as usize).copied();
            answers as f64 / f64::from(serving.unwrap_or(1).max(1))
        };
        Self {
            latency: over(facts.results, seconds).latency,
            own: seconds.iter().map(each).sum(),
        }
    }

    /// Returns true if p95 of one instance is within the limit even if it gave every slow answer.
    fn hold(&self, limit: Duration) -> bool {
        let slow = SLOW * self.own / self.latency.count().max(1) as f64;
        let percentile = self.latency.percentile(100.0 * (1.0 - slow));
        percentile.is_some_and(|measured| measured <= limit)
    }

    fn slow_share(&self, limit: Duration) -> f64 {
        let is_slow = |(micros, _): &(u64, u64)| u128::from(*micros) > limit.as_micros();
        let slow = self.latency.buckets().filter(is_slow);
        let slow: u64 = slow.map(|(_, answers)| answers).sum();
        slow as f64 / self.latency.count().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;
    use evidence::Standing;
    use evidence::testing::{activity, at, group, phases, results, with_load};
    use evidence::timeline::{Observation, Observed, Surroundings, TargetHealth, Timeline};
    use evidence::vocabulary::TargetState;
    use model::plan::Schedule;

    /// i-3 and i-4 are in service from 14 s.
    fn story() -> Vec<Observation> {
        let all = ["i-1", "i-2", "i-3", "i-4"];
        vec![
            group(0, 2, &all[..2]),
            activity(12, "Launching a new EC2 instance: i-3", 2, 4),
            activity(12, "Launching a new EC2 instance: i-4", 2, 4),
            group(14, 4, &all),
            group(40, 4, &all),
        ]
    }

    /// A target group that spreads requests by this algorithm.
    fn spread(algorithm: &str, slow_start: Duration, sticky: bool) -> Observation {
        let target_group = TargetGroup {
            algorithm: algorithm.to_owned(),
            slow_start,
            sticky,
            ..TargetGroup::default()
        };
        let surroundings = Surroundings {
            target_groups: vec![target_group],
            ..Surroundings::default()
        };
        Observation::new(at(0), Observed::Surroundings(surroundings))
    }

    /// The load rises at 10 s, and four instances give 100 answers in each second. So many are slow
    /// in each second from `from` on.
    fn judged(slow: u64, from: u32, strained: &[u32]) -> (Verdict, NewInstanceReason) {
        let evenly = spread("round_robin", Duration::ZERO, false);
        judged_if(vec![evenly], slow, from, strained)
    }

    fn judged_if(
        more: Vec<Observation>,
        slow: u64,
        from: u32,
        strained: &[u32],
    ) -> (Verdict, NewInstanceReason) {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let story = [more, story()].concat();
        let mut results = results(&scenario, |at, _| {
            let slow = if at >= from { slow } else { 0 };
            vec![("", 100 - slow, 0, 50), ("", slow, 0, 900)]
        });
        results.add(0, &evidence::testing::strained(strained));
        with_load(&scenario, story, &results, |facts| {
            let found = super::super::judge(facts).unwrap();
            let Reason::NewInstance(reason) = found.reason else {
                unreachable!()
            };
            (found.verdict, reason)
        })
    }

    #[test]
    fn without_a_header_p95_of_new_instances_is_told_only_if_it_holds_whoever_was_slow() {
        for (slow, expected) in [(0, true), (1, true), (2, false), (4, false)] {
            let (verdict, reason) = judged(slow, 14, &[]);
            let is_told = matches!(reason, NewInstanceReason::NewInstancesInferred { .. });
            let is_open = matches!(reason, NewInstanceReason::SlowPerhapsNew { slow_share, .. }
                if (slow_share - slow as f64 / 100.0).abs() < 0.001);
            assert_eq!(
                (verdict == Verdict::Passed, is_told),
                (expected, expected),
                "{slow}"
            );
            assert_eq!(
                (verdict == Verdict::Inconclusive, is_open),
                (!expected, !expected),
                "{slow}"
            );
        }
    }

    #[test]
    fn one_slow_answer_may_be_a_new_instances_unless_requests_are_spread_evenly() {
        let second = Duration::from_secs(1);
        for (unlike, is_even) in [
            (vec![spread("round_robin", Duration::ZERO, false)], true),
            (vec![spread("round_robin", second, false)], false),
            (vec![spread("round_robin", Duration::ZERO, true)], false),
            (
                vec![spread("least_outstanding_requests", Duration::ZERO, false)],
                false,
            ),
            (vec![], false),
        ] {
            let said = format!("{unlike:?}");
            let (verdict, reason) = judged_if(unlike.clone(), 1, 14, &[]);
            let is_open = matches!(reason, NewInstanceReason::SlowPerhapsNew { .. });
            assert_eq!(
                (verdict == Verdict::Passed, is_open),
                (is_even, !is_even),
                "{said}"
            );
            assert_eq!(judged_if(unlike, 0, 14, &[]).0, Verdict::Passed, "{said}");
        }
    }

    fn healthy(second: u32, ids: &[&str]) -> Observation {
        let targets = ids
            .iter()
            .map(|id| ((*id).to_owned(), TargetState::Healthy));
        let health = TargetHealth {
            target_group: "web".to_owned(),
            targets: targets.collect(),
        };
        Observation::new(at(second), Observed::Targets(health))
    }

    /// Two instances are overloaded from 10 s to 14 s. A quarter of the answers fails from 22 s to
    /// 26 s, with load to spare, and this hypothesis explains these seconds and those before them.
    fn with_reason(more: Vec<Observation>, reason: Option<Hypothesis>) -> (Verdict, &'static str) {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
        let answers = results(&scenario, |second, level| {
            let all = (level * 100.0) as u64;
            match second {
                10..14 => vec![("", 600, 300, 900)],
                22..26 => vec![("", all * 3 / 4, all / 4, 50)],
                _ => vec![("", all, 0, 50)],
            }
        });
        let schedule = Schedule::new(&scenario);
        let all = ["i-1", "i-2", "i-3", "i-4"];
        let health = vec![healthy(0, &all[..2]), healthy(14, &all)];
        let timeline = Timeline {
            observations: [story(), health, more].concat(),
        };
        let mut facts = Facts::of(&scenario, &schedule, &answers, &timeline, at(0), None);
        facts.hypotheses = reason.into_iter().collect();
        let found = super::super::judge(&facts).unwrap();
        let Reason::NewInstance(reason) = found.reason else {
            unreachable!()
        };
        let reason = match reason {
            NewInstanceReason::ErrorsWithLoadToSpare { .. } => "its own",
            NewInstanceReason::ErrorsOnlyElsewhere { .. } => "elsewhere",
            NewInstanceReason::ErrorsPerhapsElsewhere { seconds: 6 } => "perhaps elsewhere",
            other => panic!("{other:?}"),
        };
        (found.verdict, reason)
    }

    fn reason(suspect: Suspect, standing: Standing, from: u32, pro: Vec<Clue>) -> Hypothesis {
        Hypothesis {
            suspect,
            standing,
            pro,
            against: Vec::new(),
            seconds: vec![(from, 26)],
            tells: None,
            because: String::new(),
        }
    }

    const OWN: (Verdict, &str) = (Verdict::Failed, "its own");
    const ELSEWHERE: (Verdict, &str) = (Verdict::Passed, "elsewhere");
    const PERHAPS: (Verdict, &str) = (Verdict::Inconclusive, "perhaps elsewhere");

    #[test]
    fn errors_of_old_instances_that_are_lost_or_sick_are_not_those_of_new_ones() {
        let told = |one: Hypothesis| with_reason(Vec::new(), Some(one));
        assert_eq!(with_reason(Vec::new(), None), OWN);
        let lost = || reason(Suspect::LostInstances, Standing::Holds, 20, Vec::new());
        assert_eq!(told(lost()), ELSEWHERE);
        let failed = |second: u32| {
            let mut failed = activity(second, "Terminating EC2 instance: i-3", 4, 3);
            if let Observed::Activity(activity) = &mut failed.seen {
                "At 2026-03-01T12:00:24Z an instance was taken out of service in response to an ELB system health \
                 check failure."
                    .clone_into(&mut activity.cause);
            }
            with_reason(vec![failed], Some(lost()))
        };
        assert_eq!(failed(24), OWN, "a new one");
        assert_eq!(failed(80), ELSEWHERE, "a new one, at another time");

        let sick = |standing, from, ids: &[&str]| {
            let unhealthy = |id: &&str| Clue::UnhealthyAlone {
                instance: (*id).to_owned(),
                second: 25,
                others: 3,
            };
            let pro = ids.iter().map(unhealthy).collect();
            told(reason(Suspect::SickInstance, standing, from, pro))
        };
        assert_eq!(sick(Standing::Holds, 20, &["i-1"]), ELSEWHERE);
        assert_eq!(sick(Standing::Open, 20, &["i-1"]), PERHAPS);
        assert_eq!(sick(Standing::Open, 20, &[]), PERHAPS);
        assert_eq!(sick(Standing::Holds, 20, &["i-3"]), OWN);
        assert_eq!(sick(Standing::Open, 20, &["i-3"]), OWN);
        assert_eq!(sick(Standing::Open, 15, &[]), OWN, "it begins with i-3");
        assert_eq!(sick(Standing::Excluded, 20, &[]), OWN);
    }

    #[test]
    fn a_limit_on_connections_is_shared_only_if_growth_brings_no_gain() {
        let limit = |from, pro| {
            let limit = reason(Suspect::ConnectionLimit, Standing::Holds, from, pro);
            with_reason(Vec::new(), Some(limit))
        };
        let (before, later, asked) = (300.0, 300.0, 900.0);
        let (of, to) = (2, 4);
        let without = || Clue::GrewWithoutGain {
            from: of,
            to,
            before,
            later,
            asked,
        };
        let with = || Clue::GrewWithGain {
            from: of,
            to,
            before,
            later: 600.0,
            asked,
        };
        assert_eq!(limit(20, vec![without()]), ELSEWHERE);
        assert_eq!(limit(20, vec![with()]), PERHAPS);
        assert_eq!(limit(20, Vec::new()), PERHAPS);
        assert_eq!(limit(16, Vec::new()), OWN, "it begins with i-3");
        assert_eq!(limit(16, vec![without()]), ELSEWHERE);
    }

    #[test]
    fn slow_answers_of_a_strained_generator_are_nobodys() {
        // New from 14 s to the end at 30 s: the last two seconds are slow.
        assert!(matches!(
            judged(20, 28, &[]).1,
            NewInstanceReason::SlowPerhapsNew { .. }
        ));
        assert_eq!(
            judged(20, 28, &[28]),
            (Verdict::Inconclusive, NewInstanceReason::GeneratorSaturated)
        );
        assert!(matches!(
            judged(20, 26, &[28]).1,
            NewInstanceReason::SlowPerhapsNew { .. }
        ));
        assert_eq!(judged(0, 14, &[16, 18, 20, 22, 24, 26]).0, Verdict::Passed);
    }
}
