//! The load balancer's choice of an instance.

use std::collections::HashMap;

use serde::Deserialize;

/// `target.balancing` of the lab file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancing {
    /// Each healthy instance in its turn.
    #[default]
    RoundRobin,
    /// The instance with the fewest requests in progress; among equals, the one whose turn it is.
    LeastOutstanding,
    /// Each connection in its turn: all its requests go to one instance as long as that is healthy,
    /// as with a Network Load Balancer.
    Pinned,
}

impl Balancing {
    /// Returns the value of `load_balancing.algorithm.type`.
    pub fn word(self) -> &'static str {
        match self {
            // A balancer of connections has no such attribute; this is its default elsewhere.
            Self::RoundRobin | Self::Pinned => "round_robin",
            Self::LeastOutstanding => "least_outstanding_requests",
        }
    }

    /// Chooses one of `count` instances, by the turn and their requests in progress.
    pub fn choose(
        self,
        count: usize,
        turn: usize,
        outstanding: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        if count == 0 {
            return None;
        }
        match self {
            Self::RoundRobin | Self::Pinned => Some(turn % count),
            Self::LeastOutstanding => (0..count)
                .map(|step| (turn + step) % count)
                .min_by_key(|&index| outstanding(index)),
        }
    }
}

/// A connection of a client, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(pub u64);

/// The instances to which connections are pinned, by the numbers of both.
#[derive(Debug, Default)]
pub(crate) struct Pins(HashMap<Connection, u32>);

impl Pins {
    /// Returns the number of the instance to which a connection is pinned.
    pub(crate) fn of(&self, connection: Connection) -> Option<u32> {
        self.0.get(&connection).copied()
    }

    /// Pins a connection to an instance, and frees it from any other.
    pub(crate) fn pin(&mut self, connection: Connection, instance: u32) {
        self.0.insert(connection, instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_round_or_to_the_least_busy() {
        let busy = [3, 1, 1];
        let chosen = |way: Balancing| {
            (0..4)
                .filter_map(|turn| way.choose(3, turn, |index| busy[index]))
                .collect::<Vec<_>>()
        };
        assert_eq!(chosen(Balancing::RoundRobin), [0, 1, 2, 0]);
        assert_eq!(chosen(Balancing::LeastOutstanding), [1, 1, 2, 1]);
        assert_eq!(Balancing::LeastOutstanding.choose(0, 1, |_| 0), None);
    }
}
