//! Where a generator's thread writes what it sees. One owner, no locks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Cell, Ending, Interval, Key, Latency, Strain, Tally};

/// Cells of the seconds not yet handed over, by (second, key).
#[derive(Debug, Default)]
pub struct Recorder {
    cells: BTreeMap<(u32, Key), (Tally, Latency, Latency)>,
    strain: BTreeMap<u32, Strain>,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub key: Key,
    /// Since the start instant, when the request ended.
    pub ended: Duration,
    /// From the intended start.
    pub latency: Duration,
    /// From the actual send.
    pub service: Duration,
    pub ending: Ending,
    pub bytes: u64,
}

impl Recorder {
    pub fn request(&mut self, request: Request) {
        let second = u32::try_from(request.ended.as_secs()).unwrap_or(u32::MAX);
        let (tally, latency, service) = self.cells.entry((second, request.key)).or_default();
        tally.add(request.ending, request.bytes);
        latency.record(request.latency);
        service.record(request.service);
    }

    /// The generator itself was `late` in sending something.
    pub fn late(&mut self, at: Duration, late: Duration) {
        let strain = self.strain(at);
        strain.late_micros = strain.late_micros.max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn sessions(&mut self, at: Duration, sessions: u32) {
        self.strain(at).sessions = sessions;
    }

    /// An iteration was due but not started.
    pub fn dropped(&mut self, at: Duration) {
        self.strain(at).dropped += 1;
    }

    fn strain(&mut self, at: Duration) -> &mut Strain {
        let second = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        self.strain.entry(second).or_insert_with(|| Strain { second, ..Strain::default() })
    }

    /// Hands over the seconds before `second`: they cannot change any more.
    pub fn take_before(&mut self, second: u32) -> Interval {
        let key = (second, Key { phase: 0, flow: 0, step: 0 });
        let later = self.cells.split_off(&key);
        let cells = std::mem::replace(&mut self.cells, later);
        let later = self.strain.split_off(&second);
        let strain = std::mem::replace(&mut self.strain, later);
        Interval {
            cells: cells
                .into_iter()
                .map(|((second, key), (tally, latency, service))| Cell { second, key, tally, latency, service })
                .collect(),
            strain: strain.into_values().collect(),
        }
    }

    pub fn take_all(&mut self) -> Interval {
        self.take_before(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ended: Duration, ending: Ending) -> Request {
        let key = Key { phase: 0, flow: 0, step: 0 };
        Request { key, ended, latency: Duration::from_millis(5), service: Duration::from_millis(4), ending, bytes: 10 }
    }

    #[test]
    fn only_whole_seconds_are_handed_over() {
        let mut recorder = Recorder::default();
        recorder.request(request(Duration::from_millis(900), Ending::Ok));
        recorder.request(request(Duration::from_millis(999), Ending::Timeout));
        recorder.request(request(Duration::from_millis(1_000), Ending::Ok));
        recorder.late(Duration::from_millis(950), Duration::from_millis(3));

        let first = recorder.take_before(1);
        assert_eq!(first.cells.len(), 1);
        assert_eq!(first.cells[0].tally, Tally { ok: 1, timeout: 1, bytes: 20, ..Tally::default() });
        assert_eq!(first.strain, vec![Strain { second: 0, late_micros: 3_000, ..Strain::default() }]);

        let rest = recorder.take_all();
        assert_eq!(rest.cells.len(), 1);
        assert_eq!(rest.cells[0].second, 1);
        assert_eq!(recorder.take_all(), Interval::default());
    }
}
