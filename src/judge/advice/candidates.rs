//! Replays the policy that ran and others on the measured load, and recommends one of them.

use std::time::Duration;

use super::agreement::{Agreement, Turn, agreement};
use super::asked::{Asked, Recorded};
use super::candidate::{Candidate, Change, Chosen};
use super::content::NoCandidates;
use super::others::{self, Assumption, Other};
use super::{Advice, Evidence, Ran, RanPolicy, WhatIf};
use evidence::instances::{self, Why};
use evidence::load;
use evidence::moment::{self, MomentKind};
use evidence::price::Price;
use evidence::timeline;
use model::scaling::Bounds;
use model::scaling::alarm::{AlarmModel, BreachRule, MissingData};
use model::scaling::cooldown::Cooldowns;
use model::scaling::policies::Rule;
use model::scaling::replay::{Follows, InstanceLimits, Replayed, Setting, replay};
use model::scaling::target_tracking::TargetTracking;

pub(super) struct Tried {
    pub candidates: Vec<Candidate>,
    pub chosen: Option<Chosen>,
    pub agreement: Agreement,
    /// The answer to `--what-if`.
    pub asked: Option<Asked>,
}

/// Share of the spike's seconds by which equally good candidates may differ.
const AS_GOOD: f64 = 0.05;
/// Share of all requests by which the losses of equally good candidates may differ.
const AS_FEW: f64 = 0.001;

/// Share of the seconds missed, or of the requests lost, that a candidate may leave and still help.
const HELPED: f64 = 0.75;

/// Share by which a metric may differ from one run to the next under the same load.
const METRIC_VARIES: f64 = 0.05;

/// Periods, or the share of a figure, by which two results are still the same.
const SAME_PERIODS: f64 = 2.0;
const SAME_SHARE: f64 = 0.25;

/// Share by which a load may differ from second to second and still be the same load.
const LEVEL_VARIES: f64 = 0.1;

/// Turns without a reason in the load from which on a group flaps.
const FLAPS: u32 = 2;

/// Smallest saving, as a share of the instance-minutes, for which a policy is changed. A replay is
/// not exact enough to tell less.
const WORTHWHILE: f64 = 0.05;

/// Periods of an alarm, and seconds with as many failed requests, up to which a replay is not exact.
const EXACT: usize = 2;

/// Seconds and errors that a candidate may miss and still hold the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    seconds: u32,
    errors: u64,
    /// Fewer missed seconds and lost requests that a replay cannot tell from none.
    exact: (u32, u64),
}

impl Tolerance {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let all = evidence.seconds.len() as u32;
        let spike = evidence
            .spike
            .map_or(all, |(from, until)| until.min(all).saturating_sub(from));
        let requests: f64 = evidence.seconds.iter().map(|second| second.demand).sum();
        let alarms = evidence.timeline.alarms().into_iter();
        let periods = alarms.filter(|alarm| alarm.is_high());
        let period = periods.map(|alarm| alarm.period.as_secs()).min();
        let exact = EXACT * period.unwrap_or(1).max(1) as usize;
        let mut worst: Vec<u64> = evidence.seconds.iter().map(|one| one.errors).collect();
        worst.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            seconds: (f64::from(spike) * AS_GOOD) as u32,
            errors: (requests * AS_FEW) as u64,
            exact: (exact as u32, worst.iter().take(exact).sum()),
        }
    }

    /// Returns true if a candidate is not dearer than the policy that ran, or gains more than the
    /// replay may be wrong by: in missed seconds, or in lost requests without more missed seconds.
    fn is_worth_its_price(self, candidate: &Candidate, now: &Candidate) -> bool {
        let (seconds, errors) = self.exact;
        let is_dearer = candidate.instance_minutes > now.instance_minutes * (1.0 + WORTHWHILE);
        let misses_less = candidate.over_limit + seconds < now.over_limit;
        let loses_less =
            candidate.over_limit <= now.over_limit && candidate.errors + errors < now.errors;
        !is_dearer || misses_less || loses_less
    }

    pub(super) fn is_held_by(self, candidate: &Candidate) -> bool {
        candidate.over_limit <= self.seconds && candidate.errors <= self.errors
    }

    /// Returns true if the candidate holds the limit, or misses far fewer seconds, or loses far
    /// fewer requests without missing more seconds. A quarter less is enough.
    pub(super) fn is_helped_by(self, candidate: &Candidate, now: &Candidate) -> bool {
        let less = |with: f64, without: f64| without > 0.0 && with <= without * HELPED;
        let misses_less = less(candidate.over_limit.into(), now.over_limit.into());
        let loses_less = candidate.over_limit <= now.over_limit
            && less(candidate.errors as f64, now.errors as f64);
        self.is_held_by(candidate) || misses_less || loses_less
    }
}

