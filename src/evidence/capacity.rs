//! Estimates the load that one instance carries within the latency limit, and the value of the
//! policy's metric at that load.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hypotheses::Explained;
use super::load::{Confidence, ERRORS, LEAST_REQUESTS, SETTLING, Second};
use crate::moment::known;
use crate::timeline::{Alarm, MetricSeries};
use model::units::{Seconds, seconds};

/// Seconds on each side of the limit from which an estimate counts as sure.
const SURE: usize = 5;
/// Ratio of the load that missed the limit to the load that held it, up to which the estimate is
/// sure.
const NARROW: f64 = 1.3;
/// The same ratio, above which the estimate is little more than a guess.
const WIDE: f64 = 2.0;
/// Most phases that the advice suggests for another run.
const MOST_STEPS: u32 = 3;
/// Share by which two loads may differ and still count as the same.
const SAME_LOAD: f64 = 0.1;
/// Share of its ceiling up to which the metric follows the load.
const BELOW_CEILING: f64 = 0.95;
/// Seconds between two looks at the group, rounded up.
const POLL: usize = 3;
/// Ceiling of CloudWatch's CPU metrics, which are percentages.
const CPU_CEILING: f64 = 100.0;

/// The capacity of one instance, as this run shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceCapacity {
    /// Requests per second at which p95 crosses the limit.
    pub at_limit: f64,
    /// Requests per second with which the limit held, and with which it was missed. The second is
    /// absent where no load missed it.
    pub between: (f64, Option<f64>),
    /// Requests per second that one instance answered while it was overloaded.
    pub saturated: Option<f64>,
    /// The longest p95 of those seconds: the most work that an instance queues before it loses
    /// requests.
    #[serde(rename = "queue_s", alias = "queue", with = "seconds")]
    #[schemars(with = "Seconds")]
    pub queue: Duration,
    /// Confidence by the seconds that held and missed the limit, the gap between them, and the load
    /// sent.
    pub confidence: Confidence,
    /// Basis of the estimate. Not in reports of versions 1 to 4.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<CapacityReason>,
    /// `reason` as a sentence, which the report adds; empty before that.
    #[serde(default)]
    pub because: String,
}

/// Basis of the estimate, and the run that would make it surer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityReason {
    /// Seconds that held the limit; with `pooled_s` the number of pools.
    pub held_s: usize,
    /// Seconds that missed the limit; with `pooled_s` the number of pools.
    pub missed_s: usize,
    /// Seconds of the longest pool; absent where each second had enough requests for p95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled_s: Option<usize>,
    /// True if enough seconds held the limit and enough missed it.
    pub enough: bool,
    /// The gap between the loads that held and missed the limit; absent where it is narrow, or
    /// where no load missed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<CapacityGap>,
    /// The reason why the load proves less than planned; absent for a load that was sent as
    /// planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weakness: Option<Weakness>,
    /// The load of others that the estimate includes; absent where there was none to speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<OthersIncluded>,
}

/// The load of others that an estimate includes. It is known by the minute only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OthersIncluded {
    /// Requests of others as a share of all, from 0 to 1.
    pub share: f64,
    /// Requests of others per second, on average over the load.
    pub per_second: f64,
}

impl OthersIncluded {
    fn of(seconds: &[Second]) -> Option<Self> {
        let others: f64 = seconds.iter().map(|second| second.others).sum();
        let all: f64 = seconds.iter().map(|second| second.demand).sum();
        (others > 0.0).then(|| Self {
            share: others / all,
            per_second: others / seconds.len() as f64,
        })
    }
}

/// The gap between the loads that held and missed the limit, and the phases that would narrow it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityGap {
    /// The load that missed the limit, divided by the load that held it.
    pub times: f64,
    /// The loads to try, in requests per second for each instance.
    pub steps_per_second: Vec<f64>,
    /// Instances before the load rose, at least 1.
    pub instances: u32,
}

