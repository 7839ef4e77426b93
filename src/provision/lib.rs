//! Starts the fleet, and writes down what it means to do before it does it.
//!
//! It leaves out how a fleet is destroyed when something went wrong: `teardown` does that, from the
//! journal alone.

pub mod fleet; // where generators run: Fargate tasks, or child processes
pub mod journal; // what we meant and what we did; what may be left
pub mod terraform; // the only driver of the terraform (or tofu) binary
