//! Finds the runs that have something in this account and region, by asking each service by name.
//! Needs no journal, no state and no memory of any run.
//!
//! The tagging API is asked too, for things that names miss. It lists deleted things for hours, so
//! it only ever adds a run to look at, and proves nothing.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::inventory::{InventoryError, call_failed};
use cloud::aws::Aws;
use cloud::aws::query::{Query, Service, element, elements, encode};
use model::units::RunId;
use provision::journal::names::{
    BUCKET_PREFIX, LOG_GROUP_PREFIX, REPOSITORY_PREFIX, ROLE_PATH, RUN_TAG,
};

/// The start of every run id.
const RUN_PREFIX: &str = "sp-";
const ATTEMPTS: u32 = 4;

/// The runs that were found, and the lists that could not be read.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Ids of runs of which something was found.
    pub runs: BTreeSet<RunId>,
    /// Lists that could not be read, each with its reason. A run that is only in one of them has
    /// not been found.
    pub unread: Vec<String>,
}

/// Reads every list. One that is refused leaves the others.
pub async fn runs(aws: &Aws) -> Discovered {
    let lists = Lists {
        query: Query::new(aws),
        aws,
    };
    let mut discovered = Discovered::default();
    let found = [
        patiently(|| lists.buckets()).await,
        patiently(|| lists.clusters()).await,
        patiently(|| lists.families()).await,
        patiently(|| lists.repositories()).await,
        patiently(|| lists.log_groups()).await,
        patiently(|| lists.roles()).await,
        patiently(|| lists.security_groups()).await,
        patiently(|| lists.tags()).await,
    ];
    for list in found {
        match list {
            Ok(names) => discovered
                .runs
                .extend(names.iter().filter_map(|name| RunId::parse(name))),
            Err(why) => discovered.unread.push(why.to_string()),
        }
    }
    discovered
}

/// Reads a list again while AWS is busy or cannot be reached: each call has been tried a few times
/// by then.
async fn patiently<F: Future<Output = Names>>(read: impl Fn() -> F) -> Names {
    let mut attempts = 0;
    loop {
        let list = read().await;
        let failure = match &list {
            Err(error) if attempts < ATTEMPTS => error.failure(),
            _ => return list,
        };
        if !failure.passes() {
            return list;
        }
        sleep(failure.pause(attempts)).await;
        attempts += 1;
    }
}

struct Lists<'a> {
    query: Query,
    aws: &'a Aws,
}

pub(crate) type Names = Result<Vec<String>, InventoryError>;

/// Returns the run ids among names such as `PREFIX` + run id.
fn behind(prefix: &str, names: Vec<String>) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| name.strip_prefix(prefix))
        .map(str::to_owned)
        .collect()
}

