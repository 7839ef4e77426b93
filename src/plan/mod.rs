//! How load is divided, how many tasks there are, when each session starts and stops, and why. Pure.

mod schedule;
mod size;

pub use schedule::{Schedule, Share};
pub use size::{Sizing, size};
