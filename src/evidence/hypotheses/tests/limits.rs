//! Limits on connections and on requests, beside instances that are full.

use super::*;

/// The CPU of the group in each second of the spike, as its policy's alarm sees it.
fn cpu(percent: f64) -> Observation {
    let points = (0..40).map(|second| Datapoint {
        at: at(second),
        value: if (10..30).contains(&second) {
            percent
        } else {
            5.0
        },
    });
    let series = MetricSeries {
        name: MetricSeries::name_of_policy_metric("CPUUtilization"),
        unit: "%".to_owned(),
        period: Duration::from_secs(1),
        points: points.collect(),
        alarms: vec!["high".to_owned()],
    };
    Observation::new(at(40), Seen::Metric(series))
}

/// Two instances that do not grow.
fn steady() -> Vec<Observation> {
    vec![
        group(0, 2, &["i-1", "i-2"]),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
    ]
}

/// One way of a group with a limit to answer the load of `load()`.
struct Limit {
    /// The most that is answered, by the number of serving instances.
    most: fn(u64) -> u64,
    /// Latency of the answers in the spike, in milliseconds; 40 outside of it.
    millis: u64,
    /// The other requests, by their number.
    refused: fn(u64) -> Tally,
}

/// Requests whose connection is refused.
fn no_connection(requests: u64) -> Tally {
    Tally {
        connect: requests,
        ..Tally::default()
    }
}

/// Requests that are answered 503 with `Retry-After`.
fn try_later(requests: u64) -> Tally {
    Tally {
        status_5xx: requests,
        status_5xx_retry_after: requests,
        ..Tally::default()
    }
}

fn limited(story: Vec<Observation>, limit: &Limit) -> Vec<Hypothesis> {
    let scenario = load();
    let grows = story
        .iter()
        .any(|one| matches!(&one.seen, Seen::Group(group) if group.desired == 4));
    let serving = |second: u32| if grows && second >= 15 { 4 } else { 2 };
    let asked = |level: f64| (level * 100.0) as u64;
    let most = |second: u32| (limit.most)(serving(second));
    let mut answered = results(&scenario, |second, level| {
        let ok = asked(level).min(most(second));
        let millis = if asked(level) > 100 { limit.millis } else { 40 };
        even(serving(second), ok, 0, millis)
    });
    for second in 10..30 {
        let over = asked(6.0).saturating_sub(most(second));
        if over > 0 {
            add(&mut answered, second..second + 1, (limit.refused)(over));
        }
    }
    with_load(&scenario, story, &answered, |facts| {
        facts.hypotheses.clone()
    })
}

/// Answers as `ok` says, by the second and the requests, from two instances, four once the group has
/// grown at 15 s. `add` gets the results.
fn told(
    story: Vec<Observation>,
    ok: impl Fn(u32, u64, u64) -> Vec<Answers>,
    more: impl Fn(&mut Results),
) -> Vec<Hypothesis> {
    let scenario = load();
    let grows = story
        .iter()
        .any(|one| matches!(&one.seen, Seen::Group(group) if group.desired == 4));
    let mut answered = results(&scenario, |second, level| {
        let serving = if grows && second >= 15 { 4 } else { 2 };
        ok(second, (level * 100.0) as u64, serving)
    });
    more(&mut answered);
    with_load(&scenario, story, &answered, |facts| {
        facts.hypotheses.clone()
    })
}

/// Requests that are answered 429.
fn too_many(requests: u64) -> Tally {
    Tally {
        status_4xx: requests,
        limited: requests,
        ..Tally::default()
    }
}

/// Adds answers of one instance to each of these seconds.
fn add_named(answered: &mut Results, seconds: std::ops::Range<u32>, id: &str, tally: Tally) {
    add(answered, seconds.clone(), tally);
    let cells = seconds.map(|second| InstanceCell {
        second,
        instance: id.to_owned(),
        first: Duration::from_secs(second.into()),
        tally,
        latency: LatencyHistogram::default().pack(),
    });
    let interval = Interval {
        instances: cells.collect(),
        ..Interval::default()
    };
    answered.add(0, &interval);
}

fn of(all: &[Hypothesis], suspect: Suspect) -> Option<&Hypothesis> {
    all.iter().find(|one| one.suspect == suspect)
}

fn standing(all: &[Hypothesis], suspect: Suspect) -> Option<Standing> {
    of(all, suspect).map(|one| one.standing)
}

