//! Requests that are not spread over the instances: some have more than they carry while others have
//! hardly anything to do.

use std::ops::Range;

use super::bottleneck::around;
use super::seen::{Seen, median, p95};
use super::{Clue, Hypothesis, Standing, Suspect};

/// Factor over an even share that the slow instances must have.
const MORE: f64 = 1.3;
/// Share of an even share that the others may have at most.
const LESS: f64 = 0.75;
/// Share of the first latency that the last must have.
const AS_SLOW: f64 = 0.8;
/// Fewest such seconds.
const LEAST: usize = 3;

/// The instance with the most requests in a second, and their number.
struct Most<'a> {
    id: &'a str,
    /// Its requests, divided by an even share.
    times: f64,
    /// p95 of all in that second, in microseconds.
    p95: u64,
}

/// Tests each spike; the first in which the requests were uneven counts. Takes a header that names
/// instances.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    let mut spikes = seen.spikes.iter();
    spikes.find_map(|spike| in_spike(seen, spike))
}

fn in_spike(seen: &Seen<'_>, spike: &Range<usize>) -> Option<Hypothesis> {
    let bad: Vec<usize> = seen.bad_in(spike.clone()).collect();
    let uneven: Vec<Most<'_>> = bad.iter().filter_map(|at| in_second(seen, *at)).collect();
    if uneven.len() < LEAST {
        return None;
    }
    // A backlog is answered sooner or later; what is pinned stays.
    let third = uneven.len() / 3;
    let usual = |part: &[Most<'_>]| median(part.iter().map(|one| one.p95)).unwrap_or(0) as f64;
    if usual(&uneven[uneven.len() - third..]) < usual(&uneven[..third]) * AS_SLOW {
        return None;
    }
    let most = uneven.iter().max_by(|a, b| a.times.total_cmp(&b.times))?;
    let clue = Clue::MoreThanEven {
        instance: most.id.to_owned(),
        times: most.times,
    };
    // Instances that get no requests help in no second of the spike.
    let all = around(seen, spike, &bad);
    Some(Hypothesis::new(Suspect::UnevenLoad, Standing::Holds, vec![clue]).explains(&all))
}

/// Returns the busiest instance of a second, if the slow ones had far more than an even share and
/// the others far less.
fn in_second<'a>(seen: &Seen<'a>, second: usize) -> Option<Most<'a>> {
    let serving = f64::from(seen.serving(second));
    // A second with few requests has them of few instances, however they are spread.
    if serving < 2.0 || !seen.is_settled(second) || seen.is_pooled(second) {
        return None;
    }
    let (mut slow, mut quick) = (Vec::new(), Vec::new());
    for id in seen.of.results.instances() {
        let own = seen.own(id, second);
        let requests = own.tally.requests() as f64;
        match p95(&own.latency) {
            Some(p95) if p95 > seen.limit_us() => slow.push((id, requests)),
            Some(_) => quick.push(requests),
            None => {}
        }
    }
    let of_slow: f64 = slow.iter().map(|(_, requests)| requests).sum();
    let of_quick: f64 = quick.iter().sum();
    let even = (of_slow + of_quick) / serving;
    let others = serving - slow.len() as f64;
    let is_uneven = !slow.is_empty()
        && others >= 1.0
        && of_slow / slow.len() as f64 >= even * MORE
        && of_quick / others <= even * LESS;
    let (id, requests) = slow.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    is_uneven.then_some(Most {
        id,
        times: requests / even,
        p95: seen.of.load.get(second).and_then(|load| load.p95)?,
    })
}
