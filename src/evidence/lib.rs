//! The observations of the group and of the load, and the facts that follow from both.
//!
//! It is pure. [`Facts`] are computed once, and everything that judges or advises reads them.
//!
//! It leaves out whether a fact is good or bad: `judge` decides that.
//!
//! # Example
//!
//! ```
//! use evidence::Timeline;
//! use evidence::timeline::{GroupState, Instance, Observation, Observed};
//!
//! let instance = |id: &str, lifecycle: &str| Instance {
//!     id: id.to_owned(),
//!     lifecycle: lifecycle.into(),
//!     ..Instance::default()
//! };
//! let group = GroupState {
//!     desired: 2,
//!     instances: vec![instance("i-1", "InService"), instance("i-2", "Pending")],
//!     ..GroupState::default()
//! };
//! let noon = "2026-03-01T12:00:00Z".parse()?;
//! let timeline = Timeline { observations: vec![Observation::new(noon, Observed::Group(group))] };
//!
//! let (at, group) = timeline.groups().next().ok_or("nothing was seen")?;
//! assert_eq!((at, group.desired, group.in_service()), (noon, 2, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alarms; // which alarm fired, when, and on which datapoint
pub mod capacity; // the load that one instance carries within the limits
pub mod facts; // every fact of a run, computed once
pub mod hypotheses; // reasons for the seconds that missed a limit
pub mod instances; // the life of each instance that came or went
pub mod load; // the load second by second, and the fit of the group's size
pub mod moment; // the moments of a reaction, each with time and origin
pub mod open_link; // links of a reaction that were not seen
pub mod others; // the load that others sent, by the load balancer's count
pub mod overload; // seconds in which the instances had more load than they carry
pub mod price; // the price of an instance-hour, and its source
pub mod reaction; // how the group reacted to each spike
pub mod scale_in; // the wait before a scale-in that settings make unavoidable
pub mod spikes; // the chain of moments of each spike
#[cfg(any(test, feature = "testing"))]
pub mod testing; // groups, loads and stories for tests
pub mod timeline; // observations of the target, each with its own time
pub mod vocabulary; // AWS's closed lists of words, as types

pub use capacity::InstanceCapacity;
pub use facts::Facts;
pub use hypotheses::{Baseline, Clue, Explained, Hypothesis, Standing, Suspect, TellingRun};
pub use instances::{LaunchReason, Launched, Left, Sighting, Why};
pub use load::{Confidence, Elasticity, Second};
pub use moment::{Moment, MomentKind};
pub use open_link::OpenLink;
pub use others::{NotCounted, OtherLoad, OtherShare};
pub use reaction::{Reaction, Resized};
pub use spikes::Spike;
pub use timeline::Timeline;