#[test]
fn connections_that_are_refused_beside_idle_instances_are_a_limit() {
    let front = Limit {
        most: |_| 300,
        millis: 45,
        refused: no_connection,
    };
    let all = limited([steady(), vec![cpu(30.0)]].concat(), &front);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(
        (found.standing, found.seconds.clone(), found.tells),
        (Standing::Holds, vec![(10, 30)], None)
    );
    assert_eq!(
        found.pro[0],
        Clue::NoConnection {
            refused: 6_000,
            closed: 0,
            of: 6_000
        }
    );
    assert!(
        matches!(found.pro[1], Clue::AnsweredAsUsual { .. }),
        "{found:?}"
    );
    assert_eq!(
        found.pro[2],
        Clue::MetricBelowCeiling {
            metric: "CPUUtilization".to_owned(),
            usual: 30.0
        }
    );
    assert_eq!(found.against, []);
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Excluded)
    );
    let remedies = other_remedies(&all, 20);
    assert_eq!(remedies[0].suspect, Suspect::ConnectionLimit);
}

#[test]
fn connections_that_are_closed_unanswered_count_like_refused_ones() {
    let closed = Limit {
        most: |_| 300,
        millis: 45,
        refused: |requests| Tally {
            broken: requests,
            broken_unanswered: requests,
            ..Tally::default()
        },
    };
    let all = limited([steady(), vec![cpu(30.0)]].concat(), &closed);
    assert_eq!(
        standing(&all, Suspect::ConnectionLimit),
        Some(Standing::Holds)
    );
    // Answers that broke off had a connection.
    let broken = Limit {
        refused: |requests| Tally {
            broken: requests,
            ..Tally::default()
        },
        ..closed
    };
    let all = limited([steady(), vec![cpu(30.0)]].concat(), &broken);
    assert_eq!(standing(&all, Suspect::ConnectionLimit), None);
}

#[test]
fn full_instances_that_refuse_connections_have_no_limit_of_their_own() {
    // They shed what their queue does not hold: the others wait in it.
    let queue = Limit {
        most: |serving| serving * 150,
        millis: 350,
        refused: no_connection,
    };
    let all = limited(grows(), &queue);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(
        (found.standing, found.count()),
        (Standing::Excluded, 0),
        "{found:?}"
    );
    assert!(
        matches!(found.against[0], Clue::AnsweredLate { p95_us, usual_us } if p95_us > usual_us * 2),
        "{found:?}"
    );
    // Without a queue they are quick, and at work all the time.
    let busy = Limit {
        millis: 45,
        ..queue
    };
    let all = limited([grows(), vec![cpu(98.0)]].concat(), &busy);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(found.standing, Standing::Excluded, "{found:?}");
    assert!(
        matches!(found.against[..], [Clue::MetricAtCeiling { .. }]),
        "{found:?}"
    );
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Holds)
    );
}

#[test]
fn without_a_metric_fewer_connections_would_tell() {
    let front = Limit {
        most: |_| 300,
        millis: 45,
        refused: no_connection,
    };
    let all = limited(steady(), &front);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(
        (found.standing, found.tells, found.count()),
        (Standing::Open, Some(TellingRun::FewerConnections), 20)
    );
    // Growth that lifts nothing tells as well: what refuses them stands before all instances.
    let all = limited(grows(), &front);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(found.standing, Standing::Holds, "{found:?}");
    assert!(
        found.pro.iter().any(|clue| matches!(
            clue,
            Clue::GrewWithoutGain {
                from: 2,
                to: 4,
                before: 300.0,
                later: 300.0,
                ..
            }
        )),
        "{found:?}"
    );
}

#[test]
fn a_limit_on_connections_of_each_instance_falls_with_growth() {
    let each = Limit {
        most: |serving| serving * 150,
        millis: 45,
        refused: no_connection,
    };
    let all = limited([grows(), vec![cpu(30.0)]].concat(), &each);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 0));
    assert!(found.is_limit_of_each(), "{found:?}");
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Holds)
    );
    assert_eq!(other_remedies(&all, 20), Vec::<&Hypothesis>::new());
    assert!(
        found.pro.contains(&Clue::GrewWithGain {
            from: 2,
            to: 4,
            before: 300.0,
            later: 600.0,
            asked: 600.0
        }),
        "{found:?}"
    );
    // Where nothing shows that they were idle, they may have been full: then growth is the remedy.
    let all = limited(grows(), &each);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Open, 0));
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Holds)
    );
}

#[test]
fn connections_that_are_refused_at_a_load_that_was_answered_meet_no_limit() {
    let scenario = load();
    let mut answered = results(&scenario, |_, level| even(2, (level * 100.0) as u64, 0, 40));
    add(&mut answered, 32..36, no_connection(50));
    let story = [steady(), vec![cpu(30.0)]].concat();
    let all = with_load(&scenario, story, &answered, |facts| {
        facts.hypotheses.clone()
    });
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Open, 0));
    assert!(
        matches!(found.against[..], [Clue::RefusedBelow { .. }]),
        "{found:?}"
    );
}

