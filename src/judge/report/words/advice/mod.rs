//! Sentences for the advice.

mod causes;
mod change;
mod settings;
mod sizes;
mod what_if;

pub use change::{agreement, chosen};
pub use what_if::what_if;

use crate::advice::{self, Assumption, Basis, Content, NoCandidates, NotAPolicy, Standing, Topic};
use crate::report::{
    ReportedAdvice, ReportedAnswer, ReportedBeside, ReportedCandidate, ReportedPrice,
};
use evidence::capacity::Metric;
use evidence::price::{Price, PriceSource};
use model::units;

/// Returns the advice with its sentences.
pub fn advice(advice: advice::Advice) -> ReportedAdvice {
    let capacity = advice.capacity.map(|mut capacity| {
        capacity.because = super::capacity(&capacity);
        capacity
    });
    ReportedAdvice {
        limit: advice.limit,
        answers: advice.answers.into_iter().map(answer).collect(),
        capacity,
        metric: advice.metric,
        agreement: advice.agreement,
        elasticity: advice.elasticity,
        price: advice.price.map(price),
        candidates: advice.candidates.into_iter().map(candidate).collect(),
        chosen: advice.chosen,
        no_candidates: advice.no_candidates.as_ref().map(no_candidates),
        snippet: advice.snippet,
        beside: advice.beside.into_iter().map(beside).collect(),
    }
}

fn beside(change: NotAPolicy) -> ReportedBeside {
    let text = match change {
        NotAPolicy::ConnectionsOfEachInstance => {
            "raise the limit of each instance on connections: its server's or proxy's maximum, the listen backlog"
        }
        NotAPolicy::RequestsOfEachInstance => {
            "raise the limit of each instance on requests: more workers, a larger queue, a higher rate"
        }
    };
    ReportedBeside {
        change,
        text: text.to_owned(),
    }
}

fn price(price: Price) -> ReportedPrice {
    ReportedPrice {
        usd: price.usd,
        source: price_source(&price.source),
    }
}

fn price_source(source: &PriceSource) -> String {
    let (kind, what, date) = match source {
        PriceSource::Option => return "--instance-price".to_owned(),
        PriceSource::Instance { kind, date } => (kind, "Linux on demand", date),
        PriceSource::Task { size, date } => (size, "as a Fargate task on x86", date),
    };
    format!(
        "{kind}, {what}, the price of {date} in us-east-1; other regions differ (--instance-price takes yours)"
    )
}

/// Returns one answer with its sentences.
pub fn answer(answer: advice::Answer) -> ReportedAnswer {
    ReportedAnswer {
        topic: answer.topic,
        question: question(answer.topic).to_owned(),
        answer: content(&answer.content),
        evidence: basis(&answer.basis),
        confidence: answer.confidence,
    }
}

/// The question that an answer has as its heading.
pub fn question(topic: Topic) -> &'static str {
    match topic {
        Topic::WhatIf => "What if?",
        Topic::Change => "What should be changed?",
        Topic::SlowestLink => "Which link of scaling out is the slow one?",
        Topic::LatencyBeforeGrowth => "Why did latency grow before the group did?",
        Topic::Errors => "What explains the errors?",
        Topic::LoadFollowed => "Did the group follow the load?",
        Topic::InstanceCapacity => "What does one instance carry, and how many are needed?",
        Topic::AtMaximum => "How much load does the group carry at its maximum?",
        Topic::TargetValue => "What should the target value be?",
        Topic::MinAndMax => "What should min and max be?",
        Topic::StepSizes => "How large should the steps be?",
        Topic::WarmUp => "What should the warm-up be?",
        Topic::Cooldown => "What should the cooldown be?",
        Topic::OtherSettings => "Which settings around the policy should change?",
        Topic::Price => "Which price was used?",
    }
}

fn candidate(candidate: advice::Candidate) -> ReportedCandidate {
    ReportedCandidate {
        name: candidate.name,
        change: candidate.change,
        over_limit: candidate.over_limit,
        errors: candidate.errors,
        instance_minutes: candidate.instance_minutes,
        usd: candidate.usd,
        most_instances: candidate.most_instances,
        recommended: candidate.recommended,
        assumes: candidate.assumes.as_ref().map(assumption),
    }
}

