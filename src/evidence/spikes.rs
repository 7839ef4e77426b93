//! The chain of each spike, in time order. It has every moment from the load's rise to the new
//! instances' answers, and from its fall to the end of the instances that left. Moments that were
//! not seen are named.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OpenLink;
use crate::alarms::{self, Fired};
use crate::instances::{self, Launched, SECOND, after, between};
use crate::load::Second;
use crate::moment::{self, DecidedBy, EXACT, Moment, MomentKind, Origin};
use crate::reaction::{Reaction, Span, Times};
use crate::timeline::{Decision, NotScaled, Timeline};
use model::scenario::Limit;
use model::units::{Seconds, seconds};

mod back;
mod latency;

use latency::{Latency, STEADY, latency_back};

/// One spike, and the group's reaction to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spike {
    /// The name of its first phase; `load` where there is no spike.
    pub name: String,
    /// The moments of the scale-out, earliest first.
    pub out: Vec<Moment>,
    /// The moments of the scale-in, earliest first; empty where the load did not fall.
    pub back: Vec<Moment>,
    /// Links that were not seen, or that differ from the expected order.
    pub open: Vec<OpenLink>,
    /// Time from the breach to the first new instance in service.
    #[serde(
        rename = "out_took_s",
        alias = "out_took",
        with = "seconds::option",
        default
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_took: Option<Duration>,
    /// The part of `out_took_s` that the alarm needs: its datapoints times its period.
    #[serde(
        rename = "out_unavoidable_s",
        alias = "out_unavoidable",
        with = "seconds::option",
        default
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_unavoidable: Option<Duration>,
    /// Time from the end of the alarm's window until it fired, in which CloudWatch published and
    /// evaluated the datapoints.
    #[serde(
        rename = "out_lag_s",
        alias = "out_lag",
        with = "seconds::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub out_lag: Option<Duration>,
    /// Time from the fall to the first instance that leaves; absent if the low alarm had fired
    /// before the fall.
    #[serde(
        rename = "in_took_s",
        alias = "in_took",
        with = "seconds::option",
        default
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_took: Option<Duration>,
    /// Time when the low alarm fired, if that was before the load fell.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub low_before: Option<Timestamp>,
    /// Time for which the metric was already below the low alarm's threshold when the load fell.
    /// That part of the alarm's window had passed by then.
    #[serde(
        rename = "in_ahead_s",
        alias = "in_ahead",
        with = "seconds::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Seconds>")]
    pub in_ahead: Option<Duration>,
}

/// The evidence from which the chains are read.
pub(crate) struct SpikeEvidence<'a> {
    pub timeline: &'a Timeline,
    pub load: &'a [Second],
    pub times: &'a Times,
    pub decisions: &'a [Decision],
    pub reaction: &'a Reaction,
    /// The limit of p95; `None` where Spikeproof does not send the load.
    pub limit: Option<Limit>,
}

/// Returns a chain for each spike of the load, in order.
pub(crate) fn all(seen: &SpikeEvidence<'_>) -> Vec<Spike> {
    let spans = &seen.times.spikes;
    let next = |index: usize| {
        spans
            .get(index + 1)
            .and_then(|next| next.rose)
            .unwrap_or(Timestamp::MAX)
    };
    spans
        .iter()
        .enumerate()
        .map(|(index, span)| {
            let mut spike = Spike {
                name: span.name.clone(),
                ..Spike::default()
            };
            let from = if index == 0 {
                seen.times.started
            } else {
                span.rose.unwrap_or(seen.times.started)
            };
            seen.out(&mut spike, span, from, next(index));
            seen.back(&mut spike, span, next(index));
            spike
        })
        .collect()
}