#[test]
fn an_instance_that_leaves_refuses_connections_and_has_no_limit() {
    let leaves = vec![
        activity(20, "Terminating EC2 instance: i-1", 2, 1),
        group(21, 1, &["i-2"]),
    ];
    let refused = |seconds: std::ops::Range<u32>| {
        let story = [steady(), vec![cpu(30.0)], leaves.clone()].concat();
        let ok = |second: u32, asked: u64, _: u64| {
            let is_refused = seconds.contains(&second);
            even(2, if is_refused { 450 } else { asked }, 0, 40)
        };
        told(story, ok, |answered| {
            add(answered, seconds.clone(), no_connection(150));
        })
    };
    let all = refused(16..24);
    assert_eq!(standing(&all, Suspect::ConnectionLimit), None, "{all:?}");
    // Those that began with the load, and are not the part of one in two, are of no departure.
    let all = refused(10..30);
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(
        (found.standing, found.seconds.clone()),
        (Standing::Holds, vec![(10, 30)])
    );
}

#[test]
fn a_metric_between_idle_and_busy_is_no_clue() {
    let front = Limit {
        most: |_| 300,
        millis: 45,
        refused: no_connection,
    };
    for (percent, expected) in [
        (40.0, Standing::Holds),
        (70.0, Standing::Open),
        (90.0, Standing::Excluded),
    ] {
        let all = limited([steady(), vec![cpu(percent)]].concat(), &front);
        let found = of(&all, Suspect::ConnectionLimit).unwrap();
        assert_eq!(found.standing, expected, "{percent}: {found:?}");
        let is_metric = |clue: &Clue| matches!(clue, Clue::MetricBelowCeiling { .. });
        assert_eq!(found.pro.iter().any(is_metric), percent <= 40.0);
    }
}

#[test]
fn quick_answers_that_take_a_little_longer_are_neither_late_nor_usual() {
    for (millis, expected) in [
        (45, Standing::Holds),
        (95, Standing::Open),
        (150, Standing::Excluded),
    ] {
        let front = Limit {
            most: |_| 300,
            millis,
            refused: no_connection,
        };
        let all = limited([steady(), vec![cpu(30.0)]].concat(), &front);
        assert_eq!(
            standing(&all, Suspect::ConnectionLimit),
            Some(expected),
            "{millis}"
        );
    }
}

#[test]
fn new_instances_that_do_not_listen_yet_may_refuse_connections_as_a_limit_does() {
    // Nothing names who answers: two are slow, and of four two refuse.
    let ok = |second: u32, asked: u64, _: u64| match second {
        10..15 => vec![("", asked, 0, 900)],
        15..30 => vec![("", asked / 2, 0, 40)],
        _ => vec![("", asked, 0, 40)],
    };
    let story = [grows(), vec![cpu(30.0)]].concat();
    let all = told(story, ok, |answered| {
        add(answered, 15..30, no_connection(300));
    });
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert_eq!(
        (found.standing, found.tells),
        (Standing::Open, Some(TellingRun::InstanceHeader)),
        "{found:?}"
    );
    assert!(
        matches!(found.against[..], [Clue::SinceNewInstance { .. }]),
        "{found:?}"
    );
}

#[test]
fn one_of_several_instances_may_refuse_connections_as_a_limit_does() {
    let refused = |names: bool| {
        let ok = move |second: u32, asked: u64, _: u64| {
            let is_spike = (10..30).contains(&second);
            let ok = if is_spike { 300 } else { asked };
            match names {
                true => even(2, ok, 0, 40),
                false => vec![("", ok, 0, 40)],
            }
        };
        let story = [steady(), vec![cpu(30.0)]].concat();
        let all = told(story, ok, |answered| {
            add(answered, 10..30, no_connection(300));
        });
        let found = of(&all, Suspect::ConnectionLimit).unwrap();
        (found.standing, found.tells)
    };
    assert_eq!(
        refused(false),
        (Standing::Open, Some(TellingRun::InstanceHeader))
    );
    // Names show that both answer.
    assert_eq!(refused(true), (Standing::Holds, None));
}

#[test]
fn generators_at_their_own_limit_show_no_limit_on_connections() {
    let ok = |second: u32, asked: u64, _: u64| {
        let is_spike = (10..30).contains(&second);
        even(2, if is_spike { 300 } else { asked }, 0, 40)
    };
    let refused = |strained_s: u32| {
        let story = [steady(), vec![cpu(30.0)]].concat();
        let all = told(story, ok, |answered| {
            add(answered, 10..30, no_connection(300));
            let seconds: Vec<u32> = (10..10 + strained_s).collect();
            answered.add(0, &strained(&seconds));
        });
        standing(&all, Suspect::ConnectionLimit)
    };
    assert_eq!(refused(4), Some(Standing::Holds));
    assert_eq!(refused(15), Some(Standing::Open));
}

