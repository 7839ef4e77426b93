//! The inbox: reads the reports of the tasks from the channel, and knows what is missing.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use crate::channel::Channel;
use crate::channel::message::{End, TaskEnd};
use crate::fleet::{TaskState, TaskStatus};
use crate::measure::{Interval, Results};
use crate::verdict::MissingPart;

/// However many tasks there are, a turn of the load loop must stay far below the lease.
const READ_AT_ONCE: usize = 32;

/// Everything that the tasks have reported so far.
#[derive(Default)]
pub(super) struct Inbox {
    pub results: Results,
    slots: BTreeMap<u32, SlotInbox>,
}

#[derive(Default)]
struct SlotInbox {
    /// The end message of another attempt is not this task's.
    attempt: u32,
    next_seq: u32,
    before_second: u32,
    end: Option<End>,
    lost: Option<String>,
}

impl Inbox {
    /// For these slots, each with the attempt that carries the load.
    pub(super) fn new(slots: &[u32], attempts: &BTreeMap<u32, u32>) -> Self {
        let slot = |number: &u32| SlotInbox {
            attempt: attempts.get(number).copied().unwrap_or(1),
            ..SlotInbox::default()
        };
        Self {
            results: Results::default(),
            slots: slots.iter().map(|number| (*number, slot(number))).collect(),
        }
    }

    /// Reads everything new. The sequence numbers make sure that the next call repeats a failed
    /// read.
    pub(super) async fn read(&mut self, channel: &Channel) {
        let mut reads: Vec<BoxFuture<(u32, Vec<Interval>)>> = Vec::new();
        for (number, slot) in &mut self.slots {
            reads.push(Box::pin(async move {
                (*number, slot.read(*number, channel).await)
            }));
        }
        let mut arrived = futures_util::stream::iter(reads).buffer_unordered(READ_AT_ONCE);
        while let Some((task, intervals)) = arrived.next().await {
            for interval in &intervals {
                self.results.add(task, interval);
            }
        }
    }

    /// Every task has ended and reported everything, or is lost.
    pub(super) fn is_settled(&self) -> bool {
        self.slots
            .values()
            .all(|slot| slot.lost.is_some() || slot.is_complete())
    }

    /// The tasks whose every report is here.
    pub(super) fn complete_tasks(&self) -> u32 {
        self.slots
            .values()
            .filter(|slot| slot.is_complete())
            .count() as u32
    }

    /// The missing reports. A stopped task has reported everything only if this run stopped it.
    pub(super) fn missing(&self, stopped_by_us: bool) -> Vec<MissingPart> {
        let missing = |(task, slot): (&u32, &SlotInbox)| slot.missing(*task, stopped_by_us);
        self.slots.iter().filter_map(missing).collect()
    }

    /// Counts a task as lost if it has stopped without an end message. Returns why it has stopped.
    pub(super) fn mark_lost(&mut self, task: TaskState) -> Option<String> {
        let TaskStatus::Stopped { why, .. } = task.status else {
            return None;
        };
        let slot = self.slots.get_mut(&task.slot)?;
        if slot.end.is_some() || slot.lost.is_some() {
            return None;
        }
        slot.lost = Some(why.clone());
        Some(why)
    }

    /// Every task that is not lost has reported all seconds before this one.
    pub(super) fn settled_seconds(&self) -> u32 {
        let alive = self.slots.values().filter(|slot| slot.lost.is_none());
        alive.map(|slot| slot.before_second).min().unwrap_or(0)
    }
}

impl SlotInbox {
    fn missing(&self, task: u32, stopped_by_us: bool) -> Option<MissingPart> {
        let Some(end) = &self.end else {
            let why = self.lost.clone();
            return Some(MissingPart::End { task, why });
        };
        if self.next_seq < end.intervals {
            return Some(MissingPart::Intervals {
                task,
                first: self.next_seq,
                last: end.intervals - 1,
            });
        }
        match &end.why {
            TaskEnd::Complete => None,
            TaskEnd::Stopped | TaskEnd::Terminated if stopped_by_us => None,
            why => Some(MissingPart::Rest {
                task,
                end: format!("{why:?}"),
            }),
        }
    }

    async fn read(&mut self, number: u32, channel: &Channel) -> Vec<Interval> {
        let mut intervals = Vec::new();
        while let Ok(Some(report)) = channel.report(number, self.next_seq).await {
            self.next_seq += 1;
            self.before_second = report.before_second;
            intervals.push(report.interval);
        }
        if self.end.is_none() {
            let end = channel.end(number).await.ok().flatten();
            self.end = end.filter(|end| end.attempt == self.attempt);
        }
        intervals
    }

    fn is_complete(&self) -> bool {
        self.end
            .as_ref()
            .is_some_and(|end| self.next_seq >= end.intervals)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::channel::message::VERSION;

    fn end(intervals: u32, why: TaskEnd) -> Option<End> {
        Some(End {
            version: VERSION,
            slot: 0,
            attempt: 1,
            why,
            intervals,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn inbox(slots: Vec<SlotInbox>) -> Inbox {
        Inbox {
            results: Results::default(),
            slots: (0..).zip(slots).collect(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let inbox = inbox(vec![
            SlotInbox {
                next_seq: 3,
                end: end(3, TaskEnd::Complete),
                ..SlotInbox::default()
            },
            SlotInbox {
                next_seq: 1,
                end: end(3, TaskEnd::Complete),
                ..SlotInbox::default()
            },
            SlotInbox {
                lost: Some("exit code 137".to_owned()),
                ..SlotInbox::default()
            },
            SlotInbox::default(),
            SlotInbox {
                end: end(0, TaskEnd::LeaseLapsed),
                ..SlotInbox::default()
            },
            SlotInbox {
                end: end(0, TaskEnd::Terminated),
                ..SlotInbox::default()
            },
        ]);
        assert!(!inbox.is_settled());
        assert_eq!(inbox.complete_tasks(), 3);
        let (ours, theirs) = (inbox.missing(true), inbox.missing(false));
        assert_eq!(
            theirs[ours.len()..],
            [MissingPart::Rest {
                task: 5,
                end: "Terminated".to_owned()
            }],
            "Spot took it, or a reaper"
        );
        assert_eq!(
            inbox.missing(true),
            [
                MissingPart::Intervals {
                    task: 1,
                    first: 1,
                    last: 2
                },
                MissingPart::End {
                    task: 2,
                    why: Some("exit code 137".to_owned())
                },
                MissingPart::End { task: 3, why: None },
                MissingPart::Rest {
                    task: 4,
                    end: "LeaseLapsed".to_owned()
                }
            ]
        );
    }
}
