//! Other policies against the load that was measured, and which of them to take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::chain;
use super::{Advice, Agreement, Evidence, Ran, RanPolicy};
use crate::measure::timeline;
use crate::scaling::Bounds;
use crate::scaling::alarm::{Alarm, Comparison, Missing};
use crate::scaling::policies::Rule;
use crate::scaling::replay::{Follows, Replayed, Service, Setting, replay};
use crate::scaling::step::{Step, StepScaling};
use crate::scaling::target_tracking::TargetTracking;
use crate::units;

/// What is changed of the policy that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Change {
    Nothing,
    Target {
        target: f64,
    },
    /// A step policy that fires on one datapoint, beside the policy that is there.
    Step {
        threshold: f64,
        add: u32,
    },
    Minimum {
        min: u32,
    },
    Period {
        period: Duration,
    },
    WarmPool {
        boot: Duration,
    },
    /// From and until, counted from the start of the load.
    Scheduled {
        from: Duration,
        until: Duration,
        min: u32,
    },
    WhatIf,
}

/// A policy with what it would have done, predicted by replaying the load that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub name: String,
    pub change: Change,
    /// Seconds in which p95 would have been over its limit.
    pub over_limit: u32,
    /// Requests that could not have been carried.
    pub errors: u64,
    pub instance_minutes: f64,
    pub usd: Option<f64>,
    pub most_instances: u32,
    pub recommended: bool,
    /// What had to be assumed, because the run does not show it.
    pub assumes: Option<String>,
}

/// One's own candidate: what it changes of the policy that ran.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WhatIf {
    pub target: Option<f64>,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub warm_up: Option<Duration>,
    pub period: Option<Duration>,
    pub datapoints: Option<usize>,
}

