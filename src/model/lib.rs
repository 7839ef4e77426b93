//! The vocabulary of everything else: what the user wants, how load is divided, what was measured,
//! and how Auto Scaling decides.
//!
//! Everything here is pure: it has no clock, network, process or file, except where a caller lends
//! one (as [`scenario::read`] takes a function that opens files).
//!
//! It leaves out what a run does about it: `engine` sends load, `watch` polls, `evidence` finds
//! facts.

pub mod cost; // estimate before, actual after, dated prices
pub mod limits; // what load may reach, how much of it, and when it has been enough
pub mod plan; // how load is divided, how many tasks, when each starts and stops
pub mod scaling; // a model of Auto Scaling policies over a clock

pub mod events; // what happens, as one closed list
pub mod measure; // histograms, tallies, series
pub mod outcome; // verdict and exit code
pub mod redact; // secrets, and what keeps them out of every text
pub mod scenario; // what the user wants, valid by construction
pub mod units; // durations, money, run ids
