//! What was judged, as `report.json` has it: the judge's findings with their sentences.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::verdict::{Expectation, Measured, Reason, Warning};
use evidence::Reaction;
use model::outcome::Verdict;

/// One judgement, with the number it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// Its `id`, and the limits that were asked for.
    #[serde(flatten)]
    pub expectation: Expectation,
    /// What was asked, in the user's words where there are any: `p95 < 500ms`.
    pub asked: String,
    /// Where it was measured: a phase, the run, the group.
    pub scope: String,
    /// The verdict on this expectation.
    pub verdict: Verdict,
    /// What was measured, with its unit; empty where nothing could be.
    pub measured: String,
    /// Why it is not passed, or what it was computed from.
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

/// Nothing for an id that this version does not know: the sentence beside it says the same.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl Judgement {
    /// What was asked and where, said once: `errors < 1% in spike`.
    pub fn question(&self) -> String {
        let is_plain = !matches!(self.expectation, Expectation::Threshold { .. });
        if is_plain || self.scope == "run" || self.asked.ends_with(&format!("in {}", self.scope)) {
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

/// A reason for doubt, with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedWarning {
    /// The warning, by its id with its figures.
    #[serde(flatten)]
    pub warning: Warning,
    /// The warning in words.
    pub text: String,
}

/// Everything judged, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The verdict of the run.
    pub verdict: Verdict,
    /// One sentence: what decided it.
    pub because: String,
    /// Whether the figures are the target's.
    pub validity: Vec<Judgement>,
    /// The scenario's thresholds.
    pub thresholds: Vec<Judgement>,
    /// The scaling expectations; empty where no group was watched.
    pub scaling: Vec<Judgement>,
    /// Could not be judged and nobody asked for it, or takes a load of one's own to judge; decides
    /// nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<Judgement>,
    /// The moments of scaling; `null` where no group was watched.
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
        self.scaling
            .iter()
            .find(|judgement| {
                judgement.expectation == Expectation::FreshInstancesServe
                    && judgement.verdict == Verdict::Failed
            })
            .filter(|_| served)
            .map(|judgement| judgement.because.as_str())
    }
}
