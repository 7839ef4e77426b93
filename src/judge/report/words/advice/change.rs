//! Sentences for the recommended change and its basis.

use crate::advice::{Agreement, Choice, Chosen, Recommendation, Replay, Rest};
use model::units;

pub(super) fn change(recommendation: &Recommendation) -> String {
    let chosen = choice(&recommendation.choice);
    match &recommendation.rest {
        Some(rest) => chosen + &still(rest),
        None => chosen,
    }
}

fn choice(choice: &Choice) -> String {
    let candidates = |others: &u32| units::count(*others, "candidate");
    match choice {
        Choice::Candidate { best, now } => format!(
            "{}: limits missed for {} s instead of {} s, {} requests lost instead of {}, for {:.1} instance-minutes \
             instead of {:.1}.",
            capitalised(&best.name),
            best.over_limit,
            now.over_limit,
            best.errors,
            now.errors,
            best.instance_minutes,
            now.instance_minutes
        ),
        Choice::Nothing { others } => format!(
            "Nothing: of {} none does as well for fewer instance-minutes.",
            candidates(others)
        ),
        Choice::NoRemedy { others } => {
            format!(
                "None of the {} that were tried is a remedy.",
                candidates(others)
            )
        }
    }
}

/// Returns the reason why a candidate is recommended.
pub fn chosen(chosen: Chosen) -> &'static str {
    match chosen {
        Chosen::CheapestThatHolds => "the cheapest that holds the limit",
        Chosen::CheapestIfAssumed => {
            "the cheapest that holds the limit, if what it assumes is so: nothing surer helps"
        }
        Chosen::MissesLeast => {
            "nothing holds the limit without an assumption: this misses it least"
        }
        Chosen::MissesLeastIfAssumed => {
            "nothing surer helps: this misses the limit least, if what it assumes is so"
        }
        Chosen::CostsLeast => "nothing misses the limit clearly less: this costs least",
        Chosen::NoneCheaper => "as it is: no other is clearly cheaper or misses less",
        Chosen::NoneBetter => "as it is: nothing misses the limit clearly less",
    }
}

/// Describes the misses of the recommended candidate, and the candidates that hold the limit.
fn still(rest: &Rest) -> String {
    let names: Vec<String> = rest
        .held_by
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let only = match names.is_empty() {
        true => " No candidate holds it.".to_owned(),
        false => format!(
            " What holds it, if what it takes for granted is so: {}.",
            units::listed(&names)
        ),
    };
    let lost = match rest.errors {
        0 => String::new(),
        errors => format!(" and loses {}", units::count(errors, "request")),
    };
    format!(
        " It still misses the limit for {} s{lost}.{only}",
        rest.over_limit
    )
}

/// Describes the basis of the replayed rows, and the limits of that evidence.
pub(super) fn replay(replay: &Replay) -> String {
    let mut text = "the measured load replayed against each candidate".to_owned();
    if let Some((each, confidence)) = replay.capacity {
        text += &format!(
            ", with {each:.0} requests/s for each instance (confidence {}, above)",
            confidence.word()
        );
    }
    if let Some(found) = replay.agreement {
        text += &format!("; {}", agreement(found));
    }
    if replay.closed_load {
        text += "; sessions waited for slow answers, so this load is what the same users ask of a fast target, at most: a run \
                 by `rate` would be surer";
    }
    if let Some(assumes) = &replay.assumes {
        text += &format!("; it assumes that {}", super::assumption(assumes));
    }
    text
}

/// Describes the agreement of the model with the group, on the policy that ran.
pub fn agreement(found: Agreement) -> String {
    let count = |times| units::count(times, "time");
    let times = match (found.changes, found.modelled, found.unmatched) {
        (0, 0, _) => "neither changed its size".to_owned(),
        (changes, modelled, unmatched) => format!(
            "the group changed its size {}, the model {}; {}the furthest apart by {} (allowed: {})",
            count(changes),
            count(modelled),
            if unmatched > 0 {
                format!("{unmatched} without a counterpart, ")
            } else {
                String::new()
            },
            units::duration(found.worst),
            units::duration(found.apart)
        ),
    };
    format!(
        "replaying the policy that ran, the model is within one instance of the group in {:.0} % of all seconds; {times}",
        found.share() * 100.0
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
