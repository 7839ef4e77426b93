//! The Auto Scaling group: its state, its activities, its policies, and what surrounds it.

use jiff::Timestamp;

use super::{Clients, WatchError, call, count, pages, seconds, timestamp};
use evidence::timeline::{
    Activity, GroupState, Hook, Instance, MathQuery, OwnMetric, Policy, ScheduledAction,
    StepAdjustment, Surroundings, TrackedMetric,
};
use evidence::vocabulary::PolicyKind;

pub(crate) async fn group(clients: &Clients, name: &str) -> Result<GroupState, WatchError> {
    let answer = clients
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(name)
        .send()
        .await
        .map_err(call("autoscaling:DescribeAutoScalingGroups"))?;
    let group = answer
        .auto_scaling_groups()
        .first()
        .ok_or_else(|| WatchError::NoGroup(name.to_owned()))?;
    let template = group.launch_template().or_else(|| {
        group
            .mixed_instances_policy()?
            .launch_template()?
            .launch_template_specification()
    });
    let template = template.map(|template| {
        let named = template
            .launch_template_name()
            .or(template.launch_template_id())
            .unwrap_or_default();
        format!(
            "{named} version {}",
            template.version().unwrap_or("$Default")
        )
    });
    Ok(GroupState {
        name: name.to_owned(),
        min: count(group.min_size()),
        max: count(group.max_size()),
        desired: count(group.desired_capacity()),
        default_cooldown: seconds(group.default_cooldown().unwrap_or(0)),
        // -1 means switched off again.
        default_warm_up: group
            .default_instance_warmup()
            .filter(|value| *value >= 0)
            .map(seconds),
        instances: group
            .instances()
            .iter()
            .map(|instance| Instance {
                id: instance.instance_id().unwrap_or_default().to_owned(),
                lifecycle: instance
                    .lifecycle_state()
                    .map(|state| state.as_str().into())
                    .unwrap_or_default(),
                health: instance.health_status().unwrap_or_default().to_owned(),
                zone: instance.availability_zone().unwrap_or_default().to_owned(),
                kind: instance.instance_type().unwrap_or_default().to_owned(),
                protected: instance.protected_from_scale_in().unwrap_or(false),
                ..Instance::default()
            })
            // Instances in the warm pool do not belong to the group yet.
            .filter(|instance| !instance.lifecycle.is_warm())
            .collect(),
        target_groups: group.target_group_arns().to_vec(),
        suspended: group
            .suspended_processes()
            .iter()
            .filter_map(|process| process.process_name().map(str::to_owned))
            .collect(),
        template: template.or_else(|| group.launch_configuration_name().map(str::to_owned)),
        zones: group.availability_zones().to_vec(),
        health_check: group.health_check_type().unwrap_or_default().to_owned(),
        health_check_grace: seconds(group.health_check_grace_period().unwrap_or(0)),
        termination_policies: group.termination_policies().to_vec(),
        protects_new: group
            .new_instances_protected_from_scale_in()
            .unwrap_or(false),
        has_warm_pool: group.warm_pool_configuration().is_some(),
        // Only a service's tasks keep their exact times; and only a group has these rules.
        is_service: false,
    })
}

/// Returns the activities that began at or after `since`, newest first.
pub(crate) async fn activities(
    clients: &Clients,
    name: &str,
    since: Timestamp,
) -> Result<Vec<Activity>, WatchError> {
    pages(async |token| {
        let page = clients
            .autoscaling
            .describe_scaling_activities()
            .auto_scaling_group_name(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("autoscaling:DescribeScalingActivities"))?;
        Ok(recent(page.activities(), page.next_token(), since))
    })
    .await
}

/// Reads a page of activities, with the token of the next page. Those in progress come first in AWS's
/// order, so only a whole page from before the watch ends the paging. Nothing else does: a group of
/// many instances has many activities.
fn recent(
    page: &[aws_sdk_autoscaling::types::Activity],
    next: Option<&str>,
    since: Timestamp,
) -> (Vec<Activity>, Option<String>) {
    let recent: Vec<Activity> = page.iter().filter_map(|one| activity(one, since)).collect();
    let next = next.filter(|_| !recent.is_empty());
    (recent, next.map(str::to_owned))
}

