//! spikeproof proves that an Auto Scaling group survives a spike.
//!
//! The map, in reading order. Imports point down only; `tests/architecture.rs` holds this:
//!
//! ```text
//! main > cli > run > teardown
//!      > {terraform fleet image channel engine watch ownership journal lab aws}
//!      > report > {advice verdict} > evidence > {plan cost limits scaling}
//!      > {scenario measure events outcome redact units}
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