#[test]
fn the_balancers_rejected_connections_are_a_clue() {
    let front = Limit {
        most: |_| 300,
        millis: 45,
        refused: no_connection,
    };
    let rejected = MetricSeries {
        name: series::REJECTED.to_owned(),
        unit: "per minute".to_owned(),
        period: Duration::from_mins(1),
        points: [(0, 5_900.0), (60, 700.0)]
            .map(|(second, value)| Datapoint {
                at: at(second),
                value,
            })
            .into(),
        alarms: Vec::new(),
    };
    let look = Observation::new(at(90), Seen::Metric(rejected));
    let all = limited([steady(), vec![look]].concat(), &front);
    let expected = Clue::BalancerRejected {
        connections: 5_900.0,
    };
    let found = of(&all, Suspect::ConnectionLimit).unwrap();
    assert!(found.pro.contains(&expected), "{found:?}");
}

#[test]
fn a_rate_limit_answers_the_same_rate_whatever_the_size() {
    let limit = Limit {
        most: |_| 300,
        millis: 40,
        refused: |requests| Tally {
            status_4xx: requests,
            limited: requests,
            status_4xx_retry_after: requests,
            ..Tally::default()
        },
    };
    let all = limited(grows(), &limit);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 20));
    assert_eq!(
        found.pro,
        [
            Clue::TooManyRequests {
                requests: 6_000,
                of: 6_000
            },
            Clue::RetryAfter {
                requests: 6_000,
                of: 6_000
            },
            Clue::GrewWithoutGain {
                from: 2,
                to: 4,
                before: 300.0,
                later: 300.0,
                asked: 600.0
            },
        ]
    );
    // One that rises with the instances is that of each, also while it is still met.
    let each = Limit {
        most: |serving| serving * 120,
        ..limit
    };
    let all = limited(grows(), &each);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(found.standing, Standing::Excluded);
    assert_eq!(
        found.against,
        [Clue::GrewWithGain {
            from: 2,
            to: 4,
            before: 240.0,
            later: 480.0,
            asked: 600.0
        }]
    );
}

#[test]
fn answers_503_with_retry_after_are_a_rate_limit_only_if_growth_shows_it() {
    let limit = Limit {
        most: |_| 300,
        millis: 40,
        refused: try_later,
    };
    let all = limited(grows(), &limit);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 20));
    // Instances that shed their load say the same.
    let all = limited(steady(), &limit);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(
        (found.standing, found.tells, found.count()),
        (Standing::Open, Some(TellingRun::MoreInstances), 0)
    );
    // Any limit by load holds up to one load: that alone shows no want of instances.
    let few = of(&all, Suspect::TooFewInstances).unwrap();
    assert!(matches!(few.pro[..], [Clue::OnlyAbove { .. }]), "{few:?}");
    assert_eq!(
        (few.standing, few.tells, few.count()),
        (Standing::Open, Some(TellingRun::MoreInstances), 20)
    );
    // Something shared lets the others wait.
    let shared = Limit {
        millis: 380,
        ..limit
    };
    let all = limited(grows(), &shared);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Open, 0));
    // Without the header it is any 503.
    let nameless = Limit {
        refused: |requests| Tally {
            status_5xx: requests,
            ..Tally::default()
        },
        ..limit
    };
    let all = limited(grows(), &nameless);
    assert_eq!(standing(&all, Suspect::RateLimit), None);
}

#[test]
fn a_window_that_ends_is_no_growth_that_helps() {
    // Refused for the seconds of the window, whatever the size; the group grows at 15 s.
    let refused = |windows: &[(u32, u32)]| {
        let ok = |second: u32, asked: u64, serving: u64| {
            let is_refused = windows
                .iter()
                .any(|(from, until)| (*from..*until).contains(&second));
            even(serving, if is_refused { 300 } else { asked }, 0, 40)
        };
        let all = told(grows(), ok, |answered| {
            for (from, until) in windows {
                add(answered, *from..*until, too_many(300));
            }
        });
        [Suspect::RateLimit, Suspect::TooFewInstances].map(|suspect| standing(&all, suspect))
    };
    let (holds, excluded) = (Some(Standing::Holds), Some(Standing::Excluded));
    // It ends long after the growth, or begins again.
    assert_eq!(refused(&[(10, 22)]), [holds, excluded]);
    assert_eq!(refused(&[(10, 17), (24, 30)]), [holds, excluded]);
    // It ends as the group grows: each instance has its own.
    assert_eq!(refused(&[(10, 15)]), [excluded, holds]);
}

