//! AWS as the orchestrator and the generator meet it: where it is and who we are there, the channel
//! of objects between them, and the image that a registry gets.
//!
//! It leaves out what is created and destroyed in AWS (`provision`, `teardown`) and what is read of
//! the target (`watch`).

pub mod aws; // where AWS is and who we are there
pub mod channel; // orchestrator and generators over an object-store prefix
pub mod image; // packs the generator as an OCI image and pushes it, without Docker
