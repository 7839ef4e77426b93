//! Mishaps on cue, in debug builds only: a phase that fails, panics, or holds still until a signal
//! has been sent.
//!
//! `SPIKEPROOF_MISHAP=error:load`, `panic:judge`, or `hold:collect:FILE`: the file appears when the
//! phase has begun, and the phase goes on when it is gone, or when it is interrupted. What comes
//! from outside (signals, kills, a full disk, an AWS that fails) needs no cue.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::{Context, RunError};
use crate::events::Phase;

const LOOK: Duration = Duration::from_millis(20);

pub async fn meet(cx: &Context, phase: Phase) -> Result<(), RunError> {
    let cue = std::env::var("SPIKEPROOF_MISHAP").unwrap_or_default();
    let mut parts = cue.splitn(3, ':');
    let (kind, of, file) = (parts.next(), parts.next(), parts.next());
    if of != Some(phase.word()) {
        return Ok(());
    }
    match (kind, file) {
        (Some("error"), _) => Err(RunError::could_not(phase, "a mishap on cue")),
        #[allow(clippy::panic, reason = "that is the mishap")]
        (Some("panic"), _) => panic!("a mishap on cue"),
        (Some("hold"), Some(file)) => {
            hold(cx, Path::new(file)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn hold(cx: &Context, file: &Path) {
    let _ = std::fs::write(file, "");
    while file.exists() && !cx.interrupt.stop_load().is_cancelled() {
        sleep(LOOK).await;
    }
}
