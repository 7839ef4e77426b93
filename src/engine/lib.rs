//! The generator: carries out a share of a scenario, and never takes its own slowness for the
//! target's.
//!
//! Thread per core: each worker has its own runtime, sessions, connections and recorder, and shares
//! nothing on the hot path. Latency counts from the *intended* start: in the open model from the
//! instant an iteration was due, in the closed model from the moment its session meant to send. How
//! late the generator itself was is recorded beside it.
//!
//! [`begin`] runs a share on worker threads; [`task`] is the life of a generator on the channel
//! around it; [`ownership`] proves whose target it is.
//!
//! It leaves out when a task starts and how many there are: the orchestrator decides that.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use engine::{Work, begin};
//! use model::limits::AddressPolicy;
//! use model::measure::{Results, Select};
//! use model::plan::Share;
//! use model::scenario::{self, Substitutions};
//!
//! # async fn example(text: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let read = scenario::read(text, &Substitutions::default(), &scenario::no_files)
//!     .map_err(|problems| scenario::render("shop.yaml", text, &problems, false))?;
//! let mut running = begin(&Work {
//!     scenario: Arc::new(read.scenario),
//!     share: Share::WHOLE,
//!     seed: 1,
//!     address_policy: AddressPolicy { loopback: true, private: false },
//!     workers: 1,
//!     start: Instant::now() + Duration::from_millis(500),
//!     stop: Default::default(),
//! })?;
//! let mut results = Results::default();
//! while let Some(interval) = running.next().await {
//!     results.add(0, &interval);
//! }
//! running.finish()?;
//! println!("{} requests", results.merged(Select::default()).tally.requests());
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use model::limits::AddressPolicy;
use model::plan::Share;
use model::scenario::Scenario;

mod addresses;
#[cfg_attr(not(target_os = "linux"), path = "alarm_tokio.rs")]
mod alarm;
mod connection;
mod context;
mod decide;
mod decode;
pub mod health;
mod iteration;
mod judge;
pub mod lifetime;
mod link;
pub mod once;
pub mod ownership;
mod request;
mod rows;
mod session;
pub mod task;
mod tls;
mod values;
mod walk;
mod wire;
mod worker;

pub use judge::PatternError;
pub use tls::TlsError;
pub use worker::{RunningWorkers, WorkerError, begin};

/// What a generator is to do.
#[derive(Debug, Clone)]
pub struct Work {
    /// The whole scenario; each worker takes its part by `share`.
    pub scenario: Arc<Scenario>,
    /// This task's part of the load.
    pub share: Share,
    /// Origin of every random choice: flows, think times, rows, random values.
    pub seed: u64,
    /// Where load may go.
    pub address_policy: AddressPolicy,
    /// Worker threads.
    pub workers: u32,
    /// The start instant on this machine's monotonic clock.
    pub start: Instant,
    /// Ends the load at once: requests under way are cut, and not recorded.
    pub stop: CancellationToken,
}

impl Work {
    /// The part of the share that one worker carries: the workers' parts add up to the share,
    /// exactly.
    fn share_of(&self, worker: u32) -> Share {
        Share {
            index: self.share.index + self.share.of * worker,
            of: self.share.of * self.workers,
        }
    }
}

/// Puts the calling thread behind the workers, which were started before: handing over what was
/// measured must not make a request late. (On Linux niceness belongs to a thread.)
pub fn step_behind_the_workers() {
    #[cfg(target_os = "linux")]
    // Refused, it is as it was: the saturation of the run tells.
    let _ = rustix::process::nice(10);
}

#[cfg(test)]
mod counting_tests;
#[cfg(test)]
mod guest_tests;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod tests;