/// A sixth instance serves from second 15 on: a growth too small to tell by its gain.
fn a_sixth() -> Vec<Observation> {
    let five = ["i-1", "i-2", "i-3", "i-4", "i-5"];
    let six = ["i-1", "i-2", "i-3", "i-4", "i-5", "i-6"];
    vec![
        group(0, 5, &five),
        alarm("high", "GreaterThanThreshold", 50.0, 3),
        activity(13, "Launching a new EC2 instance: i-6", 5, 6),
        group(13, 6, &five),
        group(15, 6, &six),
        group(40, 6, &six),
    ]
}

/// Tells the windows of a limit: in the seconds that are refused, all 600 requests are, and none in the
/// others. The answers name their instance if `is_named`.
fn in_windows(is_named: bool, is_refused: impl Fn(u32, u64) -> bool) -> Vec<Hypothesis> {
    let refused = |second, serving| second >= 10 && is_refused(second, serving);
    let ok = |second: u32, asked: u64, serving: u64| {
        let answered = match refused(second, serving) && asked > 300 {
            true => 0,
            false => asked,
        };
        match is_named {
            true => even(serving, answered, 0, 40),
            false => vec![("", answered, 0, 40)],
        }
    };
    told(grows(), ok, |answered| {
        for second in 10..30 {
            if refused(second, if second < 15 { 2 } else { 4 }) {
                add(answered, second..second + 1, too_many(600));
            }
        }
    })
}

#[test]
fn a_limit_by_short_windows_is_told_from_one_of_each_instance() {
    // In each two seconds as many are answered as in one: all of the first, none of the second.
    let told = |is_each: bool| {
        let all = in_windows(true, |second, serving| {
            second % 2 == 1 && !(is_each && serving > 2)
        });
        let limit = of(&all, Suspect::RateLimit).unwrap();
        let clues = [&limit.pro[..], &limit.against].concat();
        let few = standing(&all, Suspect::TooFewInstances);
        (limit.standing, few, clues.last().cloned())
    };
    let grew = |later: f64| {
        let (from, to, before, asked) = (2, 4, 300.0, 600.0);
        match later > before {
            true => Clue::GrewWithGain {
                from,
                to,
                before,
                later,
                asked,
            },
            false => Clue::GrewWithoutGain {
                from,
                to,
                before,
                later,
                asked,
            },
        }
    };
    let whole = (Standing::Holds, Some(Standing::Excluded), Some(grew(300.0)));
    assert_eq!(told(false), whole);
    let each = (Standing::Excluded, Some(Standing::Holds), Some(grew(600.0)));
    assert_eq!(told(true), each);
}

#[test]
fn windows_that_growth_only_eases_are_of_each_instance() {
    // Nameless answers. From second 9 on, one of three seconds is answered with two instances, and two of
    // three are with four.
    let all = in_windows(false, |second, serving| {
        let at = second.saturating_sub(9) % 3;
        at == 2 || at == 1 && serving == 2
    });
    let limit = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(limit.standing, Standing::Excluded, "{limit:?}");
    let is_gain = |clue: &Clue| matches!(clue, Clue::GrewWithGain { .. });
    assert!(limit.against.iter().any(is_gain), "{limit:?}");
    let few = standing(&all, Suspect::TooFewInstances);
    assert_eq!(few, Some(Standing::Holds), "{all:?}");
}

#[test]
fn a_limit_that_passes_as_the_group_grows_shows_no_cure() {
    // Connections are refused until a sixth instance serves: a growth too small to tell by its gain.
    let of_millis = |millis: u64| {
        let ok = move |second: u32, asked: u64, _: u64| match second {
            10..15 => vec![("", 300, 0, millis)],
            _ => vec![("", asked, 0, 40)],
        };
        let all = told(a_sixth(), ok, |answered| {
            add(answered, 10..15, no_connection(300));
        });
        let few = of(&all, Suspect::TooFewInstances).unwrap();
        let is_cure = |clue: &Clue| matches!(clue, Clue::Cured { .. });
        (
            standing(&all, Suspect::ConnectionLimit).unwrap(),
            few.standing,
            few.pro.iter().any(is_cure),
        )
    };
    // The limit is open: it may have passed by itself.
    assert_eq!(of_millis(95), (Standing::Open, Standing::Open, false));
    // Full instances: the sixth was the cure.
    assert_eq!(of_millis(350), (Standing::Excluded, Standing::Holds, true));
}

