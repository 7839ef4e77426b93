//! Several instances that fail at the same time while the others are well: a bad host, zone or
//! version. Beside each of them the others are not well, so they are looked for together.

use std::collections::BTreeSet;

use super::{FAILS, LEAST_ANSWERS, LEAST_SECONDS, OTHERS, STEADY, UNEVEN};
use crate::hypotheses::seen::Seen;
use crate::hypotheses::{Clue, Hypothesis, Standing, Suspect};
use model::measure::{Merged, Tally};

/// Returns a hypothesis for each of these instances, if names show them: old ones, at most half of
/// all, that fail most of their answers at a load that had held, and have no more than their part.
pub(super) fn all(seen: &Seen<'_>) -> Vec<Hypothesis> {
    let contradicted = seen.contradicted();
    let failing: Vec<(usize, BTreeSet<&str>)> = contradicted
        .iter()
        .map(|second| (*second, failing(seen, *second)))
        .filter(|(_, ids)| ids.len() > 1)
        .collect();
    let (Some((first, ids)), Some((last, _))) = (failing.first(), failing.last()) else {
        return Vec::new();
    };
    let is_same = |(_, others): &&(usize, BTreeSet<&str>)| others == ids;
    let same = failing.iter().filter(is_same).count();
    let span = *first..*last + 1;
    let is_steady = same >= LEAST_SECONDS && same as f64 >= span.len() as f64 * STEADY;
    let launched = &seen.of.reaction.launched;
    let is_new = |id: &&str| launched.iter().any(|one| one.id == **id);
    if !is_steady || ids.iter().any(is_new) {
        return Vec::new();
    }
    let of = |is_in: &dyn Fn(&str) -> bool| {
        let mut merged = Merged::default();
        for second in span.clone() {
            merged.merge(&seen.others(second, |id| !is_in(id)));
        }
        merged.tally
    };
    let others = of(&|id| !ids.contains(id));
    let spanned: BTreeSet<usize> = span.clone().collect();
    let (explained, missed) = seen.held_without(&spanned, |id, _| ids.contains(id));
    let without = Clue::HeldWithout {
        seconds: explained.len() as u32,
        of: missed,
    };
    let one = |id: &str| {
        let clue = Clue::OneFailed {
            instance: id.to_owned(),
            share: share(&of(&|other| other == id)),
            others: share(&others),
        };
        Hypothesis::new(
            Suspect::SickInstance,
            Standing::Holds,
            vec![clue, without.clone()],
        )
        .explains(&explained)
    };
    ids.iter().copied().map(one).collect()
}

/// Returns the instances that fail most of their answers in a second, if the others are well and at
/// least as many, and none of the failing has many more requests than these.
fn failing<'a>(seen: &Seen<'a>, second: usize) -> BTreeSet<&'a str> {
    let answered: Vec<(&str, Tally)> = seen
        .of
        .results
        .instances()
        .map(|id| (id, seen.own(id, second).tally))
        .filter(|(_, tally)| tally.requests() > 0)
        .collect();
    let (bad, well): (Vec<_>, Vec<_>) = answered
        .into_iter()
        .partition(|(_, tally)| share(tally) >= FAILS);
    let sum = |of: &[(&str, Tally)]| {
        let mut sum = Tally::default();
        for (_, tally) in of {
            sum.merge(tally);
        }
        sum
    };
    let (own, others) = (sum(&bad), sum(&well));
    // Each of them: one that fails at once may draw the load, while another hardly gets any.
    let most = others.requests() as f64 / well.len().max(1) as f64 * UNEVEN;
    let is_part = bad.iter().all(|(_, tally)| tally.requests() as f64 <= most);
    let are_others_well = share(&others) <= share(&own) / OTHERS;
    let is_enough = own.requests() >= LEAST_ANSWERS && bad.len() <= well.len();
    match is_part && are_others_well && is_enough {
        true => bad.into_iter().map(|(id, _)| id).collect(),
        false => BTreeSet::new(),
    }
}

fn share(tally: &Tally) -> f64 {
    tally.errors() as f64 / tally.requests().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{group, phases, results, with_load};

    /// Two of four old instances fail from 18 s to 28 s. Each gets its part of all requests. Returns
    /// the number of sick ones that are found.
    fn sick(parts: [u64; 4]) -> usize {
        let scenario = phases(&[(1.0, false), (6.0, true), (6.0, true), (1.0, false)]);
        let ids = ["i-1", "i-2", "i-3", "i-4"];
        let sum: u64 = parts.iter().sum();
        let results = results(&scenario, |second, level| {
            let asked = (level * 100.0) as u64;
            let one = |at: usize| {
                let own = asked * parts[at] / sum;
                match at < 2 && (18..28).contains(&second) {
                    true => (ids[at], 0, own, 40),
                    false => (ids[at], own, 0, 40),
                }
            };
            (0..4).map(one).collect()
        });
        with_load(&scenario, vec![group(0, 4, &ids)], &results, |facts| {
            let all = facts.hypotheses.iter();
            all.filter(|one| one.suspect == Suspect::SickInstance)
                .count()
        })
    }

    #[test]
    fn none_of_several_sick_instances_has_many_more_requests_than_the_others() {
        assert_eq!(sick([10, 10, 10, 10]), 2);
        assert_eq!(sick([14, 14, 10, 10]), 2);
        // Together they have 1.45 times the requests of the others, but one has 2.2 times.
        assert_eq!(sick([22, 7, 10, 10]), 0);
    }
}
