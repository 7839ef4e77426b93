//! Reads and writes the duration of each phase of a run, as `report.json` has it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use model::events::Phase;
use model::units::Seconds;

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct PhaseTook {
    phase: Phase,
    took_s: Seconds,
}

pub(super) fn serialize<S: Serializer>(
    took: &[(Phase, Duration)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(took.iter().map(|(phase, took)| PhaseTook {
        phase: *phase,
        took_s: (*took).into(),
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Phase, Duration)>, D::Error> {
    /// Versions 1 to 4 wrote a pair.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Named(PhaseTook),
        Pair(Phase, Duration),
    }
    let pair = |form| match form {
        Form::Named(PhaseTook { phase, took_s }) => (phase, took_s.into()),
        Form::Pair(phase, took) => (phase, took),
    };
    let took = Vec::<Form>::deserialize(deserializer)?;
    Ok(took.into_iter().map(pair).collect())
}
