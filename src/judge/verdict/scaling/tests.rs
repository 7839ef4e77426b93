use super::super::EndedEarly;
use super::*;
use crate::report::{Judgement, words};
use evidence::testing::{
    activity, alarm, at, change, group, levels, not_scaled, p95, phases, results, scenario,
    whole_story,
};
use evidence::timeline::{Datapoint, Gap, GapReason, NotScaled, Observation, Observed, Policy};
use model::scenario::{InWithin, Limit, Threshold, ThresholdScope};

/// Judges a story of the group, and the results of its load.
fn said(
    scenario: &Scenario,
    observations: Vec<Observation>,
    results: &Results,
    circumstances: Circumstances,
) -> (Vec<Judgement>, Reaction) {
    let circumstances = Circumstances {
        started: Some(at(0)),
        ..circumstances
    };
    let found = judge(
        scenario,
        &Schedule::new(scenario),
        results,
        &Timeline { observations },
        &circumstances,
    );
    let judged = found.judged.into_iter().map(words::judgement);
    (judged.collect(), found.reaction)
}

fn about<'a>(judgements: &'a [Judgement], asked: &str) -> &'a Judgement {
    judgements
        .iter()
        .find(|one| one.asked.starts_with(asked))
        .unwrap_or_else(|| panic!("{asked}: {judgements:?}"))
}

fn judged(observations: Vec<Observation>) -> (Vec<(String, Verdict)>, Reaction) {
    let scenario = scenario();
    let circumstances = Circumstances {
        started: Some(at(0)),
        ..Circumstances::default()
    };
    let timeline = Timeline { observations };
    let schedule = Schedule::new(&scenario);
    let found = judge(
        &scenario,
        &schedule,
        &Results::default(),
        &timeline,
        &circumstances,
    );
    let (judgements, reaction) = (found.judged, found.reaction);
    (
        judgements
            .into_iter()
            .map(|finding| (words::asked(&finding.expectation), finding.verdict))
            .collect(),
        reaction,
    )
}

fn verdict(judgements: &[(String, Verdict)], about: &str) -> Verdict {
    judgements
        .iter()
        .find(|(asked, _)| asked.starts_with(about))
        .unwrap_or_else(|| panic!("{about}: {judgements:?}"))
        .1
}

#[test]
fn scale_out_is_timed_from_the_first_breaching_datapoint_to_the_polled_lifecycle() {
    let (judgements, reaction) = judged(whole_story());
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert_eq!(reaction.out_unavoidable, Some(Duration::from_secs(3)));
    assert_eq!(reaction.in_took, Some(Duration::from_secs(16)));
    assert_eq!(reaction.in_bound, Some(Duration::from_millis(22_500)));
    let [grew, shrank] = reaction.resized.as_slice() else {
        panic!("{:?}", reaction.resized)
    };
    assert_eq!(
        (grew.from, grew.to, grew.breach, grew.alarm, grew.done),
        (1, 2, Some(at(21)), Some(at(24)), Some(at(27)))
    );
    assert_eq!(
        (shrank.from, shrank.to, shrank.breach, shrank.done),
        (2, 1, Some(at(31)), Some(at(47)))
    );
    let kinds: Vec<MomentKind> = reaction
        .out
        .iter()
        .chain(&reaction.back)
        .map(|moment| moment.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            MomentKind::LoadRose,
            MomentKind::Breach,
            MomentKind::Alarm,
            MomentKind::Decided,
            MomentKind::LaunchBegan,
            MomentKind::InService,
            MomentKind::FirstRequest,
            MomentKind::LoadFell,
            MomentKind::LowAlarm,
            MomentKind::DecidedToShrink,
            MomentKind::ShrinkingBegan,
            MomentKind::Terminated,
            MomentKind::BackAtTheStart
        ]
    );
    assert_eq!(
        verdict(&judgements, "the group scaled out"),
        Verdict::Passed
    );
    assert_eq!(verdict(&judgements, "scale-out within 3m"), Verdict::Passed);
    assert_eq!(verdict(&judgements, "scale-in within"), Verdict::Passed);
}

