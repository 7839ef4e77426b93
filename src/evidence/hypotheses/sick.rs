//! One instance that fails or is slow while the others are well, and one that gets more requests
//! than the others.

use std::collections::BTreeSet;

use super::seen::{Seen, median, p95};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, second_of};
use crate::load::ERRORS;
use model::measure::Merged;

/// Share of an instance's answers that fail while it is sick.
const FAILS: f64 = 0.5;
/// Divisor of its error share that the others' may have at most.
const OTHERS: f64 = 5.0;
/// Factor by which a sick instance is slower than the others.
const SLOWER: u64 = 3;
/// Fewest seconds, and fewest answers in them, that show a sick instance.
const LEAST_SECONDS: usize = 3;
const LEAST_ANSWERS: u64 = 10;
/// Share of the seconds from the first to the last sick one in which it must be sick.
const STEADY: f64 = 0.7;
/// Seconds after an overload for which an instance must stay slow, and the share of its first
/// latency that the last must have.
const LONG: usize = 10;
const AS_SLOW: f64 = 0.8;
/// Most instances that are compared with all others.
const MOST_INSTANCES: usize = 64;
/// Factor over an even share from which the load counts as uneven.
const UNEVEN: f64 = 1.5;
/// Factors around one instance's share of all, within which the share of errors may lie.
const ABOUT: (f64, f64) = (0.6, 1.5);
/// Fewest seconds in a row with that share.
const LEAST_IN_A_ROW: usize = 5;

/// Returns the hypotheses on single instances: by the header that names them, else by inference.
pub(super) fn all(seen: &Seen<'_>) -> Vec<Hypothesis> {
    let mut ids: Vec<&str> = Vec::new();
    if seen.of.results.names_instances() {
        ids.extend(seen.of.results.instances().take(MOST_INSTANCES));
    }
    let found: Vec<Hypothesis> = ids.iter().filter_map(|id| by_header(seen, id)).collect();
    let errors_named = ids
        .iter()
        .any(|id| seen.of.results.of_instance(id, None).tally.errors() > 0);
    // A header that errors never carry names no instance that fails.
    match found.is_empty() && !errors_named {
        true => one_in_n(seen).into_iter().collect(),
        false => found,
    }
}

/// The symptoms of an instance in one second.
#[derive(Clone, Copy, PartialEq)]
enum Symptom {
    Fails,
    Slow,
}

fn symptom(seen: &Seen<'_>, own: &Merged, others: &Merged) -> Option<Symptom> {
    let share =
        |merged: &Merged| merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64;
    if own.tally.requests() == 0 || others.tally.requests() == 0 {
        return None;
    }
    if share(own) >= FAILS && share(others) <= share(own) / OTHERS {
        return Some(Symptom::Fails);
    }
    let (own, others) = (p95(&own.latency)?, p95(&others.latency)?);
    let limit = seen.limit_us();
    (own > limit && others <= limit && own >= others * SLOWER).then_some(Symptom::Slow)
}

/// Tests one instance against the others, second by second.
fn by_header(seen: &Seen<'_>, id: &str) -> Option<Hypothesis> {
    let (from, until) = life(seen, id)?;
    let mut sick: Vec<(usize, Symptom)> = Vec::new();
    let (mut own, mut others) = (Merged::default(), Merged::default());
    let mut answered = 0;
    for second in from..until {
        let one = seen.own(id, second);
        answered += usize::from(!sick.is_empty() && one.tally.requests() > 0);
        if !is_suspect(seen, &one) {
            continue;
        }
        let rest = seen.others(second, |other| other == id);
        if let Some(symptom) = symptom(seen, &one, &rest) {
            sick.push((second, symptom));
            own.merge(&one);
            others.merge(&rest);
        }
    }
    let (first, last) = (sick.first()?.0, sick.last()?.0);
    let between = (first..=last)
        .filter(|second| seen.own(id, *second).tally.requests() > 0)
        .count();
    let is_steady = sick.len() as f64 >= between as f64 * STEADY;
    if sick.len() < LEAST_SECONDS || own.tally.requests() < LEAST_ANSWERS || !is_steady {
        return None;
    }
    // The others were slow as well just before: the instance is the last to answer its queue.
    let was_bad = (first.saturating_sub(LEAST_SECONDS)..first).any(|second| seen.bad[second]);
    let fails = sick.iter().filter(|(_, is)| *is == Symptom::Fails).count();
    let is_failing = fails * 2 >= sick.len();
    if was_bad && !is_failing && !stays(seen, id, &sick) {
        return None;
    }
    // A new instance that is sick at first, and well later, is cold.
    let is_new = seen.of.reaction.launched.iter().any(|one| one.id == id);
    if is_new && first <= from + 1 && answered > between + LEAST_SECONDS {
        return None;
    }
    let explained = explained(seen, id, first, last);
    if !is_failing && explained.is_empty() {
        // Slow, but no limit was missed for it.
        return None;
    }
    let rest_bad = seen.bad_in(first..last + 1).count();
    let even = uneven(seen, id, &sick);
    if !is_failing && even > UNEVEN {
        let clue = Clue::MoreThanEven {
            instance: id.to_owned(),
            times: even,
        };
        let slow = slow(id, &own, &others);
        return Some(
            Hypothesis::new(Suspect::UnevenLoad, Standing::Holds, vec![clue, slow])
                .explains(&explained),
        );
    }
    let clue = if is_failing {
        Clue::OneFailed {
            instance: id.to_owned(),
            share: own.tally.errors() as f64 / own.tally.requests() as f64,
            others: others.tally.errors() as f64 / others.tally.requests().max(1) as f64,
        }
    } else {
        slow(id, &own, &others)
    };
    let without = Clue::HeldWithout {
        seconds: explained.len() as u32,
        of: rest_bad as u32,
    };
    Some(
        Hypothesis::new(Suspect::SickInstance, Standing::Holds, vec![clue, without])
            .explains(&explained),
    )
}

