use super::super::EndedEarly;
use super::*;
use crate::report::words;
use evidence::testing::scenario;
use model::measure::{Cell, Ending, Interval, Key, LatencyHistogram};
use model::scenario::ThresholdOperator;

/// Makes results of `(phase, requests, ending)`: the requests end in the phase's first second,
/// each with a check.
fn results(requests: &[(u16, u64, Ending)]) -> Results {
    let seconds: Vec<_> = requests
        .iter()
        .map(|(phase, millis, ending)| (u32::from(*phase) * 10, *phase, *millis, *ending))
        .collect();
    by_second(&seconds)
}

fn by_second(requests: &[(u32, u16, u64, Ending)]) -> Results {
    let mut results = Results::default();
    for (second, phase, millis, ending) in requests {
        let (mut tally, mut latency) = (Tally::default(), LatencyHistogram::default());
        tally.add(*ending);
        let answered = !matches!(ending, Ending::Timeout);
        tally.checks_passed = u64::from(answered && *ending == Ending::Ok);
        tally.checks_failed = u64::from(answered && *ending != Ending::Ok);
        latency.record(Duration::from_millis(*millis));
        let key = Key {
            phase: *phase,
            flow: 0,
            step: 0,
        };
        let cell = Cell {
            second: *second,
            key,
            tally,
            latency: latency.pack(),
        };
        results.add(
            0,
            &Interval {
                cells: vec![cell],
                ..Interval::default()
            },
        );
    }
    results
}

fn threshold(
    metric: ThresholdMetric,
    comparison: ThresholdOperator,
    limit: f64,
    scope: ThresholdScope,
) -> Threshold {
    Threshold {
        text: "asked".to_owned(),
        metric,
        of: None,
        comparison,
        limit,
        scope,
        within: None,
        abort_after: None,
    }
}

fn verdicts(
    threshold: Threshold,
    requests: &[(u16, u64, Ending)],
) -> Vec<(String, Verdict, String)> {
    let mut scenario = scenario();
    scenario.thresholds = vec![threshold];
    judged(&scenario, &results(requests), |asked| asked == "asked")
}

