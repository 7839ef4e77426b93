//! Every fact of a run, computed once from its plan, its results and what was seen of the group.
//!
//! Judgements and advice read facts; neither computes one again.

use std::time::Duration;

use jiff::Timestamp;

use super::capacity::{self, InstanceCapacity};
use super::load::{self, Second};
use super::overload::Overload;
use super::reaction::{self, Reaction, Times};
use super::timeline::{Activity, Alarm, Policy, Timeline};
use super::{alarms, instances};
use model::measure::Results;
use model::plan::Schedule;
use model::scenario::{Limit, Scenario};

/// What a run showed.
pub struct Facts<'a> {
    /// The scenario of the run; of a watch, only its expectations count.
    pub scenario: &'a Scenario,
    /// When which phase asks for how much load.
    pub schedule: &'a Schedule,
    /// The tasks' results; empty where the load is not ours.
    pub results: &'a Results,
    /// All observations of the group.
    pub timeline: &'a Timeline,
    /// When the load began, rose, fell and ended, on the wall clock.
    pub times: Times,
    /// How the group answered: decisions, instances with their lives, each spike's chain.
    pub reaction: Reaction,
    /// What p95 has to stay under in the spikes, where the scenario says so.
    pub limit: Option<Duration>,
    /// The load by second; empty where it is not ours.
    pub load: Vec<Second>,
    /// Instances by second of the load: those that take requests, those that cost, and those that
    /// the group wants.
    pub serving: Vec<u32>,
    /// Every instance that is there, also those that come or go.
    pub billed: Vec<u32>,
    /// The group's desired capacity.
    pub desired: Vec<u32>,
    /// Seconds in which an alarm asked for more.
    pub wanted_more: Vec<bool>,
    /// What one instance carries within the latency limit, as far as the run shows it.
    pub capacity: Option<InstanceCapacity>,
    /// Seconds with more load than the serving instances carry.
    pub overload: Overload,
    /// Each as last seen.
    pub alarms: Vec<&'a Alarm>,
    /// Each as last seen.
    pub policies: Vec<&'a Policy>,
    /// In the order of their start.
    pub activities: Vec<&'a Activity>,
}

impl<'a> Facts<'a> {
    /// Facts of a run of ours. `ran`: how long the load lasted, where it was stopped early.
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

    /// Facts of a group whose load is not ours: only the group is known.
    /// `expected` holds the expectations, `schedule` and `results` are empty.
    pub fn watched(
        expected: &'a Scenario,
        schedule: &'a Schedule,
        results: &'a Results,
        timeline: &'a Timeline,
    ) -> Self {
        let times = Times::watched(timeline);
        Self::new(expected, schedule, results, timeline, times, None)
    }

    /// `limit`: what p95 has to stay under, where the load is ours.
    fn new(
        scenario: &'a Scenario,
        schedule: &'a Schedule,
        results: &'a Results,
        timeline: &'a Timeline,
        times: Times,
        limit: Option<Limit>,
    ) -> Self {
        let reaction = reaction::react(scenario, results, timeline, &times, limit);
        let load = load::by_second(scenario, schedule, results);
        // A watch has no results: its seconds are those of the watch.
        let seconds = match limit {
            Some(_) => load.len(),
            None => instances::between(times.started, times.ended).as_secs() as usize,
        };
        let serving = instances::serving(timeline, times.started, seconds);
        let capacity = capacity::estimate(&load, &serving, Limit::of(scenario).p95);
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
            serving,
            capacity,
        }
    }

    /// When the group was last looked at; the start where it never was.
    pub fn last_look(&self) -> Timestamp {
        let last = self.timeline.groups().next_back();
        last.map_or(self.times.started, |(at, _)| at)
    }

    /// The alarms that ask for more.
    pub fn high_alarms(&self) -> impl Iterator<Item = &'a Alarm> {
        self.alarms.iter().copied().filter(|alarm| alarm.is_high())
    }

    /// The alarms that ask for less.
    pub fn low_alarms(&self) -> impl Iterator<Item = &'a Alarm> {
        self.alarms.iter().copied().filter(|alarm| !alarm.is_high())
    }
}
