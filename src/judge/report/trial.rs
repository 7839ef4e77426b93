//! A run in which the recommended change was on the target's group, beside the run before it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Load, ReportedCandidate, RunReport, advice};
use crate::advice::Change;
use evidence::load;

/// A change that was tried, with its prediction. All figures are of the same load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedTrial {
    /// Id of the run whose advice was tried.
    pub first: String,
    /// Name of the change in words, for example `target 40`.
    pub name: String,
    /// The change that was on the group during this run.
    pub change: Change,
    /// Figures of the run before, without the change.
    pub before: TrialFigures,
    /// Figures that the advice predicted with the change.
    pub predicted: TrialFigures,
    /// Figures of this run, with the change; `null` where there was no load.
    pub measured: Option<TrialFigures>,
    /// The state of the changed setting after this run.
    pub put_back: PutBack,
    /// The group's desired capacity, if it is not as it was before the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredCapacity>,
    /// The alarms of the changed policy, if AWS has made others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarms: Option<AlarmNames>,
}

/// The desired capacity of a group, which AWS changes with the minimum and the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DesiredCapacity {
    /// Before the change.
    pub before: u32,
    /// After the settings were put back.
    pub after: u32,
}

/// The names of a policy's alarms, which AWS makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmNames {
    /// Before the change.
    pub before: Vec<String>,
    /// After the policy was put back.
    pub after: Vec<String>,
}

/// The failures of a run by which candidates are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialFigures {
    /// Seconds that missed a limit: p95 was over its own, or more than 1 % of the requests failed
    /// beyond those that fail whatever the load.
    pub over_limit: u32,
    /// Requests that failed or were not carried.
    pub errors: u64,
}

/// The state of a changed setting after its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PutBack {
    /// It was read back, and is as it was before the run.
    AsBefore,
    /// Somebody else had changed it meanwhile: it was left as it is.
    ChangedByOthers,
    /// It is not proven that it is as before.
    NotProven,
}

/// The change that a run is to try, with all that its report compares.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialPlan {
    /// Id of the run that recommended it.
    pub first: String,
    /// The recommended candidate.
    pub candidate: ReportedCandidate,
    /// The limit that its prediction is about.
    pub limit: Duration,
    /// Figures of the run that recommended it.
    pub before: TrialFigures,
}

impl TrialFigures {
    /// Counts the failures of a load.
    pub fn of(of: &Load, limit: Duration) -> Self {
        Self {
            over_limit: load::missed(&advice::seconds(of), limit),
            errors: of.whole.tally.errors(),
        }
    }
}

impl TrialPlan {
    /// Returns the recommended change of a run; `None` if its advice recommends none.
    pub fn of(report: &RunReport) -> Option<Self> {
        let (advice, load) = (report.advice.as_ref()?, report.load.as_ref()?);
        let candidate = advice.candidates.iter().find(|one| one.recommended)?;
        (candidate.change != Change::Nothing).then(|| Self {
            first: report.run.clone(),
            candidate: candidate.clone(),
            limit: advice.limit.p95,
            before: TrialFigures::of(load, advice.limit.p95),
        })
    }

    /// Returns the report of the trial, from the load with the change.
    pub fn report(&self, load: Option<&Load>, put_back: PutBack) -> ReportedTrial {
        ReportedTrial {
            first: self.first.clone(),
            name: self.candidate.name.clone(),
            change: self.candidate.change.clone(),
            before: self.before,
            predicted: TrialFigures {
                over_limit: self.candidate.over_limit,
                errors: self.candidate.errors,
            },
            measured: load.map(|load| TrialFigures::of(load, self.limit)),
            put_back,
            desired: None,
            alarms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{example, words};

    #[test]
    fn a_trial_compares_the_prediction_with_both_loads() {
        let report = example::report();
        let plan = TrialPlan::of(&report).unwrap();
        assert_eq!(
            (plan.candidate.name.as_str(), plan.first.as_str()),
            ("target 30", report.run.as_str())
        );
        let load = report.load.unwrap();
        let over = |limit| TrialFigures::of(&load, limit).over_limit;
        assert_eq!(over(Duration::MAX), 5, "2 % of their requests fail");
        let measured = load.seconds.iter().filter(|second| second.p95.is_some());
        assert_eq!(over(Duration::ZERO) as usize, measured.count());
        let trial = ReportedTrial {
            before: TrialFigures {
                over_limit: 26,
                errors: 90,
            },
            measured: Some(TrialFigures {
                over_limit: 4,
                errors: 1,
            }),
            ..plan.report(Some(&load), PutBack::AsBefore)
        };
        assert_eq!(
            words::trial(&trial),
            "tried target 30: 5 s over the limit predicted, 4 s measured, 26 s before; 300 requests lost predicted, 1 measured, 90 before"
        );
    }

    #[test]
    fn a_second_that_sheds_load_missed_a_limit_although_it_was_fast() {
        let mut load = example::report().load.unwrap();
        let mut over = |bad: &[usize], errors, constant_errors, pooled| {
            for (index, second) in load.seconds.iter_mut().enumerate() {
                let is_bad = bad.contains(&index);
                second.ok = 95;
                second.errors = if is_bad { errors } else { 0 };
                second.constant_errors = if is_bad { constant_errors } else { 0 };
                second.pooled = pooled && is_bad;
            }
            TrialFigures::of(&load, Duration::MAX).over_limit
        };
        assert_eq!(over(&[], 0, 0, false), 0);
        assert_eq!(over(&[3, 4], 5, 0, false), 2);
        assert_eq!(over(&[3, 4], 5, 4, false), 2);
        assert_eq!(over(&[3, 4], 5, 5, false), 0, "they fail whatever the load");
        assert_eq!(over(&[3, 4], 5, 0, true), 3, "a pool is judged as one");
    }

    #[test]
    fn what_aws_has_changed_with_the_setting_is_told() {
        let report = example::report();
        let plan = TrialPlan::of(&report).unwrap();
        let mut trial = plan.report(None, PutBack::AsBefore);
        assert_eq!(words::stays(&trial), Vec::<String>::new());
        let text = serde_json::to_string(&trial).unwrap();
        assert_eq!(serde_json::from_str::<ReportedTrial>(&text).unwrap(), trial);
        trial.desired = Some(DesiredCapacity {
            before: 2,
            after: 5,
        });
        let names = |name: &str| vec![format!("{name}-high"), format!("{name}-low")];
        trial.alarms = Some(AlarmNames {
            before: names("a"),
            after: names("b"),
        });
        assert_eq!(
            words::stays(&trial),
            [
                "the group's desired capacity is 5, and was 2 before: only the group's own policies lower it, when the load permits",
                "AWS has made other alarms for the policy: b-high, b-low, and before a-high, a-low; dashboards and actions on \
                 those must be set anew",
            ]
        );
    }

    #[test]
    fn advice_that_changes_nothing_is_not_tried() {
        let mut report = example::report();
        let advice = report.advice.as_mut().unwrap();
        for one in &mut advice.candidates {
            one.recommended = one.change == Change::Nothing;
        }
        assert_eq!(TrialPlan::of(&report), None);
        report.advice = None;
        assert_eq!(TrialPlan::of(&report), None);
    }
}
