//! Sentences for the links of a reaction that were not seen, or that differ from the expected
//! order.

use evidence::timeline::NotScaled;
use evidence::{MomentKind, OpenLink};
use model::units;

/// Returns the link in words.
pub fn link(link: &OpenLink) -> String {
    match link {
        OpenLink::GrewBeforeTheSpike {
            from,
            to,
            after_start_s,
        } => format!(
            "the group grew before the spike rose, and not again: {from} to {to}, {after_start_s} after the load's start"
        ),
        OpenLink::FiredBeforeTheRise { alarm } => {
            format!("{alarm} had fired before the load rose: there is no breach to count from")
        }
        OpenLink::NoAlarmAskedForMore { instances } => format!(
            "no alarm asked for more than the {} that were still there",
            units::count(*instances, "instance")
        ),
        OpenLink::NotScaled { why } => not_scaled(why),
        OpenLink::NotSeen { moment } => format!("{moment}: not seen by the end of the watch"),
        OpenLink::LatencyBackWithoutNewInstance => {
            format!(
                "{}: before any new instance served",
                MomentKind::LatencyBack
            )
        }
        OpenLink::LatencyBackAtTheFall => {
            format!("{}: only when the load fell", MomentKind::LatencyBack)
        }
        OpenLink::LatencyNeverBack => {
            format!("{}: not by the end of the load", MomentKind::LatencyBack)
        }
        OpenLink::LatencyUnknown => format!(
            "{}: the spike has too few answers for a p95",
            MomentKind::LatencyBack
        ),
        OpenLink::StoppedBeforeTheFall => format!(
            "{}: the load was stopped before it did",
            MomentKind::LoadFell
        ),
        OpenLink::LowAlarmBeforeTheFall { alarm, before_s } => format!(
            "{}: {alarm} had fired {before_s} before the load fell",
            MomentKind::LowAlarm
        ),
        OpenLink::MetricLowBeforeTheFall { alarm, before_s } => format!(
            "{}: the metric had lain under {alarm} {before_s} before the load fell",
            MomentKind::LowAlarm
        ),
        OpenLink::Sentence(sentence) => sentence.clone(),
    }
}

/// Says why Application Auto Scaling left a service's capacity as it was.
pub(super) fn not_scaled(why: &NotScaled) -> String {
    let of = |count: Option<u32>| count.map_or(String::new(), |count| format!(" of {count}"));
    let fact = match why {
        NotScaled::AtMaximum { maximum } => {
            format!("the service was at its maximum{}", of(*maximum))
        }
        NotScaled::AtMinimum { minimum } => {
            format!("the service was at its minimum{}", of(*minimum))
        }
        NotScaled::AtDesired { current } => {
            let tasks = current.map_or("tasks".to_owned(), |count| units::count(count, "task"));
            format!("the policy asked for no more than the {tasks} that the service had")
        }
        NotScaled::AnticipatedFlapping => {
            "a change would soon have been undone by one in the other direction".to_owned()
        }
        NotScaled::Unscalable => "ECS let nothing scale the service for a while".to_owned(),
        NotScaled::Unknown { code } => format!("the service was not scaled for `{code}`"),
    };
    format!("{fact}, says Application Auto Scaling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_was_not_scaled_has_the_reason_of_application_auto_scaling() {
        let unknown = || NotScaled::Unknown {
            code: "MoonIsFull".to_owned(),
        };
        for (why, said) in [
            (
                NotScaled::AtMaximum { maximum: Some(4) },
                "the service was at its maximum of 4",
            ),
            (
                NotScaled::AtMaximum { maximum: None },
                "the service was at its maximum",
            ),
            (
                NotScaled::AtMinimum { minimum: Some(2) },
                "the service was at its minimum of 2",
            ),
            (
                NotScaled::AtDesired { current: Some(1) },
                "the policy asked for no more than the 1 task that the service had",
            ),
            (
                NotScaled::AtDesired { current: None },
                "the policy asked for no more than the tasks that the service had",
            ),
            (
                NotScaled::AnticipatedFlapping,
                "a change would soon have been undone by one in the other direction",
            ),
            (
                NotScaled::Unscalable,
                "ECS let nothing scale the service for a while",
            ),
            (unknown(), "the service was not scaled for `MoonIsFull`"),
        ] {
            let found = link(&OpenLink::NotScaled { why });
            assert_eq!(found, format!("{said}, says Application Auto Scaling"));
        }
    }
}
