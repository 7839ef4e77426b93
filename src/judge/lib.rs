//! Judges the facts of a run, advises what to change, and words both as terminal text, JSON and a
//! page.
//!
//! It leaves out how the facts were found (`evidence`) and when they are judged (`run`).

pub mod advice; // what to change in the policy, replayed against the measured load
pub mod report; // one run as terminal text, JSON and a page; the live view
pub mod verdict; // thresholds and scaling expectations, judged
