//! Stop conditions: a signal, `--max-duration`, and the cost that the run may cause. The time
//! counts from the opening of the run's folder to the end of the recovery. Destroy follows, and no
//! condition delays it.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupt;
use crate::limits::{ReachedLimit, RunLimits, Spent};

/// From the stop order to the last billed second: the flush of the results, and the half minute
/// that StopTask may take.
pub(super) const STOPPING: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub(super) struct StopConditions {
    limits: RunLimits,
    begun: Instant,
    stop: CancellationToken,
}

impl StopConditions {
    /// The time counts from now.
    pub(super) fn begin(limits: RunLimits, interrupt: &Interrupt) -> Self {
        Self {
            limits,
            begun: Instant::now(),
            stop: interrupt.stop_load().child_token(),
        }
    }

    /// Cancelled by any signal, and at the end of `--max-duration`.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Cancels the token at the end of `--max-duration`, as long as `owner` lives.
    pub(super) fn keep_time(&self, owner: &mut JoinSet<()>) {
        let Some(max_duration) = self.limits.max_duration else {
            return;
        };
        let end = self.begun + max_duration.saturating_sub(self.limits.before.took);
        let stop = self.stop.clone();
        owner.spawn(async move {
            sleep_until(end).await;
            stop.cancel();
        });
    }

    /// The limit that is reached now. Without `spent` only the time is checked.
    pub(super) fn reached(&self, spent: Option<Spent>) -> Option<ReachedLimit> {
        self.limits.reached(self.begun.elapsed(), spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Before;

    #[tokio::test(start_paused = true)]
    async fn time_that_earlier_repetitions_took_is_not_there_any_more() {
        let second = Duration::from_secs(1);
        let before = Before {
            took: 40 * second,
            ..Before::default()
        };
        let limits = RunLimits {
            max_duration: Some(60 * second),
            before,
            ..RunLimits::default()
        };
        let conditions = StopConditions::begin(limits, &Interrupt::quiet());
        let (mut clock, begun) = (JoinSet::new(), Instant::now());
        conditions.keep_time(&mut clock);
        conditions.token().cancelled().await;
        assert_eq!(begun.elapsed().as_secs(), 20);
        assert!(conditions.reached(None).is_some());
    }
}
