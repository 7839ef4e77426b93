//! The generator's own health, second by second. Numbers of a saturated generator are not the
//! target's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One second of one worker, or several merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// Seconds since the start instant.
    pub second: u32,
    /// Iterations due (open model) or sessions planned at the end of the second (closed model).
    pub asked: u64,
    /// Iterations that were started, or sessions that existed, out of `asked`.
    pub sent: u64,
    /// Iterations that could not be started, because of the generator's own ceiling.
    pub dropped: u64,
    /// Sessions and iterations cut at the end of their grace.
    pub cut: u64,
    /// Iterations not begun because a data file was used up.
    pub without_data: u64,
    /// Sessions or iterations under way at the end of the second.
    pub sessions: u32,
    /// Requests sent.
    pub starts: u64,
    /// Requests sent more than `LATE_MICROS` after their intended start.
    pub late: u64,
    /// The longest a request was sent after its intended start, in microseconds.
    pub late_micros: u64,
    /// The longest delay of the worker's own clock tick, in microseconds. A delay means that its
    /// event loop was busy with something else.
    pub lag_micros: u64,
    /// The worker thread's share of one core, in thousandths; of the busiest worker.
    pub busy: u32,
    /// Connections open at the end of the second.
    pub connections: u32,
    /// Connections opened within the second.
    pub opened: u32,
    /// Full TLS handshakes within the second.
    pub tls_full: u32,
    /// Resumed TLS handshakes within the second.
    pub tls_resumed: u32,
    /// File descriptors in use, in thousandths of the limit.
    pub files: u32,
    /// Source ports towards one address in use, in thousandths.
    pub ports: u32,
    /// Memory in use, in thousandths.
    pub memory: u32,
    /// Resident, in MiB.
    pub resident_mib: u32,
    /// Connections that were not opened, because this system had no port, file or memory for them.
    #[serde(default)]
    pub unopened: u64,
}

/// A request sent this long after its intended start was late by the generator's own doing. Tokio's
/// timers tick in milliseconds; ten of them are no rounding any more.
pub(super) const LATE_MICROS: u64 = 10_000;
/// One late start in a hundred: then the 99th percentile is the generator's.
const LATE_SHARE: f64 = 0.01;
/// Fewer late starts than this leave the 95th percentile where it is.
const LATE_FOR_P95: f64 = 0.05;
/// A worker this busy has requests waiting for it, not for the target.
const BUSY: u32 = 950;
/// Nine tenths of files, ports or memory: the next jump may not find any.
const SCARCE: u32 = 900;
/// An event loop this late sees answers late.
const LAG_MICROS: u64 = 50_000;
/// Delays below a tenth of a second leave the load of each second what the plan asked for.
pub const SHORT: Duration = Duration::from_millis(100);

/// The cause that saturated a generator, the gravest first. In JSON a kebab-case id; the aliases
/// are those of report versions 1 to 4.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Iterations could not be started: the generator was at its own ceiling.
    #[serde(alias = "iterations could not be started")]
    Dropped,
    /// A connection could not be opened: the generator's own system had no port, file or memory left.
    Sockets,
    /// Over 1 % of the requests were sent over 10 ms after their intended start.
    #[serde(alias = "over 1 % of the requests were sent over 10 ms late")]
    Late,
    /// A worker thread was at least 95 % busy.
    #[serde(alias = "a worker was over 95 % busy")]
    Cpu,
    /// The event loop came at least 50 ms late to its clock tick.
    #[serde(alias = "the event loop was over 50 ms late")]
    Lag,
    /// At least 90 % of the limit on file descriptors was used.
    #[serde(alias = "over 90 % of the file limit was used")]
    Files,
    /// At least 90 % of the source ports towards one address were used.
    #[serde(alias = "over 90 % of the source ports were used")]
    Ports,
    /// At least 90 % of the memory was used.
    #[serde(alias = "over 90 % of the memory was used")]
    Memory,
}

