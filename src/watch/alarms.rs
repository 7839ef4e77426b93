//! Alarms and their history.

use aws_sdk_cloudwatch::types::{Dimension, HistoryItemType, MetricDataQuery, ScanBy};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Clients, WatchError, call, seconds, timestamp};
use evidence::timeline::{Alarm, AlarmChange, Datapoint, MathQuery, Observed, UnreadChange};

/// The most names of one DescribeAlarms.
const NAMES: usize = 100;

pub(crate) async fn alarms(clients: &Clients, names: &[String]) -> Result<Vec<Alarm>, WatchError> {
    let mut alarms = Vec::with_capacity(names.len());
    for names in names.chunks(NAMES) {
        let answer = clients
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

pub(crate) fn alarm(alarm: &aws_sdk_cloudwatch::types::MetricAlarm) -> Alarm {
    let mut read = Alarm {
        name: alarm.alarm_name().unwrap_or_default().to_owned(),
        state: alarm
            .state_value()
            .map(|state| state.as_str().into())
            .unwrap_or_default(),
        // StateUpdatedTimestamp would be wrong: it moves with every evaluation.
        state_since: alarm.state_transitioned_timestamp().and_then(timestamp),
        namespace: alarm.namespace().map(str::to_owned),
        metric: alarm.metric_name().map(str::to_owned),
        statistic: alarm
            .statistic()
            .map(|statistic| statistic.as_str().to_owned())
            .or_else(|| alarm.extended_statistic().map(str::to_owned)),
        unit: alarm.unit().map(|unit| unit.as_str().to_owned()),
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
        unit: stat
            .and_then(|stat| stat.unit())
            .map(|unit| unit.as_str().to_owned()),
        label: query.label().map(str::to_owned),
        dimensions: metric
            .map(|metric| named(metric.dimensions()))
            .unwrap_or_default(),
        period: stat
            .and_then(aws_sdk_cloudwatch::types::MetricStat::period)
            .or(query.period())
            .map(seconds),
        returned: query.return_data() != Some(false),
    }
}

/// Fills in metric and period of an alarm on metric math from its queries, because it has none of
/// its own. An alarm that only wraps a metric becomes an alarm on that metric.
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
    alarm.unit = returned.unit;
    alarm.dimensions = returned.dimensions;
    alarm.math.clear();
}

/// Returns the state changes of an alarm since a moment with their times, earliest first.
pub(crate) async fn history(
    clients: &Clients,
    alarm: &str,
    since: Timestamp,
) -> Result<Vec<(Timestamp, Observed)>, WatchError> {
    let mut changes = Vec::new();
    let mut token = None;
    loop {
        let page = clients
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
            let text = item.history_data().or(item.history_summary());
            changes.push((at, entry(alarm, at, text.unwrap_or_default())));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(changes);
        }
    }
}

/// Returns an entry of the history; one that is not understood is kept as it is.
fn entry(alarm: &str, at: Timestamp, text: &str) -> Observed {
    match read_change(alarm, at, text) {
        Some(change) => Observed::AlarmChange(change),
        None => Observed::UnreadChange(UnreadChange {
            alarm: alarm.to_owned(),
            at,
            text: text.to_owned(),
        }),
    }
}

