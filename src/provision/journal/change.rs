//! A change that a run makes to the target's group for a time, with all that undoes it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Record;
use super::names::{ResourceKind, Thing};

/// A setting as AWS returned it and takes it: names such as
/// `TargetTrackingConfiguration.TargetValue`, each with its text. No field is left out, known or
/// not.
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
    /// Values before the run that AWS itself changes with the setting.
    #[serde(default, skip_serializing_if = "Aside::is_empty")]
    pub aside: Aside,
}

/// Values of a group that AWS changes by itself when a setting is written. They are told, and not
/// put back: no call takes names of alarms, and to lower the desired capacity ends instances that
/// others may need by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// The desired capacity, beside a minimum or maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// The names of a policy's alarms, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the desired capacity before and now, if both are known and differ.
    pub fn desired_since(&self, now: &Self) -> Option<(u32, u32)> {
        let both = self.desired.zip(now.desired);
        both.filter(|(before, now)| before != now)
    }

    /// Returns the names of the alarms before and now, if both are known and differ.
    pub fn alarms_since(&self, now: &Self) -> Option<(Vec<String>, Vec<String>)> {
        let is_known = !self.alarms.is_empty() && !now.alarms.is_empty();
        (is_known && self.alarms != now.alarms).then(|| (self.alarms.clone(), now.alarms.clone()))
    }

    /// Returns what differs now, in words.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let desired = self
            .desired_since(now)
            .map(|(before, now)| format!("the desired capacity is {now}, and was {before}"));
        let alarms = self.alarms_since(now).map(|(before, now)| {
            format!(
                "its alarms are {}, and were {}: AWS makes them",
                now.join(", "),
                before.join(", ")
            )
        });
        desired.into_iter().chain(alarms).collect()
    }
}

/// The run's note of its changes, in its own bucket: for a reap without its journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeNote {
    /// The settings before and during the run.
    pub changes: Vec<GroupChange>,
    /// All of them were read back as the run put them.
    #[serde(default)]
    pub read_back: bool,
}

/// The state of the fields that a run has changed. Other fields do not count: they are not the
/// run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All of them are as they were before the run: nothing is to be done.
    AsBefore,
    /// One at least has the run's value: it must be put back.
    AsPut,
    /// None has the run's value, and somebody else has changed one: it is theirs.
    Other,
}

impl GroupChange {
    /// Returns the change of a setting from one whole value to another.
    pub fn new(
        group: impl Into<String>,
        setting: Setting,
        before: Parameters,
        during: Parameters,
    ) -> Self {
        Self {
            group: group.into(),
            setting,
            before,
            during,
            aside: Aside::default(),
        }
    }

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

    /// Returns the names of the fields that the run changes.
    pub fn changed(&self) -> BTreeSet<&str> {
        let names = self.before.keys().chain(self.during.keys());
        names
            .filter(|name| !is_equal(self.before.get(*name), self.during.get(*name)))
            .map(String::as_str)
            .collect()
    }

    /// True if the present setting is wholly as it was before the run.
    pub fn is_untouched(&self, now: &Parameters) -> bool {
        let mut names = self.before.keys().chain(now.keys());
        names.all(|name| is_equal(self.before.get(name), now.get(name)))
    }

    /// Compares the present setting with the two that the run knows, field by field.
    pub fn standing(&self, now: &Parameters) -> Standing {
        let is_theirs = |name: &str| !is_equal(now.get(name), self.before.get(name));
        match () {
            () if !self.ours(now).is_empty() => Standing::AsPut,
            () if self.changed().into_iter().any(is_theirs) => Standing::Other,
            () => Standing::AsBefore,
        }
    }

    /// Returns the changed fields that have the run's value.
    fn ours(&self, now: &Parameters) -> BTreeSet<&str> {
        let mut changed = self.changed();
        changed.retain(|name| is_equal(now.get(*name), self.during.get(*name)));
        changed
    }

