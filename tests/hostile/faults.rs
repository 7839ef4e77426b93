//! Journals that are none, disks that are full, and versions that differ.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, mkfifoat};
use spikeproof::journal::names::ResourceNames;
use spikeproof::journal::record::Run;
use spikeproof::journal::{JOURNAL, Journal, Record};
use spikeproof::units::RunId;

use super::{AT_ONCE, said, said_within, spikeproof};

const RUN: &str = "sp-0000000001";

fn begun(runs: &Path, run: &str) {
    let run = RunId::parse(run).unwrap();
    let bucket = ResourceNames::of(&run).things().pop().unwrap();
    let first = Record::Run(Run {
        run: run.clone(),
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        scenario_name: "shop".to_owned(),
        url: "http://shop".to_owned(),
        endpoint: None,
        boot: None,
        profile: None,
        target: None,
        started: jiff::Timestamp::UNIX_EPOCH,
    });
    let mut journal = Journal::create(&runs.join(run.as_str()), first).unwrap();
    journal.write(Record::Intent { thing: bucket }).unwrap();
}

/// Why a journal is refused, and how the folder of its run is made.
type Spoilt = (&'static str, fn(&Path));

/// Every command that reads journals says at once what is wrong, and asks no AWS.
#[test]
fn what_is_not_the_journal_of_its_run_is_refused_at_once() {
    let spoilt: [Spoilt; 3] = [
        ("holds the journal of sp-0000000002", |folder| {
            let runs = folder.parent().unwrap();
            begun(runs, "sp-0000000002");
            std::fs::rename(runs.join("sp-0000000002"), folder).unwrap();
        }),
        ("it is a pipe, not a file", |folder| {
            std::fs::create_dir_all(folder).unwrap();
            mkfifoat(CWD, folder.join(JOURNAL), Mode::RWXU).unwrap();
        }),
        ("it has more than 64 MiB", |folder| {
            std::fs::create_dir_all(folder).unwrap();
            let journal = File::create(folder.join(JOURNAL)).unwrap();
            journal.set_len(1 << 40).unwrap();
        }),
    ];
    for (why, spoil) in spoilt {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        spoil(&runs.join(RUN));
        for arguments in [vec!["reap", RUN], vec!["reap", "--dry-run"], vec!["reap"]] {
            let said = said(home.path(), &arguments);
            assert!(said.stdout.contains("NOT reaped"), "{}", said.all());
            assert!(said.stdout.contains(why), "{arguments:?}: {}", said.all());
        }
    }
}

fn scenario(folder: &Path) -> String {
    let path = folder.join("scenario.yaml");
    let text = "name: full\ntarget: { url: 'http://127.0.0.1:9' }\n\
                phases: [ { rate: 1/s, hold: 1s } ]\nsteps: [ { get: / } ]\n";
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A file that may not grow is a full disk: an error, no signal, and no folder that later looks
/// like a run.
#[test]
fn a_limit_of_file_sizes_is_like_a_full_disk() {
    let home = tempfile::tempdir().unwrap();
    let file = scenario(home.path());
    // Blocks of 512 or 1,024 bytes: nothing at all, and enough for a journal but not for the reserve.
    for blocks in ["0", "64"] {
        let program = spikeproof(home.path());
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -f \"$1\"; shift; exec \"$@\"", "sh", blocks])
            .arg(program.get_program())
            .args(["run", "--fleet", "local", &file])
            .env("SPIKEPROOF_RUNS_DIR", home.path().join("runs"))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let said = said_within(command, "", AT_ONCE);
        assert_eq!(said.code, Some(4), "{blocks}: {}", said.all());
        assert!(said.stderr.contains("File too large"), "{}", said.all());
        let left = std::fs::read_dir(home.path().join("runs")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{blocks}: {left:?}");
    }
}

#[test]
fn a_report_of_another_version_is_refused_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("runs").join(RUN);
    std::fs::create_dir_all(&folder).unwrap();
    for (text, why) in [
        (
            r#"{ "version": 99 }"#,
            "it is of version 99, made by a newer spikeproof",
        ),
        ("{}", "it names no version"),
        ("[]", "it names no version"),
    ] {
        std::fs::write(folder.join("report.json"), text).unwrap();
        for command in ["report", "advise", "compare"] {
            let said = said(home.path(), &[command, RUN]);
            assert_eq!(said.code, Some(2), "{command}: {}", said.all());
            assert!(said.stderr.contains(why), "{command}: {}", said.all());
        }
    }
    std::fs::remove_file(folder.join("report.json")).unwrap();
    mkfifoat(CWD, folder.join("report.json"), Mode::RWXU).unwrap();
    let said = said(home.path(), &["report", RUN]);
    assert_eq!(said.code, Some(2), "{}", said.all());
    assert!(said.stderr.contains("it is a pipe"), "{}", said.all());
}
