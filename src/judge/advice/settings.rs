//! The times that surround a policy (warm-up, cooldown), by the starts that were seen, and settings
//! that the run shows to be wrong, each with the rule behind it.

use std::time::Duration;

use super::answers::answer;
use super::{Advice, Answer, Evidence, Topic, causes};
use evidence::Confidence;
use evidence::instances::{self, Why};
use evidence::moment::{self, MomentKind};
use evidence::timeline::{Alarm, GroupState, Policy};
use evidence::vocabulary::PolicyKind;
use model::units;

/// Longer than a poll: not only two looks apart.
const LONG_CHECK: Duration = Duration::from_secs(5);
/// A delay that most requests do not need; AWS's own default is five minutes.
const LONG_DRAIN: Duration = Duration::from_secs(120);
/// A time is too long when it is so much longer than what is needed, and by more than two looks.
const LONGER: f64 = 1.5;

/// How an instance starts, in the middle of all that were seen.
struct Start {
    boot: Duration,
    health: Duration,
    /// Until its load shows in the metric.
    period: Duration,
    seen: usize,
}

impl Start {
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

    /// From in service on.
    fn to_steady(&self) -> Duration {
        self.health + self.period
    }

    fn evidence(&self) -> String {
        format!(
            "the middle of {} seen to start",
            units::count(self.seen as u32, "instance")
        )
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

fn no_start(topic: Topic) -> Answer {
    let which = "no new instance came into service: a run in which the group grows would show how long one takes";
    answer(
        topic,
        "This run cannot tell.".to_owned(),
        which.to_owned(),
        Confidence::Low,
    )
}

/// A warm-up counts from in service on: booting is before it.
pub fn warm_up(evidence: &Evidence<'_>) -> Option<Answer> {
    let topic = Topic::WarmUp;
    let group = group(evidence)?;
    if group.is_service {
        let said =
            "None: a service has no warm-up, a cooldown follows each change of its size instead."
                .to_owned();
        let from = "Application Auto Scaling guide, target tracking".to_owned();
        return Some(answer(topic, said, from, Confidence::High));
    }
    let own = evidence
        .timeline
        .policies()
        .into_iter()
        .find_map(|policy| policy.warm_up);
    let live = own.or(group.default_warm_up);
    let unset = format!(
        "Set the group's default instance warm-up. It has none, nor has the policy, so the cooldown of {} is taken for it: new \
         instances are left out of the metric, and scaling in is blocked, for that long.",
        units::duration(group.default_cooldown)
    );
    let rule = "DescribeAutoScalingGroups, DescribePolicies; EC2 Auto Scaling guide, default instance warm-up";
    let Some(start) = Start::of(evidence) else {
        return Some(match live {
            None => answer(topic, unset, rule.to_owned(), Confidence::High),
            Some(_) => no_start(topic),
        });
    };
    let about = start.to_steady();
    let mut said = format!(
        "About {} from in service on, which is {} after the launch: an instance boots for {}, is healthy {} later, and its load \
         is in the metric after a period of {}.",
        units::duration(about),
        units::duration(start.boot + about),
        units::duration(start.boot),
        units::duration(start.health),
        units::duration(start.period)
    );
    said += &match live {
        None => format!(" {unset}"),
        Some(live) => format!(
            " It is {}: {}.{}",
            units::duration(live),
            judged(live, about),
            blocked(evidence, live)
        ),
    };
    let from = format!(
        "{}; what caches need shows in the latency of fresh instances; {rule}",
        start.evidence()
    );
    Some(answer(topic, said, from, Confidence::Medium))
}

fn judged(live: Duration, about: Duration) -> &'static str {
    if live > about.mul_f64(LONGER) + instances::POLLED * 2 {
        "longer than that, and for so long new instances are left out of the metric and scaling in is blocked"
    } else if live + instances::POLLED < about {
        "shorter than that, so instances that carry nothing yet are in the metric and make the policy stop too early"
    } else {
        "it fits"
    }
}

/// What a warm-up cost on the way back.
fn blocked(evidence: &Evidence<'_>, live: Duration) -> String {
    let at = |kind| moment::first(&evidence.reaction.back, kind).map(|moment| moment.at);
    let (Some(alarm), Some(decided)) = (at(MomentKind::LowAlarm), at(MomentKind::DecidedToShrink))
    else {
        return String::new();
    };
    let waited = instances::between(alarm, decided);
    if waited <= instances::POLLED || waited > live + instances::POLLED * 2 {
        return String::new();
    }
    format!(
        " Scaling in waited {} after its low alarm.",
        units::duration(waited)
    )
}

/// Cooldowns gate simple scaling, and services; but where no warm-up is set, the default one is
/// taken for it.
pub fn cooldown(evidence: &Evidence<'_>) -> Option<Answer> {
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
        let default = units::duration(group.default_cooldown);
        let unset = policies
            .iter()
            .any(|policy| policy.warm_up.or(group.default_warm_up).is_none());
        let said = match unset {
            false => {
                format!(
                    "It does not matter: the default of {default} gates simple scaling only, and no policy here is simple."
                )
            }
            true => format!(
                "It gates simple scaling only, and no policy here is simple; but as no warm-up is set, the default of {default} \
                 is what new instances warm up for. With a default instance warm-up it would not matter."
            ),
        };
        let from =
            "DescribePolicies; EC2 Auto Scaling guide, scaling cooldowns and default instance warm-up".to_owned();
        return Some(answer(topic, said, from, Confidence::High));
    };
    let Some(start) = Start::of(evidence) else {
        return Some(no_start(topic));
    };
    let window = window(evidence, policy, Alarm::is_high).unwrap_or(start.period);
    let about = start.health + window;
    let said = format!(
        "About {} for {}: from in service on an instance takes {} to be healthy, and the alarm looks at {} of load. It is {}.",
        units::duration(about),
        policy.name,
        units::duration(start.health),
        units::duration(window),
        fit(
            policy.cooldown.unwrap_or(group.default_cooldown),
            about,
            "for so long nothing answers a load that goes on rising"
        )
    );
    let from = format!("{}; the alarms of {}", start.evidence(), policy.name);
    Some(answer(topic, said, from, Confidence::Medium))
}