fn judged(
    scenario: &Scenario,
    results: &Results,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<(String, Verdict, String)> {
    judge(scenario, results, &Schedule::new(scenario), BTreeSet::new())
        .into_iter()
        .map(words::judgement)
        .filter(|judgement| is_wanted(&judgement.asked))
        .map(|judgement| (judgement.scope, judgement.verdict, judgement.measured))
        .collect()
}

/// Judges the first threshold of a scenario whose load nobody else adds to.
fn judge_first(scenario: &Scenario, results: &Results) -> Finding {
    judge(scenario, results, &Schedule::new(scenario), BTreeSet::new()).remove(0)
}

#[test]
fn errors_have_a_default_limit_where_the_scenario_sets_none() {
    // 3 % of the requests of each phase fail.
    let requests: Vec<_> = (0..400)
        .map(|i| {
            let ending = if i / 4 % 100 < 3 {
                Ending::Status5xx
            } else {
                Ending::Ok
            };
            ((i % 4) as u16, 20, ending)
        })
        .collect();
    let mut scenario = scenario();
    scenario.thresholds = Vec::new();
    let default = |scenario: &Scenario| {
        let found = judged(scenario, &results(&requests), |asked| {
            asked.ends_with("(default)")
        });
        let verdicts = found
            .into_iter()
            .map(|(scope, verdict, _)| (scope, verdict));
        verdicts.collect::<Vec<_>>()
    };
    let of = |scope: &str, verdict| (scope.to_owned(), verdict);
    assert_eq!(
        default(&scenario),
        [
            of("sustained", Verdict::Failed),
            of("spike", Verdict::Passed),
            of("recovery", Verdict::Failed)
        ]
    );
    scenario.phases[3].level = 0.0;
    scenario.phases[3].ramp = Duration::ZERO;
    scenario.thresholds = vec![threshold(
        ThresholdMetric::Errors,
        ThresholdOperator::Less,
        0.5,
        ThresholdScope::Phase("sustained".to_owned()),
    )];
    assert_eq!(
        default(&scenario),
        [of("spike", Verdict::Passed)],
        "one has a limit of its own, one has no load"
    );
}

#[test]
fn each_judged_phase_is_judged_on_its_own_and_warm_up_is_not() {
    let slow_spike: Vec<_> = (0..100)
        .map(|i| {
            (
                (i % 4) as u16,
                if i % 4 == 2 { 900 } else { 20 },
                Ending::Ok,
            )
        })
        .collect();
    let p50 = threshold(
        ThresholdMetric::Percentile(50.0),
        ThresholdOperator::Less,
        500_000.0,
        ThresholdScope::EachPhase,
    );
    let seen = verdicts(p50, &slow_spike);
    assert_eq!(
        seen.iter()
            .map(|(scope, verdict, _)| (scope.as_str(), *verdict))
            .collect::<Vec<_>>(),
        [
            ("sustained", Verdict::Passed),
            ("spike", Verdict::Failed),
            ("recovery", Verdict::Passed)
        ]
    );
}

#[test]
fn no_data_and_too_few_samples_are_inconclusive() {
    let p99 = threshold(
        ThresholdMetric::Percentile(99.0),
        ThresholdOperator::Less,
        500_000.0,
        ThresholdScope::Phase("spike".to_owned()),
    );
    assert_eq!(verdicts(p99.clone(), &[])[0].1, Verdict::Inconclusive);
    assert_eq!(
        verdicts(p99.clone(), &[(2, 5, Ending::Ok); 99])[0].1,
        Verdict::Inconclusive
    );
    assert_eq!(
        verdicts(p99, &[(2, 5, Ending::Ok); 100])[0].1,
        Verdict::Passed
    );
}

#[test]
fn errors_are_a_share_of_all_and_checks_of_the_answered() {
    let seen = [
        (2, 5, Ending::Ok),
        (2, 5, Ending::Check),
        (2, 5, Ending::Timeout),
        (2, 5, Ending::Ok),
    ];
    let errors = threshold(
        ThresholdMetric::Errors,
        ThresholdOperator::Less,
        0.4,
        ThresholdScope::Run,
    );
    assert_eq!(
        verdicts(errors, &seen),
        [(
            "run".to_owned(),
            Verdict::Failed,
            "errors = 50.00% (2 of 4)".to_owned()
        )]
    );
    let checks = threshold(
        ThresholdMetric::Checks,
        ThresholdOperator::Greater,
        0.5,
        ThresholdScope::Run,
    );
    assert_eq!(
        verdicts(checks, &seen)[0].2,
        "checks = 66.67% (1 of 3 failed)"
    );
}

#[test]
fn a_percentile_needs_a_sample_beyond_it() {
    for (q, needed) in [(50.0, 2), (95.0, 20), (99.0, 100), (99.9, 1_000)] {
        assert_eq!(samples_needed(q), needed, "p{q}");
    }
}

#[test]
fn a_window_finds_what_a_phase_hides() {
    // Ten seconds of the spike, the last three of them bad: 30 % over the phase, 100 % in a
    // window of two seconds.
    let requests: Vec<_> = (20..30)
        .map(|second| {
            (
                second,
                2,
                5,
                if second < 27 {
                    Ending::Ok
                } else {
                    Ending::Status5xx
                },
            )
        })
        .collect();
    let results = by_second(&requests);
    let judge = |limit, within| {
        let mut scenario = scenario();
        let errors = threshold(
            ThresholdMetric::Errors,
            ThresholdOperator::Less,
            limit,
            ThresholdScope::Phase("spike".to_owned()),
        );
        scenario.thresholds = vec![Threshold { within, ..errors }];
        let judged = judge_first(&scenario, &results);
        (judged.verdict, words::because(&judged.reason))
    };
    assert_eq!(judge(0.5, None).0, Verdict::Passed);
    assert_eq!(
        judge(0.5, Some(2)),
        (
            Verdict::Failed,
            "the limit is < 50%, from 26 s to 28 s".to_owned()
        )
    );
    assert_eq!(
        judge(1.1, Some(2)),
        (Verdict::Passed, "in each of 9 windows of 2s".to_owned())
    );
    assert_eq!(judge(0.5, Some(11)).0, Verdict::Inconclusive);
}

#[test]
fn the_last_window_has_what_ended_after_its_phase_and_none_has_what_another_phase_sent() {
    let requests = [
        (21, 2, 5, Ending::Ok),
        (35, 2, 9_000, Ending::Timeout),
        (22, 1, 9_000, Ending::Timeout),
    ];
    let errors = threshold(
        ThresholdMetric::Errors,
        ThresholdOperator::Less,
        0.1,
        ThresholdScope::Phase("spike".to_owned()),
    );
    let mut scenario = scenario();
    scenario.thresholds = vec![Threshold {
        within: Some(5),
        ..errors
    }];
    let judged = judge_first(&scenario, &by_second(&requests));
    assert_eq!(
        (judged.verdict, words::measured(&judged.measured).as_str()),
        (Verdict::Failed, "errors = 100.00% (1 of 1)")
    );
}

#[test]
fn a_limit_that_is_missed_by_the_generators_doing_alone_is_inconclusive() {
    // 20 requests in each second of the spike, which lasts from 20 to 30 s.
    let judge = |slow: &[u32], strained: &[u32]| {
        let requests: Vec<_> = (20..30)
            .flat_map(|second| {
                let millis = if slow.contains(&second) { 900 } else { 20 };
                [(second, 2, millis, Ending::Ok); 20]
            })
            .collect();
        let mut results = by_second(&requests);
        let saturation = strained.iter().map(|second| model::measure::Saturation {
            second: *second,
            starts: 20,
            late: 20,
            ..Default::default()
        });
        let interval = Interval {
            saturation: saturation.collect(),
            ..Interval::default()
        };
        results.add(0, &interval);
        let mut scenario = scenario();
        scenario.thresholds = vec![threshold(
            ThresholdMetric::Percentile(95.0),
            ThresholdOperator::Less,
            500_000.0,
            ThresholdScope::Phase("spike".to_owned()),
        )];
        judge_first(&scenario, &results)
    };
    assert_eq!(judge(&[24, 25], &[]).verdict, Verdict::Failed);
    let doubted = judge(&[24, 25], &[24]);
    assert_eq!(doubted.verdict, Verdict::Inconclusive);
    assert_eq!(
        words::because(&doubted.reason),
        "the limit is < 500ms, but the generator was at its own limit in 2 of 10 seconds"
    );
    assert_eq!(
        judge(&[22, 24, 25, 27], &[24]).verdict,
        Verdict::Failed,
        "the target is slow without those seconds too"
    );
    assert_eq!(
        judge(&[22, 24, 25, 27], &[20, 22, 24, 26]).verdict,
        Verdict::Inconclusive,
        "too few seconds are left"
    );
    assert_eq!(judge(&[], &[24]).verdict, Verdict::Passed);
}

/// Judges the spike, from 20 to 30 s, with 20 requests in each second. `bad` are the seconds in
/// which they are late or fail; others may have changed the seconds in `changed`.
fn beside_others(metric: ThresholdMetric, bad: &[u32], changed: &[u32]) -> Vec<Finding> {
    let requests: Vec<_> = (20..30)
        .flat_map(|second| {
            let request = match (bad.contains(&second), metric) {
                (false, _) => (second, 2, 20, Ending::Ok),
                (true, ThresholdMetric::Percentile(_)) => (second, 2, 900, Ending::Ok),
                (true, _) => (second, 2, 20, Ending::Status5xx),
            };
            [request; 20]
        })
        .collect();
    let (comparison, limit) = match metric {
        ThresholdMetric::Percentile(_) => (ThresholdOperator::Less, 500_000.0),
        ThresholdMetric::Checks => (ThresholdOperator::Greater, 0.95),
        ThresholdMetric::Rate => (ThresholdOperator::Greater, 20.0),
        _ => (ThresholdOperator::Less, 0.05),
    };
    let mut scenario = scenario();
    let spike = ThresholdScope::Phase("spike".to_owned());
    scenario.thresholds = vec![threshold(metric, comparison, limit, spike)];
    let changed = changed.iter().copied().collect();
    let schedule = Schedule::new(&scenario);
    judge(&scenario, &by_second(&requests), &schedule, changed)
}

#[test]
fn a_limit_that_is_missed_under_the_load_of_others_alone_is_inconclusive() {
    const P95: ThresholdMetric = ThresholdMetric::Percentile(95.0);
    const MOST: [u32; 6] = [20, 21, 22, 23, 24, 25];
    use ThresholdMetric::{Checks, Errors, Rate};
    use Verdict::{Failed, Inconclusive, Passed};
    for (metric, bad, changed, expected) in [
        (P95, &[24, 25][..], &[][..], Failed),
        (P95, &[24, 25], &[24, 25], Inconclusive),
        // The rest misses the limit as well.
        (P95, &[24, 25], &[24], Failed),
        (P95, &[22, 24, 25, 27], &[24, 25], Failed),
        // Over half of the seconds are doubtful.
        (P95, &[22, 27], &MOST, Inconclusive),
        (
            P95,
            &[20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
            &MOST,
            Inconclusive,
        ),
        // Seconds of another phase say nothing of this one.
        (P95, &[24, 25], &[10, 11, 35], Failed),
        (P95, &[], &[24], Passed),
        (Errors, &[24, 25], &[24, 25], Inconclusive),
        (Errors, &[24, 25], &[25], Failed),
        (Checks, &[24, 25], &[24, 25], Inconclusive),
        (Checks, &[24, 25], &[25], Failed),
        // A rate lacks what was not answered in those seconds, however the rest was.
        (Rate, &[24, 25], &[24], Inconclusive),
        (Rate, &[24, 25], &[], Failed),
    ] {
        let found = beside_others(metric, bad, changed).remove(0);
        assert_eq!(found.verdict, expected, "{metric:?} {bad:?} {changed:?}");
    }
}

#[test]
fn the_load_of_others_is_a_reason_with_its_seconds_and_holds_for_the_default_on_errors() {
    let missed = ThresholdReason::LimitMissed {
        metric: ThresholdMetric::Percentile(95.0),
        comparison: ThresholdOperator::Less,
        limit: 500_000.0,
    };
    let found = beside_others(ThresholdMetric::Percentile(95.0), &[24, 25], &[23, 24, 25]);
    let expected = ThresholdReason::LoadOfOthers {
        reason: Box::new(missed),
        changed_s: 3,
        of_s: 10,
    };
    assert_eq!(found[0].reason, expected.into());
    assert_eq!(
        words::because(&found[0].reason),
        "the limit is < 500ms, but load of others may be the cause in 3 of 10 seconds"
    );
    // The threshold on checks leaves the default on errors in place.
    for (changed, expected) in [
        (&[24, 25][..], Verdict::Inconclusive),
        (&[], Verdict::Failed),
    ] {
        let found = beside_others(ThresholdMetric::Checks, &[24, 25], changed);
        let of_spike = |one: &&Finding| {
            matches!(one.expectation, Expectation::ErrorsByDefault { .. })
                && one.scope == FoundIn::Phase("spike".to_owned())
        };
        let verdict = found.iter().find(of_spike).map(|one| one.verdict);
        assert_eq!(verdict, Some(expected), "{changed:?}");
    }
}

#[test]
fn a_run_that_was_stopped_has_its_rate_over_the_time_it_had() {
    let requests: Vec<_> = (0..5)
        .flat_map(|second| [(second, 0, 5, Ending::Ok); 10])
        .collect();
    let mut results = by_second(&requests);
    let saturation = (0..5)
        .map(|second| model::measure::Saturation {
            second,
            ..Default::default()
        })
        .collect();
    results.add(
        0,
        &Interval {
            saturation,
            ..Interval::default()
        },
    );
    let mut scenario = scenario();
    scenario.thresholds = vec![threshold(
        ThresholdMetric::Rate,
        ThresholdOperator::Greater,
        9.0,
        ThresholdScope::Run,
    )];
    let judged = judge_first(&scenario, &results);
    assert_eq!(
        (judged.verdict, words::measured(&judged.measured).as_str()),
        (Verdict::Passed, "rate = 10.0/s")
    );
}

#[test]
fn a_run_is_aborted_only_when_a_threshold_says_so_and_not_too_early() {
    let requests: Vec<_> = (10..15)
        .map(|second| (second, 1, 5, Ending::Status5xx))
        .collect();
    let results = by_second(&requests);
    let abort = |after: Option<u64>, settled| {
        let mut scenario = scenario();
        let errors = threshold(
            ThresholdMetric::Errors,
            ThresholdOperator::Less,
            0.05,
            ThresholdScope::EachPhase,
        );
        scenario.thresholds = vec![Threshold {
            abort_after: after.map(Duration::from_secs),
            ..errors
        }];
        must_abort(&scenario, &results, &Schedule::new(&scenario), settled)
    };
    assert_eq!(abort(None, 15), None);
    assert_eq!(abort(Some(4), 13), None);
    assert_eq!(
        words::ended_early(&EndedEarly::ThresholdFailed(abort(Some(4), 14).unwrap())),
        "`asked` failed: errors = 100.00% (5 of 5)"
    );
    // Before its phase has begun, a threshold cannot fail.
    assert_eq!(abort(Some(0), 10), None);
}
