//! Writes the report as text: first the verdict, then the figures behind it, then the next command.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    Destroyed, Judged, Judgement, Load, ReportedAdvice, Row, RunReport, latency, shown, words,
};
use model::outcome::Verdict;
use model::plan::Schedule;
use model::scenario::{Model, Scenario};
use model::{units, visible};

mod reaction;

use reaction::write_reaction;

/// Returns the report as text for a terminal or a log, without color.
pub fn text(report: &RunReport) -> String {
    shown(report, |report| {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = write_report(&mut out, report);
        out
    })
}

fn write_report(out: &mut String, report: &RunReport) -> std::fmt::Result {
    writeln!(out, "{}", headline(report))?;
    writeln!(out, "  {}", subject(report))?;
    if let Some(load) = &report.load {
        write_load(out, load)?;
    }
    if let Some(judged) = &report.judged {
        write_judged(out, judged)?;
        write_hypotheses(out, judged)?;
        if let Some(reaction) = &judged.reaction {
            write_reaction(out, reaction, report.started)?;
        }
        if let Some(advice) = &report.advice {
            write_advice(out, advice)?;
        }
    }
    if let Some(trial) = &report.trial {
        writeln!(out, "\n{}", words::trial(trial))?;
        writeln!(out, "{}", words::put_back(trial.put_back))?;
        words::stays(trial)
            .iter()
            .try_for_each(|told| writeln!(out, "{told}"))?;
    }
    for warning in &report.warnings {
        writeln!(out, "\n  note: {}", warning.text)?;
    }
    writeln!(out, "\ntarget: {}", report.standing.sentence())?;
    writeln!(out, "cost: {}", report.cost_sentence())?;
    write_destroyed(out, report)
}

/// Returns the text of a watch without a load of its own.
pub fn watched(judged: &Judged, began: Option<Timestamp>) -> String {
    shown(judged, |judged| {
        let mut out = format!(
            "{}  {}\n",
            judged.verdict.word().to_uppercase(),
            judged.because
        );
        // Writing to a String cannot fail.
        let _ = write_judged(&mut out, judged);
        if let Some(reaction) = &judged.reaction {
            let _ = write_reaction(&mut out, reaction, began);
        }
        out
    })
}

/// Returns the verdict and the finding that decided it, as one sentence.
pub fn headline(report: &RunReport) -> String {
    if !report.destroyed.left.is_empty() {
        return format!(
            "RESOURCES LEFT  {} things may still exist; see below",
            report.destroyed.left.len()
        );
    }
    let verdict = report
        .judged
        .as_ref()
        .map(|judged| (judged.verdict.word().to_uppercase(), judged.because.clone()));
    match (report.interrupted, verdict, &report.error) {
        (true, Some((word, because)), _) => {
            format!("INTERRUPTED  ({word} on what there is) {because}")
        }
        (true, None, _) => "INTERRUPTED  before there was anything to judge".to_owned(),
        (false, _, Some(error)) => format!("COULD NOT RUN  {}", visible::indented(error)),
        (false, Some((word, because)), None) => format!("{word}  {because}"),
        (false, None, None) => "INCONCLUSIVE  nothing was judged".to_owned(),
    }
}

/// Returns the target and the circumstances of the run, in one line.
pub fn subject(report: &RunReport) -> String {
    let mut parts = vec![report.scenario.clone(), report.url.clone()];
    parts.extend(report.group.as_ref().map(|group| format!("group {group}")));
    parts.push(format!(
        "{} ({})",
        units::count(report.tasks, "task"),
        report.fleet
    ));
    parts.push(format!("run {}", report.run));
    if report.insecure {
        parts.push("INSECURE: any certificate was taken".to_owned());
    }
    parts.join(" · ")
}

fn write_load(out: &mut String, load: &Load) -> std::fmt::Result {
    writeln!(
        out,
        "\nload                          requests       /s  errors      p50      p95      p99      max"
    )?;
    for phase in &load.phases {
        write_row(out, &phase.row, &level(phase.model, phase.level))?;
    }
    write_row(out, &load.whole, "")?;
    if load.steps.len() > 1 {
        writeln!(out)?;
        for step in &load.steps {
            write_row(out, step, "")?;
        }
    }
    let classes = load.whole.tally.classes();
    if !classes.is_empty() {
        let classes: Vec<String> = classes
            .iter()
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        writeln!(out, "  errors: {}", classes.join(", "))?;
    }
    for (why, count) in load.reasons.iter().take(4) {
        writeln!(out, "    {why} ({count} times)")?;
    }
    write_failures(out, load)?;
    write_statuses(out, load)?;
    if load.whole.tally.reconnects > 0 {
        writeln!(out, "  {}", load.reconnects_sentence())?;
    }
    if load.whole.tally.redirects > 0 {
        writeln!(out, "  redirects followed: {}", load.whole.tally.redirects)?;
    }
    write_checks(out, load)?;
    write_generators(out, load)
}

