//! The group as `spikeproof check --group` prints it: its size, policies, settings and warnings.

use std::fmt::Write as _;
use std::time::Duration;

use crate::evidence::Timeline;
use crate::evidence::timeline::{Alarm, GroupState, Policy, Surroundings, TargetGroup};
use crate::plan::Schedule;
use crate::report::words;
use crate::scenario::Scenario;
use crate::units::{self, duration};
use crate::verdict::{Warning, preflight};
use crate::visible;

/// Writes the group's current state, or nothing where no observation has one.
pub(super) fn write(
    out: &mut String,
    scenario: &Scenario,
    timeline: &Timeline,
    warnings: &[Warning],
) -> std::fmt::Result {
    let Some((_, state)) = timeline.groups().next_back() else {
        return Ok(());
    };
    writeln!(out, "\ngroup {}", state.name)?;
    writeln!(
        out,
        "  {} in service of {} desired (min {}, max {}){}",
        state.in_service(),
        state.desired,
        state.min,
        state.max,
        state
            .template
            .as_ref()
            .map_or(String::new(), |template| format!(", {template}"))
    )?;
    write_settings(out, state, timeline)?;
    for policy in timeline.policies() {
        write_policy(out, policy, timeline)?;
    }
    write_bounds(out, scenario, timeline)?;
    for sight in preflight::sights(scenario, &Schedule::new(scenario), timeline) {
        writeln!(out, "  this scenario: {}", words::sight(&sight))?;
    }
    for warning in warnings {
        let warning = words::warning(warning);
        writeln!(out, "  warning: {}", visible::line(&warning))?;
    }
    if warnings.is_empty() {
        writeln!(out, "  no warnings: a verdict is possible")?;
    }
    Ok(())
}

fn write_policy(out: &mut String, policy: &Policy, timeline: &Timeline) -> std::fmt::Result {
    let goal = match (policy.target_value, &policy.metric) {
        (Some(target), Some(metric)) => format!("{metric} at {target}"),
        (Some(target), None) => format!("a custom metric at {target}"),
        _ => policy.adjustment.clone().unwrap_or_default(),
    };
    writeln!(out, "  policy {} ({}): {goal}", policy.name, policy.kind)?;
    let alarms = timeline.alarms();
    alarms
        .into_iter()
        .filter(|alarm| policy.alarms.contains(&alarm.name))
        .try_for_each(|alarm| write_alarm(out, alarm))
}

fn write_alarm(out: &mut String, alarm: &Alarm) -> std::fmt::Result {
    let (change, side) = if alarm.is_high() {
        ("more", "above")
    } else {
        ("less", "below")
    };
    writeln!(
        out,
        "    asks for {change} after {} of {} ({}), {side} {}",
        units::count(alarm.datapoints(), "datapoint"),
        duration(alarm.period),
        duration(alarm.window()),
        alarm
            .threshold
            .map_or("?".to_owned(), |threshold| format!("{threshold}"))
    )
}

/// The shortest possible scale-out, and the bound for scale-in.
fn write_bounds(out: &mut String, scenario: &Scenario, timeline: &Timeline) -> std::fmt::Result {
    let windows = timeline
        .alarms()
        .into_iter()
        .filter(|alarm| alarm.is_high())
        .map(evidence::timeline::Alarm::window);
    if let Some(window) = windows.min() {
        writeln!(
            out,
            "  scale-out takes at least {} (the alarm's window), plus CloudWatch's publication and evaluation (15 s to 3 min as \
             measured; AWS gives no figure), launch, boot and health check; expected: within {}",
            duration(window),
            duration(scenario.scaling.out_within)
        )?;
    }
    if let Some(bound) =
        crate::evidence::scale_in::in_bound_from(scenario, timeline, jiff::Timestamp::now())
    {
        writeln!(out, "  expected scale-in: within {}", duration(bound))?;
    }
    Ok(())
}

/// The settings that determine how fast the group scales, and the stages of its instances.
fn write_settings(out: &mut String, state: &GroupState, timeline: &Timeline) -> std::fmt::Result {
    if !state.is_service {
        write_instances(out, state)?;
    }
    timeline
        .surroundings()
        .map_or(Ok(()), |surroundings| write_surroundings(out, surroundings))
}

fn write_instances(out: &mut String, state: &GroupState) -> std::fmt::Result {
    let mut kinds: Vec<&str> = state
        .instances
        .iter()
        .map(|instance| instance.kind.as_str())
        .filter(|kind| !kind.is_empty())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    writeln!(
        out,
        "  {} in {}",
        joined(&kinds, " and ", "instances"),
        joined(&state.zones, ", ", "unknown zones")
    )?;
    writeln!(
        out,
        "  health check {}, grace {}; default cooldown {}, default warm-up {}; termination policy {}{}",
        state.health_check,
        time_or_none(state.health_check_grace),
        time_or_none(state.default_cooldown),
        state
            .default_warm_up
            .map_or("not set".to_owned(), time_or_none),
        joined(&state.termination_policies, ", ", "Default"),
        if state.protects_new {
            "; new instances are protected from scale-in"
        } else {
            ""
        }
    )
}