/// The policies that ran, in the form that the replay takes.
pub(super) struct Current {
    pub setting: Setting,
    /// Index of the policy that answers a rising load.
    pub lead: usize,
    /// Namespace of the metric that this policy follows, in CloudWatch's words.
    pub namespace: String,
    pub metric: String,
}

impl Current {
    pub(super) fn lead(&self) -> Option<&Follows> {
        self.setting.policies.get(self.lead)
    }

    /// Returns the setting with another target. Where no policy tracks one, target tracking
    /// replaces all policies.
    pub(super) fn tracking(&self, target: f64) -> Setting {
        let mut setting = self.setting.clone();
        let Some(lead) = setting.policies.get_mut(self.lead) else {
            return setting;
        };
        if let Rule::Tracking { tracking, .. } = &mut lead.rule {
            // AWS makes new alarms for the new target. The low threshold keeps its proportion to
            // the target.
            *tracking = tracking.with_target(target);
            lead.alarm.threshold = target;
            if let Some(low) = &mut lead.low {
                low.threshold = tracking.low;
            }
            return setting;
        }
        let tracking = TargetTracking::new(target);
        let new = Follows {
            rule: Rule::Tracking {
                tracking,
                scale_in: true,
            },
            alarm: AlarmModel::new(BreachRule::Above, target, OUT_DATAPOINTS),
            low: Some(AlarmModel::new(
                BreachRule::Below,
                tracking.low,
                IN_DATAPOINTS,
            )),
            ..lead.clone()
        };
        setting.policies = vec![new];
        setting
    }
}

/// Datapoints of the two alarms that AWS makes for a new target-tracking policy, before it tunes
/// them.
const OUT_DATAPOINTS: usize = 3;
const IN_DATAPOINTS: usize = 15;

pub(super) fn tried(
    evidence: &Evidence<'_>,
    ran: &Ran<'_>,
    serving: &[u32],
    advice: &Advice,
    what_if: Option<&WhatIf>,
) -> Result<Tried, NoCandidates> {
    let capacity = advice.capacity.as_ref().ok_or(NoCandidates::NothingHeld)?;
    let service = InstanceLimits {
        at_limit: capacity.at_limit,
        saturated: capacity.saturated.unwrap_or(capacity.at_limit),
        queue: capacity.queue,
    };
    let current = current(evidence, ran, serving)?;
    let load: Vec<f64> = evidence
        .seconds
        .iter()
        .map(|second| second.demand)
        .collect();
    let row = |other: Other| {
        let replayed = replay(&load, &service, &other.setting);
        let assumes = other
            .assumes
            .or_else(|| unseen(&other.setting, current.lead, load.len()))
            .or_else(|| on_the_edge(&load, &service, &other.setting, &replayed));
        candidate(
            &other.name,
            other.change,
            &replayed,
            advice.price.as_ref(),
            assumes,
        )
        .with_turns(turns(&load, &replayed.desired))
    };
    let as_it_ran = replay(&load, &service, &current.setting);
    let now = candidate(
        "as it is",
        Change::Nothing,
        &as_it_ran,
        advice.price.as_ref(),
        None,
    )
    .with_turns(turns(&load, &as_it_ran.desired));
    let others = others::all(evidence, &service, &current, &load, advice.price.as_ref());
    let mut candidates: Vec<Candidate> = std::iter::once(now)
        .chain(others.into_iter().map(row))
        .collect();
    // Then the run needed no policy that costs more, whatever the replay says of the one that ran.
    let nothing_missed = load::missed(evidence.seconds, evidence.limit.p95) == 0;
    let chosen = recommend(&mut candidates, Tolerance::of(evidence), nothing_missed);
    let recorded = Recorded {
        evidence,
        advice,
        capacity,
        service: &service,
        current: &current,
        load: &load,
    };
    let asked = what_if
        .zip(candidates.first())
        .map(|(what_if, now)| recorded.asked(what_if, now));
    candidates.extend(asked.as_ref().map(|asked| (*asked.row).clone()));
    Ok(Tried {
        candidates,
        chosen,
        agreement: compared(evidence, &current, &as_it_ran),
        asked,
    })
}

