//! `docs/robustness.md`: the table of cases, out of the figures that the tests hold reports to.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use spikeproof::measure::Tally;
use spikeproof::report::{Row, words};

use super::step::{Case, Expected, Step};

const BEGIN: &str = "<!-- table: written by tests/wild with UPDATE_DOCS=1 -->\n";
const END: &str = "<!-- end of table -->\n";

/// Compares the table of the page with the cases. With `UPDATE_DOCS=1` it is written instead.
pub(crate) fn is_up_to_date(cases: &[Case]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/robustness.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, foot) = rest.split_once(END).unwrap();
    let wanted = format!("{head}{BEGIN}\n{}\n{END}{foot}", table(cases));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        written, wanted,
        "docs/robustness.md is behind the cases: run this test with UPDATE_DOCS=1"
    );
}

fn table(cases: &[Case]) -> String {
    let mut out = "| case | odd in it | counted | in the report |\n|---|---|---|---|\n".to_owned();
    for case in cases {
        for step in case.steps.iter().filter(|step| !step.odd.is_empty()) {
            writeln!(
                out,
                "| [{0}](../tests/wild/{0}) | {1} | {2} | {3} |",
                case.folder,
                step.odd,
                counted(step),
                reads(step)
            )
            .unwrap();
        }
    }
    out
}

/// The fields of the step's `tally` that are not zero, and the `id` of its reason.
fn counted(step: &Step) -> String {
    let tally = match &step.expected {
        Expected::Counts(tally) => *tally,
        Expected::Answered(ok) => return format!("{ok} `ok`"),
    };
    let Value::Object(fields) = serde_json::to_value(tally).unwrap() else {
        panic!("a tally is an object");
    };
    let counts = fields
        .iter()
        .filter(|(_, count)| **count != json!(0))
        .map(|(field, count)| format!("{count} `{field}`"));
    let reason = step.failure.iter().map(|failure| {
        let failure = serde_json::to_value(failure).unwrap();
        format!("`{}`", failure["id"].as_str().unwrap())
    });
    counts.chain(reason).collect::<Vec<_>>().join(", ")
}

/// The words of the report: status codes, and the reason, or the class where that says enough.
fn reads(step: &Step) -> String {
    let tally = &match &step.expected {
        Expected::Counts(tally) => *tally,
        Expected::Answered(ok) => Tally {
            ok: *ok,
            ..Tally::default()
        },
    };
    let row: Row = serde_json::from_value(json!({
        "name": step.name,
        "tally": tally,
        "statuses": step.statuses(tally),
        "per_second": 0.0,
    }))
    .unwrap();
    let mut parts = vec![row.statuses_sentence()];
    match &step.failure {
        Some(failure) => parts.push(words::failure(failure)),
        None => parts.extend(tally.classes().iter().map(|(class, _)| (*class).to_owned())),
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}
