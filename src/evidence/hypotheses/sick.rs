//! One instance that fails or is slow while the others are well, and one that gets more requests
//! than the others.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

mod health; // an instance that fails its health checks alone
mod together; // several that fail at the same time

use self::health::Unwell;
use super::pooled::{self, Beside};
use super::seen::{Seen, median, p95};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, second_of};
use crate::instances::Why;
use crate::load::ERRORS;
use model::measure::Merged;

/// Share of an instance's answers that fail while it is sick: in a second, and in a pool of seconds.
const FAILS: f64 = 0.5;
const FAILS_IN_PART: f64 = 0.1;
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
/// Bad answers to expect at the end of an instance's life, from which their absence is no chance.
const EXPECTED: f64 = 5.0;
/// Divisor of all instances: up to that part of them may differ from the others in pools.
const MINORITY: usize = 3;
/// Most instances that are compared with all others: of more, the worst.
const MOST_INSTANCES: usize = 64;
/// Factor over an even share from which the load counts as uneven.
const UNEVEN: f64 = 1.5;
/// Factors around one instance's share of all, within which the share of errors may lie.
const ABOUT: (f64, f64) = (0.6, 1.5);
/// Fewest seconds in a row with that share.
const LEAST_IN_A_ROW: usize = 5;

/// Returns the hypotheses on single instances: by the header that names them, else by inference. An
/// instance that fails its health checks alone agrees with either, or is named by that.
pub(super) fn all(seen: &Seen<'_>) -> Vec<Hypothesis> {
    let unwell = health::alone(seen);
    let (ids, of) = match seen.of.results.names_instances() {
        true => (worst(seen), seen.of.results.instances().count()),
        false => (Vec::new(), 0),
    };
    let one = |id: &&str| {
        let (look, mut found) = by_header(seen, id, of)?;
        let agrees = unwell.iter().find(|unwell| unwell.id == *id);
        if found.suspect == Suspect::SickInstance {
            found.pro.extend(agrees.map(Unwell::clue));
        }
        Some((look, found))
    };
    let mut found: Vec<(Look, Hypothesis)> = ids.iter().filter_map(one).collect();
    // Many that fail in part are weaker than the others, and not sick.
    let pooled = found.iter().filter(|(look, _)| *look == Look::Pooled);
    if pooled.count() > usize::max(of / MINORITY, 1) {
        found.retain(|(look, _)| *look == Look::Alone);
    }
    let mut found: Vec<Hypothesis> = found.into_iter().map(|(_, one)| one).collect();
    if found.is_empty() {
        found = together::all(seen);
    }
    // A header that errors never carry names no instance that fails.
    match found.is_empty() && !seen.errors_are_named() {
        true => nameless(seen, &unwell).into_iter().collect(),
        false => found,
    }
}

/// Returns the instances to compare with all others: of very many, those with the most failed
/// answers and the slowest ones.
fn worst<'a>(seen: &Seen<'a>) -> Vec<&'a str> {
    let results = seen.of.results;
    let mut ids: Vec<&str> = results.instances().collect();
    if ids.len() <= MOST_INSTANCES {
        return ids;
    }
    let own = |id: &str| results.of_instance(id, None);
    ids.sort_by_cached_key(|id| Reverse(p95(&own(id).latency)));
    let mut found: Vec<&str> = ids.iter().take(MOST_INSTANCES / 2).copied().collect();
    ids.retain(|id| !found.contains(id));
    ids.sort_by_cached_key(|id| Reverse(own(id).tally.errors()));
    found.extend(ids.into_iter().take(MOST_INSTANCES / 2));
    found
}

/// Infers a sick instance without a header: by the share of requests that fail, and by health. Both
/// together name the instance, and it holds if limits held again once that one was out.
fn nameless(seen: &Seen<'_>, unwell: &[Unwell<'_>]) -> Option<Hypothesis> {
    let mut by_health = unwell.iter().filter_map(|one| health::inferred(seen, one));
    let Some((mut found, seconds)) = one_in_n(seen) else {
        // A header that names instances shows slow ones.
        return by_health
            .next()
            .filter(|_| !seen.of.results.names_instances());
    };
    if let Some(named) = unwell.iter().find(|one| one.explains(seen, &seconds)) {
        found.pro.push(named.clue());
        if let Some(cure) = named.cure(seen, &seconds) {
            found.pro.push(cure);
            found.standing = Standing::Holds;
            found.tells = None;
        }
    }
    Some(found)
}