/// The reason why the load proves less than its plan would have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Weakness {
    /// The load ended before 90 % of its planned time.
    CutShort {
        /// Time for which there was load.
        ran_s: Seconds,
        /// The end of the last phase with load, by the plan.
        planned_s: Seconds,
    },
    /// The share of the load that was sent.
    NotSent {
        /// Iterations sent, or sessions run, as a share of those asked for, from 0 to 1.
        share: f64,
    },
    /// Users waited for slow answers and so sent less. The load lies between the two rates, and the
    /// estimate rests on the upper one.
    EasedOff {
        /// Requests that were sent in the second with the highest load.
        sent_per_second: f64,
        /// Requests that the same users send in a second to a fast target.
        offered_per_second: f64,
    },
}

impl InstanceCapacity {
    /// Returns the load that held the limit, and the least that is known not to: the load that
    /// missed it, or all that an overloaded instance answered.
    pub fn bracket(&self) -> (f64, Option<f64>) {
        let (below, above) = self.between;
        (
            below,
            above.map(|above| {
                self.saturated
                    .map_or(above, |saturated| above.min(saturated))
            }),
        )
    }

    /// Returns the fewest and the most instances that a load may need by this run. The fewest are
    /// `None` where no load missed the limit.
    pub fn needed(&self, load: f64) -> (Option<u32>, u32) {
        let (below, above) = self.bracket();
        let instances = |each: f64| (load / each).ceil() as u32;
        (above.map(instances), instances(below))
    }

    /// Lowers the confidence by the gap between held and missed loads, and by a weakness of the
    /// load sent. `instances` is the group's size before the load rose.
    pub fn weighed(mut self, instances: u32, weakness: Option<Weakness>) -> Self {
        let (below, above) = self.bracket();
        let above = above.filter(|above| *above > below * NARROW);
        if let Some(above) = above {
            let sure = if above <= below * WIDE {
                Confidence::Medium
            } else {
                Confidence::Low
            };
            self.confidence = self.confidence.min(sure);
        }
        if weakness.is_some() {
            self.confidence = self.confidence.lower();
        }
        if let Some(reason) = &mut self.reason {
            reason.gap = above.map(|above| CapacityGap {
                times: above / below,
                steps_per_second: steps(below, above / below),
                instances: instances.max(1),
            });
            reason.weakness = weakness;
        }
        self
    }
}

/// Returns loads to try between the held and the missed one, close enough for a sure estimate, but
/// at most [`MOST_STEPS`].
fn steps(below: f64, apart: f64) -> Vec<f64> {
    let count = ((apart.ln() / NARROW.ln()).ceil() as u32)
        .saturating_sub(1)
        .clamp(1, MOST_STEPS);
    (1..=count)
        .map(|step| below * apart.powf(f64::from(step) / f64::from(count + 1)))
        .collect()
}

/// The policy's metric as a multiple of an instance's requests per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The name in CloudWatch, such as `CPUUtilization`.
    pub name: String,
    /// Value of the metric for each request per second of one instance; the median.
    pub per_request: f64,
    /// The highest value of the metric: 100 for `CPUUtilization`, absent for all others.
    pub ceiling: Option<f64>,
    /// Distance of the median datapoint from that multiple, as a share of it.
    pub scatter: f64,
    /// Number of datapoints behind the median: below 95 % of the ceiling, while the group kept its
    /// size.
    pub datapoints: usize,
}

/// The settled seconds of a run, as evidence for the capacity of one instance. Seconds with few
/// requests are pooled, and a pool counts as one.
#[derive(Default)]
struct Settled {
    /// Demand per instance, and true if the limit held.
    points: Vec<(f64, bool)>,
    /// The size of the group and its demand, for each point.
    stretch: Vec<(u32, f64)>,
    /// Requests per second that an instance answered while the limit was missed.
    answered: Vec<f64>,
    /// Seconds that missed the limit.
    missed: usize,
    /// The longest p95 of those seconds, in microseconds.
    queue: u64,
    /// Seconds of the longest pool.
    longest: usize,
}

