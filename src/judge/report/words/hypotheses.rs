//! Sentences for the hypotheses on the seconds that missed a limit.

use std::time::Duration;

use super::figures::percent;
use evidence::{Clue, Hypothesis, Standing, Suspect, TellingRun};
use model::units;

/// Adds the sentence of a hypothesis.
pub(super) fn hypothesis(mut found: Hypothesis) -> Hypothesis {
    found.because = because(&found);
    found
}

/// Names a suspect.
pub fn suspect(suspect: Suspect) -> &'static str {
    match suspect {
        Suspect::TooFewInstances => "too few instances",
        Suspect::SharedBottleneck => "something that all instances share",
        Suspect::BlindMetric => "a metric that does not see the load",
        Suspect::ConstantErrors => "errors that are always there",
        Suspect::ColdInstances => "new instances that do not serve well at first",
        Suspect::SickInstance => "one instance that differs from the others",
        Suspect::UnevenLoad => "requests that are not spread over the instances",
        Suspect::FailedLaunches => "launches that failed",
        Suspect::TimedOutWork => "requests that timed out",
        Suspect::RateLimit => "a limit on requests",
        Suspect::ConnectionLimit => "a limit on connections",
        Suspect::LoadBalancer => "the load balancer's own answers",
        Suspect::NameResolution => "names that were not resolved",
        Suspect::StrainedGenerator => "a generator at its own limit",
        Suspect::LostInstances => "instances that stopped answering",
    }
}

/// Describes why missed limits say nothing of the group's size.
pub(super) fn missed_for(suspects: &[Suspect]) -> String {
    let (size, others): (Vec<Suspect>, Vec<Suspect>) = suspects
        .iter()
        .partition(|one| **one == Suspect::TooFewInstances);
    let unshown = "it is not shown that more instances would have helped where limits were missed";
    let names: Vec<String> = others.iter().map(|one| suspect(*one).to_owned()).collect();
    let listed = units::listed(&names);
    match (size.is_empty(), names.is_empty()) {
        (_, true) => unshown.to_owned(),
        (true, false) => {
            format!("limits were missed for another reason than the group's size: {listed}")
        }
        (false, false) => {
            format!(
                "limits were missed for another reason than the group's size: {listed}; {unshown} otherwise"
            )
        }
    }
}

/// Says whether a suspect explains the seconds that missed a limit.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Holds => "yes",
        Standing::Open => "cannot tell",
        Standing::Excluded => "no",
    }
}

/// Returns the remedy for a suspect that is not the group's size.
pub(super) fn remedy(suspect: Suspect) -> &'static str {
    match suspect {
        Suspect::TooFewInstances => "More instances, or earlier ones.",
        Suspect::SharedBottleneck => {
            "More instances, a lower target, steps or a higher minimum do not help: find what they share, such as a database, a lock, a \
             connection pool or an upstream service."
        }
        Suspect::BlindMetric => {
            "Let the policy follow a metric that rises with this load, such as the requests of each target."
        }
        Suspect::ConstantErrors => "Mend the requests that always fail.",
        Suspect::ColdInstances => {
            "Warm new instances before they serve: slow start in the target group, a health check that passes only once they are \
             warm, caches that are filled at the start. More instances at once are more cold ones."
        }
        Suspect::SickInstance => {
            "Replace that instance, and let the health check see what users see. More instances only dilute it."
        }
        Suspect::UnevenLoad => {
            "Spread the requests over all instances: no stickiness, connections that end now and then, least outstanding requests in the target \
             group."
        }
        Suspect::FailedLaunches => {
            "The policy is not at fault: other instance types, more zones, a capacity reservation or a higher quota let AWS launch \
             what it asks for."
        }
        Suspect::TimedOutWork => {
            "Give up work that nobody waits for: time-outs and bounded queues in the target."
        }
        Suspect::RateLimit => {
            "Raise the limit, or exempt the generators. If the instances count the requests by themselves, find what is full behind them."
        }
        Suspect::ConnectionLimit => {
            "Raise the limit on connections (the listen backlog, the server's or proxy's maximum), or need fewer of them: kept connections \
             in place of one for each request. More instances help only if each has a limit of its own: then fewer are refused as the group grows."
        }
        Suspect::LoadBalancer => {
            "See the load balancer's access logs: it answered itself, for want of a healthy target or of an answer in time."
        }
        Suspect::NameResolution => "Mend the target's name: no instance was asked.",
        Suspect::LostInstances => {
            "Find out why they stopped. Health checks that fail sooner, and instances to spare in every zone, make it shorter."
        }
        Suspect::StrainedGenerator => {
            "Send the same load from more or larger tasks: the slow answers are theirs."
        }
    }
}

