//! The Auto Scaling group of the target: instances that boot, take load, warm up, drain and go, by
//! a policy on the load they really had.
//!
//! No sleeping here: instances carry the instants at which they change, and every question says
//! when it is asked.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::alarms::WatchedAlarm;
use super::clock::{self, LabInstant};
use super::config::{Config, LabTarget};
use super::instance::{LabActivity, LabInstance, TargetState};
use super::live_policy::LivePolicy;
use super::metrics::{OpenPeriod, Sample};
use super::resize::started;
use super::truth;
use super::worlds::Worlds;
use super::worlds::backend::Behind;
use super::worlds::launches::Launching;
use super::worlds::schedule::Schedule;
use super::worlds::sick::Illness;
use super::worlds::zone_loss::Loss;
use model::scaling::alarm::{AlarmDatapoint, AlarmModelState};
use model::scaling::cooldown::Cooling;
use model::scaling::policies::{PolicyReading, Rule, decide};
use model::scaling::{Bounds, GroupReading};

pub(crate) const NAME: &str = "lab-web";

#[derive(Debug)]
pub struct LabGroup {
    pub target: LabTarget,
    pub policies: Vec<LivePolicy>,
    pub desired: u32,
    pub created: LabInstant,
    pub instances: Vec<LabInstance>,
    /// Instances that existed and are gone.
    pub gone: Vec<LabInstance>,
    /// Oldest first.
    pub activities: Vec<LabActivity>,
    pub decisions: Vec<truth::Decided>,
    /// Growth of a service that its maximum did not allow; `from` and `to` are that maximum.
    pub refused: Vec<truth::Decided>,
    /// Changes of its settings by callers.
    pub configured: Vec<truth::Configured>,
    /// Samples, one per closed period, oldest first.
    pub samples: Vec<Sample>,
    /// Requests of the current period so far.
    pub open: OpenPeriod,
    /// Samples that the alarms have not seen yet: the instant from which they see it, and the index
    /// in `samples`.
    unseen: VecDeque<(LabInstant, usize)>,
    /// Number of instances in the warm pool.
    pub pooled: u32,
    /// Delay after which datapoints reach alarms and readers.
    pub metric_delay: Duration,
    pub deleted_at: Option<LabInstant>,
    pub(crate) worlds: Worlds,
    frozen: bool,
    pub(crate) cut: bool,
    pub(crate) errors_when_fresh: Duration,
    pub(crate) launching: Launching,
    pub(crate) schedule: Schedule,
    pub(crate) launched: u32,
    /// Simple scaling waits until then.
    cooling_until: LabInstant,
    /// The cooldowns of a service.
    cooling: Cooling,
    /// The load balancer's turn.
    pub(crate) next: usize,
}

/// A change that comes without a decision.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The checks of the instance with this index have failed for too long.
    Fails(usize),
    /// The next launch to come is due.
    Launch,
    /// EC2 takes instances back.
    Interruption,
    /// A zone is lost.
    ZoneLoss,
    /// The sick instance begins to fail its checks.
    Illness,
}

impl LabGroup {
    pub fn new(config: &Config, now: LabInstant) -> Self {
        let desired = config.target.instances;
        let policies = if config.policies.is_empty() {
            std::slice::from_ref(&config.policy)
        } else {
            &config.policies
        };
        let mut group = Self {
            target: config.target.clone(),
            policies: policies
                .iter()
                .enumerate()
                .map(|(index, policy)| LivePolicy::new(index, policy, config.target.service, now))
                .collect(),
            desired,
            created: now,
            instances: Vec::new(),
            gone: Vec::new(),
            activities: Vec::new(),
            decisions: Vec::new(),
            refused: Vec::new(),
            configured: Vec::new(),
            samples: Vec::new(),
            open: OpenPeriod::default(),
            unseen: VecDeque::new(),
            pooled: 0,
            metric_delay: config.faults.metric_delay,
            deleted_at: config.faults.group_deleted_after.map(|after| now + after),
            worlds: Worlds::new(config),
            frozen: config.faults.policy_never_fires,
            cut: config.faults.terminate_without_draining,
            errors_when_fresh: config.faults.errors_when_fresh,
            launching: Launching::new(&config.group.launches),
            schedule: Schedule::new(
                &config.group.scheduled,
                Bounds {
                    min: config.target.min,
                    max: config.target.max,
                },
            ),
            launched: 0,
            cooling_until: LabInstant::ZERO,
            cooling: Cooling::default(),
            next: 0,
        };
        let time = clock::seconds(now);
        let cause = format!(
            "At {time} a user request created an AutoScalingGroup changing the desired capacity from 0 to {desired}.{}",
            started(&time, 0, desired)
        );
        for _ in 0..desired {
            group.launch(now, &cause, &json!({}));
        }
        // The guest was there before us: its first instances are up.
        for instance in &mut group.instances {
            (instance.in_service, instance.ready) = (now, now);
            (instance.healthy, instance.warmed) = (now, now);
        }
        group.pooled = config.target.warm_pool;
        for activity in &mut group.activities {
            activity.stages = vec![("Successful", now)];
        }
        group
    }

