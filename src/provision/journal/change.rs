//! A change that a run makes to the target's group for a time, with all that undoes it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Record;
use super::names::{ResourceKind, Thing};

/// A setting as AWS returned it and takes it: names such as
/// `TargetTrackingConfiguration.TargetValue`, each with its text. No field is left out, known or not.
pub type Parameters = BTreeMap<String, String>;

/// The setting of a group that is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Setting {
    /// A scaling policy.
    Policy {
        /// The policy's name.
        name: String,
    },
    /// Minimum and maximum.
    Sizes,
}

/// One changed setting of the target's group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    /// The Auto Scaling group.
    pub group: String,
    /// The setting.
    pub setting: Setting,
    /// The whole setting before the run, as AWS returned it.
    pub before: Parameters,
    /// The whole setting during the run.
    pub during: Parameters,
}

/// The state of a changed setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was before the run: nothing is to be done.
    AsBefore,
    /// It is as the run put it: it must be put back.
    AsPut,
    /// Somebody else has changed it: it is theirs.
    Other,
}

impl GroupChange {
    /// Returns the change as a thing that may be left.
    pub fn thing(&self) -> Thing {
        let setting = match &self.setting {
            Setting::Policy { name } => format!("policy {name}"),
            Setting::Sizes => "minimum and maximum".to_owned(),
        };
        Thing {
            kind: ResourceKind::GroupSetting,
            name: format!("{}, {setting}", self.group),
        }
    }

    /// Compares the present setting with the two that the run knows.
    pub fn standing(&self, now: &Parameters) -> Standing {
        match () {
            () if is_same(now, &self.before) => Standing::AsBefore,
            () if is_same(now, &self.during) => Standing::AsPut,
            () => Standing::Other,
        }
    }

    /// Returns true if every field that the run changes has the run's value.
    pub fn holds(&self, now: &Parameters) -> bool {
        let changed = self
            .during
            .iter()
            .filter(|(name, value)| !is_equal(self.before.get(*name), Some(value)));
        changed
            .into_iter()
            .all(|(name, value)| is_equal(now.get(name), Some(value)))
    }

    /// Returns the fields in which the present setting differs from the one before the run.
    pub fn differences(&self, now: &Parameters) -> Vec<String> {
        let names: BTreeSet<&String> = self.before.keys().chain(now.keys()).collect();
        let said = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
        names
            .into_iter()
            .filter(|name| !is_equal(now.get(*name), self.before.get(*name)))
            .map(|name| {
                format!(
                    "{name} is {}, was {} before the run and {} in it",
                    said(now.get(name)),
                    said(self.before.get(name)),
                    said(self.during.get(name))
                )
            })
            .collect()
    }
}

fn is_same(one: &Parameters, other: &Parameters) -> bool {
    let names = one.keys().chain(other.keys());
    names
        .into_iter()
        .all(|name| is_equal(one.get(name), other.get(name)))
}

/// AWS answers `40.0` where it was given `40`.
fn is_equal(one: Option<&String>, other: Option<&String>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one == other;
    };
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(first), Ok(second)) => (first - second).abs() < f64::EPSILON * first.abs().max(1.0),
        _ => one == other,
    }
}

/// Returns the changes of a journal, the last of each setting.
pub fn changes(records: &[Record]) -> Vec<GroupChange> {
    let mut found: Vec<GroupChange> = Vec::new();
    for record in records {
        if let Record::IntentChange { change } = record {
            found.retain(|known| known.thing() != change.thing());
            found.push(change.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "TargetTrackingConfiguration.TargetValue";

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn change() -> GroupChange {
        GroupChange {
            group: "web".to_owned(),
            setting: Setting::Policy {
                name: "cpu".to_owned(),
            },
            before: parameters(&[("PolicyName", "cpu"), (TARGET, "60.0"), ("Enabled", "true")]),
            during: parameters(&[("PolicyName", "cpu"), (TARGET, "40"), ("Enabled", "true")]),
        }
    }

    #[test]
    fn only_a_setting_that_is_wholly_the_run_s_is_to_be_put_back() {
        for (now, expected) in [
            (
                vec![("PolicyName", "cpu"), (TARGET, "60"), ("Enabled", "true")],
                Standing::AsBefore,
            ),
            (
                vec![("PolicyName", "cpu"), (TARGET, "40.0"), ("Enabled", "true")],
                Standing::AsPut,
            ),
            (
                vec![("PolicyName", "cpu"), (TARGET, "55.0"), ("Enabled", "true")],
                Standing::Other,
            ),
            // The run's target, and another field changed by somebody else.
            (
                vec![
                    ("PolicyName", "cpu"),
                    (TARGET, "40.0"),
                    ("Enabled", "false"),
                ],
                Standing::Other,
            ),
            (
                vec![("PolicyName", "cpu"), (TARGET, "40.0")],
                Standing::Other,
            ),
            (
                vec![
                    ("PolicyName", "cpu"),
                    (TARGET, "40"),
                    ("Enabled", "true"),
                    ("Cooldown", "9"),
                ],
                Standing::Other,
            ),
        ] {
            assert_eq!(change().standing(&parameters(&now)), expected, "{now:?}");
        }
    }

    #[test]
    fn what_differs_is_told_with_all_three_values() {
        let now = parameters(&[("PolicyName", "cpu"), (TARGET, "55.0"), ("Enabled", "true")]);
        assert_eq!(
            change().differences(&now),
            [
                "TargetTrackingConfiguration.TargetValue is 55.0, was 60.0 before the run and 40 in it"
            ]
        );
        assert!(!change().holds(&now));
        let normalised = parameters(&[("PolicyName", "cpu"), (TARGET, "40.0"), ("More", "1")]);
        assert!(change().holds(&normalised));
    }

    #[test]
    fn the_last_change_of_a_setting_counts() {
        let mut again = change();
        again.during.insert("More".to_owned(), "1".to_owned());
        let record = |change: &GroupChange| Record::IntentChange {
            change: change.clone(),
        };
        let records = [record(&change()), Record::IntentApply, record(&again)];
        assert_eq!(changes(&records), [again]);
    }
}
