//! Alarms, their history, and metrics.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, HistoryItemType, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Eyes, WatchError, call, elb, seconds, timestamp};
use crate::measure::timeline::{Alarm, AlarmChange, Datapoint, MetricSeries};
use crate::scenario::Subject;

/// What CloudWatch offers of a load balancer: a minute's resolution.
const ELB_PERIOD: Duration = Duration::from_secs(60);
/// DescribeAlarms takes so many names.
const NAMES: usize = 100;

pub async fn alarms(eyes: &Eyes, names: &[String]) -> Result<Vec<Alarm>, WatchError> {
    let mut alarms = Vec::with_capacity(names.len());
    for names in names.chunks(NAMES) {
        let answer = eyes
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .max_records(NAMES as i32)
            .send()
            .await
            .map_err(call("cloudwatch:DescribeAlarms"))?;
        alarms.extend(answer.metric_alarms().iter().map(alarm));
    }
    Ok(alarms)
}

fn alarm(alarm: &aws_sdk_cloudwatch::types::MetricAlarm) -> Alarm {
    Alarm {
        name: alarm.alarm_name().unwrap_or_default().to_owned(),
        state: alarm.state_value().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        // Not StateUpdatedTimestamp: that one moves with every evaluation.
        state_since: alarm.state_transitioned_timestamp().and_then(timestamp),
        namespace: alarm.namespace().map(str::to_owned),
        metric: alarm.metric_name().map(str::to_owned),
        statistic: alarm
            .statistic()
            .map(|statistic| statistic.as_str().to_owned())
            .or_else(|| alarm.extended_statistic().map(str::to_owned)),
        dimensions: alarm
            .dimensions()
            .iter()
            .filter_map(|dimension| Some((dimension.name()?.to_owned(), dimension.value()?.to_owned())))
            .collect(),
        comparison: alarm.comparison_operator().map(|word| word.as_str().to_owned()).unwrap_or_default(),
        threshold: alarm.threshold(),
        period: seconds(alarm.period().unwrap_or(60)),
        evaluation_periods: u32::try_from(alarm.evaluation_periods().unwrap_or(1)).unwrap_or(1),
        datapoints_to_alarm: alarm.datapoints_to_alarm().and_then(|value| u32::try_from(value).ok()),
        missing: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
    }
}

/// The state changes of an alarm since a moment, earliest first.
pub async fn history(eyes: &Eyes, alarm: &str, since: Timestamp) -> Result<Vec<AlarmChange>, WatchError> {
    let mut changes = Vec::new();
    let mut token = None;
    loop {
        let page = eyes
            .cloudwatch
            .describe_alarm_history()
            .alarm_name(alarm)
            .history_item_type(HistoryItemType::StateUpdate)
            .scan_by(ScanBy::TimestampAscending)
            .start_date(DateTime::from_secs(since.as_second()))
            .set_next_token(token)
            .send()
            .await
            .map_err(call("cloudwatch:DescribeAlarmHistory"))?;
        for item in page.alarm_history_items() {
            let Some(at) = item.timestamp().and_then(timestamp) else { continue };
            let Some(change) = item.history_data().and_then(|data| read_change(alarm, at, data)) else { continue };
            changes.push(change);
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(changes);
        }
    }
}