/// A service's two: the one that follows a scale-out lasts until the new tasks show in the alarm,
/// the one that follows a scale-in until there is a datapoint of the smaller service.
fn of_service(topic: Topic, evidence: &Evidence<'_>, policies: &[&Policy]) -> Option<Answer> {
    let gated = |policy: &&&Policy| policy.out_cooldown.is_some() || policy.cooldown.is_some();
    let gated: Vec<&Policy> = policies.iter().filter(gated).copied().collect();
    if gated.is_empty() {
        return None;
    }
    let start = Start::of(evidence);
    let said: Vec<String> = gated
        .iter()
        .flat_map(|policy| {
            [
                scale_out(evidence, policy, start.as_ref()),
                scale_in(evidence, policy),
            ]
        })
        .flatten()
        .collect();
    let from = match &start {
        Some(start) => format!("{}; the alarms of each policy; Application Auto Scaling API", start.evidence()),
        None => "no new task came to run: a run in which the service grows would show how long one takes".to_owned(),
    };
    let confidence = if start.is_some() {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    Some(answer(topic, said.join(" "), from, confidence))
}

/// A step policy that only shrinks has nothing to do with this one.
fn scale_out(evidence: &Evidence<'_>, policy: &Policy, start: Option<&Start>) -> Option<String> {
    let window = window(evidence, policy, Alarm::is_high)?;
    let live = policy.out_cooldown?;
    let Some(start) = start else {
        return Some(format!(
            "After a scale-out of {} it is {}; what it should be this run cannot tell.",
            policy.name,
            units::duration(live)
        ));
    };
    let about = start.boot + start.health + window;
    Some(format!(
        "After a scale-out about {} for {}: a task takes {} to start and {} to be healthy, and the alarm looks at {} of load. \
         It is {}.",
        units::duration(about),
        policy.name,
        units::duration(start.boot),
        units::duration(start.health),
        units::duration(window),
        fit(
            live,
            about,
            "for so long only a larger scale-out answers a load that goes on rising"
        )
    ))
}

fn scale_in(evidence: &Evidence<'_>, policy: &Policy) -> Option<String> {
    let live = policy.cooldown.filter(|_| !policy.scale_in_disabled)?;
    let alarms = evidence.timeline.alarms();
    let low = alarms
        .iter()
        .find(|alarm| policy.alarms.contains(&alarm.name) && !alarm.is_high())?;
    // The alarm stays in ALARM meanwhile: one datapoint of the smaller service decides of the next.
    let drains = evidence.timeline.longest_drain();
    let about = drains + low.period;
    Some(format!(
        "After a scale-in about {} for {}: {} to drain, and a datapoint of {}. It is {}.",
        units::duration(about),
        policy.name,
        units::duration(drains),
        units::duration(low.period),
        fit(
            live,
            about,
            "for so long no other task leaves that is not needed"
        )
    ))
}

/// `5m: longer than that: ...`
fn fit(live: Duration, about: Duration, longer: &str) -> String {
    let live_said = units::duration(live);
    if live > about.mul_f64(LONGER) + instances::POLLED {
        format!("{live_said}: longer than that, and {longer}")
    } else if live + instances::POLLED < about {
        format!(
            "{live_said}: shorter than that, so the next change comes before the last one shows in the metric"
        )
    } else {
        format!("{live_said}: it fits")
    }
}

/// The window of a policy's own alarm that fires when the metric is high, or low.
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

/// Settings around the policy that the run shows to be wrong.
pub fn around(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Option<Answer> {
    let group = group(evidence)?;
    let mut said: Vec<String> = Vec::new();
    said.extend(failed_checks(evidence, group));
    said.extend(fresh_errors(evidence, group, serving, advice));
    said.extend(slow_checks(evidence, group));
    said.extend(target_groups(evidence));
    said.extend(simple(evidence, group));
    if said.is_empty() {
        return None;
    }
    let from =
        "Describe calls of the group, its hooks and its target groups; EC2 Auto Scaling and ELB user guides".to_owned();
    Some(answer(
        Topic::OtherSettings,
        said.join(" "),
        from,
        Confidence::Medium,
    ))
}

fn failed_checks(evidence: &Evidence<'_>, group: &GroupState) -> Option<String> {
    let failed = evidence
        .reaction
        .left
        .iter()
        .filter(|one| one.why == Why::FailedChecks)
        .count() as u64;
    (failed > 0).then(|| {
        format!(
            "{} failed health checks and left: set the health check grace (now {}) above what an instance takes to start, or \
             let a launch lifecycle hook hold it back until it is ready.",
            units::count(failed, "instance"),
            units::duration(group.health_check_grace)
        )
    })
}

/// Instances that take requests before they can serve them well.
fn fresh_errors(
    evidence: &Evidence<'_>,
    group: &GroupState,
    serving: &[u32],
    advice: &Advice,
) -> Option<String> {
    let found = match evidence.fresh {
        Some(judged) => judged.to_owned(),
        None => causes::of_fresh(evidence, serving, advice)?,
    };
    let hook = if group.is_service {
        "a container health check with a start period"
    } else {
        "a launch lifecycle hook that holds an instance back until it has warmed up"
    };
    // What one of several is by hand has no single owner: the longest is what a new instance is
    // given at most.
    let surroundings = evidence.timeline.surroundings();
    let slow_start = surroundings
        .into_iter()
        .flat_map(|known| &known.target_groups)
        .map(|one| one.slow_start)
        .max();
    let slow_start = match slow_start {
        Some(now) if !now.is_zero() => format!("a slow start longer than {}", units::duration(now)),
        _ => "slow start on the target group (none is set)".to_owned(),
    };
    Some(format!(
        "New instances do not serve well at first ({found}): a health check on a path that answers only when the application is \
         ready, {hook}, or {slow_start}. No row below shows this: each instance that is launched brings its own errors."
    ))
}

fn slow_checks(evidence: &Evidence<'_>, group: &GroupState) -> Option<String> {
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
    (waits > LONG_CHECK && !hooked && !group.is_service).then(|| {
        format!(
            "Instances were in service up to {} before they were healthy: Auto Scaling counts them as capacity by then. A \
             shorter health check interval or a launch lifecycle hook makes the two one.",
            units::duration(waits)
        )
    })
}

fn target_groups(evidence: &Evidence<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for one in evidence
        .timeline
        .surroundings()
        .iter()
        .flat_map(|known| &known.target_groups)
    {
        if one.deregistration_delay >= LONG_DRAIN {
            said.push(format!(
                "Deregistration takes {} for every instance that leaves, and is paid for: lower it to what the longest request \
                 needs.",
                units::duration(one.deregistration_delay)
            ));
        }
        if one.sticky {
            said.push(
                "Sticky sessions keep the load on the instances that were there: new ones get new sessions only."
                    .to_owned(),
            );
        }
        if !one.slow_start.is_zero() && one.algorithm == "least_outstanding_requests" {
            said.push("Slow start has no effect with least outstanding requests.".to_owned());
        }
    }
    said
}

fn simple(evidence: &Evidence<'_>, group: &GroupState) -> Vec<String> {
    let policies = evidence.timeline.policies();
    let simple = policies
        .iter()
        .filter(|policy| policy.kind == PolicyKind::Simple);
    simple
        .map(|policy| {
            format!(
                "{} is simple scaling: one change, then nothing for the cooldown of {}. Step scaling goes on while instances \
                 start; AWS recommends it instead.",
                policy.name,
                units::duration(policy.cooldown.unwrap_or(group.default_cooldown))
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence, seen};
    use super::super::{Reaction, Second, Timeline, advise};
    use super::*;
    use evidence::timeline::Observed;
    use evidence::{Launched, Moment, Sighting};

    fn launched() -> Vec<Launched> {
        vec![Launched {
            id: "i-0b".to_owned(),
            launched: Sighting::exact(at(12)),
            replaces: false,
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
                policy.cooldown = Some(Duration::from_secs(60));
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

    /// Where nothing else is set, the cooldown is the warm-up: both answers say so.
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
        seconds.iter_mut().for_each(|second| second.errors = 0);
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
                .map(|one| one.answer)
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
}
