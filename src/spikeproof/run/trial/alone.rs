//! A trial is alone on its group. Two runs that change one group would put back each other's
//! values, and a run that tests it would be judged with a change that is not its own.

use crate::aws::Cloud;
use crate::teardown::beside;
use crate::units::RunId;

use super::super::beside::OtherRuns;
use super::{NotTried, Trial};

/// Refuses a trial beside another run: one that is alive, or one that has changed the group and not
/// put it back. Not to know it is a refusal too. `own` is this run, once it has an id.
pub(in crate::run) async fn alone(
    trial: &Trial,
    cloud: Option<&Cloud>,
    others: &OtherRuns,
    own: Option<&RunId>,
) -> Result<(), NotTried> {
    let Some(group) = trial.group() else {
        return Ok(());
    };
    refusal(trial, group, others)?;
    let Some(cloud) = cloud else {
        return Ok(());
    };
    let changing = beside::changing_in_the_account(&cloud.aws, group).await;
    let mut changing = changing.map_err(|error| NotTried::OthersUnknown {
        group: group.to_owned(),
        why: error.to_string(),
    })?;
    changing.retain(|run| Some(run) != own);
    match changing.first() {
        None => Ok(()),
        Some(run) => Err(NotTried::StillChanged {
            group: group.to_owned(),
            run: run.to_string(),
            remedy: format!("spikeproof reap {run} --discover"),
        }),
    }
}

/// Refuses by the runs that are alive. The first of the two runs of a trial is none of them.
pub(super) fn refusal(trial: &Trial, group: &str, others: &OtherRuns) -> Result<(), NotTried> {
    let is_first = |run: &RunId| match trial {
        Trial::Of { plan, .. } => plan.first == run.as_str(),
        Trial::None | Trial::Announced { .. } => false,
    };
    if let Some(why) = &others.unknown {
        return Err(NotTried::OthersUnknown {
            group: group.to_owned(),
            why: why.clone(),
        });
    }
    match others.runs.iter().find(|run| !is_first(run)) {
        None => Ok(()),
        Some(run) => Err(NotTried::AnotherRun {
            group: group.to_owned(),
            run: run.to_string(),
        }),
    }
}
