//! Other runs that test the same group at the same time, looked for before this run and after its
//! load. The trial of an advice is refused beside another run.

use std::collections::BTreeSet;

use super::Context;
use crate::aws::{Aws, Cloud};
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
    /// Why the account could not be asked; `None` if it was, or if there is none.
    pub unknown: Option<String>,
}

/// Looks on this host and in the account. `own` is this run, once it has an id.
pub(super) async fn look(
    cx: &Context,
    target: Option<&WatchedTarget>,
    cloud: Option<&Cloud>,
    own: Option<&RunId>,
) -> OtherRuns {
    let Some(target) = target else {
        return OtherRuns::default();
    };
    let mut others = OtherRuns {
        runs: beside::on_this_host(&cx.options.runs_dir, target),
        unknown: None,
    };
    if let Some(cloud) = cloud {
        match beside::in_the_account(&cloud.aws, target).await {
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