#[test]
fn a_group_that_never_scaled_is_inconclusive_unless_its_alarm_fired() {
    let quiet = vec![group(0, 1, &["i-1"]), group(60, 1, &["i-1"])];
    assert_eq!(
        judged(quiet).0,
        [("the group scaled out".to_owned(), Verdict::Inconclusive)]
    );

    let mut deaf = whole_story();
    deaf.retain(|one| !matches!(one.seen, Observed::Group(_) | Observed::Activity(_)));
    deaf.insert(0, group(0, 1, &["i-1"]));
    let mut cut = deaf.clone();
    cut.push(group(25, 1, &["i-1"]));
    assert_eq!(
        judged(cut).0[0].1,
        Verdict::Inconclusive,
        "a second after the alarm"
    );
    deaf.push(group(60, 1, &["i-1"]));
    assert_eq!(judged(deaf).0[0].1, Verdict::Failed);

    let full = vec![group(0, 4, &["i-1", "i-2", "i-3", "i-4"])];
    assert_eq!(judged(full).0[0].1, Verdict::Inconclusive);
}

#[test]
fn a_service_that_did_not_grow_has_the_reason_of_application_auto_scaling() {
    let because_of_all = |all: &[NotScaled]| {
        let mut story = vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            change(24, "high", &[(21, 90.0), (22, 95.0), (23, 95.0)]),
        ];
        let rows = (25..).zip(all);
        story.extend(rows.map(|(second, why)| not_scaled(second, "high", why.clone())));
        story.push(group(60, 1, &["i-1"]));
        let (found, _) = said(
            &scenario(),
            story,
            &Results::default(),
            Circumstances::default(),
        );
        let found = about(&found, "the group scaled out");
        (found.verdict, found.because.clone())
    };
    let because = |why: NotScaled| because_of_all(&[why]);
    let asked = format!("an alarm asked for more at {}: ", at(25));
    let unknown = NotScaled::Unknown {
        code: "MoonIsFull".to_owned(),
    };
    for (why, verdict, said) in [
        (
            NotScaled::AtMaximum { maximum: Some(1) },
            Verdict::Inconclusive,
            "the service was at its maximum of 1, says Application Auto Scaling",
        ),
        (
            NotScaled::Unscalable,
            Verdict::Failed,
            "ECS let nothing scale the service for a while, says Application Auto Scaling",
        ),
        (
            unknown.clone(),
            Verdict::Inconclusive,
            "the service was not scaled for `MoonIsFull`, says Application Auto Scaling",
        ),
    ] {
        assert_eq!(because(why), (verdict, format!("{asked}{said}")));
    }
    // The worst of several counts, and the first of these.
    let maximum = NotScaled::AtMaximum { maximum: Some(1) };
    let unscalable = NotScaled::Unscalable;
    let flapping = NotScaled::AnticipatedFlapping;
    let (verdict, said) = because_of_all(&[maximum.clone(), unknown.clone(), unscalable, flapping]);
    assert_eq!(verdict, Verdict::Failed);
    let at_third = format!("asked for more at {}: ECS let nothing scale", at(27));
    assert!(said.contains(&at_third), "{said}");
    let (verdict, said) = because_of_all(&[maximum, unknown]);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(said.contains("its maximum of 1"), "{said}");
    // The low alarm's attempt explains no growth that did not come.
    let (verdict, said) = because(NotScaled::AtMinimum { minimum: Some(1) });
    assert_eq!(verdict, Verdict::Failed);
    assert!(said.ends_with("and nothing followed"), "{said}");
}

#[test]
fn a_scale_in_that_was_not_watched_long_enough_is_inconclusive() {
    let mut story = whole_story();
    story.truncate(7);
    story.push(group(40, 2, &["i-1", "i-2"]));
    assert_eq!(
        verdict(&judged(story.clone()).0, "scale-in"),
        Verdict::Inconclusive
    );
    story.push(group(60, 2, &["i-1", "i-2"]));
    assert_eq!(verdict(&judged(story).0, "scale-in"), Verdict::Failed);
}

