//! Judges the facts of a run, advises on the policy, and reports both: in the live view, as terminal
//! text, JSON and a page, and for several runs side by side.
//!
//! Judgements and advice are data. Their sentences are made in [`report::words`] only, and nothing
//! compares them; [`report::older`] knows the sentences of earlier versions of the report.
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
