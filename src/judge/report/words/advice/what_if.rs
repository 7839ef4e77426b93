//! Sentences for the answer to `--what-if`, and for its errors.

use super::sizes;
use crate::advice::{Asked, AskedLoad, Candidate, Reached, UntilInstances, WhatIfError};
use model::units;

/// Returns the error in words, with the limit or name that would be accepted.
pub fn what_if(error: &WhatIfError) -> String {
    match error {
        WhatIfError::NotNameAndValue { part } => {
            format!("`{part}` is not NAME=VALUE, such as target=50")
        }
        WhatIfError::GivenTwice { name } => format!("{name} is given twice: leave one out"),
        WhatIfError::UnknownName { name } => {
            format!(
                "`{name}` is none of load, target, min, max, warm-up, period, datapoints, instances"
            )
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
        WhatIfError::InstancesAboveMax { instances, max } => {
            format!("instances={instances} is more than max={max}")
        }
        WhatIfError::InstancesAboveMaximum {
            instances,
            maximum,
            group,
        } => format!(
            "instances={instances} is more than the maximum of {maximum} of {group}: give max too"
        ),
        WhatIfError::NotALoad { value } => {
            format!("load: `{value}` is neither a factor such as 3x nor a rate such as 600/s")
        }
        WhatIfError::LoadOutOfRange { value, times, rate } => {
            format!("load: `{value}` must be more than 0, and {times}x at most or {rate}/s")
        }
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

/// Describes the result of the user's own change.
pub(super) fn asked(asked: &Asked) -> String {
    let load = asked.load.map_or(String::new(), |load| {
        let peak = sizes::thousands(load.peak);
        format!(" ({peak} requests/s in the highest second)")
    });
    let mut text = format!(
        "With {}{load}: {}. As it ran: {}.",
        asked.changes,
        figures(&asked.row),
        figures(&asked.now)
    );
    if let Some(until) = &asked.until {
        text += &format!(" {}", time_until(until));
    }
    if let Some(carried) = &asked.at_maximum {
        text += &format!(" {}", sizes::at_maximum(carried));
    }
    if let Some(load) = &asked.load {
        text += &not_sent(load);
    }
    text
}

fn figures(row: &Candidate) -> String {
    format!(
        "limits missed for {} s, {} lost, {:.1} instance-minutes, at most {} at once",
        row.over_limit,
        units::count(row.errors, "request"),
        row.instance_minutes,
        units::count(row.most_instances, "instance")
    )
}

/// Describes the limits of a load that the run did not send.
fn not_sent(load: &AskedLoad) -> String {
    if load.times <= 1.0 {
        return String::new();
    }
    format!(
        " The group begins with {}, which its policy keeps for the load before the spike. This run did not send this load: \
         what lies behind the instances may not carry it.",
        units::count(load.initial, "instance")
    )
}

fn time_until(until: &UntilInstances) -> String {
    let instances = units::count(until.instances, "instance");
    match until.reached {
        Reached::Before => format!("{instances} serve before the load rises."),
        Reached::Never { most } => {
            format!(
                "The policy does not ask for {instances}, however long the highest load lasts: {most} at most."
            )
        }
        Reached::After {
            decided,
            decisions,
            window,
            boot,
            health,
        } => {
            let time = units::duration;
            let checked = match health.is_zero() {
                true => String::new(),
                false => format!(", {} until healthy", time(health)),
            };
            format!(
                "{instances} serve {} after the load rose, if it stays at its highest: {} until the policy asks for them ({}; the \
                 alarm's own window is {} of it), {} to boot{checked}.",
                time(decided + boot + health),
                time(decided),
                units::count(decisions, "decision"),
                time(window),
                time(boot)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_until_so_many_serve_is_said_with_its_links() {
        let second = Duration::from_secs;
        let said = |reached| {
            time_until(&UntilInstances {
                instances: 6,
                reached,
            })
        };
        let after = Reached::After {
            decided: second(6),
            decisions: 2,
            window: second(3),
            boot: second(10),
            health: second(1),
        };
        assert_eq!(
            said(after),
            "6 instances serve 17s after the load rose, if it stays at its highest: 6s until the policy asks for them \
             (2 decisions; the alarm's own window is 3s of it), 10s to boot, 1s until healthy."
        );
        assert_eq!(
            said(Reached::Before),
            "6 instances serve before the load rises."
        );
        assert!(said(Reached::Never { most: 4 }).ends_with(": 4 at most."));
    }
}
