//! The guard's life: waits until no process drives its run, and destroys what that left.

use tokio::time::sleep;

use crate::proof::PROOF;
use crate::reap::clouds::Clouds;
use crate::reap::fence::fence;
use crate::reap::journals::same_place;
use crate::reap::target::LOOK;
use crate::reap::{Reap, Reaped, Reaping, Skipped, reap};
use crate::{JournalFacts, Teardown, TeardownError, destroy};
use model::events::Events;
use model::units::RunId;
use provision::journal::names::ResourceNames;
use provision::journal::{self, Record, locks};

/// Waits until no process drives the run, and destroys what it left. Does nothing for a finished
/// run.
pub async fn when_orphaned(
    wanted: &Reaping,
    run: &RunId,
    events: &Events,
) -> Result<Reap, TeardownError> {
    let folder = wanted.runs_dir.join(run.as_str());
    // Read while it is there: a folder that is deleted later must not hide where the run was.
    let records = journal::read(&folder);
    // A run that holds no lock any more on the host of its own guard is dead: no heartbeat has to
    // be checked.
    let wanted = Reaping {
        only: Some(run.clone()),
        discover: false,
        dry_run: false,
        force: true,
        ..wanted.clone()
    };
    loop {
        let waiting = folder.clone();
        let waited =
            tokio::task::spawn_blocking(move || locks::wait_until_orphaned(&waiting)).await?;
        if !folder.join(journal::JOURNAL).exists() {
            events.note(format!(
                "{run} has lost its orchestrator and its folder: destroying what it made, by name"
            ));
            let runs = vec![without_folder(&wanted, run, &records, events).await?];
            return Ok(Reap {
                runs,
                ..Reap::default()
            });
        }
        waited?;
        if journal::read(&folder)
            .iter()
            .any(|record| matches!(record, Record::Finished { .. }))
        {
            return Ok(Reap::default());
        }
        events.note(format!(
            "{run} has lost its orchestrator: destroying what it made"
        ));
        let reaped = reap(&wanted, events).await?;
        // Another reaper was quicker, and may be killed too.
        if !reaped
            .runs
            .iter()
            .any(|run| matches!(run.skipped, Some(Skipped::Alive(_))))
        {
            return Ok(reaped);
        }
        sleep(LOOK).await;
    }
}

/// Destroys by name everything that a run whose folder is gone could have made.
async fn without_folder(
    wanted: &Reaping,
    run: &RunId,
    records: &[Record],
    events: &Events,
) -> Result<Reaped, TeardownError> {
    let changes = journal::changes(records);
    let settings = changes.iter().map(journal::GroupChange::thing);
    let things = settings.chain(ResourceNames::of(run).things()).collect();
    let entry = Reaped::new(run.clone(), things);
    let cloud = match Clouds::default().get(events).await {
        Ok(cloud) => cloud,
        Err(error) => return Ok(entry.became(Err(Skipped::Unable(error.to_string())))),
    };
    if let Err(why) = same_place(&cloud, records) {
        return Ok(entry.became(Err(Skipped::Unable(why.to_string()))));
    }
    let facts = JournalFacts {
        unsettled: true,
        known: journal::head(records).is_some(),
    };
    let teardown = Teardown::by_name(&cloud, run, facts, events).with_changes(changes);
    fence(&teardown).await;
    let destruction = destroy(&teardown, &entry.leftovers).await;
    destruction.write_proof(&wanted.runs_dir.join(format!("{run}.{PROOF}")), &teardown);
    Ok(entry.became(Ok(destruction)))
}
