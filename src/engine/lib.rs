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

mod addresses; // the target's addresses, resolved again when their time to live is over
#[cfg_attr(not(target_os = "linux"), path = "alarm_tokio.rs")]
mod alarm; // wakes sessions at their instant
mod coming; // an answer that is coming, or why it did not
mod connection; // one connection: HTTP/1.1 on the socket, HTTP/2 by hyper
mod context; // shared by the sessions of a worker, without locks
mod decide; // the next act of a generator, from the state of the channel
mod decode; // content codings
mod dial; // a TCP connection to one of the addresses, or why there is none
#[cfg(fuzzing)]
pub mod fuzzing; // doors for the targets of tests/fuzz
pub mod health; // measures the generator itself, once a second
mod iteration; // one pass through a flow
mod jar; // the cookies of a session
mod judge; // the checks and captures of an answer
pub mod lifetime; // ends a generator that hangs
mod link; // one request after another: connections, cookies, redirects
mod look; // looks for values in a body, for a limited time
pub mod once; // one plain GET, before there is load
pub mod ownership; // looks for proofs of the target's owner
mod redirect; // where a redirect leads, and what goes with it
mod request; // a step as bytes, assembled once
mod rows; // rows of data files, each for one worker only
mod session; // one virtual user
mod streams; // the streams of an HTTP/2 connection, and who waits for one
pub mod task; // a generator on the channel: plan, ready, start, load, end
mod tls; // TLS sessions as a new visitor has them
mod values; // puts values into templates
mod walk; // the order of the steps of a block
mod wire; // HTTP/1.1 parser
mod worker; // worker threads, each with its own runtime

pub use judge::PatternError;
pub use tls::TlsError;
pub use worker::{RunningWorkers, WorkerError, begin};

/// The work of a generator.
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
#[cfg(test)]
mod wire_tests;
