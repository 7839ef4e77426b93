//! The roles of a run's tasks: made for the run below a permissions boundary, or given.

use std::fmt;
use std::str::FromStr;

use super::RunError;
use crate::aws::permissions::BOUNDARY_NAME;
use crate::aws::query::{Query, Service};
use crate::aws::{Caller, Cloud};
use crate::events::Phase;

/// The roles of the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRoles {
    /// The run makes two, and destroys them.
    Made(Boundary),
    /// The account has them: the run writes nothing to IAM.
    Given {
        /// The role with which Fargate starts a task.
        execution: RoleArn,
        /// The role of the task itself.
        task: RoleArn,
    },
}

impl Default for TaskRoles {
    fn default() -> Self {
        Self::Made(Boundary::default())
    }
}

/// The policy of the account that bounds what the roles of a run may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boundary {
    /// None: whoever can make a run's role can give it any right.
    None,
    /// A policy of the run's account, by its name.
    Named(String),
    /// A policy by its ARN.
    Arn(String),
}

impl Default for Boundary {
    fn default() -> Self {
        Self::Named(BOUNDARY_NAME.to_owned())
    }
}

/// A text that is no boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a policy's name or ARN, such as `{}`, or `none`", BOUNDARY_NAME)]
pub struct BoundaryError;

impl FromStr for Boundary {
    type Err = BoundaryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The characters of IAM's names.
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
        };
        match text {
            "none" => Ok(Self::None),
            arn if is_arn_of(arn, "policy/") => Ok(Self::Arn(arn.to_owned())),
            name if is_name(name) => Ok(Self::Named(name.to_owned())),
            _ => Err(BoundaryError),
        }
    }
}

/// The ARN of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn(String);

/// A text that is no ARN of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the ARN of a role, such as `arn:aws:iam::123456789012:role/spikeproof-task`")]
pub struct RoleArnError;

impl FromStr for RoleArn {
    type Err = RoleArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match is_arn_of(text, "role/") {
            true => Ok(Self(text.to_owned())),
            false => Err(RoleArnError),
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks at the form `arn:PARTITION:iam::ACCOUNT:KIND/NAME`.
fn is_arn_of(text: &str, kind: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, iam, region, account, resource] = parts[..] else {
        return false;
    };
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = resource.strip_prefix(kind).unwrap_or_default();
    arn == "arn"
        && partition.starts_with("aws")
        && iam == "iam"
        && region.is_empty()
        && (digits || (account == "aws" && kind == "policy/"))
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Boundary {
    /// Returns the policy's ARN in the caller's account and partition.
    fn arn(&self, caller: &Caller) -> Option<String> {
        let partition = caller.arn.split(':').nth(1).unwrap_or("aws");
        let account = &caller.account;
        match self {
            Self::None => None,
            Self::Named(name) => Some(format!("arn:{partition}:iam::{account}:policy/{name}")),
            Self::Arn(arn) => Some(arn.clone()),
        }
    }
}

/// The variables of the module that are about roles.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RoleVariables {
    pub boundary: String,
    pub execution: String,
    pub task: String,
}

impl TaskRoles {
    pub(super) fn variables(&self, caller: &Caller) -> RoleVariables {
        match self {
            Self::Made(boundary) => RoleVariables {
                boundary: boundary.arn(caller).unwrap_or_default(),
                ..RoleVariables::default()
            },
            Self::Given { execution, task } => RoleVariables {
                execution: execution.to_string(),
                task: task.to_string(),
                ..RoleVariables::default()
            },
        }
    }

    /// Refuses a run whose roles could not be made, because the account has no such boundary. Where
    /// the caller may not ask, terraform will find out.
    pub(super) async fn check(&self, cloud: Option<&Cloud>) -> Result<(), RunError> {
        let (Self::Made(boundary), Some(cloud)) = (self, cloud) else {
            return Ok(());
        };
        let Some(arn) = boundary.arn(&cloud.caller) else {
            return Ok(());
        };
        let query = Query::new(&cloud.aws);
        let asked = query
            .action(Service::Iam, "GetPolicy", &[("PolicyArn", &arn)])
            .await;
        match asked {
            Err(error) if error.not_found() => Err(missing(&arn)),
            _ => Ok(()),
        }
    }
}

fn missing(arn: &str) -> RunError {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let what = format!("the account has no policy {arn}, which bounds the roles of a run");
    RunError::could_not(Phase::Plan, what)
        .hint(format!(
            "once: `spikeproof permissions boundary > boundary.json`, then `aws iam create-policy --policy-name {name} \
             --policy-document file://boundary.json`"
        ))
        .hint("or name another with `--permissions-boundary`, where `none` makes roles without one")
        .hint("or give ready roles with `--execution-role` and `--task-role`")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/ready/task";
    const POLICY: &str = "arn:aws:iam::123456789012:policy/team/boundary";

    fn caller(arn: &str) -> Caller {
        Caller {
            account: "123456789012".to_owned(),
            arn: arn.to_owned(),
            ahead: SignedDuration::ZERO,
        }
    }

    #[test]
    fn roles_and_boundaries_are_read_from_the_command_line() {
        for (text, expected) in [
            ("none", Ok(Boundary::None)),
            ("team", Ok(Boundary::Named("team".to_owned()))),
            (POLICY, Ok(Boundary::Arn(POLICY.to_owned()))),
            (
                "arn:aws:iam::aws:policy/PowerUserAccess",
                Ok(Boundary::Arn(
                    "arn:aws:iam::aws:policy/PowerUserAccess".to_owned(),
                )),
            ),
            (ROLE, Err(BoundaryError)),
            ("a policy", Err(BoundaryError)),
            ("", Err(BoundaryError)),
        ] {
            assert_eq!(text.parse::<Boundary>(), expected, "{text}");
        }
        for (text, fits) in [
            (ROLE, true),
            ("arn:aws-cn:iam::123456789012:role/r", true),
            ("arn:aws:iam::aws:role/r", false),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::123456789012:user/r", false),
            ("arn:aws:iam:eu-west-1:123456789012:role/r", false),
            ("spikeproof-task", false),
        ] {
            assert_eq!(text.parse::<RoleArn>().is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn the_module_gets_a_boundary_or_roles() {
        let user = caller("arn:aws-cn:iam::123456789012:user/ada");
        let boundary = |boundary: Boundary| TaskRoles::Made(boundary).variables(&user).boundary;
        assert_eq!(
            boundary(Boundary::default()),
            "arn:aws-cn:iam::123456789012:policy/spikeproof-boundary"
        );
        assert_eq!(boundary(Boundary::Arn(POLICY.to_owned())), POLICY);
        assert_eq!(boundary(Boundary::None), "");
        let given = TaskRoles::Given {
            execution: ROLE.parse().unwrap(),
            task: ROLE.parse().unwrap(),
        };
        let expected = RoleVariables {
            boundary: String::new(),
            execution: ROLE.to_owned(),
            task: ROLE.to_owned(),
        };
        assert_eq!(given.variables(&user), expected);
    }
}
