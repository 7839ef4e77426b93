//! The parts of the table: roles, callers, needs and statements.

/// The role that a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Makes a run and destroys it: `spikeproof run` with its terraform.
    Operator,
    /// Looks at the target: `spikeproof watch`.
    Watcher,
    /// Destroys what runs left, and creates nothing: `spikeproof reap` on a machine of its own.
    Reaper,
    /// A task of a run; `terraform/roles.tf` says the same of one bucket.
    Generator,
    /// Fargate, when it fetches the image of a task and writes its log; `terraform/roles.tf` says the
    /// same of one run.
    Execution,
    /// The most that any role of a run may do: the generator and the execution together. A policy of
    /// the account, without which the operator makes no role.
    Boundary,
    /// Changes a group that carries a tag of consent, for one run: `spikeproof run --try-advice`, in
    /// addition to the operator. A reaper of such runs needs it too.
    TryAdvice,
}

impl Role {
    /// Every role, each with a document of its own in `terraform/permissions/`.
    pub const ALL: [Self; 7] = [
        Self::Operator,
        Self::Watcher,
        Self::Reaper,
        Self::Generator,
        Self::Execution,
        Self::Boundary,
        Self::TryAdvice,
    ];

    /// Returns the name of the role's document, for example `operator`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Watcher => "watcher",
            Self::Reaper => "reaper",
            Self::Generator => "generator",
            Self::Execution => "execution",
            Self::Boundary => "boundary",
            Self::TryAdvice => "try-advice",
        }
    }
}

/// Whose call takes the permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOrigin {
    /// Our own code, which names the action.
    Us,
    /// Only terraform's AWS provider, while it makes, reads back or destroys.
    Terraform,
    /// No call names the action: AWS requires it in addition to another action.
    Beside,
}

/// One action that a role needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The IAM action, for example `ecs:RunTask`.
    pub action: &'static str,
    /// The roles that need it.
    pub who: &'static [Role],
    /// Whose call takes it.
    pub caller: CallOrigin,
    /// The purpose, for people.
    pub why: &'static str,
}

/// Operator, key and values.
pub type Condition = (&'static str, &'static str, &'static [&'static str]);

/// Actions on the same resources, under the same condition.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// The statement's `Sid`.
    pub name: &'static str,
    /// Resource ARNs, with `*` for what differs between accounts and runs.
    pub on: &'static [&'static str],
    /// All of them must be met.
    pub when: &'static [Condition],
    /// The actions that are allowed; their roles may differ.
    pub needs: &'static [Need],
}

pub(super) const fn us(action: &'static str, who: &'static [Role], why: &'static str) -> Need {
    Need {
        action,
        who,
        caller: CallOrigin::Us,
        why,
    }
}

pub(super) const fn terraform(action: &'static str, why: &'static str) -> Need {
    Need {
        action,
        who: &[Role::Operator],
        caller: CallOrigin::Terraform,
        why,
    }
}

pub(super) const fn beside(action: &'static str, why: &'static str) -> Need {
    Need {
        action,
        who: &[Role::Operator],
        caller: CallOrigin::Beside,
        why,
    }
}
