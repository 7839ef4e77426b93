//! The poller: it looks at the group often, and at what carries its own times seldom.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::recorder::Recorder;
use super::{Clients, Since, WatchError, alarms, policies_and_alarms};
use evidence::timeline::{Alarm, GroupState, Observed};
use evidence::vocabulary::{AlarmState, TargetState};

/// Activities, alarms and their history carry their own times: reading them later loses nothing.
const SLOW: Duration = Duration::from_secs(5);

/// The calls without which the group is not seen.
pub(crate) const GROUP_CALLS: &[&str] = &[
    "DescribeAutoScalingGroups",
    "DescribeServices",
    "DescribeScalableTargets",
    "ListTasks",
    "DescribeTasks",
];

pub(crate) async fn poll(
    clients: Clients,
    mut recorder: Recorder,
    latest: watch::Sender<Option<GroupState>>,
    since: Since,
    stop: CancellationToken,
) -> Recorder {
    let mut pace = Pace::new(Instant::now());
    let mut slow_due = Instant::now();
    loop {
        let sent = Timestamp::now();
        let mut throttled = false;
        match clients.group().await {
            Ok(group) => {
                recorder.heals(GROUP_CALLS);
                let mut lively = recorder.see_change("group", Observed::Group(group.clone()));
                lively |= group.instances.iter().any(|known| !known.is_in_service());
                lively |= group.in_service() != group.desired;
                recorder.looked("group", sent);
                for target_group in &group.target_groups {
                    let sent = Timestamp::now();
                    match clients.health(target_group, &group).await {
                        Ok(health) => {
                            recorder.heals(&["DescribeTargetHealth"]);
                            lively |= health
                                .targets
                                .iter()
                                .any(|(_, state)| *state != TargetState::Healthy);
                            recorder.see_change(target_group, Observed::Targets(health));
                            recorder.looked(target_group, sent);
                        }
                        Err(error) => {
                            throttled |= error.is_throttle();
                            recorder.gap(&error);
                        }
                    }
                }
                pace.saw(lively, Instant::now());
                drop(latest.send(Some(group)));
            }
            Err(error) => {
                throttled |= error.is_throttle();
                if matches!(error, WatchError::NoGroup(_) | WatchError::NoService(_)) {
                    drop(latest.send(None));
                }
                recorder.gap(&error);
            }
        }
        if Instant::now() >= slow_due {
            slow_due = Instant::now() + SLOW;
            let alarms = slow_reads(&clients, &mut recorder, since).await;
            pace.saw(
                alarms
                    .iter()
                    .any(|alarm| alarm.state == AlarmState::Alarm && alarm.is_high()),
                Instant::now(),
            );
        }
        let next = pace.next(throttled, Instant::now());
        tokio::select! {
            () = stop.cancelled() => return recorder,
            () = sleep_until(next) => {}
        }
    }
}

pub(crate) async fn slow_reads(
    clients: &Clients,
    recorder: &mut Recorder,
    since: Since,
) -> Vec<Alarm> {
    match clients.activities(&since).await {
        Ok(activities) => {
            recorder.heals(&["DescribeScalingActivities"]);
            for activity in activities {
                recorder.see_change(&activity.id.clone(), Observed::Activity(activity));
            }
        }
        Err(error) => recorder.gap(&error),
    }
    let alarms = policies_and_alarms(clients, recorder).await;
    for alarm in &alarms {
        match alarms::history(clients, &alarm.name, since.at).await {
            Ok(changes) => {
                recorder.heals(&["DescribeAlarmHistory"]);
                for (at, change) in changes {
                    recorder.see_change(&format!("{} {at}", alarm.name), change);
                }
            }
            Err(error) => recorder.gap(&error),
        }
    }
    alarms
}