/// Returns the clues for and against, and the run that would tell.
fn because(found: &Hypothesis) -> String {
    let (pro, against) = (clues(&found.pro), clues(&found.against));
    let mut text = match (found.standing, pro.is_empty(), against.is_empty()) {
        (_, true, true) => clueless(found.standing).to_owned(),
        (_, false, true) => pro,
        (_, true, false) => against,
        (Standing::Excluded, false, false) => format!("{pro}; but {against}"),
        (_, false, false) => format!("{pro}; against it: {against}"),
    };
    if let Some(run) = found.tells {
        text += &format!(" (would tell: {})", telling(run));
    }
    text
}

/// Returns the clues as one sentence; empty without any.
pub fn clues(clues: &[Clue]) -> String {
    clues.iter().map(clue).collect::<Vec<_>>().join("; ")
}

/// Returns the basis of a standing that rests on no clue.
pub fn clueless(standing: Standing) -> &'static str {
    match standing {
        Standing::Excluded => "other reasons explain every second that missed a limit",
        Standing::Holds | Standing::Open => "nothing in this run speaks for or against it",
    }
}

/// Names the run that would tell.
pub fn telling(run: TellingRun) -> &'static str {
    match run {
        TellingRun::FewerConnections => {
            "the same requests over fewer connections, kept and shared (`connection`)"
        }
        TellingRun::InstanceHeader => "a run whose answers name their instance, `instance_header`",
        TellingRun::MoreInstances => "the same load with more instances from the start",
        TellingRun::MoreTasks => "the same load from more or larger tasks",
        TellingRun::Steps => "the load in steps, each held until the group has settled",
        TellingRun::MoreRequests => {
            "the same load for longer or more of it, so that each instance answers enough"
        }
    }
}

fn micros(micros: u64) -> String {
    units::duration(Duration::from_micros(micros))
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{per_second:.0}/s")
    }
}

/// Lists the answers with each status; empty where none is known.
fn each_status(by_status: &[(u16, f64)]) -> String {
    let each: Vec<String> = by_status
        .iter()
        .map(|(status, answers)| format!("{answers:.0} of {status}"))
        .collect();
    if each.is_empty() {
        return String::new();
    }
    format!(": {}", units::listed(&each))
}

