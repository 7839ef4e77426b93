//! The stop order of an interrupted run: the first reaction to a signal, whatever phase is active.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Context;
use super::state::RunState;
use crate::channel::ChannelError;

/// The store may hang, and tasks that cost money must not wait for it.
pub(super) const STOP_ORDER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to write the order.
const RETRY: Duration = Duration::from_millis(500);

/// On any signal, sends the order until the store accepts it.
pub(super) fn send_on_signal(cx: &Context, state: &Arc<RunState>) -> JoinSet<()> {
    let mut sender = JoinSet::new();
    let (signalled, state) = (cx.interrupt.stop_load().clone(), state.clone());
    sender.spawn(async move {
        signalled.cancelled().await;
        // Fenced: the process that took the run over has written its own order.
        while !matches!(
            state.send_stop_order("interrupted").await,
            Ok(()) | Err(ChannelError::Fenced)
        ) {
            sleep(RETRY).await;
        }
    });
    sender
}

/// Even on a third signal, waits until the order is written, for a limited time.
pub(super) async fn wait_until_sent(cx: &Context, sender: &mut JoinSet<()>) {
    if cx.interrupt.stop_load().is_cancelled() {
        drop(timeout(STOP_ORDER_TIMEOUT, sender.join_next()).await);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};

    use super::*;
    use crate::channel::Channel;
    use crate::fleet::Orders;
    use crate::fleet::local::LocalFleet;
    use crate::run::example;
    use crate::run::interrupt::Urgency;

    /// Leaves a run whose store takes this long for each write. Returns whether the order was
    /// written, and how long leaving took.
    async fn leave(write_takes: Duration) -> (bool, Duration) {
        let home = tempfile::tempdir().unwrap();
        let (cx, state) = example::begun(home.path());
        let slow = ThrottleConfig {
            wait_put_per_call: write_takes,
            ..ThrottleConfig::default()
        };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
        let channel = Channel::new(store, Path::from("run"));
        let orders = Orders {
            run: state.plan.run.to_string(),
            epoch: 1,
            max_lifetime: Duration::ZERO,
        };
        let fleet = LocalFleet::new(PathBuf::new(), String::new(), PathBuf::new(), orders);
        state.attach(Box::new(fleet), channel.clone(), 1).await;
        let mut sender = send_on_signal(&cx, &state);
        cx.interrupt.raise(Urgency::Leave);
        let begun = tokio::time::Instant::now();
        wait_until_sent(&cx, &mut sender).await;
        (
            channel
                .control()
                .await
                .is_ok_and(|control| control.stop.is_some()),
            begun.elapsed(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_waits_for_the_stop_order_but_not_for_a_store_that_hangs() {
        assert_eq!(
            leave(Duration::from_secs(3)).await,
            (true, Duration::from_secs(3))
        );
        assert_eq!(
            leave(Duration::from_mins(1)).await,
            (false, STOP_ORDER_TIMEOUT)
        );
    }
}
