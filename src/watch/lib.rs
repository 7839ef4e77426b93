//! Polls the target's Auto Scaling group (or ECS service), alarms, target health and metrics.
//!
//! Only a name is given; everything else is discovered from it. A call that fails becomes a gap in
//! the timeline, named by the IAM action it takes: nothing is filled in. Every observation is
//! written to a file as soon as it is here, with the API's time and ours.
//!
//! It leaves out what the observations mean: `evidence` finds that.
//!
//! # Example
//!
//! ```no_run
//! use cloud::aws::Aws;
//! use model::scenario::Subject;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let aws = Aws::from_environment().await?;
//! let timeline = watch::survey(&aws, &Subject::Group("shop-web".to_owned())).await?;
//! for alarm in timeline.alarms() {
//!     println!("{}: {:?}", alarm.name, alarm.threshold);
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use cloud::aws::Aws;
use cloud::aws::clock::ApiClock;
use evidence::Timeline;
use evidence::timeline::{
    Activity, Alarm, GroupState, LateMetric, MetricSeries, Observation, Observed, Policy,
    Surroundings, TargetHealth,
};
use model::events::Event;
use model::scenario::Subject;

mod alarms; // alarms and their history
mod asg; // the Auto Scaling group, its activities and policies
mod elb; // target health, and the load balancer
mod error; // failed calls, and the gaps that they leave
#[cfg(fuzzing)]
pub mod fuzzing; // doors for the targets of tests/fuzz
mod metrics; // metrics of the policies, the load balancer and the group
mod pace; // how often to read
mod poll; // the poller
mod recorder; // keeps observations in memory and in a file
mod service; // an ECS service, in the terms of a group

pub use error::WatchError;
use error::call;
use poll::{GROUP_CALLS, poll, slow_reads};
use recorder::Recorder;
pub use recorder::{RecordingError, read};

/// How far back a survey looks for datapoints: three of basic monitoring.
const BEFORE: Duration = Duration::from_mins(15);

/// A datapoint may be so late: ALB's were, by 1 to 3 minutes, and a new metric's are up to 2
/// (CloudWatch user guide).
const LATE: Duration = Duration::from_mins(3);
/// But none of so short a period that so many have passed.
const LATE_PERIODS: u32 = 20;
/// Between two looks for it, at most.
const LATE_LOOK: Duration = Duration::from_secs(10);

/// The clients, and what is watched with them.
#[derive(Debug, Clone)]
struct Clients {
    subject: Subject,
    autoscaling: aws_sdk_autoscaling::Client,
    scaling: aws_sdk_applicationautoscaling::Client,
    ecs: aws_sdk_ecs::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    clock: ApiClock,
}

