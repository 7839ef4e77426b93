//! The recorder of a generator thread. It has one owner and no locks; a request allocates nothing.
//!
//! One histogram per step is hot, for the second that is passing; when the next begins it is packed
//! away and used again. So memory depends on the scenario's steps, not on requests or on the length
//! of the run.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::saturation::LATE_MICROS;
use super::{
    AddressCount, Cell, CheckCount, Ending, Failure, FailureCount, InstanceCell, Interval, Key,
    LatencyHistogram, Parts, Saturation, StatusCount, Tally,
};

/// Kinds of reasons kept: the first ones name what is wrong.
const MOST_REASONS: usize = 16;
/// Different reasons of failed requests kept; what comes beyond them is kept without its text.
const MOST_FAILURES: usize = 64;

/// Numbers of phases, of steps in each flow, and of named checks in each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultShape {
    /// Number of phases.
    pub phases: usize,
    /// One list for each flow: for each of its steps the number of named checks.
    pub flows: Vec<Vec<usize>>,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The phase, flow and step.
    pub key: Key,
    /// End of the request, since the start instant.
    pub ended: Duration,
    /// Time from the intended start to the end.
    pub latency: Duration,
    /// Time from the actual send to the end.
    pub service: Duration,
    /// Time of the name look-up; `None` if no connection was opened for it.
    pub dns: Option<Duration>,
    /// The TCP handshake; `None` if no connection was opened for it.
    pub connect: Option<Duration>,
    /// The TLS handshake; `None` if there was none.
    pub tls: Option<Duration>,
    /// Time to the first byte of the answer; `None` if no answer began.
    pub first_byte: Option<Duration>,
    /// From the first byte of the answer to the last; `None` if no answer began.
    pub body: Option<Duration>,
    /// The class that the request counts in.
    pub ending: Ending,
    /// Bytes of the body, as received.
    pub bytes: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Times that it was sent again on a new connection.
    pub reconnects: u64,
    /// The status of the last complete answer; `None` if there was none.
    pub status: Option<u16>,
    /// That answer had `Retry-After`, and a status of 400 or above.
    pub retry_after: bool,
    /// The checks that were made, by index, and whether they held.
    pub checks: &'a [(u16, bool)],
    /// The instance that answered, as [`RequestRecorder::instance`] numbers them; `None` if the
    /// answer names none.
    pub instance: Option<u16>,
}

/// More instances than this count as one: a header that names requests instead must not fill the
/// memory.
const MOST_INSTANCES: usize = 500;
const OTHERS: &str = "(others)";

/// An instance of the target, in the second that is passing.
#[derive(Debug, Default)]
struct Answering {
    name: String,
    first: Option<Duration>,
    tally: Tally,
    latency: LatencyHistogram,
}

#[derive(Debug, Default)]
struct Hot {
    /// The second its latency belongs to has something.
    touched: bool,
    tally: Tally,
    latency: LatencyHistogram,
    parts: Option<Box<Parts<LatencyHistogram>>>,
    /// Passed and failed, by check.
    checks: Vec<(u64, u64)>,
    /// Answers and those that failed, by status: a step has few of them.
    statuses: Vec<(u16, u64, u64)>,
}

/// Records the requests of one worker, and hands them over second by second.
#[derive(Debug, Default)]
pub struct RequestRecorder {
    /// Steps before each flow.
    offsets: Vec<usize>,
    steps: usize,
    /// The open histograms, by phase and step.
    hot: Vec<Hot>,
    touched: Vec<(usize, Key)>,
    second: u32,
    addresses: BTreeMap<(u32, SocketAddr), AddressCount>,
    saturation: BTreeMap<u32, Saturation>,
    reasons: BTreeMap<String, u64>,
    failures: BTreeMap<(Key, Failure), u64>,
    done: Vec<Cell>,
    numbers: HashMap<String, u16>,
    answering: Vec<Answering>,
    answered: Vec<InstanceCell>,
}

impl RequestRecorder {
    /// Returns an empty recorder for the steps and checks of a scenario.
    pub fn new(shape: &ResultShape) -> Self {
        let (mut offsets, mut checks) = (Vec::new(), Vec::new());
        for flow in &shape.flows {
            offsets.push(checks.len());
            checks.extend(flow.iter().copied());
        }
        let mut hot: Vec<Hot> = Vec::new();
        for _ in 0..shape.phases {
            hot.extend(checks.iter().map(|count| Hot {
                checks: vec![(0, 0); *count],
                ..Hot::default()
            }));
        }
        Self {
            offsets,
            steps: checks.len(),
            hot,
            ..Self::default()
        }
    }

