//! Other policies to replay on the measured load, each with its assumption.

use std::time::Duration;

use super::candidate::Change;
use super::candidates::Current;
use super::{Evidence, settings};
use evidence::Confidence;
use evidence::price::Price;
use model::scaling::Bounds;
use model::scaling::alarm::{AlarmModel, BreachRule};
use model::scaling::policies::Rule;
use model::scaling::replay::{Follows, InstanceLimits, Setting};
use model::scaling::step::{StepRule, StepScaling};
use model::units::{self, Usd};

pub(super) struct Other {
    pub name: String,
    pub change: Change,
    pub setting: Setting,
    pub assumes: Option<Assumption>,
}

/// The assumption of a candidate, where the run does not show it.
#[derive(Debug, Clone, PartialEq)]
pub enum Assumption {
    /// A spike may come at any time of the day.
    SpikeAtAnyTime(Standing),
    /// The time of the spike is known before it comes.
    SpikeKnownBefore,
    /// The CloudWatch agent publishes the CPU at high resolution.
    CpuFromAgent,
    /// The same metric is published at high resolution.
    OwnMetric,
    /// An instance from the warm pool is in service after `boot`.
    PooledStart {
        /// Time from the launch out of the pool until in service.
        boot: Duration,
    },
    /// A real load lasts longer than the alarm's window; the recorded load does not.
    WindowNotSeen {
        /// Datapoints of the alarm times its period.
        window: Duration,
        /// Length of the recorded load.
        recorded: Duration,
    },
    /// The metric is as this run saw it. It lies so close to a threshold that a little more or less
    /// of it makes another result.
    MetricAsSeen {
        /// Share by which the metric was raised and lowered.
        share: f64,
        /// Seconds over the limit in the worst of these replays.
        over_limit: u32,
        /// Requests lost in the worst of these replays.
        errors: u64,
    },
}

impl Assumption {
    /// Returns the highest confidence of an answer that rests on it.
    pub(super) fn confidence(&self) -> Confidence {
        match self {
            Self::MetricAsSeen { .. } => Confidence::Low,
            _ => Confidence::Medium,
        }
    }
}

/// The cost of a higher minimum for a day, with or without a spike. It is an upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Additional instance-hours of one day.
    pub instance_hours: f64,
    /// Cost of those hours; `None` where no price is known.
    pub usd: Option<Usd>,
    /// The minimum of the policy that ran.
    pub before: u32,
}

impl Other {
    fn new(name: String, change: Change, setting: Setting) -> Self {
        Self {
            name,
            change,
            setting,
            assumes: None,
        }
    }

    fn assuming(self, assumes: Assumption) -> Self {
        Self {
            assumes: Some(assumes),
            ..self
        }
    }

    /// Returns the same candidate with a higher maximum.
    fn up_to(self, max: u32) -> Self {
        let name = format!("maximum {max}, {}", self.name);
        let change = Change::Maximum {
            max,
            with: Some(Box::new(self.change)),
        };
        Self {
            name,
            change,
            ..self
        }
    }
}

/// Share of an instance's capacity that a target may use at most. The rest is for load that comes
/// while new instances boot.
pub const ROOM: f64 = 0.7;
/// Divisor of the boot that was seen, for a start from the pool. The real time depends on the
/// image: only a run shows it.
const POOLED: u32 = 4;
/// Time before a spike by which a scheduled action's instances should be ready.
const EARLY: Duration = Duration::from_secs(5);
/// The shortest period that a policy can track.
const HIGH_RESOLUTION: Duration = Duration::from_secs(10);

