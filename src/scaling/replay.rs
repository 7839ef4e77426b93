//! What a policy would have done with a load: the same alarms and the same rules, second by second.
//!
//! The load is what the run asked of the target, the target is what the run showed of it: how much one instance carries,
//! how its metric follows its load, how long a new one takes. What is left out is said: instances are alike, the load
//! balancer spreads evenly over them.

use std::collections::VecDeque;
use std::time::Duration;

use super::alarm::{Alarm, Comparison, Datapoint, State};
use super::step::StepScaling;
use super::target_tracking::TargetTracking;
use super::{Bounds, Seen};

/// What one instance can do, and what its metric says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// Requests per second beyond which the latency limit does not hold.
    pub at_limit: f64,
    /// Requests per second beyond which requests fail.
    pub saturated: f64,
    /// So much work an instance lets pile up before requests fail.
    pub queue: Duration,
    /// The policy's metric per request per second of one instance.
    pub metric_per_request: f64,
    /// Where the metric ends, however large the load: 100 for CPU.
    pub metric_ceiling: Option<f64>,
}

/// A policy with everything about its group that decides how fast it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub policy: Policy,
    pub bounds: Bounds,
    pub initial: u32,
    /// Of the metric and of the alarms on it.
    pub period: Duration,
    /// How much of a period had passed when the load began.
    pub into_period: Duration,
    pub out_datapoints: usize,
    pub in_datapoints: usize,
    /// From the end of a period to the alarm's action on it.
    pub lag: Duration,
    /// From launch to in service.
    pub boot: Duration,
    /// From in service to healthy in the target group.
    pub health: Duration,
    /// From in service to counted in the metric.
    pub warm_up: Duration,
    /// A higher minimum for some time: from, until, minimum.
    pub scheduled: Option<(Duration, Duration, u32)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// Target tracking; the low alarm's threshold is read from the live alarm where there is one.
    Tracking { target: f64, low: f64 },
    /// A step policy out, beside the target tracking that scales in and whatever the steps leave out.
    StepsAnd { steps: StepScaling, target: f64, low: f64 },
}

/// What would have happened, second by second and in sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Instances that take load.
    pub serving: Vec<u32>,
    pub desired: Vec<u32>,
    /// Seconds in which an instance had more to do than its latency limit allows.
    pub over_limit: u32,
    /// Requests beyond what the instances could carry at all.
    pub unserved: f64,
    /// Of everything launched and not yet gone.
    pub instance_seconds: f64,
}

#[derive(Debug, Clone, Copy)]
struct Instance {
    in_service: u32,
    serving: u32,
    warmed: u32,
    /// What it has to do in this second, in requests, and what of it is left for the next.
    work: f64,
    backlog: f64,
}

impl Instance {
    fn new(in_service: u32, serving: u32, warmed: u32) -> Self {
        Self { in_service, serving, warmed, work: 0.0, backlog: 0.0 }
    }
}

/// Replays a load given in requests per second, one entry a second.
pub fn replay(load: &[f64], service: &Service, setting: &Setting) -> Replayed {
    let mut group = Group::new(setting);
    let mut replayed = Replayed {
        serving: Vec::with_capacity(load.len()),
        desired: Vec::with_capacity(load.len()),
        over_limit: 0,
        unserved: 0.0,
        instance_seconds: 0.0,
    };
    for (second, demand) in (0..).zip(load) {
        group.follow(second);
        let serving = group.instances.iter().filter(|known| known.serving <= second).count() as u32;
        let (over, lost) = group.carry(second, *demand, serving, service);
        // A twentieth of the instances is a twentieth of the requests: beyond it the 95th percentile is theirs.
        replayed.over_limit += u32::from(over * 20 > serving || (serving == 0 && *demand > 0.0));
        replayed.unserved += lost;
        replayed.instance_seconds += group.instances.len() as f64;
        replayed.serving.push(serving);
        replayed.desired.push(group.desired);
        group.measure(second, service);
    }
    replayed
}

struct Group<'a> {
    setting: &'a Setting,
    instances: Vec<Instance>,
    desired: u32,
    high: Alarm,
    low: Alarm,
    step: Option<Alarm>,
    /// Sum and number of the metric's samples in the open period.
    open: (f64, u32),
    /// Datapoints that are not visible to the alarms yet: from which second on, start and value.
    published: VecDeque<(u32, Duration, Option<f64>)>,
}

