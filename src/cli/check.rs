//! `spikeproof check`

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::Answer;
use super::run::ScenarioArgs;
use crate::cost;
use crate::outcome::Exit;
use crate::report::terminal::level;
use crate::run::{FleetKind, Preview, preview};
use crate::units::duration;

/// Validates a scenario and prints the plan and what it would cost. Creates nothing and calls nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
}

pub fn run(args: &Args) -> Answer {
    let wanted = match args.scenario.wanted() {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    match preview(&wanted, std::io::stderr().is_terminal()) {
        Ok(preview) => Answer::out(plan(&preview, wanted.fleet), Exit::Passed),
        Err(error) => Answer::error(error.what, Exit::ScenarioInvalid),
    }
}

fn plan(preview: &Preview, fleet: FleetKind) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut out, preview, fleet);
    out
}

fn write_plan(out: &mut String, preview: &Preview, fleet: FleetKind) -> std::fmt::Result {
    let Preview { scenario, schedule, sizing, estimate, .. } = preview;
    writeln!(out, "{}: valid", scenario.name)?;
    writeln!(out, "  target  {}", scenario.target.url)?;
    if let Some(group) = &scenario.target.group {
        writeln!(out, "  group   {group}")?;
    }
    writeln!(out, "\nphases, {} in all", duration(schedule.end()))?;
    for (phase, start) in scenario.phases.iter().zip(schedule.phase_starts()) {
        writeln!(
            out,
            "  {:>7}  {:<16} {:<10} to {:<12} ramp {:<6} hold {:<6} {}",
            duration(*start),
            phase.name,
            phase.role.word(),
            level(scenario.model, phase.level),
            duration(phase.ramp),
            duration(phase.hold),
            if phase.role.judged() { "" } else { "shown, not judged" }
        )?;
    }
    let weights: f64 = scenario.flows.iter().map(|flow| flow.weight).sum();
    writeln!(out, "\nflows")?;
    for flow in &scenario.flows {
        writeln!(out, "  {:>3.0}%  {} ({} steps)", flow.weight / weights * 100.0, flow.name, flow.steps.len())?;
    }
    writeln!(out, "\nthresholds")?;
    for threshold in &scenario.thresholds {
        writeln!(out, "  {}", threshold.text)?;
    }
    if scenario.thresholds.is_empty() {
        writeln!(out, "  none: only validity and scaling are judged")?;
    }
    writeln!(out, "\nfleet")?;
    writeln!(out, "  {} tasks ({}): {}", sizing.tasks, fleet.word(), sizing.why)?;
    if fleet == FleetKind::Fargate {
        let (cpu, memory) = (scenario.fleet.size.cpu_units, scenario.fleet.size.memory_mib);
        writeln!(out, "  each {} vCPU and {} GB", f64::from(cpu) / 1024.0, f64::from(memory) / 1024.0)?;
        writeln!(
            out,
            "\ncost\n  about {} for {} of task time (prices of {} in {})",
            estimate.usd,
            duration(estimate.task_time),
            cost::PRICES.date,
            cost::PRICES.region
        )?;
        if let Some(budget) = scenario.budget {
            let word = if estimate.usd > budget { "OVER" } else { "within" };
            writeln!(out, "  {word} the budget of {budget}")?;
        }
    }
    Ok(())
}
