//! Why an expectation is not passed, or what it was decided from.

use std::time::Duration;

use jiff::Timestamp;

use super::links::link;
use crate::measure::Stretch;
use crate::scenario::{ThresholdMetric, ThresholdOperator};
use crate::units::{self, Seconds};
use crate::verdict::{CountedFrom, OtherCause, Reason, Unavoidable, WorseInstance};

pub const NOT_OURS: &str = "the load is not ours";
const BETTER_IN: &str = "a lower target for scaling in, or more datapoints";
const TOOK_NEEDED: &str = "the policy took away what the load still needed";
const BY_NAME: &str = "`instance_header` would tell whose they are";

#[allow(clippy::too_many_lines, reason = "one arm for each reason")]
pub fn because(reason: &Reason) -> String {
    let fixed = match reason {
        Reason::OverRequests { requests } => return format!("over {requests} requests"),
        Reason::LimitMissed {
            metric,
            comparison,
            limit,
        } => return format!("the limit is {}", limit_of(*metric, *comparison, *limit)),
        Reason::NoneAnswered { requests } => {
            return format!("not one of {requests} requests was answered");
        }
        Reason::TooFewSamples {
            percentile,
            samples,
            needed,
        } => {
            return format!(
                "{samples} requests are too few for a p{percentile}: it takes {needed}"
            );
        }
        Reason::WindowLongerThanPhase { window_s } => {
            return format!("it is shorter than a window of {window_s}");
        }
        Reason::InEachWindow { windows, window_s } => {
            return format!("in each of {windows} windows of {window_s}");
        }
        Reason::InWindow {
            from_s,
            to_s,
            reason,
        } => return format!("{}, from {from_s} s to {to_s} s", because(reason)),
        Reason::GeneratorSaturated { reason } => {
            return format!(
                "{}, but the generator was at its own limit",
                because(reason)
            );
        }
        Reason::LaunchesFailed { launches, message } => {
            return format!(
                "{} failed: {}",
                units::count(*launches, "launch"),
                message.as_deref().unwrap_or("AWS says no more")
            );
        }
        Reason::AtMaximumBefore { maximum } => {
            return format!("it was at its maximum of {maximum} before the load began");
        }
        Reason::NothingFollowedTheAlarm { alarm_at } => {
            return format!("an alarm fired at {alarm_at} and nothing followed");
        }
        Reason::WatchEndedAfterTheAlarm { alarm_at } => {
            return format!(
                "an alarm fired at {alarm_at} and the watch ended too soon after it to see what followed"
            );
        }
        Reason::NothingFollowedTheEarlyAlarm { alarm } => {
            return format!(
                "the alarm {alarm} had fired before the load began and nothing followed"
            );
        }
        Reason::AlarmUnknown { call } => {
            return format!("whether an alarm fired cannot be told: {call} failed");
        }
        Reason::LoadTooLow { peaks } => {
            let peaks: String = peaks
                .iter()
                .map(|peak| format!("; {} peaked at {:.1}", peak.metric, peak.value))
                .collect();
            return format!("the load was too low or too short for the policy to fire{peaks}");
        }
        Reason::BreachToInService {
            alarm_window_s,
            cloudwatch_lag_s,
        } => return breach_to_in_service(*alarm_window_s, *cloudwatch_lag_s),
        Reason::NotInService { watched_s } => {
            return format!("no new instance was in service {watched_s} after the breach");
        }
        Reason::AlarmedBeforeTheLoad { alarm } => {
            return format!(
                "the alarm {alarm} had fired before the load began: there is no breach to count from"
            );
        }
        Reason::BreachUnknown { call } => {
            return format!("the breach is not known: {call} failed");
        }
        Reason::NoBreach { link: open } => return link(open),
        Reason::AlarmsUnknown { call } => {
            return format!("the alarms are not known: {call} failed");
        }
        Reason::LowAlarmBefore { before_s } => {
            return format!(
                "the alarm for less had fired {before_s} before the load fell: how long the policy takes to see a fall cannot be told"
            );
        }
        Reason::FirstLeft { counted_from } => return counted(*counted_from).to_owned(),
        Reason::FirstLeftAhead {
            counted_from,
            ahead_s,
            at_most_s,
        } => {
            return format!(
                "{}; {}: without that it takes {at_most_s} at most",
                counted(*counted_from),
                low_before(*ahead_s)
            );
        }
        Reason::FirstLeftOnlyAhead {
            counted_from,
            ahead_s,
            otherwise,
        } => {
            let (counted, low) = (counted(*counted_from), low_before(*ahead_s));
            return match otherwise {
                Some(takes) => format!("{counted}, because {low}; otherwise {}", cannot(takes)),
                None => {
                    format!("{counted}, but {low}: whether it is met without that cannot be told")
                }
            };
        }
        Reason::PolicyCannotMeetIt { takes } => return cannot(takes),
        Reason::NothingLeft {
            watched_s,
            protected,
            takes,
        } => return nothing_left(*watched_s, *protected, takes.as_ref()),
        Reason::HealthChecksFailed { grace_s } => {
            return format!(
                "their health checks failed before they were ready, with a grace of {grace_s}: a health check grace longer than an instance \
                 takes to start, or a launch lifecycle hook"
            );
        }
        Reason::Worse { first, more } => return worse(first, *more),
        Reason::WorseWithoutComparison { first, more } => {
            return format!(
                "{}; but no older instance was there to compare with",
                worse(first, *more)
            );
        }
        Reason::AllOverloadedWhileNew { new_for_s } => {
            return format!(
                "all instances had too much to do in the first {new_for_s} of each: it tells nothing"
            );
        }
        Reason::NewInstancesByHeader {
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
        Reason::ErrorsWithLoadToSpare { new_for_s } => {
            return format!(
                "in the first {new_for_s} of a new instance, with load to spare: inferred, `instance_header` would say for sure"
            );
        }
        Reason::ErrorsOnlyOverloaded { new_for_s } => {
            return format!(
                "in the first {new_for_s} of each, only while all instances had too much to do: none with load to spare (inferred, \
                 without `instance_header`)"
            );
        }
        Reason::ErrorsPerhapsOverloaded { new_for_s } => {
            return format!(
                "in the first {new_for_s} of a new instance, but all instances had too much to do: {BY_NAME}"
            );
        }
        Reason::NewInstancesInferred { new_for_s } => {
            return format!("in the first {new_for_s} of each, whoever answered");
        }
        Reason::NoneDropped {
            until_after_s,
            load_ended,
        } => {
            let ended = load_ended.map_or(String::new(), |at| {
                format!("; some left after the load had ended (at {at})")
            });
            return format!("from each termination until {until_after_s} after it was gone{ended}");
        }
        Reason::DropsUnclear {
            errors,
            capacity_known,
            by_header,
        } => return drops_unclear(*errors, *capacity_known, *by_header),
        Reason::DroppedByBalancer { period_s } => {
            let period = period_s.map_or("minute".to_owned(), |period| period.to_string());
            return format!(
                "inferred: what the load balancer counted in each {period} in which an instance left"
            );
        }
        Reason::TookWhatTheLoadNeeded { launched_again } => {
            let again = match launched_again {
                0 => String::new(),
                again => format!(
                    ", and then launched {} again",
                    units::count(*again, "instance")
                ),
            };
            return format!("{TOOK_NEEDED}{again}: {BETTER_IN}");
        }
        Reason::NoTurns {
            within_s,
            load_is_ours,
        } => {
            let load = if *load_is_ours { " of one load" } else { "" };
            return format!("no growing and shrinking by turns within {within_s}{load}");
        }
        Reason::LoadMayHaveTurned { within_s } => {
            return format!(
                "within {within_s}: the load, which is not ours, may have asked for it"
            );
        }
        Reason::Turned {
            within_s,
            load_is_ours: true,
        } => {
            return format!(
                "the group grew and shrank by turns within {within_s} while the load stayed: a longer warm-up, or a target further \
                 from the low alarm"
            );
        }
        Reason::Turned {
            within_s,
            load_is_ours: false,
        } => {
            return format!(
                "the group grew and shrank by turns within {within_s}, faster than its own alarms see a load change"
            );
        }
        Reason::NoInstanceOverloaded { maximum, p95_s } => {
            return format!(
                "no instance had more to do than it carries: a larger maximum than {maximum} is no remedy (asked: {}, errors within 1%)",
                bound(*p95_s)
            );
        }
        Reason::MaximumTooSmall { maximum, p95_s } => {
            return format!(
                "the maximum of {maximum} is too small for this load (asked: {}, errors within 1%)",
                bound(*p95_s)
            );
        }
        Reason::HeldAtMaximum { p95_s } => {
            return format!("{}, errors within 1%", bound(Some(*p95_s)));
        }
        Reason::NeverAskedForMore { maximum } => {
            return format!("no alarm asked for more while it was at its maximum of {maximum}");
        }
        Reason::CapacityUnknown { because } => {
            return format!("what one instance carries is not known well enough: {because}");
        }
        Reason::InstanceCarries {
            requests_per_second,
            minimum_left_out,
        } => {
            let minimum = if *minimum_left_out {
                "; the group's minimum is not held against its policy"
            } else {
                ""
            };
            return format!("one instance carries {requests_per_second:.0} requests/s{minimum}");
        }
        Reason::LoadNotOurs => return format!("cannot tell: {NOT_OURS}"),
        Reason::GroupDeleted { group, is_service } => {
            let kind = if *is_service {
                "ECS service"
            } else {
                "Auto Scaling group"
            };
            return format!(
                "there is no {kind} `{group}` in this account and region any more: it was deleted"
            );
        }
        Reason::OtherCauses { causes } => return other_causes(causes),
        Reason::LeastSent {
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
        Reason::IterationsNotStarted { dropped, asked } => {
            return format!(
                "the generators could not start {dropped} of {asked} iterations: add tasks"
            );
        }
        Reason::Saturated { stretches, started } => return saturated(stretches, *started),
        Reason::SaturatedBriefly { saturated_s, of_s } => {
            return format!(
                "{saturated_s} of {of_s} seconds were strained: too few to hide anything"
            );
        }
        Reason::EndedEarly { why } => return format!("the load ended early: {why}"),
        Reason::Missing { parts } => return format!("missing: {}", parts.join(", ")),
        Reason::NoRequestEnded => "no request ended there",
        Reason::NoCheckMade => "no check was made there",
        Reason::LoadNeverStarted => "the load never started",
        Reason::PolicyAnswered => "the policy answered the load",
        Reason::PolicyAnsweredBeforeTheSpike => {
            "the policy answered the load before the spike, and the spike with no more"
        }
        Reason::NotByPoliciesAlone => {
            "but not by its policies alone: see `only its policies moved the group`"
        }
        Reason::BreachNotShown => {
            "the alarm fired, but neither its history nor its metric shows the breach"
        }
        Reason::NoAlarmFired => {
            "no alarm went to ALARM after the load began: something else made the group grow"
        }
        Reason::ScaleInDisabled => {
            "every policy has scale-in disabled: the group stays as large as the spike made it"
        }
        Reason::CooldownUnknown => {
            "the cooldown that the bound is made of is not known: no policy with one could be read"
        }
        Reason::NoLowAlarm => {
            "no alarm of the group asks for less capacity: it stays as large as the spike made it"
        }
        Reason::StoppedBeforeTheFall => "the load was stopped before its fall",
        Reason::NoSpikeEnds => "the scenario has no spike that ends",
        Reason::LoadMayNotHaveFallen => {
            "no alarm asked for less after the group had grown: the load may not have fallen yet"
        }
        Reason::ShrankBeforeTheFall => "the group had shrunk before the spike ended",
        Reason::NoneServedInTime => "no new instance could take requests before the load ended",
        Reason::HeaderNamesNoNewInstance => {
            "no answer named a new instance: does the header name them as the group does?"
        }
        Reason::NoInstanceLeft => "no instance left",
        Reason::LoadEndedBeforeLeaving => {
            "the load had ended before the first instance left: a longer recovery phase would tell"
        }
        Reason::NoRequestWhileLeaving => "no request was under way while instances left",
        Reason::DroppedByHeader => {
            "cut off, refused or answered 5xx while the group shrank, by their header"
        }
        Reason::DroppedInferred => {
            "cut off, refused or answered 5xx while the group shrank, with load to spare: inferred, \
             `instance_header` would say for sure"
        }
        Reason::LeftAfterTheFall => "those that left did so after the load had fallen",
        Reason::OthersCarriedTheLoad => "the others carried the load",
        Reason::NothingLaunchedServed => "nothing that was launched ever served",
        Reason::NoRequestWhileScaling => {
            "no request ended between the breach and the last new instance's service"
        }
        Reason::FromEachBreach => "from each breach until all that it launched served",
        Reason::SpikeOverBeforeAllServed => {
            "the spike had gone before all of them served and what had piled up was done"
        }
        Reason::HeldAtMaximumUnknown => {
            "whether the target held there cannot be told: the load is not ours"
        }
        Reason::LoadStopped => {
            "the load was stopped: shares of a part of it say nothing of the whole"
        }
        Reason::ClocksDiffer => {
            "moments of the load and of the group are as far apart as the clocks: set this machine's by NTP"
        }
        Reason::OutOfSightTooLong => {
            "the group was out of sight for too long to say how it reacted"
        }
        Reason::SeenEnough => "what was not seen hides nothing",
        Reason::GeneratorsSilentOnLoad => "the generators told nothing of it",
        Reason::NotOneAnswer => "not one answer came: is it up, and is the address right?",
        Reason::RequestsNeverSent => {
            "were never sent: a value that they need was not there (data used up, or not captured)"
        }
        Reason::GeneratorsSilent => "the generators told nothing of themselves",
        Reason::KeptUp => "the generators kept up",
        Reason::CarriedOut => "the whole plan was carried out",
        Reason::NothingReported => "no task reported anything",
        Reason::EverythingArrived => "every interval of every task is here",
    };
    fixed.to_owned()
}

fn limit_of(metric: ThresholdMetric, comparison: ThresholdOperator, limit: f64) -> String {
    let sign = match comparison {
        ThresholdOperator::Less => "<",
        ThresholdOperator::LessOrEqual => "<=",
        ThresholdOperator::Greater => ">",
        ThresholdOperator::GreaterOrEqual => ">=",
    };
    match metric {
        ThresholdMetric::Percentile(_) | ThresholdMetric::Mean | ThresholdMetric::Max => {
            format!("{sign} {}", super::latency(limit))
        }
        ThresholdMetric::Errors | ThresholdMetric::Checks => format!("{sign} {}%", limit * 100.0),
        ThresholdMetric::Rate => format!("{sign} {limit}/s"),
    }
}

fn breach_to_in_service(window: Option<Seconds>, lag: Option<Seconds>) -> String {
    let mut text =
        "from the first breaching datapoint to the first new instance in service".to_owned();
    if let Some(window) = window {
        text += &format!("; {window} of it is the alarm's own window");
    }
    if let Some(lag) = lag {
        text += &format!(", {lag} more what CloudWatch took to publish and evaluate it");
    }
    text
}

fn counted(from: CountedFrom) -> &'static str {
    match from {
        CountedFrom::EndOfSpike => "from the end of the spike to the first instance leaving",
        CountedFrom::FirstLowDatapoint => {
            "from the first low datapoint to the first instance leaving"
        }
    }
}

fn low_before(ahead: Seconds) -> String {
    format!("the metric had lain under the alarm for less {ahead} before the load fell")
}

fn cannot(takes: &Unavoidable) -> String {
    format!(
        "the policy cannot meet it: {} takes {} alone",
        takes.waits_for, takes.takes_s
    )
}

fn nothing_left(watched: Seconds, protected: bool, takes: Option<&Unavoidable>) -> String {
    let mut text = match watched.0 {
        Duration::ZERO => "the watch ended when the load fell: no instance could leave".to_owned(),
        _ => format!("no instance left in the {watched} that were watched after it"),
    };
    if protected {
        text += "; every instance is protected from scale-in";
    }
    if let Some(takes) = takes {
        text += &format!("; {}", cannot(takes));
    }
    text
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
            format!("{errors} came while instances left, but all had too much to do: {BY_NAME}")
        }
    }
}

fn bound(p95: Option<Seconds>) -> String {
    p95.map_or("no limit on p95".to_owned(), |p95| {
        format!("p95 within {p95}")
    })
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

/// What kept requests from being sent.
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

/// `from 12:03:10 to 12:03:40 (task 3: ...)`
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
        stretch.why
    )
}
