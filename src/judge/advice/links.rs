//! Finds the link of scaling out that took longest, by the moments that were seen. A moment may be
//! missing, and the load may have ended before the group was there.

use std::time::Duration;

use jiff::Timestamp;

use super::content::{
    Answer, Aside, Basis, Content, LoadRise, Longest, OwnWindow, SlowestLink, Unfinished,
};
use super::{Evidence, Topic};
use evidence::Confidence;
use evidence::instances::{self, after, between};
use evidence::moment::{self, Moment, MomentKind};

/// The links that end with a served request, in the order in which one causes the next.
const CHAIN: [MomentKind; 7] = [
    MomentKind::Breach,
    MomentKind::Alarm,
    MomentKind::Decided,
    MomentKind::LaunchBegan,
    MomentKind::InService,
    MomentKind::Healthy,
    MomentKind::FirstRequest,
];
/// Seconds at the end of the load; latency that misses its limit there did not come back.
const LAST: usize = 3;

pub(super) fn slowest(evidence: &Evidence<'_>) -> Option<Answer> {
    let mut moments = of_one_chain(&evidence.reaction.out);
    let aside = aside(&evidence.reaction.out, &moments);
    // The time of a rise is the load's own, and the group's part begins with the breach.
    let load_rise = load_rise(evidence, &moments);
    if load_rise.is_some() {
        moments.retain(|one| one.kind != MomentKind::LoadRose);
    }
    let (first, last) = (*moments.first()?, *moments.last()?);
    let whole = between(first.at, last.at);
    let links = moments
        .windows(2)
        .map(|pair| (pair[0], pair[1], between(pair[0].at, pair[1].at)));
    let longest = links.max_by_key(|(_, _, took)| *took);
    let unfinished = unfinished(evidence, &moments);
    let (longest, basis, confidence) = match (longest, &unfinished) {
        (longest, Some(open)) if longest.is_none_or(|(_, _, took)| took <= open.lasted) => {
            (None, vec![last.clone()], Confidence::Medium)
        }
        (Some((from, to, took)), open) => {
            let is_clear = took > (from.resolution + to.resolution) * 2 && open.is_none();
            let confidence = if is_clear {
                Confidence::High
            } else {
                Confidence::Medium
            };
            let longest = Longest {
                from: from.kind,
                to: to.kind,
                took,
                first: first.kind,
                last: last.kind,
                whole,
            };
            (Some(longest), vec![from.clone(), to.clone()], confidence)
        }
        (None, _) => return None,
    };
    let link = SlowestLink {
        longest,
        unfinished,
        own_window: own_window(evidence, whole),
        load_rise,
        aside,
    };
    let confidence = evidence
        .weakness
        .map_or(confidence, |_| confidence.min(Confidence::Medium));
    Some(Answer::new(
        Topic::SlowestLink,
        Content::SlowestLink(link),
        Basis::Moments(basis),
        confidence,
    ))
}

/// Shortest rise, in seconds, that is more than a jump.
const JUMP: u32 = 3;
/// Share by which a load must have risen lately to be rising still.
const RISING: f64 = 0.02;

/// Returns the rise of a load that was still rising when the metric breached. `None` for a load that
/// jumped, or that had reached its level before: then the group took its time.
fn load_rise(evidence: &Evidence<'_>, moments: &[&Moment]) -> Option<LoadRise> {
    let find = |kind| moments.iter().find(|one| one.kind == kind);
    let (rose, breach) = (find(MomentKind::LoadRose)?, find(MomentKind::Breach)?);
    let second = |at| instances::second(evidence.started, at);
    let (from, until) = (second(rose.at)?, second(breach.at)?);
    let took = until.checked_sub(from).filter(|took| *took >= JUMP)?;
    let level = |second: u32| Some(evidence.seconds.get(second as usize)?.demand);
    let lately = level(until - (took / 4).max(1))?;
    let to = level(until)?;
    (lately < to * (1.0 - RISING)).then_some(LoadRise {
        took: between(rose.at, breach.at),
        from: level(from)?,
        to,
    })
}

fn own_window(evidence: &Evidence<'_>, whole: Duration) -> Option<OwnWindow> {
    let window = evidence.reaction.out_unavoidable?;
    let share = window.as_secs_f64() / whole.max(window).as_secs_f64().max(f64::EPSILON);
    Some(OwnWindow { window, share })
}

