//! A histogram of microseconds, three significant digits, 1 us to an hour.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as V2Reader, Serializer as _, V2Serializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An hour: longer than any time-out a scenario may set, so nothing is ever clipped unseen.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// Merging two of them is exact: the merged histogram is the one a single generator would have
/// recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyHistogram(Histogram<u64>);

impl Default for LatencyHistogram {
    fn default() -> Self {
        // Grows as values come: an empty one costs next to nothing, and there is one per second and
        // step.
        let mut histogram =
            Histogram::new(3).unwrap_or_else(|_| unreachable!("3 significant digits are valid"));
        histogram.auto(true);
        Self(histogram)
    }
}

impl LatencyHistogram {
    /// Counts one value: microseconds, rounded into the range that the histogram holds.
    pub fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros())
            .unwrap_or(LONGEST_MICROS)
            .clamp(1, LONGEST_MICROS);
        // Cannot fail: the histogram resizes itself up to the clamped maximum.
        let _ = self.0.record(micros);
    }

    /// Adds the counts of another histogram, without loss.
    pub fn merge(&mut self, other: &Self) {
        // Cannot fail: both resize themselves and have the same precision.
        let _ = self.0.add(&other.0);
    }

    /// Returns the number of recorded values.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the `q`-th percentile (0..=100); `None` if nothing was recorded.
    pub fn percentile(&self, q: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.value_at_percentile(q)))
    }

    /// Returns the largest value; `None` if nothing was recorded.
    pub fn max(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.max()))
    }

    /// Returns the average; `None` if nothing was recorded.
    pub fn mean(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos((self.0.mean() * 1_000.0) as u64))
    }

    /// Returns recorded values as (microseconds, count), ascending: heat maps are drawn from them.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0
            .iter_recorded()
            .map(|value| (value.value_iterated_to(), value.count_at_value()))
    }
}

/// The buckets of a histogram that are not empty: the form that is kept of each second and sent
/// over the wire.
///
/// A run of an hour has thousands of them; as full histograms they would not fit into memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedLatency(Vec<(u32, u32)>);

impl LatencyHistogram {
    /// Returns the buckets, to be sent or stored.
    pub fn pack(&self) -> PackedLatency {
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        PackedLatency(
            self.buckets()
                .map(|(micros, count)| (narrow(micros), narrow(count)))
                .collect(),
        )
    }

    /// Adds the counts of a packed histogram, without loss.
    pub(super) fn merge_packed(&mut self, other: &PackedLatency) {
        for (micros, count) in &other.0 {
            // Cannot fail: the histogram resizes itself up to the largest value that can be packed.
            let _ = self.0.record_n(u64::from(*micros), u64::from(*count));
        }
    }

    /// Forgets the recorded values, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }
}

impl PackedLatency {
    /// Merges two histograms. Both are sorted by value, and so is the result.
    pub fn merge(&mut self, other: &Self) {
        let mut merged = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut ours, mut theirs) = (
            self.0.iter().copied().peekable(),
            other.0.iter().copied().peekable(),
        );
        while let (Some(our), Some(their)) = (ours.peek().copied(), theirs.peek().copied()) {
            let least = our.0.min(their.0);
            let count = [&mut ours, &mut theirs].map(|side| {
                side.next_if(|(value, _)| *value == least)
                    .map_or(0, |b| b.1)
            });
            merged.push((least, count[0].saturating_add(count[1])));
        }
        merged.extend(ours);
        merged.extend(theirs);
        self.0 = merged;
    }

    /// Returns the histogram with these buckets.
    pub(super) fn unpack(&self) -> LatencyHistogram {
        let mut latency = LatencyHistogram::default();
        latency.merge_packed(self);
        latency
    }
}

/// Bytes of the head of HdrHistogram's V2 encoding; the second four are the length of what follows.
const HEAD: usize = 40;

// On the wire: HdrHistogram's own V2 encoding, in hexadecimal. The interval around it is compressed
// as a whole.
impl Serialize for PackedLatency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.unpack().0, &mut bytes)
            .map_err(serde::ser::Error::custom)?;
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for PackedLatency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect();
        let digits =
            digits.ok_or_else(|| serde::de::Error::custom("a histogram is hexadecimal"))?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        // The reader makes room for as much as the head announces, and a task may announce anything.
        let announced = bytes.get(4..8).and_then(|four| four.try_into().ok());
        let announced = announced.map(|four| u32::from_be_bytes(four) as usize);
        if announced != bytes.len().checked_sub(HEAD) {
            return Err(serde::de::Error::custom(
                "a histogram is not as long as it says",
            ));
        }
        let histogram: Histogram<u64> = V2Reader::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(serde::de::Error::custom)?;
        Ok(LatencyHistogram(histogram).pack())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> LatencyHistogram {
        let mut latency = LatencyHistogram::default();
        for value in values {
            latency.record(Duration::from_micros(*value));
        }
        latency
    }

    #[test]
    fn a_histogram_that_announces_more_than_it_has_is_refused() {
        let text = serde_json::to_string(&of(&[1, 2]).pack()).unwrap();
        assert!(serde_json::from_str::<PackedLatency>(&text).is_ok());
        let announced = format!("{}8000{}", &text[..9], &text[13..]);
        for wrong in [announced.as_str(), "\"\"", "\"1c849313\""] {
            assert!(
                serde_json::from_str::<PackedLatency>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    proptest! {
        #[test]
        fn merging_equals_recording_everything_in_one(
            a in prop::collection::vec(1u64..10_000_000, 0..200),
            b in prop::collection::vec(1u64..10_000_000, 0..200),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let whole = of(&[a, b].concat());
            prop_assert_eq!(merged.count(), whole.count());
            for q in [0.0, 50.0, 95.0, 99.0, 99.9, 100.0] {
                prop_assert_eq!(merged.percentile(q), whole.percentile(q));
            }
        }

        #[test]
        fn packing_loses_nothing_and_merges_alike(
            a in prop::collection::vec(1u64..3_600_000_000, 0..200),
            b in prop::collection::vec(1u64..10_000, 0..200),
        ) {
            let mut packed = of(&a).pack();
            packed.merge(&of(&b).pack());
            let whole = of(&[a, b].concat());
            prop_assert_eq!(&packed, &whole.pack());
            prop_assert_eq!(packed.unpack().buckets().collect::<Vec<_>>(), whole.buckets().collect::<Vec<_>>());
        }

        #[test]
        fn three_digits_are_kept(value in 1u64..3_600_000_000) {
            let seen = of(&[value]).percentile(50.0).unwrap().as_micros() as f64;
            prop_assert!((seen - value as f64).abs() <= value as f64 / 1000.0 + 1.0, "{} became {}", value, seen);
        }

        #[test]
        fn the_wire_keeps_everything(values in prop::collection::vec(1u64..3_600_000_000, 0..100)) {
            let packed = of(&values).pack();
            let back: PackedLatency = serde_json::from_str(&serde_json::to_string(&packed).unwrap()).unwrap();
            prop_assert_eq!(back, packed);
        }
    }

    #[test]
    fn nothing_recorded_has_no_percentile() {
        assert_eq!(LatencyHistogram::default().percentile(95.0), None);
        assert_eq!(LatencyHistogram::default().max(), None);
    }
}