impl SpikeEvidence<'_> {
    /// Reads the scale-out. Changes of the group between `from` and `until`, the rise of the next
    /// spike, may answer this spike.
    fn out(&self, spike: &mut Spike, span: &Span, from: Timestamp, until: Timestamp) {
        let rose = span.rose.unwrap_or(self.times.started);
        let grows = |one: &&Decision, from: Timestamp| {
            one.to > one.from && after(one.at, SECOND) > from && one.at < until
        };
        let growth = self.decisions.iter().find(|one| grows(one, rose));
        let early = self
            .decisions
            .iter()
            .find(|one| growth.is_none() && grows(one, from));
        let begins = early.map_or(rose, |early| early.at);
        let moments = &mut spike.out;
        if let Some(early) = early {
            spike.open.push(OpenLink::GrewBeforeTheSpike {
                from: early.from,
                to: early.to,
                after_start_s: between(self.times.started, early.at).into(),
            });
        } else if let Some(at) = span.rose {
            moments.push(Moment::new(MomentKind::LoadRose, at, Origin::Plan, EXACT));
        }
        let growth = growth.or(early);
        if let Some(fired) = self.fired(growth, begins, until) {
            spike.out_unavoidable = Some(fired.alarm.window());
            if fired.at >= rose || early.is_some() {
                spike.out_lag = fired
                    .breach
                    .map(|(at, _)| between(after(at, fired.alarm.window()), fired.at));
                moments.extend(breach(&fired));
                moments.push(Moment::new(
                    MomentKind::Alarm,
                    fired.at,
                    fired.origin(),
                    EXACT,
                ));
            } else {
                spike.open.push(OpenLink::FiredBeforeTheRise {
                    alarm: fired.alarm.name.clone(),
                });
            }
        }
        if let Some(growth) = growth {
            let origin = self.decision(growth, DecidedBy::FirstLaunch);
            moments.push(Moment::new(MomentKind::Decided, growth.at, origin, SECOND));
        }
        let base = growth.map_or(begins, |growth| growth.at);
        let of_it = |at: Timestamp| after(at, SECOND) > base && at < until;
        let fresh = self
            .reaction
            .launched
            .iter()
            .filter(|one| one.may_have_grown() && of_it(one.launched.at));
        let fresh: Vec<&Launched> = fresh.collect();
        self.instances(spike, &fresh);
        if growth.is_some() {
            spike.open.extend(self.never_seen(&spike.out));
        } else if spike.out_unavoidable.is_none() {
            spike
                .open
                .extend(self.still_large_enough(span, rose, until));
        }
        let refused = self.not_scaled((begins, until), growth);
        spike.open.extend(refused);
        if early.is_none() {
            self.latency(spike, span, rose);
        }
        in_order(&mut spike.out, rose);
        spike.out_took = moment::first(&spike.out, MomentKind::Breach)
            .zip(moment::first(&spike.out, MomentKind::InService))
            .map(|(breach, service)| between(breach.at, service.at));
    }

    /// Returns the alarm behind the growth, or else the first that fired.
    fn fired(
        &self,
        growth: Option<&Decision>,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<Fired<'_>> {
        let named = growth.and_then(|one| one.alarm.as_deref());
        let behind = growth.and_then(|growth| alarms::behind(self.timeline, growth));
        behind.or_else(|| {
            alarms::first(self.timeline, from, named, true).filter(|fired| fired.at < until)
        })
    }

    fn instances(&self, spike: &mut Spike, fresh: &[&Launched]) {
        let moments = &mut spike.out;
        let by_activity = self
            .timeline
            .activities()
            .iter()
            .any(|activity| activity.grows());
        if let Some(first) = fresh.iter().min_by_key(|one| one.launched.at) {
            let instance = first.id.clone();
            let origin = match (
                self.is_service(),
                by_activity && first.launched.within == SECOND,
            ) {
                (true, _) if first.launched.within == EXACT => Origin::CreatedAt { instance },
                (false, true) => Origin::LaunchActivity { instance },
                _ => Origin::FirstThere { instance },
            };
            moments.push(Moment::new(
                MomentKind::LaunchBegan,
                first.launched.at,
                origin,
                first.launched.within,
            ));
        }
        let Some((first, service)) = earliest(fresh, |one| one.in_service) else {
            return;
        };
        let instance = first.id.clone();
        let origin = if service.within == EXACT {
            Origin::StartedAt { instance }
        } else {
            Origin::LifecycleState { instance }
        };
        moments.push(Moment::new(
            MomentKind::InService,
            service.at,
            origin,
            service.within,
        ));
        let healthy = earliest(fresh, |one| one.healthy);
        if let Some((first, seen)) = healthy {
            moments.push(Moment::new(
                MomentKind::Healthy,
                seen.at,
                Origin::TargetHealth {
                    instance: first.id.clone(),
                },
                seen.within,
            ));
        }
        let answered = fresh
            .iter()
            .filter_map(|one| Some((one, one.first_answer?)))
            .min_by_key(|(_, at)| *at);
        let could = if self.has_targets() {
            healthy
        } else {
            Some((first, service))
        };
        if let Some((first, at)) = answered {
            let instance = first.id.clone();
            let origin = Origin::AnswerHeader { instance };
            moments.push(Moment::new(MomentKind::FirstRequest, at, origin, EXACT));
        } else if let Some((first, seen)) = could {
            let instance = first.id.clone();
            moments.push(Moment::new(
                MomentKind::FirstRequest,
                seen.at,
                Origin::ReadyWithoutHeader { instance },
                seen.within,
            ));
        }
    }

    /// Returns the reasons that Application Auto Scaling gave for not growing, each once. After a
    /// decision, a policy that asks for no more only waits for what it has asked for.
    fn not_scaled(
        &self,
        (from, until): (Timestamp, Timestamp),
        growth: Option<&Decision>,
    ) -> Vec<OpenLink> {
        let mut found: Vec<OpenLink> = Vec::new();
        for (at, why) in self.timeline.not_grown() {
            let is_asked = matches!(why, NotScaled::AtDesired { .. })
                && growth.is_some_and(|growth| growth.at <= at);
            let link = OpenLink::NotScaled { why: why.clone() };
            if at >= from && at < until && !is_asked && !found.contains(&link) {
                found.push(link);
            }
        }
        found
    }

    /// Returns the size of a group that is still larger than at the start of the load, if no alarm
    /// asked for more between a rise of the load and its fall.
    fn still_large_enough(
        &self,
        span: &Span,
        rose: Timestamp,
        until: Timestamp,
    ) -> Option<OpenLink> {
        let instances = instances::group_at(self.timeline, rose)?.desired;
        let fell = span.fell.unwrap_or(self.times.ended).min(until);
        let seconds = between(rose, fell).as_secs() as usize;
        let wanted = alarms::wanted_more(self.timeline, rose, seconds);
        (instances > self.reaction.desired_before && !wanted.contains(&true))
            .then_some(OpenLink::NoAlarmAskedForMore { instances })
    }

    fn decision(&self, decision: &Decision, by: DecidedBy) -> Origin {
        Origin::Decision {
            activity: if self.is_service() {
                DecidedBy::ServiceActivity
            } else {
                by
            },
            from: decision.from,
            to: decision.to,
            policy: decision.policy.clone(),
        }
    }

    fn is_service(&self) -> bool {
        self.timeline
            .groups()
            .next()
            .is_some_and(|(_, group)| group.is_service)
    }

    fn has_targets(&self) -> bool {
        self.timeline.targets().next().is_some()
    }

    /// Returns the moments that must follow a decision to grow, but were not seen.
    fn never_seen(&self, moments: &[Moment]) -> Vec<OpenLink> {
        let links = [
            MomentKind::LaunchBegan,
            MomentKind::InService,
            MomentKind::Healthy,
            MomentKind::FirstRequest,
        ]
        .into_iter();
        let expected = links.filter(|kind| *kind != MomentKind::Healthy || self.has_targets());
        let missing = expected.filter(|kind| moment::first(moments, *kind).is_none());
        missing.map(|moment| OpenLink::NotSeen { moment }).collect()
    }

    /// Adds the return of latency. It counts as the group's doing only between a new instance's
    /// first request and the fall of the load.
    fn latency(&self, spike: &mut Spike, span: &Span, rose: Timestamp) {
        let Some(limit) = self.limit else { return };
        let serves = moment::first(&spike.out, MomentKind::FirstRequest).map(|moment| moment.at);
        let fell = span.fell.unwrap_or(self.times.ended);
        match latency_back(
            self.load,
            self.times.started,
            (rose, serves, fell),
            limit.p95,
        ) {
            Latency::Kept => {}
            Latency::Unknown => spike.open.push(OpenLink::LatencyUnknown),
            Latency::Back { at, within } => {
                let origin = Origin::LatencyLimit {
                    p95_s: limit.p95.into(),
                    steady_s: STEADY as u32,
                    assumed: !limit.asked,
                };
                spike
                    .out
                    .push(Moment::new(MomentKind::LatencyBack, at, origin, within));
            }
            Latency::Alone => spike.open.push(OpenLink::LatencyBackWithoutNewInstance),
            Latency::AfterTheFall => spike.open.push(OpenLink::LatencyBackAtTheFall),
            Latency::Never => spike.open.push(OpenLink::LatencyNeverBack),
        }
    }
}

fn breach(fired: &Fired<'_>) -> Option<Moment> {
    let (at, value) = fired.breach?;
    let origin = Origin::Datapoint {
        alarm: fired.alarm.name.clone(),
        value,
        in_history: !fired.inferred,
    };
    Some(Moment::new(
        MomentKind::Breach,
        at,
        origin,
        fired.alarm.period,
    ))
}

/// Sorts moments by time. A datapoint bears the start of its period, so a breach whose period
/// contains the rise sorts as if at the rise.
fn in_order(moments: &mut [Moment], rose: Timestamp) {
    moments.sort_by_key(|moment| match moment.kind {
        MomentKind::Breach if after(moment.at, moment.resolution) >= rose => moment.at.max(rose),
        _ => moment.at,
    });
}

fn earliest<'a>(
    all: &[&'a Launched],
    of: impl Fn(&Launched) -> Option<instances::Sighting>,
) -> Option<(&'a Launched, instances::Sighting)> {
    all.iter()
        .filter_map(|one| Some((*one, of(one)?)))
        .min_by_key(|(_, seen)| seen.at)
}

#[cfg(test)]
mod tests;