/// Returns the moments of one chain in time order. It leaves out a rise of the load after the
/// chain's first moment, and latency that was back before a new instance served.
fn of_one_chain(moments: &[Moment]) -> Vec<&Moment> {
    let mut chain: Vec<&Moment> = moments
        .iter()
        .filter(|one| CHAIN.contains(&one.kind))
        .collect();
    chain.sort_by_key(|moment| moment.at);
    if let Some(rose) = moment::first(moments, MomentKind::LoadRose)
        .filter(|rose| chain.first().is_none_or(|first| rose.at <= first.at))
    {
        chain.insert(0, rose);
    }
    let served = chain
        .iter()
        .find(|one| one.kind == MomentKind::FirstRequest)
        .map(|one| one.at);
    if let Some(back) = moment::first(moments, MomentKind::LatencyBack)
        .filter(|back| served.is_some_and(|served| back.at >= served))
    {
        chain.push(back);
    }
    chain
}

/// Returns the reason why a moment of the chain is left out. A breaching period may begin before
/// the rise of the load that makes it breach; that rise is not left out.
fn aside(all: &[Moment], used: &[&Moment]) -> Option<Aside> {
    let first = used.first().map(|first| after(first.at, first.resolution));
    let rose_later = all
        .iter()
        .any(|one| one.kind == MomentKind::LoadRose && first.is_some_and(|first| one.at > first));
    let is_latency_back = |one: &Moment| one.kind == MomentKind::LatencyBack;
    let is_left_out =
        all.iter().any(is_latency_back) && !used.iter().any(|one| is_latency_back(one));
    match (rose_later, is_left_out) {
        (true, _) => Some(Aside::GrewBeforeTheSpike),
        (_, true) => Some(Aside::LatencyBackBefore),
        _ => None,
    }
}

fn unfinished(evidence: &Evidence<'_>, moments: &[&Moment]) -> Option<Unfinished> {
    let last = moments.last()?;
    let stopped: Timestamp = after(
        evidence.started,
        Duration::from_secs(evidence.seconds.len() as u64),
    );
    let next = CHAIN
        .iter()
        .skip_while(|kind| **kind != last.kind)
        .nth(1)
        .copied();
    let open = |to: MomentKind| Unfinished {
        from: last.kind,
        to,
        lasted: between(last.at, stopped),
    };
    match last.kind {
        // No alarm fired or no instance was asked for, so no chain has begun.
        MomentKind::LoadRose | MomentKind::LatencyBack => None,
        MomentKind::FirstRequest => {
            is_late_at_the_end(evidence).then(|| open(MomentKind::LatencyBack))
        }
        _ => next.map(open),
    }
}

