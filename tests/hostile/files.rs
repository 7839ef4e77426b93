//! Files of the machine do not reach the target, and no file makes a command hang.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use spikeproof::files::{FileRefused, read_inside};
use spikeproof::outcome::Exit;

use super::program::{AT_ONCE, case, said, said_within, spikeproof};

/// Stands in every file that must not be read or repeated.
const CANARY: &str = "c4nary";

fn scenario(folder: &Path, more: &str, step: &str) -> String {
    let path = folder.join("scenario.yaml");
    let text = format!(
        "name: files\ntarget: {{ url: 'http://127.0.0.1:9', {more} }}\n\
         phases: [ {{ rate: 1/s, hold: 1s }} ]\nsteps: [ {step} ]\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_environment_of_the_caller_does_not_reach_the_target() {
    let home = tempfile::tempdir().unwrap();
    let file = case("41-files-of-the-machine/scenario.yaml");
    for command in ["check", "run"] {
        let mut line = spikeproof(home.path());
        line.args([command, "--fleet", "local"])
            .arg(&file)
            .env("AWS_SECRET_ACCESS_KEY", CANARY);
        let said = said_within(line, "", AT_ONCE);
        assert_eq!(
            said.exit,
            Exit::ScenarioInvalid,
            "{command}: {}",
            said.all()
        );
        let why = format!(
            "`/proc/self/environ` cannot be read: {}",
            FileRefused::OfTheSystem
        );
        assert!(said.stderr.contains(&why), "{}", said.stderr);
        assert!(!said.all().contains(CANARY), "{}", said.all());
    }
    assert!(!home.path().join("runs").exists());
}

#[test]
fn a_scenario_names_regular_files_of_its_folder_only() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, format!("{CANARY},b\n1,2\n")).unwrap();
    symlink(&secret, own.join("link.csv")).unwrap();
    mkfifoat(CWD, own.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    let is_outside: fn(&FileRefused) -> bool = |why| matches!(why, FileRefused::Outside(_));
    let is_no_file: fn(&FileRefused) -> bool = |why| matches!(why, FileRefused::NotAFile(_));
    let is_of_system: fn(&FileRefused) -> bool = |why| matches!(why, FileRefused::OfTheSystem);
    for (name, is_why) in [
        ("/dev/zero", is_no_file),
        ("/proc/self/root/etc/passwd", is_outside),
        ("/sys/kernel/mm/transparent_hugepage/enabled", is_of_system),
        ("pipe", is_no_file),
        (".", is_no_file),
        ("link.csv", is_outside),
        ("../secret", is_outside),
        (secret.to_str().unwrap(), is_outside),
    ] {
        if name.starts_with("/sys") && !Path::new(name).exists() {
            continue;
        }
        let folders = [own.canonicalize().unwrap()];
        let why = read_inside(&own.join(name), &folders, 1 << 20).unwrap_err();
        assert!(is_why(&why), "{name}: {why:?}");
        let why = why.to_string();
        for (more, step) in [
            ("", format!("{{ post: /, file: '{name}' }}")),
            (
                "",
                format!("{{ post: /, multipart: {{ a: {{ file: '{name}' }} }} }}"),
            ),
            ("tls: { ca: NAME }", "{ get: / }".to_owned()),
            (
                "tls: { certificate: NAME, key: NAME }",
                "{ get: / }".to_owned(),
            ),
            (
                "",
                format!(
                    "{{ get: '/{{{{ u.a }}}}' }} ]\ndata: {{ u: {{ file: '{name}' }} }}\nthresholds: ["
                ),
            ),
        ] {
            let path = scenario(&own, &more.replace("NAME", &format!("'{name}'")), &step);
            let said = said(home.path(), &["check", &path]);
            assert_eq!(said.exit, Exit::ScenarioInvalid, "{name}: {}", said.all());
            assert!(said.stderr.contains(&why), "{name}: {}", said.stderr);
            assert!(!said.all().contains(CANARY), "{name}: {}", said.all());
        }
    }
    // Only the user permits another folder.
    let path = scenario(&own, "", "{ post: /, file: link.csv }");
    let allowed = home.path().to_str().unwrap();
    for link in ["link.csv", "../secret"] {
        let path = scenario(&own, "", &format!("{{ post: /, file: {link} }}"));
        let said = said(home.path(), &["check", &path, "--allow-files", allowed]);
        assert_eq!(said.exit, Exit::Passed, "{}", said.all());
    }
    let nowhere = said(
        home.path(),
        &["check", &path, "--allow-files", "/nowhere/at/all"],
    );
    assert_eq!(nowhere.exit, Exit::Usage, "{}", nowhere.all());
}

#[test]
fn the_scenario_itself_cannot_make_check_hang() {
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    for file in [
        "/dev/zero",
        "/proc/self/environ",
        "/",
        pipe.to_str().unwrap(),
    ] {
        for command in ["check", "run"] {
            let said = said(home.path(), &[command, file]);
            assert_eq!(said.exit, Exit::ScenarioInvalid, "{file}: {}", said.all());
            assert!(
                said.stderr.starts_with("cannot read the scenario"),
                "{}",
                said.stderr
            );
        }
    }
}

