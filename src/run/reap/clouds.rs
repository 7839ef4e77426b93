//! The reaper's AWS.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::could_not;
use crate::aws::trouble::Trouble;
use crate::aws::{Aws, Caller};
use crate::events::Events;
use crate::run::RunError;
use crate::run::plan::Cloud;

/// An outage that a reaper waits for before it says that something is left.
const UNREACHED: Duration = Duration::from_secs(10 * 60);

/// The caller's AWS, asked once and only if there is something to do.
#[derive(Default)]
pub(super) struct Clouds {
    known: Option<Cloud>,
}

impl Clouds {
    #[cfg(test)]
    pub(super) fn knowing(cloud: Cloud) -> Self {
        Self { known: Some(cloud) }
    }

    /// Tries again while AWS cannot be reached: not knowing who we are must not end a destroy.
    pub(super) async fn get(&mut self, events: &Events) -> Result<Cloud, RunError> {
        if let Some(cloud) = &self.known {
            return Ok(cloud.clone());
        }
        let until = Instant::now() + UNREACHED;
        let mut attempts = 0;
        let (aws, caller) = loop {
            let error = match find_aws().await {
                Ok(found) => break found,
                Err(error) => error,
            };
            let trouble = Trouble::of(&error.to_string());
            if !trouble.passes() || Instant::now() >= until {
                return Err(error);
            }
            events.note(format!("{error}; trying again"));
            sleep(trouble.pause(attempts)).await;
            attempts += 1;
        };
        // Looked for when it is needed: one that hangs must not hold up what stops the spending.
        let cloud = Cloud {
            aws,
            caller,
            terraform: None,
        };
        self.known = Some(cloud.clone());
        Ok(cloud)
    }
}

async fn find_aws() -> Result<(Aws, Caller), RunError> {
    let aws = Aws::from_environment().await.map_err(could_not)?;
    let caller = aws.caller().await.map_err(could_not)?;
    Ok((aws, caller))
}