/// The part of `HistoryData` that says on which datapoints the alarm was decided.
fn read_change(alarm: &str, at: Timestamp, data: &str) -> Option<AlarmChange> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        old_state: State,
        new_state: State,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct State {
        state_value: String,
        state_reason_data: Option<Reason>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reason {
        period: Option<i64>,
        start_date: Option<String>,
        #[serde(default)]
        recent_datapoints: Vec<f64>,
        #[serde(default)]
        evaluated_datapoints: Vec<Evaluated>,
    }
    #[derive(Deserialize)]
    struct Evaluated {
        timestamp: String,
        value: Option<f64>,
    }

    let data: Data = serde_json::from_str(data).ok()?;
    let mut datapoints = Vec::new();
    if let Some(reason) = data.new_state.state_reason_data {
        for point in reason.evaluated_datapoints {
            if let (Some(at), Some(value)) = (read_time(&point.timestamp), point.value) {
                datapoints.push(Datapoint { at, value });
            }
        }
        // Older items have only the values, from a start on, one per period.
        if let (true, Some(start), Some(period)) =
            (datapoints.is_empty(), reason.start_date.as_deref().and_then(read_time), reason.period)
        {
            for (index, value) in reason.recent_datapoints.into_iter().enumerate() {
                let offset = jiff::SignedDuration::from_secs(period * index as i64);
                datapoints.push(Datapoint { at: start.checked_add(offset).ok()?, value });
            }
        }
    }
    datapoints.sort_by_key(|point| point.at);
    Some(AlarmChange {
        alarm: alarm.to_owned(),
        at,
        from: data.old_state.state_value,
        to: data.new_state.state_value,
        datapoints,
    })
}

/// CloudWatch writes `2026-03-01T12:00:00.000+0000`: a zone without a colon, which RFC 3339 does not know.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let (head, zone) = text.split_at(text.len().checked_sub(5)?);
        format!("{head}{}:{}", &zone[..3], &zone[3..]).parse().ok()
    })
}

/// The policies' own metrics at their own period, and what the load balancer counted.
pub async fn metrics(
    eyes: &Eyes,
    alarms: &[Alarm],
    target_groups: &[String],
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    let mut wanted: Vec<(MetricSeries, MetricStat)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for alarm in alarms {
        let (Some(namespace), Some(metric)) = (&alarm.namespace, &alarm.metric) else { continue };
        if seen.contains(&metric.as_str()) {
            continue;
        }
        seen.push(metric);
        let statistic = alarm.statistic.as_deref().unwrap_or("Average");
        let stat = metric_stat(namespace, metric, &alarm.dimensions, alarm.period, statistic);
        wanted.push((series(&format!("policy metric {metric}"), "", alarm.period), stat));
    }
    for target_group in target_groups {
        let Some(group) = dimension(target_group, "targetgroup/") else { continue };
        for balancer in elb::load_balancers(eyes, target_group).await? {
            let Some(balancer) = dimension(&balancer, "loadbalancer/") else { continue };
            let balancer = balancer.trim_start_matches("loadbalancer/").to_owned();
            let both = [("LoadBalancer".to_owned(), balancer), ("TargetGroup".to_owned(), group.clone())];
            for (name, metric, statistic, unit, dimensions) in [
                ("requests", "RequestCount", "Sum", "per minute", &both[..]),
                ("target response time", "TargetResponseTime", "Average", "s", &both[..]),
                ("target 5xx", "HTTPCode_Target_5XX_Count", "Sum", "per minute", &both[..]),
                ("load balancer 5xx", "HTTPCode_ELB_5XX_Count", "Sum", "per minute", &both[..1]),
                ("healthy hosts", "HealthyHostCount", "Minimum", "instances", &both[..]),
                ("connection errors", "TargetConnectionErrorCount", "Sum", "per minute", &both[..]),
                ("rejected connections", "RejectedConnectionCount", "Sum", "per minute", &both[..1]),
            ] {
                let stat = metric_stat("AWS/ApplicationELB", metric, dimensions, ELB_PERIOD, statistic);
                wanted.push((series(name, unit, ELB_PERIOD), stat));
            }
        }
    }
    if let Subject::Group(name) = &eyes.subject {
        let group = [("AutoScalingGroupName".to_owned(), name.clone())];
        for (name, namespace, metric, unit) in [
            ("CPU", "AWS/EC2", "CPUUtilization", "%"),
            ("in service", "AWS/AutoScaling", "GroupInServiceInstances", "instances"),
        ] {
            let stat = metric_stat(namespace, metric, &group, ELB_PERIOD, "Average");
            wanted.push((series(name, unit, ELB_PERIOD), stat));
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    read(eyes, wanted, since).await
}

async fn read(
    eyes: &Eyes,
    mut wanted: Vec<(MetricSeries, MetricStat)>,
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    let queries: Vec<MetricDataQuery> = wanted
        .iter()
        .enumerate()
        .map(|(index, (_, stat))| MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat.clone()).build())
        .collect();
    let mut token = None;
    loop {
        let page = eyes
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            // From the whole minute before: a datapoint's timestamp is the start of its period.
            .start_time(DateTime::from_secs(since.as_second() - since.as_second().rem_euclid(60)))
            .end_time(DateTime::from_secs(Timestamp::now().as_second() + 1))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("cloudwatch:GetMetricData"))?;
        for result in page.metric_data_results() {
            let index = result.id().and_then(|id| id.strip_prefix('m')).and_then(|id| id.parse::<usize>().ok());
            let Some((series, _)) = index.and_then(|index| wanted.get_mut(index)) else { continue };
            for (at, value) in result.timestamps().iter().zip(result.values()) {
                if let Some(at) = timestamp(at) {
                    series.points.push(Datapoint { at, value: *value });
                }
            }
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(wanted.into_iter().map(|(series, _)| series).collect());
        }
    }
}