    fn place(&self, key: Key) -> Option<usize> {
        let step = self.offsets.get(key.flow as usize)? + key.step as usize;
        Some(key.phase as usize * self.steps + step)
    }

    /// Records a finished request. Ignores a key outside the shape.
    pub fn request(&mut self, request: &Request<'_>) {
        let second = second(request.ended);
        if second > self.second {
            self.pass_to(second);
        }
        let Some(place) = self.place(request.key) else {
            return;
        };
        if let Ending::Broken(broken) = request.ending {
            self.failure(request.key, Failure::Broken(broken));
        }
        let Some(hot) = self.hot.get_mut(place) else {
            return;
        };
        if !hot.touched {
            hot.touched = true;
            self.touched.push((place, request.key));
        }
        hot.tally.add(request.ending);
        if request.retry_after {
            hot.tally.add_retry_after(request.ending);
        }
        hot.tally.bytes += request.bytes;
        hot.tally.redirects += request.redirects;
        hot.tally.reconnects += request.reconnects;
        if let Some(status) = request.status {
            let failed = u64::from(request.ending != Ending::Ok);
            match hot.statuses.iter_mut().find(|known| known.0 == status) {
                Some((_, answers, failures)) => {
                    *answers += 1;
                    *failures += failed;
                }
                None => hot.statuses.push((status, 1, failed)),
            }
        }
        for (check, held) in request.checks {
            let Some(count) = hot.checks.get_mut(*check as usize) else {
                continue;
            };
            if *held {
                hot.tally.checks_passed += 1;
                count.0 += 1;
            } else {
                hot.tally.checks_failed += 1;
                count.1 += 1;
            }
        }
        if let Some(one) = request
            .instance
            .and_then(|number| self.answering.get_mut(number as usize))
        {
            one.first = Some(
                one.first
                    .map_or(request.ended, |first| first.min(request.ended)),
            );
            one.tally.add(request.ending);
            if request.retry_after {
                one.tally.add_retry_after(request.ending);
            }
            if request.ending.has_latency() {
                one.latency.record(request.latency);
            }
        }
        let parts = hot
            .parts
            .get_or_insert_with(|| Box::new(Parts::of(request.key)));
        if request.ending.has_latency() {
            hot.latency.record(request.latency);
            parts.service.record(request.service);
        }
        for (histogram, part) in [
            (&mut parts.dns, request.dns),
            (&mut parts.connect, request.connect),
            (&mut parts.tls, request.tls),
            (&mut parts.first_byte, request.first_byte),
            (&mut parts.body, request.body),
        ] {
            if let Some(part) = part {
                histogram.record(part);
            }
        }
    }

    /// Counts the reason of a failed request; it allocates, so it is for requests that failed.
    pub fn failure(&mut self, key: Key, failure: Failure) {
        let is_new = !self.failures.contains_key(&(key, failure.clone()));
        let failure = if is_new && self.failures.len() >= MOST_FAILURES {
            failure.without_text()
        } else {
            failure
        };
        *self.failures.entry((key, failure)).or_default() += 1;
    }