/// Returns true if an instance's answers alone miss the limits.
fn is_suspect(seen: &Seen<'_>, one: &Merged) -> bool {
    one.tally.errors() > 0 || p95(&one.latency).is_some_and(|p95| p95 > seen.limit_us())
}

/// Returns true if an instance stays slow for long: a backlog would become shorter.
fn stays(seen: &Seen<'_>, id: &str, sick: &[(usize, Symptom)]) -> bool {
    let third = sick.len() / 3;
    let usual = |part: &[(usize, Symptom)]| {
        median(
            part.iter()
                .filter_map(|(at, _)| p95(&seen.own(id, *at).latency)),
        )
        .unwrap_or(0)
    };
    let (early, late) = (usual(&sick[..third]), usual(&sick[sick.len() - third..]));
    sick.len() >= LONG && late as f64 >= early as f64 * AS_SLOW
}

fn slow(id: &str, own: &Merged, others: &Merged) -> Clue {
    Clue::OneSlow {
        instance: id.to_owned(),
        p95_us: p95(&own.latency).unwrap_or(0),
        others_us: p95(&others.latency).unwrap_or(0),
    }
}

/// Returns the seconds from an instance's first answer until it leaves, or until the load ends.
fn life(seen: &Seen<'_>, id: &str) -> Option<(usize, usize)> {
    let from = seen.of.results.first_answer(id)?.as_secs() as usize;
    let left = seen.of.reaction.left.iter().find(|one| one.id == id);
    let left = left.and_then(|one| {
        let began = one.began.at.checked_sub(one.began.within).ok()?;
        second_of(seen.of.times, began)
    });
    let end = seen.merged.len();
    // Requests that were under way when it left are lost for that reason.
    let until = left.map_or(end, |left| (left as usize).saturating_sub(1));
    Some((from, until.min(end)))
}

/// Returns the seconds that hold the limits without the instance's answers.
fn explained(seen: &Seen<'_>, id: &str, first: usize, last: usize) -> BTreeSet<u32> {
    seen.bad_in(first..last + 1)
        .filter(|second| {
            let others = seen.others(*second, |other| other == id);
            others.tally.requests() > 0 && seen.holds(&others)
        })
        .map(|second| second as u32)
        .collect()
}

/// Returns the instance's requests in its sick seconds, divided by an even share of all.
fn uneven(seen: &Seen<'_>, id: &str, sick: &[(usize, Symptom)]) -> f64 {
    let (mut own, mut even) = (0.0, 0.0);
    for (second, _) in sick {
        let answering = seen.of.results.instances();
        let each: Vec<u64> = answering
            .map(|other| seen.own(other, *second).tally.requests())
            .filter(|requests| *requests > 0)
            .collect();
        own += seen.own(id, *second).tally.requests() as f64;
        even += each.iter().sum::<u64>() as f64 / each.len().max(1) as f64;
    }
    own / f64::max(even, 1.0)
}

/// Infers a sick instance without a header: errors without latency, at a load that had held before,
/// whose share is that of one instance in all.
fn one_in_n(seen: &Seen<'_>) -> Option<Hypothesis> {
    let contradicted = seen.contradicted();
    let mut row: Vec<usize> = Vec::new();
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for second in 0..seen.bad.len() {
        let fits = contradicted.contains(&second) && is_one_in_n(seen, second);
        if fits {
            row.push(second);
        } else if !row.is_empty() {
            rows.push(std::mem::take(&mut row));
        }
    }
    rows.push(row);
    let found: BTreeSet<u32> = rows
        .into_iter()
        .filter(|row| row.len() >= LEAST_IN_A_ROW)
        .flatten()
        .map(|second| second as u32)
        .collect();
    let first = *found.first()? as usize;
    let tally = seen.tally(found.iter().map(|second| *second as usize));
    let clue = Clue::OneInN {
        share: tally.errors() as f64 / tally.requests().max(1) as f64,
        instances: seen.serving(first),
    };
    Some(
        Hypothesis::new(Suspect::SickInstance, Standing::Open, vec![clue])
            .explains(&found)
            .told_by(TellingRun::InstanceHeader),
    )
}

fn is_one_in_n(seen: &Seen<'_>, second: usize) -> bool {
    let Some(load) = seen.of.load.get(second) else {
        return false;
    };
    let serving = seen.serving(second);
    let requests = load.ok + load.errors;
    let share = load.errors as f64 / requests.max(1) as f64;
    let expected = 1.0 / f64::from(serving.max(1));
    let is_quick = load.p95.is_none_or(|p95| p95 <= seen.limit_us());
    serving > 1
        && is_quick
        && share > ERRORS
        && (expected * ABOUT.0..=expected * ABOUT.1).contains(&share)
}