fn content(content: &Content) -> String {
    match content {
        Content::Unknown => "This run cannot tell.".to_owned(),
        Content::WhatIf(asked) => what_if::asked(asked),
        Content::Change(recommendation) => change::change(recommendation),
        Content::SlowestLink(link) => causes::slowest_link(link),
        Content::LatencyBeforeGrowth(found) => causes::before_growth(found),
        Content::OtherReasons(reasons) => causes::other_reasons(reasons),
        Content::OtherRemedies(reasons) => causes::other_remedies(reasons),
        Content::Errors(shares) => causes::errors(shares),
        Content::LoadFollowed { elasticity, cost } => sizes::followed(elasticity, *cost),
        Content::InstanceCapacity(size) => sizes::needed_size(size),
        Content::AtMaximum(carried) => sizes::at_maximum(carried),
        Content::TargetValue(target) => sizes::target_value(target),
        Content::MinAndMax(bounds) => sizes::min_and_max(bounds),
        Content::StepSizes(step) => sizes::step_size(step),
        Content::WarmUp(warm_up) => settings::warm_up(warm_up),
        Content::Cooldown(cooldown) => settings::cooldown(cooldown),
        Content::OtherSettings(all) => {
            let all: Vec<String> = all.iter().map(settings::other).collect();
            all.join(" ")
        }
        Content::Price(usd) => {
            let usd = format!("{usd:.5}");
            let usd = usd.trim_end_matches('0').trim_end_matches('.');
            format!("${usd} an hour for each instance.")
        }
    }
}

const WARM_UP_GUIDE: &str =
    "DescribeAutoScalingGroups, DescribePolicies; EC2 Auto Scaling guide, default instance warm-up";

fn basis(basis: &Basis) -> String {
    let fixed = match basis {
        Basis::NoCandidates(why) => return why.as_ref().map(no_candidates).unwrap_or_default(),
        Basis::Hypotheses(found) => return causes::hypotheses(found),
        Basis::Replay(replay) => return change::replay(replay),
        Basis::Moments(moments) => {
            let sources: Vec<String> = moments.iter().map(super::source).collect();
            return sources.join("; ");
        }
        Basis::Seconds { from, until } => {
            return format!(
                "seconds {from} to {until} of the load, and the size of the group in each"
            );
        }
        Basis::ErrorsBySecond { errors } => {
            let count = units::count(*errors, "error");
            return format!("{count} by second, beside load, size of the group and its activities");
        }
        Basis::InstancesNeeded { each } => {
            return format!(
                "needed = load / {each:.0} requests/s, at least the group's minimum; BUNGEE's timeshare and accuracy"
            );
        }
        Basis::Capacity(capacity) => return sizes::known(capacity),
        Basis::CapacityTimesMaximum { each, served } => return times_maximum(*each, *served),
        Basis::Metric { metric, each } => return datapoints(metric, *each),
        Basis::PeakAndCalm { peak, calm, each } => {
            return format!(
                "{peak:.0} and {calm:.0} requests/s over {}",
                by_capacity(*each)
            );
        }
        Basis::Peak { peak, each } => {
            return format!(
                "the highest second ({peak:.0} requests/s) over {}",
                by_capacity(*each)
            );
        }
        Basis::StartsAndWarmUpGuide { starts } => {
            return format!(
                "{}; what caches need shows in the latency of fresh instances; {WARM_UP_GUIDE}",
                seen(*starts)
            );
        }
        Basis::StartsAndAlarms { starts, policy } => {
            return format!("{}; the alarms of {policy}", seen(*starts));
        }
        Basis::TaskStartsAndAlarms { starts } => {
            return format!(
                "{}; the alarms of each policy; Application Auto Scaling API",
                seen(*starts)
            );
        }
        Basis::Price(source) => return price_source(source),
        Basis::NothingHeld => {
            "no second held the limit: a run whose first phase is so low that it does would show what one instance carries"
        }
        Basis::NoSteadyDatapoint => {
            "no datapoint of the metric lies beside a steady size and load: a run with phases longer than a few \
             periods would show how it follows the load"
        }
        Basis::NoStart => NO_START,
        Basis::NoTaskStart => {
            "no new task came to run: a run in which the service grows would show how long one takes"
        }
        Basis::ServiceGuide => "Application Auto Scaling guide, target tracking",
        Basis::WarmUpGuide => WARM_UP_GUIDE,
        Basis::CooldownGuide => {
            "DescribePolicies; EC2 Auto Scaling guide, scaling cooldowns and default instance warm-up"
        }
        Basis::Settings => {
            "Describe calls of the group, its hooks and its target groups; EC2 Auto Scaling and ELB user guides"
        }
    };
    fixed.to_owned()
}

