//! Refusals that name their instance: whether each instance refuses what is over a limit of its own.
//! A limit of the whole leaves each instance less as their number grows, and refuses the same share of
//! the requests at each of them.

use std::collections::BTreeMap;

use super::Clue;
use super::bottleneck::GROWN;
use super::seen::{Seen, mean};
use model::measure::Tally;

/// Share of its requests from which an instance is one that refuses.
const REFUSES: f64 = 0.05;
/// Share of an even part from which an instance takes part in the load.
const EVEN: f64 = 0.5;
/// Fewest seconds of one size of the group.
const LEAST_S: usize = 3;
/// Factor by which one instance must get more requests than another for their answers to differ.
const UNEVEN: f64 = 1.3;
/// Share of the change that a limit of the whole makes, up to which there was none.
const NONE: f64 = 0.3;
/// The same from which there was one.
const WHOLE: f64 = 0.7;
/// Least good answers of an instance that refuses, as a share of those of one that refuses less.
const AS_MUCH: f64 = 0.8;
/// Standard deviations that a difference must have to be more than chance.
const SIGMAS: f64 = 3.0;

/// A limit that each instance has for itself.
pub(super) struct OwnLimit {
    pub(super) clue: Clue,
    /// The instances get more than their limits even where the requests are spread evenly, with one
    /// of the sizes that the group had.
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

/// The answers of an instance, or of several: sums over the seconds of each.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    seconds: f64,
    asked: f64,
    good: f64,
    refused: f64,
}

impl Answers {
    fn plus(self, more: Self) -> Self {
        Self {
            seconds: self.seconds + more.seconds,
            asked: self.asked + more.asked,
            good: self.good + more.good,
            refused: self.refused + more.refused,
        }
    }

    fn share(&self) -> f64 {
        self.refused / self.asked.max(1.0)
    }

    fn refuses(&self) -> bool {
        self.share() >= REFUSES
    }

    /// Returns the requests of an instance in a second.
    fn asked_each(&self) -> f64 {
        self.asked / self.seconds.max(1.0)
    }

    /// Returns the good answers of an instance in a second.
    fn good_each(&self) -> f64 {
        self.good / self.seconds.max(1.0)
    }
}

/// The seconds in which as many instances took part, and the answers of each of these.
#[derive(Debug, Default)]
struct Size<'a> {
    seconds: usize,
    each: BTreeMap<&'a str, Answers>,
}

/// The same by the number of instances that took part.
type ByNumber<'a> = BTreeMap<u32, Size<'a>>;

impl<'a> Size<'a> {
    /// Reads the seconds in which the group had one size. All of them together show who takes part:
    /// in a single second chance may give an instance few requests.
    fn of(seen: &Seen<'a>, serving: u32, seconds: &[usize], class: impl Fn(&Tally) -> u64) -> Self {
        let in_second = |id: &str, second: usize| {
            let tally = seen.own(id, second).tally;
            Answers {
                seconds: 1.0,
                asked: tally.requests() as f64,
                good: tally.ok as f64,
                refused: class(&tally) as f64,
            }
        };
        let mut each: BTreeMap<&'a str, Answers> = BTreeMap::new();
        for id in seen.of.results.instances() {
            let answers = seconds.iter().map(|second| in_second(id, *second));
            each.insert(id, answers.fold(Answers::default(), Answers::plus));
        }
        let asked: f64 = each.values().map(|one| one.asked).sum();
        let least = asked / f64::from(serving.max(1)) * EVEN;
        each.retain(|_, one| one.asked > 0.0 && one.asked >= least);
        Self {
            seconds: seconds.len(),
            each,
        }
    }

    fn merge(&mut self, more: Self) {
        self.seconds += more.seconds;
        for (id, answers) in more.each {
            let sum = self.each.entry(id).or_default();
            *sum = sum.plus(answers);
        }
    }

    /// Returns the answers of all instances that refuse; `None` without one.
    fn full(&self) -> Option<Answers> {
        let full = self.each.values().copied().filter(Answers::refuses);
        full.reduce(Answers::plus)
    }

    /// Returns true if an even part is over the limit of an instance: no spread helps then.
    fn is_over(&self) -> bool {
        let even = self.even();
        self.full().is_some_and(|full| even > full.good_each())
    }

    /// Returns the requests of an instance in a second, if all get as many.
    fn even(&self) -> f64 {
        mean(self.each.values().map(Answers::asked_each))
    }
}

