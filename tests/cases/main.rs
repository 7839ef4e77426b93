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

mod api;
mod expect;
mod http;
mod run;
#[path = "../support/said.rs"]
mod said;
mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect::Expect;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Labs at once: each is under a load of a few hundred requests a second.
const AT_ONCE: usize = 7;
/// Enough to see that the machinery works, both proxies included; all of them take minutes.
const SAMPLE: [&str; 2] = ["shared-database", "no-capacity"];

/// A lab file of a case, with the expectations of it.
struct Case {
    /// The folder's name, with the lab file's if it is not the only one: `shared-database-min4`.
    name: String,
    folder: PathBuf,
    lab: PathBuf,
    expect: Expect,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let wanted = std::env::var("SPIKEPROOF_CASES").unwrap_or_default();
    let names: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let wants = |name: &str| match names.as_slice() {
        [] => SAMPLE.contains(&name),
        ["all"] => true,
        names => names.contains(&name),
    };
    let mut cases = Vec::new();
    for folder in paths(&root).into_iter().filter(|path| path.is_dir()) {
        let case = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for lab in paths(&folder) {
            let file = lab.file_name().unwrap().to_str().unwrap();
            let Some(other) = file
                .strip_prefix("lab")
                .and_then(|rest| rest.strip_suffix(".yaml"))
            else {
                continue;
            };
            let name = format!("{case}{other}");
            if wants(&name) {
                let path = folder.join(format!("expect{other}.yaml"));
                let expect = Expect::read(&path);
                let (folder, lab) = (folder.clone(), lab.clone());
                cases.push(Case {
                    name,
                    folder,
                    lab,
                    expect,
                });
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "no case is called {wanted}");
    cases
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cause_is_taken_for_another() {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for case in cases() {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let seen = run::run(&case.name, &case.folder, &case.lab).await;
            let (verdicts, wrong) = case.expect.check(&seen);
            (case.name, verdicts, wrong, case.expect.about)
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
