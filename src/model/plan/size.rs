//! Decides how many tasks a scenario needs, and says why.

use crate::scenario::{LoadPhase, Model, Scenario, TaskCount};

/// The load that one vCPU of a generator task carries with room to spare. It is half of what the
/// engine reached in the benchmark on one core, so that the generator is never the limit.
const RATE_PER_VCPU: f64 = 5_000.0;
const SESSIONS_PER_VCPU: f64 = 5_000.0;

/// A chosen number of tasks with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizing {
    /// Number of tasks to launch.
    pub tasks: u32,
    /// The fewest tasks that can carry the load if the others do not come up.
    pub needed: u32,
    /// The calculation in words, for the plan.
    pub why: String,
}

/// Chooses the number of tasks: what the user said, else enough for the peak.
pub fn size(scenario: &Scenario) -> Sizing {
    let vcpus = f64::from(scenario.fleet.size.cpu_units) / 1024.0;
    let per_task = |model| {
        vcpus
            * if model == Model::Rate {
                RATE_PER_VCPU
            } else {
                SESSIONS_PER_VCPU
            }
    };
    let weight = |phase: &&LoadPhase| phase.level / per_task(phase.model);
    let heaviest = scenario
        .phases
        .iter()
        .max_by(|a, b| weight(a).total_cmp(&weight(b)));
    let (peak, model) = heaviest.map_or((0.0, Model::Users), |phase| (phase.level, phase.model));
    let unit = if model == Model::Rate {
        "iterations/s"
    } else {
        "sessions"
    };
    let per_task = per_task(model);
    let needed = ((peak / per_task).ceil() as u32).max(1);
    match scenario.fleet.tasks {
        TaskCount::Exactly(tasks) => Sizing {
            tasks,
            needed: needed.min(tasks),
            why: "as the scenario says".to_owned(),
        },
        // Two at least: one lost task must not be the end of the load.
        TaskCount::Auto => {
            let why =
                format!("peak of {peak} {unit}, {per_task} per task of {vcpus} vCPU, two at least");
            Sizing {
                tasks: needed.max(2),
                needed,
                why,
            }
        }
    }
}