/// Reads an activity that began during the watch.
fn activity(activity: &aws_sdk_autoscaling::types::Activity, since: Timestamp) -> Option<Activity> {
    let start = activity.start_time().and_then(timestamp);
    Some(Activity {
        id: activity.activity_id().unwrap_or_default().to_owned(),
        description: activity.description().unwrap_or_default().to_owned(),
        cause: activity.cause().unwrap_or_default().to_owned(),
        start: start.filter(|start| *start >= since)?,
        end: activity.end_time().and_then(timestamp),
        status: activity
            .status_code()
            .map(|code| code.as_str().into())
            .unwrap_or_default(),
        message: activity.status_message().map(str::to_owned),
        details: activity.details().map(str::to_owned),
        change: None,
        not_scaled: Vec::new(),
    })
}

pub(crate) async fn policies(clients: &Clients, name: &str) -> Result<Vec<Policy>, WatchError> {
    pages(async |token| {
        let page = clients
            .autoscaling
            .describe_policies()
            .auto_scaling_group_name(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("autoscaling:DescribePolicies"))?;
        Ok((
            page.scaling_policies().iter().map(policy).collect(),
            page.next_token().map(str::to_owned),
        ))
    })
    .await
}

fn policy(policy: &aws_sdk_autoscaling::types::ScalingPolicy) -> Policy {
    let tracking = policy.target_tracking_configuration();
    let predefined = tracking.and_then(|tracking| tracking.predefined_metric_specification());
    let kind = PolicyKind::from(policy.policy_type().unwrap_or_default());
    let steps = policy.step_adjustments().iter().map(|step| StepAdjustment {
        lower: step.metric_interval_lower_bound(),
        upper: step.metric_interval_upper_bound(),
        change: step.scaling_adjustment().unwrap_or(0),
    });
    Policy {
        name: policy.policy_name().unwrap_or_default().to_owned(),
        target_value: tracking
            .and_then(aws_sdk_autoscaling::types::TargetTrackingConfiguration::target_value),
        scale_in_disabled: tracking
            .and_then(aws_sdk_autoscaling::types::TargetTrackingConfiguration::disable_scale_in)
            .unwrap_or(false),
        warm_up: policy.estimated_instance_warmup().map(seconds),
        alarms: policy
            .alarms()
            .iter()
            .filter_map(|alarm| alarm.alarm_name().map(str::to_owned))
            .collect(),
        metric: predefined
            .and_then(|metric| metric.predefined_metric_type())
            .map(|kind| kind.as_str().to_owned())
            .or_else(|| own_metric(tracking?.customized_metric_specification()?)),
        tracked: tracking.and_then(tracked),
        aggregation: policy.metric_aggregation_type().map(str::to_owned),
        adjustment: policy.adjustment_type().map(str::to_owned),
        least: policy
            .min_adjustment_magnitude()
            .map(|least| count(Some(least))),
        steps: steps.collect(),
        change: policy
            .scaling_adjustment()
            .filter(|_| kind == PolicyKind::Simple),
        cooldown: policy
            .cooldown()
            .filter(|_| kind == PolicyKind::Simple)
            .map(seconds),
        out_cooldown: None,
        mode: policy
            .predictive_scaling_configuration()
            .and_then(|own| own.mode())
            .map(|mode| mode.as_str().into()),
        disabled: policy.enabled() == Some(false),
        kind,
    }
}

/// Returns the name of a policy's own metric, or the expression of its metric math.
fn own_metric(own: &aws_sdk_autoscaling::types::CustomizedMetricSpecification) -> Option<String> {
    let returned = own
        .metrics()
        .iter()
        .find(|query| query.return_data() != Some(false));
    let of_math = returned.and_then(|query| {
        query.expression().or_else(|| {
            query
                .metric_stat()
                .and_then(|stat| stat.metric()?.metric_name())
        })
    });
    own.metric_name().or(of_math).map(str::to_owned)
}

/// Returns the whole metric specification of a target-tracking policy.
fn tracked(
    tracking: &aws_sdk_autoscaling::types::TargetTrackingConfiguration,
) -> Option<TrackedMetric> {
    if let Some(known) = tracking.predefined_metric_specification() {
        return Some(TrackedMetric::Predefined {
            name: known.predefined_metric_type()?.as_str().to_owned(),
            label: known.resource_label().map(str::to_owned),
        });
    }
    let own = tracking.customized_metric_specification()?;
    if !own.metrics().is_empty() {
        let queries = own.metrics().iter().map(query).collect();
        return Some(TrackedMetric::Math(queries));
    }
    Some(TrackedMetric::Own(OwnMetric {
        namespace: own.namespace().unwrap_or_default().to_owned(),
        metric: own.metric_name().unwrap_or_default().to_owned(),
        statistic: own.statistic().map(|word| word.as_str().to_owned()),
        unit: own.unit().map(str::to_owned),
        period: own.period().map(seconds),
        dimensions: named(own.dimensions()),
    }))
}

