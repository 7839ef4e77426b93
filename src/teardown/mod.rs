//! Destroys what a run made, and proves by name that it is gone.
//!
//! The end of a run, `spikeproof reap` and the guard share one core, `destroy`. It knows nothing of
//! a run's phases: it works from a run id, an AWS account, and the run's folder where there is one.

pub mod destroy;
pub mod discover;
mod error;
pub mod guard;
pub mod inventory;
pub mod proof;
pub mod reap;

pub use error::TeardownError;
