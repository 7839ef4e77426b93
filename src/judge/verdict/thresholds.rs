//! Judges thresholds: limits on a metric over each judged phase, over one phase, or over the run.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod doubt; // missed limits whose cause need not be the target

pub(super) use doubt::{ByOthers, Cause, Doubt};

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
pub(super) const MOST_ERRORS_IN_SPIKE: f64 = 0.05;

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
mod tests;