impl Saturation {
    /// Returns the longest time by which the generator can have moved the 95th percentile: it sent
    /// requests late, or saw answers late. `None` if a worker or the memory was used up, which delays
    /// for an unknown time. Files and ports delay nothing: an attempt to connect gets one, or fails.
    /// An iteration that was not started has no latency.
    pub fn delay(&self) -> Option<Duration> {
        let lacks = self.busy >= BUSY || self.memory >= SCARCE;
        let late = match self.late as f64 >= self.starts as f64 * LATE_FOR_P95 {
            true => self.late_micros,
            false => self.late_micros.min(LATE_MICROS),
        };
        let longest = late.max(self.lag_micros);
        (!lacks).then(|| Duration::from_micros(longest))
    }

    /// Adds the same second of another worker or task: counts add up, and shares and delays keep
    /// the maximum.
    pub fn merge(&mut self, other: &Self) {
        self.asked += other.asked;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.cut += other.cut;
        self.without_data += other.without_data;
        self.sessions += other.sessions;
        self.starts += other.starts;
        self.late += other.late;
        self.late_micros = self.late_micros.max(other.late_micros);
        self.lag_micros = self.lag_micros.max(other.lag_micros);
        self.busy = self.busy.max(other.busy);
        self.connections += other.connections;
        self.opened += other.opened;
        self.tls_full += other.tls_full;
        self.tls_resumed += other.tls_resumed;
        self.files = self.files.max(other.files);
        self.ports = self.ports.max(other.ports);
        self.memory = self.memory.max(other.memory);
        self.resident_mib += other.resident_mib;
        self.unopened += other.unopened;
    }

    /// Returns the bound that this second is beyond, the gravest first.
    pub fn beyond(&self) -> Option<Bound> {
        self.bounds().next()
    }

    /// Returns true if the generator was beyond a bound only by delays under a tenth of a second. They
    /// can lengthen latencies, and hide none.
    pub fn is_only_late(&self) -> bool {
        let mut bounds = self.bounds().peekable();
        let is_short = u128::from(self.late_micros.max(self.lag_micros)) < SHORT.as_micros();
        let is_late = |bound| matches!(bound, Bound::Late | Bound::Lag);
        is_short && bounds.peek().is_some() && bounds.all(is_late)
    }

    /// Returns the bounds that this second is beyond, the gravest first.
    fn bounds(&self) -> impl Iterator<Item = Bound> + use<> {
        let late = self.late > 0 && self.late as f64 > self.starts as f64 * LATE_SHARE;
        [
            (self.dropped > 0, Bound::Dropped),
            (self.unopened > 0, Bound::Sockets),
            (late, Bound::Late),
            (self.busy >= BUSY, Bound::Cpu),
            (self.lag_micros >= LAG_MICROS, Bound::Lag),
            (self.files >= SCARCE, Bound::Files),
            (self.ports >= SCARCE, Bound::Ports),
            (self.memory >= SCARCE, Bound::Memory),
        ]
        .into_iter()
        .filter_map(|(beyond, bound)| beyond.then_some(bound))
    }
}

/// Seconds in a row in which generators were beyond a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stretch {
    /// The first second, and the one after the last.
    #[serde(rename = "from_s", alias = "from")]
    pub from: u32,
    /// The second after the last one, since the start instant.
    #[serde(rename = "to_s", alias = "to")]
    pub to: u32,
    /// Slots of the tasks that were beyond a bound.
    pub tasks: Vec<u32>,
    /// The gravest bound.
    #[serde(alias = "why")]
    pub bound: Bound,
}