impl Settled {
    fn of(seconds: &[Second], serving: &[u32], limit: Duration, explained: &Explained) -> Self {
        let limit_micros = limit.as_micros() as u64;
        let mut found = Self::default();
        // The group's size when the limit was first missed. Once the group has grown, slow answers
        // come from the backlog.
        let mut missed_at: Option<u32> = None;
        let mut next = 0;
        for pool in seconds.chunk_by(|_, next| next.pooled) {
            let index = next;
            next += pool.len();
            let Some(count) = constant(serving, index..next) else {
                continue;
            };
            if (index..next).any(|second| explained.skip.contains(&(second as u32))) {
                continue;
            }
            let ok: u64 = pool.iter().map(|second| second.ok).sum();
            let errors: u64 = pool.iter().map(|second| second.errors).sum();
            let requests = ok + errors;
            let Some(p95) = pool[0].p95.filter(|_| requests >= LEAST_REQUESTS) else {
                continue;
            };
            let is_fast = p95 <= limit_micros;
            let is_failing = errors as f64 > requests as f64 * ERRORS;
            let held = is_fast && !is_failing;
            if held {
                missed_at = None;
            }
            // Errors without latency may be the new instances' own, once the group has grown.
            let has_grown = serving.first().is_some_and(|first| count > *first);
            if is_fast && is_failing && has_grown {
                continue;
            }
            let is_backlog = !held && *missed_at.get_or_insert(count) != count;
            let is_settled =
                index >= SETTLING && constant(serving, index - SETTLING..next).is_some();
            if !is_settled || is_backlog {
                continue;
            }
            let each = f64::from(count);
            let lasts = pool.len() as f64;
            let demand = pool.iter().map(|second| second.demand).sum::<f64>() / lasts;
            found.longest = found.longest.max(pool.len());
            found.points.push((demand / each, held));
            found.stretch.push((count, demand));
            if !held {
                found.missed += 1;
                found.queue = found.queue.max(p95);
                // An instance that works on requests which nobody waits for carries more than this.
                let is_given_up = |second: usize| explained.given_up.contains(&(second as u32));
                if !(index..next).any(is_given_up) {
                    let answered = pool.iter().map(Second::answered).sum::<f64>();
                    found.answered.push(answered / lasts / each);
                }
            }
        }
        found
    }
}

/// Returns the group's size in these seconds; `None` if it changed, is unknown, or is zero.
fn constant(serving: &[u32], seconds: std::ops::Range<usize>) -> Option<u32> {
    let sizes = serving.get(seconds)?;
    let first = sizes.first().copied().filter(|size| *size > 0)?;
    sizes.iter().all(|size| *size == first).then_some(first)
}

/// Estimates the load per instance that splits the seconds that held the limit from those that
/// missed it. It takes the split with the fewest seconds on the wrong side.
pub fn estimate(
    seconds: &[Second],
    serving: &[u32],
    limit: Duration,
    explained: &Explained,
) -> Option<InstanceCapacity> {
    let Settled {
        mut points,
        stretch,
        mut answered,
        missed,
        queue,
        longest,
    } = Settled::of(seconds, serving, limit, explained);
    building_up(&mut points, &stretch);
    let held = points.iter().filter(|(_, held)| *held).count();
    let between = split(&mut points)?;
    answered.sort_by(f64::total_cmp);
    let saturated = answered
        .get(answered.len() / 2)
        .map(|answered| answered.max(between.0));
    // An instance that answers less than it is asked builds a queue, so its rate then is more than
    // it can sustain.
    let middle = between
        .1
        .map_or(between.0, |above| f64::midpoint(between.0, above));
    let at_limit = saturated.map_or(middle, |saturated| middle.min(saturated));
    // Where the split finds no upper bound, the seconds that missed are chance.
    let missed = if between.1.is_some() { missed } else { 0 };
    let confidence = confidence(held, missed)?;
    let others = OthersIncluded::of(seconds);
    Some(InstanceCapacity {
        at_limit,
        between,
        saturated,
        queue: Duration::from_micros(queue),
        confidence: others.map_or(confidence, |_| confidence.lower()),
        reason: Some(CapacityReason {
            held_s: held,
            missed_s: missed,
            pooled_s: (longest > 1).then_some(longest),
            enough: confidence == Confidence::High,
            gap: None,
            weakness: None,
            others,
        }),
        because: String::new(),
    })
}

