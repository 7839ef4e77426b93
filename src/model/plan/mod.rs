//! Plans the load: how it is divided, how many tasks there are, and when each session starts and
//! stops. Also forecasts the load on target and generators, and gives the reasons. Pure.

pub mod forecast;
mod schedule;
mod size;

pub use schedule::{Schedule, Share};
pub use size::{Sizing, size};
