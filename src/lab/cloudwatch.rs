//! CloudWatch's API over the lab's group, in each protocol that its clients speak.

use std::time::Duration;

use serde_json::Value;

use super::alarms::{HistoryItem, WatchedAlarm};
use super::call::{ApiCall, ApiError, LabResponse};
use super::clock::LabInstant;
use super::group::{LabGroup, NAME};
use super::metrics::{Sample, statistic};
use super::tree::Tree;
use super::{World, autoscaling, elb, service};

/// The most alarms of one answer, where the caller names no number.
const ALARMS: usize = 50;
/// The most alarms or events of one answer.
const MOST_RECORDS: usize = 100;
/// The most datapoints of one answer.
const MOST_DATAPOINTS: usize = 100_800;

/// Answers CloudWatch's actions; `Ok(None)` for any other action.
pub(crate) fn answer(world: &World, call: &ApiCall) -> Result<Option<LabResponse>, ApiError> {
    let input = call.parameters()?;
    let group = world.group();
    let output = match call.action.as_str() {
        "DescribeAlarms" => alarms(&group, &input)?,
        "DescribeAlarmHistory" => history(&group, &input, world.config.faults.no_alarm_history)?,
        "GetMetricData" => metric_data(&group, &input, world.clock.now())?,
        _ => return Ok(None),
    };
    Ok(Some(call.give(&output)))
}

fn alarms(group: &LabGroup, input: &Value) -> Result<Tree, ApiError> {
    let texts = |key: &str| -> Vec<&str> {
        let list = input[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).collect()
    };
    let (names, types) = (texts("AlarmNames"), texts("AlarmTypes"));
    let prefix = input["AlarmNamePrefix"].as_str().unwrap_or_default();
    let state = input["StateValue"].as_str();
    let asked: Vec<Tree> = group
        .alarms()
        .filter(|_| types.is_empty() || types.contains(&"MetricAlarm"))
        .filter(|(_, alarm)| names.is_empty() || names.contains(&alarm.name.as_str()))
        .filter(|(_, alarm)| alarm.name.starts_with(prefix))
        .filter(|(_, alarm)| state.is_none_or(|state| state == alarm.state().word()))
        .map(|(policy, alarm)| describe(&policy.name, alarm))
        .collect();
    let page = Page::read(input, "MaxRecords", ALARMS, MOST_RECORDS)?;
    let next = page.next(asked.len());
    let mut output = vec![
        ("MetricAlarms", Tree::list(page.of(asked))),
        ("CompositeAlarms", Tree::list([])),
    ];
    output.extend(next);
    Ok(Tree::Map(output))
}

fn describe(policy: &str, alarm: &WatchedAlarm) -> Tree {
    let (namespace, metric, statistic, dimensions) = alarm.metric();
    let policy = autoscaling::policy_arn(policy);
    let description = match alarm.is_tracking {
        true => format!("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy}."),
        false => "made by hand".to_owned(),
    };
    let datapoints = Tree::Integer(alarm.model.datapoints as i32);
    Tree::Map(vec![
        ("AlarmName", Tree::text(&alarm.name)),
        ("AlarmArn", Tree::text(&alarm.arn)),
        ("AlarmDescription", Tree::text(description)),
        (
            "AlarmConfigurationUpdatedTimestamp",
            Tree::Instant(alarm.created),
        ),
        ("ActionsEnabled", Tree::Boolean(true)),
        ("AlarmActions", Tree::list([Tree::text(policy)])),
        ("StateValue", Tree::text(alarm.state().word())),
        ("StateReason", Tree::text(&alarm.reason)),
        ("StateReasonData", Tree::text(alarm.reason_data.to_string())),
        ("StateUpdatedTimestamp", Tree::Instant(alarm.transitioned)),
        (
            "StateTransitionedTimestamp",
            Tree::Instant(alarm.transitioned),
        ),
        ("MetricName", Tree::text(metric)),
        ("Namespace", Tree::text(namespace)),
        ("Statistic", Tree::text(statistic)),
        (
            "Dimensions",
            Tree::list(dimensions.iter().map(|(name, value)| {
                Tree::map([("Name", Tree::text(*name)), ("Value", Tree::text(*value))])
            })),
        ),
        ("Period", Tree::Integer(alarm.period.as_secs() as i32)),
        ("EvaluationPeriods", datapoints.clone()),
        ("DatapointsToAlarm", datapoints),
        ("Threshold", Tree::Double(alarm.model.threshold)),
        (
            "ComparisonOperator",
            Tree::text(alarm.model.comparison.operator()),
        ),
        ("TreatMissingData", Tree::text("missing")),
    ])
}

