//! Instances of several types in one group: the same work takes some of them longer.

use std::time::Duration;

use serde::Deserialize;

use super::super::config::LabConfigError;
use super::quantity::Share;

/// The type of all instances, unless the lab file has several.
const USUAL: &str = "t3.micro";

/// An entry of `target.types` of the lab file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceType {
    /// The name, such as `c5.large`.
    pub kind: String,
    /// The part of `workers` and `service_time` that such an instance can do.
    #[serde(default = "whole")]
    pub capacity: Share,
}

fn whole() -> Share {
    Share::WHOLE
}

impl InstanceType {
    /// Checks that it can do anything, and that its group is one of instances.
    pub(super) fn check(&self, service: bool) -> Result<(), LabConfigError> {
        match self.capacity.of_one() > 0.0 {
            _ if service => Err(LabConfigError::TypesOfService),
            false => Err(LabConfigError::TypeServesNothing),
            true => Ok(()),
        }
    }
}

/// Returns the type of the instance with this number, and the time that a request takes there. Each
/// launch takes the next type in its turn.
pub(crate) fn of(
    types: &[InstanceType],
    number: u32,
    service_time: Duration,
) -> (String, Duration) {
    let turn = number.saturating_sub(1) as usize;
    let Some(own) = turn.checked_rem(types.len()).map(|index| &types[index]) else {
        return (USUAL.to_owned(), service_time);
    };
    (
        own.kind.clone(),
        service_time.div_f64(own.capacity.of_one()),
    )
}

/// Returns the average of the types' capacities, and the average of the times that they take for the
/// same work; both as parts of a whole instance.
pub(crate) fn average(types: &[InstanceType]) -> (f64, f64) {
    let of = |value: fn(f64) -> f64| match types.len() {
        0 => 1.0,
        count => {
            let shares = types.iter().map(|one| one.capacity.of_one());
            shares.map(value).sum::<f64>() / count as f64
        }
    };
    (of(|share| share), of(|share| 1.0 / share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_take_the_types_in_turn_and_weak_ones_take_longer() {
        let text = "[{ kind: c5.large }, { kind: t3.micro, capacity: 50% }]";
        let types: Vec<InstanceType> = serde_saphyr::from_str(text).unwrap();
        let own = Duration::from_millis(40);
        let all: Vec<(String, Duration)> = (1..4).map(|number| of(&types, number, own)).collect();
        let strong = ("c5.large".to_owned(), own);
        let weak = ("t3.micro".to_owned(), own * 2);
        assert_eq!(all, [strong.clone(), weak, strong]);
        assert_eq!(average(&types), (0.75, 1.5));
    }

    #[test]
    fn without_types_all_instances_are_alike() {
        let own = Duration::from_millis(40);
        assert_eq!(of(&[], 7, own), (USUAL.to_owned(), own));
        assert_eq!(average(&[]), (1.0, 1.0));
    }
}
