//! Requests that cost more of their instance than others.

use serde::Deserialize;

use super::super::config::LabConfigError;
use super::quantity::Share;

/// `target.unequal` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unequal {
    /// The share of requests that cost more.
    pub share: Share,
    /// The number of service times that each of them takes.
    pub times: u32,
}

impl Unequal {
    /// Checks that such a request takes any time.
    pub fn check(self) -> Result<(), LabConfigError> {
        match self.times {
            0 => Err(LabConfigError::RequestsWithoutCost),
            _ => Ok(()),
        }
    }

    /// Returns the service times that a request takes on average.
    pub fn average(self) -> f64 {
        1.0 + self.share.of_one() * (f64::from(self.times) - 1.0)
    }
}

/// The count of requests so far.
#[derive(Debug)]
pub(crate) struct Costs {
    keys: Unequal,
    count: u64,
    /// Requests that cost more.
    pub(crate) dear: u64,
}

impl Costs {
    pub(crate) fn new(keys: Unequal) -> Self {
        Self {
            keys,
            count: 0,
            dear: 0,
        }
    }

    /// Counts a request, and returns the number of service times that it takes.
    pub(crate) fn next(&mut self) -> u32 {
        self.count += 1;
        let is_dear = self.keys.share.falls_on(self.count);
        self.dear += u64::from(is_dear);
        if is_dear { self.keys.times } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_costs_more_on_average_as_said() {
        let keys: Unequal = serde_saphyr::from_str("{ share: 10%, times: 8 }").unwrap();
        let mut costs = Costs::new(keys);
        let sum: u32 = (0..10_000).map(|_| costs.next()).sum();
        assert!((keys.average() - 1.7).abs() < 1e-9);
        assert!((16_980..=17_020).contains(&sum), "{sum}");
        assert_eq!(u64::from(sum), 10_000 + 7 * costs.dear);
    }
}
