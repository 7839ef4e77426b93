//! The reasons not to try an advice, each with what helps.

use super::super::RunError;
use crate::events::Phase;
use crate::outcome::Exit;
use crate::settings::MAY_CHANGE;

/// Why an advice is not tried.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotTried {
    /// Generators on this machine have no guard.
    #[error("only a Fargate fleet has the guard that puts a changed group back")]
    LocalFleet,
    /// Nobody watches, and the user has not said that this is meant.
    #[error("no user watches here (`CI` is set, or there is no terminal)")]
    Unattended,
    /// There is no guard.
    #[error("without the guard nothing puts a changed group back if this process is killed")]
    NoGuard,
    /// The scenario names no group.
    #[error("the scenario names no group (`target.group`)")]
    NoGroup,
    /// The target is a service.
    #[error("{0} is an ECS service, and only Auto Scaling groups are changed")]
    Service(String),
    /// The option names another group than the scenario.
    #[error("`--try-advice` names {named}, and the scenario's group is {group}")]
    OtherGroup {
        /// The name in the option.
        named: String,
        /// The name in the scenario.
        group: String,
    },
    /// There is no such group.
    #[error("there is no Auto Scaling group {0}")]
    NoSuchGroup(String),
    /// The group lacks the tag of consent.
    #[error("the group {0} does not carry the tag {MAY_CHANGE}, or its value is a refusal")]
    NoTag(String),
    /// An earlier run has changed the group, and has not put it back.
    #[error("{run} has changed the group {group}, and has not put it back yet")]
    StillChanged {
        /// The group.
        group: String,
        /// The run that has changed it.
        run: String,
        /// The command that puts it back.
        remedy: String,
    },
    /// Another run tests the group: each would take the other's change for the group's own.
    #[error("{run} tests the group {group} at the same time")]
    AnotherRun {
        /// The group.
        group: String,
        /// The other run.
        run: String,
    },
    /// Nobody knows whether another run tests or changes the group.
    #[error("it is not known whether another run tests the group {group} at the same time: {why}")]
    OthersUnknown {
        /// The group.
        group: String,
        /// Why it is not known.
        why: String,
    },
    /// The first run has no verdict on the group.
    #[error("the run ended with exit code {}, and only a passed or a failed run's advice is tried", .0.code())]
    NoVerdict(Exit),
    /// A signal came during the first run.
    #[error("the run was interrupted")]
    Interrupted,
    /// The first run did not tell which settings it found.
    #[error("the run did not find out the group's settings")]
    NothingFound,
    /// The advice recommends no change.
    #[error("the advice recommends no change")]
    NothingRecommended,
    /// The recommended change is of a kind that is not applied.
    #[error(
        "{name} is not a target value, a minimum or a maximum: apply it yourself, and run again"
    )]
    OtherKind {
        /// The name of the candidate.
        name: String,
    },
    /// The target value is of a policy that cannot be told.
    #[error(
        "the group has {policies} policies: a target is tried where one target-tracking policy is the only one"
    )]
    NotTheOnlyPolicy {
        /// The number of policies.
        policies: usize,
    },
    /// The group has it already.
    #[error("the group's settings are as the advice recommends: somebody has changed them since")]
    AlreadySo,
    /// The advice is about another setting than the present one.
    #[error(
        "{field} is {now}, and was {then} when the first run began: somebody has changed it since"
    )]
    ChangedSince {
        /// The name of the field.
        field: String,
        /// Its value when the first run began.
        then: String,
        /// Its value now.
        now: String,
    },
    /// A lower minimum or maximum ends instances that serve; no later change brings them back.
    #[error("{field} is {now} already: only a higher one is tried, and {advised} is not")]
    NotHigher {
        /// `MinSize` or `MaxSize`.
        field: &'static str,
        /// Its present value.
        now: String,
        /// The recommended value.
        advised: u32,
    },
    /// A raised minimum would leave the group larger for good.
    #[error("the group {group} would stay larger than it was: {why}")]
    StaysLarge {
        /// The group.
        group: String,
        /// The setting that keeps it from shrinking.
        why: String,
    },
    /// AWS refuses such sizes.
    #[error("a minimum of {min} is above the maximum of {max}")]
    MinimumAboveMaximum {
        /// The minimum during the trial.
        min: u32,
        /// The maximum during the trial.
        max: u32,
    },
}

impl NotTried {
    /// Returns the refusal as the error of a plan, with what helps.
    pub fn error(self) -> RunError {
        let remedy = match &self {
            Self::StillChanged { remedy, .. } => Some(remedy.clone()),
            Self::AnotherRun { run, .. } => Some(format!(
                "again after the end of {run}; `spikeproof reap {run} --discover`, if it has none"
            )),
            Self::NoTag(group) => Some(format!(
                "if the group is yours to change: aws autoscaling create-or-update-tags --tags \
                 ResourceId={group},ResourceType=auto-scaling-group,Key={MAY_CHANGE},Value=yes,PropagateAtLaunch=false"
            )),
            Self::Unattended => Some(
                "`--unattended`, if you can put the group back by hand: where this job, container or machine ends at once, the \
                 guard ends too, and the group stays changed"
                    .to_owned(),
            ),
            _ => None,
        };
        let what = format!("the advice is not tried: {self}");
        let error = RunError::could_not(Phase::Plan, what).with_source(self);
        match remedy {
            Some(remedy) => error.hint(remedy),
            None => error.hint("without `--try-advice` the run changes nothing"),
        }
    }
}
