//! The core of every teardown: stop the spending, run terraform, delete the rest by name, and prove
//! that each thing that could have been made is gone.
//!
//! Destroy always starts; no precondition can block it. A step that fails is tried again by the
//! kind of its failure, within a bound. terraform's exit code proves nothing: on an empty state
//! `destroy` succeeds with nothing done.

use std::time::Duration;

use tokio::time::{Instant, sleep};

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
    stop_spending(teardown, things).await;
    terraform_destroy(teardown, until).await;
    let destruction = delete_and_verify(teardown, things, until).await;
    if !teardown.journal.unsettled || !destruction.is_clean() {
        return destruction;
    }
    teardown.events.note(format!(
        "an apply was cut off: looking again in {} s for resources that appear late",
        SETTLES.as_secs()
    ));
    sleep(SETTLES).await;
    delete_and_verify(teardown, things, until).await
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