    /// Returns the number of an instance, by its name.
    pub fn instance(&mut self, name: &str) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name = if self.answering.len() < MOST_INSTANCES {
            name
        } else {
            OTHERS
        };
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.answering.len() as u16;
        self.numbers.insert(name.to_owned(), number);
        self.answering.push(Answering {
            name: name.to_owned(),
            ..Answering::default()
        });
        number
    }

    /// Packs away what belongs to the second that has passed.
    fn pass_to(&mut self, second: u32) {
        for one in &mut self.answering {
            let Some(first) = one.first.take() else {
                continue;
            };
            self.answered.push(InstanceCell {
                second: self.second,
                instance: one.name.clone(),
                first,
                tally: std::mem::take(&mut one.tally),
                latency: one.latency.pack(),
            });
            one.latency.clear();
        }
        for (place, key) in self.touched.drain(..) {
            let hot = &mut self.hot[place];
            self.done.push(Cell {
                second: self.second,
                key,
                tally: std::mem::take(&mut hot.tally),
                latency: hot.latency.pack(),
            });
            hot.latency.clear();
            hot.touched = false;
        }
        self.second = second;
    }

    /// Counts a request that is sent, `late` after its intended start.
    pub fn start(&mut self, at: Duration, late: Duration) {
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let saturation = self.saturation(at);
        saturation.starts += 1;
        saturation.late += u64::from(late > LATE_MICROS);
        saturation.late_micros = saturation.late_micros.max(late);
    }

    /// Returns the entry of a moment's second, to count something in.
    pub fn saturation(&mut self, at: Duration) -> &mut Saturation {
        let second = second(at);
        self.saturation.entry(second).or_insert_with(|| Saturation {
            second,
            ..Saturation::default()
        })
    }

    /// Counts a reason why there was no connection, in the words of the system or of TLS; only the
    /// first 16 different reasons are kept.
    pub fn reason(&mut self, why: &str) {
        if let Some(count) = self.reasons.get_mut(why) {
            *count += 1;
        } else if self.reasons.len() < MOST_REASONS {
            self.reasons.insert(why.to_owned(), 1);
        }
    }

    /// Returns the entry of an address in a moment's second.
    pub fn address(&mut self, at: Duration, address: SocketAddr) -> &mut AddressCount {
        let second = second(at);
        let new = AddressCount {
            second,
            address,
            requests: 0,
            opened: 0,
            refused: 0,
        };
        self.addresses.entry((second, address)).or_insert(new)
    }

    /// Hands over the seconds before `second`: they cannot change any more.
    pub fn take_before(&mut self, before: u32) -> Interval {
        if before > self.second {
            self.pass_to(before);
        }
        let (cells, later) = std::mem::take(&mut self.done)
            .into_iter()
            .partition(|cell| cell.second < before);
        self.done = later;
        let (instances, later) = std::mem::take(&mut self.answered)
            .into_iter()
            .partition(|cell| cell.second < before);
        self.answered = later;
        let later = self.saturation.split_off(&before);
        let saturation = std::mem::replace(&mut self.saturation, later);
        let (addresses, later) = std::mem::take(&mut self.addresses)
            .into_iter()
            .partition(|((second, _), _)| *second < before);
        self.addresses = later;
        let (mut parts, mut checks, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
        for hot in &mut self.hot {
            let Some(found) = hot.parts.take() else {
                continue;
            };
            let key = found.key;
            parts.push(pack(&found));
            statuses.extend(
                hot.statuses
                    .drain(..)
                    .map(|(status, answers, failed)| StatusCount {
                        key,
                        status,
                        answers,
                        failed,
                    }),
            );
            for (check, (passed, failed)) in hot.checks.iter_mut().enumerate() {
                if *passed + *failed > 0 {
                    checks.push(CheckCount {
                        key,
                        check: check as u16,
                        passed: *passed,
                        failed: *failed,
                    });
                }
                (*passed, *failed) = (0, 0);
            }
        }
        let addresses: BTreeMap<_, _> = addresses;
        Interval {
            cells,
            parts,
            checks,
            addresses: addresses.into_values().collect(),
            instances,
            saturation: saturation.into_values().collect(),
            reasons: std::mem::take(&mut self.reasons).into_iter().collect(),
            statuses,
            failures: std::mem::take(&mut self.failures)
                .into_iter()
                .map(|((key, failure), count)| FailureCount {
                    key,
                    failure,
                    count,
                })
                .collect(),
        }
    }

    /// Hands over everything, the second that is passing included.
    pub fn take_all(&mut self) -> Interval {
        self.take_before(u32::MAX)
    }
}

fn second(at: Duration) -> u32 {
    u32::try_from(at.as_secs()).unwrap_or(u32::MAX)
}

