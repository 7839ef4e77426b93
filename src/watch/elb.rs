//! The load balancer's view: which instance is healthy, and which load balancer it is.

use std::time::Duration;

use super::{Clients, WatchError, call, count, seconds};
use evidence::timeline::{Balancer, TargetGroup, TargetHealth};
use evidence::vocabulary::TargetState;

pub(crate) async fn health(
    clients: &Clients,
    target_group: &str,
) -> Result<TargetHealth, WatchError> {
    let answer = clients
        .elb
        .describe_target_health()
        .target_group_arn(target_group)
        .send()
        .await
        .map_err(call("elasticloadbalancing:DescribeTargetHealth"))?;
    let mut targets: Vec<(String, TargetState)> = answer
        .target_health_descriptions()
        .iter()
        .filter_map(|description| {
            let id = description.target()?.id()?.to_owned();
            let state = description.target_health()?.state()?.as_str().into();
            Some((id, state))
        })
        .collect();
    targets.sort();
    Ok(TargetHealth {
        target_group: target_group.to_owned(),
        targets,
    })
}

/// Returns the settings of a target group, and the load balancers in front of it.
pub(crate) async fn target_group(clients: &Clients, arn: &str) -> Result<TargetGroup, WatchError> {
    let answer = clients
        .elb
        .describe_target_groups()
        .target_group_arns(arn)
        .send()
        .await
        .map_err(call("elasticloadbalancing:DescribeTargetGroups"))?;
    let mut found = TargetGroup {
        arn: arn.to_owned(),
        ..TargetGroup::default()
    };
    let mut balancers = Vec::new();
    if let Some(group) = answer.target_groups().first() {
        found.check_interval = seconds(group.health_check_interval_seconds().unwrap_or(0));
        found.healthy_after = count(group.healthy_threshold_count());
        found.unhealthy_after = count(group.unhealthy_threshold_count());
        balancers = group.load_balancer_arns().to_vec();
    }
    let attributes = clients
        .elb
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send()
        .await
        .map_err(call("elasticloadbalancing:DescribeTargetGroupAttributes"))?;
    for attribute in attributes.attributes() {
        let value = attribute.value().unwrap_or_default();
        let time = || Duration::from_secs(value.parse().unwrap_or(0));
        match attribute.key().unwrap_or_default() {
            "deregistration_delay.timeout_seconds" => found.deregistration_delay = time(),
            "slow_start.duration_seconds" => found.slow_start = time(),
            "load_balancing.algorithm.type" => value.clone_into(&mut found.algorithm),
            "stickiness.enabled" => found.sticky = value == "true",
            _ => {}
        }
    }
    if !balancers.is_empty() {
        let answer = clients
            .elb
            .describe_load_balancers()
            .set_load_balancer_arns(Some(balancers))
            .send()
            .await
            .map_err(call("elasticloadbalancing:DescribeLoadBalancers"))?;
        found.balancers = answer
            .load_balancers()
            .iter()
            .map(|balancer| Balancer {
                arn: balancer.load_balancer_arn().unwrap_or_default().to_owned(),
                dns: balancer.dns_name().unwrap_or_default().to_owned(),
                target_groups: None,
            })
            .collect();
    }
    Ok(found)
}

/// Counts the target groups that each of these load balancers routes to: those of others make its own
/// counts no counts of this group.
pub(crate) async fn count_target_groups(
    clients: &Clients,
    balancers: &mut [Balancer],
) -> Result<(), WatchError> {
    for balancer in balancers {
        let answer = clients
            .elb
            .describe_target_groups()
            .load_balancer_arn(&balancer.arn)
            .send()
            .await
            .map_err(call("elasticloadbalancing:DescribeTargetGroups"))?;
        balancer.target_groups = u32::try_from(answer.target_groups().len()).ok();
    }
    Ok(())
}

/// Returns the ARNs of the load balancers in front of a target group.
pub(crate) async fn load_balancers(
    clients: &Clients,
    target_group: &str,
) -> Result<Vec<String>, WatchError> {
    Ok(self::target_group(clients, target_group)
        .await?
        .balancers
        .into_iter()
        .map(|balancer| balancer.arn)
        .collect())
}
