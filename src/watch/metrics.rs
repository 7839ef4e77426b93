//! Metrics: those of the policies, of the load balancer and of the group.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::{Clients, WatchError, call, elb, timestamp};
use evidence::timeline::series::{self, CountedFor};
use evidence::timeline::{Alarm, Datapoint, MathQuery, MetricSeries};
use model::scenario::Subject;

/// CloudWatch's resolution for load balancer metrics: a minute.
const ELB_PERIOD: Duration = Duration::from_mins(1);

/// The query for one series in GetMetricData: one metric, or a metric math of several.
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

/// Returns the series that the alarms look at, each once. Alarms share a series if metric,
/// statistic, period, dimensions and math are the same.
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
            ..empty(&name, "", alarm.period)
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

/// Returns text that tells an alarm's metric from another of the same name: `web-2, Maximum of
/// 60s`.
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
        model::units::duration(alarm.period)
    )
}

/// Reads the policies' own metrics alone, at their own period.
pub(crate) async fn policy_metrics(
    clients: &Clients,
    alarms: &[Alarm],
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    read(clients, of_alarms(alarms), since).await
}

/// A metric of a load balancer, as we name it and as CloudWatch does.
struct BalancerMetric {
    name: &'static str,
    metric: &'static str,
    statistic: &'static str,
    unit: &'static str,
}

const fn balancer_metric(
    name: &'static str,
    metric: &'static str,
    statistic: &'static str,
    unit: &'static str,
) -> BalancerMetric {
    BalancerMetric {
        name,
        metric,
        statistic,
        unit,
    }
}

const BALANCER_METRICS: [BalancerMetric; 12] = [
    balancer_metric(series::REQUESTS, "RequestCount", "Sum", PER_MINUTE),
    balancer_metric("target response time", "TargetResponseTime", "Average", "s"),
    balancer_metric(
        series::TARGET_5XX,
        "HTTPCode_Target_5XX_Count",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::BALANCER_5XX,
        "HTTPCode_ELB_5XX_Count",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::BALANCER_502,
        "HTTPCode_ELB_502_Count",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::BALANCER_503,
        "HTTPCode_ELB_503_Count",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::BALANCER_504,
        "HTTPCode_ELB_504_Count",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric("healthy hosts", "HealthyHostCount", "Minimum", INSTANCES),
    balancer_metric(
        series::CONNECTION_ERRORS,
        "TargetConnectionErrorCount",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::ACTIVE_CONNECTIONS,
        "ActiveConnectionCount",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::NEW_CONNECTIONS,
        "NewConnectionCount",
        "Sum",
        PER_MINUTE,
    ),
    balancer_metric(
        series::REJECTED,
        "RejectedConnectionCount",
        "Sum",
        PER_MINUTE,
    ),
];
const PER_MINUTE: &str = "per minute";
const INSTANCES: &str = "instances";

/// Reads the policies' own metrics at their own period, and the load balancer's counts.
pub(crate) async fn metrics(
    clients: &Clients,
    alarms: &[Alarm],
    target_groups: &[String],
    since: Timestamp,
) -> Result<Vec<MetricSeries>, WatchError> {
    let mut wanted = of_alarms(alarms);
    let mut balancers = Vec::new();
    for target_group in target_groups {
        let Some(group) = dimension(target_group, "targetgroup/") else {
            continue;
        };
        for balancer in elb::load_balancers(clients, target_group).await? {
            let Some(id) = dimension(&balancer, "loadbalancer/") else {
                continue;
            };
            wanted.extend(of_target_group(&id, &group));
            // Two target groups of one balancer must not count it twice.
            if !balancers.contains(&id) {
                wanted.extend(of_balancer(&id));
                balancers.push(id);
            }
        }
    }
    if let Subject::Group(name) = &clients.subject {
        let group = [("AutoScalingGroupName".to_owned(), name.clone())];
        for (name, namespace, metric, unit) in [
            ("CPU", "AWS/EC2", "CPUUtilization", "%"),
            (
                "in service",
                "AWS/AutoScaling",
                "GroupInServiceInstances",
                INSTANCES,
            ),
        ] {
            let stat = metric_stat(namespace, metric, &group, ELB_PERIOD, "Average");
            wanted.push(Wanted::metric(empty(name, unit, ELB_PERIOD), stat));
        }
    }
    read(clients, wanted, since).await
}

/// Returns what a load balancer counts for one target group.
fn of_target_group(balancer: &str, target_group: &str) -> Vec<Wanted> {
    let target_group = ("TargetGroup".to_owned(), target_group.to_owned());
    counted(CountedFor::TargetGroup, &[of_whole(balancer), target_group])
}

/// Returns what a load balancer counts as a whole.
fn of_balancer(balancer: &str) -> Vec<Wanted> {
    counted(CountedFor::Balancer, &[of_whole(balancer)])
}

fn of_whole(balancer: &str) -> (String, String) {
    let id = balancer.trim_start_matches("loadbalancer/").to_owned();
    ("LoadBalancer".to_owned(), id)
}

fn counted(counted_for: CountedFor, dimensions: &[(String, String)]) -> Vec<Wanted> {
    let own = BALANCER_METRICS
        .into_iter()
        .filter(|one| series::counted_for(one.name) == counted_for);
    own.map(|one| {
        let stat = metric_stat(
            "AWS/ApplicationELB",
            one.metric,
            dimensions,
            ELB_PERIOD,
            one.statistic,
        );
        Wanted::metric(empty(one.name, one.unit, ELB_PERIOD), stat)
    })
    .collect()
}

/// Reads all single metrics in one call, and each math in a call of its own: an expression names
/// its metrics by their ids.
async fn read(
    clients: &Clients,
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
        get(clients, queries, std::slice::from_mut(math), since).await?;
    }
    if !singles.is_empty() {
        get(clients, queries, &mut singles, since).await?;
    }
    found.extend(singles.into_iter().chain(maths).map(|one| one.series));
    Ok(found)
}

