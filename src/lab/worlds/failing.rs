//! Paths that fail for a share of their requests, whatever the load.

use serde::Deserialize;

use super::quantity::{self, Share};

/// An entry of `target.failing` of the lab file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    /// The whole path, without a query.
    pub path: String,
    /// The answer of a request that fails.
    #[serde(default = "internal_error", deserialize_with = "quantity::status")]
    pub status: u16,
    /// The share of the path's requests that fail.
    #[serde(default = "all")]
    pub share: Share,
}

fn internal_error() -> u16 {
    500
}

fn all() -> Share {
    Share::WHOLE
}

/// The paths, with their counts.
#[derive(Debug)]
pub(crate) struct FailingPaths {
    paths: Vec<(Failing, u64)>,
    /// Requests that failed.
    pub(crate) failed: u64,
}

impl FailingPaths {
    pub(crate) fn new(paths: &[Failing]) -> Self {
        Self {
            paths: paths.iter().map(|path| (path.clone(), 0)).collect(),
            failed: 0,
        }
    }

    /// Counts a request, and returns its status if it fails.
    pub(crate) fn meet(&mut self, path: &str) -> Option<u16> {
        let (failing, count) = self
            .paths
            .iter_mut()
            .find(|(failing, _)| failing.path == path)?;
        *count += 1;
        let fails = failing.share.falls_on(*count);
        self.failed += u64::from(fails);
        fails.then_some(failing.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_one_path_fails_and_no_other_path() {
        let paths: Vec<Failing> = serde_saphyr::from_str(
            "[{ path: /checkout, share: 10%, status: 502 }, { path: /broken }]",
        )
        .unwrap();
        let mut failing = FailingPaths::new(&paths);
        let failed = (0..1_000)
            .filter_map(|_| failing.meet("/checkout"))
            .inspect(|status| assert_eq!(*status, 502))
            .count();
        assert!((99..=101).contains(&failed), "{failed}");
        assert_eq!(failing.failed, failed as u64);
        assert_eq!(failing.meet("/broken"), Some(500));
        assert_eq!(failing.meet("/checkout/7"), None);
    }
}
