//! AWS as the orchestrator and the generators meet it: credentials and signed calls, the channel of
//! objects between them, the image that a registry gets, and the one door to files of this machine
//! that others named.
//!
//! It leaves out creating and destroying resources in AWS (`provision`, `teardown`) and reading the
//! target (`watch`).
//!
//! # Example
//!
//! The channel works on any object store: S3 in AWS, a folder locally, memory in tests.
//!
//! ```
//! use std::sync::Arc;
//!
//! use cloud::channel::Channel;
//! use object_store::memory::InMemory;
//! use object_store::path::Path;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let channel = Channel::new(Arc::new(InMemory::new()), Path::from("runs/sp-1"));
//! assert_eq!(channel.state().await?, None);
//!
//! channel.put_state(b"{}".to_vec()).await?;
//! assert_eq!(channel.state().await?, Some(b"{}".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # ?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod aws; // where AWS is and who we are there
pub mod channel; // orchestrator and generators over an object-store prefix
pub mod files; // files that others named or wrote: opened without waiting, read to a bound
pub mod image; // packs the generator as an OCI image and pushes it, without Docker
