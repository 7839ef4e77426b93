//! No text of others acts on a terminal or a CI system, or forges a line.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use spikeproof::journal::names::{ResourceKind, Thing};
use spikeproof::journal::record::Run;
use spikeproof::journal::{JOURNAL, Journal, Record};
use spikeproof::outcome::Exit;
use spikeproof::units::RunId;

use super::program::{case, said, said_within, spikeproof};

/// Repaints the screen, sets a title, forges a verdict, gives a command to a CI system, and turns
/// the direction of writing.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;t\u{7}x\nPASSED  all hold\r\n::set-output name=a::b\n##[group]\u{202e}\u{9b}31m";

/// Checks that no character of an output acts.
fn acts_nowhere(what: &str, printed: &str) {
    for c in printed.chars() {
        let acts = (c.is_control() && c != '\n' && c != '\t')
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c);
        assert!(!acts, "{what} holds {c:?}: {printed:?}");
    }
}

/// The output without its first line, which may be a verdict of ours.
fn below_headline(printed: &str) -> &str {
    let printed = printed.trim_start();
    printed.split_once('\n').map_or("", |(_, rest)| rest)
}

/// Checks one output as a whole.
fn is_harmless(what: &str, printed: &str) {
    acts_nowhere(what, printed);
    for line in printed.lines() {
        let begins = line.trim_start();
        assert!(!begins.starts_with("PASSED"), "{what}: {printed}");
        assert!(!begins.starts_with("::"), "{what}: {printed}");
        assert!(!line.contains("##["), "{what}: {printed}");
    }
}

fn only_entry(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap();
    entries.next().unwrap().unwrap().path()
}

/// Answers every request with a body that no check accepts, until the test ends.
fn target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn faults_of_a_hostile_scenario_are_shown_harmlessly() {
    let home = tempfile::tempdir().unwrap();
    for name in ["bad.yaml", "raw.yaml"] {
        let file = case("40-terminal-escapes").join(name);
        for command in ["check", "run"] {
            let said = said(home.path(), &[command, file.to_str().unwrap()]);
            assert_eq!(said.exit, Exit::ScenarioInvalid, "{}", said.all());
            assert!(said.stderr.contains('␛'), "{}", said.stderr);
            is_harmless(name, &said.stdout);
            is_harmless(name, &said.stderr);
        }
    }
    // The name of the file, and an option.
    let named = home.path().join("x\u{1b}[2J\nPASSED.yaml");
    std::fs::write(&named, "target: 1").unwrap();
    for arguments in [
        vec!["check", named.to_str().unwrap()],
        vec!["check", HOSTILE],
        vec!["report", HOSTILE],
    ] {
        let said = said(home.path(), &arguments);
        assert_ne!(said.exit, Exit::Passed);
        is_harmless(&format!("{arguments:?}"), &said.stderr);
    }
}

#[test]
fn a_run_of_a_hostile_scenario_prints_and_writes_harmless_reports() {
    let home = tempfile::tempdir().unwrap();
    let file = case("40-terminal-escapes/scenario.yaml");
    let file = file.to_str().unwrap();
    let checked = said(home.path(), &["check", file]);
    assert_eq!(checked.exit, Exit::Passed, "{}", checked.all());
    is_harmless("check", &checked.stdout);
    let mut command = spikeproof(home.path());
    command
        .args(["run", "--fleet", "local", "--url", &target()])
        .arg(file);
    let ran = said_within(command, "", Duration::from_mins(2));
    assert!(ran.stdout.contains("chk␛[2A\\u{202e}<b>"), "{}", ran.stdout);
    is_harmless("stdout", below_headline(&ran.stdout));
    is_harmless("stderr", &ran.stderr);
    let run = only_entry(&home.path().join("runs"));
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    acts_nowhere("report.html", &page);
    assert!(!page.contains("<b>") && !page.contains("<i>"), "{page}");
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();

    // The same report, and every text of it by somebody else.
    let path = run.join("report.json");
    let mut report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut changed = 0;
    poison(&mut report, "", &mut changed);
    assert!(changed > 20, "{changed}");
    std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
    let text = said(home.path(), &["report", &id]);
    assert_eq!(text.exit, Exit::Passed, "{}", text.all());
    is_harmless("report", below_headline(&text.stdout));
    assert!(text.stdout.contains("␊PASSED  all hold"), "{}", text.stdout);
    let json = said(home.path(), &["report", &id, "--json"]);
    is_harmless("report --json", &json.stdout);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), report);
    let compared = said(home.path(), &["compare", &id, &id]);
    is_harmless("compare", below_headline(&compared.stdout));
    assert!(
        compared.stdout.contains("␊PASSED  all hold"),
        "{}",
        compared.all()
    );
}

/// Makes every text hostile that is not one of the report's own words.
fn poison(value: &mut Value, name: &str, changed: &mut usize) {
    let texts = [
        "scenario", "url", "group", "fleet", "place", "error", "because", "answer", "name", "text",
        "why", "asked", "found", "message", "reason", "address", "task", "gone", "left", "remedy",
    ];
    match value {
        Value::String(text) if texts.contains(&name) => {
            text.push_str(HOSTILE);
            *changed += 1;
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| poison(item, name, changed)),
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(name, held)| poison(held, name, changed)),
        _ => {}
    }
}

fn record(run: &str) -> Record {
    Record::Run(Run {
        run: RunId::parse(run).unwrap(),
        region: HOSTILE.to_owned(),
        account: HOSTILE.to_owned(),
        scenario_name: HOSTILE.to_owned(),
        url: HOSTILE.to_owned(),
        endpoint: Some(HOSTILE.to_owned()),
        boot: None,
        profile: Some(HOSTILE.to_owned()),
        target: None,
        started: jiff::Timestamp::UNIX_EPOCH,
    })
}

#[test]
fn a_hostile_journal_and_a_hostile_lock_are_shown_harmlessly() {
    let home = tempfile::tempdir().unwrap();
    let run = "sp-0000000001";
    let folder = home.path().join("runs").join(run);
    let mut journal = Journal::create(&folder, record(run)).unwrap();
    let thing = Thing {
        kind: ResourceKind::Bucket,
        name: HOSTILE.to_owned(),
    };
    journal.write(Record::Intent { thing }).unwrap();
    std::fs::write(folder.join("owner.lock"), HOSTILE).unwrap();
    let driven = said(home.path(), &["reap", "--dry-run", run]);
    is_harmless("a driven run", &driven.all());
    drop(journal);
    let listed = said(home.path(), &["reap", "--dry-run", run]);
    assert_eq!(listed.exit, Exit::Passed, "{}", listed.all());
    assert!(
        listed.stdout.contains("␊PASSED  all hold"),
        "{}",
        listed.stdout
    );
    is_harmless("a list", &listed.all());
    // The next run warns of it, with the command that removes it.
    let scenario = home.path().join("scenario.yaml");
    let text = format!(
        "name: next\ntarget: {{ url: '{}' }}\nphases: [ {{ rate: 1/s, hold: 1s }} ]\nsteps: [ {{ get: / }} ]\n",
        target()
    );
    std::fs::write(&scenario, text).unwrap();
    let mut command = spikeproof(home.path());
    command.args(["run", "--fleet", "local"]).arg(&scenario);
    let ran = said_within(command, "", Duration::from_mins(2));
    assert!(ran.stderr.contains("warning: "), "{}", ran.stderr);
    is_harmless("the warning", &ran.stderr);
    assert!(folder.join(JOURNAL).exists());
}