pub(super) fn all(
    evidence: &Evidence<'_>,
    service: &InstanceLimits,
    current: &Current,
    load: &[f64],
    price: Option<&Price>,
) -> Vec<Other> {
    let Some(lead) = current.lead() else {
        return Vec::new();
    };
    let peak = load.iter().copied().fold(0.0, f64::max);
    let size = Size::of(peak, service, current.setting.bounds);
    let is_service = evidence
        .timeline
        .groups()
        .next()
        .is_some_and(|(_, group)| group.is_service);
    let mut others = targets(service, current, lead);
    others.extend(room(&size, service, current, lead));
    others.extend(step(&size, current, lead));
    others.extend(minimums(&size, current, price));
    others.extend(high_resolution(current, lead, is_service));
    others.extend(warm_up(current, settings::shorter_warm_up(evidence)));
    others.extend(warm_pool(current, is_service));
    others.extend(scheduled(evidence, &size, current));
    others
}

/// Instances that the highest load needs, and the bounds of the group.
struct Size {
    needed: u32,
    /// Instances for the highest load, with the room that a target leaves.
    roomy: u32,
    bounds: Bounds,
}

impl Size {
    fn of(peak: f64, service: &InstanceLimits, bounds: Bounds) -> Self {
        let instances = |each: f64| (peak / each).ceil() as u32;
        Self {
            needed: instances(service.at_limit),
            roomy: instances(service.at_limit * ROOM),
            bounds,
        }
    }

    fn is_beyond_maximum(&self) -> bool {
        self.needed > self.bounds.max
    }

    fn raised(&self) -> Bounds {
        if self.is_beyond_maximum() {
            Bounds {
                max: self.roomy,
                ..self.bounds
            }
        } else {
            self.bounds
        }
    }

    /// Raises the candidate's maximum as far as the load needs, and says so in its name.
    fn fit(&self, other: Other) -> Other {
        let bounds = Bounds {
            max: self.raised().max,
            ..other.setting.bounds
        };
        let other = Other {
            setting: Setting {
                bounds,
                ..other.setting
            },
            ..other
        };
        if self.is_beyond_maximum() {
            other.up_to(self.roomy)
        } else {
            other
        }
    }
}

fn targets(service: &InstanceLimits, current: &Current, lead: &Follows) -> Vec<Other> {
    let tracks = matches!(lead.rule, Rule::Tracking { .. });
    let other = |target: f64| {
        let name = if tracks {
            format!("target {target}")
        } else {
            format!("target tracking at {target}")
        };
        Other::new(name, Change::Target { target }, current.tracking(target))
    };
    values(lead.alarm.threshold, tracks, service, lead)
        .into_iter()
        .map(other)
        .collect()
}

/// Returns targets to try, in whole numbers: lower ones, and the one that leaves an instance enough
/// room. `tracks` is true if the policy that ran tracks a target.
fn values(target: f64, tracks: bool, service: &InstanceLimits, lead: &Follows) -> Vec<f64> {
    let fitting = fitting(service.at_limit, lead.per_request, lead.ceiling);
    let lower = if tracks {
        vec![target * 0.8, target * 0.6]
    } else {
        Vec::new()
    };
    let mut targets: Vec<f64> = lower.into_iter().chain([fitting]).map(f64::round).collect();
    targets.retain(|new| *new >= 1.0 && (!tracks || (*new - target).abs() >= 1.0));
    targets.sort_by(|a, b| b.total_cmp(a));
    targets.dedup();
    targets
}

/// Returns the target that leaves room for load that comes while instances boot.
pub(super) fn fitting(at_limit: f64, per_request: f64, ceiling: Option<f64>) -> f64 {
    let full = at_limit * per_request;
    ceiling.map_or(full, |ceiling| full.min(ceiling)) * ROOM
}

