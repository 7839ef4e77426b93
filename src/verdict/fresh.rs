//! Fresh instances: do they serve at once, or do their first requests pay for it?

use std::time::Duration;

use super::Judgement;
use super::scaling::judgement;
use crate::evidence::Facts;
use crate::evidence::instances::{self, Launched, Why, after};
use crate::evidence::overload::Overload;
use crate::measure::{Merged, Select, Tally};
use crate::outcome::Verdict;
use crate::scenario::Limit;
use crate::units;

/// Errors beyond this share are a fresh instance's own, if the others make fewer.
const ERRORS: f64 = 0.01;
/// So many times the others' is an outlier.
const OUTLIER: u32 = 2;
/// Fewer requests say nothing of a percentile.
const LEAST: u64 = 20;

pub const ASKED: &str = "fresh instances serve at once";

pub fn judge(facts: &Facts<'_>) -> Option<Judgement> {
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
        let because = "no new instance could take requests before the load ended".to_owned();
        return Some(judgement(ASKED, Verdict::Inconclusive, "", because));
    }
    Some(match facts.results.names_instances() {
        true => by_header(facts, &served, fresh_for),
        false => by_inference(facts, &served, fresh_for),
    })
}

/// Instances that failed their checks before they ever took a request: replaced, and their
/// successors as well.
pub fn never_served(facts: &Facts<'_>) -> Option<Judgement> {
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
    let because = format!(
        "their health checks failed before they were ready, with a grace of {}: a health check grace longer than an instance \
         takes to start, or a launch lifecycle hook",
        units::duration(grace)
    );
    let measured = format!(
        "{} terminated before it ever served",
        units::count(young, "new instance")
    );
    Some(judgement(ASKED, Verdict::Failed, &measured, because))
}

/// First second and the one after the last in which an instance is fresh.
pub fn window(facts: &Facts<'_>, one: &Launched, fresh_for: Duration) -> Option<(u32, u32)> {
    let serves = one.serves()?;
    let second = |at| instances::second(facts.times.started, at);
    Some((second(serves)?, second(after(serves, fresh_for))? + 1))
}

