//! Sentences for the answers on sizes: instances, target, minimum, maximum and steps.

use super::super::figures::rate;
use crate::advice::{
    BeyondMaximum, Binding, Carried, MinAndMax, NeededSize, PresentTarget, ROOM, SizeRange,
    StepSize, TargetCompared, TargetRow, TargetValue,
};
use evidence::InstanceCapacity;
use evidence::load::Elasticity;
use model::units::{self, Usd};

pub(super) fn followed(found: &Elasticity, cost: Option<Usd>) -> String {
    let money = cost.map_or(String::new(), |usd| format!(" ({usd})"));
    format!(
        "Too few instances in {:.0} % of the time ({:.2} missing on average over the run), too many in {:.0} % ({:.2} more \
         than needed): {:.1} instance-minutes{money} were not needed for the load.",
        found.timeshare_under * 100.0,
        found.accuracy_under,
        found.timeshare_over * 100.0,
        found.accuracy_over,
        found.over_instance_minutes
    )
}

pub(super) fn needed_size(size: &NeededSize) -> String {
    let limit = units::duration(size.limit);
    let mut text = format!(
        "One instance carries {} requests/s with p95 within {limit}; the highest second asked {}, which is {}.",
        rate(size.each),
        rate(size.peak),
        range(&size.size)
    );
    match size.beyond {
        Some(BeyondMaximum::CannotHold { max, needed }) => {
            text += &format!(
                " The group's maximum of {max} cannot hold it: raise it to {needed} or more."
            );
        }
        Some(BeyondMaximum::MayBeTooSmall { max }) => {
            text += &format!(" The group's maximum of {max} may be too small for it.");
        }
        None => {}
    }
    if size.limit_is_assumed {
        text += &format!(" (The scenario has no threshold on p95: {limit} was assumed.)");
    }
    text
}

/// Describes the load that a group carries at its maximum, beside the highest load.
pub(super) fn at_maximum(carried: &Carried) -> String {
    let Carried { max, limit, .. } = carried;
    let (load, held) = (thousands(carried.load), thousands(carried.held));
    let range = match carried.missed.map(thousands) {
        None => " or more".to_owned(),
        Some(missed) if missed == held => String::new(),
        Some(missed) => {
            format!(" ({held} to {missed} by what held the limit and what did not)")
        }
    };
    format!(
        "At max {max} it carries {load} requests/s{range} with p95 within {}: {:.1} times the highest second, which asked {}.",
        units::duration(*limit),
        carried.load / carried.peak.max(1.0),
        thousands(carried.peak)
    )
}

/// Rounds a number of requests, with a comma between thousands.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Describes a size with its range, for example `4 instances (3 to 10 by what held and what did
/// not)`.
fn range(size: &SizeRange) -> String {
    let count = units::count(size.needed, "instance");
    let most = size.most;
    match size.fewest {
        None => format!("{count} (at most {most})"),
        Some(fewest) if fewest == most => count,
        Some(fewest) => {
            format!("{count} ({fewest} to {most} by what held the limit and what did not)")
        }
    }
}

/// Describes what the run shows of an instance's capacity.
pub(super) fn known(capacity: &InstanceCapacity) -> String {
    let because = super::super::capacity(capacity);
    match capacity.between {
        (least, Some(most)) => {
            let saturated = capacity.saturated.filter(|saturated| *saturated < most);
            let saturated = saturated.map_or(String::new(), |saturated| {
                format!(" ({} were answered of those)", rate(saturated))
            });
            format!(
                "the limit held with {} and was missed with {}{saturated}; {because}",
                rate(least),
                rate(most)
            )
        }
        (_, None) => because,
    }
}

pub(super) fn target_value(target: &TargetValue) -> String {
    let now = target.now.as_ref().map_or(String::new(), present_target);
    let binding = target.binding.as_ref().map_or(String::new(), binding);
    format!(
        "At most about {:.0}: an instance at its limit shows {} {:.0}, and {:.0} % of that leaves room for what \
         comes while new ones start.{now}{binding}",
        target.fitting,
        target.metric,
        target.full,
        ROOM * 100.0
    )
}

/// Names the policy that the target is about.
fn binding(binding: &Binding) -> String {
    format!(
        " This is about policy {}, whose largest decision was from {} to {}.",
        binding.policy,
        binding.from,
        units::count(binding.to, "instance")
    )
}

fn present_target(now: &PresentTarget) -> String {
    let late = if now.is_late {
        "more than an instance reaches within the limit, so it asks for more too late; "
    } else {
        ""
    };
    format!(" It is {}: {late}{}.", now.target, compared(&now.compared))
}

