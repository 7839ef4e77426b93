use super::*;
use crate::events::Events;
use crate::journal::Record;
use crate::journal::names::Thing;
use crate::report::PutBack;
use crate::run::interrupt::Urgency;
use crate::teardown::proof::Destruction;
use crate::units::RunId;

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn tracking() -> Parameters {
    parameters(&[
        ("AutoScalingGroupName", "web"),
        ("PolicyName", "cpu"),
        ("PolicyType", "TargetTrackingScaling"),
        (TARGET, "60.0"),
        ("EstimatedInstanceWarmup", "90"),
        ("AFieldOfTomorrow.member.1.X", "7"),
    ])
}

fn sizes(min: &str, max: &str) -> Parameters {
    parameters(&[(MIN, min), (MAX, max)])
}

fn found(policies: &[Parameters]) -> FoundSettings {
    FoundSettings {
        sizes: sizes("2", "8"),
        policies: policies.to_vec(),
    }
}

/// Plans on a group that is as the first run found it.
fn unchanged(change: &Change, policies: &[Parameters]) -> Result<Vec<GroupChange>, NotTried> {
    changes("web", change, &found(policies), &found(policies))
}

#[test]
fn a_new_target_carries_over_every_other_field_of_the_policy() {
    let planned = unchanged(&Change::Target { target: 40.0 }, &[tracking()]).unwrap();
    let [policy] = &planned[..] else {
        panic!("{planned:?}");
    };
    assert_eq!(policy.before, tracking());
    let mut during = tracking();
    during.insert(TARGET.to_owned(), "40".to_owned());
    assert_eq!(policy.during, during);
    assert_eq!(
        policy.thing().to_string(),
        "changed setting of group web, policy cpu"
    );
}

#[test]
fn sizes_are_changed_in_one_call_and_beside_a_target() {
    let with = Some(Box::new(Change::Target { target: 40.0 }));
    let planned = unchanged(&Change::Maximum { max: 12, with }, &[tracking()]).unwrap();
    let settings: Vec<&Setting> = planned.iter().map(|one| &one.setting).collect();
    let name = "cpu".to_owned();
    assert_eq!(settings, [&Setting::Policy { name }, &Setting::Sizes]);
    assert_eq!(planned[1].during, sizes("2", "12"));
    let min = unchanged(&Change::Minimum { min: 5 }, &[]).unwrap();
    assert_eq!(min[0].during, sizes("5", "8"));
    assert_eq!(min[0].before, sizes("2", "8"));
}

#[test]
fn what_cannot_be_told_or_changed_is_not_tried() {
    let target = Change::Target { target: 40.0 };
    let step = parameters(&[("PolicyName", "step"), ("PolicyType", "StepScaling")]);
    for policies in [vec![], vec![step.clone()], vec![tracking(), step]] {
        let why = unchanged(&target, &policies).unwrap_err();
        let policies = policies.len();
        assert_eq!(why, NotTried::NotTheOnlyPolicy { policies });
    }
    let same = Change::Target { target: 60.0 };
    let why = unchanged(&same, &[tracking()]).unwrap_err();
    assert_eq!(why, NotTried::AlreadySo);
    let step = Change::Step {
        threshold: 80.0,
        add: 2,
    };
    assert_eq!(parts(&step), None);
    let with = Some(Box::new(step));
    assert_eq!(parts(&Change::Maximum { max: 9, with }), None);
}

