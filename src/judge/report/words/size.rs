//! Sentences for the reasons for judgements on scaling behavior and on the group's size.

use super::capacity;
use super::figures::rate;
use crate::verdict::{ScalingReason, SizeReason, SurvivalReason};
use evidence::load::LEAST_REQUESTS;
use model::units::Seconds;

pub(super) fn scaling(reason: &ScalingReason) -> String {
    let fixed = match reason {
        ScalingReason::NoTurns {
            within_s,
            load_is_ours,
        } => {
            let load = if *load_is_ours { " of one load" } else { "" };
            return format!("no growing and shrinking by turns within {within_s}{load}");
        }
        ScalingReason::LoadMayHaveTurned { within_s } => {
            return format!(
                "within {within_s}: the load, which is not ours, may have asked for it"
            );
        }
        ScalingReason::Turned {
            within_s,
            load_is_ours: true,
        } => {
            return format!(
                "the group grew and shrank by turns within {within_s} while the load stayed: a longer warm-up, or a target further \
                 from the low alarm"
            );
        }
        ScalingReason::Turned {
            within_s,
            load_is_ours: false,
        } => {
            return format!(
                "the group grew and shrank by turns within {within_s}, faster than its own alarms see a load change"
            );
        }
        ScalingReason::GeneratorSaturated => "the generator was at its own limit meanwhile",
        ScalingReason::TooFewAnswers { answers } => {
            return too_few(*answers);
        }
        ScalingReason::NothingLaunchedServed => "nothing that was launched ever served",
        ScalingReason::NoRequestWhileScaling => {
            "no request ended between the breach and the last new instance's service"
        }
        ScalingReason::FromEachBreach => "from each breach until all that it launched served",
    };
    fixed.to_owned()
}

pub(super) fn survival(reason: &SurvivalReason) -> String {
    let fixed = match reason {
        SurvivalReason::TooFewRequests { requests } => {
            return format!("{requests} requests are too few to judge its end");
        }
        SurvivalReason::NewInstancesTooLate { after_s, boot_s } => {
            let boot = boot_s.map_or(String::new(), |boot| {
                format!("; an instance takes {boot} from launch to service")
            });
            return format!("the first new instance served {after_s} after its end{boot}");
        }
        SurvivalReason::NewInstancesNotEnough { served_s } => {
            return format!(
                "a new instance served {served_s} after its rise, and the limits were still missed at its end"
            );
        }
        SurvivalReason::GeneratorSaturatedAtItsEnd => "the generator was at its own limit then",
        SurvivalReason::WithinLimits => "latency and errors were within their limits at its end",
        SurvivalReason::NothingNewServed => "no new instance served before its end, nor after it",
    };
    fixed.to_owned()
}

/// Says that the answers are too few for a p95.
pub(super) fn too_few(answers: u64) -> String {
    format!("{answers} answers are too few for a p95: it takes {LEAST_REQUESTS}")
}

pub(super) const NOT_OURS: &str = "the load is not ours";

pub(super) fn size(reason: &SizeReason) -> String {
    let fixed = match reason {
        SizeReason::NoInstanceOverloaded { maximum, p95_s } => {
            return format!(
                "no instance had more to do than it carries: a larger maximum than {maximum} is no remedy (asked: {}, errors within 1%)",
                bound(*p95_s)
            );
        }
        SizeReason::GeneratorSaturated => "the generator was at its own limit meanwhile",
        SizeReason::OtherReasons { suspects } => {
            return super::hypotheses::missed_for(suspects);
        }
        SizeReason::MaximumTooSmall { maximum, p95_s } => {
            return format!(
                "the maximum of {maximum} is too small for this load (asked: {}, errors within 1%)",
                bound(*p95_s)
            );
        }
        SizeReason::TooFewAnswersAtMaximum { answers } => return too_few(*answers),
        SizeReason::HeldAtMaximum { p95_s } => {
            return format!("{}, errors within 1%", bound(Some(*p95_s)));
        }
        SizeReason::NeverAskedForMore { maximum } => {
            return format!("no alarm asked for more while it was at its maximum of {maximum}");
        }
        SizeReason::CapacityUnknown { estimate } => {
            let because = estimate
                .as_ref()
                .map_or("no second held the limit".to_owned(), capacity::reason);
            return format!("what one instance carries is not known well enough: {because}");
        }
        SizeReason::InstanceCarries {
            requests_per_second,
            minimum_left_out,
        } => {
            let minimum = if *minimum_left_out {
                "; the group's minimum is not held against its policy"
            } else {
                ""
            };
            let carries = rate(*requests_per_second);
            return format!("one instance carries {carries} requests/s{minimum}");
        }
        SizeReason::LoadNotOurs => return format!("cannot tell: {NOT_OURS}"),
        SizeReason::SpikeOverBeforeAllServed => {
            "the spike had gone before all of them served and what had piled up was done"
        }
        SizeReason::HeldAtMaximumUnknown => {
            "whether the target held there cannot be told: the load is not ours"
        }
        SizeReason::LoadStopped => {
            "the load was stopped: shares of a part of it say nothing of the whole"
        }
    };
    fixed.to_owned()
}

fn bound(p95: Option<Seconds>) -> String {
    p95.map_or("no limit on p95".to_owned(), |p95| {
        format!("p95 within {p95}")
    })
}
