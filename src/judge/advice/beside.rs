//! Changes beside the candidates that are no policy. No replay shows their result, and they have no
//! price.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use evidence::{Hypothesis, Suspect};

/// A change that is no policy, and lifts the limit that the run met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NotAPolicy {
    /// A higher limit of each instance on connections.
    ConnectionsOfEachInstance,
    /// A higher limit of each instance on requests, such as more workers.
    RequestsOfEachInstance,
}

/// Returns the changes for the limits that each instance has for itself, and met with room to spare.
pub(super) fn all(hypotheses: &[Hypothesis]) -> Vec<NotAPolicy> {
    let of_each = hypotheses.iter().filter(|one| one.is_limit_of_each());
    of_each
        .filter_map(|one| match one.suspect {
            Suspect::ConnectionLimit => Some(NotAPolicy::ConnectionsOfEachInstance),
            Suspect::RateLimit => Some(NotAPolicy::RequestsOfEachInstance),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{Clue, Standing};

    fn told(suspect: Suspect, standing: Standing, clues: &[Clue]) -> Vec<NotAPolicy> {
        let found = Hypothesis {
            suspect,
            standing,
            pro: clues.to_vec(),
            against: Vec::new(),
            seconds: Vec::new(),
            tells: None,
            because: String::new(),
        };
        all(&[found])
    }

    /// Clues of a limit of each instance, of its CPU, and of its latency.
    fn clues() -> [Clue; 7] {
        let with_gain = Clue::GrewWithGain {
            from: 2,
            to: 4,
            before: 300.0,
            later: 600.0,
            asked: 600.0,
        };
        let same = Clue::RefusedAtSameRate {
            few: 2,
            many: 4,
            before: 150.0,
            later: 150.0,
        };
        let part = Clue::RefusedByPart {
            most: 400.0,
            most_good: 150.0,
            least: 200.0,
            least_good: 150.0,
        };
        let idle = Clue::MetricBelowCeiling {
            metric: "CPUUtilization".to_owned(),
            usual: 30.0,
        };
        let full = Clue::MetricAtCeiling {
            metric: "CPUUtilization".to_owned(),
            highest: 100.0,
        };
        let usual = Clue::AnsweredAsUsual {
            p95_us: 45_000,
            usual_us: 41_000,
        };
        let late = Clue::AnsweredLate {
            p95_us: 450_000,
            usual_us: 41_000,
        };
        [with_gain, same, part, idle, full, usual, late]
    }

    #[test]
    fn a_limit_of_each_instance_that_was_idle_can_be_raised() {
        use Standing::{Excluded, Holds, Open};
        use Suspect::{ConnectionLimit, RateLimit};
        let [with_gain, same, part, idle, full, usual, late] = clues();
        let (connections, requests, none) = (
            vec![NotAPolicy::ConnectionsOfEachInstance],
            vec![NotAPolicy::RequestsOfEachInstance],
            Vec::new(),
        );
        let of = |clues: &[&Clue]| clues.iter().copied().cloned().collect::<Vec<_>>();
        for (suspect, standing, clues, expected) in [
            (
                ConnectionLimit,
                Holds,
                of(&[&with_gain, &usual, &idle]),
                &connections,
            ),
            (RateLimit, Excluded, of(&[&same, &usual, &idle]), &requests),
            (RateLimit, Excluded, of(&[&part, &usual, &idle]), &requests),
            // A limit of the whole, one that is open, and instances that were full.
            (ConnectionLimit, Holds, of(&[&usual, &idle]), &none),
            (
                ConnectionLimit,
                Open,
                of(&[&with_gain, &usual, &idle]),
                &none,
            ),
            (RateLimit, Excluded, of(&[&same, &usual]), &none),
            (RateLimit, Excluded, of(&[&same, &usual, &full]), &none),
            (RateLimit, Excluded, of(&[&same, &late, &idle]), &none),
            (RateLimit, Holds, of(&[&usual, &idle]), &none),
        ] {
            assert_eq!(
                told(suspect, standing, &clues),
                *expected,
                "{suspect:?} {standing:?} {clues:?}"
            );
        }
    }
}
