//! Writes a change as Terraform that fits beside the group's own module. AWS replaces a policy as a
//! whole, so a snippet repeats whatever the advice does not change.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Change, Evidence, Ran, RanPolicy};
use evidence::timeline::{Alarm, GroupState, MathQuery, StepAdjustment, TrackedMetric};

mod block;
mod metric;
mod policy;

use block::{Block, quoted};
use policy::{Changed, Steps};

/// The shortest alarm period in seconds that AWS allows on a custom metric; the lab allows shorter
/// ones.
const SHORTEST_PERIOD: u64 = 10;
/// The shortest period in seconds of AWS's own metrics.
const AWS_PERIOD: u64 = 60;

/// Comment for a CPU metric every ten seconds: EC2 publishes none, so the CloudWatch agent must.
const CPU_OF_THE_AGENT: &str = r#"# EC2 publishes CPUUtilization every minute at best. This follows a metric of your own, by the CloudWatch agent with
#   "agent":   { "metrics_collection_interval": 10 }
#   "metrics": { "append_dimensions": { "AutoScalingGroupName": "${aws:AutoScalingGroupName}" },
#                "aggregation_dimensions": [["AutoScalingGroupName"]],
#                "metrics_collected": { "cpu": { "measurement": ["usage_active"], "totalcpu": true } } }
"#;

/// Returns the Terraform of a change, or `None` if there is nothing to change.
pub(super) fn terraform(change: &Change, evidence: &Evidence<'_>, ran: &Ran<'_>) -> Option<String> {
    let (_, group) = evidence.timeline.groups().next_back()?;
    of(change, group, ran)
}

fn of(change: &Change, group: &GroupState, ran: &Ran<'_>) -> Option<String> {
    let lead = ran.lead()?;
    Some(match change {
        Change::Nothing | Change::WhatIf => return None,
        Change::Target { target } => match lead.target() {
            Some(_) => {
                let target = Some(*target);
                let changed = Changed {
                    target,
                    ..Changed::default()
                };
                policy::whole(group, lead, changed, "spikeproof")?
            }
            None => policy::in_place_of(group, lead, *target),
        },
        Change::Period { period } => {
            let changed = Changed {
                period: Some(*period),
                ..Changed::default()
            };
            let text = policy::whole(group, lead, changed, "spikeproof")?;
            match metric::is_ec2_cpu(lead.alarm) {
                true => CPU_OF_THE_AGENT.to_owned() + &text,
                false => text,
            }
        }
        Change::WarmUp { warm_up } => shorter_warm_up(group, ran, *warm_up),
        Change::Maximum { max, with } => {
            // The change that comes with it is written for the group with the new maximum.
            let group = GroupState {
                max: *max,
                ..group.clone()
            };
            let more = with.as_ref().and_then(|with| of(with, &group, ran));
            let text = in_its_resource(&group, &bound(&group, "max", *max));
            more.map_or(text.clone(), |more| format!("{text}\n{more}"))
        }
        Change::Step { threshold, add } => step(group, lead, *threshold, *add)?,
        Change::Minimum { min } => in_its_resource(group, &bound(group, "min", *min)),
        Change::WarmPool { .. } => in_its_resource(
            group,
            &[format!("name = {}", quoted(&group.name))]
                .into_iter()
                .chain(["warm_pool {", "  pool_state = \"Stopped\"", "}"].map(str::to_owned))
                .collect::<Vec<_>>(),
        ),
        Change::Scheduled { min, .. } => {
            let mut out = String::new();
            scheduled(&mut out, group, *min).ok()?;
            out
        }
    })
}

/// Returns the lines that name the group or service, and set one of its bounds.
fn bound(group: &GroupState, which: &str, value: u32) -> Vec<String> {
    if group.is_service {
        vec![
            format!("resource_id  = {}", quoted(&resource(group))),
            format!("{which}_capacity = {value}"),
        ]
    } else {
        vec![
            format!("name     = {}", quoted(&group.name)),
            format!("{which}_size = {value}"),
        ]
    }
}

/// Returns a comment with lines for the group's or service's own resource. A resource has more than
/// these, so it is not written again.
fn in_its_resource(group: &GroupState, lines: &[String]) -> String {
    let (owner, kind) = if group.is_service {
        ("service", "aws_appautoscaling_target")
    } else {
        ("group", "aws_autoscaling_group")
    };
    let inner: String = lines.iter().map(|line| format!("#     {line}\n")).collect();
    format!("# In the {owner}'s own resource:\n#   resource \"{kind}\" ... {{\n{inner}#   }}\n")
}

/// Returns each policy that has a longer warm-up of its own; where none has, the group's default.
fn shorter_warm_up(group: &GroupState, ran: &Ran<'_>, warm_up: Duration) -> String {
    let longer = ran
        .policies
        .iter()
        .filter(|one| one.policy.warm_up.is_some_and(|own| own > warm_up));
    let changed = Changed {
        warm_up: Some(warm_up),
        ..Changed::default()
    };
    let mut policies = Vec::new();
    for (index, one) in longer.enumerate() {
        let label = match index {
            0 => "spikeproof".to_owned(),
            more => format!("spikeproof_{}", more + 1),
        };
        policies.extend(policy::whole(group, one, changed, &label));
    }
    let default = group.default_warm_up.unwrap_or(group.default_cooldown);
    let uses_default = ran
        .policies
        .iter()
        .any(|one| one.policy.warm_up.is_none() && default > warm_up);
    if uses_default || policies.is_empty() {
        let lines = [
            format!("name                    = {}", quoted(&group.name)),
            format!("default_instance_warmup = {}", warm_up.as_secs()),
        ];
        policies.insert(0, in_its_resource(group, &lines));
    }
    policies.join("\n")
}

