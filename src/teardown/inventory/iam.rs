//! The two roles of a run's tasks.

use super::{Inventory, InventoryError, Presence, delete_result, found};
use cloud::aws::query::{QueryError, Service, element, elements};
use provision::journal::names::ROLE_PATH;

impl Inventory {
    /// Describes a role. Role names are unique in an account, regardless of their path: a role of
    /// this name at another path is not ours.
    pub(super) async fn role(&self, name: &str) -> Result<Presence, InventoryError> {
        let answer = self
            .query
            .action(Service::Iam, "GetRole", &[("RoleName", name)])
            .await;
        let path = answer
            .as_deref()
            .ok()
            .and_then(|answer| element(answer, "Path"));
        if let Some(path) = path.filter(|path| path != ROLE_PATH) {
            return Ok(Presence::Foreign {
                evidence: format!("GetRole: of path {path}: not this run's"),
            });
        }
        // Roles are of no region: a run's are seen from all of them.
        let region = answer.as_deref().ok().and_then(trusted_region);
        if let Some(region) = region.filter(|region| *region != self.region) {
            return Ok(Presence::Elsewhere {
                evidence: format!("GetRole: of a run in {region}"),
            });
        }
        found("GetRole", answer)
    }

    pub(super) async fn delete_role(&self, name: &str) -> Result<(), InventoryError> {
        match self.role(name).await? {
            Presence::There { .. } => {}
            Presence::Gone { .. } | Presence::Foreign { .. } => return Ok(()),
            Presence::Elsewhere { evidence } => return Err(InventoryError::Elsewhere(evidence)),
        }
        let role = ("RoleName", name);
        let inline = self
            .query
            .action(Service::Iam, "ListRolePolicies", &[role])
            .await;
        if inline.as_ref().is_err_and(QueryError::not_found) {
            return Ok(());
        }
        for policy in elements(&inline?, "member") {
            delete_result(
                self.query
                    .action(
                        Service::Iam,
                        "DeleteRolePolicy",
                        &[role, ("PolicyName", &policy)],
                    )
                    .await,
            )?;
        }
        let attached = self
            .query
            .action(Service::Iam, "ListAttachedRolePolicies", &[role])
            .await?;
        for policy in elements(&attached, "PolicyArn") {
            delete_result(
                self.query
                    .action(
                        Service::Iam,
                        "DetachRolePolicy",
                        &[role, ("PolicyArn", &policy)],
                    )
                    .await,
            )?;
        }
        delete_result(self.query.action(Service::Iam, "DeleteRole", &[role]).await)
    }
}

/// Returns the region whose tasks may take a run's role, as its trust says:
/// `arn:aws:ecs:REGION:ACCOUNT:*`.
fn trusted_region(role: &str) -> Option<String> {
    let document = element(role, "AssumeRolePolicyDocument")?;
    let trust = percent_encoding::percent_decode_str(&document)
        .decode_utf8()
        .ok()?;
    let (_, source) = trust.split_once(":ecs:")?;
    source
        .split(':')
        .next()
        .filter(|region| !region.is_empty() && !region.contains('*'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_tells_the_region_of_the_tasks_that_may_take_it() {
        let role = |trust: &str| {
            let encoded = cloud::aws::query::encode(trust);
            format!("<r><AssumeRolePolicyDocument>{encoded}</AssumeRolePolicyDocument></r>")
        };
        let ours =
            r#"{"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:ecs:us-east-1:123456789012:*"}}}"#;
        assert_eq!(trusted_region(&role(ours)).as_deref(), Some("us-east-1"));
        for trust in [
            "{}",
            r#"{"aws:SourceArn":"arn:aws:ecs:*:123456789012:*"}"#,
            "",
        ] {
            assert_eq!(trusted_region(&role(trust)), None, "{trust}");
        }
    }
}
