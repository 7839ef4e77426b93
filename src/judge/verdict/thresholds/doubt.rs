//! Missed limits whose cause need not be the target: a generator at its own limit, or load that
//! others sent.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::verdict::{DoubtReason, Finding, Reason, ThresholdReason};
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
        if !self.cause.explains(metric) || finding.verdict != Verdict::Failed {
            return None;
        }
        // A rate counts what was not sent, or not answered, in those seconds too.
        let fails_without =
            || metric != ThresholdMetric::Rate && judge(&self.rest) == Verdict::Failed;
        if !may_explain(doubtful, of_s, fails_without) {
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

/// The seconds of a judgement on the group in which the load of others may be the cause.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::verdict) struct ByOthers {
    changed_s: u64,
    of_s: u64,
}

impl ByOthers {
    /// Returns the doubt on limits of p95 and errors that the group missed in these seconds; `None`
    /// if the load of others does not explain it. `changed` are all seconds that it may have
    /// changed. `is_missed` judges the same limits in fewer seconds.
    pub(in crate::verdict) fn of(
        changed: &BTreeSet<u32>,
        seconds: &[u32],
        is_missed: impl FnOnce(&[u32]) -> bool,
    ) -> Option<Self> {
        let all = seconds.iter().copied();
        let rest: Vec<u32> = all.filter(|second| !changed.contains(second)).collect();
        let of_s = seconds.len() as u64;
        let changed_s = of_s - rest.len() as u64;
        may_explain(changed_s, of_s, || is_missed(&rest)).then_some(Self { changed_s, of_s })
    }

    /// Returns a finding on the group, as inconclusive if it failed and the load of others may be
    /// the cause.
    pub(in crate::verdict) fn weigh(
        changed: &BTreeSet<u32>,
        seconds: &[u32],
        finding: Finding,
        is_missed: impl FnOnce(&[u32]) -> bool,
    ) -> Finding {
        if finding.verdict != Verdict::Failed {
            return finding;
        }
        match Self::of(changed, seconds, is_missed) {
            Some(doubt) => doubt.on(finding),
            None => finding,
        }
    }

    /// Returns the doubt on two stretches of time.
    #[must_use]
    pub(in crate::verdict) fn and(self, other: Self) -> Self {
        Self {
            changed_s: self.changed_s + other.changed_s,
            of_s: self.of_s + other.of_s,
        }
    }

    /// Returns this finding as inconclusive.
    pub(in crate::verdict) fn on(self, finding: Finding) -> Finding {
        let reason = DoubtReason::LoadOfOthers {
            reason: Box::new(finding.reason),
            changed_s: self.changed_s,
            of_s: self.of_s,
        };
        Finding {
            verdict: Verdict::Inconclusive,
            reason: reason.into(),
            ..finding
        }
    }
}

/// True if doubtful seconds may be the cause of a limit that was missed: it holds without them, or
/// they are over half of the seconds.
fn may_explain(doubtful: u64, of_s: u64, fails_without: impl FnOnce() -> bool) -> bool {
    doubtful > 0 && (doubtful * 2 > of_s || !fails_without())
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
