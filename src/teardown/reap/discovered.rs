//! Runs that have no journal here: found by name in the account.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::clouds::Clouds;
use super::liveness::at_a_glance;
use super::target::{Case, Looked, Place};
use super::{Reaped, Reaping, Skipped, TeardownError};
use crate::aws::Cloud;
use crate::events::Events;
use crate::journal::names::{Names, Thing};
use crate::teardown::destroy::Site;
use crate::teardown::discover::{self, Discovered};
use crate::teardown::inventory::Presence;
use crate::teardown::proof::PROOF;
use crate::units::RunId;

/// Nine Describes each.
const LOOKED_AT_ONCE: usize = 8;

/// Runs that have something in the account and no folder here; and the lists that could not be
/// read.
#[derive(Default)]
pub(super) struct Strangers {
    pub looked: Vec<Looked>,
    pub unread: Vec<String>,
}

/// Looks for runs in every list, or for one by its names.
pub(super) async fn look(
    wanted: &Reaping,
    clouds: &mut Clouds,
    known: &[RunId],
    events: &Events,
) -> Result<Strangers, TeardownError> {
    let cloud = clouds.get(events).await?;
    // Who knows the run's id knows every name that it could have made: no list is needed.
    let Discovered { runs, unread } = match &wanted.only {
        Some(only) => Discovered {
            runs: [only.clone()].into(),
            unread: Vec::new(),
        },
        None => discover::runs(&cloud.aws).await,
    };
    let mut looks: Vec<BoxFuture<'_, Option<Looked>>> = Vec::new();
    for run in runs.into_iter().filter(|run| !known.contains(run)) {
        looks.push(Box::pin(look_at(wanted, &cloud, run, events)));
    }
    let looked: Vec<_> = futures_util::stream::iter(looks)
        .buffered(LOOKED_AT_ONCE)
        .collect()
        .await;
    Ok(Strangers {
        looked: looked.into_iter().flatten().collect(),
        unread,
    })
}

async fn look_at(wanted: &Reaping, cloud: &Cloud, run: RunId, events: &Events) -> Option<Looked> {
    let site = Site {
        cloud,
        run: &run,
        host: None,
        terraform: None,
        unsettled: false,
        by_name: true,
        events,
    };
    let Sight { there, elsewhere } = look_around(&site).await;
    if let Some(evidence) = elsewhere {
        let why = format!("{evidence}, not in {}", cloud.aws.region);
        events.note(format!("{run}: {why}: not touched"));
        let entry = Reaped::new(run.clone(), Names::of(&run).things());
        return wanted
            .only
            .is_some()
            .then(|| Looked::Settled(entry.became(Err(Skipped::Unable(why)))));
    }
    // Ghosts of the tagging API, and things that only look like a run's.
    if there.is_empty() {
        let place = format!("account {}, {}", cloud.caller.account, cloud.aws.region);
        return wanted.only.is_some().then(|| {
            events.note(format!("{run}: nothing of it is in {place}"));
            Looked::Settled(Reaped::new(run, Vec::new()))
        });
    }
    let proof = wanted.runs_dir.join(format!("{run}.{PROOF}"));
    Some(match wanted.dry_run {
        true => {
            let entry = Reaped::new(run.clone(), there);
            Looked::Settled(match at_a_glance(wanted, &site).await {
                Ok(()) => entry,
                Err(why) => entry.became(Err(why)),
            })
        }
        false => {
            let (entry, cloud) = (
                Reaped::new(run.clone(), Names::of(&run).things()),
                cloud.clone(),
            );
            Looked::Open(Box::new(Case {
                entry,
                cloud,
                place: Place::Elsewhere { proof },
            }))
        }
    })
}

/// What is seen of a run from where we are.
#[derive(Default)]
pub(super) struct Sight {
    /// What is not known to be gone. What cannot be described counts as there.
    pub there: Vec<Thing>,
    /// What says that the run is in another region.
    pub elsewhere: Option<String>,
}

pub(super) async fn look_around(site: &Site<'_>) -> Sight {
    let inventory = site.inventory();
    let mut sight = Sight::default();
    for thing in Names::of(site.run).things() {
        match inventory.exists(&thing).await {
            Ok(Presence::Gone { .. }) => {}
            Ok(Presence::Foreign { evidence }) => site
                .events
                .note(format!("{thing}: {evidence}; not touched")),
            Ok(Presence::There { .. }) => sight.there.push(thing),
            Ok(Presence::Elsewhere { evidence }) => {
                sight.elsewhere = Some(format!("{thing}: {evidence}"))
            }
            Err(error) => {
                site.events.note(format!(
                    "{thing}: whether it is there could not be told: {error}"
                ));
                sight.there.push(thing);
            }
        }
    }
    sight
}
