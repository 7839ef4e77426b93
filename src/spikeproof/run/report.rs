//! Report: the verdict, what was destroyed, and one exit code, written to the run's folder.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::RunErrorKind;
use super::judge::JudgedRun;
use super::state::RunState;
use super::{Context, RunError, RunOutcome, Trial, trial};
use crate::aws::Cloud;
use crate::cost::TaskCost;
use crate::journal::{self, Record};
use crate::outcome::Exit;
use crate::redact;
use crate::report::{self, Destroyed, RunReport, page, words};
use crate::teardown::proof::{Destruction, PROOF};
use crate::teardown::{JournalFacts, Teardown};
use crate::visible;

/// Members of the report with fixed words, which its readers parse.
const FIXED: [&str; 20] = [
    "tool",
    "run",
    "exit",
    "verdict",
    "role",
    "model",
    "took",
    "kind",
    "confidence",
    "id",
    "metric",
    "comparison",
    "process",
    "counted_from",
    "moment",
    "phase",
    "activity",
    "bound",
    "warm_up",
    "put_back",
];

/// Writes the report of the run, whatever became of it.
pub(super) async fn report(
    cx: &Context,
    state: &RunState,
    judged: Result<JudgedRun, RunError>,
    interrupted: bool,
    destruction: Destruction,
) -> RunOutcome {
    write_proof(cx, state, &destruction);
    let exit = exit(&judged, interrupted, destruction.is_clean());
    let ending = RunEnding {
        exit,
        interrupted,
        cost: state.cost().await,
        destroyed: destroyed(cx, state, &destruction),
    };
    let mut report = without_verdict(cx, state, ending);
    match judged {
        Ok(judged) => add_verdict(&mut report, judged),
        Err(error) if error.kind == RunErrorKind::Interrupted => {}
        Err(error) => report.error = Some(error.to_string()),
    }
    if let Trial::Of { plan, .. } = &cx.trial {
        let put_back = trial::outcome(&state.plan.trial.changes, &destruction);
        let mut tried = plan.report(report.load.as_ref(), put_back);
        trial::tell_what_stays(cx, state, &mut tried).await;
        report.trial = Some(tried);
    }
    let report = redacted(report);
    write(cx, state, &report);
    if report.destroyed.left.is_empty() {
        state.record(Record::Finished { exit });
    }
    RunOutcome {
        report,
        folder: state.plan.folder.clone(),
        found: state.plan.trial.found.clone(),
    }
}

fn write_proof(cx: &Context, state: &RunState, destruction: &Destruction) {
    let Some(cloud) = &state.plan.cloud else {
        return;
    };
    if destruction.proof.is_empty() {
        return;
    }
    let facts = JournalFacts {
        unsettled: false,
        known: true,
    };
    let teardown = Teardown::by_name(cloud, &state.plan.run, facts, &cx.events);
    destruction.write_proof(&state.plan.folder.join(PROOF), &teardown);
}

/// The end of a run, which is known even if there is no verdict.
struct RunEnding {
    exit: Exit,
    interrupted: bool,
    cost: Option<TaskCost>,
    destroyed: Destroyed,
}

