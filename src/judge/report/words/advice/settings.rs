//! Sentences for the answers on warm-up, cooldown and other settings around the policy.

use std::time::Duration;

use crate::advice::{
    Cooldown, Fit, FreshErrors, OtherSetting, PresentWarmUp, ServiceCooldown, WarmUp,
};
use model::units::{self, duration};

pub(super) fn warm_up(warm_up: &WarmUp) -> String {
    match warm_up {
        WarmUp::OfService => {
            "None: a service has no warm-up, a cooldown follows each change of its size instead."
                .to_owned()
        }
        WarmUp::Unset { cooldown } => unset(*cooldown),
        WarmUp::Known {
            boot,
            health,
            period,
            about,
            now,
        } => format!(
            "About {} from in service on, which is {} after the launch: an instance boots for {}, is healthy {} later, and its load \
             is in the metric after a period of {}. {}",
            duration(*about),
            duration(*boot + *about),
            duration(*boot),
            duration(*health),
            duration(*period),
            present_warm_up(now)
        ),
    }
}

fn unset(cooldown: Duration) -> String {
    format!(
        "Set the group's default instance warm-up. It has none, nor has the policy, so the cooldown of {} is taken for it: new \
         instances are left out of the metric, and scaling in is blocked, for that long.",
        duration(cooldown)
    )
}

fn present_warm_up(now: &PresentWarmUp) -> String {
    match now {
        PresentWarmUp::Unset { cooldown } => unset(*cooldown),
        PresentWarmUp::Set { live, fit, waited } => {
            let judged = match fit {
                Fit::Longer => {
                    "longer than that: all the while new instances are left out of the metric and scaling in is blocked"
                }
                Fit::Shorter => {
                    "shorter than that, so instances that carry nothing yet are in the metric and make the policy stop too early"
                }
                Fit::Fits => "it fits",
            };
            let waited = waited.map_or(String::new(), |waited| {
                format!(
                    " Scaling in waited {} after its low alarm.",
                    duration(waited)
                )
            });
            format!("It is {}: {judged}.{waited}", duration(*live))
        }
    }
}

pub(super) fn cooldown(cooldown: &Cooldown) -> String {
    match cooldown {
        Cooldown::NoMatter { default } => format!(
            "It does not matter: the default of {} gates simple scaling only, and no policy here is simple.",
            duration(*default)
        ),
        Cooldown::IsWarmUp { default } => format!(
            "It gates simple scaling only, and no policy here is simple; but as no warm-up is set, the default of {} \
             is what new instances warm up for. With a default instance warm-up it would not matter.",
            duration(*default)
        ),
        Cooldown::Simple {
            policy,
            about,
            health,
            window,
            live,
            fit,
        } => format!(
            "About {} for {policy}: from in service on an instance takes {} to be healthy, and the alarm looks at {} of load. It is {}.",
            duration(*about),
            duration(*health),
            duration(*window),
            self::fit(
                *live,
                *fit,
                "a load that keeps rising gets no response for that long"
            )
        ),
        Cooldown::OfService(all) => {
            let all: Vec<String> = all.iter().map(of_service).collect();
            all.join(" ")
        }
    }
}

fn of_service(cooldown: &ServiceCooldown) -> String {
    match cooldown {
        ServiceCooldown::OutUnknown { policy, live } => format!(
            "After a scale-out of {policy} it is {}; what it should be this run cannot tell.",
            duration(*live)
        ),
        ServiceCooldown::Out {
            policy,
            about,
            boot,
            health,
            window,
            live,
            fit,
        } => format!(
            "After a scale-out about {} for {policy}: a task takes {} to start and {} to be healthy, and the alarm looks at {} of load. \
             It is {}.",
            duration(*about),
            duration(*boot),
            duration(*health),
            duration(*window),
            self::fit(
                *live,
                *fit,
                "for that long only a larger scale-out responds to a load that keeps rising"
            )
        ),
        ServiceCooldown::In {
            policy,
            about,
            drain,
            period,
            live,
            fit,
        } => format!(
            "After a scale-in about {} for {policy}: {} to drain, and a datapoint of {}. It is {}.",
            duration(*about),
            duration(*drain),
            duration(*period),
            self::fit(
                *live,
                *fit,
                "for that long no other task leaves that is not needed"
            )
        ),
    }
}

/// Describes a set time and its fit, for example `5m: longer than that: ...`.
fn fit(live: Duration, fit: Fit, longer: &str) -> String {
    let live = duration(live);
    match fit {
        Fit::Longer => format!("{live}: longer than that, and {longer}"),
        Fit::Shorter => format!(
            "{live}: shorter than that, so the next change comes before the last one shows in the metric"
        ),
        Fit::Fits => format!("{live}: it fits"),
    }
}

pub(super) fn other(setting: &OtherSetting) -> String {
    match setting {
        OtherSetting::FailedChecks { instances, grace } => format!(
            "{} failed health checks and left: set the health check grace (now {}) above what an instance takes to start, or \
             let a launch lifecycle hook hold it back until it is ready.",
            units::count(*instances, "instance"),
            duration(*grace)
        ),
        OtherSetting::FreshErrors {
            found,
            is_service,
            slow_start,
        } => fresh_errors(found, *is_service, *slow_start),
        OtherSetting::SlowChecks { waits } => format!(
            "Instances were in service up to {} before they were healthy: Auto Scaling counts them as capacity by then. A \
             shorter health check interval or a launch lifecycle hook makes the two one.",
            duration(*waits)
        ),
        OtherSetting::LongDeregistration { delay } => format!(
            "Deregistration takes {} for every instance that leaves, and is paid for: lower it to what the longest request \
             needs.",
            duration(*delay)
        ),
        OtherSetting::ShortDeregistration { delay, longest } => format!(
            "Deregistration takes {} at most (`deregistration_delay.timeout_seconds`), and the longest request without \
             overload took {}: an instance that leaves cuts such requests off. Raise it above {}.",
            duration(*delay),
            duration(*longest),
            duration(*longest)
        ),
        OtherSetting::StickySessions => {
            "Sticky sessions keep the load on the instances that were there: new ones get new sessions only."
                .to_owned()
        }
        OtherSetting::SlowStartWithoutEffect => {
            "Slow start has no effect with least outstanding requests.".to_owned()
        }
        OtherSetting::SimpleScaling { policy, cooldown } => format!(
            "{policy} is simple scaling: one change, then nothing for the cooldown of {}. Step scaling goes on while instances \
             start; AWS recommends it instead.",
            duration(*cooldown)
        ),
    }
}

fn fresh_errors(found: &FreshErrors, is_service: bool, slow_start: Option<Duration>) -> String {
    let found = match found {
        FreshErrors::Judged(sentence) => sentence.clone(),
        FreshErrors::Inferred { young, all } => format!(
            "{young} of {} within a minute of a new instance's first health",
            units::count(*all, "error")
        ),
    };
    let hook = if is_service {
        "a container health check with a start period"
    } else {
        "a launch lifecycle hook that holds an instance back until it has warmed up"
    };
    let slow_start = match slow_start {
        Some(now) => format!("a slow start longer than {}", duration(now)),
        None => "slow start on the target group (none is set)".to_owned(),
    };
    format!(
        "New instances do not serve well at first ({found}): a health check on a path that answers only when the application is \
         ready, {hook}, or {slow_start}. No row below shows this: each instance that is launched brings its own errors."
    )
}
