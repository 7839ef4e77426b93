//! Judgements as `report.json` has them: the judge's findings with their sentences.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::verdict::{Expectation, LeavingReason, Measured, Reason, ShortDraining, Warning};
use evidence::{Hypothesis, Reaction};
use model::outcome::Verdict;

/// One judgement, with the figures behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The `id` of the expectation, and the limits that were asked for.
    #[serde(flatten)]
    pub expectation: Expectation,
    /// The expectation in words, the user's own if there are any: `p95 < 500ms`.
    pub asked: String,
    /// The part of the run that was judged: the name of a phase, `run`, or `group`.
    pub scope: String,
    /// The verdict on this expectation.
    pub verdict: Verdict,
    /// The measured figures in words, with their units; empty where nothing could be measured.
    pub measured: String,
    /// The reason in words: why the expectation is not passed, or the basis of the judgement.
    pub because: String,
    /// `measured` as figures. Not in reports of versions 1 to 4.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub figures: Option<Measured>,
    /// `because` as figures. Not in reports of versions 1 to 4.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<Reason>,
}

/// Returns `None` for an id that this version does not know: the sentence beside it says the same.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl Judgement {
    /// Returns the expectation and its scope, without saying the scope twice: `errors < 1% in
    /// spike`.
    pub fn question(&self) -> String {
        let is_plain = !matches!(self.expectation, Expectation::Threshold { .. });
        if is_plain || self.scope == "run" || self.asked.ends_with(&format!("in {}", self.scope)) {
            self.asked.clone()
        } else {
            format!("{} in {}", self.asked, self.scope)
        }
    }

    /// Returns the measured figures and the reason, as one sentence.
    pub fn answer(&self) -> String {
        if self.measured.is_empty() {
            self.because.clone()
        } else {
            format!("{}; {}", self.measured, self.because)
        }
    }
}

/// A reason for doubt, with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedWarning {
    /// The warning, by its id with its figures.
    #[serde(flatten)]
    pub warning: Warning,
    /// The warning in words.
    pub text: String,
}

/// All judgements of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The verdict of the run.
    pub verdict: Verdict,
    /// The judgement that decided the verdict, or that all hold, in one sentence.
    pub because: String,
    /// Judgements on the figures themselves: whether they describe the target.
    pub validity: Vec<Judgement>,
    /// The scenario's thresholds.
    pub thresholds: Vec<Judgement>,
    /// The scaling expectations; empty where no group was watched.
    pub scaling: Vec<Judgement>,
    /// Expectations that the scenario does not ask for and the run could not judge, or that need
    /// load sent by Spikeproof. They do not count for the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<Judgement>,
    /// Reasons for the seconds that missed a limit; empty where none did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hypotheses: Vec<Hypothesis>,
    /// The moments of scaling; `null` where no group was watched.
    pub reaction: Option<Reaction>,
}

impl Judged {
    /// Returns both times if a target group drains for less time than the longest request takes.
    pub fn short_draining(&self) -> Option<ShortDraining> {
        let reasons = self.scaling.iter().filter_map(|one| one.reason.as_ref());
        let mut found = reasons.filter_map(|reason| match reason {
            Reason::Leaving(
                LeavingReason::NoneDropped { short, .. }
                | LeavingReason::DroppedByHeader { short }
                | LeavingReason::DroppedInferred { short },
            ) => *short,
            _ => None,
        });
        found.next()
    }

    /// Returns the reason why new instances that took requests are judged worse than the others;
    /// `None` if they are not.
    pub fn fresh_failed(&self) -> Option<&str> {
        let served = self
            .reaction
            .as_ref()?
            .launched
            .iter()
            .any(|one| one.healthy.is_some());
        self.scaling
            .iter()
            .find(|judgement| {
                judgement.expectation == Expectation::FreshInstancesServe
                    && judgement.verdict == Verdict::Failed
            })
            .filter(|_| served)
            .map(|judgement| judgement.because.as_str())
    }

    /// Returns true if new instances are judged no worse than the others.
    pub fn fresh_passed(&self) -> bool {
        self.scaling.iter().any(|judgement| {
            judgement.expectation == Expectation::FreshInstancesServe
                && judgement.verdict == Verdict::Passed
        })
    }
}