#[test]
fn a_group_that_nothing_tells_to_shrink_fails_to_come_back() {
    let policy = Policy {
        name: "cpu".to_owned(),
        scale_in_disabled: true,
        ..Policy::default()
    };
    let mut story = whole_story();
    story.truncate(7);
    story.retain(|one| !matches!(&one.seen, Observed::Alarm(alarm) if alarm.name == "low"));
    story.push(Observation::new(at(0), Observed::Policy(policy)));
    assert_eq!(verdict(&judged(story).0, "scale-in"), Verdict::Failed);
}

#[test]
fn a_missing_history_is_made_up_for_by_the_alarms_state_and_its_metric() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::AlarmChange(_)));
    let Observed::Alarm(mut fired) = alarm("high", "GreaterThanThreshold", 50.0, 3).seen else {
        unreachable!()
    };
    fired.state = "ALARM".into();
    fired.state_since = Some(at(24));
    story.push(Observation::new(at(25), Observed::Alarm(fired)));
    let points = [
        (19, 60.0),
        (20, 40.0),
        (21, 90.0),
        (22, 95.0),
        (23, 95.0),
        (24, 95.0),
    ];
    let series = evidence::timeline::MetricSeries {
        name: "policy metric CPUUtilization".to_owned(),
        unit: String::new(),
        period: Duration::from_secs(1),
        points: points
            .iter()
            .map(|(second, value)| Datapoint {
                at: at(*second),
                value: *value,
            })
            .collect(),
        alarms: vec![],
    };
    story.push(Observation::new(at(60), Observed::Metric(series)));
    let (_, reaction) = judged(story);
    assert_eq!(reaction.out_took, Some(Duration::from_secs(6)));
    assert!(
        words::source(&reaction.out[1]).contains("of the metric before high fired"),
        "{:?}",
        reaction.out[1]
    );
}

#[test]
fn what_a_refused_call_hides_cannot_be_told_and_says_so() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::Alarm(_) | Observed::AlarmChange(_)));
    let gap = Gap {
        call: "cloudwatch:DescribeAlarms".to_owned(),
        why: "not permitted".to_owned(),
        reason: GapReason::Failed,
    };
    story.push(Observation::new(at(1), Observed::Gap(gap)));
    let (judgements, _) = judged(story);
    assert_eq!(
        verdict(&judgements, "the group scaled out"),
        Verdict::Passed
    );
    assert_eq!(
        verdict(&judgements, "scale-out within"),
        Verdict::Inconclusive
    );
    assert_eq!(verdict(&judgements, "scale-in"), Verdict::Inconclusive);
}

#[test]
fn an_alarm_that_had_fired_before_leaves_no_breach_to_count_from() {
    let mut story = whole_story();
    story.retain(|one| !matches!(one.seen, Observed::AlarmChange(_)));
    for one in &mut story {
        if let Observed::Alarm(alarm) = &mut one.seen
            && alarm.name == "high"
        {
            alarm.state = "ALARM".into();
            alarm.state_since = Some("2026-03-01T11:00:00Z".parse().unwrap());
        }
    }
    let (judgements, reaction) = judged(story);
    assert_eq!(reaction.alarmed_before.as_deref(), Some("high"));
    assert_eq!(
        verdict(&judgements, "scale-out within"),
        Verdict::Inconclusive
    );
}