/// Returns the part of `HistoryData` that says on which datapoints the alarm was decided.
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
        state_reason_data: Option<StateReason>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct StateReason {
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
        // `recentDatapoints` are the values from a start on, one per period, oldest first. They are
        // all that older items have. With M out of N, they also hold more than
        // `evaluatedDatapoints`, which end where the transition was decided.
        let recent = match (
            reason.start_date.as_deref().and_then(read_time),
            reason.period,
        ) {
            (Some(start), Some(period)) => from(start, period, &reason.recent_datapoints)?,
            _ => Vec::new(),
        };
        let agrees = datapoints.iter().all(|point| recent.contains(point));
        if recent.len() > datapoints.len() && agrees {
            datapoints = recent;
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

/// Returns values with their times, one per period (in seconds) from `start` on.
fn from(start: Timestamp, period: i64, values: &[f64]) -> Option<Vec<Datapoint>> {
    let point = |(index, value): (usize, &f64)| {
        let offset = jiff::SignedDuration::from_secs(period * index as i64);
        let at = start.checked_add(offset).ok()?;
        Some(Datapoint { at, value: *value })
    };
    values.iter().enumerate().map(point).collect()
}

/// Reads CloudWatch's `2026-03-01T12:00:00.000+0000`: a zone without a colon, which RFC 3339 does
/// not allow.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let (head, zone) = text.split_at(text.len().checked_sub(5)?);
        format!("{head}{}:{}", &zone[..3], &zone[3..]).parse().ok()
    })
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

        // One datapoint out of three was enough: the first of the three breached already.
        let m_of_n = data.replace("[80.0,90.0]", "[70.0,80.0,90.0]").replace(
            "12:00:00.000+0000\",\"period",
            "11:59:00.000+0000\",\"period",
        );
        let change = read_change("high", at, &m_of_n).unwrap();
        assert_eq!(
            (change.datapoints.len(), change.datapoints[0].value),
            (3, 70.0)
        );

        let older = data.replace("evaluatedDatapoints", "unknown");
        let change = read_change("high", at, &older).unwrap();
        assert_eq!(change.datapoints[0], first);
        assert_eq!(
            change.datapoints[1].at,
            "2026-03-01T12:01:00Z".parse().unwrap()
        );
    }

    fn decided_on(from: &str, to: &str, reason: &str) -> AlarmChange {
        let data = format!(
            r#"{{"version":"1.0","oldState":{{"stateValue":"{from}","stateReason":"r"}},"newState":
            {{"stateValue":"{to}","stateReason":"r","stateReasonData":{{"version":"1.0",{reason}}}}}}}"#
        );
        read_change("high", "2026-03-01T16:05:00Z".parse().unwrap(), &data).unwrap()
    }

    /// The transitions to ALARM of real alarms: with N of N, with M of N, and of 2013.
    #[test]
    fn the_datapoints_of_a_transition_begin_where_its_window_begins() {
        let at = |time: &str| -> Timestamp { format!("2026-03-01T{time}:00Z").parse().unwrap() };
        let first = |reason: &str| {
            let change = decided_on("OK", "ALARM", reason);
            let datapoints = &change.datapoints;
            (datapoints.len(), datapoints[0].at, datapoints[0].value)
        };
        let all = r#""startDate":"2026-03-01T15:43:00.000+0000","period":60,"recentDatapoints":[0.01707,0.01791],
            "threshold":0.017,"evaluatedDatapoints":[
            {"timestamp":"2026-03-01T15:44:00.000+0000","sampleCount":3.0,"value":0.01791},
            {"timestamp":"2026-03-01T15:43:00.000+0000","sampleCount":3.0,"value":0.01707}]"#;
        assert_eq!(first(all), (2, at("15:43"), 0.01707));
        // One datapoint of three was enough, and it is the only one that was evaluated.
        let m_of_n = r#""startDate":"2026-03-01T11:23:00.000+0000","period":60,
            "recentDatapoints":[20000.0,20000.0,20000.0],"threshold":10000.0,
            "evaluatedDatapoints":[{"timestamp":"2026-03-01T11:25:00.000+0000","value":20000.0}]"#;
        assert_eq!(first(m_of_n), (3, at("11:23"), 20_000.0));
        let older = r#""startDate":"2026-03-01T15:40:00.000+0000","period":300,"recentDatapoints":[38.958,40.292],
            "threshold":35.0"#;
        assert_eq!(first(older), (2, at("15:40"), 38.958));
        let change = decided_on("OK", "ALARM", older);
        assert_eq!(change.datapoints[1].at, at("15:45"));
    }

    #[test]
    fn a_change_to_ok_is_kept_as_one_to_ok() {
        let change = decided_on(
            "ALARM",
            "OK",
            r#""queryDate":"2026-03-01T16:05:00.000+0000","startDate":"2026-03-01T16:03:00.000+0000","period":60,
            "recentDatapoints":[0.0157,0.0175],"threshold":0.017,"evaluatedDatapoints":[
            {"timestamp":"2026-03-01T16:04:00.000+0000","sampleCount":3.0,"value":0.0175}]"#,
        );
        assert_eq!((change.from.as_str(), change.to.as_str()), ("ALARM", "OK"));
        let first = Datapoint {
            at: "2026-03-01T16:03:00Z".parse().unwrap(),
            value: 0.0157,
        };
        assert_eq!((change.datapoints.len(), change.datapoints[0]), (2, first));
    }

    #[test]
    fn an_alarm_that_was_decided_on_missing_data_has_no_datapoint() {
        // Missing data counts as not breaching: the evaluated datapoints have no value.
        let missing = decided_on(
            "INSUFFICIENT_DATA",
            "OK",
            r#""queryDate":"2026-03-01T16:05:00.000+0000","statistic":"Sum","period":60,"recentDatapoints":[],
            "threshold":5.0,"evaluatedDatapoints":[{"timestamp":"2026-03-01T16:04:00.000+0000"}]"#,
        );
        assert_eq!((missing.to.as_str(), missing.datapoints.len()), ("OK", 0));
        // Entries of 2018 have a unit and no evaluated datapoints.
        let older = decided_on(
            "OK",
            "INSUFFICIENT_DATA",
            r#""queryDate":"2018-03-01T16:05:00.000+0000","unit":"Percent","statistic":"Average","period":300,
            "recentDatapoints":[],"threshold":70.0"#,
        );
        let expected = ("INSUFFICIENT_DATA", 0);
        assert_eq!((older.to.as_str(), older.datapoints.len()), expected);
    }

    #[test]
    fn an_entry_that_is_not_understood_is_kept_with_its_words() {
        let at: Timestamp = "2026-03-01T12:03:10Z".parse().unwrap();
        for text in [
            r#"{"newState":{"stateValue":"ALARM"}}"#,
            r#"{"oldState":{"stateValue":1},"newState":{"stateValue":"ALARM"}}"#,
            "Alarm updated from OK to ALARM",
            "",
        ] {
            let kept = UnreadChange {
                alarm: "high".to_owned(),
                at,
                text: text.to_owned(),
            };
            assert_eq!(entry("high", at, text), Observed::UnreadChange(kept));
        }
        let known = r#"{"oldState":{"stateValue":"OK"},"newState":{"stateValue":"ALARM"}}"#;
        assert!(matches!(entry("high", at, known), Observed::AlarmChange(_)));
    }
}
