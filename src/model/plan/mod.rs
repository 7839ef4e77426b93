//! How load is divided, how many tasks there are, when each session starts and stops, what that
//! will ask of everybody, and why. Pure.

pub mod forecast;
mod schedule;
mod size;

pub use schedule::{Schedule, Share};
pub use size::{Sizing, size};
