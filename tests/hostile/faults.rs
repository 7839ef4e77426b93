//! Journals that are none, disks that are full, and versions that differ.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, prlimit};
use spikeproof::files::FileRefused;
use spikeproof::journal::names::ResourceNames;
use spikeproof::journal::record::Run;
use spikeproof::journal::{self, JOURNAL, Journal, JournalError, Record};
use spikeproof::outcome::Exit;
use spikeproof::units::RunId;

use super::program::{AT_ONCE, Said, ended_within, pid_of, said, said_within, spikeproof};

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
type Spoilt = (fn(&JournalError) -> bool, fn(&Path));

/// Every command that reads journals says at once what is wrong, and asks no AWS.
#[test]
fn what_is_not_the_journal_of_its_run_is_refused_at_once() {
    let is_of_another_run = |why: &JournalError| matches!(why, JournalError::OtherRun { run, .. } if run.as_str() == "sp-0000000002");
    let is_no_file = |why: &JournalError| {
        let is = |why: &FileRefused| matches!(why, FileRefused::NotAFile(_));
        matches!(why, JournalError::Refused { source, .. } if is(source))
    };
    let is_too_large = |why: &JournalError| {
        let is = |why: &FileRefused| matches!(why, FileRefused::TooLarge(_));
        matches!(why, JournalError::Refused { source, .. } if is(source))
    };
    let spoilt: [Spoilt; 3] = [
        (is_of_another_run, |folder| {
            let runs = folder.parent().unwrap();
            begun(runs, "sp-0000000002");
            std::fs::rename(runs.join("sp-0000000002"), folder).unwrap();
        }),
        (is_no_file, |folder| {
            std::fs::create_dir_all(folder).unwrap();
            mkfifoat(CWD, folder.join(JOURNAL), Mode::RWXU).unwrap();
        }),
        (is_too_large, |folder| {
            std::fs::create_dir_all(folder).unwrap();
            let journal = File::create(folder.join(JOURNAL)).unwrap();
            journal.set_len(1 << 40).unwrap();
        }),
    ];
    for (is_why, spoil) in spoilt {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        spoil(&runs.join(RUN));
        let found = journal::folders(&runs).unwrap().pop().unwrap();
        let why = found.refused.unwrap();
        assert!(is_why(&why), "{why:?}");
        for (arguments, exit) in [
            (vec!["reap", RUN], Exit::ResourcesLeft),
            (vec!["reap", "--dry-run"], Exit::Passed),
            (vec!["reap"], Exit::ResourcesLeft),
        ] {
            let said = said(home.path(), &arguments);
            assert_eq!(said.exit, exit, "{arguments:?}: {}", said.all());
            let is_said = said.stdout.contains(&why.to_string());
            assert!(is_said, "{arguments:?}: {}", said.all());
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
        assert_eq!(said.exit, Exit::CouldNotRun, "{blocks}: {}", said.all());
        let full = std::io::Error::from(Errno::FBIG).to_string();
        assert!(said.stderr.contains(&full), "{}", said.all());
        let left = std::fs::read_dir(home.path().join("runs")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{blocks}: {left:?}");
    }
}

/// Opens a server that answers every request, and counts them.
fn answering() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, count) = (connection.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                while connection.read(&mut head).is_ok_and(|read| read > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if connection.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, count)
}

/// Runs some seconds of load. Once it has begun, no file of the run may grow any more.
fn limited_under_load() -> Said {
    let home = tempfile::tempdir().unwrap();
    let (address, count) = answering();
    let path = home.path().join("scenario.yaml");
    let text = format!(
        "name: full\ntarget: {{ url: 'http://{address}' }}\n\
         phases: [ {{ rate: 20/s, hold: 5s }} ]\nsteps: [ {{ get: / }} ]\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut command = spikeproof(home.path());
    command
        .args(["run", "--fleet", "local", "--tasks", "1"])
        .arg(&path);
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) < 20 {
        assert!(begun.elapsed() < AT_ONCE, "no load");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    prlimit(Some(pid_of(&child)), Resource::Fsize, none).unwrap();
    ended_within(child, AT_ONCE * 3)
}

#[test]
fn a_limit_of_file_sizes_under_load_is_a_sentence_of_the_run() {
    let said = limited_under_load();
    let full = std::io::Error::from(Errno::FBIG).to_string();
    for name in ["report.json", "report.html"] {
        let sentence = format!("could not write {name}: {full}");
        assert!(said.stderr.contains(&sentence), "{}", said.all());
        assert!(!said.stdout.contains(name), "not there: {}", said.all());
    }
    // The verdict is said all the same; a busy machine may be late.
    let exits = [Exit::Passed, Exit::Inconclusive];
    assert!(exits.contains(&said.exit), "{}", said.all());
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
            assert_eq!(said.exit, Exit::Usage, "{command}: {}", said.all());
            assert!(said.stderr.contains(why), "{command}: {}", said.all());
        }
    }
    std::fs::remove_file(folder.join("report.json")).unwrap();
    mkfifoat(CWD, folder.join("report.json"), Mode::RWXU).unwrap();
    let said = said(home.path(), &["report", RUN]);
    assert_eq!(said.exit, Exit::Usage, "{}", said.all());
    let why = FileRefused::NotAFile("a pipe").to_string();
    assert!(said.stderr.contains(&why), "{}", said.all());
}
