//! The plan as `spikeproof check` prints it: load, flows, data, fleet, cost and limits.

use std::fmt::Write as _;

use crate::cost;
use crate::engine::health;
use crate::plan::forecast::{self, MemoryDemand};
use crate::plan::{Schedule, Sizing};
use crate::report::terminal::{level, peak};
use crate::run::{FleetKind, Preview, ScenarioOptions, objections, proof_needed};
use crate::scenario::{Model, Reuse, Scenario};
use crate::units::{self, duration};
use crate::visible;

/// The plan as text. `proves_target`: the caller proves the target itself and prints the result.
pub(super) fn text(preview: &Preview, options: &ScenarioOptions, proves_target: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut out, preview, options.fleet);
    let _ = write_limits(&mut out, preview, options, proves_target);
    out
}

fn write_plan(out: &mut String, preview: &Preview, fleet: FleetKind) -> std::fmt::Result {
    let Preview {
        scenario,
        schedule,
        sizing,
        workers,
        estimate,
        ..
    } = preview;
    writeln!(out, "{}: valid", scenario.name)?;
    let url = scenario.target.url.to_string();
    writeln!(out, "  target  {}", visible::line(&url))?;
    if let Some(subject) = &scenario.target.subject {
        let subject = subject.to_string();
        writeln!(out, "  group   {}", visible::line(&subject))?;
    }
    if scenario.target.tls.insecure {
        writeln!(out, "  INSECURE: any certificate is taken")?;
    }
    write_phases(out, scenario, schedule)?;
    write_flows(out, scenario)?;
    write_load(out, scenario, sizing)?;
    write_data(out, scenario, schedule, *workers)?;
    write_thresholds(out, scenario)?;
    writeln!(out, "\nfleet")?;
    writeln!(
        out,
        "  {} tasks ({}): {}",
        sizing.tasks,
        fleet.word(),
        sizing.why
    )?;
    write_memory(out, scenario, sizing, fleet)?;
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

/// The memory that each task needs, against the memory that it has.
fn write_memory(
    out: &mut String,
    scenario: &Scenario,
    sizing: &Sizing,
    fleet: FleetKind,
) -> std::fmt::Result {
    let there = match fleet {
        FleetKind::Local => health::memory() / u64::from(sizing.tasks.max(1)),
        FleetKind::Fargate => u64::from(scenario.fleet.size.memory_mib) << 20,
    };
    out.write_str(&memory(&forecast::memory(scenario, sizing.tasks), there))
}

fn memory(need: &MemoryDemand, there: u64) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let mut said = format!(
        "  memory of each: about {} MiB of {} ({} for sessions, {} for data), and what sessions capture\n",
        mib(need.all()),
        mib(there),
        mib(need.sessions),
        mib(need.data)
    );
    // Beyond nine tenths a generator counts as saturated.
    if need.all() > there / 10 * 9 {
        said.push_str(
            "  NOT ENOUGH: take more tasks (`fleet.tasks`), more memory (`fleet.memory`) or fewer rows\n",
        );
    }
    said
}

/// The reasons for which `run` would refuse this plan.
fn write_limits(
    out: &mut String,
    preview: &Preview,
    options: &ScenarioOptions,
    proves_target: bool,
) -> std::fmt::Result {
    let refused = objections(options, preview);
    let proof_needed = proof_needed(options, preview).filter(|_| !proves_target);
    if !refused.is_empty() || proof_needed.is_some() {
        writeln!(out, "\nlimits")?;
    }
    for why in refused {
        writeln!(out, "  REFUSED: {why}")?;
    }
    proof_needed.map_or(Ok(()), |how| {
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
            transition(scenario, index),
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

/// How the phase reaches its level: ramp, jump or hold.
fn transition(scenario: &Scenario, index: usize) -> &'static str {
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

/// The load over time, drawn in blocks of one eighth of a row.
fn write_curve(out: &mut String, scenario: &Scenario, schedule: &Schedule) -> std::fmt::Result {
    let columns = forecast::curve(schedule, WIDTH);
    writeln!(out)?;
    for row in (0..HEIGHT).rev() {
        let line: String = columns.iter().map(|share| block(*share, row)).collect();
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

/// The part of a column that lies in this row; `share` is the column's height, 0 to 1.
fn block(share: f64, row: usize) -> char {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let filled = (share * (HEIGHT * 8) as f64).round() as usize;
    EIGHTHS[filled.saturating_sub(row * 8).min(8)]
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

/// Requests per second at two response times, then connections and ports.
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
    write_closed_model(out, scenario, &pass)?;
    write_connections(out, scenario, sizing, &pass)
}

/// The share of this load that a slow target loses in the closed model.
fn write_closed_model(
    out: &mut String,
    scenario: &Scenario,
    pass: &forecast::Pass,
) -> std::fmt::Result {
    if !scenario.has(Model::Users) {
        return Ok(());
    }
    let [fast, slow] = forecast::RESPONSES;
    let lost = forecast::peak(scenario).map_or(0.0, |phase| {
        1.0 - pass.rate(Model::Users, phase.level, slow)
            / pass.rate(Model::Users, phase.level, fast).max(1e-9)
    });
    writeln!(
        out,
        "  users wait for their responses: a group that is too small gets {:.0}% less load, not more",
        lost * 100.0
    )?;
    writeln!(
        out,
        "  (`rate` instead of `users` keeps sending, whatever the target does)"
    )?;
    if forecast::thinks(scenario) {
        return Ok(());
    }
    writeln!(
        out,
        "  without `think`, only the target's response time limits the load"
    )
}

/// Connections and source ports per task at the highest load.
fn write_connections(
    out: &mut String,
    scenario: &Scenario,
    sizing: &Sizing,
    pass: &forecast::Pass,
) -> std::fmt::Result {
    let [fast, slow] = forecast::RESPONSES;
    let Some(phase) = forecast::peak(scenario) else {
        return Ok(());
    };
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
    workers: u32,
) -> std::fmt::Result {
    if scenario.data.is_empty() {
        return Ok(());
    }
    writeln!(out, "\ndata")?;
    for rows in forecast::rows(scenario, schedule, workers) {
        let verdict = rows.problem.map_or("enough".to_owned(), |problem| {
            format!("NOT ENOUGH: {problem}")
        });
        writeln!(
            out,
            "  {:<16} {} rows, drawn about {} times: {verdict}",
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
        writeln!(
            out,
            "  {}{}",
            visible::line(&threshold.text),
            abort.unwrap_or_default()
        )?;
    }
    if scenario.thresholds.is_empty() {
        writeln!(out, "  none: only validity and scaling are judged")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_not_enough_beyond_nine_tenths() {
        const MIB: u64 = 1 << 20;
        let need = MemoryDemand {
            own: 60 * MIB,
            sessions: 100 * MIB - 1,
            data: 740 * MIB,
        };
        let line = "  memory of each: about 900 MiB of 1000 (100 for sessions, 740 for data), and what sessions \
                    capture\n";
        assert_eq!(memory(&need, 1_000 * MIB), line);
        let more = MemoryDemand {
            data: 741 * MIB,
            ..need
        };
        let said = memory(&more, 1_000 * MIB);
        let (_, warning) = said.split_once('\n').unwrap();
        assert_eq!(
            warning,
            "  NOT ENOUGH: take more tasks (`fleet.tasks`), more memory (`fleet.memory`) or fewer rows\n"
        );
    }
}
