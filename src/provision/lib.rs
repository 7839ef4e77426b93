//! Creates the fleet, and writes down each resource before it creates it.
//!
//! It leaves out how a run is destroyed: `teardown` does that, from the journal alone.
//!
//! # Example
//!
//! An intent is on the disk before the action. The journal tells which resources may exist, even if
//! the process died right after the intent:
//!
//! ```
//! use model::units::RunId;
//! use provision::journal::names::{ResourceKind, Thing};
//! use provision::journal::record::{Record, Run};
//! use provision::journal::{self, Journal};
//!
//! let runs = tempfile::tempdir()?;
//! let folder = runs.path().join("sp-0123456789");
//! let mut journal = Journal::create(
//!     &folder,
//!     Record::Run(Run {
//!         run: RunId::parse("sp-0123456789").ok_or("not an id")?,
//!         region: "eu-central-1".to_owned(),
//!         account: "111122223333".to_owned(),
//!         scenario_name: "shop".to_owned(),
//!         url: "https://shop.example.com/".to_owned(),
//!         endpoint: None,
//!         boot: None,
//!         profile: None,
//!         target: None,
//!         started: "2026-03-01T12:00:00Z".parse()?,
//!     }),
//! )?;
//! let bucket = Thing { kind: ResourceKind::Bucket, name: "sp-0123456789".to_owned() };
//! journal.write(Record::Intent { thing: bucket.clone() })?;
//!
//! assert_eq!(journal::leftovers(&journal::read(&folder)), [bucket]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod fleet; // where generators run: Fargate tasks, or child processes
pub mod journal; // what we meant and what we did; what may be left
pub mod settings; // the target's group: reads and writes its policies and sizes
pub mod terraform; // the only driver of the terraform (or tofu) binary
mod trust; // whether nobody else can fill or replace a folder
