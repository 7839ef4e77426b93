//! The subnets that a run's tasks are placed in.

use std::collections::BTreeSet;

use super::Aws;
use super::query::{Query, QueryError, Service, elements};

/// Subnets to place tasks in, and the network they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The VPC of all subnets, for example `vpc-0abc`.
    pub vpc_id: String,
    /// Ids of subnets in that VPC; never empty.
    pub subnets: Vec<String>,
}

/// Why tasks cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A call to EC2 failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No default VPC, or subnets of different VPCs; the sentence says which.
    #[error("{0}")]
    Subnets(String),
}

impl Network {
    /// Returns the subnets given, or the default subnets of the default VPC.
    pub async fn find(aws: &Aws, given: &[String]) -> Result<Self, NetworkError> {
        let names: Vec<String> = (1..=given.len())
            .map(|index| format!("SubnetId.{index}"))
            .collect();
        let parameters: Vec<(&str, &str)> = if given.is_empty() {
            vec![
                ("Filter.1.Name", "default-for-az"),
                ("Filter.1.Value.1", "true"),
            ]
        } else {
            names
                .iter()
                .map(String::as_str)
                .zip(given.iter().map(String::as_str))
                .collect()
        };
        let query = Query::new(aws);
        let answer = query
            .action(Service::Ec2, "DescribeSubnets", &parameters)
            .await?;
        let subnets = elements(&answer, "subnetId");
        let vpcs: BTreeSet<String> = elements(&answer, "vpcId").into_iter().collect();
        let mut vpcs = vpcs.into_iter();
        match (vpcs.next(), vpcs.next()) {
            (Some(vpc_id), None) => Ok(Self { vpc_id, subnets }),
            (None, _) => Err(NetworkError::Subnets(
                "this region has no default VPC to place tasks in: name subnets in `fleet.subnets`"
                    .to_owned(),
            )),
            (Some(first), Some(second)) => Err(NetworkError::Subnets(format!(
                "`fleet.subnets` lie in different VPCs ({first}, {second}): name subnets of one"
            ))),
        }
    }
}
