//! What the group's size cost, and whom: too few instances for the load, or more than it needed.

use super::Judgement;
use super::advice::{self, Limit, Measured};
use super::chain;
use super::expectations::percent;
use super::scaling::{Case, judgement};
use crate::outcome::Verdict;

pub struct Efficiency {
    pub judged: Vec<Judgement>,
    /// It decides nothing.
    pub not_judged: Vec<Judgement>,
}

/// How much of the time the group was too small, and how much of what was paid for nothing needed.
/// Where it cannot be told and the scenario does not ask, it is not judged.
pub fn judge(case: &Case<'_>) -> Efficiency {
    let scaling = &case.scenario.scaling;
    let too_few = format!(
        "too few instances < {}% of the time",
        percent(scaling.under_provisioned)
    );
    let needless = format!(
        "needless instance-minutes < {}%",
        percent(scaling.over_provisioned)
    );
    if case.times.stopped.is_some() {
        let because = "the load was stopped: shares of a part of it say nothing of the whole";
        let unclear =
            |asked: String| judgement(&asked, Verdict::Inconclusive, "", because.to_owned());
        return Efficiency {
            judged: [too_few, needless].map(unclear).into(),
            not_judged: Vec::new(),
        };
    }
    let measured = Measured::new(case.scenario, case.schedule, case.results);
    let serving = chain::serving(case.timeline, case.times.started, measured.seconds.len());
    let capacity = advice::capacity(&measured.seconds, &serving, Limit::of(case.scenario).p95)
        .map(|capacity| capacity.weighed(case.reaction.desired_before, None));
    let unknown = capacity
        .as_ref()
        .map_or("no second held the limit".to_owned(), |capacity| {
            capacity.because.clone()
        });
    let Some(capacity) = capacity.filter(|capacity| capacity.confidence > advice::Confidence::Low)
    else {
        let because = format!("what one instance carries is not known well enough: {unknown}");
        let unclear = |asked: String| judgement(&asked, Verdict::Inconclusive, "", because.clone());
        let unclear = [too_few, needless].map(unclear).into();
        return match scaling.asked_for_efficiency {
            true => Efficiency {
                judged: unclear,
                not_judged: Vec::new(),
            },
            false => Efficiency {
                judged: Vec::new(),
                not_judged: unclear,
            },
        };
    };
    let least = chain::group_at(case.timeline, case.times.started).map_or(0, |group| group.min);
    let found = advice::elasticity(&measured.seconds, &serving, capacity.at_limit, least);
    let billed = chain::billed(case.timeline, case.times.started, measured.seconds.len());
    let paid = billed.iter().map(|count| f64::from(*count)).sum::<f64>() / 60.0;
    let over = found.over_instance_minutes / paid.max(f64::EPSILON);
    let verdict = |met| {
        if met {
            Verdict::Passed
        } else {
            Verdict::Failed
        }
    };
    let carries = format!("one instance carries {:.0} requests/s", capacity.at_limit);
    let below = judgement(
        &too_few,
        verdict(found.timeshare_under < scaling.under_provisioned),
        &format!(
            "{:.0}%, {:.2} missing on average",
            found.timeshare_under * 100.0,
            found.accuracy_under
        ),
        carries.clone(),
    );
    let above = judgement(
        &needless,
        verdict(over < scaling.over_provisioned),
        &format!(
            "{:.0}% of {paid:.1}{}",
            over * 100.0,
            advice::money(case.timeline, found.over_instance_minutes)
        ),
        format!("{carries}; the group's minimum is not held against its policy"),
    );
    Efficiency {
        judged: vec![below, above],
        not_judged: Vec::new(),
    }
}
