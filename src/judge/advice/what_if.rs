//! The user's own candidate: the changes of `--what-if` to the policy that ran, or the error in
//! them.

use std::time::Duration;

use super::candidates::Current;
use evidence::Timeline;
use model::scaling::Bounds;
use model::scaling::replay::Setting;
use model::scenario::parse_rate;
use model::units::{self, DurationError};

/// Changes to the policy that ran, as `--what-if` gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WhatIf {
    /// Target value of target tracking, in the metric's unit.
    pub target: Option<f64>,
    /// Minimum size of the group.
    pub min: Option<u32>,
    /// Maximum size of the group.
    pub max: Option<u32>,
    /// Instance warm-up, at most an hour.
    pub warm_up: Option<Duration>,
    /// Period of the alarms of each policy.
    pub period: Option<Duration>,
    /// Datapoints to alarm, which are also the evaluation periods.
    pub datapoints: Option<usize>,
    /// Another load, in place of the recorded one.
    pub load: Option<OtherLoad>,
    /// Number of instances; the answer is the time until they serve.
    pub instances: Option<u32>,
}

/// A load in place of the recorded one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OtherLoad {
    /// The recorded load, multiplied by this.
    Times(f64),
    /// The recorded load, multiplied so that its highest second asks for this many requests.
    Highest(f64),
}

impl OtherLoad {
    /// Returns the factor for a recorded load with this highest second.
    pub(super) fn times(self, peak: f64) -> f64 {
        match self {
            Self::Times(times) => times,
            Self::Highest(requests) if peak > 0.0 => requests / peak,
            Self::Highest(_) => 1.0,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Times(times) => format!("load {times}x"),
            Self::Highest(requests) => format!("load {requests}/s"),
        }
    }
}

/// The reason why `--what-if` cannot be read, or does not fit the group that was watched.
#[derive(Debug, Clone, PartialEq)]
pub enum WhatIfError {
    /// A part has no `=`.
    NotNameAndValue {
        /// The part as it was given.
        part: String,
    },
    /// A name occurs twice.
    GivenTwice {
        /// The name as it was given.
        name: String,
    },
    /// A name is none of those that `--what-if` takes.
    UnknownName {
        /// The name as it was given.
        name: String,
    },
    /// Both bounds are given, and the minimum is the larger one.
    MinAboveMax {
        /// The minimum that was given.
        min: u32,
        /// The maximum that was given.
        max: u32,
    },
    /// The alarms would look back further than AWS allows.
    WindowTooLong {
        /// Datapoints times period, which is more than 24 hours.
        window: Duration,
    },
    /// Only a minimum is given, and the group's maximum is smaller.
    MinAboveMaximum {
        /// The minimum that was given.
        min: u32,
        /// Maximum of the group.
        maximum: u32,
        /// Name of the group.
        group: String,
    },
    /// Only a maximum is given, and the group's minimum is larger.
    MaxBelowMinimum {
        /// The maximum that was given.
        max: u32,
        /// Minimum of the group.
        minimum: u32,
        /// Name of the group.
        group: String,
    },
    /// Both are given, and so many instances are more than the maximum.
    InstancesAboveMax {
        /// The number of instances that was given.
        instances: u32,
        /// The maximum that was given.
        max: u32,
    },
    /// The number of instances is more than the group's maximum, and no maximum is given.
    InstancesAboveMaximum {
        /// The number of instances that was given.
        instances: u32,
        /// Maximum of the group.
        maximum: u32,
        /// Name of the group.
        group: String,
    },
    /// The load is neither a factor nor a rate.
    NotALoad {
        /// The text that was given.
        value: String,
    },
    /// The load is zero, or beyond the largest factor or rate.
    LoadOutOfRange {
        /// The text that was given.
        value: String,
        /// The largest factor that is accepted.
        times: f64,
        /// The largest rate that is accepted, in requests per second.
        rate: f64,
    },
    /// No metric is tracked in periods of this length.
    UnusualPeriod {
        /// The period that was given.
        period: Duration,
    },
    /// The target is not a number above 0.
    NotATarget {
        /// The text that was given.
        value: String,
    },
    /// The target is larger than any metric.
    TargetTooHigh {
        /// The text that was given.
        value: String,
        /// The highest target that is accepted.
        most: f64,
    },
    /// A count is not a whole number.
    NotACount {
        /// `min`, `max`, `datapoints` or `instances`.
        name: &'static str,
        /// The text that was given.
        value: String,
    },
    /// A count is out of its range.
    CountOutOfRange {
        /// `min`, `max`, `datapoints` or `instances`.
        name: &'static str,
        /// The count that was given.
        count: u32,
        /// The smallest count that is accepted.
        least: u32,
        /// The largest count that is accepted.
        most: u32,
    },
    /// A duration cannot be read.
    NotADuration {
        /// `warm-up` or `period`.
        name: &'static str,
        /// The parser's error.
        why: DurationError,
    },
    /// The warm-up is longer than an hour, the most that AWS allows.
    WarmUpTooLong {
        /// The text that was given.
        value: String,
    },
    /// The period is zero, or not a whole number of seconds.
    PeriodNotWhole {
        /// The text that was given.
        value: String,
    },
}

