//! Replays the user's own candidate, with its own load if it has one, and answers it.

use std::time::Duration;

use super::answers::how_sure;
use super::candidates::{self, Current};
use super::content::{Answer, Basis, Content};
use super::others::{self, Assumption};
use super::{Advice, Candidate, Change, Evidence, Topic, WhatIf};
use evidence::{Confidence, InstanceCapacity};
use model::scaling::replay::{InstanceLimits, Setting, replay};

/// The answer to `--what-if`.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The changes in words, for example `load 3x, max 20`.
    pub changes: String,
    /// Result of the changes.
    pub row: Box<Candidate>,
    /// Result of the policy that ran, with the recorded load.
    pub now: Box<Candidate>,
    /// The other load; `None` where it is the recorded one.
    pub load: Option<AskedLoad>,
    /// The load that the group carries at its maximum; `None` where neither load nor maximum is
    /// another.
    pub at_maximum: Option<Carried>,
    /// Time until a number of instances serve; `None` where none is asked for.
    pub until: Option<UntilInstances>,
}

/// A load that the run did not send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AskedLoad {
    /// Factor by which each second of the recorded load is multiplied.
    pub times: f64,
    /// Requests in its highest second.
    pub peak: f64,
    /// Size of the group at its start, which the policy keeps for the load before the spike.
    pub initial: u32,
}

/// The load that a group carries at its maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carried {
    /// Maximum size of the group.
    pub max: u32,
    /// Requests per second of all these instances within the limit.
    pub load: f64,
    /// The same by the load that held the limit.
    pub held: f64,
    /// The same by the load that missed it; `None` where no load missed it.
    pub missed: Option<f64>,
    /// Limit of p95.
    pub limit: Duration,
    /// Requests in the highest second of the load.
    pub peak: f64,
}

/// Time from the rise of the load until a number of instances serve. The load stays at its highest
/// second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilInstances {
    /// The number of instances.
    pub instances: u32,
    /// The time, and its parts.
    pub reached: Reached,
}

/// The end of the wait for a number of instances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reached {
    /// They serve when the load rises.
    Before,
    /// They serve after a time, which is the sum of three parts.
    After {
        /// From the rise of the load until the policy asks for the last of them.
        decided: Duration,
        /// Number of decisions until then.
        decisions: u32,
        /// Part of `decided` that is the alarm's own window.
        window: Duration,
        /// From the launch to in service.
        boot: Duration,
        /// From in service to healthy.
        health: Duration,
    },
    /// The policy does not ask for so many within an hour.
    Never {
        /// The largest size of the group.
        most: u32,
    },
}

/// Time for which a steady load is replayed, until no policy changes anything any more.
const STEADY: usize = 3_600;

/// The recorded load and the group, as the candidates have them.
pub(super) struct Recorded<'a> {
    pub evidence: &'a Evidence<'a>,
    pub advice: &'a Advice,
    pub capacity: &'a InstanceCapacity,
    pub service: &'a InstanceLimits,
    pub current: &'a Current,
    pub load: &'a [f64],
}

