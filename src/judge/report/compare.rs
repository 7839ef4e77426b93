//! Several runs of one scenario side by side: how far the key figures spread, and which judgements
//! do not hold still.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::{Judgement, RunReport, words};
use crate::verdict::{Conclusion, Expectation, is_unstable};
use model::outcome::Verdict;
use model::scenario::PhaseRole;
use model::{units, visible};

/// A figure of every run that has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The figure in words, for example `p95 in the spike`.
    pub name: String,
    /// In the order of the runs; `None` where a run has none.
    pub values: Vec<Option<f64>>,
    #[serde(skip)]
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Time,
    Share,
    Count,
}

/// A judgement over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeated {
    /// The expectation and its place.
    pub question: String,
    /// In the order of the runs; a run that did not judge it is left out.
    pub verdicts: Vec<Verdict>,
    /// True if it passed in one run and failed in another.
    pub flips: bool,
}

/// Several runs of one scenario and group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the scenario.
    pub scenario: String,
    /// Run ids, in the order that was given.
    pub runs: Vec<String>,
    /// Key figures that at least one run has.
    pub figures: Vec<Figure>,
    /// Every judgement of any run, once.
    pub judgements: Vec<Repeated>,
    /// Verdict on all runs together.
    pub verdict: Verdict,
    /// One sentence: the reason for the verdict.
    pub because: String,
}

/// Runs that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum UnlikeRuns {
    /// Fewer than two.
    #[error("it takes two runs to compare")]
    TooFew,
    /// Two of them differ in scenario or group.
    #[error("these are not runs of one scenario and group: {first}, {other}")]
    Subjects {
        /// Run, scenario and group of the first.
        first: String,
        /// The same of the first that differs from it.
        other: String,
    },
}

/// Refuses runs that are not of one scenario and group: their figures have nothing to do with each
/// other.
pub fn compare(reports: &[RunReport]) -> Result<Comparison, UnlikeRuns> {
    let Some(first) = reports.first().filter(|_| reports.len() > 1) else {
        return Err(UnlikeRuns::TooFew);
    };
    if let Some(other) = reports
        .iter()
        .find(|other| other.scenario != first.scenario || other.group != first.group)
    {
        let subject = |report: &RunReport| {
            format!(
                "{} is of {} on {}",
                report.run,
                report.scenario,
                report.group.as_deref().unwrap_or("no group")
            )
        };
        return Err(UnlikeRuns::Subjects {
            first: subject(first),
            other: subject(other),
        });
    }
    let judgements = judgements(reports);
    let verdicts: Vec<&[Verdict]> = judgements.iter().map(|one| &*one.verdicts).collect();
    let conclusion = Conclusion::of_runs(&verdicts);
    let question = |index: usize| judgements.get(index).map_or("", |one| &*one.question);
    let because = words::conclusion(conclusion, question, reports.len());
    Ok(Comparison {
        scenario: first.scenario.clone(),
        runs: reports.iter().map(|report| report.run.clone()).collect(),
        figures: figures(reports),
        verdict: conclusion.verdict(),
        judgements,
        because,
    })
}

fn figures(reports: &[RunReport]) -> Vec<Figure> {
    let reaction = |report: &RunReport| {
        report
            .judged
            .as_ref()
            .and_then(|judged| judged.reaction.clone())
    };
    let spike = |report: &RunReport| {
        let load = report.load.as_ref()?;
        load.phases
            .iter()
            .find(|phase| phase.role == PhaseRole::Spike)
            .map(|phase| phase.row.clone())
    };
    let seconds = |time: Duration| time.as_secs_f64();
    let of = |name: &str, unit, value: &dyn Fn(&RunReport) -> Option<f64>| Figure {
        name: name.to_owned(),
        values: reports.iter().map(value).collect(),
        unit,
    };
    let figures = vec![
        of("breach to in service", Unit::Time, &|report| {
            reaction(report)?.out_took.map(seconds)
        }),
        of("load drop to the first leaving", Unit::Time, &|report| {
            reaction(report)?.in_took.map(seconds)
        }),
        of("most instances", Unit::Count, &|report| {
            reaction(report).map(|found| f64::from(found.desired_peak))
        }),
        of("p95 in the spike", Unit::Time, &|report| {
            spike(report)?.p95.map(|micros| micros as f64 / 1e6)
        }),
        of("errors in the spike", Unit::Share, &|report| {
            let tally = spike(report)?.tally;
            (tally.requests() > 0).then(|| tally.errors() as f64 / tally.requests() as f64)
        }),
        of("requests/s an instance carries", Unit::Count, &|report| {
            report
                .advice
                .as_ref()?
                .capacity
                .as_ref()
                .map(|capacity| capacity.at_limit)
        }),
    ];
    figures
        .into_iter()
        .filter(|figure| figure.values.iter().any(Option::is_some))
        .collect()
}

