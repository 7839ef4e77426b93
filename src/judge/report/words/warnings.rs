//! Sentences for the warnings.

use super::figures::{percent, sent_by_others};
use super::validity::ended_early;
use crate::report::ReportedWarning;
use crate::verdict::preflight::{Sight, Stretch};
use crate::verdict::{AlarmWindow, RunWarning, SuspendedProcess, Warning};
use evidence::timeline::LateMetric;
use model::units;

/// Returns warnings with their sentences, as a report has them.
pub fn warnings(all: &[Warning]) -> Vec<ReportedWarning> {
    all.iter()
        .map(|one| ReportedWarning {
            warning: one.clone(),
            text: warning(one),
        })
        .collect()
}

const UNTOLD: &str =
    "instances leave when nothing is sent any more, and what requests suffer cannot be told";

/// Returns the warning in words.
pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::AtMaximum { group, maximum } => {
            format!("the group {group} is at its maximum of {maximum} already: it cannot scale out")
        }
        Warning::ProcessSuspended { group, process } => format!(
            "the group {group} has the process {} suspended: {}",
            process.word(),
            effect(*process)
        ),
        Warning::NoPolicy { group } => {
            format!("the group {group} has no scaling policy: nothing will answer the load")
        }
        Warning::ScaleInDisabled { group } => {
            format!("every policy of {group} has scale-in disabled: the group will not come back")
        }
        Warning::AllProtected { group } => format!(
            "every instance of {group} is protected from scale-in: the group will not come back"
        ),
        Warning::Refresh { group, refresh } => format!(
            "{refresh} in {group}: wait for its end, or what the group does is not its policies' answer"
        ),
        Warning::StickySessions { target_group } => format!(
            "{target_group} has sticky sessions: new instances take no load from sessions that are there"
        ),
        Warning::UnhealthyTargets { group, targets } => format!(
            "{} of {group} unhealthy before the run",
            units::count(*targets, "target")
        ),
        Warning::AlarmWithoutData { alarm } => {
            format!("the alarm {alarm} has no data: its policy will not act")
        }
        Warning::AlarmFired { alarm } => format!(
            "the alarm {alarm} has fired already: the group grows before the load, or cannot, and the load makes no breach to \
             count from"
        ),
        Warning::AlarmUnreadable { alarm, period_s } => format!(
            "what the alarm {alarm} looks at could not be read: its period of {period_s} is assumed, and its breach cannot be seen"
        ),
        Warning::SlowAlarm { alarm, period_s } => {
            format!("the alarm {alarm} looks only every {period_s}: turn detailed monitoring on")
        }
        Warning::BasicMonitoring {
            metric,
            alarm_period_s,
        } => format!(
            "{metric} has a datapoint only every 5m (basic monitoring), but its alarm looks every {alarm_period_s}: turn detailed \
             monitoring on in the launch template"
        ),
        Warning::CallFailed { call, why } => {
            format!("{call} failed, and what depends on it will not be judged: {why}")
        }
        Warning::Differs {
            group,
            like,
            setting,
            value,
            other,
        } => format!("{group} is not like {like}: {setting} {value}, not {other}"),
        Warning::SpikeTooShort { lasts_s, window } => {
            let (needs, why) = (window.needs_s, alarm_window(window));
            if lasts_s.0 >= window.period_s.0 * window.datapoints {
                format!(
                    "the spike lasts {lasts_s}, so the policy may not see it: it takes {needs} of load to be sure ({why})"
                )
            } else {
                format!(
                    "the spike lasts {lasts_s}, but the policy needs {needs} of load to see it ({why})"
                )
            }
        }
        Warning::RecoveryTooShort { lasts_s, window } => format!(
            "the load goes on for {lasts_s} after its spike, but it takes {} until an instance has left ({}): {UNTOLD}",
            window.needs_s,
            alarm_window(window)
        ),
        Warning::LoadEndsWithItsSpike => format!("the load ends with its spike: {UNTOLD}"),
        Warning::Run(warning) => of_run(warning),
    }
}

