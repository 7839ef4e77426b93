//! Takes a run away from its orchestrator.

use std::time::Duration;

use tokio::time::timeout;

use crate::Teardown;
use cloud::channel::message::{Control, Stop, VERSION};
use cloud::channel::{self, Channel, ChannelError};
use provision::journal::names::ResourceNames;

/// The stop order; tasks end by their lease without it.
const FENCE: Duration = Duration::from_secs(6);

/// Stops every task, and takes the run away from an orchestrator that may wake up: its next
/// heartbeat is refused, and it creates nothing more.
pub(crate) async fn fence(teardown: &Teardown<'_>) {
    let location = format!("s3://{}/run", ResourceNames::of(teardown.run).bucket);
    let Ok(channel) = channel::open(&location, Some(&teardown.aws.aws)) else {
        return;
    };
    match timeout(FENCE, write_fence(&channel)).await {
        Ok(Ok(())) => teardown
            .events
            .note(format!("{}: the stop order is written", teardown.run)),
        // No bucket any more, or none yet.
        Ok(Err(ChannelError::Store(object_store::Error::NotFound { .. }))) => {}
        Ok(Err(error)) => teardown
            .events
            .note(format!("no stop order ({error}): tasks end by their lease")),
        Err(_) => teardown
            .events
            .note("no stop order (the store hangs): tasks end by their lease"),
    }
}

async fn write_fence(channel: &Channel) -> Result<(), ChannelError> {
    // Secrets are the first to go.
    drop(channel.delete_secrets().await);
    // An orchestrator that writes a heartbeat just now makes the condition fail: then once more over
    // it.
    for _ in 0..5 {
        let (known, version) = match channel.control_and_version().await {
            Ok((control, version)) => (Some(control), Some(version)),
            Err(ChannelError::Store(object_store::Error::NotFound { .. })) => (None, None),
            Err(error) => return Err(error),
        };
        let epoch = known.as_ref().map_or(2, |control| control.epoch + 1);
        let heartbeat = known.as_ref().map_or(1, |control| control.heartbeat + 1);
        let stop = Some(Stop {
            why: "reaped".to_owned(),
        });
        let control = Control {
            version: VERSION,
            epoch,
            heartbeat,
            start: None,
            stop,
        };
        match channel.put_control(&control, version.as_ref()).await {
            Err(ChannelError::Fenced) => {}
            written => return written.map(|_| ()),
        }
    }
    Err(ChannelError::Fenced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fence_stops_the_tasks_and_refuses_the_orchestrators_next_heartbeat() {
        let store = std::sync::Arc::new(object_store::memory::InMemory::new());
        let channel = Channel::new(store, object_store::path::Path::from("run"));
        let control = |heartbeat| Control {
            version: VERSION,
            epoch: 1,
            heartbeat,
            start: None,
            stop: None,
        };
        let known = channel.put_control(&control(1), None).await.unwrap();
        write_fence(&channel).await.unwrap();
        let seen = channel.control().await.unwrap();
        assert_eq!((seen.epoch, seen.stop.is_some()), (2, true));
        let refused = channel.put_control(&control(2), Some(&known)).await;
        assert!(matches!(refused, Err(ChannelError::Fenced)), "{refused:?}");
        // Two reapers do no harm.
        write_fence(&channel).await.unwrap();
    }
}
