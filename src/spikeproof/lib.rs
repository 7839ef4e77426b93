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
//! # The members
//!
//! The tree is a workspace. This member is the command line and the life cycle of a run; it shows the
//! others under one name. A member imports only members below it:
//!
//! ```text
//! spikeproof (main > cli > run)
//!   > teardown > provision > cloud > model
//!   > engine   > cloud
//!   > watch    > {cloud evidence}
//!   > judge    > evidence > model
//!   > lab      > model
//! ```
//!
//! | member | modules |
//! |---|---|
//! | the command line, and one run from plan to destroy | [`cli`] [`run`] |
//! | destroy and its proof | [`teardown`] |
//! | the fleet, and what is written down of it | [`terraform`] [`fleet`] [`settings`] [`journal`] |
//! | AWS, the objects between orchestrator and tasks, the image, files of this machine | [`aws`] [`channel`] [`image`] [`files`] |
//! | the generator | [`engine`] |
//! | the target's group, polled | [`watch`] |
//! | judgements, suggestions, words and pictures | [`verdict`] [`advice`] [`report`] |
//! | facts, computed once | [`evidence`] |
//! | decisions before a run, and the vocabulary | [`plan`] [`cost`] [`limits`] [`scaling`] [`scenario`] [`measure`] [`events`] [`outcome`] [`redact`] [`units`] [`visible`] |
//! | an AWS on this machine | [`lab`] |
//!
//! Modules that decide are pure: they have no clock, network, process or file.
//! `tests/architecture.rs` holds this, and the order of the modules inside a member.
//! `docs/ARCHITECTURE.md` explains the whole.
//!
//! # Example
//!
//! A command line is carried out in this process. Nothing is printed: `main` does that.
//!
//! ```
//! # #![recursion_limit = "256"]
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let words = ["spikeproof", "schema", "report"].map(Into::into);
//! let output = spikeproof::cli::run(words.into_iter()).await;
//! assert_eq!(output.code, 0);
//! assert!(output.stdout.contains("\"verdict\""));
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod cli; // one file per subcommand: arguments and wiring only
pub mod run; // the life cycle: plan provision start load recover collect judge destroy

pub use ::teardown; // destroys what a run made and proves it: destroy, reap, guard

pub use ::cloud::{aws, channel, files, image};
pub use ::engine; // the generator
pub use ::engine::ownership; // whose target it is, by load balancer, TXT record or file
pub use ::evidence; // what was seen of the group and the load, and the facts that follow
pub use ::judge::{advice, report, verdict};
pub use ::lab; // an AWS on this machine
pub use ::model::{
    cost, events, limits, measure, outcome, plan, redact, scaling, scenario, units, visible,
};
pub use ::provision::{fleet, journal, settings, terraform};
pub use ::watch; // polls the target
