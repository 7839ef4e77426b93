//! The load that others sent to the group while we tested it, by the load balancer's own count.
//!
//! The balancer counts by the clock's minute. A minute that lies within the load is compared whole.
//! A minute in which the load begins or ends also holds time without our load: requests that are
//! not ours in such a minute may have come before or after it, so it only proves that all were
//! ours. Without any minute to compare, load of others both before and after ours is taken to have
//! lasted.
//!
//! It leaves out how much other load is too much for a verdict: `judge` decides that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::Second;
use super::timeline::{Observed, Timeline, series};
use model::measure::{Results, Select, Tally};

/// Share of others up to which nearly all load is ours. Clocks that count as one may be 3 s apart,
/// and that is 5 % of a steady minute.
pub const NEARLY_ALL: f64 = 0.05;
/// Share of others above which they matter. Their seconds are known by the minute only: between
/// none of them and twice as many, the load of a second is wrong by this share, and two loads count
/// as the same within it.
pub const TOO_MANY: f64 = 0.1;
/// A count below this share of what we sent is not whole: it is late, or a part of our load goes
/// elsewhere.
const WHOLE_COUNT: f64 = 0.9;
/// Seconds by which a request may be counted on the other side of a minute's edge: the clocks may
/// be this far apart.
const EDGE: usize = 3;
/// Share of the load that must be compared: of a load of up to three minutes, often one is whole.
const LEAST_COMPARED: f64 = 1.0 / 3.0;

/// The requests of a load, compared with those that the load balancer counted.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherLoad {
    /// Requests of ours in the seconds that were compared.
    pub ours: u64,
    /// Requests of others in the same seconds.
    pub others: f64,
    /// Requests that may be of either side, because they came close to the edge of a minute that
    /// could not be compared.
    pub uncertain: f64,
    /// Others in the minute in which they sent most, as a share of them and our highest minute.
    pub burst_share: f64,
    /// Seconds of the load that were compared. 0 where others were only seen before and after it.
    pub compared_s: usize,
    /// Seconds of the load.
    pub load_s: usize,
    /// Requests of others per second in the whole minutes before the load; `None` where there is
    /// none.
    pub before: Option<f64>,
    /// The same after the load.
    pub after: Option<f64>,
    /// Others per second, by the seconds of the load in which they were compared.
    rates: Vec<(Range<usize>, f64)>,
}

/// The part of a load that others sent, in the steps that a judgement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherShare {
    /// Their number may be an error of the count.
    NearlyNone,
    /// Figures and advice hold all the same.
    Some,
    /// Figures and advice may be wrong for them.
    TooMany,
}

/// The reason why our requests could not be compared with the load balancer's count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum NotCounted {
    /// No request of ours reached the target.
    NothingSent,
    /// No load balancer counted requests.
    NoCount,
    /// Too little of the load lies in minutes that were counted to their end.
    TooShort {
        /// Seconds of the load that could be compared.
        compared_s: usize,
        /// Seconds of the load.
        load_s: usize,
    },
    /// The load balancer counted fewer requests than were sent.
    FewerCounted {
        /// Requests that it counted in those minutes.
        counted: u64,
        /// Requests that we sent in the same minutes.
        sent: u64,
    },
    /// The minutes in which the load began and ended have requests of others, and no minute lies
    /// within the load.
    OnlyAtItsEnds {
        /// Requests that are not ours in those minutes.
        others: u64,
    },
}

/// A period of the load balancer's count.
struct Period {
    /// The seconds of the load in it.
    seconds: Range<usize>,
    /// Seconds of the period itself.
    length: usize,
    /// True if the load had ended before it began.
    is_after: bool,
    ours: u64,
    /// `None` where no datapoint had come.
    counted: Option<f64>,
}

impl Period {
    /// True if the whole period lies within the load.
    fn is_whole(&self) -> bool {
        self.seconds.len() == self.length
    }

    fn excess(&self) -> f64 {
        self.counted.unwrap_or_default() - self.ours as f64
    }