/// Returns the alarm history; empty with `hidden`, a fault of the lab file.
fn history(group: &LabGroup, input: &Value, hidden: bool) -> Result<Tree, ApiError> {
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
    let page = Page::read(input, "MaxRecords", MOST_RECORDS, MOST_RECORDS)?;
    let next = page.next(items.len());
    let events = page.of(items).map(|(alarm, item)| {
        Tree::map([
            ("AlarmName", Tree::text(&alarm.name)),
            ("AlarmType", Tree::text("MetricAlarm")),
            ("Timestamp", Tree::Instant(item.at)),
            ("HistoryItemType", Tree::text(item.kind)),
            ("HistorySummary", Tree::text(&item.summary)),
            ("HistoryData", Tree::text(item.data.to_string())),
        ])
    });
    let mut output = vec![("AlarmHistoryItems", Tree::list(events))];
    output.extend(next);
    Ok(Tree::Map(output))
}

/// A part of a list that is too long for one answer. The token is the number of what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    start: usize,
    end: usize,
}

impl Page {
    fn read(input: &Value, size: &str, usual: usize, most: usize) -> Result<Self, ApiError> {
        let start = match input["NextToken"].as_str() {
            None => 0,
            Some(token) => token
                .parse()
                .map_err(|_| ApiError::new("InvalidNextToken", "There is no such page."))?,
        };
        let size = number(&input[size]).map_or(usual, |size| size as usize);
        Ok(Self {
            start,
            end: start.saturating_add(size.clamp(1, most)),
        })
    }

    fn of<T>(self, all: Vec<T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.start).take(self.end - self.start)
    }

    /// Returns the entry of an answer that names the next page; `None` if this is the last one.
    fn next(self, all: usize) -> Option<(&'static str, Tree)> {
        (self.end < all).then(|| ("NextToken", Tree::text(self.end.to_string())))
    }
}

fn metric_data(group: &LabGroup, input: &Value, now: LabInstant) -> Result<Tree, ApiError> {
    let (from, to) = range(input, "StartTime", "EndTime");
    // A datapoint appears only after the metric's delay.
    let there = group
        .samples
        .partition_point(|sample| sample.start + group.period() + group.metric_delay <= now);
    let ascending = input["ScanBy"].as_str() == Some("TimestampAscending");
    let queries = input["MetricDataQueries"].as_array();
    let page = Page::read(input, "MaxDatapoints", MOST_DATAPOINTS, MOST_DATAPOINTS)?;
    let (mut results, mut before) = (Vec::new(), 0);
    for query in queries.into_iter().flatten() {
        if query["ReturnData"].as_bool() == Some(false) || query["ReturnData"] == "false" {
            continue;
        }
        let mut points = datapoints(&group.samples[..there], &query["MetricStat"], from, to);
        if !ascending {
            points.reverse();
        }
        results.extend(result(query, &points, before, page));
        before += points.len();
    }
    let mut output = vec![
        ("MetricDataResults", Tree::list(results)),
        ("Messages", Tree::list([])),
    ];
    output.extend(page.next(before));
    Ok(Tree::Map(output))
}

