//! Readings of `report.json` as its readers have it, without the program's own types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The generators share this machine with other work, so nothing is expected of them.
const OF_THIS_MACHINE: &str = "strained-generator";

/// The standing that a report must give to a hypothesis. One that is not listed does not hold: see
/// `unexpected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// The run confirms it.
    Holds,
    /// The run leaves it open.
    Open,
    /// The run speaks against it, or gives no reason to think of it.
    Excluded,
    /// Excluded or open: in any case it must not be said to hold.
    NotHolds,
    /// Holds or open: it is true, and the run need not be able to show it, such as with a generator that
    /// is late as well, on a busy machine.
    Possible,
    /// True of some seconds, or in some runs of the group: nothing of it would be wrong.
    Any,
}

impl Standing {
    /// True if the report gives this standing to the hypothesis with this id.
    pub(crate) fn fits(self, report: &Value, id: &str) -> bool {
        let listed = standing(report, id);
        match self {
            Self::Holds => listed == Some("holds"),
            Self::Open => listed == Some("open"),
            Self::Excluded => listed.is_none_or(|listed| listed == "excluded"),
            Self::NotHolds => listed != Some("holds"),
            Self::Possible => listed == Some("holds") || listed == Some("open"),
            Self::Any => true,
        }
    }
}

/// Returns the standing of a hypothesis; `None` if it is not listed.
fn standing<'a>(report: &'a Value, id: &str) -> Option<&'a str> {
    let all = report["judged"]["hypotheses"].as_array()?;
    all.iter().find(|one| one["id"] == id)?["standing"].as_str()
}

/// Returns the hypotheses that hold in a report, and that nobody listed.
pub(crate) fn unexpected(report: &Value, listed: &BTreeMap<String, Standing>) -> Vec<String> {
    let all = report["judged"]["hypotheses"].as_array();
    let ids = all
        .into_iter()
        .flatten()
        .filter_map(|one| one["id"].as_str());
    ids.filter(|id| *id != OF_THIS_MACHINE && !listed.contains_key(*id))
        .filter(|id| Standing::Holds.fits(report, id))
        .map(str::to_owned)
        .collect()
}

/// Returns the ids that are listed, each with its standing, for a message.
pub(crate) fn hypotheses(report: &Value) -> String {
    let all = report["judged"]["hypotheses"].as_array();
    let words = |one: &Value| format!("{} {}", one["id"], one["standing"]).replace('"', "");
    let listed: Vec<String> = all.into_iter().flatten().map(words).collect();
    if listed.is_empty() {
        "none".to_owned()
    } else {
        listed.join(", ")
    }
}

/// True if the report recommends as expected: `nothing` is a recommendation of nothing that costs
/// money, `no-change` one of no change at all, `something` any change; all other words are the kind
/// of the recommended change.
pub(crate) fn recommends(report: &Value, expected: &str) -> bool {
    let advice = &report["advice"];
    let empty = Vec::new();
    let rows = advice["candidates"].as_array().unwrap_or(&empty);
    let kind = |row: &Value| row["change"]["kind"].as_str().unwrap_or("").to_owned();
    let minutes = |row: &Value| row["instance_minutes"].as_f64().unwrap_or(0.0);
    let ran = rows.iter().find(|row| kind(row) == "nothing");
    let best = rows
        .iter()
        .find(|row| row["recommended"] == true && kind(row) != "nothing");
    match (expected, best) {
        ("nothing" | "no-change", None) => true,
        ("no-change", Some(_)) => false,
        ("nothing", Some(best)) => ran.is_some_and(|ran| minutes(best) <= minutes(ran)),
        ("something", best) => best.is_some(),
        (expected, best) => best.is_some_and(|best| kind(best) == expected),
    }
}

/// Returns the recommended change with its instance-minutes, beside those of the policy that ran.
pub(crate) fn recommendation(report: &Value) -> String {
    let rows = report["advice"]["candidates"].as_array();
    let minutes = |row: &Value| row["instance_minutes"].as_f64().unwrap_or(0.0);
    let ran = rows.and_then(|rows| rows.first()).map_or(0.0, minutes);
    let best = rows
        .into_iter()
        .flatten()
        .find(|row| row["recommended"] == true);
    best.map_or_else(
        || format!("no row (of {}) is recommended", rows.map_or(0, Vec::len)),
        |best| {
            format!(
                "{} with {:.2} instance-minutes, where the policy that ran has {ran:.2}",
                best["name"],
                minutes(best)
            )
        },
    )
}
