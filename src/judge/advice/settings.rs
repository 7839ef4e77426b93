//! Judges warm-up and cooldown by the starts that were seen, and other settings that the run shows
//! to be wrong.

use std::time::Duration;

use super::content::{
    Answer, Basis, Content, Cooldown, Fit, FreshErrors, OtherSetting, PresentWarmUp,
    ServiceCooldown, WarmUp,
};
use super::{Advice, Evidence, Topic, causes};
use evidence::Confidence;
use evidence::instances::{self, Why};
use evidence::moment::{self, MomentKind};
use evidence::timeline::{Alarm, GroupState, Policy};
use evidence::vocabulary::PolicyKind;

/// Time to healthy that is too long; it is more than the uncertainty of two polls.
const LONG_CHECK: Duration = Duration::from_secs(5);
/// Deregistration delay that most requests do not need; AWS's default is five minutes.
const LONG_DRAIN: Duration = Duration::from_mins(2);
/// Factor over the fitting time from which a set time is too long; two polls of slack come on top.
const LONGER: f64 = 1.5;

/// Start of an instance: the median of all starts that were seen.
struct InstanceStart {
    boot: Duration,
    health: Duration,
    /// Time until the instance's load shows in the metric.
    period: Duration,
    seen: usize,
}

impl InstanceStart {
    fn of(evidence: &Evidence<'_>) -> Option<Self> {
        let launched = &evidence.reaction.launched;
        let (boot, health) = instances::starts(launched)?;
        let seen = launched
            .iter()
            .filter(|one| one.in_service.is_some())
            .count();
        let alarms = evidence.timeline.alarms();
        let period = alarms
            .iter()
            .filter(|alarm| alarm.is_high())
            .map(|alarm| alarm.period)
            .max()
            .unwrap_or_default();
        Some(Self {
            boot: whole(boot),
            health: whole(health),
            period,
            seen,
        })
    }

    /// Returns the time from in service until the metric shows the instance's load.
    fn to_steady(&self) -> Duration {
        self.health + self.period
    }
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs_f64().round() as u64)
}

fn group<'a>(evidence: &Evidence<'a>) -> Option<&'a GroupState> {
    evidence
        .timeline
        .groups()
        .next_back()
        .map(|(_, group)| group)
}

/// Answers which warm-up fits. It counts from in service on, so the boot is not part of it.
pub(super) fn warm_up(evidence: &Evidence<'_>) -> Option<Answer> {
    let group = group(evidence)?;
    let sure = |warm_up, basis| {
        let content = Content::WarmUp(warm_up);
        Some(Answer::new(Topic::WarmUp, content, basis, Confidence::High))
    };
    if group.is_service {
        return sure(WarmUp::OfService, Basis::ServiceGuide);
    }
    let own = evidence
        .timeline
        .policies()
        .into_iter()
        .find_map(|policy| policy.warm_up);
    let live = own.or(group.default_warm_up);
    let cooldown = group.default_cooldown;
    let Some(start) = InstanceStart::of(evidence) else {
        return match live {
            None => sure(WarmUp::Unset { cooldown }, Basis::WarmUpGuide),
            Some(_) => Some(Answer::unknown(Topic::WarmUp, Basis::NoStart)),
        };
    };
    let about = start.to_steady();
    let now = match live {
        None => PresentWarmUp::Unset { cooldown },
        Some(live) => PresentWarmUp::Set {
            live,
            fit: fit(live, about, instances::POLLED * 2),
            waited: blocked(evidence, live),
        },
    };
    let warm_up = WarmUp::Known {
        boot: start.boot,
        health: start.health,
        period: start.period,
        about,
        now,
    };
    Some(Answer::new(
        Topic::WarmUp,
        Content::WarmUp(warm_up),
        Basis::StartsAndWarmUpGuide { starts: start.seen },
        Confidence::Medium,
    ))
}

/// Returns the warm-up that fits, if the one that is set is clearly longer: than that, and than the
/// starts that were seen. It is none for a service, whose tasks do not warm up.
pub(super) fn shorter_warm_up(evidence: &Evidence<'_>) -> Option<Duration> {
    let group = group(evidence).filter(|group| !group.is_service)?;
    let own = evidence
        .timeline
        .policies()
        .into_iter()
        .filter_map(|policy| policy.warm_up)
        .max();
    let live = own
        .or(group.default_warm_up)
        .unwrap_or(group.default_cooldown);
    let start = InstanceStart::of(evidence)?;
    let is_longer = |than: Duration| matches!(fit(live, than, instances::POLLED * 2), Fit::Longer);
    let about = start.to_steady();
    (is_longer(about) && is_longer(start.boot + start.health)).then_some(about)
}

