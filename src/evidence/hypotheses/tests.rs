use super::*;
use crate::testing::{
    Answers, activity, alarm, at, behind, group, levels, phases, results, strained, with_load,
};
use crate::timeline::{Activity, Datapoint, MetricSeries, Observation, Observed as Seen, series};
use model::measure::{Cell, InstanceCell, Interval, Key, LatencyHistogram, Saturation, Tally};

mod limits; // limits on connections and requests

/// The load rises from 100/s to 600/s at 10 s and falls at 30 s.
fn load() -> Scenario {
    phases(&[(1.0, false), (6.0, true), (6.0, true), (1.0, false)])
}

/// Two instances; four serve from 15 s.
fn grows() -> Vec<Observation> {
    vec![
        group(0, 2, &["i-1", "i-2"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        activity(13, "Launching a new EC2 instance: i-3", 2, 4),
        activity(13, "Launching a new EC2 instance: i-4", 2, 4),
        group(13, 4, &["i-1", "i-2"]),
        group(15, 4, &["i-1", "i-2", "i-3", "i-4"]),
        group(40, 4, &["i-1", "i-2", "i-3", "i-4"]),
    ]
}

/// Returns the standing of each hypothesis. `answers` gets the second, the requests and the number
/// of serving instances.
fn standings(
    story: Vec<Observation>,
    answers: impl Fn(u32, u64, u64) -> Vec<Answers>,
) -> Vec<(Suspect, Standing)> {
    found(story, answers)
        .iter()
        .map(|one| (one.suspect, one.standing))
        .collect()
}

fn found(
    story: Vec<Observation>,
    answers: impl Fn(u32, u64, u64) -> Vec<Answers>,
) -> Vec<Hypothesis> {
    let scenario = load();
    let grown = story.len() > 4;
    let results = results(&scenario, |second, level| {
        let serving = if grown && second >= 15 { 4 } else { 2 };
        answers(second, (level * 100.0) as u64, serving)
    });
    with_load(&scenario, story, &results, |facts| facts.hypotheses.clone())
}

/// Adds requests without a latency to each of these seconds.
fn add(answered: &mut Results, seconds: std::ops::Range<u32>, tally: Tally) {
    let cells = seconds.map(|second| Cell {
        second,
        key: Key {
            phase: 0,
            flow: 0,
            step: 0,
        },
        tally,
        latency: LatencyHistogram::default().pack(),
    });
    let interval = Interval {
        cells: cells.collect(),
        ..Interval::default()
    };
    answered.add(0, &interval);
}

/// Spreads the answers of a second evenly over its instances.
fn even(serving: u64, ok: u64, bad: u64, millis: u64) -> Vec<Answers> {
    ["i-1", "i-2", "i-3", "i-4"]
        .into_iter()
        .take(serving as usize)
        .map(|id| (id, ok / serving, bad / serving, millis))
        .collect()
}

#[test]
fn a_load_that_more_instances_carry_had_too_few() {
    // Each carries 200/s: two are overloaded, four are not.
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(serving * 200);
        let millis = if asked > ok { 900 } else { 40 };
        even(serving, ok, asked - ok, millis)
    };
    assert_eq!(
        standings(grows(), of),
        [(Suspect::TooFewInstances, Standing::Holds)]
    );
    let all = found(grows(), of);
    assert!(
        all[0].pro.contains(&Clue::Cured { from: 2, to: 4 }),
        "{all:?}"
    );
    assert_eq!(
        (all[0].seconds.clone(), other_remedies(&all, 20).len()),
        (vec![(10, 15)], 0)
    );
}

#[test]
fn a_group_that_grows_and_answers_no_more_shares_a_bottleneck() {
    // All instances together answer 300/s.
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(300);
        let millis = if asked > ok { 900 } else { 40 };
        even(serving, ok, asked - ok, millis)
    };
    let all = found(grows(), of);
    let shared = all
        .iter()
        .find(|one| one.suspect == Suspect::SharedBottleneck)
        .unwrap();
    assert_eq!((shared.standing, shared.count()), (Standing::Holds, 20));
    assert!(matches!(
        shared.pro[0],
        Clue::GrewWithoutGain { from: 2, to: 4, .. }
    ));
    assert_eq!(
        other_remedies(&all, 20)[0].suspect,
        Suspect::SharedBottleneck
    );
    let few = all
        .iter()
        .find(|one| one.suspect == Suspect::TooFewInstances)
        .unwrap();
    assert_eq!(few.standing, Standing::Excluded);
}

#[test]
fn a_cpu_that_falls_while_the_group_grows_speaks_for_something_shared() {
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(300);
        let millis = if asked > ok { 900 } else { 40 };
        even(serving, ok, asked - ok, millis)
    };
    let shared = |later: f64| {
        let points = (0..40).map(|second| Datapoint {
            at: at(second),
            value: if second < 15 { 60.0 } else { later },
        });
        let cpu = MetricSeries {
            name: MetricSeries::name_of_policy_metric("CPUUtilization"),
            unit: "%".to_owned(),
            period: Duration::from_secs(1),
            points: points.collect(),
            alarms: vec!["high".to_owned()],
        };
        let mut story = grows();
        story.push(Observation::new(at(40), Seen::Metric(cpu)));
        let mut all = found(story, of).into_iter();
        all.find(|one| one.suspect == Suspect::SharedBottleneck)
            .unwrap()
    };
    let fell = Clue::MetricFell {
        metric: "CPUUtilization".to_owned(),
        before: 60.0,
        later: 30.0,
    };
    assert!(shared(30.0).pro.contains(&fell));
    let is_metric = |clue: &Clue| matches!(clue, Clue::MetricFell { .. });
    for later in [55.0, 60.0, 95.0] {
        assert!(!shared(later).pro.iter().any(is_metric), "{later}");
    }
}

#[test]
fn new_instances_that_get_no_requests_make_the_load_uneven() {
    let of = |_: u32, asked: u64, _: u64| {
        let ok = asked.min(300);
        even(2, ok, asked - ok, if asked > ok { 900 } else { 40 })
    };
    let all = standings(grows(), of);
    assert!(
        all.contains(&(Suspect::UnevenLoad, Standing::Holds)),
        "{all:?}"
    );
}