/// The symptoms of an instance in one second or pool.
#[derive(Clone, Copy, PartialEq)]
enum Symptom {
    Fails,
    Slow,
}

/// Returns the symptom of an instance that fails at least this share of its answers, or is slow.
fn symptom(seen: &Seen<'_>, both: &Beside, fails: f64) -> Option<Symptom> {
    let (own, others) = (&both.own, &both.others);
    let share =
        |merged: &Merged| merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64;
    if own.tally.requests() == 0 || others.tally.requests() == 0 {
        return None;
    }
    if share(own) >= fails && share(others) <= share(own) / OTHERS {
        return Some(Symptom::Fails);
    }
    let (own, others) = (p95(&own.latency)?, p95(&others.latency)?);
    let limit = seen.limit_us();
    (own > limit && others <= limit && own >= others * SLOWER).then_some(Symptom::Slow)
}

/// The way in which the seconds of an instance's life are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    /// Each by itself.
    Alone,
    /// In pools with enough answers.
    Pooled,
}

/// A stretch of seconds in which an instance is sick.
struct Stretch {
    /// Its place among all stretches of the instance's life.
    index: usize,
    seconds: Range<usize>,
    symptom: Symptom,
    both: Beside,
}

/// The sick stretches of one instance.
struct Sick<'a> {
    id: &'a str,
    stretches: Vec<Stretch>,
    all: Beside,
    look: Look,
}

impl Sick<'_> {
    fn seconds(&self) -> usize {
        self.stretches.iter().map(|one| one.seconds.len()).sum()
    }

    fn is_failing(&self) -> bool {
        let fails = |one: &&Stretch| one.symptom == Symptom::Fails;
        self.stretches.iter().filter(fails).count() * 2 >= self.stretches.len()
    }

    /// Returns true if the instance stays slow for long: a backlog would become shorter.
    fn stays(&self) -> bool {
        let third = self.stretches.len() / 3;
        let usual = |part: &[Stretch]| {
            median(part.iter().filter_map(|one| p95(&one.both.own.latency))).unwrap_or(0)
        };
        let (early, late) = (
            usual(&self.stretches[..third]),
            usual(&self.stretches[self.stretches.len() - third..]),
        );
        self.seconds() >= LONG && late as f64 >= early as f64 * AS_SLOW
    }

    /// Returns the standing: what shows second by second holds, and what is pooled has to be no
    /// chance. `of` is the number of instances, each of which might be the one by chance.
    fn standing(&self, seen: &Seen<'_>, of: usize) -> Option<(Standing, Option<TellingRun>)> {
        if self.look == Look::Alone {
            return Some((Standing::Holds, None));
        }
        let chance = self.all.chance(seen, self.is_failing()) * of as f64;
        let is_enough = self.stretches.iter().all(|one| one.both.is_enough());
        pooled::standing(chance, is_enough)
    }

    fn clue(&self) -> Clue {
        let (own, others) = (&self.all.own.tally, &self.all.others.tally);
        match self.is_failing() {
            true => Clue::OneFailed {
                instance: self.id.to_owned(),
                share: own.errors() as f64 / own.requests() as f64,
                others: others.errors() as f64 / others.requests().max(1) as f64,
            },
            false => Clue::OneSlow {
                instance: self.id.to_owned(),
                p95_us: p95(&self.all.own.latency).unwrap_or(0),
                others_us: p95(&self.all.others.latency).unwrap_or(0),
            },
        }
    }
}

/// Tests one instance of this many against the others: second by second, or else in pools of
/// seconds, which also show an instance that fails in part.
fn by_header(seen: &Seen<'_>, id: &str, of: usize) -> Option<(Look, Hypothesis)> {
    let (from, until) = life(seen, id)?;
    let each: Vec<Range<usize>> = (from..until).map(|second| second..second + 1).collect();
    if let Some(found) = in_stretches(seen, id, &each, Look::Alone, of) {
        return Some((Look::Alone, found));
    }
    let pools = pooled::pools(seen, id, from..until);
    let found = in_stretches(seen, id, &pools, Look::Pooled, of)?;
    Some((Look::Pooled, found))
}