/// Returns the time for which the warm-up delayed scaling in.
fn blocked(evidence: &Evidence<'_>, live: Duration) -> Option<Duration> {
    let at = |kind| moment::first(&evidence.reaction.back, kind).map(|moment| moment.at);
    let (alarm, decided) = (at(MomentKind::LowAlarm)?, at(MomentKind::DecidedToShrink)?);
    let waited = instances::between(alarm, decided);
    (waited > instances::POLLED && waited <= live + instances::POLLED * 2).then_some(waited)
}

/// Answers which cooldown fits. Cooldowns gate simple scaling and services. Where no warm-up is
/// set, AWS uses the default cooldown as the warm-up.
pub(super) fn cooldown(evidence: &Evidence<'_>) -> Option<Answer> {
    let topic = Topic::Cooldown;
    let group = group(evidence)?;
    let policies = evidence.timeline.policies();
    if group.is_service {
        return of_service(topic, evidence, &policies);
    }
    let Some(policy) = policies
        .iter()
        .find(|policy| policy.kind == PolicyKind::Simple)
    else {
        let default = group.default_cooldown;
        let unset = policies
            .iter()
            .any(|policy| policy.warm_up.or(group.default_warm_up).is_none());
        let cooldown = match unset {
            false => Cooldown::NoMatter { default },
            true => Cooldown::IsWarmUp { default },
        };
        return Some(Answer::new(
            topic,
            Content::Cooldown(cooldown),
            Basis::CooldownGuide,
            Confidence::High,
        ));
    };
    let Some(start) = InstanceStart::of(evidence) else {
        return Some(Answer::unknown(topic, Basis::NoStart));
    };
    let window = window(evidence, policy, Alarm::is_high).unwrap_or(start.period);
    let about = start.health + window;
    let live = policy.cooldown.unwrap_or(group.default_cooldown);
    let cooldown = Cooldown::Simple {
        policy: policy.name.clone(),
        about,
        health: start.health,
        window,
        live,
        fit: fit(live, about, instances::POLLED),
    };
    let basis = Basis::StartsAndAlarms {
        starts: start.seen,
        policy: policy.name.clone(),
    };
    Some(Answer::new(
        topic,
        Content::Cooldown(cooldown),
        basis,
        Confidence::Medium,
    ))
}

/// Answers a service's two cooldowns. After a scale-out it should last until the alarm's window
/// shows the new tasks, after a scale-in until there is a datapoint of the smaller service.
fn of_service(topic: Topic, evidence: &Evidence<'_>, policies: &[&Policy]) -> Option<Answer> {
    let gated = |policy: &&&Policy| policy.out_cooldown.is_some() || policy.cooldown.is_some();
    let gated: Vec<&Policy> = policies.iter().filter(gated).copied().collect();
    if gated.is_empty() {
        return None;
    }
    let start = InstanceStart::of(evidence);
    let cooldowns = gated
        .iter()
        .flat_map(|policy| {
            [
                scale_out(evidence, policy, start.as_ref()),
                scale_in(evidence, policy),
            ]
        })
        .flatten()
        .collect();
    let (basis, confidence) = match &start {
        Some(start) => (
            Basis::TaskStartsAndAlarms { starts: start.seen },
            Confidence::Medium,
        ),
        None => (Basis::NoTaskStart, Confidence::Low),
    };
    Some(Answer::new(
        topic,
        Content::Cooldown(Cooldown::OfService(cooldowns)),
        basis,
        confidence,
    ))
}

/// Returns the cooldown after a scale-out, or `None` for a policy that only shrinks.
fn scale_out(
    evidence: &Evidence<'_>,
    policy: &Policy,
    start: Option<&InstanceStart>,
) -> Option<ServiceCooldown> {
    let window = window(evidence, policy, Alarm::is_high)?;
    let live = policy.out_cooldown?;
    let name = policy.name.clone();
    let Some(start) = start else {
        return Some(ServiceCooldown::OutUnknown { policy: name, live });
    };
    let about = start.boot + start.health + window;
    Some(ServiceCooldown::Out {
        policy: name,
        about,
        boot: start.boot,
        health: start.health,
        window,
        live,
        fit: fit(live, about, instances::POLLED),
    })
}