fn compared(compared: &TargetCompared) -> String {
    match compared {
        TargetCompared::Recommended { best, now } => format!(
            "{} is recommended below, for {} instead of {}",
            best.name,
            figures(best),
            figures(now)
        ),
        TargetCompared::Holds { now } => {
            format!("it holds the limit with this load ({})", figures(now))
        }
        TargetCompared::WouldHelp { best, now } => format!(
            "{} would help ({} instead of {}), and what is recommended below does more",
            best.name,
            figures(best),
            figures(now)
        ),
        TargetCompared::NoneBetter { best, now } => format!(
            "no other that was tried is much better ({} at best, with {}; {} now)",
            figures(best),
            best.name,
            figures(now)
        ),
        TargetCompared::LittleRoom => {
            "little room, so latency goes before new instances are there".to_owned()
        }
        TargetCompared::Room => {
            "there is room; what less of it would cost or gain this run cannot tell".to_owned()
        }
    }
}

fn figures(row: &TargetRow) -> String {
    let lost = row.lost.map_or(String::new(), |lost| {
        format!(" and {} lost", units::count(lost, "request"))
    });
    format!("{} s over the limit{lost}", row.over_limit)
}

pub(super) fn min_and_max(bounds: &MinAndMax) -> String {
    let MinAndMax {
        needed,
        roomy,
        min,
        max,
        ..
    } = bounds;
    let fits = if needed > max { "too small" } else { "enough" };
    let mut text = format!(
        "max: {needed} for the highest load, {roomy} with room to catch up; it is {max}, {fits}. min: the load before the spike \
         needs {}; it is {min}.",
        range(&bounds.calm)
    );
    if let Some(cost) = &bounds.standing {
        text += &format!(
            " A minimum of {needed} would hold the spike from its first second, but {}.",
            super::standing(cost)
        );
    }
    text
}

pub(super) fn step_size(step: &StepSize) -> String {
    match step {
        StepSize::NotNeeded { before } => {
            format!(
                "No step is needed: the {before} that were there are enough for the highest load."
            )
        }
        StepSize::Largest {
            size,
            add,
            before,
            policy,
            largest,
            is_percent,
        } => {
            let unit = if *is_percent { " %" } else { "" };
            format!(
                "The spike needs {} at once, {add} more than the {before} that were there; the largest step of {policy} is {largest}{unit}.",
                range(size)
            )
        }
        StepSize::Beside { row, now } => format!(
            "There are none. One beside the policy ({}): limits missed for {} s instead of {} s, {} requests lost instead of {}.",
            row.name, row.over_limit, now.over_limit, row.errors, now.errors
        ),
        StepSize::ToAdd { add } => {
            format!("There are none. One would have to add {add} at once.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_said_as_a_range_where_the_run_leaves_one() {
        let said = |needed, fewest, most| {
            range(&SizeRange {
                needed,
                fewest,
                most,
            })
        };
        assert_eq!(
            said(4, Some(3), 10),
            "4 instances (3 to 10 by what held the limit and what did not)"
        );
        assert_eq!(said(1, Some(1), 1), "1 instance");
        assert_eq!(said(4, None, 4), "4 instances (at most 4)");
    }

    #[test]
    fn the_load_at_the_maximum_is_said_with_its_bracket() {
        let carried = Carried {
            max: 8,
            load: 1600.0,
            held: 1520.0,
            missed: Some(1680.0),
            limit: std::time::Duration::from_millis(400),
            peak: 320.0,
        };
        assert_eq!(
            at_maximum(&carried),
            "At max 8 it carries 1,600 requests/s (1,520 to 1,680 by what held the limit and what did not) with p95 within \
             400ms: 5.0 times the highest second, which asked 320."
        );
        let least = Carried {
            missed: None,
            ..carried
        };
        assert!(
            at_maximum(&least).starts_with("At max 8 it carries 1,600 requests/s or more with")
        );
        assert_eq!(
            [0.0, 999.0, 1_234_567.0].map(thousands),
            ["0", "999", "1,234,567"]
        );
    }

    #[test]
    fn of_several_policies_the_one_that_binds_is_named() {
        let said = |binding| {
            target_value(&TargetValue {
                fitting: 60.0,
                metric: "CPUUtilization".to_owned(),
                full: 85.0,
                now: None,
                binding,
            })
        };
        let alone = said(None);
        let binds = said(Some(Binding {
            policy: "web-cpu".to_owned(),
            from: 2,
            to: 5,
        }));
        assert_eq!(
            binds,
            format!(
                "{alone} This is about policy web-cpu, whose largest decision was from 2 to 5 instances."
            )
        );
    }

    #[test]
    fn a_maximum_that_the_load_exceeds_is_named() {
        let said = |beyond| {
            needed_size(&NeededSize {
                each: 85.0,
                limit: std::time::Duration::from_millis(500),
                peak: 280.0,
                size: SizeRange {
                    needed: 4,
                    fewest: None,
                    most: 4,
                },
                beyond,
                limit_is_assumed: false,
            })
        };
        let beyond = BeyondMaximum::CannotHold { max: 2, needed: 4 };
        assert!(said(Some(beyond)).ends_with(
            "is 4 instances (at most 4). The group's maximum of 2 cannot hold it: raise it to 4 or more."
        ));
        let beyond = BeyondMaximum::MayBeTooSmall { max: 3 };
        assert!(said(Some(beyond)).ends_with(" The group's maximum of 3 may be too small for it."));
    }
}