/// Largest count that is accepted. AWS runs no larger groups, and the model holds every instance in
/// memory.
const MOST: u32 = 10_000;
/// Highest target that is accepted. The largest metrics that are tracked are bytes a minute.
const HIGHEST_TARGET: f64 = 1e12;
/// Largest factor of a load. More says nothing about the group that ran.
const MOST_TIMES: f64 = 1_000.0;
/// Largest rate of a load, in requests per second: beyond those of all groups of AWS's size.
const HIGHEST_RATE: f64 = 1e8;
/// Longest warm-up that AWS accepts.
const LONGEST_WARM_UP: Duration = Duration::from_hours(1);
/// Longest window of an alarm, datapoints times period, that AWS accepts.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);

impl WhatIf {
    /// Parses names and values as `--what-if` takes them, for example `target=50,min=4`.
    pub fn parse(text: &str) -> Result<Self, WhatIfError> {
        let mut what_if = Self::default();
        let mut names: Vec<&str> = Vec::new();
        for part in text.split(',') {
            let (name, value) =
                part.split_once('=')
                    .ok_or_else(|| WhatIfError::NotNameAndValue {
                        part: part.to_owned(),
                    })?;
            let (name, value) = (name.trim(), value.trim());
            if names.contains(&name) {
                let name = name.to_owned();
                return Err(WhatIfError::GivenTwice { name });
            }
            names.push(name);
            what_if.set(name, value)?;
        }
        what_if.whole()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), WhatIfError> {
        match name {
            "target" => self.target = Some(target(value)?),
            "min" => self.min = Some(count("min", value, 0)?),
            "max" => self.max = Some(count("max", value, 1)?),
            "warm-up" => self.warm_up = Some(warm_up(value)?),
            "period" => self.period = Some(period(value)?),
            "datapoints" => self.datapoints = Some(count("datapoints", value, 1)? as usize),
            "load" => self.load = Some(load(value)?),
            "instances" => self.instances = Some(count("instances", value, 1)?),
            _ => {
                let name = name.to_owned();
                return Err(WhatIfError::UnknownName { name });
            }
        }
        Ok(())
    }

