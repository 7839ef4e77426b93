//! The sentences of verdicts and warnings, made from the types of `evidence` and `verdict`.

mod advice;
mod capacity;
mod failures;
mod figures;
mod hypotheses;
mod instances;
mod links;
mod reaction;
mod scale_in;
mod scale_out;
mod size;
mod thresholds;
mod trial;
mod validity;
mod warnings;

pub use advice::{advice, agreement, answer, chosen, question, what_if};
pub use capacity::{capacity, reason as capacity_reason};
pub use failures::failure;
pub use figures::measured;
pub use hypotheses::{clueless, clues, standing, suspect, telling};
pub use links::link;
pub use reaction::{reaction, source};
pub use trial::{put_back, stays, trial};
pub use validity::{ended_early, reached_limit, stretch};
pub use warnings::{late_metric, sight, waiting_for, warning, warnings};

use super::{Judged, Judgement};
use crate::verdict::{self, Conclusion, Expectation, Finding, Findings, Reason, Scope};
use model::outcome::Verdict;
use model::units;

/// Adds the sentences to the findings of a run.
pub fn judged(findings: Findings) -> Judged {
    let Findings {
        validity,
        thresholds,
        scaling,
        not_judged,
        hypotheses,
        reaction,
        not_watched,
        others: _,
    } = findings;
    let [validity, thresholds, scaling, not_judged] = [validity, thresholds, scaling, not_judged]
        .map(|all| all.into_iter().map(judgement).collect::<Vec<Judgement>>());
    let (verdict, mut because) = conclude(&[&validity, &thresholds, &scaling]);
    if let Some(subject) = not_watched {
        because += &format!("; scaling was not judged: {subject} was not watched");
    }
    Judged {
        verdict,
        because,
        validity,
        thresholds,
        scaling,
        not_judged,
        hypotheses: hypotheses.into_iter().map(hypotheses::hypothesis).collect(),
        reaction: reaction.map(self::reaction),
    }
}

/// Adds the sentences to the findings of a watch, whose load Spikeproof does not send: they are on
/// the group only.
pub fn watched(findings: Findings) -> Judged {
    let mut judged = judged(findings);
    if !judged.not_judged.is_empty() {
        let count = judged.not_judged.len();
        let were = if count == 1 { "was" } else { "were" };
        judged.because += &format!(
            "; {} {were} not judged: {}",
            units::count(count as u64, "expectation"),
            size::NOT_OURS
        );
    }
    judged
}

/// Returns the worst verdict, and the sentence of the judgement that decided it.
fn conclude(groups: &[&[Judgement]]) -> (Verdict, String) {
    let all: Vec<&Judgement> = groups.iter().flat_map(|group| group.iter()).collect();
    let worst = verdict::worst(all.iter().map(|judgement| judgement.verdict));
    let deciding: Vec<&&Judgement> = all
        .iter()
        .filter(|judgement| judgement.verdict == worst)
        .collect();
    let because = match (worst, deciding.first()) {
        (_, None) => "nothing was judged".to_owned(),
        (Verdict::Passed, _) if all.len() == 1 => "the one judgement holds".to_owned(),
        (Verdict::Passed, _) => format!("all {} judgements hold", all.len()),
        (_, Some(first)) => {
            let more = and_more(deciding.len() - 1);
            format!("{}: {}{more}", first.question(), first.answer())
        }
    };
    (worst, because)
}

