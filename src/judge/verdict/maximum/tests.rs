use super::*;
use crate::report::{Judgement, words};
use crate::verdict::testing::{Said, Wrong};
use evidence::testing::with_load;
use evidence::testing::{activity, alarm, at, change, group, phases, results};
use evidence::timeline::Observation;

const ALL: [&str; 4] = ["i-1", "i-2", "i-3", "i-4"];

/// The load rises at 10 s and falls at 20 s. The alarm asks for all four instances of the maximum
/// at 12 s; they serve at 14 s.
fn story() -> Vec<Observation> {
    vec![
        group(0, 2, &ALL[..2]),
        alarm("high", "GreaterThanThreshold", 50.0, 2),
        change(12, "high", &[(10, 90.0)]),
        activity(12, "Launching a new EC2 instance: i-3", 2, 4),
        group(12, 4, &ALL[..2]),
        group(14, 4, &ALL),
        group(60, 4, &ALL),
    ]
}

/// Judges a load that nobody else adds to.
fn judge_ours(facts: &Facts<'_>) -> Option<Finding> {
    judge(facts, &BTreeSet::new())
}

/// Judges the story, whose alarm asks for more until the load ends at 40 s.
fn judged_with(wrong: Wrong) -> Finding {
    let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false), (1.0, false)]);
    let answered = wrong.results(&scenario, |level| (level * 100.0) as u64);
    let judged = |facts: &Facts<'_>| judge(facts, &wrong.changed());
    with_load(&scenario, story(), &answered, judged).unwrap()
}

/// Judges the story with slow answers in the seconds for which `slow` returns true.
fn judged(story: Vec<Observation>, limited: bool, slow: impl Fn(u32) -> bool) -> Option<Judgement> {
    let mut scenario = phases(&[(1.0, false), (9.0, true), (1.0, false), (1.0, false)]);
    if !limited {
        scenario.thresholds.clear();
    }
    let answered = results(&scenario, |second, level| {
        let all = (level * 100.0) as u64;
        vec![("", all, 0, if slow(second) { 900 } else { 50 })]
    });
    with_load(&scenario, story, &answered, judge_ours).map(words::judgement)
}

#[test]
fn what_piled_up_before_the_last_instance_served_does_not_count() {
    let found = judged(story(), true, |second| (10..15).contains(&second)).unwrap();
    assert_eq!(found.verdict, Verdict::Passed, "{found:?}");
    assert!(
        found.measured.starts_with("pinned at 4 for 29 seconds; "),
        "{found:?}"
    );
}

#[test]
fn a_long_calm_after_the_spike_does_not_hide_that_it_did_not_hold() {
    let found = judged(story(), true, |second| (10..20).contains(&second)).unwrap();
    assert_eq!(found.verdict, Verdict::Failed, "{found:?}");
    let mut wanting = story();
    wanting.push(change(21, "high", &[(20, 90.0)]));
    let longer = judged(wanting, true, |second| (10..15).contains(&second)).unwrap();
    assert!(
        longer.measured.starts_with("pinned at 4 for 29 seconds; "),
        "{longer:?}"
    );
    assert!(longer.measured.contains("besides"), "{longer:?}");
}

#[test]
fn without_a_limit_or_without_pinning_nothing_is_said() {
    assert_eq!(judged(story(), false, |_| false), None);
    assert_eq!(judged(vec![group(0, 2, &ALL[..2])], true, |_| false), None);
}

#[test]
fn a_calm_that_held_says_nothing_of_a_spike_that_was_over_too_soon() {
    let mut late = story();
    late.retain(|one| one.at != at(14));
    late.extend([group(19, 4, &ALL), change(21, "high", &[(20, 90.0)])]);
    let found = judged(late, true, |second| (10..21).contains(&second)).unwrap();
    assert!(
        found.verdict == Verdict::Inconclusive && found.because.starts_with("the spike had gone"),
        "{found:?}"
    );
}

/// i-3 and i-4 fail at first, i-1 and i-2 never do.
#[test]
fn what_new_instances_fail_at_first_is_not_the_maximums_doing() {
    let mut scenario = phases(&[(1.0, false), (9.0, true), (1.0, false), (1.0, false)]);
    scenario.scaling.fresh_instances = Some(std::time::Duration::from_secs(4));
    let judged = |old_fail: bool| {
        let answered = results(&scenario, |second, level| {
            let each = (level * 25.0) as u64;
            let bad = if old_fail && second >= 10 { each } else { 0 };
            let old = [
                ("i-1", each * 2 - bad, bad, 50),
                ("i-2", each * 2 - bad, bad, 50),
            ];
            let new = if second < 18 { (0, each) } else { (each, 0) };
            let new = [("i-3", new.0, new.1, 50), ("i-4", new.0, new.1, 50)];
            if second < 14 {
                old.to_vec()
            } else {
                [old, new].concat()
            }
        });
        with_load(&scenario, story(), &answered, judge_ours)
            .map(words::judgement)
            .unwrap()
    };
    let held = judged(false);
    assert!(
        held.verdict == Verdict::Passed
            && held.measured.contains("errors of new instances left out"),
        "{held:?}"
    );
    assert_eq!(
        judged(true).verdict,
        Verdict::Failed,
        "those of the others count"
    );
}

