//! Sentences for the reasons for judgements on scale-in.

use std::time::Duration;

use super::reaction::wait;
use crate::verdict::{CountedFrom, ScaleInReason, Unavoidable};
use model::units::Seconds;

pub(super) fn scale_in(reason: &ScaleInReason) -> String {
    let fixed = match reason {
        ScaleInReason::LowAlarmUnknown { call } => {
            return format!("the alarms are not known: {call} failed");
        }
        ScaleInReason::LowAlarmBefore { before_s } => {
            return format!(
                "the alarm for less had fired {before_s} before the load fell: how long the policy takes to see a fall cannot be told"
            );
        }
        ScaleInReason::FirstLeft { counted_from } => return counted(*counted_from).to_owned(),
        ScaleInReason::FirstLeftAhead {
            counted_from,
            ahead_s,
            at_most_s,
        } => {
            return format!(
                "{}; {}: without that it takes {at_most_s} at most",
                counted(*counted_from),
                low_before(*ahead_s)
            );
        }
        ScaleInReason::FirstLeftOnlyAhead {
            counted_from,
            ahead_s,
            otherwise,
        } => {
            let (counted, low) = (counted(*counted_from), low_before(*ahead_s));
            return match otherwise {
                Some(takes) => format!("{counted}, because {low}; otherwise {}", cannot(takes)),
                None => {
                    format!("{counted}, but {low}: whether it is met without that cannot be told")
                }
            };
        }
        ScaleInReason::PolicyCannotMeetIt { takes } => return cannot(takes),
        ScaleInReason::NothingLeft {
            watched_s,
            protected,
            takes,
        } => return nothing_left(*watched_s, *protected, takes.as_ref()),
        ScaleInReason::ScaleInDisabled => {
            "every policy has scale-in disabled: the group stays as large as the spike made it"
        }
        ScaleInReason::CooldownUnknown => {
            "the cooldown that the bound is made of is not known: no policy with one could be read"
        }
        ScaleInReason::NoLowAlarm => {
            "no alarm of the group asks for less capacity: it stays as large as the spike made it"
        }
        ScaleInReason::StoppedBeforeTheFall => "the load was stopped before its fall",
        ScaleInReason::NoSpikeEnds => "the scenario has no spike that ends",
        ScaleInReason::LoadMayNotHaveFallen => {
            "no alarm asked for less after the group had grown: the load may not have fallen yet"
        }
        ScaleInReason::ShrankBeforeTheFall => "the group had shrunk before the spike ended",
    };
    fixed.to_owned()
}

fn counted(from: CountedFrom) -> &'static str {
    match from {
        CountedFrom::EndOfSpike => "from the end of the spike to the first instance leaving",
        CountedFrom::FirstLowDatapoint => {
            "from the first low datapoint to the first instance leaving"
        }
    }
}

fn low_before(ahead: Seconds) -> String {
    format!("the metric had lain under the alarm for less {ahead} before the load fell")
}

fn cannot(takes: &Unavoidable) -> String {
    format!(
        "the policy cannot meet it: {} takes {} alone",
        wait(&takes.waits_for),
        takes.takes_s
    )
}

fn nothing_left(watched: Seconds, protected: bool, takes: Option<&Unavoidable>) -> String {
    let mut text = match watched.0 {
        Duration::ZERO => "the watch ended when the load fell: no instance could leave".to_owned(),
        _ => format!("no instance left in the {watched} that were watched after it"),
    };
    if protected {
        text += "; every instance is protected from scale-in";
    }
    if let Some(takes) = takes {
        text += &format!("; {}", cannot(takes));
    }
    text
}