fn series(name: &str, unit: &str, period: Duration) -> MetricSeries {
    MetricSeries { name: name.to_owned(), unit: unit.to_owned(), period, points: Vec::new() }
}

fn metric_stat(
    namespace: &str,
    metric: &str,
    dimensions: &[(String, String)],
    period: Duration,
    statistic: &str,
) -> MetricStat {
    let dimensions =
        dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect();
    let metric = Metric::builder().namespace(namespace).metric_name(metric).set_dimensions(Some(dimensions)).build();
    MetricStat::builder().metric(metric).period(i32::try_from(period.as_secs()).unwrap_or(60)).stat(statistic).build()
}

/// The part of an ARN that CloudWatch uses as a dimension, from `marker` on.
fn dimension(arn: &str, marker: &str) -> Option<String> {
    arn.find(marker).map(|start| arn[start..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_breaching_datapoint_is_read_from_the_alarms_history() {
        let data = r#"{"version":"1.0","oldState":{"stateValue":"OK"},"newState":{"stateValue":"ALARM",
            "stateReason":"Threshold Crossed","stateReasonData":{"version":"1.0",
            "queryDate":"2026-03-01T12:03:10.000+0000","startDate":"2026-03-01T12:00:00.000+0000","period":60,
            "recentDatapoints":[80.0,90.0],"threshold":50.0,"evaluatedDatapoints":[
            {"timestamp":"2026-03-01T12:01:00.000+0000","sampleCount":2.0,"value":90.0},
            {"timestamp":"2026-03-01T12:00:00.000+0000","sampleCount":2.0,"value":80.0}]}}}"#;
        let at: Timestamp = "2026-03-01T12:03:10Z".parse().unwrap();
        let change = read_change("high", at, data).unwrap();
        assert_eq!((change.from.as_str(), change.to.as_str()), ("OK", "ALARM"));
        let first = Datapoint { at: "2026-03-01T12:00:00Z".parse().unwrap(), value: 80.0 };
        assert_eq!(change.datapoints[0], first);

        let older = data.replace("evaluatedDatapoints", "unknown");
        let change = read_change("high", at, &older).unwrap();
        assert_eq!(change.datapoints[0], first);
        assert_eq!(change.datapoints[1].at, "2026-03-01T12:01:00Z".parse().unwrap());
    }

    #[test]
    fn dimensions_are_cut_out_of_arns() {
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/0123";
        assert_eq!(dimension(arn, "targetgroup/"), Some("targetgroup/web/0123".to_owned()));
    }
}