#[test]
fn errors_that_are_always_there_are_not_the_maximums_doing() {
    let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false), (1.0, false)]);
    let judged = |from: u32| {
        let answered = results(&scenario, |second, level| {
            let all = (level * 100.0) as u64;
            let bad = if second < from { 0 } else { all / 10 };
            vec![("", all - bad, bad, 50)]
        });
        with_load(&scenario, story(), &answered, judge_ours).unwrap()
    };
    let always = judged(0);
    assert_eq!(always.verdict, Verdict::Passed, "{always:?}");
    let since_the_spike = judged(10);
    assert_eq!(
        since_the_spike.verdict,
        Verdict::Failed,
        "{since_the_spike:?}"
    );
}

#[test]
fn with_too_few_answers_at_its_maximum_it_cannot_be_told() {
    let few = |rate: u64, millis: u64| {
        let scenario = phases(&[(1.0, false), (9.0, true), (1.0, false), (1.0, false)]);
        let answered = results(&scenario, |second, _| {
            let millis = if second < 20 { millis } else { 50 };
            vec![("", rate, 0, millis)]
        });
        with_load(&scenario, story(), &answered, judge_ours).unwrap()
    };
    // All four serve from 14 s on, and the spike ends at 20 s.
    let found = few(3, 900);
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    let reason = SizeReason::TooFewAnswersAtMaximum { answers: 18 };
    assert_eq!(found.reason, reason.into());
    assert_eq!(few(4, 50).verdict, Verdict::Passed);
    assert_eq!(few(4, 900).verdict, Verdict::Failed);
}

#[test]
fn a_limit_that_only_a_strained_generator_missed_at_the_maximum_is_inconclusive() {
    for (slow, bad, strained, expected) in [
        (&[19][..], &[][..], &[][..], Said::Failed),
        (&[19], &[], &[19], Said::ByGenerator),
        (&[18, 19], &[], &[14], Said::Failed),
        // The seconds besides the spike miss it too, and the target alone is their cause.
        (&[19, 30, 31], &[], &[19], Said::Failed),
        (&[19, 30, 31], &[], &[19, 30], Said::ByGenerator),
        (&[], &[19], &[19], Said::Failed),
        (&[], &[], &[19], Said::Passed),
    ] {
        let wrong = Wrong {
            slow,
            bad,
            strained,
            ..Wrong::default()
        };
        assert_eq!(Said::of(&judged_with(wrong)), expected, "{wrong:?}");
    }
}

#[test]
fn a_limit_that_only_the_load_of_others_missed_at_the_maximum_is_inconclusive() {
    for (slow, bad, strained, changed, expected) in [
        (&[19][..], &[][..], &[][..], &[19][..], Said::ByOthers(1)),
        (&[18, 19], &[], &[], &[19], Said::Failed),
        // Over half of the seconds are doubtful.
        (&[19], &[], &[], &[15, 16, 17, 18], Said::ByOthers(4)),
        (&[19], &[], &[], &[5, 11, 25], Said::Failed),
        (&[19, 30, 31], &[], &[], &[19], Said::Failed),
        (&[19, 30, 31], &[], &[], &[19, 30, 31], Said::ByOthers(3)),
        // A generator is the cause of those besides the spike.
        (&[19, 30, 31], &[], &[30], &[19], Said::ByOthers(1)),
        (&[], &[19], &[], &[19], Said::ByOthers(1)),
        (&[], &[19], &[], &[18], Said::Failed),
        (&[], &[], &[], &[19], Said::Passed),
    ] {
        let wrong = Wrong {
            slow,
            bad,
            strained,
            changed,
        };
        assert_eq!(Said::of(&judged_with(wrong)), expected, "{wrong:?}");
    }
}

/// At 400/s the maximum holds for 24 seconds, at 900/s it does not for 10.
#[test]
fn a_spike_that_held_at_the_maximum_does_not_hide_that_a_later_one_was_too_much() {
    let levels = [
        (1.0, false),
        (4.0, true),
        (4.0, true),
        (4.0, true),
        (9.0, true),
        (1.0, false),
    ];
    let scenario = phases(&levels);
    let answered = results(&scenario, |_, level| {
        let millis = if level > 5.0 { 900 } else { 50 };
        vec![("", (level * 100.0) as u64, 0, millis)]
    });
    let found = with_load(&scenario, story(), &answered, judge_ours).unwrap();
    assert_eq!(found.verdict, Verdict::Failed);
    let reason = SizeReason::MaximumTooSmall {
        maximum: 4,
        p95_s: Some(Duration::from_millis(400).into()),
    };
    assert_eq!(found.reason, reason.into());
}
