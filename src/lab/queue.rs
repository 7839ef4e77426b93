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
    /// Spans in which workers were or will be busy, unless a period has settled them.
    busy: Vec<(Duration, Duration)>,
}

impl Queue {
    pub fn new(workers: u32, service_time: Duration, limit: Duration) -> Self {
        Self {
            service_time,
            limit,
            free: vec![Duration::ZERO; workers as usize],
            busy: Vec::new(),
        }
    }

    /// Takes a request in and says when it is answered; `None` if it would wait longer than the
    /// limit.
    pub fn offer(&mut self, now: Duration) -> Option<Duration> {
        let worker = self.free.iter_mut().min()?;
        let start = (*worker).max(now);
        if start - now > self.limit {
            return None;
        }
        *worker = start + self.service_time;
        self.busy.push((start, *worker));
        Some(*worker)
    }

    /// Returns the share of `[from, to)` in which workers were busy, 0 to 1; forgets what ended
    /// before `to`.
    pub fn settle(&mut self, from: Duration, to: Duration) -> f64 {
        let busy: Duration = self
            .busy
            .iter()
            .map(|&(start, end)| end.min(to).saturating_sub(start.max(from)))
            .sum();
        self.busy.retain(|&(_, end)| end > to);
        let whole = to.saturating_sub(from) * self.free.len() as u32;
        if whole.is_zero() {
            0.0
        } else {
            busy.div_duration_f64(whole)
        }
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
        let done: Vec<_> = (0..5).map(|_| queue.offer(ms(0))).collect();
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
        assert_eq!(queue.offer(ms(60)), Some(ms(300)));
    }

    #[test]
    fn busy_time_is_split_between_periods() {
        let mut queue = Queue::new(2, ms(100), ms(1_000));
        for at in [50, 50, 60] {
            queue.offer(ms(at));
        }
        // Busy: 50-150, 50-150, 150-250.
        assert_eq!(queue.settle(ms(0), ms(100)), 0.5);
        assert_eq!(queue.settle(ms(100), ms(200)), 0.75);
        assert_eq!(queue.settle(ms(200), ms(300)), 0.25);
        assert_eq!(queue.settle(ms(300), ms(400)), 0.0);
    }
}