impl Clients {
    fn new(aws: &Aws, subject: &Subject) -> Self {
        let clock = ApiClock::default();
        let (sdk, see) = (&aws.sdk, clock.clone());
        Self {
            subject: subject.clone(),
            autoscaling: aws_sdk_autoscaling::Client::from_conf(
                aws_sdk_autoscaling::config::Builder::from(sdk)
                    .interceptor(see.clone())
                    .build(),
            ),
            scaling: aws_sdk_applicationautoscaling::Client::from_conf(
                aws_sdk_applicationautoscaling::config::Builder::from(sdk)
                    .interceptor(see.clone())
                    .build(),
            ),
            ecs: aws_sdk_ecs::Client::from_conf(
                aws_sdk_ecs::config::Builder::from(sdk)
                    .interceptor(see.clone())
                    .build(),
            ),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                aws_sdk_cloudwatch::config::Builder::from(sdk)
                    .interceptor(see.clone())
                    .build(),
            ),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(
                aws_sdk_elasticloadbalancingv2::config::Builder::from(sdk)
                    .interceptor(see)
                    .build(),
            ),
            clock,
        }
    }

    async fn group(&self) -> Result<GroupState, WatchError> {
        match &self.subject {
            Subject::Group(name) => asg::group(self, name).await,
            Subject::Service { .. } => service::group(self).await,
        }
    }

    async fn policies(&self) -> Result<Vec<Policy>, WatchError> {
        match &self.subject {
            Subject::Group(name) => asg::policies(self, name).await,
            Subject::Service { .. } => service::policies(self).await,
        }
    }

    async fn activities(&self, since: &Since) -> Result<Vec<Activity>, WatchError> {
        match &self.subject {
            Subject::Group(name) => asg::activities(self, name, since.at).await,
            Subject::Service { .. } => service::activities(self, since).await,
        }
    }

    /// Hooks, pools, schedules, refreshes, load balancers: each part that can be read, and what
    /// could not.
    async fn surroundings(&self, group: &GroupState) -> (Surroundings, Vec<WatchError>) {
        let mut errors = Vec::new();
        let mut found = match &self.subject {
            Subject::Group(name) => {
                asg::surroundings(self, name, group.has_warm_pool, &mut errors).await
            }
            Subject::Service { .. } => service::surroundings(self, &mut errors).await,
        };
        for target_group in &group.target_groups {
            match elb::target_group(self, target_group).await {
                Ok(mut target_group) => {
                    let counted = elb::count_target_groups(self, &mut target_group.balancers).await;
                    errors.extend(counted.err());
                    found.target_groups.push(target_group);
                }
                Err(error) => errors.push(error),
            }
        }
        (found, errors)
    }

    /// A service's targets are addresses: they are named by the tasks that have them.
    async fn health(
        &self,
        target_group: &str,
        group: &GroupState,
    ) -> Result<TargetHealth, WatchError> {
        let mut health = elb::health(self, target_group).await?;
        for (id, _) in &mut health.targets {
            if let Some(known) = group
                .instances
                .iter()
                .find(|known| !known.address.is_empty() && known.address == *id)
            {
                id.clone_from(&known.id);
            }
        }
        health.targets.sort();
        Ok(health)
    }
}

/// Looks once at the group, its policies, alarms, targets and surroundings: what is to be said
/// before a run. Fails only if the group is not there; what could not be read otherwise is a gap.
pub async fn survey(aws: &Aws, subject: &Subject) -> Result<Timeline, WatchError> {
    let clients = Clients::new(aws, subject);
    let state = clients.group().await?;
    let mut recorder = Recorder::in_memory(clients.clock.clone());
    recorder.see(Observed::Group(state.clone()));
    for target_group in &state.target_groups {
        recorder.take(
            clients
                .health(target_group, &state)
                .await
                .map(Observed::Targets),
        );
    }
    let (surroundings, errors) = clients.surroundings(&state).await;
    recorder.see(Observed::Surroundings(surroundings));
    for error in &errors {
        recorder.gap(error);
    }
    let alarms = policies_and_alarms(&clients, &mut recorder).await;
    let since = Timestamp::now().checked_sub(BEFORE).unwrap_or_default();
    match metrics::metrics(&clients, &alarms, &[], since).await {
        Ok(series) => series
            .into_iter()
            .for_each(|series| recorder.see(Observed::Metric(series))),
        Err(error) => recorder.gap(&error),
    }
    Ok(recorder.timeline())
}

/// Reads the policies and their alarms; the alarms are given back.
async fn policies_and_alarms(clients: &Clients, recorder: &mut Recorder) -> Vec<Alarm> {
    let policies = match clients.policies().await {
        Ok(policies) => policies,
        Err(error) => {
            recorder.gap(&error);
            return Vec::new();
        }
    };
    recorder.heals(&["DescribePolicies", "DescribeScalingPolicies"]);
    let names: Vec<String> = policies
        .iter()
        .flat_map(|policy| policy.alarms.clone())
        .collect();
    for policy in policies {
        recorder.see_change(&format!("policy {}", policy.name), Observed::Policy(policy));
    }
    if names.is_empty() {
        return Vec::new();
    }
    match alarms::alarms(clients, &names).await {
        Ok(seen) => {
            recorder.heals(&["DescribeAlarms"]);
            for alarm in &seen {
                recorder.see_change(
                    &format!("alarm {}", alarm.name),
                    Observed::Alarm(alarm.clone()),
                );
            }
            seen
        }
        Err(error) => {
            recorder.gap(&error);
            Vec::new()
        }
    }
}

