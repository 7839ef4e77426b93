//! Judges errors of requests while instances left, and compares the time that instances drain with
//! the longest request.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expectations::over;
use super::{Expectation, Finding, LeavingReason, Measured};
use evidence::Facts;
use evidence::instances::{self, Left, Why};
use model::measure::Tally;
use model::outcome::Verdict;
use model::units::Seconds;

/// Time after an instance was gone in which errors still count as its own.
pub(super) const AFTERMATH: Duration = Duration::from_secs(2);
/// Seconds before instances leave, and after they are gone, whose errors are not theirs.
const BESIDE: u32 = 5;

/// A target group that drains for less time than requests take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShortDraining {
    /// The shortest deregistration delay of the target groups.
    pub delay_s: Seconds,
    /// The longest request of the seconds without overload.
    pub longest_s: Seconds,
}

/// Errors of the seconds in which instances left, by how sure it is that these are drops.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dropped {
    requests: u64,
    /// Connections cut off or refused, and 5xx of an instance that left or of the load balancer
    /// itself.
    sure: u64,
    /// Errors that the load may have caused: all instances were overloaded, or it is unknown
    /// whether they were. Also as many as fail without an instance that leaves.
    doubtful: u64,
    /// Requests that were sent again on a new connection: nothing of them is lost.
    sent_again: u64,
}

/// Judges the requests that were cut off, refused or answered 5xx while instances left.
pub(super) fn nothing_dropped(facts: &Facts<'_>) -> Finding {
    let leaving: Vec<&Left> = facts
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::ScaledIn)
        .collect();
    let Some(began) = leaving.iter().map(|one| one.began.at).min() else {
        return unclear(LeavingReason::NoInstanceLeft);
    };
    if began >= facts.times.ended {
        return unclear(LeavingReason::LoadEndedBeforeLeaving);
    }
    let overload = &facts.overload;
    let by_header = facts.results.names_instances();
    let seen = dropped(facts, &leaving);
    let last = leaving
        .iter()
        .map(|one| one.began.at)
        .max()
        .unwrap_or(began);
    let short = short_draining(facts);
    let (verdict, reason) = match seen {
        Dropped { requests: 0, .. } => {
            (Verdict::Inconclusive, LeavingReason::NoRequestWhileLeaving)
        }
        Dropped {
            sure: 0,
            doubtful: 0,
            ..
        } => {
            // Zero errors until the end of the load do not clear instances that left after it.
            let load_ended = (last >= facts.times.ended).then_some(facts.times.ended);
            let reason = LeavingReason::NoneDropped {
                until_after_s: AFTERMATH.into(),
                load_ended,
                // Without a known capacity, long requests may have waited for an overloaded instance.
                short: short.filter(|_| overload.is_known()),
            };
            (Verdict::Passed, reason)
        }
        Dropped {
            sure: 0, doubtful, ..
        } => {
            let reason = LeavingReason::DropsUnclear {
                errors: doubtful,
                capacity_known: overload.is_known(),
                by_header,
            };
            (Verdict::Inconclusive, reason)
        }
        _ if by_header => (Verdict::Failed, LeavingReason::DroppedByHeader { short }),
        _ => (Verdict::Failed, LeavingReason::DroppedInferred { short }),
    };
    let measured = Measured::Dropped {
        requests: seen.sure,
        of: seen.requests,
        sent_again: seen.sent_again,
    };
    Finding::of_group(Expectation::NothingDropped, verdict, measured, reason)
}

/// Returns both times if a target group drains for less time than the longest request takes.
fn short_draining(facts: &Facts<'_>) -> Option<ShortDraining> {
    let groups = facts.timeline.surroundings().into_iter();
    let delay = groups
        .flat_map(|known| &known.target_groups)
        .map(|one| one.deregistration_delay)
        .min()?;
    let longest = longest_request(facts)?;
    (longest > delay).then(|| ShortDraining {
        delay_s: delay.into(),
        longest_s: longest.into(),
    })
}