    /// True if the count is there, and is not obviously a part only.
    fn is_counted(&self) -> bool {
        self.counted
            .is_some_and(|counted| counted >= self.ours as f64 * WHOLE_COUNT)
    }

    /// True if nearly all requests of the period are ours.
    fn is_ours(&self) -> bool {
        self.excess() <= self.ours as f64 * NEARLY_ALL
    }
}

/// Returns the requests of ours that a load balancer sees, by second of the load.
pub fn sent(results: &Results) -> Vec<u64> {
    let seconds = results.by_second(Select::default());
    seconds.iter().map(|one| seen(&one.tally)).collect()
}

/// Each redirect that was followed is a request of its own; without a connection there was none.
fn seen(tally: &Tally) -> u64 {
    (tally.requests() + tally.redirects)
        .saturating_sub(tally.unsent)
        .saturating_sub(tally.connect)
        .saturating_sub(tally.tls)
}

/// Compares the requests that were sent in each second with the load balancer's count.
pub fn compare(
    sent: &[u64],
    timeline: &Timeline,
    started: Timestamp,
) -> Result<OtherLoad, NotCounted> {
    if sent.iter().all(|sent| *sent == 0) {
        return Err(NotCounted::NothingSent);
    }
    let periods = periods(sent, timeline, started);
    if !periods.iter().any(|one| one.counted.is_some()) {
        return Err(NotCounted::NoCount);
    }
    let rate = |is_after: bool| mean_outside(&periods, is_after);
    let (before, after) = (rate(false), rate(true));
    let of_load = || periods.iter().filter(|one| !one.seconds.is_empty());
    let whole = || of_load().filter(|one| one.is_whole() && one.is_counted());
    let proven = || of_load().filter(|one| !one.is_whole() && one.is_counted() && one.is_ours());
    let compared_s = whole().chain(proven()).map(|one| one.seconds.len()).sum();
    let found = OtherLoad {
        ours: whole().chain(proven()).map(|one| one.ours).sum(),
        others: 0.0,
        uncertain: 0.0,
        burst_share: 0.0,
        compared_s,
        load_s: sent.len(),
        before,
        after,
        rates: Vec::new(),
    };
    let found = OtherLoad {
        uncertain: uncertain(&whole().chain(proven()).collect::<Vec<_>>(), sent),
        ..found.with_whole(&whole().collect::<Vec<_>>(), peak(&periods))
    };
    if compared_s as f64 >= sent.len() as f64 * LEAST_COMPARED
        || found.share() == OtherShare::TooMany
    {
        return Ok(found);
    }
    found
        .lasting(sent)
        .ok_or_else(|| why_not(&periods, sent, compared_s))
}

/// Returns the periods from the first observation to the last datapoint that were over when the
/// count was read.
fn periods(sent: &[u64], timeline: &Timeline, started: Timestamp) -> Vec<Period> {
    let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
    let (mut read, mut period) = (i64::MIN, 0);
    // Each target group has a count of its own: a request comes to one of them.
    for one in &timeline.observations {
        let Observed::Metric(series) = &one.seen else {
            continue;
        };
        if series.name == series::REQUESTS {
            (read, period) = (one.at.as_second(), series.period.as_secs() as i64);
            for point in &series.points {
                *counts.entry(point.at.as_second()).or_default() += point.value;
            }
        }
    }
    let (Some(last), Some(first)) = (
        counts.keys().next_back().copied(),
        timeline.observations.first(),
    ) else {
        return Vec::new();
    };
    if period <= 0 {
        return Vec::new();
    }
    let first = first.at.as_second().min(started.as_second());
    let first = first - first.rem_euclid(period);
    let starts = (0..).map(|index| first + index * period);
    let over = starts.take_while(|start| *start <= last && start + period <= read);
    over.map(|start| {
        let from = seconds_until(started, start, sent.len());
        let to = seconds_until(started, start + period, sent.len());
        let ours = sent[from..to].iter().sum();
        // A count of nothing has no datapoint.
        let counted = counts.get(&start).copied();
        let nothing = (ours == 0).then_some(0.0);
        Period {
            seconds: from..to,
            length: period as usize,
            is_after: from == sent.len(),
            ours,
            counted: counted.or(nothing),
        }
    })
    .collect()
}

