//! Missed limits whose cause need not be the target: a generator at its own limit, or load that
//! others sent.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::verdict::{Finding, Reason, ThresholdReason};
use model::measure::Results;
use model::outcome::Verdict;
use model::scenario::ThresholdMetric;

/// The seconds in which something else than the target may have missed a limit, and the results
/// without them.
pub(in crate::verdict) struct Doubt {
    cause: Cause,
    seconds: BTreeSet<u32>,
    rest: Results,
}

/// A cause for a missed limit that is not the target.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::verdict) enum Cause {
    /// A generator at its own limit. It makes no errors of the target, so errors are not doubted.
    Generator,
    /// Load that others sent. It makes answers late and wrong, like any load.
    Others,
}

impl Doubt {
    /// Returns `None` if there are no such seconds.
    pub(in crate::verdict) fn of(
        cause: Cause,
        seconds: BTreeSet<u32>,
        results: &Results,
    ) -> Option<Self> {
        (!seconds.is_empty()).then(|| Self {
            cause,
            rest: results.without(&seconds),
            seconds,
        })
    }

    /// Returns the finding on a limit that was missed in these seconds, as inconclusive if the
    /// target need not be the cause: without the doubtful seconds the limit holds, or too few
    /// seconds remain. `judge` judges the same limit on other results.
    pub(in crate::verdict) fn weigh(
        &self,
        metric: ThresholdMetric,
        judged: Range<u32>,
        finding: &Finding,
        judge: impl FnOnce(&Results) -> Verdict,
    ) -> Option<Finding> {
        let (of_s, doubtful) = (judged.len() as u64, self.count(judged));
        if !self.cause.explains(metric) || finding.verdict != Verdict::Failed || doubtful == 0 {
            return None;
        }
        // A rate counts what was not sent, or not answered, in those seconds too.
        let rest_suffices = metric != ThresholdMetric::Rate && doubtful * 2 <= of_s;
        if rest_suffices && judge(&self.rest) == Verdict::Failed {
            return None;
        }
        let Reason::Threshold(reason) = &finding.reason else {
            return None;
        };
        Some(Finding {
            verdict: Verdict::Inconclusive,
            reason: self.cause.reason(reason.clone(), doubtful, of_s).into(),
            ..finding.clone()
        })
    }

    fn count(&self, seconds: Range<u32>) -> u64 {
        let doubtful = self.seconds.iter();
        doubtful.filter(|second| seconds.contains(second)).count() as u64
    }
}

impl Cause {
    /// True if it can miss a limit on this metric.
    fn explains(self, metric: ThresholdMetric) -> bool {
        let is_about_errors = matches!(metric, ThresholdMetric::Errors | ThresholdMetric::Checks);
        self == Self::Others || !is_about_errors
    }

    /// Returns the reason for the doubt on a reason, from the number of doubtful seconds.
    fn reason(self, reason: ThresholdReason, doubtful: u64, of_s: u64) -> ThresholdReason {
        let reason = Box::new(reason);
        match self {
            Self::Generator => ThresholdReason::GeneratorSaturated {
                reason,
                saturated_s: doubtful,
                of_s,
            },
            Self::Others => ThresholdReason::LoadOfOthers {
                reason,
                changed_s: doubtful,
                of_s,
            },
        }
    }
}
