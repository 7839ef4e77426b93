//! The access keys that a lab hands out: one for the operator, and one for the tasks. Each lab draws
//! its own.

use std::io;

use super::secret::Secret;

/// Those whom the lab knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// The orchestrator, its terraform, and whoever else has the environment of the command.
    Operator,
    /// The tasks.
    Tasks,
}

impl Principal {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Tasks => "tasks",
        }
    }
}

/// The credentials of a principal.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
    /// The session token; tasks have one, as in AWS.
    pub token: Option<Secret>,
}

impl AccessKey {
    fn draw(token: Option<Secret>) -> io::Result<Self> {
        // 20 capitals and digits, like AWS's own ids.
        let random = Secret::draw()?.text()[..17].to_uppercase();
        Ok(Self {
            id: format!("LAB{random}"),
            secret: Secret::draw()?,
            token,
        })
    }
}

/// The keys of one lab.
#[derive(Debug)]
pub(crate) struct Keys {
    operator: AccessKey,
    tasks: AccessKey,
}

impl Keys {
    pub(crate) fn draw() -> io::Result<Self> {
        Ok(Self {
            operator: AccessKey::draw(None)?,
            tasks: AccessKey::draw(Some(Secret::draw()?))?,
        })
    }

    pub(crate) fn of(&self, principal: Principal) -> &AccessKey {
        match principal {
            Principal::Operator => &self.operator,
            Principal::Tasks => &self.tasks,
        }
    }

    /// Returns the owner of an access key id.
    pub(crate) fn owner(&self, id: &str) -> Option<Principal> {
        [Principal::Operator, Principal::Tasks]
            .into_iter()
            .find(|principal| self.of(*principal).id == id)
    }
}