fn write_surroundings(out: &mut String, surroundings: &Surroundings) -> std::fmt::Result {
    for hook in &surroundings.hooks {
        let transition = if hook.transition.ends_with("LAUNCHING") {
            "launch"
        } else {
            "termination"
        };
        writeln!(
            out,
            "  hook {} at {transition}, for up to {}",
            hook.name,
            duration(hook.heartbeat)
        )?;
    }
    if let Some(ready) = surroundings.warm_pool {
        writeln!(
            out,
            "  warm pool with {} ready",
            units::count(ready, "instance")
        )?;
    }
    for action in &surroundings.scheduled {
        let next = action
            .next
            .map_or("an unknown time".to_owned(), |next| next.to_string());
        writeln!(out, "  scheduled action {} at {next}", action.name)?;
    }
    surroundings
        .target_groups
        .iter()
        .try_for_each(|group| write_target_group(out, group))
}

fn write_target_group(out: &mut String, group: &TargetGroup) -> std::fmt::Result {
    let name = group.arn.rsplit(':').next().unwrap_or(&group.arn);
    let balancers: Vec<&str> = group
        .balancers
        .iter()
        .map(|balancer| balancer.dns.as_str())
        .collect();
    writeln!(
        out,
        "  {name}: drains for {}, slow start {}, health check every {}, unhealthy after {}, behind {}",
        time_or_none(group.deregistration_delay),
        time_or_none(group.slow_start),
        time_or_none(group.check_interval),
        units::count(group.unhealthy_after, "failure"),
        joined(&balancers, " and ", "no load balancer")
    )
}

fn time_or_none(time: Duration) -> String {
    if time.is_zero() {
        "none".to_owned()
    } else {
        duration(time)
    }
}

/// The names in one text; `none` stands for an empty list.
fn joined<S: AsRef<str>>(names: &[S], separator: &str, none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::timeline::{Balancer, Hook, Instance, Observation, Observed};
    use crate::scenario::{Model, PhaseRole, example};

    #[test]
    fn every_setting_that_affects_the_scaling_speed_is_printed() {
        let instance = Instance {
            kind: "t3.micro".to_owned(),
            ..Instance::default()
        };
        let group = GroupState {
            name: "web".to_owned(),
            default_cooldown: Duration::from_mins(5),
            health_check: "ELB".to_owned(),
            health_check_grace: Duration::from_mins(1),
            zones: vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()],
            instances: vec![instance.clone(), instance],
            protects_new: true,
            ..GroupState::default()
        };
        let hook = Hook {
            name: "bake".to_owned(),
            transition: "autoscaling:EC2_INSTANCE_LAUNCHING".to_owned(),
            heartbeat: Duration::from_secs(90),
        };
        let target_group = TargetGroup {
            arn: "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/1".to_owned(),
            check_interval: Duration::from_secs(30),
            unhealthy_after: 2,
            deregistration_delay: Duration::from_mins(5),
            balancers: vec![Balancer {
                arn: String::new(),
                dns: "web.elb.example".to_owned(),
                target_groups: Some(1),
            }],
            ..TargetGroup::default()
        };
        let surroundings = Surroundings {
            hooks: vec![hook],
            warm_pool: Some(2),
            target_groups: vec![target_group],
            ..Surroundings::default()
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let observations = vec![Observation::new(at, Observed::Surroundings(surroundings))];
        let mut out = String::new();
        write_settings(&mut out, &group, &Timeline { observations }).unwrap();
        assert_eq!(
            out,
            "  t3.micro in eu-west-1a, eu-west-1b
  health check ELB, grace 1m; default cooldown 5m, default warm-up not set; termination policy Default; new instances are protected from scale-in
  hook bake at launch, for up to 1m30s
  warm pool with 2 instances ready
  targetgroup/web/1: drains for 5m, slow start none, health check every 30s, unhealthy after 2 failures, behind web.elb.example
"
        );
    }

    #[test]
    fn the_scenario_is_compared_with_each_alarm() {
        let alarm = Alarm {
            name: "high".to_owned(),
            comparison: "GreaterThanThreshold".into(),
            period: Duration::from_secs(10),
            evaluation_periods: 2,
            ..Alarm::default()
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let seen = [
            Observed::Group(GroupState::default()),
            Observed::Alarm(alarm),
        ];
        let observations = seen.into_iter().map(|one| Observation::new(at, one));
        let timeline = Timeline {
            observations: observations.collect(),
        };
        let phase = |name, level, role| {
            example::phase(name, Model::Rate, level, Duration::from_secs(10), role)
        };
        let scenario = example::scenario(vec![
            phase("sustained", 2.0, PhaseRole::Baseline),
            phase("spike", 9.0, PhaseRole::Spike),
        ]);
        let mut out = String::new();
        write(&mut out, &scenario, &timeline, &[]).unwrap();
        let line = "  this scenario: spike lasts 10s: high cannot see it, 2 datapoints of 10s take a spike of at least 30s\n";
        assert!(out.contains(line), "{out}");
    }
}