/// Returns an assumption if the alarm's window is longer than the recorded load: such a load cannot
/// show any effect of the policy.
pub(super) fn unseen(setting: &Setting, lead: usize, seconds: usize) -> Option<Assumption> {
    let follows = setting.policies.get(lead)?;
    let window = follows.period * follows.alarm.datapoints as u32;
    let recorded = Duration::from_secs(seconds as u64);
    (recorded < window).then_some(Assumption::WindowNotSeen { window, recorded })
}

/// Returns an assumption if the result gets worse with a metric that is a little higher or lower,
/// for example with a target at the value that the metric has under the usual load.
pub(super) fn on_the_edge(
    load: &[f64],
    service: &InstanceLimits,
    setting: &Setting,
    replayed: &Replayed,
) -> Option<Assumption> {
    let worst = [1.0 - METRIC_VARIES, 1.0 + METRIC_VARIES]
        .map(|times| {
            let mut varied = setting.clone();
            for follows in &mut varied.policies {
                follows.per_request *= times;
            }
            replay(load, service, &varied)
        })
        .into_iter()
        .max_by_key(|varied| (varied.over_limit, varied.unserved.round() as u64))?;
    let periods = setting.policies.iter().map(|follows| follows.period);
    let time = periods.max().unwrap_or_default().as_secs_f64() * SAME_PERIODS;
    // As much as the group as it begins cannot carry in this time.
    let peak = load.iter().copied().fold(0.0, f64::max);
    let excess = (peak - f64::from(setting.initial) * service.at_limit).max(0.0);
    let is_more = |worst: f64, here: f64, same: f64| worst - here > same.max(worst * SAME_SHARE);
    let misses_more = is_more(worst.over_limit.into(), replayed.over_limit.into(), time);
    let loses_more = is_more(worst.unserved, replayed.unserved, excess * time);
    (misses_more || loses_more).then_some(Assumption::MetricAsSeen {
        share: METRIC_VARIES,
        over_limit: worst.over_limit,
        errors: worst.unserved.round() as u64,
    })
}

fn compared(evidence: &Evidence<'_>, current: &Current, as_it_ran: &Replayed) -> Agreement {
    let seconds = evidence.seconds.len();
    let seen = instances::desired(evidence.timeline, evidence.started, seconds);
    let group: Vec<Turn> = evidence
        .reaction
        .resized
        .iter()
        .map(|one| Turn {
            at: one.at.duration_since(evidence.started).as_secs_f64(),
            grows: one.to > one.from,
        })
        .filter(|turn| turn.at >= 0.0 && turn.at < seconds as f64)
        .collect();
    // Changes may lie apart by a period, or by the poll interval where that is longer.
    let apart = current
        .lead()
        .map_or(instances::POLLED, |lead| lead.period.max(instances::POLLED));
    agreement(
        &as_it_ran.desired,
        &seen,
        current.setting.initial,
        &group,
        apart,
    )
}

