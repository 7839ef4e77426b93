//! `spikeproof permissions`: prints the IAM policy document of a role for `aws iam create-policy`.

use super::CommandOutput;
use crate::aws::permissions::{Role, document, document_with_roles};
use crate::outcome::Exit;
use crate::run::RoleArn;

/// Prints the IAM policy document of a role.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PermissionsArgs {
    /// The operator creates and destroys runs, the watcher reads the target, the reaper destroys
    /// what runs left, the generator is a task of a run, the execution is Fargate when it starts a
    /// task; the boundary is the most that a role of a run may do; try-advice adds to the operator
    /// what `run --try-advice` changes
    #[arg(value_enum)]
    pub role: Role,
    /// Of the operator: a document without any right to write to IAM, for runs with `run
    /// --execution-role` and `--task-role`
    #[arg(long, value_name = "ARN", requires = "task_role")]
    pub execution_role: Option<RoleArn>,
    /// Of the operator: the role of the tasks in such runs
    #[arg(long, value_name = "ARN", requires = "execution_role")]
    pub task_role: Option<RoleArn>,
}

pub(super) fn run(args: &PermissionsArgs) -> CommandOutput {
    let (Some(execution), Some(task)) = (&args.execution_role, &args.task_role) else {
        return CommandOutput::json(document(args.role), Exit::Passed);
    };
    if args.role != Role::Operator {
        let what = "only the operator passes roles: leave --execution-role and --task-role out";
        return CommandOutput::error(what, Exit::CouldNotRun);
    }
    let roles = [execution, task].map(ToString::to_string);
    CommandOutput::json(document_with_roles(&roles), Exit::Passed)
}
