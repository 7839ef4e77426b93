use super::command::in_its_place;
use super::*;

/// The first record of a run.
pub(super) fn first(run: &str) -> Record {
    Record::Run(record::Run {
        run: model::units::RunId::parse(run).unwrap(),
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        scenario_name: "shop".to_owned(),
        url: "http://shop".to_owned(),
        endpoint: None,
        boot: None,
        profile: None,
        target: None,
        started: jiff::Timestamp::UNIX_EPOCH,
    })
}

#[test]
fn what_was_written_is_read_back_and_continued() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
    journal.write(Record::IntentApply).unwrap();
    drop(journal);
    let (mut journal, records) = Journal::open(&folder).unwrap();
    assert_eq!(records, [first("sp-0000000001"), Record::IntentApply]);
    journal.write(Record::Applied).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&folder).unwrap().1.len(), 3);
}

#[test]
fn a_folder_that_others_could_have_filled_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
    let link = home.path().join("sp-0000000002");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let is_refused = |folder: &Path| {
        let opened = Journal::open(folder).map(drop);
        let found = Found::of(folder.to_owned());
        let refused = matches!(opened, Err(JournalError::NotOurs { .. }));
        assert_eq!(refused, found.refused.is_some(), "{opened:?} {found:?}");
        assert_eq!(refused, found.records.is_empty());
        refused
    };
    assert!(!is_refused(&folder));
    assert!(is_refused(&link), "a link may lead anywhere");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o707)).unwrap();
    assert!(is_refused(&folder), "everybody may write to it");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Workspaces of CI systems are open to all, in containers of one user.
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(
        !is_refused(&folder),
        "what others put in its place is theirs"
    );
}

#[test]
fn what_a_link_leads_to_is_not_removed_as_unbegun() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
    let link = home.path().join(".new-sp-0000000002");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    };
    let as_is = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, &link, &times, as_is).unwrap();
    remove_unbegun(home.path());
    assert!(folder.join(JOURNAL).exists());
}

#[test]
fn a_torn_tail_is_cut_and_writing_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
    OpenOptions::new()
        .append(true)
        .open(folder.join(JOURNAL))
        .unwrap()
        .write_all(b"0000")
        .unwrap();
    let (mut journal, records) = Journal::open(&folder).unwrap();
    assert_eq!(records.len(), 1);
    journal.write(Record::IntentApply).unwrap();
    drop(journal);
    assert_eq!(
        Journal::open(&folder).unwrap().1,
        [first("sp-0000000001"), Record::IntentApply]
    );
}

#[test]
fn a_torn_line_of_the_copy_hides_no_later_one() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
    let tear = |name: &str, text: &[u8]| {
        let file = OpenOptions::new().append(true).open(folder.join(name));
        file.unwrap().write_all(text).unwrap();
    };
    tear(HEAD, b"0000");
    let sizes = |max: &str| [("MaxSize".to_owned(), max.to_owned())].into();
    let change = Record::IntentChange {
        change: GroupChange::new("web", change::Setting::Sizes, sizes("8"), sizes("12")),
    };
    journal.write(change.clone()).unwrap();
    drop(journal);
    std::fs::write(folder.join(JOURNAL), "spoilt\n").unwrap();
    assert_eq!(read(&folder), [first("sp-0000000001"), change]);
}

