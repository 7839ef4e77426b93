//! Other runs that test the same group at the same time, looked for before this run and after its
//! load. The trial of an advice is refused beside another run.

use std::collections::BTreeSet;

use super::Context;
use crate::aws::Aws;
use crate::journal::record::WatchedTarget;
use crate::scenario::Scenario;
use crate::teardown::beside;
use crate::units::RunId;
use crate::verdict::{RunWarning, Warning};

/// The group or service under test, and the AWS in which it is watched.
pub(super) fn target(scenario: &Scenario, watched_in: Option<&Aws>) -> Option<WatchedTarget> {
    let (subject, aws) = scenario.target.subject.as_ref().zip(watched_in)?;
    Some(WatchedTarget {
        name: subject.to_string(),
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
    })
}

/// The other runs that are alive and test the same group.
#[derive(Debug, Default)]
pub(super) struct OtherRuns {
    pub runs: BTreeSet<RunId>,
    /// Why the account could not be asked; `None` if it was, or if no group is watched in one.
    pub unknown: Option<String>,
}

/// Looks on this host, and in the account of the group: with a fleet on this machine as well, since
/// another machine may have sent Fargate tasks. `own` is this run, once it has an id.
pub(super) async fn look(
    cx: &Context,
    target: Option<&WatchedTarget>,
    watched_in: Option<&Aws>,
    own: Option<&RunId>,
) -> OtherRuns {
    let Some(target) = target else {
        return OtherRuns::default();
    };
    let mut others = OtherRuns {
        runs: beside::on_this_host(&cx.options.runs_dir, target),
        unknown: None,
    };
    if let Some(aws) = watched_in {
        match beside::in_the_account(aws, target).await {
            Ok(found) => others.runs.extend(found),
            Err(error) => others.unknown = Some(error.to_string()),
        }
    }
    others.runs.retain(|run| Some(run) != own);
    others
}

/// A warning for each other run. A note says why the account could not be asked.
pub(super) fn warnings(
    cx: &Context,
    target: Option<&WatchedTarget>,
    others: &OtherRuns,
) -> Vec<Warning> {
    let Some(target) = target else {
        return Vec::new();
    };
    if let Some(why) = &others.unknown {
        cx.events.note(format!(
            "could not look for other runs that test {}: {why}",
            target.name
        ));
    }
    let warning = |run: &RunId| RunWarning::AnotherRun {
        subject: target.name.clone(),
        run: run.to_string(),
    };
    others.runs.iter().map(warning).map(Warning::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::events::{Event, Events};
    use crate::journal::record::Run;
    use crate::journal::{Journal, Record, locks};

    fn web() -> WatchedTarget {
        WatchedTarget {
            name: "web".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: None,
        }
    }

    fn run(id: &str) -> RunId {
        RunId::parse(id).unwrap()
    }

    fn of(id: &str) -> Warning {
        Warning::from(RunWarning::AnotherRun {
            subject: "web".to_owned(),
            run: id.to_owned(),
        })
    }

    #[test]
    fn each_other_run_is_a_warning_and_an_account_that_could_not_be_asked_is_a_note() {
        let home = tempfile::tempdir().unwrap();
        let (mut cx, _state) = example::begun(home.path());
        let (events, mut said) = Events::channel();
        cx.events = events;
        let mut others = OtherRuns {
            runs: ["sp-0000000003", "sp-0000000002"].map(run).into(),
            unknown: None,
        };
        let web = web();
        let expected = [of("sp-0000000002"), of("sp-0000000003")];
        assert_eq!(warnings(&cx, Some(&web), &others), expected);
        assert!(said.try_recv().is_err());

        others.unknown = Some("AccessDenied".to_owned());
        assert_eq!(warnings(&cx, Some(&web), &others), expected);
        let note = "could not look for other runs that test web: AccessDenied";
        let heard = said.try_recv().unwrap();
        assert!(
            matches!(&heard, Event::Note { message } if message == note),
            "{heard:?}"
        );

        // Without a group to watch there is nothing that both could test.
        assert_eq!(warnings(&cx, None, &others), []);
        assert!(said.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_run_itself_is_not_beside_itself() {
        let home = tempfile::tempdir().unwrap();
        let (cx, _state) = example::begun(home.path());
        let begun = |id: &str| {
            let first = Record::Run(Run {
                run: run(id),
                region: "eu-west-1".to_owned(),
                account: "123456789012".to_owned(),
                scenario_name: "shop".to_owned(),
                url: "http://shop".to_owned(),
                endpoint: None,
                boot: locks::boot(),
                profile: None,
                target: Some(Box::new(web())),
                started: jiff::Timestamp::UNIX_EPOCH,
            });
            Journal::create(&home.path().join(id), first).unwrap()
        };
        let _alive = [begun("sp-0000000002"), begun("sp-0000000003")];
        let web = web();
        let found = async |target: Option<&WatchedTarget>, own: Option<&RunId>| {
            let others = look(&cx, target, None, own).await;
            warnings(&cx, target, &others)
        };
        let both = [of("sp-0000000002"), of("sp-0000000003")];
        assert_eq!(found(Some(&web), None).await, both);
        let own = run("sp-0000000003");
        assert_eq!(found(Some(&web), Some(&own)).await, both[..1]);
        assert_eq!(found(None, Some(&own)).await, []);
    }
}
