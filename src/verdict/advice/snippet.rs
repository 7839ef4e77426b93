//! A change as Terraform, ready to be laid beside the group's own module.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Change, Evidence, Ran};

/// Nothing where there is nothing to change.
pub fn terraform(change: &Change, evidence: &Evidence<'_>, ran: &Ran<'_>) -> Option<String> {
    let (_, group) = evidence.timeline.groups().next_back()?;
    let name = &group.name;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match change {
        Change::Nothing | Change::WhatIf => return None,
        Change::Target { target } => tracking(&mut out, name, ran, *target, None),
        Change::Period { period } => tracking(&mut out, name, ran, ran.target, Some(*period)),
        Change::Step { threshold, add } => step(&mut out, name, ran, *threshold, *add),
        Change::Minimum { min } => write!(
            out,
            "# In the group's own resource:\n#   resource \"aws_autoscaling_group\" ... {{\n#     name     = {name:?}\n#     min_size = {min}\n#   }}\n"
        ),
        Change::WarmPool { .. } => write!(
            out,
            "# In the group's own resource:\n#   resource \"aws_autoscaling_group\" ... {{\n#     name = {name:?}\n#     warm_pool {{\n#       pool_state = \"Stopped\"\n#     }}\n#   }}\n"
        ),
        Change::Scheduled { min, .. } => write!(
            out,
            "# Once before the spike, and a second one after it that takes min_size back to {}.\n\
             resource \"aws_autoscaling_schedule\" \"before_the_spike\" {{\n  \
             scheduled_action_name  = \"before-the-spike\"\n  \
             autoscaling_group_name = {name:?}\n  \
             min_size               = {min}\n  max_size               = -1\n  desired_capacity       = -1\n  \
             recurrence             = \"50 8 * * MON-FRI\" # ten minutes before the spike\n}}\n",
            group.min
        ),
    };
    Some(out)
}

fn tracking(out: &mut String, group: &str, ran: &Ran<'_>, target: f64, period: Option<Duration>) -> std::fmt::Result {
    writeln!(out, "resource \"aws_autoscaling_policy\" \"spikeproof\" {{")?;
    writeln!(out, "  name                   = {:?}", ran.policy.name)?;
    writeln!(out, "  autoscaling_group_name = {group:?}")?;
    writeln!(out, "  policy_type            = \"TargetTrackingScaling\"")?;
    if let Some(warm_up) = ran.policy.warm_up {
        writeln!(out, "\n  estimated_instance_warmup = {}", warm_up.as_secs())?;
    }
    writeln!(out, "\n  target_tracking_configuration {{")?;
    writeln!(out, "    target_value = {target}")?;
    metric(out, ran, period)?;
    writeln!(out, "  }}\n}}")
}

fn metric(out: &mut String, ran: &Ran<'_>, period: Option<Duration>) -> std::fmt::Result {
    let name = ran.high.metric.as_deref().unwrap_or_default();
    let namespace = ran.high.namespace.as_deref().unwrap_or_default();
    let predefined = match (namespace, name, period) {
        ("AWS/EC2", "CPUUtilization", None) => Some("ASGAverageCPUUtilization"),
        ("AWS/EC2", "NetworkIn", None) => Some("ASGAverageNetworkIn"),
        ("AWS/EC2", "NetworkOut", None) => Some("ASGAverageNetworkOut"),
        _ => None,
    };
    if let Some(predefined) = predefined {
        writeln!(out, "\n    predefined_metric_specification {{")?;
        writeln!(out, "      predefined_metric_type = {predefined:?}")?;
        return writeln!(out, "    }}");
    }
    writeln!(out, "\n    customized_metric_specification {{")?;
    let statistic = ran.high.statistic.as_deref().unwrap_or("Average");
    match period {
        None => {
            writeln!(out, "      metric_name = {name:?}\n      namespace   = {namespace:?}")?;
            writeln!(out, "      statistic   = {statistic:?}")?;
            dimensions(out, ran, "      ", "metric_dimension")?;
        }
        // A period of its own exists only in the form with metric math.
        Some(period) => {
            writeln!(out, "      metrics {{\n        id = \"m1\"\n        metric_stat {{")?;
            writeln!(out, "          stat   = {statistic:?}\n          period = {}", period.as_secs())?;
            writeln!(out, "          metric {{")?;
            writeln!(out, "            metric_name = {name:?}\n            namespace   = {namespace:?}")?;
            dimensions(out, ran, "            ", "dimensions")?;
            writeln!(out, "          }}\n        }}\n      }}")?;
        }
    }
    writeln!(out, "    }}")
}

fn dimensions(out: &mut String, ran: &Ran<'_>, indent: &str, block: &str) -> std::fmt::Result {
    for (name, value) in &ran.high.dimensions {
        writeln!(out, "{indent}{block} {{\n{indent}  name  = {name:?}\n{indent}  value = {value:?}\n{indent}}}")?;
    }
    Ok(())
}

fn step(out: &mut String, group: &str, ran: &Ran<'_>, threshold: f64, add: u32) -> std::fmt::Result {
    let high = ran.high;
    writeln!(out, "# Beside the policy that is there: it answers a breach that is far beyond its target at once.")?;
    writeln!(out, "resource \"aws_autoscaling_policy\" \"spike\" {{")?;
    writeln!(out, "  name                   = \"{}-spike\"", ran.policy.name)?;
    writeln!(out, "  autoscaling_group_name = {group:?}")?;
    writeln!(out, "  policy_type            = \"StepScaling\"")?;
    writeln!(out, "  adjustment_type        = \"ChangeInCapacity\"")?;
    writeln!(
        out,
        "\n  step_adjustment {{\n    metric_interval_lower_bound = 0\n    scaling_adjustment          = {add}\n  }}\n}}\n"
    )?;
    writeln!(out, "resource \"aws_cloudwatch_metric_alarm\" \"spike\" {{")?;
    writeln!(out, "  alarm_name          = \"{group}-spike\"")?;
    writeln!(out, "  namespace           = {:?}", high.namespace.as_deref().unwrap_or_default())?;
    writeln!(out, "  metric_name         = {:?}", high.metric.as_deref().unwrap_or_default())?;
    writeln!(out, "  statistic           = {:?}", high.statistic.as_deref().unwrap_or("Average"))?;
    writeln!(out, "  period              = {}", high.period.as_secs())?;
    writeln!(out, "  evaluation_periods  = 1")?;
    writeln!(out, "  comparison_operator = \"GreaterThanThreshold\"")?;
    writeln!(out, "  threshold           = {threshold}")?;
    writeln!(out, "  alarm_actions       = [aws_autoscaling_policy.spike.arn]")?;
    if !high.dimensions.is_empty() {
        writeln!(out, "  dimensions = {{")?;
        for (name, value) in &high.dimensions {
            writeln!(out, "    {name} = {value:?}")?;
        }
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}
