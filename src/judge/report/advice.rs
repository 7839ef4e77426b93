//! Turns a run's report into the evidence for advice. The run itself and `advise` later both use
//! it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Judged, Load, PhaseRow, ReportedAdvice, ReportedSecond, TaskRow, words};
use crate::advice::{Evidence, WhatIf, advise};
use evidence::Timeline;
use evidence::capacity::Weakness;
use evidence::load::{LEAST_REQUESTS, LoadModel, Second, demand, least_sent, smooth};
use model::scenario::Limit;
use model::scenario::PhaseRole;

/// The user's own input to the advice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// The candidate of `--what-if`; `None` where the option is not given.
    pub what_if: Option<WhatIf>,
    /// The user's price in US dollars for one instance-hour; `None` if not given.
    pub instance_price: Option<f64>,
}

/// Returns the advice on the policy, in words; `None` where no reaction of a group was watched.
pub fn advice(
    load: &Load,
    timeline: &Timeline,
    judged: &Judged,
    started: Timestamp,
    limit: Limit,
    own: &Own,
) -> Option<ReportedAdvice> {
    let reaction = judged.reaction.as_ref()?;
    let seconds = seconds(load);
    let weakness = weakness(load).or_else(|| eased_off(load, &seconds));
    let evidence = Evidence {
        seconds: &seconds,
        open: load.is_open(),
        timeline,
        reaction,
        started,
        spike: spike(&load.phases),
        limit,
        instance_price: own.instance_price,
        weakness,
        fresh: judged.fresh_failed(),
        fresh_passed: judged.fresh_passed(),
        hypotheses: &judged.hypotheses,
        draining: judged
            .short_draining()
            .map(|short| (short.delay_s.0, short.longest_s.0)),
    };
    Some(words::advice(advise(&evidence, own.what_if.as_ref())))
}

/// Returns the seconds of a load as the advice reads them.
pub(super) fn seconds(load: &Load) -> Vec<Second> {
    let asked: Vec<f64> = load.seconds.iter().map(|second| second.asked).collect();
    let sent: Vec<u64> = load
        .seconds
        .iter()
        .map(|second| second.ok + second.errors)
        .collect();
    let p95: Vec<Option<u64>> = load.seconds.iter().map(|second| second.p95).collect();
    let model = LoadModel::of(load.phases.iter().map(|phase| phase.model));
    let mut seconds: Vec<Second> = demand(model, &asked, &sent, &p95)
        .into_iter()
        .zip(&load.seconds)
        .map(|(demand, second)| {
            let others = second.others.unwrap_or_default();
            Second {
                demand: demand + others,
                others,
                ok: second.ok,
                errors: second.errors.saturating_sub(second.constant_errors),
                constant: second.constant_errors,
                p95: second.pool_p95.or_else(|| own_p95(second)),
                pooled: second.pooled,
            }
        })
        .collect();
    smooth(&mut seconds);
    seconds
}

/// Returns a second's own p95; `None` if it has too few requests for one.
fn own_p95(second: &ReportedSecond) -> Option<u64> {
    let is_enough = second.ok + second.errors >= LEAST_REQUESTS;
    second.p95.filter(|_| is_enough)
}

/// Share of its plan below which a load counts as cut short. The last request of a full plan may
/// come a little before its end.
const WHOLE: f64 = 0.9;

/// Returns the bracket of a load by users, if slow answers made them send less.
fn eased_off(load: &Load, seconds: &[Second]) -> Option<Weakness> {
    let by_users = (!load.is_open()).then_some(seconds)?;
    let (sent_per_second, offered_per_second) = evidence::load::eased_off(by_users)?;
    Some(Weakness::EasedOff {
        sent_per_second,
        offered_per_second,
    })
}

fn weakness(load: &Load) -> Option<Weakness> {
    let asked = load
        .phases
        .iter()
        .filter(|phase| phase.level > 0.0)
        .map(|phase| phase.to)
        .max()
        .unwrap_or_default();
    let ran = Duration::from_secs(load.seconds.len() as u64);
    if ran < asked.mul_f64(WHOLE) {
        return Some(Weakness::CutShort {
            ran_s: ran.into(),
            planned_s: asked.into(),
        });
    }
    let sum =
        |of: fn(&TaskRow) -> &Vec<u64>| load.generators.tasks.iter().flat_map(of).sum::<u64>();
    let share = sum(|task| &task.sent) as f64 / sum(|task| &task.asked).max(1) as f64;
    let bound = least_sent(load.is_open());
    (share < bound && !load.generators.tasks.is_empty()).then_some(Weakness::NotSent { share })
}

fn spike(phases: &[PhaseRow]) -> Option<(u32, u32)> {
    let mut spikes = phases.iter().filter(|phase| phase.role == PhaseRole::Spike);
    let first = spikes.next()?;
    let last = spikes.next_back().unwrap_or(first);
    Some((first.from.as_secs() as u32, last.to.as_secs() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;
    use evidence::load::by_second;
    use evidence::testing::{at, group, phases, results};
    use model::plan::Schedule;

    #[test]
    fn pools_of_a_report_are_those_of_its_run() {
        let scenario = phases(&[(4.0, false), (30.0, true), (3.0, false)]);
        let answered = results(&scenario, |second, level| {
            let millis = if second < 12 { 50 } else { 900 };
            vec![("", level as u64, 0, millis)]
        });
        let observations = vec![group(0, 1, &["i-1"]), group(13, 2, &["i-1", "i-2"])];
        let timeline = Timeline { observations };
        let load = Load::new(&scenario, &answered, Some((&timeline, at(0))));
        let text = serde_json::to_string(&load).unwrap();
        let read = seconds(&serde_json::from_str(&text).unwrap());
        let serving = evidence::instances::serving(&timeline, at(0), 30);
        let schedule = Schedule::new(&scenario);
        assert_eq!(
            read,
            by_second(
                &scenario,
                &schedule,
                &answered,
                &serving,
                &evidence::Baseline::default()
            )
        );
        assert_eq!(read.iter().filter(|second| second.pooled).count(), 17);
    }

    #[test]
    fn a_second_of_an_older_report_has_its_own_p95_if_it_has_enough_requests() {
        let mut load = report().load.unwrap();
        load.seconds[3].ok = 5;
        let read = seconds(&load);
        assert_eq!((read[2].p95, read[3].p95), (Some(35_000), None));
    }
}
