//! The Auto Scaling group: its state, its activities, its policies.

use jiff::Timestamp;

use super::{Eyes, WatchError, call, seconds, timestamp};
use crate::measure::timeline::{Activity, GroupState, Instance, Policy};

/// A run that made more activities than this has told its story; the rest is not read.
const MOST_ACTIVITIES: usize = 500;

pub async fn group(eyes: &Eyes) -> Result<GroupState, WatchError> {
    let answer = eyes
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(&eyes.group)
        .send()
        .await
        .map_err(call("DescribeAutoScalingGroups"))?;
    let group = answer.auto_scaling_groups().first().ok_or_else(|| WatchError::NoGroup(eyes.group.clone()))?;
    let count = |value: Option<i32>| u32::try_from(value.unwrap_or(0)).unwrap_or(0);
    Ok(GroupState {
        name: eyes.group.clone(),
        min: count(group.min_size()),
        max: count(group.max_size()),
        desired: count(group.desired_capacity()),
        default_cooldown: seconds(group.default_cooldown().unwrap_or(0)),
        // -1 means switched off again.
        default_warm_up: group.default_instance_warmup().filter(|value| *value >= 0).map(seconds),
        instances: group
            .instances()
            .iter()
            .map(|instance| Instance {
                id: instance.instance_id().unwrap_or_default().to_owned(),
                lifecycle: instance.lifecycle_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
                health: instance.health_status().unwrap_or_default().to_owned(),
                zone: instance.availability_zone().unwrap_or_default().to_owned(),
            })
            .collect(),
        target_groups: group.target_group_arns().to_vec(),
        suspended: group
            .suspended_processes()
            .iter()
            .filter_map(|process| process.process_name().map(str::to_owned))
            .collect(),
    })
}

/// Activities that began at or after `since`, newest first. (In-progress ones come first in AWS's order, so paging
/// stops only when a whole page is older.)
pub async fn activities(eyes: &Eyes, since: Timestamp) -> Result<Vec<Activity>, WatchError> {
    let mut found: Vec<Activity> = Vec::new();
    let mut token = None;
    loop {
        let page = eyes
            .autoscaling
            .describe_scaling_activities()
            .auto_scaling_group_name(&eyes.group)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("DescribeScalingActivities"))?;
        let before = found.len();
        for activity in page.activities() {
            let Some(start) = activity.start_time().and_then(timestamp) else { continue };
            if start < since {
                continue;
            }
            found.push(Activity {
                id: activity.activity_id().unwrap_or_default().to_owned(),
                description: activity.description().unwrap_or_default().to_owned(),
                cause: activity.cause().unwrap_or_default().to_owned(),
                start,
                end: activity.end_time().and_then(timestamp),
                status: activity.status_code().map(|code| code.as_str().to_owned()).unwrap_or_default(),
                message: activity.status_message().map(str::to_owned),
                details: activity.details().map(str::to_owned),
            });
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() || found.len() == before || found.len() >= MOST_ACTIVITIES {
            return Ok(found);
        }
    }
}

pub async fn policies(eyes: &Eyes) -> Result<Vec<Policy>, WatchError> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let page = eyes
            .autoscaling
            .describe_policies()
            .auto_scaling_group_name(&eyes.group)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("DescribePolicies"))?;
        for policy in page.scaling_policies() {
            let tracking = policy.target_tracking_configuration();
            found.push(Policy {
                name: policy.policy_name().unwrap_or_default().to_owned(),
                kind: policy.policy_type().unwrap_or_default().to_owned(),
                target_value: tracking.and_then(|tracking| tracking.target_value()),
                scale_in_disabled: tracking.and_then(|tracking| tracking.disable_scale_in()).unwrap_or(false),
                warm_up: policy.estimated_instance_warmup().map(seconds),
                alarms: policy.alarms().iter().filter_map(|alarm| alarm.alarm_name().map(str::to_owned)).collect(),
            });
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(found);
        }
    }
}