impl Recorded<'_> {
    /// Replays the user's changes beside the policy that ran.
    pub(super) fn asked(&self, what_if: &WhatIf, now: &Candidate) -> Asked {
        let peak = highest(self.load);
        let times = what_if.load.map_or(1.0, |load| load.times(peak));
        let load: Vec<f64> = self.load.iter().map(|demand| demand * times).collect();
        let mut setting = what_if.applied_to(self.current);
        if times > 1.0 {
            setting.initial = setting.initial.max(self.kept(&load, &setting));
        }
        let max = setting.bounds.max;
        let carried = || Carried::of(max, self.capacity, self.evidence, peak * times);
        Asked {
            changes: what_if.changes(),
            row: Box::new(self.row(what_if, &load, &setting)),
            now: Box::new(now.clone()),
            load: what_if.load.map(|_| AskedLoad {
                times,
                peak: peak * times,
                initial: setting.initial,
            }),
            at_maximum: (what_if.load.is_some() || what_if.max.is_some()).then(carried),
            until: what_if
                .instances
                .map(|instances| self.until(instances, &load, &setting)),
        }
    }

    fn row(&self, what_if: &WhatIf, load: &[f64], setting: &Setting) -> Candidate {
        let price = self.advice.price.as_ref();
        let standing = || {
            let before = self.current.setting.bounds.min;
            others::all_day(setting.bounds.min, before, price)
        };
        let replayed = replay(load, self.service, setting);
        let assumes: Option<Assumption> =
            candidates::unseen(setting, self.current.lead, load.len())
                .or_else(standing)
                .or_else(|| candidates::on_the_edge(load, self.service, setting, &replayed));
        let name = what_if.words();
        candidates::candidate(&name, Change::WhatIf, &replayed, price, assumes)
    }

    /// Returns the second in which the load rises: the spike's first, or the load's.
    fn rise(&self) -> usize {
        let rise = self.evidence.spike.map_or(0, |(from, _)| from as usize);
        rise.min(self.load.len().saturating_sub(1))
    }

    /// Returns the size that the policy keeps for the load before it rises.
    fn kept(&self, load: &[f64], setting: &Setting) -> u32 {
        let calm = load.get(..self.rise().max(1)).map_or(0.0, highest);
        let steady = vec![calm; STEADY];
        let replayed = replay(&steady, self.service, setting);
        replayed.desired.last().copied().unwrap_or(setting.initial)
    }

    /// Replays the load with its highest second held, until the instances serve.
    fn until(&self, instances: u32, load: &[f64], setting: &Setting) -> UntilInstances {
        let (peak, rise) = (highest(load), self.rise());
        let top = load.iter().position(|demand| *demand >= peak).unwrap_or(0);
        let mut held = load.get(..top).unwrap_or_default().to_vec();
        held.resize(top.max(rise) + STEADY, peak);
        let replayed = replay(&held, self.service, setting);
        let reached = match (
            first(&replayed.serving, rise, instances),
            first(&replayed.desired, rise, instances),
        ) {
            (Some(0), _) => Reached::Before,
            (Some(serve), Some(decided)) => {
                self.after(serve, decided, &replayed.desired[rise..], setting)
            }
            _ => Reached::Never {
                most: replayed.serving.iter().copied().max().unwrap_or(0),
            },
        };
        UntilInstances { instances, reached }
    }

    /// Returns the parts of the seconds until the instances serve, counted from the rise.
    fn after(&self, serve: usize, decided: usize, desired: &[u32], setting: &Setting) -> Reached {
        let seconds = |count: usize| Duration::from_secs(count as u64);
        let grew = |pair: &&[u32]| matches!(pair, [before, after] if after > before);
        let decisions = desired[..=decided].windows(2).filter(grew).count() as u32;
        let follows = setting.policies.get(self.current.lead);
        let window = follows.map_or(Duration::ZERO, |follows| {
            follows.period * follows.alarm.datapoints as u32
        });
        let started = seconds(serve.saturating_sub(decided));
        let health = setting.health.min(started);
        Reached::After {
            decided: seconds(decided),
            decisions: decisions.max(1),
            window: window.min(seconds(decided)),
            boot: started.saturating_sub(health),
            health,
        }
    }
}

impl Carried {
    /// Multiplies the capacity of one instance by the maximum.
    pub(super) fn of(
        max: u32,
        capacity: &InstanceCapacity,
        evidence: &Evidence<'_>,
        peak: f64,
    ) -> Self {
        let all = |each: f64| each * f64::from(max);
        let (held, missed) = capacity.bracket();
        Self {
            max,
            load: all(capacity.at_limit),
            held: all(held),
            missed: missed.map(all),
            limit: evidence.limit.p95,
            peak,
        }
    }
}

fn highest(load: &[f64]) -> f64 {
    load.iter().copied().fold(0.0, f64::max)
}

/// Returns the number of seconds after `rise` until a size is reached.
fn first(sizes: &[u32], rise: usize, instances: u32) -> Option<usize> {
    sizes.iter().skip(rise).position(|size| *size >= instances)
}

