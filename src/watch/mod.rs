//! The target while it suffers: its Auto Scaling group, alarms, target health and metrics, polled.
//!
//! Only the group's name is given; everything else is discovered from it. A call that fails becomes a gap in the
//! timeline: nothing is filled in. Every observation is written to the run's folder as soon as it is here.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::aws::Aws;
use crate::measure::Timeline;
use crate::measure::timeline::{GroupState, Observation, Observed};

mod asg;
mod cloudwatch;
mod elb;

/// Group and target health: the moments the verdict is made of. Describe throttles are not documented; 30 calls a
/// minute each stay far below any that has been reported.
const FAST: Duration = Duration::from_secs(2);
/// Activities, alarms and their history carry their own times: reading them later loses nothing.
const SLOW: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("there is no Auto Scaling group `{0}` in this account and region")]
    NoGroup(String),
    #[error("{call}: {why}")]
    Call { call: &'static str, why: String },
    #[error("could not write what was seen to {path}: {source}")]
    Folder { path: String, source: std::io::Error },
}

/// The clients, and what has been discovered of the group.
#[derive(Debug, Clone)]
struct Eyes {
    group: String,
    autoscaling: aws_sdk_autoscaling::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
}

/// Looks once at the group, its policies, alarms and targets: what is to be said before a run. Fails only if the group is
/// not there; what could not be read otherwise is a gap.
pub async fn survey(aws: &Aws, group: &str) -> Result<Timeline, WatchError> {
    let eyes = Eyes::new(aws, group);
    let state = asg::group(&eyes).await?;
    let mut seen = Vec::new();
    for target_group in &state.target_groups {
        seen.push(elb::health(&eyes, target_group).await.map(Observed::Targets));
    }
    seen.push(Ok(Observed::Group(state)));
    match asg::policies(&eyes).await {
        Ok(policies) => {
            let alarms: Vec<String> = policies.iter().flat_map(|policy| policy.alarms.clone()).collect();
            seen.extend(policies.into_iter().map(|policy| Ok(Observed::Policy(policy))));
            match cloudwatch::alarms(&eyes, &alarms).await {
                _ if alarms.is_empty() => {}
                Ok(alarms) => seen.extend(alarms.into_iter().map(|alarm| Ok(Observed::Alarm(alarm)))),
                Err(error) => seen.push(Err(error)),
            }
        }
        Err(error) => seen.push(Err(error)),
    }
    let at = Timestamp::now();
    let observed = |seen: Result<Observed, WatchError>| seen.unwrap_or_else(|error| gap(&error));
    Ok(Timeline { observations: seen.into_iter().map(|seen| Observation { at, seen: observed(seen) }).collect() })
}

/// What is not known, and which call failed to tell.
fn gap(error: &WatchError) -> Observed {
    let (call, why) = match error {
        WatchError::Call { call, why } => ((*call).to_owned(), why.clone()),
        other => ("DescribeAutoScalingGroups".to_owned(), other.to_string()),
    };
    Observed::Gap { call, why }
}

impl Eyes {
    fn new(aws: &Aws, group: &str) -> Self {
        Self {
            group: group.to_owned(),
            autoscaling: aws_sdk_autoscaling::Client::new(&aws.sdk),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&aws.sdk),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&aws.sdk),
        }
    }
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    eyes: Eyes,
    since: Timestamp,
    latest: watch::Receiver<Option<GroupState>>,
    seen: Seen,
    stop: CancellationToken,
    /// The one poller; it dies with the watch.
    watcher: JoinSet<Recorder>,
}

impl Watch {
    /// Begins to watch. Fails only if the group is not there at all or the folder cannot be written.
    pub async fn begin(aws: &Aws, group: &str, folder: &Path) -> Result<Self, WatchError> {
        let eyes = Eyes::new(aws, group);
        let mut recorder = Recorder::create(&folder.join("watch.jsonl"))?;
        let first = asg::group(&eyes).await?;
        recorder.see(Observed::Group(first.clone()));
        let (sender, latest) = watch::channel(Some(first));
        let seen = Arc::clone(&recorder.observations);
        let stop = CancellationToken::new();
        let since = Timestamp::now();
        let mut watcher = JoinSet::new();
        watcher.spawn(poll(eyes.clone(), recorder, sender, since, stop.clone()));
        Ok(Self { eyes, since, latest, seen, stop, watcher })
    }

    /// The group as last seen.
    pub fn group(&self) -> Option<GroupState> {
        self.latest.borrow().clone()
    }

