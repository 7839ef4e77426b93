//! Requests that no generator sends: other users of the same target.
//!
//! They have no sockets. Each arrives at its exact instant, is routed like any request, and is
//! looked at when it is done; nothing has to run in between.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::{self, LabConfigError};
use super::super::route::Underway;
use super::quantity::Pace;

/// An entry of `traffic` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// After the first request that a generator sends; without it, from the lab's start.
    #[serde(default, deserialize_with = "config::maybe")]
    pub from: Option<Duration>,
    /// The same; without it, until the end.
    #[serde(default, deserialize_with = "config::maybe")]
    pub to: Option<Duration>,
    /// Evenly spaced.
    pub rate: Pace,
    /// The rate at `to`: from `from` on, the rate changes evenly; without it, it does not change.
    #[serde(default)]
    pub to_rate: Option<Pace>,
}

impl Traffic {
    /// Checks that it has a span of time, and that the span is known if the rate changes.
    pub fn check(self) -> Result<(), LabConfigError> {
        let has_both = self.from.is_some() && self.to.is_some();
        let is_empty = |to| to <= self.from.unwrap_or_default();
        match self.to {
            _ if self.to_rate.is_some() && !has_both => Err(LabConfigError::RampWithoutSpan),
            Some(to) if is_empty(to) => Err(LabConfigError::EmptySpan("traffic")),
            _ => Ok(()),
        }
    }

    /// Returns the time from its beginning to the request after the first `sent`; `None` if the
    /// rate has changed to its end before.
    fn after(self, sent: u64) -> Option<Duration> {
        let Some(((to_rate, to), from)) = self.to_rate.zip(self.to).zip(self.from) else {
            return Some(self.rate.after(sent));
        };
        // After t seconds there were r*t + g*t*t/2 requests, with the rate r at first and its growth
        // g; this form of the root also holds without growth.
        let (rate, span) = (self.rate.per_second(), (to - from).as_secs_f64());
        let growth = (to_rate.per_second() - rate) / span;
        let sent = sent as f64;
        let under_root = rate.mul_add(rate, 2.0 * growth * sent);
        let seconds = 2.0 * sent / (rate + under_root.max(0.0).sqrt());
        (under_root >= 0.0)
            .then(|| Duration::try_from_secs_f64(seconds).ok())
            .flatten()
    }

    /// Returns the instant of the request after the first `sent`; `None` if there is none, or none
    /// yet.
    fn next(
        self,
        sent: u64,
        created: LabInstant,
        first_request: Option<LabInstant>,
    ) -> Option<LabInstant> {
        let start = match self.from {
            None => created,
            Some(from) => first_request? + from,
        };
        let end = first_request.zip(self.to).map(|(first, to)| first + to);
        let at = start.saturating_add(self.after(sent)?);
        end.is_none_or(|end| at < end).then_some(at)
    }
}

/// The other users, and their requests in progress.
#[derive(Debug)]
pub(crate) struct Others {
    streams: Vec<(Traffic, u64)>,
    underway: BinaryHeap<Soonest>,
}

/// The next thing that happens to the other users.
#[derive(Debug)]
pub(crate) enum OthersNext {
    /// A request comes.
    Arrives(LabInstant),
    /// A request may be done.
    Look(Underway),
}

impl Others {
    pub(crate) fn new(traffic: &[Traffic]) -> Self {
        Self {
            streams: traffic.iter().map(|traffic| (*traffic, 0)).collect(),
            underway: BinaryHeap::new(),
        }
    }

    /// Keeps a request that was routed, or is not done yet.
    pub(crate) fn keep(&mut self, underway: Underway) {
        self.underway.push(Soonest(underway));
    }

    /// Takes the next event up to `now`.
    pub(crate) fn take(
        &mut self,
        created: LabInstant,
        first_request: Option<LabInstant>,
        now: LabInstant,
    ) -> Option<OthersNext> {
        let arrival = self
            .streams
            .iter()
            .enumerate()
            .filter_map(|(index, (traffic, sent))| {
                Some((traffic.next(*sent, created, first_request)?, index))
            })
            .min()
            .filter(|(at, _)| *at <= now);
        let look = self
            .underway
            .peek()
            .map(|soonest| soonest.0.next)
            .filter(|at| *at <= now);
        match (arrival, look) {
            (Some((at, index)), look) if look.is_none_or(|look| at < look) => {
                self.streams[index].1 += 1;
                Some(OthersNext::Arrives(at))
            }
            _ => look
                .and_then(|_| self.underway.pop())
                .map(|soonest| OthersNext::Look(soonest.0)),
        }
    }

    /// Returns the number of requests so far.
    pub(crate) fn count(&self) -> u64 {
        self.streams.iter().map(|(_, sent)| sent).sum()
    }
}

/// Orders requests in progress by the instant at which they must be looked at, soonest greatest.
#[derive(Debug)]
struct Soonest(Underway);

impl PartialEq for Soonest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Soonest {}

impl PartialOrd for Soonest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Soonest {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.next.cmp(&self.0.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: LabInstant = Duration::from_hours(490_000);

    fn others(text: &str) -> Others {
        let traffic: Vec<Traffic> = serde_saphyr::from_str(text).unwrap();
        Others::new(&traffic)
    }

    fn arrivals(others: &mut Others, first: Option<u64>, until: u64) -> Vec<u128> {
        let first = first.map(|millis| CREATED + Duration::from_millis(millis));
        let now = CREATED + Duration::from_millis(until);
        std::iter::from_fn(|| match others.take(CREATED, first, now)? {
            OthersNext::Arrives(at) => Some((at - CREATED).as_millis()),
            OthersNext::Look(underway) => panic!("{underway:?}"),
        })
        .collect()
    }

    #[test]
    fn two_streams_come_in_the_order_of_time_and_within_their_spans() {
        let mut others = others("[{ rate: 4/s }, { from: 1s, to: 2s, rate: 2/s }]");
        assert_eq!(arrivals(&mut others, None, 600), [0, 250, 500]);
        assert_eq!(
            arrivals(&mut others, Some(600), 2_700),
            [
                750, 1_000, 1_250, 1_500, 1_600, 1_750, 2_000, 2_100, 2_250, 2_500
            ]
        );
        assert_eq!(others.count(), 13);
    }

    #[test]
    fn a_rate_that_changes_evenly_sends_its_average_and_ends_with_its_span() {
        for (text, all, half) in [
            // 2/s to 6/s within 4 s: 16 requests, 6 of them in the first half.
            ("[{ from: 1s, to: 5s, rate: 2/s, to_rate: 6/s }]", 16, 6),
            ("[{ from: 1s, to: 5s, rate: 6/s, to_rate: 2/s }]", 16, 10),
            ("[{ from: 1s, to: 5s, rate: 4/s, to_rate: 4/s }]", 16, 8),
        ] {
            let mut others = others(text);
            let times = arrivals(&mut others, Some(0), 60_000);
            assert_eq!(times.len(), all, "{text}: {times:?}");
            let early = times.iter().filter(|at| **at < 3_000).count();
            assert_eq!(early, half, "{text}: {times:?}");
            assert!(times.is_sorted() && times[0] == 1_000, "{text}: {times:?}");
            assert!(times[all - 1] < 5_000, "{text}: {times:?}");
        }
    }

    #[test]
    fn a_stream_with_an_end_and_no_beginning_comes_from_the_start() {
        let mut others = others("[{ to: 500ms, rate: 4/s }]");
        assert_eq!(arrivals(&mut others, None, 300), [0, 250]);
        assert_eq!(arrivals(&mut others, Some(400), 5_000), [500, 750]);
    }
}