/// Builds the setting for the replay: timings from the run, rules from the live alarms.
fn current(
    evidence: &Evidence<'_>,
    ran: &Ran<'_>,
    serving: &[u32],
) -> Result<Current, NoCandidates> {
    let (_, group) = evidence
        .timeline
        .groups()
        .next()
        .ok_or(NoCandidates::GroupNeverSeen)?;
    let mut launched = instances::launched(evidence.timeline, evidence.started);
    for one in &mut launched {
        let known = evidence
            .reaction
            .launched
            .iter()
            .find(|known| known.id == one.id);
        one.first_answer = known.and_then(|known| known.first_answer);
    }
    let (boot, health) = instances::starts(&launched).ok_or(NoCandidates::NoStart)?;
    let lead = ran.lead().ok_or(NoCandidates::NoPolicyForMore)?;
    // The warm-up of the policy, else the group's default one, else the default cooldown.
    let warm_up = lead
        .policy
        .warm_up
        .or(group.default_warm_up)
        .unwrap_or(group.default_cooldown);
    let (lag, launch) = lags(evidence, lead.alarm.window());
    let mut policies = Vec::with_capacity(ran.policies.len());
    for one in &ran.policies {
        let metric = one
            .metric(evidence, serving)
            .ok_or_else(|| NoCandidates::NoDatapoint {
                policy: one.policy.name.clone(),
            })?;
        policies.push(follows(one, &metric, lag)?);
    }
    let period = lead.alarm.period.max(Duration::from_secs(1));
    let setting = Setting {
        policies,
        bounds: Bounds {
            min: group.min,
            max: group.max,
        },
        initial: evidence.reaction.desired_before,
        into_period: Duration::from_secs(
            evidence
                .started
                .as_second()
                .rem_euclid(period.as_secs() as i64) as u64,
        ),
        launch,
        boot,
        health,
        warm_up,
        drain: drain(evidence),
        scheduled: None,
    };
    let (namespace, metric) = (lead.alarm.namespace.clone(), lead.alarm.metric.clone());
    let lead = ran
        .policies
        .iter()
        .position(|one| std::ptr::eq(one, lead))
        .unwrap_or(0);
    Ok(Current {
        setting,
        lead,
        namespace: namespace.unwrap_or_default(),
        metric: metric.unwrap_or_default(),
    })
}

fn follows(
    ran: &RanPolicy<'_>,
    metric: &super::Metric,
    lag: Duration,
) -> Result<Follows, NoCandidates> {
    let unknown = || NoCandidates::AlarmsUnread {
        policy: ran.policy.name.clone(),
    };
    Ok(Follows {
        rule: ran.rule.clone(),
        per_request: metric.per_request,
        ceiling: metric.ceiling,
        per_target: ran.alarm.namespace.as_deref() == Some("AWS/ApplicationELB"),
        period: ran.alarm.period.max(Duration::from_secs(1)),
        lag,
        alarm: alarm(ran.alarm).ok_or_else(unknown)?,
        low: ran
            .low
            .map(|low| alarm(low).ok_or_else(unknown))
            .transpose()?,
        // Only a service has these. The cooldown of a group's simple policy is part of its rule.
        cooldowns: ran
            .policy
            .out_cooldown
            .zip(ran.policy.cooldown)
            .map(|(out, back)| Cooldowns { out, back }),
    })
}

/// Returns a live alarm in the form of the model.
fn alarm(live: &timeline::Alarm) -> Option<AlarmModel> {
    let comparison = BreachRule::of_operator(live.comparison.as_str())?;
    let model = AlarmModel::new(comparison, live.threshold?, live.datapoints() as usize);
    Some(model.of(
        live.evaluation_periods as usize,
        MissingData::of_word(&live.missing),
    ))
}

/// Returns the longest deregistration delay of the target groups. If none was read, it is the
/// median time that instances took to leave, as polled.
fn drain(evidence: &Evidence<'_>) -> Duration {
    let asked = evidence.timeline.longest_drain();
    if !asked.is_zero() {
        return asked;
    }
    let left = evidence
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::ScaledIn);
    instances::median(
        left.filter_map(|one| Some(instances::between(one.began.at, one.gone?.at)))
            .collect(),
    )
    .unwrap_or_default()
}

/// Returns the time from the last datapoint that the alarm needed to the decision, and from there to
/// the launch. Where the polls cannot tell the two apart, all of it is in the first.
fn lags(evidence: &Evidence<'_>, window: Duration) -> (Duration, Duration) {
    let at = |kind| moment::first(&evidence.reaction.out, kind).map(|moment| moment.at);
    let Some((breach, launch)) = at(MomentKind::Breach).zip(at(MomentKind::LaunchBegan)) else {
        return (Duration::ZERO, Duration::ZERO);
    };
    let lag = |until| instances::between(breach, until).saturating_sub(window);
    match at(MomentKind::Decided).map(|decided| (decided, instances::between(decided, launch))) {
        Some((decided, waited)) if waited > instances::POLLED => (lag(decided), waited),
        _ => (lag(launch), Duration::ZERO),
    }
}

