//! The run's image repository.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{Inventory, InventoryError, Presence, call_failed};

impl Inventory {
    pub(super) async fn repository(&self, name: &str) -> Result<Presence, InventoryError> {
        match self
            .ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await
        {
            Ok(_) => Ok(Presence::There {
                evidence: "DescribeRepositories: found".to_owned(),
            }),
            Err(error) if error.code() == Some("RepositoryNotFoundException") => {
                Ok(Presence::Gone {
                    evidence: "DescribeRepositories: RepositoryNotFoundException".to_owned(),
                })
            }
            Err(error) => Err(call_failed("DescribeRepositories")(error)),
        }
    }

    pub(super) async fn delete_repository(&self, name: &str) -> Result<(), InventoryError> {
        match self
            .ecr
            .delete_repository()
            .repository_name(name)
            .force(true)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("RepositoryNotFoundException") => Ok(()),
            Err(error) => Err(call_failed("DeleteRepository")(error)),
        }
    }
}
