//! Sentences for the source of each moment of a reaction, and for the waits in it.

use evidence::Reaction;
use evidence::moment::{DecidedBy, Moment, Origin};
use evidence::scale_in::{WaitReason, WarmUpSetting};

/// Writes the sentences of a reaction beside its types.
pub fn reaction(mut reaction: Reaction) -> Reaction {
    let spikes = reaction.spikes.iter_mut();
    let chains = spikes.flat_map(|spike| [&mut spike.out, &mut spike.back]);
    for moment in chains
        .chain([&mut reaction.out, &mut reaction.back])
        .flatten()
    {
        moment.source = source(moment);
    }
    if let Some(setting) = &reaction.in_waits_for_setting {
        reaction.in_waits_for = wait(setting);
    }
    reaction
}

/// Returns the source of a moment in words; for an earlier report its own sentence.
pub fn source(moment: &Moment) -> String {
    moment
        .origin
        .as_ref()
        .map_or_else(|| moment.source.clone(), origin)
}

pub(super) fn origin(origin: &Origin) -> String {
    let fixed = match origin {
        Origin::Datapoint {
            alarm,
            value,
            in_history: true,
        } => return format!("first breaching datapoint ({value:.1}) in the history of {alarm}"),
        Origin::Datapoint {
            alarm,
            value,
            in_history: false,
        } => {
            return format!(
                "first breaching datapoint ({value:.1}) of the metric before {alarm} fired"
            );
        }
        Origin::Decision {
            activity,
            from,
            to,
            policy,
        } => {
            let activity = match activity {
                DecidedBy::ServiceActivity => "the service's scaling activity",
                DecidedBy::FirstLaunch => "cause of the first launch",
                DecidedBy::FirstTermination => "cause of the first termination",
            };
            let by = policy.as_deref().unwrap_or("no policy");
            return format!("{activity}: {from} to {to}, by {by}");
        }
        Origin::CreatedAt { instance } => return format!("createdAt of {instance}"),
        Origin::LaunchActivity { instance } => {
            return format!("StartTime of the launch of {instance}");
        }
        Origin::FirstThere { instance } => return format!("{instance} was first there"),
        Origin::StartedAt { instance } => return format!("startedAt of {instance}"),
        Origin::LifecycleState { instance } => return format!("lifecycle state of {instance}"),
        Origin::TargetHealth { instance } => return format!("target health of {instance}"),
        Origin::AnswerHeader { instance } => {
            return format!("the header of {instance} in its first answer");
        }
        Origin::ReadyWithoutHeader { instance } => {
            return format!(
                "inferred: {instance} could take requests from then on (no `instance_header` names it)"
            );
        }
        Origin::LatencyLimit {
            p95_s,
            steady_s,
            assumed,
        } => {
            let assumed = if *assumed {
                " (assumed: no threshold says so)"
            } else {
                ""
            };
            return format!("p95 under {p95_s} again, and for {steady_s} seconds{assumed}");
        }
        Origin::StoppingAt { instance } => return format!("stoppingAt of {instance}"),
        Origin::TerminationActivity { instance } => {
            return format!("StartTime of the termination of {instance}");
        }
        Origin::FirstLeaving { instance } => return format!("{instance} was first seen leaving"),
        Origin::Polled { instance } => return format!("{instance}, polled"),
        Origin::Plan => "the plan, at the agreed start instant",
        Origin::FirstLowDatapoint => "the first datapoint that the alarm for less was decided on",
        Origin::AlarmHistory => "DescribeAlarmHistory, StateUpdate to ALARM",
        Origin::AlarmState => {
            "StateTransitionedTimestamp of the alarm: its history was not readable"
        }
        Origin::DesiredCapacity => "desired capacity, polled",
    };
    fixed.to_owned()
}

/// Returns in words what the group waits for before it scales in.
pub(super) fn wait(reason: &WaitReason) -> String {
    match reason {
        WaitReason::LowAlarmWindow => "its low alarm's window".to_owned(),
        WaitReason::Cooldown => "its cooldown".to_owned(),
        WaitReason::RestOfCooldown { cooldown_s } => {
            format!("what was left of its cooldown of {cooldown_s} when the load fell")
        }
        WaitReason::RestOfWarmUp { warm_up, lasts_s } => {
            let setting = match warm_up {
                WarmUpSetting::Policy => "the policy's warm-up",
                WarmUpSetting::DefaultWarmUp => "the group's default warm-up",
                WarmUpSetting::DefaultCooldown => {
                    "the group's default cooldown, which is taken for the warm-up"
                }
            };
            format!("what was left of {setting} of {lasts_s} when the load fell")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_a_group_waits_for_is_named_with_its_setting() {
        let seconds = |seconds| Duration::from_secs(seconds).into();
        for (reason, text) in [
            (
                WaitReason::RestOfCooldown {
                    cooldown_s: seconds(30),
                },
                "what was left of its cooldown of 30s when the load fell",
            ),
            (
                WaitReason::RestOfWarmUp {
                    warm_up: WarmUpSetting::Policy,
                    lasts_s: seconds(20),
                },
                "what was left of the policy's warm-up of 20s when the load fell",
            ),
            (
                WaitReason::RestOfWarmUp {
                    warm_up: WarmUpSetting::DefaultCooldown,
                    lasts_s: seconds(300),
                },
                "what was left of the group's default cooldown, which is taken for the warm-up of 5m when the load fell",
            ),
        ] {
            assert_eq!(wait(&reason), text);
        }
    }
}
