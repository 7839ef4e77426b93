//! What the group's size cost, and whom: too few instances for the load, or more than it needed.

use super::Judgement;
use super::expectations::percent;
use super::scaling::judgement;
use crate::evidence::Facts;
use crate::evidence::load::{self, Confidence};
use crate::evidence::{instances, price};
use crate::outcome::Verdict;

pub struct Efficiency {
    pub judged: Vec<Judgement>,
    /// It decides nothing.
    pub not_judged: Vec<Judgement>,
}

/// How much of the time the group was too small, and how much of what was paid for nothing needed.
/// Where it cannot be told and the scenario does not ask, it is not judged.
pub fn judge(facts: &Facts<'_>) -> Efficiency {
    let scaling = &facts.scenario.scaling;
    let too_few = format!(
        "too few instances < {}% of the time",
        percent(scaling.under_provisioned)
    );
    let needless = format!(
        "needless instance-minutes < {}%",
        percent(scaling.over_provisioned)
    );
    if facts.times.stopped.is_some() {
        let because = "the load was stopped: shares of a part of it say nothing of the whole";
        let unclear =
            |asked: String| judgement(&asked, Verdict::Inconclusive, "", because.to_owned());
        return Efficiency {
            judged: [too_few, needless].map(unclear).into(),
            not_judged: Vec::new(),
        };
    }
    let capacity = facts.capacity.clone();
    let capacity = capacity.map(|capacity| capacity.weighed(facts.reaction.desired_before, None));
    let unknown = capacity
        .as_ref()
        .map_or("no second held the limit".to_owned(), |capacity| {
            capacity.because.clone()
        });
    let Some(capacity) = capacity.filter(|capacity| capacity.confidence > Confidence::Low) else {
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
    let least =
        instances::group_at(facts.timeline, facts.times.started).map_or(0, |group| group.min);
    let found = load::elasticity(&facts.load, &facts.serving, capacity.at_limit, least);
    let paid = facts
        .billed
        .iter()
        .map(|count| f64::from(*count))
        .sum::<f64>()
        / 60.0;
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
            price::money(facts.timeline, found.over_instance_minutes)
        ),
        format!("{carries}; the group's minimum is not held against its policy"),
    );
    Efficiency {
        judged: vec![below, above],
        not_judged: Vec::new(),
    }
}