/// Returns the longest request of the seconds in which neither an instance nor a generator was
/// overloaded: a request that waits for its turn is longer than what an instance works on.
fn longest_request(facts: &Facts<'_>) -> Option<Duration> {
    let (queue, doubtful) = (facts.overload.queue(), facts.results.doubtful_seconds());
    let is_calm = |second: &u32| {
        let before = second.saturating_sub(queue)..=*second;
        !doubtful.contains(second) && before.clone().all(|at| !facts.overload.in_second(at))
    };
    let seconds: Vec<u32> = (0..=facts.results.last_second()?).filter(is_calm).collect();
    over(facts.results, &seconds).latency.max()
}

fn unclear(reason: LeavingReason) -> Finding {
    Finding::of_group(
        Expectation::NothingDropped,
        Verdict::Inconclusive,
        Measured::Nothing,
        reason,
    )
}

fn dropped(facts: &Facts<'_>, leaving: &[&Left]) -> Dropped {
    let span = |one: &Left| {
        let second = |at| instances::second(facts.times.started, at).unwrap_or(0);
        let gone = one.gone.map_or(one.began.at, |seen| seen.at);
        (
            second(one.began.at),
            second(instances::after(gone, AFTERMATH)),
        )
    };
    let mut seconds: Vec<u32> = leaving
        .iter()
        .flat_map(|one| span(one).0..=span(one).1)
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let mut seen = Dropped::default();
    for row in seconds.chunk_by(|a, b| a + 1 == *b) {
        let mut spare = Spare::default();
        for second in row.iter().copied() {
            let leaves = |id: &str| {
                let mut leaving = leaving.iter();
                leaving.any(|one| one.id == id && (span(one).0..=span(one).1).contains(&second))
            };
            seen.add(facts, second, leaves, &mut spare);
        }
        let usual = usual(facts, &seconds, row, &spare);
        seen.sure += spare.errors - usual;
        seen.doubtful += usual;
    }
    seen
}

/// Errors and requests of seconds with load to spare, without a header.
#[derive(Debug, Default)]
struct Spare {
    errors: u64,
    requests: u64,
}

impl Dropped {
    /// Adds the errors of a second in which instances leave. Those that nobody can tell from the
    /// usual ones by that second alone go to `spare`.
    fn add(
        &mut self,
        facts: &Facts<'_>,
        second: u32,
        leaves: impl Fn(&str) -> bool,
        spare: &mut Spare,
    ) {
        let window = Some((second, second + 1));
        let all = over(facts.results, &[second]).tally;
        let of = |id: &str| facts.results.of_instance(id, window).tally.status_5xx;
        self.requests += all.requests();
        self.sent_again += all.reconnects;
        let cut = cut_off(&all);
        let by_leaving = beyond_others(facts, window, leaves);
        let named: u64 = facts.results.instances().map(of).sum();
        // Errors that are there whatever the load are no drops.
        let unnamed_5xx = all.status_5xx.saturating_sub(named);
        let constant = facts.baseline.errors_5xx(second);
        let all_5xx = all.status_5xx.saturating_sub(constant);
        // A 5xx that names no instance is the load balancer's own: 502 where an instance cut it
        // off.
        let unnamed = unnamed_5xx.saturating_sub(constant);
        let (by_header, is_known) = (facts.results.names_instances(), facts.overload.is_known());
        match (by_header, is_known, has_other_reason(facts, second)) {
            (true, _, false) => self.sure += cut + by_leaving + unnamed,
            (true, _, true) => {
                self.sure += cut + by_leaving;
                self.doubtful += unnamed;
            }
            (false, true, false) => {
                spare.errors += cut + all_5xx;
                spare.requests += all.requests();
            }
            (false, ..) => self.doubtful += cut + all_5xx,
        }
    }
}

/// Returns true if errors of this second may have another reason than an instance that leaves: all
/// were overloaded, or a hypothesis explains it.
fn has_other_reason(facts: &Facts<'_>, second: u32) -> bool {
    facts.overload.in_second(second) || facts.explained.skip.contains(&second)
}

