//! The Auto Scaling group of the target: instances that boot, take load, warm up, drain and go, by a policy on the
//! load they really had.
//!
//! No sleeping here: instances carry the instants at which they change, and every question says when it is asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::alarms::{Invoked, WatchedAlarm};
use super::clock::{self, Moment};
use super::config::{Config, Policy, Target};
use super::instance::{Activity, Instance, TargetState};
use super::metrics::{Open, Sample};
use crate::scaling::alarm::{Comparison, Datapoint, State};
use crate::scaling::target_tracking::TargetTracking;
use crate::scaling::{Bounds, Seen};

pub const NAME: &str = "lab-web";
pub const POLICY: &str = "lab-web-cpu";

#[derive(Debug)]
pub struct Group {
    pub target: Target,
    pub policy: Policy,
    pub desired: u32,
    pub created: Moment,
    pub instances: Vec<Instance>,
    /// Oldest first.
    pub activities: Vec<Activity>,
    pub high: WatchedAlarm,
    pub low: WatchedAlarm,
    /// One per closed period, oldest first.
    pub samples: Vec<Sample>,
    /// What the current period saw so far.
    pub open: Open,
    frozen: bool,
    cut: bool,
    errors_when_fresh: Duration,
    next: usize,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Serve {
        instance: String,
        done: Moment,
        /// The lab file says that fresh instances answer 500, and this one is fresh.
        broken: bool,
    },
    /// The instance's queue is full.
    Full { instance: String },
    /// No healthy instance: the load balancer answers itself.
    Nobody,
}

impl Group {
    pub fn new(config: &Config, now: Moment) -> Self {
        let Policy { target_value, period, high_datapoints, low_datapoints, .. } = config.policy;
        let tracking = TargetTracking { target: target_value };
        let desired = config.target.instances;
        let alarm = |kind, comparison, threshold, datapoints| {
            WatchedAlarm::new(kind, comparison, threshold, datapoints, period, now)
        };
        let mut group = Self {
            target: config.target.clone(),
            policy: config.policy.clone(),
            desired,
            created: now,
            instances: Vec::new(),
            activities: Vec::new(),
            high: alarm("AlarmHigh", Comparison::Above, target_value, high_datapoints),
            low: alarm("AlarmLow", Comparison::Below, tracking.low_threshold(), low_datapoints),
            samples: Vec::new(),
            open: Open::default(),
            frozen: config.faults.policy_never_fires,
            cut: config.faults.terminate_without_draining,
            errors_when_fresh: config.faults.errors_when_fresh,
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
            (instance.in_service, instance.healthy, instance.warmed) = (now, now, now);
        }
        for activity in &mut group.activities {
            activity.stages = vec![("Successful", now)];
        }
        group
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { min: self.target.min, max: self.target.max }
    }

    /// Forgets the instances that are gone.
    pub fn advance(&mut self, now: Moment) {
        self.instances.retain(|instance| instance.leaving.is_none_or(|(_, gone)| now < gone));
    }

    /// Round robin over the healthy instances.
    pub fn route(&mut self, now: Moment) -> Route {
        self.advance(now);
        let healthy: Vec<usize> = (0..self.instances.len())
            .filter(|&index| self.instances[index].target_state(now) == Some(TargetState::Healthy))
            .collect();
        if healthy.is_empty() {
            return Route::Nobody;
        }
        self.next = self.next.wrapping_add(1);
        let chosen = &mut self.instances[healthy[self.next % healthy.len()]];
        let instance = chosen.id.clone();
        match chosen.queue.offer(now) {
            Some(done) => {
                let broken = chosen.healthy > self.created && done < chosen.healthy + self.errors_when_fresh;
                Route::Serve { instance, done, broken }
            }
            None => Route::Full { instance },
        }
    }

    /// Whether the instance still exists: if not, what it was working on is lost.
    pub fn has(&mut self, instance: &str, now: Moment) -> bool {
        self.advance(now);
        self.instances.iter().any(|known| known.id == instance)
    }

    /// Ends the period `[start, now)`: its datapoints, then the alarms on them, then the policy.
    pub fn close_period(&mut self, start: Moment, now: Moment) {
        let sample = self.measure(start, now);
        let cpu = sample.average_cpu();
        let datapoint = cpu.map(|value| Datapoint { at: start, value, samples: sample.cpu.len() as u32 });
        self.samples.push(sample);
        self.high.observe(datapoint, now);
        self.low.observe(datapoint, now);
        if let Some(metric) = cpu.filter(|_| !self.frozen) {
            self.follow_policy(metric, now);
        }
    }

