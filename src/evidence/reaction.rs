//! The group's reaction to each spike: every moment of its scale-out and its scale-in, on one
//! clock.
//!
//! The breach is the first breaching datapoint in the alarm's history, never the time in an
//! activity's `Cause`: an alarm with a scaling action fires again every minute. In service is the
//! lifecycle state that polling saw, never the activity's `EndTime`, which includes the warm-up.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OpenLink;
use crate::alarms;
use crate::instances::{self, Launched, Left, Why, after};
use crate::load::Second;
use crate::moment::{self, Moment, MomentKind};
use crate::scale_in::{self, WaitReason};
use crate::spikes::{self, Spike};
use crate::timeline::{Decision, Timeline};
use model::measure::Results;
use model::plan::Schedule;
use model::scenario::Limit;
use model::scenario::{PhaseRole, Scenario};
use model::units::{Seconds, seconds};

/// One change of the desired capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resized {
    /// Time when the alarm's action ran, by the cause of the activity.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Desired capacity before.
    pub from: u32,
    /// Desired capacity after.
    pub to: u32,
    /// The policy that decided it; absent where the cause names none.
    pub policy: Option<String>,
    /// Time when the alarm that asked for it had fired; absent where it is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub alarm: Option<Timestamp>,
    /// Start of that alarm's first breaching datapoint; absent where it is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub breach: Option<Timestamp>,
    /// Time when all instances that it launched served, or all that it removed were gone; absent if
    /// one never was, or none came or left.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub done: Option<Timestamp>,
}

/// The group's reaction: the moments of its scale-out and its scale-in, in order, and each
/// instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reaction {
    /// Moments of the scale-out of the first spike.
    pub out: Vec<Moment>,
    /// Moments of the scale-in of the last spike.
    pub back: Vec<Moment>,
    /// Links of all spikes that were not seen, or that differ from the expected order.
    pub open: Vec<OpenLink>,
    /// The spikes, each with its own chain, where the load has several; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<Spike>,
    /// Every change of the group's desired capacity.
    pub resized: Vec<Resized>,
    /// Each instance that the group launched under the load.
    pub launched: Vec<Launched>,
    /// Each instance that left.
    pub left: Vec<Left>,
    /// Time from the breach to the first new instance in service; the longest of several spikes.
    #[serde(rename = "out_took_s", alias = "out_took", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub out_took: Option<Duration>,
    /// The part of the first spike's time that the alarm makes unavoidable: its datapoints times
    /// its period.
    #[serde(
        rename = "out_unavoidable_s",
        alias = "out_unavoidable",
        with = "seconds::option"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_unavoidable: Option<Duration>,
    /// Time from the end of that window until the alarm fired, in which CloudWatch published and
    /// evaluated the datapoints.
    #[serde(
        rename = "out_lag_s",
        alias = "out_lag",
        with = "seconds::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_lag: Option<Duration>,
    /// Time from the fall of the load to the first instance that leaves; the longest of several
    /// spikes. Absent if none left after the last spike.
    #[serde(rename = "in_took_s", alias = "in_took", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub in_took: Option<Duration>,
    /// The part of it that the group's settings make unavoidable.
    #[serde(
        rename = "in_unavoidable_s",
        alias = "in_unavoidable",
        with = "seconds::option"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_unavoidable: Option<Duration>,
    /// The setting that the scale-in waits for. Not in reports of versions 1 to 4.
    #[serde(
        deserialize_with = "moment::known",
        skip_serializing_if = "Option::is_none"
    )]
    pub in_waits_for_setting: Option<WaitReason>,
    /// That setting as a sentence, which the report adds; empty before that.
    pub in_waits_for: String,
    /// Time when the low alarm fired, if that was before the load fell.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub low_before: Option<Timestamp>,
    /// Time for which the metric was already below the low alarm's threshold when the load fell.
    #[serde(
        rename = "in_ahead_s",
        alias = "in_ahead",
        with = "seconds::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_ahead: Option<Duration>,
    /// The limit of `in_took_s` that the scenario asks for; absent where none can be computed.
    #[serde(rename = "in_bound_s", alias = "in_bound", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub in_bound: Option<Duration>,
    /// Desired capacity when the load began.
    pub desired_before: u32,
    /// Highest desired capacity since then.
    pub desired_peak: u32,
    /// Desired capacity at the end of the watch.
    pub desired_after: u32,
    /// True if the desired capacity rose at some time under the load, even if only back to an
    /// earlier size.
    pub grew: bool,
    /// The group's maximum size when the load began.
    pub max: u32,
    /// Name of an alarm that asks for more and had fired before the load began.
    pub alarmed_before: Option<String>,
}

