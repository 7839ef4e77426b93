//! Cases of wrong conclusions: each has a cause that looks like too few instances, or hides it.
//!
//! A folder below `tests/cases` is a case: a lab file, a scenario, and settings of two proxies that
//! do what the lab does not. `expected.md` reasons about what must happen, and `expect.yaml` says
//! it line by line. Both are written by hand from the figures of the case, never from a report.
//! `lab-NAME.yaml` beside `expect-NAME.yaml` is the same case with another group: mostly the remedy
//! that a wrong conclusion would buy.
//!
//! The proxies know nothing of the lab or the judge, and reports are read as JSON: no type of the
//! program is used here. `SPIKEPROOF_CASES`: `all`, or names between commas; without it, a few. A path
//! in place of a name is a folder of one's own, with a case or with several. What its report says is
//! printed where it has no `expect.yaml`.
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

/// Returns the cases that `wanted` asks for, the value of `SPIKEPROOF_CASES`. Of a folder of one's own
/// nothing may be expected.
fn cases(wanted: &str) -> Vec<(Folder, Option<Expect>)> {
    let names: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let wants = |case: &Folder| match names.as_slice() {
        [] => SAMPLE.contains(&case.name.as_str()),
        ["all"] => true,
        names => names.contains(&case.name.as_str()),
    };
    let own = folders::given(wanted);
    let cases = folders::cases().into_iter().filter(wants).chain(own);
    let cases: Vec<(Folder, Option<Expect>)> = cases
        .map(|case| {
            let expect = case.expect.as_deref().map(Expect::read);
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

#[test]
fn a_folder_of_ones_own_is_a_case_or_holds_cases() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("01-shop/lab.yaml", "{}");
    write("01-shop/lab-max8.yaml", "{}");
    write("01-shop/expect-max8.yaml", "about: the same with eight");
    write("02-bank/lab.yaml", "{}");
    write("tools/run.sh", "");
    let found = |wanted: &Path| {
        let found = cases(wanted.to_str().unwrap()).into_iter();
        let found = found.map(|(case, expect)| (case.name, expect.map(|expect| expect.about)));
        found.collect::<Vec<_>>()
    };
    let shop = [
        ("01-shop".to_owned(), None),
        (
            "01-shop-max8".to_owned(),
            Some("the same with eight".to_owned()),
        ),
    ];
    assert_eq!(found(&folder.path().join("01-shop")), shop);
    let all = found(folder.path());
    assert_eq!(all[..2], shop);
    assert_eq!(all[2..], [("02-bank".to_owned(), None)]);
    let both = format!("{},slow-ramp", folder.path().join("02-bank").display());
    let both: Vec<String> = cases(&both)
        .into_iter()
        .map(|(case, _)| case.name)
        .collect();
    assert_eq!(both, ["slow-ramp", "02-bank"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cause_is_taken_for_another() {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let wanted = std::env::var("SPIKEPROOF_CASES").unwrap_or_default();
    for (case, expect) in cases(&wanted) {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let seen = run(&case).await;
            match expect {
                Some(expect) => {
                    let (verdicts, wrong) = expect.check(&seen);
                    (case.name, verdicts, wrong, expect.about)
                }
                None => (case.name, 0, Vec::new(), expect::listing(&seen.report)),
            }
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
