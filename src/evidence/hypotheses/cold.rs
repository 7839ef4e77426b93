//! Instances that answer late, or fail, when they are new.

use std::collections::BTreeSet;
use std::ops::Range;

use super::pooled::{self, Beside};
use super::seen::{Seen, p95};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, second_of};
use model::measure::{Merged, Tally};

/// Factor by which a cold instance is slower than the others.
const SLOWER: u64 = 2;
/// Share of its answers that a new instance fails at first, and the divisor of that share that the
/// older ones' may have at most.
const FAILS: f64 = 0.5;
const OTHERS: f64 = 5.0;
/// The same share of answers that are pooled over seconds.
const FAILS_IN_PART: f64 = 0.1;
/// Fewest seconds, and fewest answers in them, that show a cold instance.
const LEAST_SECONDS: u32 = 2;
const LEAST_ANSWERS: u64 = 5;
/// Seconds after a new instance began to serve in which a limit is first missed because of it.
const SOON: usize = 4;
/// Fewest seconds that an inference rests on.
const LEAST_INFERRED: usize = 3;

/// The slow seconds of one new instance.
struct Cold<'a> {
    id: &'a str,
    seconds: BTreeSet<usize>,
    worst_us: u64,
    others_us: u64,
    /// Seconds in which it failed, and its answers and the others' in them.
    failed: usize,
    own: Tally,
    others: Tally,
    /// True if it was as well as the others afterwards.
    became_well: bool,
}

impl Cold<'_> {
    /// Returns true if it failed in half of its cold seconds.
    fn is_failing(&self) -> bool {
        self.failed * 2 >= self.seconds.len()
    }
}

/// Returns the hypothesis if new instances were slow at first: by the header that names instances,
/// else by inference.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    if seen.names_members() {
        return by_header(seen);
    }
    inferred(seen)
}

fn by_header(seen: &Seen<'_>) -> Option<Hypothesis> {
    let launched = seen.of.reaction.launched.iter();
    let new: Vec<&str> = launched
        .map(|one| one.id.as_str())
        .filter(|id| seen.of.results.first_answer(id).is_some())
        .collect();
    let mut cold: Vec<Cold<'_>> = new.iter().filter_map(|id| cold(seen, id, &new)).collect();
    if cold.is_empty() {
        return pooled_by_age(seen, &new);
    }
    // One that never becomes well is sick: by its failures, or as the slow one among well ones.
    let are_most = cold.len() * 2 >= new.len();
    cold.retain(|one| one.became_well || (are_most && !one.is_failing()));
    let first = at_first(&cold, new.len())?;
    let is_cold = |id: &str, second: usize| {
        cold.iter()
            .any(|one| one.id == id && one.seconds.contains(&second))
    };
    let all: BTreeSet<usize> = cold.iter().flat_map(|one| one.seconds.clone()).collect();
    let (explained, of) = seen.held_without(&all, is_cold);
    let without = Clue::HeldWithout {
        seconds: explained.len() as u32,
        of,
    };
    let is_most = cold.len() * 2 >= new.len() || explained.len() as u32 * 2 >= of;
    let holds = is_most && !explained.is_empty();
    let is_small = all.iter().any(|second| seen.is_pooled(*second));
    let mut found = Hypothesis::new(
        Suspect::ColdInstances,
        Standing::Holds,
        vec![first, without],
    )
    .explains(&explained);
    if !holds {
        // The few answers of single seconds exclude nothing.
        (found.standing, found.tells) = match is_small {
            true => (Standing::Open, Some(TellingRun::MoreRequests)),
            false => (Standing::Excluded, None),
        };
    }
    Some(found)
}

/// The answers of new instances by their age in seconds, beside those of the older ones in the same
/// seconds.
#[derive(Default)]
struct Age {
    seconds: BTreeSet<usize>,
    both: Beside,
}