fn datapoints(metric: &Metric, each: f64) -> String {
    format!(
        "{} of the metric, the middle one {:.0} % from {:.3} for each request/s; {}; the rows below show what other targets do",
        units::count(metric.datapoints as u32, "datapoint"),
        metric.scatter * 100.0,
        metric.per_request,
        by_capacity(each)
    )
}

/// Describes a basis on the capacity of an instance. The answer on size has that in full, so this
/// refers to it.
fn by_capacity(each: f64) -> String {
    format!("{each:.0} requests/s for each instance, as sure as that is (above)")
}

fn times_maximum(each: f64, served: u32) -> String {
    format!(
        "{}; at most {} served at once in this run",
        by_capacity(each),
        units::count(served, "instance")
    )
}

fn seen(starts: usize) -> String {
    format!(
        "the middle of {} seen to start",
        units::count(starts as u32, "instance")
    )
}

const NO_START: &str = "no new instance came into service: a run in which the group grows would show how long one takes";

/// Describes the reason why no other policy was replayed.
pub(super) fn no_candidates(why: &NoCandidates) -> String {
    let fixed = match why {
        NoCandidates::AlarmsUnread { policy } => {
            return format!("the alarms of policy {policy} could not be read");
        }
        NoCandidates::PolicyUnread { policy, kind } => {
            return format!("policy {policy} of kind {kind} could not be read whole");
        }
        NoCandidates::Forecast { policy } => {
            return format!(
                "policy {policy} scales by a forecast of its own: what it does in a run cannot be replayed (a run with it \
                 in ForecastOnly mode can)"
            );
        }
        NoCandidates::NoDatapoint { policy } => {
            return format!(
                "{policy} could not be laid beside the load: no datapoint below its ceiling"
            );
        }
        NoCandidates::OtherReasons { suspects } => {
            let why = super::hypotheses::missed_for(suspects);
            return format!("no policy was replayed, since {why}");
        }
        NoCandidates::NoPolicy => "the group has no scaling policy",
        NoCandidates::NoPolicyForMore => "no policy of the group answers a rising load",
        NoCandidates::NothingHeld => {
            "no second held the limit: what one instance carries is not known"
        }
        NoCandidates::GroupNeverSeen => "the group was never seen",
        NoCandidates::NoStart => NO_START,
    };
    fixed.to_owned()
}

/// Describes the assumption of a candidate.
pub(super) fn assumption(assumption: &Assumption) -> String {
    let fixed = match assumption {
        Assumption::SpikeAtAnyTime(cost) => {
            return format!(
                "a spike may come at any time of the day: {}",
                standing(cost)
            );
        }
        Assumption::PooledStart { boot } => {
            return format!(
                "an instance is in service {} after it is taken from the pool, whose stopped instances pay for their disks",
                units::duration(*boot)
            );
        }
        Assumption::WindowNotSeen { window, recorded } => {
            return format!(
                "a load is longer than the alarm's window of {}: the recorded one of {} is not, so this row proves nothing",
                units::duration(*window),
                units::duration(*recorded)
            );
        }
        Assumption::MetricAsSeen {
            share,
            over_limit,
            errors,
        } => {
            return format!(
                "the metric is as this run saw it, close to a threshold: {:.0} % higher or lower, and the limit is missed for {over_limit} s with {} lost",
                share * 100.0,
                units::count(*errors, "request")
            );
        }
        Assumption::CpuFromAgent => {
            "the CloudWatch agent on each instance publishes the CPU every ten seconds as a custom metric that reads the same \
             (EC2's own CPUUtilization comes every minute at best)"
        }
        Assumption::OwnMetric => {
            "you publish the same metric every ten seconds, at high resolution"
        }
        Assumption::SpikeKnownBefore => "the spike's time is known before",
    };
    fixed.to_owned()
}

/// Describes the cost of a higher minimum.
fn standing(cost: &Standing) -> String {
    let money = cost.usd.map_or(String::new(), |usd| format!(" ({usd})"));
    format!(
        "it costs up to {:.0} instance-hours{money} a day more than the minimum of {}",
        cost.instance_hours, cost.before
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_minimum_is_said_with_its_cost_for_a_day() {
        let said = |usd| {
            standing(&Standing {
                instance_hours: 48.0,
                usd,
                before: 2,
            })
        };
        assert_eq!(
            said(Some(units::Usd(1.9968))),
            "it costs up to 48 instance-hours ($2.00) a day more than the minimum of 2"
        );
        assert_eq!(
            said(None),
            "it costs up to 48 instance-hours a day more than the minimum of 2"
        );
    }
}
