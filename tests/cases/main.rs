//! Cases of wrong conclusions: each has a cause that looks like too few instances, or hides it.
//!
//! A folder below `tests/cases` is a case: a lab file, a scenario, and settings of two proxies that
//! do what the lab does not. `expected.md` reasons about what must happen, and `expect.yaml` says
//! it line by line. Both are written by hand from the figures of the case, never from a report.
//! `lab-NAME.yaml` beside `expect-NAME.yaml` is the same case with another group: mostly the remedy
//! that a wrong conclusion would buy.
//!
//! The proxies know nothing of the lab or the judge, and reports are read as JSON: no type of the
//! program is used here. `SPIKEPROOF_CASES`: `all`, or names between commas; without it, a few.
//! `SPIKEPROOF_CASES_DIR` names a folder that keeps the runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see"
)]

mod expect;
#[path = "../support/folders.rs"]
mod folders;
#[path = "../support/said.rs"]
mod said;
#[path = "../support/stage/mod.rs"]
mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect::Expect;
use folders::Folder;
use serde_json::Value;
use stage::Stage;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Labs at once: each is under a load of a few hundred requests a second.
const AT_ONCE: usize = 7;
/// Enough to see that the machinery works, both proxies included; all of them take minutes.
const SAMPLE: [&str; 2] = ["shared-database", "no-capacity"];

/// A run's report, and what the proxies know beside it.
struct Seen {
    /// `report.json`.
    report: Value,
    /// The ids of the instances that the proxy made sick.
    sick: BTreeSet<String>,
    /// The folder with the run, if it is kept.
    kept: Option<PathBuf>,
}

fn cases() -> Vec<(Folder, Expect)> {
    let wanted = std::env::var("SPIKEPROOF_CASES").unwrap_or_default();
    let names: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let wants = |case: &Folder| match names.as_slice() {
        [] => SAMPLE.contains(&case.name.as_str()),
        ["all"] => true,
        names => names.contains(&case.name.as_str()),
    };
    let cases = folders::cases().into_iter().filter(wants);
    let cases: Vec<(Folder, Expect)> = cases
        .map(|case| {
            let expect = Expect::read(&case.expect);
            (case, expect)
        })
        .collect();
    assert!(!cases.is_empty(), "no case is called {wanted}");
    cases
}

/// Runs a case.
async fn run(case: &Folder) -> Seen {
    let keep =
        std::env::var_os("SPIKEPROOF_CASES_DIR").map(|keep| Path::new(&keep).join(&case.name));
    let folder = tempfile::tempdir().unwrap();
    let folder = keep.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(folder).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let stage = Stage {
        name: &case.name,
        lab: &read(&case.lab),
        scenario: &read(&case.path.join("scenario.yaml")),
        case: Some(&case.path),
    };
    let (run, sick) = stage.play(folder).await;
    Seen {
        report: serde_json::from_str(&read(&run.join("report.json"))).unwrap(),
        sick,
        kept: keep,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cause_is_taken_for_another() {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (case, expect) in cases() {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let seen = run(&case).await;
            let (verdicts, wrong) = expect.check(&seen);
            (case.name, verdicts, wrong, expect.about)
        });
    }
    let (mut cases, mut verdicts, mut wrong) = (0, 0, 0);
    while let Some(done) = running.join_next().await {
        let (name, checked, lines, about) = done.unwrap();
        println!("{name}: {checked} verdicts, {} wrong  {about}", lines.len());
        for line in &lines {
            println!("  WRONG {line}");
        }
        cases += 1;
        verdicts += checked;
        wrong += lines.len();
    }
    println!("{cases} cases, {verdicts} verdicts, {wrong} wrong");
    assert_eq!(wrong, 0, "see above");
}
