//! Thresholds: a metric over each judged phase, one phase, or the run.

use std::time::Duration;

use super::Judgement;
use crate::measure::{Merged, Results, Select};
use crate::outcome::Verdict;
use crate::plan::Schedule;
use crate::scenario::{Comparison, Metric, Scenario, Scope, Threshold};
use crate::units;

/// With `strained` generators a latency or rate that misses its limit says nothing of the target.
pub fn judge(scenario: &Scenario, results: &Results, schedule: &Schedule, strained: bool) -> Vec<Judgement> {
    scenario
        .thresholds
        .iter()
        .flat_map(|threshold| {
            scopes(scenario, threshold)
                .into_iter()
                .map(|phase| judge_one(scenario, results, schedule, threshold, phase))
                .map(|judgement| if strained { doubt(threshold, judgement) } else { judgement })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn doubt(threshold: &Threshold, judgement: Judgement) -> Judgement {
    let errors = matches!(threshold.metric, Metric::Errors | Metric::Checks);
    if errors || judgement.verdict != Verdict::Failed {
        return judgement;
    }
    let because = format!("{}, but the generator was at its own limit", judgement.because);
    Judgement { verdict: Verdict::Inconclusive, because, ..judgement }
}

/// The phases a threshold is judged in, each on its own; `None` is the whole run.
fn scopes(scenario: &Scenario, threshold: &Threshold) -> Vec<Option<usize>> {
    let phases = scenario.phases.iter().enumerate();
    match &threshold.scope {
        Scope::Run => vec![None],
        Scope::Phase(name) => phases.filter(|(_, phase)| phase.name == *name).map(|(index, _)| Some(index)).collect(),
        Scope::EachPhase => phases.filter(|(_, phase)| phase.role.judged()).map(|(index, _)| Some(index)).collect(),
    }
}

fn judge_one(
    scenario: &Scenario,
    results: &Results,
    schedule: &Schedule,
    threshold: &Threshold,
    phase: Option<usize>,
) -> Judgement {
    let merged = select(scenario, results, threshold.of.as_deref(), phase);
    let length = match phase {
        Some(index) => scenario.phases[index].duration(),
        None => schedule.end(),
    };
    let scope = phase.map_or("run".to_owned(), |index| scenario.phases[index].name.clone());
    let (verdict, measured, because) = weigh(threshold, &merged, length);
    Judgement { asked: threshold.text.clone(), scope, verdict, measured, because }
}

/// All requests of the flow or step named, in a phase or the run.
fn select(scenario: &Scenario, results: &Results, of: Option<&str>, phase: Option<usize>) -> Merged {
    let phase = phase.map(|index| index as u16);
    let Some(name) = of else { return results.merged(Select { phase, ..Select::default() }) };
    let mut merged = Merged::default();
    for (flow, found) in scenario.flows.iter().enumerate() {
        let flow_select = Select { phase, flow: Some(flow as u16), ..Select::default() };
        if found.name == name {
            merged.merge(&results.merged(flow_select));
            continue;
        }
        for (step, found) in found.steps.iter().enumerate() {
            if found.name == name {
                merged.merge(&results.merged(Select { step: Some(step as u16), ..flow_select }));
            }
        }
    }
    merged
}

fn weigh(threshold: &Threshold, merged: &Merged, length: Duration) -> (Verdict, String, String) {
    let requests = merged.tally.requests();
    if requests == 0 {
        return (Verdict::Inconclusive, String::new(), "no request ended there".to_owned());
    }
    let latency = |value: Option<Duration>| value.map_or(0.0, |value| value.as_micros() as f64);
    let (measured, text) = match threshold.metric {
        Metric::Percentile(q) => {
            let needed = samples_needed(q);
            if merged.latency.count() < needed {
                let because = format!("{} requests are too few for a p{q}: it takes {needed}", merged.latency.count());
                return (Verdict::Inconclusive, String::new(), because);
            }
            let value = latency(merged.latency.percentile(q));
            (value, format!("p{q} = {}", micros(value)))
        }
        Metric::Mean => {
            let value = latency(merged.latency.mean());
            (value, format!("mean = {}", micros(value)))
        }
        Metric::Max => {
            let value = latency(merged.latency.max());
            (value, format!("max = {}", micros(value)))
        }
        Metric::Errors => {
            let share = merged.tally.errors() as f64 / requests as f64;
            (share, format!("errors = {:.2}% ({} of {requests})", share * 100.0, merged.tally.errors()))
        }
        Metric::Checks => {
            let checked = merged.tally.answered();
            if checked == 0 {
                return (Verdict::Inconclusive, String::new(), "no response was there to check".to_owned());
            }
            let share = merged.tally.ok as f64 / checked as f64;
            (share, format!("checks = {:.2}%", share * 100.0))
        }
        Metric::Rate => {
            let rate = merged.tally.answered() as f64 / length.as_secs_f64().max(f64::EPSILON);
            (rate, format!("rate = {rate:.1}/s"))
        }
    };
    if threshold.comparison.holds(measured, threshold.limit) {
        (Verdict::Passed, text, format!("over {requests} requests"))
    } else {
        (Verdict::Failed, text, format!("the limit is {}", limit(threshold)))
    }
}

/// At least one sample must lie beyond the percentile, or it is only the maximum under another name.
fn samples_needed(q: f64) -> u64 {
    (100.0 / (100.0 - q) - 1e-9).ceil() as u64
}

fn micros(value: f64) -> String {
    units::duration(Duration::from_micros(value as u64))
}

fn limit(threshold: &Threshold) -> String {
    let sign = match threshold.comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    };
    match threshold.metric {
        Metric::Percentile(_) | Metric::Mean | Metric::Max => format!("{sign} {}", micros(threshold.limit)),
        Metric::Errors | Metric::Checks => format!("{sign} {}%", threshold.limit * 100.0),
        Metric::Rate => format!("{sign} {}/s", threshold.limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Ending, Interval, Key, Recorder, Request};
    use crate::verdict::tests::scenario;

    fn results(requests: &[(u16, u64, Ending)]) -> Results {
        let mut recorder = Recorder::default();
        for (phase, millis, ending) in requests {
            let took = Duration::from_millis(*millis);
            let key = Key { phase: *phase, flow: 0, step: 0 };
            let ended = Duration::from_secs(u64::from(*phase) * 10);
            recorder.request(Request { key, ended, latency: took, service: took, ending: *ending, bytes: 0 });
        }
        let interval: Interval = recorder.take_all();
        let mut results = Results::default();
        results.add(&interval);
        results
    }

    fn threshold(metric: Metric, comparison: Comparison, limit: f64, scope: Scope) -> Threshold {
        Threshold { text: "asked".to_owned(), metric, of: None, comparison, limit, scope }
    }

    fn verdicts(threshold: Threshold, requests: &[(u16, u64, Ending)]) -> Vec<(String, Verdict, String)> {
        let mut scenario = scenario();
        scenario.thresholds = vec![threshold];
        judge(&scenario, &results(requests), &Schedule::new(&scenario), false)
            .into_iter()
            .map(|judgement| (judgement.scope, judgement.verdict, judgement.measured))
            .collect()
    }

    #[test]
    fn each_judged_phase_is_judged_on_its_own_and_warm_up_is_not() {
        let slow_spike: Vec<_> =
            (0..100).map(|i| ((i % 4) as u16, if i % 4 == 2 { 900 } else { 20 }, Ending::Ok)).collect();
        let p50 = threshold(Metric::Percentile(50.0), Comparison::Less, 500_000.0, Scope::EachPhase);
        let seen = verdicts(p50, &slow_spike);
        assert_eq!(
            seen.iter().map(|(scope, verdict, _)| (scope.as_str(), *verdict)).collect::<Vec<_>>(),
            [("sustained", Verdict::Passed), ("spike", Verdict::Failed), ("recovery", Verdict::Passed)]
        );
    }

    #[test]
    fn no_data_and_too_few_samples_are_inconclusive() {
        let p99 = threshold(Metric::Percentile(99.0), Comparison::Less, 500_000.0, Scope::Phase("spike".to_owned()));
        assert_eq!(verdicts(p99.clone(), &[])[0].1, Verdict::Inconclusive);
        assert_eq!(verdicts(p99.clone(), &[(2, 5, Ending::Ok); 99])[0].1, Verdict::Inconclusive);
        assert_eq!(verdicts(p99, &[(2, 5, Ending::Ok); 100])[0].1, Verdict::Passed);
    }

    #[test]
    fn errors_are_a_share_of_all_and_checks_of_the_answered() {
        let seen = [(2, 5, Ending::Ok), (2, 5, Ending::Check), (2, 5, Ending::Timeout), (2, 5, Ending::Ok)];
        let errors = threshold(Metric::Errors, Comparison::Less, 0.4, Scope::Run);
        assert_eq!(
            verdicts(errors, &seen),
            [("run".to_owned(), Verdict::Failed, "errors = 50.00% (2 of 4)".to_owned())]
        );
        let checks = threshold(Metric::Checks, Comparison::Greater, 0.5, Scope::Run);
        assert_eq!(verdicts(checks, &seen)[0].2, "checks = 66.67%");
    }

    #[test]
    fn a_percentile_needs_a_sample_beyond_it() {
        for (q, needed) in [(50.0, 2), (95.0, 20), (99.0, 100), (99.9, 1_000)] {
            assert_eq!(samples_needed(q), needed, "p{q}");
        }
    }
}
