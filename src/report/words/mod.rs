//! Every sentence that a report says, made from the types of `evidence` and `verdict`.

mod links;
mod reasons;
mod warnings;

pub use links::link;
pub use reasons::{because, stretch};
pub use warnings::{warning, warnings};

use super::{Judged, Judgement};
use crate::outcome::Verdict;
use crate::units;
use crate::verdict::{Abort, Answered, AtMaximum, Expectation, Finding, Findings, Measured, Scope};

/// What was judged, in words.
pub fn judged(findings: Findings) -> Judged {
    let Findings {
        validity,
        thresholds,
        scaling,
        not_judged,
        reaction,
    } = findings;
    let [validity, thresholds, scaling, not_judged] = [validity, thresholds, scaling, not_judged]
        .map(|all| all.into_iter().map(judgement).collect::<Vec<Judgement>>());
    let (verdict, because) = conclude(&[&validity, &thresholds, &scaling]);
    Judged {
        verdict,
        because,
        validity,
        thresholds,
        scaling,
        not_judged,
        reaction,
    }
}

/// The same of a load that is not ours: only the group is known.
pub fn watched(findings: Findings) -> Judged {
    let mut judged = judged(findings);
    if !judged.not_judged.is_empty() {
        let count = judged.not_judged.len();
        judged.because += &format!(
            "; {count} expectations were not judged: {}",
            reasons::NOT_OURS
        );
    }
    judged
}

/// The worst of all, and what decided it.
fn conclude(groups: &[&[Judgement]]) -> (Verdict, String) {
    let all: Vec<&Judgement> = groups.iter().flat_map(|group| group.iter()).collect();
    let worst = all
        .iter()
        .map(|judgement| judgement.verdict)
        .max()
        .unwrap_or(Verdict::Inconclusive);
    let deciding: Vec<&&Judgement> = all
        .iter()
        .filter(|judgement| judgement.verdict == worst)
        .collect();
    let because = match (worst, deciding.first()) {
        (_, None) => "nothing was judged".to_owned(),
        (Verdict::Passed, _) => format!("all {} judgements hold", all.len()),
        (_, Some(first)) => {
            let more = match deciding.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            format!("{}: {}{more}", first.question(), first.answer())
        }
    };
    (worst, because)
}

pub fn judgement(finding: Finding) -> Judgement {
    Judgement {
        asked: asked(&finding.expectation),
        scope: scope(&finding.scope),
        verdict: finding.verdict,
        measured: measured(&finding.measured),
        because: because(&finding.reason),
        expectation: finding.expectation,
        figures: Some(finding.measured),
        reason: Some(finding.reason),
    }
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Run => "run".to_owned(),
        Scope::Group => "group".to_owned(),
        Scope::Phase(name) => name.clone(),
    }
}

pub fn asked(expectation: &Expectation) -> String {
    let fixed = match expectation {
        Expectation::Threshold { text } => return text.clone(),
        Expectation::ScaleOutInTime { within_s } => return format!("scale-out within {within_s}"),
        Expectation::ScaleInInTime {
            within_s: Some(within),
        } => return format!("scale-in within {within}"),
        Expectation::HoldsWhileScaling {
            p95_s,
            errors_share,
        } => {
            return match (p95_s, errors_share) {
                (Some(p95), Some(errors)) => format!(
                    "p95 < {p95} and errors < {}% while scaling out",
                    percent(*errors)
                ),
                (Some(p95), None) => format!("p95 < {p95} while scaling out"),
                (None, Some(errors)) => {
                    format!("errors < {}% while scaling out", percent(*errors))
                }
                (None, None) => "p95 and errors while scaling out".to_owned(),
            };
        }
        Expectation::UnderProvisioned { share } => {
            return format!("too few instances < {}% of the time", percent(*share));
        }
        Expectation::OverProvisioned { share } => {
            return format!("needless instance-minutes < {}%", percent(*share));
        }
        Expectation::ScaleInInTime { within_s: None } => "scale-in",
        Expectation::ScaledOut => "the group scaled out",
        Expectation::FreshInstancesServe => "fresh instances serve at once",
        Expectation::NothingDropped => "no request dropped while instances leave",
        Expectation::NoEarlyScaleIn => "no instance leaves while the load needs it",
        Expectation::HoldsAtMaximum => "the target holds at maximum capacity",
        Expectation::NotPinnedAtMaximum => "the group was not pinned at its maximum",
        Expectation::NoFlapping => "no flapping",
        Expectation::Efficiency => "too few instances, needless instance-minutes",
        Expectation::GroupExists => "the group was there",
        Expectation::OnlyPoliciesMovedTheGroup => "only its policies moved the group",
        Expectation::OneClock => "one clock",
        Expectation::GroupWatched => "the group was watched",
        Expectation::LoadSent => "what was asked was sent",
        Expectation::GeneratorNotTheLimit => "the generator was not the limit",
        Expectation::PlanCarriedOut => "the plan was carried out",
        Expectation::AllResultsArrived => "all results arrived",
        Expectation::TargetAnswered => "the target answered",
        Expectation::EveryRequestSent => "every request was sent",
    };
    fixed.to_owned()
}

