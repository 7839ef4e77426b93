//! `spikeproof check`

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::Answer;
use super::run::ScenarioArgs;
use crate::aws::Cloud;
use crate::cost;
use crate::evidence::Timeline;
use crate::evidence::timeline::GroupState;
use crate::outcome::Exit;
use crate::plan::{Schedule, Sizing, forecast};
use crate::report::terminal::{level, peak};
use crate::run::{FleetKind, Preview, Wanted, objections, preview, prove, to_prove, wrong_clock};
use crate::scenario::{Model, Reuse, Scenario};
use crate::units::{self, duration};
use crate::verdict::preflight;
use crate::watch;

/// Validates a scenario and prints the plan and what it would cost. Creates nothing, and calls
/// nothing without `--group`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Looks at the target's group too (read-only AWS calls): what its policy can see of this load,
    /// and what would spoil the verdict
    #[arg(long)]
    group: bool,
}

pub async fn run(args: &Args) -> Answer {
    let wanted = match args.scenario.wanted() {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    let preview = match preview(&wanted, std::io::stderr().is_terminal()) {
        Ok(preview) => preview,
        Err(error) => return Answer::error(error.what, Exit::ScenarioInvalid),
    };
    let text = plan(&preview, &wanted, args.group);
    if !args.group {
        return Answer::out(text, Exit::Passed);
    }
    match group(&wanted, &preview).await {
        Ok(group) => Answer::out(text + &group, Exit::Passed),
        Err(why) => Answer {
            stdout: text,
            ..Answer::error(why, Exit::CouldNotRun)
        },
    }
}

/// The group as it is now, and what its policies make of the scenario.
async fn group(wanted: &Wanted, preview: &Preview) -> Result<String, String> {
    let Preview {
        scenario, schedule, ..
    } = preview;
    let subject = scenario
        .target
        .subject
        .as_ref()
        .ok_or("the scenario names no `target.group` or `target.service`")?;
    let Cloud { aws, caller } = Cloud::find().await.map_err(|error| error.to_string())?;
    let seen = watch::survey(&aws, subject)
        .await
        .map_err(|error| error.to_string())?;
    let mut warnings = preflight::warnings(scenario, schedule, &seen);
    if let Some(like) = &scenario.target.like {
        let other = watch::survey(&aws, like)
            .await
            .map_err(|error| error.to_string())?;
        warnings.extend(preflight::differences(&seen, &other));
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_group(&mut out, scenario, &seen, &warnings);
    let _ = match prove(wanted, preview, &aws, &caller, &seen).await {
        Ok(standing) => writeln!(out, "  the target is {}", standing.sentence()),
        Err(error) => writeln!(out, "  REFUSED: {error}"),
    };
    if let Some(why) = wrong_clock(caller.ahead).filter(|_| wanted.fleet == FleetKind::Fargate) {
        let _ = writeln!(out, "  REFUSED: {why}");
    }
    Ok(out)
}

fn write_group(
    out: &mut String,
    scenario: &Scenario,
    seen: &Timeline,
    warnings: &[String],
) -> std::fmt::Result {
    let Some((_, state)) = seen.groups().next_back() else {
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
    write_settings(out, state, seen)?;
    for policy in seen.policies() {
        let what = match (policy.target_value, &policy.metric) {
            (Some(target), Some(metric)) => format!("{metric} at {target}"),
            (Some(target), None) => format!("a metric of its own at {target}"),
            _ => policy.adjustment.clone().unwrap_or_default(),
        };
        writeln!(out, "  policy {} ({}): {what}", policy.name, policy.kind)?;
        for alarm in seen
            .alarms()
            .into_iter()
            .filter(|alarm| policy.alarms.contains(&alarm.name))
        {
            let asks = if alarm.is_high() { "more" } else { "less" };
            writeln!(
                out,
                "    asks for {asks} after {} of {} ({}), {} {}",
                units::count(alarm.datapoints(), "datapoint"),
                duration(alarm.period),
                duration(alarm.window()),
                if alarm.is_high() { "above" } else { "below" },
                alarm
                    .threshold
                    .map_or("?".to_owned(), |threshold| format!("{threshold}"))
            )?;
        }
    }
    let windows = seen
        .alarms()
        .into_iter()
        .filter(|alarm| alarm.is_high())
        .map(|alarm| alarm.window())
        .min();
    if let Some(window) = windows {
        writeln!(
            out,
            "  scale-out takes at least {} (the alarm's window), then what CloudWatch takes to publish and evaluate it (15 s to 3 \
             min as measured; AWS gives no figure), launch, boot and health check; asked: within {}",
            duration(window),
            duration(scenario.scaling.out_within)
        )?;
    }
    if let Some(bound) =
        crate::evidence::scale_in::in_bound_from(scenario, seen, jiff::Timestamp::now())
    {
        writeln!(out, "  scale-in is judged against {}", duration(bound))?;
    }
    for warning in warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    if warnings.is_empty() {
        writeln!(out, "  nothing stands in the way of a verdict")?;
    }
    Ok(())
}

/// What decides how fast it is, and what its instances pass through.
fn write_settings(out: &mut String, state: &GroupState, seen: &Timeline) -> std::fmt::Result {
    let time = |time: Duration| {
        if time.is_zero() {
            "none".to_owned()
        } else {
            duration(time)
        }
    };
    let mut kinds: Vec<&str> = state
        .instances
        .iter()
        .map(|one| one.kind.as_str())
        .filter(|kind| !kind.is_empty())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let zones = state.zones.join(", ");
    if !state.is_service {
        let kinds = if kinds.is_empty() {
            "instances".to_owned()
        } else {
            kinds.join(" and ")
        };
        writeln!(
            out,
            "  {kinds} in {}",
            if zones.is_empty() {
                "zones that are not known"
            } else {
                &zones
            }
        )?;
        writeln!(
            out,
            "  health check {}, grace {}; default cooldown {}, default warm-up {}; leave by {}{}",
            state.health_check,
            time(state.health_check_grace),
            time(state.default_cooldown),
            state.default_warm_up.map_or("not set".to_owned(), time),
            if state.termination_policies.is_empty() {
                "Default".to_owned()
            } else {
                state.termination_policies.join(", ")
            },
            if state.protects_new {
                "; new ones are protected from scale-in"
            } else {
                ""
            }
        )?;
    }
    let Some(around) = seen.surroundings() else {
        return Ok(());
    };
    for hook in &around.hooks {
        let when = if hook.transition.ends_with("LAUNCHING") {
            "launches"
        } else {
            "leaves"
        };
        writeln!(
            out,
            "  hook {} when one {when}, for up to {}",
            hook.name,
            duration(hook.heartbeat)
        )?;
    }
    if let Some(ready) = around.warm_pool {
        writeln!(
            out,
            "  warm pool with {} ready",
            units::count(ready, "instance")
        )?;
    }
    for action in &around.scheduled {
        let next = action
            .next
            .map_or("no time".to_owned(), |next| next.to_string());
        writeln!(out, "  scheduled action {} at {next}", action.name)?;
    }
    for one in &around.target_groups {
        let name = one.arn.rsplit(':').next().unwrap_or(&one.arn);
        let behind: Vec<&str> = one
            .balancers
            .iter()
            .map(|balancer| balancer.dns.as_str())
            .collect();
        writeln!(
            out,
            "  {name}: drains for {}, slow start {}, checked every {}, unhealthy after {}, behind {}",
            time(one.deregistration_delay),
            time(one.slow_start),
            time(one.check_interval),
            one.unhealthy_after,
            if behind.is_empty() {
                "no load balancer".to_owned()
            } else {
                behind.join(" and ")
            }
        )?;
    }
    Ok(())
}

/// `asks`: whose target it is will be asked, and said then.
fn plan(preview: &Preview, wanted: &Wanted, asks: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut out, preview, wanted.fleet);
    let _ = write_limits(&mut out, preview, wanted, asks);
    out
}

fn write_plan(out: &mut String, preview: &Preview, fleet: FleetKind) -> std::fmt::Result {
    let Preview {
        scenario,
        schedule,
        sizing,
        estimate,
        ..
    } = preview;
    writeln!(out, "{}: valid", scenario.name)?;
    writeln!(out, "  target  {}", scenario.target.url)?;
    if let Some(subject) = &scenario.target.subject {
        writeln!(out, "  group   {subject}")?;
    }
    if scenario.target.tls.insecure {
        writeln!(out, "  INSECURE: any certificate is taken")?;
    }
    write_phases(out, scenario, schedule)?;
    write_flows(out, scenario)?;
    write_load(out, scenario, sizing)?;
    write_data(out, scenario, schedule, sizing)?;
    write_thresholds(out, scenario)?;
    writeln!(out, "\nfleet")?;
    writeln!(
        out,
        "  {} tasks ({}): {}",
        sizing.tasks,
        fleet.word(),
        sizing.why
    )?;
    if fleet == FleetKind::Fargate {
        let (cpu, memory) = (
            scenario.fleet.size.cpu_units,
            scenario.fleet.size.memory_mib,
        );
        writeln!(
            out,
            "  each {} vCPU and {} GB",
            f64::from(cpu) / 1024.0,
            f64::from(memory) / 1024.0
        )?;
        writeln!(
            out,
            "\ncost\n  about {} for {} of task time (prices of {} in {})",
            estimate.usd,
            duration(estimate.task_time),
            cost::PRICES.date,
            cost::PRICES.region
        )?;
        if let Some(budget) = scenario.budget {
            let word = if estimate.usd > budget {
                "OVER"
            } else {
                "within"
            };
            writeln!(out, "  {word} the budget of {budget}")?;
        }
    }
    Ok(())
}

/// What `run` would not do.
fn write_limits(
    out: &mut String,
    preview: &Preview,
    wanted: &Wanted,
    asks: bool,
) -> std::fmt::Result {
    let refused = objections(wanted, preview);
    let to_prove = to_prove(wanted, preview).filter(|_| !asks);
    if !refused.is_empty() || to_prove.is_some() {
        writeln!(out, "\nlimits")?;
    }
    for why in refused {
        writeln!(out, "  REFUSED: {why}")?;
    }
    to_prove.map_or(Ok(()), |how| {
        writeln!(out, "  {}", how.replace('\n', "\n  "))
    })
}

fn write_phases(out: &mut String, scenario: &Scenario, schedule: &Schedule) -> std::fmt::Result {
    writeln!(out, "\nphases, {} in all", duration(schedule.end()))?;
    for (index, (phase, start)) in scenario
        .phases
        .iter()
        .zip(schedule.phase_starts())
        .enumerate()
    {
        writeln!(
            out,
            "  {:>7}  {:<16} {:<10} {} {:<12} ramp {:<6} hold {:<6} {}",
            duration(*start),
            phase.name,
            phase.role.word(),
            way(scenario, index),
            level(phase.model, phase.level),
            duration(phase.ramp),
            duration(phase.hold),
            if phase.role.judged() {
                ""
            } else {
                "shown, not judged"
            }
        )?;
    }
    write_curve(out, scenario, schedule)
}

/// Ramp, jump or hold: three things, three words.
fn way(scenario: &Scenario, index: usize) -> &'static str {
    let phase = &scenario.phases[index];
    let before = index.checked_sub(1).map(|before| &scenario.phases[before]);
    match before {
        Some(before) if before.level == phase.level && before.model == phase.model => "hold at",
        _ if phase.ramp.is_zero() => "jump to",
        _ => "ramp to",
    }
}

const WIDTH: usize = 72;
const HEIGHT: usize = 6;

/// The load over time, in rows of eighths.
fn write_curve(out: &mut String, scenario: &Scenario, schedule: &Schedule) -> std::fmt::Result {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = forecast::curve(schedule, WIDTH);
    writeln!(out)?;
    for row in (0..HEIGHT).rev() {
        let cell = |share: &f64| {
            let filled = (share * (HEIGHT * 8) as f64).round() as usize;
            EIGHTHS[filled.saturating_sub(row * 8).min(8)]
        };
        let line: String = columns.iter().map(cell).collect();
        let label = if row == HEIGHT - 1 {
            peak(scenario, schedule)
        } else {
            String::new()
        };
        writeln!(out, "  │{line}│ {label}")?;
    }
    let end = duration(schedule.end());
    writeln!(out, "  0{end:>WIDTH$}")
}

fn write_flows(out: &mut String, scenario: &Scenario) -> std::fmt::Result {
    let weights: f64 = scenario.flows.iter().map(|flow| flow.weight).sum();
    writeln!(out, "\nflows")?;
    for flow in &scenario.flows {
        let share = flow.weight / weights * 100.0;
        let requests = flow.body.requests();
        let setup = match flow.setup.requests() {
            0 => String::new(),
            count => format!(", {count} once per session"),
        };
        writeln!(
            out,
            "  {share:>3.0}%  {} ({}{setup})",
            flow.name,
            units::count(requests as u32, "request")
        )?;
    }
    Ok(())
}

/// Requests per second, connections and ports, at two response times.
fn write_load(out: &mut String, scenario: &Scenario, sizing: &Sizing) -> std::fmt::Result {
    let pass = forecast::Pass::of(scenario);
    let [fast, slow] = forecast::RESPONSES;
    writeln!(
        out,
        "\nexpected requests/s when the target answers in   {:>7} {:>9}",
        duration(fast),
        duration(slow)
    )?;
    for phase in &scenario.phases {
        let rate = |response| pass.rate(phase.model, phase.level, response);
        writeln!(
            out,
            "  {:<16} {:<29} {:>7.0} {:>9.0}",
            phase.name,
            level(phase.model, phase.level),
            rate(fast),
            rate(slow)
        )?;
    }
    let most = forecast::peak(scenario);
    if scenario.has(Model::Users) {
        let lost = most.map_or(0.0, |phase| {
            1.0 - pass.rate(Model::Users, phase.level, slow)
                / pass.rate(Model::Users, phase.level, fast).max(1e-9)
        });
        writeln!(
            out,
            "  users wait for their answers: a group that is too small gets {:.0}% less load, not more",
            lost * 100.0
        )?;
        writeln!(
            out,
            "  (`rate` instead of `users` keeps asking, whatever the target does)"
        )?;
    }
    if scenario.has(Model::Users) && !forecast::thinks(scenario) {
        writeln!(
            out,
            "  without `think`, sessions ask as fast as the target answers: the load is bounded by nothing else"
        )?;
    }
    let Some(phase) = most else { return Ok(()) };
    let sessions = pass.sessions(phase.model, phase.level, slow) / f64::from(sizing.tasks.max(1));
    let policy = scenario.target.connection;
    let per_second = match policy.reuse {
        Reuse::Request => {
            pass.rate(phase.model, phase.level, fast) / f64::from(sizing.tasks.max(1))
        }
        Reuse::Session => sessions / policy.max_age.as_secs_f64().max(1e-3),
    };
    // A closed connection keeps its port for a minute.
    let ports = sessions + per_second * 60.0;
    writeln!(
        out,
        "  connections      {sessions:.0} at once per task, {per_second:.1} new each second, {:.0}% of the {} source ports per address",
        ports / forecast::PORTS as f64 * 100.0,
        forecast::PORTS
    )?;
    if ports > forecast::PORTS as f64 * 0.9 {
        writeln!(
            out,
            "  too many: add tasks, or keep connections longer (`connection.max_age`, `reuse: session`)"
        )?;
    }
    Ok(())
}

fn write_data(
    out: &mut String,
    scenario: &Scenario,
    schedule: &Schedule,
    sizing: &Sizing,
) -> std::fmt::Result {
    if scenario.data.is_empty() {
        return Ok(());
    }
    let workers = sizing.tasks * (scenario.fleet.size.cpu_units / 1_024).max(1);
    writeln!(out, "\ndata")?;
    for rows in forecast::rows(scenario, schedule, workers) {
        let verdict = rows.problem.map_or("enough".to_owned(), |problem| {
            format!("NOT ENOUGH: {problem}")
        });
        writeln!(
            out,
            "  {:<16} {} rows there, about {} iterations draw one: {verdict}",
            rows.name, rows.there, rows.needed
        )?;
    }
    Ok(())
}

fn write_thresholds(out: &mut String, scenario: &Scenario) -> std::fmt::Result {
    writeln!(out, "\nthresholds")?;
    for threshold in &scenario.thresholds {
        let abort = threshold
            .abort_after
            .map(|after| format!("  (stops the run, after {})", duration(after)));
        writeln!(out, "  {}{}", threshold.text, abort.unwrap_or_default())?;
    }
    if scenario.thresholds.is_empty() {
        writeln!(out, "  none: only validity and scaling are judged")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::timeline::{
        Balancer, Hook, Instance, Observation, Observed, Surroundings, TargetGroup,
    };

    #[test]
    fn a_group_is_told_with_all_that_decides_how_fast_it_is() {
        let instance = Instance {
            kind: "t3.micro".to_owned(),
            ..Instance::default()
        };
        let group = GroupState {
            name: "web".to_owned(),
            default_cooldown: Duration::from_secs(300),
            health_check: "ELB".to_owned(),
            health_check_grace: Duration::from_secs(60),
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
            deregistration_delay: Duration::from_secs(300),
            balancers: vec![Balancer {
                arn: String::new(),
                dns: "web.elb.example".to_owned(),
            }],
            ..TargetGroup::default()
        };
        let around = Surroundings {
            hooks: vec![hook],
            warm_pool: Some(2),
            target_groups: vec![target_group],
            ..Surroundings::default()
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let observations = vec![Observation::new(at, Observed::Surroundings(around))];
        let mut out = String::new();
        write_settings(&mut out, &group, &Timeline { observations }).unwrap();
        assert_eq!(
            out,
            "  t3.micro in eu-west-1a, eu-west-1b
  health check ELB, grace 1m; default cooldown 5m, default warm-up not set; leave by Default; new ones are protected from scale-in
  hook bake when one launches, for up to 1m30s
  warm pool with 2 instances ready
  targetgroup/web/1: drains for 5m, slow start none, checked every 30s, unhealthy after 2, behind web.elb.example
"
        );
    }
}
