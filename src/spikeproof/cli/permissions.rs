//! `spikeproof permissions`: prints the IAM policy document of a role for `aws iam create-policy`.

use super::CommandOutput;
use crate::aws::permissions::{Role, document};
use crate::outcome::Exit;

/// Prints the IAM policy document of a role.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PermissionsArgs {
    /// The operator creates and destroys runs, the watcher reads the target, the reaper destroys
    /// what runs left, the generator is a task of a run; try-advice adds to the operator what `run
    /// --try-advice` changes
    #[arg(value_enum)]
    pub role: Role,
}

pub(super) fn run(args: &PermissionsArgs) -> CommandOutput {
    CommandOutput::json(document(args.role), Exit::Passed)
}