    /// Returns what must be written to give a changed group its own settings back: the old values
    /// of the fields that still have the run's. A policy is written whole, so all else of it is as
    /// it is now. Of the sizes only these are written.
    pub fn restored(&self, now: &Parameters) -> Parameters {
        let mut restored = match self.setting {
            Setting::Policy { .. } => now.clone(),
            Setting::Sizes => Parameters::new(),
        };
        for name in self.ours(now) {
            match self.before.get(name) {
                Some(value) => drop(restored.insert(name.to_owned(), value.clone())),
                None => drop(restored.remove(name)),
            }
        }
        restored
    }

    /// Returns what must be written to make the change: a whole policy, or only the changed sizes.
    pub fn written(&self) -> Parameters {
        let mut written = self.during.clone();
        if self.setting == Setting::Sizes {
            let changed = self.changed();
            written.retain(|name, _| changed.contains(name.as_str()));
        }
        written
    }

    /// Returns the fields in which the present setting differs from the one before the run. A field
    /// that the run has not changed has two values only.
    pub fn differences(&self, now: &Parameters) -> Vec<String> {
        let names: BTreeSet<&String> = self.before.keys().chain(now.keys()).collect();
        let said = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
        let changed = self.changed();
        names
            .into_iter()
            .filter(|name| !is_equal(now.get(*name), self.before.get(*name)))
            .map(|name| {
                let during = match changed.contains(name.as_str()) {
                    true => format!(" and {} in it", said(self.during.get(name))),
                    false => String::new(),
                };
                format!(
                    "{name} is {}, was {} before the run{during}",
                    said(now.get(name)),
                    said(self.before.get(name)),
                )
            })
            .collect()
    }
}

