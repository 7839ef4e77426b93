//! Instances that answer late, or fail, when they are new.

use std::collections::BTreeSet;

use super::seen::{Seen, p95};
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun, second_of};
use model::measure::Tally;

/// Factor by which a cold instance is slower than the others.
const SLOWER: u64 = 2;
/// Share of its answers that a new instance fails at first, and the divisor of that share that the
/// older ones' may have at most.
const FAILS: f64 = 0.5;
const OTHERS: f64 = 5.0;
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
    let cold: Vec<Cold<'_>> = new.iter().filter_map(|id| cold(seen, id, &new)).collect();
    let first = at_first(&cold, new.len())?;
    let is_cold = |id: &str, second: usize| {
        cold.iter()
            .any(|one| one.id == id && one.seconds.contains(&second))
    };
    let all: BTreeSet<usize> = cold.iter().flat_map(|one| one.seconds.clone()).collect();
    let bad: Vec<usize> = all.iter().copied().filter(|at| seen.bad[*at]).collect();
    let good_without = |second: &usize| {
        let rest = seen.others(*second, |id| is_cold(id, *second));
        rest.tally.requests() > 0 && seen.holds(&rest)
    };
    let explained: BTreeSet<u32> = bad
        .iter()
        .copied()
        .filter(good_without)
        .map(|second| second as u32)
        .collect();
    let without = Clue::HeldWithout {
        seconds: explained.len() as u32,
        of: bad.len() as u32,
    };
    let is_most = cold.len() * 2 >= new.len() || explained.len() * 2 >= bad.len();
    let holds = is_most && !explained.is_empty();
    let standing = if holds {
        Standing::Holds
    } else {
        Standing::Excluded
    };
    Some(
        Hypothesis::new(Suspect::ColdInstances, standing, vec![first, without])
            .explains(&explained),
    )
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
            if second > first + 1 {
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
    if failing.failed * 2 >= failing.seconds.len() {
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
