//! The alarms of the group's policies, with their history in CloudWatch's own texts.

use std::time::Duration;

use serde_json::{Value, json};

use super::clock::{self, LabInstant};
use super::config::PolicyMetric;
use super::{elb, group, ids, service};
use model::scaling::alarm::{AlarmDatapoint, AlarmModel, AlarmModelState, BreachRule, Transition};
use model::scaling::policies::Rule;

#[derive(Debug)]
pub struct WatchedAlarm {
    pub name: String,
    pub arn: String,
    pub model: AlarmModel,
    metric: PolicyMetric,
    is_service: bool,
    pub period: Duration,
    /// True if a target-tracking policy made the alarm.
    pub is_tracking: bool,
    pub created: LabInstant,
    pub transitioned: LabInstant,
    /// The reason of the last transition, as text and as JSON.
    pub reason: String,
    pub reason_data: Value,
    /// Oldest first.
    pub history: Vec<HistoryItem>,
    /// Each change to ALARM: its instant, and the start of the first datapoint that breached.
    pub fired: Vec<(LabInstant, LabInstant)>,
    last: Option<AlarmDatapoint>,
}

#[derive(Debug)]
pub struct HistoryItem {
    pub at: LabInstant,
    /// `StateUpdate` or `Action`.
    pub kind: &'static str,
    pub summary: String,
    pub data: Value,
}

/// An alarm at the moment it makes a policy act.
#[derive(Debug)]
pub struct Invoked {
    pub name: String,
    /// The `Details` of the activity.
    pub details: Value,
}

impl WatchedAlarm {
    pub fn new(
        name: String,
        model: AlarmModel,
        (metric, is_service): (PolicyMetric, bool),
        period: Duration,
        rule: &Rule,
        now: LabInstant,
    ) -> Self {
        Self {
            arn: format!(
                "arn:aws:cloudwatch:{}:{}:alarm:{name}",
                ids::REGION,
                ids::ACCOUNT
            ),
            name,
            model,
            metric,
            is_service,
            period,
            is_tracking: matches!(rule, Rule::Tracking { .. }),
            created: now,
            transitioned: now,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: Value::Null,
            history: Vec::new(),
            fired: Vec::new(),
            last: None,
        }
    }

    /// Returns namespace, name, statistic and dimensions of the alarm's metric.
    pub fn metric(
        &self,
    ) -> (
        &'static str,
        &'static str,
        &'static str,
        Vec<(&'static str, &'static str)>,
    ) {
        match self.metric {
            PolicyMetric::Cpu if self.is_service => (
                "AWS/ECS",
                "CPUUtilization",
                "Average",
                vec![
                    ("ClusterName", service::CLUSTER),
                    ("ServiceName", service::SERVICE),
                ],
            ),
            PolicyMetric::Cpu => (
                "AWS/EC2",
                "CPUUtilization",
                "Average",
                vec![("AutoScalingGroupName", group::NAME)],
            ),
            PolicyMetric::RequestsPerTarget => (
                "AWS/ApplicationELB",
                "RequestCountPerTarget",
                "Sum",
                vec![
                    ("LoadBalancer", elb::BALANCER),
                    ("TargetGroup", elb::TARGET_GROUP),
                ],
            ),
        }
    }

    pub fn state(&self) -> AlarmModelState {
        self.model.state()
    }

    /// Takes the datapoint of the period that ended; a change of state goes into the history.
    pub fn observe(&mut self, datapoint: Option<AlarmDatapoint>, now: LabInstant) {
        self.last = datapoint.or(self.last);
        let Some(transition) = self.model.observe(datapoint) else {
            return;
        };
        let old = self.state_json(transition.from);
        self.reason = reason(&self.model, &transition);
        self.reason_data = self.reason_data(&transition.evaluated, now);
        self.transitioned = now;
        if transition.to == AlarmModelState::Alarm {
            let breaching = transition
                .evaluated
                .iter()
                .filter(|datapoint| self.model.breaches(datapoint.value));
            self.fired.push((
                now,
                breaching.map(|datapoint| datapoint.at).min().unwrap_or(now),
            ));
        }
        let new = self.state_json(transition.to);
        self.history.push(HistoryItem {
            at: now,
            kind: "StateUpdate",
            summary: format!(
                "Alarm updated from {} to {}",
                transition.from.word(),
                transition.to.word()
            ),
            data: json!({ "version": "1.0", "oldState": old, "newState": new }),
        });
    }

