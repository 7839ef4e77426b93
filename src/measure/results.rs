//! Everything the tasks measured, merged: what progress, thresholds and reports are computed from.

use std::collections::BTreeMap;

use super::{Interval, Key, Latency, Strain, Tally};

/// Merged cells by (second, key). Adding an interval twice counts it twice: the channel's sequence numbers prevent it.
#[derive(Debug, Clone, Default)]
pub struct Results {
    cells: BTreeMap<(u32, Key), Merged>,
    strain: BTreeMap<u32, Strain>,
}

/// Requests of one selection, as one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    pub tally: Tally,
    pub latency: Latency,
    pub service: Latency,
}

impl Merged {
    pub fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
    }
}

/// A part of the results; `None` means all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Select {
    pub phase: Option<u16>,
    pub flow: Option<u16>,
    pub step: Option<u16>,
    /// First second, and the one after the last.
    pub seconds: Option<(u32, u32)>,
}

impl Select {
    fn has(&self, second: u32, key: Key) -> bool {
        self.phase.is_none_or(|phase| phase == key.phase)
            && self.flow.is_none_or(|flow| flow == key.flow)
            && self.step.is_none_or(|step| step == key.step)
            && self.seconds.is_none_or(|(from, to)| (from..to).contains(&second))
    }
}

impl Results {
    pub fn add(&mut self, interval: &Interval) {
        for cell in &interval.cells {
            let merged = self.cells.entry((cell.second, cell.key)).or_default();
            merged.tally.merge(&cell.tally);
            merged.latency.merge(&cell.latency);
            merged.service.merge(&cell.service);
        }
        for strain in &interval.strain {
            let merged =
                self.strain.entry(strain.second).or_insert(Strain { second: strain.second, ..Strain::default() });
            merged.late_micros = merged.late_micros.max(strain.late_micros);
            merged.sessions += strain.sessions;
            merged.dropped += strain.dropped;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The last second anything ended in.
    pub fn last_second(&self) -> Option<u32> {
        self.cells.keys().next_back().map(|(second, _)| *second)
    }

    pub fn merged(&self, select: Select) -> Merged {
        let mut merged = Merged::default();
        for ((second, key), cell) in &self.cells {
            if select.has(*second, *key) {
                merged.merge(cell);
            }
        }
        merged
    }

    /// One entry per second from 0 to the last, seconds without an answer included.
    pub fn by_second(&self, select: Select) -> Vec<Merged> {
        let Some(last) = self.last_second() else { return Vec::new() };
        let mut seconds = vec![Merged::default(); last as usize + 1];
        for ((second, key), cell) in &self.cells {
            if select.has(*second, *key) {
                seconds[*second as usize].merge(cell);
            }
        }
        seconds
    }

    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.cells.keys().map(|(_, key)| *key).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub fn strain(&self) -> impl Iterator<Item = &Strain> {
        self.strain.values()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::{Ending, Recorder, Request};

    fn interval(requests: &[(u64, u16, u16, u64)]) -> Interval {
        let mut recorder = Recorder::default();
        for (second, phase, flow, millis) in requests {
            let took = Duration::from_millis(*millis);
            recorder.request(Request {
                key: Key { phase: *phase, flow: *flow, step: 0 },
                ended: Duration::from_secs(*second),
                latency: took,
                service: took,
                ending: Ending::Ok,
                bytes: 1,
            });
        }
        recorder.take_all()
    }

    #[test]
    fn two_tasks_merge_into_what_one_would_have_seen() {
        let (a, b) = (interval(&[(0, 0, 0, 10), (1, 0, 0, 20)]), interval(&[(1, 0, 0, 40), (2, 1, 1, 80)]));
        let mut apart = Results::default();
        apart.add(&a);
        apart.add(&b);

        let whole = apart.merged(Select::default());
        assert_eq!(whole.tally.requests(), 4);
        assert_eq!(apart.merged(Select { phase: Some(0), ..Select::default() }).tally.requests(), 3);
        assert_eq!(apart.merged(Select { flow: Some(1), ..Select::default() }).tally.requests(), 1);
        assert_eq!(apart.merged(Select { seconds: Some((1, 2)), ..Select::default() }).tally.requests(), 2);
        let per_second: Vec<u64> = apart.by_second(Select::default()).iter().map(|m| m.tally.requests()).collect();
        assert_eq!(per_second, [1, 2, 1]);
    }
}
