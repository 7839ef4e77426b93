//! The hourly cost of one instance or task of the target, as far as a dated table has it.
//!
//! On demand, Linux, in us-east-1: other regions differ, and a savings plan or a Spot price is
//! less. Every display of such a price names these conditions, with the date. A kind that is not in
//! the table has no price: none is guessed.

use super::PRICES;

/// Month in which the table below was last compared with published prices.
pub const DATE: &str = "2026-06";

/// US dollars for a `large` for an hour. Within a family the price doubles with the size. Source:
/// the AWS price list for AmazonEC2.
const LARGE: [(&str, f64); 16] = [
    ("t3", 0.0832),
    ("t3a", 0.0752),
    ("t4g", 0.0672),
    ("m5", 0.096),
    ("m6i", 0.096),
    ("m6g", 0.077),
    ("m7i", 0.1008),
    ("m7g", 0.0816),
    ("c5", 0.085),
    ("c6i", 0.085),
    ("c6g", 0.068),
    ("c7i", 0.08925),
    ("c7g", 0.0725),
    ("r5", 0.126),
    ("r6i", 0.126),
    ("r6g", 0.1008),
];

/// Returns US dollars per hour of `t3.micro`, or of a task as the watch writes its size: `256 CPU
/// units, 512 MiB`. `None` if the table lacks it.
pub fn hour(kind: &str) -> Option<f64> {
    of_instance(kind).or_else(|| of_task(kind))
}

fn of_instance(kind: &str) -> Option<f64> {
    let (family, size) = kind.split_once('.')?;
    let (_, large) = LARGE.iter().find(|(known, _)| *known == family)?;
    Some(large * larges(family, size)?)
}

/// Returns the size as a multiple of a `large`. Only burstable families are smaller than a
/// `medium`.
fn larges(family: &str, size: &str) -> Option<f64> {
    let is_burstable = family.starts_with('t');
    match size {
        "nano" if is_burstable => Some(1.0 / 16.0),
        "micro" if is_burstable => Some(1.0 / 8.0),
        "small" if is_burstable => Some(1.0 / 4.0),
        "medium" if is_burstable || family.ends_with('g') => Some(1.0 / 2.0),
        "large" => Some(1.0),
        "xlarge" => Some(2.0),
        _ => size
            .strip_suffix("xlarge")?
            .parse::<u8>()
            .ok()
            .filter(|times| *times > 1)
            .map(|times| f64::from(times) * 2.0),
    }
}

/// Returns the price of a Fargate task on x86: the API does not tell a task's architecture.
fn of_task(kind: &str) -> Option<f64> {
    let (units, memory) = kind.split_once(" CPU units, ")?;
    let (units, memory) = (
        units.parse::<f64>().ok()?,
        memory.strip_suffix(" MiB")?.parse::<f64>().ok()?,
    );
    Some(units / 1024.0 * PRICES.x86_vcpu_hour + memory / 1024.0 * PRICES.x86_gb_hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_costs_what_the_price_list_says_and_what_is_not_listed_has_no_price() {
        for (kind, usd) in [
            ("t3.nano", Some(0.0052)),
            ("t3.micro", Some(0.0104)),
            ("t3.medium", Some(0.0416)),
            ("t4g.small", Some(0.0168)),
            ("m5.large", Some(0.096)),
            ("m6g.medium", Some(0.0385)),
            ("m7i.4xlarge", Some(0.8064)),
            ("c7i.xlarge", Some(0.1785)),
            ("r5.24xlarge", Some(6.048)),
            ("256 CPU units, 512 MiB", Some(0.012_342_5)),
            ("m5.nano", None),
            ("m5.medium", None),
            ("m5.metal", None),
            ("m5.0xlarge", None),
            ("p5.48xlarge", None),
            ("", None),
        ] {
            let found = hour(kind);
            let near = match (found, usd) {
                (Some(found), Some(usd)) => (found - usd).abs() < 1e-9,
                (found, usd) => found == usd,
            };
            assert!(near, "{kind}: {found:?}, not {usd:?}");
        }
    }
}
