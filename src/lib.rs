//! spikeproof proves that an Auto Scaling group or an ECS service survives a load spike.
//!
//! One binary is the orchestrator, the generator and the lab. It starts temporary generators on
//! Fargate, sends the load of a scenario, watches the group scale, judges what it measured, and
//! destroys everything that it created.
//!
//! The crate is a program: its library has no stable interface. It leaves out browsers, protocols
//! other than HTTP, and load from several regions at once. A target that nothing scales gets a plain
//! load test.
//!
//! # The rooms
//!
//! In reading order, the highest layer first. Imports point down only; `tests/architecture.rs`
//! holds this and the map:
//!
//! ```text
//! main > cli > run > teardown
//!      > {terraform fleet image channel engine watch ownership journal lab aws}
//!      > report > {advice verdict} > evidence > {plan cost limits scaling}
//!      > {scenario measure events outcome redact units}
//! ```
//!
//! | layer | modules |
//! |---|---|
//! | the command line | [`cli`] |
//! | one run from plan to destroy | [`run`] |
//! | destroy and its proof | [`teardown`] |
//! | capabilities with side effects | [`terraform`] [`fleet`] [`image`] [`channel`] [`engine`] [`watch`] [`ownership`] [`journal`] [`lab`] [`aws`] |
//! | words and pictures | [`report`] |
//! | judgements and suggestions | [`verdict`] [`advice`] |
//! | facts, computed once | [`evidence`] |
//! | decisions before a run | [`plan`] [`cost`] [`limits`] [`scaling`] |
//! | vocabulary | [`scenario`] [`measure`] [`events`] [`outcome`] [`redact`] [`units`] |
//!
//! Modules that decide are pure: they have no clock, network, process or file. The same test
//! lists them. `docs/ARCHITECTURE.md` explains the whole.
//!
//! # Example
//!
//! A scenario is read from text and cannot be wrong afterwards. Its schedule says how much load is
//! due at each moment, and which part of it each task carries:
//!
//! ```
//! use std::time::Duration;
//!
//! use spikeproof::plan::{Schedule, Share};
//! use spikeproof::scenario::{self, Substitutions};
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

pub mod cli; // one file per subcommand: arguments and wiring only
pub mod run; // the life cycle: plan provision start load recover collect judge destroy

pub mod teardown; // destroys what a run made and proves it: destroy, reap, guard

pub mod aws; // where AWS is and who we are there
pub mod channel; // orchestrator and generators over an object-store prefix
pub mod engine; // the generator
pub mod fleet; // where generators run: Fargate tasks, or child processes
pub mod image; // packs the generator as an OCI image and pushes it, without Docker
pub mod journal; // what we meant and what we did; what may be left
pub mod lab; // an AWS on this machine
pub mod ownership; // whose target it is, by load balancer, TXT record or file
pub mod terraform; // the only driver of the terraform (or tofu) binary
pub mod watch; // the target while it suffers

pub mod advice; // what to change in the policy, replayed against the measured load
pub mod cost; // estimate before, actual after, dated prices
pub mod evidence; // what was seen of the group and the load, and the facts that follow
pub mod limits; // what load may reach, how much of it, and when it has been enough
pub mod plan; // how load is divided, how many tasks, when each starts and stops
pub mod report; // one run as terminal text, JSON and a page; the live view
pub mod scaling; // a model of Auto Scaling policies over a clock
pub mod verdict; // thresholds and scaling expectations, judged

pub mod events; // what happens, as one closed list
pub mod measure; // histograms, tallies, series
pub mod outcome; // verdict and exit code
pub mod redact; // secrets, and what keeps them out of every text
pub mod scenario; // what the user wants, valid by construction
pub mod units; // durations, money, run ids
