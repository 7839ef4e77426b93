//! Recover: stops the tasks, then waits until the group is back at its size, or its time has
//! passed.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::control::check_not_fenced;
use super::provision::Provisioned;
use super::state::RunState;
use super::{Context, RunError};
use crate::events::Phase;
use crate::evidence::Timeline;
use crate::evidence::scale_in;
use crate::evidence::timeline::GroupState;
use crate::limits::ReachedLimit;
use crate::report::words;
use crate::scenario::{InWithin, Scenario};
use crate::verdict::{EndedEarly, RunWarning, Warning};
use crate::watch::{self, Watch};

const TICK: Duration = Duration::from_secs(1);
/// Watched beyond the bound, so that a missed bound is seen as missed, and not as a short watch.
const WATCHED_BEYOND: Duration = Duration::from_secs(10);

/// Returns the longest time that a run waits for its group, by the settings before it. The load may
/// add a whole warm-up to a bound that follows from them.
pub(super) fn longest_wait(scenario: &Scenario, before: &Timeline) -> Duration {
    let bound = scale_in::in_bound_from(scenario, before, Timestamp::now()).unwrap_or_default();
    let warming = match scenario.scaling.in_within {
        InWithin::Auto => longest_warm_up(before).mul_f64(1.5),
        InWithin::Within(_) | InWithin::Cooldowns(_) => Duration::ZERO,
    };
    bound.max(warming) + WATCHED_BEYOND
}

fn longest_warm_up(before: &Timeline) -> Duration {
    let policies = before.policies().into_iter();
    let own = policies.filter_map(|policy| policy.warm_up);
    let group = before.groups().next_back().map(|(_, group)| group);
    let of_group = group.into_iter().flat_map(|group| {
        let default = group.default_warm_up.unwrap_or_default();
        [default, group.default_cooldown]
    });
    own.chain(of_group).max().unwrap_or_default()
}

/// The end of the recovery, whether or not the group is back at its size.
pub(super) struct Recovered {
    /// A limit of the run ended the wait early. A signal that ends it is reported with the run.
    pub warning: Option<Warning>,
}

pub(super) async fn recover(
    cx: &Context,
    state: &RunState,
    provisioned: &Provisioned,
) -> Result<Recovered, RunError> {
    // The tasks must not cost anything while the group takes its time.
    tokio::select! {
        () = stop_tasks(cx, state) => {}
        // There is no load any more. Reapers must see that this run is alive.
        never = state.keep_sending_heartbeats(&cx.events) => match never {},
        () = cx.interrupt.destroy_now().cancelled() => {
            return Err(RunError::interrupted(Phase::Recover));
        }
    }
    let Some(watch) = &provisioned.watch else {
        return Ok(Recovered { warning: None });
    };
    let before = state.plan.group.as_ref().map_or(0, |group| group.desired);
    let out_of_time = wait_for_group(cx, state, watch, before).await?;
    let ended_early = |limit| RunWarning::RecoveryEndedEarly {
        instances: watch.group().map_or(before, |group| lowest(&group, before)),
        cause: EndedEarly::LimitReached { limit },
    };
    let warning: Option<Warning> = out_of_time.map(ended_early).map(Into::into);
    if let Some(warning) = &warning {
        cx.events.warn(words::warning(warning));
    }
    Ok(Recovered { warning })
}

async fn stop_tasks(cx: &Context, state: &RunState) {
    let mut fleet = state.fleet.lock().await;
    if let Some(fleet) = fleet.as_mut()
        && let Err(error) = fleet.stop("the load has ended").await
    {
        // Destroy will try again, and prove it.
        cx.events.warn(error.to_string());
    }
}

/// Waits until the group has `before` instances again, or its minimum if that is higher by now.
/// Returns the limit that ended the wait, if one did.
async fn wait_for_group(
    cx: &Context,
    state: &RunState,
    watch: &Watch,
    before: u32,
) -> Result<Option<ReachedLimit>, RunError> {
    let (scenario, timeline) = (&state.plan.scenario, watch.timeline());
    let bound = scale_in::in_bound_from(scenario, &timeline, Timestamp::now());
    let give_up = Instant::now() + bound.unwrap_or_default() + WATCHED_BEYOND;
    let mut announced = false;
    while let Some(group) = watch.group() {
        let sent = state.send_heartbeat(&cx.events).await;
        check_not_fenced(sent, Phase::Recover)?;
        cx.events.say(watch::group_event(&group));
        let interrupted = cx.interrupt.stop_load().is_cancelled();
        if is_back(&group, before) || Instant::now() >= give_up || interrupted {
            break;
        }
        if let Some(limit) = state.out_of_time() {
            return Ok(Some(limit));
        }
        if !announced {
            announced = true;
            cx.events.note(format!(
                "waiting for the group to come back to {} (Ctrl-C ends the wait)",
                lowest(&group, before)
            ));
        }
        tokio::select! {
            () = sleep(TICK) => {}
            () = cx.interrupt.stop_load().cancelled() => {}
        }
    }
    Ok(None)
}

fn is_back(group: &GroupState, before: u32) -> bool {
    group.desired <= lowest(group, before) && group.instances.len() as u32 <= group.desired
}

/// The size that the group can come back to. In the trial of an advice its minimum may be higher
/// than its size was before.
fn lowest(group: &GroupState, before: u32) -> u32 {
    before.max(group.min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::timeline::{Instance, Observation, Observed, Policy};
    use crate::scenario::example;

    #[test]
    fn the_longest_wait_has_the_scenario_s_bound_or_a_whole_warm_up() {
        let mut scenario = example::scenario(vec![]);
        let mut before = Timeline::default();
        scenario.scaling.in_within = InWithin::Within(Duration::from_mins(40));
        assert_eq!(
            longest_wait(&scenario, &before),
            Duration::from_mins(40) + WATCHED_BEYOND
        );
        scenario.scaling.in_within = InWithin::Auto;
        assert_eq!(longest_wait(&scenario, &before), WATCHED_BEYOND);
        let mut see = |seen| {
            before
                .observations
                .push(Observation::new(Timestamp::UNIX_EPOCH, seen));
            longest_wait(&scenario, &before)
        };
        let group = GroupState {
            default_cooldown: Duration::from_mins(4),
            ..GroupState::default()
        };
        assert_eq!(
            see(Observed::Group(group)),
            Duration::from_mins(6) + WATCHED_BEYOND
        );
        let policy = Policy {
            name: "cpu".to_owned(),
            warm_up: Some(Duration::from_mins(10)),
            ..Policy::default()
        };
        assert_eq!(
            see(Observed::Policy(policy)),
            Duration::from_mins(15) + WATCHED_BEYOND
        );
    }

    #[test]
    fn a_group_whose_minimum_was_raised_is_back_at_that_minimum() {
        for (min, desired, instances, before, expected) in [
            (2, 2, 2, 2, true),
            (2, 3, 3, 2, false),
            // One is still leaving.
            (2, 2, 3, 2, false),
            (5, 5, 5, 2, true),
            (5, 6, 6, 2, false),
            (1, 3, 3, 4, true),
        ] {
            let group = GroupState {
                min,
                desired,
                instances: vec![Instance::default(); instances],
                ..GroupState::default()
            };
            assert_eq!(
                is_back(&group, before),
                expected,
                "{desired} of {min} to {before}"
            );
        }
    }
}
