//! CloudWatch's API over the lab's group, in the CBOR its SDK speaks.

use std::time::Duration;

use serde_json::Value;

use super::alarms::{HistoryItem, WatchedAlarm};
use super::call::{ApiCall, ApiError, LabResponse, answer_cbor};
use super::cbor::{self, Cbor};
use super::clock::LabInstant;
use super::group::{LabGroup, NAME};
use super::metrics::{Sample, statistic};
use super::{World, autoscaling, elb, service};

/// Answers CloudWatch's actions; `None` for any other action.
pub(crate) fn answer(world: &World, call: &ApiCall) -> Option<LabResponse> {
    let input = match cbor::decode(&call.body) {
        Ok(input) => input,
        Err(error) => {
            return Some(call.refuse(&ApiError::new("SerializationException", error.to_string())));
        }
    };
    let group = world.group();
    let output = match call.action.as_str() {
        "DescribeAlarms" => alarms(&group, &input),
        "DescribeAlarmHistory" => history(&group, &input, world.config.faults.no_alarm_history),
        "GetMetricData" => metric_data(&group, &input, world.clock.now()),
        _ => return None,
    };
    Some(answer_cbor(&output))
}

fn alarms(group: &LabGroup, input: &Value) -> Cbor {
    let names: Vec<&str> = input["AlarmNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let prefix = input["AlarmNamePrefix"].as_str().unwrap_or_default();
    let asked = group
        .alarms()
        .filter(|(_, alarm)| names.is_empty() || names.contains(&alarm.name.as_str()))
        .filter(|(_, alarm)| alarm.name.starts_with(prefix))
        .map(|(policy, alarm)| describe(&policy.name, alarm));
    Cbor::map([
        ("MetricAlarms", Cbor::list(asked)),
        ("CompositeAlarms", Cbor::list([])),
    ])
}

fn describe(policy: &str, alarm: &WatchedAlarm) -> Cbor {
    let (namespace, metric, statistic, dimensions) = alarm.metric();
    let policy = autoscaling::policy_arn(policy);
    let description = match alarm.is_tracking {
        true => format!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy}."),
        false => "made by hand".to_owned(),
    };
    let datapoints = Cbor::Integer(alarm.model.datapoints as i32);
    Cbor::Map(vec![
        ("AlarmName", Cbor::text(&alarm.name)),
        ("AlarmArn", Cbor::text(&alarm.arn)),
        ("AlarmDescription", Cbor::text(description)),
        (
            "AlarmConfigurationUpdatedTimestamp",
            Cbor::Instant(alarm.created),
        ),
        ("ActionsEnabled", Cbor::Boolean(true)),
        ("AlarmActions", Cbor::list([Cbor::text(policy)])),
        ("StateValue", Cbor::text(alarm.state().word())),
        ("StateReason", Cbor::text(&alarm.reason)),
        ("StateReasonData", Cbor::text(alarm.reason_data.to_string())),
        ("StateUpdatedTimestamp", Cbor::Instant(alarm.transitioned)),
        (
            "StateTransitionedTimestamp",
            Cbor::Instant(alarm.transitioned),
        ),
        ("MetricName", Cbor::text(metric)),
        ("Namespace", Cbor::text(namespace)),
        ("Statistic", Cbor::text(statistic)),
        (
            "Dimensions",
            Cbor::list(dimensions.iter().map(|(name, value)| {
                Cbor::map([("Name", Cbor::text(*name)), ("Value", Cbor::text(*value))])
            })),
        ),
        ("Period", Cbor::Integer(alarm.period.as_secs() as i32)),
        ("EvaluationPeriods", datapoints.clone()),
        ("DatapointsToAlarm", datapoints),
        ("Threshold", Cbor::Double(alarm.model.threshold)),
        (
            "ComparisonOperator",
            Cbor::text(alarm.model.comparison.operator()),
        ),
        ("TreatMissingData", Cbor::text("missing")),
    ])
}

