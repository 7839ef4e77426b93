//! How the group reacted to each spike: every moment of its scale-out and its scale-in, on one
//! clock.
//!
//! Where each moment comes from, and which obvious field is wrong: breach = the first breaching
//! datapoint in the alarm's history, never the time in an activity's `Cause` (an alarm with a
//! scaling action fires again every minute); in service = the lifecycle state that polling saw,
//! never the activity's `EndTime` (it includes the warm-up).

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OpenLink;
use crate::alarms;
use crate::instances::{self, Launched, Left, Why, after};
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
    /// When the alarm's action ran, by the cause of the activity.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Desired capacity before.
    pub from: u32,
    /// Desired capacity after.
    pub to: u32,
    /// The policy that decided it; `None` where the cause names none.
    pub policy: Option<String>,
    /// When the alarm that asked for it had fired, and its first breaching datapoint.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub alarm: Option<Timestamp>,
    /// The start of that datapoint; `None` where it is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub breach: Option<Timestamp>,
    /// When all that it launched served, or all that it took away was gone; nothing if some never
    /// was.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub done: Option<Timestamp>,
}

/// How the group reacted: the moments of its scale-out and its scale-in, in order, and each
/// instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reaction {
    /// Of the first spike.
    pub out: Vec<Moment>,
    /// Of the last spike.
    pub back: Vec<Moment>,
    /// Links of the two that were not seen, or not as one expects, and why.
    pub open: Vec<OpenLink>,
    /// Where the load has several spikes, each with its own chain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<Spike>,
    /// Every change of its size.
    pub resized: Vec<Resized>,
    /// Each instance that the group launched under the load.
    pub launched: Vec<Launched>,
    /// Each instance that left.
    pub left: Vec<Left>,
    /// Breach to the first new instance in service; of several spikes, the longest.
    #[serde(rename = "out_took_s", alias = "out_took", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub out_took: Option<Duration>,
    /// The part of it that the policy makes unavoidable: its datapoints times its period.
    #[serde(
        rename = "out_unavoidable_s",
        alias = "out_unavoidable",
        with = "seconds::option"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_unavoidable: Option<Duration>,
    /// From the end of that window until the alarm fired: CloudWatch's own time to publish and to
    /// evaluate.
    #[serde(
        rename = "out_lag_s",
        alias = "out_lag",
        with = "seconds::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_lag: Option<Duration>,
    /// Load drop to the first instance that leaves; of several spikes, the longest.
    #[serde(rename = "in_took_s", alias = "in_took", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub in_took: Option<Duration>,
    /// The part of it that the group's settings make unavoidable, and which.
    #[serde(
        rename = "in_unavoidable_s",
        alias = "in_unavoidable",
        with = "seconds::option"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_unavoidable: Option<Duration>,
    /// The setting that it waits for. Not in reports of versions 1 to 4.
    #[serde(
        deserialize_with = "moment::known",
        skip_serializing_if = "Option::is_none"
    )]
    pub in_waits_for_setting: Option<WaitReason>,
    /// That setting as a sentence, which the report writes; empty before.
    pub in_waits_for: String,
    /// The alarm for less that made it shrink had fired already when the load fell.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub low_before: Option<Timestamp>,
    /// For so long the metric had lain under that alarm when the load fell.
    #[serde(
        rename = "in_ahead_s",
        alias = "in_ahead",
        with = "seconds::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_ahead: Option<Duration>,
    /// The limit of `in_took` that the scenario asks for; `None` where none can be computed.
    #[serde(rename = "in_bound_s", alias = "in_bound", with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub in_bound: Option<Duration>,
    /// Desired capacity when the load began.
    pub desired_before: u32,
    /// Highest desired capacity since then.
    pub desired_peak: u32,
    /// Desired capacity at the end of the watch.
    pub desired_after: u32,
    /// Its desired capacity rose at some time under the load, if only to what it had been before.
    pub grew: bool,
    /// The group's maximum size when the load began.
    pub max: u32,
    /// The alarm that asks for more had fired before the load began.
    pub alarmed_before: Option<String>,
}

impl Reaction {
    /// When it happened: in the first scale-out, or else in the last scale-in.
    pub fn moment(&self, kind: MomentKind) -> Option<Timestamp> {
        moment::first(&self.out, kind)
            .or_else(|| moment::first(&self.back, kind))
            .map(|moment| moment.at)
    }

    /// Its desired capacity rose at some time under the load.
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
    /// Nothing where the load is not ours, or has no spike.
    pub rose: Option<Timestamp>,
    /// Nothing where it did not fall, or not by its plan.
    pub fell: Option<Timestamp>,
}

/// The load's own moments on the wall clock.
pub struct Times {
    /// The agreed start instant; of a watch, the first look at the group.
    pub started: Timestamp,
    /// At least one, and if only the whole load.
    pub spikes: Vec<Span>,
    /// When the load ended; of a watch, the last look at the group.
    pub ended: Timestamp,
    /// The load is ours: else its fall is read off the alarm that asks for less.
    pub planned: bool,
    /// Before its plan did.
    pub stopped: Option<Timestamp>,
}

impl Times {
    /// `ran`: for so long the load was there, where it was stopped early.
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
            // Spikes that touch are one: the load does not fall between them.
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

    /// Of a load that somebody else makes: it fell when the metric first lay under the alarm that
    /// asks for less, after the group had grown.
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

    /// When the first spike rose.
    pub fn rose(&self) -> Option<Timestamp> {
        self.spikes.first().and_then(|span| span.rose)
    }

    /// When the load fell from its last spike.
    pub fn dropped(&self) -> Option<Timestamp> {
        self.spikes.last().and_then(|span| span.fell)
    }
}

/// Each look at which the group wanted more than at the one before.
fn growths(timeline: &Timeline, since: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
    let mut before = None;
    timeline.groups().filter_map(move |(at, group)| {
        let last = before.replace(group.desired);
        (at >= since && last.is_some_and(|last| group.desired > last)).then_some(at)
    })
}

/// `limit`: what p95 has to stay under, where the load is ours.
pub fn react(
    scenario: &Scenario,
    results: &Results,
    timeline: &Timeline,
    times: &Times,
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
        results,
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
    /// The first spike's scale-out, the last one's scale-in, and the longest of each.
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
        // A group that never left its last spike has not come back, however fast it did before.
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

/// Every decision since a moment, in order. Each instance's activity tells the same decision.
fn decisions(timeline: &Timeline, since: Timestamp) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = Vec::new();
    for activity in timeline
        .activities()
        .into_iter()
        .filter(|activity| activity.start >= since)
    {
        let decision = activity
            .decision()
            .filter(|decision| decision.from != decision.to);
        decisions.extend(decision.filter(|decision| !decisions.contains(decision)));
    }
    decisions.sort_by_key(|decision| decision.at);
    decisions
}

/// What came of each decision: what came or left from then on until the next one.
fn resized(timeline: &Timeline, decisions: &[Decision], reaction: &Reaction) -> Vec<Resized> {
    let of = |(index, decision): (usize, &Decision)| {
        let until = decisions.get(index + 1).map(|next| next.at);
        let within = |at: Timestamp| at >= decision.at && until.is_none_or(|until| at < until);
        let done: Option<Vec<Timestamp>> = match decision.to > decision.from {
            true => {
                let launched = reaction
                    .launched
                    .iter()
                    .filter(|one| !one.replaces && within(one.launched.at));
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
