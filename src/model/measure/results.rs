//! Everything the tasks measured, merged: what progress, thresholds and reports are computed from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::{
    AddressCount, Failure, Interval, Key, LatencyHistogram, PackedLatency, Parts, Saturation,
    Tally, TlsFailure,
};

/// Different reasons of failed requests kept; what comes beyond them is kept without its text.
const MOST_FAILURES: usize = 500;

/// Merged cells by (second, key). Adding an interval twice counts it twice: the channel's sequence
/// numbers prevent it.
#[derive(Debug, Clone, Default)]
pub struct Results {
    cells: BTreeMap<(u32, Key), (Tally, PackedLatency)>,
    parts: BTreeMap<Key, Parts<LatencyHistogram>>,
    checks: BTreeMap<(Key, u16), (u64, u64)>,
    addresses: BTreeMap<(u32, SocketAddr), AddressCount>,
    /// Answers by instance and second: the end of the first one, and all.
    instances: BTreeMap<String, BTreeMap<u32, (Duration, Tally, PackedLatency)>>,
    /// Health of the generators, by second and task.
    saturation: BTreeMap<(u32, u32), Saturation>,
    reasons: BTreeMap<String, u64>,
    /// Answers and those that failed, by step and status.
    statuses: BTreeMap<(Key, u16), (u64, u64)>,
    failures: BTreeMap<(Key, Failure), u64>,
}

/// Requests of one selection, as one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// Counts of the requests.
    pub tally: Tally,
    /// Latencies from the intended start.
    pub latency: LatencyHistogram,
}

impl Merged {
    /// Adds another selection.
    pub fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.latency.merge(&other.latency);
    }
}

/// A part of the results; `None` means all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Select {
    /// Index into the scenario's phases.
    pub phase: Option<u16>,
    /// Index into the scenario's flows.
    pub flow: Option<u16>,
    /// Index into the flow's steps.
    pub step: Option<u16>,
    /// First second, and the one after the last.
    pub seconds: Option<(u32, u32)>,
}

impl Select {
    fn has(&self, key: Key) -> bool {
        self.phase.is_none_or(|phase| phase == key.phase)
            && self.flow.is_none_or(|flow| flow == key.flow)
            && self.step.is_none_or(|step| step == key.step)
    }
}

impl Results {
    /// Adds the interval that a task reported.
    pub fn add(&mut self, task: u32, interval: &Interval) {
        for cell in &interval.cells {
            let (tally, latency) = self.cells.entry((cell.second, cell.key)).or_default();
            tally.merge(&cell.tally);
            latency.merge(&cell.latency);
        }
        for parts in &interval.parts {
            let merged = self
                .parts
                .entry(parts.key)
                .or_insert_with(|| Parts::of(parts.key));
            merged.merge_with(parts, LatencyHistogram::merge_packed);
        }
        for count in &interval.checks {
            let (passed, failed) = self.checks.entry((count.key, count.check)).or_default();
            *passed += count.passed;
            *failed += count.failed;
        }
        for count in &interval.addresses {
            let new = AddressCount {
                requests: 0,
                opened: 0,
                refused: 0,
                ..*count
            };
            let merged = self
                .addresses
                .entry((count.second, count.address))
                .or_insert(new);
            merged.requests += count.requests;
            merged.opened += count.opened;
            merged.refused += count.refused;
        }
        for cell in &interval.instances {
            let seconds = self.instances.entry(cell.instance.clone()).or_default();
            let new = || (cell.first, Tally::default(), PackedLatency::default());
            let (first, tally, latency) = seconds.entry(cell.second).or_insert_with(new);
            *first = (*first).min(cell.first);
            tally.merge(&cell.tally);
            latency.merge(&cell.latency);
        }
        for (why, count) in &interval.reasons {
            *self.reasons.entry(why.clone()).or_default() += count;
        }
        for count in &interval.statuses {
            let (answers, failed) = self.statuses.entry((count.key, count.status)).or_default();
            *answers += count.answers;
            *failed += count.failed;
        }
        for count in &interval.failures {
            let mut place = (count.key, count.failure.clone());
            if self.failures.len() >= MOST_FAILURES && !self.failures.contains_key(&place) {
                place.1 = place.1.without_text();
            }
            *self.failures.entry(place).or_default() += count.count;
        }
        for saturation in &interval.saturation {
            let new = Saturation {
                second: saturation.second,
                ..Saturation::default()
            };
            self.saturation
                .entry((saturation.second, task))
                .or_insert(new)
                .merge(saturation);
        }
    }

