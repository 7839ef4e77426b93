use super::*;

fn second(demand: f64, ok: u64, p95_millis: u64) -> Second {
    Second {
        demand,
        others: 0.0,
        ok,
        errors: 0,
        constant: 0,
        p95: Some(p95_millis * 1_000),
        pooled: false,
    }
}

/// A pool of ten seconds with two requests in each.
fn pool(p95_millis: u64) -> Vec<Second> {
    let first = second(2.0, 2, p95_millis);
    let next = Second {
        pooled: true,
        ..first
    };
    [vec![first], vec![next; 9]].concat()
}

/// Estimates for a limit in milliseconds, where no second has another reason.
fn estimated(seconds: &[Second], serving: &[u32], limit: u64) -> Option<InstanceCapacity> {
    let limit = Duration::from_millis(limit);
    estimate(seconds, serving, limit, &Explained::default())
}

#[test]
fn a_pool_of_seconds_with_few_requests_counts_as_one_measurement() {
    // At 2 a second, one instance is too slow and two are not.
    let slow: Vec<Second> = (0..6).flat_map(|_| pool(900)).collect();
    let fast: Vec<Second> = (0..6).flat_map(|_| pool(20)).collect();
    let seconds = [slow, fast].concat();
    let serving = [vec![1; 60], vec![2; 60]].concat();
    let found = estimated(&seconds, &serving, 200).unwrap();
    assert_eq!(found.between, (1.0, Some(2.0)));
    let reason = found.reason.unwrap();
    // The first pool of each size contains the seconds before it settled.
    assert_eq!((reason.held_s, reason.missed_s), (5, 5));
    assert_eq!(reason.pooled_s, Some(10));
    assert_eq!(found.confidence, Confidence::High);
    assert_eq!(found.saturated, Some(2.0));
}

#[test]
fn a_pool_without_enough_samples_or_with_two_sizes_says_nothing() {
    let few: Vec<Second> = vec![second(2.0, 2, 20); 20];
    assert_eq!(
        estimated(&few, &[2; 20], 200),
        None,
        "each second has two requests only"
    );
    let sizes = [vec![2; 15], vec![3; 5]].concat();
    let straddling = [pool(20), pool(20)].concat();
    assert_eq!(estimated(&straddling, &sizes, 200), None);
}

#[test]
fn the_load_per_instance_at_which_the_limit_breaks_is_found_between_the_two_sides() {
    let mut seconds = vec![second(100.0, 100, 20); 10];
    seconds.extend(vec![second(180.0, 180, 60); 10]);
    seconds.extend(vec![second(600.0, 380, 900); 10]);
    // Twice the instances carry the load, but first they work off the queue.
    seconds.extend(vec![second(600.0, 760, 900); 5]);
    let serving = [vec![2; 30], vec![6; 5]].concat();
    let found = estimated(&seconds, &serving, 200).unwrap();
    assert_eq!(
        (found.at_limit, found.saturated, found.between),
        (190.0, Some(190.0), (90.0, Some(300.0)))
    );
    assert_eq!(found.confidence, Confidence::High);
}

#[test]
fn seconds_in_which_the_queue_only_fills_say_nothing_of_what_an_instance_carries() {
    let mut seconds = vec![second(60.0, 60, 40); 10];
    seconds.extend([second(280.0, 200, 200), second(280.0, 200, 350)]);
    seconds.extend(vec![second(280.0, 200, 900); 4]);
    seconds.extend(vec![second(280.0, 280, 42); 12]);
    let serving = [vec![2; 16], vec![6; 12]].concat();
    let found = estimated(&seconds, &serving, 400).unwrap();
    assert!((85.0..=105.0).contains(&found.at_limit), "{found:?}");
}

#[test]
fn fast_errors_of_a_group_that_has_grown_say_nothing_of_what_an_instance_carries() {
    let fresh = Second {
        errors: 90,
        ..second(280.0, 190, 45)
    };
    let mut seconds = vec![second(60.0, 60, 40); 10];
    seconds.extend(vec![second(280.0, 200, 900); 6]);
    seconds.extend(vec![fresh; 12]);
    seconds.extend(vec![second(280.0, 280, 42); 6]);
    let serving = [vec![2; 16], vec![7; 18]].concat();
    let found = estimated(&seconds, &serving, 400).unwrap();
    assert!((85.0..=105.0).contains(&found.at_limit), "{found:?}");
}

#[test]
fn a_run_that_never_missed_its_limit_knows_only_a_least() {
    let found = estimated(&[second(90.0, 90, 20); 20], &[3; 20], 200).unwrap();
    assert_eq!(
        (found.between, found.saturated, found.confidence),
        ((30.0, None), None, Confidence::Low)
    );
    assert_eq!(found.reason.unwrap().missed_s, 0);
    assert_eq!(estimated(&[second(90.0, 90, 900); 20], &[3; 20], 200), None);
    assert_eq!(estimated(&[], &[], 200), None);
}

