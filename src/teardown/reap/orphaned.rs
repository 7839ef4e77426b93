//! What the guard does: waits until nobody drives its run, and destroys what that left.

use tokio::time::sleep;

use super::clouds::Clouds;
use super::fence::fence;
use super::journals::same_place;
use super::target::LOOK;
use super::{Reap, Reaped, Reaping, Skipped, TeardownError, reap};
use crate::events::Events;
use crate::journal::names::Names;
use crate::journal::{self, Record, locks};
use crate::teardown::destroy::{Site, dismantle};
use crate::teardown::proof::{PROOF, prove};
use crate::units::RunId;

/// The guard's whole life: waits until nobody drives the run, and destroys what it left. Nothing
/// for a finished run.
pub async fn when_orphaned(
    wanted: &Reaping,
    run: &RunId,
    events: &Events,
) -> Result<Reap, TeardownError> {
    let folder = wanted.runs_dir.join(run.as_str());
    // Read while it is there: a folder that is deleted later must not hide where the run was.
    let records = journal::read(&folder);
    // Whoever holds no lock any more on the host of its own guard is dead: nobody has to ask the
    // bucket.
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
        // Somebody was quicker: whoever it is may be killed too.
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

/// A run whose folder is gone: everything that it could have made, by name.
async fn without_folder(
    wanted: &Reaping,
    run: &RunId,
    records: &[Record],
    events: &Events,
) -> Result<Reaped, TeardownError> {
    let entry = Reaped::new(run.clone(), Names::of(run).things());
    let cloud = match Clouds::default().get(events).await {
        Ok(cloud) => cloud,
        Err(error) => return Ok(entry.became(Err(Skipped::Unable(error.to_string())))),
    };
    if let Err(why) = same_place(&cloud, records) {
        return Ok(entry.became(Err(Skipped::Unable(why))));
    }
    let by_name = journal::head(records).is_none();
    let site = Site {
        cloud: &cloud,
        run,
        host: None,
        terraform: None,
        unsettled: true,
        by_name,
        events,
    };
    fence(&site).await;
    let destruction = dismantle(&site, &entry.leftovers).await;
    prove(
        &wanted.runs_dir.join(format!("{run}.{PROOF}")),
        &site,
        &destruction,
    );
    Ok(entry.became(Ok(destruction)))
}
