//! Sentences for the reasons for judgements on new and on leaving instances.

use super::size::too_few;
use crate::verdict::{LeavingReason, NewInstanceReason, ShortDraining, WorseInstance};
use evidence::load::LEAST_REQUESTS;
use model::units;

const BY_NAME: &str = "`instance_header` would tell whose they are";

pub(super) fn new_instance(reason: &NewInstanceReason) -> String {
    let fixed = match reason {
        NewInstanceReason::HealthChecksFailed { grace_s } => {
            return format!(
                "their health checks failed before they were ready, with a grace of {grace_s}: a health check grace longer than an instance \
                 takes to start, or a launch lifecycle hook"
            );
        }
        NewInstanceReason::Worse { first, more } => return worse(first, *more),
        NewInstanceReason::WorseWithoutComparison { first, more } => {
            return format!(
                "{}; but no older instance was there to compare with",
                worse(first, *more)
            );
        }
        NewInstanceReason::AllOverloadedWhileNew { new_for_s } => {
            return format!(
                "all instances had too much to do in the first {new_for_s} of each: it tells nothing"
            );
        }
        NewInstanceReason::NewInstancesByHeader {
            new_for_s,
            only_with_load_to_spare,
        } => {
            let spare = if *only_with_load_to_spare {
                ", while there was load to spare"
            } else {
                ""
            };
            return format!("in the first {new_for_s} of each, by its header{spare}");
        }
        NewInstanceReason::TooFewAnswersOfNewInstances { answers } => {
            return format!(
                "a new instance has fewer than the {LEAST_REQUESTS} answers that a p95 takes; all of them have {answers}"
            );
        }
        NewInstanceReason::ErrorsWithLoadToSpare { .. }
        | NewInstanceReason::ErrorsOnlyOverloaded { .. }
        | NewInstanceReason::ErrorsPerhapsOverloaded { .. }
        | NewInstanceReason::ErrorsOnlyElsewhere { .. }
        | NewInstanceReason::ErrorsPerhapsElsewhere { .. }
        | NewInstanceReason::NewInstancesInferred { .. }
        | NewInstanceReason::SlowPerhapsNew { .. } => return without_header(reason),
        NewInstanceReason::GeneratorSaturated => {
            "a new instance was slow only while the generator was at its own limit"
        }
        NewInstanceReason::PerhapsCold { seconds } => {
            return format!(
                "for {} limits were missed from the time at which a new instance served, at a load that had held: {BY_NAME}",
                units::count(*seconds, "second")
            );
        }
        NewInstanceReason::NoneServedInTime => {
            "no new instance could take requests before the load ended"
        }
        NewInstanceReason::HeaderNamesNoNewInstance => {
            "no answer named a new instance: does the header name them as the group does?"
        }
    };
    fixed.to_owned()
}

/// Words the reasons of a judgement without a header that names instances.
fn without_header(reason: &NewInstanceReason) -> String {
    match reason {
        NewInstanceReason::ErrorsWithLoadToSpare { new_for_s } => {
            format!(
                "in the first {new_for_s} of a new instance, with load to spare: inferred, `instance_header` would say for sure"
            )
        }
        NewInstanceReason::ErrorsOnlyOverloaded { new_for_s } => {
            format!(
                "in the first {new_for_s} of each, only while all instances had too much to do: none with load to spare (inferred, \
                 without `instance_header`)"
            )
        }
        NewInstanceReason::ErrorsPerhapsOverloaded { new_for_s } => {
            format!(
                "in the first {new_for_s} of a new instance, but all instances had too much to do: {BY_NAME}"
            )
        }
        NewInstanceReason::ErrorsOnlyElsewhere { new_for_s } => {
            format!(
                "in the first {new_for_s} of each, only in seconds that have another reason: overload, or a fault of older instances or of \
                 something shared (inferred, without `instance_header`)"
            )
        }
        NewInstanceReason::ErrorsPerhapsElsewhere { seconds } => {
            format!(
                "for {} they may be those of an older instance, or of a limit of each instance: {BY_NAME}",
                units::count(*seconds, "second")
            )
        }
        NewInstanceReason::NewInstancesInferred { new_for_s } => {
            format!(
                "in the first {new_for_s} of each, all instances together: p95 of each held, whichever gave the slow answers"
            )
        }
        NewInstanceReason::SlowPerhapsNew {
            new_for_s,
            limit_s,
            slow_share,
        } => {
            format!(
                "in the first {new_for_s} of a new instance {:.1}% of all answers took over {limit_s}, so its p95 may be over that: {BY_NAME}",
                slow_share * 100.0
            )
        }
        _ => String::new(),
    }
}

