//! Sentences for the answers on slow links, latency and errors.

use super::super::figures::rate;
use crate::advice::{
    Aside, BalancerCount, BeforeGrowth, ErrorCause, ErrorShares, LoadRise, Longest, SlowestLink,
    Unfinished,
};
use crate::report::words::hypotheses;
use evidence::{Hypothesis, Standing, Suspect};
use model::units;

pub(super) fn slowest_link(link: &SlowestLink) -> String {
    let open = link.unfinished.as_ref().map(unfinished);
    let mut text = match (&link.longest, open) {
        (Some(longest), Some(open)) => format!("{} {open}", self::longest(longest)),
        (Some(longest), None) => self::longest(longest),
        (None, open) => open.unwrap_or_default(),
    };
    if let Some(own) = &link.own_window {
        text += &format!(
            " The alarm's own window is {} ({:.0} %): nothing but another policy or period shortens it.",
            units::duration(own.window),
            own.share * 100.0
        );
    }
    if let Some(rise) = &link.load_rise {
        text = format!("{} {text}", load_rise(rise));
    }
    text += match link.aside {
        Some(Aside::GrewBeforeTheSpike) => {
            " (The group grew before the spike: this is that growth.)"
        }
        Some(Aside::LatencyBackBefore) => {
            " (Latency was back before a new instance served: the group's growth is not what brought it back.)"
        }
        None => "",
    };
    text
}

fn load_rise(rise: &LoadRise) -> String {
    format!(
        "The load itself rose for {}, from {:.0} to {:.0} requests/s, until the metric breached: that time is not the group's.",
        units::duration(rise.took),
        rise.from,
        rise.to
    )
}

fn longest(link: &Longest) -> String {
    format!(
        "From {} to {}: {} of the {} between {} and {}.",
        link.from,
        link.to,
        units::duration(link.took),
        units::duration(link.whole),
        link.first,
        link.last
    )
}

fn unfinished(link: &Unfinished) -> String {
    format!(
        "From {} to {}: it has not ended when the load was stopped, {} later.",
        link.from,
        link.to,
        units::duration(link.lasted)
    )
}

pub(super) fn before_growth(found: &BeforeGrowth) -> String {
    let least = if found.carries_at_least {
        "at least "
    } else {
        ""
    };
    let carries = format!("{least}{}", rate(found.carries));
    let limit = units::duration(found.limit);
    let (there, most) = (units::count(found.instances, "instance"), rate(found.most));
    let mut text = match found.overloaded_s {
        Some(over) => format!(
            "For {} each of the {there} had to carry up to {most} requests/s, where {carries} is what one carries within {limit}.",
            units::count(over, "second")
        ),
        None => format!(
            "It need not have: {there} carried up to {most} requests/s each, and one carries {carries} within {limit}."
        ),
    };
    if found.left > 0 {
        text += &format!(
            " {} left meanwhile.",
            units::count(found.left as u64, "instance")
        );
    }
    text
}

pub(super) fn errors(found: &ErrorShares) -> String {
    let shares: Vec<String> = found
        .shares
        .iter()
        .map(|(cause, share)| format!("{:.0} % {}", share * 100.0, error_cause(*cause)))
        .collect();
    let counted: Vec<String> = found
        .counted
        .iter()
        .map(|(what, count)| format!("{count:.0} {}", balancer_count(*what)))
        .collect();
    let by_balancer = if counted.is_empty() {
        String::new()
    } else {
        format!(" The load balancer counted {}.", counted.join(", "))
    };
    format!("{}.{by_balancer}", shares.join("; "))
}

/// Says why latency or errors grew, where the group's size is not the reason.
pub(super) fn other_reasons(reasons: &[(Suspect, Standing)]) -> String {
    let one = |(suspect, standing): &(Suspect, Standing)| {
        let name = hypotheses::suspect(*suspect);
        match standing {
            Standing::Holds => name.to_owned(),
            _ => format!("perhaps {name}"),
        }
    };
    let names: Vec<String> = reasons.iter().map(one).collect();
    format!(
        "Not for the load of each instance: {}.",
        units::listed(&names)
    )
}

/// Says what to do where the group's size is not the reason.
pub(super) fn other_remedies(reasons: &[(Suspect, Standing)]) -> String {
    let one = |(suspect, standing): &(Suspect, Standing)| {
        let remedy = hypotheses::remedy(*suspect);
        match standing {
            Standing::Holds => remedy.to_owned(),
            _ => format!("If it is {}: {remedy}", hypotheses::suspect(*suspect)),
        }
    };
    let remedies: Vec<String> = reasons.iter().map(one).collect();
    let first = if reasons.iter().any(|(_, is)| *is == Standing::Holds) {
        "Not the group's size."
    } else {
        "This run cannot tell."
    };
    format!("{first} {}", remedies.join(" "))
}

/// Joins the sentences of hypotheses.
pub(super) fn hypotheses(found: &[Hypothesis]) -> String {
    let all: Vec<&str> = found.iter().map(|one| one.because.as_str()).collect();
    all.join("; ")
}

fn error_cause(cause: ErrorCause) -> String {
    let fixed = match cause {
        ErrorCause::Other(suspect) => return format!("from {}", hypotheses::suspect(suspect)),
        ErrorCause::NobodyHealthy => "while no instance was healthy",
        ErrorCause::Saturation => "while the instances had more to do than they carry (saturation)",
        ErrorCause::Leaving => "while an instance was leaving, until 2s after it was gone",
        ErrorCause::NewInstance => {
            "within a minute of a new instance's first health, with load to spare"
        }
        ErrorCause::Unexplained => "at no moment that explains them",
    };
    fixed.to_owned()
}

fn balancer_count(what: BalancerCount) -> &'static str {
    match what {
        BalancerCount::TargetErrors => "5xx from targets",
        BalancerCount::OwnErrors => "5xx of its own",
        BalancerCount::ConnectionErrors => "targets it could not connect to",
        BalancerCount::Rejected => "connections it refused",
    }
}
