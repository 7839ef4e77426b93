//! Thresholds and scaling expectations, judged on evidence. Pure.
//!
//! Three answers, never two: passed, failed, or inconclusive with the reason. No data is never
//! "passed", and a generator at its own limit is never the target's fault.

use serde::{Deserialize, Serialize};

use crate::evidence::{Reaction, Timeline};
use crate::measure::Results;
use crate::outcome::Verdict;
use crate::plan::Schedule;
use crate::scenario::Scenario;

mod conditions;
mod draining;
mod efficiency;
mod expectations;
mod fresh;
mod maximum;
pub mod preflight;
mod scaling;
mod thresholds;
mod validity;
mod watched;

pub use thresholds::must_abort;
pub use validity::sentence as strain_sentence;

/// One judgement, with the number it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was asked, in the user's words where there are any: `p95 < 500ms`.
    pub asked: String,
    /// Where it was measured: a phase, the run, the group.
    pub scope: String,
    pub verdict: Verdict,
    /// What was measured, with its unit; empty where nothing could be.
    pub measured: String,
    /// Why it is not passed, or what it was computed from.
    pub because: String,
}

impl Judgement {
    /// What was asked and where, said once: `errors < 1% in spike`.
    pub fn question(&self) -> String {
        let said = self.asked.ends_with(&format!("in {}", self.scope))
            || ["run", "group"].contains(&self.scope.as_str());
        if said {
            self.asked.clone()
        } else {
            format!("{} in {}", self.asked, self.scope)
        }
    }

    /// What was measured and what that rests on.
    pub fn answer(&self) -> String {
        if self.measured.is_empty() {
            self.because.clone()
        } else {
            format!("{}; {}", self.measured, self.because)
        }
    }
}

/// What is known about how the run went, apart from the numbers themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Circumstances {
    /// The start instant, on the orchestrator's clock.
    pub started: Option<jiff::Timestamp>,
    /// Why the load ended before its plan did, if it did.
    pub cut_short: Option<String>,
    /// Tasks that were asked for, and those whose every interval arrived.
    pub tasks: u32,
    pub complete_tasks: u32,
    /// What is missing, by name: intervals, ends, tasks.
    pub missing: Vec<String>,
}

/// Everything judged, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub verdict: Verdict,
    /// One sentence: what decided it.
    pub because: String,
    pub validity: Vec<Judgement>,
    pub thresholds: Vec<Judgement>,
    pub scaling: Vec<Judgement>,
    /// What could not be judged and nobody asked for, and what takes a load of one's own to judge;
    /// it decides nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<Judgement>,
    pub reaction: Option<Reaction>,
}

impl Judged {
    /// What new instances that took requests did worse than the others, if so it was judged.
    pub fn fresh_failed(&self) -> Option<&str> {
        let served = self
            .reaction
            .as_ref()?
            .launched
            .iter()
            .any(|one| one.healthy.is_some());
        let failed = |one: &&Judgement| one.asked == fresh::ASKED && one.verdict == Verdict::Failed;
        self.scaling
            .iter()
            .find(failed)
            .filter(|_| served)
            .map(|one| one.because.as_str())
    }
}

/// Judges a run. `timeline` is there when a group was watched.
pub fn judge(
    scenario: &Scenario,
    results: &Results,
    timeline: Option<&Timeline>,
    circumstances: &Circumstances,
) -> Judged {
    let schedule = Schedule::new(scenario);
    let validity = validity::judge(scenario, results, timeline, circumstances);
    let strained = validity.iter().any(|judgement| {
        judgement.asked == validity::STRAIN && judgement.verdict != Verdict::Passed
    });
    let thresholds = thresholds::judge(scenario, results, &schedule, strained);
    let of = |timeline| scaling::judge(scenario, &schedule, results, timeline, circumstances);
    let watched = timeline
        .map(of)
        .map(|found| (found.judged, found.not_judged, Some(found.reaction)));
    let (scaling, not_judged, reaction) = watched.unwrap_or_default();
    let (verdict, because) = conclude(&[&validity, &thresholds, &scaling]);
    Judged {
        verdict,
        because,
        validity,
        thresholds,
        scaling,
        not_judged,
        reaction,
    }
}

/// Judges what a group did under a load that is not ours: only the group is known.
pub fn judge_watched(expected: &Scenario, timeline: &Timeline) -> Judged {
    let watched::Watched {
        scaling,
        not_judged,
        reaction,
    } = watched::judge(expected, timeline);
    let (verdict, mut because) = conclude(&[&scaling]);
    if !not_judged.is_empty() {
        let count = not_judged.len();
        because += &format!(
            "; {count} expectations were not judged: {}",
            watched::NOT_OURS
        );
    }
    let (validity, thresholds) = (Vec::new(), Vec::new());
    Judged {
        verdict,
        because,
        validity,
        thresholds,
        scaling,
        not_judged,
        reaction: Some(reaction),
    }
}

/// The worst of all, and what decided it.
fn conclude(groups: &[&[Judgement]]) -> (Verdict, String) {
    let all: Vec<&Judgement> = groups.iter().flat_map(|group| group.iter()).collect();
    let worst = all
        .iter()
        .map(|judgement| judgement.verdict)
        .max()
        .unwrap_or(Verdict::Inconclusive);
    let deciding: Vec<&&Judgement> = all
        .iter()
        .filter(|judgement| judgement.verdict == worst)
        .collect();
    let because = match (worst, deciding.first()) {
        (_, None) => "nothing was judged".to_owned(),
        (Verdict::Passed, _) => format!("all {} judgements hold", all.len()),
        (_, Some(first)) => {
            let more = match deciding.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            format!("{}: {}{more}", first.question(), first.answer())
        }
    };
    (worst, because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::scenario;

    #[test]
    fn the_worst_judgement_decides_and_is_named() {
        let judgement = |asked: &str, verdict| Judgement {
            asked: asked.to_owned(),
            scope: "spike".to_owned(),
            verdict,
            measured: "p95 = 900ms".to_owned(),
            because: "the limit is < 500ms".to_owned(),
        };
        let good = [judgement("errors < 1%", Verdict::Passed)];
        let bad = [
            judgement("p95 < 500ms", Verdict::Failed),
            judgement("p50 < 5ms", Verdict::Failed),
        ];
        let unclear = [judgement("p99 < 1s", Verdict::Inconclusive)];
        assert_eq!(conclude(&[&good]).0, Verdict::Passed);
        assert_eq!(conclude(&[&good, &unclear]).0, Verdict::Inconclusive);
        let (verdict, because) = conclude(&[&good, &unclear, &bad]);
        assert_eq!(verdict, Verdict::Failed);
        assert_eq!(
            because,
            "p95 < 500ms in spike: p95 = 900ms; the limit is < 500ms (and 1 more)"
        );
        assert_eq!(conclude(&[]).0, Verdict::Inconclusive);
    }

    #[test]
    fn a_run_without_results_is_inconclusive_whatever_was_asked() {
        let judged = judge(
            &scenario(),
            &Results::default(),
            None,
            &Circumstances::default(),
        );
        assert_eq!(judged.verdict, Verdict::Inconclusive);
    }
}