    fn measure(&mut self, start: Moment, now: Moment) -> Sample {
        let count = |state| self.instances.iter().filter(|known| known.target_state(now) == Some(state)).count();
        let healthy = count(TargetState::Healthy) as u32;
        let in_service = self.instances.iter().filter(|known| known.lifecycle(now) == "InService").count() as u32;
        let shares = self
            .instances
            .iter_mut()
            .map(|known| (known.stays() && known.warmed <= start, known.queue.settle(start, now)));
        // Warming instances are not in the group's metric.
        let cpu = shares.filter(|(counts, _)| *counts).map(|(_, share)| share * 100.0).collect();
        Sample { start, cpu, healthy, in_service, desired: self.desired, seen: std::mem::take(&mut self.open) }
    }

    fn follow_policy(&mut self, metric: f64, now: Moment) {
        let staying = || self.instances.iter().filter(|known| known.stays());
        let warmed = staying().filter(|known| known.warmed <= now).count() as u32;
        let warming = staying().count() as u32 - warmed;
        let seen = Seen { metric, warmed, warming, desired: self.desired };
        let tracking = TargetTracking { target: self.policy.target_value };
        if self.high.state() == State::Alarm {
            let wanted = tracking.scale_out(seen, self.bounds());
            if wanted != self.desired {
                let invoked = self.high.invoke(now);
                self.resize(wanted, &invoked, now);
            }
        } else if self.low.state() == State::Alarm {
            let wanted = tracking.scale_in(seen, self.bounds());
            if wanted != self.desired {
                let invoked = self.low.invoke(now);
                self.resize(wanted, &invoked, now);
            }
        }
    }

    /// The activities of one decision share their cause.
    fn resize(&mut self, wanted: u32, alarm: &Invoked, now: Moment) {
        let (name, before, time) = (&alarm.name, self.desired, clock::seconds(now));
        let decision = format!(
            "At {time} a monitor alarm {name} in state ALARM triggered policy {POLICY} changing the desired capacity \
             from {before} to {wanted}."
        );
        self.desired = wanted;
        for _ in before..wanted {
            self.launch(now, &(decision.clone() + &started(&time, before, wanted)), &alarm.details);
        }
        for _ in wanted..before {
            self.terminate(now, &(decision.clone() + &taken_out(&time, before, wanted)), &alarm.details);
        }
    }

    fn launch(&mut self, now: Moment, cause: &str, details: &Value) {
        let zone = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];
        let zone = zone[self.instances.iter().filter(|known| known.stays()).count() % zone.len()];
        let instance = Instance::launch(&self.target, &self.policy, zone, now);
        // The end of a launch by target tracking includes the warm-up: it is not the moment of InService.
        let stages = vec![("PreInService", instance.in_service), ("WaitingForInstanceWarmup", instance.warmed)];
        self.activities.push(Activity::new("Launching a new", &instance, cause.to_owned(), details, stages));
        self.instances.push(instance);
    }

    /// The oldest of the zone that has most: balance first, as the default termination policy has it.
    fn terminate(&mut self, now: Moment, cause: &str, details: &Value) {
        let staying: Vec<usize> = (0..self.instances.len()).filter(|&index| self.instances[index].stays()).collect();
        let crowd = |zone| staying.iter().filter(|&&index| self.instances[index].zone == zone).count();
        let Some(&chosen) = staying.iter().max_by_key(|&&index| {
            let known = &self.instances[index];
            (crowd(known.zone), std::cmp::Reverse(known.launched))
        }) else {
            return;
        };
        let gone = if self.cut { now } else { now + self.target.deregistration_delay };
        let instance = &mut self.instances[chosen];
        instance.leaving = Some((now, gone));
        let (time, id) = (clock::seconds(now), &instance.id);
        let cause = format!("{cause}  At {time} instance {id} was selected for termination.");
        let stages = vec![("WaitingForELBConnectionDraining", gone)];
        self.activities.push(Activity::new("Terminating", instance, cause, details, stages));
    }
}

/// The second sentence of a launch's cause, in Auto Scaling's own words.
fn started(time: &str, from: u32, to: u32) -> String {
    format!(
        "  At {time} an instance was started in response to a difference between desired and actual capacity, \
         increasing the capacity from {from} to {to}."
    )
}