fn scale_in(evidence: &Evidence<'_>, policy: &Policy) -> Option<ServiceCooldown> {
    let live = policy.cooldown.filter(|_| !policy.scale_in_disabled)?;
    let alarms = evidence.timeline.alarms();
    let low = alarms
        .iter()
        .find(|alarm| policy.alarms.contains(&alarm.name) && !alarm.is_high())?;
    // The low alarm stays in ALARM meanwhile: one datapoint of the smaller service decides on the
    // next step.
    let drain = evidence.timeline.longest_drain();
    let about = drain + low.period;
    Some(ServiceCooldown::In {
        policy: policy.name.clone(),
        about,
        drain,
        period: low.period,
        live,
        fit: fit(live, about, instances::POLLED),
    })
}

/// Compares a set time with the fitting one. `slack` is the excess that is not yet too long.
fn fit(live: Duration, about: Duration, slack: Duration) -> Fit {
    if live > about.mul_f64(LONGER) + slack {
        Fit::Longer
    } else if live + instances::POLLED < about {
        Fit::Shorter
    } else {
        Fit::Fits
    }
}

/// Returns the longest window of the policy's own alarms for which `is` holds.
fn window(
    evidence: &Evidence<'_>,
    policy: &Policy,
    is: impl Fn(&Alarm) -> bool,
) -> Option<Duration> {
    let alarms = evidence.timeline.alarms();
    let own = alarms
        .iter()
        .filter(|alarm| policy.alarms.contains(&alarm.name) && is(alarm));
    own.map(|alarm| alarm.window()).max()
}

