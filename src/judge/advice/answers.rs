//! The questions that a run should answer, answered in sentences.

use super::candidates::Tolerance;
use super::{Advice, Answer, Candidate, Change, Evidence, Topic, causes, links, settings, sizes};
use evidence::Confidence;
use model::units;

pub fn all(evidence: &Evidence<'_>, serving: &[u32], advice: &Advice) -> Vec<Answer> {
    [
        links::slowest(evidence),
        causes::before_scaling(evidence, serving, advice),
        causes::errors(evidence, serving, advice),
        Some(sizes::size(evidence, advice)),
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

pub fn answer(topic: Topic, answer: String, evidence: String, confidence: Confidence) -> Answer {
    Answer {
        topic,
        question: topic.question().to_owned(),
        answer,
        evidence,
        confidence,
    }
}

fn followed(advice: &Advice) -> Option<Answer> {
    let (found, capacity) = (advice.elasticity?, advice.capacity.as_ref()?);
    let price = advice
        .price
        .as_ref()
        .map(|price| price.minutes(found.over_instance_minutes));
    let money = price.map_or(String::new(), |usd| format!(" ({usd})"));
    let said = format!(
        "Too few instances in {:.0} % of the time ({:.2} missing on average over the run), too many in {:.0} % ({:.2} more \
         than needed): {:.1} instance-minutes{money} were not needed for the load.",
        found.timeshare_under * 100.0,
        found.accuracy_under,
        found.timeshare_over * 100.0,
        found.accuracy_over,
        found.over_instance_minutes
    );
    let from = format!(
        "needed = load / {:.0} requests/s, at least the group's minimum; BUNGEE's timeshare and accuracy",
        capacity.at_limit
    );
    Some(answer(Topic::LoadFollowed, said, from, capacity.confidence))
}

fn money(advice: &Advice) -> Option<Answer> {
    let price = advice.price.as_ref()?;
    let usd = format!("{:.5}", price.usd);
    let said = format!(
        "${} an hour for each instance.",
        usd.trim_end_matches('0').trim_end_matches('.')
    );
    Some(answer(
        Topic::Price,
        said,
        price.source.clone(),
        Confidence::Medium,
    ))
}

fn what_to_change(evidence: &Evidence<'_>, advice: &Advice) -> Option<Answer> {
    let topic = Topic::Change;
    let Some(now) = advice.candidates.first() else {
        let why = advice.no_candidates.clone().unwrap_or_default();
        return Some(answer(
            topic,
            "This run cannot tell.".to_owned(),
            why,
            Confidence::Low,
        ));
    };
    let best = advice
        .candidates
        .iter()
        .find(|candidate| candidate.recommended)?;
    let tolerance = Tolerance::of(evidence);
    let said = format!(
        "{}{}",
        chosen(best, now, advice, tolerance),
        still(best, advice, tolerance)
    );
    let (mut from, mut confidence) = how_sure(evidence, advice);
    if let Some(assumes) = &best.assumes {
        from += &format!("; it assumes that {assumes}");
        confidence = confidence.min(Confidence::Medium);
    }
    // What new instances fail at first is in no row.
    if !tolerance.is_held_by(best) || evidence.fresh.is_some() {
        confidence = confidence.min(Confidence::Medium);
    }
    Some(answer(topic, said, from, confidence))
}

fn chosen(best: &Candidate, now: &Candidate, advice: &Advice, tolerance: Tolerance) -> String {
    let others = units::count(advice.candidates.len() as u32 - 1, "candidate");
    if best.name != now.name {
        return format!(
            "{}: p95 over its limit for {} s instead of {} s, {} requests lost instead of {}, for {:.1} instance-minutes \
             instead of {:.1}.",
            capitalised(&best.name),
            best.over_limit,
            now.over_limit,
            best.errors,
            now.errors,
            best.instance_minutes,
            now.instance_minutes
        );
    }
    match tolerance.is_held_by(best) {
        true => format!("Nothing: of {others} none does as well for fewer instance-minutes."),
        false => format!("None of the {others} that were tried is a remedy."),
    }
}

/// What the recommended candidate leaves to be wished for, and the one that does not.
fn still(best: &Candidate, advice: &Advice, tolerance: Tolerance) -> String {
    if tolerance.is_held_by(best) {
        return String::new();
    }
    let holds = advice
        .candidates
        .iter()
        .filter(|one| tolerance.is_held_by(one) && one.change != Change::WhatIf);
    let holds: Vec<String> = holds.map(|one| format!("`{}`", one.name)).collect();
    let only = match holds.is_empty() {
        true => " No candidate holds it.".to_owned(),
        false => format!(
            " What holds it, if what it takes for granted is so: {}.",
            units::listed(&holds)
        ),
    };
    let lost = match best.errors {
        0 => String::new(),
        errors => format!(" and loses {}", units::count(errors, "request")),
    };
    format!(
        " It still misses the limit for {} s{lost}.{only}",
        best.over_limit
    )
}

/// On what the rows rest, and how far that carries.
fn how_sure(evidence: &Evidence<'_>, advice: &Advice) -> (String, Confidence) {
    let mut confidence = advice
        .capacity
        .as_ref()
        .map_or(Confidence::Low, |capacity| capacity.confidence);
    let mut from = "the measured load replayed against each candidate".to_owned();
    if let Some(capacity) = advice
        .capacity
        .as_ref()
        .filter(|capacity| capacity.confidence < Confidence::High)
    {
        let word = capacity.confidence.word();
        from += &format!(
            ", with {:.0} requests/s for each instance (confidence {word}, above)",
            capacity.at_limit
        );
    }
    if let Some(agreement) = advice.agreement {
        from += &format!("; {}", agreement.sentence());
        confidence = match (agreement.is_enough(), agreement.is_timely()) {
            (true, true) => confidence,
            (true, false) => confidence.min(Confidence::Medium),
            (false, _) => Confidence::Low,
        };
    }
    if !evidence.open {
        from += "; sessions waited for slow answers, so this load is less than the same users would have asked of a faster \
                 target: a run by `rate` would be surer";
        confidence = confidence.min(Confidence::Medium);
    }
    (from, confidence)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Topic;
    use super::super::tests::{advised_on, pinned};

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
        assert!(
            change.answer.starts_with("Maximum ") && !change.answer.contains("Nothing"),
            "{change:?}"
        );
        assert!(advice.snippet.unwrap().contains("max_size = "));
    }
}