pub(super) fn candidate(
    name: &str,
    change: Change,
    replayed: &Replayed,
    price: Option<&Price>,
    assumes: Option<Assumption>,
) -> Candidate {
    let instance_minutes = replayed.instance_seconds / 60.0;
    Candidate {
        name: name.to_owned(),
        change,
        over_limit: replayed.over_limit,
        errors: replayed.unserved.round() as u64,
        instance_minutes,
        usd: price.map(|price| price.minutes(instance_minutes).0),
        most_instances: replayed.serving.iter().copied().max().unwrap_or(0),
        recommended: false,
        turns: 0,
        assumes,
    }
}

/// Returns how often a group turned back although its load had not.
fn turns(load: &[f64], desired: &[u32]) -> u32 {
    let mut last: Option<(bool, f64)> = None;
    let mut turns = 0;
    for (second, pair) in desired.windows(2).enumerate() {
        let &[before, after] = pair else { continue };
        if before == after {
            continue;
        }
        let (grows, asked) = (after > before, load.get(second).copied().unwrap_or(0.0));
        if let Some((grew, had)) = last
            && grew != grows
        {
            let is_asked = match grows {
                true => asked > had * (1.0 + LEVEL_VARIES),
                false => asked < had * (1.0 - LEVEL_VARIES),
            };
            turns += u32::from(!is_asked);
        }
        last = Some((grows, asked));
    }
    turns
}

/// Recommends the candidate with the least time over the limit, and returns the reason. Among
/// equally good ones it takes the fewest requests lost, and among those the cheapest. A candidate
/// with an assumption is recommended only if no other helps. If the run missed nothing, nothing that
/// costs more is recommended.
fn recommend(
    candidates: &mut [Candidate],
    tolerance: Tolerance,
    nothing_missed: bool,
) -> Option<Chosen> {
    let now = candidates.first()?;
    let pick = |assuming: bool| best(candidates, assuming, tolerance);
    let helps = |index: &usize| {
        candidates
            .get(*index)
            .is_some_and(|one| tolerance.is_helped_by(one, now))
    };
    let sure = pick(false);
    let index = sure
        .filter(helps)
        .or_else(|| pick(true).filter(helps))
        .or(sure)?;
    let costs = candidates.get(index)?.instance_minutes;
    if nothing_missed && index != 0 && !is_worth(costs, now) {
        candidates.first_mut()?.recommended = true;
        return Some(Chosen::NoneCheaper);
    }
    let is_held = tolerance.is_held_by(candidates.get(index)?);
    let is_helped = helps(&index);
    let candidate = candidates.get_mut(index)?;
    candidate.recommended = true;
    Some(match (index, candidate.assumes.is_some()) {
        (0, _) if is_held => Chosen::NoneCheaper,
        (0, _) => Chosen::NoneBetter,
        (_, false) if is_held => Chosen::CheapestThatHolds,
        (_, true) if is_held => Chosen::CheapestIfAssumed,
        (_, true) => Chosen::MissesLeastIfAssumed,
        (_, false) if is_helped => Chosen::MissesLeast,
        (_, false) => Chosen::CostsLeast,
    })
}

/// Returns the index of the cheapest candidate that is as good as any within the tolerance. The
/// policy that ran, which is the first, stays if it is as good and hardly dearer. Candidates under
/// which the group flaps never count, nor dearer ones that hardly gain, and those with an assumption
/// only if `assuming`.
fn best(candidates: &[Candidate], assuming: bool, tolerance: Tolerance) -> Option<usize> {
    let now = candidates.first()?;
    let able = || {
        candidates
            .iter()
            .enumerate()
            .filter(|(index, one)| *index == 0 || one.turns < FLAPS)
            .filter(|(_, one)| tolerance.is_worth_its_price(one, now))
            .filter(|(_, one)| assuming || one.assumes.is_none())
    };
    let over = able()
        .map(|(_, one)| one.over_limit)
        .min()?
        .saturating_add(tolerance.seconds);
    let held = || able().filter(|(_, one)| one.over_limit <= over);
    let lost = held()
        .map(|(_, one)| one.errors)
        .min()?
        .saturating_add(tolerance.errors);
    let good = || held().filter(|(_, one)| one.errors <= lost);
    let (cheapest, least) = good()
        .map(|(index, one)| (index, one.instance_minutes))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let is_good = good().any(|(index, _)| index == 0);
    let stays = is_good && !is_worth(least, now);
    Some(if stays { 0 } else { cheapest })
}