fn judgements(reports: &[RunReport]) -> Vec<Repeated> {
    let mut found: Vec<(&Judgement, Repeated)> = Vec::new();
    for report in reports {
        let Some(judged) = &report.judged else {
            continue;
        };
        for one in [&judged.validity, &judged.thresholds, &judged.scaling]
            .into_iter()
            .flatten()
        {
            match found.iter_mut().find(|(known, _)| is_same(known, one)) {
                Some((_, known)) => known.verdicts.push(one.verdict),
                None => {
                    let first = Repeated {
                        question: question(one),
                        verdicts: vec![one.verdict],
                        flips: false,
                    };
                    found.push((one, first));
                }
            }
        }
    }
    let judged = |(_, mut one): (&Judgement, Repeated)| {
        one.flips = is_unstable(&one.verdicts);
        one
    };
    found.into_iter().map(judged).collect()
}

/// One expectation at one place. The bound of a scale-in differs from run to run.
fn is_same(one: &Judgement, other: &Judgement) -> bool {
    let is_scale_in = |of: &Judgement| matches!(of.expectation, Expectation::ScaleInInTime { .. });
    one.scope == other.scope
        && (one.expectation == other.expectation || is_scale_in(one) && is_scale_in(other))
}

/// The bound of a scale-in follows from what each run found: it is one question all the same.
fn question(judgement: &Judgement) -> String {
    match judgement.expectation {
        Expectation::ScaleInInTime { .. } => "scale-in within its bound".to_owned(),
        _ => judgement.question(),
    }
}

impl Figure {
    fn present(&self) -> impl Iterator<Item = f64> {
        self.values.iter().flatten().copied()
    }

    /// The largest less the smallest, as a share of the middle one.
    fn spread(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.present().collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (sorted.first()?, sorted.last()?);
        let middle = sorted
            .get(sorted.len() / 2)
            .filter(|middle| **middle > 0.0)?;
        (sorted.len() > 1).then_some((last - first) / middle)
    }

    fn said(&self, value: Option<f64>) -> String {
        match (value, self.unit) {
            (None, _) => "-".to_owned(),
            (Some(value), Unit::Time) => units::duration(Duration::from_secs_f64(value.max(0.0))),
            (Some(value), Unit::Share) => format!("{:.2}%", value * 100.0),
            (Some(value), Unit::Count) => format!("{value:.0}"),
        }
    }
}

/// As text for a terminal.
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, comparison);
    out
}

fn write_text(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Comparison {
        scenario,
        runs,
        figures,
        verdict,
        judgements,
        because,
    } = comparison;
    writeln!(
        out,
        "{}  {}",
        verdict.word().to_uppercase(),
        visible::line(because)
    )?;
    writeln!(
        out,
        "  {}, {}",
        visible::line(scenario),
        units::count(runs.len() as u64, "run")
    )?;
    write_figures(out, runs, figures)?;
    let unstable: Vec<&Repeated> = judgements
        .iter()
        .filter(|one| {
            one.verdicts
                .iter()
                .any(|verdict| *verdict != one.verdicts[0])
        })
        .collect();
    if unstable.is_empty() {
        return writeln!(out, "\n  every judgement came out the same in every run");
    }
    writeln!(out, "\n  not the same in every run")?;
    for one in unstable {
        let words: Vec<&str> = one.verdicts.iter().map(|verdict| verdict.word()).collect();
        let question = visible::line(&one.question);
        writeln!(out, "    {question}: {}", words.join(", "))?;
    }
    Ok(())
}