#[test]
fn a_stale_advice_lowers_nothing_and_replaces_no_newer_value() {
    let maximum = Change::Maximum {
        max: 12,
        with: None,
    };
    let raised_since = FoundSettings {
        sizes: sizes("2", "30"),
        ..found(&[])
    };
    let since = |field: &str, then: &str, now: &str| NotTried::ChangedSince {
        field: field.to_owned(),
        then: then.to_owned(),
        now: now.to_owned(),
    };
    assert_eq!(
        changes("web", &maximum, &raised_since, &found(&[])),
        Err(since(MAX, "8", "30"))
    );
    let mut other_target = tracking();
    other_target.insert(TARGET.to_owned(), "30.0".to_owned());
    let target = Change::Target { target: 40.0 };
    assert_eq!(
        changes(
            "web",
            &target,
            &found(&[other_target]),
            &found(&[tracking()])
        ),
        Err(since(TARGET, "60.0", "30.0"))
    );
    assert_eq!(
        changes("web", &target, &found(&[tracking()]), &found(&[])),
        Err(since(TARGET, "absent", "60.0"))
    );
    // A field that the advice does not touch may have changed: it is carried over.
    let mut switched = tracking();
    switched.insert("Enabled".to_owned(), "false".to_owned());
    let now = found(&[switched.clone()]);
    let planned = changes("web", &target, &now, &found(&[tracking()])).unwrap();
    assert_eq!(planned[0].before, switched);
}

#[test]
fn only_higher_sizes_that_fit_together_are_tried() {
    let not_higher = |field, now: &str, advised| NotTried::NotHigher {
        field,
        now: now.to_owned(),
        advised,
    };
    let maximum = |max, with| Change::Maximum { max, with };
    let minimum = |min| Change::Minimum { min };
    for (change, why) in [
        (maximum(6, None), not_higher(MAX, "8", 6)),
        (minimum(1), not_higher(MIN, "2", 1)),
        (
            maximum(12, Some(Box::new(minimum(1)))),
            not_higher(MIN, "2", 1),
        ),
        // The maximum is as advised already, and the rest is not.
        (
            maximum(8, Some(Box::new(minimum(4)))),
            not_higher(MAX, "8", 8),
        ),
        (minimum(9), NotTried::MinimumAboveMaximum { min: 9, max: 8 }),
    ] {
        assert_eq!(unchanged(&change, &[]), Err(why), "{change:?}");
    }
    assert!(unchanged(&maximum(12, Some(Box::new(minimum(9)))), &[]).is_ok());
}

#[test]
fn the_group_is_named_twice_and_is_no_service() {
    let group = Subject::Group("web".to_owned());
    let fargate = FleetKind::Fargate;
    assert_eq!(consented(Some(&group), "web", fargate), Ok("web"));
    let why = consented(Some(&group), "wob", fargate).unwrap_err();
    assert!(matches!(why, NotTried::OtherGroup { .. }));
    assert_eq!(consented(None, "web", fargate), Err(NotTried::NoGroup));
    assert_eq!(
        consented(Some(&group), "web", FleetKind::Local),
        Err(NotTried::LocalFleet)
    );
    let hints = NotTried::NoTag("web".to_owned()).error().hints;
    assert!(hints[0].contains("Key=spikeproof:may-change"), "{hints:?}");
}

#[test]
fn a_trial_is_refused_beside_a_run_that_is_alive_or_may_be() {
    use super::alone::refusal;
    use crate::run::beside::OtherRuns;
    let announced = Trial::Announced {
        group: "web".to_owned(),
    };
    let plan = TrialPlan::of(&crate::report::example::report()).unwrap();
    let first = RunId::parse(&plan.first).unwrap();
    let second = Trial::Of {
        group: "web".to_owned(),
        plan: Box::new(plan),
        found: Box::default(),
    };
    let others = |runs: &[&RunId], unknown: Option<&str>| OtherRuns {
        runs: runs.iter().map(|run| (*run).clone()).collect(),
        unknown: unknown.map(str::to_owned),
    };
    let other = RunId::parse("sp-0000000009").unwrap();
    for trial in [&announced, &second] {
        let refused = |others| refusal(trial, "web", &others);
        assert_eq!(refused(others(&[], None)), Ok(()));
        let why = refused(others(&[&other], None)).unwrap_err();
        assert!(matches!(&why, NotTried::AnotherRun { run, .. } if run == "sp-0000000009"));
        assert_eq!(why.error().kind.exit(), Exit::CouldNotRun);
        let why = refused(others(&[], Some("denied"))).unwrap_err();
        assert!(matches!(why, NotTried::OthersUnknown { .. }), "{why}");
    }
    // The first of the two runs may still be in the lists.
    let with_first = || others(&[&first], None);
    assert_eq!(refusal(&second, "web", &with_first()), Ok(()));
    assert!(refusal(&announced, "web", &with_first()).is_err());
}