#[test]
fn one_instance_that_fails_alone_is_sick_and_not_the_groups_size() {
    let of = |second: u32, asked: u64, serving: u64| {
        let mut all = even(serving, asked.min(serving * 400), 0, 40);
        if (18..28).contains(&second) {
            (all[1].1, all[1].2) = (0, all[1].1);
        }
        all
    };
    let all = found(grows(), of);
    assert_eq!(
        (all[0].suspect, all[0].standing, all[0].seconds.clone()),
        (Suspect::SickInstance, Standing::Holds, vec![(18, 28)])
    );
    assert!(matches!(&all[0].pro[0], Clue::OneFailed { instance, .. } if instance == "i-2"));
}

#[test]
fn two_instances_that_fail_together_are_sick_and_not_the_groups_size() {
    let of = |sick: [usize; 2]| {
        found(grows(), move |second, asked, serving| {
            let mut all = even(serving, asked.min(serving * 400), 0, 40);
            for one in sick.into_iter().filter(|_| (18..28).contains(&second)) {
                (all[one].1, all[one].2) = (0, all[one].1);
            }
            all
        })
    };
    let all = of([0, 1]);
    let sick: Vec<&Hypothesis> = all
        .iter()
        .filter(|one| one.suspect == Suspect::SickInstance)
        .collect();
    let seconds: Vec<_> = sick.iter().map(|one| one.seconds.clone()).collect();
    assert_eq!(seconds, [[(18, 28)], [(18, 28)]], "{all:?}");
    assert!(
        matches!(&sick[1].pro[0], Clue::OneFailed { instance, share, others }
        if instance == "i-2" && *share > 0.99 && *others == 0.0)
    );
    assert_eq!(
        standing_of(&all, Suspect::TooFewInstances),
        Some(Standing::Excluded)
    );
    // New instances that fail are told from old ones.
    assert!(
        of([2, 3])
            .iter()
            .all(|one| one.suspect != Suspect::SickInstance)
    );
}

fn standing_of(all: &[Hypothesis], suspect: Suspect) -> Option<Standing> {
    let mut all = all.iter();
    all.find(|one| one.suspect == suspect)
        .map(|one| one.standing)
}

/// Two instances of a group that may have this many, and a policy on their CPU: a share of their load.
fn with_cpu(max: u32, share: f64) -> Vec<Observation> {
    let point = |second: u32| {
        let value = if (10..30).contains(&second) {
            300.0
        } else {
            50.0
        };
        Datapoint {
            at: at(second),
            value: value * share,
        }
    };
    let series = MetricSeries {
        name: MetricSeries::name_of_policy_metric("CPUUtilization"),
        unit: "%".to_owned(),
        period: Duration::from_secs(1),
        points: (0..40).map(point).collect(),
        alarms: vec!["high".to_owned()],
    };
    let mut first = group(0, 2, &["i-1", "i-2"]);
    if let Seen::Group(group) = &mut first.seen {
        group.max = max;
    }
    vec![
        first,
        alarm("high", "GreaterThanThreshold", 80.0, 3),
        Observation::new(at(40), Seen::Metric(series)),
    ]
}

#[test]
fn a_limit_by_load_beside_idle_instances_does_not_show_that_they_are_too_few() {
    // All together answer 300/s, whatever makes it so.
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(300);
        even(serving, ok, asked - ok, if asked > ok { 900 } else { 40 })
    };
    let told = |max, share| found(with_cpu(max, share), of);
    let few = |all: &[Hypothesis]| standing_of(all, Suspect::TooFewInstances);
    let blind = |all: &[Hypothesis]| standing_of(all, Suspect::BlindMetric);
    let idle = told(2, 0.1);
    assert_eq!(
        (few(&idle), blind(&idle)),
        (Some(Standing::Open), None),
        "{idle:?}"
    );
    let room = Clue::MetricBelowCeiling {
        metric: "CPUUtilization".to_owned(),
        usual: 30.0,
    };
    assert!(
        idle.iter().any(|one| one.against.contains(&room)),
        "{idle:?}"
    );
    assert_eq!(other_remedies(&idle, 20).len(), 1, "nothing is replayed");
    // A group that may grow and is not asked to: the metric may be blind, or nothing would help.
    let may_grow = told(8, 0.1);
    assert_eq!(
        (few(&may_grow), blind(&may_grow)),
        (Some(Standing::Open), Some(Standing::Open)),
        "{may_grow:?}"
    );
    // Busy instances are too few.
    assert_eq!(few(&told(2, 0.27)), Some(Standing::Holds));
}

#[test]
fn limits_that_were_missed_before_the_load_rose_are_not_missed_for_the_load() {
    // Everything is slow until second 17, and new instances serve from second 15 on.
    let of = |until: u32| {
        found(grows(), move |second, asked, serving| {
            even(serving, asked, 0, if second < until { 900 } else { 40 })
        })
    };
    let all = of(17);
    let few = all.last().unwrap();
    assert_eq!(
        (few.suspect, few.standing),
        (Suspect::TooFewInstances, Standing::Open),
        "{all:?}"
    );
    assert!(
        few.against
            .iter()
            .any(|clue| matches!(clue, Clue::MissedBefore { seconds: 10, .. })),
        "{few:?}"
    );
    // A slow start that was over before the load rose takes nothing away from what the rise shows.
    let all = found(grows(), move |second, asked, serving| {
        let is_slow = second < 5 || (10..15).contains(&second);
        even(serving, asked, 0, if is_slow { 900 } else { 40 })
    });
    let few = standing_of(&all, Suspect::TooFewInstances);
    assert_eq!(few, Some(Standing::Holds), "{all:?}");
}

#[test]
fn without_a_header_a_sick_instance_can_only_be_suspected() {
    // Four instances from the start; a quarter of the answers fail at a load that had held.
    let story = vec![group(0, 4, &["i-1", "i-2", "i-3", "i-4"])];
    let of = |second: u32, asked: u64, _: u64| match second {
        18..28 => vec![("", asked * 3 / 4, asked / 4, 40)],
        _ => vec![("", asked, 0, 40)],
    };
    let all = found(story, of);
    assert_eq!(
        (all[0].suspect, all[0].standing, all[0].tells),
        (
            Suspect::SickInstance,
            Standing::Open,
            Some(TellingRun::InstanceHeader)
        )
    );
}

