//! Where there is no timerfd: the same, with tokio's timers and their grain of a millisecond.

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
