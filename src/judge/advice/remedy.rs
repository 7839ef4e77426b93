//! Writes a policy on another metric as Terraform, for a group whose policy does not see the load.

use std::fmt::Write as _;

use super::others::ROOM;
use super::{Advice, Evidence};
use evidence::Hypothesis;
use evidence::timeline::GroupState;

/// Seconds of the period that AWS counts the requests of a target in.
const MINUTE: f64 = 60.0;

/// Returns a policy that tracks the requests of each target; `None` where the capacity of an
/// instance or the load balancer is not known. It says so where more instances may not help.
pub(super) fn by_requests(
    evidence: &Evidence<'_>,
    advice: &Advice,
    blind: &Hypothesis,
) -> Option<String> {
    let (_, group) = evidence.timeline.groups().next_back()?;
    let capacity = advice.capacity.as_ref()?;
    let label = label(evidence)?;
    let target = (capacity.at_limit * ROOM * MINUTE).floor();
    let mut out = match blind.holds() {
        true => String::new(),
        false => "# Only if the same load with more instances holds the limits.\n".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = policy(&mut out, group, &label, target);
    Some(out)
}

fn policy(out: &mut String, group: &GroupState, label: &str, target: f64) -> std::fmt::Result {
    writeln!(
        out,
        "# {:.0} % of the load that each instance is known to carry, for a minute.",
        ROOM * 100.0
    )?;
    let (kind, block) = if group.is_service {
        writeln!(
            out,
            "resource \"aws_appautoscaling_policy\" \"requests\" {{"
        )?;
        writeln!(out, "  service_namespace  = \"ecs\"")?;
        writeln!(
            out,
            "  resource_id        = {:?}",
            format!("service/{}", group.name)
        )?;
        writeln!(out, "  scalable_dimension = \"ecs:service:DesiredCount\"")?;
        (
            "policy_type       ",
            "target_tracking_scaling_policy_configuration",
        )
    } else {
        writeln!(out, "resource \"aws_autoscaling_policy\" \"requests\" {{")?;
        writeln!(out, "  autoscaling_group_name = {:?}", group.name)?;
        ("policy_type           ", "target_tracking_configuration")
    };
    writeln!(out, "  name = \"requests-per-target\"")?;
    writeln!(out, "  {kind} = \"TargetTrackingScaling\"\n")?;
    writeln!(out, "  {block} {{\n    target_value = {target}\n")?;
    writeln!(out, "    predefined_metric_specification {{")?;
    writeln!(
        out,
        "      predefined_metric_type = \"ALBRequestCountPerTarget\""
    )?;
    writeln!(out, "      resource_label         = {label:?}")?;
    writeln!(out, "    }}\n  }}\n}}")
}

/// Returns `app/<balancer>/<id>/targetgroup/<group>/<id>`, from the ARNs of both.
fn label(evidence: &Evidence<'_>) -> Option<String> {
    let groups = &evidence.timeline.surroundings()?.target_groups;
    groups.iter().find_map(|group| {
        let balancer = group.balancers.first()?;
        let (_, balancer) = balancer.arn.split_once("loadbalancer/")?;
        let (_, target) = group.arn.rsplit_once(':')?;
        balancer
            .starts_with("app/")
            .then(|| format!("{balancer}/{target}"))
    })
}
