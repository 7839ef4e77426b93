//! Judges thresholds: limits on a metric over each judged phase, over one phase, or over the run.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod doubt; // missed limits whose cause need not be the target

pub(super) use doubt::{Cause, Doubt};

use super::{Expectation, Finding, Measured, MetricValue, Scope as FoundIn, ThresholdReason};
use evidence::load::samples_needed;
use model::measure::{Merged, Results, Select, Tally};
use model::outcome::Verdict;
use model::plan::Schedule;
use model::scenario::{
    PhaseRole, Scenario, Threshold, ThresholdMetric, ThresholdOperator, ThresholdScope,
};

/// The largest share of failed requests in a phase, where the scenario has no threshold on errors
/// for it. A service level of 99 % is the loosest in common use.
pub(super) const MOST_ERRORS: f64 = 0.01;
/// The same over a whole spike, in which the group may need a while to grow.
const MOST_ERRORS_IN_SPIKE: f64 = 0.05;

/// Judges every threshold in each of its scopes, and the default for errors in each judged phase
/// that has load and no threshold on errors. `changed` are the seconds that the load of others may
/// have changed.
pub(super) fn judge(
    scenario: &Scenario,
    results: &Results,
    schedule: &Schedule,
    changed: BTreeSet<u32>,
) -> Vec<Finding> {
    let doubts = [
        Doubt::of(Cause::Generator, results.doubtful_seconds(), results),
        Doubt::of(Cause::Others, changed, results),
    ];
    let judge = |threshold: &Threshold, phase| {
        let finding = judge_one(scenario, results, schedule, threshold, phase);
        let (from, to) = span(scenario, schedule, phase);
        let seconds = from.as_secs() as u32..to.as_secs_f64().ceil() as u32;
        let doubted = doubts.iter().flatten().find_map(|doubt| {
            doubt.weigh(threshold.metric, seconds.clone(), &finding, |rest| {
                judge_one(scenario, rest, schedule, threshold, phase).verdict
            })
        });
        doubted.unwrap_or(finding)
    };
    let mut findings = Vec::new();
    for threshold in &scenario.thresholds {
        for phase in scopes(scenario, threshold) {
            findings.push(judge(threshold, phase));
        }
    }
    findings.extend(errors_by_default(scenario, judge));
    findings
}

/// Judges errors in the phases for which the scenario sets no limit on them.
fn errors_by_default(
    scenario: &Scenario,
    judge: impl Fn(&Threshold, Option<usize>) -> Finding,
) -> Vec<Finding> {
    let phases = scenario.phases.iter().enumerate();
    phases
        .filter(|(index, phase)| {
            phase.role.judged()
                && scenario.has_load(*index)
                && !has_error_limit(scenario, &phase.name)
        })
        .map(|(index, phase)| {
            let limit_share = match phase.role {
                PhaseRole::Spike => MOST_ERRORS_IN_SPIKE,
                _ => MOST_ERRORS,
            };
            let threshold = default_limit(limit_share);
            Finding {
                expectation: Expectation::ErrorsByDefault { limit_share },
                ..judge(&threshold, Some(index))
            }
        })
        .collect()
}

/// Returns the threshold that stands for one on errors, where the scenario has none.
pub(super) fn default_limit(limit_share: f64) -> Threshold {
    Threshold {
        text: String::new(),
        metric: ThresholdMetric::Errors,
        of: None,
        comparison: ThresholdOperator::LessOrEqual,
        limit: limit_share,
        scope: ThresholdScope::EachPhase,
        within: None,
        abort_after: None,
    }
}

/// True if a threshold limits the errors of all requests in this phase.
pub(super) fn has_error_limit(scenario: &Scenario, phase: &str) -> bool {
    scenario.thresholds.iter().any(|threshold| {
        let covers = match &threshold.scope {
            ThresholdScope::Run | ThresholdScope::EachPhase => true,
            ThresholdScope::Phase(name) => name == phase,
        };
        threshold.metric == ThresholdMetric::Errors && threshold.of.is_none() && covers
    })
}

