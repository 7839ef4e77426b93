//! Errors that are there whatever the load: the baseline of each step.

use std::collections::BTreeMap;

use super::pooled::chance;
use super::seen::{Seen, mean};
use super::sick::is_about;
use super::{Clue, Hypothesis, Standing, Suspect, TellingRun};
use crate::load::{ERRORS, LEAST_REQUESTS};
use crate::reaction::Times;
use model::measure::{Key, Results, Select, Tally};

/// Fewest errors before the load rose that are more than chance.
const LEAST_ERRORS: u64 = 3;
/// Share of the errors before the rise that one instance may have. More are that instance's own.
const ONE_INSTANCE: f64 = 0.8;
/// Share of its answers that such an instance fails, or the probability of so many errors by chance.
const FAILS: f64 = 0.5;
const CHANCE: f64 = 0.001;

/// The share of each step's requests that always fails.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    steps: Vec<Always>,
    /// Constant errors of each second.
    seconds: BTreeMap<u32, Constant>,
}

/// The constant errors of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Constant {
    /// Errors that were counted, up to what is likely in a single second.
    errors: u64,
    /// Those of them with a status of 500 or above.
    of_5xx: u64,
    /// Errors to expect by the shares of the steps.
    expected: f64,
    /// Errors of each kind, up to what is likely by the kinds before the rise.
    by_kind: Tally,
}

/// The kinds of errors, and the parts that are counted apart.
const KINDS: [fn(&mut Tally) -> &mut u64; 14] = [
    |tally| &mut tally.check,
    |tally| &mut tally.status_5xx,
    |tally| &mut tally.status_5xx_retry_after,
    |tally| &mut tally.status_4xx,
    |tally| &mut tally.limited,
    |tally| &mut tally.status_4xx_retry_after,
    |tally| &mut tally.connect,
    |tally| &mut tally.unresolved,
    |tally| &mut tally.tls,
    |tally| &mut tally.broken,
    |tally| &mut tally.broken_unanswered,
    |tally| &mut tally.lost,
    |tally| &mut tally.timeout,
    |tally| &mut tally.unsent,
];

/// A step that fails as often before the load rose as after.
#[derive(Debug, Clone, PartialEq)]
struct Always {
    flow: u16,
    step: u16,
    share: f64,
    before: f64,
    during: f64,
}

impl Baseline {
    /// Compares each step before the first rise, in the spikes and after them. Returns no baseline
    /// where the load has no part before its rise.
    pub fn of(results: &Results, times: &Times) -> Self {
        let second = |at| crate::instances::second(times.started, at);
        let rose = times.spikes.first().and_then(|spike| second(spike.rose?));
        let fell = times.spikes.last().and_then(|spike| second(spike.fell?));
        let Some(rose) = rose.filter(|rose| *rose > 0) else {
            return Self::default();
        };
        if is_of_one_instance(results, rose) {
            return Self::default();
        }
        let last = results.last_second().map_or(0, |last| last + 1);
        let fell = fell.unwrap_or(last);
        let mut found = Self::default();
        let mut steps: Vec<(u16, u16)> = results
            .keys()
            .into_iter()
            .map(|key| (key.flow, key.step))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        for (flow, step) in steps {
            let share = |from, until| share(results, flow, step, (from, until));
            let Some(before) = share(0, rose).filter(|(_, errors)| *errors >= LEAST_ERRORS) else {
                continue;
            };
            let Some((during, _)) = share(rose, fell) else {
                continue;
            };
            let later = share(fell, last).map(|(share, _)| share);
            let least = before.0.min(during).min(later.unwrap_or(1.0));
            if least > 0.0 && least * 2.0 >= before.0 {
                found.steps.push(Always {
                    flow,
                    step,
                    share: least,
                    before: before.0,
                    during,
                });
                found.count(results, (flow, step), before.0.max(least), rose);
            }
        }
        found
    }

    /// Counts the step's errors of each second, up to what its share makes likely. `rose` is the
    /// second of the first rise.
    fn count(&mut self, results: &Results, (flow, step): (u16, u16), share: f64, rose: u32) {
        let select = Select {
            flow: Some(flow),
            step: Some(step),
            ..Select::default()
        };
        let before = Select {
            seconds: Some((0, rose)),
            ..select
        };
        let mut before = results.merged(before).tally;
        for (second, merged) in (0..).zip(results.by_second(select)) {
            let expected = merged.tally.requests() as f64 * share;
            // Three standard deviations of a binomial share.
            let likely = expected + 3.0 * (expected * (1.0 - share)).max(0.0).sqrt();
            let all = merged.tally.errors();
            let errors = all.min(likely.ceil() as u64);
            let entry = self.seconds.entry(second).or_default();
            entry.expected += expected;
            entry.errors += errors;
            entry.of_5xx += errors * merged.tally.status_5xx / all.max(1);
            let mut tally = merged.tally;
            let most = before.errors().max(1);
            for kind in KINDS {
                let likely = (errors * *kind(&mut before)).div_ceil(most);
                *kind(&mut entry.by_kind) += likely.min(*kind(&mut tally));
            }
        }
    }

    /// Returns the constant errors of a second.
    pub fn errors(&self, second: usize) -> u64 {
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        self.seconds.get(&second).map_or(0, |one| one.errors)
    }