/// Returns the alarm history; empty with `hidden`, a fault of the lab file.
fn history(group: &LabGroup, input: &Value, hidden: bool) -> Cbor {
    let name = input["AlarmName"].as_str();
    let kind = input["HistoryItemType"].as_str();
    let (from, to) = range(input, "StartDate", "EndDate");
    let mut items: Vec<(&WatchedAlarm, &HistoryItem)> = group
        .alarms()
        .map(|(_, alarm)| alarm)
        .filter(|alarm| !hidden && name.is_none_or(|name| name == alarm.name))
        .flat_map(|alarm| alarm.history.iter().map(move |item| (alarm, item)))
        .filter(|(_, item)| {
            kind.is_none_or(|kind| kind == item.kind) && (from..=to).contains(&item.at)
        })
        .collect();
    items.sort_by_key(|(_, item)| item.at);
    if input["ScanBy"].as_str() != Some("TimestampAscending") {
        items.reverse();
    }
    let size = input["MaxRecords"].as_u64().unwrap_or(100).clamp(1, 100) as usize;
    let start = input["NextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0)
        .min(items.len());
    let end = (start + size).min(items.len());
    let page = items[start..end].iter().map(|(alarm, item)| {
        Cbor::map([
            ("AlarmName", Cbor::text(&alarm.name)),
            ("AlarmType", Cbor::text("MetricAlarm")),
            ("Timestamp", Cbor::Instant(item.at)),
            ("HistoryItemType", Cbor::text(item.kind)),
            ("HistorySummary", Cbor::text(&item.summary)),
            ("HistoryData", Cbor::text(item.data.to_string())),
        ])
    });
    let mut output = vec![("AlarmHistoryItems", Cbor::list(page))];
    if end < items.len() {
        output.push(("NextToken", Cbor::text(end.to_string())));
    }
    Cbor::Map(output)
}

fn metric_data(group: &LabGroup, input: &Value, now: LabInstant) -> Cbor {
    let (from, to) = range(input, "StartTime", "EndTime");
    // A datapoint appears only after the metric's delay.
    let there = group
        .samples
        .partition_point(|sample| sample.start + group.period() + group.metric_delay <= now);
    let ascending = input["ScanBy"].as_str() == Some("TimestampAscending");
    let queries = input["MetricDataQueries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let results = queries
        .iter()
        .filter(|query| query["ReturnData"].as_bool() != Some(false))
        .map(|query| {
            let mut points = datapoints(&group.samples[..there], &query["MetricStat"], from, to);
            if !ascending {
                points.reverse();
            }
            let metric = query["MetricStat"]["Metric"]["MetricName"].as_str();
            let label = query["Label"].as_str().or(metric).unwrap_or_default();
            Cbor::map([
                ("Id", Cbor::text(query["Id"].as_str().unwrap_or_default())),
                ("Label", Cbor::text(label)),
                (
                    "Timestamps",
                    Cbor::list(points.iter().map(|(at, _)| Cbor::Instant(*at))),
                ),
                (
                    "Values",
                    Cbor::list(points.iter().map(|(_, value)| Cbor::Double(*value))),
                ),
                ("StatusCode", Cbor::text("Complete")),
            ])
        });
    Cbor::map([
        ("MetricDataResults", Cbor::list(results)),
        ("Messages", Cbor::list([])),
    ])
}

/// Returns datapoints, start inclusive, end exclusive, oldest first; a datapoint's instant is the
/// start of its period.
fn datapoints(
    samples: &[Sample],
    stat: &Value,
    from: LabInstant,
    to: LabInstant,
) -> Vec<(LabInstant, f64)> {
    let metric = stat["Metric"]["MetricName"].as_str().unwrap_or_default();
    if !is_ours(&stat["Metric"]) {
        return Vec::new();
    }
    let period = stat["Period"].as_u64().unwrap_or(60).max(1);
    let bucket = |sample: &Sample| Duration::from_secs(sample.start.as_secs() / period * period);
    // CloudWatch rounds the start down to a whole period.
    let from = Duration::from_secs(from.as_secs() / period * period);
    let wanted: Vec<&Sample> = samples
        .iter()
        .filter(|sample| (from..to).contains(&bucket(sample)))
        .collect();
    wanted
        .chunk_by(|left, right| bucket(left) == bucket(right))
        .filter_map(|chunk| {
            let values = chunk
                .iter()
                .flat_map(|sample| sample.values(metric))
                .collect();
            Some((
                bucket(chunk.first()?),
                statistic(stat["Stat"].as_str().unwrap_or("Average"), values)?,
            ))
        })
        .collect()
}

/// True if namespace and dimensions name the lab's own group, load balancer or target group.
fn is_ours(metric: &Value) -> bool {
    let expected: &[(&str, &str)] = match metric["Namespace"].as_str() {
        Some("AWS/EC2" | "AWS/AutoScaling") => &[("AutoScalingGroupName", NAME)],
        Some("AWS/ECS") => &[
            ("ClusterName", service::CLUSTER),
            ("ServiceName", service::SERVICE),
        ],
        Some("AWS/ApplicationELB") => &[
            ("LoadBalancer", elb::BALANCER),
            ("TargetGroup", elb::TARGET_GROUP),
        ],
        _ => return false,
    };
    let dimensions = metric["Dimensions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let known = |dimension: &Value| {
        expected
            .iter()
            .any(|(name, value)| dimension["Name"] == *name && dimension["Value"] == *value)
    };
    !dimensions.is_empty() && dimensions.iter().all(known)
}

/// Reads two optional instants, in seconds since 1970.
fn range(input: &Value, from: &str, to: &str) -> (LabInstant, LabInstant) {
    let moment = |key: &str| {
        input[key]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    (
        moment(from).unwrap_or(Duration::ZERO),
        moment(to).unwrap_or(Duration::MAX),
    )
}
