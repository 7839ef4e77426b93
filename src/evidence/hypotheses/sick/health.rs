//! An instance that fails its health checks while the others pass theirs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::seen::{FAR_BELOW, NEARLY, Seen};
use super::super::{Clue, Hypothesis, Standing, Suspect, TellingRun, lost, second_of};
use super::LEAST_SECONDS;
use crate::instances::{Checked, Left, Why, checked};
use crate::vocabulary::TargetState;

/// Fewest seconds around a look in which other instances must not fail their checks, and in which an
/// instance may fail its own after its requests. Slower checks need more.
const UNNOTICED: usize = 15;
/// Seconds after a load balancer leaves an instance out, until the last requests to it have ended.
const LATER: usize = 3;

/// An instance that was healthy, and then failed its health checks as the only one: it was seen
/// unhealthy, or replaced for it.
pub(super) struct Unwell<'a> {
    pub(super) id: &'a str,
    /// The second of the first look that saw it unhealthy, or in which it was replaced.
    at: usize,
    /// The instances that were healthy in that look.
    others: u32,
}

impl Unwell<'_> {
    pub(super) fn clue(&self) -> Clue {
        Clue::UnhealthyAlone {
            instance: self.id.to_owned(),
            second: self.at as u32,
            others: self.others,
        }
    }

    /// Returns true if the instance failed its checks in or soon after these seconds, and no other
    /// hypothesis is about it.
    pub(super) fn explains(&self, seen: &Seen<'_>, seconds: &BTreeSet<u32>) -> bool {
        let (Some(first), Some(last)) = (seconds.first(), seconds.last()) else {
            return false;
        };
        let then = *first as usize..=*last as usize + unnoticed(seen);
        then.contains(&self.at) && !is_known(seen, self, seconds)
    }

    /// Returns the clue that the limits held again once the instance was out, if it was left out in
    /// or right after these seconds: under the same load, and on no more instances than before.
    pub(super) fn cure(&self, seen: &Seen<'_>, seconds: &BTreeSet<u32>) -> Option<Clue> {
        let row = row_before(seen, self.at).filter(|row| !row.is_disjoint(seconds))?;
        let (first, last) = (*row.first()? as usize, *row.last()? as usize);
        let load = |at: usize| seen.of.load[at].demand;
        let highest = row.iter().map(|at| load(*at as usize));
        let highest = highest.fold(0.0, f64::max);
        let most = seen.serving(first);
        let is_same = |at: usize| {
            load(at) * NEARLY >= highest && seen.serving(at) <= most && seen.requests(at) > 0
        };
        let later = last + 1..seen.bad.len();
        let held = later
            .take_while(|at| is_same(*at) && !seen.bad[*at])
            .count();
        (held >= LEAST_SECONDS).then(|| Clue::HeldOnceOut {
            instance: self.id.to_owned(),
            seconds: held as u32,
        })
    }
}

/// Returns the instances that failed their health checks alone: others were healthy then, and none
/// of them failed around that time. Those that were taken away are left out.
pub(super) fn alone<'a>(seen: &Seen<'a>) -> Vec<Unwell<'a>> {
    let mut latest: BTreeMap<(&str, &str), &TargetState> = BTreeMap::new();
    let mut found: Vec<Unwell<'a>> = Vec::new();
    for (at, look) in seen.of.timeline.targets() {
        let is_healthy = |state: &TargetState| *state == TargetState::Healthy;
        let healthy = look.targets.iter().filter(|(_, state)| is_healthy(state));
        let others = healthy.count() as u32;
        for (id, state) in &look.targets {
            let before = latest.insert((&look.target_group, id), state);
            let turned = state.is_unhealthy() && before.is_some_and(is_healthy);
            if let Some(at) = second_of(seen.of.times, at).filter(|_| turned) {
                let at = at as usize;
                found.push(Unwell { id, at, others });
            }
        }
    }
    let ended = replaced(seen);
    let is_unseen = |one: &Unwell<'_>| !found.iter().any(|other| other.id == one.id);
    let unseen: Vec<Unwell<'a>> = ended.filter(is_unseen).collect();
    found.extend(unseen);
    let unnoticed = unnoticed(seen);
    let is_alone = |one: &Unwell<'_>| {
        let near =
            |other: &&Unwell<'_>| other.id != one.id && other.at.abs_diff(one.at) <= unnoticed;
        one.others > 0 && !found.iter().any(|other| near(&other)) && !was_taken(seen, one)
    };
    let kept: Vec<bool> = found.iter().map(is_alone).collect();
    let mut kept = kept.into_iter();
    found.retain(|_| kept.next().unwrap_or(false));
    found
}