/// The conclusion from several runs. `question` gives an expectation by its index.
pub fn conclusion<'a>(
    conclusion: Conclusion,
    question: impl Fn(usize) -> &'a str,
    runs: usize,
) -> String {
    match conclusion {
        Conclusion::Failed { index } => {
            format!("{} failed wherever it was judged", question(index))
        }
        Conclusion::Unstable { index, others } => {
            let more = and_more(others);
            let question = question(index);
            format!("{question} passed in some runs and failed in others{more}")
        }
        Conclusion::Unclear { index } => {
            format!("{} could not be told in every run", question(index))
        }
        Conclusion::NothingJudged => "nothing was judged".to_owned(),
        Conclusion::Passed => format!("every judgement holds in all {runs} runs"),
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

/// Adds the sentences to a finding.
pub fn judgement(finding: Finding) -> Judgement {
    Judgement {
        asked: asked(&finding.expectation),
        scope: scope(&finding.scope),
        verdict: finding.verdict,
        measured: measured(&finding.measured),
        because: because(&finding.reason),
        expectation: finding.expectation,
        figures: Some(finding.measured),
        reason: Some(finding.reason),
    }
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Run => "run".to_owned(),
        Scope::Group => "group".to_owned(),
        Scope::Phase(name) => name.clone(),
    }
}

/// Returns the expectation in words, for example `scale-out within 2m`.
pub fn asked(expectation: &Expectation) -> String {
    let fixed = match expectation {
        Expectation::Threshold { text } => return text.clone(),
        Expectation::ErrorsByDefault { limit_share } => {
            return format!("errors <= {}% (default)", figures::percent(*limit_share));
        }
        Expectation::ErrorsOnceServed { limit_share } => {
            return format!(
                "errors <= {}% once new instances serve (default)",
                figures::percent(*limit_share)
            );
        }
        Expectation::ScaleOutInTime { within_s } => return format!("scale-out within {within_s}"),
        Expectation::ScaleInInTime {
            within_s: Some(within),
        } => return format!("scale-in within {within}"),
        Expectation::HoldsWhileScaling {
            p95_s,
            errors_share,
        } => {
            return match (p95_s, errors_share) {
                (Some(p95), Some(errors)) => format!(
                    "p95 < {p95} and errors < {}% while scaling out",
                    figures::percent(*errors)
                ),
                (Some(p95), None) => format!("p95 < {p95} while scaling out"),
                (None, Some(errors)) => {
                    format!("errors < {}% while scaling out", figures::percent(*errors))
                }
                (None, None) => "p95 and errors while scaling out".to_owned(),
            };
        }
        Expectation::UnderProvisioned { share } => {
            return format!(
                "too few instances at most {}% of the time",
                figures::percent(*share)
            );
        }
        Expectation::OverProvisioned { share } => {
            return format!(
                "needless instance-minutes at most {}%",
                figures::percent(*share)
            );
        }
        Expectation::ScaleInInTime { within_s: None } => "scale-in",
        Expectation::ScaledOut => "the group scaled out",
        Expectation::FreshInstancesServe => "fresh instances serve at once",
        Expectation::NothingDropped => "no request dropped while instances leave",
        Expectation::NoEarlyScaleIn => "no instance leaves while the load needs it",
        Expectation::SpikeSurvived => "the group survived the spike",
        Expectation::HoldsAtMaximum => "the target holds at maximum capacity",
        Expectation::NotPinnedAtMaximum => "the group was not pinned at its maximum",
        Expectation::NoFlapping => "no flapping",
        Expectation::Efficiency => "too few instances, needless instance-minutes",
        Expectation::GroupExists => "the group was there",
        Expectation::OnlyPoliciesMovedTheGroup => "only its policies moved the group",
        Expectation::OneClock => "one clock",
        Expectation::GroupWatched => "the group was watched",
        Expectation::LoadSent => "what was asked was sent",
        Expectation::LoadOurs => "the load was ours",
        Expectation::GeneratorNotTheLimit => "the generator was not the limit",
        Expectation::PlanCarriedOut => "the plan was carried out",
        Expectation::AllResultsArrived => "all results arrived",
        Expectation::TargetAnswered => "the target answered",
        Expectation::EveryRequestSent => "every request was sent",
    };
    fixed.to_owned()
}

/// Returns the reason in words: why an expectation is not passed, or the basis of the judgement.
pub fn because(reason: &Reason) -> String {
    match reason {
        Reason::Threshold(reason) => thresholds::threshold(reason),
        Reason::ScaleOut(reason) => scale_out::scale_out(reason),
        Reason::ScaleIn(reason) => scale_in::scale_in(reason),
        Reason::NewInstance(reason) => instances::new_instance(reason),
        Reason::Leaving(reason) => instances::leaving(reason),
        Reason::Scaling(reason) => size::scaling(reason),
        Reason::Survival(reason) => size::survival(reason),
        Reason::Size(reason) => size::size(reason),
        Reason::Validity(reason) => validity::validity(reason),
        Reason::Doubt(reason) => thresholds::doubt(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{MetricValue, ValidityReason};

    fn finding(text: &str, verdict: Verdict) -> Judgement {
        let mut judgement = judgement(Finding {
            expectation: Expectation::Threshold {
                text: text.to_owned(),
            },
            scope: Scope::Phase("spike".to_owned()),
            verdict,
            measured: MetricValue::Percentile {
                percentile: 95.0,
                value_us: 900_000.0,
            }
            .into(),
            reason: ValidityReason::KeptUp.into(),
        });
        judgement.because = "the limit is < 500ms".to_owned();
        judgement
    }

    #[test]
    fn a_group_that_was_not_watched_is_in_the_headline() {
        let good = || Finding {
            expectation: Expectation::Threshold {
                text: "errors < 1%".to_owned(),
            },
            scope: Scope::Run,
            verdict: Verdict::Passed,
            measured: MetricValue::Percentile {
                percentile: 95.0,
                value_us: 900.0,
            }
            .into(),
            reason: ValidityReason::KeptUp.into(),
        };
        let headline = |not_watched: Option<&str>| {
            let findings = Findings {
                thresholds: vec![good()],
                not_watched: not_watched.map(str::to_owned),
                ..Findings::default()
            };
            let judged = judged(findings);
            assert_eq!(judged.verdict, Verdict::Passed);
            judged.because
        };
        assert_eq!(
            headline(Some("web")),
            "the one judgement holds; scaling was not judged: web was not watched"
        );
        assert_eq!(headline(None), "the one judgement holds");
    }

    #[test]
    fn the_worst_judgement_decides_and_is_named() {
        let good = [finding("errors < 1%", Verdict::Passed)];
        let bad = [
            finding("p95 < 500ms", Verdict::Failed),
            finding("p50 < 5ms", Verdict::Failed),
        ];
        let unclear = [finding("p99 < 1s", Verdict::Inconclusive)];
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
}