impl WhatIf {
    /// `target=50,min=4`: names and values as `--what-if` takes them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut what_if = Self::default();
        for part in text.split(',') {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("`{part}` is not NAME=VALUE, such as target=50"))?;
            let (name, value) = (name.trim(), value.trim());
            let count = || value.parse::<u32>().map_err(|_| format!("{name}: `{value}` is not a whole number"));
            let time = || units::parse_duration(value).map_err(|why| format!("{name}: {why}"));
            match name {
                "target" => {
                    let target = value.parse().ok().filter(|target: &f64| target.is_finite() && *target > 0.0);
                    what_if.target = Some(target.ok_or_else(|| format!("target: `{value}` is not a number above 0"))?);
                }
                "min" => what_if.min = Some(count()?),
                "max" => what_if.max = Some(count()?),
                "warm-up" => what_if.warm_up = Some(time()?),
                "period" => what_if.period = Some(time()?).filter(|period| period.as_secs() > 0),
                "datapoints" => what_if.datapoints = Some(count()?.max(1) as usize),
                _ => {
                    return Err(format!("`{name}` is none of target, min, max, warm-up, period, datapoints"));
                }
            }
        }
        if let (Some(min), Some(max)) = (what_if.min, what_if.max)
            && min > max
        {
            return Err(format!("min={min} is more than max={max}"));
        }
        Ok(what_if)
    }

    fn applied_to(&self, current: &Current) -> Setting {
        let mut setting = match self.target {
            Some(target) => current.tracking(target),
            None => current.setting.clone(),
        };
        let Bounds { min, max } = setting.bounds;
        let max = self.max.unwrap_or(max);
        setting.bounds = Bounds { min: self.min.unwrap_or(min).min(max), max };
        setting.initial = setting.bounds.clamp(setting.initial);
        setting.warm_up = self.warm_up.unwrap_or(setting.warm_up);
        for follows in &mut setting.policies {
            follows.period = self.period.unwrap_or(follows.period);
        }
        let lead = current.lead.min(setting.policies.len().saturating_sub(1));
        if let (Some(count), Some(follows)) = (self.datapoints, setting.policies.get_mut(lead)) {
            (follows.alarm.datapoints, follows.alarm.window) = (count, count);
        }
        setting
    }

    fn words(&self) -> String {
        let parts = [
            self.target.map(|target| format!("target {target}")),
            self.min.map(|min| format!("min {min}")),
            self.max.map(|max| format!("max {max}")),
            self.warm_up.map(|time| format!("warm-up {}", units::duration(time))),
            self.period.map(|time| format!("period {}", units::duration(time))),
            self.datapoints.map(|count| format!("{count} datapoints")),
        ];
        format!("what if: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

pub struct Tried {
    pub candidates: Vec<Candidate>,
    pub agreement: Agreement,
}

/// A target leaves room for what comes while instances boot: at most this share of what an instance carries.
const ROOM: f64 = 0.7;
/// Of the boot that was seen. What a start from the pool takes depends on the image: only a run shows it.
const POOLED: u32 = 4;
/// How long before a spike a scheduled action should have its instances ready, beyond their start.
const EARLY: Duration = Duration::from_secs(5);
/// Candidates that differ by no more than this share of the spike are equally good: the cheaper one is taken.
const AS_GOOD: f64 = 0.05;

/// The policies that ran, as the replay takes them.
struct Current {
    setting: Setting,
    /// Which of them answers a rising load.
    lead: usize,
}

impl Current {
    fn lead(&self) -> Option<&Follows> {
        self.setting.policies.get(self.lead)
    }

    /// With another target; where no policy tracks one, with target tracking in place of all.
    fn tracking(&self, target: f64) -> Setting {
        let mut setting = self.setting.clone();
        let Some(lead) = setting.policies.get_mut(self.lead) else { return setting };
        if let Rule::Tracking { tracking, .. } = &mut lead.rule {
            // AWS makes the alarms anew with the target: the low one in the same proportion as it had.
            *tracking = tracking.with_target(target);
            lead.alarm.threshold = target;
            if let Some(low) = &mut lead.low {
                low.threshold = tracking.low;
            }
            return setting;
        }
        let tracking = TargetTracking::new(target);
        let new = Follows {
            rule: Rule::Tracking { tracking, scale_in: true },
            alarm: Alarm::new(Comparison::Above, target, OUT_DATAPOINTS),
            low: Some(Alarm::new(Comparison::Below, tracking.low, IN_DATAPOINTS)),
            ..lead.clone()
        };
        setting.policies = vec![new];
        setting
    }
}

/// What AWS gives the alarms of a new target-tracking policy, before it tunes them.
const OUT_DATAPOINTS: usize = 3;
const IN_DATAPOINTS: usize = 15;

pub fn tried(
    evidence: &Evidence<'_>,
    ran: &Ran<'_>,
    serving: &[u32],
    advice: &Advice,
    what_if: Option<&WhatIf>,
) -> Result<Tried, String> {
    let capacity =
        advice.capacity.as_ref().ok_or("no second held the limit: what one instance carries is not known")?;
    let service = Service {
        at_limit: capacity.at_limit,
        saturated: capacity.saturated.unwrap_or(capacity.at_limit),
        queue: capacity.queue,
    };
    let current = current(evidence, ran, serving)?;
    let load: Vec<f64> = evidence.seconds.iter().map(|second| second.demand).collect();
    let as_it_ran = replay(&load, &service, &current.setting);
    let mut candidates = vec![candidate("as it is", Change::Nothing, &as_it_ran, evidence, None)];
    for (name, change, setting, assumes) in others(evidence, &service, &current, &load) {
        let replayed = replay(&load, &service, &setting);
        candidates.push(candidate(&name, change, &replayed, evidence, assumes));
    }
    recommend(&mut candidates, evidence.seconds.len());
    if let Some(what_if) = what_if {
        let replayed = replay(&load, &service, &what_if.applied_to(&current));
        candidates.push(candidate(&what_if.words(), Change::WhatIf, &replayed, evidence, None));
    }
    let seen = chain::desired(evidence.timeline, evidence.started, load.len());
    // Within one instance, at most a period (or a look, where that is longer) apart.
    let lead = current.lead().map_or(chain::POLLED, |lead| lead.period.max(chain::POLLED));
    let apart = lead.as_secs() as usize;
    let model = &as_it_ran.desired;
    let agrees = |(second, seen): &(usize, &u32)| {
        let near = &model[second.saturating_sub(apart)..model.len().min(second + apart + 1)];
        near.iter().any(|model| model.abs_diff(**seen) <= 1)
    };
    let within_one = seen.iter().enumerate().filter(agrees).count() as u32;
    Ok(Tried { candidates, agreement: Agreement { within_one, seconds: load.len() as u32 } })
}

/// Timings from the run, rules from the live alarms.
fn current(evidence: &Evidence<'_>, ran: &Ran<'_>, serving: &[u32]) -> Result<Current, String> {
    let (_, group) = evidence.timeline.groups().next().ok_or("the group was never seen")?;
    let launched = chain::launched(evidence.timeline, evidence.started);
    let boot = median(launched.iter().filter_map(chain::Launched::boot).collect())
        .ok_or("no new instance came into service: a run in which the group grows would show how long one takes")?;
    let health = median(launched.iter().filter_map(chain::Launched::health).collect()).unwrap_or_default();
    let lead = ran.lead().ok_or("no policy answers a rising load")?;
    // Where the policy has none of its own, the group's; where that has none, the cooldown.
    let warm_up = lead.policy.warm_up.or(group.default_warm_up).unwrap_or(group.default_cooldown);
    let lag = lag(evidence, lead.alarm.window());
    let mut policies = Vec::with_capacity(ran.policies.len());
    for one in &ran.policies {
        let metric = one.metric(evidence, serving).ok_or_else(|| {
            format!("{} could not be laid beside the load: no datapoint below its ceiling", one.policy.name)
        })?;
        policies.push(follows(one, &metric, lag)?);
    }
    let period = lead.alarm.period.max(Duration::from_secs(1));
    let setting = Setting {
        policies,
        bounds: Bounds { min: group.min, max: group.max },
        initial: evidence.reaction.desired_before,
        into_period: Duration::from_secs(evidence.started.as_second().rem_euclid(period.as_secs() as i64) as u64),
        boot,
        health,
        warm_up,
        scheduled: None,
    };
    let lead = ran.policies.iter().position(|one| std::ptr::eq(one, lead)).unwrap_or(0);
    Ok(Current { setting, lead })
}

fn follows(ran: &RanPolicy<'_>, metric: &super::Metric, lag: Duration) -> Result<Follows, String> {
    let unknown = || format!("the alarms of policy {} could not be read", ran.policy.name);
    Ok(Follows {
        rule: ran.rule.clone(),
        per_request: metric.per_request,
        ceiling: metric.ceiling,
        per_target: ran.alarm.namespace.as_deref() == Some("AWS/ApplicationELB"),
        period: ran.alarm.period.max(Duration::from_secs(1)),
        lag,
        alarm: alarm(ran.alarm).ok_or_else(unknown)?,
        low: ran.low.map(|low| alarm(low).ok_or_else(unknown)).transpose()?,
    })
}

/// A live alarm as the model has it.
fn alarm(live: &timeline::Alarm) -> Option<Alarm> {
    let comparison = Comparison::of_operator(&live.comparison)?;
    let model = Alarm::new(comparison, live.threshold?, live.datapoints() as usize);
    Some(model.of(live.evaluation_periods as usize, Missing::of_word(&live.missing)))
}

/// What passed between the last datapoint the alarm needed and the launch.
fn lag(evidence: &Evidence<'_>, window: Duration) -> Duration {
    let at = |name: &str| evidence.reaction.out.iter().find(|moment| moment.name == name).map(|moment| moment.at);
    match (at("breach"), at("launch began")) {
        (Some(breach), Some(launch)) => chain::between(breach, launch).saturating_sub(window),
        _ => Duration::ZERO,
    }
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

type Other = (String, Change, Setting, Option<String>);

fn others(evidence: &Evidence<'_>, service: &Service, current: &Current, load: &[f64]) -> Vec<Other> {
    let mut others: Vec<Other> = Vec::new();
    let (setting, Some(lead)) = (&current.setting, current.lead()) else { return others };
    let is_service = evidence.timeline.groups().next().is_some_and(|(_, group)| group.is_service);
    let needed = needed(load, service, setting.bounds.max);
    let tracks = matches!(lead.rule, Rule::Tracking { .. });
    let target = lead.alarm.threshold;
    for new in targets(target, tracks, service, lead) {
        let name = if tracks { format!("target {new}") } else { format!("target tracking at {new}") };
        others.push((name, Change::Target { target: new }, current.tracking(new), None));
    }
    if let Some(add) = needed.checked_sub(setting.initial).filter(|add| *add > 0) {
        // Half way to the ceiling: what an ordinary day reaches belongs to the policy that is there.
        let threshold = lead.ceiling.map_or(target * 1.5, |ceiling| (target + ceiling) / 2.0);
        let steps = vec![Step { lower: Some(0.0), upper: None, change: add as i32 }];
        let step = Follows {
            rule: Rule::Step(StepScaling::above(threshold, steps)),
            alarm: Alarm::new(Comparison::Above, threshold, 1),
            low: None,
            ..lead.clone()
        };
        let mut with = setting.clone();
        with.policies.push(step);
        others.push((format!("step +{add} above {threshold}"), Change::Step { threshold, add }, with, None));
    }
    let mut minimums = vec![needed.div_ceil(2), needed];
    minimums.dedup();
    for min in minimums.into_iter().filter(|min| *min > setting.bounds.min) {
        let with =
            Setting { bounds: Bounds { min, ..setting.bounds }, initial: setting.initial.max(min), ..setting.clone() };
        others.push((format!("minimum {min}"), Change::Minimum { min }, with, None));
    }
    if lead.period >= Duration::from_secs(60) && !is_service {
        let period = Duration::from_secs(10);
        let mut with = setting.clone();
        with.into_period = Duration::ZERO;
        with.policies.iter_mut().for_each(|follows| follows.period = period);
        let assumes = "the same metric is published every ten seconds".to_owned();
        others.push(("10-second metric".to_owned(), Change::Period { period }, with, Some(assumes)));
    }
    if setting.boot > Duration::from_secs(1) && !is_service {
        let boot = setting.boot / POOLED;
        let with = Setting { boot, ..setting.clone() };
        let assumes = format!("an instance is in service {} after it is taken from the pool", units::duration(boot));
        others.push(("warm pool".to_owned(), Change::WarmPool { boot }, with, Some(assumes)));
    }
    if let Some((from, until)) = evidence.spike.filter(|_| needed > setting.bounds.min) {
        let ready = setting.boot + setting.health + EARLY;
        let from = Duration::from_secs(from.into()).saturating_sub(ready);
        let until = Duration::from_secs(until.into());
        let with = Setting { scheduled: Some((from, until, needed)), ..setting.clone() };
        let change = Change::Scheduled { from, until, min: needed };
        let assumes = "the spike's time is known before".to_owned();
        others.push((format!("{needed} scheduled for the spike"), change, with, Some(assumes)));
    }
    others
}

/// Instances that carry the highest load within the limit.
fn needed(load: &[f64], service: &Service, max: u32) -> u32 {
    let peak = load.iter().copied().fold(0.0, f64::max);
    ((peak / service.at_limit).ceil() as u32).min(max)
}

/// Lower targets, and the one that leaves an instance the room it needs; whole numbers. `tracks`: there is a target now.
fn targets(target: f64, tracks: bool, service: &Service, lead: &Follows) -> Vec<f64> {
    let at_limit = service.at_limit * lead.per_request;
    let fitting = lead.ceiling.map_or(at_limit, |ceiling| at_limit.min(ceiling)) * ROOM;
    let lower = if tracks { vec![target * 0.8, target * 0.6] } else { Vec::new() };
    let mut targets: Vec<f64> = lower.into_iter().chain([fitting]).map(f64::round).collect();
    targets.retain(|new| *new >= 1.0 && (!tracks || (*new - target).abs() >= 1.0));
    targets.sort_by(|a, b| b.total_cmp(a));
    targets.dedup();
    targets
}

fn candidate(
    name: &str,
    change: Change,
    replayed: &Replayed,
    evidence: &Evidence<'_>,
    assumes: Option<String>,
) -> Candidate {
    let instance_minutes = replayed.instance_seconds / 60.0;
    Candidate {
        name: name.to_owned(),
        change,
        over_limit: replayed.over_limit,
        errors: replayed.unserved.round() as u64,
        instance_minutes,
        usd: evidence.instance_price.map(|price| price * instance_minutes / 60.0),
        most_instances: replayed.serving.iter().copied().max().unwrap_or(0),
        recommended: false,
        assumes,
    }
}

/// The least time over the limit; of those as good, the cheapest. What assumes something that the run does not show is
/// recommended only where nothing else helps.
fn recommend(candidates: &mut [Candidate], seconds: usize) {
    let Some(now) = candidates.first().map(|candidate| candidate.over_limit) else { return };
    let as_good = (seconds as f64 * AS_GOOD) as u32;
    let pick = |assuming: bool| {
        let able = || candidates.iter().enumerate().filter(|(_, candidate)| assuming || candidate.assumes.is_none());
        let best = able().map(|(_, candidate)| candidate.over_limit).min()?;
        able()
            .filter(|(_, candidate)| candidate.over_limit <= best + as_good)
            .min_by(|(_, a), (_, b)| a.instance_minutes.total_cmp(&b.instance_minutes))
            .map(|(index, candidate)| (index, candidate.over_limit))
    };
    let sure = pick(false);
    let helps = |picked: &(usize, u32)| picked.1 + as_good < now || now <= as_good;
    let picked = sure.filter(helps).or_else(|| pick(true)).or(sure);
    if let Some(candidate) = picked.and_then(|(index, _)| candidates.get_mut(index)) {
        candidate.recommended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, over_limit: u32, instance_minutes: f64, assumes: bool) -> Candidate {
        Candidate {
            name: name.to_owned(),
            change: Change::Nothing,
            over_limit,
            errors: 0,
            instance_minutes,
            usd: None,
            most_instances: 4,
            recommended: false,
            assumes: assumes.then(|| "something".to_owned()),
        }
    }

    fn recommended(mut rows: Vec<Candidate>) -> String {
        recommend(&mut rows, 100);
        rows.into_iter().find(|row| row.recommended).unwrap().name
    }

    #[test]
    fn the_cheapest_of_those_that_help_as_much_is_recommended() {
        let rows = || vec![row("now", 20, 10.0, false), row("lower", 2, 14.0, false), row("minimum", 0, 30.0, false)];
        assert_eq!(recommended(rows()), "lower");
        let mut scheduled = rows();
        scheduled.push(row("scheduled", 0, 11.0, true));
        assert_eq!(recommended(scheduled), "lower", "nobody knows when the next spike comes");
        assert_eq!(
            recommended(vec![row("now", 20, 10.0, false), row("lower", 18, 14.0, false), row("pool", 3, 9.0, true)]),
            "pool",
            "only an assumption helps"
        );
        assert_eq!(recommended(vec![row("now", 0, 10.0, false), row("higher", 1, 8.0, false)]), "higher");
    }

    #[test]
    fn what_if_is_read_or_says_what_is_wrong() {
        let what_if = WhatIf::parse("target=35, min=3,warm-up=20s,period=10s,datapoints=2").unwrap();
        assert_eq!((what_if.target, what_if.min, what_if.datapoints), (Some(35.0), Some(3), Some(2)));
        assert_eq!(what_if.words(), "what if: target 35, min 3, warm-up 20s, period 10s, 2 datapoints");
        for (text, hint) in [
            ("target", "NAME=VALUE"),
            ("target=fast", "number above 0"),
            ("targets=5", "none of target"),
            ("min=5,max=2", "more than"),
            ("warm-up=5", "unit"),
        ] {
            let why = WhatIf::parse(text).unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
    }
}
