//! Alarms, their history, and metrics.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{
    Dimension, HistoryItemType, Metric, MetricDataQuery, MetricStat, ScanBy,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Eyes, WatchError, call, elb, seconds, timestamp};
use crate::evidence::timeline::{Alarm, AlarmChange, Datapoint, MathQuery, MetricSeries};
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
    let mut read = Alarm {
        name: alarm.alarm_name().unwrap_or_default().to_owned(),
        state: alarm
            .state_value()
            .map(|state| state.as_str().into())
            .unwrap_or_default(),
        // Not StateUpdatedTimestamp: that one moves with every evaluation.
        state_since: alarm.state_transitioned_timestamp().and_then(timestamp),
        namespace: alarm.namespace().map(str::to_owned),
        metric: alarm.metric_name().map(str::to_owned),
        statistic: alarm
            .statistic()
            .map(|statistic| statistic.as_str().to_owned())
            .or_else(|| alarm.extended_statistic().map(str::to_owned)),
        dimensions: named(alarm.dimensions()),
        comparison: alarm
            .comparison_operator()
            .map(|word| word.as_str().into())
            .unwrap_or_default(),
        threshold: alarm.threshold(),
        period: seconds(alarm.period().unwrap_or(60)),
        evaluation_periods: u32::try_from(alarm.evaluation_periods().unwrap_or(1)).unwrap_or(1),
        datapoints_to_alarm: alarm
            .datapoints_to_alarm()
            .and_then(|value| u32::try_from(value).ok()),
        missing: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
        math: alarm.metrics().iter().map(query).collect(),
    };
    settle_math(&mut read);
    read
}

fn named(dimensions: &[Dimension]) -> Vec<(String, String)> {
    let pair = |one: &Dimension| Some((one.name()?.to_owned(), one.value()?.to_owned()));
    dimensions.iter().filter_map(pair).collect()
}

fn query(query: &MetricDataQuery) -> MathQuery {
    let stat = query.metric_stat();
    let metric = stat.and_then(|stat| stat.metric());
    MathQuery {
        id: query.id().unwrap_or_default().to_owned(),
        expression: query.expression().map(str::to_owned),
        namespace: metric
            .and_then(|metric| metric.namespace())
            .map(str::to_owned),
        metric: metric
            .and_then(|metric| metric.metric_name())
            .map(str::to_owned),
        statistic: stat.and_then(|stat| stat.stat()).map(str::to_owned),
        dimensions: metric
            .map(|metric| named(metric.dimensions()))
            .unwrap_or_default(),
        period: stat
            .and_then(|stat| stat.period())
            .or(query.period())
            .map(seconds),
        returned: query.return_data() != Some(false),
    }
}

/// An alarm on metric math has neither metric nor period of its own: they are those of its queries.
/// One that only wraps a metric is an alarm on that metric.
fn settle_math(alarm: &mut Alarm) {
    let Some(returned) = alarm.math.iter().find(|query| query.returned).cloned() else {
        return;
    };
    let periods = alarm.math.iter().filter_map(|query| query.period);
    alarm.period = returned.period.or(periods.max()).unwrap_or(alarm.period);
    if returned.expression.is_some() {
        alarm.metric = returned.expression;
        return;
    }
    alarm.namespace = returned.namespace;
    alarm.metric = returned.metric;
    alarm.statistic = returned.statistic;
    alarm.dimensions = returned.dimensions;
    alarm.math.clear();
}

/// The state changes of an alarm since a moment, earliest first.
pub async fn history(
    eyes: &Eyes,
    alarm: &str,
    since: Timestamp,
) -> Result<Vec<AlarmChange>, WatchError> {
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
            let Some(at) = item.timestamp().and_then(timestamp) else {
                continue;
            };
            let Some(change) = item
                .history_data()
                .and_then(|data| read_change(alarm, at, data))
            else {
                continue;
            };
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
        if let (true, Some(start), Some(period)) = (
            datapoints.is_empty(),
            reason.start_date.as_deref().and_then(read_time),
            reason.period,
        ) {
            for (index, value) in reason.recent_datapoints.into_iter().enumerate() {
                let offset = jiff::SignedDuration::from_secs(period * index as i64);
                datapoints.push(Datapoint {
                    at: start.checked_add(offset).ok()?,
                    value,
                });
            }
        }
    }
    datapoints.sort_by_key(|point| point.at);
    Some(AlarmChange {
        alarm: alarm.to_owned(),
        at,
        from: data.old_state.state_value.into(),
        to: data.new_state.state_value.into(),
        datapoints,
    })
}

