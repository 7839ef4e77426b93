//! Sentences about a change that was tried.

use super::super::trial::{PutBack, ReportedTrial};

/// Returns the prediction beside both measurements.
pub fn trial(trial: &ReportedTrial) -> String {
    let (before, predicted) = (trial.before, trial.predicted);
    let measured = |of: Option<u64>, unit: &str| {
        of.map_or("not measured".to_owned(), |value| {
            format!("{value}{unit} measured")
        })
    };
    let over = trial.measured.map(|figures| u64::from(figures.over_limit));
    let errors = trial.measured.map(|figures| figures.errors);
    format!(
        "tried {}: {} s over the limit predicted, {}, {} s before; {} requests lost predicted, {}, {} before",
        trial.name,
        predicted.over_limit,
        measured(over, " s"),
        before.over_limit,
        predicted.errors,
        measured(errors, ""),
        before.errors
    )
}

/// Returns what became of the changed setting.
pub fn put_back(put_back: PutBack) -> &'static str {
    match put_back {
        PutBack::AsBefore => "the group's settings are as they were before, read back",
        PutBack::ChangedByOthers => {
            "somebody else changed the group meanwhile: what they changed was left as it is"
        }
        PutBack::NotProven => "it is not proven that the group's settings are as they were before",
    }
}
