//! A scaling policy as Terraform. AWS replaces a policy as a whole, so it is written with everything
//! that it has, whether the advice changes it or not.

use std::time::Duration;

use super::super::RanPolicy;
use super::block::{Block, quoted};
use super::metric;
use evidence::timeline::{GroupState, Policy, StepAdjustment, TrackedMetric};
use evidence::vocabulary::PolicyKind;

/// The part of a policy that the advice changes; the rest stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changed {
    pub target: Option<f64>,
    pub period: Option<Duration>,
    pub warm_up: Option<Duration>,
}

/// Returns the policy with its changes, and comments on what Terraform cannot keep. `None` for a
/// policy that none of the changes can be made to.
pub(super) fn whole(
    group: &GroupState,
    ran: &RanPolicy<'_>,
    changed: Changed,
    label: &str,
) -> Option<String> {
    match ran.policy.kind {
        PolicyKind::TargetTracking => {
            let target = changed.target.or(ran.target())?;
            Some(tracking(group, ran, target, changed, label))
        }
        PolicyKind::Step => {
            let alarms = "# Its alarms stay as they are, with this policy as their action.\n";
            Some(format!("{alarms}{}", of_steps(group, ran, changed, label)))
        }
        _ => None,
    }
}

/// Returns a new target-tracking policy in place of the policies that are there.
pub(super) fn in_place_of(group: &GroupState, ran: &RanPolicy<'_>, target: f64) -> String {
    let mut comments = "# In place of the policies that are there, alarms and all.\n".to_owned();
    let lost = lost(ran.policy, group.is_service);
    if !lost.is_empty() {
        comments += &format!(
            "# Target tracking has no place for {} of policy {}.\n",
            model::units::listed(&lost),
            quoted(&ran.policy.name)
        );
    }
    comments + &tracking(group, ran, target, Changed::default(), "spikeproof")
}

/// Returns the settings of a step or simple policy that target tracking does not have.
fn lost(policy: &Policy, is_service: bool) -> Vec<String> {
    let mut lost = Vec::new();
    match policy.steps.len() {
        0 => {}
        1 => lost.push("the step".to_owned()),
        steps => lost.push(format!("the {steps} steps")),
    }
    lost.extend(policy.change.map(|by| format!("scaling_adjustment = {by}")));
    lost.extend(
        policy
            .least
            .map(|least| format!("min_adjustment_magnitude = {least}")),
    );
    let cooldown = policy.cooldown.filter(|_| !is_service);
    lost.extend(cooldown.map(|own| format!("cooldown = {}", own.as_secs())));
    lost
}

/// Returns the three attributes that identify a service for Application Auto Scaling.
pub(super) fn of_service(block: Block, group: &GroupState) -> Block {
    block
        .text("service_namespace", "ecs")
        .text("resource_id", &super::resource(group))
        .text("scalable_dimension", "ecs:service:DesiredCount")
}

fn head(group: &GroupState, label: &str, name: &str, kind: &str) -> Block {
    if group.is_service {
        let block = Block::resource("aws_appautoscaling_policy", label)
            .text("name", name)
            .text("policy_type", kind);
        return of_service(block, group);
    }
    Block::resource("aws_autoscaling_policy", label)
        .text("name", name)
        .text("autoscaling_group_name", &group.name)
        .text("policy_type", kind)
}

fn tracking(
    group: &GroupState,
    ran: &RanPolicy<'_>,
    target: f64,
    changed: Changed,
    label: &str,
) -> String {
    let policy = ran.policy;
    let name = match policy.kind {
        PolicyKind::TargetTracking => policy.name.clone(),
        _ => format!("{}-tracking", group.name.replace('/', "-")),
    };
    let present = metric::of_policy(policy.tracked.as_ref(), ran.alarm);
    let is_read_from_alarm = ran.target().is_some()
        && policy.tracked.is_none()
        && !matches!(present, TrackedMetric::Predefined { .. });
    let tracked = match changed.period {
        Some(period) => metric::in_period(&present, ran.alarm, group, period),
        None => present,
    };
    let mut comments = String::new();
    if is_read_from_alarm {
        comments += "# The record of this run has no metric specification: this one is read from the policy's alarm.\n";
    }
    comments += &notes(&tracked, group.is_service);
    if !metric::is_whole(&tracked) {
        comments += &bare(policy, target, changed);
        return comments;
    }
    let no_scale_in = policy.scale_in_disabled.then_some(true);
    let block = head(group, label, &name, "TargetTrackingScaling");
    let specification = metric::specification(&tracked, group.is_service);
    let block = if group.is_service {
        block.with(
            Block::nested("target_tracking_scaling_policy_configuration")
                .set("target_value", target)
                .set_if("disable_scale_in", no_scale_in)
                .set_if("scale_in_cooldown", seconds(policy.cooldown))
                .set_if("scale_out_cooldown", seconds(policy.out_cooldown))
                .with(specification),
        )
    } else {
        block
            .set_if("estimated_instance_warmup", warm_up(policy, changed))
            .with(
                Block::nested("target_tracking_configuration")
                    .set("target_value", target)
                    .set_if("disable_scale_in", no_scale_in)
                    .with(specification),
            )
    };
    comments + &block.to_string()
}