/// Pools the answers of all new instances by their age until they are enough. Seconds with few
/// requests rarely have an answer of a new one and one of the older.
fn pooled_by_age(seen: &Seen<'_>, new: &[&str]) -> Option<Hypothesis> {
    let ages = ages(seen, new);
    let pools = pools_of(&ages);
    let is_failing = fails_in_pool(&pools.first()?.1);
    let is_cold = |both: &Beside| match is_failing {
        true => fails_in_pool(both),
        false => is_slow(seen, both),
    };
    let mut young = Beside::default();
    let cold: Vec<&(Range<usize>, Beside)> =
        pools.iter().take_while(|(_, both)| is_cold(both)).collect();
    for (_, both) in &cold {
        young.merge(both);
    }
    let until = cold.last()?.0.end;
    let is_bad = |own: &Merged| match is_failing {
        true => own.tally.errors() > 0,
        false => p95(&own.latency).is_some_and(|p95| p95 > seen.limit_us()),
    };
    let last = |age: &Age| is_bad(&age.both.own);
    let for_s = ages[..until].iter().rposition(last)? + 1;
    let well = ages[for_s..]
        .iter()
        .map(|age| age.both.own.tally.requests());
    let (mut standing, mut tells) =
        pooled::standing(young.chance(seen, is_failing), young.is_enough())?;
    if cold.len() == pools.len() && well.sum::<u64>() < LEAST_ANSWERS {
        // One that never becomes well is no cold one.
        (standing, tells) = (Standing::Open, Some(TellingRun::MoreRequests));
    }
    let seconds = ages[..for_s].iter().flat_map(|age| age.seconds.clone());
    let seconds: BTreeSet<usize> = seconds.collect();
    let is_young = |id: &str, second: usize| {
        let first = || Some(seen.of.results.first_answer(id)?.as_secs() as usize);
        new.contains(&id) && first().is_some_and(|first| (first..first + for_s).contains(&second))
    };
    let (explained, of) = seen.held_without(&seconds, is_young);
    let is_bad_then = |id: &&&str| {
        let mut young = seconds.iter().filter(|second| is_young(id, **second));
        young.any(|second| is_bad(&seen.own(id, *second)))
    };
    let instances = new.iter().filter(is_bad_then).count() as u32;
    let clue = of_pool(
        &young,
        (instances, new.len() as u32),
        for_s as u32,
        is_failing,
    );
    let without = Clue::HeldWithout {
        seconds: explained.len() as u32,
        of,
    };
    let mut found = Hypothesis::new(Suspect::ColdInstances, standing, vec![clue, without]);
    found.tells = tells;
    let is_long = for_s >= LEAST_SECONDS as usize && !explained.is_empty();
    is_long.then(|| found.explains(&explained))
}

/// Divides ages into pools, each with enough answers. What is left belongs to the last one.
fn pools_of(ages: &[Age]) -> Vec<(Range<usize>, Beside)> {
    let mut found: Vec<(Range<usize>, Beside)> = Vec::new();
    let (mut from, mut both) = (0, Beside::default());
    for (index, age) in ages.iter().enumerate() {
        both.merge(&age.both);
        if both.is_enough() {
            found.push((from..index + 1, std::mem::take(&mut both)));
            from = index + 1;
        }
    }
    match found.last_mut() {
        Some((range, last)) => {
            range.end = ages.len();
            last.merge(&both);
        }
        None => found.push((0..ages.len(), both)),
    }
    found
}

fn ages(seen: &Seen<'_>, new: &[&str]) -> Vec<Age> {
    let mut ages: Vec<Age> = Vec::new();
    for id in new {
        let first = seen.of.results.first_answer(id);
        let first = first.map_or(usize::MAX, |first| first.as_secs() as usize);
        for second in first..seen.merged.len() {
            let index = second - first;
            if ages.len() <= index {
                ages.push(Age::default());
            }
            let age = &mut ages[index];
            age.both.own.merge(&seen.own(id, second));
            if age.seconds.insert(second) {
                let old = seen.others(second, |other| new.contains(&other));
                age.both.others.merge(&old);
            }
        }
    }
    ages
}

fn is_slow(seen: &Seen<'_>, both: &Beside) -> bool {
    let (own, others) = (p95(&both.own.latency), p95(&both.others.latency));
    own.zip(others).is_some_and(|(own, others)| {
        let limit = seen.limit_us();
        own > limit && others <= limit && own >= others * SLOWER
    })
}

/// Returns true if new instances fail a good part of their answers, and the older ones hardly any.
fn fails_in_pool(both: &Beside) -> bool {
    let share =
        |merged: &Merged| merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64;
    share(&both.own) >= FAILS_IN_PART && share(&both.others) <= share(&both.own) / OTHERS
}

fn of_pool(both: &Beside, (instances, of): (u32, u32), for_s: u32, is_failing: bool) -> Clue {
    let share = |tally: &Tally| tally.errors() as f64 / tally.requests().max(1) as f64;
    match is_failing {
        true => Clue::FailedAtFirst {
            instances,
            of,
            share: share(&both.own.tally),
            others: share(&both.others.tally),
            for_s,
        },
        false => Clue::SlowAtFirst {
            instances,
            of,
            p95_us: p95(&both.own.latency).unwrap_or(0),
            others_us: p95(&both.others.latency).unwrap_or(0),
            for_s,
        },
    }
}