impl<'a> Group<'a> {
    fn new(setting: &'a Setting) -> Self {
        let (target, low) = match &setting.policy {
            Policy::Tracking { target, low } | Policy::StepsAnd { target, low, .. } => (*target, *low),
        };
        let step = match &setting.policy {
            Policy::StepsAnd { steps, .. } => Some(Alarm::new(Comparison::Above, steps.threshold, 1)),
            Policy::Tracking { .. } => None,
        };
        let there = Instance::new(0, 0, 0);
        let initial = setting.bounds.clamp(setting.initial);
        Self {
            setting,
            instances: vec![there; initial as usize],
            desired: initial,
            high: Alarm::new(Comparison::Above, target, setting.out_datapoints),
            low: Alarm::new(Comparison::Below, low, setting.in_datapoints),
            step,
            open: (0.0, 0),
            published: VecDeque::new(),
        }
    }

    fn bounds(&self, second: u32) -> Bounds {
        let at = Duration::from_secs(second.into());
        match self.setting.scheduled {
            Some((from, until, min)) if at >= from && at < until => {
                Bounds { min: min.min(self.setting.bounds.max).max(self.setting.bounds.min), ..self.setting.bounds }
            }
            _ => self.setting.bounds,
        }
    }

    /// Spreads a second's requests over the instances that serve; a queue stays where it arose. How many instances had
    /// more to do than their limit allows, and how many requests were lost.
    fn carry(&mut self, second: u32, demand: f64, serving: u32, service: &Service) -> (u32, f64) {
        if serving == 0 {
            return (0, demand);
        }
        let (mut over, mut lost) = (0, 0.0);
        for instance in self.instances.iter_mut().filter(|known| known.serving <= second) {
            instance.work = demand / f64::from(serving) + instance.backlog;
            over += u32::from(instance.work > service.at_limit);
            let left = (instance.work - service.saturated).max(0.0);
            instance.backlog = left.min(service.saturated * service.queue.as_secs_f64());
            lost += left - instance.backlog;
        }
        (over, lost)
    }

    /// Adds a second to the open period of the metric, and closes the period when it is over.
    fn measure(&mut self, second: u32, service: &Service) {
        // An instance that counts before it takes load counts as idle.
        let counted = || self.instances.iter().filter(|known| known.warmed <= second);
        let warmed = counted().count();
        if warmed > 0 {
            let ceiling = service.metric_ceiling.unwrap_or(f64::INFINITY);
            let sum: f64 = counted().map(|known| (known.work * service.metric_per_request).min(ceiling)).sum();
            self.open.0 += sum / warmed as f64;
            self.open.1 += 1;
        }
        let period = whole_seconds(self.setting.period).max(1);
        if (second + 1 + whole_seconds(self.setting.into_period)).is_multiple_of(period) {
            let (sum, samples) = std::mem::take(&mut self.open);
            let value = (samples > 0).then(|| sum / f64::from(samples));
            let start = Duration::from_secs((second + 1).saturating_sub(period).into());
            self.published.push_back((second + 1 + whole_seconds(self.setting.lag), start, value));
        }
    }

    /// What the policy does at the beginning of a second, with the datapoints visible by then.
    fn follow(&mut self, second: u32) {
        let bounds = self.bounds(second);
        self.resize(second, bounds.clamp(self.desired));
        while let Some(&(visible, start, value)) = self.published.front()
            && visible <= second
        {
            self.published.pop_front();
            let datapoint = value.map(|value| Datapoint { at: start, value, samples: 1 });
            self.high.observe(datapoint);
            self.low.observe(datapoint);
            if let Some(step) = &mut self.step {
                step.observe(datapoint);
            }
            if let Some(metric) = value {
                self.resize(second, self.wanted(second, metric, bounds));
            }
        }
    }

    fn wanted(&self, second: u32, metric: f64, bounds: Bounds) -> u32 {
        let warmed = self.instances.iter().filter(|known| known.warmed <= second).count() as u32;
        let warming = self.instances.len() as u32 - warmed;
        let seen = Seen { metric, warmed, warming, desired: self.desired };
        let (target, steps) = match &self.setting.policy {
            Policy::Tracking { target, .. } => (*target, None),
            Policy::StepsAnd { steps, target, .. } => (*target, Some(steps)),
        };
        let tracking = TargetTracking { target };
        let mut wanted = self.desired;
        if self.high.state() == State::Alarm {
            wanted = wanted.max(tracking.scale_out(seen, bounds));
        }
        if let (Some(steps), Some(State::Alarm)) = (steps, self.step.as_ref().map(Alarm::state)) {
            wanted = wanted.max(steps.wanted(seen, bounds));
        }
        // In only when nothing wants out.
        if wanted == self.desired && self.high.state() != State::Alarm && self.low.state() == State::Alarm {
            wanted = tracking.scale_in(seen, bounds);
        }
        wanted
    }

