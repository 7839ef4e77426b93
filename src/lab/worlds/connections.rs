//! A most of open connections: of each instance, or of all that stands before them.
//!
//! A connection beyond it is closed at once, before a request is read from it, as by a server whose
//! maximum is reached.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Deserialize;

/// `target.connections` of the lab file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimit {
    /// The most that are open at once.
    pub max: NonZeroU32,
    /// True if each healthy instance has so many; without it, all have them together.
    #[serde(default)]
    pub each: bool,
}

/// An open connection: its place is free once this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Place {
    _token: Arc<()>,
}

/// The door that connections pass.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) keys: ConnectionLimit,
    /// Shared with each open connection.
    token: Arc<()>,
    /// Connections that were closed at once.
    pub(crate) refused: u64,
}

impl Gate {
    pub(crate) fn new(keys: ConnectionLimit) -> Self {
        Self {
            keys,
            token: Arc::default(),
            refused: 0,
        }
    }

    /// Returns a place, if one is free while so many instances are healthy; if not, the connection
    /// counts as refused. Connections are spread evenly, so all instances are full together.
    pub(crate) fn admit(&mut self, healthy: usize) -> Option<Place> {
        let instances = if self.keys.each { healthy } else { 1 };
        let most = self.keys.max.get() as usize * instances;
        let is_open = Arc::strong_count(&self.token) - 1 < most;
        self.refused += u64::from(!is_open);
        is_open.then(|| Place {
            _token: Arc::clone(&self.token),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::clock::LabInstant;
    use super::super::super::config::Config;
    use super::super::super::group::LabGroup;
    use super::*;

    fn gate(text: &str) -> Gate {
        Gate::new(serde_saphyr::from_str(text).unwrap())
    }

    #[test]
    fn a_limit_in_front_is_the_same_for_every_size() {
        let mut gate = gate("{ max: 2 }");
        let held = [gate.admit(1), gate.admit(4)];
        assert!(held.iter().all(Option::is_some));
        assert!(gate.admit(4).is_none());
        drop(held);
        assert!(gate.admit(4).is_some());
        assert_eq!(gate.refused, 1);
    }

    #[test]
    fn a_limit_of_each_instance_grows_with_the_group() {
        let mut gate = gate("{ max: 2, each: true }");
        let held: Vec<Place> = (0..5).filter_map(|_| gate.admit(2)).collect();
        assert_eq!((held.len(), gate.refused), (4, 1));
        assert!(gate.admit(3).is_some());
        assert!(gate.admit(0).is_none(), "nobody has a place");
    }

    #[test]
    fn the_load_balancer_counts_what_it_has_no_room_for() {
        let now = LabInstant::from_hours(490_000);
        for (keys, places, counted) in [
            ("{ max: 3 }", 3, vec![2.0]),
            ("{ max: 2, each: true }", 4, vec![]),
        ] {
            let file = format!("target: {{ connections: {keys} }}");
            let mut group = LabGroup::new(&Config::parse(&file).unwrap(), now);
            let open: Vec<Place> = (0..5).filter_map(|_| group.connect(now)).collect();
            assert_eq!(open.len(), places, "{keys}");
            let second = std::time::Duration::from_secs(1);
            group.close_period(now, now + second);
            let sample = group.samples.last().unwrap();
            assert_eq!(sample.values("RejectedConnectionCount"), counted, "{keys}");
        }
    }
}
