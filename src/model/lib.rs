//! The vocabulary of the other members: the scenario, the division of load, the measurements, and
//! the rules of Auto Scaling.
//!
//! Everything here is pure: it has no clock, network, process or file. If a file is needed, the
//! caller lends a function that opens it ([`scenario::read`]).
//!
//! It leaves out the use of these values: `engine` sends load, `watch` polls, `evidence` finds
//! facts, `judge` judges them.
//!
//! # Example
//!
//! A scenario is read from text and cannot be wrong afterwards. Its schedule says how much load is
//! due at each moment, and which part of it each task carries:
//!
//! ```
//! use std::time::Duration;
//!
//! use model::plan::{Schedule, Share};
//! use model::scenario::{self, Substitutions};
//!
//! let text = "
//! name: shop
//! target: { url: https://shop.example.com }
//! phases:
//!   - { name: base, rate: 10/s, hold: 60s }
//!   - { name: spike, rate: 100/s, ramp: 10s, hold: 50s }
//! flows:
//!   - { name: home, steps: [{ get: / }] }
//! ";
//! let read = scenario::read(text, &Substitutions::default(), &scenario::no_files)
//!     .map_err(|problems| scenario::render("shop.yaml", text, &problems, false))?;
//! let schedule = Schedule::new(&read.scenario);
//!
//! assert_eq!(schedule.end(), Duration::from_secs(120));
//! // Halfway up the ramp: 10/s and half of the other 90/s.
//! assert_eq!(schedule.level_at(Duration::from_secs(65)), 55.0);
//! // 600 in the first minute, 550 on the ramp, 5,000 in the spike.
//! assert_eq!(schedule.iterations(), 6150);
//! // Three tasks share them without a remainder.
//! let shares = [0, 1, 2].map(|index| Share { index, of: 3 }.part_of(6150));
//! assert_eq!(shares.iter().sum::<u64>(), 6150);
//! # Ok::<(), String>(())
//! ```

pub mod cost; // estimate before, actual after, dated prices
pub mod limits; // what load may reach, how much of it, and when it has been enough
pub mod plan; // how load is divided, how many tasks, when each starts and stops
pub mod scaling; // a model of Auto Scaling policies over a clock

pub mod events; // what happens, as one closed list
pub mod json; // JSON as its document writes it
pub mod measure; // histograms, tallies, series
pub mod outcome; // verdict and exit code
pub mod redact; // secrets, and what keeps them out of every text
pub mod scenario; // what the user wants, valid by construction
pub mod units; // durations, money, run ids

pub mod visible; // what keeps printed texts from acting on terminals and CI systems
