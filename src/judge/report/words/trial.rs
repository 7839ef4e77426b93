//! Sentences about a change that was tried.

use super::super::trial::{DesiredCapacity, PutBack, ReportedTrial};

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

/// Returns what AWS has changed with the settings, and nobody has changed back.
pub fn stays(trial: &ReportedTrial) -> Vec<String> {
    let desired = trial.desired.map(|desired| {
        let DesiredCapacity { before, after } = desired;
        let why = match after > before {
            true => "only the group's own policies lower it, when the load permits",
            false => "AWS lowers it with the maximum, and the group's own policies do",
        };
        format!("the group's desired capacity is {after}, and was {before} before: {why}")
    });
    let alarms = trial.alarms.as_ref().map(|alarms| {
        format!(
            "AWS has made other alarms for the policy: {}, and before {}; dashboards and actions on those must be set anew",
            alarms.after.join(", "),
            alarms.before.join(", ")
        )
    });
    desired.into_iter().chain(alarms).collect()
}

/// Returns what became of the changed setting.
pub fn put_back(put_back: PutBack) -> &'static str {
    match put_back {
        PutBack::AsBefore => "the settings that were changed are as they were before, read back",
        PutBack::ChangedByOthers => {
            "somebody else changed the group meanwhile: what they changed was left as it is"
        }
        PutBack::NotProven => "it is not proven that the group's settings are as they were before",
    }
}