/// The second sentence of a termination's cause.
fn taken_out(time: &str, from: u32, to: u32) -> String {
    format!(
        "  At {time} an instance was taken out of service in response to a difference between desired and actual \
         capacity, shrinking the capacity from {from} to {to}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::replay::{self, Service, Setting, replay};

    const START: Moment = Duration::from_secs(1_764_000_000);

    fn at(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    /// Offers so many requests in each second of `seconds`, and closes each second.
    fn load(group: &mut Group, seconds: std::ops::Range<u64>, per_second: u32) {
        for second in seconds {
            for index in 0..per_second {
                group.route(at(second) + Duration::from_secs(1) * index / per_second);
            }
            group.advance(at(second + 1));
            group.close_period(at(second), at(second + 1));
        }
    }

    #[test]
    fn a_spike_scales_out_and_its_end_scales_in() {
        let mut group = Group::new(&Config::default(), START);
        load(&mut group, 0..5, 100);
        assert_eq!(group.desired, 2, "100/s is a quarter of what two instances can do");
        load(&mut group, 5..30, 600);
        assert_eq!(group.desired, 8);
        assert_eq!(group.instances.iter().filter(|known| known.lifecycle(at(30)) == "InService").count(), 8);
        load(&mut group, 30..90, 100);
        assert_eq!(group.desired, 2);
        assert_eq!(group.instances.len(), 2);
        let launches = group.activities.iter().filter(|activity| activity.description.starts_with("Launching")).count();
        assert_eq!((launches, group.activities.len()), (8, 14));
    }

    /// The model that advice replays must do what the group does: within one instance, at most one period apart.
    #[test]
    fn a_replay_of_the_policy_that_ran_agrees_with_the_group() {
        for (high, low, warm_up, boot) in [(3, 15, 3, 2), (1, 5, 10, 6), (4, 8, 0, 1)] {
            let mut config = Config::default();
            (config.policy.high_datapoints, config.policy.low_datapoints) = (high, low);
            (config.policy.warm_up, config.target.boot_time) =
                (Duration::from_secs(warm_up), Duration::from_secs(boot));
            for spike in [300, 700, 1_200] {
                let demand = [vec![100; 10], vec![spike; 40], vec![100; 60]].concat();
                let mut group = Group::new(&config, START);
                let mut seen = Vec::new();
                for (second, per_second) in (0..).zip(&demand) {
                    seen.push(group.desired);
                    load(&mut group, second..second + 1, *per_second);
                }
                let setting = Setting {
                    policy: replay::Policy::Tracking { target: 50.0, low: 45.0 },
                    bounds: group.bounds(),
                    initial: 2,
                    period: Duration::from_secs(1),
                    into_period: Duration::ZERO,
                    out_datapoints: high,
                    in_datapoints: low,
                    lag: Duration::ZERO,
                    boot: config.target.boot_time,
                    health: config.target.health_check_interval,
                    warm_up: config.policy.warm_up,
                    scheduled: None,
                };
                let service = Service {
                    at_limit: 190.0,
                    saturated: 200.0,
                    queue: config.target.queue_limit,
                    metric_per_request: 0.5,
                    metric_ceiling: Some(100.0),
                };
                let demand: Vec<f64> = demand.iter().map(|per_second| f64::from(*per_second)).collect();
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

    #[test]
    fn a_launch_boots_is_checked_and_warms_up_and_its_activity_ends_last() {
        let mut group = Group::new(&Config::default(), START);
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
        assert!(activity.cause.contains("changing the desired capacity from 2 to 4."), "{}", activity.cause);
        assert!(activity.cause.ends_with("increasing the capacity from 2 to 4."), "{}", activity.cause);
        assert_eq!(activity.description, format!("Launching a new EC2 instance: {}", fresh.id));
        assert_eq!(activity.details["InvokingAlarms"][0]["NewStateValue"], "ALARM");
    }

    #[test]
    fn nobody_serves_when_no_instance_is_healthy() {
        let mut config = Config::default();
        (config.target.instances, config.target.min) = (0, 0);
        assert_eq!(Group::new(&config, START).route(START), Route::Nobody);
    }

    #[test]
    fn fresh_instances_fail_and_cut_ones_lose_their_requests_where_the_lab_file_says_so() {
        let mut config = Config::default();
        config.faults.errors_when_fresh = Duration::from_secs(2);
        config.faults.terminate_without_draining = true;
        let mut group = Group::new(&config, START);
        let broken = |group: &mut Group, second| {
            (0..4).filter(|_| matches!(group.route(at(second)), Route::Serve { broken: true, .. })).count()
        };
        assert_eq!(broken(&mut group, 0), 0, "the first instances are not fresh");
        load(&mut group, 0..3, 600);
        assert_eq!(broken(&mut group, 6), 2, "two of four have just become healthy");
        assert_eq!(broken(&mut group, 8), 0);
        let oldest = group.instances[0].id.clone();
        load(&mut group, 3..40, 0);
        assert_eq!(group.desired, 2);
        assert!(!group.has(&oldest, at(40)));
    }

    #[test]
    fn a_frozen_policy_never_acts() {
        let mut config = Config::default();
        config.faults.policy_never_fires = true;
        let mut group = Group::new(&config, START);
        load(&mut group, 0..20, 600);
        assert_eq!((group.desired, group.high.state()), (2, State::Alarm));
    }
}
