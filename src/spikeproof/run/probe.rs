//! One request to the target before anything is created, so that a dead or mistyped one costs
//! nothing.

use super::{FleetKind, Preview, RunError, ScenarioOptions};
use crate::events::Phase;
use crate::limits::AddressPolicy;
use crate::ownership::Asker;
use crate::scenario::Target;

/// The outcome of a probe that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The target answered with this HTTP status.
    Answered(u16),
    /// The target is private: only tasks inside its network reach it.
    Private,
}

impl Probe {
    /// Returns a note for the user; `None` where there is nothing to say.
    pub fn note(self, target: &Target) -> Option<String> {
        match self {
            Self::Answered(status) if status >= 500 => Some(format!(
                "{} answers {status} before there is any load",
                target.url
            )),
            Self::Answered(_) => None,
            Self::Private => Some(
                "the target is private: no request is sent to it before the tasks start".to_owned(),
            ),
        }
    }
}

/// Sends one GET to the target's URL. Any HTTP answer will do: the path of the URL may be nothing
/// that the scenario asks for.
pub(super) async fn probe(
    target: &Target,
    address_policy: AddressPolicy,
    tasks_are_elsewhere: bool,
) -> Result<Probe, RunError> {
    if target.private && tasks_are_elsewhere {
        return Ok(Probe::Private);
    }
    match Asker::new(target, address_policy).await.probe().await {
        Ok(status) => Ok(Probe::Answered(status)),
        Err(error) => {
            let what = format!("{} does not answer: {error}", target.url);
            Err(RunError::could_not(Phase::Plan, what)
                .with_source(error)
                .hint("start it, or correct `target.url` (`--url` replaces it)")
                .hint("`--no-probe`, if only the generators can reach it"))
        }
    }
}

/// The same for `check`, which does not know where the tasks will run: loopback is permitted.
pub async fn probe_of(options: &ScenarioOptions, preview: &Preview) -> Result<Probe, RunError> {
    let target = &preview.scenario.target;
    let address_policy = AddressPolicy {
        loopback: true,
        private: target.private,
    };
    probe(target, address_policy, options.fleet == FleetKind::Fargate).await
}