/// Returns the number of seconds of the load whose middle lies before a time of the clock.
fn seconds_until(started: Timestamp, until: i64, all: usize) -> usize {
    let passed = until as f64 - started.as_nanosecond() as f64 / 1e9;
    (passed + 0.5).floor().clamp(0.0, all as f64) as usize
}

/// Returns the requests per second in the periods before the load, or after it.
fn mean_outside(periods: &[Period], is_after: bool) -> Option<f64> {
    let outside = || {
        let outside = periods.iter().filter(|one| one.seconds.is_empty());
        outside.filter(|one| one.is_after == is_after)
    };
    let seconds: usize = outside().map(|one| one.length).sum();
    let counted: f64 = outside().filter_map(|one| one.counted).sum();
    (seconds > 0).then(|| counted / seconds as f64)
}

/// Returns our requests per second in the period in which we sent most.
fn peak(periods: &[Period]) -> f64 {
    periods
        .iter()
        .map(|one| one.ours as f64 / one.seconds.len().max(1) as f64)
        .fold(0.0, f64::max)
}

fn why_not(periods: &[Period], sent: &[u64], compared_s: usize) -> NotCounted {
    let of_load = || periods.iter().filter(|one| !one.seconds.is_empty());
    let fewer = || of_load().filter(|one| one.counted.is_some() && !one.is_counted());
    let at_ends: f64 = of_load()
        .filter(|one| !one.is_whole() && one.is_counted() && !one.is_ours())
        .map(Period::excess)
        .sum();
    if fewer().next().is_some() {
        NotCounted::FewerCounted {
            counted: fewer().filter_map(|one| one.counted).sum::<f64>() as u64,
            sent: fewer().map(|one| one.ours).sum(),
        }
    } else if at_ends > 0.0 {
        NotCounted::OnlyAtItsEnds {
            others: at_ends as u64,
        }
    } else {
        NotCounted::TooShort {
            compared_s,
            load_s: sent.len(),
        }
    }
}

