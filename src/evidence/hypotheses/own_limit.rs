//! Refusals that name their instance: whether each instance refuses what is over a limit of its own.
//! A limit of the whole leaves each instance less as their number grows, and refuses the same share of
//! the requests at each of them.

use std::collections::BTreeMap;

use super::Clue;
use super::bottleneck::GROWN;
use super::seen::{NEARLY, Seen, mean, median};
use model::measure::Tally;

/// Share of its requests from which an instance is one that refuses.
const REFUSES: f64 = 0.05;
/// Share of an even part from which an instance takes part in the load.
const EVEN: f64 = 0.5;
/// Fewest seconds of one number of instances.
const LEAST_S: usize = 3;
/// Factor by which one instance must get more requests than another for their answers to differ.
const UNEVEN: f64 = 1.3;
/// Share of the change that a limit of the whole makes, up to which there was none.
const NONE: f64 = 0.3;
/// The same from which there was one.
const WHOLE: f64 = 0.7;
/// Least good answers of an instance that refuses, as a share of those of one that refuses less.
const AS_MUCH: f64 = 0.8;

/// A limit that each instance has for itself.
pub(super) struct OwnLimit {
    pub(super) clue: Clue,
    /// The instances get more than their limits even where the requests are spread evenly.
    pub(super) is_of_size: bool,
    /// The instance with most requests, and their number divided by an even share.
    pub(super) busiest: Option<(String, f64)>,
}

/// The limits that the refusals by name show.
pub(super) struct Named {
    pub(super) own: Option<OwnLimit>,
    /// The instances that take part in the load became more: growth can tell.
    pub(super) is_spread: bool,
}

/// The answers of an instance: in a second, or per second.
#[derive(Debug, Clone, Copy)]
struct Answers<'a> {
    id: &'a str,
    asked: f64,
    good: f64,
    refused: f64,
}

impl Answers<'_> {
    fn share(&self) -> f64 {
        self.refused / self.asked.max(1.0)
    }

    fn refuses(&self) -> bool {
        self.share() >= REFUSES
    }
}

/// The seconds in which as many instances took part.
type ByNumber<'a> = BTreeMap<u32, Vec<Vec<Answers<'a>>>>;

impl Named {
    /// Reads the seconds in which requests were refused; `class` counts those.
    pub(super) fn of(seen: &Seen<'_>, refused: &[usize], class: impl Fn(&Tally) -> u64) -> Self {
        let mut by_number: ByNumber<'_> = BTreeMap::new();
        // The first second is not whole, and a limit may let a burst pass.
        let settled = refused.iter().skip(1).filter(|at| seen.is_settled(**at));
        for second in settled {
            let answers = in_second(seen, *second, &class);
            by_number
                .entry(answers.len() as u32)
                .or_default()
                .push(answers);
        }
        by_number.retain(|number, seconds| *number > 0 && seconds.len() >= LEAST_S);
        let numbers: Vec<u32> = by_number.keys().copied().collect();
        let is_spread = match (numbers.first(), numbers.last()) {
            (Some(few), Some(many)) => f64::from(*many) >= f64::from(*few) * GROWN,
            _ => false,
        };
        let clue = match is_spread {
            true => same_with_more(&by_number),
            false => None,
        };
        // The number of instances tells more than their parts do.
        let clue = match clue {
            Some(Told::Own(clue)) => Some(clue),
            Some(Told::Whole) => None,
            None => same_at_any_part(&by_number),
        };
        let own = clue.map(|clue| OwnLimit::new(clue, &by_number));
        Self { own, is_spread }
    }
}

/// Returns the answers of the instances that take part in a second.
fn in_second<'a>(
    seen: &Seen<'a>,
    second: usize,
    class: impl Fn(&Tally) -> u64,
) -> Vec<Answers<'a>> {
    let of = |id: &'a str| {
        let tally = seen.own(id, second).tally;
        Answers {
            id,
            asked: tally.requests() as f64,
            good: tally.ok as f64,
            refused: class(&tally) as f64,
        }
    };
    let all: Vec<Answers<'a>> = seen.of.results.instances().map(of).collect();
    let asked: f64 = all.iter().map(|one| one.asked).sum();
    let least = asked / f64::from(seen.serving(second).max(1)) * EVEN;
    let part = all.into_iter().filter(|one| one.asked > 0.0);
    part.filter(|one| one.asked >= least).collect()
}

