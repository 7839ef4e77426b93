//! What was seen of the group and of the load, and the facts that follow from both.
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

mod alarms;
pub mod capacity;
pub mod facts;
pub mod instances;
pub mod load;
pub mod moment;
pub mod open_link;
pub mod overload;
pub mod price;
pub mod reaction;
pub mod scale_in;
pub mod spikes;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timeline;
pub mod vocabulary;

pub use capacity::InstanceCapacity;
pub use facts::Facts;
pub use instances::{Launched, Left, Sighting, Why};
pub use load::{Confidence, Elasticity, Second};
pub use moment::{Moment, MomentKind};
pub use open_link::OpenLink;
pub use reaction::{Reaction, Resized};
pub use spikes::Spike;
pub use timeline::Timeline;
