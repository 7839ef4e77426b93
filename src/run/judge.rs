//! Judge: from evidence to a verdict. The deciding is pure and elsewhere; this only carries it.

use jiff::Timestamp;

use super::RunError;
use super::collect::Collected;
use crate::report::{Capacity, Load, capacity};
use crate::verdict::{self, Judged};

/// A verdict with what it rests on.
pub struct Evidenced {
    pub judged: Judged,
    pub load: Option<Load>,
    pub capacity: Vec<Capacity>,
    pub started: Option<Timestamp>,
    pub warnings: Vec<String>,
}

pub async fn judge(collected: Collected) -> Result<Evidenced, RunError> {
    let Collected { planned, results, timeline, circumstances } = collected;
    let judged = verdict::judge(&planned.scenario, &results, timeline.as_ref(), &circumstances);
    let load = (!results.is_empty()).then(|| Load::new(&planned.scenario, &results));
    let capacity = match (&timeline, circumstances.started) {
        (Some(timeline), Some(started)) => capacity(timeline, started),
        _ => Vec::new(),
    };
    Ok(Evidenced { judged, load, capacity, started: circumstances.started, warnings: planned.warnings })
}