/// Whose limit it is.
enum Told {
    Own(Clue),
    Whole,
}

/// Compares the good answers of an instance that refuses, with the fewest instances and the most.
fn same_with_more(by_number: &ByNumber<'_>) -> Option<Told> {
    let usual = |seconds: &Vec<Vec<Answers<'_>>>| {
        let full = |second: &Vec<Answers<'_>>| {
            let full = second.iter().filter(|one| one.refuses());
            median(full.map(|one| one.good as u64))
        };
        median(seconds.iter().filter_map(full)).map(|good| good as f64)
    };
    let (few, early) = by_number.first_key_value()?;
    let (many, late) = by_number.last_key_value()?;
    let (before, later) = (usual(early)?, usual(late)?);
    let fell = 1.0 - later / before.max(1.0);
    let of_whole = 1.0 - f64::from(*few) / f64::from(*many);
    if fell >= of_whole * WHOLE {
        return Some(Told::Whole);
    }
    (before > 0.0 && fell.abs() <= of_whole * NONE).then_some(Told::Own(Clue::RefusedAtSameRate {
        few: *few,
        many: *many,
        before,
        later,
    }))
}

/// Compares the instance that gets most with the one that gets fewest requests, in the seconds of the
/// most usual number of instances.
fn same_at_any_part(by_number: &ByNumber<'_>) -> Option<Clue> {
    let each = each(by_number);
    let by_asked = |one: &&Answers<'_>, other: &&Answers<'_>| one.asked.total_cmp(&other.asked);
    let (most, least) = (each.iter().max_by(by_asked)?, each.iter().min_by(by_asked)?);
    let ratio = most.asked / least.asked.max(1.0);
    if ratio < UNEVEN || !most.refuses() {
        return None;
    }
    let gain = most.good / least.good.max(1.0);
    let is_own = match least.refuses() {
        true => gain - 1.0 <= (ratio - 1.0) * NONE,
        // One that gets less than its limit refuses nothing.
        false => least.share() <= most.share() * NONE,
    };
    (is_own && gain >= AS_MUCH).then_some(Clue::RefusedByPart {
        most: most.asked,
        most_good: most.good,
        least: least.asked,
        least_good: least.good,
    })
}

/// Returns the answers per second of each instance, in the seconds of the most usual number of
/// instances that took part.
fn each<'a>(by_number: &ByNumber<'a>) -> Vec<Answers<'a>> {
    let usual = by_number.values().max_by_key(|seconds| seconds.len());
    let Some(seconds) = usual else {
        return Vec::new();
    };
    let mut sums: BTreeMap<&'a str, Answers<'a>> = BTreeMap::new();
    for one in seconds.iter().flatten() {
        let sum = sums.entry(one.id).or_insert(Answers {
            asked: 0.0,
            good: 0.0,
            refused: 0.0,
            ..*one
        });
        sum.asked += one.asked;
        sum.good += one.good;
        sum.refused += one.refused;
    }
    let count = seconds.len() as f64;
    let per_second = |sum: Answers<'a>| Answers {
        asked: sum.asked / count,
        good: sum.good / count,
        refused: sum.refused / count,
        ..sum
    };
    sums.into_values().map(per_second).collect()
}

impl OwnLimit {
    fn new(clue: Clue, by_number: &ByNumber<'_>) -> Self {
        let each = each(by_number);
        let even = mean(each.iter().map(|one| one.asked));
        let full = each.iter().filter(|one| one.refuses());
        let limit = mean(full.map(|one| one.good));
        let busiest = each
            .iter()
            .max_by(|one, other| one.asked.total_cmp(&other.asked))
            .map(|one| (one.id.to_owned(), one.asked / even.max(1.0)));
        Self {
            clue,
            is_of_size: even > limit * NEARLY,
            busiest,
        }
    }
}