fn clue(clue: &Clue) -> String {
    match clue {
        Clue::GrewWithoutGain { .. }
        | Clue::GrewWithGain { .. }
        | Clue::SlowDespiteGrowth { .. } => of_growth(clue),
        Clue::NewInstancesServed { share } => {
            format!(
                "new instances gave {} % of the answers",
                percent(round(*share))
            )
        }
        Clue::Cured { from, to } => {
            format!(
                "the limits held again under the same load with {to} instances in place of {from}"
            )
        }
        Clue::OnlyAbove { held, missed } => format!(
            "the limits held up to {} for each instance, and not from {} on",
            rate(*held),
            rate(*missed)
        ),
        Clue::MissedBelow {
            missed,
            held,
            seconds,
        } => format!(
            "limits were missed for {} at {} for each instance, where {} had held",
            units::count(*seconds, "second"),
            rate(*missed),
            rate(*held)
        ),
        Clue::MissedBefore {
            missed,
            held,
            seconds,
        } => format!(
            "limits were missed for {} before the load rose, at {} for each instance, where {} held later",
            units::count(*seconds, "second"),
            rate(*missed),
            rate(*held)
        ),
        Clue::MetricBelow { .. }
        | Clue::WouldHaveSeen { .. }
        | Clue::MetricFell { .. }
        | Clue::MetricAtCeiling { .. }
        | Clue::MetricBelowCeiling { .. } => of_metrics(clue),
        Clue::NoConnection { .. }
        | Clue::BalancerRejected { .. }
        | Clue::AnsweredAsUsual { .. }
        | Clue::AnsweredLate { .. }
        | Clue::RefusedBelow { .. } => of_connections(clue),
        Clue::SlowAtFirst { .. } | Clue::FailedAtFirst { .. } | Clue::SinceNewInstance { .. } => {
            of_new_instances(clue)
        }
        Clue::GeneratorAtItsLimit { .. }
        | Clue::LongerThanDelay { .. }
        | Clue::GeneratorMostly { .. } => of_generators(clue),
        Clue::HeldWithout { .. }
        | Clue::OneFailed { .. }
        | Clue::OneSlow { .. }
        | Clue::UnhealthyAlone { .. }
        | Clue::HeldOnceOut { .. }
        | Clue::OneInN { .. }
        | Clue::RefusedAtSameRate { .. }
        | Clue::RefusedByPart { .. }
        | Clue::MoreThanEven { .. } => of_instances(clue),
        _ => of_requests_and_launches(clue),
    }
}

fn of_growth(clue: &Clue) -> String {
    match clue {
        Clue::GrewWithoutGain {
            from,
            to,
            before,
            later,
            asked,
        } => format!(
            "{from} -> {to} instances served, and {} of {} were answered well, {} before",
            rate(*later),
            rate(*asked),
            rate(*before)
        ),
        Clue::GrewWithGain {
            from,
            to,
            before,
            later,
            asked,
        } => format!(
            "{from} -> {to} instances served, and {} of {} were answered well in place of {}",
            rate(*later),
            rate(*asked),
            rate(*before)
        ),
        Clue::SlowDespiteGrowth {
            from,
            to,
            before_us,
            later_us,
        } => format!(
            "{from} -> {to} instances served, and p95 was {}, {} before",
            micros(*later_us),
            micros(*before_us)
        ),
        _ => String::new(),
    }
}

fn round(share: f64) -> f64 {
    (share * 1_000.0).round() / 1_000.0
}

fn of_metrics(clue: &Clue) -> String {
    match clue {
        Clue::MetricBelow {
            metric,
            highest,
            threshold,
        } => format!(
            "{metric} was {highest:.1} at most while limits were missed, below the alarm's {threshold:.1}"
        ),
        Clue::WouldHaveSeen {
            metric,
            before,
            during,
        } => format!("{metric} rose from {before:.1} to {during:.1}"),
        Clue::MetricFell {
            metric,
            before,
            later,
        } => format!("{metric} of each instance fell from {before:.1} to {later:.1}"),
        Clue::MetricAtCeiling { metric, highest } => {
            format!("{metric} was at its ceiling, {highest:.0}")
        }
        Clue::MetricBelowCeiling { metric, usual } => {
            format!("{metric} was {usual:.0}, below its ceiling")
        }
        _ => String::new(),
    }
}

