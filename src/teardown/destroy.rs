//! The core of every teardown: stop the spending, run terraform, delete the rest by name, and prove
//! that each thing that could have been made is gone. Settings that the run has changed are put
//! back at the same time: they wait for nothing.
//!
//! Destroy always starts; no precondition can block it. A step that fails is tried again by the
//! kind of its failure, within a bound. terraform's exit code proves nothing: on an empty state
//! `destroy` succeeds with nothing done.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Teardown;
use super::delete::delete_and_verify;
use super::proof::Destruction;
use super::terraform::terraform_destroy;
use provision::journal::names::{ResourceKind, Thing};

/// Limit for a whole destroy. It does not wait for an hour-long outage of a region; tasks have
/// ended long before that.
pub const BOUND: Duration = Duration::from_mins(15);
/// A create that was cut off may still come true, and a list may not know it yet.
const SETTLES: Duration = Duration::from_secs(20);

/// Removes things of a run, and describes each of them until it is found gone.
pub async fn destroy(teardown: &Teardown<'_>, things: &[Thing]) -> Destruction {
    let until = Instant::now() + BOUND;
    let is_setting = |thing: &Thing| thing.kind == ResourceKind::GroupSetting;
    let (settings, made): (Vec<Thing>, Vec<Thing>) = things.iter().cloned().partition(is_setting);
    // Without a journal only the run's bucket tells how the group was: it is kept until that is
    // back.
    let is_note = |thing: &Thing| thing.kind == ResourceKind::Bucket;
    let has_note = !teardown.journal.known && !settings.is_empty();
    let (note, made): (Vec<Thing>, Vec<Thing>) = made
        .into_iter()
        .partition(|thing| has_note && is_note(thing));
    let resources = async {
        stop_spending(teardown, &made).await;
        terraform_destroy(teardown, until).await;
        delete_and_verify(teardown, &made, until).await
    };
    let put_back = delete_and_verify(teardown, &settings, until);
    let (mut destruction, resources) = tokio::join!(put_back, resources);
    let note = match destruction.is_clean() {
        true => delete_and_verify(teardown, &note, until).await,
        false => kept(&note),
    };
    destruction.proof.extend(resources.proof);
    destruction.proof.extend(note.proof);
    // A setting that is changed after all matters whatever else is left.
    let is_clean = destruction.is_clean();
    let again = if is_clean { things } else { &settings };
    if !teardown.journal.unsettled || again.is_empty() {
        return destruction;
    }
    teardown.events.note(format!(
        "a call was cut off: looking again in {} s for what it may still do",
        SETTLES.as_secs()
    ));
    sleep(SETTLES).await;
    let looked_again = delete_and_verify(teardown, again, until).await;
    if is_clean {
        return looked_again;
    }
    destruction.proof.retain(|proof| !is_setting(&proof.thing));
    destruction.proof.extend(looked_again.proof);
    destruction
}

/// Keeps the things that still tell how a changed group was before the run.
fn kept(note: &[Thing]) -> Destruction {
    let mut kept = Destruction::default();
    for thing in note {
        let why = "kept, because it tells how the group was before the run";
        kept.add_left(thing.clone(), why.to_owned());
    }
    kept
}

/// Limit for the first attempt to put settings back. Others follow, at the same time as the
/// destroy.
const FIRST_ATTEMPT: Duration = Duration::from_secs(20);

/// Puts back each setting that the run has changed, if it is as the run put it. The proof comes
/// with [`destroy`].
pub async fn put_back(teardown: &Teardown<'_>, things: &[Thing]) {
    let inventory = teardown.inventory();
    for setting in things
        .iter()
        .filter(|thing| thing.kind == ResourceKind::GroupSetting)
    {
        match timeout(FIRST_ATTEMPT, inventory.delete(setting)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => teardown.events.note(format!("{setting}: {error}")),
            Err(_) => teardown
                .events
                .note(format!("{setting}: Auto Scaling does not answer")),
        }
    }
}

/// Asks every task of the run to stop, by the name of its cluster, and waits for them: the only
/// thing that costs.
pub async fn stop_spending(teardown: &Teardown<'_>, things: &[Thing]) {
    let inventory = teardown.inventory();
    for tasks in things
        .iter()
        .filter(|thing| thing.kind == ResourceKind::Tasks)
    {
        if let Err(error) = inventory.delete(tasks).await {
            teardown.events.note(format!("{tasks}: {error}"));
        }
    }
}
