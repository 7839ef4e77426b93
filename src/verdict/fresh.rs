//! Fresh instances: do they serve at once, or do their first requests pay for it?

use std::time::Duration;

use super::Judgement;
use super::advice::{self, Confidence, Limit, Measured};
use super::chain::{self, Launched, Why, after};
use super::scaling::{Case, judgement};
use crate::measure::{Merged, Select, Tally};
use crate::outcome::Verdict;
use crate::units;

/// Errors beyond this share are a fresh instance's own, if the others make fewer.
const ERRORS: f64 = 0.01;
/// So many times the others' is an outlier.
const OUTLIER: u32 = 2;
/// Fewer requests say nothing of a percentile.
const LEAST: u64 = 20;

const ASKED: &str = "fresh instances serve at once";

pub fn judge(case: &Case<'_>) -> Option<Judgement> {
    let fresh_for = case.scenario.scaling.fresh_instances?;
    if let Some(found) = never_served(case) {
        return Some(found);
    }
    let served: Vec<&Launched> =
        case.reaction.launched.iter().filter(|one| one.serves().is_some_and(|at| at < case.times.ended)).collect();
    if served.is_empty() {
        let because = "no new instance could take requests before the load ended".to_owned();
        return Some(judgement(ASKED, Verdict::Inconclusive, "", because));
    }
    Some(match case.results.names_instances() {
        true => by_header(case, &served, fresh_for),
        false => by_inference(case, &served, fresh_for),
    })
}

/// Instances that failed their checks before they ever took a request: replaced, and their successors as well.
pub fn never_served(case: &Case<'_>) -> Option<Judgement> {
    let failed = case.reaction.left.iter().filter(|one| one.why == Why::FailedChecks);
    let young = failed
        .filter(|gone| case.reaction.launched.iter().any(|one| one.id == gone.id && one.healthy.is_none()))
        .count() as u64;
    if young == 0 {
        return None;
    }
    let grace = chain::group_at(case.timeline, case.times.started).map_or(Duration::ZERO, |one| one.health_check_grace);
    let because = format!(
        "their health checks failed before they were ready, with a grace of {}: a health check grace longer than an instance \
         takes to start, or a launch lifecycle hook",
        units::duration(grace)
    );
    let measured = format!("{} terminated before it ever served", units::count(young, "new instance"));
    Some(judgement(ASKED, Verdict::Failed, &measured, because))
}

/// First second and the one after the last in which an instance is fresh.
fn window(case: &Case<'_>, one: &Launched, fresh_for: Duration) -> Option<(u32, u32)> {
    let serves = one.serves()?;
    let second = |at| chain::second(case.times.started, at);
    Some((second(serves)?, second(after(serves, fresh_for))? + 1))
}

/// Each instance's own answers, beside those of the instances that were there before.
fn by_header(case: &Case<'_>, served: &[&Launched], fresh_for: Duration) -> Judgement {
    let is_new = |id: &str| case.reaction.launched.iter().any(|one| one.id == id);
    let old: Vec<&str> = case.results.instances().filter(|id| !is_new(id)).collect();
    let limit = case.limit.unwrap_or(Limit::ASSUMED.p95);
    let (mut answers, mut errors) = (0, 0);
    let mut found: Vec<String> = Vec::new();
    for one in served {
        let Some(window) = window(case, one, fresh_for) else { continue };
        let own = case.results.of_instance(&one.id, Some(window));
        let mut others = Merged::default();
        old.iter().for_each(|id| others.merge(&case.results.of_instance(id, Some(window))));
        answers += own.tally.requests();
        errors += own.tally.errors();
        let share = |merged: &Merged| merged.tally.errors() as f64 / merged.tally.requests().max(1) as f64;
        if share(&own) > ERRORS && share(&own) > share(&others) * f64::from(OUTLIER) {
            found.push(format!("{} answered {:.0}% with errors", one.id, share(&own) * 100.0));
        }
        let p95 = |merged: &Merged| merged.latency.percentile(95.0).filter(|_| merged.tally.requests() >= LEAST);
        if let (Some(mine), Some(theirs)) = (p95(&own), p95(&others))
            && mine > theirs * OUTLIER
            && mine > limit
        {
            let (mine, theirs) = (units::duration(mine), units::duration(theirs));
            found.push(format!("{} took {mine} (p95) where the others took {theirs}", one.id));
        }
    }
    let measured = format!("{errors} errors in {answers} answers of {}", units::count(served.len() as u64, "instance"));
    match (found.first(), answers) {
        (_, 0) => {
            let because = "no answer named a new instance: does the header name them as the group does?".to_owned();
            judgement(ASKED, Verdict::Inconclusive, "", because)
        }
        (None, _) => {
            let because = format!("in the first {} of each, by its header", units::duration(fresh_for));
            judgement(ASKED, Verdict::Passed, &measured, because)
        }
        (Some(first), _) => {
            let more = match found.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            judgement(ASKED, Verdict::Failed, &measured, format!("{first}{more}, by its header"))
        }
    }
}

/// Without a header: errors in the first time of a new instance, as far as no instance had too much to do.
fn by_inference(case: &Case<'_>, served: &[&Launched], fresh_for: Duration) -> Judgement {
    let mut seconds: Vec<u32> =
        served.iter().filter_map(|one| window(case, one, fresh_for)).flat_map(|(from, to)| from..to).collect();
    seconds.sort_unstable();
    seconds.dedup();
    let measured = Measured::new(case.scenario, case.schedule, case.results);
    let limit = Limit::of(case.scenario).p95;
    let serving = chain::serving(case.timeline, case.times.started, measured.seconds.len());
    let capacity = advice::capacity(&measured.seconds, &serving, limit).filter(|one| one.confidence > Confidence::Low);
    let over = |second: usize| match (&capacity, measured.seconds.get(second), serving.get(second)) {
        (Some(capacity), Some(load), Some(count)) => load.demand > capacity.at_limit * f64::from(*count),
        _ => false,
    };
    // With load to spare, and while all had too much to do.
    let (mut spare, mut overload) = (Tally::default(), Tally::default());
    for second in seconds {
        let select = Select { seconds: Some((second, second + 1)), ..Select::default() };
        let tally = case.results.merged(select).tally;
        let at = second as usize;
        // What piled up is answered, or given up, in the next few seconds.
        match over(at) || (1..=3).any(|back| at >= back && over(at - back)) {
            true => overload.merge(&tally),
            false => spare.merge(&tally),
        }
    }
    let too_many = |tally: &Tally| tally.errors() as f64 > tally.requests() as f64 * ERRORS;
    let all = spare.requests() + overload.requests();
    let said = format!("{} errors in {all} requests", spare.errors() + overload.errors());
    let window = units::duration(fresh_for);
    if too_many(&spare) && capacity.is_some() {
        let because = format!(
            "in the first {window} of a new instance, with load to spare: inferred, `instance_header` would say for sure"
        );
        return judgement(ASKED, Verdict::Failed, &said, because);
    }
    if too_many(&overload) && spare.requests() >= LEAST {
        let because = format!(
            "in the first {window} of each, only while all instances had too much to do: none with load to spare (inferred, \
             without `instance_header`)"
        );
        return judgement(ASKED, Verdict::Passed, &said, because);
    }
    if too_many(&overload) || too_many(&spare) {
        let because = format!(
            "in the first {window} of a new instance, but all instances had too much to do: `instance_header` would tell \
             whose they are"
        );
        return judgement(ASKED, Verdict::Inconclusive, &said, because);
    }
    judgement(ASKED, Verdict::Passed, &said, format!("in the first {window} of each, whoever answered"))
}