fn is_late_at_the_end(evidence: &Evidence<'_>) -> bool {
    let limit = evidence.limit.p95.as_micros() as u64;
    let mut last = evidence
        .seconds
        .iter()
        .rev()
        .filter_map(|second| second.p95)
        .take(LAST)
        .peekable();
    last.peek().is_some() && last.all(|p95| p95 > limit)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence, seen};
    use super::super::{Reaction, Timeline};
    use super::*;
    use crate::report::words;

    fn said(moments: &[(MomentKind, u64)]) -> (String, Confidence) {
        let moment = |(kind, second): &(MomentKind, u64)| Moment {
            kind: *kind,
            at: at(*second as usize),
            origin: None,
            source: format!("source of {kind}"),
            resolution: Duration::from_secs(1),
        };
        let out = moments.iter().map(moment).collect();
        let reaction = Reaction {
            out,
            out_unavoidable: Some(Duration::from_secs(3)),
            ..Reaction::default()
        };
        let (_, seconds) = seen("TargetTrackingScaling");
        let timeline = Timeline::default();
        let found = slowest(&evidence(&timeline, &seconds, &reaction)).unwrap();
        let found = words::answer(found);
        (found.answer, found.confidence)
    }

    #[test]
    fn the_longest_link_is_never_longer_than_the_chain_it_is_of() {
        let chain = [
            (MomentKind::LoadRose, 9),
            (MomentKind::Breach, 9),
            (MomentKind::Alarm, 12),
            (MomentKind::Decided, 12),
            (MomentKind::LaunchBegan, 12),
        ];
        let (late, _) = said(
            &[
                &chain[..],
                &[
                    (MomentKind::InService, 27),
                    (MomentKind::FirstRequest, 27),
                    (MomentKind::LatencyBack, 21),
                ],
            ]
            .concat(),
        );
        assert!(
            late.starts_with(
                "From launch began to in service: 15s of the 18s between load rose and first req"
            ),
            "{late}"
        );
        assert!(
            late.contains("Latency was back before a new instance served"),
            "{late}"
        );
        let (before, _) = said(&[
            (MomentKind::LoadRose, 34),
            (MomentKind::Breach, 7),
            (MomentKind::Alarm, 11),
            (MomentKind::FirstRequest, 13),
        ]);
        assert!(
            before.starts_with(
                "From breach to alarm: 4s of the 6s between breach and first request."
            ),
            "{before}"
        );
        assert!(
            before.contains("The group grew before the spike"),
            "{before}"
        );
        let (early, confidence) = said(&[
            (MomentKind::LoadRose, 8),
            (MomentKind::Breach, 7),
            (MomentKind::Alarm, 10),
            (MomentKind::FirstRequest, 18),
        ]);
        assert!(
            early.starts_with("From alarm to first request: 8s of the 11s between breach and"),
            "{early}"
        );
        assert_eq!(confidence, Confidence::High);
    }

    /// The load rises from second 8 on by 3.5 requests/s each second, for `ramp` seconds.
    fn said_of_a_ramp(ramp: usize, breach: u64) -> String {
        let chain = [
            (MomentKind::LoadRose, 8),
            (MomentKind::Breach, breach),
            (MomentKind::Alarm, breach + 3),
            (MomentKind::LaunchBegan, breach + 3),
            (MomentKind::InService, breach + 5),
            (MomentKind::FirstRequest, breach + 5),
        ];
        let out = chain
            .iter()
            .map(|(kind, second)| Moment {
                kind: *kind,
                at: at(*second as usize),
                origin: None,
                source: String::new(),
                resolution: Duration::from_secs(1),
            })
            .collect();
        let reaction = Reaction {
            out,
            ..Reaction::default()
        };
        let (_, mut seconds) = seen("TargetTrackingScaling");
        for (second, one) in seconds.iter_mut().enumerate() {
            one.demand = 40.0 + 3.5 * second.saturating_sub(8).min(ramp) as f64;
        }
        let timeline = Timeline::default();
        let found = slowest(&evidence(&timeline, &seconds, &reaction)).unwrap();
        words::answer(found).answer
    }

    #[test]
    fn the_time_of_a_ramp_is_the_loads_own() {
        let ramp = said_of_a_ramp(80, 25);
        let own =
            "The load itself rose for 17s, from 40 to 100 requests/s, until the metric breached";
        assert!(ramp.starts_with(own), "{ramp}");
        assert!(
            ramp.contains("From breach to alarm: 3s of the 5s between breach and first request."),
            "{ramp}"
        );
        for (jump, breach) in [(1, 25), (4, 40)] {
            let waited = said_of_a_ramp(jump, breach);
            assert!(waited.starts_with("From load rose to breach"), "{waited}");
        }
        assert!(said_of_a_ramp(0, 9).starts_with("From breach to alarm"));
    }

    #[test]
    fn a_link_that_has_not_ended_is_said_to_be_open() {
        let (open, confidence) = said(&[
            (MomentKind::LoadRose, 9),
            (MomentKind::Breach, 9),
            (MomentKind::Alarm, 12),
            (MomentKind::LaunchBegan, 12),
        ]);
        let sentence = "From launch began to in service: it has not ended when the load was stopped, 1m8s later.";
        assert!(open.starts_with(sentence), "{open}");
        assert_eq!(confidence, Confidence::Medium);
        let (short, _) = said(&[
            (MomentKind::LoadRose, 9),
            (MomentKind::Breach, 9),
            (MomentKind::Alarm, 72),
            (MomentKind::LaunchBegan, 73),
        ]);
        assert!(
            short.starts_with("From breach to alarm: 1m3s of the 1m4s"),
            "{short}"
        );
        assert!(
            short.contains("From launch began to in service: it has not ended when"),
            "{short}"
        );
    }
}