#[test]
fn a_group_that_shrinks_and_grows_back_under_the_spike_has_scaled_out_and_its_drops_are_judged() {
    let scenario = phases(&[(1.0, false), (2.0, false), (9.0, true), (2.0, false)]);
    let before = ["i-1", "i-2", "i-3", "i-4"];
    let story = vec![
        group(0, 4, &before),
        alarm("high", "GreaterThanThreshold", 50.0, 2),
        alarm("low", "LessThanThreshold", 45.0, 5),
        activity(23, "Terminating EC2 instance: i-4", 4, 3),
        group(24, 3, &before[..3]),
        change(26, "high", &[(24, 90.0), (25, 90.0)]),
        activity(26, "Launching a new EC2 instance: i-5", 3, 4),
        group(27, 4, &before[..3]),
        group(29, 4, &["i-1", "i-2", "i-3", "i-5"]),
        group(60, 4, &["i-1", "i-2", "i-3", "i-5"]),
    ];
    // The load balancer answers 502 for the requests of i-4, and names no instance.
    let results = results(&scenario, |second, level| {
        let all = (level * 100.0) as u64;
        let cut = if second == 23 { 5 } else { 0 };
        vec![("i-1", all - cut, 0, 50), ("", 0, cut, 50)]
    });
    let (judgements, reaction) = said(&scenario, story, &results, Circumstances::default());
    assert!(reaction.scaled_out() && reaction.desired_peak == reaction.desired_before);
    let out = about(&judgements, "the group scaled out");
    assert_eq!(
        (out.verdict, out.measured.as_str()),
        (Verdict::Passed, "3 -> 4 instances, 4 at the start")
    );
    let dropped = about(&judgements, "no request dropped");
    assert_eq!(dropped.verdict, Verdict::Failed, "{dropped:?}");
    assert!(dropped.measured.starts_with("5 of "), "{dropped:?}");
}

#[test]
fn a_hand_that_made_the_group_grow_is_not_the_policys_answer() {
    let mut story = whole_story();
    for one in &mut story {
        if let Observed::Activity(activity) = &mut one.seen
            && activity.grows()
        {
            activity.cause =
                "At 2026-03-01T12:00:24Z a user request explicitly set group desired capacity changing the \
                              desired capacity from 1 to 2."
                    .to_owned();
        }
    }
    let judged = |story| {
        let none = Results::default();
        let (judgements, _) = said(&scenario(), story, &none, Circumstances::default());
        about(&judgements, "the group scaled out").clone()
    };
    // Beside a hand, the policy's own answer counts.
    let mut both = story.clone();
    both.push(activity(28, "Launching a new EC2 instance: i-3", 2, 3));
    let out = judged(both);
    assert_eq!(out.verdict, Verdict::Passed, "{out:?}");
    assert!(out.because.contains("not by its policies alone"), "{out:?}");
    let out = judged(story);
    assert_eq!(out.verdict, Verdict::Inconclusive, "{out:?}");
    assert!(out.because.starts_with("no alarm asked for it"), "{out:?}");
}

#[test]
fn of_a_load_that_was_stopped_neither_its_fall_nor_its_efficiency_is_judged() {
    let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
    let results = results(&scenario, |second, level| {
        if second < 15 {
            vec![("i-1", (level * 100.0) as u64, 0, 50)]
        } else {
            vec![]
        }
    });
    let story = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 5),
        change(13, "high", &[(10, 90.0)]),
        activity(13, "Launching a new EC2 instance: i-2", 1, 2),
        group(14, 2, &["i-1"]),
        group(16, 2, &["i-1"]),
    ];
    let cut = Circumstances {
        cut_short: Some(EndedEarly::Interrupted),
        ..Circumstances::default()
    };
    let (judgements, reaction) = said(&scenario, story, &results, cut);
    assert_eq!(reaction.back, []);
    assert_eq!(
        about(&judgements, "scale-in").because,
        "the load was stopped before its fall"
    );
    assert_eq!(
        about(&judgements, "too few instances").verdict,
        Verdict::Inconclusive
    );
    let open = &reaction.open;
    let unseen = OpenLink::NotSeen {
        moment: MomentKind::InService,
    };
    assert!(open.contains(&unseen), "{open:?}");
    assert!(open.contains(&OpenLink::StoppedBeforeTheFall), "{open:?}");
}

#[test]
fn an_alarm_for_less_that_had_fired_before_the_fall_gives_no_figure() {
    let mut story = whole_story();
    story
        .retain(|one| !matches!(&one.seen, Observed::AlarmChange(change) if change.alarm == "low"));
    story.push(change(28, "low", &[(26, 5.0)]));
    let (judgements, reaction) = said(
        &scenario(),
        story,
        &Results::default(),
        Circumstances::default(),
    );
    assert_eq!(
        (reaction.in_took, reaction.low_before),
        (None, Some(at(28)))
    );
    let back = about(&judgements, "scale-in within");
    assert_eq!(back.verdict, Verdict::Inconclusive);
    assert!(
        back.because
            .starts_with("the alarm for less had fired 2s before the load fell"),
        "{back:?}"
    );
}