/// When a watch began, and how large the group was.
#[derive(Debug, Clone, Copy)]
struct Since {
    at: Timestamp,
    desired: u32,
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    clients: Clients,
    since: Since,
    latest: watch::Receiver<Option<GroupState>>,
    seen: recorder::SharedTimeline,
    stop: CancellationToken,
    /// The one poller; it dies with the watch.
    watcher: JoinSet<Recorder>,
}

impl Watch {
    /// Begins to watch. Fails only if the group is not there at all or the file cannot be written.
    pub async fn begin(aws: &Aws, subject: &Subject, file: &Path) -> Result<Self, WatchError> {
        let clients = Clients::new(aws, subject);
        let mut recorder = Recorder::create(file, clients.clock.clone())?;
        let sent = Timestamp::now();
        let first = clients.group().await?;
        recorder.see(Observed::Group(first.clone()));
        recorder.looked("group", sent);
        let (surroundings, errors) = clients.surroundings(&first).await;
        recorder.see_change("surroundings", Observed::Surroundings(surroundings));
        for error in &errors {
            recorder.gap(error);
        }
        let since = Since {
            at: Timestamp::now(),
            desired: first.desired,
        };
        let (sender, latest) = watch::channel(Some(first));
        let seen = recorder.seen();
        let stop = CancellationToken::new();
        let mut watcher = JoinSet::new();
        watcher.spawn(poll(clients.clone(), recorder, sender, since, stop.clone()));
        Ok(Self {
            clients,
            since,
            latest,
            seen,
            stop,
            watcher,
        })
    }

    /// The group as last seen; nothing once it is gone.
    pub fn group(&self) -> Option<GroupState> {
        self.latest.borrow().clone()
    }

    /// Everything seen so far.
    pub fn timeline(&self) -> Timeline {
        self.seen.timeline()
    }

    /// The last reads, and everything seen. Waits until late datapoints are in, unless told to skip
    /// that; `say` tells that it waits.
    pub async fn end(
        mut self,
        skip: &CancellationToken,
        say: impl FnOnce(&[LateMetric]),
    ) -> EndedWatch {
        // It looks on meanwhile: what the group does until the last read is seen as exactly as
        // before. Of one that is gone nothing comes any more.
        let known: Vec<Alarm> = self.timeline().alarms().into_iter().cloned().collect();
        let late = match self.group() {
            Some(_) => self.late(&known, Timestamp::now(), skip, say).await,
            None => Vec::new(),
        };
        self.stop.cancel();
        let Some(Ok(mut recorder)) = self.watcher.join_next().await else {
            return EndedWatch {
                timeline: self.timeline(),
                late,
            };
        };
        let alarms = slow_reads(&self.clients, &mut recorder, self.since).await;
        // Once more, changed or not: until when the group was watched decides between missed and
        // not seen.
        let group = self.clients.group().await;
        let target_groups = match &group {
            Ok(group) => group.target_groups.clone(),
            Err(_) => self
                .group()
                .map(|group| group.target_groups)
                .unwrap_or_default(),
        };
        if let Ok(group) = &group {
            let (surroundings, _) = self.clients.surroundings(group).await;
            recorder.see_change("surroundings", Observed::Surroundings(surroundings));
        }
        if group.is_ok() {
            recorder.heals(GROUP_CALLS);
        }
        recorder.take(group.map(Observed::Group));
        match metrics::metrics(&self.clients, &alarms, &target_groups, self.since.at).await {
            Ok(series) => series
                .into_iter()
                .for_each(|series| recorder.see(Observed::Metric(series))),
            Err(error) => recorder.gap(&error),
        }
        EndedWatch {
            timeline: self.timeline(),
            late,
        }
    }