fn in_stretches(
    seen: &Seen<'_>,
    id: &str,
    life: &[Range<usize>],
    look: Look,
    of: usize,
) -> Option<Hypothesis> {
    let sick = sick(seen, id, life, look)?;
    let (first, last) = (sick.stretches.first()?, sick.stretches.last()?);
    let is_failing = sick.is_failing();
    let is_plain = is_failing && look == Look::Alone;
    let may_be_a_queue = is_failing || !sick.stays();
    if !is_plain && may_be_a_queue && were_others_bad(seen, life, (id, first), look) {
        return None;
    }
    let (standing, tells) = sick.standing(seen, of)?;
    let span: BTreeSet<usize> = (first.seconds.start..last.seconds.end).collect();
    let (explained, of) = seen.held_without(&span, |other, _| other == id);
    if !is_failing && explained.is_empty() {
        // Slow, but no limit was missed for it.
        return None;
    }
    let own = &sick.all.own.tally;
    let fails_in_part = (own.errors() as f64) < own.requests() as f64 * FAILS;
    let times = uneven(seen, &sick);
    let mut found = match fails_in_part && times > UNEVEN {
        true => {
            let instance = id.to_owned();
            let more = Clue::MoreThanEven { instance, times };
            Hypothesis::new(Suspect::UnevenLoad, standing, vec![more, sick.clue()])
        }
        false => {
            let seconds = explained.len() as u32;
            let without = Clue::HeldWithout { seconds, of };
            Hypothesis::new(Suspect::SickInstance, standing, vec![sick.clue(), without])
        }
    };
    found.tells = tells;
    Some(found.explains(&explained))
}

/// Returns the sick stretches of an instance's life, if they are steady and no cold start.
fn sick<'a>(seen: &Seen<'_>, id: &'a str, life: &[Range<usize>], look: Look) -> Option<Sick<'a>> {
    let fails = match look {
        Look::Alone => FAILS,
        Look::Pooled => FAILS_IN_PART,
    };
    let mut found = Sick {
        id,
        stretches: Vec::new(),
        all: Beside::default(),
        look,
    };
    // Stretches with answers, from the first sick one on and up to the last.
    let (mut answered, mut between) = (0, 0);
    for (index, seconds) in life.iter().enumerate() {
        let mut both = Beside::default();
        seconds
            .clone()
            .for_each(|second| both.own.merge(&seen.own(id, second)));
        let is_there = both.own.tally.requests() > 0;
        answered += usize::from(is_there && !found.stretches.is_empty());
        if !is_suspect(seen, &both.own) {
            continue;
        }
        for second in seconds.clone() {
            both.others.merge(&seen.others(second, |other| other == id));
        }
        if let Some(symptom) = symptom(seen, &both, fails) {
            answered = answered.max(1);
            between = answered;
            found.all.merge(&both);
            found.stretches.push(Stretch {
                index,
                seconds: seconds.clone(),
                symptom,
                both,
            });
        }
    }
    let first = found.stretches.first()?.index;
    let is_steady = found.stretches.len() as f64 >= between as f64 * STEADY;
    if found.seconds() < LEAST_SECONDS
        || found.all.own.tally.requests() < LEAST_ANSWERS
        || !is_steady
    {
        return None;
    }
    // A new instance that is sick at first, and well later, is cold.
    let is_new = seen.of.reaction.launched.iter().any(|one| one.id == id);
    let is_cold = match look {
        Look::Alone => first <= 1 && answered > between + LEAST_SECONDS,
        Look::Pooled => first == 0 && is_well_later(seen, id, life),
    };
    (!(is_new && is_cold)).then_some(found)
}

/// Returns true if an instance's last answers are well, and by the share of the earlier ones some of
/// them would have been bad.
fn is_well_later(seen: &Seen<'_>, id: &str, life: &[Range<usize>]) -> bool {
    let seconds = life.iter().cloned().flatten();
    let own: Vec<Merged> = seconds.map(|second| seen.own(id, second)).collect();
    let requests = |part: &[Merged]| part.iter().map(|one| one.tally.requests()).sum::<u64>();
    let is_bad = |one: &&Merged| is_suspect(seen, one);
    let last = own.iter().rposition(|one| is_suspect(seen, one));
    let (early, late) = own.split_at(last.map_or(0, |last| last + 1));
    let bad: Vec<Merged> = early.iter().filter(is_bad).cloned().collect();
    let share = requests(&bad) as f64 / requests(early).max(1) as f64;
    requests(late) as f64 * share >= EXPECTED
}

/// Returns true if an instance's answers alone miss the limits.
fn is_suspect(seen: &Seen<'_>, one: &Merged) -> bool {
    one.tally.errors() > 0 || p95(&one.latency).is_some_and(|p95| p95 > seen.limit_us())
}