impl Reaction {
    /// Returns the time of a moment: in the first scale-out, or else in the last scale-in.
    pub fn moment(&self, kind: MomentKind) -> Option<Timestamp> {
        moment::first(&self.out, kind)
            .or_else(|| moment::first(&self.back, kind))
            .map(|moment| moment.at)
    }

    /// Returns true if the desired capacity rose at some time under the load.
    pub fn scaled_out(&self) -> bool {
        let grew = |one: &Resized| one.to > one.from;
        self.grew || self.desired_peak > self.desired_before || self.resized.iter().any(grew)
    }
}

/// A spike of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The name of its first phase; `load` where there is no spike.
    pub name: String,
    /// Time of the rise; `None` without a spike, or where Spikeproof does not send the load.
    pub rose: Option<Timestamp>,
    /// Time of the fall; `None` where the load did not fall, or was stopped before.
    pub fell: Option<Timestamp>,
}

/// The moments of the load itself, on the wall clock.
pub struct Times {
    /// The agreed start instant; of a watch, the first look at the group.
    pub started: Timestamp,
    /// The spikes, in order. It is never empty: without a spike, the whole load counts as one.
    pub spikes: Vec<Span>,
    /// Time when the load ended; of a watch, the last look at the group.
    pub ended: Timestamp,
    /// True if Spikeproof sends the load. Otherwise its fall is read from the low alarm.
    pub planned: bool,
    /// Time when the load was stopped before the end of its plan.
    pub stopped: Option<Timestamp>,
}

impl Times {
    /// Computes the times of a run. `ran` is the time that the load lasted if it was stopped early.
    pub fn new(
        scenario: &Scenario,
        schedule: &Schedule,
        started: Timestamp,
        ran: Option<Duration>,
    ) -> Self {
        let at = |index: usize| {
            after(
                started,
                schedule
                    .phase_starts()
                    .get(index)
                    .copied()
                    .unwrap_or(schedule.end()),
            )
        };
        let stopped = ran
            .filter(|ran| *ran < schedule.end())
            .map(|ran| after(started, ran));
        let mut spikes: Vec<Span> = Vec::new();
        let mut last = None;
        for (index, phase) in scenario
            .phases
            .iter()
            .enumerate()
            .filter(|(_, phase)| phase.role == PhaseRole::Spike)
        {
            let fell = Some(at(index + 1));
            // Adjacent spikes are one: the load does not fall between them.
            match spikes
                .last_mut()
                .filter(|_| last.is_some_and(|last: usize| last + 1 == index))
            {
                Some(known) => known.fell = fell,
                None => spikes.push(Span {
                    name: phase.name.clone(),
                    rose: Some(at(index)),
                    fell,
                }),
            }
            last = Some(index);
        }
        if let Some(stopped) = stopped {
            spikes.retain(|span| span.rose.is_some_and(|rose| rose < stopped));
            for span in &mut spikes {
                span.fell = span.fell.filter(|fell| *fell <= stopped);
            }
        }
        if spikes.is_empty() {
            spikes.push(Span {
                name: "load".to_owned(),
                rose: None,
                fell: None,
            });
        }
        Self {
            started,
            spikes,
            ended: stopped.unwrap_or(after(started, schedule.end())),
            planned: true,
            stopped,
        }
    }

    /// Computes the times of a load that Spikeproof does not send. It fell when the metric was
    /// first below the low alarm's threshold, after the group had grown.
    pub fn watched(timeline: &Timeline) -> Self {
        let started = timeline
            .groups()
            .next()
            .map(|(at, _)| at)
            .unwrap_or_default();
        let grown = growths(timeline, started).next();
        let fired = grown.and_then(|grown| alarms::first(timeline, grown, None, false));
        let fell = fired.map(|fired| fired.breach.map_or(fired.at, |(at, _)| at));
        Self {
            started,
            spikes: vec![Span {
                name: "load".to_owned(),
                rose: None,
                fell,
            }],
            ended: timeline.groups().next_back().map_or(started, |(at, _)| at),
            planned: false,
            stopped: None,
        }
    }

    /// Returns the time when the first spike rose.
    pub fn rose(&self) -> Option<Timestamp> {
        self.spikes.first().and_then(|span| span.rose)
    }

    /// Returns the time when the load fell from its last spike.
    pub fn dropped(&self) -> Option<Timestamp> {
        self.spikes.last().and_then(|span| span.fell)
    }
}

/// Returns each look at which the group wanted more instances than at the one before.
fn growths(timeline: &Timeline, since: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
    let mut before = None;
    timeline.groups().filter_map(move |(at, group)| {
        let last = before.replace(group.desired);
        (at >= since && last.is_some_and(|last| group.desired > last)).then_some(at)
    })
}