/// Writes the most frequent reasons of failed requests.
fn write_failures(out: &mut String, load: &Load) -> std::fmt::Result {
    const MOST: usize = 8;
    for row in load.failures.iter().take(MOST) {
        let times = units::count(row.count, "time");
        writeln!(out, "    {}: {} ({times})", row.step, row.text)?;
    }
    let rest = load.failures.iter().skip(MOST).map(|row| row.count);
    match rest.sum::<u64>() {
        0 => Ok(()),
        count => writeln!(out, "    other reasons, in report.json ({count} times)"),
    }
}

/// Writes the status codes of each phase and step; in one line where there is only one.
fn write_statuses(out: &mut String, load: &Load) -> std::fmt::Result {
    match load.whole.statuses.as_slice() {
        [] => Ok(()),
        [one] if one.failed == 0 => {
            writeln!(out, "  status codes: {}", load.whole.statuses_sentence())
        }
        _ => {
            writeln!(out, "  status codes")?;
            for row in load.rows().filter(|row| !row.statuses.is_empty()) {
                writeln!(out, "    {:<24} {}", row.name, row.statuses_sentence())?;
            }
            Ok(())
        }
    }
}

/// Writes the checks that failed, or all where there are few.
fn write_checks(out: &mut String, load: &Load) -> std::fmt::Result {
    if load.checks.is_empty() {
        return Ok(());
    }
    let failed = load.checks.iter().filter(|check| check.failed > 0).count();
    writeln!(
        out,
        "\nchecks, {failed} of {} with failures",
        load.checks.len()
    )?;
    for check in load
        .checks
        .iter()
        .filter(|check| check.failed > 0 || load.checks.len() <= 8)
    {
        let all = check.passed + check.failed;
        let mark = if check.failed > 0 { '✗' } else { '✓' };
        writeln!(
            out,
            "  {mark} {}: {} ({} of {all} passed)",
            check.step, check.name, check.passed
        )?;
    }
    Ok(())
}

fn write_generators(out: &mut String, load: &Load) -> std::fmt::Result {
    writeln!(out, "\nconnections: {}", load.generators.connections())?;
    if load.addresses.len() > 1 || load.addresses.iter().any(|address| address.refused > 0) {
        for row in &load.addresses {
            let refused = if row.refused > 0 {
                format!(", {} refused", row.refused)
            } else {
                String::new()
            };
            writeln!(
                out,
                "  {}: {} requests on {} connections{refused}, from {} s to {} s",
                row.address, row.requests, row.opened, row.first, row.last
            )?;
        }
    }
    Ok(())
}

/// Returns the highest levels, in the units of the scenario.
pub fn peak(scenario: &Scenario, schedule: &Schedule) -> String {
    let models = [Model::Users, Model::Rate]
        .into_iter()
        .filter(|model| scenario.has(*model));
    models
        .map(|model| level(model, schedule.peak(model)))
        .collect::<Vec<_>>()
        .join(" and ")
}

/// Returns a level in the scenario's words.
pub fn level(model: Model, level: f64) -> String {
    match model {
        Model::Users => format!("{level} users"),
        Model::Rate => units::rate(level),
    }
}

fn write_row(out: &mut String, row: &Row, level: &str) -> std::fmt::Result {
    let errors = row.tally.errors() as f64 / row.tally.requests().max(1) as f64 * 100.0;
    writeln!(
        out,
        "  {:<16} {:>10} {:>9} {:>8.1} {:>6.2}% {:>8} {:>8} {:>8} {:>8}",
        row.name,
        level,
        row.tally.requests(),
        row.per_second,
        errors,
        latency(row.p50),
        latency(row.p95),
        latency(row.p99),
        latency(row.max)
    )
}

fn write_judged(out: &mut String, judged: &Judged) -> std::fmt::Result {
    for (title, judgements) in [
        ("thresholds", &judged.thresholds),
        ("scaling", &judged.scaling),
        ("not judged", &judged.not_judged),
        ("validity", &judged.validity),
    ] {
        if judgements.is_empty() {
            continue;
        }
        writeln!(out, "\n{title}")?;
        for judgement in judgements {
            writeln!(out, "  {}", line(judgement))?;
        }
    }
    Ok(())
}