fn resource(group: &GroupState) -> String {
    format!("service/{}", group.name)
}

fn scheduled(out: &mut String, group: &GroupState, min: u32) -> std::fmt::Result {
    if group.is_service {
        writeln!(
            out,
            "# Once before the spike, and a second one after it that takes min_capacity back to {}.",
            group.min
        )?;
        writeln!(
            out,
            "resource \"aws_appautoscaling_scheduled_action\" \"before_the_spike\" {{"
        )?;
        writeln!(out, "  name               = \"before-the-spike\"")?;
        writeln!(out, "  service_namespace  = \"ecs\"")?;
        writeln!(out, "  resource_id        = {}", quoted(&resource(group)))?;
        writeln!(out, "  scalable_dimension = \"ecs:service:DesiredCount\"")?;
        writeln!(
            out,
            "  schedule           = \"cron(50 8 ? * MON-FRI *)\" # ten minutes before the spike\n"
        )?;
        return writeln!(
            out,
            "  scalable_target_action {{\n    min_capacity = {min}\n    max_capacity = {}\n  }}\n}}",
            group.max
        );
    }
    write!(
        out,
        "# Once before the spike, and a second one after it that takes min_size back to {}.\n\
         resource \"aws_autoscaling_schedule\" \"before_the_spike\" {{\n  \
         scheduled_action_name  = \"before-the-spike\"\n  \
         autoscaling_group_name = {:?}\n  \
         min_size               = {min}\n  max_size               = -1\n  desired_capacity       = -1\n  \
         recurrence             = \"50 8 * * MON-FRI\" # ten minutes before the spike\n}}\n",
        group.min, group.name
    )
}

/// Returns a step policy beside the one that ran, with an alarm that looks at one datapoint only.
fn step(group: &GroupState, lead: &RanPolicy<'_>, threshold: f64, add: u32) -> Option<String> {
    if !metric::is_whole(&TrackedMetric::Math(lead.alarm.math.clone())) {
        return Some(format!(
            "# Beside policy {}, a step policy with an alarm on the same expression:\n#   threshold = {threshold}, evaluation_periods = 1, scaling_adjustment = {add}\n",
            quoted(&lead.policy.name)
        ));
    }
    let name = format!("{}-spike", lead.policy.name);
    let adjustments = [StepAdjustment {
        lower: Some(0.0),
        upper: None,
        change: i32::try_from(add).ok()?,
    }];
    let own = Steps {
        label: "spike",
        name: &name,
        adjustment: "ChangeInCapacity",
        least: None,
        adjustments: &adjustments,
        warm_up: policy::seconds(lead.policy.warm_up),
    };
    let steps = policy::steps(group, lead.policy, own);
    Some(format!(
        "# Beside the policy that is there: it answers a breach that is far beyond its target at once.\n{steps}\n{}",
        spike_alarm(group, lead.alarm, threshold)
    ))
}

fn spike_alarm(group: &GroupState, alarm: &Alarm, threshold: f64) -> Block {
    let policy = if group.is_service {
        "aws_appautoscaling_policy"
    } else {
        "aws_autoscaling_policy"
    };
    let name = format!("{}-spike", group.name.replace('/', "-"));
    let missing = Some(alarm.missing.as_str()).filter(|word| !["", "missing"].contains(word));
    let block = Block::resource("aws_cloudwatch_metric_alarm", "spike").text("alarm_name", &name);
    let evaluated = |block: Block| {
        block
            .set("evaluation_periods", 1)
            .text("comparison_operator", "GreaterThanThreshold")
            .set("threshold", threshold)
            .text_if("treat_missing_data", missing)
            .set("alarm_actions", format!("[{policy}.spike.arn]"))
    };
    if !alarm.math.is_empty() {
        return evaluated(block).with_all(alarm.math.iter().map(alarm_query));
    }
    let statistic = alarm.statistic.as_deref().unwrap_or("Average");
    let of_statistic = if metric::STATISTICS.contains(&statistic) {
        "statistic"
    } else {
        "extended_statistic"
    };
    let namespace = alarm.namespace.as_deref().unwrap_or_default();
    let block = block
        .text("namespace", namespace)
        .text("metric_name", alarm.metric.as_deref().unwrap_or_default())
        .text(of_statistic, statistic)
        .text_if("unit", alarm.unit.as_deref())
        .set("period", allowed(alarm.period, namespace));
    evaluated(block).map("dimensions", &alarm.dimensions)
}

/// Returns one query of an alarm on metric math.
fn alarm_query(query: &MathQuery) -> Block {
    let block = Block::nested("metric_query")
        .text("id", &query.id)
        .text_if("expression", query.expression.as_deref())
        .text_if("label", query.label.as_deref())
        .set_if("return_data", query.returned.then_some(true));
    let Some(name) = query.metric.as_deref() else {
        return block.set_if("period", policy::seconds(query.period));
    };
    let namespace = query.namespace.as_deref().unwrap_or_default();
    let period = query.period.unwrap_or(Duration::from_secs(AWS_PERIOD));
    block.with(
        Block::nested("metric")
            .text("metric_name", name)
            .text("namespace", namespace)
            .text("stat", query.statistic.as_deref().unwrap_or("Average"))
            .text_if("unit", query.unit.as_deref())
            .set("period", allowed(period, namespace))
            .map("dimensions", &query.dimensions),
    )
}

/// Returns the period in seconds, or the shortest one that AWS allows for such a metric.
fn allowed(period: Duration, namespace: &str) -> u64 {
    let shortest = if namespace.starts_with("AWS/") {
        AWS_PERIOD
    } else {
        SHORTEST_PERIOD
    };
    period.as_secs().max(shortest)
}

#[cfg(test)]
mod tests;
