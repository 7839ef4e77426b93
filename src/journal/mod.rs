//! What we meant and what we did; what may be left.

pub mod names;
