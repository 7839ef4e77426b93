//! Imports point down only, decisions are pure, and few files start processes or print.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The members of the workspace, and inside each its modules from top to bottom. A module may use
/// modules of lower layers. Between members, cargo holds the order.
const LAYERS: [(&str, &[&[&str]]); 10] = [
    ("spikeproof", &[&["cli"], &["run"]]),
    ("teardown", &[]),
    (
        "provision",
        &[
            &["fleet", "settings", "terraform"],
            &["journal"],
            &["trust"],
        ],
    ),
    ("engine", &[]),
    ("watch", &[]),
    ("cloud", &[&["channel", "image"], &["aws", "files"]]),
    ("judge", &[&["report"], &["advice", "verdict"]]),
    ("evidence", &[]),
    ("lab", &[]),
    (
        "model",
        &[
            &["plan", "cost", "limits", "scaling"],
            &["scenario", "measure", "events"],
            &["json", "outcome", "redact", "units"],
            &["visible"],
        ],
    ),
];

/// Modules without clock, network, process or file.
const PURE: [&str; 13] = [
    "scenario", "plan", "measure", "scaling", "evidence", "verdict", "advice", "cost", "limits",
    "units", "outcome", "json", "visible",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the member a file belongs to, and its module there: the member again if it is not
/// divided.
fn place(path: &Path) -> (String, String) {
    let relative = path.strip_prefix(src()).unwrap();
    let mut parts = relative.iter().map(|part| part.to_str().unwrap());
    let member = parts.next().unwrap();
    let module = parts.next().unwrap().trim_end_matches(".rs");
    let module = if layers(member).is_empty() {
        member
    } else {
        module
    };
    (member.to_owned(), module.to_owned())
}

fn layers(member: &str) -> &'static [&'static [&'static str]] {
    let found = LAYERS.iter().find(|(name, _)| *name == member);
    found.unwrap_or_else(|| panic!("{member} is not listed")).1
}

/// Returns the file up to its tests: those may build whatever they need.
fn code(path: &Path) -> String {
    if path
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .ends_with("tests.rs")
    {
        return String::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// Modules named by `crate::x` outside comments.
fn uses(code: &str) -> Vec<String> {
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split("crate::").skip(1).collect::<Vec<_>>())
        .map(|tail| {
            tail.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn imports_point_down_inside_each_member() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&src()) {
        let (member, from) = place(&path);
        let layer = |module: &str| {
            layers(&member)
                .iter()
                .position(|layer| layer.contains(&module))
        };
        let Some(own) = layer(&from) else { continue };
        for to in uses(&code(&path)) {
            let Some(other) = layer(&to) else { continue };
            seen += 1;
            if to != from && other <= own {
                wrong.push(format!("{}: {from} uses {to}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "the search itself: {seen}");
}

#[test]
fn every_member_has_its_front_page_and_every_module_a_line_on_it() {
    let mut folders: Vec<String> = std::fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut members = LAYERS.map(|(member, _)| member);
    folders.sort_unstable();
    members.sort_unstable();
    assert_eq!(folders, members);
    for (member, layers) in LAYERS {
        let page = std::fs::read_to_string(src().join(member).join("lib.rs")).unwrap();
        assert!(page.starts_with("//! "), "{member} has no front page");
        let (named, unnamed) = modules(&page);
        assert!(unnamed.is_empty(), "{member}: no line for {unnamed:?}");
        let layered: BTreeSet<&str> = layers
            .iter()
            .flat_map(|layer| layer.iter().copied())
            .collect();
        let named: BTreeSet<&str> = named.into_iter().collect();
        if !layers.is_empty() {
            assert_eq!(named, layered, "{member}");
        }
    }
}

/// The modules of a front page but for tests: those with a line, and those without.
fn modules(page: &str) -> (Vec<&str>, Vec<&str>) {
    let mut named = Vec::new();
    let mut unnamed = Vec::new();
    for line in page.lines() {
        let Some(rest) = line
            .strip_prefix("pub ")
            .unwrap_or(line)
            .strip_prefix("mod ")
        else {
            continue;
        };
        match rest.split_once("; // ") {
            Some((name, _)) => named.push(name),
            None if rest.ends_with("tests;") || rest.ends_with('{') => {}
            None => unnamed.push(rest.trim_end_matches(';')),
        }
    }
    (named, unnamed)
}

#[test]
fn what_decides_is_pure() {
    let doors = [
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::process",
        "std::env",
        "tokio::",
        "Timestamp::now",
        "Instant::now",
        "SystemTime",
    ];
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        if PURE.contains(&place(&path).1.as_str()) {
            let code = code(&path);
            let opened = doors
                .iter()
                .filter(|door| code.contains(**door))
                .map(|door| format!("{}: {door}", path.display()));
            wrong.extend(opened);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files that read text of others, or of records that are on disk, and whose it is.
const READS_FOREIGN_TEXT: &[(&str, &str)] = &[
    (
        "cloud/aws/failure.rs",
        "the message of two codes that mean a wrong clock or a wrong secret",
    ),
    ("model/cost/target.rs", "the size of a task, as recorded"),
    ("evidence/price.rs", "the size of a task, as recorded"),
    (
        "evidence/timeline/activity.rs",
        "the descriptions of AWS's scaling activities",
    ),
    (
        "evidence/timeline/cause.rs",
        "the causes of AWS's scaling activities",
    ),
    (
        "provision/fleet/fargate.rs",
        "ECS's refusals that have one code for all",
    ),
    ("lab/moto.rs", "moto's output"),
    ("judge/report/older.rs", "reports of earlier versions"),
    ("model/scenario/condition.rs", "the scenario's grammar"),
    ("watch/service.rs", "the causes of AWS's scaling activities"),
];

/// Phrases that a line of code compares text with: literals of several words.
fn compared_phrases(line: &str) -> Vec<&str> {
    let calls = [
        ".starts_with(\"",
        ".ends_with(\"",
        ".contains(\"",
        ".strip_prefix(\"",
        ".strip_suffix(\"",
        ".split_once(\"",
        " == \"",
        " != \"",
    ];
    calls
        .iter()
        .flat_map(|call| line.split(call).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|phrase| {
            let is_word = |word: &&str| word.chars().all(char::is_alphabetic) && word.len() > 1;
            phrase.trim() != *phrase && phrase.split_whitespace().any(|word| is_word(&word))
                || phrase.split_whitespace().filter(is_word).count() > 1
        })
        .collect()
}

#[test]
fn own_sentences_decide_nothing() {
    let found = compared_phrases(r#"if why.starts_with("there is no ") && is("a", x == "b c")"#);
    assert_eq!(found, ["there is no "], "the search itself");
    let src = src();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for path in sources(&src) {
        let file = path.strip_prefix(&src).unwrap().display().to_string();
        let code = code(&path);
        for phrase in code.lines().flat_map(compared_phrases) {
            if READS_FOREIGN_TEXT.iter().any(|(known, _)| *known == file) {
                used.insert(file.clone());
            } else {
                wrong.push(format!("{file} compares text with `{phrase}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<&str> = READS_FOREIGN_TEXT
        .iter()
        .map(|(file, _)| *file)
        .filter(|file| !used.contains(*file))
        .collect();
    assert!(unused.is_empty(), "listed for nothing: {unused:?}");
}

/// A comment begins with its subject or its verb.
#[test]
fn comments_begin_plainly() {
    let heads = ["What ", "Whoever ", "So many ", "So much ", "So long "];
    let begins = |line: &str| {
        let text = line.trim_start().trim_start_matches(['/', '!']);
        line.trim_start().starts_with("//")
            && heads.iter().any(|head| text.trim_start().starts_with(head))
    };
    assert!(begins("    /// What it is."), "the search itself");
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut begun = false;
        for line in text.lines() {
            let is_comment = line.trim_start().starts_with("//");
            if is_comment && !begun && begins(line) {
                wrong.push(format!("{}: {}", path.display(), line.trim()));
            }
            begun = is_comment;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn few_files_start_processes() {
    let mut counts = BTreeMap::new();
    for path in sources(&src()) {
        if code(&path).contains("Command::new") {
            *counts.entry(place(&path).1).or_insert(0) += 1;
        }
    }
    let known = ["cli", "fleet", "lab", "teardown", "terraform"];
    assert!(
        counts.keys().all(|module| known.contains(&module.as_str())),
        "{counts:?}"
    );
}

/// Files that write to the terminal, each through `visible`.
const PRINTS: [(&str, &str); 4] = [
    ("spikeproof/main.rs", ".printed()"),
    ("spikeproof/cli/mod.rs", "visible::text("),
    ("spikeproof/cli/lab.rs", "visible::"),
    ("judge/report/live.rs", "visible::text("),
];

#[test]
fn few_files_print_and_each_through_the_door() {
    let src = src();
    let mut found = BTreeSet::new();
    for path in sources(&src) {
        let code = code(&path);
        let prints = ["io::stdout()", "io::stderr()"]
            .iter()
            .flat_map(|stream| code.split(stream).skip(1))
            .any(|rest| !rest.trim_start().starts_with(".is_terminal"));
        if !prints {
            continue;
        }
        let file = path.strip_prefix(&src).unwrap().display().to_string();
        let known = PRINTS.iter().find(|(known, _)| *known == file);
        let (_, door) = known.unwrap_or_else(|| panic!("{file} prints"));
        assert!(code.contains(door), "{file} prints without {door}");
        found.insert(file);
    }
    assert_eq!(found.len(), PRINTS.len(), "listed for nothing: {found:?}");
}

/// Files that open others for reading, and whose those are. Everything that a scenario names, that
/// the user names, or that a folder of runs holds is read through `cloud::files`: with a bound, and
/// never a device or a pipe.
const OPENS: [(&str, &str); 12] = [
    ("cloud/files.rs", "the door"),
    ("cloud/image/pack.rs", "the program that is packed"),
    ("cloud/image/push.rs", "the layer that was just packed"),
    ("engine/health.rs", "/proc and /dev/null"),
    ("provision/journal/locks.rs", "/proc"),
    ("provision/journal/mod.rs", "a folder, to sync it"),
    ("provision/terraform/driver/error.rs", "terraform's log"),
    ("provision/terraform/driver/process.rs", "terraform's log"),
    ("provision/terraform/state.rs", "terraform's state and logs"),
    ("provision/trust.rs", "/proc"),
    ("spikeproof/run/provision.rs", "terraform's state"),
    (
        "spikeproof/run/scenario_file.rs",
        "a descriptor that the user sends",
    ),
];

#[test]
fn few_files_open_others_by_themselves() {
    let src = src();
    let calls = [
        "fs::read(",
        "fs::read_to_string(",
        "File::open(",
        "fs::open(",
    ];
    let mut found = BTreeSet::new();
    for path in sources(&src) {
        let code = code(&path);
        let mut lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let file = path.strip_prefix(&src).unwrap().display().to_string();
        if !file.starts_with("lab/")
            && lines.any(|line| calls.iter().any(|call| line.contains(call)))
        {
            found.insert(file);
        }
    }
    let known: BTreeSet<String> = OPENS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, known);
}

/// Packages that a member of the workspace depends on, tests left out.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(manifest).unwrap();
    let table = text.split("\n[dependencies]\n").nth(1).unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split(['.', ' ']).next())
        .map(str::to_owned)
        .collect()
}

/// Those of them that are members.
fn imports(manifest: &Path) -> Vec<String> {
    let mut all = dependencies(manifest);
    all.retain(|name| LAYERS.iter().any(|(member, _)| member == name));
    all
}

/// `make lint` builds the fuzz targets with their own lock file, and nothing else does.
#[test]
fn the_lock_file_of_the_fuzz_targets_has_what_each_member_depends_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = std::fs::read_to_string(root.join("tests/fuzz/Cargo.lock")).unwrap();
    let workspace = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    // The workspace gives some packages another name.
    let package_of = |one: &str| {
        let begins = format!("{one} = {{ package = \"");
        let mut lines = workspace.lines();
        let renamed = lines.find_map(|line| line.strip_prefix(&begins)?.split('"').next());
        renamed.unwrap_or(one).to_owned()
    };
    let mut seen = 0;
    for (member, _) in LAYERS {
        let name = format!("\nname = \"{member}\"\n");
        let mut packages = lock.split("[[package]]");
        let Some(package) = packages.find(|package| package.contains(&name)) else {
            continue;
        };
        for one in dependencies(&src().join(member).join("Cargo.toml")) {
            let one = package_of(&one);
            let has = |end: &str| package.contains(&format!("\n \"{one}{end}"));
            assert!(
                has("\"") || has(" "),
                "{one} of {member}: `cargo update --workspace` in tests/fuzz"
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "the search itself: {seen}");
}

#[test]
fn lab_and_product_do_not_know_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(imports(&root).contains(&"lab".to_owned()));
    for (member, _) in LAYERS.iter().filter(|(member, _)| *member != "spikeproof") {
        let known = imports(&src().join(member).join("Cargo.toml"));
        assert!(!known.contains(&"lab".to_owned()), "{member} knows the lab");
        if *member == "lab" {
            assert_eq!(known, ["model"]);
        }
    }
    for path in sources(&src().join("spikeproof/run")) {
        let used = uses(&code(&path));
        assert!(!used.contains(&"lab".to_owned()), "{}", path.display());
    }
}

/// The parts of `model` that the lab uses, each with its reason. They are AWS's documented rules and
/// the grammar of two kinds of values. None of them assumes anything about a target, such as equal
/// instances or a capacity: the judge would then find its own assumption confirmed.
const SHARED_WITH_THE_LAB: [(&str, &str); 9] = [
    (
        "scaling::alarm",
        "CloudWatch's rules on datapoints to alarm",
    ),
    (
        "scaling::cooldown",
        "the cooldowns of Application Auto Scaling",
    ),
    ("scaling::policies", "the choice among several policies"),
    ("scaling::step", "step and simple scaling"),
    ("scaling::target_tracking", "target tracking"),
    (
        "scaling::Bounds",
        "a group's minimum and maximum, which scheduled actions set",
    ),
    (
        "scaling::{Bounds, GroupReading}",
        "the figures that these rules are about",
    ),
    (
        "units::parse_duration",
        "durations are written as in the scenario file",
    ),
    (
        "scenario::parse_rate",
        "rates are written as in the scenario file",
    ),
];

/// Returns the paths below `model` that are named outside comments.
fn paths_of_model(code: &str) -> Vec<&str> {
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| {
            line.match_indices("model::")
                .map(move |(at, _)| line.split_at(at))
        })
        .filter(|(before, _)| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .map(|(_, rest)| &rest["model::".len()..])
        .collect()
}

#[test]
fn the_lab_shares_only_rules_of_aws_with_the_judge() {
    let found = paths_of_model("use model::a::B;\n// model::c\nmy_model::d; x(model::e::f(1))");
    assert_eq!(found, ["a::B;", "e::f(1))"], "the search itself");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for path in sources(&src().join("lab")) {
        let code = code(&path);
        assert!(!code.contains("use model;") && !code.contains("use model as"));
        for found in paths_of_model(&code) {
            let known = SHARED_WITH_THE_LAB.iter().find(|(known, _)| {
                let rest = found.strip_prefix(known);
                rest.is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
            });
            match known {
                Some((known, _)) => drop(used.insert(*known)),
                None => wrong.push(format!("{} uses model::{found}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<&str> = SHARED_WITH_THE_LAB
        .iter()
        .map(|(known, _)| *known)
        .filter(|known| !used.contains(known))
        .collect();
    assert!(unused.is_empty(), "listed for nothing: {unused:?}");
}

/// The rules of AWS do not know the replay, which has the judge's assumptions about a target.
#[test]
fn the_rules_of_aws_assume_no_target() {
    let rules = src().join("model/scaling");
    let mut seen = 0;
    for path in sources(&rules) {
        let file = path.strip_prefix(&rules).unwrap().to_str().unwrap();
        if ["mod.rs", "replay.rs"].contains(&file) {
            continue;
        }
        seen += 1;
        let code = code(&path);
        let mut lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        assert!(!lines.any(|line| line.contains("replay")), "{file}");
    }
    assert!(seen > 4, "the search itself: {seen}");
}

/// Every call by which a group is watched is in the documents that people are told to grant; and
/// nothing else is in the one for watching alone.
#[test]
fn the_permissions_documents_name_what_watching_calls() {
    let mut called = BTreeSet::new();
    for file in sources(&src().join("watch")) {
        let text = std::fs::read_to_string(file).unwrap();
        for part in text.split("call(\"").skip(1) {
            called.insert(part.split('"').next().unwrap().to_owned());
        }
    }
    let permissions = Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform/permissions");
    let granted = |name: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(permissions.join(name)).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let statements = document["Statement"].as_array().unwrap();
        let target = statements
            .iter()
            .find(|one| one["Sid"] == "ReadTheTarget")
            .unwrap();
        target["Action"]
            .as_array()
            .unwrap()
            .iter()
            .map(|action| action.as_str().unwrap().to_owned())
            .collect()
    };
    assert!(called.len() > 15, "{called:?}");
    assert_eq!(granted("watcher.json"), called);
    assert_eq!(granted("operator.json"), called);
}
