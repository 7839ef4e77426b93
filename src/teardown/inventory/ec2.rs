//! The tasks' security group.

use serde::Deserialize;

use super::{Inventory, InventoryError, delete_result};
use cloud::aws::failure::Failure;
use cloud::aws::query::Service;
use provision::journal::names::{RUN_TAG, ResourceKind, Thing};

impl Inventory {
    pub(super) async fn security_groups(&self, name: &str) -> Result<Vec<String>, InventoryError> {
        let filter = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", name)];
        let answer = self
            .query
            .action(Service::Ec2, "DescribeSecurityGroups", &filter)
            .await?;
        let answer: SecurityGroups =
            quick_xml::de::from_str(&answer).map_err(|error| InventoryError::Call {
                call: "DescribeSecurityGroups",
                failure: Failure::Unknown,
                source: error.into(),
            })?;
        // Rules name other groups by id: only the groups listed themselves count. A name is
        // anyone's to give, in every VPC: ours was made with its tag.
        let ours =
            |group: &SecurityGroup| group.name == name && group.tags.run() == Some(&self.run);
        Ok(answer
            .info
            .item
            .into_iter()
            .filter(ours)
            .map(|group| group.id)
            .collect())
    }

    pub(super) async fn delete_security_groups(&self, name: &str) -> Result<(), InventoryError> {
        // Group names are anyone's to choose: one that only contains the run id may be a guest's.
        if name != self.run {
            return Err(InventoryError::Foreign(Thing {
                kind: ResourceKind::SecurityGroup,
                name: name.to_owned(),
            }));
        }
        for id in self.security_groups(name).await? {
            delete_result(
                self.query
                    .action(Service::Ec2, "DeleteSecurityGroup", &[("GroupId", &id)])
                    .await,
            )?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct SecurityGroups {
    #[serde(rename = "securityGroupInfo")]
    info: SecurityGroupInfo,
}

#[derive(Deserialize)]
struct SecurityGroupInfo {
    #[serde(default)]
    item: Vec<SecurityGroup>,
}

#[derive(Deserialize)]
struct SecurityGroup {
    #[serde(rename = "groupId")]
    id: String,
    #[serde(rename = "groupName")]
    name: String,
    #[serde(rename = "tagSet", default)]
    tags: Tags,
}

#[derive(Default, Deserialize)]
struct Tags {
    #[serde(default)]
    item: Vec<Tag>,
}

impl Tags {
    fn run(&self) -> Option<&String> {
        self.item
            .iter()
            .find(|tag| tag.key == RUN_TAG)
            .map(|tag| &tag.value)
    }
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_named_in_a_rule_is_not_a_group_of_ours() {
        let answer = "<DescribeSecurityGroupsResponse><requestId>r</requestId><securityGroupInfo><item>
            <ownerId>1</ownerId><groupId>sg-ours</groupId><groupName>sp-01j9z3k4m5</groupName>
            <ipPermissions><item><groups><item><groupId>sg-foreign</groupId></item></groups></item></ipPermissions>
            <tagSet><item><key>spikeproof:run</key><value>sp-01j9z3k4m5</value></item></tagSet>
            </item></securityGroupInfo></DescribeSecurityGroupsResponse>";
        let answer: SecurityGroups = quick_xml::de::from_str(answer).unwrap();
        assert_eq!(
            answer
                .info
                .item
                .iter()
                .map(|group| group.id.as_str())
                .collect::<Vec<_>>(),
            ["sg-ours"]
        );
        assert_eq!(
            answer.info.item[0].tags.run(),
            Some(&"sp-01j9z3k4m5".to_owned())
        );
        let none =
            "<DescribeSecurityGroupsResponse><securityGroupInfo/></DescribeSecurityGroupsResponse>";
        let none: SecurityGroups = quick_xml::de::from_str(none).unwrap();
        assert!(none.info.item.is_empty());
    }
}
