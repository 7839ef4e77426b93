//! The metric of a target-tracking policy as Terraform, with all that the policy's own
//! configuration says of it.

use std::time::Duration;

use super::block::Block;
use evidence::timeline::{Alarm, GroupState, MathQuery, OwnMetric, TrackedMetric};

/// Statistics that a metric of its own may have outside metric math.
pub(super) const STATISTICS: [&str; 5] = ["Average", "Minimum", "Maximum", "SampleCount", "Sum"];

/// Returns the metric of a policy: as it is specified, or else as its alarm sees it.
pub(super) fn of_policy(tracked: Option<&TrackedMetric>, alarm: &Alarm) -> TrackedMetric {
    tracked.cloned().unwrap_or_else(|| of_alarm(alarm))
}

/// Returns the metric that an alarm sees, as a target-tracking policy would specify it.
fn of_alarm(alarm: &Alarm) -> TrackedMetric {
    if !alarm.math.is_empty() {
        return TrackedMetric::Math(alarm.math.clone());
    }
    let (namespace, metric) = (
        alarm.namespace.as_deref().unwrap_or_default(),
        alarm.metric.as_deref().unwrap_or_default(),
    );
    let has = |statistic: &str| alarm.statistic.as_deref().unwrap_or(statistic) == statistic;
    let predefined = match (namespace, metric) {
        ("AWS/EC2", "CPUUtilization") if has("Average") => Some("ASGAverageCPUUtilization"),
        ("AWS/EC2", "NetworkIn") if has("Average") => Some("ASGAverageNetworkIn"),
        ("AWS/EC2", "NetworkOut") if has("Average") => Some("ASGAverageNetworkOut"),
        ("AWS/ECS", "CPUUtilization") if has("Average") => Some("ECSServiceAverageCPUUtilization"),
        ("AWS/ECS", "MemoryUtilization") if has("Average") => {
            Some("ECSServiceAverageMemoryUtilization")
        }
        ("AWS/ApplicationELB", "RequestCountPerTarget") if has("Sum") => {
            Some("ALBRequestCountPerTarget")
        }
        _ => None,
    };
    match predefined {
        Some(name) => TrackedMetric::Predefined {
            name: name.to_owned(),
            label: resource_label(alarm).filter(|_| name == "ALBRequestCountPerTarget"),
        },
        None => TrackedMetric::Own(own(alarm)),
    }
}