    /// Checks the parts against each other.
    fn whole(self) -> Result<Self, WhatIfError> {
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(WhatIfError::MinAboveMax { min, max });
        }
        if let (Some(instances), Some(max)) = (self.instances, self.max)
            && instances > max
        {
            return Err(WhatIfError::InstancesAboveMax { instances, max });
        }
        let window = self.period.unwrap_or(MINUTE) * self.datapoints.unwrap_or(1) as u32;
        if window > LONGEST_WINDOW {
            return Err(WhatIfError::WindowTooLong { window });
        }
        Ok(self)
    }

    /// Checks the changes against the group that was watched.
    pub fn fits(&self, timeline: &Timeline) -> Result<(), WhatIfError> {
        if let Some((_, group)) = timeline.groups().next() {
            let (min, max) = (group.min, group.max);
            match (self.min, self.max) {
                (Some(own), None) if own > max => {
                    return Err(WhatIfError::MinAboveMaximum {
                        min: own,
                        maximum: max,
                        group: group.name.clone(),
                    });
                }
                (None, Some(own)) if own < min => {
                    return Err(WhatIfError::MaxBelowMinimum {
                        max: own,
                        minimum: min,
                        group: group.name.clone(),
                    });
                }
                _ => {}
            }
            if let Some(instances) = self.instances
                && self.max.is_none()
                && instances > max
            {
                return Err(WhatIfError::InstancesAboveMaximum {
                    instances,
                    maximum: max,
                    group: group.name.clone(),
                });
            }
        }
        match self.period {
            Some(period)
                if !is_usual(period)
                    && timeline.alarms().iter().all(|alarm| alarm.period != period) =>
            {
                Err(WhatIfError::UnusualPeriod { period })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn applied_to(&self, current: &Current) -> Setting {
        let mut setting = match self.target {
            Some(target) => current.tracking(target),
            None => current.setting.clone(),
        };
        let Bounds { min, max } = setting.bounds;
        let max = self.max.unwrap_or(max);
        setting.bounds = Bounds {
            min: self.min.unwrap_or(min).min(max),
            max,
        };
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

    /// Returns the name of the candidate.
    pub(super) fn words(&self) -> String {
        format!("what if: {}", self.changes())
    }

    /// Returns the changes in words.
    pub(super) fn changes(&self) -> String {
        let parts = [
            self.load.map(OtherLoad::words),
            self.target.map(|target| format!("target {target}")),
            self.min.map(|min| format!("min {min}")),
            self.max.map(|max| format!("max {max}")),
            self.warm_up
                .map(|time| format!("warm-up {}", units::duration(time))),
            self.period
                .map(|time| format!("period {}", units::duration(time))),
            self.datapoints
                .map(|count| units::count(count as u32, "datapoint")),
            self.instances.map(|count| units::count(count, "instance")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Returns true for periods that AWS allows for any metric: 10 s, 30 s and whole minutes.
fn is_usual(period: Duration) -> bool {
    [10, 30].contains(&period.as_secs()) || period.as_secs().is_multiple_of(MINUTE.as_secs())
}

fn target(value: &str) -> Result<f64, WhatIfError> {
    let target = value
        .parse()
        .ok()
        .filter(|target: &f64| target.is_finite() && *target > 0.0);
    let target = target.ok_or_else(|| WhatIfError::NotATarget {
        value: value.to_owned(),
    })?;
    if target > HIGHEST_TARGET {
        return Err(WhatIfError::TargetTooHigh {
            value: value.to_owned(),
            most: HIGHEST_TARGET,
        });
    }
    Ok(target)
}

fn count(name: &'static str, value: &str, least: u32) -> Result<u32, WhatIfError> {
    let count: u32 = value.parse().map_err(|_| WhatIfError::NotACount {
        name,
        value: value.to_owned(),
    })?;
    if !(least..=MOST).contains(&count) {
        return Err(WhatIfError::CountOutOfRange {
            name,
            count,
            least,
            most: MOST,
        });
    }
    Ok(count)
}

/// Reads `3x` and `600/s`.
fn load(value: &str) -> Result<OtherLoad, WhatIfError> {
    let (read, most) = match value.strip_suffix('x') {
        Some(times) => (times.trim().parse().ok(), MOST_TIMES),
        None => (parse_rate(value).ok(), HIGHEST_RATE),
    };
    let amount: f64 = read
        .filter(|amount: &f64| amount.is_finite())
        .ok_or_else(|| WhatIfError::NotALoad {
            value: value.to_owned(),
        })?;
    if amount <= 0.0 || amount > most {
        return Err(WhatIfError::LoadOutOfRange {
            value: value.to_owned(),
            times: MOST_TIMES,
            rate: HIGHEST_RATE,
        });
    }
    Ok(match value.ends_with('x') {
        true => OtherLoad::Times(amount),
        false => OtherLoad::Highest(amount),
    })
}

fn time(name: &'static str, value: &str) -> Result<Duration, WhatIfError> {
    units::parse_duration(value).map_err(|why| WhatIfError::NotADuration { name, why })
}

fn warm_up(value: &str) -> Result<Duration, WhatIfError> {
    let time = time("warm-up", value)?;
    if time > LONGEST_WARM_UP {
        return Err(WhatIfError::WarmUpTooLong {
            value: value.to_owned(),
        });
    }
    Ok(time)
}

fn period(value: &str) -> Result<Duration, WhatIfError> {
    let time = time("period", value)?;
    if time.is_zero() || time.subsec_nanos() > 0 {
        return Err(WhatIfError::PeriodNotWhole {
            value: value.to_owned(),
        });
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;
    use evidence::timeline::{Alarm, GroupState, Observation, Observed};

    #[test]
    fn what_if_is_read_or_says_what_is_wrong() {
        let what_if =
            WhatIf::parse("target=35, min=3,warm-up=20s,period=10s,datapoints=2").unwrap();
        assert_eq!(
            (what_if.target, what_if.min, what_if.datapoints),
            (Some(35.0), Some(3), Some(2))
        );
        let other = WhatIf::parse("load=2.5x,instances=6,max=20").unwrap();
        assert_eq!(other.load, Some(OtherLoad::Times(2.5)));
        assert_eq!(other.words(), "what if: load 2.5x, max 20, 6 instances");
        let rate = WhatIf::parse("load=36000/min").unwrap().load.unwrap();
        assert_eq!(rate, OtherLoad::Highest(600.0));
        assert_eq!(
            (rate.words().as_str(), rate.times(300.0)),
            ("load 600/s", 2.0)
        );
        assert_eq!(
            what_if.words(),
            "what if: target 35, min 3, warm-up 20s, period 10s, 2 datapoints"
        );
        for (text, hint) in [
            ("target", "NAME=VALUE"),
            ("target=fast", "number above 0"),
            (
                "target=1e308",
                "more than any metric reaches (1000000000000 at most)",
            ),
            ("targets=5", "none of load, target"),
            ("min=5,max=2", "more than"),
            ("min=2,min=3", "given twice"),
            ("min=4000000000,max=4000000000", "not from 0 to 10000"),
            ("max=0", "not from 1 to 10000"),
            ("datapoints=0", "not from 1 to 10000"),
            ("period=500ms", "whole number of seconds"),
            ("period=0s", "whole number of seconds"),
            ("period=1h,datapoints=25", "a day at most"),
            ("warm-up=5", "unit"),
            ("warm-up=2h", "the hour"),
            (
                "load=3",
                "neither a factor such as 3x nor a rate such as 600/s",
            ),
            ("load=x", "neither a factor"),
            ("load=infx", "neither a factor"),
            ("load=0x", "more than 0"),
            ("load=-2x", "more than 0"),
            ("load=1001x", "1000x at most"),
            ("load=0/s", "more than 0"),
            ("load=2x,load=3x", "given twice"),
            ("instances=0", "not from 1 to 10000"),
            ("instances=4.5", "not a whole number"),
            ("max=4,instances=5", "more than max=4"),
        ] {
            let why = words::what_if(&WhatIf::parse(text).unwrap_err());
            assert!(why.contains(hint), "{text}: {why}");
        }
    }

    #[test]
    fn what_does_not_fit_the_group_is_refused_and_never_bent_until_it_does() {
        let group = GroupState {
            name: "web".to_owned(),
            min: 2,
            max: 8,
            ..GroupState::default()
        };
        let alarm = Alarm {
            name: "high".to_owned(),
            period: Duration::from_secs(1),
            ..Alarm::default()
        };
        let seen = [Observed::Group(group), Observed::Alarm(alarm)];
        let observations = seen
            .map(|seen| Observation::new(jiff::Timestamp::UNIX_EPOCH, seen))
            .into();
        let timeline = Timeline { observations };
        for (text, hint) in [
            ("min=100", Some("maximum of 8 of web: give max too")),
            ("min=100,max=100", None),
            ("max=1", Some("minimum of 2 of web: give min too")),
            ("max=1,min=1", None),
            ("instances=9", Some("maximum of 8 of web: give max too")),
            ("instances=8", None),
            ("instances=9,max=9", None),
            ("period=90s", Some("10s, 30s or whole minutes")),
            ("period=1s", None),
            ("period=30s", None),
            ("period=2m", None),
        ] {
            let fits = WhatIf::parse(text).unwrap().fits(&timeline);
            let good = match (&fits, hint) {
                (Err(why), Some(hint)) => words::what_if(why).contains(hint),
                (fits, hint) => fits.is_ok() && hint.is_none(),
            };
            assert!(good, "{text}: {fits:?}");
        }
    }
}