fn named(dimensions: &[aws_sdk_autoscaling::types::MetricDimension]) -> Vec<(String, String)> {
    let pair = |one: &aws_sdk_autoscaling::types::MetricDimension| {
        Some((one.name()?.to_owned(), one.value()?.to_owned()))
    };
    dimensions.iter().filter_map(pair).collect()
}

fn query(query: &aws_sdk_autoscaling::types::TargetTrackingMetricDataQuery) -> MathQuery {
    let stat = query.metric_stat();
    let metric = stat.and_then(|stat| stat.metric());
    let own = |name: Option<&str>| name.map(str::to_owned);
    MathQuery {
        id: query.id().unwrap_or_default().to_owned(),
        expression: own(query.expression()),
        namespace: own(metric.and_then(|metric| metric.namespace())),
        metric: own(metric.and_then(|metric| metric.metric_name())),
        statistic: own(stat.and_then(|stat| stat.stat())),
        unit: own(stat.and_then(|stat| stat.unit())),
        label: own(query.label()),
        dimensions: metric
            .map(|metric| named(metric.dimensions()))
            .unwrap_or_default(),
        period: stat
            .and_then(aws_sdk_autoscaling::types::TargetTrackingMetricStat::period)
            .or(query.period())
            .map(seconds),
        returned: query.return_data() != Some(false),
    }
}

/// Reads the group's hooks, warm pool, scheduled actions and instance refreshes as far as possible.
/// Failures go to `errors`.
pub(crate) async fn surroundings(
    clients: &Clients,
    name: &str,
    warm_pool: bool,
    errors: &mut Vec<WatchError>,
) -> Surroundings {
    let mut found = Surroundings::default();
    match hooks(clients, name).await {
        Ok(hooks) => found.hooks = hooks,
        Err(error) => errors.push(error),
    }
    if warm_pool {
        match waiting(clients, name).await {
            Ok(waiting) => found.warm_pool = Some(waiting),
            Err(error) => errors.push(error),
        }
    }
    match scheduled(clients, name).await {
        Ok(scheduled) => found.scheduled = scheduled,
        Err(error) => errors.push(error),
    }
    match refreshes(clients, name).await {
        Ok(refreshes) => found.refreshes = refreshes,
        Err(error) => errors.push(error),
    }
    found
}

async fn hooks(clients: &Clients, name: &str) -> Result<Vec<Hook>, WatchError> {
    let answer = clients
        .autoscaling
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(name)
        .send()
        .await
        .map_err(call("autoscaling:DescribeLifecycleHooks"))?;
    let hook = |hook: &aws_sdk_autoscaling::types::LifecycleHook| Hook {
        name: hook.lifecycle_hook_name().unwrap_or_default().to_owned(),
        transition: hook.lifecycle_transition().unwrap_or_default().to_owned(),
        heartbeat: seconds(hook.heartbeat_timeout().unwrap_or(0)),
    };
    Ok(answer.lifecycle_hooks().iter().map(hook).collect())
}

async fn waiting(clients: &Clients, name: &str) -> Result<u32, WatchError> {
    let answer = clients
        .autoscaling
        .describe_warm_pool()
        .auto_scaling_group_name(name)
        .send()
        .await
        .map_err(call("autoscaling:DescribeWarmPool"))?;
    let ready = |instance: &&aws_sdk_autoscaling::types::Instance| {
        let state = instance
            .lifecycle_state()
            .map_or("", |state| state.as_str());
        ["Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"].contains(&state)
    };
    Ok(answer.instances().iter().filter(ready).count() as u32)
}

async fn scheduled(clients: &Clients, name: &str) -> Result<Vec<ScheduledAction>, WatchError> {
    pages(async |token| {
        let page = clients
            .autoscaling
            .describe_scheduled_actions()
            .auto_scaling_group_name(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("autoscaling:DescribeScheduledActions"))?;
        let size = |value: Option<i32>| {
            value
                .filter(|value| *value >= 0)
                .map(|value| count(Some(value)))
        };
        let action =
            |action: &aws_sdk_autoscaling::types::ScheduledUpdateGroupAction| ScheduledAction {
                name: action
                    .scheduled_action_name()
                    .unwrap_or_default()
                    .to_owned(),
                next: action.start_time().and_then(timestamp),
                recurrence: action.recurrence().map(str::to_owned),
                min: size(action.min_size()),
                max: size(action.max_size()),
                desired: size(action.desired_capacity()),
            };
        let actions = page
            .scheduled_update_group_actions()
            .iter()
            .map(action)
            .collect();
        Ok((actions, page.next_token().map(str::to_owned)))
    })
    .await
}

