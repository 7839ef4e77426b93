//! The load balancer's choice of an instance.

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
}

impl Balancing {
    /// Returns the value of `load_balancing.algorithm.type`.
    pub fn word(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
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
            Self::RoundRobin => Some(turn % count),
            Self::LeastOutstanding => (0..count)
                .map(|step| (turn + step) % count)
                .min_by_key(|&index| outstanding(index)),
        }
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