async fn get(
    clients: &Clients,
    queries: Vec<MetricDataQuery>,
    wanted: &mut [Wanted],
    since: Timestamp,
) -> Result<(), WatchError> {
    let mut token = None;
    loop {
        let page = clients
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            // The query begins at the whole minute before: a datapoint's timestamp is the start of
            // its period.
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

fn empty(name: &str, unit: &str, period: Duration) -> MetricSeries {
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

/// Returns the part of an ARN that CloudWatch uses as a dimension, from `marker` on.
fn dimension(arn: &str, marker: &str) -> Option<String> {
    arn.find(marker).map(|start| arn[start..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::alarms::alarm;
    use super::*;

    fn on(name: &str, dimension: &str, statistic: &str) -> Alarm {
        Alarm {
            name: name.to_owned(),
            namespace: Some("AWS/ApplicationELB".to_owned()),
            metric: Some("RequestCountPerTarget".to_owned()),
            statistic: Some(statistic.to_owned()),
            dimensions: vec![("TargetGroup".to_owned(), dimension.to_owned())],
            period: Duration::from_mins(1),
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
    fn counts_by_target_group_have_its_dimension_and_those_of_the_whole_balancer_do_not() {
        let (balancer, group) = ("loadbalancer/app/web/1", "targetgroup/web/2");
        let all: Vec<Wanted> = of_target_group(balancer, group)
            .into_iter()
            .chain(of_balancer(balancer))
            .collect();
        let found = |name: &str| {
            let mut one = all.iter().filter(|one| one.series.name == name);
            let (Some(one), None) = (one.next(), one.next()) else {
                panic!("{name} is not read once");
            };
            let metric = one.queries[0].metric_stat().and_then(MetricStat::metric);
            let dimensions = metric.unwrap().dimensions().iter();
            dimensions
                .map(|one| one.value().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        for name in [
            series::REQUESTS,
            series::TARGET_5XX,
            series::CONNECTION_ERRORS,
        ] {
            assert_eq!(found(name), ["app/web/1", group], "{name}");
        }
        for name in [
            series::BALANCER_5XX,
            series::BALANCER_502,
            series::BALANCER_503,
            series::BALANCER_504,
            series::ACTIVE_CONNECTIONS,
            series::NEW_CONNECTIONS,
            series::REJECTED,
        ] {
            assert_eq!(found(name), ["app/web/1"], "{name}");
        }
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

        // An alarm on math that only wraps a metric is an alarm on that metric.
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