    /// Records a run of the alarm's action that changes something, on the transition or again while
    /// in ALARM.
    pub fn invoke(&mut self, policy: &str, now: LabInstant) -> Invoked {
        let policy = super::autoscaling::policy_arn(policy);
        self.history.push(HistoryItem {
            at: now,
            kind: "Action",
            summary: format!("Successfully executed action {policy}"),
            data: json!({
                "actionState": "Succeeded", "notificationResource": policy,
                "stateUpdateTimestamp": self.transitioned.as_millis() as u64, "error": null,
            }),
        });
        // An action that runs again finds the alarm in ALARM already.
        let old = if self.transitioned == now {
            "OK"
        } else {
            "ALARM"
        };
        let (namespace, metric, statistic, dimensions) = self.metric();
        let dimensions: Vec<Value> = dimensions
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let details = json!({ "InvokingAlarms": [{
            "AlarmArn": self.arn,
            "AlarmName": self.name,
            "OldStateValue": old,
            "NewStateValue": "ALARM",
            "StateChangeTime": self.transitioned.as_millis() as u64,
            "Trigger": {
                "MetricName": metric, "Namespace": namespace, "Statistic": statistic.to_uppercase(), "Unit": null,
                "Dimensions": dimensions,
                "Period": self.period.as_secs(), "EvaluationPeriods": self.model.datapoints,
                "ComparisonOperator": self.model.comparison.operator(), "Threshold": self.model.threshold,
            },
        }]});
        Invoked {
            name: self.name.clone(),
            details,
        }
    }

    fn state_json(&self, state: AlarmModelState) -> Value {
        let mut json = json!({ "stateValue": state.word(), "stateReason": self.reason });
        if !self.reason_data.is_null() {
            json["stateReasonData"] = self.reason_data.clone();
        }
        json
    }

    fn reason_data(&self, evaluated: &[AlarmDatapoint], now: LabInstant) -> Value {
        let newest_first = evaluated.iter().map(|datapoint| {
            json!({
                "timestamp": clock::offset(datapoint.at),
                "sampleCount": f64::from(datapoint.samples),
                "value": datapoint.value,
            })
        });
        let oldest_first: Vec<f64> = evaluated
            .iter()
            .rev()
            .map(|datapoint| datapoint.value)
            .collect();
        let start = evaluated.last().map_or(now, |datapoint| datapoint.at);
        json!({
            "version": "1.0",
            "queryDate": clock::offset(now),
            "startDate": clock::offset(start),
            "statistic": "Average",
            "period": self.period.as_secs(),
            "recentDatapoints": oldest_first,
            "threshold": self.model.threshold,
            "evaluatedDatapoints": newest_first.collect::<Vec<_>>(),
        })
    }
}

/// Returns a reason such as `Threshold Crossed: 3 datapoints [66.0 (24/11/26 01:46:02), ...] were
/// greater than the threshold (50.0).`
fn reason(alarm: &AlarmModel, transition: &Transition) -> String {
    if transition.to == AlarmModelState::InsufficientData {
        return "Insufficient Data: no datapoints were received.".to_owned();
    }
    let list: Vec<String> = transition
        .evaluated
        .iter()
        .map(|datapoint| format!("{} ({})", datapoint.value, clock::short(datapoint.at)))
        .collect();
    let relation = match (alarm.comparison, transition.to) {
        (BreachRule::Above, AlarmModelState::Alarm) => "greater than",
        (BreachRule::Above, _) => "not greater than",
        (BreachRule::Below, AlarmModelState::Alarm) => "less than",
        (BreachRule::Below, _) => "not less than",
        (BreachRule::AtLeast, AlarmModelState::Alarm) => "greater than or equal to",
        (BreachRule::AtLeast, _) => "not greater than or equal to",
        (BreachRule::AtMost, AlarmModelState::Alarm) => "less than or equal to",
        (BreachRule::AtMost, _) => "not less than or equal to",
    };
    format!(
        "Threshold Crossed: {} datapoints [{}] were {relation} the threshold ({:?}).",
        list.len(),
        list.join(", "),
        alarm.threshold
    )
}