/// Returns the stretches, out of seconds by time and task. A gap of one second does not end a
/// stretch.
pub fn stretches<'s>(seconds: impl Iterator<Item = (u32, &'s Saturation)>) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for (task, saturation) in seconds {
        let Some(bound) = saturation.beyond() else {
            continue;
        };
        match found
            .last_mut()
            .filter(|last| saturation.second <= last.to + 1)
        {
            Some(last) => {
                last.to = last.to.max(saturation.second + 1);
                if !last.tasks.contains(&task) {
                    last.tasks.push(task);
                }
                last.bound = bound.min(last.bound);
            }
            None => found.push(Stretch {
                from: saturation.second,
                to: saturation.second + 1,
                tasks: vec![task],
                bound,
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_beyond_the_gravest_bound() {
        let calm = Saturation {
            starts: 1_000,
            late: 10,
            busy: 949,
            lag_micros: 49_999,
            files: 899,
            ..Saturation::default()
        };
        assert_eq!(calm.beyond(), None);
        for (saturation, bound) in [
            (Saturation { late: 11, ..calm }, Bound::Late),
            (
                Saturation {
                    unopened: 1,
                    ports: 900,
                    ..calm
                },
                Bound::Sockets,
            ),
            (Saturation { busy: 950, ..calm }, Bound::Cpu),
            (
                Saturation {
                    lag_micros: 50_000,
                    ..calm
                },
                Bound::Lag,
            ),
            (Saturation { files: 900, ..calm }, Bound::Files),
            (Saturation { ports: 900, ..calm }, Bound::Ports),
            (
                Saturation {
                    memory: 900,
                    ..calm
                },
                Bound::Memory,
            ),
            (
                Saturation {
                    dropped: 1,
                    late: 500,
                    busy: 1_000,
                    ..calm
                },
                Bound::Dropped,
            ),
        ] {
            assert_eq!(saturation.beyond(), Some(bound));
        }
    }

    #[test]
    fn a_generator_that_is_only_late_is_beyond_no_other_bound() {
        let late = Saturation {
            starts: 60,
            late: 2,
            late_micros: 99_000,
            lag_micros: 99_000,
            ..Saturation::default()
        };
        assert!(late.is_only_late());
        assert!(!Saturation::default().is_only_late(), "not late");
        for more in [
            Saturation {
                late_micros: 100_000,
                ..late
            },
            Saturation {
                lag_micros: 100_000,
                ..late
            },
            Saturation { busy: 950, ..late },
            Saturation { dropped: 1, ..late },
            Saturation { ports: 900, ..late },
        ] {
            assert!(!more.is_only_late(), "{more:?}");
        }
    }

    #[test]
    fn only_what_delays_requests_explains_slow_ones() {
        let calm = Saturation {
            starts: 600,
            lag_micros: 2_000,
            ..Saturation::default()
        };
        let late = |late| Saturation {
            late,
            late_micros: 900_000,
            ..calm
        };
        for (saturation, micros) in [
            (calm, Some(2_000)),
            (late(300), Some(900_000)),
            (late(30), Some(900_000)),
            // 29 of 600 cannot be the slowest twentieth.
            (late(29), Some(10_000)),
            (Saturation { dropped: 9, ..calm }, Some(2_000)),
            (
                Saturation {
                    unopened: 9,
                    ..calm
                },
                Some(2_000),
            ),
            (Saturation { files: 990, ..calm }, Some(2_000)),
            (Saturation { ports: 990, ..calm }, Some(2_000)),
            (Saturation { busy: 950, ..calm }, None),
            (
                Saturation {
                    memory: 900,
                    ..calm
                },
                None,
            ),
        ] {
            let delay = micros.map(Duration::from_micros);
            assert_eq!(saturation.delay(), delay, "{saturation:?}");
        }
    }

    #[test]
    fn strained_seconds_in_a_row_are_one_stretch() {
        let calm = |second| Saturation {
            second,
            ..Saturation::default()
        };
        let late = |second| Saturation {
            second,
            starts: 10,
            late: 5,
            ..Saturation::default()
        };
        let busy = |second| Saturation {
            second,
            busy: 990,
            ..Saturation::default()
        };
        let seconds = [
            (0, calm(0)),
            (0, busy(3)),
            (1, late(4)),
            (0, calm(5)),
            (0, busy(5)),
            (1, busy(9)),
            (0, busy(20)),
        ];
        let found = stretches(seconds.iter().map(|(task, saturation)| (*task, saturation)));
        let spans: Vec<_> = found
            .iter()
            .map(|stretch| (stretch.from, stretch.to, stretch.tasks.clone()))
            .collect();
        assert_eq!(
            spans,
            [(3, 6, vec![0, 1]), (9, 10, vec![1]), (20, 21, vec![0])]
        );
        assert_eq!(found[0].bound, Bound::Late);
        assert_eq!(found[2].bound, Bound::Cpu);
    }
}
