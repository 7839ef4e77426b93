//! Safety limits: allowed addresses, the ceiling for unverified targets, the organisation's rules,
//! and the time and cost that end a run.
//!
//! Pure: names are resolved, files read and clocks asked elsewhere (`ownership`, `run`).

use std::time::Duration;

use crate::units::Usd;

mod address;
mod ceiling;
mod organisation;
mod proof;
mod running;

pub use address::{AddressError, AddressPolicy, AddressRefusal, permitted, refusal};
pub use ceiling::{OwnershipToken, UNPROVEN_RATE, beyond_ceiling};
pub use organisation::{Organisation, OrganisationError};
pub use proof::{OwnershipProof, TargetAuthorization, ownership_token, record_name, same_host};
pub use running::{Before, Budget, ReachedLimit, RunLimits, Spent};

/// The load that a scenario asks for, reduced to the quantities that have a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedLoad {
    /// Host of the target, as in the URL.
    pub host: String,
    /// Requests per second at the peak, from a target that answers at once; infinite where nothing
    /// but its answers bounds them.
    pub rate: f64,
    /// Length of the load, from the start instant to the end of the last phase.
    pub duration: Duration,
    /// Estimated cost; `None` if the fleet costs nothing.
    pub cost: Option<Usd>,
    /// Number of generator tasks.
    pub tasks: u32,
}

impl RequestedLoad {
    fn rate_words(&self) -> String {
        match self.rate.is_finite() {
            true => format!("up to {:.0} requests/s", self.rate.ceil()),
            false => "users without `think`: as many requests as the target answers".to_owned(),
        }
    }
}