/// Answers `--what-if`; `asked` is `None` where no policy could be replayed.
pub(super) fn answer(evidence: &Evidence<'_>, advice: &Advice, asked: Option<Asked>) -> Answer {
    let topic = Topic::WhatIf;
    let Some(asked) = asked else {
        let why = advice.no_candidates.clone();
        return Answer::unknown(topic, Basis::NoCandidates(why));
    };
    let (mut replay, mut confidence) = how_sure(evidence, advice);
    replay.assumes.clone_from(&asked.row.assumes);
    let is_more = asked.load.is_some_and(|load| load.times > 1.0);
    if is_more {
        confidence = confidence.min(Confidence::Medium);
    }
    if let Some(assumes) = &replay.assumes {
        confidence = confidence.min(assumes.confidence());
    }
    Answer::new(
        topic,
        Content::WhatIf(Box::new(asked)),
        Basis::Replay(replay),
        confidence,
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{evidence, seen};
    use super::super::{Reaction, advise};
    use super::*;
    use crate::report::words;

    fn advised(text: &str) -> Advice {
        let (timeline, seconds) = seen("TargetTrackingScaling");
        let reaction = Reaction {
            desired_before: 2,
            max: 8,
            ..Reaction::default()
        };
        let what_if = WhatIf::parse(text).unwrap();
        what_if.fits(&timeline).unwrap();
        advise(&evidence(&timeline, &seconds, &reaction), Some(&what_if))
    }

    fn asked(text: &str) -> Asked {
        match advised(text).answers.into_iter().next().unwrap().content {
            Content::WhatIf(asked) => *asked,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_recorded_load_once_is_the_policy_that_ran() {
        for text in ["load=1x", "load=560/s"] {
            let asked = asked(text);
            let (row, now) = (&asked.row, &asked.now);
            assert_eq!(
                (row.over_limit, row.errors, row.most_instances),
                (now.over_limit, now.errors, now.most_instances),
                "{text}"
            );
            assert!((asked.load.unwrap().times - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_larger_load_is_replayed_with_the_policy_that_ran_and_with_other_changes() {
        let thrice = asked("load=3x");
        let load = thrice.load.unwrap();
        // 360 requests/s before the spike need four instances at a target of 50 %.
        assert_eq!((load.times, load.peak, load.initial), (3.0, 1680.0, 4));
        assert_eq!(thrice.row.most_instances, 8);
        assert!(thrice.row.over_limit > thrice.now.over_limit, "{thrice:?}");
        let carried = thrice.at_maximum.unwrap();
        assert_eq!(carried.max, 8);
        assert!((carried.load - 1600.0).abs() < 8.0, "{carried:?}");
        let more = asked("load=3x,max=20");
        assert!(more.row.over_limit < thrice.row.over_limit, "{more:?}");
        assert!(more.row.most_instances > 8);
        assert_eq!(more.at_maximum.unwrap().max, 20);
        assert_eq!(more.changes, "load 3x, max 20");
    }

    #[test]
    fn the_time_until_a_number_of_instances_is_the_sum_of_its_links() {
        let reached = |text| asked(text).until.unwrap().reached;
        assert_eq!(reached("instances=2"), Reached::Before);
        let never = reached("load=0.5x,instances=8");
        assert!(
            matches!(never, Reached::Never { most } if most < 8),
            "{never:?}"
        );
        let Reached::After {
            decided,
            decisions,
            window,
            boot,
            health,
        } = reached("instances=4")
        else {
            panic!("not reached");
        };
        let second = Duration::from_secs;
        assert_eq!(window, second(3));
        assert!(decided >= window && decided < second(6), "{decided:?}");
        // The model's boot of 3 s, as the looks at the group show it.
        assert_eq!((decisions, boot, health), (1, second(2), Duration::ZERO));
        let Reached::After {
            decided: later,
            decisions,
            ..
        } = reached("instances=6")
        else {
            panic!("not reached");
        };
        assert!(later > decided && decisions > 1, "{later:?} {decisions}");
        let Reached::After {
            decided: sooner, ..
        } = reached("instances=6,load=2x")
        else {
            panic!("not reached");
        };
        assert!(sooner <= later, "more load asks for them no later");
    }

    #[test]
    fn what_is_asked_is_answered_first() {
        let advice = words::advice(advised("load=2x,instances=6"));
        let first = &advice.answers[0];
        assert_eq!(
            (first.topic, first.confidence),
            (Topic::WhatIf, Confidence::Medium)
        );
        insta::assert_snapshot!(first.answer);
        let row = advice.candidates.last().unwrap();
        assert_eq!(row.change, Change::WhatIf);
    }

    #[test]
    fn without_a_replay_nothing_is_answered() {
        let (timeline, seconds) = seen("PredictiveScaling");
        let reaction = Reaction::default();
        let what_if = WhatIf::parse("load=3x").unwrap();
        let advice = advise(&evidence(&timeline, &seconds, &reaction), Some(&what_if));
        let first = &advice.answers[0];
        assert_eq!(
            (first.topic, &first.content),
            (Topic::WhatIf, &Content::Unknown)
        );
        assert_eq!(first.basis, Basis::NoCandidates(advice.no_candidates));
    }
}
