//! Judges whether the figures describe the target, rather than a limit of the generators or of the
//! watch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Circumstances, Expectation, Finding, Measured, Reason, RunFigures, RunWarning, ValidityReason,
};
use evidence::load::least_sent;
use evidence::others::TOO_MANY;
use evidence::{NotCounted, OtherLoad, OtherShare, Timeline};
use model::measure::{Results, Saturation, Select, stretches};
use model::outcome::Verdict;
use model::scenario::{Model, Scenario};

/// Share of strained seconds that a run may have, and a number of them that is always allowed. A
/// host that stops for a moment or a burst of handshakes does not make a run worthless.
pub(super) const STRAINED_SHARE: f64 = 0.05;
const STRAINED_SECONDS: usize = 1;
/// Share of seconds in which a generator may be late by less than a tenth of a second. Such a second
/// has its whole load, and a limit that only such seconds missed is inconclusive by itself. From a
/// quarter on, the figures of the run are no more the target's alone.
pub(super) const LATE_SHARE: f64 = 0.25;
/// Share of iterations that may fail to start; above one in a thousand, load is missing.
pub(super) const DROPPED_SHARE: f64 = 0.001;
/// Share of the watch in which the group may be out of sight. A throttled call now and then hides
/// nothing.
pub(super) const BLIND_SHARE: f64 = 0.05;

pub(super) fn judge(
    scenario: &Scenario,
    results: &Results,
    timeline: Option<&Timeline>,
    circumstances: &Circumstances,
) -> Vec<Finding> {
    let mut findings = vec![
        sent(scenario, results),
        not_saturated(results, circumstances.started),
        whole(circumstances),
        all_there(results, circumstances),
    ];
    findings.extend(answered(results));
    findings.extend(timeline.map(not_blind));
    findings
}

fn unclear(
    expectation: Expectation,
    measured: impl Into<Measured>,
    reason: ValidityReason,
) -> Finding {
    Finding::of_run(expectation, Verdict::Inconclusive, measured, reason)
}

/// Judges whether each task sent the requests that were asked of it; the task that sent least
/// decides.
fn sent(scenario: &Scenario, results: &Results) -> Finding {
    let mut tasks: BTreeMap<u32, Saturation> = BTreeMap::new();
    for (task, saturation) in results.saturation() {
        tasks.entry(task).or_default().merge(saturation);
    }
    let worst = tasks
        .iter()
        .filter(|(_, saturation)| saturation.asked > 0)
        .min_by(|a, b| sent_share(a.1).total_cmp(&sent_share(b.1)));
    let Some((task, worst)) = worst else {
        return unclear(
            Expectation::LoadSent,
            Measured::Nothing,
            ValidityReason::GeneratorsSilentOnLoad,
        );
    };
    let mut all = Saturation::default();
    for saturation in tasks.values() {
        all.merge(saturation);
    }
    let bound = least_sent(!scenario.has(Model::Users));
    let share = sent_share(worst);
    let is_missed = share < bound;
    let reason = ValidityReason::LeastSent {
        task: *task,
        share,
        bound: is_missed.then_some(bound),
        data_used_up: all.without_data,
        iterations_cut: all.cut,
    };
    let verdict = if is_missed {
        Verdict::Inconclusive
    } else {
        Verdict::Passed
    };
    let measured = RunFigures::LoadSent {
        share: sent_share(&all),
    };
    Finding::of_run(Expectation::LoadSent, verdict, measured, reason)
}

fn sent_share(saturation: &Saturation) -> f64 {
    saturation.sent as f64 / saturation.asked.max(1) as f64
}