/// Returns comments on the parts of the metric that the resource cannot set.
fn notes(metric: &TrackedMetric, is_service: bool) -> String {
    if is_service {
        return String::new();
    }
    let note = |(query, period): (String, Duration)| {
        format!(
            "# Query {} has a period of {} s of its own, which this resource cannot set.\n",
            quoted(&query),
            period.as_secs()
        )
    };
    metric::periods_lost(metric).into_iter().map(note).collect()
}

/// Returns the changes alone, as comments, where the metric is not known well enough to repeat it.
fn bare(policy: &Policy, target: f64, changed: Changed) -> String {
    let mut text = format!(
        "# Policy {} follows metric math, which stays as it is. In its own resource:\n",
        quoted(&policy.name)
    );
    if changed.target.is_some() {
        text += &format!("#   target_value = {target}\n");
    }
    if let Some(period) = changed.period {
        text += &format!("#   period = {} in each metric_stat\n", period.as_secs());
    }
    if let Some(warm_up) = changed.warm_up {
        text += &format!("#   estimated_instance_warmup = {}\n", warm_up.as_secs());
    }
    text
}

fn of_steps(group: &GroupState, ran: &RanPolicy<'_>, changed: Changed, label: &str) -> Block {
    steps(
        group,
        ran.policy,
        Steps {
            label,
            name: &ran.policy.name,
            adjustment: ran
                .policy
                .adjustment
                .as_deref()
                .unwrap_or("ChangeInCapacity"),
            least: ran.policy.least,
            adjustments: &ran.policy.steps,
            warm_up: warm_up(ran.policy, changed),
        },
    )
}

/// A step policy: its own parts, beside those that it shares with the policy that ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps<'a> {
    pub label: &'a str,
    pub name: &'a str,
    pub adjustment: &'a str,
    pub least: Option<u32>,
    pub adjustments: &'a [StepAdjustment],
    /// In seconds; `None` where the group's default holds, and for a service.
    pub warm_up: Option<u64>,
}

/// Returns a step policy with the cooldown and the aggregation of another one.
pub(super) fn steps(group: &GroupState, like: &Policy, own: Steps<'_>) -> Block {
    let block = head(group, own.label, own.name, "StepScaling");
    let adjustments = own.adjustments.iter().map(|step| {
        Block::nested("step_adjustment")
            .set_if("metric_interval_lower_bound", step.lower)
            .set_if("metric_interval_upper_bound", step.upper)
            .set("scaling_adjustment", step.change)
    });
    let common = |block: Block| {
        block
            .text("adjustment_type", own.adjustment)
            .text_if("metric_aggregation_type", like.aggregation.as_deref())
            .set_if("min_adjustment_magnitude", own.least)
    };
    if group.is_service {
        let configuration = common(Block::nested("step_scaling_policy_configuration"))
            .set_if("cooldown", seconds(like.out_cooldown))
            .with_all(adjustments);
        return block.with(configuration);
    }
    common(block)
        .set_if("estimated_instance_warmup", own.warm_up)
        .with_all(adjustments)
}

/// Returns the policy's own warm-up in seconds, as it is or as it is changed.
fn warm_up(policy: &Policy, changed: Changed) -> Option<u64> {
    seconds(
        changed
            .warm_up
            .filter(|_| policy.warm_up.is_some())
            .or(policy.warm_up),
    )
}

pub(super) fn seconds(time: Option<Duration>) -> Option<u64> {
    time.map(|time| time.as_secs())
}