/// What a new instance answered with load to spare, beside those that were not new then.
struct Compared {
    own: Merged,
    others: Merged,
    /// Errors of its own while all had too much to do.
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
    // One that never served is no peer either.
    let is_peer = |id: &str, second: u32| match fresh.iter().find(|(known, _)| *known == id) {
        Some((_, (_, until))) => second >= *until,
        None => !facts.reaction.launched.iter().any(|other| other.id == id),
    };
    let (from, until) = window(facts, one, fresh_for).unwrap_or_default();
    let last = facts.results.last_second().unwrap_or(0);
    for second in from..until.min(last + 1) {
        let of = |id: &str| facts.results.of_instance(id, Some((second, second + 1)));
        let own = of(&one.id);
        if overload.in_second(second) {
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

/// What one new instance did worse than the others.
enum Worse {
    Said(String),
    /// Nobody was there to compare it with.
    Alone(String),
}

fn worse(one: &Launched, found: &Compared, limit: Duration) -> Option<Worse> {
    let share =
        |merged: &Merged| merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64;
    let alone = found.others.tally.requests() < LEAST;
    let wrong = share(&found.own) > ERRORS;
    if wrong && (alone || share(&found.own) > share(&found.others) * f64::from(OUTLIER)) {
        let said = format!(
            "{} answered {:.0}% with errors",
            one.id,
            share(&found.own) * 100.0
        );
        return Some(if alone {
            Worse::Alone(said)
        } else {
            Worse::Said(said)
        });
    }
    let p95 = |merged: &Merged| {
        merged
            .latency
            .percentile(95.0)
            .filter(|_| merged.tally.requests() >= LEAST)
    };
    let mine = p95(&found.own).filter(|mine| *mine > limit)?;
    let said = units::duration(mine);
    match p95(&found.others) {
        None => Some(Worse::Alone(format!("{} took {said} (p95)", one.id))),
        Some(theirs) if mine > theirs * OUTLIER => {
            let theirs = units::duration(theirs);
            Some(Worse::Said(format!(
                "{} took {said} (p95) where the others took {theirs}",
                one.id
            )))
        }
        Some(_) => None,
    }
}

/// Each instance's own answers, beside those of the instances that were not fresh then, while there
/// was load to spare.
fn by_header(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Judgement {
    let limit = facts.limit.unwrap_or(Limit::ASSUMED.p95);
    let overload = &facts.overload;
    let (mut answers, mut errors, mut overloaded) = (0, 0, 0);
    let (mut found, mut alone): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for one in served {
        let compared = compared(facts, one, fresh_for, overload);
        answers += compared.own.tally.requests();
        errors += compared.own.tally.errors();
        overloaded += compared.overloaded;
        match worse(one, &compared, limit) {
            Some(Worse::Said(said)) => found.push(said),
            Some(Worse::Alone(said)) => alone.push(said),
            None => {}
        }
    }
    let measured = format!(
        "{errors} errors in {answers} answers of {}",
        units::count(served.len() as u64, "instance")
    );
    let named = served.iter().any(|one| one.first_answer.is_some());
    let because = |first: &str, all: &[String]| match all.len() - 1 {
        0 => format!("{first}, by its header"),
        more => format!("{first} (and {more} more), by its header"),
    };
    let window = units::duration(fresh_for);
    match (found.first(), alone.first()) {
        _ if !named => {
            let because =
                "no answer named a new instance: does the header name them as the group does?"
                    .to_owned();
            judgement(ASKED, Verdict::Inconclusive, "", because)
        }
        (Some(first), _) => judgement(ASKED, Verdict::Failed, &measured, because(first, &found)),
        (None, Some(first)) => {
            let because = format!(
                "{}; but no older instance was there to compare with",
                because(first, &alone)
            );
            judgement(ASKED, Verdict::Inconclusive, &measured, because)
        }
        (None, None) if answers < LEAST && overloaded > 0 => {
            let because = format!(
                "all instances had too much to do in the first {window} of each: it tells nothing"
            );
            judgement(ASKED, Verdict::Inconclusive, &measured, because)
        }
        (None, None) => {
            let spare = if overloaded > 0 {
                ", while there was load to spare"
            } else {
                ""
            };
            let because = format!("in the first {window} of each, by its header{spare}");
            judgement(ASKED, Verdict::Passed, &measured, because)
        }
    }
}

/// Without a header: errors in the first time of a new instance, as far as no instance had too much
/// to do.
fn by_inference(facts: &Facts<'_>, served: &[&Launched], fresh_for: Duration) -> Judgement {
    let mut seconds: Vec<u32> = served
        .iter()
        .filter_map(|one| window(facts, one, fresh_for))
        .flat_map(|(from, to)| from..to)
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let overload = facts.overload.sure();
    // With load to spare, and while all had too much to do.
    let (mut spare, mut over) = (Tally::default(), Tally::default());
    for second in seconds {
        let select = Select {
            seconds: Some((second, second + 1)),
            ..Select::default()
        };
        let tally = facts.results.merged(select).tally;
        match overload.in_second(second) {
            true => over.merge(&tally),
            false => spare.merge(&tally),
        }
    }
    let too_many = |tally: &Tally| tally.errors() as f64 > tally.requests() as f64 * ERRORS;
    let all = spare.requests() + over.requests();
    let said = format!(
        "{} errors in {all} requests",
        spare.errors() + over.errors()
    );
    let window = units::duration(fresh_for);
    if too_many(&spare) && overload.is_known() {
        let because = format!(
            "in the first {window} of a new instance, with load to spare: inferred, `instance_header` would say for sure"
        );
        return judgement(ASKED, Verdict::Failed, &said, because);
    }
    if too_many(&over) && spare.requests() >= LEAST {
        let because = format!(
            "in the first {window} of each, only while all instances had too much to do: none with load to spare (inferred, \
             without `instance_header`)"
        );
        return judgement(ASKED, Verdict::Passed, &said, because);
    }
    if too_many(&over) || too_many(&spare) {
        let because = format!(
            "in the first {window} of a new instance, but all instances had too much to do: `instance_header` would tell \
             whose they are"
        );
        return judgement(ASKED, Verdict::Inconclusive, &said, because);
    }
    judgement(
        ASKED,
        Verdict::Passed,
        &said,
        format!("in the first {window} of each, whoever answered"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::with_load;
    use crate::evidence::testing::{Answers, activity, group, phases, results};

    /// The load rises at 10 s; i-3 and i-4 come to help at 14 s.
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
            let judged = judge(facts).unwrap();
            (judged.verdict, judged.answer())
        })
    }

    /// Until 14 s two instances have more to do than they carry.
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
}