#[test]
fn seconds_of_an_open_limit_after_the_growth_speak_against_a_cure() {
    // One slow second as the load rises. Then connections are refused until second 24, long after a sixth
    // instance serves.
    let ok = |second: u32, asked: u64, _: u64| match second {
        10 => vec![("", asked, 0, 900)],
        11..24 => vec![("", 300, 0, 95)],
        _ => vec![("", asked, 0, 40)],
    };
    let all = told(a_sixth(), ok, |answered| {
        add(answered, 11..24, no_connection(300));
    });
    let few = of(&all, Suspect::TooFewInstances).unwrap();
    let is_cure = |clue: &Clue| matches!(clue, Clue::Cured { .. });
    assert_eq!(
        (few.standing, few.pro.iter().any(is_cure)),
        (Standing::Open, false),
        "{all:?}"
    );
}

#[test]
fn what_growth_cured_of_another_kind_excludes_no_rate_limit() {
    // Two instances are slow until four serve. A rate limit refuses requests after the spike.
    let ok = |second: u32, asked: u64, serving: u64| match second {
        10..15 => even(serving, asked, 0, 900),
        32..36 => even(serving, asked / 2, 0, 40),
        _ => even(serving, asked, 0, 40),
    };
    let all = told(grows(), ok, |answered| {
        add(answered, 32..36, too_many(50));
    });
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(
        (found.standing, found.seconds.clone()),
        (Standing::Holds, vec![(32, 36)]),
        "{found:?}"
    );
    assert_eq!(found.against, []);
}

#[test]
fn a_queue_that_is_worked_off_ends_long_after_the_growth() {
    // Two carry 400/s, and leave a queue behind that the four need 7 s for.
    let queue = |last: u64| {
        let ok = move |second: u32, asked: u64, serving: u64| match second {
            10..15 => even(serving, asked, 0, 900 * u64::from(second - 9)),
            15..21 => even(serving, asked, 0, 4_500),
            21 => even(serving, asked, 0, last),
            _ => even(serving, asked, 0, 40),
        };
        let all = told(grows(), ok, |_| {});
        let few = of(&all, Suspect::TooFewInstances).unwrap();
        few.pro
            .iter()
            .any(|clue| matches!(clue, Clue::Cured { .. }))
    };
    assert!(queue(900));
    // One that ends at once is of something else.
    assert!(!queue(4_500));
}

#[test]
fn errors_that_are_always_there_hide_no_limit() {
    // A tenth always fails; the spike's other errors are 429. Then the first are the most.
    for (ok, bad, refused) in [(270, 30, 300), (496, 54, 50)] {
        let answers = move |second: u32, asked: u64, _: u64| match second {
            10..30 => even(2, ok, bad, 40),
            _ => even(2, asked * 9 / 10, asked / 10, 40),
        };
        let all = told(steady(), answers, |answered| {
            add(answered, 10..30, too_many(refused));
        });
        assert_eq!(
            standing(&all, Suspect::ConstantErrors),
            Some(Standing::Holds)
        );
        let found = of(&all, Suspect::RateLimit).unwrap();
        assert_eq!(
            (found.standing, found.count()),
            (Standing::Holds, 20),
            "{all:?}"
        );
        assert_eq!(
            standing(&all, Suspect::TooFewInstances),
            Some(Standing::Excluded)
        );
    }
}

#[test]
fn answers_429_of_the_instances_are_a_rate_limit_only_if_growth_shows_it() {
    let of_story = |story| {
        let ok = |second: u32, asked: u64, serving: u64| {
            let is_spike = (10..30).contains(&second);
            even(serving, if is_spike { 300 } else { asked }, 0, 40)
        };
        told(story, ok, |answered| {
            add_named(answered, 10..30, "i-1", too_many(150));
            add_named(answered, 10..30, "i-2", too_many(150));
        })
    };
    let all = of_story(steady());
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(
        (found.standing, found.tells, found.count()),
        (Standing::Open, Some(TellingRun::MoreInstances), 0)
    );
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Open)
    );
    let all = of_story(grows());
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 20));
}