#[test]
fn the_limit_is_that_of_any_spike_or_of_a_lower_one_that_is_named() {
    let mut scenario = phases(&[
        (1.0, false),
        (9.0, true),
        (1.0, false),
        (9.0, true),
        (5.0, false),
    ]);
    let mut limit = |thresholds: Vec<Threshold>| {
        scenario.thresholds = thresholds;
        Limit::p95_in_the_spike(&scenario).map(|limit| limit.as_millis())
    };
    let named = |phase: &str, millis| p95(ThresholdScope::Phase(phase.to_owned()), millis);
    assert_eq!(limit(vec![named("p3", 300)]), Some(300), "the second spike");
    assert_eq!(limit(vec![named("p1", 400), named("p3", 300)]), Some(300));
    assert_eq!(
        limit(vec![p95(ThresholdScope::Run, 900), named("p4", 600)]),
        Some(900)
    );
    assert_eq!(
        limit(vec![named("p4", 600)]),
        Some(600),
        "more than the least"
    );
    assert_eq!(limit(vec![named("p2", 100)]), None, "a calm phase");
}

/// The load falls at 30 s, and an instance leaves at 40 s.
#[test]
fn a_low_alarm_whose_window_was_partly_over_proves_less() {
    let judged = |window: u32, bound: InWithin| {
        let mut story = whole_story();
        story.retain(
            |one| !matches!(&one.seen, Observed::AlarmChange(change) if change.alarm == "low"),
        );
        story.retain(|one| !matches!(&one.seen, Observed::Activity(one) if one.description.starts_with("Terminating")));
        story[2] = alarm("low", "LessThanThreshold", 45.0, window);
        story.push(change(40, "low", &[(25, 5.0)]));
        story.push(activity(40, "Terminating EC2 instance: i-1", 2, 1));
        let mut scenario = scenario();
        scenario.scaling.in_within = bound;
        let (judgements, reaction) = said(
            &scenario,
            story,
            &Results::default(),
            Circumstances::default(),
        );
        assert_eq!(reaction.in_ahead, Some(Duration::from_secs(5)));
        let back = about(&judgements, "scale-in within");
        (back.verdict, back.because.clone())
    };
    let twelve = InWithin::Within(Duration::from_secs(12));
    let (verdict, because) = judged(15, InWithin::Auto);
    assert!(
        verdict == Verdict::Passed && because.ends_with("without that it takes 15s at most"),
        "{because}"
    );
    let (verdict, because) = judged(15, twelve);
    assert!(
        verdict == Verdict::Inconclusive && because.contains("otherwise the policy cannot meet it"),
        "{because}"
    );
    let (verdict, because) = judged(5, twelve);
    assert!(
        verdict == Verdict::Inconclusive && because.ends_with("without that cannot be told"),
        "{because}"
    );
}

#[test]
fn a_second_spike_that_needs_no_growth_is_named_and_not_blamed() {
    let mut back = change(20, "high", &[(19, 40.0)]);
    if let Observed::AlarmChange(change) = &mut back.seen {
        (change.from, change.to) = ("ALARM".into(), "OK".into());
    }
    let story = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        change(13, "high", &[(10, 90.0)]),
        activity(13, "Launching a new EC2 instance: i-2", 1, 2),
        group(14, 2, &["i-1"]),
        group(16, 2, &["i-1", "i-2"]),
        back,
        group(60, 2, &["i-1", "i-2"]),
    ];
    let (judgements, _) = said(
        &levels(),
        story,
        &Results::default(),
        Circumstances::default(),
    );
    let out = about(&judgements, "the group scaled out");
    assert_eq!(out.verdict, Verdict::Passed);
    assert_eq!(
        out.because,
        "the policy answered the load; in p3 no alarm asked for more than the instances that were still there"
    );
    assert_eq!(
        about(&judgements, "scale-out within").verdict,
        Verdict::Passed
    );
}
