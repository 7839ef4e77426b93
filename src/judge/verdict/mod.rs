//! Thresholds and scaling expectations, judged on evidence. Pure.
//!
//! Three answers, never two: passed, failed, or inconclusive with the reason. No data is never
//! "passed", and a generator at its own limit is never the target's fault.

use std::collections::BTreeSet;

use evidence::{Hypothesis, OtherLoad, Reaction, Timeline};
use model::measure::Results;
use model::plan::Schedule;
use model::scenario::Scenario;

mod answered;
mod conclusion;
mod conditions;
#[cfg(test)]
mod documented;
mod draining;
mod efficiency;
mod expectations;
mod finding;
mod flapping;
mod fresh;
mod maximum;
pub mod preflight;
mod reason;
mod scale_in;
mod scaling;
mod spike_errors;
mod survival;
#[cfg(test)]
mod testing;
mod thresholds;
mod validity;
mod warning;
mod watched;

pub use answered::{Answered, AtMaximum};
pub use conclusion::{Conclusion, is_unstable, worst};
pub use draining::ShortDraining;
pub use finding::{
    Cost, CountedFrom, Expectation, Finding, Measured, MetricPeak, MetricReach, MetricValue,
    OtherCause, RunFigures, Scope, Unavoidable, WorseInstance,
};
pub use reason::{
    DoubtReason, EndedEarly, LeavingReason, MissingPart, NewInstanceReason, Reason, ScaleInReason,
    ScaleOutReason, ScalingReason, SizeReason, SurvivalReason, ThresholdReason, ValidityReason,
};
pub use thresholds::{Abort, must_abort};
pub use warning::{AlarmWindow, RunWarning, SuspendedProcess, Warning};

/// How the run went, apart from the numbers themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Circumstances {
    /// The start instant, on the orchestrator's clock.
    pub started: Option<jiff::Timestamp>,
    /// Why the load ended before its plan did, if it did.
    pub cut_short: Option<EndedEarly>,
    /// Tasks that carried the load; fewer than planned after a shortfall.
    pub tasks: u32,
    /// Tasks that delivered every interval; at most `tasks`.
    pub complete_tasks: u32,
    /// Intervals, ends and tasks that are missing.
    pub missing: Vec<MissingPart>,
    /// The group or service that the scenario names, if it was not watched.
    pub not_watched: Option<String>,
}

/// Everything that was judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Whether the figures are the target's, and the group's own.
    pub validity: Vec<Finding>,
    /// One for each threshold, or for each phase that it is judged in.
    pub thresholds: Vec<Finding>,
    /// The expectations of the group; empty where no group was watched.
    pub scaling: Vec<Finding>,
    /// Not asked for and could not be judged, or takes a load of one's own to judge; decides
    /// nothing.
    pub not_judged: Vec<Finding>,
    /// Reasons for the seconds that missed a limit; empty where none did.
    pub hypotheses: Vec<Hypothesis>,
    /// The facts that the scaling findings rest on; `None` where no group was watched.
    pub reaction: Option<Reaction>,
    /// The group or service that the scenario names, if it was not watched.
    pub not_watched: Option<String>,
    /// The load of others beside ours; `None` where it could not be counted.
    pub others: Option<OtherLoad>,
}

impl Findings {
    /// Returns what a reader must know of the run although its judgements hold.
    pub fn warnings(&self) -> Vec<Warning> {
        let doubts = self.validity.iter().filter_map(validity::warning);
        doubts.map(Warning::from).collect()
    }
}

/// Judges a run. `timeline` is there when a group was watched.
pub fn judge(
    scenario: &Scenario,
    results: &Results,
    timeline: Option<&Timeline>,
    circumstances: &Circumstances,
) -> Findings {
    let schedule = Schedule::new(scenario);
    let mut validity = validity::judge(scenario, results, timeline, circumstances);
    let thresholds = |changed| thresholds::judge(scenario, results, &schedule, changed);
    let Some(timeline) = timeline else {
        return Findings {
            validity,
            thresholds: thresholds(BTreeSet::new()),
            not_watched: circumstances.not_watched.clone(),
            ..Findings::default()
        };
    };
    let mut group = scaling::judge(scenario, &schedule, results, timeline, circumstances);
    match validity::ours(group.others.as_ref(), circumstances) {
        Some(finding) if validity::is_unknown(&finding) => group.not_judged.push(finding),
        finding => validity.extend(finding),
    }
    Findings {
        validity,
        thresholds: thresholds(group.changed_by_others),
        scaling: group.judged,
        not_judged: group.not_judged,
        hypotheses: group.hypotheses,
        reaction: Some(group.reaction),
        not_watched: circumstances.not_watched.clone(),
        others: group.others.and_then(Result::ok),
    }
}

/// Judges what a group did under a load that is not ours: only the group is known.
pub fn judge_watched(expected: &Scenario, timeline: &Timeline) -> Findings {
    let watched::Watched {
        scaling,
        not_judged,
        reaction,
    } = watched::judge(expected, timeline);
    Findings {
        scaling,
        not_judged,
        reaction: Some(reaction),
        ..Findings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use evidence::testing::{at, counted, group, results, scenario};
    use model::outcome::Verdict;
    use model::scenario::{Threshold, ThresholdScope};

    #[test]
    fn a_run_without_results_is_inconclusive_whatever_was_asked() {
        let found = judge(
            &scenario(),
            &Results::default(),
            None,
            &Circumstances::default(),
        );
        assert_eq!(words::judged(found).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_limit_missed_beside_others_is_inconclusive_where_their_load_is_known() {
        let mut scenario = scenario();
        scenario.thresholds = vec![Threshold {
            scope: ThresholdScope::Run,
            ..thresholds::default_limit(0.01)
        }];
        // Errors come in the spike alone, to its end.
        let results = results(&scenario, |second, level| {
            vec![("", level as u64, u64::from((20..30).contains(&second)), 20)]
        });
        let verdicts = |others, missing| {
            let counts = [(0, others), (180, others), (240, others)];
            let observations = vec![group(0, 1, &["i-1"]), counted(400, &counts)];
            let circumstances = Circumstances {
                started: Some(at(90)),
                missing,
                ..Circumstances::default()
            };
            let timeline = Timeline { observations };
            let found = judge(&scenario, &results, Some(&timeline), &circumstances);
            let survived = |one: &&Finding| one.expectation == Expectation::SpikeSurvived;
            let survived = found.scaling.iter().find(survived).unwrap();
            [found.thresholds[0].verdict, survived.verdict]
        };
        let missing = vec![MissingPart::End { task: 0, why: None }];
        assert_eq!(verdicts(0.0, Vec::new()), [Verdict::Failed; 2]);
        assert_eq!(verdicts(300.0, Vec::new()), [Verdict::Inconclusive; 2]);
        assert_eq!(
            verdicts(300.0, missing),
            [Verdict::Failed; 2],
            "what was not reported counts as that of others"
        );
    }
}
