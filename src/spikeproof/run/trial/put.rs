//! Puts a planned change on the target's group, and tells what became of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::state::RunState;
use super::super::{Context, RunError, beside};
use super::{MAX, MIN, NotTried, alone};
use crate::channel::Channel;
use crate::events::Phase;
use crate::journal::Record;
use crate::journal::change::{ChangeNote, GroupChange, Setting, Standing};
use crate::report::PutBack;
use crate::settings::Settings;
use crate::teardown::proof::Destruction;

/// Time for a raised minimum to be in service before the load.
pub(in crate::run) const IN_SERVICE: Duration = Duration::from_mins(10);
/// Between two looks at a setting or at the group.
const LOOK: Duration = Duration::from_secs(1);
/// Looks at a setting that was just written.
const READ_BACK: u32 = 5;

/// Writes what the run will change to the journal, with all that undoes it. The guard starts after
/// it, so that it knows this even if the folder is lost.
pub(in crate::run) fn record(state: &RunState) -> Result<(), RunError> {
    for change in &state.plan.trial.changes {
        state.record_intent(Record::IntentChange {
            change: change.clone(),
        })?;
    }
    Ok(())
}

/// Puts the change on the group, and waits until a raised minimum is in service.
pub(in crate::run) async fn put(
    cx: &Context,
    state: &RunState,
    channel: &Channel,
) -> Result<(), RunError> {
    let changes = &state.plan.trial.changes;
    let Some(cloud) = state.plan.cloud.as_ref().filter(|_| !changes.is_empty()) else {
        return Ok(());
    };
    let settings = Settings::new(&cloud.aws);
    is_watched(cx, state).await?;
    is_alone(cx, state).await?;
    for change in changes {
        is_untouched(state, &settings, change).await?;
    }
    // The run's bucket outlives this machine: with the old values, a reap elsewhere can put them
    // back.
    write_note(channel, changes, false).await?;
    state.record_intent(Record::ChangeBegins)?;
    for change in changes {
        go_on(state).await?;
        cx.events.warn(announcement(change));
        settings.put(change).await.map_err(failed)?;
        read_back(&settings, change).await?;
    }
    state.record(Record::Changed);
    if let Err(error) = write_note(channel, changes, true).await {
        // Then a reap elsewhere trusts a third value less.
        cx.events.note(error.to_string());
    }
    tokio::select! {
        in_service = wait_in_service(state, &settings) => in_service,
        // Others see that the run is alive, and the guard is looked at.
        never = state.keep_sending_heartbeats(&cx.events) => match never {},
    }
}

async fn write_note(
    channel: &Channel,
    changes: &[GroupChange],
    read_back: bool,
) -> Result<(), RunError> {
    let note = ChangeNote {
        changes: changes.to_vec(),
        read_back,
    };
    let note = serde_json::to_vec(&note).map_err(failed)?;
    channel.put_changes(note).await.map_err(failed)
}

/// Proves that the run is still ours, and that a guard would put the group back.
async fn is_watched(cx: &Context, state: &RunState) -> Result<(), RunError> {
    go_on(state).await?;
    state.send_heartbeat(&cx.events).await.map_err(failed)?;
    match state.has_guard().await {
        true => Ok(()),
        false => Err(refused(NotTried::NoGuard)),
    }
}

/// Proves once more that no other run tests or changes the group. By now the account knows this run
/// by its tags and its heartbeat, so of two that begin together one at least sees the other.
async fn is_alone(cx: &Context, state: &RunState) -> Result<(), RunError> {
    let plan = &state.plan;
    let (own, cloud) = (Some(&plan.run), plan.cloud.as_ref());
    let target = beside::target(&plan.scenario, plan.watched_in.as_ref());
    let others = beside::look(cx, target.as_ref(), plan.watched_in.as_ref(), own).await;
    alone(&cx.trial, cloud, &others, own).await.map_err(refused)
}

/// Fails at a limit or a signal, each with its own reason.
async fn go_on(state: &RunState) -> Result<(), RunError> {
    state.check_limits(Phase::Provision).await?;
    match state.stop_conditions.token().is_cancelled() {
        true => Err(RunError::interrupted(Phase::Provision)),
        false => Ok(()),
    }
}

fn refused(why: NotTried) -> RunError {
    RunError {
        phase: Phase::Provision,
        ..why.error()
    }
}

