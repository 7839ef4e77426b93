//! Reports on their way to the channel.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::RunningWorkers;
use super::{FLUSH_TRIES, GeneratorTask, PUT, every};
use cloud::channel::message::{Report, VERSION};
use model::measure::Interval;
use model::redact;

/// Interval at which the measurements are handed over.
const REPORT: Duration = Duration::from_secs(2);
/// Number of leases without a successful write after which the load ends. Its results would
/// otherwise be gathered without bound.
const UNHEARD: u32 = 2;

/// Hands over reports until the workers have ended: how many, and what went wrong with the workers.
pub(super) async fn deliver(
    task: &GeneratorTask,
    mut running: RunningWorkers,
) -> (u32, Option<String>) {
    let mut outbox = Outbox::new();
    let mut report = every(REPORT);
    loop {
        tokio::select! {
            seconds = running.next() => match seconds {
                Some(interval) => outbox.add(interval, running.before_second()),
                None => break,
            },
            _ = report.tick() => outbox.send(task).await,
        }
        if outbox.silence() > task.lease * UNHEARD {
            return (
                outbox.next_seq,
                Some(format!(
                    "the store took no report for {} s",
                    outbox.silence().as_secs()
                )),
            );
        }
    }
    outbox.seal();
    let mut pause = Duration::from_millis(200);
    for _ in 0..FLUSH_TRIES {
        outbox.send(task).await;
        if outbox.is_empty() {
            break;
        }
        sleep(pause).await;
        pause *= 2;
    }
    (
        outbox.next_seq + outbox.waiting.len() as u32,
        running.finish().err().map(|error| error.to_string()),
    )
}

/// Reports not yet written. One that fails stays, and the sequence has no gap.
struct Outbox {
    /// The instant when the store last took a report, or when there was none to take.
    heard: Instant,
    open: Interval,
    before_second: u32,
    waiting: VecDeque<Report>,
    next_seq: u32,
}

impl Outbox {
    fn new() -> Self {
        Self {
            heard: Instant::now(),
            open: Interval::default(),
            before_second: 0,
            waiting: VecDeque::new(),
            next_seq: 0,
        }
    }

    fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    fn add(&mut self, interval: Interval, before_second: u32) {
        self.open.extend(interval);
        self.before_second = before_second;
    }

    /// Numbers what has come since the last report.
    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let seq = self.next_seq + self.waiting.len() as u32;
        let interval = redacted(std::mem::take(&mut self.open));
        self.waiting.push_back(Report {
            version: VERSION,
            seq,
            before_second: self.before_second,
            interval,
        });
    }

    async fn send(&mut self, task: &GeneratorTask) {
        // While the store is away, what comes is gathered in one report: memory stays bounded by
        // the seconds.
        if self.waiting.is_empty() {
            self.seal();
        }
        while let Some(report) = self.waiting.front() {
            if !matches!(
                timeout(PUT, task.channel.put_report(task.slot, report)).await,
                Ok(Ok(()))
            ) {
                return;
            }
            self.next_seq += 1;
            self.waiting.pop_front();
        }
        self.heard = Instant::now();
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Redacts the two texts in an interval that come from the target or a library.
fn redacted(mut interval: Interval) -> Interval {
    interval
        .instances
        .iter_mut()
        .for_each(|cell| cell.instance = redact::text(&cell.instance));
    interval
        .reasons
        .iter_mut()
        .for_each(|(why, _)| *why = redact::text(why));
    for count in &mut interval.failures {
        if let Some(text) = count.failure.text_mut() {
            *text = redact::text(text);
        }
    }
    interval
}
