//! Judges the facts of a run, advises on the policy, and words both as terminal text, JSON and a page.
//!
//! Judgements and advice are data. Sentences are made in [`report::words`] only, and nothing compares
//! them.
//!
//! It leaves out how the facts are found (`evidence`) and when they are judged (`run`).
//!
//! # Example
//!
//! A report is read back, whatever version of spikeproof wrote it, and shown as on the terminal:
//!
//! ```no_run
//! let text = std::fs::read_to_string("report.json")?;
//! let report = judge::report::older::read(&text)?;
//! print!("{}", judge::report::terminal::text(&report));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod advice; // what to change in the policy, replayed against the measured load
pub mod report; // one run as terminal text, JSON and a page; the live view
pub mod verdict; // thresholds and scaling expectations, judged