#[test]
fn no_message_repeats_a_file_that_is_not_a_scenario() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    for text in [
        "root:$6$c4nary:19000:0:99999:7:::\nbin:*:1::::::\n",
        "apiVersion: v1\nkind: Secret\ndata: { password: c4nary }\n",
        "- c4nary\n",
        "c4nary",
    ] {
        let file = at("secret", text);
        let said = said(home.path(), &["check", &file]);
        assert_eq!(said.exit, Exit::ScenarioInvalid, "{}", said.all());
        assert!(said.stderr.contains("is not a scenario"), "{}", said.stderr);
        assert!(!said.all().contains(CANARY), "{}", said.all());
    }
    // Rows whose first line holds no names.
    at("rows.csv", "root:$6$c4nary:1,x\n1,2\n");
    let path = at(
        "scenario.yaml",
        "name: x\ntarget: { url: 'http://127.0.0.1:9' }\nphases: [ { rate: 1/s, hold: 1s } ]\n\
         data: { users: { file: rows.csv } }\nsteps: [ { get: '/{{ users.name }}' } ]\n",
    );
    let said = said(home.path(), &["check", &path]);
    assert_eq!(said.exit, Exit::ScenarioInvalid, "{}", said.all());
    assert!(
        said.stderr.contains("has no column `name`"),
        "{}",
        said.stderr
    );
    assert!(!said.all().contains(CANARY), "{}", said.all());
}

#[test]
fn a_scenario_from_standard_input_belongs_to_the_working_directory() {
    let home = tempfile::tempdir().unwrap();
    let text = "name: sent\ntarget: { url: 'http://127.0.0.1:9' }\nphases: [ { rate: 1/s, hold: 1s } ]\n\
                steps: [ { post: /, file: FILE } ]\n";
    std::fs::write(home.path().join("body"), "content").unwrap();
    for name in ["-", "/dev/stdin"] {
        for (file, exit) in [
            ("body", Exit::Passed),
            ("/etc/passwd", Exit::ScenarioInvalid),
        ] {
            let mut command = spikeproof(home.path());
            command.args(["check", name]).current_dir(home.path());
            let said = said_within(command, &text.replace("FILE", file), AT_ONCE);
            assert_eq!(said.exit, exit, "{name} {file}: {}", said.all());
        }
    }
}

/// Returns YAML that is billions of items with its aliases written out.
fn bomb() -> String {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, inner) in ('b'..='j').zip('a'..) {
        let many = vec![format!("*{inner}"); 9].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{many}]\n"));
    }
    bomb
}

#[test]
fn odd_scenario_files_are_read_or_refused_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let plain = format!("{HEAD}steps: [{{ get: / }}]\n");
    let bomb = bomb();
    // With its mark, as Windows writes it.
    let utf_16 = format!("\u{feff}{plain}");
    let utf_16: Vec<u8> = utf_16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, refused) in [
        ([b"\xef\xbb\xbf", plain.as_bytes()].concat(), None),
        (plain.replace('\n', "\r\n").into_bytes(), None),
        (utf_16, Some("it is not UTF-8 text")),
        (
            [plain.as_bytes(), b"# Zo\xeb\n"].concat(),
            Some("it is not UTF-8 text"),
        ),
        (
            format!("{plain}# \0\n").into_bytes(),
            Some("cannot be read as YAML"),
        ),
        (
            format!("{plain}name: y\n").into_bytes(),
            Some("`name` is written twice"),
        ),
        (
            format!("{plain}---\nname: y\n").into_bytes(),
            Some("a second document begins"),
        ),
        (
            format!("{bomb}{plain}").into_bytes(),
            Some("with its aliases written out"),
        ),
        (
            format!("{HEAD}steps: {}\n", "[".repeat(5_000)).into_bytes(),
            Some("cannot be read as YAML"),
        ),
        (
            plain.replace("1/s", &"9".repeat(400)).into_bytes(),
            Some("999"),
        ),
    ] {
        is_checked(home.path(), &content, refused);
    }
}

#[test]
fn odd_tables_are_read_or_refused_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let of_table = |name: &str, content: &[u8]| {
        std::fs::write(home.path().join(name), content).unwrap();
        let step = format!(
            "data: {{ u: {{ file: {name}, share: all }} }}\nsteps: [{{ get: '/?u={{{{ u.id }}}}' }}]\n"
        );
        format!("{HEAD}{step}").into_bytes()
    };
    let digits = format!("{{\"id\": {}}}\n{{\"id\": 1e999}}\n", "7".repeat(400));
    for (content, refused) in [
        (of_table("crlf.csv", b"\xef\xbb\xbfid\r\n1\r\n"), None),
        (of_table("nul.csv", b"id\na\0b\n"), None),
        (of_table("digits.jsonl", digits.as_bytes()), None),
        (
            of_table("latin-1.csv", b"id\nZo\xeb\n"),
            Some("line 2 is not UTF-8"),
        ),
        (
            of_table("open.csv", b"id,name\n1,\"a\n2,b\n"),
            Some("line 2 opens a quote that nothing closes"),
        ),
        (
            of_table("twice.csv", b"id,id\n1,2\n"),
            Some("the column `id` is there twice"),
        ),
        (
            of_table(
                "deep.jsonl",
                ["{\"id\": ", &"[".repeat(5_000)].concat().as_bytes(),
            ),
            Some("is not a JSON object"),
        ),
    ] {
        is_checked(home.path(), &content, refused);
    }
}

const HEAD: &str =
    "name: x\ntarget: { url: 'http://127.0.0.1:9' }\nphases: [{ rate: 1/s, hold: 1s }]\n";

/// Checks a scenario of this content: it is read, or refused with this reason.
fn is_checked(home: &Path, content: &[u8], refused: Option<&str>) {
    let path = home.join("scenario.yaml");
    std::fs::write(&path, content).unwrap();
    let said = said(home, &["check", &path.display().to_string()]);
    let exit = match refused {
        None => Exit::Passed,
        Some(_) => Exit::ScenarioInvalid,
    };
    assert_eq!(said.exit, exit, "{refused:?}: {}", said.all());
    let why = refused.unwrap_or_default();
    assert!(said.stderr.contains(why), "{why}: {}", said.stderr);
}
