//! Changes of the group's settings by callers: another target value, another minimum or maximum.
//!
//! The lab takes what a watcher of its group may put: no new policies, and no other kinds.

use std::time::Duration;

use super::autoscaling::policy_arn;
use super::call::{ApiError, QueryParameters, element, members};
use super::clock::LabInstant;
use super::config::{PolicyMetric, ScalingKind};
use super::group::{LabGroup, NAME};
use super::live_policy::LivePolicy;
use super::truth::Configured;

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

fn is_ours(form: &QueryParameters) -> Result<(), ApiError> {
    match form.get("AutoScalingGroupName") {
        Some(NAME) => Ok(()),
        _ => Err(refused("Group name not found - AutoScalingGroup not found")),
    }
}

/// Gives a target-tracking policy another target. AWS makes new alarms for it.
pub(crate) fn put_policy(
    group: &mut LabGroup,
    form: &QueryParameters,
    now: LabInstant,
) -> Result<String, ApiError> {
    is_ours(form)?;
    let name = form.get("PolicyName").unwrap_or_default();
    let index = group.policies.iter().position(|known| known.name == name);
    let index = index.ok_or_else(|| refused("the lab's group gets no further policies"))?;
    let mut config = group.policies[index].config.clone();
    let is_tracking = form.get("PolicyType") == Some("TargetTrackingScaling");
    if config.kind != ScalingKind::TargetTracking || !is_tracking {
        return Err(refused("the lab changes target-tracking policies only"));
    }
    let target: f64 = form
        .number("TargetTrackingConfiguration.TargetValue")
        .filter(|target: &f64| target.is_finite() && *target > 0.0)
        .ok_or_else(|| refused("TargetValue is required"))?;
    config.target_value = match config.metric {
        PolicyMetric::Cpu => target,
        // The lab describes a count's target for a period.
        PolicyMetric::RequestsPerTarget => target * 60.0 / config.period.as_secs_f64(),
    };
    let no_scale_in = form.get("TargetTrackingConfiguration.DisableScaleIn");
    config.scale_in = no_scale_in != Some("true");
    if let Some(seconds) = form.number("EstimatedInstanceWarmup") {
        config.warm_up = Duration::from_secs(seconds);
    }
    let changed = LivePolicy::new(index, &config, group.target.service, now);
    let alarms = changed
        .alarms
        .iter()
        .map(|alarm| element("AlarmName", &alarm.name) + &element("AlarmARN", &alarm.arn));
    let answer = element("PolicyARN", &policy_arn(name)) + &members("Alarms", alarms);
    group.policies[index] = changed;
    group
        .configured
        .push(Configured::new(now, "PutScalingPolicy", form.settings()));
    Ok(answer)
}

/// Gives the group another minimum or maximum. Its size follows at once.
pub(crate) fn update(
    group: &mut LabGroup,
    form: &QueryParameters,
    now: LabInstant,
) -> Result<String, ApiError> {
    is_ours(form)?;
    group.keep_schedule(now);
    let (own_min, own_max) = (form.number("MinSize"), form.number("MaxSize"));
    let min = own_min.unwrap_or(group.target.min);
    let max = own_max.unwrap_or(group.target.max);
    if min > max {
        return Err(refused(
            "Max bound must be greater than or equal to min bound",
        ));
    }
    group.overrule_schedule(own_min, own_max, now);
    (group.target.min, group.target.max) = (min, max);
    group.keep_bounds(now);
    group.configured.push(Configured::new(
        now,
        "UpdateAutoScalingGroup",
        form.settings(),
    ));
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use model::scaling::policies::Rule;

    const START: LabInstant = Duration::from_hours(490_000);

    fn form(text: &str) -> QueryParameters {
        QueryParameters::read(format!("Action=X&AutoScalingGroupName=lab-web&{text}").as_bytes())
    }

    #[test]
    fn another_target_changes_the_rule_and_both_alarms_and_is_recorded() {
        let mut group = LabGroup::new(&Config::default(), START);
        let put = "PolicyName=lab-web-cpu&PolicyType=TargetTrackingScaling&TargetTrackingConfiguration.TargetValue";
        put_policy(&mut group, &form(&format!("{put}=30")), START).unwrap();
        let policy = &group.policies[0];
        assert!(matches!(&policy.rule, Rule::Tracking { tracking, .. } if tracking.target == 30.0));
        assert_eq!(policy.alarms[0].model.threshold, 30.0);
        assert!(policy.alarms[1].model.threshold < 30.0);
        let told = &group.configured[0];
        assert_eq!(told.call, "PutScalingPolicy");
        assert_eq!(
            told.settings["TargetTrackingConfiguration.TargetValue"],
            "30"
        );
        for refused in [
            format!("{put}=no"),
            put.replace("lab-web-cpu", "other") + "=30",
        ] {
            assert!(put_policy(&mut group, &form(&refused), START).is_err());
        }
        assert_eq!(group.configured.len(), 1);
    }

    #[test]
    fn a_group_grows_to_a_new_minimum_and_shrinks_to_a_new_maximum() {
        let mut group = LabGroup::new(&Config::default(), START);
        update(&mut group, &form("MinSize=5&MaxSize=8"), START).unwrap();
        assert_eq!((group.desired, group.instances.len()), (5, 5));
        update(&mut group, &form("MinSize=2&MaxSize=4"), START).unwrap();
        assert_eq!((group.desired, group.bounds().max), (4, 4));
        let staying = group.instances.iter().filter(|known| known.stays());
        assert_eq!(staying.count(), 4);
        assert!(update(&mut group, &form("MinSize=9&MaxSize=4"), START).is_err());
        assert_eq!(group.configured.len(), 2);
    }

    /// A trial sets a minimum while a scheduled action lasts, and another call puts it back later.
    #[test]
    fn the_end_of_a_scheduled_action_leaves_the_minimum_of_a_caller() {
        let text = "group: { scheduled: [{ from: 2s, to: 6s, min: 3 }] }";
        let mut group = LabGroup::new(&Config::parse(text).unwrap(), START);
        let mut sizes = Vec::new();
        for second in 0..10 {
            let now = START + Duration::from_secs(second);
            for request in 0..10 {
                group.route(now + Duration::from_millis(request * 100), "/", None);
            }
            if second == 4 {
                update(&mut group, &form("MinSize=5"), now).unwrap();
            }
            if second == 8 {
                update(&mut group, &form("MinSize=2"), now).unwrap();
            }
            group.close_period(now, now + Duration::from_secs(1));
            sizes.push((group.bounds().min, group.desired));
        }
        assert_eq!(
            sizes,
            [
                (2, 2),
                (3, 3),
                (3, 3),
                (3, 3),
                (5, 5),
                (5, 5),
                (5, 5),
                (5, 5),
                (2, 5),
                (2, 5)
            ]
        );
    }
}
