//! Changes that a run without a journal here has made on its target's group, by its note in its
//! bucket.
//!
//! The tag of a resource names the group. The note is believed if the bucket is this account's and
//! names that group; the settings themselves tell the rest, as with a journal.

use std::time::Duration;

use tokio::time::timeout;

use crate::Teardown;
use crate::discover::{tag_of, tagged_resources};
use crate::inventory::InventoryError;
use crate::proof::Destruction;
use cloud::aws::Aws;
use cloud::aws::failure::Failure;
use cloud::aws::query::Query;
use cloud::channel::{self, ChannelError};
use model::units::RunId;
use provision::journal::GroupChange;
use provision::journal::change::ChangeNote;
use provision::journal::names::{CHANGES_TAG, RUN_TAG, ResourceNames, target_tag};

/// Limit for reading the run's note of its changes.
const NOTE: Duration = Duration::from_secs(6);

/// A group whose settings a run may have left changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedGroup {
    /// The group's name, as far as a tag can have it.
    pub group: String,
    /// The run's own note of the settings before and during it; empty if it cannot be read.
    pub changes: Vec<GroupChange>,
    /// True if the note says that the run had read its values back.
    pub read_back: bool,
    /// True if the note may be acted upon.
    pub is_proven: bool,
}

impl ChangedGroup {
    /// True if AWS's answers prove that none of the run's values is on the group any more.
    pub(super) fn is_settled(&self, destruction: &Destruction) -> bool {
        let is_gone = |change: &GroupChange| {
            let thing = change.thing();
            let proof = destruction.proof.iter().rfind(|proof| proof.thing == thing);
            proof.is_some_and(|proof| proof.gone)
        };
        self.is_proven && self.changes.iter().all(is_gone)
    }
}

/// Returns the group that the run's resources name as changed; `None` if they name none.
pub(super) async fn changed_group(teardown: &Teardown<'_>) -> Option<ChangedGroup> {
    let named = named_group(teardown).await;
    let note = note(&teardown.aws.aws, teardown.run).await;
    let warn = |error: &InventoryError| {
        teardown.events.warn(format!(
            "{}: it is not known whether it has changed its target's group: {error}",
            teardown.run
        ));
    };
    let known = match &note {
        Ok(known) => known.clone().unwrap_or_default(),
        Err(_) => ChangeNote::default(),
    };
    match named {
        Ok(None) => None,
        Ok(Some(named)) => {
            if let Err(error) = &note {
                warn(error);
            }
            Some(named.with(known))
        }
        Err(error) => {
            warn(&error);
            let group = known.changes.first()?.group.clone();
            let unproven = NamedGroup {
                group,
                has_bucket: false,
            };
            Some(unproven.with(known))
        }
    }
}

/// The group that the tags of a run's resources name.
#[derive(Debug, PartialEq, Eq)]
struct NamedGroup {
    group: String,
    /// The run's bucket is among the resources of this account. One elsewhere may be anybody's.
    has_bucket: bool,
}

impl NamedGroup {
    fn with(self, note: ChangeNote) -> ChangedGroup {
        let is_of_group = |change: &GroupChange| target_tag(&change.group) == self.group;
        let is_proven =
            self.has_bucket && !note.changes.is_empty() && note.changes.iter().all(is_of_group);
        ChangedGroup {
            group: self.group,
            changes: note.changes,
            read_back: note.read_back,
            is_proven,
        }
    }
}

async fn named_group(teardown: &Teardown<'_>) -> Result<Option<NamedGroup>, InventoryError> {
    let question = serde_json::json!({ "TagFilters": [
        { "Key": RUN_TAG, "Values": [teardown.run.as_str()] },
        { "Key": CHANGES_TAG },
    ] });
    let query = Query::new(&teardown.aws.aws);
    let resources = tagged_resources(&query, question).await?;
    let bucket = format!(":s3:::{}", ResourceNames::of(teardown.run).bucket);
    let is_bucket = |resource: &serde_json::Value| {
        let arn = resource.get("ResourceARN").and_then(|arn| arn.as_str());
        arn.is_some_and(|arn| arn.ends_with(&bucket))
    };
    let group = resources
        .iter()
        .find_map(|resource| tag_of(resource, CHANGES_TAG));
    Ok(group.map(|group| NamedGroup {
        group,
        has_bucket: resources.iter().any(is_bucket),
    }))
}

/// Returns the run's note of its changes; `None` if it has written none, or has no bucket any more.
pub(crate) async fn note(aws: &Aws, run: &RunId) -> Result<Option<ChangeNote>, InventoryError> {
    let location = format!("s3://{}/run", ResourceNames::of(run).bucket);
    let lacks = |lacks| InventoryError::Incomplete {
        call: "GetObject",
        lacks,
    };
    let read = async { channel::open(&location, Some(aws))?.changes().await };
    let bytes = timeout(NOTE, read)
        .await
        .map_err(|_| lacks("no answer for `kept/changes.json`"))?
        .map_err(unread)?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let note = serde_json::from_slice(&bytes);
    note.map(Some)
        .map_err(|_| lacks("`kept/changes.json` is not what this version writes"))
}

fn unread(error: ChannelError) -> InventoryError {
    InventoryError::Call {
        call: "GetObject",
        failure: Failure::Unknown,
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provision::journal::change::Setting;

    #[test]
    fn a_note_is_believed_in_this_account_s_bucket_and_about_the_named_group() {
        let note = |group: &str| ChangeNote {
            changes: vec![GroupChange::new(
                group,
                Setting::Sizes,
                std::collections::BTreeMap::default(),
                std::collections::BTreeMap::default(),
            )],
            read_back: true,
        };
        for (has_bucket, noted, expected) in [
            (true, note("web (green)"), true),
            (true, note("other"), false),
            (false, note("web (green)"), false),
            (true, ChangeNote::default(), false),
        ] {
            let named = NamedGroup {
                group: "web _green_".to_owned(),
                has_bucket,
            };
            assert_eq!(named.with(noted.clone()).is_proven, expected, "{noted:?}");
        }
    }
}
