//! The values that stay when the settings of a trial are as before: AWS raises the desired capacity
//! with the minimum, and does not lower it again.
//!
//! Nobody puts that back. AWS has no call that lowers it only while the load permits, and each
//! lowering ends instances at once. The group's own policies do it by their metrics; so a raised
//! minimum is not tried where none of them would.

use std::time::Duration;

use tokio::time::timeout;

use super::super::Context;
use super::super::state::RunState;
use super::{NotTried, TARGET};
use crate::journal::change::Parameters;
use crate::report::{AlarmNames, DesiredCapacity, ReportedTrial};
use crate::settings::{PresentGroup, Settings};

/// Limit for one look at a value.
const LOOK: Duration = Duration::from_secs(10);
/// Without these processes no policy's scale-in ends an instance.
const NEEDED: [&str; 2] = ["AlarmNotification", "Terminate"];

/// Adds the values to the report that AWS has changed with the settings.
pub(in crate::run) async fn tell_what_stays(
    cx: &Context,
    state: &RunState,
    report: &mut ReportedTrial,
) {
    let Some(cloud) = &state.plan.cloud else {
        return;
    };
    let settings = Settings::new(&cloud.aws);
    for change in &state.plan.trial.changes {
        let now = match timeout(LOOK, settings.aside(change)).await {
            Ok(Ok(now)) => now,
            Ok(Err(error)) => {
                cx.events.note(format!("{}: {error}", change.thing()));
                continue;
            }
            Err(_) => continue,
        };
        if let Some((before, after)) = change.aside.desired_since(&now) {
            report.desired = Some(DesiredCapacity { before, after });
        }
        if let Some((before, after)) = change.aside.alarms_since(&now) {
            report.alarms = Some(AlarmNames { before, after });
        }
    }
}

/// Refuses a raised minimum where nothing would lower the desired capacity afterwards.
pub(super) fn will_shrink(
    name: &str,
    group: &PresentGroup,
    policies: &[Parameters],
) -> Result<(), NotTried> {
    let is_suspended = |process: &&str| group.suspended.iter().any(|name| name == process);
    let refused = |why: String| {
        let group = name.to_owned();
        Err(NotTried::StaysLarge { group, why })
    };
    if let Some(process) = NEEDED.iter().find(|process| is_suspended(process)) {
        return refused(format!("its process {process} is suspended"));
    }
    if group.protects_new {
        return refused("it protects new instances from scale-in".to_owned());
    }
    match policies.iter().any(scales_in) {
        true => Ok(()),
        false => refused("none of its policies scales in".to_owned()),
    }
}

/// True if a policy lowers the desired capacity: it tracks a target, or a step of it is negative.
fn scales_in(policy: &Parameters) -> bool {
    let is = |name: &str, text: &str| policy.get(name).is_some_and(|value| value == text);
    let is_negative = |(name, value): (&String, &String)| {
        name.ends_with("ScalingAdjustment") && value.starts_with('-')
    };
    match policy.contains_key(TARGET) {
        _ if is("Enabled", "false") => false,
        true => !is("TargetTrackingConfiguration.DisableScaleIn", "true"),
        false => policy.iter().any(is_negative),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(pairs: &[(&str, &str)]) -> Parameters {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn group(suspended: &[&str], protects_new: bool) -> PresentGroup {
        PresentGroup {
            sizes: Parameters::new(),
            desired: Some(2),
            in_service: 2,
            suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
            protects_new,
            may_change: true,
        }
    }

    #[test]
    fn a_minimum_is_raised_only_where_something_shrinks_the_group_again() {
        let tracking = policy(&[(TARGET, "50")]);
        let only_out = policy(&[
            (TARGET, "50"),
            ("TargetTrackingConfiguration.DisableScaleIn", "true"),
        ]);
        let disabled = policy(&[(TARGET, "50"), ("Enabled", "false")]);
        let step =
            |adjustment| policy(&[("StepAdjustments.member.1.ScalingAdjustment", adjustment)]);
        let free = || group(&[], false);
        for (group, policies, expected) in [
            (free(), vec![tracking.clone()], true),
            (free(), vec![only_out.clone(), step("-1")], true),
            (free(), vec![only_out], false),
            (free(), vec![disabled], false),
            (free(), vec![step("2")], false),
            (free(), vec![], false),
            (group(&["AZRebalance"], false), vec![tracking.clone()], true),
            (group(&["Terminate"], false), vec![tracking.clone()], false),
            (
                group(&["AlarmNotification"], false),
                vec![tracking.clone()],
                false,
            ),
            (group(&[], true), vec![tracking], false),
        ] {
            let allowed = will_shrink("web", &group, &policies).is_ok();
            assert_eq!(allowed, expected, "{group:?} {policies:?}");
        }
    }
}
