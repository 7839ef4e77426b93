//! Plays the cases, and holds what was counted against them.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use spikeproof::outcome::{Exit, Verdict};
use spikeproof::report::RunReport;
use spikeproof::units;

use crate::cases::cases;
use crate::run::{check, play};
use crate::step::{Case, Expected};

/// A played case: its report, and what reached the server.
pub(super) struct Played {
    pub(super) report: RunReport,
    pub(super) lines: Vec<String>,
    /// The exit code of the program.
    pub(super) code: Option<u8>,
    /// All that it said.
    pub(super) said: String,
}

impl Played {
    fn thresholds(&self) -> Vec<(&str, Verdict)> {
        let judged = self.report.judged.as_ref().unwrap();
        let one = judged.thresholds.iter();
        one.map(|one| (one.scope.as_str(), one.verdict)).collect()
    }
}

/// Plays cases of the table at once, and compares their reports with it.
async fn hold<const N: usize>(folders: [&str; N]) -> [Played; N] {
    let table = cases();
    let all = folders.map(|folder| table.iter().find(|case| case.folder == folder).unwrap());
    let played = join_all(all.map(|case| play(case.folder, case.file, case.scheme))).await;
    let played: [Played; N] = played.try_into().ok().unwrap();
    for (case, played) in all.iter().zip(&played) {
        holds(case, played);
    }
    played
}

/// Compares every step of a report with the table: its counts, statuses and reasons.
fn holds(case: &Case, played: &Played) {
    let folder = case.folder;
    let load = played.report.load.as_ref().unwrap();
    let names: Vec<&str> = load.steps.iter().map(|step| step.name.as_str()).collect();
    let wanted: Vec<&str> = case.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, wanted, "{folder}");
    for (step, found) in case.steps.iter().zip(&load.steps) {
        let place = format!("{folder}, {}", step.name);
        let mut tally = found.tally;
        (tally.bytes, tally.checks_passed, tally.checks_failed) = (0, 0, 0);
        match &step.expected {
            Expected::Counts(counts) => assert_eq!(tally, *counts, "{place}"),
            Expected::Answered(ok) => {
                assert_eq!((tally.ok, tally.errors()), (*ok, 0), "{place}");
            }
        }
        assert_eq!(found.statuses, step.statuses(&tally), "{place}");
        let failures = load.failures.iter().filter(|row| row.step == step.name);
        let failures: Vec<_> = failures.map(|row| (&row.failure, row.count)).collect();
        let wanted: Vec<_> = step.failure.iter().map(|failure| (failure, 1)).collect();
        assert_eq!(failures, wanted, "{place}");
    }
    let errors = load.whole.tally.errors();
    let (verdict, exit) = match errors {
        0 => (Verdict::Passed, Exit::Passed),
        _ => (Verdict::Failed, Exit::Failed),
    };
    assert_eq!(
        played.code,
        Some(played.report.exit.code()),
        "{folder}: {}",
        played.said
    );
    // On a machine that is too busy to ask in time, a run without errors proves nothing.
    let judged = played.report.judged.as_ref().unwrap();
    let on_time = judged.validity.iter();
    let on_time = on_time
        .map(|one| one.verdict)
        .all(|one| one == Verdict::Passed);
    match on_time {
        true => assert_eq!(played.report.exit, exit, "{folder}"),
        false => assert_ne!(played.report.exit, Exit::Passed, "{folder}"),
    }
    assert!(
        played.thresholds().iter().all(|(_, one)| *one == verdict),
        "{folder}: {:?}",
        played.thresholds()
    );
    // Each request of the report reached the server once, or twice where it was sent again. Those
    // that met a close did not reach it.
    let tally = load.whole.tally;
    let asked = tally.requests() - tally.unsent;
    let sent = match case.closes_idle {
        true => asked,
        false => asked + tally.reconnects + tally.redirects,
    };
    assert_eq!(played.lines.len() as u64, sent, "{folder}");
}

#[tokio::test]
async fn odd_heads_are_taken() {
    hold([
        "odd-answers",
        "space-before-colon",
        "folded-header",
        "many-headers",
        "stray-header-line",
    ])
    .await;
}

#[tokio::test]
async fn values_arrive_as_they_are() {
    let [_, _, paths, _] = hold([
        "byte-order-mark",
        "long-number",
        "path-characters",
        "content-coding",
    ])
    .await;
    assert_eq!(
        paths.lines,
        [
            "GET /a?filter=%7B%22x%22:1%7D",
            "GET /b?q=x%7Cy",
            "GET /c?d=%3C1%3E%5E2"
        ]
    );
}

#[tokio::test]
async fn answers_that_cannot_be_taken_have_their_reasons() {
    hold([
        "broken-answers",
        "redirects-astray",
        "early-refusal",
        "http2-to-http1",
        "plain-behind-tls",
    ])
    .await;
}

