use super::super::expectations;
use super::super::scaling::tests::{
    activity, alarm, at, change, group, phases, results as answered, with_load,
};
use super::*;
use crate::measure::timeline::{Observation, Observed};

/// Spikes from 10 s to 20 s and from 30 s to 40 s, with the same answer to each.
fn two_spikes() -> Vec<Observation> {
    let mut story = vec![
        group(0, 1, &["i-1"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        alarm("low", "LessThanThreshold", 45.0, 5),
    ];
    for (from, id) in [(10, "i-2"), (30, "i-3")] {
        story.extend([
            change(from + 3, "high", &[(from, 90.0), (from + 1, 90.0)]),
            activity(
                from + 3,
                &format!("Launching a new EC2 instance: {id}"),
                1,
                2,
            ),
            group(from + 4, 2, &["i-1"]),
            group(from + 6, 2, &["i-1", id]),
            change(from + 16, "low", &[(from + 11, 5.0)]),
            activity(from + 16, &format!("Terminating EC2 instance: {id}"), 2, 1),
            group(from + 17, 1, &["i-1"]),
        ]);
    }
    story.push(group(60, 1, &["i-1"]));
    story
}

fn levels() -> crate::scenario::Scenario {
    phases(&[
        (1.0, false),
        (9.0, true),
        (1.0, false),
        (9.0, true),
        (1.0, false),
    ])
}

fn reaction(story: Vec<Observation>) -> Reaction {
    with_load(&levels(), story, &Results::default(), |case| {
        case.reaction.clone()
    })
}

fn names(moments: &[Moment]) -> Vec<&str> {
    moments.iter().map(|moment| moment.name.as_str()).collect()
}

#[test]
fn each_spike_has_a_chain_of_its_own_in_the_order_of_its_moments() {
    let found = reaction(two_spikes());
    let [first, second] = found.spikes.as_slice() else {
        panic!("{:?}", found.spikes)
    };
    let expected = [
        ROSE,
        BREACH,
        ALARM,
        "decided",
        LAUNCH,
        IN_SERVICE,
        FIRST_ANSWER,
    ];
    assert_eq!(
        (names(&first.out), names(&second.out)),
        (expected.to_vec(), expected.to_vec())
    );
    assert_eq!((second.out[0].at, second.out[5].at), (at(30), at(36)));
    assert!(second.out[4].source.ends_with("i-3"), "{:?}", second.out[4]);
    assert_eq!(
        (first.in_took, second.in_took),
        (Some(Duration::from_secs(6)), Some(Duration::from_secs(6)))
    );
    assert_eq!(second.back[0].at, at(40));
    assert_eq!((&found.out, &found.back), (&first.out, &second.back));
}

#[test]
fn only_the_seconds_between_a_breach_and_its_capacity_are_seconds_of_scaling() {
    let scenario = levels();
    let slow_between = answered(&scenario, |second, level| {
        let calm = (20..30).contains(&second) || second >= 40;
        vec![("", (level * 100.0) as u64, 0, if calm { 900 } else { 50 })]
    });
    let found = with_load(
        &scenario,
        two_spikes(),
        &slow_between,
        expectations::while_scaling,
    )
    .unwrap();
    assert!(
        found.measured.ends_with("in 14 seconds") && found.measured.contains("p95 = 50"),
        "{found:?}"
    );
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
        names(&first.out),
        [BREACH, ALARM, "decided", LAUNCH, IN_SERVICE, FIRST_ANSWER]
    );
    assert!(
        first.open[0].starts_with("the group grew before the spike rose, and not again: 1 to 2"),
        "{first:?}"
    );
    // But what it did then for the spike counts.
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
    assert_eq!((first.out_took, first.out[0].name.as_str()), (None, ROSE));
    assert!(
        first.open[0].contains("had fired before the load rose"),
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
        latency_back(
            &results,
            at(0),
            (at(10), serves.map(at), at(20)),
            Duration::from_millis(400),
        )
    };
    assert_eq!(after(11..17, Some(16)), Latency::Back(at(17)));
    assert_eq!(after(11..15, Some(16)), Latency::Alone);
    assert_eq!(after(11..15, None), Latency::Alone);
    assert_eq!(after(11..22, Some(16)), Latency::AfterTheFall);
    assert_eq!(after(11..30, Some(16)), Latency::Never);
    assert_eq!(after(0..0, Some(16)), Latency::Kept);
}