/// AWS answers `40.0` where it was given `40`.
fn is_equal(one: Option<&String>, other: Option<&String>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one == other;
    };
    // A name may be `nan` or `inf`.
    if one == other {
        return true;
    }
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
        let name = "cpu".to_owned();
        GroupChange::new(
            "web",
            Setting::Policy { name },
            parameters(&[("PolicyName", "cpu"), (TARGET, "60.0"), ("Enabled", "true")]),
            parameters(&[("PolicyName", "cpu"), (TARGET, "40"), ("Enabled", "true")]),
        )
    }

    fn sizes() -> GroupChange {
        GroupChange {
            setting: Setting::Sizes,
            before: parameters(&[("MinSize", "2"), ("MaxSize", "8")]),
            during: parameters(&[("MinSize", "4"), ("MaxSize", "12")]),
            ..change()
        }
    }

    #[test]
    fn the_fields_of_the_run_alone_decide_whether_it_is_to_be_put_back() {
        let policy = |rest: &[(&str, &str)]| {
            let mut now = parameters(&[("PolicyName", "cpu")]);
            now.extend(parameters(rest));
            now
        };
        for (now, expected) in [
            (
                policy(&[(TARGET, "60"), ("Enabled", "true")]),
                Standing::AsBefore,
            ),
            (
                policy(&[(TARGET, "40.0"), ("Enabled", "true")]),
                Standing::AsPut,
            ),
            (
                policy(&[(TARGET, "55.0"), ("Enabled", "true")]),
                Standing::Other,
            ),
            // The run's target, and another field changed or added by somebody else.
            (
                policy(&[(TARGET, "40.0"), ("Enabled", "false")]),
                Standing::AsPut,
            ),
            (policy(&[(TARGET, "40.0")]), Standing::AsPut),
            (
                policy(&[(TARGET, "40"), ("Cooldown", "9")]),
                Standing::AsPut,
            ),
            (
                policy(&[(TARGET, "60"), ("Enabled", "false")]),
                Standing::AsBefore,
            ),
            (policy(&[("Enabled", "true")]), Standing::Other),
        ] {
            assert_eq!(change().standing(&now), expected, "{now:?}");
        }
    }

    #[test]
    fn only_the_run_s_own_fields_are_put_back() {
        let now = parameters(&[
            ("PolicyName", "cpu"),
            (TARGET, "40.0"),
            ("Enabled", "false"),
        ]);
        let mut expected = now.clone();
        expected.insert(TARGET.to_owned(), "60.0".to_owned());
        assert_eq!(change().restored(&now), expected, "Enabled is theirs");
        assert_eq!(change().written(), change().during);

        // One of the two sizes is theirs by now; only the other one is written.
        for (now, standing, restored) in [
            (
                ("4", "12"),
                Standing::AsPut,
                vec![("MinSize", "2"), ("MaxSize", "8")],
            ),
            (("4", "20"), Standing::AsPut, vec![("MinSize", "2")]),
            (("3", "12"), Standing::AsPut, vec![("MaxSize", "8")]),
            (("2", "12"), Standing::AsPut, vec![("MaxSize", "8")]),
            (("2", "20"), Standing::Other, vec![]),
            (("2", "8"), Standing::AsBefore, vec![]),
        ] {
            let now = parameters(&[("MinSize", now.0), ("MaxSize", now.1)]);
            assert_eq!(sizes().standing(&now), standing, "{now:?}");
            assert_eq!(sizes().restored(&now), parameters(&restored), "{now:?}");
        }
        let mut one = sizes();
        one.during.insert("MinSize".to_owned(), "2".to_owned());
        assert_eq!(one.written(), parameters(&[("MaxSize", "12")]));
        let raised_by_others = parameters(&[("MinSize", "4"), ("MaxSize", "12")]);
        assert_eq!(
            one.restored(&raised_by_others),
            parameters(&[("MaxSize", "8")])
        );
    }

    #[test]
    fn a_field_that_the_run_has_added_is_taken_away_again() {
        let mut added = change();
        added.during.insert("More".to_owned(), "1".to_owned());
        let put_back = added.restored(&added.during);
        assert_eq!(put_back, added.before);
    }

    #[test]
    fn what_differs_is_told_with_all_values() {
        let now = parameters(&[
            ("PolicyName", "cpu"),
            (TARGET, "55.0"),
            ("Enabled", "false"),
        ]);
        assert_eq!(
            change().differences(&now),
            [
                "Enabled is false, was true before the run",
                "TargetTrackingConfiguration.TargetValue is 55.0, was 60.0 before the run and 40 in it",
            ]
        );
        assert!(change().is_untouched(&change().before));
        assert!(!change().is_untouched(&now));
    }

    #[test]
    fn what_aws_has_changed_with_a_setting_is_told_where_both_are_known() {
        let aside = |desired: Option<u32>, alarms: &[&str]| Aside {
            desired,
            alarms: alarms.iter().map(|name| (*name).to_owned()).collect(),
        };
        let before = aside(Some(2), &["high-1", "low-1"]);
        for (now, expected) in [
            (before.clone(), vec![]),
            (Aside::default(), vec![]),
            (
                aside(Some(5), &["high-1", "low-1"]),
                vec!["the desired capacity is 5, and was 2"],
            ),
            (
                aside(None, &["high-2", "low-2"]),
                vec!["its alarms are high-2, low-2, and were high-1, low-1: AWS makes them"],
            ),
        ] {
            assert_eq!(before.differences(&now), expected, "{now:?}");
            assert!(Aside::default().differences(&now).is_empty());
        }
    }

    #[test]
    fn a_change_in_an_older_journal_is_read_without_them() {
        let mut known = change();
        let text = serde_json::to_string(&known).unwrap();
        assert!(!text.contains("aside"), "{text}");
        assert_eq!(serde_json::from_str::<GroupChange>(&text).unwrap(), known);
        known.aside.desired = Some(2);
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<GroupChange>(&text).unwrap(), known);
    }

    #[test]
    fn numbers_are_equal_by_value_and_words_by_letter() {
        for (one, other, expected) in [
            ("40", "40.0", true),
            ("1.0E7", "10000000", true),
            ("nan", "nan", true),
            ("inf", "infinity", false),
            ("a", "b", false),
        ] {
            let [left, right] = [one, other].map(str::to_owned);
            assert_eq!(
                is_equal(Some(&left), Some(&right)),
                expected,
                "{one}, {other}"
            );
        }
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