#[tokio::test]
async fn requests_that_the_server_did_not_begin_are_sent_again_once() {
    let [_, _, idle, .., at_once] = hold([
        "kept-connection",
        "unasked-408",
        "idle-close",
        "closes-unsaid",
        "refused-stream",
        "http2-reasons",
        "refused-streams",
    ])
    .await;
    let load = at_once.report.load.as_ref().unwrap();
    assert!(load.whole.tally.reconnects > 0, "{:?}", load.whole.tally);
    // Each line ends with the number of the connection. Twenty sessions would do with as many.
    let connections = idle.lines.iter().map(|line| line.rsplit(' ').next());
    let connections: BTreeSet<_> = connections.collect();
    assert!(connections.len() > 20, "{connections:?}");
}

#[tokio::test]
async fn answers_of_rare_forms_are_taken_whole_or_not_at_all() {
    let [_, redirects, ..] = hold([
        "rare-answers",
        "odd-redirects",
        "resets",
        "http2-rare",
        "http2-late-streams",
        "http2-gone-at-once",
    ])
    .await;
    let led = redirects
        .lines
        .iter()
        .filter(|line| !line.contains("/from/"));
    assert_eq!(
        led.collect::<Vec<_>>(),
        [
            "GET /to/dots",
            "GET /to/a%20b",
            "GET /to/fragment",
            "GET /to/%C3%BC",
            "GET /to/%FC"
        ]
    );
    let query = "GET /from/query?to".to_owned();
    assert!(redirects.lines.contains(&query));
    assert!(!redirects.said.contains("hunter2"), "{}", redirects.said);
}

#[tokio::test]
async fn the_report_does_not_pass_over_failures_or_idle_phases() {
    let [failing, idle, minute] = hold(["everything-fails", "idle-phase", "minute-rate"]).await;
    let verdict = failing.report.judged.as_ref().unwrap().verdict;
    assert_eq!(verdict, Verdict::Failed);
    let scopes: BTreeSet<&str> = idle.thresholds().iter().map(|(scope, _)| *scope).collect();
    assert_eq!(scopes, BTreeSet::from(["spike", "again"]));
    let level = minute.report.load.as_ref().unwrap().phases[0].level;
    assert_eq!(units::rate(level), "1/min");
    let mut rows = minute.said.lines().map(str::split_whitespace);
    assert!(
        rows.any(|mut words| words.next() == Some("load") && words.next() == Some("1/min")),
        "{}",
        minute.said
    );
}

#[tokio::test]
async fn scenarios_do_what_they_seem_to_say() {
    let [rows, _, _, _, objects] = hold([
        "row-per-session",
        "poll",
        "member-of-capture",
        "few-rows",
        "object-in-path",
    ])
    .await;
    let accounts = rows.lines.iter().filter(|line| *line != "POST /login");
    let accounts: BTreeSet<&String> = accounts.collect();
    assert_eq!(accounts.len(), 2, "one of each session: {:?}", rows.lines);
    let find = "GET /find?all=%7B%22id%22%3A%201%7D";
    assert_eq!(objects.lines[..2], ["GET /newest", find]);
    assert!(
        !objects
            .lines
            .iter()
            .any(|line| line.starts_with("GET /items/%7B"))
    );
}

/// A message that says what to write is right if the scenario is valid once that is written.
#[tokio::test]
async fn a_refused_scenario_is_valid_once_it_is_mended_as_the_message_says() {
    for (folder, place, help) in [
        (
            "joined-conditions",
            Some(":8:31"),
            "`- { if: x == 1, steps: [{ get: /, if: y == 2 }] }`",
        ),
        (
            "bare-word-in-condition",
            Some(":8:33"),
            "write `state == \"DONE\"` for a text",
        ),
        // Its fault lies in the number of workers.
        ("few-rows", None, "`share: all`"),
    ] {
        let (refused, said) = check(folder, "scenario.yaml").await;
        assert_eq!(refused, Some(Exit::ScenarioInvalid.code()), "{said}");
        assert!(said.contains(help), "{folder}: {said}");
        if let Some(place) = place {
            assert!(said.contains(place), "{folder}: {said}");
        }
        let (mended, said) = check(folder, "mended.yaml").await;
        assert_eq!(mended, Some(Exit::Passed.code()), "{folder}: {said}");
    }
}

#[test]
fn every_folder_is_played_and_on_the_page() {
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for entry in std::fs::read_dir(crate::run::wild()).unwrap() {
        let entry = entry.unwrap();
        // The two with numbers belong to `tests/hostile`.
        let name = entry.file_name().into_string().unwrap();
        let numbered = name.starts_with(|first: char| first.is_ascii_digit());
        if entry.path().join("scenario.yaml").is_file() && !numbered {
            folders.insert(name);
        }
    }
    for checked in ["joined-conditions", "bare-word-in-condition"] {
        assert!(folders.remove(checked), "{checked}");
    }
    let cases = cases();
    let played: BTreeSet<String> = cases.iter().map(|case| case.folder.to_owned()).collect();
    assert_eq!(folders, played);
    crate::page::is_up_to_date(&cases);
}
