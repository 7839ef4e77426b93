//! Finds runs that test the same group at the same time: their loads add up, and each run takes the
//! other's for the group's own.
//!
//! On this host the journals tell, in the account the tag of what Fargate runs have made. It does
//! not see runs without Fargate tasks on other hosts, which make nothing in the account.

use std::collections::BTreeSet;
use std::path::Path;

use super::discover::tagged;
use super::inventory::InventoryError;
use super::reap::{changed, has_young_heartbeat};
use cloud::aws::Aws;
use cloud::aws::query::Query;
use model::units::RunId;
use provision::journal::names::{CHANGES_TAG, RUN_TAG, TARGET_TAG, target_tag};
use provision::journal::record::WatchedTarget;
use provision::journal::{self, locks};

/// Runs whose heartbeat is asked for, the newest first. The tagging API lists runs for hours after
/// they were destroyed.
const NEWEST: usize = 10;

/// Returns the runs below `runs_dir` that are under way on this host and test this target.
pub fn on_this_host(runs_dir: &Path, target: &WatchedTarget) -> BTreeSet<RunId> {
    let folders = journal::folders(runs_dir).unwrap_or_default();
    let tests_it = |found: &&journal::Found| {
        journal::head(&found.records).is_some_and(|run| run.target.as_deref() == Some(target))
    };
    folders
        .iter()
        .filter(tests_it)
        .filter(|found| locks::is_under_way(&found.folder))
        .filter_map(|found| RunId::parse(found.folder.file_name()?.to_str()?))
        .collect()
}

/// Returns the runs of this account and region that test this target and have a heartbeat.
pub async fn in_the_account(
    aws: &Aws,
    target: &WatchedTarget,
) -> Result<BTreeSet<RunId>, InventoryError> {
    let query = Query::new(aws);
    let question = serde_json::json!({ "TagFilters": [
        { "Key": RUN_TAG },
        { "Key": TARGET_TAG, "Values": [target_tag(&target.name)] },
    ] });
    let tagged = tagged(&query, question, RUN_TAG).await?;
    // Run ids sort by time.
    let runs: BTreeSet<RunId> = tagged
        .iter()
        .filter_map(|name| RunId::parse(name))
        .collect();
    let mut alive = BTreeSet::new();
    for run in runs.into_iter().rev().take(NEWEST) {
        if has_young_heartbeat(&query, &run).await? {
            alive.insert(run);
        }
    }
    Ok(alive)
}

/// Returns the runs of this account and region that have written down a change of this group. Each
/// is changing it, or has not put it back: the bucket with the note is deleted after that.
pub async fn changing_in_the_account(
    aws: &Aws,
    group: &str,
) -> Result<BTreeSet<RunId>, InventoryError> {
    let question = serde_json::json!({ "TagFilters": [
        { "Key": RUN_TAG },
        { "Key": CHANGES_TAG, "Values": [target_tag(group)] },
    ] });
    let tagged = tagged(&Query::new(aws), question, RUN_TAG).await?;
    let runs: BTreeSet<RunId> = tagged
        .iter()
        .filter_map(|name| RunId::parse(name))
        .collect();
    let mut changing = BTreeSet::new();
    for run in runs.into_iter().rev().take(NEWEST) {
        if changed::note(aws, &run).await?.is_some() {
            changing.insert(run);
        }
    }
    Ok(changing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use provision::journal::Journal;
    use provision::journal::record::Run;

    fn target(name: &str, region: &str) -> WatchedTarget {
        WatchedTarget {
            name: name.to_owned(),
            region: region.to_owned(),
            endpoint: None,
        }
    }

    fn begun(runs_dir: &Path, run: &str, target: Option<WatchedTarget>) -> Journal {
        let run = Run {
            boot: locks::boot(),
            target: target.map(Box::new),
            ..example::run(run)
        };
        example::begun(runs_dir, run)
    }

    #[test]
    fn only_a_run_that_is_under_way_and_tests_the_same_group_is_beside() {
        let home = tempfile::tempdir().unwrap();
        let web = target("web", "eu-west-1");
        let driven = [
            begun(home.path(), "sp-0000000001", Some(web.clone())),
            begun(
                home.path(),
                "sp-0000000002",
                Some(target("api", "eu-west-1")),
            ),
            begun(
                home.path(),
                "sp-0000000003",
                Some(target("web", "us-east-1")),
            ),
            begun(home.path(), "sp-0000000004", None),
        ];
        drop(begun(home.path(), "sp-0000000005", Some(web.clone())));
        let beside = || {
            let found = on_this_host(home.path(), &web);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let _reaper = Journal::open(&home.path().join("sp-0000000005")).unwrap();
        assert_eq!(beside(), ["sp-0000000001"]);
        drop(driven);
        assert!(beside().is_empty());
    }
}
