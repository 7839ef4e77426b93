use super::*;
use crate::journal::names::Thing;

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

fn present() -> PresentGroup {
    PresentGroup {
        sizes: parameters(&[(MIN, "2"), (MAX, "8")]),
        in_service: 2,
        may_change: true,
    }
}

#[test]
fn a_new_target_carries_over_every_other_field_of_the_policy() {
    let change = Change::Target { target: 40.0 };
    let planned = changes("web", &change, &present(), &[tracking()]).unwrap();
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
    let change = Change::Maximum { max: 12, with };
    let planned = changes("web", &change, &present(), &[tracking()]).unwrap();
    let settings: Vec<&Setting> = planned.iter().map(|one| &one.setting).collect();
    let name = "cpu".to_owned();
    assert_eq!(settings, [&Setting::Policy { name }, &Setting::Sizes]);
    assert_eq!(planned[1].during, parameters(&[(MIN, "2"), (MAX, "12")]));
    let min = changes("web", &Change::Minimum { min: 5 }, &present(), &[]).unwrap();
    assert_eq!(min[0].during, parameters(&[(MIN, "5"), (MAX, "8")]));
    assert_eq!(min[0].before, present().sizes);
}

#[test]
fn what_cannot_be_told_or_changed_is_not_tried() {
    let target = Change::Target { target: 40.0 };
    let step = parameters(&[("PolicyName", "step"), ("PolicyType", "StepScaling")]);
    for policies in [vec![], vec![step.clone()], vec![tracking(), step]] {
        let why = changes("web", &target, &present(), &policies).unwrap_err();
        let policies = policies.len();
        assert_eq!(why, NotTried::NotTheOnlyPolicy { policies });
    }
    let same = Change::Target { target: 60.0 };
    let why = changes("web", &same, &present(), &[tracking()]).unwrap_err();
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
fn only_a_run_with_a_verdict_and_a_change_leads_to_a_trial() {
    let mut report = crate::report::example::report();
    report.exit = Exit::Failed;
    assert_eq!(recommended(&report).unwrap().candidate.name, "target 30");
    report.exit = Exit::Inconclusive;
    assert_eq!(
        recommended(&report),
        Err(NotTried::NoVerdict(Exit::Inconclusive))
    );
    report.exit = Exit::Failed;
    report.advice = None;
    assert_eq!(recommended(&report), Err(NotTried::NothingRecommended));
}

#[test]
fn what_became_of_the_settings_is_the_worst_of_them() {
    let with = Some(Box::new(Change::Target { target: 40.0 }));
    let change = Change::Maximum { max: 12, with };
    let planned = changes("web", &change, &present(), &[tracking()]).unwrap();
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
    let change = changes("web", &min, &present(), &[]).unwrap().remove(0);
    let thing = change.thing();
    state.record(Record::IntentChange { change });
    let why = still_changed(home.path(), "web").unwrap();
    assert!(matches!(&why, NotTried::StillChanged { run, .. } if run == "sp-0000000001"));
    assert!(why.error().hints[0].contains("reap sp-0000000001"));
    assert_eq!(still_changed(home.path(), "other"), None);
    state.record(Record::Gone { thing });
    assert_eq!(still_changed(home.path(), "web"), None);
}
