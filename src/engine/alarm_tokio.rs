//! The wake timer on systems without timerfd: tokio's timers, with their resolution of a
//! millisecond.

use std::future::pending;

use tokio::time::Instant;

#[derive(Debug)]
pub struct WakeTimer;

impl WakeTimer {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub async fn ring(&self) -> std::io::Result<()> {
        pending().await
    }

    pub async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep_until(at).await;
    }
}
