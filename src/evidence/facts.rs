//! All facts of a run, computed once from its plan, its results and the observations of the group.
//!
//! Judgements and advice read these facts; neither computes one again.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::capacity::{self, InstanceCapacity};
use super::hypotheses::{self, Baseline, Explained, Hypothesis, Observed, Suspect};
use super::load::{self, Second};
use super::others::{self, NotCounted, OtherLoad};
use super::overload::Overload;
use super::reaction::{self, Reaction, Times};
use super::timeline::{Activity, Alarm, Policy, Timeline};
use super::{alarms, instances};
use model::measure::{Merged, Results, Select};
use model::plan::Schedule;
use model::scenario::{Limit, Scenario};

/// The facts of a run, or of a watch.
pub struct Facts<'a> {
    /// The scenario of the run; of a watch, only its expectations count.
    pub scenario: &'a Scenario,
    /// The load that each phase asks for, by time.
    pub schedule: &'a Schedule,
    /// The tasks' results; empty where Spikeproof does not send the load.
    pub results: &'a Results,
    /// All observations of the group.
    pub timeline: &'a Timeline,
    /// The wall-clock times at which the load began, rose, fell and ended.
    pub times: Times,
    /// The group's reaction: decisions, instances with their lives, and each spike's chain.
    pub reaction: Reaction,
    /// The limit of p95 in the spikes; `None` where the scenario sets none.
    pub limit: Option<Duration>,
    /// The load by second, with that of others; empty where Spikeproof does not send it.
    pub load: Vec<Second>,
    /// The load of others, by the load balancer's count.
    pub others: Result<OtherLoad, NotCounted>,
    /// Instances that take requests, by second of the load.
    pub serving: Vec<u32>,
    /// Instances that cost money, by second: all that exist, also those that start or leave.
    pub billed: Vec<u32>,
    /// The group's desired capacity, by second.
    pub desired: Vec<u32>,
    /// True for each second in which an alarm asked for more.
    pub wanted_more: Vec<bool>,
    /// The errors that are there whatever the load.
    pub baseline: Baseline,
    /// Reasons for the seconds that missed a limit; empty where none did.
    pub hypotheses: Vec<Hypothesis>,
    /// The seconds that say nothing, or less, about the capacity of an instance.
    pub explained: Explained,
    /// The load that one instance carries within the latency limit; `None` where the run does not
    /// show it.
    pub capacity: Option<InstanceCapacity>,
    /// Seconds with more load than the serving instances carry.
    pub overload: Overload,
    /// The alarms, each as last seen.
    pub alarms: Vec<&'a Alarm>,
    /// The policies, each as last seen.
    pub policies: Vec<&'a Policy>,
    /// The activities, each as last seen, in the order of their start.
    pub activities: Vec<&'a Activity>,
}

impl<'a> Facts<'a> {
    /// Computes the facts of a run. `ran` is the time that the load lasted if it was stopped early.
    pub fn of(
        scenario: &'a Scenario,
        schedule: &'a Schedule,
        results: &'a Results,
        timeline: &'a Timeline,
        started: Timestamp,
        ran: Option<Duration>,
    ) -> Self {
        let times = Times::new(scenario, schedule, started, ran);
        let limit = Some(Limit::of(scenario));
        Self::new(scenario, schedule, results, timeline, times, limit)
    }

    /// Computes the facts of a group under load that Spikeproof does not send. `expected` holds the
    /// expectations; `schedule` and `results` are empty.
    pub fn watched(
        expected: &'a Scenario,
        schedule: &'a Schedule,
        results: &'a Results,
        timeline: &'a Timeline,
    ) -> Self {
        let times = Times::watched(timeline);
        Self::new(expected, schedule, results, timeline, times, None)
    }

