//! One verdict from many: on a run, and on several runs of one scenario.

use model::outcome::Verdict;

/// The verdict on a run: the worst of its judgements. Nothing judged is inconclusive.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::Inconclusive)
}

/// True if an expectation passed in one run and failed in another: the next run may show either.
pub fn is_unstable(verdicts: &[Verdict]) -> bool {
    verdicts.contains(&Verdict::Passed) && verdicts.contains(&Verdict::Failed)
}

/// The conclusion from several runs. Each index is that of the expectation that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// An expectation failed in every run that could tell.
    Failed {
        /// The first of them.
        index: usize,
    },
    /// An expectation passed in some runs and failed in others.
    Unstable {
        /// The first of them.
        index: usize,
        /// Number of further ones.
        others: usize,
    },
    /// At least one run could not tell whether an expectation holds.
    Unclear {
        /// The first of them.
        index: usize,
    },
    /// No run judged anything.
    NothingJudged,
    /// Every expectation held in every run that judged it.
    Passed,
}

impl Conclusion {
    /// Concludes from the verdicts of each expectation, in the order of the runs.
    pub fn of_runs(expectations: &[&[Verdict]]) -> Self {
        let first = |found: &dyn Fn(&[Verdict]) -> bool| {
            expectations.iter().position(|verdicts| found(verdicts))
        };
        let unstable = expectations
            .iter()
            .filter(|verdicts| is_unstable(verdicts))
            .count();
        let failed =
            |verdicts: &[Verdict]| verdicts.contains(&Verdict::Failed) && !is_unstable(verdicts);
        if let Some(index) = first(&failed) {
            Self::Failed { index }
        } else if let Some(index) = first(&is_unstable) {
            let others = unstable - 1;
            Self::Unstable { index, others }
        } else if let Some(index) = first(&|verdicts| verdicts.contains(&Verdict::Inconclusive)) {
            Self::Unclear { index }
        } else if expectations.is_empty() {
            Self::NothingJudged
        } else {
            Self::Passed
        }
    }

    /// The verdict on all runs together.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Failed { .. } => Verdict::Failed,
            Self::Unstable { .. } | Self::Unclear { .. } | Self::NothingJudged => {
                Verdict::Inconclusive
            }
            Self::Passed => Verdict::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Failed, Inconclusive, Passed};

    #[test]
    fn the_worst_judgement_decides_a_run() {
        for (verdicts, expected) in [
            (vec![], Inconclusive),
            (vec![Passed, Passed], Passed),
            (vec![Passed, Inconclusive], Inconclusive),
            (vec![Passed, Inconclusive, Failed], Failed),
        ] {
            assert_eq!(worst(verdicts.clone()), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn several_runs_fail_only_where_none_passed() {
        let cases: [(&[&[Verdict]], Conclusion, Verdict); 6] = [
            (&[], Conclusion::NothingJudged, Inconclusive),
            (&[&[Passed, Passed]], Conclusion::Passed, Passed),
            (
                &[&[Passed, Passed], &[Failed, Inconclusive]],
                Conclusion::Failed { index: 1 },
                Failed,
            ),
            (
                &[&[Passed, Failed], &[Passed], &[Failed, Passed]],
                Conclusion::Unstable {
                    index: 0,
                    others: 1,
                },
                Inconclusive,
            ),
            (
                &[&[Passed, Failed], &[Failed, Failed]],
                Conclusion::Failed { index: 1 },
                Failed,
            ),
            (
                &[&[Passed], &[Passed, Inconclusive]],
                Conclusion::Unclear { index: 1 },
                Inconclusive,
            ),
        ];
        for (expectations, expected, verdict) in cases {
            let found = Conclusion::of_runs(expectations);
            assert_eq!(
                (found, found.verdict()),
                (expected, verdict),
                "{expectations:?}"
            );
        }
    }
}
