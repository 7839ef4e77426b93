//! Sentences for the reasons for judgements on the run's validity.

use std::time::Duration;

use jiff::Timestamp;

use super::figures::{measured, percent};
use crate::verdict::{EndedEarly, MissingPart, OtherCause, ValidityReason};
use evidence::NotCounted;
use model::limits::ReachedLimit;
use model::measure::{Bound, Failure, Stretch};
use model::units;

pub(super) fn validity(reason: &ValidityReason) -> String {
    let fixed = match reason {
        ValidityReason::GroupDeleted { group, is_service } => {
            let kind = if *is_service {
                "ECS service"
            } else {
                "Auto Scaling group"
            };
            return format!(
                "there is no {kind} `{group}` in this account and region any more: it was deleted"
            );
        }
        ValidityReason::OtherCauses { causes } => return other_causes(causes),
        ValidityReason::LeastSent {
            task,
            share,
            bound,
            data_used_up,
            iterations_cut,
        } => {
            let tail = unsent(*data_used_up, *iterations_cut);
            let share = share * 100.0;
            return match bound {
                Some(bound) => format!(
                    "task {task} sent {share:.1}%, the bound is {:.0}%{tail}",
                    bound * 100.0
                ),
                None => format!("the least by task {task}: {share:.1}%{tail}"),
            };
        }
        ValidityReason::IterationsNotStarted { dropped, asked } => {
            return format!(
                "the generators could not start {dropped} of {asked} iterations: add tasks"
            );
        }
        ValidityReason::Saturated { stretches, started } => return saturated(stretches, *started),
        ValidityReason::SaturatedBriefly { saturated_s, of_s } => {
            return format!(
                "{saturated_s} of {of_s} seconds were strained, too few or by too little to hide anything"
            );
        }
        ValidityReason::EndedEarly { cause } => {
            return format!("the load ended early: {}", ended_early(cause));
        }
        ValidityReason::Missing { parts } => {
            let parts: Vec<String> = parts.iter().map(missing_part).collect();
            return format!("missing: {}", parts.join(", "));
        }
        ValidityReason::NearlyAllOurs
        | ValidityReason::SomeOthers { .. }
        | ValidityReason::TooManyOthers { .. }
        | ValidityReason::OthersNotCounted { .. }
        | ValidityReason::OthersBesideMissing => return others(reason),
        ValidityReason::ClocksDiffer => {
            "moments of the load and of the group are as far apart as the clocks: set this machine's by NTP"
        }
        ValidityReason::OutOfSightTooLong => {
            "the group was out of sight for too long to say how it reacted"
        }
        ValidityReason::SeenEnough => "what was not seen hides nothing",
        ValidityReason::GeneratorsSilentOnLoad => "the generators told nothing of it",
        ValidityReason::NotOneAnswer => "not one answer came: is it up, and is the address right?",
        ValidityReason::NoWholeAnswer { most, count } => {
            return no_whole_answer(most.as_ref(), *count);
        }
        ValidityReason::RequestsNeverSent => {
            "were never sent: a value that they need was not there (data used up, or not captured)"
        }
        ValidityReason::NoSockets => {
            "were never sent: the generators' own systems had no port, file or memory for a connection; add tasks"
        }
        ValidityReason::GeneratorsSilent => "the generators told nothing of themselves",
        ValidityReason::KeptUp => "the generators kept up",
        ValidityReason::CarriedOut => "the whole plan was carried out",
        ValidityReason::NothingReported => "no task reported anything",
        ValidityReason::EverythingArrived => "every interval of every task is here",
    };
    fixed.to_owned()
}

/// Says why nothing that came was a whole answer.
fn no_whole_answer(most: Option<&Failure>, count: u64) -> String {
    match most {
        Some(most) => format!(
            "the server is there, but no answer was whole: {} ({})",
            super::failure(most),
            units::count(count, "time")
        ),
        None => "answers began, but not one was whole in time".to_owned(),
    }
}

/// Returns the reasons on the load of others in words; empty for all other reasons.
fn others(reason: &ValidityReason) -> String {
    match reason {
        ValidityReason::NearlyAllOurs => {
            "the load balancer counted hardly any other request".to_owned()
        }
        ValidityReason::SomeOthers { bound_share } => format!(
            "the load balancer counted others: up to {}% verdicts and advice hold",
            percent(*bound_share)
        ),
        ValidityReason::TooManyOthers { bound_share } => format!(
            "the load balancer counted others, over {}%: what the group did need not be its answer to this load; run it \
             again while nobody else uses the group",
            percent(*bound_share)
        ),
        ValidityReason::OthersNotCounted { why } => not_counted(why),
        ValidityReason::OthersBesideMissing => {
            "not known whether others sent load: a part of this run's own results is missing"
                .to_owned()
        }
        _ => String::new(),
    }
}