/// Returns a finding only if it does not hold: without thresholds a target that is down would pass.
fn answered(results: &Results) -> Option<Finding> {
    let tally = results.merged(Select::default()).tally;
    let requests = tally.requests();
    if requests > tally.unsent && tally.answered() == 0 {
        let reason = if results.anything_came() {
            let most = results.failures().into_iter().next();
            ValidityReason::NoWholeAnswer {
                count: most.as_ref().map_or(0, |(_, _, count)| *count),
                most: most.map(|(_, failure, _)| failure),
            }
        } else {
            ValidityReason::NotOneAnswer
        };
        return Some(unclear(
            Expectation::TargetAnswered,
            RunFigures::Requests { count: 0, requests },
            reason,
        ));
    }
    let all = requests + tally.no_socket;
    let never_sent = [
        (tally.no_socket, ValidityReason::NoSockets),
        (tally.unsent, ValidityReason::RequestsNeverSent),
    ];
    let mut too_many = never_sent
        .into_iter()
        .filter(|(count, _)| *count as f64 > all as f64 * (1.0 - least_sent(true)));
    too_many.next().map(|(count, reason)| {
        let requests = all;
        let measured = RunFigures::Requests { count, requests };
        unclear(Expectation::EveryRequestSent, measured, reason)
    })
}

fn not_saturated(results: &Results, started: Option<Timestamp>) -> Finding {
    const EXPECTATION: Expectation = Expectation::GeneratorNotTheLimit;
    let (mut seconds, mut saturated) = (BTreeSet::new(), BTreeSet::new());
    let mut more_than_late = BTreeSet::new();
    let mut all = Saturation::default();
    for (_, saturation) in results.saturation() {
        seconds.insert(saturation.second);
        all.merge(saturation);
        if saturation.beyond().is_some() {
            saturated.insert(saturation.second);
            if !saturation.is_only_late() {
                more_than_late.insert(saturation.second);
            }
        }
    }
    if seconds.is_empty() {
        return unclear(
            EXPECTATION,
            Measured::Nothing,
            ValidityReason::GeneratorsSilent,
        );
    }
    let measured = RunFigures::Saturation {
        latest_s: Duration::from_micros(all.late_micros).into(),
        busy_share: f64::from(all.busy) / 1_000.0,
    };
    if all.dropped as f64 > all.asked as f64 * DROPPED_SHARE {
        let reason = ValidityReason::IterationsNotStarted {
            dropped: all.dropped,
            asked: all.asked,
        };
        return unclear(EXPECTATION, measured, reason);
    }
    let are_many = |found: &BTreeSet<u32>, share: f64| {
        found.len() as f64 > seconds.len() as f64 * share && found.len() > STRAINED_SECONDS
    };
    if are_many(&more_than_late, STRAINED_SHARE) || are_many(&saturated, LATE_SHARE) {
        let reason = ValidityReason::Saturated {
            stretches: stretches(results.saturation()),
            started,
        };
        return unclear(EXPECTATION, measured, reason);
    }
    let reason = match saturated.len() {
        0 => ValidityReason::KeptUp,
        saturated_s => ValidityReason::SaturatedBriefly {
            saturated_s,
            of_s: seconds.len(),
        },
    };
    Finding::of_run(EXPECTATION, Verdict::Passed, measured, reason)
}

fn whole(circumstances: &Circumstances) -> Finding {
    let (verdict, reason) = match &circumstances.cut_short {
        None => (Verdict::Passed, ValidityReason::CarriedOut),
        Some(cause) => (
            Verdict::Inconclusive,
            ValidityReason::EndedEarly {
                cause: cause.clone(),
            },
        ),
    };
    Finding::of_run(
        Expectation::PlanCarriedOut,
        verdict,
        Measured::Nothing,
        reason,
    )
}

fn all_there(results: &Results, circumstances: &Circumstances) -> Finding {
    let Circumstances {
        tasks,
        complete_tasks,
        missing,
        ..
    } = circumstances;
    let (verdict, reason) = if results.is_empty() {
        (Verdict::Inconclusive, ValidityReason::NothingReported)
    } else if missing.is_empty() && complete_tasks == tasks {
        (Verdict::Passed, ValidityReason::EverythingArrived)
    } else {
        let parts = missing.clone();
        (Verdict::Inconclusive, ValidityReason::Missing { parts })
    };
    let measured = RunFigures::TasksComplete {
        complete: *complete_tasks,
        tasks: *tasks,
    };
    Finding::of_run(Expectation::AllResultsArrived, verdict, measured, reason)
}

