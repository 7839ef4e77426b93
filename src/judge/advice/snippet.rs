//! Writes a change as Terraform that fits beside the group's own module.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Change, Evidence, Ran, RanPolicy};
use evidence::timeline::{Alarm, GroupState};

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
    of(change, group, ran.lead()?)
}

fn of(change: &Change, group: &GroupState, lead: &RanPolicy<'_>) -> Option<String> {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match change {
        Change::Nothing | Change::WhatIf => return None,
        Change::Target { .. } | Change::Period { .. } | Change::Step { .. }
            if !lead.alarm.math.is_empty() =>
        {
            of_math(&mut out, change, lead)
        }
        Change::Target { target } => tracking(&mut out, group, lead, *target, None),
        Change::Period { period } => {
            if is_ec2_cpu(lead.alarm) {
                out += CPU_OF_THE_AGENT;
            }
            tracking(&mut out, group, lead, lead.target()?, Some(*period))
        }
        Change::Maximum { max, with } => {
            // The change that comes with it is written for the group with the new maximum.
            let group = GroupState {
                max: *max,
                ..group.clone()
            };
            let more = with.as_ref().and_then(|with| of(with, &group, lead));
            maximum(&mut out, &group)
                .and_then(|()| more.map_or(Ok(()), |more| write!(out, "\n{more}")))
        }
        Change::Step { threshold, add } => step(&mut out, group, lead, *threshold, *add),
        Change::Minimum { min } if group.is_service => write!(
            out,
            "# In the service's own resource:\n#   resource \"aws_appautoscaling_target\" ... {{\n#     resource_id  = {:?}\n#     min_capacity = {min}\n#   }}\n",
            resource(group)
        ),
        Change::Minimum { min } => write!(
            out,
            "# In the group's own resource:\n#   resource \"aws_autoscaling_group\" ... {{\n#     name     = {:?}\n#     min_size = {min}\n#   }}\n",
            group.name
        ),
        Change::WarmPool { .. } => write!(
            out,
            "# In the group's own resource:\n#   resource \"aws_autoscaling_group\" ... {{\n#     name = {:?}\n#     warm_pool {{\n#       pool_state = \"Stopped\"\n#     }}\n#   }}\n",
            group.name
        ),
        Change::Scheduled { min, .. } => scheduled(&mut out, group, *min),
    };
    Some(out)
}

fn maximum(out: &mut String, group: &GroupState) -> std::fmt::Result {
    let max = group.max;
    if group.is_service {
        return write!(
            out,
            "# In the service's own resource:\n#   resource \"aws_appautoscaling_target\" ... {{\n#     resource_id  = {:?}\n#     max_capacity = {max}\n#   }}\n",
            resource(group)
        );
    }
    write!(
        out,
        "# In the group's own resource:\n#   resource \"aws_autoscaling_group\" ... {{\n#     name     = {:?}\n#     max_size = {max}\n#   }}\n",
        group.name
    )
}

fn is_ec2_cpu(alarm: &Alarm) -> bool {
    alarm.namespace.as_deref() == Some("AWS/EC2")
        && alarm.metric.as_deref() == Some("CPUUtilization")
}

/// Returns the alarm on the same CPU, as the agent publishes it for the whole group.
fn of_the_agent(alarm: &Alarm, group: &GroupState) -> Alarm {
    Alarm {
        namespace: Some("CWAgent".to_owned()),
        metric: Some("cpu_usage_active".to_owned()),
        dimensions: vec![("AutoScalingGroupName".to_owned(), group.name.clone())],
        ..alarm.clone()
    }
}

fn resource(group: &GroupState) -> String {
    format!("service/{}", group.name)
}