/// The report as far as it does not depend on the phases after the plan.
fn without_verdict(cx: &Context, state: &RunState, ending: RunEnding) -> RunReport {
    let plan = &state.plan;
    let target = &plan.scenario.target;
    let place = |cloud: &Cloud| format!("account {}, {}", cloud.caller.account, cloud.aws.region);
    RunReport {
        version: report::VERSION,
        tool: concat!("spikeproof ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: plan.run.to_string(),
        scenario: plan.scenario.name.clone(),
        url: target.url.to_string(),
        insecure: target.tls.insecure,
        seed: Some(plan.seed),
        group: plan.group.as_ref().map(|group| group.name.clone()),
        fleet: cx.options.scenario.fleet.word().to_owned(),
        place: plan.cloud.as_ref().map(place),
        standing: plan.authorization.standing.clone(),
        begun: plan.begun,
        started: None,
        exit: ending.exit,
        error: None,
        interrupted: ending.interrupted,
        judged: None,
        load: None,
        capacity: Vec::new(),
        advice: None,
        tasks: plan.sizing.tasks,
        estimate: plan.estimate,
        cost: ending.cost,
        destroyed: ending.destroyed,
        took: state.durations(),
        trial: None,
        warnings: words::warnings(&plan.warnings),
    }
}

fn destroyed(cx: &Context, state: &RunState, destruction: &Destruction) -> Destroyed {
    let remedy = || journal::reap_command(&cx.options.runs_dir, &state.plan.run);
    Destroyed {
        remedy: (!destruction.is_clean()).then(remedy),
        gone: destruction.gone(),
        left: destruction.left(),
    }
}

fn add_verdict(report: &mut RunReport, judged: JudgedRun) {
    report.started = judged.started;
    report.judged = Some(judged.judged);
    report.load = judged.load;
    report.capacity = judged.capacity;
    report.advice = judged.advice;
    report.warnings = words::warnings(&judged.warnings);
}

/// Leftovers outrank all else; an interrupt outranks the verdict, for the plan was not carried out.
fn exit(judged: &Result<JudgedRun, RunError>, interrupted: bool, nothing_left: bool) -> Exit {
    match judged {
        _ if !nothing_left => Exit::ResourcesLeft,
        _ if interrupted => Exit::Interrupted,
        Ok(judged) => judged.judged.verdict.into(),
        Err(error) => error.kind.exit(),
    }
}

/// Removes secrets: report.json and report.html are read by more people than the terminal. The
/// fixed words stay. If a secret equals another word of the report, [`write()`] removes it from the
/// text.
fn redacted(report: RunReport) -> RunReport {
    redact::message(&report, &FIXED).unwrap_or(report)
}

/// A report that cannot be written must not hide what the run showed.
fn write(cx: &Context, state: &RunState, report: &RunReport) {
    let json = serde_json::to_string_pretty(report)
        .map(|json| visible::json(&json))
        .map_err(|error| error.to_string());
    let page = page::html(report).map_err(|error| error.to_string());
    let redacted_by_field = redact::message(report, &FIXED).is_some();
    for (name, content) in [("report.json", json), ("report.html", page)] {
        let written = content
            .map(|content| {
                if redacted_by_field {
                    content
                } else {
                    redact::text(&content)
                }
            })
            .and_then(|content| {
                write_whole(&state.plan.folder, name, &content).map_err(|error| error.to_string())
            });
        if let Err(error) = written {
            cx.events.warn(format!("could not write {name}: {error}"));
        }
    }
}

/// Writes a file whole or not at all, with the permissions of any new file.
fn write_whole(folder: &Path, name: &str, content: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.persist(folder.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Phase;
    use crate::redact::{Redactor, Secrets};

    #[test]
    fn a_report_loses_its_secrets_and_can_still_be_read() {
        let mut secrets = Secrets::default();
        // The last two are also words of the report itself.
        for (name, value) in [
            ("URL", "shop.example.com"),
            ("DAY", "2026-03"),
            ("ONE", "failed"),
            ("TWO", "spike"),
        ] {
            secrets.insert(name, value);
        }
        let mut redactor = Redactor::default();
        redactor.learn(&secrets);
        let report = crate::report::example::report();
        let clean = redactor.message(&report, &FIXED).expect("it is a report");
        assert_eq!(clean.url, "http://[secret URL]");
        assert_eq!((clean.begun, clean.exit), (report.begun, report.exit));
        let judged = clean.judged.unwrap();
        assert_eq!(
            judged.because,
            "p95 < 500ms in [secret TWO]: p95 = 900ms; the limit is < 500ms"
        );
        assert_eq!(judged.verdict, report.judged.unwrap().verdict);
    }

    #[test]
    fn leftovers_outrank_an_interrupt_and_an_interrupt_outranks_an_error() {
        let failed = || Err(RunError::could_not(Phase::Provision, "no permission"));
        assert_eq!(exit(&failed(), true, false), Exit::ResourcesLeft);
        assert_eq!(exit(&failed(), true, true), Exit::Interrupted);
        assert_eq!(exit(&failed(), false, true), Exit::CouldNotRun);
    }
}
