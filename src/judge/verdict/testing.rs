//! Loads for tests of doubt: seconds in which limits were missed, and those that something else than
//! the target may have changed.

use std::collections::BTreeSet;

use super::{
    DoubtReason, Finding, LeavingReason, NewInstanceReason, Reason, ScalingReason, SizeReason,
    SurvivalReason,
};
use evidence::testing;
use model::measure::Results;
use model::outcome::Verdict;
use model::scenario::Scenario;

/// The seconds of a load in which something was wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wrong {
    /// Answers took 900 ms, otherwise 50 ms.
    pub slow: &'static [u32],
    /// Half of the answers were errors.
    pub bad: &'static [u32],
    /// A generator was at its own limit. The second after each is doubtful too.
    pub strained: &'static [u32],
    /// The load of others may have changed them.
    pub changed: &'static [u32],
}

/// The answer of a judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said {
    Passed,
    Failed,
    /// Inconclusive, because a generator was at its own limit.
    ByGenerator,
    /// Inconclusive, because the load of others may have changed so many seconds.
    ByOthers(u64),
    /// Inconclusive for any other reason.
    Unclear,
}

impl Wrong {
    /// Returns the results of a load of so many answers in each second, by its level.
    pub(super) fn results(self, scenario: &Scenario, answers: impl Fn(f64) -> u64) -> Results {
        let mut results = testing::results(scenario, |second, level| {
            let all = answers(level);
            let errors = if self.bad.contains(&second) {
                all / 2
            } else {
                0
            };
            let millis = if self.slow.contains(&second) { 900 } else { 50 };
            vec![("", all - errors, errors, millis)]
        });
        results.add(0, &testing::strained(self.strained));
        results
    }

    pub(super) fn changed(self) -> BTreeSet<u32> {
        self.changed.iter().copied().collect()
    }
}

impl Said {
    pub(super) fn of(finding: &Finding) -> Self {
        match (finding.verdict, &finding.reason) {
            (Verdict::Passed, _) => Self::Passed,
            (Verdict::Failed, _) => Self::Failed,
            (
                Verdict::Inconclusive,
                Reason::Leaving(LeavingReason::GeneratorSaturated)
                | Reason::Scaling(ScalingReason::GeneratorSaturated)
                | Reason::Survival(SurvivalReason::GeneratorSaturatedAtItsEnd)
                | Reason::Size(SizeReason::GeneratorSaturated)
                | Reason::NewInstance(NewInstanceReason::GeneratorSaturated),
            ) => Self::ByGenerator,
            (Verdict::Inconclusive, Reason::Doubt(DoubtReason::LoadOfOthers { changed_s, .. })) => {
                Self::ByOthers(*changed_s)
            }
            (Verdict::Inconclusive, _) => Self::Unclear,
        }
    }
}