/// Reads the reaction. `limit` is the limit of p95; `None` where Spikeproof does not send the load.
pub fn react(
    scenario: &Scenario,
    results: &Results,
    timeline: &Timeline,
    times: &Times,
    load: &[Second],
    limit: Option<Limit>,
) -> Reaction {
    let mut launched = instances::launched(timeline, times.started);
    for one in &mut launched {
        one.first_answer = results
            .first_answer(&one.id)
            .map(|since| after(times.started, since));
        one.sharpen();
    }
    let mut reaction = Reaction {
        launched,
        left: instances::left(timeline, times.started),
        ..Reaction::default()
    };
    if let Some(group) = instances::group_at(timeline, times.started) {
        reaction.desired_before = group.desired;
        reaction.max = group.max;
    }
    let since = timeline.groups().filter(|(at, _)| *at >= times.started);
    reaction.desired_peak = since
        .map(|(_, group)| group.desired)
        .max()
        .unwrap_or(0)
        .max(reaction.desired_before);
    reaction.desired_after = timeline
        .groups()
        .next_back()
        .map_or(reaction.desired_before, |(_, group)| group.desired);
    reaction.grew = growths(timeline, times.started).next().is_some();
    reaction.alarmed_before = alarms::before(timeline, times.started);
    let decisions = decisions(timeline, times.started);
    reaction.resized = resized(timeline, &decisions, &reaction);
    let seen = spikes::SpikeEvidence {
        timeline,
        load,
        times,
        decisions: &decisions,
        reaction: &reaction,
        limit,
    };
    let spikes = spikes::all(&seen);
    reaction.answer(spikes);
    let wait = scale_in::unavoidable_in(timeline, &reaction.launched, times.dropped());
    reaction.in_bound = scale_in::in_bound(scenario, timeline, wait.as_ref());
    reaction.in_unavoidable = wait.as_ref().map(|wait| wait.lasts);
    reaction.in_waits_for_setting = wait.map(|wait| wait.reason);
    reaction
}

impl Reaction {
    /// Takes the first spike's scale-out, the last one's scale-in, and the longest time of each.
    fn answer(&mut self, spikes: Vec<Spike>) {
        let (Some(first), Some(last)) = (spikes.first(), spikes.last()) else {
            return;
        };
        self.out.clone_from(&first.out);
        self.back.clone_from(&last.back);
        self.open = spikes.iter().flat_map(|spike| spike.open.clone()).collect();
        self.out_unavoidable = first.out_unavoidable;
        self.out_lag = first.out_lag;
        self.out_took = spikes.iter().filter_map(|spike| spike.out_took).max();
        // A group that never shrank after its last spike has not come back, however fast it did
        // before.
        self.in_took = last
            .in_took
            .and_then(|_| spikes.iter().filter_map(|spike| spike.in_took).max());
        self.low_before = last.low_before;
        self.in_ahead = last.in_ahead;
        if spikes.len() > 1 {
            self.spikes = spikes;
        }
    }
}

/// Returns every decision since a moment, in order. All activities of one decision tell the same
/// one.
fn decisions(timeline: &Timeline, since: Timestamp) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = Vec::new();
    for activity in timeline
        .activities()
        .into_iter()
        .filter(|activity| activity.start >= since)
    {
        for decision in activity.decisions() {
            if decision.from != decision.to && !decisions.contains(&decision) {
                decisions.push(decision);
            }
        }
    }
    decisions.sort_by_key(|decision| decision.at);
    decisions
}

/// Returns the effect of each decision: the instances that came or left before the next one.
fn resized(timeline: &Timeline, decisions: &[Decision], reaction: &Reaction) -> Vec<Resized> {
    let of = |(index, decision): (usize, &Decision)| {
        let until = decisions.get(index + 1).map(|next| next.at);
        let within = |at: Timestamp| at >= decision.at && until.is_none_or(|until| at < until);
        let done: Option<Vec<Timestamp>> = match decision.to > decision.from {
            true => {
                let launched = reaction
                    .launched
                    .iter()
                    .filter(|one| one.may_have_grown() && within(one.launched.at));
                launched.map(super::instances::Launched::serves).collect()
            }
            false => {
                let left = reaction
                    .left
                    .iter()
                    .filter(|one| one.why == Why::ScaledIn && within(one.began.at));
                left.map(|one| one.gone.map(|seen| seen.at)).collect()
            }
        };
        let fired = alarms::behind(timeline, decision);
        Resized {
            at: decision.at,
            from: decision.from,
            to: decision.to,
            policy: decision.policy.clone(),
            alarm: fired.as_ref().map(|fired| fired.at),
            breach: fired.and_then(|fired| fired.breach).map(|(at, _)| at),
            done: done.and_then(|all| all.into_iter().max()),
        }
    };
    decisions.iter().enumerate().map(of).collect()
}