#[test]
fn a_second_driver_is_refused_and_told_who_drives() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    let _held = Journal::create(&folder, first("sp-0000000001")).unwrap();
    let refused = Journal::open(&folder).unwrap_err().to_string();
    assert!(
        refused.contains(&format!("process {} on ", std::process::id())),
        "{refused}"
    );
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder_that_looks_like_a_run() {
    let home = tempfile::tempdir().unwrap();
    let runs = home.path().join("runs");
    // Killed before its first record: nobody warns of it, and a later run removes it.
    let killed = runs.join(".new-sp-0000000001");
    std::fs::create_dir_all(&killed).unwrap();
    std::fs::write(killed.join(JOURNAL), "").unwrap();
    assert!(folders(&runs).unwrap().is_empty());
    let names = || {
        let entries = std::fs::read_dir(&runs).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let folder = runs.join("sp-0000000002");
    let journal = Journal::create(&folder, first("sp-0000000002")).unwrap();
    assert_eq!(
        names(),
        [".new-sp-0000000001", "sp-0000000002"],
        "it may be beginning"
    );
    let old = std::time::SystemTime::now() - 2 * beginning::LONGEST;
    File::open(&killed).unwrap().set_modified(old).unwrap();
    // One whose folder is taken cannot begin.
    Journal::create(&folder, first("sp-0000000002")).unwrap_err();
    assert_eq!(names(), ["sp-0000000002"]);
    assert_eq!(read(&folder), [first("sp-0000000002")]);
    journal.discard();
    assert!(names().is_empty());
}

#[test]
fn a_journal_of_another_run_and_what_is_no_file_are_refused_at_once() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    drop(Journal::create(&at("sp-0000000001"), first("sp-0000000001")).unwrap());
    std::fs::rename(at("sp-0000000001"), at("sp-0000000002")).unwrap();
    std::fs::create_dir(at("sp-0000000003")).unwrap();
    mkfifoat(CWD, at("sp-0000000003").join(JOURNAL), Mode::RWXU).unwrap();
    std::fs::create_dir(at("sp-0000000004")).unwrap();
    let huge = File::create(at("sp-0000000004").join(JOURNAL)).unwrap();
    huge.set_len(LARGEST + 1).unwrap();
    for (name, why) in [
        ("sp-0000000002", "holds the journal of sp-0000000001"),
        ("sp-0000000003", "it is a pipe, not a file"),
        ("sp-0000000004", "it has more than 64 MiB"),
    ] {
        let found = Found::of(at(name));
        assert_eq!((found.records, found.damaged), (Vec::new(), true));
        let refused = found.refused.unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
        let refused = Journal::open(&at(name)).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_lock_that_is_a_pipe_holds_nobody_up() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    drop(Journal::create(&folder, first("sp-0000000001")).unwrap());
    std::fs::remove_file(folder.join(locks::OWNER)).unwrap();
    mkfifoat(CWD, folder.join(locks::OWNER), Mode::RWXU).unwrap();
    assert!(!locks::is_driven(&folder));
    assert!(!locks::is_under_way(&folder));
    assert!(Journal::open(&folder).is_err());
    assert!(locks::wait_until_orphaned(&folder).is_err());
}

#[test]
fn a_broken_run_is_still_listed() {
    let home = tempfile::tempdir().unwrap();
    drop(Journal::create(&home.path().join("sp-0000000002"), first("sp-0000000002")).unwrap());
    std::fs::create_dir(home.path().join("sp-0000000001")).unwrap();
    std::fs::create_dir(home.path().join("something-else")).unwrap();
    let found = folders(home.path()).unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|f| {
            (
                f.folder.file_name().unwrap().to_str().unwrap(),
                f.records.len(),
            )
        })
        .collect();
    assert_eq!(seen, [("sp-0000000001", 0), ("sp-0000000002", 1)]);
    assert!(folders(&home.path().join("missing")).unwrap().is_empty());
}

#[test]
fn where_a_run_ran_is_known_without_its_journal_and_what_it_did_is_not() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
    journal.write(Record::IntentApply).unwrap();
    drop(journal);
    assert!(!Found::of(folder.clone()).damaged);
    for spoil in [
        |path: &Path| std::fs::write(path, "spoilt"),
        |path: &Path| std::fs::remove_file(path),
    ] {
        spoil(&folder.join(JOURNAL)).unwrap();
        let found = Found::of(folder.clone());
        assert_eq!(
            (found.records, found.damaged),
            (vec![first("sp-0000000001")], true)
        );
    }
}

