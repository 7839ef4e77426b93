//! What ends a run by itself: `--max-duration`, and the money it may cost. The time counts from the
//! first thing made to the end of the recovery; what follows is destroy, and nothing holds that up.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::frame::Frame;
use super::interrupt::Interrupt;
use crate::cost;
use crate::events::Phase;
use crate::limits::{self, Spent};

/// From the stop order to the last second that is billed: the flush of what was measured, and the
/// half a minute that StopTask may take.
const STOPPING: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Bounds {
    most: limits::Bounds,
    begun: Instant,
    stop: CancellationToken,
}

impl Bounds {
    /// From now on.
    pub fn begin(most: limits::Bounds, interrupt: &Interrupt) -> Self {
        Self {
            most,
            begun: Instant::now(),
            stop: interrupt.stop_load().child_token(),
        }
    }

    /// Cancelled by any signal, and when the time is over.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Keeps the time as long as `owner` lives.
    pub fn keep(&self, owner: &mut JoinSet<()>) {
        let Some(most) = self.most.max_duration else {
            return;
        };
        let (end, stop) = (
            self.begun + most.saturating_sub(self.most.before.took),
            self.stop.clone(),
        );
        owner.spawn(async move {
            sleep_until(end).await;
            stop.cancel();
        });
    }

    /// Why the run must stop now, if it must.
    pub async fn reached(&self, frame: &Frame) -> Option<String> {
        let about = &frame.about;
        let spent = frame.cost().await.map(|cost| Spent {
            so_far: cost.usd,
            // Of replaced tasks the first has stopped: so many as there are slots are alive at
            // most.
            stopping: cost::of_tasks(
                about.size,
                about.arch,
                &vec![STOPPING; cost.tasks.min(about.tasks) as usize],
            )
            .usd,
        });
        self.most.reached(self.begun.elapsed(), spent)
    }

    /// The same without the money: tasks that have stopped cost nothing more.
    pub fn out_of_time(&self) -> Option<String> {
        self.most.reached(self.begun.elapsed(), None)
    }

    /// As the end of a phase that has nothing to judge yet.
    pub async fn hold(&self, frame: &Frame, phase: Phase) -> Result<(), RunError> {
        match self.reached(frame).await {
            None => Ok(()),
            Some(why) => Err(RunError::could_not(
                phase,
                format!("{why}, before there was any load"),
            )
            .hint("a larger `--max-duration`, or `budget`")),
        }
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
        let most = limits::Bounds {
            max_duration: Some(60 * second),
            before,
            ..limits::Bounds::default()
        };
        let bounds = Bounds::begin(most, &Interrupt::quiet());
        let (mut clock, begun) = (JoinSet::new(), Instant::now());
        bounds.keep(&mut clock);
        bounds.stop().cancelled().await;
        assert_eq!(begun.elapsed().as_secs(), 20);
        assert!(bounds.out_of_time().is_some());
    }
}