fn of_connections(clue: &Clue) -> String {
    match clue {
        Clue::NoConnection {
            refused,
            closed,
            of,
        } => {
            let ways = [
                (*refused, "got no connection"),
                (*closed, "had theirs closed before an answer"),
            ];
            let each: Vec<String> = ways
                .into_iter()
                .filter(|(requests, _)| *requests > 0)
                .map(|(requests, way)| format!("{requests} {way}"))
                .collect();
            format!("of {of} failed requests {}", units::listed(&each))
        }
        Clue::BalancerRejected { connections } => format!(
            "the load balancer counted {connections:.0} connections that it had no room for"
        ),
        Clue::AnsweredAsUsual { p95_us, usual_us } => format!(
            "the others were answered in their usual time: p95 {}, {} before",
            micros(*p95_us),
            micros(*usual_us)
        ),
        Clue::AnsweredLate { p95_us, usual_us } => format!(
            "the others were answered late: p95 {}, {} before",
            micros(*p95_us),
            micros(*usual_us)
        ),
        Clue::RefusedBelow { missed, held } => format!(
            "connections were refused at {}, where {} had been answered",
            rate(*missed),
            rate(*held)
        ),
        _ => String::new(),
    }
}

fn of_new_instances(clue: &Clue) -> String {
    match clue {
        Clue::SlowAtFirst {
            instances,
            of,
            p95_us,
            others_us,
            for_s,
        } => format!(
            "{instances} of {} slow for up to {}: p95 {} beside {} of the older ones",
            units::count(*of, "new instance"),
            units::count(*for_s, "second"),
            micros(*p95_us),
            micros(*others_us)
        ),
        Clue::FailedAtFirst {
            instances,
            of,
            share,
            others,
            for_s,
        } => format!(
            "{instances} of {} failed for up to {}: {} % of its answers, beside {} % of the older ones",
            units::count(*of, "new instance"),
            units::count(*for_s, "second"),
            percent(round(*share)),
            percent(round(*others))
        ),
        Clue::SinceNewInstance { second } => {
            format!("it began when a new instance served, at {second} s")
        }
        _ => String::new(),
    }
}

fn of_instances(clue: &Clue) -> String {
    match clue {
        Clue::HeldWithout { seconds, of } => format!(
            "without those answers the limits hold in {seconds} of {}",
            units::count(*of, "second")
        ),
        Clue::OneFailed {
            instance,
            share,
            others,
        } => format!(
            "{instance} failed {} % of its requests, the others {} %",
            percent(round(*share)),
            percent(round(*others))
        ),
        Clue::OneSlow {
            instance,
            p95_us,
            others_us,
        } => format!(
            "{instance} took {} (p95), the others {}",
            micros(*p95_us),
            micros(*others_us)
        ),
        Clue::UnhealthyAlone {
            instance,
            second,
            others,
        } => format!(
            "{instance} failed its health checks at {second} s, and {} passed",
            units::count(*others, "other")
        ),
        Clue::HeldOnceOut { instance, seconds } => format!(
            "the limits held again under the same load once {instance} was out, for {}",
            units::count(*seconds, "second")
        ),
        Clue::OneInN { share, instances } => format!(
            "{} % of the requests failed, about one in {instances}, which is the number of instances",
            percent(round(*share))
        ),
        Clue::RefusedAtSameRate {
            few,
            many,
            before,
            later,
        } => format!(
            "an instance that refused requests answered {} well while {many} took part in the load, {} while {few} did",
            rate(*later),
            rate(*before)
        ),
        Clue::RefusedByPart {
            most,
            most_good,
            least,
            least_good,
        } => format!(
            "of {} one instance answered {} well, of {} another {}: each refuses for itself",
            rate(*most),
            rate(*most_good),
            rate(*least),
            rate(*least_good)
        ),
        Clue::MoreThanEven { instance, times } => {
            format!("{instance} got {times:.1} times an even share of the requests")
        }
        _ => String::new(),
    }
}

fn of_generators(clue: &Clue) -> String {
    match clue {
        Clue::GeneratorAtItsLimit { seconds } => format!(
            "a generator was at its own limit in {}, and no other second was slow",
            if *seconds == 1 {
                "the one slow second".to_owned()
            } else {
                format!("all {seconds} slow seconds")
            }
        ),
        Clue::LongerThanDelay { p95_us, delay_us } => format!(
            "it delayed requests by {} at most, and p95 was {}",
            micros(*delay_us),
            micros(*p95_us)
        ),
        Clue::GeneratorMostly { seconds, of } => format!(
            "a generator was at its own limit in {seconds} of these {}",
            units::count(*of, "second")
        ),
        _ => String::new(),
    }
}