/// CloudWatch writes `2026-03-01T12:00:00.000+0000`: a zone without a colon, which RFC 3339 does
/// not know.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let (head, zone) = text.split_at(text.len().checked_sub(5)?);
        format!("{head}{}:{}", &zone[..3], &zone[3..]).parse().ok()
    })
}

/// What is asked of GetMetricData for one series: one query, or a metric math of several.
struct Wanted {
    series: MetricSeries,
    queries: Vec<MetricDataQuery>,
    /// The id of the one that is the series.
    id: String,
}

impl Wanted {
    fn metric(series: MetricSeries, stat: MetricStat) -> Self {
        Self {
            series,
            queries: vec![MetricDataQuery::builder().metric_stat(stat).build()],
            id: String::new(),
        }
    }

    /// Ids are the expression's own: a math is read by a call of its own.
    fn math(series: MetricSeries, math: &[MathQuery]) -> Self {
        let id = math
            .iter()
            .find(|query| query.returned)
            .map(|query| query.id.clone())
            .unwrap_or_default();
        Self {
            series,
            queries: math.iter().map(of_math).collect(),
            id,
        }
    }
}

fn of_math(query: &MathQuery) -> MetricDataQuery {
    let period = query
        .period
        .and_then(|period| i32::try_from(period.as_secs()).ok());
    let builder = MetricDataQuery::builder()
        .id(&query.id)
        .return_data(query.returned);
    match (&query.expression, &query.namespace, &query.metric) {
        (Some(expression), ..) => builder.expression(expression).set_period(period).build(),
        (None, Some(namespace), Some(metric)) => {
            let statistic = query.statistic.as_deref().unwrap_or("Average");
            let period = query.period.unwrap_or(ELB_PERIOD);
            builder
                .metric_stat(metric_stat(
                    namespace,
                    metric,
                    &query.dimensions,
                    period,
                    statistic,
                ))
                .build()
        }
        _ => builder.build(),
    }
}

/// What the alarms look at, each series once: two that differ in anything but their threshold are
/// two.
fn of_alarms(alarms: &[Alarm]) -> Vec<Wanted> {
    let mut wanted: Vec<(&Alarm, MetricSeries)> = Vec::new();
    for alarm in alarms {
        let Some(metric) = &alarm.metric else {
            continue;
        };
        if let Some((_, series)) = wanted
            .iter_mut()
            .find(|(known, _)| known.sees_the_same_as(alarm))
        {
            series.alarms.push(alarm.name.clone());
            continue;
        }
        let mut name = MetricSeries::name_of_policy_metric(metric);
        if wanted.iter().any(|(_, known)| known.name == name) {
            name += &format!(" ({})", apart(alarm));
        }
        let series = MetricSeries {
            alarms: vec![alarm.name.clone()],
            ..series(&name, "", alarm.period)
        };
        wanted.push((alarm, series));
    }
    let query = |(alarm, series): (&Alarm, MetricSeries)| match (&alarm.namespace, &alarm.metric) {
        _ if !alarm.math.is_empty() => Some(Wanted::math(series, &alarm.math)),
        (Some(namespace), Some(metric)) => {
            let statistic = alarm.statistic.as_deref().unwrap_or("Average");
            let stat = metric_stat(
                namespace,
                metric,
                &alarm.dimensions,
                alarm.period,
                statistic,
            );
            Some(Wanted::metric(series, stat))
        }
        _ => None,
    };
    wanted.into_iter().filter_map(query).collect()
}

/// What tells an alarm's metric from another of the same name: `web-2, Maximum of 60s`.
fn apart(alarm: &Alarm) -> String {
    let of: Vec<&str> = alarm
        .dimensions
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    let statistic = alarm.statistic.as_deref().unwrap_or("Average");
    format!(
        "{}, {statistic} of {}",
        of.join(" "),
        crate::units::duration(alarm.period)
    )
}

/// The policies' own metrics alone, at their own period.
pub async fn policy_metrics(
    eyes: &Eyes,
    alarms: &[Alarm],
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    read(eyes, of_alarms(alarms), since).await
}