impl OtherLoad {
    /// Adds the others of whole periods. A request that is counted in the period after its own
    /// makes one excess too large and the other too small: only their sum is others.
    fn with_whole(mut self, whole: &[&Period], peak: f64) -> Self {
        let positive: f64 = whole.iter().map(|one| one.excess().max(0.0)).sum();
        let net: f64 = whole.iter().map(|one| one.excess()).sum();
        let part = if positive > 0.0 {
            (net / positive).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let others = |one: &Period| one.excess().max(0.0) * part;
        self.others = whole.iter().map(|one| others(one)).sum();
        self.rates = whole
            .iter()
            .map(|one| {
                let seconds = one.seconds.len() as f64;
                (one.seconds.clone(), others(one) / seconds)
            })
            .collect();
        let burst = self.rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        if burst > 0.0 {
            self.burst_share = burst / (burst + peak);
        }
        self
    }

    /// Takes load that came both before and after ours for load that lasted. Load on one side only
    /// may have been an earlier run of ours.
    fn lasting(mut self, sent: &[u64]) -> Option<Self> {
        let rate = self.before?.min(self.after?);
        self.ours = sent.iter().sum();
        self.others = rate * sent.len() as f64;
        self.compared_s = 0;
        self.rates = vec![(0..sent.len(), rate)];
        (self.others_share() > TOO_MANY).then_some(self)
    }

    /// Returns the requests of others as a share of all in the compared seconds.
    pub fn others_share(&self) -> f64 {
        self.others / (self.others + self.ours as f64).max(1.0)
    }

    /// Returns how much of the load is of others. What may be of either side is held against
    /// neither: it does not make others too many, and it does not make them nearly none.
    pub fn share(&self) -> OtherShare {
        let sure = (self.others - self.uncertain).max(0.0);
        let sure_part = if self.others > 0.0 {
            sure / self.others
        } else {
            0.0
        };
        let sure_share = sure / (sure + self.ours as f64).max(1.0);
        if sure_share.max(self.burst_share * sure_part) > TOO_MANY {
            OtherShare::TooMany
        } else if self.others_share().max(self.burst_share) > NEARLY_ALL {
            OtherShare::Some
        } else {
            OtherShare::NearlyNone
        }
    }

    /// Returns the requests of others in a second of the load; 0 where they may be an error of the
    /// count. A second that was not compared has the mean of all that were.
    pub fn per_second(&self, second: usize) -> f64 {
        if self.share() == OtherShare::NearlyNone {
            return 0.0;
        }
        let compared: usize = self.rates.iter().map(|(seconds, _)| seconds.len()).sum();
        self.rates
            .iter()
            .find(|(seconds, _)| seconds.contains(&second))
            .map_or(self.others / compared.max(1) as f64, |(_, rate)| *rate)
    }

    /// Adds the requests of others to the load that the group carried in each second.
    pub fn add_to(&self, seconds: &mut [Second]) {
        for (index, second) in seconds.iter_mut().enumerate() {
            second.others = self.per_second(index);
            second.demand += second.others;
        }
    }

    /// Returns the seconds whose answers others may have changed: those in which they sent over
    /// [`TOO_MANY`] of the load, [`EDGE`] around them, and each later second in which a request
    /// ended that had begun in one of them. There are none if others do not matter at all.
    /// `longest` is the longest time that a request took which ended in a second.
    pub fn changed_seconds(&self, load: &[Second], longest: &[Duration]) -> BTreeSet<u32> {
        if self.share() != OtherShare::TooMany {
            return BTreeSet::new();
        }
        let is_theirs = |second: &Second| second.others > second.demand * TOO_MANY;
        let theirs = (0..load.len()).filter(|index| is_theirs(&load[*index]));
        let around = |index: usize| index.saturating_sub(EDGE)..=index + EDGE;
        let near: BTreeSet<usize> = theirs.flat_map(around).collect();
        let may_be = |index: &usize| {
            let took = longest.get(*index).map_or(0, Duration::as_secs) as usize;
            let began = index.saturating_sub(took + 1);
            near.contains(index) || took > 0 && near.range(began..*index).next().is_some()
        };
        (0..load.len())
            .filter(may_be)
            .map(|index| index as u32)
            .collect()
    }
}

/// Returns our requests within [`EDGE`] of an edge between a compared period and a part of the load
/// that was not compared.
fn uncertain(compared: &[&Period], sent: &[u64]) -> f64 {
    let begins = |second: usize| compared.iter().any(|one| one.seconds.start == second);
    let ends = |second: usize| compared.iter().any(|one| one.seconds.end == second);
    let edges = compared
        .iter()
        .flat_map(|one| [one.seconds.start, one.seconds.end])
        .filter(|edge| !(begins(*edge) && ends(*edge)));
    let near = |edge: usize| {
        let sum = |range: Range<usize>| sent.get(range).unwrap_or_default().iter().sum::<u64>();
        let before = sum(edge.saturating_sub(EDGE)..edge);
        before.max(sum(edge..(edge + EDGE).min(sent.len())))
    };
    let open = |edge: &usize| *edge > 0 && *edge < sent.len();
    edges.filter(open).map(near).sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, counted, group};
    use crate::timeline::Observation;
    use model::measure::{Cell, Interval, Key, LatencyHistogram};

    /// A load of three minutes, 10 requests per second, from 12:00:30 on.
    const SENT: [u64; 180] = [10; 180];

    /// Compares it with counts that were read long after its end.
    fn compared(minutes: &[(u32, f64)]) -> Result<OtherLoad, NotCounted> {
        read_at(600, minutes)
    }

    fn read_at(read: u32, minutes: &[(u32, f64)]) -> Result<OtherLoad, NotCounted> {
        with(vec![group(0, 1, &["i-1"]), counted(read, minutes)])
    }

    fn with(observations: Vec<Observation>) -> Result<OtherLoad, NotCounted> {
        compare(&SENT, &Timeline { observations }, at(30))
    }