/// Returns candidates with a higher maximum, alone and with lower targets, if the maximum is too
/// small for the load.
fn room(size: &Size, service: &InstanceLimits, current: &Current, lead: &Follows) -> Vec<Other> {
    if !size.is_beyond_maximum() {
        return Vec::new();
    }
    let mut alone = vec![size.needed, size.roomy];
    alone.dedup();
    let alone = alone.into_iter().map(|max| {
        let setting = Setting {
            bounds: Bounds { max, ..size.bounds },
            ..current.setting.clone()
        };
        Other::new(
            format!("maximum {max}"),
            Change::Maximum { max, with: None },
            setting,
        )
    });
    let target = lead.alarm.threshold;
    let is_lower =
        |other: &Other| matches!(other.change, Change::Target { target: new } if new < target);
    let lower = targets(service, current, lead).into_iter().filter(is_lower);
    alone.chain(lower.map(|other| size.fit(other))).collect()
}

fn step(size: &Size, current: &Current, lead: &Follows) -> Option<Other> {
    let setting = &current.setting;
    // With just the instances needed, the queue that grew until they serve would never drain.
    let add = size
        .roomy
        .min(size.raised().max)
        .checked_sub(setting.initial)
        .filter(|add| *add > 0)?;
    let threshold = step_threshold(lead.alarm.threshold, lead.ceiling);
    let steps = vec![StepRule {
        lower: Some(0.0),
        upper: None,
        change: add as i32,
    }];
    let step = Follows {
        rule: Rule::Step(StepScaling::above(threshold, steps)),
        alarm: AlarmModel::new(BreachRule::Above, threshold, 1),
        low: None,
        ..lead.clone()
    };
    let mut with = setting.clone();
    with.policies.push(step);
    let name = format!("step +{add} above {threshold}");
    Some(size.fit(Other::new(name, Change::Step { threshold, add }, with)))
}

/// Returns a threshold half way to the ceiling: ordinary load below it is left to the policy that
/// ran.
pub(super) fn step_threshold(target: f64, ceiling: Option<f64>) -> f64 {
    ceiling.map_or(target * 1.5, |ceiling| f64::midpoint(target, ceiling))
}

fn minimums(size: &Size, current: &Current, price: Option<&Price>) -> Vec<Other> {
    let (setting, needed) = (&current.setting, size.needed.min(size.raised().max));
    let mut minimums = vec![needed.div_ceil(2), needed];
    minimums.dedup();
    minimums.retain(|min| *min > setting.bounds.min);
    let other = |min: u32| {
        let bounds = Bounds {
            min,
            ..setting.bounds
        };
        let with = Setting {
            bounds,
            initial: setting.initial.max(min),
            ..setting.clone()
        };
        let change = Change::Minimum { min };
        let assumes = all_day(min, size.bounds.min, price);
        let other = Other {
            assumes,
            ..Other::new(format!("minimum {min}"), change, with)
        };
        if min > size.bounds.max {
            size.fit(other)
        } else {
            other
        }
    };
    minimums.into_iter().map(other).collect()
}

/// Returns the assumption of a higher minimum.
pub(super) fn all_day(min: u32, before: u32, price: Option<&Price>) -> Option<Assumption> {
    (min > before).then(|| Assumption::SpikeAtAnyTime(standing(min, before, price)))
}

/// Returns the cost of a higher minimum, with or without a spike. It is an upper bound: on a real
/// day the policy may keep some of these instances anyhow.
pub(super) fn standing(min: u32, before: u32, price: Option<&Price>) -> Standing {
    let instance_hours = f64::from(min.saturating_sub(before)) * 24.0;
    Standing {
        instance_hours,
        usd: price.map(|price| Usd(price.usd * instance_hours)),
        before,
    }
}

/// Returns a candidate that follows a high-resolution metric. CloudWatch's own metrics of EC2 and
/// load balancers have periods of at least a minute; only a custom metric comes more often.
fn high_resolution(current: &Current, lead: &Follows, is_service: bool) -> Option<Other> {
    let tracks = matches!(lead.rule, Rule::Tracking { .. });
    if lead.period < Duration::from_mins(1) || is_service || !tracks {
        return None;
    }
    let assumes = match (current.namespace.as_str(), current.metric.as_str()) {
        ("AWS/EC2", "CPUUtilization") => Assumption::CpuFromAgent,
        (namespace, _) if namespace.starts_with("AWS/") => return None,
        _ => Assumption::OwnMetric,
    };
    let period = HIGH_RESOLUTION;
    let mut with = current.setting.clone();
    with.into_period = Duration::ZERO;
    with.policies.get_mut(current.lead)?.period = period;
    Some(
        Other::new(
            "10-second metric".to_owned(),
            Change::Period { period },
            with,
        )
        .assuming(assumes),
    )
}