/// Answers of named instances in the spike: each gets a part of the requests, by the second, and
/// answers what `most` says, by the requests it gets and the number of instances. `refused` are the
/// rest of them.
fn named(
    story: Vec<Observation>,
    parts: fn(u32) -> Vec<(&'static str, u64)>,
    most: fn(u64, u64) -> u64,
    refused: fn(u64) -> Tally,
) -> Vec<Hypothesis> {
    let ok = move |second: u32, asked: u64, serving: u64| match second {
        10..30 => {
            let parts = parts(second);
            let number = parts.len() as u64;
            let of = |(id, part): (&'static str, u64)| (id, part.min(most(part, number)), 0, 40);
            parts.into_iter().map(of).collect()
        }
        _ => even(serving, asked, 0, 40),
    };
    told(story, ok, |answered| {
        for second in 10..30 {
            let parts = parts(second);
            let number = parts.len() as u64;
            for (id, part) in parts {
                let over = part.saturating_sub(most(part, number));
                if over > 0 {
                    add_named(answered, second..second + 1, id, refused(over));
                }
            }
        }
    })
}

fn evenly(second: u32) -> Vec<(&'static str, u64)> {
    match second {
        ..15 => vec![("i-1", 300), ("i-2", 300)],
        _ => vec![("i-1", 150), ("i-2", 150), ("i-3", 150), ("i-4", 150)],
    }
}

#[test]
fn refusals_by_name_that_new_instances_do_not_share_are_no_limit_of_the_whole() {
    // New instances get no requests: the old ones answer as much as before, each its own 150/s.
    let pinned = |_: u32| vec![("i-1", 300), ("i-2", 300)];
    for refused in [try_later, too_many] {
        let all = named(grows(), pinned, |_, _| 150, refused);
        let found = of(&all, Suspect::RateLimit).unwrap();
        assert_eq!(
            (found.standing, found.tells, found.count()),
            (Standing::Open, Some(TellingRun::MoreInstances), 0),
            "{found:?}"
        );
        let few = of(&all, Suspect::TooFewInstances).unwrap();
        assert_eq!(few.standing, Standing::Open, "{few:?}");
    }
}

#[test]
fn an_instance_that_refuses_at_the_same_rate_among_more_has_its_own_limit() {
    // Two answer 100/s each, and so do the four: more instances are not enough yet.
    for refused in [try_later, too_many] {
        let idle = [grows(), vec![cpu(30.0)]].concat();
        let all = named(idle, evenly, |_, _| 100, refused);
        let found = of(&all, Suspect::RateLimit).unwrap();
        let own = Clue::RefusedAtSameRate {
            few: 2,
            many: 4,
            before: 100.0,
            later: 100.0,
        };
        assert_eq!(found.standing, Standing::Excluded, "{found:?}");
        assert!(found.against.contains(&own), "{found:?}");
        let few = of(&all, Suspect::TooFewInstances).unwrap();
        assert_eq!(few.standing, Standing::Holds, "{few:?}");
        assert!(few.pro.contains(&own), "{few:?}");
        assert!(found.is_limit_of_each(), "{found:?}");
        let busy = [grows(), vec![cpu(98.0)]].concat();
        let all = named(busy, evenly, |_, _| 100, refused);
        assert!(!of(&all, Suspect::RateLimit).unwrap().is_limit_of_each());
        // All of them share 200/s.
        let all = named(grows(), evenly, |_, number| 200 / number, refused);
        let found = of(&all, Suspect::RateLimit).unwrap();
        assert_eq!((found.standing, found.count()), (Standing::Holds, 20));
    }
}

#[test]
fn instances_that_refuse_by_their_part_of_the_load_have_their_own_limit() {
    let uneven = |_: u32| vec![("i-1", 400), ("i-2", 200)];
    let all = named(steady(), uneven, |_, _| 150, try_later);
    let own = Clue::RefusedByPart {
        most: 400.0,
        most_good: 150.0,
        least: 200.0,
        least_good: 150.0,
    };
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(
        (found.standing, &found.against[..]),
        (Standing::Excluded, std::slice::from_ref(&own))
    );
    let few = of(&all, Suspect::TooFewInstances).unwrap();
    assert_eq!(few.standing, Standing::Holds, "{few:?}");
    assert!(few.pro.contains(&own), "{few:?}");
    // A limit of 350/s for each is enough for an even load.
    let all = named(steady(), uneven, |_, _| 350, try_later);
    let spread = of(&all, Suspect::UnevenLoad).unwrap();
    assert_eq!((spread.standing, spread.count()), (Standing::Holds, 20));
    assert_ne!(standing(&all, Suspect::RateLimit), Some(Standing::Holds));
    assert_eq!(
        standing(&all, Suspect::TooFewInstances),
        Some(Standing::Excluded)
    );
    // The same share of both is refused: it may be of the whole.
    let all = named(steady(), uneven, |part, _| part / 2, try_later);
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(
        (found.standing, found.tells, found.count()),
        (Standing::Open, Some(TellingRun::MoreInstances), 0)
    );
}

#[test]
fn one_429_among_other_refusals_is_not_their_class() {
    // Two 5xx show that the errors of instances carry their names.
    let ok = |second: u32, asked: u64, _: u64| match second {
        10..30 => even(2, 298, 2, 40),
        _ => even(2, asked, 0, 40),
    };
    let all = told(steady(), ok, |answered| {
        let refused = Tally {
            status_4xx: 300,
            ..Tally::default()
        };
        add(answered, 10..30, refused);
        add(answered, 20..21, too_many(1));
    });
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 20));
}

