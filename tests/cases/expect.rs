//! The expectations of a case, one key for each line of its reasoning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Seen;
use super::said::{self, Standing};

/// `expect.yaml` of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The case in a few words.
    pub(crate) about: String,
    /// The verdict of the run, but for the judgement on its generators: this machine has other work
    /// to do.
    #[serde(default)]
    overall: Option<Wanted>,
    /// By the id of an expectation: its verdict. After the id stands the text of a threshold, or the
    /// phase: `errors-by-default in spike`.
    #[serde(default)]
    verdicts: BTreeMap<String, Wanted>,
    /// By the id of an expectation: a text that its answer must contain.
    #[serde(default)]
    answers: BTreeMap<String, String>,
    /// By the id of a hypothesis: its standing. One that is not listed does not hold.
    #[serde(default)]
    hypotheses: BTreeMap<String, Standing>,
    /// `nothing` that costs money, `something`, or the kind of the recommended change.
    #[serde(default)]
    recommends: Option<String>,
    /// True where no policy is the remedy, so that no change may be recommended, be it cheaper.
    /// `tests/advice.rs` reads it too.
    #[serde(default)]
    no_change: bool,
    #[serde(default)]
    capacity: Option<Capacity>,
    /// Texts that the report must contain; `{sick}` is each instance that was sick.
    #[serde(default)]
    texts: Vec<String>,
    /// The number of instances that the proxy made sick: the report must name each of them by its
    /// errors.
    #[serde(default)]
    sick: Option<usize>,
    /// Texts that the report must not contain.
    #[serde(default)]
    never: Vec<String>,
}

/// A verdict, or a verdict that would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wanted {
    Passed,
    Failed,
    Inconclusive,
    NotPassed,
    NotFailed,
}

impl Wanted {
    fn fits(self, verdict: &str) -> bool {
        match self {
            Self::Passed => verdict == "passed",
            Self::Failed => verdict == "failed",
            Self::Inconclusive => verdict == "inconclusive",
            Self::NotPassed => verdict != "passed",
            Self::NotFailed => verdict != "failed",
        }
    }
}

/// Bounds of the capacity of one instance, in requests per second. A report that says nothing of it
/// is within all bounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    /// An instance was seen to carry this much.
    #[serde(default)]
    at_least: Option<f64>,
    /// An instance was seen not to carry more.
    #[serde(default)]
    at_most: Option<f64>,
    /// The highest confidence that the run can give.
    #[serde(default)]
    confidence: Option<String>,
}

/// One judgement of the report.
struct Judged<'a> {
    id: &'a str,
    /// The text of a threshold, or the scope with `in` before it.
    detail: String,
    verdict: &'a str,
    answer: String,
}

impl Expect {
    /// Reads the expectations of a case.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Compares a report with the expectations: the number of those, and a line for each that it
    /// does not meet.
    pub(crate) fn check(&self, seen: &Seen) -> (usize, Vec<String>) {
        let report = &seen.report;
        let mut checked = Checked::default();
        self.check_verdicts(report, &mut checked);
        for (id, standing) in &self.hypotheses {
            checked.verdict(standing.fits(report, id), || {
                format!("{id} is not {standing:?}: {}", said::hypotheses(report))
            });
        }
        let unexpected = said::unexpected(report, &self.hypotheses);
        checked.verdict(unexpected.is_empty(), || {
            format!("holds, and is not listed: {}", unexpected.join(", "))
        });
        let no_change = self.no_change.then_some("no-change");
        if let Some(expected) = no_change.or(self.recommends.as_deref()) {
            checked.verdict(said::recommends(report, expected), || {
                format!(
                    "{expected} is not what is recommended: {}",
                    said::recommendation(report)
                )
            });
        }
        if let Some(bounds) = &self.capacity {
            let capacity = &report["advice"]["capacity"];
            checked.verdict(bounds.fit(capacity), || {
                format!("the capacity is not within {bounds:?}: {capacity}")
            });
        }
        let all = report.to_string();
        if let Some(number) = self.sick {
            let named = named_sick(report);
            let sick: BTreeSet<&str> = seen.sick.iter().map(String::as_str).collect();
            checked.verdict(sick.len() == number && sick == named, || {
                format!("{number} should be sick, {sick:?} were, and {named:?} are named")
            });
        }
        for text in &self.texts {
            let said = |text: &str| all.contains(text);
            let is_said = match text.contains("{sick}") {
                true => {
                    let mut sick = seen.sick.iter();
                    !seen.sick.is_empty() && sick.all(|id| said(&text.replace("{sick}", id)))
                }
                false => said(text),
            };
            checked.verdict(is_said, || {
                format!("`{text}` is not said; sick were {:?}", seen.sick)
            });
        }
        for text in &self.never {
            checked.verdict(!all.contains(text), || format!("`{text}` is said"));
        }
        if let Some(kept) = seen.kept.as_ref().filter(|_| !checked.wrong.is_empty()) {
            checked.wrong.push(format!("see {}", kept.display()));
        }
        (checked.verdicts, checked.wrong)
    }