/// The policies' own metrics at their own period, and what the load balancer counted.
pub async fn metrics(
    eyes: &Eyes,
    alarms: &[Alarm],
    target_groups: &[String],
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    let mut wanted = of_alarms(alarms);
    for target_group in target_groups {
        let Some(group) = dimension(target_group, "targetgroup/") else {
            continue;
        };
        for balancer in elb::load_balancers(eyes, target_group).await? {
            let Some(balancer) = dimension(&balancer, "loadbalancer/") else {
                continue;
            };
            let balancer = balancer.trim_start_matches("loadbalancer/").to_owned();
            let both = [
                ("LoadBalancer".to_owned(), balancer),
                ("TargetGroup".to_owned(), group.clone()),
            ];
            for (name, metric, statistic, unit, dimensions) in [
                ("requests", "RequestCount", "Sum", "per minute", &both[..]),
                (
                    "target response time",
                    "TargetResponseTime",
                    "Average",
                    "s",
                    &both[..],
                ),
                (
                    "target 5xx",
                    "HTTPCode_Target_5XX_Count",
                    "Sum",
                    "per minute",
                    &both[..],
                ),
                (
                    "load balancer 5xx",
                    "HTTPCode_ELB_5XX_Count",
                    "Sum",
                    "per minute",
                    &both[..1],
                ),
                (
                    "load balancer 502",
                    "HTTPCode_ELB_502_Count",
                    "Sum",
                    "per minute",
                    &both[..1],
                ),
                (
                    "healthy hosts",
                    "HealthyHostCount",
                    "Minimum",
                    "instances",
                    &both[..],
                ),
                (
                    "connection errors",
                    "TargetConnectionErrorCount",
                    "Sum",
                    "per minute",
                    &both[..],
                ),
                (
                    "rejected connections",
                    "RejectedConnectionCount",
                    "Sum",
                    "per minute",
                    &both[..1],
                ),
            ] {
                let stat = metric_stat(
                    "AWS/ApplicationELB",
                    metric,
                    dimensions,
                    ELB_PERIOD,
                    statistic,
                );
                wanted.push(Wanted::metric(series(name, unit, ELB_PERIOD), stat));
            }
        }
    }
    if let Subject::Group(name) = &eyes.subject {
        let group = [("AutoScalingGroupName".to_owned(), name.clone())];
        for (name, namespace, metric, unit) in [
            ("CPU", "AWS/EC2", "CPUUtilization", "%"),
            (
                "in service",
                "AWS/AutoScaling",
                "GroupInServiceInstances",
                "instances",
            ),
        ] {
            let stat = metric_stat(namespace, metric, &group, ELB_PERIOD, "Average");
            wanted.push(Wanted::metric(series(name, unit, ELB_PERIOD), stat));
        }
    }
    read(eyes, wanted, since).await
}

/// All single metrics in one call, each math in its own: an expression names its metrics by their
/// ids.
async fn read(
    eyes: &Eyes,
    wanted: Vec<Wanted>,
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    let (mut maths, mut singles): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|one| !one.id.is_empty());
    let mut queries = Vec::with_capacity(singles.len());
    for (index, one) in singles.iter_mut().enumerate() {
        one.id = format!("m{index}");
        let stats = one.queries.drain(..).filter_map(|query| query.metric_stat);
        queries.extend(stats.map(|stat| {
            MetricDataQuery::builder()
                .id(&one.id)
                .metric_stat(stat)
                .build()
        }));
    }
    let mut found = Vec::with_capacity(maths.len() + singles.len());
    for math in &mut maths {
        let queries = std::mem::take(&mut math.queries);
        get(eyes, queries, std::slice::from_mut(math), since).await?;
    }
    if !singles.is_empty() {
        get(eyes, queries, &mut singles, since).await?;
    }
    found.extend(singles.into_iter().chain(maths).map(|one| one.series));
    Ok(found)
}