/// Answers which settings around the policy the run shows to be wrong.
pub(super) fn around(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Option<Answer> {
    let group = group(evidence)?;
    let mut settings: Vec<OtherSetting> = Vec::new();
    settings.extend(failed_checks(evidence, group));
    settings.extend(fresh_errors(evidence, group, serving, advice));
    settings.extend(slow_checks(evidence, group));
    settings.extend(short_draining(evidence));
    settings.extend(target_groups(evidence));
    settings.extend(simple(evidence, group));
    if settings.is_empty() {
        return None;
    }
    Some(Answer::new(
        Topic::OtherSettings,
        Content::OtherSettings(settings),
        Basis::Settings,
        Confidence::Medium,
    ))
}

/// Returns the new instances that failed their health checks. Old ones had started long before.
fn failed_checks(evidence: &Evidence<'_>, group: &GroupState) -> Option<OtherSetting> {
    let reaction = evidence.reaction;
    let is_new = |id: &str| reaction.launched.iter().any(|one| one.id == id);
    let failed = reaction
        .left
        .iter()
        .filter(|one| one.why == Why::FailedChecks && is_new(&one.id))
        .count() as u64;
    (failed > 0).then_some(OtherSetting::FailedChecks {
        instances: failed,
        grace: group.health_check_grace,
    })
}

/// Returns the errors of instances that take requests before they can serve them well.
fn fresh_errors(
    evidence: &Evidence<'_>,
    group: &GroupState,
    serving: &[u32],
    advice: &Advice,
) -> Option<OtherSetting> {
    let found = match evidence.fresh {
        Some(judged) => FreshErrors::Judged(judged.to_owned()),
        None => causes::of_fresh(evidence, serving, advice)?,
    };
    // With several target groups, the longest slow start counts: no new instance gets more.
    let surroundings = evidence.timeline.surroundings();
    let slow_start = surroundings
        .into_iter()
        .flat_map(|known| &known.target_groups)
        .map(|one| one.slow_start)
        .max();
    Some(OtherSetting::FreshErrors {
        found,
        is_service: group.is_service,
        slow_start: slow_start.filter(|now| !now.is_zero()),
    })
}

fn slow_checks(evidence: &Evidence<'_>, group: &GroupState) -> Option<OtherSetting> {
    let surroundings = evidence.timeline.surroundings();
    let waits = evidence
        .reaction
        .launched
        .iter()
        .filter_map(instances::Launched::health)
        .max()
        .unwrap_or_default();
    let hooked = surroundings.is_some_and(|known| {
        known
            .hooks
            .iter()
            .any(|hook| hook.transition.ends_with("LAUNCHING"))
    });
    (waits > LONG_CHECK && !hooked && !group.is_service)
        .then_some(OtherSetting::SlowChecks { waits })
}

fn short_draining(evidence: &Evidence<'_>) -> Option<OtherSetting> {
    let (delay, longest) = evidence.draining?;
    Some(OtherSetting::ShortDeregistration { delay, longest })
}

fn target_groups(evidence: &Evidence<'_>) -> Vec<OtherSetting> {
    let mut found = Vec::new();
    for one in evidence
        .timeline
        .surroundings()
        .iter()
        .flat_map(|known| &known.target_groups)
    {
        let delay = one.deregistration_delay;
        if delay >= LONG_DRAIN {
            found.push(OtherSetting::LongDeregistration { delay });
        }
        if one.sticky {
            found.push(OtherSetting::StickySessions);
        }
        if !one.slow_start.is_zero() && one.algorithm == "least_outstanding_requests" {
            found.push(OtherSetting::SlowStartWithoutEffect);
        }
    }
    found
}

fn simple(evidence: &Evidence<'_>, group: &GroupState) -> Vec<OtherSetting> {
    let policies = evidence.timeline.policies();
    let simple = policies
        .iter()
        .filter(|policy| policy.kind == PolicyKind::Simple);
    simple
        .map(|policy| OtherSetting::SimpleScaling {
            policy: policy.name.clone(),
            cooldown: policy.cooldown.unwrap_or(group.default_cooldown),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence, seen};
    use super::super::{Reaction, Second, Timeline, advise};
    use super::*;
    use crate::report::words;
    use evidence::timeline::Observed;
    use evidence::{Launched, Moment, Sighting};

    fn launched() -> Vec<Launched> {
        vec![Launched {
            id: "i-0b".to_owned(),
            launched: Sighting::exact(at(12)),
            why: evidence::instances::LaunchReason::Grew,
            in_service: Some(Sighting::exact(at(27))),
            healthy: Some(Sighting::exact(at(29))),
            first_answer: None,
        }]
    }

    fn with(change: impl Fn(&mut Observed)) -> Timeline {
        let (mut timeline, _) = seen("TargetTrackingScaling");
        timeline
            .observations
            .iter_mut()
            .for_each(|one| change(&mut one.seen));
        timeline
    }

    fn asked(
        timeline: &Timeline,
        reaction: &Reaction,
        of: impl Fn(&Evidence<'_>) -> Option<Answer>,
    ) -> (String, Confidence) {
        let (_, seconds) = seen("TargetTrackingScaling");
        let found = of(&evidence(timeline, &seconds, reaction)).unwrap();
        let found = words::answer(found);
        (found.answer, found.confidence)
    }

    #[test]
    fn the_warm_up_is_laid_beside_the_starts_that_were_seen() {
        let long = with(|seen| {
            if let Observed::Policy(policy) = seen {
                policy.warm_up = Some(Duration::from_secs(20));
            }
        });
        let moment = |kind, second| Moment {
            kind,
            at: at(second),
            origin: None,
            source: String::new(),
            resolution: Duration::ZERO,
        };
        let back = vec![
            moment(MomentKind::LowAlarm, 26),
            moment(MomentKind::DecidedToShrink, 46),
        ];
        let reaction = Reaction {
            launched: launched(),
            back,
            ..Reaction::default()
        };
        let (said, _) = asked(&long, &reaction, warm_up);
        assert!(
            said.starts_with("About 3s from in service on, which is 18s after the launch"),
            "{said}"
        );
        assert!(said.contains("It is 20s: longer than that"), "{said}");
        assert!(
            said.ends_with("Scaling in waited 20s after its low alarm."),
            "{said}"
        );
        let (said, _) = asked(&with(|_| ()), &reaction, warm_up);
        assert!(said.contains("It is 3s: it fits."), "{said}");
        let unset = with(|seen| {
            if let Observed::Policy(policy) = seen {
                policy.warm_up = None;
            }
        });
        let (said, _) = asked(&unset, &reaction, warm_up);
        assert!(
            said.contains("the cooldown of 5m is taken for it"),
            "{said}"
        );
        let (said, confidence) = asked(&long, &Reaction::default(), warm_up);
        assert_eq!(
            (said.as_str(), confidence),
            ("This run cannot tell.", Confidence::Low)
        );
    }

    #[test]
    fn a_cooldown_matters_where_a_policy_is_simple_or_a_service_is_scaled() {
        let reaction = Reaction {
            launched: launched(),
            ..Reaction::default()
        };
        let (said, confidence) = asked(&with(|_| ()), &reaction, cooldown);
        assert!(
            said.contains("gates simple scaling only") && confidence == Confidence::High,
            "{said}"
        );
        let simple = with(|seen| {
            if let Observed::Policy(policy) = seen {
                policy.kind = "SimpleScaling".into();
            }
        });
        let (said, _) = asked(&simple, &reaction, cooldown);
        assert!(
            said.starts_with("About 5s for web-cpu") && said.contains("It is 5m: longer than that"),
            "{said}"
        );
        let service = with(|seen| match seen {
            Observed::Group(group) => group.is_service = true,
            Observed::Policy(policy) => {
                policy.out_cooldown = Some(Duration::from_secs(6));
                policy.cooldown = Some(Duration::from_mins(1));
            }
            _ => {}
        });
        let (said, _) = asked(&service, &reaction, cooldown);
        let out = "After a scale-out about 20s for web-cpu: a task takes 15s to start and 2s to be healthy, and the alarm looks \
                   at 3s of load. It is 6s: shorter than that";
        assert!(said.starts_with(out), "{said}");
        assert!(
            said.contains(
                "After a scale-in about 1s for web-cpu: 0ms to drain, and a datapoint of 1s. It is 1m: longer"
            ),
            "{said}"
        );
        let (said, confidence) = asked(&service, &Reaction::default(), cooldown);
        assert!(
            said.starts_with("After a scale-out of web-cpu it is 6s")
                && confidence == Confidence::Low,
            "{said}"
        );
    }

    /// Without any warm-up the cooldown takes its place: both answers say so.
    #[test]
    fn a_cooldown_that_is_taken_for_the_warm_up_matters() {
        let unset = with(|seen| {
            if let Observed::Policy(policy) = seen {
                policy.warm_up = None;
            }
        });
        let reaction = Reaction {
            launched: launched(),
            ..Reaction::default()
        };
        let (said, _) = asked(&unset, &reaction, cooldown);
        assert!(
            said.contains("the default of 5m is what new instances warm up for"),
            "{said}"
        );
        assert!(!said.contains("It does not matter"), "{said}");
        let (said, _) = asked(&with(|_| ()), &reaction, cooldown);
        assert!(said.starts_with("It does not matter"), "{said}");
    }

    #[test]
    fn errors_of_fresh_instances_have_a_remedy_and_are_in_no_row() {
        let (timeline, mut seconds) = seen("TargetTrackingScaling");
        for second in &mut seconds {
            second.errors = 0;
        }
        let serving = vec![4; seconds.len()];
        let reaction = Reaction {
            launched: launched(),
            ..Reaction::default()
        };
        let settings = |seconds: &[Second], fresh: Option<&str>| {
            let evidence = Evidence {
                fresh,
                ..evidence(&timeline, seconds, &reaction)
            };
            let advice = advise(&evidence, None);
            around(&evidence, &serving, &advice)
                .map(|one| words::answer(one).answer)
                .unwrap_or_default()
        };
        assert!(!settings(&seconds, None).contains("New instances do not"));
        let judged = settings(&seconds, Some("12 errors in 90 answers"));
        assert!(
            judged.contains("New instances do not serve well at first (12 errors in 90 answers)"),
            "{judged}"
        );
        assert!(
            judged.contains("slow start on the target group (none is set)"),
            "{judged}"
        );
        for second in [50, 52] {
            seconds[second].errors = 30;
        }
        let inferred = settings(&seconds, None);
        assert!(
            inferred.contains("60 of 60 errors within a minute of a new instance's first health"),
            "{inferred}"
        );
    }

    #[test]
    fn draining_shorter_than_the_longest_request_is_a_setting_to_raise() {
        let (timeline, seconds) = seen("TargetTrackingScaling");
        let reaction = Reaction::default();
        let said = |draining| {
            let evidence = Evidence {
                draining,
                ..evidence(&timeline, &seconds, &reaction)
            };
            let advice = advise(&evidence, None);
            around(&evidence, &vec![4; seconds.len()], &advice)
                .map(|one| words::answer(one).answer)
                .unwrap_or_default()
        };
        let times = (Duration::from_secs(30), Duration::from_secs(45));
        assert!(
            said(Some(times)).contains(
                "Deregistration takes 30s at most (`deregistration_delay.timeout_seconds`), and the longest request \
                 without overload took 45s: an instance that leaves cuts such requests off. Raise it above 45s."
            ),
            "{}",
            said(Some(times))
        );
        assert!(!said(None).contains("Deregistration"));
    }
}