    pub fn bounds(&self) -> Bounds {
        Bounds {
            min: self.target.min,
            max: self.target.max,
        }
    }

    pub fn period(&self) -> Duration {
        self.policies
            .first()
            .map_or(Duration::from_secs(1), |policy| policy.config.period)
    }

    pub fn warm_up(&self) -> Duration {
        if self.target.no_warm_up && !self.target.service {
            return self.target.default_cooldown;
        }
        // A task counts in its service's metrics as soon as it runs.
        let own = self.policies.first().filter(|_| !self.target.service);
        own.map_or(Duration::ZERO, |policy| policy.config.warm_up)
    }

    pub fn alarms(&self) -> impl Iterator<Item = (&LivePolicy, &WatchedAlarm)> {
        self.policies
            .iter()
            .flat_map(|policy| policy.alarms.iter().map(move |alarm| (policy, alarm)))
    }

    pub fn is_deleted(&self, now: LabInstant) -> bool {
        self.deleted_at.is_some_and(|at| now >= at)
    }

    /// Begins the launches that are due, replaces the instances whose checks have failed or that are
    /// interrupted, and forgets those that are gone.
    pub fn settle(&mut self, now: LabInstant) {
        while let Some((at, event)) = self.next_event().filter(|(at, _)| *at <= now) {
            match event {
                Event::Fails(index) => self.replace(index, at),
                Event::Launch => {
                    if let Some(coming) = self.launching.take() {
                        self.begin(coming);
                    }
                }
                Event::Interruption => self.interrupt(at),
                Event::ZoneLoss => self.lose_zone(at),
                Event::Illness => self.fall_ill(at),
            }
        }
        let is_gone =
            |instance: &mut LabInstance| instance.leaving.is_some_and(|(_, gone)| now >= gone);
        self.gone.extend(self.instances.extract_if(.., is_gone));
    }