/// Writes the three lines that identify a service for Application Auto Scaling.
fn of_service(out: &mut String, group: &GroupState) -> std::fmt::Result {
    writeln!(out, "  service_namespace  = \"ecs\"")?;
    writeln!(out, "  resource_id        = {:?}", resource(group))?;
    writeln!(out, "  scalable_dimension = \"ecs:service:DesiredCount\"")
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
        of_service(out, group)?;
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

/// Writes a change to a policy that follows metric math. The expression stays as it is.
fn of_math(out: &mut String, change: &Change, lead: &RanPolicy<'_>) -> std::fmt::Result {
    writeln!(
        out,
        "# Policy {:?} follows metric math, which stays as it is. In its own resource:",
        lead.policy.name
    )?;
    match change {
        Change::Target { target } => writeln!(out, "#   target_value = {target}"),
        Change::Period { period } => {
            writeln!(out, "#   period = {} in each metric_stat", period.as_secs())
        }
        Change::Step { threshold, add } => {
            writeln!(
                out,
                "#   and beside it a step policy with an alarm on the same expression:"
            )?;
            writeln!(
                out,
                "#   threshold = {threshold}, evaluation_periods = 1, scaling_adjustment = {add}"
            )
        }
        _ => Ok(()),
    }
}

/// Writes the policy that ran with another target, or a new policy if it tracked none.
fn tracking(
    out: &mut String,
    group: &GroupState,
    lead: &RanPolicy<'_>,
    target: f64,
    period: Option<Duration>,
) -> std::fmt::Result {
    let name = match lead.target() {
        Some(_) => lead.policy.name.clone(),
        None => {
            writeln!(
                out,
                "# In place of the policies that are there, alarms and all."
            )?;
            format!("{}-tracking", group.name.replace('/', "-"))
        }
    };
    if group.is_service {
        writeln!(
            out,
            "resource \"aws_appautoscaling_policy\" \"spikeproof\" {{"
        )?;
        writeln!(out, "  name               = {name:?}")?;
        writeln!(out, "  policy_type        = \"TargetTrackingScaling\"")?;
        of_service(out, group)?;
        writeln!(out, "\n  target_tracking_scaling_policy_configuration {{")?;
    } else {
        writeln!(out, "resource \"aws_autoscaling_policy\" \"spikeproof\" {{")?;
        writeln!(out, "  name                   = {name:?}")?;
        writeln!(out, "  autoscaling_group_name = {:?}", group.name)?;
        writeln!(out, "  policy_type            = \"TargetTrackingScaling\"")?;
        if let Some(warm_up) = lead.policy.warm_up {
            writeln!(out, "\n  estimated_instance_warmup = {}", warm_up.as_secs())?;
        }
        writeln!(out, "\n  target_tracking_configuration {{")?;
    }
    writeln!(out, "    target_value = {target}")?;
    match period {
        Some(_) if is_ec2_cpu(lead.alarm) => metric(out, &of_the_agent(lead.alarm, group), period)?,
        _ => metric(out, lead.alarm, period)?,
    }
    writeln!(out, "  }}\n}}")
}

fn metric(out: &mut String, alarm: &Alarm, period: Option<Duration>) -> std::fmt::Result {
    let name = alarm.metric.as_deref().unwrap_or_default();
    let namespace = alarm.namespace.as_deref().unwrap_or_default();
    let predefined = match (namespace, name, period) {
        ("AWS/EC2", "CPUUtilization", None) => Some("ASGAverageCPUUtilization"),
        ("AWS/EC2", "NetworkIn", None) => Some("ASGAverageNetworkIn"),
        ("AWS/EC2", "NetworkOut", None) => Some("ASGAverageNetworkOut"),
        ("AWS/ECS", "CPUUtilization", None) => Some("ECSServiceAverageCPUUtilization"),
        ("AWS/ECS", "MemoryUtilization", None) => Some("ECSServiceAverageMemoryUtilization"),
        ("AWS/ApplicationELB", "RequestCountPerTarget", None) => Some("ALBRequestCountPerTarget"),
        _ => None,
    };
    if let Some(predefined) = predefined {
        writeln!(out, "\n    predefined_metric_specification {{")?;
        writeln!(out, "      predefined_metric_type = {predefined:?}")?;
        if let Some(label) =
            resource_label(alarm).filter(|_| predefined == "ALBRequestCountPerTarget")
        {
            writeln!(out, "      resource_label         = {label:?}")?;
        }
        return writeln!(out, "    }}");
    }
    writeln!(out, "\n    customized_metric_specification {{")?;
    let statistic = alarm.statistic.as_deref().unwrap_or("Average");
    match period {
        None => {
            writeln!(
                out,
                "      metric_name = {name:?}\n      namespace   = {namespace:?}"
            )?;
            writeln!(out, "      statistic   = {statistic:?}")?;
            dimensions(
                out,
                alarm,
                "      ",
                if namespace == "AWS/ECS" {
                    "dimensions"
                } else {
                    "metric_dimension"
                },
            )?;
        }
        // Target tracking accepts a custom period only in the form with metric math.
        Some(period) => {
            writeln!(
                out,
                "      metrics {{\n        id = \"m1\"\n        metric_stat {{"
            )?;
            writeln!(
                out,
                "          stat   = {statistic:?}\n          period = {}",
                period.as_secs()
            )?;
            writeln!(out, "          metric {{")?;
            writeln!(
                out,
                "            metric_name = {name:?}\n            namespace   = {namespace:?}"
            )?;
            dimensions(out, alarm, "            ", "dimensions")?;
            writeln!(out, "          }}\n        }}\n      }}")?;
        }
    }
    writeln!(out, "    }}")
}

/// Returns `app/<balancer>/<id>/targetgroup/<group>/<id>`, from the dimensions of the alarm.
fn resource_label(alarm: &Alarm) -> Option<String> {
    let dimension = |wanted: &str| {
        alarm
            .dimensions
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    Some(format!(
        "{}/{}",
        dimension("LoadBalancer")?,
        dimension("TargetGroup")?
    ))
}

fn dimensions(out: &mut String, alarm: &Alarm, indent: &str, block: &str) -> std::fmt::Result {
    for (name, value) in &alarm.dimensions {
        writeln!(
            out,
            "{indent}{block} {{\n{indent}  name  = {name:?}\n{indent}  value = {value:?}\n{indent}}}"
        )?;
    }
    Ok(())
}

fn step(
    out: &mut String,
    group: &GroupState,
    lead: &RanPolicy<'_>,
    threshold: f64,
    add: u32,
) -> std::fmt::Result {
    let adjustment = format!(
        "step_adjustment {{\n    metric_interval_lower_bound = 0\n    scaling_adjustment          = {add}\n  }}"
    );
    writeln!(
        out,
        "# Beside the policy that is there: it answers a breach that is far beyond its target at once."
    )?;
    if group.is_service {
        writeln!(out, "resource \"aws_appautoscaling_policy\" \"spike\" {{")?;
        writeln!(out, "  name               = \"{}-spike\"", lead.policy.name)?;
        writeln!(out, "  policy_type        = \"StepScaling\"")?;
        of_service(out, group)?;
        writeln!(
            out,
            "\n  step_scaling_policy_configuration {{\n    adjustment_type = \"ChangeInCapacity\"\n    {}\n  }}\n}}\n",
            adjustment.replace('\n', "\n  ")
        )?;
    } else {
        writeln!(out, "resource \"aws_autoscaling_policy\" \"spike\" {{")?;
        writeln!(
            out,
            "  name                   = \"{}-spike\"",
            lead.policy.name
        )?;
        writeln!(out, "  autoscaling_group_name = {:?}", group.name)?;
        writeln!(out, "  policy_type            = \"StepScaling\"")?;
        writeln!(out, "  adjustment_type        = \"ChangeInCapacity\"")?;
        writeln!(out, "\n  {adjustment}\n}}\n")?;
    }
    spike_alarm(out, group, lead.alarm, threshold)
}

/// The alarm of that step policy, which looks at one datapoint only.
fn spike_alarm(
    out: &mut String,
    group: &GroupState,
    alarm: &Alarm,
    threshold: f64,
) -> std::fmt::Result {
    let policy = if group.is_service {
        "aws_appautoscaling_policy"
    } else {
        "aws_autoscaling_policy"
    };
    writeln!(out, "resource \"aws_cloudwatch_metric_alarm\" \"spike\" {{")?;
    writeln!(
        out,
        "  alarm_name          = \"{}-spike\"",
        group.name.replace('/', "-")
    )?;
    writeln!(
        out,
        "  namespace           = {:?}",
        alarm.namespace.as_deref().unwrap_or_default()
    )?;
    writeln!(
        out,
        "  metric_name         = {:?}",
        alarm.metric.as_deref().unwrap_or_default()
    )?;
    writeln!(
        out,
        "  statistic           = {:?}",
        alarm.statistic.as_deref().unwrap_or("Average")
    )?;
    let is_of_aws = alarm
        .namespace
        .as_deref()
        .is_some_and(|namespace| namespace.starts_with("AWS/"));
    let shortest = if is_of_aws {
        AWS_PERIOD
    } else {
        SHORTEST_PERIOD
    };
    writeln!(
        out,
        "  period              = {}",
        alarm.period.as_secs().max(shortest)
    )?;
    writeln!(out, "  evaluation_periods  = 1")?;
    writeln!(out, "  comparison_operator = \"GreaterThanThreshold\"")?;
    writeln!(out, "  threshold           = {threshold}")?;
    writeln!(out, "  alarm_actions       = [{policy}.spike.arn]")?;
    if !alarm.dimensions.is_empty() {
        writeln!(out, "  dimensions = {{")?;
        for (name, value) in &alarm.dimensions {
            writeln!(out, "    {name} = {value:?}")?;
        }
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}