fn own(alarm: &Alarm) -> OwnMetric {
    OwnMetric {
        namespace: alarm.namespace.clone().unwrap_or_default(),
        metric: alarm.metric.clone().unwrap_or_default(),
        statistic: alarm.statistic.clone(),
        unit: alarm.unit.clone(),
        period: None,
        dimensions: alarm.dimensions.clone(),
    }
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

/// Returns true for the CPU that EC2 publishes, at best once a minute.
pub(super) fn is_ec2_cpu(alarm: &Alarm) -> bool {
    alarm.namespace.as_deref() == Some("AWS/EC2")
        && alarm.metric.as_deref() == Some("CPUUtilization")
}

/// Returns the same metric in another period. EC2's CPU becomes the metric of the agent, which
/// publishes the same for the whole group.
pub(super) fn in_period(
    metric: &TrackedMetric,
    alarm: &Alarm,
    group: &GroupState,
    period: Duration,
) -> TrackedMetric {
    match metric {
        TrackedMetric::Math(queries) => {
            let faster = |query: &MathQuery| MathQuery {
                period: Some(period),
                ..query.clone()
            };
            TrackedMetric::Math(queries.iter().map(faster).collect())
        }
        _ if is_ec2_cpu(alarm) => one_query(
            &OwnMetric {
                namespace: "CWAgent".to_owned(),
                metric: "cpu_usage_active".to_owned(),
                dimensions: vec![("AutoScalingGroupName".to_owned(), group.name.clone())],
                ..own(alarm)
            },
            Some(period),
        ),
        TrackedMetric::Own(own) => one_query(own, Some(period)),
        // AWS's own metrics come once a minute, so this is the metric that the alarm names.
        TrackedMetric::Predefined { .. } => one_query(&own(alarm), Some(period)),
    }
}

/// Returns one metric in the form of metric math, the only one that takes a period below a minute
/// or a percentile.
fn one_query(own: &OwnMetric, period: Option<Duration>) -> TrackedMetric {
    TrackedMetric::Math(vec![MathQuery {
        id: "m1".to_owned(),
        namespace: Some(own.namespace.clone()),
        metric: Some(own.metric.clone()),
        statistic: Some(own.statistic.clone().unwrap_or("Average".to_owned())),
        unit: own.unit.clone(),
        dimensions: own.dimensions.clone(),
        period: period.or(own.period),
        returned: true,
        ..MathQuery::default()
    }])
}

/// Returns true if every query of the metric is known well enough to write it again.
pub(super) fn is_whole(metric: &TrackedMetric) -> bool {
    let known = |query: &MathQuery| {
        query.expression.is_some() || (query.namespace.is_some() && query.metric.is_some())
    };
    match metric {
        TrackedMetric::Math(queries) => queries.iter().all(known),
        TrackedMetric::Predefined { .. } | TrackedMetric::Own(_) => true,
    }
}

/// Returns the expressions with a period of their own, which no resource of Terraform can set.
pub(super) fn periods_lost(metric: &TrackedMetric) -> Vec<(String, Duration)> {
    let TrackedMetric::Math(queries) = metric else {
        return Vec::new();
    };
    let own = |query: &MathQuery| {
        let period = query.period.filter(|_| query.expression.is_some())?;
        Some((query.id.clone(), period))
    };
    queries.iter().filter_map(own).collect()
}

/// Returns the block of a target-tracking configuration that specifies the metric.
pub(super) fn specification(metric: &TrackedMetric, is_service: bool) -> Block {
    match metric {
        TrackedMetric::Predefined { name, label } => {
            Block::nested("predefined_metric_specification")
                .text("predefined_metric_type", name)
                .text_if("resource_label", label.as_deref())
        }
        TrackedMetric::Math(queries) => Block::nested("customized_metric_specification")
            .with_all(queries.iter().map(|query| of_query(query, is_service))),
        TrackedMetric::Own(own)
            if own
                .statistic
                .as_deref()
                .is_some_and(|word| !STATISTICS.contains(&word)) =>
        {
            specification(&one_query(own, None), is_service)
        }
        TrackedMetric::Own(own) => {
            let of_dimension = if is_service {
                "dimensions"
            } else {
                "metric_dimension"
            };
            Block::nested("customized_metric_specification")
                .text("metric_name", &own.metric)
                .text("namespace", &own.namespace)
                .text("statistic", own.statistic.as_deref().unwrap_or("Average"))
                .text_if("unit", own.unit.as_deref())
                .set_if("period", whole(own.period).filter(|_| !is_service))
                .with_all(dimensions(&own.dimensions, of_dimension))
        }
    }
}

fn of_query(query: &MathQuery, is_service: bool) -> Block {
    let block = Block::nested("metrics")
        .text("id", &query.id)
        .text_if("expression", query.expression.as_deref())
        .text_if("label", query.label.as_deref())
        .set_if("return_data", (!query.returned).then_some(false));
    let Some(metric) = query.metric.as_deref() else {
        return block;
    };
    let named = Block::nested("metric")
        .text("metric_name", metric)
        .text("namespace", query.namespace.as_deref().unwrap_or_default())
        .with_all(dimensions(&query.dimensions, "dimensions"));
    let stat = Block::nested("metric_stat")
        .text("stat", query.statistic.as_deref().unwrap_or("Average"))
        .text_if("unit", query.unit.as_deref())
        .set_if("period", whole(query.period).filter(|_| !is_service))
        .with(named);
    block.with(stat)
}

fn whole(period: Option<Duration>) -> Option<u64> {
    period.map(|period| period.as_secs())
}

fn dimensions(of: &[(String, String)], head: &str) -> Vec<Block> {
    let block = |(name, value): &(String, String)| {
        Block::nested(head).text("name", name).text("value", value)
    };
    of.iter().map(block).collect()
}