#[test]
fn only_a_run_with_a_verdict_and_a_change_leads_to_a_trial() {
    let mut report = crate::report::example::report();
    let quiet = Interrupt::quiet();
    report.exit = Exit::Failed;
    assert_eq!(
        recommended(&report, &quiet).unwrap().candidate.name,
        "target 30"
    );
    report.exit = Exit::Inconclusive;
    assert_eq!(
        recommended(&report, &quiet),
        Err(NotTried::NoVerdict(Exit::Inconclusive))
    );
    report.exit = Exit::Failed;
    report.advice = None;
    assert_eq!(
        recommended(&report, &quiet),
        Err(NotTried::NothingRecommended)
    );
}

#[test]
fn any_signal_in_the_first_run_is_against_the_second() {
    let mut report = crate::report::example::report();
    report.exit = Exit::Failed;
    for urgency in [Urgency::StopLoad, Urgency::DestroyNow, Urgency::Leave] {
        let interrupt = Interrupt::quiet();
        // The first run's own clone: the signal may come during its destroy.
        let of_the_run = interrupt.clone();
        of_the_run.tell_to(Some(Events::channel().0));
        of_the_run.raise(urgency);
        of_the_run.tell_to(None);
        assert_eq!(
            recommended(&report, &interrupt),
            Err(NotTried::Interrupted),
            "{urgency:?}"
        );
    }
}

#[test]
fn what_became_of_the_settings_is_the_worst_of_them() {
    let with = Some(Box::new(Change::Target { target: 40.0 }));
    let change = Change::Maximum { max: 12, with };
    let planned = unchanged(&change, &[tracking()]).unwrap();
    let things: Vec<Thing> = planned.iter().map(GroupChange::thing).collect();
    let after = |found: &[(usize, bool, bool)]| {
        let mut destruction = Destruction::default();
        for (index, gone, foreign) in found {
            let thing = things[*index].clone();
            match gone {
                true => destruction.add_gone(thing, String::new(), *foreign),
                false => destruction.add_left(thing, String::new()),
            }
        }
        outcome(&planned, &destruction)
    };
    assert_eq!(
        after(&[(0, true, false), (1, true, false)]),
        PutBack::AsBefore
    );
    assert_eq!(
        after(&[(0, true, true), (1, true, false)]),
        PutBack::ChangedByOthers
    );
    assert_eq!(
        after(&[(0, true, true), (1, false, false)]),
        PutBack::NotProven
    );
    assert_eq!(
        after(&[(0, true, false)]),
        PutBack::NotProven,
        "nobody looked"
    );
}

#[test]
fn a_group_that_an_earlier_run_has_not_put_back_is_not_changed_again() {
    let home = tempfile::tempdir().unwrap();
    let (_, state) = crate::run::example::begun(home.path());
    assert_eq!(still_changed(home.path(), "web"), None);
    let min = Change::Minimum { min: 5 };
    let change = unchanged(&min, &[]).unwrap().remove(0);
    let thing = change.thing();
    state.record(Record::IntentChange { change });
    let why = still_changed(home.path(), "web").unwrap();
    assert!(matches!(&why, NotTried::StillChanged { run, .. } if run == "sp-0000000001"));
    assert!(why.error().hints[0].contains("reap sp-0000000001"));
    assert_eq!(still_changed(home.path(), "other"), None);
    state.record(Record::Gone { thing });
    assert_eq!(still_changed(home.path(), "web"), None);
}