    /// Returns the first event to come, with its instant.
    fn next_event(&self) -> Option<(LabInstant, Event)> {
        let failing = (0..self.instances.len())
            .filter_map(|index| Some((self.instances[index].fails_at(&self.target)?, index)))
            .min();
        let after_first = |event, after: Option<Duration>| {
            let began = self.worlds.load_began()?;
            Some((began + after?, event))
        };
        let zone_loss = self.worlds.zone_loss.as_ref().and_then(Loss::next);
        let illness = self.worlds.illness.as_ref().and_then(Illness::next);
        let all = [
            failing.map(|(at, index)| (at, Event::Fails(index))),
            self.launching.next().map(|at| (at, Event::Launch)),
            after_first(Event::Interruption, self.worlds.interruptions.next()),
            after_first(Event::ZoneLoss, zone_loss),
            after_first(Event::Illness, illness),
        ];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn replace(&mut self, index: usize, at: LabInstant) {
        let time = clock::seconds(at);
        let cause = format!(
            "At {time} an instance was taken out of service in response to an ELB system health check failure."
        );
        self.take_out(index, at, self.drains_for(), cause, &json!({}));
        self.ask_instead(at, false);
    }

    /// Ends the period `[start, now)`: its datapoints, then the alarms on those that they see, then
    /// the policies.
    pub fn close_period(&mut self, start: LabInstant, now: LabInstant) {
        let sample = self.measure(start, now);
        self.unseen
            .push_back((now + self.metric_delay, self.samples.len()));
        self.samples.push(sample);
        let mut fresh = false;
        while let Some(&(visible, index)) = self.unseen.front()
            && visible <= now
        {
            self.unseen.pop_front();
            let Some(sample) = self.samples.get(index) else {
                continue;
            };
            for policy in &mut self.policies {
                let value = sample.of(policy.config.metric);
                let samples = (sample.cpu.len() as u32).max(1);
                let datapoint = value.map(|value| AlarmDatapoint {
                    at: sample.start,
                    value,
                    samples,
                });
                for alarm in &mut policy.alarms {
                    alarm.observe(datapoint, now);
                }
                policy.latest = value;
                fresh |= value.is_some();
            }
        }
        if !self.is_deleted(now) {
            self.keep_schedule(now);
        }
        if fresh && !self.frozen && !self.is_deleted(now) {
            self.follow_policies(now);
        }
    }

    fn measure(&mut self, start: LabInstant, now: LabInstant) -> Sample {
        let count = |state| {
            self.instances
                .iter()
                .filter(|known| known.target_state(now) == Some(state))
                .count()
        };
        let healthy = count(TargetState::Healthy) as u32;
        let in_service = self
            .instances
            .iter()
            .filter(|known| known.lifecycle(now) == "InService")
            .count() as u32;
        let backend = &mut self.worlds.backend;
        let shares = self.instances.iter_mut().map(|known| {
            let busy = match backend {
                Some(Behind::Held(held)) => held.settle(known.number, start, now),
                _ => known.queue.settle(start, now),
            };
            (
                known.stays() && known.warmed <= start && !known.is_dark(start),
                busy,
            )
        });
        let of_work = self.target.cpu_share.of_one();
        // Warming instances are not in the group's metric.
        let cpu = shares
            .filter(|(counts, _)| *counts)
            .map(|(_, share)| share * of_work * 100.0)
            .collect();
        Sample {
            start,
            cpu,
            healthy,
            in_service,
            desired: self.desired,
            seen: std::mem::take(&mut self.open),
        }
    }

    fn follow_policies(&mut self, now: LabInstant) {
        let staying = || self.instances.iter().filter(|known| known.stays());
        let warmed = staying().filter(|known| known.warmed <= now).count() as u32;
        // A launch that is late is on its way; one that failed is not.
        let late = self.launching.coming().iter().filter(|one| !one.again);
        let warming = staying().count() as u32 - warmed + late.count() as u32;
        let standing: Vec<(usize, PolicyReading<'_>)> = self
            .policies
            .iter()
            .enumerate()
            .filter_map(|(index, policy)| {
                let state = |alarm: usize| {
                    policy
                        .alarms
                        .get(alarm)
                        .map_or(AlarmModelState::Ok, WatchedAlarm::state)
                };
                let seen = GroupReading {
                    metric: policy.latest?,
                    warmed,
                    warming,
                    desired: self.desired,
                };
                let seen = self.cooling.seen(seen, now);
                Some((
                    index,
                    PolicyReading {
                        rule: &policy.rule,
                        alarm: state(0),
                        low: state(1),
                        seen,
                    },
                ))
            })
            .collect();
        let all: Vec<PolicyReading<'_>> = standing.iter().map(|(_, standing)| *standing).collect();
        let decided = decide(&all, self.bounds(), self.desired, now < self.cooling_until);
        let Some(decision) = decided else {
            let policy = self.beyond_maximum(&all).map(|policy| standing[policy].0);
            self.refuse(policy, now);
            return;
        };
        let index = standing[decision.policy].0;
        let (grows, wanted) = (decision.wanted > self.desired, decision.wanted);
        if self.is_suspended(grows) {
            return;
        }
        if !grows && self.target.protected || !self.cooling.allows(self.desired, wanted, now) {
            return;
        }
        let policy = &mut self.policies[index];
        let last = policy.alarms.len() - 1;
        let invoked = policy.alarms[if grows { 0 } else { last }].invoke(&policy.name, now);
        let name = policy.name.clone();
        let (before, cooldowns) = (
            self.desired,
            self.target.service.then(|| policy.config.cooldowns()),
        );
        let cooldown = match policy.rule {
            Rule::Simple { cooldown, .. } => Some(cooldown),
            _ => None,
        };
        self.resize(wanted, &name, &invoked, now);
        // It begins when the last instance has come or gone.
        let done = self
            .instances
            .iter()
            .map(|known| known.leaving.map_or(known.in_service, |(_, gone)| gone))
            .chain(
                self.launching
                    .coming()
                    .iter()
                    .map(|coming| coming.due + self.target.boot_time),
            )
            .max();
        let done = done.unwrap_or(now).max(now);
        if let Some(cooldown) = cooldown {
            self.cooling_until = done + cooldown;
        }
        if let Some(cooldowns) = cooldowns {
            self.cooling.changed(before, wanted, now, done, cooldowns);
        }
    }

    fn is_suspended(&self, grows: bool) -> bool {
        let suspended = |process: &str| self.target.suspended.iter().any(|one| one == process);
        suspended("AlarmNotification") || suspended(if grows { "Launch" } else { "Terminate" })
    }

    /// Returns the policy that would make a service grow if its maximum were one more.
    fn beyond_maximum(&self, policies: &[PolicyReading<'_>]) -> Option<usize> {
        let bounds = Bounds {
            max: self.target.max + 1,
            ..self.bounds()
        };
        let decision = decide(policies, bounds, self.desired, false)?;
        (self.target.service && decision.wanted > self.desired).then_some(decision.policy)
    }

    /// Notes that a service stays at its maximum, as Application Auto Scaling does at each run of
    /// the alarm's action.
    fn refuse(&mut self, policy: Option<usize>, now: LabInstant) {
        let Some(policy) = policy.filter(|_| !self.is_suspended(true)) else {
            return;
        };
        let policy = &self.policies[policy];
        let (alarm, most) = (&policy.alarms[0].name, self.desired);
        let refused = truth::Decided::new(now, &policy.name, alarm, most, most);
        self.refused.push(refused);
    }
}

#[cfg(test)]
mod tests {
    use super::super::route::Route;
    use super::*;
    use model::scaling::replay::{Follows, InstanceLimits, Setting, replay};

    const START: LabInstant = Duration::from_hours(490_000);

    fn at(seconds: u64) -> LabInstant {
        START + Duration::from_secs(seconds)
    }

    /// Offers `per_second` requests in each second of `seconds`, and closes each second.
    fn load(group: &mut LabGroup, seconds: std::ops::Range<u64>, per_second: u32) {
        for second in seconds {
            for index in 0..per_second {
                group.route(
                    at(second) + Duration::from_secs(1) * index / per_second,
                    "/",
                    None,
                );
            }
            group.advance(at(second + 1));
            group.close_period(at(second), at(second + 1));
        }
    }

    #[test]
    fn a_spike_scales_out_and_its_end_scales_in() {
        let mut group = LabGroup::new(&Config::default(), START);
        load(&mut group, 0..5, 100);
        assert_eq!(
            group.desired, 2,
            "100/s is a quarter of what two instances can do"
        );
        load(&mut group, 5..30, 600);
        assert_eq!(group.desired, 8);
        assert_eq!(
            group
                .instances
                .iter()
                .filter(|known| known.lifecycle(at(30)) == "InService")
                .count(),
            8
        );
        load(&mut group, 30..90, 100);
        assert_eq!(group.desired, 2);
        assert_eq!(group.instances.len(), 2);
        let launches = group
            .activities
            .iter()
            .filter(|activity| activity.description.starts_with("Launching"))
            .count();
        assert_eq!((launches, group.activities.len()), (8, 14));
    }

    /// The model that advice replays must do what the group does: within one instance, at most one
    /// period apart.
    #[test]
    fn a_replay_of_the_policy_that_ran_agrees_with_the_group() {
        for (high, low, warm_up, boot) in [(3, 15, 3, 2), (1, 5, 10, 6), (4, 8, 0, 1)] {
            let mut config = Config::default();
            (config.policy.high_datapoints, config.policy.low_datapoints) = (high, low);
            (config.policy.warm_up, config.target.boot_time) =
                (Duration::from_secs(warm_up), Duration::from_secs(boot));
            for spike in [300, 700, 1_200] {
                let demand = [vec![100; 10], vec![spike; 40], vec![100; 60]].concat();
                let mut group = LabGroup::new(&config, START);
                let mut seen = Vec::new();
                for (second, per_second) in (0..).zip(&demand) {
                    seen.push(group.desired);
                    load(&mut group, second..second + 1, *per_second);
                }
                let setting = as_modelled(&config);
                let service = InstanceLimits {
                    at_limit: 190.0,
                    saturated: 200.0,
                    queue: config.target.queue_limit,
                };
                let demand: Vec<f64> = demand
                    .iter()
                    .map(|per_second| f64::from(*per_second))
                    .collect();
                let model = replay(&demand, &service, &setting).desired;
                for (second, seen) in seen.iter().enumerate() {
                    let near = &model[second.saturating_sub(1)..model.len().min(second + 2)];
                    assert!(
                        near.iter().any(|model| model.abs_diff(*seen) <= 1),
                        "{high}/{low}, warm-up {warm_up}, boot {boot}, spike {spike}, second {second}: group {seen}, model {near:?}"
                    );
                }
            }
        }
    }

    /// Returns the group's policies as the replay has them.
    fn as_modelled(config: &Config) -> Setting {
        let group = LabGroup::new(config, START);
        let follows = |policy: &LivePolicy| Follows {
            rule: policy.rule.clone(),
            per_request: 0.5,
            ceiling: Some(100.0),
            per_target: false,
            period: policy.config.period,
            lag: Duration::ZERO,
            alarm: policy.alarms[0].model.clone(),
            low: policy.alarms.get(1).map(|alarm| alarm.model.clone()),
            cooldowns: config.target.service.then(|| policy.config.cooldowns()),
        };
        Setting {
            policies: group.policies.iter().map(follows).collect(),
            bounds: group.bounds(),
            initial: config.target.instances,
            into_period: Duration::ZERO,
            launch: Duration::ZERO,
            boot: config.target.boot_time,
            health: config.target.health_check_interval,
            warm_up: group.warm_up(),
            drain: config.target.deregistration_delay,
            scheduled: None,
        }
    }

    #[test]
    fn a_replay_of_step_and_simple_policies_agrees_with_the_group() {
        let policy = |text: &str| Config::parse(text).unwrap();
        for config in [
            policy(
                "policies: [{ kind: step, above: 60, datapoints: 2, steps: [{ from: 0, to: 20, change: 1 }, { from: 20, change: 3 }] },\n\
                 { kind: step, below: 30, datapoints: 8, steps: [{ to: 0, change: -1 }] }]",
            ),
            policy(
                "policies: [{ kind: simple, above: 60, datapoints: 2, change: 2, cooldown: 6s },\n\
                 { kind: simple, below: 25, datapoints: 5, change: -1, cooldown: 6s }]",
            ),
            policy(
                "target: { service: true }\npolicy: { scale_out_cooldown: 20s, scale_in_cooldown: 9s }",
            ),
            policy(
                "target: { service: true }\n\
                 policies: [{ kind: step, above: 60, datapoints: 2, cooldown: 12s, steps: [{ from: 0, change: 1 }] },\n\
                 { kind: step, below: 30, datapoints: 8, cooldown: 6s, steps: [{ to: 0, change: -1 }] }]",
            ),
            policy(
                "policies: [{}, { kind: step, above: 80, datapoints: 1, adjustment: percent, steps: [{ from: 0, change: 100 }] }]",
            ),
        ] {
            for spike in [300, 700, 1_200] {
                let demand = [vec![100; 10], vec![spike; 40], vec![100; 60]].concat();
                let mut group = LabGroup::new(&config, START);
                let mut seen = Vec::new();
                for (second, per_second) in (0..).zip(&demand) {
                    seen.push(group.desired);
                    load(&mut group, second..second + 1, *per_second);
                }
                let service = InstanceLimits {
                    at_limit: 190.0,
                    saturated: 200.0,
                    queue: config.target.queue_limit,
                };
                let demand: Vec<f64> = demand
                    .iter()
                    .map(|per_second| f64::from(*per_second))
                    .collect();
                let model = replay(&demand, &service, &as_modelled(&config)).desired;
                for (second, seen) in seen.iter().enumerate() {
                    let near = &model[second.saturating_sub(1)..model.len().min(second + 2)];
                    assert!(
                        near.iter().any(|model| model.abs_diff(*seen) <= 1),
                        "{:?}, spike {spike}, second {second}: group {seen}, model {near:?}",
                        config.policies
                    );
                }
            }
        }
    }

    #[test]
    fn an_instance_that_starts_slower_than_its_grace_is_replaced_again_and_again() {
        let text =
            "target: { app_start: 6s, health_check_grace: 0s }\npolicy: { high_datapoints: 1 }";
        let mut group = LabGroup::new(&Config::parse(text).unwrap(), START);
        load(&mut group, 0..20, 600);
        let replaced = group
            .activities
            .iter()
            .filter(|one| one.cause.contains("health check failure"))
            .count();
        assert!(replaced >= 4, "{replaced}");
        let healthy =
            |known: &&LabInstance| known.target_state(at(20)) == Some(TargetState::Healthy);
        assert_eq!(
            group.instances.iter().filter(healthy).count(),
            2,
            "only those that were there before"
        );
    }

    #[test]
    fn a_warm_pool_shortens_the_boot_until_it_is_empty() {
        let text = "target: { boot_time: 5s, warm_pool: 1 }";
        let mut group = LabGroup::new(&Config::parse(text).unwrap(), START);
        load(&mut group, 0..3, 600);
        let fresh = &group.instances[2..];
        assert_eq!(
            fresh[0].in_service - fresh[0].launched,
            Duration::from_millis(500)
        );
        assert_eq!(
            fresh[1].in_service - fresh[1].launched,
            Duration::from_secs(5)
        );
        assert!(
            group.activities[2]
                .description
                .starts_with("Launching a new EC2 instance from warm pool: i-")
        );
    }

    #[test]
    fn a_launch_boots_is_checked_and_warms_up_and_its_activity_ends_last() {
        let mut group = LabGroup::new(&Config::default(), START);
        load(&mut group, 0..3, 600);
        let fresh = group.instances.last().unwrap();
        let states = |second| (fresh.lifecycle(at(second)), fresh.target_state(at(second)));
        assert_eq!(states(4), ("Pending", None));
        assert_eq!(states(5), ("InService", Some(TargetState::Initial)));
        assert_eq!(states(6), ("InService", Some(TargetState::Healthy)));
        let activity = group.activities.last().unwrap();
        assert_eq!(activity.status(at(4)), ("PreInService", None));
        assert_eq!(activity.status(at(7)), ("WaitingForInstanceWarmup", None));
        assert_eq!(activity.status(at(8)), ("Successful", Some(at(8))));
        assert!(
            activity
                .cause
                .contains("changing the desired capacity from 2 to 4."),
            "{}",
            activity.cause
        );
        assert!(
            activity
                .cause
                .ends_with("increasing the capacity from 2 to 4."),
            "{}",
            activity.cause
        );
        assert_eq!(
            activity.description,
            format!("Launching a new EC2 instance: {}", fresh.id)
        );
        assert_eq!(
            activity.details["InvokingAlarms"][0]["NewStateValue"],
            "ALARM"
        );
    }

    #[test]
    fn nobody_serves_when_no_instance_is_healthy() {
        let mut config = Config::default();
        (config.target.instances, config.target.min) = (0, 0);
        assert!(matches!(
            LabGroup::new(&config, START).route(START, "/", None),
            Route::Nobody
        ));
    }

    #[test]
    fn fresh_instances_fail_and_cut_ones_lose_their_requests_where_the_lab_file_says_so() {
        let mut config = Config::default();
        config.faults.errors_when_fresh = Duration::from_secs(2);
        config.faults.terminate_without_draining = true;
        let mut group = LabGroup::new(&config, START);
        let broken = |group: &mut LabGroup, second| {
            (0..4)
                .filter(|_| match group.route(at(second), "/", None) {
                    Route::Serve(underway) => underway.fault == Some(500),
                    _ => false,
                })
                .count()
        };
        assert_eq!(
            broken(&mut group, 0),
            0,
            "the first instances are not fresh"
        );
        load(&mut group, 0..3, 600);
        assert_eq!(
            broken(&mut group, 6),
            2,
            "two of four have just become healthy"
        );
        assert_eq!(broken(&mut group, 8), 0);
        let oldest = group.instances[0].id.clone();
        load(&mut group, 3..40, 0);
        assert_eq!(group.desired, 2);
        assert!(group.instances.iter().all(|known| known.id != oldest));
    }

    #[test]
    fn a_frozen_policy_never_acts() {
        let mut config = Config::default();
        config.faults.policy_never_fires = true;
        let mut group = LabGroup::new(&config, START);
        load(&mut group, 0..20, 600);
        assert_eq!(
            (group.desired, group.policies[0].alarms[0].state()),
            (2, AlarmModelState::Alarm)
        );
    }
}
