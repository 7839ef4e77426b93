//! The writer of `control.json`: heartbeat, start instant and stop order; and of the secrets.
//!
//! The loops of the phases send the heartbeat themselves: a detached timer would keep the load of a
//! hung run alive. Each write is conditional on the previous one: an orchestrator that wakes up
//! after a reaper took its run over finds out here, and creates nothing more.

use std::time::Duration;

use object_store::UpdateVersion;
use tokio::time::Instant;

use super::RunError;
use crate::channel::message::{Control, SecretsMessage, Start, Stop, VERSION};
use crate::channel::{Channel, ChannelError, HEARTBEAT_INTERVAL};
use crate::events::Phase;
use crate::redact;

/// Writes the orchestrator's side of the channel, as the owner of one epoch.
#[derive(Debug)]
pub(super) struct ControlWriter {
    channel: Channel,
    control: Control,
    /// The version in the store, as far as we know.
    known: Option<UpdateVersion>,
    written: Option<Instant>,
    /// The stop order is in the store.
    stopped: bool,
    /// `secrets.json` may be there.
    secrets: bool,
}

impl ControlWriter {
    pub(super) fn new(channel: Channel, epoch: u64) -> Self {
        let control = Control {
            version: VERSION,
            epoch,
            heartbeat: 0,
            start: None,
            stop: None,
        };
        Self {
            channel,
            control,
            known: None,
            written: None,
            stopped: false,
            secrets: false,
        }
    }

    /// Sends a heartbeat if one is due. The next call retries one that could not be written; the
    /// lease of the tasks outlives a few.
    pub(super) async fn send_heartbeat(&mut self) -> Result<(), ChannelError> {
        if self
            .written
            .is_some_and(|written| written.elapsed() < HEARTBEAT_INTERVAL)
        {
            return Ok(());
        }
        self.write().await
    }

    /// Since the store last accepted a heartbeat: after the lease there is no load any more.
    pub(super) fn silence(&self) -> Duration {
        self.written
            .map_or(Duration::ZERO, |written| written.elapsed())
    }

    /// Writes the start order: when the load begins, and which slots carry it.
    pub(super) async fn send_start_order(&mut self, start: Start) -> Result<(), ChannelError> {
        self.control.start = Some(start);
        self.write().await
    }

    /// Writes the stop order, which reaches every task within its next poll. Every later heartbeat
    /// repeats it.
    pub(super) async fn send_stop_order(&mut self, why: &str) -> Result<(), ChannelError> {
        self.control.stop.get_or_insert_with(|| Stop {
            why: redact::text(why),
        });
        self.write().await
    }

    /// Tasks read them when they boot.
    pub(super) async fn put_secrets(
        &mut self,
        secrets: &redact::Secrets,
    ) -> Result<(), ChannelError> {
        if secrets.is_empty() {
            return Ok(());
        }
        self.secrets = true;
        self.channel
            .put_secrets(&SecretsMessage {
                version: VERSION,
                secrets: secrets.clone(),
            })
            .await
    }

    /// The caller repeats it after a failure. Does nothing if there are no secrets.
    pub(super) async fn delete_secrets(&mut self) -> Result<(), ChannelError> {
        if self.secrets {
            self.channel.delete_secrets().await?;
            self.secrets = false;
        }
        Ok(())
    }

    /// True once the store has accepted the stop order.
    pub(super) fn stop_order_is_sent(&self) -> bool {
        self.stopped
    }

    async fn write(&mut self) -> Result<(), ChannelError> {
        self.control.heartbeat += 1;
        self.known = Some(
            self.channel
                .put_control(&self.control, self.known.as_ref())
                .await?,
        );
        self.written = Some(Instant::now());
        self.stopped = self.control.stop.is_some();
        Ok(())
    }
}

/// The error that ends a phase: another process drives this run now. Any other failure is
/// temporary, and the next heartbeat tries again.
pub(super) fn check_not_fenced(
    sent: Result<(), ChannelError>,
    phase: Phase,
) -> Result<(), RunError> {
    match sent {
        Err(error @ ChannelError::Fenced) => Err(RunError::caused_by(phase, error)),
        _ => Ok(()),
    }
}