fn not_counted(why: &NotCounted) -> String {
    let why = match why {
        NotCounted::NothingSent => "nothing was sent".to_owned(),
        NotCounted::NoCount => "no load balancer counts the requests of this group".to_owned(),
        NotCounted::TooShort { compared_s, load_s } => format!(
            "{compared_s} of {load_s} seconds lie in minutes whose count is complete; a load of over two minutes would tell"
        ),
        NotCounted::FewerCounted { counted, sent } => format!(
            "the load balancer counted {counted} of {sent} requests that were sent: its count is late, or a part went elsewhere"
        ),
        NotCounted::OnlyAtItsEnds { others } => format!(
            "{others} other requests came in the minutes in which the load began and ended, perhaps not during it; a load of \
             over two minutes would tell"
        ),
    };
    format!("not known whether others sent load: {why}")
}

fn other_causes(causes: &[OtherCause]) -> String {
    let mut texts: Vec<String> = causes.iter().map(other_cause).collect();
    texts.sort();
    let more = match texts.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!(
        "{}{more}: what the group did need not be its policies' answer to the load",
        texts.first().map_or("", String::as_str)
    )
}

fn other_cause(cause: &OtherCause) -> String {
    match cause {
        OtherCause::NoAlarm { from, to, at } => {
            format!("no alarm asked for {from} to {to} at {at}")
        }
        OtherCause::Refresh { text } => text.clone(),
        OtherCause::ScheduledAction { name } => format!("the scheduled action {name} was due"),
        OtherCause::PredictivePolicy { name } => {
            format!("the predictive policy {name} scales by its own forecast")
        }
    }
}

/// Describes the causes that kept requests from being sent.
fn unsent(data_used_up: u64, iterations_cut: u64) -> String {
    let mut reasons = Vec::new();
    if data_used_up > 0 {
        reasons.push(format!(
            "data was used up {}",
            units::count(data_used_up as u32, "time")
        ));
    }
    if iterations_cut > 0 {
        reasons.push(format!(
            "{} cut at the end of their grace",
            units::count(iterations_cut as u32, "iteration")
        ));
    }
    if reasons.is_empty() {
        String::new()
    } else {
        format!("; {}", reasons.join(", "))
    }
}

fn saturated(stretches: &[Stretch], started: Option<Timestamp>) -> String {
    let first: Vec<String> = stretches
        .iter()
        .take(3)
        .map(|stretch| self::stretch(stretch, started))
        .collect();
    let more = match stretches.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" (and {more} more times)"),
    };
    format!(
        "the generator was the limit {}{more}: add tasks",
        first.join("; ")
    )
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Dropped => "iterations could not be started",
        Bound::Sockets => {
            "a connection could not be opened for want of a source port, a file or memory"
        }
        Bound::Late => "over 1 % of the requests were sent over 10 ms late",
        Bound::Cpu => "a worker was over 95 % busy",
        Bound::Lag => "the event loop was over 50 ms late",
        Bound::Files => "over 90 % of the file limit was used",
        Bound::Ports => "over 90 % of the source ports were used",
        Bound::Memory => "over 90 % of the memory was used",
    }
}

/// Returns the cause for an early end of the load, or of the wait after it, in words.
pub fn ended_early(cause: &EndedEarly) -> String {
    match cause {
        EndedEarly::Interrupted => "interrupted".to_owned(),
        EndedEarly::StoreSilent { silent_s } => {
            format!(
                "no heartbeat could be written for {} s",
                silent_s.0.as_secs()
            )
        }
        EndedEarly::ThresholdFailed(abort) => {
            format!("`{}` failed: {}", abort.text, measured(&abort.measured))
        }
        EndedEarly::LimitReached { limit } => reached_limit(limit),
        EndedEarly::TasksEnded => "every task had ended before the plan did".to_owned(),
    }
}

/// Describes a stretch of saturation, for example `from 12:03:10 to 12:03:40 (task 3: ...)`.
pub fn stretch(stretch: &Stretch, started: Option<Timestamp>) -> String {
    let clock = |second: u32| match started
        .and_then(|at| at.checked_add(Duration::from_secs(second.into())).ok())
    {
        Some(at) => at.strftime("%H:%M:%S").to_string(),
        None => format!("{second} s"),
    };
    let tasks = match stretch.tasks.as_slice() {
        [task] => format!("task {task}"),
        tasks => units::count(tasks.len() as u32, "task"),
    };
    format!(
        "from {} to {} ({tasks}: {})",
        clock(stretch.from),
        clock(stretch.to),
        bound(stretch.bound)
    )
}
/// A limit that ended a run.
pub fn reached_limit(limit: &ReachedLimit) -> String {
    match limit {
        ReachedLimit::MaxDuration { limit_s } => {
            format!("--max-duration ({}) is reached", units::duration(limit_s.0))
        }
        ReachedLimit::Cost {
            name,
            limit_usd,
            so_far_usd,
            stopping_usd,
        } => format!(
            "{name} of {limit_usd} is reached: the tasks cost {so_far_usd} so far, and {stopping_usd} until they stop"
        ),
    }
}

fn missing_part(part: &MissingPart) -> String {
    match part {
        MissingPart::Intervals { task, first, last } => {
            format!("intervals {first} to {last} of task {task}")
        }
        MissingPart::Rest { task, end } => format!("the rest of task {task} ({end})"),
        MissingPart::End {
            task,
            why: Some(why),
        } => format!("the end of task {task} ({why})"),
        MissingPart::End { task, why: None } => format!("the end of task {task}"),
    }
}