/// Why a threshold ended the load.
pub fn abort(abort: &Abort) -> String {
    format!("`{}` failed: {}", abort.text, measured(&abort.measured))
}

/// A share as a percentage, without needless digits.
pub fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn latency(micros: f64) -> String {
    units::duration(std::time::Duration::from_micros(micros as u64))
}

pub fn measured(measured: &Measured) -> String {
    match measured {
        Measured::Nothing => String::new(),
        Measured::Percentile {
            percentile,
            value_us,
        } => format!("p{percentile} = {}", latency(*value_us)),
        Measured::Mean { value_us } => format!("mean = {}", latency(*value_us)),
        Measured::Max { value_us } => format!("max = {}", latency(*value_us)),
        Measured::Errors {
            share,
            errors,
            requests,
        } => format!("errors = {:.2}% ({errors} of {requests})", share * 100.0),
        Measured::Checks {
            share,
            failed,
            checks,
        } => format!(
            "checks = {:.2}% ({failed} of {checks} failed)",
            share * 100.0
        ),
        Measured::Rate { per_second } => format!("rate = {per_second:.1}/s"),
        Measured::Sizes { from, to, at_start } => match at_start {
            Some(before) => format!("{from} -> {to} instances, {before} at the start"),
            None => format!("{from} -> {to} instances"),
        },
        Measured::Took { took_s } => took_s.to_string(),
        Measured::Gone { at } => format!("gone at {at}"),
        Measured::ClocksApart { apart_s } => format!("{apart_s} apart"),
        Measured::NeverServed { instances } => format!(
            "{} terminated before it ever served",
            units::count(*instances, "new instance")
        ),
        Measured::NewInstances {
            errors,
            answers,
            instances,
        } => format!(
            "{errors} errors in {answers} answers of {}",
            units::count(*instances, "instance")
        ),
        Measured::WhileNew { errors, requests } => {
            format!("{errors} errors in {requests} requests")
        }
        Measured::Dropped { requests, of } => format!("{requests} of {of} requests"),
        Measured::DroppedByBalancer {
            gateway_errors,
            connection_errors,
            requests,
        } => format!(
            "{gateway_errors:.0} 502 and {connection_errors:.0} failed connections to targets, of {requests:.0} requests"
        ),
        Measured::LeftEarly {
            instances,
            answered: found,
        } => format!(
            "{} left under the highest load so far; while it stayed {}",
            units::count(*instances, "instance"),
            answered(found)
        ),
        Measured::WhileScaling { answered: found } => format!(
            "{} in {}",
            answered(found),
            units::count(found.seconds, "second")
        ),
        Measured::Turns { turns, changes } => format!(
            "{} in {}",
            units::count(*turns, "turn"),
            units::count(*changes, "change")
        ),
        Measured::Pinned {
            maximum,
            seconds,
            in_spike,
            besides,
        } => {
            let mut parts = vec![format!(
                "pinned at {maximum} for {}",
                units::count(*seconds, "second")
            )];
            parts.extend(in_spike.as_ref().map(|one| at_maximum(one, "of the spike")));
            parts.extend(besides.as_ref().map(|one| at_maximum(one, "besides")));
            parts.join("; ")
        }
        Measured::PinnedWhileAlarmed { maximum, seconds } => format!(
            "{} at {maximum} while an alarm asked for more",
            units::count(*seconds, "second")
        ),
        Measured::TooFewInstances {
            time_share,
            missing_instances,
        } => format!(
            "{:.0}%, {missing_instances:.2} missing on average",
            time_share * 100.0
        ),
        Measured::ExcessInstanceMinutes {
            share,
            paid_minutes,
            cost,
        } => {
            let cost = cost.as_ref().map_or(String::new(), |cost| {
                format!(
                    " ({}, us-east-1 in {}; other regions differ)",
                    cost.usd, cost.prices_of
                )
            });
            format!("{:.0}% of {paid_minutes:.1}{cost}", share * 100.0)
        }
        Measured::LoadSent { share } => format!("{:.1}% of what was asked", share * 100.0),
        Measured::Saturation {
            latest_s,
            busy_share,
        } => format!("at most {latest_s} late, {:.0}% busy", busy_share * 100.0),
        Measured::TasksComplete { complete, tasks } => {
            format!("{complete} of {tasks} tasks complete")
        }
        Measured::Requests { count, requests } => format!("{count} of {requests} requests"),
        Measured::OutOfSight {
            unseen_s,
            watched_s,
        } => format!("out of sight for {unseen_s} of {watched_s}"),
    }
}

