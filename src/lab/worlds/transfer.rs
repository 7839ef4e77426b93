//! Large answers, and the link that they leave by.
//!
//! An answer whose work is done waits for its turn on the link, and is sent in the time that its
//! size takes. A link takes no worker and no CPU.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::clock::LabInstant;
use super::super::config::LabConfigError;
use super::quantity::{Bandwidth, Share, Size};

/// `target.transfer` of the lab file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The bytes that a link takes in a second.
    pub rate: Bandwidth,
    /// True if all instances have one link together; if not, each has its own.
    #[serde(default)]
    pub shared: bool,
    /// The answers that are large; all others take no time on the link.
    pub large: Vec<Large>,
}

/// An entry of `target.transfer.large`: a kind of large answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Large {
    /// The whole path, without a query; without it, any path.
    #[serde(default)]
    pub path: Option<String>,
    /// The share of these answers that are large.
    #[serde(default = "all")]
    pub share: Share,
    /// The size of each of them.
    pub size: Size,
}

fn all() -> Share {
    Share::WHOLE
}

impl Transfer {
    /// Checks that some answer is large.
    pub(super) fn check(&self) -> Result<(), LabConfigError> {
        match self.large.is_empty() {
            true => Err(LabConfigError::NothingIsLarge),
            false => Ok(()),
        }
    }
}

/// The link of all instances, or that of the instance with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Link {
    OfAll,
    Of(u32),
}

/// An answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parcel {
    link: Link,
    /// Its size; zero unless it is large.
    pub(crate) size: Size,
    /// True once it has its turn on the link.
    pub(crate) is_sent: bool,
}

/// The links while the lab runs.
#[derive(Debug)]
pub(crate) struct Links {
    keys: Transfer,
    /// For each kind of large answers, the requests that it may fall on.
    met: Vec<u64>,
    /// The instant at which each link is free.
    free: HashMap<Link, LabInstant>,
    /// Requests that came.
    asked: u64,
    /// Large answers among theirs.
    pub(crate) large: u64,
    /// The sum of their sizes.
    bytes: u64,
}

impl Links {
    pub(crate) fn new(keys: &Transfer) -> Self {
        Self {
            keys: keys.clone(),
            met: vec![0; keys.large.len()],
            free: HashMap::new(),
            asked: 0,
            large: 0,
            bytes: 0,
        }
    }

    /// Counts a request to the instance with this number, and returns what its answer will be.
    pub(crate) fn expect(&mut self, path: &str, instance: u32) -> Parcel {
        self.asked += 1;
        let kinds = self.keys.large.iter().zip(&mut self.met);
        let own = kinds
            .filter(|(kind, _)| kind.path.as_ref().is_none_or(|own| own == path))
            .find_map(|(kind, met)| {
                *met += 1;
                kind.share.falls_on(*met).then_some(kind.size)
            });
        if let Some(size) = own {
            self.large += 1;
            self.bytes += size.bytes();
        }
        let link = match self.keys.shared {
            true => Link::OfAll,
            false => Link::Of(instance),
        };
        Parcel {
            link,
            size: own.unwrap_or_default(),
            is_sent: false,
        }
    }

    /// Sends an answer that is ready at `at`, after all that were ready before it, and returns the
    /// instant at which it is through.
    pub(crate) fn send(&mut self, parcel: &mut Parcel, at: LabInstant) -> LabInstant {
        parcel.is_sent = true;
        let free = self.free.entry(parcel.link).or_default();
        *free = (*free).max(at) + self.keys.rate.takes(parcel.size);
        *free
    }

    /// Returns the answers per second that a link carries, by the sizes so far; `None` if all
    /// instances share it, or if no answer was large.
    pub(crate) fn capacity(&self) -> Option<f64> {
        let each = Size::of(self.bytes.checked_div(self.asked)?);
        let takes: Duration = self.keys.rate.takes(each);
        (!self.keys.shared && !takes.is_zero()).then(|| 1.0 / takes.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Links {
        Links::new(&serde_saphyr::from_str(text).unwrap())
    }

    fn ms(millis: u64) -> LabInstant {
        Duration::from_millis(millis)
    }

    #[test]
    fn answers_leave_one_after_the_other_and_large_ones_take_their_time() {
        let mut links = links("{ rate: 1MB/s, large: [{ path: /report, size: 50KB }] }");
        let ready = [("/report", 0), ("/", 10), ("/report", 20), ("/", 200)];
        let through = ready.map(|(path, at)| {
            let mut parcel = links.expect(path, 1);
            links.send(&mut parcel, ms(at))
        });
        assert_eq!(through, [50, 50, 100, 200].map(ms));
        // Two of four answers are large: 25 KB on average.
        assert_eq!((links.large, links.capacity()), (2, Some(40.0)));
    }

    #[test]
    fn each_instance_has_a_link_of_its_own_unless_all_share_one() {
        for (shared, second) in [(false, 100), (true, 200)] {
            let mut links = links(&format!(
                "{{ rate: 1MB/s, shared: {shared}, large: [{{ size: 100KB }}] }}"
            ));
            let through = [1, 2].map(|instance| {
                let mut parcel = links.expect("/", instance);
                links.send(&mut parcel, ms(0))
            });
            assert_eq!(through, [ms(100), ms(second)], "shared: {shared}");
            assert_eq!(links.capacity().is_none(), shared);
        }
    }

    #[test]
    fn a_share_of_the_answers_is_large() {
        let mut links = links("{ rate: 1MB/s, large: [{ share: 25%, size: 64KiB }] }");
        for _ in 0..1_000 {
            links.expect("/", 1);
        }
        assert!((249..=251).contains(&links.large), "{}", links.large);
    }
}
