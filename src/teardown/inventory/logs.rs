//! The tasks' log group.

use super::{Inventory, InventoryError};
use cloud::aws::query::Service;

impl Inventory {
    pub(super) async fn log_group(&self, name: &str) -> Result<bool, InventoryError> {
        let question = serde_json::json!({ "logGroupNamePrefix": name });
        let answer = self
            .query
            .json(Service::Logs, "DescribeLogGroups", &question)
            .await?;
        // An answer without the list says nothing about what is in it.
        let groups = answer
            .get("logGroups")
            .and_then(|groups| groups.as_array())
            .ok_or(InventoryError::Incomplete {
                call: "DescribeLogGroups",
                lacks: "the answer has no `logGroups`",
            })?;
        Ok(groups
            .iter()
            .any(|group| group.get("logGroupName").and_then(|found| found.as_str()) == Some(name)))
    }
}