    fn check_verdicts(&self, report: &Value, checked: &mut Checked) {
        let judged = judgements(report);
        let listing = || lines(&judged);
        for (key, wanted) in &self.verdicts {
            let (id, detail) = key.split_once(' ').unwrap_or((key, ""));
            let found = judged
                .iter()
                .find(|one| one.id == id && (detail.is_empty() || one.detail == detail));
            checked.verdict(found.is_some_and(|one| wanted.fits(one.verdict)), || {
                format!("{key} is not {wanted:?}:{}", listing())
            });
        }
        for (id, text) in &self.answers {
            let found = judged.iter().find(|one| one.id == id);
            checked.verdict(found.is_some_and(|one| one.answer.contains(text)), || {
                format!("the answer of {id} has no `{text}`:{}", listing())
            });
        }
        if let Some(wanted) = self.overall {
            let counted = judged
                .iter()
                .filter(|one| one.id != "generator-not-the-limit");
            let rank = |one: &Judged<'_>| {
                ["passed", "inconclusive", "failed"]
                    .iter()
                    .position(|word| *word == one.verdict)
            };
            let worst = counted.max_by_key(|one| rank(one)).unwrap();
            checked.verdict(wanted.fits(worst.verdict), || {
                format!("the run is not {wanted:?}:{}", listing())
            });
        }
    }
}

impl Capacity {
    fn fit(&self, capacity: &Value) -> bool {
        let Some(each) = capacity["at_limit"].as_f64() else {
            return true;
        };
        let rank = |word: &str| {
            ["low", "medium", "high"]
                .iter()
                .position(|one| *one == word)
        };
        let confidence = capacity["confidence"].as_str().unwrap_or_default();
        // A load that no second missed is a lower bound, and contradicts no higher one.
        let is_open = capacity["between"][1].is_null();
        self.at_least.is_none_or(|least| each >= least || is_open)
            && self.at_most.is_none_or(|most| each <= most)
            && self
                .confidence
                .as_deref()
                .is_none_or(|most| rank(confidence) <= rank(most))
    }
}

/// Returns the instances that hypotheses which hold call sick by their errors.
fn named_sick(report: &Value) -> BTreeSet<&str> {
    let all = report["judged"]["hypotheses"].as_array();
    all.into_iter()
        .flatten()
        .filter(|one| one["id"] == "sick-instance" && one["standing"] == "holds")
        .filter_map(|one| one["for"].as_array())
        .flatten()
        .filter(|clue| clue["id"] == "one-failed")
        .filter_map(|clue| clue["instance"].as_str())
        .collect()
}

/// Returns all that a report says, for a reader who expects nothing of it.
pub(crate) fn listing(report: &Value) -> String {
    let hypotheses = said::hypotheses(report);
    let recommendation = said::recommendation(report);
    let judged = lines(&judgements(report));
    format!("{judged}\n    hypotheses: {hypotheses}\n    advice: {recommendation}")
}

/// Returns a line for each judgement.
fn lines(judged: &[Judged<'_>]) -> String {
    let line = |one: &Judged<'_>| {
        format!(
            "\n    {} {}: {} ({})",
            one.id, one.detail, one.verdict, one.answer
        )
    };
    judged.iter().map(line).collect()
}

/// Returns all judgements that count for the verdict.
fn judgements(report: &Value) -> Vec<Judged<'_>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ["validity", "thresholds", "scaling"]
        .iter()
        .filter_map(|list| report["judged"][*list].as_array())
        .flatten()
        .map(|one| Judged {
            id: one["id"].as_str().unwrap_or_default(),
            detail: match one["text"].as_str() {
                Some(threshold) => threshold.to_owned(),
                None => format!("in {}", text(&one["scope"])),
            },
            verdict: one["verdict"].as_str().unwrap_or_default(),
            answer: format!("{}; {}", text(&one["measured"]), text(&one["because"])),
        })
        .collect()
}

/// The number of expectations that were looked at, and those that are not met.
#[derive(Default)]
struct Checked {
    verdicts: usize,
    wrong: Vec<String>,
}

impl Checked {
    fn verdict(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.verdicts += 1;
        if !holds {
            self.wrong.push(what());
        }
    }
}
