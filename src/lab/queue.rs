//! One instance of the target as a queue, with a number of workers, a time per request and a
//! longest wait.
//!
//! Pure: instants are durations since any epoch, and nothing sleeps here.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Queue {
    service_time: Duration,
    limit: Duration,
    /// The instant at which each worker is free.
    free: Vec<Duration>,
    busy: Busy,
}

/// Spans in which workers were or will be busy, unless a period has settled them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Vec<(Duration, Duration)>);

impl Busy {
    /// Notes that one worker is busy in `[start, end)`.
    pub(crate) fn add(&mut self, start: Duration, end: Duration) {
        self.0.push((start, end));
    }

    /// Returns the share of `[from, to)` in which so many workers were busy, 0 to 1; forgets what
    /// ended before `to`.
    pub(crate) fn settle(&mut self, from: Duration, to: Duration, workers: u32) -> f64 {
        let busy: Duration = self
            .0
            .iter()
            .map(|&(start, end)| end.min(to).saturating_sub(start.max(from)))
            .sum();
        self.0.retain(|&(_, end)| end > to);
        let whole = to.saturating_sub(from) * workers;
        if whole.is_zero() {
            0.0
        } else {
            busy.div_duration_f64(whole)
        }
    }
}

impl Queue {
    pub fn new(workers: u32, service_time: Duration, limit: Duration) -> Self {
        Self {
            service_time,
            limit,
            free: vec![Duration::ZERO; workers as usize],
            busy: Busy::default(),
        }
    }

    /// Takes in a request that costs so many service times, and says when it is answered; `None` if
    /// it would wait longer than the limit.
    pub fn offer(&mut self, now: Duration, times: u32) -> Option<Duration> {
        let worker = self.free.iter_mut().min()?;
        let start = (*worker).max(now);
        if start - now > self.limit {
            return None;
        }
        *worker = start + self.service_time * times;
        self.busy.add(start, *worker);
        Some(*worker)
    }

    /// Returns the share of `[from, to)` in which workers were busy, 0 to 1; forgets what ended
    /// before `to`.
    pub fn settle(&mut self, from: Duration, to: Duration) -> f64 {
        self.busy.settle(from, to, self.free.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn requests_wait_for_the_worker_that_is_free_first() {
        let mut queue = Queue::new(2, ms(100), ms(150));
        let done: Vec<_> = (0..5).map(|_| queue.offer(ms(0), 1)).collect();
        // The fifth would wait 200 ms.
        assert_eq!(
            done,
            [
                Some(ms(100)),
                Some(ms(100)),
                Some(ms(200)),
                Some(ms(200)),
                None
            ]
        );
        assert_eq!(queue.offer(ms(60), 1), Some(ms(300)));
        assert_eq!(queue.offer(ms(90), 8), Some(ms(1_000)));
    }

    #[test]
    fn busy_time_is_split_between_periods() {
        let mut queue = Queue::new(2, ms(100), ms(1_000));
        for at in [50, 50, 60] {
            queue.offer(ms(at), 1);
        }
        // Busy: 50-150, 50-150, 150-250.
        assert_eq!(queue.settle(ms(0), ms(100)), 0.5);
        assert_eq!(queue.settle(ms(100), ms(200)), 0.75);
        assert_eq!(queue.settle(ms(200), ms(300)), 0.25);
        assert_eq!(queue.settle(ms(300), ms(400)), 0.0);
    }
}
