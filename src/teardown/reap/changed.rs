//! Changes that a run without a journal here may have made on its target's group. They are told, and not
//! undone: the tag and the run's bucket prove less than the run's own journal.

use std::time::Duration;

use tokio::time::timeout;

use crate::Teardown;
use crate::discover::tagged;
use crate::inventory::InventoryError;
use cloud::aws::query::Query;
use cloud::channel;
use provision::journal::GroupChange;
use provision::journal::names::{CHANGES_TAG, RUN_TAG, ResourceNames};

/// Limit for reading the run's note of its changes.
const NOTE: Duration = Duration::from_secs(6);

/// A group whose settings a run may have left changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedGroup {
    /// The group's name, as far as a tag can have it.
    pub group: String,
    /// The run's own note of the settings before and during it; empty if it cannot be read.
    pub changes: Vec<GroupChange>,
}

/// Returns the group that the run's resources name as changed; `None` if they name none.
pub(super) async fn changed_group(
    teardown: &Teardown<'_>,
) -> Result<Option<ChangedGroup>, InventoryError> {
    let question = serde_json::json!({ "TagFilters": [
        { "Key": RUN_TAG, "Values": [teardown.run.as_str()] },
        { "Key": CHANGES_TAG },
    ] });
    let query = Query::new(&teardown.aws.aws);
    let mut groups = tagged(&query, question, CHANGES_TAG).await?;
    let Some(group) = groups.pop() else {
        return Ok(None);
    };
    let changes = timeout(NOTE, note(teardown)).await.unwrap_or_default();
    Ok(Some(ChangedGroup { group, changes }))
}

async fn note(teardown: &Teardown<'_>) -> Vec<GroupChange> {
    let location = format!("s3://{}/run", ResourceNames::of(teardown.run).bucket);
    let Ok(channel) = channel::open(&location, Some(&teardown.aws.aws)) else {
        return Vec::new();
    };
    let note = channel.changes().await.ok().flatten();
    let changes = note.and_then(|note| serde_json::from_slice(&note).ok());
    changes.unwrap_or_default()
}
