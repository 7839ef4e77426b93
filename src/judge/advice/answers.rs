//! Answers the topics of the advice, the recommended change among them.

use super::candidates::Tolerance;
use super::content::{Answer, Basis, Choice, Content, Recommendation, Replay, Rest};
use super::{Advice, Candidate, Change, Evidence, Topic, causes, links, settings, sizes};
use evidence::{Confidence, Hypothesis, Standing, Suspect, hypotheses};

pub(super) fn all(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Vec<Answer> {
    let others = hypotheses::other_remedies(evidence.hypotheses, evidence.spike_seconds());
    if !others.is_empty() {
        return elsewhere(evidence, serving, advice, &others);
    }
    [
        links::slowest(evidence),
        causes::before_scaling(evidence, serving, advice),
        causes::errors(evidence, serving, advice),
        Some(sizes::size(evidence, advice)),
        sizes::at_maximum(evidence, serving, advice),
        followed(advice),
        sizes::target(evidence, advice),
        settings::warm_up(evidence),
        settings::cooldown(evidence),
        sizes::steps(evidence, advice),
        sizes::bounds(evidence, advice),
        settings::around(evidence, serving, advice),
        money(advice),
        what_to_change(evidence, advice),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Answers for a run whose missed limits have other reasons than the group's size. What rests on the
/// size is not said.
fn elsewhere(
    evidence: &Evidence<'_>,
    serving: &[u32],
    advice: &Advice,
    others: &[&Hypothesis],
) -> Vec<Answer> {
    let holds = others.iter().any(|one| one.holds());
    let confidence = if holds {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    let basis = || Basis::Hypotheses(others.iter().map(|one| (*one).clone()).collect());
    let reasons = others.iter().map(|one| (one.suspect, one.standing));
    let reasons: Vec<(Suspect, Standing)> = reasons.collect();
    let unknown = |topic| Answer::unknown(topic, basis());
    [
        links::slowest(evidence),
        Some(Answer::new(
            Topic::LatencyBeforeGrowth,
            Content::OtherReasons(reasons.clone()),
            basis(),
            confidence,
        )),
        causes::errors(evidence, serving, advice),
        Some(unknown(Topic::InstanceCapacity)),
        Some(unknown(Topic::TargetValue)),
        settings::warm_up(evidence),
        settings::cooldown(evidence),
        Some(unknown(Topic::MinAndMax)),
        settings::around(evidence, serving, advice),
        money(advice),
        Some(Answer::new(
            Topic::Change,
            Content::OtherRemedies(reasons),
            basis(),
            confidence,
        )),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn followed(advice: &Advice) -> Option<Answer> {
    let (elasticity, capacity) = (advice.elasticity?, advice.capacity.as_ref()?);
    let price = advice.price.as_ref();
    let cost = price.map(|price| price.minutes(elasticity.over_instance_minutes));
    Some(Answer::new(
        Topic::LoadFollowed,
        Content::LoadFollowed { elasticity, cost },
        Basis::InstancesNeeded {
            each: capacity.at_limit,
        },
        capacity.confidence,
    ))
}

fn money(advice: &Advice) -> Option<Answer> {
    let price = advice.price.as_ref()?;
    Some(Answer::new(
        Topic::Price,
        Content::Price(price.usd),
        Basis::Price(price.source.clone()),
        Confidence::Medium,
    ))
}

fn what_to_change(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::Change;
    let Some(now) = advice.candidates.first() else {
        let why = advice.no_candidates.clone();
        return Some(Answer::unknown(topic, Basis::NoCandidates(why)));
    };
    let best = advice
        .candidates
        .iter()
        .find(|candidate| candidate.recommended)?;
    let tolerance = Tolerance::of(evidence);
    let recommendation = Recommendation {
        choice: chosen(best, now, advice, tolerance),
        rest: rest(best, advice, tolerance),
    };
    let (mut replay, mut confidence) = how_sure(evidence, advice);
    replay.assumes.clone_from(&best.assumes);
    // No replay shows errors of new instances that do not yet serve well.
    if !tolerance.is_held_by(best) || evidence.fresh.is_some() {
        confidence = confidence.min(Confidence::Medium);
    }
    if let Some(assumes) = &best.assumes {
        confidence = confidence.min(assumes.confidence());
    }
    Some(Answer::new(
        topic,
        Content::Change(recommendation),
        Basis::Replay(replay),
        confidence,
    ))
}

fn chosen(best: &Candidate, now: &Candidate, advice: &Advice, tolerance: Tolerance) -> Choice {
    let others = advice.candidates.len() as u32 - 1;
    if best.change != now.change {
        return Choice::Candidate {
            best: Box::new(best.clone()),
            now: Box::new(now.clone()),
        };
    }
    match tolerance.is_held_by(best) {
        true => Choice::Nothing { others },
        false => Choice::NoRemedy { others },
    }
}

/// Returns the misses of the recommended candidate, and the names of the candidates that hold the
/// limit.
fn rest(best: &Candidate, advice: &Advice, tolerance: Tolerance) -> Option<Rest> {
    let holds = advice
        .candidates
        .iter()
        .filter(|one| tolerance.is_held_by(one) && one.change != Change::WhatIf);
    (!tolerance.is_held_by(best)).then(|| Rest {
        over_limit: best.over_limit,
        errors: best.errors,
        held_by: holds.map(|one| one.name.clone()).collect(),
    })
}

/// Returns the basis of the replayed rows, and the confidence that it allows.
pub(super) fn how_sure(evidence: &Evidence<'_>, advice: &Advice) -> (Replay, Confidence) {
    let capacity = advice.capacity.as_ref();
    let mut confidence = capacity.map_or(Confidence::Low, |capacity| capacity.confidence);
    let unsure = capacity.filter(|capacity| capacity.confidence < Confidence::High);
    if let Some(agreement) = advice.agreement {
        confidence = match (agreement.is_enough(), agreement.is_timely()) {
            (true, true) => confidence,
            (true, false) => confidence.min(Confidence::Medium),
            (false, _) => Confidence::Low,
        };
    }
    if !evidence.open {
        confidence = confidence.min(Confidence::Medium);
    }
    let replay = Replay {
        capacity: unsure.map(|capacity| (capacity.at_limit, capacity.confidence)),
        agreement: advice.agreement,
        closed_load: !evidence.open,
        assumes: None,
    };
    (replay, confidence)
}

#[cfg(test)]
mod tests {
    use super::super::Topic;
    use super::super::tests::{advised_on, pinned};
    use crate::report::words;

    #[test]
    fn nothing_is_never_recommended_for_a_limit_that_is_missed() {
        let advice = advised_on(pinned());
        let row = |name: &str| {
            advice
                .candidates
                .iter()
                .find(|one| one.name == name)
                .cloned()
        };
        let best = advice
            .candidates
            .iter()
            .find(|one| one.recommended)
            .unwrap();
        assert!(best.name.starts_with("maximum "), "{:?}", advice.candidates);
        assert!(
            row("maximum 5").is_some() && row("maximum 7").is_some(),
            "{:?}",
            advice.candidates
        );
        assert!(best.errors < row("as it is").unwrap().errors);
        let change = advice
            .answers
            .iter()
            .find(|one| one.topic == Topic::Change)
            .unwrap();
        let said = words::answer(change.clone()).answer;
        assert!(
            said.starts_with("Maximum ") && !said.contains("Nothing"),
            "{said}"
        );
        assert!(advice.snippet.unwrap().contains("max_size = "));
    }
}