    /// Computes the facts. `limit` is the limit of p95; `None` for a watch.
    fn new(
        scenario: &'a Scenario,
        schedule: &'a Schedule,
        results: &'a Results,
        timeline: &'a Timeline,
        times: Times,
        limit: Option<Limit>,
    ) -> Self {
        // A watch has no results: its seconds are those of the watch.
        let seconds = match limit {
            Some(_) => results.last_second().map_or(0, |last| last as usize + 1),
            None => instances::between(times.started, times.ended).as_secs() as usize,
        };
        let serving = instances::serving(timeline, times.started, seconds);
        let baseline = Baseline::of(results, &times);
        let mut load = load::by_second(scenario, schedule, results, &serving, &baseline);
        let others = others::compare(&others::sent(results), timeline, times.started);
        if let Ok(others) = &others {
            others.add_to(&mut load);
        }
        let reaction = reaction::react(scenario, results, timeline, &times, &load, limit);
        let p95 = Limit::of(scenario).p95;
        let observed = Observed {
            scenario,
            results,
            timeline,
            times: &times,
            reaction: &reaction,
            load: &load,
            serving: &serving,
            limit: p95,
        };
        let hypotheses = match limit {
            Some(_) => hypotheses::all(&observed, &baseline),
            None => hypotheses::of_a_watch(&observed),
        };
        let explained = Explained::of(&hypotheses);
        let capacity = capacity::estimate(&load, &serving, p95, &explained);
        Self {
            overload: Overload::new(&load, &serving, capacity.as_ref()),
            billed: instances::billed(timeline, times.started, seconds),
            desired: instances::desired(timeline, times.started, seconds),
            wanted_more: alarms::wanted_more(timeline, times.started, seconds),
            limit: limit.and_then(|_| Limit::p95_in_the_spike(scenario)),
            alarms: timeline.alarms(),
            policies: timeline.policies(),
            activities: timeline.activities(),
            scenario,
            schedule,
            results,
            timeline,
            times,
            reaction,
            load,
            others,
            serving,
            baseline,
            hypotheses,
            explained,
            capacity,
        }
    }

    /// Returns the reasons for which the group's size is not what the missed limits are about.
    pub fn other_reasons(&self) -> Vec<Suspect> {
        let others = hypotheses::other_remedies(&self.hypotheses, self.spike_seconds());
        others.iter().map(|one| one.suspect).collect()
    }

    /// Returns the number of seconds of all spikes.
    fn spike_seconds(&self) -> u32 {
        let spikes = self.times.spikes.iter();
        let lasted = spikes.map(|span| {
            let from = span.rose.unwrap_or(self.times.started);
            instances::between(from, span.fell.unwrap_or(self.times.ended)).as_secs() as u32
        });
        lasted.sum()
    }

    /// Returns the share of requests that failed in these seconds, without the errors that are
    /// there whatever the load.
    pub fn error_share(&self, merged: &Merged, seconds: &[u32]) -> f64 {
        let constant = self.baseline.likely(seconds);
        let errors = merged.tally.errors().saturating_sub(constant);
        errors as f64 / merged.tally.requests().max(1) as f64
    }

    /// Returns true if most of these seconds that missed a limit did so for another reason than too
    /// few instances.
    pub fn is_explained_elsewhere(&self, seconds: &[u32]) -> bool {
        let explained = seconds
            .iter()
            .filter(|at| self.explained.skip.contains(*at));
        let missed = seconds.iter().filter(|at| {
            let mut all = self.hypotheses.iter().flat_map(|one| &one.seconds);
            all.any(|(from, until)| (*from..*until).contains(*at))
        });
        let explained = explained.count();
        explained > 0 && explained * 2 >= missed.count()
    }

    /// Returns the seconds whose answers the load of others may have changed; none where it does not
    /// matter, or is not known.
    pub fn changed_by_others(&self) -> BTreeSet<u32> {
        let Ok(others) = &self.others else {
            return BTreeSet::new();
        };
        let merged = self.results.by_second(Select::default());
        let longest: Vec<Duration> = merged
            .iter()
            .map(|one| one.latency.max().unwrap_or_default())
            .collect();
        others.changed_seconds(&self.load, &longest)
    }

    /// Returns the time of the last look at the group, or the start if there was none.
    pub fn last_look(&self) -> Timestamp {
        let last = self.timeline.groups().next_back();
        last.map_or(self.times.started, |(at, _)| at)
    }

    /// Returns the alarms that ask for more.
    pub fn high_alarms(&self) -> impl Iterator<Item = &'a Alarm> {
        self.alarms.iter().copied().filter(|alarm| alarm.is_high())
    }

    /// Returns the alarms that ask for less.
    pub fn low_alarms(&self) -> impl Iterator<Item = &'a Alarm> {
        self.alarms.iter().copied().filter(|alarm| !alarm.is_high())
    }
}
