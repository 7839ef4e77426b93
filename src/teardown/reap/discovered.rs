//! Runs that have no journal here: found by name in the account.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::changed::changed_group;
use super::clouds::Clouds;
use super::liveness::seems_dead;
use super::target::{Examined, ReapTarget, Source};
use super::{Reaped, Reaping, Skipped, TeardownError};
use crate::discover::{self, Discovered};
use crate::inventory::Presence;
use crate::proof::PROOF;
use crate::{JournalFacts, Teardown};
use cloud::aws::Cloud;
use model::events::Events;
use model::units::RunId;
use provision::journal::GroupChange;
use provision::journal::names::{ResourceNames, Thing};

/// Nine Describes each.
const LOOKED_AT_ONCE: usize = 8;

/// Runs that have something in the account and no folder here; and the lists that could not be
/// read.
#[derive(Default)]
pub(super) struct DiscoveredRuns {
    pub examined: Vec<Examined>,
    pub unread: Vec<String>,
}

/// Looks for runs in every list, or for one by its names.
pub(super) async fn examine(
    wanted: &Reaping,
    clouds: &mut Clouds,
    known: &[RunId],
    events: &Events,
) -> Result<DiscoveredRuns, TeardownError> {
    let cloud = clouds.get(events).await?;
    // Every name derives from the run's id: then no list is needed.
    let Discovered { runs, unread } = match &wanted.only {
        Some(only) => Discovered {
            runs: [only.clone()].into(),
            unread: Vec::new(),
        },
        None => discover::runs(&cloud.aws).await,
    };
    let mut looks: Vec<BoxFuture<'_, Option<Examined>>> = Vec::new();
    for run in runs.into_iter().filter(|run| !known.contains(run)) {
        looks.push(Box::pin(examine_run(wanted, &cloud, run, events)));
    }
    let examined: Vec<_> = futures_util::stream::iter(looks)
        .buffered(LOOKED_AT_ONCE)
        .collect()
        .await;
    Ok(DiscoveredRuns {
        examined: examined.into_iter().flatten().collect(),
        unread,
    })
}

async fn examine_run(
    wanted: &Reaping,
    cloud: &Cloud,
    run: RunId,
    events: &Events,
) -> Option<Examined> {
    let facts = JournalFacts {
        unsettled: false,
        known: false,
    };
    let teardown = Teardown::by_name(cloud, &run, facts, events);
    let Sight { there, elsewhere } = look_around(&teardown).await;
    if let Some(evidence) = elsewhere {
        let why = format!("{evidence}, not in {}", cloud.aws.region);
        events.note(format!("{run}: {why}: not touched"));
        let entry = Reaped::new(run.clone(), ResourceNames::of(&run).things());
        return wanted
            .only
            .is_some()
            .then(|| Examined::Settled(entry.became(Err(Skipped::Unable(why)))));
    }
    // Ghosts of the tagging API, and things that only look like a run's.
    if there.is_empty() {
        let place = format!("account {}, {}", cloud.caller.account, cloud.aws.region);
        return wanted.only.is_some().then(|| {
            events.note(format!("{run}: nothing of it is in {place}"));
            Examined::Settled(Reaped::new(run, Vec::new()))
        });
    }
    let proof = wanted.runs_dir.join(format!("{run}.{PROOF}"));
    // Before its bucket is deleted.
    let changed = changed_group(&teardown).await;
    let proven = changed.iter().filter(|changed| changed.is_proven);
    let changes: Vec<GroupChange> = proven.flat_map(|known| known.changes.clone()).collect();
    let read_back = changed.as_ref().is_none_or(|changed| changed.read_back);
    let settings: Vec<Thing> = changes.iter().map(GroupChange::thing).collect();
    let entry = |things: Vec<Thing>| Reaped {
        changed,
        ..Reaped::new(run.clone(), [things, settings].concat())
    };
    Some(match wanted.dry_run {
        true => {
            let entry = entry(there);
            Examined::Settled(match seems_dead(wanted, &teardown).await {
                Ok(()) => entry,
                Err(why) => entry.became(Err(why)),
            })
        }
        false => {
            let entry = entry(ResourceNames::of(&run).things());
            let cloud = cloud.clone();
            Examined::Open(Box::new(ReapTarget {
                entry,
                cloud,
                source: Source::Account {
                    proof,
                    changes,
                    read_back,
                },
            }))
        }
    })
}

/// A run as seen from this account and region.
#[derive(Default)]
pub(super) struct Sight {
    /// The things not known to be gone. A thing that cannot be described counts as there.
    pub there: Vec<Thing>,
    /// The answer that says that the run is in another region.
    pub elsewhere: Option<String>,
}

pub(super) async fn look_around(teardown: &Teardown<'_>) -> Sight {
    let inventory = teardown.inventory();
    let mut sight = Sight::default();
    for thing in ResourceNames::of(teardown.run).things() {
        match inventory.exists(&thing).await {
            Ok(Presence::Gone { .. }) => {}
            Ok(Presence::Foreign { evidence }) => teardown
                .events
                .note(format!("{thing}: {evidence}; not touched")),
            Ok(Presence::There { .. }) => sight.there.push(thing),
            Ok(Presence::Elsewhere { evidence }) => {
                sight.elsewhere = Some(format!("{thing}: {evidence}"));
            }
            Err(error) => {
                teardown.events.note(format!(
                    "{thing}: could not determine whether it is there: {error}"
                ));
                sight.there.push(thing);
            }
        }
    }
    sight
}