    #[test]
    fn a_count_of_what_was_sent_proves_that_nearly_all_was_ours() {
        let found = compared(&[(0, 300.0), (60, 600.0), (120, 606.0), (180, 300.0)]).unwrap();
        assert_eq!(
            (found.ours, found.others, found.compared_s, found.load_s),
            (1_800, 6.0, 180, 180)
        );
        assert_eq!(found.share(), OtherShare::NearlyNone);
        assert_eq!(
            found.per_second(70),
            0.0,
            "an error of the count is no load"
        );
    }

    #[test]
    fn others_are_spread_over_their_minute_and_the_mean_is_where_nothing_was_compared() {
        // 5/s of others all the time; the two whole minutes begin 30 and 90 s after the load.
        let found = compared(&[(0, 600.0), (60, 960.0), (120, 840.0), (180, 600.0)]).unwrap();
        assert_eq!(
            (found.ours, found.others, found.compared_s),
            (1_200, 600.0, 120)
        );
        assert_eq!(found.share(), OtherShare::TooMany);
        let rates = [0, 30, 89, 90, 149, 150].map(|second| found.per_second(second));
        assert_eq!(rates, [5.0, 6.0, 6.0, 4.0, 4.0, 5.0]);
        let second = Second {
            demand: 10.0,
            others: 0.0,
            ok: 8,
            errors: 2,
            constant: 0,
            pooled: false,
            p95: None,
        };
        let mut seconds = [second; 31];
        found.add_to(&mut seconds);
        assert_eq!((seconds[30].demand, seconds[30].others), (16.0, 6.0));
        assert_eq!(
            seconds[30].answered(),
            12.8,
            "others are answered like ours"
        );
    }

    #[test]
    fn the_counts_of_several_target_groups_are_one() {
        let story = vec![
            group(0, 1, &["i-1"]),
            counted(600, &[(0, 300.0), (60, 400.0), (120, 600.0), (180, 300.0)]),
            counted(600, &[(60, 200.0)]),
        ];
        assert_eq!(with(story).unwrap().others, 0.0);
    }

    #[test]
    fn requests_that_are_counted_a_minute_later_are_not_of_others() {
        let found = compared(&[(0, 300.0), (60, 550.0), (120, 650.0), (180, 300.0)]).unwrap();
        assert_eq!((found.others, found.burst_share), (0.0, 0.0));
    }

    #[test]
    fn a_minute_that_is_missing_or_late_is_left_out_and_its_edges_are_uncertain() {
        let found = compared(&[(0, 300.0), (60, 640.0), (180, 300.0)]).unwrap();
        assert_eq!((found.compared_s, found.uncertain), (120, 60.0));
        assert_eq!(found.others, 40.0);
        // 40 of 640 are more than 5 %, and no more than the clocks could have moved.
        assert_eq!(found.share(), OtherShare::Some);
        // At 12:03:50 the last minute is not over, and its count a part.
        let late = read_at(230, &[(0, 300.0), (60, 600.0), (120, 600.0), (180, 100.0)]).unwrap();
        assert_eq!((late.compared_s, late.uncertain), (150, 30.0));
        // The second whole minute has come in part only.
        let part = compared(&[(0, 300.0), (60, 600.0), (120, 200.0), (180, 300.0)]).unwrap();
        assert_eq!((part.compared_s, part.others), (120, 0.0));
    }