/// Returns the phases in which a threshold is judged, each on its own; `None` is the whole run. A
/// phase without load has no requests to judge.
fn scopes(scenario: &Scenario, threshold: &Threshold) -> Vec<Option<usize>> {
    let phases = scenario.phases.iter().enumerate();
    match &threshold.scope {
        ThresholdScope::Run => vec![None],
        ThresholdScope::Phase(name) => phases
            .filter(|(index, phase)| phase.name == *name && scenario.has_load(*index))
            .map(|(index, _)| Some(index))
            .collect(),
        ThresholdScope::EachPhase => phases
            .filter(|(index, phase)| phase.role.judged() && scenario.has_load(*index))
            .map(|(index, _)| Some(index))
            .collect(),
    }
}

fn judge_one(
    scenario: &Scenario,
    results: &Results,
    schedule: &Schedule,
    threshold: &Threshold,
    phase: Option<usize>,
) -> Finding {
    let scope = phase.map_or(FoundIn::Run, |index| {
        FoundIn::Phase(scenario.phases[index].name.clone())
    });
    let (verdict, measured, reason) = match threshold.within {
        None => {
            let (from, to) = span(scenario, schedule, phase);
            let merged = select(scenario, results, threshold, phase, None);
            // A run that was stopped is measured over the time that it had.
            let ran = results.ran().map_or(to, |ran| ran.clamp(from, to));
            weigh(threshold, &merged, ran.saturating_sub(from))
        }
        Some(window) => every_window(scenario, results, schedule, threshold, phase, window),
    };
    Finding {
        expectation: Expectation::Threshold {
            text: threshold.text.clone(),
        },
        scope,
        verdict,
        measured,
        reason: reason.into(),
    }
}

fn length(scenario: &Scenario, schedule: &Schedule, phase: Option<usize>) -> Duration {
    phase.map_or(schedule.end(), |index| scenario.phases[index].duration())
}

/// Returns start and end of the phase, or of the run, counted from the start of the load.
fn span(scenario: &Scenario, schedule: &Schedule, phase: Option<usize>) -> (Duration, Duration) {
    let from = phase
        .and_then(|index| schedule.phase_starts().get(index).copied())
        .unwrap_or_default();
    (from, from + length(scenario, schedule, phase))
}

/// Judges each window that lies within the phase on its own, and returns the worst.
fn every_window(
    scenario: &Scenario,
    results: &Results,
    schedule: &Schedule,
    threshold: &Threshold,
    phase: Option<usize>,
    window: u32,
) -> Weighed {
    let (from, to) = span(scenario, schedule, phase);
    let (first, end) = (from.as_secs_f64().ceil() as u32, to.as_secs() as u32);
    let length = Duration::from_secs(window.into());
    let too_short = ThresholdReason::WindowLongerThanPhase {
        window_s: length.into(),
    };
    if end < first + window {
        return (Verdict::Inconclusive, Measured::Nothing, too_short);
    }
    let windows = (first..=end - window).map(|at| {
        // A request may end after its phase: the last window takes all those.
        let until = if at + window == end {
            u32::MAX
        } else {
            at + window
        };
        let merged = select(scenario, results, threshold, phase, Some((at, until)));
        (at, weigh(threshold, &merged, length))
    });
    // Of equally bad windows the first is kept: a reader looks there first.
    let worst = windows.fold(None, |worst: Option<(u32, Weighed)>, window| match &worst {
        Some(known) if known.1.0 >= window.1.0 => worst,
        _ => Some(window),
    });
    let Some((at, (verdict, measured, reason))) = worst else {
        return (Verdict::Inconclusive, Measured::Nothing, too_short);
    };
    if verdict == Verdict::Passed {
        let reason = ThresholdReason::InEachWindow {
            windows: end - window - first + 1,
            window_s: length.into(),
        };
        return (verdict, Measured::Nothing, reason);
    }
    let reason = ThresholdReason::InWindow {
        from_s: at,
        to_s: at + window,
        reason: Box::new(reason),
    };
    (verdict, measured, reason)
}

