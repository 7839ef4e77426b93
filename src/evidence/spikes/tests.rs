use super::*;
use crate::load;
use crate::testing::{
    activity, alarm, at, change, group, levels, not_scaled, phases, results as answered,
    two_spikes, with_load,
};
use crate::timeline::{NotScaled, Observation, Observed};
use model::measure::Results;

fn reaction(story: Vec<Observation>) -> Reaction {
    with_load(&levels(), story, &Results::default(), |case| {
        case.reaction.clone()
    })
}

fn kinds(moments: &[Moment]) -> Vec<MomentKind> {
    moments.iter().map(|moment| moment.kind).collect()
}

#[test]
fn each_spike_has_a_chain_of_its_own_in_the_order_of_its_moments() {
    let found = reaction(two_spikes());
    let [first, second] = found.spikes.as_slice() else {
        panic!("{:?}", found.spikes)
    };
    let expected = [
        MomentKind::LoadRose,
        MomentKind::Breach,
        MomentKind::Alarm,
        MomentKind::Decided,
        MomentKind::LaunchBegan,
        MomentKind::InService,
        MomentKind::FirstRequest,
    ];
    assert_eq!(
        (kinds(&first.out), kinds(&second.out)),
        (expected.to_vec(), expected.to_vec())
    );
    assert_eq!((second.out[0].at, second.out[5].at), (at(30), at(36)));
    let launch = Origin::LaunchActivity {
        instance: "i-3".to_owned(),
    };
    assert_eq!(second.out[4].origin, Some(launch));
    assert_eq!(
        (first.in_took, second.in_took),
        (Some(Duration::from_secs(6)), Some(Duration::from_secs(6)))
    );
    assert_eq!(second.back[0].at, at(40));
    assert_eq!((&found.out, &found.back), (&first.out, &second.back));
}

#[test]
fn a_user_who_lowers_the_desired_capacity_is_not_the_policys_scale_in() {
    let mut story = two_spikes();
    for one in &mut story {
        let Observed::Activity(activity) = &mut one.seen else {
            continue;
        };
        if activity.description.ends_with("i-3") && activity.shrinks() {
            activity.cause = format!(
                "At {} a user request update of AutoScalingGroup constraints to min: 1, max: 4, desired: 1 changing the \
                 desired capacity from 2 to 1.  At {} an instance was taken out of service in response to a difference \
                 between desired and actual capacity, shrinking the capacity from 2 to 1.",
                activity.start, activity.start
            );
        }
    }
    story.retain(|one| !matches!(&one.seen, Observed::AlarmChange(change) if change.at > at(40)));
    let found = reaction(story);
    let last = found.spikes.last().unwrap();
    assert_eq!(
        kinds(&last.back),
        [MomentKind::LoadFell, MomentKind::BackAtTheStart]
    );
    assert_eq!((last.in_took, found.in_took), (None, None));
    assert_eq!(found.left[1].why, crate::instances::Why::ByHand);
}

#[test]
fn a_group_that_grew_before_the_spike_is_said_to_have() {
    let early = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        change(7, "high", &[(4, 90.0)]),
        activity(7, "Launching a new EC2 instance: i-2", 1, 2),
        group(8, 2, &["i-1", "i-2"]),
        group(60, 2, &["i-1", "i-2"]),
    ];
    let first = &reaction(early.clone()).spikes[0];
    assert_eq!(
        kinds(&first.out),
        [
            MomentKind::Breach,
            MomentKind::Alarm,
            MomentKind::Decided,
            MomentKind::LaunchBegan,
            MomentKind::InService,
            MomentKind::FirstRequest
        ]
    );
    assert!(
        matches!(
            first.open[0],
            OpenLink::GrewBeforeTheSpike { from: 1, to: 2, .. }
        ),
        "{first:?}"
    );
    // A later decision for the spike counts, although the group had grown before it.
    let mut both = early;
    both.extend([
        change(14, "high", &[(11, 90.0)]),
        activity(14, "Launching a new EC2 instance: i-3", 2, 3),
        group(15, 3, &["i-1", "i-2", "i-3"]),
    ]);
    let first = &reaction(both).spikes[0];
    assert_eq!(
        (first.out[0].at, first.out_took),
        (at(10), Some(Duration::from_secs(4)))
    );
}

#[test]
fn an_alarm_that_had_fired_before_the_load_rose_leaves_no_breach() {
    let mut story = two_spikes();
    story.retain(|one| one.at < at(20));
    story.push(change(8, "high", &[(5, 90.0)]));
    story.retain(|one| !matches!(&one.seen, Observed::AlarmChange(change) if change.at == at(13)));
    let first = &reaction(story).spikes[0];
    assert_eq!(
        (first.out_took, first.out[0].kind),
        (None, MomentKind::LoadRose)
    );
    assert!(
        matches!(first.open[0], OpenLink::FiredBeforeTheRise { .. }),
        "{first:?}"
    );
}