/// Returns a candidate with a shorter warm-up, if one fits and if any policy heeds it: simple
/// scaling does not.
fn warm_up(current: &Current, fitting: Option<Duration>) -> Option<Other> {
    let setting = &current.setting;
    let warm_up = fitting.filter(|fitting| *fitting < setting.warm_up)?;
    let heeds = |follows: &Follows| !matches!(follows.rule, Rule::Simple { .. });
    setting.policies.iter().any(heeds).then(|| {
        let with = Setting {
            warm_up,
            ..setting.clone()
        };
        let name = format!("warm-up {}", units::duration(warm_up));
        Other::new(name, Change::WarmUp { warm_up }, with)
    })
}

fn warm_pool(current: &Current, is_service: bool) -> Option<Other> {
    let setting = &current.setting;
    if setting.boot <= Duration::from_secs(1) || is_service {
        return None;
    }
    let boot = setting.boot / POOLED;
    let assumes = Assumption::PooledStart { boot };
    let with = Setting {
        boot,
        ..setting.clone()
    };
    Some(Other::new("warm pool".to_owned(), Change::WarmPool { boot }, with).assuming(assumes))
}

fn scheduled(evidence: &Evidence<'_>, size: &Size, current: &Current) -> Option<Other> {
    let setting = &current.setting;
    let min = size.needed.min(size.raised().max);
    let (from, until) = evidence.spike.filter(|_| min > setting.bounds.min)?;
    let ready = setting.launch + setting.boot + setting.health + EARLY;
    let (spike, until) = (
        Duration::from_secs(from.into()),
        Duration::from_secs(until.into()),
    );
    let from = spike.saturating_sub(ready);
    // If the spike comes too early for the action, the group starts the load at the raised minimum.
    let initial = if spike < ready {
        setting.initial.max(min)
    } else {
        setting.initial
    };
    let with = Setting {
        scheduled: Some((from, until, min)),
        initial,
        ..setting.clone()
    };
    let change = Change::Scheduled { from, until, min };
    let other = Other::new(format!("{min} scheduled for the spike"), change, with)
        .assuming(Assumption::SpikeKnownBefore);
    Some(size.fit(other))
}

#[cfg(test)]
mod tests {
    use super::super::tests::evidence;
    use super::super::{Reaction, Timeline};
    use super::*;
    use model::scaling::replay::replay;
    use model::scaling::step::{AdjustmentType, SimpleScaling};
    use model::scaling::target_tracking::TargetTracking;

    const SERVICE: InstanceLimits = InstanceLimits {
        at_limit: 100.0,
        saturated: 100.0,
        queue: Duration::ZERO,
    };

    fn current(namespace: &str, metric: &str) -> Current {
        let tracking = TargetTracking::new(50.0);
        let follows = Follows {
            rule: Rule::Tracking {
                tracking,
                scale_in: true,
            },
            per_request: 0.5,
            ceiling: Some(100.0),
            per_target: false,
            period: Duration::from_mins(1),
            lag: Duration::ZERO,
            alarm: AlarmModel::new(BreachRule::Above, 50.0, 3),
            low: None,
            cooldowns: None,
        };
        let setting = Setting {
            policies: vec![follows],
            bounds: Bounds { min: 2, max: 8 },
            initial: 2,
            into_period: Duration::ZERO,
            launch: Duration::ZERO,
            boot: Duration::from_secs(30),
            health: Duration::ZERO,
            warm_up: Duration::ZERO,
            drain: Duration::ZERO,
            scheduled: None,
        };
        Current {
            setting,
            lead: 0,
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
        }
    }

