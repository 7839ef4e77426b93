use std::time::Duration;

use super::super::judge_watched;
use crate::report::{Judged, words};
use evidence::Timeline;
use evidence::testing::{at, behind, change, group, whole_story};
use evidence::timeline::{Datapoint, MetricSeries, Observation, Observed};
use model::outcome::Verdict;

fn counted(name: &str, value: f64) -> Observation {
    let series = MetricSeries {
        name: name.to_owned(),
        unit: "per minute".to_owned(),
        period: Duration::from_mins(1),
        points: vec![Datapoint { at: at(0), value }],
        alarms: vec![],
    };
    Observation::new(at(60), Observed::Metric(series))
}

fn judged(more: Vec<Observation>) -> Judged {
    let mut observations = whole_story();
    observations.extend(more);
    words::watched(judge_watched(
        &evidence::testing::scenario(),
        &Timeline { observations },
    ))
}

fn verdict(judged: &Judged, about: &str) -> Option<Verdict> {
    judged
        .scaling
        .iter()
        .find(|one| one.asked.starts_with(about))
        .map(|one| one.verdict)
}

#[test]
fn what_a_load_of_somebody_else_cannot_tell_is_listed_and_decides_nothing() {
    let found = judged(vec![]);
    assert_eq!(found.verdict, Verdict::Passed, "{}", found.because);
    assert!(
        found
            .because
            .ends_with("; 6 expectations were not judged: the load is not ours"),
        "{}",
        found.because
    );
    assert_eq!(found.not_judged.len(), 6);
    assert!(
        found
            .not_judged
            .iter()
            .all(|one| one.because == "cannot tell: the load is not ours")
    );
    for about in ["the group was not pinned", "no flapping"] {
        assert_eq!(verdict(&found, about), Some(Verdict::Passed), "{about}");
    }
    let scale_in = found
        .scaling
        .iter()
        .find(|one| one.asked.starts_with("scale-in"))
        .unwrap();
    assert!(
        scale_in.because.contains("from the first low datapoint"),
        "{scale_in:?}"
    );
}

#[test]
fn what_the_load_balancer_counted_while_instances_left_is_judged_and_said_to_be_inferred() {
    let dropped = |bad| {
        judged(vec![
            counted("requests", 900.0),
            counted("load balancer 502", bad),
        ])
    };
    let (good, bad) = (dropped(0.0), dropped(3.0));
    assert_eq!(verdict(&good, "no request dropped"), Some(Verdict::Passed));
    assert_eq!(
        (verdict(&bad, "no request dropped"), bad.verdict),
        (Some(Verdict::Failed), Verdict::Failed)
    );
    let said = bad
        .scaling
        .iter()
        .find(|one| one.asked.starts_with("no request dropped"))
        .unwrap();
    assert!(
        said.answer().contains("3 502") && said.because.starts_with("inferred"),
        "{said:?}"
    );
    assert_eq!(bad.not_judged.len(), 5);
}

#[test]
fn bad_gateways_of_a_balancer_that_serves_others_too_are_not_told_to_be_of_this_group() {
    let dropped = |gateways, connections| {
        let shared = Observed::Surroundings(behind(Some(2)));
        let found = judged(vec![
            Observation::new(at(0), shared),
            counted("requests", 900.0),
            counted("load balancer 502", gateways),
            counted("connection errors", connections),
        ]);
        verdict(&found, "no request dropped")
    };
    assert_eq!(dropped(3.0, 0.0), None);
    assert_eq!(dropped(0.0, 0.0), None);
    assert_eq!(dropped(0.0, 2.0), Some(Verdict::Failed));
}

#[test]
fn a_watched_group_that_is_pinned_or_turns_again_and_again_does_not_pass() {
    let pinned = judged(vec![
        group(50, 4, &["i-1"]),
        change(51, "high", &[(50, 90.0)]),
        group(60, 4, &["i-1"]),
    ]);
    assert_eq!(
        verdict(&pinned, "the group was not pinned"),
        Some(Verdict::Inconclusive)
    );
    let turning = (48..54)
        .map(|second| group(second, 1 + second % 2, &["i-1"]))
        .collect();
    assert_eq!(
        verdict(&judged(turning), "no flapping"),
        Some(Verdict::Failed)
    );
}
