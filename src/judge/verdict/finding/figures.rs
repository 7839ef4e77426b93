//! Figures of a run as a whole: of its generators, its results and its watch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use model::units::Seconds;

/// Figures of the run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RunFigures {
    /// The share of the load that was sent.
    LoadSent {
        /// Requests sent of those asked for, from 0 to 1.
        share: f64,
    },
    /// The latest request, and how busy the busiest worker was.
    Saturation {
        /// The longest delay between a request's intended and its real start.
        latest_s: Seconds,
        /// The share of a second in which the busiest worker was busy, from 0 to 1.
        busy_share: f64,
    },
    /// Tasks whose every interval arrived.
    TasksComplete {
        /// Tasks whose every interval arrived.
        complete: u32,
        /// Tasks that were asked for.
        tasks: u32,
    },
    /// Requests that were answered, or could not be sent, of all.
    Requests {
        /// The requests that the expectation is about: answered, or never sent.
        count: u64,
        /// All requests.
        requests: u64,
    },
    /// Requests of this run, beside those of others.
    OtherLoad {
        /// Requests of this run in the seconds that were compared.
        ours: u64,
        /// All requests in these seconds.
        all: u64,
        /// Requests of others as a share of all, from 0 to 1.
        others_share: f64,
        /// The same in the minute in which others sent most, beside the highest minute of this run.
        burst_share: f64,
        /// Seconds of the load that were compared; 0 where others were only seen around it.
        compared_s: usize,
        /// Seconds of the load.
        load_s: usize,
        /// Requests of others per second in the whole minutes before the load; `null` if there is
        /// none.
        before_per_second: Option<f64>,
        /// The same after the load.
        after_per_second: Option<f64>,
    },
    /// How long the group was out of sight.
    OutOfSight {
        /// The total of all gaps in which the group could not be read.
        unseen_s: Seconds,
        /// From the first to the last observation.
        watched_s: Seconds,
    },
}
