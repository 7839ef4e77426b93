//! Preview: the part of the plan that needs neither AWS nor network. `check` prints it.

use std::collections::BTreeSet;

use super::{FleetKind, RunError, ScenarioOptions};
use crate::cost::{self, TaskCost};
use crate::plan::{Schedule, Sizing, forecast, size};
use crate::redact::{self, Secrets};
use crate::scenario::{self, DataFile, FileContents, Scenario, Substitutions, TaskCount};
use crate::units;

/// The scenario, with its load scheduled and its fleet sized and priced.
pub struct Preview {
    /// The scenario, with `--tasks` applied.
    pub scenario: Scenario,
    /// The variables, the secrets and the URL that the scenario uses; no others.
    pub surroundings: Substitutions,
    /// The contents of the files that the scenario names.
    pub files: FileContents,
    /// Those of them whose rows are divided among the tasks.
    pub divisible: BTreeSet<String>,
    /// The load over time.
    pub schedule: Schedule,
    /// The number of tasks with its reason.
    pub sizing: Sizing,
    /// Workers of all tasks together, each with rows of its own.
    pub workers: u32,
    /// Estimated cost of the tasks; a local fleet has none, so the caller ignores it.
    pub estimate: TaskCost,
}

/// Reads the scenario and computes the plan. The error contains every problem of the file,
/// rendered.
pub fn preview(options: &ScenarioOptions, colour: bool) -> Result<Preview, RunError> {
    let scenario::Read {
        mut scenario,
        files,
        divisible,
        used,
        secrets,
    } = read_scenario(options, colour)?;
    if let Some(tasks) = options.tasks {
        scenario.fleet.tasks = TaskCount::Exactly(tasks);
    }
    let schedule = Schedule::new(&scenario);
    let sizing = fleet_size(&scenario, options.fleet);
    let workers = workers(&scenario, &sizing, options.fleet);
    refuse_idle_workers(&scenario, workers)?;
    let estimate = cost::estimate(
        scenario.fleet.size,
        scenario.fleet.arch,
        sizing.tasks,
        schedule.end(),
    );
    let surroundings = Substitutions {
        environment: used,
        secrets,
        url: options.url.clone(),
    };
    Ok(Preview {
        scenario,
        surroundings,
        files,
        divisible,
        schedule,
        sizing,
        workers,
        estimate,
    })
}

/// The workers that the tasks will have: one for each core.
fn workers(scenario: &Scenario, sizing: &Sizing, fleet: FleetKind) -> u32 {
    let cores = match fleet {
        FleetKind::Local => {
            std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
        }
        FleetKind::Fargate => scenario.fleet.size.cpu_units / 1_024,
    };
    sizing.tasks * cores.max(1)
}

/// A worker without rows would be missing from the load, with all its sessions.
fn refuse_idle_workers(scenario: &Scenario, workers: u32) -> Result<(), RunError> {
    let refused = forecast::too_few_rows(scenario, workers);
    if refused.is_empty() {
        return Ok(());
    }
    let sentence = |data: &DataFile| {
        let (name, rows) = (&data.name, data.rows.len());
        let idle = u64::from(workers) - rows as u64;
        format!(
            "error: `{name}` has {}, split over {workers} workers: the sessions of {} would stay idle\n  \
             = help: write `share: all` in `data.{name}`, add rows, or take fewer workers (`fleet.tasks`, `fleet.cpu`)\n",
            units::count(rows as u64, "row"),
            units::count(idle, "worker"),
        )
    };
    let sentences: Vec<String> = refused.into_iter().map(sentence).collect();
    Err(RunError::invalid_scenario(sentences.join("\n")))
}

fn read_scenario(options: &ScenarioOptions, colour: bool) -> Result<scenario::Read, RunError> {
    let secrets = secret_values(options);
    // Registered before any output can contain text of the file.
    redact::keep(&secrets);
    let surroundings = Substitutions {
        environment: options.environment.clone(),
        secrets,
        url: options.url.clone(),
    };
    let open = |name: &str| options.folders.read(name);
    scenario::read(&options.text, &surroundings, &open).map_err(|problems| {
        // Messages quote the text: of a file that is something else, nothing may be shown.
        if !scenario::is_meant_as_one(&options.text) {
            return RunError::invalid_scenario(format!(
                "{} is not a scenario: it has none of the keys `target`, `phases`, `flows` and `steps`",
                options.file
            ));
        }
        let rendered = scenario::render(&options.file, &options.text, &problems, colour);
        RunError::invalid_scenario(rendered)
    })
}

/// The environment's values of the secrets that the scenario names.
fn secret_values(options: &ScenarioOptions) -> Secrets {
    let mut secrets = Secrets::default();
    for name in scenario::secrets_named(&options.text) {
        if let Some(value) = options.environment.get(name) {
            secrets.insert(name, value);
        }
    }
    secrets
}

fn fleet_size(scenario: &Scenario, fleet: FleetKind) -> Sizing {
    match (fleet, scenario.fleet.tasks) {
        (FleetKind::Local, TaskCount::Auto) => Sizing {
            tasks: 1,
            needed: 1,
            why: "one process on this machine".to_owned(),
        },
        _ => size(scenario),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::outcome::Exit;
    use crate::run::ScenarioFolders;

    #[test]
    fn fewer_rows_than_workers_are_refused_with_what_to_write() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("u.csv"), "id\n1\n").unwrap();
        let read = |share: &str| {
            let text = format!(
                "name: rows\ntarget: {{ url: http://shop }}\ndata: {{ u: {{ file: u.csv{share} }} }}\nphases: [{{ users: 4, hold: 3s }}]\nsteps: [{{ get: '/u/{{{{ u.id }}}}' }}]\n"
            );
            let mut options = crate::run::example::options(Path::new("")).scenario;
            let file = folder.path().join("rows.yaml");
            options.folders = ScenarioFolders::of(&file, &[]).unwrap();
            options.file = file.display().to_string();
            options.text = text;
            options.tasks = Some(2);
            preview(&options, false)
        };
        let Err(refused) = read("") else {
            panic!("one row is not enough for two workers")
        };
        assert_eq!(refused.kind.exit(), Exit::ScenarioInvalid);
        assert_eq!(
            refused.what,
            "error: `u` has 1 row, split over 2 workers: the sessions of 1 worker would stay idle\n  \
             = help: write `share: all` in `data.u`, add rows, or take fewer workers (`fleet.tasks`, `fleet.cpu`)\n"
        );
        assert_eq!(read(", share: all").unwrap().workers, 2);
    }
}
