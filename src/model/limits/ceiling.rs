//! The most load that a target gets while it is not proven to be the user's own.

use std::time::Duration;

use super::RequestedLoad;
use crate::units::duration;

/// Requests per second: what a handful of people clicking would make.
pub const UNPROVEN_RATE: f64 = 50.0;
pub(super) const UNPROVEN_DURATION: Duration = Duration::from_mins(5);

/// Returns a sentence on the load that exceeds the ceiling of an unproven target; `None` if it is
/// within.
pub fn beyond_ceiling(asked: &RequestedLoad) -> Option<String> {
    let ceiling = format!(
        "{UNPROVEN_RATE} requests/s for {}",
        duration(UNPROVEN_DURATION)
    );
    let asks = if asked.rate > UNPROVEN_RATE {
        asked.rate_words()
    } else if asked.duration > UNPROVEN_DURATION {
        format!("{} of load", duration(asked.duration))
    } else {
        return None;
    };
    Some(format!(
        "{} is not proven to be yours, so it gets at most {ceiling}; this asks for {asks}",
        asked.host
    ))
}

/// The text that the TXT record or the well-known file must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnershipToken {
    /// The hash of the account id, see [`ownership_token`](super::ownership_token).
    Known(String),
    /// The account is not known here.
    Computed,
}

impl OwnershipToken {
    /// Returns the end of a sentence after "must hold".
    pub fn words(&self) -> String {
        match self {
            Self::Known(text) => text.clone(),
            Self::Computed => "what `printf spikeproof:ACCOUNT_ID | sha256sum` prints".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unproven_target_gets_fifty_requests_a_second_for_five_minutes() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (rate, duration, asks) in [
            (50.0, minutes(5), None),
            (1.0, minutes(1), None),
            (50.1, minutes(5), Some("up to 51 requests/s")),
            (560.0, minutes(9), Some("up to 560 requests/s")),
            (10.0, minutes(6), Some("6m of load")),
            (
                f64::INFINITY,
                minutes(1),
                Some("users without `think`: as many requests as the target answers"),
            ),
        ] {
            let asked = RequestedLoad {
                host: "shop".to_owned(),
                rate,
                duration,
                cost: None,
                tasks: 1,
            };
            let said = beyond_ceiling(&asked);
            let start = "shop is not proven to be yours, so it gets at most 50 requests/s for 5m; this asks for ";
            assert_eq!(
                said.as_deref()
                    .map(|said| said.strip_prefix(start).unwrap()),
                asks,
                "{rate} {duration:?}"
            );
        }
    }
}