impl Named {
    /// Reads the seconds in which requests were refused; `class` counts those.
    pub(super) fn of(seen: &Seen<'_>, refused: &[usize], class: impl Fn(&Tally) -> u64) -> Self {
        let mut by_serving: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        // The first second is not whole, and a limit may let a burst pass.
        let later = refused.iter().copied().skip(1);
        for second in later.filter(|at| seen.is_settled(*at)) {
            let serving = seen.serving(second);
            by_serving.entry(serving).or_default().push(second);
        }
        by_serving.retain(|_, seconds| seconds.len() >= LEAST_S);
        let mut by_number: ByNumber<'_> = BTreeMap::new();
        for (serving, seconds) in &by_serving {
            let size = Size::of(seen, *serving, seconds, &class);
            let number = size.each.len() as u32;
            by_number.entry(number).or_default().merge(size);
        }
        by_number.retain(|number, _| *number > 0);
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

/// Whose limit it is.
enum Told {
    Own(Clue),
    Whole,
}

/// Compares the good answers of an instance that refuses, with the fewest instances and the most.
/// `None` where chance may make the difference.
fn same_with_more(by_number: &ByNumber<'_>) -> Option<Told> {
    let (few, early) = by_number.first_key_value()?;
    let (many, late) = by_number.last_key_value()?;
    let (early, late) = (early.full()?, late.full()?);
    let (before, later) = (early.good_each(), late.good_each());
    if before <= 0.0 {
        return None;
    }
    let fell = 1.0 - later / before;
    let left = f64::from(*few) / f64::from(*many);
    let of_whole = 1.0 - left;
    if fell >= of_whole * WHOLE {
        return differs(&early, &late, 1.0).then_some(Told::Whole);
    }
    let is_same = fell.abs() <= of_whole * NONE;
    (is_same && differs(&early, &late, left)).then_some(Told::Own(Clue::RefusedAtSameRate {
        few: *few,
        many: *many,
        before,
        later,
    }))
}

/// Returns true if the later good answers differ by more than chance from this part of the early ones
/// for each instance.
fn differs(early: &Answers, late: &Answers, part: f64) -> bool {
    let factor = part * late.seconds / early.seconds.max(1.0);
    let expected = early.good * factor;
    // Both numbers are by chance.
    let variance = expected + early.good * factor * factor;
    (late.good - expected).abs() > SIGMAS * variance.sqrt()
}

/// Compares the instance that gets most with the one that gets fewest requests, in the seconds of the
/// most usual number of instances. A limit of the whole refuses the same share of both.
fn same_at_any_part(by_number: &ByNumber<'_>) -> Option<Clue> {
    let each = &usual(by_number)?.each;
    let by_asked =
        |one: &&Answers, other: &&Answers| one.asked_each().total_cmp(&other.asked_each());
    let (most, least) = (
        each.values().max_by(by_asked)?,
        each.values().min_by(by_asked)?,
    );
    let ratio = most.asked_each() / least.asked_each();
    if ratio < UNEVEN || !most.refuses() || !refuses_more(most, least) {
        return None;
    }
    let gain = most.good_each() / (least.good.max(1.0) / least.seconds);
    let is_own = match least.refuses() {
        true => gain - 1.0 <= (ratio - 1.0) * NONE,
        // One that gets less than its limit refuses nothing.
        false => least.share() <= most.share() * NONE,
    };
    (is_own && gain >= AS_MUCH).then_some(Clue::RefusedByPart {
        most: most.asked_each(),
        most_good: most.good_each(),
        least: least.asked_each(),
        least_good: least.good_each(),
    })
}

/// Returns true if one refuses a larger share of its requests than another, by more than chance.
fn refuses_more(one: &Answers, other: &Answers) -> bool {
    let share = one.plus(*other).share();
    let each = 1.0 / one.asked.max(1.0) + 1.0 / other.asked.max(1.0);
    let variance = share * (1.0 - share) * each;
    one.share() - other.share() > SIGMAS * variance.max(0.0).sqrt()
}

/// Returns the seconds of the most usual number of instances that took part.
fn usual<'b, 'a>(by_number: &'b ByNumber<'a>) -> Option<&'b Size<'a>> {
    by_number.values().max_by_key(|size| size.seconds)
}

impl OwnLimit {
    fn new(clue: Clue, by_number: &ByNumber<'_>) -> Self {
        let busiest = usual(by_number).and_then(|size| {
            let asked = size.each.iter().map(|(id, one)| (*id, one.asked_each()));
            let (id, most) = asked.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
            Some((id.to_owned(), most / size.even()))
        });
        Self {
            clue,
            is_of_size: by_number.values().any(Size::is_over),
            busiest,
        }
    }
}
