//! The load balancer's view: which instance is healthy, and which load balancer it is.

use super::{Eyes, WatchError, call};
use crate::measure::timeline::TargetHealth;

pub async fn health(eyes: &Eyes, target_group: &str) -> Result<TargetHealth, WatchError> {
    let answer = eyes
        .elb
        .describe_target_health()
        .target_group_arn(target_group)
        .send()
        .await
        .map_err(call("DescribeTargetHealth"))?;
    let mut targets: Vec<(String, String)> = answer
        .target_health_descriptions()
        .iter()
        .filter_map(|description| {
            let id = description.target()?.id()?.to_owned();
            let state = description.target_health()?.state()?.as_str().to_owned();
            Some((id, state))
        })
        .collect();
    targets.sort();
    Ok(TargetHealth { target_group: target_group.to_owned(), targets })
}

/// The load balancers in front of a target group, by ARN.
pub async fn load_balancers(eyes: &Eyes, target_group: &str) -> Result<Vec<String>, WatchError> {
    let answer = eyes
        .elb
        .describe_target_groups()
        .target_group_arns(target_group)
        .send()
        .await
        .map_err(call("DescribeTargetGroups"))?;
    Ok(answer.target_groups().iter().flat_map(|group| group.load_balancer_arns().to_vec()).collect())
}