/// Returns true if the others missed the limits just before: then the instance is the last to answer
/// its queue.
fn were_others_bad(
    seen: &Seen<'_>,
    life: &[Range<usize>],
    (id, first): (&str, &Stretch),
    look: Look,
) -> bool {
    if look == Look::Alone {
        let from = first.seconds.start;
        return (from.saturating_sub(LEAST_SECONDS)..from).any(|second| seen.bad[second]);
    }
    let Some(before) = first.index.checked_sub(1).and_then(|at| life.get(at)) else {
        return false;
    };
    let until = first.seconds.start;
    let from = before.start.min(until.saturating_sub(LEAST_SECONDS));
    let mut others = Merged::default();
    (from..until).for_each(|second| others.merge(&seen.others(second, |other| other == id)));
    !seen.holds(&others)
}

/// Returns the seconds from an instance's first answer until it leaves, or until the load ends.
fn life(seen: &Seen<'_>, id: &str) -> Option<(usize, usize)> {
    let from = seen.of.results.first_answer(id)?.as_secs() as usize;
    let left = seen.of.reaction.left.iter().find(|one| one.id == id);
    let end = seen.merged.len();
    let until = left.and_then(|one| {
        if one.why == Why::FailedChecks {
            // Its last requests failed as its checks did.
            return Some(second_of(seen.of.times, one.began.at)? as usize);
        }
        let began = one.began.at.checked_sub(one.began.within).ok()?;
        // Requests that were under way when it left are lost for that reason.
        Some((second_of(seen.of.times, began)? as usize).saturating_sub(1))
    });
    let until = until.unwrap_or(end);
    Some((from, until.min(end)))
}

/// Returns the instance's requests in its sick stretches, divided by an even share of all.
fn uneven(seen: &Seen<'_>, sick: &Sick<'_>) -> f64 {
    let (mut own, mut even) = (0.0, 0.0);
    for stretch in &sick.stretches {
        let requests = |id: &str| -> u64 {
            let seconds = stretch.seconds.clone();
            seconds.map(|at| seen.own(id, at).tally.requests()).sum()
        };
        let each: Vec<u64> = seen
            .of
            .results
            .instances()
            .map(requests)
            .filter(|requests| *requests > 0)
            .collect();
        own += stretch.both.own.tally.requests() as f64;
        even += each.iter().sum::<u64>() as f64 / each.len().max(1) as f64;
    }
    own / f64::max(even, 1.0)
}

/// Infers a sick instance without a header: errors without latency, whose share is that of one
/// instance in all. They come at a load that had held before, or from the start on, before the load
/// rises. The seconds of that share come with it.
fn one_in_n(seen: &Seen<'_>) -> Option<(Hypothesis, BTreeSet<u32>)> {
    let contradicted = seen.contradicted();
    let rose = seen.spikes.first().map_or(0, |spike| spike.start);
    let mut row: Vec<usize> = Vec::new();
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for second in 0..seen.bad.len() {
        let is_early = |row: &Vec<usize>| row.len() >= LEAST_IN_A_ROW && row[0] < rose;
        let is_from_the_start = *row.first().unwrap_or(&second) < rose || rows.iter().any(is_early);
        let was_never_held = || is_from_the_start && seen.held_before(second).is_none();
        let is_suspect = || contradicted.contains(&second) || was_never_held();
        if is_one_in_n(seen, second) && is_suspect() {
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
    let sick = Hypothesis::new(Suspect::SickInstance, Standing::Open, vec![clue])
        .explains(&found)
        .told_by(TellingRun::InstanceHeader);
    Some((sick, found))
}

fn is_one_in_n(seen: &Seen<'_>, second: usize) -> bool {
    let Some(pool) = seen.pool_of(second) else {
        return false;
    };
    let loads = || seen.of.load[pool.clone()].iter();
    let errors: u64 = loads().map(|load| load.errors).sum();
    let requests = errors + loads().map(|load| load.ok).sum::<u64>();
    let share = errors as f64 / requests.max(1) as f64;
    let is_quick = loads().all(|load| load.p95.is_none_or(|p95| p95 <= seen.limit_us()));
    is_quick && share > ERRORS && is_about(share, f64::from(seen.serving(second)))
}

/// Returns true if a share of errors is about that of one of several instances.
pub(super) fn is_about(share: f64, instances: f64) -> bool {
    let expected = 1.0 / instances.max(1.0);
    instances > 1.0 && (expected * ABOUT.0..=expected * ABOUT.1).contains(&share)
}