/// Returns the confidence by the number of seconds that held and missed the limit; `None` where
/// none held it.
fn confidence(held: usize, missed: usize) -> Option<Confidence> {
    match (held, missed) {
        (0, _) => None,
        (_, 0) => Some(Confidence::Low),
        (held, missed) if held >= SURE && missed >= SURE => Some(Confidence::High),
        _ => Some(Confidence::Medium),
    }
}

/// Leaves out seconds that held the limit only because the queue was still filling: the same load
/// on as many instances missed it right after.
fn building_up(points: &mut Vec<(f64, bool)>, stretch: &[(u32, f64)]) {
    let mut keep = vec![true; points.len()];
    let mut misses: Option<(u32, f64)> = None;
    for index in (0..points.len()).rev() {
        let (count, load) = stretch[index];
        let same = misses.is_some_and(|(size, missed)| {
            size == count && (load / missed - 1.0).abs() <= SAME_LOAD
        });
        if !points[index].1 {
            misses = Some((count, load));
        } else if same {
            keep[index] = false;
        } else {
            misses = None;
        }
    }
    let mut kept = keep.into_iter();
    points.retain(|_| kept.next().unwrap_or(true));
}

/// Returns the highest load that held the limit and the lowest that missed it, without those on the
/// wrong side.
fn split(points: &mut [(f64, bool)]) -> Option<(f64, Option<f64>)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let held = points.iter().filter(|(_, held)| *held).count();
    if held == points.len() {
        return points.last().map(|(each, _)| (*each, None));
    }
    // The first `index` points are on the good side; missed points below and held points above are
    // wrong.
    let (mut best, mut cut, mut wrong) = (held, 0, held);
    for (index, (_, held)) in points.iter().enumerate() {
        if *held {
            wrong -= 1;
        } else {
            wrong += 1;
        }
        if wrong < best {
            (best, cut) = (wrong, index + 1);
        }
    }
    let below = cut.checked_sub(1).and_then(|index| points.get(index));
    let above = points.get(cut).map(|(above, _)| *above);
    // If no load held the limit, the capacity is only known to be lower.
    below.map(|(below, _)| (*below, above))
}

/// Computes the median ratio of metric and load, over periods in which the group's size did not
/// change. A line fitted through all periods would bend by the few whose size was seen a poll too
/// late.
pub fn metric(
    series: &MetricSeries,
    alarm: &Alarm,
    seconds: &[Second],
    serving: &[u32],
    started: Timestamp,
) -> Option<Metric> {
    let name = alarm.metric.clone()?;
    let ceiling = (name == "CPUUtilization").then_some(CPU_CEILING);
    let period = series.period.as_secs().max(1) as usize;
    let mut ratios: Vec<f64> = Vec::new();
    for point in &series.points {
        // Periods do not begin with the load: only whole seconds within them count.
        let offset = point.at.duration_since(started).as_secs_f64().ceil();
        if offset < 0.0 || ceiling.is_some_and(|ceiling| point.value >= ceiling * BELOW_CEILING) {
            continue;
        }
        let from = offset as usize;
        let Some(loads) = seconds.get(from..from + period) else {
            continue;
        };
        // A poll sees a change up to [`POLL`] seconds after it happened.
        let around = &serving[from.saturating_sub(1)..serving.len().min(from + period + POLL)];
        let count = serving[from];
        if count == 0 || around.iter().any(|other| *other != count) {
            continue;
        }
        let each = loads.iter().map(|second| second.demand).sum::<f64>()
            / period as f64
            / f64::from(count);
        if each > 0.0 {
            ratios.push(point.value / each);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let per_request = *ratios.get(ratios.len() / 2).filter(|ratio| **ratio > 0.0)?;
    let datapoints = ratios.len();
    let mut scatter: Vec<f64> = ratios
        .iter()
        .map(|ratio| (ratio / per_request - 1.0).abs())
        .collect();
    scatter.sort_by(f64::total_cmp);
    Some(Metric {
        name,
        per_request,
        ceiling,
        scatter: scatter[datapoints / 2],
        datapoints,
    })
}

#[cfg(test)]
mod tests;