/// Returns all requests of the named flow, group or step, in a phase or the run, or in a window of
/// time.
fn select(
    scenario: &Scenario,
    results: &Results,
    threshold: &Threshold,
    phase: Option<usize>,
    seconds: Option<(u32, u32)>,
) -> Merged {
    let all = Select {
        phase: phase.map(|index| index as u16),
        seconds,
        ..Select::default()
    };
    let Some(name) = &threshold.of else {
        return results.merged(all);
    };
    let mut merged = Merged::default();
    for (flow, step) in scenario.named(name) {
        merged.merge(&results.merged(Select {
            flow: Some(flow),
            step: Some(step),
            ..all
        }));
    }
    merged
}

/// A threshold with `abort` that has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Abort {
    /// The threshold, in the user's words.
    pub text: String,
    /// The value that failed it.
    pub measured: Measured,
}

/// Returns the threshold that stops the run now, because it has failed on the results so far.
/// `settled` is the time in seconds for which results are complete.
pub fn must_abort(
    scenario: &Scenario,
    results: &Results,
    schedule: &Schedule,
    settled: u32,
) -> Option<Abort> {
    let now = Duration::from_secs(settled.into());
    for threshold in &scenario.thresholds {
        let Some(after) = threshold.abort_after else {
            continue;
        };
        for phase in scopes(scenario, threshold) {
            let (from, to) = span(scenario, schedule, phase);
            let passed = now.saturating_sub(from).min(to - from);
            if passed.is_zero() || passed < after {
                continue;
            }
            let (merged, length) = match threshold
                .within
                .map(|window| Duration::from_secs(window.into()))
            {
                None => (select(scenario, results, threshold, phase, None), passed),
                Some(window) if passed < window => continue,
                Some(window) => {
                    let end = (from + passed).as_secs() as u32;
                    let seconds = (end.saturating_sub(window.as_secs() as u32), end);
                    (
                        select(scenario, results, threshold, None, Some(seconds)),
                        window,
                    )
                }
            };
            if let (Verdict::Failed, measured, _) = weigh(threshold, &merged, length) {
                return Some(Abort {
                    text: threshold.text.clone(),
                    measured,
                });
            }
        }
    }
    None
}

/// A verdict on one selection of requests, with its figures and its reason.
type Weighed = (Verdict, Measured, ThresholdReason);

/// Judges one selection of requests, which took this long.
pub(super) fn weigh(threshold: &Threshold, merged: &Merged, length: Duration) -> Weighed {
    let unclear = |reason| (Verdict::Inconclusive, Measured::Nothing, reason);
    let requests = merged.tally.requests();
    if requests == 0 {
        return unclear(ThresholdReason::NoRequestEnded);
    }
    let about_latency = matches!(
        threshold.metric,
        ThresholdMetric::Percentile(_) | ThresholdMetric::Mean | ThresholdMetric::Max
    );
    if about_latency && merged.latency.count() == 0 {
        return unclear(ThresholdReason::NoneAnswered { requests });
    }
    let (value, measured) = match measure(threshold.metric, merged, length) {
        Ok((value, measured)) => (value, measured.into()),
        Err(reason) => return unclear(reason),
    };
    if threshold.comparison.holds(value, threshold.limit) {
        (
            Verdict::Passed,
            measured,
            ThresholdReason::OverRequests { requests },
        )
    } else {
        let reason = ThresholdReason::LimitMissed {
            metric: threshold.metric,
            comparison: threshold.comparison,
            limit: threshold.limit,
        };
        (Verdict::Failed, measured, reason)
    }
}

