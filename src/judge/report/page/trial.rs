//! The trial of an advice as a table: the run before, the prediction, and this run.

use crate::report::{PutBack, ReportedTrial, TrialFigures, words};

/// The trial in words and figures.
pub(super) struct TrialTable<'a> {
    pub first: &'a str,
    pub name: &'a str,
    /// Name of the figure; its values before, predicted and in this run.
    pub rows: [(&'static str, [String; 3]); 2],
    pub put_back: &'static str,
    /// Class of the sentence on the changed setting.
    pub colour: &'static str,
    /// Sentences on what AWS has changed with the setting.
    pub stays: Vec<String>,
}

impl<'a> TrialTable<'a> {
    pub(super) fn of(trial: &'a ReportedTrial) -> Self {
        let row = |pick: fn(&TrialFigures) -> u64| {
            let measured = trial.measured.as_ref().map(pick);
            [
                pick(&trial.before).to_string(),
                pick(&trial.predicted).to_string(),
                measured.map_or("not measured".to_owned(), |value| value.to_string()),
            ]
        };
        Self {
            first: &trial.first,
            name: &trial.name,
            rows: [
                (
                    "seconds over the limit",
                    row(|figures| figures.over_limit.into()),
                ),
                ("requests lost", row(|figures| figures.errors)),
            ],
            put_back: words::put_back(trial.put_back),
            stays: words::stays(trial),
            colour: match trial.put_back {
                PutBack::AsBefore => "passed",
                PutBack::ChangedByOthers => "inconclusive",
                PutBack::NotProven => "failed",
            },
        }
    }
}

#[cfg(test)]
pub(super) use tests::example;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::Change;
    use crate::report::DesiredCapacity;

    /// A trial whose change has the name of an element.
    pub(in crate::report::page) fn example() -> ReportedTrial {
        ReportedTrial {
            first: "sp-01j9z3k4m4".to_owned(),
            name: "<b>target 30</b>".to_owned(),
            change: Change::Target { target: 30.0 },
            before: TrialFigures {
                over_limit: 26,
                errors: 90,
            },
            predicted: TrialFigures {
                over_limit: 5,
                errors: 12,
            },
            measured: Some(TrialFigures {
                over_limit: 4,
                errors: 1,
            }),
            put_back: PutBack::AsBefore,
            desired: Some(DesiredCapacity {
                before: 2,
                after: 5,
            }),
            alarms: None,
        }
    }

    #[test]
    fn both_runs_stand_beside_the_prediction() {
        let trial = example();
        let values = |table: &TrialTable<'_>| table.rows.clone().map(|(_, values)| values);
        assert_eq!(
            values(&TrialTable::of(&trial)),
            [["26", "5", "4"], ["90", "12", "1"]]
        );
        let unmeasured = ReportedTrial {
            measured: None,
            ..trial
        };
        let found = values(&TrialTable::of(&unmeasured));
        assert_eq!(
            found,
            [["26", "5", "not measured"], ["90", "12", "not measured"]]
        );
    }

    #[test]
    fn a_setting_that_is_not_as_before_stands_out() {
        for (put_back, colour) in [
            (PutBack::AsBefore, "passed"),
            (PutBack::ChangedByOthers, "inconclusive"),
            (PutBack::NotProven, "failed"),
        ] {
            let trial = ReportedTrial {
                put_back,
                ..example()
            };
            let table = TrialTable::of(&trial);
            assert_eq!(
                (table.put_back, table.colour),
                (words::put_back(put_back), colour)
            );
        }
    }
}
