//! Failpoints, in debug builds only: a phase that fails, panics, or holds until a signal arrives.
//!
//! `SPIKEPROOF_FAILPOINT=error:load`, `panic:judge`, or `hold:collect:FILE`: the file appears when
//! the phase begins, and the phase goes on when the file is gone or the run is interrupted.
//! Failures from outside (signals, kills, a full disk, an AWS that fails) need no failpoint.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::{Context, RunError};
use crate::events::Phase;

const POLL: Duration = Duration::from_millis(20);

/// Fails as the environment asks for this phase.
pub(super) async fn trigger(cx: &Context, phase: Phase) -> Result<(), RunError> {
    let failpoint = std::env::var("SPIKEPROOF_FAILPOINT").unwrap_or_default();
    let mut parts = failpoint.splitn(3, ':');
    let (action, at, file) = (parts.next(), parts.next(), parts.next());
    if at != Some(phase.word()) {
        return Ok(());
    }
    match (action, file) {
        (Some("error"), _) => Err(RunError::could_not(phase, "a failpoint")),
        #[allow(clippy::panic, reason = "the failpoint asks for it")]
        (Some("panic"), _) => panic!("a failpoint"),
        (Some("hold"), Some(file)) => {
            hold(cx, Path::new(file)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn hold(cx: &Context, file: &Path) {
    drop(std::fs::write(file, ""));
    while file.exists() && !cx.interrupt.stop_load().is_cancelled() {
        sleep(POLL).await;
    }
}