    /// True if any answer named its instance.
    pub fn names_instances(&self) -> bool {
        !self.instances.is_empty()
    }

    /// Returns the instances that answers named, sorted.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.instances.keys().map(String::as_str)
    }

    /// Returns the end of an instance's first answer to any task, since the start instant.
    pub fn first_answer(&self, instance: &str) -> Option<Duration> {
        self.instances
            .get(instance)?
            .values()
            .map(|(first, ..)| *first)
            .min()
    }

    /// Merges the answers of one instance; `seconds` as in [`Select`].
    pub fn of_instance(&self, instance: &str, seconds: Option<(u32, u32)>) -> Merged {
        let (from, to) = seconds.unwrap_or((0, u32::MAX));
        let mut merged = Merged::default();
        let cells = self
            .instances
            .get(instance)
            .into_iter()
            .flat_map(|cells| cells.range(from..to.max(from)));
        for (_, (_, tally, latency)) in cells {
            merged.tally.merge(tally);
            merged.latency.merge_packed(latency);
        }
        merged
    }

    /// True if no request ended.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the last second in which a request ended.
    pub fn last_second(&self) -> Option<u32> {
        self.cells.keys().next_back().map(|(second, _)| *second)
    }

    fn selected(&self, select: Select) -> impl Iterator<Item = (u32, &(Tally, PackedLatency))> {
        let (from, to) = select.seconds.unwrap_or((0, u32::MAX));
        let least = Key {
            phase: 0,
            flow: 0,
            step: 0,
        };
        self.cells
            .range((from, least)..(to.max(from), least))
            .filter(move |((_, key), _)| select.has(*key))
            .map(|((second, _), cell)| (*second, cell))
    }

    /// Returns the seconds whose latencies may be the generators' doing: a generator was beyond a
    /// bound in that second or the one before, whose late requests end a moment later.
    pub fn doubtful_seconds(&self) -> BTreeSet<u32> {
        let beyond = self
            .saturation
            .iter()
            .filter(|(_, saturation)| saturation.beyond().is_some());
        beyond
            .flat_map(|((second, _), _)| [*second, second.saturating_add(1)])
            .collect()
    }

    /// Returns the longest time by which generators delayed requests around a second; `None` if they
    /// lacked something that delays for an unknown time.
    pub fn delayed_by(&self, second: u32) -> Option<Duration> {
        let around = second.saturating_sub(1)..=second.saturating_add(1);
        let mut all = self.saturation.iter();
        all.try_fold(
            Duration::ZERO,
            |longest, ((at, _), saturation)| match around.contains(at) {
                true => saturation.delay().map(|delay| delay.max(longest)),
                false => Some(longest),
            },
        )
    }

    /// Returns the same results without the requests that ended in these seconds.
    #[must_use]
    pub fn without(&self, seconds: &BTreeSet<u32>) -> Self {
        let mut rest = self.clone();
        rest.cells
            .retain(|(second, _), _| !seconds.contains(second));
        rest
    }

    /// Returns the selected requests, as one.
    pub fn merged(&self, select: Select) -> Merged {
        let mut merged = Merged::default();
        for (_, (tally, latency)) in self.selected(select) {
            merged.tally.merge(tally);
            merged.latency.merge_packed(latency);
        }
        merged
    }

    /// Returns one entry per second from 0 to the last, seconds without an answer included.
    pub fn by_second(&self, select: Select) -> Vec<Merged> {
        let Some(last) = self.last_second() else {
            return Vec::new();
        };
        let mut seconds = vec![(Tally::default(), PackedLatency::default()); last as usize + 1];
        for (second, (tally, latency)) in self.selected(select) {
            let merged = &mut seconds[second as usize];
            merged.0.merge(tally);
            merged.1.merge(latency);
        }
        seconds
            .into_iter()
            .map(|(tally, latency)| Merged {
                tally,
                latency: latency.unpack(),
            })
            .collect()
    }

    /// Merges the times of the selected requests, split by part. They are kept for whole intervals,
    /// so a selection by second has no effect.
    pub fn parts(&self, select: Select) -> Parts<LatencyHistogram> {
        let mut merged: Parts<LatencyHistogram> = Parts::of(Key {
            phase: 0,
            flow: 0,
            step: 0,
        });
        for parts in self.parts.values().filter(|parts| select.has(parts.key)) {
            merged.merge_with(parts, LatencyHistogram::merge);
        }
        merged
    }

    /// Returns the numbers of passed and failed checks, by flow, step and check, over all phases.
    pub fn checks(&self) -> BTreeMap<(u16, u16, u16), (u64, u64)> {
        let mut counts: BTreeMap<(u16, u16, u16), (u64, u64)> = BTreeMap::new();
        for ((key, check), (passed, failed)) in &self.checks {
            let count = counts.entry((key.flow, key.step, *check)).or_default();
            count.0 += passed;
            count.1 += failed;
        }
        counts
    }

    /// Returns requests and connections by second and address, in that order.
    pub fn addresses(&self) -> impl Iterator<Item = &AddressCount> {
        self.addresses.values()
    }

    /// Returns every phase, flow and step that has a request, sorted.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.cells.keys().map(|(_, key)| *key).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Returns why connections failed, the most frequent first.
    pub fn reasons(&self) -> Vec<(String, u64)> {
        let mut reasons: Vec<(String, u64)> = self
            .reasons
            .iter()
            .map(|(why, count)| (why.clone(), *count))
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// Returns the complete answers of the selected requests, and those that failed, by status.
    /// They are kept for whole intervals, so a selection by second has no effect.
    pub fn statuses(&self, select: Select) -> BTreeMap<u16, (u64, u64)> {
        let mut counts: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
        for ((key, status), (answers, failed)) in &self.statuses {
            if select.has(*key) {
                let count = counts.entry(*status).or_default();
                count.0 += answers;
                count.1 += failed;
            }
        }
        counts
    }

    /// Returns why requests failed, by flow and step over all phases, the most frequent first.
    pub fn failures(&self) -> Vec<((u16, u16), Failure, u64)> {
        let mut counts: BTreeMap<(u16, u16, &Failure), u64> = BTreeMap::new();
        for ((key, failure), count) in &self.failures {
            *counts.entry((key.flow, key.step, failure)).or_default() += count;
        }
        let mut all: Vec<_> = counts
            .into_iter()
            .map(|((flow, step, failure), count)| ((flow, step), failure.clone(), count))
            .collect();
        all.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        all
    }

    /// True if any byte of an answer came, or the server took part in a TLS handshake.
    pub fn anything_came(&self) -> bool {
        let tally = self.merged(Select::default()).tally;
        let begun = |failure: &Failure| match failure {
            Failure::Broken(broken) => broken.had_begun(),
            Failure::Tls(tls) => *tls != TlsFailure::HandshakeTimeout,
            _ => true,
        };
        tally.answered() > 0
            || tally.redirects > 0
            || self.parts(Select::default()).first_byte.count() > 0
            || self.failures.keys().any(|(_, failure)| begun(failure))
    }

    /// Returns the time for which the generators ran, in whole seconds; `None` if none reported. A
    /// stopped run takes its rates over this time.
    pub fn ran(&self) -> Option<Duration> {
        let last = self
            .saturation
            .keys()
            .next_back()
            .map(|(second, _)| *second)?;
        Some(std::time::Duration::from_secs(u64::from(last) + 1))
    }

    /// Returns task and saturation, by second and task, in that order.
    pub fn saturation(&self) -> impl Iterator<Item = (u32, &Saturation)> {
        self.saturation
            .iter()
            .map(|((_, task), saturation)| (*task, saturation))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::recorder::tests::plain;
    use crate::measure::{Broken, Ending, Request, RequestRecorder, ResultShape};

    fn interval(requests: &[(u64, u16, u16, u64)]) -> Interval {
        let mut recorder = RequestRecorder::new(&ResultShape {
            phases: 3,
            flows: vec![vec![0], vec![0]],
        });
        for (second, phase, flow, millis) in requests {
            let took = Duration::from_millis(*millis);
            let key = Key {
                phase: *phase,
                flow: *flow,
                step: 0,
            };
            recorder.request(&Request {
                latency: took,
                service: took,
                ..plain(key, Duration::from_secs(*second), Ending::Ok)
            });
        }
        recorder.take_all()
    }

    #[test]
    fn two_tasks_merge_into_what_one_would_have_seen() {
        let (a, b) = (
            interval(&[(0, 0, 0, 10), (1, 0, 0, 20)]),
            interval(&[(1, 0, 0, 40), (2, 1, 1, 80)]),
        );
        let mut apart = Results::default();
        apart.add(0, &a);
        apart.add(1, &b);

        let whole = apart.merged(Select::default());
        assert_eq!(whole.tally.requests(), 4);
        assert_eq!(
            apart
                .merged(Select {
                    phase: Some(0),
                    ..Select::default()
                })
                .tally
                .requests(),
            3
        );
        assert_eq!(
            apart
                .merged(Select {
                    flow: Some(1),
                    ..Select::default()
                })
                .tally
                .requests(),
            1
        );
        assert_eq!(
            apart
                .merged(Select {
                    seconds: Some((1, 2)),
                    ..Select::default()
                })
                .tally
                .requests(),
            2
        );
        assert_eq!(
            apart
                .parts(Select {
                    flow: Some(0),
                    ..Select::default()
                })
                .service
                .count(),
            3
        );
        let per_second: Vec<u64> = apart
            .by_second(Select::default())
            .iter()
            .map(|m| m.tally.requests())
            .collect();
        assert_eq!(per_second, [1, 2, 1]);
    }

    #[test]
    fn only_bytes_of_an_answer_are_something_that_came() {
        let key = Key {
            phase: 0,
            flow: 0,
            step: 0,
        };
        for (ending, came) in [
            (Ending::Ok, true),
            (Ending::Connect, false),
            (Ending::Timeout, false),
            (Ending::Broken(Broken::ClosedBeforeAnswer), false),
            (Ending::Broken(Broken::ClosedInHead), true),
            (Ending::Broken(Broken::NotHttp), true),
        ] {
            let mut recorder = RequestRecorder::new(&ResultShape {
                phases: 1,
                flows: vec![vec![0]],
            });
            recorder.request(&plain(key, Duration::ZERO, ending));
            let mut results = Results::default();
            results.add(0, &recorder.take_all());
            assert_eq!(results.anything_came(), came, "{ending:?}");
        }
    }

    proptest! {
        // Each case makes hundreds of histograms.
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The whole way: recorded apart, packed, sent as JSON, merged, against one recorder that
        /// saw everything.
        #[test]
        fn merging_the_tasks_histograms_equals_the_histogram_of_all_samples(
            samples in prop::collection::vec((0u32..4, 0u64..20, 0u16..3, 0u16..2, 1u64..10_000), 0..120)
        ) {
            let mut sorted = samples.clone();
            sorted.sort_by_key(|sample| sample.1);
            let interval_of = |task: Option<u32>| {
                let own = sorted.iter().filter(|sample| task.is_none_or(|task| sample.0 == task));
                interval(&own.map(|(_, second, phase, flow, millis)| (*second, *phase, *flow, *millis)).collect::<Vec<_>>())
            };
            let mut apart = Results::default();
            for task in 0..4 {
                let wire = serde_json::to_string(&interval_of(Some(task))).unwrap();
                apart.add(task, &serde_json::from_str(&wire).unwrap());
            }
            let mut whole = Results::default();
            whole.add(0, &interval_of(None));
            prop_assert_eq!(&apart.cells, &whole.cells);
            let buckets = |results: &Results| results.parts(Select::default()).service.buckets().collect::<Vec<_>>();
            prop_assert_eq!(buckets(&apart), buckets(&whole));
        }
    }
}