/// Returns how many of the errors with load to spare are likely in a row of seconds by the share
/// that failed just before any instance left, or just after it was gone: nobody can tell these from
/// drops without a header. `leaving` are all seconds in which one leaves, sorted.
fn usual(facts: &Facts<'_>, leaving: &[u32], row: &[u32], spare: &Spare) -> u64 {
    let (Some(first), Some(last)) = (row.first(), row.last()) else {
        return 0;
    };
    let share = |seconds: std::ops::Range<u32>| {
        let is_beside =
            |at: &u32| leaving.binary_search(at).is_err() && !has_other_reason(facts, *at);
        let beside: Vec<u32> = seconds.filter(is_beside).collect();
        let tally = over(facts.results, &beside).tally;
        let constant: u64 = beside.iter().map(|at| facts.baseline.errors_5xx(*at)).sum();
        let errors = cut_off(&tally) + tally.status_5xx.saturating_sub(constant);
        errors as f64 / tally.requests().max(1) as f64
    };
    // Drops end with the leaving.
    let before = share(first.saturating_sub(BESIDE)..*first);
    let share = f64::max(before, share(last + 1..last + 1 + BESIDE));
    let expected = spare.requests as f64 * share;
    // Three standard deviations of a binomial share, once for the whole row.
    let likely = expected + 3.0 * (expected * (1.0 - share)).max(0.0).sqrt();
    spare.errors.min(likely.ceil() as u64)
}

/// Returns the 5xx of the instances that leave, beyond those that the other instances make likely.
fn beyond_others(
    facts: &Facts<'_>,
    window: Option<(u32, u32)>,
    leaves: impl Fn(&str) -> bool,
) -> u64 {
    let (mut own, mut others) = (Tally::default(), Tally::default());
    for id in facts.results.instances() {
        let tally = facts.results.of_instance(id, window).tally;
        match leaves(id) {
            true => own.merge(&tally),
            false => others.merge(&tally),
        }
    }
    let share = others.status_5xx as f64 / others.requests().max(1) as f64;
    let expected = own.requests() as f64 * share;
    // Three standard deviations of a binomial share.
    let likely = expected + 3.0 * (expected * (1.0 - share)).max(0.0).sqrt();
    own.status_5xx.saturating_sub(likely.ceil() as u64)
}

