//! Runs that have no journal here: found by name in the account.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::case::{Case, Looked, Place};
use super::clouds::Clouds;
use super::proof::PROOF;
use super::{Reaped, Reaping};
use crate::aws::discover;
use crate::aws::inventory::{Inventory, Presence};
use crate::events::Events;
use crate::journal::names::{Names, Thing};
use crate::run::RunError;
use crate::run::destroy::Site;
use crate::run::plan::Cloud;
use crate::units::RunId;

/// Nine Describes each.
const LOOKED_AT_ONCE: usize = 8;

/// Looks for runs that have something in the account, and no folder here.
pub(super) async fn look(
    wanted: &Reaping,
    clouds: &mut Clouds<'_>,
    known: &[RunId],
    events: &Events,
) -> Result<Vec<Looked>, RunError> {
    let mut cloud = clouds.get(events).await?;
    // Their state is not here, and terraform can do nothing without it.
    cloud.terraform = None;
    let discovered = discover::runs(&cloud.aws).await;
    for why in &discovered.unread {
        events.warn(format!("not every list could be read: {why}"));
    }
    let is_wanted = |run: &RunId| wanted.only.as_ref().is_none_or(|only| only == run) && !known.contains(run);
    let mut looks: Vec<BoxFuture<'_, Option<Looked>>> = Vec::new();
    for run in discovered.runs.into_iter().filter(is_wanted) {
        looks.push(Box::pin(look_at(wanted, &cloud, run, events)));
    }
    let looked: Vec<_> = futures_util::stream::iter(looks).buffered(LOOKED_AT_ONCE).collect().await;
    Ok(looked.into_iter().flatten().collect())
}

async fn look_at(wanted: &Reaping, cloud: &Cloud, run: RunId, events: &Events) -> Option<Looked> {
    let (things, there) = ours(&Site { cloud, run: &run, host: None, unsettled: false, events }).await;
    // Ghosts of the tagging API, and things that only look like a run's.
    if there.is_empty() {
        return None;
    }
    let proof = wanted.runs_dir.join(format!("{run}.{PROOF}"));
    Some(match wanted.dry_run {
        true => Looked::Settled(Reaped::new(run, there)),
        false => {
            let (entry, cloud) = (Reaped::new(run, things), cloud.clone());
            Looked::Open(Box::new(Case { entry, cloud, place: Place::Elsewhere { proof } }))
        }
    })
}

/// What could be the run's own: every name but those that are somebody else's; and which of them are there. What cannot be
/// described counts as there.
pub(super) async fn ours(site: &Site<'_>) -> (Vec<Thing>, Vec<Thing>) {
    let inventory = Inventory::new(&site.cloud.aws, site.run);
    let (mut own, mut there) = (Vec::new(), Vec::new());
    for thing in Names::of(site.run).things() {
        if matches!(inventory.exists(&thing).await, Ok(Presence::Gone { .. })) {
            own.push(thing);
            continue;
        }
        match inventory.is_ours(&thing).await {
            Ok(true) => {
                own.push(thing.clone());
                there.push(thing);
            }
            Ok(false) => {
                site.events.note(format!("{thing} has no tag of this run: it is somebody else's, not touched"))
            }
            Err(error) => site.events.note(format!("{thing}: whose it is could not be told ({error}): not touched")),
        }
    }
    (own, there)
}
