//! Evidence: what was seen of the group and of the load, and the facts that follow from both.
//!
//! Pure. Facts only: whether one is good or bad is decided in `verdict`, what to do about it in
//! `advice`.

pub mod alarms;
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
