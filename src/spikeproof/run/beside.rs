//! Other runs that test the same group at the same time, looked for before this run and after its
//! load.

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

/// A warning for each other run that is alive and tests the same group. `own` is this run, once it
/// has an id.
pub(super) async fn warnings(
    cx: &Context,
    target: Option<WatchedTarget>,
    cloud: Option<&Cloud>,
    own: Option<&RunId>,
) -> Vec<Warning> {
    let Some(target) = target else {
        return Vec::new();
    };
    let mut runs = beside::on_this_host(&cx.options.runs_dir, &target);
    if let Some(cloud) = cloud {
        match beside::in_the_account(&cloud.aws, &target).await {
            Ok(found) => runs.extend(found),
            Err(error) => cx.events.note(format!(
                "could not look for other runs that test {}: {error}",
                target.name
            )),
        }
    }
    runs.into_iter()
        .filter(|run| Some(run) != own)
        .map(|run| RunWarning::AnotherRun {
            subject: target.name.clone(),
            run: run.to_string(),
        })
        .map(Warning::from)
        .collect()
}