/// Returns the metric's value in microseconds, in requests per second or as a share; an error if
/// there is none.
fn measure(
    metric: ThresholdMetric,
    merged: &Merged,
    length: Duration,
) -> Result<(f64, MetricValue), ThresholdReason> {
    let requests = merged.tally.requests();
    let micros = |value: Option<Duration>| value.map_or(0.0, |value| value.as_micros() as f64);
    Ok(match metric {
        ThresholdMetric::Percentile(percentile) => {
            let (samples, needed) = (merged.latency.count(), samples_needed(percentile));
            if samples < needed {
                return Err(ThresholdReason::TooFewSamples {
                    percentile,
                    samples,
                    needed,
                });
            }
            let value_us = micros(merged.latency.percentile(percentile));
            let measured = MetricValue::Percentile {
                percentile,
                value_us,
            };
            (value_us, measured)
        }
        ThresholdMetric::Mean => {
            let value_us = micros(merged.latency.mean());
            (value_us, MetricValue::Mean { value_us })
        }
        ThresholdMetric::Max => {
            let value_us = micros(merged.latency.max());
            (value_us, MetricValue::Max { value_us })
        }
        ThresholdMetric::Errors => {
            let errors = merged.tally.errors();
            let share = errors as f64 / requests as f64;
            let measured = MetricValue::Errors {
                share,
                errors,
                requests,
            };
            (share, measured)
        }
        ThresholdMetric::Checks => {
            let Tally {
                checks_passed: passed,
                checks_failed: failed,
                ..
            } = merged.tally;
            let checks = passed + failed;
            if checks == 0 {
                return Err(ThresholdReason::NoCheckMade);
            }
            let share = passed as f64 / checks as f64;
            let measured = MetricValue::Checks {
                share,
                failed,
                checks,
            };
            (share, measured)
        }
        ThresholdMetric::Rate => {
            let per_second =
                merged.tally.answered() as f64 / length.as_secs_f64().max(f64::EPSILON);
            (per_second, MetricValue::Rate { per_second })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::EndedEarly;
    use super::*;
    use crate::report::words;
    use evidence::testing::scenario;
    use model::measure::{Cell, Ending, Interval, Key, LatencyHistogram};
    use model::scenario::ThresholdOperator;

    /// Makes results of `(phase, requests, ending)`: the requests end in the phase's first second,
    /// each with a check.
    fn results(requests: &[(u16, u64, Ending)]) -> Results {
        let seconds: Vec<_> = requests
            .iter()
            .map(|(phase, millis, ending)| (u32::from(*phase) * 10, *phase, *millis, *ending))
            .collect();
        by_second(&seconds)
    }

    fn by_second(requests: &[(u32, u16, u64, Ending)]) -> Results {
        let mut results = Results::default();
        for (second, phase, millis, ending) in requests {
            let (mut tally, mut latency) = (Tally::default(), LatencyHistogram::default());
            tally.add(*ending);
            let answered = !matches!(ending, Ending::Timeout);
            tally.checks_passed = u64::from(answered && *ending == Ending::Ok);
            tally.checks_failed = u64::from(answered && *ending != Ending::Ok);
            latency.record(Duration::from_millis(*millis));
            let key = Key {
                phase: *phase,
                flow: 0,
                step: 0,
            };
            let cell = Cell {
                second: *second,
                key,
                tally,
                latency: latency.pack(),
            };
            results.add(
                0,
                &Interval {
                    cells: vec![cell],
                    ..Interval::default()
                },
            );
        }
        results
    }

    fn threshold(
        metric: ThresholdMetric,
        comparison: ThresholdOperator,
        limit: f64,
        scope: ThresholdScope,
    ) -> Threshold {
        Threshold {
            text: "asked".to_owned(),
            metric,
            of: None,
            comparison,
            limit,
            scope,
            within: None,
            abort_after: None,
        }
    }

    fn verdicts(
        threshold: Threshold,
        requests: &[(u16, u64, Ending)],
    ) -> Vec<(String, Verdict, String)> {
        let mut scenario = scenario();
        scenario.thresholds = vec![threshold];
        judged(&scenario, &results(requests), |asked| asked == "asked")
    }

    fn judged(
        scenario: &Scenario,
        results: &Results,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Vec<(String, Verdict, String)> {
        judge(scenario, results, &Schedule::new(scenario), BTreeSet::new())
            .into_iter()
            .map(words::judgement)
            .filter(|judgement| is_wanted(&judgement.asked))
            .map(|judgement| (judgement.scope, judgement.verdict, judgement.measured))
            .collect()
    }

    /// Judges the first threshold of a scenario whose load nobody else adds to.
    fn judge_first(scenario: &Scenario, results: &Results) -> Finding {
        judge(scenario, results, &Schedule::new(scenario), BTreeSet::new()).remove(0)
    }

    #[test]
    fn errors_have_a_default_limit_where_the_scenario_sets_none() {
        // 3 % of the requests of each phase fail.
        let requests: Vec<_> = (0..400)
            .map(|i| {
                let ending = if i / 4 % 100 < 3 {
                    Ending::Status5xx
                } else {
                    Ending::Ok
                };
                ((i % 4) as u16, 20, ending)
            })
            .collect();
        let mut scenario = scenario();
        scenario.thresholds = Vec::new();
        let default = |scenario: &Scenario| {
            let found = judged(scenario, &results(&requests), |asked| {
                asked.ends_with("(default)")
            });
            let verdicts = found
                .into_iter()
                .map(|(scope, verdict, _)| (scope, verdict));
            verdicts.collect::<Vec<_>>()
        };
        let of = |scope: &str, verdict| (scope.to_owned(), verdict);
        assert_eq!(
            default(&scenario),
            [
                of("sustained", Verdict::Failed),
                of("spike", Verdict::Passed),
                of("recovery", Verdict::Failed)
            ]
        );
        scenario.phases[3].level = 0.0;
        scenario.phases[3].ramp = Duration::ZERO;
        scenario.thresholds = vec![threshold(
            ThresholdMetric::Errors,
            ThresholdOperator::Less,
            0.5,
            ThresholdScope::Phase("sustained".to_owned()),
        )];
        assert_eq!(
            default(&scenario),
            [of("spike", Verdict::Passed)],
            "one has a limit of its own, one has no load"
        );
    }

    #[test]
    fn each_judged_phase_is_judged_on_its_own_and_warm_up_is_not() {
        let slow_spike: Vec<_> = (0..100)
            .map(|i| {
                (
                    (i % 4) as u16,
                    if i % 4 == 2 { 900 } else { 20 },
                    Ending::Ok,
                )
            })
            .collect();
        let p50 = threshold(
            ThresholdMetric::Percentile(50.0),
            ThresholdOperator::Less,
            500_000.0,
            ThresholdScope::EachPhase,
        );
        let seen = verdicts(p50, &slow_spike);
        assert_eq!(
            seen.iter()
                .map(|(scope, verdict, _)| (scope.as_str(), *verdict))
                .collect::<Vec<_>>(),
            [
                ("sustained", Verdict::Passed),
                ("spike", Verdict::Failed),
                ("recovery", Verdict::Passed)
            ]
        );
    }

    #[test]
    fn no_data_and_too_few_samples_are_inconclusive() {
        let p99 = threshold(
            ThresholdMetric::Percentile(99.0),
            ThresholdOperator::Less,
            500_000.0,
            ThresholdScope::Phase("spike".to_owned()),
        );
        assert_eq!(verdicts(p99.clone(), &[])[0].1, Verdict::Inconclusive);
        assert_eq!(
            verdicts(p99.clone(), &[(2, 5, Ending::Ok); 99])[0].1,
            Verdict::Inconclusive
        );
        assert_eq!(
            verdicts(p99, &[(2, 5, Ending::Ok); 100])[0].1,
            Verdict::Passed
        );
    }

    #[test]
    fn errors_are_a_share_of_all_and_checks_of_the_answered() {
        let seen = [
            (2, 5, Ending::Ok),
            (2, 5, Ending::Check),
            (2, 5, Ending::Timeout),
            (2, 5, Ending::Ok),
        ];
        let errors = threshold(
            ThresholdMetric::Errors,
            ThresholdOperator::Less,
            0.4,
            ThresholdScope::Run,
        );
        assert_eq!(
            verdicts(errors, &seen),
            [(
                "run".to_owned(),
                Verdict::Failed,
                "errors = 50.00% (2 of 4)".to_owned()
            )]
        );
        let checks = threshold(
            ThresholdMetric::Checks,
            ThresholdOperator::Greater,
            0.5,
            ThresholdScope::Run,
        );
        assert_eq!(
            verdicts(checks, &seen)[0].2,
            "checks = 66.67% (1 of 3 failed)"
        );
    }

    #[test]
    fn a_percentile_needs_a_sample_beyond_it() {
        for (q, needed) in [(50.0, 2), (95.0, 20), (99.0, 100), (99.9, 1_000)] {
            assert_eq!(samples_needed(q), needed, "p{q}");
        }
    }

    #[test]
    fn a_window_finds_what_a_phase_hides() {
        // Ten seconds of the spike, the last three of them bad: 30 % over the phase, 100 % in a
        // window of two seconds.
        let requests: Vec<_> = (20..30)
            .map(|second| {
                (
                    second,
                    2,
                    5,
                    if second < 27 {
                        Ending::Ok
                    } else {
                        Ending::Status5xx
                    },
                )
            })
            .collect();
        let results = by_second(&requests);
        let judge = |limit, within| {
            let mut scenario = scenario();
            let errors = threshold(
                ThresholdMetric::Errors,
                ThresholdOperator::Less,
                limit,
                ThresholdScope::Phase("spike".to_owned()),
            );
            scenario.thresholds = vec![Threshold { within, ..errors }];
            let judged = judge_first(&scenario, &results);
            (judged.verdict, words::because(&judged.reason))
        };
        assert_eq!(judge(0.5, None).0, Verdict::Passed);
        assert_eq!(
            judge(0.5, Some(2)),
            (
                Verdict::Failed,
                "the limit is < 50%, from 26 s to 28 s".to_owned()
            )
        );
        assert_eq!(
            judge(1.1, Some(2)),
            (Verdict::Passed, "in each of 9 windows of 2s".to_owned())
        );
        assert_eq!(judge(0.5, Some(11)).0, Verdict::Inconclusive);
    }

    #[test]
    fn the_last_window_has_what_ended_after_its_phase_and_none_has_what_another_phase_sent() {
        let requests = [
            (21, 2, 5, Ending::Ok),
            (35, 2, 9_000, Ending::Timeout),
            (22, 1, 9_000, Ending::Timeout),
        ];
        let errors = threshold(
            ThresholdMetric::Errors,
            ThresholdOperator::Less,
            0.1,
            ThresholdScope::Phase("spike".to_owned()),
        );
        let mut scenario = scenario();
        scenario.thresholds = vec![Threshold {
            within: Some(5),
            ..errors
        }];
        let judged = judge_first(&scenario, &by_second(&requests));
        assert_eq!(
            (judged.verdict, words::measured(&judged.measured).as_str()),
            (Verdict::Failed, "errors = 100.00% (1 of 1)")
        );
    }

    #[test]
    fn a_limit_that_is_missed_by_the_generators_doing_alone_is_inconclusive() {
        // 20 requests in each second of the spike, which lasts from 20 to 30 s.
        let judge = |slow: &[u32], strained: &[u32]| {
            let requests: Vec<_> = (20..30)
                .flat_map(|second| {
                    let millis = if slow.contains(&second) { 900 } else { 20 };
                    [(second, 2, millis, Ending::Ok); 20]
                })
                .collect();
            let mut results = by_second(&requests);
            let saturation = strained.iter().map(|second| model::measure::Saturation {
                second: *second,
                starts: 20,
                late: 20,
                ..Default::default()
            });
            let interval = Interval {
                saturation: saturation.collect(),
                ..Interval::default()
            };
            results.add(0, &interval);
            let mut scenario = scenario();
            scenario.thresholds = vec![threshold(
                ThresholdMetric::Percentile(95.0),
                ThresholdOperator::Less,
                500_000.0,
                ThresholdScope::Phase("spike".to_owned()),
            )];
            judge_first(&scenario, &results)
        };
        assert_eq!(judge(&[24, 25], &[]).verdict, Verdict::Failed);
        let doubted = judge(&[24, 25], &[24]);
        assert_eq!(doubted.verdict, Verdict::Inconclusive);
        assert_eq!(
            words::because(&doubted.reason),
            "the limit is < 500ms, but the generator was at its own limit in 2 of 10 seconds"
        );
        assert_eq!(
            judge(&[22, 24, 25, 27], &[24]).verdict,
            Verdict::Failed,
            "the target is slow without those seconds too"
        );
        assert_eq!(
            judge(&[22, 24, 25, 27], &[20, 22, 24, 26]).verdict,
            Verdict::Inconclusive,
            "too few seconds are left"
        );
        assert_eq!(judge(&[], &[24]).verdict, Verdict::Passed);
    }

    /// Judges the spike, from 20 to 30 s, with 20 requests in each second. `bad` are the seconds in
    /// which they are late or fail; others may have changed the seconds in `changed`.
    fn beside_others(metric: ThresholdMetric, bad: &[u32], changed: &[u32]) -> Vec<Finding> {
        let requests: Vec<_> = (20..30)
            .flat_map(|second| {
                let request = match (bad.contains(&second), metric) {
                    (false, _) => (second, 2, 20, Ending::Ok),
                    (true, ThresholdMetric::Percentile(_)) => (second, 2, 900, Ending::Ok),
                    (true, _) => (second, 2, 20, Ending::Status5xx),
                };
                [request; 20]
            })
            .collect();
        let (comparison, limit) = match metric {
            ThresholdMetric::Percentile(_) => (ThresholdOperator::Less, 500_000.0),
            ThresholdMetric::Checks => (ThresholdOperator::Greater, 0.95),
            ThresholdMetric::Rate => (ThresholdOperator::Greater, 20.0),
            _ => (ThresholdOperator::Less, 0.05),
        };
        let mut scenario = scenario();
        let spike = ThresholdScope::Phase("spike".to_owned());
        scenario.thresholds = vec![threshold(metric, comparison, limit, spike)];
        let changed = changed.iter().copied().collect();
        let schedule = Schedule::new(&scenario);
        judge(&scenario, &by_second(&requests), &schedule, changed)
    }

    #[test]
    fn a_limit_that_is_missed_under_the_load_of_others_alone_is_inconclusive() {
        const P95: ThresholdMetric = ThresholdMetric::Percentile(95.0);
        const MOST: [u32; 6] = [20, 21, 22, 23, 24, 25];
        use ThresholdMetric::{Checks, Errors, Rate};
        use Verdict::{Failed, Inconclusive, Passed};
        for (metric, bad, changed, expected) in [
            (P95, &[24, 25][..], &[][..], Failed),
            (P95, &[24, 25], &[24, 25], Inconclusive),
            // The rest misses the limit as well.
            (P95, &[24, 25], &[24], Failed),
            (P95, &[22, 24, 25, 27], &[24, 25], Failed),
            // Over half of the seconds are doubtful.
            (P95, &[22, 27], &MOST, Inconclusive),
            (
                P95,
                &[20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
                &MOST,
                Inconclusive,
            ),
            // Seconds of another phase say nothing of this one.
            (P95, &[24, 25], &[10, 11, 35], Failed),
            (P95, &[], &[24], Passed),
            (Errors, &[24, 25], &[24, 25], Inconclusive),
            (Errors, &[24, 25], &[25], Failed),
            (Checks, &[24, 25], &[24, 25], Inconclusive),
            (Checks, &[24, 25], &[25], Failed),
            // A rate lacks what was not answered in those seconds, however the rest was.
            (Rate, &[24, 25], &[24], Inconclusive),
            (Rate, &[24, 25], &[], Failed),
        ] {
            let found = beside_others(metric, bad, changed).remove(0);
            assert_eq!(found.verdict, expected, "{metric:?} {bad:?} {changed:?}");
        }
    }

    #[test]
    fn the_load_of_others_is_a_reason_with_its_seconds_and_holds_for_the_default_on_errors() {
        let missed = ThresholdReason::LimitMissed {
            metric: ThresholdMetric::Percentile(95.0),
            comparison: ThresholdOperator::Less,
            limit: 500_000.0,
        };
        let found = beside_others(ThresholdMetric::Percentile(95.0), &[24, 25], &[23, 24, 25]);
        let expected = ThresholdReason::LoadOfOthers {
            reason: Box::new(missed),
            changed_s: 3,
            of_s: 10,
        };
        assert_eq!(found[0].reason, expected.into());
        assert_eq!(
            words::because(&found[0].reason),
            "the limit is < 500ms, but load of others may be the cause in 3 of 10 seconds"
        );
        // The threshold on checks leaves the default on errors in place.
        for (changed, expected) in [
            (&[24, 25][..], Verdict::Inconclusive),
            (&[], Verdict::Failed),
        ] {
            let found = beside_others(ThresholdMetric::Checks, &[24, 25], changed);
            let of_spike = |one: &&Finding| {
                matches!(one.expectation, Expectation::ErrorsByDefault { .. })
                    && one.scope == FoundIn::Phase("spike".to_owned())
            };
            let verdict = found.iter().find(of_spike).map(|one| one.verdict);
            assert_eq!(verdict, Some(expected), "{changed:?}");
        }
    }

    #[test]
    fn a_run_that_was_stopped_has_its_rate_over_the_time_it_had() {
        let requests: Vec<_> = (0..5)
            .flat_map(|second| [(second, 0, 5, Ending::Ok); 10])
            .collect();
        let mut results = by_second(&requests);
        let saturation = (0..5)
            .map(|second| model::measure::Saturation {
                second,
                ..Default::default()
            })
            .collect();
        results.add(
            0,
            &Interval {
                saturation,
                ..Interval::default()
            },
        );
        let mut scenario = scenario();
        scenario.thresholds = vec![threshold(
            ThresholdMetric::Rate,
            ThresholdOperator::Greater,
            9.0,
            ThresholdScope::Run,
        )];
        let judged = judge_first(&scenario, &results);
        assert_eq!(
            (judged.verdict, words::measured(&judged.measured).as_str()),
            (Verdict::Passed, "rate = 10.0/s")
        );
    }

    #[test]
    fn a_run_is_aborted_only_when_a_threshold_says_so_and_not_too_early() {
        let requests: Vec<_> = (10..15)
            .map(|second| (second, 1, 5, Ending::Status5xx))
            .collect();
        let results = by_second(&requests);
        let abort = |after: Option<u64>, settled| {
            let mut scenario = scenario();
            let errors = threshold(
                ThresholdMetric::Errors,
                ThresholdOperator::Less,
                0.05,
                ThresholdScope::EachPhase,
            );
            scenario.thresholds = vec![Threshold {
                abort_after: after.map(Duration::from_secs),
                ..errors
            }];
            must_abort(&scenario, &results, &Schedule::new(&scenario), settled)
        };
        assert_eq!(abort(None, 15), None);
        assert_eq!(abort(Some(4), 13), None);
        assert_eq!(
            words::ended_early(&EndedEarly::ThresholdFailed(abort(Some(4), 14).unwrap())),
            "`asked` failed: errors = 100.00% (5 of 5)"
        );
        // Before its phase has begun, a threshold cannot fail.
        assert_eq!(abort(Some(0), 10), None);
    }
}