#[test]
fn a_higher_spike_does_not_hide_what_growth_showed_in_the_first() {
    let spikes = [
        (1.0, false),
        (4.0, true),
        (4.0, true),
        (1.0, false),
        (9.0, true),
    ];
    let scenario = phases(&spikes);
    let mut story = grows();
    story.push(group(50, 4, &["i-1", "i-2", "i-3", "i-4"]));
    let mut answered = results(&scenario, |second, level| {
        let serving = if second >= 15 { 4 } else { 2 };
        even(serving, ((level * 100.0) as u64).min(300), 0, 40)
    });
    add(&mut answered, 10..30, try_later(100));
    add(&mut answered, 40..50, try_later(600));
    let all = with_load(&scenario, story, &answered, |facts| {
        facts.hypotheses.clone()
    });
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!((found.standing, found.count()), (Standing::Holds, 30));
}

#[test]
fn an_even_part_a_little_over_each_limit_is_no_question_of_the_spread() {
    // Two answer 280 of 600, and four 560: the growth brought all its gain, and a fifth mends the rest.
    let all = named(grows(), evenly, |_, _| 140, too_many);
    let own = Clue::RefusedAtSameRate {
        few: 2,
        many: 4,
        before: 140.0,
        later: 140.0,
    };
    let found = of(&all, Suspect::RateLimit).unwrap();
    assert_eq!(found.standing, Standing::Excluded, "{found:?}");
    assert!(found.against.contains(&own), "{found:?}");
    assert_eq!(standing(&all, Suspect::UnevenLoad), None);
    let few = of(&all, Suspect::TooFewInstances).unwrap();
    assert_eq!(few.standing, Standing::Holds, "{few:?}");
}

#[test]
fn limits_that_no_spread_kept_before_the_growth_are_of_the_size() {
    // Two get 300 each, over 160. Of four only one gets too much.
    let uneven_later = |second: u32| match second {
        ..15 => vec![("i-1", 300), ("i-2", 300)],
        _ => vec![("i-1", 240), ("i-2", 120), ("i-3", 120), ("i-4", 120)],
    };
    let all = named(grows(), uneven_later, |_, _| 160, too_many);
    assert_eq!(standing(&all, Suspect::UnevenLoad), None);
    let few = standing(&all, Suspect::TooFewInstances);
    assert_ne!(few, Some(Standing::Excluded));
    // Two that could have answered all, had each got 300.
    let uneven_first = |second: u32| match second {
        ..15 => vec![("i-1", 430), ("i-2", 170)],
        _ => vec![("i-1", 150), ("i-2", 150), ("i-3", 150), ("i-4", 150)],
    };
    let all = named(grows(), uneven_first, |_, _| 350, too_many);
    let holds = Some(Standing::Holds);
    assert_eq!(standing(&all, Suspect::UnevenLoad), holds);
}

#[test]
fn chance_does_not_tell_whose_limit_it_is() {
    let steady_of = |ids: &[&str]| {
        vec![
            group(0, ids.len() as u32, ids),
            alarm("high", "GreaterThanThreshold", 50.0, 3),
        ]
    };
    let told = |all: &[Hypothesis]| {
        let found = of(all, Suspect::RateLimit).unwrap();
        (found.standing, found.tells, found.against.clone())
    };
    let open = (Standing::Open, Some(TellingRun::MoreInstances), Vec::new());
    // Five share a limit. In each other second one of them gets few of the requests: five take part.
    let few_each = |second: u32| -> Vec<(&'static str, u64)> {
        let ids = ["i-1", "i-2", "i-3", "i-4", "i-5"];
        let part = |at: usize| match second % 2 == 1 && second as usize / 2 % 5 == at {
            true => 2,
            false => 8,
        };
        let parts = ids.into_iter().enumerate();
        parts.map(|(at, id)| (id, part(at))).collect()
    };
    let five = steady_of(&["i-1", "i-2", "i-3", "i-4", "i-5"]);
    let all = named(five, few_each, |part, _| part / 2, too_many);
    assert_eq!(told(&all), open);
    // Two share one for some seconds: 15 of 30 are answered well, and 15 of 21.
    let few_requests = |second: u32| match second {
        ..14 => vec![("i-1", 10), ("i-2", 7)],
        _ => vec![("i-1", 300), ("i-2", 300)],
    };
    let most = |part: u64, _: u64| if part < 300 { 5 } else { part };
    let two = steady_of(&["i-1", "i-2"]);
    let all = named(two, few_requests, most, too_many);
    assert_eq!(told(&all), open);
}
