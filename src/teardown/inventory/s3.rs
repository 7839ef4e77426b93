//! The run's bucket and its objects.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::{Inventory, InventoryError, delete_result};
use cloud::aws::query::{QueryError, element, elements, encode};

/// S3 takes thousands of deletes a second for a prefix; this many connections are polite to
/// everyone between.
const DELETES_AT_ONCE: usize = 16;

impl Inventory {
    /// Empties the bucket, page by page, and deletes it.
    pub(super) async fn delete_bucket(&self, name: &str) -> Result<(), InventoryError> {
        loop {
            let page = self.query.bucket("GET", name, "?list-type=2").await;
            if page.as_ref().is_err_and(QueryError::not_found) {
                return Ok(());
            }
            let page = page?;
            self.delete_objects(name, &elements(&page, "Key")).await?;
            // The listed objects are gone, so the next page is the first again.
            if element(&page, "IsTruncated").as_deref() != Some("true") {
                break;
            }
        }
        delete_result(self.query.bucket("DELETE", name, "").await)
    }

    pub(super) async fn delete_object(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<(), InventoryError> {
        let key: Vec<String> = key.split('/').map(encode).collect();
        delete_result(
            self.query
                .bucket("DELETE", bucket, &format!("/{}", key.join("/")))
                .await,
        )
    }

    /// Deletes objects, several at a time. A long run leaves thousands of intervals: one after the
    /// other they would take minutes.
    pub(super) async fn delete_objects(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<(), InventoryError> {
        let mut calls: Vec<BoxFuture<Result<(), InventoryError>>> = Vec::new();
        for key in keys {
            calls.push(Box::pin(self.delete_object(bucket, key)));
        }
        let mut deletes = futures_util::stream::iter(calls).buffer_unordered(DELETES_AT_ONCE);
        while let Some(deleted) = deletes.next().await {
            deleted?;
        }
        Ok(())
    }
}
