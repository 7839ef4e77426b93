//! Reads the scale-in: from the fall of the load until the group is back at its first size.

use jiff::Timestamp;

use super::{Spike, SpikeEvidence};
use crate::OpenLink;
use crate::alarms;
use crate::instances::{self, SECOND, Why, after, between};
use crate::moment::{DecidedBy, EXACT, Moment, MomentKind, Origin};
use crate::reaction::Span;
use crate::timeline::Decision;

impl SpikeEvidence<'_> {
    pub(super) fn back(&self, spike: &mut Spike, span: &Span, until: Timestamp) {
        let Some(dropped) = span.fell else {
            if self.times.stopped.is_some() {
                spike.open.push(OpenLink::StoppedBeforeTheFall);
            }
            return;
        };
        let moments = &mut spike.back;
        moments.push(match self.times.planned {
            true => Moment::new(MomentKind::LoadFell, dropped, Origin::Plan, EXACT),
            false => Moment::new(
                MomentKind::LoadFell,
                dropped,
                Origin::FirstLowDatapoint,
                SECOND,
            ),
        });
        self.low_alarm(spike, dropped, until);
        self.leaving(spike, dropped, until);
        let moments = &mut spike.back;
        moments.extend(self.at_the_start_again(dropped, until));
        moments[1..].sort_by_key(|moment| moment.at);
    }

    /// Adds the low alarm, and the decision that followed from it. A user's decision is no answer to
    /// the fall.
    fn low_alarm(&self, spike: &mut Spike, dropped: Timestamp, until: Timestamp) {
        let shrinks = |one: &&Decision| {
            let is_then = after(one.at, SECOND) > dropped && one.at < until;
            one.to < one.from && !one.by_hand && is_then
        };
        let shrink = self.decisions.iter().find(shrinks);
        let named = shrink.and_then(|one| one.alarm.as_deref());
        let behind = shrink.and_then(|shrink| alarms::behind(self.timeline, shrink));
        let fired = behind.or_else(|| {
            alarms::first(self.timeline, dropped, named, false).filter(|one| one.at < until)
        });
        match fired {
            Some(fired) if fired.at < dropped => {
                spike.low_before = Some(fired.at);
                spike.open.push(OpenLink::LowAlarmBeforeTheFall {
                    alarm: fired.alarm.name.clone(),
                    before_s: between(fired.at, dropped).into(),
                });
            }
            Some(fired) => {
                spike.back.push(Moment::new(
                    MomentKind::LowAlarm,
                    fired.at,
                    fired.origin(),
                    EXACT,
                ));
                // The period in which the load fell is low because of the fall.
                let first = fired
                    .breach
                    .map(|(at, _)| at)
                    .filter(|at| after(*at, fired.alarm.period) <= dropped);
                spike.in_ahead = first.map(|at| between(at, dropped));
                spike.open.extend(
                    spike
                        .in_ahead
                        .map(|ahead| OpenLink::MetricLowBeforeTheFall {
                            alarm: fired.alarm.name.clone(),
                            before_s: ahead.into(),
                        }),
                );
            }
            None => {}
        }
        if let Some(shrink) = shrink {
            let origin = self.decision(shrink, DecidedBy::FirstTermination);
            spike.back.push(Moment::new(
                MomentKind::DecidedToShrink,
                shrink.at,
                origin,
                SECOND,
            ));
        }
    }

    /// Adds the first instance that left, and its later moments.
    fn leaving(&self, spike: &mut Spike, dropped: Timestamp, until: Timestamp) {
        let mut left = self
            .reaction
            .left
            .iter()
            .filter(|one| matches!(one.why, Why::ScaledIn | Why::Other));
        if let Some(first) = left.find(|one| one.began.at >= dropped && one.began.at < until) {
            let instance = first.id.clone();
            let origin = match (first.began.within > SECOND, self.is_service()) {
                (true, _) => Origin::FirstLeaving { instance },
                (false, true) => Origin::StoppingAt { instance },
                (false, false) => Origin::TerminationActivity { instance },
            };
            spike.back.push(Moment::new(
                MomentKind::ShrinkingBegan,
                first.began.at,
                origin,
                first.began.within,
            ));
            if spike.low_before.is_none() {
                spike.in_took = Some(between(dropped, first.began.at));
            }
            for (kind, seen) in [
                (MomentKind::Draining, first.draining),
                (MomentKind::Terminated, first.gone),
            ] {
                spike.back.extend(seen.map(|seen| {
                    let instance = first.id.clone();
                    Moment::new(kind, seen.at, Origin::Polled { instance }, seen.within)
                }));
            }
            if first.gone.is_none() {
                spike.open.push(OpenLink::NotSeen {
                    moment: MomentKind::Terminated,
                });
            }
        }
    }

    fn at_the_start_again(&self, dropped: Timestamp, until: Timestamp) -> Option<Moment> {
        let before = self.reaction.desired_before;
        let mut looks = self.timeline.group_looks();
        let is_back =
            looks.find(|(at, _, group)| *at > dropped && *at < until && group.desired <= before);
        let (at, look_before, _) = is_back.filter(|_| self.reaction.scaled_out())?;
        let resolution = look_before.map_or(instances::POLLED, |before| between(before, at));
        Some(Moment::new(
            MomentKind::BackAtTheStart,
            at,
            Origin::DesiredCapacity,
            resolution,
        ))
    }
}