/// Returns the seconds from an instance's first answer in which it was slower than the limit and
/// than the older ones.
fn cold<'a>(seen: &Seen<'_>, id: &'a str, new: &[&str]) -> Option<Cold<'a>> {
    let first = seen.of.results.first_answer(id)?.as_secs() as usize;
    let mut found = Cold {
        id,
        seconds: BTreeSet::new(),
        worst_us: 0,
        others_us: 0,
        failed: 0,
        own: Tally::default(),
        others: Tally::default(),
        became_well: false,
    };
    let mut answers = 0;
    for second in first..seen.merged.len() {
        let own = seen.own(id, second);
        let Some(own_us) = p95(&own.latency) else {
            continue;
        };
        let old = seen.others(second, |other| new.contains(&other));
        let Some(others_us) = p95(&old.latency) else {
            continue;
        };
        let is_slow = own_us > seen.limit_us() && own_us >= others_us * SLOWER;
        let is_failing = fails(&own.tally, &old.tally);
        if is_failing {
            found.failed += 1;
            found.own.merge(&own.tally);
            found.others.merge(&old.tally);
        }
        if !is_slow && !is_failing {
            // The first second has few answers; after that it is warm.
            found.became_well = second > first + 1;
            if found.became_well {
                break;
            }
            continue;
        }
        answers += own.tally.requests();
        found.seconds.insert(second);
        if own_us > found.worst_us {
            (found.worst_us, found.others_us) = (own_us, others_us);
        }
    }
    let is_enough = found.seconds.len() as u32 >= LEAST_SECONDS && answers >= LEAST_ANSWERS;
    is_enough.then_some(found)
}

/// Returns true if an instance fails most of its answers, and the older ones hardly any.
fn fails(own: &Tally, others: &Tally) -> bool {
    let share = |tally: &Tally| tally.errors() as f64 / tally.requests().max(1) as f64;
    share(own) >= FAILS && share(others) <= share(own) / OTHERS
}

/// Returns the clue on the worst of the cold instances.
fn at_first(cold: &[Cold<'_>], new: usize) -> Option<Clue> {
    let for_s = cold.iter().map(|one| one.seconds.len() as u32).max()?;
    let (instances, of) = (cold.len() as u32, new as u32);
    let share = |tally: &Tally| tally.errors() as f64 / tally.requests().max(1) as f64;
    let failing = cold.iter().max_by_key(|one| one.failed)?;
    if failing.is_failing() {
        return Some(Clue::FailedAtFirst {
            instances,
            of,
            share: share(&failing.own),
            others: share(&failing.others),
            for_s,
        });
    }
    let worst = cold.iter().max_by_key(|one| one.worst_us)?;
    Some(Clue::SlowAtFirst {
        instances,
        of,
        p95_us: worst.worst_us,
        others_us: worst.others_us,
        for_s,
    })
}

/// Infers cold instances without a header: latency at a load that had held before, from the time at
/// which a new instance began to serve.
fn inferred(seen: &Seen<'_>) -> Option<Hypothesis> {
    let contradicted = seen.contradicted();
    let serves: Vec<usize> = seen
        .of
        .reaction
        .launched
        .iter()
        .filter_map(|one| second_of(seen.of.times, one.serves()?))
        .map(|second| second as usize)
        .collect();
    let slow = |second: &usize| {
        let p95 = seen.of.load.get(*second).and_then(|load| load.p95);
        p95.is_some_and(|p95| p95 > seen.limit_us())
    };
    let slow: Vec<usize> = contradicted.iter().copied().filter(slow).collect();
    let first = *slow.first()?;
    let began = serves
        .iter()
        .find(|serves| (**serves..**serves + SOON).contains(&(first + 1)))?;
    let limit = slow.len() >= LEAST_INFERRED;
    let (each, held) = (seen.each(first)?, seen.held_before(first)?);
    let clues = vec![
        Clue::SinceNewInstance {
            second: *began as u32,
        },
        Clue::MissedBelow {
            missed: each,
            held,
            seconds: slow.len() as u32,
        },
    ];
    let seconds = slow.iter().map(|second| *second as u32).collect();
    limit.then(|| {
        Hypothesis::new(Suspect::ColdInstances, Standing::Open, clues)
            .explains(&seconds)
            .told_by(TellingRun::InstanceHeader)
    })
}
