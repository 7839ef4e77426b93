//! Sentences for the basis of the estimate of an instance's capacity.

use super::figures::rate;
use evidence::InstanceCapacity;
use evidence::capacity::{CapacityGap, CapacityReason, OthersIncluded, Weakness};
use model::units;

/// Returns the basis in words; for an earlier report its own sentence.
pub fn capacity(capacity: &InstanceCapacity) -> String {
    capacity
        .reason
        .as_ref()
        .map_or_else(|| capacity.because.clone(), reason)
}

/// Returns the reason in words, with the run that would be surer.
pub fn reason(reason: &CapacityReason) -> String {
    let missed = reason.missed_s;
    let held = match reason.pooled_s {
        None => format!("{} seconds", reason.held_s),
        Some(most) => format!("{} stretches of up to {most} seconds", reason.held_s),
    };
    let mut text = if missed == 0 {
        format!(
            "at least: {held} held the limit and none missed it; a run with a higher spike would find it"
        )
    } else if reason.enough {
        format!("{held} held the limit, {missed} missed it")
    } else {
        format!(
            "only {held} held the limit and {missed} missed it; a run with longer phases would be surer"
        )
    };
    if let Some(gap) = &reason.gap {
        text += &format!(
            "; what held and what is too much are {:.1} times apart: a run with a step between would tell, such as {}",
            gap.times,
            phases(gap)
        );
    }
    if let Some(found) = &reason.weakness {
        text += &format!("; {}", weakness(found));
    }
    if let Some(OthersIncluded { share, per_second }) = reason.others {
        text += &format!(
            "; others sent {:.0} % of the load ({per_second:.1}/s), known by the minute only",
            share * 100.0
        );
    }
    text
}

/// Describes the steps of the load, for example `phases of 88/s and 130/s (44 and 65 for each of 2
/// instances)`.
fn phases(gap: &CapacityGap) -> String {
    let each = &gap.steps_per_second;
    let rates: Vec<String> = each
        .iter()
        .map(|each| format!("{}/s", rate(each * f64::from(gap.instances))))
        .collect();
    let phases = if each.len() == 1 { "a phase" } else { "phases" };
    let each: Vec<String> = each.iter().map(|each| rate(*each)).collect();
    format!(
        "{phases} of {} ({} for each of {})",
        units::listed(&rates),
        units::listed(&each),
        units::count(gap.instances, "instance")
    )
}

pub(super) fn weakness(weakness: &Weakness) -> String {
    match weakness {
        Weakness::CutShort { ran_s, planned_s } => {
            format!("the load was cut short after {ran_s} of {planned_s}")
        }
        Weakness::NotSent { share } => {
            format!("only {:.0} % of what was asked was sent", share * 100.0)
        }
        Weakness::EasedOff {
            sent_per_second,
            offered_per_second,
        } => format!(
            "users waited for slow answers: the highest load lies between the {sent_per_second:.0} requests/s that were sent and \
             the {offered_per_second:.0} that as many users ask of a fast target, which is taken"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_pooled_seconds_are_not_called_seconds() {
        let said = reason(&CapacityReason {
            held_s: 7,
            missed_s: 5,
            pooled_s: Some(12),
            enough: true,
            gap: None,
            weakness: None,
            others: None,
        });
        assert_eq!(
            said,
            "7 stretches of up to 12 seconds held the limit, 5 missed it"
        );
    }

    #[test]
    fn a_load_that_eased_off_is_said_with_both_bounds() {
        let said = weakness(&Weakness::EasedOff {
            sent_per_second: 212.0,
            offered_per_second: 400.4,
        });
        assert_eq!(
            said,
            "users waited for slow answers: the highest load lies between the 212 requests/s that were sent and the 400 that as \
             many users ask of a fast target, which is taken"
        );
    }

    #[test]
    fn the_phases_that_would_close_a_gap_are_named() {
        let said = reason(&CapacityReason {
            held_s: 10,
            missed_s: 10,
            pooled_s: None,
            enough: true,
            gap: Some(CapacityGap {
                times: 100.0 / 30.0,
                steps_per_second: vec![40.54, 54.77, 74.0],
                instances: 2,
            }),
            weakness: Some(Weakness::NotSent { share: 0.8 }),
            others: Some(OthersIncluded {
                share: 0.12,
                per_second: 18.04,
            }),
        });
        assert_eq!(
            said,
            "10 seconds held the limit, 10 missed it; what held and what is too much are 3.3 times apart: a run with a step \
             between would tell, such as phases of 81/s, 110/s and 148/s (41, 55 and 74 for each of 2 instances); only 80 % of \
             what was asked was sent; others sent 12 % of the load (18.0/s), known by the minute only"
        );
    }
}