#[test]
fn new_instances_that_are_slow_at_first_are_cold() {
    let of = |second: u32, asked: u64, serving: u64| {
        let mut all = even(serving, asked, 0, 40);
        if (15..23).contains(&second) {
            (all[2].3, all[3].3) = (900, 900);
        }
        all
    };
    let all = found(grows(), of);
    let cold = all
        .iter()
        .find(|one| one.suspect == Suspect::ColdInstances)
        .unwrap();
    assert_eq!(
        (cold.standing, cold.seconds.clone()),
        (Standing::Holds, vec![(15, 23)])
    );
    // The same, with nothing that names them.
    let nameless = |second: u32, asked: u64, _: u64| match second {
        15..23 => vec![("", asked / 2, 0, 40), ("", asked / 2, 0, 900)],
        _ => vec![("", asked, 0, 40)],
    };
    let all = standings(grows(), nameless);
    assert!(
        all.contains(&(Suspect::ColdInstances, Standing::Open)),
        "{all:?}"
    );
}

#[test]
fn errors_that_are_always_there_are_a_baseline_and_miss_no_limit() {
    let of = |_: u32, asked: u64, serving: u64| even(serving, asked - asked / 10, asked / 10, 40);
    let scenario = load();
    let results = results(&scenario, |second, level| {
        of(second, (level * 100.0) as u64, 2)
    });
    with_load(&scenario, grows(), &results, |facts| {
        assert_eq!(
            facts
                .hypotheses
                .iter()
                .map(|one| (one.suspect, one.standing))
                .collect::<Vec<_>>(),
            [(Suspect::ConstantErrors, Standing::Holds)]
        );
        assert!(facts.load.iter().all(|second| second.errors == 0));
        assert!(facts.load[12].constant >= 58, "{:?}", facts.load[12]);
    });
}

#[test]
fn errors_of_one_instance_from_the_start_are_no_baseline() {
    let of = |_: u32, asked: u64, serving: u64| {
        let mut all = even(serving, asked, 0, 40);
        (all[0].1, all[0].2) = (0, all[0].1);
        all
    };
    let all = found(grows(), of);
    assert_eq!(all[0].suspect, Suspect::SickInstance, "{all:?}");
}

#[test]
fn launches_that_fail_leave_the_group_smaller_than_it_wants() {
    let mut story = grows();
    story.retain(|one| !matches!(&one.seen, Seen::Activity(_)));
    story.insert(2, activity(13, "Launching a new EC2 instance: i-3", 2, 6));
    for id in ["a", "b"] {
        let failed = Activity {
            id: id.to_owned(),
            description: "Launching a new EC2 instance.  Status Reason: no capacity".to_owned(),
            start: at(14),
            status: "Failed".into(),
            message: Some("no capacity".to_owned()),
            ..Activity::default()
        };
        story.insert(3, Observation::new(at(14), Seen::Activity(failed)));
    }
    for one in &mut story {
        if let Seen::Group(group) = &mut one.seen
            && group.desired == 4
        {
            group.desired = 6;
        }
    }
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(serving * 100);
        even(serving, ok, asked - ok, if asked > ok { 900 } else { 40 })
    };
    let all = found(story, of);
    let failed = all
        .iter()
        .find(|one| one.suspect == Suspect::FailedLaunches)
        .unwrap();
    assert_eq!(failed.standing, Standing::Holds);
    assert_eq!(
        failed.pro,
        [
            Clue::LaunchesFailed {
                failed: 2,
                of: 3,
                messages: vec!["no capacity".to_owned()]
            },
            Clue::NeverReached { wanted: 6, most: 4 }
        ]
    );
    assert!(
        other_remedies(&all, 20)
            .iter()
            .any(|one| one.suspect == Suspect::FailedLaunches)
    );
}

