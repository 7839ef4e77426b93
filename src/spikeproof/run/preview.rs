//! Preview: the part of the plan that needs neither AWS nor network. `check` prints it.

use super::{FleetKind, RunError, ScenarioOptions};
use crate::cost::{self, TaskCost};
use crate::plan::{Schedule, Sizing, size};
use crate::redact::{self, Secrets};
use crate::scenario::{self, FileContents, Scenario, Substitutions, TaskCount};

/// The scenario, with its load scheduled and its fleet sized and priced.
pub struct Preview {
    /// The scenario, with `--tasks` applied.
    pub scenario: Scenario,
    /// The variables, the secrets and the URL that the scenario uses; no others.
    pub surroundings: Substitutions,
    /// The contents of the files that the scenario names.
    pub files: FileContents,
    /// The load over time.
    pub schedule: Schedule,
    /// The number of tasks with its reason.
    pub sizing: Sizing,
    /// Estimated cost of the tasks; a local fleet has none, so the caller ignores it.
    pub estimate: TaskCost,
}

/// Reads the scenario and computes the plan. The error contains every problem of the file,
/// rendered.
pub fn preview(options: &ScenarioOptions, colour: bool) -> Result<Preview, RunError> {
    let scenario::Read {
        mut scenario,
        files,
        used,
        secrets,
    } = read_scenario(options, colour)?;
    if let Some(tasks) = options.tasks {
        scenario.fleet.tasks = TaskCount::Exactly(tasks);
    }
    let schedule = Schedule::new(&scenario);
    let sizing = fleet_size(&scenario, options.fleet);
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
        schedule,
        sizing,
        estimate,
    })
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
