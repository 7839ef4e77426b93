//! Sentences for the errors of `--what-if`.

use crate::advice::WhatIfError;
use model::units;

/// Returns the error in words, with the limit or name that would be accepted.
pub fn what_if(error: &WhatIfError) -> String {
    match error {
        WhatIfError::NotNameAndValue { part } => {
            format!("`{part}` is not NAME=VALUE, such as target=50")
        }
        WhatIfError::GivenTwice { name } => format!("{name} is given twice: leave one out"),
        WhatIfError::UnknownName { name } => {
            format!("`{name}` is none of target, min, max, warm-up, period, datapoints")
        }
        WhatIfError::MinAboveMax { min, max } => format!("min={min} is more than max={max}"),
        WhatIfError::WindowTooLong { window } => format!(
            "an alarm looks back a day at most, not {}",
            units::duration(*window)
        ),
        WhatIfError::MinAboveMaximum {
            min,
            maximum,
            group,
        } => format!("min={min} is more than the maximum of {maximum} of {group}: give max too"),
        WhatIfError::MaxBelowMinimum {
            max,
            minimum,
            group,
        } => format!("max={max} is less than the minimum of {minimum} of {group}: give min too"),
        WhatIfError::UnusualPeriod { period } => format!(
            "period: no metric is tracked in periods of {}: it takes 10s, 30s or whole minutes",
            units::duration(*period)
        ),
        WhatIfError::NotATarget { value } => {
            format!("target: `{value}` is not a number above 0")
        }
        WhatIfError::TargetTooHigh { value, most } => {
            format!("target: `{value}` is more than any metric reaches ({most:.0} at most)")
        }
        WhatIfError::NotACount { name, value } => {
            format!("{name}: `{value}` is not a whole number")
        }
        WhatIfError::CountOutOfRange {
            name,
            count,
            least,
            most,
        } => format!("{name}: {count} is not from {least} to {most}"),
        WhatIfError::NotADuration { name, why } => format!("{name}: {why}"),
        WhatIfError::WarmUpTooLong { value } => {
            format!("warm-up: `{value}` is longer than the hour that AWS allows")
        }
        WhatIfError::PeriodNotWhole { value } => {
            format!("period: `{value}` is not a whole number of seconds above 0")
        }
    }
}
