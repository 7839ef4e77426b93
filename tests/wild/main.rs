//! Servers and scenarios as they occur: each folder of `tests/wild` holds a scenario, and often an
//! odd server. The whole program runs against it, and `report.json` must say what really happened.
//!
//! `docs/robustness.md` lists the cases. It is written from the same table, with `UPDATE_DOCS=1`.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod page;
#[cfg(test)]
mod played;
#[cfg(test)]
mod rare;
#[cfg(test)]
mod run;
#[cfg(test)]
mod step;