fn write_hypotheses(out: &mut String, judged: &Judged) -> std::fmt::Result {
    if judged.hypotheses.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhat explains the seconds that missed a limit")?;
    for one in &judged.hypotheses {
        let word = words::standing(one.standing);
        let name = words::suspect(one.suspect);
        let count = match one.count() {
            0 => String::new(),
            seconds => format!(", for {}", units::count(seconds, "second")),
        };
        writeln!(out, "  {word:<11} {name}{count}: {}", one.because)?;
    }
    Ok(())
}

fn line(judgement: &Judgement) -> String {
    format!(
        "{} {:<42} {}",
        mark(judgement.verdict),
        judgement.question(),
        judgement.answer()
    )
}

/// Returns the advice alone, as `spikeproof advise` prints it.
pub fn advice(advice: &ReportedAdvice) -> String {
    shown(advice, |advice| {
        let mut out = String::new();
        let _ = write_advice(&mut out, advice);
        out
    })
}

fn write_advice(out: &mut String, advice: &ReportedAdvice) -> std::fmt::Result {
    writeln!(out, "\nadvice")?;
    for answer in &advice.answers {
        writeln!(out, "  {} {}", answer.question, answer.answer)?;
        writeln!(
            out,
            "    confidence {}: {}",
            answer.confidence.word(),
            answer.evidence
        )?;
    }
    let width = advice
        .candidates
        .iter()
        .map(|one| one.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(28);
    if !advice.candidates.is_empty() {
        let against = "the same load against";
        if let Some(chosen) = advice.chosen {
            writeln!(out, "\n  → {}", words::chosen(chosen))?;
        } else {
            writeln!(out)?;
        }
        writeln!(
            out,
            "  {against:<width$}  over limits     lost  most  instance-minutes      money"
        )?;
    }
    for one in &advice.candidates {
        writeln!(
            out,
            "  {} {:<width$} {:>8} s {:>8} {:>5} {:>17.1} {:>10}",
            if one.recommended { '→' } else { ' ' },
            one.name,
            one.over_limit,
            one.errors,
            one.most_instances,
            one.instance_minutes,
            one.usd
                .map_or("-".to_owned(), |usd| units::Usd(usd).to_string())
        )?;
        if let Some(assumes) = &one.assumes {
            writeln!(out, "      if {assumes}")?;
        }
    }
    for one in &advice.beside {
        writeln!(
            out,
            "\n  beside a policy, without a prediction or a price: {}",
            one.text
        )?;
    }
    if let Some(snippet) = &advice.snippet {
        writeln!(out, "\n  → as Terraform:\n")?;
        for line in snippet.lines() {
            writeln!(
                out,
                "{}",
                if line.is_empty() {
                    String::new()
                } else {
                    format!("    {line}")
                }
            )?;
        }
    }
    Ok(())
}

/// Returns the verdict as one character, whose shape carries the meaning without color.
pub fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Passed => '✓',
        Verdict::Failed => '✗',
        Verdict::Inconclusive => '?',
    }
}

fn write_destroyed(out: &mut String, report: &RunReport) -> std::fmt::Result {
    let Destroyed { gone, left, .. } = &report.destroyed;
    if !gone.is_empty() {
        writeln!(
            out,
            "destroyed: {} things described by name and found gone",
            gone.len()
        )?;
    }
    if !left.is_empty() {
        writeln!(out, "\nLEFT BEHIND, or not proven gone:")?;
        for thing in left {
            writeln!(out, "  {thing}")?;
        }
        writeln!(out, "remove them with: {}", report.remedy())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    #[test]
    fn the_text_leads_with_its_verdict() {
        insta::assert_snapshot!(text(&report()));
    }

    #[test]
    fn what_is_left_outranks_the_verdict() {
        let mut report = report();
        report.destroyed.left = vec!["bucket spikeproof-sp-01j9z3k4m5: AccessDenied".to_owned()];
        let text = text(&report);
        assert!(text.starts_with("RESOURCES LEFT"), "{text}");
        assert!(text.contains("spikeproof reap sp-01j9z3k4m5"), "{text}");
    }

    #[test]
    fn a_report_with_a_number_that_is_none_forges_no_line() {
        let mut report = report();
        report.scenario = "shop\nPASSED  all hold\u{1b}[2J".to_owned();
        let lines = text(&report).lines().count();
        assert!(lines > 10 && text(&report).contains("shop␊PASSED"));
        report.load.as_mut().unwrap().whole.per_second = f64::NAN;
        let whole = text(&report);
        assert_eq!(whole.lines().count(), 1, "{whole}");
        assert!(whole.contains("shop␊PASSED  all hold␛[2J"), "{whole}");
        let page = super::super::page::html(&report).unwrap();
        assert!(!page.contains('\u{1b}'), "{page}");
    }
}