/// Returns the instances that were healthy when last looked at, and then replaced for their checks:
/// some leave so soon that no look sees them unhealthy. One that somebody had ended was not sick.
fn replaced<'a>(seen: &Seen<'a>) -> impl Iterator<Item = Unwell<'a>> {
    let failed = seen.of.reaction.left.iter();
    let is_unwell = |one: &&Left| checked(seen.of.timeline, one) == Some(Checked::Unwell);
    let failed = failed.filter(is_unwell);
    failed.filter_map(|left| {
        let at = second_of(seen.of.times, left.began.at)? as usize;
        let looks = seen.of.timeline.targets();
        let looks = looks.take_while(|(at, _)| *at <= left.began.at);
        let has = |id: &str| id == left.id;
        let (_, look) = looks
            .filter(|(_, look)| look.targets.iter().any(|(id, _)| has(id)))
            .last()?;
        let healthy = look.targets.iter();
        let healthy = healthy.filter(|(_, state)| *state == TargetState::Healthy);
        let (own, others): (Vec<_>, Vec<_>) = healthy.partition(|(id, _)| has(id));
        (!own.is_empty()).then_some(Unwell {
            id: &left.id,
            at,
            others: others.len() as u32,
        })
    })
}

/// Returns the seconds that health checks may take to find an instance that fails.
fn unnoticed(seen: &Seen<'_>) -> usize {
    let known = seen.of.timeline.surroundings().into_iter();
    let groups = known.flat_map(|known| &known.target_groups);
    let checks = groups.map(|one| (one.check_interval * one.unhealthy_after).as_secs() as usize);
    checks.max().unwrap_or(0).max(UNNOTICED)
}

/// Returns true if the instance left for another reason than its health.
fn was_taken(seen: &Seen<'_>, one: &Unwell<'_>) -> bool {
    seen.of.reaction.left.iter().any(|left| {
        let began = second_of(seen.of.times, left.began.at).map_or(0, |at| at as usize);
        left.id == one.id && left.why != Why::FailedChecks && began <= one.at + unnoticed(seen)
    })
}

/// Infers a sick instance without a header: limits were missed at a load that had held, until one
/// instance alone failed its health checks. It holds if the limits held again under the same load
/// once that instance was out, and no other had come.
pub(super) fn inferred(seen: &Seen<'_>, unwell: &Unwell<'_>) -> Option<Hypothesis> {
    let row = row_before(seen, unwell.at)?;
    let first = *row.first()? as usize;
    let held = seen.held_before(first)?;
    let cure = unwell.cure(seen, &row);
    // A queue that fills makes the same load slower. Only the cure tells it from a sick instance.
    let slow = match cure {
        Some(_) => held,
        None => held * FAR_BELOW,
    };
    // The last seconds of the row may have fewer instances: the one that is left out is missing.
    let instances = f64::from(seen.serving(first));
    let is_within = |at: &u32| {
        let second = *at as usize;
        let most = if seen.is_slow(second) { slow } else { held };
        seen.of.load[second].demand / instances <= most
    };
    if row.len() < LEAST_SECONDS || !row.iter().all(is_within) || is_known(seen, unwell, &row) {
        return None;
    }
    let mut found = Hypothesis::new(Suspect::SickInstance, Standing::Holds, vec![unwell.clue()]);
    match cure {
        Some(cure) => found.pro.push(cure),
        None => {
            found.standing = Standing::Open;
            found.tells = Some(TellingRun::InstanceHeader);
        }
    }
    Some(found.explains(&row))
}

