//! `spikeproof permissions`: the IAM policy document of a role, to be given to `aws iam
//! create-policy`.

use super::Answer;
use crate::aws::permissions::{Role, document};
use crate::outcome::Exit;

/// Print the IAM policy document that somebody needs.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Who: the operator makes runs and destroys them, the watcher looks at the target, the reaper
    /// destroys what runs left, the generator is a task of a run.
    #[arg(value_enum)]
    pub role: Role,
}

pub fn run(args: &Args) -> Answer {
    Answer::out(document(args.role), Exit::Passed)
}