/// Returns true if these instance-minutes are clearly fewer than those of the policy that ran.
fn is_worth(instance_minutes: f64, now: &Candidate) -> bool {
    instance_minutes <= now.instance_minutes * (1.0 - WORTHWHILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(
        name: &str,
        over_limit: u32,
        errors: u64,
        instance_minutes: f64,
        assumes: bool,
    ) -> Candidate {
        Candidate {
            name: name.to_owned(),
            change: Change::Nothing,
            over_limit,
            errors,
            instance_minutes,
            usd: None,
            most_instances: 4,
            recommended: false,
            turns: 0,
            assumes: assumes.then_some(Assumption::SpikeKnownBefore),
        }
    }

    fn chosen(rows: Vec<Candidate>) -> (String, Chosen) {
        chosen_after(false, rows)
    }

    fn chosen_after(nothing_missed: bool, mut rows: Vec<Candidate>) -> (String, Chosen) {
        let tolerance = Tolerance {
            seconds: 5,
            errors: 10,
            exact: (2, 100),
        };
        let chosen = recommend(&mut rows, tolerance, nothing_missed).unwrap();
        let row = rows.into_iter().find(|row| row.recommended).unwrap();
        (row.name, chosen)
    }

    fn recommended(rows: Vec<Candidate>) -> String {
        chosen(rows).0
    }

    #[test]
    fn every_recommendation_has_its_reason() {
        let now = || row("now", 40, 0, 10.0, false);
        for (rows, name, reason) in [
            (
                vec![
                    now(),
                    row("lower", 2, 0, 14.0, false),
                    row("lowest", 0, 0, 20.0, false),
                ],
                "lower",
                Chosen::CheapestThatHolds,
            ),
            (
                vec![now(), row("pool", 2, 0, 14.0, true)],
                "pool",
                Chosen::CheapestIfAssumed,
            ),
            (
                vec![
                    now(),
                    row("lower", 20, 0, 14.0, false),
                    row("pool", 2, 0, 14.0, true),
                ],
                "lower",
                Chosen::MissesLeast,
            ),
            (
                vec![now(), row("pool", 20, 0, 14.0, true)],
                "pool",
                Chosen::MissesLeastIfAssumed,
            ),
            (
                vec![now(), row("higher", 40, 0, 8.0, false)],
                "higher",
                Chosen::CostsLeast,
            ),
            (
                vec![now(), row("lower", 38, 0, 14.0, false)],
                "now",
                Chosen::NoneBetter,
            ),
            (
                vec![
                    row("now", 2, 0, 10.0, false),
                    row("lower", 0, 0, 14.0, false),
                ],
                "now",
                Chosen::NoneCheaper,
            ),
        ] {
            assert_eq!(chosen(rows), (name.to_owned(), reason));
        }
    }

    #[test]
    fn a_dearer_policy_gains_more_than_the_replay_may_be_wrong_by() {
        let of = |over, errors, minutes| {
            let rows = vec![
                row("now", 10, 300, 10.0, false),
                row("dearer", over, errors, minutes, false),
            ];
            recommended(rows)
        };
        assert_eq!(of(8, 210, 11.0), "now", "two seconds and 90 requests fewer");
        assert_eq!(of(7, 210, 11.0), "dearer");
        assert_eq!(of(8, 190, 11.0), "dearer");
        assert_eq!(of(8, 210, 10.2), "dearer", "hardly dearer");
    }

    #[test]
    fn a_run_that_missed_nothing_needs_no_policy_that_costs_more() {
        let rows = |minutes| {
            vec![
                row("now", 40, 0, 10.0, false),
                row("lower", 2, 0, minutes, false),
            ]
        };
        let missed = |nothing, minutes| chosen_after(nothing, rows(minutes)).0;
        assert_eq!(missed(false, 14.0), "lower");
        assert_eq!(missed(true, 14.0), "now");
        assert_eq!(missed(true, 8.0), "lower");
    }

    #[test]
    fn the_cheapest_of_those_that_help_as_much_is_recommended() {
        let rows = || {
            vec![
                row("now", 20, 0, 10.0, false),
                row("lower", 2, 0, 14.0, false),
                row("minimum", 0, 0, 30.0, false),
            ]
        };
        assert_eq!(recommended(rows()), "lower");
        let mut scheduled = rows();
        scheduled.push(row("scheduled", 0, 0, 11.0, true));
        assert_eq!(
            recommended(scheduled),
            "lower",
            "nobody knows when the next spike comes"
        );
        assert_eq!(
            recommended(vec![
                row("now", 20, 0, 10.0, false),
                row("lower", 18, 0, 14.0, false),
                row("pool", 3, 0, 9.0, true)
            ]),
            "pool",
            "only an assumption helps"
        );
        assert_eq!(
            recommended(vec![
                row("now", 0, 0, 10.0, false),
                row("higher", 1, 0, 8.0, false)
            ]),
            "higher"
        );
        let hardly_cheaper = vec![
            row("now", 0, 0, 2.5, false),
            row("higher", 0, 0, 2.4, false),
        ];
        assert_eq!(recommended(hardly_cheaper), "now");
    }

    #[test]
    fn requests_that_are_lost_count_before_what_it_costs() {
        let rows = vec![
            row("now", 13, 925, 3.9, false),
            row("lower", 13, 387, 4.0, false),
            row("maximum", 12, 30, 4.4, false),
            row("maximum and step", 12, 25, 4.6, false),
        ];
        assert_eq!(recommended(rows), "maximum");
        let only = vec![
            row("now", 13, 925, 3.9, false),
            row("other", 13, 900, 3.8, false),
        ];
        assert_eq!(
            recommended(only),
            "other",
            "nothing helps: then what costs least"
        );
    }

    #[test]
    fn a_policy_under_which_the_group_flaps_is_not_recommended() {
        let flapping = |row: Candidate| row.with_turns(4);
        let rows = vec![
            flapping(row("now", 5, 145, 3.7, false)),
            flapping(row("step", 0, 0, 3.9, false)),
            row("tracking", 2, 0, 4.0, false),
        ];
        assert_eq!(recommended(rows.clone()), "tracking");
        assert_eq!(recommended(rows[..2].to_vec()), "now");
        let (low, high) = (vec![60.0; 4], vec![280.0; 8]);
        let load = [low.clone(), high, low].concat();
        let size = |changes: &[(usize, u32)]| {
            let at = |second: usize| changes.iter().rfind(|(from, _)| *from <= second);
            let sizes = (0..load.len()).map(|second| at(second).map_or(2, |(_, size)| *size));
            turns(&load, &sizes.collect::<Vec<u32>>())
        };
        assert_eq!(size(&[(6, 6), (13, 2)]), 0, "up and down with the load");
        assert_eq!(size(&[(6, 6), (8, 2), (10, 6), (14, 2)]), 2);
    }

    /// A group of two under 30 % and then beyond all it can carry.
    fn at_thirty(target: f64) -> Option<Assumption> {
        let service = InstanceLimits {
            at_limit: 100.0,
            saturated: 100.0,
            queue: Duration::ZERO,
        };
        let setting = Setting {
            policies: vec![Follows {
                rule: Rule::Tracking {
                    tracking: TargetTracking::new(target),
                    scale_in: true,
                },
                per_request: 1.01,
                ceiling: Some(100.0),
                per_target: false,
                period: Duration::from_secs(1),
                lag: Duration::ZERO,
                alarm: AlarmModel::new(BreachRule::Above, target, 3),
                low: None,
                cooldowns: None,
            }],
            bounds: Bounds { min: 2, max: 8 },
            initial: 2,
            into_period: Duration::ZERO,
            launch: Duration::ZERO,
            boot: Duration::from_secs(4),
            health: Duration::ZERO,
            warm_up: Duration::ZERO,
            drain: Duration::ZERO,
            scheduled: None,
        };
        let mut load = vec![60.0; 20];
        load.extend([280.0; 20]);
        let replayed = replay(&load, &service, &setting);
        on_the_edge(&load, &service, &setting, &replayed)
    }

    #[test]
    fn a_target_at_the_usual_value_of_the_metric_assumes_that_it_stays_there() {
        let found = at_thirty(30.0);
        let Some(Assumption::MetricAsSeen { over_limit, .. }) = found else {
            panic!("{found:?}");
        };
        assert!(over_limit > 2, "{over_limit}");
        for target in [25.0, 40.0, 50.0] {
            assert_eq!(at_thirty(target), None, "target {target}");
        }
    }
}