#[test]
fn latency_is_back_by_the_group_only_between_its_first_request_and_the_fall() {
    let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false)]);
    let after = |slow: std::ops::Range<u32>, serves: Option<u32>| {
        let results = answered(&scenario, |second, level| {
            vec![(
                "",
                (level * 100.0) as u64,
                0,
                if slow.contains(&second) { 900 } else { 50 },
            )]
        });
        let schedule = model::plan::Schedule::new(&scenario);
        latency_back(
            &load::by_second(
                &scenario,
                &schedule,
                &results,
                &[],
                &crate::Baseline::default(),
            ),
            at(0),
            (at(10), serves.map(at), at(20)),
            Duration::from_millis(400),
        )
    };
    let back = Latency::Back {
        at: at(17),
        within: SECOND,
    };
    assert_eq!(after(11..17, Some(16)), back);
    assert_eq!(after(11..15, Some(16)), Latency::Alone);
    assert_eq!(after(11..15, None), Latency::Alone);
    assert_eq!(after(11..22, Some(16)), Latency::AfterTheFall);
    assert_eq!(after(11..30, Some(16)), Latency::Never);
    assert_eq!(after(0..0, Some(16)), Latency::Kept);
}

#[test]
fn with_few_requests_latency_is_back_within_a_pool_of_seconds() {
    // At 5 requests a second, 4 seconds are a pool: they begin at 10, 14, 18 s and so on.
    let course = |rate: f64, slow: std::ops::Range<u32>| {
        let mut scenario = phases(&[(rate, false), (rate * 1.001, true), (rate, false)]);
        scenario.phases[1].hold = Duration::from_secs(20);
        let results = answered(&scenario, |second, level| {
            let millis = if slow.contains(&second) { 900 } else { 50 };
            vec![("", level as u64, 0, millis)]
        });
        let schedule = model::plan::Schedule::new(&scenario);
        latency_back(
            &load::by_second(
                &scenario,
                &schedule,
                &results,
                &[],
                &crate::Baseline::default(),
            ),
            at(0),
            (at(10), Some(at(13)), at(30)),
            Duration::from_millis(400),
        )
    };
    let back = Latency::Back {
        at: at(18),
        within: Duration::from_secs(4),
    };
    assert_eq!(course(5.0, 11..15), back);
    assert_eq!(course(5.0, 0..0), Latency::Kept);
    assert_eq!(course(0.0, 11..15), Latency::Unknown);
}

#[test]
fn a_later_spike_for_which_the_group_is_still_large_enough_lacks_no_growth() {
    let story = || {
        vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            change(13, "high", &[(10, 90.0)]),
            activity(13, "Launching a new EC2 instance: i-2", 1, 2),
            group(14, 2, &["i-1"]),
            group(16, 2, &["i-1", "i-2"]),
            group(60, 2, &["i-1", "i-2"]),
        ]
    };
    // The alarm goes back to OK between the spikes, or stays in ALARM.
    let second = |calm: bool| {
        let mut story = story();
        if calm {
            let mut back = change(20, "high", &[(19, 40.0)]);
            if let Observed::AlarmChange(change) = &mut back.seen {
                (change.from, change.to) = ("ALARM".into(), "OK".into());
            }
            story.insert(6, back);
        }
        reaction(story).spikes[1].open.clone()
    };
    let enough = OpenLink::NoAlarmAskedForMore { instances: 2 };
    assert!(second(true).contains(&enough), "{:?}", second(true));
    assert!(!second(false).contains(&enough), "{:?}", second(false));
}

#[test]
fn what_application_auto_scaling_says_of_a_spike_that_it_did_not_answer_is_a_link() {
    let maximum = NotScaled::AtMaximum { maximum: Some(4) };
    let minimum = NotScaled::AtMinimum { minimum: Some(1) };
    let story = vec![
        group(0, 4, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 15),
        not_scaled(9, "high", NotScaled::Unscalable),
        not_scaled(13, "high", maximum.clone()),
        not_scaled(14, "high", maximum.clone()),
        not_scaled(15, "low", NotScaled::AnticipatedFlapping),
        not_scaled(25, "low", minimum),
        not_scaled(33, "high", NotScaled::AnticipatedFlapping),
        not_scaled(34, "high", maximum.clone()),
        group(60, 4, &["i-1"]),
    ];
    let spikes = reaction(story).spikes;
    let reasons = |spike: &Spike| -> Vec<NotScaled> {
        let links = spike.open.iter().filter_map(|link| match link {
            OpenLink::NotScaled { why } => Some(why.clone()),
            _ => None,
        });
        links.collect()
    };
    // Before the rise it is no answer to the spike, and the low alarm asks for less.
    assert_eq!(reasons(&spikes[0]), std::slice::from_ref(&maximum));
    let second = [NotScaled::AnticipatedFlapping, maximum];
    assert_eq!(reasons(&spikes[1]), second);
}

#[test]
fn a_policy_that_waits_for_what_it_asked_for_is_no_link() {
    let waiting = NotScaled::AtDesired { current: Some(2) };
    let link = OpenLink::NotScaled {
        why: waiting.clone(),
    };
    let said = |second: u32| {
        let mut story = two_spikes();
        story.push(not_scaled(second, "high", waiting.clone()));
        reaction(story).spikes[0].open.contains(&link)
    };
    // The group grows at 13 s.
    assert!(said(12));
    assert!(!said(13));
    assert!(!said(15));
}