fn cut_off(tally: &Tally) -> u64 {
    tally.broken + tally.lost + tally.connect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use evidence::testing::with_load;
    use evidence::testing::{Answers, activity, at, group, phases, results, shrinking};
    use evidence::timeline::{Observation, Observed, Surroundings, TargetGroup};
    use model::measure::{Cell, Interval, Key, LatencyHistogram};
    use std::ops::Range;

    /// i-3 is told to leave at 28 s and is gone at 38 s. From 30 s to 40 s a second spike overloads
    /// the other instances.
    fn judged(answers: impl Fn(u32, u64) -> Vec<Answers>) -> (Verdict, String) {
        let scenario = phases(&[
            (1.0, false),
            (9.0, true),
            (2.0, false),
            (9.0, true),
            (2.0, false),
        ]);
        let story = vec![
            group(0, 3, &["i-1", "i-2", "i-3"]),
            activity(28, "Terminating EC2 instance: i-3", 3, 2),
            shrinking(29, &["i-1", "i-2"], &["i-3"]),
            group(38, 2, &["i-1", "i-2"]),
            group(60, 2, &["i-1", "i-2"]),
        ];
        let results = results(&scenario, |second, level| {
            answers(second, (level * 100.0) as u64)
        });
        with_load(&scenario, story, &results, |facts| {
            let judged = words::judgement(nothing_dropped(facts));
            (judged.verdict, judged.answer())
        })
    }

    /// Without a header, i-3 is told to leave at the first of these seconds and is gone at the last.
    /// The other two fail a third from the spike on, and these fail in the seconds before.
    fn nameless_around(
        levels: &[(f64, bool)],
        leaves: Range<u32>,
        spike: Range<u32>,
        bad: impl Fn(u32) -> u64,
    ) -> (Verdict, String) {
        let scenario = phases(levels);
        let story = vec![
            group(0, 3, &["i-1", "i-2", "i-3"]),
            activity(leaves.start, "Terminating EC2 instance: i-3", 3, 2),
            shrinking(leaves.start + 1, &["i-1", "i-2"], &["i-3"]),
            group(leaves.end, 2, &["i-1", "i-2"]),
            group(70, 2, &["i-1", "i-2"]),
        ];
        let results = results(&scenario, |second, level| {
            let all = (level * 100.0) as u64;
            match spike.contains(&second) {
                true => vec![("", 600, 300, 900)],
                false => vec![("", all - bad(second), bad(second), 50)],
            }
        });
        with_load(&scenario, story, &results, |facts| {
            let judged = words::judgement(nothing_dropped(facts));
            (judged.verdict, judged.answer())
        })
    }

    #[test]
    fn an_overload_right_after_an_instance_is_gone_makes_no_drop_usual() {
        let levels = [
            (1.0, false),
            (9.0, true),
            (2.0, false),
            (9.0, true),
            (2.0, false),
        ];
        // The row ends at 27 s, and the overload begins at 30 s.
        let bad = |second| if second == 24 { 4 } else { 0 };
        let (verdict, why) = nameless_around(&levels, 22..25, 30..40, bad);
        assert!(
            verdict == Verdict::Failed && why.starts_with("4 of "),
            "{why}"
        );
    }

    #[test]
    fn one_stray_error_before_does_not_make_a_drop_in_each_second_usual() {
        let levels = [
            (1.0, false),
            (9.0, true),
            (4.0, false),
            (4.0, false),
            (4.0, false),
            (9.0, true),
            (4.0, false),
        ];
        let bad = |second| match second {
            24 => 1,
            28..48 => 2,
            _ => 0,
        };
        let (verdict, why) = nameless_around(&levels, 28..46, 50..60, bad);
        // Of 40 errors, chance makes about 11 of the 8,400 requests likely.
        assert!(
            verdict == Verdict::Failed && why.starts_with("29 of "),
            "{why}"
        );
    }

    fn saturated(second: u32) -> bool {
        (30..40).contains(&second)
    }

    #[test]
    fn what_the_others_could_not_carry_is_not_dropped_by_the_one_that_leaves() {
        let by = |leaving: &'static str| {
            judged(move |second, all| match saturated(second) {
                true => vec![("i-1", 600, 0, 900), (leaving, 0, 300, 900)],
                false => vec![("i-1", all, 0, 50)],
            })
        };
        assert_eq!(by("i-2").0, Verdict::Passed, "{:?}", by("i-2"));
        assert_eq!(by("i-3").0, Verdict::Failed);
        // The load balancer itself answers 5xx, while all instances are overloaded.
        let (verdict, why) = by("");
        assert!(
            verdict == Verdict::Inconclusive && why.contains("load balancer itself"),
            "{why}"
        );
    }

    #[test]
    fn without_a_header_only_errors_with_load_to_spare_are_drops() {
        let nameless = |at: u32| {
            judged(move |second, all| match (saturated(second), second == at) {
                (true, _) => vec![("", 600, 300, 900)],
                (false, true) => vec![("", all - 4, 4, 50)],
                (false, false) => vec![("", all, 0, 50)],
            })
        };
        let (verdict, why) = nameless(99);
        assert!(
            verdict == Verdict::Inconclusive && why.contains("`instance_header` would tell"),
            "{why}"
        );
        // A quarter of everything fails from before it leaves on, to the end.
        // Or it begins while the instance leaves, and goes on when it is gone.
        for began in [24, 30] {
            let (verdict, why) = judged(|second, all| match second >= began {
                true => vec![("", all - all / 4, all / 4, 50)],
                false => vec![("", all, 0, 50)],
            });
            assert!(
                verdict == Verdict::Inconclusive && why.contains("`instance_header` would tell"),
                "{why}"
            );
        }
        let (verdict, why) = nameless(29);
        assert!(
            verdict == Verdict::Failed && why.starts_with("4 of "),
            "{why}"
        );
    }

    #[test]
    fn errors_that_are_always_there_are_no_drops() {
        // A tenth of all requests always fails; in one second more do.
        let judged = |by: &'static str, own: &'static str, more_at: u32| {
            judged(move |second, all| {
                let bad = if second == more_at { all / 4 } else { all / 10 };
                match (saturated(second), own.is_empty()) {
                    // Without a header, the overload shows the capacity.
                    (true, true) => vec![(own, 540, 360, 900)],
                    _ => vec![(own, all - bad, 0, 50), (by, 0, bad, 50)],
                }
            })
        };
        let (verdict, why) = judged("", "i-1", 99);
        assert!(
            verdict == Verdict::Passed && why.starts_with("0 of "),
            "{why}"
        );
        let (verdict, why) = judged("", "i-1", 29);
        assert!(verdict == Verdict::Failed, "{why}");
        // Without a header, what overload may have caused cannot be told.
        assert_eq!(judged("", "", 99).0, Verdict::Inconclusive);
        assert_eq!(judged("", "", 29).0, Verdict::Failed);
    }

    #[test]
    fn a_request_that_was_sent_again_is_told_and_not_dropped() {
        let scenario = phases(&[(1.0, false), (2.0, true), (1.0, false), (1.0, false)]);
        let story = vec![
            group(0, 2, &["i-1", "i-2"]),
            activity(28, "Terminating EC2 instance: i-2", 2, 1),
            shrinking(29, &["i-1"], &["i-2"]),
            group(33, 1, &["i-1"]),
        ];
        let mut answered = results(&scenario, |_, _| vec![("i-1", 100, 0, 50)]);
        // The last one long before.
        for (second, reconnects) in [(29, 2), (30, 1), (12, 7)] {
            let key = Key {
                phase: 0,
                flow: 0,
                step: 0,
            };
            let tally = Tally {
                reconnects,
                ..Tally::default()
            };
            let cell = Cell {
                second,
                key,
                tally,
                latency: LatencyHistogram::default().pack(),
            };
            let interval = Interval {
                cells: vec![cell],
                ..Interval::default()
            };
            answered.add(0, &interval);
        }
        with_load(&scenario, story, &answered, |facts| {
            let found = nothing_dropped(facts);
            assert_eq!(found.verdict, Verdict::Passed);
            let told = matches!(
                found.measured,
                Measured::Dropped {
                    requests: 0,
                    sent_again: 3,
                    ..
                }
            );
            assert!(told, "{found:?}");
        });
    }

    #[test]
    fn draining_that_is_shorter_than_the_longest_request_is_named_with_both_times() {
        let judged = |delay: u64, bad: u64, slow: Range<u32>| {
            let scenario = phases(&[(1.0, false), (2.0, true), (1.0, false), (1.0, false)]);
            let target_group = TargetGroup {
                deregistration_delay: Duration::from_secs(delay),
                ..TargetGroup::default()
            };
            let surroundings = Surroundings {
                target_groups: vec![target_group],
                ..Surroundings::default()
            };
            let story = vec![
                Observation::new(at(0), Observed::Surroundings(surroundings)),
                group(0, 2, &["i-1", "i-2"]),
                activity(28, "Terminating EC2 instance: i-2", 2, 1),
                shrinking(29, &["i-1"], &["i-2"]),
                group(33, 1, &["i-1"]),
            ];
            let answered = results(&scenario, |second, _| {
                let long = u64::from(slow.contains(&second));
                vec![
                    ("i-1", 98, 0, 50),
                    ("i-1", long, 0, 8_000),
                    ("i-2", 1, bad, 50),
                ]
            });
            with_load(&scenario, story, &answered, |facts| {
                let judged = words::judgement(nothing_dropped(facts));
                (judged.verdict, judged.because)
            })
        };
        let said = "the target group drains for 5s (`deregistration_delay.timeout_seconds`), and the longest request took 8";
        let (verdict, why) = judged(5, 1, 0..20);
        assert!(verdict == Verdict::Failed && why.contains(said), "{why}");
        let (verdict, why) = judged(5, 0, 0..20);
        assert!(verdict == Verdict::Passed && why.contains(said), "{why}");
        assert!(!judged(10, 1, 0..20).1.contains("drains for"));
        assert!(!judged(5, 1, 0..0).1.contains("drains for"));
    }
}
