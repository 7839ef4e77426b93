//! The reaper's AWS account, found once.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use cloud::aws::{AwsError, Cloud};
use model::events::Events;

/// How long a reaper waits for an outage to end before it says that something is left.
const UNREACHED: Duration = Duration::from_mins(10);

/// The caller's AWS, asked once and only if there is something to do.
#[derive(Default)]
pub(crate) struct Clouds {
    known: Option<Cloud>,
}

impl Clouds {
    #[cfg(test)]
    pub(super) fn knowing(cloud: Cloud) -> Self {
        Self { known: Some(cloud) }
    }

    /// Tries again while AWS cannot be reached: not knowing who we are must not end a destroy.
    pub(crate) async fn get(&mut self, events: &Events) -> Result<Cloud, AwsError> {
        if let Some(cloud) = &self.known {
            return Ok(cloud.clone());
        }
        let until = Instant::now() + UNREACHED;
        let mut attempts = 0;
        let cloud = loop {
            let error = match Cloud::find().await {
                Ok(found) => break found,
                Err(error) => error,
            };
            let failure = error.failure();
            if !failure.passes() || Instant::now() >= until {
                return Err(error);
            }
            events.note(format!("{error}; trying again"));
            sleep(failure.pause(attempts)).await;
            attempts += 1;
        };
        self.known = Some(cloud.clone());
        Ok(cloud)
    }
}