fn write_figures(out: &mut String, runs: &[String], figures: &[Figure]) -> std::fmt::Result {
    write!(out, "\n  {:<32}", "")?;
    for run in runs {
        write!(out, " {:>14}", visible::line(run))?;
    }
    writeln!(out, " {:>8}", "spread")?;
    for figure in figures {
        write!(out, "  {:<32}", figure.name)?;
        for value in &figure.values {
            write!(out, " {:>14}", figure.said(*value))?;
        }
        let spread = figure
            .spread()
            .map_or("-".to_owned(), |spread| format!("{:.0}%", spread * 100.0));
        writeln!(out, " {spread:>8}")?;
    }
    Ok(())
}

/// Returns the key figures of a run and of the trial of its advice, side by side. They are of two
/// policies, so no verdict is made of both.
pub fn beside(first: &RunReport, trial: &RunReport) -> String {
    let reports = [first.clone(), trial.clone()];
    let runs = reports.each_ref().map(|report| report.run.clone());
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_figures(&mut out, &runs, &figures(&reports));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    fn with(run: &str, out_took: u64, verdict: Verdict) -> RunReport {
        let mut report = report();
        report.run = run.to_owned();
        if let Some(judged) = &mut report.judged {
            judged.thresholds.truncate(1);
            judged.thresholds[0].verdict = verdict;
            if let Some(reaction) = &mut judged.reaction {
                reaction.out_took = Some(Duration::from_secs(out_took));
            }
        }
        report
    }

    #[test]
    fn a_verdict_that_flips_is_none_and_figures_show_their_spread() {
        let compared = |verdicts: &[Verdict]| {
            let runs: Vec<RunReport> = verdicts
                .iter()
                .zip(5..)
                .map(|(verdict, took)| with("sp-1", took, *verdict))
                .collect();
            compare(&runs).unwrap()
        };
        let flips = compared(&[Verdict::Passed, Verdict::Failed, Verdict::Passed]);
        assert_eq!(
            (
                flips.verdict,
                flips.judgements.iter().filter(|one| one.flips).count()
            ),
            (Verdict::Inconclusive, 1)
        );
        assert!(
            flips
                .because
                .contains("passed in some runs and failed in others"),
            "{}",
            flips.because
        );
        assert_eq!(flips.figures[0].spread(), Some(2.0 / 6.0));
        assert_eq!(
            compared(&[Verdict::Failed, Verdict::Failed]).verdict,
            Verdict::Failed
        );
        assert_eq!(
            compared(&[Verdict::Passed, Verdict::Passed]).verdict,
            Verdict::Passed
        );
        assert_eq!(
            compared(&[Verdict::Passed, Verdict::Inconclusive]).verdict,
            Verdict::Inconclusive
        );
        insta::assert_snapshot!(text(&flips));
    }

    #[test]
    fn a_run_and_the_trial_of_its_advice_stand_side_by_side() {
        let (first, trial) = (
            with("sp-1", 5, Verdict::Failed),
            with("sp-2", 2, Verdict::Passed),
        );
        let text = beside(&first, &trial);
        let line = text
            .lines()
            .find(|line| line.contains("breach to in service"));
        let words: Vec<&str> = line.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["5s", "2s"], "{text}");
    }

    #[test]
    fn only_runs_of_one_scenario_and_group_are_compared() {
        let mut other = report();
        other.scenario = "another".to_owned();
        let unlike = compare(&[report(), other]).unwrap_err();
        assert!(matches!(unlike, UnlikeRuns::Subjects { .. }), "{unlike}");
        let alone = compare(&[report()]).unwrap_err();
        assert!(matches!(alone, UnlikeRuns::TooFew), "{alone}");
    }
}