fn worse(first: &WorseInstance, more: usize) -> String {
    let first = match first {
        WorseInstance::Errors { instance, share } => {
            format!("{instance} answered {:.0}% with errors", share * 100.0)
        }
        WorseInstance::Slow {
            instance,
            p95_s,
            others_p95_s: None,
        } => format!("{instance} took {p95_s} (p95)"),
        WorseInstance::Slow {
            instance,
            p95_s,
            others_p95_s: Some(others),
        } => format!("{instance} took {p95_s} (p95) where the others took {others}"),
    };
    match more {
        0 => format!("{first}, by its header"),
        more => format!("{first} (and {more} more), by its header"),
    }
}

const BETTER_IN: &str = "a lower target for scaling in, or more datapoints";

const TOOK_NEEDED: &str = "the policy took away what the load still needed";

pub(super) fn leaving(reason: &LeavingReason) -> String {
    let fixed = match reason {
        LeavingReason::NoneDropped {
            until_after_s,
            load_ended,
            short,
        } => {
            let ended = load_ended.map_or(String::new(), |at| {
                format!("; some left after the load had ended (at {at})")
            });
            return format!(
                "from each termination until {until_after_s} after it was gone{ended}{}",
                drains(short.as_ref())
            );
        }
        LeavingReason::DropsUnclear {
            errors,
            capacity_known,
            by_header,
        } => return drops_unclear(*errors, *capacity_known, *by_header),
        LeavingReason::CountedByBalancer { period_s } => {
            let period = period_s.map_or("minute".to_owned(), |period| period.to_string());
            return format!(
                "inferred: what the load balancer counted in each {period} in which an instance left"
            );
        }
        LeavingReason::TooFewAnswersWithoutThem { answers } => return too_few(*answers),
        LeavingReason::TookWhatTheLoadNeeded { launched_again } => {
            let again = match launched_again {
                0 => String::new(),
                again => format!(
                    ", and then launched {} again",
                    units::count(*again, "instance")
                ),
            };
            return format!("{TOOK_NEEDED}{again}: {BETTER_IN}");
        }
        LeavingReason::NoInstanceLeft => "no instance left",
        LeavingReason::LoadEndedBeforeLeaving => {
            "the load had ended before the first instance left: a longer recovery phase would tell"
        }
        LeavingReason::NoRequestWhileLeaving => "no request was under way while instances left",
        LeavingReason::DroppedByHeader { short } => {
            return format!(
                "cut off, refused or answered 5xx while the group shrank, by their header{}",
                drains(short.as_ref())
            );
        }
        LeavingReason::DroppedInferred { short } => {
            return format!(
                "cut off, refused or answered 5xx while the group shrank, with load to spare: inferred, \
                 `instance_header` would say for sure{}",
                drains(short.as_ref())
            );
        }
        LeavingReason::LeftAfterTheFall => "those that left did so after the load had fallen",
        LeavingReason::GeneratorSaturated => {
            "latency was over its limit only while the generator was at its own"
        }
        LeavingReason::OtherReasons => {
            "limits were missed meanwhile for another reason, so whether the load needed it cannot be told"
        }
        LeavingReason::OthersCarriedTheLoad => "the others carried the load",
    };
    fixed.to_owned()
}

fn drains(short: Option<&ShortDraining>) -> String {
    short.map_or(String::new(), |short| {
        format!(
            "; the target group drains for {} (`deregistration_delay.timeout_seconds`), and the longest request took {}",
            short.delay_s, short.longest_s
        )
    })
}

fn drops_unclear(errors: u64, capacity_known: bool, by_header: bool) -> String {
    let errors = units::count(errors, "more error");
    match (capacity_known, by_header) {
        (false, false) => format!(
            "{errors} came while instances left, but what one carries is not known: they may be too much load. {BY_NAME}"
        ),
        (_, true) => format!(
            "{errors} of the load balancer itself came while instances left, but all others had too much to do as well"
        ),
        (true, false) => {
            format!(
                "{errors} came while instances left, but all had too much to do, or as many failed before or after: {BY_NAME}"
            )
        }
    }
}