    #[test]
    fn a_burst_of_others_in_one_minute_counts_by_that_minute() {
        let mut sent = vec![2; 1_200];
        sent[600..660].fill(100);
        let mut minutes: Vec<(u32, f64)> = (0..20).map(|minute| (minute * 60, 120.0)).collect();
        minutes[10].1 = 6_000.0;
        minutes[3].1 = 120.0 + 1_200.0;
        let observations = vec![group(0, 1, &["i-1"]), counted(2_000, &minutes)];
        let found = compare(&sent, &Timeline { observations }, at(0)).unwrap();
        assert_eq!(found.others, 1_200.0);
        assert_eq!(
            (found.burst_share * 1e3).round(),
            167.0,
            "20/s beside 100/s"
        );
        assert_eq!(found.share(), OtherShare::TooMany);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        assert_eq!(with(vec![group(0, 1, &["i-1"])]), Err(NotCounted::NoCount));
        let none: [u64; 3] = [0; 3];
        let nothing = compare(&none, &Timeline::default(), at(0));
        assert_eq!(nothing, Err(NotCounted::NothingSent));
        assert_eq!(
            compared(&[(0, 30.0), (60, 60.0), (120, 60.0), (180, 30.0)]),
            Err(NotCounted::FewerCounted {
                counted: 180,
                sent: 1_800
            })
        );
        // At 12:01:10 only the minute in which the load began is over.
        assert_eq!(
            read_at(70, &[(0, 300.0), (60, 100.0)]),
            Err(NotCounted::TooShort {
                compared_s: 30,
                load_s: 180
            })
        );
        // An earlier run may have sent them.
        assert_eq!(
            read_at(70, &[(0, 500.0), (60, 100.0)]),
            Err(NotCounted::OnlyAtItsEnds { others: 200 })
        );
    }

    #[test]
    fn load_before_and_after_ours_lasted_and_load_on_one_side_need_not() {
        let around = |before: f64, after: f64| {
            let observations = vec![
                group(0, 1, &["i-1"]),
                counted(400, &[(0, before), (180, after), (240, after)]),
            ];
            compare(&[10; 60], &Timeline { observations }, at(90))
        };
        let lasting = around(240.0, 180.0).unwrap();
        assert_eq!((lasting.before, lasting.after), (Some(4.0), Some(3.0)));
        assert_eq!(
            (lasting.ours, lasting.others, lasting.compared_s),
            (600, 180.0, 0)
        );
        assert_eq!(lasting.share(), OtherShare::TooMany);
        assert_eq!(lasting.per_second(59), 3.0);
        assert!(around(6_000.0, 6.0).is_err());
    }

    #[test]
    fn others_change_the_seconds_of_their_load_and_those_that_waited_for_it() {
        // Three minutes from a full minute on; others send in the second one only.
        let sent = [10; 180];
        let observations = |others| {
            let minutes = [(0, 600.0), (60, 600.0 + others), (120, 600.0)];
            vec![group(0, 1, &["i-1"]), counted(600, &minutes)]
        };
        let changed = |others: f64, slow: &[(usize, u64)]| {
            let observations = observations(others);
            let found = compare(&sent, &Timeline { observations }, at(0)).unwrap();
            let second = Second {
                demand: 10.0,
                others: 0.0,
                ok: 10,
                errors: 0,
                constant: 0,
                pooled: false,
                p95: None,
            };
            let mut load = [second; 180];
            found.add_to(&mut load);
            let mut longest = [Duration::from_millis(20); 180];
            for (index, seconds) in slow {
                longest[*index] = Duration::from_secs(*seconds);
            }
            found.changed_seconds(&load, &longest)
        };
        let spans = |from, until| (from..until).collect::<BTreeSet<u32>>();
        for (others, slow, expected) in [
            (60.0, &[][..], spans(0, 0)),
            (600.0, &[], spans(57, 123)),
            (600.0, &[(123, 1), (124, 2), (126, 2)], spans(57, 125)),
            (600.0, &[(20, 9)], spans(57, 123)),
        ] {
            assert_eq!(changed(others, slow), expected, "{others} {slow:?}");
        }
    }

    #[test]
    fn a_redirect_is_a_request_and_without_a_connection_there_is_none() {
        let tally = Tally {
            ok: 10,
            status_5xx: 2,
            timeout: 1,
            connect: 5,
            tls: 3,
            unsent: 4,
            redirects: 6,
            ..Tally::default()
        };
        let key = Key {
            phase: 0,
            flow: 0,
            step: 0,
        };
        let latency = LatencyHistogram::default().pack();
        let mut results = Results::default();
        let cell = Cell {
            second: 1,
            key,
            tally,
            latency,
        };
        results.add(
            0,
            &Interval {
                cells: vec![cell],
                ..Interval::default()
            },
        );
        assert_eq!(sent(&results), [0, 19]);
    }
}
