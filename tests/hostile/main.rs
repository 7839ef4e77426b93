//! Files and texts of somebody who means harm: scenarios, journals, locks and reports.
//!
//! The program runs as a process here, because that is what a terminal and a CI system see.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod program;
#[cfg(test)]
mod texts;