impl Lists<'_> {
    async fn buckets(&self) -> Names {
        let mut names = Vec::new();
        let mut token = String::new();
        loop {
            let here = encode(&self.aws.region);
            let page = self
                .query
                .bucket(
                    "GET",
                    "",
                    &format!("?bucket-region={here}&prefix={BUCKET_PREFIX}{token}"),
                )
                .await;
            let page = page?;
            names.extend(behind(BUCKET_PREFIX, elements(&page, "Name")));
            match element(&page, "ContinuationToken") {
                Some(next) if !next.is_empty() => {
                    token = format!("&continuation-token={}", encode(&next));
                }
                _ => return Ok(names),
            }
        }
    }

    async fn clusters(&self) -> Names {
        let client = aws_sdk_ecs::Client::new(&self.aws.sdk);
        let mut pages = client.list_clusters().into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(arn) = pages.next().await {
            let arn = arn.map_err(call_failed("ListClusters"))?;
            names.extend(arn.rsplit('/').next().map(str::to_owned));
        }
        Ok(names)
    }

    async fn families(&self) -> Names {
        let client = aws_sdk_ecs::Client::new(&self.aws.sdk);
        let active = aws_sdk_ecs::types::TaskDefinitionFamilyStatus::Active;
        let families = client
            .list_task_definition_families()
            .family_prefix(RUN_PREFIX)
            .status(active);
        let mut pages = families.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(family) = pages.next().await {
            names.push(family.map_err(call_failed("ListTaskDefinitionFamilies"))?);
        }
        Ok(names)
    }

    async fn repositories(&self) -> Names {
        let client = aws_sdk_ecr::Client::new(&self.aws.sdk);
        let mut pages = client
            .describe_repositories()
            .into_paginator()
            .items()
            .send();
        let mut names = Vec::new();
        while let Some(repository) = pages.next().await {
            let repository = repository.map_err(call_failed("DescribeRepositories"))?;
            names.extend(repository.repository_name().map(str::to_owned));
        }
        Ok(behind(REPOSITORY_PREFIX, names))
    }

    async fn log_groups(&self) -> Names {
        let mut names = Vec::new();
        let mut question = serde_json::json!({ "logGroupNamePrefix": LOG_GROUP_PREFIX });
        loop {
            let page = self
                .query
                .json(Service::Logs, "DescribeLogGroups", &question)
                .await?;
            // An answer without the list says nothing about what is in it.
            let groups = page.get("logGroups").and_then(|groups| groups.as_array());
            let groups = groups.ok_or(InventoryError::Incomplete {
                call: "DescribeLogGroups",
                lacks: "the answer has no `logGroups`",
            })?;
            names.extend(
                groups
                    .iter()
                    .filter_map(|group| Some(group.get("logGroupName")?.as_str()?.to_owned())),
            );
            match page.get("nextToken").and_then(|token| token.as_str()) {
                Some(token) => question["nextToken"] = token.into(),
                None => return Ok(behind(LOG_GROUP_PREFIX, names)),
            }
        }
    }

    /// Finds `RUN-execution` and `RUN-task`, below our path.
    async fn roles(&self) -> Names {
        let mut names = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut parameters = vec![("PathPrefix", ROLE_PATH)];
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let page = self
                .query
                .action(Service::Iam, "ListRoles", &parameters)
                .await?;
            let run = |name: String| name.rsplit_once('-').map(|(run, _)| run.to_owned());
            names.extend(elements(&page, "RoleName").into_iter().filter_map(run));
            marker = element(&page, "Marker").filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    async fn security_groups(&self) -> Names {
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut parameters = vec![("Filter.1.Name", "tag-key"), ("Filter.1.Value.1", RUN_TAG)];
            parameters.extend(token.as_deref().map(|token| ("NextToken", token)));
            let page = self
                .query
                .action(Service::Ec2, "DescribeSecurityGroups", &parameters)
                .await?;
            names.extend(elements(&page, "groupName"));
            token = element(&page, "nextToken").filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    async fn tags(&self) -> Names {
        let question = serde_json::json!({ "TagFilters": [{ "Key": RUN_TAG }] });
        tagged(&self.query, question, RUN_TAG).await
    }
}

/// Returns the values of a tag. Deleted resources are among them for hours.
pub(crate) async fn tagged(query: &Query, question: serde_json::Value, key: &str) -> Names {
    let resources = tagged_resources(query, question).await?;
    Ok(resources
        .iter()
        .filter_map(|resource| tag_of(resource, key))
        .collect())
}

/// Returns the value of a resource's tag.
pub(crate) fn tag_of(resource: &serde_json::Value, key: &str) -> Option<String> {
    let tags = resource.get("Tags")?.as_array()?;
    let is_it = |tag: &&serde_json::Value| tag.get("Key").and_then(|key| key.as_str()) == Some(key);
    Some(tags.iter().find(is_it)?.get("Value")?.as_str()?.to_owned())
}

/// Returns the tagged resources of this account and region, with their ARNs and tags. Deleted ones
/// are among them for hours.
pub(crate) async fn tagged_resources(
    query: &Query,
    mut question: serde_json::Value,
) -> Result<Vec<serde_json::Value>, InventoryError> {
    let mut found = Vec::new();
    loop {
        let page = query
            .json(Service::Tagging, "GetResources", &question)
            .await?;
        let resources = page
            .get("ResourceTagMappingList")
            .and_then(|list| list.as_array());
        let resources = resources.ok_or(InventoryError::Incomplete {
            call: "GetResources",
            lacks: "the answer has no `ResourceTagMappingList`",
        })?;
        found.extend(resources.iter().cloned());
        match page
            .get("PaginationToken")
            .and_then(|token| token.as_str())
            .filter(|token| !token.is_empty())
        {
            Some(token) => question["PaginationToken"] = token.into(),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_behind_the_whole_prefix_counts() {
        let names = [
            "spikeproof-sp-0123456789",
            "my-spikeproof-sp-0123456789",
            "spikeproof-",
        ];
        let found = behind(BUCKET_PREFIX, names.map(str::to_owned).to_vec());
        assert_eq!(found, ["sp-0123456789", ""]);
        assert_eq!(
            found.iter().filter_map(|name| RunId::parse(name)).count(),
            1
        );
    }
}
