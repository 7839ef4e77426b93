//! `control.json`: the proof that the orchestrator lives, the start instant, and the stop order.
//!
//! The beat comes from the phases' own loops: a detached timer would keep the load of a hung run
//! alive. It is written on condition that nobody else has written: an orchestrator that wakes up
//! after a reaper took its run over finds out here, and creates nothing more.

use std::time::Duration;

use object_store::UpdateVersion;
use tokio::time::Instant;

use crate::channel::message::{Control, Secrets, Start, Stop, VERSION};
use crate::channel::{BEAT, Channel, ChannelError};
use crate::redact;

#[derive(Debug)]
pub struct Beacon {
    channel: Channel,
    control: Control,
    /// What is in the store, as far as we know.
    known: Option<UpdateVersion>,
    written: Option<Instant>,
    /// The stop order is in the store.
    stopped: bool,
    /// `secrets.json` may be there.
    secrets: bool,
}

impl Beacon {
    pub fn new(channel: Channel, epoch: u64) -> Self {
        let control = Control {
            version: VERSION,
            epoch,
            beat: 0,
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

    /// Writes if it is time to. A beat that cannot be written is tried again at the next call;
    /// tasks outlive a few.
    pub async fn beat(&mut self) -> Result<(), ChannelError> {
        if self.written.is_some_and(|written| written.elapsed() < BEAT) {
            return Ok(());
        }
        self.write().await
    }

    /// Since the store last took a beat: after the lease there is no load any more.
    pub fn silence(&self) -> Duration {
        self.written
            .map_or(Duration::ZERO, |written| written.elapsed())
    }

    pub async fn start(&mut self, start: Start) -> Result<(), ChannelError> {
        self.control.start = Some(start);
        self.write().await
    }

    /// Reaches every task whatever their number, within their next poll.
    pub async fn stop(&mut self, why: &str) -> Result<(), ChannelError> {
        self.control.stop.get_or_insert_with(|| Stop {
            why: redact::text(why),
        });
        self.write().await
    }

    /// For tasks to read when they boot.
    pub async fn put_secrets(&mut self, secrets: &redact::Secrets) -> Result<(), ChannelError> {
        if secrets.is_empty() {
            return Ok(());
        }
        self.secrets = true;
        self.channel
            .put_secrets(&Secrets {
                version: VERSION,
                secrets: secrets.clone(),
            })
            .await
    }

    /// To be called again when it failed; nothing to do where there are none.
    pub async fn drop_secrets(&mut self) -> Result<(), ChannelError> {
        if self.secrets {
            self.channel.drop_secrets().await?;
            self.secrets = false;
        }
        Ok(())
    }

    /// Nothing more is to be written: an order that the store did not take is given again.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    async fn write(&mut self) -> Result<(), ChannelError> {
        self.control.beat += 1;
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