/// Returns the instance refreshes that are not over.
async fn refreshes(clients: &Clients, name: &str) -> Result<Vec<String>, WatchError> {
    let answer = clients
        .autoscaling
        .describe_instance_refreshes()
        .auto_scaling_group_name(name)
        .send()
        .await
        .map_err(call("autoscaling:DescribeInstanceRefreshes"))?;
    Ok(answer
        .instance_refreshes()
        .iter()
        .filter_map(|refresh| {
            let status = refresh.status()?.as_str();
            let over = [
                "Successful",
                "Failed",
                "Cancelled",
                "RollbackFailed",
                "RollbackSuccessful",
            ]
            .contains(&status);
            (!over).then(|| {
                format!(
                    "instance refresh {} is {status}",
                    refresh.instance_refresh_id().unwrap_or_default()
                )
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_autoscaling::types as asg;

    use super::*;

    #[test]
    fn metric_math_is_read_with_every_query() {
        let metric = asg::Metric::builder()
            .namespace("Shop")
            .metric_name("Backlog")
            .dimensions(
                asg::MetricDimension::builder()
                    .name("queue")
                    .value("orders")
                    .build(),
            )
            .build();
        let stat = asg::TargetTrackingMetricStat::builder()
            .metric(metric)
            .stat("p90")
            .unit("Count")
            .period(30)
            .build();
        let own = asg::CustomizedMetricSpecification::builder()
            .metrics(
                asg::TargetTrackingMetricDataQuery::builder()
                    .id("backlog")
                    .label("waiting")
                    .metric_stat(stat)
                    .return_data(false)
                    .build(),
            )
            .metrics(
                asg::TargetTrackingMetricDataQuery::builder()
                    .id("each")
                    .expression("backlog / 4")
                    .build(),
            )
            .build();
        let tracking = asg::TargetTrackingConfiguration::builder()
            .target_value(50.0)
            .customized_metric_specification(own)
            .build();
        let read = policy(
            &asg::ScalingPolicy::builder()
                .policy_type("TargetTrackingScaling")
                .target_tracking_configuration(tracking)
                .metric_aggregation_type("Maximum")
                .build(),
        );
        let backlog = MathQuery {
            id: "backlog".to_owned(),
            namespace: Some("Shop".to_owned()),
            metric: Some("Backlog".to_owned()),
            statistic: Some("p90".to_owned()),
            unit: Some("Count".to_owned()),
            label: Some("waiting".to_owned()),
            dimensions: vec![("queue".to_owned(), "orders".to_owned())],
            period: Some(Duration::from_secs(30)),
            ..MathQuery::default()
        };
        let each = MathQuery {
            id: "each".to_owned(),
            expression: Some("backlog / 4".to_owned()),
            returned: true,
            ..MathQuery::default()
        };
        assert_eq!(read.tracked, Some(TrackedMetric::Math(vec![backlog, each])));
        assert_eq!(read.aggregation.as_deref(), Some("Maximum"));
    }

    /// A group that launches a thousand instances has as many activities.
    #[tokio::test]
    async fn every_activity_since_the_watch_began_is_read() {
        let of = |second: i64| {
            asg::Activity::builder()
                .activity_id(format!("a{second}"))
                .auto_scaling_group_name("web")
                .cause("a difference between desired and actual capacity")
                .start_time(aws_smithy_types::DateTime::from_secs(second))
                .status_code(asg::ScalingActivityStatusCode::Successful)
                .build()
        };
        // Newest first, but one in progress comes before them, though it is older.
        let mut all: Vec<Vec<asg::Activity>> = (100..1100)
            .rev()
            .collect::<Vec<i64>>()
            .chunks(100)
            .map(|seconds| seconds.iter().copied().map(of).collect())
            .collect();
        all[0].insert(0, of(90));
        all.push(vec![of(99), of(98)]);
        all.push(vec![of(97)]);
        let mut asked = Vec::new();
        let found = pages(|token: Option<String>| {
            let page: usize = token.map_or(0, |token| token.parse().unwrap());
            asked.push(page);
            let next = (page + 1).to_string();
            let read = recent(
                &all[page],
                Some(&next),
                Timestamp::from_second(100).unwrap(),
            );
            std::future::ready(Ok(read))
        })
        .await
        .unwrap();
        // The eleventh page is the first whole one from before the watch.
        assert_eq!(asked, (0..=10).collect::<Vec<usize>>());
        assert_eq!(found.len(), 1000);
        assert_eq!(
            (found[0].id.as_str(), found[999].id.as_str()),
            ("a1099", "a100")
        );
    }
}