async fn get(
    eyes: &Eyes,
    queries: Vec<MetricDataQuery>,
    wanted: &mut [Wanted],
    since: Timestamp,
) -> Result<(), WatchError> {
    let mut token = None;
    loop {
        let page = eyes
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            // From the whole minute before: a datapoint's timestamp is the start of its period.
            .start_time(DateTime::from_secs(
                since.as_second() - since.as_second().rem_euclid(60),
            ))
            .end_time(DateTime::from_secs(Timestamp::now().as_second() + 1))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("cloudwatch:GetMetricData"))?;
        for result in page.metric_data_results() {
            let Some(one) = wanted
                .iter_mut()
                .find(|one| Some(one.id.as_str()) == result.id())
            else {
                continue;
            };
            for (at, value) in result.timestamps().iter().zip(result.values()) {
                if let Some(at) = timestamp(at) {
                    one.series.points.push(Datapoint { at, value: *value });
                }
            }
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
}

fn series(name: &str, unit: &str, period: Duration) -> MetricSeries {
    MetricSeries {
        name: name.to_owned(),
        unit: unit.to_owned(),
        period,
        points: Vec::new(),
        alarms: Vec::new(),
    }
}

fn metric_stat(
    namespace: &str,
    metric: &str,
    dimensions: &[(String, String)],
    period: Duration,
    statistic: &str,
) -> MetricStat {
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect();
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(metric)
        .set_dimensions(Some(dimensions))
        .build();
    MetricStat::builder()
        .metric(metric)
        .period(i32::try_from(period.as_secs()).unwrap_or(60))
        .stat(statistic)
        .build()
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
        let first = Datapoint {
            at: "2026-03-01T12:00:00Z".parse().unwrap(),
            value: 80.0,
        };
        assert_eq!(change.datapoints[0], first);

        let older = data.replace("evaluatedDatapoints", "unknown");
        let change = read_change("high", at, &older).unwrap();
        assert_eq!(change.datapoints[0], first);
        assert_eq!(
            change.datapoints[1].at,
            "2026-03-01T12:01:00Z".parse().unwrap()
        );
    }

    fn on(name: &str, dimension: &str, statistic: &str) -> Alarm {
        Alarm {
            name: name.to_owned(),
            namespace: Some("AWS/ApplicationELB".to_owned()),
            metric: Some("RequestCountPerTarget".to_owned()),
            statistic: Some(statistic.to_owned()),
            dimensions: vec![("TargetGroup".to_owned(), dimension.to_owned())],
            period: Duration::from_secs(60),
            ..Alarm::default()
        }
    }

    #[test]
    fn two_metrics_of_one_name_are_two_series_and_the_alarms_of_one_share_it() {
        let alarms = [
            on("high", "web", "Sum"),
            on("low", "web", "Sum"),
            on("other", "api", "Sum"),
            on("most", "web", "Maximum"),
        ];
        let wanted = of_alarms(&alarms);
        let found: Vec<(&str, usize)> = wanted
            .iter()
            .map(|one| (&*one.series.name, one.series.alarms.len()))
            .collect();
        assert_eq!(
            found,
            [
                ("policy metric RequestCountPerTarget", 2),
                ("policy metric RequestCountPerTarget (api, Sum of 1m)", 1),
                (
                    "policy metric RequestCountPerTarget (web, Maximum of 1m)",
                    1
                ),
            ]
        );
    }

    #[test]
    fn an_alarm_on_metric_math_has_its_queries_period_and_is_read_by_its_expression() {
        let metric = Metric::builder()
            .namespace("shop")
            .metric_name("Backlog")
            .build();
        let stat = MetricStat::builder()
            .metric(metric)
            .period(10)
            .stat("Sum")
            .build();
        let plain = MetricDataQuery::builder()
            .id("backlog")
            .metric_stat(stat.clone());
        let expression = MetricDataQuery::builder()
            .id("each")
            .expression("backlog / 4")
            .return_data(true)
            .build();
        let math = aws_sdk_cloudwatch::types::MetricAlarm::builder()
            .metrics(plain.clone().return_data(false).build())
            .metrics(expression)
            .build();
        let read = alarm(&math);
        assert_eq!(
            (read.metric.as_deref(), read.period),
            (Some("backlog / 4"), Duration::from_secs(10))
        );
        let wanted = of_alarms(&[read]);
        let ids: Vec<Option<&str>> = wanted[0].queries.iter().map(|query| query.id()).collect();
        assert_eq!(
            (ids, wanted[0].id.as_str()),
            (vec![Some("backlog"), Some("each")], "each")
        );

        // One that only wraps a metric is an alarm on that metric.
        let wraps = aws_sdk_cloudwatch::types::MetricAlarm::builder()
            .metrics(plain.return_data(true).build())
            .build();
        let read = alarm(&wraps);
        assert_eq!(
            (read.metric.as_deref(), read.statistic.as_deref()),
            (Some("Backlog"), Some("Sum"))
        );
        assert!(read.math.is_empty() && read.period == Duration::from_secs(10));
    }

    #[test]
    fn dimensions_are_cut_out_of_arns() {
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/0123";
        assert_eq!(
            dimension(arn, "targetgroup/"),
            Some("targetgroup/web/0123".to_owned())
        );
    }
}
