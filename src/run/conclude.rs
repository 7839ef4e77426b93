//! The last page: what was judged, what was destroyed, one exit code; written to the run's folder.

use super::frame::Frame;
use super::judge::Evidenced;
use super::{Context, Outcome, RunError};
use crate::journal::{self, Record};
use crate::outcome::Exit;
use crate::redact;
use crate::report::{self, Destroyed, RunReport, page, words};
use crate::run::error::Kind;
use crate::teardown::proof::{Destruction, PROOF};
use crate::teardown::{JournalFacts, Teardown};

/// Members of the report that hold our own words, which its readers parse.
const FIXED: [&str; 9] = [
    "tool",
    "run",
    "exit",
    "verdict",
    "role",
    "model",
    "took",
    "kind",
    "confidence",
];

pub async fn conclude(
    cx: &Context,
    frame: &Frame,
    lived: Result<Evidenced, RunError>,
    interrupted: bool,
    destruction: Destruction,
) -> Outcome {
    let exit = exit(&lived, interrupted, destruction.is_clean());
    let (evidence, error) = match lived {
        Ok(evidence) => (Some(evidence), None),
        Err(error) if error.kind == Kind::Interrupted => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    if let (Some(cloud), false) = (&frame.cloud, destruction.proof.is_empty()) {
        let facts = JournalFacts {
            unsettled: false,
            known: true,
        };
        let teardown = Teardown::by_name(cloud, &frame.run, facts, &cx.events);
        destruction.write_proof(&frame.folder.join(PROOF), &teardown);
    }
    let about = &frame.about;
    let place = |cloud: &crate::aws::Cloud| {
        format!("account {}, {}", cloud.caller.account, cloud.aws.region)
    };
    let mut report = RunReport {
        version: report::VERSION,
        tool: concat!("spikeproof ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: frame.run.to_string(),
        scenario: about.scenario.clone(),
        url: about.url.clone(),
        insecure: about.insecure,
        seed: about.seed,
        group: about.group.clone(),
        fleet: cx.wanted.fleet.word().to_owned(),
        place: frame.cloud.as_ref().map(place),
        standing: about.standing.clone(),
        begun: about.begun,
        started: None,
        exit,
        error,
        interrupted,
        judged: None,
        load: None,
        capacity: Vec::new(),
        advice: None,
        tasks: about.tasks,
        estimate: about.estimate,
        cost: frame.cost().await,
        destroyed: Destroyed {
            remedy: remedy(cx, frame, &destruction),
            gone: destruction.gone(),
            left: destruction.left(),
        },
        took: frame.durations(),
        warnings: words::warnings(&about.warnings),
    };
    if let Some(evidence) = evidence {
        report.started = evidence.started;
        report.judged = Some(evidence.judged);
        report.load = evidence.load;
        report.capacity = evidence.capacity;
        report.advice = evidence.advice;
        report.warnings = words::warnings(&evidence.warnings);
    }
    let report = redacted(report);
    write(cx, frame, &report);
    if report.destroyed.left.is_empty() {
        frame.did(Record::Finished { exit });
    }
    Outcome {
        report,
        folder: frame.folder.clone(),
    }
}

fn remedy(cx: &Context, frame: &Frame, destruction: &Destruction) -> Option<String> {
    (!destruction.is_clean()).then(|| journal::reap_command(&cx.wanted.runs_dir, &frame.run))
}

/// Leftovers outrank all else; an interrupt outranks the verdict, for the plan was not carried out.
fn exit(lived: &Result<Evidenced, RunError>, interrupted: bool, nothing_left: bool) -> Exit {
    match lived {
        _ if !nothing_left => Exit::ResourcesLeft,
        _ if interrupted => Exit::Interrupted,
        Ok(evidence) => evidence.judged.verdict.into(),
        Err(error) => error.kind.exit(),
    }
}

/// A door: report.json and report.html are read by more people than the terminal. The words a
/// reader of the JSON depends on stay; where a secret is another of our words, texts lose it when
/// they are written.
fn redacted(report: RunReport) -> RunReport {
    redact::message(&report, &FIXED).unwrap_or(report)
}

/// A report that cannot be written must not hide what the run showed.
fn write(cx: &Context, frame: &Frame, report: &RunReport) {
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string());
    let page = page::html(report).map_err(|error| error.to_string());
    let whole = redact::message(report, &FIXED).is_some();
    for (name, content) in [("report.json", json), ("report.html", page)] {
        let written = content
            .map(|content| {
                if whole {
                    content
                } else {
                    redact::text(&content)
                }
            })
            .and_then(|content| {
                std::fs::write(frame.folder.join(name), content).map_err(|error| error.to_string())
            });
        if let Err(error) = written {
            cx.events.warn(format!("could not write {name}: {error}"));
        }
    }
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
        let report = crate::report::tests::report();
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