/// Describes the datapoints of a query that are on this page; `None` if they are all on others.
/// `before` is the number of datapoints of the queries before it.
fn result(query: &Value, points: &[(LabInstant, f64)], before: usize, page: Page) -> Option<Tree> {
    let place = |at: usize| at.saturating_sub(before).min(points.len());
    let given = &points[place(page.start)..place(page.end)];
    let is_first = page.start == 0 && points.is_empty();
    if given.is_empty() && !is_first {
        return None;
    }
    let metric = query["MetricStat"]["Metric"]["MetricName"].as_str();
    let label = query["Label"].as_str().or(metric).unwrap_or_default();
    let is_whole = before + points.len() <= page.end;
    let instants = given.iter().map(|(at, _)| Tree::Instant(*at));
    let values = given.iter().map(|(_, value)| Tree::Double(*value));
    Some(Tree::map([
        ("Id", Tree::text(query["Id"].as_str().unwrap_or_default())),
        ("Label", Tree::text(label)),
        ("Timestamps", Tree::list(instants)),
        ("Values", Tree::list(values)),
        (
            "StatusCode",
            Tree::text(if is_whole { "Complete" } else { "PartialData" }),
        ),
    ]))
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
    let period = number(&stat["Period"]).map_or(60, |period| period as u64);
    let period = period.max(1);
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

/// Reads two optional instants, in seconds since 1970 or as a query has them.
fn range(input: &Value, from: &str, to: &str) -> (LabInstant, LabInstant) {
    (
        instant(&input[from]).unwrap_or(Duration::ZERO),
        instant(&input[to]).unwrap_or(Duration::MAX),
    )
}

fn instant(value: &Value) -> Option<LabInstant> {
    let written = || value.as_str()?.parse::<jiff::Timestamp>().ok();
    let seconds = value
        .as_f64()
        .or_else(|| Some(written()?.as_millisecond() as f64 / 1_000.0))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a number, which is a text in a query.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(input: &Value) -> Page {
        Page::read(input, "MaxDatapoints", 5, 5).unwrap()
    }

    fn ids(points: [usize; 3], input: &Value) -> Vec<(String, usize, String)> {
        let (mut before, mut found) = (0, Vec::new());
        for (number, count) in points.into_iter().enumerate() {
            let points = vec![(Duration::from_secs(1), 1.0); count];
            let query = json!({ "Id": number.to_string() });
            if let Some(result) = result(&query, &points, before, page(input)) {
                let json = result.json();
                let text = |key: &str| json[key].as_str().unwrap().to_owned();
                let count = json["Values"].as_array().unwrap().len();
                found.push((text("Id"), count, text("StatusCode")));
            }
            before += count;
        }
        found
    }

    #[test]
    fn pages_have_every_datapoint_once_and_every_query() {
        let one = |id: &str, count, status: &str| (id.to_owned(), count, status.to_owned());
        let first = ids([4, 0, 3], &json!({}));
        assert_eq!(
            first,
            [
                one("0", 4, "Complete"),
                one("1", 0, "Complete"),
                one("2", 1, "PartialData")
            ]
        );
        assert_eq!(
            page(&json!({})).next(7),
            Some(("NextToken", Tree::text("5")))
        );
        let second = ids([4, 0, 3], &json!({ "NextToken": "5" }));
        assert_eq!(second, [one("2", 2, "Complete")]);
        assert_eq!(page(&json!({ "NextToken": "5" })).next(7), None);
        let small = json!({ "MaxDatapoints": "2" });
        assert_eq!(page(&small), Page { start: 0, end: 2 });
        let nonsense = json!({ "NextToken": "x" });
        let refused = Page::read(&nonsense, "MaxDatapoints", 5, 5).unwrap_err();
        assert_eq!(refused.code, "InvalidNextToken");
    }

    #[test]
    fn instants_and_numbers_are_read_in_every_protocol() {
        let second = Some(Duration::from_millis(1_764_000_000_250));
        assert_eq!(instant(&json!(1_764_000_000.25)), second);
        assert_eq!(instant(&json!("2025-11-24T16:00:00.250Z")), second);
        assert_eq!(instant(&json!("yesterday")), None);
        assert_eq!(number(&json!(60)), Some(60.0));
        assert_eq!(number(&json!("60")), Some(60.0));
        assert_eq!(number(&Value::Null), None);
    }
}
