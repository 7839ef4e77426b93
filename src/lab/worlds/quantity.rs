//! Shares, rates and sizes of the lab file: `10%`, `300/s`, `64KB` and `1MB/s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A share, 0 to 1; `10%` in the lab file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Everything: `100%`.
    pub const WHOLE: Self = Self(1.0);

    /// Returns the share as a part of one.
    pub fn of_one(self) -> f64 {
        self.0
    }

    /// True if the share falls on the request with this number.
    ///
    /// Multiples of the golden ratio fill the unit interval evenly, so any long run of numbers has
    /// the share. They follow no period: no instance gets all of these requests.
    pub fn falls_on(self, number: u64) -> bool {
        const GOLDEN: u32 = 0x9E37_79B9;
        let place = (number as u32).wrapping_mul(GOLDEN);
        f64::from(place) < self.0 * 2_f64.powi(32)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.trim()
            .strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "`{text}` is not a share: write it like `10%`, from 0% to 100%"
                ))
            })
    }
}

/// A number of requests per second, above zero; `300/s` in the lab file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// Returns the number of requests per second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Returns the time that this many requests take at the pace.
    pub fn after(self, requests: u64) -> Duration {
        Duration::try_from_secs_f64(requests as f64 / self.0).unwrap_or(Duration::MAX)
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        match model::scenario::parse_rate(&text) {
            Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Self(rate)),
            Ok(_) => Err(serde::de::Error::custom(format!(
                "`{text}` is no rate here: it must be above zero"
            ))),
            Err((problem, hint)) => Err(serde::de::Error::custom(format!("{problem}: {hint}"))),
        }
    }
}

/// A number of bytes; `64KB` in the lab file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// Returns a size of so many bytes.
    pub fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Reads a size of at least one byte.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let of_unit = match unit.trim() {
            "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return None,
        };
        let bytes = number.parse::<u64>().ok()?.checked_mul(of_unit)?;
        (1..=LARGEST).contains(&bytes).then_some(Self(bytes))
    }
}

/// The most bytes that a size or a second of a bandwidth has: 10 GB.
const LARGEST: u64 = 10_000_000_000;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not a size: write it like `64KB`, in B, KB, MB, KiB or MiB"
            ))
        })
    }
}

/// A number of bytes per second; `1MB/s` in the lab file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth(Size);

impl Bandwidth {
    /// Returns the time that so many bytes take.
    pub fn takes(self, size: Size) -> Duration {
        Duration::from_secs_f64(size.0 as f64 / self.0.0 as f64)
    }
}

impl<'de> Deserialize<'de> for Bandwidth {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let size = text.trim().strip_suffix("/s").and_then(Size::parse);
        size.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not a bandwidth: write it like `1MB/s`, in B, KB, MB, KiB or MiB"
            ))
        })
    }
}

/// Reads the status of an answer.
pub(crate) fn status<'de, D: Deserializer<'de>>(input: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(input)?;
    match (200..600).contains(&status) {
        true => Ok(status),
        false => Err(serde::de::Error::custom(format!(
            "`{status}` is no status of an answer: it lies between 200 and 599"
        ))),
    }
}

/// Reads the status of an answer where the key may be left out.
pub(crate) fn maybe_status<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u16>, D::Error> {
    status(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_falls_on_its_part_of_every_run_of_requests() {
        for percent in [0.0, 3.0, 10.0, 25.0, 100.0] {
            let share = Share(percent / 100.0);
            for from in [0, 1_000, 4_294_967_000] {
                let hit = (from..from + 1_000)
                    .filter(|&number| share.falls_on(number))
                    .count() as f64;
                assert!(
                    (hit - percent * 10.0).abs() <= 3.0,
                    "{percent}% from {from}: {hit}"
                );
            }
        }
    }

    #[test]
    fn a_share_meets_every_instance_of_a_round() {
        let share = Share(0.1);
        for instances in 2..=20 {
            for instance in 0..instances {
                let hit = (0..2_000)
                    .filter(|round| share.falls_on(round * instances + instance))
                    .count();
                assert!(
                    (150..=250).contains(&hit),
                    "{instance} of {instances}: {hit}"
                );
            }
        }
    }

    #[test]
    fn sizes_and_bandwidths_are_read_or_refused_with_a_hint() {
        #[derive(Debug, Deserialize)]
        struct Keys {
            size: Size,
            rate: Bandwidth,
        }
        let read = |text: &str| serde_saphyr::from_str::<Keys>(text);
        for (size, bytes) in [("1B", 1), ("64KB", 64_000), ("2 MiB", 2 << 20)] {
            let keys = read(&format!("{{ size: {size}, rate: 1KB/s }}")).unwrap();
            assert_eq!(keys.size.bytes(), bytes);
            assert_eq!(keys.rate.takes(Size(500)), Duration::from_millis(500));
        }
        for (text, hint) in [
            ("{ size: 64, rate: 1KB/s }", "like `64KB`"),
            ("{ size: 0KB, rate: 1KB/s }", "like `64KB`"),
            ("{ size: 11000MB, rate: 1KB/s }", "like `64KB`"),
            ("{ size: KB, rate: 1KB/s }", "like `64KB`"),
            ("{ size: 1KB, rate: 1KB }", "like `1MB/s`"),
        ] {
            let problem = read(text).unwrap_err().to_string();
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }

    #[test]
    fn shares_rates_and_statuses_are_read_or_refused_with_a_hint() {
        #[derive(Debug, Deserialize)]
        struct Keys {
            share: Share,
            rate: Pace,
            #[serde(deserialize_with = "status")]
            status: u16,
        }
        let read = |text: &str| serde_saphyr::from_str::<Keys>(text);
        let keys = read("{ share: 12.5%, rate: 300/s, status: 429 }").unwrap();
        assert_eq!((keys.share.of_one(), keys.status), (0.125, 429));
        assert_eq!(keys.rate.after(150), Duration::from_millis(500));
        for (text, hint) in [
            ("{ share: 10, rate: 1/s, status: 200 }", "like `10%`"),
            ("{ share: 101%, rate: 1/s, status: 200 }", "from 0% to 100%"),
            ("{ share: 1%, rate: 0/s, status: 200 }", "above zero"),
            (
                "{ share: 1%, rate: 1/s, status: 99 }",
                "between 200 and 599",
            ),
        ] {
            let problem = read(text).unwrap_err().to_string();
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }
}