/// Returns the seconds in a row that missed a limit up to the time at which an instance was left
/// out.
fn row_before(seen: &Seen<'_>, at: usize) -> Option<BTreeSet<u32>> {
    let end = (at + 1).min(seen.bad.len());
    let until = (at + LATER + 1).min(seen.bad.len());
    let last = (end.saturating_sub(LATER)..until).rfind(|second| seen.bad[*second])?;
    let back = (0..=last).rev().take_while(|second| seen.bad[*second]);
    Some(back.map(|second| second as u32).collect())
}

/// Returns true if another hypothesis is about this: an instance that stopped answering and was
/// replaced, or a new one that was never well.
fn is_known(seen: &Seen<'_>, unwell: &Unwell<'_>, row: &BTreeSet<u32>) -> bool {
    let failed = seen.of.reaction.left.iter();
    let mut failed = failed.filter(|one| one.why == Why::FailedChecks);
    let unanswered = row
        .iter()
        .filter(|at| lost::is_unanswered(seen, **at as usize))
        .count();
    let is_lost = failed.any(|one| one.id == unwell.id) && unanswered * 2 >= row.len();
    let launched = seen
        .of
        .reaction
        .launched
        .iter()
        .find(|one| one.id == unwell.id);
    let served = launched.and_then(|one| second_of(seen.of.times, one.serves()?));
    let first = row.first().copied().unwrap_or(0);
    let is_cold = served.is_some_and(|served| first <= served + LEAST_SECONDS as u32);
    is_lost || is_cold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, activity, at, group, phases, results, with_load};
    use crate::timeline::{Observation, Observed, Surroundings, TargetGroup, TargetHealth};
    use std::time::Duration;

    const ALL: [&str; 4] = ["i-1", "i-2", "i-3", "i-4"];

    fn targets(second: u32, unhealthy: &[&str]) -> Observation {
        targets_of(second, &ALL, unhealthy)
    }

    fn targets_of(second: u32, all: &[&str], unhealthy: &[&str]) -> Observation {
        let state = |id: &str| match unhealthy.contains(&id) {
            true => TargetState::Unhealthy,
            false => TargetState::Healthy,
        };
        let health = TargetHealth {
            target_group: "web".to_owned(),
            targets: all.iter().map(|id| ((*id).to_owned(), state(id))).collect(),
        };
        Observation::new(at(second), Observed::Targets(health))
    }

    /// The load rises from 100/s to 600/s at 10 s and falls at 30 s. Four instances are healthy until
    /// 24 s, and these are not from then on.
    fn sick(
        unhealthy: &[&str],
        more: Vec<Observation>,
        of: impl Fn(u32, u64) -> Vec<Answers>,
    ) -> Option<Hypothesis> {
        sick_under(6.0, unhealthy, more, of)
    }

    /// The same with another load from 20 s on, in hundreds a second.
    fn sick_under(
        later: f64,
        unhealthy: &[&str],
        more: Vec<Observation>,
        of: impl Fn(u32, u64) -> Vec<Answers>,
    ) -> Option<Hypothesis> {
        let scenario = phases(&[(1.0, false), (6.0, true), (later, true), (1.0, false)]);
        let mut story = vec![group(0, 4, &ALL), targets(0, &[]), targets(24, unhealthy)];
        story.extend(more);
        let results = results(&scenario, |second, level| {
            of(second, (level * 100.0) as u64)
        });
        with_load(&scenario, story, &results, |facts| {
            let mut all = facts.hypotheses.iter();
            all.find(|one| one.suspect == Suspect::SickInstance)
                .cloned()
        })
    }

    /// A quarter of the answers of these seconds is slow.
    fn slow(seconds: std::ops::Range<u32>) -> impl Fn(u32, u64) -> Vec<Answers> {
        move |second, asked| match seconds.contains(&second) {
            true => vec![("", asked * 3 / 4, 0, 40), ("", asked / 4, 0, 900)],
            false => vec![("", asked, 0, 40)],
        }
    }

    /// This share of the answers of these seconds fails.
    fn failing(of: u64, seconds: std::ops::Range<u32>) -> impl Fn(u32, u64) -> Vec<Answers> {
        move |second, asked| match seconds.contains(&second) {
            true => vec![("", asked - asked / of, asked / of, 40)],
            false => vec![("", asked, 0, 40)],
        }
    }

    fn held(seconds: u32) -> Clue {
        Clue::HeldOnceOut {
            instance: "i-2".to_owned(),
            seconds,
        }
    }

    /// Returns the standing, and the number of clues.
    fn standing(found: Option<Hypothesis>) -> Option<(Standing, usize)> {
        found.map(|found| (found.standing, found.pro.len()))
    }

    /// Two more instances serve from this second on.
    fn grown(second: u32) -> Vec<Observation> {
        let all = ["i-1", "i-2", "i-3", "i-4", "i-5", "i-6"];
        vec![targets_of(second, &all, &["i-2"])]
    }

    fn unhealthy_alone() -> Clue {
        Clue::UnhealthyAlone {
            instance: "i-2".to_owned(),
            second: 24,
            others: 3,
        }
    }

    #[test]
    fn an_instance_that_fails_its_checks_alone_is_named_without_a_header() {
        let found = sick(&["i-2"], Vec::new(), slow(18..24)).unwrap();
        assert_eq!((found.standing, found.tells), (Standing::Holds, None));
        assert_eq!(found.seconds, [(18, 24)]);
        assert_eq!(found.pro, [unhealthy_alone(), held(6)]);
        // Limits that are missed all the same are not shown to be its own.
        let found = sick(&["i-2"], Vec::new(), failing(10, 18..30)).unwrap();
        let header = Some(TellingRun::InstanceHeader);
        assert_eq!((found.standing, found.tells), (Standing::Open, header));
        assert_eq!(found.pro, [unhealthy_alone()]);
        // A queue that fills is as slow, and grows longer.
        assert_eq!(sick(&["i-2"], Vec::new(), slow(18..30)), None);
        let below = sick_under(5.0, &["i-2"], Vec::new(), slow(21..30));
        assert_eq!(standing(below), Some((Standing::Open, 1)));
    }

    #[test]
    fn a_group_that_grew_meanwhile_shows_no_sick_instance() {
        let tenth = || failing(10, 18..24);
        let cured = Some((Standing::Holds, 2));
        assert_eq!(standing(sick(&["i-2"], Vec::new(), tenth())), cured);
        assert_eq!(standing(sick(&["i-2"], grown(29), tenth())), cured, "later");
        let open = Some((Standing::Open, 1));
        assert_eq!(standing(sick(&["i-2"], grown(25), tenth())), open);
        assert_eq!(sick(&["i-2"], grown(25), slow(18..24)), None);
        let quarter = failing(4, 18..24);
        let found = sick(&["i-2"], grown(25), quarter);
        assert_eq!(standing(found), Some((Standing::Open, 2)));
    }

    #[test]
    fn a_load_that_is_a_little_higher_than_what_had_held_is_an_overload() {
        let tenth = || failing(10, 20..24);
        let found = sick_under(6.0, &["i-2"], Vec::new(), tenth());
        assert_eq!(standing(found), Some((Standing::Holds, 2)));
        assert_eq!(sick_under(6.4, &["i-2"], Vec::new(), tenth()), None);
    }

    #[test]
    fn health_names_the_one_whose_share_of_the_requests_fails() {
        let found = sick(&["i-2"], Vec::new(), failing(4, 18..24)).unwrap();
        assert_eq!((found.standing, found.tells), (Standing::Holds, None));
        assert_eq!(found.pro[1..], [unhealthy_alone(), held(6)]);
        for unhealthy in [&[][..], &["i-2", "i-3"]] {
            let found = sick(unhealthy, Vec::new(), failing(4, 18..24));
            assert_eq!(standing(found), Some((Standing::Open, 1)));
        }
        // The others fail as many without it: it was not the cause.
        let found = sick(&["i-2"], Vec::new(), failing(4, 18..30)).unwrap();
        let header = Some(TellingRun::InstanceHeader);
        assert_eq!((found.standing, found.tells), (Standing::Open, header));
        assert_eq!(found.pro[1..], [unhealthy_alone()]);
    }

    #[test]
    fn several_at_once_an_overload_and_one_that_was_taken_away_are_no_sick_instance() {
        assert_eq!(sick(&[], Vec::new(), slow(18..24)), None);
        assert_eq!(sick(&["i-2", "i-3"], Vec::new(), slow(18..24)), None);
        assert_eq!(
            sick(&["i-2"], Vec::new(), slow(10..24)),
            None,
            "no such load had held"
        );
        assert_eq!(
            sick(&["i-2"], Vec::new(), slow(22..24)),
            None,
            "two seconds"
        );
        let taken = |second| vec![activity(second, "Terminating EC2 instance: i-2", 4, 3)];
        assert_eq!(sick(&["i-2"], taken(25), slow(18..24)), None);
        // Slow checks need longer to find an instance that is being taken away.
        let checks = Surroundings {
            target_groups: vec![TargetGroup {
                check_interval: Duration::from_secs(10),
                unhealthy_after: 2,
                ..TargetGroup::default()
            }],
            ..Surroundings::default()
        };
        let slowly = vec![Observation::new(at(0), Observed::Surroundings(checks))];
        let later = taken(40);
        let found = sick(&["i-2"], later.clone(), slow(18..24));
        assert_eq!(standing(found), Some((Standing::Holds, 2)));
        let found = sick(&["i-2"], [later, slowly].concat(), slow(18..24));
        assert_eq!(found, None);
    }

    /// The second instance is ended at 24 s, for this reason.
    fn ended(cause: &str) -> Observation {
        let mut found = activity(24, "Terminating EC2 instance: i-2", 4, 3);
        if let Observed::Activity(activity) = &mut found.seen {
            cause.clone_into(&mut activity.cause);
        }
        found
    }

    const FAILED: &str = "At 2025-06-11T04:41:24Z an instance was taken out of service in response to an ELB \
                          system health check failure.";

    #[test]
    fn an_instance_that_is_replaced_before_a_look_saw_it_unhealthy_has_failed_its_checks() {
        // Healthy in every look.
        let found = sick(&[], vec![ended(FAILED)], slow(18..24)).unwrap();
        assert_eq!(found.pro[0], unhealthy_alone());
        let by_hand = ended(
            "At 2025-06-11T04:41:24Z instance i-2 was taken out of service in response to a user request.",
        );
        assert_eq!(sick(&[], vec![by_hand], slow(18..24)), None);
    }

    #[test]
    fn an_instance_that_somebody_stopped_has_not_failed_its_checks() {
        let stopped = ended(
            "At 2025-06-11T04:41:24Z an instance was taken out of service in response to an EC2 health check \
             indicating it has been terminated or stopped.",
        );
        assert_eq!(sick(&[], vec![stopped], slow(18..24)), None);
    }

    #[test]
    fn the_last_requests_of_an_instance_that_fails_its_checks_are_its_own() {
        let named = |second: u32, asked: u64| {
            let each = asked / 4;
            let of = |id: &'static str| match id == "i-2" && (21..24).contains(&second) {
                true => (id, 0, each, 40),
                false => (id, each, 0, 40),
            };
            ALL.map(of).to_vec()
        };
        let found = sick(&[], vec![ended(FAILED)], named).unwrap();
        assert_eq!(
            (found.standing, &found.seconds[..]),
            (Standing::Holds, &[(21, 24)][..])
        );
        assert!(found.pro.contains(&unhealthy_alone()), "{found:?}");
    }

    #[test]
    fn header_and_health_agree_or_the_header_counts() {
        let named = |fails: bool| {
            move |second: u32, asked: u64| {
                let each = asked / 4;
                let (ok, bad) = match fails && (18..24).contains(&second) {
                    true => (0, each),
                    false => (each, 0),
                };
                ALL.map(|id| {
                    if id == "i-2" {
                        (id, ok, bad, 40)
                    } else {
                        (id, each, 0, 40)
                    }
                })
                .to_vec()
            }
        };
        let found = sick(&["i-2"], Vec::new(), named(true)).unwrap();
        assert_eq!(found.standing, Standing::Holds);
        assert!(found.pro.contains(&unhealthy_alone()), "{found:?}");
        let other = sick(&["i-3"], Vec::new(), named(true)).unwrap();
        let is_health = |clue: &Clue| matches!(clue, Clue::UnhealthyAlone { .. });
        assert!(
            other.holds() && !other.pro.iter().any(is_health),
            "{other:?}"
        );
        assert_eq!(sick(&["i-2"], Vec::new(), named(false)), None);
    }
}