    /// Waits until the policies' metrics reach the end of the watch; what was not in by then.
    async fn late(
        &self,
        alarms: &[Alarm],
        ended: Timestamp,
        skip: &CancellationToken,
        say: impl FnOnce(&[LateMetric]),
    ) -> Vec<LateMetric> {
        let mut say = Some(say);
        let longest = alarms
            .iter()
            .map(|alarm| alarm.period)
            .max()
            .unwrap_or_default();
        let give_up = Instant::now() + longest + LATE.min(longest * LATE_PERIODS);
        loop {
            // A failed call is a gap of the last read.
            let Ok(series) = metrics::policy_metrics(&self.clients, alarms, self.since.at).await
            else {
                return Vec::new();
            };
            let late = missing(&series, ended);
            if late.is_empty() || Instant::now() >= give_up || skip.is_cancelled() {
                return late;
            }
            if let Some(say) = say.take() {
                say(&late);
            }
            let again = (Instant::now()
                + (longest / 6).clamp(Duration::from_millis(500), LATE_LOOK))
            .min(give_up);
            tokio::select! {
                () = sleep_until(again) => {}
                () = skip.cancelled() => {}
            }
        }
    }
}

/// The observations of a watch, and the datapoints that were missing at its end.
#[derive(Debug)]
pub struct EndedWatch {
    /// All observations of the watch.
    pub timeline: Timeline,
    /// The series that are incomplete.
    pub late: Vec<LateMetric>,
}

/// The series whose last datapoint ends before a moment.
fn missing(series: &[MetricSeries], ended: Timestamp) -> Vec<LateMetric> {
    let late = |series: &MetricSeries| {
        let metric = series.name.clone();
        let Some(last) = series.points.last() else {
            return Some(LateMetric {
                metric,
                missing_s: None,
            });
        };
        let until = last.at.checked_add(series.period).unwrap_or(last.at);
        let missing = Duration::try_from(ended.duration_since(until)).unwrap_or_default();
        (!missing.is_zero()).then_some(LateMetric {
            metric,
            missing_s: Some(missing.into()),
        })
    };
    series.iter().filter_map(late).collect()
}

/// The group as the live view shows it.
pub fn group_event(group: &GroupState) -> Event {
    Event::Group {
        desired: group.desired,
        in_service: group.in_service(),
        min: group.min,
        max: group.max,
    }
}

/// An SDK timestamp as ours.
fn timestamp(value: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(value.as_nanos()).ok()
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

fn count(value: Option<i32>) -> u32 {
    u32::try_from(value.unwrap_or(0)).unwrap_or(0)
}

/// All pages of a call: `page` gives a page's entries and the token of the next one.
async fn pages<T, F>(mut page: impl FnMut(Option<String>) -> F) -> Result<Vec<T>, WatchError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), WatchError>>,
{
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let (found, next) = page(token).await?;
        all.extend(found);
        token = next;
        if token.is_none() {
            return Ok(all);
        }
    }
}

type Last = HashMap<String, Observed>;
type Looks = HashMap<String, Timestamp>;

/// An observation, and the time of the previous read: the change happened between the two.
fn observation(
    at: Timestamp,
    after: Option<Timestamp>,
    api: Option<Timestamp>,
    seen: Observed,
) -> Observation {
    Observation {
        at,
        after,
        api,
        seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::timeline::Datapoint;

    #[test]
    fn a_series_is_late_until_a_datapoint_covers_the_end_of_the_watch() {
        let at = |second: i64| Timestamp::from_second(1_772_000_000 + second).unwrap();
        let late = |points: &[i64]| {
            let series = MetricSeries {
                name: "policy metric CPUUtilization".to_owned(),
                unit: String::new(),
                period: Duration::from_mins(1),
                points: points
                    .iter()
                    .map(|second| Datapoint {
                        at: at(*second),
                        value: 1.0,
                    })
                    .collect(),
                alarms: vec![],
            };
            missing(&[series], at(170))
        };
        let missing = |points: &[i64]| {
            let late = late(points);
            late.first().map(|late| late.missing_s.map(|time| time.0))
        };
        assert_eq!(missing(&[0, 60, 120]), None);
        assert_eq!(missing(&[0, 60]), Some(Some(Duration::from_secs(50))));
        assert_eq!(missing(&[]), Some(None));
    }
}