#[test]
fn how_a_group_was_is_known_without_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("sp-0000000001");
    let sizes = |max: &str| [("MaxSize".to_owned(), max.to_owned())].into();
    let intent = |group: &str| Record::IntentChange {
        change: GroupChange::new(group, change::Setting::Sizes, sizes("8"), sizes("12")),
    };
    let mut journal = Journal::create(&folder, first("sp-0000000001")).unwrap();
    let intended = vec![first("sp-0000000001"), intent("web"), intent("api")];
    for record in &intended[1..] {
        journal.write(record.clone()).unwrap();
    }
    journal.write(Record::IntentApply).unwrap();
    drop(journal);
    let whole = std::fs::read(folder.join(JOURNAL)).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    // Damage before, between and after the intents.
    for broken in 0..lines.len() {
        let spoilt = [&lines[..broken], &[b"spoilt\n"], &lines[broken + 1..]].concat();
        std::fs::write(folder.join(JOURNAL), spoilt.concat()).unwrap();
        let found = Found::of(folder.clone());
        assert_eq!(
            (found.records, found.damaged),
            (intended.clone(), true),
            "{broken}"
        );
    }
    std::fs::write(folder.join(JOURNAL), whole).unwrap();
    assert_eq!(Found::of(folder).records.len(), 4);
}

#[test]
fn the_command_that_reaps_finds_the_folder_from_anywhere() {
    let run = RunId::parse("sp-0000000001").unwrap();
    let usual = runs_dir(None, |name| {
        std::env::var_os(name).filter(|_| name != "SPIKEPROOF_RUNS_DIR")
    })
    .unwrap();
    assert_eq!(reap_command(&usual, &run), "spikeproof reap sp-0000000001");
    assert_eq!(
        reap_command(Path::new("/ci/runs"), &run),
        "spikeproof reap sp-0000000001 --runs-dir /ci/runs"
    );
    let odd = reap_command(Path::new("/my runs/o'clock"), &run);
    assert_eq!(
        odd,
        r"spikeproof reap sp-0000000001 --runs-dir '/my runs/o'\''clock'"
    );
    assert!(reap_command(Path::new("runs"), &run).contains("--runs-dir /"));
}

#[test]
fn a_run_is_reaped_where_and_as_whom_it_ran() {
    let Record::Run(run) = first("sp-0000000001") else {
        unreachable!()
    };
    let check = |profile: Option<&str>, env: &[(&str, &str)], before: &str| {
        let run = record::Run {
            profile: profile.map(str::to_owned),
            ..run.clone()
        };
        let read = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(in_its_place(&run, read), before);
    };
    check(None, &[("AWS_REGION", "us-east-1")], "");
    check(
        None,
        &[
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_PROFILE", "other"),
        ],
        "",
    );
    check(
        None,
        &[("AWS_REGION", "eu-west-1")],
        "AWS_REGION=us-east-1 ",
    );
    check(
        Some("load test"),
        &[("AWS_REGION", "")],
        "AWS_PROFILE='load test' AWS_REGION=us-east-1 ",
    );
    check(
        Some("ci"),
        &[("AWS_REGION", "us-east-1"), ("AWS_PROFILE", "ci")],
        "",
    );
    let emulated = record::Run {
        endpoint: Some("http://127.0.0.1:5000".to_owned()),
        ..run
    };
    let before = in_its_place(&emulated, |name| {
        (name == "AWS_REGION").then(|| "us-east-1".to_owned())
    });
    assert_eq!(before, "AWS_ENDPOINT_URL=http://127.0.0.1:5000 ");
}

#[test]
fn runs_are_kept_where_asked_or_in_the_state_folder() {
    let check = |asked: Option<&str>, env: &[(&str, &str)], expected: Option<&str>| {
        let read = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        };
        assert_eq!(
            runs_dir(asked.map(Path::new), read).ok(),
            expected.map(PathBuf::from)
        );
    };
    check(Some("/a"), &[("SPIKEPROOF_RUNS_DIR", "/b")], Some("/a"));
    check(
        None,
        &[("SPIKEPROOF_RUNS_DIR", "/b"), ("HOME", "/h")],
        Some("/b"),
    );
    check(
        None,
        &[("XDG_STATE_HOME", "/s"), ("HOME", "/h")],
        Some("/s/spikeproof/runs"),
    );
    check(
        None,
        &[("XDG_STATE_HOME", "s"), ("HOME", "/h")],
        Some("/h/.local/state/spikeproof/runs"),
    );
    check(None, &[], None);
}
