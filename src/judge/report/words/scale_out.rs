//! Sentences for the reasons for judgements on scale-out.

use super::links::{link, not_scaled};
use crate::verdict::{MetricReach, ScaleOutReason};
use model::units::{self, Seconds};

pub(super) fn scale_out(reason: &ScaleOutReason) -> String {
    let fixed = match reason {
        ScaleOutReason::LaunchesFailed { .. }
        | ScaleOutReason::NeverReached { .. }
        | ScaleOutReason::MetricDoesNotSeeTheLoad { .. } => return obstacle(reason),
        ScaleOutReason::ThresholdNotReached { .. }
        | ScaleOutReason::ShorterThanTheAlarm { .. }
        | ScaleOutReason::LoadTooLow { .. } => return no_alarm(reason),
        ScaleOutReason::AtMaximumBefore { maximum } => {
            return format!("it was at its maximum of {maximum} before the load began");
        }
        ScaleOutReason::NotScaled { why, asked_at } => {
            return format!("an alarm asked for more at {asked_at}: {}", not_scaled(why));
        }
        ScaleOutReason::NothingFollowedTheAlarm { alarm_at } => {
            return format!("an alarm fired at {alarm_at} and nothing followed");
        }
        ScaleOutReason::WatchEndedAfterTheAlarm { alarm_at } => {
            return format!(
                "an alarm fired at {alarm_at} and the watch ended too soon after it to see what followed"
            );
        }
        ScaleOutReason::NothingFollowedTheEarlyAlarm { alarm } => {
            return format!(
                "the alarm {alarm} had fired before the load began and nothing followed"
            );
        }
        ScaleOutReason::HighAlarmUnknown { call } => {
            return format!("whether an alarm fired cannot be told: {call} failed");
        }
        ScaleOutReason::BreachToInService {
            alarm_window_s,
            cloudwatch_lag_s,
        } => return breach_to_in_service(*alarm_window_s, *cloudwatch_lag_s),
        ScaleOutReason::NotInService { watched_s } => {
            return format!("no new instance was in service {watched_s} after the breach");
        }
        ScaleOutReason::AlarmedBeforeTheLoad { alarm } => {
            return format!(
                "the alarm {alarm} had fired before the load began: there is no breach to count from"
            );
        }
        ScaleOutReason::BreachUnknown { call } => {
            return format!("the breach is not known: {call} failed");
        }
        ScaleOutReason::NoBreach { link: open } => return link(open),
        ScaleOutReason::PolicyAnsweredAtFirst { spikes } => {
            return format!(
                "the policy answered the load; in {} no alarm asked for more than the instances that were still there",
                units::listed(spikes)
            );
        }
        ScaleOutReason::LoadNeverStarted => "the load never started",
        ScaleOutReason::PolicyAnswered => "the policy answered the load",
        ScaleOutReason::PolicyAnsweredBeforeTheSpike => {
            "the policy answered the load before the spike, and the spike with no more"
        }
        ScaleOutReason::NotByPoliciesAlone => {
            "but not by its policies alone: see `only its policies moved the group`"
        }
        ScaleOutReason::NotByItsPolicies => {
            "no alarm asked for it: something else made the group grow, and what its policies would have done was not seen"
        }
        ScaleOutReason::MissedForOtherReasons => {
            "no alarm fired, and limits were missed for other reasons than too few instances, or perhaps so"
        }
        ScaleOutReason::BreachNotShown => {
            "the alarm fired, but neither its history nor its metric shows the breach"
        }
        ScaleOutReason::NoAlarmFired => {
            "no alarm went to ALARM after the load began: something else made the group grow"
        }
    };
    fixed.to_owned()
}

/// Says why no alarm fired; empty for all other reasons.
fn no_alarm(reason: &ScaleOutReason) -> String {
    match reason {
        ScaleOutReason::ThresholdNotReached {
            missed_s,
            metrics,
            open,
        } => threshold_not_reached(*missed_s, metrics, *open),
        ScaleOutReason::ShorterThanTheAlarm { missed_s, window_s } => format!(
            "limits were missed for {missed_s}, and the alarm needs {window_s} over its threshold: the load was too short for the policy"
        ),
        ScaleOutReason::LoadTooLow { peaks } => {
            let peaks: String = peaks
                .iter()
                .map(|peak| format!("; {} peaked at {:.1}", peak.metric, peak.value))
                .collect();
            format!("the load was too low or too short for the policy to fire{peaks}")
        }
        _ => String::new(),
    }
}

/// Says what kept the group from growing; empty for all other reasons.
fn obstacle(reason: &ScaleOutReason) -> String {
    match reason {
        ScaleOutReason::LaunchesFailed { launches, message } => {
            format!(
                "{} failed: {}",
                units::count(*launches, "launch"),
                message.as_deref().unwrap_or("AWS says no more")
            )
        }
        ScaleOutReason::NeverReached {
            failed,
            of,
            wanted,
            most,
            message,
        } => {
            format!(
                "{failed} of {} failed, so the group wanted {wanted} and never had more than {most}: {}",
                units::count(*of, "launch"),
                message.as_deref().unwrap_or("AWS says no more")
            )
        }
        ScaleOutReason::MetricDoesNotSeeTheLoad {
            metric,
            highest,
            threshold,
            open,
        } => {
            let else_shared = match open {
                true => ", or more instances would not have helped",
                false => "",
            };
            format!(
                "limits were missed while {metric} stayed at {highest:.1} or less, below the alarm's {threshold:.1}: the metric does not see \
                 this load{else_shared}"
            )
        }
        _ => String::new(),
    }
}

fn threshold_not_reached(missed: Seconds, metrics: &[MetricReach], open: bool) -> String {
    let missed = format!("limits were missed for {missed}");
    if metrics.is_empty() {
        return format!("{missed}, and no alarm asks for more instances");
    }
    let listed: Vec<String> = metrics.iter().map(reach).collect();
    let listed = units::listed(&listed);
    let is_low = |one: &MetricReach| one.highest.is_some() && !one.reached;
    let conclusion = match (metrics.iter().all(is_low), open) {
        (true, false) => ": the threshold is too high for this load",
        (true, true) => {
            ": the threshold is too high for this load, or more instances would not have helped"
        }
        (false, _) => "",
    };
    format!("{missed} while {listed}{conclusion}")
}

fn reach(metric: &MetricReach) -> String {
    let name = &metric.metric;
    let of = metric
        .threshold
        .map(|threshold| format!(" of the alarm's {threshold:.1}"))
        .unwrap_or_default();
    match metric.highest {
        None => format!("{name} had no datapoint"),
        Some(highest) if metric.reached => {
            format!("{name} reached {highest:.1}{of} in too few datapoints")
        }
        Some(highest) => format!("{name} reached {highest:.1}{of} only"),
    }
}

fn breach_to_in_service(window: Option<Seconds>, lag: Option<Seconds>) -> String {
    let mut text =
        "from the first breaching datapoint to the first new instance in service".to_owned();
    if let Some(window) = window {
        text += &format!("; {window} of it is the alarm's own window");
    }
    if let Some(lag) = lag {
        text += &format!(", {lag} more what CloudWatch took to publish and evaluate it");
    }
    text
}