/// Judges whether the load was ours, by the load balancer's count; `None` where there was no load.
pub(super) fn ours(
    others: Option<&Result<OtherLoad, NotCounted>>,
    circumstances: &Circumstances,
) -> Option<Finding> {
    const EXPECTATION: Expectation = Expectation::LoadOurs;
    let unknown = |reason| Some(unclear(EXPECTATION, Measured::Nothing, reason));
    let found = match others? {
        // Requests that were sent and not reported would count as those of others.
        Ok(_) if !circumstances.missing.is_empty() => {
            return unknown(ValidityReason::OthersBesideMissing);
        }
        Err(NotCounted::NothingSent) => return None,
        Err(why) => return unknown(ValidityReason::OthersNotCounted { why: *why }),
        Ok(found) => found,
    };
    let measured = RunFigures::OtherLoad {
        ours: found.ours,
        all: found.ours + found.others.round() as u64,
        others_share: found.others_share(),
        burst_share: found.burst_share,
        compared_s: found.compared_s,
        load_s: found.load_s,
        before_per_second: found.before,
        after_per_second: found.after,
    };
    let bound_share = TOO_MANY;
    let (verdict, reason) = match found.share() {
        OtherShare::NearlyNone => (Verdict::Passed, ValidityReason::NearlyAllOurs),
        OtherShare::Some => (Verdict::Passed, ValidityReason::SomeOthers { bound_share }),
        OtherShare::TooMany => (
            Verdict::Inconclusive,
            ValidityReason::TooManyOthers { bound_share },
        ),
    };
    Some(Finding::of_run(EXPECTATION, verdict, measured, reason))
}

/// True for a finding that nobody asked for and that could not be judged.
pub(super) fn is_unknown(finding: &Finding) -> bool {
    matches!(
        finding.reason,
        Reason::Validity(
            ValidityReason::OthersNotCounted { .. } | ValidityReason::OthersBesideMissing
        )
    )
}

/// Returns the doubt that a finding leaves although it passes.
pub(super) fn warning(finding: &Finding) -> Option<RunWarning> {
    let Reason::Validity(ValidityReason::SomeOthers { bound_share }) = finding.reason else {
        return None;
    };
    let Measured::Run(RunFigures::OtherLoad {
        ours,
        all,
        others_share,
        burst_share,
        ..
    }) = finding.measured
    else {
        return None;
    };
    Some(RunWarning::OtherLoad {
        ours,
        all,
        others_share,
        burst_share,
        bound_share,
    })
}