fn of_requests_and_launches(clue: &Clue) -> String {
    match clue {
        Clue::AlwaysFails {
            step,
            before,
            during,
        } => format!(
            "{step} failed for {} % before the load rose and {} % in the spike",
            percent(round(*before)),
            percent(round(*during))
        ),
        Clue::LaunchesFailed {
            failed,
            of,
            messages,
        } => {
            let words = if messages.is_empty() {
                "AWS says no more".to_owned()
            } else {
                messages.join(" / ")
            };
            format!(
                "{failed} of {} failed: {words}",
                units::count(*of, "launch")
            )
        }
        Clue::NeverReached { wanted, most } => {
            format!("the group wanted {wanted} instances and never had more than {most}")
        }
        Clue::Reached { wanted } => {
            format!("the group reached the {wanted} instances that it wanted")
        }
        Clue::TimedOut { requests, of } => format!(
            "{} got no answer in time, of {of} in the seconds that missed a limit: the target may have worked on them all the same",
            units::count(*requests, "request")
        ),
        Clue::TooManyRequests { requests, of } => {
            format!("{requests} of {of} failed requests were answered 429")
        }
        Clue::RetryAfter { requests, of } => {
            format!("{requests} of {of} failed requests were told to try again later (Retry-After)")
        }
        Clue::NotByInstances { requests, of } => {
            format!("{requests} of {of} failed answers name no instance, as all others do")
        }
        Clue::BalancerCounted { errors, by_status } => {
            let apart = each_status(by_status);
            format!("the load balancer counted {errors:.0} 5xx of its own{apart}")
        }
        Clue::StoppedAnswering {
            instances,
            requests,
        } => format!(
            "{} that had served failed the health checks, and {} got no answer around that time",
            units::count(*instances, "instance"),
            units::count(*requests, "request")
        ),
        Clue::Unresolved { requests } => {
            format!(
                "the name was not resolved for {}",
                units::count(*requests, "request")
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balancers_own_answers_are_told_by_their_status() {
        let counted = |by_status: &[(u16, f64)]| {
            clue(&Clue::BalancerCounted {
                errors: 40.0,
                by_status: by_status.to_vec(),
            })
        };
        assert_eq!(
            counted(&[(502, 30.0), (504, 10.0)]),
            "the load balancer counted 40 5xx of its own: 30 of 502 and 10 of 504"
        );
        assert_eq!(counted(&[]), "the load balancer counted 40 5xx of its own");
    }

    #[test]
    fn a_limit_on_connections_is_told_with_its_figures() {
        let found = Hypothesis {
            suspect: Suspect::ConnectionLimit,
            standing: Standing::Open,
            pro: vec![
                Clue::NoConnection {
                    refused: 30,
                    closed: 12,
                    of: 50,
                },
                Clue::AnsweredAsUsual {
                    p95_us: 45_000,
                    usual_us: 41_000,
                },
                Clue::GrewWithGain {
                    from: 2,
                    to: 4,
                    before: 300.0,
                    later: 600.0,
                    asked: 600.0,
                },
            ],
            against: Vec::new(),
            seconds: Vec::new(),
            tells: Some(TellingRun::FewerConnections),
            because: String::new(),
        };
        assert_eq!(
            hypothesis(found).because,
            "of 50 failed requests 30 got no connection and 12 had theirs closed before an answer; \
             the others were answered in their usual time: p95 45ms, 41ms before; \
             2 -> 4 instances served, and 600/s of 600/s were answered well in place of 300/s \
             (would tell: the same requests over fewer connections, kept and shared (`connection`))"
        );
    }
}