    /// Returns the constant errors of a second with a status of 500 or above.
    pub fn errors_5xx(&self, second: u32) -> u64 {
        self.seconds.get(&second).map_or(0, |one| one.of_5xx)
    }

    /// Returns the requests of a second without the constant errors of each kind.
    pub(super) fn without(&self, second: u32, mut tally: Tally) -> Tally {
        if let Some(one) = self.seconds.get(&second) {
            let mut constant = one.by_kind;
            for kind in KINDS {
                let rest = kind(&mut tally).saturating_sub(*kind(&mut constant));
                *kind(&mut tally) = rest;
            }
        }
        tally
    }

    /// Returns the most constant errors that are likely in all these seconds together: three standard
    /// deviations above what is to expect.
    pub fn likely(&self, seconds: &[u32]) -> u64 {
        let all = seconds.iter().filter_map(|second| self.seconds.get(second));
        let expected: f64 = all.map(|one| one.expected).sum();
        (expected + 3.0 * expected.sqrt()).ceil() as u64
    }
}

fn share(results: &Results, flow: u16, step: u16, seconds: (u32, u32)) -> Option<(f64, u64)> {
    let select = Select {
        flow: Some(flow),
        step: Some(step),
        seconds: Some(seconds),
        ..Select::default()
    };
    let tally = results.merged(select).tally;
    let requests = tally.requests();
    (requests >= LEAST_REQUESTS).then(|| (tally.errors() as f64 / requests as f64, tally.errors()))
}

/// Returns true if one of several instances has nearly all errors before the rise, and that is no
/// chance.
fn is_of_one_instance(results: &Results, rose: u32) -> bool {
    let tally = |id, until| results.of_instance(id, Some((0, until))).tally;
    let tallies = |until| results.instances().map(move |id| tally(id, until));
    let before = || tallies(rose).filter(|tally| tally.requests() > 0);
    let errors = |id| tally(id, rose).errors();
    let Some(most) = results.instances().max_by_key(|id| errors(*id)) else {
        return false;
    };
    let fails = |tally: Tally| tally.errors() as f64 >= tally.requests().max(1) as f64 * FAILS;
    // Few errors before the rise are told from chance by those after it.
    let is_no_chance = |until| {
        let (own, mut all) = (tally(most, until), Tally::default());
        tallies(until).for_each(|one| all.merge(&one));
        let share = own.requests() as f64 / all.requests().max(1) as f64;
        let ids = results.instances().count() as f64;
        is_nearly_all(own.errors(), all.errors())
            && chance(own.errors(), all.errors(), share) * ids <= CHANCE
    };
    let all = before().map(|tally| tally.errors()).sum();
    is_nearly_all(errors(most), all)
        && before().count() > 1
        && (before().any(fails) || is_no_chance(rose) || is_no_chance(u32::MAX))
}

fn is_nearly_all(own: u64, all: u64) -> bool {
    all > 0 && own as f64 >= all as f64 * ONE_INSTANCE
}

/// Returns the hypotheses, if a step always fails. Without a header, one instance may be the one that
/// always fails.
pub(super) fn hypotheses(seen: &Seen<'_>, baseline: &Baseline) -> Vec<Hypothesis> {
    let flows = &seen.of.scenario.flows;
    let clue = |always: &Always| Clue::AlwaysFails {
        step: flows
            .get(always.flow as usize)
            .and_then(|flow| flow.steps.get(always.step as usize))
            .map_or_else(String::new, |step| step.name.clone()),
        before: always.before,
        during: always.during,
    };
    let shown = baseline.steps.iter().filter(|one| one.share >= ERRORS);
    let clues: Vec<Clue> = shown.map(clue).collect();
    if clues.is_empty() {
        return Vec::new();
    }
    let Some(one) = one_in_all(seen, baseline) else {
        return vec![Hypothesis::new(
            Suspect::ConstantErrors,
            Standing::Holds,
            clues,
        )];
    };
    [
        (Suspect::ConstantErrors, clues),
        (Suspect::SickInstance, vec![one]),
    ]
    .map(|(suspect, clues)| Hypothesis::new(suspect, Standing::Open, clues))
    .map(|open| open.told_by(TellingRun::InstanceHeader))
    .into()
}

/// Returns the clue that one instance may have made the constant errors: every step fails the share
/// of one in all instances, before the load rose and in the spike, and no error names its instance.
fn one_in_all(seen: &Seen<'_>, baseline: &Baseline) -> Option<Clue> {
    let spike = seen.spikes.first()?;
    let before = seen.serving(spike.start.checked_sub(1)?);
    let during = mean(spike.clone().map(|second| f64::from(seen.serving(second))));
    let is_of_one =
        |one: &Always| is_about(one.before, f64::from(before)) && is_about(one.during, during);
    let rose = spike.start as u32;
    let results = seen.of.results;
    let has_errors = |key: &Key| {
        let is_it = |one: &&Always| (one.flow, one.step) == (key.flow, key.step);
        // A step with few requests may have had none of its errors yet.
        baseline.steps.iter().any(|one| is_it(&one))
            || share(results, key.flow, key.step, (0, rose)).is_none()
    };
    let is_one = !seen.errors_are_named()
        && baseline.steps.iter().all(is_of_one)
        && results.keys().iter().all(has_errors);
    is_one.then(|| Clue::OneInN {
        share: mean(baseline.steps.iter().map(|one| one.before)),
        instances: before,
    })
}