    /// Everything seen so far.
    pub fn timeline(&self) -> Timeline {
        Timeline { observations: self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }

    /// The last reads, so that late datapoints are in, and everything seen.
    pub async fn end(mut self) -> Timeline {
        self.stop.cancel();
        let Some(Ok(mut recorder)) = self.watcher.join_next().await else { return self.timeline() };
        slow_reads(&self.eyes, &mut recorder, self.since).await;
        // Once more, changed or not: until when the group was watched decides between missed and not seen.
        match asg::group(&self.eyes).await {
            Ok(group) => recorder.see(Observed::Group(group)),
            Err(error) => recorder.gap(&error),
        }
        let timeline = self.timeline();
        let alarms: Vec<_> = timeline.alarms().into_iter().cloned().collect();
        let target_groups: Vec<String> =
            timeline.groups().last().map(|(_, group)| group.target_groups.clone()).unwrap_or_default();
        match cloudwatch::metrics(&self.eyes, &alarms, &target_groups, self.since).await {
            Ok(series) => series.into_iter().for_each(|series| recorder.see(Observed::Metric(series))),
            Err(error) => recorder.gap(&error),
        }
        self.timeline()
    }
}

async fn poll(
    eyes: Eyes,
    mut recorder: Recorder,
    latest: watch::Sender<Option<GroupState>>,
    since: Timestamp,
    stop: CancellationToken,
) -> Recorder {
    let mut fast = interval(FAST);
    fast.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut slow_due = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return recorder,
            _ = fast.tick() => {}
        }
        match asg::group(&eyes).await {
            Ok(group) => {
                for target_group in &group.target_groups {
                    match elb::health(&eyes, target_group).await {
                        Ok(health) => recorder.see_change(target_group, Observed::Targets(health)),
                        Err(error) => recorder.gap(&error),
                    }
                }
                let _ = latest.send(Some(group.clone()));
                recorder.see_change("group", Observed::Group(group));
            }
            Err(error) => recorder.gap(&error),
        }
        if Instant::now() >= slow_due {
            slow_due = Instant::now() + SLOW;
            slow_reads(&eyes, &mut recorder, since).await;
        }
    }
}

async fn slow_reads(eyes: &Eyes, recorder: &mut Recorder, since: Timestamp) {
    match asg::activities(eyes, since).await {
        Ok(activities) => {
            for activity in activities {
                recorder.see_change(&activity.id.clone(), Observed::Activity(activity));
            }
        }
        Err(error) => recorder.gap(&error),
    }
    let policies = match asg::policies(eyes).await {
        Ok(policies) => policies,
        Err(error) => return recorder.gap(&error),
    };
    let alarms: Vec<String> = policies.iter().flat_map(|policy| policy.alarms.clone()).collect();
    for policy in policies {
        recorder.see_change(&format!("policy {}", policy.name), Observed::Policy(policy));
    }
    if alarms.is_empty() {
        return;
    }
    match cloudwatch::alarms(eyes, &alarms).await {
        Ok(seen) => {
            for alarm in seen {
                recorder.see_change(&format!("alarm {}", alarm.name), Observed::Alarm(alarm));
            }
        }
        Err(error) => recorder.gap(&error),
    }
    for alarm in &alarms {
        match cloudwatch::history(eyes, alarm, since).await {
            Ok(changes) => {
                for change in changes {
                    recorder.see_change(&format!("{alarm} {}", change.at), Observed::AlarmChange(change));
                }
            }
            Err(error) => recorder.gap(&error),
        }
    }
}

type Seen = Arc<Mutex<Vec<Observation>>>;

/// Keeps observations in memory and in the run's folder; what did not change is not written again.
#[derive(Debug)]
struct Recorder {
    file: File,
    observations: Seen,
    last: HashMap<String, Observed>,
}

impl Recorder {
    fn create(path: &Path) -> Result<Self, WatchError> {
        let file =
            File::create(path).map_err(|source| WatchError::Folder { path: path.display().to_string(), source })?;
        Ok(Self { file, observations: Seen::default(), last: HashMap::new() })
    }

    fn see(&mut self, seen: Observed) {
        let observation = Observation { at: Timestamp::now(), seen };
        if let Ok(line) = serde_json::to_string(&observation) {
            // Memory has it as well; a full disk must not end the watch.
            let _ = writeln!(self.file, "{line}");
        }
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    fn see_change(&mut self, key: &str, what: Observed) {
        if self.last.get(key) != Some(&what) {
            self.last.insert(key.to_owned(), what.clone());
            self.see(what);
        }
    }

    fn gap(&mut self, error: &WatchError) {
        self.see(gap(error));
    }
}

/// An SDK timestamp as ours.
fn timestamp(value: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(value.as_nanos()).ok()
}

fn call<E: std::error::Error + 'static>(call: &'static str) -> impl Fn(E) -> WatchError {
    move |error| WatchError::Call { call, why: crate::aws::explain(&error) }
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}