/// Gaps in the watch are not filled in: with more than [`BLIND_SHARE`] of gaps the reaction is
/// unknown.
fn not_blind(timeline: &Timeline) -> Finding {
    let first = timeline.observations.first().map(|seen| seen.at);
    let last = timeline.observations.last().map(|seen| seen.at);
    let watched = first.zip(last).map_or(0.0, |(first, last)| {
        last.duration_since(first).as_secs_f64()
    });
    let unseen = timeline.blind();
    let (verdict, reason) = if unseen.as_secs_f64() > watched * BLIND_SHARE {
        (Verdict::Inconclusive, ValidityReason::OutOfSightTooLong)
    } else {
        (Verdict::Passed, ValidityReason::SeenEnough)
    };
    let measured = RunFigures::OutOfSight {
        unseen_s: unseen.into(),
        watched_s: Duration::from_secs_f64(watched).into(),
    };
    Finding::of_run(Expectation::GroupWatched, verdict, measured, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use crate::verdict::MissingPart;
    use evidence::others::compare;
    use evidence::testing::{at, counted, group, scenario};
    use model::measure::{Broken, Cell, Failure, FailureCount, Interval, Key, Tally};

    fn results(seconds: Vec<(u32, Saturation)>) -> Results {
        let mut results = Results::default();
        for (task, saturation) in seconds {
            results.add(
                task,
                &Interval {
                    saturation: vec![saturation],
                    ..Interval::default()
                },
            );
        }
        results
    }

    fn calm(second: u32) -> Saturation {
        Saturation {
            second,
            asked: 100,
            sent: 100,
            starts: 100,
            ..Saturation::default()
        }
    }

    #[test]
    fn a_target_that_sent_anything_is_not_called_down() {
        let key = Key {
            phase: 0,
            flow: 0,
            step: 0,
        };
        let judged = |tally: Tally, failures: &[(Failure, u64)]| {
            let mut results = Results::default();
            let failures = failures.iter().map(|(failure, count)| FailureCount {
                key,
                failure: failure.clone(),
                count: *count,
            });
            results.add(
                0,
                &Interval {
                    cells: vec![Cell {
                        second: 0,
                        key,
                        tally,
                        latency: model::measure::PackedLatency::default(),
                    }],
                    failures: failures.collect(),
                    ..Interval::default()
                },
            );
            answered(&results).map(|finding| finding.reason)
        };
        let broken = |count| Tally {
            broken: count,
            ..Tally::default()
        };
        let of = Failure::Broken;
        assert_eq!(
            judged(broken(3), &[(of(Broken::ClosedBeforeAnswer), 3)]),
            Some(ValidityReason::NotOneAnswer.into())
        );
        let failures = [(of(Broken::ClosedInHead), 1), (of(Broken::NotHttp), 2)];
        assert_eq!(
            judged(broken(3), &failures),
            Some(
                ValidityReason::NoWholeAnswer {
                    most: Some(of(Broken::NotHttp)),
                    count: 2
                }
                .into()
            )
        );
        let unsent = Tally {
            unsent: 3,
            ..Tally::default()
        };
        assert_eq!(
            judged(unsent, &[]),
            Some(ValidityReason::RequestsNeverSent.into())
        );
        for (ok, expected) in [
            (0, Some(ValidityReason::NoSockets.into())),
            (100, Some(ValidityReason::NoSockets.into())),
            (400, None),
        ] {
            let no_socket = Tally {
                no_socket: 3,
                ok,
                ..Tally::default()
            };
            assert_eq!(judged(no_socket, &[]), expected, "{ok}");
        }
        let ok = Tally { ok: 1, ..broken(3) };
        assert_eq!(judged(ok, &[(of(Broken::NotHttp), 3)]), None);
    }

    #[test]
    fn a_strained_generator_is_named_with_its_time_and_reason() {
        let started = "2026-03-01T12:03:00Z".parse().ok();
        let busy = |second| Saturation {
            busy: 990,
            ..calm(second)
        };
        let seconds = (0..100).map(|second| {
            (
                3,
                if (10..40).contains(&second) {
                    busy(second)
                } else {
                    calm(second)
                },
            )
        });
        let judged = words::judgement(not_saturated(&results(seconds.collect()), started));
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert_eq!(
            judged.because,
            "the generator was the limit from 12:03:10 to 12:03:40 (task 3: a worker was over 95 % busy): add tasks"
        );
        let blip = (0..100).map(|second| {
            (
                3,
                if second == 10 {
                    busy(second)
                } else {
                    calm(second)
                },
            )
        });
        assert_eq!(
            not_saturated(&results(blip.collect()), started).verdict,
            Verdict::Passed
        );
        let late = |second| Saturation {
            late: 2,
            late_micros: 99_000,
            ..calm(second)
        };
        for (late_s, verdict) in [(25, Verdict::Passed), (26, Verdict::Inconclusive)] {
            let seconds = (0..100).map(|second| {
                let is_late = second < late_s;
                (3, if is_late { late(second) } else { calm(second) })
            });
            let judged = not_saturated(&results(seconds.collect()), started);
            assert_eq!(judged.verdict, verdict, "{late_s}");
        }
        let short = vec![(0, calm(0)), (0, busy(1))];
        assert_eq!(
            not_saturated(&results(short), started).verdict,
            Verdict::Passed
        );
        let dropped = vec![(
            0,
            Saturation {
                dropped: 1,
                ..calm(0)
            },
        )];
        assert_eq!(
            not_saturated(&results(dropped), started).verdict,
            Verdict::Inconclusive
        );
        assert_eq!(
            not_saturated(&Results::default(), started).verdict,
            Verdict::Inconclusive
        );
    }

    /// Judges 200 requests per second for five minutes beside others, by the count of each minute.
    fn beside(others: f64, circumstances: &Circumstances) -> Finding {
        let minutes: Vec<(u32, f64)> = (0..5).map(|one| (one * 60, 12_000.0 + others)).collect();
        let observations = vec![group(0, 1, &["i-1"]), counted(600, &minutes)];
        let found = compare(&[200; 300], &Timeline { observations }, at(0));
        ours(Some(&found), circumstances).unwrap()
    }

    #[test]
    fn the_load_was_ours_as_far_as_the_balancer_counted_no_others() {
        let all_there = Circumstances::default();
        for (others, verdict, measured, because) in [
            (
                600.0,
                Verdict::Passed,
                "60000 of 63000 requests in 300 of 300 seconds",
                "the load balancer counted hardly any other request",
            ),
            (
                1_200.0,
                Verdict::Passed,
                "60000 of 66000 requests in 300 of 300 seconds",
                "the load balancer counted others: up to 10% verdicts and advice hold",
            ),
            (
                1_500.0,
                Verdict::Inconclusive,
                "60000 of 67500 requests in 300 of 300 seconds",
                "the load balancer counted others, over 10%: what the group did need not be its answer to this load; run it \
                 again while nobody else uses the group",
            ),
        ] {
            let judged = words::judgement(beside(others, &all_there));
            assert_eq!(judged.asked, "the load was ours");
            assert_eq!(
                (judged.verdict, &*judged.measured, &*judged.because),
                (verdict, measured, because)
            );
        }
    }

    #[test]
    fn others_who_change_nothing_are_a_warning() {
        let all_there = Circumstances::default();
        let said = |others| {
            let found = warning(&beside(others, &all_there))?;
            Some(words::warning(&found.into()))
        };
        assert_eq!(said(600.0), None);
        assert_eq!(
            said(1_200.0).as_deref(),
            Some(
                "60000 of 66000 requests were this run's, others sent 9.1%; up to 10% verdicts and advice hold"
            )
        );
        assert_eq!(said(1_500.0), None, "the finding says it");
    }

    #[test]
    fn what_was_not_counted_is_not_judged() {
        let missing = Circumstances {
            missing: vec![MissingPart::End { task: 0, why: None }],
            ..Circumstances::default()
        };
        assert!(is_unknown(&beside(6_000.0, &missing)));
        assert!(!is_unknown(&beside(6_000.0, &Circumstances::default())));
        let of = |found| ours(Some(&found), &Circumstances::default());
        assert_eq!(of(Err(NotCounted::NothingSent)), None);
        let unknown = of(Err(NotCounted::NoCount)).unwrap();
        assert!(is_unknown(&unknown));
        assert_eq!(
            words::judgement(unknown).because,
            "not known whether others sent load: no load balancer counts the requests of this group"
        );
    }

    #[test]
    fn the_task_that_sent_the_least_decides() {
        let lazy = Saturation {
            sent: 90,
            ..calm(0)
        };
        let judged = words::judgement(sent(&scenario(), &results(vec![(0, calm(0)), (1, lazy)])));
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert_eq!(judged.measured, "95.0% of what was asked");
        assert_eq!(judged.because, "task 1 sent 90.0%, the bound is 99%");
        assert_eq!(
            sent(&scenario(), &results(vec![(0, calm(0))])).verdict,
            Verdict::Passed
        );
        assert_eq!(
            sent(&scenario(), &Results::default()).verdict,
            Verdict::Inconclusive
        );
    }
}
