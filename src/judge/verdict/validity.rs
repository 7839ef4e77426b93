//! Judges whether the figures describe the target, rather than a limit of the generators or of the
//! watch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{Circumstances, Expectation, Finding, Measured, RunFigures, ValidityReason};
use evidence::Timeline;
use evidence::load::least_sent;
use model::measure::{Results, Saturation, Select, stretches};
use model::outcome::Verdict;
use model::scenario::{Model, Scenario};

/// Share of strained seconds that a run may have, and a number of them that is always allowed. A
/// host that stops for a moment or a burst of handshakes does not make a run worthless.
const STRAINED_SHARE: f64 = 0.05;
const STRAINED_SECONDS: usize = 1;
/// Share of iterations that may fail to start; above one in a thousand, load is missing.
const DROPPED_SHARE: f64 = 0.001;
/// Share of the watch in which the group may be out of sight. A throttled call now and then hides
/// nothing.
const BLIND_SHARE: f64 = 0.05;

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
    if requests > 0 && tally.answered() == 0 {
        return Some(unclear(
            Expectation::TargetAnswered,
            RunFigures::Requests { count: 0, requests },
            ValidityReason::NotOneAnswer,
        ));
    }
    (tally.unsent as f64 > requests as f64 * (1.0 - least_sent(true))).then(|| {
        let measured = RunFigures::Requests {
            count: tally.unsent,
            requests,
        };
        unclear(
            Expectation::EveryRequestSent,
            measured,
            ValidityReason::RequestsNeverSent,
        )
    })
}

fn not_saturated(results: &Results, started: Option<Timestamp>) -> Finding {
    const EXPECTATION: Expectation = Expectation::GeneratorNotTheLimit;
    let (mut seconds, mut saturated) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Saturation::default();
    for (_, saturation) in results.saturation() {
        seconds.insert(saturation.second);
        all.merge(saturation);
        if saturation.beyond().is_some() {
            saturated.insert(saturation.second);
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
    let share = saturated.len() as f64 / seconds.len() as f64;
    if share > STRAINED_SHARE && saturated.len() > STRAINED_SECONDS {
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
    use evidence::testing::scenario;
    use model::measure::Interval;

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