#[test]
fn a_policy_whose_metric_stays_low_while_limits_are_missed_does_not_see_the_load() {
    let points = (0..40)
        .map(|second| Datapoint {
            at: at(second),
            value: if (10..30).contains(&second) {
                19.0
            } else {
                5.0
            },
        })
        .collect();
    let of_second = |second| Datapoint {
        at: at(second),
        value: if (10..30).contains(&second) {
            80.0
        } else {
            20.0
        },
    };
    let connections = MetricSeries {
        name: series::ACTIVE_CONNECTIONS.to_owned(),
        unit: "per minute".to_owned(),
        period: Duration::from_secs(1),
        points: (0..40).map(of_second).collect(),
        alarms: Vec::new(),
    };
    let series = MetricSeries {
        name: MetricSeries::name_of_policy_metric("CPUUtilization"),
        unit: "%".to_owned(),
        period: Duration::from_secs(1),
        points,
        alarms: vec!["high".to_owned()],
    };
    let story = vec![
        group(0, 2, &["i-1", "i-2"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        Observation::new(at(40), Seen::Metric(series)),
        Observation::new(at(40), Seen::Metric(connections)),
    ];
    let of = |_: u32, asked: u64, serving: u64| {
        even(serving, asked, 0, if asked > 100 { 1_500 } else { 40 })
    };
    let all = found(story, of);
    let blind = all
        .iter()
        .find(|one| one.suspect == Suspect::BlindMetric)
        .unwrap();
    // Something that all share would look the same.
    assert_eq!(blind.standing, Standing::Open);
    assert!(matches!(blind.pro[0], Clue::MetricBelow { highest, .. } if highest < 20.0));
    assert!(
        matches!(&blind.pro[1], Clue::WouldHaveSeen { metric, .. } if metric == "RequestCountPerTarget"),
        "{blind:?}"
    );
    assert!(blind.requests_rose());
    let connections = Clue::WouldHaveSeen {
        metric: series::ACTIVE_CONNECTIONS.to_owned(),
        before: 20.0,
        during: 80.0,
    };
    assert_eq!(blind.pro[2..], [connections]);
}

#[test]
fn a_metric_does_not_see_a_load_that_more_instances_carried_later() {
    // The spikes last from 10 s to 20 s and from 30 s to 40 s; a second instance serves from 27 s on.
    let scenario = levels();
    let answered = results(&scenario, |second, level| {
        let millis = if (10..20).contains(&second) {
            1_500
        } else {
            40
        };
        let serving = if second < 27 { 1 } else { 2 };
        even(serving, (level * 100.0) as u64, 0, millis)
    });
    let points = (0..50).map(|second| Datapoint {
        at: at(second),
        value: 12.0,
    });
    let series = MetricSeries {
        name: MetricSeries::name_of_policy_metric("CPUUtilization"),
        unit: "%".to_owned(),
        period: Duration::from_secs(1),
        points: points.collect(),
        alarms: vec!["high".to_owned()],
    };
    let story = |served: &[&str]| {
        vec![
            group(0, 1, &["i-1"]),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
            group(25, 2, &["i-1"]),
            group(27, 2, served),
            group(50, 2, served),
            Observation::new(at(50), Seen::Metric(series.clone())),
        ]
    };
    let blind = |served: &[&str]| {
        with_load(&scenario, story(served), &answered, |facts| {
            let mut all = facts.hypotheses.iter();
            let found = all.find(|one| one.suspect == Suspect::BlindMetric).unwrap();
            let is_cure = |clue: &&Clue| matches!(clue, Clue::Cured { .. });
            (found.standing, found.pro.iter().find(is_cure).cloned())
        })
    };
    let cured = Clue::Cured { from: 1, to: 2 };
    assert_eq!(blind(&["i-1", "i-2"]), (Standing::Holds, Some(cured)));
    // Without more instances, nothing shows that they would have helped.
    assert_eq!(blind(&["i-1"]), (Standing::Open, None));
}

#[test]
fn seconds_are_told_in_spans() {
    let seconds = [1, 2, 3, 7, 9, 10].into_iter().collect();
    assert_eq!(spans(&seconds), [(1, 4), (7, 8), (9, 11)]);
}

#[test]
fn slow_seconds_of_a_strained_generator_are_not_the_targets() {
    let scenario = load();
    let slow_in = |slow: std::ops::Range<u32>, late_micros| {
        let mut answered = results(&scenario, |second, level| {
            let millis = if slow.contains(&second) { 900 } else { 40 };
            even(2, (level * 100.0) as u64, 0, millis)
        });
        let late = Saturation {
            second: 18,
            starts: 600,
            late: 300,
            late_micros,
            ..Saturation::default()
        };
        let strained = Interval {
            saturation: vec![late],
            ..Interval::default()
        };
        answered.add(0, &strained);
        let story = vec![group(0, 2, &["i-1", "i-2"])];
        with_load(&scenario, story, &answered, |facts| {
            let found = facts.hypotheses.first();
            found.map(|one| (one.suspect, one.standing, one.seconds.clone()))
        })
    };
    assert_eq!(
        slow_in(18..20, 900_000),
        Some((Suspect::StrainedGenerator, Standing::Holds, vec![(18, 20)]))
    );
    // Requests that are sent 80 ms late do not take 900 ms for that.
    assert_eq!(
        slow_in(18..20, 80_000),
        Some((Suspect::StrainedGenerator, Standing::Open, Vec::new()))
    );
    // Another slow second is the target's, and so may be these.
    let found = slow_in(17..20, 900_000).unwrap();
    assert_eq!(found.0, Suspect::TooFewInstances, "{found:?}");
}

#[test]
fn old_instances_that_keep_their_clients_make_the_load_uneven() {
    // Each carries 200/s; the old two keep 250/s each, and the new ones share the rest.
    let of = |_: u32, asked: u64, serving: u64| match (asked > 100, serving) {
        (true, 4) => vec![
            ("i-1", 250, 0, 900),
            ("i-2", 250, 0, 900),
            ("i-3", 50, 0, 40),
            ("i-4", 50, 0, 40),
        ],
        (true, _) => even(serving, 400, 200, 900),
        (false, _) => even(serving, asked, 0, 40),
    };
    let all = found(grows(), of);
    assert_eq!(
        (all[0].suspect, all[0].standing, all[0].count()),
        (Suspect::UnevenLoad, Standing::Holds, 20),
        "{all:?}"
    );
    assert!(
        !all.iter()
            .any(|one| one.suspect == Suspect::TooFewInstances && one.holds())
    );
}

#[test]
fn new_instances_that_fail_at_first_are_cold_and_nothing_is_shared() {
    let of = |second: u32, asked: u64, serving: u64| {
        let mut all = even(serving, asked.min(serving * 200), 0, 40);
        if serving == 4 && second < 25 {
            for one in &mut all[2..] {
                (one.1, one.2) = (0, one.1);
            }
        }
        all
    };
    let all = found(grows(), of);
    let cold = all.iter().find(|one| one.suspect == Suspect::ColdInstances);
    assert!(cold.unwrap().holds(), "{all:?}");
    assert!(
        !all.iter()
            .any(|one| one.suspect == Suspect::SharedBottleneck),
        "{all:?}"
    );
}

#[test]
fn a_new_instance_that_fails_for_ever_is_sick_and_not_cold() {
    let until = |last: u32| {
        let of = |second: u32, asked: u64, serving: u64| {
            let mut all = even(serving, asked.min(serving * 200), 0, 40);
            if serving == 4 && second < last {
                (all[3].1, all[3].2) = (0, all[3].1);
            }
            all
        };
        let all = found(grows(), of);
        [Suspect::ColdInstances, Suspect::SickInstance].map(|suspect| standing_of(&all, suspect))
    };
    assert_eq!(until(25)[0], Some(Standing::Holds));
    assert_eq!(until(u32::MAX), [None, Some(Standing::Holds)]);
}

#[test]
fn overload_that_times_out_is_no_shared_bottleneck() {
    // Old requests that nobody waits for keep two of four busy: hardly more is answered than before.
    let scenario = load();
    let answered = {
        let mut answered = results(&scenario, |second, level| {
            let asked = (level * 100.0) as u64;
            let is_spike = (10..30).contains(&second);
            let ok = if is_spike { 200 } else { asked };
            even(if second < 15 { 2 } else { 4 }, ok, 0, 40)
        });
        add(
            &mut answered,
            10..30,
            Tally {
                timeout: 400,
                ..Tally::default()
            },
        );
        answered
    };
    with_load(&scenario, grows(), &answered, |facts| {
        let holds = |suspect| {
            facts
                .hypotheses
                .iter()
                .any(|one| one.suspect == suspect && one.holds())
        };
        assert!(!holds(Suspect::SharedBottleneck), "{:?}", facts.hypotheses);
        assert!(holds(Suspect::TimedOutWork), "{:?}", facts.hypotheses);
    });
}

#[test]
fn a_limit_that_growth_lifts_is_that_of_each_instance() {
    let scenario = load();
    let mut answered = results(&scenario, |second, level| {
        let (asked, serving) = ((level * 100.0) as u64, if second < 15 { 2 } else { 4 });
        even(serving, asked.min(serving * 200), 0, 40)
    });
    add(
        &mut answered,
        10..15,
        Tally {
            status_4xx: 200,
            limited: 200,
            ..Tally::default()
        },
    );
    with_load(&scenario, grows(), &answered, |facts| {
        let standing = |suspect| {
            facts
                .hypotheses
                .iter()
                .find(|one| one.suspect == suspect)
                .map(|one| one.standing)
        };
        assert_eq!(
            standing(Suspect::RateLimit),
            Some(Standing::Excluded),
            "{:?}",
            facts.hypotheses
        );
        assert_eq!(standing(Suspect::TooFewInstances), Some(Standing::Holds));
    });
}

#[test]
fn the_baseline_of_many_seconds_hides_no_more_than_chance() {
    // 3 % always fail, and 9 % in the last seconds of the spike.
    let scenario = load();
    let answered = results(&scenario, |second, level| {
        let asked = (level * 100.0) as u64;
        let bad = if (25..30).contains(&second) {
            asked * 9 / 100
        } else {
            asked * 3 / 100
        };
        even(2, asked - bad, bad, 40)
    });
    with_load(&scenario, grows(), &answered, |facts| {
        let seconds: Vec<u32> = (25..30).collect();
        let select = model::measure::Select {
            seconds: Some((25, 30)),
            ..Default::default()
        };
        let share = facts.error_share(&facts.results.merged(select), &seconds);
        assert!(share > 0.03, "{share}");
    });
}

#[test]
fn names_that_are_no_members_of_the_group_are_no_header() {
    // The header names hosts: what new instances answered is not known.
    let of = |_: u32, asked: u64, serving: u64| {
        let ok = asked.min(300);
        let millis = if asked > ok { 900 } else { 40 };
        let mut all = even(serving, ok, asked - ok, millis);
        for (one, host) in all.iter_mut().zip(["ip-1", "ip-2", "ip-3", "ip-4"]) {
            one.0 = host;
        }
        all
    };
    let all = standings(grows(), of);
    assert!(
        !all.iter()
            .any(|(suspect, _)| *suspect == Suspect::UnevenLoad),
        "{all:?}"
    );
    assert!(
        all.contains(&(Suspect::SharedBottleneck, Standing::Holds)),
        "{all:?}"
    );
}

#[test]
fn instances_that_stop_answering_are_lost_and_no_want_of_instances() {
    // i-2 stops at 18 s and is replaced at 21 s; what was sent to it times out five seconds later.
    let scenario = load();
    let mut answered = results(&scenario, |_, level| even(4, (level * 100.0) as u64, 0, 40));
    add(
        &mut answered,
        23..26,
        Tally {
            timeout: 100,
            ..Tally::default()
        },
    );
    let mut gone = activity(21, "Terminating EC2 instance: i-2", 4, 4);
    if let Seen::Activity(activity) = &mut gone.seen {
        activity.cause = "At 2026-03-01T12:00:21Z an instance was taken out of service in response to an EC2 health check \
                          indicating it has been terminated or stopped."
            .to_owned();
    }
    // i-1 fails its checks as well, long after those seconds.
    let mut later = activity(80, "Terminating EC2 instance: i-1", 4, 4);
    if let (Seen::Activity(later), Seen::Activity(gone)) = (&mut later.seen, &gone.seen) {
        later.cause.clone_from(&gone.cause);
    }
    let story = vec![
        group(0, 4, &["i-1", "i-2", "i-3", "i-4"]),
        gone,
        group(22, 4, &["i-1", "i-3", "i-4"]),
        group(40, 4, &["i-1", "i-3", "i-4"]),
        later,
    ];
    with_load(&scenario, story, &answered, |facts| {
        let first = &facts.hypotheses[0];
        assert_eq!(
            (first.suspect, first.standing, first.seconds.clone()),
            (Suspect::LostInstances, Standing::Holds, vec![(23, 26)])
        );
        let stopped = Clue::StoppedAnswering {
            instances: 1,
            requests: 300,
        };
        assert_eq!(first.pro, [stopped]);
        let holds = facts.hypotheses.iter().filter(|one| one.holds()).count();
        assert_eq!(holds, 1, "{:?}", facts.hypotheses);
    });
}

/// A load with this many requests in each of 80 s; those from 10 s to 70 s are called a spike.
fn few(rate: f64) -> Scenario {
    let mut levels = vec![(rate, true); 8];
    (levels[0].1, levels[7].1) = (false, false);
    phases(&levels)
}

/// One request to each of three instances in turn; `of` gets the second, the number of the request
/// and the number of its instance, and returns its good answers, its failed ones and its time.
fn in_turn(scenario: &Scenario, of: impl Fn(u32, u64, usize) -> (u64, u64, u64)) -> Results {
    let number = std::cell::Cell::new(0);
    results(scenario, |second, level| {
        let mut all = Vec::new();
        for _ in 0..level as u64 {
            let at = number.get();
            number.set(at + 1);
            let instance = (at % 3) as usize;
            let (ok, bad, millis) = of(second, at / 3, instance);
            all.push((["i-1", "i-2", "i-3"][instance], ok, bad, millis));
        }
        all
    })
}

fn three_instances() -> Vec<Observation> {
    vec![
        group(0, 3, &["i-1", "i-2", "i-3"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        group(80, 3, &["i-1", "i-2", "i-3"]),
    ]
}

/// Returns the standing of a suspect, and the seconds that it explains.
fn about(all: &[Hypothesis], suspect: Suspect) -> Option<(Standing, u32)> {
    let found = all.iter().find(|one| one.suspect == suspect);
    found.map(|one| (one.standing, one.count()))
}

#[test]
fn a_sick_instance_is_found_with_few_requests_a_second() {
    let judged = |rate: f64, of: &dyn Fn(u32, u64, usize) -> (u64, u64, u64)| {
        let scenario = few(rate);
        let answered = in_turn(&scenario, of);
        with_load(&scenario, three_instances(), &answered, |facts| {
            facts.hypotheses.clone()
        })
    };
    // From second 20 on, the second instance is slow. At 1/s no second has an answer of two.
    for rate in [1.0, 2.0, 3.0] {
        let all = judged(rate, &|second, _, instance| {
            let is_sick = second >= 20 && instance == 1;
            (1, 0, if is_sick { 900 } else { 100 })
        });
        let (standing, seconds) = about(&all, Suspect::SickInstance).unwrap();
        assert_eq!(standing, Standing::Holds, "{rate} {all:?}");
        assert!(seconds >= 50, "{rate} {all:?}");
        let holds = all.iter().filter(|one| one.holds()).count();
        assert_eq!(holds, 1, "{rate} {all:?}");
    }
    // Or it fails three of ten.
    for rate in [2.0, 3.0] {
        let all = judged(rate, &|second, turn, instance| {
            let fails = second >= 20 && instance == 1 && turn % 10 < 3;
            (u64::from(!fails), u64::from(fails), 100)
        });
        let sick = about(&all, Suspect::SickInstance).map(|(standing, _)| standing);
        assert_eq!(sick, Some(Standing::Holds), "{rate} {all:?}");
        let holds = all.iter().filter(|one| one.holds()).count();
        assert_eq!(holds, 1, "{rate} {all:?}");
    }
}

#[test]
fn an_instance_that_fails_in_part_from_the_start_is_no_constant_error() {
    let scenario = few(3.0);
    let answered = in_turn(&scenario, |_, turn, instance| {
        let fails = instance == 1 && turn % 10 < 3;
        (u64::from(!fails), u64::from(fails), 100)
    });
    with_load(&scenario, three_instances(), &answered, |facts| {
        let all = &facts.hypotheses;
        let sick = about(all, Suspect::SickInstance).map(|(standing, _)| standing);
        assert_eq!(sick, Some(Standing::Holds), "{all:?}");
        assert_eq!(about(all, Suspect::ConstantErrors), None, "{all:?}");
    });
}

#[test]
fn too_few_answers_of_an_instance_leave_it_open_whether_it_is_sick() {
    // The second instance fails from second 74 on: six answers.
    let scenario = few(3.0);
    let answered = in_turn(&scenario, |second, _, instance| {
        let is_sick = second >= 74 && instance == 1;
        let fails = u64::from(is_sick);
        (1 - fails, fails, 100)
    });
    with_load(&scenario, three_instances(), &answered, |facts| {
        let all = &facts.hypotheses;
        let sick = about(all, Suspect::SickInstance).map(|(standing, _)| standing);
        assert_eq!(sick, Some(Standing::Open), "{all:?}");
        let wrong = all
            .iter()
            .find(|one| one.holds() && one.suspect != Suspect::SickInstance);
        assert_eq!(wrong, None, "{all:?}");
    });
}

#[test]
fn errors_that_chance_spreads_unevenly_are_not_those_of_one_instance() {
    // Every tenth request fails, whoever answers it.
    let scenario = few(6.0);
    let number = std::cell::Cell::new(0);
    let answered = in_turn(&scenario, |second, _, _| {
        number.set(number.get() + 1);
        let fails = u64::from(second >= 12 && number.get() % 10 == 0);
        (1 - fails, fails, 100)
    });
    with_load(&scenario, three_instances(), &answered, |facts| {
        let all = &facts.hypotheses;
        assert_eq!(about(all, Suspect::SickInstance), None, "{all:?}");
    });
}

/// A third instance serves from 20 s on.
fn grows_to_three() -> Vec<Observation> {
    vec![
        group(0, 2, &["i-1", "i-2"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        activity(16, "Launching a new EC2 instance: i-3", 2, 3),
        group(17, 3, &["i-1", "i-2"]),
        group(20, 3, &["i-1", "i-2", "i-3"]),
        group(80, 3, &["i-1", "i-2", "i-3"]),
    ]
}

/// One in three requests goes to `i-3` from 20 s on, which answers late for a time.
fn with_a_new_one(scenario: &Scenario, slow: &std::ops::Range<u32>) -> Results {
    let turn = std::cell::Cell::new(0_usize);
    results(scenario, |second, level| {
        let serving = if second < 20 { 2 } else { 3 };
        let one = |_| {
            let instance = turn.get() % serving;
            turn.set(turn.get() + 1);
            let is_cold = instance == 2 && slow.contains(&second);
            let millis = if is_cold { 900 } else { 100 };
            (["i-1", "i-2", "i-3"][instance], 1, 0, millis)
        };
        (0..level as u64).map(one).collect()
    })
}

#[test]
fn a_cold_instance_is_found_with_few_requests_a_second_or_left_open() {
    let judged = |rate: f64, slow: std::ops::Range<u32>| {
        let scenario = few(rate);
        let answered = with_a_new_one(&scenario, &slow);
        with_load(&scenario, grows_to_three(), &answered, |facts| {
            facts.hypotheses.clone()
        })
    };
    for rate in [1.0, 2.0, 3.0] {
        let all = judged(rate, 20..45);
        let (standing, seconds) = about(&all, Suspect::ColdInstances).unwrap();
        assert_eq!(standing, Standing::Holds, "{rate} {all:?}");
        assert!(seconds >= 20, "{rate} {all:?}");
        assert_eq!(about(&all, Suspect::SickInstance), None, "{rate} {all:?}");
    }
    // Never well: cold or sick, but not too few.
    for rate in [1.0, 2.0, 3.0] {
        let all = judged(rate, 20..80);
        let is_other = |suspect| {
            about(&all, suspect).is_some_and(|(standing, _)| standing != Standing::Excluded)
        };
        assert!(
            is_other(Suspect::ColdInstances) || is_other(Suspect::SickInstance),
            "{all:?}"
        );
        let few = about(&all, Suspect::TooFewInstances).map(|(standing, _)| standing);
        assert_ne!(few, Some(Standing::Holds), "{rate} {all:?}");
    }
}

#[test]
fn without_names_connections_that_stay_may_be_a_shared_bottleneck() {
    // The old two keep their clients and answer 300/s, whatever the group does.
    let of = |_: u32, asked: u64, _: u64| {
        let ok = asked.min(300);
        vec![("", ok, asked - ok, if asked > ok { 900 } else { 40 })]
    };
    let all = found(grows(), of);
    for suspect in [Suspect::SharedBottleneck, Suspect::UnevenLoad] {
        let one = all.iter().find(|one| one.suspect == suspect).unwrap();
        assert_eq!(
            (one.standing, one.tells, one.count()),
            (Standing::Open, Some(TellingRun::InstanceHeader), 20),
            "{all:?}"
        );
    }
    assert!(!all.iter().any(Hypothesis::holds), "{all:?}");
}

#[test]
fn without_names_old_instances_may_stay_slow_while_new_ones_answer_the_rest() {
    // The old two answer 400/s late for as long as it is high, and the new ones the other 200/s.
    let of = |stays: bool| {
        move |second: u32, asked: u64, serving: u64| {
            let ok = asked.min(if serving > 2 { 600 } else { 400 });
            let millis = match (asked > 100, serving) {
                (false, _) => 40,
                // A backlog becomes shorter.
                (true, 4) if !stays => 1_200 - 90 * u64::from(second - 15).min(12),
                _ => 900,
            };
            vec![("", ok, asked - ok, millis)]
        }
    };
    let all = found(grows(), of(true));
    assert!(!all.iter().any(Hypothesis::holds), "{all:?}");
    let uneven = all.iter().find(|one| one.suspect == Suspect::UnevenLoad);
    assert_eq!(uneven.unwrap().tells, Some(TellingRun::InstanceHeader));
    let all = found(grows(), of(false));
    assert_eq!(about(&all, Suspect::UnevenLoad), None, "{all:?}");
}

#[test]
fn without_names_a_part_of_the_gain_may_be_uneven_load_and_the_whole_gain_is_not() {
    // Two instances answer `before`, and four `after`, of 600/s; all late for as long as it is high.
    let judged = |before: u64, after: u64| {
        let of = |_: u32, asked: u64, serving: u64| {
            let ok = asked.min(if serving > 2 { after } else { before });
            vec![("", ok, asked - ok, if asked > 100 { 900 } else { 40 })]
        };
        let all = found(grows(), of);
        [Suspect::SharedBottleneck, Suspect::UnevenLoad]
            .map(|suspect| about(&all, suspect).is_some())
    };
    for after in [470, 500, 550, 600] {
        assert_eq!(judged(400, after), [true, true], "{after}");
    }
    // Each of the four answers as much as each of the two did.
    for after in [390, 400] {
        assert_eq!(judged(200, after), [false, false], "{after}");
    }
}

#[test]
fn without_names_weaker_new_instances_may_be_a_shared_bottleneck() {
    // Two carry 150/s each, and the two new ones 37/s each: 300/s, then 374/s of 600/s.
    let of = |named: bool| {
        move |_: u32, asked: u64, serving: u64| {
            let ok = asked.min(if serving > 2 { 374 } else { 300 });
            let millis = if asked > ok { 900 } else { 40 };
            match (named && asked > ok, serving) {
                (false, _) => vec![("", ok, asked - ok, millis)],
                (true, 2) => even(2, 300, 280, millis),
                (true, _) => vec![
                    ("i-1", 150, 0, millis),
                    ("i-2", 150, 0, millis),
                    ("i-3", 37, 30, millis),
                    ("i-4", 37, 30, millis),
                ],
            }
        }
    };
    let all = found(grows(), of(false));
    let shared = all
        .iter()
        .find(|one| one.suspect == Suspect::SharedBottleneck);
    let shared = shared.unwrap();
    assert_eq!(
        (shared.standing, shared.tells),
        (Standing::Open, Some(TellingRun::InstanceHeader)),
        "{all:?}"
    );
    // With the header, the old ones are seen to answer as much as before.
    let all = found(grows(), of(true));
    assert_eq!(about(&all, Suspect::SharedBottleneck), None, "{all:?}");
}

/// Fails this share of all requests, without a header, in a group of four that stays or grows to six.
fn nameless_share(grows: bool, share: impl Fn(u32) -> f64) -> Vec<Hypothesis> {
    let ids = ["i-1", "i-2", "i-3", "i-4", "i-5", "i-6"];
    let mut story = vec![
        group(0, 4, &ids[..4]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
    ];
    if grows {
        story.extend([
            activity(11, "Launching a new EC2 instance: i-5", 4, 6),
            group(12, 6, &ids),
        ]);
    }
    let of = |second: u32, asked: u64, _: u64| {
        let bad = (asked as f64 * share(second)) as u64;
        vec![("", asked - bad, bad, 40)]
    };
    found(story, of)
}

#[test]
fn without_names_a_share_of_one_in_all_that_always_fails_may_be_one_sick_instance() {
    let is_open = |all: &[Hypothesis]| {
        for suspect in [Suspect::ConstantErrors, Suspect::SickInstance] {
            let one = all.iter().find(|one| one.suspect == suspect).unwrap();
            assert_eq!(
                (one.standing, one.tells),
                (Standing::Open, Some(TellingRun::InstanceHeader)),
                "{all:?}"
            );
        }
        assert!(!all.iter().any(Hypothesis::holds), "{all:?}");
    };
    is_open(&nameless_share(false, |_| 0.25));
    is_open(&nameless_share(true, |second| {
        if second < 12 { 0.25 } else { 1.0 / 6.0 }
    }));
    // A tenth is not that of one in four.
    let all = nameless_share(false, |_| 0.1);
    let constant = about(&all, Suspect::ConstantErrors).map(|(standing, _)| standing);
    assert_eq!(constant, Some(Standing::Holds), "{all:?}");
    assert_eq!(about(&all, Suspect::SickInstance), None);
}

#[test]
fn without_names_one_of_two_that_fails_from_the_start_is_no_want_of_instances() {
    // Half of all fails with two instances, and a fifth with five: no share that is always there.
    let ids = ["i-1", "i-2", "i-3", "i-4", "i-5"];
    let story = vec![
        group(0, 2, &ids[..2]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        activity(11, "Launching a new EC2 instance: i-3", 2, 5),
        group(12, 5, &ids),
    ];
    let of = |second: u32, asked: u64, _: u64| {
        let bad = asked / if second < 12 { 2 } else { 5 };
        vec![("", asked - bad, bad, 40)]
    };
    let all = found(story, of);
    let sick = all.iter().find(|one| one.suspect == Suspect::SickInstance);
    assert_eq!(
        sick.map(|one| (one.standing, one.tells)),
        Some((Standing::Open, Some(TellingRun::InstanceHeader))),
        "{all:?}"
    );
    // The look that sees the new ones is a second late.
    assert!(sick.unwrap().count() >= 38, "{all:?}");
    assert!(!all.iter().any(Hypothesis::holds), "{all:?}");
}

#[test]
fn the_capacity_of_a_run_is_not_what_was_answered_in_time_while_requests_timed_out() {
    // Two instances of 100/s get 60/s, then 340/s: they answer 76/s in time, and give up the rest.
    let scenario = phases(&[(0.6, false), (3.4, true), (3.4, true), (0.6, false)]);
    let capacity = |given_up: Tally| {
        let mut answered = results(&scenario, |second, _| match second {
            10..30 => even(2, 76, 0, 900),
            _ => even(2, 60, 0, 40),
        });
        add(&mut answered, 10..30, given_up);
        let story = vec![group(0, 2, &["i-1", "i-2"])];
        with_load(&scenario, story, &answered, |facts| {
            let found = facts.capacity.clone().unwrap();
            (found.at_limit.round(), found.saturated)
        })
    };
    let timed_out = Tally {
        timeout: 264,
        ..Tally::default()
    };
    assert_eq!(capacity(timed_out), (100.0, None));
    let refused = Tally {
        connect: 264,
        ..Tally::default()
    };
    assert_eq!(capacity(refused), (38.0, Some(38.0)), "no work was lost");
}

/// Returns the hypotheses of a steady group of two that is quick, with `failed` requests in each
/// second from 12 s to 18 s.
fn with_failures(story: Vec<Observation>, failed: Tally) -> Vec<Hypothesis> {
    let scenario = load();
    let mut answered = results(&scenario, |_, level| even(2, (level * 100.0) as u64, 0, 40));
    add(&mut answered, 12..18, failed);
    let story = [vec![group(0, 2, &["i-1", "i-2"])], story].concat();
    with_load(&scenario, story, &answered, |facts| {
        facts.hypotheses.clone()
    })
}

#[test]
fn names_that_are_not_resolved_are_a_reason_of_their_own() {
    let unresolved = Tally {
        connect: 100,
        unresolved: 100,
        ..Tally::default()
    };
    let all = with_failures(Vec::new(), unresolved);
    let found = |suspect| all.iter().find(|one| one.suspect == suspect);
    let names = found(Suspect::NameResolution).unwrap();
    assert_eq!(
        (names.standing, names.seconds.clone(), names.pro.clone()),
        (
            Standing::Holds,
            vec![(12, 18)],
            vec![Clue::Unresolved { requests: 600 }]
        )
    );
    for other in [Suspect::LoadBalancer, Suspect::RateLimit] {
        assert_eq!(found(other), None, "{all:?}");
    }
    assert!(
        !found(Suspect::TooFewInstances).is_some_and(Hypothesis::holds),
        "{all:?}"
    );
    assert_eq!(other_remedies(&all, 20)[0].suspect, Suspect::NameResolution);
    // A connection that is refused had its name resolved.
    let refused = Tally {
        connect: 100,
        ..Tally::default()
    };
    let all = with_failures(Vec::new(), refused);
    assert!(
        !all.iter().any(|one| one.suspect == Suspect::NameResolution),
        "{all:?}"
    );
}

#[test]
fn the_balancers_own_answers_are_named_by_their_status() {
    let failed = Tally {
        status_5xx: 100,
        ..Tally::default()
    };
    let counted = |name: &str, value: f64| {
        let point = Datapoint { at: at(0), value };
        let series = MetricSeries {
            name: name.to_owned(),
            unit: "per minute".to_owned(),
            period: Duration::from_mins(1),
            points: vec![point],
            alarms: Vec::new(),
        };
        Observation::new(at(90), Seen::Metric(series))
    };
    let clues = |story| {
        let all = with_failures(story, failed);
        let found = all
            .into_iter()
            .find(|one| one.suspect == Suspect::LoadBalancer);
        let clues = found.map(|one| one.pro).unwrap_or_default();
        let is_count = |one: &Clue| matches!(one, Clue::BalancerCounted { .. });
        clues.into_iter().find(is_count)
    };
    let all = vec![
        counted(series::BALANCER_5XX, 600.0),
        counted(series::BALANCER_502, 0.0),
        counted(series::BALANCER_503, 400.0),
        counted(series::BALANCER_504, 200.0),
    ];
    let expected = Clue::BalancerCounted {
        errors: 600.0,
        by_status: vec![(503, 400.0), (504, 200.0)],
    };
    assert_eq!(clues(all.clone()), Some(expected.clone()));
    // A balancer that serves others as well counts their answers too.
    let serves = |target_groups| {
        let one = Observation::new(at(0), Seen::Surroundings(behind(target_groups)));
        [vec![one], all.clone()].concat()
    };
    assert_eq!(clues(serves(Some(2))), None);
    for own in [Some(1), None] {
        assert_eq!(clues(serves(own)), Some(expected.clone()), "{own:?}");
    }
    assert_eq!(
        clues(vec![counted(series::BALANCER_5XX, 90.0)]),
        None,
        "most are not its own"
    );
}

#[test]
fn a_launch_whose_lifecycle_action_was_abandoned_failed_and_one_that_nobody_wants_did_not() {
    let abandoned = "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token t was abandoned: \
                     Lifecycle Action Completed with ABANDON Result";
    let clue = |message: Option<&str>| {
        let cancelled = Activity {
            id: "a".to_owned(),
            description: "Launching a new EC2 instance: i-3".to_owned(),
            start: at(13),
            status: "Cancelled".into(),
            message: message.map(str::to_owned),
            ..Activity::default()
        };
        let story = vec![
            group(0, 2, &["i-1", "i-2"]),
            Observation::new(at(13), Seen::Activity(cancelled)),
            group(13, 3, &["i-1", "i-2"]),
        ];
        let of = |_: u32, asked: u64, _: u64| {
            let ok = asked.min(200);
            even(2, ok, asked - ok, if asked > ok { 900 } else { 40 })
        };
        let all = found(story, of);
        let failed = all
            .into_iter()
            .find(|one| one.suspect == Suspect::FailedLaunches)?;
        Some((failed.standing, failed.pro))
    };
    let expected = vec![
        Clue::LaunchesFailed {
            failed: 1,
            of: 1,
            messages: vec![abandoned.to_owned()],
        },
        Clue::NeverReached { wanted: 3, most: 2 },
    ];
    assert_eq!(clue(Some(abandoned)), Some((Standing::Holds, expected)));
    assert_eq!(clue(None), None);
}

#[test]
fn a_sick_instance_is_found_among_very_many() {
    let ids: Vec<&'static str> = (0..100)
        .map(|number| &*format!("i-{number:03}").leak())
        .collect();
    // It gets ten times as many requests as the others: else 1 % of all would be too few.
    let named = |fails: bool| -> Vec<String> {
        let story = vec![group(0, 100, &ids)];
        let all = found(story, |_, asked, _| {
            let each = |(index, id): (usize, &&'static str)| match index {
                97 if fails => (*id, 0, asked / 10, 40),
                97 => (*id, asked / 10, 0, 900),
                _ => (*id, asked / 100, 0, 40),
            };
            ids.iter().enumerate().map(each).collect()
        });
        let name = |clue: &Clue| match clue {
            Clue::OneFailed { instance, .. } | Clue::OneSlow { instance, .. } => {
                Some(instance.clone())
            }
            _ => None,
        };
        all.iter()
            .flat_map(|one| &one.pro)
            .filter_map(name)
            .collect()
    };
    assert_eq!(named(true), ["i-097"]);
    assert_eq!(named(false), ["i-097"]);
}