    #[test]
    fn what_aws_publishes_every_minute_is_not_offered_every_ten_seconds() {
        for (namespace, metric, wanted) in [
            ("AWS/EC2", "CPUUtilization", Some(Assumption::CpuFromAgent)),
            ("AWS/EC2", "NetworkIn", None),
            ("AWS/ApplicationELB", "RequestCountPerTarget", None),
            ("shop", "queue", Some(Assumption::OwnMetric)),
        ] {
            let current = current(namespace, metric);
            let other = high_resolution(&current, current.lead().unwrap(), false);
            let assumes = other.map(|other| other.assumes.unwrap());
            assert_eq!(assumes, wanted, "{namespace} {metric}");
        }
    }

    #[test]
    fn the_size_that_a_load_needs_may_be_beyond_the_maximum() {
        let size = |peak: f64| Size::of(peak, &SERVICE, Bounds { min: 2, max: 3 });
        assert!(!size(300.0).is_beyond_maximum());
        let beyond = size(400.0);
        assert_eq!(
            (beyond.needed, beyond.roomy, beyond.raised()),
            (4, 6, Bounds { min: 2, max: 6 })
        );
    }

    #[test]
    fn instances_scheduled_for_a_spike_are_there_however_early_it_comes() {
        let (timeline, seconds, reaction) = (Timeline::default(), Vec::new(), Reaction::default());
        let size = Size::of(600.0, &SERVICE, Bounds { min: 2, max: 8 });
        let current = current("AWS/EC2", "CPUUtilization");
        let row = |from: u32| {
            let evidence = Evidence {
                spike: Some((from, from + 30)),
                ..evidence(&timeline, &seconds, &reaction)
            };
            scheduled(&evidence, &size, &current).unwrap()
        };
        for (from, initial) in [(100, 2), (35, 2), (34, 6), (0, 6)] {
            let setting = row(from).setting;
            assert_eq!(setting.initial, initial, "a spike at {from} s");
            let mut load = vec![0.0; from as usize];
            load.extend([600.0; 30]);
            assert_eq!(
                replay(&load, &SERVICE, &setting).over_limit,
                0,
                "a spike at {from} s"
            );
        }
    }

    #[test]
    fn a_shorter_warm_up_is_a_row_where_a_policy_heeds_it() {
        let mut current = current("AWS/EC2", "CPUUtilization");
        current.setting.warm_up = Duration::from_mins(5);
        let fitting = Duration::from_secs(62);
        let row = warm_up(&current, Some(fitting)).unwrap();
        assert_eq!(
            (row.name.as_str(), row.setting.warm_up),
            ("warm-up 1m2s", fitting)
        );
        assert_eq!(row.change, Change::WarmUp { warm_up: fitting });
        assert_eq!(row.assumes, None);
        for unfit in [None, Some(Duration::from_mins(5))] {
            assert!(warm_up(&current, unfit).is_none(), "{unfit:?}");
        }
        current.setting.policies[0].rule = Rule::Simple {
            scaling: SimpleScaling {
                adjustment: AdjustmentType::Change,
                change: 1,
                least: 0,
            },
            cooldown: Duration::ZERO,
        };
        assert!(warm_up(&current, Some(fitting)).is_none());
    }

    #[test]
    fn a_higher_minimum_is_paid_for_all_day() {
        let price = Price {
            usd: 0.0416,
            source: evidence::price::PriceSource::Option,
        };
        let found = standing(4, 2, Some(&price));
        assert_eq!((found.instance_hours, found.before), (48.0, 2));
        assert!((found.usd.unwrap().0 - 48.0 * 0.0416).abs() < 1e-9);
        assert_eq!(standing(4, 2, None).usd, None);
    }
}
