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
    assert_eq!(
        (found.standing, found.seconds.clone()),
        (Standing::Holds, vec![(10, 15)])
    );
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
    let front = Limit {
        most: |_| 300,
        millis: 45,
        refused: no_connection,
    };
    let leaves = vec![
        activity(20, "Terminating EC2 instance: i-1", 2, 1),
        group(21, 1, &["i-2"]),
    ];
    let all = limited([steady(), vec![cpu(30.0)], leaves].concat(), &front);
    assert_eq!(standing(&all, Suspect::ConnectionLimit), None, "{all:?}");
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
        points: vec![Datapoint {
            at: at(0),
            value: 5_900.0,
        }],
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