/// Proves once more, just before the first write, that the group may be changed, and that nobody
/// has changed the setting since the plan.
async fn is_untouched(
    state: &RunState,
    settings: &Settings,
    change: &GroupChange,
) -> Result<(), RunError> {
    go_on(state).await?;
    let group = settings.group(&change.group).await.map_err(failed)?;
    if !group.is_some_and(|group| group.may_change) {
        return Err(refused(NotTried::NoTag(change.group.clone())));
    }
    let now = settings.read(change).await.map_err(failed)?;
    if now.is_some_and(|now| change.is_untouched(&now)) {
        return Ok(());
    }
    let thing = change.thing();
    let what = format!("{thing}: somebody has changed it since the plan, so it is left alone");
    Err(RunError::could_not(Phase::Provision, what))
}

/// Returns what is changed, with the old values: a log has them even where the journal is lost.
fn announcement(change: &GroupChange) -> String {
    let [before, during] = [&change.before, &change.during].map(|setting| {
        let changed = change.changed().into_iter();
        let said = changed.map(|name| {
            let value = setting.get(name).map_or("absent", String::as_str);
            format!("{name} {value}")
        });
        said.collect::<Vec<_>>().join(", ")
    });
    let consequence = match change.setting {
        Setting::Sizes if change.changed().contains(MAX) => {
            "; with the old maximum, AWS ends the instances above it, whoever needs them"
        }
        Setting::Sizes => "; the instances that it starts leave by the group's own policies",
        Setting::Policy { .. } => "",
    };
    format!(
        "{}: {during} for this run, then {before} again{consequence}",
        change.thing()
    )
}

/// Looks until what was put reads so.
async fn read_back(settings: &Settings, change: &GroupChange) -> Result<(), RunError> {
    for _ in 0..READ_BACK {
        let now = settings.read(change).await.map_err(failed)?;
        if now.is_some_and(|now| change.standing(&now) == Standing::AsPut) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    let what = format!("{} does not read as it was put", change.thing());
    Err(RunError::could_not(Phase::Provision, what))
}

/// Returns the change that raises the minimum, with the new one.
fn raised_minimum(changes: &[GroupChange]) -> Option<(&GroupChange, usize)> {
    let raises = |change: &&GroupChange| change.changed().contains(MIN);
    let change = changes.iter().find(raises)?;
    Some((change, change.during.get(MIN)?.parse().ok()?))
}

async fn wait_in_service(state: &RunState, settings: &Settings) -> Result<(), RunError> {
    let Some((change, min)) = raised_minimum(&state.plan.trial.changes) else {
        return Ok(());
    };
    let until = Instant::now() + IN_SERVICE;
    loop {
        let group = settings.group(&change.group).await.map_err(failed)?;
        let in_service = group.map_or(0, |group| group.in_service);
        if in_service >= min {
            return Ok(());
        }
        go_on(state).await?;
        if Instant::now() >= until {
            let what = format!(
                "{in_service} of the minimum of {min} instances are in service after {} minutes",
                IN_SERVICE.as_secs() / 60
            );
            return Err(RunError::could_not(Phase::Provision, what));
        }
        sleep(LOOK).await;
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::caused_by(Phase::Provision, error)
}

/// Returns what became of the changed settings.
pub(in crate::run) fn outcome(planned: &[GroupChange], destruction: &Destruction) -> PutBack {
    let mut outcome = PutBack::AsBefore;
    for change in planned {
        let thing = change.thing();
        match destruction.proof.iter().rfind(|proof| proof.thing == thing) {
            Some(proof) if proof.gone && proof.foreign => outcome = PutBack::ChangedByOthers,
            Some(proof) if proof.gone => {}
            _ => return PutBack::NotProven,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::change::Parameters;

    fn sizes(before: (&str, &str), during: (&str, &str)) -> GroupChange {
        let of = |(min, max): (&str, &str)| -> Parameters {
            [(MIN, min), (MAX, max)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        GroupChange::new("web", Setting::Sizes, of(before), of(during))
    }

    #[test]
    fn only_a_raised_minimum_is_waited_for() {
        let maximum = sizes(("2", "8"), ("2", "12"));
        assert_eq!(raised_minimum(std::slice::from_ref(&maximum)), None);
        let minimum = sizes(("2", "8"), ("5", "8"));
        assert_eq!(
            raised_minimum(std::slice::from_ref(&minimum)),
            Some((&minimum, 5))
        );
    }

    #[test]
    fn the_old_values_and_the_consequence_are_told_before_the_change() {
        assert_eq!(
            announcement(&sizes(("2", "8"), ("2", "12"))),
            "changed setting of group web, minimum and maximum: MaxSize 12 for this run, then MaxSize 8 again; with the old \
             maximum, AWS ends the instances above it, whoever needs them"
        );
    }
}