#[test]
fn an_estimate_is_as_sure_as_what_held_and_what_missed_are_near_and_says_which_run_is_surer() {
    let between = |low: f64, high: f64, saturated: u64| {
        let mut seconds = vec![second(low * 2.0, (low * 2.0) as u64, 20); 10];
        seconds.extend(vec![second(high * 2.0, saturated * 2, 900); 10]);
        estimated(&seconds, &[2; 20], 200).unwrap()
    };
    let narrow = between(100.0, 125.0, 120).weighed(2, None);
    assert_eq!(
        (narrow.confidence, narrow.bracket()),
        (Confidence::High, (100.0, Some(120.0)))
    );
    assert_eq!(narrow.reason.unwrap().gap, None);
    let saturated = between(83.0, 200.0, 100).weighed(2, None);
    assert_eq!(
        saturated.confidence,
        Confidence::High,
        "no instance answers more than it can hold"
    );
    assert_eq!(
        between(70.0, 140.0, 100).weighed(2, None).confidence,
        Confidence::Medium
    );
    let wide = between(30.0, 140.0, 100).weighed(2, None);
    assert_eq!(
        (wide.confidence, wide.needed(280.0)),
        (Confidence::Low, (Some(3), 10))
    );
    let gap = wide.reason.unwrap().gap.unwrap();
    let steps: Vec<f64> = gap.steps_per_second.iter().map(|one| one.round()).collect();
    assert_eq!((steps, gap.instances), (vec![41.0, 55.0, 74.0], 2));
    let weakness = Weakness::NotSent { share: 0.8 };
    let cut = between(100.0, 125.0, 120).weighed(2, Some(weakness));
    assert_eq!(
        (cut.confidence, cut.reason.unwrap().weakness),
        (Confidence::Medium, Some(weakness))
    );
}

#[test]
fn answers_in_time_do_not_bound_what_an_instance_carries_while_others_time_out() {
    // An instance carries 100/s. At 170/s it works on requests that nobody waits for, and answers
    // 38/s in time.
    let mut seconds = vec![second(60.0, 60, 20); 10];
    let overloaded = Second {
        errors: 264,
        ..second(340.0, 76, 900)
    };
    seconds.extend(vec![overloaded; 10]);
    let found = |given_up: std::ops::Range<u32>| {
        let explained = Explained {
            given_up: given_up.collect(),
            ..Explained::default()
        };
        let limit = Duration::from_millis(200);
        let found = estimate(&seconds, &[2; 20], limit, &explained).unwrap();
        found.weighed(2, None)
    };
    let known = found(10..20);
    assert_eq!(
        (known.at_limit, known.saturated, known.bracket()),
        (100.0, None, (30.0, Some(170.0)))
    );
    assert_eq!(known.confidence, Confidence::Low, "30 to 170 is wide");
    // The same answers bound it where nothing timed out.
    let bounded = found(0..0);
    assert_eq!((bounded.at_limit, bounded.saturated), (38.0, Some(38.0)));
}

#[test]
fn one_second_with_time_outs_leaves_out_the_answers_of_its_whole_pool() {
    let fast: Vec<Second> = (0..3).flat_map(|_| pool(20)).collect();
    let slow = |second: &Second| Second {
        demand: 6.0,
        ok: 3,
        errors: 3,
        ..*second
    };
    let slow: Vec<Second> = (0..3)
        .flat_map(|_| pool(900))
        .map(|one| slow(&one))
        .collect();
    let seconds = [fast, slow].concat();
    let saturated = |given_up: &[u32]| {
        let explained = Explained {
            given_up: given_up.iter().copied().collect(),
            ..Explained::default()
        };
        let limit = Duration::from_millis(200);
        estimate(&seconds, &[1; 60], limit, &explained)
            .unwrap()
            .saturated
    };
    assert_eq!(saturated(&[]), Some(3.0));
    assert_eq!(saturated(&[34, 47, 59]), None);
}

#[test]
fn an_instance_also_carries_the_load_of_others() {
    // 60/s of others in each second: an instance answers 100/s in all.
    let with_others = |ours: f64, ok: u64, p95: u64| Second {
        others: 60.0,
        ..second(ours + 60.0, ok, p95)
    };
    let mut seconds = vec![with_others(120.0, 120, 20); 10];
    seconds.extend(vec![with_others(180.0, 150, 900); 10]);
    let found = estimated(&seconds, &[2; 20], 200).unwrap();
    assert_eq!(
        (found.between, found.saturated, found.at_limit),
        ((90.0, Some(120.0)), Some(100.0), 100.0)
    );
    let others = found.reason.unwrap().others.unwrap();
    assert_eq!(
        ((others.share * 1e3).round(), others.per_second),
        (286.0, 60.0)
    );
    assert_eq!(found.confidence, Confidence::Medium, "by the minute only");
}

#[test]
fn the_split_puts_the_fewest_on_the_wrong_side() {
    let mut points = vec![
        (10.0, true),
        (20.0, true),
        (30.0, false),
        (40.0, true),
        (50.0, false),
        (60.0, false),
    ];
    // Two splits have one point on the wrong side: the lower one is taken.
    assert_eq!(split(&mut points), Some((20.0, Some(30.0))));
    assert_eq!(split(&mut [(10.0, false)]), None);
    assert_eq!(split(&mut []), None);
}