fn of_run(warning: &RunWarning) -> String {
    match warning {
        RunWarning::EarlierRun { things, remedy } => {
            format!(
                "an earlier run may have left {}: {remedy}",
                units::count(*things as u64, "thing")
            )
        }
        RunWarning::NotWatched { subject, why } => {
            format!("{subject} is not watched, and only the load is judged: {why}")
        }
        RunWarning::SessionTooShort { left_s, needed_s } => format!(
            "the AWS session ends in {left_s}, and this run needs up to {needed_s} with its teardown"
        ),
        RunWarning::TasksMissing { task, why } => format!("task {task} did not come up: {why}"),
        RunWarning::NotUnderstood { texts } => format!(
            "{} of AWS not understood, and left out of every judgement: `{}`",
            units::count(texts.len() as u64, "text"),
            texts.join("`, `")
        ),
        RunWarning::OtherLoad {
            ours,
            all,
            others_share,
            burst_share,
            bound_share,
        } => format!(
            "{ours} of {all} requests were this run's, {}; up to {}% verdicts and advice hold",
            sent_by_others(*others_share, *burst_share),
            percent(*bound_share)
        ),
        RunWarning::AnotherRun { subject, run } => format!(
            "the run {run} tests {subject} at the same time: each falsifies the figures of the other"
        ),
        RunWarning::DatapointsMissing(late) => late_metric(late),
        RunWarning::OlderReport => String::new(),
        RunWarning::RecoveryEndedEarly { instances, cause } => {
            format!(
                "the wait for the group to come back to {instances} ended early: {}",
                ended_early(cause)
            )
        }
    }
}

fn effect(process: SuspendedProcess) -> &'static str {
    match process {
        SuspendedProcess::Launch => "it cannot scale out",
        SuspendedProcess::Terminate => "it cannot scale in",
        SuspendedProcess::AlarmNotification => "its policies do not hear their alarms",
        SuspendedProcess::AddToLoadBalancer => "new instances take no load",
    }
}

fn alarm_window(window: &AlarmWindow) -> String {
    format!(
        "alarm {}: {}, and the one it begins in",
        window.alarm,
        datapoints(window)
    )
}

fn datapoints(window: &AlarmWindow) -> String {
    let count = units::count(window.datapoints, "datapoint");
    if window.basic_monitoring {
        format!("{count}, one every {} by basic monitoring", window.period_s)
    } else {
        format!("{count} of {}", window.period_s)
    }
}

/// Returns in words whether an alarm sees a stretch of the load.
pub fn sight(sight: &Sight) -> String {
    let Sight {
        window, earliest, ..
    } = sight;
    let lasts = units::duration(sight.lasts);
    let latest = *earliest + window.period_s.0;
    let fires = format!(
        "after {} to {} ({})",
        units::duration(*earliest),
        units::duration(latest),
        datapoints(window)
    );
    let alarm = &window.alarm;
    match (&sight.of, sight.is_enough()) {
        (Stretch::Spike(name), true) => format!("{name} lasts {lasts}: {alarm} fires {fires}"),
        (Stretch::Spike(name), false) => {
            let (verb, length) = if sight.may_be_enough() {
                let least = units::duration(*earliest);
                ("may not", format!("{least} to {}", window.needs_s))
            } else {
                ("cannot", format!("at least {}", window.needs_s))
            };
            format!(
                "{name} lasts {lasts}: {alarm} {verb} see it, {}{} take a spike of {length}",
                datapoints(window),
                if window.basic_monitoring { "," } else { "" },
            )
        }
        (Stretch::AfterTheSpikes, is_enough) => {
            let longer = if is_enough {
                String::new()
            } else {
                format!(
                    ": what requests suffer meanwhile is seen if the low load lasts {}",
                    window.needs_s
                )
            };
            let drains = if sight.drains.is_zero() {
                String::new()
            } else {
                let drains = units::duration(sight.drains);
                format!(", and an instance drains for up to {drains}")
            };
            format!(
                "low load after it lasts {lasts}: {alarm} asks for less {fires}{drains}{longer}"
            )
        }
    }
}

/// A metric whose last datapoints are missing.
pub fn late_metric(late: &LateMetric) -> String {
    let LateMetric { metric, missing_s } = late;
    match missing_s {
        Some(missing) => {
            format!("the last datapoint of {metric} ends {missing} before the watch")
        }
        None => format!("{metric} has no datapoint at all"),
    }
}

/// The note at the start of the wait for late datapoints.
pub fn waiting_for(late: &[LateMetric]) -> String {
    let late: Vec<String> = late.iter().map(late_metric).collect();
    format!(
        "waiting for late datapoints: {} (Ctrl-C ends the wait)",
        late.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_aws_that_are_not_understood_are_counted_and_shown() {
        let said = |texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            warning(&RunWarning::NotUnderstood { texts }.into())
        };
        assert_eq!(
            said(&["the moon rose"]),
            "1 text of AWS not understood, and left out of every judgement: `the moon rose`"
        );
        assert_eq!(
            said(&["the moon rose", "history of high: {}"]),
            "2 texts of AWS not understood, and left out of every judgement: `the moon rose`, `history of high: {}`"
        );
    }
}