/// `p95 = 900ms, errors = 2.10%`
fn answered(answered: &Answered) -> String {
    let p95 = answered.p95_s.map_or("-".to_owned(), |p95| p95.to_string());
    format!(
        "p95 = {p95}, errors = {:.2}%",
        answered.errors_share * 100.0
    )
}

fn at_maximum(found: &AtMaximum, place: &str) -> String {
    let new = match found.errors_of_new_instances {
        0 => String::new(),
        errors => format!(", {errors} errors of new instances left out"),
    };
    format!(
        "{} in {} {place}{new}",
        answered(&found.answered),
        units::count(found.answered.seconds, "second")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;

    fn finding(text: &str, verdict: Verdict) -> Judgement {
        let mut judgement = judgement(Finding {
            expectation: Expectation::Threshold {
                text: text.to_owned(),
            },
            scope: Scope::Phase("spike".to_owned()),
            verdict,
            measured: Measured::Percentile {
                percentile: 95.0,
                value_us: 900_000.0,
            },
            reason: Reason::KeptUp,
        });
        judgement.because = "the limit is < 500ms".to_owned();
        judgement
    }

    #[test]
    fn the_worst_judgement_decides_and_is_named() {
        let good = [finding("errors < 1%", Verdict::Passed)];
        let bad = [
            finding("p95 < 500ms", Verdict::Failed),
            finding("p50 < 5ms", Verdict::Failed),
        ];
        let unclear = [finding("p99 < 1s", Verdict::Inconclusive)];
        assert_eq!(conclude(&[&good]).0, Verdict::Passed);
        assert_eq!(conclude(&[&good, &unclear]).0, Verdict::Inconclusive);
        let (verdict, because) = conclude(&[&good, &unclear, &bad]);
        assert_eq!(verdict, Verdict::Failed);
        assert_eq!(
            because,
            "p95 < 500ms in spike: p95 = 900ms; the limit is < 500ms (and 1 more)"
        );
        assert_eq!(conclude(&[]).0, Verdict::Inconclusive);
    }

    #[test]
    fn shares_are_said_without_needless_digits() {
        assert_eq!(
            (percent(0.25), percent(0.005), percent(1.0)),
            ("25".to_owned(), "0.5".to_owned(), "100".to_owned())
        );
    }
}