fn pack(parts: &Parts<LatencyHistogram>) -> Parts<super::PackedLatency> {
    let mut packed = Parts::of(parts.key);
    packed.merge_with(parts, |packed, latency| *packed = latency.pack());
    packed
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::measure::Broken;

    /// Returns a request of 5 ms, without parts.
    pub(crate) fn plain(key: Key, ended: Duration, ending: Ending) -> Request<'static> {
        let took = Duration::from_millis(5);
        Request {
            key,
            ended,
            latency: took,
            service: took,
            dns: None,
            connect: None,
            tls: None,
            first_byte: None,
            body: None,
            ending,
            bytes: 10,
            redirects: 0,
            reconnects: 0,
            status: None,
            retry_after: false,
            checks: &[],
            instance: None,
        }
    }

    const KEY: Key = Key {
        phase: 0,
        flow: 0,
        step: 0,
    };

    #[test]
    fn only_whole_seconds_are_handed_over() {
        let mut recorder = RequestRecorder::new(&ResultShape {
            phases: 1,
            flows: vec![vec![2]],
        });
        recorder.request(&plain(KEY, Duration::from_millis(900), Ending::Ok));
        recorder.request(&Request {
            checks: &[(0, true), (1, false)],
            ..plain(KEY, Duration::from_millis(999), Ending::Timeout)
        });
        recorder.request(&plain(KEY, Duration::from_secs(1), Ending::Ok));
        recorder.start(Duration::from_millis(950), Duration::from_millis(30));

        let first = recorder.take_before(1);
        assert_eq!(first.cells.len(), 1);
        let tally = Tally {
            ok: 1,
            timeout: 1,
            bytes: 20,
            checks_passed: 1,
            checks_failed: 1,
            ..Tally::default()
        };
        assert_eq!(first.cells[0].tally, tally);
        let late = Saturation {
            second: 0,
            starts: 1,
            late: 1,
            late_micros: 30_000,
            ..Saturation::default()
        };
        assert_eq!(first.saturation, vec![late]);
        assert_eq!(
            first
                .checks
                .iter()
                .map(|count| (count.check, count.passed, count.failed))
                .collect::<Vec<_>>(),
            [(0, 1, 0), (1, 0, 1)]
        );

        let rest = recorder.take_all();
        assert_eq!(rest.cells.len(), 1);
        assert_eq!(rest.cells[0].second, 1);
        assert!(recorder.take_all().is_empty());
    }

    #[test]
    fn what_each_instance_answered_is_kept_by_second_and_too_many_are_one() {
        let mut recorder = RequestRecorder::new(&ResultShape {
            phases: 1,
            flows: vec![vec![0]],
        });
        let (one, two) = (recorder.instance("i-1"), recorder.instance("i-2"));
        assert_eq!(recorder.instance("i-1"), one);
        for (millis, instance, ending) in [
            (300, Some(one), Ending::Ok),
            (200, Some(two), Ending::Status5xx),
            (900, Some(one), Ending::Ok),
            (950, None, Ending::Ok),
        ] {
            recorder.request(&Request {
                instance,
                ..plain(KEY, Duration::from_millis(millis), ending)
            });
        }
        let cells = recorder.take_all().instances;
        let seen: Vec<_> = cells
            .iter()
            .map(|cell| {
                (
                    cell.instance.as_str(),
                    cell.first.as_millis(),
                    cell.tally.requests(),
                    cell.tally.errors(),
                )
            })
            .collect();
        assert_eq!(seen, [("i-1", 300, 2, 0), ("i-2", 200, 1, 1)]);
        assert!(recorder.take_all().is_empty());
        for name in 0..MOST_INSTANCES + 10 {
            recorder.instance(&format!("r-{name}"));
        }
        assert_eq!(recorder.instance("r-505"), recorder.instance("r-509"));
        assert_eq!(recorder.answering.len(), MOST_INSTANCES + 1);
    }

    #[test]
    fn statuses_and_reasons_are_counted_by_step_and_their_kinds_are_bounded() {
        let mut recorder = RequestRecorder::new(&ResultShape {
            phases: 1,
            flows: vec![vec![0]],
        });
        let broken = Ending::Broken(Broken::ClosedInHead);
        for (status, ending) in [
            (Some(200), Ending::Ok),
            (Some(503), Ending::Status5xx),
            (Some(200), Ending::Check),
            (None, broken),
            (None, broken),
        ] {
            let request = plain(KEY, Duration::ZERO, ending);
            recorder.request(&Request { status, ..request });
        }
        for number in 0..MOST_FAILURES * 2 {
            let coding = format!("x-{number}");
            recorder.failure(KEY, Failure::UnknownCoding { coding });
        }
        let interval = recorder.take_all();
        let statuses: Vec<_> = interval
            .statuses
            .iter()
            .map(|count| (count.status, count.answers, count.failed))
            .collect();
        assert_eq!(statuses, [(200, 2, 1), (503, 1, 1)]);
        let count_of = |failure: &Failure| {
            let mut all = interval.failures.iter();
            all.find(|count| count.failure == *failure)
                .map(|count| count.count)
        };
        assert_eq!(count_of(&Failure::Broken(Broken::ClosedInHead)), Some(2));
        let coding = String::new();
        assert_eq!(
            count_of(&Failure::UnknownCoding { coding }),
            Some(MOST_FAILURES as u64 + 1)
        );
        assert_eq!(interval.failures.len(), MOST_FAILURES + 1);
        assert!(recorder.take_all().is_empty());
    }

    #[test]
    fn a_step_s_histogram_is_used_again_and_starts_empty() {
        let mut recorder = RequestRecorder::new(&ResultShape {
            phases: 1,
            flows: vec![vec![0]],
        });
        for second in 0..3 {
            recorder.request(&plain(KEY, Duration::from_secs(second), Ending::Ok));
        }
        let interval = recorder.take_all();
        assert!(
            interval
                .cells
                .iter()
                .all(|cell| cell.latency.unpack().count() == 1)
        );
        assert_eq!(interval.parts[0].service.unpack().count(), 3);
    }
}
