//! Sentences for the links of a reaction that were not seen, or that differ from the expected
//! order.

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