    fn resize(&mut self, second: u32, wanted: u32) {
        let in_service = second + whole_seconds(self.setting.boot);
        for _ in self.desired..wanted {
            let serving = in_service + whole_seconds(self.setting.health);
            let warmed = in_service + whole_seconds(self.setting.warm_up);
            self.instances.push(Instance::new(in_service, serving, warmed));
        }
        if wanted < self.desired {
            // The oldest leave; those that are still booting are no help to anyone yet and go first.
            let gone = (self.desired - wanted) as usize;
            self.instances.sort_by_key(|known| (known.in_service <= second, known.in_service));
            self.instances.drain(..gone.min(self.instances.len()));
        }
        self.desired = wanted;
    }
}

fn whole_seconds(time: Duration) -> u32 {
    time.as_secs_f64().round() as u32
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::*;

    const SERVICE: Service = Service {
        at_limit: 100.0,
        saturated: 200.0,
        queue: Duration::ZERO,
        metric_per_request: 0.5,
        metric_ceiling: Some(100.0),
    };

    fn setting(target: f64) -> Setting {
        Setting {
            policy: Policy::Tracking { target, low: target * 0.9 },
            bounds: Bounds { min: 2, max: 8 },
            initial: 2,
            period: Duration::from_secs(1),
            into_period: Duration::ZERO,
            out_datapoints: 3,
            in_datapoints: 15,
            lag: Duration::ZERO,
            boot: Duration::from_secs(2),
            health: Duration::from_secs(1),
            warm_up: Duration::from_secs(3),
            scheduled: None,
        }
    }

    /// Calm, a spike of half a minute, calm.
    fn load() -> Vec<f64> {
        [vec![100.0; 10], vec![700.0; 30], vec![100.0; 60]].concat()
    }

    #[test]
    fn a_spike_waits_for_alarm_boot_and_health_and_is_over_its_limit_until_then() {
        let seen = replay(&load(), &SERVICE, &setting(50.0));
        // Breach in second 10, three datapoints, two of boot, one of health: 16.
        assert_eq!((seen.desired[12], seen.desired[13]), (2, 4));
        assert_eq!((seen.serving[15], seen.serving[16]), (2, 4));
        // Seven are what 700 a second need at half of their CPU.
        assert_eq!(seen.serving[25], 7);
        assert!(seen.over_limit > 6 && seen.over_limit < 15, "{seen:?}");
        assert!(seen.unserved > 1_500.0, "{seen:?}");
        // Fifteen calm datapoints later it shrinks, but not below what the load needs.
        assert_eq!(seen.desired[45], 7);
        assert_eq!(*seen.serving.last().unwrap(), 2);
    }

    #[test]
    fn what_helps_shows_and_what_it_costs_shows_too() {
        let current = replay(&load(), &SERVICE, &setting(50.0));
        let ready = Setting { bounds: Bounds { min: 7, max: 8 }, initial: 7, ..setting(50.0) };
        let ready = replay(&load(), &SERVICE, &ready);
        assert_eq!((ready.over_limit, ready.unserved), (0, 0.0));
        assert!(ready.instance_seconds > current.instance_seconds);

        let scheduled =
            Setting { scheduled: Some((Duration::from_secs(5), Duration::from_secs(40), 7)), ..setting(50.0) };
        let scheduled = replay(&load(), &SERVICE, &scheduled);
        assert_eq!(scheduled.over_limit, 0);
        assert!(scheduled.instance_seconds < ready.instance_seconds);

        let steps = StepScaling { threshold: 70.0, steps: vec![Step { lower: Some(0.0), upper: None, change: 5 }] };
        let stepped = Setting { policy: Policy::StepsAnd { steps, target: 50.0, low: 45.0 }, ..setting(50.0) };
        let stepped = replay(&load(), &SERVICE, &stepped);
        assert_eq!((stepped.desired[10], stepped.desired[11]), (2, 7));
        assert!(stepped.over_limit < current.over_limit);
    }

    #[test]
    fn a_lag_and_a_longer_period_only_ever_delay() {
        let quick = replay(&load(), &SERVICE, &setting(50.0));
        let lagging = replay(&load(), &SERVICE, &Setting { lag: Duration::from_secs(4), ..setting(50.0) });
        let first = |seen: &Replayed| seen.desired.iter().position(|desired| *desired > 2).unwrap();
        assert_eq!(first(&lagging), first(&quick) + 4);
        let coarse = Setting { period: Duration::from_secs(10), ..setting(50.0) };
        assert_eq!(first(&replay(&load(), &SERVICE, &coarse)), 40, "three whole periods of ten seconds");
    }

    #[test]
    fn no_load_needs_no_instance_and_none_is_needed_to_serve_none() {
        let idle = Setting { bounds: Bounds { min: 0, max: 2 }, initial: 0, ..setting(50.0) };
        let seen = replay(&[0.0; 5], &SERVICE, &idle);
        assert_eq!((seen.over_limit, seen.instance_seconds), (0, 0.0));
        assert_eq!(replay(&[5.0], &SERVICE, &idle).over_limit, 1);
    }
}
