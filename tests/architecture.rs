//! Imports point down only, decisions are pure, and few files start processes or print.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Top to bottom. A module may use modules of lower layers, and of its own layer only where `SAME`
/// says so.
const LAYERS: [&[&str]; 9] = [
    &["cli"],
    &["run"],
    &["teardown"],
    &[
        "terraform",
        "fleet",
        "image",
        "channel",
        "engine",
        "watch",
        "ownership",
        "journal",
        "lab",
        "aws",
    ],
    &["report"],
    &["advice", "verdict"],
    &["evidence"],
    &["plan", "cost", "limits", "scaling"],
    &[
        "scenario", "measure", "events", "outcome", "redact", "units",
    ],
];

/// Neighbours on one layer that may know each other, and why.
const SAME: [(&str, &str, &str); 14] = [
    (
        "fleet",
        "journal",
        "tasks carry the tag that a run is found by",
    ),
    (
        "terraform",
        "journal",
        "terraform and its plugins inherit the run's work lock",
    ),
    (
        "terraform",
        "aws",
        "what kind of failure terraform's diagnostics speak of",
    ),
    ("channel", "aws", "a bucket is opened with AWS credentials"),
    ("fleet", "aws", "Fargate is in AWS"),
    ("watch", "aws", "the group is in AWS"),
    ("image", "aws", "ECR is in AWS"),
    ("engine", "channel", "a generator lives on the channel"),
    (
        "ownership",
        "engine",
        "the file of a target is asked for as a generator would ask",
    ),
    ("events", "units", "quantities"),
    ("events", "redact", "what is told holds no secret"),
    ("scenario", "redact", "a scenario reads secrets"),
    ("scenario", "units", "quantities"),
    ("measure", "units", "quantities"),
];

/// Modules without clock, network, process or file.
const PURE: [&str; 11] = [
    "scenario", "plan", "measure", "scaling", "evidence", "verdict", "advice", "cost", "limits",
    "units", "outcome",
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

/// The top-level module a file belongs to.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(src()).unwrap();
    let first = relative
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The file up to its tests: those may build whatever they need.
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

/// Top-level modules named by `crate::x` outside comments.
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
        .filter(|name: &String| LAYERS.iter().any(|layer| layer.contains(&name.as_str())))
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let from = module(&path);
        let Some(own) = layer(&from) else { continue };
        for to in uses(&code(&path)) {
            let other = layer(&to).unwrap();
            let neighbours = SAME.iter().any(|(a, b, _)| *a == from && *b == to);
            if to != from && (other < own || (other == own && !neighbours)) {
                wrong.push(format!("{}: {from} uses {to}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_module_once() {
    let map = std::fs::read_to_string(src().join("lib.rs")).unwrap();
    let named: Vec<&str> = map
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pub mod ")?
                .split_once(';')
                .map(|(name, _)| name)
        })
        .collect();
    let mut layered: Vec<&str> = LAYERS
        .iter()
        .flat_map(|layer| layer.iter().copied())
        .collect();
    let mut sorted = named.clone();
    sorted.sort_unstable();
    layered.sort_unstable();
    assert_eq!(sorted, layered);
    assert!(
        map.lines()
            .filter(|line| line.starts_with("pub mod "))
            .all(|line| line.contains("// "))
    );
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
        if PURE.contains(&module(&path).as_str()) {
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
        "aws/failure.rs",
        "the message of two codes that mean a wrong clock or a wrong secret",
    ),
    ("cost/target.rs", "the size of a task, as recorded"),
    ("evidence/price.rs", "the size of a task, as recorded"),
    (
        "evidence/timeline/activity.rs",
        "the causes of AWS's scaling activities",
    ),
    (
        "fleet/fargate.rs",
        "ECS's refusals that have one code for all",
    ),
    ("lab/moto.rs", "moto's output"),
    ("report/older.rs", "reports of earlier versions"),
    ("scenario/condition.rs", "the scenario's grammar"),
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
    let mut used = std::collections::BTreeSet::new();
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

#[test]
fn few_files_start_processes() {
    let mut counts = BTreeMap::new();
    for path in sources(&src()) {
        if code(&path).contains("Command::new") {
            *counts.entry(module(&path)).or_insert(0) += 1;
        }
    }
    let known = ["cli", "fleet", "lab", "teardown", "terraform"];
    assert!(
        counts.keys().all(|module| known.contains(&module.as_str())),
        "{counts:?}"
    );
}

#[test]
fn lab_and_product_do_not_know_each_other() {
    for path in sources(&src()) {
        let from = module(&path);
        if [
            "run",
            "teardown",
            "fleet",
            "watch",
            "terraform",
            "channel",
            "engine",
            "image",
            "aws",
        ]
        .contains(&from.as_str())
        {
            assert!(
                !uses(&code(&path)).contains(&"lab".to_owned()),
                "{} knows the lab",
                path.display()
            );
        }
    }
}

/// Every call by which a group is watched is in the documents that people are told to grant; and
/// nothing else is in the one for watching alone.
#[test]
fn the_permissions_documents_name_what_watching_calls() {
    let mut called = std::collections::BTreeSet::new();
    for file in sources(&src().join("watch")) {
        let text = std::fs::read_to_string(file).unwrap();
        for part in text.split("call(\"").skip(1) {
            called.insert(part.split('"').next().unwrap().to_owned());
        }
    }
    let permissions = Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform/permissions");
    let granted = |name: &str| -> std::collections::BTreeSet<String> {
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
